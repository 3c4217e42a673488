//! Load: tasks with comments, files, deliverables, reviews, and work for an agent.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Answer, Api, Ask};
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;
use super::{plans, routines, series};

/// The agent that works on tasks with the practice model.
pub const AGENT: &str = "Ada";

const KINDS: &[&str] = &[
    "tasks",
    "runs",
    "comments",
    "files",
    "links",
    "reactions",
    "pieces of work",
    "reviews",
    "changes",
    "assignments",
    "edits",
    "deleted comments",
    "removed files",
    "archived tasks",
];

/// Numbers of comments and deliverables that a run leaves.
pub type Control = (usize, usize);

/// An acknowledged task with its expected contents.
#[derive(Default)]
struct Known {
    id: String,
    title: String,
    for_agent: bool,
    /// Fields that only this desk changes, as returned.
    fields: BTreeMap<&'static str, Value>,
    comments: Vec<Comment>,
    /// Links with their titles.
    links: Vec<(String, String)>,
    files: Vec<(String, String, Vec<u8>)>,
    pieces: Vec<(String, String, Option<&'static str>)>,
}

/// A comment, and whether the owner has reacted with a heart.
struct Comment {
    id: String,
    text: String,
    heart: bool,
}

/// The present action.
enum Doing {
    Nothing,
    Task { title: String, for_agent: bool },
    Comment { task: usize, text: String },
    File { task: usize, name: String, bytes: Vec<u8> },
    Link { task: usize, label: String },
    React { task: usize, comment: usize, on: bool },
    Piece { task: usize, title: String },
    Review { task: usize, piece: usize, verdict: &'static str },
    Change { task: usize, kind: &'static str },
    Edit { task: usize, comment: usize, text: String },
    Delete { task: usize, comment: usize },
    Remove { task: usize, file: usize },
}

pub struct Tasks {
    name: &'static str,
    control: Control,
    known: Vec<Known>,
    doing: Doing,
    tally: Tally,
}

impl Tasks {
    pub fn new(name: &'static str, control: Control) -> Self {
        Self { name, control, known: Vec::new(), doing: Doing::Nothing, tally: Tally::default() }
    }

    /// Actions that are possible now.
    fn possible(&self) -> Vec<&'static str> {
        let mut possible = vec!["tasks", "tasks", "tasks", "runs"];
        let own = |known: &&Known| !known.for_agent && !known.is_archived();
        if self.known.iter().any(|known| !known.is_archived()) {
            possible.extend(["comments", "comments", "files", "links"]);
        }
        if self.known.iter().any(|known| own(&known)) {
            // An agent that finds other work than its own may act on it.
            possible.extend(["pieces of work", "changes", "assignments", "archived tasks"]);
        }
        let some = |holds: fn(&Known) -> bool| self.known.iter().filter(own).any(holds);
        if some(|known| known.pieces.iter().any(|piece| piece.2.is_none())) {
            possible.push("reviews");
        }
        if some(|known| !known.comments.is_empty()) {
            possible.extend(["edits", "deleted comments", "reactions"]);
        }
        if some(|known| !known.files.is_empty()) {
            possible.push("removed files");
        }
        possible
    }

    /// A random matching task, with its path.
    fn task(&self, dice: &mut Dice, holds: impl Fn(&Known) -> bool) -> (usize, String) {
        let fits = |known: &Known| !known.is_archived() && holds(known);
        let task = dice.place(&self.known, fits).expect("one was seen just now");
        (task, format!("{}/{}", wire::TASKS, self.known[task].id))
    }

    /// Adds something to a task.
    fn add(&mut self, dice: &mut Dice, kind: &str, name: &str) -> (Doing, Ask) {
        let anyones = kind != "pieces of work";
        let (task, on) = self.task(dice, |known| anyones || !known.for_agent);
        match kind {
            "comments" => {
                let text = format!("comment {name}");
                let body = json!({ "body": text, "note_only": true });
                let ask = Ask::post(format!("{on}/comments"), body);
                (Doing::Comment { task, text }, ask)
            }
            "files" => {
                // Some files have equal content, which is stored once.
                let bytes = [name.as_bytes()[name.len() - 1]].repeat(dice.index(200_000) + 1);
                let file = format!("file-{name}");
                let ask = Ask::upload(format!("{on}/files?name={file}"), bytes.clone());
                (Doing::File { task, name: file, bytes }, ask)
            }
            "links" => {
                let label = format!("link {name}");
                let target = format!("https://marlow.example/{name}");
                let body = json!({ "target": target, "label": label });
                (Doing::Link { task, label }, Ask::post(format!("{on}/links"), body))
            }
            _ => {
                let title = format!("piece {name}");
                let body = json!({ "title": title, "text": "What was made" });
                let ask = Ask::post(format!("{on}/deliverables"), body);
                (Doing::Piece { task, title }, ask)
            }
        }
    }

    /// Changes something on one of its tasks.
    fn change(&mut self, dice: &mut Dice, kind: &'static str, name: &str) -> (Doing, Ask) {
        match kind {
            "reviews" => {
                let open = |piece: &(String, String, Option<_>)| piece.2.is_none();
                let (task, _) = self.task(dice, |k| !k.for_agent && k.pieces.iter().any(open));
                let piece = dice.place(&self.known[task].pieces, open).expect("an open one");
                let verdict = *dice.one(&["approved", "changes_requested", "rejected"]);
                let path =
                    format!("/api/v1/deliverables/{}/reviews", self.known[task].pieces[piece].0);
                let body = json!({ "verdict": verdict, "note": format!("review {name}") });
                (Doing::Review { task, piece, verdict }, Ask::post(path, body))
            }
            "edits" | "deleted comments" | "reactions" => {
                let (task, _) = self.task(dice, |k| !k.for_agent && !k.comments.is_empty());
                let comment = dice.index(self.known[task].comments.len());
                let Comment { id, heart, .. } = &self.known[task].comments[comment];
                let path = format!("/api/v1/comments/{id}");
                if kind == "reactions" {
                    let on = !heart;
                    let body = json!({ "reaction": "heart", "on": on });
                    let ask = Ask::post(format!("{path}/reactions"), body);
                    return (Doing::React { task, comment, on }, ask);
                }
                if kind == "deleted comments" {
                    return (Doing::Delete { task, comment }, Ask::delete(path));
                }
                let text = format!("edited {name}");
                let ask = Ask::patch(path, json!({ "body": text }));
                (Doing::Edit { task, comment, text }, ask)
            }
            "removed files" => {
                let (task, _) = self.task(dice, |k| !k.for_agent && !k.files.is_empty());
                let file = dice.index(self.known[task].files.len());
                let path = format!("/api/v1/files/{}", self.known[task].files[file].0);
                (Doing::Remove { task, file }, Ask::delete(path))
            }
            _ => {
                let (task, path) = self.task(dice, |known| !known.for_agent);
                let body = match kind {
                    "assignments" => json!({ "assignee": dice.one(&["me", "none"]) }),
                    "archived tasks" => json!({ "archived": true }),
                    _ => json!({
                        "title": format!("changed {name}"),
                        "priority": dice.one(&["low", "high", "urgent"]),
                        "status": dice.one(&["todo", "in_progress", "blocked", "done"]),
                    }),
                };
                (Doing::Change { task, kind }, Ask::patch(path, body))
            }
        }
    }
}

/// Waits until search finds a task by its title.
async fn found(api: &Api<'_>, title: &str) {
    let words = title.replace(' ', "%20");
    let path = format!("/api/v1/search?type=task&limit=100&q=%22{words}%22");
    let search = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let hits = api.list(&path).await;
            if hits.iter().any(|hit| hit["title"] == title) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    found.unwrap_or_else(|_| panic!("search must find `{title}`"));
}

impl Known {
    fn is_archived(&self) -> bool {
        self.fields.get("archived_at").is_some_and(|at| !at.is_null())
    }

    /// Stores the returned values.
    fn keep(&mut self, answer: &Answer) {
        for field in ["title", "status", "priority", "assignee", "archived_at"] {
            self.fields.insert(field, answer.json[field].clone());
        }
        self.title = answer.word("title");
    }

    async fn check(&self, api: &Api<'_>) {
        let path = format!("{}/{}", wire::TASKS, self.id);
        let task = api.get(&path).await;
        assert_eq!(task["title"], self.title.as_str(), "{path}");
        for (field, value) in self.fields.iter().filter(|_| !self.for_agent) {
            assert_eq!(task[field], *value, "{field} of {path}");
        }
        let comments = api.items(&format!("{path}/comments")).await;
        for Comment { id, text, heart } in &self.comments {
            let hearts = if *heart { 1 } else { 0 };
            let is = |one: &&Value| {
                one["id"] == id.as_str()
                    && one["body"] == text.as_str()
                    && one["reactions"].as_array().is_some_and(|all| all.len() == hearts)
            };
            assert_eq!(comments.iter().filter(is).count(), 1, "`{text}` on {path}");
        }
        let links = api.list(&format!("{path}/links")).await;
        let links = links.iter().map(|one| (one["id"].as_str(), one["label"].as_str()));
        let known = self.links.iter().map(|(id, label)| (Some(&**id), Some(&**label)));
        assert!(links.eq(known), "links on {path}");
        assert!(self.for_agent || comments.len() == self.comments.len(), "comments on {path}");
        let files = api.list(&format!("{path}/files")).await;
        assert_eq!(files.len(), self.files.len(), "files on {path}");
        for (id, name, bytes) in &self.files {
            let file = files.iter().find(|one| one["id"] == id.as_str());
            let file = file.unwrap_or_else(|| panic!("no `{name}` on {path}"));
            assert_eq!(file["name"], name.as_str(), "{path}");
            let content = api.bytes(&format!("/api/v1/files/{id}")).await;
            assert!(content == *bytes, "`{name}` on {path} is what was sent");
        }
        if self.for_agent {
            return;
        }
        let made = api.list(&format!("{path}/deliverables")).await;
        assert_eq!(made.len(), self.pieces.len(), "work on {path}");
        for (id, title, verdict) in &self.pieces {
            let piece = made.iter().find(|one| one["id"] == id.as_str());
            let piece = piece.unwrap_or_else(|| panic!("no `{title}` on {path}"));
            let judged = piece["versions"][0]["review"]["verdict"].as_str();
            assert_eq!(judged, *verdict, "the review of `{title}` on {path}");
        }
    }
}

impl Desk for Tasks {
    fn name(&self) -> &'static str {
        self.name
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
            "tasks" | "runs" => {
                let (title, for_agent) = (format!("task {name}"), kind == "runs");
                let agent = AGENT.to_lowercase();
                let body = wire::task(&title, for_agent.then_some(agent.as_str()));
                (Doing::Task { title, for_agent }, Ask::post(wire::TASKS, body))
            }
            "comments" | "files" | "links" | "pieces of work" => self.add(dice, kind, name),
            _ => self.change(dice, kind, name),
        };
        self.doing = doing;
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let kind = match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => unreachable!("something was asked for"),
            Doing::Task { title, for_agent } => {
                let mut known =
                    Known { id: answer.word("id"), title, for_agent, ..Known::default() };
                known.keep(answer);
                self.known.push(known);
                if for_agent { "runs" } else { "tasks" }
            }
            Doing::Comment { task, text } => {
                let comment = Comment { id: answer.word("id"), text, heart: false };
                self.known[task].comments.push(comment);
                "comments"
            }
            Doing::Link { task, label } => {
                self.known[task].links.push((answer.word("id"), label));
                "links"
            }
            Doing::React { task, comment, on } => {
                self.known[task].comments[comment].heart = on;
                "reactions"
            }
            Doing::File { task, name, bytes } => {
                self.known[task].files.push((answer.word("id"), name, bytes));
                "files"
            }
            Doing::Piece { task, title } => {
                self.known[task].pieces.push((answer.word("id"), title, None));
                "pieces of work"
            }
            Doing::Review { task, piece, verdict } => {
                self.known[task].pieces[piece].2 = Some(verdict);
                // An approved deliverable may complete its task.
                self.known[task].fields.remove("status");
                "reviews"
            }
            Doing::Change { task, kind } => {
                self.known[task].keep(answer);
                kind
            }
            Doing::Edit { task, comment, text } => {
                self.known[task].comments[comment].text = text;
                "edits"
            }
            Doing::Delete { task, comment } => {
                self.known[task].comments.remove(comment);
                "deleted comments"
            }
            Doing::Remove { task, file } => {
                self.known[task].files.remove(file);
                "removed files"
            }
        };
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in self.known.iter().rev().take(latest) {
                known.check(api).await;
            }
            // The index was killed with the rest, and continues where it was.
            if let Some(known) = self.known.iter().rev().find(|known| !known.is_archived()) {
                found(api, &known.title).await;
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            let mut listed: BTreeMap<String, usize> = BTreeMap::new();
            for path in [wire::TASKS.to_owned(), format!("{}?archived=true", wire::TASKS)] {
                for task in api.items(&path).await {
                    *listed.entry(task["id"].as_str().expect("an id").to_owned()).or_default() += 1;
                }
            }
            for known in &self.known {
                assert!(listed.contains_key(&known.id), "`{}` must be listed", known.title);
                if known.for_agent {
                    let found = finished(api, &known.id).await;
                    let others = found.0 - known.comments.len();
                    let (effects, control) = ((others, found.1), self.control);
                    // A run interrupted three times before a completed step is closed, which its state says.
                    let closed = found.1 == 0 && effects.0 <= control.0;
                    assert!(effects == control || closed, "`{}`: {effects:?}", known.title);
                }
                known.check(api).await;
            }
            // Titles are unique: a duplicate means a repeated creation. Exceptions are titles that other desks reuse.
            let repeated = [series::TITLE, plans::TITLE, routines::TITLE];
            let titles = api.items(wire::TASKS).await;
            let mut titles: Vec<_> = titles
                .iter()
                .filter_map(|one| one["title"].as_str())
                .filter(|title| !repeated.iter().any(|start| title.starts_with(start)))
                .collect();
            let all = titles.len();
            titles.sort_unstable();
            titles.dedup();
            assert_eq!(titles.len(), all, "no task was made twice");
        }
        .boxed()
    }
}

/// Waits until the task's runs have ended; returns the numbers of comments and deliverables. A run without a
/// deliverable has ended only if it was closed after repeated interruptions.
pub async fn finished(api: &Api<'_>, task: &str) -> Control {
    let path = format!("{}/{task}", wire::TASKS);
    let ended = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let runs = api.items(&format!("/api/v1/runs?task={task}")).await;
            let live = runs.iter().any(|run| run["state"] != "ended");
            let pieces = api.list(&format!("{path}/deliverables")).await.len();
            let closed = runs.iter().any(|run| run["outcome"]["word"] == "crash_loop");
            if !runs.is_empty() && !live && (pieces > 0 || closed) {
                return (api.items(&format!("{path}/comments")).await.len(), pieces);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, ended).await;
    if let Ok(found) = found {
        return found;
    }
    let runs = api.items(&format!("/api/v1/runs?task={task}")).await;
    let waiting = api.items(&format!("/api/v1/agents/{}/inbox", AGENT.to_lowercase())).await;
    panic!("the work on {path} did not end: {runs:#?}\nwaiting: {waiting:#?}");
}
