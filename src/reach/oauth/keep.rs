//! Opens, seals and masks credentials. Blocking.

use app::Ws;
use crypto::keyring::Secret as Value;
use kernel::{Error, ProblemKind};
use providers::oauth::tokens::Hidden;
use store::{Range, ReadExt as _, StoreError};
use vault::model::{Secret, SecretId};
use vault::values::{self, NewValue};

use super::client::Entered;
use super::model::McpGrant;
use super::tokens::Credentials;
use crate::model::{McpServer, McpServerId};

/// A sign-in with its opened credentials.
pub struct Opened {
    pub grant: McpGrant,
    pub credentials: Credentials,
}

/// The credentials for the server's present address; `None` without usable ones.
pub fn open(ws: &Ws, server: &McpServer) -> Result<Option<Opened>, StoreError> {
    Ok(open_any(ws, server.id)?.filter(|opened| opened.grant.url == server.url))
}

/// The credentials for any address of the server; `None` without usable ones.
pub fn open_any(ws: &Ws, server: McpServerId) -> Result<Option<Opened>, StoreError> {
    let grant = ws.read(|snap| super::queries::grant(snap, server))?;
    let Some(id) = grant.credentials else { return Ok(None) };
    let Some(credentials) = credentials(ws, id)? else { return Ok(None) };
    watch(ws, (server, grant.serial), &credentials);
    Ok(Some(Opened { grant, credentials }))
}

/// The credentials in a secret; `None` without usable ones.
pub fn credentials(ws: &Ws, secret: SecretId) -> Result<Option<Credentials>, StoreError> {
    // ok: credentials that cannot be read are none; a person signs in again.
    Ok(text(ws, secret)?.and_then(|text| serde_json::from_str(text.reveal()).ok()))
}

/// The client that people entered.
pub fn entered(ws: &Ws, grant: &McpGrant) -> Result<Option<Entered>, StoreError> {
    if grant.client_id.is_empty() {
        return Ok(None);
    }
    let secret = match grant.client_secret {
        Some(id) => text(ws, id)?,
        None => None,
    };
    Ok(Some(Entered { id: grant.client_id.clone(), secret }))
}

/// The value of a secret; `None` if it was removed or cannot be opened.
fn text(ws: &Ws, id: SecretId) -> Result<Option<Hidden>, StoreError> {
    let value = ws.read(|snap| {
        let secret = snap.get::<Secret>(id)?;
        let is_live = secret.is_some_and(|secret| secret.removed_at.is_none());
        Ok::<_, StoreError>(vault::queries::value(snap, id)?.filter(|_| is_live))
    })?;
    let Some(value) = value else { return Ok(None) };
    let opened = values::open(&ws.app.keyring, id, &value.sealed);
    let opened = opened.inspect_err(|error| tracing::warn!(%error, "a sign-in can't be opened"));
    // ok: logged, and a value that is no text is none of ours.
    let opened = opened.ok();
    Ok(opened.and_then(|value| value.expose_text().map(|text| Hidden::new(text.to_owned())).ok()))
}

/// Seals credentials, which are masked in texts from now on.
pub fn seal(ws: &Ws, of: (McpServerId, u64), credentials: &Credentials) -> Result<NewValue, Error> {
    watch(ws, of, credentials);
    let text = serde_json::to_string(credentials).map(Hidden::new).map_err(|error| {
        Error::new(ProblemKind::Internal, "internal", format!("a sign-in can't be stored: {error}"))
    })?;
    values::seal(&ws.app, text.reveal(), None).map_err(Error::of)
}

/// Masks the tokens in texts. Those before the last refresh stay masked, too.
fn watch(ws: &Ws, (server, serial): (McpServerId, u64), credentials: &Credentials) {
    let group = format!("sign-in {} {server} {}", ws.id, serial % 2);
    let name = |kind: &str| format!("MCP sign-in, {kind}");
    let all = credentials.secrets().into_iter();
    let all = all.map(|(kind, secret)| (name(kind), Value::new(secret))).collect();
    ws.app.redactor.replace(&group, all);
}

/// Masks the tokens of all sign-ins of a workspace.
pub fn watch_all(ws: &Ws) -> Result<(), StoreError> {
    for server in ws.read(|snap| snap.list::<McpServer>(&Range::all()))? {
        open(ws, &server)?;
    }
    Ok(())
}
