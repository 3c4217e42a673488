//! Load: workspaces. Create, work, archive, mark for deletion, restore, move.

use std::path::PathBuf;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use support::wire;

use super::api::{Again, Answer, Api, Ask, Door};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Maximum number of workspaces besides the first.
const MOST: usize = 4;
const KINDS: &[&str] = &[
    "workspaces",
    "tasks there",
    "archived workspaces",
    "deleted workspaces",
    "restored workspaces",
    "moved workspaces",
];

struct Known {
    name: String,
    slug: String,
    tasks: Vec<(String, String)>,
    is_active: bool,
}

pub struct Workspaces {
    beside: PathBuf,
    known: Vec<Known>,
    doing: Option<(&'static str, usize, String)>,
    tally: Tally,
}

impl Workspaces {
    pub fn new(beside: PathBuf) -> Self {
        Self { beside, known: Vec::new(), doing: None, tally: Tally::default() }
    }

    fn place(&self, slug: &str) -> PathBuf {
        self.beside.join(slug)
    }
}

fn slug_of(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// Whether a workspace with this slug exists.
async fn is_there(api: &Api<'_>, slug: &str) -> bool {
    let answer = api.ask(&Ask::get(format!("/w/{slug}/tasks")).by(Door::Owner)).await;
    assert!(matches!(answer.status, 200 | 404), "/w/{slug}/tasks answers {}", answer.status);
    answer.status == 200
}

impl Desk for Workspaces {
    fn name(&self) -> &'static str {
        "workspaces"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let fits = |kind: &str, known: &Known| match kind {
            "restored workspaces" => !known.is_active,
            "moved workspaces" => known.tasks.len() > 2,
            _ => known.is_active,
        };
        let may = |kind: &&&str| self.known.iter().any(|known| fits(kind, known));
        let mut possible: Vec<&str> = KINDS[1..].iter().filter(may).copied().collect();
        if self.known.len() < MOST {
            possible.push("workspaces");
        }
        let kind = self.tally.choose(dice, &possible);
        if kind == "workspaces" {
            let name = format!("Branch {name}");
            self.doing = Some((kind, 0, name.clone()));
            let fields = [("workspace", name.as_str()), ("emoji", "🏢"), ("zone", "UTC")];
            return Ask::form("/workspaces/new", &fields).again(Again::Look);
        }
        let at = dice.place(&self.known, |known| fits(kind, known)).expect("seen just now");
        self.doing = Some((kind, at, format!("task {name}")));
        let known = &self.known[at];
        let settings = format!("/w/{}/settings", known.slug);
        match kind {
            "tasks there" => Ask::post(wire::TASKS, wire::task(&format!("task {name}"), None))
                .within(&known.slug),
            "archived workspaces" => Ask::form(format!("{settings}/archive"), &[]),
            "deleted workspaces" => {
                Ask::form(format!("{settings}/delete"), &[("typed", &known.name)])
            }
            "restored workspaces" => Ask::form(format!("{settings}/restore"), &[]),
            _ => {
                let place = self.place(&known.slug);
                let place = place.to_str().expect("a path of plain letters");
                Ask::command(&["workspace", "move", &known.slug, place])
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, at, name) = self.doing.take().expect("something was asked for");
        match kind {
            "workspaces" => {
                let slug = slug_of(&name);
                self.known.push(Known { name, slug, tasks: Vec::new(), is_active: true });
            }
            "tasks there" => self.known[at].tasks.push((answer.word("id"), name)),
            "moved workspaces" => {
                let gone = self.known.remove(at);
                let file = self.place(&gone.slug).join("hq.redb");
                assert!(file.is_file(), "{} was moved", gone.slug);
            }
            kind => self.known[at].is_active = kind == "restored workspaces",
        }
        self.tally.count(kind);
    }

    fn look<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, Option<Answer>> {
        async move {
            let (kind, at, name) = self.doing.clone().expect("something was asked for");
            let slug = match kind {
                "workspaces" => slug_of(&name),
                _ => self.known[at].slug.clone(),
            };
            let (here, there) = (is_there(api, &slug).await, self.place(&slug).exists());
            let happened = match kind {
                "workspaces" => here,
                _ => there,
            };
            assert!(!(here && there), "{slug} is here and there");
            happened.then(Answer::default)
        }
        .boxed()
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in &self.known {
                assert!(is_there(api, &known.slug).await, "{}", known.slug);
                for (id, title) in known.tasks.iter().rev().take(latest.min(20)) {
                    let ask = Ask::get(format!("{}/{id}", wire::TASKS)).within(&known.slug);
                    let task = api.ask(&ask).await.json;
                    assert_eq!(task["title"], title.as_str(), "in {}", known.slug);
                }
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            for known in &self.known {
                let list = Ask::get(format!("{}?limit=100", wire::TASKS)).within(&known.slug);
                let listed = api.ask(&list).await.json["items"].as_array().map_or(0, Vec::len);
                assert_eq!(listed, known.tasks.len().min(100), "tasks in {}", known.slug);
            }
            let all = api.ask(&Ask::command(&["workspace", "list", "--json"])).await;
            let all: Vec<Value> = serde_json::from_str(&all.text).expect("a list in JSON");
            let broken: Vec<_> = all.iter().filter(|one| !one["broken"].is_null()).collect();
            assert_eq!((all.len(), broken.len()), (self.known.len() + 1, 0), "{all:?}");
        }
        .boxed()
    }
}
