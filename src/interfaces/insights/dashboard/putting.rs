//! Snoozing, dismissing and restoring dashboard entries; shared by page and API.

use app::Ws;
use features::dashboard::model::PutAway;
use features::dashboard::queries::{DashboardContext, needs};
use features::dashboard::rules::{self, NeedError, NewAway};
use kernel::Timestamp;
use web::session::Person;

/// Snoozes an entry that the person sees until a time, or dismisses it.
pub(super) async fn put_away(
    ws: &Ws,
    who: &Person,
    id: &str,
    until: Option<Timestamp>,
) -> Result<PutAway, NeedError> {
    open(ws)?;
    let (looker, id) = (who.clone(), id.to_owned());
    let seen = move |ws: &Ws| {
        ws.read(|snap| {
            let scene = DashboardContext::new(snap, ws, &looker)?;
            let row = needs::find(snap, &scene, &id)?.ok_or(NeedError::NotFound)?;
            NewAway::of(&row, until)
        })
    };
    let new = ws.read_blocking(seen).await?;
    ws.write(who, move |tx| rules::put_away(tx, new)).await
}

/// Restores an entry.
pub(super) async fn restore(ws: &Ws, who: &Person, id: String) -> Result<(), NeedError> {
    open(ws)?;
    ws.write(who, move |tx| rules::restore(tx, &id)).await
}

/// Refuses writes in a closed workspace.
fn open(ws: &Ws) -> Result<(), NeedError> {
    ws.closed_words().map_or(Ok(()), |words| Err(NeedError::Closed(words)))
}
