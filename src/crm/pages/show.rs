//! The page of one record: cells with their origin, interactions, tasks, members of an organization. Also the form of a
//! new record, and the editor of one cell of a table.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use entity::{FieldValue, Kind, value_in};
use features::comments::queries::show::{self as comments, Begun, Composer};
use features::files::queries::{self as files, Line};
use features::history::queries as history;
use features::links::queries::{self as links, TaskLine};
use features::places::{Place, Spot};
use features::tasks::queries::view_context::ViewContext;
use kernel::{Assignee, FieldError, TypedId as _};
use serde_json::Value;
use store::{Read, ReadExt as _};
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Path, Query};
use web::format;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face};
use web::session::Person;
use web::shell::Shell;

use super::draw::{self, From, Input, Shown, Suggested};
use super::timeline::{self, Entry, TalkLine, Tell, Timeline, TimelineRequest};
use super::{Look, list_url, row_url};
use crate::columns;
use crate::error::CrmError;
use crate::model::{
    Collection, CollectionId, Home, ORGANIZATIONS, OrganizationId, Row, RowKind, Talk, TalkKind,
};
use crate::path_kind::PathKind;
use crate::queries;
use crate::typed::{FormValues, text};

/// Fields shown below the name, if filled.
const SECOND: [&str; 5] = ["title", columns::ORGANIZATION, "type", "industry", "location"];
/// A part of the line below the name.
struct Part {
    text: String,
    /// Link target; empty if none.
    href: String,
}

/// The line below the name; an organization is a link.
fn second(scene: &ViewContext, look: &Look<'_>, row: &Row) -> Vec<Part> {
    let part = |key: &&str| {
        let text = look.second(row, &[*key]);
        let href = match row.value(key) {
            Some(FieldValue::Refers(to)) if to.table == ORGANIZATIONS.number => {
                row_url(RowKind::ORGANIZATIONS, scene, to.id)
            }
            _ => String::new(),
        };
        (!text.is_empty()).then_some(Part { text, href })
    };
    SECOND.iter().filter_map(part).collect()
}

/// How to reach a contact or organization at once, on a phone.
struct Reach {
    icon: &'static str,
    /// The address or number.
    text: String,
    href: String,
}

fn reach(look: &Look<'_>, row: &Row) -> Vec<Reach> {
    let one = |(key, icon, scheme): &(&str, &'static str, &str)| {
        let text = look.second(row, &[*key]);
        let bare: String = match *icon {
            "phone" => text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
            _ => text.clone(),
        };
        (!bare.is_empty()).then(|| Reach { icon, href: format!("{scheme}:{bare}"), text })
    };
    [("phone", "phone", "tel"), ("email", "mail", "mailto")].iter().filter_map(one).collect()
}

/// Number of interactions that are searched for a follow-up.
const TALKS: usize = 200;

/// Built-in fields that a new record rarely has.
const LATER: [&str; 12] = [
    "email_2",
    "phone_2",
    "company",
    "website_url",
    "linkedin_url",
    "twitter_url",
    "handle",
    "relationship_strength",
    "how_we_met",
    "last_contact_date",
    "do_not_contact",
    "source",
];

/// A cell of the page.
pub(super) struct CellView {
    input: Input,
    shown: Shown,
    from: Option<From>,
    suggested: Option<Suggested>,
    /// The value that was read, so that a save detects concurrent changes.
    was: String,
    long: Option<SafeHtml>,
    /// Whether it is empty, as in most records.
    is_rare: bool,
}

/// Cells under a heading.
pub(super) struct Group {
    label: String,
    cells: Vec<CellView>,
}

impl Group {
    fn is_shown(&self) -> bool {
        !self.cells.iter().all(|cell| cell.is_rare)
    }
}

#[derive(Template)]
#[template(path = "crm/show.html")]
pub(super) struct ShowPage {
    shell: Shell,
    base: String,
    list_url: String,
    list_label: String,
    talk_url: String,
    suggestion_url: String,
    one: &'static str,
    head_live: Live,
    cells_live: Live,
    tasks_live: Live,
    files_live: Live,
    name: String,
    face: Face,
    second: Vec<Part>,
    reach: Vec<Reach>,
    archived: bool,
    may_write: bool,
    talks_with: bool,
    groups: Vec<Group>,
    to_check: usize,
    due: Option<TalkLine>,
    time: Timeline,
    composer: Composer,
    files: Vec<Line>,
    files_url: String,
    kinds: Vec<Choice>,
    people: Vec<(String, String, Face, String)>,
    tasks: Vec<TaskLine>,
    takers: Vec<Choice>,
    history: String,
    wrong: String,
    typed: FormValues,
    new_contact: String,
}

web::region!(ShowPage, as_head, ShowHead, "crm/show-head.html");
web::region!(ShowPage, as_cells, ShowCells, "crm/show-cells.html");
web::region!(ShowPage, as_tasks, ShowTasks, "crm/show-tasks.html");
web::region!(ShowPage, as_talks, ShowTalks, "crm/show-talks.html");
web::region!(ShowPage, as_files, ShowFiles, "crm/show-files.html");

impl ShowPage {
    /// The submitted value of a field in a form that is shown again.
    fn form_value(&self, field: &str) -> &str {
        text(&self.typed, field)
    }

    /// Whether the form with this field is shown again.
    fn came_back(&self, field: &str) -> bool {
        self.typed.contains_key(field)
    }

    fn has_rare(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.cells).any(|cell| cell.is_rare)
    }
}

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RecordPageParams {
    part: String,
    key: String,
    /// The comment that the comment box quotes.
    quote: String,
    reply: String,
    /// Number of pages of the timeline, and its kinds of entries.
    back: usize,
    tell: String,
}

impl RecordPageParams {
    /// The part of the timeline that a page or region shows; `None` if it has none.
    fn time(&self, part: &str) -> Option<TimelineRequest> {
        let wish = TimelineRequest { looks: self.back, tell: Tell::of(&self.tell) };
        (!["head", "cells", "tasks", "files"].contains(&part)).then_some(wish)
    }
}

/// The page of a record.
pub(super) async fn show(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Query(params): Query<RecordPageParams>,
) -> Result<Response, PageError> {
    let part = if hx.is_partial() { params.part.as_str() } else { "" };
    let page = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let row = queries::resolve(kind, snap, &name)?;
        let begun = Begun::of(String::new(), &params.quote, &params.reply);
        page(&scene, snap, shell, (&row, begun, params.time(part)))
    })?;
    match part {
        "head" => html::fragment(&page.as_head()),
        "cells" => html::fragment(&page.as_cells()),
        "tasks" => html::fragment(&page.as_tasks()),
        "talks" => html::fragment(&page.as_talks()),
        "files" => html::fragment(&page.as_files()),
        _ => html::page(&page),
    }
}

/// The page with the errors of a submitted form.
pub(super) fn refused(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (id, wrong, form): (Uuid, &str, FormValues),
) -> Result<Response, PageError> {
    let row = queries::get_rev(kind, read, id)?.0;
    let page = ShowPage {
        wrong: wrong.to_owned(),
        typed: form,
        ..page(scene, read, shell, (&row, Begun::default(), Some(TimelineRequest::default())))?
    };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (row, begun, wish): (&Row, Begun, Option<TimelineRequest>),
) -> Result<ShowPage, CrmError> {
    let kind = row.kind;
    let look = Look::new(scene, read, row.home())?;
    let base = row_url(kind, scene, row.id);
    let live =
        |part: &str| Live::new(format!("{base}?part={part}")).record(kind.table.name, row.id);
    let (is_contact, is_organization) = (kind.is_contacts(), kind.table == ORGANIZATIONS);
    let place = Place::Row(kind.target(row.id));
    let spot = Spot::here(read, place)?;
    let time = match wish {
        Some(wish) => {
            let comments = comments::talks(scene, read, &spot)?;
            timeline::timeline(scene, read, (&look, row, base.as_str()), (wish, comments))?
        }
        None => Timeline::default(),
    };
    // The oldest pending follow-up comes first.
    let due = timeline::talks(kind, read, row.id, TALKS)?.into_iter().rev().find(Talk::is_due);
    let due = due.map(|talk| timeline::talk_line(kind, scene, read, &look, talk)).transpose()?;
    let tasks = links::tasks_to(scene, read, &timeline::target(row))?;
    let people = match is_organization {
        true => people(scene, read, OrganizationId::from_uuid(row.id))?,
        false => Vec::new(),
    };
    let home: Option<Collection> = row.collection.map(|id| read.get(id)).transpose()?.flatten();
    let groups = groups(scene, read, &look, row)?;
    let list_label =
        home.map_or_else(|| kernel::text::capitalized(kind.entity().many), |home| home.name);
    Ok(ShowPage {
        shell,
        list_url: list_url(kind, scene, row.collection),
        list_label,
        talk_url: scene.ws.url("talks"),
        suggestion_url: scene.ws.url("suggestions"),
        one: kind.entity().one,
        head_live: live("head").table("interactions"),
        cells_live: live("cells").table("suggestions").table("fields"),
        // Without tasks, only a new link can change this region.
        tasks_live: match tasks.is_empty() {
            true => live("tasks").table("task_links"),
            false => live("tasks").table("task_links").table("tasks"),
        },
        files_live: live("files").table("task_files"),
        name: row.name().to_owned(),
        face: Face::person(row.name()),
        second: second(scene, &look, row),
        reach: reach(&look, row),
        archived: row.archived_at.is_some(),
        may_write: scene.may_write,
        talks_with: is_contact || is_organization,
        to_check: groups
            .iter()
            .flat_map(|group| &group.cells)
            .filter(|cell| cell.shown.unchecked || cell.suggested.is_some())
            .count(),
        groups,
        due,
        time,
        composer: comments::composer(scene, read, &spot, begun)?,
        files: files::of(read, place)?.iter().map(|file| Line::new(scene, file)).collect(),
        files_url: scene.ws.url(&format!("{}/files", spot.base)),
        kinds: TalkKind::ALL
            .iter()
            .map(|kind| Choice::new(kind.word(), kind.label(), *kind == TalkKind::Note))
            .collect(),
        people,
        takers: takers(scene),
        tasks,
        history: scene.ws.url(&history::path(scene.ws.store.schema(), &kind.root(row.id))),
        wrong: String::new(),
        typed: FormValues::new(),
        new_contact: match is_organization {
            true => scene
                .ws
                .url(&format!("contacts/new?organization={}", format::query_value(row.name()))),
            false => String::new(),
        },
        base,
    })
}

fn groups(
    scene: &ViewContext,
    read: &dyn Read,
    look: &Look<'_>,
    row: &Row,
) -> Result<Vec<Group>, CrmError> {
    let suggestions = queries::suggestions(row.kind, read, row.id)?;
    let mut groups: Vec<Group> = Vec::new();
    for column in &look.columns {
        let cell = row.cells.get(&column.key);
        let value = value_in(&row.cells, &column.key);
        let input = draw::input(scene, (look, read), column, value)?;
        let suggestion = suggestions.iter().find(|one| one.field == column.key);
        let has_nothing = value.is_none() && suggestion.is_none();
        let view = CellView {
            is_rare: has_nothing && column.own && LATER.contains(&column.key.as_str()),
            was: input.value.clone(),
            input,
            shown: draw::shown(scene, look, column, cell),
            from: cell
                .filter(|cell| cell.value.is_some())
                .map(|cell| draw::origin(scene, look, &cell.origin)),
            suggested: suggestion.map(|one| draw::suggested(scene, look, (column, one))),
            long: match (column.kind, value) {
                (Kind::LongText, Some(value)) => {
                    Some(scene.md(read, value.text().unwrap_or_default()))
                }
                _ => None,
            },
        };
        let label = match column.group.as_str() {
            "" => "Details",
            group => group,
        };
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.cells.push(view),
            None => groups.push(Group { label: label.to_owned(), cells: vec![view] }),
        }
    }
    groups.sort_by_key(|group| group.label != "Deal");
    Ok(groups)
}

fn people(
    scene: &ViewContext,
    read: &dyn Read,
    organization: OrganizationId,
) -> Result<Vec<(String, String, Face, String)>, CrmError> {
    let all = queries::contacts_of(read, organization)?;
    let line = |contact: Row| {
        let href = scene.ws.url(&format!("contacts/{}", contact.id));
        (
            contact.name().to_owned(),
            href,
            Face::person(contact.name()),
            contact.text("title").to_owned(),
        )
    };
    Ok(all.into_iter().filter(|contact| contact.archived_at.is_none()).map(line).collect())
}

/// Who can be assigned a task about the record; an agent comes first.
fn takers(scene: &ViewContext) -> Vec<Choice> {
    let first = scene.people.agents().next().map(|agent| Assignee::Agent(agent.id));
    scene.people.choices(first, scene.me)
}

#[derive(Template)]
#[template(path = "crm/new.html", blocks = [])]
struct NewPage {
    shell: Shell,
    title: String,
    action: String,
    list_url: String,
    list_label: String,
    inputs: Vec<Input>,
    more: Vec<Input>,
    summary: String,
    verb: String,
}

/// The form of a new record; query parameters fill its fields.
pub(super) async fn new(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(form): Query<FormValues>,
) -> Result<Response, PageError> {
    ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        new_form(kind, &scene, snap, shell, (None, &form, &[]))
    })
}

/// The form of a new record with submitted values and errors.
pub(super) fn new_form(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (collection, form, wrong): (Option<CollectionId>, &FormValues, &[FieldError]),
) -> Result<Response, PageError> {
    let home = kind.home(collection);
    let look = Look::new(scene, read, home)?;
    let (mut inputs, mut more) = (Vec::new(), Vec::new());
    for column in &look.columns {
        let mut input = draw::input(scene, (&look, read), column, None).map_err(CrmError::from)?;
        if let Some(text) = form.get(&column.key).and_then(Value::as_str) {
            text.clone_into(&mut input.value);
        }
        let first = column.key == columns::STAGE && !form.contains_key(&column.key);
        for (n, choice) in input.choices.iter_mut().enumerate() {
            choice.chosen = match first {
                true => n == 1,
                false => choice.value == input.value,
            };
        }
        if column.key == columns::STAGE {
            input.choices.retain(|choice| !choice.value.is_empty());
        }
        match column.own && LATER.contains(&column.key.as_str()) && home == Home::Contacts {
            true => more.push(input),
            false => inputs.push(input),
        }
    }
    let others = draw::refused(&mut inputs, wrong);
    let summary = match others.is_empty() {
        true => String::new(),
        false => {
            let of_more: Vec<FieldError> = wrong
                .iter()
                .filter(|one| more.iter().any(|input| input.name == one.field))
                .cloned()
                .collect();
            draw::refused(&mut more, &of_more);
            others
        }
    };
    let base = list_url(kind, scene, collection);
    let name: Option<Collection> =
        collection.map(|id| read.get(id)).transpose().map_err(CrmError::from)?.flatten();
    let page = NewPage {
        shell,
        title: format!("New {}", kind.entity().one),
        list_label: name
            .map_or_else(|| kernel::text::capitalized(kind.entity().many), |one| one.name),
        action: base.clone(),
        list_url: base,
        inputs,
        more,
        summary,
        verb: format!("Create {}", kind.entity().one),
    };
    match wrong.is_empty() {
        true => html::page(&page),
        false => html::document(StatusCode::UNPROCESSABLE_ENTITY, &page),
    }
}

#[derive(Template)]
#[template(path = "crm/_cell_edit.html")]
struct CellEdit {
    action: String,
    input: Input,
    was: String,
}

/// The editor of one cell of a table.
pub(super) async fn cell(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<RecordPageParams>,
) -> Result<Response, PageError> {
    let edit = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let row = queries::resolve(kind, snap, &name)?;
        let look = Look::new(&scene, snap, row.home())?;
        let column = look.columns.iter().find(|column| column.key == params.key);
        let column = column.ok_or_else(|| CrmError::no("field", &params.key))?;
        let input = draw::input(&scene, (&look, snap), column, row.value(&column.key))?;
        Ok::<_, CrmError>(CellEdit {
            action: row_url(kind, &scene, row.id),
            was: input.value.clone(),
            input,
        })
    })?;
    html::fragment(&edit)
}
