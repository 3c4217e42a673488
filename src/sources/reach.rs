//! The way from a source to its connector.

use std::sync::Arc;

use app::App;
use connect::{Catalog, Connector, ConnectorContext, ConnectorError, Manifest, Pace, Reads};

/// The folder of manifests in the data folder.
const FOLDER: &str = "connectors";

/// The connectors that there are. Reads a few small files.
#[must_use]
pub fn catalog(app: &App) -> Catalog {
    Catalog::read(&app.config.data.join(FOLDER))
}

/// A connector with what counts its requests.
pub struct Reached {
    pub connector: Box<dyn Connector>,
    /// What counts its requests.
    pub pace: Arc<Pace>,
}

/// The connector of this id for these values.
///
/// # Errors
/// When there is none, or a value does not fit.
pub fn open(app: &App, provider: &str, reads: &Reads) -> Result<Reached, ConnectorError> {
    let catalog = catalog(app);
    let manifest = catalog.get(provider).ok_or_else(|| {
        ConnectorError::Refused(format!("There is no connector \"{provider}\" here any more."))
    })?;
    opened(app, manifest, reads)
}

/// The connector of a manifest for these values.
///
/// # Errors
/// When a value does not fit.
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
