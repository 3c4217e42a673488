//! Verifies the rows against the heads that wrote them.

use super::*;
use crate::codec;

/// The last key of a slice and the entry as of which it was read.
struct Stretch {
    until: Option<Vec<u8>>,
    head: u64,
}

impl Verifier<'_> {
    /// Verifies all rows of all tables that are in the feed.
    pub(super) fn rows(&mut self, watch: &mut Watch<'_>) -> Result<(), StoreError> {
        let store = self.store;
        let tables =
            store.schema().tables().iter().filter(|t| t.class().is_some_and(Class::in_feed));
        let tables: Vec<u16> = tables.map(|info| info.number).collect();
        // Cached heads may be outdated, because the store was written to meanwhile.
        self.heads = Heads::default();
        let mut read_at: BTreeMap<u16, Vec<Stretch>> = BTreeMap::new();
        for table in tables {
            let faults = self.report.faults_count;
            let stretches = self.table(table, watch)?;
            // A table with reported faults needs no fingerprint.
            if self.report.faults_count == faults {
                read_at.insert(table, stretches);
            }
        }
        self.count_back(&read_at)?;
        if !self.broken.is_empty() {
            return Ok(());
        }
        let wrong: Vec<u16> =
            read_at.keys().copied().filter(|t| self.sums.get(t).is_some_and(|s| *s != 0)).collect();
        for table in wrong {
            self.name_what_is_wrong(table)?;
        }
        Ok(())
    }

    /// Verifies the rows of one table, slice by slice.
    fn table(&mut self, table: u16, watch: &mut Watch<'_>) -> Result<Vec<Stretch>, StoreError> {
        let (store, until) = (self.store, self.until);
        let (mut from, mut stretches, mut end) = (Vec::new(), Vec::new(), false);
        while !end {
            let mut last = Vec::new();
            let head = store.read(|snap| {
                let head = feed::last(snap)?.seq;
                end = slice_of(snap, table, &mut from, &mut |key, value| {
                    last.clear();
                    last.extend_from_slice(key);
                    self.row(snap, (table, key), value, until)
                })?;
                Ok::<_, StoreError>(head)
            })?;
            stretches.push(Stretch { until: (!end).then_some(last), head });
            tell(watch, Progress { what: "rows", done: self.report.rows, total: 0 })?;
        }
        Ok(stretches)
    }

    fn row(
        &mut self,
        read: &dyn Read,
        (table, key): (u16, &[u8]),
        value: &[u8],
        until: u64,
    ) -> Result<(), StoreError> {
        self.report.rows += 1;
        let row = Some((table, key));
        let Ok((_, rev, _)) = codec::unwrap(value) else {
            self.fault(None, row, "is cut short");
            return Ok(());
        };
        if self.broken.contains(&rev) {
            return Ok(());
        }
        let made = self.heads.get(read, rev)?;
        let made = made.and_then(|head| head.changes.get(&(table, key.to_vec())).copied());
        match made {
            Some((op, hash, _))
                if op != Op::Delete && hash == feed::row_hash(table, key, value) =>
            {
                if rev <= until {
                    let sum = self.sums.entry(table).or_default();
                    *sum = sum.wrapping_sub(version(table, key, rev));
                }
            }
            Some((Op::Delete, ..)) => {
                self.fault(Some(rev), row, "is there though this entry removed it");
            }
            Some(_) => {
                let what = "is not what this entry made: its bytes were changed";
                self.fault(Some(rev), row, what);
            }
            None => self.fault(None, row, format!("says that entry {rev} made it, which did not")),
        }
        Ok(())
    }

    /// Subtracts versions that were replaced or deleted after the chain was read and before their row was.
    fn count_back(&mut self, read_at: &BTreeMap<u16, Vec<Stretch>>) -> Result<(), StoreError> {
        let last = read_at.values().flatten().map(|stretch| stretch.head).max().unwrap_or(0);
        let (store, mut after) = (self.store, self.until);
        while after < last {
            // Read from a snapshot, which shows an entry slightly before the store announces it.
            let entries = store.read(|snap| feed::entries(snap, store.schema(), after, 500))?;
            let Some(end) = entries.last().map(|entry| entry.seq) else { break };
            for entry in entries.iter().filter(|entry| entry.seq <= last) {
                for change in &entry.changes {
                    let seen = read_at.get(&change.table).is_some_and(|stretches| {
                        let at = stretches.iter().find(|stretch| {
                            stretch.until.as_ref().is_none_or(|end| change.key <= *end)
                        });
                        at.is_some_and(|stretch| entry.seq <= stretch.head)
                    });
                    // A version created after `until` was never added.
                    if seen && change.op != Op::Insert && change.before_rev <= self.until {
                        let sum = self.sums.entry(change.table).or_default();
                        let was = version(change.table, &change.key, change.before_rev);
                        *sum = sum.wrapping_sub(was);
                    }
                }
            }
            after = end;
        }
        Ok(())
    }

    /// The fingerprint shows that rows are missing, extra or outdated, but not which: rereads all heads for this table.
    /// Holds one snapshot, which happens in damaged stores only.
    fn name_what_is_wrong(&mut self, table: u16) -> Result<(), StoreError> {
        let store = self.store;
        store.read(|snap| {
            let mut live: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            each_head(snap, &mut |entry| {
                for change in entry.changes.into_iter().filter(|change| change.table == table) {
                    match change.op {
                        Op::Delete => live.remove(&change.key),
                        _ => live.insert(change.key, entry.seq),
                    };
                }
            })?;
            let faults = self.report.faults_count;
            for (key, seq) in live {
                let row = Some((table, key.as_slice()));
                match snap.raw_get(table, &key)? {
                    None => self.fault(Some(seq), row, "is gone though no entry removed it"),
                    Some(value) if codec::unwrap(&value).is_ok_and(|(_, rev, _)| rev != seq) => {
                        self.fault(Some(seq), row, "is stored in an older version");
                    }
                    Some(_) => {}
                }
            }
            if self.report.faults_count == faults {
                let what = "has rows that its entries do not account for";
                self.report.fault(Fault {
                    seq: None,
                    table: Some(self.name(table)),
                    id: None,
                    what: what.to_owned(),
                });
            }
            Ok(())
        })
    }
}

/// Visits all readable heads of a snapshot in order.
fn each_head(read: &dyn Read, visit: &mut dyn FnMut(feed::Entry)) -> Result<(), StoreError> {
    read.raw_scan(builtin::FEED, &Range::all(), &mut |key, value| {
        if let Some((seq, 0)) = feed::split(key)
            && let Ok(entry) = feed::decode_head(seq, value)
        {
            visit(entry);
        }
        ControlFlow::Continue(())
    })
}
