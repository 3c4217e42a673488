//! The requests of an OAuth sign-in, each with one response. The caller stores the results.

use std::time::Duration;

use serde_json::{Value, json};

use super::tokens::{Pass, Tokens};
use super::{AuthError, Client, Failure, Vendor, beside};
use kernel::Clock;
use kernel::text::ellipsis;
use net::client::{Extent, HttpClient};
use net::error::NetError;
use net::message::{Method, Policy, Request};
use net::retry;

/// Maximum size of a response, in bytes.
const MOST: usize = 256 * 1024;
/// Maximum length of a vendor message that is shown.
const LONGEST: usize = 300;
/// Grant type of the device flow (RFC 8628).
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Default lifetime of a code, in seconds.
const CODE_LIFE: u32 = 900;
/// Default polling interval, in seconds.
const PAUSE: u32 = 5;

/// Error codes and their meaning.
const CODES: &[(Failure, &[&str])] = &[
    (Failure::Pending, &["authorization_pending"]),
    (Failure::SlowDown(None), &["slow_down"]),
    (Failure::Denied, &["access_denied", "authorization_declined"]),
    (Failure::Expired, &["expired_token", "token_expired", "code_expired"]),
    (
        Failure::Revoked,
        &[
            "invalid_grant",
            "invalid_token",
            "bad_refresh_token",
            "bad_verification_code",
            "refresh_token_expired",
            "refresh_token_reused",
            "refresh_token_invalidated",
            "token_revoked",
            "incorrect_device_code",
        ],
    ),
    (
        Failure::Refused,
        &[
            "invalid_client",
            "incorrect_client_credentials",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_request",
            "device_flow_disabled",
            "redirect_uri_mismatch",
        ],
    ),
];

/// A device code with the user code that a person types.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// Code used by HQ for polling.
    pub device_code: String,
    /// Code that the person types.
    pub user_code: String,
    pub address: String,
    /// Lifetime of the codes, in seconds.
    pub life: u32,
    /// Polling interval, in seconds.
    pub pause: u32,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(…)")
    }
}

/// OAuth requests to one vendor.
#[derive(Clone, Copy)]
pub struct OauthFlow<'a> {
    pub http: &'a HttpClient,
    /// Clock for token lifetimes.
    pub clock: &'a dyn Clock,
    /// Endpoints and client id.
    pub client: &'a Client,
}

impl OauthFlow<'_> {
    /// Exchanges the code from the browser for tokens.
    ///
    /// # Errors
    /// The vendor's refusal.
    pub async fn exchange(&self, code: &str, verifier: &str) -> Result<Tokens, AuthError> {
        self.redeem(code, verifier, &self.client.endpoints.redirect).await
    }

    async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<Tokens, AuthError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client.id.as_str()),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let answer = self.post(&self.client.endpoints.token, &form, &[code, verifier]).await?;
        Tokens::read(&answer, self.clock.now_ms(), None)
    }

    /// Refreshes tokens.
    ///
    /// # Errors
    /// `Revoked` if the sign-in is no longer valid.
    pub async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, AuthError> {
        let Some(refresh) = &tokens.refresh else {
            return Err(AuthError::new(Failure::Revoked, "the sign-in has expired"));
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.client.id.as_str()),
            ("refresh_token", refresh.reveal()),
        ];
        let hidden: Vec<&str> = tokens.secrets().into_iter().map(|(_, secret)| secret).collect();
        let answer = self.post(&self.client.endpoints.token, &form, &hidden).await?;
        Tokens::read(&answer, self.clock.now_ms(), Some(tokens))
    }

    /// Requests a device code.
    ///
    /// # Errors
    /// The vendor's refusal.
    pub async fn device(&self) -> Result<Device, AuthError> {
        if self.client.vendor == Vendor::ChatGpt {
            return self.openai_device().await;
        }
        let form =
            [("client_id", self.client.id.as_str()), ("scope", self.client.vendor.about().scope)];
        let answer = self.post(self.client.device(), &form, &[]).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("").trim();
        let number = |key: &str, usual: u32| {
            let number = answer.get(key).and_then(Value::as_u64);
            number.and_then(|n| u32::try_from(n).ok()).filter(|n| 0 < *n).unwrap_or(usual)
        };
        let address = [text("verification_uri"), text("verification_url")];
        let address = address.into_iter().find(|address| !address.is_empty()).unwrap_or("");
        let (device_code, user_code) = (text("device_code"), text("user_code"));
        // The address becomes a link on a page.
        let is_link = address.starts_with("https://") || address.starts_with("http://");
        if device_code.is_empty() || user_code.is_empty() || !is_link {
            return Err(AuthError::new(Failure::Passing, "the answer has no code to enter"));
        }
        Ok(Device {
            device_code: device_code.to_owned(),
            user_code: ellipsis(user_code, 40),
            address: address.to_owned(),
            life: number("expires_in", CODE_LIFE).min(24 * 3_600),
            pause: number("interval", PAUSE).min(300),
        })
    }

    /// Polls for tokens after the person has typed the code.
    ///
    /// # Errors
    /// `Pending`, `SlowDown`, `Denied`, `Expired`, or another refusal by the vendor.
    pub async fn poll(&self, device_code: &str) -> Result<Tokens, AuthError> {
        if self.client.vendor == Vendor::ChatGpt {
            return self.openai_poll(device_code).await;
        }
        let form = [
            ("grant_type", DEVICE_GRANT),
            ("client_id", self.client.id.as_str()),
            ("device_code", device_code),
        ];
        let answer = self.post(&self.client.endpoints.token, &form, &[device_code]).await?;
        Tokens::read(&answer, self.clock.now_ms(), None)
    }

    /// OpenAI's own device flow: polling returns an authorization code as a browser would.
    async fn openai_device(&self) -> Result<Device, AuthError> {
        let none = || AuthError::new(Failure::Passing, "the answer has no code to enter");
        let address = self.client.device();
        let body = json!({ "client_id": self.client.id });
        let answer = self.ask(json_post(address, &body), &[]).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("").trim();
        let user_code = [text("user_code"), text("usercode")].into_iter().find(|c| !c.is_empty());
        let (id, user_code) = (text("device_auth_id"), user_code.ok_or_else(none)?);
        if id.is_empty() {
            return Err(none());
        }
        // The interval is a number or a text.
        let pause = answer.get("interval").and_then(|pause| match pause {
            Value::String(text) => text.trim().parse().ok(), // ok: the default interval applies then
            pause => pause.as_u64(),
        });
        let pause = pause.and_then(|n| u32::try_from(n).ok()).filter(|n| 0 < *n).unwrap_or(PAUSE);
        Ok(Device {
            device_code: format!("{user_code}:{id}"),
            user_code: ellipsis(user_code, 40),
            address: at_server(address, "/codex/device").ok_or_else(none)?,
            life: CODE_LIFE,
            pause: pause.min(300),
        })
    }

    async fn openai_poll(&self, device_code: &str) -> Result<Tokens, AuthError> {
        let lost = || AuthError::new(Failure::Expired, "the code is no longer valid");
        let (user_code, id) = device_code.split_once(':').ok_or_else(lost)?;
        let address = self.client.device();
        let polled = beside(address, "token").ok_or_else(lost)?;
        let body = json!({ "device_auth_id": id, "user_code": user_code });
        let answer = self.heard(json_post(&polled, &body), &[id]).await?;
        let found = match answer {
            Heard { status: 200..=299, answer, .. } => answer,
            // Not typed yet, in the vendor's notation.
            Heard { status: 403 | 404, answer, .. } if !is_over(&answer) => {
                return Err(AuthError::new(Failure::Pending, "the code hasn't been entered yet"));
            }
            heard => return Err(heard.failure(&[id])),
        };
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or("");
        let (code, verifier) = (text("authorization_code"), text("code_verifier"));
        if code.is_empty() || verifier.is_empty() {
            return Err(AuthError::new(
                Failure::Passing,
                "the answer has no code to continue with",
            ));
        }
        let redirect = at_server(address, "/deviceauth/callback").ok_or_else(lost)?;
        self.redeem(code, verifier, &redirect).await
    }

    /// Revokes the tokens of a sign-in. Returns `false` if the vendor has no such endpoint.
    ///
    /// # Errors
    /// The vendor's refusal.
    pub async fn revoke(&self, tokens: &Tokens) -> Result<bool, AuthError> {
        let Some(url) = self.client.revoke() else { return Ok(false) };
        let (token, hint) = match &tokens.refresh {
            Some(refresh) => (refresh.reveal(), "refresh_token"),
            None => (tokens.access.reveal(), "access_token"),
        };
        let body = json!({
            "token": token, "token_type_hint": hint, "client_id": self.client.id,
        });
        let heard = self.heard(json_post(&url, &body), &[token]).await?;
        match heard.status {
            200..=299 => Ok(true),
            _ => Err(heard.failure(&[token])),
        }
    }

    /// Exchanges the long-lived token for a short-lived one.
    ///
    /// # Errors
    /// `Revoked` if the long-lived token is no longer valid, `Refused` if the account may not use the models.
    pub async fn pass(&self, tokens: &Tokens) -> Result<Pass, AuthError> {
        let url = self.client.endpoints.exchange.as_str();
        let request = Request::new(Policy::Trusted, Method::Get, url)
            .header("authorization", format!("token {}", tokens.access.reveal()));
        let headers = self.client.headers(None).into_iter();
        let request = headers.fold(request, |request, (name, value)| request.header(&name, value));
        let answer = self.ask(request, &[tokens.access.reveal()]).await?;
        Pass::read(&answer, self.clock.now_ms())
    }

    async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        hidden: &[&str],
    ) -> Result<Value, AuthError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::new(Policy::Trusted, Method::Post, url)
            .body("application/x-www-form-urlencoded", body);
        self.ask(request, hidden).await
    }

    async fn ask(&self, request: Request, hidden: &[&str]) -> Result<Value, AuthError> {
        let heard = self.heard(request, hidden).await?;
        let Heard { status, answer, .. } = &heard;
        let good = (200..300).contains(status);
        let fine = good && answer.get("error").is_none_or(Value::is_null);
        if fine && answer.is_object() {
            return Ok(heard.answer);
        }
        if good && !answer.is_object() {
            let text = "the server sent an unexpected answer; check the address";
            return Err(AuthError::new(Failure::Passing, text));
        }
        Err(heard.failure(hidden))
    }

    /// Sends a request and reads the response, whatever its status.
    async fn heard(&self, request: Request, hidden: &[&str]) -> Result<Heard, AuthError> {
        let request = request.header("accept", "application/json");
        let unheard = |error: NetError| AuthError {
            unheard: true,
            ..AuthError::new(Failure::Passing, clean(&error.to_string(), hidden))
        };
        let response = self.http.request(request).await.map_err(unheard)?;
        let status = response.status;
        let wait = response.headers.get("retry-after");
        let wait = wait.and_then(|value| retry::retry_after(value, self.clock.now()));
        let (body, extent) = response.body.beginning(MOST).await.map_err(unheard)?;
        let answer = match extent {
            Extent::Whole => serde_json::from_slice(&body).unwrap_or(Value::Null),
            Extent::Cut => Value::Null,
        };
        Ok(Heard { status, answer, wait })
    }
}

/// A vendor's response.
struct Heard {
    status: u16,
    /// JSON body; null if it is not JSON.
    answer: Value,
    wait: Option<Duration>,
}

impl Heard {
    fn failure(&self, hidden: &[&str]) -> AuthError {
        let error = failed(self.status, &self.answer);
        let message = clean(&error.message, hidden);
        AuthError { message, retry_after: self.wait, ..error }
    }
}

/// Returns `true` if waiting is useless.
fn is_over(answer: &Value) -> bool {
    let code = error_code(answer);
    let over = [Failure::Denied, Failure::Expired, Failure::Revoked, Failure::Refused];
    CODES.iter().any(|(failure, codes)| over.contains(failure) && codes.contains(&code.as_str()))
}

fn json_post(url: &str, body: &Value) -> Request {
    Request::new(Policy::Trusted, Method::Post, url).body("application/json", body.to_string())
}

/// A path on the server of another URL.
fn at_server(address: &str, path: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?; // ok: an invalid URL has no server
    Some(format!("{}{path}", url.origin().ascii_serialization()))
}

/// The error code, in the known formats.
fn error_code(answer: &Value) -> String {
    let error = answer.get("error").unwrap_or(&Value::Null);
    let text = |key: &str| error.get(key)?.as_str();
    let code = error.as_str().or_else(|| text("code")).or_else(|| text("type"));
    code.unwrap_or_default().to_owned()
}

/// The meaning of an error response.
fn failed(status: u16, answer: &Value) -> AuthError {
    let error = answer.get("error").unwrap_or(&Value::Null);
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let code = error_code(answer);
    let description = text(answer, "error_description")
        .or_else(|| text(error, "message"))
        .or_else(|| text(answer, "message"))
        .or_else(|| text(answer.get("error_details")?, "message"));
    let known = CODES.iter().find(|(_, codes)| codes.contains(&code.as_str()));
    let failure = match (known.map(|(failure, _)| *failure), status) {
        // A busy server says nothing about the sign-in.
        (_, 408 | 425 | 429 | 500..) => Failure::Passing,
        (Some(Failure::SlowDown(_)), _) => {
            let pause = answer.get("interval").and_then(Value::as_u64);
            Failure::SlowDown(pause.and_then(|n| u32::try_from(n).ok()))
        }
        (Some(failure), _) => failure,
        (None, 401) => Failure::Revoked,
        (None, 300..=499) => Failure::Refused,
        (None, _) => Failure::Passing,
    };
    let message = match (description, code.is_empty()) {
        (Some(description), _) => tidy(&description),
        (None, false) => format!("the server answered {status} ({})", tidy(&code)),
        (None, true) => format!("the server answered {status} without a reason"),
    };
    AuthError::new(failure, message)
}

/// Shortens foreign text to one line.
pub(super) fn tidy(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    ellipsis(&words.join(" "), LONGEST)
}

/// The text without secrets.
fn clean(text: &str, hidden: &[&str]) -> String {
    let long = hidden.iter().filter(|secret| 3 < secret.len());
    tidy(&long.fold(text.to_owned(), |text, secret| text.replace(*secret, "…")))
}

/// How long to wait after `failures` consecutive failures.
#[must_use]
pub fn pause(failures: u32, requested: Option<Duration>) -> Duration {
    let own =
        Duration::from_secs(15_u64.saturating_mul(1 << failures.clamp(1, 8).saturating_sub(1)));
    requested.unwrap_or_default().max(own).min(Duration::from_secs(600))
}

#[cfg(test)]
#[path = "flows_tests.rs"]
mod tests;
