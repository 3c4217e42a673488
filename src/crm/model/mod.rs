//! Records of contacts, organizations and collections, their custom fields, interactions, and suggestions of agents.

pub mod back;
mod collection;
mod conversion;
mod field;
mod import;
mod kind;
mod row;
mod stored;
mod suggestion;
mod talk;

use kernel::ids;

pub use collection::{BY_NAME, COLLECTIONS, Collection};
pub use conversion::{CONVERSIONS, CONVERSIONS_RUNNING, Cast, Conversion, Shape};
pub use field::{BY_KEY, FIELDS, FieldDef, Home, Tag};
pub use import::{
    Becomes, Clash, Counts, DateBasis, DateOrder, Goes, IMPORTS, IMPORTS_RUNNING, Import,
    ImportState, MAX_PROBLEMS, MAX_STAYED, Mapped, RowProblem, Stayed,
};
pub use kind::RowKind;
pub use row::{
    CONTACTS, CONTACTS_BY_EMAIL, CONTACTS_BY_IDENTITY, NAME, ORGANIZATIONS,
    ORGANIZATIONS_BY_IDENTITY, RECORDS, RECORDS_BY_HOME, RECORDS_BY_IDENTITY, Row, STAMPS,
    identity_key, name_keys,
};
pub(crate) use row::{Glance, Plain, View};
pub use stored::{Contacts, Organizations, Records, Stored, StoredKind};
pub use suggestion::{BY_ROW, SUGGESTIONS, Suggestion, row_key};
pub use talk::{BY_CONTACT, BY_DUE, BY_ORGANIZATION, TALKS, Talk, TalkKind, Way};

ids! {
    /// A contact.
    ContactId,
    /// An organization.
    OrganizationId,
    /// A record of a collection.
    EntryId,
    /// A collection.
    CollectionId,
    /// A field that people made, or changed.
    FieldId,
    /// A field that gets another kind.
    ConversionId,
    /// A talk with a contact, or a note about one.
    TalkId,
    /// A value that an agent suggests.
    SuggestionId,
}

pub type Contact = Stored<Contacts>;
pub type Organization = Stored<Organizations>;
/// A record of a collection as a row.
pub type EntryRow = Stored<Records>;
