//! Folders and archives: what is read and what is refused.

use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;
use tar::EntryType;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{BRIEF, file, gzip, tar_entry, tar_gz, zip};
use crate::{
    MAX_BYTES, SkillError, TreeEntry, from_archive, from_archive_file, from_folder, from_tar_gz,
    from_tree, from_zip,
};

const REGULAR: EntryType = EntryType::Regular;

fn code(result: Result<Vec<crate::File>, SkillError>) -> &'static str {
    kernel::Problem::code(&result.expect_err("it is refused"))
}

#[test]
fn a_zip_a_tar_and_a_folder_with_the_same_files_are_the_same() {
    let mut expected = vec![file("SKILL.md", BRIEF), file("scripts/run.sh", "#!/bin/sh\n")];
    expected[1].is_executable = true;

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.add_directory("scripts", options).unwrap();
    writer.start_file("scripts/run.sh", options.unix_permissions(0o755)).unwrap();
    writer.write_all(b"#!/bin/sh\n").unwrap();
    writer.start_file("./SKILL.md", options).unwrap();
    writer.write_all(BRIEF.as_bytes()).unwrap();
    let zipped = writer.finish().unwrap().into_inner();
    assert_eq!(from_archive(&zipped).unwrap(), expected);

    let packed = tar_gz(&[
        tar_entry(b"pax_global_header", EntryType::XGlobalHeader, 0, b"13 comment=a\n"),
        tar_entry(b"./", EntryType::Directory, 0o755, b""),
        tar_entry(b"./scripts/run.sh", REGULAR, 0o755, b"#!/bin/sh\n"),
        tar_entry(b"./SKILL.md", REGULAR, 0o644, BRIEF.as_bytes()),
    ]);
    assert_eq!(from_archive(&packed).unwrap(), expected);

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    fs::write(folder.path().join("SKILL.md"), BRIEF).unwrap();
    let script = folder.path().join("scripts/run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(from_folder(folder.path()).unwrap(), expected);
    let archive = folder.path().join("brief.zip");
    fs::write(&archive, zipped).unwrap();
    assert_eq!(from_archive_file(&archive).unwrap(), expected);
}

#[test]
fn paths_that_lead_elsewhere_or_differ_between_machines_are_refused() {
    for (path, expected) in [
        ("../SKILL.md", "skill_path"),
        ("a/../../b", "skill_path"),
        ("a/..", "skill_path"),
        ("/etc/passwd", "skill_path"),
        ("C:/autoexec", "skill_path"),
        ("a\\..\\b", "skill_path"),
        ("a\u{1b}[2J", "skill_path"),
        ("a\nb", "skill_path"),
    ] {
        assert_eq!(code(from_zip(&zip(&[(path, "x")]))), expected, "{path:?}");
        let entry = tar_entry(path.as_bytes(), REGULAR, 0o644, b"x");
        assert_eq!(code(from_tar_gz(&tar_gz(&[entry]))), expected, "{path:?}");
    }
    let deep = "a/".repeat(17) + "b";
    assert_eq!(code(from_zip(&zip(&[(&deep, "x")]))), "skill_path");
    let long = format!("{}/{}", "a".repeat(200), "b".repeat(256));
    assert_eq!(code(from_zip(&zip(&[(&long, "x")]))), "skill_path");
    let entry = tar_entry(b"caf\xe9.md", REGULAR, 0o644, b"x");
    assert_eq!(code(from_tar_gz(&tar_gz(&[entry]))), "skill_path");
    let mut latin = zip(&[("cafe.md", "x")]);
    for at in 0..latin.len() - 4 {
        if latin[at..].starts_with(b"cafe") {
            latin[at + 3] = 0xe9;
        }
    }
    assert_eq!(code(from_zip(&latin)), "skill_path");
}

#[test]
fn names_that_are_one_on_some_machines_are_refused() {
    for (one, other, expected) in [
        ("README.md", "readme.md", "skill_colliding_names"),
        ("docs/a.md", "Docs/b.md", "skill_colliding_names"),
        ("stra\u{df}e", "STRASSE", "skill_colliding_names"),
        ("caf\u{e9}", "cafe\u{301}", "skill_colliding_names"),
        ("a", "a/b", "skill_duplicate_file"),
        ("a/b", "a", "skill_duplicate_file"),
        ("a/b", "a//b", "skill_duplicate_file"),
    ] {
        let entries = [one, other].map(|path| tar_entry(path.as_bytes(), REGULAR, 0o644, b"x"));
        assert_eq!(code(from_tar_gz(&tar_gz(&entries))), expected, "{one} {other}");
        assert_eq!(code(from_zip(&zip(&[(one, "x"), (other, "x")]))), expected, "{one} {other}");
    }
    let twice = [b"one", b"two"].map(|text| tar_entry(b"a", REGULAR, 0o644, text));
    assert_eq!(code(from_tar_gz(&tar_gz(&twice))), "skill_duplicate_file");
    // Two entries with one name: readers differ in which of them they take.
    let mut double = zip(&[("a.md", "one"), ("b.md", "two")]);
    for at in 0..double.len() - 4 {
        if double[at..].starts_with(b"b.md") {
            double[at] = b'a';
        }
    }
    assert_eq!(code(from_zip(&double)), "skill_duplicate_file");
}

#[test]
fn links_and_special_files_are_refused() {
    for (kind, expected) in [
        (EntryType::Symlink, "skill_link"),
        (EntryType::Link, "skill_link"),
        (EntryType::Char, "skill_special_file"),
        (EntryType::Block, "skill_special_file"),
        (EntryType::Fifo, "skill_special_file"),
    ] {
        let entry = tar_entry(b"a", kind, 0o644, b"");
        let found = from_tar_gz(&tar_gz(&[entry]));
        assert_eq!(code(found), expected, "{kind:?}");
    }
    let mut sparse = tar::Header::new_gnu();
    sparse.as_old_mut().name[0] = b'a';
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_mode(0o644);
    sparse.set_size(0);
    sparse.as_gnu_mut().unwrap().set_real_size(0);
    sparse.set_cksum();
    let sparse = tar_gz(&[sparse.as_bytes().to_vec()]);
    assert_eq!(code(from_tar_gz(&sparse)), "skill_special_file");

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let linked = writer.finish().unwrap().into_inner();
    assert_eq!(code(from_zip(&linked)), "skill_link");

    for (mode, expected) in [(0o120_000, "skill_link"), (0o160_000, "skill_special_file")] {
        let entry = TreeEntry { path: b"a".to_vec(), mode, bytes: Vec::new() };
        assert_eq!(code(from_tree(vec![entry])), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", folder.path().join("a")).unwrap();
    assert_eq!(code(from_folder(folder.path())), "skill_link");
    fs::remove_file(folder.path().join("a")).unwrap();
    symlink("/etc", folder.path().join("b")).unwrap();
    assert_eq!(code(from_folder(folder.path())), "skill_link");
    fs::remove_file(folder.path().join("b")).unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .unwrap();
    assert_eq!(code(from_folder(folder.path())), "skill_special_file");
}

#[test]
fn archives_of_other_programs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    fs::create_dir(folder.path().join("scripts")).unwrap();
    fs::write(folder.path().join("SKILL.md"), BRIEF).unwrap();
    let script = folder.path().join("scripts/run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "One"]);
    let expected = from_folder(folder.path()).unwrap();
    assert_eq!(expected.len(), 2);
    for format in ["zip", "tar.gz"] {
        let archive = git(&["archive", &format!("--format={format}"), "HEAD"]);
        assert_eq!(from_archive(&archive).unwrap(), expected, "{format}");
        let wrapped = git(&["archive", &format!("--format={format}"), "--prefix=brief/", "HEAD"]);
        let found = crate::packages(from_archive(&wrapped).unwrap()).unwrap();
        assert_eq!((found[0].folder.as_str(), &found[0].files), ("brief", &expected), "{format}");
    }
}

#[test]
fn encrypted_entries_are_refused() {
    let mut bytes = zip(&[("SKILL.md", BRIEF)]);
    // The first flag of the entry and of its copy in the directory.
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = bytes.windows(4).position(|four| four == signature).unwrap();
        bytes[at + flags] |= 1;
    }
    assert_eq!(code(from_zip(&bytes)), "skill_encrypted");
}

#[test]
fn bombs_are_refused_whatever_sizes_they_declare() {
    let zeros = "\0".repeat(usize::try_from(MAX_BYTES).unwrap() + 1);
    let bomb = zip(&[("a", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(code(from_zip(&bomb)), "skill_too_large");
    let half = "\0".repeat(usize::try_from(MAX_BYTES / 2).unwrap() + 1);
    assert_eq!(code(from_zip(&zip(&[("a", &half), ("b", &half)]))), "skill_too_large");
    // The declared size is 1.
    let mut lying = bomb.clone();
    for (signature, size) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let at = lying.windows(4).position(|four| four == signature).unwrap();
        lying[at + size..at + size + 4].copy_from_slice(&1_u32.to_le_bytes());
    }
    let refused = from_zip(&lying).expect_err("it is refused");
    assert!(matches!(refused, SkillError::TooLarge | SkillError::Damaged { .. }), "{refused}");

    let entry = tar_entry(b"a", REGULAR, 0o644, zeros.as_bytes());
    assert_eq!(code(from_tar_gz(&tar_gz(&[entry]))), "skill_too_large");
    // Ignored files and what follows the end count, too.
    let ignored: Vec<_> =
        (0..5).map(|_| tar_entry(b".git/pack", REGULAR, 0o644, zeros.as_bytes())).collect();
    assert_eq!(code(from_tar_gz(&tar_gz(&ignored))), "skill_too_large");
    let large = vec![0; usize::try_from(MAX_BYTES).unwrap() + 1];
    assert_eq!(code(from_tar_gz(&large)), "skill_too_large");
}

#[test]
fn too_many_files_and_entries_are_refused() {
    let entries: Vec<_> = (0..2_001)
        .map(|number| tar_entry(format!("f{number}").as_bytes(), REGULAR, 0o644, b""))
        .collect();
    assert_eq!(code(from_tar_gz(&tar_gz(&entries))), "skill_too_many_files");
    assert_eq!(from_tar_gz(&tar_gz(&entries[..2_000])).unwrap().len(), 2_000);
    let folders: Vec<_> =
        (0..20_001).map(|_| tar_entry(b"a/", EntryType::Directory, 0o755, b"")).collect();
    assert_eq!(code(from_tar_gz(&tar_gz(&folders))), "skill_too_many_files");
    assert_eq!(code(from_zip(&b"PK\x01\x02".repeat(20_001))), "skill_too_many_files");
}

#[test]
fn files_of_version_control_and_of_macos_are_left_out() {
    let files = [
        (".git/config", "secret"),
        ("a/.GIT/hooks/post-checkout", "x"),
        (".svn/entries", "x"),
        ("__MACOSX/._SKILL.md", "x"),
        ("a/.DS_Store", "x"),
        ("a/.gitignore", "x"),
        ("SKILL.md", BRIEF),
    ];
    let names = |files: Vec<crate::File>| -> Vec<String> {
        files.into_iter().map(|file| file.path).collect()
    };
    assert_eq!(names(from_zip(&zip(&files)).unwrap()), ["SKILL.md", "a/.gitignore"]);
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    assert_eq!(names(from_folder(folder.path()).unwrap()), ["SKILL.md", "a/.gitignore"]);
}

#[test]
fn damaged_and_foreign_files_are_refused_with_a_reason() {
    let whole = zip(&[("SKILL.md", BRIEF)]);
    assert_eq!(code(from_zip(&whole[..whole.len() / 2])), "skill_damaged");
    let mut changed = whole.clone();
    let at = whole.windows(4).position(|four| four == b"PK\x01\x02").unwrap() - 6;
    changed[at] ^= 0xff;
    assert_eq!(code(from_zip(&changed)), "skill_damaged");
    let packed = tar_gz(&[tar_entry(b"SKILL.md", REGULAR, 0o644, BRIEF.as_bytes())]);
    assert_eq!(code(from_tar_gz(&packed[..packed.len() / 2])), "skill_damaged");
    assert_eq!(code(from_archive(b"<!doctype html>")), "skill_not_archive");
    assert_eq!(code(from_archive(b"")), "skill_not_archive");
    assert_eq!(code(from_tar_gz(&gzip(b"no tar"))), "skill_damaged");
    let missing = tempfile::tempdir().unwrap().path().join("gone");
    assert_eq!(code(from_folder(&missing)), "skill_unreadable");
}

#[test]
fn a_file_that_only_a_stream_reader_would_find_is_refused() {
    // A second entry before the directory that the directory does not name.
    let (one, two) = (zip(&[("SKILL.md", BRIEF)]), zip(&[("hidden.sh", "rm -rf ~")]));
    let directory = |bytes: &[u8]| bytes.windows(4).position(|f| f == b"PK\x01\x02").unwrap();
    let (at, hidden) = (directory(&one), &two[..directory(&two)]);
    let mut both = [&one[..at], hidden, &one[at..]].concat();
    let end = both.windows(4).rposition(|four| four == b"PK\x05\x06").unwrap();
    let start = u32::try_from(at + hidden.len()).unwrap();
    both[end + 16..end + 20].copy_from_slice(&start.to_le_bytes());
    assert_eq!(code(from_zip(&both)), "skill_damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_an_archive_has_its_paths_stay_below_the_package(
        paths in proptest::collection::vec("[a-zA-Z./\\\\\u{e9} ]{0,12}", 1..6),
    ) {
        let entries: Vec<_> =
            paths.iter().map(|path| tar_entry(path.as_bytes(), REGULAR, 0o644, b"x")).collect();
        let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "x")).collect();
        for found in [from_tar_gz(&tar_gz(&entries))].into_iter().chain(try_zip(&files)) {
            for file in found.unwrap_or_default() {
                prop_assert!(!file.path.starts_with('/') && !file.path.is_empty());
                let is_plain = |part: &str| !["", ".", ".."].contains(&part);
                prop_assert!(file.path.split('/').all(is_plain), "{}", file.path);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        at in 0_usize..400,
        value in any::<u8>(),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for mut bytes in [
            zip(&[("SKILL.md", BRIEF), ("a/b", "c")]),
            tar_gz(&[tar_entry(b"SKILL.md", REGULAR, 0o644, BRIEF.as_bytes())]),
        ] {
            let at = at % bytes.len();
            bytes[at] = value;
            // ok, all: only a panic matters.
            let _ = from_archive(&bytes);
        }
        let _ = from_zip(&noise);
        let _ = from_tar_gz(&noise);
        let _ = from_tar_gz(&gzip(&noise));
    }
}

/// A zip, unless its writer refuses a name.
fn try_zip(files: &[(&str, &str)]) -> Option<Result<Vec<crate::File>, SkillError>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in files {
        writer.start_file(*path, SimpleFileOptions::default()).ok()?;
        writer.write_all(text.as_bytes()).ok()?;
    }
    Some(from_zip(&writer.finish().ok()?.into_inner()))
}

#[test]
fn names_that_grow_when_they_are_compared_are_refused() {
    // Each of these letters stands for eighteen.
    let long = format!("SKILL.md/{}", "\u{fdfa}".repeat(80));
    assert_eq!(code(from_zip(&zip(&[(&long, "x")]))), "skill_path");
    let folder = "\u{fdfa}".repeat(6);
    let path = |number: usize| {
        let parts: Vec<String> = (0..16).map(|_| format!("{folder}{number}")).collect();
        parts.join("/")
    };
    let paths: Vec<String> = (0..1_500).map(path).collect();
    assert!(paths.iter().all(|path| path.len() < 512));
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
    assert_eq!(code(from_zip(&zip(&files))), "skill_path");
    assert_eq!(from_zip(&zip(&files[..100])).unwrap().len(), 100);
}

#[test]
fn ignored_files_do_not_count_as_entries() {
    let ignored: Vec<String> = (0..5_000).map(|number| format!("__MACOSX/{number}")).collect();
    let mut files: Vec<(&str, &str)> = ignored.iter().map(|path| (path.as_str(), "")).collect();
    files.push(("SKILL.md", BRIEF));
    assert_eq!(from_zip(&zip(&files)).unwrap().len(), 1);
    let folders: Vec<_> = (0..4_001)
        .map(|number| tar_entry(format!("{number}/").as_bytes(), EntryType::Directory, 0o755, b""))
        .collect();
    assert_eq!(code(from_tar_gz(&tar_gz(&folders))), "skill_too_many_files");
}
