//! Removes visited addresses from the profile of a browser, because they may contain form values.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::launch::unless_missing;

/// Files that Chromium would write. HQ does not need them.
const VISITS: [&str; 8] = [
    "History",
    "History-journal",
    "Visited Links",
    "Favicons",
    "Top Sites",
    "Shortcuts",
    "Network Action Predictor",
    "Cache",
];
/// Where Chromium would store the tabs of a session.
const SESSIONS: &str = "Sessions";

/// Deletes the history of a profile and prevents a new one. Chromium, which is not running, may have replaced folders
/// and files by symbolic links: none is followed.
pub(crate) fn forget(profile: &Path) -> io::Result<()> {
    if fs::symlink_metadata(profile).is_ok_and(|found| !found.is_dir()) {
        fs::remove_file(profile)?;
    }
    fs::create_dir_all(profile)?;
    for name in VISITS.into_iter().chain([SESSIONS]) {
        let path = profile.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => unless_missing(fs::remove_dir_all(path))?,
            Ok(_) => unless_missing(fs::remove_file(path))?,
            Err(_missing) => {}
        }
    }
    // A file in place of the folder keeps Chromium from writing sessions.
    fs::write(profile.join(SESSIONS), "")?;
    let path = profile.join("Preferences");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    let read = is_file.then(|| fs::read(&path).ok()).flatten();
    let read = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // Chromium would replace an unreadable file as well.
    let mut preferences: Map<String, Value> = read.unwrap_or_default();
    let history = preferences.entry("history").or_insert_with(|| json!({}));
    if !history.is_object() {
        *history = json!({});
    }
    history["saving_disabled"] = json!(true);
    let new = profile.join("Preferences.new");
    unless_missing(fs::remove_file(&new))?;
    fs::write(&new, serde_json::to_vec(&preferences).map_err(io::Error::other)?)?;
    fs::rename(new, path)
}
