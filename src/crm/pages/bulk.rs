//! Bulk changes: the options of the bar, the selected rows, and the change, which is one entry with one undo.

use app::{App, Ws};
use axum::response::{IntoResponse as _, Response};
use entity::Column;
use features::agents::model::Agent;
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use jiff::ToSpan as _;
use jiff::civil::Date;
use kernel::day::Toward;
use kernel::{Assignee, TypedId as _};
use serde_json::Value;
use store::WriteTx;
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::hx::{Ask, Hx};
use web::ink;
use web::parts::{Face, Tone};
use web::session::Person;
use web::shell::Flash;

use super::acts::{day, today};
use super::state::State;
use super::{Look, list_url};
use crate::columns::{self, OWNER, TAGS};
use crate::error::CrmError;
use crate::list;
use crate::model::{CollectionId, ContactId, Home, RowKind};
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, Sent};
use crate::typed::{FormValues, text};
use crate::views::pipeline;

/// Maximum number of rows per bulk change.
pub(super) const MOST: usize = 1_000;
/// The field of the bar with the date of the next follow-up.
const FOLLOW_UP: &str = "follow_up";

/// A person or agent who can be assigned rows.
pub(super) struct Taker {
    pub value: String,
    pub label: String,
    pub face: Face,
}

/// The options of a bulk change.
pub(super) struct BulkBar {
    pub url: String,
    /// Forms in the bar's menus with their targets.
    pub forms: [(&'static str, String); 3],
    pub q: String,
    pub most: usize,
    /// Key and label of the field whose choices can be set.
    pub field: (String, String),
    /// Its choices: key, label, colour.
    pub choices: Vec<(String, String, String)>,
    pub owners: Vec<Taker>,
    pub has_tags: bool,
    /// Days of a follow-up: value and label; empty if there are no follow-ups.
    pub days: Vec<(String, &'static str)>,
    /// Agents that can be given rows: handle and name.
    pub agents: Vec<(String, String)>,
}

impl BulkBar {
    /// Collects the options.
    pub fn new(
        scene: &ViewContext,
        state: &State,
        (home, columns): (Home, &[Column]),
    ) -> Result<Self, CrmError> {
        let has = |key: &str| columns.iter().any(|column| column.key == key);
        let field = pipeline(columns);
        let choice =
            |one: &entity::Choice| (one.key.clone(), one.label.clone(), ink::named(one.colour));
        let name = |agent: &Agent| scene.people.name(Assignee::Agent(agent.id));
        let url = format!("{}/bulk", state.base);
        Ok(Self {
            forms: [
                ("bulk-tag", url.clone()),
                ("bulk-when", url.clone()),
                ("bulk-give-form", format!("{}/give", state.base)),
            ],
            url,
            q: state.look.q.clone(),
            most: MOST,
            field: field.map(|one| (one.key.clone(), one.label.clone())).unwrap_or_default(),
            choices: field.map_or_else(Vec::new, |one| one.choices.iter().map(choice).collect()),
            owners: if has(OWNER) { takers(scene)? } else { Vec::new() },
            has_tags: has(TAGS),
            days: if home == Home::Contacts { days(scene) } else { Vec::new() },
            agents: scene.people.agents().map(|agent| (agent.slug.clone(), name(agent))).collect(),
        })
    }
}

fn takers(scene: &ViewContext) -> Result<Vec<Taker>, CrmError> {
    let taker = |choice: web::parts::Choice| {
        let who = scene.people.find(&choice.value, scene.myself())?;
        let face = scene.people.face_or_nobody(who);
        Ok(Taker { value: choice.value, label: choice.label, face })
    };
    scene.people.choices(None, scene.me).into_iter().map(taker).collect()
}

/// The offered days of a follow-up, and none.
fn days(scene: &ViewContext) -> Vec<(String, &'static str)> {
    let today = due::day(scene.today.now, &scene.today.zone);
    let day = |(days, label): (i64, &'static str)| {
        (today.checked_add(days.days()).unwrap_or(today).to_string(), label)
    };
    let offered = [(0, "Today"), (1, "Tomorrow"), (7, "In a week"), (30, "In 30 days")];
    let mut all: Vec<_> = offered.into_iter().map(day).collect();
    all.push(("none".to_owned(), "None"));
    all
}

/// The rows of a form: the selected ones, or all that its query finds.
pub(super) fn chosen(
    kind: &'static RowKind,
    ws: &Ws,
    who: &Person,
    (collection, form): (Option<CollectionId>, &FormValues),
    most: usize,
) -> Result<Vec<Uuid>, CrmError> {
    let ids: Vec<Uuid> = match form.get("q").and_then(Value::as_str) {
        None => text(form, "tasks").split(',').filter_map(|id| id.parse().ok()).collect(),
        Some(q) => ws.read(|snap| {
            let scene = ViewContext::new(ws, who, snap)?;
            let home = kind.home(collection);
            let look = Look::new(&scene, snap, home)?;
            let around = look.around(&scene, snap, home)?;
            let request =
                list::ListRequest { q: q.to_owned(), collection, ..list::ListRequest::default() };
            Ok::<_, CrmError>(list::find(kind, snap, &request, &around)?.understood()?.ids)
        })?,
    };
    if ids.is_empty() || most < ids.len() {
        let message = format!("choose 1 to {most} {}", kind.entity().many);
        return Err(CrmError::Refused(message));
    }
    Ok(ids)
}

/// Bulk change of rows of a kind.
pub(super) async fn bulk(
    PathKind(kind): PathKind,
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    change(kind, (app, ws, who), hx, (None, form)).await
}

/// Bulk change of records of a collection.
pub(super) async fn bulk_records(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    change(RowKind::RECORDS, (app, ws, who), hx, (Some(id), form)).await
}

/// The change of each row.
enum Deed {
    Archived(bool),
    Tag(String),
    FollowUp(Option<Date>),
    Values(FormValues),
}

impl Deed {
    fn of(mut form: FormValues, today: Date) -> Result<Self, CrmError> {
        if let Some(word) = form.get("archived").and_then(Value::as_str) {
            return Ok(Self::Archived(word == "yes"));
        }
        if !text(&form, "tag").trim().is_empty() {
            return Ok(Self::Tag(text(&form, "tag").trim().to_owned()));
        }
        if let Some(word) = form.get(FOLLOW_UP).and_then(Value::as_str) {
            let until = match word {
                "none" => None,
                _ => day(&form, FOLLOW_UP, today, Toward::Ahead)?,
            };
            return Ok(Self::FollowUp(until));
        }
        form.retain(|key, _| !["tasks", "q", "tag"].contains(&key.as_str()));
        match form.is_empty() {
            true => Err(CrmError::Refused("choose a change".to_owned())),
            false => Ok(Self::Values(form)),
        }
    }

    fn on(&self, kind: &'static RowKind, tx: &mut WriteTx<'_>, id: Uuid) -> Result<(), CrmError> {
        match self {
            Self::Archived(archived) => {
                rules::set_archived(kind, tx, id, *archived)?;
            }
            Self::Tag(tag) => {
                let row = queries::get_rev(kind, tx, id)?.0;
                let columns = columns::of(tx, row.home())?;
                let column = columns.iter().find(|column| column.key == TAGS);
                let mut tags = match (row.value(TAGS), column) {
                    (Some(entity::FieldValue::Choices(keys)), Some(column)) => {
                        columns::labels_of(column, keys)
                    }
                    _ => Vec::new(),
                };
                tags.push(tag.clone());
                let mut sent = FormValues::new();
                sent.insert(TAGS.to_owned(), Value::from(tags));
                rules::change(kind, tx, id, &Sent::of(sent))?;
            }
            Self::FollowUp(day) => {
                rules::follow_up(tx, ContactId::from_uuid(id), *day)?;
            }
            Self::Values(values) => {
                rules::change(kind, tx, id, &Sent::of(values.clone()))?;
            }
        }
        Ok(())
    }
}

async fn change(
    kind: &'static RowKind,
    (app, ws, who): (App, Ws, Person),
    hx: Hx,
    (collection, form): (Option<CollectionId>, FormValues),
) -> Result<Response, PageError> {
    let ids = chosen(kind, &ws, &who, (collection, &form), MOST)?;
    let back = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        Ok::<_, CrmError>(list_url(kind, &scene, collection))
    })?;
    let deed = Deed::of(form, today(&ws, &who))?;
    let verb = if matches!(deed, Deed::Archived(true)) { "Archived" } else { "Changed" };
    let count = web::format::count(ids.len() as u64, kind.entity().one, kind.entity().many);
    let entry = ws
        .write(&who, move |tx| {
            ids.into_iter().try_for_each(|id| deed.on(kind, tx, id))?;
            // ok: without changes there is nothing to undo.
            Ok::<_, CrmError>(tx.seq().ok())
        })
        .await?;
    let words = format!("{verb} {count}");
    if hx.is_partial() {
        let ask = Ask::new().event("hq:chosen", Value::Null);
        let ask = match entry {
            Some(seq) => ask.toast_with_undo(&words, &ws.url(&format!("undo/entry/{seq}"))),
            None => ask.toast(Tone::Ok, &words),
        };
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&back)))
}
