//! Rules for gateways: change, pause, resume, revoke, remove.

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

/// Changes to a gateway; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Display name; the slug does not change.
    pub label: Option<String>,
    pub labels: Option<Vec<String>>,
    /// Overrides the addresses that the host reports; empty for none.
    pub address: Option<String>,
    /// Spending limit of each offline run, in micro-dollars.
    pub grant_micros: Option<i64>,
    /// Longest time that a run may work offline, in hours.
    pub cut_hours: Option<u32>,
}

/// Changes the settings of a gateway.
///
/// # Errors
/// Unknown gateway or invalid input.
pub fn change(tx: &mut WriteTx<'_>, id: GatewayId, patch: Patch) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut new = old.clone();
    if let Some(text) = patch.label {
        words::label(&text).map_or_else(|error| wrong.push(error), |label| new.label = label);
    }
    if let Some(text) = patch.labels {
        words::labels(&text).map_or_else(|error| wrong.push(error), |labels| new.labels = labels);
    }
    if let Some(text) = patch.address {
        words::address(&text).map_or_else(|error| wrong.push(error), |it| new.address = it);
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

/// Pauses a gateway: running work finishes, new work does not start.
///
/// # Errors
/// If the gateway is unknown, revoked, or this machine.
pub fn pause(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = other(tx, id, "This machine runs HQ. Pause its agents or all work instead.")?;
    keep(tx, &old, Gateway { status: Status::Paused, ..old.clone() })
}

/// Lets a gateway take work again.
///
/// # Errors
/// If the gateway is unknown or revoked.
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

/// Settles the notice about several machines with one key after one of them was chosen.
///
/// # Errors
/// If the gateway is unknown, revoked, or this machine.
pub fn keep_copy(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = other(tx, id, "This machine runs HQ, so there are no copies of it.")?;
    settled(tx, id, NoticeKind::GatewayTrouble)?;
    // The machine has been calling all the time and does not count as silent.
    keep(tx, &old, Gateway { hello_at: Some(tx.now()), ..old.clone() })
}

/// Revokes a gateway permanently: a machine that is to return has to join again. Its runs end here, and their work
/// starts again where their agents work then.
///
/// # Errors
/// If the gateway is unknown or this machine.
pub fn revoke(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    if old.is_local() {
        let words = "This machine runs HQ and always has access.";
        return Err(GatewayError::Refused(words.to_owned()));
    }
    let new = keep(tx, &old, Gateway { status: Status::Revoked, silent_at: None, ..old.clone() })?;
    end_there(tx, &old, Why::Revoked)?;
    Ok(new)
}

/// Ends the runs of a gateway that is no longer admitted, since no report of their end will arrive.
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

/// Removes a gateway without agents and revokes its host. History keeps its label.
///
/// # Errors
/// If the gateway is unknown, this machine, has agents, or other records refer to it.
pub fn remove(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let old = queries::gateway_by_id(tx, id)?;
    if old.is_local() {
        let words = "This machine runs HQ and can’t be removed.";
        return Err(GatewayError::Refused(words.to_owned()));
    }
    let here = queries::agents_on(tx, id)?;
    if !here.is_empty() {
        let names: Vec<String> = here.iter().take(5).map(|agent| agent.name.clone()).collect();
        let words = format!(
            "{} still {} here. Move or archive them first.",
            kernel::text::listed(&names),
            if here.len() == 1 { "works" } else { "work" }
        );
        return Err(GatewayError::Refused(words));
    }
    // Archived agents may have unsent data there.
    end_there(tx, &old, Why::Removed)?;
    for agent in queries::bound(tx, id)? {
        places::has_worked(tx, agent, id)?;
    }
    tx.delete::<Gateway>(id).map_err(|error| held(&old, error))?;
    tx.emit(GATEWAY.event(&id, RowAct::Deleted));
    Ok(old)
}

/// Error for a gateway that records of another noun refer to.
fn held(one: &Gateway, error: StoreError) -> GatewayError {
    let StoreError::Referenced { table } = error else { return error.into() };
    let many = cards::all().find(|noun| noun.topic == table).map_or(table, |noun| noun.many);
    GatewayError::Refused(format!(
        "There are {many} only for {}. Remove or reassign them first.",
        one.label
    ))
}

/// An admitted gateway other than this machine; `here` is the error text for this machine.
fn other(tx: &WriteTx<'_>, id: GatewayId, here: &str) -> Result<Gateway, GatewayError> {
    let one = queries::gateway_by_id(tx, id)?;
    match one.status {
        _ if one.is_local() => Err(GatewayError::Refused(here.to_owned())),
        Status::Revoked => Err(revoked(&one)),
        _ => Ok(one),
    }
}

fn revoked(one: &Gateway) -> GatewayError {
    GatewayError::Refused(format!("{} no longer has access. It has to join again.", one.label))
}

/// Stores a changed gateway and emits the event.
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
