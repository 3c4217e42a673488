//! Kills a store in its own process at random times and compares it with an external ledger.
//!
//! `HQ_STORE_KILLS` sets the number of kills (default 12), `HQ_STORE_SEED` repeats the choices of another run.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use kernel::id::SystemIds;
use kernel::time::SystemClock;
use store::{NoFaults, Options, ReadExt, Store, StoreError, WriteTx};

use super::check;
use super::toys::{ACTOR, CAUSE, Job, Line, Note, id, note, schema};

/// Set in the child process: the folder of its store.
const CHILD: &str = "HQ_TEST_KILLED_STORE";
const WRITERS: u64 = 4;

#[test]
#[expect(clippy::disallowed_methods, reason = "how a child is told that it is one, and N and seed")]
fn what_was_acknowledged_survives_a_kill_and_nothing_is_there_by_half() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills: u64 = setting("HQ_STORE_KILLS").unwrap_or(12);
    let mut seed = setting("HQ_STORE_SEED").unwrap_or_else(|| RandomState::new().hash_one(kills));
    let seed_text = format!("HQ_STORE_SEED={seed}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut acknowledged = [0u64; WRITERS as usize];
    for kill in 0..kills {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let lines = seed >> 33 & 0xff;
        let mut child = start(folder.path());
        let out = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut left = lines;
        // Lines written before the kill count, also those read after it.
        for line in out.lines().map_while(Result::ok) {
            if let Some((writer, n)) = line.strip_prefix("ack ").and_then(|a| a.split_once(' ')) {
                let writer: usize = writer.parse().expect("a writer");
                acknowledged[writer] = n.parse().expect("a number");
            }
            if left == 0 {
                // ok: the previous line may have killed it already.
                let _ = child.kill();
            }
            left = left.saturating_sub(1);
        }
        child.wait().expect("it ends");
        let store = open(&folder.path().join("toys.redb"));
        for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
            let there = count(&store, writer as u64);
            let missing = "an acknowledged write is missing";
            assert!(there >= *acknowledged, "{missing}: {there} < {acknowledged}; {seed_text}");
            assert!(there <= *acknowledged + 1, "more than was asked for; {seed_text}");
            // A write without an acknowledgement that is visible was done.
            *acknowledged = there;
        }
        if kill % 4 == 3 || kill + 1 == kills {
            check::all_fits(&store);
        }
    }
    assert!(acknowledged.iter().sum::<u64>() > kills, "hardly anything was written; {seed_text}");
}

fn start(folder: &Path) -> Child {
    let name = "kills::what_was_acknowledged_survives_a_kill_and_nothing_is_there_by_half";
    Command::new(std::env::current_exe().expect("this test program"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process")
}

fn open(path: &Path) -> Store {
    let options = Options {
        path: path.to_owned(),
        schema: schema(),
        cache: 4 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: Arc::new(NoFaults),
    };
    Store::open(options).expect("it opens after a kill")
}

/// Number of a writer's completed steps; checks that each step has all its effects or none.
fn count(store: &Store, writer: u64) -> u64 {
    let found = store.read(|snap| {
        let sum = snap.sum(Line::SUM, &kernel::key::KeyBuf::of(&note(writer)))?;
        let steps = snap.get::<Note>(note(writer))?.map_or(0, |n| n.size);
        assert_eq!(sum, steps, "a step is one line and one change of the note");
        Ok::<_, StoreError>(steps.unsigned_abs())
    });
    found.expect("a read")
}

/// Writes until it is killed and prints acknowledgements.
#[expect(clippy::print_stdout, reason = "what a child tells its parent")]
fn child(folder: &Path) {
    let store = open(&folder.join("toys.redb"));
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        std::thread::spawn(move || {
            for n in count(&store, writer) + 1.. {
                store.write_blocking(ACTOR, CAUSE, move |tx| one(tx, writer, n)).expect("a write");
                println!("ack {writer} {n}");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().expect("a writer ends only with its process");
    }
}

/// One step of a writer: changes indexes, sums, references, a log and large images.
fn one(tx: &mut WriteTx<'_>, writer: u64, n: u64) -> Result<(), StoreError> {
    let size = i64::try_from(n).unwrap_or(i64::MAX);
    let owner = "x".repeat((n * 37 % 3_000) as usize);
    let slug = Some(format!("{writer}-{n}"));
    let labels = vec![(n % 5) as u8, (n % 3) as u8];
    tx.put(&Note { size, slug, labels, ..Note::new(note(writer), &owner) })?;
    let line = Line { id: id(writer * 1_000_000 + n), note: note(writer), amount: 1 };
    tx.put(&line)?;
    tx.put(&Job {
        id: id(writer * 10 + n % 10),
        note: Some(note(writer)),
        open: n.is_multiple_of(2),
    })?;
    if n.is_multiple_of(7) {
        tx.delete::<Job>(id(writer * 10 + (n + 3) % 10))?;
    }
    Ok(())
}
