//! The folder of a host: `replica.key` is its identity, `replica.toml` names its workspace, `replica.redb` is the
//! mirror, `agents/` has files. The key is the only secret in it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use kernel::GatewayId;
use link::PublicKey;
use serde::Deserialize;

use crate::error::ReplicaError;

/// The identity key of this host.
pub const KEY: &str = "replica.key";
/// The workspace of this host.
pub const NOTES: &str = "replica.toml";
/// The mirror.
pub const STORE: &str = "replica.redb";
/// Agents' folders.
pub const AGENTS: &str = "agents";
/// The token that the install script leaves for the first start.
const TOKEN: &str = "join.token";
/// A killed program leaves its socket behind.
const SOCKET: &str = "hq.sock";
/// Name suffix of an unreadable mirror that was set aside.
const UNSAID: &str = ".unsaid-";
/// Files that only a primary has.
const OF_A_HOME: [&str; 2] = ["system.redb", "master.key"];

/// Refuses the folder of a primary, before anything is written to it.
///
/// # Errors
/// If it is one.
pub fn check(folder: &Path) -> Result<(), ReplicaError> {
    match OF_A_HOME.iter().any(|name| folder.join(name).exists()) {
        true => Err(ReplicaError::Home(folder.to_owned())),
        false => Ok(()),
    }
}

/// Refuses the folder of a host as a primary's data directory.
///
/// # Errors
/// If it is one.
pub fn check_for_home(folder: &Path) -> Result<(), ReplicaError> {
    match [KEY, NOTES].iter().any(|name| folder.join(name).exists()) {
        true => Err(ReplicaError::Host(folder.to_owned())),
        false => Ok(()),
    }
}

/// Creates what is missing in the folder.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn make(folder: &Path) -> Result<(), ReplicaError> {
    let agents = folder.join(AGENTS);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&agents);
    made.map_err(ReplicaError::disk(&agents))
}

/// Removes everything that makes the folder a host's. A later join uses a new key.
///
/// # Errors
/// If a file cannot be removed.
pub fn forget(folder: &Path) -> Result<(), ReplicaError> {
    for name in [TOKEN, SOCKET, STORE, NOTES, KEY, "engine.redb"] {
        remove(&folder.join(name))?;
    }
    for name in unsaid(folder)? {
        remove(&folder.join(name))?;
    }
    for name in [AGENTS, "agents.git", "blobs", "jobs", "browsers"] {
        let path = folder.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ReplicaError::disk(&path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Sets an unreadable mirror aside, replacing an earlier one: it may contain writes that the primary has not received.
///
/// # Errors
/// If it cannot be renamed.
pub(crate) fn set_aside(folder: &Path, ms: i64) -> Result<(), ReplicaError> {
    let (path, name) = (folder.join(STORE), format!("{STORE}{UNSAID}{ms}"));
    fs::rename(&path, folder.join(&name)).map_err(ReplicaError::disk(&path))?;
    for old in unsaid(folder)?.into_iter().filter(|old| *old != name) {
        remove(&folder.join(old))?;
    }
    Ok(())
}

/// The names of mirrors that were set aside; empty if the folder does not exist.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn unsaid(folder: &Path) -> Result<Vec<String>, ReplicaError> {
    let begins = format!("{STORE}{UNSAID}");
    let all = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        all => all.map_err(ReplicaError::disk(folder))?,
    };
    let mut names = Vec::new();
    for entry in all {
        let name = entry.map_err(ReplicaError::disk(folder))?.file_name().into_string();
        // ok: a name that is not UTF-8 is none of these.
        names.extend(name.ok().filter(|name| name.starts_with(&begins)));
    }
    Ok(names)
}

/// Removes the used token of the install script.
///
/// # Errors
/// If it cannot be removed.
pub(crate) fn forget_token(folder: &Path) -> Result<(), ReplicaError> {
    remove(&folder.join(TOKEN))
}

fn remove(path: &Path) -> Result<(), ReplicaError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ReplicaError::disk(path)(error))
        }
        _ => Ok(()),
    }
}

/// The workspace that a host belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The address of the primary, without a trailing slash.
    pub home: String,
    /// The primary's key.
    pub key: PublicKey,
    pub gateway: GatewayId,
    /// The name of the gateway.
    pub label: String,
    /// The primary's epoch when the mirror was filled; `None` before that. The epoch counts how often mirrors were made
    /// void.
    pub epoch: Option<u64>,
    /// The process start in which this host was last held because of a copied folder; `None` if never.
    pub branch: Option<String>,
    /// Another copy of the folder was chosen.
    pub is_refused: bool,
}

/// The file format. TOML integers are signed, so the epoch is a string.
#[derive(Deserialize)]
struct Lines {
    home: String,
    key: String,
    gateway: GatewayId,
    #[serde(default)]
    label: String,
    epoch: Option<String>,
    branch: Option<String>,
    #[serde(default)]
    refused: bool,
}

impl Known {
    /// Reads the file; `None` before the host has joined.
    pub fn load(folder: &Path) -> Result<Option<Self>, ReplicaError> {
        let path = folder.join(NOTES);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReplicaError::disk(&path)(error)),
        };
        let wrong =
            |detail: &str| ReplicaError::Notes { path: path.clone(), detail: detail.into() };
        let lines: Lines = toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&lines.key, &mut key).map_err(|_| wrong("the key is none"))?;
        let epoch = lines.epoch.map(|text| text.parse::<u64>()).transpose();
        Ok(Some(Self {
            home: lines.home,
            key: PublicKey::from_bytes(key),
            gateway: lines.gateway,
            label: lines.label,
            epoch: epoch.map_err(|_| wrong("the epoch isn't a number"))?,
            branch: lines.branch,
            is_refused: lines.refused,
        }))
    }

    /// Writes the file atomically.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), ReplicaError> {
        let (path, draft) = (folder.join(NOTES), folder.join("replica.toml.new"));
        let mut text = format!(
            "# Written by `hq replica`: whom this machine belongs to.\nhome = {}\nkey = \"{}\"\ngateway = \"{}\"\n\
             label = {}\n",
            quoted(&self.home),
            hex::encode(self.key.as_bytes()),
            self.gateway,
            quoted(&self.label),
        );
        if let Some(epoch) = self.epoch {
            text.push_str(&format!("epoch = \"{epoch}\"\n"));
        }
        if let Some(branch) = &self.branch {
            text.push_str(&format!("branch = {}\n", quoted(branch)));
        }
        if self.is_refused {
            text.push_str("refused = true\n");
        }
        let written = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            store::disk::sync_folder(folder)
        };
        written().map_err(ReplicaError::disk(&path))
    }
}

/// A TOML string; control characters are left out.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    serde_json::Value::from(plain).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::TypedId as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn known() -> Known {
        Known {
            home: "https://hq.example.com".into(),
            key: PublicKey::from_bytes([7; 32]),
            gateway: GatewayId::from_bytes([9; 16]),
            label: "Büro \"2\"\\ \u{7f}".into(),
            epoch: Some(u64::MAX),
            branch: Some("0192".into()),
            is_refused: true,
        }
    }

    #[test]
    fn notes_are_read_as_they_were_written_and_by_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Known::load(folder.path()).unwrap(), None);
        known().save(folder.path()).unwrap();
        let read = Known::load(folder.path()).unwrap();
        assert_eq!(read, Some(Known { label: "Büro \"2\"\\ ".into(), ..known() }));
        let plain = || Known { epoch: None, branch: None, is_refused: false, ..known() };
        plain().save(folder.path()).unwrap();
        let read = Known::load(folder.path()).unwrap();
        assert_eq!(read, Some(Known { label: "Büro \"2\"\\ ".into(), ..plain() }));
        let mode = fs::metadata(folder.path().join(NOTES)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_mirrors_that_cannot_be_read_the_last_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        for (ms, text) in [(9, "first"), (10, "second")] {
            fs::write(folder.path().join(STORE), text).unwrap();
            set_aside(folder.path(), ms).unwrap();
        }
        assert_eq!(unsaid(folder.path()).unwrap(), ["replica.redb.unsaid-10"]);
        assert!(!folder.path().join(STORE).exists());
        let text = fs::read_to_string(folder.path().join("replica.redb.unsaid-10")).unwrap();
        assert_eq!(text, "second");
        forget(folder.path()).unwrap();
        assert!(unsaid(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn notes_that_make_no_sense_are_told_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["home = 1", "what", "home = \"h\"\nkey = \"00\"\ngateway = \"x\""] {
            fs::write(folder.path().join(NOTES), text).unwrap();
            let wrong = Known::load(folder.path()).unwrap_err();
            assert!(wrong.to_string().contains(NOTES), "{wrong}");
        }
    }

    #[test]
    fn the_folder_of_a_home_is_refused_and_one_that_left_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        make(folder.path()).unwrap();
        check_for_home(folder.path()).unwrap();
        known().save(folder.path()).unwrap();
        assert!(matches!(check_for_home(folder.path()), Err(ReplicaError::Host(_))));
        forget(folder.path()).unwrap();
        forget(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(folder.path().join("system.redb"), "").unwrap();
        assert!(matches!(check(folder.path()), Err(ReplicaError::Home(_))));
    }
}
