//! Values on their way out: to what runs for an agent, and to the redactor, so that nothing else lets them through.

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

/// A secret that an agent's programs or requests may have now.
#[derive(Debug)]
pub struct Given {
    pub id: SecretId,
    /// The variable.
    pub key: String,
    /// Which of its values.
    pub version: u32,
    /// How it is used.
    pub way: Way,
    /// Whether only those programs have it for which the agent names it.
    pub named_only: bool,
    /// Whether it is no secret.
    pub plain: bool,
    pub hosts: Vec<String>,
    /// Where in requests to them.
    pub places: Places,
    /// The value, to be used at once; why it cannot be opened, where it must be entered again.
    pub value: Result<keyring::Secret, SealError>,
}

/// What an agent has now, by variable: its own before that of all. One that cannot be opened is named as such and keeps
/// no other back. What belongs to a channel or a connector is not among them.
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

/// Whether the value of a secret opens; otherwise it must be entered again.
#[must_use]
pub fn opens(app: &App, id: SecretId, value: Option<&Value>) -> bool {
    value.is_some_and(|value| values::open(&app.keyring, id, &value.sealed).is_ok())
}

/// The value of what is no secret; nothing for all others.
#[must_use]
pub fn plain(app: &App, secret: &Secret, value: Option<&Value>) -> Option<String> {
    let value = value.filter(|_| secret.plain)?;
    // ok: one that does not open is shown as such.
    let opened = values::open(&app.keyring, secret.id, &value.sealed).ok()?;
    opened.expose_text().ok().map(str::to_owned)
}

/// Tells of secrets that are over soon, and takes away what nobody can have back any more: secrets that were removed a week
/// ago, former values.
///
/// # Errors
/// When the store fails; the next sweep goes on.
pub async fn sweep(ws: &Ws) -> Result<(), VaultError> {
    /// So much goes in one transaction.
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

/// The same as [`watch`], on a thread where waiting harms nobody.
pub(crate) async fn follow(ws: &Ws) -> Result<(), VaultError> {
    ws.read_blocking(|ws| watch(ws).map_err(VaultError::from)).await
}

/// Takes all values that are kept out of every text from now on, former and removed ones too, with what patterns of one's
/// own find, and forgets those that are gone. Called at the start of a workspace and after each change; nothing is written.
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
