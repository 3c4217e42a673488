//! Load: recurring tasks. Create, change, pause, and spawn early. Whatever is killed when, each turn is used once.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::api::{Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Prefix of the titles of its tasks: a series gives all its tasks the same title.
pub const TITLE: &str = "recurring";

const PATH: &str = "/api/v1/series";
const KINDS: &[&str] = &[
    "series",
    "spawned tasks",
    "changed series",
    "paused series",
    "resumed series",
    "removed series",
];

struct Known {
    id: String,
    title: String,
    /// Keys of its tasks, oldest first.
    made: Vec<String>,
    paused: bool,
    gone: bool,
}

/// The current action and its target.
enum Doing {
    Nothing,
    New,
    To(usize, &'static str),
}

pub struct Series {
    known: Vec<Known>,
    doing: Doing,
    tally: Tally,
}

impl Default for Series {
    fn default() -> Self {
        Self { known: Vec::new(), doing: Doing::Nothing, tally: Tally::default() }
    }
}

impl Known {
    async fn check(&self, api: &Api<'_>) {
        let path = format!("{PATH}/{}", self.id);
        if self.gone {
            let all = api.list(PATH).await;
            assert!(all.iter().all(|one| one["id"] != self.id.as_str()), "{path} was removed");
            return;
        }
        let series = api.get(&path).await;
        assert_eq!(series["title"], self.title.as_str(), "{path}");
        assert_eq!(series["state"], if self.paused { "paused" } else { "active" }, "{path}");
        assert_eq!(series["tasks"]["total"], self.made.len(), "{path}");
        let turns = api.list(&format!("{path}/occurrences")).await;
        let tasks: Vec<_> = turns.iter().rev().map(|turn| turn["task"].as_str()).collect();
        let made: Vec<_> = self.made.iter().map(|key| Some(key.as_str())).collect();
        assert_eq!(tasks, made, "{path}");
        let mut moments: Vec<_> = turns.iter().map(|turn| turn["occurrence_at"].as_str()).collect();
        moments.sort_unstable();
        moments.dedup();
        assert_eq!(moments.len(), turns.len(), "each turn of {path} is used once");
    }
}

impl Desk for Series {
    fn name(&self) -> &'static str {
        "calendar"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let mut possible = vec!["series"];
        let some = |fits: fn(&Known) -> bool| self.known.iter().any(fits);
        if some(|known| !known.gone) {
            possible.extend(["spawned tasks", "spawned tasks", "changed series"]);
        }
        if some(|known| !known.gone && !known.paused) {
            possible.push("paused series");
        }
        if some(|known| !known.gone && known.paused) {
            possible.push("resumed series");
        }
        if some(|known| !known.gone && known.made.len() > 2) {
            possible.push("removed series");
        }
        let kind = self.tally.choose(dice, &possible);
        if kind == "series" {
            self.doing = Doing::New;
            // Far in the future: no task is created automatically.
            let schedule =
                json!({ "cadence_type": "daily", "timezone": "UTC", "starts_on": "2090-01-01" });
            let body = json!({ "title": format!("{TITLE} {name}"), "schedule": schedule });
            return Ask::post(PATH, body);
        }
        let fits = |known: &Known| match kind {
            "paused series" => !known.gone && !known.paused,
            "resumed series" => !known.gone && known.paused,
            "removed series" => !known.gone && known.made.len() > 2,
            _ => !known.gone,
        };
        let at = dice.place(&self.known, fits).expect("one was seen just now");
        self.doing = Doing::To(at, kind);
        let path = format!("{PATH}/{}", self.known[at].id);
        match kind {
            "spawned tasks" => Ask::post(format!("{path}/spawn"), json!({})),
            "paused series" => Ask::post(format!("{path}/pause"), json!({})),
            "resumed series" => Ask::post(format!("{path}/resume"), json!({})),
            "removed series" => Ask::delete(path),
            _ => Ask::patch(path, json!({ "title": format!("{TITLE} changed {name}") })),
        }
    }

    fn done(&mut self, answer: &Answer) {
        let kind = match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => unreachable!("something was asked for"),
            Doing::New => {
                self.known.push(Known {
                    id: answer.word("id"),
                    title: answer.word("title"),
                    made: Vec::new(),
                    paused: false,
                    gone: false,
                });
                "series"
            }
            Doing::To(at, kind) => {
                let known = &mut self.known[at];
                match kind {
                    "spawned tasks" => known.made.push(answer.word("key")),
                    "paused series" => known.paused = true,
                    "resumed series" => known.paused = false,
                    "removed series" => known.gone = true,
                    _ => known.title = answer.word("title"),
                }
                kind
            }
        };
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in self.known.iter().rev().take(latest) {
                known.check(api).await;
            }
        }
        .boxed()
    }
}
