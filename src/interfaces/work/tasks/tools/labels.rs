//! What agents do with labels beside putting them on tasks: see which there are, and what each is for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{labels, marks};
use features::tasks::rules::labels::{self as rules, LabelPatch, NewLabel};
use kernel::Colour;
use store::WriteTx;
use tool::{Effect, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

pub struct LabelList;

/// Arguments of `label_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {}

#[derive(Serialize)]
struct Line {
    label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    about: String,
    tasks: usize,
    #[serde(flatten)]
    others: BTreeMap<&'static str, usize>,
}

impl ReadTool for LabelList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(
        "label_list",
        Effect::Read,
        "List the labels, what each is for and how many tasks, contacts and organizations have it.",
    );

    async fn read(&self, cx: &ToolCx, _: ListArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let (counts, others) = (marks::label_counts(snap)?, labels::Uses::read(snap)?);
            let lines = labels::all(snap)?.into_iter().map(|label| Line {
                others: others
                    .of(&label)
                    .into_iter()
                    .map(|one| (one.noun.many, one.count))
                    .collect(),
                tasks: counts.get(&label.id).copied().unwrap_or(0),
                label: label.name,
                about: label.description,
            });
            Ok(ToolOutput::of(&lines.collect::<Vec<_>>()))
        })
    }
}

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
