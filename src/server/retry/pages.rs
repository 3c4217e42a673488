//! `/runs/{name}/retry` and `/runs/{name}/fork`: preview and execution. Also continuing a run and editing a message.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::connections::queries as connections;
use features::history::queries::error::HistoryError;
use features::runs::model::{BranchWhy, Run};
use features::runs::queries::branches;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use interfaces_agents::runs::{read_again, say_again};
use kernel::{Can, InputId, Problem, Thinking};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::preview::Preview;
use super::{AgainError, RetryRequest, asked, begin, find, undo_basis};

#[must_use]
pub fn routes() -> Routes {
    asked::pages(Routes::new())
        .get("/runs/{name}/retry", ask_retry.needs(Can::Write))
        .post("/runs/{name}/retry", retry.needs(Can::Write))
        .get("/runs/{name}/fork", ask_fork.needs(Can::Write))
        .post("/runs/{name}/fork", fork.needs(Can::Write))
        .post("/runs/{name}/continue", go_on.needs(Can::Write))
        .post("/agents/{slug}/chat/{input}/edit", edit.needs(Can::Chat))
}

/// The step to restart from.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct At {
    from: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Chosen {
    from: String,
    model: String,
    thinking: String,
    undo: String,
    basis: String,
}

#[derive(Template)]
#[template(path = "runs/again.html")]
struct Show {
    shell: Shell,
    /// "Retry", "Fork".
    verb: &'static str,
    name: String,
    title: String,
    href: String,
    action: String,
    /// Number and URL of the step.
    step: Option<(u32, String)>,
    from: String,
    is_retry: bool,
    /// The run is active, so a fork on its task waits.
    waits: bool,
    wrong: Wrong,
    differs: String,
    p: Preview,
    models: Vec<Choice>,
    thinkings: Vec<Choice>,
    undo: bool,
}

async fn ask_retry(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    Query(at): Query<At>,
) -> Result<Response, PageError> {
    let chosen = Chosen { from: at.from, undo: "on".to_owned(), ..Chosen::default() };
    html::page(&page(&ws, &who, shell, (&name, BranchWhy::Retry), &chosen).await?)
}

async fn ask_fork(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    Query(at): Query<At>,
) -> Result<Response, PageError> {
    let chosen = Chosen { from: at.from, ..Chosen::default() };
    html::page(&page(&ws, &who, shell, (&name, BranchWhy::Fork), &chosen).await?)
}

async fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    (name, why): (&str, BranchWhy),
    chosen: &Chosen,
) -> Result<Show, PageError> {
    let run = find(ws, who, name)?;
    let (looker, step) = (who.clone(), step_of(&chosen.from));
    let looked = run.clone();
    let look = move |ws: &Ws| Preview::read(ws, &looker, &looked, (why, step.as_deref()));
    let p = ws.read_blocking(look).await?;
    let (verb, path) = match why {
        // Edits and asides are created on the chat page, never here.
        BranchWhy::Retry | BranchWhy::Edit | BranchWhy::Aside => ("Retry", "retry"),
        BranchWhy::Fork => ("Fork", "fork"),
    };
    let href = ws.url(&format!("runs/{}", run.name()));
    let models = ws.read(|snap| model_choices(snap, &run, &chosen.model))?;
    Ok(Show {
        shell,
        verb,
        name: run.name(),
        title: run.title.clone(),
        action: format!("{href}/{path}"),
        step: match p.cut.step {
            Some(step) => {
                let number = ws.read(|snap| branches::counted(snap, &run, step))?;
                Some((number, format!("{href}#s-{step}")))
            }
            None => None,
        },
        href,
        from: chosen.from.clone(),
        is_retry: why == BranchWhy::Retry,
        waits: run.is_live() && run.item.is_some(),
        wrong: Wrong::default(),
        differs: String::new(),
        undo: !chosen.undo.is_empty() && !p.nothing,
        p,
        models,
        thinkings: thinking_choices(&chosen.thinking),
    })
}

/// Selectable models; the default comes first.
fn model_choices(tx: &dyn Read, run: &Run, now: &str) -> Result<Vec<Choice>, StoreError> {
    let usual = match tx.get::<Agent>(run.agent)? {
        Some(_) if !run.model.is_empty() => format!("As before ({})", run.model),
        _ => "Default".to_owned(),
    };
    let mut choices = vec![Choice::new("", usual, now.is_empty())];
    for pick in connections::picks(tx)? {
        let value = pick.value();
        let chosen = value == now;
        choices.push(Choice::new(value, pick.label(), chosen));
    }
    Ok(choices)
}

fn thinking_choices(now: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Default", now.is_empty())];
    let all = Thinking::ALL.iter();
    choices.extend(all.map(|level| Choice::new(level.word(), level.label(), level.word() == now)));
    choices
}

fn step_of(from: &str) -> Option<String> {
    Some(from.trim().to_owned()).filter(|from| !from.is_empty())
}

async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    FormOnce(chosen, once): FormOnce<Chosen>,
) -> Result<Response, PageError> {
    branch(&app, (&ws, &who), (hx, shell), (&name, BranchWhy::Retry), (chosen, once)).await
}

async fn fork(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    FormOnce(chosen, once): FormOnce<Chosen>,
) -> Result<Response, PageError> {
    branch(&app, (&ws, &who), (hx, shell), (&name, BranchWhy::Fork), (chosen, once)).await
}

async fn branch(
    app: &App,
    (ws, who): (&Ws, &Person),
    (hx, shell): (Hx, Shell),
    (name, why): (&str, BranchWhy),
    (chosen, once): (Chosen, Once),
) -> Result<Response, PageError> {
    let of = find(ws, who, name)?;
    let wish = RetryRequest {
        of: of.id,
        why,
        step: step_of(&chosen.from),
        model: Some(chosen.model.clone()).filter(|model| !model.is_empty()),
        thinking: chosen.thinking.parse().ok(),
        undo: undo_basis(!chosen.undo.is_empty(), Some(&chosen.basis))?,
    };
    match begin(app, ws, who, wish, once).await {
        Ok(run) => {
            let run = ws.read(|snap| snap.get::<Run>(run))?;
            let made = run.map_or_else(String::new, |run| run.name());
            let text = match why {
                BranchWhy::Retry | BranchWhy::Edit | BranchWhy::Aside => {
                    format!("{made} retries {}", of.name())
                }
                BranchWhy::Fork => format!("{made} is a fork of {}", of.name()),
            };
            let answer = hx.go_to(&ws.url(&format!("runs/{made}")));
            Ok(flash::say(app, Flash::ok(text), answer))
        }
        Err(AgainError::History(HistoryError::Differs(what))) => {
            let mut page = page(ws, who, shell, (name, why), &chosen).await?;
            page.differs = what;
            html::document(StatusCode::CONFLICT, &page)
        }
        Err(error) if !error.fields().is_empty() || is_closed(&error) => {
            let mut page = page(ws, who, shell, (name, why), &chosen).await?;
            page.wrong = Wrong::of(&error)?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Message for a run that continues.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Onward {
    body: String,
    /// `chat`, `task` or `dashboard`: the page to return to.
    back: String,
}

async fn go_on(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<Onward>,
) -> Result<Response, PageError> {
    let of = find(&ws, &who, &name)?;
    // Executed once, even after several clicks.
    let place = format!("continue {}", of.name());
    let once = Once::of_form(&who, &place, "continue", &[form.body.as_str()]);
    let run = super::go_on(&ws, &who, (of.id, form.body), once).await?;
    let run = ws.read(|snap| snap.get::<Run>(run))?;
    let made = run.map_or_else(String::new, |run| run.name());
    let text = format!("Continued as run {made}");
    if form.back == "dashboard" {
        return Ok(hx.done(&text, &ws.url("")));
    }
    if form.back == "chat"
        && let Some(agent) = ws.read(|snap| snap.get::<Agent>(of.agent))?
    {
        return Ok(hx.done(&text, &ws.url(&format!("agents/{}/chat", agent.slug))));
    }
    if form.back == "task"
        && let Some(task) = of.task
        && let Some(task) = ws.read(|snap| snap.get::<Task>(task))?
    {
        let name = ws.read(|snap| tasks::name(snap, task.number))?;
        return Ok(hx.done(&text, &ws.url(&format!("tasks/{name}"))));
    }
    let answer = hx.go_to(&ws.url(&format!("runs/{made}")));
    Ok(flash::say(&app, Flash::ok(text), answer))
}

/// Replaces a message. First undoes what was done after it, if requested.
async fn edit(
    app: App,
    ws: Ws,
    who: Person,
    Path2(slug, input): Path2<String, InputId>,
    request: Request,
) -> Result<Response, PageError> {
    let (hx, shell, form) = read_again(&app, request).await?;
    let leaf = Some(form.leaf.clone()).filter(|leaf| !leaf.is_empty());
    let undone = match form.undo.as_str() {
        "" => false,
        _ => super::take_back(&app, &ws, &who, (input, leaf)).await?,
    };
    let text = Some(form.body.clone());
    say_again(&ws, &who, (&slug, input), (hx, shell, form), (text, undone)).await
}

/// Whether the person can solve the problem on the page: by undoing, or by reopening the task.
fn is_closed(error: &AgainError) -> bool {
    error.code() == "task_closed"
}
