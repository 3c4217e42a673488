//! Runs random transactions against a simple model of records without indexes, layers or bytes. Results, rows and the
//! number of changes per entry must match the model; derived rows must match a rebuild.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use kernel::Problem;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use store::columns::{self, Column};
use store::{Range, ReadExt, Record, StoreError, WriteTx};

use super::check;
use super::toys::{Folder, Job, Line, Note, Sealed, Seen, Total, Toys, folder, id, note};

#[derive(Clone, Debug)]
enum Act {
    Note(Note),
    Folder(Folder),
    Job(Job),
    Line(Line),
    Sealed(Sealed),
    Seen(Seen),
    Total(Total),
    DeleteNote(u64),
    DeleteFolder(u64),
    DeleteJob(u64),
    DeleteSealed(u64),
    DeleteSeen(u64),
    /// An attempt, and whether it fails at its end.
    Attempt(Vec<Act>, bool),
}

#[derive(Clone, Debug)]
enum Step {
    /// A transaction, and whether it fails at its end.
    Write(Vec<Act>, bool),
    Reopen,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    notes: BTreeMap<u64, Note>,
    folders: BTreeMap<u64, Folder>,
    jobs: BTreeMap<u64, Job>,
    lines: BTreeMap<u64, Line>,
    sealed: BTreeMap<u64, Sealed>,
    seen: BTreeMap<u64, Seen>,
    totals: BTreeMap<u64, Total>,
}

fn some_note() -> impl Strategy<Value = Act> {
    let refs = (option::of(0..3u64), option::of(0..6u64), option::weighted(0.2, 0..6u64));
    let texts = (0..3u8, option::of(0..3u8), vec(0..4u8, 0..3));
    (0..6u64, texts, refs, -3..4i64).prop_map(|(n, (owner, slug, labels), refs, size)| {
        Act::Note(Note {
            slug: slug.map(|s| format!("slug\0{s}")),
            labels,
            folder: refs.0.map(folder),
            parent: refs.1.map(note),
            guard: refs.2.map(note),
            size,
            ..Note::new(note(n), &format!("owner-{owner}"))
        })
    })
}

fn act() -> impl Strategy<Value = Act> {
    let single = prop_oneof![
        8 => some_note(),
        2 => (0..3u64, option::of(0..3u64)).prop_map(|(n, inside)| {
            Act::Folder(Folder { id: folder(n), inside: inside.map(folder) })
        }),
        2 => (0..3u64, option::of(0..6u64), any::<bool>()).prop_map(|(n, about, open)| {
            Act::Job(Job { id: id(n), note: about.map(note), open })
        }),
        1 => (0..20u64, 0..6u64, -2..3i64).prop_map(|(n, about, amount)| {
            Act::Line(Line { id: id(n), note: note(about), amount })
        }),
        1 => (0..2u64, 0..3u8).prop_map(|(n, v)| {
            Act::Sealed(Sealed { id: id(n), value: v.to_string() })
        }),
        1 => (0..2u64, 0..3i64).prop_map(|(n, at)| Act::Seen(Seen { id: id(n), at })),
        1 => (0..2u64, 0..3u64).prop_map(|(n, sum)| Act::Total(Total { id: id(n), n: sum })),
        3 => (0..6u64).prop_map(Act::DeleteNote),
        1 => (0..3u64).prop_map(Act::DeleteFolder),
        1 => (0..3u64).prop_map(Act::DeleteJob),
        1 => (0..2u64).prop_map(Act::DeleteSealed),
        1 => (0..2u64).prop_map(Act::DeleteSeen),
    ];
    single.prop_recursive(2, 12, 4, |inner| {
        (vec(inner, 1..4), any::<bool>()).prop_map(|(acts, fails)| Act::Attempt(acts, fails))
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (vec(act(), 1..6), proptest::bool::weighted(0.2))
            .prop_map(|(acts, fails)| Step::Write(acts, fails)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions_leave_what_a_plain_model_leaves(steps in vec(step(), 1..16)) {
        let mut toys = Toys::open();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reopen => toys = toys.reopen(),
                Step::Write(acts, fails) => write(&toys, &mut model, acts, fails),
            }
        }
        check::all_fits(&toys.store);
        assert_eq!(stored(&toys), model);
    }
}

/// Runs one transaction in the store and in the model.
fn write(toys: &Toys, model: &mut Model, acts: Vec<Act>, fails: bool) {
    let before = model.clone();
    let mut after = model.clone();
    let mut wanted = Vec::new();
    after.run(&acts, &mut wanted);
    let seq = toys.seq();
    let (say, heard) = std::sync::mpsc::channel();
    let done = toys.write(move |tx| {
        let mut codes = Vec::new();
        run(tx, &acts, &mut codes);
        say.send(codes).expect("the test waits");
        if fails { Err(StoreError::Stale) } else { Ok(()) }
    });
    assert_eq!(heard.recv().expect("it ran"), wanted);
    assert_eq!(done.is_err(), fails);
    if !fails {
        *model = after;
    }
    let changes = before.changes_to(model);
    let entries = toys.store.entries_after(seq, 10).expect("the feed");
    assert_eq!(entries.len(), usize::from(changes > 0), "an entry only when it is worth it");
    assert_eq!(entries.iter().map(|entry| entry.changes.len()).sum::<usize>(), changes);
    let kept = |rows: &[NoteColumn], count: &usize| (rows.to_vec(), *count);
    let kept = toys.store.read(|snap| columns::with_shared(snap, kept)).expect("columns");
    let mut count = 0;
    let wanted = model.notes.values().map(|note| NoteColumn::of(note, &mut count)).collect();
    assert_eq!(kept, (wanted, count), "columns that were brought up are those of a scan");
}

/// What a list of notes would need.
#[derive(Clone, Debug, PartialEq)]
pub struct NoteColumn {
    id: kernel::TaskId,
    size: i64,
}

impl Column for NoteColumn {
    type Of = Note;
    /// Number of notes.
    type Shared = usize;
    fn of(note: &Note, count: &mut usize) -> Self {
        *count += 1;
        Self { id: note.id, size: note.size }
    }
    fn id(&self) -> kernel::TaskId {
        self.id
    }
    fn on_removed(&self, count: &mut usize) {
        *count -= 1;
    }
}

/// Runs the acts and collects the result codes.
fn run(tx: &mut WriteTx<'_>, acts: &[Act], codes: &mut Vec<&'static str>) {
    for act in acts {
        let done = match act {
            Act::Note(record) => tx.put(record),
            Act::Folder(record) => tx.put(record),
            Act::Job(record) => tx.put(record),
            Act::Line(record) => tx.put(record),
            Act::Sealed(record) => tx.put(record),
            Act::Seen(record) => tx.put(record),
            Act::Total(record) => tx.put(record),
            Act::DeleteNote(n) => tx.delete::<Note>(note(*n)).map(|_| ()),
            Act::DeleteFolder(n) => tx.delete::<Folder>(folder(*n)).map(|_| ()),
            Act::DeleteJob(n) => tx.delete::<Job>(id(*n)).map(|_| ()),
            Act::DeleteSealed(n) => tx.delete::<Sealed>(id(*n)).map(|_| ()),
            Act::DeleteSeen(n) => tx.delete::<Seen>(id(*n)).map(|_| ()),
            Act::Attempt(acts, fails) => tx.attempt(|tx| {
                run(tx, acts, codes);
                if *fails { Err(StoreError::Stale) } else { Ok(()) }
            }),
        };
        codes.push(done.as_ref().map_or_else(Problem::code, |()| "ok"));
    }
}

/// The contents of the store as a model.
fn stored(toys: &Toys) -> Model {
    fn all<R: Record>(toys: &Toys, n: impl Fn(&R) -> [u8; 16]) -> BTreeMap<u64, R> {
        let rows = toys.store.read(|snap| snap.list::<R>(&Range::all())).expect("a read");
        let number = |row: &R| u64::from_be_bytes(n(row)[8..].try_into().expect("eight bytes"));
        rows.into_iter().map(|row| (number(&row), row)).collect()
    }
    use kernel::TypedId;
    Model {
        notes: all(toys, |r: &Note| *r.id.uuid().as_bytes()),
        folders: all(toys, |r: &Folder| *r.id.uuid().as_bytes()),
        jobs: all(toys, |r: &Job| *r.id.uuid().as_bytes()),
        lines: all(toys, |r: &Line| *r.id.uuid().as_bytes()),
        sealed: all(toys, |r: &Sealed| *r.id.uuid().as_bytes()),
        seen: all(toys, |r: &Seen| *r.id.uuid().as_bytes()),
        totals: all(toys, |r: &Total| *r.id.uuid().as_bytes()),
    }
}

impl Model {
    fn run(&mut self, acts: &[Act], codes: &mut Vec<&'static str>) {
        for act in acts {
            let code = self.act(act, codes);
            codes.push(code);
        }
    }

    fn act(&mut self, act: &Act, codes: &mut Vec<&'static str>) -> &'static str {
        match act {
            Act::Note(new) => return self.put_note(new),
            Act::Folder(new) => {
                if new.inside.is_some_and(|at| at != new.id && !self.has_folder(at)) {
                    return "missing_target";
                }
                self.folders.insert(number(new.id), new.clone());
            }
            Act::Job(new) => {
                if new.note.is_some_and(|at| !self.notes.contains_key(&number(at))) {
                    return "missing_target";
                }
                self.jobs.insert(number(new.id), new.clone());
            }
            Act::Line(new) => {
                if self.lines.get(&number(new.id)).is_some_and(|old| old != new) {
                    return "log_row";
                }
                self.lines.insert(number(new.id), new.clone());
            }
            Act::Sealed(new) => drop(self.sealed.insert(number(new.id), new.clone())),
            Act::Seen(new) => drop(self.seen.insert(number(new.id), new.clone())),
            Act::Total(new) => drop(self.totals.insert(number(new.id), new.clone())),
            Act::DeleteNote(n) => return self.delete(BTreeSet::from([*n]), BTreeSet::new()),
            Act::DeleteFolder(n) => return self.delete(BTreeSet::new(), BTreeSet::from([*n])),
            Act::DeleteJob(n) => drop(self.jobs.remove(n)),
            Act::DeleteSealed(n) => drop(self.sealed.remove(n)),
            Act::DeleteSeen(n) => drop(self.seen.remove(n)),
            Act::Attempt(acts, fails) => {
                let before = self.clone();
                self.run(acts, codes);
                if *fails {
                    *self = before;
                    return "stale";
                }
            }
        }
        "ok"
    }

    fn has_folder(&self, at: kernel::AgentId) -> bool {
        self.folders.contains_key(&number(at))
    }

    fn put_note(&mut self, new: &Note) -> &'static str {
        let mut others = self.notes.values().filter(|other| other.id != new.id);
        if new.slug.is_some() && others.any(|other| other.slug == new.slug) {
            return "taken";
        }
        let missing = |at| at != new.id && !self.notes.contains_key(&number(at));
        if new.parent.is_some_and(missing)
            || new.guard.is_some_and(missing)
            || new.folder.is_some_and(|at| !self.has_folder(at))
        {
            return "missing_target";
        }
        self.notes.insert(number(new.id), new.clone());
        "ok"
    }

    fn delete(&mut self, mut notes: BTreeSet<u64>, mut folders: BTreeSet<u64>) -> &'static str {
        notes.retain(|n| self.notes.contains_key(n));
        folders.retain(|n| self.folders.contains_key(n));
        loop {
            let size = folders.len();
            let inside = |f: &&Folder| f.inside.is_some_and(|at| folders.contains(&number(at)));
            let more: Vec<u64> =
                self.folders.values().filter(inside).map(|f| number(f.id)).collect();
            folders.extend(more);
            if folders.len() == size {
                break;
            }
        }
        let lies = |n: &&Note| n.folder.is_some_and(|at| folders.contains(&number(at)));
        notes.extend(self.notes.values().filter(lies).map(|n| number(n.id)));
        let hit = |at: Option<kernel::TaskId>| at.is_some_and(|at| notes.contains(&number(at)));
        if self.notes.iter().any(|(n, row)| !notes.contains(n) && hit(row.guard)) {
            return "referenced";
        }
        self.folders.retain(|n, _| !folders.contains(n));
        self.notes.retain(|n, _| !notes.contains(n));
        self.jobs.retain(|_, job| !hit(job.note));
        for row in self.notes.values_mut().filter(|row| hit(row.parent)) {
            row.parent = None;
        }
        "ok"
    }

    /// Number of rows in the feed that differ.
    fn changes_to(&self, other: &Self) -> usize {
        fn differ<R: PartialEq + Debug>(a: &BTreeMap<u64, R>, b: &BTreeMap<u64, R>) -> usize {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().filter(|key| a.get(key) != b.get(key)).count()
        }
        differ(&self.notes, &other.notes)
            + differ(&self.folders, &other.folders)
            + differ(&self.jobs, &other.jobs)
            + differ(&self.lines, &other.lines)
            + differ(&self.sealed, &other.sealed)
    }
}

fn number(id: impl kernel::TypedId) -> u64 {
    let bytes = *id.uuid().as_bytes();
    u64::from_be_bytes(bytes[8..].try_into().expect("eight bytes"))
}
