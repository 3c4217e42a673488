//! Creates the connector of a source.

use std::sync::Arc;

use app::App;
use connect::{Catalog, Connector, ConnectorContext, ConnectorError, Manifest, Pace, Reads};

/// Folder of manifests in the data folder.
const FOLDER: &str = "connectors";

/// All connectors. Reads a few small files.
#[must_use]
pub fn catalog(app: &App) -> Catalog {
    Catalog::read(&app.config.data.join(FOLDER))
}

/// A connector and its request counter.
pub struct Reached {
    pub connector: Box<dyn Connector>,
    /// Counts and limits the connector's requests.
    pub pace: Arc<Pace>,
}

/// The connector `provider`, configured with these values.
///
/// # Errors
/// If there is no such connector, or a value is invalid.
pub fn open(app: &App, provider: &str, reads: &Reads) -> Result<Reached, ConnectorError> {
    let catalog = catalog(app);
    let manifest = catalog.get(provider).ok_or_else(|| {
        ConnectorError::Refused(format!("The connector \"{provider}\" no longer exists."))
    })?;
    opened(app, manifest, reads)
}

/// The connector of a manifest, configured with these values.
///
/// # Errors
/// If a value is invalid.
pub fn opened(app: &App, manifest: &Manifest, reads: &Reads) -> Result<Reached, ConnectorError> {
    let pace = Arc::new(Pace::new(manifest.rate_limit));
    let means = ConnectorContext {
        http: app.http.clone(),
        clock: app.clock.clone(),
        roots: app.config.source_folders.clone(),
        pace: pace.clone(),
    };
    Ok(Reached { connector: connect::open(manifest, reads, means)?, pace })
}
