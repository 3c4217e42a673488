//! Bootstrap settings only: flags, environment and `hq.toml`. Everything else is a setting in the store.
//!
//! Precedence: flag, environment, `hq.toml` in the data directory, default. Each value records its source. An unknown
//! name stops the start, so that a mistyped setting does not go unnoticed.

pub mod proxies;
pub mod remote;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use kernel::text;
use proxies::Proxies;

/// Name of the settings file in the data directory.
pub const FILE: &str = "hq.toml";

/// Settings that the process needs before it opens its store.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    pub listen: SocketAddr,
    /// Public URL, if it differs from the listen address.
    pub public_url: Option<String>,
    /// Path of the master key, if it is not `master.key` in the data directory.
    pub master_key_file: Option<PathBuf>,
    /// Log filter: a level, or levels by module.
    pub log: String,
    /// Request limits; 0 disables a limit.
    pub limits: Limits,
    /// Whether to fetch images and files that an OpenAI-compatible request gives by URL.
    pub fetch_urls: bool,
    /// Maximum number of concurrent agent runs on this machine.
    pub max_active: usize,
    /// Pause of the practice provider between two words, so that a person can follow the output.
    pub practice_pause: Duration,
    /// Number of crashed starts within minutes after which all work is paused; 0 for never.
    pub pause_after_crashes: u32,
    /// How long running model calls and tools may continue after a stop request.
    pub end_within: Duration,
    /// Folder with an embedding model. HQ never changes it.
    pub embed_model_dir: Option<PathBuf>,
    /// Base URL for model downloads, without a trailing slash.
    pub embed_source: String,
    pub registries: Registries,
    /// Folders of this machine that knowledge sources may read, with everything below. Empty denies all.
    pub source_folders: Vec<PathBuf>,
    /// Proxies whose `X-Forwarded-For` and `Forwarded` headers are trusted.
    pub trusted_proxies: Proxies,
    /// The Chromium binary for agents' browsers.
    pub chromium: PathBuf,
    /// All settings with their values and sources.
    pub settings: Vec<Setting>,
}

/// Request limits; 0 disables a limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// API calls per minute and token.
    pub api_per_minute: u32,
    /// API calls above the steady rate in one burst.
    pub api_burst: u32,
    /// Live streams per sign-in.
    pub streams_per_sign_in: u32,
    /// Live streams per workspace.
    pub streams_per_workspace: u32,
    /// Maximum upload size in MiB.
    pub upload_mb: u32,
}

impl Limits {
    /// Maximum upload size in bytes; `u64::MAX` if the limit is disabled.
    #[must_use]
    pub fn upload_bytes(&self) -> u64 {
        match self.upload_mb {
            0 => u64::MAX,
            mb => u64::from(mb) << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            api_per_minute: 600,
            api_burst: 200,
            streams_per_sign_in: 20,
            streams_per_workspace: 200,
            upload_mb: 50,
        }
    }
}

/// Base URLs of the registries that name the newest version of a package, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registries {
    pub npm: String,
    pub pypi: String,
}

impl Registries {
    fn new(npm: &str, pypi: &str) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self { npm: base(npm), pypi: base(pypi) }
    }
}

impl Default for Registries {
    fn default() -> Self {
        Self::new(NPM_REGISTRY.default, PYPI_INDEX.default)
    }
}

/// A setting as `hq config` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Name in `hq.toml`.
    pub name: &'static str,
    pub value: String,
    pub source: Source,
}

/// Source of a value, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Default,
    /// `hq.toml` in the data directory.
    File,
    Environment,
    Flag,
}

impl Source {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => FILE,
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} isn't an HQ setting{hint}")]
    UnknownVariable {
        name: String,
        /// Suggests the nearest known variable, if one is near.
        hint: String,
    },
    #[error("{}: \"{name}\" isn't an HQ setting{hint}", file.display())]
    UnknownName {
        file: PathBuf,
        name: String,
        /// Suggests the nearest known name, if one is near.
        hint: String,
    },
    #[error("{} can't be read; check its owner and mode", file.display())]
    Unreadable {
        file: PathBuf,
        /// Error of opening or reading the file.
        source: io::Error,
    },
    #[error("{} isn't a settings file: {detail}", file.display())]
    NotToml {
        file: PathBuf,
        /// Message of the TOML parser.
        detail: String,
    },
    #[error("{name} = \"{value}\" ({}): {wanted}", from.label())]
    BadValue {
        name: &'static str,
        value: String,
        from: Source,
        /// Describes a valid value.
        wanted: &'static str,
    },
}

/// A known setting. `name` is the key in the file and the flag.
struct Known {
    name: &'static str,
    variable: &'static str,
    default: &'static str,
}

const DATA: Known = Known { name: "data", variable: "HQ_DATA", default: "./data" };
const LISTEN: Known = Known { name: "listen", variable: "HQ_LISTEN", default: "127.0.0.1:8080" };
const PUBLIC_URL: Known = Known { name: "public_url", variable: "HQ_PUBLIC_URL", default: "" };
const MASTER_KEY: Known =
    Known { name: "master_key_file", variable: "HQ_MASTER_KEY_FILE", default: "" };
const LOG: Known = Known { name: "log", variable: "HQ_LOG", default: "info" };
const API_PER_MINUTE: Known =
    Known { name: "limits.api_per_minute", variable: "HQ_LIMITS_API_PER_MINUTE", default: "600" };
const API_BURST: Known =
    Known { name: "limits.api_burst", variable: "HQ_LIMITS_API_BURST", default: "200" };
const STREAMS: Known = Known {
    name: "limits.streams_per_sign_in",
    variable: "HQ_LIMITS_STREAMS_PER_SIGN_IN",
    default: "20",
};
const ALL_STREAMS: Known = Known {
    name: "limits.streams_per_workspace",
    variable: "HQ_LIMITS_STREAMS_PER_WORKSPACE",
    default: "200",
};
const UPLOAD: Known =
    Known { name: "limits.upload_mb", variable: "HQ_LIMITS_UPLOAD_MB", default: "50" };
/// Off by default: otherwise, everyone who may ask an agent chooses URLs that this machine requests.
const FETCH_URLS: Known =
    Known { name: "openai.fetch_urls", variable: "HQ_OPENAI_FETCH_URLS", default: "false" };
const MAX_ACTIVE: Known =
    Known { name: "runs.max_active", variable: "HQ_RUNS_MAX_ACTIVE", default: "32" };
const PRACTICE_PAUSE: Known =
    Known { name: "practice_pause_ms", variable: "HQ_PRACTICE_PAUSE_MS", default: "25" };
const PAUSE_AFTER_CRASHES: Known = Known {
    name: "runs.pause_after_crashes",
    variable: "HQ_RUNS_PAUSE_AFTER_CRASHES",
    default: "3",
};
/// Service managers usually kill a process ten seconds after the signal. The remaining four seconds are for closing
/// the stores.
const END_WITHIN: Known =
    Known { name: "runs.end_within_secs", variable: "HQ_RUNS_END_WITHIN_SECS", default: "6" };
/// A folder with the three files of a model. HQ only reads it.
const EMBED_MODEL: Known =
    Known { name: "embed.model_dir", variable: "HQ_EMBED_MODEL_DIR", default: "" };
/// Base URL for model downloads: huggingface.co or a mirror.
const EMBED_SOURCE: Known =
    Known { name: "embed.source", variable: "HQ_EMBED_SOURCE", default: "https://huggingface.co" };
/// Base URLs of the public registries or of mirrors.
const NPM_REGISTRY: Known = Known {
    name: "packages.npm_registry",
    variable: "HQ_NPM_REGISTRY",
    default: "https://registry.npmjs.org",
};
const PYPI_INDEX: Known =
    Known { name: "packages.pypi_index", variable: "HQ_PYPI_INDEX", default: "https://pypi.org" };
/// Empty by default: otherwise, everyone who may add a source chooses files of this machine to read.
const SOURCE_FOLDERS: Known =
    Known { name: "sources.folders", variable: "HQ_SOURCE_FOLDERS", default: "" };
/// Empty by default: a trusted proxy can claim any client address.
const TRUSTED_PROXIES: Known =
    Known { name: "trusted_proxies", variable: "HQ_TRUSTED_PROXIES", default: "" };
/// The Chromium binary itself, not its wrapper script: the jail hides files that such a script reads.
const CHROMIUM: Known =
    Known { name: "chromium", variable: "HQ_CHROMIUM", default: browser::setup::PROGRAM };
const ALL: [&Known; 22] = [
    &DATA,
    &LISTEN,
    &PUBLIC_URL,
    &MASTER_KEY,
    &LOG,
    &API_PER_MINUTE,
    &API_BURST,
    &STREAMS,
    &ALL_STREAMS,
    &UPLOAD,
    &FETCH_URLS,
    &MAX_ACTIVE,
    &PRACTICE_PAUSE,
    &PAUSE_AFTER_CRASHES,
    &END_WITHIN,
    &EMBED_MODEL,
    &EMBED_SOURCE,
    &NPM_REGISTRY,
    &PYPI_INDEX,
    &SOURCE_FOLDERS,
    &TRUSTED_PROXIES,
    &CHROMIUM,
];

/// Unparsed settings from flags and environment.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub flags: BTreeMap<&'static str, String>,
    /// Variables whose names begin with `HQ_`.
    pub environment: BTreeMap<String, String>,
}

impl Given {
    /// Combines `flags` with the environment of the process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    #[must_use]
    pub fn with_flags(flags: BTreeMap<&'static str, String>) -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("HQ_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self { flags, environment: ours.collect() }
    }
}

/// Command line of the process, program name first.
pub fn arguments() -> std::env::ArgsOs {
    std::env::args_os()
}

impl Config {
    /// Defaults for a data directory, with a free port.
    #[must_use]
    pub fn for_folder(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            master_key_file: None,
            log: LOG.default.to_owned(),
            limits: Limits::default(),
            fetch_urls: false,
            max_active: 32,
            practice_pause: Duration::ZERO,
            pause_after_crashes: 3,
            end_within: Duration::from_secs(6),
            embed_model_dir: None,
            embed_source: EMBED_SOURCE.default.to_owned(),
            registries: Registries::default(),
            source_folders: Vec::new(),
            trusted_proxies: Proxies::default(),
            chromium: CHROMIUM.default.into(),
            settings: Vec::new(),
        }
    }

    /// Whether models come from a mirror. A mirror may be in a private network.
    #[must_use]
    pub fn has_mirror(&self) -> bool {
        self.embed_source != EMBED_SOURCE.default
    }

    /// Returns an unused path below the system's temporary directory. Does not create it.
    #[must_use]
    pub fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!(
            "{name}-{}",
            uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
                uuid::NoContext,
                u64::from(std::process::id()),
                0
            ))
            .simple()
        ))
    }

    /// Merges and validates all settings.
    ///
    /// # Errors
    /// When a name is unknown or a value is invalid.
    pub fn load(given: &Given) -> Result<Self, ConfigError> {
        for name in given.environment.keys() {
            let is_remote = remote::VARIABLES.contains(&name.as_str());
            if !is_remote && !ALL.iter().any(|known| known.variable == name) {
                let near = text::nearest(name, ALL.iter().map(|known| known.variable));
                return Err(ConfigError::UnknownVariable { name: name.clone(), hint: hint(near) });
            }
        }
        let (data, from) = pick(&DATA, given, &BTreeMap::new());
        // Agents' programs start in another directory and need this path.
        let data = absolute(&DATA, &data, from)?;
        let file = read_file(&data.join(FILE))?;
        let mut settings =
            vec![Setting { name: DATA.name, value: data.display().to_string(), source: from }];
        let mut take = |known: &'static Known| {
            let (value, source) = pick(known, given, &file);
            settings.push(Setting { name: known.name, value: value.clone(), source });
            (value, source)
        };
        let listen = take(&LISTEN);
        let public_url = take(&PUBLIC_URL);
        let master_key_file = take(&MASTER_KEY);
        let log = take(&LOG);
        let mut number = |known: &'static Known| {
            let (value, from) = take(known);
            let wanted = "a number from 0; 0 turns it off";
            parse(known, value, from, wanted)
        };
        let limits = Limits {
            api_per_minute: number(&API_PER_MINUTE)?,
            api_burst: number(&API_BURST)?,
            streams_per_sign_in: number(&STREAMS)?,
            streams_per_workspace: number(&ALL_STREAMS)?,
            upload_mb: number(&UPLOAD)?,
        };
        let practice_pause = Duration::from_millis(u64::from(number(&PRACTICE_PAUSE)?));
        let pause_after_crashes = number(&PAUSE_AFTER_CRASHES)?;
        let end_within = Duration::from_secs(u64::from(number(&END_WITHIN)?));
        let (folders, from) = take(&SOURCE_FOLDERS);
        let source_folders = paths(&SOURCE_FOLDERS, folders, from)?;
        let (proxies, from) = take(&TRUSTED_PROXIES);
        let wanted =
            "addresses and networks such as 10.0.0.7 or 172.16.0.0/12, separated by commas";
        let trusted_proxies = parse(&TRUSTED_PROXIES, proxies, from, wanted)?;
        let (chromium, from) = take(&CHROMIUM);
        let chromium = absolute(&CHROMIUM, &chromium, from)?;
        let (fetch, from) = take(&FETCH_URLS);
        let fetch_urls = parse(&FETCH_URLS, fetch, from, "true or false")?;
        let (active, from) = take(&MAX_ACTIVE);
        let wanted = "a number from 1";
        let max_active: NonZeroUsize = parse(&MAX_ACTIVE, active, from, wanted)?;
        let model = take(&EMBED_MODEL);
        let source = take(&EMBED_SOURCE);
        let registries = Registries::new(&take(&NPM_REGISTRY).0, &take(&PYPI_INDEX).0);
        Ok(Self {
            embed_model_dir: match some(model.0) {
                Some(path) => Some(absolute(&EMBED_MODEL, &path, model.1)?),
                None => None,
            },
            embed_source: source.0.trim_end_matches('/').to_owned(),
            practice_pause,
            pause_after_crashes,
            end_within,
            registries,
            source_folders,
            trusted_proxies,
            chromium,
            fetch_urls,
            max_active: max_active.get(),
            data,
            listen: parse(
                &LISTEN,
                listen.0,
                listen.1,
                "an address and port such as \
                127.0.0.1:8080",
            )?,
            public_url: public(public_url.0, public_url.1)?,
            master_key_file: match some(master_key_file.0) {
                Some(path) => Some(absolute(&MASTER_KEY, &path, master_key_file.1)?),
                None => None,
            },
            log: log.0,
            limits,
            settings,
        })
    }

    /// Whether the public URL is HTTPS. If so, cookies are `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Path of the master key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data.join("master.key"))
    }
}

/// Makes a path absolute.
fn absolute(known: &'static Known, value: &str, from: Source) -> Result<PathBuf, ConfigError> {
    std::path::absolute(value).map_err(|_| ConfigError::BadValue {
        name: known.name,
        value: value.to_owned(),
        from,
        wanted: "an absolute path, because the current folder no longer exists",
    })
}

/// Parses folders separated by colons, as in `PATH`.
fn paths(known: &'static Known, value: String, from: Source) -> Result<Vec<PathBuf>, ConfigError> {
    let all: Vec<PathBuf> = value
        .split(':')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect();
    let plain = |path: &PathBuf| {
        path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
    };
    match all.iter().all(plain) {
        true => Ok(all),
        false => {
            let wanted = "absolute folder paths, separated by colons";
            Err(ConfigError::BadValue { name: known.name, value, from, wanted })
        }
    }
}

fn some(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(
        || "; `hq config` lists them".to_owned(),
        |near| format!("; did you mean {near}?"),
    )
}

/// Value and source of a setting. An empty variable counts as unset.
fn pick(known: &Known, given: &Given, file: &BTreeMap<String, String>) -> (String, Source) {
    let variable = given.environment.get(known.variable).filter(|value| !value.is_empty());
    if let Some(value) = given.flags.get(known.name) {
        (value.clone(), Source::Flag)
    } else if let Some(value) = variable {
        (value.clone(), Source::Environment)
    } else if let Some(value) = file.get(known.name) {
        (value.clone(), Source::File)
    } else {
        (known.default.to_owned(), Source::Default)
    }
}

fn parse<T: std::str::FromStr>(
    known: &Known,
    value: String,
    from: Source,
    wanted: &'static str,
) -> Result<T, ConfigError> {
    let name = known.name;
    value.parse().map_err(|_| ConfigError::BadValue { name, value, from, wanted })
}

/// Validates scheme and host. Removes a trailing slash, so that paths can be appended.
fn public(value: String, from: Source) -> Result<Option<String>, ConfigError> {
    let Some(value) = some(value) else { return Ok(None) };
    let trimmed = value.trim_end_matches('/');
    let host = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
            Ok(Some(trimmed.to_lowercase()))
        }
        _ => {
            let wanted = "an address such as https://hq.example.com, without a path";
            Err(ConfigError::BadValue { name: PUBLIC_URL.name, value, from, wanted })
        }
    }
}

/// Settings in the file by name; empty if there is no file.
fn read_file(file: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(ConfigError::Unreadable { file: file.to_owned(), source }),
    };
    let not_toml = |detail: String| ConfigError::NotToml { file: file.to_owned(), detail };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| not_toml(e.to_string()))?;
    let mut found = BTreeMap::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                for (key, value) in inner {
                    found.insert(format!("{name}.{key}"), plain(value));
                }
            }
            value => {
                found.insert(name, plain(value));
            }
        }
    }
    // The file is in the data directory, so it cannot set its location.
    let names = || ALL.iter().map(|known| known.name).filter(|name| *name != DATA.name);
    for name in found.keys() {
        if !names().any(|known| known == name) {
            let near = text::nearest(name, names());
            let (file, name) = (file.to_owned(), name.clone());
            return Err(ConfigError::UnknownName { file, name, hint: hint(near) });
        }
    }
    Ok(found)
}

fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

#[cfg(test)]
mod tests;
