//! Uses of secrets: who used which value, how, and where it was sent.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AgentId, RunId, TaskId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Secret, SecretId, UseId, Way};

pub const SECRET_USES: Table = Table::new(363, "secret_uses");
/// Run, secret, version, way, host; unique.
pub const USES_BY_RUN: Index = Index::unique(364, "secret_uses_by_run");
/// Secret, then last use.
pub const USES_BY_SECRET: Index = Index::multi(365, "secret_uses_by_secret");
/// Agent, then last use.
pub const USES_BY_AGENT: Index = Index::multi(366, "secret_uses_by_agent");

/// Uses of one version of a secret by a run, in one way and for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub id: UseId,
    pub secret: SecretId,
    /// The variable at the time of the use.
    pub key: String,
    /// Version of the value.
    pub version: u32,
    pub run: RunId,
    pub agent: AgentId,
    pub task: Option<TaskId>,
    pub way: Way,
    /// Host that the value was sent to; empty for a program.
    pub host: String,
    #[serde(with = "millisecond::required")]
    pub first_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
    pub count: u32,
}

impl Record for Use {
    type Id = UseId;
    const TABLE: Table = SECRET_USES;
    // Sealed: undo has nothing to revert here.
    const CLASS: Class = Class::Sealed;
    const INDEXES: &'static [Index] = &[USES_BY_RUN, USES_BY_SECRET, USES_BY_AGENT];
    fn id(&self) -> UseId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        let of_run = keys.entry(USES_BY_RUN).part(self.run).part(self.secret);
        of_run.part(self.version).u8(self.way as u8).text(&self.host);
        keys.entry(USES_BY_SECRET).part(self.secret).part(self.last_at);
        keys.entry(USES_BY_AGENT).part(self.agent).part(self.last_at);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Secret>(1, Some(self.secret), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Secret>(self.secret)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: UseId::from_bytes([91; 16]),
            secret: SecretId::from_bytes([90; 16]),
            key: "SHOP_API_KEY".into(),
            version: 3,
            run: RunId::from_bytes([6; 16]),
            agent: AgentId::from_bytes([5; 16]),
            task: Some(TaskId::from_bytes([1; 16])),
            way: Way::Requests,
            host: "api.shop.example".into(),
            first_at: at,
            last_at: at,
            count: 2,
        }
    }
}
