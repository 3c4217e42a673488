//! Writing an item's text. Concurrent changes are merged; a text is never overwritten unseen.

use app::{Who, Ws};
use store::{ReadExt as _, WriteTx};
use tool::masks;
use tool::merge::{self, Merged};

use crate::error::KnowledgeError;
use crate::links;
use crate::model::{Body, KnowledgeId, LARGEST, Text};
use crate::queries;
use crate::rules;

/// Number of attempts to merge with concurrent changes.
const TRIES: usize = 5;

/// A text to write.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    /// The text when editing began. If unknown, the current text is replaced.
    pub base: Option<String>,
    /// Reason, in one line.
    pub reason: String,
}

/// Writes an item's text if its revision is `seen`. Returns the stored text.
///
/// # Errors
/// [`KnowledgeError::Clash`] for a conflict that a person must resolve; [`KnowledgeError::Mask`] if the text contains a
/// mask instead of its value. Also an archived item or a text that is too long.
pub async fn save(
    ws: &Ws,
    who: &(impl Who + Sync),
    id: KnowledgeId,
    written: Written,
    seen: Option<u64>,
) -> Result<(Body, String), KnowledgeError> {
    put(ws, who, id, (written, seen, unmasked)).await
}

/// Rejects a text that contains the mask of a value in the current text.
///
/// # Errors
/// [`KnowledgeError::Mask`] with the line.
pub(crate) fn unmasked(ws: &Ws, now: &str, text: &str) -> Result<(), KnowledgeError> {
    let found = masks::written(&ws.app.redactor, &[now], &[text]);
    found.map_or(Ok(()), |masked| Err(KnowledgeError::Mask(masked)))
}

type Check = fn(&Ws, &str, &str) -> Result<(), KnowledgeError>;

async fn put(
    ws: &Ws,
    who: &(impl Who + Sync),
    id: KnowledgeId,
    (written, seen, check): (Written, Option<u64>, Check),
) -> Result<(Body, String), KnowledgeError> {
    let written = std::sync::Arc::new(written);
    for _ in 0..TRIES {
        let own = written.clone();
        let settled = ws
            .read_blocking(move |ws| {
                let (now, rev) = ws.read(|snap| match snap.get_rev::<Body>(id)? {
                    Some(body) => Ok(body),
                    None => Err(queries::unwritten(&queries::item_by_id(snap, id)?)),
                })?;
                let now = now.text.read(&ws.blobs).map_err(|e| KnowledgeError::disk(&e))?;
                let text = settle(&own, &now)?;
                check(ws, &now, &text)?;
                let kept = Text::keep(&ws.blobs, text.clone());
                Ok::<_, KnowledgeError>((kept.map_err(|e| KnowledgeError::disk(&e))?, rev, text))
            })
            .await?;
        let (kept, rev, text) = settled;
        let (why, names) = (written.reason.clone(), links::names(&text));
        let write = move |tx: &mut WriteTx<'_>| {
            queries::check_rev(tx, id, seen)?;
            rules::write(tx, id, (kept, rev), (&why, &names))
        };
        match ws.write(who, write).await {
            Err(KnowledgeError::Moved) => {}
            done => return done.map(|body| (body, text)),
        }
    }
    Err(KnowledgeError::Moved)
}

/// Restores a former version; the current text becomes a version. Returns the item.
///
/// # Errors
/// The version does not exist, or the item is archived.
pub async fn restore(
    ws: &Ws,
    who: &(impl Who + Sync),
    reason: &str,
    n: u32,
) -> Result<KnowledgeId, KnowledgeError> {
    let reason = reason.to_owned();
    let (id, text) = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let item = queries::item(snap, &reason, None)?;
                let one = queries::version(snap, item.id, n)?
                    .ok_or_else(|| KnowledgeError::no("version", &n.to_string()))?;
                let text =
                    one.text.read(&ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
                Ok::<_, KnowledgeError>((item.id, text))
            })
        })
        .await?;
    let written = Written { text, base: None, reason: format!("Version {n} restored") };
    // A former text is restored as it was, including masks.
    put(ws, who, id, (written, None, |_, _, _| Ok(()))).await?;
    Ok(id)
}

/// Merges the written text with the current one.
///
/// # Errors
/// [`KnowledgeError::Clash`] for a conflict that a person must resolve. Also a text that is too long.
pub(crate) fn settle(written: &Written, now: &str) -> Result<String, KnowledgeError> {
    if LARGEST < written.text.len() {
        return Err(rules::too_long());
    }
    let Some(base) = &written.base else { return Ok(merge::dressed(now, &written.text)) };
    // Forms send other line ends than the text may have.
    let (base, mine) = (merge::dressed(now, base), merge::dressed(now, &written.text));
    if base == now {
        return Ok(mine);
    }
    match merge::lines(&base, &mine, now) {
        Merged::Clean(text) => Ok(text),
        Merged::Clash(clash) => Err(KnowledgeError::Clash(Box::new(clash))),
    }
}
