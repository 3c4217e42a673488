//! Operations that fetch packages or write their folders. They run outside of a transaction.

use std::time::Duration;

use app::Ws;
use kernel::{Error, Problem as _, ProblemKind};
use kit::{OpCx, Prepared, Reply, SentFile};
use serde_json::{Value, json};
use skill::{Broken, Index, MAX_BYTES, Package, SkillError, Source};
use store::{StoreError, WriteTx};

use super::fetch::{self, Found};
use super::model::Skill;
use super::rules::{self, Fetched, Origin};
use super::{disk, queries};
use crate::names::visible;
use crate::nouns::slugs;

/// Longest wait for a source.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most names of a source in a message.
const NAMED: usize = 30;
/// The field with an uploaded archive.
pub(super) const ARCHIVE: &str = "archive";

fn unavailable(message: &str) -> Error {
    Error::new(ProblemKind::Unavailable, "skill_source_unavailable", message)
}

/// Waits for a source on this blocking thread.
fn wait<T, E: kernel::Problem + 'static>(
    fetched: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    let handle = tokio::runtime::Handle::try_current();
    // ok: without a runtime HQ is not running.
    let handle = handle.map_err(|_| unavailable("start HQ first"))?;
    let timed = handle.block_on(async { tokio::time::timeout(PATIENCE, fetched).await });
    match timed {
        Ok(found) => found.map_err(Error::of),
        // ok: the cause is only that the time is over.
        Err(_) => Err(unavailable("the source didn’t answer in two minutes; try again")),
    }
}

/// Reads where to fetch from. A path is one of this machine.
fn source(text: &str) -> Result<Source, Error> {
    let wrong = |error: SkillError| Error::field("source", web::form::sentence(&error.to_string()));
    Source::parse(text.trim()).map_err(wrong)
}

/// Whether a source is read from this machine's disk.
pub(super) fn is_local(text: &str) -> bool {
    matches!(Source::parse(text.trim()), Ok(Source::Folder(_) | Source::Archive(_)))
}

fn stored(ws: &Ws, package: &Package, commit: Option<String>) -> Result<Fetched, Error> {
    Ok(Fetched::of(package, disk::keep(ws, package)?, commit))
}

/// A package of a source by name; the only one if none is named.
fn get(ws: &Ws, source: &Source, name: &str) -> Result<Fetched, Error> {
    let only = Some(name.trim()).filter(|name| !name.is_empty());
    let wanted = Wanted { name, source_field: "source", name_field: "skill" };
    let mut fetched = pick(ws, wait(fetch::fetch_one(ws, source, only))?, wanted)?;
    fetched.source = source.to_string();
    Ok(fetched)
}

/// A package of an uploaded archive by name; the only one if none is named. `name_field` is that of the name.
fn get_uploaded(
    ws: &Ws,
    file: &SentFile,
    name: &str,
    name_field: &'static str,
) -> Result<Fetched, Error> {
    if file.size == 0 {
        return Err(Error::field(ARCHIVE, "The file is empty. Choose another one."));
    }
    let bytes = ws.blobs.get(file.blob, MAX_BYTES).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::field(ARCHIVE, "The file is no longer here. Choose it again.")
        }
        _ => StoreError::of_file(&error).into(),
    })?;
    let refused = |error: SkillError| {
        Error::field(ARCHIVE, web::form::sentence(&error.to_string())).with_code(error.code())
    };
    let wanted = Wanted { name, source_field: ARCHIVE, name_field };
    pick(ws, fetch::unpack(&bytes).map_err(refused)?, wanted)
}

/// Which package of a source is wanted, and the fields for errors about that.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// The only one if it is empty.
    name: &'a str,
    source_field: &'static str,
    name_field: &'static str,
}

fn pick(ws: &Ws, found: Found, wanted: Wanted<'_>) -> Result<Fetched, Error> {
    match found {
        Found::Packages(mut found) => {
            let names: Vec<&str> =
                found.packages.iter().map(|package| package.name.as_str()).collect();
            let at = chosen(&names, wanted, &unusable(&found.broken))?;
            stored(ws, &found.packages.swap_remove(at), found.commit)
        }
        Found::Index(index) => {
            let names: Vec<&str> = index.entries.iter().map(|entry| entry.name.as_str()).collect();
            let at = chosen(&names, wanted, &skipped(&index))?;
            let package = wait(fetch::fetch_entry(ws, &index.entries[at]))?;
            stored(ws, &package, None)
        }
    }
}

/// Folders of a source that only look like packages, with the reasons.
fn unusable(broken: &[Broken]) -> Vec<String> {
    let line = |one: &Broken| {
        let folder = match one.folder.as_str() {
            "" => "The folder",
            folder => folder,
        };
        visible(&format!("{folder} can’t be used: {}", one.error))
    };
    broken.iter().take(NAMED).map(line).collect()
}

/// Entries of an index that can't be used, with the reasons.
fn skipped(index: &Index) -> Vec<String> {
    let line = |reason: &String| visible(&format!("Left out: {reason}"));
    index.skipped.iter().take(NAMED).map(line).collect()
}

/// The wanted one of these names. `others` says what else the source has.
fn chosen(names: &[&str], wanted: Wanted<'_>, others: &[String]) -> Result<usize, Error> {
    let with_others = |mut message: String| {
        for one in others {
            message.push_str(&format!(" {}.", one.trim_end_matches('.')));
        }
        message
    };
    let shown = || {
        let mut shown: Vec<String> = names.iter().take(NAMED).map(|n| (*n).to_owned()).collect();
        if NAMED < names.len() {
            shown.push("others".to_owned());
        }
        kernel::text::listed(&shown)
    };
    match (names, wanted.name.trim()) {
        ([], _) => {
            let message = "There is no skill in it.".to_owned();
            Err(Error::field(wanted.source_field, with_others(message)))
        }
        ([_], "") => Ok(0),
        (_, "") => {
            let message = format!("Name one of its skills: {}.", shown());
            Err(Error::field(wanted.name_field, with_others(message)))
        }
        (_, name) => names.iter().position(|known| *known == name).ok_or_else(|| {
            let name = kernel::text::ellipsis(name, 60);
            let place = if wanted.source_field == ARCHIVE { "file" } else { "source" };
            let message = format!("The {place} has no skill “{name}”. It has {}.", shown());
            Error::field(wanted.name_field, with_others(message))
        }),
    }
}

/// What is passed to the transaction of an installation or update.
struct Ready {
    source: String,
    fetched: Fetched,
}

fn lost<T>(_: T) -> Error {
    Error::new(ProblemKind::Internal, "internal", "the result was lost")
}

pub(super) fn fetch_new(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let name = cx.text("skill");
    let ready = match (cx.file(ARCHIVE), cx.text("source")) {
        (Some(file), "") => {
            Ready { source: String::new(), fetched: get_uploaded(ws, &file, name, "skill")? }
        }
        (Some(_), _) => {
            // At the file, so that the form doesn't keep it.
            return Err(Error::field(ARCHIVE, "Enter a source or choose a file, not both."));
        }
        (None, "") => return Err(Error::field("source", "Enter a source, or choose a file.")),
        (None, text) => {
            let source = source(text)?;
            Ready { source: source.to_string(), fetched: get(ws, &source, name)? }
        }
    };
    Ok(Box::new(ready))
}

pub(super) fn install(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    ready: Prepared,
) -> Result<Reply, Error> {
    let Ready { source, fetched } = *ready.downcast::<Ready>().map_err(lost)?;
    let agents = cx.input.get("agents").and_then(Value::as_array).into_iter().flatten();
    let agents: Vec<String> = agents.filter_map(Value::as_str).map(str::to_owned).collect();
    let origin = Origin { source, agents: slugs(tx, &agents)?, proposed_by: String::new() };
    Ok(Reply::record(&rules::install(tx, fetched, origin)?.id))
}

pub(super) fn fetch_again(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let skill = ws.read(|snap| cx.record::<Skill>(snap))?;
    if !skill.proposed_by.is_empty() {
        let message = format!(
            "@{} proposed this skill and its updates; remove it before you install another one",
            skill.proposed_by
        );
        return Err(Error::new(ProblemKind::Conflict, "skill_of_agent", message));
    }
    if let Some(file) = cx.file(ARCHIVE) {
        let fetched = get_uploaded(ws, &file, &skill.name, ARCHIVE)?;
        return Ok(Box::new(Ready { source: skill.source, fetched }));
    }
    if skill.source.is_empty() {
        let message = "This skill has no source to fetch it from. Choose a file.";
        return Err(Error::field(ARCHIVE, message).with_code("skill_without_source"));
    }
    let source = source(&skill.source)?;
    let fetched = get(ws, &source, &skill.name)?;
    Ok(Box::new(Ready { source: skill.source, fetched }))
}

pub(super) fn update(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, ready: Prepared) -> Result<Reply, Error> {
    let Ready { source, fetched } = *ready.downcast::<Ready>().map_err(lost)?;
    let skill = queries::skill(tx, cx.id()?)?;
    if skill.source != source {
        let message = "the source of the skill has changed; try again";
        return Err(Error::new(ProblemKind::Conflict, "skill_changed", message));
    }
    Ok(Reply::record(&rules::receive(tx, &skill, fetched)?.id))
}

/// Lists what a source has.
pub(super) fn look(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let one = |name: &str, description: &str| {
        let description = skill::one_line(&visible(description), 300);
        json!({ "name": name, "description": description })
    };
    let (skills, others): (Vec<Value>, _) =
        match wait(fetch::fetch(ws, &source(cx.text("source"))?))? {
            Found::Packages(found) => {
                let all = found.packages.iter();
                let skills = all.map(|package| one(&package.name, &package.description)).collect();
                (skills, unusable(&found.broken))
            }
            Found::Index(index) => {
                let all = index.entries.iter();
                let skills = all.map(|entry| one(&entry.name, &entry.description)).collect();
                (skills, skipped(&index))
            }
        };
    let line = |skill: &Value| {
        let text = |key: &str| skill[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("name"), text("description"))
    };
    let mut lines: Vec<String> = skills.iter().map(line).collect();
    lines.extend(others);
    let message = if lines.is_empty() { "No skills.".to_owned() } else { lines.join("\n") };
    Ok(Box::new(json!({ "message": message, "skills": skills })))
}

/// The JSON of the first step.
pub(super) fn reply(_: &OpCx<'_>, _: &mut WriteTx<'_>, prepared: Prepared) -> Result<Reply, Error> {
    Ok(Reply::json(&*prepared.downcast::<Value>().map_err(lost)?))
}

/// Writes the folder of the version to approve.
pub(super) fn lay_waiting(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let hash = cx.text("hash");
    let version = ws.read(|snap| rules::to_approve(snap, &cx.record::<Skill>(snap)?, hash))?;
    disk::lay(ws, &version)?;
    Ok(Box::new(()))
}

pub(super) fn approve(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, _: Prepared) -> Result<Reply, Error> {
    Ok(Reply::record(&rules::approve(tx, cx.id()?, cx.text("hash"))?.id))
}

fn wanted(cx: &OpCx<'_>) -> Option<u32> {
    u32::try_from(cx.count("number")).ok().filter(|number| 0 < *number)
}

/// Writes the folder of the version to return to.
pub(super) fn lay_earlier(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let number = wanted(cx);
    let version = ws.read(|snap| rules::earlier(snap, &cx.record::<Skill>(snap)?, number))?;
    disk::lay(ws, &version)?;
    Ok(Box::new(()))
}

pub(super) fn roll_back(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, _: Prepared) -> Result<Reply, Error> {
    Ok(Reply::record(&rules::roll_back(tx, cx.id()?, wanted(cx))?.id))
}

/// Writes the folder of the active version again.
pub(super) fn repair(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let version = ws.read(|snap| {
        let skill = cx.record::<Skill>(snap)?;
        Ok::<_, Error>(queries::active(snap, &skill)?)
    })?;
    let Some(version) = version else {
        let message = "no version of this skill is active";
        return Err(Error::new(ProblemKind::Conflict, "skill_inactive", message));
    };
    disk::repair(ws, &version)?;
    let message = match disk::check(ws, &version) {
        None => "Its files are as approved again.".to_owned(),
        Some(fault) => web::form::sentence(&fault),
    };
    Ok(Box::new(json!({ "message": message })))
}
