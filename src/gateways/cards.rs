//! Entity descriptors of gateways, join tokens and places of agents.

use entity::{Area, Entity, Field, Meaning, Type, decode_row, text_of};
use kernel::Can;
use store::{Read, Schema, StoreError};

use crate::model::{
    AgentPlace, Beat, FormerPlaces, Gateway, GatewayKey, GatewayToken, HostKey, RunAnswer, Status,
    Unsaid,
};

pub static NOUNS: [&Entity; 3] = [&GATEWAY, &TOKEN, &PLACE];

pub static GATEWAY: Entity = Entity {
    area: Area::Workspace,
    tables: |schema: Schema| {
        let schema = schema.with::<Gateway>().with::<GatewayKey>().with::<Beat>();
        schema.with::<RunAnswer>().with::<Unsaid>().with::<FormerPlaces>()
    },
    read: Can::Admin,
    undo: Some(Can::Admin),
    fields: &[
        Field::text("label", "name").called("title"),
        Field::text("slug", "slug"),
        Field::new("labels", "labels", Type::List),
        Field::text("address", "address"),
        Field::new("addresses", "reported addresses", Type::List).hidden(),
        Field::text("status", "state"),
        Field::text("status_reason", "why").hidden(),
        Field::text("host_key", "key").hidden(),
        Field::text("version", "program version"),
        Field::text("by", "by").hidden(),
        Field::new("joined_at", "joined", Type::Moment),
        Field::new("snapshot_at", "first snapshot", Type::Moment).hidden(),
        Field::new("ready_at", "first ready", Type::Moment).hidden(),
        Field::new("hello_at", "last contact", Type::Moment).hidden(),
        Field::new("goodbye_at", "last shutdown", Type::Moment).hidden(),
        Field::new("silent_at", "offline since", Type::Moment).hidden(),
        Field::new("strange_at", "other key seen", Type::Moment),
        Field::new("grant_micros", "offline limit per run", Type::Number),
        Field::new("cut_hours", "offline hours per run", Type::Number),
    ],
    title: |row| text_of(row, "label").to_owned(),
    path: |row| format!("settings/gateways/{}", text_of(row, "slug")),
    rests: Some(rests),
    remembered: true,
    triggers: Some("The workspace"),
    ..Entity::of::<Gateway>("gateway", "gateway", "gateways")
};

pub static TOKEN: Entity = Entity {
    area: Area::Workspace,
    read: Can::Admin,
    // No undo: used and revoked tokens stay so.
    undo: None,
    fields: &[
        Field::text("label", "name").called("title"),
        Field::text("public", "beginning"),
        Field::text("hash", "hash").hidden(),
        Field::new("labels", "labels", Type::List),
        Field::text("by", "by").hidden(),
        Field::new("expires_at", "expires", Type::Moment),
        Field::new("revoked_at", "revoked", Type::Moment),
        Field::new("called_at", "first contact", Type::Moment).hidden(),
        Field::new("used_at", "used", Type::Moment),
        Field::text("host_key", "key").hidden(),
        Field::text("gateway", "gateway").means(Meaning::One("gateway")),
        Field::new("refused", "denied", Type::Number),
    ],
    title: |row| text_of(row, "label").to_owned(),
    path: |_| "settings/gateways".to_owned(),
    ..Entity::of::<GatewayToken>("gateway_token", "gateway token", "gateway tokens")
};

/// Descriptor of an agent's place. A place has no name; history uses the agent's.
pub static PLACE: Entity = Entity {
    area: Area::Agents,
    fields: &[
        Field::text("agent", "agent").hidden().means(Meaning::Somebody),
        Field::text("gateway", "gateway").means(Meaning::One("gateway")),
    ],
    path: |row| format!("agents/{}/settings", text_of(row, "agent")),
    // No undo: the agent may be at work there. It is moved instead.
    undo: None,
    triggers: Some("Agents and runs"),
    ..Entity::of::<AgentPlace>("agent_place", "agent placement", "agent placements")
};

/// Undo never changes admission: neither a host's key nor a revocation.
fn rests(
    _: &dyn Read,
    now: Option<&[u8]>,
    then: Option<&[u8]>,
) -> Result<Option<String>, StoreError> {
    let trust = |row: Option<&[u8]>| -> (Option<HostKey>, bool) {
        let row = row.and_then(decode_row::<Gateway>);
        row.map_or((None, false), |one| (one.host_key, one.status == Status::Revoked))
    };
    let words = "Change a machine’s access on the Gateways page.";
    Ok((trust(now) != trust(then)).then(|| words.to_owned()))
}
