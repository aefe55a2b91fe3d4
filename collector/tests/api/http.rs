//! One request that is answered, or the test fails.

use provisioning_parts::Answer;

/// Any request.
#[track_caller]
pub fn send(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    provisioning_parts::send(method, address, path, headers, body).unwrap()
}

/// `GET`.
#[track_caller]
pub fn get(address: &str, path: &str) -> Answer {
    send("GET", address, path, &[], b"")
}

/// `POST` of a form.
#[track_caller]
pub fn post_form(address: &str, path: &str, form: &str) -> Answer {
    send("POST", address, path, &[("Content-Type", "application/x-www-form-urlencoded")], form.as_bytes())
}
