//! The keys that the agents of a host need, on their way: those of connections, tokens of sign-ins, secrets. They are sealed
//! by the link, kept there in memory alone, and taken back as soon as none of its agents needs them. The host says of each
//! which version it has; it begins nothing before it has all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use app::Ws;
use app::upstream::{Refusal, Wanted};
use bytes::Bytes;
use features::connections::away;
use features::connections::model::CONNECTIONS;
use gateways::queries;
use kernel::{AgentId, ConnectionId, GatewayId, key};
use link::CHUNK;
use link::frame::{Control, Frame, KeyPush, KeyRevoke};
use mirror::Roots;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Entry, Snap, StoreError};
use tokio::sync::broadcast::Receiver as Entries;
use zeroize::Zeroizing;

use super::serve::{End, Host, STOPPING, hears};

type Keys = BTreeMap<String, Zeroizing<String>>;

/// Sends keys until the link ends, once the host is welcomed: with that it takes leave of those of its last link.
pub(super) async fn keys(host: &Host, mut feed: Entries<Arc<Entry>>) -> End {
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let mut told: Option<Value> = None;
    host.welcomed.notified().await;
    loop {
        let id = host.id;
        let (agents, keys) = match host.ws.look(move |ws| needed(ws, id)).await {
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
            frames.push(Frame::KeyRevoke(KeyRevoke { handle }));
        }
        for (handle, key) in keys {
            let version = version(&key);
            if sent.insert(handle.clone(), version) != Some(version) {
                let sealed = Bytes::copy_from_slice(key.as_bytes());
                frames.push(Frame::KeyPush(KeyPush { handle, version, sealed }));
            }
        }
        if told.as_ref() != Some(&agents) || !frames.is_empty() {
            // With these it has all that these agents need.
            let body = json!({ "do": "keys", "agents": agents, "keys": sent });
            frames.push(Frame::Control(Control { run: None, body }));
            told = Some(agents);
        }
        for frame in frames {
            if let Err(error) = host.sender.send(frame).await {
                return error.into();
            }
        }
        if !hears(&mut feed, |_| true).await {
            return End::Said(STOPPING);
        }
    }
}

/// Which of its values a key has: nothing of it can be told from that.
fn version(key: &str) -> u64 {
    let digest = Sha256::digest(key);
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The agents of a host, and the keys that they need.
fn needed(ws: &Ws, id: GatewayId) -> Result<(Value, Keys), StoreError> {
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
    keys.extend(vault::away::sent(ws, &agents)?);
    keys.retain(|handle, key| {
        let fits = key.len() <= CHUNK;
        if !fits {
            tracing::warn!("{handle} is too long for a host of {}", ws.slug);
        }
        fits
    });
    Ok((super::ship::listed(&agents), keys))
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

/// Sees to it that calls can be made with a sign-in of a host's agents: home alone renews. The answer says which version of
/// the token is good; the token itself comes as all keys do.
pub(super) async fn renewed(host: &Host, wanted: Wanted) -> Result<Value, Refusal> {
    let (id, Wanted { connection, refused }) = (host.id, wanted);
    let failed = |error: StoreError| Refusal::new("storage_failed", error.to_string());
    let its = host.ws.look(move |ws| ws.read(|snap| connections(snap, &queries::bound(snap, id)?)));
    if !its.await.map_err(failed)?.contains(&connection) {
        tracing::warn!(gateway.id = %id, "a host is refused a token that its agents do not need");
        return Err(Refusal::new("not_yours", "no agent of this machine uses this connection"));
    }
    let is_refused = move |lent: &str| refused == Some(version(lent));
    match away::renewed(&host.ws, connection, is_refused).await {
        Ok(lent) => Ok(json!({ "version": version(&lent) })),
        Err(error) => Err(away::as_refusal(&error)),
    }
}
