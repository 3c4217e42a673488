//! What each agent does now.

use askama::Template;

use features::agents::model::AGENTS;
use features::agents::queries::{self as agents, Group, elsewhere};
use features::inbox::model::INBOX;
use features::runs::model::{RUNS, Run};
use features::runs::queries as runs;
use features::tasks::model::Task;
use features::usage::queries as usage;
use kernel::Can;
use store::{Read, ReadExt, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Dot, Face};
use web::sse::HOSTS;

use features::dashboard::queries::DashboardContext;

/// How many agents stand on the dashboard; the others are on their own page.
const SHOWN: usize = 12;
/// The order in which agents are shown, with what each group is called in the sum: who works, who is in trouble, who
/// waits, and only then who needs no look.
const RANKS: [(Group, &str); 5] = [
    (Group::Working, "working"),
    (Group::Attention, "in need of help"),
    (Group::Waiting, "waiting"),
    (Group::Idle, "idle"),
    (Group::Off, "off"),
];

/// The place of a group in that order.
pub(super) fn rank(group: Group) -> usize {
    RANKS.iter().position(|(of, _)| *of == group).unwrap_or(RANKS.len() - 1)
}

/// One agent.
struct Row {
    face: Face,
    name: String,
    href: String,
    about: String,
    dot: Dot,
    /// What it works on, with an address.
    what: Option<(String, String)>,
    detail: String,
    cost: String,
    /// The name of its run and where that is stopped, while it can be and this person may.
    stop: Option<(String, String)>,
}

/// What a run is about, how far it is, and where it is stopped.
#[derive(Default)]
struct Doing {
    what: Option<(String, String)>,
    detail: String,
    stop: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "dashboard/_fleet.html")]
pub(super) struct Fleet {
    live: Live,
    rows: Vec<Row>,
    sum: String,
    working: bool,
    /// How many more there are.
    more: usize,
    all: String,
    anew: Option<String>,
}

pub(super) fn read(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Fleet, StoreError> {
    let mut groups = [0_u64; RANKS.len()];
    let mut found = Vec::with_capacity(scene.agents.len());
    for agent in &scene.agents {
        let activity = agents::activity(tx, agent, scene.now)?;
        let at = rank(activity.group);
        groups[at] += 1;
        found.push((at, agent, activity));
    }
    found.sort_by_key(|(at, ..)| *at);
    let more = found.len().saturating_sub(SHOWN);
    let mut rows = Vec::new();
    // What somebody works on and what they cost is read of those that are shown alone.
    for (_, agent, activity) in found.into_iter().take(SHOWN) {
        let works = activity.group == Group::Working;
        let Doing { what, detail, stop } = match &activity.run {
            Some(run) => doing(tx, scene, run, &activity.detail)?,
            None => Doing { detail: resting(tx, scene, agent.id, &activity)?, ..Doing::default() },
        };
        rows.push(Row {
            face: scene.called.face(agent).working(works.into()),
            name: scene.called.name(agent),
            href: scene.ws.url(&format!("agents/{}", agent.slug)),
            about: agent.description.clone(),
            dot: Dot::new(activity.state, activity.label),
            what,
            detail,
            cost: format::money(usage::agent_day(tx, agent.id, scene.now)?),
            stop,
        });
    }
    let counted = groups.iter().zip(RANKS).filter(|(n, _)| 0 < **n);
    let sum = counted.map(|(n, (_, word))| format!("{n} {word}")).collect::<Vec<_>>().join(" · ");
    let live = Live::new(scene.ws.url(""));
    Ok(Fleet {
        live: live.table(AGENTS.name).table(RUNS.name).table(INBOX.name).table(HOSTS),
        rows,
        sum,
        working: 0 < groups[rank(Group::Working)],
        more,
        all: scene.ws.url("agents"),
        anew: scene.who.access.may(Can::Agents).then(|| scene.ws.url("agents/new")),
    })
}

/// What an agent's live run is about, and how far it is.
fn doing(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    run: &Run,
    detail: &str,
) -> Result<Doing, StoreError> {
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let title = match task {
        Some(task) => task.title,
        None => runs::talk::title_for(tx, run, scene.who.account)?,
    };
    let href = scene.ws.url(&format!("runs/{}", run.name()));
    let mut facts = Vec::new();
    if !detail.is_empty() {
        facts.push(kernel::text::ellipsis(detail, 80));
    }
    if let Some(place) = elsewhere::silent(scene.ws, tx, run.agent)? {
        facts.push(format!("on {}", place.silent(scene.now, &scene.zone)));
    }
    if 0 < run.steps {
        facts.push(format!("step {}", run.steps));
    }
    if let Some(began) = run.started_at {
        let ms = scene.now.as_millisecond() - began.as_millisecond();
        let length = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        facts.push(format!("{} in", format::duration(length)));
    }
    let seen = runs::talk::may_see_run(tx, run, scene.who.account, scene.who.role)?;
    if !seen {
        facts.insert(0, "in a conversation".to_owned());
    }
    let may = seen && run.can_stop() && scene.who.access.may(Can::Chat);
    let stop = may.then(|| (run.name(), format!("{href}/stop")));
    Ok(Doing { what: seen.then_some((title, href)), detail: facts.join(" · "), stop })
}

/// What an agent without a live run last did.
fn resting(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    agent: kernel::AgentId,
    activity: &agents::Activity,
) -> Result<String, StoreError> {
    let detail = activity.detail_at(scene.now, &scene.zone);
    if !detail.is_empty() {
        return Ok(kernel::text::ellipsis(&detail, 120));
    }
    if 0 < activity.open {
        let open = u64::try_from(activity.open).unwrap_or(u64::MAX);
        return Ok(format!("{} to do", format::count(open, "thing", "things")));
    }
    let last = runs::of_agent(tx, agent, None, 1)?.into_iter().next();
    Ok(match last.and_then(|hit| hit.record.ended_at) {
        Some(at) => format!("last worked {}", scene.time(at).text),
        None => "no work yet".to_owned(),
    })
}
