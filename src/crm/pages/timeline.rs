//! The timeline on the page of a record: interactions, changes, tasks, runs of agents, comments.

use std::collections::BTreeSet;

use jiff::civil::Date;

use entity::{Cells, Column, FieldValue, Kind, value_in};
use features::activity::queries as activity;
use features::comments::queries::show::CommentView;
use features::links::model::{Link, Target as LinkTarget};
use features::links::queries as links;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::tasks::model::Task;
use features::tasks::queries::due;
use features::tasks::queries::facts::{FactView, bold, run_fact};
use features::tasks::queries::people::assignee_of;
use features::tasks::queries::standing;
use features::tasks::queries::view_context::ViewContext;
use kernel::display;
use kernel::text::{capitalized, ellipsis, one_line};
use kernel::{Actor, Cause, RunId, RunState, TaskStatus, Timestamp, TypedId as _};
use store::history::{self, Image, Version};
use store::{Op, Read, ReadExt as _};
use uuid::Uuid;
use web::format;
use web::html::{SafeHtml, escape};
use web::live::Live;
use web::parts::{Face, Tab};
use web::time::RelTime;

use super::{Look, draw};
use crate::columns::STAGE;
use crate::error::CrmError;
use crate::model::{
    CONTACTS, Contact, ContactId, ORGANIZATIONS, OrganizationId, Row, RowKind, Talk, Way,
};
use crate::queries;

/// Number of interactions, and of versions of the record, per page.
const TALKS: usize = 100;
const VERSIONS: usize = 100;
/// Number of runs of a task per page.
const RUNS: usize = 20;
/// Maximum number of pages.
const MOST_LOOKS: usize = 50;
/// Number of fields of a change that are shown with values.
const SHOWN: usize = 3;
/// Maximum characters of a value.
const MAX_VALUE: usize = 60;

/// Which parts of a timeline to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tell {
    #[default]
    All,
    /// Interactions and notes.
    Talks,
    Changes,
    /// Tasks about the record, and their runs.
    Tasks,
    Comments,
}

impl Tell {
    /// All variants with address word and label.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::All, "all", "All"),
        (Self::Talks, "talks", "Interactions"),
        (Self::Changes, "changes", "Changes"),
        (Self::Tasks, "tasks", "Tasks"),
        (Self::Comments, "comments", "Comments"),
    ];

    /// The variant of a word; `All` for an unknown word.
    pub fn of(word: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == word);
        found.map_or(Self::All, |(one, ..)| *one)
    }

    fn has(self, part: Self) -> bool {
        self == Self::All || self == part
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("", |(_, word, _)| word)
    }
}

pub(super) struct TalkLine {
    pub id: String,
    pub glyph: &'static str,
    pub kind: &'static str,
    pub way: &'static str,
    pub subject: String,
    pub body: SafeHtml,
    pub has_body: bool,
    pub at: RelTime,
    pub by: Face,
    pub next: String,
    pub due: String,
    pub tone: &'static str,
    pub done: bool,
    pub with: Option<(String, String)>,
}

/// An entry of the timeline.
pub(super) enum Entry {
    /// Heading of a day.
    Day(String),
    /// A single-line fact.
    Fact(FactView),
    Talk(Box<TalkLine>),
    /// A comment with its replies.
    Comment(Box<CommentView>),
}

/// The timeline of a record, newest first.
#[derive(Default)]
pub(super) struct Timeline {
    pub live: Live,
    pub tabs: Vec<Tab>,
    pub entries: Vec<Entry>,
    /// Link to older entries; empty at the end.
    pub earlier: String,
    /// Text of an empty timeline.
    pub nothing: &'static str,
}

/// The requested part of a timeline: number of pages, kinds of entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimelineRequest {
    pub looks: usize,
    pub tell: Tell,
}

/// The collected entries, and the time since when they are complete: a part with older entries is complete back to its
/// oldest one.
#[derive(Default)]
struct Gathered {
    all: Vec<(Timestamp, Entry)>,
    since: Option<Timestamp>,
}

impl Gathered {
    fn ends(&mut self, at: Option<Timestamp>) {
        self.since = self.since.max(at);
    }

    fn fact(
        &mut self,
        scene: &ViewContext,
        (glyph, state, at): (&'static str, &'static str, Timestamp),
        words: String,
    ) {
        let (words, time) = (SafeHtml::vouched(words), scene.time(at));
        self.all.push((at, Entry::Fact(FactView { glyph, state, words, at: time })));
    }
}

/// Builds the timeline of a record.
pub(super) fn timeline(
    scene: &ViewContext,
    read: &dyn Read,
    (look, row, base): (&Look<'_>, &Row, &str),
    (wish, comments): (TimelineRequest, Vec<(Timestamp, CommentView)>),
) -> Result<Timeline, CrmError> {
    let (looks, tell) = (wish.looks.clamp(1, MOST_LOOKS), wish.tell);
    let mut found = Gathered::default();
    let about = links::to(read, &target(row))?;
    if tell.has(Tell::Talks) {
        let talks = talks(row.kind, read, row.id, TALKS * looks)?;
        if talks.len() == TALKS * looks {
            found.ends(talks.last().map(|talk| talk.occurred_at));
        }
        for talk in talks {
            let at = talk.occurred_at;
            let line = talk_line(row.kind, scene, read, look, talk)?;
            found.all.push((at, Entry::Talk(Box::new(line))));
        }
    }
    let mut worked = Vec::new();
    if tell.has(Tell::Changes) {
        let changes = changes(row.kind, scene, read, row.id, (VERSIONS * looks, &mut found))?;
        let written: BTreeSet<RunId> = changes.iter().filter_map(|one| one.actor.run()).collect();
        for id in written {
            worked.extend(read.get::<Run>(id)?);
        }
        worked = talk::seen(&read, worked, (scene.me, scene.role))?;
        for change in &changes {
            change.tell(row.kind, scene, look, (&worked, &mut found));
        }
    }
    if tell.has(Tell::Tasks) {
        tasks(scene, read, (&about, RUNS * looks), (&mut worked, &mut found))?;
    }
    worked.sort_by_key(|run| run.id);
    worked.dedup_by_key(|run| run.id);
    for run in worked.iter().filter(|run| run.state == RunState::Ended) {
        let at = run.ended_at.unwrap_or(run.created_at);
        found.all.push((at, Entry::Fact(run_fact(scene, read, run, &run.summary)?)));
    }
    if tell.has(Tell::Comments) {
        let entries = comments.into_iter().map(|(at, one)| (at, Entry::Comment(Box::new(one))));
        found.all.extend(entries);
    }
    let Gathered { mut all, since } = found;
    all.retain(|(at, _)| since.is_none_or(|since| since <= *at));
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let goes_on = since.is_some() && looks < MOST_LOOKS;
    let at = |looks: usize| format!("{base}?tell={}&back={looks}", tell.word());
    Ok(Timeline {
        live: live(row.kind, row.id, &format!("{}&part=talks", at(looks)), (looks, &about)),
        tabs: Tell::ALL
            .iter()
            .map(|(one, word, label)| Tab::new(*label, format!("{base}?tell={word}"), *one == tell))
            .collect(),
        entries: with_days(scene, all),
        earlier: if goes_on { at(looks + 1) } else { String::new() },
        nothing: match tell {
            Tell::All => "No activity yet.",
            Tell::Talks => "No interactions yet.",
            Tell::Changes => "No changes yet.",
            Tell::Tasks => "No tasks yet.",
            Tell::Comments => "No comments yet.",
        },
    })
}

/// A record as the target of task links.
pub(super) fn target(row: &Row) -> LinkTarget {
    LinkTarget::Row(row.kind.table.number, row.id.as_bytes().to_vec())
}

fn live(kind: &'static RowKind, id: Uuid, url: &str, (looks, about): (usize, &[Link])) -> Live {
    let live = Live::new(url).record(kind.table.name, id).table("interactions").table("task_links");
    let live = about.iter().fold(live, |live, link| live.record("tasks", link.task));
    // Older pages cost more, so their updates are debounced.
    if 1 < looks { live.debounced() } else { live }
}

/// Interactions with a contact or an organization, newest first.
pub(super) fn talks(
    kind: &'static RowKind,
    read: &dyn Read,
    id: Uuid,
    most: usize,
) -> Result<Vec<Talk>, CrmError> {
    Ok(match kind.table {
        table if table == CONTACTS => queries::talks_with(read, ContactId::from_uuid(id), most)?,
        table if table == ORGANIZATIONS => {
            queries::talks_of(read, OrganizationId::from_uuid(id), most)?
        }
        _ => Vec::new(),
    })
}

/// An interaction as shown on the page of a record; on that of an organization with the name of the contact.
pub(super) fn talk_line(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    look: &Look<'_>,
    talk: Talk,
) -> Result<TalkLine, CrmError> {
    let today = due::day(scene.today.now, &scene.today.zone);
    let with = match talk.contact.filter(|_| kind.table == ORGANIZATIONS) {
        Some(id) => read
            .get::<Contact>(id)?
            .map(|contact| (contact.name().to_owned(), scene.ws.url(&format!("contacts/{id}")))),
        None => None,
    };
    let due = match talk.next_on {
        Some(day) if day == today => "today".to_owned(),
        Some(day) if day < today => format!("since {}", display::day_of_year(day)),
        Some(day) => format!("on {}", display::day(day)),
        None => String::new(),
    };
    Ok(TalkLine {
        id: talk.id.to_string(),
        glyph: talk.kind.glyph(),
        kind: talk.kind.label(),
        way: match talk.way {
            Some(Way::Inbound) => "received",
            Some(Way::Outbound) => "sent",
            None => "",
        },
        has_body: !talk.body.is_empty(),
        body: scene.md(read, &talk.body),
        subject: talk.subject,
        at: scene.time(talk.occurred_at),
        by: look.known.people.actor(talk.by),
        next: talk.next_action,
        due,
        tone: talk.next_on.map_or("neutral", |day| draw::day_tone(day, today)),
        done: talk.next_done_at.is_some(),
        with,
    })
}

fn with_days(scene: &ViewContext, all: Vec<(Timestamp, Entry)>) -> Vec<Entry> {
    let today = due::day(scene.today.now, &scene.today.zone);
    let (mut last, mut out) = (None, Vec::with_capacity(all.len() + 4));
    for (at, entry) in all {
        let date = due::day(at, &scene.today.zone);
        if last != Some(date) {
            last = Some(date);
            out.push(Entry::Day(activity::day(date, today)));
        }
        out.push(entry);
    }
    out
}

/// Changes of a record by one author on one day, until another author intervened.
struct Change {
    at: Timestamp,
    day: Date,
    actor: Actor,
    cause: Cause,
    deed: Deed,
}

enum Deed {
    Made,
    Removed,
    Archived(bool),
    Cells(Vec<CellChange>),
}

/// A field with its old and new value.
#[derive(Clone)]
struct CellChange {
    key: String,
    from: Option<FieldValue>,
    to: Option<FieldValue>,
    /// Whether a person only confirmed the value.
    right: bool,
}

/// Changes of a record, newest first.
fn changes(
    kind: &'static RowKind,
    scene: &ViewContext,
    read: &dyn Read,
    id: Uuid,
    (most, found): (usize, &mut Gathered),
) -> Result<Vec<Change>, CrmError> {
    let root = kind.root(id);
    let page = history::of(read, scene.ws.store.schema(), &root, None, most)?.unwrap_or_default();
    if page.next.is_some() {
        found.ends(page.versions.last().map(|version| version.at));
    }
    let mut all: Vec<Change> = Vec::new();
    for version in &page.versions {
        let Version { at, actor, cause, .. } = *version;
        let day = due::day(at, &scene.today.zone);
        for deed in deeds(kind, version) {
            let change = Change { at, day, actor, cause, deed };
            let apart = match all.last_mut() {
                Some(last) => last.joined(change),
                None => Some(change),
            };
            all.extend(apart);
        }
    }
    all.retain_mut(|change| match &mut change.deed {
        Deed::Cells(cells) => {
            cells.retain(|cell| cell.right || cell.from != cell.to);
            !cells.is_empty()
        }
        _ => true,
    });
    Ok(all)
}

/// The changes in a version of a record; empty if the previous version is no longer stored.
fn deeds(kind: &'static RowKind, version: &Version) -> Vec<Deed> {
    let row = |image: &Image| image.bytes().and_then(|row| kind.read_row(row));
    match (version.op, row(&version.before), row(&version.after)) {
        (Op::Insert, ..) => vec![Deed::Made],
        (Op::Delete, ..) => vec![Deed::Removed],
        (Op::Update, Some(before), Some(after)) => {
            let archived = after.archived_at.is_some();
            let moved = archived != before.archived_at.is_some();
            let cells = cells(&before.cells, &after.cells);
            let cells = (!cells.is_empty()).then_some(Deed::Cells(cells));
            moved.then_some(Deed::Archived(archived)).into_iter().chain(cells).collect()
        }
        (Op::Update, ..) => Vec::new(),
    }
}

fn cells(before: &Cells, after: &Cells) -> Vec<CellChange> {
    let is_right =
        |cells: &Cells, key: &str| cells.get(key).is_some_and(|cell| cell.origin.right.is_some());
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |key: &String| {
        let (from, to) = (value_in(before, key), value_in(after, key));
        let right = from == to && !is_right(before, key) && is_right(after, key);
        let change = CellChange { key: key.clone(), from: from.cloned(), to: to.cloned(), right };
        (right || from != to).then_some(change)
    };
    keys.into_iter().filter_map(change).collect()
}

impl Change {
    /// Merges an older change by the same author; returns it if it must stay separate.
    fn joined(&mut self, older: Self) -> Option<Self> {
        let who = |change: &Self| (assignee_of(change.actor), change.actor.run(), change.day);
        let undoes = |change: &Self| matches!(change.cause, Cause::Undo(_));
        if who(self) != who(&older) || undoes(self) != undoes(&older) {
            return Some(older);
        }
        let (Deed::Cells(cells), Deed::Cells(before)) = (&mut self.deed, &older.deed) else {
            return Some(older);
        };
        for one in before {
            match cells.iter_mut().find(|cell| cell.key == one.key) {
                Some(cell) if !one.right => {
                    cell.from.clone_from(&one.from);
                    cell.right = false;
                }
                Some(_) => {}
                None => cells.push(one.clone()),
            }
        }
        None
    }

    fn tell(
        &self,
        kind: &'static RowKind,
        scene: &ViewContext,
        look: &Look<'_>,
        (runs, found): (&[Run], &mut Gathered),
    ) {
        let (by, one) = (bold(&scene.people.actor(self.actor).name), kind.entity().one);
        let (glyph, mut words) = match (&self.deed, self.cause) {
            (Deed::Made, Cause::Import(_)) => ("upload", format!("{by} imported this {one}")),
            (Deed::Made, Cause::Undo(_)) => ("undo", format!("{by} restored this {one}")),
            (Deed::Made, _) => ("plus", format!("{by} created this {one}")),
            (Deed::Removed, _) => ("trash", format!("{by} deleted this {one}")),
            (Deed::Archived(true), _) => ("archive", format!("{by} archived this {one}")),
            (Deed::Archived(false), _) => ("undo", format!("{by} restored this {one}")),
            (Deed::Cells(cells), Cause::Undo(_)) => {
                let names: Vec<String> =
                    cells.iter().map(|cell| bold(&label(look, &cell.key))).collect();
                ("undo", format!("{by} undid a change to {}", names.join(", ")))
            }
            (Deed::Cells(cells), _) => ("edit", format!("{by} {}", describe_cells(look, cells))),
        };
        let run = self.actor.run().and_then(|id| runs.iter().find(|run| run.id == id));
        if let Some(run) = run {
            let href = escape(&scene.run_href(run.number));
            words.push_str(&format!(" in <a class=\"link\" href=\"{href}\">{}</a>", run.name()));
        }
        found.fact(scene, (glyph, "", self.at), words);
    }
}

fn column<'l>(look: &'l Look<'_>, key: &str) -> Option<&'l Column> {
    look.columns.iter().find(|column| column.key == key)
}

/// The label of a field, also of a deleted one.
fn label(look: &Look<'_>, key: &str) -> String {
    column(look, key)
        .map_or_else(|| capitalized(&key.replace('_', " ")), |column| column.label.clone())
}

/// Describes changes of fields as markup.
fn describe_cells(look: &Look<'_>, cells: &[CellChange]) -> String {
    let mut each: Vec<String> =
        cells.iter().take(SHOWN).map(|cell| describe_cell(look, cell)).collect();
    if SHOWN < cells.len() {
        let more = (cells.len() - SHOWN) as u64;
        each.push(format!("changed {}", format::count(more, "more field", "more fields")));
    }
    match each.pop() {
        Some(last) if !each.is_empty() => format!("{} and {last}", each.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn describe_cell(look: &Look<'_>, cell: &CellChange) -> String {
    let (column, name) = (column(look, &cell.key), bold(&label(look, &cell.key)));
    let value = |value: &FieldValue| {
        let text = match column {
            Some(column) => column.shown(value, &look.known),
            None => value.text().unwrap_or_default().to_owned(),
        };
        escape(&ellipsis(&one_line(&text), MAX_VALUE))
    };
    let is_long = column.is_some_and(|column| column.kind == Kind::LongText);
    match (&cell.from, &cell.to) {
        _ if cell.right => format!("confirmed {name}"),
        (Some(from), Some(to)) if cell.key == STAGE => {
            format!("moved it from {} to <b>{}</b>", value(from), value(to))
        }
        (Some(_), None) => format!("cleared {name}"),
        _ if is_long => format!("changed {name}"),
        (Some(from), Some(to)) => {
            format!("changed {name} from <del>{}</del> to {}", value(from), value(to))
        }
        (None, Some(to)) => format!("set {name} to {}", value(to)),
        (None, None) => format!("changed {name}"),
    }
}

/// Tasks about a record as they were created, linked and done, and the runs that worked on them.
fn tasks(
    scene: &ViewContext,
    read: &dyn Read,
    (about, most): (&[Link], usize),
    (worked, found): (&mut Vec<Run>, &mut Gathered),
) -> Result<(), CrmError> {
    for link in about {
        let Some(task) = read.get::<Task>(link.task)? else { continue };
        let href = escape(&scene.href(&task));
        let name = format!("{} {}", scene.name(&task), task.title);
        let name = format!("<a class=\"link\" href=\"{href}\">{}</a>", escape(&name));
        let by = bold(&scene.people.actor(link.by).name);
        let verb = if task.created_at == link.created_at { "created" } else { "linked" };
        found.fact(scene, ("link", "", link.created_at), format!("{by} {verb} {name}"));
        if let (TaskStatus::Done, Some(at)) = (task.status, task.completed_at) {
            found.fact(scene, ("done", "done", at), format!("{name} is done"));
        }
        let runs = standing::newest_runs(read, task.id, most)?;
        if runs.len() == most {
            found.ends(runs.last().map(|run| run.ended_at.unwrap_or(run.created_at)));
        }
        worked.extend(talk::seen(&read, runs, (scene.me, scene.role))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tell;

    #[test]
    fn an_unknown_word_tells_everything() {
        assert_eq!((Tell::of("talks"), Tell::of("nonsense")), (Tell::Talks, Tell::All));
        assert!(Tell::of("").has(Tell::Changes) && !Tell::of("tasks").has(Tell::Changes));
    }
}
