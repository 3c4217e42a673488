//! The backup repository: chunks, hashes, errors of the target.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use backup::{BackupError, Folder, Meter, Owner, Repository, make, prune, verify};
use crypto::keyring::Secret;
use crypto::passphrase::PassphraseError;
use serde_json::json;

use super::{Failing, Fault, back_up, files, filled, repository, source};
use support::hq::TestHq;

/// `Err` if a check of the newest backup finds an error.
fn found_wrong(folder: &Path, passphrase: Option<&str>) -> Result<(), String> {
    let target = Arc::new(Folder::new(folder.to_owned()));
    let passphrase = passphrase.map(Secret::new);
    let checked = Repository::open(target, passphrase.as_ref()).and_then(|repo| {
        let id = repo.ids()?.pop().expect("a backup");
        let manifest = repo.manifest(&id)?;
        Ok((verify(&repo, &manifest, None, &Meter::default())?, repo.bad_heads()?))
    });
    match checked {
        Ok((checked, bad_heads)) => {
            let faults = checked.faults.iter().map(ToString::to_string);
            faults.chain(bad_heads).next().map_or(Ok(()), Err)
        }
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_backup_of_the_same_adds_next_to_nothing() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let first = back_up(&hq, &repo);
    assert_eq!(first.workspaces, ["marlow-cargo"]);
    assert!(first.new_bytes > 2_000_000, "{}", first.new_bytes);
    assert!(first.left_out.is_empty(), "{:?}", first.left_out);
    let second = back_up(&hq, &repo);
    assert_eq!(second.new_bytes, 0, "nothing has changed");
    assert_eq!(second.parts, first.parts);
    let api = hq.api().await;
    api.post("/api/v1/tasks", &json!({ "title": "One more" })).await;
    let third = back_up(&hq, &repo);
    assert!(third.new_bytes < 100_000, "{} for one task", third.new_bytes);
    for manifest in [&first, &second, &third] {
        let checked = verify(&repo, manifest, None, &Meter::default()).expect("a check");
        assert!(checked.faults.is_empty(), "{:?}", checked.faults);
        assert_eq!(checked.bytes, manifest.bytes());
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_in_no_backup_and_an_encrypted_one_shows_nothing() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let words = "three boats in a quiet harbour";
    let repo = repository(folder.path(), Some(words));
    let made = back_up(&hq, &repo);
    assert_eq!(back_up(&hq, &repo).new_bytes, 0, "the same content has the same name");
    let key = fs::read_to_string(hq.data().join("master.key")).expect("a key");
    for file in files(folder.path()) {
        let bytes = fs::read(&file).expect("a file");
        for secret in [key.trim(), "marlow", "Marlow", "Task 1"] {
            let there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!there, "{secret} in {}", file.display());
        }
    }
    assert!(!made.parts.iter().any(|part| part.path.contains("master")));
    found_wrong(folder.path(), Some(words)).expect("all is right");
    let wrong = Secret::new("three boats in a quiet harbor!");
    let target = Arc::new(Folder::new(folder.path().to_owned()));
    let error = Repository::open(target.clone(), Some(&wrong)).err().expect("it does not open");
    assert!(matches!(error, BackupError::Passphrase(PassphraseError::Wrong)), "{error}");
    let error = Repository::open(target, None).err().expect("it does not open");
    assert!(error.to_string().contains("--passphrase-file"), "{error}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_changed_byte_of_any_file_is_found() {
    let hq = TestHq::start().await;
    for passphrase in [None, Some("three boats in a quiet harbour")] {
        let folder = tempfile::tempdir().expect("a folder");
        let repo = repository(folder.path(), passphrase);
        back_up(&hq, &repo);
        found_wrong(folder.path(), passphrase).expect("all is right");
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        // Deriving the key takes a tenth of a second each time.
        let tries = if passphrase.is_none() { 40 } else { 3 };
        for file in files(folder.path()) {
            let whole = fs::read(&file).expect("a file");
            let ends = [0, whole.len() / 2, whole.len() - 1];
            let random = std::iter::repeat_with(|| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                usize::try_from(seed % whole.len() as u64).expect("an offset")
            });
            for at in ends.into_iter().chain(random.take(tries)).collect::<BTreeSet<_>>() {
                for bit in [1u8, 0x80] {
                    let mut changed = whole.clone();
                    changed[at] ^= bit;
                    fs::write(&file, &changed).expect("a file");
                    let found = found_wrong(folder.path(), passphrase);
                    assert!(found.is_err(), "byte {at} of {} ^ {bit}", file.display());
                }
            }
            for cut in [&whole[..whole.len() - 1], &whole[..0]] {
                fs::write(&file, cut).expect("a file");
                assert!(found_wrong(folder.path(), passphrase).is_err(), "{}", file.display());
            }
            fs::write(&file, &whole).expect("a file");
        }
        found_wrong(folder.path(), passphrase).expect("all is as it was");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_two_heads_is_enough_and_the_next_backup_writes_the_other_anew() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let words = Some("three boats in a quiet harbour");
    back_up(&hq, &repository(folder.path(), words));
    let heads = ["hq-backups.json", "hq-backups.spare.json"].map(|name| folder.path().join(name));
    let whole = fs::read(&heads[0]).expect("a head");
    assert_eq!(fs::read(&heads[1]).expect("a second one"), whole);
    let damages: [&dyn Fn(&Path); 3] = [
        &|head| fs::remove_file(head).expect("it was there"),
        &|head| fs::write(head, &whole[..whole.len() / 2]).expect("half of it"),
        &|head| fs::write(head, " ".repeat(100_000)).expect("much else"),
    ];
    for (n, damage) in damages.iter().enumerate() {
        for head in &heads {
            damage(head);
            // Where there is no second head file, a reader that expects none finds no error.
            let is_fine = n == 0 && *head == heads[1];
            assert_eq!(
                found_wrong(folder.path(), words).is_ok(),
                is_fine,
                "{n} {}",
                head.display()
            );
            back_up(&hq, &repository(folder.path(), words));
            assert_eq!(fs::read(head).expect("it is back"), whole, "{n} {}", head.display());
            found_wrong(folder.path(), words).expect("all is right");
        }
    }
    // If both are damaged, nothing opens and nothing is overwritten.
    heads.iter().for_each(|head| fs::write(head, "x").expect("a file"));
    let error = found_wrong(folder.path(), words).expect_err("both are damaged");
    assert!(
        error.contains("hq-backups.json")
            && error.contains(
                "its checksum doesn't \
        match"
            ),
        "{error}"
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_piece_is_named_and_the_next_backup_writes_it_again() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let piece = files(&folder.path().join("chunks")).pop().expect("a piece");
    fs::remove_file(&piece).expect("it was there");
    let error = found_wrong(folder.path(), None).expect_err("a piece is missing");
    let name = piece.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(error.contains(&name) && error.contains("use another one"), "{error}");
    back_up(&hq, &repo);
    found_wrong(folder.path(), None).expect("it was written again");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_cut_off_anywhere_leaves_the_former_ones_and_is_cleaned_up() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let first = back_up(&hq, &repo);
    for cut in 0..6 {
        let api = hq.api().await;
        let title = format!("{cut} {}", "different ".repeat(40));
        api.post("/api/v1/tasks", &json!({ "title": title })).await;
        let noise: Vec<u8> = (0..200_000u32).map(|n| (n * (cut + 3)) as u8).collect();
        hq.ws().blobs.put(&noise).expect("a blob");
        let target = Failing::after(folder.path(), cut as usize, Fault::Gone);
        let failing = Repository::open(target, None).expect("it opens");
        let error = make(&failing, &source(&hq), &Meter::default()).expect_err("cut off");
        assert!(error.to_string().contains("try again"), "{error}");
        let ids = repo.ids().expect("a list");
        assert_eq!(ids, std::slice::from_ref(&first.id), "cut {cut}");
        found_wrong(folder.path(), None).expect("the former one is whole");
    }
    let before = files(&folder.path().join("chunks")).len();
    let last = back_up(&hq, &repo);
    let now = "2100-01-01T00:00:00Z".parse().expect("a moment");
    let owner = Owner("test".to_owned());
    let newest = BTreeSet::from([last.id.clone()]);
    let keep = |_: &[_]| newest.clone();
    let meter = Meter::default();
    let pruned = prune(&repo, (&owner, std::slice::from_ref(&last.key_id)), &keep, now, &meter)
        .expect("tidied up");
    assert_eq!(pruned.backups, [first.id]);
    assert!(files(&folder.path().join("chunks")).len() <= before + 2);
    assert!(files(&folder.path().join("running")).is_empty(), "no marker is left");
    let named: BTreeSet<String> =
        last.parts.iter().flat_map(|part| part.all_chunks().map(|piece| piece.0.clone())).collect();
    let there = files(&folder.path().join("chunks"));
    let there: BTreeSet<String> =
        there.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    assert_eq!(there, named, "nothing is there that the last one does not name");
    found_wrong(folder.path(), None).expect("all is right");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_target_is_refused_before_anything_is_written() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    repository(folder.path(), None);
    let target = Failing::after(folder.path(), 1000, Fault::SaysSo);
    let repo = Repository::open(target, None).expect("it opens");
    let error = make(&repo, &source(&hq), &Meter::default()).expect_err("it is full");
    let words = error.to_string();
    assert!(words.contains("is full (1 MB free") && words.contains("free some space"), "{words}");
    assert!(!folder.path().join("chunks").exists());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_cannot_be_written_or_holds_something_else_is_refused() {
    let begin = |path: &Path| {
        let target = Arc::new(Folder::new(path.to_owned()));
        let now = "2026-11-20T12:00:00Z".parse().expect("a moment");
        Repository::open_or_begin(target, None, now).err().expect("refused").to_string()
    };
    let closed = begin(Path::new("/proc/hq-backups"));
    assert!(closed.contains("can't be used") && closed.contains("try again"), "{closed}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("letter.txt"), "Dear").expect("a file");
    assert!(begin(folder.path()).contains("contains other files"));
    assert_eq!(files(folder.path()).len(), 1, "nothing was put there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_that_somebody_else_may_be_using_are_left_alone() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let marker = json!({ "owner": "another", "what": "backup", "since": hq.now().to_string() });
    fs::create_dir_all(folder.path().join("running")).expect("a folder");
    let file = folder.path().join("running/other-backup");
    fs::write(&file, marker.to_string()).expect("a marker");
    let owner = Owner("test".to_owned());
    let own = hq.running().app.keyring.key_id().to_string();
    let tidy = || {
        prune(
            &repo,
            (&owner, std::slice::from_ref(&own)),
            &|_| BTreeSet::new(),
            hq.now(),
            &Meter::default(),
        )
    };
    let half = folder.path().join("tmp/half-written");
    fs::create_dir_all(folder.path().join("tmp")).expect("a folder");
    fs::write(&half, "half").expect("what the other one writes");
    let error = tidy().expect_err("somebody is at work");
    assert!(error.to_string().contains("another HQ (backup) has been running"), "{error}");
    assert_eq!(repo.ids().expect("a list").len(), 1);
    back_up(&hq, &repo);
    assert!(half.exists(), "the other one still needs it");
    let old = json!({ "owner": "another", "what": "backup", "since": "2026-11-18T00:00:00Z" });
    fs::write(&file, old.to_string()).expect("a marker");
    tidy().expect("whoever it was is gone");
    assert!(!file.exists());
    back_up(&hq, &repo);
    assert!(!half.exists(), "nobody needs it any more");
    hq.finish().await;
}
