//! The driver around the stack `smoltcp`, and its example, in virtual time.

#[path = "../examples/smoltcp/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod example;

use example::{End, lines, run};

/// [SESSION-1] [SESSION-3] [REPORT-1]: on a device with one clock for the network stack and the pool user,
/// a session outlives the element that serves it, whether that is killed or is cut off without a word;
/// every line is answered once, also one that fits into no buffer or no window, and the element is reported.
#[test]
fn a_session_outlives_its_element() {
    for (end, seed) in
        [End::Killed, End::CutOff].into_iter().flat_map(|end| (0..9).map(move |seed| (end, seed)))
    {
        let outcome = run(seed, end).unwrap();
        let (lost, said) = (outcome.lost, &outcome.said);
        let [first, second] = lines().map(|line| line.concat());
        let expected = [format!("{lost}: {first}"), format!("{}: {second}", 3 - lost)];
        assert_eq!(outcome.answers, expected, "{said:#?}");
        assert_eq!(outcome.reports, [lost], "{said:#?}");
        let stats = outcome.stats;
        assert_eq!((stats.misuses, stats.malformed, stats.requests_sent), (0, 0, 1), "{said:#?}");
    }
}

/// [CORE-2]: nothing but time and packets goes in, and so the same comes out.
#[test]
fn the_same_happens_twice() {
    for end in [End::Killed, End::CutOff] {
        assert_eq!(run(7, end).unwrap(), run(7, end).unwrap());
    }
}
