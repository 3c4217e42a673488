//! Load: contacts, organizations, collections with records, fields, interactions, pages and folders: create, change,
//! delete.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

/// Maximum number of each kind at once.
const MOST: usize = 12;
const KINDS: &[&str] = &[
    "contacts",
    "changed contacts",
    "deleted contacts",
    "organizations",
    "changed organizations",
    "deleted organizations",
    "collections",
    "changed collections",
    "deleted collections",
    "records",
    "changed records",
    "deleted records",
    "fields",
    "changed fields",
    "deleted fields",
    "talks",
    "changed talks",
    "deleted talks",
    "folders",
    "changed folders",
    "deleted folders",
    "pages",
    "changed pages",
    "deleted pages",
];
/// The plain kinds, in the order of the lists.
const NOUNS: [&str; 8] =
    ["contacts", "organizations", "collections", "records", "fields", "talks", "folders", "pages"];

/// A created record.
struct Kept {
    /// Its id, or the key of a field.
    id: String,
    words: String,
    gone: bool,
}

#[derive(Default)]
pub struct Customers {
    kept: [Vec<Kept>; 8],
    doing: Option<(&'static str, usize, usize, String)>,
    tally: Tally,
}

/// Index of a kind's list.
fn noun(kind: &str) -> usize {
    let plain = kind.split(' ').next_back().unwrap_or_default();
    NOUNS.iter().position(|one| *one == plain).expect("a kind")
}

impl Customers {
    fn first(&self, noun: usize) -> Option<&str> {
        self.kept[noun].first().map(|one| one.id.as_str())
    }

    fn possible(&self) -> Vec<&'static str> {
        let has = |noun: usize| self.first(noun).is_some();
        let mut possible = Vec::new();
        for kind in KINDS {
            let at = noun(kind);
            let open = self.kept[at].iter().filter(|one| !one.gone).count();
            let fits = match kind.split_once(' ') {
                // Records need the first collection, conversations the first contact.
                None => {
                    open < MOST && (*kind != "records" || has(2)) && (*kind != "talks" || has(0))
                }
                Some(("changed", _)) => 0 < open,
                // The first of each stays, because others refer to it.
                Some(_) => 3 < open,
            };
            if fits {
                possible.push(*kind);
            }
        }
        possible
    }

    fn one(&self, noun: usize, id: &str) -> String {
        match NOUNS[noun] {
            "fields" => format!("/api/v1/fields/{id}?of=contacts"),
            "talks" => format!("/api/v1/interactions/{id}"),
            "folders" => format!("/api/v1/knowledge/folders/{id}"),
            "pages" => format!("/api/v1/knowledge/{id}"),
            noun => format!("/api/v1/{noun}/{id}"),
        }
    }

    /// A request body that gives a record this text.
    fn body(noun: usize, words: &str) -> Value {
        match NOUNS[noun] {
            "contacts" => json!({ "notes": words, "tags": [words] }),
            "organizations" => json!({ "notes": words }),
            "collections" => json!({ "description": words }),
            "records" | "folders" => json!({ "name": words }),
            "fields" => json!({ "about": words }),
            // Long enough for a blob, and another reason for a version.
            "pages" => json!({ "text": words.repeat(3_000), "reason": words }),
            _ => json!({ "body": words }),
        }
    }

    fn words(noun: usize, json: &Value) -> String {
        let field = match NOUNS[noun] {
            "contacts" | "organizations" => "notes",
            "collections" => "description",
            "records" | "folders" => "name",
            "fields" => "about",
            "pages" => {
                let text = json["text"].as_str().unwrap_or_default();
                let words = &text[..text.len() / 3_000];
                assert_eq!(text, words.repeat(3_000), "a page that is whole");
                return words.to_owned();
            }
            _ => "body",
        };
        json[field].as_str().unwrap_or_default().to_owned()
    }

    fn make(&self, noun: usize, name: &str) -> Ask {
        let mut body = Self::body(noun, name);
        match NOUNS[noun] {
            "fields" => {
                body["label"] = json!(format!("field {name}"));
                Ask::post("/api/v1/fields?of=contacts", body)
            }
            "talks" => {
                body["contact"] = json!(self.first(0));
                body["next_action"] = json!("Call");
                body["next_on"] = json!("2027-01-01");
                Ask::post("/api/v1/interactions", body)
            }
            "folders" => Ask::post("/api/v1/knowledge/folders", body),
            "pages" => {
                body["title"] = json!(format!("page {name}"));
                body["folder"] = json!(self.first(6));
                Ask::post("/api/v1/knowledge", body)
            }
            "records" => {
                let collection = self.first(2).expect("a collection");
                Ask::post(format!("/api/v1/collections/{collection}/records"), body)
            }
            plain => {
                body["name"] = json!(format!("{plain} {name}"));
                if plain == "contacts" {
                    body["email"] = json!(format!("{name}@example.com"));
                }
                Ask::post(format!("/api/v1/{plain}"), body)
            }
        }
    }

    async fn check_kept(&self, api: &Api<'_>, latest: usize) {
        let listed = |all: &[Value], key: &str| -> Vec<(String, Value)> {
            all.iter()
                .map(|one| (one[key].as_str().unwrap_or_default().to_owned(), one.clone()))
                .collect()
        };
        let fields = api.get("/api/v1/fields?of=contacts").await;
        let fields = listed(fields["items"].as_array().expect("fields"), "key");
        let talks = match self.first(0) {
            Some(contact) => {
                let all = api.get(&format!("/api/v1/contacts/{contact}/interactions")).await;
                listed(all["items"].as_array().expect("talks"), "id")
            }
            None => Vec::new(),
        };
        for (noun, kept) in self.kept.iter().enumerate() {
            for one in kept.iter().rev().take(latest) {
                let found = match NOUNS[noun] {
                    "fields" => {
                        fields.iter().find(|(key, _)| *key == one.id).map(|(_, json)| json.clone())
                    }
                    "talks" => {
                        talks.iter().find(|(id, _)| *id == one.id).map(|(_, json)| json.clone())
                    }
                    _ => {
                        let answer = api.ask(&Ask::get(self.one(noun, &one.id))).await;
                        (answer.status == 200).then_some(answer.json)
                    }
                };
                assert_eq!(found.is_none(), one.gone, "{} {}", NOUNS[noun], one.id);
                if let Some(json) = found {
                    assert_eq!(Self::words(noun, &json), one.words, "{} {}", NOUNS[noun], one.id);
                }
            }
        }
    }
}

impl Desk for Customers {
    fn name(&self) -> &'static str {
        "customers"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let noun = noun(kind);
        let from = usize::from(kind.starts_with("deleted"));
        let open = dice.place(&self.kept[noun][from.min(self.kept[noun].len())..], |one| !one.gone);
        let at = open.map_or(0, |at| at + from);
        self.doing = Some((kind, noun, at, name.to_owned()));
        let id = self.kept[noun].get(at).map_or("", |one| one.id.as_str());
        match kind.split_once(' ') {
            None => self.make(noun, name),
            Some(("changed", _)) => Ask::patch(self.one(noun, id), Self::body(noun, name)),
            // 404 if it was already deleted.
            Some(_) => Ask::delete(self.one(noun, id)).again(Again::Harmless).or(&[404]),
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, noun, at, name) = self.doing.take().expect("something was asked for");
        match kind.split_once(' ') {
            None => {
                let id = answer.word(if NOUNS[noun] == "fields" { "key" } else { "id" });
                self.kept[noun].push(Kept { id, words: name, gone: false });
            }
            Some(("changed", _)) => self.kept[noun][at].words = name,
            Some(_) => self.kept[noun][at].gone = true,
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        self.check_kept(api, latest).boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            self.check_kept(api, usize::MAX).await;
            for (noun, path) in [(0, "contacts"), (1, "organizations")] {
                let open = self.kept[noun].iter().filter(|one| !one.gone).count();
                let all = api.get(&format!("/api/v1/{path}?limit=500")).await;
                assert_eq!(all["total"].as_u64(), u64::try_from(open).ok(), "{path}: none twice");
            }
        }
        .boxed()
    }
}
