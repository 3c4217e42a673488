//! Writes of dismissed and snoozed dashboard items.

use jiff::SignedDuration;

use super::model::{Away, PutAway};
use super::queries::away;
use super::queries::needs::Row;
use kernel::{AccountId, Problem, ProblemKind, Timestamp};
use store::{StoreError, WriteTx};

/// Maximum snooze duration.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 60);
/// Maximum number of hidden items per person. Beyond it the oldest one reappears.
const MOST: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum NeedError {
    /// The item is gone or has a new state.
    #[error("this has changed since you loaded the page; reload and try again")]
    NotFound,
    /// The item requires an action, so it can be snoozed but not dismissed.
    #[error("this needs a decision and can't be dismissed; snooze it or act on it")]
    Waits,
    /// The snooze time is out of range.
    #[error("choose a time within the next 60 days")]
    BadTime,
    /// The actor is no person.
    #[error("only people can snooze or dismiss what needs them")]
    NoPerson,
    /// The workspace is archived or scheduled for deletion.
    #[error("{0}")]
    Closed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for NeedError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "need_not_found",
            Self::Waits => "need_waits",
            Self::BadTime => "snooze_time",
            Self::NoPerson => "not_a_person",
            Self::Closed(_) => "workspace_closed",
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound => ProblemKind::NotFound,
            Self::Waits | Self::Closed(_) => ProblemKind::Conflict,
            Self::BadTime => ProblemKind::Invalid,
            Self::NoPerson => ProblemKind::Forbidden,
            Self::Store(error) => error.kind(),
        }
    }
}

/// An item to be hidden.
#[derive(Clone, Debug)]
pub struct NewAway {
    pub need: String,
    /// Ids of the other items on the same row.
    pub with: Vec<String>,
    pub title: String,
    /// End of the snooze. `None` dismisses for good.
    pub until: Option<Timestamp>,
}

impl NewAway {
    /// Hides a row until a moment or for good.
    ///
    /// # Errors
    /// `Waits` if the row requires an action and should be dismissed for good.
    pub fn of(row: &Row, until: Option<Timestamp>) -> Result<Self, NeedError> {
        if until.is_none() && !row.is_told {
            return Err(NeedError::Waits);
        }
        // If the row is dismissed for good, merged items that require an action get a row of their own.
        let with = row.with.iter().filter(|(_, is_told)| until.is_some() || *is_told);
        let with = with.map(|(id, _)| id.clone()).collect();
        Ok(Self { need: row.id.clone(), with, title: row.title.clone(), until })
    }
}

/// Hides an item for the actor. Replaces an earlier snooze or dismissal.
///
/// # Errors
/// If the actor is no person or the snooze time is out of range.
pub fn put_away(tx: &mut WriteTx<'_>, new: NewAway) -> Result<PutAway, NeedError> {
    let account = tx.by().account().ok_or(NeedError::NoPerson)?;
    let now = tx.now();
    if new.until.is_some_and(|until| until <= now || now + LONGEST < until) {
        return Err(NeedError::BadTime);
    }
    let NewAway { need, with, title, until } = new;
    let mut rows = away::of(tx, account)?;
    rows.retain(|row| row.need != need && row.is_away(now));
    rows.drain(..(rows.len() + 1).saturating_sub(MOST));
    let row = PutAway { need, with, title, at: now, until };
    rows.push(row.clone());
    tx.put(&Away { account, rows })?;
    Ok(row)
}

/// Shows an item again for the actor. No effect on an item that is not hidden.
///
/// # Errors
/// If the actor is no person.
pub fn restore(tx: &mut WriteTx<'_>, need: &str) -> Result<(), NeedError> {
    let account = tx.by().account().ok_or(NeedError::NoPerson)?;
    let mut rows = away::of(tx, account)?;
    let before = rows.len();
    rows.retain(|row| row.need != need);
    if rows.len() < before {
        keep(tx, account, rows)?;
    }
    Ok(())
}

/// Ends due snoozes of up to `limit` people. The write updates their pages.
pub fn end_snoozes(tx: &mut WriteTx<'_>, limit: usize) -> Result<(), StoreError> {
    let now = tx.now();
    for mut away in away::due(tx, now, limit)? {
        away.rows.retain(|row| row.is_away(now));
        keep(tx, away.account, away.rows)?;
    }
    Ok(())
}

/// Deletes the row if nothing is hidden.
fn keep(tx: &mut WriteTx<'_>, account: AccountId, rows: Vec<PutAway>) -> Result<(), StoreError> {
    match rows.is_empty() {
        true => tx.delete::<Away>(account).map(drop),
        false => tx.put(&Away { account, rows }),
    }
}
