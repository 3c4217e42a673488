//! Standard inputs of running background programs. Agents, pages and the API write to them. The engine adds an input
//! when it starts a program and removes the input when the program ends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use kernel::JobId;
use sandbox::input::Stdin;

/// Number of remembered writes for deduplication.
const KNOWN: usize = 1_000;

/// Inputs of a workspace's programs.
#[derive(Default)]
pub struct Inputs {
    open: Mutex<HashMap<JobId, Arc<Stdin>>>,
    /// Ids of writes with the number of accepted bytes, newest last. Not persisted: no program survives a restart.
    written: Mutex<VecDeque<([u8; 16], usize)>>,
}

impl Inputs {
    /// Registers the input of a started program.
    pub fn add(&self, job: JobId, input: Arc<Stdin>) {
        self.open.lock().insert(job, input);
    }

    /// Closes and removes the input of an ended program.
    pub fn remove(&self, job: JobId) {
        if let Some(input) = self.open.lock().remove(&job) {
            input.close();
        }
    }

    /// The input of a program, if it is open.
    pub fn open(&self, job: JobId) -> Option<Arc<Stdin>> {
        self.open.lock().get(&job).filter(|input| input.is_open()).cloned()
    }

    /// Runs `write` once per id. A repetition returns the number of bytes accepted the first time.
    ///
    /// # Errors
    /// The error of `write`. A failed write may be repeated with the same id.
    pub fn once<E>(
        &self,
        number: [u8; 16],
        write: impl FnOnce() -> Result<usize, E>,
    ) -> Result<usize, E> {
        // The lock is held during the write, so that the same text is not written twice. Writing to the pipe does not
        // block.
        let mut written = self.written.lock();
        if let Some((_, taken)) = written.iter().find(|(known, _)| *known == number) {
            return Ok(*taken);
        }
        let taken = write()?;
        if KNOWN <= written.len() {
            written.pop_front();
        }
        written.push_back((number, taken));
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::{Inputs, KNOWN};

    #[test]
    fn a_text_is_written_once_and_one_that_was_refused_may_come_again() {
        let (inputs, number) = (Inputs::default(), [7; 16]);
        assert_eq!(inputs.once(number, || Err("deaf")), Err("deaf"));
        assert_eq!(inputs.once(number, || Ok::<_, &str>(3)), Ok(3));
        assert_eq!(inputs.once(number, || Err("written twice")), Ok(3));
        for other in 0..=1_000_u128 {
            assert_eq!(inputs.once(other.to_be_bytes(), || Ok::<_, &str>(1)), Ok(1));
        }
        assert_eq!(inputs.written.lock().len(), KNOWN);
    }
}
