//! Where a person says that a package is: a folder, an archive, an address, a repository or a site.

use std::fmt;
use std::path::PathBuf;

use url::{Host, Url};

use crate::error::visible;
use crate::files::is_acceptable;
use crate::{INDEX_PATH, SKILL_MD, SkillError};

/// Hosts of repositories with `owner/name` as the path. Only they are recognised without `.git` or `git+`.
const FORGES: [&str; 4] = ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org"];
const ARCHIVES: [&str; 3] = [".zip", ".tar.gz", ".tgz"];
const MAX_TEXT: usize = 2_048;
const MAX_REFERENCE: usize = 200;

/// [`fmt::Display`] writes a text that [`Source::parse`] reads as the same source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Folder(PathBuf),
    /// A file on this machine.
    Archive(PathBuf),
    ArchiveUrl(Url),
    SkillMdUrl(Url),
    Git(GitSource),
    /// The root of a site that has an index.
    Site(Url),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// Without fragment and query.
    pub url: Url,
    /// Branch, tag or commit; `None` for the default branch.
    pub reference: Option<String>,
    pub folder: Option<String>,
}

impl Source {
    /// Reads what a person entered.
    pub fn parse(text: &str) -> Result<Self, SkillError> {
        let text = text.trim();
        if text.is_empty() || MAX_TEXT < text.len() || text.chars().any(char::is_control) {
            return Err(unknown());
        }
        if text.starts_with('/') {
            return Ok(local(text));
        }
        if text.starts_with(['~', '.']) {
            return Err(wrong("enter the full path of the folder, starting with /"));
        }
        if let Some(rest) = text.strip_prefix("git+") {
            return git(rest);
        }
        if let Some(rest) = text.strip_prefix("github:") {
            return web(&format!("https://github.com/{rest}"));
        }
        if text.starts_with("git@") || text.starts_with("ssh:") || text.starts_with("git:") {
            return Err(wrong("repositories are only read over https; enter its https address"));
        }
        if text.contains("://") {
            return web(text);
        }
        let first = text.split('/').next().unwrap_or_default();
        let is_host = first.contains('.') && !first.contains([' ', '@', '#', '\\']);
        if is_host {
            return web(&format!("https://{text}"));
        }
        // `owner/name`, as other installers write repositories of GitHub.
        let (path, _) = text.split_once('#').unwrap_or((text, ""));
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [owner, name] if is_slug(owner) && is_slug(name) => {
                web(&format!("https://github.com/{text}"))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Archive(path) => path.display().fmt(f),
            Self::ArchiveUrl(url) | Self::SkillMdUrl(url) | Self::Site(url) => url.fmt(f),
            Self::Git(git) => git.fmt(f),
        }
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.url.path().ends_with(".git") {
            f.write_str("git+")?;
        }
        self.url.fmt(f)?;
        match (&self.folder, &self.reference) {
            (None, None) => Ok(()),
            (folder, None) => write!(f, "#{}", folder.as_deref().unwrap_or_default()),
            (folder, Some(reference)) => {
                write!(f, "#{}@{reference}", folder.as_deref().unwrap_or_default())
            }
        }
    }
}

fn local(path: &str) -> Source {
    match is_archive(path) {
        true => Source::Archive(PathBuf::from(path)),
        false => Source::Folder(PathBuf::from(path)),
    }
}

fn web(text: &str) -> Result<Source, SkillError> {
    let url = parse(text)?;
    if url.path().ends_with(".git") {
        return git(text);
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches("www.").to_owned();
    let path = url.path().to_owned();
    if FORGES.contains(&host.as_str()) {
        return forge(url, &host);
    }
    if is_archive(&path) {
        return Ok(Source::ArchiveUrl(url));
    }
    if path.ends_with(".md") {
        return Ok(Source::SkillMdUrl(url));
    }
    if matches!(path.as_str(), "/" | INDEX_PATH) && url.query().is_none() {
        let mut root = url;
        root.set_path("/");
        root.set_fragment(None);
        return Ok(Source::Site(root));
    }
    Err(unknown())
}

/// A repository of a known host, or a file that it serves.
fn forge(url: Url, host: &str) -> Result<Source, SkillError> {
    let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let [owner, name, rest @ ..] = parts.as_slice() else { return Err(unknown()) };
    // GitLab writes `/-/tree/…`, Codeberg `/src/branch/…`.
    let (reference, folder) = match rest {
        [] => (None, None),
        ["tree" | "blob", reference, folder @ ..]
        | ["-", "tree" | "blob", reference, folder @ ..]
        | ["src", "branch" | "tag" | "commit", reference, folder @ ..] => {
            (Some((*reference).to_owned()), Some(folder.join("/")))
        }
        // Bitbucket.
        ["src", reference, folder @ ..] => (Some((*reference).to_owned()), Some(folder.join("/"))),
        _ if is_archive(url.path()) => return Ok(Source::ArchiveUrl(url)),
        _ if url.path().ends_with(".md") => return Ok(Source::SkillMdUrl(url)),
        _ => return Err(unknown()),
    };
    let folder = folder.map(|folder| match folder.strip_suffix(SKILL_MD) {
        Some(folder) => folder.trim_end_matches('/').to_owned(),
        None => folder,
    });
    let mut repository = parse(&format!("https://{host}/{owner}/{name}.git"))?;
    repository.set_fragment(None);
    let (mut own_folder, mut own_reference) = fragment(url.fragment());
    own_folder = own_folder.or(folder.filter(|folder| !folder.is_empty()));
    own_reference = own_reference.or(reference);
    checked(GitSource { url: repository, reference: own_reference, folder: own_folder })
}

fn git(text: &str) -> Result<Source, SkillError> {
    let mut url = parse(text)?;
    let (folder, reference) = fragment(url.fragment());
    url.set_fragment(None);
    url.set_query(None);
    checked(GitSource { url, reference, folder })
}

/// Folder and reference of `#folder@reference`.
fn fragment(fragment: Option<&str>) -> (Option<String>, Option<String>) {
    let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let fragment = fragment.unwrap_or_default();
    match fragment.rsplit_once('@') {
        Some((folder, reference)) => (own(folder.trim_matches('/')), own(reference)),
        None => (own(fragment.trim_matches('/')), None),
    }
}

fn checked(source: GitSource) -> Result<Source, SkillError> {
    if let Some(reference) = &source.reference
        && !is_reference(reference)
    {
        return Err(wrong(&format!("{} isn't a branch, tag or commit", visible(reference, 100))));
    }
    match source.folder.as_deref() {
        Some(folder)
            if !is_acceptable(folder) || folder.starts_with('-') || folder.contains('@') =>
        {
            Err(wrong(&format!("{} isn't a folder of a repository", visible(folder, 100))))
        }
        _ => Ok(Source::Git(source)),
    }
}

/// A reference that means itself as an argument of git.
fn is_reference(text: &str) -> bool {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"._/+-".contains(&b);
    text.len() <= MAX_REFERENCE
        && text.bytes().all(is_safe)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !text.contains("..")
        && !text.contains("//")
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
}

fn is_slug(text: &str) -> bool {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    text.bytes().all(is_safe) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_archive(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ARCHIVES.iter().any(|ending| path.ends_with(ending))
}

fn parse(text: &str) -> Result<Url, SkillError> {
    let url =
        Url::parse(text).map_err(|error| wrong(&format!("the address isn't valid: {error}")))?;
    check_web(&url)?;
    Ok(url)
}

/// Checks that a file may be read from an address: https, or http on this machine.
pub fn check_web(url: &Url) -> Result<(), SkillError> {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return Err(wrong("the address must start with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the address must not have a user name or password"));
    }
    Ok(())
}

fn wrong(reason: &str) -> SkillError {
    SkillError::Source { reason: reason.to_owned() }
}

fn unknown() -> SkillError {
    wrong(
        "enter the path of a folder or archive, the address of an archive, a SKILL.md or a repository, or a site",
    )
}
