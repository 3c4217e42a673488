//! Nouns that queries reference by name: streams, labels, recurring tasks, templates.

use super::terms::OneOf;
use crate::streams::model::Stream;
use crate::tasks::model::label::{Label, LabelId};
use crate::tasks::model::series::Series;
use crate::tasks::model::template::Template;
use kernel::filter::{Key, unknown_value};
use kernel::{SeriesId, StreamId, TemplateId};
use store::{Range, Read, ReadExt as _, Record, StoreError};

/// A record that queries reference by name.
pub(super) trait Named: Record {
    /// Id and name. `None` if archived.
    fn named(&self) -> Option<(Self::Id, String)>;
}

impl Named for Stream {
    fn named(&self) -> Option<(StreamId, String)> {
        self.archived_at.is_none().then(|| (self.id, self.name.clone()))
    }
}

impl Named for Label {
    fn named(&self) -> Option<(LabelId, String)> {
        Some((self.id, self.name.clone()))
    }
}

impl Named for Series {
    fn named(&self) -> Option<(SeriesId, String)> {
        Some((self.id, self.title.clone()))
    }
}

impl Named for Template {
    fn named(&self) -> Option<(TemplateId, String)> {
        Some((self.id, self.name.clone()))
    }
}

/// Ids and names of all records that are not archived.
pub(super) fn named<R: Named>(read: &dyn Read) -> Result<Vec<(R::Id, String)>, StoreError> {
    Ok(read.list::<R>(&Range::all())?.iter().filter_map(Named::named).collect())
}

/// Ids of the known names among the query values.
pub(super) fn chosen<I: Copy>(
    key: &Key,
    values: &[String],
    known: &[(I, String)],
    wrong: &mut Vec<String>,
) -> OneOf<I> {
    let mut ids = OneOf::default();
    for value in values {
        let word = value.to_lowercase();
        match word.as_str() {
            "none" => ids.none = true,
            "any" => ids.any = true,
            _ => {
                let before = ids.values.len();
                let same = known.iter().filter(|(_, name)| name.to_lowercase() == word);
                ids.values.extend(same.map(|(id, _)| *id));
                if ids.values.len() == before {
                    let names = known.iter().map(|(_, name)| name.as_str());
                    wrong.push(unknown_value(&key.name, value, names));
                }
            }
        }
    }
    ids
}
