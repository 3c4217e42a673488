//! Search over 100,000 tasks: indexing, and palette requests.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::Figure;
use crate::load::{self, Client, Load, Times};
use crate::ms;
use crate::rows::{Ready, figure};
use support::wire;

const TASKS: usize = 100_000;
/// Clients that create tasks.
const MAKERS: usize = 64;
/// Typed searches: prefixes, typos, several words.
const TYPED: [&str; 8] =
    ["l", "le", "leas", "leasing", "laesing", "cargo%20bi", "rider%20handbook%2077", "nothing"];
/// Words of titles.
const WORDS: [&str; 12] = [
    "leasing",
    "cargo",
    "bike",
    "rider",
    "handbook",
    "insurance",
    "harbour",
    "bakery",
    "florist",
    "trailer",
    "workshop",
    "invoice",
];

fn title(n: usize) -> String {
    let word = |step: usize| WORDS[n / step % WORDS.len()];
    format!("{} {} {} {n}", word(1), word(12), word(144))
}

/// An HQ with many tasks that are not indexed yet.
async fn full() -> Result<Ready, String> {
    let hq = Ready::start().await?;
    let makers = hq.clients(MAKERS).await?;
    let work = makers.into_iter().enumerate().map(|(first, mut client)| async move {
        for n in (first..TASKS).step_by(MAKERS) {
            client.call("POST", wire::TASKS, Some(&wire::task(&title(n), None))).await?;
        }
        Ok::<_, String>(())
    });
    futures_util::future::try_join_all(work).await?;
    Ok(hq)
}

/// Waits until the index is complete; returns the duration.
async fn whole(client: &mut Client) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        let answer = client.json("GET", "/api/v1/search?q=leasing", None).await?;
        let found = answer["facets"][0]["count"].as_u64().unwrap_or(0);
        // Each word is at each position in a twelfth of the titles.
        if answer["complete"] == true && TASKS as u64 / 6 < found {
            return Ok(began.elapsed());
        }
        if Duration::from_secs(120) < began.elapsed() {
            return Err(format!("the index is not whole after two minutes: {found} found"));
        }
    }
}

pub fn index(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = full().await?;
        let took = whole(&mut hq.client().await?).await?;
        let rate = TASKS as f64 / took.as_secs_f64();
        Ok(figure(format!("{rate:.0}/s, {} for all", ms(took)), 10_000.0 <= rate))
    })
}

pub fn palette(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = full().await?;
        whole(&mut hq.client().await?).await?;
        let client = hq.person().await?;
        let path = format!("/w/{}/palette?q=", hq.workspace);
        let span = Duration::from_secs(5);
        let Load { times: Times { p50, p99 }, .. } =
            load::repeat(vec![client], span, async |client, _, count| {
                let typed = TYPED[count % TYPED.len()];
                client.call("GET", &format!("{path}{typed}"), None).await.map(drop)
            })
            .await?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(50)))
    })
}
