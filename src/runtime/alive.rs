//! The time at which a workspace's engine last worked, in a file beside the store. A restart uses it to tell a long
//! step that was cut off from a step that crashes HQ each time. It is a file because a commit every 10 seconds would be
//! too much.

use std::time::Duration;

use app::Ws;
use kernel::Timestamp;
use kernel::time::from_ms;
use tokio::fs;

/// Contains Unix milliseconds.
const FILE: &str = "alive";
/// Interval of writes.
const EVERY: Duration = Duration::from_secs(10);

/// The last time written by the previous process.
pub(super) async fn last(ws: &Ws) -> Option<Timestamp> {
    let text = fs::read_to_string(ws.folder.join(FILE)).await.ok()?;
    text.trim().parse().ok().filter(|ms| *ms > 0).map(from_ms)
}

/// Writes the time from now on, until the workspace stops.
pub(super) fn keep(ws: &Ws) {
    let own = ws.clone();
    ws.spawn("sign of life", async move {
        let halt = own.halt();
        loop {
            let now = own.app.clock.now().as_millisecond();
            if let Err(error) = fs::write(own.folder.join(FILE), now.to_string()).await {
                tracing::debug!(%error, "the sign of life could not be written");
            }
            tokio::select! {
                () = halt.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}
