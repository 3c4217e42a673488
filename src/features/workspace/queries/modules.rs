//! Optional modules of a workspace. A disabled module is hidden from side bar, palette, search and agents' tools, and
//! its pages say that it is disabled. Its data is kept and returns when it is enabled.

use kernel::FieldError;
use store::{Read, ReadExt as _, StoreError};
use tool::{Group, ToolSpec};

use crate::workspace::model::Settings;

/// An optional part of HQ.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Word in forms and settings.
    pub word: &'static str,
    pub label: &'static str,
    /// Description.
    pub about: &'static str,
    /// First path segments of its pages below the workspace.
    paths: &'static [&'static str],
    /// Words of its nouns.
    nouns: &'static [&'static str],
}

pub const ALL: [Module; 3] = [
    Module {
        word: "customers",
        label: "Customers",
        about: "Contacts and organizations with pipeline, interactions and follow-ups.",
        paths: &["contacts", "organizations", "suggestions"],
        nouns: &["contact", "organization", "interaction", "suggestion"],
    },
    Module {
        word: "collections",
        label: "Collections",
        about: "Your own tables.",
        paths: &["collections", "records"],
        nouns: &["collection", "record"],
    },
    Module {
        word: "knowledge",
        label: "Knowledge",
        about: "Pages, skills and files for your agents.",
        paths: &["knowledge"],
        nouns: &["knowledge", "folder"],
    },
];

impl Module {
    /// Module of a page below the workspace, enabled or not.
    #[must_use]
    pub fn of_page(path: &str) -> Option<&'static Self> {
        let first = path.split(['/', '?']).next().unwrap_or_default();
        ALL.iter().find(|module| module.paths.contains(&first))
    }
}

/// The disabled modules of a workspace.
#[derive(Clone, Debug, Default)]
pub struct Off(Vec<&'static Module>);

impl Off {
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let settings = read.get::<Settings>(())?;
        Ok(settings.as_ref().map(Self::in_settings).unwrap_or_default())
    }

    /// The disabled modules in these settings.
    #[must_use]
    pub fn in_settings(settings: &Settings) -> Self {
        let is_off = |module: &&Module| settings.without.iter().any(|word| word == module.word);
        Self(ALL.iter().filter(is_off).collect())
    }

    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|module| module.word == word)
    }

    /// Returns `true` if the page belongs to a disabled module.
    #[must_use]
    pub fn has_page(&self, path: &str) -> bool {
        Module::of_page(path).is_some_and(|module| self.has(module.word))
    }

    /// Returns `true` if the noun belongs to a disabled module.
    #[must_use]
    pub fn has_noun(&self, word: &str) -> bool {
        self.0.iter().any(|module| module.nouns.contains(&word))
    }

    /// Returns `true` if the tool belongs to a disabled module. The tool that lists fields is disabled with the last
    /// module that has fields.
    #[must_use]
    pub fn has_tool(&self, spec: &ToolSpec) -> bool {
        let of_collections = ["collection_", "record_"].iter().any(|of| spec.name.starts_with(of));
        match spec.group {
            Group::Knowledge => self.has("knowledge"),
            Group::Customers if spec.name == "schema_get" => {
                self.has("customers") && self.has("collections")
            }
            Group::Customers if of_collections => self.has("collections"),
            Group::Customers => self.has("customers"),
            _ => false,
        }
    }
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
