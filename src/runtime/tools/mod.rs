//! The engine's own tools: files, programs, web, the run itself.

pub(super) mod browser;
pub(super) mod escalate;
pub mod exec;
mod heard;
pub(super) mod fetch;
pub(super) mod find;
pub(super) mod folder;
pub(super) mod identity;
pub(super) mod memory;
pub(super) mod process;
pub(super) mod progress;
pub(super) mod read;
pub(super) mod request;
pub(super) mod search;
pub(super) mod secrets;
pub(super) mod subagents;
pub(super) mod wait;
pub(super) mod work;
pub(super) mod write;

use super::jobs::Jobs;
use super::stand_ins::Trusted;
use net::client::HttpClient;
use net::pages::Pages;
use sandbox::spawn::Spawner;
use tool::Registry;

/// What the engine's own tools need.
pub struct Own {
    pub sandbox: Spawner,
    pub http: HttpClient,
    pub jobs: Jobs,
    /// Most programs that run at once.
    pub programs: usize,
    /// The hosts and roots that programs and their egress proxy trust.
    pub trusted: Trusted,
}

/// All tools: those of the features and the engine's own.
#[must_use]
pub fn registry(features: Registry, own: Own) -> Registry {
    let Own { sandbox, http, jobs, programs, trusted } = own;
    let all = features
        .write(work::WorkDone)
        .write(work::WorkFail)
        .write(work::WorkSnooze)
        .write(escalate::TaskEscalate)
        .write(progress::Progress)
        .write(wait::AskPerson)
        .write(wait::WaitUntil)
        .write(subagents::Spawn)
        .write(subagents::Wait)
        .read(subagents::List)
        .write(subagents::Stop)
        .read(read::Read)
        .read(read::List)
        .read(search::Search)
        .read(memory::MemorySearch)
        .read(memory::MemoryRead)
        .file(memory::MemoryAppend)
        .file(memory::MemoryReplace)
        .file(write::Write)
        .file(write::Edit)
        .file(write::ApplyPatch)
        .act(exec::Exec::new(sandbox, jobs.clone(), programs, trusted))
        .act(process::Process::new(jobs))
        .act(browser::Browse)
        .file(browser::Save)
        .act(request::HttpRequest { http: http.clone() })
        .read(fetch::WebFetch { pages: Pages::new(http).reading(fetch::words) });
    let find = find::ToolSearch::over(&all);
    all.read(find)
}
