//! Serves one host from the handshake to the end of its link: stores its reports, applies decisions of people about
//! the gateway immediately, and tells the host why the primary closes the link.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver as Entries;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use app::Ws;
use app::hosts::Line;
use app::troubles::Report;
use features::runs::model::Run;
use features::usage::rules::{UsageError, grants};
use gateways::error::GatewayError;
use gateways::model::{GATEWAYS, Gateway, Load, Status};
use gateways::{queries, rules};
use kernel::time::from_ms;
use kernel::{Actor, Cause, GatewayId, RunId, Timestamp};
use link::frame::{Beat, Command, Control, Frame, Running};
use link::{Accepted, LinkError, Receiver, Sender, Session};
use mirror::{Have, Standing};
use store::{Entry, ReadExt as _, StoreError, WriteTx, codec};

use super::commands::{answers, piece, questions};
use super::keys::{Way, keys};
use super::ship::ship;

/// Close reason: the gateway was revoked.
const REVOKED: &str = "revoked";
/// Close reason: the same host has linked again.
const REPLACED: &str = "replaced";
/// Close reason: another machine uses a copy of the folder.
const HELD: &str = "held";
/// Close reason: the primary stops or cannot serve the host now. The host retries.
pub(super) const STOPPING: &str = "stopping";
/// Capacity of the queue of a host's commands.
const WAITING: usize = 64;
/// How long a host may take to accept the goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
/// A host sends a heartbeat every ten seconds. More frequent heartbeats are dropped.
const BEATS: Duration = Duration::from_secs(5);

/// How a link ends.
pub(super) enum End {
    /// The primary closes the link with this reason.
    Said(&'static str),
    /// The link has ended already, or the host violated the protocol.
    Over,
}

impl From<LinkError> for End {
    fn from(_: LinkError) -> Self {
        Self::Over
    }
}

/// Progress of a host towards being ready.
#[derive(Default)]
struct Steps {
    /// The feed entry whose acknowledgement confirms the snapshot.
    awaited: Option<u64>,
    has_snapshot: bool,
    has_beaten: bool,
    is_told: bool,
}

/// A linked host.
pub(super) struct Host {
    pub(super) ws: Ws,
    pub(super) id: GatewayId,
    pub(super) line: Line,
    pub(super) sender: Sender,
    /// Notified after the welcome message. Nothing else may be sent before.
    pub(super) welcomed: Notify,
    /// Like `welcomed`, for requests to the host.
    pub(super) asks_may_go: Notify,
    /// State of the secrets sent to the host.
    pub(super) way: Way,
    processors: u16,
    steps: Mutex<Steps>,
}

/// Serves an admitted host until its link ends. `feeds` must have been subscribed before the admission.
pub(super) async fn serve(ws: Ws, accepted: Accepted, feeds: [Entries<Arc<Entry>>; 3]) {
    let Accepted { admitted, facts, version, session, .. } = accepted;
    let Session { sender, mut receiver, pump } = session;
    let line = ws.app.hosts.enter(ws.id, admitted.gateway, ws.app.clock.now());
    if !ws.app.hosts.may_stay(ws.id, admitted.gateway, (&facts.life, &facts.branch)) {
        line.hold();
    }
    let halt = ws.halt();
    let host = Host {
        ws,
        id: admitted.gateway,
        line,
        sender,
        welcomed: Notify::new(),
        asks_may_go: Notify::new(),
        way: Way::default(),
        processors: u16::try_from(facts.cpus).unwrap_or(u16::MAX),
        steps: Mutex::default(),
    };
    tracing::info!("the host {} is linked, with HQ {version}", admitted.label);
    let [decided, changed, keyed] = feeds;
    let (tell, notified) = mpsc::channel(1);
    let (ask, commands) = mpsc::channel(WAITING);
    let work = async {
        let end = tokio::select! {
            biased;
            () = halt.cancelled() => End::Said(STOPPING),
            () = host.line.held() => End::Said(HELD),
            () = host.line.replaced() => End::Said(REPLACED),
            end = host.heed(decided) => end,
            end = host.hear(&mut receiver, tell, ask) => end,
            end = ship(&host, notified, changed) => end,
            end = answers(&host, commands) => end,
            end = keys(&host, keyed) => end,
            end = questions(&host) => end,
        };
        host.part(end).await;
    };
    let (over, ()) = tokio::join!(pump.run(), work);
    match over {
        Ok(()) => tracing::info!("the link of the host {} was closed", admitted.label),
        Err(error) => tracing::info!(%error, "the link of the host {} has ended", admitted.label),
    }
}

impl Host {
    /// Runs a write transaction as the gateway.
    async fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut store::WriteTx<'_>) -> Result<T, GatewayError> + Send + 'static,
    ) -> Result<T, End> {
        let by = (Actor::Gateway(self.id), Cause::Timer);
        self.ws.write(&by, body).await.map_err(|error| self.unkept(&error))
    }

    /// The close reason for a report that cannot be stored.
    fn unkept(&self, error: &GatewayError) -> End {
        match error {
            GatewayError::NotFound(_) | GatewayError::Refused(_) => End::Said(REVOKED),
            GatewayError::Store(StoreError::Closed) => End::Said(STOPPING),
            error => {
                tracing::warn!(%error, "what a host of {} said was not kept", self.ws.slug);
                End::Said(STOPPING)
            }
        }
    }

    /// Sends the goodbye if the link is still open.
    async fn part(&self, end: End) {
        if matches!(end, End::Said(REVOKED)) {
            self.ws.app.hosts.forgets(self.ws.id, self.id);
        }
        if let End::Said(why) = end
            && matches!(timeout(FAREWELL, self.sender.goodbye(why)).await, Ok(Ok(())))
        {
            return;
        }
        self.sender.cut();
    }

    /// Applies decisions of people about the gateway immediately.
    async fn heed(&self, mut decided: Entries<Arc<Entry>>) -> End {
        let mut was_paused = None;
        loop {
            match self.ws.read(|snap| queries::gateway_by_id(snap, self.id)) {
                Ok(one) if one.status == Status::Revoked => return End::Said(REVOKED),
                Ok(one) => {
                    let is_paused = is_paused(&one);
                    // The welcome message contains the initial state.
                    if was_paused.is_some_and(|was| was != is_paused)
                        && let Err(error) = self.sender.send(order(is_paused)).await
                    {
                        return error.into();
                    }
                    was_paused = Some(is_paused);
                }
                Err(error) => return self.unkept(&error),
            }
            if !hears(&mut decided, touches).await {
                return End::Said(STOPPING);
            }
        }
    }

    /// Stores the host's messages until it says goodbye or the link ends.
    async fn hear(
        &self,
        receiver: &mut Receiver,
        tell: mpsc::Sender<Have>,
        ask: mpsc::Sender<Command>,
    ) -> End {
        let mut beaten: Option<Instant> = None;
        // Runs with live output, and whether each is a run of this host.
        let mut own: HashMap<RunId, bool> = HashMap::new();
        loop {
            let kept = match receiver.next().await {
                Ok(Frame::Beat(beat)) if beaten.is_none_or(|at| BEATS <= at.elapsed()) => {
                    beaten = Some(Instant::now());
                    self.beat(&beat).await
                }
                Ok(Frame::Beat(_)) => Ok(()),
                Ok(Frame::Have(have)) => self.has(&have.have, &tell).await,
                Ok(Frame::Ack(ack)) => self.acked(ack.seq).await,
                Ok(Frame::Command(command)) => ask.send(command).await.map_err(|_| End::Over),
                Ok(Frame::Running(running)) => {
                    self.show(running, &mut own);
                    Ok(())
                }
                Ok(Frame::KeyAck(ack)) => {
                    self.way.confirmed(&ack);
                    Ok(())
                }
                Ok(Frame::Log(line)) => {
                    tracing::debug!(level = ?line.level, "a host says: {:?}", line.text);
                    Ok(())
                }
                Ok(Frame::Goodbye(why)) => {
                    tracing::info!("a host says goodbye: {:?}", why.why);
                    let id = self.id;
                    self.write(move |tx| rules::goodbye(tx, id)).await.and(Err(End::Over))
                }
                Ok(other) => {
                    tracing::warn!("a host said what is not its turn to say: {:?}", other.lane());
                    Err(End::Over)
                }
                Err(_) => Err(End::Over),
            };
            if let Err(end) = kept {
                return end;
            }
        }
    }

    /// Publishes live model output if the run belongs to this host.
    fn show(&self, running: Running, own: &mut HashMap<RunId, bool>) {
        let run = running.run;
        let is_own = *own.entry(run).or_insert_with(|| {
            let is_here = self.ws.read(|snap| {
                let agent = snap.get::<Run>(run)?.map(|run| run.agent);
                let at = agent.map(|agent| queries::gateway_of(snap, agent)).transpose()?;
                Ok::<_, StoreError>(at == Some(self.id))
            });
            // ok: output that is not shown is written at the end of its step.
            is_here.unwrap_or(false)
        });
        if let Some(piece) = piece(running.body).filter(|piece| is_own && piece.run == run) {
            self.ws.live.push(run, piece.step, piece.kind, &piece.text);
        }
    }

    /// Stores a heartbeat.
    async fn beat(&self, beat: &Beat) -> Result<(), End> {
        let (id, load) = (self.id, load(beat, self.processors));
        let (ws, hosts) = (self.ws.id, &self.ws.app.hosts);
        let news = hosts.reports(ws, id, report(beat, self.ws.app.clock.now()));
        self.write(move |tx| {
            rules::beat(tx, id, &load)?;
            rules::tell_trouble(tx, id, &news)
        })
        .await?;
        hosts.are_told(ws, id);
        self.steps.lock().has_beaten = true;
        self.ready().await
    }

    /// Processes the host's report of its mirror position.
    async fn has(&self, bytes: &Bytes, tell: &mpsc::Sender<Have>) -> Result<(), End> {
        // ok: an unreadable report means an empty mirror, and the host gets everything.
        let have: Have = codec::decode(bytes).unwrap_or_default();
        let own = self.ws.store.incarnation();
        let follows = match have.standing {
            Standing::Following(life, seq) if life == own => Some(seq),
            _ => None,
        };
        let is_empty = have.standing == Standing::Nothing;
        // The receiver exists until the link ends.
        tell.send(have).await.map_err(|_| End::Over)?;
        match follows {
            Some(seq) => {
                self.line.note(|linked| linked.acked = seq);
                self.has_said_all().await?;
                self.snapshot().await
            }
            // A host that lost its data cannot report what it spent, so its bookings stay.
            None if is_empty => self.money(grants::write_off).await,
            None => Ok(()),
        }
    }

    /// All writes of an outage have arrived, so the runs of this host spent no more than these.
    async fn has_said_all(&self) -> Result<(), End> {
        self.money(grants::regain).await
    }

    /// Settles the amounts booked for possible spending of this host's runs.
    async fn money(
        &self,
        does: fn(&mut WriteTx<'_>, GatewayId) -> Result<(), UsageError>,
    ) -> Result<(), End> {
        let id = self.id;
        self.write(move |tx| {
            does(tx, id).map_err(|error| match error {
                UsageError::Store(error) => error.into(),
                other => StoreError::Failed(other.to_string()).into(),
            })
        })
        .await
    }

    /// Processes an acknowledgement.
    async fn acked(&self, seq: u64) -> Result<(), End> {
        let seq = seq.min(self.ws.store.head().seq);
        self.line.note(|linked| linked.acked = seq);
        let is_there = self.steps.lock().awaited.take_if(|awaited| *awaited <= seq).is_some();
        if is_there { self.snapshot().await } else { Ok(()) }
    }

    /// Records that a snapshot was sent. The acknowledgement of this entry confirms it.
    pub(super) fn awaits(&self, seq: u64) {
        self.steps.lock().awaited = Some(seq);
    }

    /// Records that the host has its snapshot.
    async fn snapshot(&self) -> Result<(), End> {
        let id = self.id;
        self.write(move |tx| rules::snapshot(tx, id)).await?;
        self.steps.lock().has_snapshot = true;
        self.ready().await
    }

    /// Marks the host as ready once it has its snapshot and has sent a heartbeat.
    async fn ready(&self) -> Result<(), End> {
        let is_ready = {
            let mut steps = self.steps.lock();
            let is_ready = steps.has_snapshot && steps.has_beaten && !steps.is_told;
            steps.is_told |= is_ready;
            is_ready
        };
        let id = self.id;
        if is_ready { self.write(move |tx| rules::ready(tx, id)).await } else { Ok(()) }
    }

    /// Gateway and workspace settings for the host.
    pub(super) fn settings(&self) -> Result<Value, GatewayError> {
        let one = self.ws.read(|snap| queries::gateway_by_id(snap, self.id))?;
        Ok(json!({
            "label": one.label,
            "slug": one.slug,
            "status": one.status,
            "workspace": self.ws.slug,
        }))
    }
}

fn is_paused(one: &Gateway) -> bool {
    matches!(one.status, Status::Paused | Status::Draining)
}

/// Message that pauses or resumes new work on a host.
fn order(is_paused: bool) -> Frame {
    let word = if is_paused { "pause" } else { "resume" };
    Frame::Control(Control { run: None, body: json!({ "do": word }) })
}

fn touches(entry: &Entry) -> bool {
    entry.changes.iter().any(|change| change.table == GATEWAYS.number)
}

/// Waits for a matching entry. Returns `false` at the end of the feed.
pub(super) async fn hears(
    feed: &mut Entries<Arc<Entry>>,
    is_wanted: impl Fn(&Entry) -> bool,
) -> bool {
    loop {
        match feed.recv().await {
            Ok(entry) if is_wanted(&entry) => return true,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

/// Converts a heartbeat to a report with times of the primary's clock.
fn report(beat: &Beat, now: Timestamp) -> Report {
    // An older program does not send its clock and leaves 0.
    let says = Some(beat.clock_ms).filter(|ms| *ms != 0);
    let broke = beat.broke.as_ref().map(|broke| {
        // The host's clock may be wrong, so use the elapsed time.
        let ago = beat.clock_ms.saturating_sub(broke.at_ms).max(0);
        let at = from_ms(now.as_millisecond().saturating_sub(ago));
        (at, rules::clean(&broke.why))
    });
    Report {
        clock_ms: says.map(|ms| ms.saturating_sub(now.as_millisecond())),
        disk_full: beat.disk_full,
        stuck: rules::clean(&beat.stuck),
        unsent: beat.unsent,
        broke,
    }
}

fn load(beat: &Beat, processors: u16) -> Load {
    Load {
        processor_percent: beat.cpu,
        processors,
        memory_used: beat.memory_used,
        memory_total: beat.memory,
        disk_used: beat.disk.saturating_sub(beat.disk_free),
        disk_total: beat.disk,
        runs: u32::try_from(beat.runs.len()).unwrap_or(u32::MAX),
    }
}
