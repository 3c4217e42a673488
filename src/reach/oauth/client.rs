//! The OAuth client at an authorization server: one that people registered, else HQ's own Client ID Metadata Document,
//! else dynamic registration (RFC 7591).
//!
//! Registered clients have a redirect address for each issuer. An issuer that names itself in no answer (RFC 9207) can
//! therefore not pass off the code of another one as its own.

use app::App;
use providers::oauth::tokens::Hidden;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::discovery::Issuer;
use super::wire::{Fault, Wire};
use crate::names;

/// Path of the redirect address of the document's client. Registered clients have one below it for each issuer.
pub const CALLBACK: &str = "/oauth/callback";
/// Path of the metadata document.
pub const DOCUMENT: &str = "/oauth/client.json";
const NAME: &str = "HQ";
const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
/// Maximum length of an id or a secret, in bytes.
const MAX_LENGTH: usize = 4_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub id: String,
    pub secret: Option<Hidden>,
    /// The secret is sent in a header, not in the form.
    pub is_basic: bool,
    pub redirect: String,
    /// From dynamic registration, which can be repeated.
    pub is_registered: bool,
    /// End of the secret, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

/// A client that people registered.
#[derive(Clone, Debug)]
pub struct Entered {
    pub id: String,
    pub secret: Option<Hidden>,
}

/// Existing clients at an authorization server.
pub struct Known {
    pub entered: Option<Entered>,
    pub known: Option<Client>,
}

/// Redirect address of a registered client.
fn redirect_of(app: &App, issuer: &str) -> String {
    format!("{}/{}", redirect(app), &names::hex(issuer)[..16])
}

/// Redirect address of the document's client.
fn redirect(app: &App) -> String {
    let local = || format!("http://127.0.0.1:{}", app.config.listen.port());
    let origin = app.config.public_url.clone().unwrap_or_else(local);
    format!("{}{CALLBACK}", origin.trim_end_matches('/'))
}

/// Address of the metadata document; `None` without a public address that has https.
fn document_url(app: &App) -> Option<String> {
    let origin = app.config.public_url.as_deref().filter(|_| app.config.is_https())?;
    Some(format!("{}{DOCUMENT}", origin.trim_end_matches('/')))
}

/// HQ's Client ID Metadata Document; `None` without a public address that has https.
#[must_use]
pub fn document(app: &App) -> Option<Value> {
    let mut document = described(&redirect(app), "none");
    document["client_id"] = json!(document_url(app)?);
    document["client_uri"] = json!(app.config.public_url);
    Some(document)
}

fn described(redirect: &str, method: &str) -> Value {
    let kind = if redirect.starts_with("https://") { "web" } else { "native" };
    json!({
        "client_name": NAME,
        "redirect_uris": [redirect],
        "grant_types": GRANT_TYPES,
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": kind,
    })
}

/// Chooses or registers the client.
pub async fn choose(
    app: &App,
    wire: &Wire,
    issuer: &Issuer,
    Known { entered, known }: Known,
) -> Result<Client, Fault> {
    let redirect = redirect_of(app, &issuer.issuer);
    let takes = |method: &str| issuer.methods.iter().any(|one| one == method);
    if let Some(Entered { id, secret }) = entered {
        let is_basic = takes("client_secret_basic") || !takes("client_secret_post");
        return Ok(Client { id, secret, is_basic, redirect, is_registered: false, until_ms: None });
    }
    // All issuers read the same document, so only an answer that names its issuer is certain to be from it.
    if let Some(id) = document_url(app).filter(|_| issuer.reads_documents && issuer.has_iss) {
        let (secret, is_basic, redirect) = (None, false, self::redirect(app));
        return Ok(Client { id, secret, is_basic, redirect, is_registered: false, until_ms: None });
    }
    let now_ms = app.clock.now_ms();
    let is_good = |client: &Client| {
        let is_current = client.until_ms.is_none_or(|until| now_ms < until);
        client.is_registered && client.redirect == redirect && is_current
    };
    if let Some(client) = known.filter(is_good) {
        return Ok(client);
    }
    let Some(endpoint) = &issuer.registration else {
        let text = "the authorization server registers no clients; register HQ there manually and enter the client";
        return Err(Fault::Failed(format!("{text}. Its redirect address is {redirect}")));
    };
    let method = match issuer.methods.first() {
        Some(_) if takes("none") => "none",
        // Some servers read only forms when tokens are withdrawn.
        Some(_) if takes("client_secret_post") => "client_secret_post",
        Some(_) if takes("client_secret_basic") => "client_secret_basic",
        _ => "none",
    };
    let answer = wire.json(endpoint, &described(&redirect, method)).await?;
    registered(&answer, method, redirect)
}

fn registered(answer: &Value, method: &str, redirect: String) -> Result<Client, Fault> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits = |text: &String| text.len() <= MAX_LENGTH && !text.chars().any(char::is_control);
    let (id, secret, own) =
        (text("client_id"), text("client_secret"), text("token_endpoint_auth_method"));
    if id.is_empty() || !fits(&id) || !fits(&secret) {
        return Err(Fault::Failed("the registration has no client id".to_owned()));
    }
    let method = if own.is_empty() { method } else { own.as_str() };
    let secret = Some(secret).filter(|secret| !secret.is_empty() && method != "none");
    let until = answer.get("client_secret_expires_at").and_then(Value::as_i64);
    Ok(Client {
        id,
        is_basic: method != "client_secret_post",
        secret: secret.map(Hidden::new),
        redirect,
        is_registered: true,
        // 0 means that it never ends.
        until_ms: until.filter(|until| 0 < *until).and_then(|until| until.checked_mul(1000)),
    })
}
