//! Extraction in a jailed child process. The binary installs the function that starts the child; without one, files are
//! read in this process, with the same limits.

use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Extracted, Kind, Limits, Refused, Source, extract, serve};

/// First argument of the child process.
pub const ARGUMENT: &str = "--read-document";

/// Extracts in a child process; `None` if no child could be started.
pub type Apart =
    dyn Fn(&[u8], Source<'_>, &Limits) -> Option<Result<Extracted, Refused>> + Send + Sync;

static APART: RwLock<Option<Arc<Apart>>> = RwLock::new(None);

/// Sets how children are started; the last call is effective.
pub fn install(apart: Arc<Apart>) {
    // ok: a poisoned lock still holds a whole value
    *APART.write().unwrap_or_else(PoisonError::into_inner) = Some(apart);
}

/// Extracts like [`extract`]. Documents are read in a child process, plain text in this one. Blocks for up to a minute.
///
/// # Errors
/// As [`extract`], and if the child ends without a response.
pub fn apart(bytes: &[u8], source: Source<'_>, limits: &Limits) -> Result<Extracted, Refused> {
    // ok: as above
    let apart = APART.read().unwrap_or_else(PoisonError::into_inner).clone();
    let read = apart
        .filter(|_| Kind::of(bytes, source.name).is_document())
        .and_then(|apart| apart(bytes, source, limits));
    read.unwrap_or_else(|| extract(bytes, source, limits))
}

/// Main function of the child process: serves one request.
#[must_use]
pub fn main_child() -> ExitCode {
    match serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
