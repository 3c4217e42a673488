//! What a program reads while it runs, written bit by bit and never waited for.

use std::io::{self, Write};
use std::process::ChildStdin;

use parking_lot::Mutex;
use rustix::fs::OFlags;

/// The pipe to a program. Closed when it is dropped.
pub struct Stdin(Mutex<Option<ChildStdin>>);

impl Stdin {
    /// Takes the pipe; none is one that was closed.
    ///
    /// # Errors
    /// When the kernel refuses to make it one that does not wait.
    pub fn new(pipe: Option<ChildStdin>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
        }
        Ok(Self(Mutex::new(pipe)))
    }

    /// Whether it can be written to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Writes as much as the program takes now; answers how many bytes that was.
    ///
    /// # Errors
    /// `BrokenPipe` when it is closed or the program does not read any more.
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

    /// Ends what the program reads.
    pub fn close(&self) {
        self.0.lock().take();
    }
}
