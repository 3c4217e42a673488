//! Records of browsers: switches, policies and screenshots.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::agents::model::Agent;
use crate::runs::model::Run;
use kernel::{AgentId, RunId, Timestamp, TypedId};
use net::guard::Hosts;
use store::{BlobId, BlobRefs, Class, OnDelete, Record, Refs, Root, Table};

/// Agents whose browser is enabled.
pub const AGENT_BROWSERS: Table = Table::new(350, "agent_browsers");
/// Screenshots by run and call.
pub const BROWSER_SHOTS: Table = Table::new(351, "browser_shots");
/// Non-default browser policies.
pub const BROWSER_POLICIES: Table = Table::new(352, "browser_policies");

/// Enables an agent's browser. Without this row it is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBrowser {
    pub agent: AgentId,
}

impl Record for AgentBrowser {
    type Id = AgentId;
    const TABLE: Table = AGENT_BROWSERS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { agent: AgentId::from_bytes([5; 16]) }
    }
}

/// Policy of an agent's browser. Default without a row: no scripts, and all hosts that the agent may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserPolicy {
    pub agent: AgentId,
    /// Whether the agent may run scripts in pages.
    pub scripts: bool,
    /// Allowed hosts among those that the agent may reach. Empty means all.
    pub allowed: Vec<String>,
    /// Takes precedence over `allowed`.
    pub blocked: Vec<String>,
}

impl BrowserPolicy {
    #[must_use]
    pub fn usual(agent: AgentId) -> Self {
        Self { agent, scripts: false, allowed: Vec::new(), blocked: Vec::new() }
    }

    /// Reason to block a URL. `None` if it is allowed.
    #[must_use]
    pub fn closes(&self, url: &Url) -> Option<&'static str> {
        let has = |list: &[String]| Hosts::of(vec![list.to_vec()]).check(url).is_ok();
        if has(&self.blocked) {
            return Some("this host is blocked for this agent's browser");
        }
        (!self.allowed.is_empty() && !has(&self.allowed))
            .then_some("this host isn't on the list of allowed hosts for this agent's browser")
    }
}

impl Record for BrowserPolicy {
    type Id = AgentId;
    const TABLE: Table = BROWSER_POLICIES;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            agent: AgentId::from_bytes([5; 16]),
            scripts: true,
            allowed: vec!["*.shop.example".into()],
            blocked: vec!["ads.example".into()],
        }
    }
}

/// A screenshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// JPEG.
    pub id: BlobId,
    /// Position of the call's element: left, top, width and height in units of 1/10000 of the image.
    pub mark: Option<[u16; 4]>,
}

/// Screenshots for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserShot {
    pub run: RunId,
    /// Number of the call in the run.
    pub step: u32,
    /// Provider id of a call that needed approval, else empty.
    pub call_id: String,
    /// Name of the element, often empty.
    pub name: String,
    /// Before asking for approval.
    pub asked: Option<Picture>,
    /// After the call.
    pub after: Option<Picture>,
    /// `true` if a credential was typed, so that there is no screenshot.
    pub is_dark: bool,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for BrowserShot {
    type Id = (RunId, u32);
    const TABLE: Table = BROWSER_SHOTS;
    const CLASS: Class = Class::Sealed;
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> =
        Some(|shot, blobs| shot.asked.iter().chain(&shot.after).for_each(|one| blobs.one(one.id)));
    fn id(&self) -> (RunId, u32) {
        (self.run, self.step)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        Self {
            run: RunId::from_bytes([8; 16]),
            step: 3,
            call_id: "call_3".into(),
            name: "Sign in".into(),
            asked: Some(Picture {
                id: BlobId::of(b"before"),
                mark: Some([1_000, 2_000, 300, 9_999]),
            }),
            after: Some(Picture { id: BlobId::of(b"after"), mark: None }),
            is_dark: false,
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_closes_what_is_not_in_it_and_what_is_blocked_stays_closed() {
        let at = |text: &str| Url::parse(text).expect("an address");
        let usual = BrowserPolicy::usual(AgentId::from_bytes([5; 16]));
        assert_eq!(usual.closes(&at("https://shop.example/")), None);
        let policy = BrowserPolicy {
            allowed: vec!["shop.example".into(), "*.shop.example".into()],
            blocked: vec!["ads.shop.example".into()],
            ..usual
        };
        for (url, is_open) in [
            ("https://shop.example/cart", true),
            ("https://Pay.Shop.example:8443/", true),
            ("https://ads.shop.example/", false),
            ("https://shop.example.evil/", false),
            ("http://127.0.0.1/", false),
        ] {
            assert_eq!(policy.closes(&at(url)).is_none(), is_open, "{url}");
        }
    }
}
