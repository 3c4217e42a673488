//! Work on many rows that goes on piece by piece, each in a transaction of its own behind a cursor: taken up again after
//! a kill, taken back entry by entry. Imports and conversions are such work.

use std::fmt::Display;

use app::Ws;
use features::history::queries::error::HistoryError;
use features::history::queries::fields::Speaker;
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::outlook::Outlook;
use features::history::queries::preview::{Keeps, what_stays};
use features::history::queries::scope::Wanted;
use features::history::undo;
use jiff::tz::TimeZone;
use kernel::{Actor, Cause};
use noun::Target;
use store::WriteTx;
use uuid::Uuid;
use web::idempotency::Once;
use web::session::Person;

use crate::error::CrmError;
use crate::model::{MAX_STAYED, Stayed};
use crate::rules::Stays;

/// Rows of a transaction.
pub(crate) const PIECE: usize = 500;

/// Work that goes on piece by piece, by the id of its record.
pub(crate) trait Pieces: Copy + Display + Send + Sync + 'static {
    /// The name of its task, in a sentence: "an import".
    const NAME: &'static str;

    /// Goes on from where it stands, to the end or until the work of the workspace halts: the next start takes it up.
    fn run(self, ws: Ws) -> impl Future<Output = Result<(), CrmError>> + Send + 'static;

    /// Who it acts as.
    fn by(self, ws: &Ws) -> (Actor, Cause);

    /// Notes that it cannot go on.
    ///
    /// # Errors
    /// When it is gone.
    fn fail(self, tx: &mut WriteTx<'_>, why: String) -> Result<(), CrmError>;

    /// Notes that an entry of it was taken back, with what stayed; without an entry, that all were looked at.
    ///
    /// # Errors
    /// When it is gone.
    fn taken_back(self, tx: &mut WriteTx<'_>, back: (Option<u64>, Stays)) -> Result<(), CrmError>;
}

/// Lets work go on, from where it stands.
pub(crate) fn go_on<P: Pieces>(ws: &Ws, id: P) {
    let own = ws.clone();
    ws.spawn(P::NAME, async move {
        match id.run(own.clone()).await {
            Ok(()) => {}
            // It stands where it stood, and goes on at the next start or when somebody asks.
            Err(CrmError::Store(error)) => tracing::warn!(%error, %id, "{} rests", P::NAME),
            Err(error) => {
                let why = web::form::sentence(&error.to_string());
                let noted = own.write(&id.by(&own), move |tx| id.fail(tx, why)).await;
                if let Err(error) = noted {
                    tracing::warn!(%error, %id, "{} rests", P::NAME);
                }
            }
        }
    });
}

/// Takes work back, newest entry first: rows that it made and nobody touched go, cells that it changed go back, what
/// others have changed since stays.
///
/// # Errors
/// When an entry cannot be taken back.
pub(crate) async fn back<P: Pieces>(
    ws: &Ws,
    who: &Person,
    id: P,
    entries: &[u64],
) -> Result<(), CrmError> {
    for entry in entries.iter().rev().copied() {
        let stays = stays(ws, who, entry).await?;
        let done = undo::undo(ws, who, (Wanted::Entry(entry), None), Once::without_key()).await;
        match done {
            // It went back before, or nothing of it is left.
            Ok(_) | Err(HistoryError::Nothing) => {}
            Err(HistoryError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(CrmError::Refused(error.to_string())),
        }
        ws.write(who, move |tx| id.taken_back(tx, (Some(entry), stays))).await?;
    }
    ws.write(who, move |tx| id.taken_back(tx, (None, Stays::default()))).await
}

/// What stays when an entry is taken back now.
async fn stays(ws: &Ws, who: &Person, entry: u64) -> Result<Stays, CrmError> {
    let who = who.clone();
    ws.look(move |ws| {
        let by = Undoer::of(ws, &who)?;
        ws.read(|snap| {
            let schema = ws.store.schema();
            let outlook = match Outlook::of(snap, schema, &Wanted::Entry(entry), &by) {
                Ok(outlook) => outlook,
                Err(HistoryError::Store(error)) => return Err(error.into()),
                // The undo itself says what is wrong.
                Err(_) => return Ok(Stays::default()),
            };
            let names = Names::new(snap)?;
            let speaker = Speaker { names: &names, zone: TimeZone::UTC };
            let kept = what_stays(snap, schema, &speaker, &outlook)?;
            Ok(told(&kept, MAX_STAYED))
        })
    })
    .await
}

/// What stays of a plan, counted, with the first lines of it.
fn told(kept: &[Keeps], most: usize) -> Stays {
    let mut stays = Stays::default();
    for one in kept {
        // ok: what has no id of this kind has no page either, and is counted alone.
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
