//! Queues of outgoing frames: lanes by priority, limited space in each, and credit for frames that must be
//! acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::RunId;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

use super::error::LinkError;
use super::frame::{Frame, Lane};
use super::{MAX_BATCHES, MAX_COMMANDS};

/// The credit that a frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credit {
    Nothing,
    /// A batch of the feed up to this entry.
    Batch(u64),
    Command(RunId, u64),
}

impl Credit {
    fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Feed(feed) => Self::Batch(feed.upto),
            Frame::Command(command) => Self::Command(command.run, command.number),
            _ => Self::Nothing,
        }
    }
}

/// A queued frame.
pub(crate) struct Waiting {
    /// The encoded frame, with space for the sealing header.
    pub(crate) message: Vec<u8>,
    /// Notified when the frame is written.
    pub(crate) left: Option<oneshot::Sender<()>>,
    /// Nothing follows it.
    pub(crate) is_last: bool,
    credit: Credit,
    _room: OwnedSemaphorePermit,
}

/// Unacknowledged batches and unanswered commands of one direction.
#[derive(Default)]
struct Under {
    batches: VecDeque<u64>,
    commands: HashSet<(RunId, u64)>,
}

impl Under {
    fn has_credit(&self, credit: Credit) -> bool {
        match credit {
            Credit::Nothing => true,
            Credit::Batch(_) => self.batches.len() < MAX_BATCHES,
            Credit::Command(..) => self.commands.len() < MAX_COMMANDS,
        }
    }

    fn begin(&mut self, credit: Credit) {
        match credit {
            Credit::Nothing => {}
            Credit::Batch(upto) => self.batches.push_back(upto),
            Credit::Command(run, number) => {
                self.commands.insert((run, number));
            }
        }
    }

    /// Returns the credit of frames that this frame acknowledges.
    fn end(&mut self, frame: &Frame) {
        match frame {
            Frame::Ack(ack) => self.batches.retain(|upto| ack.seq < *upto),
            Frame::Answer(answer) => {
                self.commands.remove(&(answer.run, answer.number));
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct State {
    queues: [VecDeque<Waiting>; Lane::ALL.len()],
    ours: Under,
    theirs: Under,
    over: bool,
}

/// The queues of one side, and the credit of both sides.
pub(crate) struct Lanes {
    state: Mutex<State>,
    rooms: [Arc<Semaphore>; Lane::ALL.len()],
    wake: Notify,
    over: watch::Sender<Option<LinkError>>,
    dropped: AtomicU64,
}

impl Lanes {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            rooms: Lane::ALL.map(|lane| Arc::new(Semaphore::new(lane.room()))),
            wake: Notify::new(),
            over: watch::Sender::new(None),
            dropped: AtomicU64::new(0),
        }
    }

    /// Queues a frame as soon as there is space. Streamed text is dropped instead.
    pub(crate) async fn push(
        &self,
        frame: &Frame,
        left: Option<oneshot::Sender<()>>,
    ) -> Result<(), LinkError> {
        let message = frame.encode()?;
        let lane = frame.lane();
        let room = Arc::clone(&self.rooms[place(lane)]);
        let room = match lane {
            Lane::Running => match room.try_acquire_owned() {
                Ok(room) => room,
                Err(TryAcquireError::NoPermits) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(TryAcquireError::Closed) => return Err(self.why()),
            },
            _ => room.acquire_owned().await.map_err(|_| self.why())?,
        };
        let waiting = Waiting {
            message,
            left,
            is_last: matches!(frame, Frame::Goodbye(_)),
            credit: Credit::of(frame),
            _room: room,
        };
        let mut state = self.state.lock();
        if state.over {
            drop(state);
            return Err(self.why());
        }
        state.theirs.end(frame);
        state.queues[place(lane)].push_back(waiting);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// The most urgent frame that may be sent; waits for one. Only one task may call this.
    pub(crate) async fn next(&self) -> Waiting {
        loop {
            if let Some(waiting) = self.pop() {
                return waiting;
            }
            // A notification between these two calls is kept.
            self.wake.notified().await;
        }
    }

    fn pop(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        let State { queues, ours, .. } = &mut *state;
        let may_go = |queue: &&mut VecDeque<Waiting>| {
            queue.front().is_some_and(|waiting| ours.has_credit(waiting.credit))
        };
        let waiting = queues.iter_mut().find(may_go)?.pop_front()?;
        ours.begin(waiting.credit);
        Some(waiting)
    }

    /// Handles a received frame: it returns credit, or uses the other side's.
    pub(crate) fn heard(&self, frame: &Frame) -> Result<(), LinkError> {
        let mut state = self.state.lock();
        let credit = Credit::of(frame);
        if !state.theirs.has_credit(credit) {
            return Err(LinkError::Overrun(match credit {
                Credit::Batch(_) => "unacknowledged batches",
                Credit::Command(..) | Credit::Nothing => "unanswered commands",
            }));
        }
        state.theirs.begin(credit);
        state.ours.end(frame);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Ends the link. The first reason counts. Queued frames are dropped.
    pub(crate) fn end(&self, why: LinkError) {
        self.over.send_if_modified(|over| {
            let first = over.is_none();
            if first {
                *over = Some(why);
            }
            first
        });
        for room in &self.rooms {
            room.close();
        }
        let mut state = self.state.lock();
        state.over = true;
        let waiting = std::mem::take(&mut state.queues);
        drop(state);
        drop(waiting);
    }

    /// Why the link has ended.
    pub(crate) fn why(&self) -> LinkError {
        self.over.borrow().clone().unwrap_or(LinkError::Cut)
    }

    /// Waits for the end of the link.
    pub(crate) async fn over(&self) -> LinkError {
        let mut over = self.over.subscribe();
        // ok: the sender outlives this wait.
        let _ = over.wait_for(Option::is_some).await;
        self.why()
    }

    /// Number of dropped pieces of streamed text.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The index of a lane.
fn place(lane: Lane) -> usize {
    Lane::ALL.iter().position(|one| *one == lane).unwrap_or(0)
}
