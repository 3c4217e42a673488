//! Activity since a person's last visit, as counts with links to the counted lists.

use jiff::SignedDuration;

use super::DashboardContext;
use crate::activity::model::Visit;
use crate::deliverables::model::{VERSIONS, Version};
use crate::runs::model::RUNS;
use crate::runs::queries::{self as runs, talk, words};
use crate::tasks::model::TASKS;
use crate::tasks::queries::list::{self, Filter, Today};
use crate::tasks::queries::terms::{Dated, Sign, Terms, Test, status_bit};
use crate::usage::queries as usage;
use kernel::display;
use kernel::key::KeyBuf;
use kernel::{TaskStatus, Timestamp, TypedId as _, VersionId};
use store::{Range, ReadExt as _, Snap, StoreError, Table};
use web::format;

/// Maximum number of latest runs to search for failed ones.
const RUNS_OF_AN_ABSENCE: usize = 500;
/// Limit of the count of deliverables.
const COUNTED: usize = 1_000;
/// How long before the absence a run that ended in it may have been created.
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Tables from which the counts are derived.
pub const TABLES: [Table; 3] = [TASKS, VERSIONS, RUNS];

/// A count with a link to the counted list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Such as "4 tasks done".
    pub label: String,
    pub href: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Such as "Since yesterday evening".
    pub since: String,
    /// Empty if nothing happened or the person was not away.
    pub figures: Vec<Figure>,
}

/// Activity since this person's last visit.
pub fn read(snap: &Snap<'_>, scene: &DashboardContext<'_>) -> Result<Since, StoreError> {
    let visit = snap.get::<Visit>(scene.who.account)?;
    let Some(at) = visit.and_then(|visit| visit.since(scene.now)) else {
        return Ok(Since::default());
    };
    let from = format::query_value(&at.to_string());
    let mut figures = Vec::new();
    let mut add = |label: String, path: String| {
        figures.push(Figure { label, href: scene.ws.url(&path) });
    };
    let done = tasks_done(snap, scene, at)?;
    if 0 < done {
        let label = format!("{} done", format::count(done, "task", "tasks"));
        add(label, format!("tasks?q=status:done+done:%3E%3D{from}"));
    }
    let delivered = delivered(snap, at)?;
    if 0 < delivered {
        let label = format!("{} delivered", format::grouped(delivered));
        add(label, format!("activity?event=deliverable.submitted&from={from}"));
    }
    let failed = runs_failed(snap, scene, at)?;
    if 0 < failed {
        let label = format::count(failed, "unsuccessful run", "unsuccessful runs");
        add(label, format!("runs?state=unsuccessful&since={from}"));
    }
    let spent = usage::spent_since(snap, at, scene.now)?;
    if 0 < spent {
        let day = |at: Timestamp| at.to_zoned(scene.zone.clone()).date();
        let path = format!("settings/usage?from={}&to={}", day(at), day(scene.now));
        add(format!("{} spent", format::money(spent)), path);
    }
    Ok(Since { since: format!("Since {}", describe(scene, at)), figures })
}

/// Counts exactly the tasks of the linked list.
fn tasks_done(
    snap: &Snap<'_>,
    scene: &DashboardContext<'_>,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let mut terms = Terms::default().between(Dated::Done, at.as_millisecond(), i64::MAX);
    terms.push(Sign::Is, Test::Status(status_bit(TaskStatus::Done)));
    let today = Today { now: scene.now, zone: scene.zone.clone() };
    Ok(list::total(snap, &Filter::of(terms), &today)? as u64)
}

fn delivered(snap: &Snap<'_>, at: Timestamp) -> Result<u64, StoreError> {
    let first = KeyBuf::of(&VersionId::first_at(at));
    let newer = Range::between(first, KeyBuf::of(&VersionId::from_bytes([u8::MAX; 16])));
    Ok(snap.rows::<Version>(&newer.limit(COUNTED))?.len() as u64)
}

fn runs_failed(
    snap: &Snap<'_>,
    scene: &DashboardContext<'_>,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let (account, role) = (scene.who.account, scene.who.role);
    let mut failed = 0;
    for hit in runs::all(snap, None, RUNS_OF_AN_ABSENCE)? {
        let run = hit.record;
        if run.created_at + LONGEST_RUN < at {
            break;
        }
        let in_it = run.ended_at.is_some_and(|ended| at <= ended);
        if in_it
            && run.outcome.as_ref().is_some_and(words::is_bad)
            && talk::may_see_run(snap, &run, account, role)?
        {
            failed += 1;
        }
    }
    Ok(failed)
}

/// Such as "yesterday evening", "this morning", "Friday afternoon" or "12 November".
fn describe(scene: &DashboardContext<'_>, at: Timestamp) -> String {
    let (then, now) = (at.to_zoned(scene.zone.clone()), scene.now.to_zoned(scene.zone.clone()));
    let part = match then.hour() {
        5..12 => "morning",
        12..18 => "afternoon",
        18..23 => "evening",
        _ => "night",
    };
    let days = (now.date() - then.date()).get_days();
    match (days, part) {
        (0, "night") => "last night".to_owned(),
        (0, part) => format!("this {part}"),
        (1, "night") if 12 < then.hour() => "last night".to_owned(),
        (1, part) => format!("yesterday {part}"),
        (2..7, part) => format!("{} {part}", then.strftime("%A")),
        _ => display::long_day_of_year(then.date()),
    }
}
