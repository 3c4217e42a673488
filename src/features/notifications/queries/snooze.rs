//! Snooze choices: an hour, or the morning of a later day.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};

use kernel::Timestamp;

/// Hour at which a snooze of days ends.
const MORNING: i8 = 8;

/// API words with labels.
pub const CHOICES: [(&str, &str); 3] =
    [("hour", "In an hour"), ("tomorrow", "Tomorrow"), ("week", "Next week")];

/// End of a snooze choice in this zone. `None` for an unknown word.
#[must_use]
pub fn until(word: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    let day = match word {
        "hour" => return Some(now + SignedDuration::from_hours(1)),
        "tomorrow" => today.tomorrow().ok()?,
        "week" => {
            let since_monday = i64::from(today.weekday().to_monday_zero_offset());
            today.checked_add((7 - since_monday).days()).ok()?
        }
        _ => return None,
    };
    Some(day.at(MORNING, 0, 0, 0).to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::{CHOICES, until};
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    #[test]
    fn the_words_mean_moments_of_the_person() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // A Saturday, an hour before summer time ends.
        let now: Timestamp = "2026-10-24T22:30:00Z".parse().unwrap();
        let at = |word| until(word, now, &zone).unwrap().to_string();
        assert_eq!(at("hour"), "2026-10-24T23:30:00Z");
        assert_eq!(at("tomorrow"), "2026-10-26T07:00:00Z");
        assert_eq!(at("week"), "2026-10-26T07:00:00Z");
        assert_eq!(until("never", now, &zone), None);
        assert!(CHOICES.iter().all(|(word, _)| until(word, now, &zone).is_some()));
    }
}
