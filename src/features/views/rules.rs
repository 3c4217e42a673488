//! All writes to saved views.

use super::model::{Look, View};
use super::queries::{self, MAX_NAME, MAX_WORDS, MOST, ViewError};
use crate::views::model::ViewId;
use entity::{Stored, Values};
use kernel::{AccountId, Error, FieldError, Timestamp, text};
use serde_json::Value;
use store::{Read, StoreError, WriteTx};

/// Maximum slug length in bytes.
const MAX_SLUG: usize = 40;

/// Visibility of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    All,
    /// Only its creator.
    Me,
}

#[derive(Clone, Debug)]
pub struct NewView {
    /// List of the view, by path or name.
    pub noun: String,
    pub name: String,
    /// One emoji, or empty.
    pub icon: String,
    pub seen: For,
    pub look: Look,
}

/// A change. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct ViewPatch {
    pub name: Option<String>,
    /// One emoji, or empty.
    pub icon: Option<String>,
    pub seen: Option<For>,
    pub look: Option<Look>,
    pub position: Option<u32>,
}

impl Stored for View {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let (id, owner, now) = (tx.new_id(), tx.by().account(), tx.now());
        Self {
            id,
            noun: "tasks".to_owned(),
            slug: String::new(),
            name: String::new(),
            icon: String::new(),
            owner,
            look: Look::default(),
            position: 0,
            created_at: now,
            updated_at: now,
            within: None,
        }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        if let Some(shared) = given.get("shared").and_then(Value::as_bool) {
            new.owner = tx.by().account().filter(|_| !shared);
        }
        *new = match old {
            None => placed(tx, new.clone())?,
            Some(_) => {
                // A stored look is not validated again, so that renaming works even if it became invalid.
                let is_new = given.contains_key("look");
                let faults =
                    if is_new { look_faults(tx, &new.noun, &new.look)? } else { Vec::new() };
                checked(new.clone(), faults)?
            }
        };
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }
}

/// Validates the list of a new view, and assigns the last position and a free slug.
fn placed(tx: &WriteTx<'_>, view: View) -> Result<View, ViewError> {
    let Some((listing, lists)) = queries::listing(tx, &view.noun)? else {
        let known: Vec<&str> = queries::lists().map(|lists| lists.paths).collect();
        return Err(wrong("noun", format!("Only these have views: {}.", known.join(", "))));
    };
    if MOST <= queries::count(tx, &listing.path)? {
        return Err(ViewError::TooMany);
    }
    let faults = (lists.faults)(tx, &listing, &view.look.fields())?;
    let position = queries::behind(tx, &listing.path)?;
    let view = View { noun: listing.path, position, within: listing.within, ..view };
    let view = checked(view, faults)?;
    let slug = free_slug(tx, &view, lists.kept)?;
    Ok(View { slug, ..view })
}

/// Creates a view at the last position.
///
/// # Errors
/// If the input is invalid or the limit is reached.
pub fn create(tx: &mut WriteTx<'_>, me: AccountId, new: NewView) -> Result<View, ViewError> {
    let NewView { noun, name, icon, seen, look } = new;
    let blank = View::blank(tx);
    let view = placed(tx, View { noun, name, icon, owner: owner(seen, me), look, ..blank })?;
    tx.put(&view)?;
    Ok(view)
}

/// Changes a view. Its slug stays, so that links keep working.
///
/// # Errors
/// If the input is invalid or the view is invisible to the account.
pub fn update(
    tx: &mut WriteTx<'_>,
    me: AccountId,
    id: ViewId,
    patch: ViewPatch,
) -> Result<View, ViewError> {
    let old = queries::get(tx, id, me)?.0;
    // A stored look is not validated again, so that renaming works even if it became invalid.
    let faults = match &patch.look {
        Some(look) => look_faults(tx, &old.noun, look)?,
        None => Vec::new(),
    };
    let view = View {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        icon: patch.icon.unwrap_or_else(|| old.icon.clone()),
        owner: patch.seen.map_or(old.owner, |seen| owner(seen, me)),
        look: patch.look.unwrap_or_else(|| old.look.clone()),
        position: patch.position.unwrap_or(old.position),
        ..old.clone()
    };
    let view = checked(view, faults)?;
    if view == old {
        return Ok(old);
    }
    let view = View { updated_at: tx.now(), ..view };
    tx.put(&view)?;
    Ok(view)
}

/// Direction of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Swaps a view with its neighbour among the views that the account sees. No effect at the end.
///
/// # Errors
/// If there is no such view, or it is invisible to the account.
pub fn shift(tx: &mut WriteTx<'_>, me: AccountId, id: ViewId, to: Side) -> Result<View, ViewError> {
    let noun = queries::get(tx, id, me)?.0.noun;
    let mut all = queries::of(tx, &noun, me)?;
    // Views with equal positions are ordered by age. This makes positions distinct.
    let mut places: Vec<u32> = all.iter().map(|view| view.position).collect();
    for n in 1..places.len() {
        places[n] = places[n].max(places[n - 1].saturating_add(1));
    }
    let at = all.iter().position(|view| view.id == id);
    let beside = at.and_then(|at| match to {
        Side::Left => at.checked_sub(1),
        Side::Right => Some(at + 1).filter(|beside| *beside < all.len()),
    });
    if let (Some(at), Some(beside)) = (at, beside) {
        all.swap(at, beside);
        for (view, position) in all.into_iter().zip(places) {
            if view.position != position {
                tx.put(&View { position, updated_at: tx.now(), ..view })?;
            }
        }
    }
    Ok(queries::get(tx, id, me)?.0)
}

/// Deletes a view.
///
/// # Errors
/// If there is no such view, or it is invisible to the account.
pub fn remove(tx: &mut WriteTx<'_>, me: AccountId, id: ViewId) -> Result<View, ViewError> {
    let view = queries::get(tx, id, me)?.0;
    tx.delete::<View>(id)?;
    Ok(view)
}

/// Fails if the view changed since revision `rev`.
///
/// # Errors
/// `Stale`, or if there is no such view.
pub fn check_rev(
    tx: &WriteTx<'_>,
    me: AccountId,
    id: ViewId,
    rev: Option<u64>,
) -> Result<(), ViewError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get(tx, id, me)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

fn owner(seen: For, me: AccountId) -> Option<AccountId> {
    (seen == For::Me).then_some(me)
}

fn wrong(field: &str, message: String) -> ViewError {
    ViewError::Invalid(vec![FieldError::new(field, message)])
}

/// Errors of a look, from its list.
fn look_faults(read: &dyn Read, path: &str, look: &Look) -> Result<Vec<FieldError>, StoreError> {
    match queries::listing(read, path)? {
        Some((listing, lists)) => (lists.faults)(read, &listing, &look.fields()),
        None => Ok(Vec::new()),
    }
}

/// Validates and normalises a view. Reports all errors at once.
fn checked(mut view: View, mut faults: Vec<FieldError>) -> Result<View, ViewError> {
    view.name = text::one_line(&view.name);
    view.icon = view.icon.trim().to_owned();
    match view.name.chars().count() {
        0 => faults.push(FieldError::new("name", "Enter a name.")),
        n if MAX_NAME < n => {
            faults.push(FieldError::new("name", format!("Use at most {MAX_NAME} characters.")));
        }
        _ => {}
    }
    if 8 < view.icon.chars().count() {
        faults.push(FieldError::new("icon", "Use one emoji."));
    }
    for (name, words) in view.look.fields() {
        if MAX_WORDS < words.len() {
            faults.push(FieldError::new(name, format!("Use at most {MAX_WORDS} bytes.")));
        }
    }
    if faults.is_empty() { Ok(view) } else { Err(ViewError::Invalid(faults)) }
}

/// A slug from the name that no other view of the list has.
fn free_slug(tx: &WriteTx<'_>, view: &View, kept: &[&str]) -> Result<String, StoreError> {
    let base = match text::slug(&view.name, MAX_SLUG) {
        slug if slug.is_empty() => "view".to_owned(),
        slug => slug,
    };
    let mut slug = base.clone();
    let mut n = 1;
    while kept.contains(&slug.as_str()) || queries::is_taken(tx, &view.noun, &slug)? {
        n += 1;
        slug = format!("{base}-{n}");
    }
    Ok(slug)
}
