//! The heads of groups and columns: what they are called, how they look, what a task made there gets.

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

/// The head of a group.
#[derive(Clone, Default)]
pub struct Head {
    /// What addresses and forms call it.
    pub word: String,
    /// What people read.
    pub label: String,
    /// Its icon, or empty.
    pub glyph: &'static str,
    /// A status word, or empty.
    pub state: &'static str,
    /// A priority word, or empty.
    pub prio: &'static str,
    /// The colour of a stream, or empty.
    pub colour: String,
    /// Whose tasks these are.
    pub face: Option<Face>,
    /// Whether it stands only for somebody who has no card.
    pub idle: bool,
    /// Its place among the others.
    pub order: (usize, String),
}

/// Names for groups.
pub struct Heads<'a> {
    scene: &'a ViewContext,
    streams: HashMap<StreamId, Stream>,
}

impl<'a> Heads<'a> {
    /// Reads what is needed.
    pub fn new(scene: &'a ViewContext, read: &dyn Read) -> Result<Self, TaskError> {
        let streams: Vec<Stream> = read.list(&Range::all())?;
        let streams = streams.into_iter().map(|stream| (stream.id, stream)).collect();
        Ok(Self { scene, streams })
    }

    #[must_use]
    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// The streams in which tasks are made, in the order that people make.
    #[must_use]
    pub fn streams(&self) -> Vec<&Stream> {
        let mut all: Vec<&Stream> =
            self.streams.values().filter(|stream| stream.archived_at.is_none()).collect();
        all.sort_by(|a, b| a.rank.cmp(&b.rank));
        all
    }

    /// Everybody to whom this person can give a task.
    #[must_use]
    pub fn takers(&self) -> Vec<Assignee> {
        if self.scene.may_write { self.scene.people.takers() } else { Vec::new() }
    }

    /// The head of a group.
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
                label: "Nobody".to_owned(),
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

/// The terms that ask for the tasks of a group.
fn terms(by: GroupBy, word: &str) -> Vec<Term> {
    let due = |days: &str| Term::new("due", days);
    let overdue = Term::new("is", "overdue");
    match by {
        GroupBy::None => Vec::new(),
        GroupBy::Due => match word {
            "overdue" => vec![overdue],
            "earlier" => vec![due("<today"), Term { not: true, ..overdue }],
            // What was due at a time of today may have passed.
            "today" => vec![due("today"), Term { not: true, ..overdue }],
            "week" => vec![due("1d..6d")],
            "later" => vec![due(">6d")],
            word => vec![due(word)],
        },
        by => vec![Term::new(by.word(), word)],
    }
}

/// A query that asks for the tasks of one group only.
#[must_use]
pub fn narrowed(query: &Query, by: GroupBy, word: &str) -> Query {
    let mut query = query.clone();
    query.terms.extend(terms(by, word));
    query
}

/// What a new task gets that is made in a group: a field of its form and the value.
#[must_use]
pub fn preset(by: GroupBy, word: &str) -> Option<(&'static str, String)> {
    let word = word.to_owned();
    Some(match by {
        // A task comes to review when work is delivered on it.
        GroupBy::Status if word == standing::review().0 => return None,
        GroupBy::Status => ("status", word),
        GroupBy::Priority => ("priority", word),
        GroupBy::Assignee => ("assignee", word),
        GroupBy::Stream if word != "none" => ("stream", word),
        GroupBy::Due if word == Nearness::Today.words().0 => ("due", word),
        GroupBy::Stream | GroupBy::Due | GroupBy::None => return None,
    })
}

/// The groups that a board shows though nothing is in them, with the one in review in its place if something is.
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
