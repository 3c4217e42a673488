//! Tests of power failures: during an fsync the disk may hold the state of the previous fsync and any part of later
//! writes, down to single sectors. The store must open each such disk, hold all acknowledged writes and be consistent.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kernel::time::{ManualClock, from_ms};
use store::Faults;

use super::check;
use super::toys::{Job, Line, Note, Toys, With, folder_in_memory, id, note};

const SECTOR: usize = 512;

/// A possible disk after a power failure, and the number of acknowledged writes.
struct Left {
    disk: Vec<u8>,
    acknowledged: u64,
    /// Whether the file already had its final name.
    made: bool,
}

#[derive(Default)]
struct Socket {
    file: PathBuf,
    synced: Vec<u8>,
    acknowledged: u64,
    dice: u64,
    left: Vec<Left>,
}

impl Socket {
    /// xorshift64
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    /// Records the last synced content with a random part of later writes.
    fn cut(&mut self, now: &[u8]) {
        let grown = self.roll().is_multiple_of(2);
        let mut disk = self.synced.clone();
        disk.resize(if grown { now.len() } else { self.synced.len() }, 0);
        // The share of writes that reached the disk varies, by pages or by sectors.
        let share = self.roll() % 101;
        let piece = if self.roll().is_multiple_of(2) { SECTOR } else { 8 * SECTOR };
        for at in (0..disk.len().min(now.len())).step_by(piece) {
            let end = (at + piece).min(disk.len()).min(now.len());
            if disk[at..end] != now[at..end] && self.roll() % 100 < share {
                disk[at..end].copy_from_slice(&now[at..end]);
            }
        }
        let (acknowledged, made) = (self.acknowledged, self.file.exists());
        self.left.push(Left { disk, acknowledged, made });
    }
}

/// The name under which a store is created.
fn fresh(file: &Path) -> PathBuf {
    file.with_extension("redb.new")
}

/// The disk with power failures.
struct Plug(Mutex<Socket>);

impl Faults for Plug {
    fn sync(&self) -> io::Result<()> {
        let mut socket = self.0.lock().expect("no panic");
        let Ok(now) = std::fs::read(&socket.file).or_else(|_| std::fs::read(fresh(&socket.file)))
        else {
            return Ok(());
        };
        for _ in 0..2 {
            socket.cut(&now);
        }
        socket.synced = now;
        Ok(())
    }
}

#[test]
fn a_power_cut_at_any_fsync_loses_nothing_acknowledged() {
    for seed in [0x5eed, 0xfeed, 0xbead] {
        let plug = Arc::new(Plug(Mutex::new(Socket { dice: seed, ..Socket::default() })));
        let faults = Arc::clone(&plug) as Arc<dyn Faults>;
        let toys = With { faults, ..With::default() }.open();
        {
            let mut socket = plug.0.lock().expect("no panic");
            socket.file = toys.path();
            socket.synced = std::fs::read(toys.path()).expect("a file that was just made");
        }
        for n in 1..=25u64 {
            toys.write(move |tx| {
                let owner = "x".repeat((n * 997 % 20_000) as usize);
                tx.put(&Note { labels: vec![1, 2], ..Note::new(note(n % 7), &owner) })?;
                tx.put(&Line { id: id(n), note: note(n % 7), amount: 1 })?;
                tx.put(&Job { id: id(n % 3), note: Some(note(n % 7)), open: true })
            })
            .expect("a write");
            plug.0.lock().expect("no panic").acknowledged = n;
        }
        let left = std::mem::take(&mut plug.0.lock().expect("no panic").left);
        assert!(left.len() > 50, "{} disks", left.len());
        drop(toys);
        for (cut, Left { disk, acknowledged, .. }) in left.into_iter().enumerate() {
            after(&disk, acknowledged, &format!("seed {seed:#x}, cut {cut}"));
        }
    }
}

#[test]
fn a_power_cut_while_a_store_is_made_leaves_one_that_can_be_made() {
    let folder = folder_in_memory();
    let clock = Arc::new(ManualClock::at(from_ms(0)));
    for seed in 1..20 {
        let file = folder.path().join(format!("{seed}.redb"));
        let socket = Socket { dice: seed, file: file.clone(), ..Socket::default() };
        let plug = Arc::new(Plug(Mutex::new(socket)));
        let with = With { faults: Arc::clone(&plug) as Arc<dyn Faults>, ..With::default() };
        drop(with.open_at(&file, &clock).expect("it opens"));
        let left = std::mem::take(&mut plug.0.lock().expect("no panic").left);
        assert!(left.len() > 4, "{} disks", left.len());
        for (cut, Left { disk, made, .. }) in left.into_iter().enumerate() {
            let label = format!("seed {seed:#x}, cut {cut}");
            if made {
                after(&disk, 0, &label);
                continue;
            }
            let file = folder.path().join(&label);
            std::fs::write(fresh(&file), disk).expect("what is left of it");
            let store = With::default().open_at(&file, &clock).expect(&label);
            assert_eq!(store.head().seq, 0);
            check::all_fits(&store);
            assert!(!fresh(&file).exists());
        }
    }
}

/// Checks what the next start finds.
fn after(disk: &[u8], acknowledged: u64, label: &str) {
    let toys = Toys::open();
    toys.store.close();
    std::fs::write(toys.path(), disk).expect("the disk");
    let toys = toys.reopen();
    let seq = toys.seq();
    assert!(seq >= acknowledged, "{label}: {seq} of {acknowledged} are there");
    assert!(seq <= acknowledged + 1, "{label}: {seq} are there, {acknowledged} were asked for");
    check::all_fits(&toys.store);
    toys.put(Note::new(note(99), "and it goes on")).expect(label);
}
