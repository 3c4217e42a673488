//! Undo guard for streams and series.

use crate::streams::model::Stream;
use crate::streams::queries::StreamError;
use crate::tasks::model::series::Series;
use kernel::StreamId;
use store::undo::{After, Refusal, Row};
use store::{ReadExt as _, StoreError};

use super::{Held, Sides, Undoer, whole};

fn is_archived(stream: &Stream) -> bool {
    stream.archived_at.is_some()
}

/// Refusal if the stream is archived and is not restored by the same undo.
pub(super) fn archived_stream(
    after: &After<'_>,
    stream: Option<StreamId>,
) -> Result<Option<Refusal>, StoreError> {
    let Some(id) = stream else { return Ok(None) };
    let (now, then) = (after.now().get::<Stream>(id)?, after.get::<Stream>(id)?);
    let archived = now.filter(is_archived).and(then.filter(is_archived));
    Ok(archived.map(|stream| Refusal::of(&StreamError::Archived(stream.name))))
}

impl Undoer {
    /// An archived stream must be restored before other changes, and its owner must exist.
    pub(super) fn stream(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let Sides { now, to: Some(to) } = Sides::<Stream>::of(row)? else { return Ok(Vec::new()) };
        if let Some(now) = now.as_ref().filter(|now| is_archived(now) && is_archived(&to)) {
            let refusal = Refusal::of(&StreamError::Archived(now.name.clone()));
            return Ok(whole(Some(refusal)));
        }
        if now.is_some_and(|now| now.lead == to.lead) {
            return Ok(Vec::new());
        }
        let refusal = self.given(after, to.lead)?;
        Ok(refusal.map(|refusal| (&["lead"][..], refusal)).into_iter().collect())
    }

    /// Assignee and stream of a series must be valid.
    pub(super) fn series(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let Sides { now, to: Some(to) } = Sides::<Series>::of(row)? else { return Ok(Vec::new()) };
        let mut held: Vec<Held> = Vec::new();
        if now.as_ref().is_none_or(|now| now.assignee != to.assignee) {
            let refusal = self.given(after, to.assignee)?;
            held.extend(refusal.map(|refusal| (&["assignee"][..], refusal)));
        }
        if now.is_none_or(|now| now.stream != to.stream) {
            let refusal = archived_stream(after, to.stream)?;
            held.extend(refusal.map(|refusal| (&["stream"][..], refusal)));
        }
        Ok(held)
    }
}
