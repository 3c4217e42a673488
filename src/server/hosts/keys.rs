//! Sends a host the keys that its agents need: connection keys, access tokens and secrets. The link encrypts them.
//! The host keeps them in memory only and drops them as soon as none of its agents needs them. The host confirms the
//! version of each key and starts no work before it has all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use app::Ws;
use app::upstream::{Refusal, Wanted};
use bytes::Bytes;
use features::connections::away;
use features::connections::model::CONNECTIONS;
use gateways::queries;
use kernel::{Actor, AgentId, Cause, ConnectionId, GatewayId, key};
use link::CHUNK;
use link::frame::{Control, Frame, KeyAck, KeyPush, KeyRevoke};
use mirror::Roots;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Entry, Snap, StoreError, WriteTx};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver as Entries;
use vault::away::Parcel;
use vault::model::SecretId;
use zeroize::Zeroizing;

use super::serve::{End, Host, STOPPING, hears};

type Keys = BTreeMap<String, Zeroizing<String>>;
/// Secrets with the number of their value.
type Values = BTreeMap<SecretId, u32>;

/// State of the secrets sent to a host.
#[derive(Default)]
pub(super) struct Way {
    /// By wire name: the version sent, the secret and the number of its value.
    out: Mutex<BTreeMap<String, (u64, SecretId, u32)>>,
    /// Confirmed values that are not recorded yet.
    here: Mutex<Vec<(SecretId, u32)>>,
    came: Notify,
}

impl Way {
    /// Processes the host's confirmation of a version.
    pub(super) fn confirmed(&self, ack: &KeyAck) {
        let out = self.out.lock().get(&ack.handle).copied();
        if let Some((_, secret, value)) = out.filter(|(version, ..)| *version == ack.version) {
            self.here.lock().push((secret, value));
            self.came.notify_one();
        }
    }
}

/// What a host needs.
struct Needed {
    agents: Value,
    keys: Keys,
    /// The keys that are secrets.
    secrets: BTreeMap<String, (SecretId, u32)>,
}

/// Sends keys until the link ends, starting after the welcome, at which the host drops the keys of its previous link.
pub(super) async fn keys(host: &Host, mut feed: Entries<Arc<Entry>>) -> End {
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let mut last: Option<Value> = None;
    let mut noted: Option<Values> = None;
    host.welcomed.notified().await;
    loop {
        let id = host.id;
        let Needed { agents, keys, secrets } =
            match host.ws.read_blocking(move |ws| needed(ws, id)).await {
                Ok(needed) => needed,
                Err(error) => {
                    tracing::warn!(%error, "keys for a host of {} could not be read", host.ws.slug);
                    return End::Said(STOPPING);
                }
            };
        let mut frames = Vec::new();
        let is_needless = |handle: &String| !keys.contains_key(handle);
        let gone: Vec<String> = sent.keys().filter(|one| is_needless(one)).cloned().collect();
        for handle in gone {
            sent.remove(&handle);
            host.way.out.lock().remove(&handle);
            frames.push(Frame::KeyRevoke(KeyRevoke { handle }));
        }
        for (handle, key) in keys {
            let version = version(&key);
            match secrets.get(&handle) {
                Some((id, value)) => {
                    host.way.out.lock().insert(handle.clone(), (version, *id, *value));
                }
                None => {
                    host.way.out.lock().remove(&handle);
                }
            }
            if sent.insert(handle.clone(), version) != Some(version) {
                let sealed = Bytes::copy_from_slice(key.as_bytes());
                frames.push(Frame::KeyPush(KeyPush { handle, version, sealed }));
            }
        }
        if last.as_ref() != Some(&agents) || !frames.is_empty() {
            // With these, the host has everything that these agents need.
            let body = json!({ "do": "keys", "agents": agents, "keys": sent });
            frames.push(Frame::Control(Control { run: None, body }));
            last = Some(agents);
        }
        // Recorded before sending, so that no confirmation can arrive earlier.
        let values: Values = secrets.into_values().collect();
        if noted.as_ref() != Some(&values) {
            let now = values.clone();
            note(host, move |tx| vault::rules::sent_to(tx, id, &now)).await;
            noted = Some(values);
        }
        for frame in frames {
            if let Err(error) = host.sender.send(frame).await {
                return error.into();
            }
        }
        loop {
            tokio::select! {
                goes_on = hears(&mut feed, |_| true) => {
                    if !goes_on {
                        return End::Said(STOPPING);
                    }
                    break;
                }
                () = host.way.came.notified() => {
                    let here = std::mem::take(&mut *host.way.here.lock());
                    note(host, move |tx| vault::rules::confirmed(tx, id, &here)).await;
                }
            }
        }
    }
}

/// Records the state of secrets on the host. If that fails, they are shown as unconfirmed; nothing else depends on
/// it.
async fn note(
    host: &Host,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
) {
    let by = (Actor::Gateway(host.id), Cause::Timer);
    if let Err(error) = host.ws.write(&by, body).await {
        tracing::warn!(%error, "where secrets of {} are was not noted", host.ws.slug);
    }
}

/// Version of a key: a part of its SHA-256 hash, which reveals nothing about the key.
fn version(key: &str) -> u64 {
    let digest = Sha256::digest(key);
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The agents of a host and the keys that they need.
fn needed(ws: &Ws, id: GatewayId) -> Result<Needed, StoreError> {
    let (agents, connections) = ws.read(|snap| {
        let agents = queries::bound(snap, id)?;
        let all = connections(snap, &agents)?;
        Ok::<_, StoreError>((agents, all))
    })?;
    let mut keys = Keys::new();
    for id in connections {
        match away::sent(ws, id) {
            Ok(all) => keys.extend(all),
            Err(error) => tracing::warn!(connection.id = %id, "a key is not sent: {error}"),
        }
    }
    let mut secrets = BTreeMap::new();
    for Parcel { name, text, of } in vault::away::sent(ws, id, &agents)? {
        secrets.extend(of.map(|of| (name.clone(), of)));
        keys.insert(name, text);
    }
    keys.retain(|handle, key| {
        let fits = key.len() <= CHUNK;
        if !fits {
            tracing::warn!("{handle} is too long for a host of {}", ws.slug);
        }
        fits
    });
    secrets.retain(|handle, _| keys.contains_key(handle));
    Ok(Needed { agents: super::ship::listed(&agents), keys, secrets })
}

/// The connections that agents of a host may need.
fn connections(
    snap: &Snap<'_>,
    agents: &BTreeSet<AgentId>,
) -> Result<Vec<ConnectionId>, StoreError> {
    if agents.is_empty() {
        return Ok(Vec::new());
    }
    let roots = Roots::of(snap, agents.clone())?;
    let of = roots.iter().filter(|at| at.table == CONNECTIONS.number);
    Ok(of.filter_map(|at| key::decode::<ConnectionId>(&at.key)).collect())
}

/// Ensures that a sign-in of a host's agents has a valid token. Only the primary renews tokens. The response contains
/// the version of the valid token; the token is sent like all keys.
pub(super) async fn renewed(host: &Host, wanted: Wanted) -> Result<Value, Refusal> {
    let (id, Wanted { connection, refused }) = (host.id, wanted);
    let failed = |error: StoreError| Refusal::new("storage_failed", error.to_string());
    let its = host
        .ws
        .read_blocking(move |ws| ws.read(|snap| connections(snap, &queries::bound(snap, id)?)));
    if !its.await.map_err(failed)?.contains(&connection) {
        tracing::warn!(gateway.id = %id, "a host is refused a token that its agents do not need");
        return Err(Refusal::new("not_yours", "no agent on this machine uses this connection"));
    }
    let is_refused = move |lent: &str| refused == Some(version(lent));
    match away::renewed(&host.ws, connection, is_refused).await {
        Ok(lent) => Ok(json!({ "version": version(&lent) })),
        Err(error) => Err(away::as_refusal(&error)),
    }
}
