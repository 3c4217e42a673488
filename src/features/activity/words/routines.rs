//! Sentences for routine events.

use crate::routines::model::{Firing, Routine};
use entity::Area;
use kernel::text::ellipsis;
use kernel::{Assignee, Event, FiredBy, RoutineAct, RoutineId};
use store::{Read, ReadExt, StoreError};

use super::{MAX_TITLE, Words};

/// Sentence for a routine event. `None` for other events.
pub(super) fn words(read: &dyn Read, event: &Event) -> Result<Option<(Area, Words)>, StoreError> {
    let words = match event {
        Event::RoutineChanged { routine, name, act } => {
            let (verb, rest, icon) = match act {
                RoutineAct::Created => ("created the routine", "", "plus"),
                RoutineAct::Changed => ("changed the routine", "", "edit"),
                RoutineAct::Paused => ("paused the routine", "", "pause"),
                RoutineAct::Resumed => ("resumed the routine", "", "play"),
                RoutineAct::Deleted => ("deleted the routine", "", "trash"),
                RoutineAct::Approved => ("approved the routine", "", "check"),
                RoutineAct::PutAway => ("archived the routine", "because it’s complete", "check"),
                RoutineAct::Tripped => ("stopped the routine", "after failures", "warn"),
            };
            let words = named(*routine, name, verb, icon);
            // A deleted routine has no link.
            let gone = read.get::<Routine>(*routine)?.is_none();
            let path = if gone { String::new() } else { words.path };
            Some(Words { path, rest: rest.to_owned(), ..words })
        }
        Event::RoutineFired { routine, firing, agent } => {
            let firing = read.get::<Firing>(*firing)?;
            let rest = match firing.as_ref().map(|one| (one.by, one.subject.as_str())) {
                Some((FiredBy::Manual, _)) => "manually".to_owned(),
                Some((FiredBy::CatchUp, _)) => "late".to_owned(),
                Some((_, subject)) if !subject.is_empty() => format!("for {subject}"),
                _ => String::new(),
            };
            let routine = read.get::<Routine>(*routine)?;
            routine.map(|routine| {
                let words =
                    named(routine.id, &routine.name, "was started by the routine", "repeat");
                Words { by: Some(Assignee::Agent(*agent)), rest, ..words }
            })
        }
        _ => return Ok(None),
    };
    Ok(words.map(|words| (Area::Agents, words)))
}

fn named(id: RoutineId, name: &str, verb: &str, icon: &'static str) -> Words {
    Words {
        verb: verb.to_owned(),
        thing: ellipsis(name, MAX_TITLE),
        path: format!("routines/{id}"),
        icon,
        ..Words::default()
    }
}
