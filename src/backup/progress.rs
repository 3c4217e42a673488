//! Progress of backups, checks and restores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use kernel::Timestamp;

use super::BackupError;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    Looking,
    Stores,
    Files,
    Sending,
    Pruning,
    Verifying,
    Restoring,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Looking,
        Self::Stores,
        Self::Files,
        Self::Sending,
        Self::Pruning,
        Self::Verifying,
        Self::Restoring,
    ];

    /// Label for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Looking => "Comparing",
            Self::Stores => "Reading stores",
            Self::Files => "Reading files",
            Self::Sending => "Sending",
            Self::Pruning => "Cleaning up",
            Self::Verifying => "Checking",
            Self::Restoring => "Writing files",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub phase: Phase,
    /// Bytes done in this phase and those before.
    pub done: u64,
    /// Expected bytes; 0 if unknown.
    pub total: u64,
    /// Bytes written to the target.
    pub new_bytes: u64,
    /// 0 to 100.
    pub percent: u8,
}

/// Shared counters of running work.
#[derive(Debug, Default)]
pub struct Meter {
    phase: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    new_bytes: AtomicU64,
    stop: AtomicBool,
}

impl Meter {
    pub(super) fn begin(&self, phase: Phase, total: u64) {
        self.enter(phase);
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Counts bytes.
    ///
    /// # Errors
    /// `Stopped` after a request to stop.
    pub(super) fn add(&self, bytes: u64) -> Result<(), BackupError> {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) { Err(BackupError::Stopped) } else { Ok(()) }
    }

    pub(super) fn wrote(&self, bytes: u64) {
        self.new_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes written to the target.
    #[must_use]
    pub fn new_bytes(&self) -> u64 {
        self.new_bytes.load(Ordering::Relaxed)
    }

    /// Requests the work to end at its next step.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn progress(&self) -> Progress {
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        let done = self.done.load(Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed);
        let share = (done.min(total) * 100).checked_div(total).unwrap_or(0);
        Progress {
            phase: Phase::ALL.get(phase).copied().unwrap_or_default(),
            done,
            total,
            new_bytes: self.new_bytes(),
            percent: u8::try_from(share).unwrap_or(100),
        }
    }
}

/// The running work of this process; at most one.
#[derive(Clone, Default)]
pub struct BackupJob(Arc<Top>);

#[derive(Default)]
struct Top {
    now: Mutex<Option<Busy>>,
    closed: AtomicBool,
}

/// Running work.
#[derive(Clone)]
pub struct Busy {
    /// Label for people: "a backup".
    pub what: &'static str,
    pub since: Timestamp,
    pub meter: Arc<Meter>,
}

/// Permit for work, released on drop.
pub struct Held {
    job: BackupJob,
    pub meter: Arc<Meter>,
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.job.0.now.lock() = None;
    }
}

impl BackupJob {
    /// Starts work.
    ///
    /// # Errors
    /// `Busy` while other work is running; `Stopped` after [`Self::close`].
    pub fn take(&self, what: &'static str, since: Timestamp) -> Result<Held, BackupError> {
        let mut now = self.0.now.lock();
        if self.0.closed.load(Ordering::Acquire) {
            return Err(BackupError::Stopped);
        }
        if let Some(busy) = &*now {
            return Err(BackupError::Busy {
                place: "this HQ".to_owned(),
                what: busy.what.to_owned(),
                since: busy.since.to_string(),
            });
        }
        let meter = Arc::new(Meter::default());
        *now = Some(Busy { what, since, meter: Arc::clone(&meter) });
        Ok(Held { job: self.clone(), meter })
    }

    /// Requests running work to end at its next step, and rejects new work.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if let Some(busy) = &*self.0.now.lock() {
            busy.meter.stop();
        }
    }

    #[must_use]
    pub fn busy(&self) -> Option<Busy> {
        self.0.now.lock().clone()
    }
}
