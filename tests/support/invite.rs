//! Invitations: create and accept.

use reqwest::StatusCode;
use serde_json::Value;

use super::hq::{Person, Reply};

/// Creates an invitation; returns its path.
pub async fn invite(by: &Person, body: &Value) -> String {
    let made = by.post("/api/v1/invites", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let link = made.json()["link"].as_str().expect("a link").to_owned();
    link[link.find("/join").expect("the page")..].to_owned()
}

/// A query field of the link.
pub fn field<'a>(link: &'a str, name: &str) -> &'a str {
    let at = link.find(&format!("{name}=")).expect("the field") + name.len() + 1;
    link[at..].split('&').next().expect("a value")
}

/// Accepts an invitation with an existing session.
pub async fn accept(person: &Person, link: &str) -> Reply {
    person.form("/join", &[("in", field(link, "in")), ("token", field(link, "token"))]).await
}

/// Accepts an invitation as a new person: name, mail address and password.
pub async fn join(person: &Person, link: &str, who: (&str, &str, &str)) -> Reply {
    let form = [
        ("in", field(link, "in")),
        ("token", field(link, "token")),
        ("name", who.0),
        ("email", who.1),
        ("password", who.2),
    ];
    person.form("/join", &form).await
}
