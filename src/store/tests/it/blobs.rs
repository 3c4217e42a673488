//! Tests of blob files.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use store::{BlobId, Blobs, Faults};

/// A disk with injected failures.
struct Flaky {
    writes: AtomicBool,
    syncs: AtomicBool,
    free: AtomicU64,
}

impl Default for Flaky {
    fn default() -> Self {
        let (writes, syncs) = Default::default();
        Self { writes, syncs, free: AtomicU64::new(u64::MAX) }
    }
}

impl Faults for Flaky {
    fn write(&self, offset: u64, _len: usize) -> io::Result<()> {
        if self.writes.load(Ordering::Relaxed) && offset > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        if self.syncs.load(Ordering::Relaxed) { Err(io::Error::other("no")) } else { Ok(()) }
    }
    fn free_space(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::Relaxed))
    }
}

/// Relative paths of all files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

fn blobs() -> (tempfile::TempDir, Arc<Flaky>, Blobs) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flaky = Arc::new(Flaky::default());
    let blobs =
        Blobs::open_with(folder.path().join("blobs"), Arc::clone(&flaky) as Arc<dyn Faults>);
    (folder, flaky, blobs.expect("they open"))
}

#[test]
fn a_blob_is_named_by_its_content_and_stored_once() {
    let (folder, _, blobs) = blobs();
    let id = blobs.put(b"hello").expect("a blob");
    assert_eq!(
        id.to_string(),
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "SHA-256"
    );
    assert_eq!(id.to_string().parse::<BlobId>().expect("its own text"), id);
    assert_eq!(blobs.put(b"hello").expect("the same"), id);
    assert_eq!(blobs.put_from(&mut &b"hello"[..], 5).expect("the same"), (id, 5));
    assert_eq!(
        files(&folder.path().join("blobs")),
        ["2c/f24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]
    );
    assert_eq!(blobs.get(id, 5).expect("its content"), b"hello");
    let mut text = String::new();
    blobs.open_blob(id).expect("a file").read_to_string(&mut text).expect("text");
    assert_eq!(text, "hello");
    assert_eq!(blobs.put(b"").expect("nothing is a content, too"), BlobId::of(b""));
}

#[test]
fn limits_hold_for_putting_and_getting() {
    let (folder, _, blobs) = blobs();
    let long = vec![7u8; 200_000];
    let error = blobs.put_from(&mut &long[..], 199_999).expect_err("too long");
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(files(&folder.path().join("blobs")).is_empty(), "nothing is left of it");
    let (id, len) = blobs.put_from(&mut &long[..], 200_000).expect("just as long as it may be");
    assert_eq!(len, 200_000);
    let error = blobs.get(id, 199_999).expect_err("too long for this reader");
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(blobs.get(id, 200_000).expect("its content"), long);
    let missing = blobs.get(BlobId::of(b"never put"), 10).expect_err("not there");
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_a_crash_left_half_written_is_swept_at_the_start() {
    let (folder, _, blobs) = blobs();
    let id = blobs.put(b"whole").expect("a blob");
    let left = folder.path().join("blobs/tmp/0");
    std::fs::write(&left, b"ha").expect("what a crash leaves");
    let blobs = Blobs::open(folder.path().join("blobs")).expect("they open again");
    assert!(!left.exists());
    assert_eq!(blobs.get(id, 10).expect("the whole one stays"), b"whole");
}

#[test]
fn a_failing_disk_leaves_no_blob_and_no_rest() {
    let (folder, flaky, blobs) = blobs();
    flaky.writes.store(true, Ordering::Relaxed);
    let long = vec![7u8; 200_000];
    let error = blobs.put(&long).expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    flaky.writes.store(false, Ordering::Relaxed);
    flaky.syncs.store(true, Ordering::Relaxed);
    blobs.put(&long).expect_err("an fsync fails");
    assert!(files(&folder.path().join("blobs")).is_empty());
    flaky.syncs.store(false, Ordering::Relaxed);
    let id = blobs.put(&long).expect("the disk is well again");
    // A name that may not be durable yet is synced by the next put.
    flaky.syncs.store(true, Ordering::Relaxed);
    blobs.put(&long).expect_err("its name could not be made durable");
    flaky.syncs.store(false, Ordering::Relaxed);
    assert_eq!(blobs.put(&long).expect("now it is"), id);
}

#[test]
fn a_reader_that_breaks_off_leaves_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let (folder, _, blobs) = blobs();
    let mut content = b"the beginning".chain(Broken);
    let error = blobs.put_from(&mut content, 1000).expect_err("a cut upload");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(files(&folder.path().join("blobs")).is_empty());
}

#[test]
fn files_are_refused_before_the_store_beside_them_is() {
    let (folder, flaky, blobs) = blobs();
    let rows = folder.path().join("hq.redb");
    let blobs = blobs.beside(rows.clone());
    let left = |free: u64| flaky.free.store(free, Ordering::Relaxed);
    left(store::disk::reserve(0) + (64 << 20));
    blobs.put(b"one").expect("the margin is free");
    left(store::disk::reserve(0) + (63 << 20));
    blobs.put(b"two").expect_err("the writer of the store needs the rest");
    // A larger file needs a larger reserve; the sparse file takes no space here.
    let large = 100 << 30;
    std::fs::File::create(&rows).and_then(|file| file.set_len(large)).expect("a large file");
    left(store::disk::reserve(large) + (63 << 20));
    let error = blobs.put(b"three").expect_err("the same beside a large one");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    left(store::disk::reserve(large) + (64 << 20));
    blobs.put(b"three").expect("enough is free");
}

#[test]
fn nothing_is_put_on_a_disk_that_is_nearly_full() {
    let (_folder, flaky, blobs) = blobs();
    let id = blobs.put(b"before").expect("a blob");
    flaky.free.store(100 << 20, Ordering::Relaxed);
    let error = blobs.put(b"after").expect_err("below the reserve");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(blobs.put(b"before").expect("this takes no room"), id);
    assert_eq!(blobs.get(id, 10).expect("and reading goes on"), b"before");
    flaky.free.store(u64::MAX, Ordering::Relaxed);
    blobs.put(b"after").expect("room again");
}

#[test]
fn content_that_is_sent_again_takes_the_place_of_a_damaged_file() {
    let (folder, _, blobs) = blobs();
    let long: Vec<u8> = (0..200_000u32).map(|n| n.to_be_bytes()[3]).collect();
    let id = blobs.put(&long).expect("a blob");
    let name = id.to_string();
    let file = folder.path().join("blobs").join(&name[..2]).join(&name[2..]);
    let damage = |at: usize| {
        let mut bytes = long.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).expect("as long as it was");
        assert_ne!(blobs.get(id, 200_000).expect("a file"), long);
    };
    for at in [0, 100_000, 199_999] {
        damage(at);
        assert_eq!(blobs.put(&long).expect("it is sent again"), id);
        assert_eq!(blobs.get(id, 200_000).expect("its content"), long, "byte {at}");
        damage(at);
        assert_eq!(blobs.put_from(&mut &long[..], 200_000).expect("as a stream").0, id);
        assert_eq!(blobs.get(id, 200_000).expect("its content"), long, "byte {at}");
    }
}
