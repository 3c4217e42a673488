//! A workspace's store without a server, and actions of people through rules: one for every kind of record that undo
//! covers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use features::agents::model::{Agent, ReachOf};
use features::agents::rules as agents;
use features::audit::model::Keeping;
use features::audit::rules as audit;
use features::comments::model::Comment;
use features::comments::queries::Power;
use features::comments::rules::{self as comments, Reach};
use features::connections::model::Connection;
use features::deliverables::model::{Content, Deliverable};
use features::deliverables::rules::{self as deliverables, NewDelivery, NewReview};
use features::files::model::TaskFile;
use features::files::rules::{self as files, NewFile};
use features::inbox::rules::pace as paces;
use features::notifications::model::sending::MailSettings;
use features::notifications::rules::sending;
use features::routines::model::Routine;
use features::routines::rules as routines;
use features::routines::wish::RoutineRequest;
use features::runs::model::SubagentLimits;
use features::runs::rules::limits;
use features::streams::model::Stream;
use features::streams::rules::{self as streams, NewStream, StreamPatch};
use features::tasks::model::Task;
use features::tasks::model::label::Label;
use features::tasks::rules::{self as tasks, NewTask, TaskPatch, labels, relations};
use features::views::model::{Look, View};
use features::views::rules as views;
use features::workspace::model::{Member, People};
use features::workspace::rules::{self as workspace, Founding, SettingsPatch, members};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    AccountId, Actor, AgentStatus, Assignee, CadenceKind, Cause, Hue, Manager, Priority, Problem,
    ReactionKind, RelationKind, Role, ScheduleFields, TaskStatus, Thinking, TypedId as _, Verdict,
    Via,
};
use server::{reactions, schema};
use store::{
    BlobId, Limits, NoFaults, Options, Range, ReadExt as _, Record, Store, StoreError, WriteTx,
};

use super::{customers, gateways, groups, knowledge, sources, supply};
use crate::store::folder_in_memory;

/// Random choices of an action: record, variant, value.
pub type Pick = [u8; 3];

/// The action's rule refused.
#[derive(Debug)]
pub struct Refused(#[allow(dead_code, reason = "shown when a test fails")] String);

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        assert!(!matches!(error, StoreError::Panicked(_)), "a rule panicked: {error}");
        Self(error.to_string())
    }
}

pub type Acted = Result<(), Refused>;

/// Converts the result of a rule.
pub fn by_rule<T, E: Problem>(answer: Result<T, E>) -> Acted {
    answer.map(drop).map_err(|error| Refused(error.to_string()))
}

/// One of the records of a kind.
pub fn one<R: Record>(tx: &WriteTx<'_>, pick: u8) -> Result<R, Refused> {
    let mut all: Vec<R> = tx.list(&Range::all())?;
    match all.len() {
        0 => Err(Refused(format!("there is no {}", R::TABLE.name))),
        n => Ok(all.swap_remove(usize::from(pick) % n)),
    }
}

/// A member, an agent, or nobody.
fn somebody(tx: &WriteTx<'_>, pick: u8) -> Result<Option<Assignee>, Refused> {
    Ok(match pick % 4 {
        0 => None,
        1 => Some(Assignee::Person(one::<Member>(tx, pick / 4)?.account)),
        _ => Some(Assignee::Agent(one::<Agent>(tx, pick / 4)?.id)),
    })
}

/// All actions.
pub const ACTS: &[fn(&mut WriteTx<'_>, Pick) -> Acted] = &[
    new_task,
    change_task,
    assign,
    move_task,
    put_away,
    label,
    tie,
    stream,
    groups::series,
    groups::template,
    groups::task_rules,
    groups::links,
    customers::contact,
    customers::organization,
    customers::collection,
    customers::record,
    customers::field,
    customers::talk,
    customers::suggestion,
    knowledge::folder,
    knowledge::item,
    knowledge::text,
    knowledge::suggestion,
    knowledge::mark,
    knowledge::maker,
    sources::source,
    sources::pages,
    gateways::gateway,
    comment,
    reword,
    answer,
    settle,
    react,
    uncomment,
    deliver,
    review,
    attach,
    detach,
    new_agent,
    change_agent,
    reach,
    supply::browser,
    supply::browser_policy,
    supply::trust_mode,
    supply::permission,
    pace,
    agent_state,
    report_to,
    settings,
    brand,
    rename,
    role,
    leave,
    factors,
    supply::connection,
    supply::change_connection,
    supply::drop_connection,
    supply::fallbacks,
    supply::usual_thinking,
    subagent_limits,
    supply::run_limits,
    routine,
    routine_rules,
    supply::window,
    supply::budget,
    supply::price,
    keep,
    save_view,
    change_view,
    drop_view,
    mail,
];

fn mail(tx: &mut WriteTx<'_>, [_, b, c]: Pick) -> Acted {
    if b % 5 == 4 {
        return by_rule(sending::drop_mail(tx));
    }
    let (host, from) = (format!("mail{}.example", c % 3), "hq@marlow.example".to_owned());
    let new = MailSettings { host, port: 465, from, ..MailSettings::default() };
    by_rule(sending::set_mail(tx, new, None))
}

fn new_task(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let parent = if b % 3 == 0 { Some(one::<Task>(tx, b / 3)?.id) } else { None };
    let assignee = somebody(tx, a)?;
    by_rule(tasks::create(tx, NewTask { parent, assignee, ..NewTask::titled(format!("Task {c}")) }))
}

fn change_task(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Task>(tx, a)?.id;
    let mut patch = TaskPatch::default();
    match b % 4 {
        0 => patch.title = Some(format!("Title {}", c % 4)),
        1 => patch.priority = Some(if c % 2 == 0 { Priority::Low } else { Priority::Urgent }),
        2 => patch.due_at = Some((c % 3 != 0).then(|| from_ms(1_800_000_000_000 + i64::from(c)))),
        _ => {
            patch.parent = Some(if c % 3 == 0 { None } else { Some(one::<Task>(tx, c / 3)?.id) });
        }
    }
    by_rule(tasks::update(tx, id, patch))
}

fn assign(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let (id, to) = (one::<Task>(tx, a)?.id, somebody(tx, b)?);
    by_rule(tasks::assign(tx, id, to))
}

fn move_task(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let to = [TaskStatus::Todo, TaskStatus::Blocked, TaskStatus::Done, TaskStatus::InProgress];
    let id = one::<Task>(tx, a)?.id;
    by_rule(tasks::set_status(tx, id, to[usize::from(b) % to.len()]))
}

fn put_away(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let id = one::<Task>(tx, a)?.id;
    by_rule(if b % 2 == 0 { tasks::archive(tx, id) } else { tasks::restore(tx, id) })
}

fn comment(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Task>(tx, a)?.id;
    let reach = if b % 2 == 0 { Reach::Usual } else { Reach::NoteOnly };
    by_rule(comments::add(tx, id, &format!("Word {c} @ada"), reach))
}

fn reword(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let id = one::<Comment>(tx, a)?.id;
    by_rule(comments::edit(tx, id, &format!("Other word {}", c % 3)))
}

fn uncomment(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let id = one::<Comment>(tx, a)?.id;
    by_rule(comments::remove(tx, id, Power::All))
}

fn answer(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let to = one::<Comment>(tx, a)?;
    by_rule(comments::reply(tx, to.on, to.id, (&format!("Answer {c}"), Reach::NoteOnly)))
}

fn settle(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let id = one::<Comment>(tx, a)?.id;
    by_rule(comments::settle(tx, id, b % 5 != 0))
}

fn react(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Comment>(tx, a)?.id;
    let kind = ReactionKind::ALL[usize::from(c) % ReactionKind::ALL.len()];
    by_rule(comments::react(tx, id, kind, b % 5 != 0))
}

fn deliver(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let (task, revises) = match tx.list::<Deliverable>(&Range::all())?.len() {
        n if 0 < n && b % 2 == 0 => {
            let piece = one::<Deliverable>(tx, a)?;
            (piece.task, Some(piece.id))
        }
        _ => (one::<Task>(tx, a)?.id, None),
    };
    let content = Content::Text(format!("Work {c}"));
    let new =
        NewDelivery { task, title: format!("Piece {c}"), content, note: String::new(), revises };
    by_rule(deliverables::submit(tx, new))
}

fn review(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let all = [Verdict::Approved, Verdict::ChangesRequested, Verdict::Rejected];
    let (piece, verdict) = (one::<Deliverable>(tx, a)?, all[usize::from(b) % all.len()]);
    let new =
        NewReview { deliverable: piece.id, version: None, verdict, note: "Because.".to_owned() };
    by_rule(deliverables::review(tx, new))
}

fn attach(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let id = one::<Task>(tx, a)?.id;
    let new = NewFile {
        name: format!("{c}.txt"),
        blob: BlobId::of(&[c % 3]),
        size: 1,
        media: "text/plain",
    };
    by_rule(files::attach(tx, id, new))
}

fn detach(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let id = one::<TaskFile>(tx, a)?.id;
    by_rule(files::remove(tx, id))
}

fn agent(name: String) -> agents::NewAgent {
    agents::NewAgent {
        name,
        slug: String::new(),
        emoji: "🔭".to_owned(),
        description: "Does what tests need".to_owned(),
        template: "default".to_owned(),
        model: agents::ModelChoice::default(),
        thinking: None,
        exec: false,
        budget_micros: None,
        reports_to: None,
    }
}

fn new_agent(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let made = agents::create(tx, agent(format!("Agent {c}")), &["default"]);
    let made = made.map_err(|error| Refused(error.to_string()))?;
    if a % 2 == 0 { by_rule(agents::provisioned(tx, made.id, None)) } else { Ok(()) }
}

fn change_agent(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Agent>(tx, a)?.id;
    let mut changes = agents::Changes::default();
    match b % 6 {
        5 => {
            let above = one::<Agent>(tx, c)?.id;
            changes.reports_to = Some((c % 4 != 0).then_some(Manager::Agent(above)));
        }
        0 => changes.name = Some(format!("Name {}", c % 4)),
        1 => changes.description = Some(format!("For {c}")),
        2 => changes.thinking = Some((c % 2 == 0).then_some(Thinking::High)),
        3 => changes.max_output = Some(2_000 + u32::from(c)),
        _ => {
            let connection = one::<Connection>(tx, c)?.id;
            let model = Some(format!("model-{}", c % 3));
            changes.model = Some(agents::ModelChoice { connection: Some(connection), model });
        }
    }
    by_rule(agents::update(tx, id, None, changes))
}

fn agent_state(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let agent = one::<Agent>(tx, a)?;
    by_rule(match (agent.status, b % 4) {
        (AgentStatus::Provisioning, _) => agents::provisioned(tx, agent.id, None),
        (_, 0) => agents::pause(tx, agent.id),
        (_, 1) => agents::resume(tx, agent.id),
        (_, 2) => agents::archive(tx, agent.id),
        _ => agents::restore(tx, agent.id),
    })
}

/// Transfers the agents of one member to another.
fn report_to(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let (from, to) = (one::<Member>(tx, a)?.account, one::<Member>(tx, b)?.account);
    by_rule(agents::manager::hand_over(tx, from, to))?;
    by_rule(tasks::hand_over(tx, from, to, 100))
}

fn settings(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let mut patch = SettingsPatch::default();
    match a % 4 {
        0 => patch.name = Some(format!("Marlow {}", c % 4)),
        1 => patch.task_key = Some(["MC", "MB", "MD"][usize::from(c) % 3].to_owned()),
        2 => patch.run_cap_micros = Some(1_000_000 * i64::from(c % 5 + 1)),
        _ => patch.comments_reach_assignee = Some(c % 2 == 0),
    }
    by_rule(workspace::update(tx, patch, None))
}

fn brand(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let hue = Hue::ALL[usize::from(b) % Hue::ALL.len()];
    by_rule(workspace::set_brand(tx, (a % 4 != 0).then(|| hue.into())))
}

fn rename(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let account = one::<Member>(tx, a)?.account;
    by_rule(workspace::rename_member(tx, account, &format!("Person {}", c % 4)))
}

fn role(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    let account = one::<Member>(tx, a)?.account;
    let to = [Role::Admin, Role::Member, Role::Viewer, Role::Owner][usize::from(b) % 4];
    by_rule(members::change_role(tx, account, to, &members::Shut::new()))
}

/// A member leaves or joins.
fn leave(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if b % 2 == 0 {
        let account = one::<Member>(tx, a)?.account;
        return by_rule(members::remove(tx, account, &members::Shut::new()));
    }
    let who = joining(c % 4 + 3);
    by_rule(members::take_over(tx, who))
}

fn joining(n: u8) -> members::Joining {
    let account = AccountId::from_bytes([n; 16]);
    members::Joining { account, name: format!("Person {n}"), email: format!("{n}@marlow.example") }
}

fn factors(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let policy = People { factor_for_admins: a % 2 == 0 };
    by_rule(workspace::invites::require_factor(tx, policy))
}

fn reach(tx: &mut WriteTx<'_>, [a, _, c]: Pick) -> Acted {
    let of = match a % 3 {
        0 => ReachOf::Workspace,
        _ => ReachOf::Agent(one::<Agent>(tx, a / 3)?.id),
    };
    let hosts: Vec<String> = (0..c % 3).map(|n| format!("host-{n}.test")).collect();
    by_rule(agents::reach::set(tx, of, &hosts))
}

fn pace(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let agent = one::<Agent>(tx, a)?.id;
    let quiet = (b % 2 == 0).then(|| paces::QuietRequest {
        days: Vec::new(),
        from: format!("{:02}:00", 20 + b % 4),
        until: "07:00".to_owned(),
        zone: String::new(),
    });
    let wish = paces::PaceRequest { quiet, per_hour: (c % 3 != 0).then(|| 10 + u32::from(c % 4)) };
    by_rule(paces::set(tx, agent, &wish))
}

fn subagent_limits(tx: &mut WriteTx<'_>, [a, b, ..]: Pick) -> Acted {
    let (live, minutes) = (1 + u32::from(a % 3), 10 + u32::from(b % 3));
    by_rule(limits::set(tx, SubagentLimits { live, minutes, ..SubagentLimits::default() }))
}

fn routine(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if b % 4 != 0
        && let Ok(old) = one::<Routine>(tx, a)
    {
        return match b % 4 {
            1 => by_rule(routines::pause(tx, old.id)),
            2 => by_rule(routines::resume(tx, old.id)),
            _ => {
                let wish =
                    RoutineRequest { name: format!("Routine {c}"), ..RoutineRequest::from(&old) };
                by_rule(routines::save(tx, Some(old.id), old.agent, &wish))
            }
        };
    }
    let agent = one::<Agent>(tx, a)?.id;
    let daily = ScheduleFields {
        cadence_type: Some(CadenceKind::Daily),
        interval_n: Some(1 + u32::from(c % 3)),
        ..ScheduleFields::default()
    };
    let wish =
        RoutineRequest { name: "Look".into(), schedule: Some(daily), ..RoutineRequest::default() };
    by_rule(routines::save(tx, None, agent, &wish))
}

fn routine_rules(tx: &mut WriteTx<'_>, [a, b, _]: Pick) -> Acted {
    match a % 2 {
        0 => by_rule(routines::set_ask(tx, b % 2 == 0)),
        _ => by_rule(routines::pause_all(tx, b % 2 == 0)),
    }
}

fn keep(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    by_rule(audit::keep(tx, Keeping { days: u16::from(a % 5 + 10), megabytes: None }))
}

/// The acting member, who may change their own views only.
fn account(tx: &WriteTx<'_>) -> Result<AccountId, Refused> {
    tx.by().account().ok_or_else(|| Refused("nobody acts".to_owned()))
}

fn save_view(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let me = account(tx)?;
    let look = Look { q: format!("is:open id:{c}"), ..Look::default() };
    let seen = if a % 2 == 0 { views::For::All } else { views::For::Me };
    let (noun, icon) = ("tasks".to_owned(), String::new());
    let name = format!("View {b}");
    by_rule(views::create(tx, me, views::NewView { noun, name, icon, seen, look }))
}

fn change_view(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let (me, id) = (account(tx)?, one::<View>(tx, a)?.id);
    let none = views::ViewPatch::default();
    let patch = match b % 3 {
        0 => views::ViewPatch { name: Some(format!("Renamed {c}")), ..none },
        1 => views::ViewPatch { position: Some(u32::from(c)), ..none },
        _ => {
            let look = Look { sort: "title".to_owned(), ..Look::default() };
            views::ViewPatch { look: Some(look), ..none }
        }
    };
    by_rule(views::update(tx, me, id, patch))
}

fn drop_view(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    let (me, id) = (account(tx)?, one::<View>(tx, a)?.id);
    by_rule(views::remove(tx, me, id))
}

fn label(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match b % 5 {
        0 => {
            let new = labels::NewLabel { name: format!("Label {c}"), ..Default::default() };
            by_rule(labels::create(tx, new))
        }
        1 => {
            let id = one::<Label>(tx, a)?.id;
            let colour = Some(Hue::ALL[usize::from(c) % Hue::ALL.len()]);
            by_rule(labels::update(
                tx,
                id,
                labels::LabelPatch { colour: colour.map(Into::into), ..Default::default() },
            ))
        }
        turn => {
            let (task, label) = (one::<Task>(tx, a)?.id, one::<Label>(tx, c)?.id);
            let (add, remove) =
                if turn < 4 { (vec![label], vec![]) } else { (vec![], vec![label]) };
            by_rule(labels::change(tx, task, &add, &remove))
        }
    }
}

fn tie(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let (task, other) = (one::<Task>(tx, a)?.id, one::<Task>(tx, c)?.id);
    let kind = if b % 2 == 0 { RelationKind::BlockedBy } else { RelationKind::RelatesTo };
    match b % 5 {
        4 => by_rule(relations::unrelate(tx, task, kind, other)),
        _ => by_rule(relations::relate(tx, task, kind, other)),
    }
}

fn stream(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if b % 4 == 0 {
        return by_rule(streams::create(tx, NewStream::called(format!("Stream {c}"))));
    }
    let id = one::<Stream>(tx, a)?.id;
    match b % 4 {
        1 => by_rule(streams::archive(tx, id)),
        2 => by_rule(streams::restore(tx, id)),
        _ => {
            let goal = Some(format!("Goal {c}"));
            by_rule(streams::update(tx, id, StreamPatch { goal, ..StreamPatch::default() }))
        }
    }
}

pub fn person(n: u8) -> Actor {
    Actor::Person { account: AccountId::from_bytes([n; 16]), via: Via::Socket { uid: 0 } }
}

/// A workspace with two owners, an agent, a connection and a task.
pub struct Desk {
    pub store: Store,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Desk {
    pub fn open() -> Self {
        let folder = folder_in_memory();
        let clock = Arc::new(ManualClock::at(from_ms(1_700_000_000_000)));
        let store = open_at(&folder.path().join("desk.redb"), &clock);
        let desk = Self { store, clock, _folder: folder };
        let founded = desk.write(1, |tx| {
            let founding = Founding {
                id: tx.new_id(),
                name: "Marlow Cargo".to_owned(),
                emoji: None,
                zone: "Europe/Berlin".to_owned(),
                owner: AccountId::from_bytes([1; 16]),
                owner_name: "Mira".to_owned(),
                owner_email: "mira@marlow.example".to_owned(),
            };
            by_rule(workspace::found(tx, founding))?;
            by_rule(members::take_over(tx, joining(2)))?;
            supply::connect(tx, "Server".to_owned())?;
            by_rule(tasks::create(tx, NewTask::titled("First")))?;
            let made = agents::create(tx, agent("Ada".to_owned()), &["default"]);
            let made = made.map_err(|error| Refused(error.to_string()))?;
            by_rule(agents::provisioned(tx, made.id, None))
        });
        founded.expect("it is founded");
        desk
    }

    pub fn seq(&self) -> u64 {
        self.store.head().seq
    }

    /// Runs a transaction of a person, later than all before.
    pub fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        by: u8,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.clock.advance_ms(1_000);
        self.store.write_blocking(person(by), Cause::Timer, body)
    }

    /// Runs actions in one transaction; rules may refuse each of them. Returns the entry, if there is one.
    pub fn act(&self, by: u8, acts: Vec<(usize, Pick)>) -> Option<u64> {
        let before = self.seq();
        let done = self.write(by, move |tx| {
            for (act, pick) in acts {
                // ok: a refused action does not happen.
                let _ = tx.attempt(|tx| ACTS[act % ACTS.len()](tx, pick));
            }
            Ok::<_, StoreError>(())
        });
        done.expect("the rest is written");
        (before < self.seq()).then(|| self.seq())
    }

    /// Tables that an entry changed.
    pub fn changed(&self, entry: u64) -> BTreeSet<u16> {
        let found = self.store.entries_after(entry - 1, 1).expect("the feed can be read");
        found[0].changes.iter().map(|change| change.table).collect()
    }
}

fn open_at(path: &Path, clock: &Arc<ManualClock>) -> Store {
    let options = Options {
        path: path.to_owned(),
        schema: schema::workspace(),
        cache: 4 << 20,
        clock: Arc::clone(clock) as Arc<dyn kernel::Clock>,
        ids: Arc::new(SeededIds::new(7)),
        reactor: Some(Arc::new(reactions::react)),
        faults: Arc::new(NoFaults),
    };
    let limits = Limits { quiet: std::time::Duration::from_secs(3600), ..Limits::default() };
    Store::open_with(options, limits).expect("it opens")
}
