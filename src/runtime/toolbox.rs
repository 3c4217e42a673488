//! Which tools a run is offered. A core set is in each request, in a fixed order that keeps the prompt prefix cached.
//! Tools found by `tool_search` are appended for the rest of the session.

use serde_json::{Map, Value};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::reach;
use features::runs::model::Run;
use features::trust::authorize;
use features::trust::queries as trust;
use features::trust::senders;
use features::workspace::queries::modules::Off;
use kernel::RunTrigger;
use providers::model::ToolDef;
use store::StoreError;
use tool::registry::Entry;
use tool::{ChildCx, Effect, ToolSpec, Toolset};

use super::tools::subagents;
use super::{cron, questions};

/// Core set of runs that serve an item, in this order, so that the prefix stays cached.
const WORK: &[&str] = &[
    "work_done",
    "work_fail",
    "ask_person",
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
/// Also offered to an agent with reports, which delegates work.
const LEADS: &str = "task_delegate";
/// Also offered if the workspace has knowledge.
const KNOWS: &str = "knowledge_search";
/// Also offered if people have set up web search.
const SEARCHES: &str = "web_search";
/// Core set of chat and API runs.
const TALK: &[&str] = &[
    "task_list",
    "task_get",
    "task_create",
    "task_update",
    "comment_add",
    "memory_search",
    "memory_append",
    "read",
    "edit",
    "search",
    "exec",
    "web_fetch",
    "tool_search",
];
/// Core set of sub-agents.
const PART: &[&str] = &[
    "task_get",
    "memory_search",
    "read",
    "write",
    "edit",
    "search",
    "exec",
    "web_fetch",
    "tool_search",
];
/// Models with a smaller context window, in tokens, get a smaller core set; `tool_search` finds the rest.
pub(super) const LEAN: u32 = 32_000;
/// Small core set of runs that serve an item.
const LEAN_WORK: &[&str] =
    &["work_done", "work_fail", "task_get", "comment_add", "read", "write", "tool_search"];
/// Small core set of chat and API runs.
const LEAN_TALK: &[&str] = &["task_list", "task_get", "task_create", "read", "tool_search"];
/// Small core set of sub-agents.
const LEAN_PART: &[&str] = &["read", "write", "search", "tool_search"];
/// Not for sub-agents: tools for colleagues, memory and the outcome of the work.
const NOT_FOR_PARTS: &[&str] = &[
    "work_done",
    "work_fail",
    "work_snooze",
    "agent_list",
    "message_agent",
    "channel_send",
    "task_delegate",
    "task_escalate",
    "task_claim",
    "task_archive",
    "series_save",
    "series_control",
    "stream_save",
    "label_save",
    "template_save",
    "template_spawn",
    "inbox_list",
    "inbox_drop",
    "routine_save",
    "routine_delete",
    "page_create",
    "page_update",
    "skill_save",
    "memory_append",
    "memory_replace",
];
/// Tools that end a run; only for runs that serve an item.
pub(crate) const ENDS: &[&str] = &["work_done", "work_fail", "work_snooze"];

/// Tools with which a run waits.
pub(super) const PARKS: &[&str] = &["ask_person", "wait_until", WAITS];

/// Those that may wait for days.
const LONG: &[&str] = &["ask_person", "wait_until"];

/// The tool that waits for sub-agents.
pub(super) const WAITS: &str = subagents::ALL[1];

/// Returns `true` if a tool fits the kind of run, whatever its agent may use.
pub(crate) fn is_for(trigger: RunTrigger, child: Option<&ChildCx>, name: &str) -> bool {
    match child {
        Some(child) => {
            let spawns = subagents::ALL.contains(&name);
            !NOT_FOR_PARTS.contains(&name) && (child.may_spawn || !spawns)
        }
        None if trigger == RunTrigger::Item => true,
        // An API client waits for the response, and nobody reads a question.
        None => !(ENDS.contains(&name) || trigger == RunTrigger::Api && LONG.contains(&name)),
    }
}

/// Returns `true` if an agent may use a tool at all.
pub(super) fn may_use(
    (agent, off): (&Agent, &Off),
    trigger: RunTrigger,
    child: Option<&ChildCx>,
    entry: &Entry,
) -> bool {
    !off.has_tool(&entry.spec)
        && (agent.exec || entry.spec.effect != Effect::Exec)
        && is_for(trigger, child, &entry.spec.name)
}

/// Why an agent may not use a tool: code and text for the model.
pub(super) fn denied(off: &Off, spec: &ToolSpec) -> (&'static str, String) {
    let name = &spec.name;
    match off.of_tool(spec) {
        Some(module) => (
            "module_off",
            format!(
                "you can't use {name}: the module {} is turned off in this workspace. Its data is \
                 kept. Continue without it; if the work needs it, report that an owner or admin \
                 has to turn it on under Settings → Modules",
                module.label
            ),
        ),
        None if off.lacks_channel(spec) => (
            "no_channel",
            format!("you can't use {name}: you have no channel. A person connects one in Settings"),
        ),
        None => ("denied", format!("you can't use {name} here")),
    }
}

/// Returns `true` if a locked agent is offered a tool: read-only tools, and `process` for running jobs.
pub(crate) fn is_for_locked(spec: &ToolSpec) -> bool {
    authorize::only_looks(spec.effect) || spec.name == "process"
}

/// Why a tool does not work on a host, in a text for the model.
pub(super) fn not_there(name: &str) -> Option<&'static str> {
    match name {
        "browser" | "browser_download" => Some(
            "you work on a gateway, and browsers only run on HQ's own machine: use web_fetch or \
             http_request, or tell a person that you need the browser",
        ),
        _ => None,
    }
}

/// The core set for a context window of this size.
fn core(trigger: RunTrigger, window: u32) -> &'static [&'static str] {
    match (trigger, window < LEAN) {
        (RunTrigger::Item, false) => WORK,
        (RunTrigger::Item, true) => LEAN_WORK,
        (RunTrigger::Chat | RunTrigger::Api, false) => TALK,
        (RunTrigger::Chat | RunTrigger::Api, true) => LEAN_TALK,
        (RunTrigger::Child, false) => PART,
        (RunTrigger::Child, true) => LEAN_PART,
    }
}

/// What a run needs further tools for.
#[derive(Clone, Copy, Default)]
pub(super) struct Further {
    /// The agent has reports.
    pub leads: bool,
    /// The workspace has knowledge.
    pub knows: bool,
    /// People have set up web search.
    pub searches: bool,
}

/// The tools offered to a run: the core set, then those that were found.
pub(super) fn offered(
    tools: &Toolset,
    (agent, off, further): (&Agent, &Off, Further),
    (trigger, window): (RunTrigger, u32),
    child: Option<&ChildCx>,
    loaded: &[String],
) -> Vec<ToolDef> {
    let core = core(trigger, window);
    let Further { leads, knows, searches } = further;
    let leads = (leads && trigger != RunTrigger::Child && LEAN <= window).then_some(LEADS);
    let knows = (knows && LEAN <= window).then_some(KNOWS);
    let searches = (searches && LEAN <= window).then_some(SEARCHES);
    let core = || core.iter().copied().chain(leads).chain(knows).chain(searches);
    let found = loaded.iter().map(String::as_str).filter(|name| core().all(|known| known != *name));
    core()
        .chain(found)
        .filter_map(|name| tools.get(name))
        .filter(|entry| may_use((agent, off), trigger, child, entry))
        .map(definition)
        .collect()
}

/// Removes tools that do not work on a host, those that the sender of a messenger's message may not use, and for a
/// locked agent all tools that change something. Returns whether the agent is locked.
pub(super) fn hold_back(
    tools: &Toolset,
    ws: &Ws,
    run: &Run,
    offered: &mut Vec<ToolDef>,
) -> Result<bool, StoreError> {
    let (locked, sender) = ws.read(|snap| {
        let agents = reach::agents_of(snap, run.agent, run.id)?;
        Ok::<_, StoreError>((trust::is_locked(snap, &agents)?, senders::of_run(snap, run.id)?))
    })?;
    let stays = |tool: &ToolDef| {
        tools.get(&tool.name).is_some_and(|Entry { spec, .. }| {
            (!locked || is_for_locked(spec))
                && sender.as_ref().is_none_or(|sender| sender.may_use(spec))
        })
    };
    let works = |tool: &ToolDef| ws.upstream.is_none() || not_there(&tool.name).is_none();
    offered.retain(|tool| works(tool) && stays(tool));
    Ok(locked)
}

pub(super) fn definition(entry: &Entry) -> ToolDef {
    ToolDef {
        name: entry.spec.name.to_string(),
        description: entry.spec.about.to_string(),
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
        let (name, arguments) = meant(name, arguments);
        Self { id: id.to_owned(), name, arguments }
    }
}

/// Returns `true` if a name means one of HQ's tools.
pub(super) fn is_ours(tools: &Toolset, name: &str) -> bool {
    tools.get(name).is_some() || meant(name, "{}").0 != name
}

/// Maps a call from another well-known tool name to HQ's name.
fn meant(name: &str, arguments: &str) -> (String, String) {
    let as_it_is = |name: &str| (name.to_owned(), arguments.to_owned());
    match name {
        "ls" => as_it_is("list"),
        "ask_person" | "ask_user" | "ask_human" => {
            mapped("ask_person", arguments, questions::put_into_one)
        }
        "glob" => mapped("search", arguments, |given| {
            if let Some(pattern) = given.remove("pattern") {
                given.insert("glob".to_owned(), pattern);
            }
        }),
        "grep" => mapped("search", arguments, |given| {
            given.entry("regex").or_insert(true.into());
        }),
        "result_read" => mapped("read", arguments, |given| {
            let id = match given.remove("id") {
                Some(Value::String(id)) => id,
                Some(id) => id.to_string(),
                None => return,
            };
            let id = id.strip_prefix("result:").unwrap_or(&id);
            given.insert("path".to_owned(), format!("result:{id}").into());
        }),
        "view_image" | "image_view" => as_it_is("read"),
        "memory_get" => as_it_is("memory_read"),
        "progress_card" | "update_plan" => as_it_is("progress"),
        "sessions_spawn" => as_it_is("subagent_spawn"),
        "sessions_yield" => as_it_is("subagent_wait"),
        "cron" => match serde_json::from_str(arguments) {
            Ok(Value::Object(given)) => match cron::as_routine(given) {
                Some((tool, given)) => (tool.to_owned(), Value::Object(given).to_string()),
                None => as_it_is("cron"),
            },
            _ => as_it_is("routine_save"),
        },
        other => as_it_is(other),
    }
}

fn mapped(
    name: &str,
    arguments: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) -> (String, String) {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(mut given)) => {
            change(&mut given);
            (name.to_owned(), Value::Object(given).to_string())
        }
        _ => (name.to_owned(), arguments.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Call, LEADS, LEAN_PART, LEAN_TALK, LEAN_WORK, PART, TALK, WORK, definition, subagents,
    };
    use crate::tools;
    use features::trust::senders::SenderRights;
    use kernel::time::SystemClock;
    use kernel::{Can, Role};
    use net::client::{ClientParts, HttpClient};
    use providers::base::{Wire, normalise};
    use providers::model::ToolDef;
    use providers::wire::Connection;
    use sandbox::spawn::Spawner;
    use serde_json::json;
    use tool::registry::{Entry, Registry};
    use tool::{AnyTool, Effect, Looks, ToolSpec};

    fn hands() -> Registry {
        Registry::new().merge(interfaces_work::tools()).merge(interfaces_agents::tools())
    }

    fn all() -> Registry {
        let own = tools::Own {
            sandbox: Spawner::new("/bin/false".into()).unwrap(),
            jobs: crate::jobs::Jobs::default(),
            http: HttpClient::new(ClientParts::default()),
            programs: 1,
            trusted: crate::Trusted::default(),
        };
        tools::registry(hands(), own)
    }

    fn size(names: &[&str]) -> usize {
        let all = all();
        let sizes = names.iter().map(|name| {
            let tool = definition(all.get(name).expect(name));
            tool.name.len() + tool.description.len() + tool.schema.to_string().len()
        });
        sizes.sum()
    }

    #[test]
    fn other_names_of_a_tool_mean_the_same() {
        let call = |name, arguments| {
            let call = Call::of(("1", name, arguments));
            (call.name, call.arguments)
        };
        let own = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
        assert_eq!(call("glob", r#"{"pattern":"*.md"}"#), own("search", r#"{"glob":"*.md"}"#));
        let grep = call("grep", r#"{"pattern":"a+"}"#);
        assert_eq!(grep, own("search", r#"{"pattern":"a+","regex":true}"#));
        assert_eq!(call("result_read", r#"{"id":3}"#), own("read", r#"{"path":"result:3"}"#));
        assert_eq!(call("ls", "{broken"), own("list", "{broken"));
        assert_eq!(call("cron", r#"{"action":"list"}"#), own("routine_list", "{}"));
        let run = r#"{"action":"run","jobId":"7"}"#;
        assert_eq!(call("cron", run), own("cron", run));
        let (name, arguments) = call("ask_user", r#"{"questions":[{"question":"Who?"}]}"#);
        let given: serde_json::Value = serde_json::from_str(&arguments).unwrap();
        let wanted = serde_json::json!({ "question": "Who?", "options": [] });
        assert_eq!((name.as_str(), given), ("ask_person", wanted));
    }

    #[test]
    fn the_core_sets_exist_and_are_small() {
        assert!(size(WORK) < 6_500, "{}", size(WORK));
        assert!(size(TALK) < 6_200, "{}", size(TALK));
        assert!(size(&[LEADS]) < 1_000, "{}", size(&[LEADS]));
        assert!(size(PART) < 5_000, "{}", size(PART));
        for (lean, usual) in [(LEAN_WORK, WORK), (LEAN_TALK, TALK), (LEAN_PART, PART)] {
            assert!(3 * size(lean) < 2 * size(usual), "{} of {}", size(lean), size(usual));
        }
        assert!(size(subagents::ALL) < 2_400, "{}", size(subagents::ALL));
    }

    #[test]
    fn a_copy_answers_for_what_only_looks_at_tasks_and_agents() {
        let all = all();
        let of = |wanted: Looks| {
            let looks = |entry: &&Entry| match &entry.tool {
                AnyTool::Read(tool) => tool.looks() == wanted,
                AnyTool::Write(_) | AnyTool::File(_) | AnyTool::Act(_) => false,
            };
            all.iter().filter(looks).map(|entry| &entry.spec).collect::<Vec<_>>()
        };
        let names = |specs: &[&ToolSpec]| {
            specs.iter().map(|spec| spec.name.to_string()).collect::<Vec<_>>()
        };
        let copied = of(Looks::Copy);
        // `tests/it/away/copy.rs` calls each of them online and offline; the results must be equal.
        assert_eq!(
            names(&copied),
            [
                "agent_list",
                "deliverable_get",
                "deliverable_list",
                "file_list",
                "task_get",
                "task_list"
            ]
        );
        assert!(copied.iter().all(|spec| spec.effect == Effect::Read && spec.needs == Can::Read));
        assert_eq!(
            names(&of(Looks::Here)),
            ["list", "memory_read", "memory_search", "read", "search", "tool_search", "web_fetch"]
        );
    }

    #[test]
    fn a_guest_and_a_room_are_offered_nothing_private() {
        let all = all();
        let of = |role, is_room| {
            let rights = SenderRights { role, name: String::new(), is_room };
            let may = all.iter().filter(|entry| rights.may_use(&entry.spec));
            may.map(|entry| &*entry.spec.name).collect::<Vec<_>>()
        };
        let guest = "agent_list deliverable_get deliverable_list file_list file_read inbox_list \
            routine_list series_list stream_list subagent_list task_get task_history \
            task_list template_get template_list tool_search view_list web_fetch";
        let guest: Vec<&str> = guest.split(' ').collect();
        assert_eq!(of(None, false), guest);
        assert_eq!(of(None, true), guest);
        assert_eq!(of(Some(Role::Viewer), true), guest);
        let room = of(Some(Role::Owner), true);
        assert!(room.contains(&"task_create") && guest.iter().all(|name| room.contains(name)));
        for private in ["read", "write", "search", "exec", "process", "memory_search"] {
            assert!(!room.contains(&private), "{private}");
        }
        let viewer = of(Some(Role::Viewer), false);
        let files = ["list", "memory_read", "memory_search", "read", "search"];
        assert_eq!(viewer.len(), guest.len() + files.len());
        assert!(files.iter().all(|name| viewer.contains(name)), "{viewer:?}");
        assert_eq!(of(Some(Role::Member), false).len(), all.iter().count());
    }

    #[test]
    fn every_provider_can_be_told_of_every_tool() {
        let base = normalise(Wire::Gemini, "").unwrap();
        let client = HttpClient::new(ClientParts::default());
        let line = Connection::new(client, std::sync::Arc::new(SystemClock), base, None);
        let gemini = providers::connect(Wire::Gemini, line);
        let all = all();
        assert!(10 < all.iter().count());
        for entry in all.iter() {
            assert_eq!(gemini.unfit(&definition(entry)), None);
        }
        // The same for what servers describe in their own way.
        for odd in [
            json!(true),
            json!({ "anyOf": [{ "required": ["a"], "properties": { "a": {} } }, {}] }),
            json!({ "properties": { "next": { "$ref": "#" }, "filter[id]": { "const": 1 } } }),
            json!({ "properties": { "a": { "type": "null" }, "b": { "not": {} }, "c": false } }),
            json!({ "properties": { "a": { "enum": [1, "b", null] }, "b": { "type": "array" } } }),
        ] {
            let schema = tool::schema::simplified(&odd).expect("it is usable").schema;
            let (name, description) = ("odd__tool".to_owned(), String::new());
            assert_eq!(gemini.unfit(&ToolDef { name, description, schema }), None, "{odd}");
        }
    }
}
