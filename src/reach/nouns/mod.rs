//! MCP servers and their tools on the kit.

use std::collections::HashSet;

use entity::{Entity, Fields};
use features::agents::queries as agents;
use kernel::{Can, Error};
use kit::{Answers, DetailOf, On, Op, OpCx, Page, Reply, Row, Run, Section, SectionBody};
use serde_json::{Value, json};
use store::{Read, WriteTx};
use tool::Effect;

mod server;
mod tools;

pub use server::{SERVER, SERVERS};
pub use tools::{TOOL, TOOLS};

use crate::model::McpTool;
use crate::names;

/// Descriptors, for schema, history, undo and search.
pub static NOUNS: [&Entity; 2] = [&SERVER, &TOOL];

const TABS: &[(&str, &str)] = &[("mcp-servers", "Servers"), ("mcp-tools", "Tools")];

const fn page(
    row: fn(&Fields) -> Row,
    live: fn() -> Vec<&'static str>,
    delete: &'static str,
    detail: DetailOf,
) -> Option<Page> {
    Some(Page { title: "Tools", row, live, delete, tabs: TABS, detail, others: kit::no_others })
}

/// Defaults of an operation.
pub(crate) const OP: Op = Op {
    name: "",
    on: On::One,
    can: Can::Admin,
    effect: Effect::Change,
    about: "",
    verb: "",
    done: "Saved",
    confirm: "",
    input: &[],
    answers: Answers::Record,
    tool: false,
    guide: kit::no_guide,
    links: &[],
    offered: kit::always,
    run: Run::Write(nothing),
};

fn nothing(cx: &OpCx<'_>, _: &mut WriteTx<'_>) -> Result<Reply, Error> {
    Ok(Reply::Record(cx.key()?.to_vec()))
}

/// Schema of an answer that is only a message.
pub(crate) fn message_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "message": { "type": "string" } },
        "required": ["message"],
    })
}

/// A list of agents as slugs, without duplicates.
pub(crate) fn slugs(read: &dyn Read, given: &[String]) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for name in given {
        let found = agents::by_name(read, name)?.filter(|agent| agent.archived_at.is_none());
        match found {
            Some(agent) => all.push(agent.slug),
            None => {
                let name = kernel::text::ellipsis(name, 60);
                return Err(Error::field("agents", format!("There is no agent “{name}”.")));
            }
        }
    }
    let mut seen = HashSet::new();
    all.retain(|slug| seen.insert(slug.clone()));
    Ok(all)
}

pub(crate) fn text(title: &str, text: impl Into<String>) -> Section {
    Section { title: title.to_owned(), body: SectionBody::Text(text.into()) }
}

pub(crate) fn code(title: &str, text: impl Into<String>) -> Section {
    Section { title: title.to_owned(), body: SectionBody::Code(text.into()) }
}

/// A definition with line breaks and without hidden characters, for people.
fn readable(definition: &str) -> String {
    let parsed = serde_json::from_str::<Value>(definition);
    let pretty = parsed.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    let text = pretty.unwrap_or_else(|| definition.to_owned());
    // JSON escapes make hidden characters visible only where they are written as escapes.
    names::visible(&text)
}

/// A text of the current definition, such as its description.
fn described(tool: &McpTool) -> String {
    let parsed = serde_json::from_str::<Value>(&tool.definition).unwrap_or_default();
    names::visible(parsed["description"].as_str().unwrap_or_default())
}
