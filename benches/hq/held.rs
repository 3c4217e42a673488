//! Memory of open pages, and of idle workspaces.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;

use crate::Figure;
use crate::load::{Client, Times, told};
use crate::rows::{Ready, figure, unlimited};
use support::program::{self, Program};

/// Concurrently open pages.
const STREAMS: u64 = 10_000;
const WORKSPACES: u64 = 20;
/// Idle time before memory is read.
const REST: Duration = Duration::from_secs(30);

/// Memory of an open idle page: 10,000 compared with none, in the same process. Each has received its first event, so
/// that its stream is fully set up.
pub fn streams(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let path = format!("/w/{}/events", hq.workspace);
        let mut open = Vec::new();
        open_some(&hq, &path, 100, &mut open).await?;
        let before = program::pss_kib(hq.program.id());
        open_some(&hq, &path, STREAMS, &mut open).await?;
        let after = program::pss_kib(hq.program.id());
        let each = after.saturating_sub(before) as f64 / STREAMS as f64;
        let text = format!("{each:.1} KiB each, {:.0} MB in all", after as f64 / 1_000.0);
        Ok(figure(text, each <= 10.0))
    })
}

async fn open_some(
    hq: &Ready,
    path: &str,
    count: u64,
    open: &mut Vec<tokio::task::JoinHandle<()>>,
) -> Result<(), String> {
    for _ in 0..count {
        let mut page = hq.person().await?;
        let mut body = page.send("GET", path, None).await?.into_body();
        body.frame().await.ok_or("a stream ended at once")?.map_err(told("a stream"))?;
        open.push(tokio::spawn(async move {
            while let Some(Ok(_)) = body.frame().await {}
            drop(page);
        }));
    }
    Ok(())
}

/// Memory of 20 workspaces compared with one, half a minute after a start.
pub fn workspaces(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let Ready { program, browser, folder, .. } = Ready::start().await?;
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let one = at_rest(&program).await;
        // A token belongs to one workspace; creating another needs a session.
        let cookie = ("cookie", browser.cookie_header());
        let mut client = Client::connect(program.url(), cookie).await?;
        for n in 2..=WORKSPACES {
            let body = json!({ "name": format!("Branch {n}") });
            client.call("POST", "/api/v1/workspaces", Some(&body)).await?;
        }
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let all = at_rest(&program).await;
        let more = all.saturating_sub(one) as f64 * 1_024.0 / 1e6;
        let text = format!("{more:.1} MB more than {:.1} MB", one as f64 * 1_024.0 / 1e6);
        Ok(figure(text, more <= 10.0))
    })
}

/// Memory of an idle program after its start, in KiB.
pub async fn at_rest(program: &Program) -> u64 {
    tokio::time::sleep(REST).await;
    program::pss_kib(program.id())
}
