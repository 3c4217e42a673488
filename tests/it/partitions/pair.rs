//! Primary and host, both the real program, with a line between them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::model::ModelServer;
use support::program::{Program, command, invite, join};
use support::wire;

use super::line::Line;
use super::say;
use crate::crash::api::{Api, Ask, Keys, Trap};
use crate::crash::dice::program;
use crate::crash::first_boot;

/// Agents that work on the host.
pub const AGENTS: [&str; 2] = ["ada", "bo"];
/// Slug of the host's gateway.
const GATEWAY: &str = "gpu-box";
/// Time limit for anything that must happen: the pause between two links is at most a minute.
const PATIENCE: Duration = Duration::from_secs(240);

/// The two programs: primary and host.
pub struct Pair {
    pub line: Line,
    home: Option<Program>,
    host: Option<Program>,
    keys: Keys,
    quiet: Trap,
    // Dropped last, after the programs have ended.
    data: TempDir,
    machine: TempDir,
}

impl Pair {
    /// Both programs, newly set up and linked, with agents on the host that use this model.
    pub async fn open(model: &ModelServer) -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        let (data, machine) = (folder(), folder());
        let mut first = Program::start(program(), data.path());
        let keys = first_boot(&mut first, data.path()).await;
        assert!(first.stop().success());
        let invitation = invite(program(), data.path(), "GPU box");
        let home = Program::start(program(), data.path());
        let line = Line::to(home.url()).await;
        let (home, quiet) = (Some(home), Trap::none());
        let mut pair = Self { line, home, host: None, keys, quiet, data, machine };
        pair.prepare(model).await;
        pair.join(&invitation).await;
        pair
    }

    /// API of the primary.
    pub fn api(&self) -> Api<'_> {
        let home = self.home.as_ref().expect("home runs");
        Api {
            keys: &self.keys,
            base: home.url().to_owned(),
            data: self.data.path(),
            trap: &self.quiet,
        }
    }

    async fn prepare(&self, model: &ModelServer) {
        let api = self.api();
        let jail = json!({ "exec_without_jail": true });
        api.made(Ask::patch("/api/v1/settings", jail), "jail").await;
        let connection = wire::connection(&model.openai_url());
        api.made(Ask::post(wire::CONNECTIONS, connection), "connection").await;
        for name in AGENTS {
            let mut agent = wire::agent(name);
            agent["exec"] = json!(true);
            api.made(Ask::post(wire::AGENTS, agent), name).await;
            let mode = Ask::put(format!("{}/{name}/mode", wire::AGENTS), json!({ "mode": "full" }));
            api.made(mode, &format!("mode of {name}")).await;
        }
    }

    /// Joins the machine, and moves the agents there.
    async fn join(&mut self, (token, print): &(String, String)) {
        let (machine, home) = (self.machine.path(), &self.line.address);
        self.host = Some(join(program(), machine, home, (token, print)));
        let api = self.api();
        let is_ready = async || {
            let all = api.list("/api/v1/gateways").await;
            all.iter().any(|one| one["slug"] == GATEWAY && one["status"] == "ready")
        };
        until("the host joins", is_ready).await;
        for name in AGENTS {
            let place = json!({ "gateway": GATEWAY });
            let bind = Ask::put(format!("{}/{name}/gateway", wire::AGENTS), place);
            api.made(bind, &format!("place of {name}")).await;
        }
    }

    /// Ends the primary as a power failure would.
    pub fn kill_home(&mut self) {
        self.home.take().expect("home runs").kill();
    }

    pub fn start_home(&mut self) {
        let home = Program::start(program(), self.data.path());
        self.line.lead(home.url());
        self.home = Some(home);
    }

    /// Ends the host as a power failure would.
    pub fn kill_host(&mut self) {
        self.host.take().expect("the host runs").kill();
    }

    pub fn start_host(&mut self) {
        let mut starts = command(program(), self.machine.path(), &["replica"]);
        self.host = Some(Program::start_with(&mut starts));
    }

    /// Path of an agent's file on the host.
    pub fn file(&self, agent: &str, path: &str) -> PathBuf {
        self.machine.path().join("agents").join(agent).join("files").join(path)
    }

    /// An agent's file on the primary; empty if there is none.
    pub async fn file_at_home(&self, agent: &str, path: &str) -> String {
        let asked = Ask::get(format!("{}/{agent}/file?path={path}", wire::AGENTS));
        let answer = self.api().ask(&asked).await;
        answer.json["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Runs of a task.
    pub async fn runs(&self, task: &str) -> Vec<Value> {
        self.api().items(&format!("/api/v1/runs?task={task}")).await
    }

    /// Ends both programs regularly.
    pub fn close(mut self) {
        let (host, home) = (self.host.take(), self.home.take());
        assert!(host.expect("the host runs").stop().success(), "the host ends well");
        assert!(home.expect("home runs").stop().success(), "home ends well");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = |program: &Option<Program>| program.as_ref().map(Program::log);
            say(&format!("home said: {}", log(&self.home).unwrap_or_default()));
            say(&format!("the host said: {}", log(&self.host).unwrap_or_default()));
        }
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let waits = async {
        while !is_so().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waits).await;
    assert!(waited.is_ok(), "{what}: not in {} s", PATIENCE.as_secs());
}
