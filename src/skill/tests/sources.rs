//! Sources as people write them.

use proptest::prelude::*;

use crate::Source;

/// A source, written in one way.
fn parsed(text: &str) -> String {
    match Source::parse(text) {
        Ok(source) => {
            let kind = match &source {
                Source::Folder(_) => "folder",
                Source::Archive(_) => "archive",
                Source::ArchiveUrl(_) | Source::SkillMdUrl(_) => "url",
                Source::Git(_) => "git",
                Source::Site(_) => "site",
            };
            format!("{kind} {source}")
        }
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn sources_are_recognised() {
    for (text, expected) in [
        ("/srv/skills/a", "folder /srv/skills/a"),
        (" /srv/a.zip ", "archive /srv/a.zip"),
        ("/srv/a.tar.gz", "archive /srv/a.tar.gz"),
        ("https://example.com/a.tgz?x=1", "url https://example.com/a.tgz?x=1"),
        ("example.com/skills/SKILL.md", "url https://example.com/skills/SKILL.md"),
        (
            "https://raw.githubusercontent.com/o/r/main/SKILL.md",
            "url https://raw.githubusercontent.com/o/r/main/SKILL.md",
        ),
        ("https://example.com", "site https://example.com/"),
        ("example.com", "site https://example.com/"),
        ("https://example.com/.well-known/agent-skills/index.json", "site https://example.com/"),
        ("http://127.0.0.1:8080/", "site http://127.0.0.1:8080/"),
        ("anthropics/skills", "git https://github.com/anthropics/skills.git"),
        ("o/r#skills/pdf@v1.2", "git https://github.com/o/r.git#skills/pdf@v1.2"),
        ("github:o/r", "git https://github.com/o/r.git"),
        ("github.com/o/r", "git https://github.com/o/r.git"),
        ("https://www.github.com/o/r/", "git https://github.com/o/r.git"),
        ("https://github.com/o/r.git", "git https://github.com/o/r.git"),
        (
            "https://github.com/o/r/tree/main/skills/pdf",
            "git https://github.com/o/r.git#skills/pdf@main",
        ),
        ("https://github.com/o/r/tree/v1", "git https://github.com/o/r.git#@v1"),
        (
            "https://github.com/o/r/blob/main/skills/pdf/SKILL.md",
            "git https://github.com/o/r.git#skills/pdf@main",
        ),
        (
            "https://github.com/o/r/releases/download/v1/a.zip",
            "url https://github.com/o/r/releases/download/v1/a.zip",
        ),
        ("https://gitlab.com/o/r/-/tree/main/a", "git https://gitlab.com/o/r.git#a@main"),
        ("https://codeberg.org/o/r/src/branch/main/a", "git https://codeberg.org/o/r.git#a@main"),
        ("https://bitbucket.org/o/r/src/main/a", "git https://bitbucket.org/o/r.git#a@main"),
        ("https://git.example.com/team/r.git#a/b", "git https://git.example.com/team/r.git#a/b"),
        ("git+https://git.example.com/r#@main", "git git+https://git.example.com/r#@main"),
        ("http://localhost:99/r.git", "git http://localhost:99/r.git"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
        let source = Source::parse(text).unwrap();
        assert_eq!(Source::parse(&source.to_string()).unwrap(), source, "{text}");
    }
}

#[test]
fn other_texts_are_refused_with_what_to_enter() {
    for (text, part) in [
        ("", "enter the path"),
        ("hello", "enter the path"),
        ("a/b/c", "enter the path"),
        ("~/skills", "full path"),
        ("./skills", "full path"),
        ("http://example.com/a.zip", "https://"),
        ("ftp://example.com/a.zip", "https://"),
        ("file:///etc/passwd", "https://"),
        ("git@github.com:o/r.git", "https address"),
        ("ssh://git@github.com/o/r", "https address"),
        ("git+ssh://github.com/o/r", "https://"),
        ("https://user:secret@example.com/a.zip", "user name"),
        ("https://github.com/o", "enter the path"),
        ("https://github.com/o/r/issues", "enter the path"),
        ("https://example.com/page", "enter the path"),
        ("o/r#../x", "isn't a folder"),
        ("o/r#/etc@", "git"),
        ("o/r#a@--upload-pack=x", "isn't a branch"),
        ("o/r#a@x..y", "isn't a branch"),
        ("git+https://example.com/r#-x", "isn't a folder"),
        ("https://exa mple.com/a.zip", "isn't valid"),
        ("/srv/a\nb", "enter the path"),
    ] {
        let found = parsed(text);
        assert!(found.contains(part), "{text}: {found}");
    }
}

proptest! {
    #[test]
    fn a_source_is_read_as_it_is_written(text in "(git\\+)?(https://)?[a-z./]{0,20}(#[a-z/@-]{0,12})?") {
        if let Ok(source) = Source::parse(&text) {
            prop_assert_eq!(Source::parse(&source.to_string()).unwrap(), source);
        }
    }
}
