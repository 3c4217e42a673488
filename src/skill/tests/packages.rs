//! Front matter, and where packages are.

use kernel::Problem as _;
use proptest::prelude::*;

use super::{BRIEF, file};
use crate::{File, Front, Package, SkillError, collection, front, is_name, one_line, packages};

fn with_front(yaml: &str) -> Result<Package, SkillError> {
    Package::from_files("", vec![file("SKILL.md", &format!("---\n{yaml}\n---\nBody\n"))])
}

#[test]
fn front_matter_is_read_with_all_its_fields() {
    let package = with_front(
        r#"name: pdf-tools
description: >
  Fills forms.
  Use it when there is a PDF.
license: Apache-2.0
compatibility: Requires git
metadata:
  author: example
  version: 1.0
  hq: { order: [1, 2] }
allowed-tools: Bash(git add:*) Bash(jq:*), Read
always: true
requires:
  bins: [git, jq]
  any_bins: rg, grep
  env:
    - API_KEY
  os: [linux]"#,
    )
    .unwrap();
    assert_eq!(package.name, "pdf-tools");
    assert_eq!(package.description, "Fills forms. Use it when there is a PDF.");
    assert_eq!(package.licence.as_deref(), Some("Apache-2.0"));
    assert_eq!(package.compatibility.as_deref(), Some("Requires git"));
    let metadata: Vec<_> = package.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        metadata,
        [("author", "example"), ("hq", r#"{"order":["1","2"]}"#), ("version", "1.0")]
    );
    assert_eq!(package.allowed_tools, ["Bash(git add:*)", "Bash(jq:*)", "Read"]);
    assert!(package.is_always);
    assert_eq!(package.requires.bins, ["git", "jq"]);
    assert_eq!(package.requires.any_bins, ["rg", "grep"]);
    assert_eq!(package.requires.env, ["API_KEY"]);
    assert_eq!(package.requires.os, ["linux"]);
    assert_eq!(package.instructions(), "Body\n");
    assert_eq!(package.skill_md().lines().nth(package.body_line - 1), Some("Body"));
    assert!(package.warnings.is_empty(), "{:?}", package.warnings);
}

#[test]
fn block_scalars_of_each_style_are_read() {
    for (yaml, expected) in [
        ("description: |\n  One\n  two", "One\ntwo"),
        ("description: >-\n  One\n  two", "One two"),
        ("description: |+\n  One\n\n  two\n", "One\n\ntwo"),
        ("description: \"One: \\\"two\\\"\"", "One: \"two\""),
        ("description: 'it''s'", "it's"),
        ("description: One\n  two", "One two"),
        ("description: One # comment", "One"),
    ] {
        let package = with_front(&format!("name: a\n{yaml}")).unwrap();
        assert_eq!(package.description, expected, "{yaml}");
        assert_eq!(package.instructions(), "Body\n");
    }
    assert_eq!(one_line("One\n\n two  three", 9), "One two t");
}

#[test]
fn an_unquoted_colon_is_read_with_a_warning() {
    let package = with_front("name: a\ndescription: Use when: it's late").unwrap();
    assert_eq!(package.description, "Use when: it's late");
    assert!(package.warnings[0].contains("isn't valid YAML"), "{:?}", package.warnings);
}

#[test]
fn requirements_are_also_read_where_openclaw_has_them() {
    let text = r#"name: a
description: b
metadata: {"openclaw": {"requires": {"anyBins": ["op"], "env": ["X"]}, "os": ["darwin"], "always": true}}"#;
    let package = with_front(text).unwrap();
    assert_eq!(package.requires.any_bins, ["op"]);
    assert_eq!((&*package.requires.env[0], &*package.requires.os[0]), ("X", "darwin"));
    assert!(package.is_always);
}

#[test]
fn front_matter_outside_the_rules_is_refused_with_its_line() {
    let bomb = "name: a\na: &a [x, x]\nb: [*a, *a]\ndescription: b";
    for (yaml, part) in [
        (bomb, "line 3: anchors"),
        ("name: a\ndescription: *x", "SKILL.md"),
        ("name: a\nname: b\ndescription: c", "included twice"),
        ("name: a\ndescription: [b]", "description isn't a text"),
        ("name: a", "it has no description"),
        ("name: a\ndescription: ''", "it has no description"),
        ("description: b", "it has no name"),
        ("name: PDF\ndescription: b", "the name PDF isn't valid"),
        ("name: a--b\ndescription: b", "isn't valid"),
        ("name: -a\ndescription: b", "isn't valid"),
        ("name: \"a\\u202eb\"\ndescription: b", "a\\u{202e}b"),
        ("name: a\ndescription: b\nmetadata: text", "metadata isn't a mapping"),
        ("name: a\ndescription: b\nrequires: git", "requires isn't a mapping"),
        ("- a\n- b", "isn't a list of fields"),
        ("name: a\ndescription: \"b", "line"),
        ("name: a\n...\n", "no description"),
    ] {
        let refused = with_front(yaml).expect_err(yaml).to_string();
        assert!(refused.contains(part), "{yaml}: {refused}");
    }
    let long = format!("name: a\ndescription: {}", "ä".repeat(1_025));
    assert_eq!(with_front(&long).unwrap_err().code(), "skill_specification");
    assert!(with_front(&long.replacen('ä', "", 1)).is_ok());
    let deep = format!("name: a\ndescription: b\nmetadata: {}x{}", "[".repeat(9), "]".repeat(9));
    assert!(with_front(&deep).unwrap_err().to_string().contains("nested too deep"));
    let huge = format!("name: a\ndescription: b\n# {}", "x".repeat(65 << 10));
    assert!(with_front(&huge).unwrap_err().to_string().contains("64 KiB"));
    let many = format!("name: a\ndescription: b\nmetadata: [{}]", "x,".repeat(3_000));
    assert!(with_front(&many).unwrap_err().to_string().contains("too many values"));
}

#[test]
fn a_file_without_front_matter_is_no_package_and_has_no_front() {
    for text in ["# Brief", "", "\n---\nname: a\n---\n"] {
        assert_eq!(front(text).unwrap(), None, "{text}");
        let refused = Package::from_files("", vec![file("SKILL.md", text)]).unwrap_err();
        assert!(refused.to_string().contains("no front matter"), "{refused}");
    }
    assert!(front("---\nname: a\n").unwrap_err().to_string().contains("has no end"));
    let empty = Front { body_offset: 8, body_line: 3, ..Front::default() };
    assert_eq!(front("---\n---\n").unwrap(), Some(empty));
    // As editors on Windows write it.
    let found = front("\u{feff}---\r\nname: a\r\ndescription: b\r\n---\r\nBody").unwrap().unwrap();
    assert_eq!((found.name.as_deref(), found.description.as_deref()), (Some("a"), Some("b")));
    let bytes = File { path: "SKILL.md".into(), is_executable: false, bytes: vec![0xff, b'a'] };
    assert_eq!(Package::from_files("", vec![bytes]).unwrap_err().code(), "skill_not_text");
}

#[test]
fn packages_are_found_in_the_places_of_the_specification() {
    let skill = |name: &str| BRIEF.replace("brief", name);
    let found = |paths: &[&str]| {
        let files = paths.iter().map(|path| {
            let name = path.rsplit('/').nth(1).unwrap_or("root");
            file(path, &if path.ends_with("SKILL.md") { skill(name) } else { String::new() })
        });
        let found = collection(files.collect());
        let found = found.map(|found| found.packages).unwrap_or_default();
        found
            .into_iter()
            .map(|one| (one.folder, one.files.into_iter().map(|f| f.path).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    let one = |folder: &str, files: &[&str]| {
        (folder.to_owned(), files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        found(&["SKILL.md", "skills/a/SKILL.md"]),
        [one("", &["SKILL.md", "skills/a/SKILL.md"])]
    );
    assert_eq!(found(&["a/SKILL.md", "a/x.md"]), [one("a", &["SKILL.md", "x.md"])]);
    assert_eq!(
        found(&["README.md", "skills/a/SKILL.md", "skills/a/b/c", "skills/b/SKILL.md", "skills/x"]),
        [one("skills/a", &["SKILL.md", "b/c"]), one("skills/b", &["SKILL.md"])]
    );
    assert_eq!(
        found(&["repo/README.md", "repo/skills/a/SKILL.md", "repo/b/SKILL.md"]),
        [one("repo/skills/a", &["SKILL.md"]), one("repo/b", &["SKILL.md"])]
    );
    assert_eq!(
        found(&["README.md", ".claude/skills/a/SKILL.md"]),
        [one(".claude/skills/a", &["SKILL.md"])]
    );
    assert_eq!(found(&["skills/a/SKILL.md"]), [one("skills/a", &["SKILL.md"])]);
    assert!(found(&["a/b/c/SKILL.md", "x"]).is_empty());
    assert_eq!(packages(vec![file("skill.md", BRIEF)]), Err(SkillError::NoSkill));
}

#[test]
fn one_broken_package_does_not_hide_the_others() {
    let files = vec![file("skills/brief/SKILL.md", BRIEF), file("skills/bad/SKILL.md", "# Bad")];
    let found = collection(files.clone()).unwrap();
    assert_eq!(found.packages[0].name, "brief");
    assert_eq!(found.broken[0].folder, "skills/bad");
    let refused = packages(files).unwrap_err().to_string();
    assert!(refused.starts_with("skills/bad/SKILL.md: "), "{refused}");
}

#[test]
fn a_folder_with_another_name_is_a_warning() {
    let package = Package::from_files("skills/other", vec![file("SKILL.md", BRIEF)]).unwrap();
    assert_eq!(package.warnings, ["the folder is called other, not brief"]);
}

#[test]
fn files_of_a_stored_package_are_checked_again() {
    let with = |path: &str| {
        Package::from_files("", vec![file("SKILL.md", BRIEF), file(path, "x")]).unwrap_err().code()
    };
    assert_eq!(with("../a"), "skill_path");
    assert_eq!(with("/a"), "skill_path");
    assert_eq!(with("SKILL.md"), "skill_duplicate_file");
}

#[test]
fn names_have_the_form_of_the_specification() {
    for name in ["a", "pdf-2", "1", &"a".repeat(64)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "-", "a-", "-a", "a--b", "A", "a_b", "ä", "a b", &"a".repeat(65)] {
        assert!(!is_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn no_front_matter_makes_the_reader_panic(text in "(---\n)?[-a-z:>|&*\\[\\]{}'\"# \n\t!%@]{0,80}(\n---\n)?.{0,9}") {
        if let Ok(Some(front)) = front(&text) {
            prop_assert!(text.is_char_boundary(front.body_offset));
        }
    }
}
