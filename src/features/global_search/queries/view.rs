//! Search hits for display and for the API: the current record, with matches marked.

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::comments::model::Comment;
use crate::deliverables::model::{Deliverable, Review, Version};
use crate::files::model::TaskFile;
use crate::links::model::Link;
use crate::links::queries as links;
use crate::places::Spot;
use crate::routines::model::Routine;
use crate::runs::model::{EventKind, Run, Session, SessionEvent};
use crate::runs::queries::{self as runs, sessions};
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::model::series::Series;
use crate::tasks::model::template::Template;
use crate::tasks::queries as tasks;
use crate::workspace::model::Member;
use crate::workspace::queries::modules::Off;
use entity::{Piece, text_of};
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::text::cut;
use kernel::{TaskId, TypedId};
use search::{Document, Wanted};
use store::{Blobs, Read, ReadExt, Record, StoreError};
use web::format;
use web::html::{SafeHtml, escape};
use web::md;
use web::parts::Face;
use web::session::Person;

use super::super::model::{Found, Kind};
use super::places;

/// Length of a snippet in characters.
const SNIPPET: usize = 180;
/// Number of snippet characters before the first match.
const BEFORE: usize = 50;
/// Number of characters of a text to search for a match.
const LOOKED: usize = 20_000;
/// Number of bytes of a text to parse as Markdown.
const READ: usize = 64 * 1024;
/// Number of bytes of a text to tokenise at once.
const PIECE: usize = 16 * 1024;
/// Number of events that a conversation page shows after its anchor.
const BEHIND: u32 = 120;

/// A search hit.
#[derive(Clone, Debug)]
pub struct Hit {
    pub kind: Kind,
    /// API id.
    pub id: String,
    pub title: String,
    /// Title with matches marked.
    pub marked: SafeHtml,
    /// Short description and state.
    pub meta: String,
    /// Excerpt around the first match, marked, or empty.
    pub snippet: SafeHtml,
    /// Path below the workspace.
    pub path: String,
    /// Last change, in seconds since 1970.
    pub at: i64,
    pub archived: bool,
    /// State word for the icon, or empty.
    pub state: &'static str,
    /// Face to show instead of an icon.
    pub face: Option<Face>,
    found: Found,
    body: String,
    /// The passage to show.
    piece: Option<Piece>,
}

impl Hit {
    #[must_use]
    pub fn of(found: &Found, document: Document) -> Self {
        Self {
            kind: found.kind,
            id: String::new(),
            title: document.title,
            marked: SafeHtml::default(),
            meta: String::new(),
            snippet: SafeHtml::default(),
            path: String::new(),
            at: document.at,
            archived: document.archived,
            state: "",
            face: None,
            found: found.clone(),
            body: document.body,
            piece: None,
        }
    }

    /// Hit for a page of HQ.
    #[must_use]
    pub fn page(place: &places::Place, wanted: Option<&Wanted>) -> Self {
        let found = Found { kind: Kind::Page, key: Vec::new() };
        let document = Document { title: place.title.to_owned(), ..Document::default() };
        Self {
            id: place.path.to_owned(),
            marked: marked(place.title, wanted),
            meta: place.part.to_owned(),
            path: place.path.to_owned(),
            ..Self::of(&found, document)
        }
    }

    /// Finds the passage that matches, if the record has passages. Prefers the one that the index returned, if it still
    /// matches.
    pub fn find_piece(
        &mut self,
        read: &dyn Read,
        blobs: &Blobs,
        (best, wanted): (Option<u32>, &Wanted),
    ) -> Result<(), StoreError> {
        let card = self.found.kind.card();
        let Some(parts) = card.and_then(|(_, finds)| finds.parts) else { return Ok(()) };
        if let Some(row) =
            read.raw_get(self.found.kind.table().unwrap_or_default(), &self.found.key)?
        {
            self.piece = (parts.piece)(read, blobs, &row, (best, wanted))?;
        }
        Ok(())
    }

    #[must_use]
    pub fn of_record(&self) -> &Found {
        &self.found
    }

    /// Icon name.
    #[must_use]
    pub fn glyph(&self) -> &'static str {
        if self.state.is_empty() { self.kind.glyph() } else { self.state }
    }
}

/// Text with matches marked.
#[must_use]
pub fn marked(text: &str, wanted: Option<&Wanted>) -> SafeHtml {
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for mark in wanted.map(|wanted| wanted.marks(text)).unwrap_or_default() {
        out.push_str(&escape(&text[at..mark.start]));
        out.push_str("<mark>");
        out.push_str(&escape(&text[mark.clone()]));
        out.push_str("</mark>");
        at = mark.end;
    }
    out.push_str(&escape(&text[at..]));
    SafeHtml::vouched(out)
}

/// Excerpt of a Markdown text around the first match. Empty if there is none.
fn snippet(text: &str, wanted: Option<&Wanted>) -> SafeHtml {
    around(&md::excerpt(text, LOOKED), wanted)
}

/// Excerpt of a plain text around the first match. Empty if there is none.
fn around(text: &str, wanted: Option<&Wanted>) -> SafeHtml {
    let Some(first) = wanted.and_then(|wanted| first_mark(text, wanted)) else {
        return SafeHtml::default();
    };
    let from = text[..first].char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    let end = text[from..].char_indices().nth(SNIPPET).map_or(text.len(), |(at, _)| from + at);
    let (before, after) =
        (if 0 < from { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    let words = text[from..end].split_whitespace().collect::<Vec<_>>().join(" ");
    marked(&format!("{before}{words}{after}"), wanted)
}

/// Byte offset of the first match. Tokenises a long text in parts, only as far as needed.
fn first_mark(text: &str, wanted: &Wanted) -> Option<usize> {
    let mut from = 0;
    while from < text.len() {
        let mut piece = cut(&text[from..], PIECE);
        if from + piece.len() < text.len() {
            // End the part between two words, if possible.
            let end = piece.rfind(char::is_whitespace).filter(|end| 0 < *end);
            piece = &piece[..end.unwrap_or(piece.len())];
        }
        if let Some(mark) = wanted.marks(piece).into_iter().next() {
            return Some(from + mark.start);
        }
        from += piece.len();
    }
    None
}

/// Loads title, path and description of a hit.
pub fn fill(read: &dyn Read, hit: &mut Hit, wanted: Option<&Wanted>) -> Result<(), StoreError> {
    match hit.kind {
        Kind::Task => {
            if let Some(task) = record::<Task>(read, &hit.found)? {
                of_task(read, hit, &task)?;
            }
        }
        Kind::Comment => {
            if let Some(comment) = record::<Comment>(read, &hit.found)? {
                hit.id = comment.id.to_string();
                if let Some(spot) = Spot::read(read, comment.on)? {
                    hit.path = format!("{}#c-{}", spot.path, comment.id);
                    let (title, what) = spot.headed();
                    (hit.title, hit.meta) = (title, format!("Comment on {what}"));
                }
            }
        }
        Kind::Deliverable => {
            if let Some(one) = record::<Deliverable>(read, &hit.found)? {
                let (name, _) = task_of(read, one.task)?;
                hit.id = one.id.to_string();
                hit.path = format!("tasks/{name}#piece-{}", one.id.short());
                hit.meta = format!("Delivered for {name} · {}", one.state.label());
            }
        }
        Kind::File => {
            if let Some(file) = record::<TaskFile>(read, &hit.found)? {
                let name = Spot::read(read, file.on)?.map(|spot| spot.name).unwrap_or_default();
                (hit.id, hit.path) = (file.id.to_string(), format!("files/{}", file.id));
                hit.meta = format!("File on {name} · {}", format::size(file.size));
            }
        }
        Kind::Agent => {
            if let Some(agent) = record::<Agent>(read, &hit.found)? {
                of_agent(read, hit, &agent)?;
            }
        }
        Kind::Person => {
            if let Some(member) = record::<Member>(read, &hit.found)? {
                of_member(hit, &member);
            }
        }
        Kind::Message => {
            if let Some(event) = record::<SessionEvent>(read, &hit.found)? {
                of_message(read, hit, &event)?;
            }
        }
        Kind::Stream => {
            if let Some(stream) = record::<Stream>(read, &hit.found)? {
                (hit.id, hit.path) = (stream.id.to_string(), format!("streams/{}", stream.id));
                hit.meta = "Stream".to_owned();
            }
        }
        Kind::Routine => {
            if let Some(routine) = record::<Routine>(read, &hit.found)? {
                (hit.id, hit.path) = (routine.id.to_string(), format!("routines/{}", routine.id));
                let agent = read.get::<Agent>(routine.agent)?.map(|agent| agent.name);
                hit.meta = format!("Routine of {}", agent.unwrap_or_default());
            }
        }
        Kind::Series => {
            if let Some(series) = record::<Series>(read, &hit.found)? {
                hit.id = series.id.to_string();
                hit.path = format!("tasks/recurring/{}", series.id);
                hit.meta = "Recurring task".to_owned();
            }
        }
        Kind::Template => {
            if let Some(one) = record::<Template>(read, &hit.found)? {
                of_template(hit, &one);
            }
        }
        Kind::Link => {
            if let Some(one) = record::<Link>(read, &hit.found)? {
                of_link(read, hit, &one)?;
            }
        }
        Kind::Review => {
            if let Some(one) = record::<Review>(read, &hit.found)? {
                of_review(read, hit, &one)?;
            }
        }
        Kind::AgentFile => of_agent_file(read, hit)?,
        Kind::Entity(_) => by_card(read, hit)?,
        Kind::Page => {}
    }
    quote(hit, wanted);
    Ok(())
}

/// A record of a noun with a descriptor.
fn by_card(read: &dyn Read, hit: &mut Hit) -> Result<(), StoreError> {
    let Some((noun, finds)) = hit.found.kind.card() else { return Ok(()) };
    if let Some(fields) = noun.get(read, &hit.found.key)? {
        hit.id = text_of(&fields, "id").to_owned();
        (hit.path, hit.meta) = (finds.hit)(&fields);
    }
    if let Some(piece) = hit.piece.take() {
        hit.path.push_str(&piece.place);
        if !piece.section.is_empty() {
            hit.meta = format!("{} · {}", hit.meta, piece.section);
        }
        hit.body = piece.text;
    }
    Ok(())
}

/// Marks matches in the title and creates the snippet.
fn quote(hit: &mut Hit, wanted: Option<&Wanted>) {
    hit.marked = marked(&hit.title, wanted);
    let is_markdown = hit.kind != Kind::File || hit.title.to_lowercase().ends_with(".md");
    if is_markdown {
        hit.snippet = snippet(cut(&hit.body, READ), wanted);
    }
    if hit.snippet.is_empty() {
        hit.snippet = around(&hit.body, wanted);
    }
}

fn of_template(hit: &mut Hit, one: &Template) {
    hit.id = one.id.to_string();
    hit.path = format!("settings/task-templates/{}", one.id);
    let tasks = format::count(one.items.len() as u64, "task", "tasks");
    hit.meta = format!("Template · {tasks}");
}

fn of_member(hit: &mut Hit, member: &Member) {
    hit.id = member.account.to_string();
    hit.path = "settings/members".to_owned();
    hit.meta = format!("@{} · {}", member.handle, member.role.label());
    hit.face = Some(Face::person(&member.name));
}

fn of_link(read: &dyn Read, hit: &mut Hit, one: &Link) -> Result<(), StoreError> {
    let (name, _) = task_of(read, one.task)?;
    if hit.title.is_empty() {
        let to = links::name(read, &one.target)?;
        hit.title = to.map(|(to, _)| to).unwrap_or_default();
    }
    (hit.id, hit.path) = (one.id.to_string(), format!("tasks/{name}#task-links"));
    hit.meta = format!("Link of {name}");
    Ok(())
}

fn record<R: Record>(read: &dyn Read, found: &Found) -> Result<Option<R>, StoreError> {
    match decode::<R::Id>(&found.key) {
        Some(id) => read.get::<R>(id),
        None => Ok(None),
    }
}

/// Display name and title of a task.
fn task_of(read: &dyn Read, id: TaskId) -> Result<(String, String), StoreError> {
    Ok(match read.get::<Task>(id)? {
        Some(task) => (tasks::name(read, task.number)?, task.title),
        None => (id.to_string(), String::new()),
    })
}

fn of_task(read: &dyn Read, hit: &mut Hit, task: &Task) -> Result<(), StoreError> {
    let name = tasks::name(read, task.number)?;
    (hit.id, hit.path) = (task.id.to_string(), format!("tasks/{name}"));
    hit.meta = format!("{name} · {}", task.status.label());
    hit.state = task.status.word();
    Ok(())
}

/// A review links to its deliverable.
fn of_review(read: &dyn Read, hit: &mut Hit, review: &Review) -> Result<(), StoreError> {
    let (name, _) = task_of(read, review.task)?;
    let piece = match read.get::<Version>(review.version)? {
        Some(version) => read.get::<Deliverable>(version.deliverable)?,
        None => None,
    };
    (hit.id, hit.path) = (review.version.to_string(), format!("tasks/{name}"));
    if let Some(piece) = piece {
        hit.path = format!("tasks/{name}#piece-{}", piece.id.short());
        hit.title = piece.title;
    }
    hit.meta = format!("Review on {name} · {}", review.verdict.label());
    Ok(())
}

fn of_agent_file(read: &dyn Read, hit: &mut Hit) -> Result<(), StoreError> {
    let Some((agent, path)) = hit.found.of_agent() else { return Ok(()) };
    let id = format!("{agent}/{path}");
    if let Some(agent) = read.get::<Agent>(agent)? {
        hit.path = format!("agents/{}/files?path={}", agent.slug, format::query_value(path));
        hit.meta = format!("File of {}", agents::called(read, &agent)?);
    }
    hit.id = id;
    Ok(())
}

fn of_agent(read: &dyn Read, hit: &mut Hit, agent: &Agent) -> Result<(), StoreError> {
    hit.title = agents::called(read, agent)?;
    (hit.id, hit.path) = (agent.id.to_string(), format!("agents/{}", agent.slug));
    hit.meta = match agent.description.trim() {
        "" => "Agent".to_owned(),
        about => format!("Agent · {}", md::excerpt(about, 60)),
    };
    hit.face = Some(Face::agent(&hit.title, &agent.emoji, &agent.slug));
    Ok(())
}

fn of_message(read: &dyn Read, hit: &mut Hit, event: &SessionEvent) -> Result<(), StoreError> {
    let Some(session) = read.get::<Session>(event.session)? else { return Ok(()) };
    let Some(agent) = read.get::<Agent>(session.agent)? else { return Ok(()) };
    let run = match event.run {
        Some(run) if matches!(event.kind, EventKind::Assistant { .. }) => read.get::<Run>(run)?,
        _ => None,
    };
    let anchor = match run {
        Some(run) => format!("run-{}", run.name()),
        None => format!("e-{}", event.n),
    };
    let end = event.n.saturating_add(BEHIND);
    let before = if end < session.events { format!("&before={end}") } else { String::new() };
    hit.id = format!("{}/{}", event.session, event.n);
    hit.path = format!("agents/{}/chat?session={}{before}#{anchor}", agent.slug, session.id);
    hit.title = sessions::title(&read, &session)?;
    let name = agents::called(read, &agent)?;
    hit.meta = match session.task {
        Some(_) => format!("Said by or to {name} at work"),
        None => format!("Chat with {name}"),
    };
    hit.face = Some(Face::agent(&name, &agent.emoji, &agent.slug));
    Ok(())
}

/// Hit for a path in the workspace: a task, an agent, a run or a page of HQ. `None` for other paths.
pub fn of_path(read: &dyn Read, who: &Person, path: &str) -> Result<Option<Hit>, StoreError> {
    let path = path.trim_matches('/');
    let blank = |kind: Kind, key: Vec<u8>, title: &str| {
        let document = Document { title: title.to_owned(), ..Document::default() };
        Hit::of(&Found { kind, key }, document)
    };
    let mut hit = match path.split_once('/') {
        Some(("tasks", name)) if name != "recurring" && !name.contains('/') => {
            match tasks::resolve(read, name) {
                Ok(task) => blank(Kind::Task, KeyBuf::of(&task.id).into_bytes(), &task.title),
                Err(_) => return Ok(None), // deleted, which is no error here
            }
        }
        Some(("agents", rest)) => {
            let slug = rest.split('/').next().unwrap_or_default();
            let Some(agent) = agents::by_slug(&read, slug)? else { return Ok(None) };
            let mut hit = blank(Kind::Agent, KeyBuf::of(&agent.id).into_bytes(), &agent.name);
            fill(read, &mut hit, None)?;
            if rest.ends_with("/chat") {
                hit.path = format!("agents/{slug}/chat");
                hit.meta = "Chat".to_owned();
            }
            return Ok(Some(hit));
        }
        _ => {
            let off = Off::of(read)?;
            let place = places::pages(who, &off).into_iter().find(|place| place.path == path);
            return Ok(place.map(|place| Hit::page(place, None)));
        }
    };
    fill(read, &mut hit, None)?;
    Ok(Some(hit))
}

/// Hit for a display name: `MC-142`, `142`, `R-7`.
pub fn of_name(read: &dyn Read, name: &str) -> Result<Option<Hit>, StoreError> {
    let name = name.trim();
    if !name.ends_with(|last: char| last.is_ascii_digit()) {
        return Ok(None);
    }
    if let Ok(task) = tasks::resolve(read, name) {
        let document = Document { title: task.title.clone(), ..Document::default() };
        let found = Found { kind: Kind::Task, key: KeyBuf::of(&task.id).into_bytes() };
        let mut hit = Hit::of(&found, document);
        fill(read, &mut hit, None)?;
        return Ok(Some(hit));
    }
    let is_run = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("r-"));
    match runs::by_name(&read, name)? {
        // The title of a private run is shown only on its own page.
        Some(run) if is_run => {
            let place = places::Place::run();
            let path = format!("runs/{}", run.name());
            let title = format!("Run {}", run.name());
            let mut hit = Hit::page(&place, None);
            (hit.marked, hit.title, hit.path) = (marked(&title, None), title, path);
            Ok(Some(hit))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::{around, marked, snippet};
    use proptest::prelude::*;
    use search::Wanted;

    proptest! {
        #[test]
        fn any_text_is_shown_around_what_was_looked_for(
            text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\n|\t|\u{c}|[.!?。#<>&;@`*_|/-]){0,900}",
        ) {
            let wanted = Wanted::of("e").unwrap();
            around(&text, Some(&wanted));
            snippet(&text, Some(&wanted));
            drop(marked(&text, Some(&wanted)));
            drop(crate::comments::mentions::mentions(&text));
        }
    }

    #[test]
    fn what_is_marked_cannot_leave_its_text() {
        let wanted = Wanted::of("bold").unwrap();
        let html = marked("<b>bold</b> & \"more\"", Some(&wanted));
        assert_eq!(html.as_str(), "&lt;b&gt;<mark>bold</mark>&lt;/b&gt; &amp; &quot;more&quot;");
    }

    #[test]
    fn a_snippet_stands_around_the_first_word_that_was_found() {
        let wanted = Wanted::of("needle").unwrap();
        let text = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let found = snippet(&text, Some(&wanted));
        assert!(found.as_str().starts_with('…') && found.as_str().ends_with('…'));
        assert!(found.as_str().contains("<mark>needle</mark>"));
        assert!(found.as_str().chars().count() < 220);
        assert!(snippet("nothing of it", Some(&wanted)).is_empty());
    }

    #[test]
    fn the_first_word_is_found_far_behind_in_a_plain_text() {
        let wanted = Wanted::of("needle").unwrap();
        let text = format!("{}\n\tneedle,  *{}*", "hay,".repeat(20_000), "straw ".repeat(100));
        let found = around(&text, Some(&wanted));
        assert!(found.as_str().contains("hay, <mark>needle</mark>, *straw"), "{found:?}");
        assert!(found.as_str().starts_with('…') && found.as_str().ends_with('…'));
    }
}
