//! Secrets on a host. The primary sends the secrets in force for the host's agents. The host keeps them in memory only
//! and passes them to programs and requests as the primary does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use app::Ws;
use app::upstream::{MASKS, SECRETS, Upstream};
use crypto::keyring::{self, SealError};
use gateways::model::local;
use gateways::queries::gateway_of;
use kernel::{Actor, AgentId, GatewayId, Part};
use store::StoreError;

use crate::given::Given;
use crate::model::{Category, Scope, Secret, SecretId, Value};
use crate::queries::{self, Sending};
use crate::values;

/// A value in transit: redacted in debug output, wiped on drop.
struct Hidden(Zeroizing<String>);

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A secret as sent to a host.
#[derive(Serialize, Deserialize)]
struct Sent {
    /// Metadata; its scope names the agents of the host that have the secret.
    secret: Secret,
    /// `None` if the value cannot be decrypted and must be entered again.
    value: Option<Hidden>,
}

/// A message to a host.
pub struct Parcel {
    /// Name of the message.
    pub name: String,
    pub text: Zeroizing<String>,
    /// Secret and version, if the message contains a value.
    pub of: Option<(SecretId, u32)>,
}

/// The secrets of these agents on this gateway, and the mask patterns. Secrets of channels and connectors are excluded.
pub fn sent(
    ws: &Ws,
    gateway: GatewayId,
    agents: &BTreeSet<AgentId>,
) -> Result<Vec<Parcel>, StoreError> {
    let (secrets, masks) = ws.read(|snap| {
        let mut whose: BTreeMap<SecretId, (Secret, Vec<AgentId>)> = BTreeMap::new();
        for agent in agents {
            // An agent that moved meanwhile has the secrets of its new gateway.
            if gateway_of(snap, *agent)? != gateway {
                continue;
            }
            for held in queries::held(snap, *agent)? {
                if held.secret.category == Category::User {
                    let (id, none) = (held.secret.id, Vec::new());
                    whose.entry(id).or_insert((held.secret, none)).1.push(*agent);
                }
            }
        }
        let mut secrets = Vec::new();
        for (id, (secret, agents)) in whose {
            secrets.push((bare(secret, agents), queries::value(snap, id)?));
        }
        let masks = if agents.is_empty() { Vec::new() } else { queries::masks(snap)? };
        Ok::<_, StoreError>((secrets, masks))
    })?;
    let mut all = Vec::new();
    for (secret, value) in secrets {
        let name = format!("{SECRETS}{}", secret.id);
        let value = value.and_then(|value| opened(ws, secret.id, &value));
        let of = value.is_some().then_some((secret.id, secret.version));
        let text = serde_json::to_string(&Sent { secret, value });
        // ok: serializing plain data cannot fail
        all.extend(text.ok().map(|text| Parcel { name, text: Zeroizing::new(text), of }));
    }
    if !masks.is_empty() {
        let patterns: Vec<String> = masks.into_iter().map(|mask| mask.pattern).collect();
        let text = serde_json::to_string(&patterns);
        let name = MASKS.to_owned();
        // ok: as above
        all.extend(text.ok().map(|text| Parcel { name, text: Zeroizing::new(text), of: None }));
    }
    Ok(all)
}

/// The secret without fields that only people need.
fn bare(secret: Secret, agents: Vec<AgentId>) -> Secret {
    Secret {
        name: secret.key.clone(),
        note: String::new(),
        scope: Scope::Agents(agents),
        by: Actor::System(Part::Engine),
        ..secret
    }
}

fn opened(ws: &Ws, id: SecretId, value: &Value) -> Option<Hidden> {
    // ok: a value that cannot be decrypted is sent as missing.
    let opened = values::open(&ws.app.keyring, id, &value.sealed).ok()?;
    let text = opened.expose_text().ok()?; // ok: as above
    Some(Hidden(Zeroizing::new(text.to_owned())))
}

/// The secrets that the primary has sent.
fn had(up: &dyn Upstream) -> Vec<Sent> {
    // ok: messages of another version are ignored.
    up.keys(SECRETS).iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// On a host: the secrets that an agent has now.
pub(crate) fn given(ws: &Ws, up: &dyn Upstream, agent: AgentId) -> Vec<Given> {
    watch_sent(ws);
    had(up).into_iter().filter(|one| one.secret.scope.names(agent)).map(give).collect()
}

fn give(Sent { secret, value }: Sent) -> Given {
    let value = value.map(|value| keyring::Secret::new(value.0.as_bytes()));
    Given::of(secret, value.ok_or(SealError::BadFormat))
}

/// On a host: masks all values that the primary has sent, including replaced ones, which running programs may still
/// hold. Does nothing on the primary.
pub fn watch_sent(ws: &Ws) {
    let Some(up) = &ws.upstream else { return };
    for Sent { secret, value } in had(&**up).into_iter().filter(|one| !one.secret.plain) {
        let Some(value) = value else { continue };
        let group = format!("vault {} {}", secret.id, secret.version);
        ws.app
            .redactor
            .replace(&group, vec![(secret.key, keyring::Secret::new(value.0.as_bytes()))]);
    }
    let masks = up.key(MASKS).and_then(|(_, text)| serde_json::from_str(&text).ok());
    ws.app.redactor.look_for("vault masks", masks.unwrap_or_default());
}

/// An agent's secrets: variable, id and version of the value.
pub fn versions(ws: &Ws, agent: AgentId) -> Result<Vec<(String, SecretId, u32)>, StoreError> {
    let secrets: Vec<Secret> = match &ws.upstream {
        None => {
            let held = ws.read(|snap| queries::held(snap, agent))?;
            held.into_iter().map(|held| held.secret).collect()
        }
        Some(up) => {
            let had = had(&**up).into_iter().map(|one| one.secret);
            had.filter(|one| one.scope.names(agent)).collect()
        }
    };
    Ok(secrets.into_iter().map(|one| (one.key, one.id, one.version)).collect())
}

/// Why a value may not be sent; `None` if it may. See [`queries::barred`].
pub fn barred(ws: &Ws, of: Sending<'_>) -> Result<Option<&'static str>, StoreError> {
    match &ws.upstream {
        None => ws.read(|snap| queries::barred(snap, of)),
        Some(up) => {
            let found = had(&**up).into_iter().map(|one| one.secret).find(|one| one.id == of.id);
            // On a host, the scope names the agents, so the gateway is irrelevant.
            Ok(queries::why_barred(found, of, local()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Way;
    use kernel::TypedId as _;
    use store::Record as _;

    fn agent(n: u8) -> AgentId {
        AgentId::from_bytes([n; 16])
    }

    fn secret() -> Secret {
        Secret { removed_at: None, hosts: vec!["*.shop.example".into()], ..Secret::sample() }
    }

    #[test]
    fn a_secret_comes_over_the_line_with_its_value_and_without_words_for_people() {
        let secret = bare(secret(), vec![agent(1)]);
        let value = Some(Hidden(Zeroizing::new("line one\n\"two\" ü".to_owned())));
        let text = serde_json::to_string(&Sent { secret: secret.clone(), value }).unwrap();
        assert!(!text.contains("Shop system") && !text.contains("Made in the shop"), "{text}");
        let given = give(serde_json::from_str(&text).unwrap());
        assert_eq!((given.id, given.key, given.version), (secret.id, secret.key, secret.version));
        assert_eq!((given.way, given.named_only), (secret.way, secret.named_only));
        assert_eq!((given.hosts, given.places), (secret.hosts, secret.places));
        assert_eq!(given.value.unwrap().expose_text().unwrap(), "line one\n\"two\" ü");
    }

    #[test]
    fn one_that_does_not_open_at_home_is_named_and_has_no_value() {
        let text = serde_json::to_string(&Sent { secret: secret(), value: None }).unwrap();
        assert!(give(serde_json::from_str(&text).unwrap()).value.is_err());
    }

    #[test]
    fn what_home_takes_back_is_not_sent_from_a_host_any_more() {
        let secret = bare(Secret { way: Way::StandIn, ..secret() }, vec![agent(1)]);
        let host = "api.shop.example";
        let of = Sending { id: secret.id, version: secret.version, agent: agent(1), host };
        let barred = |found, of| queries::why_barred(found, of, local());
        assert_eq!(barred(Some(secret.clone()), of), None);
        let other = Sending { agent: agent(2), ..of };
        assert!(barred(Some(secret.clone()), other).is_some());
        let elsewhere = Sending { host: "shop.example.org", ..of };
        assert!(barred(Some(secret), elsewhere).is_some());
        assert_eq!(barred(None, of), Some("was removed"));
    }
}
