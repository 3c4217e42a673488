//! Keeps the vectors of a workspace in step with its feed: one workspace at a time in the whole program. What changed
//! last is embedded first, vectors of old texts go at once, and a text that was embedded before is not embedded again.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use app::Ws;
use embed::vectors::{ArenaError, Entry, Id};
use embed::{Arena, EmbedError, Embedder, Hash, Refused};
use kernel::TypedId as _;
use kernel::key::decode;
use store::{Cursor, Range, Read, ReadExt as _, StoreError};
use tokio::sync::Semaphore;

use super::{hash, passage, place, told};
use crate::cut::Cut;
use crate::error::KnowledgeError;
use crate::model::{BODIES, ITEMS, Item, KnowledgeId, READINGS};

/// How many entries of the feed are looked at at once.
const STEP: usize = 500;
/// How long to wait when the disk refuses, or a model does not load.
const REFUSED: Duration = Duration::from_secs(30);
/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(200);
/// How long to wait for memory.
const POOR: Duration = Duration::from_secs(30);
/// After how long without work vectors and model leave memory.
const QUIET: Duration = Duration::from_secs(600);
/// From so many dead vectors on the file is written anew, if they are more than those in use.
const DEAD: usize = 1_000;
/// One workspace is worked on at a time: a batch takes all cores that it may have.
static TURN: Semaphore = Semaphore::const_new(1);

/// Begins to embed the passages of a workspace.
pub fn begin(ws: &Ws) {
    let own = ws.clone();
    ws.spawn("passage vectors", async move { keep_up(&own).await });
}

/// A passage without a vector.
struct Job {
    item: KnowledgeId,
    n: u32,
}

/// How far the work is.
#[derive(Default)]
struct Work {
    model: String,
    /// Up to where the feed was looked at.
    place: Option<Cursor>,
    jobs: VecDeque<Job>,
    /// Texts that the model gives no vector for.
    hopeless: HashSet<Hash>,
    /// Whether vectors were written since the place was kept.
    is_ahead: bool,
}

/// What a step has done.
enum Step {
    Did,
    Idle,
    /// No model is in use.
    Off,
    /// There is too little memory.
    Poor,
}

#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vectors(#[from] ArenaError),
    #[error(transparent)]
    Model(#[from] Refused),
    #[error("how far the vectors are could not be kept: {0}")]
    Place(#[from] std::io::Error),
    #[error("{0}")]
    Text(String),
}

impl From<KnowledgeError> for Stopped {
    fn from(error: KnowledgeError) -> Self {
        Self::Text(error.to_string())
    }
}

async fn keep_up(ws: &Ws) {
    let halt = ws.halt();
    let (mut feed, mut models) = (ws.store.watch(), ws.app.meaning.changes());
    let mut work = Work::default();
    loop {
        // Looked at before the work, so that what comes meanwhile is heard.
        feed.borrow_and_update();
        models.borrow_and_update();
        let Ok(turn) = TURN.acquire().await else { return };
        let stepped = ws.look(move |ws| {
            let step = step(ws, &mut work);
            let items = work.jobs.iter().map(|job| job.item.uuid());
            ws.vectors.wait(work.jobs.len(), items);
            Ok::<_, StoreError>((work, step))
        });
        let Ok((kept, step)) = stepped.await else { return };
        drop(turn);
        work = kept;
        let wait = match step {
            Ok(Step::Did) if halt.is_cancelled() => return,
            Ok(Step::Did) => continue,
            Ok(Step::Idle) => {
                ws.vectors.note(None);
                ws.vectors.rest(QUIET);
                ws.app.meaning.rest(QUIET);
                QUIET
            }
            Ok(Step::Poor) => {
                let why = "There is too little memory to embed passages; it is tried again soon.";
                ws.vectors.note(Some(why.to_owned()));
                POOR
            }
            Ok(Step::Off) => {
                ws.vectors.note(None);
                ws.vectors.rest(Duration::ZERO);
                // What changes is of no interest until somebody chooses a model.
                tokio::select! {
                    _ = models.changed() => continue,
                    () = halt.cancelled() => return,
                }
            }
            Err(Stopped::Store(StoreError::Closed)) => return,
            Err(error) => {
                tracing::warn!(%error, "passages of {} have to wait for their vectors", ws.slug);
                ws.vectors.note(Some(web::form::sentence(&error.to_string())));
                // What was planned is planned anew: the file may be another one by then.
                work = Work::default();
                REFUSED
            }
        };
        tokio::select! {
            changed = feed.changed() => {
                if changed.is_err() {
                    return;
                }
                // Changes come in rows.
                tokio::time::sleep(GATHER).await;
            }
            _ = models.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = halt.cancelled() => return,
        }
    }
}

/// Looks at some changes, and embeds a batch.
fn step(ws: &Ws, work: &mut Work) -> Result<Step, Stopped> {
    let Some(used) = ws.app.meaning.used() else {
        *work = Work::default();
        return Ok(Step::Off);
    };
    let model = &used.model;
    if work.model != model.id {
        let place = ws.vectors.place(&model.id);
        *work = Work { model: model.id.to_string(), place, ..Work::default() };
    }
    let open = || ws.vectors.open(&model.id, model.dimensions());
    if look(ws, work, open)? {
        return Ok(Step::Did);
    }
    if work.jobs.is_empty() {
        finish(ws, work, open)?;
        return Ok(Step::Idle);
    }
    let most = embed::batch();
    if most == 0 {
        return Ok(Step::Poor);
    }
    let Some(embedder) = ws.app.meaning.embedder()? else { return Ok(Step::Idle) };
    if embedder.id() != work.model {
        return Ok(Step::Did);
    }
    let arena = open()?;
    batch(ws, work, (&arena, embedder.as_ref()), most)?;
    Ok(Step::Did)
}

/// Looks what has changed; says whether there is more to look at.
fn look(
    ws: &Ws,
    work: &mut Work,
    open: impl Fn() -> Result<std::sync::Arc<Arena>, ArenaError>,
) -> Result<bool, Stopped> {
    let head = ws.store.head();
    let Some(from) = work.place.filter(|place| place.incarnation == head.incarnation) else {
        let arena = open()?;
        ws.read(|snap| everything(ws, snap, (work, &arena)))?;
        (work.place, work.is_ahead) = (Some(head), true);
        return Ok(true);
    };
    let entries = ws.store.entries_after(from.seq, STEP)?;
    let Some(last) = entries.last() else { return Ok(false) };
    let own = [ITEMS.number, BODIES.number, READINGS.number];
    let changes = entries.iter().flat_map(|entry| &entry.changes);
    let items: BTreeSet<KnowledgeId> = changes
        .filter(|change| own.contains(&change.table))
        .filter_map(|change| decode(&change.key))
        .collect();
    if !items.is_empty() {
        let arena = open()?;
        if 0 < arena.counts().lost {
            // What a bad disk has lost is in no entry.
            work.place = None;
            return Ok(true);
        }
        work.jobs.retain(|job| !items.contains(&job.item));
        ws.read(|snap| {
            items.iter().try_for_each(|item| plan(ws, snap, *item, (&mut *work, &arena)))
        })?;
        work.is_ahead = true;
    }
    work.place = Some(Cursor { seq: last.seq, ..from });
    Ok(true)
}

/// Compares all passages with all vectors.
fn everything(ws: &Ws, read: &dyn Read, (work, arena): (&mut Work, &Arena)) -> Result<(), Stopped> {
    work.jobs.clear();
    let items: Vec<Item> = read.list(&Range::all())?;
    let known: HashSet<KnowledgeId> = items.iter().map(|item| item.id).collect();
    let gone = |id: &Id| !known.contains(&passage(id).0);
    let gone: Vec<Id> = arena.ids().into_iter().filter(gone).collect();
    arena.delete(&gone)?;
    items.iter().try_for_each(|item| plan(ws, read, item.id, (&mut *work, arena)))
}

/// Takes the vectors of old texts of an item away, and notes the passages without one.
fn plan(
    ws: &Ws,
    read: &dyn Read,
    id: KnowledgeId,
    (work, arena): (&mut Work, &Arena),
) -> Result<(), Stopped> {
    let item: Option<Item> = read.get(id)?;
    let mut stale = Vec::new();
    let mut n = 0;
    if let Some(item) = item {
        let cut = Cut::of(&ws.blobs, read, id)?;
        while let Some(text) = told(&item, &cut, n) {
            let (wanted, vector) = (hash(&text), place(id, n));
            match arena.hash(&vector) {
                Some(found) if found == wanted => {}
                found => {
                    stale.extend(found.map(|_| vector));
                    if !work.hopeless.contains(&wanted) {
                        work.jobs.push_front(Job { item: id, n });
                    }
                }
            }
            n += 1;
        }
    }
    stale.extend((n..).map(|n| place(id, n)).take_while(|id| arena.hash(id).is_some()));
    arena.delete(&stale)?;
    Ok(())
}

/// A text that gets a vector.
struct Fresh {
    id: Id,
    hash: Hash,
    text: String,
}

/// Embeds some passages as they stand now.
fn batch(
    ws: &Ws,
    work: &mut Work,
    (arena, embedder): (&Arena, &dyn Embedder),
    most: usize,
) -> Result<(), Stopped> {
    let jobs: Vec<Job> = work.jobs.drain(..most.min(work.jobs.len())).collect();
    let mut fresh = Vec::new();
    ws.read(|snap| {
        for job in &jobs {
            let item: Option<Item> = snap.get(job.item)?;
            let Some(item) = item else { continue };
            let cut = Cut::of(&ws.blobs, snap, job.item)?;
            fresh.extend(told(&item, &cut, job.n).map(|text| Fresh {
                id: place(job.item, job.n),
                hash: hash(&text),
                text,
            }));
        }
        Ok::<_, Stopped>(())
    })?;
    let mut known = Vec::new();
    for one in &fresh {
        known.push(arena.by_hash(&one.hash)?);
    }
    let new: Vec<&Fresh> =
        fresh.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(one, _)| one).collect();
    let mut made = embedded(embedder, &new).into_iter();
    let mut vectors = Vec::new();
    for (one, known) in fresh.iter().zip(known) {
        match known.map_or_else(|| made.next(), |known| Some(Ok(known))) {
            Some(Ok(vector)) => vectors.push((one, vector)),
            Some(Err(error)) => {
                tracing::warn!(%error, "a passage of {} is not found by meaning", ws.slug);
                work.hopeless.insert(one.hash);
            }
            None => {}
        }
    }
    let entries: Vec<Entry<'_>> =
        vectors.iter().map(|(one, vector)| Entry { id: one.id, hash: one.hash, vector }).collect();
    arena.append(&entries)?;
    Ok(())
}

/// The vectors of texts; where they fail together each is tried alone, so that one bad text costs no other its vector.
fn embedded(embedder: &dyn Embedder, fresh: &[&Fresh]) -> Vec<Result<Vec<f32>, EmbedError>> {
    let texts: Vec<&str> = fresh.iter().map(|one| one.text.as_str()).collect();
    let alone = |text: &&str| embedder.passages(&[text]).map(|mut one| one.remove(0));
    match embedder.passages(&texts) {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(_) => texts.iter().map(alone).collect(),
    }
}

/// All passages have their vectors: keeps the place, and gives back what is not needed.
fn finish(
    ws: &Ws,
    work: &mut Work,
    open: impl Fn() -> Result<std::sync::Arc<Arena>, ArenaError>,
) -> Result<(), Stopped> {
    let Some(place) = work.place.filter(|_| work.is_ahead) else { return Ok(()) };
    let arena = open()?;
    let counts = arena.counts();
    if DEAD.max(counts.live) < counts.dead {
        arena.compact()?;
    }
    arena.sync()?;
    ws.vectors.keep_place(&work.model, place)?;
    work.is_ahead = false;
    Ok(())
}
