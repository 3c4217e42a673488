//! Backups under load: create, check, trial restore, prune, refuse.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, PATIENCE, Tally};
use super::dice::Dice;

const KINDS: &[&str] =
    &["settings of backups", "backups", "checks", "drills", "tidyings", "refused checks"];

pub struct Backups {
    place: String,
    /// Acknowledged backups that were not pruned.
    made: Vec<String>,
    doing: Option<&'static str>,
    /// The running operation and its run.
    running: Option<(&'static str, String)>,
    tally: Tally,
}

impl Backups {
    pub fn new(beside: &Path) -> Self {
        let place = beside.join("backups").to_str().expect("a path of plain letters").to_owned();
        Self { place, made: Vec::new(), doing: None, running: None, tally: Tally::default() }
    }

    fn begin(deed: &str) -> Ask {
        // 409 while another operation is running, even an interrupted one.
        let ask = Ask::post("/api/v1/backups", json!({ "deed": deed }));
        ask.again(Again::Harmless).or(&[409])
    }

    fn ended(&mut self, kind: &'static str, answer: &Answer) {
        let (outcome, backup) = (answer.word("outcome"), answer.json["backup"].as_str());
        // The kill may have interrupted it.
        let cut = answer.text.contains("stopped in the middle");
        assert_eq!(outcome == "done", kind != "refused checks" && !cut, "{kind}: {}", answer.text);
        if outcome == "done" {
            match kind {
                "backups" => self.made.push(backup.expect("its name").to_owned()),
                // Only the newest of a day is kept.
                "tidyings" => self.made.drain(..self.made.len().saturating_sub(1)).for_each(drop),
                _ => {}
            }
        }
        if !cut {
            self.tally.count(kind);
        }
    }
}

impl Desk for Backups {
    fn name(&self) -> &'static str {
        "backups"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, _name: &str) -> Ask {
        if let Some((_, run)) = &self.running {
            self.doing = None;
            return Ask::get(format!("/api/v1/backups/runs/{run}"));
        }
        let mut possible = vec!["settings of backups"];
        if 0 < self.tally.of("settings of backups") {
            possible.extend(["backups", "backups", "backups"]);
        }
        if !self.made.is_empty() {
            possible.extend(["checks", "drills", "tidyings", "refused checks"]);
        }
        let kind = self.tally.choose(dice, &possible);
        self.doing = Some(kind);
        match kind {
            "settings of backups" => {
                let body = json!({
                    "schedule": "off", "time": "03:30", "zone": null, "target": self.place,
                    "reach": "private", "daily": 7, "weekly": 4, "monthly": 6,
                    "encryption": "off", "passphrase": "a boat behind the dune at dawn",
                });
                Ask::put("/api/v1/backups/settings", body)
            }
            "backups" => Self::begin("backup"),
            "checks" => Self::begin("verify"),
            "drills" => Self::begin("drill"),
            "tidyings" => Self::begin("prune"),
            _ => {
                let body = json!({ "deed": "verify", "backup": "20200101T000000Z-none" });
                Ask::post("/api/v1/backups", body).again(Again::Harmless).or(&[404, 409, 422])
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        match self.doing.take() {
            Some("settings of backups") => self.tally.count("settings of backups"),
            Some(kind) => {
                if answer.status == 202 {
                    self.running = Some((kind, answer.word("id")));
                }
            }
            None if answer.word("outcome") == "running" => {}
            None => {
                let (kind, _) = self.running.take().expect("one went on");
                self.ended(kind, answer);
            }
        }
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async move {
            let kept = api.list("/api/v1/backups").await;
            for made in &self.made {
                let found = kept.iter().find(|one| one["id"] == made.as_str());
                let found = found.unwrap_or_else(|| panic!("no backup {made} in {kept:?}"));
                assert!(found["fault"].is_null(), "{found}");
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let checked = async {
                // An operation that is still running ends first.
                loop {
                    tick.tick().await;
                    let began = api.ask(&Self::begin("verify")).await;
                    if began.status == 202 {
                        break began.word("id");
                    }
                }
            };
            let run = tokio::time::timeout(PATIENCE, checked).await.expect("nothing is at work");
            let ended = async {
                let mut tick = tokio::time::interval(Duration::from_millis(50));
                loop {
                    tick.tick().await;
                    let run = api.get(&format!("/api/v1/backups/runs/{run}")).await;
                    if run["outcome"] != "running" {
                        return run;
                    }
                }
            };
            let run = tokio::time::timeout(PATIENCE, ended).await.expect("a check ends");
            assert_eq!(run["outcome"], "done", "the newest backup is whole: {run}");
            self.check(api, usize::MAX).await;
        }
        .boxed()
    }
}
