//! Reads of saved views.

use super::model::{BY_SLUG, ListView, View};
use crate::cards;
use crate::tasks::queries::looks;
use crate::views::model::ViewId;
use entity::{Listing, Lists};
use kernel::key::KeyBuf;
use kernel::{AccountId, Error, FieldError, Problem, ProblemKind};
use store::{Range, Read, ReadExt as _, StoreError};

/// Maximum name length in characters.
pub const MAX_NAME: usize = 60;
/// Maximum length of a query or word list, in bytes.
pub const MAX_WORDS: usize = 2_000;
/// Maximum number of views per list.
pub const MOST: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("there is no view \"{0}\"; choose one from the list of views")]
    NotFound(String),
    #[error("\"{0}\" isn't a list with views")]
    NoList(String),
    #[error("there are already {MOST} views, the maximum; delete unused ones")]
    TooMany,
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        Self::of(error)
    }
}

impl Problem for ViewError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoList(_) => "view_not_found",
            Self::TooMany => "too_many_views",
            Self::Invalid(_) => "invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoList(_) => ProblemKind::NotFound,
            Self::TooMany => ProblemKind::Conflict,
            Self::Invalid(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }
}

/// Lists that support views, task lists first.
pub fn lists() -> impl Iterator<Item = &'static Lists> {
    std::iter::once(&looks::LISTS).chain(cards::all().filter_map(|noun| noun.lists.as_ref()))
}

/// The list with a path or name, and its noun's rules for views. `None` if there is no such list.
pub fn listing(
    read: &dyn Read,
    path: &str,
) -> Result<Option<(Listing, &'static Lists)>, StoreError> {
    for lists in lists() {
        if let Some(listing) = (lists.find)(read, path)? {
            return Ok(Some((listing, lists)));
        }
    }
    Ok(None)
}

/// Views of a list that an account sees: built-in ones, then saved ones.
pub fn on_list(
    read: &dyn Read,
    (path, who): (&str, AccountId),
    mut built_in: Vec<ListView>,
) -> Result<Vec<ListView>, StoreError> {
    built_in.extend(of(read, path, who)?.into_iter().map(ListView::from));
    Ok(built_in)
}

/// All views of a list, by slug.
fn all(read: &dyn Read, noun: &str) -> Result<Vec<View>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun);
    read.scan(BY_SLUG, &Range::prefix(key))
}

/// The next free position in a list.
pub fn behind(read: &dyn Read, noun: &str) -> Result<u32, StoreError> {
    let last = all(read, noun)?.iter().map(|view| view.position).max();
    Ok(last.map_or(0, |last| last.saturating_add(1)))
}

/// Saved views of a list that an account sees, by position.
pub fn of(read: &dyn Read, noun: &str, who: AccountId) -> Result<Vec<View>, StoreError> {
    let mut all = all(read, noun)?;
    all.retain(|view| view.is_for(who));
    all.sort_by_key(|view| (view.position, view.created_at));
    Ok(all)
}

/// Shared views of a list, by position.
pub fn shared(read: &dyn Read, noun: &str) -> Result<Vec<View>, StoreError> {
    let mut all = all(read, noun)?;
    all.retain(|view| view.owner.is_none());
    all.sort_by_key(|view| (view.position, view.created_at));
    Ok(all)
}

/// View and its revision, if the account may see it.
pub fn get(read: &dyn Read, id: ViewId, who: AccountId) -> Result<(View, u64), ViewError> {
    let found = read.get_rev::<View>(id)?;
    let seen = found.filter(|(view, _)| view.is_for(who));
    seen.ok_or_else(|| ViewError::NotFound(id.to_string()))
}

/// Revision of a view, for forms.
pub fn rev(read: &dyn Read, id: ViewId) -> Result<u64, StoreError> {
    Ok(read.get_rev::<View>(id)?.map_or(0, |(_, rev)| rev))
}

/// Returns `true` if any view of the list has this slug.
pub fn is_taken(read: &dyn Read, noun: &str, slug: &str) -> Result<bool, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun).text(slug);
    Ok(read.find::<View>(BY_SLUG, &key)?.is_some())
}

/// Number of views of a list.
pub fn count(read: &dyn Read, noun: &str) -> Result<usize, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun);
    read.len(BY_SLUG, &Range::prefix(key))
}
