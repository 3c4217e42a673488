//! What people change of an agent's files by hand: text that is written, made, renamed, removed, and files that are
//! sent. Each change is one commit by its author. What the agent left uncommitted there is committed first, as its
//! own, so nothing is lost; what it wrote in other lines stays, and nobody's words go over another's unseen.

use std::collections::BTreeSet;

use app::Ws;
use git::files::Part;
use git::folder::Kind;
use git::names::check_path;
use git::snapshot::{MAX_BYTES, MAX_FILE, MAX_FILES, is_kept};
use git::{Author, CommitId, File, GitError};
use kernel::text::of_bytes;
use kernel::{FieldError, Problem, ProblemKind};
use sha2::{Digest, Sha256};
use store::StoreError;
use tool::leaks::{self, Leak};
use tool::masks::{self, Masked};
use tool::merge::{self, Clash, Merged};
use web::session::Person;
use web::upload::Arrived;

use super::desk::{self, Desk};
use super::files::FilesError;
use super::model::Agent;
use super::templates::MANIFEST;
use super::{memory, rules};

/// The largest text that is changed by hand, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Why a file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It could not be read either.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Two have changed the same lines.
    #[error(
        "{path} was changed meanwhile, in the same lines as you did; choose which words should stay"
    )]
    Clash {
        /// The file.
        path: String,
        /// What it says now, and what it could say.
        clash: Box<Clash>,
    },
    /// It is not as it was read, and what was read is not known.
    #[error("{0} was changed meanwhile; read it again and put your change on top")]
    Changed(String),
    /// It was removed since it was read.
    #[error("{0} was removed meanwhile; save once more to have it again with your words")]
    Gone(String),
    /// Something has that name.
    #[error("there is something called {0} already; choose another name")]
    Exists(String),
    /// The agent's settings make it.
    #[error("agent.json follows the agent's settings; change those")]
    Manifest,
    /// It never gets into a commit.
    #[error("no history is kept of {0}, as of scratch/ and .env; choose another place")]
    NotKept(String),
    /// A key that everybody who reads the files would know.
    #[error("line {}: {}; keep keys among the secrets and leave them out here", .0.line, .0.why)]
    Key(Leak),
    /// The value that the file has there would be lost.
    #[error("{0}")]
    Mask(Masked),
    /// It cannot be written in a form.
    #[error("{0} is no text (UTF-8), so it is not changed here; download it")]
    NoText(String),
    /// The text is longer than it may be.
    #[error("{path} may have at most {most} KB; this has {has} KB")]
    TooLong {
        /// The file.
        path: String,
        /// So much it may have.
        most: u64,
        /// So much it has.
        has: u64,
    },
    /// The branch takes no more.
    #[error("an agent has at most 10,000 files and 512 MB of them; remove some first")]
    Full,
}

impl From<GitError> for EditError {
    fn from(error: GitError) -> Self {
        Self::Files(error.into())
    }
}

impl From<StoreError> for EditError {
    fn from(error: StoreError) -> Self {
        Self::Files(error.into())
    }
}

impl Problem for EditError {
    fn code(&self) -> &'static str {
        match self {
            Self::Files(error) => error.code(),
            Self::Clash { .. } => "text_clash",
            Self::Changed(_) => "file_changed",
            Self::Gone(_) => "file_gone",
            Self::Exists(_) => "file_exists",
            Self::Manifest => "file_of_settings",
            Self::NotKept(_) => "file_not_kept",
            Self::Key(_) => "file_holds_key",
            Self::Mask(_) => "file_holds_mask",
            Self::NoText(_) => "file_no_text",
            Self::TooLong { .. } => "file_too_long",
            Self::Full => "agent_files_full",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Clash { .. } | Self::Changed(_) | Self::Gone(_) | Self::Exists(_) => {
                ProblemKind::Conflict
            }
            Self::Manifest | Self::NotKept(_) | Self::Key(_) | Self::Mask(_) | Self::NoText(_) => {
                ProblemKind::Invalid
            }
            Self::TooLong { .. } | Self::Full => ProblemKind::TooLarge,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::Files(FilesError::Git(GitError::Path { .. }))
            | Self::Exists(_)
            | Self::Manifest
            | Self::NotKept(_)
            | Self::NoText(_) => "path",
            Self::Key(_) | Self::Mask(_) | Self::TooLong { .. } => "text",
            _ => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}

/// A person at the files of an agent.
#[derive(Clone, Copy)]
pub struct Hand<'a> {
    /// The workspace.
    pub ws: &'a Ws,
    /// Whose files they are.
    pub agent: &'a Agent,
    /// Who changes them.
    pub who: &'a Person,
}

/// What a change begins with.
#[derive(Clone, Debug)]
pub enum Base {
    /// The text as it was opened; empty for a file that was not there.
    Text(String),
    /// Only the [`hash`] of it: what others wrote meanwhile cannot be made one with the change.
    Hash(String),
}

/// How the lines of a text end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// As they were given.
    Given,
    /// As they did before: a form sends all lines alike.
    AsBefore,
}

/// A text as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    /// What it was made from.
    pub base: Base,
    /// How its lines end.
    pub ends: Ends,
}

/// What came of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What the file says now.
    pub text: String,
    /// The commit; none when nothing differs.
    pub commit: Option<CommitId>,
    /// Whether it says more than what was written: others had changed it, too.
    pub joined: bool,
}

/// The hash of a text, by which a change names what it was made from.
#[must_use]
pub fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// Whether people change this file by hand: the name is one that is kept and no settings are behind it.
#[must_use]
pub fn is_editable(path: &str) -> bool {
    checked(path).is_ok()
}

/// Saves a text. What the agent wrote meanwhile in other lines stays.
///
/// # Errors
/// `Clash` when both have changed the same lines, and whatever the path or the text has against it.
pub async fn save(hand: Hand<'_>, path: &str, written: Written) -> Result<Saved, EditError> {
    let path = usable(hand, path)?;
    at_desk(hand, [path], move |desk, [path]| {
        desk.holds_no_key(&written.text)?;
        let now = desk.text(&path)?;
        let before = now.as_ref().map_or("", |now| now.text.as_str());
        let mut joined = false;
        let text = match &written.base {
            Base::Hash(known) if *known != hash(before) => return Err(EditError::Changed(path)),
            Base::Hash(_) => written.ends.of(before, &written.text),
            Base::Text(base) if now.is_none() && !base.is_empty() => {
                return Err(EditError::Gone(path));
            }
            Base::Text(base) => {
                let mine = written.ends.of(base, &written.text);
                let text = match merge::lines(base, &mine, before) {
                    Merged::Clean(text) => text,
                    Merged::Clash(clash) => {
                        return Err(EditError::Clash { path, clash: Box::new(clash) });
                    }
                };
                joined = text != mine;
                text
            }
        };
        if now.as_ref().is_some_and(|now| now.text == text) {
            return Ok((Saved { text, commit: None, joined }, None));
        }
        desk.holds_no_mask(before, &text)?;
        short_enough(&path, &text)?;
        desk.files.has_place(&path)?;
        if before.len() < text.len() {
            desk.has_room(text.len() as u64 - before.len() as u64, now.is_none())?;
        }
        let executable = now.is_some_and(|now| now.executable);
        desk.keep(&[&path])?;
        let bytes = text.clone().into_bytes();
        desk.files.write(&File { path: path.clone(), bytes, executable })?;
        let commit = desk.commit_by_hand(Verb::Change, &[&path])?;
        Ok((Saved { text, commit, joined }, commit.map(|id| (path, id))))
    })
    .await
}

/// Makes a new file.
///
/// # Errors
/// `Exists` when something has that name.
pub async fn create(hand: Hand<'_>, path: &str, text: String) -> Result<CommitId, EditError> {
    let path = usable(hand, path)?;
    short_enough(&path, &text)?;
    at_desk(hand, [path], move |desk, [path]| {
        desk.holds_no_key(&text)?;
        desk.is_free(&path)?;
        desk.has_room(text.len() as u64, true)?;
        desk.keep(&[&path])?;
        desk.files.write(&File::new(path.clone(), text))?;
        desk.made(Verb::Create, path)
    })
    .await
}

/// Puts a file that has arrived among the agent's.
///
/// # Errors
/// `Exists` when something has that name; `Key` when its text holds one.
pub async fn upload(hand: Hand<'_>, path: &str, sent: Arrived) -> Result<CommitId, EditError> {
    let path = usable(hand, path)?;
    at_desk(hand, [path], move |desk, [path]| {
        let content = || desk.ws.blobs.open_blob(sent.blob).map_err(disk(&desk.folder));
        if sent.size <= MAX_TEXT as u64 {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut content()?, &mut bytes).map_err(disk(&desk.folder))?;
            desk.holds_no_key(&of_bytes(bytes, false).unwrap_or_default())?;
        }
        desk.is_free(&path)?;
        desk.has_room(sent.size, true)?;
        desk.keep(&[&path])?;
        desk.files.write_from(&path, &mut content()?, false)?;
        desk.made(Verb::Send, path)
    })
    .await
}

/// Gives a file another name, which may be in another folder.
///
/// # Errors
/// `Exists` when something has that name.
pub async fn rename(hand: Hand<'_>, from: &str, to: &str) -> Result<CommitId, EditError> {
    let (from, to) = (usable(hand, from)?, usable(hand, to)?);
    at_desk(hand, [from, to], move |desk, [from, to]| {
        let part =
            desk.whole(&from, MAX_FILE)?.ok_or_else(|| FilesError::NotFound(from.clone()))?;
        if (part.bytes.len() as u64) < part.total {
            return Err(too_long(&from, MAX_FILE, part.total));
        }
        desk.is_free(&to)?;
        desk.keep(&[&from, &to])?;
        let executable = part.executable;
        desk.files.write(&File { path: to.clone(), bytes: part.bytes, executable })?;
        desk.files.remove(&from)?;
        desk.files.remove_empty_above(&from)?;
        let commit = desk.commit_by_hand(Verb::Rename, &[&from, &to])?;
        let commit = commit.ok_or(EditError::Full)?;
        Ok((commit, Some((to, commit))))
    })
    .await
}

/// Removes a file. Its history stays, and with it the way back.
pub async fn remove(hand: Hand<'_>, path: &str) -> Result<Option<CommitId>, EditError> {
    let path = usable(hand, path)?;
    at_desk(hand, [path], move |desk, [path]| {
        desk.whole(&path, 0)?.ok_or_else(|| FilesError::NotFound(path.clone()))?;
        desk.keep(&[&path])?;
        desk.files.remove(&path)?;
        desk.files.remove_empty_above(&path)?;
        let commit = desk.commit_by_hand(Verb::Remove, &[&path])?;
        Ok((commit, commit.map(|id| (path, id))))
    })
    .await
}

/// What a change is called in its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Change,
    Create,
    Rename,
    Remove,
    Send,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Change => "Change",
            Self::Create => "Create",
            Self::Rename => "Rename",
            Self::Remove => "Remove",
            Self::Send => "Add",
        }
    }
}

impl Ends {
    /// A text with the ends that it should have, made from another.
    fn of(self, base: &str, text: &str) -> String {
        match self {
            Self::Given => text.to_owned(),
            Self::AsBefore => merge::dressed(base, text),
        }
    }
}

/// A text file as it lies there.
struct Now {
    text: String,
    executable: bool,
}

/// What people ask of a desk.
impl Desk {
    /// A file as a whole; none when there is none. Of one that is larger than `most` only its size.
    fn whole(&self, path: &str, most: u64) -> Result<Option<Part>, EditError> {
        Ok(self.files.read_up_to(path, most)?)
    }

    fn text(&self, path: &str) -> Result<Option<Now>, EditError> {
        let Some(part) = self.whole(path, MAX_TEXT as u64)? else { return Ok(None) };
        if (part.bytes.len() as u64) < part.total {
            return Err(too_long(path, MAX_TEXT as u64, part.total));
        }
        let executable = part.executable;
        let text = of_bytes(part.bytes, false);
        let text = text.ok_or_else(|| EditError::NoText(path.to_owned()))?;
        Ok(Some(Now { text, executable }))
    }

    fn holds_no_key(&self, text: &str) -> Result<(), EditError> {
        leaks::first(&self.ws.app.redactor, text).map_or(Ok(()), |leak| Err(EditError::Key(leak)))
    }

    fn holds_no_mask(&self, before: &str, after: &str) -> Result<(), EditError> {
        let found = masks::written(&self.ws.app.redactor, &[before], &[after]);
        found.map_or(Ok(()), |masked| Err(EditError::Mask(masked)))
    }

    fn is_free(&self, path: &str) -> Result<(), EditError> {
        match self.files.kind(path)? {
            // Asked before anything is committed: what stands in the way would be there in vain.
            None => Ok(self.files.has_place(path)?),
            Some(Kind::File { .. } | Kind::Folder | Kind::Other) => {
                Err(EditError::Exists(path.to_owned()))
            }
        }
    }

    fn has_room(&self, bytes: u64, is_new: bool) -> Result<(), EditError> {
        let scan = self.files.scan()?;
        let (count, all) = scan.files().fold((0, 0), |(n, sum), (_, bytes)| (n + 1, sum + bytes));
        if scan.is_cut || (is_new && MAX_FILES <= count) || MAX_BYTES < all + bytes {
            return Err(EditError::Full);
        }
        Ok(())
    }

    fn commit_by_hand(&self, verb: Verb, paths: &[&str]) -> Result<Option<CommitId>, EditError> {
        let (verb, what) = (verb.word(), paths.join(" to "));
        Ok(self.commit(paths, &format!("{}: {verb} {what} by hand", kind_of(paths[0])))?)
    }

    /// Commits a new file, which the limits of a branch have room for.
    fn made(&self, verb: Verb, path: String) -> Result<(CommitId, Told), EditError> {
        let commit = self.commit_by_hand(verb, &[&path])?.ok_or(EditError::Full)?;
        Ok((commit, Some((path, commit))))
    }
}

/// What the feed is told of: a file and the commit that has its change.
type Told = Option<(String, CommitId)>;

/// Works at an agent's folder while nobody else writes these files, and tells the feed of it.
async fn at_desk<T: Send + 'static, const N: usize>(
    hand: Hand<'_>,
    paths: [String; N],
    body: impl FnOnce(&Desk, [String; N]) -> Result<(T, Told), EditError> + Send + 'static,
) -> Result<T, EditError> {
    let Hand { ws, agent, who } = hand;
    let author = Author::person(&who.name, who.account);
    let held = BTreeSet::from(paths.clone());
    let (came, told) = desk::at(ws, agent, author, held, move |desk| {
        desk.disk_has_room()?;
        body(desk, paths)
    })
    .await?;
    if let Some((path, commit)) = told {
        tell(hand, path, commit).await?;
    }
    Ok(came)
}

/// Tells the feed of a person's commit.
///
/// # Errors
/// When the store refuses; the commit stays.
pub(super) async fn tell(hand: Hand<'_>, path: String, commit: CommitId) -> Result<(), StoreError> {
    let id = hand.agent.id;
    let told = hand.ws.write(hand.who, move |tx| {
        rules::files_changed(tx, id, path, commit);
        Ok(())
    });
    told.await
}

/// A path that people may change, of an agent whose files are worked with.
///
/// # Errors
/// What the path or the agent has against it.
pub(super) fn usable(hand: Hand<'_>, path: &str) -> Result<String, EditError> {
    if hand.agent.archived_at.is_some() {
        return Err(FilesError::Archived.into());
    }
    checked(path)?;
    Ok(path.to_owned())
}

fn checked(path: &str) -> Result<(), EditError> {
    check_path(path)?;
    match path {
        MANIFEST => Err(EditError::Manifest),
        path if is_kept(path) => Ok(()),
        path => Err(EditError::NotKept(path.to_owned())),
    }
}

fn short_enough(path: &str, text: &str) -> Result<(), EditError> {
    let most = memory::most_of(path).unwrap_or(MAX_TEXT);
    match text.len() <= most {
        true => Ok(()),
        false => Err(too_long(path, most as u64, text.len() as u64)),
    }
}

fn too_long(path: &str, most: u64, has: u64) -> EditError {
    EditError::TooLong { path: path.to_owned(), most: most / 1024, has: has.div_ceil(1024) }
}

fn disk(folder: &std::path::Path) -> impl FnOnce(std::io::Error) -> GitError + use<> {
    let path = folder.to_owned();
    move |source| GitError::Disk { path, source }
}

/// The word with which the commit of a change begins.
fn kind_of(path: &str) -> &'static str {
    match path {
        "IDENTITY.md" | "SOUL.md" => "identity",
        path if memory::is_memory(path) => "memory",
        path if path.starts_with("skills/") => "skill",
        _ => "files",
    }
}

#[cfg(test)]
mod tests {
    use super::{is_editable, kind_of};

    #[test]
    fn settings_scratch_and_whatever_leaves_the_folder_is_not_changed_by_hand() {
        for good in ["SOUL.md", "notes/a b.txt", "skills/x/SKILL.md"] {
            assert!(is_editable(good), "{good}");
        }
        for bad in ["agent.json", "../x", "/etc/passwd", ".git/config", "scratch/x", ".env", ""] {
            assert!(!is_editable(bad), "{bad}");
        }
    }

    #[test]
    fn a_commit_says_what_kind_of_file_it_changes() {
        let kinds = ["SOUL.md", "MEMORY.md", "skills/x/SKILL.md", "a.txt"].map(kind_of);
        assert_eq!(kinds, ["identity", "memory", "skill", "files"]);
    }
}
