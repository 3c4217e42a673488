//! Processes of tools: the jail helper, the spawning thread, stop, posture.
//!
//! The server never restricts itself and never forks with code. It starts `hq --jail`, a single-threaded helper that
//! leaves the host's network where it can (`own_network`), waits for its order (`spare`), gives up every right that
//! the program does not need, and becomes the program ([`jail`]); one is kept ready for the next. One thread starts all
//! of them ([`spawn`]), another watches them ([`watch`]), and whatever a program leaves behind is found by its session and
//! ended ([`kill`]); where the machine gives control groups, by its own as well ([`cgroup`]). What the jail really does on
//! this host is found out by trying ([`posture`]).
//!
//! Invariants: no secret is in an argument; a program without Landlock does not start unless a person chose so;
//! every descendant keeps the session id that it was born with.

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

/// What can go wrong before a program runs.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A variable that would act on the helper before it is confined.
    #[error("the variable {0} may not be set for a program; leave it out")]
    ForbiddenVariable(String),
    /// The policy has a path that cannot be written as text.
    #[error("the sandbox policy cannot be written down: {0}; use paths in UTF-8")]
    Policy(#[source] serde_json::Error),
    /// The file for the output cannot be made.
    #[error(
        "the output file {path} cannot be made: {source}; choose a new file in an existing folder"
    )]
    Output {
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The helper could not be started.
    #[error(
        "the jail program {program} cannot be started: {source}; check that the file is still there"
    )]
    Start {
        /// The helper.
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A thread of the sandbox could not be started.
    #[error("the sandbox has no thread: {0}; the host may be short of memory or processes")]
    Thread(#[source] io::Error),
    /// The spawning thread is gone, because the server is stopping.
    #[error(
        "no program can be started any more because HQ is stopping; try again after the restart"
    )]
    Closed,
    /// A self-test could not be prepared.
    #[error("the sandbox cannot be tested: {0}; check that the data folder can be written")]
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

/// Runs as one of the helpers of the sandbox if these arguments of the program say so.
#[must_use]
pub fn helper(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match arguments.nth(1)?.to_str()? {
        spare::ARGUMENT => Some(spare::main_jail(arguments)),
        probe::ARGUMENT => Some(probe::main_probe(arguments)),
        _ => None,
    }
}
