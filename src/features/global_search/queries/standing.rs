//! Where the search index stands, as health pages and commands show it beside the other consumers.

use super::document::Reader;
use crate::global_search::follow::concerned;
use app::Ws;
use store::consumer::{Consume, ConsumeError, Rebuilding, Standing, State, dead_letters};
use store::{Cursor, Entry, StoreError, WriteTx, feed};

/// Its number among the consumers; its name is [`NAME`].
pub const NUMBER: u16 = 250;
/// What people and commands call it.
pub const NAME: &str = "search";

/// The search index as the consumer that gave entries up, for people who try them again or drop them. It
/// takes nothing itself: an entry that can be read again is a reason to make the index anew.
pub struct Letters;

impl Consume for Letters {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let mut reader = Reader::new(&*tx);
        for found in concerned(&*tx, entry)? {
            reader.document(&found)?;
        }
        Ok(())
    }
}

/// Where the search index stands; nothing where there is none yet.
pub fn standing(ws: &Ws) -> Result<Option<Standing>, StoreError> {
    let finding = &ws.finding;
    // While it is made anew there is none for a moment.
    if finding.building().is_none() && !finding.index.is_begun() {
        return Ok(None);
    }
    let head = ws.store.head();
    // A program that does not follow it, such as a command, reads how far it goes.
    let kept = || finding.index.place().ok().flatten(); // ok: a damaged one stands at the start
    let seen = finding.seen().or_else(|| kept()?.parse::<Cursor>().ok());
    let cursor = seen.filter(|seen| seen.incarnation == head.incarnation);
    let cursor = cursor.map_or(0, |seen| seen.seq);
    let building = finding.building();
    let first = ws.read(|snap| feed::entry(snap, cursor + 1))?;
    let behind = head.seq.saturating_sub(cursor);
    Ok(Some(Standing {
        number: NUMBER,
        name: NAME,
        state: State {
            incarnation: head.incarnation,
            cursor,
            last_error: finding.error(),
            ..State::default()
        },
        rebuilding: building.map(|rows| Rebuilding::Reading { table: 0, after: Vec::new(), rows }),
        can_rebuild: true,
        can_rewind: true,
        can_pause: false,
        head: head.seq,
        behind,
        behind_since: first.filter(|_| 0 < behind).map(|entry| entry.at),
        dead: ws.read(|snap| dead_letters(snap, NUMBER))?,
    }))
}
