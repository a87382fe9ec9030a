//! Applications that sign tickets and JWTs themselves: the programs of `examples/tickets` in Python, Node and PHP.

use crate::support::{Browser, Program, publish, request};
use serde_json::json;
use std::fs;
use std::process::Command;

const CONFIG: &str = r#"
[[allow]]
anonymous = true
publish = ["*"]

[[token]]
name = "shop"
secret_file = "shop.token"
may = ["tickets"]

[tickets]
key_files = ["text.key", "binary.key"]

[[jwt]]
hs256_file = "text.key"
audience = "callout"
"#;

#[test]
fn what_an_application_signs_is_taken_and_taken_back() {
    let folder = std::env::temp_dir().join(format!("callout-signing-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("callout.toml"), CONFIG).unwrap();
    fs::write(folder.join("shop.token"), "secret-of-shop").unwrap();
    fs::write(folder.join("text.key"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(folder.join("binary.key"), (100..180).collect::<Vec<u8>>()).unwrap();
    let program = Program::serve(&["--config", folder.join("callout.toml").to_str().unwrap()]);
    for (interpreter, script) in [("python3", "sign.py"), ("node", "sign.mjs"), ("php", "sign.php")] {
        let script = format!("{}/examples/tickets/{script}", env!("CARGO_MANIFEST_DIR"));
        for (kind, key) in [("ticket", "text.key"), ("ticket", "binary.key"), ("jwt", "text.key")] {
            let mut command = Command::new(interpreter);
            command.args([&*script, kind, folder.join(key).to_str().unwrap(), "änn", "rooms/*", "größe"]);
            let Ok(output) = command.output() else {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{interpreter} is not installed");
                println!("skipped: {interpreter} is not installed");
                continue;
            };
            let signed = String::from_utf8(output.stdout).unwrap().trim().to_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for topic in ["rooms/1", "gr%C3%B6%C3%9Fe"] {
                let mut browser = Browser::open(program.address, &format!("/topics/{topic}?ticket={signed}"));
                publish(program.address, &format!("/topics/{topic}"), "hi");
                assert_eq!(browser.next().data, "hi", "{interpreter} {kind} {key}");
            }
            let mut browser = Browser::open(program.address, &format!("/topics/rooms/1?ticket={signed}"));
            let head = "POST /revoke HTTP/1.1\r\nAuthorization: Bearer secret-of-shop";
            assert_eq!(request(program.address, head, json!({ "user": "änn" }).to_string()).status, 200);
            assert!(browser.next_named("unauthorized").data.contains("was taken back"));
        }
    }
    fs::remove_dir_all(folder).unwrap();
}
