use alloc::boxed::Box;

use super::*;
use crate::selection::CustomPolicy;

/// Always the member with the longest raw values; counts its refreshes in the choice of ties.
#[derive(Debug, Default)]
struct Longest {
    lengths: Vec<usize>,
    wrong: bool,
}

impl CustomPolicy for Longest {
    fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>) {
        self.wrong = false;
        self.lengths = members.map(|(_, raw)| raw.len()).collect();
    }

    fn pick(&mut self, _: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        if self.wrong {
            return Some(self.lengths.len());
        }
        (0..self.lengths.len()).filter(|&at| !skip(at)).max_by_key(|&at| self.lengths[at])
    }
}

fn list() -> impl Iterator<Item = (u32, &'static [u8])> {
    [(7, &[1][..]), (8, &[1, 2, 3]), (9, &[])].into_iter()
}

/// [SELECT-7]
#[test]
fn a_policy_of_the_users_own_is_followed() {
    let mut selector = Selector::new();
    selector.refresh_custom(0x8000_0001, || Box::<Longest>::default(), &mut list());
    assert_eq!(selector.policy(), PolicyKind::Custom(0x8000_0001));
    assert_eq!(selector.len(), 3);
    assert_eq!(picks(&mut selector, 2, all), [1, 1]);
    assert_eq!(picks(&mut selector, 1, |at| at == 1), [0]);
    let mut out = Vec::new();
    assert_eq!(selector.pick_many(&mut Rng::new(0), 5, all, |at| out.push(at)), 3);
    assert_eq!(out, [1, 0, 2]);

    selector.refresh_custom(0x8000_0001, || panic!("it is there already"), &mut list().skip(1));
    assert_eq!((selector.len(), picks(&mut selector, 1, all)), (2, [0].to_vec()));

    // Without raw values it cannot be followed, and that shows.
    selector.refresh(PolicyKind::Custom(0x8000_0001), &members(&[0, 0]));
    assert_eq!(selector.policy(), PolicyKind::Listed);
    assert_eq!(picks(&mut selector, 3, all), [0, 1, 0]);
}

/// What is not in the list, or to be passed over, counts as no choice.
#[test]
fn a_policy_that_breaks_its_contract_chooses_nothing() {
    let mut selector = Selector::new();
    #[derive(Debug)]
    struct Fixed(usize);
    impl CustomPolicy for Fixed {
        fn refresh(&mut self, _: &mut dyn Iterator<Item = (u32, &[u8])>) {}
        fn pick(&mut self, _: &mut Rng, _: &dyn Fn(usize) -> bool) -> Option<usize> {
            Some(self.0)
        }
    }
    for (at, picked) in [(2, Some(2)), (3, None), (usize::MAX, None)] {
        selector.refresh_custom(at as u32, || Box::new(Fixed(at)), &mut list());
        assert_eq!(selector.len(), 3, "also if the policy does not look at its members");
        assert_eq!(selector.pick(&mut Rng::new(0), all), picked);
        assert_eq!(selector.pick(&mut Rng::new(0), |at| at == 2), None);
        assert_eq!(selector.pick_many(&mut Rng::new(0), 3, all, |_| ()), picked.map_or(0, |_| 1));
    }
}
