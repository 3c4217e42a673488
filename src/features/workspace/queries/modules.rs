//! Parts of HQ that a workspace can do without. What is off stands in no side bar, no palette, no search and among no
//! agent's tools, and its pages say so; what it holds stays, and is there again when it is switched on.

use kernel::FieldError;
use store::{Read, ReadExt as _, StoreError};
use tool::{Group, ToolSpec};

use crate::workspace::model::Settings;

/// A part of HQ.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Its word in forms and settings.
    pub word: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What it holds.
    pub about: &'static str,
    /// What its pages begin with, below the workspace.
    paths: &'static [&'static str],
    /// The words of its nouns.
    nouns: &'static [&'static str],
}

pub const ALL: [Module; 3] = [
    Module {
        word: "customers",
        label: "Customers",
        about: "Contacts and organizations with their pipeline, talks and follow-ups.",
        paths: &["contacts", "organizations", "suggestions"],
        nouns: &["contact", "organization", "interaction", "suggestion"],
    },
    Module {
        word: "collections",
        label: "Collections",
        about: "Tables of your own.",
        paths: &["collections", "records"],
        nouns: &["collection", "record"],
    },
    Module {
        word: "knowledge",
        label: "Knowledge",
        about: "Pages, skills and files that agents know.",
        paths: &["knowledge"],
        nouns: &["knowledge", "folder"],
    },
];

impl Module {
    /// The module that a page below the workspace belongs to, whether it is on or off.
    #[must_use]
    pub fn of_page(path: &str) -> Option<&'static Self> {
        let first = path.split(['/', '?']).next().unwrap_or_default();
        ALL.iter().find(|module| module.paths.contains(&first))
    }
}

/// The parts that a workspace does without.
#[derive(Clone, Debug, Default)]
pub struct Off(Vec<&'static Module>);

impl Off {
    /// Reads them.
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let settings = read.get::<Settings>(())?;
        Ok(settings.as_ref().map(Self::in_settings).unwrap_or_default())
    }

    /// Those of settings that were read.
    #[must_use]
    pub fn in_settings(settings: &Settings) -> Self {
        let is_off = |module: &&Module| settings.without.iter().any(|word| word == module.word);
        Self(ALL.iter().filter(is_off).collect())
    }

    /// Whether a module is among them.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|module| module.word == word)
    }

    /// Whether a page below the workspace belongs to one.
    #[must_use]
    pub fn has_page(&self, path: &str) -> bool {
        Module::of_page(path).is_some_and(|module| self.has(module.word))
    }

    /// Whether a noun belongs to one.
    #[must_use]
    pub fn has_noun(&self, word: &str) -> bool {
        self.0.iter().any(|module| module.nouns.contains(&word))
    }

    /// Whether a tool belongs to one. What says which fields there are goes with the last that has some.
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

/// Words of modules, each once and in order.
///
/// # Errors
/// When one is none.
pub fn checked(words: &[String]) -> Result<Vec<String>, FieldError> {
    if let Some(wrong) = words.iter().find(|word| ALL.iter().all(|one| one.word != word.as_str())) {
        let all: Vec<&str> = ALL.iter().map(|one| one.word).collect();
        let says = format!("There is no module \"{wrong}\"; use {}.", all.join(", "));
        return Err(FieldError::new("modules_off", says));
    }
    let is_off = |one: &&Module| words.iter().any(|word| word == one.word);
    Ok(ALL.iter().filter(is_off).map(|one| one.word.to_owned()).collect())
}
