//! Former layouts of calls and reservations.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use kernel::{
    AgentId, CallEnd, CallKind, ConnectionId, Payer, PricedBy, ReservationId, Route, RunId, TaskId,
    Timestamp, UsageId,
};
use providers::catalog;
use store::codec::{self, DecodeError};

use super::{Reservation, Usage};

/// Provider word of the practice model.
const PRACTICE: &str = "practice";

#[derive(Deserialize)]
struct UsageV1 {
    id: UsageId,
    agent: Option<AgentId>,
    run: Option<RunId>,
    call: u32,
    task: Option<TaskId>,
    connection: Option<ConnectionId>,
    provider: String,
    model: String,
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    billed_micros: Option<i64>,
    estimated: bool,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
}

/// Reads a call from before budgets had their own records. It counts towards its agent's months and days, but towards
/// no task and no token limit, because neither could be limited then.
pub(super) fn usage(body: &[u8]) -> Result<Usage, DecodeError> {
    let old: UsageV1 = codec::decode(body)?;
    let mut usage = Usage {
        kind: if old.run.is_some() { CallKind::Step } else { CallKind::Test },
        end: if old.estimated { CallEnd::CutOff } else { CallEnd::Answered },
        route: if old.provider == PRACTICE { Route::Practice } else { Route::Api },
        priced_by: match old.billed_micros {
            Some(_) => PricedBy::Catalogue,
            None => PricedBy::Nobody,
        },
        list_micros: old.billed_micros,
        payers: Vec::new(),
        cache_write_1h: 0,
        id: old.id,
        agent: old.agent,
        run: old.run,
        call: old.call,
        task: old.task,
        connection: old.connection,
        provider: old.provider,
        model: old.model,
        input: old.input,
        cache_read: old.cache_read,
        cache_write: old.cache_write,
        output: old.output,
        reasoning: old.reasoning,
        billed_micros: old.billed_micros,
        estimated: old.estimated,
        at: old.at,
        gateway: None,
    };
    let listed = catalog::describe(&usage.model).cost(&usage.tokens());
    if let Some(listed) = listed.filter(|_| !usage.estimated) {
        usage.list_micros = i64::try_from(listed).ok();
    }
    Ok(usage)
}

#[derive(Deserialize)]
struct ReservationV1 {
    id: ReservationId,
    agent: AgentId,
    run: RunId,
    call: u32,
    connection: Option<ConnectionId>,
    provider: String,
    model: String,
    micros: i64,
    input_micros: i64,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
    #[serde(with = "millisecond::optional")]
    release_at: Option<Timestamp>,
}

/// Reads a reservation from before task, stream and routine budgets.
pub(super) fn reservation(body: &[u8]) -> Result<Reservation, DecodeError> {
    let old: ReservationV1 = codec::decode(body)?;
    // A free model stays free; without a known price the cost stays unknown.
    let priced = old.micros > 0 || catalog::describe(&old.model).price.is_some();
    Ok(Reservation {
        payers: vec![Payer::Workspace, Payer::Agent(old.agent), Payer::Run(old.run)],
        tokens: 0,
        input_tokens: 0,
        kind: CallKind::Step,
        route: if old.provider == PRACTICE { Route::Practice } else { Route::Api },
        priced_by: if priced { PricedBy::Catalogue } else { PricedBy::Nobody },
        id: old.id,
        agent: Some(old.agent),
        run: Some(old.run),
        call: old.call,
        connection: old.connection,
        provider: old.provider,
        model: old.model,
        micros: old.micros,
        input_micros: old.input_micros,
        at: old.at,
        release_at: old.release_at,
    })
}

#[derive(Deserialize)]
struct ReservationV2 {
    id: ReservationId,
    agent: AgentId,
    run: RunId,
    call: u32,
    connection: Option<ConnectionId>,
    provider: String,
    model: String,
    micros: i64,
    input_micros: i64,
    tokens: i64,
    input_tokens: i64,
    priced_by: PricedBy,
    route: Route,
    kind: CallKind,
    payers: Vec<Payer>,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
    #[serde(with = "millisecond::optional")]
    release_at: Option<Timestamp>,
}

/// Reads a reservation from before connection tests were reserved.
pub(super) fn reservation_of_run(body: &[u8]) -> Result<Reservation, DecodeError> {
    let old: ReservationV2 = codec::decode(body)?;
    Ok(Reservation {
        id: old.id,
        agent: Some(old.agent),
        run: Some(old.run),
        call: old.call,
        connection: old.connection,
        provider: old.provider,
        model: old.model,
        micros: old.micros,
        input_micros: old.input_micros,
        tokens: old.tokens,
        input_tokens: old.input_tokens,
        priced_by: old.priced_by,
        route: old.route,
        kind: old.kind,
        payers: old.payers,
        at: old.at,
        release_at: old.release_at,
    })
}
