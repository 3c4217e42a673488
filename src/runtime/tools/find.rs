//! `tool_search`: finds tools beyond the core set and loads their schemas for the rest of the session.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::toolbox;
use features::agents::model::Agent;
use features::agents::queries::reach;
use features::runs::model::Run;
use features::trust::queries as trust;
use features::trust::senders;
use features::workspace::queries::modules::Off;
use kernel::text::ellipsis;
use kernel::{Can, RunTrigger};
use store::{ReadExt, StoreError};
use tool::{
    Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, Toolset,
};

/// Most tools that one search loads, and most of HQ's own among them.
const LOADED: usize = 8;
const OWN: usize = 5;
/// Longest description of a tool in a result, in characters. The model gets the whole description with the schema.
const MAX_ABOUT: usize = 200;

pub(crate) struct ToolSearch {
    /// HQ's own tools.
    own: Vec<ToolSpec>,
}

impl ToolSearch {
    pub(crate) fn over(tools: &Registry) -> Self {
        Self { own: tools.iter().map(|entry| entry.spec.clone()).collect() }
    }

    /// The best matches among HQ's own tools and those of connected servers. A word in the name counts more than one in
    /// the description. Plurals match singulars.
    fn search<'t>(
        &'t self,
        query: &str,
        connected: &'t Toolset,
        may_use: impl Fn(&ToolSpec) -> bool,
    ) -> Vec<&'t ToolSpec> {
        let query = query.to_lowercase();
        let words = query.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 1);
        let one = |word| str::strip_suffix(word, 's').filter(|one| 2 < one.len()).unwrap_or(word);
        let words: Vec<&str> = words.map(one).collect();
        let score = |spec: &ToolSpec| {
            let (name, about) = (spec.name.to_lowercase(), spec.about.to_lowercase());
            let fits = |w: &&str| {
                if name.contains(*w) { 3 } else { usize::from(about.contains(*w)) }
            };
            let exact = usize::from(query.trim() == name) * 100;
            words.iter().map(fits).sum::<usize>() + exact
        };
        let connected = connected.of_layers().map(|entry| (&entry.spec, false));
        let all = self.own.iter().map(|spec| (spec, true)).chain(connected);
        let scored =
            all.filter(|(spec, _)| may_use(spec)).map(|(spec, own)| (score(spec), spec, own));
        let mut scored: Vec<_> = scored.filter(|(score, ..)| *score > 0).collect();
        scored.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        let mut own_ones = 0;
        scored.retain(|(.., own)| {
            own_ones += usize::from(*own);
            !own || own_ones <= OWN
        });
        scored.into_iter().take(LOADED).map(|(_, spec, _)| spec).collect()
    }

    /// The text if nothing was found: the names of HQ's own tools, and how many others there are.
    fn nothing(&self, connected: &Toolset, may_use: impl Fn(&ToolSpec) -> bool) -> String {
        let own = self.own.iter().filter(|spec| may_use(spec)).map(|spec| &*spec.name);
        let names = own.collect::<Vec<_>>().join(", ");
        match connected.of_layers().filter(|entry| may_use(&entry.spec)).count() {
            0 => format!("no tool matches; available: {names}"),
            count => format!(
                "no tool matches; available: {names}, and {count} of connected servers: search \
                 for what they do"
            ),
        }
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
        name: Cow::Borrowed("tool_search"),
        group: Group::Work,
        needs: Can::Read,
        effect: Effect::Control,
        about: Cow::Borrowed(
            "Find more tools: patches, programs, files, relations, templates, series, routines, inbox, colleagues, web, browser, sub-agents.",
        ),
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
        let may_use = |spec: &ToolSpec| {
            let name = &*spec.name;
            if is_away && toolbox::not_there(name).is_some() {
                return false;
            }
            let runs = matches!(name, "exec" | "process");
            (exec || !runs)
                && !off.has_tool(spec)
                && sender.as_ref().is_none_or(|sender| sender.may_use(spec))
                && (!locked || toolbox::is_for_locked(spec))
                && toolbox::is_for(trigger, child, name)
        };
        let found = self.search(&args.query, &cx.tools, may_use);
        if found.is_empty() {
            return Ok(ToolOutput::text(self.nothing(&cx.tools, may_use)));
        }
        let line = |spec: &&ToolSpec| {
            let about = spec.about.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{}: {}", spec.name, ellipsis(&about, MAX_ABOUT))
        };
        let lines: Vec<String> = found.iter().map(line).collect();
        let mut output = ToolOutput::text(format!("You can now use:\n{}", lines.join("\n")));
        output.load = found.iter().map(|spec| spec.name.to_string()).collect();
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;

    use kernel::Can;
    use serde_json::json;
    use tool::registry::{DynRead, Entry};
    use tool::{
        AnyTool, Effect, Group, Lease, Looks, Registry, ToolCx, ToolError, ToolOutput, ToolSpec,
        Toolset,
    };

    use super::ToolSearch;

    struct Nothing;

    impl DynRead for Nothing {
        fn looks(&self) -> Looks {
            Looks::Here
        }

        fn read<'a>(
            &'a self,
            _: &'a ToolCx,
            _: Lease,
        ) -> Pin<Box<dyn Future<Output = Result<ToolOutput, ToolError>> + Send + 'a>> {
            Box::pin(std::future::ready(Ok(ToolOutput::text(""))))
        }
    }

    fn spec(name: &str, about: &str) -> ToolSpec {
        let (name, about) = (name.to_owned().into(), about.to_owned().into());
        ToolSpec { name, group: Group::Connected, needs: Can::Read, effect: Effect::Read, about }
    }

    fn find() -> ToolSearch {
        let own = vec![
            spec("label_list", "List the labels of tasks."),
            spec("task_claim", "Claim an unassigned task and start it."),
            spec("template_get", "Preview a task template."),
            spec("template_list", "List task templates."),
        ];
        ToolSearch { own }
    }

    /// Tools of a server with these names.
    fn connected(names: impl IntoIterator<Item = String>) -> Toolset {
        let mut layer = Registry::new();
        for name in names {
            let spec = spec(&name, "Does a thing with issues.");
            let tool = AnyTool::Read(Box::new(Nothing));
            let entry = Entry::of_layer(spec, &json!({}), Arc::new(|_| Ok(())), tool);
            assert!(layer.put(entry.expect("its schema is usable")));
        }
        Toolset::new(Arc::default(), vec![Arc::new(layer)])
    }

    fn names(found: Vec<&ToolSpec>) -> Vec<&str> {
        found.into_iter().map(|spec| &*spec.name).collect()
    }

    #[test]
    fn a_tool_is_found_by_its_name_by_several_and_by_what_it_says_of_itself() {
        let (find, none) = (find(), Toolset::default());
        let found = |query: &str| names(find.search(query, &none, |_| true));
        assert_eq!(found("templates"), ["template_get", "template_list"]);
        assert_eq!(found("unassigned")[0], "task_claim");
        assert_eq!(found("label_list")[0], "label_list");
        assert!(found("spoons").is_empty());
        assert!(find.search("templates", &none, |spec| spec.name != "template_get").len() == 1);
    }

    #[test]
    fn tools_of_connected_servers_are_found_at_most_eight_at_once() {
        let find = find();
        let all = connected((0..500).map(|n| format!("tracker__issue_{n:03}")));
        let found = names(find.search("issues", &all, |_| true));
        assert_eq!(
            (found.len(), found[0], found[7]),
            (8, "tracker__issue_000", "tracker__issue_007")
        );
        let mixed = connected(["tracker__label_list".to_owned()]);
        assert_eq!(
            names(find.search("label", &mixed, |_| true)),
            ["label_list", "tracker__label_list"]
        );
        assert_eq!(
            names(find.search("tracker__issue_123", &all, |_| true))[0],
            "tracker__issue_123"
        );
        let text = find.nothing(&all, |_| true);
        assert!(
            text.ends_with("template_list, and 500 of connected servers: search for what they do"),
            "{text}"
        );
        assert!(!find.nothing(&mixed, |spec| !spec.name.contains("__")).contains("connected"));
    }
}
