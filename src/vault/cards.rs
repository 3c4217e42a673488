//! Entity descriptors of secrets, uses and mask patterns. None of them leads to a value.

use entity::{Area, Entity, Field, Meaning, Type, text_of};
use features::agents::model::Agent;
use kernel::Can;
use serde_json::Value as Json;
use store::{Read, ReadExt as _, Schema, StoreError};

use crate::model::{Mask, Receipt, Scope, Secret, Use, Value};
use crate::queries;

pub static NOUNS: [&Entity; 3] = [&SECRET, &USE, &MASK];

pub static SECRET: Entity = Entity {
    area: Area::Workspace,
    tables: |schema: Schema| schema.with::<Secret>().with::<Value>().with::<Receipt>(),
    read: Can::Admin,
    // No undo: a name, host or agent must not return without a check of the present value.
    undo: None,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("key", "variable"),
        Field::text("note", "note"),
        Field::text("category", "category"),
        Field::text("scope", "available to").hidden(),
        Field::text("way", "way"),
        Field::new("named_only", "only when requested", Type::YesNo),
        Field::new("hosts", "hosts", Type::List),
        Field::text("places", "request places").hidden(),
        Field::new("plain", "not a secret", Type::YesNo),
        Field::new("version", "value version", Type::Number),
        Field::new("rotated_at", "value set", Type::Moment),
        Field::new("expires_at", "renew", Type::Moment),
        Field::new("removed_at", "removed", Type::Moment),
        Field::text("by", "by").hidden(),
    ],
    path: |row| format!("settings/secrets/{}", text_of(row, "id")),
    triggers: Some("The workspace"),
    shorten: Some(display_value),
    check: Some(check),
    ..Entity::of::<Secret>("secret", "secret", "secrets")
};

/// Prefix of every envelope.
const ENVELOPE: &str = "enc:v";

/// Check for `doctor`: each secret has a value, and none is stored unsealed.
fn check(read: &dyn Read) -> Result<Vec<(String, String)>, StoreError> {
    let mut wrong = Vec::new();
    for secret in queries::all(read)? {
        let fault = match queries::value(read, secret.id)? {
            None => "has no value; set one or remove it",
            Some(value) if !value.sealed.starts_with(ENVELOPE) => {
                "has a value that isn’t \
                encrypted"
            }
            Some(_) => continue,
        };
        wrong.push((secret.id.to_string(), format!("{} {fault}", secret.key)));
    }
    Ok(wrong)
}

/// Scopes in words; other values unchanged.
fn display_value(read: &dyn Read, name: &str, value: &Json) -> Json {
    let scope = (name == "scope").then(|| serde_json::from_value::<Scope>(value.clone()));
    // ok: a value that is no scope is shown as it is.
    let Some(scope) = scope.and_then(Result::ok) else { return value.clone() };
    Json::from(match scope {
        Scope::Workspace => "All agents".to_owned(),
        Scope::Gateway(id) => match queries::gateway_at(read, id) {
            Ok(one) => format!("All agents on {}", one.label),
            Err(_) => "All agents on a deleted gateway".to_owned(),
        },
        Scope::Agents(agents) if agents.is_empty() => "No one".to_owned(),
        Scope::Agents(agents) => {
            // ok: an unreadable agent counts as deleted.
            let name = |id| read.get::<Agent>(id).ok().flatten().map(|agent| agent.name);
            let names = agents.into_iter().map(name);
            let names = names.map(|name| name.unwrap_or_else(|| "a deleted agent".to_owned()));
            names.collect::<Vec<_>>().join(", ")
        }
    })
}

/// Feed and audit get the first use per secret and run.
pub static USE: Entity = Entity {
    area: Area::Workspace,
    read: Can::Admin,
    undo: None,
    fields: &[
        Field::text("secret", "secret").means(Meaning::One("secret")),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::text("task", "task").means(Meaning::One("task")),
        Field::text("run", "run").means(Meaning::One("run")),
        Field::text("key", "variable"),
        Field::text("way", "way"),
        Field::text("host", "host"),
        Field::new("version", "value version", Type::Number),
        Field::new("count", "times", Type::Number),
        Field::new("last_at", "last used", Type::Moment).hidden(),
        Field::new("first_at", "first used", Type::Moment).hidden(),
    ],
    title: |row| text_of(row, "key").to_owned(),
    path: |row| format!("settings/secrets/{}", text_of(row, "secret")),
    ..Entity::of::<Use>("secret_use", "secret use", "secret uses")
};

/// Descriptor of mask patterns.
pub static MASK: Entity = Entity {
    area: Area::Workspace,
    read: Can::Admin,
    // No undo: masking changes at once, and an undo would take effect up to an hour later.
    undo: None,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("pattern", "pattern"),
        Field::text("by", "by").hidden(),
    ],
    path: |_| "settings/secrets".to_owned(),
    triggers: Some("The workspace"),
    ..Entity::of::<Mask>("secret_mask", "masked pattern", "masked patterns")
};
