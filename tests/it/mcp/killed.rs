//! `kill -9` of the real program while an agent calls tools of an MCP server: reads are repeated, acts never, nothing
//! of the server is left, and nobody is asked twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use features::runs::model::{CallStatus, EventKind};
use features::trust::model::{Approval, What};
use features::trust::rules::{NewPermission, permit};
use kernel::{AccessDecision, Outcome, TrustMode};
use reqwest::StatusCode;
use serde_json::json;
use support::model::{Gate, Turn};
use support::office::Office;
use support::program::{Program, run, run_json};
use tempfile::TempDir;

use super::{SERVERS, TOOLS};
use crate::crash::dice::Dice;
use crate::runtime::crash::{Stage, there};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const SEED: u64 = 48;
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);
/// A call may take this long from the model's response on: HQ first starts the server.
const WITHIN_MICROS: u64 = 300_000;
const UNKNOWN: &str = "may or may not have happened";

fn id(tool: &str, n: usize) -> String {
    format!("{tool}-{n:02}")
}

fn call(tool: &str, n: usize) -> Turn {
    Turn::call(&format!("ledger__{tool}"), json!({ "id": id(tool, n) }))
}

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// An agent with a task, and a server with a tool that reads and one that acts.
struct Ledger {
    stage: Stage,
    /// The server's program, and the files that hold calls.
    folder: TempDir,
    /// The server's own folder, with its notes.
    home: PathBuf,
}

/// A call as the model was told of it.
struct Told {
    name: String,
    status: CallStatus,
    text: String,
}

impl Ledger {
    /// The tools are approved. With `may_act`, the agent needs no approval to act.
    async fn set(may_act: bool) -> Self {
        let office = Office::open().await;
        office.settings(|settings| settings.exec_without_jail = true).await;
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("ledger.py");
        fs::write(&script, include_str!("ledger.py")).expect("a file");
        office.hq.prove().await;
        let owner = office.hq.owner();
        let body = json!({
            "name": "ledger", "command": ["python3", script], "read": [folder.path()],
        });
        let made = owner.post(SERVERS, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let tools = json!({ "reads": ["look"], "acts": ["act"] });
        for (op, body) in [("test", json!({})), ("approve", tools)] {
            let reply = owner.post(&format!("{SERVERS}/ledger/{op}"), &body).await;
            assert_eq!(reply.status, StatusCode::OK, "{op}: {}", reply.text);
        }
        let homes = office.ws().folder.join("mcp").join("home");
        let home = fs::read_dir(homes).expect("a folder").next().expect("a home");
        let home = home.expect("a readable folder").path().join("files");
        if may_act {
            let new = NewPermission {
                agent: None,
                run: None,
                tool: "ledger__act".to_owned(),
                what: What::All,
                leave: AccessDecision::Allow,
                note: String::new(),
                expires_at: None,
            };
            office.act(move |tx| permit(tx, new)).await;
        }
        let ada = office.agent("Ada").await;
        office.trust(ada.id, TrustMode::Ask).await;
        let stage = Stage::set_with(office, ada, "Keep the ledger").await;
        Self { stage, folder, home }
    }

    /// Whether a call of this id is held from now on.
    fn hold(&self, id: &str, is_held: bool) {
        let file = self.folder.path().join(format!("hold-{id}"));
        if is_held {
            fs::write(file, "").expect("a file");
        } else if file.exists() {
            fs::remove_file(file).expect("a file");
        }
    }

    /// The file that the server creates when it has `begun` or `ended` a call.
    fn mark(&self, what: &str, id: &str) -> PathBuf {
        self.home.join(format!("{what}-{id}"))
    }

    /// How often the server has begun a call.
    fn times(&self, id: &str) -> usize {
        // Without any call there is no file.
        let calls = fs::read_to_string(self.home.join("calls.txt")).unwrap_or_default();
        calls.lines().filter(|line| *line == format!("begin {id}")).count()
    }

    /// The server's processes by id, with their command lines.
    fn processes(&self) -> Vec<(u32, String)> {
        let script = self.folder.path().join("ledger.py");
        let script = script.to_str().expect("a path of plain characters");
        let all = fs::read_dir("/proc").expect("processes").flatten();
        let found = all.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process that has ended has no command line.
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(script).then_some((pid, line))
        });
        found.collect()
    }

    /// Waits until no process of the server meets the condition.
    async fn gone(&self, what: &str, is_meant: impl Fn(&(u32, String)) -> bool) {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let gone = async {
            while self.processes().iter().any(&is_meant) {
                tick.tick().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), gone).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.processes());
    }

    /// Starts the program, which ends what its predecessor's server has left.
    async fn start(&self, left: &[(u32, String)]) -> Program {
        let program = self.stage.start();
        self.gone("left by a server", |one| left.contains(one)).await;
        program
    }

    /// Kills the program. The server ends with it. Returns the processes that the server had started.
    async fn kill(&self, program: Program) -> Vec<(u32, String)> {
        program.kill();
        self.gone("it outlives HQ", |(_, line)| !line.starts_with("tail ")).await;
        self.processes()
    }

    /// Lets the run end in the program, and stops it.
    async fn end(&mut self, left: &[(u32, String)], last: &Gate) {
        let program = self.start(left).await;
        reached(last).await;
        last.open();
        let stopped = tokio::task::spawn_blocking(move || program.stop()).await.expect("no panic");
        assert!(stopped.success());
        self.gone("it outlives a regular stop", |_| true).await;
        let run = self.stage.look().await;
        assert_eq!(run.outcome, Some(Outcome::Done), "{run:?}");
    }

    /// The calls of the run, each of which has one end.
    fn told(&self) -> Vec<Told> {
        let office = &self.stage.office;
        let run = office.runs_on(self.stage.task.id).pop().expect("a run");
        let (mut told, mut ids) = (Vec::new(), Vec::new());
        for kind in office.events(run.id) {
            if let EventKind::ToolFinished { call_id, name, status, result, .. } = kind {
                assert!(!ids.contains(&call_id), "{call_id} of {name} has ended twice");
                ids.push(call_id);
                told.push(Told { name, status, text: result.head().to_owned() });
            }
        }
        told
    }

    /// The approvals of the tools are those from before the kills.
    async fn still_approved(&self) {
        let owner = self.stage.office.hq.owner();
        for tool in ["look", "act"] {
            let shown = owner.get(&format!("{TOOLS}/ledger__{tool}")).await;
            assert_eq!(shown.json()["state"], "approved", "{}", shown.text);
        }
    }

    /// The id of the only approval that waits, as the real program lists it.
    async fn approval(&self) -> String {
        let data = self.stage.office.hq.data();
        let asked = async {
            loop {
                let open = run_json(Path::new(BINARY), &data, &["approvals", "list"]);
                let open = open["items"].as_array().expect("a list");
                if let Some(one) = open.first() {
                    assert_eq!(open.len(), 1, "{open:?}");
                    return one["id"].as_str().expect("an id").to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("an approval")
    }
}

async fn reached(gate: &Gate) {
    tokio::time::timeout(PATIENCE, gate.reached()).await.expect("the model is asked");
}

/// When the program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While the server works on a call, which it holds.
    During,
    /// As soon as the server has done it.
    Done,
    /// So long after the model has asked for the call, or when the server has done it.
    Within(Duration),
}

struct Kill {
    tool: &'static str,
    at: Moment,
    /// Before the model's response with the call.
    gate: Gate,
}

impl Kill {
    /// Twelve kills in a random order: each tool at each moment, twice.
    fn twelve(dice: &mut Dice) -> Vec<Self> {
        let mut all = Vec::new();
        for tool in ["look", "act", "look", "act"] {
            let within = Moment::Within(Duration::from_micros(dice.below(WITHIN_MICROS)));
            for at in [Moment::During, Moment::Done, within] {
                all.push(Self { tool, at, gate: Gate::new() });
            }
        }
        for last in (1..all.len()).rev() {
            all.swap(last, dice.index(last + 1));
        }
        all
    }

    fn cuts(&self, tool: &str) -> bool {
        self.tool == tool && self.at == Moment::During
    }

    /// The `n`-th pair of calls, one of which is interrupted.
    fn turns(&self, n: usize) -> [Turn; 2] {
        let is_gated = |tool: &str| self.tool == tool && matches!(self.at, Moment::Within(_));
        ["look", "act"].map(|tool| match is_gated(tool) {
            true => call(tool, n).behind(&self.gate),
            false => call(tool, n),
        })
    }

    /// Waits for the moment of the kill.
    async fn comes(&self, ledger: &Ledger, id: &str) {
        let ended = ledger.mark("ended", id);
        match self.at {
            Moment::During => there(&ledger.mark("begun", id)).await,
            Moment::Done => there(&ended).await,
            Moment::Within(time) => {
                reached(&self.gate).await;
                self.gate.open();
                // ok: the seed chooses how far the call gets, at most to its end.
                let _ = tokio::time::timeout(time, there(&ended)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_during_calls_of_a_server_reads_are_repeated_and_acts_never() {
    let mut ledger = Ledger::set(true).await;
    let kills = Kill::twelve(&mut Dice::new(SEED));
    let mut script: Vec<Turn> =
        kills.iter().enumerate().flat_map(|(n, kill)| kill.turns(n)).collect();
    let last = Gate::new();
    script.push(done().behind(&last));
    ledger.stage.office.model.follow(script);
    let mut left: Vec<(u32, String)> = Vec::new();
    for (n, kill) in kills.iter().enumerate() {
        let id = id(kill.tool, n);
        ledger.hold(&id, kill.at == Moment::During);
        let program = ledger.start(&left).await;
        kill.comes(&ledger, &id).await;
        if !matches!(kill.at, Moment::Within(_)) {
            let all = ledger.processes();
            assert!(all.iter().any(|(_, line)| line.starts_with("tail ")), "{all:?}");
        }
        left = ledger.kill(program).await;
        ledger.hold(&id, false);
    }
    ledger.end(&left, &last).await;

    let all = ledger.told();
    assert_eq!(all.len(), 2 * kills.len() + 1);
    for (n, kill) in kills.iter().enumerate() {
        let (look, act) = (&all[2 * n], &all[2 * n + 1]);
        let [looked, acted] = ["look", "act"].map(|tool| ledger.times(&id(tool, n)));
        let told = format!(
            "seed {SEED}, kill {n} of {} {:?}: {looked} × {} {:?} {}; {acted} × {} {:?} {}",
            kill.tool, kill.at, look.name, look.status, look.text, act.name, act.status, act.text
        );
        assert_eq!((look.name.as_str(), act.name.as_str()), ("ledger__look", "ledger__act"));
        assert_eq!(look.status, CallStatus::Ok, "{told}");
        assert!(look.text.contains(&format!("look has done {}", id("look", n))), "{told}");
        assert!((1 + usize::from(kill.cuts("look"))..=3).contains(&looked), "{told}");
        match act.status {
            CallStatus::Ok => {
                assert!(acted == 1 && !kill.cuts("act"), "{told}");
                assert!(act.text.contains(&format!("act has done {}", id("act", n))), "{told}");
            }
            CallStatus::Unknown => {
                assert!((usize::from(kill.cuts("act"))..=1).contains(&acted), "{told}");
                assert!(act.text.contains(UNKNOWN), "{told}");
            }
            other => panic!("{other:?}: {told}"),
        }
    }
    let office = &ledger.stage.office;
    assert!(office.model.last().text().contains(UNKNOWN), "the agent was told");
    let asked: Vec<Approval> = office.all();
    assert!(asked.is_empty(), "its permission outlasts the kills: {asked:?}");
    ledger.still_approved().await;
    ledger.stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_outlasts_kills_and_its_interrupted_act_is_never_made_again() {
    let mut ledger = Ledger::set(false).await;
    let last = Gate::new();
    let script = vec![call("act", 0), call("look", 0), done().behind(&last)];
    ledger.stage.office.model.follow(script);
    let act = id("act", 0);
    ledger.hold(&act, true);
    let program = ledger.start(&[]).await;
    let approval = ledger.approval().await;
    let left = ledger.kill(program).await;
    assert_eq!(ledger.times(&act), 0, "nobody has approved it");

    let program = ledger.start(&left).await;
    assert_eq!(ledger.approval().await, approval);
    let data = ledger.stage.office.hq.data();
    let said = run(Path::new(BINARY), &data, &["approvals", "approve", &approval]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    there(&ledger.mark("begun", &act)).await;
    let left = ledger.kill(program).await;
    ledger.hold(&act, false);
    ledger.end(&left, &last).await;

    let all = ledger.told();
    let ends: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.status)).collect();
    let expected = [
        ("ledger__act", CallStatus::Unknown),
        ("ledger__look", CallStatus::Ok),
        ("work_done", CallStatus::Ok),
    ];
    assert_eq!(ends, expected);
    assert!(all[0].text.contains(UNKNOWN), "{}", all[0].text);
    assert_eq!([ledger.times(&act), ledger.times(&id("look", 0))], [1, 1]);
    let asked: Vec<Approval> = ledger.stage.office.all();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].spent_at.is_some(), "{asked:?}");
    ledger.still_approved().await;
    ledger.stage.office.hq.finish().await;
}
