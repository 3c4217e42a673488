//! Which tools a run is offered. A core set goes with each request, in an order that keeps the prefix
//! of the prompt the same; what `tool_search` finds is added behind it, for the rest of the session.

use crate::features::agents::model::Agent;
use crate::kernel::{Can, RunTrigger};
use crate::providers::model::ToolDef;
use crate::tool::Effect;
use crate::tool::registry::Entry;

use super::Engine;

/// Sent with each run that serves an item, in this order, so that the prefix stays cached.
const WORK: &[&str] = &[
    "work_done",
    "work_fail",
    "task_get",
    "task_update",
    "comment_add",
    "deliverable_submit",
    "read",
    "write",
    "edit",
    "search",
    "exec",
    "tool_search",
];
/// Sent with each chat or API run.
const TALK: &[&str] = &[
    "task_list",
    "task_get",
    "task_create",
    "task_update",
    "comment_add",
    "read",
    "edit",
    "search",
    "exec",
    "web_fetch",
    "tool_search",
];
/// What agents may do in the workspace; approving is for people.
const RIGHTS: &[Can] = &[Can::Open, Can::Read, Can::Write, Can::Chat];

/// The tools that end a run; only one that serves an item has such an end.
pub(crate) const ENDS: &[&str] = &["work_done", "work_fail", "work_snooze"];

/// Whether an agent may use a tool at all.
pub(super) fn may_use(agent: &Agent, trigger: RunTrigger, entry: &Entry) -> bool {
    let ends_work = ENDS.contains(&entry.spec.name);
    RIGHTS.contains(&entry.spec.needs)
        && (agent.exec || entry.spec.effect != Effect::Exec)
        && (trigger == RunTrigger::Item || !ends_work)
}

/// The tools that a run is offered: the core set, then those that were found.
pub(super) fn offered(
    engine: &Engine,
    agent: &Agent,
    trigger: RunTrigger,
    loaded: &[String],
) -> Vec<ToolDef> {
    let core = if trigger == RunTrigger::Item { WORK } else { TALK };
    let found = loaded.iter().map(String::as_str).filter(|name| !core.contains(name));
    core.iter()
        .copied()
        .chain(found)
        .filter_map(|name| engine.tools.get(name))
        .filter(|entry| may_use(agent, trigger, entry))
        .map(definition)
        .collect()
}

pub(super) fn definition(entry: &Entry) -> ToolDef {
    ToolDef {
        name: entry.spec.name.to_owned(),
        description: entry.spec.about.to_owned(),
        schema: entry.schema.clone(),
    }
}

/// A call as the model made it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

impl Call {
    pub(super) fn of((id, name, arguments): (&str, &str, &str)) -> Self {
        let name = match name {
            "ls" => "list",
            "glob" | "grep" => "search",
            other => other,
        };
        Self { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::{TALK, WORK, definition};
    use crate::net::client::{ClientParts, HttpClient};
    use crate::runtime::tools;
    use crate::sandbox::spawn::Spawner;

    fn size(names: &[&str]) -> usize {
        let own = tools::Own {
            sandbox: Spawner::new("/bin/false".into()).unwrap(),
            http: HttpClient::new(ClientParts::default()),
            programs: 1,
        };
        let all = tools::registry(crate::features::tools(), own);
        let sizes = names.iter().map(|name| {
            let tool = definition(all.get(name).expect(name));
            tool.name.len() + tool.description.len() + tool.schema.to_string().len()
        });
        sizes.sum()
    }

    #[test]
    fn the_core_sets_exist_and_are_small() {
        assert!(size(WORK) < 6_000, "{}", size(WORK));
        assert!(size(TALK) < 6_000, "{}", size(TALK));
    }
}
