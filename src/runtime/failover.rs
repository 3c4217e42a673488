//! Failover of a run's model: another key, another model, or a wait that ends by itself.
//!
//! A run keeps its candidate until a call fails; the next run starts with the chosen model again. A broken-off response
//! counts as none: its text stays in the run, and the next candidate answers anew.

use jiff::SignedDuration;

use app::Ws;
use crypto::redact::Spot;
use features::connections::cooldown::{self, Candidate};
use features::connections::model::Connection;
use features::connections::queries::{Choice, turns};
use features::connections::rules::ConnectionError;
use features::connections::rules::turns::Failure;
use features::runs::model::EventKind;
use kernel::{RunTrigger, Timestamp};
use net::retry::MAX_WAIT;
use providers::error::{ErrorClass, ProviderError};
use store::{Read, ReadExt, StoreError};

use super::chosen::{self, Chosen};
use super::command::ends::{Held, Parked};
use super::command::orders::FailureNoted;
use super::port::Port;
use super::turn::{Step, Turn};
use super::{BY, EngineError, commit};

/// How often a run waits for its whole list before it gives up.
const MOST_WAITS: u32 = 10;
/// Attempts at a candidate with a transient failure before the next candidate is tried.
const TRIES: u32 = 2;

/// The candidates that may answer a run, and the results of their attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct FallbackChain {
    /// In order of preference.
    pub all: Vec<Candidate>,
    /// The current candidate.
    pub now: Candidate,
    /// Candidates that failed since the last response.
    tried: Vec<(Candidate, ErrorClass)>,
    /// A description of each failure, for the run's final message.
    failures: Vec<String>,
    /// Waits since the last response.
    waits: u32,
    /// The current candidate has recorded failures.
    failed_before: bool,
}

impl FallbackChain {
    /// The list of a choice, starting at its first candidate without a cooldown. A single candidate is tried even
    /// during a cooldown, because the cooldown may be too long.
    pub(super) fn read(
        tx: &dyn Read,
        all: Vec<Candidate>,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut first = None;
        for candidate in &all {
            if turns::resting(tx, candidate, at)?.is_none() {
                first = Some(candidate.clone());
                break;
            }
        }
        let now = first.or_else(|| all.first().cloned()).unwrap_or_default();
        let failed_before = turns::has_failed(tx, &now)?;
        Ok(Self { all, now, failed_before, ..Self::default() })
    }

    /// Replaces the list after settings changed. The current candidate stays if the new list contains it and the chosen
    /// model is the same.
    pub(super) fn renew(self, fresh: Self, same: bool) -> Self {
        if same && fresh.all.contains(&self.now) {
            return Self { all: fresh.all, ..self };
        }
        fresh
    }

    fn is_single(&self) -> bool {
        self.all.len() < 2
    }

    /// The next candidate that is not tried, not in a cooldown and not ruled out.
    fn next(&self, tx: &dyn Read, at: Timestamp) -> Result<Option<Candidate>, StoreError> {
        let tried: Vec<(usize, ErrorClass)> = self
            .tried
            .iter()
            .filter_map(|(who, class)| Some((self.all.iter().position(|c| c == who)?, *class)))
            .collect();
        let mut rest = Vec::with_capacity(self.all.len());
        for candidate in &self.all {
            rest.push(turns::resting(tx, candidate, at)?.is_some());
        }
        Ok(cooldown::next(&self.all, &tried, |n| rest[n]).map(|n| self.all[n].clone()))
    }

    /// The earliest end of a cooldown after a transient failure.
    fn soonest(&self, tx: &dyn Read, at: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut soonest: Option<Timestamp> = None;
        for candidate in &self.all {
            let rest = turns::resting(tx, candidate, at)?;
            let until = rest.filter(|rest| cooldown::passes(rest.class)).map(|rest| rest.until);
            soonest = soonest.into_iter().chain(until).min();
        }
        Ok(soonest)
    }
}

impl FallbackChain {
    /// Connects to the current candidate. A candidate whose key cannot be opened gets a cooldown, and the next one is
    /// tried. Also returns the last such error message.
    pub(super) async fn connect(
        &mut self,
        ws: &Ws,
        home: &Choice,
    ) -> Result<(Chosen, Option<String>), EngineError> {
        let mut refused = None;
        loop {
            let error = match chosen::connect(ws, home, &self.now) {
                Err(error) if !self.is_single() && is_unusable(&error) => error,
                other => return other.map(|chosen| (chosen, refused)),
            };
            let (who, name, message) = (self.now.clone(), label(ws, &self.now)?, error.to_string());
            tracing::warn!(%error, "{name} cannot be asked");
            refused = Some(format!("{name} could not be used: {message}"));
            let failure = Failure { class: ErrorClass::Auth, message, asked: None };
            let noted = who.clone();
            ws.order(BY, FailureNoted { who: noted, failure }).await?;
            self.failures.push(format!("{name} {}", ErrorClass::Auth.describe()));
            self.tried.push((who, ErrorClass::Auth));
            let at = ws.app.clock.now();
            let Some(next) = ws.read(|snap| self.next(snap, at))? else { return Err(error) };
            self.failed_before = ws.read(|snap| turns::has_failed(snap, &next))?;
            self.now = next;
        }
    }
}

/// Returns `true` if a connection is unusable as stored, without a request to its provider.
fn is_unusable(error: &EngineError) -> bool {
    matches!(error, EngineError::Connection(error) if !matches!(error, ConnectionError::Store(_)))
}

/// The name of a candidate in the UI.
fn label(ws: &Ws, who: &Candidate) -> Result<String, EngineError> {
    let name = match who.connection {
        Some(id) => ws.read(|snap| snap.get::<Connection>(id))?.map(|c| c.name),
        None => None,
    };
    Ok(match (name, who.slot) {
        (Some(name), 0) => format!("{} ({name})", who.model),
        (Some(name), slot) => format!("{} ({name}, key {})", who.model, slot + 1),
        (None, _) => who.model.clone(),
    })
}

/// The event that records a switch to another candidate.
pub(super) fn switched(
    ws: &Ws,
    from: &Candidate,
    to: &Candidate,
    why: &str,
) -> Result<EventKind, EngineError> {
    let why = ws.app.redactor.masked(Spot::Errors, why).into_owned();
    Ok(EventKind::ModelSwitched { from: label(ws, from)?, to: label(ws, to)?, why })
}

/// How a run waits.
#[derive(Clone, Copy)]
enum Wait {
    /// In its slot, until a moment.
    Here(Timestamp),
    /// Without a slot, until a moment or until something changes.
    Parked(Option<Timestamp>),
}

impl Turn {
    /// Returns `true` if a retry with the same candidate is worthwhile. If others can answer, the run does not wait for
    /// this one.
    pub(super) fn may_ask_again(&self, error: &ProviderError) -> bool {
        self.chooser.chain.is_single() || (!error.class.is_wait() && self.ends.failures < TRIES)
    }

    /// Returns `true` if the run has another candidate and may do more than write its final summary.
    pub(super) fn another_may_answer(&self) -> bool {
        !self.chooser.chain.is_single() && self.ends.wrap_up.is_none() && !self.setting.aside
    }

    /// The same for a side question. If others can answer, the run does not wait for an overloaded candidate.
    pub(super) fn is_worth_asking_again(&self, error: &ProviderError) -> bool {
        error.retryable() && (self.chooser.chain.is_single() || !error.class.is_wait())
    }

    /// Before a call: switches to another candidate if the current one has a cooldown, and waits if all do. Returns
    /// `None` if the call can be made.
    pub(super) async fn ready(&mut self) -> Result<Option<Step>, EngineError> {
        if let Some(step) = self.seek_the_well().await? {
            return Ok(Some(step));
        }
        self.seek_tools().await
    }

    /// Skips models without tools if the run does work. Conversations may use them.
    async fn seek_tools(&mut self) -> Result<Option<Step>, EngineError> {
        let is_work = matches!(self.setting.trigger, RunTrigger::Item | RunTrigger::Child);
        let first = self.chooser.chosen.model.clone();
        while is_work && !self.chooser.chosen.known.tools && self.ends.wrap_up.is_none() {
            let who = self.chooser.chain.now.clone();
            let why = format!("{} doesn't support tools", label(&self.talk.journal.ws, &who)?);
            self.chooser.chain.failures.push(why.clone());
            // The other keys of this model do not support tools either.
            self.chooser.chain.tried.push((who, ErrorClass::NotFoundModel));
            loop {
                let (at, chain) = (self.talk.journal.ws.app.clock.now(), &self.chooser.chain);
                let read = self.talk.journal.ws.read(|snap| {
                    Ok::<_, StoreError>((chain.next(snap, at)?, chain.soonest(snap, at)?))
                })?;
                match read {
                    (Some(next), _) => {
                        if self.changed_over(next, &why).await? {
                            break;
                        }
                    }
                    (None, Some(until)) if self.chooser.chain.waits < MOST_WAITS => {
                        return self.wait_until(until).await.map(Some);
                    }
                    (None, _) => return Err(EngineError::NoTools(first)),
                }
            }
        }
        Ok(None)
    }

    /// Switches to a candidate without a cooldown, or waits for one.
    async fn seek_the_well(&mut self) -> Result<Option<Step>, EngineError> {
        if self.chooser.chain.is_single() {
            return Ok(None);
        }
        loop {
            let at = self.talk.journal.ws.app.clock.now();
            let chain = &self.chooser.chain;
            let read = self.talk.journal.ws.read(|snap| {
                let rest = turns::resting(snap, &chain.now, at)?;
                let next = chain.next(snap, at)?;
                Ok::<_, StoreError>((rest, next, chain.soonest(snap, at)?))
            })?;
            match read {
                (None, ..) => return Ok(None),
                (Some(rest), Some(next), _) => {
                    let why = format!("{} ({})", rest.class.word(), rest.message);
                    if self.changed_over(next, &why).await? {
                        return Ok(None);
                    }
                }
                (Some(_), None, Some(until)) => return self.wait_until(until).await.map(Some),
                // No cooldown ends by itself; the chosen candidate reports the reason.
                (Some(_), None, None) => return Ok(None),
            }
        }
    }

    /// After a call that failed for good: sets a cooldown, then switches to the next candidate, waits for one, or ends
    /// the run.
    pub(super) async fn fail_over(&mut self, error: &ProviderError) -> Result<Step, EngineError> {
        let who = self.chooser.chain.now.clone();
        self.leave_alone(&who, error).await?;
        if self.outlasts(error) {
            let (at, chain) = (self.talk.journal.ws.app.clock.now(), &self.chooser.chain);
            let soonest = self.talk.journal.ws.read(|snap| chain.soonest(snap, at))?;
            if let Some(until) = soonest {
                return self.wait_until(until).await;
            }
        }
        if self.chooser.chain.is_single() || cooldown::scope(error.class).is_none() {
            return self.give_up(error).await;
        }
        let why = self.counts_as_tried(who, error)?;
        loop {
            let at = self.talk.journal.ws.app.clock.now();
            let chain = &self.chooser.chain;
            let (next, soonest) = self.talk.journal.ws.read(|snap| {
                Ok::<_, StoreError>((chain.next(snap, at)?, chain.soonest(snap, at)?))
            })?;
            match (next, soonest) {
                (Some(next), _) => {
                    if self.changed_over(next, &why).await? {
                        return Ok(Step::Next);
                    }
                }
                (None, Some(until)) if self.chooser.chain.waits < MOST_WAITS => {
                    return self.wait_until(until).await;
                }
                (None, _) => return self.nobody_answers(error).await,
            }
        }
    }

    /// After a failed side question: sets a cooldown and switches to the next candidate. Returns whether there is one;
    /// never waits.
    pub(super) async fn next_answers(
        &mut self,
        error: &ProviderError,
    ) -> Result<bool, EngineError> {
        if self.chooser.chain.is_single() || cooldown::scope(error.class).is_none() {
            return Ok(false);
        }
        let who = self.chooser.chain.now.clone();
        self.leave_alone(&who, error).await?;
        let why = self.counts_as_tried(who, error)?;
        loop {
            let at = self.talk.journal.ws.app.clock.now();
            let chain = &self.chooser.chain;
            let Some(next) = self.talk.journal.ws.read(|snap| chain.next(snap, at))? else {
                return Ok(false);
            };
            if self.changed_over(next, &why).await? {
                return Ok(true);
            }
        }
    }

    /// Marks a candidate as tried. Returns the reason for the switch.
    fn counts_as_tried(
        &mut self,
        who: Candidate,
        error: &ProviderError,
    ) -> Result<String, EngineError> {
        let label = label(&self.talk.journal.ws, &who)?;
        self.chooser.chain.failures.push(format!("{label} {}", error.class.describe()));
        self.chooser.chain.tried.push((who, error.class));
        Ok(format!("{label} {}: {}", error.class.describe(), error.message))
    }

    /// Returns `true` if work waits as long as its only candidate demands. In a chat a person would wait, so the error
    /// is reported at once.
    fn outlasts(&self, error: &ProviderError) -> bool {
        let is_work = matches!(self.setting.trigger, RunTrigger::Item | RunTrigger::Child);
        let long = error.retry_after.is_some_and(|pause| MAX_WAIT < pause);
        self.chooser.chain.is_single() && is_work && long && error.class.is_wait()
    }

    async fn nobody_answers(&mut self, last: &ProviderError) -> Result<Step, EngineError> {
        let all = self.chooser.chain.failures.join("; ");
        let last_said = last.class.explained(&last.message);
        let why = format!("{last_said} No model on the list answered: {all}.");
        self.give_up_with(last.class, why).await
    }

    async fn give_up(&mut self, error: &ProviderError) -> Result<Step, EngineError> {
        self.give_up_with(error.class, error.class.explained(&error.message)).await
    }

    /// Ends the run because no candidate can answer. If one of them only needs a person to sign in, the run waits for
    /// that instead.
    async fn give_up_with(&mut self, class: ErrorClass, why: String) -> Result<Step, EngineError> {
        let out = self.chooser.chain.tried.iter().find(|(_, class)| *class == ErrorClass::SignIn);
        let out = match out {
            Some((who, _)) => who.clone(),
            None if class == ErrorClass::SignIn => self.chooser.chain.now.clone(),
            None => return self.failed_for_good(class, why).await,
        };
        let label = label(&self.talk.journal.ws, &out)?;
        let detail = format!(
            "{label} needs someone to sign in again; the run continues automatically after that, \
             or when another model is chosen"
        );
        self.park(None, detail).await
    }

    async fn leave_alone(
        &mut self,
        who: &Candidate,
        error: &ProviderError,
    ) -> Result<(), EngineError> {
        if who.connection.is_none() || cooldown::scope(error.class).is_none() {
            return Ok(());
        }
        // An offline host learns little from the failure, and the next candidate need not wait for the primary.
        let chain = &self.chooser.chain;
        let up = self.talk.journal.ws.upstream.as_ref();
        if up.is_some_and(|up| !up.is_linked()) && chain.tried.len() + 1 < chain.all.len() {
            return Ok(());
        }
        let failure = Failure {
            class: error.class,
            message: error.message.clone(),
            asked: error.retry_after,
        };
        let who = who.clone();
        self.talk.journal.order(BY, FailureNoted { who, failure }).await?;
        self.chooser.chain.failed_before = true;
        Ok(())
    }

    /// After a response: the current candidate, if it has recorded failures that must be cleared.
    pub(super) fn answered_well(&mut self) -> Option<Candidate> {
        self.chooser.chain.tried.clear();
        self.chooser.chain.failures.clear();
        self.chooser.chain.waits = 0;
        std::mem::take(&mut self.chooser.chain.failed_before)
            .then(|| self.chooser.chain.now.clone())
    }

    /// Switches to another candidate from the next call on and records it. Returns `false` if no remaining key opens;
    /// those candidates then count as tried.
    async fn changed_over(&mut self, next: Candidate, why: &str) -> Result<bool, EngineError> {
        let ws = self.talk.journal.ws.clone();
        self.chooser.chain.failed_before = ws.read(|snap| turns::has_failed(snap, &next))?;
        let before = std::mem::replace(&mut self.chooser.chain.now, next);
        let (chosen, refused) = match self.chooser.chain.connect(&ws, &self.chooser.home).await {
            Ok(connected) => connected,
            Err(error) => {
                self.chooser.chain.now = before;
                return if is_unusable(&error) { Ok(false) } else { Err(error) };
            }
        };
        self.ends.failures = 0;
        self.answers(chosen);
        let why = refused.map_or_else(|| why.to_owned(), |refused| format!("{why}; {refused}"));
        self.note_switch(&before, &why).await?;
        Ok(true)
    }

    /// Uses this candidate from the next call on.
    fn answers(&mut self, chosen: Chosen) {
        self.talk.request.model.clone_from(&chosen.model);
        self.talk.request.thinking = chosen.thinking;
        (self.chooser.chosen, self.chooser.unlimited) = (chosen, false);
    }

    async fn note_switch(&mut self, before: &Candidate, why: &str) -> Result<(), EngineError> {
        let switched = switched(&self.talk.journal.ws, before, &self.chooser.chain.now, why)?;
        if self.talk.begun {
            return self.talk.journal.append(vec![switched]).await;
        }
        self.chooser.switched = Some(switched);
        Ok(())
    }

    /// All candidates have a cooldown. A short one is waited for in the slot; for a longer one the slot is given back.
    async fn wait_until(&mut self, until: Timestamp) -> Result<Step, EngineError> {
        let app = self.talk.journal.ws.app.clone();
        let pause = until.duration_since(app.clock.now());
        let short = pause <= SignedDuration::try_from(MAX_WAIT).unwrap_or(SignedDuration::ZERO);
        let detail = "all models are paused after failures; it continues automatically".to_owned();
        if !short {
            return self.park(Some(until), detail).await;
        }
        self.note_wait(Wait::Here(until), detail).await?;
        self.talk.begun = true;
        self.chooser.chain.tried.clear();
        self.chooser.chain.waits += 1;
        tokio::select! {
            () = app.sleep_until(until + SignedDuration::from_millis(1)) => {}
            // The next step handles the shutdown.
            () = app.closing.cancelled() => return Ok(Step::Next),
            () = self.setting.cancel.cancelled() => return self.stopped(None).await,
        }
        self.begin_again().await?;
        Ok(Step::Next)
    }

    /// Gives the slot back until a moment, or until something changes.
    async fn park(
        &mut self,
        until: Option<Timestamp>,
        detail: String,
    ) -> Result<Step, EngineError> {
        self.note_wait(Wait::Parked(until), detail).await?;
        Ok(Step::Waits)
    }

    /// Records that the run waits, together with its unwritten events.
    async fn note_wait(&mut self, wait: Wait, detail: String) -> Result<(), EngineError> {
        let committed = match wait {
            Wait::Here(_) => None,
            Wait::Parked(_) => commit::files(&mut self.talk.journal).await?,
        };
        let switched = self.chooser.switched.take();
        let (events, size) = (committed.into_iter().chain(switched).collect(), self.talk.fixed);
        match wait {
            Wait::Here(until) => self.enter(size, Held { events, until, detail }).await?,
            Wait::Parked(until) => self.enter(size, Parked { events, until, detail }).await?,
        }
        self.talk.journal.pauses();
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(())
    }

    /// After a wait, switches to the first available candidate.
    async fn begin_again(&mut self) -> Result<(), EngineError> {
        let at = self.talk.journal.ws.app.clock.now();
        let chain = &self.chooser.chain;
        let next = self.talk.journal.ws.read(|snap| chain.next(snap, at))?;
        if let Some(next) = next.filter(|next| *next != self.chooser.chain.now) {
            self.changed_over(next, "its pause is over").await?;
        }
        Ok(())
    }

    /// Applies a new choice of model.
    pub(super) async fn take_choice(
        &mut self,
        home: Choice,
        fresh: FallbackChain,
    ) -> Result<(), EngineError> {
        let same = home.connection == self.chooser.home.connection
            && home.model == self.chooser.home.model;
        self.chooser.home = home;
        self.chooser.chain = std::mem::take(&mut self.chooser.chain).renew(fresh, same);
        let (ws, wanted) = (self.talk.journal.ws.clone(), self.chooser.chain.now.clone());
        let (chosen, refused) = self.chooser.chain.connect(&ws, &self.chooser.home).await?;
        self.answers(chosen);
        match refused {
            Some(why) => self.note_switch(&wanted, &why).await,
            None => Ok(()),
        }
    }
}
