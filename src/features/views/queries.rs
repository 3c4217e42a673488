//! Reads of saved views.

use super::model::{BY_SLUG, ListView, View};
use crate::cards;
use crate::tasks::queries::looks;
use crate::views::model::ViewId;
use entity::{Listing, Lists};
use kernel::key::KeyBuf;
use kernel::{AccountId, Error, FieldError, Problem, ProblemKind};
use store::{Range, Read, ReadExt as _, StoreError};

/// The longest name, in characters.
pub const MAX_NAME: usize = 60;
/// The longest query or list of words, in bytes.
pub const MAX_WORDS: usize = 2_000;
/// How many views a noun may have.
pub const MOST: usize = 300;

/// Why a view is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// No such view.
    #[error("there is no view \"{0}\"; the list of views shows those there are")]
    NotFound(String),
    /// No such list.
    #[error("nothing here has views under the name \"{0}\"")]
    NoList(String),
    /// There are enough.
    #[error("there are {MOST} views already; delete some that nobody needs")]
    TooMany,
    /// Something in the input is wrong.
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

/// The lists that can be kept as views: those of tasks first.
pub fn lists() -> impl Iterator<Item = &'static Lists> {
    std::iter::once(&looks::LISTS).chain(cards::all().filter_map(|noun| noun.lists.as_ref()))
}

/// The list that a path or a name means, and what its noun says of such lists; none when there is no such list.
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

/// The views of a list that somebody sees: those that every workspace has, then those that were saved.
pub fn on_list(
    read: &dyn Read,
    (path, who): (&str, AccountId),
    mut built_in: Vec<ListView>,
) -> Result<Vec<ListView>, StoreError> {
    built_in.extend(of(read, path, who)?.into_iter().map(ListView::from));
    Ok(built_in)
}

/// The views of a noun, whosever they are, by their slugs.
fn all(read: &dyn Read, noun: &str) -> Result<Vec<View>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun);
    read.scan(BY_SLUG, &Range::prefix(key))
}

/// The place behind all views of a noun, whosever they are.
pub fn behind(read: &dyn Read, noun: &str) -> Result<u32, StoreError> {
    let last = all(read, noun)?.iter().map(|view| view.position).max();
    Ok(last.map_or(0, |last| last.saturating_add(1)))
}

/// The views of a noun that somebody sees: everybody's and their own, in their order.
pub fn of(read: &dyn Read, noun: &str, who: AccountId) -> Result<Vec<View>, StoreError> {
    let mut all = all(read, noun)?;
    all.retain(|view| view.is_for(who));
    all.sort_by_key(|view| (view.position, view.created_at));
    Ok(all)
}

/// The views of a noun that everybody has, in their order.
pub fn shared(read: &dyn Read, noun: &str) -> Result<Vec<View>, StoreError> {
    let mut all = all(read, noun)?;
    all.retain(|view| view.owner.is_none());
    all.sort_by_key(|view| (view.position, view.created_at));
    Ok(all)
}

/// A view that somebody may see, by its id.
pub fn get(read: &dyn Read, id: ViewId, who: AccountId) -> Result<(View, u64), ViewError> {
    let found = read.get_rev::<View>(id)?;
    let seen = found.filter(|(view, _)| view.is_for(who));
    seen.ok_or_else(|| ViewError::NotFound(id.to_string()))
}

/// The rev of a view, for the forms that change it.
pub fn rev(read: &dyn Read, id: ViewId) -> Result<u64, StoreError> {
    Ok(read.get_rev::<View>(id)?.map_or(0, |(_, rev)| rev))
}

/// Whether a noun has a view with this slug, whosever it is.
pub fn is_taken(read: &dyn Read, noun: &str, slug: &str) -> Result<bool, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun).text(slug);
    Ok(read.find::<View>(BY_SLUG, &key)?.is_some())
}

/// How many views a noun has.
pub fn count(read: &dyn Read, noun: &str) -> Result<usize, StoreError> {
    let mut key = KeyBuf::new();
    key.text(noun);
    read.len(BY_SLUG, &Range::prefix(key))
}
