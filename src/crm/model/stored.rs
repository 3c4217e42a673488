//! Rows as records of the store. A record's table is a constant of its type, so each kind of rows has a type here; the
//! logic is in [`Row`].

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use entity::Entity;
use kernel::key::KeyBuf;
use kernel::{Event, TypedId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::columns::{Column, Columns};
use store::{
    Class, DecodeError, Index, Keys, Range, Read, ReadExt as _, Record, Refs, Root, StoreError,
    Table, record,
};
use uuid::Uuid;

use super::kind::SlimBody;
use super::row::{
    CONTACTS, CONTACTS_BY_EMAIL, CONTACTS_BY_IDENTITY, ORGANIZATIONS, ORGANIZATIONS_BY_IDENTITY,
    RECORDS, RECORDS_BY_HOME, RECORDS_BY_IDENTITY,
};
use super::{CollectionId, ContactId, EntryId, Home, OrganizationId, Row, RowKind};
use crate::list_cache::{Shared, Slim};
use crate::rules;

/// The constants of a kind of rows.
pub trait StoredKind: Clone + Copy + Debug + PartialEq + Eq + Send + Sync + 'static {
    type Id: TypedId + Debug + FromStr + Serialize + DeserializeOwned + Display + Send + Sync;
    const TABLE: Table;
    const INDEXES: &'static [Index];
    const IDENTITY: Index;
    const EMAIL: Option<Index>;
    const PATH: &'static str;
    fn kind() -> &'static RowKind;
    fn entity() -> &'static Entity;
    fn home(collection: Option<CollectionId>) -> Home;
}

/// People that the workspace deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contacts;

impl StoredKind for Contacts {
    type Id = ContactId;
    const TABLE: Table = CONTACTS;
    const INDEXES: &'static [Index] = &[CONTACTS_BY_EMAIL, CONTACTS_BY_IDENTITY];
    const IDENTITY: Index = CONTACTS_BY_IDENTITY;
    const EMAIL: Option<Index> = Some(CONTACTS_BY_EMAIL);
    const PATH: &'static str = "contacts";
    fn kind() -> &'static RowKind {
        &CONTACTS_KIND
    }
    fn entity() -> &'static Entity {
        &crate::cards::CONTACT
    }
    fn home(_: Option<CollectionId>) -> Home {
        Home::Contacts
    }
}

/// Companies and other groups of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Organizations;

impl StoredKind for Organizations {
    type Id = OrganizationId;
    const TABLE: Table = ORGANIZATIONS;
    const INDEXES: &'static [Index] = &[ORGANIZATIONS_BY_IDENTITY];
    const IDENTITY: Index = ORGANIZATIONS_BY_IDENTITY;
    const EMAIL: Option<Index> = None;
    const PATH: &'static str = "organizations";
    fn kind() -> &'static RowKind {
        &ORGANIZATIONS_KIND
    }
    fn entity() -> &'static Entity {
        &crate::cards::ORGANIZATION
    }
    fn home(_: Option<CollectionId>) -> Home {
        Home::Organizations
    }
}

/// Records of collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records;

impl StoredKind for Records {
    type Id = EntryId;
    const TABLE: Table = RECORDS;
    const INDEXES: &'static [Index] = &[RECORDS_BY_HOME, RECORDS_BY_IDENTITY];
    const IDENTITY: Index = RECORDS_BY_IDENTITY;
    const EMAIL: Option<Index> = None;
    const PATH: &'static str = "records";
    fn kind() -> &'static RowKind {
        &RECORDS_KIND
    }
    fn entity() -> &'static Entity {
        &crate::cards::RECORD
    }
    fn home(collection: Option<CollectionId>) -> Home {
        collection.map_or(Home::Contacts, Home::Collection)
    }
}

pub(super) static CONTACTS_KIND: RowKind = kind_of::<Contacts>();
pub(super) static ORGANIZATIONS_KIND: RowKind = kind_of::<Organizations>();
pub(super) static RECORDS_KIND: RowKind = kind_of::<Records>();

const fn kind_of<K: StoredKind>() -> RowKind {
    RowKind {
        table: K::TABLE,
        identity: K::IDENTITY,
        email: K::EMAIL,
        path: K::PATH,
        home: K::home,
        entity: K::entity,
        decode: decode::<K>,
        get: get::<K>,
        find: find::<K>,
        scan: scan::<K>,
        list: list::<K>,
        put: rules::put_row::<K>,
        delete: rules::delete_row::<K>,
        changed: changed::<K>,
        columns: columns::<K>,
    }
}

/// A row of a kind as a record of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<K: StoredKind> {
    row: Row,
    kind: PhantomData<K>,
}

impl<K: StoredKind> Stored<K> {
    pub(crate) fn new(row: Row) -> Self {
        Self { row, kind: PhantomData }
    }

    #[must_use]
    pub fn into_row(self) -> Row {
        self.row
    }
}

impl<K: StoredKind> Deref for Stored<K> {
    type Target = Row;
    fn deref(&self) -> &Row {
        &self.row
    }
}

impl<K: StoredKind> DerefMut for Stored<K> {
    fn deref_mut(&mut self) -> &mut Row {
        &mut self.row
    }
}

impl<K: StoredKind> Serialize for Stored<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.row.serialize(serializer)
    }
}

impl<'de, K: StoredKind> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Row::read(K::kind(), deserializer).map(Self::new)
    }
}

impl<K: StoredKind> Record for Stored<K> {
    type Id = K::Id;
    const TABLE: Table = K::TABLE;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = K::INDEXES;
    fn id(&self) -> K::Id {
        K::Id::from_uuid(self.row.id)
    }
    fn index(&self, keys: &mut Keys) {
        self.row.index(keys);
    }
    fn refs(&self, refs: &mut Refs) {
        self.row.refs(refs);
    }
    fn clear(&mut self, field: u8) {
        self.row.clear(field);
    }
    fn root(&self) -> Root {
        self.row.kind.root(self.row.id)
    }
    fn sample() -> Self {
        Self::new(Row::sample(K::kind()))
    }
}

/// The in-memory columns of a row of a kind.
struct SlimOf<K: StoredKind> {
    row: Slim,
    kind: PhantomData<K>,
}

impl<K: StoredKind> SlimOf<K> {
    fn new(row: Slim) -> Self {
        Self { row, kind: PhantomData }
    }
}

impl<K: StoredKind> Column for SlimOf<K> {
    type Of = Stored<K>;
    type Shared = Shared;
    fn of(stored: &Stored<K>, shared: &mut Shared) -> Self {
        Self::new(Slim::of(&stored.row, shared))
    }
    fn read(row: &[u8], shared: &mut Shared) -> Result<Self, DecodeError> {
        Slim::read(K::kind(), row, shared).map(Self::new)
    }
    fn id(&self) -> K::Id {
        K::Id::from_uuid(self.row.id)
    }
    fn on_removed(&self, shared: &mut Shared) {
        self.row.release(shared);
    }
    fn tidy(_: &mut [Self], shared: &mut Shared) {
        shared.tidy();
    }
}

fn decode<K: StoredKind>(row: &[u8]) -> Result<Row, DecodeError> {
    Ok(record::read::<Stored<K>>(row)?.0.row)
}

fn get<K: StoredKind>(read: &dyn Read, id: Uuid) -> Result<Option<(Row, u64)>, StoreError> {
    let found = read.get_rev::<Stored<K>>(K::Id::from_uuid(id))?;
    Ok(found.map(|(stored, rev)| (stored.row, rev)))
}

fn find<K: StoredKind>(
    read: &dyn Read,
    index: Index,
    key: &KeyBuf,
) -> Result<Option<Row>, StoreError> {
    Ok(read.find::<Stored<K>>(index, key)?.map(Stored::into_row))
}

fn scan<K: StoredKind>(
    read: &dyn Read,
    index: Index,
    range: &Range,
) -> Result<Vec<Row>, StoreError> {
    Ok(rows(read.scan::<Stored<K>>(index, range)?))
}

fn list<K: StoredKind>(read: &dyn Read, range: &Range) -> Result<Vec<Row>, StoreError> {
    Ok(rows(read.list::<Stored<K>>(range)?))
}

fn rows<K: StoredKind>(all: Vec<Stored<K>>) -> Vec<Row> {
    all.into_iter().map(Stored::into_row).collect()
}

fn changed<K: StoredKind>(old: &Row, new: &Row) -> Event {
    let stored = |row: &Row| Stored::<K>::new(row.clone());
    K::entity().changed(&stored(old), &stored(new))
}

fn columns<K: StoredKind>(
    columns: &Columns<'_>,
    body: &mut SlimBody<'_>,
) -> Result<(), StoreError> {
    columns.with::<SlimOf<K>, _>(|rows, shared| {
        let rows: Vec<&Slim> = rows.iter().map(|one| &one.row).collect();
        body(&rows, shared);
    })
}
