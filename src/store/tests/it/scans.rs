//! Tests of ranges, directions and pages, with and without uncommitted writes.

use std::collections::BTreeSet;

use kernel::key::KeyBuf;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use store::{Range, Read, ReadExt, StoreError, WriteTx, cursor_key, key_cursor};

use super::toys::{Note, Toys, note};

/// Index rows in the model: a label and the number of a note.
type Rows = BTreeSet<(u8, u64)>;

#[derive(Clone, Debug)]
struct Query {
    /// The first label and the exclusive last one, or one label as prefix.
    labels: Result<(u8, u8), u8>,
    reverse: bool,
    after: Option<(u8, u64)>,
    limit: usize,
}

fn query() -> impl Strategy<Value = Query> {
    let labels =
        prop_oneof![(0..6u8, 0..7u8).prop_map(Ok), prop_oneof![0..6u8, 250..=255u8].prop_map(Err),];
    let after = proptest::option::of((0..6u8, 0..8u64));
    (labels, any::<bool>(), after, 1..9usize).prop_map(|(labels, reverse, after, limit)| Query {
        labels,
        reverse,
        after,
        limit,
    })
}

impl Query {
    fn range(&self) -> Range {
        let at = |label: u8| KeyBuf::of(&label);
        let range = match self.labels {
            Ok((lo, hi)) => Range::between(at(lo), at(hi)),
            Err(label) => Range::prefix(at(label)),
        };
        let range = if self.reverse { range.reverse() } else { range };
        let range = range.limit(self.limit);
        match self.after {
            Some((label, n)) => range.after(at(label).with(&note(n)).bytes()),
            None => range,
        }
    }

    fn ask(&self, rows: &Rows) -> Vec<u64> {
        let inside = |&&(label, n): &&(u8, u64)| {
            let stretch = match self.labels {
                Ok((lo, hi)) => lo <= label && label < hi,
                Err(only) => label == only,
            };
            let behind = self.after.is_none_or(|after| {
                if self.reverse { (label, n) < after } else { (label, n) > after }
            });
            stretch && behind
        };
        let mut found: Vec<u64> = rows.iter().filter(inside).map(|(_, n)| *n).collect();
        if self.reverse {
            found.reverse();
        }
        found.truncate(self.limit);
        found
    }
}

type Labels = Vec<(u64, Option<Vec<u8>>)>;

/// Sets the labels of notes, or deletes the note.
fn lay(tx: &mut WriteTx<'_>, notes: &Labels) -> Result<(), StoreError> {
    for (n, labels) in notes {
        match labels {
            Some(labels) => {
                tx.put(&Note { labels: labels.clone(), ..Note::new(note(*n), "m") })?;
            }
            None => drop(tx.delete::<Note>(note(*n))?),
        }
    }
    Ok(())
}

fn lay_model(rows: &mut Rows, notes: &Labels) {
    for (n, labels) in notes {
        rows.retain(|(_, own)| own != n);
        rows.extend(labels.iter().flatten().map(|label| (*label, *n)));
    }
}

fn labels() -> impl Strategy<Value = Labels> {
    let label = prop_oneof![4 => 0..6u8, 1 => 250..=255u8];
    vec((0..8u64, proptest::option::weighted(0.7, vec(label, 0..4))), 0..10)
}

fn ask(read: &dyn Read, queries: &[Query]) -> Result<Vec<Vec<u64>>, StoreError> {
    let mut found = Vec::new();
    for query in queries {
        let range = query.range();
        let hits = read.hits::<Note>(Note::BY_LABEL, &range)?;
        let ids = read.ids::<Note>(Note::BY_LABEL, &range)?;
        assert_eq!(ids, hits.iter().map(|hit| hit.record.id).collect::<Vec<_>>());
        assert_eq!(read.len(Note::BY_LABEL, &range)?, ids.len());
        let number = |hit: &store::Hit<Note>| {
            u64::from_be_bytes(hit.key[hit.key.len() - 8..].try_into().expect("eight bytes"))
        };
        found.push(hits.iter().map(number).collect());
    }
    Ok(found)
}

proptest! {
    #[test]
    fn a_scan_over_set_and_table_is_that_of_a_model(
        committed in labels(), laid in labels(), above in labels(), queries in vec(query(), 1..8)
    ) {
        let toys = Toys::open();
        let mut rows = Rows::new();
        lay_model(&mut rows, &committed);
        toys.write(move |tx| lay(tx, &committed)).expect("rows");
        let own = queries.clone();
        let snap = toys.store.read(|snap| ask(snap, &own)).expect("a read");
        let wanted = |rows: &Rows| queries.iter().map(|q| q.ask(rows)).collect::<Vec<_>>();
        prop_assert_eq!(snap, wanted(&rows));
        lay_model(&mut rows, &laid);
        lay_model(&mut rows, &above);
        let own = queries.clone();
        let inside = toys.write(move |tx| {
            lay(tx, &laid)?;
            tx.attempt(|tx| {
                lay(tx, &above)?;
                ask(tx, &own)
            })
        });
        prop_assert_eq!(inside.expect("a write"), wanted(&rows));
    }
}

#[test]
fn pages_of_an_index_follow_each_other_without_gap_or_double() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        for n in 0..25 {
            tx.put(&Note { size: 7 - (n as i64 % 3), ..Note::new(note(n), "mira") })?;
        }
        tx.put(&Note::new(note(99), "mirabelle"))
    });
    made.expect("notes");
    for reverse in [false, true] {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut range = Range::prefix(super::toys::text("mira"));
            if reverse {
                range = range.reverse();
            }
            range = range.limit(10);
            if let Some(cursor) = &cursor {
                range = range.after(&cursor_key(cursor).expect("our own cursor"));
            }
            let page = toys.store.read(|snap| snap.hits::<Note>(Note::BY_OWNER, &range));
            let page = page.expect("a read");
            let Some(last) = page.last() else { break };
            cursor = Some(key_cursor(&last.key));
            seen.extend(page.iter().map(|hit| (hit.record.size, hit.record.id)));
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        if reverse {
            sorted.reverse();
        }
        assert_eq!(seen.len(), 25);
        assert_eq!(seen, sorted);
    }
}

#[test]
fn rows_lie_in_the_order_of_their_ids() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        for n in [300, 2, 70_000, 1] {
            tx.put(&Note::new(note(n), "m"))?;
        }
        tx.list::<Note>(&Range::all().reverse().limit(3))
    });
    let ids: Vec<_> = made.expect("notes").into_iter().map(|n| n.id).collect();
    assert_eq!(ids, [note(70_000), note(300), note(2)]);
}
