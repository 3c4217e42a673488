//! Lists of models are read again once a day: what a provider offers changes without a word.

use jiff::SignedDuration;

use app::Ws;
use kernel::{Actor, Cause, ConnectionId, Part, Timestamp};
use store::{ReadExt, StoreError};

use super::checks;
use super::model::Offers;
use super::queries;

/// Nobody asked for it.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// How old a list may become.
const AGE: SignedDuration = SignedDuration::from_hours(24);
/// The pause between two looks.
const LOOK: SignedDuration = SignedDuration::from_hours(1);

/// Reads lists again that are old, until the workspace closes. A connection that was never tested is left alone.
pub async fn keep_lists_fresh(ws: Ws) {
    let halt = ws.halt();
    loop {
        let app = ws.app.clone();
        let now = app.clock.now();
        for id in stale(&ws, now) {
            tokio::select! {
                () = halt.cancelled() => return,
                read = checks::refresh_models(&ws, &BY, id) => if let Err(error) = read {
                    tracing::info!(connection.id = %id, "a list of models was not read: {error}");
                },
            }
        }
        tokio::select! {
            () = halt.cancelled() => return,
            () = app.sleep_until(now + LOOK) => {}
        }
    }
}

fn stale(ws: &Ws, now: Timestamp) -> Vec<ConnectionId> {
    let read = ws.read(|snap| {
        let mut stale = Vec::new();
        for connection in queries::all(snap)? {
            let read_at = snap.get::<Offers>(connection.id)?.map(|offers| offers.read_at);
            if read_at.is_some_and(|at| at + AGE <= now) {
                stale.push(connection.id);
            }
        }
        Ok::<_, StoreError>(stale)
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "the connections could not be read");
        Vec::new()
    })
}
