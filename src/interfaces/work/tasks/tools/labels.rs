//! The tool that saves labels. It is older than the kit and hand-written, to keep its name and arguments.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spec;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::labels;
use features::tasks::rules::labels::{self as rules, LabelPatch, NewLabel};
use kernel::Colour;
use store::WriteTx;
use tool::{Effect, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// `label_save`: creates or changes a label.
pub struct LabelSave;

/// Arguments of `label_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// its name
    label: String,
    /// a new name for it
    rename: Option<String>,
    /// its purpose
    description: Option<String>,
    colour: Option<Colour>,
}

impl WriteTool for LabelSave {
    type Args = SaveArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "label_save",
        Effect::Add,
        "Create a label, or change its name or purpose. task_update adds labels to tasks.",
    );

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SaveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let kept = match labels::resolve(tx, &args.label) {
            Ok(label) => {
                let SaveArgs { rename: name, description, colour, .. } = args;
                rules::update(tx, label.id, LabelPatch { name, colour, description })?
            }
            // `rename` with an unknown label is an error, not a new label.
            Err(error @ TaskError::NoLabel(_)) if args.rename.is_some() => return Err(error.into()),
            Err(TaskError::NoLabel(_)) => {
                let description = args.description.unwrap_or_default();
                rules::create(tx, NewLabel { name: args.label, colour: args.colour, description })?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(ToolOutput::text(format!("Saved the label \"{}\".", kept.name)))
    }
}
