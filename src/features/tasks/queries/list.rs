//! Lists of tasks: filter, order, pages, counts. All but the rows that are shown is answered from the
//! tasks' columns.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::best::Best;
use super::columns::Row;
use super::due;
use super::grouping::{Bucket, GroupBy, Grouper, Room};
use super::marks;
use super::overdue::Passed;
use super::taskset::{self, TaskSet};
use super::terms::{Sign, Terms};
use super::texts::{self, Words};
use crate::tasks::model::label::LabelId;
use crate::tasks::model::{self, Task};
use kernel::cursor::Page;
use kernel::key::KeyBuf;
use kernel::{Assignee, Priority, StreamId, TaskId, TaskStatus};
use store::columns;
use store::{Range, Read, ReadExt, StoreError, cursor_key, key_cursor};

/// Whose tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Anybody's.
    #[default]
    Any,
    /// Nobody's.
    Nobody,
    /// This one's.
    One(Assignee),
}

/// Which due dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueIn {
    /// Passed, and still open.
    Overdue,
    /// Up to the end of today.
    Today,
    /// Up to six days from today.
    Week,
    /// Without one.
    Never,
}

impl DueIn {
    /// Every value with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Overdue, "overdue", "Overdue"),
        (Self::Today, "today", "Today or earlier"),
        (Self::Week, "week", "Within a week"),
        (Self::Never, "none", "No date"),
    ];

    /// The value of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most urgent first, then the nearest due date.
    #[default]
    Priority,
    /// Nearest due date first.
    Due,
    /// Newest first.
    Created,
    /// Last changed first.
    Updated,
    Title,
    /// As people put them.
    Manual,
    /// What may begin first.
    Start,
}

impl Sort {
    /// Every order with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Priority, "priority", "Priority"),
        (Self::Due, "due", "Due date"),
        (Self::Updated, "updated", "Last changed"),
        (Self::Created, "created", "Newest"),
        (Self::Title, "title", "Title"),
        (Self::Manual, "manual", "By hand"),
        (Self::Start, "start", "Start"),
    ];

    /// The order of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("priority", |(_, word, _)| word)
    }

    /// What people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("Priority", |(.., label)| label)
    }
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Words that stand in the title, the description or the number; case does not matter.
    pub q: String,
    /// These statuses; none means all.
    pub status: Vec<TaskStatus>,
    pub assignee: Whose,
    /// These priorities; none means all.
    pub priority: Vec<Priority>,
    /// With such a due date.
    pub due: Option<DueIn>,
    /// Parts of this task only.
    pub parent: Option<TaskId>,
    /// Of this stream; the inner nothing is for those of none.
    pub stream: Option<Option<StreamId>>,
    /// With one of these labels; none means all.
    pub labels: Vec<LabelId>,
    /// Whether something that is still open must be done before them.
    pub blocked: Option<bool>,
    /// The archived ones in place of the others; what the terms say of that ranks above it.
    pub archived: bool,
    /// What else is asked.
    pub terms: Terms,
}

impl Filter {
    /// What a query asks.
    #[must_use]
    pub fn of(terms: Terms) -> Self {
        Self { terms, ..Self::default() }
    }

    /// Whether it asks for nothing but what the terms say, and whether that is archived.
    fn is_plain(&self) -> bool {
        let Self { q: _, status, assignee, priority, due, parent, stream, labels, blocked, .. } =
            self;
        status.is_empty()
            && priority.is_empty()
            && labels.is_empty()
            && *assignee == Whose::Any
            && (due.is_none() && parent.is_none() && stream.is_none() && blocked.is_none())
    }
}

/// The statuses of work that may still happen.
pub const OPEN: [TaskStatus; 3] = [TaskStatus::InProgress, TaskStatus::Blocked, TaskStatus::Todo];

/// The day and zone in which due dates are judged.
#[derive(Clone, Debug)]
pub struct Today {
    pub now: Timestamp,
    pub zone: TimeZone,
}

/// Tasks that were found: how many, and the first of them with the cursor behind the last.
pub(super) struct Found {
    pub(super) column: Bucket,
    pub(super) lane: Bucket,
    pub(super) total: usize,
    first: Vec<TaskId>,
    next: Option<String>,
}

/// All tasks that fit, in the order asked for.
pub fn select(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
) -> Result<Vec<Task>, StoreError> {
    let all = Cut { after: None, limit: usize::MAX };
    Ok(page(read, filter, sort, today, &all)?.items)
}

/// How the tasks that fit are put in order, and which of them are shown.
pub(super) struct Order<'t> {
    sort: Sort,
    /// What the groups are, and within them the lanes.
    by: (GroupBy, GroupBy),
    /// The tasks in review, when some groups are by status.
    review: TaskSet,
    today: &'t Today,
    /// The order key that a page begins behind.
    after: Option<Vec<u8>>,
    room: Room,
}

impl<'t> Order<'t> {
    pub(super) fn of(sort: Sort, today: &'t Today, cut: &Cut) -> Self {
        let after = cut.after.as_deref().and_then(cursor_key);
        let by = (GroupBy::None, GroupBy::None);
        Self { sort, by, review: TaskSet::default(), today, after, room: cut.limit.into() }
    }

    pub(super) fn by(self, by: (GroupBy, GroupBy), room: Room, review: TaskSet) -> Self {
        Self { by, room, review, ..self }
    }

    /// From which end the rows are gone over. Groups of people and streams come as they are met.
    fn walk(&self) -> Walk {
        let met = [GroupBy::Assignee, GroupBy::Stream];
        let newest = matches!(self.sort, Sort::Created | Sort::Updated);
        match newest && !met.contains(&self.by.0) && !met.contains(&self.by.1) {
            true => Walk::Back,
            false => Walk::Forth,
        }
    }

    fn take<'r>(&self, rows: &mut dyn Iterator<Item = &'r Row>) -> Vec<Found> {
        let mut columns = Grouper::new(self.by.0, self.today, &self.review);
        let mut lanes = Grouper::new(self.by.1, self.today, &self.review);
        let mut cells: Vec<Vec<Best<'r>>> = Vec::new();
        let mut key = KeyBuf::new();
        for row in rows {
            if let Some(after) = &self.after {
                key.clear();
                row.order_key(self.sort, &mut key);
                if key.bytes() <= after.as_slice() {
                    continue;
                }
            }
            let (column, lane) = (columns.place(row), lanes.place(row));
            if cells.len() <= column {
                cells.resize_with(column + 1, Vec::new);
            }
            let own = &mut cells[column];
            if own.len() <= lane {
                own.resize_with(lane + 1, || Best::new(self.sort, self.room.most));
            }
            own[lane].push(row);
        }
        let (mut found, mut shown) = (Vec::new(), 0);
        for (column, own) in cells.into_iter().enumerate() {
            for (lane, best) in own.into_iter().enumerate() {
                let at = (columns.bucket(column), lanes.bucket(lane));
                let cell = self.found(best, at, self.room.after(shown));
                shown += cell.as_ref().map_or(0, |cell| cell.first.len());
                found.extend(cell);
            }
        }
        found
    }

    fn found(
        &self,
        best: Best<'_>,
        (column, lane): (Bucket, Bucket),
        limit: usize,
    ) -> Option<Found> {
        let (total, mut rows) = best.into_first();
        rows.truncate(limit);
        let last = rows.last().filter(|_| rows.len() < total);
        let next = last.map(|last| {
            let mut key = KeyBuf::new();
            last.order_key(self.sort, &mut key);
            key_cursor(key.bytes())
        });
        let first = rows.iter().map(|row| row.id).collect();
        (0 < total).then_some(Found { column, lane, total, first, next })
    }
}

/// From which end one goes over the rows. What is new stands at the end, and where the newest come first a walk from
/// there passes over nearly all others for the price of one comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Forth,
    Back,
}

/// Gives the body the rows that fit, in the order of their ids from one end, one by one.
pub(super) fn fitting<T>(
    read: &dyn Read,
    filter: &Filter,
    (today, walk): (&Today, Walk),
    body: impl for<'r> FnOnce(&mut dyn Iterator<Item = &'r Row>) -> T,
) -> Result<T, StoreError> {
    let fits = Fits::new(read, filter, today)?;
    let fit = |row: &&Row| fits.row(row);
    if fits.words.is_empty() {
        return columns::with(read, |rows: &[Row]| match walk {
            Walk::Forth => body(&mut rows.iter().filter(fit)),
            Walk::Back => body(&mut rows.iter().rev().filter(fit)),
        });
    }
    let held = texts::holding(read, &fits.words, |row| fits.row(row))?;
    columns::with(read, |rows: &[Row]| match walk {
        Walk::Forth => body(&mut taskset::named(rows, held.ids()).filter(fit)),
        Walk::Back => body(&mut taskset::named_back(rows, held.ids()).filter(fit)),
    })
}

/// Looks through the columns: filters, counts, and puts what will be shown in order.
pub(super) fn find(
    read: &dyn Read,
    filter: &Filter,
    order: &Order<'_>,
) -> Result<Vec<Found>, StoreError> {
    fitting(read, filter, (order.today, order.walk()), |rows| order.take(rows))
}

/// How many tasks fit.
pub fn total(read: &dyn Read, filter: &Filter, today: &Today) -> Result<usize, StoreError> {
    fitting(read, filter, (today, Walk::Forth), |rows| rows.count())
}

/// How many tasks fit each of these filters, by one walk over the columns for all that ask for no words.
pub fn totals(
    read: &dyn Read,
    filters: &[Filter],
    today: &Today,
) -> Result<Vec<usize>, StoreError> {
    let ready: Result<Vec<Fits>, _> =
        filters.iter().map(|filter| Fits::new(read, filter, today)).collect();
    let ready = ready?;
    // Most are about what is open: a row that is over is not shown to them.
    let of_status = |status: &TaskStatus| -> Vec<usize> {
        let admits = |n: &usize| ready[*n].words.is_empty() && filters[*n].terms.admits(*status);
        (0..ready.len()).filter(admits).collect()
    };
    let mut wanted: [Vec<usize>; u8::BITS as usize] = Default::default();
    for status in TaskStatus::ALL {
        wanted[*status as usize] = of_status(status);
    }
    let mut totals = columns::with(read, |rows: &[Row]| {
        let mut totals = vec![0; ready.len()];
        for row in rows {
            for n in &wanted[row.status as usize] {
                totals[*n] += usize::from(ready[*n].row(row));
            }
        }
        totals
    })?;
    for ((fits, filter), total) in ready.iter().zip(filters).zip(&mut totals) {
        if !fits.words.is_empty() {
            *total = self::total(read, filter, today)?;
        }
    }
    Ok(totals)
}

/// A filter made ready for many rows.
struct Fits<'f> {
    filter: &'f Filter,
    /// Whether nothing is asked but what the terms say.
    is_plain: bool,
    words: Vec<Words>,
    /// The moment before which a due date must lie, in milliseconds.
    last: Option<i64>,
    passed: Passed,
    /// The tasks with one of the labels, when some are asked for.
    labelled: Option<TaskSet>,
    /// The tasks that wait for others, when that is asked.
    blocked: TaskSet,
}

impl<'f> Fits<'f> {
    fn new(read: &dyn Read, filter: &'f Filter, today: &Today) -> Result<Self, StoreError> {
        let q = Some((Sign::Is, filter.q.trim().to_lowercase())).filter(|(_, q)| !q.is_empty());
        let mut words = Vec::new();
        for (sign, text) in q.into_iter().chain(filter.terms.words.iter().cloned()) {
            words.push(Words::new(sign, &text, super::number(read, &text)?));
        }
        Ok(Self {
            filter,
            is_plain: filter.is_plain(),
            words,
            last: last_moment(filter.due, today),
            passed: Passed::at(today.now, &today.zone),
            labelled: match filter.labels.as_slice() {
                [] => None,
                labels => Some(marks::with_label(read, labels)?),
            },
            blocked: match filter.blocked {
                Some(_) => marks::blocked(read)?.into_keys().collect(),
                None => TaskSet::default(),
            },
        })
    }

    fn row(&self, row: &Row) -> bool {
        let filter = self.filter;
        (filter.terms.judges_archived || row.archived == filter.archived)
            && filter.terms.hold(row)
            && (self.is_plain || self.is_chosen(row))
    }

    /// Whether a row is one of those that were chosen beside the terms.
    fn is_chosen(&self, row: &Row) -> bool {
        let filter = self.filter;
        (filter.status.is_empty() || filter.status.contains(&row.status))
            && (filter.priority.is_empty() || filter.priority.contains(&row.priority))
            && (filter.parent.is_none() || filter.parent == row.parent())
            && filter.stream.is_none_or(|stream| stream == row.stream())
            && self.labelled.as_ref().is_none_or(|tasks| tasks.contains(row.id))
            && filter.blocked.is_none_or(|blocked| blocked == self.blocked.contains(row.id))
            && match filter.assignee {
                Whose::Any => true,
                Whose::Nobody => row.assignee.is_none(),
                Whose::One(who) => row.assignee == Some(who),
            }
            && match filter.due {
                None => true,
                Some(DueIn::Never) => row.due.ms().is_none(),
                Some(DueIn::Overdue) => row.is_overdue(self.passed),
                Some(DueIn::Today | DueIn::Week) => is_before(row.due.ms(), self.last),
            }
    }
}

fn is_before(due: Option<i64>, last: Option<i64>) -> bool {
    matches!((due, last), (Some(due), Some(last)) if due < last)
}

/// The moment before which a due date must lie, in milliseconds.
fn last_moment(due: Option<DueIn>, today: &Today) -> Option<i64> {
    let days = match due? {
        DueIn::Today => 1,
        DueIn::Week => 7,
        DueIn::Overdue | DueIn::Never => return None,
    };
    let day = due::day(today.now, &today.zone).checked_add(days.days()).ok()?;
    Some(day.to_zoned(today.zone.clone()).ok()?.timestamp().as_millisecond())
}

/// One page of the tasks that fit.
pub fn page(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
    cut: &Cut,
) -> Result<Page<Task>, StoreError> {
    let found = find(read, filter, &Order::of(sort, today, cut))?;
    match found.into_iter().next() {
        Some(found) => shown(read, found),
        None => Ok(Page { items: Vec::new(), next: None }),
    }
}

/// Where a page begins and how long it is.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The cursor of the page before.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

/// The tasks of a page. One that the snapshot does not have was made after it.
pub(super) fn shown(read: &dyn Read, found: Found) -> Result<Page<Task>, StoreError> {
    let mut items = Vec::with_capacity(found.first.len());
    for id in found.first {
        items.extend(read.get::<Task>(id)?);
    }
    Ok(Page { items, next: found.next })
}

/// Of these tasks, those that are still to be done: open and not archived.
pub fn open_among(read: &dyn Read, tasks: &TaskSet) -> Result<TaskSet, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let open = taskset::named(rows, tasks.ids()).filter(|row| row.is_unfinished());
        open.map(|row| row.id).collect()
    })
}

/// All tasks in the order that people make, with their keys.
pub fn ranks(read: &dyn Read) -> Result<Vec<(String, TaskId)>, StoreError> {
    let key = |row: &Row| (row.rank().to_owned(), row.id);
    let mut all: Vec<_> = columns::with(read, |rows: &[Row]| rows.iter().map(key).collect())?;
    all.sort_unstable();
    Ok(all)
}

/// How many tasks have each status, archived ones left out.
pub fn counts(read: &dyn Read) -> Result<Vec<(TaskStatus, u64)>, StoreError> {
    let mut counts = Vec::with_capacity(TaskStatus::ALL.len());
    for status in TaskStatus::ALL {
        let n = read.sum(model::OPEN_COUNT, &KeyBuf::of(&(*status as u8)))?;
        counts.push((*status, u64::try_from(n).unwrap_or(0)));
    }
    Ok(counts)
}

/// How many tasks are open.
pub fn open_count(read: &dyn Read) -> Result<u64, StoreError> {
    Ok(counts(read)?.iter().filter(|(status, _)| status.is_open()).map(|(_, n)| n).sum())
}

/// How many open tasks somebody has.
pub fn open_count_of(read: &dyn Read, who: Assignee) -> Result<u64, StoreError> {
    let mut sum = 0;
    for status in OPEN {
        let mut key = KeyBuf::of(&who);
        key.u8(status as u8);
        sum += read.len(model::BY_ASSIGNEE, &Range::prefix(key))?;
    }
    Ok(sum as u64)
}

/// Open tasks that somebody has, at most so many.
pub fn open_of(read: &dyn Read, who: Assignee, limit: usize) -> Result<Vec<Task>, StoreError> {
    let mut all = Vec::new();
    for status in OPEN {
        let mut key = KeyBuf::of(&who);
        key.u8(status as u8);
        let range = Range::prefix(key).limit(limit - all.len());
        all.extend(read.scan::<Task>(model::BY_ASSIGNEE, &range)?);
        if limit <= all.len() {
            break;
        }
    }
    Ok(all)
}
