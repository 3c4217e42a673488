//! Reads a repository with the `git` program in the jail, which reaches only the repository's host.
//!
//! The newest commit of a reference is fetched into a bare repository, and the files of packages are read from its
//! objects. Nothing is checked out, so neither hooks nor filters run, and links and submodules stay names. No
//! credentials are available, and only https is allowed (http on this machine, if the guard allows it).

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::Ws;
use net::guard::Hosts;
use parking_lot::Mutex;
use sandbox::job::{Job, JobEnd, Outcome, StopReason};
use sandbox::left_over;
use sandbox::policy::Policy;
use sandbox::space::Room;
use sandbox::spawn::{Command, Input, Output, Started};
use skill::{File, GitSource, MAX_BYTES, MAX_FILES, SkillError, Source, TreeEntry};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use super::fetch::blocking;
use super::fetch_error::FetchError;
use crate::names;
use crate::pool::{Pool, Way, marks};

/// Time limit of the transfer.
const TRANSFER_WITHIN: Duration = Duration::from_secs(90);
/// Time limit of each local step.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// Limit of the fetched objects.
const MAX_REPOSITORY: u64 = 512 << 20;
/// Limit of the list of all files.
const MAX_LIST: u64 = 32 << 20;
/// Limit of messages.
const MAX_MESSAGES: u64 = 64 << 10;
const MAX_PROCESSES: usize = 32;

/// Number of reads since HQ started.
static READS: AtomicU64 = AtomicU64::new(0);
/// Folders of current reads. Others are left over from a crash.
static CURRENT: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// Files of packages, relative to the folder of the source.
pub struct Read {
    pub files: Vec<File>,
    pub commit: String,
}

/// Reads the packages of a repository: only the wanted one, if there is a folder of its name.
pub async fn read(ws: &Ws, source: &GitSource, wanted: Option<&str>) -> Result<Read, FetchError> {
    // The fields are public, so they are checked as if a person had entered them.
    if Source::parse(&source.to_string())? != Source::Git(source.clone()) {
        return Err(SkillError::Source { reason: "the repository isn't valid".to_owned() }.into());
    }
    let place = Place::new(ws).await?;
    let read = read_in(&place, ws, (source, wanted)).await;
    place.remove().await;
    read
}

async fn read_in(
    place: &Place,
    ws: &Ws,
    (source, skill): (&GitSource, Option<&str>),
) -> Result<Read, FetchError> {
    let init = ["init", "--quiet", "--bare", "--template=", "."];
    place.run(ws, Step::new(init)).await?;
    let wanted = source.reference.as_deref().unwrap_or("HEAD");
    let fetch = Step {
        hosts: vec![host(source)?],
        within: TRANSFER_WITHIN,
        ..Step::new([
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            source.url.as_str(),
            wanted,
        ])
    };
    place.run(ws, fetch).await?;
    let commit = place.run(ws, Step::new(["rev-parse", "--verify", "FETCH_HEAD^{commit}"])).await?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let list =
        Step { most: MAX_LIST, ..Step::new(["ls-tree", "-r", "-z", "-l", "--full-tree", &commit]) };
    let listed = place.run(ws, list).await?;
    let (folder, wanted) = (source.folder.clone().unwrap_or_default(), skill.map(str::to_owned));
    let rows = blocking(move || rows(&listed, &folder, wanted.as_deref())).await?;
    let entries = place.objects(ws, rows).await?;
    Ok(Read { files: skill::from_tree(entries)?, commit })
}

fn host(source: &GitSource) -> Result<String, FetchError> {
    let host = source.url.host_str().and_then(Hosts::line);
    let reason = "the address has no host".to_owned();
    Ok(host.ok_or(SkillError::Source { reason })?)
}

/// An entry of the tree that belongs to a package.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Relative to the folder of the source.
    path: Vec<u8>,
    mode: u32,
    object: String,
    size: u64,
}

impl Row {
    fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// The entries of packages in a list of `git ls-tree -r -z -l`: only of the wanted one, if there is a folder of its
/// name. Their number and size are checked.
fn rows(listed: &[u8], folder: &str, wanted: Option<&str>) -> Result<Vec<Row>, FetchError> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut rows = Vec::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let row = row(line).ok_or_else(|| broken("its list of files can't be read"))?;
        if let Some(path) = row.path.strip_prefix(prefix.as_bytes()) {
            rows.push(Row { path: path.to_vec(), ..row });
        }
    }
    if rows.is_empty() && !folder.is_empty() {
        let folder = names::visible(folder);
        return Err(broken(&format!("it has no folder {folder}")));
    }
    // Paths that are no texts are refused below, if they are in a package.
    let texts = rows.iter().filter_map(|row| std::str::from_utf8(&row.path).ok());
    let mut folders = skill::package_folders(texts);
    if MAX_FILES < folders.len() {
        return Err(SkillError::TooManyFiles.into());
    }
    let is_wanted =
        |folder: &str| wanted.is_some_and(|name| folder.rsplit('/').next() == Some(name));
    if folders.iter().any(|folder| is_wanted(folder)) {
        folders.retain(|folder| is_wanted(folder));
    }
    rows.retain(|row| is_in(&row.path, &folders));
    if MAX_FILES < rows.len() {
        return Err(SkillError::TooManyFiles.into());
    }
    // Sizes are those of git itself, and not of the repository's author.
    let total = rows.iter().fold(0, |total: u64, row| total.saturating_add(row.size));
    match MAX_BYTES < total {
        true => Err(SkillError::TooLarge.into()),
        false => Ok(rows),
    }
}

/// Whether a path is in one of these folders.
fn is_in(path: &[u8], folders: &BTreeSet<String>) -> bool {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    std::iter::once(0).chain(ends).any(|end| {
        // ok: a path that is no text is in the folder above it.
        std::str::from_utf8(&path[..end]).is_ok_and(|folder| folders.contains(folder))
    })
}

/// `<mode> <type> <object> <size>\t<path>`
fn row(line: &[u8]) -> Option<Row> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let _kind = words.next()?;
    let object = words.next()?.to_owned();
    let is_hex = object.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Submodules have the size `-`.
    let size = words.next()?.parse().unwrap_or(0);
    is_hex.then(|| Row { path: line[tab + 1..].to_vec(), mode, object, size })
}

/// The objects in the output of `git cat-file --batch`, in the order of the request.
fn objects(mut output: &[u8], wanted: &[&Row]) -> Option<Vec<Vec<u8>>> {
    let mut objects = Vec::new();
    for row in wanted {
        let end = output.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&output[..end]).ok()?;
        let [object, "blob", size] = head.split(' ').collect::<Vec<_>>()[..] else { return None };
        let size: usize = size.parse().ok()?;
        let rest = &output[end + 1..];
        let is_whole = object == row.object && rest.get(size) == Some(&b'\n');
        objects.push(is_whole.then(|| rest[..size].to_vec())?);
        output = &rest[size + 1..];
    }
    Some(objects)
}

/// A run of git.
struct Step {
    args: Vec<OsString>,
    input: Input,
    /// Reachable hosts.
    hosts: Vec<String>,
    /// Maximum size of the output, in bytes.
    most: u64,
    within: Duration,
}

impl Step {
    fn new<const N: usize>(args: [&str; N]) -> Self {
        Self {
            args: args.map(OsString::from).into(),
            input: Input::Nothing,
            hosts: Vec::new(),
            most: MAX_MESSAGES,
            within: STEP_WITHIN,
        }
    }
}

/// Folders of one read.
struct Place {
    folder: PathBuf,
    /// Folder that records the session of the program, which the next start of HQ ends.
    mark: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The next read removes what remains.
        CURRENT.lock().remove(&self.folder);
    }
}

impl Place {
    async fn remove(&self) {
        let (folder, mark) = (self.folder.clone(), self.mark.clone());
        let clear = move || {
            left_over::clear(&folder);
            left_over::clear(&mark);
        };
        // ok: the next read removes what remains.
        let _ = tokio::task::spawn_blocking(clear).await;
    }

    async fn new(ws: &Ws) -> Result<Self, FetchError> {
        // It ends what an earlier process left running.
        Pool::of(ws).sweep(ws).await;
        let number = READS.fetch_add(1, Ordering::Relaxed);
        let reads = ws.folder.join("skills").join("read");
        let folder = reads.join(number.to_string());
        let mark = marks(ws).join(format!("skills-{number}"));
        CURRENT.lock().insert(folder.clone());
        let place = Self { folder, mark };
        let made = place.folder.clone();
        let making = tokio::task::spawn_blocking(move || {
            left_over::sweep(&reads, |name| CURRENT.lock().contains(&reads.join(name)));
            left_over::make(&made)?;
            left_over::make(&made.join("repository"))?;
            left_over::make(&made.join("tmp"))
        });
        let made = making.await.map_err(std::io::Error::other).flatten();
        let failed = |error: std::io::Error| FetchError::NoGit { reason: error.to_string() };
        made.map_err(failed)?;
        Ok(place)
    }

    /// Reads the files of these entries; links and submodules stay empty.
    async fn objects(&self, ws: &Ws, rows: Vec<Row>) -> Result<Vec<TreeEntry>, FetchError> {
        let wanted: Vec<&Row> = rows.iter().filter(|row| row.is_file()).collect();
        let mut input = String::new();
        for row in &wanted {
            input.push_str(&row.object);
            input.push('\n');
        }
        let step = Step {
            input: Input::Bytes(input.into_bytes()),
            // With a head for each object.
            most: MAX_BYTES + (wanted.len() as u64 + 1) * 128,
            ..Step::new(["cat-file", "--batch"])
        };
        let output = self.run(ws, step).await?;
        let mut found =
            objects(&output, &wanted).ok_or_else(|| broken("its files can't be read"))?.into_iter();
        let entry = |row: Row| {
            let bytes = match row.is_file() {
                true => found.next().unwrap_or_default(),
                false => Vec::new(),
            };
            TreeEntry { path: row.path, mode: row.mode, bytes }
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Runs git in the repository and returns its output.
    async fn run(&self, ws: &Ws, step: Step) -> Result<Vec<u8>, FetchError> {
        let unready = |reason: String| FetchError::NoGit { reason };
        let mark = self.mark.clone();
        let made = tokio::task::spawn_blocking(move || left_over::make(&mark)).await;
        made.map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| unready(error.to_string()))?;
        let (repository, scratch) = (self.folder.join("repository"), self.folder.join("tmp"));
        let mut policy = Policy::for_agent(&repository, &scratch, &ws.app.config.data);
        policy.limits.file_bytes = Some(MAX_REPOSITORY);
        let way = match step.hosts.is_empty() {
            true => None,
            false => {
                let way = Way::open(ws, (step.hosts.as_slice(), [].as_slice()), &mut policy).await;
                let way = way.map_err(|error| unready(error.to_string()))?;
                Some(way.ok_or_else(|| {
                    unready("this machine can't keep a program to a list of hosts".to_owned())
                })?)
            }
        };
        let mut command = Command::new("git", policy);
        command.args = config();
        command.args.extend(step.args);
        command.env = Command::base_env(&repository, &scratch);
        command.env.extend(env());
        command.env.extend(way.iter().flat_map(Way::env));
        command.stdin = step.input;
        command.stdout = Output::Pipe;
        command.stderr = Output::Pipe;
        command.timeout = Some(step.within);
        command.max_processes = MAX_PROCESSES;
        command.room = Some(Room { bytes: MAX_REPOSITORY, files: 20_000 });
        command.noted_in = Some(self.mark.clone());
        let started = ws.app.sandbox.spawn(command).await;
        let started = started.map_err(|error| unready(error.to_string()))?;
        let Started { job, stdout: Some(output), stderr: Some(errors), way_out, .. } = started
        else {
            return Err(unready("it has no pipes".to_owned()));
        };
        // The future may be dropped.
        let running = Running(job);
        if let Some(way) = way {
            way.serve(way_out, &running.0);
        }
        let pipe = |end: std::os::fd::OwnedFd| {
            Receiver::from_owned_fd(end).map_err(|error| unready(error.to_string()))
        };
        let (output, errors) = (pipe(output.into())?, pipe(errors.into())?);
        let (output, errors, end) = tokio::join!(
            read_all(output, step.most),
            read_all(errors, MAX_MESSAGES),
            running.0.wait()
        );
        if step.most < output.len() as u64 {
            return Err(SkillError::TooLarge.into());
        }
        check(&end, &errors).map(|()| output)
    }
}

/// Ends the program with the future that waits for it.
struct Running(Job);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.end().is_none() {
            self.0.stop(StopReason::Stopped);
        }
    }
}

/// Reads to the end and keeps one byte more than the limit.
async fn read_all(mut pipe: Receiver, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // ok, both: the exit status reports the failure.
    let _ = (&mut pipe).take(most + 1).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    bytes
}

/// Settings on the command line, which take precedence over configuration files of the machine and of repositories.
fn config() -> Vec<OsString> {
    let settings = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "credential.helper=",
        "fetch.recurseSubmodules=false",
        "gc.auto=0",
        "http.followRedirects=initial",
        // The pass of the proxy is sent with the first request.
        "http.proxyAuthMethod=basic",
        "maintenance.auto=false",
        "protocol.allow=never",
        "protocol.http.allow=always",
        "protocol.https.allow=always",
        "submodule.recurse=false",
        "transfer.bundleURI=false",
    ];
    settings.iter().flat_map(|setting| ["-c".into(), OsString::from(setting)]).collect()
}

fn env() -> impl Iterator<Item = (OsString, OsString)> {
    let variables = [
        ("GIT_ALLOW_PROTOCOL", "http:https"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ];
    variables.into_iter().map(|(name, value)| (name.into(), value.into()))
}

fn check(end: &JobEnd, errors: &[u8]) -> Result<(), FetchError> {
    if end.is_success() {
        return Ok(());
    }
    if let Some(reason) = &end.not_started {
        return Err(FetchError::NoGit { reason: names::visible(reason) });
    }
    let errors = String::from_utf8_lossy(errors);
    let has = |part: &str| errors.contains(part);
    Err(match (end.reason, end.outcome) {
        (Some(StopReason::TimedOut), _) => {
            broken("it took too long; enter the address of an archive")
        }
        (Some(StopReason::TooMuchDisk | StopReason::TooMuchOutput), _) => {
            broken("it is too large; enter the address of an archive")
        }
        (Some(_), _) => broken("git was stopped; try again"),
        (None, Outcome::Code(127)) => {
            FetchError::NoGit { reason: "it isn't installed on this machine".to_owned() }
        }
        _ if has("could not read Username") || has("Authentication failed") => {
            broken("it doesn't exist or isn't public")
        }
        _ if has("couldn't find remote ref") || has("not our ref") => {
            broken("it has no such branch, tag or commit")
        }
        _ if has("not found") || has("error: 404") => broken("it doesn't exist or isn't public"),
        _ if has("signal 25") || has("File too large") => {
            broken("it is too large; enter the address of an archive")
        }
        _ => broken(&last_line(&errors)),
    })
}

/// The last message of git, without the address of the proxy.
fn last_line(errors: &str) -> String {
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("git failed");
    match last.contains("@127.0.0.1") {
        true => "its host can't be reached".to_owned(),
        false => names::visible(last.trim_start_matches("fatal: ")),
    }
}

fn broken(reason: &str) -> FetchError {
    FetchError::Git { reason: reason.to_owned() }
}
