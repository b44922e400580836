//! The example that tests an application in the simulator, with many seeds.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

#[path = "../examples/simulated.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod simulated;

mod browser;
mod dissect;

use std::sync::{Arc, Mutex};

use asap_pu::capture::Capture;
use asap_pu::sim::What;
use simulated::timeline::Timeline;

/// [SESSION-3] [SESSION-4]: no job is lost, whichever worker dies when.
#[test]
fn no_job_is_lost() {
    for seed in 0..50 {
        let outcome = simulated::run(seed, |_| {}).expect("a run");
        assert!(outcome.is_complete(), "seed {seed}");
    }
}

/// Wireshark reads every message of the run, and none is malformed.
#[test]
fn its_messages_can_be_read_in_wireshark() {
    let seen = Arc::new(Mutex::new((Capture::new(), 0, 0)));
    let sees = Arc::clone(&seen);
    simulated::run(1, move |record| {
        let (capture, asap, data) = &mut *sees.lock().expect("nobody panics");
        record.capture(capture);
        match record.what {
            What::SendsControl(_) | What::GetsControl(_) => *asap += 1,
            What::SendsData(..) | What::GetsData(_) => *data += 1,
            _ => {}
        }
    })
    .expect("a run");
    let (mut capture, asap, data) = core::mem::take(&mut *seen.lock().expect("nobody panics"));
    let fields = ["sctp.data_payload_proto_id", "asap.message_type"];
    let Some(lines) = dissect::lines("simulated", &capture.take(), &fields) else { return };
    let marked = lines.iter().filter(|line| line[0] == "11" && !line[1].is_empty()).count();
    assert_eq!((marked, lines.len()), (asap, asap + data));
}

/// The page shows hosts and records in a browser, and of them what its address asks for.
#[test]
fn its_page_is_shown_by_a_browser() {
    let seen = Arc::new(Mutex::new(Timeline::default()));
    let sees = Arc::clone(&seen);
    simulated::run(1, move |record| sees.lock().expect("nobody panics").record(record))
        .expect("a run");
    let page = core::mem::take(&mut *seen.lock().expect("nobody panics")).page(
        "A run",
        "with failures",
        "",
    );
    let Some(whole) = browser::shown("simulated", &page, "") else { return };
    let count = |dom: &str| -> usize {
        let (count, _) = dom.split_once(" records from ").expect("a count");
        count.rsplit('>').next().and_then(|count| count.parse().ok()).expect("a number")
    };
    assert!(count(&whole) > 1_000, "{}", count(&whole));
    // The script has everything, too.
    let table = |dom: &str| dom.split("tbody").nth(1).expect("a table").to_owned();
    assert!(table(&whole).contains("user 1 sends ASAP_HANDLE_RESOLUTION to registrar 1"));
    let failovers = browser::shown("simulated", &page, "find=failedover&from=100&to=600");
    let failovers = failovers.expect("the same browser");
    let rows = table(&failovers).matches("tells: FailedOver").count();
    assert!(rows > 5 && rows == count(&failovers), "{rows}");
    let hidden = browser::shown("simulated", &page, "hide=events&find=failedover");
    assert_eq!(count(&hidden.expect("the same browser")), 0);
}
