//! How a host stands: for `hq replica status`, and for itself.

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
    /// A stable word.
    pub(crate) code: String,
    /// A sentence for people.
    pub(crate) sentence: String,
    /// How long to wait at least before the next try.
    pub(crate) wait: Option<Duration>,
}

impl Why {
    pub(crate) fn of(error: &ReplicaError) -> Self {
        Self { code: error.code().to_owned(), sentence: error.sentence(), wait: wait_after(error) }
    }
}

/// How it stands at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Now {
    /// Since when there is a link, or there is none.
    pub(crate) since: Timestamp,
    pub(crate) is_linked: bool,
    /// Why there is none.
    pub(crate) why: Option<Why>,
    /// The version of home's program.
    pub(crate) home_version: Option<String>,
    /// How far home's clock is ahead of this one, in milliseconds.
    pub(crate) clock_ms: Option<i64>,
    /// The number of home's newest entry, as far as it is known.
    pub(crate) head: Option<u64>,
    /// Whether it is to take no new work.
    pub(crate) is_paused: bool,
    /// What keeps it from laying what has come.
    pub(crate) trouble: Option<String>,
    /// Whether that is that the disk has no room.
    pub(crate) is_full: bool,
    /// When there was last no link, and why.
    pub(crate) broke: Option<(Timestamp, String)>,
}

impl Now {
    /// There was no link yet.
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

    /// Returns whether the reason differs from the last one.
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

/// How a host stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Whether a program runs it.
    pub running: bool,
    /// Its process, while one does.
    pub pid: Option<u32>,
    /// The version of this program.
    pub version: String,
    /// The number of what it speaks.
    pub wire: u32,
    /// The fingerprint of this machine's own key.
    pub fingerprint: String,
    pub home: Option<String>,
    /// The fingerprint of the key of the workspace.
    pub home_fingerprint: Option<String>,
    /// The version of home's program, once it was heard.
    pub home_version: Option<String>,
    /// Which gateway it is, once it has joined.
    pub gateway: Option<GatewayId>,
    /// What the gateway is called.
    pub label: Option<String>,
    /// Whether there is a link.
    pub linked: bool,
    /// Since when there is one, or there is none.
    pub since: Timestamp,
    /// Why there is none: a stable word.
    pub code: Option<String>,
    /// The same as a sentence.
    pub why: Option<String>,
    /// How home names this copy of the folder, while it is held as one of two.
    #[serde(default)]
    pub copy: Option<String>,
    /// Whether it is to take no new work.
    pub paused: bool,
    /// What keeps it from laying what has come.
    pub trouble: Option<String>,
    /// How far home's clock is ahead of this one, in milliseconds.
    pub clock_ms: Option<i64>,
    /// Where it is in home's feed, as `life.entry`; nothing before it has anything.
    pub cursor: Option<String>,
    /// The entry of it.
    pub seq: Option<u64>,
    /// Whether all that it may have is here; else a snapshot is on its way.
    pub whole: bool,
    /// The number of home's newest entry, as it said at the beginning of the link or later.
    pub head: Option<u64>,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// So many writes of runs wait for home to hear them: they were made while the line was cut.
    #[serde(default)]
    pub unsaid: u64,
    /// Since when the first of them waits.
    #[serde(default)]
    pub unsaid_since: Option<Timestamp>,
    /// So many runs wait for the line: they have said something that home alone decides.
    #[serde(default)]
    pub waiting: u64,
    /// Since when the first of them waits.
    #[serde(default)]
    pub waiting_since: Option<Timestamp>,
}

impl Replica {
    /// How it stands. Reads all that it has: to be called where blocking is allowed.
    pub fn status(&self, running: bool) -> Result<Status, ReplicaError> {
        // The reason first: what it is about was noted before it was set.
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
                "what this machine had of the workspace could not be read and came anew; what it wrote while it was cut off \
                 may be in {name}, which nobody has heard: remove that file once nobody needs it"
            )
        });
        // Nothing comes anew for one that is not let in any more: why there is no link says all.
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
