//! Load: reusable records. Views, task templates and their application, and the rule for overdue tasks.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Prefix of the titles of its tasks: a template always uses the same titles.
pub const TITLE: &str = "of a template";

const VIEWS: &str = "/api/v1/views";
const TEMPLATES: &str = "/api/v1/task-templates";
const RULES: &str = "/api/v1/settings/tasks";
/// Maximum number of views and of templates at once.
const MOST: usize = 20;
const KINDS: &[&str] = &[
    "views",
    "changed views",
    "deleted views",
    "templates",
    "changed templates",
    "deleted templates",
    "spawned templates",
    "rules for tasks",
];

/// A view or a template.
struct Kept {
    id: String,
    name: String,
    /// Query of a view, description of a template.
    words: String,
    gone: bool,
}

/// A template from which tasks were created.
struct Spawned {
    /// Titles and ids, in order.
    tasks: Vec<(String, String)>,
}

#[derive(Default)]
pub struct Plans {
    views: Vec<Kept>,
    templates: Vec<Kept>,
    /// Titles of each template's tasks.
    titles: Vec<Vec<String>>,
    spawned: Vec<Spawned>,
    days: Option<u64>,
    doing: Option<(&'static str, usize, String)>,
    tally: Tally,
}

fn open(kept: &[Kept]) -> usize {
    kept.iter().filter(|one| !one.gone).count()
}

impl Plans {
    fn possible(&self) -> Vec<&'static str> {
        let mut possible = vec!["rules for tasks"];
        let (views, templates) = (open(&self.views), open(&self.templates));
        if views < MOST {
            possible.push("views");
        }
        if templates < MOST {
            possible.push("templates");
        }
        if 0 < views {
            possible.extend(["changed views", "changed views"]);
        }
        if 0 < templates {
            possible.extend(["changed templates", "spawned templates", "spawned templates"]);
        }
        if 3 < views {
            possible.push("deleted views");
        }
        if 3 < templates {
            possible.push("deleted templates");
        }
        possible
    }

    fn titles(name: &str) -> Vec<String> {
        ["one", "two", "three"].map(|which| format!("{TITLE} {name} {which}")).to_vec()
    }

    async fn check_kept(&self, api: &Api<'_>, latest: usize) {
        let all = [(VIEWS, &self.views), (TEMPLATES, &self.templates)];
        for (path, kept) in all {
            for one in kept.iter().rev().take(latest) {
                let found = api.ask(&Ask::get(format!("{path}/{}", one.id))).await;
                assert_eq!(found.status, if one.gone { 404 } else { 200 }, "{}", found.text);
                if one.gone {
                    continue;
                }
                assert_eq!(found.json["name"], one.name.as_str(), "{}", found.text);
                let json = &found.json;
                let words = if path == VIEWS { &json["look"]["q"] } else { &json["description"] };
                assert_eq!(*words, one.words.as_str(), "{}", found.text);
            }
        }
    }

    async fn check_spawned(&self, api: &Api<'_>, latest: usize) {
        for Spawned { tasks } in self.spawned.iter().rev().take(latest) {
            for (n, (title, id)) in tasks.iter().enumerate() {
                let task = api.get(&format!("{}/{id}", wire::TASKS)).await;
                assert_eq!(task["title"], title.as_str(), "{task}");
                // Each task waits for the one before it.
                let waits = task["blocked_by"].as_array().map(Vec::len);
                assert_eq!(waits, Some(usize::from(0 < n)), "{task}");
                assert_eq!(task["labels"], json!([TITLE]), "{task}");
            }
        }
    }
}

impl Desk for Plans {
    fn name(&self) -> &'static str {
        "plans"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let kept = if kind.ends_with("views") { &self.views } else { &self.templates };
        let at = dice.place(kept, |one| !one.gone).unwrap_or(0);
        let id = kept.get(at).map_or("", |one| one.id.as_str());
        self.doing = Some((kind, at, name.to_owned()));
        let query = format!("is:open {name}");
        match kind {
            "views" => {
                let body = json!({ "name": format!("view {name}"), "look": { "q": query } });
                Ask::post(VIEWS, body)
            }
            "changed views" => {
                let body = json!({ "name": format!("view {name}"), "look": { "q": query } });
                Ask::patch(format!("{VIEWS}/{id}"), body)
            }
            "deleted views" => Ask::delete(format!("{VIEWS}/{id}")),
            "templates" => {
                let titles = Self::titles(name);
                let item = |n: usize, waits: Value| json!({ "title": titles[n], "labels": [TITLE], "blocked_by": waits });
                let items = [item(0, json!([])), item(1, json!(["1"])), item(2, json!(["2"]))];
                let body = json!({
                    "name": format!("template {name}"), "description": name, "items": items,
                });
                Ask::post(TEMPLATES, body)
            }
            "changed templates" => {
                let body = json!({ "name": format!("template {name}"), "description": name });
                Ask::patch(format!("{TEMPLATES}/{id}"), body)
            }
            // 404 if it was already deleted.
            "deleted templates" => {
                let ask = Ask::delete(format!("{TEMPLATES}/{id}"));
                ask.again(Again::Harmless).or(&[404])
            }
            "spawned templates" => Ask::post(format!("{TEMPLATES}/{id}/spawn"), json!({})),
            _ => Ask::patch(RULES, json!({ "missed_after_days": 1 + dice.below(300) })),
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, at, name) = self.doing.take().expect("something was asked for");
        let json = &answer.json;
        let kept = |words: &Value| Kept {
            id: answer.word("id"),
            name: answer.word("name"),
            words: words.as_str().expect("words").to_owned(),
            gone: false,
        };
        match kind {
            "views" => self.views.push(kept(&json["look"]["q"])),
            "changed views" => self.views[at] = kept(&json["look"]["q"]),
            "deleted views" => self.views[at].gone = true,
            "templates" => {
                self.templates.push(kept(&json["description"]));
                self.titles.push(Self::titles(&name));
            }
            "changed templates" => self.templates[at] = kept(&json["description"]),
            "deleted templates" => self.templates[at].gone = true,
            "spawned templates" => {
                let tasks = json["tasks"].as_array().expect("a list").iter();
                let id = |task: &Value| task["id"].as_str().expect("an id").to_owned();
                let tasks: Vec<_> = self.titles[at].iter().cloned().zip(tasks.map(id)).collect();
                assert_eq!(tasks.len(), self.titles[at].len(), "{}", answer.text);
                self.spawned.push(Spawned { tasks });
            }
            _ => self.days = json["missed_after_days"].as_u64(),
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            self.check_kept(api, latest).await;
            self.check_spawned(api, latest).await;
            if self.days.is_some() {
                assert_eq!(api.get(RULES).await["missed_after_days"].as_u64(), self.days);
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check(api, usize::MAX).await;
            let tasks = api.items(wire::TASKS).await;
            let of_templates = tasks.iter().filter_map(|task| task["title"].as_str());
            let of_templates = of_templates.filter(|title| title.starts_with(TITLE)).count();
            let wanted: usize = self.spawned.iter().map(|spawned| spawned.tasks.len()).sum();
            assert_eq!(of_templates, wanted, "tasks of templates: none half, none twice");
            let kept = api.list(TEMPLATES).await.len();
            assert_eq!(kept, open(&self.templates), "templates");
            assert_eq!(api.list(VIEWS).await.len(), open(&self.views), "views");
        }
        .boxed()
    }
}
