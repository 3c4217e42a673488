//! Outgoing values: for programs and requests of agents, and for the redactor, which masks them everywhere else.

use app::{App, Ws};
use crypto::keyring::{self, SealError};
use kernel::{Actor, AgentId, Cause, Part};
use store::{Range, ReadExt as _, StoreError};

use crate::away;
use crate::error::VaultError;
use crate::model::{Category, Places, Secret, SecretId, Value, Way};
use crate::queries;
use crate::rules;
use crate::values;

/// A secret that an agent's programs or requests may use now.
#[derive(Debug)]
pub struct Given {
    pub id: SecretId,
    pub key: String,
    /// Version of the value.
    pub version: u32,
    pub way: Way,
    /// Only programs for which the agent names the secret get it.
    pub named_only: bool,
    /// The value may be read: a variable, not a secret.
    pub plain: bool,
    pub hosts: Vec<String>,
    /// Where in requests to its hosts the value may be inserted.
    pub places: Places,
    /// The decrypted value, for immediate use. An error means that the value must be entered again.
    pub value: Result<keyring::Secret, SealError>,
}

/// The secrets of an agent, one per variable, in force now. A value that cannot be decrypted is an error in its entry
/// and does not affect others. Secrets of channels and connectors are excluded.
pub fn given(ws: &Ws, agent: AgentId) -> Result<Vec<Given>, StoreError> {
    if let Some(up) = &ws.upstream {
        return Ok(away::given(ws, &**up, agent));
    }
    let held = ws.read(|snap| {
        let mut held = Vec::new();
        for one in queries::held(snap, agent)? {
            if one.secret.category == Category::User {
                let value = queries::value(snap, one.secret.id)?;
                held.push((one.secret, value));
            }
        }
        Ok::<_, StoreError>(held)
    })?;
    Ok(held.into_iter().map(|(secret, value)| give(&ws.app, secret, value)).collect())
}

fn give(app: &App, secret: Secret, value: Option<Value>) -> Given {
    let value = match value {
        Some(value) => values::open(&app.keyring, secret.id, &value.sealed),
        None => Err(SealError::BadFormat),
    };
    Given::of(secret, value)
}

impl Given {
    pub(crate) fn of(secret: Secret, value: Result<keyring::Secret, SealError>) -> Self {
        Self {
            id: secret.id,
            key: secret.key,
            version: secret.version,
            way: secret.way,
            named_only: secret.named_only,
            plain: secret.plain,
            hosts: secret.hosts,
            places: secret.places,
            value,
        }
    }
}

/// Whether the value can be decrypted; otherwise it must be entered again.
#[must_use]
pub fn opens(app: &App, id: SecretId, value: Option<&Value>) -> bool {
    value.is_some_and(|value| values::open(&app.keyring, id, &value.sealed).is_ok())
}

/// The value of a variable marked as not secret; `None` for all other secrets.
#[must_use]
pub fn plain(app: &App, secret: &Secret, value: Option<&Value>) -> Option<String> {
    let value = value.filter(|_| secret.plain)?;
    // ok: a value that cannot be decrypted is shown as such.
    let opened = values::open(&app.keyring, secret.id, &value.sealed).ok()?;
    opened.expose_text().ok().map(str::to_owned)
}

/// Sends reminders of secrets that expire soon, and deletes secrets past their restore period and expired former
/// values. After an error, the next sweep continues.
pub async fn sweep(ws: &Ws) -> Result<(), VaultError> {
    /// Deletions per transaction.
    const PIECE: usize = 100;
    let by = (Actor::System(Part::Timer), Cause::Timer);
    if ws.is_active() {
        ws.write(&by, |tx| rules::remind(tx).map(drop)).await?;
    }
    while ws.read(|snap| queries::is_past(snap, ws.app.clock.now()))? {
        ws.write(&by, |tx| rules::sweep(tx, PIECE)).await?;
    }
    follow(ws).await
}

/// [`watch`] on a blocking thread.
pub(crate) async fn follow(ws: &Ws) -> Result<(), VaultError> {
    ws.read_blocking(|ws| watch(ws).map_err(VaultError::from)).await
}

/// Registers all stored values with the redactor, including former and removed ones, and the workspace's own mask
/// patterns; deregisters deleted ones. Runs when a workspace opens and after each change. Writes nothing.
pub fn watch(ws: &Ws) -> Result<(), StoreError> {
    let all = ws.read(|snap| {
        let mut all = Vec::new();
        for secret in snap.list::<Secret>(&Range::all())?.into_iter().filter(|one| !one.plain) {
            let value = queries::value(snap, secret.id)?;
            all.push((secret, value));
        }
        Ok::<_, StoreError>(all)
    })?;
    let mut live = Vec::new();
    for (secret, value) in all {
        let Some(value) = value else { continue };
        let former = value.former.iter().map(|former| &former.sealed);
        for sealed in std::iter::once(&value.sealed).chain(former) {
            match values::open(&ws.app.keyring, secret.id, sealed) {
                Ok(value) => live.push((secret.key.clone(), value)),
                Err(error) => {
                    let key = &secret.key;
                    tracing::warn!(secret.id = %secret.id, "{key} cannot be opened: {error}");
                }
            }
        }
    }
    let group = format!("vault {}", ws.id);
    let masks = ws.read(|snap| queries::masks(snap))?;
    ws.app.redactor.look_for(&group, masks.into_iter().map(|mask| mask.pattern).collect());
    ws.app.redactor.replace(&group, live);
    Ok(())
}
