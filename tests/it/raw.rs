//! Store files as another program would open them, to damage or inspect their bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError};

/// Opens a store file that HQ has closed. A reading thread of an HQ that stopped just now may still hold it for a moment.
pub fn open(path: impl AsRef<Path>) -> Database {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match Database::open(&path) {
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < end => {
                std::thread::yield_now();
            }
            opened => return opened.expect("a store file that is not in use"),
        }
    }
}
