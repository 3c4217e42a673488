//! Updates a workspace's vectors from its feed, one workspace at a time per process. The latest changes come first;
//! vectors of old texts are deleted at once, and a text that was embedded before is not embedded again. A connection
//! gets batches, and a pause after a failure. An item that fails is left out (`left_out.rs`) without affecting others.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use embed::vectors::{ArenaError, Entry, Id};
use embed::{Arena, EmbedError, Embedder, Hash, Refused};
use features::connections::model::{Maker, VECTOR_SOURCES};
use features::connections::queries::vectors::made;
use kernel::key::decode;
use kernel::{Event, TypedId as _};
use providers::embedding::Purpose;
use store::{Cursor, Entry as Fed, Range, Read, ReadExt as _, StoreError};
use tokio::sync::Semaphore;

use super::left_out::{self, LeftOut};
use super::pause::{LEAST, Pause};
use super::{Source, embedding_text, hash, passage, place, source};
use crate::cut::Cut;
use crate::error::KnowledgeError;
use crate::model::{BODIES, ITEMS, Item, KnowledgeId, READINGS};

/// Feed entries per read.
const STEP: usize = 500;
/// Delay after a disk error or a model that fails to load.
const REFUSED: Duration = Duration::from_secs(30);
/// How long changes are collected before a step.
const GATHER: Duration = Duration::from_millis(200);
/// Delay while memory is low.
const POOR: Duration = Duration::from_secs(30);
/// Idle time after which vectors and model are released from memory.
const QUIET: Duration = Duration::from_secs(600);
/// Minimum number of dead vectors for compaction; they must also exceed the live ones.
const DEAD: usize = 1_000;
/// Passages per request to a connection.
const SENT: usize = 64;
/// After this many refused texts in a row, the cause is not the texts.
const REFUSALS: usize = 8;
/// One workspace at a time, since a batch uses all available cores.
static TURN: Semaphore = Semaphore::const_new(1);

/// Starts the worker of a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("passage vectors", |ws| async move { keep_up(&ws).await });
}

/// A passage without a vector.
struct Job {
    item: KnowledgeId,
    n: u32,
}

/// State of the worker.
#[derive(Default)]
struct Work {
    model: String,
    /// Cursor up to which the feed was processed.
    place: Option<Cursor>,
    jobs: VecDeque<Job>,
    /// Texts that the model cannot embed.
    hopeless: HashSet<Hash>,
    /// Items that failed since the last step, with reasons.
    faults: Vec<(KnowledgeId, String)>,
    /// Items whose texts a provider refused, with reasons; not retried.
    refused: Vec<(KnowledgeId, String)>,
    /// Items to retry, and abandoned items.
    left: LeftOut,
    /// Whether vectors were written after the last stored cursor.
    is_ahead: bool,
    /// Whether a change may have fixed the failure of a connection.
    is_renewed: bool,
    /// Number of passages to send one by one, because the connection refused their batch.
    alone: usize,
    /// Number of consecutive texts that a connection refused.
    refusals: usize,
}

/// Passages to send to a connection.
struct Sending {
    maker: Maker,
    arena: Arc<Arena>,
    fresh: Vec<Fresh>,
}

/// Result of a step.
enum Step {
    Did,
    Idle,
    /// No embedding model is in use.
    Off,
    /// A batch must be sent to a connection.
    Send(Sending),
    /// The connection is paused.
    Left,
    /// Memory is low.
    Poor,
    /// A failed item is retried after this time.
    Later(Duration),
}

#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vectors(#[from] ArenaError),
    #[error(transparent)]
    Model(#[from] Refused),
    #[error("couldn't save the vectors' progress: {0}")]
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
    let (mut work, mut pause) = (Work::default(), Pause::default());
    loop {
        // Read before the step, so that changes during it cause another step.
        feed.borrow_and_update();
        models.borrow_and_update();
        let Ok(turn) = TURN.acquire().await else { return };
        let is_left = pause.left().is_some();
        let stepped = ws.read_blocking(move |ws| {
            let step = step(ws, &mut work, is_left);
            // Passages in the batch do not have a vector yet.
            let sent = match &step {
                Ok(Step::Send(sending)) => sending.fresh.as_slice(),
                _ => &[],
            };
            let items = work.jobs.iter().map(|job| job.item);
            let items = items.chain(sent.iter().map(|one| passage(&one.id).0));
            let items = items.chain(work.left.failing());
            let waiting = work.jobs.len() + sent.len() + work.left.failing().count();
            ws.vectors.wait(waiting, items.map(|item| item.uuid()));
            ws.vectors.saw(work.place);
            Ok::<_, StoreError>((work, step))
        });
        let (kept, step) = match stepped.await {
            Ok(stepped) => stepped,
            Err(StoreError::Closed) => return,
            Err(error) => (Work::default(), Err(error.into())),
        };
        drop(turn);
        work = kept;
        if std::mem::take(&mut work.is_renewed) {
            pause = Pause::default();
            ws.vectors.go_on();
            if is_left {
                continue;
            }
        }
        let wait = match step {
            Ok(Step::Did | Step::Send(_)) if halt.is_cancelled() => return,
            Ok(Step::Did) => continue,
            Ok(Step::Send(sending)) => {
                tokio::select! {
                    sent = send(ws, sending, (&mut work, &mut pause)) => match sent {
                        Ok(()) => continue,
                        Err(StoreError::Closed) => return,
                        Err(error) => {
                            put_off(ws, &error.to_string());
                            work = Work::default();
                            REFUSED
                        }
                    },
                    () = halt.cancelled() => return,
                }
            }
            // The failure stays visible until the connection returns vectors again.
            Ok(Step::Left) => pause.left().unwrap_or(LEAST),
            Ok(Step::Idle) => {
                ws.vectors.note(None);
                ws.vectors.rest(QUIET);
                ws.app.meaning.rest(QUIET);
                QUIET
            }
            Ok(Step::Later(wait)) => wait,
            Ok(Step::Poor) => {
                let why = "Not enough memory to embed passages. HQ will retry soon.";
                ws.vectors.note(Some(why.to_owned()));
                POOR
            }
            Ok(Step::Off) => {
                ws.vectors.note(None);
                ws.vectors.rest(Duration::ZERO);
                QUIET
            }
            Err(Stopped::Store(StoreError::Closed)) => return,
            Err(error) => {
                put_off(ws, &error.to_string());
                // Plan again: the vector file may be a new one.
                work = Work::default();
                REFUSED
            }
        };
        tokio::select! {
            changed = feed.changed() => {
                if changed.is_err() {
                    return;
                }
                // Changes arrive in bursts.
                tokio::time::sleep(GATHER).await;
            }
            _ = models.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = halt.cancelled() => return,
        }
    }
}

fn put_off(ws: &Ws, error: &str) {
    tracing::warn!(error, "passages of {} have to wait for their vectors", ws.slug);
    ws.vectors.note(Some(web::form::sentence(error)));
}

/// Requests vectors from a connection and writes them. After a failure the reason is recorded and the passages are
/// planned again.
async fn send(
    ws: &Ws,
    sending: Sending,
    (work, pause): (&mut Work, &mut Pause),
) -> Result<(), StoreError> {
    let Sending { maker, arena, fresh } = sending;
    let texts = fresh.iter().map(|one| one.text.clone()).collect();
    match made(ws, &maker, (texts, Purpose::Passages)).await {
        Ok(made) => {
            let vectors: Vec<(Fresh, Vec<f32>)> = fresh.into_iter().zip(made.vectors).collect();
            ws.read_blocking(move |_| {
                append(&arena, &vectors).map_err(|error| StoreError::Failed(error.to_string()))
            })
            .await?;
            (work.alone, work.refusals) = (work.alone.saturating_sub(1), 0);
            *pause = Pause::default();
            ws.vectors.go_on();
            ws.vectors.note(None);
        }
        Err(error) if error.is_of_texts() && work.refusals < REFUSALS => {
            tracing::warn!(%error, "passages of {} are not found by meaning", ws.slug);
            match fresh.as_slice() {
                [one] => {
                    work.hopeless.insert(one.hash);
                    work.refused.push((passage(&one.id).0, error.to_string()));
                    (work.alone, work.refusals) = (work.alone.saturating_sub(1), work.refusals + 1);
                }
                several => {
                    // Sending them one by one keeps a bad text from affecting the others.
                    work.alone = several.len();
                    plan_again(work, &fresh);
                }
            }
        }
        Err(error) => {
            plan_again(work, &fresh);
            let length = pause.begin(&error);
            ws.vectors.start_cooldown(&maker.id(), length);
            let next = match error.passes() {
                true => format!("retrying in {}", web::format::duration(length)),
                false => "fix it, then choose it again".to_owned(),
            };
            let message = error.to_string();
            put_off(ws, &format!("{}; {next}", message.trim_end_matches('.')));
        }
    }
    Ok(())
}

fn plan_again(work: &mut Work, fresh: &[Fresh]) {
    for one in fresh.iter().rev() {
        let (item, n) = passage(&one.id);
        work.jobs.push_front(Job { item, n });
    }
}

/// Processes some changes and embeds a batch.
fn step(ws: &Ws, work: &mut Work, is_left: bool) -> Result<Step, Stopped> {
    let Some(source) = source(ws)? else {
        *work = Work::default();
        ws.vectors.leave_out(0);
        return Ok(Step::Off);
    };
    let id = source.id();
    if work.model != id {
        let place = ws.vectors.place(&id);
        *work = Work { model: id.clone(), place, is_renewed: true, ..Work::default() };
    }
    let open = || ws.vectors.open(&id, source.dimensions());
    take_faults(ws, work)?;
    if process_changes(ws, work, open)? {
        return Ok(Step::Did);
    }
    if work.jobs.is_empty() {
        return rest(ws, work, open);
    }
    if let Source::Connection(maker) = &source {
        if is_left {
            return Ok(Step::Left);
        }
        let (maker, arena) = (maker.clone(), open()?);
        let fresh = drawn(ws, work, &arena, if work.alone == 0 { SENT } else { 1 })?;
        let is_nothing = fresh.is_empty();
        return Ok(if is_nothing {
            Step::Did
        } else {
            Step::Send(Sending { maker, arena, fresh })
        });
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
    let fresh = drawn(ws, work, &arena, most)?;
    batch(ws, work, (&arena, embedder.as_ref()), fresh)?;
    Ok(Step::Did)
}

/// Whether a model, connection or budget changed, which may fix a failure.
fn renews(entry: &Fed) -> bool {
    let is = |event: &Event| {
        matches!(event, Event::ConnectionChanged { .. } | Event::BudgetChanged { .. })
    };
    entry.events.iter().any(is)
        || entry.changes.iter().any(|change| change.table == VECTOR_SOURCES.number)
}

/// Passes failed items to the retry list, and refused ones to the left-out items.
fn take_faults(ws: &Ws, work: &mut Work) -> Result<(), StoreError> {
    for (item, why) in std::mem::take(&mut work.faults) {
        work.left.failed(ws, item, &why)?;
    }
    for (item, why) in std::mem::take(&mut work.refused) {
        work.left.give_up(ws, item, &why)?;
    }
    Ok(())
}

/// No passage is pending: retries a failed item if due, otherwise stores the cursor.
fn rest(
    ws: &Ws,
    work: &mut Work,
    open: impl Fn() -> Result<Arc<Arena>, ArenaError>,
) -> Result<Step, Stopped> {
    if let Some(item) = work.left.due() {
        let arena = open()?;
        ws.read(|snap| plan(ws, snap, item, (&mut *work, &arena)))?;
        work.is_ahead = true;
        if work.faults.is_empty() {
            work.left.forget(ws, item)?;
        }
        return Ok(Step::Did);
    }
    if let Some(wait) = work.left.wait() {
        return Ok(Step::Later(wait));
    }
    work.left.settle(ws)?;
    finish(ws, work, open)?;
    Ok(Step::Idle)
}

/// Processes changes; returns whether there are more.
fn process_changes(
    ws: &Ws,
    work: &mut Work,
    open: impl Fn() -> Result<Arc<Arena>, ArenaError>,
) -> Result<bool, Stopped> {
    if work.left.refresh(ws, false)? {
        work.place = None;
    }
    let head = ws.store.head();
    let Some(from) = work.place.filter(|place| place.incarnation == head.incarnation) else {
        let arena = open()?;
        ws.read(|snap| everything(ws, snap, (work, &arena)))?;
        (work.place, work.is_ahead) = (Some(head), true);
        return Ok(true);
    };
    let entries = ws.store.entries_after(from.seq, STEP)?;
    let Some(last) = entries.last() else { return Ok(false) };
    work.is_renewed |= entries.iter().any(|entry| renews(entry));
    let is_steered = |event: &Event| matches!(event, Event::ConsumerChanged { consumer, .. } if *consumer == left_out::NUMBER);
    let is_steered = entries.iter().any(|entry| entry.events.iter().any(is_steered));
    if is_steered && work.left.refresh(ws, true)? {
        (work.place, work.hopeless) = (None, HashSet::new());
        return Ok(true);
    }
    let own = [ITEMS.number, BODIES.number, READINGS.number];
    let changes = entries.iter().flat_map(|entry| &entry.changes);
    let items: BTreeSet<KnowledgeId> = changes
        .filter(|change| own.contains(&change.table))
        .filter_map(|change| decode(&change.key))
        .collect();
    if !items.is_empty() {
        let arena = open()?;
        if 0 < arena.counts().lost {
            // The feed does not report vectors lost to a disk error.
            work.place = None;
            return Ok(true);
        }
        work.jobs.retain(|job| !items.contains(&job.item));
        items.iter().try_for_each(|item| work.left.forget(ws, *item))?;
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

/// The passages of an item, or why it fails. Catches panics.
fn cut(ws: &Ws, read: &dyn Read, id: KnowledgeId) -> Result<Arc<Cut>, String> {
    match catch_unwind(AssertUnwindSafe(|| Cut::of(&ws.blobs, read, id))) {
        Ok(cut) => cut.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("a bug: {}", kernel::text::panic_words(&*panic))),
    }
}

/// Deletes the vectors of an item's old texts and queues passages without a vector. An item that fails has no vectors.
fn plan(
    ws: &Ws,
    read: &dyn Read,
    id: KnowledgeId,
    (work, arena): (&mut Work, &Arena),
) -> Result<(), Stopped> {
    let item: Option<Item> = read.get(id)?;
    let mut stale = Vec::new();
    let mut n = 0;
    let words = item.map(|item| cut(ws, read, id).map(|cut| (item, cut))).transpose();
    let words = words.unwrap_or_else(|why| {
        work.faults.push((id, why));
        None
    });
    if let Some((item, cut)) = words {
        while let Some(text) = embedding_text(&item, &cut, n) {
            let (wanted, vector) = (hash(&text), place(id, n));
            match arena.hash(&vector) {
                Some(found) if found == wanted => {}
                found => {
                    stale.extend(found.map(|_| vector));
                    if work.hopeless.contains(&wanted) {
                        let why = "a passage of it can't be embedded";
                        work.refused.push((id, why.to_owned()));
                    } else {
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

/// A text to embed.
struct Fresh {
    id: Id,
    hash: Hash,
    text: String,
}

/// Takes queued passages. Texts that were embedded before get their vector at once; the others are returned.
fn drawn(ws: &Ws, work: &mut Work, arena: &Arena, most: usize) -> Result<Vec<Fresh>, Stopped> {
    let jobs: Vec<Job> = work.jobs.drain(..most.min(work.jobs.len())).collect();
    let mut fresh = Vec::new();
    ws.read(|snap| {
        for job in &jobs {
            let item: Option<Item> = snap.get(job.item)?;
            let Some(item) = item else { continue };
            let cut = match cut(ws, snap, job.item) {
                Ok(cut) => cut,
                Err(why) => {
                    if work.faults.iter().all(|(item, _)| *item != job.item) {
                        work.faults.push((job.item, why));
                    }
                    continue;
                }
            };
            fresh.extend(embedding_text(&item, &cut, job.n).map(|text| Fresh {
                id: place(job.item, job.n),
                hash: hash(&text),
                text,
            }));
        }
        Ok::<_, Stopped>(())
    })?;
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for one in fresh {
        match arena.by_hash(&one.hash)? {
            Some(vector) => known.push((one, vector)),
            None => new.push(one),
        }
    }
    append(arena, &known)?;
    Ok(new)
}

fn append(arena: &Arena, vectors: &[(Fresh, Vec<f32>)]) -> Result<(), ArenaError> {
    let mut entries = Vec::with_capacity(vectors.len());
    for (one, vector) in vectors {
        entries.push(Entry { id: one.id, hash: one.hash, vector });
    }
    arena.append(&entries)
}

/// Embeds some passages.
fn batch(
    ws: &Ws,
    work: &mut Work,
    (arena, embedder): (&Arena, &dyn Embedder),
    fresh: Vec<Fresh>,
) -> Result<(), Stopped> {
    let made = embedded(embedder, &fresh);
    let mut vectors = Vec::new();
    for (one, made) in fresh.into_iter().zip(made) {
        match made {
            Ok(vector) => vectors.push((one, vector)),
            Err(error) => {
                tracing::warn!(%error, "a passage of {} is not found by meaning", ws.slug);
                work.hopeless.insert(one.hash);
                work.refused.push((passage(&one.id).0, error.to_string()));
            }
        }
    }
    append(arena, &vectors)?;
    Ok(())
}

/// The vectors of texts. If the batch fails, each text is tried alone, so that a bad text does not affect the others.
fn embedded(embedder: &dyn Embedder, fresh: &[Fresh]) -> Vec<Result<Vec<f32>, EmbedError>> {
    let texts: Vec<&str> = fresh.iter().map(|one| one.text.as_str()).collect();
    let alone = |text: &&str| embedder.passages(&[text]).map(|mut one| one.remove(0));
    match embedder.passages(&texts) {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(_) => texts.iter().map(alone).collect(),
    }
}

/// All passages have vectors: stores the cursor, and compacts the file if necessary.
fn finish(
    ws: &Ws,
    work: &mut Work,
    open: impl Fn() -> Result<Arc<Arena>, ArenaError>,
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
