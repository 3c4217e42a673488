//! Link state of a gateway's machine in API responses, and the choice between machines that share a key.

use app::copies::FolderCopy;
use app::{Who, Ws};
use kernel::{GatewayId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::GatewayError;
use crate::model::Gateway;
use crate::pages::reach;
use crate::rules;

/// The link of a gateway's machine.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LinkView {
    #[schemars(with = "String")]
    since: Timestamp,
    /// How many entries of the feed it does not have yet.
    behind: u64,
    /// The same in words.
    told: String,
    /// How many writes of its runs wait to be sent here.
    unsent: u64,
    /// How far its clock is ahead of this one, in milliseconds.
    clock_ms: Option<i64>,
    /// When it last had no link.
    #[schemars(with = "Option<String>")]
    broke_at: Option<Timestamp>,
    /// Why it had none, as it says itself.
    broke_why: Option<String>,
}

/// Something that is wrong with the machine of a gateway.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TroubleView {
    /// `disk_full`, `clock`, `stuck`, `unsent` or `copied`.
    kind: &'static str,
    /// The same as a sentence.
    told: String,
}

impl LinkView {
    pub(crate) fn of(ws: &Ws, one: &Gateway) -> Option<Self> {
        let (linked, head) = (ws.app.hosts.linked(ws.id, one.id)?, ws.store.head().seq);
        let report = ws.app.hosts.report(ws.id, one.id).unwrap_or_default();
        let (broke_at, broke_why) = report.broke.unzip();
        Some(Self {
            since: linked.since,
            behind: linked.behind(head),
            told: reach(&linked, head),
            unsent: report.unsent,
            clock_ms: report.clock_ms,
            broke_at,
            broke_why,
        })
    }
}

impl TroubleView {
    pub(crate) fn of(ws: &Ws, one: &Gateway) -> Vec<Self> {
        let all = ws.app.hosts.troubles(ws.id, one.id).into_iter();
        all.map(|trouble| Self { kind: trouble.word(), told: trouble.describe(&one.label) })
            .collect()
    }
}

/// A machine with the key of a gateway, while that is held.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CopyView {
    /// By which it is chosen.
    id: String,
    /// The name of the machine, as its system says.
    name: String,
    /// The address that it called from.
    address: String,
    /// When it called last.
    #[schemars(with = "String")]
    seen_at: Timestamp,
}

impl CopyView {
    pub(crate) fn of(ws: &Ws, id: GatewayId) -> Vec<Self> {
        let view = |one: FolderCopy| {
            let FolderCopy { id, name, address, seen_at, .. } = one;
            Self { id, name, address, seen_at }
        };
        ws.app.hosts.copies(ws.id, id).into_iter().map(view).collect()
    }
}

/// Chooses one of the machines that share a gateway's key.
///
/// # Errors
/// If there is nothing to choose, or no such machine.
pub(crate) async fn keep(
    ws: &Ws,
    who: &impl Who,
    one: &Gateway,
    copy: &str,
) -> Result<(), GatewayError> {
    let (id, hosts) = (one.id, &ws.app.hosts);
    let refused = |words: &str| Err(GatewayError::Refused(format!("{} {words}", one.label)));
    let all = hosts.copies(ws.id, id);
    if all.is_empty() {
        return refused("has no copies.");
    }
    if !all.iter().any(|one| one.id == copy) {
        return refused("doesn’t have this copy. Choose one from its page.");
    }
    ws.write(who, move |tx| rules::keep_copy(tx, id)).await?;
    match hosts.keep_copy(ws.id, id, copy) {
        true => Ok(()),
        false => refused("is no longer paused. Someone else has already chosen."),
    }
}
