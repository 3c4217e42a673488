//! Agents and what guards them: making one, saving one of its files, its history, the dashboard of many, the verdict
//! on a call.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::{self, Client, Load, Times, told};
use crate::rows::{Ready, figure};
use crate::{Figure, ms};
use support::wire;

/// How often an act is measured.
const ACTS: usize = 60;
/// How long something is asked for again and again.
const SPAN: Duration = Duration::from_secs(4);
/// Files of the agent whose file is saved, and agents on the dashboard that is looked at.
const FILES: usize = 1_000;
const AGENTS: usize = 100;
/// Permissions among which the one that fits is looked for.
const RULES: usize = 500;

pub fn made(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mut times = Vec::new();
        for number in 0..ACTS {
            let body = wire::agent(&format!("Agent {number}"));
            let began = Instant::now();
            program.call("POST", wire::AGENTS, Some(&body)).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, worst of {ACTS} {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(30)))
    })
}

/// What `git add` and `git commit` take for a file among as many, in the same run.
fn by_git(folder: PathBuf) -> Result<Duration, String> {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Mira", "-c", "user.email=mira@example.com"]).args(args);
        let done = command.current_dir(&folder).output().map_err(told("git"))?;
        match done.status.success() {
            true => Ok(()),
            false => Err(format!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr))),
        }
    };
    git(&["init", "--quiet"])?;
    for number in 0..FILES {
        let words = format!("Note {number}\n");
        let path = folder.join(format!("n{number}.md"));
        std::fs::write(path, words).map_err(told("a note"))?;
    }
    git(&["add", "."])?;
    git(&["commit", "--quiet", "-m", "all"])?;
    let mut times = Vec::new();
    for count in 0..ACTS {
        let words = format!("Changed {count}\n");
        std::fs::write(folder.join("n500.md"), words).map_err(told("a note"))?;
        let began = Instant::now();
        git(&["add", "n500.md"])?;
        git(&["commit", "--quiet", "-m", "one"])?;
        times.push(began.elapsed());
    }
    Ok(load::share(times)?.p50)
}

pub fn saved(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let at = format!("{}/{}/files", wire::AGENTS, hq.agent);
        for number in 0..FILES {
            let body = json!({ "text": format!("Note {number}\n") });
            program.call("POST", &format!("{at}/n{number}.md"), Some(&body)).await?;
        }
        let mut times = Vec::new();
        for count in 0..ACTS {
            let body = json!({ "text": format!("Changed {count}\n") });
            let began = Instant::now();
            program.call("PUT", &format!("{at}/n500.md"), Some(&body)).await?;
            times.push(began.elapsed());
        }
        let ours = load::share(times)?.p50;
        let peer = tempfile::tempdir_in(hq.folder.path()).map_err(told("a folder"))?;
        let folder = peer.path().to_owned();
        let git = tokio::task::spawn_blocking(move || by_git(folder));
        let git = git.await.map_err(told("git"))??;
        let ratio = ours.as_secs_f64() / git.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {})", ms(ours), ms(git));
        Ok(figure(text, ratio <= 1.0))
    })
}

pub fn dashboard(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        for number in 1..AGENTS {
            let body = wire::agent(&format!("Agent {number}"));
            program.call("POST", wire::AGENTS, Some(&body)).await?;
        }
        for number in 0..1_000 {
            let body = wire::task(&format!("task {number}"), None);
            program.call("POST", wire::TASKS, Some(&body)).await?;
        }
        let cookie = ("cookie", hq.browser.cookie_header());
        let page = Client::connect(hq.program.url(), cookie).await?;
        let path = format!("/w/{}", hq.workspace);
        let Load { times: Times { p50, p99 }, .. } =
            load::repeat(vec![page], SPAN, async |client, _, _| {
                client.call("GET", &path, None).await.map(drop)
            })
            .await?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(15)))
    })
}

pub fn verdict(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let path = format!(
            "/api/v1/policy/explain?agent={}&tool=http_request&host=shop.example&method=POST",
            hq.agent
        );
        let asked = async || {
            let client = hq.client().await?;
            let load = load::repeat(vec![client], SPAN, async |client, _, _| {
                client.call("GET", &path, None).await.map(drop)
            });
            load.await.map(|load| load.times.p50)
        };
        let none = asked().await?;
        for number in 0..RULES {
            let body = json!({
                "tool": "http_request", "agent": hq.agent, "leave": "allow",
                "host": format!("h{number}.example"), "method": "POST",
            });
            program.call("POST", "/api/v1/permissions", Some(&body)).await?;
        }
        let many = asked().await?;
        let more = many.saturating_sub(none);
        let text = format!("{:.0} µs more ({} : {})", more.as_secs_f64() * 1e6, ms(many), ms(none));
        Ok(figure(text, more <= Duration::from_micros(50)))
    })
}
