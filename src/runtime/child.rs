//! Restrictions of a sub-agent's run: what it may use, and where it writes.

use features::agents::model::Agent;
use features::runs::model::{Child, Run};
use features::runs::queries::{self as runs, children};
use kernel::RunTrigger;
use store::{Read, ReadExt, StoreError};
use tool::{ChildCx, FilePlan, ToolError};

use super::EngineError;
use super::commit;
use super::journal::blocking;
use super::tools::folder;
use super::turn::Turn;

/// The sub-agent context for the run's tools; `None` for other runs.
pub(super) fn of(tx: &dyn Read, run: &Run) -> Result<Option<ChildCx>, StoreError> {
    if run.trigger != RunTrigger::Child {
        return Ok(None);
    }
    let child = tx.get::<Child>(run.id)?;
    // Without a record, every permission is denied.
    let may = |what: fn(&Child) -> bool| child.as_ref().is_some_and(what);
    Ok(Some(ChildCx {
        folder: children::folder(run),
        may_spawn: may(|child| child.may_spawn),
        may_exec: may(|child| child.may_exec),
        may_network: may(|child| child.may_network),
        minutes: child.as_ref().and_then(|child| child.minutes),
    }))
}

/// Restricts an agent's permissions to those of its sub-agent run.
pub(super) fn narrow(child: Option<&ChildCx>, agent: &mut Agent) {
    if let Some(child) = child {
        agent.exec &= child.may_exec;
        agent.network &= child.may_network;
    }
}

/// Refuses changes outside the folder of a sub-agent.
pub(super) fn keeps_to(child: Option<&ChildCx>, plan: FilePlan) -> Result<FilePlan, ToolError> {
    let Some(ChildCx { folder, .. }) = child else { return Ok(plan) };
    let below = |path: &str| path.strip_prefix(folder.as_str()).is_some_and(|p| p.starts_with('/'));
    match plan.changes.iter().find(|change| !below(&change.path)) {
        Some(change) => Err(ToolError::refused(
            "denied",
            format!("you can't write {}: a sub-agent can only write below {folder}/", change.path),
        )),
        None => Ok(plan),
    }
}

impl Turn {
    /// The file marks before a program. `None` for a sub-agent, whose programs cannot change the folder.
    pub(super) async fn marks(
        &self,
        is_program: bool,
    ) -> Result<Option<folder::Marks>, EngineError> {
        if !is_program || self.setting.child.is_some() {
            return Ok(None);
        }
        let root = self.talk.journal.ws.agent_folder(&self.setting.agent.slug);
        blocking(move || folder::marks(&root)).await.map(Some)
    }

    /// The files that a program has changed, except for those of sub-agents and other runs. The folder is scanned
    /// first, so that every write by others in it is already recorded.
    pub(super) async fn changed_since(
        &self,
        before: folder::Marks,
    ) -> Result<Vec<String>, EngineError> {
        let root = self.talk.journal.ws.agent_folder(&self.setting.agent.slug);
        let mut changed = blocking(move || folder::changed(&before, &folder::marks(&root))).await?;
        let (agent, run) = (self.setting.agent.id, self.talk.journal.run);
        let (mut live, others) = self.talk.journal.ws.read(|snap| {
            let live = runs::live_of_agent(snap, agent)?;
            let others = commit::held_by(snap, &live, run)?;
            Ok::<_, EngineError>((live, others))
        })?;
        live.retain(|run| run.trigger == RunTrigger::Child);
        let theirs: Vec<String> =
            live.iter().map(|run| format!("{}/", children::folder(run))).collect();
        let is_theirs = |path: &String| {
            others.contains(path) || theirs.iter().any(|folder| path.starts_with(folder.as_str()))
        };
        changed.retain(|path| !is_theirs(path));
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::keeps_to;
    use tool::{ChildCx, FileChange, FilePlan, ToolOutput};

    #[test]
    fn a_sub_agent_writes_in_its_own_folder_alone() {
        let child = ChildCx {
            folder: "work/r-1".to_owned(),
            may_spawn: false,
            may_exec: true,
            may_network: false,
            minutes: None,
        };
        let plan = |paths: &[&str]| FilePlan {
            changes: paths
                .iter()
                .map(|path| FileChange {
                    path: (*path).to_owned(),
                    before: None,
                    content: Some(Vec::new()),
                    executable: false,
                })
                .collect(),
            output: ToolOutput::text(""),
        };
        let fits = |paths: &[&str]| keeps_to(Some(&child), plan(paths)).is_ok();
        assert!(fits(&["work/r-1/a.md", "work/r-1/b/c.md"]));
        assert!(!fits(&["work/r-1"]) && !fits(&["work/r-12/a.md"]) && !fits(&["MEMORY.md"]));
        assert!(!fits(&["work/r-1/a.md", "notes.md"]), "all of a patch, or nothing");
        assert!(keeps_to(None, plan(&["notes.md"])).is_ok());
    }
}
