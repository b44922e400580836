use super::*;

/// In list order, behind the one chosen last, which is known by its identifier.
#[derive(Default)]
struct Plain {
    ids: Vec<u32>,
    last: Option<u32>,
}

impl Model for Plain {
    fn refresh(&mut self, members: &[Member]) {
        self.ids = members.iter().map(|m| m.id).collect();
        self.last = self.last.filter(|last| self.ids.contains(last));
    }

    fn pick(&mut self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let behind = self.ids.iter().position(|id| Some(*id) == self.last).map_or(0, |at| at + 1);
        let at = (0..self.ids.len()).filter(|&at| !skip(at)).min_by_key(|&at| (at < behind, at))?;
        self.last = Some(self.ids[at]);
        Some(at)
    }
}

proptest! {
    /// [SELECT-1] [SELECT-7] [SELECT-9]
    #[test]
    fn is_the_plain_story(story in story(0..3_u32)) {
        compare(Policy::RoundRobin, &mut Plain::default(), &story)?;
        compare(Policy::Listed, &mut Plain::default(), &story)?;
    }
}

/// [SELECT-1]
#[test]
fn goes_round_beginning_with_the_first() {
    let mut selector = selector(Policy::RoundRobin, &members(&[0, 0, 0]));
    assert_eq!(picks(&mut selector, 7, all), [0, 1, 2, 0, 1, 2, 0]);
}

/// [SELECT-1] Goes on behind the member chosen last though the registrar turned the list.
#[test]
fn goes_on_after_a_refresh() {
    let mut list = members(&[0, 0, 0, 0]);
    let mut selector = selector(Policy::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
    list.rotate_left(1);
    selector.refresh(Policy::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 1, all), [1], "identifier 2");
    list.remove(1);
    selector.refresh(Policy::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 1, all), [0], "the one chosen last is gone");
}
