//! Approvals, secrets and redaction.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crypto::keyring::Secret;
use crypto::redact::Redactor;
use serde_json::{Value, json};

use crate::held::at_rest;
use crate::load::{self, Client, Times};
use crate::model::Manner;
use crate::rows::{Ready, figure, unlimited};
use crate::runtime::each_call;
use crate::{Figure, ms};
use support::program::Program;
use support::wire;

/// Measured answers.
const ANSWERS: usize = 50;
/// Runs that wait for an approval.
const WAITING: usize = 1_000;
/// Secrets that every program gets.
const SECRETS: usize = 20;
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// A model that changes its agent's identity file, which needs an approval in every mode except Full.
async fn asking(hq: &Ready, program: &mut Client) -> Result<Client, String> {
    let path = format!("{}/{}/mode", wire::AGENTS, hq.agent);
    program.call("PUT", &path, Some(&json!({ "mode": "ask" }))).await?;
    let write = json!({ "path": "SOUL.md", "content": "Be quick.\n", "force": true });
    hq.model.be(Manner { calls: vec![("write", write)], ..Manner::default() });
    // API tokens cannot approve; a person does.
    hq.person().await
}

/// Waits for `count` pending calls; gives up if no more arrive.
async fn waiting(person: &mut Client, count: usize) -> Result<Vec<Value>, String> {
    let (mut moved, mut seen) = (Instant::now(), 0);
    // Reading a long list often would slow down the arrival.
    let pause = Duration::from_millis(if count == 1 { 5 } else { 200 });
    loop {
        let now = person.json("GET", "/api/v1/approvals", None).await?;
        let items = now["items"].as_array().cloned().unwrap_or_default();
        if count <= items.len() {
            return Ok(items);
        }
        if seen < items.len() {
            (moved, seen) = (Instant::now(), items.len());
        }
        if PATIENCE < moved.elapsed() {
            return Err(format!("{seen} of {count} calls wait, and for a minute no more came"));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Time from a person's answer to the run's next request.
pub fn answered(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mut person = asking(&hq, &mut program).await?;
        let mut times = Vec::with_capacity(ANSWERS);
        for n in 0..ANSWERS {
            let task = wire::task(&format!("task {n}"), Some(&hq.agent));
            program.call("POST", wire::TASKS, Some(&task)).await?;
            let all = waiting(&mut person, 1).await?;
            let id = all[0]["id"].as_str().ok_or("an approval has no id")?;
            let path = format!("/api/v1/approvals/{id}/answer");
            let asked = hq.model.next_request();
            let began = Instant::now();
            person.call("POST", &path, Some(&json!({ "answer": "denied" }))).await?;
            times.push(asked.await?.saturating_duration_since(began));
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(50)))
    })
}

/// Many runs that wait for an approval, each on its own task.
async fn crowd(hq: &Ready) -> Result<Client, String> {
    let mut program = hq.client().await?;
    let mut person = asking(hq, &mut program).await?;
    for n in 0..WAITING {
        let task = wire::task(&format!("task {n}"), Some(&hq.agent));
        program.call("POST", wire::TASKS, Some(&task)).await?;
    }
    waiting(&mut person, WAITING).await?;
    Ok(person)
}

/// Memory after a restart without and with all of them, and the duration of the start.
pub fn held(_: Times) -> Row {
    Box::pin(async {
        let Ready { program, folder, .. } = Ready::start().await?;
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let none = (at_rest(&program).await, program.ready_after());
        program.stop();
        let hq = Ready::start().await?;
        crowd(&hq).await?;
        let Ready { program, folder, .. } = hq;
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let all = (at_rest(&program).await, program.ready_after());
        let more = all.0.saturating_sub(none.0) as f64 * 1_024.0 / 1e6;
        let text = format!("{more:.1} MB more, start {} ({} with none)", ms(all.1), ms(none.1));
        Ok(figure(text, more <= 5.0 && all.1 <= Duration::from_millis(200)))
    })
}

/// A program call with twenty secrets as variables, compared with one without.
pub fn secrets(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let call = |n: u32| ("exec", json!({ "command": format!("true {n}") }));
        let none = each_call(&hq, call).await?;
        let mut program = hq.client().await?;
        for n in 0..SECRETS {
            let body = json!({
                "name": format!("Key {n}"), "key": format!("KEY_{n}"), "value": format!("a-value-that-is-secret-{n}"),
            });
            program.call("POST", "/api/v1/secrets", Some(&body)).await?;
        }
        let all = each_call(&hq, call).await?;
        let ratio = all.as_secs_f64() / none.as_secs_f64();
        Ok(figure(format!("{ratio:.2} ({} : {})", ms(all), ms(none)), ratio <= 1.05))
    })
}

/// Redaction of a megabyte of text with a thousand secrets, compared with ten; and adding one secret.
pub fn redaction(_: Times) -> Row {
    Box::pin(async {
        let measured = tokio::task::spawn_blocking(|| {
            let line =
                "A line of output as programs write it, with a number 4711 and no key at all.\n";
            let text = line.repeat(1_048_576 / line.len());
            let taken = |count: usize| {
                let redactor = Redactor::new();
                let entries = (0..count).map(|n| (format!("KEY_{n}"), value(n))).collect();
                redactor.replace("bench", entries);
                let mut times = Vec::new();
                for _ in 0..20 {
                    let began = Instant::now();
                    std::hint::black_box(redactor.text(&text));
                    times.push(began.elapsed());
                }
                let began = Instant::now();
                redactor.add("ONE_MORE", value(count));
                let added = began.elapsed();
                load::share(times).map(|times| (times.p50, added))
            };
            Ok::<_, String>((taken(10)?, taken(1_000)?))
        });
        let ((few, _), (many, added)) =
            measured.await.map_err(|error| format!("a thread: {error}"))??;
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {}), one more {}", ms(many), ms(few), ms(added));
        Ok(figure(text, ratio <= 1.5 && added <= Duration::from_millis(50)))
    })
}

fn value(n: usize) -> Secret {
    Secret::new(format!("secret-value-number-{n}-of-many"))
}
