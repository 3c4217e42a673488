//! Reads of MCP servers and their tools.

use kernel::Error;
use kernel::key::KeyBuf;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::model::{
    McpServer, McpServerId, McpState, McpTool, SERVER_BY_NAME, TOOL_BY_NAME, TOOL_BY_SERVER,
};

/// All servers with their revisions.
pub fn servers(read: &dyn Read) -> Result<Vec<McpServer>, StoreError> {
    read.list(&Range::all())
}

pub fn server_called(read: &dyn Read, name: &str) -> Result<Option<McpServer>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(name);
    read.find(SERVER_BY_NAME, &key)
}

pub fn state(read: &dyn Read, server: McpServerId) -> Result<McpState, StoreError> {
    Ok(read.get(server)?.unwrap_or_else(|| McpState::new(server)))
}

/// The tools of a server, by name.
pub fn tools(read: &dyn Read, server: McpServerId) -> Result<Vec<McpTool>, StoreError> {
    read.scan(TOOL_BY_SERVER, &Range::prefix(KeyBuf::of(&server)))
}

/// A tool by the name that agents use.
pub fn tool_called(read: &dyn Read, name: &str) -> Result<Option<McpTool>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(name);
    read.find(TOOL_BY_NAME, &key)
}

/// A tool by its server and the server's name for it.
pub fn tool_of(
    read: &dyn Read,
    server: McpServerId,
    tool: &str,
) -> Result<Option<McpTool>, StoreError> {
    let mut key = KeyBuf::of(&server);
    key.text(tool);
    read.find(TOOL_BY_SERVER, &key)
}

/// A tool of a server by the server's name for it, or by the one that agents use. `field` is the input with the name.
///
/// # Errors
/// If no tool has the name, or one has it at the server and another one for agents.
pub fn tool_meant(
    read: &dyn Read,
    server: McpServerId,
    (field, name): (&str, &str),
) -> Result<McpTool, Error> {
    let own = tool_of(read, server, name)?;
    let called = tool_called(read, name)?.filter(|tool| tool.server == server);
    let wrong = |text: String| Err(Error::field(field, text));
    let shown = kernel::text::ellipsis(name, 100);
    match (own, called) {
        (Some(own), Some(called)) if own.id != called.id => wrong(format!(
            "“{shown}” is the server’s name of one tool, and agents’ name of another. Use the page of the tool."
        )),
        (Some(tool), _) | (None, Some(tool)) => Ok(tool),
        (None, None) => wrong(format!("The server has no tool “{shown}”.")),
    }
}
