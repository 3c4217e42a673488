//! Load: store maintenance by an owner. Settings and limits, retention of versions, undo and redo, removal of former
//! versions, and the consumer of model calls.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use kernel::Clock as _;
use kernel::time::SystemClock;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;

const DAYS: &str = "usage-days";
/// A model that nothing calls, and the time from which its price applies.
const PRICE: &str = "/api/v1/prices/any/nobodys-model";
const PRICED_AT: &str = "2026-01-01T00:00:00Z";
const KINDS: &[&str] = &[
    "records",
    "new versions",
    "undone changes",
    "redone changes",
    "redactions",
    "settings",
    "limits",
    "prices",
    "removed prices",
    "retentions",
    "pauses",
    "skips",
    "looks at dead letters",
    "retried letters",
    "dropped letters",
    "resumes",
    "rebuilds",
];

/// Actions on the dead letters of a consumer.
const LETTERS: &[&str] = &["retried letters", "dropped letters"];

/// A task that only this desk changes.
struct Known {
    id: String,
    title: String,
    /// The last entry that wrote it, and the title before that entry.
    last: u64,
    before: Option<String>,
    /// The title that was undone, and the entry that undid it.
    undone: Option<(String, u64)>,
}

#[derive(Default)]
pub struct Upkeep {
    known: Vec<Known>,
    budget: i64,
    /// Price of a model that nothing calls.
    price: Option<u64>,
    days: u64,
    letters: Vec<u64>,
    /// Whether an entry was skipped since the letters were last read.
    skipped: bool,
    is_paused: bool,
    /// Whether a letter was dropped since the last rebuild, so that the sums are incomplete.
    lacks: bool,
    doing: Option<(&'static str, usize, String)>,
    tally: Tally,
}

impl Upkeep {
    fn possible(&self) -> Vec<&'static str> {
        let never = |kind: &&&str| self.tally.of(kind) == 0;
        let letters: Vec<_> = LETTERS.iter().filter(never).copied().collect();
        if !letters.is_empty() && (self.skipped || !self.letters.is_empty()) {
            // A rebuild would remove the letter first.
            return if self.letters.is_empty() { vec!["looks at dead letters"] } else { letters };
        }
        let mut possible = vec!["settings", "limits", "prices", "retentions"];
        if self.price.is_some() {
            possible.push("removed prices");
        }
        if self.known.len() < 30 {
            possible.push("records");
        }
        if !self.known.is_empty() {
            possible.extend(["new versions", "new versions", "redactions"]);
        }
        if self.known.iter().any(|known| known.before.is_some()) {
            possible.extend(["undone changes", "undone changes"]);
        }
        if self.known.iter().any(|known| known.undone.is_some()) {
            possible.push("redone changes");
        }
        possible.push("rebuilds");
        match self.is_paused {
            true => possible.extend(["skips", "skips", "resumes"]),
            false => possible.push("pauses"),
        }
        possible.push("looks at dead letters");
        if !self.letters.is_empty() {
            possible.extend(["retried letters", "retried letters", "dropped letters"]);
        }
        possible
    }

    fn record(&mut self, dice: &mut Dice, kind: &str, name: &str) -> (usize, Ask) {
        let fits = |known: &Known| match kind {
            "undone changes" => known.before.is_some(),
            "redone changes" => known.undone.is_some(),
            _ => true,
        };
        let at = dice.place(&self.known, fits).expect("seen just now");
        let known = &self.known[at];
        let change =
            |seq: u64| json!({ "change": { "seq": seq, "table": "tasks", "id": known.id } });
        let ask = match kind {
            "new versions" => {
                let path = format!("{}/{}", wire::TASKS, known.id);
                Ask::patch(path, json!({ "title": format!("version {name}") }))
            }
            "undone changes" => Ask::post("/api/v1/undo", change(known.last)),
            "redone changes" => {
                let (_, seq) = known.undone.as_ref().expect("seen just now");
                Ask::post("/api/v1/undo", json!({ "entry": seq }))
            }
            _ => {
                let body = json!({ "table": "tasks", "id": known.id });
                Ask::post("/api/v1/audit/redact", body).again(Again::Harmless)
            }
        };
        (at, ask)
    }

    /// Asserts that a record is as it was before the undone entry.
    fn went_back(known: &mut Known, kind: &str, answer: &Answer) {
        let seq = answer.json["entry"].as_u64().expect("the entry of the undo");
        assert_eq!(answer.json["back"], 1, "{kind} of {}: {}", known.title, answer.text);
        if kind == "undone changes" {
            let now = known.before.take().expect("there was a version before");
            let undone = std::mem::replace(&mut known.title, now);
            known.undone = Some((undone, seq));
        } else {
            let (undone, _) = known.undone.take().expect("it was undone");
            known.before = Some(std::mem::replace(&mut known.title, undone));
        }
        known.last = seq;
    }

    /// Sums from the daily usage and from the calls of all runs, as reported by the API.
    async fn sums(api: &Api<'_>) -> ((u64, i64), (u64, i64)) {
        let counted = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while api.get("/api/v1/usage/daily").await["behind"] != 0 {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.expect("the consumer comes to rest");
        let add = |(calls, micros): (u64, i64), more: (u64, i64)| (calls + more.0, micros + more.1);
        let of_day = |day: &Value| (day["calls"].as_u64(), day["billed_micros"].as_i64());
        // By default these are the days of this month, which may have begun during the test.
        let from = (SystemClock.now() - SignedDuration::from_hours(48)).strftime("%F");
        let days = api.items(&format!("/api/v1/usage/daily?from={from}")).await;
        // Connection tests have no run.
        let days = days.iter().filter(|day| !day["agent"].is_null()).map(of_day);
        let days = days.fold((0, 0), |sum, day| add(sum, (day.0.unwrap_or(0), day.1.unwrap_or(0))));
        let mut runs = (0, 0);
        for run in api.items("/api/v1/runs").await {
            let name = run["name"].as_str().expect("a name").to_owned();
            let usage = api.get(&format!("/api/v1/usage/runs/{name}")).await;
            let calls = usage["calls"].as_array().map_or(0, Vec::len) as u64;
            runs = add(runs, (calls, usage["billed_micros"].as_i64().unwrap_or(0)));
        }
        (days, runs)
    }
}

impl Desk for Upkeep {
    fn name(&self) -> &'static str {
        "upkeep"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let consumer = |act: &str| Ask::post(format!("/api/v1/consumers/{DAYS}/{act}"), json!({}));
        let letter =
            |n: Option<&u64>| format!("/api/v1/dead-letters/{DAYS}/{}", n.expect("there is one"));
        let mut at = 0;
        let ask = match kind {
            "records" => Ask::post(wire::TASKS, wire::task(&format!("record {name}"), None)),
            "settings" => {
                self.budget = 1_000_000_000 + i64::try_from(dice.below(1_000_000)).expect("small");
                Ask::patch("/api/v1/settings", json!({ "budget_micros": self.budget }))
            }
            "limits" => {
                let body = json!({ "month_micros": self.budget.max(1_000_000_000), "run_micros": 90_000_000 });
                self.budget = self.budget.max(1_000_000_000);
                Ask::put("/api/v1/usage/limits", body)
            }
            "prices" => {
                let micros = 1_000_000 + dice.below(1_000_000);
                self.price = Some(micros);
                let body = json!({
                    "begins_at": PRICED_AT, "input_micros": micros, "output_micros": micros,
                });
                Ask::put(PRICE, body)
            }
            "removed prices" => {
                self.price = None;
                Ask::delete(PRICE)
            }
            "retentions" => {
                self.days = 30 + dice.below(60);
                let body = json!({ "days": self.days, "megabytes": null });
                Ask::put("/api/v1/audit/retention", body)
            }
            "pauses" => consumer("pause"),
            "resumes" => consumer("resume"),
            "rebuilds" => consumer("rebuild"),
            // 409 if the consumer has processed every entry or is being rebuilt.
            "skips" => consumer("skip").or(&[409]),
            "looks at dead letters" => Ask::get(format!("/api/v1/consumers/{DAYS}/dead-letters")),
            // 409 if a rebuild in progress has removed the letters.
            "retried letters" => {
                let path = format!("{}/retry", letter(self.letters.last()));
                Ask::post(path, json!({})).again(Again::Harmless).or(&[409])
            }
            "dropped letters" => Ask::delete(letter(self.letters.last())).or(&[409]),
            kind => {
                let (found, ask) = self.record(dice, kind, name);
                at = found;
                ask
            }
        };
        self.doing = Some((kind, at, name.to_owned()));
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, at, _) = self.doing.take().expect("something was asked for");
        match kind {
            "records" => self.known.push(Known {
                id: answer.word("id"),
                title: answer.word("title"),
                last: answer.rev,
                before: None,
                undone: None,
            }),
            "new versions" => {
                let known = &mut self.known[at];
                known.before = Some(std::mem::replace(&mut known.title, answer.word("title")));
                (known.last, known.undone) = (answer.rev, None);
            }
            "undone changes" | "redone changes" => {
                Self::went_back(&mut self.known[at], kind, answer);
            }
            "redactions" => {
                // A removed record cannot be restored.
                (self.known[at].before, self.known[at].undone) = (None, None);
            }
            "pauses" | "resumes" => self.is_paused = kind == "pauses",
            // A paused consumer stays paused.
            "rebuilds" => self.lacks = false,
            "skips" if answer.status == 409 => return,
            "skips" => self.skipped = true,
            "looks at dead letters" => {
                self.skipped = false;
                let items = answer.json["items"].as_array().expect("a list");
                self.letters = items.iter().filter_map(|letter| letter["seq"].as_u64()).collect();
            }
            "retried letters" | "dropped letters" => {
                self.letters.pop();
                self.lacks |= kind == "dropped letters";
                if answer.status == 409 {
                    return;
                }
            }
            _ => {}
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in self.known.iter().rev().take(latest) {
                let path = format!("{}/{}", wire::TASKS, known.id);
                assert_eq!(api.get(&path).await["title"], known.title.as_str(), "{path}");
            }
            let settings = api.get("/api/v1/settings").await;
            if self.budget != 0 {
                assert_eq!(settings["budget_micros"], self.budget);
            }
            let prices = api.get("/api/v1/prices").await;
            let entered = prices["entered"].as_array().expect("a list");
            let entered: Vec<_> = entered.iter().map(|one| one["input_micros"].as_u64()).collect();
            assert_eq!(entered, self.price.map(Some).into_iter().collect::<Vec<_>>());
            if self.days != 0 {
                assert_eq!(api.get("/api/v1/audit/retention").await["days"], self.days);
            }
            let consumers = api.list("/api/v1/consumers").await;
            let state = consumers[0]["state"].as_str().unwrap_or_default();
            assert_eq!(state == "paused", self.is_paused, "{consumers:?}");
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            let act = |word: &str| Ask::post(format!("/api/v1/consumers/{DAYS}/{word}"), json!({}));
            if self.is_paused {
                api.made(act("resume"), "crash-last-resume").await;
            }
            for letter in api.list(&format!("/api/v1/consumers/{DAYS}/dead-letters")).await {
                let path = format!("/api/v1/dead-letters/{DAYS}/{}/retry", letter["seq"]);
                api.made(Ask::post(path, json!({})).again(Again::Harmless), "").await;
            }
            if self.lacks {
                api.made(act("rebuild"), "crash-last-rebuild").await;
            }
            let (days, runs) = Self::sums(api).await;
            assert_eq!(days, runs, "calls and their cost, by day and by run");
            assert!(0 < runs.0 && 0 < runs.1, "calls that cost something: {runs:?}");
        }
        .boxed()
    }
}
