//! What the programs that go on read: the ends to which their agents, pages and the API write. The engine
//! that runs a program brings its end here, and takes it away when the program is over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use kernel::JobId;
use sandbox::input::Stdin;

/// So many texts are known again that were written.
const KNOWN: usize = 1_000;

/// Of all programs of a workspace.
#[derive(Default)]
pub struct Inputs {
    open: Mutex<HashMap<JobId, Arc<Stdin>>>,
    /// The numbers of texts, each with how many bytes were taken of it, the newest last. No program outlives them.
    written: Mutex<VecDeque<([u8; 16], usize)>>,
}

impl Inputs {
    /// A program has begun.
    pub fn add(&self, job: JobId, input: Arc<Stdin>) {
        self.open.lock().insert(job, input);
    }

    /// A program is over.
    pub fn remove(&self, job: JobId) {
        if let Some(input) = self.open.lock().remove(&job) {
            input.close();
        }
    }

    /// What a program reads, if it runs and its input is open.
    pub fn open(&self, job: JobId) -> Option<Arc<Stdin>> {
        self.open.lock().get(&job).filter(|input| input.is_open()).cloned()
    }

    /// Writes a text once, however often it comes; answers how many bytes were taken of it then.
    ///
    /// # Errors
    /// What writing comes to; a text that was not written may come again.
    pub fn once<E>(
        &self,
        number: [u8; 16],
        write: impl FnOnce() -> Result<usize, E>,
    ) -> Result<usize, E> {
        // Held meanwhile, so that the same text does not come in between. A pipe is not waited for.
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
