//! Link tools for agents.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use features::links::{queries, rules};
use features::tasks::queries as tasks;
use kernel::Can;
use store::WriteTx;
use tool::{Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().write(LinkAdd).write(LinkRemove)
}

/// `link_add`: links a task to something.
pub struct LinkAdd;

/// Arguments of `link_add`.
#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    /// address, MC-12, @agent, stream:Name, routine:Name, knowledge:Title, deliverable:id or file:id
    target: String,
    label: Option<String>,
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for LinkAdd {
    type Args = AddArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("link_add"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(
            "Link a task to a web page or another record, so that others can find it.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: AddArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let target = queries::meant(tx, &args.target, Some(cx.agent))?;
        let link = rules::add(tx, task.id, target, &args.label.unwrap_or_default())?;
        let description = queries::describe(tx, &link)?.unwrap_or_default();
        Ok(ToolOutput::text(format!("Linked {} to {description}.", tasks::name(tx, task.number)?)))
    }
}

/// `link_remove`: removes a link.
pub struct LinkRemove;

/// Arguments of `link_remove`.
#[derive(Deserialize, JsonSchema)]
pub struct RemoveArgs {
    /// what it leads to, written as for link_add
    target: String,
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for LinkRemove {
    type Args = RemoveArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("link_remove"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Delete,
        about: Cow::Borrowed("Remove a link from a task."),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: RemoveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let target = queries::meant(tx, &args.target, Some(cx.agent))?;
        let link = queries::find(tx, task.id, &target)?;
        let link = link.ok_or(queries::LinkError::NotFound)?;
        rules::remove(tx, link.id)?;
        Ok(ToolOutput::text("Removed the link."))
    }
}
