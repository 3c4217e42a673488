//! Builds providers from stored connections, and manages the redaction of their keys.

use std::sync::Arc;

use zeroize::Zeroizing;

use app::{App, Ws, upstream};
use crypto::keyring::{Binding, Sealed, Secret};
use crypto::redact::Watch;
use kernel::{ConnectionId, TypedId};
use providers::account::{Account, SignedIn};
use providers::catalog::Model;
use providers::model::AnswerFormat;
use providers::practice::Practice;
use providers::wire::Connection as Line;
use providers::{Key, Provider};
use store::{Read, ReadExt};

use super::accounts::{self, StoredAccount};
use super::away::{self, LentAccount};
use super::model::{Connection, SpareKeys, Window};
use super::queries;
use super::rules::{ConnectionError, NewKey};
use crate::runs::model::AnswerForm;

/// The provider of a connection; `None` means practice.
///
/// # Errors
/// `NotFound` if it was removed, `Unreadable` if its key cannot be opened with the master key.
pub fn provider(
    ws: &Ws,
    connection: Option<ConnectionId>,
) -> Result<Arc<dyn Provider>, ConnectionError> {
    with_key(ws, connection, 0)
}

/// The requested answer form as a `providers` type.
#[must_use]
pub fn format_of(form: &AnswerForm) -> AnswerFormat {
    // ok: the schema was parsed from JSON when the client sent it.
    let schema = form.schema.as_ref().and_then(|schema| serde_json::from_str(&schema.0).ok());
    AnswerFormat { name: form.name.clone(), schema, strict: form.strict }
}

/// Like [`provider`] with another of the connection's keys.
///
/// # Errors
/// `NotFound` if the connection or key was removed, `Unreadable` if the key cannot be opened.
pub fn with_key(
    ws: &Ws,
    connection: Option<ConnectionId>,
    slot: u32,
) -> Result<Arc<dyn Provider>, ConnectionError> {
    let Some(id) = connection else {
        return Ok(Arc::new(Practice::new(ws.app.practice_pause)));
    };
    let (stored, sealed, window) = ws.read(|snap| {
        let stored = snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        let window = snap.get::<Window>(id)?.map(|window| window.tokens);
        let sealed = match &ws.upstream {
            None => sealed_key(snap, id, slot)?,
            Some(_) => None,
        };
        Ok::<_, ConnectionError>((stored, sealed, window))
    })?;
    let key = match (sealed, &ws.upstream) {
        (Some(sealed), _) => Key::new(&open_sealed(&ws.app, id, sealed)?),
        // On a host: the key sent by the primary.
        (None, Some(up)) => {
            let key = up.key(&upstream::handle(id, slot)).map(|(_, key)| key);
            if let Some(key) = &key {
                watch_spare(&ws.app, id, slot, key);
            }
            key.and_then(|key| Key::new(&key))
        }
        (None, None) => None,
    };
    let base = queries::base_of(&stored)?;
    let shared = ws.app.accounts.of(id);
    let (lessons, gauge) = (shared.lessons(&base.url), shared.gauge.clone());
    let line = Line::new(ws.app.http.clone(), Arc::clone(&ws.app.clock), base, key);
    let line = line.context(window).lessons(lessons).gauge(gauge);
    if let Some(client) = &stored.sign_in {
        let ways = Arc::clone(&shared.ways);
        let account: Arc<dyn Account> = match &ws.upstream {
            None => Arc::new(StoredAccount::new(ws, id)),
            Some(up) => Arc::new(LentAccount::new(ws, up, (id, client.vendor))),
        };
        return Ok(Arc::new(SignedIn::new(client.vendor, line, account, ways)));
    }
    Ok(providers::connect(stored.wire.into(), line))
}

fn sealed_key(
    tx: &dyn Read,
    id: ConnectionId,
    slot: u32,
) -> Result<Option<String>, ConnectionError> {
    if slot == 0 {
        return Ok(queries::key(tx, id)?.map(|key| key.sealed));
    }
    let spare = tx.get::<SpareKeys>(id)?.map_or_else(Vec::new, |spare| spare.keys);
    let key = spare.into_iter().find(|key| key.slot == slot);
    Ok(Some(key.ok_or(ConnectionError::NotFound(id))?.sealed))
}

/// All sealed keys of a connection, by slot.
fn sealed_keys(tx: &dyn Read, id: ConnectionId) -> Result<Vec<(u32, String)>, ConnectionError> {
    let mut keys = Vec::new();
    for slot in queries::turns::slots(tx, id)? {
        keys.extend(sealed_key(tx, id, slot)?.map(|sealed| (slot, sealed)));
    }
    Ok(keys)
}

/// A model as a connection offers and bills it.
pub fn known(
    ws: &Ws,
    connection: Option<ConnectionId>,
    provider: &dyn Provider,
    model: &str,
) -> Result<Model, ConnectionError> {
    let known = provider.model(model);
    let Some(id) = connection else { return Ok(known) };
    let info = ws.upstream.as_ref().and_then(|up| away::model_info(&**up, id, model));
    ws.read(|snap| {
        let known = match &info {
            Some(info) => known.with_info(info),
            None => queries::turns::described(snap, id, model, known)?,
        };
        Ok(queries::priced(snap.get::<Connection>(id)?.as_ref(), known))
    })
}

/// Seals a typed key; `None` if it is empty, as for local servers.
#[must_use]
pub fn seal_key(app: &App, key: &str) -> Option<NewKey> {
    let key = key.trim();
    if key.is_empty() {
        return None;
    }
    Some(NewKey {
        sealed: app.keyring.seal(key.as_bytes()).as_str().to_owned(),
        key_id: app.keyring.key_id().to_string(),
        hint: hint(key),
    })
}

/// Last characters of a key; none of a short key.
fn hint(key: &str) -> String {
    let count = key.chars().count();
    let shown = if count < 12 { 0 } else { 4 };
    format!("…{}", key.chars().skip(count - shown).collect::<String>())
}

fn open_sealed(
    app: &App,
    id: ConnectionId,
    sealed: String,
) -> Result<Zeroizing<String>, ConnectionError> {
    let owner = id.to_string();
    let place = Binding { scope: "connection", owner: &owner, name: "key" };
    let secret = app.keyring.open(&Sealed::from_stored(sealed), place)?;
    Ok(Zeroizing::new(secret.expose_text()?.to_owned()))
}

/// Redaction placeholder of a key.
fn watch_name(id: ConnectionId, slot: u32) -> String {
    match slot {
        0 => format!("connection-{}", id.short()),
        slot => format!("connection-{}-{}", id.short(), slot + 1),
    }
}

/// The opened keys of a connection, for a host that calls its provider.
///
/// # Errors
/// If a key cannot be opened.
pub fn keys(ws: &Ws, id: ConnectionId) -> Result<Vec<(u32, Zeroizing<String>)>, ConnectionError> {
    let sealed = ws.read(|snap| sealed_keys(snap, id))?;
    let open = |(slot, sealed): (u32, String)| Ok((slot, open_sealed(&ws.app, id, sealed)?));
    sealed.into_iter().map(open).collect()
}

/// Redacts the keys of all connections in all texts from now on. A key that cannot be opened cannot leak; it is
/// logged and skipped.
pub fn watch_keys(app: &App, ws: &Ws) -> Result<(), ConnectionError> {
    let mut live = Vec::new();
    for connection in ws.read(|snap| queries::all(snap))? {
        let id = connection.id;
        accounts::watch_stored(app, ws, &connection)?;
        for (slot, sealed) in ws.read(|snap| sealed_keys(snap, id))? {
            match open_sealed(app, id, sealed) {
                Ok(text) => live.push((watch_name(id, slot), Secret::new(text.as_bytes()))),
                Err(error) => {
                    tracing::warn!(connection.id = %id, "a key cannot be opened: {error}");
                }
            }
        }
    }
    app.redactor.add_all(live.iter().map(|(name, secret)| (name.as_str(), secret.clone())));
    Ok(())
}

/// Redacts this key in all texts from now on.
pub fn watch_key(app: &App, id: ConnectionId, key: &str) -> Watch {
    watch_spare(app, id, 0, key)
}

/// Like [`watch_key`] for another of the connection's keys.
pub fn watch_spare(app: &App, id: ConnectionId, slot: u32, key: &str) -> Watch {
    app.redactor.add(&watch_name(id, slot), Secret::new(key.trim()))
}

/// Stops redacting the first key and the account tokens of a connection.
pub fn forget_key(app: &App, id: ConnectionId) {
    forget_spare(app, id, 0);
    accounts::forget(app, id);
}

/// Stops redacting another of a connection's keys.
pub fn forget_spare(app: &App, id: ConnectionId, slot: u32) {
    app.redactor.remove(&watch_name(id, slot));
}
