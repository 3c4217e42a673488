//! The hosts that are linked now. In memory only: after a restart, each host links again.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use kernel::{GatewayId, Timestamp, WorkspaceId};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Ws;
use crate::copies::{Admission, Caller, FolderCopy, Lives};
use crate::downstream::{Out, PATIENCE, Questions, Tell, Told, silent};
use crate::troubles::{Known, News, Report, Trouble};
use crate::upstream::{HostHandler, Refusal};

/// Replication phase of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The host has not reported its position yet.
    Asked,
    /// The host receives a snapshot; the number of rows sent so far.
    Taking(u64),
    /// The host follows the feed.
    Following,
}

/// Replication progress of a linked host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub since: Timestamp,
    pub phase: Phase,
    /// Feed entry that the host has once everything sent has arrived.
    pub sent: u64,
    /// Feed entry up to which the host has acknowledged all changes.
    pub acked: u64,
    /// Feed entry up to which the primary has checked for changes that concern the host. All of them have been sent.
    pub seen: u64,
}

impl Linked {
    /// Number of feed entries that the host lacks; `head` is the last entry.
    #[must_use]
    pub fn behind(&self, head: u64) -> u64 {
        let has = if self.acked < self.sent { self.acked } else { self.acked.max(self.seen) };
        head.saturating_sub(has)
    }
}

type Of = (WorkspaceId, GatewayId);

/// State of a link, shared by its owner and by a replacing link.
struct Shared {
    linked: watch::Sender<Linked>,
    replaced: CancellationToken,
    held: CancellationToken,
    questions: Questions,
}

/// The hosts that are linked now, one link each. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hosts(Arc<All>);

struct All {
    linked: Mutex<HashMap<Of, Arc<Shared>>>,
    /// Handles messages from hosts.
    desk: RwLock<Option<Arc<dyn HostHandler>>>,
    /// Hosts that were rejected because of an incompatible program: the time and the message sent.
    odds: Mutex<HashMap<Of, (Timestamp, String)>>,
    /// Last reports of hosts. They outlive a link, so that a reconnect does not repeat notifications.
    known: Mutex<HashMap<Of, Known>>,
    /// Known process starts of each host, to detect copied folders.
    lives: Mutex<HashMap<Of, Lives>>,
    /// Sequence number of incoming calls.
    calls: AtomicU64,
    /// Counts changes of links and reports, from a random number on, so that pages of an earlier process notice that
    /// all links were lost.
    moves: watch::Sender<u64>,
}

impl Default for All {
    fn default() -> Self {
        Self {
            linked: Mutex::default(),
            desk: RwLock::default(),
            odds: Mutex::default(),
            known: Mutex::default(),
            lives: Mutex::default(),
            calls: AtomicU64::default(),
            moves: watch::Sender::new(RandomState::new().hash_one(()) >> 16),
        }
    }
}

/// A rejected host retries every minute. An older rejection has expired.
const KNOCKS: SignedDuration = SignedDuration::from_mins(5);

impl Hosts {
    /// Registers a new link of a host. An existing link of the same host is asked to end.
    #[must_use]
    pub fn enter(&self, ws: WorkspaceId, gateway: GatewayId, now: Timestamp) -> Line {
        let linked = Linked { since: now, phase: Phase::Asked, sent: 0, acked: 0, seen: 0 };
        let (questions, out) = Questions::new();
        let shared = Arc::new(Shared {
            linked: watch::Sender::new(linked),
            replaced: CancellationToken::new(),
            held: CancellationToken::new(),
            questions,
        });
        let former = self.0.linked.lock().insert((ws, gateway), Arc::clone(&shared));
        self.0.odds.lock().remove(&(ws, gateway));
        self.0.moves.send_modify(|count| *count += 1);
        if let Some(former) = former {
            former.replaced.cancel();
        }
        let out = tokio::sync::Mutex::new(out);
        Line { hosts: self.clone(), of: (ws, gateway), shared, out }
    }

    /// Sends a request to a linked host. Waits at most [`PATIENCE`] for each part of the response.
    ///
    /// # Errors
    /// The host's refusal, `host_silent` if the host is not linked, or `host_mute` if it does not respond.
    pub async fn ask(&self, ws: &Ws, gateway: GatewayId, what: Value) -> Result<Value, Refusal> {
        self.ask_within(ws, gateway, what, PATIENCE).await
    }

    /// Like [`Hosts::ask`], with a custom timeout for requests that take the host long.
    pub async fn ask_within(
        &self,
        ws: &Ws,
        gateway: GatewayId,
        what: Value,
        patience: Duration,
    ) -> Result<Value, Refusal> {
        let shared = self.0.linked.lock().get(&(ws.id, gateway)).cloned().ok_or_else(silent)?;
        let number = ws.app.ids.next(ws.app.clock.now_ms()).to_string();
        shared.questions.ask(Tell { number, what }, patience).await
    }

    /// Replication progress of a host; `None` if it is not linked.
    #[must_use]
    pub fn linked(&self, ws: WorkspaceId, gateway: GatewayId) -> Option<Linked> {
        self.0.linked.lock().get(&(ws, gateway)).map(|shared| shared.linked.borrow().clone())
    }

    #[must_use]
    pub fn is_linked(&self, ws: WorkspaceId, gateway: GatewayId) -> bool {
        self.0.linked.lock().contains_key(&(ws, gateway))
    }

    /// Records that an incompatible program has called as this host and received this `message`.
    pub fn is_at_odds(&self, ws: WorkspaceId, gateway: GatewayId, now: Timestamp, message: &str) {
        if self.is_linked(ws, gateway) {
            return;
        }
        let is_new = {
            let mut odds = self.0.odds.lock();
            let former = odds.insert((ws, gateway), (now, message.to_owned()));
            former.is_none_or(|(at, words)| words != message || at + KNOCKS < now)
        };
        if is_new {
            self.0.moves.send_modify(|count| *count += 1);
        }
    }

    /// The message to an incompatible host while it keeps retrying.
    #[must_use]
    pub fn odds(&self, ws: WorkspaceId, gateway: GatewayId, now: Timestamp) -> Option<String> {
        let odds = self.0.odds.lock().get(&(ws, gateway)).cloned();
        odds.filter(|(at, _)| now <= *at + KNOCKS).map(|(_, message)| message)
    }

    /// Stores a report of a host. Returns the news for people; the same news are returned again until
    /// [`Hosts::are_told`] is called.
    pub fn reports(&self, ws: WorkspaceId, gateway: GatewayId, report: Report) -> News {
        let news = self.0.known.lock().entry((ws, gateway)).or_default().hear(report);
        if news != News::Same {
            self.0.moves.send_modify(|count| *count += 1);
        }
        news
    }

    /// Marks the current troubles of a host as notified.
    pub fn are_told(&self, ws: WorkspaceId, gateway: GatewayId) {
        if let Some(known) = self.0.known.lock().get_mut(&(ws, gateway)) {
            known.are_told();
        }
    }

    /// Forgets the reports and process starts of a host.
    pub fn forgets(&self, ws: WorkspaceId, gateway: GatewayId) {
        self.0.known.lock().remove(&(ws, gateway));
        self.0.lives.lock().remove(&(ws, gateway));
    }

    /// Returns the sequence number of a new incoming call.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Decides whether a machine that has proved its key may link. If two machines share one folder, the existing
    /// link of the gateway is asked to end. `began` is the sequence number of the call.
    #[must_use]
    pub fn admit(
        &self,
        (ws, gateway): (WorkspaceId, GatewayId),
        caller: Caller,
        began: u64,
        now: Timestamp,
    ) -> Admission {
        let of = (ws, gateway);
        let admission = {
            let mut lives = self.0.lives.lock();
            let decided = self.calls();
            lives.entry(of).or_default().admit(caller, (began, decided), now)
        };
        if let Admission::Held { is_told } = admission {
            let linked = self.0.linked.lock().get(&of).cloned();
            linked.into_iter().for_each(|shared| shared.held.cancel());
            if !is_told {
                self.0.moves.send_modify(|count| *count += 1);
            }
        }
        admission
    }

    /// Whether an admitted machine may still link. A copy of it may have appeared meanwhile.
    #[must_use]
    pub fn may_stay(&self, ws: WorkspaceId, gateway: GatewayId, caller: (&str, &str)) -> bool {
        let (life, branch) = caller;
        self.0.lives.lock().get(&(ws, gateway)).is_none_or(|lives| lives.may_stay(life, branch))
    }

    /// The copies of a gateway's folder among which a person has to choose; empty if there is no choice.
    #[must_use]
    pub fn copies(&self, ws: WorkspaceId, gateway: GatewayId) -> Vec<FolderCopy> {
        let lives = self.0.lives.lock();
        lives.get(&(ws, gateway)).map(|lives| lives.copies().to_vec()).unwrap_or_default()
    }

    /// Whether a gateway waits for this choice.
    #[must_use]
    pub fn is_held(&self, ws: WorkspaceId, gateway: GatewayId) -> bool {
        let lives = self.0.lives.lock();
        lives.get(&(ws, gateway)).is_some_and(|lives| !lives.copies().is_empty())
    }

    /// Marks the choice as notified.
    pub fn copies_are_told(&self, ws: WorkspaceId, gateway: GatewayId) {
        if let Some(lives) = self.0.lives.lock().get_mut(&(ws, gateway)) {
            lives.are_told();
        }
    }

    /// Keeps the copy that a person chose. The other copies can no longer link. Returns whether `id` was one of the
    /// copies.
    #[must_use]
    pub fn keep_copy(&self, ws: WorkspaceId, gateway: GatewayId, id: &str) -> bool {
        let is_one =
            self.0.lives.lock().get_mut(&(ws, gateway)).is_some_and(|lives| lives.keep(id));
        if is_one {
            // Other troubles are reported again: their notice was replaced by this one.
            self.0.known.lock().remove(&(ws, gateway));
            self.0.moves.send_modify(|count| *count += 1);
        }
        is_one
    }

    /// The last report of a host; `None` while it is not linked.
    #[must_use]
    pub fn report(&self, ws: WorkspaceId, gateway: GatewayId) -> Option<Report> {
        let is_linked = self.is_linked(ws, gateway);
        let known = self.0.known.lock();
        known.get(&(ws, gateway)).filter(|_| is_linked).map(|known| known.report().clone())
    }

    /// Troubles of a host that is linked or held.
    #[must_use]
    pub fn troubles(&self, ws: WorkspaceId, gateway: GatewayId) -> Vec<Trouble> {
        if self.is_held(ws, gateway) {
            return vec![Trouble::Copied];
        }
        let is_linked = self.is_linked(ws, gateway);
        let known = self.0.known.lock();
        known.get(&(ws, gateway)).filter(|_| is_linked).map(Known::troubles).unwrap_or_default()
    }

    /// Notifies about changed links and reports, for all workspaces.
    #[must_use]
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.0.moves.subscribe()
    }

    /// Sets the handler of host messages.
    pub fn are_answered_by(&self, desk: Option<Arc<dyn HostHandler>>) {
        *self.0.desk.write() = desk;
    }

    /// The handler of host messages, once set.
    #[must_use]
    pub fn desk(&self) -> Option<Arc<dyn HostHandler>> {
        self.0.desk.read().clone()
    }
}

/// The link of one host. The host counts as linked until this is dropped.
pub struct Line {
    hosts: Hosts,
    of: Of,
    shared: Arc<Shared>,
    out: tokio::sync::Mutex<Out>,
}

impl Line {
    /// Updates the replication progress of the host.
    pub fn note(&self, change: impl FnOnce(&mut Linked)) {
        self.shared.linked.send_modify(change);
    }

    /// Waits until the feed has been checked up to an entry. Returns the last entry that was sent to the host.
    pub async fn looked(&self, upto: u64) -> u64 {
        let mut linked = self.shared.linked.subscribe();
        let is_there = |linked: &Linked| linked.phase == Phase::Following && upto <= linked.seen;
        // ok: `self` owns the sender, so it cannot be closed.
        linked.wait_for(is_there).await.map_or(0, |linked| linked.sent)
    }

    /// Waits for the next queued request.
    pub async fn asks(&self) -> Option<Tell> {
        self.out.lock().await.recv().await
    }

    /// Delivers a part of a response.
    pub fn deliver(&self, part: Told) {
        self.shared.questions.deliver(part);
    }

    /// Waits until the same host has linked again.
    pub async fn replaced(&self) {
        self.shared.replaced.cancelled().await;
    }

    /// Marks the host as held.
    pub fn hold(&self) {
        self.shared.held.cancel();
    }

    /// Waits until the host is held.
    pub async fn held(&self) {
        self.shared.held.cancelled().await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        {
            let mut all = self.hosts.0.linked.lock();
            if all.get(&self.of).is_some_and(|now| Arc::ptr_eq(now, &self.shared)) {
                all.remove(&self.of);
            }
        }
        self.shared.questions.close();
        self.hosts.0.moves.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hosts, KNOCKS, Linked, Phase};
    use kernel::TypedId as _;
    use kernel::time::from_ms;
    use kernel::{GatewayId, WorkspaceId};

    #[tokio::test]
    async fn the_newest_link_counts_and_the_former_hears_of_it() {
        let (hosts, now) = (Hosts::default(), from_ms(1_700_000_000_000));
        let (ws, gateway) = (WorkspaceId::from_bytes([1; 16]), GatewayId::from_bytes([2; 16]));
        let first = hosts.enter(ws, gateway, now);
        let second = hosts.enter(ws, gateway, now);
        first.replaced().await;
        second.note(|linked| linked.acked = 7);
        drop(first);
        assert_eq!(hosts.linked(ws, gateway).map(|linked| linked.acked), Some(7));
        drop(second);
        assert_eq!(hosts.linked(ws, gateway), None);
    }

    #[test]
    fn a_program_that_speaks_otherwise_is_told_of_while_it_knocks() {
        let (hosts, now) = (Hosts::default(), from_ms(1_700_000_000_000));
        let (ws, gateway) = (WorkspaceId::from_bytes([1; 16]), GatewayId::from_bytes([2; 16]));
        hosts.is_at_odds(ws, gateway, now, "Fetch HQ 7.");
        assert_eq!(hosts.odds(ws, gateway, now).as_deref(), Some("Fetch HQ 7."));
        assert_eq!(hosts.odds(ws, gateway, now + KNOCKS * 2), None);
        let _line = hosts.enter(ws, gateway, now);
        assert_eq!(hosts.odds(ws, gateway, now), None);
        hosts.is_at_odds(ws, gateway, now, "Fetch HQ 7.");
        assert_eq!(hosts.odds(ws, gateway, now), None, "one that is linked speaks as home does");
    }

    #[test]
    fn what_does_not_concern_a_host_does_not_hold_it_up() {
        let since = from_ms(1_700_000_000_000);
        let linked = Linked { since, phase: Phase::Following, sent: 10, acked: 10, seen: 30 };
        assert_eq!(linked.behind(32), 2);
        assert_eq!(Linked { acked: 8, ..linked.clone() }.behind(32), 24);
        assert_eq!(linked.behind(5), 0);
    }
}
