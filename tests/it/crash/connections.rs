//! Load: provider connections. Keys, prices, context windows, model lists, thinking levels, tests.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use support::wire;

use super::api::{Again, Answer, Api, Ask, HOME};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Maximum number of connections.
const MOST: usize = 12;
const KINDS: &[&str] = &[
    "connections",
    "changed connections",
    "further keys",
    "removed keys",
    "windows",
    "thinking",
    "tests",
    "lists of models",
    "ended rests",
    "deleted connections",
];

struct Known {
    id: String,
    name: String,
    keys: Vec<u64>,
}

pub struct Connections {
    url: String,
    known: Vec<Known>,
    doing: Option<(&'static str, usize, String)>,
    tally: Tally,
}

impl Connections {
    pub fn new(url: String) -> Self {
        Self { url, known: Vec::new(), doing: None, tally: Tally::default() }
    }
}

impl Desk for Connections {
    fn name(&self) -> &'static str {
        "connections"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let mut possible = vec!["thinking"];
        if self.known.len() < MOST {
            possible.push("connections");
        }
        if !self.known.is_empty() {
            possible.extend(["changed connections", "windows", "tests", "lists of models"]);
            possible.extend(["ended rests", "further keys"]);
        }
        if self.known.iter().any(|known| !known.keys.is_empty()) {
            possible.push("removed keys");
        }
        if 3 < self.known.len() {
            possible.push("deleted connections");
        }
        let mut kind = self.tally.choose(dice, &possible);
        let mut at = dice.index(self.known.len().max(1));
        if kind == "removed keys" {
            at = dice.place(&self.known, |known| !known.keys.is_empty()).expect("seen just now");
        } else if kind == "further keys" && 8 < self.known[at].keys.len() {
            kind = "removed keys";
        }
        self.doing = Some((kind, at, format!("Connection {name}")));
        let settings = format!("/w/{HOME}/settings/connections");
        if kind == "connections" {
            let body = json!({
                "kind": "openai", "name": format!("Connection {name}"), "base_url": self.url,
                "api_key": "sk-crash", "default_model": "mock", "test": false,
            });
            return Ask::post(wire::CONNECTIONS, body);
        }
        if kind == "thinking" {
            let level = dice.one(&["none", "low", "high"]);
            return Ask::form(format!("{settings}/thinking"), &[("level", level)]);
        }
        let known = &self.known[at];
        let path = format!("{}/{}", wire::CONNECTIONS, known.id);
        match kind {
            "changed connections" => {
                let price = json!({ "input": dice.below(9_000_000), "output": 1_000_000 });
                let name = format!("Connection {name}");
                Ask::patch(path, json!({ "name": name, "price": price }))
            }
            "further keys" => Ask::post(format!("{path}/keys"), json!({ "api_key": "sk-more" })),
            "removed keys" => Ask::delete(format!("{path}/keys/{}", known.keys[0])),
            "windows" => {
                let fields = [
                    ("name", known.name.as_str()),
                    ("base_url", &self.url),
                    ("default_model", "mock"),
                    ("window", "32768"),
                ];
                Ask::form(format!("{settings}/{}", known.id), &fields)
            }
            "tests" => Ask::post(format!("{path}/test"), json!({})).again(Again::Harmless),
            "lists of models" => {
                Ask::post(format!("{path}/models"), json!({})).again(Again::Harmless)
            }
            "ended rests" => Ask::delete(format!("{path}/rests")),
            _ => Ask::delete(path),
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, at, name) = self.doing.take().expect("something was asked for");
        match kind {
            "connections" => {
                self.known.push(Known { id: answer.word("id"), name, keys: Vec::new() });
            }
            "changed connections" => self.known[at].name = name,
            "further keys" => {
                let slot = answer.json["key"].as_u64().expect("the number of a key");
                self.known[at].keys.push(slot);
            }
            "removed keys" => {
                self.known[at].keys.remove(0);
            }
            "tests" => assert_eq!(answer.json["ok"], true, "{}", answer.text),
            "deleted connections" => {
                self.known.remove(at);
            }
            _ => {}
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async move {
            let listed = api.list(wire::CONNECTIONS).await;
            let ours = |one: &&Value| one["name"].to_string().starts_with("\"Connection ");
            assert_eq!(listed.iter().filter(ours).count(), self.known.len(), "connections");
            for known in &self.known {
                let one = listed.iter().find(|one| one["id"] == known.id.as_str());
                let one = one.unwrap_or_else(|| panic!("no connection {}", known.name));
                assert_eq!(one["name"], known.name.as_str());
                let keys: Vec<_> = one["keys"].as_array().into_iter().flatten().collect();
                let spare = keys.iter().filter_map(|key| key.as_u64()).filter(|slot| *slot != 0);
                assert_eq!(spare.collect::<Vec<_>>(), known.keys, "keys of {}", known.name);
            }
        }
        .boxed()
    }
}
