//! Authentication middleware: turns a cookie, a token or the local socket into a [`Caller`].
//!
//! Addresses and headers that a client can forge carry no authority. A cookie opens pages and the API of its person's
//! workspaces, a token the API of its one workspace, and the local socket the API as the owner. Each request looks up
//! its credential, so a revoked one ends at once. Long streams re-check through [`Alive`].

mod caller;
mod cookies;
mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;

use app::limits::{Left, Patience, Rate};
use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use features::backups::queries::damaged as backups;
use features::workspace::queries as members;
use kernel::display::Forms;
use kernel::{Actor, Can, Cause, Problem, ProblemKind, Role, Scope, Via};
use store::{Lane, ReadExt, StoreError};
use web::appearance::{self, Viewer};
use web::error::{ApiError, Failure, PageError};
use web::routes::is_api;
use web::session::{Access, Alive, Frozen, Peer, Person, Proof, RequestId, ShellMaker};

pub use caller::{Caller, Key};
pub use cookies::{
    SignInCookies, cookie, device_token, has_cookie, last_workspace, named, no_cookie,
};
use cookies::{Visit, cookie_token, other_theme};
use features::users::model::appearance::Appearance;
use features::users::model::{Account, ApiToken, SignIn, Workspace};
use features::users::{queries, rules};
pub use rate::count_further;
use rate::{api_limit, rate_headers};

/// A sign-in expires after this time without use.
pub const IDLE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The idle limit for owners and admins.
pub const IDLE_ADMIN: SignedDuration = SignedDuration::from_hours(24);
/// A sign-in expires after this time in any case.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Resolution of "last seen".
const SEEN_STEP: SignedDuration = SignedDuration::from_mins(1);
/// How long a request waits while another task has exclusive use of the store.
const WHOLE: Duration = Duration::from_secs(5);
/// The only API address that concerns no particular workspace.
const ALL_WORKSPACES: &str = "/api/v1/workspaces";
/// Limit on wrong tokens per client address.
const WRONG_TOKENS: Patience = Patience {
    free: 20,
    window: Duration::from_secs(60),
    first: Duration::from_secs(15 * 60),
    longest: Duration::from_secs(15 * 60),
};

/// Maps roles and token scopes to capabilities; the table is in `server/access.rs`.
#[derive(Clone, Copy)]
pub struct Rights {
    /// Capabilities of a role.
    pub role: fn(Role) -> Access,
    /// Capabilities of a token scope.
    pub scope: fn(Scope) -> Access,
}

/// State of the middleware.
pub struct Door {
    app: App,
    rights: Rights,
    shell: ShellMaker,
    owned: AtomicBool,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Rights {
    type Rejection = PageError;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, PageError> {
        parts.extensions.get::<Self>().copied().ok_or_else(PageError::unauthorized)
    }
}

impl Door {
    #[must_use]
    pub fn new(app: App, rights: Rights, shell: ShellMaker) -> Arc<Self> {
        Arc::new(Self { app, rights, shell, owned: AtomicBool::new(false) })
    }

    /// Whether HQ has an owner. Never becomes `false` again, so `true` is cached.
    fn is_owned(&self) -> Result<bool, StoreError> {
        if !self.owned.load(Ordering::Relaxed)
            && self.app.system.read(|snap| queries::any_account(snap))?
        {
            self.owned.store(true, Ordering::Relaxed);
        }
        Ok(self.owned.load(Ordering::Relaxed))
    }

    /// Looks up the caller of a key. Returns `None` if the key has expired or was revoked.
    fn caller(&self, key: Key) -> Result<Option<Caller>, StoreError> {
        let now = self.app.clock.now();
        self.app.system.read(|snap| {
            let mut signed_in = None;
            let (account, bound, made) = match key {
                Key::SignIn(id) => match snap.get::<SignIn>(id)? {
                    Some(sign_in) if now < sign_in.created_at + LONGEST => {
                        signed_in = Some(sign_in.created_at);
                        (sign_in.account, None, None)
                    }
                    _ => return Ok(None),
                },
                Key::Token(id) => match snap.get::<ApiToken>(id)? {
                    Some(token) if token.is_open() && now < token.expires_at => {
                        let scopes = token.scopes.iter().map(|scope| (self.rights.scope)(*scope));
                        let all = scopes.fold(Access::default(), Access::or);
                        (token.account, Some((token.workspace, all)), Some(token.created_at))
                    }
                    _ => return Ok(None),
                },
                Key::Socket(_) => match queries::keeper(snap)? {
                    Some(owner) => (owner.id, None, None),
                    None => return Ok(None),
                },
            };
            let account = snap.get::<Account>(account)?.filter(|a| a.disabled_at.is_none());
            let Some(account) = account else { return Ok(None) };
            let appearance = snap.get::<Appearance>(account.id)?;
            Ok(Some(Caller { account, key, appearance, bound, made, signed_in }))
        })
    }

    /// The caller as a person in a workspace. Returns `None` for a non-member.
    fn person(
        &self,
        caller: &Caller,
        ws: &Ws,
        request: RequestId,
    ) -> Result<Option<Person>, StoreError> {
        if caller.bound.is_some_and(|(only, _)| only != ws.id) {
            return Ok(None);
        }
        ws.read(|snap| {
            let Some(member) = members::member(snap, caller.account.id)? else {
                return Ok(None);
            };
            // A returning member does not get back tokens from before.
            if caller.made.is_some_and(|made| made < member.created_at) {
                return Ok(None);
            }
            let settings = members::settings(snap)?;
            let zone = caller.account.zone.clone().or(settings.map(|settings| settings.zone));
            let mut access = (self.rights.role)(member.role);
            if let Some((_, bound)) = caller.bound {
                access = access.and(bound);
            }
            Ok(Some(Person {
                account: member.account,
                name: member.name,
                email: caller.account.email.clone(),
                role: member.role,
                via: caller.via(),
                request,
                access,
                is_proved: caller.proved_until(&self.app).is_some(),
                zone: zone.unwrap_or_else(|| "UTC".to_owned()),
            }))
        })
    }

    /// Whether the account is an owner or admin of any workspace. Such sign-ins expire sooner.
    fn is_admin(&self, account: &Account) -> Result<bool, StoreError> {
        let all: Vec<Ws> = self.app.workspaces.read().clone();
        for ws in all {
            let crew = match members::crew(&ws) {
                Ok(crew) => crew,
                // An unreadable workspace must not block the others.
                Err(StoreError::Closed | StoreError::Failed(_)) => continue,
                Err(error) => return Err(error),
            };
            let member = crew.members.get(&account.id);
            if member.is_some_and(|m| matches!(m.role, Role::Owner | Role::Admin)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn by_cookie(&self, headers: &HeaderMap) -> Result<Option<Caller>, StoreError> {
        let Some(token) = cookie_token(&self.app.config, headers) else { return Ok(None) };
        let found = self.app.system.read(|snap| queries::by_cookie(snap, &token))?;
        let Some((sign_in, seen)) = found else { return Ok(None) };
        let Some(caller) = self.caller(Key::SignIn(sign_in.id))? else { return Ok(None) };
        let idle = if self.is_admin(&caller.account)? { IDLE_ADMIN } else { IDLE };
        let now = self.app.clock.now();
        if seen + idle <= now {
            return Ok(None);
        }
        if seen + SEEN_STEP <= now {
            let id = sign_in.id;
            self.note("last seen", caller.actor(), move |tx| rules::note_seen(tx, id));
        }
        Ok(Some(caller))
    }

    fn by_token(&self, text: &str) -> Result<Option<Caller>, StoreError> {
        let Ok(token) = Token::parse(TokenKind::Personal, text) else { return Ok(None) };
        let found = self.app.system.read(|snap| {
            let row = queries::by_token(snap, &token)?;
            let used = row.as_ref().map(|row| queries::last_used(snap, row.id)).transpose()?;
            Ok::<_, StoreError>(row.map(|row| (row, used.flatten())))
        })?;
        let Some((row, used)) = found else { return Ok(None) };
        let Some(caller) = self.caller(Key::Token(row.id))? else { return Ok(None) };
        if used.is_none_or(|used| used + SEEN_STEP <= self.app.clock.now()) {
            self.note("last used", caller.actor(), move |tx| rules::note_used(tx, row.id));
        }
        Ok(Some(caller))
    }

    /// Whether the token is valid but expired. Its holder may learn that.
    fn is_expired(&self, text: &str) -> bool {
        let now = self.app.clock.now();
        let row = Token::parse(TokenKind::Personal, text).ok().and_then(|token| {
            let found = self.app.system.read(|snap| queries::by_token(snap, &token));
            // ok: the next lookup reports a failing store.
            found.ok().flatten()
        });
        row.is_some_and(|row| row.is_open() && row.expires_at <= now)
    }

    /// Whether this owner or admin must set up a second factor first.
    fn must_enrol(&self, person: &Person, ws: &Ws) -> Result<bool, StoreError> {
        let admin = matches!(person.role, Role::Owner | Role::Admin);
        if !admin || !matches!(person.via, Via::SignIn(_)) {
            return Ok(false);
        }
        let is_required = ws.read(|snap| members::people(snap))?.factor_for_admins;
        Ok(is_required
            && !self.app.system.read(|snap| queries::has_factor(snap, person.account))?)
    }

    /// Writes in the background; no request waits for the result.
    fn note(
        &self,
        what: &'static str,
        actor: Actor,
        write: impl FnOnce(&mut store::WriteTx<'_>) -> Result<(), rules::UsersError> + Send + 'static,
    ) {
        let store = self.app.system.clone();
        self.app.spawn(what, async move {
            if let Err(error) = store.write_in(Lane::Second, actor, Cause::Timer, write).await {
                tracing::warn!(%error, "could not note {what}");
            }
        });
    }

    /// The workspace that a request names in its path or its `X-HQ-Workspace` header. A member of exactly one workspace
    /// need not name it.
    fn place(&self, caller: &Caller, path: &str, headers: &HeaderMap) -> Option<Ws> {
        if let Some(slug) = page_workspace(path) {
            return self.app.workspace(slug);
        }
        if let Some((only, _)) = caller.bound {
            return self.app.workspace_by_id(only);
        }
        match headers.get("x-hq-workspace") {
            Some(slug) => self.app.workspace(slug.to_str().ok()?),
            // A path without a workspace concerns none, unless the caller belongs to exactly one.
            None => {
                let mut mine = workspaces_of(&self.app, caller.account.id).ok()?;
                if mine.len() == 1 { mine.pop() } else { None }
            }
        }
    }
}

/// The open workspaces that an account belongs to.
pub fn workspaces_of(app: &App, account: kernel::AccountId) -> Result<Vec<Ws>, StoreError> {
    let all = app.ask_each(members::crew)?;
    let mine = all.into_iter().filter(|(_, crew)| crew.members.contains_key(&account));
    Ok(mine.map(|(ws, _)| ws).collect())
}

/// The middleware.
pub async fn enter(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if is_open_file(&path) {
        return next.run(request).await;
    }
    let mut admitted = admit(&door, &path, &mut request);
    if let Err(Stop::Whole(ws)) = &admitted
        && ws.store.is_at_hand(WHOLE).await
    {
        admitted = admit(&door, &path, &mut request);
    }
    let left = match admitted {
        Ok(left) => left,
        Err(stop) => return stop.answer(&path),
    };
    let visit = Visit::of(&request);
    let viewer = request.extensions().get::<Viewer>().copied().unwrap_or_default();
    let theme = other_theme(&request, viewer.theme);
    // Programs get dates and numbers in one form.
    let forms = if is_api(&path) { Forms::USUAL } else { viewer.forms };
    let mut response = appearance::formatted(forms, next.run(request)).await;
    if let Some(theme) = theme {
        response.headers_mut().append(SET_COOKIE, theme.cookie());
    }
    if let Some((left, rate)) = left {
        rate_headers(response.headers_mut(), left, rate);
    }
    if let Some(cookie) = visit.and_then(|visit| visit.note(&door.app, &response)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Why a request is rejected here.
enum Stop {
    Failure(Failure),
    Wait(&'static str, Duration),
    SetUp,
    Enrol(String),
    /// The store of this workspace is being compacted or checked.
    Whole(Ws),
}

impl<E: Problem> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failure(Failure::of(&error))
    }
}

impl Stop {
    fn answer(self, path: &str) -> Response {
        let (failure, wait) = match self {
            Self::SetUp if is_api(path) => {
                let text = "HQ has no owner yet; open the set-up link it printed";
                (Failure::new(ProblemKind::Unavailable, "setup_required", text), None)
            }
            Self::SetUp => return Redirect::to("/setup").into_response(),
            Self::Enrol(to) => return Redirect::to(&to).into_response(),
            Self::Failure(failure) => (failure, None),
            Self::Whole(_) => {
                let text = "this workspace's database is being compacted or checked; try again \
                            in a moment";
                let failure = Failure::new(ProblemKind::Unavailable, "busy", text);
                (failure, Some(HeaderValue::from(WHOLE.as_secs())))
            }
            Self::Wait(what, wait) => {
                let seconds = wait.as_secs() + 1;
                let text = format!("too many {what}; try again in {seconds} seconds");
                let failure = Failure::new(ProblemKind::Limited, "rate_limited", text);
                (failure, Some(HeaderValue::from(seconds)))
            }
        };
        let mut response = match is_api(path) {
            true => ApiError(failure).into_response(),
            false => PageError(failure).into_response(),
        };
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// Identifies the caller and adds the result to the request's extensions.
fn admit(
    door: &Arc<Door>,
    path: &str,
    request: &mut Request,
) -> Result<Option<(Left, Rate)>, Stop> {
    let peer = request.extensions().get::<Peer>().copied();
    let id = request.extensions().get::<RequestId>().copied().unwrap_or(RequestId([0; 16]));
    if !door.is_owned()? && !is_before_owner(path) {
        return Err(Stop::SetUp);
    }
    let at_socket = matches!(peer, Some(Peer::Socket { .. }));
    if at_socket && path.starts_with("/local/") {
        request.extensions_mut().insert(Access::of(&[Can::Local]));
        return Ok(None);
    }
    let headers = request.headers().clone();
    let Some(caller) = identify(door, path, &headers, peer)? else {
        // Below a workspace or the API, a response does not even reveal that a path does not exist.
        let closed = page_workspace(path).is_some() || is_api(path);
        return match closed {
            true => Err(Stop::Failure(PageError::unauthorized().0)),
            false => Ok(None),
        };
    };
    let left = match caller.key {
        Key::Socket(_) => None,
        _ if !is_api(path) => None,
        _ => Some(api_limit(door, &caller)?),
    };
    let ws = door.place(&caller, path, &headers);
    if let Some(ws) = ws.as_ref().filter(|ws| ws.store.is_held_whole()) {
        return Err(Stop::Whole(ws.clone()));
    }
    let person = ws.as_ref().map(|ws| door.person(&caller, ws, id)).transpose()?.flatten();
    let extensions = request.extensions_mut();
    match (ws, person) {
        (Some(ws), Some(mut person)) => {
            if door.must_enrol(&person, &ws)? {
                person.access = person.access.and(Access::of(&[Can::Account, Can::Read]));
                enrol_first(path, &ws)?;
            }
            if let Some(words) = ws.closed_words() {
                let failure = Failure::new(ProblemKind::Conflict, "workspace_archived", words);
                extensions.insert(Frozen(failure));
            }
            extensions.insert(alive(door, &caller, &ws, &person));
            // The guard states why writing is refused; pages offer only actions that are possible.
            extensions.insert(person.access);
            if !ws.is_active() {
                let looks = Access::of(&[Can::Account, Can::Read, Can::Own]);
                person.access = person.access.and(looks);
            }
            extensions.insert(ws);
            extensions.insert(person);
            extensions.insert(door.shell.clone());
        }
        (named, _)
            if (is_api(path) && path != ALL_WORKSPACES)
                || page_workspace(path).is_some()
                || headers.contains_key("x-hq-workspace") =>
        {
            let is_named = named.is_some()
                || page_workspace(path).is_some()
                || headers.contains_key("x-hq-workspace");
            let failure = match damaged(door, &caller, path, &headers)? {
                Some(failure) => failure,
                None => nowhere(door, &caller, is_named)?,
            };
            return Err(Stop::Failure(failure));
        }
        _ => {
            extensions.insert(Access::of(&[Can::Account]));
        }
    }
    extensions.insert(Proof(caller.proved_until(&door.app).is_some()));
    extensions.insert(caller.viewer(&headers));
    extensions.insert(caller);
    extensions.insert(door.rights);
    Ok(left)
}

/// Lets a person who must set up a second factor reach only the pages needed for it.
fn enrol_first(path: &str, ws: &Ws) -> Result<(), Stop> {
    let to = ws.url("settings/security");
    if is_api(path) {
        let text = "set up two-step sign-in first, under Settings → Two-step sign-in";
        return Err(Stop::Failure(Failure::new(ProblemKind::Forbidden, "factor_required", text)));
    }
    match page_workspace(path).is_some() && !path.starts_with(&to) {
        true => Err(Stop::Enrol(to)),
        false => Ok(()),
    }
}

/// The failure that tells a member that their workspace cannot be opened.
fn damaged(
    door: &Door,
    caller: &Caller,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Failure>, StoreError> {
    let app = &door.app;
    if app.broken.read().is_empty() {
        return Ok(None);
    }
    let named = match (page_workspace(path), caller.bound, headers.get("x-hq-workspace")) {
        (Some(slug), ..) => vec![slug.to_owned()],
        (None, Some((only, _)), _) => {
            let rows = app.system.read(|snap| queries::workspaces(snap))?;
            rows.into_iter().filter(|row| row.id == only).map(|row| row.slug).collect()
        }
        (None, None, Some(slug)) => slug.to_str().map(str::to_owned).into_iter().collect(),
        // A caller with other workspaces must name the one that is meant.
        (None, None, None) if !workspaces_of(app, caller.account.id)?.is_empty() => Vec::new(),
        (None, None, None) => app.broken.read().iter().map(|one| one.slug.clone()).collect(),
    };
    for slug in named {
        if backups::may_know(app, caller.account.id, &slug)?
            && let Some(one) = backups::named(app, &slug)?
        {
            let words = match backups::keeps(app, caller.account.id)? {
                true => one.words(),
                false => backups::words_for_people(&slug),
            };
            return Ok(Some(Failure::new(ProblemKind::Unavailable, one.code(), words)));
        }
    }
    Ok(None)
}

/// Why a request has no workspace: it names one that the caller does not belong to, or it names none.
fn nowhere(door: &Door, caller: &Caller, is_named: bool) -> Result<Failure, StoreError> {
    if is_named || caller.bound.is_some() || workspaces_of(&door.app, caller.account.id)?.is_empty()
    {
        return Ok(PageError::not_found("This workspace").0);
    }
    let text = "you belong to several workspaces; choose one with --workspace or the header \
                X-HQ-Workspace";
    Ok(Failure::new(ProblemKind::Invalid, "workspace_required", text))
}

fn identify(
    door: &Door,
    path: &str,
    headers: &HeaderMap,
    peer: Option<Peer>,
) -> Result<Option<Caller>, Stop> {
    let bearer = headers.get(AUTHORIZATION).filter(|_| is_api(path));
    let Some(bearer) = bearer else {
        return Ok(match peer {
            Some(Peer::Socket { uid }) => door.caller(Key::Socket(uid))?,
            _ => door.by_cookie(headers)?,
        });
    };
    let now = door.app.clock.now_ms();
    let from = peer.map(Peer::key).unwrap_or_default();
    // A valid token is accepted regardless of failed attempts from the same address: tokens cannot be guessed.
    let text = bearer.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    match text.map(|text| door.by_token(text.trim())).transpose()?.flatten() {
        Some(caller) => Ok(Some(caller)),
        None if text.is_some_and(|text| door.is_expired(text.trim())) => {
            let text = "This token has expired. Create a new one under Settings → API tokens.";
            Err(Stop::Failure(Failure::new(ProblemKind::Unauthorized, "token_expired", text)))
        }
        None => {
            let wrong = "wrong tokens from this address";
            let strike = door.app.limiter.strike("token", &from, WRONG_TOKENS, now);
            strike.map_err(|wait| Stop::Wait(wrong, wait))?;
            tracing::warn!(from, "a token was refused");
            let text = "This token is unknown, revoked or expired.";
            Err(Stop::Failure(Failure::new(ProblemKind::Unauthorized, "bad_token", text)))
        }
    }
}

/// The re-check of a stream: same key, still a member, no fewer rights, and the same state of the workspace. Reads the
/// workspace's row, because the state in memory lags behind it.
fn alive(door: &Arc<Door>, caller: &Caller, ws: &Ws, person: &Person) -> Alive {
    let (door, key, ws) = (Arc::clone(door), caller.key, ws.clone());
    let (request, access) = (person.request, person.access);
    let state = ws.standing().state;
    Alive(Arc::new(move || {
        let row = door.app.system.read(|snap| snap.get::<Workspace>(ws.id)).ok().flatten();
        if row.is_none_or(|row| row.state != state) {
            return false;
        }
        let caller = door.caller(key).ok().flatten();
        let person = caller.and_then(|caller| door.person(&caller, &ws, request).ok().flatten());
        person.is_some_and(|person| person.access.covers(access))
    }))
}

/// The slug in `/w/<slug>/…`.
fn page_workspace(path: &str) -> Option<&str> {
    path.strip_prefix("/w/")?.split('/').next()
}

fn is_open_file(path: &str) -> bool {
    path.starts_with("/s/")
        || matches!(
            path,
            "/favicon.ico"
                | "/ahead.json"
                | "/healthz"
                | "/readyz"
                | "/sw.js"
                | "/push.js"
                | "/manifest.webmanifest"
                | "/offline"
        )
}

/// Paths that respond before HQ has an owner, besides files and health.
fn is_before_owner(path: &str) -> bool {
    path.starts_with("/local/") || matches!(path, "/setup" | "/theme" | "/design")
}
