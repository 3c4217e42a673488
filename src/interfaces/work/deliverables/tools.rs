//! Tools of agents for deliverables: list, show, submit and revise. Agents never review.

use std::borrow::Cow;
use std::str::FromStr as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::record_of;
use features::claims::model::Claim;
use features::claims::queries::{self as proof, Checked, Submission};
use features::claims::rules::{self as claims, Place as ClaimsOf};
use features::deliverables::model::{Answer, Content, Deliverable, Version};
use features::deliverables::paged::{self, PageDraft, Write};
use features::deliverables::queries;
use features::deliverables::rules::{self, MAX_FILE, NewDelivery};
use features::runs::model::Place;
use features::runs::queries::taint;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use features::tasks::queries::brief::Names;
use kernel::{Actor, AgentId, Can, DeliverableId, DeliverableState, TaskId, TypedId as _, Verdict};
use store::{Read, ReadExt as _, WriteTx};
use tool::take::{Taken, take_file};
use tool::{
    Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool,
};

/// How many of the newest deliverables are searched.
const LOOKED_AT: usize = 500;
/// Maximum number of deliverables returned.
const SHOWN: usize = 50;

#[must_use]
pub fn tools() -> Registry {
    let all = Registry::new().write(DeliverableSubmit).write(DeliverableRevise);
    all.read(DeliverableList).read(DeliverableGet)
}

const fn spec(name: &'static str, about: &'static str) -> ToolSpec {
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(about),
    }
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
    #[allow(missing_docs, reason = "as above")]
    Page,
    #[allow(missing_docs, reason = "as above")]
    Record,
}

/// Content that was prepared before the transaction.
#[derive(Default)]
pub enum Stored {
    /// No preparation is needed.
    #[default]
    Nothing,
    /// A file that was stored as a blob.
    File(Taken),
    /// A page to write.
    Page(Write),
}

/// A delivery that was prepared before the transaction.
#[derive(Default)]
pub struct Prepared {
    stored: Stored,
    checked: Checked,
}

/// `deliverable_submit`: submits a deliverable.
pub struct DeliverableSubmit;

/// Arguments of `deliverable_submit`.
#[derive(Deserialize, JsonSchema)]
pub struct SubmitArgs {
    /// default: your task
    task: Option<String>,
    kind: Kind,
    title: String,
    /// Markdown, address, path in your folder, knowledge id or contact:id
    body: String,
    /// for the reviewer
    note: Option<String>,
    /// id or title of what this revises
    revises: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "Claim::list")]
    claims: Vec<Claim>,
}

impl WriteTool for DeliverableSubmit {
    type Args = SubmitArgs;
    type Ready = Prepared;
    const SPEC: ToolSpec = spec(
        "deliverable_submit",
        "Deliver finished work on a task for review. Use revises after requested changes.",
    );

    async fn ready(&self, cx: &ToolCx, args: &SubmitArgs) -> Result<Prepared, ToolError> {
        let of = (args.task.as_deref(), args.revises.as_deref(), args.title.as_str());
        let submission = Submission {
            claims: args.claims.clone(),
            title: args.title.clone(),
            text: searched(&args.body, args.note.as_deref()),
        };
        let checked = proof::checked(cx, &Self::SPEC.name, submission).await?;
        Ok(Prepared { stored: stored(cx, (args.kind, &args.body), of).await?, checked })
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SubmitArgs,
        ready: Prepared,
    ) -> Result<ToolOutput, ToolError> {
        let Prepared { stored, checked } = ready;
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let revises = revised(tx, task.id, args.revises.as_deref(), &args.title)?;
        let content = content(tx, cx.agent, (args.kind, &args.body), (stored, &args.title))?;
        let told = on_others(&content, (args.kind, &args.body));
        let note = args.note.unwrap_or_default();
        let new = (args.title, content, note, Vec::new());
        let done = deliver((cx, tx), &task, revises, new, checked)?;
        Ok(ToolOutput::text(done + told))
    }
}

/// `deliverable_revise`: submits the next version of a deliverable.
pub struct DeliverableRevise;

/// Arguments of `deliverable_revise`.
#[derive(Deserialize, JsonSchema)]
pub struct ReviseArgs {
    /// its id or title
    deliverable: String,
    /// default: the one you work on
    task: Option<String>,
    /// default: as in the previous version
    kind: Option<Kind>,
    /// as in deliverable_submit
    body: String,
    /// what has changed
    note: Option<String>,
    /// an answer to each line of the review's note, in order
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default)]
    #[schemars(schema_with = "Claim::list")]
    claims: Vec<Claim>,
}

impl WriteTool for DeliverableRevise {
    type Args = ReviseArgs;
    type Ready = Prepared;
    const SPEC: ToolSpec = spec("deliverable_revise", "Deliver the next version of a deliverable.");

    async fn ready(&self, cx: &ToolCx, args: &ReviseArgs) -> Result<Prepared, ToolError> {
        let of = (args.task.as_deref(), Some(args.deliverable.as_str()), "");
        let kind = match args.kind {
            Some(kind) => kind,
            None => cx.ws.read(|snap| {
                let task = tasks::meant(snap, args.task.as_deref(), cx.task)?;
                let piece = queries::resolve(snap, task.id, &args.deliverable)?;
                usual_kind(snap, &piece)
            })?,
        };
        let submission = Submission {
            claims: args.claims.clone(),
            title: args.deliverable.clone(),
            text: searched(&args.body, args.note.as_deref()),
        };
        let checked = proof::checked(cx, &Self::SPEC.name, submission).await?;
        Ok(Prepared { stored: stored(cx, (kind, &args.body), of).await?, checked })
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ReviseArgs,
        ready: Prepared,
    ) -> Result<ToolOutput, ToolError> {
        let Prepared { stored, checked } = ready;
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let revises = queries::resolve(tx, task.id, &args.deliverable)?;
        let kind = match args.kind {
            Some(kind) => kind,
            None => usual_kind(tx, &revises)?,
        };
        let content = content(tx, cx.agent, (kind, &args.body), (stored, &revises.title))?;
        let told = on_others(&content, (kind, &args.body));
        let note = args.note.unwrap_or_default();
        let new = (String::new(), content, note, args.answers);
        Ok(ToolOutput::text(deliver((cx, tx), &task, Some(revises), new, checked)? + told))
    }
}

/// Kind of the next version if the agent names none: a page stays a page, and other content is text.
fn usual_kind(read: &dyn Read, piece: &Deliverable) -> Result<Kind, ToolError> {
    let version = read.get::<Version>(piece.version)?;
    let is_page = version.is_some_and(|version| version.content.word() == "page");
    Ok(if is_page { Kind::Page } else { Kind::Text })
}

/// Text whose paths and links are looked up in the journal.
fn searched(body: &str, note: Option<&str>) -> String {
    format!("{body}\n{}", note.unwrap_or_default())
}

fn deliver(
    (cx, tx): (&ToolCx, &mut WriteTx<'_>),
    task: &Task,
    revises: Option<Deliverable>,
    (title, content, note, answers): (String, Content, String, Vec<Answer>),
    checked: Checked,
) -> Result<String, ToolError> {
    let required = claims::is_required(tx, task)?;
    if required {
        claims::demand(&checked)?;
    }
    let revises = revises.map(|piece| piece.id);
    let new = NewDelivery { task: task.id, title, content, note, revises };
    let (piece, version) = rules::submit_answering(tx, new, answers)?;
    let name = tasks::name(tx, task.number)?;
    let told = claims::describe(&checked.claims);
    let place = ClaimsOf { run: cx.run, step: cx.step, version: Some(version.id), required };
    claims::keep(tx, place, checked)?;
    Ok(format!(
        "Delivered \"{}\" (id {}, version {}) on {name}. It is waiting for a person's review.{told}",
        piece.title,
        piece.id.short(),
        version.number
    ))
}

/// Tells the agent that its page also has changes by others, which its next version would revert if it did not know
/// them.
fn on_others(content: &Content, (kind, body): (Kind, &str)) -> &'static str {
    let Content::Page { text, .. } = content else { return "" };
    if !matches!(kind, Kind::Page) || is_id(body) {
        return "";
    }
    let (text, own) = (text.trim().lines(), body.trim().lines());
    match text.map(str::trim_end).eq(own.map(str::trim_end)) {
        true => "",
        false => {
            " The page also has changes by others: read it with deliverable_get before you revise it."
        }
    }
}

/// Text that happens to be a title is content, so only ids name a page.
fn is_id(body: &str) -> bool {
    DeliverableId::from_str(body.trim()).is_ok()
}

/// The deliverable that is revised. Submitting the same title again counts as a revision.
fn revised(
    read: &dyn Read,
    task: TaskId,
    revises: Option<&str>,
    title: &str,
) -> Result<Option<Deliverable>, ToolError> {
    Ok(match revises.filter(|text| !text.trim().is_empty()) {
        Some(text) => Some(queries::resolve(read, task, text)?),
        None => queries::unfinished(read, task, title)?,
    })
}

fn content(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    (kind, body): (Kind, &str),
    (stored, title): (Stored, &str),
) -> Result<Content, ToolError> {
    Ok(match (kind, stored) {
        (Kind::File, Stored::File(Taken { name, blob: Some(blob), size, .. })) => {
            Content::File { name, blob, size }
        }
        (_, Stored::Page(write)) => write(tx, title)?.content(),
        (Kind::Record, _) => record_of(tx, body, Some(agent))?,
        (Kind::Url, _) => Content::Url(body.to_owned()),
        _ => Content::Text(body.to_owned()),
    })
}

/// Prepares the content: stores the named file as a blob, or prepares the text of a page. Task, revised deliverable and
/// title select the previous version.
async fn stored(
    cx: &ToolCx,
    (kind, body): (Kind, &str),
    (task, revises, title): (Option<&str>, Option<&str>, &str),
) -> Result<Stored, ToolError> {
    match kind {
        Kind::File => Ok(Stored::File(take_file(cx, body, MAX_FILE).await?)),
        Kind::Text | Kind::Url | Kind::Record => Ok(Stored::Nothing),
        Kind::Page => {
            let before = cx.ws.read(|snap| {
                let task = tasks::meant(snap, task, cx.task)?;
                let piece = revised(snap, task.id, revises, title)?;
                let own = (cx.agent, title);
                Ok::<_, ToolError>(queries::page_to_update(snap, task.id, piece.as_ref(), own)?)
            })?;
            let by = Actor::Agent { agent: cx.agent, run: cx.run };
            let text = body.to_owned();
            let ready = cx.ws.read_blocking(move |ws| {
                let page = match is_id(&text) {
                    true => paged::named(ws, text.trim(), by.agent())?,
                    false => None,
                };
                match page {
                    Some(page) => {
                        Ok(Box::new(move |_: &mut WriteTx<'_>, _: &str| Ok(page)) as Write)
                    }
                    None => paged::ready(ws, PageDraft { by, text, before }),
                }
            });
            Ok(Stored::Page(ready.await?))
        }
    }
}

/// A deliverable in one line.
#[derive(Serialize)]
struct Line {
    id: String,
    title: String,
    task: String,
    state: DeliverableState,
    version: u32,
    by: String,
    since: String,
}

fn line(names: &Names, task: u32, piece: &Deliverable) -> Line {
    Line {
        id: piece.id.short(),
        title: piece.title.clone(),
        task: format!("{}-{task}", names.key),
        state: piece.state,
        version: piece.versions,
        by: names.people.actor_handle(piece.submitted_by),
        since: piece.updated_at.to_string(),
    }
}

/// `deliverable_list`: lists deliverables.
pub struct DeliverableList;

/// Arguments of `deliverable_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// of this task; default: yours
    task: Option<String>,
    state: Option<DeliverableState>,
    /// from everyone
    #[serde(default)]
    all: bool,
}

impl ReadTool for DeliverableList {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("deliverable_list"),
        group: Group::Tasks,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("List delivered work: waiting for review, sent back or approved."),
    };
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let names = Names::read(snap)?;
            let of = args.task.as_deref().map(|text| tasks::resolve(snap, text)).transpose()?;
            let mut all = match &of {
                Some(task) => queries::pieces(snap, task.id)?,
                None => queries::newest(snap, LOOKED_AT)?,
            };
            let own = |piece: &Deliverable| piece.submitted_by.agent() == Some(cx.agent);
            all.retain(|piece| {
                let wanted = args.state.is_none_or(|state| state == piece.state);
                wanted && (args.all || of.is_some() || own(piece))
            });
            let mut lines = Vec::new();
            for piece in all.iter().take(SHOWN) {
                if let Some(task) = snap.get::<Task>(piece.task)? {
                    lines.push(line(&names, task.number, piece));
                }
            }
            let places = all.iter().take(SHOWN).map(|piece| Place::of(piece.id));
            Ok::<_, ToolError>(taint::shown(snap, cx, places, ToolOutput::of(&lines))?)
        })
    }
}

/// A review of a version.
#[derive(Serialize)]
struct Said {
    verdict: Verdict,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    /// Requested changes, in the order in which they are answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asks: Vec<String>,
}

/// A version of a deliverable.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    shown: u32,
    kind: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Said>,
}

/// `deliverable_get`: shows a deliverable.
pub struct DeliverableGet;

/// Arguments of `deliverable_get`.
#[derive(Deserialize, JsonSchema)]
pub struct GetArgs {
    /// its id or title
    deliverable: String,
    /// default: the one you work on
    task: Option<String>,
    /// default: the newest
    version: Option<u32>,
}

impl ReadTool for DeliverableGet {
    type Args = GetArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("deliverable_get"),
        group: Group::Tasks,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("Read delivered work with its review and requested changes."),
    };
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: GetArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let names = Names::read(snap)?;
            let task = tasks::meant(snap, args.task.as_deref(), cx.task)?;
            let piece = queries::resolve(snap, task.id, &args.deliverable)?;
            let piece = queries::with_versions(snap, piece)?;
            let wanted = args.version.unwrap_or(piece.deliverable.versions);
            let judged = piece.versions.iter().find(|one| one.version.number == wanted);
            let Some(judged) = judged else {
                let last = piece.deliverable.versions;
                let message = format!("there are versions 1 to {last}");
                return Err(ToolError::refused("version_not_found", message));
            };
            let (kind, content) = match &judged.version.content {
                Content::Text(text) => ("text", text.clone()),
                Content::Page { text, .. } => (judged.version.content.word(), text.clone()),
                Content::Url(address) => ("url", address.clone()),
                Content::File { name, size, .. } => ("file", format!("{name}, {size} bytes")),
            };
            let output = ToolOutput::of(&Whole {
                line: line(&names, task.number, &piece.deliverable),
                shown: wanted,
                kind,
                content,
                note: judged.version.note.clone(),
                review: judged.review.as_ref().map(|review| Said {
                    verdict: review.verdict,
                    note: queries::describe(review),
                    asks: queries::asks(review),
                }),
            });
            Ok(taint::shown(snap, cx, [Place::of(piece.deliverable.id)], output)?)
        })
    }
}
