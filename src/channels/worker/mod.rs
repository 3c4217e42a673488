//! Workers of channels: one connection and one sender per enabled channel. A supervisor per workspace starts and stops them
//! as the settings change. Nothing is received or sent while the workspace is paused, for example after a restore.

mod listen;
mod notice;
mod preview;
mod send;
mod typing;

use std::collections::HashMap;
use std::sync::Arc;

use app::Ws;
use channel_adapters::{self as adapters, Fault, FaultKind};
use features::runs::queries::halt;
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use kernel::{Actor, Cause, ChannelId, Error, Part, Role};
use net::guard::Opened;
use store::{Lane, Read, ReadExt as _, StoreError, WriteTx};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vault::model::Secret;
use web::session::Access;

use crate::model::{Channel, Kind, State};
use crate::{queries, rules};

pub(crate) use listen::Intake;

/// Actor and cause of the workers' own writes.
pub(crate) const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Timer);
/// Longest sleep of the supervisor, and how long a channel may be down before people are notified.
const ROUND: SignedDuration = SignedDuration::from_mins(1);
const REPORTED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Starts the supervisor of a workspace.
pub fn begin(ws: &Ws, rights: fn(Role) -> Access) {
    ws.keep("channels", move |ws| supervise(rules::Context { ws, rights }));
}

/// What a change of restarts the connection.
#[derive(Clone, PartialEq, Eq)]
struct Wiring {
    token_version: u32,
    api_base: String,
}

struct Running {
    wiring: Wiring,
    stop: CancellationToken,
    /// Cancelled when the task has ended.
    ended: CancellationToken,
}

async fn supervise(cx: rules::Context) {
    let ws = cx.ws.clone();
    let (stopping, mut feed) = (ws.halt(), ws.store.watch());
    let mut running: HashMap<ChannelId, Running> = HashMap::new();
    let has_ended = Arc::new(Notify::new());
    while !stopping.is_cancelled() {
        feed.borrow_and_update();
        let now = ws.app.clock.now();
        match wanted(&ws) {
            Ok(wanted) => {
                running.retain(|id, one| {
                    let stays = wanted.iter().any(|new| new.id == *id && wiring(new) == one.wiring);
                    if !stays {
                        one.stop.cancel();
                    }
                    // The successor starts once what is under way is completed.
                    !one.ended.is_cancelled()
                });
                for channel in wanted {
                    running.entry(channel.id).or_insert_with(|| {
                        let (wiring, stop) = (wiring(&channel), stopping.child_token());
                        let ended = CancellationToken::new();
                        start(&cx, channel, (stop.clone(), ended.clone(), Arc::clone(&has_ended)));
                        Running { wiring, stop, ended }
                    });
                }
                report_outages(&ws, running.keys().copied().collect()).await;
            }
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "channels of {} have to wait", ws.slug),
        }
        tokio::select! {
            () = ws.app.sleep_from(now, now + ROUND) => {}
            changed = feed.changed() => if changed.is_err() { return },
            () = has_ended.notified() => {}
            () = stopping.cancelled() => return,
        }
    }
}

fn wiring(channel: &Channel) -> Wiring {
    Wiring { token_version: channel.token_version, api_base: channel.api_base.clone() }
}

/// The channels that should be connected.
fn wanted(ws: &Ws) -> Result<Vec<Channel>, StoreError> {
    ws.read(|snap| {
        if is_held(ws, snap)? {
            return Ok(Vec::new());
        }
        let mut all = queries::all(snap)?;
        all.retain(is_on);
        Ok(all)
    })
}

/// Whether the workspace is paused or closed, so that none of its channels works.
pub(crate) fn is_held(ws: &Ws, read: &dyn Read) -> Result<bool, StoreError> {
    Ok(halt::of_workspace(read)?.is_some() || !ws.is_active())
}

pub(crate) fn is_on(channel: &Channel) -> bool {
    channel.is_enabled && channel.agent.is_some()
}

async fn report_outages(ws: &Ws, ids: Vec<ChannelId>) {
    let before = ws.app.clock.now() - REPORTED_AFTER;
    let due = ws.read(|snap| {
        let mut due = Vec::new();
        for id in ids {
            let state = queries::state(snap, id, before)?;
            let is_down = state.state.is_down();
            if is_down && !state.is_reported && state.since <= before {
                due.push(id);
            }
        }
        Ok::<_, StoreError>(due)
    });
    for id in due.unwrap_or_default() {
        write(ws, move |tx| rules::report(tx, id, before)).await;
    }
}

/// Reports the end of a channel's task when it is dropped.
struct Ends(CancellationToken, Arc<Notify>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cancel();
        self.1.notify_one();
    }
}

/// Connects a channel, then receives and sends until it is stopped.
fn start(
    cx: &rules::Context,
    channel: Channel,
    (stop, ended, has_ended): (CancellationToken, CancellationToken, Arc<Notify>),
) {
    let cx = cx.clone();
    let ws = cx.ws.clone();
    let task = async move {
        // Also if the task panics.
        let _ends = Ends(ended, has_ended);
        let own = cx.ws.clone();
        let id = channel.id;
        let adapter = match open(&own, &channel) {
            Ok(adapter) => adapter,
            Err(fault) => {
                let detail = web::form::sentence(&fault.detail);
                write(&own, move |tx| rules::set_state(tx, id, State::Error, &detail)).await;
                return;
            }
        };
        let receiving = async {
            tokio::join!(
                register(&*adapter, id),
                listen::run(&cx, &channel, &*adapter, &stop),
                typing::run(&own, &channel, &*adapter, &stop),
                preview::run(&own, &channel, &*adapter, &stop)
            )
        };
        let until_stopped = async {
            tokio::select! {
                _ = receiving => {}
                () = stop.cancelled() => {}
            }
        };
        let both =
            async { tokio::join!(until_stopped, send::run(&own, &channel, &*adapter, &stop)) };
        if std::panic::AssertUnwindSafe(both).catch_unwind().await.is_err() {
            tracing::error!("the worker of the channel {id} failed; it starts again soon");
        }
        if !own.halt().is_cancelled() {
            write(&own, move |tx| stopped(tx, id)).await;
        }
    };
    ws.spawn("channel", task);
}

/// Puts the commands into the platform's menu. Without them the bot works, too.
async fn register(adapter: &dyn adapters::Channel, id: ChannelId) {
    let info = |command: &slash::Command| adapters::CommandInfo {
        name: command.name.to_owned(),
        about: command.about.to_owned(),
    };
    let commands: Vec<adapters::CommandInfo> = slash::COMMANDS.iter().map(info).collect();
    if let Err(fault) = adapter.register(&commands).await {
        tracing::debug!("the commands of the channel {id} were not registered: {fault}");
    }
}

/// A channel that was turned off, or waits because the workspace is paused.
fn stopped(tx: &mut WriteTx<'_>, id: ChannelId) -> Result<(), Error> {
    let Some(channel) = tx.get::<Channel>(id)? else { return Ok(()) };
    let state = queries::state(tx, id, tx.now())?.state;
    if !channel.is_enabled
        || channel.agent.is_none()
        || (state == State::Online && halt::of_workspace(tx)?.is_some())
    {
        rules::set_state(tx, id, State::Off, "")?;
    }
    Ok(())
}

/// Opens the adapter of a channel with its sealed tokens.
pub(crate) fn open(ws: &Ws, channel: &Channel) -> Result<Arc<dyn adapters::Channel>, Fault> {
    let tokens = tokens(ws, channel)?;
    let not_text = "Its token isn’t text. Replace the token.";
    let texts: Result<Vec<&str>, _> = tokens.iter().map(|token| token.expose_text()).collect();
    let texts = texts.map_err(|_| Fault::new(FaultKind::NotReady, not_text))?;
    connect(ws, channel.kind, &texts, &channel.api_base)
}

/// The decrypted tokens of a channel.
pub(crate) fn tokens(ws: &Ws, channel: &Channel) -> Result<Vec<crypto::keyring::Secret>, Fault> {
    let not_ready = |detail: &str| Fault::new(FaultKind::NotReady, detail);
    let mut tokens = Vec::new();
    for id in &channel.secrets {
        let value = ws.read(|snap| {
            let is_live =
                snap.get::<Secret>(*id)?.is_some_and(|secret| secret.removed_at.is_none());
            Ok::<_, StoreError>(vault::queries::value(snap, *id)?.filter(|_| is_live))
        });
        let value = value.ok().flatten();
        let value = value.ok_or_else(|| not_ready("Its token was removed. Replace the token."))?;
        let opened = vault::values::open(&ws.app.keyring, *id, &value.sealed);
        let unreadable = |_| not_ready("Its token can’t be decrypted. Replace the token.");
        tokens.push(opened.map_err(unreadable)?);
    }
    Ok(tokens)
}

/// The host and port of an address, as a line of [`Opened`].
fn opened(api_base: &str) -> Option<String> {
    // ok: an address that cannot be parsed is refused by the request.
    let url = net::guard::parse(api_base).ok()?;
    let host = url.host_str()?;
    Opened::line(&url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// An adapter with these tokens. A private `api_base` is opened to this adapter alone.
pub(crate) fn connect(
    ws: &Ws,
    kind: Kind,
    tokens: &[&str],
    api_base: &str,
) -> Result<Arc<dyn adapters::Channel>, Fault> {
    let api = (!api_base.is_empty()).then_some(api_base);
    let http = match api.and_then(opened) {
        Some(line) => ws.app.http.opening(Opened::of(&[line])),
        None => ws.app.http.clone(),
    };
    let token = |n: usize| tokens.get(n).copied().unwrap_or_default();
    Ok(match kind {
        Kind::Telegram => Arc::new(adapters::telegram::Telegram::open(token(0), api, http)?),
        Kind::Discord => Arc::new(adapters::discord::open(token(0), api, http)?),
        Kind::Slack => Arc::new(adapters::slack::open(token(0), token(1), api, http)?),
        Kind::Webhook => {
            let clock = Arc::clone(&ws.app.clock);
            Arc::new(adapters::webhook::open(token(0), api, http, clock)?)
        }
    })
}

/// Writes as the worker. Failures are logged; the next event repeats what matters.
async fn write(
    ws: &Ws,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), Error> + Send + 'static,
) -> bool {
    match ws.store.write_in(Lane::Second, BY.0, BY.1, body).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "a channel of {} could not store its state", ws.slug);
            false
        }
    }
}
