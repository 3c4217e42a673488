//! Measures the store alone and prints one table: measurement, promise, own figure. Figures are compared with the cost
//! of an fsync in the same minute, with one client, or with SQLite. `cargo bench --bench store -- word` measures the
//! rows whose name contains the word. Fails if a promise is missed.

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program is for")]

mod fixture;
mod lists;
mod read;
mod records;
mod start;
mod undo;
mod write;

use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

struct Figure {
    promise: String,
    ours: String,
    kept: bool,
}

type Measure = fn(&Path) -> Result<Figure, Failure>;

const ROWS: &[(&str, Measure)] = &[
    ("open store, idle", write::idle),
    ("update, 1 client", write::update),
    ("assignment, 1 client", write::alone),
    ("assignment, 64 clients", write::many),
    ("the same, fsync + 2 ms", write::slow),
    ("the same, against SQLite", write::sqlite),
    ("read by id", read::by_id),
    ("open, clean end", start::clean),
    ("open, killed in quiet", start::quiet),
    ("open, killed under load", start::load),
    ("50 of 100,000 by index", read::by_index),
    ("task list of 100,000", lists::lists),
    ("consumer catches up", read::catch_up),
    ("usage-days catches up", read::usage_days),
    ("undo of 10,000 changes", undo::many),
];

fn main() -> ExitCode {
    // As the program does at its start: otherwise the kernel rounds memory figures up to 2 MiB.
    rustix::thread::disable_transparent_huge_pages(true).ok(); // ok: optional
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [word, path, how] = args.as_slice()
        && word == start::HOLD
    {
        return match start::hold(Path::new(path), how == "load") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    match table(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("a promise was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table(wanted: &[String]) -> Result<bool, Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("{:<26} {:<32} ours", "store", "promise");
    let mut all = true;
    for (name, measure) in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        match measure(folder.path()) {
            Ok(Figure { promise, ours, kept }) => {
                all &= kept;
                let missed = if kept { "" } else { "   MISSED" };
                println!("{name:<26} {promise:<32} {ours}{missed}");
            }
            Err(error) => println!("{name:<26} {:<32} not measured: {error}", ""),
        }
    }
    Ok(all)
}
