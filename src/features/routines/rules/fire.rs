//! One firing: its row, what it begins, and where its routine stands afterwards, in one transaction.

use jiff::tz::TimeZone;

use crate::inbox::model::{BY_KEY, Item};
use crate::inbox::queries as inbox;
use crate::routines::conditions::Values;
use crate::routines::model::{BY_SLOT, Clock, Firing, Quiet, Routine, Slot};
use crate::routines::queries::plan;
use crate::routines::render;
use crate::tasks::model::template::Template;
use crate::tasks::model::{BY_NUMBER, Task};
use crate::workspace::model::{Counter, Counting};
use kernel::cadence::Hours;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{Event, Fate, FiredBy, FiringId, Overlap, TaskId, Timestamp, TypedId as _};
use store::{ReadExt, StoreError, WriteTx};

/// How many routines may cause each other.
pub const MAX_DEPTH: u8 = 3;
/// The longest reason, in characters.
const MAX_WHY: usize = 300;
/// How much may wait for an agent whose routine lets firings wait.
const MOST_WAITING: usize = 50;

/// A firing to be made.
pub struct Shot {
    /// What made it fire.
    pub slot: Slot,
    /// In a word.
    pub by: FiredBy,
    /// What it is about, in one line.
    pub subject: String,
    /// What is known, for the template.
    pub values: Values,
    pub about: Option<TaskId>,
    /// What stands below the instruction.
    pub more: String,
    /// How many routines caused each other, with this one.
    pub depth: u8,
    /// What it begins waits until then.
    pub hold: Option<Timestamp>,
    /// How many instants or events it stands for.
    pub count: u32,
}

/// Fires, or notes why it does not. Nothing when this has fired already: each slot is used once. The
/// clock is changed and not kept.
///
/// # Errors
/// When the store fails. What a feature refuses to begin is noted in the firing.
pub fn shoot(
    tx: &mut WriteTx<'_>,
    routine: &Routine,
    clock: &mut Clock,
    shot: Shot,
) -> Result<Option<Firing>, StoreError> {
    let mut key = KeyBuf::of(&routine.id);
    key.part(shot.slot);
    if tx.taken(BY_SLOT, &key)? {
        return Ok(None);
    }
    let id: FiringId = tx.new_id();
    let seed = format!("routine/{id}/{}", routine.id.short());
    let mut instruction = render::instruction(routine.template(), &shot.values, &seed);
    if !shot.more.is_empty() {
        instruction = format!("{instruction}\n\n{}", shot.more);
    }
    let title = routine.action.task().map(|form| render::title(&form.title, &shot.values));
    let values = match routine.action.tasks() {
        Some(form) => match tx.get::<Template>(form.template)? {
            Some(template) => plan::values_of(routine, &template.items, &shot.values),
            // Why nothing is made says who would have made it.
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let quiet = routine.quiet.as_ref().and_then(|quiet| quiet_until(quiet, tx.now()));
    let by_hand = shot.by == FiredBy::Manual;
    let mut firing = Firing {
        id,
        routine: routine.id,
        slot: shot.slot,
        by: shot.by,
        fate: Fate::Started,
        why: String::new(),
        count: shot.count,
        subject: shot.subject,
        instruction,
        title: title.unwrap_or_default(),
        about: shot.about,
        made: None,
        depth: shot.depth,
        held_until: shot.hold.max(quiet).filter(|_| !by_hand),
        at: tx.now(),
        values,
    };
    if MAX_DEPTH < shot.depth {
        let why = format!("{MAX_DEPTH} routines have already caused each other");
        return leave(tx, firing, Fate::ChainEnded, why).map(Some);
    }
    if !by_hand && let Some(why) = overlaps(tx, routine, clock)? {
        return leave(tx, firing, Fate::SkippedOverlap, why).map(Some);
    }
    let before = last_number(tx)?;
    let begun = tx.attempt(|tx| {
        tx.put(&firing)?;
        let (routine, firing, agent) = (routine.id, firing.id, routine.agent);
        tx.emit(Event::RoutineFired { routine, firing, agent });
        Ok::<_, StoreError>(())
    });
    match begun {
        Ok(()) => {}
        Err(StoreError::Reaction { message, .. }) => {
            return leave(tx, firing, Fate::Refused, message).map(Some);
        }
        Err(error) => return Err(error),
    }
    if !firing.title.is_empty() {
        // Nobody else writes in this transaction: the first that was made is this one's, its parts follow.
        let made = tx.find::<Task>(BY_NUMBER, &KeyBuf::of(&(before + 1)))?;
        firing.made = made.map(|task| task.id);
        if let Some(form) = routine.action.tasks()
            && let Some(template) = tx.get::<Template>(form.template)?
        {
            let (_, warnings) = plan::who(tx, routine, form, &template)?;
            firing.why = ellipsis(&warnings.join("; "), MAX_WHY);
        }
        tx.put(&firing)?;
    }
    (clock.last, clock.last_at) = (Some(id), Some(tx.now()));
    clock.count = clock.count.saturating_add(1);
    Ok(Some(firing))
}

/// Notes that nothing was begun.
pub(super) fn leave(
    tx: &mut WriteTx<'_>,
    mut firing: Firing,
    fate: Fate,
    why: String,
) -> Result<Firing, StoreError> {
    (firing.fate, firing.why, firing.held_until) = (fate, ellipsis(&why, MAX_WHY), None);
    tx.put(&firing)?;
    Ok(firing)
}

/// The number of the newest task.
fn last_number(tx: &WriteTx<'_>) -> Result<u32, StoreError> {
    Ok(tx.get::<Counter>(Counting::Tasks)?.map_or(0, |counter| counter.last))
}

/// Why a firing is left out, if it is: what the one before began is not over.
fn overlaps(
    tx: &WriteTx<'_>,
    routine: &Routine,
    clock: &Clock,
) -> Result<Option<String>, StoreError> {
    match routine.overlap {
        Overlap::Allow => Ok(None),
        Overlap::Queue => {
            let waiting = inbox::open_count(tx, routine.agent)?;
            let full = MOST_WAITING <= waiting;
            Ok(full.then(|| format!("{waiting} items wait for the agent already")))
        }
        Overlap::Skip => {
            let Some(last) = clock.last else { return Ok(None) };
            let open = item_of(tx, last)?.is_some_and(|item| item.is_open());
            Ok(open.then(|| "what the one before began is not over".to_owned()))
        }
    }
}

/// The inbox item that a firing made.
fn item_of(tx: &WriteTx<'_>, firing: FiringId) -> Result<Option<Item>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&crate::routines::model::item_key(firing));
    tx.find(BY_KEY, &key)
}

/// The end of the quiet hours that a moment lies in.
#[must_use]
pub fn quiet_until(quiet: &Quiet, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&quiet.zone).unwrap_or(TimeZone::UTC);
    Hours { days: quiet.days, from: quiet.from, until: quiet.until }.end(&zone, now)
}

#[cfg(test)]
mod tests {
    use super::quiet_until;
    use crate::routines::model::Quiet;
    use kernel::Timestamp;
    use kernel::cadence::Days;

    #[test]
    fn quiet_hours_go_over_midnight_and_belong_to_the_day_on_which_they_begin() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut quiet =
            Quiet { days: Days::default(), from: 22 * 60, until: 7 * 60, zone: "UTC".into() };
        let end = |quiet: &Quiet, now: &str| quiet_until(quiet, at(now));
        let morning = Some(at("2026-11-21T07:00:00Z"));
        assert_eq!(end(&quiet, "2026-11-20T23:15:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T06:59:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T07:00:00Z"), None);
        assert_eq!(end(&quiet, "2026-11-20T21:59:00Z"), None);
        // The 20th is a Friday: its night ends on Saturday, and none begins then.
        quiet.days = Days::of([5]);
        assert_eq!(end(&quiet, "2026-11-21T02:00:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T23:00:00Z"), None);
        quiet = Quiet { from: 12 * 60, until: 13 * 60, days: Days::default(), ..quiet };
        assert_eq!(end(&quiet, "2026-11-20T12:30:00Z"), Some(at("2026-11-20T13:00:00Z")));
        assert_eq!(end(&quiet, "2026-11-20T13:30:00Z"), None);
    }
}
