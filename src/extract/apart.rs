//! Where foreign files are read: apart from the program, by a child that it starts in a jail. What that is, whoever
//! starts the program says; without one the file is read here, behind the same limits.

use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Extracted, Kind, Limits, Refused, Source, extract, serve};

/// The first argument of a program that is to be the child.
pub const ARGUMENT: &str = "--read-document";

/// Reads a file apart; none when no child could be started.
pub type Apart =
    dyn Fn(&[u8], Source<'_>, &Limits) -> Option<Result<Extracted, Refused>> + Send + Sync;

static APART: RwLock<Option<Arc<Apart>>> = RwLock::new(None);

/// Says how files are read apart; the last one who says so counts.
pub fn install(apart: Arc<Apart>) {
    // ok: a thread that panicked with it in hand left it whole.
    *APART.write().unwrap_or_else(PoisonError::into_inner) = Some(apart);
}

/// What a file says, as [`extract`] finds it. Formats that can do harm are read apart; text is read here. It takes up to
/// a minute, so it belongs on a thread that may block.
///
/// # Errors
/// As [`extract`], and when the child came to an end without an answer.
pub fn apart(bytes: &[u8], source: Source<'_>, limits: &Limits) -> Result<Extracted, Refused> {
    // ok: as above.
    let apart = APART.read().unwrap_or_else(PoisonError::into_inner).clone();
    let read = apart
        .filter(|_| Kind::of(bytes, source.name).is_document())
        .and_then(|apart| apart(bytes, source, limits));
    read.unwrap_or_else(|| extract(bytes, source, limits))
}

/// The whole of the child: answers one request.
#[must_use]
pub fn main_child() -> ExitCode {
    match serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
