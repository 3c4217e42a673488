//! Record types and stores for these tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::id::SeededIds;
use kernel::key::KeyBuf;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    AccountId, Actor, AgentId, Cause, CommentId, DeliverableId, Event, InputId, ItemId, Part,
    RoutineId, RunId, TaskId, TokenId, TypedId, UsageId, VersionId,
};
use serde::{Deserialize, Serialize};
use store::{
    BlobId, BlobRefs, Class, Count, Counts, DecodeError, Faults, Index, Keys, Limits, NoFaults,
    OnDelete, Options, Record, Refs, Root, Schema, Store, StoreError, Table, WriteTx, codec,
};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);

/// Declares the common parts of the test records.
macro_rules! toy {
    ($name:ident, $id:ty, $table:literal, $label:literal, $class:ident { $($rest:tt)* }) => {
        impl Record for $name {
            type Id = $id;
            const TABLE: Table = Table::new($table, $label);
            const CLASS: Class = Class::$class;
            fn id(&self) -> $id {
                self.id
            }
            $($rest)*
        }
    };
}

/// A tracked record with everything that a record can declare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub id: TaskId,
    pub owner: String,
    pub slug: Option<String>,
    pub labels: Vec<u8>,
    pub folder: Option<AgentId>,
    pub parent: Option<TaskId>,
    pub guard: Option<TaskId>,
    pub size: i64,
}

impl Note {
    pub const BY_OWNER: Index = Index::multi(101, "note_by_owner");
    pub const BY_SLUG: Index = Index::unique(102, "note_by_slug");
    pub const BY_LABEL: Index = Index::multi(103, "note_by_label");
    pub const IN_FOLDER: Count = Count::new(104, "notes_in_folder");
    pub const SIZE_OF_OWNER: Count = Count::new(105, "size_of_owner");

    pub fn new(id: TaskId, owner: &str) -> Self {
        Self {
            id,
            owner: owner.to_owned(),
            slug: None,
            labels: Vec::new(),
            folder: None,
            parent: None,
            guard: None,
            size: 1,
        }
    }
}

toy!(Note, TaskId, 100, "note", Tracked {
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[Self::BY_OWNER, Self::BY_SLUG, Self::BY_LABEL];
    const COUNTS: &'static [Count] = &[Self::IN_FOLDER, Self::SIZE_OF_OWNER];
    const TOGETHER: &'static [&'static [&'static str]] = &[&["labels", "size"]];

    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_OWNER).text(&self.owner).part(self.size);
        if let Some(slug) = &self.slug {
            keys.entry(Self::BY_SLUG).text(slug);
        }
        for label in &self.labels {
            keys.entry(Self::BY_LABEL).u8(*label);
        }
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Folder>(1, self.folder, OnDelete::Cascade);
        refs.to::<Note>(2, self.parent, OnDelete::Clear);
        refs.to::<Note>(3, self.guard, OnDelete::Refuse);
    }

    fn clear(&mut self, field: u8) {
        if field == 2 {
            self.parent = None;
        }
    }

    fn root(&self) -> Root {
        self.folder.map_or_else(|| Root::of::<Self>(self.id), Root::of::<Folder>)
    }

    fn counts(&self, counts: &mut Counts) {
        if let Some(folder) = self.folder {
            counts.one(Self::IN_FOLDER).part(folder);
        }
        counts.add(Self::SIZE_OF_OWNER, self.size).text(&self.owner);
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        // The first layout had an id and an owner.
        match version {
            1 => codec::decode::<(TaskId, String)>(body).map(|(id, owner)| Self::new(id, &owner)),
            _ => Err(DecodeError::UnknownVersion { table: "note", version }),
        }
    }

    fn sample() -> Self {
        Self {
            slug: Some("plan".to_owned()),
            labels: vec![1, 200],
            folder: Some(folder(3)),
            parent: Some(note(4)),
            guard: Some(note(5)),
            size: -7,
            ..Self::new(note(2), "mira")
        }
    }
});

/// Contains notes; deleted with everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    pub id: AgentId,
    pub inside: Option<AgentId>,
}

toy!(Folder, AgentId, 110, "folder", Tracked {
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Folder>(1, self.inside, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { id: folder(1), inside: None }
    }
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub id: UsageId,
    pub note: TaskId,
    pub amount: i64,
}

impl Line {
    pub const BY_NOTE: Index = Index::multi(121, "line_by_note");
    pub const SUM: Count = Count::new(122, "sum_of_lines");
}

toy!(Line, UsageId, 120, "line", Log {
    const INDEXES: &'static [Index] = &[Self::BY_NOTE];
    const COUNTS: &'static [Count] = &[Self::SUM];

    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_NOTE).part(self.note);
    }
    fn counts(&self, counts: &mut Counts) {
        counts.add(Self::SUM, self.amount).part(self.note);
    }
    fn sample() -> Self {
        Self { id: id(1), note: note(2), amount: 5 }
    }
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub id: TokenId,
    pub value: String,
}

toy!(Sealed, TokenId, 130, "sealed", Sealed {
    fn sample() -> Self {
        Self { id: id(1), value: "enc".to_owned() }
    }
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: ItemId,
    pub note: Option<TaskId>,
    pub open: bool,
}

impl Job {
    pub const OPEN: Index = Index::multi(141, "open_job");
}

toy!(Job, ItemId, 140, "job", Work {
    const INDEXES: &'static [Index] = &[Self::OPEN];

    fn index(&self, keys: &mut Keys) {
        if self.open {
            keys.entry(Self::OPEN);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Note>(1, self.note, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { id: id(1), note: None, open: true }
    }
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub id: AccountId,
    pub at: i64,
}

toy!(Seen, AccountId, 150, "seen", Local {
    fn sample() -> Self {
        Self { id: id(1), at: 1 }
    }
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    pub id: RoutineId,
    pub n: u64,
}

toy!(Total, RoutineId, 160, "total", Derived {
    fn sample() -> Self {
        Self { id: id(1), n: 1 }
    }
});

/// A faulty record: its `clear` forgets its field, and it does not name the blob that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sloppy {
    pub id: RunId,
    pub note: Option<TaskId>,
    pub blob: Option<BlobId>,
}

toy!(Sloppy, RunId, 170, "sloppy", Tracked {
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Note>(1, self.note, OnDelete::Clear);
    }
    fn sample() -> Self {
        Self { id: id(1), note: None, blob: None }
    }
});

/// A record that holds blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    pub id: CommentId,
    pub blobs: Vec<BlobId>,
    pub folder: Option<AgentId>,
}

toy!(Paper, CommentId, 180, "paper", Tracked {
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|paper, blobs| {
        paper.blobs.iter().for_each(|blob| blobs.one(*blob));
    });
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Folder>(1, self.folder, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { id: id(1), blobs: vec![BlobId::of(b"a")], folder: None }
    }
});

/// A `Work` record that holds a blob while it exists and may be part of another; it has no history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    pub id: InputId,
    pub blob: BlobId,
    pub job: Option<ItemId>,
}

toy!(Slip, InputId, 190, "slip", Work {
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|slip, blobs| blobs.one(slip.blob));
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Job>(1, self.job, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { id: id(1), blob: BlobId::of(b"a"), job: None }
    }
});

/// A tracked record whose JSON may hold less than its bytes: NaN becomes null. Two of its fields form a group, and one
/// is a stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub id: DeliverableId,
    pub name: String,
    pub low: Option<u8>,
    pub high: Option<u8>,
    pub level: Option<f64>,
    pub rate: f64,
    pub updated_at: u64,
}

impl Probe {
    pub fn new(n: u64, name: &str) -> Self {
        let (level, rate) = (Some(1.0), 1.0);
        Self { id: id(n), name: name.to_owned(), low: None, high: None, level, rate, updated_at: 1 }
    }
}

toy!(Probe, DeliverableId, 200, "probe", Tracked {
    const TOGETHER: &'static [&'static [&'static str]] = &[&["low", "high"]];

    fn sample() -> Self {
        Self::new(1, "sample")
    }
});

/// A `Local` record about a note; may also be written on a full disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub id: VersionId,
    pub note: Option<TaskId>,
}

toy!(Mark, VersionId, 210, "mark", Local {
    const WHEN_FULL: bool = true;
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Note>(1, self.note, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { id: id(1), note: None }
    }
});

pub fn schema() -> Schema {
    store::schema![Note, Folder, Line, Sealed, Job, Seen, Total, Sloppy, Paper, Slip, Probe, Mark]
}

/// A runtime for asynchronous functions.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// The id with this number.
pub fn id<T: TypedId>(n: u64) -> T {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    T::from_bytes(bytes)
}

pub fn note(n: u64) -> TaskId {
    id(n)
}

pub fn folder(n: u64) -> AgentId {
    id(n)
}

pub const ACTOR: Actor = Actor::System(Part::Cli);
pub const CAUSE: Cause = Cause::Setup;

/// An event with text, for reactions in tests.
pub fn says(text: &str) -> Event {
    Event::AgentMessageSent { from: id(1), to: id(2), task: None, text: text.to_owned() }
}

pub fn text_of(event: &Event) -> &str {
    match event {
        Event::AgentMessageSent { text, .. } => text,
        _ => "",
    }
}

/// A store of test records in its own folder.
pub struct Toys {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub folder: tempfile::TempDir,
}

/// Settings of a test store.
pub struct With {
    pub faults: Arc<dyn Faults>,
    pub reactor: Option<Arc<store::Reactor>>,
    pub limits: Limits,
    pub cache: usize,
}

impl Default for With {
    fn default() -> Self {
        Self {
            faults: Arc::new(NoFaults),
            reactor: None,
            // The quiet commit and the turn limit have their own tests. Elsewhere they would make batches and steps
            // depend on the load of the machine.
            limits: Limits { turn: LONG, quiet: LONG, ..Limits::default() },
            cache: 4 << 20,
        }
    }
}

impl With {
    pub fn open(self) -> Toys {
        let folder = folder_in_memory();
        let clock = Arc::new(ManualClock::at(from_ms(1_700_000_000_000)));
        let store = self.open_at(&folder.path().join("toys.redb"), &clock).expect("it opens");
        Toys { store, clock, folder }
    }

    pub fn open_at(self, path: &Path, clock: &Arc<ManualClock>) -> Result<Store, StoreError> {
        let options = Options {
            path: path.to_owned(),
            schema: schema(),
            cache: self.cache,
            clock: Arc::clone(clock) as Arc<dyn kernel::Clock>,
            ids: Arc::new(SeededIds::new(7)),
            reactor: self.reactor,
            faults: self.faults,
        };
        Store::open_with(options, self.limits)
    }
}

/// A temporary folder in memory if there is space: these tests create thousands of files and do not depend on the disk.
pub fn folder_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = store::disk::free_space(memory).is_ok_and(|free| free > 2 << 30);
    let folder = if roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

impl Toys {
    pub fn open() -> Self {
        With::default().open()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("toys.redb")
    }

    /// Runs one transaction.
    pub fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store.write_blocking(ACTOR, CAUSE, body)
    }

    /// Writes one record in its own transaction.
    pub fn put<R: Record + Send>(&self, record: R) -> Result<(), StoreError> {
        self.write(move |tx| tx.put(&record))
    }

    pub fn get<R: Record>(&self, id: R::Id) -> Option<R> {
        self.get_rev(id).map(|(record, _)| record)
    }

    pub fn get_rev<R: Record>(&self, id: R::Id) -> Option<(R, u64)> {
        use store::ReadExt;
        self.store.read(|snap| snap.get_rev::<R>(id)).expect("it can be read")
    }

    pub fn seq(&self) -> u64 {
        self.store.head().seq
    }

    /// Closes the store and reopens its file.
    pub fn reopen(self) -> Self {
        self.reopen_with(With::default())
    }

    pub fn reopen_with(self, with: With) -> Self {
        let path = self.path();
        let Self { store, clock, folder } = self;
        drop(store);
        let store = with.open_at(&path, &clock).expect("it opens again");
        Self { store, clock, folder }
    }
}

/// A key of one text.
pub fn text(text: &str) -> KeyBuf {
    let mut key = KeyBuf::new();
    key.text(text);
    key
}

/// Every row of these tables, read directly from the file.
pub fn rows(db: &redb::Database, tables: &[&'static str]) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    use redb::{ReadableDatabase, ReadableTable};
    let txn = db.begin_read().expect("a read");
    let mut all = Vec::new();
    for name in tables {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new(name);
        let table = txn.open_table(table).expect("a table");
        for row in table.iter().expect("rows") {
            let (key, value) = row.expect("a row");
            all.push((*name, key.value().to_vec(), value.value().to_vec()));
        }
    }
    all
}

/// A row that is changed or deleted directly in the file: table, key, new value.
pub type Tampered = (&'static str, Vec<u8>, Option<Vec<u8>>);

/// Changes the file while the store is closed.
pub fn tamper(toys: Toys, change: impl FnOnce(&redb::Database) -> Vec<Tampered>) -> Toys {
    let path = toys.path();
    toys.store.close();
    let db = redb::Database::open(path).expect("nobody else has it");
    let changes = change(&db);
    let txn = db.begin_write().expect("a write");
    for (name, key, value) in changes {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new(name);
        let mut table = txn.open_table(table).expect("a table");
        match value {
            Some(value) => drop(table.insert(&key[..], &value[..]).expect("a row")),
            None => drop(table.remove(&key[..]).expect("a row")),
        }
    }
    txn.commit().expect("a commit");
    drop(db);
    toys.reopen()
}
