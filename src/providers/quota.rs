//! Remaining quota of an account per time window, as reported in response headers.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use parking_lot::Mutex;

use super::pause;
use kernel::Timestamp;
use net::message::Headers;

/// Maximum number of windows per response.
const MOST: usize = 12;

/// A quota window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Display name: `5 hours`, `week`.
    pub name: String,
    /// Remaining percentage.
    pub left: u8,
    /// Reset time, if reported.
    pub resets_at: Option<Timestamp>,
}

/// The latest report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub at: Timestamp,
    /// Windows, in the vendor's order.
    pub windows: Vec<Window>,
}

/// Holds the latest report. Shared by all connections to a server.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<Mutex<Option<Reading>>>);

impl Gauge {
    /// The latest report.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        self.0.lock().clone()
    }

    /// Clears the report, because another account may be used.
    pub fn forget(&self) {
        *self.0.lock() = None;
    }

    /// Records the quota in response headers, if any.
    pub(super) fn hear(&self, headers: &Headers, at: Timestamp) {
        let windows = read(headers, at);
        if !windows.is_empty() {
            *self.0.lock() = Some(Reading { at, windows });
        }
    }
}

/// Parses the quota windows in headers.
fn read(headers: &Headers, now: Timestamp) -> Vec<Window> {
    let mut windows = of_chatgpt(headers, now);
    for (name, value) in headers.iter() {
        let name = name.to_ascii_lowercase();
        if let Some(window) = name
            .strip_prefix("anthropic-ratelimit-unified-")
            .and_then(|rest| rest.strip_suffix("-utilization"))
        {
            let share = number(value).map(|share| share * 100.0);
            let reset = headers.get(&format!("anthropic-ratelimit-unified-{window}-reset"));
            windows.extend(share.map(|used| Window {
                name: named(window),
                left: left(used),
                resets_at: reset.and_then(|at| moment(at, now)),
            }));
        }
        if let Some(what) = name.strip_prefix("x-quota-snapshot-") {
            windows.extend(of_copilot(what, value));
        }
    }
    windows.truncate(MOST);
    windows
}

fn of_chatgpt(headers: &Headers, now: Timestamp) -> Vec<Window> {
    let mut windows = Vec::new();
    for kind in ["primary", "secondary"] {
        let header = |what: &str| headers.get(&format!("x-codex-{kind}-{what}"));
        let Some(used) = header("used-percent").and_then(number) else { continue };
        let minutes = header("window-minutes").and_then(number);
        let reset = header("reset-at").or_else(|| header("reset-after-seconds"));
        windows.push(Window {
            name: minutes.map_or_else(|| kind.to_owned(), |minutes| span(minutes as u64)),
            left: left(used),
            resets_at: reset.and_then(|at| moment(at, now)),
        });
    }
    windows
}

/// Parses `ent=300&rem=95.7&rst=2026-12-01T00%3A00%3A00Z`. An unlimited quota is ignored.
fn of_copilot(what: &str, value: &str) -> Option<Window> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(value.as_bytes()).into_owned().collect();
    let of =
        |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if of("ent").and_then(number).is_some_and(|allowed| allowed < 0.0) {
        return None;
    }
    Some(Window {
        name: what.replace(['_', '-'], " "),
        left: left(100.0 - of("rem").and_then(number)?),
        resets_at: of("rst").and_then(|at| at.parse().ok()), // ok: an invalid moment is ignored
    })
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?; // ok: an invalid number is ignored
    number.is_finite().then_some(number)
}

/// Remaining percentage after `used` percent.
fn left(used: f64) -> u8 {
    (100.0 - used).clamp(0.0, 100.0).round() as u8
}

fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let away = pause::moment(text, now).filter(|away| *away < Duration::from_secs(366 * 86_400))?;
    Some(now + SignedDuration::try_from(away).ok()?) // ok: it is no longer than a year
}

/// Display names for `5h` and `7d_opus`.
fn named(window: &str) -> String {
    let (time, rest) = window.split_once('_').unwrap_or((window, ""));
    let digits = time.trim_end_matches(|c: char| !c.is_ascii_digit());
    let minutes = match &time[digits.len()..] {
        "h" => 60,
        "d" => 24 * 60,
        _ => return window.replace(['_', '-'], " "),
    };
    let Ok(count) = digits.parse::<u64>() else { return window.replace(['_', '-'], " ") };
    let span = span(count.saturating_mul(minutes));
    format!("{span} {}", rest.replace('_', " ")).trim_end().to_owned()
}

/// A duration in whole units.
fn span(minutes: u64) -> String {
    let (count, unit) = match minutes {
        n if n != 0 && n % (7 * 24 * 60) == 0 => (n / (7 * 24 * 60), "week"),
        n if n != 0 && n % (24 * 60) == 0 => (n / (24 * 60), "day"),
        n if n != 0 && n % 60 == 0 => (n / 60, "hour"),
        n => (n, "minute"),
    };
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T08:00:00Z".parse().expect("a moment")
    }

    fn windows(pairs: &[(&str, &str)]) -> Vec<(String, u8, Option<String>)> {
        let mut headers = Headers::new();
        pairs.iter().for_each(|(name, value)| headers.add(*name, *value));
        let windows = read(&headers, now()).into_iter();
        windows.map(|w| (w.name, w.left, w.resets_at.map(|at| at.to_string()))).collect()
    }

    fn window(name: &str, left: u8, resets_at: Option<&str>) -> (String, u8, Option<String>) {
        (name.to_owned(), left, resets_at.map(str::to_owned))
    }

    #[test]
    fn windows_of_all_makers_are_read() {
        assert_eq!(
            windows(&[
                ("x-codex-primary-used-percent", "12.4"),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-reset-after-seconds", "3600"),
                ("x-codex-secondary-used-percent", "101"),
                ("x-codex-secondary-window-minutes", "10080"),
            ]),
            [window("5 hours", 88, Some("2026-11-21T09:00:00Z")), window("week", 0, None)]
        );
        let at = (now().as_second() + 7_200).to_string();
        assert_eq!(
            windows(&[
                ("Anthropic-RateLimit-Unified-5h-Utilization", "0.25"),
                ("anthropic-ratelimit-unified-5h-reset", &at),
                ("anthropic-ratelimit-unified-7d_opus-utilization", "1"),
                ("anthropic-ratelimit-unified-status", "allowed"),
            ]),
            [window("5 hours", 75, Some("2026-11-21T10:00:00Z")), window("week opus", 0, None)]
        );
        assert_eq!(
            windows(&[
                (
                    "x-quota-snapshot-premium_interactions",
                    "ent=300&ov=0.0&ovPerm=false&rem=95.7&rst=2026-12-01T00%3A00%3A00Z",
                ),
                ("x-quota-snapshot-chat", "ent=-1&rem=100.0"),
            ]),
            [window("premium interactions", 96, Some("2026-12-01T00:00:00Z"))]
        );
    }

    #[test]
    fn what_makes_no_sense_tells_nothing() {
        assert!(
            windows(&[
                ("x-codex-primary-used-percent", "many"),
                ("anthropic-ratelimit-unified-x-utilization", "NaN"),
                ("x-quota-snapshot-chat", "rem=&rst=soon"),
                ("x-ratelimit-remaining-requests", "4"),
            ])
            .is_empty()
        );
        assert_eq!(
            windows(&[
                ("x-codex-primary-used-percent", "-5"),
                ("x-codex-primary-reset-at", "99999999999999999"),
            ]),
            [window("primary", 100, None)]
        );
    }

    #[test]
    fn the_newest_word_counts_and_silence_changes_nothing() {
        let gauge = Gauge::default();
        let mut headers = Headers::new();
        gauge.hear(&headers, now());
        assert_eq!(gauge.reading(), None);
        headers.add("x-codex-primary-used-percent", "50");
        gauge.hear(&headers, now());
        gauge.clone().hear(&Headers::new(), now());
        assert_eq!(gauge.reading().map(|reading| reading.windows[0].left), Some(50));
        gauge.forget();
        assert_eq!(gauge.reading(), None);
    }
}
