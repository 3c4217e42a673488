//! Reminders to administrators of secrets that expire soon.

use features::notifications::queries::last_told;
use jiff::SignedDuration;
use kernel::{About, Notice, NoticeKind, RecordId, TypedId as _};
use store::WriteTx;

use crate::cards::SECRET;
use crate::error::VaultError;
use crate::queries;

/// How long before expiry, the shorter time first.
const BEFORE: [SignedDuration; 2] =
    [SignedDuration::from_hours(2 * 24), SignedDuration::from_hours(14 * 24)];

/// Sends a reminder two weeks and again two days before a secret expires. Returns the number of reminders.
pub fn remind(tx: &mut WriteTx<'_>) -> Result<usize, VaultError> {
    let (now, mut count) = (tx.now(), 0);
    for secret in queries::live(tx)? {
        let Some(over) = secret.expires_at.filter(|at| now < *at) else { continue };
        let Some(since) = BEFORE.iter().map(|before| over - *before).find(|at| *at <= now) else {
            continue;
        };
        let about = About::Row(SECRET.table, RecordId::from_uuid(secret.id.uuid()));
        let notified = last_told(tx, about, NoticeKind::System)?;
        if notified.is_some_and(|at| since <= at) {
            continue;
        }
        let hours = over.duration_since(now).as_hours();
        let left = match (hours + 12) / 24 {
            0 => "today".to_owned(),
            1 => "within one day".to_owned(),
            days => format!("in {days} days"),
        };
        let title = format!("Renew the secret {} {left}", secret.name);
        let body =
            format!("Agents keep using {}, but its issuer might stop accepting it.", secret.key);
        tx.emit(Notice::new(NoticeKind::System, about, title).body(body).only().admins().event());
        count += 1;
    }
    Ok(count)
}
