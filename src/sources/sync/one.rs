//! One sync of one source: changed pages, pages marked for a fetch, and pages that have disappeared.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use connect::{Connector, ConnectorError, Content, Fetched, Known, Mark, Page, Step};
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use kernel::Timestamp;
use knowledge::model::{FileBody, Text};
use net::retry;
use store::StoreError;

use super::BY;
use crate::error::SourceError;
use crate::model::{Counts, Entry, EntryState};
use crate::queries;
use crate::reach;
use crate::rules::{self, Arrived, Begun, Ended, Heard};

/// Limits of items per source and of bytes of their text.
const MOST: usize = 5_000;
const MOST_BYTES: u64 = 200 * 1024 * 1024;
/// Pages and bytes of text per transaction.
const PIECE: usize = 32;
const PIECE_BYTES: u64 = 1024 * 1024;
/// Limits of steps and duration per sync, against endless sources.
const STEPS: usize = 50_000;
const LONGEST: Duration = Duration::from_hours(1);
/// A missing page is checked again after this time.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Limit of direct checks for missing pages per sync.
const LOOKS: usize = 200;
/// Removing more than one in `SHARE` of the items, or more than `MANY`, needs a person's approval.
const SHARE: usize = 5;
const MANY: usize = 50;

/// Skipped or unreadable pages that are named in the sync's notes.
const TOLD: u32 = 5;

/// Why a sync ends early.
enum Stop {
    Fault(ConnectorError),
    /// Error of the store or the disk.
    Store(StoreError),
    /// The source was removed meanwhile.
    Removed,
}

impl From<ConnectorError> for Stop {
    fn from(fault: ConnectorError) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Store(error) => Self::Store(error),
            SourceError::NotFound { .. } => Self::Removed,
            other => Self::Fault(ConnectorError::Failed(web::form::sentence(&other.to_string()))),
        }
    }
}

pub(super) async fn sync(ws: &Ws, id: crate::model::SourceId) -> Result<(), StoreError> {
    let Some(begun) = ws.write(&BY, move |tx| rules::begin(tx, id)).await? else { return Ok(()) };
    let mut sync = Sync {
        ws,
        begun: &begun,
        entries: HashMap::new(),
        seen: HashSet::new(),
        counts: Counts::default(),
        notes: Vec::new(),
        batch: Vec::new(),
        heard: Vec::new(),
        words: 0,
        items: 0,
        asks: 0,
        cursor: String::new(),
    };
    // A panic fails this sync only, like an unreachable source, and does not affect other sources.
    let done = AssertUnwindSafe(sync.go()).catch_unwind().await.unwrap_or_else(|panic| {
        let words = kernel::text::panic_words(&*panic);
        tracing::error!(source.id = %id, "a source could not be synced: {words}");
        Err(Stop::Fault(ConnectorError::Failed("HQ couldn’t process its content.".to_owned())))
    });
    // Pages read before the failure are kept.
    let flushed = sync.flush().await;
    let ended = match done.and(flushed) {
        Ok(()) => Ended::Well { cursor: sync.cursor, notes: sync.notes, asks: sync.asks },
        Err(Stop::Fault(fault)) => Ended::Ill(fault, retry::random()),
        Err(Stop::Removed) => return Ok(()),
        Err(Stop::Store(StoreError::Closed)) => return Err(StoreError::Closed),
        Err(Stop::Store(error)) => {
            let why = ConnectorError::Failed(web::form::sentence(&error.to_string()));
            Ended::Ill(why, retry::random())
        }
    };
    let counts = sync.counts;
    ws.write(&BY, move |tx| rules::end(tx, &begun, counts, &ended)).await
}

struct Sync<'s> {
    ws: &'s Ws,
    begun: &'s Begun,
    /// Known pages by place.
    entries: HashMap<String, Entry>,
    seen: HashSet<String>,
    counts: Counts,
    notes: Vec<String>,
    batch: Vec<Arrived>,
    heard: Vec<(String, Heard)>,
    /// Bytes of text of all items, and number of items.
    words: u64,
    items: usize,
    asks: u32,
    cursor: String,
}

impl Sync<'_> {
    async fn go(&mut self) -> Result<(), Stop> {
        let source = &self.begun.source;
        let reached = reach::open(&self.ws.app, &source.provider, &source.reads)?;
        let id = source.id;
        let entries =
            self.ws.read_blocking(move |ws| ws.read(|snap| queries::entries(snap, id))).await?;
        self.items = entries.len();
        self.words = entries.iter().map(|entry| entry.bytes).sum();
        self.entries = entries.into_iter().map(|entry| (entry.place.clone(), entry)).collect();
        let done = self.all(reached.connector.as_ref()).await;
        self.counts.requests = reached.pace.requests();
        done
    }

    async fn all(&mut self, connector: &dyn Connector) -> Result<(), Stop> {
        let begun = self.ws.app.clock.passed();
        let mut delta = connector.delta(&self.begun.standing.cursor, self.known());
        let mut steps = 0;
        let mut ends = true;
        while let Some(step) = delta.next().await? {
            self.take(step).await?;
            steps += 1;
            if STEPS < steps || LONGEST < self.ws.app.clock.passed().saturating_sub(begun) {
                ends = false;
                self.notes.push("It seemed endless, so HQ skipped the rest.".to_owned());
                break;
            }
        }
        let over = delta.over();
        drop(delta);
        self.cursor = over.cursor;
        self.notes.extend(over.notes);
        self.stale(connector).await?;
        self.flush().await?;
        if over.complete && ends {
            self.lost(connector).await?;
        }
        Ok(())
    }

    /// Change marks of known pages, without those of pages that must be fetched again.
    fn known(&self) -> Known {
        let fresh = self.begun.fresh;
        let mark = |(place, entry): (&String, &Entry)| {
            let counts = matches!(entry.state, EntryState::Synced | EntryState::Missing(_));
            let mark = if counts && !fresh { entry.mark.clone() } else { Mark::default() };
            (place.clone(), mark)
        };
        Arc::new(self.entries.iter().map(mark).collect())
    }

    async fn take(&mut self, step: Step) -> Result<(), Stop> {
        self.counts.seen += 1;
        match step {
            Step::Page(page) => self.page(*page).await?,
            Step::Same(place) => {
                let was = self.entries.get(&place).map(|entry| &entry.state);
                if matches!(was, Some(EntryState::Missing(_))) {
                    self.heard.push((place.clone(), Heard::Here));
                }
                self.seen.insert(place);
            }
            Step::Skipped(place, why) => self.skipped(place, why),
            Step::Failed(place, fault) => self.failed(place, &fault),
        }
        let words: u64 = self.batch.iter().map(Arrived::bytes).sum();
        if PIECE <= self.batch.len() + self.heard.len() || PIECE_BYTES <= words {
            self.flush().await?;
        }
        Ok(())
    }

    fn skipped(&mut self, place: String, why: String) {
        self.counts.skipped += 1;
        if self.counts.skipped <= TOLD {
            self.notes.push(format!("{place} was skipped: {}", lower(&why)));
        }
        if self.entries.contains_key(&place) {
            self.heard.push((place.clone(), Heard::Failed(why)));
        }
        self.seen.insert(place);
    }

    fn failed(&mut self, place: String, fault: &ConnectorError) {
        self.counts.failed += 1;
        if self.counts.failed <= TOLD {
            self.notes.push(format!("Couldn’t read {place}: {}", lower(&fault.to_string())));
        }
        self.heard.push((place.clone(), Heard::Failed(fault.to_string())));
        self.seen.insert(place);
    }

    async fn page(&mut self, page: Page) -> Result<(), Stop> {
        let old = self.entries.get(&page.place).map(|entry| entry.bytes);
        if !self.seen.insert(page.place.clone()) {
            return Ok(());
        }
        if old.is_none() && MOST <= self.items {
            self.full(&page.place, format!("A source can have at most {MOST} items."));
            return Ok(());
        }
        let (place, cut) = (page.place.clone(), page.cut);
        let arrived = match keep(self.ws, page).await {
            Err(StoreError::Panicked(_)) => {
                self.failed(place, &stumbled());
                return Ok(());
            }
            kept => kept?,
        };
        let words = self.words.saturating_sub(old.unwrap_or(0)).saturating_add(arrived.bytes());
        if MOST_BYTES < words {
            self.full(&place, "A source can have at most 200 MiB of text.".to_owned());
            return Ok(());
        }
        if cut {
            self.say(format!("Only the start of {place} was imported."));
        }
        self.words = words;
        self.items += usize::from(old.is_none());
        self.batch.push(arrived);
        Ok(())
    }

    fn full(&mut self, place: &str, message: String) {
        self.counts.skipped += 1;
        self.say(format!("{message} {place} and the rest were skipped."));
    }

    /// Adds a note, unless one with the same first three words exists.
    fn say(&mut self, words: String) {
        let begins = words.split(' ').take(3).collect::<Vec<_>>().join(" ");
        if !self.notes.iter().any(|note| note.starts_with(&begins)) {
            self.notes.push(words);
        }
    }

    /// Writes the collected pages. If they cannot be written together, each is written alone, so that one bad page does
    /// not block others.
    async fn flush(&mut self) -> Result<(), Stop> {
        let (pages, heard) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.heard));
        match self.lay(pages.clone(), heard.clone()).await {
            Err(Stop::Store(error)) if is_of_content(&error) && !pages.is_empty() => {}
            done => return done,
        }
        self.lay(Vec::new(), heard).await?;
        for page in pages {
            let place = page.place.clone();
            match self.lay(vec![page], Vec::new()).await {
                Err(Stop::Store(error)) if is_of_content(&error) => {
                    tracing::error!(%error, "a page of a source could not be kept");
                    self.failed(place, &stumbled());
                }
                done => done?,
            }
        }
        let heard = std::mem::take(&mut self.heard);
        self.lay(Vec::new(), heard).await
    }

    async fn lay(&mut self, pages: Vec<Arrived>, heard: Vec<(String, Heard)>) -> Result<(), Stop> {
        if pages.is_empty() && heard.is_empty() {
            return Ok(());
        }
        let (id, n, before) = (self.begun.source.id, self.begun.n, self.counts.clone());
        let counts = self.ws.write(&BY, move |tx| {
            let found = rules::apply(tx, id, pages)?;
            rules::hear(tx, id, heard)?;
            let counts = Counts {
                new: before.new + found.new,
                changed: before.changed + found.changed,
                skipped: before.skipped + found.skipped,
                bytes: before.bytes + found.bytes,
                ..before
            };
            rules::progress(tx, id, n, counts.clone())?;
            Ok::<_, SourceError>(counts)
        });
        self.counts = counts.await?;
        Ok(())
    }

    /// Fetches the pages that are marked stale, whatever the listing says.
    async fn stale(&mut self, connector: &dyn Connector) -> Result<(), Stop> {
        let stale = |entry: &&Entry| entry.state == EntryState::Stale;
        let places = self.entries.values().filter(stale).map(|entry| entry.place.clone());
        let places: Vec<String> = places.filter(|place| !self.seen.contains(place)).collect();
        for place in places {
            match connector.fetch(&place).await {
                Ok(Fetched::Page(page)) => self.take(Step::Page(page)).await?,
                Ok(Fetched::Skipped(why)) => self.take(Step::Skipped(place, why)).await?,
                Ok(Fetched::Gone) => {}
                Err(fault @ ConnectorError::Busy { .. }) => return Err(fault.into()),
                Err(fault) => self.take(Step::Failed(place, fault)).await?,
            }
        }
        Ok(())
    }

    /// Checks pages that a complete listing did not name. A page counts as gone only after two checks an hour apart.
    async fn lost(&mut self, connector: &dyn Connector) -> Result<(), Stop> {
        let now = self.ws.app.clock.now();
        let (mut first, mut twice) = (Vec::new(), Vec::new());
        for (place, was_missing) in self.unseen(now) {
            match connector.fetch(&place).await {
                Ok(Fetched::Gone) if was_missing => twice.push(place),
                Ok(Fetched::Gone) => first.push(place),
                Ok(Fetched::Page(page)) => self.take(Step::Page(page)).await?,
                Ok(Fetched::Skipped(_)) => self.heard.push((place, Heard::Here)),
                Err(fault @ ConnectorError::Busy { .. }) => return Err(fault.into()),
                Err(fault) => self.failed(place, &fault),
            }
        }
        self.flush().await?;
        let there = self.entries.values().filter(|entry| entry.state != EntryState::Gone).count();
        let many = 1 < twice.len() && (there < twice.len() * SHARE || MANY < twice.len());
        let id = self.begun.source.id;
        if many && !self.begun.standing.allowed {
            self.asks = u32::try_from(twice.len()).unwrap_or(u32::MAX);
            let words = format!("{} of {there} items no longer exist there.", twice.len());
            self.notes.push(format!("{words} They stay until someone approves."));
            twice.clear();
        }
        if !first.is_empty() {
            let pages = web::format::count(first.len() as u64, "page", "pages");
            let message = "HQ archives them if they’re still missing in an hour.";
            self.notes.push(format!("Not found: {pages}. {message}"));
        }
        if !first.is_empty() || !twice.is_empty() {
            let gone = self.ws.write(&BY, move |tx| {
                rules::missing(tx, id, &first)?;
                rules::gone(tx, id, &twice, false)
            });
            self.counts.gone += gone.await?;
        }
        Ok(())
    }

    /// Places that were not seen, and whether each was missing before; those that were come first.
    fn unseen(&self, now: Timestamp) -> Vec<(String, bool)> {
        let due = |entry: &&Entry| match entry.state {
            EntryState::Gone => false,
            EntryState::Missing(at) => AGAIN.as_millis() <= i128::from(now.as_millisecond() - at),
            _ => true,
        };
        let unseen = self.entries.values().filter(|entry| !self.seen.contains(&entry.place));
        let mut all: Vec<(String, bool)> = unseen
            .filter(due)
            .map(|entry| (entry.place.clone(), matches!(entry.state, EntryState::Missing(_))))
            .collect();
        all.sort_by(|a, b| (!a.1, &a.0).cmp(&(!b.1, &b.0)));
        // All missing pages are checked in one sync, since their number decides about the approval.
        let missing = all.iter().filter(|(_, was_missing)| *was_missing).count();
        all.truncate(missing.max(LOOKS));
        all
    }
}

/// Error for a page on which the connector panicked.
fn stumbled() -> ConnectorError {
    ConnectorError::Failed("HQ couldn’t process its content.".to_owned())
}

/// Whether the store rejected the content of a write, so that other writes may succeed.
fn is_of_content(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::Busy
            | StoreError::Reading
            | StoreError::Full { .. }
            | StoreError::Failed(_)
            | StoreError::Unknown(_)
            | StoreError::Closed
            | StoreError::CalledOff
    )
}

/// Stores a page's content as blobs.
pub(super) async fn keep(ws: &Ws, page: Page) -> Result<Arrived, StoreError> {
    ws.read_blocking(move |ws| {
        let disk = |error: std::io::Error| StoreError::of_file(&error);
        let (text, file) = match page.content {
            Content::Text(text) => (Some(Text::keep(&ws.blobs, text).map_err(disk)?), None),
            Content::File { bytes, media } => {
                let size = bytes.len() as u64;
                let blob = ws.blobs.put(&bytes).map_err(disk)?;
                (None, Some(FileBody { name: page.name, blob, size, media }))
            }
        };
        Ok::<_, StoreError>(Arrived {
            place: page.place,
            address: page.address,
            title: page.title,
            mark: page.mark,
            hash: page.hash,
            text,
            file,
            cut: page.cut,
        })
    })
    .await
}

/// The sentence with a lower-case first letter, for use after a colon.
fn lower(sentence: &str) -> String {
    let mut signs = sentence.chars();
    let first: String = signs.next().map(|sign| sign.to_lowercase().collect()).unwrap_or_default();
    match sentence.starts_with("HQ") {
        true => sentence.to_owned(),
        false => format!("{first}{}", signs.as_str()),
    }
}
