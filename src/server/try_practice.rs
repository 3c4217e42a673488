//! "Try with practice": creates an agent if there is none, and a small task for it, to demonstrate the whole cycle.
//! This module is part of `server` because it calls the rules of agents and of tasks.

use axum::response::Response;
use serde::de::IgnoredAny;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::{provision, queries as agents, rules as agent_rules};
use features::connections::queries::PRACTICE;
use features::tasks::rules as tasks;
use features::workspace::model::Settings;
use kernel::{AgentStatus, Assignee, Can};
use store::{ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::flash;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Flash;

/// Name of the agent. `Ada` remains available for the person's first own agent.
const NAME: &str = "Scout";
const TITLE: &str = "Write a short welcome note for new customers";
const DESCRIPTION: &str = "Friendly, five sentences, in plain words.";

#[must_use]
pub fn routes() -> Routes {
    Routes::new().post("/try", begin.needs(Can::Agents))
}

/// `POST /try`
async fn begin(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(IgnoredAny, once): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    let agent = match found(&ws)? {
        Some(agent) => agent,
        None => make(&ws, &who, once.also("agent")).await?,
    };
    let to = Assignee::Agent(agent.id);
    let task = once.run(move |tx: &mut WriteTx<'_>| {
        let mut new = tasks::NewTask::titled(TITLE);
        new.description = DESCRIPTION.to_owned();
        new.assignee = Some(to);
        // Independent of the agent's model: this task costs nothing.
        new.model = Some(PRACTICE.to_owned());
        tasks::create(tx, new)
    });
    let task = ws.write(&who, task).await?;
    let settings = ws.read(|snap| snap.get::<Settings>(()))?;
    let key = settings.map_or_else(|| "HQ".to_owned(), |settings| settings.task_key);
    let url = ws.url(&format!("tasks/{key}-{}", task.number));
    let name = ws.read(|snap| agents::called(snap, &agent))?;
    let text = format!("{name} is working on this in practice mode: a script, no AI.");
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&url)))
}

/// An agent that can take the task.
fn found(ws: &Ws) -> Result<Option<Agent>, StoreError> {
    let all = ws.read(|snap| agents::all(snap))?;
    Ok(all.into_iter().find(|agent| agent.status == AgentStatus::Ready))
}

async fn make(ws: &Ws, who: &Person, once: Once) -> Result<Agent, PageError> {
    let owner = who.account;
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let new = agent_rules::NewAgent {
            name: NAME.to_owned(),
            slug: String::new(),
            emoji: "🧭".to_owned(),
            description: "Tries things out".to_owned(),
            template: "default".to_owned(),
            model: agent_rules::ModelChoice::default(),
            thinking: None,
            exec: false,
            budget_micros: None,
            reports_to: Some(owner.into()),
        };
        agent_rules::create(tx, new, &provision::template_names())
    });
    let agent = ws.write(who, made).await?;
    Ok(provision::make(ws, who, agent.id).await?)
}
