//! Sentences for record events of nouns with descriptors.

use entity::Area;
use kernel::RowAct;
use kernel::text::ellipsis;
use store::{Entry, StoreError};

use super::{MAX_TITLE, Speaker, Words};
use crate::cards::{self, RowEvent};

impl Speaker<'_> {
    /// Sentence for a record event. Possibly private records are never described.
    pub(super) fn row(
        &self,
        entry: &Entry,
        row: &RowEvent<'_>,
    ) -> Result<Option<(Area, Words)>, StoreError> {
        let noun = row.noun;
        if noun.own.is_some() {
            return Ok(None);
        }
        let fields = cards::fields_in(self.read, entry, (noun, &row.id))?;
        let title = fields.as_ref().map(noun.title).or_else(|| row.title.map(str::to_owned));
        let (verb, icon) = match row.act {
            RowAct::Created => ("created", "plus"),
            RowAct::Changed => ("changed", "edit"),
            RowAct::Deleted => ("deleted", "x"),
        };
        let words = Words {
            verb: format!("{verb} the {}", noun.one),
            thing: ellipsis(title.as_deref().unwrap_or("(removed)"), MAX_TITLE),
            path: fields.as_ref().map(noun.path).unwrap_or_default(),
            icon,
            ..Words::default()
        };
        Ok(Some((noun.area, words)))
    }
}
