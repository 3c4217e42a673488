//! `hq demo`: the whole loop in a temporary folder, with practice and without a key. With `--seed` a
//! company to look at.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use app::Ws;
use app::config::Config;
use features::agents::model::Agent;
use features::agents::{provision, rules as agents};
use features::deliverables::model::{BY_TASK, Content, Deliverable, Version};
use features::runs::model::{CallStatus, EventKind, Run, SESSION_EVENTS, SessionEvent};
use features::tasks::{model::Task, rules as tasks};
use features::workspace::model::{Member, Settings};
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::text::ellipsis;
use kernel::{AccountId, Actor, Assignee, Cause, Event, Via};
use net::message::{Method, Policy, Request};
use providers::model::Part;
use server::{Parts, Running};
use store::{Entry, Range, ReadExt, StoreError};

use super::seed::SeedSize;
use super::{Common, OK, USAGE, complain, say};

/// How long the demo may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `hq demo`.
#[derive(Args)]
pub struct Demo {
    /// Keep the temporary folder and print its path
    #[arg(long)]
    keep: bool,
    /// Instead, create a demo company in the data folder, which must be empty
    #[arg(long, value_enum, value_name = "SIZE", conflicts_with = "keep")]
    seed: Option<SeedSize>,
    /// With --seed: the same number creates the same company
    #[arg(long, value_name = "N", default_value_t = 1, requires = "seed")]
    number: u64,
}

/// Runs the demo; gives the exit code.
pub fn run(common: &Common, demo: &Demo) -> u8 {
    if let Some(size) = demo.seed {
        return super::seed::run(common, size, demo.number);
    }
    let folder = Config::scratch("hq-demo");
    let outcome = match super::serve::runtime() {
        Ok(runtime) => runtime.block_on(play(common.json, folder.clone())),
        Err(error) => Err(error.into()),
    };
    if demo.keep {
        let start = format!("hq serve --data {}", folder.display());
        tell(common.json, &json!({"kept": folder}), &format!("\nKept. To explore it: {start}"));
    } else if let Err(error) = fs::remove_dir_all(&folder) {
        complain(&format!("couldn't remove {}: {error}", folder.display()));
    }
    match outcome {
        Ok(()) => OK,
        Err(error) => {
            complain(&format!("the demo failed: {error:#}"));
            USAGE.max(1)
        }
    }
}

/// One line for people, or one JSON value for programs.
fn tell(as_json: bool, value: &Value, line: &str) {
    say(&if as_json { value.to_string() } else { line.to_owned() });
}

async fn play(as_json: bool, folder: PathBuf) -> anyhow::Result<()> {
    fs::create_dir_all(&folder)?;
    let mut config = Config::for_folder(&folder);
    config.practice_pause = Duration::from_millis(2);
    let running = server::start(config, Parts::default()).await?;
    let (ws, owner) = found(&running).await?;
    tell(as_json, &json!({"step": "workspace", "slug": ws.slug}), "1. A workspace: Demo Company");
    let who = (Actor::Person { account: owner, via: Via::Socket { uid: 0 } }, Cause::Setup);
    let agent = make_agent(&ws, &who).await?;
    let line = format!(
        "2. An agent: {} {}, created from the template \"default\"",
        agent.emoji, agent.name
    );
    tell(as_json, &json!({"step": "agent", "slug": agent.slug}), &line);
    let mut feed = ws.store.subscribe();
    let task = make_task(&ws, &who, &agent).await?;
    let key = ws.read(|snap| snap.get::<Settings>(()))?;
    let name = format!("{}-{}", key.map_or_else(String::new, |s| s.task_key), task.number);
    tell(
        as_json,
        &json!({"step": "task", "name": name, "title": task.title}),
        &format!(
            "3. A task for {}: {name} \"{}\"\n4. The run (practice: no AI involved)",
            agent.name, task.title
        ),
    );
    let watched = tokio::time::timeout(PATIENCE, watch(as_json, &ws, &mut feed)).await;
    watched.map_err(|_| anyhow::anyhow!("no progress for too long"))??;
    show_deliverable(as_json, &ws, &task)?;
    running.stop().await;
    Ok(())
}

/// Sets HQ up through its one-time link, as a person would.
async fn found(running: &Running) -> anyhow::Result<(Ws, AccountId)> {
    let link = running.setup_link.as_deref().context("no set-up link")?;
    let token = link.rsplit('=').next().unwrap_or_default();
    let form = [
        ("token", token),
        ("name", "Demo"),
        ("email", "demo@example.com"),
        ("password", "violet kayak under seven bridges"),
        ("workspace", "Demo Company"),
        ("zone", "UTC"),
    ];
    let body = serde_urlencoded::to_string(form)?;
    let request = Request::new(Policy::Trusted, Method::Post, format!("{}/setup", running.url))
        .redirects(0)
        .body("application/x-www-form-urlencoded", body);
    let status = running.app.http.request(request).await?.status;
    let ws = running.app.workspaces.read().first().cloned();
    let ws = ws.with_context(|| format!("set-up was answered with {status}"))?;
    let members: Vec<Member> = ws.read(|snap| snap.list(&Range::all().limit(1)))?;
    let owner = members.first().context("the workspace has no owner")?.account;
    Ok((ws, owner))
}

async fn make_agent(ws: &Ws, who: &(Actor, Cause)) -> anyhow::Result<Agent> {
    let owner = who.0.account();
    let agent = ws
        .write(who, move |tx| {
            let new = agents::NewAgent {
                name: "Ada".to_owned(),
                slug: String::new(),
                emoji: "🔭".to_owned(),
                description: "Tries things out".to_owned(),
                template: "default".to_owned(),
                model: agents::ModelChoice::default(),
                thinking: None,
                exec: false,
                budget_micros: None,
                reports_to: owner.map(Into::into),
            };
            agents::create(tx, new, &provision::template_names())
        })
        .await?;
    Ok(provision::make(ws, who, agent.id).await?)
}

async fn make_task(ws: &Ws, who: &(Actor, Cause), agent: &Agent) -> anyhow::Result<Task> {
    let to = Assignee::Agent(agent.id);
    let made = ws.write(who, move |tx| {
        let mut new = tasks::NewTask::titled("Write a short welcome note for new customers");
        new.description = "Friendly, five sentences, in plain words.".to_owned();
        new.assignee = Some(to);
        tasks::create(tx, new)
    });
    Ok(made.await?)
}

/// Shows each step as its entry is committed, until the run has ended.
async fn watch(
    as_json: bool,
    ws: &Ws,
    feed: &mut tokio::sync::broadcast::Receiver<Arc<Entry>>,
) -> anyhow::Result<()> {
    loop {
        let entry = match feed.recv().await {
            Ok(entry) => entry,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => anyhow::bail!("the server ended"),
        };
        for change in entry.changes.iter().filter(|c| c.table == SESSION_EVENTS.number) {
            let Some(id) = decode(&change.key) else { continue };
            let event = ws.read(|snap| snap.get::<SessionEvent>(id))?;
            if let Some(line) = event.as_ref().and_then(|event| line_of(&event.kind)) {
                tell(as_json, &json!({"step": "event", "text": line}), &format!("   · {line}"));
            }
        }
        for event in &entry.events {
            if let Event::RunEnded { run, outcome, .. } = event {
                let run = ws.read(|snap| snap.get::<Run>(*run))?;
                let name = run.map_or_else(String::new, |run| run.name());
                let line = format!("   · {name} ended: {outcome}");
                tell(as_json, &json!({"step": "ended", "run": name, "outcome": outcome}), &line);
                anyhow::ensure!(outcome == "done", "the run ended as {outcome}");
                return Ok(());
            }
        }
    }
}

/// What a person is told of an event; nothing for bookkeeping.
fn line_of(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::RunStarted { model, .. } => Some(format!("started with {model}")),
        EventKind::Assistant { parts, .. } => {
            let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
            let text = parts.into_iter().find_map(|part| match part {
                Part::Text { text } => Some(text),
                _ => None,
            });
            text.map(|text| format!("\"{}\"", ellipsis(text.trim(), 90)))
        }
        EventKind::ToolFinished { name, status, result, .. } => {
            let word = if *status == CallStatus::Ok { "ok" } else { "error" };
            let first = result.head().lines().next().unwrap_or_default();
            Some(format!("{name}: {word} · {}", ellipsis(first, 70)))
        }
        EventKind::Committed { commit, files } => {
            Some(format!("committed {files} file(s) as {}", &commit[..commit.len().min(8)]))
        }
        _ => None,
    }
}

fn show_deliverable(as_json: bool, ws: &Ws, task: &Task) -> anyhow::Result<()> {
    let range = Range::prefix(KeyBuf::of(&task.id));
    let delivered = ws.read(|snap| {
        let all: Vec<Deliverable> = snap.scan(BY_TASK, &range)?;
        let first = all.into_iter().next();
        let version = match &first {
            Some(work) => snap.get::<Version>(work.version)?,
            None => None,
        };
        Ok::<_, StoreError>(first.zip(version))
    })?;
    let Some((work, version)) = delivered else {
        anyhow::bail!("the run delivered nothing");
    };
    let text = match &version.content {
        Content::Text(text) | Content::Url(text) | Content::Page { text, .. } => text.clone(),
        Content::File { name, .. } => name.clone(),
    };
    let value =
        json!({"step": "delivered", "title": work.title, "state": work.state, "text": text});
    let quoted: String = text.lines().map(|line| format!("   | {line}\n")).collect();
    let line = format!(
        "5. Delivered, {}: \"{}\"\n{quoted}",
        work.state.label().to_lowercase(),
        work.title
    );
    tell(as_json, &value, line.trim_end());
    Ok(())
}
