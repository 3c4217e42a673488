//! The list of runs.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines::Machines;
use features::agents::queries::{self as agents, Called};
use features::inbox::model::Item;
use features::runs::model::{PARKS, RUNS, Run};
use features::runs::queries::questions::{self, Card};
use features::runs::queries::today::{self, Created};
use features::runs::queries::{self, talk, words};
use features::tasks::model::Task;
use features::usage::model::RUN_COST;
use kernel::cursor::DEFAULT_LIMIT;
use kernel::display;
use kernel::key::KeyBuf;
use kernel::{RunState, Timestamp};
use store::{Range, Read, ReadExt, StoreError, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::Query;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Dot, Face};
use web::session::Person;
use web::shell::Shell;
use web::sse::HOSTS;
use web::time::RelTime;

use super::display::Look;
use super::waits;

/// How many runs a filter scans per page.
const LOOK_THROUGH: usize = 2_000;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    agent: String,
    #[serde(default)]
    state: String,
    /// The slug of a gateway.
    #[serde(default)]
    gateway: String,
    /// Only runs that ended at or after this time (RFC 3339).
    #[serde(default)]
    since: String,
    /// `today`: only runs created today in the person's zone.
    #[serde(default)]
    created: String,
    #[serde(default)]
    after: String,
}

impl Filter {
    fn query(&self, after: &str) -> String {
        let pairs = [
            ("agent", self.agent.as_str()),
            ("state", &self.state),
            ("gateway", &self.gateway),
            ("since", &self.since),
            ("created", &self.created),
            ("after", after),
        ];
        let given: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        serde_urlencoded::to_string(given).unwrap_or_default()
    }

    /// The lower bound of the end time; `None` if absent or invalid.
    fn ended_from(&self) -> Option<Timestamp> {
        // ok: an invalid time does not filter.
        self.since.parse().ok()
    }

    fn is_today(&self) -> bool {
        self.created == "today"
    }

    fn takes(&self, tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<bool, StoreError> {
        let late = |from: Timestamp| run.ended_at.is_none_or(|ended| ended < from);
        if self.ended_from().is_some_and(late) {
            return Ok(false);
        }
        Ok(match self.state.as_str() {
            "" => true,
            "live" => run.is_live(),
            "needs_you" => words::needs_person(run),
            "unsuccessful" => run.outcome.as_ref().is_some_and(words::is_bad),
            state => words::seen(look.ws, tx, run)?.word == state,
        })
    }
}

/// The choices of the state filter: all, groups, and each state.
fn state_choices(chosen: &str) -> Vec<Choice> {
    let groups = [
        ("", "All states"),
        ("live", "Not ended"),
        ("needs_you", "Needs you"),
        ("unsuccessful", "Unsuccessful"),
    ];
    let choice = |word: &'static str, label: &str| Choice::new(word, label, word == chosen);
    let states = words::states();
    let groups = groups.into_iter().map(|(word, label)| choice(word, label));
    groups.chain(states.iter().map(|state| choice(state.word, &state.label))).collect()
}

/// A run in the list.
struct Row {
    name: String,
    title: String,
    href: String,
    state: Dot,
    word: &'static str,
    task: Option<(String, String)>,
    cause: &'static str,
    /// The run's machine, unless it is the primary.
    machine: String,
    face: Face,
    began: RelTime,
    took: String,
    cost: String,
    /// Why the run waits or failed.
    why: String,
    /// Address of "stop", if the run can be stopped and this person may.
    stop: Option<String>,
}

/// An active filter.
struct Chip {
    label: &'static str,
    value: String,
    /// Address without this filter.
    without: String,
}

#[derive(Template)]
#[template(path = "runs/index.html")]
struct Index {
    shell: Shell,
    agents: Vec<Choice>,
    states: Vec<Choice>,
    /// The machines; empty if there is only one.
    machines: Vec<Choice>,
    chips: Vec<Chip>,
    filtered: bool,
    questions: Questions,
    list: Rows,
}

/// Questions of runs; a live region.
#[derive(Template)]
#[template(path = "runs/_questions.html")]
struct Questions {
    live: Live,
    questions: Vec<Card>,
}

/// A page of the list; the first one refreshes itself.
#[derive(Template)]
#[template(path = "runs/_rows.html")]
struct Rows {
    live: Option<Live>,
    /// "13 runs today" above the first page of a list of today; empty otherwise.
    total: String,
    rows: Vec<Row>,
    more: Option<String>,
    filtered: bool,
    all: String,
}

/// `GET /runs`
pub(super) async fn index(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(filter): Query<Filter>,
) -> Result<Response, PageError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            if hx.wants("run-questions") {
                return html::fragment(&questions(snap, ws, &who)?);
            }
            let all = Machines::with_former(snap)?;
            let list = rows(snap, ws, &who, (&filter, &all))?;
            if hx.is_partial() {
                return html::fragment(&list);
            }
            let agents = agent_choices(snap, &filter.agent)?;
            let states = state_choices(&filter.state);
            let machines = machine_choices(&all, &filter.gateway);
            let mut chips = chips(ws, &filter, [&agents, &states, &machines]);
            chips.extend(since_chip(ws, &who, &filter));
            chips.extend(today_chip(ws, &filter));
            let filtered = !filter.query("").is_empty();
            let questions = questions(snap, ws, &who)?;
            html::page(&Index { shell, agents, states, machines, chips, filtered, questions, list })
        })
    })
    .await
}

fn chips(ws: &Ws, filter: &Filter, [agents, states, machines]: [&[Choice]; 3]) -> Vec<Chip> {
    let one = |label, choices: &[Choice], left: Filter| {
        let chosen = choices.iter().find(|one| one.chosen && !one.value.is_empty())?;
        let without = ws.url(&format!("runs?{}", left.query("")));
        Some(Chip { label, value: chosen.label.clone(), without })
    };
    let without_agent = Filter { agent: String::new(), ..filter.clone() };
    let without_state = Filter { state: String::new(), ..filter.clone() };
    let without_machine = Filter { gateway: String::new(), ..filter.clone() };
    let all = [
        one("Agent", agents, without_agent),
        one("State", states, without_state),
        one("Machine", machines, without_machine),
    ];
    all.into_iter().flatten().collect()
}

/// "Ended since 24 November, 18:05".
fn since_chip(ws: &Ws, who: &Person, filter: &Filter) -> Option<Chip> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let at = filter.ended_from()?.to_zoned(zone);
    let left = Filter { since: String::new(), ..filter.clone() };
    Some(Chip {
        label: "Ended since",
        value: format!("{}, {}", display::long_day_of_year(at.date()), display::time(at.time())),
        without: ws.url(&format!("runs?{}", left.query(""))),
    })
}

/// "Created today".
fn today_chip(ws: &Ws, filter: &Filter) -> Option<Chip> {
    let left = Filter { created: String::new(), ..filter.clone() };
    let without = ws.url(&format!("runs?{}", left.query("")));
    filter.is_today().then(|| Chip { label: "Created", value: "today".to_owned(), without })
}

fn questions(tx: &dyn Read, ws: &Ws, who: &Person) -> Result<Questions, StoreError> {
    let look = Look::new(tx, ws, who)?;
    let sees = |run: &Run| talk::may_see_run(tx, run, who.account, who.role);
    let questions = questions::all(tx, &look.reader(), &sees)?;
    let live = Live::new(ws.url("runs")).table(PARKS.name).table(RUNS.name);
    Ok(Questions { live, questions })
}

fn agent_choices(tx: &dyn Read, chosen: &str) -> Result<Vec<Choice>, StoreError> {
    let agents: Vec<Agent> = tx.list(&Range::all())?;
    let called = Called::among(&agents);
    let mut all = vec![Choice::new("", "All agents", chosen.is_empty())];
    all.extend(agents.iter().map(|agent| {
        let label = format!("{} {}", agent.emoji, called.name(agent));
        Choice::new(agent.slug.as_str(), label.trim(), agent.slug == chosen)
    }));
    Ok(all)
}

/// The machines of current and former runs; empty if there is only one and none is selected.
fn machine_choices(machines: &Machines, chosen: &str) -> Vec<Choice> {
    if !machines.are_many() && chosen.is_empty() {
        return Vec::new();
    }
    let mut all = vec![Choice::new("", "All machines", chosen.is_empty())];
    all.extend(
        machines
            .all()
            .map(|one| Choice::new(one.slug.as_str(), one.label.as_str(), one.slug == chosen)),
    );
    all
}

fn rows(
    tx: &dyn Read,
    ws: &Ws,
    who: &Person,
    (filter, machines): (&Filter, &Machines),
) -> Result<Rows, StoreError> {
    let look = Look::new(tx, ws, who)?;
    let agent = match filter.agent.as_str() {
        "" => None,
        slug => Some(agents::by_slug(tx, slug)?),
    };
    let machine = machines.all().find(|one| one.slug == filter.gateway);
    // An unknown machine matches no run.
    let is_there = |run: &Run| match filter.gateway.as_str() {
        "" => true,
        _ => machine.is_some_and(|one| run.gateway == one.gateway),
    };
    let first = filter.after.is_empty();
    let midnight = filter.is_today().then(|| today::midnight(look.now, &look.zone));
    let total = match midnight.filter(|_| first) {
        Some(midnight) => {
            let mut all = Created::since(tx, midnight, (who.account, who.role))?;
            let agent = agent.as_ref().map(|agent| agent.as_ref().map(|agent| agent.id));
            let mut runs = Vec::new();
            for run in all.runs {
                let of_agent = agent.is_none_or(|agent| agent == Some(run.agent));
                if of_agent && is_there(&run) && filter.takes(tx, &look, &run)? {
                    runs.push(run);
                }
            }
            all.runs = runs;
            all.describe()
        }
        None => String::new(),
    };
    let mut after = cursor_key(&filter.after);
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut more = None;
    'pages: while found.len() < DEFAULT_LIMIT && seen < LOOK_THROUGH {
        let page = match &agent {
            None => queries::all(tx, after.as_deref(), DEFAULT_LIMIT + 1)?,
            Some(Some(agent)) => {
                queries::of_agent(tx, agent.id, after.as_deref(), DEFAULT_LIMIT + 1)?
            }
            Some(None) => Vec::new(),
        };
        let full = page.len() > DEFAULT_LIMIT;
        for hit in page.into_iter().take(DEFAULT_LIMIT) {
            if midnight.is_some_and(|midnight| hit.record.created_at < midnight) {
                more = None;
                break 'pages;
            }
            seen += 1;
            more = Some(key_cursor(&hit.key)).filter(|_| full);
            after = Some(hit.key);
            if is_there(&hit.record)
                && filter.takes(tx, &look, &hit.record)?
                && talk::may_see_run(tx, &hit.record, who.account, who.role)?
            {
                found.push(row(tx, &look, machines, &hit.record)?);
            }
        }
        if !full {
            break;
        }
    }
    let here = ws.url("runs");
    let live = Live::new(format!("{here}?{}", filter.query(""))).table(RUNS.name).table(HOSTS);
    let live = first.then_some(live);
    Ok(Rows {
        live,
        total,
        rows: found,
        more: more.map(|next| format!("{here}?{}", filter.query(&next))),
        filtered: !filter.query("").is_empty(),
        all: here,
    })
}

fn row(tx: &dyn Read, look: &Look<'_>, machines: &Machines, run: &Run) -> Result<Row, StoreError> {
    let agent = tx.get::<Agent>(run.agent)?;
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let item = match run.item {
        Some(item) => tx.get::<Item>(item)?,
        None => None,
    };
    let cost = tx.sum(RUN_COST, &KeyBuf::of(&run.id))?;
    let state = words::seen(look.ws, tx, run)?;
    let works = run.state == RunState::Running;
    let why = waits::of(tx, look, run, agent.as_ref())?.map(|why| why.text);
    let why = why.or_else(|| run.outcome.as_ref().and_then(words::reason));
    let title = talk::title_for(tx, run, look.me)?;
    Ok(Row {
        why: why.unwrap_or_default(),
        name: run.name(),
        title: if title.is_empty() { "Untitled".to_owned() } else { title },
        href: look.ws.url(&format!("runs/{}", run.name())),
        word: state.word,
        state: state.into(),
        task: task.map(|task| {
            let name = look.task_name(&task);
            let href = look.ws.url(&format!("tasks/{name}"));
            (name, href)
        }),
        cause: words::cause(run, item.as_ref()),
        machine: match run.gateway {
            None => String::new(),
            there => machines.label(there).to_owned(),
        },
        face: agent.map_or_else(Face::nobody, |agent| look.agent(&agent, works)),
        began: look.time(run.started_at.unwrap_or(run.created_at)),
        took: look.duration(run).map(format::duration).unwrap_or_default(),
        cost: if cost > 0 { format::money(cost) } else { String::new() },
        stop: look.stop(run),
    })
}
