//! An agent on another machine: the real program there, the primary in this process, and a proxy between them that
//! tests interrupt.

use std::path::Path;
use std::time::Duration;

use crypto::token::{Token, TokenKind};
use features::agents::model::Agent;
use features::comments::model::Comment;
use features::runs::model::{CallStatus, EventKind, Run};
use features::tasks::model::Task;
use gateways::identity::identity;
use gateways::model::{Gateway, Status, local};
use gateways::rules::{self, NewToken};
use kernel::{GatewayId, Outcome, RunId, RunState};
use serde_json::{Value, json};
use tempfile::TempDir;

use support::model::{Gate, Turn};
use support::office::{KEY, Office};
use support::program::{Program, command, joins};
use support::work;

use crate::partitions::line::Line;

mod alone;
mod copy;
mod cut;
mod memory;
mod revoked;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_hq");
/// Time limit for anything that must happen: the pause between two links is at most a minute.
const PATIENCE: Duration = Duration::from_secs(100);

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(30));
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tick.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

/// A primary, and another machine that Ada works on.
pub(crate) struct Shop {
    pub(crate) office: Office,
    pub(crate) line: Line,
    pub(crate) machine: TempDir,
    host: Option<Program>,
    pub(crate) gateway: GatewayId,
    pub(crate) ada: Agent,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let office = Office::open().await;
        let line = Line::to(&office.hq.url()).await;
        let address = line.address.clone();
        Self::joined(office, line, &address, &[]).await
    }

    /// With a machine that reaches its primary at this address (whatever proxies lie in between) and has these
    /// additional settings.
    pub(crate) async fn joined(
        office: Office,
        line: Line,
        address: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        office.model.require_key(KEY);
        let token = Token::issue(TokenKind::Gateway);
        let new = NewToken {
            public: token.id().to_owned(),
            hash: token.hash(),
            label: "GPU box".to_owned(),
            labels: Vec::new(),
            minutes: None,
        };
        let ws = office.ws();
        ws.write(&work::owner(&office.hq), move |tx| rules::mint(tx, new)).await.expect("a token");
        let print = identity(&ws).await.expect("a key").public().fingerprint();
        let machine = tempfile::tempdir().expect("a folder");
        let invitation = (token.reveal(), print.as_str());
        let mut starts = joins(Path::new(BINARY), machine.path(), address, invitation);
        starts.envs(settings.iter().copied());
        let host = Some(Program::start_with(&mut starts));
        let mut found = None;
        until("it never joined", || {
            found = work::all::<Gateway>(&office.hq).into_iter().find(|one| one.ready_at.is_some());
            found.is_some()
        })
        .await;
        let gateway = found.expect("it").id;
        let ada = office.agent_with("Ada", |new| new.exec = true).await;
        let id = ada.id;
        office.act(move |tx| rules::bind(tx, id, gateway)).await;
        Self { office, line, machine, host, gateway, ada }
    }

    pub(crate) fn again(&mut self) {
        let mut starts = command(Path::new(BINARY), self.machine.path(), &["replica"]);
        self.host = Some(Program::start_with(&mut starts));
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.host.take().expect("it runs").kill();
    }

    pub(crate) fn is_linked(&self) -> bool {
        let ws = self.office.ws();
        ws.app.hosts.is_linked(ws.id, self.gateway)
    }

    /// Waits for the run of a task, with no limit on the number of links.
    pub(crate) async fn worked(&self, task: &Task) -> Run {
        let mut found = None;
        until("the run never ended", || {
            found = self.office.runs_on(task.id).into_iter().find(|run| !run.is_live());
            found.is_some()
        })
        .await;
        found.expect("it")
    }

    async fn begun(&self, task: &Task) -> RunId {
        let mut found = None;
        until("no run was made", || {
            found = self.office.runs_on(task.id).pop();
            found.is_some()
        })
        .await;
        found.expect("it").id
    }

    pub(crate) fn calls(&self, run: RunId) -> Vec<(String, CallStatus, String)> {
        let ended = |kind| match kind {
            EventKind::ToolFinished { name, status, result, .. } => {
                Some((name, status, result.head().to_owned()))
            }
            _ => None,
        };
        self.office.events(run).into_iter().filter_map(ended).collect()
    }

    pub(crate) fn log(&self) -> String {
        self.host.as_ref().map(Program::log).unwrap_or_default()
    }

    /// Waits until the machine, which is shut out, has restarted itself and was refused again.
    async fn is_anew(&self) {
        until("it did not start itself anew", || {
            let log = self.log();
            let anew = log.split_once("restarting, so that no key").map(|(_, anew)| anew);
            anew.is_some_and(|anew| anew.contains("no link to the workspace"))
        })
        .await;
    }

    pub(crate) async fn close(mut self) {
        let gateways = work::all::<Gateway>(&self.office.hq);
        let is_let_in = |one: &Gateway| one.id == self.gateway && one.status != Status::Revoked;
        if self.host.is_some() && !gateways.iter().any(is_let_in) {
            // A stop request at that moment ends it forcibly.
            self.is_anew().await;
        }
        if let Some(host) = self.host.take() {
            assert!(host.stop().success());
        }
        self.office.hq.finish().await;
    }
}

pub(crate) fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Counted.", "task_state": "complete" }))
}

pub(crate) fn names(calls: &[(String, CallStatus, String)]) -> Vec<&str> {
    calls.iter().map(|(name, ..)| name.as_str()).collect()
}

pub(crate) fn was_done(shop: &Shop, run: &Run) {
    assert_eq!(run.outcome, Some(Outcome::Done), "{run:?}\n{}", shop.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_works_on_another_machine_and_home_has_all_of_it() {
    let shop = Shop::open().await;
    let office = &shop.office;
    office.price(3_000_000, 15_000_000).await;
    office.model.follow(vec![
        Turn::text("I look first.").and_call("task_get", json!({})),
        Turn::call("comment_add", json!({ "body": "I begin to count." })),
        Turn::call("write", json!({ "path": "notes/count.md", "content": "# Seven bells\n" })),
        Turn::call("exec", json!({ "command": "cat notes/count.md; echo here > here.txt" })),
        done(),
    ]);
    let task = office.task("Count the bells", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert_eq!(
        names(&calls),
        ["task_get", "comment_add", "write", "exec", "work_done"],
        "{calls:?}"
    );
    assert!(calls.iter().all(|(_, status, _)| *status == CallStatus::Ok), "{calls:?}");
    assert!(calls[0].2.contains("Count the bells"), "{calls:?}");
    assert!(calls[3].2.contains("Seven bells"), "{calls:?}");
    let comments: Vec<Comment> = office.all();
    let own: Vec<_> = comments.iter().filter(|one| one.body.contains("I begin")).collect();
    assert_eq!(own.len(), 1, "{comments:?}");
    assert_eq!(office.usage(run.id).len(), 5, "each call is booked once");
    let paid = office.usage(run.id).iter().all(|one| one.billed_micros.is_some_and(|n| 0 < n));
    assert!(paid, "each costs something");

    // The file was created there and is also on the primary.
    let path = |name: &str| shop.machine.path().join("agents/ada/files").join(name);
    assert_eq!(std::fs::read_to_string(path("notes/count.md")).expect("it"), "# Seven bells\n");
    assert!(path("here.txt").exists());
    assert_eq!(office.file(&shop.ada, "notes/count.md").as_deref(), Some("# Seven bells\n"));
    assert!(office.file(&shop.ada, "here.txt").is_some());

    // The conversation is on the run's page, and nothing of the key is on the machine.
    let page = office.hq.owner().get(&office.ws().url(&format!("runs/{}", run.number))).await;
    assert!(page.text.contains("I look first."), "{}", page.text);
    let kept = support::hq::everything_in(shop.machine.path());
    assert!(!kept.windows(KEY.len()).any(|part| part == KEY.as_bytes()));

    // The agent moves back and works on the primary with the file that it wrote on the machine.
    let id = shop.ada.id;
    office.act(move |tx| rules::bind(tx, id, local())).await;
    office.model.follow(vec![Turn::call("read", json!({ "path": "notes/count.md" })), done()]);
    let task = office.task("Count once more", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert!(shop.calls(run.id)[0].2.contains("Seven bells"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_line_makes_a_run_wait_and_nothing_happens_twice() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let gate = Gate::new();
    office.model.follow(vec![
        Turn::call("comment_add", json!({ "body": "Before the cut." })).behind(&gate),
        Turn::call("comment_add", json!({ "body": "After the cut." })),
        Turn::call("write", json!({ "path": "a.md", "content": "a\n" })),
        done(),
    ]);
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    // All places say the same of the silent run.
    let owner = office.hq.owner();
    for path in ["tasks".to_owned(), format!("tasks/MC-{}", task.number)] {
        let page = owner.get(&office.ws().url(&path)).await;
        assert!(page.text.contains("Ada is stalled"), "{}", page.text);
    }
    let agent = owner.get("/api/v1/agents/ada").await.json();
    assert_eq!(agent["activity"], "working", "the published word stays");
    assert_eq!(agent["activity_label"], "Stalled");
    gate.open();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waits: Run = office.get(run);
    assert_eq!(waits.state, RunState::Running, "{waits:?}");
    assert!(shop.calls(run).is_empty(), "nothing came");
    shop.line.mend();
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert_eq!(names(&calls), ["comment_add", "comment_add", "write", "work_done"], "{calls:?}");
    let comments: Vec<Comment> = office.all();
    assert_eq!(comments.iter().filter(|one| one.body.contains("the cut")).count(), 2);
    assert_eq!(office.usage(run.id).len(), 4);
    assert_eq!(office.model.requests().len(), 4, "no call was made twice");
    assert_eq!(office.file(&shop.ada, "a.md").as_deref(), Some("a\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_killed_goes_on_with_its_run() {
    let mut shop = Shop::open().await;
    let gate = Gate::new();
    shop.office.model.follow(vec![
        Turn::call("comment_add", json!({ "body": "Once." })),
        Turn::call("write", json!({ "path": "a.md", "content": "a\n" })).behind(&gate),
        done(),
    ]);
    let task = shop.office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    shop.kill();
    gate.open();
    shop.again();
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert_eq!(names(&calls), ["comment_add", "write", "work_done"], "{calls:?}");
    let comments: Vec<Comment> = shop.office.all();
    assert_eq!(comments.iter().filter(|one| one.body.contains("Once.")).count(), 1);
    assert_eq!(shop.office.file(&shop.ada, "a.md").as_deref(), Some("a\n"));
    assert!(run.attempt >= 2, "{run:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_while_the_line_is_cut_has_ended_and_new_work_waits() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let gate = Gate::new();
    office.model.push(Turn::call("comment_add", json!({ "body": "Never." })).behind(&gate));
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = shop.begun(&task).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    office.stop(run).await;
    let stopped = shop.worked(&task).await;
    assert!(matches!(stopped.outcome, Some(Outcome::Stopped { .. })), "{stopped:?}");
    gate.open();

    // New work waits, with the reason shown.
    office.model.follow(vec![done()]);
    let other = office.task("Count the wheels", &shop.ada).await;
    until("it is not said why it waits", || {
        office
            .items(shop.ada.id)
            .iter()
            .any(|item| item.held_reason.as_deref() == Some("host_silent"))
    })
    .await;
    assert!(office.runs_on(other.id).is_empty());
    shop.line.mend();
    let run = shop.worked(&other).await;
    was_done(&shop, &run);
    let comments: Vec<Comment> = office.all();
    assert!(
        !comments.iter().any(|one| one.body.contains("Never.")),
        "what came too late is refused"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_moved_by_the_api_and_not_while_it_works() {
    let shop = Shop::open().await;
    let owner = shop.office.hq.owner();
    let place = owner.get("/api/v1/agents/ada/gateway").await.json();
    assert_eq!(place["gateway"], "gpu-box", "{place}");
    let gate = Gate::new();
    shop.office.model.push(done().behind(&gate));
    let task = shop.office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let refused =
        owner.json("PUT", "/api/v1/agents/ada/gateway", &json!({ "gateway": "local" })).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    gate.open();
    shop.worked(&task).await;
    let moved =
        owner.json("PUT", "/api/v1/agents/ada/gateway", &json!({ "gateway": "local" })).await;
    assert!(moved.status.is_success(), "{}", moved.text);
    let listed: Value = owner.get("/api/v1/gateways/gpu-box").await.json();
    assert_eq!(listed["agents"], json!([]), "{listed}");
    let removed = owner.call("DELETE", "/api/v1/gateways/gpu-box").await;
    assert!(removed.status.is_success(), "{}", removed.text);
    shop.close().await;
}
