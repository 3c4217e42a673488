//! Conversations with an agent: the list beside the chat, the page of all of them with full-text search, and actions on
//! one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::runs::commands;
use app::{App, Ws};
use features::agents::queries::head::{self, Head};
use features::runs::model::{Run, SESSIONS, Session};
use features::runs::queries::search::{self, Said, Searched};
use features::runs::queries::{self, marks, sessions as reading, talk};
use features::runs::rules::{self, RunError};
use features::workspace::queries as workspace;
use kernel::{AccountId, Can, SessionId};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::form::sentence;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::md;
use web::parts::Dot;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::chat::{WINDOW, find};
use super::display::Look;
use super::place::{Spot, address};

/// Number of conversations on the page of all.
const ALL: usize = 200;
/// Number of search results.
const FOUND: usize = 30;
/// Length of a result excerpt, in characters.
const PASSAGE: usize = 320;
/// Length of the excerpt of the last message, in characters.
const PEEK: usize = 60;
/// Title of the person's own conversation while it is empty.
pub(super) const OWN: &str = "Your conversation";
/// Title of another conversation while it is empty.
const FURTHER: &str = "New conversation";

/// A conversation in a list.
struct Line {
    href: String,
    icon: &'static str,
    state: Option<Dot>,
    title: String,
    peek: String,
    at: RelTime,
    /// Number of messages that the reader has not seen.
    unread: u32,
    current: bool,
}

/// The list beside the chat.
#[derive(Template)]
#[template(path = "chat/_sessions.html")]
pub(super) struct Sessions {
    live: Live,
    /// Address of "new conversation".
    begin: Option<String>,
    all: String,
    groups: Vec<(&'static str, Vec<Line>)>,
}

/// The person's own conversation and the displayed one.
#[derive(Clone, Copy)]
pub(super) struct Which {
    pub mine: Option<SessionId>,
    pub current: Option<SessionId>,
}

/// The title of a conversation.
pub(super) fn title(
    tx: &dyn Read,
    session: &Session,
    mine: Option<SessionId>,
) -> Result<String, StoreError> {
    let unsaid = session.name.is_none() && session.events == 0;
    match unsaid {
        true if Some(session.id) == mine => Ok(OWN.to_owned()),
        true if talk::is_talk(&session.key) => Ok(FURTHER.to_owned()),
        _ => reading::title(tx, session),
    }
}

/// Visibility of a conversation as text and icon, where worth showing. `whose` names the owner, if another person.
pub(super) fn seen_by(session: &Session, whose: &str) -> Option<(&'static str, &'static str)> {
    match (session.shared, session.owner) {
        (_, None) => None,
        (true, Some(_)) => Some(("Shared", "users")),
        (false, Some(_)) => (!whose.is_empty()).then_some(("Private", "lock")),
    }
}

/// Whether to tell a person that the agent's memory is shared with others: once, before their first message, in a
/// workspace with several members.
pub(super) fn tells_of_memory(
    tx: &dyn Read,
    all: &[Session],
    me: AccountId,
) -> Result<bool, StoreError> {
    let is_used = |one: &Session| one.owner == Some(me) && (0 < one.events || one.leaf.is_some());
    Ok(!all.iter().any(is_used) && 1 < workspace::members(tx)?.len())
}

fn line(
    tx: &dyn Read,
    look: &Look<'_>,
    here: &str,
    session: &Session,
    which: Which,
) -> Result<Line, StoreError> {
    let state = reading::state(tx, session)?;
    let whose = session.owner.filter(|owner| *owner != look.me);
    let title = title(tx, session, which.mine)?;
    let goes_on = session.archived_at.is_none() && talk::is_talk(&session.key);
    Ok(Line {
        href: match goes_on {
            _ if Some(session.id) == which.mine => here.to_owned(),
            true => format!("{here}?talk={}", session.id),
            false => format!("{here}?session={}", session.id),
        },
        icon: match session.task {
            Some(_) => "tasks",
            None if session.shared => "users",
            None => "comment",
        },
        state: session.active_run.map(|_| state.into()),
        title: match whose {
            Some(whose) => format!("{title}, {}", look.person(tx, whose)?),
            None => title,
        },
        unread: marks::unread(tx, session.id, look.me)?,
        peek: reading::last_words(tx, session, PEEK)?,
        at: look.time(session.last_at),
        current: Some(session.id) == which.current,
    })
}

/// The list beside the chat.
pub(super) fn beside(
    tx: &dyn Read,
    look: &Look<'_>,
    here: &str,
    all: &[Session],
    which: Which,
) -> Result<Sessions, StoreError> {
    let mut groups = groups(tx, look, here, all, which)?;
    if which.mine.is_none() {
        let line = Line {
            href: here.to_owned(),
            icon: "comment",
            state: None,
            title: OWN.to_owned(),
            peek: "No messages yet".to_owned(),
            at: RelTime::default(),
            unread: 0,
            current: which.current.is_none(),
        };
        groups.insert(0, ("", vec![line]));
    }
    let address = match which.current.filter(|current| Some(*current) != which.mine) {
        Some(current) => format!("{here}?session={current}"),
        None => here.to_owned(),
    };
    Ok(Sessions {
        live: marks::heard(Live::new(address).table(SESSIONS.name)),
        begin: look.may_chat.then(|| format!("{here}/begin")),
        all: format!("{here}/sessions"),
        groups,
    })
}

/// Groups conversations: the person's own, shared ones, those about tasks, those of API clients, archived ones.
fn groups(
    tx: &dyn Read,
    look: &Look<'_>,
    here: &str,
    all: &[Session],
    which: Which,
) -> Result<Vec<(&'static str, Vec<Line>)>, StoreError> {
    let mut groups = [
        ("", Vec::new()),
        ("Shared by others", Vec::new()),
        ("Tasks", Vec::new()),
        ("Programs", Vec::new()),
        ("Archived", Vec::new()),
    ];
    for session in all {
        let at = match session {
            one if Some(one.id) == which.mine => 0,
            one if one.archived_at.is_some() => 4,
            one if one.task.is_some() => 2,
            one if one.owner != Some(look.me) => 1,
            one if talk::is_talk(&one.key) => 0,
            _ => 3,
        };
        groups[at].1.push(line(tx, look, here, session, which)?);
    }
    Ok(groups.into_iter().filter(|(_, lines)| !lines.is_empty()).collect())
}

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SessionsPageParams {
    /// Search text.
    #[serde(default)]
    q: String,
}

/// A search result.
struct Hit {
    href: String,
    title: String,
    who: String,
    at: RelTime,
    text: String,
}

/// The results of a search.
struct Results {
    hits: Vec<Hit>,
    /// How far back the search went, if not to the beginning.
    until: Option<RelTime>,
}

#[derive(Template)]
#[template(path = "chat/sessions.html")]
struct Index {
    shell: Shell,
    head: Head,
    here: String,
    q: String,
    found: Option<Results>,
    /// Address of "new conversation".
    begin: Option<String>,
    all: All,
}

/// All conversations, up to the limit.
#[derive(Template)]
#[template(path = "chat/_all.html")]
struct All {
    live: Live,
    groups: Vec<(&'static str, Vec<Line>)>,
}

/// `GET /agents/{slug}/chat/sessions`
pub(super) async fn index(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(params): Query<SessionsPageParams>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let here = ws.url(&format!("agents/{slug}/chat"));
    let q = params.q.trim().to_owned();
    let searched = match q.is_empty() {
        true => None,
        false => Some(search::among_theirs(&ws, agent.id, who.account, &q, FOUND).await?),
    };
    let page = ws.read(|snap| -> Result<_, StoreError> {
        let look = Look::new(snap, &ws, &who)?;
        let head = head::head(&ws, snap, &agent, head::Place::Chat, who.access, look.now)?;
        let key = talk::own_key(snap, &agent, who.account, who.role)?;
        let mine = queries::session_by_key(snap, &key)?.map(|session| session.id);
        let which = Which { mine, current: None };
        let found = match &searched {
            Some(searched) => Some(results(snap, &look, &here, searched, mine)?),
            None => None,
        };
        let groups = match &found {
            Some(_) => Vec::new(),
            None => {
                let all = talk::listed(snap, agent.id, who.account, ALL)?;
                groups(snap, &look, &here, &all, which)?
            }
        };
        let begin = look.may_chat && agent.archived_at.is_none();
        Ok((head, found, groups, begin.then(|| format!("{here}/begin"))))
    })?;
    let (head, found, groups, begin) = page;
    let live = marks::heard(Live::new(format!("{here}/sessions")).table(SESSIONS.name));
    let all = All { live, groups };
    match hx.wants("all-sessions") {
        true => html::fragment(&all),
        false => html::page(&Index { shell, head, here, q, found, begin, all }),
    }
}

fn results(
    tx: &dyn Read,
    look: &Look<'_>,
    here: &str,
    searched: &Searched,
    mine: Option<SessionId>,
) -> Result<Results, StoreError> {
    let mut hits = Vec::new();
    for hit in &searched.hits {
        let Some(session) = tx.get::<Session>(hit.session)? else { continue };
        hits.push(Hit {
            href: place(tx, here, &session, hit, mine)?,
            title: title(tx, &session, mine)?,
            who: match hit.by {
                Some(by) => look.actor(tx, by)?,
                None => "The agent".to_owned(),
            },
            at: look.time(hit.at),
            text: md::excerpt(&hit.text, PASSAGE),
        });
    }
    let until = searched.until.filter(|_| !searched.complete).map(|at| look.time(at));
    Ok(Results { hits, until })
}

/// Address of a message on the page of its conversation.
fn place(
    tx: &dyn Read,
    here: &str,
    session: &Session,
    hit: &Said,
    mine: Option<SessionId>,
) -> Result<String, StoreError> {
    let end = hit.n.saturating_add(WINDOW / 2);
    let mut query = Vec::new();
    if Some(session.id) != mine || end < session.events {
        query.push(format!("session={}", session.id));
    }
    if end < session.events {
        query.push(format!("before={end}"));
    }
    let run = match hit.run.filter(|_| hit.by.is_none()) {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    let anchor = match run {
        Some(run) => format!("run-{}", run.name()),
        None => format!("e-{}", hit.n),
    };
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(format!("{here}{mark}{}#{anchor}", query.join("&")))
}

/// An action on a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Deed {
    /// `rename`, `archive`, `restore`, `share` or `unshare`.
    act: String,
    #[serde(default)]
    name: String,
}

/// `POST /agents/{slug}/chat/sessions/{session}`
pub(super) async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(slug, id): Path2<String, SessionId>,
    Form(deed): Form<Deed>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let here = ws.url(&format!("agents/{slug}/chat"));
    let session = ws.read(|snap| snap.get::<Session>(id))?.filter(|one| one.agent == agent.id);
    let session = session.ok_or_else(|| PageError::not_found("This conversation"))?;
    let by = who.account;
    let own = ws.read(|snap| talk::own_key(snap, &agent, who.account, who.role))?;
    let goes_on = (session.key != own).then_some(id);
    let shown = match session.archived_at {
        Some(_) => format!("{here}?session={id}"),
        None => address(&ws, &slug, goes_on),
    };
    let (done, words, back) = match deed.act.as_str() {
        "rename" => {
            let name = deed.name;
            let done = ws.write(&who, move |tx| rules::sessions::rename(tx, id, by, &name)).await;
            (done, "Renamed.", shown)
        }
        "share" => {
            let done = ws.write(&who, move |tx| rules::sessions::share(tx, id, by, true)).await;
            (done, "Shared. Everyone in the workspace can read and write.", shown)
        }
        "unshare" => {
            let done = ws.write(&who, move |tx| rules::sessions::share(tx, id, by, false)).await;
            (done, "Private. Only you can see it.", shown)
        }
        "archive" => {
            let done = ws.write(&who, move |tx| rules::sessions::archive(tx, id, by)).await;
            (done, "Archived. You can still read it.", here)
        }
        "restore" => {
            let done = ws.write(&who, move |tx| rules::sessions::restore(tx, id, by)).await;
            (done, "Conversation reopened.", address(&ws, &slug, goes_on))
        }
        _ => return Err(PageError::not_found("This action")),
    };
    let flash = match done {
        Ok(()) => Flash::ok(words),
        Err(error @ (RunError::Busy | RunError::Taken | RunError::NotYours)) => {
            Flash::danger(sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    Ok(flash::say(&app, flash, hx.go_to(&back)))
}

/// A new name for a conversation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    name: String,
}

/// `POST /agents/{slug}/chat/name`: names the current conversation, whichever it is when the request arrives.
pub(super) async fn name(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Query(Spot { talk }): Query<Spot>,
    Form(named): Form<Named>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let spec = commands::Place { ws: &ws, who: &who, agent: &agent, talk }.spec()?;
    let by = who.account;
    let rename = ws.write(&who, move |tx| -> Result<_, RunError> {
        let session = rules::open_session(tx, spec)?;
        rules::sessions::rename(tx, session.id, by, &named.name)
    });
    rename.await?;
    Ok(flash::say(&app, Flash::ok("Renamed."), hx.go_to(&address(&ws, &slug, talk))))
}

/// Actions on the displayed conversation.
pub(super) struct Acts {
    /// Address of the actions.
    pub href: String,
    /// The custom name; may be empty.
    pub name: String,
    /// Whether the conversation is archived and can be restored.
    pub former: bool,
    /// Whether it is shared with the workspace; `None` if it cannot be shared.
    pub shared: Option<bool>,
}

impl Acts {
    /// The actions on a conversation; `None` unless this person owns it.
    pub(super) fn of(session: &Session, who: &Person, here: &str) -> Option<Self> {
        let theirs = session.owner == Some(who.account) && who.access.may(Can::Chat);
        theirs.then(|| Self {
            href: format!("{here}/sessions/{}", session.id),
            name: session.name.clone().unwrap_or_default(),
            former: session.archived_at.is_some(),
            shared: talk::is_talk(&session.key).then_some(session.shared),
        })
    }
}
