//! The kinds of rows: contacts, organizations and records of collections. A kind has the differences between the three
//! and reaches its table through function pointers, so that all other code is compiled once.

use std::fmt::{self, Debug, Formatter};

use entity::{Entity, Target};
use kernel::key::KeyBuf;
use kernel::{Event, RowAct};
use store::columns::Columns;
use store::{DecodeError, Index, Range, Read, Root, StoreError, Table, WriteTx};
use uuid::Uuid;

use super::stored::{CONTACTS_KIND, ORGANIZATIONS_KIND, RECORDS_KIND};
use super::{CollectionId, Home, Row};
use crate::list_cache::{Shared, Slim};

/// Callback for the in-memory columns of a kind.
pub(super) type SlimBody<'b> = dyn FnMut(&[&Slim], &Shared) + 'b;

/// A row, with the number of the entry that last wrote it.
type RowRev = (Row, u64);
type Found = Result<Option<Row>, StoreError>;
type Rows = Result<Vec<Row>, StoreError>;

/// The properties of a kind of rows.
pub struct RowKind {
    pub table: Table,
    /// Index of identities.
    pub identity: Index,
    /// Unique index of email addresses.
    pub email: Option<Index>,
    /// Word in addresses of pages and of the API.
    pub path: &'static str,
    /// The home that defines the fields of a row; for a record its collection.
    pub home: fn(Option<CollectionId>) -> Home,
    pub(super) entity: fn() -> &'static Entity,
    pub(super) decode: fn(&[u8]) -> Result<Row, DecodeError>,
    pub(super) get: fn(&dyn Read, Uuid) -> Result<Option<RowRev>, StoreError>,
    pub(super) find: fn(&dyn Read, Index, &KeyBuf) -> Found,
    pub(super) scan: fn(&dyn Read, Index, &Range) -> Rows,
    pub(super) list: fn(&dyn Read, &Range) -> Rows,
    pub(crate) put: fn(&mut WriteTx<'_>, &Row) -> Result<(), StoreError>,
    pub(crate) delete: fn(&mut WriteTx<'_>, Uuid) -> Result<bool, StoreError>,
    pub(super) changed: fn(&Row, &Row) -> Event,
    pub(super) columns: fn(&Columns<'_>, &mut SlimBody<'_>) -> Result<(), StoreError>,
}

impl RowKind {
    pub const CONTACTS: &'static Self = &CONTACTS_KIND;
    pub const ORGANIZATIONS: &'static Self = &ORGANIZATIONS_KIND;
    pub const RECORDS: &'static Self = &RECORDS_KIND;

    /// The kind of the rows in a table; records for any other table.
    #[must_use]
    pub fn of_table(number: u16) -> &'static Self {
        let all = [Self::CONTACTS, Self::ORGANIZATIONS];
        all.into_iter().find(|kind| kind.table.number == number).unwrap_or(Self::RECORDS)
    }

    /// The kind whose word is a segment of a path; records if there is none.
    #[must_use]
    pub(crate) fn in_path(path: &str) -> &'static Self {
        let all = [Self::CONTACTS, Self::ORGANIZATIONS];
        let is_there = |kind: &&Self| path.split('/').any(|part| part == kind.path);
        all.into_iter().find(is_there).unwrap_or(Self::RECORDS)
    }

    #[must_use]
    pub fn entity(&self) -> &'static Entity {
        (self.entity)()
    }

    #[must_use]
    pub fn is_contacts(&self) -> bool {
        self == Self::CONTACTS
    }

    /// The home that defines the fields of a row.
    #[must_use]
    pub fn home(&self, collection: Option<CollectionId>) -> Home {
        (self.home)(collection)
    }

    /// A row as a target of suggestions and cells.
    #[must_use]
    pub fn target(&self, id: Uuid) -> Target {
        Target { table: self.table.number, id }
    }

    /// A row as the root of other records.
    #[must_use]
    pub fn root(&self, id: Uuid) -> Root {
        Root { table: self.table.number, key: id.as_bytes().to_vec() }
    }

    /// A stored row; `None` if it is unreadable.
    #[must_use]
    pub fn read_row(&self, row: &[u8]) -> Option<Row> {
        // ok: an unreadable row has no cells.
        self.decode(row).ok()
    }

    pub(crate) fn decode(&self, row: &[u8]) -> Result<Row, DecodeError> {
        (self.decode)(row)
    }

    /// A row by its id.
    pub fn get(&self, read: &dyn Read, id: Uuid) -> Result<Option<Row>, StoreError> {
        Ok(self.get_rev(read, id)?.map(|(row, _)| row))
    }

    /// A row by its id, with the number of the entry that last wrote it.
    pub fn get_rev(&self, read: &dyn Read, id: Uuid) -> Result<Option<(Row, u64)>, StoreError> {
        (self.get)(read, id)
    }

    /// The row with a key of a unique index.
    pub fn find(
        &self,
        read: &dyn Read,
        index: Index,
        key: &KeyBuf,
    ) -> Result<Option<Row>, StoreError> {
        (self.find)(read, index, key)
    }

    /// The rows in a range of an index, in its order.
    pub fn scan(
        &self,
        read: &dyn Read,
        index: Index,
        range: &Range,
    ) -> Result<Vec<Row>, StoreError> {
        (self.scan)(read, index, range)
    }

    /// The rows in a range of the table, by id.
    pub fn list(&self, read: &dyn Read, range: &Range) -> Result<Vec<Row>, StoreError> {
        (self.list)(read, range)
    }

    /// The event of an act on a row.
    #[must_use]
    pub fn event(&self, id: Uuid, act: RowAct) -> Event {
        let id = id.as_bytes().to_vec();
        Event::Row { table: self.table.number, id, act, fields: Vec::new() }
    }

    /// Calls the body with the in-memory columns of all rows, ordered by id.
    pub(crate) fn with_columns<T>(
        &self,
        columns: &Columns<'_>,
        body: impl FnOnce(&[&Slim], &Shared) -> T,
    ) -> Result<T, StoreError> {
        let (mut body, mut done) = (Some(body), None);
        (self.columns)(columns, &mut |rows, shared| {
            done = body.take().map(|body| body(rows, shared));
        })?;
        done.ok_or(StoreError::Closed)
    }
}

impl Row {
    /// The event of a changed row.
    #[must_use]
    pub fn changed_from(&self, old: &Self) -> Event {
        (self.kind.changed)(old, self)
    }
}

impl PartialEq for RowKind {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table
    }
}

impl Eq for RowKind {}

impl Debug for RowKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.table.name)
    }
}

#[cfg(test)]
mod tests {
    use super::RowKind;

    #[test]
    fn the_word_in_a_route_says_the_kind() {
        for (route, kind) in [
            ("/w/{ws}/contacts/{id}/{verb}", RowKind::CONTACTS),
            ("/api/v1/organizations", RowKind::ORGANIZATIONS),
            ("/api/v1/records/{id}", RowKind::RECORDS),
            ("/w/{ws}/contacts_of/{id}", RowKind::RECORDS),
        ] {
            assert_eq!(RowKind::in_path(route), kind, "{route}");
        }
    }

    #[test]
    fn a_kind_is_found_by_its_table() {
        for kind in [RowKind::CONTACTS, RowKind::ORGANIZATIONS, RowKind::RECORDS] {
            assert_eq!(RowKind::of_table(kind.table.number), kind);
        }
    }
}
