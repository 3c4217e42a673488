//! Entry point of undo for pages and API. The expensive part is prepared on a snapshot while others write. The writer
//! only checks that its inputs are unchanged and writes the rows. Disabled accounts are in another store, so they are
//! read again right before the write, while a lock prevents disabling.

use app::Ws;
use kernel::Cause;
use store::undo::Basis;
use store::{Ahead, WriteTx};
use web::idempotency::Once;
use web::session::Person;

use super::queries::error::HistoryError;
use super::queries::guard::Undoer;
use super::queries::outlook::Outlook;
use super::queries::scope::Wanted;
use super::rules::{self, Undone};
use crate::trust::queries::widening::Widener;

/// Number of preparations before the writer makes the plan itself, so that continuous writes by others cannot block an
/// undo.
const TRIES: usize = 3;

/// Undoes a change. With a basis, proceeds only if the result equals the preview with that basis.
///
/// # Errors
/// If nothing can be undone, something changed since the preview, or it exceeds the limit of one transaction.
pub async fn undo(
    ws: &Ws,
    who: &Person,
    wanted: (Wanted, Option<Basis>),
    once: Once,
) -> Result<Undone, HistoryError> {
    undo_and(ws, who, wanted, once, |_, _| Ok(())).await
}

/// Like [`undo`], with further writes in the same transaction.
///
/// # Errors
/// As [`undo`], and errors of those writes.
pub async fn undo_and<F>(
    ws: &Ws,
    who: &Person,
    (wanted, basis): (Wanted, Option<Basis>),
    once: Once,
    also: F,
) -> Result<Undone, HistoryError>
where
    F: Fn(&mut WriteTx<'_>, &Undone) -> Result<(), HistoryError> + Clone + Send + 'static,
{
    let mut by = undoer(ws, who).await?;
    let first = ready(ws, &wanted, &by).await?;
    let cause = Cause::Undo(first.get().scope.of);
    let (mut ahead, mut tries) = (Some(first), 1);
    loop {
        // Nothing may be restored to an account that was disabled meanwhile. The lock is shared by all workspaces, so
        // only a prepared undo is written under it, unless preparing failed too often.
        let turn = ws.app.people_turn.lock().await;
        let now = undoer(ws, who).await?;
        let still = ahead.is_none() || now.closed == by.closed;
        by = now;
        let done = match still {
            true => {
                let (all, own) = (wanted.clone(), by.clone());
                let (widener, also) = (Widener::of(who), also.clone());
                let body = once.clone().run(move |tx| {
                    Ok(widener.write(tx, |tx| {
                        let undone = rules::undo(tx, &all, &own, basis, ahead)?;
                        also(tx, &undone)?;
                        Ok::<_, HistoryError>(undone)
                    })?)
                });
                ws.write(&(by.by, cause), body).await
            }
            false => Err(HistoryError::Moved),
        };
        drop(turn);
        match done {
            Err(HistoryError::Moved) => {}
            Err(HistoryError::Differs(_)) => return Err(differs(ws, wanted, by, basis).await?),
            done => return done,
        }
        ahead = match tries < TRIES {
            true => Some(ready(ws, &wanted, &by).await?),
            false => None,
        };
        tries += 1;
    }
}

/// The undoer, with the currently disabled accounts.
async fn undoer(ws: &Ws, who: &Person) -> Result<Undoer, HistoryError> {
    let person = who.clone();
    Ok(ws.read_blocking(move |ws| Undoer::of(ws, &person)).await?)
}

/// Prepares an outlook and records its inputs.
async fn ready(ws: &Ws, wanted: &Wanted, by: &Undoer) -> Result<Ahead<Outlook>, HistoryError> {
    let (wanted, by) = (wanted.clone(), by.clone());
    ws.read_blocking(move |ws| {
        ws.store.ahead(|snap| Outlook::of(snap, ws.store.schema(), &wanted, &by))
    })
    .await
}

/// Describes the differences from the preview.
async fn differs(
    ws: &Ws,
    wanted: Wanted,
    by: Undoer,
    basis: Option<Basis>,
) -> Result<HistoryError, HistoryError> {
    let Some(basis) = basis else { return Ok(HistoryError::Differs(String::new())) };
    let words = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let schema = ws.store.schema();
            rules::differences(snap, schema, &Outlook::of(snap, schema, &wanted, &by)?, basis)
        })
    });
    Ok(HistoryError::Differs(words.await?))
}
