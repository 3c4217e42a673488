//! The settings page of a noun: its list, one form to create or change a record, and a form per operation.

use askama::Template;
use axum::response::Response;
use entity::{Fields, Mode, Values};
use features::deliverables::queries::diff::Line;
use features::history::queries::{self as history, meanwhile};
use kernel::{Error, FieldError, Problem as _, ProblemKind};
use serde_json::Value;
use store::schema::id_text;
use store::{Read, Root, StoreError};
use web::cx::{Cx, sync};
use web::error::Failure;
use web::form::EditConflict;
use web::html::SafeHtml;
use web::live::Live;
use web::parts::Tab;
use web::routes::Routes;
use web::shell::{Flash, Shell};
use web::{flash, html, md};

use crate::form::{self, Control, FormValues, Offers};
use crate::leave;
use crate::names::{self, for_fields};
use crate::parts::{Detail, choices_of_people, choices_of_records, detail};
use crate::records::{self, PageRequest, Reader};
use crate::{Answers, Group, Noun, On, Op, OpCx, Page, Reply, Row, api, upload};

/// Maximum number of rows.
const ROWS: usize = 200;

/// Routes of a noun's page, relative to the workspace; empty if it has no page.
#[must_use]
pub fn routes(noun: &'static Noun) -> Routes {
    let Some(page) = noun.page.as_ref() else { return Routes::new() };
    let here = format!("/settings/{}", noun.plural);
    let one = format!("{here}/{{id}}");
    let mut routes =
        Routes::new().get(here.clone(), sync(noun.entity.read, move |cx| list(noun, page, cx)));
    if noun.acts.create {
        routes = routes.post(here.clone(), sync(noun.write, move |cx| save(noun, page, cx, true)));
    }
    if noun.acts.change {
        routes = routes.post(one.clone(), sync(noun.write, move |cx| save(noun, page, cx, false)));
    }
    if noun.acts.delete {
        routes = routes.post(format!("{one}/delete"), sync(noun.write, move |cx| delete(noun, cx)));
    }
    for op in noun.ops {
        let place = match op.on {
            On::One => format!("{one}/{}", op.name),
            On::All => format!("{here}/all/{}", op.name),
        };
        routes = routes.post(place, upload::route(op, move |cx| operate(noun, page, op, cx)));
    }
    routes
}

struct RowLine {
    row: Row,
    /// Form URL; empty without the right to change the record.
    edit: String,
    /// Deletion URL; empty without the right to delete the record.
    delete: String,
}

struct OpForm {
    verb: &'static str,
    /// Whether it is unfolded: it was just rejected.
    is_open: bool,
    confirm: &'static str,
    /// Whether it may need a proof of identity.
    is_proved: bool,
    action: String,
    summary: String,
    /// Titles with instructions.
    guide: Vec<(String, SafeHtml)>,
    controls: Vec<Control>,
    has_file: bool,
}

struct Form {
    action: String,
    /// Title of the edited record; empty for a new one.
    changes: String,
    rev: String,
    is_open: bool,
    /// Whether saving may need a proof of identity.
    is_proved: bool,
    detail: Vec<Detail>,
    /// Whether the record's own fields can be saved. If not, only its operations are available.
    may_save: bool,
    summary: String,
    since: EditConflict,
    controls: Vec<Control>,
    ops: Vec<OpForm>,
    /// Whether an operation has no fields and is only a button.
    has_buttons: bool,
    /// URL of the record's history; empty for a new record.
    history: String,
}

#[derive(Template)]
#[template(path = "kit/page.html")]
struct NounPage {
    shell: Shell,
    /// Word in the settings menu.
    here: &'static str,
    here_url: String,
    plural: &'static str,
    title: &'static str,
    about: &'static str,
    one: &'static str,
    many: &'static str,
    delete_text: &'static str,
    tabs: Vec<Tab>,
    live: Live,
    rows: Vec<RowLine>,
    next: String,
    groups: Vec<Group>,
    form: Option<Form>,
    ops: Vec<OpForm>,
}

web::region!(NounPage, as_rows, NounRows, "kit/rows.html");

/// State of the page's forms, with errors.
#[derive(Default)]
struct State {
    /// Key of the edited record.
    key: Option<Vec<u8>>,
    /// Submitted values; `None` shows the stored record.
    form: Option<FormValues>,
    /// The submitted operation; `None` for the record's own form.
    op: Option<&'static str>,
    rev: String,
    wrong: Vec<FieldError>,
    summary: String,
    since: EditConflict,
}

pub(crate) fn place(noun: &Noun, cx: &Cx) -> String {
    cx.ws.url(&format!("settings/{}", noun.plural))
}

fn reader(cx: &Cx) -> Reader {
    Reader::person(cx.who.account)
}

fn list(noun: &'static Noun, page: &'static Page, cx: &Cx) -> Result<Response, Failure> {
    let edited = cx.query("edit").unwrap_or_default();
    // ok: for a deleted record, the form for a new one is shown.
    let key = cx.read(|read| records::find(noun, read, reader(cx), &edited)).ok();
    let drawn = draw(noun, page, cx, State { key, ..State::default() })?;
    Ok(match cx.hx.is_partial() {
        true => html::fragment::<_, Failure>(&drawn.as_rows())?,
        false => html::page::<_, Failure>(&drawn)?,
    })
}

fn draw(
    noun: &'static Noun,
    page: &'static Page,
    cx: &Cx,
    state: State,
) -> Result<NounPage, Failure> {
    let shell = cx.shell()?;
    let drawn = cx.read(|read| view(noun, page, cx, (read, shell), state))?;
    Ok(drawn)
}

fn view(
    noun: &'static Noun,
    page: &'static Page,
    cx: &Cx,
    (read, shell): (&dyn Read, Shell),
    state: State,
) -> Result<NounPage, Error> {
    let entity = noun.entity;
    let may_write = cx.who.access.may(noun.write);
    let after = cx.query("after");
    let here = place(noun, cx);
    let limit = if noun.is_paged() { ROWS } else { 0 };
    let request = PageRequest { after: after.as_deref(), limit, ..PageRequest::default() };
    let found = records::list(noun, read, reader(cx), &request)?;
    let line = |shown: &records::Shown| {
        let mut row = (page.row)(&full(shown));
        for (_, path) in &mut row.marks {
            if !path.is_empty() {
                *path = cx.ws.url(path);
            }
        }
        if !row.picture.is_empty() {
            row.picture = cx.ws.url(&row.picture);
        }
        let id = id_text(&shown.key);
        let edits = may_write && (noun.acts.change || !noun.ops.is_empty());
        let deletes = may_write && noun.acts.delete;
        RowLine {
            row,
            edit: if edits { format!("{here}?edit={id}#form") } else { String::new() },
            delete: if deletes { format!("{here}/{id}/delete") } else { String::new() },
        }
    };
    let rows: Vec<RowLine> = found.items.iter().map(line).collect();
    let tables = [entity.topic].into_iter().chain((page.live)());
    let is_wrong = !state.wrong.is_empty() || !state.summary.is_empty() || state.since.is_told();
    let has_form = may_write && (noun.acts.create || state.key.is_some());
    let ops = match may_write {
        true => op_forms(noun, cx, (read, None), None, &state)?,
        false => Vec::new(),
    };
    let form = match has_form {
        true => Some(own_form(noun, cx, read, state, is_wrong || rows.is_empty())?),
        false => None,
    };
    let shown = match &after {
        Some(after) => format!("{here}?after={}", web::format::query_value(after)),
        None => here.clone(),
    };
    Ok(NounPage {
        shell,
        here: page.tabs.first().map_or(noun.plural, |(plural, _)| plural),
        tabs: tabs(noun, page, cx),
        plural: noun.plural,
        title: page.title,
        about: noun.about,
        one: entity.one,
        many: entity.many,
        delete_text: page.delete,
        live: tables.fold(Live::new(shown), Live::table),
        next: found.next.map(|next| format!("{here}?after={next}")).unwrap_or_default(),
        here_url: here,
        rows,
        groups: groups(page, cx, read)?,
        form,
        ops,
    })
}

fn groups(page: &Page, cx: &Cx, read: &dyn Read) -> Result<Vec<Group>, StoreError> {
    let mut groups = (page.others)(&cx.ws, read)?;
    let rows = groups.iter_mut().flat_map(|group| group.rows.iter_mut());
    for (_, path) in rows.filter(|(_, path)| !path.is_empty()) {
        *path = cx.ws.url(path);
    }
    Ok(groups)
}

fn tabs(noun: &Noun, page: &Page, cx: &Cx) -> Vec<Tab> {
    let tab = |(plural, label): &(&str, &str)| Tab {
        label: (*label).to_owned(),
        href: cx.ws.url(&format!("settings/{plural}")),
        icon: "",
        count: None,
        count_label: String::new(),
        current: *plural == noun.plural,
    };
    page.tabs.iter().map(tab).collect()
}

/// A stored record with its computed fields.
fn full(shown: &records::Shown) -> Fields {
    let mut all = shown.record.clone();
    for (name, value) in &shown.fields {
        all.entry(name).or_insert_with(|| value.clone());
    }
    all
}

fn own_form(
    noun: &'static Noun,
    cx: &Cx,
    read: &dyn Read,
    state: State,
    is_open: bool,
) -> Result<Form, Error> {
    let fields = noun.entity.fields;
    let here = place(noun, cx);
    let names = for_fields(fields, read, reader(cx).me)?;
    let shown = match &state.key {
        Some(key) => Some(records::one(noun, read, reader(cx), key)?),
        None => None,
    };
    let id = state.key.as_deref().map(id_text);
    let is_own = state.op.is_none();
    let values = match (&state.form, &shown) {
        (Some(values), _) if is_own => values.clone(),
        (_, Some(shown)) => form::filled(fields, &shown.record, &*names, cx),
        _ => form::usual(fields),
    };
    let wrong: &[FieldError] = if is_own { &state.wrong } else { &[] };
    let ops = match (&state.key, &id) {
        (Some(key), Some(_)) => {
            let record = shown.as_ref().map(full).unwrap_or_default();
            op_forms(noun, cx, (read, Some(key)), Some(&record), &state)?
        }
        _ => Vec::new(),
    };
    let people = |now: &str| choices_of_people(read, now, cx);
    let records = |word: &str, now: &str| choices_of_records(word, now, read, cx, None);
    let offers = Offers { people: &people, records: &records };
    let changed = |shown: &records::Shown| (noun.entity.title)(&shown.record);
    let rev = match &shown {
        Some(_) if !state.rev.is_empty() => state.rev.clone(),
        Some(shown) => shown.rev.to_string(),
        None => String::new(),
    };
    Ok(Form {
        action: id.as_ref().map_or(here.clone(), |id| format!("{here}/{id}")),
        changes: shown.as_ref().map(changed).unwrap_or_default(),
        rev,
        is_open: is_open || shown.is_some(),
        is_proved: noun
            .proof
            .is_some_and(|needs| needs(if shown.is_some() { "change" } else { "create" }, None)),
        detail: match &shown {
            Some(shown) => detail(noun, &cx.ws, read, &full(shown))?,
            None => Vec::new(),
        },
        may_save: shown.is_none() || noun.acts.change,
        controls: form::controls(fields, shown.is_none(), &values, wrong, &offers),
        summary: if is_own { state.summary } else { String::new() },
        since: state.since,
        has_buttons: ops.iter().any(|op| op.controls.is_empty()),
        ops,
        history: match &state.key {
            Some(key) => {
                let root = Root { table: noun.entity.table, key: key.clone() };
                cx.ws.url(&history::path(cx.ws.store.schema(), &root))
            }
            None => String::new(),
        },
    })
}

fn guide(op: &Op) -> Vec<(String, SafeHtml)> {
    let part = |(title, text): (&str, &str)| {
        (kernel::text::capitalized(title), md::render(text, &|_| None))
    };
    (op.guide)().into_iter().map(part).collect()
}

fn op_forms(
    noun: &'static Noun,
    cx: &Cx,
    (read, key): (&dyn Read, Option<&[u8]>),
    record: Option<&Fields>,
    state: &State,
) -> Result<Vec<OpForm>, StoreError> {
    let here = place(noun, cx);
    let mut forms = Vec::new();
    let is_offered = |op: &&Op| match record {
        Some(record) => op.on == On::One && (op.offered)(record),
        None => op.on == On::All && (op.offered)(&Fields::new()),
    };
    for op in noun.ops.iter().filter(is_offered).filter(|op| cx.who.access.may(op.can)) {
        let people = |now: &str| choices_of_people(read, now, cx);
        let records = |word: &str, now: &str| choices_of_records(word, now, read, cx, key);
        let offers = Offers { people: &people, records: &records };
        let was_sent = state.op == Some(op.name);
        let values = state.form.clone().filter(|_| was_sent);
        // A link may choose the operation and fill its fields in.
        let is_linked = cx.query("op").as_deref() == Some(op.name);
        let values = values.unwrap_or_else(|| match is_linked {
            true => form::linked(op, cx),
            false => form::of_record(op, record),
        });
        let wrong: &[FieldError] = if was_sent { &state.wrong } else { &[] };
        let controls = form::controls(op.input, true, &values, wrong, &offers);
        // Without a choice for a required field, the operation is not applicable.
        if controls.iter().any(Control::is_hopeless) {
            continue;
        }
        forms.push(OpForm {
            verb: op.verb,
            is_open: was_sent || is_linked,
            confirm: op.confirm,
            is_proved: noun.proof.is_some_and(|needs| needs(op.name, None)),
            action: match key {
                Some(key) => format!("{here}/{}/{}", id_text(key), op.name),
                None => format!("{here}/all/{}", op.name),
            },
            summary: if was_sent { state.summary.clone() } else { String::new() },
            guide: guide(op),
            has_file: controls.iter().any(Control::is_file),
            controls,
        });
    }
    Ok(forms)
}

/// Creates or changes a record. A rejected form is redisplayed with the submitted values.
fn save(
    noun: &'static Noun,
    page: &'static Page,
    cx: &Cx,
    is_new: bool,
) -> Result<Response, Failure> {
    let (once, rev) = (cx.once()?, cx.rev()?);
    let form = cx.form();
    let key = match is_new {
        true => None,
        false => Some(key(noun, cx)?),
    };
    let mode = if is_new { Mode::Whole } else { Mode::Change };
    let values = values(noun.entity.fields, is_new, &form, cx, mode);
    let at = key.clone();
    let me = reader(cx);
    let act = if is_new { "create" } else { "change" };
    let checked = values.and_then(|values| {
        noun.check_proof(&cx.who, act, &values)?;
        noun.completed(&cx.ws, key.as_deref(), values)
    });
    let done = match checked {
        Err(error) => Err(error),
        Ok(values) => cx.write(once.run(move |tx| {
            let key = match at {
                None => noun.entity.create(tx, &values)?,
                Some(key) => {
                    records::check(noun, tx, me, &key, None)?;
                    noun.entity.update(tx, &key, rev, &values)?;
                    key
                }
            };
            Ok::<_, Error>(records::title(noun, tx, &key)?)
        })),
    };
    let rev = rev.map(|rev| rev.to_string()).unwrap_or_default();
    match done {
        Ok(title) => {
            let verb = if is_new { "Created" } else { "Saved" };
            Ok(go_home(noun, cx, &format!("{verb} {title}")))
        }
        Err(error) => {
            let state = State { key, form: Some(form), rev, ..State::default() };
            refused(noun, page, cx, state, error)
        }
    }
}

fn key(noun: &'static Noun, cx: &Cx) -> Result<Vec<u8>, Failure> {
    let name: String = cx.path(0)?;
    Ok(cx.read(|read| records::find(noun, read, reader(cx), &name))?)
}

fn values(
    fields: &'static [entity::Field],
    is_new: bool,
    form: &FormValues,
    cx: &Cx,
    mode: Mode,
) -> Result<Values, Error> {
    let sent = form::sent(fields, is_new, form, cx).map_err(|wrong| Error::invalid(vec![wrong]))?;
    cx.read(|read| names::values(fields, sent, mode, (read, reader(cx).me)))
}

fn go_home(noun: &Noun, cx: &Cx, words: &str) -> Response {
    flash::say(&cx.app, Flash::ok(words.to_owned()), cx.hx.go_to(&place(noun, cx)))
}

/// The page with submitted values and errors.
fn refused(
    noun: &'static Noun,
    page: &'static Page,
    cx: &Cx,
    mut state: State,
    error: Error,
) -> Result<Response, Failure> {
    if !matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Stale | ProblemKind::Conflict) {
        return Err(error.into());
    }
    if let Some(key) = state.key.clone().filter(|_| state.op.is_none()) {
        let root = Root { table: noun.entity.table, key };
        state.since = cx.read(|read| {
            meanwhile::after_root(&cx.ws, &cx.who, read, (&root, &state.rev), &error)
        })?;
    }
    state.since.renew(&mut state.rev);
    state.wrong = error.fields();
    let fields = state.op.and_then(|name| noun.op(name)).map_or(noun.entity.fields, |op| op.input);
    let has_field = |wrong: &FieldError| fields.iter().any(|field| field.key == wrong.field);
    // Errors of fields that the form does not show appear above it.
    if !state.wrong.iter().any(has_field) && !state.since.is_told() {
        state.summary = web::form::sentence(&error.to_string());
    }
    let status = state.since.status();
    html::document::<_, Failure>(status, &draw(noun, page, cx, state)?)
}

fn delete(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let key = key(noun, cx)?;
    let me = reader(cx);
    let title = cx.write(move |tx| {
        records::check(noun, tx, me, &key, None)?;
        let title = records::title(noun, tx, &key)?;
        noun.entity.remove(tx, &key, None)?;
        Ok::<_, Error>(title)
    })?;
    Ok(go_home(noun, cx, &format!("Deleted {title}")))
}

fn operate(
    noun: &'static Noun,
    page: &'static Page,
    op: &'static Op,
    cx: &Cx,
) -> Result<Response, Failure> {
    let once = api::once_of(op, cx)?;
    // A form submitted twice has its effect once. The first submission may have deleted the record.
    if let Some((reply, title)) = cx.read(|read| once.answered::<(Reply, String)>(read))? {
        return Ok(go_home(noun, cx, &message(op, &reply, &title)));
    }
    let (mut form, rev) = (cx.form(), cx.rev()?);
    let key = match op.on {
        On::One => Some(key(noun, cx)?),
        On::All => None,
    };
    let at = key.clone();
    let me = reader(cx);
    let run = || -> Result<(Reply, String), Error> {
        let values = values(op.input, true, &form, cx, Mode::Whole);
        let values = upload::joined(values, upload::of_form(op, &form, cx))?;
        noun.check_proof(&cx.who, op.name, &values)?;
        if let Some(key) = &at {
            // The person decided by the record that the page showed.
            cx.read(|read| records::check(noun, read, me, key, rev))?;
        }
        let prepared = api::prepare(noun, op, at.as_deref(), &values, &cx.ws)?;
        cx.write(once.run(move |tx| {
            if let Some(key) = &at {
                records::check(noun, tx, me, key, api::rev_after(op, rev))?;
            }
            let reply =
                api::run(op, &OpCx { noun, key: at.as_deref(), input: &values }, tx, prepared)?;
            let title = match &reply {
                Reply::Record(key) => records::title(noun, tx, key)?,
                _ => String::new(),
            };
            Ok::<_, Error>((reply, title))
        }))
    };
    match run() {
        Ok((Reply::Json(text), _)) if matches!(op.answers, Answers::Link(_)) => {
            leave::page(noun, page, (op, key.as_deref()), cx, &text)
        }
        Ok((reply, title)) => Ok(go_home(noun, cx, &message(op, &reply, &title))),
        Err(error) => {
            upload::keep(op, &mut form, cx, &error);
            let op = Some(op.name);
            let state = State { key, form: Some(form), op, ..State::default() };
            refused(noun, page, cx, state, error)
        }
    }
}

/// The page's message after an operation.
fn message(op: &Op, reply: &Reply, title: &str) -> String {
    match reply {
        Reply::Json(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(map)) if map.get("message").is_some_and(Value::is_string) => {
                entity::text_of(&map, "message").to_owned()
            }
            _ => op.done.to_owned(),
        },
        _ if title.is_empty() => op.done.to_owned(),
        _ => format!("{} {title}", op.done),
    }
}
