//! Tools of MCP servers: review, approval and switches.

use entity::{Area, Entity, Field, Fields, Stored, Values, text_of};
use kernel::{Can, Error, Timestamp};
use kit::{Acts, Extra, ExtraOf, Noun, Op, Reply, Row, Run, Section, SectionBody};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError, WriteTx};

use super::{OP, code, page, readable, slugs, text};
use crate::model::{McpServer, McpTool, McpToolId, Mode, SERVERS, ToolState};
use crate::{names, queries, rules};

pub static TOOL: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("server", "server").hidden(),
        Field::text("tool", "server’s name"),
        Field::text("definition", "definition").hidden().internal(),
        Field::text("hash", "definition hash").hidden(),
        Field::text("approval", "approval").hidden().internal(),
        Field::new("is_off", "turned off", entity::Type::YesNo),
        Field::lines("agents", "agents")
            .hidden()
            .about("that have it; all agents of the server if empty"),
        Field::new("is_missing", "missing", entity::Type::YesNo),
        Field::text("unusable", "why it can’t be used"),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/mcp-tools".to_owned(),
    // Approvals are not given back by an undo.
    undo: None,
    triggers: Some("MCP servers"),
    missing: "mcp_tool_not_found",
    ..Entity::stored::<McpTool>("mcp-tool", "MCP tool", "MCP tools")
};

pub static TOOLS: Noun = Noun {
    acts: Acts { create: false, change: true, delete: false },
    write: Can::Admin,
    param: "tool",
    find: Some(|read, name| {
        let tool = queries::tool_called(read, name)?;
        Ok(tool.map(|tool| kernel::key::KeyBuf::of(&tool.id).into_bytes()))
    }),
    proof: Some(|act, _| act == "approve"),
    extra: Some(Extra { schema: state_schema, prepare: states, in_lists: false }),
    ops: &[
        Op {
            name: "approve",
            about: "Approve the tool’s current definition",
            verb: "Approve",
            done: "Approved",
            input: &[Field::choice("as", "calls", Mode::WORDS, Mode::LABELS)
                .required()
                .usual("acts")
                .about("a tool that reads may be called again after a crash; the server only suggests which it is")],
            offered: |tool| {
                let state = text_of(tool, "state");
                state != ToolState::Unusable.word() && state != ToolState::Missing.word()
            },
            run: Run::Write(|cx, tx| {
                let tool: McpTool = cx.record(tx)?;
                let is_read = cx.text("as") == Mode::Reads.word();
                let mode = if is_read { Mode::Reads } else { Mode::Acts };
                rules::approve_tool(tx, &tool, mode)?;
                Ok(Reply::record(&tool.id))
            }),
            ..OP
        },
        Op {
            name: "turn-off",
            about: "Turn the tool off for all agents",
            verb: "Turn off",
            done: "Turned off",
            offered: |tool| !is_off(tool),
            run: Run::Write(|cx, tx| turn(cx, tx, true)),
            ..OP
        },
        Op {
            name: "turn-on",
            about: "Turn an approved tool on again",
            verb: "Turn on",
            done: "Turned on",
            offered: is_off,
            run: Run::Write(|cx, tx| turn(cx, tx, false)),
            ..OP
        },
    ],
    page: page(tool_row, || vec![SERVERS.name], "", detail),
    ..Noun::of(&TOOL, "mcp-tools", "Tools that agents can call on MCP servers, and those that wait for review")
};

fn is_off(tool: &Fields) -> bool {
    tool.get("is_off").and_then(Value::as_bool).unwrap_or_default()
}

fn turn(cx: &kit::OpCx<'_>, tx: &mut WriteTx<'_>, is_off: bool) -> Result<Reply, Error> {
    let tool: McpTool = cx.record(tx)?;
    rules::turn(tx, &tool, is_off)?;
    Ok(Reply::record(&tool.id))
}

impl Stored for McpTool {
    fn blank(_: &mut WriteTx<'_>) -> Self {
        store::Record::sample()
    }

    fn check(
        tx: &mut WriteTx<'_>,
        _: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        if given.contains_key("agents") {
            new.agents = slugs(tx, &new.agents)?;
        }
        Ok(rules::touch(tx, new.server)?)
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }
}

fn state_schema() -> Fields {
    let text = json!({ "type": "string" });
    Fields::from_iter([
        ("state".to_owned(), json!({ "type": "string", "enum": ToolState::WORDS })),
        ("server_name".to_owned(), text.clone()),
        ("mode".to_owned(), text.clone()),
        ("description".to_owned(), text),
        ("arguments".to_owned(), json!({ "description": "JSON Schema, as the server sent it" })),
        ("annotations".to_owned(), json!({ "description": "What the server suggests" })),
        ("output".to_owned(), json!({ "description": "JSON Schema of structured results" })),
        (
            "approved".to_owned(),
            json!({
                "description": "The definition that was approved, if the current one differs",
            }),
        ),
    ])
}

fn found(read: &dyn Read, record: &Fields) -> Result<Option<(McpTool, McpServer)>, StoreError> {
    let Ok(id) = text_of(record, "id").parse::<McpToolId>() else { return Ok(None) };
    let Some(tool) = read.get::<McpTool>(id)? else { return Ok(None) };
    let server = read.get::<McpServer>(tool.server)?;
    Ok(server.map(|server| (tool, server)))
}

fn states(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |record| {
        let Some((tool, server)) = found(read, record)? else { return Ok(Fields::new()) };
        let mode = tool.approval.as_ref().map(|approval| approval.mode.word());
        // ok: what cannot be read has no parts
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let mut definition = parsed(&tool.definition);
        let mut part = |key: &str| definition.get_mut(key).map(Value::take).unwrap_or_default();
        let former = tool.approval.as_ref().filter(|approval| approval.hash != tool.hash);
        let former = former.map(|approval| parsed(&approval.definition));
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(tool.state(&server).word())),
            ("server_name".to_owned(), json!(server.name)),
            ("mode".to_owned(), json!(mode.unwrap_or_default())),
            ("description".to_owned(), json!(super::described(&tool))),
            ("arguments".to_owned(), part("inputSchema")),
            ("annotations".to_owned(), part("annotations")),
            ("output".to_owned(), part("outputSchema")),
            ("approved".to_owned(), json!(former)),
        ]))
    }))
}

fn tool_row(record: &Fields) -> Row {
    let word = text_of(record, "state");
    let state = ToolState::WORDS.iter().position(|known| *known == word).map(|at| {
        let tone = match ToolState::ALL[at] {
            ToolState::Approved => "ok",
            ToolState::New | ToolState::Changed | ToolState::Quarantined => "warn",
            ToolState::Off => "",
            ToolState::Missing | ToolState::Unusable => "bad",
        };
        (ToolState::LABELS[at], tone)
    });
    let mode = text_of(record, "mode");
    let mode = Mode::WORDS.iter().position(|known| *known == mode).map(|at| Mode::LABELS[at]);
    let marks = mode.into_iter().map(|label| (label.to_owned(), String::new())).collect();
    let about = kernel::text::ellipsis(text_of(record, "description"), 160);
    Row { name: text_of(record, "name").to_owned(), about, state, marks, ..Row::default() }
}

fn detail(_: &app::Ws, read: &dyn Read, record: &Fields) -> Result<Vec<Section>, StoreError> {
    let Some((tool, server)) = found(read, record)? else { return Ok(Vec::new()) };
    let definition: Value = serde_json::from_str(&tool.definition).unwrap_or_default();
    let part = |key: &str| match definition.get(key) {
        Some(part) => readable(&part.to_string()),
        None => String::new(),
    };
    let mut sections = vec![
        text("Server", format!("{} · {}", server.name, names::visible(&tool.tool))),
        text("Description", super::described(&tool)),
        code("Arguments", part("inputSchema")),
    ];
    if !tool.unusable.is_empty() {
        sections.insert(0, text("Can’t be used", tool.unusable.clone()));
    }
    for (title, key) in
        [("Suggestions of the server", "annotations"), ("Structured result", "outputSchema")]
    {
        if definition.get(key).is_some() {
            sections.push(code(title, part(key)));
        }
    }
    if let Some(approval) = tool.approval.as_ref().filter(|approval| approval.hash != tool.hash) {
        let (old, new) = (readable(&approval.definition), readable(&tool.definition));
        let title = "Changes since the approval".to_owned();
        sections.insert(0, Section { title, body: SectionBody::Changes(old, new) });
    }
    Ok(sections)
}
