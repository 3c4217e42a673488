//! Reads of outgoing deliveries and their settings.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};

use crate::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{AccountId, Timestamp};
use store::{Range, Read, ReadExt, StoreError};

use super::super::model::Choices;
use super::super::model::sending::{
    DELIVERY_DUE, Delivery, MailSettings, NoticeSecret, PushSubscription,
};

/// Maximum number of push subscriptions per account.
pub const MAX_BROWSERS: usize = 20;

/// Deliveries that are due by `now`.
pub fn due(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    read.scan(DELIVERY_DUE, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// Time of the next attempt.
pub fn next_due(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Delivery> = read.scan(DELIVERY_DUE, &Range::all().limit(1))?;
    Ok(first.first().map(|delivery| delivery.due_at))
}

/// Permanently failed deliveries, newest first.
pub fn given_up(read: &dyn Read) -> Result<Vec<Delivery>, StoreError> {
    let all: Vec<Delivery> = read.list(&Range::all())?;
    let mut over: Vec<_> = all.into_iter().filter(|one| one.gave_up_at.is_some()).collect();
    over.sort_by_key(|one| std::cmp::Reverse(one.gave_up_at));
    Ok(over)
}

/// Mail settings. `None` if mail is not configured.
pub fn mail(read: &dyn Read) -> Result<Option<MailSettings>, StoreError> {
    read.get::<MailSettings>(())
}

/// A sealed secret by name.
pub fn secret(read: &dyn Read, name: &str) -> Result<Option<NoticeSecret>, StoreError> {
    read.get::<NoticeSecret>(name.to_owned())
}

/// Push subscriptions of an account, in `system.redb`.
pub fn browsers(read: &dyn Read, account: AccountId) -> Result<Vec<PushSubscription>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&account)).limit(MAX_BROWSERS))
}

/// Time of a person's next digest.
pub fn next_digest(
    read: &dyn Read,
    own: &Choices,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let zone = match &own.zone {
        Some(zone) => Some(zone.clone()),
        None => workspace::settings(read)?.map(|settings| settings.zone),
    };
    let zone = zone.and_then(|zone| TimeZone::get(&zone).ok()).unwrap_or(TimeZone::UTC);
    Ok(next_hour(own.digest_hour, now, &zone))
}

/// Next local time at which this hour begins.
fn next_hour(hour: u8, now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = now.to_zoned(zone.clone()).date();
    for days in 0..=2 {
        let day = today.checked_add(i64::from(days).days());
        let hour = i8::try_from(hour.min(23)).unwrap_or(8);
        let at = day.ok().and_then(|day| day.at(hour, 0, 0, 0).to_zoned(zone.clone()).ok());
        if let Some(at) = at.map(|at| at.timestamp()).filter(|at| now < *at) {
            return at;
        }
    }
    now + SignedDuration::from_hours(24)
}

#[cfg(test)]
mod tests {
    use super::next_hour;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    #[test]
    fn the_letter_of_the_day_comes_at_the_hour_of_the_person() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let at = |now: &str| next_hour(8, now.parse::<Timestamp>().unwrap(), &zone).to_string();
        assert_eq!(at("2026-11-20T06:59:59Z"), "2026-11-20T07:00:00Z");
        assert_eq!(at("2026-11-20T07:00:00Z"), "2026-11-21T07:00:00Z");
        // Summer time ends on the 25th.
        assert_eq!(at("2026-10-24T07:00:00Z"), "2026-10-25T07:00:00Z");
    }
}
