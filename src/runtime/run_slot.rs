//! The slot of a working run. The run gives its slot back while it waits long for an answer of the primary because the
//! link is down, and takes a slot again before it continues.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use app::upstream::Upstream;
use kernel::RunTrigger;

use super::Engine;

/// How long a run keeps its slot while the link is down.
const PATIENCE: Duration = Duration::from_mins(1);
/// Number of link checks in that time.
const LOOKS: u32 = 60;

/// A slot of the host, and for a sub-agent also one of the sub-agents' slots.
type Permits = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

#[derive(Clone)]
pub(super) struct RunSlot(Arc<Parts>);

struct Parts {
    engine: Engine,
    is_child: bool,
    cancel: CancellationToken,
    patience: Duration,
    /// The permits that are held now.
    held: Mutex<Option<Permits>>,
}

impl RunSlot {
    /// Takes a slot if one is free. A run cancelled by `cancel` needs no slot any more.
    pub(super) fn take(
        engine: &Engine,
        trigger: RunTrigger,
        cancel: &CancellationToken,
    ) -> Option<Self> {
        let is_child = trigger == RunTrigger::Child;
        let free = |all: &Arc<Semaphore>| Arc::clone(all).try_acquire_owned().ok();
        let lane = if is_child { Some(free(&engine.lane)?) } else { None };
        let held = Mutex::new(Some((free(&engine.slots)?, lane)));
        let (engine, cancel) = (engine.clone(), cancel.clone());
        Some(Self(Arc::new(Parts { engine, is_child, cancel, patience: PATIENCE, held })))
    }

    /// Gives the slot back.
    pub(super) fn release(&self) {
        let held = self.0.held.lock().take();
        drop(held);
        self.0.engine.freed.send_modify(|count| *count += 1);
    }

    /// Waits for the primary's answer. If the link is down for long, gives the slot back until the answer comes, and
    /// meanwhile drives `aside`. Also returns whether the slot was given back.
    pub(super) async fn keep<T>(
        &self,
        up: &dyn Upstream,
        response: impl Future<Output = T>,
        aside: impl Future<Output = ()>,
    ) -> (T, bool) {
        tokio::pin!(response);
        tokio::select! {
            biased;
            answer = &mut response => return (answer, false),
            () = self.is_cut(up) => {}
        }
        self.release();
        let answer = {
            // `aside` may block the next link, so it must be dropped before waiting for a slot.
            tokio::pin!(aside);
            tokio::select! {
                biased;
                answer = &mut response => answer,
                () = &mut aside => response.as_mut().await,
            }
        };
        self.take_again().await;
        (answer, true)
    }

    /// Waits until the link has been down for the whole patience time, counted from now.
    async fn is_cut(&self, up: &dyn Upstream) {
        let patience = self.0.patience;
        let (mut tick, mut since) = (interval(patience / LOOKS), Instant::now());
        loop {
            tick.tick().await;
            if up.is_linked() {
                since = Instant::now();
            } else if patience <= since.elapsed() {
                return;
            }
        }
    }

    async fn take_again(&self) {
        let Parts { engine, is_child, cancel, held, .. } = &*self.0;
        let taking = async {
            let lane = if *is_child { one(&engine.lane).await } else { None };
            one(&engine.slots).await.map(|slot| (slot, lane))
        };
        tokio::select! {
            biased;
            permits = taking => *held.lock() = permits,
            () = cancel.cancelled() => {}
        }
    }
}

/// Takes one of these permits as soon as one is free.
async fn one(all: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // ok: the semaphore is never closed.
    Arc::clone(all).acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::remote::scripted::Scripted;
    use crate::{Limits, jobs};
    use kernel::{RunId, TypedId as _};

    const SHORT: Duration = Duration::from_millis(60);

    fn engine() -> Engine {
        let limits = Limits { active: 1, children: 1, ..Limits::default() };
        Engine::new(Arc::default(), limits, jobs::Jobs::default())
    }

    /// Takes the only slot, with a short patience time.
    fn seat(engine: &Engine, trigger: RunTrigger, cancel: &CancellationToken) -> RunSlot {
        let RunSlot(parts) = RunSlot::take(engine, trigger, cancel).expect("one is free");
        let Ok(parts) = Arc::try_unwrap(parts) else { panic!("it is held once") };
        RunSlot(Arc::new(Parts { patience: SHORT, ..parts }))
    }

    fn answer(line: &Scripted) -> app::upstream::Answered<'_> {
        line.says(RunId::from_bytes([8; 16]), json!("done"))
    }

    fn free(engine: &Engine) -> (usize, usize) {
        (engine.slots.available_permits(), engine.lane.available_permits())
    }

    #[tokio::test]
    async fn a_slot_is_kept_while_there_is_a_line() {
        let (engine, line) = (engine(), Scripted::linked());
        let seat = seat(&engine, RunTrigger::Item, &CancellationToken::new());
        let kept = seat.keep(&line, answer(&line), std::future::pending());
        tokio::pin!(kept);
        assert!(timeout(2 * SHORT, &mut kept).await.is_err(), "home is slow");
        assert_eq!(free(&engine), (0, 1));
        line.answers(json!("noted"));
        assert_eq!(kept.await, (Ok(json!("noted")), false));
        assert_eq!(free(&engine), (0, 1));
        seat.release();
        assert_eq!(free(&engine), (1, 1));
    }

    #[tokio::test]
    async fn a_slot_is_given_back_while_the_line_is_cut_and_taken_again_before_the_run_goes_on() {
        let (engine, line) = (engine(), Scripted::cut(SHORT));
        let seat = seat(&engine, RunTrigger::Child, &CancellationToken::new());
        let mut freed = engine.freed.subscribe();
        let is_noted = Mutex::new(false);
        let kept = seat.keep(&line, answer(&line), async { *is_noted.lock() = true });
        tokio::pin!(kept);
        assert!(timeout(4 * SHORT, &mut kept).await.is_err(), "it waits for home");
        assert!(*is_noted.lock());
        assert_eq!(free(&engine), (1, 1));
        assert!(freed.has_changed().expect("it is there"), "others may begin");
        freed.mark_unchanged();

        // Another run has the slot when the answer comes.
        let other = RunSlot::take(&engine, RunTrigger::Chat, &CancellationToken::new());
        let other = other.expect("one is free");
        line.answers(json!("noted"));
        assert!(timeout(2 * SHORT, &mut kept).await.is_err(), "there is no slot");
        other.release();
        assert_eq!(kept.await, (Ok(json!("noted")), true));
        assert_eq!(free(&engine), (0, 0));
        assert_eq!(line.requests(), [json!("done")], "it is said once");
    }

    #[tokio::test]
    async fn a_run_that_is_cut_off_waits_for_no_slot() {
        let (engine, line) = (engine(), Scripted::cut(SHORT));
        let cancel = CancellationToken::new();
        let seat = seat(&engine, RunTrigger::Item, &cancel);
        let kept = seat.keep(&line, answer(&line), async {});
        tokio::pin!(kept);
        assert!(timeout(4 * SHORT, &mut kept).await.is_err(), "it waits for home");
        let other = RunSlot::take(&engine, RunTrigger::Item, &CancellationToken::new());
        assert!(other.is_some());
        line.answers(json!("noted"));
        cancel.cancel();
        assert_eq!(kept.await, (Ok(json!("noted")), true));
    }
}
