//! Agent tools for secrets. They list secrets and never show a value.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use kernel::Can;
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

use crate::given;
use crate::model::{Category, Secret};
use crate::queries;

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(List)
}

struct List;

/// Arguments of `secret_list`.
#[derive(Deserialize, JsonSchema)]
struct ListArgs {}

impl ReadTool for List {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("secret_list"),
        group: Group::Machine,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed(
            "List the keys and variables that your programs and requests can use, and how. \
            Never shows values.",
        ),
    };

    async fn read(&self, cx: &ToolCx, _args: ListArgs) -> Result<ToolOutput, ToolError> {
        let agent = cx.agent;
        let all = cx.ws.read_blocking(move |ws| {
            ws.read(|snap| {
                let mut all = Vec::new();
                for held in queries::held(snap, agent)? {
                    if held.secret.category == Category::User {
                        let value = queries::value(snap, held.secret.id)?;
                        let opens = given::opens(&ws.app, held.secret.id, value.as_ref());
                        all.push(to_json(&held.secret, opens));
                    }
                }
                Ok::<_, crate::error::VaultError>(all)
            })
        });
        let all = all.await?;
        match all.is_empty() {
            true => Ok(ToolOutput::text("You have no secrets.")),
            false => Ok(ToolOutput::of(&all)),
        }
    }
}

fn to_json(secret: &Secret, opens: bool) -> Value {
    json!({
        "key": secret.key,
        "name": secret.name,
        "note": secret.note,
        "hosts": secret.hosts,
        "way": secret.way,
        "use": queries::reaches(secret, opens),
    })
}
