//! Inbox items on a real store with concurrent producers, takers and ends: each item exists once, no two takers get the
//! same one, and nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use features::agents::model::Agent;
use features::inbox::model::{Item, Reason};
use features::inbox::queries;
use features::inbox::rules::*;
use features::runs::model::Run;
use features::tasks::rules::{self as tasks, NewTask};
use features::workspace::model::Settings;
use jiff::SignedDuration;
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{Actor, AgentId, ItemId, ItemKind, ItemState, Outcome, Priority, RunId, TaskId};
use kernel::{Cause, Clock as _, Part, TypedId as _};
use providers::error::ErrorClass;
use store::{NoFaults, Options, Record, Store};
use store::{Range, ReadExt, StoreError, WriteTx};

const START: i64 = 1_795_000_000_000;
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);
const KINDS: [ItemKind; 3] =
    [ItemKind::TaskAssignment, ItemKind::TaskComment, ItemKind::RoutineEvent];

fn load(tx: &WriteTx<'_>, id: ItemId) -> Result<Item, InboxError> {
    tx.get::<Item>(id)?.ok_or(InboxError::NotFound(id))
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// A reason is added; few keys, so that many were used before.
    Give {
        key: u8,
        agent: u8,
        kind: usize,
        task: Option<bool>,
    },
    /// A dispatcher takes one of the due items.
    Take(usize),
    /// A run with an item ends, or ends again after it had ended.
    End(u8),
    EndAgain,
    Go(i64),
    Retry(usize),
    Drop(usize),
    CallOff(usize),
    ToFront(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let any = 0..50_usize;
    let give = (0..60_u8, 0..2_u8, 0..KINDS.len(), proptest::option::of(proptest::bool::ANY));
    let one = prop_oneof![
        6 => give.prop_map(|(key, agent, kind, task)| Act::Give { key, agent, kind, task }),
        6 => any.clone().prop_map(Act::Take),
        4 => (0..5_u8).prop_map(Act::End),
        1 => Just(Act::EndAgain),
        2 => (1..700_i64).prop_map(Act::Go),
        1 => any.clone().prop_map(Act::Retry),
        1 => any.clone().prop_map(Act::Drop),
        1 => any.clone().prop_map(Act::CallOff),
        1 => any.prop_map(Act::ToFront),
    ];
    proptest::collection::vec(one, 1..30)
}

/// State shared by all threads.
struct Scene {
    store: Store,
    clock: Arc<ManualClock>,
    tasks: [TaskId; 2],
    /// Which run holds which item; noted after taking it and removed before returning it.
    held: Mutex<BTreeMap<ItemId, RunId>>,
    accepted: AtomicUsize,
    runs: AtomicU64,
    _folder: tempfile::TempDir,
}

fn agent_id(n: u8) -> AgentId {
    AgentId::from_bytes([0x40 + n; 16])
}

fn is_refused(error: &InboxError) -> bool {
    matches!(error, InboxError::WrongState { .. })
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(from_ms(START)));
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: server::schema::workspace(),
            cache: 1 << 20,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(11)),
            // Other effects of an item are tested elsewhere.
            reactor: None,
            faults: Arc::new(NoFaults),
        })
        .unwrap();
        let tasks = store.write_blocking(BY.0, BY.1, |tx| {
            tx.put(&Settings { default_connection: None, ..Settings::sample() })?;
            for n in 0..2 {
                tx.put(&Agent {
                    id: agent_id(n),
                    slug: format!("agent-{n}"),
                    connection: None,
                    reports_to: None,
                    ..Agent::sample()
                })?;
            }
            let mut made = |title: &str| {
                let task = tasks::create(tx, NewTask::titled(title));
                task.map(|task| task.id).map_err(|error| StoreError::Failed(error.to_string()))
            };
            Ok::<_, StoreError>([made("One")?, made("Two")?])
        });
        Self {
            store,
            clock,
            tasks: tasks.unwrap(),
            held: Mutex::default(),
            accepted: AtomicUsize::new(0),
            runs: AtomicU64::new(0),
            _folder: folder,
        }
    }

    fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        self.store.write_blocking(BY.0, BY.1, body)
    }

    fn all(&self) -> Vec<Item> {
        self.store.read(|snap| snap.list(&Range::all())).unwrap()
    }

    /// One of all items, if there is one.
    fn one(&self, nth: usize) -> Option<ItemId> {
        let all = self.all();
        all.get(nth % all.len().max(1)).map(|item| item.id)
    }

    fn give(&self, new: NewItem) {
        let of = (new.agent, new.kind, new.task, new.key.clone());
        let given = self.write(move |tx| {
            let before: Vec<Item> = tx.list(&Range::all())?;
            let given = enqueue(tx, new)?;
            let item = match given {
                Some(id) => tx.get::<Item>(id)?,
                None => None,
            };
            Ok((before, given, item))
        });
        let (before, given, item) = given.unwrap();
        let (agent, kind, task, key) = of;
        let used = before.iter().any(|item| item.key == key);
        assert_eq!(given.is_none(), used, "a key makes no second item: {key}");
        let (Some(id), Some(item)) = (given, item) else { return };
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let joined = before.iter().find(|old| old.id == id);
        let reasons = joined.map_or(0, |old| old.reasons.len());
        assert_eq!(item.reasons.len(), reasons + 1, "each reason is there once");
        assert_eq!((item.agent, item.kind, item.task), (agent, kind, task));
        let has_room = |old: &&Item| {
            old.state == ItemState::Pending
                && (old.agent, old.kind, old.task) == (agent, kind, task)
                && old.reasons.len() < MAX_REASONS
        };
        let joins = kind != ItemKind::RoutineEvent && before.iter().any(|old| has_room(&old));
        assert_eq!(joined.is_some(), joins, "what waits gathers the reasons that come: {key}");
    }

    fn take(&self, nth: usize) -> Option<(ItemId, RunId)> {
        let now = self.clock.now();
        let due = self.store.read(|snap| queries::due(snap, now, 100)).unwrap();
        let item = due.get(nth % due.len().max(1))?.id;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.runs.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let run = RunId::from_bytes(bytes);
        match self.write(move |tx| lease(tx, item, run)) {
            Ok(taken) => {
                let other = self.held.lock().unwrap().insert(item, run);
                assert_eq!(other, None, "nobody gets what another has");
                assert_eq!((taken.state, taken.run), (ItemState::Leased, Some(run)));
                assert!((1..=RETRY_SECS.len() + 1).contains(&(taken.attempts as usize)));
                Some((item, run))
            }
            // Another thread was faster.
            Err(error) => {
                assert!(is_refused(&error), "{error}");
                None
            }
        }
    }

    fn end(&self, (item, run): (ItemId, RunId), how: u8) {
        let until = self.clock.now() + SignedDuration::from_secs(90);
        let passing = ErrorClass::ALL.iter().find(|class| class.retryable()).unwrap();
        let failed = |code: &str| Outcome::Failed { code: code.into(), reason: "It broke.".into() };
        let outcome = match how {
            0 => Outcome::Done,
            1 => Outcome::Snoozed { until },
            2 => failed(passing.word()),
            3 => failed("internal"),
            _ => Outcome::Stopped { by: None },
        };
        let run = Run { id: run, outcome: Some(outcome), ..Run::sample() };
        self.write(move |tx| close(tx, item, &run)).unwrap();
    }

    /// A person's change to an item: an item that a run holds stays with it.
    fn wish(
        &self,
        nth: usize,
        rule: impl Fn(&mut WriteTx<'_>, ItemId) -> Result<(), InboxError> + Send + 'static,
    ) {
        let Some(id) = self.one(nth) else { return };
        let kept = self.write(move |tx| {
            let before = load(tx, id)?;
            let done = rule(tx, id);
            if before.state == ItemState::Leased {
                assert!(done.is_err_and(|error| is_refused(&error)));
                assert_eq!(load(tx, id)?, before);
            } else if let Err(error) = done {
                assert!(is_refused(&error), "{error}");
                assert_eq!(load(tx, id)?, before, "what was refused has changed nothing");
            }
            Ok(())
        });
        kept.unwrap();
    }

    /// Plays all actions of one thread.
    fn play(&self, who: usize, acts: &[Act]) {
        let (mut mine, mut past) = (Vec::new(), Vec::new());
        for act in acts {
            match *act {
                Act::Give { key, agent, kind, task } => self.give(NewItem {
                    agent: agent_id(agent),
                    kind: KINDS[kind],
                    task: task.map(|second| self.tasks[usize::from(second)]),
                    key: format!("key:{key}"),
                    priority: Priority::Medium,
                    by: BY.0,
                    reason: Reason {
                        summary: format!("{who} says {key}"),
                        ..Item::sample().reasons.remove(0)
                    },
                }),
                Act::Take(nth) => mine.extend(self.take(nth)),
                Act::End(how) => {
                    let Some((item, run)) = mine.pop() else { continue };
                    assert_eq!(self.held.lock().unwrap().remove(&item), Some(run));
                    self.end((item, run), how);
                    past.push((item, run));
                }
                Act::EndAgain => {
                    let Some((item, run)) = past.last().copied() else { continue };
                    let again = self.write(move |tx| {
                        let before = load(tx, item)?;
                        let run = Run { id: run, outcome: Some(Outcome::Done), ..Run::sample() };
                        close(tx, item, &run)?;
                        Ok((before, load(tx, item)?))
                    });
                    let (before, after) = again.unwrap();
                    assert_eq!(before, after, "who is late ends nothing that another has");
                }
                Act::Go(secs) => self.clock.advance_ms(secs * 1_000),
                Act::Retry(nth) => self.wish(nth, retry),
                Act::Drop(nth) => self.wish(nth, discard),
                Act::CallOff(nth) => self.wish(nth, call_off),
                Act::ToFront(nth) => self.wish(nth, to_front),
            }
        }
    }

    /// Invariants when no thread is working.
    fn check(&self) {
        let all = self.all();
        let reasons: usize = all.iter().map(|item| item.reasons.len()).sum();
        assert_eq!(reasons, self.accepted.load(Ordering::Relaxed), "no reason is lost or doubled");
        let keys: BTreeSet<&str> = all.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys.len(), all.len());
        let leased = all.iter().filter(|item| item.state == ItemState::Leased);
        let leased: BTreeMap<ItemId, RunId> =
            leased.map(|item| (item.id, item.run.unwrap())).collect();
        assert_eq!(leased, *self.held.lock().unwrap());
    }

    /// All runs end successfully and all open items become due: nothing may remain.
    fn finish(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        for one in held {
            self.end(one, 0);
        }
        for _ in 0..2_000 {
            match self.take(0) {
                Some(one) => {
                    self.held.lock().unwrap().clear();
                    self.end(one, 0);
                }
                None if self.all().iter().any(Item::is_open) => self.clock.advance_ms(60_000),
                None => return,
            }
        }
        panic!("something is never due");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whoever_gives_and_takes_at_once_each_reason_is_there_once_and_nobody_has_what_another_has(
        all in proptest::collection::vec(acts(), 4..=4),
    ) {
        let scene = Scene::new();
        std::thread::scope(|scope| {
            for (who, acts) in all.iter().enumerate() {
                let scene = &scene;
                scope.spawn(move || scene.play(who, acts));
            }
        });
        scene.check();
        scene.finish();
    }
}
