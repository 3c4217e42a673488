//! Daily totals of model calls. A durable consumer builds these rows from the feed. They can be rebuilt at any time.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use kernel::key::{Key, KeyBuf};
use kernel::{AgentId, CallEnd, GatewayId, RoutineId, StreamId, TaskId, Timestamp, TypedId};
use store::codec;
use store::{Class, DecodeError, Record, Table};

use super::{Usage, nobody};

/// Rows with totals of calls.
pub trait Roll: Record<Id: Ord> + PartialEq {
    fn sums(&mut self) -> &mut Sums;
    /// Description of the row for messages.
    fn what(&self) -> String;
}

/// Daily totals of the workspace.
pub const DAYS: Table = Table::new(140, "usage_days");
/// The time zone of these days.
pub const DAY_ZONE: Table = Table::new(141, "usage_day_zone");

/// Day, agent, provider, model, purpose.
pub type DayKey = ((u32, AgentId), ((String, String), Purpose));

/// What calls were made for, and on which machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purpose {
    pub task: Option<TaskId>,
    pub stream: Option<StreamId>,
    /// The routine that caused the calls.
    pub routine: Option<RoutineId>,
    /// The gateway of the run; `None` for the machine that HQ runs on.
    pub gateway: Option<GatewayId>,
}

impl Purpose {
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        let (stream, routine) = (usage.stream(), usage.routine());
        Self { task: usage.task, stream, routine, gateway: usage.gateway }
    }
}

/// Last part of a key. Missing trailing parts mean `None`, as in keys of older versions.
impl Key for Purpose {
    fn encode(&self, out: &mut KeyBuf) {
        out.part(self.task.unwrap_or_else(none));
        if self.stream.is_some() || self.routine.is_some() || self.gateway.is_some() {
            out.part(self.stream.unwrap_or_else(none)).part(self.routine.unwrap_or_else(none));
        }
        if let Some(gateway) = self.gateway {
            out.part(gateway);
        }
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let task = some(TaskId::take(bytes)?);
        if bytes.is_empty() {
            return Some(Self { task, ..Self::default() });
        }
        let (stream, routine) = (some(StreamId::take(bytes)?), some(RoutineId::take(bytes)?));
        let gateway = match bytes.is_empty() {
            true => None,
            false => Some(GatewayId::take(bytes)?),
        };
        Some(Self { task, stream, routine, gateway })
    }
}

/// Represents `None` in keys.
fn none<I: TypedId>() -> I {
    I::from_bytes([0; 16])
}

fn some<I: TypedId>(id: I) -> Option<I> {
    Some(id).filter(|id| *id != none())
}

/// Totals of an agent's calls of one model for one purpose on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// Date in the workspace's zone, as days since 1970.
    pub day: u32,
    /// [`nobody`] for connection tests.
    pub agent: AgentId,
    pub provider: String,
    pub model: String,
    pub task: Option<TaskId>,
    pub sums: Sums,
    /// The stream of the task.
    pub stream: Option<StreamId>,
    /// The routine that caused the calls.
    pub routine: Option<RoutineId>,
    /// The gateway of the runs; `None` for the machine that HQ runs on.
    pub gateway: Option<GatewayId>,
}

/// Totals of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    pub calls: u64,
    /// Calls without a known price.
    pub unpriced: u64,
    /// Calls with estimated figures.
    pub estimated: u64,
    /// Uncached tokens sent.
    pub input: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
    /// Tokens received.
    pub output: u64,
    /// Thinking tokens among the output.
    pub reasoning: u64,
    /// Billed micro-dollars.
    pub billed_micros: i64,
    /// Catalogue price at the time of counting, in micro-dollars.
    pub list_micros: i64,
    /// Calls that the provider refused or that never arrived.
    pub failed: u64,
}

impl Sums {
    /// Totals of the sample rows.
    pub(super) fn sample() -> Self {
        Self {
            calls: 3,
            unpriced: 1,
            estimated: 1,
            input: 1_200,
            cache_read: 3_000,
            cache_write: 10,
            output: 250,
            reasoning: 40,
            billed_micros: 8_400,
            list_micros: 9_100,
            failed: 1,
        }
    }

    /// Totals of one call.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        Self {
            calls: 1,
            unpriced: u64::from(usage.billed_micros.is_none()),
            estimated: u64::from(usage.estimated),
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            output: usage.output,
            reasoning: usage.reasoning,
            billed_micros: usage.billed_micros.unwrap_or(0),
            // Calls of models outside the catalogue count with the billed amount.
            list_micros: usage.list_micros.or(usage.billed_micros).unwrap_or(0),
            failed: u64::from(usage.end == CallEnd::Refused),
        }
    }
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, more: Self) {
        let counts = [
            (&mut self.calls, more.calls),
            (&mut self.unpriced, more.unpriced),
            (&mut self.estimated, more.estimated),
            (&mut self.input, more.input),
            (&mut self.cache_read, more.cache_read),
            (&mut self.cache_write, more.cache_write),
            (&mut self.output, more.output),
            (&mut self.reasoning, more.reasoning),
            (&mut self.failed, more.failed),
        ];
        for (sum, n) in counts {
            *sum = sum.saturating_add(n);
        }
        self.billed_micros = self.billed_micros.saturating_add(more.billed_micros);
        self.list_micros = self.list_micros.saturating_add(more.list_micros);
    }
}

impl UsageDay {
    /// The daily row of one call.
    #[must_use]
    pub fn of(usage: &Usage, zone: &TimeZone) -> Self {
        let Purpose { task, stream, routine, gateway } = Purpose::of(usage);
        Self {
            day: day_in(usage.at, zone),
            agent: usage.agent.unwrap_or_else(nobody),
            provider: usage.provider.clone(),
            model: usage.model.clone(),
            task,
            sums: Sums::of(usage),
            stream,
            routine,
            gateway,
        }
    }

    #[must_use]
    pub fn purpose(&self) -> Purpose {
        let Self { task, stream, routine, gateway, .. } = *self;
        Purpose { task, stream, routine, gateway }
    }
}

/// Date in a zone, as days since 1970.
#[must_use]
pub fn day_in(at: Timestamp, zone: &TimeZone) -> u32 {
    let local = at.as_second() + i64::from(zone.to_offset(at).seconds());
    u32::try_from(local.div_euclid(86_400)).unwrap_or(0)
}

impl Record for UsageDay {
    type Id = DayKey;
    const TABLE: Table = DAYS;
    const CLASS: Class = Class::Derived;
    const VERSION: u8 = 4;
    fn id(&self) -> DayKey {
        ((self.day, self.agent), ((self.provider.clone(), self.model.clone()), self.purpose()))
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<UsageDayV1>(body).map(Self::from),
            2 => codec::decode::<UsageDayV2>(body).map(Self::from),
            // Older layout without the gateway: a zero encodes `None`.
            3 => codec::decode(&[body, [0].as_slice()].concat()),
            _ => Err(DecodeError::UnknownVersion { table: DAYS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            day: 20_414,
            agent: AgentId::from_bytes([5; 16]),
            provider: "anthropic".into(),
            model: "claude".into(),
            task: Some(TaskId::from_bytes([2; 16])),
            sums: Sums::sample(),
            stream: Some(StreamId::from_bytes([20; 16])),
            routine: Some(RoutineId::from_bytes([21; 16])),
            gateway: Some(GatewayId::from_bytes([95; 16])),
        }
    }
}

impl Roll for UsageDay {
    fn sums(&mut self) -> &mut Sums {
        &mut self.sums
    }
    fn what(&self) -> String {
        let Self { day, agent, provider, model, .. } = self;
        format!("day {day} of agent {agent} with {provider} {model}")
    }
}

#[derive(Deserialize)]
struct UsageDayV1 {
    day: u32,
    agent: AgentId,
    provider: String,
    model: String,
    task: Option<TaskId>,
    sums: SumsV1,
}

/// Layout before budgets of streams and routines.
#[derive(Deserialize)]
struct UsageDayV2 {
    day: u32,
    agent: AgentId,
    provider: String,
    model: String,
    task: Option<TaskId>,
    sums: Sums,
}

impl From<UsageDayV2> for UsageDay {
    fn from(old: UsageDayV2) -> Self {
        Self {
            day: old.day,
            agent: old.agent,
            provider: old.provider,
            model: old.model,
            task: old.task,
            sums: old.sums,
            stream: None,
            routine: None,
            gateway: None,
        }
    }
}

#[derive(Deserialize)]
struct SumsV1 {
    calls: u64,
    unpriced: u64,
    estimated: u64,
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    billed_micros: i64,
    list_micros: i64,
}

impl From<UsageDayV1> for UsageDay {
    fn from(old: UsageDayV1) -> Self {
        let sums = old.sums;
        Self::from(UsageDayV2 {
            day: old.day,
            agent: old.agent,
            provider: old.provider,
            model: old.model,
            task: old.task,
            sums: Sums {
                calls: sums.calls,
                unpriced: sums.unpriced,
                estimated: sums.estimated,
                input: sums.input,
                cache_read: sums.cache_read,
                cache_write: sums.cache_write,
                output: sums.output,
                reasoning: sums.reasoning,
                billed_micros: sums.billed_micros,
                list_micros: sums.list_micros,
                failed: 0,
            },
        })
    }
}

/// Current format of the daily rows; older rows are rebuilt.
pub const FORMAT: u8 = 2;

/// Properties of the stored days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayZone {
    /// IANA name of the time zone, from the settings.
    pub zone: String,
    /// Format of the rows: 1 is without sources.
    pub format: u8,
}

impl Record for DayZone {
    type Id = ();
    const TABLE: Table = DAY_ZONE;
    const CLASS: Class = Class::Derived;
    const VERSION: u8 = 2;
    fn id(&self) {}
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<String>(body).map(|zone| Self { zone, format: 1 }),
            _ => Err(DecodeError::UnknownVersion { table: DAY_ZONE.name, version }),
        }
    }
    fn sample() -> Self {
        Self { zone: "Europe/Berlin".into(), format: FORMAT }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CallEnd, GatewayId, KeyBuf, Purpose, RoutineId, StreamId, Sums, TaskId, TypedId as _,
        Usage, UsageDay, codec, day_in,
    };
    use jiff::tz::TimeZone;
    use kernel::Payer;
    use kernel::key::decode;
    use store::Record as _;

    #[test]
    fn a_day_begins_at_the_midnight_of_the_workspace() {
        let day = |at: &str, zone: &str| day_in(at.parse().unwrap(), &TimeZone::get(zone).unwrap());
        assert_eq!(day("1970-01-02T00:00:00Z", "UTC"), 1);
        let date = day("2026-11-20T12:00:00Z", "UTC");
        assert_eq!(day("2026-11-20T22:59:59Z", "Europe/Berlin"), date);
        assert_eq!(day("2026-11-20T23:00:00Z", "Europe/Berlin"), date + 1);
        // An hour earlier in summer, later in the far west.
        let summer = day("2026-07-01T12:00:00Z", "UTC");
        assert_eq!(day("2026-07-01T22:00:00Z", "Europe/Berlin"), summer + 1);
        assert_eq!(day("2026-11-21T07:59:59Z", "America/Los_Angeles"), date);
    }

    #[test]
    fn calls_without_a_price_are_counted_apart() {
        let known = Usage { billed_micros: Some(0), ..Usage::sample() };
        let sums = Sums::of(&known);
        assert_eq!((sums.unpriced, sums.billed_micros, sums.list_micros), (0, 0, 9_100));
        let unknown = Usage { billed_micros: None, list_micros: None, ..Usage::sample() };
        let mut sums = Sums::of(&unknown);
        assert_eq!((sums.calls, sums.unpriced, sums.list_micros), (1, 1, 0));
        sums += Sums { input: u64::MAX, ..Sums::of(&known) };
        assert_eq!((sums.calls, sums.unpriced, sums.input), (2, 1, u64::MAX));
        let refused = Usage { end: CallEnd::Refused, ..known };
        assert_eq!(Sums::of(&refused).failed, 1);
    }

    #[test]
    fn purposes_read_what_they_write_in_their_order_and_the_old_ones_stay() {
        let id = |n: u8| [n; 16];
        let task = Some(TaskId::from_bytes(id(2)));
        let (stream, routine) =
            (Some(StreamId::from_bytes(id(3))), Some(RoutineId::from_bytes(id(4))));
        let there = Some(GatewayId::from_bytes(id(5)));
        let mut all = Vec::new();
        for task in [None, task] {
            for (stream, routine) in
                [(None, None), (None, routine), (stream, None), (stream, routine)]
            {
                for gateway in [None, there] {
                    all.push(Purpose { task, stream, routine, gateway });
                }
            }
        }
        assert_eq!(all.len(), 16);
        let keys: Vec<KeyBuf> = all.iter().map(KeyBuf::of).collect();
        assert!(keys.is_sorted() && all.is_sorted(), "{all:?}");
        let read: Vec<_> = keys.iter().map(|key| decode::<Purpose>(key.bytes())).collect();
        assert_eq!(read, all.iter().copied().map(Some).collect::<Vec<_>>());
        // Keys of an older version stay unchanged.
        assert_eq!(keys[0].bytes(), id(0));
        assert_eq!(KeyBuf::of(&Purpose { task, ..Purpose::default() }).bytes(), id(2));
        let whole = Purpose { task, stream, routine, gateway: None };
        assert_eq!(KeyBuf::of(&whole).bytes(), [id(2), id(3), id(4)].concat());
    }

    #[test]
    fn a_day_has_the_stream_and_the_first_routine_that_paid() {
        let (stream, other) = (StreamId::from_bytes([3; 16]), RoutineId::from_bytes([5; 16]));
        let routine = RoutineId::from_bytes([4; 16]);
        let mut usage = Usage::sample();
        assert_eq!((usage.stream(), usage.routine()), (None, None));
        usage.payers.extend([
            Payer::Stream(stream),
            Payer::Routine(routine),
            Payer::Routine(other),
        ]);
        let day = UsageDay::of(&usage, &TimeZone::UTC);
        assert_eq!((day.stream, day.routine), (Some(stream), Some(routine)));
        assert_eq!((day.gateway, day.purpose().gateway), (usage.gateway, usage.gateway));
    }

    #[test]
    fn a_day_of_an_older_program_was_on_the_machine_that_hq_runs_on() {
        let here = UsageDay { gateway: None, ..UsageDay::sample() };
        let body = codec::encode(&here).expect("it can be written");
        // The last byte encodes the missing gateway.
        let older = UsageDay::upgrade(3, &body[..body.len() - 1]).expect("it is read");
        assert_eq!(older, here);
    }
}
