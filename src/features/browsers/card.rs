//! The card of switched-on browsers: all that the rest of HQ knows of them.

use kernel::Can;
use noun::{Area, Field, Meaning, Noun, text_of};

use super::model::{AgentBrowser, BrowserShot};

/// The card of switched-on browsers. A record has no name: history calls it by its agent.
pub static AGENT_BROWSER: Noun = Noun {
    area: Area::Agents,
    fields: &[Field::text("agent", "agent").hidden().means(Meaning::Somebody)],
    path: |row| format!("agents/{}/browser", text_of(row, "agent")),
    undo: Some(Can::Agents),
    triggers: Some("Agents and runs"),
    tables: |schema| schema.with::<AgentBrowser>().with::<BrowserShot>(),
    ..Noun::of::<AgentBrowser>("agent_browser", "browser of an agent", "browsers of agents")
};
