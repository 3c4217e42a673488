//! Writes to a source, guarded by the hash of the present content. Written content is fetched again, so that the next
//! sync finds no change.

use app::{Who, Ws};
use connect::{ConnectorError, Fetched, Hash, Page};
use store::{Range, ReadExt as _, StoreError};

use super::BY;
use super::one::keep;
use crate::error::SourceError;
use crate::model::{Source, Write, WriteState};
use crate::queries;
use crate::reach;
use crate::rules;

#[derive(Clone, Debug)]
pub struct Said {
    /// Id or name of the source.
    pub source: String,
    pub place: String,
    pub text: String,
    /// Expected hash of the present content; `None` if there should be none.
    pub base: Option<Hash>,
}

/// Writes a text to a source. Returns the hash of the stored content.
///
/// # Errors
/// [`SourceError::Conflict`] if the present content differs from `base`; an error if the source is read-only.
pub async fn write(ws: &Ws, who: &(impl Who + Sync), request: Said) -> Result<Hash, SourceError> {
    let source = ws.read(|snap| queries::source(snap, &request.source))?;
    let reached = reach::open(&ws.app, &source.provider, &source.reads)?;
    let (id, place) = (source.id, request.place.trim().to_owned());
    let known = (request.base, connect::hash(request.text.as_bytes()));
    let noted = {
        let place = place.clone();
        ws.write(who, move |tx| rules::begin_write(tx, id, &place, known)).await?
    };
    // Writes are serialized, since each one compares the present content first.
    let _turn = ws.paths.hold(&ws.folder.join("sources").join(id.to_string())).await;
    match reached.connector.write(&place, &request.text, request.base).await {
        Ok(page) => done(ws, who, noted, *page).await,
        Err(fault) => {
            let state = match &fault {
                ConnectorError::Conflict(why) => WriteState::Conflict(why.clone()),
                other => WriteState::Failed(other.to_string()),
            };
            let moved = matches!(state, WriteState::Conflict(_));
            ws.write(who, move |tx| {
                rules::end_write(tx, noted, state)?;
                // Requests a sync, so that the next reader gets the present content.
                if moved {
                    rules::sync_now(tx, id, None).map(drop)
                } else {
                    Ok::<_, SourceError>(())
                }
            })
            .await?;
            Err(fault.into())
        }
    }
}

async fn done(
    ws: &Ws,
    who: &(impl Who + Sync),
    noted: Write,
    page: Page,
) -> Result<Hash, SourceError> {
    let (hash, source) = (page.hash, noted.source);
    let arrived = keep(ws, page).await?;
    ws.write(who, move |tx| {
        rules::apply(tx, source, vec![arrived])?;
        rules::end_write(tx, noted, WriteState::Done)?;
        Ok::<_, SourceError>(())
    })
    .await?;
    Ok(hash)
}

/// Determines the result of writes that were in flight when the program ended.
pub(super) async fn settle(ws: &Ws) -> Result<(), StoreError> {
    let mut left: Vec<Write> = ws.read(|snap| snap.list(&Range::all()))?;
    left.retain(|write| write.state == WriteState::Sent);
    for noted in left {
        let source: Option<Source> = ws.read(|snap| snap.get::<Source>(noted.source))?;
        let Some(source) = source else { continue };
        let found = match reach::open(&ws.app, &source.provider, &source.reads) {
            Ok(reached) => reached.connector.fetch(&noted.place).await,
            Err(fault) => Err(fault),
        };
        let settled = match found {
            Ok(Fetched::Page(page)) if page.hash == noted.hash => {
                done(ws, &BY, noted.clone(), *page).await.map(drop)
            }
            _ => {
                let why = "HQ stopped before it was written.".to_owned();
                let state = WriteState::Failed(why);
                ws.write(&BY, move |tx| rules::end_write(tx, noted, state)).await?;
                Ok(())
            }
        };
        if let Err(error) = settled {
            tracing::warn!(%error, source.id = %source.id, "a write to a source is not settled");
        }
    }
    Ok(())
}
