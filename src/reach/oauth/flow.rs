//! The steps of a sign-in: begin, finish, use, refresh, end.

use std::time::Duration;

use app::{Ws, blocking};
use crypto::pkce::Pkce;
use kernel::{AccountId, Actor, Cause, Error, Part, ProblemKind};
use mcp::client::McpError;
use net::guard;
use providers::oauth::tokens::Hidden;
use serde::Deserialize;
use store::{Lane, ReadExt as _, StoreError, WriteTx};
use tokio::sync::oneshot;
use url::Url;
use web::session::Person;

use super::challenge::Challenge;
use super::client::Known;
use super::discovery::{self, Issuer, Resource};
use super::keep::{self, Opened};
use super::model::{McpGrant, SignInState};
use super::pending::{self, Missing, Pending};
use super::refresh::{NoToken, refresh, turn};
use super::tokens::{self, Code};
use super::wire::{Fault, Wire, host_of, place, shown};
use super::{client, queries, rules};
use crate::model::{McpServer, McpServerId};
use crate::ops::conflict;
use crate::pool::{self, Pool};
use crate::result;

/// Actor and cause of writes without a person.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Timer);
/// How long the person waits for the server's test after a sign-in. It goes on afterwards.
const TEST: Duration = Duration::from_secs(10);
/// The scope by which some servers issue refresh tokens.
const OFFLINE: &str = "offline_access";

fn failed(ws: &Ws, server: &McpServer, why: &str) -> Error {
    let why = result::brief(&ws.app.redactor, why);
    conflict("mcp_sign_in_failed", format!("the sign-in to {} failed: {why}", server.name))
}

pub(super) fn needs(server: &McpServer) -> String {
    format!(
        "{} needs an admin to sign in, on its page in Settings → Tools. Its tools can’t be called until then; continue with something else and try again later.",
        server.name
    )
}

/// Servers at an address have sign-ins, unless people have entered a header for them.
pub(super) fn has_sign_in(server: &McpServer) -> bool {
    let is_own = |line: &String| {
        line.split_once(':')
            .is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"))
    };
    !server.is_program() && !server.headers.iter().any(is_own)
}

// ── Begin ──

/// A sign-in for which the person has to open an address.
pub(super) struct Begun {
    pub url: String,
    /// Host of the address.
    pub host: String,
    pub state: Hidden,
    pub pending: Pending,
}

/// Finds out where to sign in, and as which client.
pub(super) async fn begin(ws: &Ws, server: &McpServer) -> Result<Begun, Error> {
    if !has_sign_in(server) {
        let text = "only servers at an address without an Authorization header have a sign-in";
        return Err(conflict("mcp_no_sign_in", text));
    }
    let grant = ws.read(|snap| queries::grant(snap, server.id))?;
    let wire = Wire::opening(ws, &server.open_hosts);
    let pending = prepare(ws, server, &grant, &wire).await;
    let pending = pending.map_err(|fault| failed(ws, server, &fault.to_string()))?;
    let (url, state, pending) = address(pending).map_err(|why| failed(ws, server, &why))?;
    Ok(Begun { host: host_of(&url), url: url.into(), state, pending })
}

async fn prepare(
    ws: &Ws,
    server: &McpServer,
    grant: &McpGrant,
    wire: &Wire,
) -> Result<Pending, Fault> {
    let url = place(&server.url)?;
    let is_known = grant.url == server.url;
    let named = if is_known { grant.metadata.as_str() } else { "" };
    let resource = discovery::resource(wire, &url, named).await?;
    let issuer = discovery::issuer(wire, chosen(&resource, grant)?).await?;
    let (own, of, kept) = (ws.clone(), server.clone(), grant.clone());
    let secrets = move || {
        let opened = keep::open(&own, &of)?;
        Ok::<_, StoreError>((keep::entered(&own, &kept)?, opened))
    };
    let broken = |error: StoreError| Fault::Failed(error.to_string());
    let (entered, opened) =
        blocking(secrets, StoreError::Failed).await.and_then(|all| all).map_err(broken)?;
    let known = opened.map(|opened| opened.credentials);
    let known = known.filter(|known| known.issuer == issuer.issuer).map(|known| known.client);
    let at = (server.id, issuer.issuer.as_str());
    let known = known.or_else(|| pending::client_of(&ws.folder, at, ws.app.clock.now()));
    let client = client::choose(&ws.app, wire, &issuer, Known { entered, known }).await?;
    let scopes = match grant.scopes.as_str() {
        scopes if is_known && !scopes.is_empty() => scopes.to_owned(),
        _ => resource.scopes.join(" "),
    };
    Ok(Pending {
        server: server.id,
        url: server.url.clone(),
        scopes: with_offline(scopes, &issuer),
        issuer,
        client,
        resource: resource.id,
        verifier: Hidden::new(String::new()),
    })
}

/// The authorization server: the one that knows an entered client, else the last one, else the first.
fn chosen<'r>(resource: &'r Resource, grant: &McpGrant) -> Result<&'r str, Fault> {
    let known =
        |issuer: &str| resource.issuers.iter().find(|one| discovery::is_same_issuer(one, issuer));
    if !grant.client_id.is_empty() && !grant.client_issuer.is_empty() {
        let text = "the server names another authorization server than the one that knows the entered client; enter the client again";
        return known(&grant.client_issuer)
            .map(String::as_str)
            .ok_or_else(|| Fault::Failed(text.to_owned()));
    }
    let first = resource.issuers.first();
    let found = known(&grant.issuer).or(first).map(String::as_str);
    found.ok_or_else(|| Fault::Failed("the server names no authorization server".to_owned()))
}

fn with_offline(scopes: String, issuer: &Issuer) -> String {
    let is_offered = issuer.scopes.iter().any(|scope| scope == OFFLINE);
    let is_missing = !scopes.split(' ').any(|scope| scope == OFFLINE);
    match is_offered && is_missing && !scopes.is_empty() {
        true => format!("{scopes} {OFFLINE}"),
        false => scopes,
    }
}

/// The address that the browser opens.
fn address(pending: Pending) -> Result<(Url, Hidden, Pending), String> {
    let pkce = Pkce::issue();
    let url = guard::parse(&pending.issuer.authorization);
    let mut url = url.map_err(|error| error.to_string())?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &pending.client.id)
        .append_pair("redirect_uri", &pending.client.redirect)
        .append_pair("code_challenge", &pkce.challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", &pkce.state)
        .append_pair("resource", &pending.resource);
    if !pending.scopes.is_empty() {
        url.query_pairs_mut().append_pair("scope", &pending.scopes);
    }
    if pending.scopes.split(' ').any(|scope| scope == OFFLINE) {
        url.query_pairs_mut().append_pair("prompt", "consent");
    }
    let hidden = |text: &str| Hidden::new(text.to_owned());
    let state = hidden(&pkce.state);
    Ok((url, state, Pending { verifier: hidden(&pkce.verifier), ..pending }))
}

/// Keeps a sign-in for the person, whose answer comes to the callback.
pub(super) fn wait_for(ws: &Ws, begun: Begun, account: AccountId) {
    let at = (ws.folder.as_path(), ws.slug.as_str());
    pending::keep(begun.state.reveal(), begun.pending, at, (account, ws.app.clock.now()));
}

// ── Finish ──

/// Parameters of an authorization response, which may have others as well.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub state: String,
    pub code: String,
    pub iss: String,
    pub error: String,
    pub error_description: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// Exchanges the answer for tokens, stores them and tests the server. Returns the server and the result of the test. All
/// of this goes on if the browser stops waiting, because a code is good for one use.
///
/// # Errors
/// Why the person has to begin again.
pub async fn finish(ws: &Ws, who: &Person, answer: Answer) -> Result<(McpServerId, String), Error> {
    let now = ws.app.clock.now();
    let pending = pending::take(&answer.state, &ws.folder, (who.account, now)).map_err(gone)?;
    let server = ws.read(|snap| snap.get::<McpServer>(pending.server))?;
    let server = server.filter(|server| server.url == pending.url);
    let server = server.ok_or_else(|| {
        conflict("mcp_server_moved", "the server was changed or removed during the sign-in")
    })?;
    check(&answer, &pending.issuer).map_err(|why| failed(ws, &server, &why))?;
    let (stored, is_stored) = oneshot::channel();
    let (tested, is_tested) = oneshot::channel();
    let (own, of, person) = (ws.clone(), server.clone(), who.clone());
    ws.spawn("sign-in to an MCP server", async move {
        let result = exchange(&own, &of, &person, Exchange { answer, pending }).await;
        let may_test = result.is_ok();
        // ok: nobody may wait any longer.
        let _ = stored.send(result);
        if may_test {
            // ok: as above.
            let _ = tested.send(Pool::of(&own).probe(&own, of.id).await);
        }
    });
    let stopping =
        |_| Error::new(ProblemKind::Unavailable, "stopping", "HQ is stopping; begin again later");
    is_stored.await.map_err(stopping)??;
    Ok((server.id, result_of_test(ws, &server, is_tested).await))
}

/// A sign-in with the answer to it.
struct Exchange {
    answer: Answer,
    pending: Pending,
}

/// Exchanges a checked answer for tokens and stores them.
async fn exchange(
    ws: &Ws,
    server: &McpServer,
    who: &Person,
    Exchange { answer, pending }: Exchange,
) -> Result<(), Error> {
    let held = turn(ws, server.id);
    let _held = held.lock().await;
    let wire = Wire::opening(ws, &server.open_hosts);
    let code = Code {
        code: &answer.code,
        verifier: &pending.verifier,
        resource: &pending.resource,
        scopes: &pending.scopes,
    };
    let (client, now_ms) = (pending.client.clone(), ws.app.clock.now_ms());
    let made = tokens::exchange(&wire, &pending.issuer, client, code, now_ms).await;
    let credentials = made.map_err(|fault| failed(ws, server, &fault.to_string()))?;
    let serial = ws.read(|snap| queries::grant(snap, server.id))?.serial + 1;
    let (issuer, scopes) = (credentials.issuer.clone(), credentials.scopes.clone());
    let value = keep::seal(ws, (server.id, serial), &credentials)?;
    let (id, new) = (server.id, rules::SignedIn { url: pending.url, issuer, scopes, value });
    ws.write(who, move |tx| rules::signed_in(tx, id, new)).await
}

fn gone(missing: Missing) -> Error {
    match missing {
        Missing::Unknown => conflict(
            "sign_in_over",
            "this sign-in is over or has timed out; begin again on the page of the server",
        ),
        Missing::Foreign => Error::new(
            ProblemKind::Forbidden,
            "sign_in_of_another",
            "another person began this sign-in; begin your own on the page of the server",
        ),
    }
}

/// Checks an answer. Its code must not be sent anywhere before.
fn check(answer: &Answer, issuer: &Issuer) -> Result<(), String> {
    match answer.iss.as_str() {
        "" if issuer.has_iss => {
            return Err("the answer doesn’t say which authorization server it is from".to_owned());
        }
        iss if !iss.is_empty() && iss != issuer.issuer => {
            return Err("the answer is from another authorization server".to_owned());
        }
        _ => {}
    }
    match answer.error.as_str() {
        "" if answer.code.is_empty() => Err("the answer has no code".to_owned()),
        "" => Ok(()),
        "access_denied" => Err("access was denied".to_owned()),
        error => {
            let host =
                place(&issuer.issuer).map_or_else(|_| issuer.issuer.clone(), |url| host_of(&url));
            Err(format!("{host} says: “{}”", shown(error, &answer.error_description)))
        }
    }
}

/// Result of the server's test, in a sentence.
async fn result_of_test(
    ws: &Ws,
    server: &McpServer,
    tested: oneshot::Receiver<Result<usize, pool::Fault>>,
) -> String {
    let name = &server.name;
    match tokio::time::timeout(TEST, tested).await {
        Ok(Ok(Ok(1))) => format!("Signed in to {name}. It has 1 tool."),
        Ok(Ok(Ok(count))) => format!("Signed in to {name}. It has {count} tools."),
        Ok(Ok(Err(fault))) => {
            let why = result::brief(&ws.app.redactor, &fault.describe());
            format!("Signed in to {name}, but its test failed. {why}")
        }
        _ => format!("Signed in to {name}. HQ is testing it."),
    }
}

// ── Use ──

/// The token for requests to a server.
pub(crate) struct Bearer {
    pub token: Hidden,
    pub serial: u64,
    /// When the person signed in, in milliseconds since 1970.
    pub sign_in: i64,
}

impl Bearer {
    fn of(opened: Opened) -> Self {
        let sign_in = opened.grant.signed_in_at.map_or(0, |at| at.as_millisecond());
        let (token, serial) = (opened.credentials.tokens.access, opened.grant.serial);
        Self { token, serial, sign_in }
    }
}

/// The token, refreshed if it ends soon; `None` without a sign-in.
///
/// # Errors
/// If it has ended and cannot be refreshed now.
pub(crate) async fn bearer(ws: &Ws, server: &McpServer) -> Result<Option<Bearer>, NoToken> {
    if !has_sign_in(server) {
        return Ok(None);
    }
    let Some(opened) = open(ws, server).await? else { return Ok(None) };
    let (life, now_ms) = (opened.credentials.tokens.life, ws.app.clock.now_ms());
    if life.is_fresh(now_ms) || opened.credentials.tokens.refresh.is_none() {
        return Ok(Some(Bearer::of(opened)));
    }
    match refresh(ws, server, opened.grant.serial).await {
        Ok(()) => Ok(open(ws, server).await?.map(Bearer::of)),
        Err(why) => match open(ws, server).await? {
            Some(opened) if life.is_good(now_ms) => Ok(Some(Bearer::of(opened))),
            _ => Err(why),
        },
    }
}

pub(super) async fn open(ws: &Ws, server: &McpServer) -> Result<Option<Opened>, NoToken> {
    let grant = ws.read(|snap| queries::grant(snap, server.id));
    let message = |error: StoreError| NoToken::Later(web::form::sentence(&error.to_string()));
    // Most servers have no sign-in, and opening takes a moment.
    if grant.map_err(message)?.credentials.is_none() {
        return Ok(None);
    }
    let (own, of) = (ws.clone(), server.clone());
    let opened = blocking(move || keep::open(&own, &of), StoreError::Failed).await;
    opened.and_then(|opened| opened).map_err(message)
}

/// Why calls of a server have to wait for a person, in a sentence.
pub(crate) fn needed(ws: &Ws, server: &McpServer) -> Option<String> {
    if !has_sign_in(server) {
        return None;
    }
    // ok: an unreadable sign-in is reported by the request.
    let grant = ws.read(|snap| queries::grant(snap, server.id)).ok()?;
    let is_lost = grant.state_at(&server.url) == SignInState::Again && grant.credentials.is_none();
    is_lost.then(|| needs(server))
}

/// Consequence of an error of a request.
pub(crate) enum Refusal {
    /// It has nothing to do with the sign-in.
    Other,
    /// There is another token by now; the request can be repeated.
    Renewed,
    /// A person has to act, or the request has to wait.
    Failed(NoToken),
}

/// A request that failed.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// Of its token; 0 without one.
    pub serial: u64,
    /// The token was replaced for this request.
    pub was_renewed: bool,
    /// It was a call of a tool.
    pub is_call: bool,
}

pub(crate) async fn refused(
    ws: &Ws,
    server: &McpServer,
    error: &McpError,
    attempt: Attempt,
) -> Refusal {
    let Some(challenge) = Challenge::of(error).filter(|_| has_sign_in(server)) else {
        return Refusal::Other;
    };
    let id = server.id;
    let opened = match open(ws, server).await {
        Ok(opened) => opened,
        Err(why) => return Refusal::Failed(why),
    };
    if let Some(opened) = opened.filter(|_| !challenge.is_step_up) {
        if !attempt.was_renewed {
            return match refresh(ws, server, attempt.serial).await {
                Ok(()) => Refusal::Renewed,
                Err(why) => Refusal::Failed(why),
            };
        }
        // A person has signed in since the request.
        if opened.grant.serial != attempt.serial {
            return Refusal::Renewed;
        }
        let detail = "The server no longer accepts the sign-in.".to_owned();
        write(ws, move |tx| rules::lost(tx, id, attempt.serial, detail)).await;
        return Refusal::Failed(NoToken::SignIn(needs(server)));
    }
    let why = match challenge.is_step_up {
        // Its other tools go on, and an admin may not want to give further rights.
        true => NoToken::Later(format!(
            "The sign-in to {} lacks rights for this tool. An admin has to sign in again, on its page in Settings → Tools.",
            server.name
        )),
        false => NoToken::SignIn(needs(server)),
    };
    write(ws, move |tx| rules::wanted(tx, id, &challenge, attempt.is_call)).await;
    Refusal::Failed(why)
}

// ── State ──

/// Records that a server has answered without the sign-in that it required before. Some servers require it for calls
/// only, so the finding of a call is changed by a call only.
pub(crate) async fn welcomed(ws: &Ws, server: &McpServer, is_call: bool) {
    // Programs have no sign-in.
    if server.is_program() {
        return;
    }
    let grant = ws.read(|snap| queries::grant(snap, server.id));
    if grant.is_ok_and(|grant| rules::is_answered(&grant, is_call)) {
        let id = server.id;
        write(ws, move |tx| rules::welcomed(tx, id, is_call)).await;
    }
}

/// Masks the tokens of all sign-ins in texts. Blocking.
pub(crate) fn watch_all(ws: &Ws) {
    if let Err(error) = keep::watch_all(ws) {
        tracing::warn!(%error, "the sign-ins to MCP servers of {} can't be read", ws.slug);
    }
}

/// Writes without a person. Failures are logged.
pub(super) async fn write<T: Send + 'static>(
    ws: &Ws,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, Error> + Send + 'static,
) -> Option<T> {
    let written = ws.store.write_in(Lane::Second, BY.0, BY.1, body).await;
    let log = |error: &Error| {
        tracing::warn!(%error, "a sign-in to an MCP server of {} could not be stored", ws.slug);
    };
    written.inspect_err(log).ok()
}

#[cfg(test)]
mod tests {
    use super::{Answer, check, chosen};
    use crate::oauth::discovery::{Issuer, Resource};
    use crate::oauth::model::McpGrant;
    use store::Record as _;

    fn issuer(has_iss: bool) -> Issuer {
        Issuer {
            issuer: "https://a.example".into(),
            authorization: "https://a.example/authorize".into(),
            token: "https://a.example/token".into(),
            registration: None,
            revocation: None,
            has_iss,
            reads_documents: false,
            methods: Vec::new(),
            scopes: Vec::new(),
        }
    }

    #[test]
    fn an_answer_of_another_issuer_is_refused_before_its_code_is_used() {
        let answer = |iss: &str, code: &str, error: &str| Answer {
            state: "s".into(),
            code: code.into(),
            iss: iss.into(),
            error: error.into(),
            error_description: String::new(),
        };
        let good = "https://a.example";
        assert!(check(&answer(good, "c", ""), &issuer(true)).is_ok());
        assert!(check(&answer("", "c", ""), &issuer(false)).is_ok());
        for (iss, code, error, has_iss) in [
            ("", "c", "", true),
            ("https://a.example/", "c", "", true),
            ("https://b.example", "c", "", false),
            (good, "", "", true),
            (good, "c", "access_denied", true),
        ] {
            assert!(
                check(&answer(iss, code, error), &issuer(has_iss)).is_err(),
                "{iss} {code} {error}"
            );
        }
    }

    #[test]
    fn an_entered_client_stays_at_its_issuer() {
        let resource = |issuers: &[&str]| Resource {
            id: "https://mcp.example".into(),
            issuers: issuers.iter().map(|one| (*one).to_owned()).collect(),
            scopes: Vec::new(),
        };
        let grant = McpGrant { client_issuer: "https://a.example".into(), ..McpGrant::sample() };
        let both = resource(&["https://b.example", "https://a.example/"]);
        assert_eq!(chosen(&both, &grant).unwrap(), "https://a.example/");
        assert!(chosen(&resource(&["https://b.example"]), &grant).is_err());
        let free = McpGrant { client_id: String::new(), issuer: String::new(), ..grant };
        assert_eq!(chosen(&both, &free).unwrap(), "https://b.example");
    }
}
