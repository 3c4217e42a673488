//! `/api/v1/fields`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use app::Ws;
use entity::{AgentsMay, Choice, Column, Kind, Look};
use kernel::Can;
use store::WriteTx;
use web::error::ApiError;
use web::extract::{Json, Patch, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::columns;
use crate::error::CrmError;
use crate::model::{Home, RowKind};
use crate::pages::home_of;
use crate::rules::{self, FieldPatch};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/fields",
            fields.needs(Can::Read).doc(|| {
                Doc::new(
                    "Fields of contacts, organizations or a collection, each with a JSON schema",
                )
                .query::<Of>()
                .returns::<Fields>()
            }),
        )
        .post(
            "/fields",
            make_field.needs(Can::Write).doc(|| {
                Doc::new("Create a field")
                    .query::<Of>()
                    .body::<FieldBody>()
                    .returns::<FieldView>()
                    .status(201)
            }),
        )
        .patch(
            "/fields/{key}",
            change_field.needs(Can::Write).doc(|| {
                Doc::new("Change a field. `stage` of contacts is the pipeline")
                    .query::<Of>()
                    .body::<FieldBody>()
                    .returns::<FieldView>()
            }),
        )
        .delete(
            "/fields/{key}",
            remove_field.needs(Can::Write).doc(|| {
                Doc::new("Remove a custom field. Its values stay in the history").query::<Of>()
            }),
        )
}

/// The records that have a field.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Of {
    /// `contacts`, `organizations`, or the name or id of a collection.
    of: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Fields {
    items: Vec<FieldView>,
    /// The JSON schema of a whole record.
    schema: Value,
}

/// A choice of a field.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChoiceView {
    /// What cells keep; it follows from the label when there is none.
    #[serde(default)]
    key: String,
    label: String,
    /// `c1` to `c12`.
    #[serde(default)]
    colour: Option<kernel::Hue>,
    /// Of a stage: `open`, `won` or `lost`.
    #[serde(default)]
    stands: Option<String>,
    /// Of a stage: the chance of a deal in percent.
    #[serde(default)]
    chance: u8,
}

impl ChoiceView {
    fn of(choice: &Choice) -> Self {
        Self {
            key: choice.key.clone(),
            label: choice.label.clone(),
            colour: Some(choice.colour),
            stands: Some(choice.stands.word().to_owned()),
            chance: choice.chance,
        }
    }

    fn read(self) -> Choice {
        let choice = Choice::called(&self.label);
        Choice {
            key: self.key,
            colour: self.colour.unwrap_or(choice.colour),
            stands: self.stands.as_deref().and_then(|word| word.parse().ok()).unwrap_or_default(),
            chance: self.chance.min(100),
            ..choice
        }
    }
}

/// A field.
#[derive(Serialize, JsonSchema)]
pub(super) struct FieldView {
    key: String,
    label: String,
    /// `text`, `number`, `select` and their like.
    kind: &'static str,
    look: String,
    group: String,
    choices: Vec<ChoiceView>,
    required: bool,
    about: String,
    /// `write`, `suggest` or `read`.
    agents: &'static str,
    /// Whether it is a part of HQ.
    own: bool,
}

pub(super) fn field_view(column: &Column) -> FieldView {
    FieldView {
        key: column.key.clone(),
        label: column.label.clone(),
        kind: column.kind.word(),
        look: column.look.word(),
        group: column.group.clone(),
        choices: column.choices.iter().map(ChoiceView::of).collect(),
        required: column.required,
        about: column.about.clone(),
        agents: column.agents.word(),
        own: column.own,
    }
}

/// The JSON schema of a whole record.
pub(crate) fn schema(columns: &[Column]) -> Value {
    let all: Map<String, Value> =
        columns.iter().map(|column| (column.key.clone(), columns::schema(column))).collect();
    let required: Vec<&str> =
        columns.iter().filter(|one| one.required).map(|one| one.key.as_str()).collect();
    json!({ "type": "object", "properties": all, "required": required, "additionalProperties": false })
}

pub(super) async fn fields(ws: Ws, Query(of): Query<Of>) -> Result<Json<Fields>, ApiError> {
    let columns =
        ws.read(|snap| columns::of(snap, home_of(snap, &of.of)?).map_err(CrmError::from))?;
    Ok(Json(Fields { items: columns.iter().map(field_view).collect(), schema: schema(&columns) }))
}

/// What a field is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldBody {
    label: Option<String>,
    /// Of a new field: `text`, `long_text`, `number`, `date`, `datetime`, `boolean`, `select`, `multi_select`, `url`,
    /// `email`, `phone`, `person`, `relation`.
    kind: Option<String>,
    /// `plain`, `percent`, `bar`, or the letters of a currency.
    look: Option<String>,
    group: Option<String>,
    choices: Option<Vec<ChoiceView>>,
    required: Option<bool>,
    about: Option<String>,
    /// `write`, `suggest` or `read`.
    agents: Option<String>,
    /// Of a new relation: `contacts`, `organizations` or `records`.
    to: Option<String>,
    /// The key of the choice that records get whose own goes.
    replaced: Option<String>,
}

impl FieldBody {
    fn read(self) -> Result<(FieldPatch, Option<String>), CrmError> {
        let word = |field: &'static str, word: Option<String>, known: bool| match word {
            Some(word) if !known => {
                Err(CrmError::field(field, format!("Unknown value \"{word}\".")))
            }
            _ => Ok(()),
        };
        let kind = self.kind.as_deref().and_then(Kind::of);
        word("kind", self.kind.clone(), kind.is_some())?;
        let look = self.look.as_deref().and_then(Look::of);
        word("look", self.look.clone(), look.is_some())?;
        let agents: Option<AgentsMay> = self.agents.as_deref().and_then(|word| word.parse().ok());
        word("agents", self.agents.clone(), agents.is_some())?;
        let to = match self.to.as_deref() {
            Some("contacts") => Some(RowKind::CONTACTS.table.number),
            Some("organizations") => Some(RowKind::ORGANIZATIONS.table.number),
            Some("records") => Some(RowKind::RECORDS.table.number),
            Some(other) => {
                return Err(CrmError::field("to", format!("Unknown value \"{other}\".")));
            }
            None => None,
        };
        let choices = self.choices.map(|all| all.into_iter().map(ChoiceView::read).collect());
        let patch = FieldPatch {
            label: self.label,
            kind,
            look,
            group: self.group,
            choices,
            required: self.required,
            to,
            about: self.about,
            agents,
        };
        Ok((patch, self.replaced))
    }
}

pub(super) fn shown_field(ws: &Ws, home: Home, key: &str) -> Result<FieldView, CrmError> {
    let columns = ws.read(|snap| columns::of(snap, home)).map_err(CrmError::from)?;
    columns
        .iter()
        .find(|column| column.key == key)
        .map(field_view)
        .ok_or_else(|| CrmError::no("field", key))
}

pub(super) async fn make_field(
    ws: Ws,
    who: Person,
    once: Once,
    Query(of): Query<Of>,
    Json(body): Json<FieldBody>,
) -> Result<(StatusCode, Json<FieldView>), ApiError> {
    let home = ws.read(|snap| home_of(snap, &of.of))?;
    let (patch, _) = body.read()?;
    let made =
        once.run(move |tx: &mut WriteTx<'_>| rules::make_field(tx, home, patch).map(|def| def.key));
    let key = ws.write(&who, made).await?;
    Ok((StatusCode::CREATED, Json(shown_field(&ws, home, &key)?)))
}

pub(super) async fn change_field(
    ws: Ws,
    who: Person,
    Path(key): Path<String>,
    Query(of): Query<Of>,
    Patch(body): Patch<FieldBody>,
) -> Result<Json<FieldView>, ApiError> {
    let home = ws.read(|snap| home_of(snap, &of.of))?;
    let (patch, replaced) = body.read()?;
    let def = ws
        .write(&who, move |tx| rules::change_field(tx, (home, &key), patch, replaced.as_deref()))
        .await?;
    Ok(Json(shown_field(&ws, home, &def.key)?))
}

pub(super) async fn remove_field(
    ws: Ws,
    who: Person,
    Path(key): Path<String>,
    Query(of): Query<Of>,
) -> Result<StatusCode, ApiError> {
    let home = ws.read(|snap| home_of(snap, &of.of))?;
    ws.write(&who, move |tx| rules::remove_field(tx, (home, &key))).await?;
    Ok(StatusCode::NO_CONTENT)
}
