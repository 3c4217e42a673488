//! What the programs that go on read: the ends to which their agents, pages and the API write. The engine
//! that runs a program brings its end here, and takes it away when the program is over.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use kernel::JobId;
use sandbox::input::Stdin;

/// Of all programs of a workspace.
#[derive(Default)]
pub struct Inputs(Mutex<HashMap<JobId, Arc<Stdin>>>);

impl Inputs {
    /// A program has begun.
    pub fn add(&self, job: JobId, input: Arc<Stdin>) {
        self.0.lock().insert(job, input);
    }

    /// A program is over.
    pub fn remove(&self, job: JobId) {
        if let Some(input) = self.0.lock().remove(&job) {
            input.close();
        }
    }

    /// What a program reads, if it runs and its input is open.
    pub fn open(&self, job: JobId) -> Option<Arc<Stdin>> {
        self.0.lock().get(&job).filter(|input| input.is_open()).cloned()
    }
}
