//! `tool_search`: loads the schemas of tools beyond the core set, for the rest of the session.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::features::agents::model::Agent;
use crate::features::runs::model::Run;
use crate::kernel::{Can, RunTrigger};
use crate::runtime::toolbox;
use crate::store::{ReadExt, StoreError};
use crate::tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

/// How many tools one search loads.
const LOADED: usize = 5;

/// Finds tools.
pub(crate) struct ToolSearch {
    /// All tools: name and what it says of itself.
    catalogue: Vec<(&'static str, &'static str)>,
}

impl ToolSearch {
    /// A search over these tools.
    pub(crate) fn over(tools: &Registry) -> Self {
        Self { catalogue: tools.iter().map(|e| (e.spec.name, e.spec.about)).collect() }
    }

    /// The tools that fit best: a word in the name counts more than one in the description.
    fn search(
        &self,
        query: &str,
        may_use: impl Fn(&str) -> bool,
    ) -> Vec<(&'static str, &'static str)> {
        let query = query.to_lowercase();
        let words: Vec<&str> =
            query.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 1).collect();
        let mut scored: Vec<(usize, (&str, &str))> = self
            .catalogue
            .iter()
            .filter(|(name, _)| may_use(name))
            .map(|entry| {
                let (name, about) = (entry.0, entry.1.to_lowercase());
                let fits = |w: &&&str| {
                    if name.contains(**w) { 3 } else { usize::from(about.contains(**w)) }
                };
                let exact = usize::from(query.trim() == name) * 100;
                (words.iter().map(|w| fits(&w)).sum::<usize>() + exact, *entry)
            })
            .filter(|(score, _)| *score > 0)
            .collect();
        scored.sort_by_key(|(score, entry)| (std::cmp::Reverse(*score), entry.0));
        scored.into_iter().take(LOADED).map(|(_, entry)| entry).collect()
    }
}

/// What `tool_search` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// Words or a tool's name.
    query: String,
}

impl ReadTool for ToolSearch {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: "tool_search",
        group: Group::Work,
        needs: Can::Read,
        effect: Effect::Control,
        about: "Find more tools: patches, running programs, files on tasks, colleagues, web pages, delegation, sub-agents, progress.",
    };

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let (agent, run) = cx.ws.read(|snap| {
            Ok::<_, StoreError>((snap.get::<Agent>(cx.agent)?, snap.get::<Run>(cx.run)?))
        })?;
        let child = cx.child.as_ref();
        let exec = agent.is_some_and(|agent| agent.exec) && child.is_none_or(|c| c.may_exec);
        let trigger = run.map_or(RunTrigger::Api, |run| run.trigger);
        let may_use = |name: &str| {
            let runs = matches!(name, "exec" | "process");
            (exec || !runs) && toolbox::is_for(trigger, child, name)
        };
        let found = self.search(&args.query, may_use);
        if found.is_empty() {
            let names = self.catalogue.iter().map(|(name, _)| *name).filter(|name| may_use(name));
            let names = names.collect::<Vec<_>>().join(", ");
            return Ok(ToolOutput::text(format!("no tool fits these words; there are: {names}")));
        }
        let lines: Vec<String> =
            found.iter().map(|(name, about)| format!("{name}: {about}")).collect();
        let mut output =
            ToolOutput::text(format!("You can use these from now on:\n{}", lines.join("\n")));
        output.load = found.iter().map(|(name, _)| (*name).to_owned()).collect();
        Ok(output)
    }
}
