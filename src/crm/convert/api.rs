//! `/api/v1/fields/{key}/kind` and `/api/v1/conversions`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use entity::Kind;
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::{ConversionRequest, Example, foresee, start, take_back};
use crate::error::CrmError;
use crate::model::back::Turn;
use crate::model::{Cast, Conversion, ConversionId, ImportState};
use crate::pages::home_of;
use crate::rules;

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post(
            "/fields/{key}/kind",
            convert.needs(Can::Write).doc(|| {
                Doc::new(
                    "Convert a field to text, number, date or select. `dry_run` only previews its \
                        values",
                )
                .query::<Of>()
                .body::<KindBody>()
                .returns::<KindView>()
            }),
        )
        .get(
            "/conversions/{id}",
            show.needs(Can::Read)
                .doc(|| Doc::new("A conversion with its progress").returns::<KindView>()),
        )
        .post(
            "/conversions/{id}/undo",
            undo.needs(Can::Write).doc(|| {
                Doc::new(
                    "Undo a conversion. Later changes by others stay. A long one continues in the \
                        background, in state `undoing`",
                )
                .returns::<KindView>()
            }),
        )
        .post(
            "/conversions/{id}/redo",
            redo.needs(Can::Write).doc(|| {
                Doc::new(
                    "Restore an undone conversion. A long one continues in the background, in \
                        state `redoing`",
                )
                .returns::<KindView>()
            }),
        )
}

/// The records that have the field.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Of {
    /// `contacts`, `organizations`, or the name or id of a collection.
    of: String,
}

/// The kind that a field gets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KindBody {
    /// `text`, `number`, `date` or `select`.
    kind: String,
    /// Only tell what would become of the values.
    #[serde(default)]
    dry_run: bool,
}

/// A value before and after.
#[derive(Serialize, JsonSchema)]
struct ExampleView {
    record: String,
    old: String,
    /// Of a value that is lost: why.
    new: String,
}

impl ExampleView {
    fn of(one: Example) -> Self {
        Self { record: one.title, old: one.old, new: one.new }
    }
}

/// What becomes of the values of a field.
#[derive(Serialize, JsonSchema)]
struct KindView {
    /// The id of the conversion; empty for one that is only foreseen.
    id: String,
    field: String,
    from: &'static str,
    to: &'static str,
    /// `running`, `done`, `undoing`, `redoing`, `undone`, `failed`, or `foreseen`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    /// How many values there are.
    rows: usize,
    looked_at: u32,
    /// Values that read as before.
    same: u32,
    /// Values that read otherwise.
    converted: u32,
    /// Values that cannot be read as the new kind.
    lost: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    converted_examples: Vec<ExampleView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost_examples: Vec<ExampleView>,
}

fn view(one: Conversion) -> KindView {
    let Cast { same, other, lost } = one.counts;
    KindView {
        id: one.id.to_string(),
        field: one.key,
        from: one.from.kind.word(),
        to: one.to.kind.word(),
        state: one.state.word(&one.entries),
        failed: match one.state {
            ImportState::Failed(why) => Some(why),
            _ => None,
        },
        rows: usize::try_from(one.rows).unwrap_or(usize::MAX),
        looked_at: one.next,
        same,
        converted: other,
        lost,
        converted_examples: Vec::new(),
        lost_examples: Vec::new(),
    }
}

async fn convert(
    ws: Ws,
    who: Person,
    once: Once,
    Path(key): Path<String>,
    Query(of): Query<Of>,
    Json(body): Json<KindBody>,
) -> Result<Json<KindView>, ApiError> {
    let home = ws.read(|snap| home_of(snap, &of.of))?;
    let unknown = || CrmError::field("kind", format!("Unknown value \"{}\".", body.kind));
    let kind = Kind::of(&body.kind).ok_or_else(unknown)?;
    let wish = ConversionRequest { home, key, kind };
    if !body.dry_run {
        return Ok(Json(view(start(&ws, &who, wish, once).await?)));
    }
    let seen = ws.read_blocking(move |ws| ws.read(|snap| foresee(snap, &who, &wish))).await?;
    let Cast { same, other, lost } = seen.counts;
    Ok(Json(KindView {
        id: String::new(),
        field: seen.column.key,
        from: seen.column.kind.word(),
        to: seen.to.kind.word(),
        state: "foreseen",
        failed: None,
        rows: seen.rows.len(),
        looked_at: same + other + lost,
        same,
        converted: other,
        lost,
        converted_examples: seen.other.into_iter().map(ExampleView::of).collect(),
        lost_examples: seen.lost.into_iter().map(ExampleView::of).collect(),
    }))
}

async fn show(ws: Ws, Path(id): Path<ConversionId>) -> Result<Json<KindView>, ApiError> {
    Ok(Json(view(ws.read(|snap| rules::conversion_of(snap, id))?)))
}

async fn undo(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ConversionId>,
) -> Result<Json<KindView>, ApiError> {
    Ok(Json(view(take_back(&ws, &who, (id, Turn::Back), once).await?)))
}

async fn redo(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ConversionId>,
) -> Result<Json<KindView>, ApiError> {
    Ok(Json(view(take_back(&ws, &who, (id, Turn::Forth), once).await?)))
}
