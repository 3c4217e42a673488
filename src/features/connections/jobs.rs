//! Daily reload of model lists, because providers change their offers unannounced.

use jiff::SignedDuration;

use app::Ws;
use kernel::{Actor, Cause, ConnectionId, Part, Timestamp};
use store::{ReadExt, StoreError};

use super::checks;
use super::model::Offers;
use super::queries;

/// Automatic reloads have no author.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Maximum age of a model list.
const AGE: SignedDuration = SignedDuration::from_hours(24);
/// Interval of the check.
const LOOK: SignedDuration = SignedDuration::from_hours(1);

/// Reloads old model lists until the workspace closes. Untested connections are skipped.
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
