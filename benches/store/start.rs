//! Opening a large store: after a clean stop, and after kills while idle and under load.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::Cause;
use store::{Range, ReadExt, WriteTx};

use crate::fixture::{ACTOR, Fixture, ms, open, real};
use crate::records::{Task, assign};
use crate::{Failure, Figure};

/// First argument of the process that is killed.
pub const HOLD: &str = "hold";
/// Page cache of a few workspaces on a large host, in bytes.
const CACHE: usize = 64 << 20;

/// The million tasks of `read::by_id`, created if necessary.
fn large(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("million.redb");
    if !path.exists() {
        drop(Fixture::new(&path, 1_000_000, real())?);
    }
    Ok(path)
}

fn opening(path: &Path) -> Result<Duration, Failure> {
    let began = Instant::now();
    let store = open(path, CACHE, real())?;
    store.read(|snap| snap.list::<Task>(&Range::all().limit(1)))?;
    let took = began.elapsed();
    store.close();
    Ok(took)
}

/// Runs `hold PATH quiet|load` until it is killed; prints "ready" when the store is open.
pub fn hold(path: &Path, load: bool) -> Result<(), Failure> {
    let store = open(path, CACHE, real())?;
    let tasks: Vec<_> = store.read(|snap| {
        let range = Range::all().limit(5_000);
        Ok::<_, store::StoreError>(snap.list::<Task>(&range)?.into_iter().map(|t| t.id).collect())
    })?;
    let bench = Arc::new(Fixture { store, tasks, agents: vec![crate::records::agent()] });
    let write = |n: usize| {
        let (task, agent) = bench.pick(n);
        bench.store.write_blocking(ACTOR, Cause::Setup, move |tx: &mut WriteTx<'_>| {
            assign(tx, task, agent)
        })
    };
    for n in 0..200 {
        write(n)?;
    }
    if !load {
        // Longer than the second after which an idle store commits.
        std::thread::sleep(Duration::from_secs(2));
    }
    println!("ready");
    for n in 200.. {
        if load {
            write(n)?;
        } else {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(())
}

fn killed(path: &Path, how: &str) -> Result<(), Failure> {
    let mut child: Child = Command::new(std::env::current_exe()?)
        .args([HOLD.as_ref(), path.as_os_str(), how.as_ref()])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    std::thread::sleep(Duration::from_millis(300));
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// After a clean stop.
pub fn clean(folder: &Path) -> Result<Figure, Failure> {
    let path = large(folder)?;
    opening(&path)?;
    figure(opening(&path)?, 150.0, &path)
}

/// After a kill while idle.
pub fn quiet(folder: &Path) -> Result<Figure, Failure> {
    let path = large(folder)?;
    killed(&path, "quiet")?;
    figure(opening(&path)?, 1_500.0, &path)
}

/// After a kill under load.
pub fn load(folder: &Path) -> Result<Figure, Failure> {
    let path = large(folder)?;
    killed(&path, "load")?;
    figure(opening(&path)?, 3_000.0, &path)
}

fn figure(took: Duration, promise: f64, path: &Path) -> Result<Figure, Failure> {
    let size = std::fs::metadata(path)?.len() >> 20;
    Ok(Figure {
        promise: format!("≤ {promise:.0} ms at 1 GB"),
        ours: format!("{:.0} ms at {size} MB", ms(took)),
        kept: ms(took) <= promise,
    })
}
