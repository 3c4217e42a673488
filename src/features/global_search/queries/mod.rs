//! Search: queries the index, adds records that are not indexed yet, and checks the current record before showing a
//! hit.

pub mod asking;
pub mod contents;
pub mod document;
pub mod palette;
pub mod places;
pub mod standing;
pub mod view;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use app::Ws;
use search::{Ask, Document, SearchError, Typos, Wanted};
use store::{Cursor, Range, Read, Snap, StoreError};
use web::session::Person;

use super::follow;
use super::model::{Found, Kind};
use crate::cards;
use crate::workspace::queries::modules::Off;
use contents::Contents;
use document::Reader;
use view::Hit;

/// How long a query waits for an index that is slightly behind.
pub const NEAR: Duration = Duration::from_millis(100);
/// How long a query waits while an index is built.
const FIRST: Duration = Duration::from_secs(2);
/// Maximum number of unindexed entries to examine.
const BEHIND: usize = 1_024;
/// Maximum number of unindexed records to examine.
const MOST_FRESH: usize = 2_000;
/// Maximum offset of a page.
pub const DEEPEST: usize = 1_000;
/// Number of extra hits to fetch, in case some records are gone.
const SPARE: usize = 20;

#[derive(Clone, Debug)]
pub struct SearchRequest {
    pub words: String,
    /// Empty means all.
    pub kinds: Vec<Kind>,
    /// Only records in this state, such as `todo`.
    pub status: Option<String>,
    /// Offset.
    pub skip: usize,
    /// Limit.
    pub take: usize,
    /// Maximum per kind, if smaller.
    pub each: Option<usize>,
    /// Maximum time to wait for the index.
    pub patience: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Number of matches per kind, ignoring the kind filter.
    pub counts: Vec<(Kind, u64)>,
    pub more: bool,
    /// `true` if the query was matched fuzzily.
    pub guessed: bool,
    /// Number of records indexed so far while an index is being built. Hits may be missing.
    pub building: Option<u64>,
}

impl Page {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Raises counts to the number of displayed hits, because matches of passages are not counted by the index.
    fn count_what_is_shown(&mut self) {
        let mut shown: BTreeMap<Kind, u64> = BTreeMap::new();
        for hit in &self.hits {
            *shown.entry(hit.kind).or_default() += 1;
        }
        for (kind, shown) in shown {
            match self.counts.iter_mut().find(|(one, _)| *one == kind) {
                Some((_, count)) => *count = (*count).max(shown),
                None => self.counts.push((kind, shown)),
            }
        }
    }
}

/// Searches what a person may see.
pub async fn find(ws: &Ws, who: &Person, wish: SearchRequest) -> Result<Page, StoreError> {
    let Some(wanted) = Wanted::of(&wish.words) else { return Ok(Page::default()) };
    reach(ws, wish.patience).await;
    let who = who.clone();
    ws.read_blocking(move |ws| answer(ws, &who, &wish, &wanted)).await
}

/// Waits until the index contains the latest writes. Returns whether it does.
pub async fn reach(ws: &Ws, patience: Duration) -> bool {
    let head = ws.store.head();
    let index = &ws.finding;
    let is_made = index.building().is_none() && index.index.is_begun();
    index.ask();
    if !ws.is_active() {
        // Nothing follows the feed of an inactive workspace, so index it here.
        if let Err(error) = follow::catch_up(ws, ws.app.stopping.clone()).await {
            tracing::warn!(%error, "the search index of {} is behind", ws.slug);
            return false;
        }
        return true;
    }
    let patience = if is_made { patience } else { patience.max(FIRST.min(patience * 20)) };
    index.until(head, patience).await
}

fn answer(
    ws: &Ws,
    who: &Person,
    wish: &SearchRequest,
    wanted: &Wanted,
) -> Result<Page, StoreError> {
    let head = ws.store.head();
    let fresh_from = match ws.finding.seen() {
        Some(seen) if seen.incarnation == head.incarnation => seen.seq,
        _ => head.seq.saturating_sub(BEHIND as u64),
    };
    let audiences = document::audiences(who.account);
    let found = ask(ws, wish, (wanted, audiences.as_slice(), false));
    // A question has words that its answer does not; retry with the essential words.
    let essence =
        Wanted::essence(&wish.words).filter(|essence| found.hits.is_empty() && essence != wanted);
    let (found, wanted) = match &essence {
        Some(essence) => match ask(ws, wish, (essence, audiences.as_slice(), false)) {
            all if all.hits.is_empty() => {
                (ask(ws, wish, (essence, audiences.as_slice(), true)), essence)
            }
            all => (all, essence),
        },
        None => (found, wanted),
    };
    let fresh = match fresh_from < head.seq {
        true => fresh(ws, Cursor { seq: fresh_from, ..head })?,
        false => BTreeSet::new(),
    };
    let mut page = ws.read(|snap| {
        let mut gathering = Gathering {
            reader: Reader::new(snap).with(Contents::some(ws)),
            audiences: &audiences,
            wish,
            off: Off::of(snap)?,
            passed: 0,
            page: Page::default(),
        };
        let mut pieces: HashMap<Found, Option<u32>> = HashMap::new();
        let known = gathering.counts(&found, &fresh);
        gathering.take_fresh(wanted, &fresh, &known)?;
        for hit in &found.hits {
            let Some((one, n)) = Found::whole(&hit.key) else { continue };
            // A record appears once, at the rank of its best hit. Its best passage may be a later hit.
            let is_new = match pieces.entry(one.clone()) {
                Entry::Occupied(mut known) => {
                    if known.get().is_none() {
                        known.insert(n);
                    }
                    false
                }
                Entry::Vacant(new) => {
                    new.insert(n);
                    true
                }
            };
            let is_due = is_new && !gathering.page.more && !fresh.contains(&one);
            if is_due && gathering.wants(one.kind) {
                gathering.take(&one)?;
            }
        }
        let Gathering { mut page, .. } = gathering;
        page.count_what_is_shown();
        for hit in &mut page.hits {
            let best = pieces.get(hit.of_record()).copied().flatten();
            hit.find_piece(snap, &ws.blobs, (best, wanted))?;
            view::fill(snap, hit, Some(wanted))?;
        }
        Ok::<_, StoreError>(page)
    })?;
    page.guessed = found.guessed;
    let is_made = ws.finding.index.is_begun();
    page.building = ws.finding.building().or((!is_made).then_some(0));
    Ok(page)
}

/// Queries the index. A damaged index is scheduled for a rebuild, and only unindexed records are found meanwhile.
fn ask(
    ws: &Ws,
    wish: &SearchRequest,
    (wanted, audiences, any): (&Wanted, &[String], bool),
) -> search::Found {
    let ask = Ask {
        wanted,
        audiences,
        // All kinds are queried, so that they are counted.
        kinds: &[],
        status: wish.status.as_deref(),
        groups: &[],
        any,
        most: wish.each.unwrap_or(wish.skip + wish.take) + SPARE,
        now: ws.app.clock.now().as_second(),
        typos: if any { Typos::Never } else { Typos::WhenFew },
    };
    ws.finding.index.find(&ask).unwrap_or_else(|error| {
        tracing::warn!(%error, "the search index of {} did not answer", ws.slug);
        ws.finding.note(Some(error.to_string()));
        if matches!(error, SearchError::Damaged(_)) {
            ws.finding.begin_anew();
        }
        search::Found::default()
    })
}

/// Records of the latest entries, of which the index may have an old version.
fn fresh(ws: &Ws, from: Cursor) -> Result<BTreeSet<Found>, StoreError> {
    let entries = ws.store.entries_after(from.seq, BEHIND)?;
    ws.read(|snap| {
        let mut found = BTreeSet::new();
        for entry in entries.iter().rev() {
            if MOST_FRESH <= found.len() {
                break;
            }
            // If there are too many, the index answers with old versions until it has caught up.
            let all = readable(follow::concerned(snap, entry))?.into_iter().flatten();
            found.extend(all.take(MOST_FRESH));
        }
        Ok(found)
    })
}

/// Skips an undecodable record, so that the others are found.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Decode(error)) => {
            tracing::warn!(%error, "a record that was found cannot be read");
            Ok(None)
        }
        read => read.map(Some),
    }
}

struct Gathering<'a> {
    reader: Reader<'a>,
    audiences: &'a [String],
    wish: &'a SearchRequest,
    /// Disabled modules, whose records are not found.
    off: Off,
    passed: usize,
    page: Page,
}

impl Gathering<'_> {
    /// Takes the match counts of the index, which may include old versions of unindexed records. Returns those
    /// unindexed records whose inclusion is known: the ones among the hits, or all if the index returned all hits.
    fn counts(&mut self, found: &search::Found, fresh: &BTreeSet<Found>) -> BTreeSet<Found> {
        let kinds = found.counts.iter();
        let known = kinds.filter_map(|(kind, count)| Some((Kind::of_number(*kind)?, *count)));
        let known = known.filter(|(kind, _)| !self.is_off(*kind));
        self.page.counts = known.collect();
        let hits = found.hits.iter().filter_map(|hit| Found::named(&hit.key));
        let listed: BTreeSet<Found> = hits.filter(|one| fresh.contains(one)).collect();
        for one in &listed {
            if let Some((_, count)) = self.page.counts.iter_mut().find(|(k, _)| *k == one.kind) {
                *count = count.saturating_sub(1);
            }
        }
        let all: u64 = found.counts.iter().map(|(_, count)| count).sum();
        if all <= found.hits.len() as u64 { fresh.clone() } else { listed }
    }

    /// Adds unindexed records, newest first. Records that are not in `known` may be counted already.
    fn take_fresh(
        &mut self,
        wanted: &Wanted,
        fresh: &BTreeSet<Found>,
        known: &BTreeSet<Found>,
    ) -> Result<(), StoreError> {
        let mut fits: Vec<(i64, Found, Document)> = Vec::new();
        for one in fresh {
            if self.is_off(one.kind) {
                continue;
            }
            let Some(document) = self.document(one)? else { continue };
            let texts = [&document.title, &document.subtitle, &document.tags, &document.body];
            if self.admits(&document) && wanted.is_in(&texts.map(String::as_str)) {
                fits.push((document.at, one.clone(), document));
            }
        }
        fits.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (_, one, document) in fits {
            match self.page.counts.iter_mut().find(|(kind, _)| *kind == one.kind) {
                Some((_, count)) if known.contains(&one) => *count += 1,
                Some((_, count)) => *count = (*count).max(1),
                None => self.page.counts.push((one.kind, 1)),
            }
            self.keep(&one, document);
        }
        self.page.counts.retain(|(_, count)| 0 < *count);
        Ok(())
    }

    /// Document of a record. `None` if it cannot be decoded.
    fn document(&mut self, one: &Found) -> Result<Option<Document>, StoreError> {
        Ok(readable(self.reader.document(one))?.flatten())
    }

    /// Adds a hit of the index with its current record.
    fn take(&mut self, one: &Found) -> Result<(), StoreError> {
        if let Some(document) = self.document(one)?
            && self.admits(&document)
        {
            self.keep(one, document);
        }
        Ok(())
    }

    fn admits(&self, document: &Document) -> bool {
        let fits = self.wish.status.as_ref().is_none_or(|status| *status == document.status);
        fits && document::may_see(document, self.audiences)
    }

    /// Returns `true` if the kind belongs to a disabled module.
    fn is_off(&self, kind: Kind) -> bool {
        let noun = match kind {
            Kind::Entity(number) => cards::of_number(number),
            _ => None,
        };
        noun.is_some_and(|noun| self.off.has_noun(noun.word))
    }

    /// Returns `true` if more hits of this kind are wanted.
    fn wants(&self, kind: Kind) -> bool {
        if self.is_off(kind) {
            return false;
        }
        let fits = self.wish.kinds.is_empty() || self.wish.kinds.contains(&kind);
        let same = || self.page.hits.iter().filter(|hit| hit.kind == kind).count();
        fits && self.wish.each.is_none_or(|most| same() < most)
    }

    fn keep(&mut self, one: &Found, document: Document) {
        if !self.wants(one.kind) {
            return;
        }
        if self.passed < self.wish.skip {
            self.passed += 1;
        } else if self.page.hits.len() < self.wish.take {
            self.page.hits.push(Hit::of(one, document));
        } else {
            self.page.more = true;
        }
    }
}

/// Hits for recently opened paths that still exist.
pub fn recent(snap: &Snap<'_>, who: &Person, paths: &[&str]) -> Result<Vec<Hit>, StoreError> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(view::of_path(snap, who, path)?);
    }
    Ok(found)
}

/// First keys of a table.
pub(super) fn first_keys(
    read: &dyn Read,
    table: u16,
    most: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    read.raw_scan(table, &Range::all(), &mut |key, _| {
        keys.push(key.to_vec());
        match keys.len() < most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(keys)
}
