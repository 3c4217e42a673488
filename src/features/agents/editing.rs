//! Manual edits of an agent's files: save, create, rename, remove and upload. Each edit is one commit by its author.
//! Uncommitted work of the agent is committed first under the agent's name, so nothing is lost. Concurrent changes in
//! other lines are merged; nobody's text is overwritten unseen.

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

use super::desk::{self, LockedFolder};
use super::files::FilesError;
use super::model::Agent;
use super::templates::MANIFEST;
use super::{memory, rules};

/// Maximum size of an edited text in bytes.
pub const MAX_TEXT: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Both changed the same lines.
    #[error(
        "the same lines of {path} changed while you were editing; choose which version to keep"
    )]
    Clash {
        path: String,
        /// The current text and the possible results.
        clash: Box<Clash>,
    },
    /// The file changed, and its base text is unknown.
    #[error("{0} has changed; read it again and reapply your change")]
    Changed(String),
    /// The file was removed since it was read.
    #[error("{0} was deleted; save again to recreate it with your text")]
    Gone(String),
    /// The path is in use.
    #[error("{0} already exists; choose another name")]
    Exists(String),
    /// The manifest is generated from the settings.
    #[error("agent.json follows the agent's settings; change those")]
    Manifest,
    /// The path is excluded from commits.
    #[error("{0} has no history, like scratch/ and .env; choose another place")]
    NotKept(String),
    /// The text contains a key that every reader of the files would see.
    #[error("line {}: {}; store keys under Secrets and leave them out here", .0.line, .0.why)]
    Key(Leak),
    /// The text contains a redaction mask, so the real value would be lost.
    #[error("{0}")]
    Mask(Masked),
    /// The file is not UTF-8 text.
    #[error("{0} isn't UTF-8 text, so it can't be changed here; download it")]
    NoText(String),
    #[error("{path} can have at most {most} KB; this has {has} KB")]
    TooLong {
        path: String,
        /// Maximum size in KB.
        most: u64,
        /// Actual size in KB.
        has: u64,
    },
    /// The limits of the branch are reached.
    #[error("an agent can have at most 10,000 files and 512 MB; delete some first")]
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

/// A person who edits an agent's files.
#[derive(Clone, Copy)]
pub struct Hand<'a> {
    pub ws: &'a Ws,
    pub agent: &'a Agent,
    pub who: &'a Person,
}

/// The version that an edit is based on.
#[derive(Clone, Debug)]
pub enum Base {
    /// The text as it was opened; empty for a new file.
    Text(String),
    /// Only its [`hash`]: concurrent changes cannot be merged.
    Hash(String),
}

/// Line endings of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Given,
    /// As in the base: a form normalizes all line endings.
    AsBefore,
}

/// An edited text.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub base: Base,
    pub ends: Ends,
}

/// Result of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The current text.
    pub text: String,
    /// `None` if the text is unchanged.
    pub commit: Option<CommitId>,
    /// Whether concurrent changes were merged.
    pub joined: bool,
}

/// Short hash of a text, which identifies the base of an edit.
#[must_use]
pub fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// Whether people may edit the file: its path is included in commits and it is not generated.
#[must_use]
pub fn is_editable(path: &str) -> bool {
    checked(path).is_ok()
}

/// Saves a text. Concurrent changes of the agent in other lines stay.
///
/// # Errors
/// `Clash` if both changed the same lines; other variants if the path or text is invalid.
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

/// Creates a file.
///
/// # Errors
/// `Exists` if the path is in use.
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

/// Adds an uploaded file.
///
/// # Errors
/// `Exists` if the path is in use; `Key` if its text contains a key.
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

/// Renames a file, possibly to another folder.
///
/// # Errors
/// `Exists` if the new path is in use.
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

/// Removes a file. Its history stays, so it can be restored.
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

/// Verb in the commit subject of an edit.
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
    /// Converts the line endings of a text to those of `base`, if requested.
    fn of(self, base: &str, text: &str) -> String {
        match self {
            Self::Given => text.to_owned(),
            Self::AsBefore => merge::dressed(base, text),
        }
    }
}

/// A text file in the folder.
struct Now {
    text: String,
    executable: bool,
}

/// Operations of manual edits.
impl LockedFolder {
    /// The whole file, or only its size if it is larger than `most`; `None` if there is none.
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
            // Checked before any commit, which an obstacle would make pointless.
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
        Ok(self.commit(paths, &format!("{}: {verb} {what} manually", kind_of(paths[0])))?)
    }

    /// Commits a new file. The limits of the branch were checked before.
    fn made(&self, verb: Verb, path: String) -> Result<(CommitId, Told), EditError> {
        let commit = self.commit_by_hand(verb, &[&path])?.ok_or(EditError::Full)?;
        Ok((commit, Some((path, commit))))
    }
}

/// File and commit to announce in the feed.
type Told = Option<(String, CommitId)>;

/// Locks the files, works in the agent's folder and announces the commit in the feed.
async fn at_desk<T: Send + 'static, const N: usize>(
    hand: Hand<'_>,
    paths: [String; N],
    body: impl FnOnce(&LockedFolder, [String; N]) -> Result<(T, Told), EditError> + Send + 'static,
) -> Result<T, EditError> {
    let Hand { ws, agent, who } = hand;
    let author = Author::person(&who.name, who.account);
    let held = BTreeSet::from(paths.clone());
    let (came, changed) = desk::at(ws, agent, author, held, move |desk| {
        desk.disk_has_room()?;
        body(desk, paths)
    })
    .await?;
    if let Some((path, commit)) = changed {
        tell(hand, path, commit).await?;
    }
    Ok(came)
}

/// Announces a person's commit in the feed.
///
/// # Errors
/// If the store fails; the commit stays.
pub(super) async fn tell(hand: Hand<'_>, path: String, commit: CommitId) -> Result<(), StoreError> {
    let id = hand.agent.id;
    let written = hand.ws.write(hand.who, move |tx| {
        rules::files_changed(tx, id, path, commit);
        Ok(())
    });
    written.await
}

/// Validates a path for editing.
///
/// # Errors
/// If the agent is archived or the path is not editable.
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

/// Prefix of the commit subject of an edit.
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
