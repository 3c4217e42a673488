//! Rate limit of the API.

use std::time::Duration;

use app::limits::{Left, Rate};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Caller, Door, Key, Stop};

/// Counts a call of the API.
pub(super) fn api_limit(door: &Door, caller: &Caller) -> Result<(Left, Rate), Stop> {
    let limits = &door.app.config.limits;
    let rate = Rate {
        amount: limits.api_per_minute,
        per: Duration::from_secs(60),
        burst: limits.api_burst,
    };
    let who = match caller.key {
        Key::Token(id) => id.to_string(),
        _ => caller.account.id.to_string(),
    };
    let taken = door.app.limiter.take("api", &who, rate, door.app.clock.now_ms());
    taken.map(|left| (left, rate)).map_err(|wait| Stop::Wait("API calls", wait))
}

/// States the limit and what is left of it.
pub(super) fn rate_headers(headers: &mut HeaderMap, left: Left, rate: Rate) {
    if rate.amount == 0 {
        return;
    }
    let policy = format!("\"api\";q={};w={}", rate.amount, rate.per.as_secs());
    let now = format!("\"api\";r={};t={}", left.remaining, left.reset.as_secs());
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
