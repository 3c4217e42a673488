//! Pages, API and tools of tasks and related records, one folder per noun. Each folder calls only the rules of its own
//! noun.

// Templates use absolute paths into this crate.
extern crate self as interfaces_work;

pub mod tasks;
pub mod comments;
pub mod links;
pub mod deliverables;
pub mod files;
pub mod streams;
pub mod views;

use features::files::queries::FileError;
use kernel::TaskId;
use store::WriteTx;
use tool::Registry;
use web::routes::Routes;
use web::upload::Arrived;

pub(crate) use files::pages::AT_ONCE as MAX_FILES;

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(tasks::routes())
        .merge(streams::pages::routes())
        .merge(views::pages::routes())
        .merge(comments::routes())
        .merge(deliverables::routes())
        .merge(files::routes())
        .merge(links::pages::routes())
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .merge(tasks::api())
        .merge(comments::api())
        .merge(deliverables::api())
        .merge(files::api())
        .merge(links::api::routes())
}

/// The agents' tools for these nouns.
#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .merge(tasks::tools())
        .merge(streams::tools::tools())
        .merge(views::tools::tools())
        .merge(comments::tools())
        .merge(deliverables::tools())
        .merge(files::tools())
        .merge(links::tools::tools())
}

/// Attaches received files to a new task. It is here because the pages of one noun do not call another noun's rules.
///
/// # Errors
/// If there are too many files.
pub(crate) fn attach_files(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    arrived: Vec<Arrived>,
) -> Result<(), FileError> {
    for one in arrived {
        features::files::rules::attach(tx, task, files::pages::new_file(one))?;
    }
    Ok(())
}
