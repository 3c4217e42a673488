//! State of the search index as a consumer, for health pages and commands.

use super::document::Reader;
use crate::global_search::follow::concerned;
use app::Ws;
use store::consumer::{Consume, ConsumeError, Rebuilding, Standing, State, dead_letters};
use store::{Cursor, Entry, StoreError, WriteTx, feed};

/// Consumer number; the name is [`NAME`].
pub const NUMBER: u16 = 250;
/// Consumer name.
pub const NAME: &str = "search";

/// The search index as a consumer with dead letters, for retrying or dropping them. It takes no entries itself: if one
/// is readable again, the index is rebuilt.
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

/// State of the search index. `None` if there is no index yet.
pub fn standing(ws: &Ws) -> Result<Option<Standing>, StoreError> {
    let finding = &ws.finding;
    // During a rebuild the index is missing for a moment.
    if finding.building().is_none() && !finding.index.is_begun() {
        return Ok(None);
    }
    let head = ws.store.head();
    // A process that does not follow the feed, such as a command, reads the stored position.
    let kept = || finding.index.place().ok().flatten(); // ok: a damaged index starts from scratch
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
