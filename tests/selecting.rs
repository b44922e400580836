//! Choosing elements through the whole machine: policies of the user's own, several at once.

mod lab;

use core::cell::Cell;

use asap_pu::selection::{CustomPolicy, Member, Policy as Chosen, Selector};
use asap_pu::wire::{Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement};
use asap_pu::{CommandError, ConfigError, Rng, SessionOptions};
use bytes::Bytes;
use lab::*;

/// The reference implementation's private policy: by what would be left unused after one more
/// choice.
const RANDOMIZED_PRIORITY_LEAST_USED: PolicyType = PolicyType::new(0xb000_1001);

#[derive(Debug, Default)]
struct RandomizedPriorityLeastUsed(Selector);

impl CustomPolicy for RandomizedPriorityLeastUsed {
    fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>) {
        let load = |raw: &[u8]| match *raw {
            [a, b, c, d, e, f, g, h] => {
                u32::from_be_bytes([a, b, c, d]).saturating_add(u32::from_be_bytes([e, f, g, h]))
            }
            _ => u32::MAX,
        };
        let members: Vec<_> = members.map(|(id, raw)| Member::new(id, load(raw))).collect();
        self.0.refresh(Chosen::RandomizedLeastUsed, &members);
    }

    fn pick(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.0.pick(rng, skip)
    }
}

/// An element with the private policy's load and degradation.
fn loaded(id: u32, load: u32, degradation: u32) -> PoolElement {
    let values = [load.to_be_bytes(), degradation.to_be_bytes()].concat();
    let policy = RANDOMIZED_PRIORITY_LEAST_USED;
    let mut element = element(id);
    element.policy = Policy::Other { policy, values: values.into() };
    element
}

fn list(elements: Vec<PoolElement>) -> Message {
    let policy = OverallPolicy::new(RANDOMIZED_PRIORITY_LEAST_USED, Bytes::from(vec![0; 8]));
    Message::handle_resolution_response(POOL, Some(policy), elements)
}

/// [SELECT-10]: round robin, random and priority look at one member for a choice, of however many;
/// the others at no more than a tree of them is high.
#[test]
fn a_choice_looks_at_few_members() {
    let looks = |policy, n: u32| {
        let members: Vec<_> = (0..n).map(|id| Member::new(id, 1 + id % 7)).collect();
        let mut selector = Selector::new();
        selector.refresh(policy, &members);
        let (mut rng, mut worst) = (Rng::new(1), 0);
        for _ in 0..1_000 {
            let looked = Cell::new(0);
            let skip = |_| {
                looked.set(looked.get() + 1);
                false
            };
            selector.pick(&mut rng, skip).unwrap();
            worst = worst.max(looked.get());
        }
        worst
    };
    for policy in [Chosen::RoundRobin, Chosen::Random, Chosen::Priority] {
        assert_eq!((looks(policy, 4), looks(policy, 4_096)), (1, 1), "{policy:?}");
    }
    for policy in [
        Chosen::WeightedRoundRobin,
        Chosen::WeightedRandom,
        Chosen::LeastUsed,
        Chosen::LeastUsedDegradation,
        Chosen::PriorityLeastUsed,
        Chosen::RandomizedLeastUsed,
    ] {
        let looked = looks(policy, 4_096);
        assert!(looked <= 12, "{policy:?} looked at {looked}");
    }
}

/// [SELECT-12]: those that are out of the choice are not looked at, by any policy, however many they
/// are.
#[test]
fn a_choice_does_not_look_at_the_marked() {
    for policy in [
        Chosen::RoundRobin,
        Chosen::WeightedRoundRobin,
        Chosen::Random,
        Chosen::WeightedRandom,
        Chosen::Priority,
        Chosen::LeastUsed,
        Chosen::LeastUsedDegradation,
        Chosen::PriorityLeastUsed,
        Chosen::RandomizedLeastUsed,
    ] {
        let members: Vec<_> = (0..4_096).map(|id| Member::new(id, 1 + id % 7)).collect();
        let mut selector = Selector::new();
        selector.refresh(policy, &members);
        let mut rng = Rng::new(1);
        for left in [2_048, 1, 0] {
            (0..4_096).for_each(|at| selector.set_usable(at, at % 2 == 1 && at / 2 < left));
            for _ in 0..100 {
                let looked = Cell::new(0);
                let skip = |at| {
                    looked.set(looked.get() + 1);
                    assert!(at % 2 == 1 && at / 2 < left, "{policy:?} looked at {at}");
                    false
                };
                assert_eq!(selector.pick(&mut rng, skip).is_some(), left > 0);
                assert!(looked.get() <= 1, "{policy:?} looked {} times", looked.get());
            }
        }
    }
}

/// [SELECT-12] [SELECT-9]: where all elements are marked, the choice goes round among them, the oldest
/// failure first, and one that the caller excludes is left out of that; as soon as one is there again
/// it is chosen.
#[test]
fn where_all_have_failed_choices_go_round() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.answer(home, POOL, &[1, 2, 3, 4].map(element));
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.choose(pool), [1, 2, 3, 4]);
    for failed in [3, 1, 4, 2] {
        lab.pu
            .pool_mut(lab.now, pool)
            .unwrap()
            .report_unreachable(PeIdentifier::new(failed))
            .unwrap();
        lab.secs(1);
    }
    assert_eq!(lab.choose(pool), [3, 1, 4, 2, 3, 1, 4, 2, 3]);
    // One that fails again is the last one.
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(PeIdentifier::new(1)).unwrap();
    assert_eq!(lab.choose(pool), [4, 2, 3, 1, 4]);
    let avoid = [2, 3].map(PeIdentifier::new);
    let mut chosen =
        || lab.pu.pool_mut(lab.now, pool).unwrap().select(&avoid).unwrap().identifier().get();
    assert_eq!([(); 4].map(|()| chosen()), [1, 4, 1, 4]);
    let several = lab.pu.pool_mut(lab.now, pool).unwrap().select_several(9, &[]);
    let several: Vec<_> = several.iter().map(|element| element.identifier().get()).collect();
    assert_eq!(several, [2, 3, 1, 4], "and 2 is the choice");
    assert_eq!(lab.choose(pool), [3]);

    // The mark of 3 is the first to end, and then there is only 3.
    lab.secs(56);
    assert_eq!(lab.choose(pool), [3, 3]);
    lab.secs(1);
    assert_eq!(lab.choose(pool), [1, 3, 1, 3]);
}

/// [SELECT-11]: elements that a session tried in vain have had no turn: whoever was cut off from all of
/// them, and has tried each once whatever its weight, goes on as if nothing had been.
#[test]
fn tries_in_vain_are_no_turns() {
    let (mut lab, home) = Lab::at_home();
    let weighted = |(id, weight)| {
        let mut element = element(id);
        element.policy = Policy::WeightedRoundRobin { weight };
        element
    };
    let elements = [(1, 4), (2, 2), (3, 1)].map(weighted).to_vec();
    let policy = Some(PolicyType::WEIGHTED_ROUND_ROBIN.into());
    let list = Message::handle_resolution_response(POOL, policy, elements);
    let mut turns = [0; 3];
    for _ in 0..21 {
        let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
        let mut tried = opens_among(&lab.actions());
        lab.receive(home, &list);
        for _ in 0..3 {
            tried.extend(opens_among(&lab.actions()));
            lab.fail(tried.pop().unwrap().channel);
        }
        lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
        // Until the marks are over.
        lab.secs(61);
        let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
        let [chosen] = lab.choose(pool);
        turns[chosen as usize - 1] += 1;
    }
    assert_eq!(turns, [12, 6, 3]);
}

/// [SELECT-7]: a policy that is not known is served in the registrar's order, and the user can see that; one of the
/// user's own is followed, with the raw values of the elements that are kept.
#[test]
fn policies_of_the_users_own() {
    let mut config = config(&[REGISTRAR]);
    let elements = || {
        let mut elements = vec![loaded(1, 0xffff_0000, 0xffff), loaded(2, 0x8000_0000, 0)];
        // A repeated identifier and an element of another policy: neither may shift the values.
        elements.insert(1, loaded(1, 0, 0));
        elements.push(element(3));
        list(elements)
    };
    for known in [false, true] {
        if known {
            let make = || Box::<RandomizedPriorityLeastUsed>::default() as Box<dyn CustomPolicy>;
            config.cache.custom_policies.push((RANDOMIZED_PRIORITY_LEAST_USED, make));
        }
        let (mut lab, home) = Lab::at_home_with(config.clone());
        lab.pu.resolve(lab.now, POOL).unwrap();
        lab.receive(home, &elements());
        let (_, pool) = resolved(lab.event());
        assert_eq!(lab.pu.pool(pool).unwrap().policy(), RANDOMIZED_PRIORITY_LEAST_USED);
        assert_eq!(lab.pu.pool(pool).unwrap().follows_policy(), known);
        let mut chosen = [0; 4];
        for _ in 0..99 {
            chosen[lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier().get()
                as usize] += 1;
        }
        let expected = if known { [0, 0, 99, 0] } else { [0, 33, 33, 33] };
        assert_eq!(chosen, expected);
    }
    config.cache.custom_policies[0].0 = PolicyType::LEAST_USED;
    assert_eq!(config.validate(), Err(ConfigError::StandardPolicy(PolicyType::LEAST_USED)));
}

/// [SELECT-8] [REPORT-5]: several different elements at once, best first, those that failed last, excluded ones never;
/// only the first one counts as a choice.
#[test]
fn several_at_once() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.answer(home, POOL, &[1, 2, 3, 4].map(element));
    let (_, pool) = resolved(lab.event());
    let several = |lab: &mut Lab, wanted, avoid: &[u32]| {
        let avoid: Vec<_> = avoid.iter().map(|id| PeIdentifier::new(*id)).collect();
        let chosen = lab.pu.pool_mut(lab.now, pool).unwrap().select_several(wanted, &avoid);
        chosen.iter().map(|element| element.identifier().get()).collect::<Vec<_>>()
    };
    assert_eq!(several(&mut lab, 3, &[]), [1, 2, 3]);
    assert_eq!(several(&mut lab, 9, &[]), [2, 3, 4, 1]);
    for failed in [3, 4] {
        lab.pu
            .pool_mut(lab.now, pool)
            .unwrap()
            .report_unreachable(PeIdentifier::new(failed))
            .unwrap();
        lab.secs(1);
    }
    assert_eq!(several(&mut lab, 9, &[2]), [1, 3, 4]);
    assert_eq!(several(&mut lab, 0, &[]), []);
    lab.pu.pool_mut(lab.now, pool).unwrap().purge();
    assert_eq!(lab.pu.pool_mut(lab.now, pool).err(), Some(CommandError::UnknownPool));
}
