//! Pausing all work, or one agent.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{Halt, HaltCause, HaltOf};
use features::runs::queries::{self, halt as reading, talk};
use features::runs::rules;
use kernel::{Can, HaltHow, RunState};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::format;
use web::html;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::chat::find;
use super::display::Look;

/// A pause of the workspace.
struct Still {
    by: String,
    at: RelTime,
    how: &'static str,
}

#[derive(Template)]
#[template(path = "runs/pause.html")]
struct Show {
    shell: Shell,
    still: Option<Still>,
    may: bool,
    /// Running work and queued work.
    works: String,
    kept: String,
    /// Runs that were working when the process crashed.
    suspects: Vec<Suspect>,
}

/// A run that was working when the process crashed.
struct Suspect {
    name: String,
    href: String,
    words: String,
    stop: Option<String>,
}

fn suspects(tx: &dyn Read, look: &Look<'_>, who: &Person) -> Result<Vec<Suspect>, StoreError> {
    let mut all = Vec::new();
    for run in reading::suspects(tx)? {
        if !talk::may_see_run(tx, &run, who.account, who.role)? {
            continue;
        }
        let agent = tx.get::<Agent>(run.agent)?.map_or_else(String::new, |agent| agent.name);
        let times = format::count(u64::from(run.crashes), "time", "times");
        let href = look.ws.url(&format!("runs/{}", run.name()));
        all.push(Suspect {
            name: run.name(),
            words: format!("by {agent} was running {times} when HQ crashed."),
            stop: look.stop(&run),
            href,
        });
    }
    Ok(all)
}

/// `GET /pause`
pub(super) async fn show(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    let (still, works, kept, suspects) = ws.read(|snap| {
        let look = Look::new(snap, &ws, &who)?;
        let still = reading::of_workspace(snap)?;
        let still = still.map(|halt| -> Result<_, StoreError> {
            let (by, at) = (reading::by(snap, &halt)?, look.time(halt.at));
            Ok(Still { by, at, how: describe(&halt) })
        });
        let live = queries::live(snap)?;
        let count = |which: &dyn Fn(&RunState) -> bool| {
            let count = live.iter().filter(|run| which(&run.state)).count();
            format::count(u64::try_from(count).unwrap_or(u64::MAX), "run", "runs")
        };
        let works = count(&|state| *state == RunState::Running);
        let kept = count(&|state| matches!(state, RunState::Queued | RunState::Waiting));
        Ok::<_, StoreError>((still.transpose()?, works, kept, suspects(snap, &look, &who)?))
    })?;
    html::page(&Show { shell, still, may: who.access.may(Can::Admin), works, kept, suspects })
}

fn describe(halt: &Halt) -> &'static str {
    match (halt.cause(), halt.how) {
        (HaltCause::Copy, _) => {
            "This workspace was restored, copied or imported, and the original may still be \
             running. Resume if this is now the live one."
        }
        (HaltCause::Crashes, _) => {
            "HQ crashed several times within minutes of starting. Check what was running, stop \
             what you don’t trust, then resume."
        }
        (HaltCause::Person, HaltHow::AfterStep) => "Runs finished their step.",
        (HaltCause::Person, HaltHow::Now) => "Runs and background programs were cut off.",
    }
}

/// How to pause.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    how: String,
}

impl Wanted {
    fn how(&self) -> Result<HaltHow, PageError> {
        self.how.parse().map_err(|_| PageError::not_found("This way of pausing"))
    }
}

/// `POST /pause`
pub(super) async fn pause(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(wanted): Form<Wanted>,
) -> Result<Response, PageError> {
    let how = wanted.how()?;
    ws.write(&who, move |tx| rules::halt::order(tx, HaltOf::Workspace, how)).await?;
    let text = "All work is paused. Messages to agents are queued.";
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url("pause"))))
}

/// `POST /resume`
pub(super) async fn resume(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let was = ws.write(&who, |tx| rules::halt::lift(tx, HaltOf::Workspace)).await?;
    let text = if was { "Work has resumed." } else { "Nothing was paused." };
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url("runs"))))
}

/// `POST /agents/{slug}/halt`
pub(super) async fn of_agent(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, PageError> {
    let how = wanted.how()?;
    let agent = find(&ws, &slug)?;
    ws.write(&who, move |tx| rules::halt::order(tx, HaltOf::Agent(agent.id), how)).await?;
    let name = ws.read(|snap| agents::called(snap, &agent))?;
    let text = match how {
        HaltHow::AfterStep => format!("{name} is paused and stops after its step."),
        HaltHow::Now => format!("{name} is paused. Its work was cut off."),
    };
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url(&format!("agents/{slug}")))))
}
