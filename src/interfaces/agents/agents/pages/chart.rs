//! The org chart of agents: reporting lines from the people down, and current delegations.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self, Activity, Called, Group, lines};
use features::tasks::model::Task;
use features::tasks::queries::standing::{self, Standing};
use features::tasks::queries::{self as tasks, list, people};
use features::usage::queries as usage;
use features::workspace::model::Member;
use kernel::text::ellipsis;
use kernel::{AccountId, AgentId, Assignee, Can, Manager};
use store::{Range, ReadExt, Snap, StoreError};
use web::error::PageError;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Dot, Face, Tab, Working};
use web::session::Person;
use web::shell::Shell;

use super::When;
use super::list::{AgentsPageParams, Filter, filters_of, switch};

/// How many open tasks of an agent are searched for delegations.
const LOOKED_AT: usize = 50;
/// Maximum number of delegations shown.
const HANDED: usize = 9;

/// A box of the chart. The tree is a flat list: each box states whether a list opens after it and how many close.
struct Node {
    id: String,
    face: Face,
    name: String,
    href: String,
    about: String,
    spent: String,
    now: Option<Dot>,
    is_root: bool,
    dim: bool,
    /// Number of agents below it.
    below: usize,
    /// Whether a list of the agents below it follows.
    opens: bool,
    /// Number of lists that end after it.
    closes: usize,
}

/// A delegated task.
struct Handed {
    from: Face,
    to: Face,
    title: String,
    href: String,
    words: String,
    dot: Dot,
}

struct Chart {
    live: Live,
    filters: Vec<Filter>,
    archived: usize,
    archive_href: String,
    switch: Vec<Tab>,
    nodes: Vec<Node>,
    handed: Vec<Handed>,
    manages: bool,
    new_href: String,
}

#[derive(Template)]
#[template(path = "agents/chart.html")]
struct ChartPage {
    shell: Shell,
    fleet: Chart,
}

#[derive(Template)]
#[template(path = "agents/org.html")]
struct ChartPart {
    fleet: Chart,
}

pub(super) fn show(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    hx: &Hx,
    params: &AgentsPageParams,
) -> Result<Response, PageError> {
    let when = When::of(ws, who);
    let fleet = ws.read(|snap| chart(ws, who, snap, &when, params))?;
    if hx.wants("fleet") {
        return html::fragment(&ChartPart { fleet });
    }
    html::page(&ChartPage { shell, fleet })
}

/// Data of the chart.
struct Tree<'a> {
    ws: &'a Ws,
    agents: HashMap<AgentId, (Agent, Activity, i64)>,
    /// Agents by manager; `None` for agents without one.
    under: HashMap<Option<Manager>, Vec<AgentId>>,
    wanted: Option<Group>,
    called: Called,
    nodes: Vec<Node>,
}

fn chart(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    when: &When,
    params: &AgentsPageParams,
) -> Result<Chart, StoreError> {
    let wanted = Group::ALL.into_iter().find(|group| group.word() == params.state);
    let all = queries::all(snap)?;
    let mut tree = Tree {
        ws,
        agents: HashMap::new(),
        under: HashMap::new(),
        wanted,
        called: Called::among(&all),
        nodes: Vec::new(),
    };
    let mut groups = Vec::with_capacity(all.len());
    for agent in all {
        let activity = queries::activity_seen(ws, snap, &agent, when.now)?;
        let spent = usage::agent_month(snap, agent.id, when.now)?;
        groups.push(activity.group);
        tree.under.entry(lines::manager(snap, &agent)?).or_default().push(agent.id);
        tree.agents.insert(agent.id, (agent, activity, spent));
    }
    tree.people(snap, who.account)?;
    let handed = handed(ws, snap, when, &tree)?;
    let (list_href, archived) = (ws.url("agents"), queries::archived(snap)?.len());
    let at = match params.state.as_str() {
        "" => format!("{list_href}?view=chart"),
        word => format!("{list_href}?view=chart&state={word}"),
    };
    let live = Live::new(at).table("agents").table("runs").table("inbox").table("usage");
    Ok(Chart {
        live: live.table("tasks"),
        filters: filters_of(&list_href, "chart", &groups, wanted, false),
        archived,
        archive_href: format!("{list_href}?state=archived"),
        switch: switch(&list_href, true),
        nodes: tree.nodes,
        handed,
        manages: who.access.may(Can::Agents),
        new_href: ws.url("agents/new"),
    })
}

impl Tree<'_> {
    /// Adds the people with agents below them, the reader first, then the agents without a manager.
    fn people(&mut self, snap: &Snap<'_>, me: AccountId) -> Result<(), StoreError> {
        let mut members: Vec<Member> = snap.list(&Range::all())?;
        members.sort_by_cached_key(|one| (one.account != me, one.name.to_lowercase()));
        for member in members {
            let key = Some(Manager::Person(member.account));
            let role = if member.account == me { "You" } else { member.role.label() };
            self.root(key, Face::person(&member.name), member.handle, role);
        }
        self.root(None, Face::nobody(), "nobody".to_owned(), "No manager");
        Ok(())
    }

    /// Adds a person, or the group without a manager, with everything below.
    fn root(&mut self, key: Option<Manager>, face: Face, id: String, role: &str) {
        let Some(first) = self.under.get(&key).cloned() else { return };
        let (below, need) = self.count(&first);
        let about = match need {
            0 => role.to_owned(),
            1 => format!("{role}, 1 needs attention"),
            n => format!("{role}, {n} need attention"),
        };
        self.nodes.push(Node {
            id: format!("person-{id}"),
            name: face.name.clone(),
            face,
            href: String::new(),
            about,
            spent: String::new(),
            now: None,
            is_root: true,
            dim: false,
            below,
            opens: true,
            closes: 0,
        });
        self.level(&first);
    }

    /// Adds agents, each with everything below.
    fn level(&mut self, ids: &[AgentId]) {
        for id in ids {
            let below = self.under.get(&Some(Manager::Agent(*id))).cloned().unwrap_or_default();
            let (count, _) = self.count(&below);
            let Some((agent, activity, spent)) = self.agents.get(id) else { continue };
            let face = self.called.face(agent);
            let live = if activity.group == Group::Working { Working::Yes } else { Working::No };
            let off = activity.group == Group::Off;
            self.nodes.push(Node {
                id: format!("agent-{}", agent.slug),
                face: face.working(live),
                name: self.called.name(agent),
                href: self.ws.url(&format!("agents/{}", agent.slug)),
                about: ellipsis(&agent.description, 60),
                spent: format::money(*spent),
                now: Some(Dot::new(activity.state, &activity.label)),
                is_root: false,
                dim: off || self.wanted.is_some_and(|wanted| wanted != activity.group),
                below: count,
                opens: !below.is_empty(),
                closes: 0,
            });
            if !below.is_empty() {
                self.level(&below);
            }
        }
        if let Some(last) = self.nodes.last_mut() {
            last.closes += 1;
        }
    }

    /// Number of agents in these lines, and how many need attention.
    fn count(&self, ids: &[AgentId]) -> (usize, usize) {
        let (mut all, mut need) = (0, 0);
        for id in ids {
            all += 1;
            let group = self.agents.get(id).map(|(_, activity, _)| activity.group);
            need += usize::from(group == Some(Group::Attention));
            let below = self.under.get(&Some(Manager::Agent(*id)));
            let (more, waiting) = below.map_or((0, 0), |below| self.count(below));
            all += more;
            need += waiting;
        }
        (all, need)
    }
}

/// Open tasks that one agent assigned to another, newest first.
fn handed(
    ws: &Ws,
    snap: &Snap<'_>,
    when: &When,
    tree: &Tree<'_>,
) -> Result<Vec<Handed>, StoreError> {
    let mut given: Vec<(AgentId, Task)> = Vec::new();
    for id in tree.agents.keys() {
        let open = list::open_of(snap, Assignee::Agent(*id), LOOKED_AT)?;
        let of_others = open.into_iter().filter_map(|task| {
            let from = task.created_by.agent().filter(|from| from != id)?;
            Some((from, task))
        });
        given.extend(of_others);
    }
    given.sort_by_key(|(_, task)| std::cmp::Reverse(task.id));
    given.truncate(HANDED);
    let people = people::People::read(snap)?;
    let mut rows = Vec::with_capacity(given.len());
    for (from, task) in given {
        let Some(to) = task.assignee else { continue };
        let from = Assignee::Agent(from);
        let standing = standing::seen(ws, snap, &task, when.now)?;
        rows.push(Handed {
            words: format!(
                "{} to {}, {}",
                people.name(from),
                people.name(to),
                when.at(task.created_at).text
            ),
            from: people.face(from),
            to: people.face(to),
            href: ws.url(&format!("tasks/{}", tasks::name(snap, task.number)?)),
            dot: dot(&task, &standing),
            title: task.title,
        });
    }
    Ok(rows)
}

fn dot(task: &Task, standing: &Standing) -> Dot {
    let status = || Dot::new(task.status.word(), task.status.label());
    standing.shown().map_or_else(status, Dot::from)
}
