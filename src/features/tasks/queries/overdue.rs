//! Which due dates have passed, and which tasks are missed by that.

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

/// The least by which time goes on.
const TICK: SignedDuration = SignedDuration::from_millis(1);
/// Of what passed earlier nobody is told any more: it was found after a long sleep, or imported.
const OLD: SignedDuration = SignedDuration::from_hours(3 * 24);

/// What the clock has brought for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fell {
    /// Its due date has passed, and people are to hear of it.
    Overdue(TaskId),
    /// Its due date passed long ago: it is noted, and nobody hears of it.
    Noted(TaskId),
    /// It is missed: nothing happened on it since then.
    Missed(TaskId, Timestamp),
}

/// The rules of the workspace.
pub fn rules(read: &dyn Read) -> Result<TaskRules, StoreError> {
    Ok(read.get::<TaskRules>(())?.unwrap_or_default())
}

/// Which due dates have passed at a moment: those at a time of day when it comes, those of a day when the
/// day is over. Made once for many tasks, of which it says the same in lists, counts and notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// A moment before this one has passed, in milliseconds.
    moments: i64,
    /// The same for the end of a day.
    days: i64,
}

impl Passed {
    /// What has passed at this moment; days are as they are in this zone.
    #[must_use]
    pub fn at(now: Timestamp, zone: &TimeZone) -> Self {
        // ok: every day of which it can be now has a beginning.
        let today = midnight(zone, due::day(now, zone)).unwrap_or(now);
        Self { moments: now.as_millisecond() + 1, days: today.as_millisecond() }
    }

    /// Whether a task is overdue: it is open, and its due date has passed.
    #[must_use]
    pub fn is_overdue(self, task: &Task) -> bool {
        let due = task.due_at.map(Timestamp::as_millisecond);
        self.holds(task.status, due, task.due_has_time)
    }

    /// The same of what is known of a task: where it stands, and when it is due, in milliseconds.
    pub(super) fn holds(self, status: TaskStatus, due: Option<i64>, has_time: bool) -> bool {
        let line = if has_time { self.moments } else { self.days };
        status.is_open() && due.is_some_and(|due| due < line)
    }
}

/// What has passed by the clock of the workspace, for what is told to everybody.
pub fn passed(read: &dyn Read, now: Timestamp) -> Result<Passed, StoreError> {
    Ok(Passed::at(now, &zone(read)?))
}

/// The due date of a task as it is shown.
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

/// The workspace's zone.
fn zone(read: &dyn Read) -> Result<TimeZone, StoreError> {
    let settings = read.get::<Settings>(())?;
    Ok(settings.map_or(TimeZone::UTC, |settings| due::zone(&settings.zone)))
}

/// When a task becomes overdue: at its moment, or when its day is over in this zone.
#[must_use]
pub fn overdue_at(task: &Task, zone: &TimeZone) -> Option<Timestamp> {
    let due_at = task.due_at?;
    match task.due_has_time {
        true => Some(due_at),
        false => midnight(zone, due::day(due_at, zone).tomorrow().ok()?),
    }
}

/// When a task that nobody is at is missed.
fn missed_at(task: &Task, zone: &TimeZone, days: u16) -> Option<Timestamp> {
    let day = due::day(task.due_at?, zone).tomorrow().ok()?;
    let span = jiff::Span::new().try_days(i64::from(days)).ok()?;
    midnight(zone, day.checked_add(span).ok()?)
}

/// The stretches of the index in which open tasks stand by their due date.
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

/// When the next due date passes.
pub fn next(read: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let (mut next, zone) = (None::<Timestamp>, zone(read)?);
    // What is due just now has passed.
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

/// What has fallen due since the last look, at most so many tasks.
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

/// What the clock has brought for a task that is overdue.
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
    // What somebody opened again or changed after that is not missed by the same date.
    let missed = missed.is_some_and(|at| at <= now && task.updated_at < at);
    let lost = missed && is_lost(read, task, since)?;
    Ok(lost.then_some(Fell::Missed(task.id, since)))
}

/// Whether a task that is overdue since then is lost: it was never begun, or nothing happened on it
/// since. Never while a run works on it or waits, delivered work waits for a look, or it is blocked.
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
    let said = comments::of_task(read, task.id)?.iter().any(|one| one.created_at > since);
    Ok(task.updated_at <= since && !ran && !said)
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
            // A day that begins at one o'clock, and one whose last hour comes twice.
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
        let told = |text: &str, time: &str, tone| Some((text.to_owned(), time.to_owned(), tone));
        let noon = due(at("2026-11-20T11:00:00Z"), true);
        assert_eq!(shown(&noon), told("Today, 12:00", "12:00", Tone::Danger));
        let soon = due(at("2026-11-20T13:30:00Z"), true);
        assert_eq!(shown(&soon), told("Today, 14:30", "14:30", Tone::Warn));
        let day = due(at("2026-11-20T22:59:59Z"), false);
        assert_eq!(shown(&day), told("Today", "", Tone::Warn));
        let done = Task { status: TaskStatus::Done, ..noon };
        assert_eq!(shown(&done), told("Today, 12:00", "12:00", Tone::Neutral));
    }
}
