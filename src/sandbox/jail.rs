//! Runs in the jail helper once it has its order ([`super::spare`]): drops rights in an order in which each step is
//! still possible, then executes the program. Runs in a separate single-threaded process before anything else of HQ.
//!
//! Exit codes are those of shells: [`NOT_SET_UP`] if the jail setup failed and nothing ran, 126 if the program is not
//! executable, 127 if it does not exist, otherwise the program's own code.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::confine::{self, ConfineError};
use super::mounts;
use super::policy::{Limits, Policy};
use super::seccomp;

/// Exit code of a failed jail setup.
pub const NOT_SET_UP: u8 = 125;
/// Prefix of the helper's own error message.
pub const PREFIX: &str = "hq-jail: ";

const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// If memory runs out, programs are killed before the server.
const OOM_SCORE: &[u8] = b"800";
/// Increase of a program's niceness.
const POLITE: i32 = 15;

#[derive(Debug, thiserror::Error)]
enum JailError {
    #[error("the process that started this one is gone")]
    Orphan,
    #[error("the folder {0} cannot be entered: {1}")]
    Folder(std::path::PathBuf, #[source] Errno),
    #[error("{0}: {1}")]
    Kernel(&'static str, #[source] Errno),
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("the system call filter cannot be built: {0}")]
    Filter(#[from] seccompiler::BackendError),
    #[error("the system call filter is refused: {0}; this kernel may lack seccomp")]
    Seccomp(#[from] seccompiler::Error),
}

/// Drops all rights that the policy does not grant, and executes the program. `is_apart` means that this process has
/// its own mount namespace; `may_start` waits for permission to start. Returns only on failure, with the exit code;
/// `complaints` then has the error.
pub(super) fn become_program(
    policy: &Policy,
    is_apart: bool,
    program: &mut Command,
    mut complaints: impl Write,
    may_start: impl FnOnce() -> bool,
) -> ExitCode {
    if let Err(error) = enter(policy, is_apart) {
        return fail(&error, complaints);
    }
    if !may_start() {
        return ExitCode::from(NOT_SET_UP); // the server has gone
    }
    // Resets signal handling to the default before the program is loaded.
    let error = program.exec();
    say(&mut complaints, &format!("{}: {error}", program.get_program().display()));
    let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    ExitCode::from(code)
}

fn enter(policy: &Policy, is_apart: bool) -> Result<(), JailError> {
    let own = rustix::process::setsid().map_err(|e| JailError::Kernel("setsid is refused", e))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| JailError::Kernel("the parent-death signal is refused", e))?;
    // The parent may have ended before the signal was set.
    if let Some(parent) = policy.parent
        && rustix::process::getppid().map(|p| p.as_raw_pid().unsigned_abs()) != Some(parent)
    {
        return Err(JailError::Orphan);
    }
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok(); // ok: best effort, refused in some containers
    mounts::close(policy, is_apart);
    // After that: a folder entered before would be below the new mounts.
    rustix::process::chdir(&policy.cwd).map_err(|e| JailError::Folder(policy.cwd.clone(), e))?;
    // The server takes precedence and must get processor time even during a fork bomb.
    rustix::process::nice(POLITE).ok(); // ok: best effort
    // Inherited from the server, which performs better without. Programs choose for themselves.
    rustix::thread::disable_transparent_huge_pages(false).ok(); // ok: best effort
    limit(&policy.limits)?;
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|e| JailError::Kernel("no_new_privs is refused", e))?;
    let abi = confine::abi_for(policy);
    confine::confine(policy, abi)?;
    for filter in seccomp::filters(policy, abi, own.as_raw_pid())? {
        seccompiler::apply_filter(&filter)?;
    }
    Ok(())
}

fn limit(limits: &Limits) -> Result<(), JailError> {
    let wanted = [
        (Resource::Core, Some(0)),
        (Resource::Cpu, limits.cpu_secs),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::As, limits.memory_bytes),
    ];
    for (resource, value) in wanted {
        let Some(value) = value else { continue };
        // Never above the current limit: raising needs a privilege that may be missing.
        let value =
            rustix::process::getrlimit(resource).maximum.map_or(value, |max| max.min(value));
        let both = Rlimit { current: Some(value), maximum: Some(value) };
        rustix::process::setrlimit(resource, both)
            .map_err(|e| JailError::Kernel("a resource limit is refused", e))?;
    }
    Ok(())
}

/// Drops all sets. The bounding set matters for root only, which would regain capabilities on `exec`.
fn drop_capabilities() -> Result<(), JailError> {
    let lost = |e| JailError::Kernel("capabilities cannot be dropped", e);
    rustix::thread::clear_ambient_capability_set().map_err(lost)?;
    for number in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            Err(Errno::INVAL) => break, // the previous one was the last that this kernel knows
            Err(Errno::PERM) => break,  // no privilege to drop, hence nothing to regain
            Err(error) => return Err(lost(error)),
        }
    }
    let no_root = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
    match rustix::thread::set_capabilities_secure_bits(no_root) {
        Ok(()) | Err(Errno::PERM) => {} // as above
        Err(error) => return Err(lost(error)),
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(lost)
}

/// Reports why nothing is started.
pub(super) fn fail(error: &impl Display, mut complaints: impl Write) -> ExitCode {
    say(&mut complaints, &error.to_string());
    ExitCode::from(NOT_SET_UP)
}

fn say(complaints: &mut impl Write, text: &str) {
    writeln!(complaints, "{PREFIX}{text}").ok(); // ok: nobody to tell if this fails
}
