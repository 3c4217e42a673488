//! Dependencies under any changes and undos: relations and subtasks never form a cycle, and changes without a cycle are
//! never refused.

use std::collections::BTreeSet;

use features::tasks::model::Task;
use features::tasks::model::relation::Relation;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask, TaskPatch, relations};
use kernel::{Problem as _, RelationKind, TaskId, TaskStatus};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use store::undo::{FieldWhy, Plan, Why};
use store::{Range, ReadExt as _, StoreError};

use super::desk::Desk;
use super::{OWN, mira, undo_all};

/// Number of tasks: few, so that they interact.
const TASKS: usize = 6;
/// Refusal for another reason than a cycle.
const TOO_DEEP: &str = "task_too_deep";

/// Dependencies: of a task on its blockers, of a whole on its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Graph {
    blocked: BTreeSet<(usize, usize)>,
    wholes: BTreeSet<(usize, usize)>,
}

impl Graph {
    fn of(desk: &Desk, all: &[TaskId]) -> Self {
        let at = |id: TaskId| all.iter().position(|one| *one == id).expect("one of them");
        let read = desk.store.read(|snap| {
            let relations = snap.list::<Relation>(&Range::all())?;
            Ok::<_, StoreError>((relations, snap.list::<Task>(&Range::all())?))
        });
        let (relations, tasks) = read.expect("rows can be read");
        let parts = tasks.iter().filter_map(|task| Some((at(task.parent?), at(task.id))));
        Self {
            blocked: relations.iter().map(|one| (at(one.task), at(one.other))).collect(),
            wholes: parts.collect(),
        }
    }

    /// Union of both graphs.
    fn and(&self, other: &Self) -> Self {
        Self { blocked: &self.blocked | &other.blocked, wholes: &self.wholes | &other.wholes }
    }

    /// Whether anything is left after repeatedly removing all nodes without dependencies.
    fn has_circle(&self) -> bool {
        let mut left = &self.blocked | &self.wholes;
        loop {
            let before = left.len();
            let waiting: BTreeSet<usize> = left.iter().map(|(who, _)| *who).collect();
            left.retain(|(_, on)| waiting.contains(on));
            if left.len() == before {
                return before != 0;
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(usize, usize),
    WaitNoMore(usize, usize),
    PartOf(usize, Option<usize>),
    /// Done, or open again: it stays in both graphs.
    Turn(usize, TaskStatus),
    /// The last changes, this many, are undone together.
    UndoLast(usize),
    /// One change is undone, and the later ones stay.
    UndoOne(usize),
}

impl Act {
    /// The graph after the act.
    fn on(self, mut graph: Graph) -> Graph {
        match self {
            Self::Wait(task, other) => {
                graph.blocked.insert((task, other));
            }
            Self::WaitNoMore(task, other) => {
                graph.blocked.remove(&(task, other));
            }
            Self::PartOf(part, whole) => {
                graph.wholes.retain(|(_, one)| *one != part);
                graph.wholes.extend(whole.map(|whole| (whole, part)));
            }
            Self::Turn(..) | Self::UndoLast(_) | Self::UndoOne(_) => {}
        }
        graph
    }

    fn change(self, desk: &Desk, all: &[TaskId]) -> Result<(), TaskError> {
        let id = |n: usize| all[n];
        let waits = RelationKind::BlockedBy;
        match self {
            Self::Wait(task, other) => {
                let (task, other) = (id(task), id(other));
                desk.write(OWN, move |tx| relations::relate(tx, task, waits, other).map(drop))
            }
            Self::WaitNoMore(task, other) => {
                let (task, other) = (id(task), id(other));
                desk.write(OWN, move |tx| relations::unrelate(tx, task, waits, other).map(drop))
            }
            Self::PartOf(part, whole) => {
                let (part, parent) = (id(part), Some(whole.map(id)));
                let patch = TaskPatch { parent, ..TaskPatch::default() };
                desk.write(OWN, move |tx| tasks::update(tx, part, patch).map(drop))
            }
            Self::Turn(task, to) => {
                let task = id(task);
                desk.write(OWN, move |tx| tasks::set_status(tx, task, to).map(drop))
            }
            Self::UndoLast(_) | Self::UndoOne(_) => Ok(()),
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let one = 0..TASKS;
    let turn = prop_oneof![Just(TaskStatus::Done), Just(TaskStatus::Todo)];
    prop_oneof![
        6 => (one.clone(), one.clone()).prop_map(|(task, other)| Act::Wait(task, other)),
        2 => (one.clone(), one.clone()).prop_map(|(task, other)| Act::WaitNoMore(task, other)),
        4 => (one.clone(), one.clone()).prop_map(|(part, whole)| Act::PartOf(part, Some(whole))),
        2 => one.clone().prop_map(|part| Act::PartOf(part, None)),
        1 => (one, turn).prop_map(|(task, to)| Act::Turn(task, to)),
        1 => (1..5usize).prop_map(Act::UndoLast),
        2 => (0..64usize).prop_map(Act::UndoOne),
    ]
}

/// Refusals for parts of a plan that the undoing person could not do directly.
fn refusals(plan: &Plan) -> BTreeSet<&'static str> {
    let records = plan.kept.iter().filter_map(|kept| match &kept.why {
        Why::Refused(refusal) => Some(refusal.code),
        _ => None,
    });
    let fields = plan.rows.iter().flat_map(|row| &row.kept);
    let fields = fields.filter_map(|field| match &field.why {
        FieldWhy::Refused(refusal) => Some(refusal.code),
        FieldWhy::Changed(_) => None,
    });
    records.chain(fields).collect()
}

/// A workspace with its tasks, and the graph after each change.
struct Course {
    desk: Desk,
    all: Vec<TaskId>,
    steps: Vec<(u64, Graph)>,
}

impl Course {
    fn open() -> Self {
        let desk = Desk::open();
        for n in 1..TASKS {
            let new = NewTask::titled(format!("Task {n}"));
            desk.write(OWN, |tx| tasks::create(tx, new)).expect("a task");
        }
        let read = desk.store.read(|snap| snap.list::<Task>(&Range::all()));
        let all: Vec<TaskId> =
            read.expect("rows can be read").iter().map(|task: &Task| task.id).collect();
        assert_eq!(all.len(), TASKS);
        let steps = vec![(desk.seq(), Graph::of(&desk, &all))];
        Self { desk, all, steps }
    }

    fn now(&self) -> Graph {
        Graph::of(&self.desk, &self.all)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::UndoLast(n) => self.undo_last(n),
            Act::UndoOne(n) => self.undo_one(n),
            change => self.change(change),
        }
        let now = self.now();
        assert!(!now.has_circle(), "{act:?}: {now:?}");
        let seq = self.desk.seq();
        if self.steps.last().is_some_and(|(last, _)| *last != seq) {
            self.steps.push((seq, now));
        }
    }

    fn change(&self, change: Act) {
        let before = self.now();
        let wanted = change.on(before.clone());
        match change.change(&self.desk, &self.all) {
            Ok(()) => assert_eq!(self.now(), wanted, "{change:?}"),
            Err(error) => {
                let fits = !wanted.has_circle() && error.code() != TOO_DEEP;
                assert!(!fits, "{change:?} of {before:?}: {error}");
                assert_eq!(self.now(), before, "{change:?}");
            }
        }
    }

    /// Without changes in between, all is restored.
    fn undo_last(&self, n: usize) {
        let from = self.steps.len() - n.min(self.steps.len() - 1);
        let entries: Vec<u64> = self.steps[from..].iter().map(|(seq, _)| *seq).collect();
        if entries.is_empty() {
            return;
        }
        let refused = refusals(&undo_all(&self.desk, &entries, mira()));
        if !refused.contains(TOO_DEEP) {
            assert_eq!(refused, BTreeSet::new());
            assert_eq!(self.now(), self.steps[from - 1].1);
        }
    }

    /// The removed edges come back, unless that would now close a cycle.
    fn undo_one(&self, n: usize) {
        if self.steps.len() < 2 {
            return;
        }
        let at = 1 + n % (self.steps.len() - 1);
        let wanted = self.now().and(&self.steps[at - 1].1);
        let refused = refusals(&undo_all(&self.desk, &[self.steps[at].0], mira()));
        if refused.iter().any(|code| *code != TOO_DEEP) {
            assert!(wanted.has_circle(), "{refused:?} of {wanted:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn tasks_never_wait_in_a_circle_and_nothing_else_is_refused(acts in vec(act(), 4..32)) {
        let mut course = Course::open();
        for act in acts {
            course.act(act);
        }
    }
}
