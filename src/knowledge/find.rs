//! The search in knowledge for pages, API and agents. Text matches come from the workspace's index. Each result is
//! checked against its current row, and only what the caller may see is counted.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use app::Ws;
use embed::vectors::Id;
use features::global_search::model::Found as InIndex;
use features::global_search::queries::{self as finder, document};
use kernel::key::decode;
use kernel::{AccountId, AgentId};
use search::{Ask, Typos, Wanted};
use store::{Read, ReadExt as _, StoreError};

use crate::blend::{self, Held, Near, Worth};
use crate::cards::{ITEM, PASSAGES};
use crate::cursor::Cursor;
use crate::cut::{Cut, Quote};
use crate::error::KnowledgeError;
use crate::lines::{self, Line};
use crate::meaning::{self, Question, Standing};
use crate::model::{FolderId, Item, ItemKind, KnowledgeId, Reading, ReadingState, Scope};
use crate::queries::{self, Tree};

/// Number of nearest passages considered.
const NEAREST: usize = 100;
/// Initial number of matches of each kind considered.
const LOOKED: usize = 200;
/// Maximum number of matches considered, if few of them pass the other filters.
const ENOUGH: usize = 25_600;
/// Passages per result.
const QUOTES: usize = 2;
/// How long to wait for the index.
const PATIENCE: Duration = Duration::from_secs(1);
/// Weight of an item's second passage.
const SECOND: f32 = 0.2;
/// Score of a title that equals the query.
const NAMED: f32 = 1.1;

/// The caller.
#[derive(Clone, Copy, Debug)]
pub enum Seer {
    Person(AccountId),
    Agent(AgentId),
}

impl Seer {
    #[must_use]
    pub fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Person(_) => None,
        }
    }

    fn audiences(self) -> Vec<String> {
        match self {
            Self::Person(account) => document::audiences(account),
            Self::Agent(agent) => document::audiences_of(agent),
        }
    }
}

kernel::words! {
    /// What items are found by.
    By {
        /// Their words and their meaning.
        Both = "both", "Keywords and meaning";
        /// Their words alone.
        Words = "words", "Keywords";
        /// Their meaning alone.
        Meaning = "meaning", "Meaning";
    }
}

/// A search request.
#[derive(Clone, Debug, Default)]
pub struct FindRequest {
    /// Search text; if empty, the most recently changed items.
    pub q: String,
    /// Only this kind.
    pub kind: Option<ItemKind>,
    /// Only items in this folder or below.
    pub folder: Option<FolderId>,
    /// Only items with at least one of these tags.
    pub tags: Vec<String>,
    /// Only items with this scope.
    pub scope: Option<Scope>,
    /// Archived items instead of the others.
    pub archived: bool,
    /// Restricts the search to text or meaning.
    pub by: Option<By>,
    /// Number of results to skip.
    pub skip: usize,
    /// Cursor of the previous page, instead of `skip`.
    pub after: Option<Cursor>,
    /// Whether pages use cursors, which requires the same order on all pages.
    pub is_paged: bool,
    /// Number of results.
    pub take: usize,
}

/// A matching item.
#[derive(Clone, Debug)]
pub struct Hit {
    pub item: Item,
    /// Its best passages.
    pub quotes: Vec<Quote>,
    /// Score; comparable within one response only.
    pub score: f32,
    /// Whether the item contains words of the query; otherwise it matches by meaning.
    pub by_words: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Results, best first.
    pub hits: Vec<Hit>,
    /// Number of matches by kind, regardless of the requested kind.
    pub counts: Vec<(ItemKind, usize)>,
    /// Whether there may be more matches than counted.
    pub cut: bool,
    /// Whether there are more results.
    pub more: bool,
    /// Cursor of the next page, if there are more results.
    pub next: Option<Cursor>,
    /// Number of files whose text is not extracted yet.
    pub unread: usize,
    /// Whether the index is still being built, so that results may be missing.
    pub building: bool,
    /// Whether the latest changes are not indexed yet.
    pub behind: bool,
    /// State of semantic search, if requested.
    pub standing: Standing,
}

impl Found {
    /// Number of matches, of one kind or of all.
    #[must_use]
    pub fn total(&self, kind: Option<ItemKind>) -> usize {
        let counts = self.counts.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
        counts.map(|(_, count)| count).sum()
    }

    /// Known gaps of the results, in sentences; may be empty.
    #[must_use]
    pub fn unknown(&self) -> String {
        let words = match (self.building, self.unread) {
            (true, _) => "The search index is still being built, so results might be \
                missing."
                .to_owned(),
            (false, 0) if self.behind => "The latest changes aren’t searchable yet.".to_owned(),
            (false, 0) => String::new(),
            (false, 1) => "1 file isn’t searchable yet.".to_owned(),
            (false, n) => format!("{n} files aren’t searchable yet."),
        };
        let meant = match self.standing {
            Standing::Missing => "No model is in use, so only keywords were searched.".to_owned(),
            Standing::Off | Standing::On(0) => String::new(),
            Standing::Absent => "Only keywords were searched.".to_owned(),
            Standing::Former => {
                "Vectors are being recreated, so recent changes are only found by keywords."
                    .to_owned()
            }
            Standing::On(1) => "1 passage isn’t found by meaning yet.".to_owned(),
            Standing::On(n) => format!("{n} passages aren’t found by meaning yet."),
        };
        format!("{words} {meant}").trim().to_owned()
    }
}

/// Searches items.
pub async fn find(ws: &Ws, seer: Seer, wish: FindRequest) -> Result<Found, KnowledgeError> {
    let wanted = Wanted::of(&wish.q);
    let late = wanted.is_some() && !finder::reach(ws, PATIENCE).await;
    let asks = wanted.is_some() && wish.by != Some(By::Words);
    let (question, standing) = match asks {
        true => meaning::question(ws, &wish.q).await,
        false => (None, Standing::Off),
    };
    let standing = match standing {
        Standing::Off if asks && wish.by == Some(By::Meaning) => Standing::Missing,
        standing => standing,
    };
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let found = match &wanted {
                Some(wanted) => {
                    let loose = Wanted::essence(&wish.q);
                    let loose = loose.as_ref().unwrap_or(wanted);
                    let question = question.as_ref();
                    let context = FindContext { seer, wish: &wish, wanted, loose, question };
                    ranked(ws, snap, &context)?
                }
                None => newest(snap, (seer, &wish))?,
            };
            // Text extracted after the wait is in the snapshot but not in the index.
            let head = snap.last_seq()?;
            let is_behind = ws.finding.seen().is_some_and(|seen| seen.seq < head);
            let behind = late || (wanted.is_some() && is_behind);
            Ok(Found { standing, behind, ..found })
        })
    })
    .await
}

/// The filters of a request.
struct Filter<'w> {
    seer: Seer,
    wish: &'w FindRequest,
    folders: Option<Vec<FolderId>>,
    /// The requested tags in lower case.
    tags: Vec<String>,
}

impl<'w> Filter<'w> {
    fn new(read: &dyn Read, (seer, wish): (Seer, &'w FindRequest)) -> Result<Self, StoreError> {
        let folders = match wish.folder {
            Some(folder) => Some(Tree::read(read)?.with_below(folder)),
            None => None,
        };
        let tags = wish.tags.iter().map(|tag| tag.to_lowercase()).collect();
        Ok(Self { seer, wish, folders, tags })
    }

    /// Whether an item passes the filters, regardless of its kind.
    fn admits(&self, line: &Line) -> bool {
        let lies = |folders: &Vec<FolderId>| line.folder.is_some_and(|one| folders.contains(&one));
        line.is_archived == self.wish.archived
            && !line.is_inside
            && self.seer.agent().is_none_or(|agent| line.is_for(agent))
            && self.folders.as_ref().is_none_or(lies)
            && self.wish.scope.is_none_or(|scope| scope == line.scope)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| line.has_tag(tag)))
    }

    /// Collects the matches in order; reads only those on the page.
    fn gather(&self, read: &dyn Read, all: Vec<Fit>) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let (mut passed, mut last) = (0, None);
        let begin = self.wish.after.map_or(0, |after| {
            // Scores may have changed since, so the position of the row itself is preferred.
            let itself = all.iter().position(|fit| fit.id == after.id).map(|at| at + 1);
            itself.unwrap_or_else(|| all.partition_point(|fit| !after.is_before(&fit.place())))
        });
        for (at, fit) in all.into_iter().enumerate() {
            count(&mut found.counts, fit.kind);
            if at < begin || self.wish.kind.is_some_and(|kind| kind != fit.kind) {
                continue;
            }
            if passed < self.wish.skip {
                passed += 1;
            } else if found.hits.len() < self.wish.take {
                last = Some(fit.place());
                found.hits.extend(fit.hit(read)?);
            } else {
                found.more = true;
            }
        }
        found.next = last.filter(|_| found.more);
        Ok(found)
    }
}

/// A match that is not read yet.
struct Fit {
    id: KnowledgeId,
    kind: ItemKind,
    score: f32,
    by_words: bool,
}

impl Fit {
    /// Sort position, best first. Scores are never negative, so their bits have the same order.
    fn place(&self) -> Cursor {
        Cursor { mark: i64::from(self.score.to_bits()), id: self.id }
    }

    /// Reads the item; `None` if it is gone.
    fn hit(&self, read: &dyn Read) -> Result<Option<Hit>, StoreError> {
        let item = read.get::<Item>(self.id)?;
        let Self { score, by_words, .. } = *self;
        Ok(item.map(|item| Hit { item, quotes: Vec::new(), score, by_words }))
    }
}

fn count(counts: &mut Vec<(ItemKind, usize)>, kind: ItemKind) {
    match counts.iter_mut().find(|(of, _)| *of == kind) {
        Some((_, count)) => *count += 1,
        None => counts.push((kind, 1)),
    }
}

/// The most recently changed items.
fn newest(read: &dyn Read, (seer, wish): (Seer, &FindRequest)) -> Result<Found, KnowledgeError> {
    let filter = Filter::new(read, (seer, wish))?;
    let mut found = Found { unread: queries::unread(read, seer.agent())?, ..Found::default() };
    let mut fits: Vec<(i64, KnowledgeId, ItemKind)> = lines::with(read, |all| {
        let mut fits = Vec::new();
        for line in all.iter().filter(|line| filter.admits(line)) {
            count(&mut found.counts, line.kind);
            if wish.kind.is_none_or(|kind| kind == line.kind) {
                fits.push((line.updated_ms, line.id, line.kind));
            }
        }
        fits
    })?;
    let later = |a: &(i64, KnowledgeId, ItemKind), b: &(i64, KnowledgeId, ItemKind)| {
        (b.0, b.1).cmp(&(a.0, a.1))
    };
    if let Some(after) = wish.after {
        fits.retain(|(mark, id, _)| after.is_before(&Cursor { mark: *mark, id: *id }));
    }
    let end = wish.skip.saturating_add(wish.take);
    found.more = end < fits.len();
    if found.more {
        fits.select_nth_unstable_by(end, later);
        fits.truncate(end);
    }
    fits.sort_unstable_by(later);
    let last = fits.last().filter(|_| found.more);
    found.next = last.map(|(mark, id, _)| Cursor { mark: *mark, id: *id });
    for (_, id, kind) in fits.into_iter().skip(wish.skip) {
        let fit = Fit { id, kind, score: 0.0, by_words: true };
        found.hits.extend(fit.hit(read)?);
    }
    Ok(found)
}

/// Context of a search; `question` is the vector of the query, if there is one.
struct FindContext<'a> {
    seer: Seer,
    wish: &'a FindRequest,
    wanted: &'a Wanted,
    /// The essential words of the query, see [`Wanted::essence`].
    loose: &'a Wanted,
    question: Option<&'a Question>,
}

/// A match: a passage of an item, or the item itself.
type Place = (KnowledgeId, Option<u32>);

/// A matching item with its passages, best first.
struct Named {
    fit: Fit,
    passages: Vec<u32>,
}

fn ranked(ws: &Ws, read: &dyn Read, context: &FindContext<'_>) -> Result<Found, KnowledgeError> {
    let filter = Filter::new(read, (context.seer, context.wish))?;
    let near = near(read, &filter, context.question)?;
    // Later matches raise the scores of earlier ones, so the order depends on the number considered. Pages therefore
    // use the same number.
    let mut looked = if context.wish.is_paged { LOOKED * 8 } else { LOOKED };
    let (mut found, places) = loop {
        let (words, cut) = match context.wish.by {
            Some(By::Meaning) if context.question.is_some() => (Vec::new(), false),
            _ => places(ws, context, looked),
        };
        let floor = context.question.map_or(0.0, |question| question.floor);
        let blended = blend::blended(&words, &near, floor);
        let (found, places) = fitting(ws, read, (&filter, context), blended)?;
        // The index filters only by words and audience, so few of many matches may pass the other filters.
        if !cut || found.more || ENOUGH <= looked {
            break (Found { cut, ..found }, places);
        }
        looked *= 8;
    };
    for hit in &mut found.hits {
        let at = places.get(&hit.item.id).cloned().unwrap_or_default();
        hit.quotes = quotes(ws, read, &hit.item, &at, context)?;
        if hit.by_words || context.wish.by == Some(By::Meaning) {
            continue;
        }
        // The words may be in passages beyond those considered.
        let marked = |quote: &Quote| !context.loose.marks(&quote.text).is_empty();
        hit.by_words = context.wanted.has_phrases() || hit.quotes.iter().any(marked);
    }
    let is_made = ws.finding.index.is_begun() && ws.finding.building().is_none();
    let unread = queries::unread(read, context.seer.agent())?;
    Ok(Found { unread, building: !is_made, ..found })
}

/// From matches, best first, the items that pass the filters, with the best passages of each.
fn fitting(
    ws: &Ws,
    read: &dyn Read,
    (filter, context): (&Filter<'_>, &FindContext<'_>),
    blended: Vec<(Place, Worth)>,
) -> Result<(Found, HashMap<KnowledgeId, Vec<u32>>), KnowledgeError> {
    let mut named: HashMap<KnowledgeId, Named> = HashMap::new();
    let mut seen: HashSet<KnowledgeId> = HashSet::new();
    let kinds = kinds(read, filter, &blended)?;
    for ((id, passage), worth) in blended {
        if seen.insert(id) {
            let kind = match kinds.get(&id) {
                Some(kind) if is_kept(ws, read, id, context.wanted)? => Some(*kind),
                _ => None,
            };
            let new = kind.map(|kind| Named {
                fit: Fit { id, kind, score: worth.score, by_words: false },
                passages: Vec::new(),
            });
            named.extend(new.map(|new| (id, new)));
        } else if let Some(one) = named.get_mut(&id).filter(|one| one.passages.len() == 1) {
            one.fit.score += SECOND * worth.score;
        }
        let Some(one) = named.get_mut(&id) else { continue };
        one.fit.by_words |= worth.by_words;
        one.passages.extend(passage.filter(|_| one.passages.len() < QUOTES));
    }
    for item in queries::titled(read, &context.wish.q)? {
        if let Some(one) = named.get_mut(&item.id) {
            one.fit.score *= NAMED;
        }
    }
    let mut places: HashMap<KnowledgeId, Vec<u32>> = HashMap::new();
    let mut fits: Vec<Fit> = Vec::with_capacity(named.len());
    for Named { fit, passages } in named.into_values() {
        places.insert(fit.id, passages);
        fits.push(fit);
    }
    fits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| b.id.cmp(&a.id)));
    Ok((filter.gather(read, fits)?, places))
}

/// The items of these matches that pass the filters, with their kinds.
fn kinds(
    read: &dyn Read,
    filter: &Filter<'_>,
    places: &[(Place, Worth)],
) -> Result<HashMap<KnowledgeId, ItemKind>, StoreError> {
    lines::with(read, |all| {
        let kind = |id: KnowledgeId| {
            let at = all.binary_search_by(|line| line.id.cmp(&id)).ok()?;
            all.get(at).filter(|line| filter.admits(line)).map(|line| (id, line.kind))
        };
        places.iter().filter_map(|((id, _), _)| kind(*id)).collect()
    })
}

/// Whether an item as a whole satisfies phrases and exclusions. The index checks each passage separately.
fn is_kept(
    ws: &Ws,
    read: &dyn Read,
    id: KnowledgeId,
    wanted: &Wanted,
) -> Result<bool, KnowledgeError> {
    if !wanted.is_strict() {
        return Ok(true);
    }
    let Some(item) = read.get::<Item>(id)? else { return Ok(false) };
    let cut = Cut::of(&ws.blobs, read, id)?;
    Ok(wanted.is_kept(&[&item.title, &item.tags.join(" "), &cut.text]))
}

/// The passages nearest in meaning, of items that the caller may see, nearest first.
fn near(
    read: &dyn Read,
    filter: &Filter<'_>,
    question: Option<&Question>,
) -> Result<Vec<Near<Place>>, KnowledgeError> {
    let Some(question) = question else { return Ok(Vec::new()) };
    let fits: HashSet<KnowledgeId> = lines::with(read, |all| {
        all.iter().filter(|line| filter.admits(line)).map(|line| line.id).collect()
    })?;
    let allow = |id: &Id| fits.contains(&meaning::passage(id).0);
    let found = question.arena.search(&question.vector, NEAREST, allow);
    let found = found.unwrap_or_else(|error| {
        // The text search still works.
        tracing::warn!(%error, "the vectors did not answer");
        Vec::new()
    });
    let enough = found.into_iter().filter(|one| question.floor <= one.score);
    let near = |id: &Id, score: f32| {
        let (item, n) = meaning::passage(id);
        Near { place: (item, Some(n)), score }
    };
    Ok(enough.map(|one| near(&one.id, one.score)).collect())
}

/// Items and passages that contain the words, best first, at most `most` of each kind, and whether there are more. If
/// no passage contains all words, each word is searched separately.
fn places(ws: &Ws, context: &FindContext<'_>, most: usize) -> (Vec<Held<Place>>, bool) {
    let audiences = context.seer.audiences();
    let number = ITEM.finds.map_or(PASSAGES, |finds| finds.number);
    let ask = |any: bool, typos: Typos| {
        let ask = Ask {
            wanted: if any { context.loose } else { context.wanted },
            audiences: &audiences,
            kinds: &[number, PASSAGES],
            status: None,
            groups: &[],
            any,
            most,
            now: ws.app.clock.now().as_second(),
            typos,
        };
        ws.finding.index.find(&ask).unwrap_or_else(|error| {
            tracing::warn!(%error, "the search index of {} did not answer", ws.slug);
            ws.finding.note(Some(error.to_string()));
            search::Found::default()
        })
    };
    let (mut all, mut known, mut cut) = (Vec::new(), HashSet::new(), false);
    for (any, typos) in [(false, Typos::WhenFew), (true, Typos::Never)] {
        let found = ask(any, typos);
        for hit in found.hits {
            let place = InIndex::place(&hit.key);
            let place = place.and_then(|(key, n)| Some((decode::<KnowledgeId>(&key)?, n)));
            let is_new = place.filter(|place| known.insert(*place));
            all.extend(is_new.map(|place| Held {
                place,
                score: hit.score,
                all: !any && !found.guessed,
                named: hit.named,
            }));
        }
        cut |= found
            .counts
            .iter()
            .any(|(_, count)| most < usize::try_from(*count).unwrap_or(usize::MAX));
        if LOOKED / 4 <= all.len() {
            break;
        }
    }
    (all, cut)
}

/// The current passages with these numbers. A number may belong to an older text; then passages that contain the words
/// are used.
fn quotes(
    ws: &Ws,
    read: &dyn Read,
    item: &Item,
    places: &[u32],
    context: &FindContext<'_>,
) -> Result<Vec<Quote>, KnowledgeError> {
    let cut = Cut::of(&ws.blobs, read, item.id)?;
    // Position of the first search word in a passage, if any.
    let first = |n: u32| {
        let marks = context.loose.marks(cut.words(n)?);
        marks.first().map(|mark| mark.start)
    };
    let is_meant = |n: &u32| {
        let vector = context.question.and_then(|one| one.arena.hash(&meaning::place(item.id, *n)));
        let text = vector.and_then(|_| meaning::embedding_text(item, &cut, *n));
        text.is_some_and(|text| vector == Some(meaning::hash(&text)))
    };
    let fits =
        |n: &u32, at: Option<usize>| at.is_some() || (!context.wanted.has_phrases() && is_meant(n));
    let looked = |n: u32| (n, first(n));
    let chosen = places.iter().copied().map(looked).filter(|(n, at)| fits(n, *at));
    let mut chosen: Vec<(u32, Option<usize>)> = chosen.collect();
    if chosen.is_empty() {
        chosen.extend((0..cut.len()).map(looked).find(|(_, at)| at.is_some()));
    }
    Ok(chosen.into_iter().filter_map(|(n, at)| cut.quote(n, at)).collect())
}

/// Whether an item's text is still being extracted.
pub fn is_waiting(read: &dyn Read, id: KnowledgeId) -> Result<bool, StoreError> {
    let reading: Option<Reading> = read.get(id)?;
    Ok(reading.is_some_and(|reading| reading.state == ReadingState::Waiting))
}
