//! Determines how long a server wants to be left alone, in all known forms: headers, error bodies, error messages.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use kernel::Timestamp;
use net::message::Headers;
use net::retry;

/// Pause after an exhausted daily quota, whose reset time is not reported.
const DAY_QUOTA: Duration = Duration::from_secs(3_600);
/// Phrases before a duration in error messages.
const BEFORE: [&str; 4] = ["try again in ", "retry in ", "retry after ", "try again after "];
/// Unit words and their abbreviations.
const UNITS: [(&str, &str); 5] =
    [("milli", "ms"), ("sec", "s"), ("min", "m"), ("hour", "h"), ("day", "d")];

/// The pause requested in the response to a refused request.
pub(super) fn requested(
    status: u16,
    headers: &Headers,
    body: &[u8],
    now: Timestamp,
) -> Option<Duration> {
    let exact = headers.get("retry-after-ms").and_then(retry::retry_after_ms);
    let pause = exact.or_else(|| retry::retry_after(headers.get("retry-after")?, now));
    if pause.is_some() || !matches!(status, 402 | 403 | 429 | 503 | 529) {
        return pause;
    }
    in_body(body, now).or_else(|| spent(headers, now))
}

/// The pause in an error body.
fn in_body(body: &[u8], now: Timestamp) -> Option<Duration> {
    let json: Value = serde_json::from_slice(body).ok()?; // ok: a body that is not JSON requests no pause
    // Google's compatible server wraps the object in a list.
    let json = json.get(0).unwrap_or(&json);
    let error = json.get("error").unwrap_or(json);
    let google = error.get("details").and_then(Value::as_array);
    if let Some(pause) = google.and_then(|details| of_google(details)) {
        return Some(pause);
    }
    // Subscriptions report when their window resets.
    if let Some(seconds) = error.get("resets_in_seconds").and_then(Value::as_u64) {
        return Some(Duration::from_secs(seconds));
    }
    if let Some(at) = error.get("resets_at").and_then(Value::as_i64) {
        return until(at, now);
    }
    // A router passes on the vendor's headers.
    let passed = error.get("metadata").and_then(|m| m.get("headers")?.as_object());
    if let Some(passed) = passed {
        let mut headers = Headers::new();
        for (name, value) in passed {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            headers.add(name.clone(), text);
        }
        let pause = spent(&headers, now);
        if pause.is_some() {
            return pause;
        }
    }
    in_words(error.as_str().or_else(|| error.get("message")?.as_str())?)
}

fn of_google(details: &[Value]) -> Option<Duration> {
    let by_day = details.iter().filter_map(|d| d.get("violations")?.as_array()).flatten();
    if by_day.filter_map(|v| v.get("quotaId")?.as_str()).any(|id| id.contains("PerDay")) {
        return Some(DAY_QUOTA);
    }
    span(details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?)
}

/// When the exhausted limits reset, according to the headers.
fn spent(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let is_spent = |name: &str| headers.get(name).is_some_and(|left| left.trim() == "0");
    let mut longest: Option<Duration> = None;
    let mut add = |pause: Option<Duration>| longest = longest.max(pause);
    for kind in ["requests", "tokens", "input-tokens", "output-tokens"] {
        if is_spent(&format!("anthropic-ratelimit-{kind}-remaining")) {
            let at = headers.get(&format!("anthropic-ratelimit-{kind}-reset"));
            add(at.and_then(|at| moment(at, now)));
        }
        if is_spent(&format!("x-ratelimit-remaining-{kind}")) {
            let left = headers.get(&format!("x-ratelimit-reset-{kind}"));
            add(left.and_then(|left| moment(left, now)));
        }
    }
    if headers.get("anthropic-ratelimit-unified-status").is_some_and(|word| word == "rejected") {
        add(headers.get("anthropic-ratelimit-unified-reset").and_then(|at| moment(at, now)));
    }
    if is_spent("x-ratelimit-remaining") {
        add(headers.get("x-ratelimit-reset").and_then(|at| moment(at, now)));
    }
    longest
}

/// The time until a moment given as a duration, seconds, a date, or seconds or milliseconds since 1970.
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Some(span) = span(text) {
        return Some(span);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return between(now, at);
    }
    let number: f64 = text.parse().ok()?; // ok: other text is no moment
    match number {
        n if 1e12 <= n => until((n / 1_000.0) as i64, now),
        n if 1e9 <= n => until(n as i64, now),
        n => Duration::try_from_secs_f64(n).ok(), // ok: a negative number is no moment
    }
}

/// The time until a moment in seconds since 1970.
fn until(at: i64, now: Timestamp) -> Option<Duration> {
    between(now, Timestamp::from_second(at).ok()?) // ok: an out-of-range year is no moment
}

fn between(now: Timestamp, at: Timestamp) -> Option<Duration> {
    let left = at.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(left).ok() // ok: it is not negative
}

/// The pause in an error message: "try again in 1m30s", "retry after 20 seconds".
pub(super) fn in_words(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let at = BEFORE.iter().find_map(|words| Some(lower.find(words)? + words.len()))?;
    let mut words = lower[at..].split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',', ';', ')', '!']);
    if let Some(span) = span(first) {
        return Some(span);
    }
    let unit = words.next()?;
    let (_, sign) = UNITS.iter().find(|(word, _)| unit.starts_with(word))?;
    span(&format!("{first}{sign}"))
}

/// Parses a duration such as `31.5s`, `6m0s`, `120ms`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?; // ok: other text is no duration
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok() // ok: an absurdly long duration is ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T08:00:00Z".parse().expect("a moment")
    }

    fn with(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        pairs.iter().for_each(|(name, value)| headers.add(*name, *value));
        headers
    }

    fn pause_ms(pairs: &[(&str, &str)], body: &str) -> Option<u64> {
        let pause = requested(429, &with(pairs), body.as_bytes(), now())?;
        Some(u64::try_from(pause.as_millis()).expect("no age of the world"))
    }

    #[test]
    fn the_pause_in_a_body_is_read() {
        let body =
            |details: &str| format!("[{{\"error\":{{\"code\":429,\"details\":{details}}}}}]");
        let short = body(r#"[{"@type":"x/google.rpc.Help"},{"retryDelay":"31.5s"}]"#);
        assert_eq!(pause_ms(&[], &short), Some(31_500));
        let day =
            body(r#"[{"retryDelay":"3s"},{"violations":[{"quotaId":"RequestsPerDayPerModel"}]}]"#);
        assert_eq!(pause_ms(&[], &day), Some(3_600_000));
        let window = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":7200}}"#;
        assert_eq!(pause_ms(&[], window), Some(7_200_000));
        let at = now().as_second() + 60;
        let at = format!(r#"{{"error":{{"type":"usage_limit_reached","resets_at":{at}}}}}"#);
        assert_eq!(pause_ms(&[], &at), Some(60_000));
        let reset = (now().as_second() + 9) * 1_000;
        let router = format!(
            r#"{{"error":{{"code":429,"message":"slow","metadata":{{"headers":{{"X-RateLimit-Remaining":"0","X-RateLimit-Reset":"{reset}"}}}}}}}}"#
        );
        assert_eq!(pause_ms(&[], &router), Some(9_000));
        assert_eq!(pause_ms(&[], "{\"error\":\"no\"}"), None);
        assert_eq!(pause_ms(&[], "no"), None);
    }

    #[test]
    fn the_pause_in_words_is_read() {
        for (words, ms) in [
            ("Rate limit reached. Please try again in 1.5s. Visit our page", Some(1_500)),
            ("Please try again in 6m0s.", Some(360_000)),
            ("Please retry in 120ms.", Some(120)),
            ("Try again in 2 hours", Some(7_200_000)),
            ("retry after 20 seconds", Some(20_000)),
            ("try again in a moment", None),
            ("try again in", None),
            ("try again", None),
        ] {
            assert_eq!(in_words(words).map(|d| d.as_millis()), ms, "{words}");
        }
    }

    #[test]
    fn limits_of_which_nothing_is_left_say_when_they_begin_anew() {
        let of = |pairs: &[(&str, &str)]| pause_ms(pairs, "");
        assert_eq!(of(&[("retry-after", "7"), ("x-ratelimit-remaining-tokens", "0")]), Some(7_000));
        assert_eq!(
            of(&[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1m2s"),
                ("x-ratelimit-remaining-tokens", "120"),
                ("x-ratelimit-reset-tokens", "9h"),
            ]),
            Some(62_000)
        );
        assert_eq!(
            of(&[
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T08:00:30Z"),
            ]),
            Some(30_000)
        );
        let at = (now().as_second() + 3_600).to_string();
        assert_eq!(
            of(&[
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("anthropic-ratelimit-unified-reset", &at),
            ]),
            Some(3_600_000)
        );
        assert_eq!(of(&[("x-ratelimit-reset-requests", "1s")]), None, "there is something left");
        let other = with(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")]);
        assert_eq!(requested(500, &other, b"", now()), None, "a failure of its own is no limit");
        assert_eq!(requested(429, &other, b"", now()), Some(Duration::from_secs(5)));
    }
}
