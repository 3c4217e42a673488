//! Records of knowledge: folders, items, texts, versions and marks, suggestions, use by agents, extracted texts, and
//! choices of the embedding model.

mod choice;
mod folder;
mod item;
mod mark;
mod reading;
mod suggestion;
mod uses;
mod words;

use kernel::ids;

pub use choice::{MODEL_CHOICES, ModelAct, ModelChoice};
pub use folder::{BY_PARENT, FOLDERS, Folder, place_key};
pub(crate) use item::is_for;
pub use item::{
    BY_AGENT, BY_FOLDER, BY_TITLE, EVERY_AGENT, FileBody, ITEMS, Item, ItemKind, Scope, title_key,
};
pub use mark::{LONGEST as LONGEST_MARK, MARKS, MOST as MOST_MARKS, Mark, Marks};
pub use reading::{LETTERS, READING_WAITS, READINGS, Reading, ReadingState};
pub use suggestion::{SUGGESTIONS, SUGGESTIONS_BY_ITEM, Suggestion};
pub use uses::{Had, OPENINGS, Opening, USES, Uses};
pub use words::{BODIES, BODIES_BY_LINK, Body, LARGEST, Text, VERSIONS, VERSIONS_BY_ITEM, Version};

ids! {
    /// An item of knowledge.
    KnowledgeId,
    /// A folder of items.
    FolderId,
    /// A former version of an item's words.
    VersionId,
    /// A choice of the model for search by meaning.
    ModelChoiceId,
    /// A change that an agent suggests.
    KnowledgeSuggestionId,
}
