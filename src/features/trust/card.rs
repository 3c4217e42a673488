//! Entity descriptors of modes and permissions.

use entity::{Area, Entity, Field, Fields, Meaning, Type, named_as, text_of};
use kernel::{Can, Event};
use store::{ReactionError, WriteTx};

use super::model::{AgentTrust, Approval, JudgedCall, Permission, PermissionUse};
use super::rules;

/// Descriptor of modes. A record has no name; history shows its agent's.
pub static AGENT_TRUST: Entity = Entity {
    area: Area::Agents,
    fields: &[
        Field::text("agent", "agent").hidden().means(Meaning::Somebody),
        Field::text("mode", "mode"),
    ],
    path: |row| format!("agents/{}/behaviour", text_of(row, "agent")),
    undo: Some(Can::Admin),
    triggers: Some("Agents and runs"),
    ..Entity::of::<AgentTrust>("agent_mode", "agent mode", "agent modes")
};

/// Descriptor of permissions.
pub static PERMISSION: Entity = Entity {
    area: Area::Agents,
    fields: &[
        Field::text("tool", "tool").called("title"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::text("leave", "answer"),
        Field::text("note", "reason"),
        Field::new("expires_at", "end", Type::Moment),
        Field::text("what", "calls").hidden(),
        Field::text("run", "run").hidden(),
    ],
    title: |row| text_of(row, "tool").to_owned(),
    path: permission_path,
    undo: Some(Can::Admin),
    triggers: Some("Agents and runs"),
    tables: |schema| {
        let schema = schema.with::<Permission>().with::<PermissionUse>();
        schema.with::<Approval>().with::<JudgedCall>()
    },
    react: Some(react),
    ..Entity::of::<Permission>("permission", "permission", "permissions")
};

fn permission_path(row: &Fields) -> String {
    match text_of(row, "agent") {
        "" => "settings/policy".to_owned(),
        agent => format!("agents/{agent}/behaviour"),
    }
}

/// Withdraws the approvals of an ended run.
fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    match event {
        Event::RunEnded { run, .. } => named_as("permissions", rules::withdraw(tx, *run)),
        _ => Ok(()),
    }
}
