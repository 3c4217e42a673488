//! Record writes through the field table: create, update and delete, with the noun's own checks.

use std::str::FromStr;

use kernel::key::{KeyBuf, decode};
use kernel::{Error, Event, FieldError, ProblemKind, RowAct, Timestamp};
use serde_json::Value;
use store::schema::id_text;
use store::{ReadExt as _, Record, StoreError, WriteTx};

use crate::{Entity, Values, of_record};

/// A record that is written through its field table.
pub trait Stored: Record<Id: FromStr> {
    /// A new record with an id and default values.
    fn blank(tx: &mut WriteTx<'_>) -> Self;

    /// Validates and completes a record before it is written. `given` holds the fields that were sent.
    ///
    /// # Errors
    /// The rejection.
    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        let _ = (tx, old, new, given);
        Ok(())
    }

    /// Sets the modification time.
    fn stamp(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Deletes dependent data before a record is deleted, or refuses the deletion.
    ///
    /// # Errors
    /// Why the record cannot be deleted.
    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        let _ = (tx, gone);
        Ok(())
    }

    /// Replaces the entity's default event. Private records have no default event.
    fn event(&self, act: RowAct) -> Option<Event> {
        let _ = act;
        None
    }
}

/// Type-erased writes of a noun, created by [`Writes::of`].
#[derive(Clone, Copy)]
pub struct Writes {
    create: fn(&mut WriteTx<'_>, &'static Entity, &Values) -> Result<Vec<u8>, Error>,
    update: Update,
    remove: Remove,
}

type Remove = fn(&mut WriteTx<'_>, &'static Entity, &[u8], Option<u64>) -> Result<(), Error>;
type Update =
    fn(&mut WriteTx<'_>, &'static Entity, &[u8], Option<u64>, &Values) -> Result<(), Error>;

impl Writes {
    /// The writes of a record type.
    #[must_use]
    pub const fn of<R: Stored>() -> Self {
        Self { create: create::<R>, update: update::<R>, remove: remove::<R> }
    }
}

impl Entity {
    fn writes(&self) -> Result<Writes, Error> {
        self.writes.ok_or_else(|| {
            let message = format!("{} can't be changed here", self.many);
            Error::new(ProblemKind::Conflict, "not_written", message)
        })
    }

    /// Creates a record and returns its encoded key.
    ///
    /// # Errors
    /// The rejection by the noun's checks.
    pub fn create(&'static self, tx: &mut WriteTx<'_>, values: &Values) -> Result<Vec<u8>, Error> {
        (self.writes()?.create)(tx, self, values)
    }

    /// Updates a record. With `rev`, only if it has not changed since.
    ///
    /// # Errors
    /// `stale`, the entity's `missing` code, or the rejection by the noun's checks.
    pub fn update(
        &'static self,
        tx: &mut WriteTx<'_>,
        key: &[u8],
        rev: Option<u64>,
        values: &Values,
    ) -> Result<(), Error> {
        (self.writes()?.update)(tx, self, key, rev, values)
    }

    /// Deletes a record. With `rev`, only if it has not changed since.
    ///
    /// # Errors
    /// `stale`, the entity's `missing` code, or why the record cannot be deleted.
    pub fn remove(
        &'static self,
        tx: &mut WriteTx<'_>,
        key: &[u8],
        rev: Option<u64>,
    ) -> Result<(), Error> {
        (self.writes()?.remove)(tx, self, key, rev)
    }

    /// The error for an unknown id or name.
    #[must_use]
    pub fn not_found(&self, name: &str) -> Error {
        let name = kernel::text::ellipsis(name.trim(), 60);
        let message =
            format!("there is no {} \"{name}\"; check the list of {}", self.one, self.many);
        Error::new(ProblemKind::NotFound, self.missing, message)
    }
}

/// The record with changed fields. Checks each field's range and length.
fn with<R: Record>(of: &Entity, record: &R, values: &Values) -> Result<R, Error> {
    let mut fields = of_record(record).unwrap_or_default();
    let mut wrong = Vec::new();
    for (key, value) in values {
        let Some(field) = of.field(key) else { continue };
        wrong.extend(field.misfit(value).map(|message| FieldError::new(key, message)));
        fields.insert(key.clone(), value.clone());
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| Error::new(ProblemKind::Invalid, "invalid", error.to_string()))
}

/// Emits the event of a write. Private records emit none unless their noun provides one, because everyone can read
/// events.
fn emit<R: Stored>(
    tx: &mut WriteTx<'_>,
    of: &'static Entity,
    record: &R,
    (act, usual): (RowAct, impl FnOnce() -> Event),
) {
    let event = record.event(act).or_else(|| of.own.is_none().then(usual));
    if let Some(event) = event {
        tx.emit(event);
    }
}

fn create<R: Stored>(
    tx: &mut WriteTx<'_>,
    of: &'static Entity,
    values: &Values,
) -> Result<Vec<u8>, Error> {
    let blank = R::blank(tx);
    let mut new = with(of, &blank, values)?;
    R::check(tx, None, &mut new, values)?;
    tx.put(&new)?;
    let id = new.id();
    emit(tx, of, &new, (RowAct::Created, || of.event(&id, RowAct::Created)));
    Ok(KeyBuf::of(&id).into_bytes())
}

fn found<R: Stored>(
    tx: &WriteTx<'_>,
    of: &'static Entity,
    key: &[u8],
    rev: Option<u64>,
) -> Result<R, Error> {
    let row = match decode::<R::Id>(key) {
        Some(id) => tx.get_rev::<R>(id)?,
        None => None,
    };
    let (record, now) = row.ok_or_else(|| of.not_found(&id_text(key)))?;
    match rev {
        Some(rev) if rev != now => Err(StoreError::Stale.into()),
        _ => Ok(record),
    }
}

fn update<R: Stored>(
    tx: &mut WriteTx<'_>,
    of: &'static Entity,
    key: &[u8],
    rev: Option<u64>,
    values: &Values,
) -> Result<(), Error> {
    let old: R = found(tx, of, key, rev)?;
    let mut new = with(of, &old, values)?;
    R::check(tx, Some(&old), &mut new, values)?;
    if of_record(&new) == of_record(&old) {
        return Ok(());
    }
    new.stamp(tx.now());
    tx.put(&new)?;
    emit(tx, of, &new, (RowAct::Changed, || of.changed(&old, &new)));
    Ok(())
}

fn remove<R: Stored>(
    tx: &mut WriteTx<'_>,
    of: &'static Entity,
    key: &[u8],
    rev: Option<u64>,
) -> Result<(), Error> {
    let gone: R = found(tx, of, key, rev)?;
    R::removing(tx, &gone)?;
    let id = gone.id();
    tx.delete::<R>(id.clone())?;
    emit(tx, of, &gone, (RowAct::Deleted, || of.event(&id, RowAct::Deleted)));
    Ok(())
}
