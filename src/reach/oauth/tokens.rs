//! Requests for tokens, their refresh and revocation (RFC 6749, RFC 7009, RFC 8707).

use providers::oauth::tokens::{Hidden, Tokens};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::Client;
use super::discovery::Issuer;
use super::wire::{Fault, Wire};

/// The tokens of a sign-in, with what their refresh and revocation need. Sealed in the vault as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Nothing of this is sent to anybody else.
    pub issuer: String,
    pub token_endpoint: String,
    pub revocation_endpoint: Option<String>,
    /// Identifier of the server for which the tokens are.
    pub resource: String,
    pub client: Client,
    pub scopes: String,
    pub tokens: Tokens,
}

impl Credentials {
    /// All secrets, each with a name.
    pub fn secrets(&self) -> Vec<(&'static str, &str)> {
        let mut all = self.tokens.secrets();
        all.extend(self.client.secret.as_ref().map(|secret| ("client", secret.reveal())));
        all
    }
}

/// Parameters of the exchange of a code.
pub struct Code<'c> {
    pub code: &'c str,
    pub verifier: &'c Hidden,
    pub resource: &'c str,
    /// The requested scopes, which are granted unless the answer names others.
    pub scopes: &'c str,
}

pub async fn exchange(
    wire: &Wire,
    issuer: &Issuer,
    client: Client,
    code: Code<'_>,
    now_ms: i64,
) -> Result<Credentials, Fault> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.code),
        ("redirect_uri", client.redirect.as_str()),
        ("code_verifier", code.verifier.reveal()),
        ("resource", code.resource),
    ];
    let answer = wire.form(&issuer.token, &form, &client).await?;
    let tokens = read(&answer, now_ms, None)?;
    Ok(Credentials {
        issuer: issuer.issuer.clone(),
        token_endpoint: issuer.token.clone(),
        revocation_endpoint: issuer.revocation.clone(),
        resource: code.resource.to_owned(),
        client,
        scopes: scopes(&answer, code.scopes),
        tokens,
    })
}

/// New tokens for a refresh token.
pub async fn refresh(wire: &Wire, old: &Credentials, now_ms: i64) -> Result<Credentials, Fault> {
    let Some(token) = &old.tokens.refresh else {
        return Err(Fault::Failed("the sign-in can’t be refreshed".to_owned()));
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.reveal()),
        ("resource", old.resource.as_str()),
    ];
    let answer = wire.form(&old.token_endpoint, &form, &old.client).await?;
    let tokens = read(&answer, now_ms, Some(&old.tokens))?;
    let scopes = scopes(&answer, &old.scopes);
    Ok(Credentials { tokens, scopes, ..old.clone() })
}

/// Withdraws both tokens at the issuer. Returns `false` if it offers no revocation.
pub async fn revoke(wire: &Wire, old: &Credentials) -> Result<bool, Fault> {
    let Some(endpoint) = &old.revocation_endpoint else { return Ok(false) };
    let refresh = old.tokens.refresh.as_ref().map(|token| (token, "refresh_token"));
    let all = refresh.into_iter().chain([(&old.tokens.access, "access_token")]);
    for (token, kind) in all {
        let form = [("token", token.reveal()), ("token_type_hint", kind)];
        wire.form(endpoint, &form, &old.client).await?;
    }
    Ok(true)
}

fn read(answer: &Value, now_ms: i64, before: Option<&Tokens>) -> Result<Tokens, Fault> {
    let kind = answer.get("token_type").and_then(Value::as_str).unwrap_or("bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(Fault::Failed("the authorization server has no bearer tokens".to_owned()));
    }
    Tokens::read(answer, now_ms, before).map_err(|error| Fault::Failed(error.to_string()))
}

fn scopes(answer: &Value, usual: &str) -> String {
    let given = answer.get("scope").and_then(Value::as_str).unwrap_or_default().trim();
    let given = if given.is_empty() { usual } else { given };
    kernel::text::cut(given, 2_000).to_owned()
}
