//! CSV exports: usage by day, and every single call.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines::Machines;
use features::connections::model::Connection;
use features::routines::model::Routine;
use features::runs::model::Run;
use features::streams::model as streams;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use kernel::key::KeyBuf;
use kernel::{AgentId, ConnectionId, RoutineId, RunId, StreamId, TaskId, TypedId, UsageId};
use store::{Range, ReadExt as _, Snap, StoreError};
use web::error::PageError;
use web::session::Alive;

use features::usage::model::Usage;
use features::usage::model::day::{Purpose, Sums, UsageDay, day_in};
use features::usage::model::nobody;
use features::usage::period::Month;
use features::usage::queries::daily;
use features::usage::span::{self, Span, SpanParams};

/// Calls per chunk of the file.
const PIECE: usize = 500;
/// Days searched before and after the range. A call is stored under its UTC time, and the zone of the range may be far
/// from UTC.
const AROUND: u32 = 2;

const DAYS_HEAD: &str = "date,agent,task,stream,routine,provider,model,calls,unpriced,estimated,\
                         failed,input,cache_read,cache_write,output,reasoning,billed_usd,list_usd,gateway";
const CALLS_HEAD: &str = "at,date,agent,task,stream,routine,run,call,kind,provider,connection,model,\
                          route,end,estimated,input,cache_read,cache_write,cache_write_1h,output,\
                          reasoning,billed_usd,list_usd,priced_by,gateway";

fn wanted(ws: &Ws, snap: &Snap<'_>, params: &SpanParams) -> Result<(Span, TimeZone), PageError> {
    let zone = daily::zone(snap)?;
    let today = day_in(ws.app.clock.now(), &zone);
    Ok((span::read(params, today)?, zone))
}

fn file(ws: &Ws, what: &str, span: Span, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = format!("attachment; filename=\"{}-{what}-{}.csv\"", ws.slug, span.file());
    if let Ok(value) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// Usage by day, one row per agent, model, task, stream, routine and machine.
pub(in crate::usage) async fn days(ws: Ws, params: SpanParams) -> Result<Response, PageError> {
    let made = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let (span, _) = wanted(ws, snap, &params)?;
            let rolled = daily::rolled(ws, snap, span.first..=span.last)?;
            let (mut names, machines) = (Names::default(), Machines::read(snap)?);
            let mut text = format!("{DAYS_HEAD}\r\n");
            for day in &rolled.days {
                let work = names.work(snap, day.purpose())?;
                let agent = match day.agent == nobody() {
                    true => "connection tests".to_owned(),
                    false => names.agent(snap, day.agent)?,
                };
                let machine = machines.slug(day.gateway);
                text.push_str(&day_line(day, (&agent, &machine), &work));
            }
            Ok::<_, PageError>((span, text))
        })
    });
    let (span, text) = made.await?;
    Ok(file(&ws, "usage", span, Body::from(text)))
}

fn day_line(
    day: &UsageDay,
    (agent, machine): (&str, &str),
    [task, stream, routine]: &[String; 3],
) -> String {
    let Sums { calls, unpriced, estimated, failed, .. } = day.sums;
    let Sums { input, cache_read, cache_write, output, reasoning, .. } = day.sums;
    let counts =
        [calls, unpriced, estimated, failed, input, cache_read, cache_write, output, reasoning];
    let words = [agent, task, stream, routine, &day.provider, &day.model].map(cell).join(",");
    let counts = counts.map(|n| n.to_string()).join(",");
    let (billed, list) = (dollars(day.sums.billed_micros), dollars(day.sums.list_micros));
    format!("{},{words},{counts},{billed},{list},{machine}\r\n", Month::date_of(day.day))
}

/// Every single call, oldest first. Each chunk reads its own short snapshot.
pub(in crate::usage) async fn calls(
    ws: Ws,
    alive: Alive,
    params: SpanParams,
) -> Result<Response, PageError> {
    let (span, zone) = ws.read(|snap| wanted(&ws, snap, &params))?;
    let lines = lines(ws.clone(), alive, span, zone);
    Ok(file(&ws, "calls", span, Body::from_stream(lines)))
}

/// Progress of a file.
enum Place {
    Head,
    After(Option<UsageId>),
    End,
}

fn lines(
    ws: Ws,
    alive: Alive,
    span: Span,
    zone: TimeZone,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let begun = (ws, alive, zone, Place::Head);
    let pieces = stream::unfold(begun, move |(ws, alive, zone, place)| async move {
        let after = match place {
            Place::Head => {
                let head = Bytes::from(format!("{CALLS_HEAD}\r\n"));
                return Some((Ok(head), (ws, alive, zone, Place::After(None))));
            }
            Place::After(after) => after,
            Place::End => return None,
        };
        // Re-check access before sending more data.
        if !(alive.0)() {
            return None;
        }
        let own = zone.clone();
        match ws.read_blocking(move |ws| ws.read(|snap| piece(snap, span, &own, after))).await {
            Ok((text, last)) => {
                let next = last.map_or(Place::End, |last| Place::After(Some(last)));
                Some((Ok(Bytes::from(text)), (ws, alive, zone, next)))
            }
            Err(error) => Some((Err(error), (ws, alive, zone, Place::End))),
        }
    });
    pieces.filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty())))
}

/// The next calls and the id of the last one; `None` at the end.
fn piece(
    snap: &Snap<'_>,
    span: Span,
    zone: &TimeZone,
    after: Option<UsageId>,
) -> Result<(String, Option<UsageId>), StoreError> {
    let edge = |day: u32| KeyBuf::of(&first_id(day));
    let lo = edge(span.first.saturating_sub(AROUND));
    let hi = edge(span.last.saturating_add(1 + AROUND));
    let mut range = Range::between(lo, hi).limit(PIECE);
    if let Some(after) = after {
        range = range.after(KeyBuf::of(&after).bytes());
    }
    let calls: Vec<Usage> = snap.list(&range)?;
    let last = calls.last().filter(|_| calls.len() == PIECE).map(|usage| usage.id);
    let (mut names, machines) = (Names::default(), Machines::read(snap)?);
    let mut text = String::new();
    for usage in &calls {
        let day = day_in(usage.at, zone);
        if (span.first..=span.last).contains(&day) {
            let machine = machines.slug(usage.gateway);
            text.push_str(&call_line(snap, &mut names, (usage, machine), day)?);
        }
    }
    Ok((text, last))
}

/// The smallest id of a UTC day: ids begin with their milliseconds.
fn first_id(day: u32) -> UsageId {
    let ms = u64::from(day) * 86_400_000;
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    UsageId::from_bytes(bytes)
}

fn call_line(
    snap: &Snap<'_>,
    names: &mut Names,
    (usage, machine): (&Usage, String),
    day: u32,
) -> Result<String, StoreError> {
    let name = |found: Result<Option<String>, StoreError>| found.map(Option::unwrap_or_default);
    let agent = name(usage.agent.map(|id| names.agent(snap, id)).transpose())?;
    let [task, stream, routine] = names.work(snap, Purpose::of(usage))?;
    let run = name(usage.run.map(|id| names.run(snap, id)).transpose())?;
    let connection = name(usage.connection.map(|id| names.connection(snap, id)).transpose())?;
    let money = |micros: Option<i64>| micros.map_or_else(String::new, dollars);
    let cells = [
        usage.at.to_string(),
        Month::date_of(day).to_string(),
        cell(&agent),
        cell(&task),
        cell(&stream),
        cell(&routine),
        run,
        usage.call.to_string(),
        usage.kind.word().to_owned(),
        cell(&usage.provider),
        cell(&connection),
        cell(&usage.model),
        usage.route.word().to_owned(),
        usage.end.word().to_owned(),
        usage.estimated.to_string(),
        usage.input.to_string(),
        usage.cache_read.to_string(),
        usage.cache_write.to_string(),
        usage.cache_write_1h.to_string(),
        usage.output.to_string(),
        usage.reasoning.to_string(),
        money(usage.billed_micros),
        money(usage.list_micros),
        usage.priced_by.word().to_owned(),
        machine,
    ];
    Ok(cells.join(",") + "\r\n")
}

/// Names by id, each read once.
#[derive(Default)]
struct Names {
    agents: HashMap<AgentId, String>,
    tasks: HashMap<TaskId, String>,
    streams: HashMap<StreamId, String>,
    routines: HashMap<RoutineId, String>,
    runs: HashMap<RunId, String>,
    connections: HashMap<ConnectionId, String>,
}

impl Names {
    fn agent(&mut self, snap: &Snap<'_>, id: AgentId) -> Result<String, StoreError> {
        known(&mut self.agents, id, || Ok(snap.get::<Agent>(id)?.map(|agent| agent.slug)))
    }

    fn task(&mut self, snap: &Snap<'_>, id: TaskId) -> Result<String, StoreError> {
        known(&mut self.tasks, id, || {
            let Some(task) = snap.get::<Task>(id)? else { return Ok(None) };
            Ok(Some(format!("{} {}", tasks::name(snap, task.number)?, task.title)))
        })
    }

    /// Names of task, stream and routine; empty if there is none.
    fn work(&mut self, snap: &Snap<'_>, of: Purpose) -> Result<[String; 3], StoreError> {
        let task = of.task.map(|id| self.task(snap, id)).transpose()?;
        let stream = of.stream.map(|id| {
            known(&mut self.streams, id, || {
                Ok(snap.get::<streams::Stream>(id)?.map(|one| one.name))
            })
        });
        let routine = of.routine.map(|id| {
            known(&mut self.routines, id, || Ok(snap.get::<Routine>(id)?.map(|one| one.name)))
        });
        Ok([task, stream.transpose()?, routine.transpose()?].map(Option::unwrap_or_default))
    }

    fn run(&mut self, snap: &Snap<'_>, id: RunId) -> Result<String, StoreError> {
        known(&mut self.runs, id, || Ok(snap.get::<Run>(id)?.map(|run| run.name())))
    }

    fn connection(&mut self, snap: &Snap<'_>, id: ConnectionId) -> Result<String, StoreError> {
        known(&mut self.connections, id, || Ok(snap.get::<Connection>(id)?.map(|one| one.name)))
    }
}

/// The cached name, or the one read now; the id itself if the record is gone.
fn known<I: Copy + Eq + std::hash::Hash + std::fmt::Display>(
    names: &mut HashMap<I, String>,
    id: I,
    read: impl FnOnce() -> Result<Option<String>, StoreError>,
) -> Result<String, StoreError> {
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let name = read()?.unwrap_or_else(|| id.to_string());
    names.insert(id, name.clone());
    Ok(name)
}

fn dollars(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A CSV cell. Text that a spreadsheet would interpret as a formula is prefixed with an apostrophe.
fn cell(text: &str) -> String {
    let formula = text.trim_start().starts_with(['=', '+', '-', '@']);
    let formula = formula || text.starts_with(['\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{DAYS_HEAD, cell, day_line, dollars, first_id};
    use features::usage::model::day::UsageDay;
    use kernel::TypedId as _;
    use kernel::id::{IdSource as _, SeededIds};
    use store::Record as _;

    #[test]
    fn a_line_of_the_days_has_all_cells_and_no_formula() {
        let work = |task: &str| [task, "Launch", "=1"].map(str::to_owned);
        let at = ("ada", "gpu-box");
        let text = day_line(&UsageDay::sample(), at, &work("Say \"hello\", twice"));
        let named = ",ada,\"Say \"\"hello\"\", twice\",Launch,'=1,anthropic,claude,3,1,1,1,1200,";
        assert!(text.contains(named), "{text}");
        assert!(text.ends_with(",0.008400,0.009100,gpu-box\r\n"), "{text}");
        let plain = day_line(&UsageDay::sample(), at, &work("x"));
        assert_eq!(plain.split(',').count(), DAYS_HEAD.split(',').count());
        assert_eq!(dollars(-1_500_000), "-1.500000");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@x", "\t=1", " =1+1", "\r=1", "\n=1"] {
            assert!(cell(text).trim_start_matches('"').starts_with('\''), "{text:?}");
        }
        assert_eq!(cell("=cmd|' /C calc'!A0,x"), "\"'=cmd|' /C calc'!A0,x\"");
        assert_eq!(cell("a - b"), "a - b");
    }

    #[test]
    fn an_id_lies_behind_the_first_one_of_its_day() {
        let ids = SeededIds::new(1);
        let at = i64::from(20_000_u32) * 86_400_000;
        let made = ids.next(at).into_bytes();
        let first = |day: u32| *first_id(day).uuid().as_bytes();
        assert!(first(20_000) < made && made < first(20_001));
        let made = ids.next(at + 86_399_999).into_bytes();
        assert!(first(20_000) < made && made < first(20_001));
    }
}
