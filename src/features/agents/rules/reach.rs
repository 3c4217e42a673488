//! Which hosts an agent reaches.

use crate::features::agents::model::{Agent, Reach};
use crate::kernel::{AgentId, FieldError, Problem, ProblemKind};
use crate::net::guard::Hosts;
use crate::store::{ReadExt, StoreError, WriteTx};

/// How many lines a list has at most.
pub const MOST: usize = 200;

/// Why a list is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// No such agent.
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    /// A line that names no host.
    #[error("\"{0}\" names no host; write example.com, or *.example.com for all below it")]
    BadHost(String),
    /// Too many lines.
    #[error("a list has at most {MOST} hosts")]
    TooMany,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for ReachError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::BadHost(_) => "host_invalid",
            Self::TooMany => "too_many_hosts",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::BadHost(_) | Self::TooMany => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::BadHost(_) | Self::TooMany => vec![FieldError::new("only", self.to_string())],
            Self::NotFound(_) | Self::Store(_) => Vec::new(),
        }
    }
}

/// The lines of a list as they are kept: each once, in order.
///
/// # Errors
/// `BadHost` for the first that names none, `TooMany`.
pub fn checked<'l>(lines: impl IntoIterator<Item = &'l str>) -> Result<Vec<String>, ReachError> {
    let mut kept = Vec::new();
    for line in lines.into_iter().map(str::trim).filter(|line| !line.is_empty()) {
        let bad = || ReachError::BadHost(crate::kernel::text::ellipsis(line, 80));
        kept.push(Hosts::line(line).ok_or_else(bad)?);
    }
    kept.sort();
    kept.dedup();
    if MOST < kept.len() { Err(ReachError::TooMany) } else { Ok(kept) }
}

/// Lets an agent reach these hosts alone; with none of them it reaches all that are public. Counts from its
/// next request on.
///
/// # Errors
/// When a line names no host, or there are too many, or there is no such agent.
pub fn set(tx: &mut WriteTx<'_>, agent: AgentId, only: &[String]) -> Result<(), ReachError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(ReachError::NotFound(agent));
    }
    let only = checked(only.iter().map(String::as_str))?;
    let before = tx.get::<Reach>(agent)?;
    match (only.is_empty(), before) {
        (true, None) => {}
        (true, Some(_)) => {
            tx.delete::<Reach>(agent)?;
        }
        (false, _) => {
            tx.put(&Reach { agent, only })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MOST, checked};

    #[test]
    fn a_list_is_kept_in_order_and_each_host_once() {
        let kept = checked(["b.test", " A.test", "", "*.c.test", "b.TEST"]).unwrap();
        assert_eq!(kept, ["*.c.test", "a.test", "b.test"]);
        let wrong = checked(["a.test", "https://b.test/x"]).unwrap_err().to_string();
        assert!(wrong.starts_with("\"https://b.test/x\" names no host"), "{wrong}");
        let many: Vec<String> = (0..=MOST).map(|n| format!("h{n}.test")).collect();
        assert!(checked(many.iter().map(String::as_str)).is_err());
    }
}
