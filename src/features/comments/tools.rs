//! What agents can do with comments.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{self, Reach};
use crate::features::tasks::queries as tasks;
use crate::kernel::Can;
use crate::store::WriteTx;
use crate::tool::{Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// The tools of this noun.
#[must_use]
pub fn tools() -> Registry {
    Registry::new().write(CommentAdd)
}

/// Comments on a task.
pub struct CommentAdd;

/// Arguments of `comment_add`.
#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    /// default: the one you work on
    task: Option<String>,
    /// Markdown
    body: String,
}

impl WriteTool for CommentAdd {
    type Args = AddArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: "comment_add",
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: "Comment on a task. @slug gives an agent work, @handle calls a person.",
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: AddArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = tasks::meant(tx, args.task.as_deref(), cx.task)?;
        let comment = rules::add(tx, task.id, &args.body, Reach::Usual)?;
        let name = tasks::name(tx, task.number)?;
        let called = comment.mentions.len() + comment.people.len();
        let told = match called {
            0 => String::new(),
            1 => " One was mentioned.".to_owned(),
            n => format!(" {n} were mentioned."),
        };
        Ok(ToolOutput::text(format!("Commented on {name}.{told}")))
    }
}
