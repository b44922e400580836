//! That the library does nothing but compute.
//!
//! Without the standard library there is no clock, file, socket or thread to reach for, so the
//! attribute `#![no_std]` proves most of it, wherever the program of `no-std/` links. What is left
//! is looked for in the sources: state that all machines would share, and code that the compiler
//! does not check.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that would be a way out of the machine.
const FORBIDDEN: [&str; 11] = [
    "static",
    "thread_local",
    "Atomic",
    "OnceCell",
    "OnceLock",
    "LazyLock",
    "RefCell",
    "Mutex",
    "unsafe",
    "extern \"",
    "asm!",
];

/// [CORE-1] [CORE-3]: no standard library, and the linker's proof of it is not undone by a
/// dependency.
#[test]
fn the_library_has_no_standard_library() {
    let root = fs::read_to_string(here().join("src/lib.rs")).unwrap();
    assert!(root.lines().any(|line| line == "#![no_std]"));
    let (before, after) = root.split_once("extern crate std;").unwrap();
    assert!(
        before.ends_with("#[cfg(any(feature = \"std\", test))]\n"),
        "for tests and `Epoch` only"
    );
    assert!(!after.contains("extern crate"));

    let manifest = fs::read_to_string(here().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\nunsafe_code = \"forbid\"\n"));
    assert!(manifest.contains("\ndefault = []\n"));
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    for line in dependencies.lines().take_while(|line| !line.is_empty()) {
        assert!(
            line.contains("default-features = false") || line.contains("optional = true"),
            "{line}"
        );
    }
}

/// [CORE-1] [CORE-3]: what `std` the feature of that name brings is a type, in one place; and
/// there is neither shared state nor unchecked code.
#[test]
fn the_library_reaches_for_nothing() {
    // The explorer is there for tests only.
    let explorer = here().join("src/explorer");
    for file in sources(&here().join("src")) {
        let source = fs::read_to_string(&file).unwrap();
        for line in code(&source).filter(|_| !file.starts_with(&explorer)) {
            let at = file.display();
            for word in FORBIDDEN {
                assert!(!has_word(line, word), "{at}: {line}");
            }
            let pure = file.ends_with("src/time.rs");
            let rest = if pure { line.replace("std::time::Instant", "") } else { line.to_owned() };
            assert!(!rest.contains("std::"), "{at}: {line}");
        }
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of the library that is not a test.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The lines that are compiled into the library: tests stand at the end of a file.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let library = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    library.lines().map(|line| line.split("//").next().unwrap())
}

/// Whether `word` stands in `line` and does not merely end a longer one, or name a lifetime.
fn has_word(line: &str, word: &str) -> bool {
    let inside = |before: char| before.is_alphanumeric() || before == '_' || before == '\'';
    let mut found = line.match_indices(word).map(|(at, _)| &line[..at]);
    found.any(|before| !before.ends_with(inside))
}
