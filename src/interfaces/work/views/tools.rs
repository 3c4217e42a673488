//! View tools for agents: shared views only; a person's private views stay private.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::views::queries::{self, ViewError};
use kernel::Can;
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(ViewList)
}

/// `view_list`: lists saved views.
pub struct ViewList;

/// Arguments of `view_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// Another list: `contacts`, `organizations` or the name of a collection.
    list: Option<String>,
}

#[derive(Serialize)]
struct Line {
    view: String,
    q: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    layout: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
}

impl ReadTool for ViewList {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("view_list"),
        group: Group::Tasks,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed(
            "List shared task views. To see a view's tasks, pass its q to task_list, with \
                assignee any.",
        ),
    };

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let list = args.list.as_deref().unwrap_or("tasks");
        let views = cx.ws.read(|snap| match queries::listing(snap, list)? {
            Some((listing, _)) => Ok(queries::shared(snap, &listing.path)?),
            None => Err(ViewError::NoList(list.to_owned())),
        })?;
        let lines = views.into_iter().map(|view| Line {
            view: view.name,
            q: view.look.q,
            layout: view.look.layout,
            group: view.look.group,
        });
        Ok(ToolOutput::of(&lines.collect::<Vec<_>>()))
    }
}
