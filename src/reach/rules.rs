//! Writes of MCP servers: the tool list that a server sent, approvals, and the state of connections.

use features::trust::rules::revoke_allowed;
use kernel::{Error, ProblemKind, RowAct};
use mcp::wire::{Era, Tool};
use serde_json::Value;
use store::{ReadExt as _, StoreError, WriteTx};

use crate::model::{Approval, McpServer, McpServerId, McpState, McpTool, Mode, ToolState};
use crate::nouns::{SERVER, TOOL};
use crate::{names, pins, queries};

/// Largest definition of a tool in bytes. A record holds the current and the approved one.
const MAX_DEFINITION: usize = 28_000;
/// Longest reason why a tool cannot be used, in characters.
const MAX_REASON: usize = 300;
/// Longest name of a tool in characters, as the protocol recommends.
const MAX_TOOL_NAME: usize = 128;
/// Most tools of a server. Those after them are left out.
pub const MAX_TOOLS: usize = 1_000;

/// A tool as a server listed it: its definition, or why it has none that can be used.
#[derive(Clone, Debug)]
pub struct Listed {
    pub tool: String,
    pub definition: String,
    pub hash: String,
    pub unusable: String,
}

/// A sentence that may quote the server, for people.
fn reason(why: &str) -> String {
    web::form::sentence(&kernel::text::ellipsis(why, MAX_REASON))
}

impl Listed {
    /// Reads a listed tool. `check` says why its schema cannot be used.
    #[must_use]
    pub fn of(tool: &Tool, check: impl FnOnce(&Value) -> Result<(), String>) -> Self {
        let definition = tool.canonical();
        let hash = names::hex(&definition);
        // Reading a schema takes long if it is large, so its size is checked first.
        let unusable = if MAX_TOOL_NAME < tool.name.chars().count() {
            "Its name is too long.".to_owned()
        } else if MAX_DEFINITION < definition.len() {
            format!("Its definition is larger than {} KB.", MAX_DEFINITION / 1_000)
        } else {
            check(&tool.input_schema).err().map(|why| reason(&why)).unwrap_or_default()
        };
        let is_kept = definition.len() <= MAX_DEFINITION;
        Self {
            tool: kernel::text::cut(&tool.name, 4 * MAX_TOOL_NAME).to_owned(),
            definition: if is_kept { definition } else { String::new() },
            hash,
            unusable,
        }
    }
}

/// Makes agents' tool lists be read again.
pub fn touch(tx: &mut WriteTx<'_>, server: McpServerId) -> Result<(), StoreError> {
    let state = queries::state(tx, server)?;
    tx.put(&McpState { version: state.version + 1, ..state })?;
    Ok(())
}

/// Stores the tool list of a server. New and changed tools are off until a person approves them; the others go on.
pub fn sync(tx: &mut WriteTx<'_>, id: McpServerId, listed: &[Listed]) -> Result<(), Error> {
    let Some(server) = tx.get::<McpServer>(id)? else { return Ok(()) };
    let mut known = queries::tools(tx, id)?;
    let (mut hashes, mut is_changed) = (Vec::new(), false);
    for (at, one) in listed.iter().take(MAX_TOOLS).enumerate() {
        if listed[..at].iter().any(|other| other.tool == one.tool) {
            continue;
        }
        hashes.push(one.hash.as_str());
        let unusable = one.unusable.clone();
        let place = known.iter().position(|tool| tool.tool == one.tool);
        is_changed |= match place.map(|place| known.swap_remove(place)) {
            None => {
                add(tx, &server, one, unusable)?;
                true
            }
            Some(old) => {
                let (definition, hash) = (one.definition.clone(), one.hash.clone());
                let new = McpTool { definition, hash, unusable, is_missing: false, ..old.clone() };
                change(tx, &old, new)?
            }
        };
    }
    for gone in known {
        // A tool that was never approved is forgotten.
        is_changed |= match gone.approval.is_some() {
            true => change(tx, &gone, McpTool { is_missing: true, ..gone.clone() })?,
            false => {
                tx.delete::<McpTool>(gone.id)?;
                tx.emit(TOOL.event(&gone.id, RowAct::Deleted));
                true
            }
        };
    }
    hashes.sort_unstable();
    let catalogue = names::hex(&hashes.join("\n"));
    if catalogue != server.catalogue {
        change_server(tx, &server, McpServer { catalogue, ..server.clone() })?;
    }
    if is_changed {
        touch(tx, id)?;
    }
    Ok(())
}

fn add(
    tx: &mut WriteTx<'_>,
    server: &McpServer,
    one: &Listed,
    unusable: String,
) -> Result<(), Error> {
    let mut is_taken = false;
    let plain = names::callable(&server.name, &one.tool, |_| false);
    if queries::tool_called(tx, &plain)?.is_some() {
        is_taken = true;
    }
    let now = tx.now();
    let tool = McpTool {
        id: tx.new_id(),
        server: server.id,
        name: names::callable(&server.name, &one.tool, |_| is_taken),
        tool: one.tool.clone(),
        definition: one.definition.clone(),
        hash: one.hash.clone(),
        approval: None,
        is_off: false,
        agents: Vec::new(),
        is_missing: false,
        unusable,
        created_at: now,
        updated_at: now,
    };
    // A removed server may have had a tool of this name.
    revoke_allowed(tx, &tool.name)?;
    tx.put(&tool)?;
    tx.emit(TOOL.event(&tool.id, RowAct::Created));
    Ok(())
}

/// Writes a changed tool. Returns whether it differs.
fn change(tx: &mut WriteTx<'_>, old: &McpTool, new: McpTool) -> Result<bool, Error> {
    if *old == new {
        return Ok(false);
    }
    let new = McpTool { updated_at: tx.now(), ..new };
    tx.put(&new)?;
    tx.emit(TOOL.changed(old, &new));
    Ok(true)
}

fn change_server(tx: &mut WriteTx<'_>, old: &McpServer, new: McpServer) -> Result<(), Error> {
    let new = McpServer { updated_at: tx.now(), ..new };
    tx.put(&new)?;
    tx.emit(SERVER.changed(old, &new));
    Ok(())
}

fn conflict(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ProblemKind::Conflict, code, message)
}

/// Approves the configuration of a server.
pub fn approve_server(tx: &mut WriteTx<'_>, id: McpServerId) -> Result<(), Error> {
    let server = known(tx, id)?;
    if let Some(why) = pins::unpinned(&server.command) {
        return Err(conflict("mcp_unpinned", why));
    }
    if !server.is_approved() {
        for tool in queries::tools(tx, id)? {
            revoke_allowed(tx, &tool.name)?;
        }
    }
    let approved = server.fingerprint.clone();
    let (by, at) = (Some(tx.by()), Some(tx.now()));
    let new = McpServer { approved, approved_by: by, approved_at: at, ..server.clone() };
    change_server(tx, &server, new)?;
    touch(tx, id).map_err(Error::from)
}

fn known(tx: &WriteTx<'_>, id: McpServerId) -> Result<McpServer, Error> {
    tx.get(id)?.ok_or_else(|| SERVER.not_found(&id.to_string()))
}

/// Approves a tool's current definition.
pub fn approve_tool(tx: &mut WriteTx<'_>, old: &McpTool, mode: Mode) -> Result<(), Error> {
    let server = known(tx, old.server)?;
    match old.state(&server) {
        ToolState::Unusable => {
            return Err(conflict("mcp_tool_unusable", format!("{}: {}", old.name, old.unusable)));
        }
        ToolState::Missing => {
            let text = format!("the server no longer has the tool {}", old.name);
            return Err(conflict("mcp_tool_missing", text));
        }
        _ => {}
    }
    let is_other = |last: &Approval| last.hash != old.hash || last.mode != mode;
    if old.approval.as_ref().is_some_and(is_other) {
        revoke_allowed(tx, &old.name)?;
    }
    let approval = Approval {
        definition: old.definition.clone(),
        hash: old.hash.clone(),
        mode,
        by: tx.by(),
        at: tx.now(),
    };
    let new = McpTool { approval: Some(approval), is_off: false, ..old.clone() };
    change(tx, old, new)?;
    touch(tx, old.server)?;
    Ok(())
}

/// Turns a tool off, or on again.
pub fn turn(tx: &mut WriteTx<'_>, old: &McpTool, is_off: bool) -> Result<(), Error> {
    if !is_off && old.approved().is_none() {
        let text = "approve the tool first: its definition is new or has changed";
        return Err(conflict("mcp_tool_unapproved", text));
    }
    change(tx, old, McpTool { is_off, ..old.clone() })?;
    touch(tx, old.server)?;
    Ok(())
}

/// Withdraws the approval of a server, so that none of its tools can be called.
pub fn withdraw(tx: &mut WriteTx<'_>, id: McpServerId) -> Result<(), Error> {
    let server = known(tx, id)?;
    let new = McpServer {
        approved: String::new(),
        approved_by: None,
        approved_at: None,
        ..server.clone()
    };
    change_server(tx, &server, new)?;
    touch(tx, id)?;
    Ok(())
}

/// Stores the result of a connection: the era that the server speaks, or `None` if it is not reachable.
pub fn report(
    tx: &mut WriteTx<'_>,
    id: McpServerId,
    era: Option<Era>,
    detail: &str,
) -> Result<(), Error> {
    if tx.get::<McpServer>(id)?.is_none() {
        return Ok(());
    }
    let old = queries::state(tx, id)?;
    let is_ok = era.is_some();
    let era = match era {
        Some(Era::Modern) => "modern".to_owned(),
        Some(Era::Legacy) => "legacy".to_owned(),
        None => old.era.clone(),
    };
    let has_crashed = old.has_crashed && !is_ok;
    let version = old.version + u64::from(old.has_crashed != has_crashed);
    let detail = detail.to_owned();
    let checked_at = Some(tx.now());
    tx.put(&McpState { server: id, version, detail, is_ok, era, has_crashed, checked_at })?;
    Ok(())
}

/// Turns a server off that crashed too often.
pub fn crashed(tx: &mut WriteTx<'_>, id: McpServerId, detail: &str) -> Result<(), Error> {
    if tx.get::<McpServer>(id)?.is_none() {
        return Ok(());
    }
    let old = queries::state(tx, id)?;
    let (version, detail) = (old.version + 1, detail.to_owned());
    let checked_at = Some(tx.now());
    tx.put(&McpState { version, detail, is_ok: false, has_crashed: true, checked_at, ..old })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mcp::wire::Tool;
    use serde_json::json;

    use super::Listed;

    #[test]
    fn the_schema_of_a_large_definition_is_not_read() {
        let of = |about: usize| {
            let about = "x".repeat(about);
            let tool = json!({ "name": "a", "description": about, "inputSchema": {} });
            Tool::from_value(tool).unwrap()
        };
        let large = Listed::of(&of(30_000), |_| panic!("it is not read"));
        assert_eq!(large.unusable, "Its definition is larger than 28 KB.");
        assert!(large.definition.is_empty() && !large.hash.is_empty());
        let wrong = Listed::of(&of(10), |_| Err("it is wrong ".repeat(100)));
        assert!(wrong.unusable.chars().count() <= 301, "{}", wrong.unusable);
    }
}
