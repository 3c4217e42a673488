//! Items that search by meaning leaves out: what cannot be cut into passages, or gets no vector, is tried five times and
//! then becomes a dead letter of the follower `vectors`. All other items go on meanwhile. People see the letters in Health
//! and let them be tried again or drop them; a change of the item is a new try, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use app::consumers::Follower;
use kernel::{Actor, Cause, Part};
use store::consumer::{self, Consume, ConsumeError, Standing, State, Told};
use store::{Entry, ReadExt as _, StoreError, WriteTx, feed};
use tokio::time::Instant;

use super::source;
use crate::model::{Item, KnowledgeId};
use crate::queries;

/// Its number among the consumers; never used again.
pub const NUMBER: u16 = 251;
/// What people and commands call it.
pub const NAME: &str = "vectors";
/// How often an item is tried.
const TRIES: u32 = 5;
/// Who writes what is left out.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Consumer(NUMBER));

/// The vectors of passages, beside the consumers.
#[must_use]
pub fn follower() -> Follower {
    Follower { letters: Arc::new(Letters), standing }
}

/// The letters for people who try them again. The worker does so, and gives up anew what it cannot take.
struct Letters;

impl Consume for Letters {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn handle(&self, tx: &mut WriteTx<'_>, _entry: &Entry) -> Result<(), ConsumeError> {
        Ok(consumer::tell(tx, NUMBER, Told::Anew)?)
    }
}

/// Where the vectors stand; nothing while nobody makes any and nothing was left out.
fn standing(ws: &Ws) -> Result<Option<Standing>, StoreError> {
    let head = ws.store.head();
    let dead = ws.read(|snap| consumer::dead_letters(snap, NUMBER))?;
    if dead.is_empty() && source(ws)?.is_none() {
        return Ok(None);
    }
    // A command that makes none itself does not know how far they are.
    let seen = ws.vectors.seen().filter(|seen| seen.incarnation == head.incarnation);
    let cursor = seen.map_or(head.seq, |seen| seen.seq);
    let behind = head.seq.saturating_sub(cursor);
    let first = ws.read(|snap| feed::entry(snap, cursor + 1))?;
    Ok(Some(Standing {
        number: NUMBER,
        name: NAME,
        state: State {
            incarnation: head.incarnation,
            cursor,
            last_error: ws.vectors.trouble(),
            ..State::default()
        },
        rebuilding: None,
        can_rebuild: false,
        can_rewind: false,
        can_pause: false,
        head: head.seq,
        behind,
        behind_since: first.filter(|_| 0 < behind).map(|entry| entry.at),
        dead,
    }))
}

/// An item that is tried again.
struct Failing {
    tries: u32,
    next: Instant,
}

/// What is tried again and what was given up.
#[derive(Default)]
pub(super) struct LeftOut {
    failing: BTreeMap<KnowledgeId, Failing>,
    /// Items that were given up, with the entries of their letters.
    given_up: BTreeMap<KnowledgeId, u64>,
    /// Letters of before, while all items are looked at again.
    former: BTreeSet<u64>,
    /// Whether somebody wants what was left out to be tried again.
    told: Option<Told>,
    has_looked: bool,
}

impl LeftOut {
    /// Looks at the letters at the beginning, and when somebody has done something with one. Returns whether all items are
    /// to be looked at again.
    pub(super) fn look(&mut self, ws: &Ws, has_changed: bool) -> Result<bool, StoreError> {
        if self.has_looked && !has_changed {
            return Ok(false);
        }
        let (letters, told) = ws.read(|snap| {
            let letters = consumer::dead_letters(snap, NUMBER)?;
            Ok::<_, StoreError>((letters, consumer::order_for(snap, NUMBER)?))
        })?;
        let letters: BTreeSet<u64> = letters.into_iter().map(|(seq, _)| seq).collect();
        self.given_up.retain(|_, seq| letters.contains(seq));
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let anew = told.is_some() || (is_first && !letters.is_empty());
        if anew {
            (self.failing, self.given_up) = (BTreeMap::new(), BTreeMap::new());
            (self.former, self.told) = (letters, told);
        }
        self.count(ws);
        Ok(anew)
    }

    /// Takes in that an item failed: it is tried again later, or given up.
    pub(super) fn failed(
        &mut self,
        ws: &Ws,
        item: KnowledgeId,
        why: &str,
    ) -> Result<(), StoreError> {
        let tries = self.failing.get(&item).map_or(0, |one| one.tries) + 1;
        if tries < TRIES {
            tracing::warn!(%item, tries, why, "an item is tried again for search by meaning");
            let next = Instant::now() + ws.app.consumers.pause_after(tries);
            self.failing.insert(item, Failing { tries, next });
            return Ok(());
        }
        self.give_up(ws, item, why)
    }

    /// Leaves an item out, with a letter that says why.
    pub(super) fn give_up(
        &mut self,
        ws: &Ws,
        item: KnowledgeId,
        why: &str,
    ) -> Result<(), StoreError> {
        self.failing.remove(&item);
        let found = ws.read(|snap| {
            let Some((found, rev)) = snap.get_rev::<Item>(item)? else { return Ok(None) };
            let rev = queries::words(snap, item)?.map_or(rev, |(_, rev)| rev);
            Ok::<_, StoreError>(Some((found.title, rev.max(1))))
        })?;
        let Some((title, seq)) = found else { return Ok(()) };
        tracing::warn!(%item, why, "an item is left out of search by meaning");
        let said = format!("\"{title}\" is left out of search by meaning: {why}");
        ws.store.write_blocking(BY.0, BY.1, move |tx| consumer::give_up(tx, NUMBER, seq, said))?;
        self.given_up.insert(item, seq);
        self.count(ws);
        Ok(())
    }

    /// Forgets an item that has changed, gone or come through.
    pub(super) fn forget(&mut self, ws: &Ws, item: KnowledgeId) -> Result<(), StoreError> {
        self.failing.remove(&item);
        let Some(seq) = self.given_up.remove(&item) else { return Ok(()) };
        self.count(ws);
        // Several items may have been written at once.
        if self.given_up.values().all(|other| *other != seq) {
            drop_letters(ws, vec![seq])?;
        }
        Ok(())
    }

    /// An item whose next try is due.
    pub(super) fn due(&self) -> Option<KnowledgeId> {
        let now = Instant::now();
        self.failing.iter().find(|(_, one)| one.next <= now).map(|(item, _)| *item)
    }

    /// How long until the next try; none when nothing is tried again.
    pub(super) fn wait(&self) -> Option<Duration> {
        let next = self.failing.values().map(|one| one.next).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The items that are tried again.
    pub(super) fn failing(&self) -> impl Iterator<Item = KnowledgeId> + '_ {
        self.failing.keys().copied()
    }

    /// All items were looked at: letters of before whose items have come through go.
    pub(super) fn settle(&mut self, ws: &Ws) -> Result<(), StoreError> {
        let former = std::mem::take(&mut self.former);
        let kept: BTreeSet<u64> = self.given_up.values().copied().collect();
        let gone: Vec<u64> = former.difference(&kept).copied().collect();
        if !gone.is_empty() {
            drop_letters(ws, gone)?;
        }
        if let Some(told) = self.told.take() {
            ws.store.write_blocking(BY.0, BY.1, move |tx| consumer::obeyed(tx, NUMBER, told))?;
        }
        self.count(ws);
        Ok(())
    }

    fn count(&self, ws: &Ws) {
        ws.vectors.leave_out(self.given_up.len().max(self.former.len()));
    }
}

fn drop_letters(ws: &Ws, letters: Vec<u64>) -> Result<(), StoreError> {
    ws.store.write_blocking(BY.0, BY.1, move |tx| {
        letters.iter().try_for_each(|seq| consumer::drop_letter(tx, NUMBER, *seq).map(drop))
    })
}
