//! Summary of what a run did from one of its steps on, for the person who starts it again there and for the model
//! that continues.

use std::collections::{BTreeSet, HashSet};

use crate::history::queries::files;
use crate::runs::model::{EventKind, Run};
use kernel::SessionId;
use kernel::text::ellipsis;
use store::{Read, ReadExt as _, StoreError};

use super::doing::doing;
use super::steps::{CallState, Steps, What};
use super::{events, events_of_run};

/// Maximum number of entries of one kind.
const MOST: usize = 20;
/// Maximum length of an entry in bytes.
const LONG: usize = 160;
/// Tools that concern only the run itself.
const OWN: &[&str] = &[
    "progress",
    "work_done",
    "work_fail",
    "work_snooze",
    "ask_person",
    "wait_until",
    "tool_search",
    "subagent_wait",
    "subagent_list",
];

/// Effects of a run from one of its steps on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// Changes in the workspace.
    pub work: Vec<String>,
    /// External effects, which are not reverted.
    pub outside: Vec<String>,
    /// Files changed only after the step.
    pub files: BTreeSet<String>,
    /// Files changed both before and after the step.
    pub both: BTreeSet<String>,
}

impl Between {
    /// Reads the effects of a run from this event of its session on.
    pub fn read(read: &dyn Read, run: &Run, event: u32) -> Result<Self, StoreError> {
        let mut events = events_of_run(&read, run, usize::MAX)?;
        events.retain(|one| event <= one.n);
        let (mut acts, mut changes) = (HashSet::new(), HashSet::new());
        for one in &events {
            match &one.kind {
                EventKind::ToolStarted { call_id, file: None, .. } => {
                    acts.insert(call_id.clone());
                }
                EventKind::ToolFinished { call_id, seq: Some(_), .. } => {
                    changes.insert(call_id.clone());
                }
                _ => {}
            }
        }
        let parts = files::parted(read, run, event)?;
        let mut between = Self { files: parts.after, both: parts.both, ..Self::default() };
        for step in Steps::fold(run.first_event, events, &|_| None).all {
            let What::Tool(call) = step.what else { continue };
            if call.state == CallState::Planned || OWN.contains(&call.name.as_str()) {
                continue;
            }
            let action = doing(&call);
            let words = ellipsis(format!("{} {}", action.verb, action.what).trim(), LONG);
            if acts.contains(&call.call_id) {
                between.outside.push(words);
            } else if changes.contains(&call.call_id) {
                between.work.push(words);
            }
        }
        Ok(between)
    }

    /// Whether there are no lasting effects.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let no_files = self.files.is_empty() && self.both.is_empty();
        self.work.is_empty() && self.outside.is_empty() && no_files
    }

    /// Note for the model that continues from the step; empty if there were no effects.
    #[must_use]
    pub fn note(&self, run: &Run, undone: bool) -> String {
        if self.is_nothing() {
            return String::new();
        }
        let name = run.name();
        let mut lines = vec![format!(
            "[You are back at this point. What you did after it, in {name}, is not part of this \
             conversation."
        )];
        match (undone, self.work.is_empty()) {
            (true, _) => lines.push(
                "Its changes to the workspace and your files were reverted, except where someone \
                 has changed them since."
                    .to_owned(),
            ),
            (false, false) => {
                lines.push(format!(
                    "These changes in the workspace remain: \
                    {}.",
                    listed(&self.work)
                ));
            }
            (false, true) => {}
        }
        let left = match undone {
            true => self.both.iter().cloned().collect::<Vec<_>>(),
            false => self.files.union(&self.both).cloned().collect(),
        };
        if !left.is_empty() {
            lines.push(format!(
                "It left these files as they are now: {}. Read them before you rely on them.",
                listed(&left)
            ));
        }
        if !self.outside.is_empty() {
            lines.push(format!(
                "This happened and can't be undone: {}. Check before you do it again.",
                listed(&self.outside)
            ));
        }
        format!("{}]", lines.join("\n"))
    }
}

/// Effects of each run of a conversation from one event on, and the note for the model that continues from there.
/// `undone` states whether the changes were reverted.
pub fn since(
    read: &dyn Read,
    session: SessionId,
    event: u32,
    undone: bool,
) -> Result<(Vec<(Run, Between)>, String), StoreError> {
    let mut runs = Vec::new();
    for one in events(&read, session, event, u32::MAX)? {
        if let Some(run) = one.run.filter(|run| !runs.contains(run)) {
            runs.push(run);
        }
    }
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for run in runs {
        let Some(run) = read.get::<Run>(run)? else { continue };
        let between = Between::read(read, &run, event)?;
        if !between.is_nothing() && notes.len() < MOST {
            notes.push(between.note(&run, undone));
            all.push((run, between));
        }
    }
    Ok((all, notes.join("\n\n")))
}

fn listed(all: &[String]) -> String {
    let mut words = all.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if MOST < all.len() {
        words.push_str(&format!("; and {} more", all.len() - MOST));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::Between;
    use crate::runs::model::Run;
    use store::Record;

    #[test]
    fn a_model_is_told_what_stays_and_nothing_when_nothing_does() {
        let run = Run::sample();
        assert_eq!(Between::default().note(&run, false), "");
        let mut between = Between::default();
        between.files.insert("a.md".to_owned());
        between.both.insert("b.md".to_owned());
        between.work.push("Created a task: Call".to_owned());
        between.outside.push("Ran publish".to_owned());
        let kept = between.note(&run, false);
        assert!(kept.contains("a.md; b.md") && kept.contains("Created a task: Call"), "{kept}");
        let undone = between.note(&run, true);
        assert!(!undone.contains("a.md") && undone.contains("as they are now: b.md"), "{undone}");
        assert!(undone.contains("Ran publish") && !undone.contains("Created"), "{undone}");
    }
}
