//! Reads of links: outgoing and incoming links of tasks, and resolving link targets.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;
use url::Url;

use super::model::{self, Link, Target};
use crate::agents::model::Agent;
use crate::cards;
use crate::deliverables::model::Deliverable;
use crate::files::model::TaskFile;
use crate::global_search::queries::document::{audiences_of, may_see};
use crate::routines::model::Routine;
use crate::routines::queries as routines;
use crate::streams::model::Stream;
use crate::streams::queries as streams;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::list::{self, Cut, Filter, Sort};
use crate::tasks::queries::people::People;
use crate::tasks::queries::view_context::ViewContext;
use app::Ws;
use kernel::key::KeyBuf;
use kernel::text::{capitalized, ellipsis};
use kernel::{AgentId, FieldError, Problem, ProblemKind, RunId, TaskId, TypedId as _};
use search::Document;
use store::{Range, Read, ReadExt as _, StoreError};
use web::live::Live;
use web::parts::Face;

/// Maximum number of links per task.
pub const MOST: usize = 100;
/// Maximum length of a URL in bytes.
const MAX_URL: usize = 2_048;
/// Maximum length of a name in a line for a model, in characters.
const MAX_NAME: usize = 80;
/// Word of the knowledge noun in [`cards`], to which `[[…]]` refers.
const KNOWLEDGE: &str = "knowledge";
/// Maximum number of suggested tasks.
const OFFERS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("this link no longer exists")]
    NotFound,
    #[error("a task can have at most {MOST} links; remove one first")]
    TooMany,
    #[error("{1}")]
    Invalid(&'static str, String),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for LinkError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "link_not_found",
            Self::TooMany => "too_many_links",
            Self::Invalid(..) => "invalid",
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound => ProblemKind::NotFound,
            Self::TooMany => ProblemKind::Conflict,
            Self::Invalid(..) => ProblemKind::Invalid,
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(field, message) => vec![FieldError::new(*field, message.clone())],
            Self::Task(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

/// Links of a task in creation order.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Link>, StoreError> {
    let mut all: Vec<Link> = read.scan(model::BY_TASK, &Range::prefix(KeyBuf::of(&task)))?;
    all.sort_by_key(|link| link.id);
    Ok(all)
}

/// Links to a target.
pub fn to(read: &dyn Read, target: &Target) -> Result<Vec<Link>, StoreError> {
    let mut key = KeyBuf::new();
    target.encode(&mut key);
    read.scan(model::BY_TARGET, &Range::prefix(key).limit(MOST))
}

/// The link of a task to a target, if any.
pub fn find(read: &dyn Read, task: TaskId, target: &Target) -> Result<Option<Link>, StoreError> {
    let mut key = KeyBuf::of(&task);
    target.encode(&mut key);
    read.find::<Link>(model::BY_TASK, &key)
}

/// Name of a target and its path below the workspace. `None` if it does not exist.
pub fn name(read: &dyn Read, target: &Target) -> Result<Option<(String, String)>, StoreError> {
    Ok(match target {
        Target::Url(url) => Some((url.clone(), url.clone())),
        Target::Task(id) => match read.get::<Task>(*id)? {
            Some(task) => {
                let name = tasks::name(read, task.number)?;
                Some((format!("{name} {}", task.title), format!("tasks/{name}")))
            }
            None => None,
        },
        Target::Agent(id) => {
            read.get::<Agent>(*id)?.map(|agent| (agent.name, format!("agents/{}", agent.slug)))
        }
        Target::Stream(id) => {
            read.get::<Stream>(*id)?.map(|one| (one.name, format!("streams/{id}")))
        }
        Target::Routine(id) => {
            read.get::<Routine>(*id)?.map(|one| (one.name, format!("routines/{id}")))
        }
        Target::Piece(id) => {
            read.get::<Deliverable>(*id)?.map(|one| (one.title, format!("review?piece={id}")))
        }
        Target::File(id) => read.get::<TaskFile>(*id)?.map(|one| (one.name, format!("files/{id}"))),
        Target::Row(table, key) => {
            let Some(noun) = cards::of_table(*table) else { return Ok(None) };
            noun.get(read, key)?.map(|fields| ((noun.title)(&fields), (noun.path)(&fields)))
        }
    })
}

/// Kind of a target and its icon.
#[must_use]
pub fn kind(target: &Target) -> (String, &'static str) {
    let (word, icon) = match target {
        Target::Url(_) => ("Link", "link"),
        Target::Task(_) => ("Task", "tasks"),
        Target::Agent(_) => ("Agent", "users"),
        Target::Stream(_) => ("Stream", "layers"),
        Target::Routine(_) => ("Routine", "repeat"),
        Target::Piece(_) => ("Delivered work", "box"),
        Target::File(_) => ("File", "file"),
        Target::Row(table, _) => {
            let noun = cards::of_table(*table);
            let glyph = noun.and_then(|noun| noun.finds).map_or("link", |finds| finds.glyph);
            return (noun.map_or_else(|| "Record".to_owned(), |noun| capitalized(noun.one)), glyph);
        }
    };
    (word.to_owned(), icon)
}

/// Returns `true` if the agent may know the target.
pub fn is_for(read: &dyn Read, target: &Target, agent: AgentId) -> Result<bool, StoreError> {
    let Target::Row(table, key) = target else { return Ok(true) };
    let Some(noun) = cards::of_table(*table) else { return Ok(true) };
    let Some(row) = read.raw_get(*table, key)? else { return Ok(true) };
    let document = noun.finds.and_then(|finds| (finds.document)(&row));
    let sees = |document: Document| {
        document.seen_by.is_empty() || may_see(&document, &audiences_of(agent))
    };
    Ok(noun.owner(&row).is_none() && document.is_none_or(sees))
}

/// Converts `[[Lease terms]]` and `[[know:<id>#3]]` to the form of link input.
fn as_given(text: &str) -> Option<String> {
    let inner = text.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
    let name = match inner.unwrap_or(text).trim().strip_prefix("know:") {
        Some(id) => id,
        None => inner?,
    };
    let name = name.split(['#', '|']).next().unwrap_or_default();
    Some(format!("{KNOWLEDGE}:{}", name.trim()))
}

/// Resolves link input: a URL, a task name, `@agent`, `stream:name`, `routine:name`, `deliverable:id`, `file:id`,
/// `knowledge:title` or `[[title]]`. With an agent, only targets that it may see exist.
///
/// # Errors
/// If there is no such target.
pub fn meant(read: &dyn Read, text: &str, agent: Option<AgentId>) -> Result<Target, LinkError> {
    let text = text.trim();
    let given = as_given(text);
    let text = given.as_deref().unwrap_or(text);
    let wrong = |message: String| LinkError::Invalid("target", message);
    if text.is_empty() {
        return Err(wrong("Enter a link target: a URL, MC-12, @agent or stream:Name.".into()));
    }
    if let Some(slug) = text.strip_prefix('@') {
        let people = People::read(read)?;
        let agent = people.agent_called(slug).map(|agent| Target::Agent(agent.id));
        return agent.ok_or_else(|| wrong(format!("There is no agent \u{201c}{slug}\u{201d}.")));
    }
    let none =
        |what: &str, name: &str| wrong(format!("There is no {what} \u{201c}{name}\u{201d}."));
    if let Some((kind, name)) = text.split_once(':') {
        let name = name.trim();
        match kind.trim().to_lowercase().as_str() {
            "http" | "https" => return address(text).map(Target::Url).map_err(wrong),
            "stream" => {
                let found = streams::called(read, name)?;
                return found.map(|one| Target::Stream(one.id)).ok_or_else(|| none("stream", name));
            }
            "routine" => {
                let all = routines::all(read)?;
                let found = all.iter().find(|one| one.name.eq_ignore_ascii_case(name));
                let found = found.map(|one| Target::Routine(one.id));
                return found.ok_or_else(|| none("routine", name));
            }
            "deliverable" => {
                let found = match name.parse() {
                    Ok(id) => read.get::<Deliverable>(id)?,
                    Err(_) => None,
                };
                let found = found.map(|one| Target::Piece(one.id));
                return found.ok_or_else(|| none("deliverable", name));
            }
            "file" => {
                let found = match name.parse() {
                    Ok(id) => read.get::<TaskFile>(id)?,
                    Err(_) => None,
                };
                return found.map(|one| Target::File(one.id)).ok_or_else(|| none("file", name));
            }
            word => {
                if let Some(noun) = cards::of_word(word).filter(|noun| noun.linked) {
                    let found = noun.find(read, name)?.filter(|_| !name.is_empty());
                    let found = found.map(|key| Target::Row(noun.table, key));
                    let found = found.ok_or_else(|| none(noun.one, name))?;
                    let sees = agent.map_or(Ok(true), |agent| is_for(read, &found, agent))?;
                    return if sees { Ok(found) } else { Err(none(noun.one, name)) };
                }
            }
        }
    }
    match tasks::resolve(read, text) {
        Ok(task) => Ok(Target::Task(task.id)),
        Err(_) => {
            let linked = cards::all().filter(|noun| noun.linked);
            let rows: String = linked.map(|noun| format!("{}:Name, ", noun.word)).collect();
            Err(wrong(format!(
                "\u{201c}{}\u{201d} isn’t a URL or a record; use https://…, MC-12, @agent, \
                 stream:Name, routine:Name, {rows}deliverable:id or file:id.",
                ellipsis(text, 60)
            )))
        }
    }
}

fn address(text: &str) -> Result<String, String> {
    let plain = |url: &Url| {
        url.host_str().is_some() && url.username().is_empty() && url.password().is_none()
    };
    match Url::parse(text).ok().filter(plain) {
        Some(url) if url.as_str().len() <= MAX_URL => Ok(url.into()),
        Some(_) => Err("This URL is too long.".to_owned()),
        None => Err("Enter a full URL, such as https://example.com/page.".to_owned()),
    }
}

/// A link for display.
#[derive(Clone, Debug)]
pub struct LinkView {
    pub text: String,
    pub href: String,
    /// `true` for an external link.
    pub out: bool,
    /// "Task", "Link".
    pub kind: String,
    pub glyph: &'static str,
    /// URL for removing it. Empty without permission and for incoming links.
    pub remove: String,
}

/// Links of a task for display.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub live: Live,
    /// Outgoing links.
    pub own: Vec<LinkView>,
    /// Tasks that link to this one.
    pub back: Vec<LinkView>,
    /// Suggestions: input value and label.
    pub offers: Vec<(String, String)>,
}

/// Loads the links of a task for display.
pub fn section(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    live: Live,
) -> Result<Section, TaskError> {
    let mut own = Vec::new();
    for link in of_task(read, task.id)? {
        let remove = match scene.may_write && task.archived_at.is_none() {
            true => scene.ws.url(&format!("links/{}/delete", link.id)),
            false => String::new(),
        };
        own.extend(view(scene, read, &link.target, (&link.label, remove))?);
    }
    let mut back = Vec::new();
    for link in to(read, &Target::Task(task.id))? {
        back.extend(view(scene, read, &Target::Task(link.task), ("", String::new()))?);
    }
    Ok(Section {
        live: live.table("task_links"),
        own,
        back,
        offers: if scene.may_write { offers(scene, read)? } else { Vec::new() },
    })
}

fn view(
    scene: &ViewContext,
    read: &dyn Read,
    target: &Target,
    (label, remove): (&str, String),
) -> Result<Option<LinkView>, StoreError> {
    let Some((name, path)) = name(read, target)? else { return Ok(None) };
    let (kind, glyph) = kind(target);
    let out = matches!(target, Target::Url(_));
    Ok(Some(LinkView {
        text: if label.is_empty() { name } else { label.to_owned() },
        href: if out { path } else { scene.ws.url(&path) },
        out,
        kind,
        glyph,
        remove,
    }))
}

/// Suggested targets: recently changed tasks, agents, streams, routines.
fn offers(scene: &ViewContext, read: &dyn Read) -> Result<Vec<(String, String)>, TaskError> {
    let cut = Cut { after: None, limit: OFFERS };
    let filter = Filter { status: list::OPEN.to_vec(), ..Filter::default() };
    let found = list::page(read, &filter, Sort::Updated, &scene.today, &cut)?.items;
    let mut all: Vec<(String, String)> =
        found.into_iter().map(|task| (scene.name(&task), task.title)).collect();
    all.extend(scene.people.agents().map(|one| (format!("@{}", one.slug), one.name.clone())));
    let streams = streams::in_use(read)?.into_iter();
    all.extend(streams.map(|one| (format!("stream:{}", one.name), "Stream".to_owned())));
    let routines = routines::all(read)?.into_iter();
    all.extend(routines.map(|one| (format!("routine:{}", one.name), "Routine".to_owned())));
    Ok(all)
}

/// A link in one line for a model.
pub fn describe(read: &dyn Read, link: &Link) -> Result<Option<String>, StoreError> {
    let Some((name, _)) = name(read, &link.target)? else { return Ok(None) };
    // The line is outside the untrusted-content markers, so a name must not contain one.
    let name = name.replace("<<<", "‹‹‹").replace(">>>", "›››");
    let what = match &link.target {
        Target::Url(url) => url.clone(),
        Target::Piece(id) => format!("deliverable {name} (id {})", id.short()),
        Target::File(id) => format!("file {name} (id {})", id.short()),
        // The name may be untrusted, and as long as a paragraph.
        target => format!("{} {}", kind(target).0.to_lowercase(), ellipsis(&name, MAX_NAME)),
    };
    Ok(Some(match link.label.as_str() {
        "" => what,
        label => format!("{label}: {what}"),
    }))
}

/// A task that links to a target, for display.
#[derive(Clone, Debug)]
pub struct TaskLine {
    /// Display name, such as `MC-142`.
    pub name: String,
    pub title: String,
    pub href: String,
    /// Status word and label.
    pub state: (&'static str, &'static str),
    /// Face of the assignee.
    pub face: Face,
}

/// Tasks that link to a target.
pub fn tasks_to(
    scene: &ViewContext,
    read: &dyn Read,
    target: &Target,
) -> Result<Vec<TaskLine>, StoreError> {
    let mut lines = Vec::new();
    for link in to(read, target)? {
        let Some(task) = read.get::<Task>(link.task)? else { continue };
        lines.push(TaskLine {
            name: scene.name(&task),
            href: scene.href(&task),
            state: (task.status.word(), task.status.label()),
            face: scene.people.face_or_nobody(task.assignee),
            title: task.title,
        });
    }
    Ok(lines)
}

/// Converts record names in a text, such as `[[Lease terms]]`, to Markdown links. In text written by a run, marks
/// citations that the run never read.
pub type NamesIn = fn(&dyn Read, &Ws, &str, Option<RunId>) -> Result<String, StoreError>;

static NAMES: OnceLock<NamesIn> = OnceLock::new();

/// Installs the resolver of `[[…]]`, before the first page. Only the first call has an effect.
pub fn install_names(of: NamesIn) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = NAMES.set(of);
}

/// Passages of a task's linked records that are relevant to the task, limited to records that the agent may see.
pub type SaidOf = fn(&Ws, &dyn Read, AgentId, &Task) -> Result<Vec<Said>, StoreError>;

/// A passage of a linked record.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// Title of the record.
    pub title: String,
    /// Citation key.
    pub cite: String,
    pub text: String,
}

static SAID: OnceLock<SaidOf> = OnceLock::new();

/// Installs the source of passages, before the first run. Only the first call has an effect.
pub fn install_said(of: SaidOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = SAID.set(of);
}

/// Passages of a task's linked records, limited to records that the agent may see. Blocking: reads the records' texts.
pub fn suggestions(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
    task: &Task,
) -> Result<Vec<Said>, StoreError> {
    SAID.get().map_or_else(|| Ok(Vec::new()), |of| of(ws, read, agent, task))
}

/// Converts `[[…]]` in a text to links. `by` is the run that wrote the text, if any.
#[must_use]
pub fn named_in<'t>(read: &dyn Read, ws: &Ws, text: &'t str, by: Option<RunId>) -> Cow<'t, str> {
    let Some(of) = NAMES.get().filter(|_| text.contains("[[")) else { return text.into() };
    match of(read, ws, text, by) {
        Ok(linked) => linked.into(),
        Err(error) => {
            tracing::debug!(%error, "names in a text lead nowhere");
            text.into()
        }
    }
}
