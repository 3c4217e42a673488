//! The one search of knowledge, for pages, API and agents. What it finds by words comes from the index of the workspace;
//! each hit is looked at again as it stands now, and only what the asker may see is counted.

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

/// How many passages are taken that are near in meaning.
const NEAREST: usize = 100;
/// How many places of each kind are looked at in one go.
const LOOKED: usize = 200;
/// The most of them, where few of those that hold the words fit what else is asked for.
const ENOUGH: usize = 25_600;
/// Passages of a hit.
const QUOTES: usize = 2;
/// How long the index is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much the second passage of an item adds to it.
const SECOND: f32 = 0.2;
/// What a title that is exactly what was asked for is worth.
const NAMED: f32 = 1.1;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Seer {
    Person(AccountId),
    Agent(AgentId),
}

impl Seer {
    /// The agent, if it is one.
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
        Both = "both", "Words and meaning";
        /// Their words alone.
        Words = "words", "Words";
        /// Their meaning alone.
        Meaning = "meaning", "Meaning";
    }
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct FindRequest {
    /// Words; nothing gives what changed last.
    pub q: String,
    /// Only this kind.
    pub kind: Option<ItemKind>,
    /// Only what lies in this folder, or below it.
    pub folder: Option<FolderId>,
    /// Only what has one of these tags.
    pub tags: Vec<String>,
    /// Only what has these readers.
    pub scope: Option<Scope>,
    /// The archived ones in place of the others.
    pub archived: bool,
    /// What they are found by, if only one thing.
    pub by: Option<By>,
    /// How many hits are passed over.
    pub skip: usize,
    /// Where the page before ended, in place of a number that is passed over.
    pub after: Option<Cursor>,
    /// Whether pages follow each other by cursors, so that all of them must have one order.
    pub is_paged: bool,
    /// How many are given.
    pub take: usize,
}

/// An item that fits.
#[derive(Clone, Debug)]
pub struct Hit {
    pub item: Item,
    /// Its best passages.
    pub quotes: Vec<Quote>,
    /// How well it fits; comparable within one answer alone.
    pub score: f32,
    /// Whether words of the question stand in it; else it is about the same in other words.
    pub by_words: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// How many fit of each kind, whatever kind was asked for.
    pub counts: Vec<(ItemKind, usize)>,
    /// Whether there may be more than were counted.
    pub cut: bool,
    /// Whether there are more.
    pub more: bool,
    /// Where this page ends, if there are more.
    pub next: Option<Cursor>,
    /// Files whose words are not known yet.
    pub unread: usize,
    /// Whether the index is still being made, so that hits may be missing.
    pub building: bool,
    /// Whether what was written last is not in the index yet.
    pub behind: bool,
    /// How far search by meaning is, where it was asked for.
    pub standing: Standing,
}

impl Found {
    /// How many fit, of all kinds or of one.
    #[must_use]
    pub fn total(&self, kind: Option<ItemKind>) -> usize {
        let counts = self.counts.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
        counts.map(|(_, count)| count).sum()
    }

    /// What the answer does not know yet, in sentences; nothing when it knows all.
    #[must_use]
    pub fn unknown(&self) -> String {
        let words = match (self.building, self.unread) {
            (true, _) => "The search index is still being made, so hits may be missing.".to_owned(),
            (false, 0) if self.behind => "What came in last is not found yet.".to_owned(),
            (false, 0) => String::new(),
            (false, 1) => "One file has not been read yet.".to_owned(),
            (false, n) => format!("{n} files have not been read yet."),
        };
        let meant = match self.standing {
            Standing::Missing => "No model is in use, so this was searched by words.".to_owned(),
            Standing::Off | Standing::On(0) => String::new(),
            Standing::Absent => "This was searched by words alone.".to_owned(),
            Standing::Former => {
                "Vectors are being made anew; what was written last is found by words alone."
                    .to_owned()
            }
            Standing::On(1) => "One passage is not found by meaning yet.".to_owned(),
            Standing::On(n) => format!("{n} passages are not found by meaning yet."),
        };
        format!("{words} {meant}").trim().to_owned()
    }
}

/// Finds items.
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
                    let asked = FindContext { seer, wish: &wish, wanted, loose, question };
                    ranked(ws, snap, &asked)?
                }
                None => newest(snap, (seer, &wish))?,
            };
            // What was read in a file since the index was waited for is in what is looked at, and not in the index.
            let head = snap.last_seq()?;
            let is_behind = ws.finding.seen().is_some_and(|seen| seen.seq < head);
            let behind = late || (wanted.is_some() && is_behind);
            Ok(Found { standing, behind, ..found })
        })
    })
    .await
}

/// What a wish asks of an item.
struct Filter<'w> {
    seer: Seer,
    wish: &'w FindRequest,
    folders: Option<Vec<FolderId>>,
    /// The tags of the wish in small letters.
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

    /// Whether an item fits, whatever its kind.
    fn admits(&self, line: &Line) -> bool {
        let lies = |folders: &Vec<FolderId>| line.folder.is_some_and(|one| folders.contains(&one));
        line.is_archived == self.wish.archived
            && !line.is_inside
            && self.seer.agent().is_none_or(|agent| line.is_for(agent))
            && self.folders.as_ref().is_none_or(lies)
            && self.wish.scope.is_none_or(|scope| scope == line.scope)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| line.has_tag(tag)))
    }

    /// Gathers those that fit in their order; reads those alone that are given.
    fn gather(&self, read: &dyn Read, all: Vec<Fit>) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let (mut passed, mut last) = (0, None);
        let begin = self.wish.after.map_or(0, |after| {
            // Worth may have changed since; the row itself is the better place while it is there.
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

/// An item that fits, before it is read.
struct Fit {
    id: KnowledgeId,
    kind: ItemKind,
    score: f32,
    by_words: bool,
}

impl Fit {
    /// Where it stands among others, best first. Worth is never negative, so that its bits have its order.
    fn place(&self) -> Cursor {
        Cursor { mark: i64::from(self.score.to_bits()), id: self.id }
    }

    /// The item as it stands now; nothing where it is gone.
    fn hit(&self, read: &dyn Read) -> Result<Option<Hit>, StoreError> {
        let item = read.get::<Item>(self.id)?;
        let Self { score, by_words, .. } = *self;
        Ok(item.map(|item| Hit { item, quotes: Vec::new(), score, by_words }))
    }
}

/// One more of a kind.
fn count(counts: &mut Vec<(ItemKind, usize)>, kind: ItemKind) {
    match counts.iter_mut().find(|(of, _)| *of == kind) {
        Some((_, count)) => *count += 1,
        None => counts.push((kind, 1)),
    }
}

/// What changed last.
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

/// Who looks for what, with the question's vector where there is one.
struct FindContext<'a> {
    seer: Seer,
    wish: &'a FindRequest,
    wanted: &'a Wanted,
    /// Its essence, see [`Wanted::essence`].
    loose: &'a Wanted,
    question: Option<&'a Question>,
}

/// A place in an item: one of its passages, or the item as such.
type Place = (KnowledgeId, Option<u32>);

/// An item that was found, with the places of its passages, best first.
struct Named {
    fit: Fit,
    passages: Vec<u32>,
}

fn ranked(ws: &Ws, read: &dyn Read, asked: &FindContext<'_>) -> Result<Found, KnowledgeError> {
    let filter = Filter::new(read, (asked.seer, asked.wish))?;
    let near = near(read, &filter, asked.question)?;
    // What is found further down counts for what was found before, so that the order depends on how far is looked.
    let mut looked = if asked.wish.is_paged { LOOKED * 8 } else { LOOKED };
    let (mut found, places) = loop {
        let (words, cut) = match asked.wish.by {
            Some(By::Meaning) if asked.question.is_some() => (Vec::new(), false),
            _ => places(ws, asked, looked),
        };
        let floor = asked.question.map_or(0.0, |question| question.floor);
        let blended = blend::blended(&words, &near, floor);
        let (found, places) = fitting(ws, read, (&filter, asked), blended)?;
        // The index knows words and readers alone: of many places that hold the words few may fit.
        if !cut || found.more || ENOUGH <= looked {
            break (Found { cut, ..found }, places);
        }
        looked *= 8;
    };
    for hit in &mut found.hits {
        let at = places.get(&hit.item.id).cloned().unwrap_or_default();
        hit.quotes = quotes(ws, read, &hit.item, &at, asked)?;
        if hit.by_words || asked.wish.by == Some(By::Meaning) {
            continue;
        }
        // They may stand behind the places that were looked at by words.
        let marked = |quote: &Quote| !asked.loose.marks(&quote.text).is_empty();
        hit.by_words = asked.wanted.has_phrases() || hit.quotes.iter().any(marked);
    }
    let is_made = ws.finding.index.is_begun() && ws.finding.building().is_none();
    let unread = queries::unread(read, asked.seer.agent())?;
    Ok(Found { unread, building: !is_made, ..found })
}

/// Of places, best first, the items that fit, with the best passages of each.
fn fitting(
    ws: &Ws,
    read: &dyn Read,
    (filter, asked): (&Filter<'_>, &FindContext<'_>),
    blended: Vec<(Place, Worth)>,
) -> Result<(Found, HashMap<KnowledgeId, Vec<u32>>), KnowledgeError> {
    let mut named: HashMap<KnowledgeId, Named> = HashMap::new();
    let mut seen: HashSet<KnowledgeId> = HashSet::new();
    let kinds = kinds(read, filter, &blended)?;
    for ((id, passage), worth) in blended {
        if seen.insert(id) {
            let kind = match kinds.get(&id) {
                Some(kind) if is_kept(ws, read, id, asked.wanted)? => Some(*kind),
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
    for item in queries::titled(read, &asked.wish.q)? {
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

/// Of the items of these places those that fit, with their kinds.
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

/// Whether an item as a whole holds what is meant word for word, and nothing that must not be there: its passages are
/// looked for one by one.
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

/// The passages that are nearest to a question in meaning, of items that the asker may see, nearest first.
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
        // Words are found all the same.
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

/// The items and passages that hold the words, best first, at most so many of each kind, and whether there are more.
/// Words that do not all stand in one passage are looked for one by one.
fn places(ws: &Ws, asked: &FindContext<'_>, most: usize) -> (Vec<Held<Place>>, bool) {
    let audiences = asked.seer.audiences();
    let number = ITEM.finds.map_or(PASSAGES, |finds| finds.number);
    let ask = |any: bool, typos: Typos| {
        let ask = Ask {
            wanted: if any { asked.loose } else { asked.wanted },
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

/// The passages of an item with these numbers, as they stand now. A number may be of an older text: then those that
/// hold the words are looked for.
fn quotes(
    ws: &Ws,
    read: &dyn Read,
    item: &Item,
    places: &[u32],
    asked: &FindContext<'_>,
) -> Result<Vec<Quote>, KnowledgeError> {
    let cut = Cut::of(&ws.blobs, read, item.id)?;
    // Where the first of the words stands in a passage, if any does.
    let first = |n: u32| {
        let marks = asked.loose.marks(cut.words(n)?);
        marks.first().map(|mark| mark.start)
    };
    let is_meant = |n: &u32| {
        let vector = asked.question.and_then(|one| one.arena.hash(&meaning::place(item.id, *n)));
        let text = vector.and_then(|_| meaning::embedding_text(item, &cut, *n));
        text.is_some_and(|text| vector == Some(meaning::hash(&text)))
    };
    let fits =
        |n: &u32, at: Option<usize>| at.is_some() || (!asked.wanted.has_phrases() && is_meant(n));
    let looked = |n: u32| (n, first(n));
    let chosen = places.iter().copied().map(looked).filter(|(n, at)| fits(n, *at));
    let mut chosen: Vec<(u32, Option<usize>)> = chosen.collect();
    if chosen.is_empty() {
        chosen.extend((0..cut.len()).map(looked).find(|(_, at)| at.is_some()));
    }
    Ok(chosen.into_iter().filter_map(|(n, at)| cut.quote(n, at)).collect())
}

/// Whether the words of an item are still to come, such as those of a file that is being read.
pub fn is_waiting(read: &dyn Read, id: KnowledgeId) -> Result<bool, StoreError> {
    let reading: Option<Reading> = read.get(id)?;
    Ok(reading.is_some_and(|reading| reading.state == ReadingState::Waiting))
}
