//! Load: agents. Creation with files, changes, pause, archive, restore, change of the template and back; fallback
//! models.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Maximum number of agents: each has its own files.
const MOST: usize = 25;
const KINDS: &[&str] = &[
    "agents",
    "changed agents",
    "paused",
    "resumed",
    "archived",
    "restored",
    "lists of hosts",
    "switched browsers",
    "fallbacks",
    "moved templates",
];
/// Templates between which agents are moved.
const TEMPLATES: [&str; 2] = ["default", "analytics"];
/// Hosts that an agent may reach.
const HOSTS: [&str; 2] = ["*.docs.test", "example.com"];

struct Known {
    slug: String,
    id: String,
    name: Value,
    /// Unknown after a move, which takes over the template's description.
    description: Option<Value>,
    status: Value,
    template: String,
    is_archived: bool,
}

#[derive(Default)]
pub struct Agents {
    known: Vec<Known>,
    /// The agent's index (none for a new one) and the action.
    doing: Option<(Option<usize>, &'static str)>,
    tally: Tally,
}

impl Known {
    fn of(answer: &Answer) -> Self {
        let json = &answer.json;
        Self {
            slug: answer.word("slug"),
            id: answer.word("id"),
            name: json["name"].clone(),
            description: Some(json["description"].clone()),
            status: json["status"].clone(),
            template: answer.word("template"),
            is_archived: !json["archived_at"].is_null(),
        }
    }

    /// The template that the agent does not have.
    fn other(&self) -> &'static str {
        TEMPLATES[usize::from(self.template == TEMPLATES[0])]
    }

    fn may(&self, kind: &str) -> bool {
        match kind {
            "paused" => self.status == "ready" && !self.is_archived,
            "resumed" => self.status == "paused" && !self.is_archived,
            "restored" => self.is_archived,
            _ => !self.is_archived,
        }
    }
}

impl Desk for Agents {
    fn name(&self) -> &'static str {
        "agents"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let may = |kind: &&&str| self.known.iter().any(|known| known.may(kind));
        let mut possible: Vec<&str> = KINDS[1..].iter().filter(may).copied().collect();
        if self.known.len() < MOST {
            possible.push("agents");
        }
        let kind = self.tally.choose(dice, &possible);
        if kind == "agents" {
            self.doing = Some((None, kind));
            return Ask::post(wire::AGENTS, wire::agent(&format!("Agent-{name}")));
        }
        let at = dice.place(&self.known, |known| known.may(kind)).expect("seen just now");
        self.doing = Some((Some(at), kind));
        let known = &self.known[at];
        let path = format!("{}/{}", wire::AGENTS, known.slug);
        match kind {
            "changed agents" => Ask::patch(path, json!({ "description": format!("does {name}") })),
            "paused" => Ask::post(format!("{path}/pause"), json!({})),
            "resumed" => Ask::post(format!("{path}/resume"), json!({})),
            "archived" => Ask::post(format!("{path}/archive"), json!({})),
            "restored" => Ask::post(format!("{path}/restore"), json!({})),
            "switched browsers" => Ask::put(format!("{path}/browser"), json!({ "on": true })),
            "lists of hosts" => Ask::put(format!("{path}/reach"), json!({ "only": HOSTS })),
            "moved templates" => {
                let body = json!({ "template": known.other(), "rest": "template" });
                let ask = Ask::post(format!("{path}/upgrade"), body).again(Again::Harmless);
                // 409 if the upgrade was complete before the kill.
                Ask { or: &[409], ..ask }
            }
            _ => {
                let models = json!([{ "connection": null, "model": "practice" }]);
                let body = json!({ "agent": known.id, "models": models });
                Ask::put("/api/v1/connections/fallbacks", body)
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (at, kind) = self.doing.take().expect("something was asked for");
        match at {
            None => self.known.push(Known::of(answer)),
            Some(_) if kind == "lists of hosts" => {
                assert_eq!(answer.json["only"], json!(HOSTS), "{}", answer.text);
            }
            Some(_) if kind == "switched browsers" => {
                assert_eq!(answer.json["on"], true, "{}", answer.text);
            }
            Some(_) if kind == "fallbacks" => {
                assert_eq!(answer.json["models"][0]["model"], "practice", "{}", answer.text);
            }
            Some(at) if kind == "moved templates" => {
                let known = &mut self.known[at];
                (known.template, known.description) = (known.other().to_owned(), None);
            }
            Some(at) => self.known[at] = Known::of(answer),
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            for known in self.known.iter().rev().take(latest) {
                let path = format!("{}/{}", wire::AGENTS, known.slug);
                let agent = api.get(&path).await;
                assert_eq!(agent["id"], known.id.as_str(), "{path}");
                assert_eq!(agent["name"], known.name, "{path}");
                if let Some(description) = &known.description {
                    assert_eq!(&agent["description"], description, "{path}");
                }
                assert_eq!(agent["template"], known.template.as_str(), "{path}");
                assert_eq!(agent["status"], known.status, "{path}");
                assert_eq!(!agent["archived_at"].is_null(), known.is_archived, "{path}");
                let files = api.list(&format!("{path}/files")).await;
                assert!(files.iter().any(|file| file["path"] == "IDENTITY.md"), "{files:?}");
                if known.is_archived {
                    continue;
                }
                // A move is complete: the files and the record have everything from the template.
                let offer = api.get(&format!("{path}/upgrade")).await;
                assert_eq!(offer["to"]["template"], known.template.as_str(), "{offer}");
                assert_eq!(offer["offered"], false, "{offer}");
            }
        }
        .boxed()
    }
}
