//! Sign-ins that wait for a person. Each is good for ten minutes, for one answer, and for the person who began it. They
//! are not stored: after a restart of HQ the person begins again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::SignedDuration;
use kernel::{AccountId, Timestamp};
use parking_lot::Mutex;
use providers::oauth::tokens::Hidden;

use super::client::Client;
use super::discovery::Issuer;
use crate::model::McpServerId;
use crate::names;

const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Most sign-ins at a time; the oldest gives way.
const MOST: usize = 200;

/// By SHA-256 of the state.
static ALL: LazyLock<Mutex<HashMap<String, Kept>>> = LazyLock::new(Mutex::default);

/// A sign-in whose answer has not arrived.
#[derive(Clone, Debug)]
pub struct Pending {
    pub server: McpServerId,
    /// The server's address at the beginning.
    pub url: String,
    pub issuer: Issuer,
    pub client: Client,
    pub resource: String,
    pub scopes: String,
    pub verifier: Hidden,
}

struct Kept {
    folder: PathBuf,
    slug: String,
    account: AccountId,
    until: Timestamp,
    pending: Pending,
}

/// Why there is no sign-in for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is over, or there was none.
    Unknown,
    /// Another person began it.
    Foreign,
}

pub fn keep(
    state: &str,
    pending: Pending,
    (folder, slug): (&Path, &str),
    (account, now): (AccountId, Timestamp),
) {
    let mut all = ALL.lock();
    all.retain(|_, kept| now < kept.until);
    if MOST <= all.len() {
        let oldest = all.iter().min_by_key(|(_, kept)| kept.until).map(|(state, _)| state.clone());
        oldest.and_then(|oldest| all.remove(&oldest));
    }
    let (folder, slug, until) = (folder.to_owned(), slug.to_owned(), now + LIFE);
    all.insert(names::hex(state), Kept { folder, slug, account, until, pending });
}

/// The client of a sign-in without an answer, so that a person who begins again registers no second one.
pub fn client_of(
    folder: &Path,
    (server, issuer): (McpServerId, &str),
    now: Timestamp,
) -> Option<Client> {
    let all = ALL.lock();
    let is_same = |of: &Pending| of.server == server && of.issuer.issuer == issuer;
    let open = all.values().filter(|kept| kept.folder == folder && now < kept.until);
    let last = open.filter(|kept| is_same(&kept.pending)).max_by_key(|kept| kept.until);
    last.map(|kept| kept.pending.client.clone())
}

/// Workspace and server of an open sign-in.
#[derive(Clone, Debug)]
pub struct Open {
    /// Slug of the workspace.
    pub slug: String,
    pub server: McpServerId,
    redirect: String,
}

impl Open {
    /// Whether its answer comes to this path. The answer of another issuer comes to another one.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.redirect.ends_with(path)
    }
}

/// The open sign-in with this state, if the person began it.
#[must_use]
pub fn open(state: &str, account: AccountId, now: Timestamp) -> Option<Open> {
    let all = ALL.lock();
    let kept = all.get(&names::hex(state)).filter(|kept| now < kept.until)?;
    let redirect = kept.pending.client.redirect.clone();
    let open = Open { slug: kept.slug.clone(), server: kept.pending.server, redirect };
    (kept.account == account).then_some(open)
}

/// Takes the sign-in, which is then over.
pub fn take(
    state: &str,
    folder: &Path,
    (account, now): (AccountId, Timestamp),
) -> Result<Pending, Missing> {
    let (mut all, hash) = (ALL.lock(), names::hex(state));
    match all.get(&hash) {
        Some(kept) if kept.folder != folder || kept.until <= now => Err(Missing::Unknown),
        Some(kept) if kept.account != account => Err(Missing::Foreign),
        Some(_) => all.remove(&hash).map(|kept| kept.pending).ok_or(Missing::Unknown),
        None => Err(Missing::Unknown),
    }
}
