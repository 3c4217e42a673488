//! What a run changed in its agent's files becomes one commit on the agent's branch.

use crate::features::agents::model::Agent;
use crate::features::runs::model::EventKind;
use crate::features::runs::model::Run;
use crate::features::tasks::model::Task;
use crate::features::workspace::model::Settings;
use crate::git::snapshot::Paths;
use crate::git::{Author, Branch, Entry};
use crate::kernel::text::ellipsis;
use crate::store::ReadExt;

use super::EngineError;
use super::journal::{Journal, blocking};

/// Commits the paths that the run noted; nothing when none changed. The answer belongs into the
/// session.
pub(super) async fn files(journal: &mut Journal) -> Result<Option<EventKind>, EngineError> {
    if journal.paths.is_empty() {
        return Ok(None);
    }
    let (agent_id, run_id) = (journal.agent, journal.run);
    let facts = journal.ws.read(|snap| {
        let task = match snap.get::<Run>(run_id)?.and_then(|run| run.task) {
            Some(task) => snap.get::<Task>(task)?,
            None => None,
        };
        let settings = snap.get::<Settings>(())?;
        let run = snap.get::<Run>(run_id)?;
        Ok::<_, EngineError>((snap.get::<Agent>(agent_id)?, run, task, settings))
    })?;
    let (Some(agent), Some(run), task, settings) = facts else {
        return Err(EngineError::Broken("the agent of a run is gone"));
    };
    let subject = match (&task, &settings) {
        (Some(task), Some(settings)) => {
            format!("{}-{}: {}", settings.task_key, task.number, ellipsis(&task.title, 60))
        }
        _ => ellipsis(&run.title, 70),
    };
    let message = format!("{subject}\n\nRun: {}\nAgent: {}\n", run.name(), agent.slug);
    let paths = journal.paths.clone();
    let (ws, now) = (journal.ws.clone(), journal.ws.app.clock.now());
    let snapshot = blocking(move || {
        let branch = Branch::agent(&agent.slug)?;
        let author = Author::new(&agent.name, &format!("{}@agents.hq", agent.slug));
        let entry = Entry { author: &author, message: &message, time: now };
        let folder = ws.agent_folder(&agent.slug);
        ws.repo()?.commit_paths(&branch, &folder, Paths::Only(&paths), &entry)
    })
    .await??;
    let files = u32::try_from(journal.paths.len()).unwrap_or(u32::MAX);
    journal.paths.clear();
    Ok(snapshot.commit.map(|id| EventKind::Committed { commit: id.to_string(), files }))
}
