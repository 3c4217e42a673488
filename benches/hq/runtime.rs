//! Agents at work: tools, programs, streams, concurrent runs, recovery after a kill, wake-up, long conversations.

use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::load::{self, Client, Times, told};
use crate::model::{Manner, now_us};
use crate::rows::{Ready, bearer, figure, unlimited};
use crate::{Figure, ms};
use support::program::{self, Program};
use support::wire;

/// Tool calls in one response of the model.
const CALLS: u32 = 20;
/// Turns per comparison.
const TURNS: usize = 30;
/// Concurrent runs.
const RUNS: usize = 200;

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// Median duration of turns with these tool calls.
async fn turn_with(hq: &Ready, calls: Vec<(&'static str, Value)>) -> Result<Duration, String> {
    hq.model.be(Manner { calls, ..Manner::default() });
    let mut client = hq.client().await?;
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let began = Instant::now();
        client.call("POST", wire::CHAT, Some(&wire::chat("Go on", false))).await?;
        times.push(began.elapsed());
    }
    hq.model.be(Manner::default());
    Ok(load::share(times)?.p50)
}

/// Calls with different arguments: the guard stops repeated equal calls.
fn calls(count: u32, call: fn(u32) -> (&'static str, Value)) -> Vec<(&'static str, Value)> {
    (0..count).map(call).collect()
}

/// A call of a workspace tool.
pub fn progress(n: u32) -> (&'static str, Value) {
    ("progress", json!({ "text": format!("reading offer {n}") }))
}

/// Cost of one call: difference between turns with 21 calls and with one, including a commit per call.
pub async fn each_call(
    hq: &Ready,
    call: fn(u32) -> (&'static str, Value),
) -> Result<Duration, String> {
    let one = turn_with(hq, calls(1, call)).await?;
    let all = turn_with(hq, calls(CALLS + 1, call)).await?;
    Ok(all.saturating_sub(one) / CALLS)
}

/// A call of a workspace tool, including its commit.
pub fn tool_call(fsync: Times) -> Row {
    Box::pin(async move {
        let hq = Ready::start().await?;
        let each = each_call(&hq, progress).await?;
        let limit = fsync.p50.mul_f64(1.3) + Duration::from_millis(2);
        Ok(figure(format!("{} (limit {})", ms(each), ms(limit)), each <= limit))
    })
}

/// Time from the model's call to the program's first action in its jail, compared with a manual start; and the duration
/// of the whole call.
pub fn exec(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let whole = each_call(&hq, |n| ("exec", json!({ "command": format!("true {n}") }))).await?;
        let mut client = hq.client().await?;
        let mut times = Vec::new();
        for n in 0..100 {
            let tell = ("exec", json!({ "command": format!("date +%s%N # {n}") }));
            hq.model.be(Manner { calls: vec![tell], ..Manner::default() });
            client.call("POST", wire::CHAT, Some(&wire::chat("Go on", false))).await?;
            let (called, told) = hq.model.tool();
            times.push(began_after(called, &told)?);
        }
        let bare = tokio::task::spawn_blocking(|| {
            let mut times = Vec::new();
            for _ in 0..100 {
                let began = now_us();
                let output = Command::new("sh").args(["-c", "date +%s%N"]).output();
                let output = output.map_err(told("sh"))?;
                times.push(began_after(began, &String::from_utf8_lossy(&output.stdout))?);
            }
            load::share(times)
        });
        let (ours, bare) = (load::share(times)?.p50, bare.await.map_err(told("a thread"))??.p50);
        let over = ours.saturating_sub(bare);
        let text = format!("{} over {}; all of a call {}", ms(over), ms(bare), ms(whole));
        Ok(figure(text, over <= Duration::from_millis(5)))
    })
}

/// Time from `moment` to the program's own start time, printed in nanoseconds since 1970.
fn began_after(moment: u128, told: &str) -> Result<Duration, String> {
    let digits = |word: &&str| word.len() == 19 && word.bytes().all(|byte| byte.is_ascii_digit());
    let began = told.split(|c: char| !c.is_ascii_digit()).find(digits);
    let began: u128 = began.and_then(|word| word.parse().ok()).ok_or("no moment in the output")?;
    Ok(Duration::from_nanos(u64::try_from(began.saturating_sub(moment * 1_000)).unwrap_or(0)))
}

/// Time from a chunk's sending by the model to its arrival at the client.
pub fn relay(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        hq.model.be(Manner { stamps: 600, ..Manner::default() });
        let mut client = hq.client().await?;
        let body = wire::chat("Count", true);
        let mut stream = client.send("POST", wire::CHAT, Some(&body)).await?.into_body();
        let (mut times, mut text) = (Vec::new(), String::new());
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(told("the stream"))?;
            let Some(bytes) = frame.data_ref() else { continue };
            let now = now_us();
            text.push_str(&String::from_utf8_lossy(bytes));
            // The last line may contain an incomplete timestamp.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            for stamp in text[..whole].split('@').filter_map(|part| part.parse::<u128>().ok()) {
                let since = u64::try_from(now.saturating_sub(stamp)).unwrap_or(u64::MAX);
                times.push(Duration::from_micros(since));
            }
            text.drain(..whole);
        }
        let count = times.len();
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {} of {count}", ms(p50), ms(p99));
        Ok(figure(text, count == 600 && p99 <= Duration::from_millis(5)))
    })
}

/// Memory of 200 concurrent runs with a model that takes 200 ms, and their throughput.
pub fn at_once(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start_with(&[("HQ_RUNS_MAX_ACTIVE", "200")]).await?;
        hq.client().await?.call("POST", wire::CHAT, Some(&wire::chat("Hello", false))).await?;
        let before = program::pss_kib(hq.program.id());
        hq.model.be(Manner { wait: Duration::from_millis(200), ..Manner::default() });
        let (process, mut most) = (hq.program.id(), before);
        let clients = hq.clients(RUNS).await?;
        let body = wire::chat("What is open?", false);
        let load = load::repeat(clients, Duration::from_secs(10), async |client, _, _| {
            client.call("POST", wire::CHAT, Some(&body)).await.map(drop)
        });
        tokio::pin!(load);
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        let load = loop {
            tokio::select! {
                load = &mut load => break load?,
                _ = tick.tick() => most = most.max(program::pss_kib(process)),
            }
        };
        let extra = (most - before) as f64 * 1_024.0 / 1e6;
        let text = format!(
            "{extra:.0} MB, {:.0} turns/s of {} possible, p99 {}",
            load.rate,
            RUNS * 5,
            ms(load.times.p99)
        );
        Ok(figure(text, extra <= 150.0))
    })
}

/// Time from assigning a task to an idle agent to its request to the model.
pub fn wake(_: Times) -> Row {
    Box::pin(async {
        let Times { p50, p99 } = woken(&Ready::start().await?).await?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(10)))
    })
}

/// The same, wherever the agent works.
pub async fn woken(hq: &Ready) -> Result<Times, String> {
    let mut client = hq.client().await?;
    let mut times = Vec::new();
    for n in 0..TURNS {
        let asked = hq.model.next_request();
        let task = wire::task(&format!("task {n}"), Some(&hq.agent));
        let began = Instant::now();
        client.json("POST", wire::TASKS, Some(&task)).await?;
        times.push(asked.await?.saturating_duration_since(began));
        hq.rest(&mut client).await?;
    }
    load::share(times)
}

/// Time from the restart after a kill within a turn to the repeated request to the model.
pub fn resume(_: Times) -> Row {
    Box::pin(async {
        let Ready { mut program, model, token, folder, agent, .. } = Ready::start().await?;
        model.be(Manner { wait: Duration::from_mins(10), ..Manner::default() });
        let asked = model.next_request();
        let mut client = Client::connect(program.url(), bearer(&token)).await?;
        client.json("POST", wire::TASKS, Some(&wire::task("task", Some(&agent)))).await?;
        asked.await?;
        let mut times = Vec::new();
        // A third kill within the same turn would pause the run.
        for _ in 0..2 {
            program.kill();
            let asked = model.next_request();
            let began = Instant::now();
            program = Program::start_with(&mut unlimited(folder.path()));
            times.push(asked.await?.saturating_duration_since(began));
        }
        let slowest = times.iter().max().copied().unwrap_or_default();
        Ok(figure(format!("{} (worse of 2)", ms(slowest)), slowest <= Duration::from_secs(2)))
    })
}

/// Time from a stop request to the end of a run whose model does not respond.
pub fn stop(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        hq.model.be(Manner { wait: Duration::from_mins(10), ..Manner::default() });
        let mut client = hq.client().await?;
        let mut times = Vec::new();
        for n in 0..TURNS {
            let asked = hq.model.next_request();
            let task = wire::task(&format!("task {n}"), Some(&hq.agent));
            client.json("POST", wire::TASKS, Some(&task)).await?;
            asked.await?;
            let runs = client.json("GET", "/api/v1/runs?limit=1", None).await?;
            let run = runs["items"][0]["name"].as_str().ok_or("no run")?;
            let began = Instant::now();
            client.call("POST", &format!("/api/v1/runs/{run}/stop"), Some(&json!({}))).await?;
            hq.rest(&mut client).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_secs(1)))
    })
}

/// The chat page of a conversation of 10,000 events.
pub fn long_session(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut client = hq.client().await?;
        hq.model.be(Manner { calls: calls(100, progress), ..Manner::default() });
        let say = format!("{}/{}/messages", wire::AGENTS, hq.agent);
        let all = format!("{}/{}/sessions", wire::AGENTS, hq.agent);
        let mut events = 0;
        while events < 10_000 {
            let asked = hq.model.next_request();
            client.call("POST", &say, Some(&json!({ "text": "Go on" }))).await?;
            asked.await?;
            hq.rest(&mut client).await?;
            let now = client.json("GET", &all, None).await?["items"][0]["events"].as_u64();
            let now = now.ok_or("the conversation has no number of events")?;
            if now <= events {
                return Err(format!("the conversation stays at {now} events"));
            }
            events = now;
        }
        let page = format!("/w/{}/agents/ada/chat", hq.workspace);
        let mut browser = hq.person().await?;
        let mut times = Vec::new();
        for _ in 0..TURNS {
            let began = Instant::now();
            browser.call("GET", &page, None).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}, {events} events", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(5)))
    })
}

impl Ready {
    /// Waits until the newest run has ended.
    pub async fn rest(&self, client: &mut Client) -> Result<(), String> {
        for _ in 0..2_000 {
            let runs = client.json("GET", "/api/v1/runs?limit=1", None).await?;
            if runs["items"][0]["state"] == "ended" {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err("a run did not end".to_owned())
    }
}
