//! Entity descriptors of browser switches and browser policies.

use entity::{Area, Entity, Field, Meaning, Type, text_of};
use kernel::Can;

use super::model::{AgentBrowser, BrowserPolicy, BrowserShot};

/// Descriptor of browser switches. Records have no name; history labels them by agent.
pub static AGENT_BROWSER: Entity = Entity {
    area: Area::Agents,
    fields: &[Field::text("agent", "agent").hidden().means(Meaning::Somebody)],
    path: |row| format!("agents/{}/browser", text_of(row, "agent")),
    undo: Some(Can::Agents),
    triggers: Some("Agents and runs"),
    tables: |schema| schema.with::<AgentBrowser>().with::<BrowserShot>(),
    ..Entity::of::<AgentBrowser>("agent_browser", "agent browser", "agent browsers")
};

/// Descriptor of browser policies. Records have no name; history labels them by agent.
pub static BROWSER_POLICY: Entity = Entity {
    area: Area::Agents,
    fields: &[
        Field::text("agent", "agent").hidden().means(Meaning::Somebody),
        Field::new("scripts", "scripts in pages", Type::YesNo),
        Field::new("allowed", "only these hosts", Type::List),
        Field::new("blocked", "never these hosts", Type::List),
    ],
    path: |row| format!("agents/{}/browser", text_of(row, "agent")),
    undo: Some(Can::Admin),
    triggers: Some("Agents and runs"),
    ..Entity::of::<BrowserPolicy>("browser_policy", "browser rule set", "browser rule sets")
};
