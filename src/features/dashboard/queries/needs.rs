//! Items that need a person's action, most urgent first. The dashboard lists them, other pages count them.

use std::borrow::Cow;

use crate::agents::model::{AGENTS, Agent};
use crate::backups::queries as backups;
use crate::connections::model::{CONNECTIONS, GRANTS, Grant};
use crate::connections::queries::{self as connections, eligible};
use crate::deliverables::model::{DELIVERABLES, Deliverable, IN_REVIEW};
use crate::inbox::model::{INBOX, Item};
use crate::inbox::queries::broken;
use crate::inbox::queries::why::went_wrong;
use crate::runs::model::{RUNS, Run};
use crate::runs::queries::{self as runs, words};
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries as tasks;
use crate::usage::model::USAGE;
use crate::usage::queries as usage;
use crate::workspace::model::{SETTINGS, Settings};
use kernel::text::ellipsis;
use kernel::{AgentStatus, Assignee, Can, TaskId};
use store::{Range, Read, ReadExt, StoreError, Table};
use web::format;
use web::parts::{Face, Tone};

use super::away::Hidden;
use super::tally::{COUNTED, Found, Kind, Needs, tally};
use super::{DashboardContext, late, requests, waiting};

/// Percentage from which the workspace's budget is reported. Agents have their own threshold.
const SOFT_PCT: u8 = 80;

pub struct Act {
    pub label: Cow<'static, str>,
    /// Icon, or empty.
    pub glyph: &'static str,
    pub kind: &'static str,
    /// Link target or form action.
    pub href: String,
    /// Form fields. `None` for a link.
    pub form: Option<Vec<(&'static str, String)>>,
    /// Choices to make before submitting, if any.
    pub menu: Option<Menu>,
}

/// Choices of a button.
pub struct Menu {
    /// Element id.
    pub id: String,
    /// Form field.
    pub name: &'static str,
    /// Form value and label.
    pub lines: Vec<(String, String)>,
}

impl Act {
    pub(super) fn go(label: &'static str, href: String) -> Self {
        let label = Cow::Borrowed(label);
        Self { label, glyph: "", kind: "", href, form: None, menu: None }
    }

    fn post(label: &'static str, href: String, fields: Vec<(&'static str, String)>) -> Self {
        let label = Cow::Borrowed(label);
        Self { label, glyph: "", kind: "", href, form: Some(fields), menu: None }
    }

    pub(super) fn label(label: String, href: String, fields: Vec<(&'static str, String)>) -> Self {
        let label = Cow::Owned(label);
        Self { label, glyph: "", kind: "", href, form: Some(fields), menu: None }
    }

    pub(super) fn choose(label: &'static str, href: String, menu: Menu) -> Self {
        Self { menu: Some(menu), ..Self::go(label, href) }
    }

    fn glyph(self, glyph: &'static str) -> Self {
        Self { glyph, ..self }
    }

    pub(super) fn quiet(self) -> Self {
        Self { kind: "ghost", ..self }
    }
}

/// Data of the "request changes" dialog of a deliverable.
pub struct Changes {
    /// Suffix of the dialog's element ids.
    pub short: String,
    /// Submit URL.
    pub action: String,
    /// The reviewed version.
    pub version_id: String,
    /// Storage key prefix of a draft.
    pub draft: String,
}

#[derive(Default)]
pub struct Row {
    /// Identifies the item in its current state. A new state has a new id.
    pub id: String,
    pub tone: Tone,
    pub icon: &'static str,
    pub title: String,
    pub href: String,
    /// Short description of the required action, and the API's word for it.
    pub word: &'static str,
    /// How a failed run ended, shown in place of `word`; empty for other items.
    pub outcome: &'static str,
    pub face: Option<Face>,
    /// Further short texts.
    pub facts: Vec<String>,
    pub acts: Vec<Act>,
    /// Data for requesting changes of a deliverable.
    pub changes: Option<Changes>,
    /// `true` for information that requires no action and can be dismissed for good.
    pub is_told: bool,
    /// Ids of the other items merged into this row, and whether each is only information.
    pub(in crate::dashboard) with: Vec<(String, bool)>,
    /// Task of the row. A task has one row.
    pub(super) task: Option<TaskId>,
    /// Text for this item on an earlier row of the same task.
    pub(super) also: String,
}

/// Form field that leads back to the dashboard.
pub(super) fn from_here(name: &'static str) -> (&'static str, String) {
    (name, "dashboard".to_owned())
}

/// Tables whose changes may change the rows. A person's dismissals are tracked separately.
pub const TABLES: [Table; 9] =
    [DELIVERABLES, INBOX, RUNS, AGENTS, TASKS, CONNECTIONS, GRANTS, SETTINGS, USAGE];

/// The rows that fit the page, and the total.
pub fn read(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Needs, StoreError> {
    let kind = |label, path, found| Kind { label, path, is_told: false, found };
    let noticed = |label, path, found| Kind { is_told: true, ..kind(label, path, found) };
    let hidden = &Hidden::read(tx, scene.who.account, scene.now)?;
    let kinds = vec![
        kind("waiting", "runs?state=needs_you", waiting::found(tx, scene, hidden)?),
        kind("asking for access", requests::PATH, requests::found(tx, scene, hidden)?),
        kind("not working", "settings/connections", out_of_order(tx, scene, hidden)?),
        kind("in review", "review", to_review(tx, scene, hidden)?),
        noticed("failed", "inbox?show=needs_you", failed(tx, scene, hidden)?),
        kind("stalled", "tasks?q=waiting:me", alone(tx, scene, hidden)?),
        kind("overdue", "tasks?q=is:overdue", late::overdue(tx, scene, hidden)?),
        noticed("missed", "tasks?q=status:missed", late::missed(tx, scene, hidden)?),
        kind("near a budget limit", "settings/usage", budgets(tx, scene, hidden)?),
    ];
    Ok(tally(scene, kinds))
}

/// The row with this id. `None` if it is not displayed or has a new state.
pub fn find(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    id: &str,
) -> Result<Option<Row>, StoreError> {
    Ok(read(tx, scene)?.rows.into_iter().find(|row| row.id == id))
}

pub(super) fn named(
    scene: &DashboardContext<'_>,
    agent: Option<&Agent>,
    task: Option<&Task>,
) -> Vec<String> {
    let agent = agent.map(|agent| scene.called.name(agent));
    let task = task.map(|task| scene.task_name(task.number));
    agent.into_iter().chain(task).collect()
}

pub(super) fn task_of(tx: &dyn Read, id: Option<TaskId>) -> Result<Option<Task>, StoreError> {
    match id {
        Some(id) => tx.get(id),
        None => Ok(None),
    }
}

/// Failed backup or restore drill, for those who may manage backups.
fn backups_trouble(scene: &DashboardContext<'_>) -> Result<Option<Row>, StoreError> {
    let app = &scene.ws.app;
    if !backups::may_manage(app, scene.who.account)? {
        return Ok(None);
    }
    let place = backups::usual_place(app)?;
    let trouble = app.system.read(|snap| backups::trouble(snap, &place))?;
    let Some(run) = trouble else { return Ok(None) };
    let href = scene.ws.url("settings/backups");
    let note = run.note.as_deref().unwrap_or("it was interrupted");
    Ok(Some(Row {
        id: format!("backup-{}", run.id),
        tone: Tone::Danger,
        icon: "box",
        title: run.words(),
        word: "Backups",
        facts: vec![ellipsis(note, 160), scene.time(run.started_at).text],
        acts: vec![Act::go("Open", href.clone())],
        href,
        ..Row::default()
    }))
}

/// Agents and connections that cannot work.
fn out_of_order(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let mut rows = Vec::new();
    let admin = scene.who.access.may(Can::Admin);
    for connection in connections::all(tx)? {
        if let Some(grant) = tx.get::<Grant>(connection.id)?
            && let Some(reason) = eligible::of_account(tx, &connection)?
        {
            let href = scene.ws.url(&format!("settings/connections/{}/sign-in", connection.id));
            let since = grant.lost_at.unwrap_or(grant.renewed_at);
            rows.push(Row {
                id: format!("sign-in-{}-{}", connection.id, since.as_millisecond()),
                tone: Tone::Danger,
                icon: "key",
                title: format!("{} needs a new sign-in", connection.name),
                word: "Provider",
                facts: vec![reason.says().to_owned(), scene.time(since).text],
                acts: admin.then(|| Act::go("Sign in", href.clone())).into_iter().collect(),
                href,
                ..Row::default()
            });
            continue;
        }
        let Some(tested) = connection.tested.as_ref().filter(|tested| !tested.ok) else { continue };
        let href = scene.ws.url(&format!("settings/connections/{}", connection.id));
        rows.push(Row {
            // It is tested repeatedly; a further failure is no new state.
            id: format!("connection-{}", connection.id),
            tone: Tone::Danger,
            icon: "key",
            title: format!("{} isn’t responding", connection.name),
            word: "Provider",
            facts: vec![ellipsis(&tested.message, 160), scene.time(tested.at).text],
            acts: admin.then(|| Act::go("Open", href.clone())).into_iter().collect(),
            href,
            ..Row::default()
        });
    }
    rows.extend(backups_trouble(scene)?);
    for agent in scene.agents.iter().filter(|agent| agent.status == AgentStatus::Error) {
        let href = scene.ws.url(&format!("agents/{}", agent.slug));
        let reason = agent.status_reason.as_deref().unwrap_or("its setup failed");
        rows.push(Row {
            id: format!("agent-{}-{}", agent.id, agent.updated_at.as_millisecond()),
            tone: Tone::Danger,
            icon: "warn",
            title: format!("{} can’t work", scene.called.name(agent)),
            word: "Agent",
            face: Some(scene.called.face(agent)),
            facts: vec![ellipsis(reason, 160)],
            acts: vec![Act::go("Open", href.clone())],
            href,
            is_told: true,
            ..Row::default()
        });
    }
    Ok(Found::rows(hidden, rows))
}

/// Deliverables in review.
fn to_review(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let pieces: Vec<Deliverable> = tx.scan(IN_REVIEW, &Range::all().limit(COUNTED))?;
    Found::draw(
        hidden,
        pieces,
        |piece| (format!("piece-{}", piece.version), Some(piece.task)),
        |piece| {
            let task = tx.get::<Task>(piece.task)?;
            let agent = piece.submitted_by.agent().and_then(|agent| scene.agent(agent));
            let mut facts = named(scene, agent, task.as_ref());
            facts.push(scene.time(piece.updated_at).text);
            let href = scene.ws.url(&format!("review?piece={}", piece.id));
            let (mut acts, mut changes) = (Vec::new(), None);
            if scene.who.access.may(Can::Review) {
                let action = scene.ws.url(&format!("deliverables/{}/review", piece.id));
                let version_id = piece.version.to_string();
                let fields = vec![
                    ("verdict", "approved".to_owned()),
                    ("version", version_id.clone()),
                    from_here("from"),
                ];
                acts.push(Act::post("Approve", action.clone(), fields));
                let short = piece.id.to_string();
                let draft = format!("{}:review-{short}", scene.who.account);
                changes = Some(Changes { short, action, version_id, draft });
            }
            acts.push(Act::go("Open", href.clone()).quiet());
            Ok(Row {
                tone: Tone::Info,
                icon: "box",
                title: match piece.versions {
                    0 | 1 => piece.title.clone(),
                    n => format!("{}, version {n}", piece.title),
                },
                word: "Review",
                task: Some(piece.task),
                also: "in review".to_owned(),
                face: agent.map(|agent| scene.called.face(agent)),
                facts,
                acts,
                changes,
                href,
                ..Row::default()
            })
        },
    )
}

/// Failed work that is not retried automatically.
fn failed(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let found = broken::of(tx, &scene.agents, scene.now)?;
    let found = found.into_iter().filter_map(|one| Some((scene.agent(one.agent)?, one)));
    Found::draw(
        hidden,
        found,
        |(_, one)| {
            let id = format!("failed-{}-{}", one.item.id, one.ended.as_millisecond());
            (id, one.item.task)
        },
        |(agent, one)| failed_row(tx, scene, agent, &one.item, one.task.as_ref()),
    )
}

fn failed_row(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    agent: &Agent,
    item: &Item,
    task: Option<&Task>,
) -> Result<Row, StoreError> {
    let run = match item.run {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    let title = task.map(|task| task.title.clone());
    let title = title.or_else(|| item.reasons.first().map(|reason| reason.summary.clone()));
    let reason = run.as_ref().and_then(|run| run.outcome.as_ref()).and_then(words::reason);
    let reason =
        reason.unwrap_or_else(|| went_wrong(item.last_error.as_deref().unwrap_or_default()));
    // The word of the run's own page: "Failed", "No result", "Limit reached", …
    let outcome = run.as_ref().and_then(|run| run.outcome.as_ref()).map_or("Failed", words::end);
    let mut facts = named(scene, Some(agent), task);
    if 1 < item.attempts {
        facts.push(format!("{} attempts", item.attempts));
    }
    facts.push(ellipsis(&reason, 160));
    let href = match (&run, task) {
        (Some(run), _) => scene.ws.url(&format!("runs/{}", run.name())),
        (None, Some(task)) => scene.ws.url(&format!("tasks/{}", scene.task_name(task.number))),
        (None, None) => scene.ws.url(&format!("agents/{}", agent.slug)),
    };
    let mut acts = Vec::new();
    if scene.who.access.may(Can::Write) {
        let onward = match &run {
            Some(run) => runs::onward::of(tx, run, scene.who.account)?,
            None => None,
        };
        acts.push(match onward {
            // Work that ended at a limit or in a crash can be continued instead of restarted.
            Some(onward) => {
                let fields = vec![from_here("back")];
                Act::label(onward.label, format!("{href}/continue"), fields).glyph("play")
            }
            None => {
                let retry = scene.ws.url(&format!("inbox/{}/retry", item.id));
                Act::post("Retry", retry, vec![from_here("from")]).glyph("repeat")
            }
        });
    }
    acts.push(Act::go("Open", href.clone()).quiet());
    Ok(Row {
        tone: Tone::Danger,
        icon: "warn",
        title: title.unwrap_or_else(|| "Failed work".to_owned()),
        word: "Failed",
        outcome,
        task: item.task,
        also: outcome.to_lowercase(),
        face: Some(scene.called.face(agent)),
        facts,
        acts,
        href,
        is_told: true,
        ..Row::default()
    })
}

/// Tasks that have an agent but that nothing will start.
fn alone(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let me = Assignee::Person(scene.who.account);
    let may = scene.who.access.may(Can::Write);
    let found = tasks::alone(tx, me, scene.now, COUNTED)?;
    let row = |task: Task| {
        let agent = task.assignee.and_then(Assignee::agent).and_then(|agent| scene.agent(agent));
        let href = scene.ws.url(&format!("tasks/{}", scene.task_name(task.number)));
        let act = |label, act: &str| {
            let fields = vec![("act", act.to_owned()), ("back", scene.ws.url(""))];
            Act::post(label, format!("{href}/care"), fields)
        };
        let acts = vec![
            act("Wake", "wake").glyph("play"),
            act("Take over", "take").quiet(),
            act("Close", "close").quiet(),
        ];
        let mut facts = named(scene, agent, Some(&task));
        facts.push(format!("last changed {}", scene.time(task.updated_at).text));
        Ok(Row {
            tone: Tone::Danger,
            icon: "warn",
            word: "Stalled",
            task: Some(task.id),
            also: "stalled".to_owned(),
            face: agent.map(|agent| scene.called.face(agent)),
            facts,
            acts: if may { acts } else { vec![Act::go("Open", href.clone()).quiet()] },
            title: task.title,
            href,
            ..Row::default()
        })
    };
    let of = |task: &Task| {
        (format!("alone-{}-{}", task.number, task.updated_at.as_millisecond()), Some(task.id))
    };
    Found::draw(hidden, found, of, row)
}

/// Exhausted or nearly exhausted budgets: of the workspace, then of agents.
fn budgets(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let mut rows = Vec::new();
    let settings = tx.get::<Settings>(())?;
    if let Some(limit) = settings.as_ref().and_then(|settings| settings.budget_micros) {
        let spent = usage::month_total(tx, scene.now)?;
        let href = scene.ws.url("settings/usage");
        let may = scene.who.access.may(Can::Admin);
        rows.extend(budget(("all", "The workspace"), (spent, limit, SOFT_PCT), href, may));
    }
    for agent in &scene.agents {
        let Some(limit) = agent.budget_micros else { continue };
        let spent = usage::agent_month(tx, agent.id, scene.now)?;
        let href = scene.ws.url(&format!("agents/{}/settings", agent.slug));
        let name = scene.called.name(agent);
        let figures = (spent, limit, agent.budget_soft_pct);
        let row = budget((&agent.slug, &name), figures, href, true);
        rows.extend(row.map(|row| Row { face: Some(scene.called.face(agent)), ..row }));
    }
    Ok(Found::rows(hidden, rows))
}

/// A budget of which more than this percentage is spent.
fn budget(
    (id, whose): (&str, &str),
    (spent, limit, soft_pct): (i64, i64, u8),
    href: String,
    may_raise: bool,
) -> Option<Row> {
    let percent = spent.saturating_mul(100).checked_div(limit)?;
    if percent < i64::from(soft_pct) {
        return None;
    }
    let (tone, how) = match limit <= spent {
        true => (Tone::Danger, "over"),
        false => (Tone::Warn, "near"),
    };
    Some(Row {
        id: format!("budget-{how}-{id}-{limit}"),
        tone,
        icon: "clock",
        title: format!("{whose} has used {percent} % of this month’s budget"),
        word: "Budget",
        facts: vec![format!("{} of {}", format::money(spent), format::money(limit))],
        acts: may_raise.then(|| Act::go("Raise limit", href.clone())).into_iter().collect(),
        href,
        ..Row::default()
    })
}
