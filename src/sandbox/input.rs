//! Standard input of a running program, written incrementally without blocking.

use std::io::{self, Write};
use std::process::ChildStdin;

use parking_lot::Mutex;
use rustix::fs::OFlags;

/// The pipe to a program. Closed on drop.
pub struct Stdin(Mutex<Option<ChildStdin>>);

impl Stdin {
    /// Takes the pipe; `None` is a closed one.
    ///
    /// # Errors
    /// If the kernel refuses non-blocking mode.
    pub fn new(pipe: Option<ChildStdin>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
        }
        Ok(Self(Mutex::new(pipe)))
    }

    /// Returns `true` if the pipe can be written to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Writes as much as the program accepts now. Returns the number of bytes.
    ///
    /// # Errors
    /// `BrokenPipe` if the pipe is closed or the program no longer reads.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut guard = self.0.lock();
        let pipe = guard.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut taken = 0;
        while taken < bytes.len() {
            match pipe.write(&bytes[taken..]) {
                Ok(0) => break,
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Closes the pipe.
    pub fn close(&self) {
        self.0.lock().take();
    }
}
