//! What agents suggest, beside what stands there now; and taking it over, made one with what others wrote meanwhile.

use app::{Who, Ws};
use store::{Blobs, Range, Read, ReadExt as _};

use crate::error::KnowledgeError;
use crate::links;
use crate::model::{Body, Item, KnowledgeSuggestionId, Suggestion, Text};
use crate::queries;
use crate::rules;
use crate::words::{self, Written};

/// So often a text that others change at the same moment is made one anew.
const TRIES: usize = 5;
/// The most suggestions that are told at once.
const MOST: usize = 100;

/// A suggestion beside what it would change.
#[derive(Clone, Debug)]
pub struct Shown {
    pub one: Suggestion,
    /// Its rev, by which somebody says what they have seen.
    pub rev: u64,
    pub item: Item,
    /// What the item says now, and what it would say; nothing where the words stay.
    pub words: Option<(String, String)>,
    /// Whether somebody has changed the same lines since: then it cannot be taken over as it is.
    pub clash: bool,
}

/// All suggestions, newest first; and how many more there are.
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
        // Both sides are shown as they were meant.
        Err(KnowledgeError::Clash(clash)) => (Some((clash.now.clone(), clash.mine.clone())), true),
        Err(error) => return Err(error),
    };
    Ok(Shown { one, rev, item, words, clash })
}

/// Words that are suggested, made one with what stands there now.
struct Settled {
    now: String,
    then: String,
    /// The rev of what stands there now.
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

/// Takes a suggestion over. `seen` is the rev of what somebody has looked at, where they say it.
///
/// # Errors
/// [`KnowledgeError::Clash`] when somebody has changed the same lines since; when it is gone, or another one than was
/// seen.
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
                        let words = "something else is suggested by now; look at it again";
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
