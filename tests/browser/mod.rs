//! Has a browser show a page, scripts and all.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The document that the browser makes of a page, with this behind the `#` of its address; `None` where there is no
/// browser, which is said.
pub(crate) fn shown(name: &str, page: &str, address: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("html");
    fs::write(&file, page).unwrap();
    let url = format!("file://{}#{address}", file.display());
    let profile = format!("--user-data-dir={}", file.with_extension("profile").display());
    let options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"];
    for browser in ["chromium", "chromium-browser", "google-chrome"] {
        if let Ok(output) = Command::new(browser).args(options).args([&profile, &url]).output() {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !error.contains("Uncaught"), "{error}");
            return Some(String::from_utf8(output.stdout).unwrap());
        }
    }
    println!("skipped: no chromium installed");
    None
}
