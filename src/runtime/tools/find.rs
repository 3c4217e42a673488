//! `tool_search`: finds tools beyond the core set and loads their schemas for the rest of the session.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::toolbox;
use features::agents::model::Agent;
use features::agents::queries::reach;
use features::runs::model::Run;
use features::trust::queries as trust;
use features::trust::senders;
use features::trust::tools as specs;
use features::workspace::queries::modules::Off;
use kernel::{Can, RunTrigger};
use store::{ReadExt, StoreError};
use tool::{Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

/// Most tools that one search loads.
const LOADED: usize = 5;

pub(crate) struct ToolSearch {
    /// Name and description of each tool.
    catalogue: Vec<(&'static str, &'static str)>,
}

impl ToolSearch {
    pub(crate) fn over(tools: &Registry) -> Self {
        Self { catalogue: tools.iter().map(|e| (e.spec.name, e.spec.about)).collect() }
    }

    /// The best matches. A word in the name counts more than one in the description. Plurals match singulars.
    fn search(
        &self,
        query: &str,
        may_use: impl Fn(&str) -> bool,
    ) -> Vec<(&'static str, &'static str)> {
        let query = query.to_lowercase();
        let words = query.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 1);
        let one = |word| str::strip_suffix(word, 's').filter(|one| 2 < one.len()).unwrap_or(word);
        let words: Vec<&str> = words.map(one).collect();
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
        about: "Find more tools: patches, programs, files, relations, templates, series, routines, inbox, colleagues, web, browser, sub-agents.",
    };
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let (agent, run, locked, off, sender) = cx.ws.read(|snap| {
            let agents = reach::agents_of(snap, cx.agent, cx.run)?;
            let locked = trust::is_locked(snap, &agents)?;
            let (agent, run) = (snap.get::<Agent>(cx.agent)?, snap.get::<Run>(cx.run)?);
            let sender = senders::of_run(snap, cx.run)?;
            let off = Off::of_agent(snap, cx.agent)?;
            Ok::<_, StoreError>((agent, run, locked, off, sender))
        })?;
        let child = cx.child.as_ref();
        let exec = agent.is_some_and(|agent| agent.exec) && child.is_none_or(|c| c.may_exec);
        let trigger = run.map_or(RunTrigger::Api, |run| run.trigger);
        let is_away = cx.ws.upstream.is_some();
        let may_use = |name: &str| {
            if is_away && toolbox::not_there(name).is_some() {
                return false;
            }
            let runs = matches!(name, "exec" | "process");
            let spec = specs::all().iter().find(|spec| spec.name == name);
            let looks = || spec.is_some_and(toolbox::is_for_locked);
            let is_allowed =
                sender.as_ref().is_none_or(|sender| spec.is_some_and(|spec| sender.may_use(spec)));
            let is_off = spec.is_some_and(|spec| off.has_tool(spec));
            (exec || !runs)
                && !is_off
                && is_allowed
                && (!locked || looks())
                && toolbox::is_for(trigger, child, name)
        };
        let found = self.search(&args.query, may_use);
        if found.is_empty() {
            let names = self.catalogue.iter().map(|(name, _)| *name).filter(|name| may_use(name));
            let names = names.collect::<Vec<_>>().join(", ");
            return Ok(ToolOutput::text(format!("no tool matches; available: {names}")));
        }
        let lines: Vec<String> =
            found.iter().map(|(name, about)| format!("{name}: {about}")).collect();
        let mut output = ToolOutput::text(format!("You can now use:\n{}", lines.join("\n")));
        output.load = found.iter().map(|(name, _)| (*name).to_owned()).collect();
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::ToolSearch;

    #[test]
    fn a_tool_is_found_by_its_name_by_several_and_by_what_it_says_of_itself() {
        let catalogue = vec![
            ("label_list", "List the labels of tasks."),
            ("task_claim", "Claim an unassigned task and start it."),
            ("template_get", "Preview a task template."),
            ("template_list", "List task templates."),
        ];
        let find = ToolSearch { catalogue };
        let found = |query: &str| -> Vec<&'static str> {
            find.search(query, |_| true).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(found("templates"), ["template_get", "template_list"]);
        assert_eq!(found("unassigned")[0], "task_claim");
        assert_eq!(found("label_list")[0], "label_list");
        assert!(found("spoons").is_empty());
        assert!(find.search("templates", |name| name != "template_get").len() == 1);
    }
}
