//! Overdue tasks, and the tasks that become missed as a result.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::due::{self, Deadline};
use super::list::{OPEN, Today};
use super::standing;
use crate::comments::queries as comments;
use crate::tasks::model::overdue::{OverdueMark, TaskRules};
use crate::tasks::model::{BY_STATUS, Task};
use crate::workspace::model::Settings;
use kernel::cadence::midnight;
use kernel::key::KeyBuf;
use kernel::{Priority, RunState, TaskId, TaskStatus};
use store::{Range, Read, ReadExt as _, StoreError};
use web::time::{Due, Work};

/// Smallest time step.
const TICK: SignedDuration = SignedDuration::from_millis(1);
/// Due dates that passed longer ago are recorded without a notification, for example after an import or long downtime.
const OLD: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A consequence of a passed due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fell {
    /// The due date has passed; notify people.
    Overdue(TaskId),
    /// The due date passed long ago; record it without a notification.
    Noted(TaskId),
    /// The task is missed: nothing happened on it since that time.
    Missed(TaskId, Timestamp),
}

/// Task rules of the workspace.
pub fn rules(read: &dyn Read) -> Result<TaskRules, StoreError> {
    Ok(read.get::<TaskRules>(())?.unwrap_or_default())
}

/// Cutoffs for passed due dates. A due moment passes at that moment, a due day when the day is over. Computed once and
/// used for many tasks, so that lists, counts and notices agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Exclusive cutoff for due moments, in milliseconds.
    moments: i64,
    /// Exclusive cutoff for due days, in milliseconds.
    days: i64,
}

impl Passed {
    /// Cutoffs at `now`, with days in this zone.
    #[must_use]
    pub fn at(now: Timestamp, zone: &TimeZone) -> Self {
        // ok: every current day has a midnight.
        let today = midnight(zone, due::day(now, zone)).unwrap_or(now);
        Self { moments: now.as_millisecond() + 1, days: today.as_millisecond() }
    }

    /// Returns `true` if the task is open and past due.
    #[must_use]
    pub fn is_overdue(self, task: &Task) -> bool {
        let due = task.due_at.map(Timestamp::as_millisecond);
        self.holds(task.status, due, task.due_has_time)
    }

    /// Like `is_overdue`, from single values. `due` is in milliseconds.
    pub(super) fn holds(self, status: TaskStatus, due: Option<i64>, has_time: bool) -> bool {
        let line = if has_time { self.moments } else { self.days };
        status.is_open() && due.is_some_and(|due| due < line)
    }
}

/// Cutoffs in the workspace's time zone, for shared output such as notices.
pub fn passed(read: &dyn Read, now: Timestamp) -> Result<Passed, StoreError> {
    Ok(Passed::at(now, &zone(read)?))
}

/// Due date for display.
#[must_use]
pub fn shown(task: &Task, today: &Today) -> Option<Due> {
    let due = Deadline::of(task)?;
    let work = match task.status.is_open() {
        _ if Passed::at(today.now, &today.zone).is_overdue(task) => Work::Late,
        true => Work::Open,
        false => Work::Closed,
    };
    let now = due::day(today.now, &today.zone);
    Some(Due::new(due::day(due.at, &today.zone), now, work).at(due.time(&today.zone)))
}

/// Time zone of the workspace.
fn zone(read: &dyn Read) -> Result<TimeZone, StoreError> {
    let settings = read.get::<Settings>(())?;
    Ok(settings.map_or(TimeZone::UTC, |settings| due::zone(&settings.zone)))
}

/// Time at which the task becomes overdue: its due moment, or the end of its due day in this zone.
#[must_use]
pub fn overdue_at(task: &Task, zone: &TimeZone) -> Option<Timestamp> {
    let due_at = task.due_at?;
    match task.due_has_time {
        true => Some(due_at),
        false => midnight(zone, due::day(due_at, zone).tomorrow().ok()?),
    }
}

/// Time at which an inactive task becomes missed.
fn missed_at(task: &Task, zone: &TimeZone, days: u16) -> Option<Timestamp> {
    let day = due::day(task.due_at?, zone).tomorrow().ok()?;
    let span = jiff::Span::new().try_days(i64::from(days)).ok()?;
    midnight(zone, day.checked_add(span).ok()?)
}

/// Index ranges of open tasks with a due date in the given bounds.
fn stretches(from: Option<Timestamp>, to: Option<Timestamp>) -> impl Iterator<Item = Range> {
    let kinds = OPEN.into_iter().flat_map(|status| {
        let all = Priority::ALL.iter();
        all.map(move |priority| (status, *priority))
    });
    kinds.map(move |(status, priority)| {
        let mut lo = KeyBuf::new();
        lo.u8(status as u8).u8(u8::MAX - priority as u8);
        let mut hi = lo.clone();
        if from.is_some() {
            lo.time_or_max(from);
        }
        hi.time_or_max(to);
        Range::between(lo, hi)
    })
}

/// Next time at which a due date passes.
pub fn next(read: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let (mut next, zone) = (None::<Timestamp>, zone(read)?);
    // A task that is due exactly now is already past due.
    for range in stretches(Some(now + TICK), None) {
        let first: Vec<Task> = read.scan(BY_STATUS, &range.limit(1))?;
        let at = first.first().and_then(|task| overdue_at(task, &zone));
        next = match (next, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(next)
}

/// Consequences of due dates that passed since the last call, at most `limit` tasks.
pub fn fallen(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Fell>, StoreError> {
    let (zone, rules) = (zone(read)?, rules(read)?);
    let passed = Passed::at(now, &zone);
    let mut fallen = Vec::new();
    for range in stretches(None, Some(now + TICK)) {
        let tasks: Vec<Task> = read.scan(BY_STATUS, &range)?;
        for task in tasks.into_iter().filter(|task| passed.is_overdue(task)) {
            if fallen.len() == limit {
                return Ok(fallen);
            }
            fallen.extend(fell(read, &task, (now, &zone), &rules)?);
        }
    }
    Ok(fallen)
}

/// Consequence for an overdue task.
fn fell(
    read: &dyn Read,
    task: &Task,
    (now, zone): (Timestamp, &TimeZone),
    rules: &TaskRules,
) -> Result<Option<Fell>, StoreError> {
    let Some(since) = overdue_at(task, zone) else { return Ok(None) };
    let mark = read.get::<OverdueMark>(task.id)?;
    if mark.map(|mark| mark.due_at) != task.due_at {
        let old = now.duration_since(since) > OLD;
        return Ok(Some(if old { Fell::Noted(task.id) } else { Fell::Overdue(task.id) }));
    }
    let missed = missed_at(task, zone, rules.missed_after_days);
    // A task that was reopened or changed after this time is not missed by the same due date.
    let missed = missed.is_some_and(|at| at <= now && task.updated_at < at);
    let lost = missed && is_lost(read, task, since)?;
    Ok(lost.then_some(Fell::Missed(task.id, since)))
}

/// Returns `true` if a task that is overdue since `since` was never begun or had no activity since. `false` while a run
/// works on it or waits, a deliverable is in review, or the task is blocked.
pub fn is_lost(read: &dyn Read, task: &Task, since: Timestamp) -> Result<bool, StoreError> {
    if !matches!(task.status, TaskStatus::Todo | TaskStatus::InProgress) {
        return Ok(false);
    }
    let runs = standing::newest_runs(read, task.id, 3)?;
    if runs.iter().any(|run| run.state != RunState::Ended) || standing::in_review(read, task.id)? {
        return Ok(false);
    }
    if task.status == TaskStatus::Todo {
        return Ok(true);
    }
    let ran = runs.iter().any(|run| run.ended_at.is_some_and(|at| at > since));
    let has_comments = comments::of_task(read, task.id)?.iter().any(|one| one.created_at > since);
    Ok(task.updated_at <= since && !ran && !has_comments)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::{SignedDuration, Timestamp};

    use super::{Passed, overdue_at, shown};
    use crate::tasks::model::Task;
    use crate::tasks::queries::due::{parse, zone};
    use crate::tasks::queries::list::Today;
    use kernel::TaskStatus;
    use kernel::cadence::midnight;
    use store::Record as _;
    use web::parts::Tone;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(at: Timestamp, due_has_time: bool) -> Task {
        Task { due_at: Some(at), due_has_time, status: TaskStatus::Todo, ..Task::sample() }
    }

    #[test]
    fn a_day_has_passed_at_midnight_and_a_moment_when_it_comes() {
        let berlin = zone("Europe/Berlin");
        let late = |task: &Task, now: &str| Passed::at(at(now), &berlin).is_overdue(task);
        let day =
            due(parse("2026-11-20", &berlin, at("2026-11-20T12:00:00Z")).unwrap().unwrap(), false);
        assert!(!late(&day, "2026-11-20T22:59:59.999Z"), "the last moment of its day");
        assert!(late(&day, "2026-11-20T23:00:00Z"));
        let moment = due(at("2026-11-20T13:30:00Z"), true);
        assert!(!late(&moment, "2026-11-20T13:29:59.999Z"));
        assert!(late(&moment, "2026-11-20T13:30:00Z"));
        let done = Task { status: TaskStatus::Done, ..moment.clone() };
        assert!(!late(&done, "2026-11-21T13:30:00Z"), "what is over is not late");
        let never = Task { due_at: None, ..moment };
        assert!(!late(&never, "2026-11-21T13:30:00Z"));
    }

    #[test]
    fn a_day_is_over_where_somebody_is_and_a_moment_everywhere() {
        let now = at("2026-11-20T15:30:00Z");
        let (tokyo, lima) = (zone("Asia/Tokyo"), zone("America/Lima"));
        let day = due(at("2026-11-20T14:59:59Z"), false);
        assert!(Passed::at(now, &tokyo).is_overdue(&day), "it is the 21st there");
        assert!(!Passed::at(now, &lima).is_overdue(&day), "it is still the 20th");
        let moment = due(at("2026-11-20T14:59:59Z"), true);
        assert!([tokyo, lima].iter().all(|zone| Passed::at(now, zone).is_overdue(&moment)));
    }

    #[test]
    fn it_has_passed_when_the_moment_comes_at_which_people_are_told() {
        for (name, day) in [
            ("UTC", date(2026, 11, 20)),
            // Days of 23 and of 25 hours.
            ("Europe/Berlin", date(2026, 3, 29)),
            ("Europe/Berlin", date(2026, 10, 25)),
            // A day that begins at one o'clock, and a day whose last hour is repeated.
            ("America/Sao_Paulo", date(2018, 11, 3)),
            ("America/Sao_Paulo", date(2018, 2, 17)),
            ("Asia/Kathmandu", date(2026, 11, 20)),
        ] {
            let zone = zone(name);
            let begins = midnight(&zone, day).unwrap();
            let end = parse(&day.to_string(), &zone, begins).unwrap().unwrap();
            for task in [due(end, false), due(end, true), due(begins, true), due(begins, false)] {
                let falls = overdue_at(&task, &zone).unwrap();
                for ms in [-3_600_000, -1_000, -1, 0, 1, 1_000, 3_600_000, 86_400_000] {
                    let now = falls + SignedDuration::from_millis(ms);
                    let late = Passed::at(now, &zone).is_overdue(&task);
                    assert_eq!(late, 0 <= ms, "{name}, {day}, {task:?} at {now}");
                }
            }
        }
    }

    #[test]
    fn a_due_date_is_shown_with_its_time_and_red_when_it_has_passed() {
        let today = Today { now: at("2026-11-20T12:00:00Z"), zone: zone("Europe/Berlin") };
        let shown = |task: &Task| shown(task, &today).map(|due| (due.text, due.time, due.tone));
        let expected =
            |text: &str, time: &str, tone| Some((text.to_owned(), time.to_owned(), tone));
        let noon = due(at("2026-11-20T11:00:00Z"), true);
        assert_eq!(shown(&noon), expected("Today, 12:00", "12:00", Tone::Danger));
        let soon = due(at("2026-11-20T13:30:00Z"), true);
        assert_eq!(shown(&soon), expected("Today, 14:30", "14:30", Tone::Warn));
        let day = due(at("2026-11-20T22:59:59Z"), false);
        assert_eq!(shown(&day), expected("Today", "", Tone::Warn));
        let done = Task { status: TaskStatus::Done, ..noon };
        assert_eq!(shown(&done), expected("Today, 12:00", "12:00", Tone::Neutral));
    }
}
