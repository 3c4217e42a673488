//! Suggestions compared with the current text, and accepting one, merged with concurrent changes.

use app::{Who, Ws};
use store::{Blobs, Range, Read, ReadExt as _};

use crate::error::KnowledgeError;
use crate::links;
use crate::model::{Body, Item, KnowledgeSuggestionId, Suggestion, Text};
use crate::queries;
use crate::rules;
use crate::words::{self, Written};

/// Number of attempts to merge with concurrent changes.
const TRIES: usize = 5;
/// Maximum number of suggestions returned.
const MOST: usize = 100;

/// A suggestion with its effect.
#[derive(Clone, Debug)]
pub struct Shown {
    pub one: Suggestion,
    /// Revision of the suggestion, which identifies what a person has seen.
    pub rev: u64,
    pub item: Item,
    /// The current and the new text; `None` if the text stays.
    pub words: Option<(String, String)>,
    /// Whether it conflicts with a later change and cannot be accepted as it is.
    pub clash: bool,
}

/// All suggestions, newest first, and the number of further ones.
pub fn all(blobs: &Blobs, read: &dyn Read) -> Result<(Vec<Shown>, usize), KnowledgeError> {
    let mut all: Vec<Suggestion> = read.list(&Range::all())?;
    all.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.id.cmp(&a.id)));
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    let shown = all.into_iter().map(|one| shown(blobs, read, one.id));
    Ok((shown.collect::<Result<_, _>>()?, more))
}

fn shown(
    blobs: &Blobs,
    read: &dyn Read,
    id: KnowledgeSuggestionId,
) -> Result<Shown, KnowledgeError> {
    let (one, rev) = queries::suggestion(read, id)?;
    let item = queries::item_by_id(read, one.item)?;
    let (words, clash) = match settled(blobs, read, &one) {
        Ok(settled) => (settled.map(|settled| (settled.now, settled.then)), false),
        // Both sides are shown unmerged.
        Err(KnowledgeError::Clash(clash)) => (Some((clash.now.clone(), clash.mine.clone())), true),
        Err(error) => return Err(error),
    };
    Ok(Shown { one, rev, item, words, clash })
}

/// A suggested text, merged with the current one.
struct Settled {
    now: String,
    then: String,
    /// Revision of the current text.
    rev: u64,
}

fn settled(
    blobs: &Blobs,
    read: &dyn Read,
    one: &Suggestion,
) -> Result<Option<Settled>, KnowledgeError> {
    let (Some(text), Some(base)) = (&one.text, &one.base) else { return Ok(None) };
    let of = |text: &Text| text.read(blobs).map_err(|error| KnowledgeError::disk(&error));
    let (body, rev) = read
        .get_rev::<Body>(one.item)?
        .ok_or_else(|| KnowledgeError::no("page", &one.item.to_string()))?;
    let now = of(&body.text)?;
    let written = Written { text: of(text)?, base: Some(of(base)?), reason: String::new() };
    let then = words::settle(&written, &now)?;
    Ok(Some(Settled { now, then, rev }))
}

/// Accepts a suggestion. `seen` is the revision that the person has seen, if known.
///
/// # Errors
/// [`KnowledgeError::Clash`] if it conflicts with a later change. Also a suggestion that is gone or was replaced.
pub async fn take(
    ws: &Ws,
    who: &(impl Who + Sync),
    id: KnowledgeSuggestionId,
    seen: Option<u64>,
) -> Result<Suggestion, KnowledgeError> {
    for _ in 0..TRIES {
        let (rev, words) = ws
            .read_blocking(move |ws| {
                ws.read(|snap| {
                    let (one, rev) = queries::suggestion(snap, id)?;
                    if seen.is_some_and(|seen| seen != rev) {
                        let words = "the suggestion has changed; check it again";
                        return Err(KnowledgeError::Refused(words.to_owned()));
                    }
                    let Some(settled) = settled(&ws.blobs, snap, &one)? else {
                        return Ok((rev, None));
                    };
                    let links = links::names(&settled.then);
                    let text = Text::keep(&ws.blobs, settled.then);
                    let text = text.map_err(|error| KnowledgeError::disk(&error))?;
                    Ok::<_, KnowledgeError>((rev, Some((text, settled.rev, links))))
                })
            })
            .await?;
        match ws.write(who, move |tx| rules::take(tx, (id, rev), words)).await {
            Err(KnowledgeError::Moved) => {}
            done => return done,
        }
    }
    Err(KnowledgeError::Moved)
}
