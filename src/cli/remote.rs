//! How a command reaches a server on another machine: its API, with a token.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::remote::Remote;
use crate::net::client::{ClientParts, HttpClient};
use crate::net::message::{Method, Policy, Request};

use super::complain;
use super::reach::{CommandError, block_on};

/// The largest answer.
const MAX_ANSWER: usize = 1 << 20;

/// Reads from the API. Redirects are not followed, so that the token goes nowhere else.
///
/// # Errors
/// What the server refuses, or that it does not answer.
pub fn get<T: DeserializeOwned>(remote: &Remote, path: &str) -> Result<T, CommandError> {
    if remote.is_open_to_listeners() {
        complain("the token crosses the network unencrypted; use https");
    }
    let request = Request::new(Policy::Trusted, Method::Get, format!("{}{path}", remote.url))
        .header("authorization", format!("Bearer {}", remote.token))
        .header("accept", "application/json");
    let (status, text) = block_on(async {
        let client = HttpClient::new(ClientParts::default());
        let silent =
            |error: crate::net::error::NetError| CommandError::Unreachable(error.to_string());
        let response = client.request(request).await.map_err(silent)?;
        let status = response.status;
        let (body, _) = response.body.beginning(MAX_ANSWER).await.map_err(silent)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    })?;
    if (200..300).contains(&status) {
        return serde_json::from_str(&text)
            .map_err(|_| CommandError::Failed(format!("{} is no HQ", remote.url)));
    }
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let detail = problem["detail"].as_str().map(str::to_owned);
    let words = detail.unwrap_or_else(|| format!("{} answered with {status}", remote.url));
    Err(CommandError::Refused(words))
}
