//! Invitations: made through the API, and followed.

use reqwest::StatusCode;
use serde_json::Value;

use super::hq::{Person, Reply};

/// Makes an invitation; gives its path on this server.
pub async fn invite(by: &Person, body: &Value) -> String {
    let made = by.post("/api/v1/invites", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let link = made.json()["link"].as_str().expect("a link").to_owned();
    link[link.find("/join").expect("the page")..].to_owned()
}

/// A field of the link.
pub fn field<'a>(link: &'a str, name: &str) -> &'a str {
    let at = link.find(&format!("{name}=")).expect("the field") + name.len() + 1;
    link[at..].split('&').next().expect("a value")
}

/// Follows a link as somebody who is signed in.
pub async fn accept(person: &Person, link: &str) -> Reply {
    person.form("/join", &[("in", field(link, "in")), ("token", field(link, "token"))]).await
}

/// Follows a link and fills in the form of somebody new: name, address and password.
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
