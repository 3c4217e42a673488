//! Agent tools for sources: list them, and write to those that people made writable. Agents read source content as
//! knowledge.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use kernel::{Can, Cause};
use store::Read;
use tool::{ActTool, Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec};

use crate::error::SourceError;
use crate::queries;
use crate::sync::{self, Said};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(List).act(Write)
}

struct List;

/// Arguments of `source_list`.
#[derive(Deserialize, JsonSchema)]
struct ListArgs {}

impl ReadTool for List {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("source_list"),
        group: Group::Knowledge,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed(
            "List the folders and sites that are synced as knowledge, and which of them you can \
            write to.",
        ),
    };

    async fn read(&self, cx: &ToolCx, _args: ListArgs) -> Result<ToolOutput, ToolError> {
        let all = cx.ws.read_blocking(|ws| ws.read(|snap| listed(snap))).await?;
        match all.is_empty() {
            true => Ok(ToolOutput::text("There are no sources.")),
            false => Ok(ToolOutput::of(&all)),
        }
    }
}

fn listed(read: &dyn Read) -> Result<Vec<Value>, SourceError> {
    let one = |source: crate::model::Source| {
        let standing = queries::standing(read, source.id, source.created_at)?;
        Ok(json!({
            "id": source.id.to_string(),
            "name": source.name,
            "connector": source.provider,
            "reads": source.reads,
            "items": queries::count(read, source.id)?,
            "status": if source.paused { "paused" } else { standing.status.word() },
            "writable": source.writable,
            "synced_at": standing.synced_at.map(|at| at.to_string()),
        }))
    };
    queries::sources(read)?.into_iter().map(one).collect()
}

struct Write;

/// Arguments of `source_write`.
#[derive(Deserialize, JsonSchema)]
struct WriteArgs {
    /// its id or name
    source: String,
    /// such as notes/today.md
    path: String,
    /// the full file
    text: String,
    /// the hash from knowledge_read, to change a file; without it the file must be new
    base: Option<String>,
}

impl ActTool for Write {
    type Args = WriteArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("source_write"),
        group: Group::Knowledge,
        needs: Can::Write,
        effect: Effect::External,
        about: Cow::Borrowed(
            "Write a text file to a folder that is synced as knowledge, if source_list says \
                writable. Changes by others since you read it are never overwritten.",
        ),
    };

    async fn act(&self, cx: &ToolCx, args: WriteArgs) -> Result<ToolOutput, ToolError> {
        let base = args.base.filter(|base| !base.trim().is_empty());
        let base = match base.as_deref().map(queries::unhex) {
            Some(None) => {
                let words =
                    "base must be the 64-character hash that knowledge_read shows for the item";
                return Err(SourceError::field("base", words).into());
            }
            known => known.flatten(),
        };
        let (source, place) = (args.source.clone(), args.path.clone());
        let request = Said { source: args.source, place: args.path, text: args.text, base };
        let who =
            (kernel::Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
        match sync::write(&cx.ws, &who, request).await {
            Ok(hash) => {
                let hash = hex::encode(hash);
                Ok(ToolOutput::text(format!("Wrote {place} in {source}; its base is now {hash}.")))
            }
            Err(SourceError::Conflict(why)) => Err(SourceError::Conflict(format!(
                "{} Nothing was written. It is being synced: read the item again in a moment, and \
                 apply your change to the current text",
                why.trim_end()
            ))
            .into()),
            Err(error) => Err(error.into()),
        }
    }
}
