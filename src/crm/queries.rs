//! Reads of contacts, organizations, collections, interactions and suggestions.

use std::collections::BTreeMap;

use entity::Cell;
use jiff::civil::Date;
use kernel::key::KeyBuf;
use kernel::{Timestamp, TypedId as _};
use store::{Op, Range, Read, ReadExt as _, Schema, StoreError, history};
use uuid::Uuid;

use crate::error::CrmError;
use crate::model::{
    BY_CONTACT, BY_DUE, BY_NAME, BY_ORGANIZATION, BY_ROW, Collection, CollectionId, ContactId,
    OrganizationId, Row, RowKind, Suggestion, Talk, TalkKind, identity_key, row_key,
};
use crate::names::{Called, called};

/// A row by its id, with its rev.
pub fn get_rev(kind: &'static RowKind, read: &dyn Read, id: Uuid) -> Result<(Row, u64), CrmError> {
    kind.get_rev(read, id)?.ok_or_else(|| CrmError::no(kind.entity().one, &id.to_string()))
}

/// The previous value of a cell; `None` if it was empty.
///
/// # Errors
/// When the previous value is no longer stored.
pub fn cell_before(
    read: &dyn Read,
    schema: &Schema,
    (row, field): (&Row, &str),
) -> Result<Option<Cell>, CrmError> {
    /// Maximum number of examined versions.
    const MOST: usize = 200;
    let root = row.kind.root(row.id);
    let page = history::of(read, schema, &root, None, MOST)?.unwrap_or_default();
    for version in &page.versions {
        if version.op == Op::Insert {
            return Ok(None);
        }
        let Some(before) = version.before.bytes().and_then(|bytes| row.kind.read_row(bytes)) else {
            break;
        };
        if before.value(field) != row.value(field) {
            return Ok(before.cells.get(field).cloned());
        }
    }
    Err(CrmError::Refused("the previous value is no longer available".to_owned()))
}

/// A row by id, name or email address.
///
/// # Errors
/// When there is none, or several have that name.
pub fn resolve(kind: &'static RowKind, read: &dyn Read, name: &str) -> Result<Row, CrmError> {
    let found = called(kind, read, name)?;
    if let Called::One(row) = found {
        return Ok(row);
    }
    if let Some(index) = kind.email {
        let mut key = KeyBuf::new();
        key.text(&name.trim().to_lowercase());
        if let Some(row) = kind.find(read, index, &key)? {
            return Ok(row);
        }
    }
    match found {
        Called::Several(_) => Err(CrmError::Refused(format!(
            "several {} are called \"{}\"; use the ID",
            kind.entity().many,
            kernel::text::ellipsis(name, 60)
        ))),
        Called::None | Called::Archived(_) | Called::One(_) => {
            Err(CrmError::no(kind.entity().one, name))
        }
    }
}

/// A collection by its id or its name.
pub fn collection(read: &dyn Read, name: &str) -> Result<Collection, CrmError> {
    let found = match name.trim().parse::<CollectionId>() {
        Ok(id) => read.get(id)?,
        Err(_) => {
            let mut key = KeyBuf::new();
            key.text(&name.trim().to_lowercase());
            read.find(BY_NAME, &key)?
        }
    };
    found.ok_or_else(|| CrmError::no("collection", name))
}

/// All active collections by name.
pub fn collections(read: &dyn Read) -> Result<Vec<Collection>, StoreError> {
    read.scan(BY_NAME, &Range::all())
}

/// The interactions with a contact, newest first.
pub fn talks_with(
    read: &dyn Read,
    contact: ContactId,
    most: usize,
) -> Result<Vec<Talk>, StoreError> {
    read.scan(BY_CONTACT, &Range::prefix(KeyBuf::of(&contact)).reverse().limit(most))
}

/// The interactions with an organization itself and with its contacts, newest first.
pub fn talks_of(
    read: &dyn Read,
    organization: OrganizationId,
    most: usize,
) -> Result<Vec<Talk>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&organization)).reverse().limit(most);
    let mut all: Vec<Talk> = read.scan(BY_ORGANIZATION, &range)?;
    for contact in contacts_of(read, organization)? {
        all.extend(talks_with(read, ContactId::from_uuid(contact.id), most)?);
    }
    all.sort_by_key(|talk| std::cmp::Reverse((talk.occurred_at, talk.id)));
    all.dedup_by_key(|talk| talk.id);
    all.truncate(most);
    Ok(all)
}

/// The contacts of an organization, by name.
pub fn contacts_of(read: &dyn Read, organization: OrganizationId) -> Result<Vec<Row>, StoreError> {
    let key = identity_key(None, &(4, organization.uuid().to_string()));
    let kind = RowKind::CONTACTS;
    let mut all = kind.scan(read, kind.identity, &Range::prefix(key))?;
    all.sort_by_key(|contact| contact.name().to_lowercase());
    Ok(all)
}

/// The latest interaction with a contact other than a note.
pub fn last_touch(
    read: &dyn Read,
    contact: ContactId,
) -> Result<Option<(TalkKind, Timestamp)>, StoreError> {
    /// Maximum number of newer notes that are skipped.
    const MOST: usize = 20;
    let newest = talks_with(read, contact, MOST)?;
    Ok(newest
        .into_iter()
        .find(|talk| talk.kind.is_touch())
        .map(|talk| (talk.kind, talk.occurred_at)))
}

/// The date of the next follow-up of each contact that has one.
pub fn follow_ups(read: &dyn Read) -> Result<BTreeMap<ContactId, Date>, StoreError> {
    let mut days = BTreeMap::new();
    for talk in read.scan::<Talk>(BY_DUE, &Range::all())? {
        if let (Some(contact), Some(day)) = (talk.contact, talk.next_on) {
            let first = days.entry(contact).or_insert(day);
            *first = (*first).min(day);
        }
    }
    Ok(days)
}

/// Maximum number of suggestions that are listed or decided at once.
pub const MOST_SUGGESTED: usize = 500;

/// The newest suggestions, and how many more there are.
pub fn suggested(read: &dyn Read) -> Result<(Vec<Suggestion>, usize), StoreError> {
    let mut all: Vec<Suggestion> = read.list(&Range::all().reverse())?;
    let more = all.len().saturating_sub(MOST_SUGGESTED);
    all.truncate(MOST_SUGGESTED);
    Ok((all, more))
}

/// The suggestions for a row, by field.
pub fn suggestions(
    kind: &'static RowKind,
    read: &dyn Read,
    id: Uuid,
) -> Result<Vec<Suggestion>, StoreError> {
    let row = kind.target(id);
    read.scan(BY_ROW, &Range::prefix(row_key(row)))
}
