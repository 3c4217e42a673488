//! Admission and status reports of hosts, called by `link`. Reports are untrusted: only the fields handled here are
//! stored, cut to length.

use crypto::token::Token;
use jiff::SignedDuration;
use kernel::{About, GatewayId, Notice, NoticeKind, RecordId, RowAct, Timestamp, TypedId as _};
use store::{ReadExt as _, WriteTx};

use super::gateways::keep;
use super::trouble::settled;
use super::words;
use crate::cards::{GATEWAY, TOKEN};
use crate::error::GatewayError;
use crate::health::TOLD;
use crate::model::{Beat, Facts, Gateway, GatewayToken, HostKey, Load, Status};
use crate::queries;

const MOST: usize = 200;
/// Alarms about wrong keys are sent at most once per gateway in this time.
const ALARM: SignedDuration = SignedDuration::from_hours(1);
/// Longest text stored from a host's report, in characters.
const MAX_SAID: usize = 120;

kernel::words! {
    /// Why a host is not let in.
    Refusal {
        /// There is no such token.
        UnknownToken = "unknown_token", "This token doesn’t exist. Create a new command in \
            Settings, Gateways.";
        /// It is over.
        ExpiredToken = "token_expired", "This token has expired. Create a new command in Settings, \
            Gateways.";
        /// Somebody has withdrawn it.
        RevokedToken = "token_revoked", "This token was revoked. Create a new command in Settings, \
            Gateways.";
        /// Another machine has joined with it.
        UsedToken = "token_used", "Another machine has used this token. Each token works for one \
            machine.";
        /// There is no such gateway.
        UnknownGateway = "unknown_gateway", "This machine is no longer one of the workspace’s \
            gateways. Join again with a new command.";
        /// It is not let in any more.
        RevokedGateway = "gateway_revoked", "This machine’s access was revoked. It needs a new key \
            and a new command.";
        /// The key is another one.
        OtherKey = "other_key", "This gateway has another key.";
        /// There are too many.
        TooMany = "too_many", "The workspace has too many gateways.";
        /// Another machine has the same folder, and nobody has chosen yet.
        Held = "gateway_held", "Two machines run as this gateway because its folder was copied. \
            Both are paused until you choose one in Settings, Gateways.";
        /// Another machine has the same folder, and was chosen.
        Copied = "gateway_copy", "Another copy of this folder was chosen as the gateway. Remove this one, or run `hq replica leave` here and join with a new command.";
    }
}

/// Decision about a connecting host. Its record is committed in both cases, so that refusals are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Admitted as this gateway.
    Welcome {
        gateway: GatewayId,
        /// The gateway was created by this call.
        is_new: bool,
    },
    Refused(Refusal),
}

/// Decides about a host that presents a token and has proved possession of the key. The same key and token always get
/// the same decision; another key is refused, with a notice to administrators.
pub fn judge_join(
    tx: &mut WriteTx<'_>,
    token: &Token,
    key: HostKey,
    facts: &Facts,
) -> Result<Judgement, GatewayError> {
    let refused = |why| Ok(Judgement::Refused(why));
    let Some(found) = queries::token(tx, token)? else { return refused(Refusal::UnknownToken) };
    if found.revoked_at.is_some() {
        return refused(Refusal::RevokedToken);
    }
    match found.host_key {
        Some(bound) if bound == key => return known_by(tx, &found),
        Some(_) => return stranger_with(tx, found),
        None if found.expires_at <= tx.now() => return refused(Refusal::ExpiredToken),
        None => {}
    }
    if let Some(known) = queries::gateway_with(tx, &key)? {
        // A known machine that joins again keeps its gateway.
        return match known.status {
            Status::Revoked => refused(Refusal::RevokedGateway),
            _ => bind(tx, found, (key, known.id), false),
        };
    }
    let all = queries::gateways(tx)?;
    if MOST <= all.len() {
        return refused(Refusal::TooMany);
    }
    let slug = words::free_slug(&found.label, &all);
    let made = Gateway {
        labels: words::joined_labels(&found.labels, &facts.labels),
        addresses: words::said_addresses(&facts.addresses),
        host_key: Some(key),
        version: words::clip(&facts.version, MAX_SAID),
        joined_at: Some(tx.now()),
        ..Gateway::fresh(tx.new_id(), (found.label.as_str(), slug.as_str()), (found.by, tx.now()))
    };
    tx.put(&made)?;
    tx.emit(GATEWAY.event(&made.id, RowAct::Created));
    bind(tx, found, (key, made.id), true)
}

/// Binds a token to the gateway that joined with it.
fn bind(
    tx: &mut WriteTx<'_>,
    old: GatewayToken,
    (key, gateway): (HostKey, GatewayId),
    is_new: bool,
) -> Result<Judgement, GatewayError> {
    let now = Some(tx.now());
    let new = GatewayToken {
        used_at: now,
        called_at: old.called_at.or(now),
        host_key: Some(key),
        gateway: Some(gateway),
        ..old.clone()
    };
    tx.put(&new)?;
    tx.emit(TOKEN.changed(&old, &new));
    Ok(Judgement::Welcome { gateway, is_new })
}

/// Decision for the machine that the token is bound to.
fn known_by(tx: &WriteTx<'_>, found: &GatewayToken) -> Result<Judgement, GatewayError> {
    let gateway = match found.gateway {
        Some(id) => tx.get::<Gateway>(id)?,
        None => None,
    };
    Ok(match gateway {
        Some(one) if one.status == Status::Revoked => Judgement::Refused(Refusal::RevokedGateway),
        Some(one) => Judgement::Welcome { gateway: one.id, is_new: false },
        None => Judgement::Refused(Refusal::UnknownGateway),
    })
}

/// Another machine presents a bound token: anyone who has seen the command may have the token.
fn stranger_with(tx: &mut WriteTx<'_>, old: GatewayToken) -> Result<Judgement, GatewayError> {
    let new = GatewayToken { refused: old.refused.saturating_add(1), ..old.clone() };
    if old.refused == 0 {
        let title = format!("Another machine tried to join as {}", old.label);
        let body = "It used a command that another machine had already used, and was denied. If \
            that wasn’t you, check who has seen the command.";
        let about = match old.gateway {
            Some(id) => About::Row(GATEWAY.table, RecordId::from_uuid(id.uuid())),
            None => About::Workspace,
        };
        tx.emit(Notice::new(NoticeKind::System, about, title).body(body).only().admins().event());
    }
    tx.put(&new)?;
    tx.emit(TOKEN.changed(&old, &new));
    Ok(Judgement::Refused(Refusal::UsedToken))
}

/// Decides about a host that names its gateway and has proved possession of the key.
pub fn judge_known(
    tx: &mut WriteTx<'_>,
    gateway: GatewayId,
    key: HostKey,
) -> Result<Judgement, GatewayError> {
    let Some(one) = tx.get::<Gateway>(gateway)? else {
        return Ok(Judgement::Refused(Refusal::UnknownGateway));
    };
    if one.host_key != Some(key) {
        alarm(tx, &one)?;
        return Ok(Judgement::Refused(Refusal::OtherKey));
    }
    match one.status {
        Status::Revoked => Ok(Judgement::Refused(Refusal::RevokedGateway)),
        _ => Ok(Judgement::Welcome { gateway, is_new: false }),
    }
}

/// Records a connection in the name of a gateway with another key, and notifies administrators.
fn alarm(tx: &mut WriteTx<'_>, old: &Gateway) -> Result<(), GatewayError> {
    let now = tx.now();
    if old.strange_at.is_some_and(|at| now < at + ALARM) {
        return Ok(());
    }
    let title = format!("Another machine connected as {}", old.label);
    let body = "It has another key and was denied. If that wasn’t you, someone knows your \
        gateways.";
    tx.emit(notice(NoticeKind::System, old, title).body(body).event());
    keep(tx, old, Gateway { strange_at: Some(now), ..old.clone() }).map(drop)
}

/// Notifies administrators that a host sent something that it may not send. Nothing of it was applied.
pub fn lied(tx: &mut WriteTx<'_>, id: GatewayId, what: &str) -> Result<(), GatewayError> {
    let one = queries::gateway_by_id(tx, id)?;
    let title = format!("Request from {} denied", one.label);
    let body = format!("Its machine requested data that isn’t its own: {what}. HQ did nothing.");
    tx.emit(notice(NoticeKind::System, &one, title).body(body).event());
    Ok(())
}

/// A notice about a gateway, for administrators only.
pub(super) fn notice(kind: NoticeKind, one: &Gateway, title: String) -> Notice {
    let about = About::Row(GATEWAY.table, RecordId::from_uuid(one.id.uuid()));
    Notice::new(kind, about, title).only().admins()
}

/// The gateway, unless it is revoked.
fn let_in(tx: &WriteTx<'_>, id: GatewayId) -> Result<Gateway, GatewayError> {
    let one = tx.get::<Gateway>(id)?.ok_or_else(|| GatewayError::no(&id.to_string()))?;
    match one.status {
        Status::Revoked => Err(GatewayError::Refused(Refusal::RevokedGateway.label().to_owned())),
        _ => Ok(one),
    }
}

/// Records that a host has connected.
///
/// # Errors
/// If the gateway is unknown or revoked.
pub fn hello(tx: &mut WriteTx<'_>, id: GatewayId, facts: &Facts) -> Result<Gateway, GatewayError> {
    let old = let_in(tx, id)?;
    heard(tx, id, &facts.load, Some(&facts.system))?;
    let new = Gateway {
        addresses: words::said_addresses(&facts.addresses),
        version: words::clip(&facts.version, MAX_SAID),
        hello_at: Some(tx.now()),
        goodbye_at: None,
        silent_at: None,
        ..old.clone()
    };
    back(tx, &old)?;
    tx.put(&new)?;
    Ok(new)
}

/// Notifies people that a gateway is back, if its silence was reported.
fn back(tx: &mut WriteTx<'_>, old: &Gateway) -> Result<(), GatewayError> {
    let Some(since) = old.silent_at else { return Ok(()) };
    settled(tx, old.id, NoticeKind::GatewayOffline)?;
    let silent = tx.now().duration_since(since).as_mins().max(0);
    let body = format!("It was offline for {silent} minutes.");
    let title = format!("{} is back online", old.label);
    tx.emit(notice(NoticeKind::GatewayOnline, old, title).body(body).event());
    Ok(())
}

/// Records a heartbeat, which hosts send every ten seconds. Emits no event, unless the host returns from a silence.
///
/// # Errors
/// If the gateway is unknown or revoked.
pub fn beat(tx: &mut WriteTx<'_>, id: GatewayId, load: &Load) -> Result<(), GatewayError> {
    let old = let_in(tx, id)?;
    heard(tx, id, load, None)?;
    if old.silent_at.is_some() || old.goodbye_at.is_some() {
        back(tx, &old)?;
        tx.put(&Gateway { silent_at: None, goodbye_at: None, ..old })?;
    }
    Ok(())
}

fn heard(
    tx: &mut WriteTx<'_>,
    gateway: GatewayId,
    load: &Load,
    system: Option<&str>,
) -> Result<(), GatewayError> {
    let (at, old) = (tx.now(), queries::beat(tx, gateway)?);
    let minutes = old.as_ref().map_or(1, |old| old.with(at));
    let system = match system {
        Some(message) => words::clip(message, MAX_SAID),
        None => old.map(|old| old.system).unwrap_or_default(),
    };
    let load = Load { processor_percent: load.processor_percent.min(100), ..*load };
    tx.put(&Beat { gateway, at, system, load, minutes })?;
    Ok(())
}

/// Records that a host has its first complete snapshot.
///
/// # Errors
/// If the gateway is unknown or revoked.
pub fn snapshot(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<(), GatewayError> {
    let old = let_in(tx, id)?;
    if old.snapshot_at.is_none() {
        tx.put(&Gateway { snapshot_at: Some(tx.now()), ..old })?;
    }
    Ok(())
}

/// Records that a host is ready for agents.
///
/// # Errors
/// If the gateway is unknown or revoked.
pub fn ready(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<(), GatewayError> {
    let old = let_in(tx, id)?;
    let now = Some(tx.now());
    let status = match old.status {
        Status::Provisioning | Status::Error => Status::Ready,
        other => other,
    };
    let new = Gateway {
        status,
        status_reason: String::new(),
        snapshot_at: old.snapshot_at.or(now),
        ready_at: old.ready_at.or(now),
        ..old.clone()
    };
    keep(tx, &old, new).map(drop)
}

/// Records that a host announced its stop: its silence is no alarm.
///
/// # Errors
/// If the gateway is unknown or revoked.
pub fn goodbye(tx: &mut WriteTx<'_>, id: GatewayId) -> Result<(), GatewayError> {
    let old = let_in(tx, id)?;
    let at = queries::signal(tx, &old)?.last.max(Some(tx.now()));
    tx.put(&Gateway { goodbye_at: at, silent_at: None, ..old })?;
    Ok(())
}

/// Notifies people of a gateway that has been silent for five minutes: once per silence, and not after an announced
/// stop. Silence counts from `began` at the earliest, the start of this program. Returns whether people were notified.
pub fn tell_silence(
    tx: &mut WriteTx<'_>,
    id: GatewayId,
    began: Timestamp,
) -> Result<bool, GatewayError> {
    let Some(old) = tx.get::<Gateway>(id)? else { return Ok(false) };
    let signal = queries::signal(tx, &old)?;
    let Some(last) = silent_from(&old, signal.last) else { return Ok(false) };
    if tx.now() < last.max(began) + TOLD {
        return Ok(false);
    }
    let title = format!("{} has been offline for 5 minutes", old.label);
    let body = "Runs there continue. New work starts when it reconnects.";
    tx.emit(notice(NoticeKind::GatewayOffline, &old, title).body(body).event());
    tx.put(&Gateway { silent_at: Some(last), ..old })?;
    Ok(true)
}

/// Last contact of a gateway whose silence is still to be reported; `None` if no report is due.
#[must_use]
pub(crate) fn silent_from(one: &Gateway, last: Option<Timestamp>) -> Option<Timestamp> {
    let is_expected = !one.is_local()
        && one.status != Status::Revoked
        && one.silent_at.is_none()
        && one.goodbye_at.is_none();
    last.filter(|_| is_expected)
}
