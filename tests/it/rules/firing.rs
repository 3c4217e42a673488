//! Routines on a real store with the real rules: what starts them, how often, and what ends them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::{
    ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use features::agents::model::Agent;
use features::routines::conditions::{Op, Written};
use features::routines::follow::Follow;
use features::routines::model::{Clock, Firing, Routine, Slot};
use features::routines::queries;
use features::routines::queries::view;
use features::routines::registry;
use features::routines::rules::*;
use features::routines::wish::RoutineRequest;
use features::routines::wish::{EventRequest, TaskRequest};
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::model::template::TemplateItem;
use features::tasks::queries as reads;
use features::tasks::rules::templates::{self, NewTemplate};
use features::tasks::rules::{self as tasks, NewTask};
use features::workspace::model::Settings;
use kernel::cadence::ScheduleFields;
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::vocab::CadenceKind;
use kernel::{
    Actor, Cause, Clock as _, Fate, FiredBy, Part, Priority, StreamId, TaskId, TypedId as _,
};
use kernel::{AgentId, CatchUp, Event, Overlap, RoutineId};
use store::consumer::{Step as Taken, step};
use store::{NoFaults, Options, Record, Store};
use store::{Range, ReadExt, StoreError, WriteTx};

mod delay;
mod end;
mod writing;

const START: i64 = 1_795_000_000_000;
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);

struct Bench {
    store: Store,
    clock: Arc<ManualClock>,
    ids: Arc<SeededIds>,
    folder: tempfile::TempDir,
}

fn agent_id(n: u8) -> AgentId {
    AgentId::from_bytes([0x40 + n; 16])
}

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>, ids: &Arc<SeededIds>) -> Store {
    Store::open(Options {
        path: folder.join("hq.redb"),
        schema: server::schema::workspace(),
        cache: 1 << 20,
        clock: clock.clone(),
        ids: ids.clone(),
        reactor: Some(Arc::new(server::reactions::react)),
        faults: Arc::new(NoFaults),
    })
    .unwrap()
}

impl Bench {
    /// Two agents without work.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(from_ms(START)));
        let ids = Arc::new(SeededIds::new(7));
        let store = open(folder.path(), &clock, &ids);
        let bench = Self { store, clock, ids, folder };
        bench.write(|tx| {
            tx.put(&Settings {
                default_connection: None,
                zone: "UTC".into(),
                ..Settings::sample()
            })?;
            let items = vec![item("a", "Go round", &[]), item("b", "Note {title}", &["a"])];
            let new = NewTemplate { name: "Rounds".into(), items, ..NewTemplate::default() };
            templates::create(tx, new).map_err(|error| StoreError::Failed(error.to_string()))?;
            for n in 0..2 {
                tx.put(&Agent {
                    id: agent_id(n),
                    slug: format!("agent-{n}"),
                    connection: None,
                    reports_to: None,
                    ..Agent::sample()
                })?;
            }
            Ok::<_, StoreError>(())
        });
        bench
    }

    fn write<T, E>(&self, body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static) -> T
    where
        T: Send + 'static,
        E: From<StoreError> + std::fmt::Debug + Send + 'static,
    {
        self.store.write_blocking(BY.0, BY.1, body).unwrap()
    }

    /// Stops the program and starts it again, as the server does.
    fn restart(self) -> Self {
        let Self { store, clock, ids, folder } = self;
        drop(store);
        let bench = Self { store: open(folder.path(), &clock, &ids), clock, ids, folder };
        bench.write(keep::rewind);
        bench
    }

    fn save(&self, agent: u8, wish: RoutineRequest) -> Routine {
        self.write(move |tx| save(tx, None, agent_id(agent), &wish))
    }

    /// Starts everything that is due.
    fn tick(&self) {
        let mut late = 0;
        for _ in 0..20 {
            let ticked = self.write(move |tx| tick::tick(tx, 50, late));
            late = ticked.late;
            if ticked.due == 0 {
                return;
            }
        }
        panic!("it is always due");
    }

    /// Lets the consumer process all entries.
    fn drain(&self) {
        let follow: Arc<dyn store::consumer::Consume> = Arc::new(Follow);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for _ in 0..2_000 {
            match runtime.block_on(step(&self.store, Arc::clone(&follow))).unwrap() {
                Taken::Took(_) => {}
                Taken::Idle => return,
                other => panic!("{other:?}"),
            }
        }
        panic!("it never comes to rest");
    }

    fn firings(&self, id: RoutineId) -> Vec<Firing> {
        let mut all: Vec<Firing> = self.store.read(|snap| snap.list(&Range::all())).unwrap();
        all.retain(|firing: &Firing| firing.routine == id);
        all
    }

    fn clock_of(&self, id: RoutineId) -> Clock {
        self.store.read(|snap| queries::clock(snap, id)).unwrap()
    }

    fn advance(&self, minutes: i64) {
        self.clock.advance_ms(minutes * 60_000);
    }
}

fn every_half_hour(catch_up: CatchUp) -> RoutineRequest {
    let schedule = ScheduleFields {
        cadence_type: Some(CadenceKind::EveryNMinutes),
        interval_n: Some(30),
        ..ScheduleFields::default()
    };
    RoutineRequest {
        name: "Look".into(),
        schedule: Some(schedule),
        catch_up: Some(catch_up),
        overlap: Some(Overlap::Allow),
        ..RoutineRequest::default()
    }
}

fn after(event: &str, all: Vec<Written>) -> RoutineRequest {
    let event = EventRequest { when: event.into(), all, own_changes: false };
    RoutineRequest { name: "Follow".into(), event: Some(event), ..RoutineRequest::default() }
}

/// With the bench's task template.
fn with_template(wish: RoutineRequest) -> RoutineRequest {
    let task = TaskRequest {
        title: "Look after it".into(),
        unassigned: true,
        template: Some("rounds".into()),
        ..TaskRequest::default()
    };
    RoutineRequest { task: Some(task), ..wish }
}

fn item(key: &str, title: &str, blocked_by: &[&str]) -> TemplateItem {
    TemplateItem {
        key: key.into(),
        title: title.into(),
        description: "See to {title} and {this}.".into(),
        priority: Priority::Medium,
        role: String::new(),
        labels: Vec::new(),
        blocked_by: blocked_by.iter().map(|key| (*key).into()).collect(),
    }
}

fn if_(field: &str, op: Op, value: &str) -> Written {
    Written { field: field.into(), op: Some(op), value: value.into(), any: Vec::new() }
}

#[derive(Clone, Debug)]
enum Move {
    /// Time passes and the timer runs.
    Go(i64),
    /// Time passes while HQ is off.
    Away(i64),
    Kill,
    /// The clock is set back while the program is off.
    Back(i64),
    ByHand,
}

fn moves(back: bool) -> impl Strategy<Value = Vec<Move>> {
    let back = i64::from(back) * 60 + 1;
    let one = prop_oneof![
        6 => (1..50_i64).prop_map(Move::Go),
        2 => (1..4_000_i64).prop_map(Move::Away),
        2 => proptest::strategy::Just(Move::Kill),
        1 => (0..back).prop_map(Move::Back),
        1 => proptest::strategy::Just(Move::ByHand),
    ];
    proptest::collection::vec(one, 1..24)
}

fn catch_up() -> impl Strategy<Value = CatchUp> {
    proptest::sample::select(CatchUp::ALL.to_vec())
}

fn play(wish: RoutineRequest, moves: &[Move]) -> (Bench, RoutineId) {
    let mut bench = Bench::new();
    let id = bench.save(0, wish).id;
    for one in moves {
        match one {
            Move::Go(minutes) => {
                bench.advance(*minutes);
                bench.tick();
                // A second tick changes nothing.
                bench.tick();
            }
            Move::Away(minutes) => bench.advance(*minutes),
            Move::Kill => bench = bench.restart(),
            Move::Back(minutes) => {
                bench.advance(-*minutes);
                bench = bench.restart();
            }
            Move::ByHand => {
                bench.write(move |tx| run_now(tx, id, None).map(|_| ()));
            }
        }
    }
    bench.tick();
    (bench, id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_instant_stands_in_exactly_one_row(
        catch_up in catch_up(),
        jitter_secs in 0..1_800_u32,
        moves in moves(false),
    ) {
        let (bench, id) = play(RoutineRequest { jitter_secs: Some(jitter_secs), ..every_half_hour(catch_up) }, &moves);
        let routine: Routine = bench.store.read(|snap| queries::get(snap, id)).unwrap();
        let schedule = routine.schedule().unwrap().clone();
        let (now, clock) = (bench.clock.now(), bench.clock_of(id));
        let mut come = schedule.between(routine.created_at, now, 20_000);
        // Starts with a running delay are still pending.
        come.retain(|at| clock.fires_at(*at) <= now);
        let rows = bench.firings(id);
        let timed = rows.iter().filter(|row| matches!(row.slot, Slot::At(_)));
        let counted: u32 = timed.map(|row| row.count).sum();
        prop_assert_eq!(usize::try_from(counted).unwrap(), come.len());
        let newest = come.last().copied().unwrap_or(routine.created_at);
        prop_assert_eq!(clock.next_at, schedule.next(newest));
    }

    #[test]
    fn each_instant_makes_the_tasks_of_a_template_once(
        catch_up in catch_up(),
        moves in moves(true),
    ) {
        let (bench, id) = play(with_template(every_half_hour(catch_up)), &moves);
        let rows = bench.firings(id);
        let slots: BTreeSet<Slot> = rows.iter().map(|row| row.slot).collect();
        prop_assert_eq!(slots.len(), rows.len(), "a slot is used once");
        let began = rows.iter().filter(|row| row.fate == Fate::Started).count();
        let made: BTreeSet<TaskId> = rows.iter().filter_map(|row| row.made).collect();
        prop_assert_eq!(made.len(), began, "each led to a task of its own");
        for task in &made {
            let parts = bench.store.read(|snap| reads::children(snap, *task)).unwrap();
            prop_assert_eq!(parts.len(), 2, "all of the template or nothing");
        }
        let all: Vec<Task> = bench.store.read(|snap| snap.list(&Range::all())).unwrap();
        prop_assert_eq!(all.len(), 3 * began, "and nothing else");
    }

    #[test]
    fn each_change_of_a_record_fires_once_with_what_it_was(
        deeds in proptest::collection::vec(0..6_u8, 1..24),
    ) {
        let mut bench = Bench::new();
        let task = TaskRequest {
            title: "{old_title} to {title}".into(),
            unassigned: true,
            ..TaskRequest::default()
        };
        let wish = RoutineRequest { task: Some(task), ..after("stream.changed", Vec::new()) };
        let id = bench.save(0, wish).id;
        let stream = |n: u32| Stream { name: (n % 2).to_string(), lead: None, ..Stream::sample() };
        let (mut named, first) = (0_u32, stream(0));
        bench.write(move |tx| tx.put(&first));
        for deed in deeds {
            match deed {
                0..=2 if named < 15 => {
                    named += 1;
                    let next = stream(named);
                    bench.write(move |tx| tx.put(&next));
                }
                3 | 4 => bench.drain(),
                5 => bench = bench.restart(),
                _ => {}
            }
        }
        bench.drain();
        // A change and its reversal are two changes, even without a check in between.
        let mut said: Vec<String> = bench.firings(id).into_iter().map(|row| row.title).collect();
        let mut wanted: Vec<String> =
            (0..named).map(|n| format!("{} to {}", n % 2, (n + 1) % 2)).collect();
        said.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(said, wanted);
    }

    #[test]
    fn nothing_fires_twice_and_it_goes_on_when_the_clock_was_set_back(
        catch_up in catch_up(),
        moves in moves(true),
    ) {
        let (bench, id) = play(every_half_hour(catch_up), &moves);
        let bench = bench.restart();
        let routine: Routine = bench.store.read(|snap| queries::get(snap, id)).unwrap();
        let schedule = routine.schedule().unwrap().clone();
        let mut seen = BTreeSet::new();
        for row in bench.firings(id) {
            prop_assert!(seen.insert(row.slot), "{:?} twice", row.slot);
            if let Slot::At(at) = row.slot {
                let just_before = from_ms(at - 1);
                prop_assert_eq!(schedule.next(just_before), Some(from_ms(at)));
            }
        }
        // Whatever happened, a later time starts it again.
        let count = bench.clock_of(id).count;
        for _ in 0..130 {
            bench.advance(1);
            bench.tick();
        }
        let now = bench.clock_of(id).count;
        prop_assert!(count < now, "{count} and then {now}");
    }
}

#[test]
fn of_a_thousand_events_some_fire_one_by_one_and_all_others_once() {
    let bench = Bench::new();
    let all = vec![if_("priority", Op::Greater, "medium")];
    let wish = |task| RoutineRequest {
        overlap: Some(Overlap::Allow),
        task,
        ..after("task.created", all.clone())
    };
    let silent = TaskRequest { title: "Look".into(), unassigned: true, ..TaskRequest::default() };
    let wakes = bench.save(0, wish(None)).id;
    let makes = bench.save(1, wish(Some(silent))).id;
    for piece in 0..10 {
        bench.write(move |tx| {
            for n in 0..100 {
                let urgent = n % 2 == 0;
                let priority = if urgent { Priority::High } else { Priority::Low };
                let title = format!("Task {piece} {n}");
                tasks::create(tx, NewTask { priority, ..NewTask::titled(title) })?;
            }
            Ok::<_, features::tasks::queries::error::TaskError>(())
        });
    }
    bench.drain();
    bench.drain();
    for (id, alone) in [(wakes, 6), (makes, 20)] {
        let clock = bench.clock_of(id);
        assert_eq!((clock.count, clock.gathered_count), (alone, 500 - alone));
        assert_eq!(clock.gathered.len(), 50);
    }
    bench.tick();
    assert_eq!((bench.firings(wakes).len(), bench.firings(makes).len()), (6, 20));
    bench.advance(61);
    bench.tick();
    for (id, alone) in [(wakes, 6), (makes, 20)] {
        let rows = bench.firings(id);
        let digest = rows.iter().find(|row| row.by == FiredBy::Digest).expect("a digest");
        assert_eq!((rows.len(), digest.count), (alone + 1, 500 - u32::try_from(alone).unwrap()));
        let rest = format!("and {} more", 450 - alone);
        assert!(digest.instruction.contains(&rest), "{}", digest.instruction);
    }
}

#[test]
fn routines_that_cause_each_other_come_to_an_end() {
    let bench = Bench::new();
    let answer = |agent: u8, heard: &str, said: &str| {
        let task = TaskRequest { title: said.into(), unassigned: true, ..TaskRequest::default() };
        let wish = after("task.created", vec![if_("title", Op::Contains, heard)]);
        bench.save(agent, RoutineRequest { task: Some(task), ..wish }).id
    };
    let (ping, pong) = (answer(0, "ping", "pong"), answer(1, "pong", "ping"));
    bench.write(|tx| tasks::create(tx, NewTask::titled("ping")).map(|_| ()));
    bench.drain();
    let tasks: Vec<Task> = bench.store.read(|snap| snap.list(&Range::all())).unwrap();
    assert_eq!(tasks.len(), 4, "one by a person, three by routines");
    let all = [bench.firings(ping), bench.firings(pong)].concat();
    let ended: Vec<_> = all.iter().filter(|row| row.fate == Fate::ChainEnded).collect();
    assert_eq!((all.len(), ended.len()), (4, 1));
    assert!(ended[0].why.contains("triggered each other"), "{}", ended[0].why);
    let made = all.iter().filter(|row| row.made.is_some()).count();
    assert_eq!(made, 3, "each leads to the task that it made");
}

#[test]
fn the_tasks_of_a_template_have_the_values_of_what_happened() {
    let bench = Bench::new();
    let wish = with_template(after("task.status", vec![if_("new", Op::Is, "done")]));
    let id = bench.save(0, wish).id;
    bench.write(|tx| {
        let task = tasks::create(tx, NewTask::titled("Rent a van"))?;
        tasks::set_status(tx, task.id, kernel::TaskStatus::Done).map(|_| ())
    });
    bench.drain();
    let rows = bench.firings(id);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].values, [("title".to_owned(), "Rent a van".to_owned())]);
    let above = rows[0].made.expect("a task");
    let parts = bench.store.read(|snap| reads::children(snap, above)).unwrap();
    let titles: Vec<&str> = parts.iter().map(|part| part.title.as_str()).collect();
    assert_eq!(titles, ["Go round", "Note Rent a van"]);
    let said = &parts[1].description;
    assert!(said.starts_with("See to [title] and {this}."), "{said}");
    assert!(said.contains("[title] Rent a van"), "what comes from outside stands apart: {said}");
    // The template is gone: nothing is created, and the reason is recorded.
    bench.write(|tx| {
        for one in reads::templates::all(tx)? {
            tx.delete::<features::tasks::model::template::Template>(one.id)?;
        }
        Ok::<_, StoreError>(())
    });
    let fired = bench.write(move |tx| run_now(tx, id, None));
    assert_eq!((fired.fate, fired.made), (Fate::Refused, None));
    assert!(fired.why.contains("template"), "{}", fired.why);
}

#[test]
fn any_record_that_changes_fires_with_what_it_was_before() {
    let bench = Bench::new();
    let conditions = vec![
        if_("old_title", Op::Is, "Launch"),
        if_("changed", Op::Contains, "title"),
        if_("view:open", Op::Less, "1"),
    ];
    let changed = bench.save(0, after("stream.changed", conditions)).id;
    let deleted = bench.save(1, after("stream.deleted", Vec::new())).id;
    let stream = |name: &str, goal: &str| Stream {
        id: StreamId::from_bytes([7; 16]),
        name: name.into(),
        goal: goal.into(),
        lead: None,
        ..Stream::sample()
    };
    let all = [("Launch", "Fly"), ("Launch", "Fly high"), ("Liftoff", "Fly high"), ("Up", "Fly")];
    for (name, goal) in all {
        let next = stream(name, goal);
        bench.write(move |tx| tx.put(&next));
        bench.drain();
    }
    let rows = bench.firings(changed);
    assert_eq!(rows.len(), 1, "another goal and a later name are something else: {rows:#?}");
    assert_eq!(rows[0].subject, "Liftoff");
    assert!(bench.firings(deleted).is_empty());
    bench.write(|tx| tx.delete::<Stream>(StreamId::from_bytes([7; 16])).map(drop));
    bench.drain();
    assert_eq!(bench.firings(deleted).len(), 1);
}

#[test]
fn routines_that_wait_for_routines_and_items_come_to_an_end() {
    for word in ["routine.fired", "item.enqueued"] {
        let bench = Bench::new();
        let ids: Vec<RoutineId> =
            (0..2).map(|agent| bench.save(agent, after(word, Vec::new())).id).collect();
        let first = bench.save(0, every_half_hour(CatchUp::One)).id;
        bench.advance(30);
        bench.tick();
        assert_eq!(bench.firings(first).len(), 1);
        bench.drain();
        let all: Vec<Firing> = ids.iter().flat_map(|id| bench.firings(*id)).collect();
        assert!(!all.is_empty() && all.len() < 10, "{word}: {} firings", all.len());
        assert!(all.iter().all(|row| row.depth <= fire::MAX_DEPTH + 1), "{word}");
        assert!(all.iter().any(|row| row.fate == Fate::ChainEnded), "{word}: {all:#?}");
    }
}

#[test]
fn what_was_missed_is_made_up_for_as_the_routine_says() {
    let missed = |catch_up| {
        let bench = Bench::new();
        let id = bench.save(0, every_half_hour(catch_up)).id;
        bench.advance(10 * 60 + 10);
        bench.tick();
        let rows = bench.firings(id);
        let fired = rows.iter().filter(|row| row.by == FiredBy::CatchUp).count();
        let left: u32 =
            rows.iter().filter(|row| row.fate == Fate::Missed).map(|row| row.count).sum();
        (fired, left)
    };
    assert_eq!(missed(CatchUp::None).0, 0);
    let (fired, left) = missed(CatchUp::One);
    assert_eq!((fired, left + 1), (1, missed(CatchUp::None).1));
    // The oldest start that is made up for is one interval old.
    assert_eq!(missed(CatchUp::All).0, 1);
    let bench = Bench::new();
    let wish = RoutineRequest { catch_up_minutes: Some(24 * 60), ..every_half_hour(CatchUp::All) };
    let id = bench.save(0, wish).id;
    bench.advance(10 * 60 + 10);
    bench.tick();
    let mut held: Vec<_> = bench.firings(id).iter().filter_map(|row| row.held_until).collect();
    held.sort_unstable();
    let made_up = bench.firings(id).iter().filter(|row| row.by == FiredBy::CatchUp).count();
    assert_eq!((made_up, held.len()), (10, 5), "five at once, the others one by one");
    let apart = held[4].duration_since(held[0]);
    assert_eq!(apart, SignedDuration::from_secs(20));
}

#[test]
fn a_firing_waits_for_the_end_of_the_one_before_unless_it_may_begin() {
    let bench = Bench::new();
    let wish = RoutineRequest { overlap: Some(Overlap::Skip), ..every_half_hour(CatchUp::One) };
    let id = bench.save(0, wish).id;
    for _ in 0..3 {
        bench.advance(30);
        bench.tick();
    }
    let rows = bench.firings(id);
    let skipped = rows.iter().filter(|row| row.fate == Fate::SkippedOverlap).count();
    assert_eq!((rows.len(), skipped), (3, 2));
    let routine = bench.store.read(|snap| queries::get(snap, id)).unwrap();
    assert_eq!(view::sentence(&routine.trigger).split(',').next(), Some("Every 30 minutes"));
}

#[test]
fn old_firings_go_but_not_those_that_say_who_pays_for_a_task() {
    let bench = Bench::new();
    let task = TaskRequest { title: "look".into(), unassigned: true, ..TaskRequest::default() };
    let id = bench.save(0, RoutineRequest { task: Some(task), ..every_half_hour(CatchUp::One) }).id;
    let first = bench.write(move |tx| run_now(tx, id, None));
    let made = first.made.expect("a task");
    bench.advance(1);
    let like = first.clone();
    bench.write(move |tx| {
        for n in 0..506 {
            let (id, slot, fate) = (tx.new_id(), Slot::Manual(n), Fate::SkippedOverlap);
            tx.put(&Firing { id, slot, fate, made: None, ..like.clone() })?;
        }
        Ok::<_, StoreError>(())
    });
    assert_eq!(bench.write(move |tx| keep::sweep(tx, id, (0, 200))), (1, 6));
    assert_eq!(bench.write(move |tx| keep::sweep(tx, id, (1, 200))), (0, 0));
    assert_eq!(bench.firings(id).len(), 501);
    let maker = |task| bench.store.read(|snap| queries::maker_of(snap, task)).unwrap();
    assert_eq!(maker(made), Some(id));
    // Its result was deleted.
    bench.write(move |tx| tx.delete::<Task>(made).map(drop));
    assert_eq!(maker(made), None);
    assert_eq!(bench.write(move |tx| keep::sweep(tx, id, (0, 200))), (0, 1));
}

#[test]
fn every_record_with_a_history_can_be_waited_for() {
    for info in server::schema::workspace().tables() {
        if info.class() == Some(store::Class::Tracked) {
            assert!(
                registry::rows_of(info.number).is_some(),
                "{} has no line in rows.rs",
                info.name
            );
        }
    }
}
