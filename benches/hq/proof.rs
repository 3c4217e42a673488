//! Check of a delivery's claims against the journal of a long run.

use std::pin::Pin;
use std::time::{Duration, Instant};

use features::claims::model::Claim;
use features::claims::queries::{self as proof, Submission};
use features::runs::model::{Body, CallStatus, EventKind, Run, SessionEvent};
use kernel::{ClaimKind, ClaimState};
use providers::model::Part;
use serde_json::{Value, json};

use crate::Figure;
use crate::load::Times;
use crate::ms;
use crate::rows::figure;
use support::model::Turn;
use support::office::Office;

/// Calls of the run.
const CALLS: u32 = 1_000;
/// Measurements, of which the slowest counts.
const TIMES: usize = 9;

/// The arguments of one call: programs, requests, messages and records in turn.
fn call(n: u32) -> (&'static str, Value) {
    match n % 4 {
        0 => ("exec", json!({ "command": format!("cd part-{n} && npm test") })),
        1 => ("web_fetch", json!({ "url": format!("https://example.com/prices/{n}") })),
        2 => ("message_agent", json!({ "agent": format!("ada-{n}"), "text": "x ".repeat(500) })),
        _ => (
            "task_create",
            json!({ "title": format!("Offer {n}"), "description": "y ".repeat(500) }),
        ),
    }
}

/// A response with one call, and the result of the call.
fn events(n: u32) -> Result<[EventKind; 2], String> {
    let (name, arguments) = call(n);
    let part = Part::call(format!("call-{n}"), name, arguments.to_string());
    let parts = serde_json::to_string(&[part]).map_err(|error| error.to_string())?;
    let said = EventKind::Assistant {
        call: n,
        parts: Body::Inline(parts),
        stop: "tool_use".to_owned(),
        input_tokens: 0,
        output_tokens: 0,
        billed_micros: None,
        millis: 0,
    };
    let done = EventKind::ToolFinished {
        step: n,
        call_id: format!("call-{n}"),
        name: name.to_owned(),
        status: CallStatus::Ok,
        result: Body::Inline(format!("[exit code 0]\n{}", "line of output\n".repeat(500))),
        millis: 1,
        paths: Vec::new(),
        seq: None,
    };
    Ok([said, done])
}

/// Twenty claims and a text with paths and links are checked against a run with 1,000 calls.
pub fn delivery(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let office = Office::open().await;
        let agent = office.agent("Ada").await;
        office.model.push(Turn::text("Done."));
        let said = office.say(&agent, "Begin").await;
        let run: Run = office.ended(said).await;
        let mut rows = Vec::new();
        for n in 1..=CALLS {
            for kind in events(n)? {
                // Behind the events that the run has written.
                let number = 1_000 + u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let (session, at) = (run.session, run.created_at);
                rows.push(SessionEvent { session, n: number, run: Some(run.id), at, kind });
            }
        }
        let put = office.act(move |tx| rows.iter().try_for_each(|row| tx.put(row)));
        put.await;
        let claim = |n: u32| {
            let (kind, text) = match n % 4 {
                0 => (ClaimKind::Command, "all tests pass".to_owned()),
                1 => (ClaimKind::Source, format!("https://example.com/prices/{}", 4 * n + 1)),
                2 => (ClaimKind::Sent, format!("asked ada-{}", 4 * n + 2)),
                _ => (ClaimKind::Record, format!("created Offer {}", 4 * n + 3)),
            };
            Claim { text, kind, step: None }
        };
        let text = "See https://example.com/prices/5 and notes/offers.md. ".repeat(100);
        let claims = (0..20).map(claim).collect();
        let submission = Submission { claims, title: "Offers".to_owned(), text };
        let (ws, folder) = (office.ws(), office.ws().agent_folder(&agent.slug));
        let (mut slowest, mut supported) = (Duration::ZERO, 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            let of = (run.id, folder.as_path());
            let checked = proof::compared(&ws, of, "deliverable_submit", &submission);
            slowest = slowest.max(began.elapsed());
            let checked = checked.map_err(|error| error.to_string())?;
            let is_supported = |state| state == ClaimState::Supported;
            supported = checked.claims.iter().filter(|one| is_supported(one.state)).count();
        }
        office.hq.finish().await;
        let text = format!("{} (worst of {TIMES}), {supported} of 20 supported", ms(slowest));
        Ok(figure(text, slowest <= Duration::from_millis(50) && supported == 20))
    })
}
