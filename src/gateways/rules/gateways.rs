//! Gateways: changed, paused, not let in any more, removed.

use features::cards;
use features::jobs::rules::give_up;
use features::runs::rules::back::{self, Why};
use kernel::{FieldError, GatewayId, NoticeKind, RowAct};
use store::{StoreError, WriteTx};

use super::trouble::settled;
use super::{places, words};
use crate::cards::GATEWAY;
use crate::error::GatewayError;
use crate::model::{Gateway, Status};
use crate::queries;

/// What is to change in a gateway; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// What it is called; its slug stays.
    pub label: Option<String>,
    /// What it has or is.
    pub labels: Option<Vec<String>>,
    /// Where people reach it, in place of what it reports; empty for none.
    pub address: Option<String>,
    /// What each run there may spend while it is cut off, in micro-dollars.
    pub grant_micros: Option<i64>,
    /// For how many hours after the cut.
    pub cut_hours: Option<u32>,
}

/// Changes what people set of a gateway.
///
/// # Errors
/// When it is gone or the input is wrong.
pub fn change(tx: &mut WriteTx<'_>, id: GatewayId, patch: Patch) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut new = old.clone();
    if let Some(typed) = patch.label {
        words::label(&typed).map_or_else(|error| wrong.push(error), |label| new.label = label);
    }
    if let Some(typed) = patch.labels {
        words::labels(&typed).map_or_else(|error| wrong.push(error), |labels| new.labels = labels);
    }
    if let Some(typed) = patch.address {
        words::address(&typed).map_or_else(|error| wrong.push(error), |it| new.address = it);
    }
    if let Some(micros) = patch.grant_micros {
        words::grant(micros).map_or_else(|error| wrong.push(error), |it| new.grant_micros = it);
    }
    if let Some(hours) = patch.cut_hours {
        words::hours(hours).map_or_else(|error| wrong.push(error), |it| new.cut_hours = it);
    }
    match wrong.is_empty() {
        true => keep(tx, &old, new),
        false => Err(GatewayError::Invalid(wrong)),
    }
}

/// Lets a gateway finish what it has and take nothing new.
///
/// # Errors
/// When it is gone, is this machine, or is not let in any more.
pub fn pause(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old =
        other(tx, id, "This machine runs HQ itself; pause its agents, or all work, instead.")?;
    keep(tx, &old, Gateway { status: Status::Paused, ..old.clone() })
}

/// Lets a gateway take work again.
///
/// # Errors
/// When it is gone or is not let in any more.
pub fn resume(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    match old.status {
        Status::Paused | Status::Draining => {}
        Status::Revoked => return Err(revoked(&old)),
        Status::Provisioning | Status::Ready | Status::Error => return Ok(old),
    }
    let status = match old.ready_at {
        Some(_) => Status::Ready,
        None => Status::Provisioning,
    };
    keep(tx, &old, Gateway { status, ..old.clone() })
}

/// One of the machines that have the key of a gateway is chosen: what people were told of it is over.
///
/// # Errors
/// When it is gone, is this machine, or is not let in any more.
pub fn keep_copy(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = other(tx, id, "This machine runs HQ itself, and there is no other of it.")?;
    settled(tx, id, NoticeKind::GatewayTrouble)?;
    // It has called all the time, and is no machine of which nothing was heard.
    keep(tx, &old, Gateway { hello_at: Some(tx.now()), ..old.clone() })
}

/// Lets a gateway not in any more. This is not taken back: a machine that is to come back joins anew. Its runs end here, and
/// the work that they served begins anew where their agents work then.
///
/// # Errors
/// When it is gone or is this machine.
pub fn revoke(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    if old.is_local() {
        let words = "This machine runs HQ itself and is always let in.";
        return Err(GatewayError::Refused(words.to_owned()));
    }
    let new = keep(tx, &old, Gateway { status: Status::Revoked, silent_at: None, ..old.clone() })?;
    end_there(tx, &old, Why::Revoked)?;
    Ok(new)
}

/// Ends here what goes on at a gateway that is not let in any more: nothing is heard of its end.
fn end_there(tx: &mut WriteTx<'_>, one: &Gateway, why: Why) -> Result<(), GatewayError> {
    for kind in [NoticeKind::GatewayTrouble, NoticeKind::GatewayOffline] {
        settled(tx, one.id, kind)?;
    }
    back::take_all(tx, one.id, &one.label, why)?;
    for agent in queries::bound(tx, one.id)? {
        give_up(tx, agent)?;
    }
    Ok(())
}

/// Removes a gateway that nobody works on; its host is not let in any more. History keeps its label.
///
/// # Errors
/// When it is gone, is this machine, agents are there, or something is kept for it alone.
pub fn remove(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    if old.is_local() {
        let words = "This machine runs HQ itself and stays.";
        return Err(GatewayError::Refused(words.to_owned()));
    }
    let here = queries::agents_on(tx, id)?;
    if !here.is_empty() {
        let names: Vec<String> = here.iter().take(5).map(|agent| agent.name.clone()).collect();
        let words = format!(
            "{} still {} here; move or archive first.",
            kernel::text::listed(&names),
            if here.len() == 1 { "works" } else { "work" }
        );
        return Err(GatewayError::Refused(words));
    }
    // Agents that were archived may have left something there.
    end_there(tx, &old, Why::Removed)?;
    for agent in queries::bound(tx, id)? {
        places::has_worked(tx, agent, id)?;
    }
    tx.delete::<Gateway>(id).map_err(|error| held(&old, error))?;
    tx.emit(GATEWAY.event(&id, RowAct::Deleted));
    Ok(old)
}

/// Why a gateway stays that records of another noun name and need.
fn held(one: &Gateway, error: StoreError) -> GatewayError {
    let StoreError::Referenced { table } = error else { return error.into() };
    let many = cards::all().find(|noun| noun.topic == table).map_or(table, |noun| noun.many);
    GatewayError::Refused(format!(
        "There are {many} for {} alone; remove them or give them to others first.",
        one.label
    ))
}

/// A gateway that is let in and is not this machine.
fn other(tx: &WriteTx<'_>, id: GatewayId, here: &str) -> Result<Gateway, GatewayError> {
    let one = queries::gateway_by_id(tx, id)?;
    match one.status {
        _ if one.is_local() => Err(GatewayError::Refused(here.to_owned())),
        Status::Revoked => Err(revoked(&one)),
        _ => Ok(one),
    }
}

fn revoked(one: &Gateway) -> GatewayError {
    GatewayError::Refused(format!("{} is not let in any more; it has to join anew.", one.label))
}

/// Keeps a gateway that changed, and tells it.
pub(super) fn keep(
    tx: &mut WriteTx<'_>,
    old: &Gateway,
    new: Gateway,
) -> Result<Gateway, GatewayError> {
    if new == *old {
        return Ok(new);
    }
    let new = Gateway { updated_at: tx.now(), ..new };
    tx.put(&new)?;
    tx.emit(GATEWAY.changed(old, &new));
    Ok(new)
}
