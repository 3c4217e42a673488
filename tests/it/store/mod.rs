//! Stores with the program's own records: their layouts, and what each format of a file has. The store itself is
//! tested in its package.

#[path = "../../../src/store/tests/it/check.rs"]
pub mod check; // everything that can be said about a store's bytes without knowing how they came
mod formats; // what each format of the file has: a difference is a new number
mod golden; // the layouts of the program's own records

use std::path::Path;
use std::sync::Arc;

use kernel::id::SystemIds;
use kernel::time::SystemClock;
use store::{NoFaults, Options, Schema, Store};

/// Opens a file that nobody else has.
pub fn opened(path: &Path, schema: Schema) -> Store {
    let options = Options {
        path: path.to_owned(),
        schema,
        cache: 4 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: Arc::new(NoFaults),
    };
    Store::open(options).expect("it opens")
}

/// A temporary folder in memory where there is room, for tests that make thousands of files and do not ask whether
/// the disk is quick.
pub fn folder_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = store::disk::free_space(memory).is_ok_and(|free| free > 2 << 30);
    let folder = if roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}
