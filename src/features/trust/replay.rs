//! What a permission would have done with the calls of the last 30 days, let through, asked for or refused: each as it was
//! judged then, on the machine that it was for.

use std::collections::HashSet;
use std::ops::ControlFlow;

use jiff::SignedDuration;

use commands::{Seen, Why};
use kernel::key::KeyBuf;
use kernel::{
    Actor, AgentId, Leave, Part, PermissionId, RunId, Timestamp, TrustMode, TypedId as _,
};
use store::{Range, Read, ReadExt, StoreError, record};

use super::compiled::Among;
use super::model::{Approval, Became, JUDGED_CALLS, JudgedCall, Permission, What};
use super::queries::ALL_TOOLS;
use super::rules::NewPermission;
use super::weigh::{self, Facts, Reach};

/// How far it looks back, in days.
pub const DAYS: i64 = 30;
/// So many calls are looked at, those that were judged last.
pub const MOST: usize = 100_000;
/// So many permissions that are kept count beside those that are tried.
const KEPT: usize = 1_000;
/// So many runs are named.
const NAMED: usize = 5;

/// What permissions would have done with the calls of the last 30 days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How many calls there were, each once, however often it was judged.
    pub calls: usize,
    /// How many of them people were asked for.
    pub asked: usize,
    /// How many of them it speaks of: they would have been let through, refused or asked for.
    pub met: usize,
    /// How many of these a person said no to.
    pub denied: usize,
    /// The last runs that made such calls, each once.
    pub runs: Vec<RunId>,
    /// Whether there were more calls, further back, which are not counted.
    pub more: bool,
}

/// What permissions would have done with the calls of a tool, of one agent or of all. `all` has one for each offer: the
/// permissions that are made together. Blocking.
pub fn of(
    tx: &dyn Read,
    (agent, tool): (Option<AgentId>, &str),
    all: &[Vec<NewPermission>],
    now: Timestamp,
) -> Result<Vec<Replay>, StoreError> {
    of_last(tx, (agent, tool), all, (now, MOST))
}

/// The moment before which calls are not looked at any more.
pub fn looks_back_to(tx: &dyn Read, now: Timestamp) -> Result<Timestamp, StoreError> {
    last(tx, (now, MOST))
}

fn since(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MIN)
}

/// The calls of the last 30 days, the newest first.
fn lately(now: Timestamp) -> Range {
    Range::between(KeyBuf::of(&since(now)), KeyBuf::of(&Timestamp::MAX)).reverse()
}

fn last(tx: &dyn Read, (now, most): (Timestamp, usize)) -> Result<Timestamp, StoreError> {
    let (mut count, mut first) = (0_usize, None);
    tx.raw_scan(JUDGED_CALLS.number, &lately(now), &mut |key, _| {
        if count == most {
            return ControlFlow::Break(());
        }
        count += 1;
        first = store::read::split_key::<Timestamp>(key).map(|(at, _)| at);
        ControlFlow::Continue(())
    })?;
    Ok(first.filter(|_| count == most).unwrap_or_else(|| since(now)))
}

fn of_last(
    tx: &dyn Read,
    (agent, tool): (Option<AgentId>, &str),
    all: &[Vec<NewPermission>],
    (now, most): (Timestamp, usize),
) -> Result<Vec<Replay>, StoreError> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let of_tool = (tool != ALL_TOOLS).then(|| {
        let mut name = KeyBuf::new();
        name.text(tool);
        name
    });
    let kept = Among::new(tx.list(&Range::all().limit(KEPT))?);
    let mut trials: Vec<Trial> = all.iter().map(|new| Trial::of(new, now)).collect();
    let (mut looked, mut known, mut broken) = (0_usize, HashSet::new(), None);
    tx.raw_scan(JUDGED_CALLS.number, &lately(now), &mut |key, row| {
        if looked == most {
            trials.iter_mut().for_each(|trial| trial.replay.more = true);
            return ControlFlow::Break(());
        }
        looked += 1;
        if of_tool.as_ref().is_some_and(|name| !JudgedCall::is_of(key, name)) {
            return ControlFlow::Continue(());
        }
        match record::read::<JudgedCall>(row) {
            Ok((mut call, _)) => {
                let id = (call.run, std::mem::take(&mut call.call.call_id));
                if agent.is_none_or(|agent| agent == call.agent) && known.insert(id) {
                    let line = call.call.commands.take().map(Ok);
                    trials.iter_mut().for_each(|trial| trial.take(&call, line.as_ref(), &kept));
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok(trials.into_iter().map(|trial| trial.replay).collect()),
    }
}

/// Permissions that are made together and tried, and what they have done so far.
struct Trial {
    new: Vec<Permission>,
    now: Timestamp,
    replay: Replay,
}

impl Trial {
    fn of(new: &[NewPermission], now: Timestamp) -> Self {
        let permission = |new: &NewPermission| Permission {
            id: PermissionId::from_bytes([0; 16]),
            agent: new.agent,
            run: None,
            tool: new.tool.clone(),
            what: new.what.clone(),
            leave: new.leave,
            note: String::new(),
            by: Actor::System(Part::Setup),
            created_at: now,
            expires_at: new.expires_at,
        };
        Self { new: new.iter().map(permission).collect(), now, replay: Replay::default() }
    }

    /// Tries them on a call, beside those that are kept.
    fn take(&mut self, call: &JudgedCall, line: Option<&Result<Vec<Seen>, Why>>, kept: &Among) {
        let met = self.is_met(call, line, kept);
        let replay = &mut self.replay;
        replay.calls += 1;
        replay.asked += usize::from(matches!(call.call.became, Became::Asked | Became::Denied));
        if met {
            replay.met += 1;
            replay.denied += usize::from(call.call.became == Became::Denied);
            if replay.runs.len() < NAMED && !replay.runs.contains(&call.run) {
                replay.runs.push(call.run);
            }
        }
    }

    fn is_met(
        &self,
        call: &JudgedCall,
        line: Option<&Result<Vec<Seen>, Why>>,
        kept: &Among,
    ) -> bool {
        let JudgedCall { agent, call, .. } = call;
        // By itself no call passes here: what does has been let through by a permission.
        let facts = Facts::of(&call.tool, call.effect, Reach::Elsewhere, self.now);
        let facts = Facts { digest: call.digest, line, request: call.request.as_ref(), ..facts };
        let counts = |rule: &&Permission| {
            rule.run.is_none()
                && rule.agent.is_none_or(|of| of == *agent)
                && (rule.tool == call.tool || rule.tool == ALL_TOOLS)
                && rule.counts_at(self.now)
        };
        let new: Vec<&Permission> = self.new.iter().filter(counts).collect();
        let Some(leave) = new.iter().find(|rule| weigh::touches(&rule.what, &facts)) else {
            return false;
        };
        let leave = leave.leave;
        let kept = kept.speaking(&facts).into_iter();
        let rules: Vec<&Permission> = kept.filter(counts).chain(new).collect();
        weigh::one(TrustMode::Ask, &rules, &facts).leave == leave
    }
}

/// The permissions that an approval offers for always, each with the words of the offer.
#[must_use]
pub fn offered(approval: &Approval) -> Vec<(String, Vec<NewPermission>)> {
    let permission = |what: &What| NewPermission {
        agent: Some(approval.agent),
        run: None,
        tool: approval.tool.clone(),
        what: what.clone(),
        leave: Leave::Allow,
        note: String::new(),
        expires_at: None,
    };
    let offers = approval.offers.iter();
    offers
        .map(|offer| (offer.label.clone(), offer.whats.iter().map(permission).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use crypto::redact::Redactor;
    use kernel::Cause;
    use kernel::id::SeededIds;
    use kernel::time::{ManualClock, from_ms};
    use store::{NoFaults, Options, Record as _, Store, WriteTx, schema};
    use tool::Effect;

    use super::*;
    use crate::trust::line;
    use crate::trust::model::CallRecord;
    use crate::trust::rules;

    /// A store with calls that were judged.
    struct Stage {
        store: Store,
        _folder: tempfile::TempDir,
    }

    fn now() -> Timestamp {
        from_ms(1_700_000_000_000)
    }

    fn days_ago(days: i64) -> Timestamp {
        now() - SignedDuration::from_hours(24 * days)
    }

    fn run(n: u8) -> RunId {
        RunId::from_bytes([n; 16])
    }

    fn agent(n: u8) -> AgentId {
        AgentId::from_bytes([n; 16])
    }

    fn seen(line: &str) -> Result<Vec<Seen>, Why> {
        line::looked_at(line.to_owned(), Path::new("/none"), "").0.seen
    }

    fn judged(call_id: &str, command: &str, became: Became) -> CallRecord {
        let line = seen(command);
        let facts = Facts::of("exec", Effect::Exec, Reach::Inside, now());
        let facts = Facts { line: Some(&line), ..facts };
        let call = CallRecord::of(call_id, &facts, Leave::Allow, &Redactor::new());
        CallRecord { became, ..call }
    }

    fn rule(what: What, leave: Leave) -> NewPermission {
        let (tool, note) = ("exec".to_owned(), String::new());
        NewPermission { agent: None, run: None, tool, what, leave, note, expires_at: None }
    }

    /// A rule for exactly this command.
    fn only(command: &str, leave: Leave) -> Vec<NewPermission> {
        let scopes = commands::scopes(&seen(command).expect("it reduces"));
        let exact = scopes.into_iter().next().expect("it may be kept");
        exact.patterns.into_iter().map(|one| rule(What::Command(one), leave)).collect()
    }

    impl Stage {
        fn set() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(Options {
                path: folder.path().join("hq.redb"),
                schema: schema! { Permission, JudgedCall },
                cache: 4 << 20,
                clock: Arc::new(ManualClock::at(now())),
                ids: Arc::new(SeededIds::new(1)),
                reactor: None,
                faults: Arc::new(NoFaults),
            });
            Self { store: store.expect("it opens"), _folder: folder }
        }

        fn write<T: Send + 'static>(
            &self,
            body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
        ) -> T {
            let by = Actor::System(Part::Engine);
            self.store.write_blocking(by, Cause::Timer, body).expect("it is written")
        }

        fn judge(&self, of: (u8, u8), at: Timestamp, call: CallRecord) {
            let of = (run(of.0), agent(of.1));
            self.write(move |tx| rules::note_judged(tx, of, at, vec![call]));
        }

        fn told(&self, which: (Option<AgentId>, &str), new: Vec<NewPermission>) -> Replay {
            self.told_of(which, new, MOST)
        }

        fn told_of(
            &self,
            which: (Option<AgentId>, &str),
            new: Vec<NewPermission>,
            most: usize,
        ) -> Replay {
            let told = self.store.read(|snap| of_last(snap, which, &[new], (now(), most)));
            told.expect("a read").pop().expect("one")
        }
    }

    #[test]
    fn calls_count_that_were_let_through_asked_for_and_refused() {
        let stage = Stage::set();
        for (n, became) in
            (1..).zip([Became::Passed, Became::Asked, Became::Refused, Became::Denied])
        {
            let at = days_ago(5 - i64::from(n));
            stage.judge((n, 1), at, judged("call", "echo a", became));
            stage.judge((n, 2), at, judged("other", "echo b", became));
        }
        let other =
            CallRecord { tool: "execute".to_owned(), ..judged("c", "echo a", Became::Passed) };
        stage.judge((9, 1), now(), other);
        let told = stage.told((None, "exec"), only("echo a", Leave::Allow));
        let runs = [4, 3, 2, 1].map(run).to_vec();
        let wanted = Replay { calls: 8, asked: 4, met: 4, denied: 1, runs, more: false };
        assert_eq!(told, wanted);
        let of_one = stage.told((Some(agent(2)), "exec"), only("echo a", Leave::Deny));
        assert_eq!((of_one.calls, of_one.asked, of_one.met), (4, 2, 0));
        let of_all = stage.told((None, ALL_TOOLS), only("echo b; echo a", Leave::Deny));
        assert_eq!((of_all.calls, of_all.met, of_all.denied), (9, 8, 2));

        // Each part of a line needs a yes, and what is refused is refused.
        stage.judge((5, 1), now(), judged("both", "echo a; echo b", Became::Passed));
        assert_eq!(stage.told((None, "exec"), only("echo a", Leave::Allow)).met, 4);
        assert_eq!(stage.told((None, "exec"), only("echo a; echo b", Leave::Allow)).met, 9);
        let deny = Permission {
            agent: None,
            leave: Leave::Deny,
            what: only("echo b", Leave::Deny).remove(0).what,
            ..Permission::sample()
        };
        stage.write(move |tx| tx.put(&deny));
        assert_eq!(stage.told((None, "exec"), only("echo a; echo b", Leave::Allow)).met, 4);
    }

    #[test]
    fn a_call_that_was_judged_twice_counts_once_as_it_was_judged_last() {
        let stage = Stage::set();
        stage.judge((1, 1), days_ago(2), judged("call", "echo a", Became::Asked));
        stage.judge((1, 1), days_ago(1), judged("call", "echo b", Became::Passed));
        let told = stage.told((None, "exec"), only("echo a", Leave::Allow));
        assert_eq!((told.calls, told.asked, told.met), (1, 0, 0));
        assert_eq!(stage.told((None, "exec"), only("echo b", Leave::Allow)).met, 1);
    }

    #[test]
    fn only_the_newest_calls_of_thirty_days_are_looked_at_and_the_others_go() {
        let stage = Stage::set();
        for (days, id) in [(31, "gone"), (29, "a"), (3, "b"), (2, "c"), (1, "d")] {
            stage.judge((1, 1), days_ago(days), judged(id, "echo a", Became::Passed));
        }
        let all = || vec![rule(What::All, Leave::Allow)];
        let told = stage.told((None, "exec"), all());
        assert_eq!((told.calls, told.met, told.more), (4, 4, false));
        let told = stage.told_of((None, "exec"), all(), 3);
        assert_eq!((told.calls, told.met, told.more), (3, 3, true));
        let to = |most| stage.store.read(|snap| last(snap, (now(), most))).expect("a read");
        assert_eq!((to(3), to(4), to(5)), (days_ago(3), days_ago(29), days_ago(30)));

        let forget = |before, limit| stage.write(move |tx| rules::forget_judged(tx, before, limit));
        assert_eq!((forget(to(3), 1), forget(to(3), 1)), (false, false));
        assert!(forget(to(3), 1), "nothing is left");
        let told = stage.told((None, "exec"), all());
        assert_eq!((told.calls, told.more), (3, false));
    }
}
