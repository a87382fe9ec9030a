//! What each program here prints: what the library handed it, as one JSON object a line.

use serde_json::json;

pub fn say(name: &str, data: &str, id: Option<&str>) {
    let name = if name.is_empty() { "message" } else { name };
    println!("{}", json!({"name": name, "data": data, "id": id}));
}

/// The address that the program was given.
pub fn url() -> String {
    std::env::args().nth(1).expect("an address")
}
