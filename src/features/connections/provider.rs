//! From a stored connection to somebody who answers.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::{App, Ws};
use crate::crypto::keyring::{Binding, Sealed, Secret};
use crate::crypto::redact::Watch;
use crate::kernel::{ConnectionId, TypedId};
use crate::providers::base;
use crate::providers::catalog::Model;
use crate::providers::practice::Practice;
use crate::providers::wire::Connection as Line;
use crate::providers::{self, Key, Provider};
use crate::store::ReadExt;

use super::model::{Connection, ConnectionKey};
use super::queries;
use super::rules::{ConnectionError, NewKey};

/// The provider of a connection; none means practice.
///
/// # Errors
/// `NotFound` when it was removed, `Unreadable` when its key does not open with the master key.
pub fn provider(
    ws: &Ws,
    connection: Option<ConnectionId>,
) -> Result<Arc<dyn Provider>, ConnectionError> {
    let Some(id) = connection else {
        return Ok(Arc::new(Practice::new(ws.app.practice_pause)));
    };
    let (stored, key) = ws.read(|snap| {
        let stored = snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        Ok::<_, ConnectionError>((stored, queries::key(snap, id)?))
    })?;
    let key = match key {
        Some(key) => Key::new(&open_key(&ws.app, &key)?),
        None => None,
    };
    let base = base::normalise(stored.wire.into(), &stored.base_url)?;
    let line = Line::new(ws.app.http.clone(), Arc::clone(&ws.app.clock), base, key);
    Ok(providers::connect(stored.wire.into(), line))
}

/// What is known of a model as a connection offers and bills it.
///
/// # Errors
/// When the disk fails.
pub fn known(
    ws: &Ws,
    connection: Option<ConnectionId>,
    provider: &dyn Provider,
    model: &str,
) -> Result<Model, ConnectionError> {
    let stored = match connection {
        Some(id) => ws.read(|snap| snap.get::<Connection>(id))?,
        None => None,
    };
    Ok(queries::priced(stored.as_ref(), provider.model(model)))
}

/// Seals a key that a person typed; none when it is empty, as for local servers.
#[must_use]
pub fn seal_key(app: &App, typed: &str) -> Option<NewKey> {
    let typed = typed.trim();
    if typed.is_empty() {
        return None;
    }
    Some(NewKey {
        sealed: app.keyring.seal(typed.as_bytes()).as_str().to_owned(),
        key_id: app.keyring.key_id().to_string(),
        hint: hint(typed),
    })
}

/// The last characters of a key, and fewer of a short one.
fn hint(key: &str) -> String {
    let count = key.chars().count();
    let shown = if count < 12 { 0 } else { 4 };
    format!("…{}", key.chars().skip(count - shown).collect::<String>())
}

fn open_key(app: &App, key: &ConnectionKey) -> Result<Zeroizing<String>, ConnectionError> {
    let owner = key.connection.to_string();
    let place = Binding { scope: "connection", owner: &owner, name: "key" };
    let secret = app.keyring.open(&Sealed::from_stored(key.sealed.clone()), place)?;
    Ok(Zeroizing::new(secret.expose_text()?.to_owned()))
}

/// The name that stands in a text in place of a connection's key.
fn watch_name(id: ConnectionId) -> String {
    format!("connection-{}", id.short())
}

/// Takes the keys of all connections out of every text from now on. A key that cannot be opened
/// is no secret that HQ could give away; it is logged and left.
///
/// # Errors
/// When the disk fails.
pub fn watch_keys(app: &App, ws: &Ws) -> Result<(), ConnectionError> {
    let mut live = Vec::new();
    for connection in ws.read(|snap| queries::all(snap))? {
        let Some(key) = ws.read(|snap| queries::key(snap, connection.id))? else { continue };
        match open_key(app, &key) {
            Ok(text) => live.push((watch_name(connection.id), Secret::new(text.as_bytes()))),
            Err(error) => {
                tracing::warn!(connection.id = %connection.id, "a key cannot be opened: {error}");
            }
        }
    }
    app.redactor.add_all(live.iter().map(|(name, secret)| (name.as_str(), secret.clone())));
    Ok(())
}

/// Takes this key out of every text from now on.
pub fn watch_key(app: &App, id: ConnectionId, typed: &str) -> Watch {
    app.redactor.add(&watch_name(id), Secret::new(typed.trim()))
}

/// Forgets the key of a connection that is gone or has none any more.
pub fn forget_key(app: &App, id: ConnectionId) {
    app.redactor.remove(&watch_name(id));
}
