//! Message queue during a run: waiting and dropped messages, and queue settings.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::runs::commands;
use app::{App, Ws};
use features::runs::model::{
    INPUTS, Input, InputState, QueueChoice, QueueOf, QueueRequest, RUNS, Run, pause_ms,
};
use features::runs::queries::{queue as reading, words};
use features::runs::rules::{self, RunError};
use kernel::{AccountId, InputId, QueueMode};
use store::{Read, StoreError, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::form::check_rev;
use web::hx::Hx;
use web::live::Live;
use web::parts::Choice;
use web::session::Person;
use web::time::RelTime;

use super::chat;
use super::display::Look;
use super::limits::saved;
use super::place::{Spot, address};
use super::show::find;

/// The queue modes as choices for one message.
pub(super) fn choices(usual: QueueMode) -> Vec<Choice> {
    let as_usual = Choice::new("", format!("{} (default)", words::mode(usual)), true);
    let others = QueueMode::ALL.iter().filter(|mode| **mode != usual);
    let others = others.map(|mode| Choice::new(mode.word(), words::mode(*mode), false));
    [as_usual].into_iter().chain(others).collect()
}

/// Parses a mode; `None` for the default.
pub(super) fn mode_of(word: &str) -> Result<Option<QueueMode>, PageError> {
    match word.trim() {
        "" => Ok(None),
        word => word.parse().map(Some).map_err(|_| PageError::not_found("This way of sending")),
    }
}

/// A waiting or dropped message.
struct Line {
    who: String,
    at: RelTime,
    text: String,
    note: String,
    acts: Vec<(&'static str, &'static str)>,
    href: String,
}

/// Unread messages to a run; a live region.
#[derive(Template)]
#[template(path = "runs/_queue.html")]
pub(super) struct Queue {
    live: Live,
    lines: Vec<Line>,
}

impl Queue {
    pub(super) fn read(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Self, StoreError> {
        let href = look.ws.url(&format!("runs/{}", run.name()));
        let mut lines = Vec::new();
        let mut all = reading::open_inputs(tx, run.session)?;
        all.retain(Input::is_talk);
        if !run.is_live() {
            all.clear();
        }
        all.extend(reading::dropped(tx, run.session)?);
        for input in all {
            let mine = input.by.account() == Some(look.me);
            let acts = match (&input.state, mine) {
                (_, false) => Vec::new(),
                (InputState::Dropped(_) | InputState::Overflowed, true) => {
                    vec![("Resend", "restore"), ("Dismiss", "dismiss")]
                }
                (InputState::Assigned(to), true) if *to == run.id && run.started_at.is_some() => {
                    Vec::new()
                }
                _ => vec![("Remove", "cancel")],
            };
            lines.push(Line {
                who: look.actor(tx, input.by)?,
                at: look.time(input.created_at),
                text: web::md::excerpt(&input.text, 240),
                note: words::waits_as(&input, Some(run), None),
                href: format!("{href}/messages/{}", input.id),
                acts,
            });
        }
        let live = Live::new(href).record(RUNS.name, run.id).table(INPUTS.name);
        Ok(Self { live, lines })
    }
}

/// An action on an unread message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Cancel,
    Restore,
    Dismiss,
}

impl Act {
    fn of(word: &str) -> Option<Self> {
        match word {
            "cancel" => Some(Self::Cancel),
            "restore" => Some(Self::Restore),
            "dismiss" => Some(Self::Dismiss),
            _ => None,
        }
    }

    pub(super) fn apply(
        self,
        tx: &mut WriteTx<'_>,
        input: InputId,
        by: AccountId,
    ) -> Result<&'static str, RunError> {
        match self {
            Self::Cancel => rules::talk::take_back(tx, input, by).map(|()| "Withdrawn"),
            Self::Restore => {
                let sent = rules::queue::bring_back(tx, input, by)?;
                Ok(sent.placed.label())
            }
            Self::Dismiss => rules::queue::dismiss(tx, input, by).map(|()| "Dismissed"),
        }
    }
}

/// The requested action.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    act: String,
}

/// `POST /runs/{name}/messages/{input}`
pub(super) async fn act(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, input): Path2<String, InputId>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let act = Act::of(&wanted.act).ok_or_else(|| PageError::not_found("This action"))?;
    let by = who.account;
    let done = ws.write(&who, move |tx| act.apply(tx, input, by)).await?;
    Ok(hx.done(done, &ws.url(&format!("runs/{}", run.name()))))
}

/// An answer as text, or the fields of an MCP server's form.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnswerForm {
    #[serde(default)]
    body: String,
    #[serde(default)]
    from: String,
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

impl AnswerForm {
    fn text(&self) -> String {
        let field = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("field.")?.to_owned(), Value::from(value.as_str())))
        };
        let fields: Map<String, Value> = self.others.iter().filter_map(field).collect();
        match fields.is_empty() {
            true => self.body.clone(),
            false => Value::Object(fields).to_string(),
        }
    }
}

/// `POST /runs/{name}/answer`
pub(super) async fn answer(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<AnswerForm>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let (id, by) = (run.id, who.account);
    let from = form.from == "dashboard";
    let text = form.text();
    ws.write(&who, move |tx| rules::park::answer(tx, id, &text, by)).await?;
    let back = if from { ws.url("") } else { ws.url(&format!("runs/{}", run.name())) };
    Ok(hx.done("Answered. The run continues", &back))
}

/// `POST /runs/{name}/go-on`
pub(super) async fn go_on(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let (id, by) = (run.id, who.account);
    ws.write(&who, move |tx| rules::park::let_go_on(tx, id, by)).await?;
    Ok(hx.done("Continuing", &ws.url(&format!("runs/{}", run.name()))))
}

/// The form of queue settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QueueForm {
    mode: String,
    debounce: String,
    cap: String,
    drop: String,
    rev: String,
}

impl QueueForm {
    fn wish(&self) -> Result<QueueRequest, RunError> {
        let debounce_ms = match self.debounce.trim() {
            "" => None,
            text => Some(pause_ms(text).ok_or(RunError::BadPause)?),
        };
        let cap = match self.cap.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| RunError::BadCap)?),
        };
        let (mode, drop) = (self.mode.parse().ok(), self.drop.parse().ok());
        Ok(QueueRequest { mode, debounce_ms, cap, drop })
    }
}

async fn choose(
    (app, ws, who, hx): (&App, &Ws, &Person, &Hx),
    of: QueueOf,
    form: QueueForm,
    back: &str,
) -> Result<Response, PageError> {
    let done = match form.wish() {
        Ok(wish) => {
            ws.write(who, move |tx| -> Result<_, RunError> {
                check_rev::<QueueChoice>(tx, of, &form.rev)?;
                rules::queue::choose(tx, of, wish)
            })
            .await
        }
        Err(error) => Err(error),
    };
    saved((app, ws, hx), done, back)
}

/// `POST /agents/{slug}/queue`
pub(super) async fn of_agent(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<QueueForm>,
) -> Result<Response, PageError> {
    let agent = chat::find(&ws, &slug)?;
    let back = format!("agents/{slug}/settings");
    choose((&app, &ws, &who, &hx), QueueOf::Agent(agent.id), form, &back).await
}

/// `POST /settings/queue`
pub(super) async fn of_workspace(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<QueueForm>,
) -> Result<Response, PageError> {
    choose((&app, &ws, &who, &hx), QueueOf::Workspace, form, "settings/general").await
}

/// `POST /agents/{slug}/chat/queue`: settings of a person's own conversation.
pub(super) async fn of_chat(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Query(Spot { talk }): Query<Spot>,
    Form(form): Form<QueueForm>,
) -> Result<Response, PageError> {
    let agent = chat::find(&ws, &slug)?;
    let spec = commands::Place { ws: &ws, who: &who, agent: &agent, talk }.spec()?;
    let mode = mode_of(&form.mode)?;
    let chosen = ws.write(&who, move |tx| -> Result<_, RunError> {
        let session = rules::open_session(tx, spec)?;
        let of = QueueOf::Session(session.id);
        let wish = QueueRequest { mode, ..reading::chosen(tx, of)? };
        rules::queue::choose(tx, of, wish)?;
        Ok(reading::of_session(tx, &session)?.mode)
    });
    let mode = chosen.await?;
    let text = format!("While it works: {}", words::mode(mode));
    Ok(hx.done(&text, &address(&ws, &slug, talk)))
}
