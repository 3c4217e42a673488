//! Tools that belong to the engine: files, programs, the web, the run itself.

pub mod exec;
pub(super) mod fetch;
pub(super) mod files;
pub(super) mod find;
pub(super) mod folder;
pub(super) mod search;
pub(super) mod work;

use crate::net::client::HttpClient;
use crate::net::pages::Pages;
use crate::sandbox::spawn::Spawner;
use crate::tool::Registry;

/// What the engine's own tools are made of.
pub struct Own {
    /// Starts programs.
    pub sandbox: Spawner,
    /// Makes requests.
    pub http: HttpClient,
    /// How many programs run at once.
    pub programs: usize,
}

/// All tools: those of the features and the engine's own.
#[must_use]
pub fn registry(features: Registry, own: Own) -> Registry {
    let Own { sandbox, http, programs } = own;
    let all = features
        .write(work::WorkDone)
        .write(work::WorkFail)
        .write(work::WorkSnooze)
        .write(work::Progress)
        .read(files::Read)
        .read(files::List)
        .read(search::Search)
        .file(files::Write)
        .file(files::Edit)
        .act(exec::Exec::new(sandbox, programs))
        .read(fetch::WebFetch { pages: Pages::new(http) });
    let find = find::ToolSearch::over(&all);
    all.read(find)
}
