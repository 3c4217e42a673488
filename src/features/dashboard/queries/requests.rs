//! People who ask on a messenger to write to an agent. The channels package is above this one and knows them.

use std::sync::OnceLock;

use kernel::{AgentId, Can, Timestamp};
use store::{Read, StoreError};
use web::parts::Tone;

use super::DashboardContext;
use super::away::Hidden;
use super::needs::{Act, Row};
use super::tally::Found;

/// The page on which requests are decided, relative to the workspace.
pub(super) const PATH: &str = "settings/channel-people";

/// The table of the requests, whose changes refresh the dashboard.
pub const TABLE: &str = "channel_people";

/// An open request.
pub struct AccessRequest {
    pub id: String,
    /// Such as `Bob (@bob) on Telegram`.
    pub name: String,
    /// The agent of the channel.
    pub agent: Option<AgentId>,
    pub since: Timestamp,
}

/// The open requests at a moment, oldest first.
pub type AccessRequests = fn(&dyn Read, Timestamp) -> Result<Vec<AccessRequest>, StoreError>;

static OF: OnceLock<AccessRequests> = OnceLock::new();

/// Installs the source, before the first page. Only the first call has an effect.
pub fn install(of: AccessRequests) {
    // ok: a second server in the same process has the same function.
    let _ = OF.set(of);
}

/// The open requests, for those who decide them.
pub(super) fn found(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let all = match OF.get() {
        Some(of) if scene.who.access.may(Can::Admin) => of(tx, scene.now)?,
        _ => Vec::new(),
    };
    Found::draw(
        hidden,
        all,
        |one| (format!("access-{}", one.id), None),
        |one| {
            let agent = one.agent.and_then(|agent| scene.agent(agent));
            let to = agent.map_or_else(|| "an agent".to_owned(), |agent| scene.called.name(agent));
            let href = scene.ws.url(&format!("{PATH}?edit={}#form", one.id));
            Ok(Row {
                tone: Tone::Warn,
                icon: "user",
                title: format!("{} asks to write to {to}", one.name),
                word: "Access",
                also: "asks for access".to_owned(),
                face: agent.map(|agent| scene.called.face(agent)),
                facts: vec![scene.time(one.since).text],
                acts: vec![Act::go("Decide", href.clone())],
                href,
                ..Row::default()
            })
        },
    )
}
