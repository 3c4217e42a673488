//! What the profile of a browser knows of the addresses that were opened: nothing. They may hold what was typed into a
//! form.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::launch::unless_missing;

/// What Chromium would write. HQ itself knows the tabs, and needs none of it.
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
/// Where it would keep the tabs of a session.
const SESSIONS: &str = "Sessions";

/// Takes away what a profile knows of visits, and has none written any more. Chromium, which is not running, may have
/// put links in the places of folders and files: none is followed.
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
    // Where a file stands it makes no folder, and keeps nothing.
    fs::write(profile.join(SESSIONS), "")?;
    let path = profile.join("Preferences");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    let read = is_file.then(|| fs::read(&path).ok()).flatten();
    let read = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // What cannot be read Chromium would make anew as well.
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
