//! Status of connections in the eight words shared by commands, API and status page.

use crate::connections::cooldown::Candidate;
use crate::connections::model::{Connection, Cooldown};
use crypto::keyring::Keyring;
use kernel::{ConnectionId, Route, Timestamp};
use providers::error::ErrorClass;
use store::{Read, StoreError};

use super::eligible::{self, Reason};
use super::{all, first_model, route, turns};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub connection: ConnectionId,
    pub name: String,
    /// Payment route of calls.
    pub route: Route,
    /// `ok`, `auth`, `rate_limit`, `billing`, `timeout`, `format`, `no_model` or `unknown`.
    pub status: &'static str,
    /// Stable identifier of the reason if the status is not `ok`.
    pub reason: Option<&'static str>,
    /// What happened and what helps; empty if the status is `ok`.
    pub says: String,
    /// End of the cooldown.
    pub until: Option<Timestamp>,
    pub tested_at: Option<Timestamp>,
}

/// Status word of an error class.
#[must_use]
pub fn status_of(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Auth | ErrorClass::AuthPermanent | ErrorClass::SignIn => "auth",
        ErrorClass::RateLimit | ErrorClass::Overloaded => "rate_limit",
        ErrorClass::Billing => "billing",
        ErrorClass::Timeout => "timeout",
        ErrorClass::Garbage
        | ErrorClass::EmptyAnswer
        | ErrorClass::InvalidRequest
        | ErrorClass::Replay
        | ErrorClass::ContextTooLong
        | ErrorClass::ContentRefused => "format",
        ErrorClass::NotFoundModel => "no_model",
        ErrorClass::Server | ErrorClass::Network | ErrorClass::Interrupted => "unknown",
    }
}

fn status_of_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::NoModel => "no_model",
        Reason::IneligibleProfile => "format",
        _ => "auth",
    }
}

/// Status of all connections by name. Makes no external calls.
pub fn standings(
    tx: &dyn Read,
    ring: &Keyring,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let all = all(tx)?.into_iter();
    all.map(|connection| standing(tx, &connection, ring, now)).collect()
}

fn standing(
    tx: &dyn Read,
    connection: &Connection,
    ring: &Keyring,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let well = Standing {
        connection: connection.id,
        name: connection.name.clone(),
        route: route(connection),
        status: "ok",
        reason: None,
        says: String::new(),
        until: None,
        tested_at: connection.tested.as_ref().map(|tested| tested.at),
    };
    if let Some(reason) = eligible::why_not(tx, connection, ring, now)? {
        let (status, says) = (status_of_reason(reason), reason.says().to_owned());
        return Ok(Standing { status, reason: Some(reason.word()), says, ..well });
    }
    if let Some(rest) = rest_of_all(tx, connection, now)? {
        let class = rest.class;
        return Ok(Standing {
            status: status_of(class),
            reason: Some(class.word()),
            says: class.explained(&rest.message),
            until: Some(rest.until),
            ..well
        });
    }
    Ok(match &connection.tested {
        None => Standing {
            status: "unknown",
            reason: Some("not_tested"),
            says: "Not tested yet.".to_owned(),
            ..well
        },
        Some(tested) if !tested.ok => Standing {
            status: "unknown",
            reason: Some("test_failed"),
            says: tested.message.clone(),
            ..well
        },
        Some(_) => well,
    })
}

/// The cooldown that ends first, if the connection's model is in cooldown with every key.
fn rest_of_all(
    tx: &dyn Read,
    connection: &Connection,
    now: Timestamp,
) -> Result<Option<Cooldown>, StoreError> {
    let Some(model) = first_model(connection) else { return Ok(None) };
    let mut soonest = None;
    for slot in turns::slots(tx, connection.id)? {
        let who = Candidate { connection: Some(connection.id), slot, model: model.clone() };
        match turns::resting(tx, &who, now)? {
            None => return Ok(None),
            Some(rest) => {
                let both = soonest.into_iter().chain([rest]);
                soonest = both.min_by_key(|rest| rest.until);
            }
        }
    }
    Ok(soonest)
}
