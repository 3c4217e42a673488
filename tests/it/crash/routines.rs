//! Load: routines after events and by hand. Whatever is killed when, an event that a routine waits for starts it
//! exactly once; other events, and events while it is paused, never do.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Answer, Api, Ask};
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;
use super::tasks::AGENT;

/// Prefix of the titles of manually created tasks: a routine always uses the same title.
pub const TITLE: &str = "of a routine";

const PATH: &str = "/api/v1/routines";
const RULES: &str = "/api/v1/routines/rules";
/// Consumer that fires routines for events.
const CONSUMER: &str = "routines";
/// Maximum number of causes per routine: more within an hour are grouped into one.
const MOST_CAUSES: usize = 15;
/// Maximum number of routines at once.
const MOST: usize = 12;
/// Maximum number of causes before the test waits for the consumer.
const MOST_BEHIND: usize = 4;
const KINDS: &[&str] = &[
    "place to talk",
    "routines after tasks",
    "routines after comments",
    "routines at their time",
    "tasks that fire",
    "comments that fire",
    "what fires nothing",
    "routines run by hand",
    "looks at the consumer",
    "changed routines",
    "paused routines",
    "resumed routines",
    "removed routines",
    "general pauses",
    "ends of general pauses",
];

/// What triggers a routine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Task,
    Comment,
    Time,
}

struct Known {
    id: String,
    name: String,
    /// Mark that occurs in the text of all its causes and nowhere else.
    mark: String,
    after: After,
    paused: bool,
    gone: bool,
    /// Texts of its causes, each with the task concerned.
    causes: Vec<(String, String)>,
    /// Number of manual runs.
    by_hand: usize,
}

/// The action in progress: its kind, the routine's index and the text.
struct Doing {
    kind: &'static str,
    at: usize,
    words: String,
}

#[derive(Default)]
pub struct Routines {
    known: Vec<Known>,
    /// Id and key of the task that is commented on.
    place: Option<(String, String)>,
    /// Texts of the events that must fire nothing.
    idle: Vec<String>,
    all_paused: bool,
    /// Number of events that the consumer may not have processed yet: a change to a routine before that also applies to
    /// them.
    behind: usize,
    /// Sequence number of the entry that the consumer has to reach.
    target: Option<u64>,
    doing: Option<Doing>,
    tally: Tally,
}

impl Known {
    fn wish(name: &str, mark: &str, after: After) -> Value {
        let event = |when: &str, field: &str| {
            let has_mark = json!({ "field": field, "op": "contains", "value": mark });
            json!({ "when": when, "all": [has_mark] })
        };
        let mut wish = json!({
            "agent": AGENT.to_lowercase(), "name": name, "instruction": "Look at it.",
            // Runs are started however many are waiting for the agent.
            "overlap": "allow",
        });
        let title = match after {
            After::Task => {
                wish["event"] = event("task.created", "title");
                "fired {title}"
            }
            After::Comment => {
                wish["event"] = event("comment.added", "text");
                "fired {text}"
            }
            After::Time => {
                // Far in the future: only a manual run fires it.
                wish["schedule"] = json!({
                    "cadence_type": "daily", "timezone": "UTC", "starts_on": "2090-01-01",
                });
                TITLE
            }
        };
        wish["task"] = json!({ "title": title, "unassigned": true });
        wish
    }

    fn path(&self) -> String {
        format!("{PATH}/{}", self.id)
    }

    fn may(&self, kind: &str) -> bool {
        let room = self.causes.len() < MOST_CAUSES;
        !self.gone
            && match kind {
                "tasks that fire" => self.after == After::Task && !self.paused && room,
                "comments that fire" => self.after == After::Comment && !self.paused && room,
                "what fires nothing" => self.after == After::Task && self.paused,
                "routines run by hand" => self.after == After::Time,
                "paused routines" => !self.paused,
                "resumed routines" => self.paused,
                "removed routines" => 3 < self.causes.len() + self.by_hand,
                _ => true,
            }
    }

    /// Asserts that each event fired the routine exactly once, or at most once if some may not have been processed yet.
    async fn check(&self, api: &Api<'_>, all_taken: bool) {
        let path = self.path();
        if self.gone {
            assert_eq!(api.ask(&Ask::get(&path)).await.status, 404, "{path}");
            return;
        }
        let routine = api.get(&path).await;
        assert_eq!(routine["routine"]["name"], self.name.as_str(), "{routine}");
        assert_eq!(routine["active"], !self.paused, "{routine}");
        let past = api.items(&format!("{path}/runs")).await;
        let by = |word: &str| past.iter().filter(|one| one["by"] == word).collect::<Vec<_>>();
        let (by_event, by_hand) = (by("event"), by("manual"));
        assert_eq!(by_hand.len(), self.by_hand, "{path} by hand");
        assert_eq!(by_event.len() + by_hand.len(), past.len(), "{past:?}");
        let mut about: BTreeMap<&str, usize> = BTreeMap::new();
        for firing in &by_event {
            *about.entry(firing["about"].as_str().expect("a task")).or_default() += 1;
            assert!(firing["task"].is_string(), "it has made its task: {firing}");
        }
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, task) in &self.causes {
            *wanted.entry(task).or_default() += 1;
        }
        if all_taken {
            assert_eq!(about, wanted, "what {path} was fired by");
        }
        for (task, times) in about {
            let most = wanted.get(task).copied().unwrap_or(0);
            assert!(times <= most, "{task} fired {path} {times} times, not {most}");
        }
    }
}

impl Routines {
    fn possible(&self) -> Vec<&'static str> {
        if self.place.is_none() {
            return vec!["place to talk"];
        }
        if self.all_paused {
            return vec!["ends of general pauses"];
        }
        let mut possible = vec!["looks at the consumer"];
        if self.known.iter().filter(|known| !known.gone).count() < MOST {
            let new = ["routines after tasks", "routines after comments", "routines at their time"];
            possible.extend(new);
        }
        let mut kinds = vec!["routines run by hand"];
        if self.behind < MOST_BEHIND {
            kinds.extend(["tasks that fire", "comments that fire", "what fires nothing"]);
        }
        if self.behind == 0 {
            kinds.extend(["changed routines", "paused routines", "resumed routines"]);
            kinds.push("removed routines");
            possible.push("general pauses");
        }
        kinds.retain(|kind| self.known.iter().any(|known| known.may(kind)));
        possible.extend(kinds);
        possible
    }

    /// Causes an event: creates a task or comments on one.
    fn cause(&self, kind: &'static str, at: usize, name: &str) -> (String, Ask) {
        let words = format!("cause {name} {}", self.known[at].mark);
        if kind != "comments that fire" {
            let ask = Ask::post(wire::TASKS, wire::task(&words, None));
            return (words, ask);
        }
        let (place, _) = self.place.as_ref().expect("a place");
        let body = json!({ "body": words, "note_only": true });
        (words, Ask::post(format!("{}/{place}/comments", wire::TASKS), body))
    }

    /// The consumer's position, and the position that it has to reach.
    fn progress(consumers: &Value) -> (u64, u64) {
        let all = consumers["items"].as_array().expect("a list");
        let own = all.iter().find(|one| one["name"] == CONSUMER).expect("the consumer");
        let number = |field: &str| own[field].as_u64().expect("a number");
        (number("cursor"), number("head"))
    }

    /// Waits until the consumer has processed everything so far.
    async fn taken(api: &Api<'_>) {
        let waited = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let (_, head) = Self::progress(&api.get("/api/v1/consumers").await);
            loop {
                tick.tick().await;
                if head <= Self::progress(&api.get("/api/v1/consumers").await).0 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("the consumer takes what happened");
    }
}

impl Desk for Routines {
    fn name(&self) -> &'static str {
        "routines"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let at = dice.place(&self.known, |known| known.may(kind)).unwrap_or(0);
        let path = self.known.get(at).map(Known::path).unwrap_or_default();
        let mut words = name.to_owned();
        let ask = match kind {
            "place to talk" => Ask::post(wire::TASKS, wire::task(&format!("task {name}"), None)),
            "routines after tasks" | "routines after comments" | "routines at their time" => {
                let after = match kind {
                    "routines after tasks" => After::Task,
                    "routines after comments" => After::Comment,
                    _ => After::Time,
                };
                Ask::post(PATH, Known::wish(name, &mark(name), after))
            }
            "tasks that fire" | "comments that fire" | "what fires nothing" => {
                let (said, ask) = self.cause(kind, at, name);
                words = said;
                ask
            }
            "routines run by hand" => Ask::post(format!("{path}/run"), json!({ "record": "" })),
            "looks at the consumer" => Ask::get("/api/v1/consumers"),
            "changed routines" => {
                let known = &self.known[at];
                Ask::put(path, Known::wish(name, &known.mark, known.after))
            }
            "paused routines" => Ask::post(format!("{path}/pause"), json!({})),
            "resumed routines" => Ask::post(format!("{path}/resume"), json!({})),
            "removed routines" => Ask::delete(path),
            _ => Ask::patch(RULES, json!({ "paused": kind == "general pauses" })),
        };
        self.doing = Some(Doing { kind, at, words });
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let Doing { kind, at, words } = self.doing.take().expect("something was asked for");
        match kind {
            "place to talk" => self.place = Some((answer.word("id"), answer.word("key"))),
            "routines after tasks" | "routines after comments" | "routines at their time" => {
                self.known.push(Known {
                    id: answer.word("id"),
                    mark: mark(&words),
                    name: words,
                    after: match kind {
                        "routines after tasks" => After::Task,
                        "routines after comments" => After::Comment,
                        _ => After::Time,
                    },
                    paused: false,
                    gone: false,
                    causes: Vec::new(),
                    by_hand: 0,
                });
            }
            "tasks that fire" => self.known[at].causes.push((words, answer.word("key"))),
            "comments that fire" => {
                let (_, key) = self.place.clone().expect("a place");
                self.known[at].causes.push((words, key));
            }
            "what fires nothing" => self.idle.push(words),
            "routines run by hand" => self.known[at].by_hand += 1,
            "looks at the consumer" => {
                let (cursor, head) = Self::progress(&answer.json);
                let target = *self.target.get_or_insert(head);
                if target <= cursor {
                    (self.behind, self.target) = (0, None);
                }
            }
            "changed routines" => self.known[at].name = words,
            "paused routines" | "resumed routines" => {
                self.known[at].paused = kind == "paused routines";
            }
            "removed routines" => self.known[at].gone = true,
            _ => {
                self.all_paused = kind == "general pauses";
                assert_eq!(answer.json["paused_at"].is_null(), !self.all_paused, "{}", answer.text);
            }
        }
        if matches!(kind, "tasks that fire" | "comments that fire" | "what fires nothing") {
            (self.behind, self.target) = (self.behind + 1, None);
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in self.known.iter().rev().take(latest) {
                known.check(api, self.behind == 0).await;
            }
            let rules = api.get(RULES).await;
            assert_eq!(rules["paused_at"].is_null(), !self.all_paused, "{rules}");
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            Self::taken(api).await;
            self.behind = 0;
            self.check(api, usize::MAX).await;
            // Tasks created by a routine stay when the routine is removed.
            let tasks = api.items(wire::TASKS).await;
            let titled = |title: &str| tasks.iter().filter(|task| task["title"] == title).count();
            for (words, _) in self.known.iter().flat_map(|known| &known.causes) {
                assert_eq!(titled(&format!("fired {words}")), 1, "`{words}` fires once");
            }
            for words in &self.idle {
                assert_eq!(titled(&format!("fired {words}")), 0, "`{words}` fires nothing");
            }
            let by_hand: usize = self.known.iter().map(|known| known.by_hand).sum();
            assert_eq!(titled(TITLE), by_hand, "tasks made by hand");
        }
        .boxed()
    }
}

/// The routine's mark, which is no substring of another routine's.
fn mark(name: &str) -> String {
    format!("for {name} only")
}
