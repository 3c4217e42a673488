//! What agents can do with delivered work: deliver it, and deliver it again. They never review.

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::{Answer, Content, Deliverable};
use super::queries;
use super::rules::{self, MAX_FILE, NewDelivery};
use crate::features::tasks::model::Task;
use crate::features::tasks::queries as tasks;
use crate::kernel::{Can, TypedId as _};
use crate::store::WriteTx;
use crate::tool::take::{Taken, take_file};
use crate::tool::{Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// The tools of this noun.
#[must_use]
pub fn tools() -> Registry {
    Registry::new().write(DeliverableSubmit).write(DeliverableRevise)
}

const fn spec(name: &'static str, about: &'static str) -> ToolSpec {
    ToolSpec { name, group: Group::Tasks, needs: Can::Write, effect: Effect::Add, about }
}

/// What kind of thing is delivered. (Its variants are words for models and need none.)
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    #[allow(missing_docs, reason = "a comment would make the schema four times as long")]
    Text,
    #[allow(missing_docs, reason = "as above")]
    Url,
    #[allow(missing_docs, reason = "as above")]
    File,
}

/// A file that was read and stored before the transaction.
#[derive(Default)]
pub struct Stored(Option<Taken>);

/// Delivers work.
pub struct DeliverableSubmit;

/// Arguments of `deliverable_submit`.
#[derive(Deserialize, JsonSchema)]
pub struct SubmitArgs {
    /// default: the one you work on
    task: Option<String>,
    kind: Kind,
    title: String,
    /// Markdown text, address, or path of a file in your folder
    body: String,
    /// what the reviewer should know
    note: Option<String>,
    /// id or title of the deliverable of which this is the next version
    revises: Option<String>,
}

impl WriteTool for DeliverableSubmit {
    type Args = SubmitArgs;
    type Ready = Stored;
    const SPEC: ToolSpec = spec(
        "deliverable_submit",
        "Deliver finished work on a task; a person reviews it. Use revises after changes were asked for.",
    );

    async fn ready(&self, cx: &ToolCx, args: &SubmitArgs) -> Result<Stored, ToolError> {
        stored(cx, args.kind, &args.body).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SubmitArgs,
        stored: Stored,
    ) -> Result<ToolOutput, ToolError> {
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        // A model that delivers the same title again means the next version of it.
        let revises = match args.revises.as_deref().filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(queries::resolve(tx, task.id, text)?),
            None => queries::unfinished(tx, task.id, &args.title)?,
        };
        let content = content(args.kind, args.body, stored);
        let note = args.note.unwrap_or_default();
        deliver(tx, &task, revises, (args.title, content, note, Vec::new()))
    }
}

/// Delivers the next version of something.
pub struct DeliverableRevise;

/// Arguments of `deliverable_revise`.
#[derive(Deserialize, JsonSchema)]
pub struct ReviseArgs {
    /// its id or title
    deliverable: String,
    /// default: the one you work on
    task: Option<String>,
    /// default: text
    kind: Option<Kind>,
    /// Markdown text, address, or path of a file in your folder
    body: String,
    /// what has changed
    note: Option<String>,
    /// to each line of the review's note, in order
    #[serde(default)]
    answers: Vec<Answer>,
}

impl WriteTool for DeliverableRevise {
    type Args = ReviseArgs;
    type Ready = Stored;
    const SPEC: ToolSpec = spec("deliverable_revise", "Deliver the next version of a deliverable.");

    async fn ready(&self, cx: &ToolCx, args: &ReviseArgs) -> Result<Stored, ToolError> {
        stored(cx, args.kind.unwrap_or_default(), &args.body).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ReviseArgs,
        stored: Stored,
    ) -> Result<ToolOutput, ToolError> {
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let revises = queries::resolve(tx, task.id, &args.deliverable)?;
        let content = content(args.kind.unwrap_or_default(), args.body, stored);
        let note = args.note.unwrap_or_default();
        deliver(tx, &task, Some(revises), (String::new(), content, note, args.answers))
    }
}

fn deliver(
    tx: &mut WriteTx<'_>,
    task: &Task,
    revises: Option<Deliverable>,
    (title, content, note, answers): (String, Content, String, Vec<Answer>),
) -> Result<ToolOutput, ToolError> {
    let revises = revises.map(|piece| piece.id);
    let new = NewDelivery { task: task.id, title, content, note, revises };
    let (piece, version) = rules::submit_answering(tx, new, answers)?;
    let name = tasks::name(tx, task.number)?;
    Ok(ToolOutput::text(format!(
        "Delivered \"{}\" (id {}, version {}) on {name}. A person reviews it now.",
        piece.title,
        piece.id.short(),
        version.number
    )))
}

fn content(kind: Kind, body: String, stored: Stored) -> Content {
    match (kind, stored.0) {
        (Kind::File, Some(Taken { name, blob: Some(blob), size, .. })) => {
            Content::File { name, blob, size }
        }
        (Kind::Url, _) => Content::Url(body),
        _ => Content::Text(body),
    }
}

/// Takes the named file into the blobs, if it is a file that is delivered.
async fn stored(cx: &ToolCx, kind: Kind, path: &str) -> Result<Stored, ToolError> {
    match kind {
        Kind::File => Ok(Stored(Some(take_file(cx, path, MAX_FILE).await?))),
        Kind::Text | Kind::Url => Ok(Stored(None)),
    }
}
