//! Uploaded files of operations. The file of a rejected form is kept for its next submission, because a browser does not
//! send it again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::response::Response;
use entity::{Field, InputKind, Mode, Values};
use kernel::{AccountId, Assignee, Error, Problem as _, WorkspaceId};
use serde_json::{Map, Value, json};
use web::cx::{Cx, sync, sync_with_file};
use web::error::Failure;
use web::routes::Guarded;
use web::upload::Arrived;

use crate::form::{FormValues, text_in};
use crate::{Op, names};

/// Maximum number of kept files of this process. The store deletes their blobs after a day.
const MOST_KEPT: usize = 64;

struct Kept {
    by: AccountId,
    workspace: WorkspaceId,
    file: Arrived,
}

impl Kept {
    fn is_of(&self, cx: &Cx) -> bool {
        self.by == cx.who.account && self.workspace == cx.ws.id
    }
}

static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

/// The route of an operation. It takes a file if the operation has a field for one.
pub(crate) fn route(
    op: &'static Op,
    run: impl Fn(&Cx) -> Result<Response, Failure> + Send + Sync + 'static,
) -> Guarded {
    match op.file().and_then(Field::file_kind) {
        Some(kind) => sync_with_file(op.can, kind.max_bytes, run),
        None => sync(op.can, run),
    }
}

/// As [`crate::OpCx::file`] reads it.
fn value_of(file: &Arrived) -> Value {
    json!({ "name": file.name, "blob": file.blob.to_string(), "size": file.size })
}

/// The values of an API request whose body is a file; `None` for any other body.
pub(crate) fn of_request(
    op: &'static Op,
    cx: &Cx,
    me: Assignee,
) -> Result<Option<Values>, Failure> {
    let (Some(field), Ok(Some(file))) = (op.file(), cx.file()) else { return Ok(None) };
    let others = || op.input.iter().filter(|one| one.file_kind().is_none());
    let known: Vec<&str> = others().map(|one| one.key).chain(["name"]).collect();
    cx.only_query(&known)?;
    let mut sent = Map::new();
    for one in others() {
        let all = cx.query_all(one.key);
        let Some(last) = all.last() else { continue };
        let text = match one.input.kind {
            InputKind::Lines => all.join("\n"),
            _ => last.clone(),
        };
        sent.insert(one.key.to_owned(), one.parse_input(&text));
    }
    let mut values = cx.read(|read| names::values(op.input, sent, Mode::Whole, (read, me)))?;
    values.insert(field.key.to_owned(), value_of(file));
    Ok(Some(values))
}

/// The file of a submitted form, by its field: the one that it sends, or the one that is kept of an earlier submission.
///
/// # Errors
/// The file was not saved, or is no longer kept.
pub(crate) fn of_form(
    op: &Op,
    form: &FormValues,
    cx: &Cx,
) -> Result<Option<(String, Value)>, Error> {
    let Some(field) = op.file() else { return Ok(None) };
    let file = match (cx.file(), kept_text(form, field)) {
        (Err(failure), _) => {
            return Err(Error::field(field.key, web::form::sentence(&failure.detail)));
        }
        (Ok(Some(file)), _) => file.clone(),
        (Ok(None), "") => return Ok(None),
        (Ok(None), text) => kept(cx, text).ok_or_else(|| {
            Error::field(field.key, "The file is no longer here. Choose it again.")
        })?,
    };
    Ok(Some((field.key.to_owned(), value_of(&file))))
}

/// Adds the file of a form to its other values. Reports the errors of both.
pub(crate) fn joined(
    values: Result<Values, Error>,
    file: Result<Option<(String, Value)>, Error>,
) -> Result<Values, Error> {
    match (values, file) {
        (Ok(mut values), Ok(file)) => {
            values.extend(file);
            Ok(values)
        }
        (Err(error), Err(other)) if !error.fields().is_empty() => {
            let all = error.fields().into_iter().chain(other.fields());
            Err(Error::invalid(all.collect()))
        }
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

/// Keeps the file of a rejected form for the next submission, unless the file itself was rejected.
pub(crate) fn keep(op: &Op, form: &mut FormValues, cx: &Cx, error: &Error) {
    let Some(field) = op.file() else { return };
    let is_wrong = error.fields().iter().any(|one| one.field == field.key);
    let text = match cx.file() {
        _ if is_wrong => String::new(),
        Ok(Some(file)) => {
            let kept = Kept { by: cx.who.account, workspace: cx.ws.id, file: file.clone() };
            let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| !one.is_of(cx) || one.file.blob != file.blob);
            if MOST_KEPT <= all.len() {
                all.pop_front();
            }
            all.push_back(kept);
            format!("{} {}", file.blob, file.name)
        }
        _ => kept_text(form, field).to_owned(),
    };
    form.retain(|(name, _)| name != field.key);
    form.push((field.key.to_owned(), text));
}

/// The form value of a kept file; empty if the person removes it.
fn kept_text<'f>(form: &'f FormValues, field: &Field) -> &'f str {
    match text_in(form, &format!("{}_removed", field.key)) {
        "" => text_in(form, field.key),
        _ => "",
    }
}

/// The kept file of a form value: its blob and name.
fn kept(cx: &Cx, text: &str) -> Option<Arrived> {
    let (blob, _) = text.split_once(' ')?;
    let all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |one: &&Kept| one.is_of(cx) && one.file.blob.to_string() == blob;
    all.iter().find(is_it).map(|one| one.file.clone())
}
