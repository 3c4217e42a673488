//! Space used by a store: by table, on disk and in memory, and how much of it is waste.

use serde::Serialize;

use super::error::StoreError;
use super::schema::{Kind, builtin};
use super::{Store, codec, feed};

/// What one table takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableStats {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// `records`, `index`, `sums` or `store`.
    pub kind: &'static str,
    /// Its rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub stored: u64,
    /// Bytes of the tree around them.
    pub overhead: u64,
    /// Bytes of its pages that hold nothing.
    pub fragmented: u64,
}

/// The last compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Compacted {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Bytes on the disk before.
    pub before: u64,
    /// Bytes on the disk after.
    pub after: u64,
}

/// What a store takes.
#[derive(Clone, Debug, Serialize)]
pub struct StoreStats {
    /// The tables, largest first.
    pub tables: Vec<TableStats>,
    /// The length of the file.
    pub file: u64,
    /// What the file takes on the disk.
    pub on_disk: u64,
    /// Bytes of keys and values.
    pub stored: u64,
    /// Bytes of the trees around them.
    pub overhead: u64,
    /// Bytes in pages that are only partly full.
    pub fragmented: u64,
    /// Bytes of the file that belong to no table.
    pub free: u64,
    /// The page cache, in bytes.
    pub cache: u64,
    /// The last entry of the feed.
    pub feed: u64,
    /// The age of the oldest snapshot that is still read, in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
    /// Bytes written since the store was opened.
    pub written: u64,
    /// fsyncs since then.
    pub syncs: u64,
    /// Transactions a second, over the last minute.
    pub writes_per_second: f64,
    /// The last compaction.
    pub compacted: Option<Compacted>,
}

impl StoreStats {
    /// What stands in the file: rows, trees, and the room in their pages.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.stored + self.overhead + self.fragmented
    }
}

/// The row that remembers what was in use when it was last looked.
pub(super) const IN_USE: &[u8] = b"in_use";
/// The row of the last compaction.
pub(super) const COMPACTED: &[u8] = b"compacted";

/// Looks at every table, each in a snapshot of its own. Reads the whole file.
pub fn stats(store: &Store) -> Result<StoreStats, StoreError> {
    let mut tables = Vec::new();
    for info in store.schema().tables() {
        let figures = store.read(|snap| snap.table_stats(info.number))?;
        let kind = match info.kind {
            Kind::Record(_) => "records",
            Kind::Index => "index",
            Kind::Count => "sums",
            Kind::Builtin => "store",
        };
        tables.push(TableStats {
            number: info.number,
            name: info.name,
            kind,
            rows: figures.rows,
            stored: figures.stored,
            overhead: figures.overhead,
            fragmented: figures.fragmented,
        });
    }
    let sum = |part: fn(&TableStats) -> u64| tables.iter().map(part).sum::<u64>();
    let (stored, overhead) = (sum(|t| t.stored), sum(|t| t.overhead));
    let fragmented = sum(|t| t.fragmented);
    tables.sort_by_key(|t| std::cmp::Reverse(t.stored + t.overhead));
    let (file, on_disk) = store.file_size();
    let counters = store.counters();
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    Ok(StoreStats {
        file,
        on_disk,
        stored,
        overhead,
        fragmented,
        free: file.saturating_sub(stored + overhead + fragmented),
        cache: store.cache_size() as u64,
        feed: store.read(|snap| feed::last(snap))?.seq,
        oldest_snapshot_ms: store
            .oldest_snapshot()
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        written: counters.written.load(relaxed),
        syncs: counters.syncs.load(relaxed),
        writes_per_second: store.writes_per_second(),
        compacted: last_compaction(store)?,
        tables,
    })
}

/// The last compaction, if there was one.
pub fn last_compaction(store: &Store) -> Result<Option<Compacted>, StoreError> {
    let row = store.read(|snap| super::Read::raw_get(snap, builtin::META, COMPACTED))?;
    row.map(|row| Ok(codec::decode(&row)?)).transpose()
}
