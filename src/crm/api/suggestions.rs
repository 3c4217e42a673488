//! `/api/v1/suggestions`: all open suggestions of agents, and decisions about several of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::Ws;
use entity::{Column, Source};
use kernel::{Can, RunId, Timestamp};
use store::Read;
use web::error::ApiError;
use web::extract::Json;
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::columns::{self, ByHome};
use crate::error::CrmError;
use crate::model::{RowKind, Suggestion, SuggestionId};
use crate::names::{Known, person};
use crate::queries::{self, MOST_SUGGESTED};
use crate::rules;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/suggestions",
            list.needs(Can::Read).doc(|| {
                Doc::new("Values suggested by agents, newest first").returns::<Suggestions>()
            }),
        )
        .post(
            "/suggestions",
            decide.needs(Can::Write).doc(|| {
                Doc::new(
                    "Decide on several suggestions with one undo. Deleted ones are skipped, failed \
                        ones stay",
                )
                .body::<DecideBody>()
                .returns::<Decided>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Suggestions {
    items: Vec<SuggestionView>,
    /// How many are not in the answer.
    more: usize,
}

#[derive(Serialize, JsonSchema)]
struct SuggestionView {
    id: String,
    /// `contact`, `organization` or `record`.
    kind: &'static str,
    /// The id of the row.
    of: String,
    /// Its name.
    name: String,
    /// The key of the field.
    field: String,
    /// What stands there now.
    now: Value,
    /// What is suggested.
    value: Value,
    by: String,
    #[schemars(with = "Option<String>")]
    run: Option<RunId>,
    #[schemars(with = "Value")]
    sources: Vec<Source>,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

fn view(
    read: &dyn Read,
    (known, columns): (&Known<'_>, &mut ByHome<Vec<Column>>),
    one: Suggestion,
) -> Result<SuggestionView, CrmError> {
    let kind = RowKind::of_table(one.row.table);
    let (row, _) = queries::get_rev(kind, read, one.row.id)?;
    let home = row.home();
    let columns = columns.of(home, || columns::of(read, home))?;
    let column = columns.iter().find(|column| column.key == one.field);
    let json = |value| column.map(|column| columns::json(column, value, known)).unwrap_or_default();
    Ok(SuggestionView {
        id: one.id.to_string(),
        kind: kind.entity().word,
        of: row.id.to_string(),
        name: row.name().to_owned(),
        now: row.value(&one.field).map(json).unwrap_or_default(),
        value: one.value.as_ref().map(json).unwrap_or_default(),
        by: known.people.actor_handle(one.by),
        run: one.by.run(),
        field: one.field,
        sources: one.sources,
        created_at: one.created_at,
    })
}

async fn list(ws: Ws, who: Person) -> Result<Json<Suggestions>, ApiError> {
    let found = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let known = Known::new(snap, person(who.account))?;
                let (all, more) = queries::suggested(snap)?;
                let mut columns = ByHome::new();
                let mut one = |one: Suggestion| view(snap, (&known, &mut columns), one);
                let items = all.into_iter().map(&mut one);
                Ok::<_, CrmError>(Suggestions { items: items.collect::<Result<_, _>>()?, more })
            })
        })
        .await?;
    Ok(Json(found))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    /// At most 500.
    ids: Vec<String>,
    /// Whether they are taken over; else they are dismissed.
    take: bool,
}

#[derive(Serialize, JsonSchema)]
struct Decided {
    /// How many were there.
    decided: usize,
    /// Those that cannot be taken over as things stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stayed: Vec<StayedView>,
}

#[derive(Serialize, JsonSchema)]
struct StayedView {
    id: String,
    /// Why, in a sentence.
    why: String,
}

async fn decide(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<DecideBody>,
) -> Result<Json<Decided>, ApiError> {
    let ids = body.ids.iter().map(|id| id.parse::<SuggestionId>().map_err(|_| id));
    let ids: Vec<SuggestionId> = ids
        .collect::<Result<_, _>>()
        .map_err(|id| CrmError::field("ids", format!("\"{id}\" isn't a suggestion ID.")))?;
    if ids.is_empty() || MOST_SUGGESTED < ids.len() {
        let message = format!("Enter 1 to {MOST_SUGGESTED} IDs.");
        return Err(CrmError::field("ids", message).into());
    }
    let done = once.run(move |tx| rules::decide_all(tx, &ids, body.take));
    let done = ws.write(&who, done).await?;
    let stayed =
        done.stayed.into_iter().map(|one| StayedView { id: one.id.to_string(), why: one.why });
    Ok(Json(Decided { decided: done.count, stayed: stayed.collect() }))
}
