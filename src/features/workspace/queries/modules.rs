//! Optional modules of a workspace. A disabled module is hidden from side bar, palette, search and agents' tools, and
//! its pages and its API say that it is disabled. Its data is kept and returns when it is enabled.

use kernel::{Actor, AgentId, FieldError, Timestamp};
use serde_json::Value;
use store::history::{Image, Walk};
use store::{Read, ReadExt as _, Root, Schema, StoreError};
use tool::{Group, ToolSpec};

use crate::history::queries::versions;
use crate::trust::queries::places;
use crate::workspace::model::Settings;

/// The change that disabled a module is looked for in this many versions of the settings.
const MAX_VERSIONS: usize = 500;
/// Paths of a module that other parts of HQ use too, such as the editor's reading of Markdown.
const SHARED: [&str; 1] = ["knowledge/parse"];

/// An optional part of HQ.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Word in forms and settings.
    pub word: &'static str,
    pub label: &'static str,
    /// Description.
    pub about: &'static str,
    /// First segments of its pages below the workspace, and of its API below `/api/v1`.
    paths: &'static [&'static str],
    /// Words of its nouns.
    nouns: &'static [&'static str],
}

pub const ALL: [Module; 3] = [
    Module {
        word: "customers",
        label: "Customers",
        about: "Contacts and organizations with pipeline, interactions and follow-ups.",
        paths: &[
            "contacts",
            "organizations",
            "interactions",
            "talks",
            "suggestions",
            "imports",
            "fields",
            "settings/fields",
            "conversions",
            "settings/conversions",
        ],
        nouns: &["contact", "organization", "interaction", "suggestion"],
    },
    Module {
        word: "collections",
        label: "Collections",
        about: "Your own tables.",
        paths: &[
            "collections",
            "records",
            "suggestions",
            "imports",
            "fields",
            "settings/fields",
            "conversions",
            "settings/conversions",
        ],
        nouns: &["collection", "record", "suggestion"],
    },
    Module {
        word: "knowledge",
        label: "Knowledge",
        about: "Pages, skills and files for your agents.",
        paths: &["knowledge", "sources"],
        nouns: &["knowledge", "folder"],
    },
];

impl Module {
    /// Returns `true` if a path below the workspace or below `/api/v1` is one of its pages or API routes, or what
    /// people say about one of its records (`on/contact:…`).
    fn owns(&self, path: &str) -> bool {
        let is_below = |base: &&str| {
            let rest = path.strip_prefix(*base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        let discussed = path.strip_prefix("on/").and_then(|rest| rest.split([':', '%']).next());
        let is_shared = SHARED.iter().any(is_below);
        let is_its = self.paths.iter().any(is_below);
        !is_shared && (is_its || discussed.is_some_and(|noun| self.nouns.contains(&noun)))
    }
}

/// Returns `true` if a page or API route belongs to a module, enabled or not.
#[must_use]
pub fn is_optional(path: &str) -> bool {
    ALL.iter().any(|module| module.owns(path))
}

/// A module by its word.
#[must_use]
pub fn by_word(word: &str) -> Option<&'static Module> {
    ALL.iter().find(|module| module.word == word)
}

/// The disabled modules of a workspace.
#[derive(Clone, Debug, Default)]
pub struct Off {
    modules: Vec<&'static Module>,
    /// The agent answers on no channel, so that it cannot send messages.
    has_no_channel: bool,
}

impl Off {
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let settings = read.get::<Settings>(())?;
        Ok(settings.as_ref().map(Self::in_settings).unwrap_or_default())
    }

    /// The disabled modules, for the tools of an agent.
    pub fn of_agent(read: &dyn Read, agent: AgentId) -> Result<Self, StoreError> {
        let has_no_channel = !places::has_channel(read, agent)?;
        Ok(Self { has_no_channel, ..Self::of(read)? })
    }

    /// The disabled modules in these settings.
    #[must_use]
    pub fn in_settings(settings: &Settings) -> Self {
        let is_off = |module: &&Module| settings.without.iter().any(|word| word == module.word);
        Self { modules: ALL.iter().filter(is_off).collect(), has_no_channel: false }
    }

    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.modules.iter().any(|module| module.word == word)
    }

    /// The first of the modules to which something belongs, if all of them are disabled.
    fn first_of(&self, owns: impl Fn(&Module) -> bool) -> Option<&'static Module> {
        let mut owners = ALL.iter().filter(|module| owns(module));
        let first = owners.next().filter(|module| self.has(module.word))?;
        owners.all(|module| self.has(module.word)).then_some(first)
    }

    /// The disabled module of a page below the workspace or of an API route below `/api/v1`.
    #[must_use]
    pub fn of_path(&self, path: &str) -> Option<&'static Module> {
        self.first_of(|module| module.owns(path))
    }

    /// Returns `true` if the page belongs to a disabled module.
    #[must_use]
    pub fn has_page(&self, path: &str) -> bool {
        self.of_path(path).is_some()
    }

    /// Returns `true` if the noun belongs to a disabled module.
    #[must_use]
    pub fn has_noun(&self, word: &str) -> bool {
        self.first_of(|module| module.nouns.contains(&word)).is_some()
    }

    /// The disabled module of a tool. The tool that lists fields is disabled with the last module that has fields.
    #[must_use]
    pub fn of_tool(&self, spec: &ToolSpec) -> Option<&'static Module> {
        let of_collections = ["collection_", "record_"].iter().any(|of| spec.name.starts_with(of));
        let words: &[&str] = match spec.group {
            Group::Knowledge => &["knowledge"],
            Group::Customers if spec.name == "schema_get" => &["customers", "collections"],
            Group::Customers if of_collections => &["collections"],
            Group::Customers => &["customers"],
            _ => &[],
        };
        self.first_of(|module| words.contains(&module.word))
    }

    /// Returns `true` if the tool needs a channel and the agent has none.
    #[must_use]
    pub fn lacks_channel(&self, spec: &ToolSpec) -> bool {
        self.has_no_channel && spec.name == places::SEND
    }

    /// Returns `true` if the tool belongs to a disabled module, or needs a channel that the agent does not have.
    #[must_use]
    pub fn has_tool(&self, spec: &ToolSpec) -> bool {
        self.of_tool(spec).is_some() || self.lacks_channel(spec)
    }
}

/// Who disabled a module, and when.
#[derive(Clone, Copy, Debug)]
pub struct Disabled {
    pub by: Actor,
    pub at: Timestamp,
}

/// Finds the change that disabled a module. `None` if it is too old to be known.
pub fn disabled_since(
    read: &dyn Read,
    schema: &Schema,
    word: &str,
) -> Result<Option<Disabled>, StoreError> {
    let record = Root::of::<Settings>(());
    let Some(walk) = Walk::begin(read, schema, &record, None)? else { return Ok(None) };
    let is_off = |image: &Image| {
        let fields = versions::fields_of(schema, record.table, image.bytes());
        let without = fields.as_ref().and_then(|fields| fields.get("without")?.as_array());
        without.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|one| one == word))
    };
    for version in walk.take(MAX_VERSIONS) {
        let version = version?;
        let is_known = matches!(version.before, Image::Kept(_) | Image::Nothing);
        if !is_known || !is_off(&version.after) {
            return Ok(None);
        }
        if !is_off(&version.before) {
            return Ok(Some(Disabled { by: version.actor, at: version.at }));
        }
    }
    Ok(None)
}

/// Validates module words, sorts them and removes duplicates.
///
/// # Errors
/// For an unknown word.
pub fn checked(words: &[String]) -> Result<Vec<String>, FieldError> {
    if let Some(wrong) = words.iter().find(|word| ALL.iter().all(|one| one.word != word.as_str())) {
        let all: Vec<&str> = ALL.iter().map(|one| one.word).collect();
        let says = format!("There is no module \"{wrong}\"; use {}.", all.join(", "));
        return Err(FieldError::new("modules_off", says));
    }
    let is_off = |one: &&Module| words.iter().any(|word| word == one.word);
    Ok(ALL.iter().filter(is_off).map(|one| one.word.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Off, by_word, is_optional};

    fn off(words: &[&str]) -> Off {
        let modules = words.iter().filter_map(|word| by_word(word)).collect();
        Off { modules, has_no_channel: false }
    }

    fn module_of(words: &[&str], path: &str) -> Option<&'static str> {
        off(words).of_path(path).map(|module| module.label)
    }

    #[test]
    fn paths_of_pages_and_api_lead_to_their_module() {
        assert_eq!(module_of(&["customers"], "contacts/12?tab=files"), Some("Customers"));
        assert_eq!(module_of(&["customers"], "on/contact:12/comments"), Some("Customers"));
        assert_eq!(module_of(&["customers"], "contactsheet"), None);
        assert_eq!(module_of(&["knowledge"], "sources/12/items"), Some("Knowledge"));
        assert_eq!(module_of(&[], "contacts"), None);
        assert!(is_optional("collections") && !is_optional("tasks") && !is_optional("on/MC-1"));
    }

    #[test]
    fn a_page_of_two_modules_is_off_with_the_last_of_them() {
        for path in ["imports", "settings/fields", "fields", "suggestions"] {
            assert_eq!(module_of(&["customers"], path), None, "{path}");
            assert_eq!(module_of(&["customers", "collections"], path), Some("Customers"), "{path}");
        }
    }

    #[test]
    fn other_editors_keep_the_reader_of_markdown() {
        assert_eq!(module_of(&["knowledge"], "knowledge/parse"), None);
        assert_eq!(module_of(&["knowledge"], "knowledge/parsed"), Some("Knowledge"));
    }
}
