//! Task lists: filter, order, pages and counts. Everything except the displayed rows is answered from the in-memory
//! task columns.

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

/// Assignee filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    #[default]
    Any,
    Nobody,
    One(Assignee),
}

/// Due date filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueIn {
    /// Open tasks past their due date.
    Overdue,
    /// Up to the end of today, including overdue tasks.
    Today,
    /// Up to six days from today, including overdue tasks.
    Week,
    /// Tasks without a due date.
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

    /// Parses a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Highest priority first, then the nearest due date.
    #[default]
    Priority,
    Due,
    Created,
    Updated,
    Title,
    /// Manual rank.
    Manual,
    /// Earliest start date first.
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
        (Self::Manual, "manual", "Manual"),
        (Self::Start, "start", "Start"),
    ];

    /// Parses a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("priority", |(_, word, _)| word)
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("Priority", |(.., label)| label)
    }
}

/// A task filter. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Words to find in the title, description or number, case-insensitive.
    pub q: String,
    /// Empty means all.
    pub status: Vec<TaskStatus>,
    pub assignee: Whose,
    /// Empty means all.
    pub priority: Vec<Priority>,
    pub due: Option<DueIn>,
    /// Only subtasks of this task.
    pub parent: Option<TaskId>,
    /// `Some(None)` selects tasks without a stream.
    pub stream: Option<Option<StreamId>>,
    /// Tasks with any of these labels. Empty means all.
    pub labels: Vec<LabelId>,
    /// `Some(true)` selects tasks that wait for an open task.
    pub blocked: Option<bool>,
    /// Selects archived tasks instead of the others, unless `terms` has a condition on archived.
    pub archived: bool,
    /// Further conditions from the query language.
    pub terms: Terms,
}

impl Filter {
    /// Filter of a query.
    #[must_use]
    pub fn of(terms: Terms) -> Self {
        Self { terms, ..Self::default() }
    }

    /// Returns `true` if the filter has no condition outside `terms` and `archived`.
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

/// Open statuses.
pub const OPEN: [TaskStatus; 3] = [TaskStatus::InProgress, TaskStatus::Blocked, TaskStatus::Todo];

/// Current time and time zone for due dates.
#[derive(Clone, Debug)]
pub struct Today {
    pub now: Timestamp,
    pub zone: TimeZone,
}

/// Query result: the total, the ids of one page and the cursor after the last id.
pub(super) struct Found {
    pub(super) column: Bucket,
    pub(super) lane: Bucket,
    pub(super) total: usize,
    first: Vec<TaskId>,
    next: Option<String>,
}

/// All matching tasks in the given order.
pub fn select(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
) -> Result<Vec<Task>, StoreError> {
    let all = Cut { after: None, limit: usize::MAX };
    Ok(page(read, filter, sort, today, &all)?.items)
}

/// Sort order, grouping and page start of a list.
pub(super) struct Order<'t> {
    sort: Sort,
    /// Groups, and lanes within them.
    by: (GroupBy, GroupBy),
    /// Tasks in review, needed for groups by status.
    review: TaskSet,
    today: &'t Today,
    /// Order key after which the page begins.
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

    /// Direction of the row scan. Groups by assignee or stream are numbered in scan order, so they need the forward
    /// scan.
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

/// Direction of the row scan. New tasks are at the end, so for newest-first lists a backward scan rejects nearly all
/// other rows with one comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Forth,
    Back,
}

/// Calls `body` with the matching rows in id order, in the given direction.
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

/// Filters, counts and sorts the rows of the columns.
pub(super) fn find(
    read: &dyn Read,
    filter: &Filter,
    order: &Order<'_>,
) -> Result<Vec<Found>, StoreError> {
    fitting(read, filter, (order.today, order.walk()), |rows| order.take(rows))
}

/// Number of matching tasks.
pub fn total(read: &dyn Read, filter: &Filter, today: &Today) -> Result<usize, StoreError> {
    fitting(read, filter, (today, Walk::Forth), |rows| rows.count())
}

/// Number of matching tasks per filter. One scan of the columns serves all filters without words.
pub fn totals(
    read: &dyn Read,
    filters: &[Filter],
    today: &Today,
) -> Result<Vec<usize>, StoreError> {
    let ready: Result<Vec<Fits>, _> =
        filters.iter().map(|filter| Fits::new(read, filter, today)).collect();
    let ready = ready?;
    // Most filters admit only open tasks, so a closed row is not tested against them.
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

/// A filter that is prepared for testing many rows.
struct Fits<'f> {
    filter: &'f Filter,
    /// `true` if only `terms` has conditions.
    is_plain: bool,
    words: Vec<Words>,
    /// Exclusive upper bound of the due date, in milliseconds.
    last: Option<i64>,
    passed: Passed,
    /// Tasks with one of the labels, if the filter has labels.
    labelled: Option<TaskSet>,
    /// Blocked tasks, if the filter asks for them.
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

    /// Tests a row against the conditions outside `terms`.
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

/// Exclusive upper bound of the due date, in milliseconds.
fn last_moment(due: Option<DueIn>, today: &Today) -> Option<i64> {
    let days = match due? {
        DueIn::Today => 1,
        DueIn::Week => 7,
        DueIn::Overdue | DueIn::Never => return None,
    };
    let day = due::day(today.now, &today.zone).checked_add(days.days()).ok()?;
    Some(day.to_zoned(today.zone.clone()).ok()?.timestamp().as_millisecond())
}

/// One page of matching tasks.
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

/// Start and length of a page.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Cursor of the previous page.
    pub after: Option<String>,
    pub limit: usize,
}

/// Loads the tasks of a page. Skips ids missing from the snapshot: those tasks were created after it.
pub(super) fn shown(read: &dyn Read, found: Found) -> Result<Page<Task>, StoreError> {
    let mut items = Vec::with_capacity(found.first.len());
    for id in found.first {
        items.extend(read.get::<Task>(id)?);
    }
    Ok(Page { items, next: found.next })
}

/// The open, unarchived tasks among `tasks`.
pub fn open_among(read: &dyn Read, tasks: &TaskSet) -> Result<TaskSet, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let open = taskset::named(rows, tasks.ids()).filter(|row| row.is_unfinished());
        open.map(|row| row.id).collect()
    })
}

/// All tasks with their rank keys, sorted by manual rank.
pub fn ranks(read: &dyn Read) -> Result<Vec<(String, TaskId)>, StoreError> {
    let key = |row: &Row| (row.rank().to_owned(), row.id);
    let mut all: Vec<_> = columns::with(read, |rows: &[Row]| rows.iter().map(key).collect())?;
    all.sort_unstable();
    Ok(all)
}

/// Number of unarchived tasks per status.
pub fn counts(read: &dyn Read) -> Result<Vec<(TaskStatus, u64)>, StoreError> {
    let mut counts = Vec::with_capacity(TaskStatus::ALL.len());
    for status in TaskStatus::ALL {
        let n = read.sum(model::OPEN_COUNT, &KeyBuf::of(&(*status as u8)))?;
        counts.push((*status, u64::try_from(n).unwrap_or(0)));
    }
    Ok(counts)
}

/// Number of open, unarchived tasks.
pub fn open_count(read: &dyn Read) -> Result<u64, StoreError> {
    Ok(counts(read)?.iter().filter(|(status, _)| status.is_open()).map(|(_, n)| n).sum())
}

/// Number of open tasks of an assignee.
pub fn open_count_of(read: &dyn Read, who: Assignee) -> Result<u64, StoreError> {
    let mut sum = 0;
    for status in OPEN {
        let mut key = KeyBuf::of(&who);
        key.u8(status as u8);
        sum += read.len(model::BY_ASSIGNEE, &Range::prefix(key))?;
    }
    Ok(sum as u64)
}

/// Open tasks of an assignee, at most `limit`.
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
