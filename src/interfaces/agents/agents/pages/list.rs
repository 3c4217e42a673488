//! The list of agents with their activity and cost.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self, Activity, Called, Group, elsewhere};
use features::agents::{templates, upgrade};
use features::connections::queries::PRACTICE;
use features::dashboard::queries::{DashboardContext, needs};
use features::runs::queries as runs;
use features::runs::queries::today::Created;
use features::tasks::queries as tasks;
use features::usage::queries as usage;
use features::workspace::model::Settings;
use kernel::{AgentStatus, Can, Thinking, Timestamp};
use store::{ReadExt, Snap, StoreError};
use web::error::PageError;
use web::extract::Query;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Dot, Face, Tab, Tone, Working, percent};
use web::session::Person;
use web::shell::Shell;
use web::sse::HOSTS;

use super::{When, chart, line};

struct Row {
    id: String,
    face: Face,
    name: String,
    href: String,
    about: String,
    dot: Dot,
    what: String,
    title: String,
    meta: String,
    act: Option<Act>,
    model: String,
    thinking: String,
    spent: String,
    limit: String,
    percent: u8,
    tone: Tone,
    manager: Option<Face>,
    /// Number of messages to the reader that are unread.
    unread: u64,
    dim: bool,
    group: Group,
    team: (usize, &'static str),
    /// Heading above the row where a team begins: name and number of agents.
    band: Option<(&'static str, usize)>,
}

/// The primary action for an agent.
struct Act {
    label: &'static str,
    href: String,
    posts: bool,
}

pub(super) struct Filter {
    pub label: &'static str,
    pub href: String,
    pub dot: &'static str,
    pub count: usize,
    pub current: bool,
}

/// A slice of the cost bar, in thousandths.
struct Slice {
    colour: u8,
    at: u32,
    width: u32,
    title: String,
}

struct Hour {
    at: u32,
    top: u32,
    height: u32,
    is_now: bool,
}

struct Summary {
    spent: String,
    budget: String,
    bar_label: String,
    slices: Vec<Slice>,
    runs_today: String,
    /// What is counted: "runs today".
    runs_noun: &'static str,
    /// Address of the list with exactly these runs.
    runs_href: String,
    hours: Vec<Hour>,
    need_you: String,
    need_text: &'static str,
    need_href: String,
    open_items: usize,
    /// Address of the list of these items.
    open_href: String,
    open_text: String,
}

struct Fleet {
    live: Live,
    month: String,
    filters: Vec<Filter>,
    rows: Vec<Row>,
    summary: Summary,
    total: usize,
    filtered: bool,
    archived: usize,
    manages: bool,
    list_href: String,
    new_href: String,
    archive_href: String,
    /// Notice about newer template versions; empty if there are none.
    upgrades: String,
    upgrades_href: String,
    switch: Vec<Tab>,
}

#[derive(Template)]
#[template(path = "agents/list.html")]
struct ListPage {
    shell: Shell,
    fleet: Fleet,
}

#[derive(Template)]
#[template(path = "agents/fleet.html")]
struct FleetPart {
    fleet: Fleet,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentsPageParams {
    /// The group to show.
    pub state: String,
    /// `chart`, or empty for the list.
    view: String,
}

pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(params): Query<AgentsPageParams>,
) -> Result<Response, PageError> {
    if params.view == "chart" {
        return chart::show(&ws, &who, shell, &hx, &params);
    }
    let when = When::of(&ws, &who);
    let fleet =
        ws.read_blocking(move |ws| ws.read(|snap| fleet(ws, &who, snap, &when, &params))).await?;
    if hx.wants("fleet") {
        return html::fragment(&FleetPart { fleet });
    }
    html::page(&ListPage { shell, fleet })
}

fn fleet(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    when: &When,
    params: &AgentsPageParams,
) -> Result<Fleet, StoreError> {
    let wanted = Group::ALL.into_iter().find(|group| group.word() == params.state);
    let archived = queries::archived(snap)?;
    let in_archive = params.state == "archived";
    let agents = if in_archive { archived.clone() } else { queries::all(snap)? };
    let mut rows = Vec::with_capacity(agents.len());
    let mut costs = Vec::with_capacity(agents.len());
    let mut open = Vec::with_capacity(agents.len());
    let unread = runs::marks::of_member(snap, who.account)?;
    let called = Called::among(&agents);
    for agent in &agents {
        let activity = queries::activity_seen(ws, snap, agent, when.now)?;
        open.push((activity.group, activity.open));
        let spent = usage::agent_month(snap, agent.id, when.now)?;
        costs.push((agent, spent));
        let row = row(ws, who, snap, when, (agent, &called), activity, spent)?;
        rows.push(Row { unread: unread.with(agent.id), ..row });
    }
    let summary = summary(ws, snap, (who, when), (&costs, &called), &open)?;
    let list_href = ws.url("agents");
    let groups: Vec<Group> = rows.iter().map(|row| row.group).collect();
    let filters = filters_of(&list_href, "", &groups, wanted, in_archive);
    let total = rows.len();
    if let Some(wanted) = wanted {
        rows.retain(|row| row.group == wanted);
    }
    // Within a team, working agents come first and switched-off agents last. The sort is stable, so names keep their
    // order.
    rows.sort_by_key(|row| (row.team, row.group));
    band(&mut rows);
    let at = match params.state.as_str() {
        "" => list_href.clone(),
        word => format!("{list_href}?state={word}"),
    };
    let live = Live::new(at).table("agents").table("runs").table("inbox").table("usage");
    let live = live.table(HOSTS);
    Ok(Fleet {
        live: runs::marks::heard(live),
        month: when.month(),
        filters,
        rows,
        summary,
        total,
        filtered: wanted.is_some() || in_archive,
        archived: archived.len(),
        manages: who.access.may(Can::Agents),
        new_href: ws.url("agents/new"),
        archive_href: format!("{list_href}?state=archived"),
        upgrades: behind(ws, &agents),
        upgrades_href: format!("{list_href}/upgrades"),
        switch: switch(&list_href, false),
        list_href,
    })
}

/// Notice of how many agents have a template with a newer version.
fn behind(ws: &Ws, agents: &[Agent]) -> String {
    let behind = upgrade::behind(ws, agents).unwrap_or_else(|error| {
        tracing::warn!("versions of templates cannot be told: {error}");
        0
    });
    match behind {
        0 => String::new(),
        1 => "The template of an agent has a newer version.".to_owned(),
        many => format!("The templates of {many} agents have newer versions."),
    }
}

/// Marks where teams begin; a single team needs no marks.
fn band(rows: &mut [Row]) {
    let teams: Vec<_> = rows.iter().map(|row| row.team).collect();
    if teams.first() == teams.last() {
        return;
    }
    let mut before = None;
    for row in rows {
        if before != Some(row.team) {
            let count = teams.iter().filter(|team| **team == row.team).count();
            row.band = Some((row.team.1, count));
        }
        before = Some(row.team);
    }
}

/// Tabs that switch between list and chart.
pub(super) fn switch(href: &str, is_chart: bool) -> Vec<Tab> {
    let tab = |label, icon, href: String, current| Tab { icon, ..Tab::new(label, href, current) };
    vec![
        tab("Fleet", "list", href.to_owned(), !is_chart),
        tab("Org chart", "chart", format!("{href}?view=chart"), is_chart),
    ]
}

/// The groups with their numbers of agents, as links to filtered views.
pub(super) fn filters_of(
    href: &str,
    view: &str,
    agents: &[Group],
    wanted: Option<Group>,
    in_archive: bool,
) -> Vec<Filter> {
    let view = if view.is_empty() { String::new() } else { format!("view={view}") };
    let all = Filter {
        label: "All",
        href: if view.is_empty() { href.to_owned() } else { format!("{href}?{view}") },
        dot: "",
        count: agents.len(),
        current: wanted.is_none() && !in_archive,
    };
    let and = if view.is_empty() { "" } else { "&" };
    let groups = Group::ALL.into_iter().map(|group| Filter {
        label: group.label(),
        href: format!("{href}?{view}{and}state={}", group.word()),
        dot: group.dot(),
        count: agents.iter().filter(|one| **one == group).count(),
        current: wanted == Some(group),
    });
    std::iter::once(all).chain(groups).collect()
}

fn row(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    when: &When,
    (agent, called): (&Agent, &Called),
    activity: Activity,
    spent: i64,
) -> Result<Row, StoreError> {
    let href = ws.url(&format!("agents/{}", agent.slug));
    let chosen = super::chosen(snap, agent)?;
    let group = activity.group;
    let working = if group == Group::Working { Working::Yes } else { Working::No };
    let (what, title, meta) = now_words((ws, who), snap, when, (agent, &activity))?;
    let manager = line::face(snap, called, agent.reports_to)?;
    let (limit, percent, tone) = budget(agent, spent);
    Ok(Row {
        id: agent.slug.clone(),
        face: called.face(agent).working(working),
        name: called.name(agent),
        about: kernel::text::ellipsis(&agent.description, 60),
        dot: Dot::new(activity.state, &activity.label),
        what,
        title,
        meta,
        act: who.access.may(Can::Agents).then(|| act(ws, agent, &activity, &href)).flatten(),
        model: if chosen.model == PRACTICE { "Practice (no AI)".to_owned() } else { chosen.model },
        thinking: match chosen.thinking {
            Thinking::None => "no thinking".to_owned(),
            level => format!("thinking {}", level.label().to_lowercase()),
        },
        spent: format::money(spent),
        limit,
        percent,
        tone,
        manager,
        unread: 0,
        dim: group == Group::Off,
        group,
        team: templates::team(&agent.team),
        band: None,
        href,
    })
}

/// Budget use for a bar: text of the limit, share in percent, colour.
pub(super) fn budget(agent: &Agent, spent: i64) -> (String, u8, Tone) {
    let Some(limit) = agent.budget_micros else { return ("no limit".to_owned(), 0, Tone::Brand) };
    let share = percent(spent.max(0).unsigned_abs(), limit.max(1).unsigned_abs());
    let tone = match share {
        100.. => Tone::Danger,
        share if agent.budget_soft_pct <= share => Tone::Warn,
        _ => Tone::Brand,
    };
    (format!("of {}", format::limit(limit)), share, tone)
}

/// The text after the state ("on <title>"), and the line below.
fn now_words(
    (ws, who): (&Ws, &Person),
    snap: &Snap<'_>,
    when: &When,
    (agent, activity): (&Agent, &Activity),
) -> Result<(String, String, String), StoreError> {
    let mut meta = Vec::new();
    let mut title = String::new();
    if let Some(run) = &activity.run {
        if runs::talk::may_see_run(snap, run, who.account, who.role)? {
            title = runs::talk::title_for(snap, run, who.account)?;
        }
        if let Some(task) = run.task
            && let Ok(task) = tasks::get(snap, task)
        {
            meta.push(tasks::name(snap, task.number)?);
        }
        if let Some(place) = elsewhere::silent(ws, snap, agent.id)? {
            meta.push(format!("on {}", place.silent(when.now, &when.zone)));
        }
        if activity.group == Group::Working {
            meta.push(format!("step {}", run.steps + 1));
            if let Some(started) = run.started_at {
                meta.push(took(started, when.now));
            }
        }
    }
    let detail = activity.detail_at(when.now, &when.zone);
    meta.extend((!detail.is_empty()).then_some(detail));
    if activity.group != Group::Idle && activity.open > 1 {
        meta.push(format!("{} wait", format::count(activity.open as u64, "item", "items")));
    }
    let what = match activity.state {
        "working" if title.is_empty() => "in a conversation",
        "working" => "on",
        _ if !title.is_empty() => "with",
        _ => "",
    };
    if title.is_empty() && activity.state == "idle" {
        let last = runs::of_agent(snap, agent.id, None, 1)?.into_iter().next();
        let words = match last.and_then(|hit| hit.record.ended_at) {
            Some(at) => format!("Last run ended {}", when.at(at).text),
            None => "No runs yet".to_owned(),
        };
        meta.push(words);
    }
    Ok((what.to_owned(), title, meta.join(", ")))
}

/// Formats the time from `from` to `to`.
pub(super) fn took(from: Timestamp, to: Timestamp) -> String {
    let millis = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
    format::duration(std::time::Duration::from_millis(millis.unsigned_abs()))
}

fn act(ws: &Ws, agent: &Agent, activity: &Activity, href: &str) -> Option<Act> {
    let posts =
        |label, tail: &str| Some(Act { label, href: format!("{href}/{tail}"), posts: true });
    let goes =
        |label, tail: &str| Some(Act { label, href: format!("{href}/{tail}"), posts: false });
    if agent.archived_at.is_some() {
        return posts("Restore", "restore");
    }
    match agent.status {
        AgentStatus::Paused => posts("Resume", "resume"),
        AgentStatus::Error => posts("Retry", "retry"),
        _ if activity.state == "over_budget" => goes("Raise limit", "settings"),
        _ => {
            let item = activity.stuck.as_ref()?;
            let href = ws.url(&format!("inbox/{}/retry", item.id));
            Some(Act { label: "Retry", href, posts: true })
        }
    }
}

fn summary(
    ws: &Ws,
    snap: &Snap<'_>,
    (who, when): (&Person, &When),
    (costs, called): (&[(&Agent, i64)], &Called),
    open: &[(Group, usize)],
) -> Result<Summary, StoreError> {
    let spent = usage::month_total(snap, when.now)?;
    let limits: i64 = costs.iter().filter_map(|(agent, _)| agent.budget_micros).sum();
    let limit = snap.get::<Settings>(())?.and_then(|s| s.budget_micros).unwrap_or(limits);
    let budget = match limit {
        0 => format!("in {}, no limit", when.month()),
        limit => format!("in {}, of {} within limits", when.month(), format::limit(limit)),
    };
    let (slices, bar_label) = slices(costs, called, limit);
    let today = Created::since(snap, when.midnight(), (who.account, who.role))?;
    let needs = needs::read(snap, &DashboardContext::new(snap, ws, who)?)?.count;
    let waits = needs.describe().is_some();
    Ok(Summary {
        spent: format::money(spent),
        budget,
        bar_label,
        slices,
        runs_today: today.short(),
        runs_noun: today.noun(),
        runs_href: ws.url("runs?created=today"),
        hours: by_hour(&today, when),
        need_you: if waits { needs.short() } else { "0".to_owned() },
        need_text: if waits { "All on the dashboard" } else { "Nothing needs you" },
        need_href: if waits { ws.url("") } else { String::new() },
        open_items: open.iter().map(|(_, count)| count).sum(),
        open_href: ws.url("inbox"),
        open_text: begins(open),
    })
}

/// Summarises the open items: how many wait for agents that start nothing, by group.
fn begins(open: &[(Group, usize)]) -> String {
    let held = [
        (Group::Off, "is off"),
        (Group::Attention, "needs attention"),
        (
            Group::Waiting,
            "is \
            waiting",
        ),
    ];
    let parts = held.into_iter().filter_map(|(group, does)| {
        let with = open.iter().filter(|(one, _)| *one == group);
        let count: usize = with.map(|(_, count)| count).sum();
        (0 < count).then(|| format!("{count} for an agent that {does}"))
    });
    let parts: Vec<String> = parts.collect();
    match open.iter().map(|(_, count)| count).sum::<usize>() {
        0 => "All inboxes are empty".to_owned(),
        _ if !parts.is_empty() => parts.join(", "),
        1 => "It starts automatically".to_owned(),
        _ => "They start automatically".to_owned(),
    }
}

/// Chart colour of series `n`, 1 to 8; neighbours never share one.
fn series(n: usize) -> u8 {
    u8::try_from(n % 8).unwrap_or(0) + 1
}

/// The cost bar by agent, scaled to the limit if there is one.
fn slices(costs: &[(&Agent, i64)], called: &Called, limit: i64) -> (Vec<Slice>, String) {
    let mut costs: Vec<(&Agent, i64)> = costs.iter().copied().filter(|(_, n)| *n > 0).collect();
    costs.sort_by_key(|(agent, micros)| (std::cmp::Reverse(*micros), agent.id));
    let spent: i64 = costs.iter().map(|(_, micros)| micros).sum();
    let whole = limit.max(spent).max(1);
    let place =
        |micros: i64| u32::try_from(i128::from(micros) * 1000 / i128::from(whole)).unwrap_or(0);
    let mut before = 0;
    let mut slices = Vec::with_capacity(costs.len());
    for (n, (agent, micros)) in costs.iter().enumerate() {
        let at = place(before);
        before += micros;
        let title = format!("{} {}", called.name(agent), format::money(*micros));
        slices.push(Slice { colour: series(n), at, width: place(before) - at, title });
    }
    let label = match slices.is_empty() {
        true => "No spend yet".to_owned(),
        false => slices.iter().map(|s| s.title.as_str()).collect::<Vec<_>>().join(", "),
    };
    (slices, label)
}

/// Counts of today's runs per two hours.
fn by_hour(today: &Created, when: &When) -> Vec<Hour> {
    let start = when.midnight();
    let mut counts = [0_u32; 12];
    for run in &today.runs {
        let pair = (run.created_at.as_second() - start.as_second()) / 7_200;
        counts[usize::try_from(pair).unwrap_or(0).min(11)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let hour = when.now.to_zoned(when.zone.clone()).hour();
    let present = usize::try_from(hour / 2).unwrap_or(0);
    let hours = counts.iter().enumerate().map(|(n, count)| {
        let height = (22 * count / most).max(2);
        let n32 = u32::try_from(n).unwrap_or(0);
        Hour { at: n32 * 20, top: 24 - height, height, is_now: n == present }
    });
    hours.collect()
}

#[cfg(test)]
mod tests {
    use super::{Group, begins};

    #[test]
    fn items_that_begin_nothing_are_told_by_what_holds_them() {
        let all = [(Group::Idle, 1), (Group::Off, 2), (Group::Waiting, 1), (Group::Attention, 0)];
        assert_eq!(begins(&all), "2 for an agent that is off, 1 for an agent that is waiting");
        assert_eq!(begins(&all[..1]), "It starts automatically");
        assert_eq!(begins(&[(Group::Idle, 2), (Group::Working, 1)]), "They start automatically");
        assert_eq!(begins(&all[3..]), "All inboxes are empty");
    }
}
