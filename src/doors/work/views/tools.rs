//! What agents do with saved views: read those that everybody has. A person's own are nobody else's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::views::queries;
use kernel::Can;
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

/// The noun that has views.
const NOUN: &str = "tasks";

/// The tools of this noun.
#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(ViewList)
}

/// Lists saved views.
pub struct ViewList;

/// Arguments of `view_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {}

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
        name: "view_list",
        group: Group::Tasks,
        needs: Can::Read,
        effect: Effect::Read,
        about: "List the views of tasks that everybody shares. Give the q of one to task_list, with assignee any, \
                to see its tasks.",
    };

    async fn read(&self, cx: &ToolCx, _: ListArgs) -> Result<ToolOutput, ToolError> {
        let views = cx.ws.read(|snap| queries::shared(snap, NOUN))?;
        let lines = views.into_iter().map(|view| Line {
            view: view.name,
            q: view.look.q,
            layout: view.look.layout,
            group: view.look.group,
        });
        Ok(ToolOutput::of(&lines.collect::<Vec<_>>()))
    }
}
