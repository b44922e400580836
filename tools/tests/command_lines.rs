//! What all programs have in common: help, manual pages and completions, made from what reads the command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use asap_tools::{connect, decode, lookup};

type Run = fn(Vec<OsString>, &mut Vec<u8>, &mut Vec<u8>) -> u8;

const PROGRAMS: [(&str, Run); 3] = [
    ("asap-connect", |args, out, err| connect::run(args.into_iter(), io::empty(), out, err)),
    ("asap-decode", |args, out, err| decode::run(args.into_iter(), io::empty(), out, err)),
    ("asap-lookup", |args, out, err| lookup::run(args.into_iter(), out, err)),
];

fn run((name, run): (&str, Run), arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = [name].iter().chain(arguments).map(OsString::from).collect();
    let status = run(arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status, text(out), text(err))
}

/// Every exit status is told, and every option that there is.
#[test]
fn help_tells_the_exit_status() {
    for program in PROGRAMS {
        let (status, out, err) = run(program, &["--help"]);
        assert_eq!((status, &*err), (0, ""));
        assert!(out.contains("Exit status:\n  0  "), "{out}");
        assert!(out.contains("--generate <PAGE>"), "{out}");
        assert_eq!(run(program, &["--version"]).1, format!("{} 0.1.0\n", program.0));
    }
}

/// A manual page has the options and the exit status; completions are such that their shell reads them.
#[test]
fn pages_are_generated() {
    for program in PROGRAMS {
        let (status, man, err) = run(program, &["--generate", "man"]);
        assert_eq!((status, &*err), (0, ""));
        assert!(man.contains(&format!(".TH {} 1", program.0)), "{man}");
        assert!(man.contains("Exit status:") && man.contains("\\-\\-generate"), "{man}");
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let (status, page, err) = run(program, &["--generate", shell]);
            assert_eq!((status, &*err), (0, ""));
            assert!(page.contains(program.0) && page.contains("generate"), "{page}");
            let started =
                Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let Ok(mut reader) = started else {
                println!("not read by {shell}, which is not installed");
                continue;
            };
            reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
            let read = reader.wait_with_output().unwrap();
            assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
        }
        assert_eq!(run(program, &["--generate", "tcsh"]).0, 2);
    }
}
