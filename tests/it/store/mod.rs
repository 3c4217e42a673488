//! Stores with the program's own records: layouts and file formats. The store's own tests are in its package.

#[path = "../../../src/store/tests/it/check.rs"]
pub mod check; // checks of a store's bytes that need no knowledge of their history
mod formats; // contents of each file format: any difference needs a new number
mod golden; // layouts of the program's own records

use std::path::Path;
use std::sync::Arc;

use kernel::id::SystemIds;
use kernel::time::SystemClock;
use store::{NoFaults, Options, Schema, Store};

/// Opens a file that is not open elsewhere.
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

/// A temporary folder in memory if there is enough room, for tests that create thousands of files and do not depend on
/// the disk's speed.
pub fn folder_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = store::disk::free_space(memory).is_ok_and(|free| free > 2 << 30);
    let folder = if roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}
