//! Rate limit of the API.

use std::time::Duration;

use app::App;
use app::limits::{Left, Rate};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Caller, Door, Key, Stop};

/// Counts a call of the API.
pub(super) fn api_limit(door: &Door, caller: &Caller) -> Result<(Left, Rate), Stop> {
    take(&door.app, caller).map_err(|wait| Stop::Wait("API calls", wait))
}

/// Counts a further call in a request that has several. The request itself is the first.
///
/// # Errors
/// The time to wait, if there were too many.
pub fn count_further(app: &App, caller: &Caller) -> Result<(), Duration> {
    match caller.key {
        Key::Socket(_) => Ok(()),
        _ => take(app, caller).map(|_| ()),
    }
}

fn take(app: &App, caller: &Caller) -> Result<(Left, Rate), Duration> {
    let limits = &app.config.limits;
    let rate = Rate {
        amount: limits.api_per_minute,
        per: Duration::from_secs(60),
        burst: limits.api_burst,
    };
    let who = match caller.key {
        Key::Token(id) => id.to_string(),
        _ => caller.account.id.to_string(),
    };
    app.limiter.take("api", &who, rate, app.clock.now_ms()).map(|left| (left, rate))
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
