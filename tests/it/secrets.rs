//! All output of a whole run is searched for secrets by `tests/scan_log.py`, which `.ci/run` calls after the tests. Here:
//! that it finds what is planted, and that what the binary puts out on its own is clean at every level.

use std::path::Path;
use std::process::Command;

fn scan(arguments: &[&Path]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scan_log.py");
    let output = Command::new("python3").arg(script).args(arguments).output().expect("Python 3");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_scan_finds_a_secret_in_each_of_its_forms() {
    let (ok, said) = scan(&[Path::new("--self-test")]);
    assert!(ok, "{said}");
}

#[test]
fn the_scan_of_nothing_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ok, said) = scan(&[folder.path()]);
    assert!(!ok && said.contains("the run has kept nothing"), "{said}");
    std::fs::write(folder.path().join("secrets.jsonl"), "\"a-secret-of-nobody\"\n").expect("written");
    let (ok, said) = scan(&[folder.path()]);
    assert!(!ok && said.contains("this scan sees nothing"), "{said}");
}
