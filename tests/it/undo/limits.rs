//! Size limit of an undo: the preview rejects a larger one with its size.

use features::agents::model::Agent;
use features::inbox::model::Item;
use features::runs::model::Run;
use features::tasks::model::Task;
use kernel::{Actor, Cause, ItemState, Outcome, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Record as _, StoreError};

use super::ok;
use support::hq::{Person, Reply};
use support::model::Turn;
use support::office::Office;

/// Maximum number of records that one transaction may change.
const LIMIT: usize = 10_000;

/// A task with this number, written directly: a run of many steps could create it.
fn task(n: usize) -> Task {
    let number = u32::try_from(n).expect("few tasks");
    let mut id = [7; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    let id = kernel::TaskId::from_bytes(id);
    Task {
        id,
        number: 1_000 + number,
        assignee: None,
        parent: None,
        stream: None,
        series: None,
        occurrence_at: None,
        template: None,
        ..Task::sample()
    }
}

/// An ended run to which steps are added.
struct Long {
    office: Office,
    api: Person,
    run: Run,
    agent: Agent,
}

impl Long {
    async fn open() -> Self {
        let office = Office::open().await;
        let agent = office.agent("Ada").await;
        office.model.push(Turn::text("Done."));
        let run = office.say(&agent, "Begin").await;
        let run = office.ended(run).await;
        assert_eq!(run.outcome, Some(Outcome::Done));
        Self { api: office.hq.api().await, office, run, agent }
    }

    /// A step that created tasks and inbox items for an agent.
    async fn step(&mut self, tasks: std::ops::Range<usize>, items: usize) {
        self.run.calls += 1;
        let (run, agent) = (self.run.clone(), self.agent.id);
        let by = (Actor::Agent { agent, run: run.id }, Cause::Step(run.id, run.calls));
        let ws = self.office.ws();
        let written = ws.write(&by, move |tx| {
            tx.put(&run)?;
            for n in tasks {
                tx.put(&task(n))?;
            }
            for n in 0..items {
                // Due at a time that never comes, so that no dispatcher takes it.
                let item = Item {
                    id: tx.new_id(),
                    agent,
                    task: None,
                    key: format!("test:{}:{n}", run.calls),
                    state: ItemState::Pending,
                    not_before: Some("2100-01-01T00:00:00Z".parse().expect("a moment")),
                    run: None,
                    ended_at: None,
                    ..Item::sample()
                };
                tx.put(&item)?;
            }
            Ok::<_, StoreError>(())
        });
        written.await.expect("written");
    }

    async fn post(&self, path: &str) -> Reply {
        self.api.post(path, &json!({ "run": self.run.name() })).await
    }
}

/// Asserts that the refusal contains the actual and the permitted number.
fn names(refused: &Reply, count: usize) {
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let refused: Value = refused.json();
    assert_eq!(refused["code"], "undo_too_large", "{refused}");
    let words = refused["detail"].as_str().expect("words");
    assert!(words.contains(&count.to_string()) && words.contains(&LIMIT.to_string()), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_along_counts_where_an_undo_is_looked_at() {
    let mut long = Long::open().await;
    long.step(0..6_000, 0).await;
    long.step(6_000..LIMIT, 0).await;
    let seen = ok(long.post("/api/v1/undo/preview").await).await;
    assert_eq!((seen["back_count"].as_u64(), &seen["cancels"]), (Some(LIMIT as u64), &json!(0)));

    // With one more item both preview and undo are refused, on the page as well.
    long.step(0..0, 1).await;
    names(&long.post("/api/v1/undo/preview").await, LIMIT + 1);
    names(&long.post("/api/v1/undo").await, LIMIT + 1);
    let page = format!("/w/marlow-cargo/undo?run={}", long.run.name());
    let page = long.office.hq.owner().get(&page).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text.contains("10001 records"), "{}", page.text);

    // With one record fewer, everything can be undone.
    let first = task(0);
    long.office.act(move |tx| tx.put(&Task { title: "Theirs".into(), ..first })).await;
    let seen = ok(long.post("/api/v1/undo/preview").await).await;
    let counts = (seen["back_count"].as_u64(), seen["kept_count"].as_u64(), &seen["cancels"]);
    assert_eq!(counts, (Some(LIMIT as u64 - 1), Some(1), &json!(1)), "{}", seen["kept"]);
    let done = ok(long.post("/api/v1/undo").await).await;
    assert_eq!((&done["back"], &done["cancelled"]), (&json!(LIMIT - 1), &json!(1)));
    assert_eq!(long.office.all::<Task>().len(), 1);
    assert_eq!(long.office.items(long.agent.id)[0].state, ItemState::Cancelled);
    long.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_more_than_goes_is_refused() {
    let mut long = Long::open().await;
    long.step(0..6_000, 0).await;
    long.step(6_000..LIMIT + 1, 0).await;
    names(&long.post("/api/v1/undo/preview").await, LIMIT + 1);
    names(&long.post("/api/v1/undo").await, LIMIT + 1);
    assert_eq!(long.office.all::<Task>().len(), LIMIT + 1);
    long.office.hq.finish().await;
}
