//! Writes what people put away of what needs them.

use jiff::SignedDuration;

use super::model::{Away, PutAway};
use super::queries::away;
use super::queries::needs::Row;
use kernel::{AccountId, Problem, ProblemKind, Timestamp};
use store::{StoreError, WriteTx};

/// The longest that something is put off.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 60);
/// So many things of one person are away at most: beyond it the oldest comes back.
const MOST: usize = 200;

/// What a rule of the first page refuses.
#[derive(Debug, thiserror::Error)]
pub enum NeedError {
    /// Nothing that needs this person has this id, or it says something else by now.
    #[error("this has changed meanwhile; look at what needs you once more")]
    NotFound,
    /// It waits for somebody.
    #[error("this waits for somebody and cannot be dismissed; snooze it, or do what it asks")]
    Waits,
    /// It cannot be put off until then.
    #[error("choose a moment within the next 60 days")]
    BadTime,
    /// Agents have an inbox.
    #[error("only people put away what needs them")]
    NoPerson,
    /// Nobody works in the workspace.
    #[error("{0}")]
    Closed(String),
    /// The store refused.
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

/// Something that is to be put away.
#[derive(Clone, Debug)]
pub struct NewAway {
    /// Its id.
    pub need: String,
    /// The ids of what stands on the same row.
    pub with: Vec<String>,
    pub title: String,
    /// Until when; for good when there is none.
    pub until: Option<Timestamp>,
}

impl NewAway {
    /// A row, until a moment or for good.
    ///
    /// # Errors
    /// When it waits for somebody and is to be away for good.
    pub fn of(row: &Row, until: Option<Timestamp>) -> Result<Self, NeedError> {
        if until.is_none() && !row.is_told {
            return Err(NeedError::Waits);
        }
        // What waits for somebody comes up by itself when what is told beside it goes for good.
        let with = row.with.iter().filter(|(_, is_told)| until.is_some() || *is_told);
        let with = with.map(|(id, _)| id.clone()).collect();
        Ok(Self { need: row.id.clone(), with, title: row.title.clone(), until })
    }
}

/// Puts something away, for whoever acts. Done once more, the later word holds.
///
/// # Errors
/// When no person asks, or it cannot be put off until then.
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

/// Brings something back, for whoever acts. What is not away stays where it is.
///
/// # Errors
/// When no person asks, or the store refuses.
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

/// Brings back what was put off until now, of up to `limit` people: their pages hear of it.
pub fn end_snoozes(tx: &mut WriteTx<'_>, limit: usize) -> Result<(), StoreError> {
    let now = tx.now();
    for mut away in away::due(tx, now, limit)? {
        away.rows.retain(|row| row.is_away(now));
        keep(tx, away.account, away.rows)?;
    }
    Ok(())
}

/// Nobody who has put nothing away has a row.
fn keep(tx: &mut WriteTx<'_>, account: AccountId, rows: Vec<PutAway>) -> Result<(), StoreError> {
    match rows.is_empty() {
        true => tx.delete::<Away>(account).map(drop),
        false => tx.put(&Away { account, rows }),
    }
}
