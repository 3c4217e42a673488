//! Input of the secret forms, and the choices of their fields.

use std::collections::BTreeMap;

use app::Ws;
use features::agents::queries::{self as agents, Called};
use features::tasks::queries::due;
use gateways::model::Status;
use gateways::queries as places;
use kernel::Timestamp;
use kernel::cadence::midnight;
use kernel::day::{self, Toward};
use serde::Deserialize;
use web::parts::Choice;
use web::session::Person;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::model::{Places, Scope, Secret, Way};
use crate::queries;
use crate::rules::Patch;
use crate::values::Ends;

/// Prefix of the names of the agents' checkboxes.
const AGENT: &str = "agent.";
/// Value of `who` for named agents.
const SOME: &str = "some";
/// Value of `who` for the agents of a gateway.
const GATEWAY: &str = "gateway";

/// Submitted fields by name.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretForm(BTreeMap<String, String>);

impl SecretForm {
    /// The form of an existing secret.
    pub(super) fn of(ws: &Ws, who: &Person, secret: &Secret) -> Result<Self, VaultError> {
        let mut form = Self::default();
        form.put("name", &secret.name);
        form.put("note", &secret.note);
        form.put("way", secret.way.word());
        form.put("hosts", &secret.hosts.join("\n"));
        form.put("query", &secret.places.query.join(", "));
        form.put("body", &secret.places.body.join(", "));
        let boxes = [
            ("headers", secret.places.headers),
            ("path", secret.places.path),
            ("named_only", secret.named_only),
        ];
        boxes.iter().filter(|(_, set)| *set).for_each(|(name, _)| form.put(name, "on"));
        if let Some(at) = secret.expires_at {
            form.put("expires", &at.to_zoned(zone(who)).date().to_string());
        }
        match &secret.scope {
            Scope::Workspace => {}
            Scope::Gateway(id) => {
                let one = ws.read(|snap| queries::gateway_at(snap, *id))?;
                form = form.for_gateway(&one.slug);
            }
            Scope::Agents(ids) => {
                form.put("who", SOME);
                ws.read(|snap| {
                    for id in ids {
                        let agent = queries::agent_called(snap, &id.to_string())?;
                        form.put(&format!("{AGENT}{}", agent.slug), "on");
                    }
                    Ok::<_, VaultError>(())
                })?;
            }
        }
        Ok(form)
    }

    /// Limits the scope to this agent.
    pub(super) fn for_agent(mut self, slug: &str) -> Self {
        if !slug.is_empty() {
            self.put("who", SOME);
            self.put(&format!("{AGENT}{slug}"), "on");
        }
        self
    }

    /// Limits the scope to this gateway.
    pub(super) fn for_gateway(mut self, slug: &str) -> Self {
        if !slug.is_empty() {
            self.put("who", GATEWAY);
            self.put("gateway", slug);
        }
        self
    }

    /// Drops the value, which has to be typed again.
    pub(super) fn without_value(mut self) -> Self {
        for name in ["value", "lines", "text"] {
            self.0.remove(name).map(Zeroizing::new);
        }
        self
    }

    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Text of a field; empty if the field is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// The value, and how to treat line breaks at its ends. CRLF, which browsers send, becomes LF.
    pub(super) fn value(&self) -> (Zeroizing<String>, Option<Ends>) {
        match self.text("lines") {
            "" => (Zeroizing::new(self.text("value").to_owned()), None),
            // ok: an unknown word means the default.
            lines => (
                Zeroizing::new(lines.replace("\r\n", "\n")),
                Some(self.text("ends").parse().unwrap_or(Ends::Trim)),
            ),
        }
    }

    pub(super) fn scope(&self, ws: &Ws) -> Result<Scope, VaultError> {
        match self.text("who") {
            SOME => {}
            GATEWAY => {
                let one = ws.read(|snap| queries::gateway_called(snap, self.text("gateway")))?;
                return Ok(Scope::Gateway(one.id));
            }
            _ => return Ok(Scope::Workspace),
        }
        let named = self.0.keys().filter_map(|name| name.strip_prefix(AGENT));
        let named: Vec<String> = named.map(str::to_owned).collect();
        ws.read(|snap| queries::agents_called(snap, &named)).map(Scope::Agents)
    }

    pub(super) fn patch(&self, ws: &Ws, who: &Person) -> Result<Patch, VaultError> {
        let way = match self.text("way") {
            "" => None,
            word => {
                let way = word.parse::<Way>();
                Some(way.map_err(|error| VaultError::field("way", error.to_string()))?)
            }
        };
        Ok(Patch {
            name: Some(self.text("name").to_owned()),
            note: Some(self.text("note").to_owned()),
            scope: Some(self.scope(ws)?),
            way: Some(way),
            named_only: Some(self.has("named_only")),
            hosts: Some(words(self.text("hosts"))),
            places: Some(Places {
                headers: self.has("headers"),
                query: words(self.text("query")),
                path: self.has("path"),
                body: words(self.text("body")),
            }),
            expires_at: Some(self.expires_at(ws, who)?),
        })
    }

    fn expires_at(&self, ws: &Ws, who: &Person) -> Result<Option<Timestamp>, VaultError> {
        let (zone, text) = (zone(who), self.text("expires"));
        let today = due::day(ws.app.clock.now(), &zone);
        let day = day::in_field("expires", text, today, Toward::Ahead);
        let day = day.map_err(|wrong| VaultError::field("expires", wrong.message))?;
        Ok(day.and_then(|day| midnight(&zone, day)))
    }

    /// Checkboxes of all active agents.
    pub(super) fn boxes(&self, ws: &Ws) -> Result<Vec<Choice>, VaultError> {
        let all = ws.read(|snap| agents::all(snap))?;
        let called = Called::among(&all);
        let one = |agent: &features::agents::model::Agent| {
            let name = format!("{AGENT}{}", agent.slug);
            let is_chosen = self.has(&name);
            Choice::new(name, format!("{} {}", agent.emoji, called.name(agent)), is_chosen)
        };
        Ok(all.iter().map(one).collect())
    }

    /// Gateways to choose from; empty while this machine is the only one.
    pub(super) fn gateways(&self, ws: &Ws) -> Result<Vec<Choice>, VaultError> {
        let chosen = self.text("gateway");
        let mut all = ws.read(|snap| places::gateways(snap))?;
        if all.len() < 2 && self.text("who") != GATEWAY {
            return Ok(Vec::new());
        }
        all.retain(|one| one.status != Status::Revoked || one.slug == chosen);
        let one = |one: gateways::model::Gateway| {
            let is_chosen = one.slug == chosen;
            Choice::new(one.slug, one.label, is_chosen)
        };
        Ok(all.into_iter().map(one).collect())
    }

    /// Choices of scope; a gateway can be chosen if `are_several`.
    pub(super) fn scopes(&self, are_several: bool) -> Vec<Choice> {
        let who = self.text("who");
        let is_all = who != SOME && who != GATEWAY;
        let mut all =
            vec![Choice::new("all", "All agents", is_all).hint("Includes agents created later.")];
        if are_several {
            let gateway = Choice::new(GATEWAY, "Agents on one gateway", who == GATEWAY);
            all.push(gateway.hint("Overrides one for all agents."));
        }
        let before = match are_several {
            true => "Overrides one for a gateway or all agents.",
            false => "Overrides one for all agents.",
        };
        all.push(Choice::new(SOME, "Some agents", who == SOME).hint(before));
        all
    }

    pub(super) fn ways(&self) -> Vec<Choice> {
        let hint = |way: &Way| match way {
            Way::Value => "Programs get the value as an environment variable.",
            Way::StandIn => "Programs get a placeholder. HQ replaces it in requests to the hosts.",
            Way::Requests => "Programs don’t get it. Only HQ’s requests to its hosts do.",
        };
        let chosen = self.text("way");
        let usual = Choice::new("", "Automatic", chosen.is_empty());
        let mut all = vec![usual.hint("A placeholder if there are hosts, otherwise a variable.")];
        all.extend(
            Way::ALL.iter().map(|way| {
                Choice::new(way.word(), way.label(), chosen == way.word()).hint(hint(way))
            }),
        );
        all
    }
}

/// Choices for line breaks at the ends of a multi-line value.
pub(super) fn ends() -> Vec<Choice> {
    let all = [Ends::Trim, Ends::Keep].into_iter();
    all.map(|one| Choice::new(one.word(), one.label(), one == Ends::Trim)).collect()
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split([',', '\n', '\r', ' ']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn zone(who: &Person) -> jiff::tz::TimeZone {
    due::zone(&who.zone)
}
