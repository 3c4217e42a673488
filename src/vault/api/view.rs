//! Secrets in API responses: metadata and the state of their values, without the values.

use app::Ws;
use kernel::{AgentId, GatewayId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use store::Read;

use crate::error::VaultError;
use crate::given;
use crate::model::{Category, Places, Secret, SecretId, Way};
use crate::queries;
use crate::sync::{self, Machines, On, State};

/// A secret, without its value.
#[derive(Serialize, JsonSchema)]
pub(super) struct SecretView {
    id: SecretId,
    /// The variable.
    key: String,
    name: String,
    note: String,
    category: Category,
    /// `workspace`, `gateway` or `agents`.
    scope: &'static str,
    /// The agents that alone have it.
    agents: Vec<AgentId>,
    /// The gateway whose agents alone have it.
    gateway: Option<GatewayId>,
    /// What people call that.
    gateway_name: Option<String>,
    way: Way,
    named_only: bool,
    hosts: Vec<String>,
    places: Places,
    pub(super) plain: bool,
    /// The value of what is no secret; of all others nothing.
    value: Option<String>,
    version: u32,
    /// `active`; `updating` while a machine has not confirmed the value yet, `waiting` while one is not linked; `silent` and
    /// `stopped` while the only machine that had it is not heard of, or does not run; `reenter` when the value does not open
    /// with the present master key.
    pub(super) state: &'static str,
    /// How it stands on each machine where agents may have it, or may have had it until now.
    on: Vec<OnView>,
    /// What to know of a value that was just set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<&'static str>,
    #[schemars(with = "String")]
    rotated_at: Timestamp,
    #[schemars(with = "Option<String>")]
    expires_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    removed_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    last_used_at: Option<Timestamp>,
    /// Until when the former value can be put back.
    #[schemars(with = "Option<String>")]
    former_until: Option<Timestamp>,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

/// A value on a machine.
#[derive(Serialize, JsonSchema)]
struct OnView {
    gateway: GatewayId,
    name: String,
    /// `active`, `sent`, `waiting` or `reenter`; `silent` where the host had the value when it was last heard of, `stopped`
    /// where it had it until its program ended, and `kept` where it needs the value no more and has not heard so yet.
    state: State,
    /// Since when: confirmed, sent, not linked, last heard of, ended.
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
}

impl From<On> for OnView {
    fn from(on: On) -> Self {
        Self { gateway: on.gateway, name: on.label, state: on.state, since: on.since }
    }
}

/// Data that the views of one response share.
pub(super) struct Look<'l> {
    ws: &'l Ws,
    read: &'l dyn Read,
    machines: Machines,
}

impl<'l> Look<'l> {
    pub(super) fn new(ws: &'l Ws, read: &'l dyn Read) -> Result<Self, VaultError> {
        Ok(Self { ws, read, machines: Machines::read(read)? })
    }
}

pub(super) fn view(look: &Look<'_>, one: Secret) -> Result<SecretView, VaultError> {
    let (app, read) = (&look.ws.app, look.read);
    let value = queries::value(read, one.id)?;
    let opens = given::opens(app, one.id, value.as_ref());
    let on = look.machines.of(look.ws, read, &one, opens)?;
    let gateway = one.scope.gateway();
    let last = queries::uses(read, one.id, 1)?.pop();
    let former = queries::former(read, one.id, app.clock.now())?;
    Ok(SecretView {
        value: given::plain(app, &one, value.as_ref()),
        state: match sync::overall(&on, opens) {
            State::Sent => "updating",
            state => state.word(),
        },
        on: on.into_iter().map(OnView::from).collect(),
        warning: None,
        scope: one.scope.word(),
        agents: one.scope.agents().to_vec(),
        gateway_name: gateway.map(|id| look.machines.label(id).to_owned()),
        gateway,
        last_used_at: last.map(|last| last.last_at),
        former_until: former.map(|former| former.until),
        id: one.id,
        key: one.key,
        name: one.name,
        note: one.note,
        category: one.category,
        way: one.way,
        named_only: one.named_only,
        hosts: one.hosts,
        places: one.places,
        plain: one.plain,
        version: one.version,
        rotated_at: one.rotated_at,
        expires_at: one.expires_at,
        removed_at: one.removed_at,
        created_at: one.created_at,
    })
}
