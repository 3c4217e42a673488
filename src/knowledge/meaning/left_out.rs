//! Items excluded from semantic search. An item that cannot be split or embedded is tried five times and then becomes a
//! dead letter of the follower `vectors`, while other items continue. Health lists the dead letters and can retry or
//! drop them. A change of the item also retries it.

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

/// Consumer number; must never be reused.
pub const NUMBER: u16 = 251;
/// Name in commands and on pages.
pub const NAME: &str = "vectors";
/// Number of attempts per item.
const TRIES: u32 = 5;
/// Actor and cause of the writes.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Consumer(NUMBER));

/// The follower that maintains vectors.
#[must_use]
pub fn follower() -> Follower {
    Follower { letters: Arc::new(Letters), standing }
}

/// Dead letters for retries by people. The worker retries the items and abandons them again on failure.
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

/// Progress of the follower; `None` without a source and without dead letters.
fn standing(ws: &Ws) -> Result<Option<Standing>, StoreError> {
    let head = ws.store.head();
    let dead = ws.read(|snap| consumer::dead_letters(snap, NUMBER))?;
    if dead.is_empty() && source(ws)?.is_none() {
        return Ok(None);
    }
    // A process without a worker does not know the progress.
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

/// An item to retry.
struct Failing {
    tries: u32,
    next: Instant,
}

/// Items to retry, and abandoned items.
#[derive(Default)]
pub(super) struct LeftOut {
    failing: BTreeMap<KnowledgeId, Failing>,
    /// Abandoned items, with the entries of their dead letters.
    given_up: BTreeMap<KnowledgeId, u64>,
    /// Earlier dead letters, while all items are processed again.
    former: BTreeSet<u64>,
    /// A pending request to retry the abandoned items.
    order: Option<Told>,
    has_looked: bool,
}

impl LeftOut {
    /// Reads the dead letters at the start and after a change of them. Returns whether all items must be processed
    /// again.
    pub(super) fn refresh(&mut self, ws: &Ws, has_changed: bool) -> Result<bool, StoreError> {
        if self.has_looked && !has_changed {
            return Ok(false);
        }
        let (letters, order) = ws.read(|snap| {
            let letters = consumer::dead_letters(snap, NUMBER)?;
            Ok::<_, StoreError>((letters, consumer::order_for(snap, NUMBER)?))
        })?;
        let letters: BTreeSet<u64> = letters.into_iter().map(|(seq, _)| seq).collect();
        self.given_up.retain(|_, seq| letters.contains(seq));
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let anew = order.is_some() || (is_first && !letters.is_empty());
        if anew {
            (self.failing, self.given_up) = (BTreeMap::new(), BTreeMap::new());
            (self.former, self.order) = (letters, order);
        }
        self.count(ws);
        Ok(anew)
    }

    /// Records a failure: schedules a retry, or abandons the item.
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

    /// Abandons an item with a dead letter that states the reason.
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
        let message = format!("\"{title}\" isn’t in semantic search: {why}");
        ws.store
            .write_blocking(BY.0, BY.1, move |tx| consumer::give_up(tx, NUMBER, seq, message))?;
        self.given_up.insert(item, seq);
        self.count(ws);
        Ok(())
    }

    /// Forgets an item that was changed, deleted or embedded.
    pub(super) fn forget(&mut self, ws: &Ws, item: KnowledgeId) -> Result<(), StoreError> {
        self.failing.remove(&item);
        let Some(seq) = self.given_up.remove(&item) else { return Ok(()) };
        self.count(ws);
        // Several items may share an entry.
        if self.given_up.values().all(|other| *other != seq) {
            drop_letters(ws, vec![seq])?;
        }
        Ok(())
    }

    /// An item whose retry is due.
    pub(super) fn due(&self) -> Option<KnowledgeId> {
        let now = Instant::now();
        self.failing.iter().find(|(_, one)| one.next <= now).map(|(item, _)| *item)
    }

    /// Time until the next retry; `None` if there is none.
    pub(super) fn wait(&self) -> Option<Duration> {
        let next = self.failing.values().map(|one| one.next).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The items to retry.
    pub(super) fn failing(&self) -> impl Iterator<Item = KnowledgeId> + '_ {
        self.failing.keys().copied()
    }

    /// All items were processed: drops earlier dead letters of items that succeeded.
    pub(super) fn settle(&mut self, ws: &Ws) -> Result<(), StoreError> {
        let former = std::mem::take(&mut self.former);
        let kept: BTreeSet<u64> = self.given_up.values().copied().collect();
        let gone: Vec<u64> = former.difference(&kept).copied().collect();
        if !gone.is_empty() {
            drop_letters(ws, gone)?;
        }
        if let Some(order) = self.order.take() {
            ws.store.write_blocking(BY.0, BY.1, move |tx| consumer::obeyed(tx, NUMBER, order))?;
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
