//! All writes to a set-up.

use super::model::{Intent, MissionAway, Onboarding, Step};
use super::queries;
use crate::streams::queries::StreamError;
use kernel::{AccountId, FieldError, Problem, ProblemKind, StreamId};
use store::{ReadExt as _, StoreError, WriteTx};

/// The word for streams in what was prepared.
const STREAMS: &str = "streams";
/// The word for stages and fields of contacts.
pub const CONTACTS: &str = "contacts";
/// The word for a collection.
pub const COLLECTION: &str = "collection";

/// Why a set-up goes no further.
#[derive(Debug, thiserror::Error)]
pub enum OnboardingError {
    /// It is over, or there never was one.
    #[error("the set-up of this workspace is over; its settings change what it chose")]
    Over,
    /// No such kind of work.
    #[error("choose one of the kinds of work")]
    NoIntent,
    /// What belongs to the kind of work could not be prepared.
    #[error("what belongs to this kind of work could not be prepared: {0}")]
    Owed(String),
    /// A stream could not be made.
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for OnboardingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Over => "setup_over",
            Self::Owed(_) => "setup_unprepared",
            Self::NoIntent => "invalid",
            Self::Stream(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Over | Self::Owed(_) => ProblemKind::Conflict,
            Self::NoIntent => ProblemKind::Invalid,
            Self::Stream(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::NoIntent => vec![FieldError::new("intent", self.to_string())],
            Self::Stream(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

/// Opens the steps of a workspace that was founded just now; one that has them keeps its place.
pub fn begin(tx: &mut WriteTx<'_>, is_first: bool) -> Result<(), StoreError> {
    if tx.get::<Onboarding>(())?.is_some() {
        return Ok(());
    }
    let begun = Onboarding {
        step: Step::Work,
        is_first,
        intent: None,
        prepared: Vec::new(),
        streams: Vec::new(),
        begun_at: tx.now(),
        done_at: None,
    };
    tx.put(&begun)
}

/// Notes what the workspace is for, and the streams that are there for it.
///
/// # Errors
/// When the set-up is over.
pub fn choose(
    tx: &mut WriteTx<'_>,
    intent: Intent,
    streams: Vec<StreamId>,
) -> Result<Onboarding, OnboardingError> {
    let mut now = queries::open(tx)?.ok_or(OnboardingError::Over)?;
    now.intent = Some(intent);
    now.streams = streams;
    if !now.prepared.iter().any(|one| one == STREAMS) {
        now.prepared.push(STREAMS.to_owned());
    }
    now.step = now.step.max(Step::Machine);
    tx.put(&now)?;
    Ok(now)
}

/// Opens the step behind this one; one that lies further stays open.
///
/// # Errors
/// When the set-up is over.
pub fn go_on(tx: &mut WriteTx<'_>, from: Step) -> Result<Onboarding, OnboardingError> {
    let mut now = queries::open(tx)?.ok_or(OnboardingError::Over)?;
    now.step = now.step.max(from.next().unwrap_or(from));
    tx.put(&now)?;
    Ok(now)
}

/// Ends the set-up for good. One that is over stays over.
pub fn finish(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let Some(now) = tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_none()) else {
        return Ok(());
    };
    let at = tx.now();
    tx.put(&Onboarding { done_at: Some(at), ..now })
}

/// Notes what was prepared, so that it is owed no more.
pub fn note_prepared(tx: &mut WriteTx<'_>, kinds: &[&str]) -> Result<(), StoreError> {
    let Some(mut now) = tx.get::<Onboarding>(())? else { return Ok(()) };
    for kind in kinds {
        if !now.prepared.iter().any(|one| one == kind) {
            now.prepared.push((*kind).to_owned());
        }
    }
    tx.put(&now)
}

/// Puts away for ever what is worth a try after the set-up, for one person.
pub fn put_away(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let at = tx.now();
    tx.put(&MissionAway { account, at })
}
