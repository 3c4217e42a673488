//! Standard streams of a program: the program's ends and HQ's ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use super::SandboxError;
use super::spawn::{Input, Output};

const NOTHING: &str = "/dev/null";

/// The program's three streams, HQ's ends of the pipes, and the output files.
pub(super) struct Streams {
    pub(super) given: Given,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    /// The output files, without duplicates.
    pub(super) files: Vec<File>,
    /// Standard error file with the helper's error messages, if any.
    pub(super) complaints: Option<File>,
}

/// The program's ends.
pub(super) struct Given {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Streams {
    /// Opens the streams. `to_error` converts kernel errors; a file that cannot be created has its own error.
    pub(super) fn open(
        stdin: &Input,
        stdout: &Output,
        stderr: &Output,
        to_error: impl Fn(io::Error) -> SandboxError + Copy,
    ) -> Result<Self, SandboxError> {
        let (read, stdin) = match stdin {
            Input::Nothing => (File::open(NOTHING).map_err(to_error)?.into(), None),
            Input::Bytes(_) | Input::Pipe => {
                let (read, write) = io::pipe().map_err(to_error)?;
                (read.into(), Some(OwnedFd::from(write).into()))
            }
        };
        let out = create(stdout)?;
        let (given_out, ours_out) = end(stdout, out.as_ref(), to_error)?;
        let same = stdout == stderr;
        let error = if same { None } else { create(stderr)? };
        let complains = if same { &out } else { &error };
        let (given_error, ours_error) = end(stderr, complains.as_ref(), to_error)?;
        let complaints = duplicate(stderr, complains.as_ref())?;
        Ok(Self {
            given: Given { stdin: read, stdout: given_out, stderr: given_error },
            stdin,
            stdout: ours_out.map(Into::into),
            stderr: ours_error.map(Into::into),
            files: out.into_iter().chain(error).collect(),
            complaints,
        })
    }
}

/// The program's end of an output, and HQ's end if it is a pipe.
fn end(
    output: &Output,
    file: Option<&File>,
    to_error: impl Fn(io::Error) -> SandboxError,
) -> Result<(OwnedFd, Option<OwnedFd>), SandboxError> {
    if let Some(file) = duplicate(output, file)? {
        return Ok((file.into(), None));
    }
    if *output == Output::Pipe {
        let (read, write) = io::pipe().map_err(to_error)?;
        return Ok((write.into(), Some(read.into())));
    }
    let nothing = OpenOptions::new().write(true).open(NOTHING).map_err(to_error)?;
    Ok((nothing.into(), None))
}

/// A second handle of the same open file.
fn duplicate(output: &Output, file: Option<&File>) -> Result<Option<File>, SandboxError> {
    let (Output::File(path), Some(file)) = (output, file) else { return Ok(None) };
    let clone =
        file.try_clone().map_err(|source| SandboxError::Output { path: path.clone(), source })?;
    Ok(Some(clone))
}

/// Creates a new file. Files or symlinks placed there by a program are never written to. Reading, measuring and
/// truncating use this descriptor only.
fn create(output: &Output) -> Result<Option<File>, SandboxError> {
    let Output::File(path) = output else { return Ok(None) };
    OpenOptions::new()
        .create_new(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(Some)
        .map_err(|source| SandboxError::Output { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_file_that_exists_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "kept").unwrap();
        let file = Output::File(path.clone());
        let to_error = |source| SandboxError::Start { program: path.clone(), source };
        let opened = Streams::open(&Input::Nothing, &file, &file, to_error);
        assert!(matches!(opened, Err(SandboxError::Output { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }
}
