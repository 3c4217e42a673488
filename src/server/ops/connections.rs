//! `hq doctor connections`: whether each connection can be used, and why not. Makes no outbound requests.

use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::connections::queries::{self, eligible};
use store::StoreError;

/// State of a connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    pub workspace: String,
    pub connection: String,
    /// Billing route.
    pub route: String,
    /// Why the connection cannot be used, as API code; `None` if it can.
    pub reason: Option<String>,
    /// Description and remedy.
    pub says: String,
}

/// Checks the connections of all workspaces.
pub fn inspect(app: &App) -> Result<Vec<Found>, StoreError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let mut found = Vec::new();
    for ws in all {
        ws.read(|snap| {
            for connection in queries::all(snap)? {
                let reason = eligible::why_not(snap, &connection, &app.keyring, app.clock.now())?;
                found.push(Found {
                    workspace: ws.slug.clone(),
                    route: queries::route(&connection).word().to_owned(),
                    connection: connection.name,
                    reason: reason.map(|reason| reason.word().to_owned()),
                    says: reason.map_or_else(String::new, |reason| reason.says().to_owned()),
                });
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(found)
}

/// Formats the report.
#[must_use]
pub fn line(found: &Found) -> String {
    let Found { workspace, connection, route, reason, says } = found;
    match reason {
        None => format!("{workspace}: {connection} ({route}) can be used"),
        Some(reason) => format!(
            "{workspace}: {connection} ({route}) can't be used: {reason}. \
            {says}"
        ),
    }
}
