//! Background work on many rows, in pieces of one transaction each with a cursor: resumed after a crash, undone entry
//! by entry. Imports and conversions use it.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::Ws;
use entity::Target;
use features::history::queries::error::HistoryError;
use features::history::queries::fields::Speaker;
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::outlook::Outlook;
use features::history::queries::preview::{Keeps, what_stays};
use features::history::queries::scope::Wanted;
use features::history::rules::Undone;
use features::history::undo;
use features::workspace::queries as workspace;
use jiff::tz::TimeZone;
use kernel::{Actor, Can, Cause, Role, TypedId};
use store::{Read, StoreError, WriteTx, feed};
use tokio::sync::oneshot;
use uuid::Uuid;
use web::idempotency::Once;
use web::session::{Access, Person, RequestId};

use crate::error::CrmError;
use crate::model::back::{self, Turn};
use crate::model::{ImportState, MAX_STAYED, Stayed};
use crate::rules::Stays;

/// Number of rows per transaction.
pub(crate) const PIECE: usize = 500;
/// How long a requester waits for the end of an undo.
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of retries of a piece that the store refuses.
const TRIES: u32 = 5;

/// Work in pieces, identified by the id of its record.
pub(crate) trait Pieces: TypedId + Display + Send + Sync + 'static {
    /// Name of its task in sentences: "an import".
    const NAME: &'static str;

    /// Continues from the cursor to the end, or until the workspace stops; the next start resumes it.
    fn run(self, ws: Ws) -> impl Future<Output = Result<(), CrmError>> + Send + 'static;

    /// The actor and cause of its writes.
    fn by(self, ws: &Ws) -> (Actor, Cause);

    /// Records why it failed.
    fn fail(self, tx: &mut WriteTx<'_>, why: String) -> Result<(), CrmError>;

    /// Its state, the entries that it made, and the entry in which these were last stored.
    fn made(self, read: &dyn Read) -> Result<(ImportState, Vec<u64>, u64), CrmError>;

    /// The entry to undo next, and the entry in which that was last stored; `None` if there is nothing to undo.
    fn next_back(self, read: &dyn Read) -> Result<Option<(u64, u64)>, CrmError> {
        let (state, entries, noted) = self.made(read)?;
        let next = back::left(&entries).last().filter(|_| state == ImportState::Undoing);
        Ok(next.map(|entry| (*entry, noted)))
    }

    /// Records that an entry was undone, by which entry if anything was changed, and what stayed.
    fn taken_back(
        self,
        tx: &mut WriteTx<'_>,
        back: (u64, Option<u64>, Stays),
    ) -> Result<(), CrmError>;
}

/// Continues work from its cursor in the background.
pub(crate) fn go_on<P: Pieces>(ws: &Ws, id: P) {
    let own = ws.clone();
    ws.spawn(P::NAME, async move {
        if let Err(error) = id.run(own.clone()).await {
            failed(&own, id, error).await;
        }
    });
}

/// Records why work failed. After an error of the store the work keeps its position, and continues at the next start or
/// on request.
async fn failed<P: Pieces>(ws: &Ws, id: P, error: CrmError) {
    let error = match error {
        CrmError::Store(error) => CrmError::Store(error),
        error => {
            let why = web::form::sentence(&error.to_string());
            match ws.write(&id.by(ws), move |tx| id.fail(tx, why)).await {
                Ok(()) => return,
                Err(error) => error,
            }
        }
    };
    tracing::warn!(%error, %id, "{} rests", P::NAME);
}

/// Undoes or redoes the work of a record in the background, to the end or until the workspace stops; the next start
/// resumes it. Returns early if it finishes soon.
pub(crate) async fn turn<P: Pieces>(ws: &Ws, id: P, who: Option<Person>) {
    let own = ws.clone();
    let (tell, done) = oneshot::channel::<()>();
    ws.spawn(P::NAME, async move {
        let Some(_busy) = Busy::begin(&own, id) else { return };
        if let Err(error) = back(&own, id, who).await {
            failed(&own, id, error).await;
        }
        drop(tell);
    });
    // ok: longer work continues without the requester, who can see its progress.
    let _ = tokio::time::timeout(PATIENCE, done).await;
}

/// Progress of an undo or redo as a sentence.
pub(crate) fn turning(entries: &[u64]) -> String {
    let (done, all) = back::done_of(entries);
    let what = match back::turn(entries) {
        Some(Turn::Forth) => "Restoring",
        Some(Turn::Back) | None => "Undoing",
    };
    match all {
        0 | 1 => what.to_owned(),
        all => format!("{what}: {done} of {all} steps"),
    }
}

/// The progress in percent.
pub(crate) fn turned(entries: &[u64]) -> u8 {
    let (done, all) = back::done_of(entries);
    u8::try_from((done * 100).checked_div(all).unwrap_or(100)).unwrap_or(100)
}

/// Resumes interrupted undos of these records.
pub(crate) fn turn_on<P: Pieces>(
    ws: &Ws,
    found: impl FnOnce(&Ws) -> Result<Vec<P>, StoreError> + Send + 'static,
) {
    let own = ws.clone();
    ws.spawn(P::NAME, async move {
        match own.read_blocking(found).await {
            Ok(found) => {
                for id in found {
                    turn(&own, id, None).await;
                }
            }
            Err(error) => tracing::warn!(%error, "what is being taken back cannot be read"),
        }
    });
}

/// Work being undone in this process, so that nothing is undone twice concurrently.
static BUSY: LazyLock<Mutex<HashSet<(Uuid, Uuid)>>> = LazyLock::new(Mutex::default);

struct Busy((Uuid, Uuid));

impl Busy {
    fn begin<P: Pieces>(ws: &Ws, id: P) -> Option<Self> {
        Self::of((ws.id.uuid(), id.uuid()))
    }

    fn of(key: (Uuid, Uuid)) -> Option<Self> {
        // Not `then_some`, which would create and drop the value in any case, and the drop takes the lock.
        let is_first = busy().insert(key);
        is_first.then(|| Self(key))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        busy().remove(&self.0);
    }
}

fn busy() -> MutexGuard<'static, HashSet<(Uuid, Uuid)>> {
    // ok: a thread that panicked while holding it left consistent entries.
    BUSY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Undoes entries, newest first: untouched new records are deleted and changed cells reverted; later changes by others
/// stay.
async fn back<P: Pieces>(ws: &Ws, id: P, who: Option<Person>) -> Result<(), CrmError> {
    let (halt, mut tries) = (ws.halt(), 0);
    let Some((_, noted)) = ws.read(|snap| id.next_back(snap))? else { return Ok(()) };
    let who = match who {
        Some(who) => who,
        None => ws.read(|snap| undoer(snap, id, noted))?,
    };
    // A shutdown waits for one piece, not for all of them.
    while !halt.is_cancelled() {
        let Some((entry, _)) = ws.read(|snap| id.next_back(snap))? else { return Ok(()) };
        match one_back(ws, id, (&who, entry)).await {
            Ok(()) => tries = 0,
            // The store may recover.
            Err(CrmError::Store(error))
                if !matches!(error, StoreError::Closed) && tries < TRIES =>
            {
                tries += 1;
                tracing::warn!(%error, %id, "{} has to wait", P::NAME);
                tokio::select! {
                    () = tokio::time::sleep(ws.app.consumers.pause_after(tries)) => {}
                    () = halt.cancelled() => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn one_back<P: Pieces>(ws: &Ws, id: P, (who, entry): (&Person, u64)) -> Result<(), CrmError> {
    let stays = stays(ws, who, entry).await?;
    let kept = stays.clone();
    let note = move |tx: &mut WriteTx<'_>, by: Option<u64>| {
        match id.taken_back(tx, (entry, by, kept.clone())) {
            // The record was deleted with its collection.
            Ok(()) | Err(CrmError::NotFound { .. }) => Ok(()),
            Err(CrmError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Failed(error.to_string())),
        }
    };
    let noted = note.clone();
    let also = move |tx: &mut WriteTx<'_>, undone: &Undone| Ok(noted(tx, Some(undone.seq))?);
    let wanted = (Wanted::Entry(entry), None);
    match undo::undo_and(ws, who, wanted, Once::without_key(), also).await {
        Ok(_) => Ok(()),
        // It was undone before, or nothing of it is left.
        Err(HistoryError::Nothing) => Ok(ws.write(who, move |tx| note(tx, None)).await?),
        Err(HistoryError::Store(error)) => Err(error.into()),
        Err(error) => Err(CrmError::Refused(error.to_string())),
    }
}

/// The person who started the undo, from the entry in which it was last stored, with the rights of a member, whatever
/// rights the request had.
fn undoer<P: Pieces>(read: &dyn Read, id: P, noted: u64) -> Result<Person, CrmError> {
    let gone = || {
        let text = "the person who started this can no longer change records";
        CrmError::Refused(text.to_owned())
    };
    let entry = feed::entry(read, noted)?;
    let Some(Actor::Person { account, via }) = entry.map(|entry| entry.actor) else {
        return Err(gone());
    };
    let member = workspace::member(read, account)?.filter(|member| member.role != Role::Viewer);
    let member = member.ok_or_else(gone)?;
    Ok(Person {
        account,
        name: member.name,
        email: String::new(),
        role: member.role,
        via,
        request: RequestId(id.uuid().into_bytes()),
        access: Access::of(&[Can::Read, Can::Write]),
        is_proved: false,
        zone: "UTC".to_owned(),
    })
}

/// What would stay if an entry were undone now.
async fn stays(ws: &Ws, who: &Person, entry: u64) -> Result<Stays, CrmError> {
    let who = who.clone();
    ws.read_blocking(move |ws| {
        let by = Undoer::of(ws, &who)?;
        ws.read(|snap| {
            let schema = ws.store.schema();
            let outlook = match Outlook::of(snap, schema, &Wanted::Entry(entry), &by) {
                Ok(outlook) => outlook,
                Err(HistoryError::Store(error)) => return Err(error.into()),
                // The undo itself reports the error.
                Err(_) => return Ok(Stays::default()),
            };
            let names = Names::new(snap)?;
            let speaker = Speaker { names: &names, zone: TimeZone::UTC };
            let kept = what_stays(snap, schema, &speaker, &outlook)?;
            Ok(page_end(&kept, MAX_STAYED))
        })
    })
    .await
}

/// Counts what stays of a plan; includes the first lines of it.
fn page_end(kept: &[Keeps], most: usize) -> Stays {
    let mut stays = Stays::default();
    for one in kept {
        // ok: a record without such an id has no page and is only counted.
        let id = Uuid::from_slice(&one.record.key).ok();
        let mut tell = |field: &str, says: &str| {
            if let (Some(id), true) = (id, stays.told.len() < most) {
                let record = Target { table: one.record.table, id };
                let (field, says) = (field.to_owned(), web::form::sentence(says));
                stays.told.push(Stayed { record, field, says });
            }
        };
        match &one.whole {
            Some(why) => {
                tell("", why);
                stays.records += 1;
            }
            None => {
                one.fields.iter().for_each(|field| tell(&field.label, &field.why));
                stays.fields += one.fields.len();
            }
        }
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::{Busy, Uuid};

    #[test]
    fn who_comes_second_goes_away_and_the_first_goes_on_alone() {
        let key = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        let first = Busy::of(key).expect("nobody is at it");
        assert!(Busy::of(key).is_none());
        assert!(Busy::of(key).is_none(), "the first is at it still");
        drop(first);
        assert!(Busy::of(key).is_some());
    }
}
