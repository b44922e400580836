//! Stories of lists and picks, lived through by a selector and by a slow model of its policy.

mod model;

use arbitrary::{Arbitrary, Result, Unstructured};
use asap_pu::Rng;
use asap_pu::selection::{CustomPolicy, Member, PolicyKind, Selector};

use self::model::{Model, model};

/// The type of the policy of the user's own.
const GREATEST: u32 = 0x8000_0001;

const POLICIES: [PolicyKind; 11] = [
    PolicyKind::RoundRobin,
    PolicyKind::WeightedRoundRobin,
    PolicyKind::Random,
    PolicyKind::WeightedRandom,
    PolicyKind::Priority,
    PolicyKind::LeastUsed,
    PolicyKind::LeastUsedDegradation,
    PolicyKind::PriorityLeastUsed,
    PolicyKind::RandomizedLeastUsed,
    PolicyKind::Listed,
    PolicyKind::Custom(GREATEST),
];

/// The steps of one story. Longer ones find nothing that shorter ones do not.
const STEPS: usize = 60;

/// Enough for more than one word of positions, and for more than one group of a tournament.
const MEMBERS: u32 = 150;

/// Lives through the story that `data` tells.
pub(crate) fn live(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(mut world) = World::new(&mut u) else { return };
    for _ in 0..STEPS {
        match u.arbitrary() {
            Ok(step) if !u.is_empty() => world.step(&step),
            _ => break,
        }
    }
}

/// What happens to a selector.
#[derive(Debug, Arbitrary)]
enum Step {
    Pick {
        times: u8,
        skip: Skip,
    },
    PickMany {
        wanted: u8,
        skip: Skip,
    },
    /// Another list.
    Refresh(List),
    /// The same list, begun elsewhere.
    Turn(u8),
    /// The same list with another value for one member, or none.
    Update {
        at: u8,
        to: Option<Value>,
    },
    /// The same list under another policy.
    Follow(u8),
    /// Takes those out of the choice whose turn to be skipped it would be, and puts the others in.
    Mark(Skip),
}

/// Whom to pass over.
#[derive(Debug, Clone, Arbitrary)]
enum Skip {
    Nobody,
    /// Those whose bits are set, again from the first bit behind the last.
    Mask(u64),
    /// All but one.
    Others(u8),
    /// Those of large value: most of the weight.
    Heavy,
}

/// A list whose identifiers differ.
#[derive(Debug)]
struct List(Vec<Member>);

/// Few different values, so that members tie, and the largest there are.
#[derive(Debug)]
struct Value(u32);

/// A selector, the model of its policy, and what both were told.
struct World {
    selector: Selector,
    rng: Rng,
    policy: PolicyKind,
    model: Box<dyn Model>,
    list: Vec<Member>,
    /// Who is out of the choice, and what the model knows of that.
    out: Vec<bool>,
    arranged: Option<Vec<bool>>,
}

/// Follows the greatest raw values.
#[derive(Debug, Default)]
pub(crate) struct Greatest(Vec<Vec<u8>>);

impl World {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let policy = POLICIES[u.choose_index(POLICIES.len())?];
        let rng = Rng::new(u.arbitrary::<u8>()?.into());
        let selector = Selector::new();
        let model = model(policy);
        let (list, out, arranged) = (Vec::new(), Vec::new(), None);
        let mut world = Self { selector, rng, policy, model, list, out, arranged };
        let List(list) = u.arbitrary()?;
        world.refresh(list);
        Ok(world)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pick { times, skip } => (0..times % 40).for_each(|_| self.pick(skip)),
            Step::PickMany { wanted, skip } => self.pick_many((*wanted).into(), skip),
            Step::Refresh(List(list)) => self.refresh(list.clone()),
            Step::Turn(by) => {
                let mut list = self.list.clone();
                let by = usize::from(*by).checked_rem(list.len()).unwrap_or(0);
                list.rotate_left(by);
                self.refresh(list);
            }
            Step::Update { at, to } => {
                let mut list = self.list.clone();
                if let Some(at) = usize::from(*at).checked_rem(list.len()) {
                    match to {
                        Some(Value(value)) => list[at].value = *value,
                        None => drop(list.remove(at)),
                    }
                }
                self.refresh(list);
            }
            Step::Mark(skip) => {
                let skip = skip.of(&self.list);
                for at in 0..self.list.len() {
                    self.out[at] = skip(at);
                    self.selector.set_usable(at, !skip(at));
                }
            }
            Step::Follow(policy) => {
                let policy = POLICIES[usize::from(*policy) % POLICIES.len()];
                if policy != self.policy {
                    (self.policy, self.model) = (policy, model(policy));
                    self.arranged = None;
                }
                self.refresh(self.list.clone());
            }
        }
    }

    fn refresh(&mut self, list: Vec<Member>) {
        match self.policy {
            PolicyKind::Custom(kind) => {
                let raw: Vec<_> = list.iter().map(|m| (m.id, raw(m))).collect();
                let mut members = raw.iter().map(|(id, raw)| (*id, &raw[..]));
                let make = || Box::<Greatest>::default() as Box<dyn CustomPolicy>;
                self.selector.refresh_custom(kind, make, &mut members);
            }
            policy => self.selector.refresh(policy, &list),
        }
        self.model.refresh(&list);
        if self.list != list {
            self.arranged = None;
        }
        self.out = vec![false; list.len()];
        self.list = list;
        assert_eq!((self.selector.policy(), self.selector.len()), (self.policy, self.list.len()));
    }

    /// Tells the model who is in the choice, if that has changed, and says who is not.
    fn arrange(&mut self) -> impl Fn(usize) -> bool + use<> {
        let out = self.out.clone();
        if self.arranged.as_ref() != Some(&out) {
            self.model.arrange(&|at| !out[at]);
            self.arranged = Some(out.clone());
        }
        move |at| out[at]
    }

    fn pick(&mut self, skip: &Skip) {
        let (out, skip) = (self.arrange(), skip.of(&self.list));
        let before = self.rng.clone();
        let picked = self.selector.pick(&mut self.rng, &skip);
        let allowed = self.model.pick(&before, &|at| out(at) || skip(at));
        self.compare(picked, &allowed);
    }

    /// The first is a pick, the others are backups among those that are left.
    fn pick_many(&mut self, wanted: usize, skip: &Skip) {
        let (out, skip) = (self.arrange(), skip.of(&self.list));
        let usable = (0..self.list.len()).filter(|&at| !out(at) && !skip(at)).count();
        let mut picked = Vec::new();
        let before = self.rng.clone();
        let count = self.selector.pick_many(&mut self.rng, wanted, &skip, |at| picked.push(at));
        assert_eq!((count, picked.len()), (wanted.min(usable), count));
        for (n, &at) in picked.iter().enumerate() {
            let left = |at| out(at) || skip(at) || picked[..n].contains(&at);
            let allowed = match n {
                0 => self.model.pick(&before, &left),
                _ => self.model.backup(&left),
            };
            self.compare(Some(at), &allowed);
        }
    }

    fn compare(&self, picked: Option<usize>, allowed: &[usize]) {
        let right = picked.map_or(allowed.is_empty(), |at| allowed.contains(&at));
        assert!(
            right,
            "{:?}: {picked:?}, not one of {allowed:?} of {:?}, out {:?}",
            self.policy, self.list, self.out
        );
    }
}

impl Skip {
    fn of(&self, list: &[Member]) -> impl Fn(usize) -> bool + use<> {
        let (skip, list) = (self.clone(), list.to_vec());
        move |at| {
            assert!(at < list.len(), "asked about a position outside the list");
            match skip {
                Self::Nobody => false,
                Self::Mask(mask) => mask >> (at % 64) & 1 == 1,
                Self::Others(only) => at != usize::from(only) % list.len(),
                Self::Heavy => list[at].value > 9,
            }
        }
    }
}

impl CustomPolicy for Greatest {
    fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>) {
        self.0 = members.map(|(_, raw)| raw.to_vec()).collect();
    }

    fn pick(&mut self, _: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        (0..self.0.len()).filter(|&at| !skip(at)).max_by_key(|&at| &self.0[at])
    }
}

impl<'a> Arbitrary<'a> for List {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = *u.choose(&[0, 1, 2, 3, 4, 6, 9, 17, 40, MEMBERS])?;
        // No more identifiers than are remembered of members that are gone.
        let first = u32::from(u.arbitrary::<u8>()? % 100);
        // Long lists repeat some values, and so are told in few bytes.
        let told: Vec<(u8, Value, Value)> =
            (0..len.min(9)).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        let mut list: Vec<Member> = Vec::new();
        for (n, (id, Value(value), Value(degradation))) in (0..len).zip(told.iter().cycle()) {
            let id = if len > 9 { first + n } else { u32::from(id % 16) };
            if list.iter().all(|m| m.id != id) {
                list.push(Member::new(id, *value).with_degradation(*degradation));
            }
        }
        Ok(Self(list))
    }
}

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let few = u.arbitrary::<u8>()?;
        Ok(Self(match few {
            0..192 => u32::from(few % 10),
            192..224 => u32::from(few - 191) * 30,
            224..240 => u32::MAX - u32::from(few - 224),
            240.. => u.arbitrary()?,
        }))
    }
}

/// The raw policy values of a member under the policy of the user's own: of any length.
fn raw(member: &Member) -> Vec<u8> {
    member.value.to_be_bytes()[..member.degradation as usize % 5].to_vec()
}
