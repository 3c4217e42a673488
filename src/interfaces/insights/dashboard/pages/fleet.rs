//! Current activity of each agent.

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

/// Maximum number of agents on the dashboard.
const SHOWN: usize = 12;
/// Agent groups in display order: working first, then trouble, waiting, and finally those that need
/// no attention.
const RANKS: [Group; 5] =
    [Group::Working, Group::Attention, Group::Waiting, Group::Idle, Group::Off];

/// Position of a group in that order.
pub(super) fn rank(group: Group) -> usize {
    RANKS.iter().position(|of| *of == group).unwrap_or(RANKS.len() - 1)
}

/// An agent.
struct Row {
    face: Face,
    name: String,
    href: String,
    about: String,
    dot: Dot,
    /// Title and address of its work.
    what: Option<(String, String)>,
    detail: String,
    cost: String,
    /// Name of the run and address of "stop", if the run can be stopped and this person may.
    stop: Option<(String, String)>,
}

/// Subject, progress and stop address of a run.
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
    /// The day of the costs.
    day: &'static str,
    /// Number of agents not shown.
    more: usize,
    all: String,
    anew: Option<String>,
}

pub(super) fn read(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Fleet, StoreError> {
    let mut groups = [0_u64; RANKS.len()];
    let mut found = Vec::with_capacity(scene.agents.len());
    for agent in &scene.agents {
        let activity = agents::activity_seen(scene.ws, tx, agent, scene.now)?;
        let at = rank(activity.group);
        groups[at] += 1;
        found.push((at, agent, activity));
    }
    found.sort_by_key(|(at, ..)| *at);
    let more = found.len().saturating_sub(SHOWN);
    let mut rows = Vec::new();
    // Work and cost are read only for the agents shown.
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
    let words = counted.map(|(n, group)| match (*n, group) {
        (1, Group::Attention) => "1 needs attention".to_owned(),
        (n, Group::Attention) => format!("{n} need attention"),
        (n, group) => format!("{n} {}", group.label().to_lowercase()),
    });
    let sum = words.collect::<Vec<_>>().join(" · ");
    let live = Live::new(scene.ws.url(""));
    Ok(Fleet {
        live: live.table(AGENTS.name).table(RUNS.name).table(INBOX.name).table(HOSTS),
        rows,
        sum,
        day: scene.spend_day(),
        working: 0 < groups[rank(Group::Working)],
        more,
        all: scene.ws.url("agents"),
        anew: scene.who.access.may(Can::Agents).then(|| scene.ws.url("agents/new")),
    })
}

/// Subject and progress of an agent's live run.
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
        facts.push(format::duration(length));
    }
    let seen = runs::talk::may_see_run(tx, run, scene.who.account, scene.who.role)?;
    if !seen {
        facts.insert(0, "in a conversation".to_owned());
    }
    let may = seen && run.can_stop() && scene.who.access.may(Can::Chat);
    let stop = may.then(|| (run.name(), format!("{href}/stop")));
    Ok(Doing { what: seen.then_some((title, href)), detail: facts.join(" · "), stop })
}

/// The last activity of an agent without a live run.
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
        Some(at) => format!("last active {}", scene.time(at).text),
        None => "no runs yet".to_owned(),
    })
}
