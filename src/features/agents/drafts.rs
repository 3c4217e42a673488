//! Accepting and rejecting drafts of identity files.

use super::editing::{self, Base, EditError, Ends, Hand, Written};
use super::files::{self, FilesError};
use super::queries::drafts::path_of;

/// Accepts a draft: its text replaces the file's, and the draft is removed. `hash` is that of the reviewed draft.
///
/// # Errors
/// `Changed` if the draft changed since; errors of saving the text.
pub async fn take(hand: Hand<'_>, name: &str, hash: &str) -> Result<(), EditError> {
    let path = known(name)?;
    let text = text_of(hand, &path).await?;
    let text = text.ok_or_else(|| FilesError::NotFound(path.clone()))?;
    if editing::hash(&text) != hash {
        return Err(EditError::Changed(path));
    }
    let now = text_of(hand, name).await?.unwrap_or_default();
    let written = Written { text, base: Base::Text(now), ends: Ends::Given };
    editing::save(hand, name, written).await?;
    editing::remove(hand, &path).await.map(drop)
}

/// Rejects a draft: removes it and leaves the file unchanged. The draft stays in the history.
///
/// # Errors
/// `NotFound` if there is none.
pub async fn refuse(hand: Hand<'_>, name: &str) -> Result<(), EditError> {
    editing::remove(hand, &known(name)?).await.map(drop)
}

fn known(name: &str) -> Result<String, EditError> {
    path_of(name).ok_or_else(|| FilesError::NotFound(name.to_owned()).into())
}

/// Complete text of a file; `None` if it does not exist.
async fn text_of(hand: Hand<'_>, path: &str) -> Result<Option<String>, EditError> {
    match files::read(hand.ws, hand.agent, path, editing::MAX_TEXT as u64).await {
        Ok(content) if content.is_cut => {
            let (most, has) = (editing::MAX_TEXT as u64 / 1024, content.total.div_ceil(1024));
            Err(EditError::TooLong { path: path.to_owned(), most, has })
        }
        Ok(content) => content.text.map(Some).ok_or_else(|| EditError::NoText(path.to_owned())),
        Err(FilesError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
