//! Asks tshark what it makes of a capture.

use core::str;
use std::fs;
use std::path::Path;
use std::process::Command;

/// These fields of every packet, as text; `None` where tshark is not installed, which is said. Nothing is malformed,
/// and every checksum is right.
pub(crate) fn lines(name: &str, capture: &[u8], fields: &[&str]) -> Option<Vec<Vec<String>>> {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark not installed");
        return None;
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("pcapng");
    fs::write(&file, capture).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "sctp.checksum:crc-32c", "-T", "fields", "-E", "separator=|"]);
    for field in fields.iter().chain(&["_ws.malformed", "sctp.checksum.status"]) {
        tshark.args(["-e", field]);
    }
    let output = tshark.arg("-r").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = str::from_utf8(&output.stdout).unwrap().lines().map(|line| {
        let mut values: Vec<_> = line.split('|').map(str::to_owned).collect();
        let sound = ["".to_owned(), "1".to_owned()];
        assert_eq!(values.split_off(fields.len()), sound, "malformed, or a wrong checksum: {line}");
        values
    });
    Some(lines.collect())
}
