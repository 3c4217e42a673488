//! Rules for secrets: create, change, remove, restore, and delete after the restore period.

use kernel::text::one_line;
use kernel::{FieldError, RowAct, Timestamp};
use store::{ReadExt as _, WriteTx};

use features::agents::model::Agent;
use gateways::model::{Status, local};

use crate::cards::SECRET;
use crate::error::VaultError;
use crate::model::{Category, Owner, Places, Scope, Secret, SecretId, Value, Way};
use crate::names;
use crate::queries;
use crate::values::NewValue;

/// Limits of name and note, in characters.
const MAX_NAME: usize = 120;
const MAX_NOTE: usize = 2_000;
/// Limits of secrets per workspace and agents per secret.
const MOST: usize = 1_000;
const MOST_AGENTS: usize = 100;
/// Limit of the fields that a place names.
const MOST_FIELDS: usize = 20;

#[derive(Clone, Debug)]
pub struct NewSecret {
    pub name: String,
    /// Derived from the name if `None`.
    pub key: Option<String>,
    pub category: Category,
    /// The value may be read: a variable, not a secret.
    pub plain: bool,
    pub value: NewValue,
    /// The optional fields.
    pub patch: Patch,
}

/// Changes to a secret; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub note: Option<String>,
    pub scope: Option<Scope>,
    /// `Some(None)` chooses the default for the secret's hosts.
    pub way: Option<Option<Way>>,
    /// Only programs for which the agent names the secret get it.
    pub named_only: Option<bool>,
    pub hosts: Option<Vec<String>>,
    /// Where in requests the value may be inserted.
    pub places: Option<Places>,
    /// When the value should be replaced.
    pub expires_at: Option<Option<Timestamp>>,
}

/// Creates a secret.
///
/// # Errors
/// Invalid input, a variable that is taken in this scope, or too many secrets.
pub fn create(tx: &mut WriteTx<'_>, new: NewSecret) -> Result<Secret, VaultError> {
    if MOST <= queries::all(tx)?.len() {
        return Err(VaultError::Refused(format!(
            "there are already {MOST} secrets; remove one \
            first"
        )));
    }
    let now = tx.now();
    let key = match new.key.filter(|key| !key.trim().is_empty()) {
        Some(key) => key,
        None => names::key_of(&new.name),
    };
    let bare = Secret {
        id: tx.new_id(),
        key: names::checked(&key)?,
        name: String::new(),
        note: String::new(),
        category: new.category,
        scope: Scope::Workspace,
        way: Way::Value,
        named_only: false,
        hosts: Vec::new(),
        places: Places::default(),
        plain: new.plain,
        version: 1,
        rotated_at: now,
        expires_at: None,
        removed_at: None,
        by: tx.by(),
        created_at: now,
    };
    let way = new.patch.way.or(Some(None));
    let made = checked(tx, &bare, Patch { name: Some(new.name), way, ..new.patch })?;
    free(tx, &made)?;
    tx.put(&made)?;
    let (sealed, key_id) = (new.value.sealed.as_str().to_owned(), new.value.key_id);
    tx.put(&Value { secret: made.id, sealed, key_id, former: None })?;
    tx.emit(SECRET.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Changes the metadata of a secret.
///
/// # Errors
/// A removed secret, invalid input, or a variable that is taken in this scope.
pub fn change(tx: &mut WriteTx<'_>, id: SecretId, patch: Patch) -> Result<Secret, VaultError> {
    let old = there(tx, id)?;
    not_of_channel(&old)?;
    let new = checked(tx, &old, patch)?;
    if new == old {
        return Ok(old);
    }
    free(tx, &new)?;
    tx.put(&new)?;
    tx.emit(SECRET.changed(&old, &new));
    Ok(new)
}

/// Rejects the token of a channel: only the channel may change it, since it must check it first.
pub(super) fn not_of_channel(secret: &Secret) -> Result<(), VaultError> {
    match secret.category {
        Category::Channel => Err(VaultError::Refused(format!(
            "{} belongs to a channel; change it in Settings → Channels",
            secret.key
        ))),
        Category::User | Category::Integration => Ok(()),
    }
}

/// A secret that is not removed.
pub(super) fn there(tx: &WriteTx<'_>, id: SecretId) -> Result<Secret, VaultError> {
    let secret = queries::by_id(tx, id)?;
    match secret.removed_at {
        None => Ok(secret),
        Some(_) => {
            Err(VaultError::Refused(format!("{} was removed; restore it first", secret.key)))
        }
    }
}

/// Fails if the variable is taken for one of the owners: all agents, the gateway, or one of the named agents.
fn free(tx: &WriteTx<'_>, made: &Secret) -> Result<(), VaultError> {
    for owner in made.scope.owners() {
        let Some(_) = queries::at(tx, &made.key, owner)?.filter(|other| other.id != made.id) else {
            continue;
        };
        let place = match owner {
            Owner::All => "for all agents".to_owned(),
            Owner::Gateway(id) => {
                format!("for all agents on {}", queries::gateway_at(tx, id)?.label)
            }
            Owner::Agent(id) => {
                let agent = tx.get::<Agent>(id)?;
                format!("for {}", agent.map_or_else(|| "an agent".to_owned(), |agent| agent.name))
            }
        };
        return Err(VaultError::Exists { key: made.key.clone(), place });
    }
    Ok(())
}

fn checked(tx: &WriteTx<'_>, old: &Secret, patch: Patch) -> Result<Secret, VaultError> {
    let mut wrong = Vec::new();
    let mut new = old.clone();
    if let Some(name) = patch.name {
        new.name = one_line(&name).trim().to_owned();
        if new.name.is_empty() || MAX_NAME < new.name.chars().count() {
            let words = format!("Enter a name of at most {MAX_NAME} characters.");
            wrong.push(FieldError::new("name", words));
        }
    }
    if let Some(note) = patch.note {
        new.note = note.trim().replace("\r\n", "\n");
        if MAX_NOTE < new.note.chars().count() {
            let words = format!("Use at most {MAX_NOTE} characters.");
            wrong.push(FieldError::new("note", words));
        }
    }
    if let Some(scope) = patch.scope {
        new.scope = scope;
        wrong.extend(misfit(tx, old, &new.scope)?);
    }
    if let Some(hosts) = patch.hosts {
        match names::hosts(&hosts) {
            Ok(hosts) => new.hosts = hosts,
            Err(VaultError::Invalid(fields)) => wrong.extend(fields),
            Err(error) => return Err(error),
        }
    }
    new.places = patch.places.unwrap_or(new.places);
    if [&new.places.query, &new.places.body].iter().any(|names| !are_fields(names)) {
        let words = format!("Enter at most {MOST_FIELDS} names of at most 100 characters.");
        wrong.push(FieldError::new("places", words));
    }
    new.way = match patch.way {
        None => new.way,
        Some(Some(way)) => way,
        Some(None) if new.hosts.is_empty() => Way::Value,
        Some(None) => Way::StandIn,
    };
    if new.way != Way::Value && new.hosts.is_empty() {
        let words = "Enter hosts. HQ sends the secret only to them.";
        wrong.push(FieldError::new("hosts", words));
    }
    new.named_only = patch.named_only.unwrap_or(new.named_only);
    new.expires_at = patch.expires_at.unwrap_or(new.expires_at);
    if wrong.is_empty() { Ok(new) } else { Err(VaultError::Invalid(wrong)) }
}

fn are_fields(names: &[String]) -> bool {
    let fits = |name: &String| !name.trim().is_empty() && name.chars().count() <= 100;
    names.len() <= MOST_FIELDS && names.iter().all(fits)
}

/// Validates a scope. Archived agents and blocked gateways that the secret already names may stay; they cannot be
/// added.
fn misfit(tx: &WriteTx<'_>, old: &Secret, scope: &Scope) -> Result<Option<FieldError>, VaultError> {
    let wrong = |words: &str| Ok(Some(FieldError::new("agents", words)));
    let agents = match scope {
        Scope::Workspace => return Ok(None),
        Scope::Agents(agents) => agents,
        Scope::Gateway(_) if *scope == old.scope => return Ok(None),
        Scope::Gateway(id) if *id == local() => return Ok(None),
        Scope::Gateway(id) => {
            let is_let_in = queries::gateway_at(tx, *id)?.status != Status::Revoked;
            let words = "Choose a gateway with access.";
            return Ok((!is_let_in).then(|| FieldError::new("gateway", words)));
        }
    };
    // No agent uses the tokens of a channel.
    if agents.is_empty() && old.category == Category::Channel {
        return Ok(None);
    }
    if agents.is_empty() || MOST_AGENTS < agents.len() {
        return wrong("Choose 1 to 100 agents.");
    }
    for (n, id) in agents.iter().enumerate() {
        let works = tx.get::<Agent>(*id)?.is_some_and(|agent| agent.archived_at.is_none());
        if agents[..n].contains(id) {
            return wrong("Choose each agent only once.");
        }
        if !works && !old.scope.names(*id) {
            return wrong("Choose an active agent.");
        }
    }
    Ok(None)
}

/// Removes a secret: no agent has it any more. It can be restored for a week.
pub fn remove(tx: &mut WriteTx<'_>, id: SecretId) -> Result<Secret, VaultError> {
    not_of_channel(&there(tx, id)?)?;
    remove_of_channel(tx, id)
}

/// Removes a secret, also the token of a channel.
///
/// # Errors
/// If it is removed already.
pub fn remove_of_channel(tx: &mut WriteTx<'_>, id: SecretId) -> Result<Secret, VaultError> {
    let old = there(tx, id)?;
    let new = Secret { removed_at: Some(tx.now()), ..old.clone() };
    tx.put(&new)?;
    tx.emit(SECRET.changed(&old, &new));
    Ok(new)
}

/// Deletes a secret of a connector at once, without a period in which it can be restored.
pub fn erase(tx: &mut WriteTx<'_>, id: SecretId) -> Result<(), VaultError> {
    if tx.get::<Secret>(id)?.is_some() {
        tx.delete::<Secret>(id)?;
        tx.emit(SECRET.event(&id, RowAct::Deleted));
    }
    Ok(())
}

/// Restores a removed secret with its scope.
///
/// # Errors
/// If the secret is deleted, or its variable was taken meanwhile.
pub fn restore(tx: &mut WriteTx<'_>, id: SecretId) -> Result<Secret, VaultError> {
    let old = queries::by_id(tx, id)?;
    if old.removed_at.is_none() {
        return Ok(old);
    }
    let new = Secret { removed_at: None, ..old.clone() };
    free(tx, &new)?;
    tx.put(&new)?;
    tx.emit(SECRET.changed(&old, &new));
    Ok(new)
}

/// Deletes secrets past their restore period and expired former values, at most `most` of each.
pub fn sweep(tx: &mut WriteTx<'_>, most: usize) -> Result<(), VaultError> {
    let now = tx.now();
    let (gone, past) = (queries::gone(tx, now, most)?, queries::past(tx, now, most)?);
    for id in gone {
        tx.delete::<Secret>(id)?;
        tx.emit(SECRET.event(&id, RowAct::Deleted));
    }
    for id in past {
        if let Some(value) = tx.get::<Value>(id)? {
            tx.put(&Value { former: None, ..value })?;
        }
    }
    Ok(())
}
