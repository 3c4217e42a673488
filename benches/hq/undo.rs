//! Undo of a long run's changes to tasks, over HTTP.

use std::pin::Pin;
use std::time::{Duration, Instant};

use features::runs::model::Run;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{NewTask, TaskPatch, create, update};
use kernel::{Actor, Cause, TaskId};
use serde_json::json;

use crate::Figure;
use crate::load::Times;
use crate::ms;
use crate::rows::figure;
use support::model::Turn;
use support::office::Office;

/// Tasks that the run has changed: the limit of one undo.
const TASKS: usize = 10_000;
/// Tasks per step.
const PIECE: usize = 500;

/// A run has changed title and text of 10,000 tasks in 20 steps; all changes are undone.
pub fn tasks(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let office = Office::open().await;
        let agent = office.agent("Ada").await;
        office.model.push(Turn::text("Done."));
        let said = office.say(&agent, "Begin").await;
        let mut run: Run = office.ended(said).await;
        let mut ids: Vec<TaskId> = Vec::with_capacity(TASKS);
        for piece in 0..TASKS / PIECE {
            let made = office.act(move |tx| {
                let all = (0..PIECE).map(|n| {
                    let mut new = NewTask::titled(format!("Offer {}", piece * PIECE + n));
                    new.description = "What it costs a month, and what is in it.".to_owned();
                    create(tx, new).map(|task| task.id)
                });
                all.collect::<Result<Vec<_>, TaskError>>()
            });
            ids.extend(made.await);
        }
        for piece in ids.chunks(PIECE) {
            run.calls += 1;
            let (piece, row) = (piece.to_vec(), run.clone());
            let by =
                (Actor::Agent { agent: agent.id, run: run.id }, Cause::Step(run.id, run.calls));
            let ws = office.ws();
            let changed = ws.write(&by, move |tx| {
                // Undo finds the steps of a run by their change of its row.
                tx.put(&row)?;
                for id in piece {
                    let (title, description) =
                        (Some("Changed".to_owned()), Some("It is dear.".to_owned()));
                    update(tx, id, TaskPatch { title, description, ..TaskPatch::default() })?;
                }
                Ok::<_, TaskError>(())
            });
            changed.await.map_err(|error| error.to_string())?;
        }
        let api = office.hq.api().await;
        let began = Instant::now();
        let done = api.post("/api/v1/undo", &json!({ "run": run.name() })).await;
        let took = began.elapsed();
        if done.status.as_u16() != 200 {
            return Err(format!("the undo is refused: {}", done.text));
        }
        let all = office.all::<Task>();
        let back = all.iter().filter(|task| task.title.starts_with("Offer ")).count();
        let text = format!("{}, {back} of {TASKS} as before", ms(took));
        office.hq.finish().await;
        Ok(figure(text, took <= Duration::from_secs(5) && back == TASKS))
    })
}
