//! Sandboxed tool processes. The server never restricts itself and never forks. It starts `hq --jail`, a
//! single-threaded helper that leaves the host's network if possible (`own_network`), waits for its order (`spare`),
//! drops all rights that the program does not need, and executes the program ([`jail`]). One thread starts all helpers
//! ([`spawn`]) and keeps a spare one; another watches programs ([`watch`]). Remaining processes are found by session
//! and ended ([`kill`]), and also by control group ([`cgroup`]). [`posture`] is the self-test.
//!
//! Invariants: no secret in arguments; no program without Landlock unless a person chose so; every descendant keeps its
//! session id.

pub mod cgroup;
pub mod confine;
pub mod handed;
pub mod input;
pub mod jail;
pub mod job;
pub mod kill;
pub mod left_over;
mod mechanisms;
mod mounts;
pub mod output;
pub mod own_files;
mod own_network;
pub mod policy;
pub mod posture;
pub mod probe;
pub mod procfs;
pub mod seccomp;
pub mod space;
pub mod spare;
pub mod spawn;
mod streams;
pub mod watch;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use kernel::problem::{Problem, ProblemKind};

/// Errors before a program runs.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A variable that would affect the helper before it is confined.
    #[error("the variable {0} can't be set for a program; leave it out")]
    ForbiddenVariable(String),
    /// The policy contains a path that is not UTF-8.
    #[error("the sandbox policy can't be encoded: {0}; use paths in UTF-8")]
    Policy(#[source] serde_json::Error),
    /// The output file cannot be created.
    #[error(
        "the output file {path} can't be created: {source}; choose a new file in an existing folder"
    )]
    Output {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The helper could not be started.
    #[error(
        "the sandbox program {program} can't be started: {source}; check that the file still exists"
    )]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A thread of the sandbox could not be started.
    #[error(
        "the sandbox couldn't start a thread: {0}; the machine may be short of memory or \
        processes"
    )]
    Thread(#[source] io::Error),
    /// The spawning thread has ended, because the server is stopping.
    #[error("programs can't be started because HQ is stopping; try again after the restart")]
    Closed,
    /// A self-test could not be prepared.
    #[error("the sandbox can't be tested: {0}; check that the data folder is writable")]
    Posture(#[source] io::Error),
}

impl Problem for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::ForbiddenVariable(_) => "sandbox_forbidden_variable",
            Self::Policy(_) => "sandbox_policy_invalid",
            Self::Output { .. } => "sandbox_output_failed",
            Self::Start { .. } => "sandbox_start_failed",
            Self::Thread(_) => "sandbox_thread_failed",
            Self::Closed => "sandbox_closed",
            Self::Posture(_) => "sandbox_self_test_failed",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::ForbiddenVariable(_) | Self::Policy(_) => ProblemKind::Invalid,
            Self::Closed => ProblemKind::Unavailable,
            Self::Output { .. } | Self::Start { .. } | Self::Thread(_) | Self::Posture(_) => {
                ProblemKind::Internal
            }
        }
    }
}

/// Runs a sandbox helper if the program's arguments request one.
#[must_use]
pub fn helper(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match arguments.nth(1)?.to_str()? {
        spare::ARGUMENT => Some(spare::main_jail(arguments)),
        probe::ARGUMENT => Some(probe::main_probe(arguments)),
        _ => None,
    }
}
