//! Rules of tasks, comments and deliverables, on a store with the reactions of tasks and inbox.

use std::sync::Arc;

use features::agents::model::Agent;
use features::comments::queries::{self as comment_queries, Power};
use features::comments::rules::{self as comments, Reach};
use features::deliverables::model::{Content, Deliverable};
use features::deliverables::rules::{self as deliverables, NewDelivery, NewReview};
use features::inbox::model::Item;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::history::{FactKind, history};
use features::tasks::queries::people::People;
use features::tasks::queries::standing::{self, Standing};
use features::tasks::queries::{self, list};
use features::tasks::rules::{self, NewTask, TaskPatch};
use features::workspace::model::{Member, Settings};
use features::{inbox, tasks};
use jiff::SignedDuration;
use kernel::id::SeededIds;
use kernel::time::ManualClock;
use kernel::{
    AccountId, Actor, AgentId, Assignee, Cause, Clock as _, DeliverableState, Event, ItemKind,
    ItemState, Priority, Problem, RunId, SignInId, TaskField, TaskId, TaskStatus, TypedId as _,
    Verdict, Via,
};
use store::{
    NoFaults, Options, Range, ReactionError, ReadExt as _, Record as _, Store, StoreError, WriteTx,
};

mod asked; // lists with filter queries
mod delivered; // deliverables and reviews
mod talks; // edited comments, replies, quotes
mod recurring; // recurring tasks
mod groups; // streams, labels, relations, order
mod circles; // no cycles of dependencies
mod templates; // tasks from templates
mod lists; // filters, order, pages

fn ada_id() -> AgentId {
    id(5)
}

fn otto_id() -> AgentId {
    id(6)
}

fn mira_id() -> AccountId {
    id(1)
}

fn id<T: kernel::TypedId>(n: u8) -> T {
    T::from_bytes([n; 16])
}

/// A workspace's store with two agents and two members.
struct Desk {
    store: Store,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    tasks::reactions::react(tx, event).map_err(|e| ReactionError::new("tasks", &e))?;
    inbox::reactions::react(tx, event).map_err(|e| ReactionError::new("inbox", &e))
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at("2026-11-20T12:00:00Z".parse().unwrap()));
        let store = Store::open(Options {
            path: folder.path().join("store.redb"),
            schema: server::schema::workspace(),
            cache: 4 << 20,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            reactor: Some(Arc::new(react)),
            faults: Arc::new(NoFaults),
        })
        .unwrap();
        let desk = Self { store, clock, _folder: folder };
        desk.by(system(), |tx| {
            tx.put(&Settings { default_connection: None, ..Settings::sample() })?;
            for (id, name, slug) in [(ada_id(), "Ada", "ada"), (otto_id(), "Otto", "otto")] {
                let (name, slug) = (name.to_owned(), slug.to_owned());
                tx.put(&Agent {
                    id,
                    name,
                    slug,
                    reports_to: None,
                    connection: None,
                    ..Agent::sample()
                })?;
            }
            tx.put(&Member::sample())?;
            let tom = Member { account: id(2), handle: "tom".into(), ..Member::sample() };
            tx.put(&tom)
        })
        .unwrap();
        desk
    }

    fn by<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        actor: Actor,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.store.write_blocking(actor, Cause::Timer, body)
    }

    fn task(&self, new: NewTask) -> Task {
        self.by(mira(), |tx| rules::create(tx, new)).unwrap()
    }

    fn get(&self, id: TaskId) -> Task {
        self.store.read(|snap| queries::get(snap, id)).unwrap()
    }

    fn items(&self) -> Vec<Item> {
        self.store.read(|snap| snap.list::<Item>(&Range::all())).unwrap()
    }

    fn deliver(&self, task: TaskId, title: &str) -> Deliverable {
        let new = NewDelivery {
            task,
            title: title.to_owned(),
            content: Content::Text("# Done".into()),
            note: String::new(),
            revises: None,
        };
        self.by(ada(), |tx| deliverables::submit(tx, new)).unwrap().0
    }

    fn review(
        &self,
        piece: &Deliverable,
        verdict: Verdict,
        note: &str,
    ) -> Result<Deliverable, deliverables::DeliverableError> {
        let new = NewReview {
            deliverable: piece.id,
            version: Some(piece.version),
            verdict,
            note: note.into(),
        };
        self.by(mira(), |tx| deliverables::review(tx, new))
    }
}

fn system() -> Actor {
    Actor::System(kernel::Part::Setup)
}

fn mira() -> Actor {
    Actor::Person { account: mira_id(), via: Via::SignIn(SignInId::from_bytes([3; 16])) }
}

fn ada() -> Actor {
    Actor::Agent { agent: ada_id(), run: RunId::from_bytes([8; 16]) }
}

fn for_ada(title: &str) -> NewTask {
    NewTask { assignee: Some(Assignee::Agent(ada_id())), ..NewTask::titled(title) }
}

#[test]
fn a_task_is_found_by_number_key_former_key_and_id() {
    let desk = Desk::new();
    desk.task(NewTask::titled("One"));
    let two = desk.task(NewTask::titled("  Two\n words "));
    assert_eq!((two.number, two.title.as_str()), (2, "Two words"));
    let id = two.id.to_string();
    for name in ["MC-2", "mc-2", "HQ-2", "#2", " 2 ", id.as_str()] {
        let found = desk.store.read(|snap| queries::resolve(snap, name)).unwrap();
        assert_eq!(found.id, two.id, "{name}");
    }
    let error = desk.store.read(|snap| queries::resolve(snap, "XY-2")).unwrap_err();
    assert_eq!(error.code(), "task_not_found");
    assert!(error.to_string().contains("MC-1"), "{error}");
}

#[test]
fn bad_input_names_every_wrong_field_and_uses_no_number() {
    let desk = Desk::new();
    let bad = NewTask { description: "x".repeat(70_000), ..NewTask::titled(" ") };
    let error = desk.by(mira(), |tx| rules::create(tx, bad)).unwrap_err();
    let fields: Vec<_> = error.fields().into_iter().map(|field| field.field).collect();
    assert_eq!(fields, ["title", "description"]);
    let unknown = NewTask { assignee: Some(Assignee::Agent(id(99))), ..NewTask::titled("x") };
    let error = desk.by(mira(), |tx| rules::create(tx, unknown)).unwrap_err();
    assert_eq!(error.fields()[0].field, "assignee");
    assert_eq!(desk.task(NewTask::titled("First")).number, 1);
}

#[test]
fn an_archived_agent_takes_no_work() {
    let desk = Desk::new();
    desk.by(system(), |tx| {
        let mut agent: Agent = tx.get(ada_id())?.unwrap();
        agent.archived_at = Some(tx.now());
        tx.put(&agent)
    })
    .unwrap();
    let error = desk.by(mira(), |tx| rules::create(tx, for_ada("x"))).unwrap_err();
    assert_eq!(error.code(), "agent_archived");
}

#[test]
fn assigning_wakes_the_agent_and_assigning_again_wakes_it_again() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    assert_eq!(task.status, TaskStatus::Todo);
    let items = desk.items();
    assert_eq!(
        (items.len(), items[0].agent, items[0].kind),
        (1, ada_id(), ItemKind::TaskAssignment)
    );
    for to in [None, Some(Assignee::Agent(ada_id()))] {
        desk.by(mira(), move |tx| rules::assign(tx, task.id, to)).unwrap();
    }
    let states: Vec<_> = desk.items().into_iter().map(|item| item.state).collect();
    assert_eq!(states, [ItemState::Cancelled, ItemState::Pending]);
    assert_eq!(desk.get(task.id).assignment, 3);
}

#[test]
fn reopening_counts_as_assigned_anew() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let set = |to| desk.by(mira(), move |tx| rules::set_status(tx, task.id, to)).unwrap();
    let done = set(TaskStatus::Done);
    assert!(done.completed_at.is_some());
    assert!(desk.items().iter().all(|item| item.state == ItemState::Cancelled));
    let open = set(TaskStatus::Todo);
    assert_eq!((open.completed_at, open.assignment), (None, 2));
    assert_eq!(desk.items().iter().filter(|item| item.state == ItemState::Pending).count(), 1);
    let rev = |desk: &Desk| desk.store.head().seq;
    let before = rev(&desk);
    set(TaskStatus::Todo);
    assert_eq!(rev(&desk), before, "asking for what already is changes nothing");
}

#[test]
fn a_run_of_its_agent_puts_a_task_in_progress() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let begin = |who| desk.by(system(), move |tx| rules::begin(tx, task.id, who)).unwrap();
    begin(Assignee::Agent(otto_id()));
    assert_eq!(desk.get(task.id).status, TaskStatus::Todo);
    begin(Assignee::Agent(ada_id()));
    assert_eq!(desk.get(task.id).status, TaskStatus::InProgress);
}

#[test]
fn parts_make_no_circle_and_go_five_levels_deep() {
    let desk = Desk::new();
    let mut chain = vec![desk.task(NewTask::titled("1"))];
    for n in 2..=5 {
        let parent = chain.last().map(|task| task.id);
        chain.push(desk.task(NewTask { parent, ..NewTask::titled(n.to_string()) }));
    }
    let below = NewTask { parent: Some(chain[4].id), ..NewTask::titled("6") };
    let error = desk.by(mira(), |tx| rules::create(tx, below)).unwrap_err();
    assert!(matches!(error, TaskError::TooDeep));
    let (top, bottom) = (chain[0].id, chain[4].id);
    let patch = TaskPatch { parent: Some(Some(bottom)), ..TaskPatch::default() };
    let error = desk.by(mira(), move |tx| rules::update(tx, top, patch)).unwrap_err();
    assert!(matches!(error, TaskError::Cycle), "{error}");
    let other = desk.task(NewTask::titled("other"));
    let patch = TaskPatch { parent: Some(Some(other.id)), ..TaskPatch::default() };
    let error = desk.by(mira(), move |tx| rules::update(tx, top, patch)).unwrap_err();
    assert!(matches!(error, TaskError::TooDeep), "a tree of five levels fits below nothing");
}

#[test]
fn an_archived_task_rests_until_it_is_restored() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    desk.by(mira(), move |tx| rules::archive(tx, task.id)).unwrap();
    assert_eq!(desk.items()[0].state, ItemState::Cancelled);
    let error =
        desk.by(mira(), move |tx| rules::set_status(tx, task.id, TaskStatus::Done)).unwrap_err();
    assert_eq!(error.to_string(), "MC-1 is archived; restore it first");
    let error = desk.by(mira(), move |tx| comments::add(tx, task.id, "hm", Reach::Usual));
    assert_eq!(error.unwrap_err().code(), "task_archived");
    desk.by(mira(), move |tx| rules::restore(tx, task.id)).unwrap();
    desk.by(mira(), move |tx| rules::set_status(tx, task.id, TaskStatus::Done)).unwrap();
}

#[test]
fn a_mention_wakes_another_agent_and_the_assignee_hears_people() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    desk.by(system(), move |tx| {
        let mut item: Item = tx.list::<Item>(&Range::all())?.remove(0);
        item.state = ItemState::Done;
        tx.put(&item)
    })
    .unwrap();
    let say = |who, text: &'static str, reach| {
        desk.by(who, move |tx| comments::add(tx, task.id, text, reach)).unwrap()
    };
    let comment = say(mira(), "@otto please help @tom, not `@ada`", Reach::Usual);
    assert_eq!((comment.mentions, comment.people), (vec![otto_id()], vec![id(2)]));
    let woken = |desk: &Desk| {
        let open = desk.items().into_iter().filter(|item| item.state == ItemState::Pending);
        open.map(|item| (item.agent, item.kind)).collect::<Vec<_>>()
    };
    let both = [(otto_id(), ItemKind::TaskCommentMention), (ada_id(), ItemKind::TaskComment)];
    assert_eq!(woken(&desk), both);
    say(mira(), "only a note", Reach::NoteOnly);
    say(ada(), "I go on", Reach::Usual);
    assert_eq!(woken(&desk), both);
    let error = desk.by(ada(), move |tx| comments::remove(tx, comment.id, Power::Own)).unwrap_err();
    assert_eq!(error.code(), "comment_not_yours");
    let edited = desk.by(mira(), move |tx| comments::edit(tx, comment.id, "@ada too")).unwrap();
    assert!(edited.edited_at.is_some());
    assert_eq!(woken(&desk).last(), Some(&(ada_id(), ItemKind::TaskCommentMention)));
}

#[test]
fn agents_that_only_call_each_other_come_to_an_end() {
    let desk = Desk::new();
    let task = desk.task(NewTask::titled("Compare prices"));
    let called = |author, mentions: Vec<AgentId>| {
        let text = "@otto look";
        let comment =
            desk.by(author, move |tx| comments::add(tx, task.id, text, Reach::Usual)).unwrap();
        let now = desk.clock.now();
        let read = |snap: &store::Snap<'_>| {
            comment_queries::called(snap, now, &comment, &mentions).map(<[AgentId]>::len)
        };
        desk.store.read(read).unwrap()
    };
    for n in 0..10 {
        assert_eq!(called(ada(), vec![otto_id()]), 1, "call {n}");
    }
    assert_eq!(called(ada(), vec![otto_id()]), 0, "the eleventh within an hour");
    assert_eq!(called(mira(), vec![otto_id()]), 1, "a person calls whenever they like");
    desk.clock.advance_ms(3_600_000);
    assert_eq!(called(ada(), vec![otto_id()]), 1, "an hour later");
}

#[test]
fn the_history_of_a_task_is_read_from_the_feed() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare price"));
    let patch = |patch: TaskPatch| desk.by(mira(), move |tx| rules::update(tx, task.id, patch));
    patch(TaskPatch { title: Some("Compare prices".into()), ..TaskPatch::default() }).unwrap();
    desk.clock.advance_ms(60_000);
    patch(TaskPatch { title: Some("Compare all prices".into()), ..TaskPatch::default() }).unwrap();
    patch(TaskPatch { priority: Some(Priority::Urgent), ..TaskPatch::default() }).unwrap();
    desk.by(mira(), move |tx| rules::set_status(tx, task.id, TaskStatus::Done)).unwrap();
    desk.by(mira(), move |tx| rules::set_status(tx, task.id, TaskStatus::Todo)).unwrap();
    let told = desk.store.read(|snap| history(snap, task.id, 1)).unwrap();
    assert!(!told.more);
    let kinds: Vec<_> = told.facts.into_iter().map(|fact| fact.kind).collect();
    assert_eq!(
        kinds,
        [
            FactKind::Created,
            FactKind::Assigned(None, Some(Assignee::Agent(ada_id()))),
            FactKind::Title(Some("Compare price".into())),
            FactKind::Priority(Some(Priority::Medium), Priority::Urgent),
            FactKind::Status(TaskStatus::Todo, TaskStatus::Done),
            FactKind::Status(TaskStatus::Done, TaskStatus::Todo),
        ]
    );
}

#[test]
fn who_writes_a_lot_pushes_no_fact_out_and_what_is_long_ago_is_found_by_looking_further() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let set = |patch: TaskPatch| desk.by(mira(), move |tx| rules::update(tx, task.id, patch));
    set(TaskPatch { priority: Some(Priority::Low), ..TaskPatch::default() }).unwrap();
    for n in 0..250 {
        let words = Some(format!("Words {n}"));
        set(TaskPatch { description: words, ..TaskPatch::default() }).unwrap();
    }
    set(TaskPatch { priority: Some(Priority::High), ..TaskPatch::default() }).unwrap();
    let look = |looks: usize| {
        let told = desk.store.read(|snap| history(snap, task.id, looks)).unwrap();
        (told.facts.into_iter().map(|fact| fact.kind).collect::<Vec<_>>(), told.more)
    };
    let made = [
        FactKind::Created,
        FactKind::Assigned(None, Some(Assignee::Agent(ada_id()))),
        FactKind::Priority(Some(Priority::Medium), Priority::Low),
        FactKind::Field(TaskField::Description),
        FactKind::Priority(Some(Priority::Low), Priority::High),
    ];
    assert_eq!(look(1), (made.to_vec(), false));
    for n in 0..200 {
        let to = if n % 2 == 0 { Priority::Low } else { Priority::High };
        set(TaskPatch { priority: Some(to), ..TaskPatch::default() }).unwrap();
    }
    let (facts, more) = look(1);
    assert!(more && facts.len() == 200, "{}", facts.len());
    let (facts, more) = look(2);
    assert!(!more && facts[..5] == made, "{:?}", &facts[..5]);
}

#[test]
fn a_task_with_an_agent_and_nothing_to_wake_it_says_so() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let now = |desk: &Desk| {
        let at = desk.clock.now();
        desk.store.read(|snap| standing::standing(snap, &desk.get(task.id), at)).unwrap()
    };
    assert_eq!(now(&desk), Standing::Queued { why: None });
    desk.by(system(), move |tx| {
        let mut item: Item = tx.list::<Item>(&Range::all())?.remove(0);
        item.state = ItemState::Done;
        tx.put(&item)
    })
    .unwrap();
    assert_eq!(now(&desk), Standing::Plain);
    desk.clock.advance_ms(10 * 60_000);
    assert_eq!(now(&desk), Standing::Alone);
    desk.deliver(task.id, "Prices");
    assert_eq!(now(&desk), Standing::InReview);
}

#[test]
fn an_unknown_name_is_answered_with_those_there_are() {
    let desk = Desk::new();
    let people = desk.store.read(|snap| People::read(snap)).unwrap();
    let me = Assignee::Person(mira_id());
    let find = |word: &str| people.find(word, me);
    assert_eq!(find("@Ada").unwrap(), Some(Assignee::Agent(ada_id())));
    assert_eq!(find("me").unwrap(), Some(me));
    assert_eq!(find("tom").unwrap(), Some(Assignee::Person(id(2))));
    assert_eq!(find("none").unwrap(), None);
    let error = find("oto").unwrap_err();
    assert_eq!(error.to_string(), "no one here is called \"oto\"; available: otto, tom, ada");
}

#[test]
fn what_models_read_of_the_tools_is_short() {
    let tools = server::doors::tools();
    let core = [
        "task_get",
        "task_list",
        "task_create",
        "task_update",
        "comment_add",
        "deliverable_submit",
    ];
    let mut bytes = 0;
    for name in core {
        let entry = tools.get(name).expect(name);
        bytes += name.len() + entry.spec.about.len() + entry.schema.to_string().len();
    }
    assert!(bytes < 3_300, "{bytes} bytes are sent with every request");
    let schema = tools.get("deliverable_submit").unwrap().schema.to_string();
    assert!(schema.contains(r#""enum":["text","url","file","page","record"]"#), "{schema}");
    assert!(schema.contains(r#""required":["kind","title","body"]"#), "{schema}");
}

#[test]
fn parts_of_parts_count_with_those_of_the_whole() {
    let desk = Desk::new();
    let whole = desk.task(for_ada("Win the florists")).id;
    let part = |n: usize, parent: TaskId| {
        let assignee = Some(Assignee::Person(mira_id()));
        let title = format!("Part {n}");
        let new = NewTask { assignee, parent: Some(parent), ..NewTask::titled(title) };
        desk.by(ada(), move |tx| rules::parts::create(tx, new))
    };
    let first = part(1, whole).unwrap().id;
    for n in 2..=10 {
        part(n, if n.is_multiple_of(2) { first } else { whole }).unwrap();
    }
    for parent in [whole, first] {
        let refused = part(11, parent).unwrap_err();
        assert_eq!(refused.code(), "enough_parts");
        assert!(refused.to_string().contains("10 subtasks of MC-1"), "{refused}");
    }
    // A subtask created by a person is independent.
    let own = desk.task(NewTask { parent: Some(first), ..NewTask::titled("Ask around") }).id;
    part(11, own).unwrap();
}
