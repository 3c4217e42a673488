//! Load: holds and their release. Pauses of all work or one agent, used up and raised budgets, answered questions,
//! compacted conversations, queueing of messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::chats::{self, times_said};
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;

/// The agent whose work is held.
pub const AGENT: &str = "Iris";

const KINDS: &[&str] = &[
    "remarks",
    "questions",
    "looks at questions",
    "answers",
    "summaries",
    "pauses",
    "ends of pauses",
    "rests of the agent",
    "ends of its rest",
    "tight budgets",
    "remarks that wait",
    "looks at waits",
    "wide budgets",
    "budgets that warn",
    "removed budgets",
    "choices of the queue",
    "forks",
    "limits of sub-agents",
    "rules of conversations",
    "paces",
    "limits of runs",
];

/// Long enough for a compaction.
const PADDING: &str = " We spoke of vans, of what they cost, and of who drives them. ";

/// A message and the run that reads it.
struct Said {
    phrase: String,
    message: String,
    session: String,
    run: String,
}

/// State of a question.
enum Asks {
    Nothing,
    /// The agent was told to ask: with the message, and the run that has read it.
    Told {
        name: String,
        message: String,
        run: Option<String>,
    },
    /// The run that had read it ended otherwise: killed repeatedly, or interrupted.
    Missed(String),
    /// The same, and it does not continue: the next run reads the message again.
    Lost(String),
    /// The question is open, in this run.
    Open(String, String),
}

pub struct Holds {
    said: Vec<Said>,
    asks: Asks,
    answered: Vec<String>,
    /// Runs that repeat others, and which.
    forks: Vec<(String, String)>,
    all_paused: bool,
    agent_paused: bool,
    /// Token limits per day and in total.
    day: Option<u64>,
    total: Option<u64>,
    is_tight: bool,
    /// A message must wait for the budget.
    must_wait: bool,
    cap: Option<u64>,
    /// Limit of concurrent sub-agents.
    live: Option<u64>,
    /// Retention of steps in days.
    steps: Option<u64>,
    /// Limit of items per hour.
    per_hour: Option<u64>,
    /// Limit of model calls per run.
    calls: Option<u64>,
    doing: Option<(&'static str, String)>,
    tally: Tally,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            said: Vec::new(),
            asks: Asks::Nothing,
            answered: Vec::new(),
            forks: Vec::new(),
            all_paused: false,
            agent_paused: false,
            day: None,
            total: None,
            is_tight: false,
            must_wait: false,
            cap: None,
            live: None,
            steps: None,
            per_hour: None,
            calls: None,
            doing: None,
            tally: Tally::default(),
        }
    }
}

fn path(rest: &str) -> String {
    format!("{}/{}/{rest}", wire::AGENTS, AGENT.to_lowercase())
}

fn budget(period: &str) -> String {
    format!("/api/v1/budgets/agent:{}/{period}", AGENT.to_lowercase())
}

impl Holds {
    fn possible(&self) -> Vec<&'static str> {
        // Other desks wait for this, too.
        if self.all_paused {
            return vec!["ends of pauses", "choices of the queue"];
        }
        if self.agent_paused {
            return vec!["ends of its rest", "ends of its rest", "choices of the queue", "pauses"];
        }
        if self.must_wait {
            return vec!["looks at waits"];
        }
        let mut possible =
            vec!["choices of the queue", "limits of sub-agents", "pauses", "rests of the agent"];
        possible.extend(["rules of conversations", "paces", "limits of runs"]);
        match &self.asks {
            // A message to an asking agent counts as the answer.
            Asks::Nothing if !self.is_tight => {
                possible.extend([
                    "remarks",
                    "remarks",
                    "remarks",
                    "questions",
                    "budgets that warn",
                ]);
            }
            Asks::Nothing => possible.push("remarks that wait"),
            Asks::Told { run, .. } if !self.is_tight => {
                possible.extend(["looks at questions", "looks at questions"]);
                possible.push(if run.is_some() { "looks at readers" } else { "looks at messages" });
            }
            Asks::Missed(_) if !self.is_tight => {
                possible.extend(["looks at questions", "looks at conversations"]);
            }
            Asks::Lost(_) if !self.is_tight => possible.extend(["remarks", "remarks"]),
            Asks::Told { .. } | Asks::Missed(_) | Asks::Lost(_) => {}
            Asks::Open(..) => possible.extend(["answers", "answers"]),
        }
        match self.is_tight {
            true => possible.extend(["wide budgets", "removed budgets"]),
            false => possible.push("tight budgets"),
        }
        if !self.said.is_empty() {
            possible.push("summaries");
        }
        if self.remark().is_some() {
            possible.push("forks");
        }
        possible
    }

    /// The run of the last remark, which asks nothing, so that its repetition asks nothing either.
    fn remark(&self) -> Option<&str> {
        let hears = chats::phrase("hear", "");
        let hears = hears.trim_end_matches(|c: char| !c.is_alphanumeric());
        let last = self.said.iter().rfind(|said| said.phrase.starts_with(hears));
        last.map(|said| said.run.as_str())
    }

    fn question(name: &str) -> String {
        format!("Which of {name}?")
    }

    /// Releases everything that was held and waits until it has ended.
    async fn rest(&mut self, api: &Api<'_>) {
        let ends = [
            Ask::post("/api/v1/resume", json!({})).again(Again::Harmless),
            Ask::post(path("resume"), json!({})).again(Again::Harmless),
            Ask::delete(budget("day")).again(Again::Harmless),
        ];
        for ask in ends {
            api.made(ask, "").await;
        }
        let rest = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                for asked in api.list("/api/v1/questions").await {
                    let run = asked["run"].as_str().expect("the name of a run");
                    // A question that seemed lost may be asked after all.
                    let text = asked["question"].as_str().expect("a question");
                    let name = text.strip_prefix("Which of ").and_then(|q| q.strip_suffix('?'));
                    let name = name.unwrap_or_else(|| panic!("nobody told it to ask: {asked}"));
                    let phrase = chats::phrase("ask", name);
                    assert!(self.said.iter().any(|said| said.phrase == phrase), "{asked}");
                    let ask =
                        Ask::post(format!("/api/v1/runs/{run}/answer"), json!({ "text": name }));
                    api.made(ask.again(Again::Harmless), "").await;
                    self.answered.push(name.to_owned());
                    self.asks = Asks::Nothing;
                }
                let runs = self.runs(api).await;
                if runs.iter().all(|run| run["state"] == "ended") && !self.waits(api).await {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            let live: Vec<_> =
                self.runs(api).await.into_iter().filter(|run| run["state"] != "ended").collect();
            panic!("runs that do not end, or messages that nobody reads: {live:#?}");
        }
    }

    fn sessions(&self) -> BTreeSet<&str> {
        self.said.iter().map(|said| said.session.as_str()).collect()
    }

    /// Whether a message is unread: its run may be about to start.
    async fn waits(&self, api: &Api<'_>) -> bool {
        for session in self.sessions() {
            if chats::has_unread(&api.get(&format!("/api/v1/sessions/{session}")).await) {
                return true;
            }
        }
        false
    }

    async fn runs(&self, api: &Api<'_>) -> Vec<Value> {
        api.items(&format!("/api/v1/runs?agent={}", AGENT.to_lowercase())).await
    }

    /// Every answer has reached its question once.
    async fn answers(&self, api: &Api<'_>) {
        let mut results = Vec::new();
        for session in self.sessions() {
            let events = api.items(&format!("/api/v1/sessions/{session}/events")).await;
            let asked =
                |event: &&Value| event["kind"] == "tool_finished" && event["name"] == "ask_person";
            results.extend(events.iter().filter(asked).map(Value::to_string));
            let now = api.get(&format!("/api/v1/sessions/{session}")).await;
            assert_eq!(now["compaction_asked"], false, "a summary that nobody writes: {now}");
        }
        for name in &self.answered {
            let answer = format!("answered: {name}\"");
            let times = results.iter().filter(|result| result.contains(&answer)).count();
            assert_eq!(times, 1, "the answer {name}: {results:?}");
        }
    }

    /// The total token budget equals the usage of its calls. Reservations of killed calls stay for a while: they may
    /// have been billed.
    async fn tokens(&self, api: &Api<'_>) {
        if self.total.is_none() {
            return;
        }
        let mut used = 0;
        for run in self.runs(api).await {
            let name = run["name"].as_str().expect("a name");
            let usage = api.get(&format!("/api/v1/usage/runs/{name}")).await;
            for call in usage["calls"].as_array().into_iter().flatten() {
                let words = ["input", "cache_read", "cache_write", "output"];
                used += words.iter().filter_map(|word| call[word].as_u64()).sum::<u64>();
            }
        }
        let counted = api.get(&budget("total")).await;
        assert_eq!(counted["spent_tokens"], used, "{counted}");
    }
}

impl Desk for Holds {
    fn name(&self) -> &'static str {
        "holds"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }
    fn holds_others(&self) -> bool {
        self.all_paused
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let how = *dice.one(&["now", "after_step"]);
        let wide = 1_000_000_000 + dice.below(1_000_000);
        let ask = match kind {
            "remarks" | "remarks that wait" | "questions" => {
                let verb = if kind == "questions" { "ask" } else { "hear" };
                let text = format!("{}{}", chats::phrase(verb, name), PADDING.repeat(8));
                Ask::post(path("messages"), json!({ "text": text })).or(&[429])
            }
            "looks at questions" => Ask::get("/api/v1/questions"),
            "looks at messages" | "looks at readers" => {
                let Asks::Told { message, run, .. } = &self.asks else {
                    unreachable!("one is told")
                };
                match run {
                    None => Ask::get(format!("/api/v1/messages/{message}")),
                    Some(run) => Ask::get(format!("/api/v1/runs/{run}")),
                }
            }
            "looks at conversations" => {
                let session = &self.said.last().expect("something was said").session;
                Ask::get(format!("/api/v1/sessions/{session}"))
            }
            "answers" => {
                let Asks::Open(asked, run) = &self.asks else { unreachable!("one is open") };
                Ask::post(format!("/api/v1/runs/{run}/answer"), json!({ "text": asked }))
            }
            "summaries" => {
                let session = &self.said.last().expect("something was said").session;
                let body = json!({ "focus": "" });
                // Possibly no message was read yet.
                Ask::post(format!("/api/v1/sessions/{session}/compact"), body).or(&[409])
            }
            // It may not have started.
            "forks" => {
                let run = self.remark().expect("something was said");
                Ask::post(format!("/api/v1/runs/{run}/fork"), json!({})).or(&[409])
            }
            // Not `now`: a tool's pending effect for others would be skipped.
            "pauses" => Ask::post("/api/v1/pause", json!({ "how": "after_step" })),
            "ends of pauses" => Ask::post("/api/v1/resume", json!({})),
            "rests of the agent" => Ask::post(path("halt"), json!({ "how": how })),
            "ends of its rest" => Ask::post(path("resume"), json!({})),
            "tight budgets" => {
                Ask::put(budget("day"), json!({ "limit_tokens": 1 + dice.below(1_000) }))
            }
            "wide budgets" => Ask::put(budget("day"), json!({ "limit_tokens": wide })),
            "removed budgets" => Ask::delete(budget("day")),
            "looks at waits" => Ask::get(budget("day")),
            "budgets that warn" => {
                let limit = 10 + dice.below(1_000);
                let body = json!({ "limit_tokens": limit, "soft_pct": 1, "hard": false });
                Ask::put(budget("total"), body)
            }
            "limits of sub-agents" => {
                Ask::put("/api/v1/subagent-limits", json!({ "live": 1 + dice.below(20) }))
            }
            "rules of conversations" => {
                let body = json!({ "steps_days": 100 + dice.below(1_000) });
                Ask::put("/api/v1/conversation-rules", body)
            }
            "paces" => Ask::put(path("pace"), json!({ "per_hour": 100 + dice.below(900) })),
            "limits of runs" => {
                Ask::put(path("run-limits"), json!({ "calls": 1_000 + dice.below(9_000) }))
            }
            _ => {
                let mode = dice.one(&["steer", "followup", "collect"]);
                let body = json!({ "mode": mode, "debounce_ms": 0, "cap": 100 + dice.below(100) });
                Ask::put(path("queue"), body)
            }
        };
        self.doing = Some((kind, name.to_owned()));
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, name) = self.doing.take().expect("something was asked for");
        let json = &answer.json;
        let limit = || json["limit_tokens"].as_u64();
        match kind {
            "remarks" | "remarks that wait" | "questions" => {
                if answer.status == 429 {
                    return;
                }
                let verb = if kind == "questions" { "ask" } else { "hear" };
                self.said.push(Said {
                    phrase: chats::phrase(verb, &name),
                    message: answer.word("message"),
                    session: answer.word("session"),
                    run: answer.word("run"),
                });
                self.must_wait = kind == "remarks that wait";
                let message = answer.word("message");
                self.asks = match std::mem::replace(&mut self.asks, Asks::Nothing) {
                    _ if kind == "questions" => Asks::Told { name, message, run: None },
                    Asks::Lost(name) => Asks::Told { name, message, run: None },
                    as_before => as_before,
                };
            }
            "looks at questions" => {
                let (Asks::Told { name, .. } | Asks::Missed(name)) = &self.asks else {
                    unreachable!("one was told")
                };
                let question = Self::question(name);
                let mut items = json["items"].as_array().into_iter().flatten();
                let found = items.find(|item| item["question"] == question.as_str());
                let Some(run) = found.and_then(|item| item["run"].as_str()) else { return };
                self.asks = Asks::Open(name.clone(), run.to_owned());
            }
            "looks at messages" => {
                let Asks::Told { run, .. } = &mut self.asks else { unreachable!("one was told") };
                match json["state"].as_str() {
                    Some("read") => *run = Some(answer.word("run")),
                    Some("waiting") => return,
                    // The message is not read any more.
                    _ => self.asks = Asks::Nothing,
                }
            }
            "looks at readers" => {
                let Asks::Told { name, .. } = &self.asks else { unreachable!("one was told") };
                match (json["state"].as_str(), json["outcome"]["word"].as_str()) {
                    (Some("ended"), Some("done")) => self.asks = Asks::Nothing,
                    (Some("ended"), _) => self.asks = Asks::Missed(name.clone()),
                    _ => return,
                }
            }
            "looks at conversations" => {
                let Asks::Missed(name) = &self.asks else { unreachable!("one was missed") };
                let waits = json["waiting"].as_array().is_none_or(|all| !all.is_empty());
                if waits || !json["active_run"].is_null() {
                    return;
                }
                self.asks = Asks::Lost(name.clone());
            }
            "answers" => {
                let Asks::Open(name, _) = std::mem::replace(&mut self.asks, Asks::Nothing) else {
                    unreachable!("one is open")
                };
                self.answered.push(name);
            }
            // A compaction by a running run is not the requested one.
            "summaries" if self.said.iter().any(|said| json["run"] == said.run.as_str()) => return,
            "summaries" | "forks" if answer.status == 409 => return,
            "forks" => self.forks.push((answer.word("name"), answer.word("of"))),
            "pauses" | "ends of pauses" => {
                self.all_paused = kind == "pauses";
                assert_eq!(json["paused"], self.all_paused, "{}", answer.text);
            }
            "rests of the agent" | "ends of its rest" => {
                self.agent_paused = kind == "rests of the agent";
            }
            "tight budgets" => (self.day, self.is_tight) = (limit(), true),
            "wide budgets" => (self.day, self.is_tight) = (limit(), false),
            "removed budgets" => (self.day, self.is_tight) = (None, false),
            "looks at waits" => {
                if json["waiting"].as_u64() == Some(0) {
                    return;
                }
                self.must_wait = false;
            }
            "budgets that warn" => self.total = limit(),
            "choices of the queue" => self.cap = json["cap"].as_u64(),
            "limits of sub-agents" => self.live = json["live"].as_u64(),
            "rules of conversations" => self.steps = json["steps_days"].as_u64(),
            "paces" => self.per_hour = json["per_hour"].as_u64(),
            "limits of runs" => self.calls = json["calls"].as_u64(),
            _ => {}
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            assert_eq!(api.get("/api/v1/pause").await["paused"], self.all_paused);
            let agent = api.get(path("").trim_end_matches('/')).await;
            assert_eq!(agent["status"] == "paused", self.agent_paused, "{agent}");
            for (period, limit) in [("day", self.day), ("total", self.total)] {
                let found = api.ask(&Ask::get(budget(period))).await;
                assert_eq!(found.json["limit_tokens"].as_u64(), limit, "{}", found.text);
                assert_eq!(found.status == 404, limit.is_none(), "{}", found.text);
            }
            if self.cap.is_some() {
                assert_eq!(api.get(&path("queue")).await["cap"].as_u64(), self.cap);
            }
            if self.live.is_some() {
                let limits = api.get("/api/v1/subagent-limits").await;
                assert_eq!(limits["live"].as_u64(), self.live);
            }
            if self.steps.is_some() {
                let rules = api.get("/api/v1/conversation-rules").await;
                assert_eq!(rules["steps_days"].as_u64(), self.steps);
            }
            if self.per_hour.is_some() {
                assert_eq!(api.get(&path("pace")).await["per_hour"].as_u64(), self.per_hour);
            }
            if self.calls.is_some() {
                assert_eq!(api.get(&path("run-limits")).await["calls"].as_u64(), self.calls);
            }
            for (fork, of) in self.forks.iter().rev().take(latest.min(10)) {
                let run = api.get(&format!("/api/v1/runs/{fork}")).await;
                assert_eq!(run["again_of"]["name"], of.as_str(), "{run}");
            }
            for said in self.said.iter().rev().take(latest.min(10)) {
                let run = api.get(&format!("/api/v1/runs/{}", said.run)).await;
                assert_eq!(run["id"], said.run.as_str());
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            self.rest(api).await;
            let said = self.said.iter();
            let said: Vec<_> =
                said.map(|said| (said.session.as_str(), said.phrase.as_str())).collect();
            let times: BTreeMap<_, _> = times_said(api, &said).await;
            for Said { phrase, message, .. } in &self.said {
                let read = times.get(phrase).copied().unwrap_or(0);
                let right = read == 1 || (read == 0 && chats::closed(api, message).await);
                assert!(right, "`{phrase}` was read {read} times");
            }
            self.answers(api).await;
            self.tokens(api).await;
        }
        .boxed()
    }
}
