//! Index of the skills that a site publishes, version 0.2.0
//! (<https://github.com/cloudflare/agent-skills-discovery-rfc>).

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::visible;
use crate::source::check_web;
use crate::{Package, SkillError, from_archive, from_skill_md, is_name, packages};

/// Where a site has its index.
pub const INDEX_PATH: &str = "/.well-known/agent-skills/index.json";
/// Maximum size of an index, in bytes.
pub const MAX_INDEX: u64 = 1 << 20;
const MAX_ENTRIES: usize = 1_000;
/// Patch versions change no field.
const SCHEMA: (&str, &str) = ("https://schemas.agentskills.io/discovery/0.2.", "/schema.json");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub entries: Vec<IndexEntry>,
    /// Why entries are not listed, as sentences without a full stop.
    pub skipped: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub name: String,
    pub description: String,
    pub kind: Artifact,
    /// May be on another host than the index.
    pub url: Url,
    /// SHA-256 of the file at `url`.
    pub digest: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artifact {
    SkillMd,
    /// A `.zip` or `.tar.gz` whose root is the package.
    Archive,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "$schema")]
    schema: String,
    skills: Vec<Value>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: String,
    url: String,
    digest: String,
}

impl Index {
    /// Reads an index. Its relative URLs are resolved against its own address.
    pub fn parse(bytes: &[u8], address: &Url) -> Result<Self, SkillError> {
        let wrong = |reason: String| SkillError::Index { reason: visible(&reason, 200) };
        if MAX_INDEX < bytes.len() as u64 {
            return Err(wrong("it is larger than 1 MiB".to_owned()));
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let version = document.schema.strip_prefix(SCHEMA.0);
        let patch = version.and_then(|rest| rest.strip_suffix(SCHEMA.1)).unwrap_or_default();
        if patch.is_empty() || !patch.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong(format!("its version isn't supported: {}", document.schema)));
        }
        if MAX_ENTRIES < document.skills.len() {
            return Err(wrong(format!("it has more than {MAX_ENTRIES} skills")));
        }
        let mut index = Self { entries: Vec::new(), skipped: Vec::new() };
        for (number, row) in document.skills.into_iter().enumerate() {
            match IndexEntry::read(row, address) {
                Ok(entry) if index.entries.iter().any(|other| other.name == entry.name) => {
                    index.skipped.push(format!("{} is included twice", entry.name));
                }
                Ok(entry) => index.entries.push(entry),
                Err(reason) => {
                    index.skipped.push(visible(&format!("skill {}: {reason}", number + 1), 200));
                }
            }
        }
        Ok(index)
    }
}

impl IndexEntry {
    fn read(row: Value, address: &Url) -> Result<Self, String> {
        let row: Row = serde_json::from_value(row).map_err(|error| error.to_string())?;
        if !is_name(&row.name) {
            return Err(format!("the name {} isn't valid", row.name));
        }
        let kind = match row.kind.as_str() {
            "skill-md" => Artifact::SkillMd,
            "archive" => Artifact::Archive,
            other => return Err(format!("the type {other} isn't supported")),
        };
        let hex = row.digest.strip_prefix("sha256:").unwrap_or_default();
        let digest = match hex.bytes().any(|b| b.is_ascii_uppercase()) {
            true => None,
            // ok: only whether it is a digest matters.
            false => hex::decode(hex).ok().and_then(|bytes| bytes.try_into().ok()),
        };
        let digest = digest.ok_or("the digest isn't sha256: with 64 digits")?;
        let url =
            address.join(&row.url).map_err(|error| format!("the address isn't valid: {error}"))?;
        check_web(&url).map_err(|error| error.to_string())?;
        if url.scheme() != address.scheme() {
            return Err("the address has another scheme than the index".to_owned());
        }
        let description = visible(row.description.trim(), crate::MAX_DESCRIPTION * 4);
        Ok(Self { name: row.name, description, kind, url, digest })
    }

    /// The package in the file at [`IndexEntry::url`]. The digest is checked first.
    pub fn package(&self, bytes: &[u8]) -> Result<Package, SkillError> {
        if Sha256::digest(bytes).as_slice() != self.digest {
            return Err(SkillError::Digest { name: self.name.clone() });
        }
        let files = match self.kind {
            Artifact::SkillMd => from_skill_md(bytes)?,
            Artifact::Archive => from_archive(bytes)?,
        };
        let mut found = packages(files)?;
        let package = found.pop().filter(|_| found.is_empty());
        match package {
            Some(package) if package.name == self.name => Ok(package),
            Some(package) => {
                let reason = format!("{} is called {} in its own file", self.name, package.name);
                Err(SkillError::Index { reason })
            }
            None => {
                let reason = format!("the archive of {} has several skills", self.name);
                Err(SkillError::Index { reason })
            }
        }
    }
}
