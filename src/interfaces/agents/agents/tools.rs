//! Agent tools: list agents, and send a message to one.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::agents::queries::elsewhere;
use features::agents::queries::{self, Activity};
use features::agents::rules::{self, Message};
use features::tasks::queries as tasks;
use kernel::Can;
use kernel::text::ellipsis;
use store::{StoreError, WriteTx};
use tool::{
    Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool,
};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(AgentList).write(MessageAgent)
}

pub struct AgentList;

/// Arguments of `agent_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// words in name or purpose
    q: Option<String>,
}

#[derive(Serialize)]
struct Line {
    slug: String,
    name: String,
    does: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    role: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domains: Vec<String>,
    /// Absent if unknown: an offline host knows the state of its own agents only.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reports_to: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    waiting_items: usize,
    /// Its machine is silent, so it reads messages later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unreachable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    you: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl ReadTool for AgentList {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("agent_list"),
        group: Group::Agents,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("List the company's agents: their purpose and current work."),
    };
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let now = cx.ws.app.clock.now();
        let words = args.q.unwrap_or_default().to_lowercase();
        let is_copy = cx.ws.upstream.is_some();
        let lines = cx.ws.read(|snap| {
            let mut lines = Vec::new();
            for agent in queries::all(snap)? {
                let text = format!(
                    "{} {} {} {} {} {}",
                    agent.name,
                    agent.slug,
                    agent.description,
                    agent.role,
                    agent.domains.join(" "),
                    agent.capabilities.join(" ")
                );
                let text = text.to_lowercase();
                if !words.split_whitespace().all(|word| text.contains(word)) {
                    continue;
                }
                let Activity { label, open, run, group, .. } =
                    queries::activity_seen(&cx.ws, snap, &agent, now)?;
                let is_known = !is_copy || run.is_some() || group == queries::Group::Off;
                let task = match run.and_then(|run| run.task) {
                    Some(task) => tasks::get(snap, task).ok(),
                    None => None,
                };
                let key = tasks::key(snap)?;
                let on = task.map_or_else(String::new, |t| format!(" on {key}-{}", t.number));
                let manager = queries::lines::named(snap, agent.reports_to)?;
                let silent = elsewhere::silent(&cx.ws, snap, agent.id)?;
                lines.push(Line {
                    reports_to: manager.map(|manager| manager.handle),
                    you: agent.id == cx.agent,
                    does: ellipsis(&agent.description, 160),
                    role: agent.role,
                    domains: agent.domains,
                    now: is_known.then(|| format!("{label}{on}")),
                    waiting_items: open,
                    unreachable: silent.is_some(),
                    slug: agent.slug,
                    name: agent.name,
                });
            }
            Ok::<_, StoreError>(lines)
        })?;
        Ok(ToolOutput::of(&lines))
    }
}

/// `message_agent`: sends a message to another agent.
pub struct MessageAgent;

/// Arguments of `message_agent`.
#[derive(Deserialize, JsonSchema)]
pub struct MessageArgs {
    /// its slug
    agent: String,
    /// at most 1,024 bytes
    text: String,
    /// the task it is about, such as MC-142
    task: Option<String>,
}

impl WriteTool for MessageAgent {
    type Args = MessageArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("message_agent"),
        group: Group::Agents,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(
            "Message another agent, who reads it as soon as it is free. For work that should be \
                tracked use task_delegate.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: MessageArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let Some(to) = queries::by_name(tx, &args.agent)? else {
            let known = queries::all(tx)?;
            let known: Vec<&str> = known.iter().map(|agent| agent.slug.as_str()).collect();
            let message =
                format!("there is no agent \"{}\"; available: {}", args.agent, known.join(", "));
            return Err(ToolError::refused("agent_not_found", message));
        };
        let task = match args.task.as_deref() {
            Some(text) => Some(tasks::resolve(tx, text)?.id),
            None => None,
        };
        let message = Message { from: cx.agent, to: to.id, task, text: args.text };
        let to = rules::send_message(tx, message)?;
        Ok(ToolOutput::text(format!("Sent your message to {}.", to.name)))
    }
}
