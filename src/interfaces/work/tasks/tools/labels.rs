//! The tool that saves labels. It has had its names and arguments before there was a kit, so it stays by hand.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spec;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::labels;
use features::tasks::rules::labels::{self as rules, LabelPatch, NewLabel};
use kernel::Colour;
use store::WriteTx;
use tool::{Effect, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// Makes or changes a label.
pub struct LabelSave;

/// Arguments of `label_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// its name
    label: String,
    /// a new name for it
    rename: Option<String>,
    /// what it is for
    description: Option<String>,
    colour: Option<Colour>,
}

impl WriteTool for LabelSave {
    type Args = SaveArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "label_save",
        Effect::Add,
        "Make a label, or rename it and say what it is for. task_update puts labels on tasks.",
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
            // A name for what is not there is a mistake in the name that is there.
            Err(error @ TaskError::NoLabel(_)) if args.rename.is_some() => return Err(error.into()),
            Err(TaskError::NoLabel(_)) => {
                let description = args.description.unwrap_or_default();
                rules::create(tx, NewLabel { name: args.label, colour: args.colour, description })?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(ToolOutput::text(format!("The label \"{}\" is kept.", kept.name)))
    }
}
