//! Connector manifests: name, fields and permissions as data. HQ's own are compiled in; others are in
//! `connectors/<id>/manifest.json` of the data folder and use the same engines.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConnectorError, Reads, value};

/// Built-in manifests.
const OWN: &[(&str, &str)] = &[
    ("folder", include_str!("connectors/folder/manifest.json")),
    ("web", include_str!("connectors/web/manifest.json")),
];
const FILE: &str = "manifest.json";
/// Largest file, in bytes.
const LARGEST: u64 = 64 * 1024;
/// Longest value, in characters.
const LONGEST: usize = 2_000;
/// Latest known manifest version.
const VERSION: u32 = 1;

/// Implementation of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Files of this machine.
    Folder,
    /// Web pages.
    Web,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    None,
    ApiKey {
        /// Keys to enter.
        fields: Vec<AuthField>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthField {
    pub key: String,
    pub label: String,
    #[serde(default)]
    pub placeholder: String,
    #[serde(default)]
    pub required: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    #[default]
    Text,
    Url,
    /// A whole number from 1.
    Number,
    Choice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub value: String,
    pub label: String,
    #[serde(default)]
    pub hint: String,
}

/// A field that determines what a source reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub key: String,
    pub label: String,
    #[serde(default)]
    pub placeholder: String,
    #[serde(default)]
    pub hint: String,
    #[serde(default)]
    pub input_type: Input,
    #[serde(default)]
    pub required: bool,
    /// For [`Input::Choice`].
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// A constant value; people are not asked.
    #[serde(default)]
    pub fixed: Option<String>,
}

/// Token bucket of requests to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub requests: u32,
    pub per_seconds: u32,
    pub burst: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Also the name of its folder.
    pub id: String,
    pub name: String,
    /// One line.
    pub description: String,
    /// An emoji.
    pub icon: String,
    /// Plural name of its items: "Pages".
    pub item_label: String,
    pub auth: Auth,
    pub supports_write: bool,
    /// Version of the manifest format.
    pub version: u32,
    pub engine: Engine,
    #[serde(default)]
    pub min_hq_version: String,
    /// Permitted hosts; all if empty.
    #[serde(default)]
    pub egress_hosts: Vec<String>,
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Default hours between syncs.
    pub default_interval_hours: u32,
    /// `browse`, `search`, `delta`, `webhook`, `write`.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    #[serde(default)]
    pub reads: Vec<Field>,
    /// URL of an item, with the placeholder `{external_id}`.
    #[serde(default)]
    pub source_url_template: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Lists places to choose from.
    Browse,
    Search,
    /// Reports changes.
    Delta,
    /// Receives change notifications.
    Webhook,
    Write,
}

impl Manifest {
    /// Parses a manifest from the folder of this name.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(folder: &str, text: &str) -> Result<Self, String> {
        let mut raw: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("The manifest of {folder} isn’t JSON: {error}."))?;
        // Built-in manifests name no engine; it is that of their folder.
        if let Some(map) = raw.as_object_mut()
            && !map.contains_key("engine")
        {
            map.insert("engine".to_owned(), folder.into());
        }
        let one: Self = serde_json::from_value(raw)
            .map_err(|error| format!("The manifest of {folder} can't be used: {error}."))?;
        match one.fault(folder) {
            Some(fault) => Err(format!("The manifest of {folder} can't be used: {fault}.")),
            None => Ok(one),
        }
    }

    fn fault(&self, folder: &str) -> Option<String> {
        let plain = |text: &str| {
            let fits = |sign: char| sign.is_ascii_alphanumeric() || "_-".contains(sign);
            !text.is_empty() && text.len() <= 40 && text.chars().all(fits)
        };
        if self.id != folder || !plain(&self.id) {
            return Some(format!("its id is \"{}\", and must be the name of its folder", self.id));
        }
        if self.version != VERSION {
            return Some(format!("its version is {}, and this HQ reads {VERSION}", self.version));
        }
        if let Some(host) =
            self.egress_hosts.iter().find(|host| net::guard::Hosts::line(host).is_none())
        {
            return Some(format!("\"{host}\" isn’t a host"));
        }
        if self
            .rate_limit
            .is_some_and(|one| one.requests == 0 || one.per_seconds == 0 || one.burst == 0)
        {
            return Some("its rate limit is 0".to_owned());
        }
        if self.default_interval_hours == 0 {
            return Some("its interval is 0 hours and must be at least 1".to_owned());
        }
        let mut keys = HashSet::new();
        let odd = self.reads.iter().find(|field| !plain(&field.key) || !keys.insert(&field.key));
        if let Some(field) = odd {
            return Some(format!("\"{}\" isn’t a valid name or appears twice", field.key));
        }
        let empty = |field: &&Field| field.input_type == Input::Choice && field.choices.is_empty();
        self.reads.iter().find(empty).map(|field| format!("\"{}\" has no choices", field.key))
    }

    /// Values of a source: constants filled in, unknown and empty values dropped.
    #[must_use]
    pub fn settle(&self, given: &Reads) -> Reads {
        let one = |field: &Field| {
            let kept = field.fixed.clone().unwrap_or_else(|| value(given, &field.key).to_owned());
            Some((field.key.clone(), kept)).filter(|(_, kept)| !kept.is_empty())
        };
        self.reads.iter().filter_map(one).collect()
    }

    /// The first invalid value: key and error text.
    #[must_use]
    pub fn wrong(&self, reads: &Reads) -> Option<(String, String)> {
        let says = |field: &Field| {
            let given = value(reads, &field.key);
            let message = match field.input_type {
                _ if given.is_empty() && field.required => "This is required.".to_owned(),
                _ if given.is_empty() => return None,
                _ if LONGEST < given.len() => "This is too long.".to_owned(),
                Input::Choice if !field.choices.iter().any(|one| one.value == given) => {
                    format!("\"{}\" isn’t an option.", kernel::text::ellipsis(given, 40))
                }
                Input::Number if !given.parse::<u32>().is_ok_and(|number| 0 < number) => {
                    "Enter a whole number of 1 or more.".to_owned()
                }
                _ => return None,
            };
            Some((field.key.clone(), message))
        };
        self.reads.iter().find_map(says)
    }

    pub(super) fn check(&self, reads: &Reads) -> Result<(), ConnectorError> {
        match self.wrong(reads) {
            Some((key, message)) => Err(ConnectorError::Refused(format!("{key}: {message}"))),
            None => Ok(()),
        }
    }

    #[must_use]
    pub fn can(&self, what: Capability) -> bool {
        self.capabilities.contains(&what)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Usable manifests, built-in ones first.
    pub manifests: Vec<Manifest>,
    /// Errors of the others, one sentence each.
    pub refused: Vec<String>,
}

impl Catalog {
    /// Built-in manifests and those of a folder, which replace built-in ones with the same id.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut all = Self::default();
        for (id, text) in OWN {
            all.take(id, Manifest::parse(id, text));
        }
        // ok: without the folder there are built-in manifests only.
        let mut names: Vec<String> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        for name in names.into_iter().take(200) {
            let file = folder.join(&name).join(FILE);
            let read = match fs::metadata(&file) {
                Ok(meta) if meta.is_file() && meta.len() <= LARGEST => fs::read_to_string(&file)
                    .map_err(|error| format!("The manifest of {name} can't be read: {error}.")),
                Ok(_) => Err(format!("The manifest of {name} is too large.")),
                Err(_) => continue,
            };
            all.take(&name, read.and_then(|text| Manifest::parse(&name, &text)));
        }
        all
    }

    fn take(&mut self, id: &str, read: Result<Manifest, String>) {
        match read {
            Ok(one) => {
                self.manifests.retain(|other| other.id != id);
                self.manifests.push(one);
            }
            Err(message) => self.refused.push(message),
        }
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Manifest> {
        self.manifests.iter().find(|one| one.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Catalog, Manifest, OWN};
    use crate::Reads;

    #[test]
    fn hqs_own_manifests_can_be_used_and_others_build_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |id: &str, text: &str| {
            fs::create_dir(folder.path().join(id)).unwrap();
            fs::write(folder.path().join(id).join("manifest.json"), text).unwrap();
        };
        let docs = OWN[1].1.replace(
            "\"id\": \"web\"",
            "\"id\": \"docs\", \"engine\": \"web\", \"egress_hosts\": [\"docs.example\"]",
        );
        put("docs", &docs);
        put(
            "odd",
            &OWN[1]
                .1
                .replace("\"id\": \"web\"", "\"id\": \"odd\", \"engine\": \"web\", \"colour\": 1"),
        );
        put("other", "{");
        let all = Catalog::read(folder.path());
        let ids: Vec<&str> = all.manifests.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["folder", "web", "docs"]);
        assert!(all.refused[0].contains("unknown field `colour`"), "{:?}", all.refused);
        assert!(all.refused[1].contains("isn’t JSON"), "{:?}", all.refused);
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_a_sentence() {
        for (from, to, says) in [
            ("\"id\": \"web\"", "\"id\": \"x\"", "must be the name of its folder"),
            ("\"version\": 1", "\"version\": 7", "this HQ reads 1"),
            ("\"burst\": 20", "\"burst\": 0", "rate limit is 0"),
            ("\"key\": \"depth\"", "\"key\": \"url\"", "appears twice"),
            ("\"auth\": { \"type\": \"none\" },", "", "missing field `auth`"),
        ] {
            let error = Manifest::parse("web", &OWN[1].1.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let web = Manifest::parse("web", OWN[1].1).unwrap();
        let reads = |pairs: &[(&str, &str)]| -> Reads {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let wrong = |pairs| web.wrong(&reads(pairs)).map(|(key, _)| key);
        assert_eq!(wrong(&[("how", "page")]).as_deref(), Some("url"));
        assert_eq!(wrong(&[("url", "x"), ("how", "all")]).as_deref(), Some("how"));
        assert_eq!(
            wrong(&[("url", "x"), ("how", "page"), ("depth", "-1")]).as_deref(),
            Some("depth")
        );
        assert_eq!(wrong(&[("url", "x"), ("how", "page"), ("depth", "3")]), None);
    }
}
