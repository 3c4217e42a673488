//! Load: calls that wait for an approval. An acknowledged decision persists across kills. A program runs after an
//! approval and never after a denial: once if its end was recorded, at most once if a kill intervened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask, Door};
use super::chats;
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;

/// Agent that needs approval for each program.
pub const AGENT: &str = "Clove";
const ALL: &str = "/api/v1/approvals";
/// Maximum number of waiting calls before some are answered.
const MOST: usize = 6;
const KINDS: &[&str] = &["calls that wait", "looks at calls", "yeses", "noes"];

/// Program of a call: it appends a line to a file that no other call uses, and prints a word.
pub fn command(name: &str) -> String {
    format!("mkdir -p scratch && echo {name} >> {} && echo {}", file(name), kept(name))
}

/// In a folder that no approval is bound to: one call must not invalidate the other waiting ones.
fn file(name: &str) -> String {
    format!("scratch/once-{name}.txt")
}

fn kept(name: &str) -> String {
    format!("kept {name}")
}

/// A permission that makes the call wait on every kernel.
pub fn permission() -> Value {
    json!({ "agent": AGENT.to_lowercase(), "tool": "exec", "leave": "ask" })
}

/// An acknowledged answer.
struct Answered {
    id: String,
    name: String,
    is_yes: bool,
}

/// What happened to the approvals of a program.
#[derive(Clone, Copy, Default)]
struct Calls {
    /// How often it was started.
    begun: usize,
    /// How often it was seen to end.
    ended: usize,
}

#[derive(Default)]
pub struct Yeses {
    said: Vec<String>,
    sessions: BTreeSet<String>,
    /// Calls seen waiting: their ids, and their programs' names.
    waiting: Vec<(String, String)>,
    /// Number of calls requested since then.
    unseen: usize,
    answered: Vec<Answered>,
    doing: Option<(&'static str, String)>,
    tally: Tally,
}

/// This desk's waiting calls.
fn waiting(all: &[Value]) -> Vec<(String, String)> {
    let own = all.iter().filter(|one| one["agent_name"] == AGENT && one["answer"].is_null());
    let word = |one: &Value| {
        let mut words =
            one["shown"].as_str()?.split_whitespace().skip_while(|word| *word != "echo");
        let name = words.nth(1)?;
        Some((one["id"].as_str()?.to_owned(), name.to_owned()))
    };
    own.filter_map(word).collect()
}

/// Whether the step shows the end of a program.
fn is_end(step: &Value, name: &str) -> bool {
    let said = step["content"]["text"].as_str().unwrap_or_default();
    step["kind"] == "tool_finished"
        && step["status"] == "ok"
        && said.lines().any(|line| line == kept(name))
}

/// How often a program has run: each run appends a line.
async fn times_run(api: &Api<'_>, name: &str) -> usize {
    let path = format!("{}/{}/file?path={}", wire::AGENTS, AGENT.to_lowercase(), file(name));
    let answer = api.ask(&Ask::get(path)).await;
    if answer.status == 404 {
        return 0;
    }
    assert_eq!(answer.status, 200, "the file of {name}: {}", answer.text);
    let text = answer.word("text");
    assert!(text.lines().all(|line| line == name), "the file of {name}: {text}");
    text.lines().count()
}

/// A person's answer; the call's run may have ended meanwhile.
fn decision(id: &str, word: &str) -> Ask {
    let ask = Ask::post(format!("{ALL}/{id}/answer"), json!({ "answer": word }));
    ask.by(Door::Owner).or(&[404, 409])
}

/// Runs that have not ended.
async fn live(api: &Api<'_>) -> Vec<Value> {
    let mut runs = api.items(&format!("/api/v1/runs?agent={}", AGENT.to_lowercase())).await;
    runs.retain(|run| run["state"] != "ended");
    runs
}

impl Yeses {
    /// Whether a message is unread: its run may be about to begin.
    async fn has_unread(&self, api: &Api<'_>) -> bool {
        for session in &self.sessions {
            if chats::has_unread(&api.get(&format!("/api/v1/sessions/{session}")).await) {
                return true;
            }
        }
        false
    }

    /// Denies all waiting calls, and waits until all runs have ended.
    async fn rest(&mut self, api: &Api<'_>) {
        let rest = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                let open = waiting(&api.list(ALL).await);
                for (id, name) in &open {
                    let no = decision(id, "denied").again(Again::Harmless);
                    if api.ask(&no).await.status == 200 {
                        let (id, name) = (id.clone(), name.clone());
                        self.answered.push(Answered { id, name, is_yes: false });
                    }
                }
                if open.is_empty() && live(api).await.is_empty() && !self.has_unread(api).await {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            let (live, open) = (live(api).await, api.list(ALL).await);
            panic!("runs that do not end: {live:#?}\ncalls that wait: {open:#?}");
        }
    }

    /// What happened to each approval, by program name. An unused approval ended with its run, or with a call that a
    /// message preceded.
    async fn calls(&self, api: &Api<'_>) -> BTreeMap<&str, Calls> {
        let mut found: BTreeMap<&str, Calls> = BTreeMap::new();
        for one in self.answered.iter().filter(|one| one.is_yes) {
            let now = api.get(&format!("{ALL}/{}", one.id)).await;
            let run = now["run"].as_str().expect("the name of a run");
            let steps = api.items(&format!("/api/v1/runs/{run}/steps")).await;
            if now["called_at"].is_null() {
                let run = api.get(&format!("/api/v1/runs/{run}")).await;
                let went = run["outcome"]["word"] != "done"
                    || steps.iter().any(|step| step["status"] == "skipped");
                assert!(went, "the yes for {} came to nothing: {now}\n{run}", one.name);
                continue;
            }
            let calls = found.entry(one.name.as_str()).or_default();
            calls.begun += 1;
            calls.ended += usize::from(steps.iter().any(|step| is_end(step, &one.name)));
        }
        found
    }
}

impl Desk for Yeses {
    fn name(&self) -> &'static str {
        "yeses"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let mut possible = vec!["looks at calls"];
        if self.waiting.len() + self.unseen < MOST {
            possible.push("calls that wait");
        }
        if !self.waiting.is_empty() {
            possible.extend(["yeses", "yeses", "noes"]);
        }
        let kind = self.tally.choose(dice, &possible);
        self.doing = Some((kind, name.to_owned()));
        match kind {
            "looks at calls" => Ask::get(ALL),
            "calls that wait" => {
                let path = format!("{}/{}/messages", wire::AGENTS, AGENT.to_lowercase());
                Ask::post(path, json!({ "text": chats::phrase("once", name) })).or(&[429])
            }
            kind => {
                let (id, _) = self.waiting.last().expect("one waits");
                decision(id, if kind == "yeses" { "once" } else { "denied" })
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, name) = self.doing.take().expect("something was asked for");
        match kind {
            "calls that wait" if answer.status == 429 => return,
            "calls that wait" => {
                self.said.push(name);
                self.sessions.insert(answer.word("session"));
                self.unseen += 1;
            }
            "looks at calls" => {
                let all = answer.json["items"].as_array().expect("a list");
                (self.waiting, self.unseen) = (waiting(all), 0);
            }
            kind => {
                let (id, name) = self.waiting.pop().expect("one waited");
                if answer.status != 200 {
                    return;
                }
                self.answered.push(Answered { id, name, is_yes: kind == "yeses" });
            }
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for one in self.answered.iter().rev().take(latest) {
                let now = api.get(&format!("{ALL}/{}", one.id)).await;
                let word = if one.is_yes { "once" } else { "denied" };
                let lost = format!("the answer for {} is lost: {now}", one.name);
                assert_eq!(now["answer"]["answer"], word, "{lost}");
                assert!(one.is_yes || now["called_at"].is_null(), "called in spite of a no: {now}");
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.rest(api).await;
            self.check(api, usize::MAX).await;
            let calls = self.calls(api).await;
            for name in &self.said {
                let Calls { begun, ended } = calls.get(name.as_str()).copied().unwrap_or_default();
                let times = times_run(api, name).await;
                assert!(
                    (ended..=begun).contains(&times),
                    "the program of {name} ran {times} times: {begun} begun on a yes, {ended} seen to end"
                );
            }
        }
        .boxed()
    }
}
