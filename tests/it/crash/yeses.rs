//! Calls that wait for a person's yes: the program runs once for each yes that was given and never for a no, whenever
//! HQ was killed, and an answer that was acknowledged stays.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask, Door};
use super::chats::phrase;
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;

/// The agent that asks before each program.
pub const AGENT: &str = "Clove";
const ALL: &str = "/api/v1/approvals";
/// So many calls wait at most before some are answered.
const MOST: usize = 6;
const KINDS: &[&str] = &["calls that wait", "looks at calls", "yeses", "noes"];

/// The program of a call: it leaves a line, in a file that no other names.
pub fn command(name: &str) -> String {
    format!("echo {name} >> {}", file(name))
}

fn file(name: &str) -> String {
    format!("once-{name}.txt")
}

/// What makes a call wait on each kernel.
pub fn permission() -> Value {
    json!({ "agent": AGENT.to_lowercase(), "tool": "exec", "leave": "ask" })
}

/// An answer that was acknowledged.
struct Answered {
    id: String,
    name: String,
    is_yes: bool,
}

#[derive(Default)]
pub struct Yeses {
    said: Vec<String>,
    /// Calls that were seen waiting: their ids, with what their programs write.
    waiting: Vec<(String, String)>,
    answered: Vec<Answered>,
    doing: Option<(&'static str, String)>,
    tally: Tally,
}

/// The calls that wait, of those that this desk has asked for.
fn waiting(all: &[Value]) -> Vec<(String, String)> {
    let own = all.iter().filter(|one| one["agent_name"] == AGENT && one["answer"].is_null());
    let word = |one: &Value| {
        let name = one["shown"].as_str()?.split_whitespace().nth(1)?;
        Some((one["id"].as_str()?.to_owned(), name.to_owned()))
    };
    own.filter_map(word).collect()
}

impl Yeses {
    fn answer(&self, id: &str, word: &str) -> Ask {
        let ask = Ask::post(format!("{ALL}/{id}/answer"), json!({ "answer": word }));
        // Its run may have ended meanwhile.
        ask.by(Door::Owner).or(&[404, 409])
    }

    /// Answers what waits still, and waits until all is at rest.
    async fn rest(&self, api: &Api<'_>) {
        let rest = async {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
            loop {
                tick.tick().await;
                let open = waiting(&api.list(ALL).await);
                for (id, _) in &open {
                    api.ask(&self.answer(id, "denied").again(Again::Harmless)).await;
                }
                let runs = api.items(&format!("/api/v1/runs?agent={}", AGENT.to_lowercase())).await;
                if open.is_empty() && runs.iter().all(|run| run["state"] == "ended") {
                    return;
                }
            }
        };
        let rested = tokio::time::timeout(PATIENCE, rest).await;
        rested.expect("runs that wait for nobody end");
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
        if self.waiting.len() < MOST {
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
                Ask::post(path, json!({ "text": phrase("once", name) })).or(&[429])
            }
            kind => {
                let (id, _) = self.waiting.last().expect("one waits");
                self.answer(id, if kind == "yeses" { "once" } else { "denied" })
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, name) = self.doing.take().expect("something was asked for");
        match kind {
            "calls that wait" if answer.status == 429 => return,
            "calls that wait" => self.said.push(name),
            "looks at calls" => {
                let all = answer.json["items"].as_array().expect("a list");
                self.waiting = waiting(all);
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
                assert_eq!(
                    now["answer"]["answer"], word,
                    "the answer for {} is lost: {now}",
                    one.name
                );
                assert!(one.is_yes || now["called_at"].is_null(), "{now}");
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.rest(api).await;
            self.check(api, usize::MAX).await;
            let base = format!("{}/{}", wire::AGENTS, AGENT.to_lowercase());
            let files = api.list(&format!("{base}/files")).await;
            let there: BTreeSet<&str> =
                files.iter().filter_map(|one| one["path"].as_str()).collect();
            for name in self.said.iter().filter(|name| there.contains(file(name).as_str())) {
                let says = api.get(&format!("{base}/file?path={}", file(name))).await;
                assert_eq!(says["text"], format!("{name}\n"), "the program of {name} ran twice");
                let is_allowed = self.answered.iter().any(|one| one.is_yes && one.name == *name);
                assert!(is_allowed, "the program of {name} ran without a yes");
            }
        }
        .boxed()
    }
}
