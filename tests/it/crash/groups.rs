//! Load: streams, labels, relations. Tasks wait for others and continue when those are done, and an agent is assigned
//! in any case.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;
use super::tasks::{self, AGENT};

const STREAMS: &str = "/api/v1/streams";
const LABELS: &str = "/api/v1/labels";
/// Concurrent labels, fewer than the limit per task; streams in total.
const MOST_LABELS: usize = 12;
const MOST_STREAMS: usize = 40;
/// Tasks assigned to an agent.
const MOST_STARTS: usize = 4;
const KINDS: &[&str] = &[
    "grouped tasks",
    "streams",
    "changed streams",
    "archived streams",
    "streams brought back",
    "moves to streams",
    "labels",
    "changed labels",
    "deleted labels",
    "labels on tasks",
    "relations",
    "removed relations",
    "waits",
    "ends of waits",
    "gifts to the agent",
    "starts in any case",
];

/// A stream or a label.
struct Group {
    id: String,
    name: String,
    /// Neither archived nor deleted.
    open: bool,
}

#[derive(Default)]
struct Known {
    id: String,
    key: String,
    status: String,
    stream: Option<usize>,
    labels: BTreeSet<usize>,
    waits_for: Option<usize>,
    /// Assigned to an agent, whose changes are its own.
    for_agent: bool,
    started: bool,
}

/// A relation between two tasks, with its record.
struct Tie {
    id: String,
    both: [usize; 2],
}

/// The present action.
#[derive(Clone, Copy)]
struct Doing {
    kind: &'static str,
    /// A task, or the changed group.
    at: usize,
    /// The other object.
    with: Option<usize>,
}

#[derive(Default)]
pub struct Groups {
    known: Vec<Known>,
    streams: Vec<Group>,
    labels: Vec<Group>,
    ties: Vec<Tie>,
    doing: Option<Doing>,
    tally: Tally,
}

fn is_open(group: &Group) -> bool {
    group.open
}

impl Known {
    fn path(&self) -> String {
        format!("{}/{}", wire::TASKS, self.id)
    }

    fn is_free(&self) -> bool {
        !self.for_agent && self.status != "done" && self.waits_for.is_none()
    }
}

impl Groups {
    fn is_waited_for(&self, at: usize) -> bool {
        self.known.iter().any(|known| known.waits_for == Some(at))
    }

    /// Completing it wakes no agent.
    fn may_end(&self, at: usize) -> bool {
        let mut waiting = self.known.iter().filter(|known| known.waits_for == Some(at)).peekable();
        waiting.peek().is_some() && waiting.all(|known| !known.for_agent)
    }

    fn may_begin_to_wait(&self, at: usize) -> bool {
        self.known[at].is_free() && !self.is_waited_for(at)
    }

    fn may_be_given(&self, at: usize) -> bool {
        let known = &self.known[at];
        known.waits_for.is_some() && !known.for_agent && known.status == "todo"
    }

    fn places(&self, fits: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.known.len()).filter(|at| fits(*at)).collect()
    }

    fn possible(&self) -> Vec<&'static str> {
        let mut possible = vec!["grouped tasks"];
        let mut add = |may: bool, kinds: &[&'static str]| {
            if may {
                possible.extend_from_slice(kinds);
            }
        };
        let open = |groups: &[Group]| groups.iter().filter(|group| group.open).count();
        add(self.streams.len() < MOST_STREAMS, &["streams"]);
        let some = !self.known.is_empty();
        add(0 < open(&self.streams), &["changed streams"]);
        add(some && 0 < open(&self.streams), &["moves to streams"]);
        add(2 < open(&self.streams), &["archived streams"]);
        add(self.streams.iter().any(|stream| !stream.open), &["streams brought back"]);
        add(open(&self.labels) < MOST_LABELS, &["labels"]);
        add(0 < open(&self.labels), &["changed labels"]);
        add(some && 0 < open(&self.labels), &["labels on tasks", "labels on tasks"]);
        add(4 < open(&self.labels), &["deleted labels"]);
        add(self.free_pair().is_some(), &["relations"]);
        add(!self.ties.is_empty(), &["removed relations"]);
        let waiting = self.places(|at| self.may_begin_to_wait(at));
        add(1 < waiting.len(), &["waits", "waits"]);
        add(!self.places(|at| self.may_end(at)).is_empty(), &["ends of waits"]);
        let given = self.known.iter().filter(|known| known.for_agent).count();
        let may_give = !self.places(|at| self.may_be_given(at)).is_empty();
        add(may_give && given < MOST_STARTS, &["gifts to the agent"]);
        let may_start = self.known.iter().any(|known| known.for_agent && !known.started);
        add(may_start, &["starts in any case"]);
        possible
    }

    /// The newest two tasks without a known relation.
    fn free_pair(&self) -> Option<[usize; 2]> {
        let newest = self.known.len().checked_sub(1)?;
        let tied = |other: usize| {
            let of_both = |tie: &Tie| tie.both.contains(&newest) && tie.both.contains(&other);
            self.ties.iter().any(of_both)
        };
        (0..newest).rev().take(8).find(|other| !tied(*other)).map(|other| [newest, other])
    }

    fn of_streams(&self, dice: &mut Dice, kind: &'static str, name: &str) -> (Doing, Ask) {
        let fits = |stream: &Group| stream.open == (kind != "streams brought back");
        let at = dice.place(&self.streams, fits).expect("seen just now");
        let path = format!("{STREAMS}/{}", self.streams[at].id);
        let body = match kind {
            "changed streams" => json!({ "name": format!("stream {name}"), "goal": name }),
            "archived streams" => json!({ "archived": true }),
            _ => json!({ "archived": false }),
        };
        (Doing { kind, at, with: None }, Ask::patch(path, body))
    }

    fn of_labels(&self, dice: &mut Dice, kind: &'static str, name: &str) -> (Doing, Ask) {
        let at = dice.place(&self.labels, is_open).expect("seen just now");
        let path = format!("{LABELS}/{}", self.labels[at].id);
        let ask = match kind {
            "changed labels" => Ask::patch(path, json!({ "name": format!("label {name}") })),
            // Once it is gone, there is nothing to delete.
            _ => Ask::delete(path).again(Again::Harmless).or(&[404]),
        };
        (Doing { kind, at, with: None }, ask)
    }

    /// An action with tasks and their groups.
    fn of_tasks(&self, dice: &mut Dice, kind: &'static str) -> (Doing, Ask) {
        let at = match kind {
            "waits" => *dice.one(&self.places(|at| self.may_begin_to_wait(at))),
            "ends of waits" => *dice.one(&self.places(|at| self.may_end(at))),
            "gifts to the agent" => *dice.one(&self.places(|at| self.may_be_given(at))),
            "starts in any case" => {
                let due = |known: &Known| known.for_agent && !known.started;
                dice.place(&self.known, due).expect("seen just now")
            }
            _ => dice.index(self.known.len()),
        };
        let path = self.known[at].path();
        let (with, ask) = match kind {
            "moves to streams" => {
                let to = dice.place(&self.streams, is_open).expect("seen just now");
                (Some(to), Ask::patch(path, json!({ "stream": self.streams[to].id })))
            }
            "labels on tasks" => {
                let label = dice.place(&self.labels, is_open).expect("seen just now");
                let name = &self.labels[label].name;
                let body = match self.known[at].labels.contains(&label) {
                    true => json!({ "remove": [name] }),
                    false => json!({ "add": [name] }),
                };
                (Some(label), Ask::post(format!("{path}/labels"), body))
            }
            "waits" => {
                let others = self.places(|other| {
                    other != at && self.known[other].is_free() && !self.known[other].for_agent
                });
                let other = *dice.one(&others);
                let body = json!({ "kind": "blocked_by", "other": self.known[other].id });
                (Some(other), Ask::post(format!("{path}/relations"), body))
            }
            "ends of waits" => (None, Ask::patch(path, json!({ "status": "done" }))),
            "gifts to the agent" => (None, Ask::patch(path, wire::assign(&AGENT.to_lowercase()))),
            _ => (None, Ask::post(format!("{path}/start"), json!({}))),
        };
        (Doing { kind, at, with }, ask)
    }

    fn of_ties(&self, dice: &mut Dice, kind: &'static str) -> (Doing, Ask) {
        if kind == "relations" {
            let [at, other] = self.free_pair().expect("seen just now");
            let body = json!({ "kind": "relates_to", "other": self.known[other].id });
            let ask = Ask::post(format!("{}/relations", self.known[at].path()), body);
            return (Doing { kind, at, with: Some(other) }, ask);
        }
        let tie = dice.index(self.ties.len());
        let Tie { id, both } = &self.ties[tie];
        let ask = Ask::delete(format!("{}/relations/{id}", self.known[both[0]].path()));
        (Doing { kind, at: both[0], with: Some(tie) }, ask)
    }

    async fn check_task(&self, api: &Api<'_>, at: usize) {
        let known = &self.known[at];
        let path = known.path();
        let task = api.get(&path).await;
        let stream = known.stream.map(|stream| self.streams[stream].name.as_str());
        assert_eq!(task["stream"].as_str(), stream, "{path}");
        let found: BTreeSet<&str> = words(&task["labels"]).collect();
        let wanted: BTreeSet<&str> =
            known.labels.iter().map(|label| self.labels[*label].name.as_str()).collect();
        assert_eq!(found, wanted, "{path}");
        assert_eq!(
            words(&task["labels"]).count(),
            wanted.len(),
            "each label of {path} is there once"
        );
        if !known.for_agent {
            assert_eq!(task["status"], known.status.as_str(), "{path}");
        }
        let open = task["blocked_by"].as_array().expect("a list");
        let open: Vec<_> = open.iter().filter_map(|other| other["key"].as_str()).collect();
        let blocker = known.waits_for.map(|other| self.known[other].key.as_str());
        assert_eq!(open, Vec::from_iter(blocker), "{path}");
        let relations = api.get(&format!("{path}/relations")).await;
        let found = relations["relates_to"].as_array().expect("a list");
        let mut found: Vec<_> = found.iter().filter_map(|tie| tie["id"].as_str()).collect();
        let own = self.ties.iter().filter(|tie| tie.both.contains(&at));
        let mut ties: Vec<_> = own.map(|tie| tie.id.as_str()).collect();
        found.sort_unstable();
        ties.sort_unstable();
        assert_eq!(found, ties, "{path}");
    }

    async fn check_groups(&self, api: &Api<'_>, latest: usize) {
        for stream in self.streams.iter().rev().take(latest) {
            let found = api.get(&format!("{STREAMS}/{}", stream.id)).await;
            assert_eq!(found["name"], stream.name.as_str(), "{found}");
            assert_eq!(found["archived_at"].is_null(), stream.open, "{found}");
        }
        let labels = api.list(LABELS).await;
        for label in &self.labels {
            let own = |one: &&Value| one["id"] == label.id.as_str();
            let found: Vec<_> = labels.iter().filter(own).map(|one| &one["name"]).collect();
            let wanted: Vec<_> = label.open.then(|| json!(label.name)).into_iter().collect();
            assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "the label {}", label.name);
        }
    }
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

impl Desk for Groups {
    fn name(&self) -> &'static str {
        "groups"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let (doing, ask) = match kind {
            "grouped tasks" => {
                let stream = dice.place(&self.streams, is_open);
                let mut body = wire::task(&format!("task {name}"), None);
                body["status"] = json!(dice.one(&["todo", "todo", "blocked"]));
                if let Some(stream) = stream {
                    body["stream"] = json!(self.streams[stream].id);
                }
                (Doing { kind, at: 0, with: stream }, Ask::post(wire::TASKS, body))
            }
            "streams" => {
                let body = json!({ "name": format!("stream {name}"), "goal": "To be on time" });
                (Doing { kind, at: 0, with: None }, Ask::post(STREAMS, body))
            }
            "labels" => {
                let body = json!({ "name": format!("label {name}") });
                (Doing { kind, at: 0, with: None }, Ask::post(LABELS, body))
            }
            "changed streams" | "archived streams" | "streams brought back" => {
                self.of_streams(dice, kind, name)
            }
            "changed labels" | "deleted labels" => self.of_labels(dice, kind, name),
            "relations" | "removed relations" => self.of_ties(dice, kind),
            _ => self.of_tasks(dice, kind),
        };
        self.doing = Some(doing);
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let Doing { kind, at, with } = self.doing.take().expect("something was asked for");
        let group = || Group { id: answer.word("id"), name: answer.word("name"), open: true };
        match kind {
            "grouped tasks" => self.known.push(Known {
                id: answer.word("id"),
                key: answer.word("key"),
                status: answer.word("status"),
                stream: with,
                ..Known::default()
            }),
            "streams" => self.streams.push(group()),
            "labels" => self.labels.push(group()),
            "changed streams" => self.streams[at].name = answer.word("name"),
            "archived streams" => self.streams[at].open = false,
            "streams brought back" => self.streams[at].open = true,
            "changed labels" => self.labels[at].name = answer.word("name"),
            "deleted labels" => {
                self.labels[at].open = false;
                for known in &mut self.known {
                    known.labels.remove(&at);
                }
            }
            "moves to streams" => self.known[at].stream = with,
            "labels on tasks" => {
                let label = with.expect("a label");
                if !self.known[at].labels.remove(&label) {
                    self.known[at].labels.insert(label);
                }
            }
            "relations" => {
                let other = with.expect("another task");
                let ties = answer.json["relates_to"].as_array().expect("a list");
                let own = |tie: &&Value| tie["key"] == self.known[other].key.as_str();
                let tie = ties.iter().find(own).and_then(|tie| tie["id"].as_str());
                let id = tie.unwrap_or_else(|| panic!("no relation: {}", answer.text)).to_owned();
                self.ties.push(Tie { id, both: [at, other] });
            }
            "removed relations" => {
                self.ties.remove(with.expect("a relation"));
            }
            "waits" => self.known[at].waits_for = with,
            "ends of waits" => {
                self.known[at].status = answer.word("status");
                for known in self.known.iter_mut().filter(|known| known.waits_for == Some(at)) {
                    known.waits_for = None;
                    if known.status == "blocked" {
                        known.status = "todo".into();
                    }
                }
            }
            "gifts to the agent" => self.known[at].for_agent = true,
            _ => self.known[at].started = true,
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            self.check_groups(api, latest).await;
            for at in (0..self.known.len()).rev().take(latest) {
                self.check_task(api, at).await;
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            // Tasks that were started have ended; the others still wait.
            for known in self.known.iter().filter(|known| known.for_agent) {
                if known.started {
                    tasks::finished(api, &known.id).await;
                    continue;
                }
                let runs = api.items(&format!("/api/v1/runs?task={}", known.id)).await;
                assert!(runs.is_empty(), "{} waits for another: {runs:?}", known.key);
            }
        }
        .boxed()
    }
}
