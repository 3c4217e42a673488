//! Hashes and differences.

use proptest::prelude::*;

use super::{BRIEF, file, package, tar_entry, tar_gz, zip};
use crate::{Change, DiffLine, File, Package, diff, file_changes, from_tar_gz, from_zip, hash};

#[test]
fn the_hash_is_that_of_earlier_versions_of_hq() {
    let mut files = vec![file("SKILL.md", BRIEF), file("scripts/run.sh", "#!/bin/sh\n")];
    files[1].is_executable = true;
    let expected = "0463f00e8fa1f1da472b1f8015ec0c54a8d3b6e16e9a79a9471599a3a22ec0ea";
    assert_eq!(hex::encode(hash(&files)), expected);
}

#[test]
fn the_hash_depends_on_paths_modes_and_contents() {
    let files = [file("SKILL.md", BRIEF), file("a", "b")];
    let changed = |change: fn(&mut File)| {
        let mut files = files.clone();
        change(&mut files[1]);
        hash(&files)
    };
    let all = [
        hash(&files),
        changed(|file| file.path = "b".to_owned()),
        changed(|file| file.is_executable = true),
        changed(|file| file.bytes = b"c".to_vec()),
        hash(&files[..1]),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|other| other != one), "{at}");
    }
}

#[test]
fn the_hash_does_not_depend_on_the_kind_of_archive() {
    let zipped = from_zip(&zip(&[("a/b", "c"), ("SKILL.md", BRIEF)])).unwrap();
    let regular = tar::EntryType::Regular;
    let packed = tar_gz(&[
        tar_entry(b"SKILL.md", regular, 0o600, BRIEF.as_bytes()),
        tar_entry(b"a/b", regular, 0o664, b"c"),
    ]);
    assert_eq!(hash(&zipped), hash(&from_tar_gz(&packed).unwrap()));
}

proptest! {
    #[test]
    fn the_hash_does_not_depend_on_the_order(
        mut files in proptest::collection::btree_map("[a-z]{1,4}(/[a-z]{1,3})?", ".{0,9}", 1..8)
            .prop_map(|files| files.iter().map(|(p, t)| file(p, t)).collect::<Vec<_>>()),
    ) {
        let before = hash(&files);
        files.reverse();
        prop_assert_eq!(before, hash(&files));
    }
}

#[test]
fn a_difference_names_each_file_and_the_lines_around_its_changes() {
    let lines: Vec<String> = (1..=20).map(|number| format!("line {number}")).collect();
    let before = package(&[
        ("gone.md", "one\ntwo\n"),
        ("same.md", "same"),
        ("text.md", &lines.join("\n")),
        ("data.bin", "\0one"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    let mut after = package(&[
        ("new.md", "three\n"),
        ("same.md", "same"),
        ("text.md", &lines.join("\n").replace("line 10", "tenth line")),
        ("data.bin", "\0two"),
        ("picture.png", "\0"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    after.files.iter_mut().find(|file| file.path == "run.sh").unwrap().is_executable = true;
    let changes: Vec<_> =
        diff(&before, &after).into_iter().map(|one| (one.path, one.change)).collect();
    let same = |number: usize| DiffLine::Same(format!("line {number}"));
    let expected = [
        ("data.bin", Change::Binary),
        ("gone.md", Change::Removed { lines: 2 }),
        ("new.md", Change::Added { lines: vec![DiffLine::New("three".into())], is_cut: false }),
        ("picture.png", Change::Added { lines: Vec::new(), is_cut: true }),
        ("run.sh", Change::ModeChanged { is_executable: true }),
        (
            "text.md",
            Change::Changed {
                lines: vec![
                    DiffLine::Skipped(6),
                    same(7),
                    same(8),
                    same(9),
                    DiffLine::Old("line 10".into()),
                    DiffLine::New("tenth line".into()),
                    same(11),
                    same(12),
                    same(13),
                    DiffLine::Skipped(7),
                ],
                is_cut: false,
            },
        ),
    ];
    assert_eq!(changes, expected.map(|(path, change)| (path.to_owned(), change)));
    assert!(diff(&before, &before).is_empty());
}

#[test]
fn a_difference_is_bounded() {
    let many = |word: &str| (0..50_000).map(|number| format!("{word} {number}\n")).collect();
    let (old, new): (String, String) = (many("old"), many("new"));
    let long = "x".repeat(100_000);
    let before = package(&[("a", &old), ("b", "short")]);
    let after = package(&[("a", &new), ("b", &long), ("c", &new), ("d", &new)]);
    let changes = diff(&before, &after);
    let mut total = 0;
    for change in &changes {
        let (Change::Added { lines, .. } | Change::Changed { lines, .. }) = &change.change else {
            panic!("{change:?}");
        };
        total += lines.len();
        assert!(lines.iter().all(|line| match line {
            DiffLine::Same(text) | DiffLine::New(text) | DiffLine::Old(text) => text.len() <= 1_006,
            DiffLine::Skipped(_) => true,
        }));
    }
    assert!(total <= 5_000, "{total}");
    assert!(matches!(changes[0].change, Change::Changed { is_cut: true, .. }));
    assert!(matches!(changes[2].change, Change::Added { is_cut: true, .. }));
}

#[test]
fn a_package_is_the_same_when_it_is_made_from_its_own_files() {
    let one = package(&[("b", "1"), ("a", "2")]);
    assert_eq!(Package::from_files("", one.files.clone()).unwrap(), one);
}

#[test]
fn a_difference_tells_that_a_line_was_cut_and_begins_with_the_instructions() {
    let (kept, cut) = ("x".repeat(1_000), "ü".repeat(501));
    let before = package(&[]);
    let after = package(&[("A.md", &kept), ("B.md", &cut)]);
    let is_cut: Vec<bool> = diff(&before, &after)
        .into_iter()
        .map(|one| matches!(one.change, Change::Added { is_cut: true, .. }))
        .collect();
    assert_eq!(is_cut, [false, true]);
    let all = file_changes(&[], &after.files);
    let paths: Vec<&str> = all.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["SKILL.md", "A.md", "B.md"]);
}
