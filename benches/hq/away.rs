//! Cost of agents on another machine: primary and host on loopback, both with the release program.

use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{self, Client, Times};
use crate::rows::{BINARY, Ready, figure, folder, id, unlimited};
use crate::runtime::{each_call, progress, woken};
use crate::{Figure, ms};
use support::program::{self, Program, invite, join};
use support::wire;

/// The host's gateway.
const GATEWAY: &str = "gpu-box";
/// Duration of repeated turns.
const SPAN: Duration = Duration::from_secs(5);
/// Pages written in sequence.
const PAGES: usize = 200;
/// Agents of an idle host.
const AGENTS: usize = 10;
/// Idle time before the measurement, and duration of the measurement.
const REST: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(60);
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// Primary and host.
struct Away {
    host: Program,
    hq: Ready,
    // Dropped last, after the program has ended.
    machine: TempDir,
}

impl Away {
    /// Both, linked. The agent still works on the primary.
    async fn start() -> Result<Self, String> {
        let Ready { program, model, token, agent, browser, workspace, folder: data } =
            Ready::start().await?;
        program.stop();
        let (invited, print) = invite(Path::new(BINARY), data.path(), "GPU box");
        let program = Program::start_with(&mut unlimited(data.path()));
        let hq = Ready { program, model, token, agent, browser, workspace, folder: data };
        let machine = folder()?;
        let invitation = (invited.as_str(), print.as_str());
        let host = join(Path::new(BINARY), machine.path(), hq.program.url(), invitation);
        let away = Self { host, hq, machine };
        let mut client = away.hq.client().await?;
        let path = format!("/api/v1/gateways/{GATEWAY}");
        let began = Instant::now();
        // The gateway exists once it has joined.
        while began.elapsed() < PATIENCE {
            if client.json("GET", &path, None).await.is_ok_and(|one| one["status"] == "ready") {
                return Ok(away);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the host did not join".to_owned())
    }

    /// The same with the agent on the host.
    async fn working() -> Result<Self, String> {
        let away = Self::start().await?;
        away.bind(&away.hq.agent).await?;
        Ok(away)
    }

    /// Moves an agent to the host.
    async fn bind(&self, agent: &str) -> Result<(), String> {
        let path = format!("{}/{agent}/gateway", wire::AGENTS);
        let place = json!({ "gateway": GATEWAY });
        self.hq.client().await?.call("PUT", &path, Some(&place)).await.map(drop)
    }

    /// Median duration of turns.
    async fn turn(&self) -> Result<Duration, String> {
        let body = wire::chat("What is open?", false);
        let load = load::repeat(self.hq.clients(1).await?, SPAN, async |client, _, _| {
            client.call("POST", wire::CHAT, Some(&body)).await.map(drop)
        });
        Ok(load.await?.times.p50)
    }

    /// The host's local API, as its commands use it.
    async fn local(&self) -> Result<Client, String> {
        Client::local(&self.machine.path().join("hq.sock")).await
    }
}

/// A turn on a host compared with one on the primary.
pub fn turn(_: Times) -> Row {
    Box::pin(async {
        let away = Away::start().await?;
        let home = away.turn().await?;
        away.bind(&away.hq.agent).await?;
        let host = away.turn().await?;
        let over = host.as_secs_f64() / home.as_secs_f64();
        let text = format!("{over:.2} ({} : {})", ms(host), ms(home));
        Ok(figure(text, over <= 2.0))
    })
}

/// A workspace tool call of an agent on a host: commits on the primary and in the replica.
pub fn tool_call(fsync: Times) -> Row {
    Box::pin(async move {
        let away = Away::working().await?;
        let each = each_call(&away.hq, progress).await?;
        let limit = fsync.p50.mul_f64(2.6) + Duration::from_millis(2);
        Ok(figure(format!("{} (limit {})", ms(each), ms(limit)), each <= limit))
    })
}

/// Time from assigning a task to an agent on a host to its request to the model.
pub fn wake(_: Times) -> Row {
    Box::pin(async {
        let away = Away::working().await?;
        let Times { p50, p99 } = woken(&away.hq).await?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(20)))
    })
}

/// Number of pages that the host has durably.
async fn pages(host: &mut Client) -> Result<u64, String> {
    let status: Value = host.json("GET", "/replica/status", None).await?;
    Ok(status["rows"]["knowledge_items"].as_u64().unwrap_or(0))
}

/// Time from the response to a write on the primary until it is on the host's disk, including the last poll.
pub fn durable(_: Times) -> Row {
    Box::pin(async {
        let away = Away::start().await?;
        let (mut client, mut host) = (away.hq.client().await?, away.local().await?);
        let mut times = Vec::with_capacity(PAGES);
        for n in 0..PAGES {
            let had = pages(&mut host).await?;
            let (title, text) = (format!("Bell {n}"), "It rings twice.");
            let page = json!({ "title": title, "text": text, "scope": "workspace" });
            client.call("POST", "/api/v1/knowledge", Some(&page)).await?;
            let began = Instant::now();
            while pages(&mut host).await? == had {
                if PATIENCE < began.elapsed() {
                    return Err(format!("page {n} never came to the host"));
                }
            }
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(30)))
    })
}

/// Resources of a host while none of its agents has work.
pub fn idle(_: Times) -> Row {
    Box::pin(async {
        let away = Away::working().await?;
        let mut client = away.hq.client().await?;
        for n in 1..AGENTS {
            let agent = wire::agent(&format!("Ada {n}"));
            let made = client.json("POST", wire::AGENTS, Some(&agent)).await?;
            away.bind(&id(&made)?).await?;
        }
        tokio::time::sleep(REST).await;
        let process = away.host.id();
        let before = program::cpu_time(process);
        tokio::time::sleep(LOOK).await;
        let used = program::cpu_time(process).saturating_sub(before);
        let share = used.as_secs_f64() / LOOK.as_secs_f64();
        let bytes = program::pss_kib(process) * 1_024;
        let text = format!("{:.1} MB, {:.2} % of a core", bytes as f64 / 1e6, share * 100.0);
        Ok(figure(text, bytes <= 20_000_000 && share <= 0.002))
    })
}
