//! `docs/conformance.md` lists the duties of a pool user; here it is seen to that each has a test,
//! that each test names a duty that exists, and that the document says which.
//!
//! The last column of the document is generated. After a change of tests,
//! `UPDATE_CONFORMANCE=1 cargo test --test conformance` writes it.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tests are.
const ROOTS: [&str; 7] =
    ["tests", "src", "examples", "drivers/src", "drivers/tests", "tools/src", "tools/tests"];
/// The kinds of duties, so that `[u8]` or `[0-9]` is not taken for one.
const TOPICS: [&str; 8] = ["TLV", "RES", "CACHE", "REPORT", "HUNT", "SELECT", "SESSION", "CORE"];
const DOCUMENT: &str = "docs/conformance.md";

/// One function marked as a test.
#[derive(Debug, PartialEq)]
struct Test {
    name: String,
    duties: BTreeSet<String>,
}

#[test]
fn every_duty_has_a_test() {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in ROOTS.iter().flat_map(|root| sources(&here().join(root))) {
        let label = label(&file);
        for test in tests(&fs::read_to_string(&file).unwrap()) {
            for duty in test.duties {
                shown.entry(duty).or_default().insert(format!("`{label}::{}`", test.name));
            }
        }
    }

    let path = here().join(DOCUMENT);
    let document = fs::read_to_string(&path).unwrap();
    let mut untested = Vec::new();
    let lines = document.lines().map(|line| {
        let Some((row, id)) = duty(line) else { return format!("{line}\n") };
        let tests = shown.remove(id).unwrap_or_default();
        if tests.is_empty() {
            untested.push(id.to_owned());
        }
        format!("{row} | {} |\n", tests.into_iter().collect::<Vec<_>>().join(" "))
    });
    let generated: String = lines.collect();

    assert_eq!(untested, [""; 0], "duties that no test names");
    assert_eq!(shown, BTreeMap::new(), "duties that tests name and {DOCUMENT} does not have");
    if env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, generated).unwrap();
    } else if generated != document {
        let stale = document.lines().zip(generated.lines()).find(|(old, new)| old != new);
        let (old, new) = stale.unwrap_or_default();
        panic!("{DOCUMENT} is out of date (UPDATE_CONFORMANCE=1 writes it):\n{old}\n{new}");
    }
}

/// What the scan takes for a test, and for the duties of one.
#[test]
fn tests_are_found_with_their_duties() {
    let source = "\
//! For all: [CORE-1].

/// [TLV-1]: not a test.
fn helper() {}

/// [TLV-2] [TLV-3]: two lines,
/// the second with [RES-4].
#[test]
#[cfg_attr(miri, ignore = \"slow\")]
fn first() {
    let array = [0; 2];
    assert!(true, \"[RES-5]\");
}

/// [RES-6]: of another runtime.
#[tokio::test]
async fn other() {
}

proptest! {
    /// Names none.
    #[test]
    fn second(value in 0..3) {
        // The brace of an inner block does not end it.
        if value > 1 {
        }
        // [HUNT-6]
    }
}
";
    let test = |name: &str, duties: &[&str]| Test {
        name: name.to_owned(),
        duties: duties.iter().map(|&duty| duty.to_owned()).collect(),
    };
    let first = test("first", &["CORE-1", "TLV-2", "TLV-3", "RES-4", "RES-5"]);
    let other = test("other", &["CORE-1", "RES-6"]);
    assert_eq!(tests(source), [first, other, test("second", &["CORE-1", "HUNT-6"])]);
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `root` but this one.
fn sources(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with(file!()) {
            files.push(path);
        }
    }
    files
}

/// What the document calls a file: its path without `tests/` and `.rs`.
fn label(file: &Path) -> String {
    let path = file.strip_prefix(here()).unwrap();
    let path = path.strip_prefix("tests").unwrap_or(path).with_extension("");
    path.to_string_lossy().replace('\\', "/")
}

/// A row of the document without its last column, and the ID of the duty that it is about.
fn duty(line: &str) -> Option<(&str, &str)> {
    let (row, _) = line.strip_suffix('|')?.rsplit_once(" | ")?;
    let id = row.strip_prefix("| ")?.split(' ').next()?;
    is_duty(id).then_some((row, id))
}

fn is_duty(id: &str) -> bool {
    id.split_once('-')
        .is_some_and(|(topic, number)| TOPICS.contains(&topic) && number.parse::<u32>().is_ok())
}

/// The duties that a text names in brackets.
fn named(text: &str) -> impl Iterator<Item = String> {
    let ids = text.split('[').filter_map(|rest| rest.split_once(']')).map(|(id, _)| id);
    ids.filter(|id| is_duty(id)).map(str::to_owned)
}

fn is_mark(line: &str) -> bool {
    line == "#[test]" || line.starts_with("#[tokio::test")
}

/// What follows `fn` where a function begins.
fn function(line: &str) -> Option<&str> {
    line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
}

/// The tests of a source file as rustfmt leaves it: a function ends with the first brace that
/// stands where the function began.
fn tests(source: &str) -> Vec<Test> {
    let head = source.lines().filter(|line| line.starts_with("//!")).flat_map(named);
    let head: BTreeSet<_> = head.collect();
    let mut tests = Vec::new();
    let (mut above, mut marked) = (head.clone(), false);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if text.starts_with("///") {
            above.extend(named(text));
        } else if is_mark(text) {
            marked = true;
        } else if let (true, Some(rest)) = (marked, function(text)) {
            let end = format!("{}}}", &line[..line.len() - text.len()]);
            let body = lines.by_ref().take_while(|line| *line != end);
            above.extend(body.flat_map(named));
            let name = rest.split('(').next().unwrap_or_default().to_owned();
            tests.push(Test { name, duties: above });
            (above, marked) = (head.clone(), false);
        } else if !text.starts_with("#[") && !text.starts_with("//") {
            (above, marked) = (head.clone(), false);
        }
    }
    let marks = source.lines().filter(|line| is_mark(line.trim_start())).count();
    assert_eq!(tests.len(), marks, "a test that is not written as these are: {tests:?}");
    tests
}
