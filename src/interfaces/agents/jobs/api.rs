//! JSON routes of jobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::Run;
use features::runs::queries::talk;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use kernel::{AgentId, Can, JobId, RunId};
use store::{Read, ReadExt, StoreError, cursor_key, key_cursor};
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::agents::queries::elsewhere::Elsewhere;
use features::jobs::away;
use features::jobs::model::Job;
use features::jobs::queries::upkeep::Upkeep;
use features::jobs::queries::{self, MAX_READ, Written};
use features::jobs::rules;
use features::jobs::typing::{self, TerminalInput};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/jobs",
            list.needs(Can::Read).doc(|| {
                Doc::new("Agents' background programs, newest first")
                    .query::<ListQuery>()
                    .returns::<JobPage>()
            }),
        )
        .get(
            "/jobs/now",
            now.needs(Can::Read).doc(|| {
                Doc::new(
                    "Everything running in the background: programs, sub-agents, timers, upkeep",
                )
                .returns::<GoingPage>()
            }),
        )
        .get(
            "/jobs/{name}",
            get.needs(Can::Read)
                .doc(|| Doc::new("A program by its number or ID").returns::<JobOut>()),
        )
        .get(
            "/jobs/{name}/output",
            output.needs(Can::Read).doc(|| {
                Doc::new("Output of a program; request again from `next` to follow it")
                    .query::<OutputQuery>()
                    .returns::<OutputOut>()
            }),
        )
        .post(
            "/jobs/{name}/input",
            type_in.needs(Can::Chat).doc(|| {
                Doc::new("Send input to a running program").body::<InputIn>().returns::<InputOut>()
            }),
        )
        .post(
            "/jobs/{name}/stop",
            stop.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Stop a program with all its processes; it ends within a second, or when its \
                     silent machine reconnects",
                )
                .returns::<JobOut>()
            }),
        )
}

/// Which jobs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those that run.
    #[serde(default)]
    running: Option<bool>,
    /// The cursor of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most so many, up to 100.
    #[serde(default)]
    limit: Option<usize>,
}

/// Which part of an output.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OutputQuery {
    /// The byte to begin with; without it the end of the output is given.
    #[serde(default)]
    from: Option<u64>,
    /// At most so many bytes, up to 262144.
    #[serde(default)]
    limit: Option<usize>,
}

/// What a program reads next.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct InputIn {
    /// The text as it is read, with the end of its line.
    text: String,
    /// Whether nothing more will come.
    end: bool,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
struct InputOut {
    /// How many bytes were written.
    written: usize,
}

/// A page of jobs.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the answer in the OpenAPI document")]
struct JobPage {
    /// The jobs.
    items: Vec<JobOut>,
    /// Give this back as `after` for the next page.
    next: Option<String>,
}

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
struct JobOut {
    /// Its id.
    id: JobId,
    /// Its number.
    number: u32,
    /// Whose.
    agent: AgentId,
    /// The run that began it.
    run: RunId,
    /// The command line.
    command: String,
    /// `running`, or how it ended: `completed`, `failed`, `timeout`, `killed`, `too_many_processes`,
    /// `too_much_output`, `too_much_disk`, `out_of_memory`, `lost`, `not_started`.
    state: &'static str,
    /// The same in words.
    detail: String,
    /// Seconds until it is ended.
    timeout_secs: u32,
    /// Processes that go on after its first one has ended.
    detached_children: u32,
    /// When it began.
    started_at: String,
    /// When it ended.
    ended_at: Option<String>,
    /// How many bytes are kept of what it wrote.
    output_bytes: Option<u64>,
    /// The other machine that it runs on; none where it runs on HQ's own, or has ended.
    machine: Option<MachineOut>,
}

/// The other machine that a job runs on.
#[derive(Debug, Serialize, JsonSchema)]
struct MachineOut {
    /// What it is called.
    name: String,
    /// Whether nothing is heard of it: what is asked of the job there waits until it is back.
    silent: bool,
    /// When it was last heard of, while it is silent; none before its first word.
    silent_since: Option<String>,
}

impl MachineOut {
    fn of(place: Elsewhere) -> Self {
        let since = place.heard_at.filter(|_| !place.is_linked);
        Self {
            name: place.label,
            silent: !place.is_linked,
            silent_since: since.map(|at| at.to_string()),
        }
    }
}

impl JobOut {
    fn of(ws: &Ws, read: &dyn Read, job: &Job) -> Result<Self, StoreError> {
        let running = || "running".to_owned();
        Ok(Self {
            id: job.id,
            number: job.number,
            agent: job.agent,
            run: job.run,
            command: job.command.clone(),
            state: job.outcome.as_ref().map_or("running", |outcome| outcome.word()),
            detail: job.outcome.as_ref().map_or_else(running, |outcome| outcome.describe()),
            timeout_secs: job.timeout_secs,
            detached_children: job.detached,
            started_at: job.started_at.to_string(),
            ended_at: job.ended_at.map(|at| at.to_string()),
            output_bytes: job.output.as_ref().map(|output| output.len),
            machine: away::place(ws, read, job)?.map(MachineOut::of),
        })
    }
}

/// What goes on.
#[derive(Debug, Serialize, JsonSchema)]
struct GoingPage {
    /// The oldest first.
    items: Vec<GoingOut>,
    /// What HQ itself does, such as a backup; for admins.
    upkeep: Vec<UpkeepOut>,
}

/// One thing that HQ itself does.
#[derive(Debug, Serialize, JsonSchema)]
struct UpkeepOut {
    /// A stable word, such as `backups` or `search_index`.
    kind: String,
    /// What is done, for people.
    title: String,
    /// How far it has come, for people.
    detail: String,
    /// Since when, where that is known.
    since: Option<String>,
    /// How much of it is done, where that is known.
    percent: Option<u8>,
}

/// One thing that goes on.
#[derive(Debug, Serialize, JsonSchema)]
struct GoingOut {
    /// `program`, `subagent` or `timer`.
    kind: &'static str,
    /// What it is about.
    title: String,
    /// Whose.
    agent: Option<AgentId>,
    /// The number of the job; none for a run.
    job: Option<u32>,
    /// The name of the run; of a program the one that began it.
    run: Option<String>,
    /// The run that made a sub-agent.
    parent: Option<String>,
    /// In a word, for people.
    state: String,
    /// Since when.
    since: String,
    /// When it ends, or goes on, by itself.
    until: Option<String>,
    /// Why it does not go on, in one sentence.
    why: Option<String>,
    /// The other machine that a program runs on.
    machine: Option<MachineOut>,
}

async fn now(ws: Ws, who: Person) -> Result<Json<GoingPage>, ApiError> {
    let items = ws.read(|snap| {
        let sees = |run: &Run| talk::may_see_run(snap, run, who.account, who.role);
        let all = queries::now::going(&ws, snap, &sees)?;
        let mut out = Vec::with_capacity(all.len());
        for one in all {
            let place = one.job.as_ref().map(|job| away::place(&ws, snap, job)).transpose()?;
            out.push(GoingOut {
                kind: one.kind.word(),
                title: one.title,
                agent: one.agent.map(|agent| agent.id),
                job: one.job.map(|job| job.number),
                run: one.run.map(|run| run.name()),
                parent: one.parent.map(|run| run.name()),
                state: one.state.label,
                since: one.since.to_string(),
                until: one.until.map(|until| until.to_string()),
                why: Some(one.why).filter(|why| !why.is_empty()),
                machine: place.flatten().map(MachineOut::of),
            });
        }
        Ok::<_, ApiError>(out)
    })?;
    let out = |one: Upkeep| UpkeepOut {
        kind: one.kind,
        title: one.title,
        detail: one.detail,
        since: one.since.map(|since| since.to_string()),
        percent: one.percent,
    };
    let upkeep = match who.access.may(Can::Admin) {
        true => queries::upkeep::upkeep(&ws).into_iter().map(out).collect(),
        false => Vec::new(),
    };
    Ok(Json(GoingPage { items, upkeep }))
}

/// A part of what a job wrote.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputOut {
    /// The text.
    text: String,
    /// The byte at which it begins.
    from: u64,
    /// The byte to go on from.
    next: u64,
    /// Whether more may come.
    running: bool,
    /// Why nothing is known of it now, in a sentence: its machine is silent, or does not answer.
    unknown: Option<String>,
}

/// Whether a person may see a job: the same right as for the run that started it.
pub(super) fn may_see(tx: &dyn Read, job: &Job, who: &Person) -> Result<bool, StoreError> {
    match tx.get::<Run>(job.run)? {
        Some(run) => talk::may_see_run(tx, &run, who.account, who.role),
        None => Ok(true),
    }
}

/// The job with this name, if the person may see it.
pub(super) fn find(ws: &Ws, who: &Person, name: &str) -> Result<Job, PageError> {
    let found = ws.read(|snap| -> Result<_, StoreError> {
        match queries::by_name(snap, name)? {
            Some(job) if may_see(snap, &job, who)? => Ok(Some(job)),
            _ => Ok(None),
        }
    })?;
    found.ok_or_else(|| PageError::not_found("This program"))
}

/// The job with this name as JSON, if the person may see it.
fn shown(ws: &Ws, who: &Person, name: &str) -> Result<JobOut, ApiError> {
    let job = find(ws, who, name)?;
    Ok(ws.read(|snap| JobOut::of(ws, snap, &job))?)
}

async fn list(
    ws: Ws,
    who: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<JobOut>>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = query.after.as_deref().map(|text| {
        let wrong = || ApiError::invalid("after", "use the `next` of the previous page");
        cursor_key(text).ok_or_else(wrong)
    });
    let after = after.transpose()?;
    let page = ws.read(|snap| {
        let hits = queries::all(snap, after.as_deref(), limit + 1)?;
        let more = limit < hits.len();
        let (mut items, mut next) = (Vec::new(), None);
        for hit in hits.into_iter().take(limit) {
            next = more.then(|| key_cursor(&hit.key));
            let wanted = query.running.is_none_or(|running| hit.record.is_running() == running);
            if wanted && may_see(snap, &hit.record, &who)? {
                items.push(JobOut::of(&ws, snap, &hit.record)?);
            }
        }
        Ok::<_, ApiError>(Page { items, next })
    })?;
    Ok(Json(page))
}

async fn get(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Json<JobOut>, ApiError> {
    Ok(Json(shown(&ws, &who, &name)?))
}

async fn output(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(query): Query<OutputQuery>,
) -> Result<Json<OutputOut>, ApiError> {
    let job = find(&ws, &who, &name)?;
    let running = job.is_running();
    let most = query.limit.unwrap_or(MAX_READ).clamp(1, MAX_READ);
    let seen = away::read_output(&ws, &job, query.from, most).await?;
    let silent = seen
        .silent()
        .map(|place| format!("{} is offline. Output is shown when it’s back.", place.label));
    let unknown = silent.or(Some(seen.lack).filter(|lack| !lack.is_empty()));
    let Written { text, from, next } = seen.written;
    Ok(Json(OutputOut { text, from, next, running, unknown }))
}

async fn type_in(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(given): Json<InputIn>,
) -> Result<Json<InputOut>, ApiError> {
    let job = find(&ws, &who, &name)?;
    let input = TerminalInput { text: given.text, end: given.end };
    let written = typing::send(&ws, &who, &job, input, once).await?;
    Ok(Json(InputOut { written }))
}

async fn stop(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<Json<JobOut>, ApiError> {
    let job = find(&ws, &who, &name)?;
    let stop = once.run(move |tx| rules::request_stop(tx, job.id).map(drop));
    ws.write(&who, stop).await?;
    Ok(Json(shown(&ws, &who, &name)?))
}
