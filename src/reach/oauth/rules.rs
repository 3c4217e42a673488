//! Writes of sign-ins. Tokens arrive sealed.

use kernel::{About, Error, Notice, NoticeKind, ProblemKind, RecordId, TypedId as _};
use store::{ReadExt as _, StoreError, WriteTx};
use vault::model::{Category, Secret, SecretId};
use vault::rules::{NewSecret, Patch};
use vault::values::NewValue;

use super::challenge::Challenge;
use super::discovery;
use super::model::{McpGrant, McpRevocation, McpRevocationId, SignInState};
use super::queries::grant;
use crate::model::{McpServer, McpServerId};
use crate::nouns::SERVER;

/// Longest list of scopes.
const MAX_SCOPES: usize = 2_000;

/// Records that a server requires a sign-in, or further rights if there is one.
pub fn wanted(
    tx: &mut WriteTx<'_>,
    id: McpServerId,
    challenge: &Challenge,
    is_call: bool,
) -> Result<(), Error> {
    let Some(server) = tx.get::<McpServer>(id)? else { return Ok(()) };
    let old = grant(tx, id)?;
    let mut new = match old.url == server.url {
        true => old.clone(),
        false => moved(tx, &old, &server)?,
    };
    new.is_for_calls |= is_call;
    new.metadata.clone_from(&challenge.metadata);
    new.scopes = union(&new.scopes, &challenge.scopes);
    let is_lost = new.state == SignInState::Again && new.credentials.is_none();
    new.state = match (new.credentials.is_some(), is_lost) {
        (false, false) => SignInState::Needed,
        _ => SignInState::Again,
    };
    if challenge.is_step_up && new.credentials.is_some() {
        new.detail = match challenge.scopes.as_str() {
            "" => "A tool needs further rights.".to_owned(),
            scopes => format!("A tool needs further rights: {}.", crate::names::visible(scopes)),
        };
    }
    if new == old {
        return Ok(());
    }
    tx.put(&new)?;
    if new.state == SignInState::Again && old.state != SignInState::Again {
        notify(tx, &server, &new.detail);
    }
    Ok(())
}

/// The grant after the server has moved: the tokens are for the old address.
fn moved(tx: &mut WriteTx<'_>, old: &McpGrant, server: &McpServer) -> Result<McpGrant, Error> {
    end(tx, old.credentials, &server.open_hosts)?;
    Ok(McpGrant {
        serial: old.serial + 1,
        url: server.url.clone(),
        client_id: old.client_id.clone(),
        client_issuer: old.client_issuer.clone(),
        client_secret: old.client_secret,
        ..McpGrant::new(server.id)
    })
}

/// Ends the sign-in to a server whose address is being changed. `old` is the server before the change.
pub fn moving(tx: &mut WriteTx<'_>, old: &McpServer) -> Result<(), Error> {
    let Some(known) = tx.get::<McpGrant>(old.id)? else { return Ok(()) };
    let ended = moved(tx, &known, old)?;
    tx.put(&McpGrant { url: String::new(), ..ended })?;
    Ok(())
}

/// Queues the withdrawal of tokens. Their secret stays until then.
fn end(tx: &mut WriteTx<'_>, secret: Option<SecretId>, open_hosts: &[String]) -> Result<(), Error> {
    let Some(secret) = secret else { return Ok(()) };
    if !is_live(tx, secret)? {
        return erase(tx, Some(secret));
    }
    let (id, open_hosts) = (tx.new_id(), open_hosts.to_vec());
    tx.put(&McpRevocation { id, secret, open_hosts })?;
    Ok(())
}

/// Takes an ended sign-in, whose tokens are withdrawn next, and deletes its secret. Returns `false` if that was done.
pub fn revoking(tx: &mut WriteTx<'_>, id: McpRevocationId) -> Result<bool, Error> {
    let Some(ended) = tx.get::<McpRevocation>(id)? else { return Ok(false) };
    tx.delete::<McpRevocation>(id)?;
    erase(tx, Some(ended.secret))?;
    Ok(true)
}

fn union(known: &str, more: &str) -> String {
    let mut all: Vec<&str> = known.split_whitespace().collect();
    for scope in more.split_whitespace() {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    let mut text = all.join(" ");
    if MAX_SCOPES < text.len() {
        text = more.to_owned();
    }
    text
}

fn notify(tx: &mut WriteTx<'_>, server: &McpServer, detail: &str) {
    let about = About::Row(SERVER.table, RecordId::from_uuid(server.id.uuid()));
    let title = format!("Sign in to the MCP server {} again", server.name);
    let notice = Notice::new(NoticeKind::System, about, title).body(detail).only().admins();
    tx.emit(notice.event());
}

/// Whether an answer without tokens shows that the server no longer requires the sign-in.
pub fn is_answered(grant: &McpGrant, is_call: bool) -> bool {
    let is_open = match grant.state {
        SignInState::Needed => is_call || !grant.is_for_calls,
        // A lost sign-in is missed by the person who made it, whatever the server answers without it.
        SignInState::Again => is_call,
        SignInState::Out | SignInState::In => false,
    };
    is_open && grant.credentials.is_none()
}

/// Records that the server has answered without the sign-in that it required before.
pub fn welcomed(tx: &mut WriteTx<'_>, id: McpServerId, is_call: bool) -> Result<(), Error> {
    let old = grant(tx, id)?;
    if !is_answered(&old, is_call) {
        return Ok(());
    }
    let (state, is_for_calls) = (SignInState::Out, old.is_for_calls && !is_call);
    tx.put(&McpGrant { state, is_for_calls, detail: String::new(), ..old })?;
    Ok(())
}

/// Records that the tokens with this serial are no longer valid, and deletes them.
pub fn lost(
    tx: &mut WriteTx<'_>,
    id: McpServerId,
    serial: u64,
    detail: String,
) -> Result<(), Error> {
    let old = grant(tx, id)?;
    let Some(server) = tx.get::<McpServer>(id)? else { return Ok(()) };
    if old.serial != serial || old.credentials.is_none() {
        return Ok(());
    }
    erase(tx, old.credentials)?;
    let state = SignInState::Again;
    let serial = old.serial + 1;
    tx.put(&McpGrant { state, serial, credentials: None, detail: detail.clone(), ..old })?;
    notify(tx, &server, &detail);
    Ok(())
}

/// Result of a sign-in.
pub struct SignedIn {
    /// The server's address at the beginning.
    pub url: String,
    pub issuer: String,
    pub scopes: String,
    pub value: NewValue,
}

/// Stores the tokens of a sign-in.
///
/// # Errors
/// If the server has been moved or removed since the sign-in began.
pub fn signed_in(tx: &mut WriteTx<'_>, id: McpServerId, new: SignedIn) -> Result<(), Error> {
    let server = tx.get::<McpServer>(id)?.filter(|server| server.url == new.url);
    let server = server.ok_or_else(|| SERVER.not_found(&id.to_string()))?;
    let mut old = grant(tx, id)?;
    if old.url != new.url {
        old = moved(tx, &old, &server)?;
    }
    let name = format!("Sign-in to the MCP server {}", server.name);
    let label = Label { name, prefix: "MCP_SIGN_IN" };
    let credentials = put(tx, old.credentials, label, new.value)?;
    tx.put(&McpGrant {
        state: SignInState::In,
        serial: old.serial + 1,
        url: new.url,
        scopes: union(&old.scopes, &new.scopes),
        issuer: new.issuer,
        credentials: Some(credentials),
        detail: String::new(),
        signed_in_at: Some(tx.now()),
        ..old
    })?;
    crate::rules::touch(tx, id)?;
    Ok(())
}

/// Replaces the tokens with this serial. Returns `false` if there is another sign-in, or none, by now.
pub fn refreshed(
    tx: &mut WriteTx<'_>,
    id: McpServerId,
    serial: u64,
    value: NewValue,
) -> Result<bool, Error> {
    let old = grant(tx, id)?;
    let Some(secret) = old.credentials.filter(|_| old.serial == serial) else { return Ok(false) };
    if !is_live(tx, secret)? {
        return Ok(false);
    }
    vault::rules::set_value(tx, secret, value).map_err(Error::of)?;
    tx.put(&McpGrant { serial: serial + 1, ..old })?;
    Ok(true)
}

/// Deletes the tokens.
pub fn signed_out(tx: &mut WriteTx<'_>, id: McpServerId) -> Result<(), Error> {
    let old = grant(tx, id)?;
    erase(tx, old.credentials)?;
    let needs = old.credentials.is_some() || old.state != SignInState::Out;
    tx.put(&McpGrant {
        state: if needs { SignInState::Needed } else { SignInState::Out },
        serial: old.serial + 1,
        scopes: String::new(),
        issuer: String::new(),
        credentials: None,
        detail: String::new(),
        signed_in_at: None,
        ..old
    })?;
    crate::rules::touch(tx, id)?;
    Ok(())
}

/// Stores the client that people registered by hand; an empty id removes it.
pub fn set_client(
    tx: &mut WriteTx<'_>,
    server: &McpServer,
    client_id: &str,
    secret: Option<NewValue>,
) -> Result<(), Error> {
    let old = grant(tx, server.id)?;
    erase(tx, old.client_secret)?;
    let name = format!("Client of the MCP server {}", server.name);
    let secret = secret.filter(|_| !client_id.is_empty());
    let client_secret = match secret {
        Some(value) => {
            let label = Label { name, prefix: "MCP_CLIENT" };
            Some(put(tx, None, label, value)?)
        }
        None => None,
    };
    let client_id = client_id.to_owned();
    tx.put(&McpGrant { client_id, client_issuer: String::new(), client_secret, ..old })?;
    crate::rules::touch(tx, server.id)?;
    Ok(())
}

/// Binds the entered client to the issuer of its first use.
///
/// # Errors
/// If it is bound to another issuer.
pub fn bind_client(tx: &mut WriteTx<'_>, id: McpServerId, issuer: &str) -> Result<(), Error> {
    let old = grant(tx, id)?;
    if old.client_id.is_empty() {
        return Ok(());
    }
    if old.client_issuer.is_empty() {
        tx.put(&McpGrant { client_issuer: issuer.to_owned(), ..old })?;
        return Ok(());
    }
    if discovery::is_same_issuer(&old.client_issuer, issuer) {
        return Ok(());
    }
    let text = "the entered client is used at another authorization server; enter the client again";
    Err(Error::new(ProblemKind::Conflict, "mcp_client_bound", text))
}

/// Deletes all secrets of a removed server.
pub fn forget(tx: &mut WriteTx<'_>, gone: &McpServer) -> Result<(), Error> {
    let old = grant(tx, gone.id)?;
    end(tx, old.credentials, &gone.open_hosts)?;
    erase(tx, old.client_secret)
}

fn is_live(tx: &WriteTx<'_>, id: SecretId) -> Result<bool, StoreError> {
    Ok(tx.get::<Secret>(id)?.is_some_and(|secret| secret.removed_at.is_none()))
}

/// Name and variable of a secret.
struct Label {
    name: String,
    prefix: &'static str,
}

/// Stores a value that no program gets.
fn put(
    tx: &mut WriteTx<'_>,
    known: Option<SecretId>,
    Label { name, prefix }: Label,
    value: NewValue,
) -> Result<SecretId, Error> {
    // The former value of a replaced secret could be put back, which is no use here.
    erase(tx, known)?;
    // Not the server's: the secret of an ended sign-in may still wait for its withdrawal.
    let id: SecretId = tx.new_id();
    let id: String = id.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let id = &id[id.len().saturating_sub(8)..];
    let new = NewSecret {
        name,
        key: Some(format!("{prefix}_{}", id.to_ascii_uppercase())),
        category: Category::Integration,
        plain: false,
        value,
        patch: Patch::default(),
    };
    Ok(vault::rules::create(tx, new).map_err(Error::of)?.id)
}

fn erase(tx: &mut WriteTx<'_>, id: Option<SecretId>) -> Result<(), Error> {
    match id {
        Some(id) => vault::rules::erase(tx, id).map_err(Error::of),
        None => Ok(()),
    }
}
