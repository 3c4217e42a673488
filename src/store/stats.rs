//! Space used by a store: per table, on disk and in memory, and the share of waste.

use serde::Serialize;

use super::error::StoreError;
use super::schema::{Kind, builtin};
use super::{Store, codec, feed};

/// Space used by one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableStats {
    /// Number of the table.
    pub number: u16,
    /// Name of the table.
    pub name: &'static str,
    /// `records`, `index`, `sums` or `store`.
    pub kind: &'static str,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub stored: u64,
    /// Bytes of the tree structure.
    pub overhead: u64,
    /// Unused bytes in its pages.
    pub fragmented: u64,
}

/// The last compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Compacted {
    /// Unix time in milliseconds.
    pub at: i64,
    /// Duration in milliseconds.
    pub took_ms: u64,
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk after.
    pub after: u64,
}

/// Space used by a store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreStats {
    /// The tables, largest first.
    pub tables: Vec<TableStats>,
    /// Length of the file in bytes.
    pub file: u64,
    /// Size of the file on disk in bytes.
    pub on_disk: u64,
    /// Bytes of keys and values.
    pub stored: u64,
    /// Bytes of the tree structures.
    pub overhead: u64,
    /// Unused bytes in partly filled pages.
    pub fragmented: u64,
    /// Bytes of the file that belong to no table.
    pub free: u64,
    /// Size of the page cache in bytes.
    pub cache: u64,
    /// The last entry of the feed.
    pub feed: u64,
    /// The age of the oldest open snapshot in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
    /// Bytes written since the store was opened.
    pub written: u64,
    /// Number of fsyncs since the store was opened.
    pub syncs: u64,
    /// Transactions per second, averaged over the last minute.
    pub writes_per_second: f64,
    /// The last compaction.
    pub compacted: Option<Compacted>,
}

impl StoreStats {
    /// Bytes in use: rows, trees and unused space in their pages.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.stored + self.overhead + self.fragmented
    }
}

/// Key of the row with the bytes in use at the last check.
pub(super) const IN_USE: &[u8] = b"in_use";
/// Key of the row with the last compaction.
pub(super) const COMPACTED: &[u8] = b"compacted";

/// Measures every table, each in its own snapshot. Reads the whole file.
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
