//! Undo of a long run's changes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use kernel::Cause;
use store::undo::{self, Ask, Unguarded};
use store::{ReadExt, Record as _, StoreError};

use crate::fixture::{ACTOR, open, real};
use crate::records::Note;
use crate::{Failure, Figure};

/// Changed records: the limit of one undo.
const CHANGES: usize = 10_000;
/// Records per entry.
const PIECE: usize = 500;

/// Undo of 10,000 changes in 20 entries: plan, commit, and a check of all fields.
pub fn many(folder: &Path) -> Result<Figure, Failure> {
    let store = open(&folder.join("undo.redb"), 32 << 20, real())?;
    let mut ids = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES / PIECE {
        ids.extend(store.write_blocking(ACTOR, Cause::Setup, |tx| {
            (0..PIECE)
                .map(|_| {
                    let note = Note { id: tx.new_id(), ..Note::sample() };
                    tx.put(&note).map(|()| note.id)
                })
                .collect::<Result<Vec<_>, StoreError>>()
        })?);
    }
    let before = store.head().seq;
    for piece in ids.chunks(PIECE) {
        let piece = piece.to_vec();
        store.write_blocking(ACTOR, Cause::Setup, move |tx| {
            for id in piece {
                let mut note = tx.get::<Note>(id)?.ok_or(StoreError::Stale)?;
                note.label += 1;
                note.text.push_str("And one more.");
                tx.put(&note)?;
            }
            Ok::<_, StoreError>(())
        })?;
    }
    let entries: BTreeSet<u64> = (before + 1..=store.head().seq).collect();
    let began = Instant::now();
    store.write_blocking(ACTOR, Cause::Undo(before + 1), move |tx| {
        let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
        let plan = undo::plan(tx, tx.schema(), &ask)?;
        tx.undo(&plan)
    })?;
    let took = began.elapsed();
    let sample = Note::sample();
    let back = store.read(|snap| {
        ids.iter().try_fold(0, |back, id| {
            let note = snap.get::<Note>(*id)?;
            let same = |note: Note| note.label == sample.label && note.text == sample.text;
            Ok::<_, StoreError>(back + usize::from(note.is_some_and(same)))
        })
    })?;
    Ok(Figure {
        promise: "≤ 5 s".to_owned(),
        ours: format!("{:.2} s, {back} of {CHANGES} as before", took.as_secs_f64()),
        kept: took.as_secs_f64() <= 5.0 && back == CHANGES,
    })
}
