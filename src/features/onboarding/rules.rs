//! All writes to the onboarding state.

use super::model::{Intent, KeylessAnswer, MissionAway, Onboarding, Step};
use super::queries;
use crate::streams::queries::StreamError;
use kernel::{AccountId, FieldError, Problem, ProblemKind, StreamId};
use store::{ReadExt as _, StoreError, WriteTx};

/// Word for streams in `prepared`.
const STREAMS: &str = "streams";
/// Word for stages and fields of contacts in `prepared`.
pub const CONTACTS: &str = "contacts";
/// Word for a collection in `prepared`.
pub const COLLECTION: &str = "collection";

#[derive(Debug, thiserror::Error)]
pub enum OnboardingError {
    /// Onboarding is finished or was never started.
    #[error("the set-up of this workspace is complete; change its choices in the settings")]
    Over,
    #[error("choose one of the kinds of work")]
    NoIntent,
    /// The preset could not be prepared.
    #[error("the streams and fields for this kind of work could not be created: {0}")]
    Owed(String),
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

/// Starts onboarding in a newly founded workspace. An existing state stays unchanged.
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

/// Records the purpose and the streams created for it.
///
/// # Errors
/// If onboarding is finished.
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

/// Advances to the step after `from`. Never goes back.
///
/// # Errors
/// If onboarding is finished.
pub fn go_on(tx: &mut WriteTx<'_>, from: Step) -> Result<Onboarding, OnboardingError> {
    let mut now = queries::open(tx)?.ok_or(OnboardingError::Over)?;
    now.step = now.step.max(from.next().unwrap_or(from));
    tx.put(&now)?;
    Ok(now)
}

/// Finishes onboarding for good. Idempotent.
pub fn finish(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let Some(now) = tx.get::<Onboarding>(())?.filter(|one| one.done_at.is_none()) else {
        return Ok(());
    };
    let at = tx.now();
    tx.put(&Onboarding { done_at: Some(at), ..now })
}

/// Records prepared kinds, so that they are not prepared again.
pub fn note_prepared(tx: &mut WriteTx<'_>, kinds: &[&str]) -> Result<(), StoreError> {
    let Some(mut now) = tx.get::<Onboarding>(())? else { return Ok(()) };
    for kind in kinds {
        if !now.prepared.iter().any(|one| one == kind) {
            now.prepared.push((*kind).to_owned());
        }
    }
    tx.put(&now)
}

/// Dismisses the suggestions after onboarding for one person, for good.
pub fn put_away(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let at = tx.now();
    tx.put(&MissionAway { account, at })
}

/// Records whether agents may search at services without an account, so that nobody is asked again.
pub fn answer_keyless(tx: &mut WriteTx<'_>, is_allowed: bool) -> Result<(), StoreError> {
    let (by, at) = (tx.by(), tx.now());
    tx.put(&KeylessAnswer { is_allowed, by, at })
}
