//! Admission of hosts: selects the workspace, limits attempts by address, and decides whether the host may link.
//!
//! The primary signs its response before it knows the caller. The URL therefore selects the workspace by the key
//! fingerprint that the host was given. The fingerprint is not secret.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{HeaderMap, ORIGIN};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::Error as SocketError;

use app::config::Config;
use app::copies::{Admission, Caller as Machine};
use app::troubles::{News, Trouble};
use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use gateways::error::GatewayError;
use gateways::identity::identity;
use gateways::model::{Facts, Load};
use gateways::queries;
use gateways::rules::{self, Judgement, Refusal as Why};
use kernel::{Actor, Cause, Clock, GatewayId, Part, ProblemKind};
use link::{
    Admitted, Carrier, Door, FloodGuard, HostRequest, Identity, LinkError, MAX_SEALED, Pace,
    PublicKey, Purpose, Refusal, accept,
};
use store::Entry;
use web::error::{ApiError, Failure};
use web::extract::Query;
use web::session::Peer;

use super::serve::serve;

/// Maximum number of concurrent handshakes. Unauthenticated callers may each send one long message.
const AT_ONCE: usize = 64;
/// Initial buffer size of a link in bytes. Buffers grow as needed.
const BUFFER: usize = 16 << 10;
/// Actor of admission decisions.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Refusal code for a problem of the primary, with a retry time.
const NOT_NOW: &str = "not_now";
/// Refusal code for too many failed attempts from an address.
const CLOSED: &str = "rate_limited";
const LATER: Duration = Duration::from_secs(10);
/// How long a held machine waits before it calls again.
const CHOICE: Duration = Duration::from_secs(20);
/// Maximum length of a life id.
const MAX_LIFE: usize = 64;

/// Process-wide state of the admission.
pub struct Porch {
    guard: FloodGuard,
    room: Arc<Semaphore>,
}

impl Porch {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { guard: FloodGuard::new(clock), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// Query parameters that select the workspace.
#[derive(Deserialize)]
pub(super) struct Meant {
    /// Fingerprint of the workspace's key; optional if only one workspace has a key.
    #[serde(default)]
    home: String,
    /// The gateway that the host claims to be; not authenticated.
    #[serde(default)]
    gateway: String,
}

/// `GET /gateway/link`: a host opens a link.
pub(super) async fn knocks(
    app: App,
    peer: Peer,
    Extension(porch): Extension<Arc<Porch>>,
    Query(meant): Query<Meant>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let refused = |kind, code: &str, text: String| ApiError(Failure::new(kind, code, text));
    if headers.contains_key(ORIGIN) {
        // A web page could exhaust the attempts of its visitor's address.
        let text = "this URL is only for gateways".to_owned();
        return Err(refused(ProblemKind::Forbidden, "no_page", text));
    }
    let from = address(peer);
    let wait = porch.guard.wait(from);
    if let Some(wait) = wait.filter(|_| !is_proxy(&app.config, from)) {
        let secs = wait.as_secs() + 1;
        let text = format!("too many failed handshakes; try again in {secs} s");
        return Err(refused(ProblemKind::Limited, CLOSED, text));
    }
    let Some(ws) = workspace(&app, &meant.home)? else {
        let text = "no workspace here has this fingerprint; copy the command again".to_owned();
        return Err(refused(ProblemKind::NotFound, "unknown_home", text));
    };
    if let Some(words) = ws.closed_words() {
        return Err(refused(ProblemKind::Conflict, "closed", words));
    }
    let place = Arc::clone(&porch.room).try_acquire_owned().map_err(|_| {
        let text = "too many gateways are connecting at once; try again in a moment".to_owned();
        refused(ProblemKind::Unavailable, "busy", text)
    })?;
    // ok: an invalid id names no gateway.
    let named = meant.gateway.parse().ok();
    let began = app.hosts.calls();
    let call = Call { from, began, wait };
    let caller = Caller { identity: identity(&ws).await?, ws, named, call, porch, place };
    let upgrade = upgrade.max_message_size(MAX_SEALED).max_frame_size(MAX_SEALED);
    let upgrade = upgrade.read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    Ok(upgrade.on_upgrade(move |socket| caller.heard(socket)))
}

/// Whether an address may carry hosts from anywhere: a proxy on this machine.
fn is_proxy(config: &Config, from: IpAddr) -> bool {
    config.public_url.is_some() && from.to_canonical().is_loopback()
}

fn address(peer: Peer) -> IpAddr {
    match peer {
        Peer::Net(address) => address,
        Peer::Socket { .. } => Ipv4Addr::LOCALHOST.into(),
    }
}

/// The workspace whose key has this fingerprint; without a fingerprint, the only workspace with a key.
fn workspace(app: &App, home: &str) -> Result<Option<Ws>, GatewayError> {
    let all = app.ask_each(|ws| ws.read(|snap| queries::key(snap)))?;
    let mut all: Vec<_> = all.into_iter().filter_map(|(ws, key)| Some((ws, key?.public))).collect();
    if !home.is_empty() {
        all.retain(|(_, key)| PublicKey::from_bytes(*key).is(home));
    }
    match (all.pop(), all.is_empty()) {
        (Some((ws, _)), true) => Ok(Some(ws)),
        _ => Ok(None),
    }
}

/// A calling machine and its workspace.
struct Caller {
    ws: Ws,
    identity: Identity,
    /// The gateway that it claims to be.
    named: Option<GatewayId>,
    call: Call,
    porch: Arc<Porch>,
    place: OwnedSemaphorePermit,
}

/// Circumstances of a call.
#[derive(Clone, Copy)]
struct Call {
    from: IpAddr,
    /// Sequence number of the call.
    began: u64,
    /// Remaining lock-out for unknown hosts; known hosts may pass.
    wait: Option<Duration>,
}

impl Caller {
    /// Runs the handshake, then serves the host as a task of the workspace.
    async fn heard(self, socket: WebSocket) {
        let Self { ws, identity, named, call, porch, place } = self;
        let Call { from, wait, .. } = call;
        // Subscribed before the decision, so that no change that affects it is missed.
        let feeds: [Receiver<Arc<Entry>>; 3] = std::array::from_fn(|_| ws.store.subscribe());
        let carrier = Carrier::of_socket(socket, Message::Binary, binary, failed);
        let version = env!("CARGO_PKG_VERSION");
        let door = Door { identity: &identity, version, pace: Pace::default() };
        match accept(carrier, door, |request| judge(&ws, request, call)).await {
            Ok(accepted) => {
                if wait.is_none() {
                    porch.guard.passed(from);
                }
                drop(place);
                let own = ws.clone();
                ws.spawn("host", serve(own, accepted, feeds));
            }
            Err(error) => {
                if counts(&error) {
                    porch.guard.failed(from);
                }
                tracing::info!(%error, "a host that knocked at {} was not let in", ws.slug);
                if let (Some(named), LinkError::Refused(refusal)) = (named, &error)
                    && refusal.code == Refusal::WIRE
                {
                    is_at_odds(&ws, named, &refusal.sentence);
                }
            }
        }
    }
}

/// Notes for people that a program with an incompatible protocol calls as an unlinked gateway. The caller is not
/// authenticated, so only these words are stored.
fn is_at_odds(ws: &Ws, named: GatewayId, words: &str) {
    let is_known =
        ws.read(|snap| Ok::<_, GatewayError>(!queries::gateway_by_id(snap, named)?.is_local()));
    if is_known.is_ok_and(|is_known| is_known) {
        ws.app.hosts.is_at_odds(ws.id, named, ws.app.clock.now(), words);
    }
}

/// Whether a failure counts against the caller.
fn counts(error: &LinkError) -> bool {
    match error {
        // A held machine has proved its key, and the chosen machine may have the same address.
        LinkError::Refused(refusal) => {
            let [held, copied] = [Why::Held.word(), Why::Copied.word()];
            ![NOT_NOW, CLOSED, held, copied].contains(&refusal.code.as_str()) && error.is_hostile()
        }
        error => error.is_hostile(),
    }
}

fn binary(message: Message) -> Option<Bytes> {
    match message {
        Message::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

fn failed(error: axum::Error) -> LinkError {
    match error.into_inner().downcast_ref::<SocketError>() {
        Some(SocketError::Capacity(_)) => LinkError::TooLarge { limit: MAX_SEALED },
        _ => LinkError::Cut,
    }
}

/// Decides about a host that has proved its key. The decision is recorded, also a rejection.
async fn judge(ws: &Ws, request: HostRequest, call: Call) -> Result<Admitted, Refusal> {
    if let (Some(wait), Purpose::Join { .. }) = (call.wait, &request.purpose) {
        let words = "Too many failed attempts from this network. Try again in five minutes.";
        return Err(Refusal::new(CLOSED, words).after(wait));
    }
    let (known_facts, key, epoch) =
        (facts_of(&request), *request.key.as_bytes(), ws.store.incarnation());
    let machine = machine(&request, call.from);
    let (purpose, facts) = (request.purpose, known_facts.clone());
    let judged = ws.write(&BY, move |tx| match purpose {
        Purpose::Join { token } => match Token::parse(TokenKind::Gateway, token.trim()) {
            Ok(token) => rules::judge_join(tx, &token, key, &facts),
            Err(_) => Ok(Judgement::Refused(Why::UnknownToken)),
        },
        Purpose::Known { gateway } => rules::judge_known(tx, gateway, key),
    });
    let id = match judged.await {
        Ok(Judgement::Welcome { gateway, .. }) => gateway,
        Ok(Judgement::Refused(why)) => return Err(refusal(why)),
        Err(error) => return Err(not_now(ws, &error)),
    };
    match ws.app.hosts.admit((ws.id, id), machine, call.began, ws.app.clock.now()) {
        Admission::Admitted => {}
        Admission::Late => {
            let words = "Another process of this gateway connected first.";
            return Err(Refusal::new(NOT_NOW, words).after(LATER));
        }
        Admission::Held { is_told } => {
            if !is_told {
                tell_copied(ws, id).await;
            }
            return Err(refusal(Why::Held).after(CHOICE));
        }
        Admission::Refused => return Err(refusal(Why::Copied)),
    }
    match ws.write(&BY, move |tx| rules::hello(tx, id, &known_facts)).await {
        Ok(one) => Ok(Admitted { gateway: one.id, label: one.label, epoch }),
        Err(error) => Err(not_now(ws, &error)),
    }
}

fn refusal(why: Why) -> Refusal {
    Refusal::new(why.word(), why.label())
}

fn not_now(ws: &Ws, error: &GatewayError) -> Refusal {
    tracing::warn!(%error, "a host could not be judged at {}", ws.slug);
    let words = "The workspace can’t accept this gateway now. It retries in a moment.";
    Refusal::new(NOT_NOW, words).after(LATER)
}

/// Notifies people of copied folders. A failed notification is repeated with the next call.
async fn tell_copied(ws: &Ws, id: GatewayId) {
    let news = News::Began(vec![Trouble::Copied]);
    match ws.write(&BY, move |tx| rules::tell_trouble(tx, id, &news)).await {
        Ok(()) => ws.app.hosts.copies_are_told(ws.id, id),
        Err(error) => {
            tracing::warn!(%error, "nobody is told that a gateway of {} is held", ws.slug)
        }
    }
}

/// Data that distinguishes a host from a copy of it.
fn machine(request: &HostRequest, from: IpAddr) -> Machine {
    let life = |text: &str| kernel::text::ellipsis(text, MAX_LIFE);
    Machine {
        life: life(&request.facts.life),
        branch: life(&request.facts.branch),
        name: rules::clean(&request.facts.name),
        address: from.to_canonical().to_string(),
    }
}

/// Converts the host's machine data to the format of gateways.
fn facts_of(request: &HostRequest) -> Facts {
    let facts = &request.facts;
    Facts {
        version: request.version.clone(),
        system: match facts.arch.is_empty() {
            true => facts.system.clone(),
            false => format!("{}, {}", facts.system, facts.arch),
        },
        addresses: facts.addresses.clone(),
        labels: facts.labels.clone(),
        load: Load {
            processors: u16::try_from(facts.cpus).unwrap_or(u16::MAX),
            memory_total: facts.memory,
            disk_total: facts.disk,
            ..Load::default()
        },
    }
}
