//! OAuth tokens: parsing, lifetime, and the account they belong to.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{AuthError, Failure};
use kernel::Timestamp;
use kernel::time::from_ms;

/// Maximum lifetime accepted from a vendor, in seconds.
const LONGEST: i64 = 400 * 86_400;
/// How long before its end a token is refreshed, in milliseconds; earlier for short-lived ones.
const AHEAD: i64 = 5 * 60 * 1000;
/// Maximum token length.
const MAX_TOKEN: usize = 32 * 1024;

/// A secret text: hidden from debug output and wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret text. Use it immediately and do not store it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.reveal())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

/// A lifetime by HQ's clock: from receipt, for the duration given by the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Receipt, in milliseconds since 1970.
    pub from: i64,
    /// End, in milliseconds since 1970; `None` if unknown.
    pub until: Option<i64>,
}

impl Life {
    /// From now for `seconds`.
    #[must_use]
    pub fn of(now_ms: i64, seconds: Option<i64>) -> Self {
        let until = seconds.map(|seconds| now_ms + seconds.clamp(0, LONGEST) * 1000);
        Self { from: now_ms, until }
    }

    /// Returns `true` until the end.
    #[must_use]
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.until.is_none_or(|until| now_ms < until)
    }

    /// Returns `true` if no refresh is due. Returns `false` if the clock was set back, because the age is then unknown.
    #[must_use]
    pub fn is_fresh(&self, now_ms: i64) -> bool {
        let Some(until) = self.until else { return true };
        let ahead = AHEAD.min((until - self.from) / 5);
        self.from <= now_ms && now_ms < until - ahead
    }

    /// Returns `true` if the interval is plausible.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.until.is_none_or(|until| (1..=LONGEST * 1000).contains(&(until - self.from)))
    }

    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        self.until.map(from_ms)
    }
}

/// A short-lived token for calls, where the vendor requires one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub token: Hidden,
    /// Lifetime of the token.
    pub life: Life,
    /// API base URL for this account, if the vendor gives one.
    pub base: Option<String>,
}

/// Result of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Token for calls, or for obtaining a pass.
    pub access: Hidden,
    /// Lifetime of the access token.
    pub life: Life,
    /// Refresh token. Some vendors rotate it on each use.
    pub refresh: Option<Hidden>,
    /// The vendor's account id.
    pub account: Option<String>,
    /// Account name for people.
    pub label: Option<String>,
    /// Short-lived token, if there is one.
    pub pass: Option<Pass>,
}

impl Tokens {
    /// Parses a token response. Missing fields keep their values from `before`.
    ///
    /// # Errors
    /// If there is no usable token.
    pub fn read(answer: &Value, now_ms: i64, before: Option<&Tokens>) -> Result<Tokens, AuthError> {
        let access = secret(answer, "access_token")
            .ok_or_else(|| AuthError::new(Failure::Passing, "the response has no token"))?;
        let id = text(answer, "id_token").map_or(Value::Null, |id| claims(&id));
        let own = claims(access.reveal());
        let about = |claims: &Value| {
            claims.get("https://api.openai.com/auth")?.get("chatgpt_account_id").cloned()
        };
        let account = about(&id).or_else(|| about(&own));
        let account = account.and_then(|id| id.as_str().map(str::to_owned));
        let label = text(&id, "email").or_else(|| text(&id, "name"));
        let life = Life::of(now_ms, seconds(answer, "expires_in")?.or_else(|| span(&own)));
        Ok(Tokens {
            access,
            life,
            refresh: secret(answer, "refresh_token")
                .or_else(|| before.and_then(|tokens| tokens.refresh.clone())),
            account: account.or_else(|| before.and_then(|tokens| tokens.account.clone())),
            label: label.or_else(|| before.and_then(|tokens| tokens.label.clone())),
            pass: before.and_then(|tokens| tokens.pass.clone()),
        })
    }

    /// Lifetime of the token used for calls.
    #[must_use]
    pub fn call_life(&self) -> Life {
        self.pass.as_ref().map_or(self.life, |pass| pass.life)
    }

    /// All secrets, each with a name.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &str)> {
        let mut all = vec![("access", self.access.reveal())];
        all.extend(self.refresh.as_ref().map(|token| ("refresh", token.reveal())));
        all.extend(self.pass.as_ref().map(|pass| ("pass", pass.token.reveal())));
        all
    }
}

impl Pass {
    /// Parses a pass response. The lifetime is derived from the refresh interval, which does not depend on the vendor's
    /// clock.
    ///
    /// # Errors
    /// If there is no usable token.
    pub fn read(answer: &Value, now_ms: i64) -> Result<Pass, AuthError> {
        let token = secret(answer, "token")
            .ok_or_else(|| AuthError::new(Failure::Passing, "the response has no token"))?;
        let soon = seconds(answer, "refresh_in")?;
        let end = answer.get("expires_at").and_then(Value::as_i64);
        let left = end.map(|end| end - now_ms / 1000).filter(|left| 0 < *left);
        let life = Life::of(now_ms, soon.or(left));
        let base = answer.get("endpoints").and_then(|ends| text(ends, "api"));
        Ok(Pass { token, life, base })
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A token must consist of characters allowed in a header.
fn secret(value: &Value, key: &str) -> Option<Hidden> {
    let text = Hidden::new(text(value, key)?);
    let fits = text.0.len() <= MAX_TOKEN && text.0.chars().all(|c| c.is_ascii_graphic());
    fits.then_some(text)
}

/// A number of seconds, given as a number or text.
fn seconds(value: &Value, key: &str) -> Result<Option<i64>, AuthError> {
    let Some(given) = value.get(key).filter(|given| !given.is_null()) else { return Ok(None) };
    let whole = given.as_i64().or_else(|| given.as_f64().map(|n| n as i64));
    let number = whole.or_else(|| given.as_str()?.trim().parse().ok()); // ok: reported below
    match number {
        Some(number) if 0 < number => Ok(Some(number)),
        _ => Err(AuthError::new(Failure::Passing, "the response has an expired token")),
    }
}

/// Claims of a JWT, if it can be decoded. The signature is not verified: the token came from its issuer.
fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap_or("");
    let bytes = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

/// Lifetime according to a token's own claims, independent of the clock.
fn span(claims: &Value) -> Option<i64> {
    let at = |key: &str| claims.get(key)?.as_i64();
    Some(at("exp")? - at("iat")?).filter(|span| 0 < *span)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn jwt(claims: &Value) -> String {
        format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn all_that_a_maker_gives_is_read() {
        let id = jwt(&json!({
            "email": "mira@marlow.example",
            "https://api.openai.com/auth": { "chatgpt_account_id": "acc-1" },
        }));
        let answer = json!({
            "access_token": "at", "refresh_token": "rt", "id_token": id, "expires_in": 3_600,
        });
        let tokens = Tokens::read(&answer, NOW, None).expect("tokens");
        assert_eq!((tokens.access.reveal(), tokens.account.as_deref()), ("at", Some("acc-1")));
        assert_eq!(tokens.label.as_deref(), Some("mira@marlow.example"));
        assert_eq!(tokens.life, Life { from: NOW, until: Some(NOW + 3_600_000) });
        assert_eq!(tokens.secrets(), [("access", "at"), ("refresh", "rt")]);

        let next = Tokens::read(&json!({ "access_token": "at2" }), NOW + 5, Some(&tokens));
        let next = next.expect("tokens");
        assert_eq!(next.refresh, tokens.refresh, "what is not rotated stays");
        assert_eq!((next.account, next.life.until), (tokens.account.clone(), None));
        assert!(!format!("{tokens:?}").contains("\"rt\""), "{tokens:?}");
    }

    #[test]
    fn a_token_tells_its_own_span_whatever_the_time_is() {
        let token = jwt(&json!({ "iat": 50, "exp": 650 }));
        let tokens = Tokens::read(&json!({ "access_token": token }), NOW, None).expect("tokens");
        assert_eq!(tokens.life.until, Some(NOW + 600_000));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for answer in [
            json!({}),
            json!({ "access_token": "" }),
            json!({ "access_token": "two\nlines" }),
            json!({ "access_token": "a", "expires_in": 0 }),
            json!({ "access_token": "a", "expires_in": "soon" }),
            json!([1]),
            json!("text"),
        ] {
            let refused = Tokens::read(&answer, NOW, None).expect_err("no tokens");
            assert_eq!(refused.failure, Failure::Passing, "{answer}");
        }
        let text = Tokens::read(&json!({ "access_token": "a", "expires_in": "60" }), NOW, None);
        assert_eq!(text.expect("tokens").life.until, Some(NOW + 60_000));
    }

    #[test]
    fn a_pass_says_where_and_how_long() {
        let answer = json!({
            "token": "tid=1;exp=2", "expires_at": 9_999_999_999_i64, "refresh_in": 1_500,
            "endpoints": { "api": "https://api.individual.example" },
        });
        let pass = Pass::read(&answer, NOW).expect("a pass");
        assert_eq!(pass.life.until, Some(NOW + 1_500_000));
        assert_eq!(pass.base.as_deref(), Some("https://api.individual.example"));
        let plain = Pass::read(&json!({ "token": "t", "expires_at": NOW / 1000 + 90 }), NOW);
        assert_eq!(plain.expect("a pass").life.until, Some(NOW + 90_000));
    }

    #[test]
    fn lives_end_ahead_of_their_end_and_clocks_may_jump() {
        let life = Life::of(NOW, Some(3_600));
        assert!(life.is_fresh(NOW) && life.is_sane());
        assert!(!life.is_fresh(NOW + 3_400_000), "renewed ahead");
        assert!(life.is_good(NOW + 3_400_000) && !life.is_good(NOW + 3_600_000));
        assert!(!life.is_fresh(NOW - 1) && life.is_good(NOW - 1), "a clock that was set back");
        let short = Life::of(NOW, Some(60));
        assert!(short.is_fresh(NOW + 47_000) && !short.is_fresh(NOW + 48_000));
        assert!(Life::of(NOW, None).is_fresh(i64::MAX / 2));
        let long = Life::of(NOW, Some(i64::MAX));
        assert_eq!(long.until, Some(NOW + LONGEST * 1000));
        assert!(!Life { from: NOW, until: Some(NOW - 1) }.is_sane());
    }
}
