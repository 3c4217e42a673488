//! Conversions of fields to another kind: previewed on a snapshot by the same function, done in one transaction for few
//! values, else piece by piece; resumed after a crash; undone.

pub mod api;
pub mod pages;

use app::{Who as _, Ws};
use entity::{Column, FieldValue, Kind};
use features::tasks::queries::people::assignee_of;
use kernel::{Actor, Cause, Part};
use store::{Range, Read, ReadExt as _, StoreError, WriteTx};
use uuid::Uuid;
use web::idempotency::Once;
use web::session::Person;

use crate::error::CrmError;
use crate::list::filled;
use crate::model::back::Turn;
use crate::model::{
    CONVERSIONS_RUNNING, Cast, Conversion, ConversionId, Home, ImportState, Row, RowKind, Shape,
};
use crate::names::Known;
use crate::pieces::{self, PIECE, Pieces};
use crate::rules::{self, Became, Caster, Stays};

/// Maximum number of values per conversion.
const MOST: usize = 100_000;
/// Maximum number of values converted in one transaction, so that a single undo reverts all.
const WHOLE: usize = 4_000;
/// Number of examples in a preview.
const EXAMPLES: usize = 8;

/// A requested conversion.
#[derive(Clone, Debug)]
pub struct ConversionRequest {
    /// The records with the field.
    pub home: Home,
    pub key: String,
    pub kind: Kind,
}

/// A value before and after.
#[derive(Clone, Debug)]
pub struct Example {
    /// Page of its record below the workspace.
    pub path: String,
    /// Name of the record.
    pub title: String,
    pub old: String,
    /// The new text; for a lost value the reason.
    pub new: String,
}

/// What a conversion would do.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// The current field.
    pub column: Column,
    pub to: Shape,
    /// The rows with a value.
    pub rows: Vec<Uuid>,
    /// Number of values by result.
    pub counts: Cast,
    /// Examples of changed values.
    pub other: Vec<Example>,
    /// Examples of lost values.
    pub lost: Vec<Example>,
}

/// Previews the conversion of all values. May take seconds; blocking.
///
/// # Errors
/// When the field cannot get this kind, or has too many values.
pub fn foresee(
    read: &dyn Read,
    who: &Person,
    wish: &ConversionRequest,
) -> Result<Foreseen, CrmError> {
    let known = &Known::new(read, assignee_of(who.actor()))?;
    let column = rules::convertible(read, (wish.home, &wish.key))?;
    let rows = filled(read, wish.home, &wish.key)?;
    if MOST < rows.len() {
        return Err(CrmError::Refused(format!("convert at most {MOST} values at once")));
    }
    let mut texts = Vec::new();
    if wish.kind.has_choices() && column.choices.is_empty() {
        each(wish.home.kind(), read, (&rows, &wish.key), &mut |_, value| {
            texts.push(rules::written(&column, wish.kind, value, known));
            Ok(())
        })?;
    }
    let texts = texts.iter().map(String::as_str);
    let to = rules::shaped(&column, wish.kind, texts)?;
    let caster = Caster::new(&column, (&Shape::of(&column), &to));
    let (mut counts, mut other, mut lost) = (Cast::default(), Vec::new(), Vec::new());
    each(wish.home.kind(), read, (&rows, &wish.key), &mut |row, value| {
        let example = |new: String| Example {
            path: row.path(),
            title: row.name().to_owned(),
            old: kernel::text::ellipsis(&caster.shown(value, known), 80),
            new: kernel::text::ellipsis(&new, 120),
        };
        match caster.cast(value, known) {
            Became::Same(_) => counts.same += 1,
            Became::Other(cast) => {
                counts.other += 1;
                if other.len() < EXAMPLES {
                    other.push(example(caster.then(&cast, known)));
                }
            }
            Became::Lost(why) => {
                counts.lost += 1;
                if lost.len() < EXAMPLES {
                    lost.push(example(why));
                }
            }
        }
        Ok(())
    })?;
    Ok(Foreseen { column, to, rows, counts, other, lost })
}

/// Visits a row and its value.
type Visit<'v> = dyn FnMut(&Row, &FieldValue) -> Result<(), StoreError> + 'v;

/// Visits each value of a field, row by row.
fn each(
    kind: &'static RowKind,
    read: &dyn Read,
    (ids, key): (&[Uuid], &str),
    body: &mut Visit<'_>,
) -> Result<(), StoreError> {
    for id in ids {
        let row: Option<Row> = kind.get(read, *id)?;
        if let Some(row) = &row
            && let Some(value) = row.value(key)
        {
            body(row, value)?;
        }
    }
    Ok(())
}

/// Starts a conversion of a field and its values. Idempotent with the same key.
///
/// # Errors
/// When the field cannot get this kind, or a required value would be lost.
pub async fn start(
    ws: &Ws,
    who: &Person,
    wish: ConversionRequest,
    once: Once,
) -> Result<Conversion, CrmError> {
    if let Some(id) = ws.read(|snap| once.answered::<ConversionId>(snap))? {
        return ws.read(|snap| rules::conversion_of(snap, id));
    }
    let (asks, request) = (who.clone(), wish.clone());
    let seen = ws.read_blocking(move |ws| ws.read(|snap| foresee(snap, &asks, &request))).await?;
    if seen.column.required && 0 < seen.counts.lost {
        let message =
            format!("{} values would be lost, but the field is required.", seen.counts.lost);
        return Err(CrmError::field("kind", message));
    }
    let begin = once.run(move |tx| {
        let rows = seen.rows;
        let first = if rows.len() <= WHOLE { rows.as_slice() } else { &[] };
        let of = (wish.home, wish.key.as_str());
        rules::begin_conversion(tx, of, seen.to, (rows.len(), first)).map(|one| one.id)
    });
    let id = ws.write(who, begin).await?;
    let one = ws.read(|snap| rules::conversion_of(snap, id))?;
    if one.state == ImportState::Running {
        pieces::go_on(ws, one.id);
    }
    Ok(one)
}

/// At start-up, resumes conversions, undos and redos that were interrupted.
pub fn begin(ws: &Ws) {
    pieces::turn_on::<ConversionId>(ws, |ws| {
        let all: Vec<Conversion> = ws.read(|snap| snap.list(&Range::all()))?;
        let turns = all.into_iter().filter(|one| one.state == ImportState::Undoing);
        Ok(turns.map(|one| one.id).collect())
    });
    let running = ws.read(|snap| snap.ids::<Conversion>(CONVERSIONS_RUNNING, &Range::all()));
    match running {
        Ok(running) => running.into_iter().for_each(|id| pieces::go_on(ws, id)),
        Err(error) => tracing::warn!(%error, "conversions cannot be read"),
    }
}

impl Pieces for ConversionId {
    const NAME: &'static str = "a conversion";

    fn run(self, ws: Ws) -> impl Future<Output = Result<(), CrmError>> + Send + 'static {
        run(ws, self)
    }

    fn by(self, ws: &Ws) -> (Actor, Cause) {
        // ok: an unreadable conversion writes nothing.
        let found = ws.read(|snap| rules::conversion_of(snap, self)).ok();
        (found.map_or(Actor::System(Part::Engine), |one| one.by), Cause::Timer)
    }

    fn fail(self, tx: &mut WriteTx<'_>, why: String) -> Result<(), CrmError> {
        rules::fail_conversion(tx, self, why)
    }

    fn made(self, read: &dyn Read) -> Result<(ImportState, Vec<u64>, u64), CrmError> {
        let found: Option<(Conversion, u64)> = read.get_rev(self)?;
        let (one, rev) = found.ok_or_else(|| CrmError::no("conversion", &self.to_string()))?;
        Ok((one.state, one.entries, rev))
    }

    fn taken_back(
        self,
        tx: &mut WriteTx<'_>,
        back: (u64, Option<u64>, Stays),
    ) -> Result<(), CrmError> {
        rules::conversion_back(tx, self, back)
    }
}

async fn run(ws: Ws, id: ConversionId) -> Result<(), CrmError> {
    let halt = ws.halt();
    let (one, left) = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let one = rules::conversion_of(snap, id)?;
                let all = filled(snap, one.home, &one.key)?;
                let left = all.into_iter().filter(|row| one.after.is_none_or(|after| after < *row));
                let left: Vec<Uuid> = left.collect();
                Ok::<_, CrmError>((one, left))
            })
        })
        .await?;
    if one.state != ImportState::Running {
        return Ok(());
    }
    let (who, mut after) = ((one.by, Cause::Timer), one.after);
    let mut pieces: Vec<Vec<Uuid>> = left.chunks(PIECE).map(<[Uuid]>::to_vec).collect();
    if pieces.is_empty() {
        pieces.push(Vec::new());
    }
    let last = pieces.len() - 1;
    for (n, piece) in pieces.into_iter().enumerate() {
        // A shutdown waits for one piece, not for all of them.
        if halt.is_cancelled() {
            return Ok(());
        }
        let behind = piece.last().copied().or(after);
        let goes_on = ws
            .write(&who, move |tx| rules::convert_rows(tx, id, (after, &piece, n == last)))
            .await?;
        if !goes_on {
            return Ok(());
        }
        after = behind;
    }
    Ok(())
}

/// Starts the undo of a conversion, newest entry first, or its redo; later changes by others stay. Returns the
/// conversion after a short wait, in which small ones finish.
///
/// # Errors
/// When there is nothing to undo, or the conversion is still running.
pub async fn take_back(
    ws: &Ws,
    who: &Person,
    (id, turn): (ConversionId, Turn),
    once: Once,
) -> Result<Conversion, CrmError> {
    ws.write(who, once.run(move |tx| rules::turn_conversion(tx, id, turn).map(drop))).await?;
    pieces::turn(ws, id, Some(who.clone())).await;
    ws.read(|snap| rules::conversion_of(snap, id))
}

/// Progress of a conversion as a sentence.
#[must_use]
pub(crate) fn describe(one: &Conversion) -> String {
    let Cast { same, other, lost } = one.counts;
    let came = format!("{same} unchanged, {other} converted, {lost} lost");
    match &one.state {
        ImportState::Running => format!("{} of {} values: {came}", one.next, one.rows),
        ImportState::Undoing => pieces::turning(&one.entries),
        ImportState::Undone if 0 < one.kept + one.kept_fields => {
            format!("Undone except for {}", one.kept + one.kept_fields)
        }
        ImportState::Undone => "Undone".to_owned(),
        ImportState::Failed(why) => why.clone(),
        ImportState::Draft | ImportState::Done | ImportState::Cancelled => {
            kernel::text::capitalized(&came)
        }
    }
}
