//! SQLite peer (WAL, `synchronous=FULL`): 64 threads assign tasks for three seconds, taking turns on one connection,
//! which is faster than 64 that wait for the file lock. Each assignment writes a task with three indexes, a log entry,
//! an inbox item with three indexes and a counter. Prints assignments per second.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

const CLIENTS: i64 = 64;
const TASKS: i64 = 10_000;
const AGENTS: i64 = 20;
const SPAN: Duration = Duration::from_secs(3);

const SCHEMA: &str = "
    create table task (id blob primary key, title text, body text, status int, priority int,
        assignee blob, assignments int, due int, updated int) without rowid;
    create index task_by_status on task (status, priority, due);
    create index task_by_assignee on task (assignee, status);
    create index task_by_updated on task (updated);
    create table item (id blob primary key, agent blob, task blob, key text, due int, open int)
        without rowid;
    create unique index item_by_key on item (agent, key);
    create index item_due on item (due) where open = 1;
    create index item_by_agent on item (agent, due);
    create table open_items (agent blob primary key, n int) without rowid;
    create table feed (seq integer primary key, at int, actor text, change text, image blob);
";

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: sqlite-peer FILE")?;
    let mut db = open(&path)?;
    db.execute_batch(SCHEMA)?;
    let fill = db.transaction()?;
    for n in 0..TASKS {
        let body = "A paragraph of what is to be done. ".repeat(10);
        fill.execute(
            "insert into task values (?1, 'Write the report', ?2, 0, 0, null, 0, null, 0)",
            params![id(n), body],
        )?;
    }
    fill.commit()?;
    let db = Arc::new(Mutex::new(db));
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + SPAN;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (db, done) = (Arc::clone(&db), Arc::clone(&done));
            thread::spawn(move || {
                let work = || -> rusqlite::Result<()> {
                    let mut n = 0;
                    while Instant::now() < end {
                        assign(&mut db.lock().unwrap_or_else(PoisonError::into_inner), client, n)?;
                        n += 1;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                };
                work().map_err(|error| error.to_string())
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    println!("{:.0}", done.load(Ordering::Relaxed) as f64 / SPAN.as_secs_f64());
    Ok(())
}

fn open(path: &str) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(30))?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

fn id(n: i64) -> [u8; 16] {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
}

/// The rule: read, check, change, emit; then the reaction.
fn assign(db: &mut Connection, client: i64, n: i64) -> rusqlite::Result<()> {
    let task = id((client * 100_003 + n) * 7919 % TASKS);
    let agent = id((client + n) % AGENTS);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (assignments, image): (i64, String) = tx
        .prepare_cached("select assignments, title || body from task where id = ?1")?
        .query_row([task], |row| Ok((row.get(0)?, row.get(1)?)))?;
    tx.prepare_cached(
        "update task set assignee = ?2, assignments = assignments + 1, updated = ?3 where id = ?1",
    )?
    .execute(params![task, agent, (client << 32) + n])?;
    tx.prepare_cached(
        "insert into feed (at, actor, change, image) values (?1, 'cli', 'task', ?2)",
    )?
    .execute(params![n, image])?;
    tx.prepare_cached("insert into item values (?1, ?2, ?3, ?4, ?5, 1)")?.execute(params![
        id((client << 40) + n),
        agent,
        task,
        format!("task:{client}:{n}:{assignments}"),
        n
    ])?;
    tx.prepare_cached(
        "insert into open_items values (?1, 1) on conflict (agent) do update set n = n + 1",
    )?
    .execute([agent])?;
    tx.commit()
}
