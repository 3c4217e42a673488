//! All writes to browser switches, browser policies and screenshots.

use jiff::SignedDuration;

use super::model::{AgentBrowser, BrowserPolicy, BrowserShot, Picture};
use super::queries;
use crate::agents::model::Agent;
use crate::runs::model::Run;
use kernel::text::ellipsis;
use kernel::{AgentId, Event, FieldError, Problem, ProblemKind, RunId, WheelAct};
use net::guard::Hosts;
use store::{Range, ReadExt, StoreError, WriteTx};

/// Maximum number of hosts in a list.
const MOST_HOSTS: usize = 200;
/// Maximum number of screenshots to examine at once.
const MOST: usize = 50_000;

#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    #[error("agent {0} does not exist")]
    NotFound(AgentId),
    /// Invalid host, with its form field.
    #[error("{1:?} isn't a host; use example.com, or *.example.com for its subdomains")]
    BadHost(&'static str, String),
    #[error("a list can have at most {MOST_HOSTS} hosts")]
    TooMany(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for SwitchError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::BadHost(..) => "not_a_host",
            Self::TooMany(_) => "too_many_hosts",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::BadHost(..) | Self::TooMany(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::BadHost(field, _) | Self::TooMany(field) => {
                vec![FieldError::new(*field, self.to_string())]
            }
            Self::NotFound(_) | Self::Store(_) => Vec::new(),
        }
    }
}

/// State of a browser switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The agent may use its browser.
    On,
    /// The agent may not use its browser.
    Off,
}

/// Enables or disables an agent's browser. Applies from its next request.
pub fn set(tx: &mut WriteTx<'_>, agent: AgentId, to: Switch) -> Result<(), SwitchError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(SwitchError::NotFound(agent));
    }
    match (to, queries::is_switched_on(tx, agent)?) {
        (Switch::On, false) => {
            tx.put(&AgentBrowser { agent })?;
        }
        (Switch::Off, true) => {
            tx.delete::<AgentBrowser>(agent)?;
        }
        (Switch::On, true) | (Switch::Off, false) => {}
    }
    Ok(())
}

/// Form and API name of the list of allowed hosts.
pub const ALLOWED: &str = "allowed_hosts";
/// Form and API name of the list of blocked hosts.
pub const BLOCKED: &str = "blocked_hosts";

/// Replaces the browser policy of an agent. Applies from its next request.
///
/// # Errors
/// If there is no such agent, a host is invalid, or there are too many.
pub fn set_policy(tx: &mut WriteTx<'_>, new: BrowserPolicy) -> Result<(), SwitchError> {
    let agent = new.agent;
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(SwitchError::NotFound(agent));
    }
    let policy = BrowserPolicy {
        allowed: hosts(ALLOWED, &new.allowed)?,
        blocked: hosts(BLOCKED, &new.blocked)?,
        ..new
    };
    let is_usual = policy == BrowserPolicy::usual(agent);
    match (is_usual, tx.get::<BrowserPolicy>(agent)?) {
        (true, None) => {}
        (true, Some(_)) => {
            tx.delete::<BrowserPolicy>(agent)?;
        }
        (false, before) if before.as_ref() == Some(&policy) => {}
        (false, _) => {
            tx.put(&policy)?;
        }
    }
    Ok(())
}

/// Normalises a list of hosts: sorted, without duplicates.
fn hosts(field: &'static str, lines: &[String]) -> Result<Vec<String>, SwitchError> {
    let mut kept = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let bad = || SwitchError::BadHost(field, ellipsis(line, 80));
        kept.push(Hosts::line(line).ok_or_else(bad)?);
    }
    kept.sort();
    kept.dedup();
    if MOST_HOSTS < kept.len() { Err(SwitchError::TooMany(field)) } else { Ok(kept) }
}

/// Records a change of manual control of an agent's browser.
pub fn note_wheel(tx: &mut WriteTx<'_>, agent: AgentId, act: WheelAct) -> Result<(), StoreError> {
    tx.emit(Event::WheelTurned(agent, act));
    Ok(())
}

/// A screenshot for a call.
#[derive(Clone, Debug)]
pub enum Taken {
    /// Before asking for approval of the call with this provider id.
    Asked(String, Picture),
    /// After the call, with the name of the element.
    After(String, Picture),
    /// No screenshot, because a credential was typed.
    Dark,
}

/// Stores a screenshot for a call of a run. No effect if the run was deleted.
pub fn keep_shot(
    tx: &mut WriteTx<'_>,
    (run, step): (RunId, u32),
    taken: Taken,
) -> Result<(), StoreError> {
    if tx.get::<Run>(run)?.is_none() {
        return Ok(());
    }
    let before = tx.get::<BrowserShot>((run, step))?;
    let mut shot = before.unwrap_or_else(|| BrowserShot {
        run,
        step,
        call_id: String::new(),
        name: String::new(),
        asked: None,
        after: None,
        is_dark: false,
        at: tx.now(),
    });
    shot.at = tx.now();
    match taken {
        Taken::Asked(call_id, picture) => (shot.call_id, shot.asked) = (call_id, Some(picture)),
        Taken::After(name, picture) => {
            (shot.name, shot.after, shot.is_dark) = (name, Some(picture), false);
        }
        Taken::Dark => (shot.after, shot.is_dark) = (None, true),
    }
    tx.put(&shot)?;
    Ok(())
}

/// Deletes at most `limit` expired screenshots. Returns `true` if none are left.
pub fn forget_shots(tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, StoreError> {
    let before = tx.now() - SignedDuration::from_hours(24 * queries::SHOT_DAYS);
    let all: Vec<BrowserShot> = tx.list(&Range::all().limit(MOST))?;
    let mut gone = 0;
    for shot in all.iter().filter(|shot| shot.at < before).take(limit) {
        tx.delete::<BrowserShot>((shot.run, shot.step))?;
        gone += 1;
    }
    Ok(gone < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_kept_in_order_and_each_host_once() {
        let list = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            hosts(BLOCKED, &lines)
        };
        let kept = list(&[" Shop.example ", "", "*.ads.example", "shop.example"]);
        assert_eq!(kept.expect("hosts"), ["*.ads.example", "shop.example"]);
        let wrong = list(&["https://shop.example/"]).expect_err("an address is no host");
        assert_eq!((wrong.code(), wrong.fields()[0].field.as_str()), ("not_a_host", BLOCKED));
    }
}
