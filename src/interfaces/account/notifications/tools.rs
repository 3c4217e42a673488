//! Notification tools for agents.

use schemars::JsonSchema;
use serde::Deserialize;

use features::notifications::rules;
use features::tasks::queries as tasks;
use kernel::Can;
use store::WriteTx;
use tool::{Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().write(NotifyOwner)
}

/// `notify_owner`: sends a notification to the person that the agent reports to.
pub struct NotifyOwner;

/// Arguments of `notify_owner`.
#[derive(Deserialize, JsonSchema)]
pub struct NotifyArgs {
    /// one line
    title: String,
    /// details
    body: Option<String>,
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for NotifyOwner {
    type Args = NotifyArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: "notify_owner",
        group: Group::Agents,
        needs: Can::Write,
        effect: Effect::Add,
        about: "Tell the person you report to something that needs no answer.",
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: NotifyArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = match (args.task, cx.task) {
            (Some(text), _) => Some(tasks::resolve(tx, &text)?.id),
            (None, own) => own,
        };
        let body = args.body.unwrap_or_default();
        let notice = rules::tell_owner(tx, cx.agent, task, (&args.title, &body))?;
        Ok(ToolOutput::text(match notice {
            true => "Sent.",
            false => "Not sent: no one has these notifications turned on.",
        }))
    }
}
