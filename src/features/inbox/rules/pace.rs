//! Writes of start limits: quiet hours and items per hour.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::inbox::model::pace::{Pace, Quiet};
use crate::inbox::queries::pace::PER_HOUR;
use kernel::cadence::Hours;
use kernel::{AgentId, FieldError, Problem, ProblemKind};
use store::{ReadExt, StoreError, WriteTx};

/// Upper limit of items per hour.
pub const MOST_PER_HOUR: u16 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    #[error("{}", .0.message)]
    Field(FieldError),
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

/// Quiet hours as entered.
#[derive(Clone, Debug)]
pub struct QuietRequest {
    /// ISO weekdays, 1 is Monday. Empty means every day.
    pub days: Vec<u8>,
    /// Such as `22:00`.
    pub from: String,
    /// Such as `07:00`.
    pub until: String,
    /// Time zone. Empty means that of the workspace.
    pub zone: String,
}

/// Requested start limits.
#[derive(Clone, Debug, Default)]
pub struct PaceRequest {
    pub quiet: Option<QuietRequest>,
    /// Items per hour. `None` means the default.
    pub per_hour: Option<u32>,
}

/// Validates a request.
///
/// # Errors
/// The first invalid field.
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
        let message = "Enter a time zone such as Europe/Berlin.";
        return Err(FieldError::new("quiet_hours.timezone", message));
    }
    Ok(Quiet { hours, zone: (!zone.is_empty()).then(|| zone.to_owned()) })
}

/// Stores the start limits. Defaults are stored as no row. Applies from the next item on.
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
