//! Bootstrap settings only: flags, environment and `hq.toml`; everything else is a setting in the store.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What the program must know before it opens its store.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address that people use, when it differs from where it listens.
    pub public_url: Option<String>,
    /// The master key's file, when it is not `master.key` in the data folder.
    pub master_key_file: Option<PathBuf>,
    /// Whether this is a development run: the component gallery is served.
    pub dev: bool,
    /// Limits of requests; 0 switches one off.
    pub limits: Limits,
}

/// Limits of requests; 0 switches one off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// API calls a minute and token.
    pub api_per_minute: u32,
    /// API calls at once beyond the steady rate.
    pub api_burst: u32,
    /// Live streams of one sign-in.
    pub streams_per_sign_in: u32,
    /// Live streams of one workspace.
    pub streams_per_workspace: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            api_per_minute: 600,
            api_burst: 200,
            streams_per_sign_in: 20,
            streams_per_workspace: 200,
        }
    }
}
