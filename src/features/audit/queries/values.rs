//! Field changes of system records, in words. History pages belong to one workspace, so changes in the system store are
//! shown with their entries instead.

use std::cell::RefCell;

use crate::history::queries::fields::{FieldDiff, Speaker};
use crate::history::queries::names::{Names, Word};
use crate::history::queries::shown::FieldView;
use crate::history::queries::versions::{describe, fields_of};
use app::Ws;
use store::history::{Steps, at};
use store::{Change, Class, Read, Root, Schema, StoreError};

use super::ask::AuditQuery;

/// Describes changes of system records, limited to what the viewer may read.
pub struct Values<'r> {
    ws: &'r Ws,
    of: &'r dyn Read,
    schema: &'r Schema,
    wish: &'r AuditQuery,
    names: Names<'r>,
    steps: RefCell<Steps>,
}

impl<'r> Values<'r> {
    /// For the system records in `of`, with names from a workspace.
    pub fn new(
        ws: &'r Ws,
        read: &'r dyn Read,
        (of, schema): (&'r dyn Read, &'r Schema),
        wish: &'r AuditQuery,
    ) -> Result<Self, StoreError> {
        let names = Names::new(read)?;
        for place in ws.app.workspaces.read().iter() {
            names.know("workspace", place.id, Word::plain(&*place.slug));
        }
        Ok(Self { ws, of, schema, wish, names, steps: RefCell::default() })
    }

    /// Fields that an entry changed in a record. Empty if values are not kept or not readable.
    pub fn changed(&self, seq: u64, change: &Change) -> Result<Vec<FieldDiff>, StoreError> {
        let class = self.schema.table(change.table).and_then(|info| info.class());
        if class != Some(Class::Tracked) {
            return Ok(Vec::new());
        }
        let record = Root { table: change.table, key: change.key.clone() };
        let version = at(self.of, self.schema, &record, seq, &mut self.steps.borrow_mut())?;
        let Some(version) = version else { return Ok(Vec::new()) };
        for image in [&version.before, &version.after] {
            let fields = fields_of(self.schema, record.table, image.bytes());
            if fields.is_some_and(|fields| !self.wish.may_read_values(&record, &fields)) {
                return Ok(Vec::new());
            }
        }
        let speaker = Speaker { names: &self.names, zone: self.wish.zone.clone() };
        describe(&speaker, self.schema, record.table, &version).map(|described| described.fields)
    }

    /// Like `changed`, for display.
    pub fn shown(&self, seq: u64, change: &Change) -> Result<Vec<FieldView>, StoreError> {
        Ok(FieldView::all(self.ws, self.changed(seq, change)?))
    }
}
