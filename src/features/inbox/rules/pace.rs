//! What people choose about when and how much an agent begins.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::inbox::model::pace::{Pace, Quiet};
use crate::inbox::queries::pace::PER_HOUR;
use kernel::cadence::Hours;
use kernel::{AgentId, FieldError, Problem, ProblemKind};
use store::{ReadExt, StoreError, WriteTx};

/// The most that an agent may be let begin within an hour.
pub const MOST_PER_HOUR: u16 = 1_000;

/// Why a pace is not kept.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// No such agent.
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    /// A field is wrong.
    #[error("{}", .0.message)]
    Field(FieldError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for PaceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::Field(_) => "pace_invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Field(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field(field) => vec![field.clone()],
            Self::NotFound(_) | Self::Store(_) => Vec::new(),
        }
    }
}

/// Hours as somebody has typed them.
#[derive(Clone, Debug)]
pub struct QuietRequest {
    /// Days by number, 1 for Monday; none for every day.
    pub days: Vec<u8>,
    /// `22:00`
    pub from: String,
    /// `07:00`
    pub until: String,
    /// In place of the workspace's; empty for that.
    pub zone: String,
}

/// What is to be kept.
#[derive(Clone, Debug, Default)]
pub struct PaceRequest {
    /// Hours, if any.
    pub quiet: Option<QuietRequest>,
    /// How many within an hour; as usual when there is none.
    pub per_hour: Option<u32>,
}

/// Reads what somebody has typed.
///
/// # Errors
/// The first field that is wrong.
pub fn checked(agent: AgentId, wish: &PaceRequest) -> Result<Pace, PaceError> {
    let quiet = wish.quiet.as_ref().map(quiet).transpose().map_err(PaceError::Field)?;
    let per_hour = match wish.per_hour {
        None => None,
        Some(n) => match u16::try_from(n) {
            Ok(n) if (1..=MOST_PER_HOUR).contains(&n) => Some(n),
            _ => {
                let message = format!("Use a number from 1 to {MOST_PER_HOUR}.");
                return Err(PaceError::Field(FieldError::new("per_hour", message)));
            }
        },
    };
    Ok(Pace { agent, quiet, per_hour: per_hour.filter(|n| *n != PER_HOUR) })
}

fn quiet(wish: &QuietRequest) -> Result<Quiet, FieldError> {
    let hours = Hours::read(&wish.days, &wish.from, &wish.until)?;
    let zone = wish.zone.trim();
    if !zone.is_empty() && TimeZone::get(zone).is_err() {
        let message = "There is no such time zone; use one such as Europe/Berlin.";
        return Err(FieldError::new("quiet_hours.timezone", message));
    }
    Ok(Quiet { hours, zone: (!zone.is_empty()).then(|| zone.to_owned()) })
}

/// Keeps a pace; one that is as usual leaves no row. It counts from the next item on.
///
/// # Errors
/// `NotFound`, `Field`.
pub fn set(tx: &mut WriteTx<'_>, agent: AgentId, wish: &PaceRequest) -> Result<(), PaceError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(PaceError::NotFound(agent));
    }
    let pace = checked(agent, wish)?;
    let is_usual = pace.quiet.is_none() && pace.per_hour.is_none();
    match (is_usual, tx.get::<Pace>(agent)?) {
        (true, None) => {}
        (true, Some(_)) => {
            tx.delete::<Pace>(agent)?;
        }
        (false, Some(old)) if old == pace => {}
        (false, _) => tx.put(&pace)?,
    }
    Ok(())
}
