//! Usage records: model calls and reservations.

pub mod budget;
pub mod day;
pub mod grant;
mod old;
pub mod price;
pub mod source;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::runs::model::Run;
use kernel::time::month_of;
use kernel::{
    AgentId, CallEnd, CallKind, ConnectionId, GatewayId, Payer, PricedBy, ReservationId, Route,
    RoutineId, RunId, StreamId, TaskId, Timestamp, TypedId, UsageId,
};
use providers::model::Usage as Tokens;
use store::codec;
use store::{Class, Count, Counts, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const USAGE: Table = Table::new(80, "usage");
/// Run, then call order.
pub const BY_RUN: Index = Index::multi(81, "usage_by_run");
/// Month and agent: billed micro-dollars.
pub const AGENT_MONTH: Count = Count::new(82, "usage_agent_month");
/// Month: billed micro-dollars.
pub const MONTH: Count = Count::new(83, "usage_month");
/// Day (days since 1970, UTC) and agent: billed micro-dollars.
pub const AGENT_DAY: Count = Count::new(84, "usage_agent_day");
/// Amounts reserved for running calls.
pub const RESERVATIONS: Table = Table::new(85, "reservations");
/// Highest observed ratio of tokens to bytes by model.
pub const RATIOS: Table = Table::new(86, "model_ratios");
/// Run: billed micro-dollars.
pub const RUN_COST: Count = Count::new(89, "usage_run");
/// Payer and day (days since 1970, UTC): billed micro-dollars. For payers without their own totals: tasks, streams,
/// routines, and runs for the spending of their sub-agents.
pub const PAYER_DAY: Count = Count::new(167, "usage_payer_day");
/// Payer and day (UTC): tokens sent and received.
pub const TOKEN_DAY: Count = Count::new(168, "usage_token_day");

/// One model call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub id: UsageId,
    /// `None` for a connection test.
    pub agent: Option<AgentId>,
    /// `None` for a connection test.
    pub run: Option<RunId>,
    /// Number of the call in the run.
    pub call: u32,
    pub task: Option<TaskId>,
    pub connection: Option<ConnectionId>,
    pub provider: String,
    pub model: String,
    /// Uncached tokens sent.
    pub input: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
    /// Cache writes kept for an hour, which cost more.
    pub cache_write_1h: u64,
    /// Tokens received.
    pub output: u64,
    /// Thinking tokens among the output.
    pub reasoning: u64,
    /// Billed micro-dollars; `None` if the price is unknown.
    pub billed_micros: Option<i64>,
    /// Catalogue price at the time of the call, in micro-dollars; `None` if the model is not listed.
    pub list_micros: Option<i64>,
    /// Source of the price.
    pub priced_by: PricedBy,
    /// Payment route of the provider.
    pub route: Route,
    pub kind: CallKind,
    pub end: CallEnd,
    /// Whether the figures are estimates because the call's end is unknown.
    pub estimated: bool,
    /// The payers whose budgets the call counts towards.
    pub payers: Vec<Payer>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// The gateway of the run; `None` for the machine that HQ runs on.
    pub gateway: Option<GatewayId>,
}

impl Usage {
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens {
            input: self.input,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            output: self.output,
            reasoning: self.reasoning,
        }
    }

    /// The stream of the task.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        self.payers.iter().find_map(|payer| match payer {
            Payer::Stream(id) => Some(*id),
            _ => None,
        })
    }

    /// The routine that started the run, else the one that created its task.
    #[must_use]
    pub fn routine(&self) -> Option<RoutineId> {
        self.payers.iter().find_map(|payer| match payer {
            Payer::Routine(id) => Some(*id),
            _ => None,
        })
    }
}

impl Record for Usage {
    type Id = UsageId;
    const TABLE: Table = USAGE;
    const CLASS: Class = Class::Log;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_RUN];
    const COUNTS: &'static [Count] =
        &[AGENT_MONTH, MONTH, AGENT_DAY, RUN_COST, PAYER_DAY, TOKEN_DAY];
    fn id(&self) -> UsageId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(run) = self.run {
            keys.entry(BY_RUN).part(run).part(self.call);
        }
    }
    fn counts(&self, counts: &mut Counts) {
        let day = day_of(self.at);
        let tokens = i64::try_from(self.tokens().total()).unwrap_or(i64::MAX);
        for payer in self.payers.iter().filter(|_| tokens != 0) {
            counts.add(TOKEN_DAY, tokens).part(*payer).part(day);
        }
        let Some(billed) = self.billed_micros.filter(|n| *n != 0) else { return };
        let (month, agent) = (month_of(self.at), self.agent.unwrap_or_else(nobody));
        counts.add(AGENT_MONTH, billed).part(month).part(agent);
        counts.add(MONTH, billed).part(month);
        counts.add(AGENT_DAY, billed).part(day).part(agent);
        // A run pays for its own calls and for those of its sub-agents.
        let own = self.run.map(Payer::Run);
        let counted = |payer: &&Payer| match payer {
            Payer::Task(_) | Payer::Stream(_) | Payer::Routine(_) => true,
            Payer::Run(_) => Some(**payer) != own,
            Payer::Workspace | Payer::Agent(_) => false,
        };
        for payer in self.payers.iter().filter(counted) {
            counts.add(PAYER_DAY, billed).part(*payer).part(day);
        }
        if let Some(run) = self.run {
            counts.add(RUN_COST, billed).part(run);
        }
    }
    fn root(&self) -> Root {
        match self.run {
            Some(run) => Root::of::<Run>(run),
            None => Root::of::<Self>(self.id),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => old::usage(body),
            // Older layout without the gateway: a zero encodes `None`.
            2 => codec::decode(&[body, [0].as_slice()].concat()),
            _ => Err(DecodeError::UnknownVersion { table: USAGE.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            id: UsageId::from_bytes([10; 16]),
            agent: Some(AgentId::from_bytes([5; 16])),
            run: Some(RunId::from_bytes([8; 16])),
            call: 1,
            task: Some(TaskId::from_bytes([2; 16])),
            connection: Some(ConnectionId::from_bytes([7; 16])),
            provider: "anthropic".into(),
            model: "claude".into(),
            input: 1200,
            cache_read: 3000,
            cache_write: 0,
            cache_write_1h: 0,
            output: 250,
            reasoning: 40,
            billed_micros: Some(8_400),
            list_micros: Some(9_100),
            priced_by: PricedBy::Person,
            route: Route::Api,
            kind: CallKind::Step,
            end: CallEnd::Answered,
            estimated: false,
            payers: vec![
                Payer::Workspace,
                Payer::Agent(AgentId::from_bytes([5; 16])),
                Payer::Run(RunId::from_bytes([8; 16])),
                Payer::Task(TaskId::from_bytes([2; 16])),
            ],
            at: kernel::time::from_ms(1_700_000_000_000),
            gateway: Some(GatewayId::from_bytes([95; 16])),
        }
    }
}

/// Represents calls without an agent in totals: connection tests.
#[must_use]
pub fn nobody() -> AgentId {
    AgentId::from_bytes([0; 16])
}

/// UTC day as days since 1970, the key of daily totals.
#[must_use]
pub fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().div_euclid(86_400)).unwrap_or(0)
}

/// Amount reserved for a running call. There are only as many rows as concurrent calls, so totals read them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub id: ReservationId,
    /// `None` for a connection test.
    pub agent: Option<AgentId>,
    /// `None` for a connection test.
    pub run: Option<RunId>,
    /// Number of the call in the run.
    pub call: u32,
    pub connection: Option<ConnectionId>,
    pub provider: String,
    pub model: String,
    /// Maximum cost in micro-dollars.
    pub micros: i64,
    /// Cost of the input alone in micro-dollars, booked if the call's end stays unknown.
    pub input_micros: i64,
    /// Maximum tokens sent and received.
    pub tokens: i64,
    /// Maximum tokens sent.
    pub input_tokens: i64,
    /// Source of the price.
    pub priced_by: PricedBy,
    /// Payment route of the provider.
    pub route: Route,
    pub kind: CallKind,
    /// The payers whose budgets the call counts towards.
    pub payers: Vec<Payer>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Time of the automatic release, if the call's end is unknown.
    #[serde(with = "millisecond::optional")]
    pub release_at: Option<Timestamp>,
}

impl Reservation {
    /// Whether the reservation has expired although its row still exists.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.release_at.is_some_and(|at| at <= now)
    }
}

impl Record for Reservation {
    type Id = ReservationId;
    const TABLE: Table = RESERVATIONS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 3;
    fn id(&self) -> ReservationId {
        self.id
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, self.run, OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        match self.run {
            Some(run) => Root::of::<Run>(run),
            None => Root::of::<Self>(self.id),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => old::reservation(body),
            2 => old::reservation_of_run(body),
            _ => Err(DecodeError::UnknownVersion { table: RESERVATIONS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            id: ReservationId::from_bytes([11; 16]),
            agent: Some(AgentId::from_bytes([5; 16])),
            run: Some(RunId::from_bytes([8; 16])),
            call: 1,
            connection: Some(ConnectionId::from_bytes([7; 16])),
            provider: "anthropic".into(),
            model: "claude".into(),
            micros: 120_000,
            input_micros: 9_000,
            tokens: 14_000,
            input_tokens: 4_000,
            priced_by: PricedBy::Catalogue,
            route: Route::Api,
            kind: CallKind::Step,
            payers: vec![
                Payer::Workspace,
                Payer::Agent(AgentId::from_bytes([5; 16])),
                Payer::Run(RunId::from_bytes([8; 16])),
            ],
            at: kernel::time::from_ms(1_700_000_000_000),
            release_at: None,
        }
    }
}

/// Highest observed ratio of tokens to bytes of a connection's model. Per connection, so that a wrong count does not
/// affect others. `Local`: may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRatio {
    /// See [`SeenRatio::key`].
    pub model: String,
    /// Tokens per thousand bytes.
    pub permille: u32,
}

impl SeenRatio {
    /// Record id of a connection's model.
    #[must_use]
    pub fn key(connection: Option<ConnectionId>, model: &str) -> String {
        match connection {
            Some(connection) => format!("{connection}/{model}"),
            None => model.to_owned(),
        }
    }

    #[must_use]
    pub fn of(&self) -> (Option<ConnectionId>, &str) {
        match self.model.split_once('/').and_then(|(id, model)| Some((id.parse().ok()?, model))) {
            Some((connection, model)) => (Some(connection), model),
            None => (None, &self.model),
        }
    }
}

impl Record for SeenRatio {
    type Id = String;
    const TABLE: Table = RATIOS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> String {
        self.model.clone()
    }
    fn sample() -> Self {
        Self { model: "claude".into(), permille: 640 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Usage, codec};
    use store::Record as _;

    #[test]
    fn a_call_of_an_older_program_was_made_on_the_machine_that_hq_runs_on() {
        let here = Usage { gateway: None, ..Usage::sample() };
        let body = codec::encode(&here).expect("it can be written");
        // The last byte encodes the missing gateway.
        let older = Usage::upgrade(2, &body[..body.len() - 1]).expect("it is read");
        assert_eq!(older, here);
    }
}
