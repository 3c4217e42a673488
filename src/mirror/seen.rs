//! What a host can see, by table: for its page, and for comparing both sides.

use kernel::GatewayId;
use sha2::{Digest as _, Sha256};
use store::{Range, Store, StoreError, codec};

use crate::home::piece;
use crate::rows::some;
use crate::{At, Bound, MirrorError, Put, Roots, replication_policy};

/// Rows read per store snapshot.
const PIECE: usize = 1_000;

/// A table's rows on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub table: &'static str,
    pub rows: u64,
    /// The sum of the rows' hashes without revisions; equal on both sides if the rows are equal.
    pub sum: u64,
}

/// Counts by table, without empty tables.
struct Counted {
    all: Vec<Seen>,
    /// Whether hashes are computed; otherwise rows are only counted.
    sums: bool,
}

impl Counted {
    fn new(sums: bool) -> Self {
        Self { all: Vec::new(), sums }
    }

    fn add(&mut self, table: &'static str, (at, row): (&At, &[u8])) -> Result<(), StoreError> {
        if self.all.last().is_none_or(|last| last.table != table) {
            self.all.push(Seen { table, rows: 0, sum: 0 });
        }
        let sum = if self.sums { Self::sum(at, row)? } else { 0 };
        if let Some(last) = self.all.last_mut() {
            last.rows += 1;
            last.sum = last.sum.wrapping_add(sum);
        }
        Ok(())
    }

    fn sum(at: &At, row: &[u8]) -> Result<u64, StoreError> {
        let (version, _, body) = codec::unwrap(row)?;
        let mut hash = Sha256::new();
        hash.update(at.table.to_be_bytes());
        hash.update(u64::try_from(at.key.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(&at.key);
        hash.update([version]);
        hash.update(body);
        let hash = hash.finalize();
        Ok(hash.as_slice().first_chunk::<8>().copied().map_or(0, u64::from_be_bytes))
    }

    fn rows(self) -> Vec<(&'static str, u64)> {
        self.all.into_iter().map(|seen| (seen.table, seen.rows)).collect()
    }
}

/// Counts and hashes of a mirror, sorted by table. Blocking.
pub fn digests(store: &Store) -> Result<Vec<Seen>, MirrorError> {
    Ok(here(store, true)?.all)
}

/// Row counts of a mirror's non-empty tables, sorted by table. Blocking.
pub fn counts(store: &Store) -> Result<Vec<(&'static str, u64)>, MirrorError> {
    Ok(here(store, false)?.rows())
}

fn here(store: &Store, sums: bool) -> Result<Counted, MirrorError> {
    let mut counted = Counted::new(sums);
    for line in replication_policy::REPLICATED {
        let mut range = Range::all();
        loop {
            let table = line.table.number;
            let rows = store.read(|snap| some(snap, table, &range, PIECE))?;
            let count = rows.len();
            for (key, row) in rows {
                range = range.after(&key);
                counted.add(line.table.name, (&At { table, key }, &row))?;
            }
            if count < PIECE {
                break;
            }
        }
    }
    Ok(counted)
}

/// Counts and hashes of what a host with these roots may have of the primary's store, sorted by table. Blocking.
pub fn seen_by(store: &Store, roots: &Roots) -> Result<Vec<Seen>, MirrorError> {
    Ok(scoped(store, roots, true)?.all)
}

fn scoped(store: &Store, roots: &Roots, sums: bool) -> Result<Counted, MirrorError> {
    let (mut counted, mut from) = (Counted::new(sums), None);
    loop {
        let (puts, to) = store.read(|snap| piece((snap, store.schema()), roots, from.as_ref()))?;
        for Put { at, row } in &puts {
            if let Some(line) = replication_policy::of(at.table) {
                counted.add(line.table.name, (at, row))?;
            }
        }
        match to {
            Some(to) => from = Some(to),
            None => return Ok(counted),
        }
    }
}

/// Row counts of the tables that a host can see, for its page. Blocking.
pub fn what_it_sees(
    store: &Store,
    gateway: GatewayId,
    bound: &Bound,
) -> Result<Vec<(&'static str, u64)>, MirrorError> {
    let roots = store.read(|snap| Roots::of(snap, bound(snap, gateway)?))?;
    Ok(scoped(store, &roots, false)?.rows())
}
