//! Load: reassignment of much work between two members, in several slices; their accounts are disabled and enabled.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask, Door};
use super::desk::{Desk, Tally};
use super::dice::Dice;
use super::people;

/// More tasks than fit in one transaction.
const MUCH: usize = 510;
/// Number of other actions between two handovers, because a handover writes much.
const BETWEEN: usize = 60;
const KINDS: &[&str] = &["tasks of people", "handovers", "closed accounts", "opened accounts"];

#[derive(Default)]
struct Heir {
    account: String,
    is_shut: bool,
}

#[derive(Default)]
pub struct Heirs {
    two: [Heir; 2],
    /// Each task, with its assignee.
    tasks: BTreeMap<String, usize>,
    /// Number of actions since the last handover.
    since: usize,
    doing: Option<(&'static str, usize)>,
    tally: Tally,
}

impl Heirs {
    /// Two people join, and the first gets many tasks. The program is not killed meanwhile.
    pub async fn new(api: &Api<'_>) -> Self {
        let mut heirs = Self::default();
        for (n, heir) in heirs.two.iter_mut().enumerate() {
            let email = format!("heir-{n}@marlow.example");
            let body = json!({ "role": "member", "email": email });
            let made = api.made(Ask::post("/api/v1/invites", body).again(Again::Look), "").await;
            let link = made.word("link");
            let joined = api.ask(&people::join(people::in_link(&link), &email)).await;
            assert_eq!(joined.status, 303, "{}", joined.text);
            let members = api.list("/api/v1/members").await;
            let own = members.iter().find(|member| member["email"] == email.as_str());
            let account = own.and_then(|member| member["account"].as_str());
            heir.account = account.expect("a member").to_owned();
        }
        let keys: Vec<String> = (0..MUCH).map(|n| format!("heirs-much-{n}")).collect();
        for some in keys.chunks(64) {
            let tasks = some.iter().map(|key| api.made(heirs.task(0, key), key));
            for made in join_all(tasks).await {
                heirs.tasks.insert(made.word("id"), 0);
            }
        }
        heirs
    }

    fn task(&self, of: usize, name: &str) -> Ask {
        Ask::post(wire::TASKS, wire::task(&format!("task {name}"), Some(&self.two[of].account)))
    }

    fn count(&self, of: usize) -> usize {
        self.tasks.values().filter(|has| **has == of).count()
    }

    /// Whether the action is possible with this person.
    fn may(&self, kind: &str, of: usize) -> bool {
        match kind {
            "handovers" => 0 < self.count(of) && !self.two[1 - of].is_shut && BETWEEN <= self.since,
            "opened accounts" => self.two[of].is_shut,
            _ => !self.two[of].is_shut,
        }
    }
}

impl Desk for Heirs {
    fn name(&self) -> &'static str {
        "heirs"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let may = |kind: &&&str| (0..2).any(|of| self.may(kind, of));
        let possible: Vec<&str> = KINDS.iter().filter(may).copied().collect();
        // The first handover is not left to chance: it is to run in several batches.
        let kind = match possible.contains(&"handovers") {
            true => "handovers",
            false => self.tally.choose(dice, &possible),
        };
        let of = dice.place(&[0, 1], |of| self.may(kind, *of)).expect("seen just now");
        self.doing = Some((kind, of));
        let [from, to] = [&self.two[of].account, &self.two[1 - of].account];
        let member = format!("/api/v1/members/{from}");
        let ask = match kind {
            "tasks of people" => return self.task(of, name),
            "handovers" => Ask::post(format!("{member}/handover?to={to}"), json!({})),
            "closed accounts" => Ask::post(format!("{member}/disable"), json!({})).by(Door::Owner),
            _ => Ask::post(format!("{member}/enable"), json!({})).by(Door::Owner),
        };
        ask.again(Again::Harmless)
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, of) = self.doing.take().expect("something was asked for");
        self.since += 1;
        match kind {
            "tasks of people" => {
                self.tasks.insert(answer.word("id"), of);
            }
            "handovers" => {
                assert_eq!(answer.json["tasks"], 0, "{}", answer.text);
                self.tasks.values_mut().for_each(|has| *has = 1 - of);
                self.since = 0;
            }
            kind => {
                self.two[of].is_shut = kind == "closed accounts";
                assert_eq!(!answer.json["disabled_at"].is_null(), self.two[of].is_shut);
            }
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for (of, heir) in self.two.iter().enumerate() {
                let load = api.get(&format!("/api/v1/members/{}/load", heir.account)).await;
                assert_eq!(load["tasks"], self.count(of), "{load}");
                let other = &self.two[1 - of];
                let heirs = load["heirs"].as_array().expect("a list");
                let listed = heirs.iter().any(|one| one["account"] == other.account.as_str());
                assert_eq!(listed, !other.is_shut, "who could take over: {load}");
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            for (of, heir) in self.two.iter().enumerate() {
                let tasks = api.items(&format!("{}?assignee={}", wire::TASKS, heir.account)).await;
                let found = tasks.iter().filter_map(|task| task["id"].as_str());
                let mut found: Vec<&str> = found.collect();
                found.sort_unstable();
                let own = self.tasks.iter().filter(|(_, has)| **has == of);
                let mut own: Vec<&str> = own.map(|(id, _)| id.as_str()).collect();
                own.sort_unstable();
                assert_eq!(found, own, "the tasks of {}", heir.account);
                let of_it = |task: &Value| task["assignee"]["id"] == heir.account.as_str();
                assert!(tasks.iter().all(of_it), "{tasks:?}");
            }
        }
        .boxed()
    }
}
