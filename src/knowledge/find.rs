//! The one search of knowledge, for pages, API and agents. What it finds by words comes from the index of the workspace;
//! each hit is looked at again as it stands now, and only what the asker may see is counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range as Bytes;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use app::Ws;
use features::finder::model::Found as InIndex;
use features::finder::queries::{self as finder, document};
use kernel::key::decode;
use kernel::{AccountId, AgentId};
use search::{Ask, Typos, Wanted};
use store::{Read, ReadExt as _, StoreError};

use crate::cards::{ITEM, PASSAGES};
use crate::error::KnowledgeError;
use crate::model::{FolderId, Item, ItemKind, KnowledgeId, Reading, ReadingState, Scope, Text};
use crate::passages::{self, Passage};
use crate::queries::{self, Tree};

/// How many places of each kind are looked at.
const LOOKED: usize = 200;
/// Passages of a hit.
const QUOTES: usize = 2;
/// The most bytes of a quote.
const QUOTED: usize = 600;
/// How long the index is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// The share of a rank: reciprocal rank fusion with the constant of Cormack, Clarke and Büttcher (2009).
const RANK: f32 = 60.0;
/// How much the second passage of an item adds to it.
const SECOND: f32 = 0.2;
/// What a title that is exactly what was asked for is worth.
const NAMED: f32 = 1.1;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Seer {
    /// A person.
    Person(AccountId),
    /// An agent.
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

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
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
    /// How many hits are passed over.
    pub skip: usize,
    /// How many are given.
    pub take: usize,
}

/// A passage that fits.
#[derive(Clone, Debug)]
pub struct Quote {
    /// Its number in the item, from 0.
    pub n: u32,
    /// Its words, cut when they are many.
    pub text: String,
    /// The headings above it.
    pub section: String,
    /// Its page, where the item has pages.
    pub page: Option<u32>,
    /// Its bytes in the item's text.
    pub range: Bytes<usize>,
}

/// An item that fits.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The item.
    pub item: Item,
    /// Its best passages.
    pub quotes: Vec<Quote>,
    /// How well it fits; comparable within one answer alone.
    pub score: f32,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// How many fit of each kind, whatever kind was asked for.
    pub counts: Vec<(ItemKind, usize)>,
    /// Whether there are more.
    pub more: bool,
    /// Files whose words are not known yet.
    pub unread: usize,
    /// Whether the index is still being made, so that hits may be missing.
    pub building: bool,
}

impl Found {
    /// How many fit.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// What the answer does not know yet, in a sentence; nothing when it knows all.
    #[must_use]
    pub fn unknown(&self) -> String {
        match (self.building, self.unread) {
            (true, _) => "The search index is still being made, so hits may be missing.".to_owned(),
            (false, 0) => String::new(),
            (false, 1) => "One file has not been read yet.".to_owned(),
            (false, n) => format!("{n} files have not been read yet."),
        }
    }
}

/// Finds items.
///
/// # Errors
/// When the store fails.
pub async fn find(ws: &Ws, seer: Seer, wish: Wish) -> Result<Found, KnowledgeError> {
    let wanted = Wanted::of(&wish.q);
    if wanted.is_some() {
        finder::reach(ws, PATIENCE).await;
    }
    ws.look(move |ws| {
        ws.read(|snap| match &wanted {
            Some(wanted) => by_words(ws, snap, (seer, &wish), wanted),
            None => newest(snap, (seer, &wish)),
        })
    })
    .await
}

/// What a wish asks of an item.
struct Filter<'w> {
    seer: Seer,
    wish: &'w Wish,
    folders: Option<Vec<FolderId>>,
}

impl<'w> Filter<'w> {
    fn new(read: &dyn Read, (seer, wish): (Seer, &'w Wish)) -> Result<Self, StoreError> {
        let folders = match wish.folder {
            Some(folder) => Some(Tree::read(read)?.with_below(folder)),
            None => None,
        };
        Ok(Self { seer, wish, folders })
    }

    /// Whether an item fits, whatever its kind.
    fn admits(&self, item: &Item) -> bool {
        let lies = |folders: &Vec<FolderId>| item.folder.is_some_and(|one| folders.contains(&one));
        let has =
            |tag: &String| item.tags.iter().any(|one| one.to_lowercase() == tag.to_lowercase());
        item.archived_at.is_some() == self.wish.archived
            && self.seer.agent().is_none_or(|agent| item.is_for(agent))
            && self.folders.as_ref().is_none_or(lies)
            && self.wish.scope.is_none_or(|scope| scope == item.scope)
            && (self.wish.tags.is_empty() || self.wish.tags.iter().any(has))
    }

    /// Gathers those that fit in their order.
    fn gather(&self, all: impl Iterator<Item = Hit>) -> Found {
        let mut found = Found::default();
        let mut passed = 0;
        for hit in all {
            match found.counts.iter_mut().find(|(kind, _)| *kind == hit.item.kind) {
                Some((_, count)) => *count += 1,
                None => found.counts.push((hit.item.kind, 1)),
            }
            if self.wish.kind.is_some_and(|kind| kind != hit.item.kind) {
                continue;
            }
            if passed < self.wish.skip {
                passed += 1;
            } else if found.hits.len() < self.wish.take {
                found.hits.push(hit);
            } else {
                found.more = true;
            }
        }
        found
    }
}

fn newest(read: &dyn Read, asked: (Seer, &Wish)) -> Result<Found, KnowledgeError> {
    let filter = Filter::new(read, asked)?;
    let items = queries::items(read, asked.1.archived)?;
    let fits = items.into_iter().filter(|item| filter.admits(item));
    let found = filter.gather(fits.map(|item| Hit { item, quotes: Vec::new(), score: 0.0 }));
    Ok(Found { unread: queries::unread(read)?, ..found })
}

/// An item that the index named, with the places of its passages.
struct Named {
    item: Item,
    score: f32,
    passages: Vec<u32>,
}

fn by_words(
    ws: &Ws,
    read: &dyn Read,
    asked: (Seer, &Wish),
    wanted: &Wanted,
) -> Result<Found, KnowledgeError> {
    let filter = Filter::new(read, asked)?;
    let places = places(ws, asked.0, wanted);
    let mut named: HashMap<KnowledgeId, Named> = HashMap::new();
    let mut seen: HashSet<KnowledgeId> = HashSet::new();
    for (rank, (id, passage)) in places.into_iter().enumerate() {
        if seen.insert(id) {
            let item = read.get::<Item>(id)?.filter(|item| filter.admits(item));
            let new = item.map(|item| Named { item, score: 0.0, passages: Vec::new() });
            named.extend(new.map(|new| (id, new)));
        }
        let Some(one) = named.get_mut(&id) else { continue };
        let share = 1.0 / (RANK + rank as f32);
        match one.score {
            0.0 => one.score = share,
            _ if one.passages.len() == 1 => one.score += SECOND * share,
            _ => {}
        }
        if let Some(n) = passage.filter(|_| one.passages.len() < QUOTES) {
            one.passages.push(n);
        }
    }
    let asked_for = asked.1.q.trim().to_lowercase();
    let mut all: Vec<Named> = named.into_values().collect();
    for one in &mut all {
        if one.item.title.to_lowercase() == asked_for {
            one.score *= NAMED;
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| b.item.id.cmp(&a.item.id)));
    let mut places: HashMap<KnowledgeId, Vec<u32>> = HashMap::new();
    let hits = all.into_iter().map(|one| {
        places.insert(one.item.id, one.passages);
        Hit { item: one.item, quotes: Vec::new(), score: one.score }
    });
    let mut found = filter.gather(hits.collect::<Vec<_>>().into_iter());
    for hit in &mut found.hits {
        let at = places.get(&hit.item.id).cloned().unwrap_or_default();
        hit.quotes = quotes(ws, read, hit.item.id, &at, wanted)?;
    }
    let is_made = ws.finding.index.is_begun() && ws.finding.building().is_none();
    Ok(Found { unread: queries::unread(read)?, building: !is_made, ..found })
}

/// The items and passages that fit, best first. Words that do not all stand in one passage are looked for one by one.
fn places(ws: &Ws, seer: Seer, wanted: &Wanted) -> Vec<(KnowledgeId, Option<u32>)> {
    let audiences = seer.audiences();
    let number = ITEM.finds.map_or(PASSAGES, |finds| finds.number);
    let ask = |any: bool, typos: Typos| {
        let ask = Ask {
            wanted,
            audiences: &audiences,
            kinds: &[number, PASSAGES],
            status: None,
            groups: &[],
            any,
            most: LOOKED,
            now: ws.app.clock.now().as_second(),
            typos,
        };
        ws.finding.index.find(&ask).unwrap_or_else(|error| {
            tracing::warn!(%error, "the search index of {} did not answer", ws.slug);
            ws.finding.note(Some(error.to_string()));
            search::Found::default()
        })
    };
    let mut all: Vec<(KnowledgeId, Option<u32>)> = Vec::new();
    for found in [ask(false, Typos::WhenFew), ask(true, Typos::Never)] {
        for hit in found.hits {
            let place = InIndex::place(&hit.key);
            let place = place.and_then(|(key, n)| Some((decode::<KnowledgeId>(&key)?, n)));
            if let Some(place) = place.filter(|place| !all.contains(place)) {
                all.push(place);
            }
        }
        if LOOKED / 4 <= all.len() {
            break;
        }
    }
    all
}

/// The passages of an item with these numbers, as they stand now. A number may be of an older text: then those that
/// hold the words are looked for.
fn quotes(
    ws: &Ws,
    read: &dyn Read,
    id: KnowledgeId,
    places: &[u32],
    wanted: &Wanted,
) -> Result<Vec<Quote>, KnowledgeError> {
    let cut = Cut::of(ws, read, id)?;
    let fits = |n: &u32| cut.words(*n).is_some_and(|words| !wanted.marks(words).is_empty());
    let mut chosen: Vec<u32> = places.iter().copied().filter(fits).collect();
    if chosen.is_empty() {
        chosen.extend((0..cut.len()).filter(fits).take(1));
    }
    let quote = |n: u32| cut.quote(n, wanted.marks(cut.words(n)?).first().map(|mark| mark.start));
    Ok(chosen.into_iter().filter_map(quote).collect())
}

/// The text of an item with its passages.
pub struct Cut {
    /// The text.
    pub text: String,
    /// Its passages.
    pub passages: Vec<Passage>,
}

/// Texts that were cut a moment ago, newest last: questions come in rows about the same items.
static RECENT: LazyLock<Mutex<Recent>> = LazyLock::new(Mutex::default);
/// An item, the rev of its words, and these cut.
type Recent = VecDeque<(KnowledgeId, u64, Arc<Cut>)>;
/// The most bytes of them.
const KEPT: usize = 4 * 1024 * 1024;

impl Cut {
    /// The text of an item, cut.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn of(ws: &Ws, read: &dyn Read, id: KnowledgeId) -> Result<Arc<Self>, KnowledgeError> {
        let (kept, rev) =
            queries::words(read, id)?.unwrap_or_else(|| (Text::Inline(String::new()), 0));
        // ok: a thread that panicked with it in hand left whole entries.
        let recent = || RECENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, _, cut)) = recent().iter().find(|(of, at, _)| (*of, *at) == (id, rev)) {
            return Ok(cut.clone());
        }
        let text = kept.read(&ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
        let passages = passages::cut(&text);
        let cut = Arc::new(Self { text, passages });
        let mut recent = recent();
        recent.retain(|(of, _, _)| *of != id);
        recent.push_back((id, rev, cut.clone()));
        let bytes =
            |recent: &Recent| recent.iter().map(|(_, _, cut)| cut.text.len()).sum::<usize>();
        while 1 < recent.len() && KEPT < bytes(&recent) {
            recent.pop_front();
        }
        Ok(cut)
    }

    /// How many passages it has.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.passages.len()).unwrap_or(u32::MAX)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passages.is_empty()
    }

    fn at(&self, n: u32) -> Option<&Passage> {
        self.passages.get(usize::try_from(n).ok()?)
    }

    /// The words of a passage.
    #[must_use]
    pub fn words(&self, n: u32) -> Option<&str> {
        self.text.get(self.at(n)?.range.clone())
    }

    /// A passage as a quote, around one of its bytes when it is long.
    #[must_use]
    pub fn quote(&self, n: u32, around: Option<usize>) -> Option<Quote> {
        let (passage, words) = (self.at(n)?, self.words(n)?);
        let from = match around {
            Some(at) if QUOTED < words.len() => {
                let from = words.floor_char_boundary(at.saturating_sub(QUOTED / 4));
                words[..from].rfind(char::is_whitespace).map_or(0, |space| space + 1)
            }
            _ => 0,
        };
        let piece = kernel::text::cut(&words[from..], QUOTED);
        let (before, after) = (
            if 0 < from { "… " } else { "" },
            if from + piece.len() < words.len() { " …" } else { "" },
        );
        Some(Quote {
            n,
            text: format!("{before}{}{after}", piece.trim()),
            section: passage.trail(),
            page: passage.page,
            range: passage.range.clone(),
        })
    }
}

/// Whether the words of an item are still to come, such as those of a file that is being read.
///
/// # Errors
/// When the store fails.
pub fn is_waiting(read: &dyn Read, id: KnowledgeId) -> Result<bool, StoreError> {
    let reading: Option<Reading> = read.get(id)?;
    Ok(reading.is_some_and(|reading| reading.state == ReadingState::Waiting))
}
