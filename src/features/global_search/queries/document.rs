//! Search documents of records: their text and audience.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::agents::model::Agent;
use crate::cards;
use crate::comments::model::Comment;
use crate::deliverables::model::{Content, Deliverable, Review, Version};
use crate::files::model::TaskFile;
use crate::links::model::{Link, Target};
use crate::places::Place;
use crate::routines::model::Routine;
use crate::runs::model::{EventKind, Session, SessionEvent};
use crate::runs::queries::{children, search};
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::model::label::{BY_LABEL, LABELS, Label, LabelId, TASK_LABELS, TaskLabel};
use crate::tasks::model::series::Series;
use crate::tasks::model::template::Template;
use crate::tasks::queries as tasks;
use crate::workspace::model::Member;
use ::search::Document;
use entity::LabelNames;
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::text::cut;
use kernel::{AccountId, AgentId, Cause, SessionId, TaskId, TypedId as _};
use store::{BlobId, Op, Range, Read, ReadExt, Record, StoreError};

use super::super::model::{Found, Kind};
use super::contents::Contents;

/// Audience of records that all members and agents may see.
pub const EVERYBODY: &str = "all";
/// Audience of records that all people, but not all agents, may see.
pub const PEOPLE: &str = "people";
/// Maximum number of bytes of a text.
const MOST: usize = 64 * 1024;
/// Maximum number of a task's labels to index.
const MOST_LABELS: usize = 50;

/// Audience of a single account.
#[must_use]
pub fn alone(account: AccountId) -> String {
    account.to_string()
}

/// Audiences of a member.
#[must_use]
pub fn audiences(account: AccountId) -> Vec<String> {
    vec![EVERYBODY.to_owned(), PEOPLE.to_owned(), alone(account)]
}

/// Audience of a single agent.
#[must_use]
pub fn of_agent(agent: AgentId) -> String {
    format!("agent {agent}")
}

/// Audiences of an agent.
#[must_use]
pub fn audiences_of(agent: AgentId) -> Vec<String> {
    vec![EVERYBODY.to_owned(), of_agent(agent)]
}

/// Returns `true` if one of the audiences may see the document.
#[must_use]
pub fn may_see(document: &Document, audiences: &[String]) -> bool {
    document.seen_by.iter().any(|who| audiences.contains(who))
}

/// Loads documents, with caches across records.
pub struct Reader<'a> {
    read: &'a dyn Read,
    contents: Option<Contents<'a>>,
    cuts: bool,
    task_key: Option<String>,
    sessions: HashMap<SessionId, Option<Session>>,
    labels: HashMap<LabelId, Option<String>>,
    /// Label names of records, by the index number of their noun.
    tags: HashMap<u8, LabelNames>,
}

impl<'a> Reader<'a> {
    /// Without file contents.
    #[must_use]
    pub fn new(read: &'a dyn Read) -> Self {
        let (sessions, labels, tags) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { read, contents: None, cuts: false, task_key: None, sessions, labels, tags }
    }

    /// Includes file contents.
    #[must_use]
    pub fn with(self, contents: Contents<'a>) -> Self {
        Self { contents: Some(contents), ..self }
    }

    /// Splits documents into passages. The index needs them, the display of a hit does not.
    #[must_use]
    pub fn cutting(self) -> Self {
        Self { cuts: true, ..self }
    }

    /// Document of a record. `None` if it is deleted or not searchable.
    pub fn document(&mut self, found: &Found) -> Result<Option<Document>, StoreError> {
        let document = match found.kind {
            Kind::Task => self.get::<Task>(found)?.map(|task| self.task(task)).transpose()?,
            Kind::Comment => self.get::<Comment>(found)?.map(|comment| Document {
                body: kept(&comment.body),
                at: comment.created_at.as_second(),
                seen_by: vec![readers_of(comment.on).to_owned()],
                ..Document::default()
            }),
            Kind::Deliverable => {
                self.get::<Deliverable>(found)?.map(|one| self.deliverable(one)).transpose()?
            }
            Kind::File => self.get::<TaskFile>(found)?.map(|file| self.file(file)).transpose()?,
            Kind::AgentFile => self.agent_file(found)?,
            Kind::Agent => self.get::<Agent>(found)?.map(agent),
            Kind::Person => self.get::<Member>(found)?.and_then(person),
            Kind::Message => match self.get::<SessionEvent>(found)? {
                Some(event) => self.message(event)?,
                None => None,
            },
            Kind::Stream => self.get::<Stream>(found)?.map(|stream| Document {
                title: stream.name,
                body: kept(&format!("{}\n{}", stream.description, stream.goal)),
                at: stream.updated_at.as_second(),
                archived: stream.archived_at.is_some(),
                ..for_all()
            }),
            Kind::Routine => self.get::<Routine>(found)?.map(|routine| Document {
                title: routine.name,
                body: kept(&routine.instruction),
                at: routine.updated_at.as_second(),
                ..for_all()
            }),
            Kind::Series => self.get::<Series>(found)?.map(|series| Document {
                title: series.title,
                body: kept(&series.description),
                tags: series.labels.join(" "),
                at: series.updated_at.as_second(),
                ..for_all()
            }),
            Kind::Template => self.get::<Template>(found)?.map(|one| template(&one)),
            Kind::Link => self.get::<Link>(found)?.and_then(link),
            Kind::Review => self.get::<Review>(found)?.map(|one| review(&one)),
            Kind::Page => None,
            Kind::Entity(_) => self.by_card(found)?,
        };
        let named = |document: Document| Document {
            kind: found.kind.number(),
            key: found.name(),
            ..document
        };
        Ok(document.map(named))
    }

    fn by_card(&mut self, found: &Found) -> Result<Option<Document>, StoreError> {
        let Some((noun, finds)) = found.kind.card() else { return Ok(None) };
        let Some(row) = self.read.raw_get(noun.table, &found.key)? else { return Ok(None) };
        let audience = noun.owner(&row).map_or_else(|| EVERYBODY.to_owned(), alone);
        let Some(mut one) = (finds.document)(&row) else { return Ok(None) };
        if one.seen_by.is_empty() {
            one.seen_by = vec![audience];
        }
        if let Some(labelled) = noun.labelled {
            let names = match self.tags.entry(finds.number) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert((labelled.names)(self.read)?),
            };
            for name in names(row.as_slice()) {
                one.tags.push(' ');
                one.tags.push_str(&name);
            }
        }
        if let (Some(parts), Some(contents)) = (finds.parts, &self.contents) {
            let text = (parts.text)(self.read, contents.blobs(), &row)?;
            one.body = kept(&text);
            if self.cuts {
                let mut all = (parts.cut)(&row, &text);
                for (n, part) in all.iter_mut().enumerate() {
                    part.kind = parts.number;
                    part.key = found.part(parts.number, n);
                    part.group = found.name();
                    part.seen_by.clone_from(&one.seen_by);
                    (part.at, part.archived) = (one.at, one.archived);
                }
                one.parts = Some(all);
            }
            return Ok(Some(one));
        }
        Ok(Some(Document { body: kept(&one.body), ..one }))
    }

    fn get<R: Record>(&self, found: &Found) -> Result<Option<R>, StoreError> {
        match decode::<R::Id>(&found.key) {
            Some(id) => self.read.get::<R>(id),
            None => Ok(None),
        }
    }

    fn task(&mut self, task: Task) -> Result<Document, StoreError> {
        let key = match &self.task_key {
            Some(key) => key.clone(),
            None => self.task_key.insert(tasks::key(self.read)?).clone(),
        };
        let mut tags = Vec::new();
        let mine = Range::prefix(KeyBuf::of(&task.id)).limit(MOST_LABELS);
        for row in self.read.list::<TaskLabel>(&mine)? {
            tags.extend(self.label(row.label)?);
        }
        Ok(Document {
            title: task.title,
            subtitle: format!("{key}-{}", task.number),
            body: kept(&task.description),
            tags: tags.join(" "),
            status: task.status.word().to_owned(),
            at: task.updated_at.as_second(),
            archived: task.archived_at.is_some(),
            ..for_all()
        })
    }

    fn label(&mut self, id: LabelId) -> Result<Option<String>, StoreError> {
        if let Some(known) = self.labels.get(&id) {
            return Ok(known.clone());
        }
        let name = self.read.get::<Label>(id)?.map(|label| label.name);
        self.labels.insert(id, name.clone());
        Ok(name)
    }

    fn file(&mut self, file: TaskFile) -> Result<Document, StoreError> {
        Ok(Document {
            seen_by: vec![readers_of(file.on).to_owned()],
            title: file.name,
            body: self.text(file.blob)?.unwrap_or_default(),
            at: file.created_at.as_second(),
            ..Document::default()
        })
    }

    /// Text of a blob, if it has any.
    fn text(&mut self, blob: BlobId) -> Result<Option<String>, StoreError> {
        match &mut self.contents {
            Some(contents) => contents.of_blob(blob),
            None => Ok(None),
        }
    }

    /// A file of an agent, from its folder.
    fn agent_file(&mut self, found: &Found) -> Result<Option<Document>, StoreError> {
        let (Some((agent, path)), Some(contents)) = (found.of_agent(), &mut self.contents) else {
            return Ok(None);
        };
        let Some(agent) = self.read.get::<Agent>(agent)? else { return Ok(None) };
        let text = contents.of_agent(&agent, path);
        Ok(text.map(|(body, at)| Document {
            title: path.to_owned(),
            body,
            at,
            archived: agent.archived_at.is_some(),
            ..for_all()
        }))
    }

    fn deliverable(&mut self, one: Deliverable) -> Result<Document, StoreError> {
        let mut body = String::new();
        if let Some(version) = self.read.get::<Version>(one.version)? {
            body = match version.content {
                Content::Text(text) | Content::Page { text, .. } => {
                    kept(&format!("{}\n{text}", version.note))
                }
                Content::Url(address) => kept(&format!("{}\n{address}", version.note)),
                Content::File { name, blob, .. } => {
                    let text = self.text(blob)?.unwrap_or_default();
                    format!("{}\n{name}\n{text}", kept(&version.note))
                }
            };
        }
        Ok(Document {
            title: one.title,
            body,
            status: one.state.word().to_owned(),
            at: one.updated_at.as_second(),
            ..for_all()
        })
    }

    /// A message of a conversation that has an audience.
    fn message(&mut self, event: SessionEvent) -> Result<Option<Document>, StoreError> {
        let Some(text) = text_of(&event.kind) else { return Ok(None) };
        let session = match self.sessions.get(&event.session) {
            Some(known) => known.clone(),
            None => {
                let session = self.read.get::<Session>(event.session)?;
                self.sessions.insert(event.session, session.clone());
                session
            }
        };
        let Some(session) = session else { return Ok(None) };
        let Some(audience) = audience(&session) else { return Ok(None) };
        Ok(Some(Document {
            body: kept(&text),
            at: event.at.as_second(),
            seen_by: vec![audience],
            group: session.id.to_string(),
            ..Document::default()
        }))
    }
}

/// Audience of a conversation's messages. `None` for sub-agents, and for conversations without owner and task.
#[must_use]
pub fn audience(session: &Session) -> Option<String> {
    if children::is_key(&session.key) {
        return None;
    }
    match (session.owner, session.task) {
        (Some(owner), _) if session.is_private() => Some(alone(owner)),
        (None, None) => None,
        _ => Some(EVERYBODY.to_owned()),
    }
}

/// Text of an event, except HQ's own task card.
#[must_use]
pub fn text_of(kind: &EventKind) -> Option<String> {
    if matches!(kind, EventKind::Input { input: None, .. }) {
        return None;
    }
    search::words(kind).map(|(_, text)| text)
}

/// Further records to index when a row changed: tasks contain their labels' names.
pub fn beside(read: &dyn Read, table: u16, key: &[u8]) -> Result<Vec<Found>, StoreError> {
    let task = |id: TaskId| Found { kind: Kind::Task, key: KeyBuf::of(&id).into_bytes() };
    if table == TASK_LABELS.number {
        let pair = decode::<(TaskId, LabelId)>(key);
        return Ok(pair.map(|(id, _)| task(id)).into_iter().collect());
    }
    let whole = cards::all()
        .filter_map(|noun| noun.finds)
        .find(|finds| finds.parts.is_some_and(|parts| parts.tables.contains(&table)));
    if let Some(finds) = whole {
        return Ok(vec![Found { kind: Kind::Entity(finds.number), key: key.to_vec() }]);
    }
    let label = decode::<LabelId>(key).filter(|_| table == LABELS.number);
    let Some(label) = label else { return Ok(Vec::new()) };
    let range = Range::prefix(KeyBuf::of(&label));
    let all = read.scan::<TaskLabel>(BY_LABEL, &range)?;
    Ok(all.into_iter().map(|row| task(row.task)).collect())
}

/// Further records to index when labels changed, because records contain their labels' names. A new label is only on
/// records of the same entry, except when an undo restores it.
pub fn labelled(read: &dyn Read, entry: &store::Entry) -> Result<Vec<Found>, StoreError> {
    let is_undo = matches!(entry.cause, Cause::Undo(_));
    let changed = entry.changes.iter().filter(|change| change.table == LABELS.number);
    let changed: Vec<_> = changed.filter(|one| is_undo || one.op != Op::Insert).collect();
    let ids = changed.iter().filter_map(|change| decode::<LabelId>(&change.key));
    let ids: Vec<_> = ids.map(|id| id.uuid()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // A deleted label may have been merged into another. Nothing records any more which records had it.
    let others = |table: u16| table != LABELS.number && table != TASK_LABELS.number;
    let is_gone = changed.iter().any(|change| change.op == Op::Delete)
        && entry.changes.iter().any(|change| others(change.table));
    let which = (!is_gone).then_some(ids.as_slice());
    let mut found = Vec::new();
    for noun in cards::all() {
        let (Some(labelled), Some(finds)) = (noun.labelled, noun.finds) else { continue };
        let kind = Kind::Entity(finds.number);
        let keys = (labelled.having)(read, which)?;
        found.extend(keys.into_iter().map(|key| Found { kind, key }));
    }
    Ok(found)
}

fn agent(agent: Agent) -> Document {
    Document {
        title: agent.name,
        subtitle: agent.slug,
        body: kept(&agent.description),
        at: agent.updated_at.as_second(),
        archived: agent.archived_at.is_some(),
        ..for_all()
    }
}

/// Former members are not found.
fn person(member: Member) -> Option<Document> {
    member.left_at.is_none().then(|| Document {
        title: member.name,
        subtitle: member.handle,
        at: member.created_at.as_second(),
        ..for_all()
    })
}

/// A template is found by its description and its items.
fn template(one: &Template) -> Document {
    let mut words = vec![one.description.as_str()];
    words
        .extend(one.items.iter().flat_map(|item| [item.title.as_str(), item.description.as_str()]));
    Document {
        title: one.name.clone(),
        body: kept(&words.join("\n")),
        tags: one.items.iter().flat_map(|item| item.labels.clone()).collect::<Vec<_>>().join(" "),
        at: one.updated_at.as_second(),
        ..for_all()
    }
}

/// A link to an external URL or with a label of its own. Other links are found by their target.
fn link(one: Link) -> Option<Document> {
    let address = match one.target {
        Target::Url(address) => address,
        _ if one.label.is_empty() => return None,
        _ => String::new(),
    };
    Some(Document {
        title: one.label,
        body: kept(&address),
        at: one.created_at.as_second(),
        ..for_all()
    })
}

/// Note and remarks of a review.
fn review(one: &Review) -> Document {
    let mut words = vec![one.note.as_str()];
    words.extend(
        one.remarks.iter().flat_map(|remark| [remark.text.as_str(), remark.quote.as_str()]),
    );
    Document {
        body: kept(&words.join("\n")),
        status: one.verdict.word().to_owned(),
        at: one.created_at.as_second(),
        ..for_all()
    }
}

/// Readers of a comment or file. Agents do not find those of records that may be limited to some agents.
fn readers_of(on: Place) -> &'static str {
    let noun = on.row().and_then(|row| cards::of_table(row.table));
    if noun.is_some_and(|noun| noun.agents.is_some()) { PEOPLE } else { EVERYBODY }
}

fn for_all() -> Document {
    Document { seen_by: vec![EVERYBODY.to_owned()], ..Document::default() }
}

fn kept(text: &str) -> String {
    cut(text, MOST).to_owned()
}
