//! Headings of groups and columns: label, appearance, and presets for a new task there.

use std::collections::HashMap;

use features::streams::model::Stream;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{Bucket, Cell, GroupBy, Nearness};
use features::tasks::queries::standing;
use features::tasks::queries::view_context::ViewContext;
use kernel::filter::{Query, Term};
use kernel::{Assignee, Priority, StreamId, TaskStatus};
use store::{Range, Read, ReadExt as _};
use web::parts::Face;

/// The heading of a group.
#[derive(Clone, Default)]
pub struct Head {
    /// The word in addresses and forms.
    pub word: String,
    pub label: String,
    /// Icon; may be empty.
    pub glyph: &'static str,
    /// Status word; may be empty.
    pub state: &'static str,
    /// Priority word; may be empty.
    pub prio: &'static str,
    /// Colour of a stream; may be empty.
    pub colour: String,
    /// The assignee of the group.
    pub face: Option<Face>,
    /// Whether the column belongs to an assignee without cards.
    pub idle: bool,
    /// Sort key.
    pub order: (usize, String),
}

/// Builds headings.
pub struct Heads<'a> {
    scene: &'a ViewContext,
    streams: HashMap<StreamId, Stream>,
}

impl<'a> Heads<'a> {
    /// Reads the streams.
    pub fn new(scene: &'a ViewContext, read: &dyn Read) -> Result<Self, TaskError> {
        let streams: Vec<Stream> = read.list(&Range::all())?;
        let streams = streams.into_iter().map(|stream| (stream.id, stream)).collect();
        Ok(Self { scene, streams })
    }

    #[must_use]
    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// The streams that are not archived, in manual order.
    #[must_use]
    pub fn streams(&self) -> Vec<&Stream> {
        let mut all: Vec<&Stream> =
            self.streams.values().filter(|stream| stream.archived_at.is_none()).collect();
        all.sort_by(|a, b| a.rank.cmp(&b.rank));
        all
    }

    /// All assignees that this person can choose.
    #[must_use]
    pub fn takers(&self) -> Vec<Assignee> {
        if self.scene.may_write { self.scene.people.takers() } else { Vec::new() }
    }

    /// The heading of a group.
    #[must_use]
    pub fn of(&self, bucket: Bucket) -> Head {
        match bucket {
            Bucket::All => {
                Head { label: "All tasks".to_owned(), glyph: "tasks", ..Head::default() }
            }
            Bucket::Status(_) | Bucket::InReview => {
                let (word, label) = bucket.standing().unwrap_or_default();
                let (state, glyph) = (word, word);
                let (word, label) = (word.to_owned(), label.to_owned());
                Head { word, label, glyph, state, ..Head::default() }
            }
            Bucket::Priority(priority) => Head {
                word: priority.word().to_owned(),
                label: priority.label().to_owned(),
                glyph: priority.word(),
                prio: priority.word(),
                ..Head::default()
            },
            Bucket::Who(None) => Head {
                word: "none".to_owned(),
                label: "Unassigned".to_owned(),
                face: Some(Face::nobody()),
                order: (2, String::new()),
                ..Head::default()
            },
            Bucket::Who(Some(who)) => {
                let name = self.scene.people.name(who);
                Head {
                    word: self.scene.people.handle(who),
                    order: (usize::from(who != self.scene.myself()), name.to_lowercase()),
                    label: name,
                    face: Some(self.scene.people.face(who)),
                    ..Head::default()
                }
            }
            Bucket::Stream(id) => match id.and_then(|id| self.streams.get(&id)) {
                Some(stream) => Head {
                    word: stream.name.clone(),
                    label: stream.name.clone(),
                    colour: web::ink::named(stream.colour),
                    order: (0, stream.rank.clone()),
                    ..Head::default()
                },
                None => Head {
                    word: "none".to_owned(),
                    label: "No stream".to_owned(),
                    glyph: "layers",
                    order: (1, String::new()),
                    ..Head::default()
                },
            },
            Bucket::Due(nearness) => {
                let (word, label) = nearness.words();
                let (word, label) = (word.to_owned(), label.to_owned());
                Head { word, label, glyph: "calendar", ..Head::default() }
            }
        }
    }
}

/// Query terms that select the tasks of a group.
fn terms(by: GroupBy, word: &str) -> Vec<Term> {
    let due = |days: &str| Term::new("due", days);
    let overdue = Term::new("is", "overdue");
    match by {
        GroupBy::None => Vec::new(),
        GroupBy::Due => match word {
            "overdue" => vec![overdue],
            "earlier" => vec![due("<today"), Term { not: true, ..overdue }],
            // A task due today may already be overdue.
            "today" => vec![due("today"), Term { not: true, ..overdue }],
            "week" => vec![due("1d..6d")],
            "later" => vec![due(">6d")],
            word => vec![due(word)],
        },
        by => vec![Term::new(by.word(), word)],
    }
}

/// Restricts a query to one group.
#[must_use]
pub fn narrowed(query: &Query, by: GroupBy, word: &str) -> Query {
    let mut query = query.clone();
    query.terms.extend(terms(by, word));
    query
}

/// Form field and value of a new task in a group.
#[must_use]
pub fn preset(by: GroupBy, word: &str) -> Option<(&'static str, String)> {
    let word = word.to_owned();
    Some(match by {
        // A task enters review only through a deliverable.
        GroupBy::Status if word == standing::review().0 => return None,
        GroupBy::Status => ("status", word),
        GroupBy::Priority => ("priority", word),
        GroupBy::Assignee => ("assignee", word),
        GroupBy::Stream if word != "none" => ("stream", word),
        GroupBy::Due if word == Nearness::Today.words().0 => ("due", word),
        GroupBy::Stream | GroupBy::Due | GroupBy::None => return None,
    })
}

/// The columns that a board shows even if they are empty. In review is included, in its place, only if it has tasks.
#[must_use]
pub fn standing(by: GroupBy, cells: &[Cell], heads: &Heads<'_>) -> Vec<Bucket> {
    match by {
        GroupBy::Status => {
            let shown = [TaskStatus::Todo, TaskStatus::InProgress];
            let rest = [TaskStatus::Blocked, TaskStatus::Done];
            let review = cells.iter().map(|cell| cell.column).find(|one| *one == Bucket::InReview);
            let shown = shown.map(Bucket::Status).into_iter().chain(review);
            shown.chain(rest.map(Bucket::Status)).collect()
        }
        GroupBy::Priority => Priority::ALL.iter().rev().map(|one| Bucket::Priority(*one)).collect(),
        GroupBy::Stream => {
            let all = heads.streams().into_iter().map(|stream| Bucket::Stream(Some(stream.id)));
            all.chain([Bucket::Stream(None)]).collect()
        }
        GroupBy::Assignee => {
            let takers = heads.takers().into_iter().map(|who| Bucket::Who(Some(who)));
            takers.chain([Bucket::Who(None)]).collect()
        }
        GroupBy::None | GroupBy::Due => Vec::new(),
    }
}
