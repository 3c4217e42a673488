//! Rules for the hosts that agents may reach.

use crate::agents::model::{Agent, Reach, ReachOf};
use kernel::text::ellipsis;
use kernel::{AgentId, FieldError, Problem, ProblemKind};
use net::guard::{Hosts, Opened};
use store::{ReadExt, StoreError, WriteTx};

/// Maximum number of lines of a list.
pub const MOST: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    #[error("\"{0}\" isn't a host; use example.com, or *.example.com for its subdomains")]
    BadHost(String),
    /// Not a host in a private network.
    #[error("\"{0}\" isn't a private host; use wiki.lan, wiki.lan:8080 or 192.168.1.5")]
    BadOpened(String),
    #[error("a list can have at most {MOST} hosts")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for ReachError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::BadHost(_) | Self::BadOpened(_) => "host_invalid",
            Self::TooMany => "too_many_hosts",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::BadHost(_) | Self::BadOpened(_) | Self::TooMany => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::BadHost(_) | Self::TooMany => "only",
            Self::BadOpened(_) => "opened",
            Self::NotFound(_) | Self::Store(_) => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}

/// Validates a list. Returns it sorted, without duplicates.
///
/// # Errors
/// For the first invalid line; `TooMany`.
pub fn checked(of: ReachOf, lines: &[String]) -> Result<Vec<String>, ReachError> {
    let mut kept = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let short = || ellipsis(line, 80);
        kept.push(match of {
            ReachOf::Agent(_) => Hosts::line(line).ok_or_else(|| ReachError::BadHost(short()))?,
            ReachOf::Workspace => {
                Opened::line(line).ok_or_else(|| ReachError::BadOpened(short()))?
            }
        });
    }
    kept.sort();
    kept.dedup();
    if MOST < kept.len() { Err(ReachError::TooMany) } else { Ok(kept) }
}

/// Sets a list; an empty one deletes it. Applies from the next request on.
///
/// # Errors
/// If a line is invalid, there are too many, or the agent does not exist.
pub fn set(tx: &mut WriteTx<'_>, of: ReachOf, lines: &[String]) -> Result<(), ReachError> {
    if let ReachOf::Agent(id) = of
        && tx.get::<Agent>(id)?.is_none()
    {
        return Err(ReachError::NotFound(id));
    }
    let hosts = checked(of, lines)?;
    let before = tx.get::<Reach>(of)?;
    match (hosts.is_empty(), before) {
        (true, None) => {}
        (true, Some(_)) => {
            tx.delete::<Reach>(of)?;
        }
        (false, _) => {
            tx.put(&Reach { of, hosts })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MOST, checked};
    use crate::agents::model::ReachOf;
    use kernel::{AgentId, TypedId as _};

    #[test]
    fn a_list_is_kept_in_order_and_each_host_once() {
        let list = |of: ReachOf, lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            checked(of, &lines)
        };
        let ada = ReachOf::Agent(AgentId::from_bytes([5; 16]));
        let kept = list(ada, &["b.test", " A.test", "", "*.c.test", "b.TEST"]).unwrap();
        assert_eq!(kept, ["*.c.test", "a.test", "b.test"]);
        let wrong = list(ada, &["a.test", "https://b.test/x"]).unwrap_err().to_string();
        assert!(wrong.starts_with("\"https://b.test/x\" isn't a host"), "{wrong}");
        let many: Vec<String> = (0..=MOST).map(|n| format!("h{n}.test")).collect();
        assert!(checked(ada, &many).is_err());
        let inside = list(ReachOf::Workspace, &["Wiki.lan:8080", "10.0.0.1"]).unwrap();
        assert_eq!(inside, ["10.0.0.1", "wiki.lan:8080"]);
        assert!(list(ReachOf::Workspace, &["*.lan"]).is_err());
    }
}
