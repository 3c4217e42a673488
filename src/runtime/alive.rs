//! When the engine of a workspace was last known to work, in a file beside the store. A restart tells by it a step that
//! was cut off after a long time from one that ends the program each time; a commit for it would be one too many.

use std::time::Duration;

use app::Ws;
use kernel::Timestamp;
use kernel::time::from_ms;
use tokio::fs;

/// Milliseconds since 1970.
const FILE: &str = "alive";
/// How often it is written.
const EVERY: Duration = Duration::from_secs(10);

/// When the program before this one last wrote that it works.
pub(super) async fn last(ws: &Ws) -> Option<Timestamp> {
    let text = fs::read_to_string(ws.folder.join(FILE)).await.ok()?;
    text.trim().parse().ok().filter(|ms| *ms > 0).map(from_ms)
}

/// Writes it from now on, until work here stops.
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
