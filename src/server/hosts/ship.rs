//! Ships replicated data to a host: a snapshot in pieces if the host has none, then changes as they are committed.
//! The host reports its position at the start of the link, and the primary continues from there.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::Receiver as Entries;
use tokio::sync::mpsc;

use app::hosts::Phase;
use gateways::queries;
use kernel::AgentId;
use link::frame::{Feed, Frame, Scope, SnapshotBegin, SnapshotEnd, SnapshotRows, Welcome};
use mirror::{Bound, Have, MirrorError, Parcel, Rows, Shipper, Step, replication_policy};
use store::Entry;

use super::serve::{End, Host, STOPPING, hears};

/// The agents of a host.
type Agents = BTreeSet<AgentId>;
/// Position reports of a host.
type Haves = mpsc::Receiver<Have>;

/// Welcomes a host, then ships data until its link ends.
pub(super) async fn ship(host: &Host, mut haves: Haves, mut feed: Entries<Arc<Entry>>) -> End {
    match shipped(host, &mut haves, &mut feed).await {
        Ok(end) | Err(end) => end,
    }
}

async fn shipped(
    host: &Host,
    haves: &mut Haves,
    feed: &mut Entries<Arc<Entry>>,
) -> Result<End, End> {
    let mut way = Way { host, sent: Agents::new(), is_taking: false };
    way.welcome().await?;
    let Some(mut have) = haves.recv().await else { return Ok(End::Over) };
    loop {
        let Some(next) = way.follow(have, haves, feed).await? else { return Ok(End::Over) };
        // The host rejected the data: continue from its reported position.
        have = next;
    }
}

/// Digest of the replication policy. It differs only between program versions with different policies.
fn digest() -> String {
    let mut hash = Sha256::new();
    for line in replication_policy::REPLICATED {
        hash.update(line.table.number.to_be_bytes());
        hash.update(line.table.name);
        hash.update([0u8]);
    }
    hex::encode(hash.finalize())
}

/// Shipping state of one host.
struct Way<'h> {
    host: &'h Host,
    /// The agents that the host knows as its own.
    sent: Agents,
    /// Whether a snapshot is being sent.
    is_taking: bool,
}

impl Way<'_> {
    /// A store error ends the link; the host reconnects.
    fn failed(&self, error: &MirrorError) -> End {
        tracing::warn!(%error, "nothing can be shipped to a host of {}", self.host.ws.slug);
        End::Said(STOPPING)
    }

    async fn welcome(&mut self) -> Result<(), End> {
        let host = self.host;
        let (ws, id) = (&host.ws, host.id);
        let bound = ws.read_blocking(move |ws| ws.read(|snap| queries::bound(snap, id))).await;
        self.sent = bound.map_err(|error| self.failed(&error.into()))?;
        let mut settings = self.host.settings().map_err(|error| {
            tracing::warn!(%error, "a host of {} was not welcomed", ws.slug);
            End::Said(STOPPING)
        })?;
        settings["agents"] = listed(&self.sent);
        let head = ws.store.head();
        let welcome = Welcome {
            epoch: head.incarnation,
            clock_ms: ws.app.clock.now().as_millisecond(),
            head: head.seq,
            scope: digest(),
            settings,
        };
        self.host.sender.send(Frame::Welcome(welcome)).await?;
        self.host.welcomed.notify_one();
        self.host.asks_may_go.notify_one();
        Ok(())
    }

    /// Ships changes after the host's position. Returns when the host reports a new position; `None` at the end of
    /// the link.
    async fn follow(
        &mut self,
        have: Have,
        haves: &mut Haves,
        feed: &mut Entries<Arc<Entry>>,
    ) -> Result<Option<Have>, End> {
        let (host, id) = (self.host, self.host.id);
        self.is_taking = false;
        let made = host.ws.read_blocking(move |ws| {
            let bound: Arc<Bound> = Arc::new(queries::bound);
            Shipper::new(&ws.store, id, bound, have)
        });
        let mut shipper = made.await.map_err(|error| self.failed(&error))?;
        loop {
            // Read first, so that commits during the read are not missed.
            let head = host.ws.store.head().seq;
            let looked = host.ws.read_blocking(move |ws| {
                let next = shipper.next(&ws.store)?;
                Ok::<_, MirrorError>((shipper, next))
            });
            let (back, next) = looked.await.map_err(|error| self.failed(&error))?;
            shipper = back;
            let sent = shipper.sent();
            for parcel in next.parcels {
                tokio::select! {
                    biased;
                    have = haves.recv() => return Ok(have),
                    done = self.send(parcel) => done?,
                }
            }
            host.line.note(|linked| {
                linked.sent = sent;
                if !next.more {
                    (linked.seen, linked.phase) = (head, Phase::Following);
                }
            });
            if next.more {
                continue;
            }
            tokio::select! {
                biased;
                have = haves.recv() => return Ok(have),
                goes_on = hears(feed, |_| true) => if !goes_on { return Ok(None) },
            }
        }
    }

    /// Sends a parcel and waits until it has been sent. Later messages in other lanes arrive after it.
    async fn send(&mut self, parcel: Parcel) -> Result<(), End> {
        let bytes = parcel.encode().map_err(|error| self.failed(&error))?;
        self.tell(parcel.agents().iter().copied().collect()).await?;
        match &parcel {
            Parcel::Rows(rows) => self.rows(rows, bytes.into()).await,
            Parcel::Step(step) => self.step(step, bytes.into()).await,
        }
    }

    /// Sends the host its agents, if they have changed.
    async fn tell(&mut self, agents: Agents) -> Result<(), End> {
        if agents == self.sent {
            return Ok(());
        }
        let body = json!({ "agents": listed(&agents) });
        let scope = Scope { digest: digest(), body };
        self.host.sender.deliver(Frame::Scope(scope)).await?;
        self.sent = agents;
        Ok(())
    }

    /// Sends a piece of a snapshot.
    async fn rows(&mut self, rows: &Rows, bytes: Bytes) -> Result<(), End> {
        let (sender, head) = (&self.host.sender, rows.seq);
        if !self.is_taking || rows.from.is_none() {
            let tables = replication_policy::REPLICATED
                .iter()
                .map(|line| line.table.name.to_owned())
                .collect();
            let begin = SnapshotBegin { scope: digest(), head, tables };
            sender.deliver(Frame::SnapshotBegin(begin)).await?;
            self.host.line.note(|linked| linked.phase = Phase::Taking(0));
            self.is_taking = true;
        }
        let count = u32::try_from(rows.puts.len()).unwrap_or(u32::MAX);
        let last = rows.to.as_ref();
        let name = last.and_then(|at| replication_policy::of(at.table)).map(|line| line.table.name);
        let piece = SnapshotRows {
            table: name.unwrap_or_default().to_owned(),
            count,
            last: last.map(|at| hex::encode(&at.key)).unwrap_or_default(),
            rows: bytes,
        };
        sender.deliver(Frame::SnapshotRows(piece)).await?;
        self.host.line.note(|linked| {
            if let Phase::Taking(rows) = linked.phase {
                linked.phase = Phase::Taking(rows + u64::from(count));
            }
        });
        if last.is_none() {
            self.is_taking = false;
            // Before sending: the acknowledgement may arrive immediately.
            self.host.awaits(head);
            sender.deliver(Frame::SnapshotEnd(SnapshotEnd { head })).await?;
            self.host.line.note(|linked| linked.phase = Phase::Following);
        }
        Ok(())
    }

    /// Sends a step or a part of one.
    async fn step(&mut self, step: &Step, bytes: Bytes) -> Result<(), End> {
        self.host.line.note(|linked| linked.phase = Phase::Following);
        let feed = Feed { after: step.from, upto: step.to, steps: bytes };
        Ok(self.host.sender.deliver(Frame::Feed(feed)).await?)
    }
}

pub(super) fn listed(agents: &Agents) -> Value {
    agents.iter().map(|agent| Value::String(agent.to_string())).collect()
}
