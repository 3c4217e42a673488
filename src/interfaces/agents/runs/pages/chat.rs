//! The chat with an agent: a person's own conversations, shared ones, and a view of other people's.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::runs::{commands, looking};
use app::Ws;
use features::agents::model::{AGENTS, Agent};
use features::agents::queries as agents;
use features::agents::queries::elsewhere;
use features::agents::queries::head::{self, Head};
use features::runs::model::{
    Input, QUEUE_CHOICES, Queueing, RUNS, Run, SESSIONS, Session, SessionEvent, TALK_CHOICES,
};
use features::runs::queries::between::{self, Between};
use features::runs::queries::choice::{self, MessageOptions};
use features::runs::queries::steps::Steps;
use features::runs::queries::{self, talk, versions, words};
use features::runs::rules;
use kernel::{Can, InputId, QueueMode, SessionId};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Choice, Face};
use web::session::Person;
use web::shell::Shell;

use super::display::Look;
use super::note::{Note, Why, note};
use super::place::{Place, Shown, Spot, address, shown, talk_of, with};
use super::queue;
use super::say::Answer;
use super::sessions::{self, Acts, Sessions, Which};
use super::steps::Shape;
use super::talk::{After, Editing, Entry, Telling};
use super::tools::{Line as DiffLine, Piece as Detail};
use super::writing::HEARD;
use channels::model::DELIVERIES;

/// Number of events of a conversation on a page.
pub(super) const WINDOW: u32 = 240;
/// Number of conversations in the list.
const LISTED: usize = 30;
/// Maximum number of effects listed per kind when a message is edited.
const STAYS: usize = 8;

#[derive(Template)]
#[template(path = "chat/_talk.html")]
struct Talk {
    live: Live,
    name: String,
    face: Face,
    entries: Vec<Entry>,
    earlier: Option<String>,
    /// Suggested first messages, and the address that they are posted to.
    ideas: Vec<&'static str>,
    action: String,
    /// Query that selects a conversation other than the person's current one.
    at: String,
    practice: bool,
    /// The last message; `None` unless this is the person's current conversation.
    leaf: Option<String>,
    /// Key that identifies a repeated submission.
    key: i64,
}

#[derive(Template)]
#[template(path = "chat/_head.html")]
struct Bar {
    live: Live,
    title: String,
    /// Owner of the conversation, if another person.
    whose: String,
    /// Who can see a person's conversation: text and icon.
    seen: Option<(&'static str, &'static str)>,
    own: bool,
    action: String,
    at: String,
    may_talk: bool,
    acts: Option<Acts>,
    /// Whether the conversation has messages and can be restarted.
    begun: bool,
}

#[derive(Template)]
#[template(path = "chat/show.html")]
struct Show {
    shell: Shell,
    name: String,
    own: bool,
    action: String,
    at: String,
    head: Head,
    sessions: Sessions,
    bar: Bar,
    talk: Talk,
    note: Note,
    may_talk: bool,
    /// Address that continues an archived conversation.
    former: Option<String>,
    /// Address of "rename" and the current name.
    naming: Option<(String, String)>,
    /// Delivery modes while the agent works; empty for another person's conversation.
    usual: Vec<Choice>,
    commands: Vec<slash::Command>,
    answer: Answer,
}

/// The parts of the page.
struct Parts {
    queueing: Queueing,
    head: Head,
    sessions: Sessions,
    bar: Bar,
    talk: Talk,
    note: Note,
}

/// `GET /agents/{slug}/chat`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(place): Query<Place>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let shown = ws.read(|snap| shown(snap, &who, &agent, &place))?;
    if let Some(session) = shown.and_then(|shown| shown.session) {
        looking::note(&ws, &who, session.id).await?;
        if place.before.is_none() && (!hx.is_partial() || hx.wants("talk")) {
            looking::read(&ws, &who, &session).await?;
        }
    }
    let parts = ws.read(|snap| parts(snap, &ws, &who, &agent, &place))?;
    let Some(parts) = parts else { return Err(PageError::not_found("This conversation")) };
    match hx.target().filter(|_| hx.is_partial()) {
        Some("talk") => html::fragment(&parts.talk),
        Some("chat-sessions") => html::fragment(&parts.sessions),
        Some("chat-note") => html::fragment(&parts.note),
        Some("chat-head") => html::fragment(&parts.bar),
        _ => html::page(&whole(shell, parts, Answer::default())),
    }
}

/// The chat page with a command's output above the text field, for a browser without script.
pub(super) fn page_with(
    place: &commands::Place<'_>,
    shell: Shell,
    (status, answer): (StatusCode, Answer),
) -> Result<Response, PageError> {
    let commands::Place { ws, who, agent, talk } = *place;
    let parts = ws.read(|snap| parts(snap, ws, who, agent, &Place::of(talk)))?;
    let Some(parts) = parts else { return Err(PageError::not_found("This conversation")) };
    html::document(status, &whole(shell, parts, answer))
}

fn whole(shell: Shell, parts: Parts, answer: Answer) -> Show {
    let Parts { queueing, head, sessions, bar, talk, note } = parts;
    let (own, may_talk, action) = (bar.own, bar.may_talk, bar.action.clone());
    let (acts, at) = (bar.acts.as_ref(), bar.at.clone());
    let naming = match acts {
        // Without an id in the address, another conversation may be current when the form is sent.
        _ if may_talk && bar.whose.is_empty() => {
            Some((format!("{action}/name{at}"), acts.map(|acts| acts.name.clone())))
        }
        Some(acts) => Some((acts.href.clone(), Some(acts.name.clone()))),
        None => None,
    };
    Show {
        shell,
        name: talk.name.clone(),
        own,
        head,
        sessions,
        talk,
        note,
        may_talk,
        former: acts.filter(|acts| acts.former).map(|acts| acts.href.clone()),
        naming: naming.map(|(action, name)| (action, name.unwrap_or_default())),
        usual: match may_talk && bar.own && bar.whose.is_empty() {
            true => choices(queueing.mode),
            false => Vec::new(),
        },
        commands: slash::COMMANDS.to_vec(),
        answer,
        action,
        at,
        bar,
    }
}

fn choices(usual: QueueMode) -> Vec<Choice> {
    let choice = |mode: &QueueMode| Choice::new(mode.word(), mode.label(), *mode == usual);
    QueueMode::ALL.iter().map(choice).collect()
}

pub(super) fn find(ws: &Ws, slug: &str) -> Result<Agent, PageError> {
    let found = ws.read(|snap| agents::by_slug(snap, slug))?;
    found.ok_or_else(|| PageError::not_found("This agent"))
}

fn parts(
    tx: &dyn Read,
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    place: &Place,
) -> Result<Option<Parts>, StoreError> {
    let look = Look::new(tx, ws, who)?;
    let here = address(ws, &agent.slug, None);
    let Some(Shown { session, mine, open, at }) = shown(tx, who, agent, place)? else {
        return Ok(None);
    };
    let which = Which {
        mine: mine.as_ref().map(|session| session.id),
        current: session.as_ref().map(|session| session.id),
    };
    let title = match &session {
        Some(session) => sessions::title(tx, session, which.mine)?,
        None => sessions::OWN.to_owned(),
    };
    let all = talk::listed(tx, agent.id, who.account, LISTED)?;
    let held = rules::held(tx, agent)?;
    let may = open && agent.archived_at.is_none() && who.access.may(Can::Chat);
    let talk = transcript(tx, &look, agent, session.as_ref(), (&here, &at, open, may), place)?;
    let queueing = match session.as_ref().filter(|_| open) {
        Some(session) => queries::queue::of_session(tx, session)?,
        None => queries::queue::of_agent(tx, agent.id)?,
    };
    let over = match session.as_ref().filter(|_| open) {
        Some(session) => queries::preferences::is_over(tx, session, look.now)?,
        None => false,
    };
    let first = match may {
        true => sessions::tells_of_memory(tx, &all, who.account)?,
        false => false,
    };
    let place_of = elsewhere::at(ws, tx, agent.id)?;
    let paused = place_of.as_ref().filter(|one| one.is_linked && one.is_paused);
    let paused = paused.map(|one| one.label.clone());
    let silent = place_of.filter(|one| !one.is_linked);
    let run = match session.as_ref().and_then(|session| session.active_run) {
        Some(run) if silent.is_some() => tx.get::<Run>(run)?,
        _ => None,
    };
    let run = run.map(|run| ws.url(&format!("runs/{}", run.name())));
    let why = Why { held, over, first, silent, paused, run };
    let note = note(&look, agent, &format!("{here}{at}"), &why);
    let sessions = sessions::beside(tx, &look, &here, &all, which)?;
    let whose = match session.as_ref().and_then(|session| session.owner) {
        Some(owner) if owner != who.account => look.person(tx, owner)?,
        _ => String::new(),
    };
    let bar = Bar {
        live: Live::new(format!("{here}{at}")).table(SESSIONS.name).table(QUEUE_CHOICES.name),
        title,
        seen: session.as_ref().and_then(|session| sessions::seen_by(session, &whose)),
        whose,
        own: open,
        action: here.clone(),
        may_talk: may,
        acts: session.as_ref().and_then(|session| Acts::of(session, who, &here)),
        begun: session.as_ref().is_some_and(|session| 0 < session.events),
        at,
    };
    Ok(Some(Parts {
        queueing,
        head: head::head(ws, tx, agent, head::Place::Chat, who.access, look.now)?,
        sessions,
        bar,
        talk,
        note,
    }))
}

fn transcript(
    tx: &dyn Read,
    look: &Look<'_>,
    agent: &Agent,
    session: Option<&Session>,
    (here, at, own, may): (&str, &str, bool, bool),
    place: &Place,
) -> Result<Talk, StoreError> {
    let address = format!("{here}{at}");
    let mut live = Live::new(match (place.edit, place.before) {
        (Some(edit), _) if own => with(&address, &format!("edit={edit}")),
        (_, Some(before)) => with(&address, &format!("before={before}")),
        _ => address,
    });
    let (mut entries, mut earlier) = (Vec::new(), None);
    match session {
        // The first message creates the session, so its id is not known yet.
        None => live = live.table(SESSIONS.name),
        Some(session) => {
            live = live.record(SESSIONS.name, session.id).record(AGENTS.name, agent.id);
            live = live.table(TALK_CHOICES.name);
            if let Some(run) = session.active_run {
                live = live.record(RUNS.name, run).record(HEARD, run);
            }
            let end = place.before.unwrap_or(session.events).min(session.events);
            let from = end.saturating_sub(WINDOW);
            let events: Vec<SessionEvent> = queries::events(tx, session.id, from, end)?;
            let steps = Steps::fold(0, events, &|body| look.whole(body));
            let waiting = match place.before {
                None => queries::open_inputs(tx, session.id)?,
                Some(_) => Vec::new(),
            };
            let face = look.agent(agent, false);
            let mut waiting = waiting;
            if place.before.is_none() && own {
                waiting.extend(queries::queue::dropped(tx, session.id)?);
            }
            let editing = editing(tx, session, (may, look.may_write), place)?;
            let habits = queries::preferences::of_session(tx, session)?;
            let telling = Telling::new(look, face, (here, at), editing).showing(&habits);
            entries = telling.tell(tx, &steps, &waiting, rules::held(tx, agent)?)?;
            for entry in &entries {
                if let Entry::Turn(turn) = entry {
                    let open = turn.open.iter();
                    live = open.fold(live, |live, id| live.record(DELIVERIES.name, id));
                }
            }
            earlier = (0 < from).then(|| format!("{here}?session={}&before={from}", session.id));
        }
    }
    let practice = match choice::in_session(tx, session, agent, None, MessageOptions::default()) {
        Ok(choice) => words::is_practice(&choice.model),
        Err(_) => false,
    };
    Ok(Talk {
        live,
        name: look.called(agent),
        face: look.agent(agent, false),
        entries,
        earlier,
        ideas: match own && agent.archived_at.is_none() {
            true => vec![
                "Say hello and tell me what you can do",
                "What is open, and what would you do first?",
                "What do you need from me to do good work?",
            ],
            false => Vec::new(),
        },
        action: here.to_owned(),
        at: at.to_owned(),
        practice,
        leaf: own.then(|| queries::sessions::leaf(session)),
        key: look.now.as_millisecond(),
    })
}

/// Which read messages may be edited. While a run works in the session, none.
fn editing(
    tx: &dyn Read,
    session: &Session,
    (may, may_undo): (bool, bool),
    place: &Place,
) -> Result<Editing, StoreError> {
    let open = match place.edit.filter(|_| may) {
        Some(edit) => Some((edit, after(tx, edit, may_undo)?)),
        None => None,
    };
    let versions = versions::of_session(tx, session.id)?;
    Ok(Editing { may: may && session.active_run.is_none(), open, versions })
}

/// Effects after a message that is being edited: those that can be undone, if this person may undo, and those that
/// stay.
fn after(tx: &dyn Read, message: InputId, may_undo: bool) -> Result<After, StoreError> {
    let Some(input) = tx.get::<Input>(message)? else { return Ok(After::default()) };
    let Some(read) = versions::read_in(tx, &input)? else { return Ok(After::default()) };
    let (all, _) = between::since(tx, read.session.id, read.event, false)?;
    let mut after = After::default();
    for (run, Between { work, outside, files, both }) in all {
        let line = |what: String| format!("{}: {what}", run.name());
        let changed = |path: String| line(format!("changed {path}"));
        let back = work.into_iter().map(line).chain(files.into_iter().map(changed));
        match may_undo {
            true => after.back.extend(back),
            false => after.stays.extend(back),
        }
        after.stays.extend(outside.into_iter().map(line).chain(both.into_iter().map(changed)));
    }
    after.back.truncate(STAYS);
    after.stays.truncate(STAYS);
    Ok(after)
}

/// `POST /agents/{slug}/chat/new`
pub(super) async fn anew(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Query(Spot { talk }): Query<Spot>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let place = commands::Place { ws: &ws, who: &who, agent: &agent, talk };
    let key = place.spec()?.key;
    if let Some(session) = ws.read(|snap| queries::session_by_key(snap, &key))? {
        let (id, by) = (session.id, who.account);
        ws.write(&who, move |tx| rules::sessions::reset(tx, id, by).map(drop)).await?;
    }
    Ok(hx.go_to(&address(&ws, &slug, talk)))
}

/// `POST /agents/{slug}/chat/begin`: starts another conversation beside the current ones.
pub(super) async fn begin(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    FormOnce(IgnoredAny, once): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let key = ws.read(|snap| talk::own_key(snap, &agent, who.account, who.role))?;
    let mine = ws.read(|snap| queries::session_by_key(snap, &key))?;
    // The person's own conversation is still empty and is used as the new one.
    let fresh = mine.is_none_or(|mine| mine.events == 0 && mine.leaf.is_none());
    let talk = match fresh {
        true => None,
        false => {
            let of = (agent.id, who.account);
            let begin = once.run(move |tx| rules::sessions::begin(tx, of, ""));
            Some(ws.write(&who, begin).await?.id)
        }
    };
    Ok(hx.go_to(&address(&ws, &slug, talk)))
}

/// The focus of the summary.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Focus {
    #[serde(default)]
    focus: String,
}

/// `POST /agents/{slug}/chat/compact`
pub(super) async fn compact(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Query(Spot { talk }): Query<Spot>,
    Form(wish): Form<Focus>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let key = commands::Place { ws: &ws, who: &who, agent: &agent, talk }.spec()?.key;
    let session = ws.read(|snap| queries::session_by_key(snap, &key))?;
    let id = session.ok_or_else(|| PageError::not_found("This conversation"))?.id;
    let by = who.account;
    ws.write(&who, move |tx| rules::talk::compact(tx, id, by, &wish.focus)).await?;
    back(&ws, &who, &hx, (&agent, talk))
}

/// `POST /agents/{slug}/chat/{input}/cancel`
pub(super) async fn take_back(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(slug, input): Path2<String, InputId>,
) -> Result<Response, PageError> {
    on_message(&ws, &who, &hx, (&slug, input), queue::Act::Cancel).await
}

/// `POST /agents/{slug}/chat/{input}/restore`
pub(super) async fn bring_back(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(slug, input): Path2<String, InputId>,
) -> Result<Response, PageError> {
    on_message(&ws, &who, &hx, (&slug, input), queue::Act::Restore).await
}

/// `POST /agents/{slug}/chat/{input}/dismiss`
pub(super) async fn dismiss(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(slug, input): Path2<String, InputId>,
) -> Result<Response, PageError> {
    on_message(&ws, &who, &hx, (&slug, input), queue::Act::Dismiss).await
}

async fn on_message(
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    (slug, input): (&str, InputId),
    act: queue::Act,
) -> Result<Response, PageError> {
    let agent = find(ws, slug)?;
    let (by, talk) = (who.account, talk_of(ws, who, &agent, input)?);
    ws.write(who, move |tx| act.apply(tx, input, by)).await?;
    back(ws, who, hx, (&agent, talk))
}

/// Responds with the changed conversation.
pub(super) fn back(
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    (agent, talk): (&Agent, Option<SessionId>),
) -> Result<Response, PageError> {
    if !hx.wants("talk") {
        return Ok(hx.go_to(&address(ws, &agent.slug, talk)));
    }
    let parts = ws.read(|snap| parts(snap, ws, who, agent, &Place::of(talk)))?;
    match parts {
        Some(parts) => Ok(html::fragment::<_, PageError>(&parts.talk)?.into_response()),
        None => Err(PageError::not_found("This conversation")),
    }
}
