//! All writes of outgoing deliveries.

use jiff::SignedDuration;

use crate::notifications::model::sending::{
    Delivery, DeliveryKey, MAIL_PASSWORD, MailSettings, NoticeSecret, Out, PushSubscription, VAPID,
    no_row,
};
use crate::notifications::model::{Choices, Fanout, Recipient, Ways};
use crate::notifications::queries;
use crate::notifications::queries::sending as reading;
use crate::runs::queries::halt;
use crate::tasks::queries::standing::ALONE_AFTER_MS;
use crypto::keyring::Sealed;
use kernel::{AccountId, NoticeGroup, NoticeKind, PushId, Timestamp};
use net::mail;
use store::{Range, ReadExt, Record as _, StoreError, WriteTx};

use super::NotificationError;

/// Retry delays in minutes. After the last one a delivery fails permanently.
const AGAIN_MINUTES: [i64; 5] = [1, 5, 30, 120, 360];
/// Maximum number of rows in a digest.
const MAX_DIGEST: usize = 100;
/// How long failed deliveries are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Maximum length of a stored error, in characters.
const MAX_ERROR: usize = 300;

/// Which part of a row is new and must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct New {
    /// The first notification. Each row is mailed once.
    pub first: bool,
    /// The latest notification.
    pub last: bool,
}

/// Queues the deliveries of a row, one per channel that the person enabled.
pub fn queue(tx: &mut WriteTx<'_>, row: &Recipient, new: New) -> Result<(), StoreError> {
    let own = queries::choices(tx, row.member)?;
    let ways = own.of(row.kind);
    let mail = reading::mail(tx)?.is_some();
    if ways.push && new.last {
        // A merged row replaces the displayed push message.
        queue_one(tx, row, Out::Push)?;
    }
    if ways.mail && mail && new.first {
        queue_one(tx, row, Out::Mail)?;
    }
    if ways.digest && mail && new.last {
        queue_digest(tx, row, &own)?;
    }
    Ok(())
}

fn queue_one(tx: &mut WriteTx<'_>, row: &Recipient, out: Out) -> Result<(), StoreError> {
    let (member, first) = (row.member, row.first);
    tx.put(&Delivery {
        member,
        out,
        row: first,
        rows: vec![first],
        due_at: tx.now(),
        tries: 0,
        last_error: None,
        gave_up_at: None,
    })
}

fn queue_digest(tx: &mut WriteTx<'_>, row: &Recipient, own: &Choices) -> Result<(), StoreError> {
    let mut delivery = match digest(tx, row.member)? {
        Some(delivery) => delivery,
        None => new_digest(tx, own, tx.now())?,
    };
    if MAX_DIGEST <= delivery.rows.len() || delivery.rows.contains(&row.first) {
        return Ok(());
    }
    delivery.rows.push(row.first);
    tx.put(&delivery)
}

/// Pending digest of a member.
fn digest(tx: &WriteTx<'_>, member: AccountId) -> Result<Option<Delivery>, StoreError> {
    let found = tx.get::<Delivery>((member, (Out::Digest, no_row())))?;
    Ok(found.filter(|one| one.gave_up_at.is_none()))
}

/// Next digest after a moment, without rows.
fn new_digest(tx: &WriteTx<'_>, own: &Choices, after: Timestamp) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        member: own.member,
        out: Out::Digest,
        row: no_row(),
        rows: Vec::new(),
        due_at: reading::next_digest(tx, own, after)?,
        tries: 0,
        last_error: None,
        gave_up_at: None,
    })
}

/// Schedules a digest for a person who may have stuck tasks, which no event reports. An empty digest is not sent.
pub fn look_later(tx: &mut WriteTx<'_>, member: AccountId) -> Result<(), StoreError> {
    if reading::mail(tx)?.is_none() {
        return Ok(());
    }
    let own = queries::choices(tx, member)?;
    if !own.group(NoticeGroup::Tasks).digest || digest(tx, member)?.is_some() {
        return Ok(());
    }
    // A task counts as stuck only after it has been inactive for a while.
    let rested = tx.now() + SignedDuration::from_millis(ALONE_AFTER_MS);
    let delivery = new_digest(tx, &own, rested)?;
    tx.put(&delivery)
}

/// Deletes a delivery that was sent or is obsolete.
pub fn done(tx: &mut WriteTx<'_>, key: DeliveryKey) -> Result<(), StoreError> {
    tx.delete::<Delivery>(key).map(drop)
}

/// Deletes at most `limit` pending deliveries and fan-outs. Returns the number.
pub fn withdraw(tx: &mut WriteTx<'_>, limit: usize) -> Result<usize, StoreError> {
    let letters = tx.list::<Delivery>(&Range::all().limit(limit))?;
    for one in &letters {
        tx.delete::<Delivery>(one.id())?;
    }
    let fanouts = tx.list::<Fanout>(&Range::all().limit(limit - letters.len()))?;
    for one in &fanouts {
        tx.delete::<Fanout>(one.notification)?;
    }
    Ok(letters.len() + fanouts.len())
}

/// Claims a due delivery and schedules its retry. Returns whether to send it now: `false` while all work is paused.
pub fn claim(tx: &mut WriteTx<'_>, key: DeliveryKey) -> Result<bool, StoreError> {
    let Some(mut delivery) = tx.get::<Delivery>(key)? else { return Ok(false) };
    let is_due = delivery.gave_up_at.is_none() && delivery.due_at <= tx.now();
    if !is_due || halt::of_workspace(tx)?.is_some() {
        return Ok(false);
    }
    let last = AGAIN_MINUTES.len() - 1;
    let at = usize::try_from(delivery.tries).unwrap_or(last).min(last);
    delivery.due_at = tx.now() + SignedDuration::from_mins(AGAIN_MINUTES[at]);
    delivery.tries += 1;
    tx.put(&delivery)?;
    Ok(true)
}

/// Records a failed attempt. Gives up after a permanent error or the last retry.
pub fn failed(
    tx: &mut WriteTx<'_>,
    key: DeliveryKey,
    (error, passing): (String, Passing),
) -> Result<(), StoreError> {
    let Some(mut delivery) = tx.get::<Delivery>(key)? else { return Ok(()) };
    delivery.last_error = Some(kernel::text::ellipsis(&error, MAX_ERROR));
    let tries = usize::try_from(delivery.tries).unwrap_or(usize::MAX);
    if passing == Passing::No || AGAIN_MINUTES.len() < tries {
        delivery.gave_up_at = Some(tx.now());
    }
    tx.put(&delivery)
}

/// Whether an error is transient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// A retry may succeed.
    Yes,
    /// A retry would fail too.
    No,
}

/// Deletes deliveries that failed permanently long ago.
pub fn forget(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let before = tx.now() - KEPT;
    for one in reading::given_up(tx)? {
        if one.gave_up_at.is_some_and(|at| at < before) {
            done(tx, (one.member, (one.out, one.row)))?;
        }
    }
    Ok(())
}

/// Sets the mail server. Without a new password the stored one is kept, provided that server and user are unchanged.
///
/// # Errors
/// If a setting is invalid.
pub fn set_mail(
    tx: &mut WriteTx<'_>,
    mut new: MailSettings,
    password: Option<Sealed>,
) -> Result<MailSettings, NotificationError> {
    for text in [&mut new.host, &mut new.user, &mut new.from] {
        *text = text.trim().to_owned();
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if new.host.is_empty() || !new.host.chars().all(is_host) {
        return Err(NotificationError::field("host", "Enter the mail server’s host name."));
    }
    if new.port == 0 {
        return Err(NotificationError::field("port", "Enter a port, usually 465 or 587."));
    }
    if mail::check_address(&new.from).is_err() {
        return Err(NotificationError::field("from", "Enter an address, or a name and <address>."));
    }
    let before = reading::mail(tx)?;
    let same =
        before.is_some_and(|old| (old.host, old.user) == (new.host.clone(), new.user.clone()));
    match password {
        Some(sealed) => tx.put(&NoticeSecret { name: MAIL_PASSWORD.to_owned(), sealed })?,
        // A password must not be sent to another server.
        None if !same => {
            tx.delete::<NoticeSecret>(MAIL_PASSWORD.to_owned())?;
        }
        None => {}
    }
    tx.put(&new)?;
    Ok(new)
}

/// Removes the mail server. No more mail is sent.
pub fn drop_mail(tx: &mut WriteTx<'_>) -> Result<(), NotificationError> {
    tx.delete::<MailSettings>(())?;
    tx.delete::<NoticeSecret>(MAIL_PASSWORD.to_owned())?;
    Ok(())
}

/// Unsubscribes a person from mail of a group, or from the digest if no group is given.
pub fn silence(
    tx: &mut WriteTx<'_>,
    member: AccountId,
    group: Option<NoticeGroup>,
) -> Result<(), NotificationError> {
    let mut own = queries::choices(tx, member)?;
    let quiet = |ways: Ways| match group {
        Some(_) => Ways { mail: false, ..ways },
        None => Ways { digest: false, ..ways },
    };
    let meant = |one: NoticeGroup| group.is_none_or(|group| group == one);
    let kinds: Vec<NoticeKind> =
        NoticeKind::ALL.iter().copied().filter(|kind| meant(kind.group())).collect();
    for kind in kinds {
        let before = own.kinds.iter().find(|(one, _)| *one == kind).map(|(_, ways)| *ways);
        if let Some(ways) = before.or(queries::unusual(kind)) {
            own.kinds.retain(|(one, _)| *one != kind);
            own.kinds.push((kind, quiet(ways)));
        }
    }
    for one in NoticeGroup::ALL.iter().copied().filter(|one| meant(*one)) {
        let ways = quiet(own.group(one));
        own.groups.retain(|(known, _)| *known != one);
        own.groups.push((one, ways));
    }
    tx.put(&own)?;
    Ok(())
}

// ── In `system.redb` ──

/// A push subscription to be stored.
#[derive(Clone)]
pub struct NewBrowser {
    /// URL at the push service.
    pub endpoint: String,
    /// Public key of the browser.
    pub p256dh: String,
    /// Shared authentication secret.
    pub auth: String,
    /// User agent.
    pub agent: String,
}

/// Stores a push subscription, or replaces the keys of a known one.
pub fn subscribe(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    new: NewBrowser,
) -> Result<PushId, NotificationError> {
    let all = reading::browsers(tx, account)?;
    for known in all.iter().filter(|known| known.endpoint == new.endpoint) {
        tx.delete::<PushSubscription>((account, known.id))?;
    }
    // The oldest is dropped, because people change devices.
    if let Some(oldest) = all.first().filter(|_| reading::MAX_BROWSERS <= all.len()) {
        tx.delete::<PushSubscription>((account, oldest.id))?;
    }
    let NewBrowser { endpoint, p256dh, auth, agent } = new;
    let (id, made_at): (PushId, Timestamp) = (tx.new_id(), tx.now());
    tx.put(&PushSubscription { account, id, endpoint, p256dh, auth, agent, made_at })?;
    Ok(id)
}

/// Removes a push subscription. Returns whether it existed.
pub fn unsubscribe(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    endpoint: &str,
) -> Result<bool, NotificationError> {
    let mut was = false;
    for known in reading::browsers(tx, account)? {
        if known.endpoint == endpoint {
            was |= tx.delete::<PushSubscription>((account, known.id))?;
        }
    }
    Ok(was)
}

/// Stores the VAPID key unless there is one. Returns the stored key.
pub fn keep_vapid(tx: &mut WriteTx<'_>, sealed: Sealed) -> Result<Sealed, NotificationError> {
    if let Some(known) = reading::secret(tx, VAPID)? {
        return Ok(known.sealed);
    }
    tx.put(&NoticeSecret { name: VAPID.to_owned(), sealed: sealed.clone() })?;
    Ok(sealed)
}
