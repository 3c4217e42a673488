//! Validates names of branches, commits and files. Nothing that fails here reaches the disk or the repository.

use std::fmt;
use std::str::FromStr;

use gix::ObjectId;
use serde::{Deserialize, Serialize};

use super::GitError;

/// Maximum path length, in bytes.
pub const MAX_PATH: usize = 512;
/// Maximum number of folders in a path.
pub const MAX_DEPTH: usize = 32;

const MAX_NAME: usize = 64;
const CONFLICT: &str = "conflict";
const DRAFT: &str = "draft";
const SENT: &str = "sent";

/// A branch of an agent or a template, of a conflicting version that is not merged yet, or of a change in preparation
/// for another machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(String);

impl Branch {
    /// The branch of an agent.
    pub fn agent(slug: &str) -> Result<Self, GitError> {
        Self::parse(&format!("agent/{slug}"))
    }

    /// The branch of a template.
    pub fn template(name: &str) -> Result<Self, GitError> {
        Self::parse(&format!("template/{name}"))
    }

    /// A version written elsewhere that diverged from the agent's branch.
    pub fn conflict(slug: &str, name: &str) -> Result<Self, GitError> {
        Self::parse(&format!("{CONFLICT}/{slug}/{name}"))
    }

    /// A change to an agent's files on another machine, until it arrives there.
    pub fn draft(slug: &str) -> Result<Self, GitError> {
        Self::parse(&format!("{DRAFT}/{slug}"))
    }

    /// On a host: the version that the primary has stored as a conflict or has dropped, so that it is sent only once.
    pub fn sent(slug: &str) -> Result<Self, GitError> {
        Self::parse(&format!("{SENT}/{slug}"))
    }

    /// Parses `agent/<slug>`, `template/<name>`, `conflict/<slug>/<name>`, `draft/<slug>` or `sent/<slug>`.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let is_name = |name: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            (1..=MAX_NAME).contains(&name.len())
                && name.bytes().all(|b| plain(b) || b == b'-')
                && name.bytes().next().is_some_and(plain)
                && name.bytes().last().is_some_and(plain)
        };
        let is_one = match text.split_once('/') {
            Some(("agent" | "template" | DRAFT | SENT, name)) => is_name(name),
            Some((CONFLICT, rest)) => {
                rest.split_once('/').is_some_and(|(slug, name)| is_name(slug) && is_name(name))
            }
            _ => false,
        };
        if is_one { Ok(Self(text.to_owned())) } else { Err(GitError::Branch(text.to_owned())) }
    }

    /// Returns `true` for a temporary branch of a pending change.
    #[must_use]
    pub fn is_draft(&self) -> bool {
        self.0.split_once('/').is_some_and(|(kind, _)| kind == DRAFT)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Full git reference name.
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Branch {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        Self::parse(text)
    }
}

/// Commit id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(ObjectId);

impl CommitId {
    /// The commit id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(ObjectId::Sha1(bytes))
    }

    /// Parses 40 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let digits = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match ObjectId::from_hex(text.as_bytes()) {
            Ok(id) if digits => Ok(Self(id)),
            _ => Err(GitError::CommitName(text.to_owned())),
        }
    }

    /// Abbreviated id for display.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.to_hex_with_len(8).to_string()
    }

    pub(crate) fn object(&self) -> ObjectId {
        self.0
    }
}

impl From<ObjectId> for CommitId {
    fn from(id: ObjectId) -> Self {
        Self(id)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_hex().fmt(f)
    }
}

impl TryFrom<String> for CommitId {
    type Error = GitError;

    fn try_from(text: String) -> Result<Self, GitError> {
        Self::parse(&text)
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.to_string()
    }
}

impl FromStr for CommitId {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        Self::parse(text)
    }
}

/// Validates a file path: below the folder, and harmless on every system that may check it out.
pub fn check_path(path: &str) -> Result<(), GitError> {
    let refuse = |why| Err(GitError::Path { path: path.to_owned(), why });
    if path.is_empty() {
        return refuse("it is empty");
    }
    if MAX_PATH < path.len() {
        return refuse("it is longer than 512 bytes");
    }
    if MAX_DEPTH < path.split('/').count() {
        return refuse("it is more than 32 folders deep");
    }
    for name in path.split('/') {
        if let Some(why) = name_fault(name) {
            return refuse(why);
        }
    }
    Ok(())
}

/// Validates one path component.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a name in it is empty");
    }
    if name == "." || name == ".." {
        return Some("it leaves its folder");
    }
    if 255 < name.len() {
        return Some("a name in it is longer than 255 bytes");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Some("it has a control character or a backslash");
    }
    // Some file systems ignore case, invisible characters, and trailing dots and spaces.
    let seen: String = name
        .chars()
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
        .collect::<String>()
        .to_lowercase();
    let seen = seen.trim_end_matches(['.', ' ']);
    if seen == ".git" || seen.starts_with(".git:") || seen == "git~1" {
        return Some("`.git` belongs to git");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_of_hq_are_branches() {
        for good in [
            "agent/ada",
            "agent/a",
            "template/chief-of-staff",
            "agent/r2-d2",
            "conflict/ada/2026-11-27-0123abcd",
            "draft/ada",
            "sent/ada",
        ] {
            let branch = Branch::parse(good).unwrap();
            assert_eq!(
                (branch.to_string().as_str(), branch.is_draft()),
                (good, good == "draft/ada")
            );
        }
        for bad in [
            "main",
            "agent/",
            "agent/-a",
            "agent/a-",
            "agent/Ada",
            "agent/a/b",
            "agent/a..b",
            "agent/a.lock",
            "HEAD",
            "refs/heads/agent/ada",
            "agent/ä",
            "template/a b",
            "agent/../x",
            "conflict/ada",
            "conflict/ada/",
            "conflict/ada/a/b",
            "conflict/../ada/x",
            "draft/ada/x",
        ] {
            assert!(Branch::parse(bad).is_err(), "{bad} was taken");
        }
        assert!(Branch::agent(&"a".repeat(65)).is_err());
    }

    #[test]
    fn only_whole_names_are_commits() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        let id = CommitId::parse(text).unwrap();
        assert_eq!((id.to_string().as_str(), id.short().as_str()), (text, "01234567"));
        for bad in ["", "0123", "HEAD", "agent/ada", &"g".repeat(40), "--output=x"] {
            assert!(CommitId::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_path_stays_below_its_folder_and_away_from_git() {
        for good in ["SOUL.md", "memory/2026-01-01.md", ".gitignore", "a b/ü.txt", ".github/x"] {
            assert!(check_path(good).is_ok(), "{good} was refused");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            ".git/config",
            "a/.GIT/x",
            ".git./x",
            ".git /x",
            "git~1/x",
            ".g\u{200d}it/x",
            "a\\b",
            "a\nb",
            ".git::$INDEX/x",
        ] {
            assert!(check_path(bad).is_err(), "{bad:?} was taken");
        }
        assert!(check_path(&["a"; 33].join("/")).is_err());
        assert!(check_path(&"a".repeat(300)).is_err());
    }
}
