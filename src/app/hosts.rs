//! The hosts that are linked now, for whoever shows them. Kept in memory alone: after a start each links anew.

use std::collections::HashMap;
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
use crate::upstream::{Desk, Refusal};

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not said yet what it has.
    Asked,
    /// It takes a snapshot; so many rows are on their way or there.
    Taking(u64),
    /// It follows what changes.
    Following,
}

/// How far a host is that is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub since: Timestamp,
    /// What it is at.
    pub phase: Phase,
    /// The entry of the feed that it has when all has come that was sent.
    pub sent: u64,
    /// The entry up to which it has all, as it says itself.
    pub acked: u64,
    /// The entry up to which nothing concerns it beyond what was sent.
    pub seen: u64,
}

impl Linked {
    /// How many entries of the feed, whose last is `head`, it does not have yet.
    #[must_use]
    pub fn behind(&self, head: u64) -> u64 {
        let has = if self.acked < self.sent { self.acked } else { self.acked.max(self.seen) };
        head.saturating_sub(has)
    }
}

type Of = (WorkspaceId, GatewayId);

/// A link, for whoever serves it and for whoever comes after.
struct Shared {
    linked: watch::Sender<Linked>,
    replaced: CancellationToken,
    held: CancellationToken,
    questions: Questions,
}

/// The hosts that are linked now, one link each. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hosts(Arc<All>);

#[derive(Default)]
struct All {
    linked: Mutex<HashMap<Of, Arc<Shared>>>,
    /// Who answers them.
    desk: RwLock<Option<Arc<dyn Desk>>>,
    /// Whom home has turned away because its program speaks otherwise: when, and what it was told.
    odds: Mutex<HashMap<Of, (Timestamp, String)>>,
    /// What hosts say of themselves. It outlives a link, so that a line that breaks tells nothing twice.
    known: Mutex<HashMap<Of, Known>>,
    /// Which starts of their programs were let in.
    lives: Mutex<HashMap<Of, Lives>>,
    /// Numbers calls.
    calls: AtomicU64,
    /// Counts links that came and went.
    moves: watch::Sender<u64>,
}

/// A host that is turned away knocks every minute; what is older than this is over.
const KNOCKS: SignedDuration = SignedDuration::from_mins(5);

impl Hosts {
    /// A host has linked. Another link that it has is told to end: the newest counts.
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

    /// Asks a host that is linked, and waits for its answer; no longer than [`PATIENCE`] for each piece of it.
    ///
    /// # Errors
    /// What the host refuses, or that it is not linked (`host_silent`) or does not answer (`host_mute`).
    pub async fn ask(&self, ws: &Ws, gateway: GatewayId, what: Value) -> Result<Value, Refusal> {
        self.ask_within(ws, gateway, what, PATIENCE).await
    }

    /// The same with a patience of its own, where the host has much to do before it can answer.
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

    /// How far a host is; none when it is not linked.
    #[must_use]
    pub fn linked(&self, ws: WorkspaceId, gateway: GatewayId) -> Option<Linked> {
        self.0.linked.lock().get(&(ws, gateway)).map(|shared| shared.linked.borrow().clone())
    }

    /// Whether a host is linked.
    #[must_use]
    pub fn is_linked(&self, ws: WorkspaceId, gateway: GatewayId) -> bool {
        self.0.linked.lock().contains_key(&(ws, gateway))
    }

    /// A program that speaks otherwise has called as a host, and was told this.
    pub fn is_at_odds(&self, ws: WorkspaceId, gateway: GatewayId, now: Timestamp, told: &str) {
        if self.is_linked(ws, gateway) {
            return;
        }
        let is_new = {
            let mut odds = self.0.odds.lock();
            let former = odds.insert((ws, gateway), (now, told.to_owned()));
            former.is_none_or(|(at, words)| words != told || at + KNOCKS < now)
        };
        if is_new {
            self.0.moves.send_modify(|count| *count += 1);
        }
    }

    /// What a host is told whose program speaks otherwise, while it knocks again and again.
    #[must_use]
    pub fn odds(&self, ws: WorkspaceId, gateway: GatewayId, now: Timestamp) -> Option<String> {
        let odds = self.0.odds.lock().get(&(ws, gateway)).cloned();
        odds.filter(|(at, _)| now <= *at + KNOCKS).map(|(_, told)| told)
    }

    /// A host says how it is; gives what people are to be told of that, until they [were](Self::are_told).
    pub fn reports(&self, ws: WorkspaceId, gateway: GatewayId, report: Report) -> News {
        let news = self.0.known.lock().entry((ws, gateway)).or_default().hear(report);
        if news != News::Same {
            self.0.moves.send_modify(|count| *count += 1);
        }
        news
    }

    /// People were told what is wrong with a host.
    pub fn are_told(&self, ws: WorkspaceId, gateway: GatewayId) {
        if let Some(known) = self.0.known.lock().get_mut(&(ws, gateway)) {
            known.are_told();
        }
    }

    /// What a host said of itself is of no interest any more.
    pub fn forgets(&self, ws: WorkspaceId, gateway: GatewayId) {
        self.0.known.lock().remove(&(ws, gateway));
        self.0.lives.lock().remove(&(ws, gateway));
    }

    /// A machine calls; gives the number of its call.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Decides whether a machine that has proved its key may link, or is one of two with one folder: then the link that its
    /// gateway has is told to end. `began` is the number of its call.
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

    /// Whether a machine that was let in may still link: it may have become one of two meanwhile.
    #[must_use]
    pub fn may_stay(&self, ws: WorkspaceId, gateway: GatewayId, caller: (&str, &str)) -> bool {
        let (life, branch) = caller;
        self.0.lives.lock().get(&(ws, gateway)).is_none_or(|lives| lives.may_stay(life, branch))
    }

    /// The machines of a gateway among which a person has to choose; none while there is nothing to choose.
    #[must_use]
    pub fn copies(&self, ws: WorkspaceId, gateway: GatewayId) -> Vec<FolderCopy> {
        let lives = self.0.lives.lock();
        lives.get(&(ws, gateway)).map(|lives| lives.copies().to_vec()).unwrap_or_default()
    }

    /// Whether a gateway waits for that choice.
    #[must_use]
    pub fn is_held(&self, ws: WorkspaceId, gateway: GatewayId) -> bool {
        let lives = self.0.lives.lock();
        lives.get(&(ws, gateway)).is_some_and(|lives| !lives.copies().is_empty())
    }

    /// People were told that there is something to choose.
    pub fn copies_are_told(&self, ws: WorkspaceId, gateway: GatewayId) {
        if let Some(lives) = self.0.lives.lock().get_mut(&(ws, gateway)) {
            lives.are_told();
        }
    }

    /// A person has chosen a machine: it may link, and the others may not any more. Says whether it was one of them.
    #[must_use]
    pub fn keep_copy(&self, ws: WorkspaceId, gateway: GatewayId, id: &str) -> bool {
        let is_one =
            self.0.lives.lock().get_mut(&(ws, gateway)).is_some_and(|lives| lives.keep(id));
        if is_one {
            // What else was wrong is told once more: its notice was read with this one.
            self.0.known.lock().remove(&(ws, gateway));
            self.0.moves.send_modify(|count| *count += 1);
        }
        is_one
    }

    /// The last report of a host; none while it is not linked.
    #[must_use]
    pub fn report(&self, ws: WorkspaceId, gateway: GatewayId) -> Option<Report> {
        let is_linked = self.is_linked(ws, gateway);
        let known = self.0.known.lock();
        known.get(&(ws, gateway)).filter(|_| is_linked).map(|known| known.report().clone())
    }

    /// What is wrong with a host that is linked or held.
    #[must_use]
    pub fn troubles(&self, ws: WorkspaceId, gateway: GatewayId) -> Vec<Trouble> {
        if self.is_held(ws, gateway) {
            return vec![Trouble::Copied];
        }
        let is_linked = self.is_linked(ws, gateway);
        let known = self.0.known.lock();
        known.get(&(ws, gateway)).filter(|_| is_linked).map(Known::troubles).unwrap_or_default()
    }

    /// Counts links that came and went, of all workspaces, and beats with news.
    #[must_use]
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.0.moves.subscribe()
    }

    /// Says who answers hosts from now on.
    pub fn are_answered_by(&self, desk: Option<Arc<dyn Desk>>) {
        *self.0.desk.write() = desk;
    }

    /// Who answers hosts, once somebody does.
    #[must_use]
    pub fn desk(&self) -> Option<Arc<dyn Desk>> {
        self.0.desk.read().clone()
    }
}

/// The link of one host. It counts as linked until this is dropped.
pub struct Line {
    hosts: Hosts,
    of: Of,
    shared: Arc<Shared>,
    out: tokio::sync::Mutex<Out>,
}

impl Line {
    /// Notes how far the host is.
    pub fn note(&self, change: impl FnOnce(&mut Linked)) {
        self.shared.linked.send_modify(change);
    }

    /// Waits until all has been looked at up to an entry; gives the entry that the host has when all has come that was sent.
    pub async fn looked(&self, upto: u64) -> u64 {
        let mut linked = self.shared.linked.subscribe();
        let is_there = |linked: &Linked| linked.phase == Phase::Following && upto <= linked.seen;
        // ok: the sender is part of what is waited on, so it is there.
        linked.wait_for(is_there).await.map_or(0, |linked| linked.sent)
    }

    /// Waits for what is to be asked next.
    pub async fn asks(&self) -> Option<Tell> {
        self.out.lock().await.recv().await
    }

    /// A piece of an answer has come.
    pub fn told(&self, told: Told) {
        self.shared.questions.told(told);
    }

    /// Waits until the same host has linked anew.
    pub async fn replaced(&self) {
        self.shared.replaced.cancelled().await;
    }

    /// The host is held.
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
