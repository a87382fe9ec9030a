//! Tests that count what the whole process holds, and so need one without other tests.

use std::process::Command;

/// Set in the process of a test that runs alone.
const ALONE: &str = "CALLOUT_TEST_ALONE";

/// True in a process in which the test of this name (`http::ending::…`) runs alone. Elsewhere, it starts that
/// process, waits for it, fails if it fails, and is false.
pub fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().expect("the tests' program"));
    let output = command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
    false
}
