//! Refresh of tokens: one at a time for each server, because a refresh token may be valid for one use only.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use app::Ws;
use jiff::SignedDuration;
use kernel::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::flow::{needs, open, write};
use super::revocation::revoke_later;
use super::tokens::{self, Credentials};
use super::wire::{Fault, Wire};
use super::{keep, rules};
use crate::model::{McpServer, McpServerId};
use crate::result;

/// For how long a failure that may pass is not tried again.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// State after the last refresh of a server, by the serial of the tokens that it replaces.
#[derive(Default)]
pub(super) struct Recent {
    /// New tokens that could not be stored. The old ones may be used up.
    unstored: Option<(u64, Credentials)>,
    failure: Option<Failure>,
}

struct Failure {
    serial: u64,
    at: Timestamp,
    /// A sentence.
    why: String,
}

/// Why a request has no token, in a sentence.
#[derive(Debug)]
pub(crate) enum NoToken {
    /// A person has to sign in.
    SignIn(String),
    /// The reason may be temporary.
    Later(String),
}

type Turn = Arc<tokio::sync::Mutex<Recent>>;
/// Locked while the tokens of a server are replaced.
static TURNS: LazyLock<Mutex<HashMap<(PathBuf, McpServerId), Turn>>> =
    LazyLock::new(Mutex::default);

pub(super) fn turn(ws: &Ws, id: McpServerId) -> Turn {
    Arc::clone(TURNS.lock().entry((ws.folder.clone(), id)).or_default())
}

/// Replaces the tokens with this serial, unless that has been done. Concurrent callers share one request and its result.
/// It goes on if the caller stops waiting.
pub(super) async fn refresh(ws: &Ws, server: &McpServer, serial: u64) -> Result<(), NoToken> {
    let (done, result) = oneshot::channel();
    let (own, of) = (ws.clone(), server.clone());
    ws.spawn("refresh of an MCP sign-in", async move {
        // ok: nobody may wait any longer.
        let _ = done.send(refreshed(&own, &of, serial).await);
    });
    result.await.unwrap_or_else(|_| Err(NoToken::Later("HQ is stopping.".to_owned())))
}

async fn refreshed(ws: &Ws, server: &McpServer, serial: u64) -> Result<(), NoToken> {
    let held = turn(ws, server.id);
    let mut recent = held.lock().await;
    let Some(opened) = open(ws, server).await? else {
        return Err(NoToken::SignIn(needs(server)));
    };
    if opened.grant.serial != serial {
        return Ok(());
    }
    let now = ws.app.clock.now();
    let is_new = |failure: &&Failure| {
        let age = now.duration_since(failure.at);
        failure.serial == serial && (SignedDuration::ZERO..PAUSE).contains(&age)
    };
    if let Some(failure) = recent.failure.as_ref().filter(is_new) {
        return Err(NoToken::Later(failure.why.clone()));
    }
    let unstored = recent.unstored.take().filter(|(of, _)| *of == serial);
    let new = match unstored {
        Some((_, new)) => new,
        None => match requested(ws, server, (&opened.credentials, serial)).await {
            Ok(new) => new,
            Err(why) => {
                if let NoToken::Later(why) = &why {
                    recent.failure = Some(Failure { serial, at: now, why: why.clone() });
                }
                return Err(why);
            }
        },
    };
    let id = server.id;
    let stored = match keep::seal(ws, (id, serial + 1), &new) {
        Ok(value) => write(ws, move |tx| rules::refreshed(tx, id, serial, value)).await,
        Err(error) => {
            tracing::warn!(%error, "a sign-in to an MCP server of {} can't be sealed", ws.slug);
            None
        }
    };
    if let Some(is_wanted) = stored {
        *recent = Recent::default();
        if !is_wanted {
            // The server was moved or removed, or somebody has signed out.
            revoke_later(ws, new, server.open_hosts.clone());
        }
        return Ok(());
    }
    recent.unstored = Some((serial, new));
    let name = &server.name;
    let why = format!("The new tokens for {name} can’t be stored now. Try again later.");
    Err(NoToken::Later(why))
}

/// Requests new tokens. If that is refused, the old ones are deleted.
async fn requested(
    ws: &Ws,
    server: &McpServer,
    (old, serial): (&Credentials, u64),
) -> Result<Credentials, NoToken> {
    if old.tokens.refresh.is_none() {
        return Err(lost(ws, server, serial, "The sign-in has ended.").await);
    }
    let wire = Wire::opening(ws, &server.open_hosts);
    match tokens::refresh(&wire, old, ws.app.clock.now_ms()).await {
        Ok(new) => Ok(new),
        Err(fault @ Fault::Refused { .. }) => {
            let why = format!("The sign-in can’t be refreshed: {fault}.");
            Err(lost(ws, server, serial, &why).await)
        }
        Err(fault) => {
            tracing::warn!(%fault, "the sign-in to an MCP server of {} can't be refreshed", ws.slug);
            let name = &server.name;
            let why = format!("The sign-in to {name} can’t be refreshed now. Try again later.");
            Err(NoToken::Later(why))
        }
    }
}

/// Records that the tokens with this serial are no longer valid.
async fn lost(ws: &Ws, server: &McpServer, serial: u64, why: &str) -> NoToken {
    let (id, detail) = (server.id, result::brief(&ws.app.redactor, why));
    write(ws, move |tx| rules::lost(tx, id, serial, detail)).await;
    NoToken::SignIn(needs(server))
}
