//! The one way to undo, for pages and programs. What takes long is made ready on a snapshot, while
//! others write; the writer is left with the question whether anything of it has moved, and the rows.
//! Which accounts are closed is told by another store, so that is asked once more right before, while
//! nobody can close one.

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

/// How often it is made ready anew because others wrote what it rests on. Then the writer makes the
/// plan itself: who writes without end must not keep others from undoing.
const TRIES: usize = 3;

/// Undoes what is wanted. With a basis, only if it would do what the preview with that basis said.
///
/// # Errors
/// When nothing is left to undo, something changed since the preview, or it is too much at once.
pub async fn undo(
    ws: &Ws,
    who: &Person,
    wanted: (Wanted, Option<Basis>),
    once: Once,
) -> Result<Undone, HistoryError> {
    undo_and(ws, who, wanted, once, |_, _| Ok(())).await
}

/// The same with something that is written in the transaction of the undo.
///
/// # Errors
/// As [`undo`], and what that says.
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
        // Whose account was closed meanwhile must not be given anything back. The turn is one for all
        // workspaces: in it only what was made ready is written, unless that failed too often.
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

/// Who undoes, with the accounts that are closed at this moment.
async fn undoer(ws: &Ws, who: &Person) -> Result<Undoer, HistoryError> {
    let person = who.clone();
    Ok(ws.read_blocking(move |ws| Undoer::of(ws, &person)).await?)
}

/// Works out what an undo would do, and what that rests on.
async fn ready(ws: &Ws, wanted: &Wanted, by: &Undoer) -> Result<Ahead<Outlook>, HistoryError> {
    let (wanted, by) = (wanted.clone(), by.clone());
    ws.read_blocking(move |ws| {
        ws.store.ahead(|snap| Outlook::of(snap, ws.store.schema(), &wanted, &by))
    })
    .await
}

/// Says what is not as the preview said.
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
