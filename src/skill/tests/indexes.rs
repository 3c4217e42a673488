//! Indexes of sites.

use kernel::Problem as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{BRIEF, zip};
use crate::{Artifact, Index, SkillError};

const SCHEMA: &str = "https://schemas.agentskills.io/discovery/0.2.0/schema.json";

fn address() -> Url {
    Url::parse("https://example.com/.well-known/agent-skills/index.json").unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn index(skills: Value) -> Result<Index, SkillError> {
    let document = json!({ "$schema": SCHEMA, "skills": skills });
    Index::parse(document.to_string().as_bytes(), &address())
}

fn entry(name: &str, kind: &str, url: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "type": kind, "description": "About", "url": url, "digest": digest(bytes) })
}

#[test]
fn an_index_lists_files_and_archives_with_resolved_addresses() {
    let archive = zip(&[("SKILL.md", &BRIEF.replace("brief", "tools")), ("a/b", "c")]);
    let found = index(json!([
        entry("brief", "skill-md", "brief/SKILL.md", BRIEF.as_bytes()),
        entry("tools", "archive", "/files/tools.zip", &archive),
        entry("other", "archive", "https://cdn.example.net/other.tar.gz", b""),
    ]))
    .unwrap();
    assert!(found.skipped.is_empty(), "{:?}", found.skipped);
    let urls: Vec<&str> = found.entries.iter().map(|entry| entry.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "https://example.com/.well-known/agent-skills/brief/SKILL.md",
            "https://example.com/files/tools.zip",
            "https://cdn.example.net/other.tar.gz",
        ]
    );
    assert_eq!(found.entries[1].kind, Artifact::Archive);
    assert_eq!(found.entries[0].package(BRIEF.as_bytes()).unwrap().name, "brief");
    assert_eq!(found.entries[1].package(&archive).unwrap().files.len(), 2);
}

#[test]
fn a_file_with_another_digest_or_name_is_refused() {
    let found = index(json!([
        entry("brief", "skill-md", "a.md", BRIEF.as_bytes()),
        entry("other", "skill-md", "b.md", BRIEF.as_bytes()),
    ]))
    .unwrap();
    let changed = BRIEF.replace("Hand", "hand");
    let refused = found.entries[0].package(changed.as_bytes()).unwrap_err();
    assert_eq!(refused, SkillError::Digest { name: "brief".into() });
    let refused = found.entries[1].package(BRIEF.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("other is called brief"), "{refused}");
}

#[test]
fn entries_that_are_not_supported_are_skipped_with_a_reason() {
    let mut no_digest = entry("a", "skill-md", "a.md", b"");
    no_digest["digest"] = json!("sha256:abc");
    let mut upper = entry("a", "skill-md", "a.md", b"");
    upper["digest"] = json!(digest(b"").replace("sha256:e", "sha256:E"));
    let found = index(json!([
        entry("brief", "skill-md", "a.md", b""),
        entry("brief", "skill-md", "b.md", b""),
        entry("next", "wasm", "a.wasm", b""),
        entry("Upper", "skill-md", "a.md", b""),
        entry("insecure", "skill-md", "http://example.com/a.md", b""),
        entry("file", "skill-md", "file:///etc/passwd", b""),
        entry("here", "skill-md", "http://127.0.0.1/a.md", b""),
        entry("user", "skill-md", "https://a:b@example.com/a.md", b""),
        no_digest,
        upper,
        json!({ "name": "half" }),
        json!(3),
    ]))
    .unwrap();
    assert_eq!(found.entries.len(), 1);
    assert_eq!(found.skipped.len(), 11, "{:#?}", found.skipped);
    assert_eq!(found.skipped[0], "brief is included twice");
}

#[test]
fn an_index_of_another_version_or_form_is_refused() {
    for document in [
        json!({ "skills": [] }),
        json!({ "version": "0.1.0", "skills": [] }),
        json!({ "$schema": SCHEMA.replace("0.2.0", "0.3.0"), "skills": [] }),
        json!({ "$schema": SCHEMA.replace("0.2.0", "0.2."), "skills": [] }),
        json!({ "$schema": SCHEMA }),
        json!({ "$schema": SCHEMA, "skills": vec![json!({}); 1_001] }),
        json!([]),
    ] {
        let refused = Index::parse(document.to_string().as_bytes(), &address()).unwrap_err();
        assert_eq!(refused.code(), "skill_index", "{refused}");
    }
    let newer = json!({ "$schema": SCHEMA.replace("0.2.0", "0.2.7"), "skills": [], "more": 1 });
    assert!(Index::parse(newer.to_string().as_bytes(), &address()).is_ok());
    assert!(Index::parse(&vec![b' '; 2 << 20], &address()).is_err());
}
