//! Concurrent text edits and checklist items below `/api/v1`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::with_etag;
use app::Ws;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::TaskView;
use features::tasks::queries::{self, words as versions};
use features::tasks::rules;
use features::tasks::rules::words::{Words, Written};
use kernel::{Can, TaskId};
use store::{Read, Schema, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    Routes::new().post(
        "/tasks/{task}/tick",
        tick.needs(Can::Write).doc(|| {
            Doc::new("Tick or untick a checklist item in a description")
                .if_match()
                .body::<TickBody>()
                .returns::<TaskView>()
        }),
    )
}

/// What somebody began with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Base {
    /// The number in the ETag of what was read: its texts are looked up.
    rev: Option<u64>,
    /// The title as it was read.
    title: Option<String>,
    /// The description as it was read.
    description: Option<String>,
    /// Whether the same may have been sent before without an answer: what the task has said since is
    /// then not brought back.
    again: bool,
}

/// The edited fields, each with the text that it is based on.
pub(super) fn read(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    ((title, description), base): ((Option<String>, Option<String>), Option<Base>),
) -> Result<Words, TaskError> {
    let Some(base) = base else {
        let written = |text| Written { text, base: None };
        return Ok(Words { title: title.map(written), description: description.map(written) });
    };
    let was = base.rev.map(|rev| versions::texts(read, schema, id, rev)).transpose()?;
    let (was_title, was_description) = was.unzip();
    let title = title.map(|text| Written { text, base: base.title.or(was_title) });
    let description =
        description.map(|text| Written { text, base: base.description.or(was_description) });
    let mut words = Words { title, description };
    if base.again {
        sent_before(read, schema, id, &mut words)?;
    }
    Ok(words)
}

/// Takes text that an earlier request stored as the base, since the response to it may have been lost.
fn sent_before(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    words: &mut Words,
) -> Result<(), TaskError> {
    let tidy = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(Written { text, base: Some(base) }) = &mut words.title {
        let (was, sent) = (line(base), line(text));
        let both: (versions::Says, versions::Says) =
            (&|task| task.title == was, &|task| task.title == sent);
        if versions::has_said_since(read, schema, id, both)? {
            base.clone_from(text);
        }
    }
    if let Some(Written { text, base: Some(base) }) = &mut words.description {
        let (was, sent) = (tidy(base), tidy(text));
        let both: (versions::Says, versions::Says) =
            (&|task| task.description == was, &|task| task.description == sent);
        if versions::has_said_since(read, schema, id, both)? {
            base.clone_from(text);
        }
    }
    Ok(())
}

/// Which item, and what it should be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TickBody {
    /// Its number among the items of the description, counted from 1.
    item: usize,
    /// Its words as they were read: the item is then found where it stands now, or refused.
    text: Option<String>,
    /// Whether it is done.
    done: bool,
}

async fn tick(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
    Json(body): Json<TickBody>,
) -> Result<Tagged<TaskView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let ticked = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(tx, id, rev)?;
        let item = (body.item, body.text.as_deref());
        rules::words::tick_number(tx, id, item, body.done).map(|_| ())
    });
    ws.write(&who, ticked).await?;
    with_etag(&ws, id)
}
