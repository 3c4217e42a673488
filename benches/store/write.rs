//! Writes: one client and many, on this disk and on a slow one, and memory of an open store.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kernel::Cause;
use store::{ReadExt, Record, StoreError, WriteTx};

use crate::fixture::{ACTOR, Fixture, Slow, fsync, half, ms, open, real};
use crate::records::{Note, assign};
use crate::{Failure, Figure};

/// One client changing a record with two indexes: row, two index rows and entry.
pub fn update(folder: &Path) -> Result<Figure, Failure> {
    let store = open(&folder.join("update.redb"), 32 << 20, real())?;
    let ids = store.write_blocking(ACTOR, Cause::Setup, |tx| {
        let mut made = Vec::new();
        for _ in 0..5_000 {
            let note = Note { id: tx.new_id(), ..Note::sample() };
            tx.put(&note)?;
            made.push(note.id);
        }
        Ok::<_, StoreError>(made)
    })?;
    let body = move |tx: &mut WriteTx<'_>, n: usize| {
        let id = ids[n.wrapping_mul(7919) % ids.len()];
        let (mut note, rev) = tx.get_rev::<Note>(id)?.ok_or(StoreError::Stale)?;
        note.label = note.label.wrapping_add(1) % 97;
        note.updated = tx.now();
        tx.put_if(&note, rev)
    };
    let body = std::sync::Arc::new(body);
    let (mut times, mut syncs) = (Vec::new(), Vec::new());
    for round in 0..20 {
        syncs.push(fsync(folder, 50)?);
        for step in 0..100 {
            let body = std::sync::Arc::clone(&body);
            let began = Instant::now();
            store.write_blocking(ACTOR, Cause::Setup, move |tx| body(tx, round * 1000 + step))?;
            times.push(began.elapsed());
        }
    }
    let (time, sync) = (ms(half(times)), ms(half(syncs)));
    let promise = 1.3 * sync + 0.3;
    Ok(Figure {
        promise: format!("≤ {promise:.2} ms = 1.3 × {sync:.2} + 0.3"),
        ours: format!("{time:.2} ms"),
        kept: time <= promise,
    })
}

/// One client: assignments and fsyncs alternately, so that both see the same disk.
pub fn alone(folder: &Path) -> Result<Figure, Failure> {
    let bench = Fixture::new(&folder.join("alone.redb"), 10_000, real())?;
    let (mut times, mut syncs) = (Vec::new(), Vec::new());
    let counters = bench.store.counters();
    let before = counters.written.load(Ordering::Relaxed);
    for round in 0..20 {
        syncs.push(fsync(folder, 50)?);
        for step in 0..100 {
            let (task, agent) = bench.pick(round * 1000 + step);
            let began = Instant::now();
            bench.store.write_blocking(ACTOR, Cause::Setup, move |tx| assign(tx, task, agent))?;
            times.push(began.elapsed());
        }
    }
    let written = (counters.written.load(Ordering::Relaxed) - before) / 2_000 / 1024;
    let (time, sync) = (ms(half(times)), ms(half(syncs)));
    let promise = 1.3 * sync + 0.6;
    Ok(Figure {
        promise: format!("≤ {promise:.2} ms = 1.3 × {sync:.2} + 0.6"),
        ours: format!("{time:.2} ms, {written} KiB written each"),
        kept: time <= promise,
    })
}

/// Result of many clients.
struct Crowd {
    rate: f64,
    p50: Duration,
    a_commit: f64,
    written: u64,
}

/// Runs many clients for `span`.
fn crowd(bench: &Fixture, clients: usize, span: Duration) -> Result<Crowd, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let counters = bench.store.counters();
    let syncs = counters.syncs.load(Ordering::Relaxed);
    let written = counters.written.load(Ordering::Relaxed);
    let times = runtime.block_on(async {
        let end = Instant::now() + span;
        let work = (0..clients).map(|client| async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let (task, agent) = bench.pick(client * 100_003 + times.len());
                let began = Instant::now();
                let body = move |tx: &mut WriteTx<'_>| assign(tx, task, agent);
                bench.store.write(ACTOR, Cause::Setup, body).await?;
                times.push(began.elapsed());
            }
            Ok::<_, StoreError>(times)
        });
        let times = futures_util::future::try_join_all(work).await?;
        Ok::<_, StoreError>(times.into_iter().flatten().collect::<Vec<Duration>>())
    })?;
    let done = times.len();
    let syncs = counters.syncs.load(Ordering::Relaxed) - syncs;
    Ok(Crowd {
        rate: done as f64 / span.as_secs_f64(),
        a_commit: done as f64 / syncs.max(1) as f64,
        written: (counters.written.load(Ordering::Relaxed) - written) / done.max(1) as u64 / 1024,
        p50: half(times),
    })
}

/// 64 clients that assign tasks.
pub fn many(folder: &Path) -> Result<Figure, Failure> {
    let bench = Fixture::new(&folder.join("crowd.redb"), 10_000, real())?;
    let crowd = crowd(&bench, 64, Duration::from_secs(3))?;
    Ok(Figure {
        promise: "≥ 8,000/s (SQL: 2,530)".to_owned(),
        ours: format!(
            "{:.0}/s, half within {:.1} ms, {:.0} a commit, {} KiB each",
            crowd.rate,
            ms(crowd.p50),
            crowd.a_commit,
            crowd.written
        ),
        kept: 8_000.0 <= crowd.rate,
    })
}

/// 64 clients compared with one, on a disk whose fsync takes 2 ms longer: the effect of group commit.
pub fn slow(folder: &Path) -> Result<Figure, Failure> {
    let faults = std::sync::Arc::new(Slow(Duration::from_millis(2)));
    let bench = Fixture::new(&folder.join("slow.redb"), 2_000, faults)?;
    let one = crowd(&bench, 1, Duration::from_secs(3))?;
    let all = crowd(&bench, 64, Duration::from_secs(3))?;
    let ratio = all.rate / one.rate;
    Ok(Figure {
        promise: "≥ 15 × one client".to_owned(),
        ours: format!("{ratio:.1} × ({:.0}/s to {:.0}/s)", one.rate, all.rate),
        kept: 15.0 <= ratio,
    })
}

/// SQLite with the same rows and indexes and 64 threads, in the same minute on the same disk. `make bench` builds the
/// peer; without it, the row says so.
pub fn sqlite(folder: &Path) -> Result<Figure, Failure> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peer/release/sqlite-peer");
    if !peer.exists() {
        return Err("the peer is not built (make bench does it)".into());
    }
    let bench = Fixture::new(&folder.join("against.redb"), 10_000, real())?;
    let ours = crowd(&bench, 64, Duration::from_secs(3))?.rate;
    let out = std::process::Command::new(peer).arg(folder.join("peer.sqlite")).output()?;
    let theirs: f64 = String::from_utf8(out.stdout)?.trim().parse()?;
    let ratio = ours / theirs;
    Ok(Figure {
        promise: "≥ 1.8 × SQLite".to_owned(),
        ours: format!("{ratio:.1} × ({ours:.0}/s, SQLite {theirs:.0}/s)"),
        kept: 1.8 <= ratio,
    })
}

/// Proportional memory of this process, in KiB.
fn pss() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default())
}

/// Memory of an idle open store, including its thread.
pub fn idle(folder: &Path) -> Result<Figure, Failure> {
    const COUNT: u64 = 50;
    let file = |n| folder.join(format!("idle-{n}.redb"));
    for n in 0..=COUNT {
        drop(open(&file(n), 32 << 20, real())?);
    }
    let mut stores = vec![open(&file(COUNT), 32 << 20, real())?];
    let before = pss()?;
    for n in 0..COUNT {
        stores.push(open(&file(n), 32 << 20, real())?);
    }
    let store = pss()?.saturating_sub(before) / COUNT;
    Ok(Figure {
        promise: "≤ 150 KiB".to_owned(), ours: format!("{store} KiB"), kept: store <= 150
    })
}
