//! The state of a host: for `hq replica status` and for the host itself.

use std::collections::BTreeMap;
use std::time::Duration;

use app::upstream::{KEYS_GONE, Upstream as _};
use features::runs::queries as runs;
use features::runs::rules::link as line;
use gateways::rules::outbox;
use kernel::{GatewayId, Timestamp};
use mirror::Standing;
use serde::{Deserialize, Serialize};

use crate::error::ReplicaError;
use crate::reach::wait_after;
use crate::shut_out::{HELD, SHUT_OUT_CODES};
use crate::{Replica, VERSION, folder};

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// A stable code.
    pub(crate) code: String,
    /// A sentence for people.
    pub(crate) sentence: String,
    /// The minimum delay before the next attempt.
    pub(crate) wait: Option<Duration>,
}

impl Why {
    pub(crate) fn of(error: &ReplicaError) -> Self {
        Self { code: error.code().to_owned(), sentence: error.sentence(), wait: wait_after(error) }
    }
}

/// The present state of a host.
#[derive(Clone, Debug)]
pub(crate) struct Now {
    /// The start of the link, or of the time without one.
    pub(crate) since: Timestamp,
    pub(crate) is_linked: bool,
    /// Why there is no link.
    pub(crate) why: Option<Why>,
    /// The version of HQ on the primary.
    pub(crate) home_version: Option<String>,
    /// How far the primary's clock is ahead, in milliseconds.
    pub(crate) clock_ms: Option<i64>,
    /// The newest known entry of the primary's feed.
    pub(crate) head: Option<u64>,
    /// The host takes no new work.
    pub(crate) is_paused: bool,
    /// Why received data cannot be applied.
    pub(crate) trouble: Option<String>,
    /// The reason is a full disk.
    pub(crate) is_full: bool,
    /// The last time without a link, and its reason.
    pub(crate) broke: Option<(Timestamp, String)>,
}

impl Now {
    /// The state before the first link.
    pub(crate) fn apart(since: Timestamp) -> Self {
        Self {
            since,
            is_linked: false,
            why: None,
            home_version: None,
            clock_ms: None,
            head: None,
            is_paused: false,
            trouble: None,
            is_full: false,
            broke: None,
        }
    }

    pub(crate) fn linked(&mut self, since: Timestamp, version: String) {
        (self.is_linked, self.since, self.why) = (true, since, None);
        self.home_version = Some(version);
    }

    /// Records a cut. Returns whether the reason differs from the last one.
    pub(crate) fn cut(&mut self, at: Timestamp, why: Why) -> bool {
        let is_new = self.why.as_ref().is_none_or(|last| last.sentence != why.sentence);
        if self.is_linked {
            (self.is_linked, self.since) = (false, at);
        }
        self.broke = Some((at, why.sentence.clone()));
        self.why = Some(why);
        (self.trouble, self.is_full) = (None, false);
        is_new
    }
}

/// The state of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// A program runs the host.
    pub running: bool,
    /// The process id of that program.
    pub pid: Option<u32>,
    /// The version of this program.
    pub version: String,
    /// The protocol version.
    pub wire: u32,
    /// The fingerprint of this host's key.
    pub fingerprint: String,
    pub home: Option<String>,
    /// The fingerprint of the workspace's key.
    pub home_fingerprint: Option<String>,
    /// The version of HQ on the primary, once known.
    pub home_version: Option<String>,
    /// The gateway's id, once the host has joined.
    pub gateway: Option<GatewayId>,
    /// The gateway's name.
    pub label: Option<String>,
    pub linked: bool,
    /// The start of the link, or of the time without one.
    pub since: Timestamp,
    /// Why there is no link: a stable code.
    pub code: Option<String>,
    /// The same as a sentence.
    pub why: Option<String>,
    /// The primary's name for this copy of the folder, while the host is held.
    #[serde(default)]
    pub copy: Option<String>,
    /// The host takes no new work.
    pub paused: bool,
    /// Why received data cannot be applied.
    pub trouble: Option<String>,
    /// How far the primary's clock is ahead, in milliseconds.
    pub clock_ms: Option<i64>,
    /// The position in the primary's feed as `life.entry`; `None` before the first data.
    pub cursor: Option<String>,
    /// The entry of that position.
    pub seq: Option<u64>,
    /// All replicated rows are here; otherwise a snapshot is in progress.
    pub whole: bool,
    /// The newest known entry of the primary's feed.
    pub head: Option<u64>,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Number of offline writes that the primary has not received.
    #[serde(default)]
    pub unsaid: u64,
    /// The time of the first of them.
    #[serde(default)]
    pub unsaid_since: Option<Timestamp>,
    /// Number of runs that wait for the link, because only the primary can decide their request.
    #[serde(default)]
    pub waiting: u64,
    /// Since when the first of them waits.
    #[serde(default)]
    pub waiting_since: Option<Timestamp>,
}

impl Replica {
    /// The present state. Reads the whole mirror. Blocking.
    pub fn status(&self, running: bool) -> Result<Status, ReplicaError> {
        // Read the reason first: its data was noted before it was set.
        let now = self.0.now.lock().clone();
        let known = self.known();
        let (at, whole) = match self.0.mirror.standing()? {
            Standing::Nothing => (None, false),
            Standing::Taking(life, seq, _) => (Some((life, seq)), false),
            Standing::Following(life, seq) => (Some((life, seq)), true),
        };
        let rows = mirror::counts(self.0.mirror.store())?;
        let unsaid = self.0.mirror.store().read(|snap| outbox::count(snap))?;
        let mut live = self.0.mirror.store().read(|snap| runs::live(snap))?;
        live.retain(line::is_waiting);
        let aside = folder::unsaid(&self.0.folder)?.pop().map(|name| {
            format!(
                "the workspace's copy on this machine was unreadable and was fetched again; \
                 changes made while offline may be in {name}, which hasn't been sent: remove that \
                 file once no one needs it"
            )
        });
        // A host that is shut out gets no keys again; the reason for the missing link says so.
        let is_out =
            now.why.as_ref().is_some_and(|why| SHUT_OUT_CODES.contains(&why.code.as_str()));
        let keys = (!is_out && self.0.calls.lacks_keys()).then(|| KEYS_GONE.to_owned());
        let is_held = now.why.as_ref().is_some_and(|why| why.code == HELD);
        let copy = known.as_ref().filter(|_| is_held).and_then(|known| known.branch.clone());
        let named = self.0.joins.clone();
        Ok(Status {
            running,
            pid: running.then(std::process::id),
            version: VERSION.to_owned(),
            wire: link::WIRE,
            fingerprint: self.0.identity.public().fingerprint(),
            home: known.as_ref().map(|known| known.home.clone()).or(named.map(|(home, _)| home)),
            home_fingerprint: known.as_ref().map(|known| known.key.fingerprint()),
            home_version: now.home_version,
            gateway: known.as_ref().map(|known| known.gateway),
            label: known.map(|known| known.label),
            linked: now.is_linked,
            since: now.since,
            code: now.why.as_ref().map(|why| why.code.clone()),
            why: now.why.map(|why| why.sentence),
            copy,
            paused: now.is_paused,
            trouble: now.trouble.or(aside).or(keys),
            clock_ms: now.clock_ms,
            cursor: at.map(|(life, seq)| format!("{life:016x}.{seq}")),
            seq: at.map(|(_, seq)| seq),
            whole,
            head: now.head,
            rows: rows.into_iter().map(|(table, rows)| (table.to_owned(), rows)).collect(),
            unsaid: unsaid.writes,
            unsaid_since: unsaid.since,
            waiting: live.len() as u64,
            waiting_since: live.into_iter().filter_map(|run| run.waiting).map(|it| it.since).min(),
        })
    }
}
