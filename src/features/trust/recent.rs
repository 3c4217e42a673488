//! Recent calls that a permission would have decided, shown before a person saves it. Each call is matched as it was
//! recorded on its own host.

use std::collections::HashSet;
use std::ops::ControlFlow;

use jiff::SignedDuration;

use commands::{Seen, Why};
use kernel::key::KeyBuf;
use kernel::{
    AccessDecision, Actor, AgentId, Part, PermissionId, RunId, Timestamp, TrustMode, TypedId as _,
};
use store::{Range, Read, ReadExt, StoreError, record};

use super::authorize::{self, Facts, Reach};
use super::compiled::Among;
use super::model::{Approval, Became, JUDGED_CALLS, JudgedCall, Permission, What};
use super::queries::ALL_TOOLS;
use super::rules::NewPermission;

/// Retention of recorded calls in days.
pub const DAYS: i64 = 7;
/// Maximum number of calls read, newest first.
const READ: usize = 2_000;
/// Maximum number of calls shown.
pub const SHOWN: usize = 20;
/// Maximum number of existing permissions considered.
const KEPT: usize = 1_000;

/// A call that the permission would have decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentCall {
    pub at: Timestamp,
    pub run: RunId,
    pub became: Became,
}

/// The newest calls of a tool that new permissions would have decided, at most [`SHOWN`] per offer. Each entry of
/// `offers` holds the permissions created together. For one agent, or for all if `None`. Blocking.
pub fn matching(
    tx: &dyn Read,
    (agent, tool): (Option<AgentId>, &str),
    offers: &[Vec<NewPermission>],
    now: Timestamp,
) -> Result<Vec<Vec<RecentCall>>, StoreError> {
    let kept = Among::new(tx.list(&Range::all().limit(KEPT))?);
    let mut trials: Vec<Trial> = offers.iter().map(|new| Trial::new(new, now)).collect();
    let of_tool = (tool != ALL_TOOLS).then(|| {
        let mut name = KeyBuf::new();
        name.text(tool);
        name
    });
    let (mut count, mut seen, mut broken) = (0_usize, HashSet::new(), None);
    let days = Range::between(KeyBuf::of(&kept_since(now)), KeyBuf::of(&Timestamp::MAX)).reverse();
    tx.raw_scan(JUDGED_CALLS.number, &days, &mut |key, row| {
        if count == READ || trials.iter().all(Trial::is_full) {
            return ControlFlow::Break(());
        }
        count += 1;
        if of_tool.as_ref().is_some_and(|name| !JudgedCall::is_of(key, name)) {
            return ControlFlow::Continue(());
        }
        match record::read::<JudgedCall>(row) {
            Ok((mut call, _)) => {
                // A call recorded twice counts as recorded last.
                let is_new = seen.insert((call.run, call.call.call_id.clone()));
                let at = store::read::split_key::<Timestamp>(key).map_or(now, |(at, _)| at);
                if is_new && agent.is_none_or(|agent| agent == call.agent) {
                    let line = call.call.commands.take().map(Ok);
                    let judged = (&call, line.as_ref());
                    trials.iter_mut().for_each(|trial| trial.take(judged, at, &kept));
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
        None => Ok(trials.into_iter().map(|trial| trial.calls).collect()),
    }
}

/// Calls recorded before this time are deleted.
#[must_use]
pub fn kept_since(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MIN)
}

/// A recorded call and the commands taken out of it.
type JudgedLine<'c> = (&'c JudgedCall, Option<&'c Result<Vec<Seen>, Why>>);

/// Permissions created together, and the calls that they would have decided.
struct Trial {
    new: Vec<Permission>,
    now: Timestamp,
    calls: Vec<RecentCall>,
}

impl Trial {
    fn new(new: &[NewPermission], now: Timestamp) -> Self {
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
        Self { new: new.iter().map(permission).collect(), now, calls: Vec::new() }
    }

    fn is_full(&self) -> bool {
        SHOWN <= self.calls.len()
    }

    fn take(&mut self, (call, line): JudgedLine<'_>, at: Timestamp, kept: &Among) {
        if !self.is_full() && self.decides((call, line), kept) {
            self.calls.push(RecentCall { at, run: call.run, became: call.call.became });
        }
    }

    fn decides(&self, (call, line): JudgedLine<'_>, kept: &Among) -> bool {
        let JudgedCall { agent, call, .. } = call;
        // In mode Ask with this reach nothing passes by itself, so a passing call was allowed by a permission.
        let facts = Facts::of(&call.tool, call.effect, Reach::Elsewhere, self.now);
        let request = call.request.as_ref();
        let facts = Facts { digest: call.digest, line, request, ..facts };
        let counts = |rule: &&Permission| {
            rule.run.is_none()
                && rule.agent.is_none_or(|of| of == *agent)
                && (rule.tool == call.tool || rule.tool == ALL_TOOLS)
                && rule.counts_at(self.now)
        };
        let new: Vec<&Permission> = self.new.iter().filter(counts).collect();
        let Some(decisive) = new.iter().find(|rule| authorize::touches(&rule.what, &facts)) else {
            return false;
        };
        let access = decisive.leave;
        let kept = kept.speaking(&facts).into_iter();
        let rules: Vec<&Permission> = kept.filter(counts).chain(new).collect();
        authorize::one(TrustMode::Ask, &rules, &facts).decision == access
    }
}

/// The permanent permissions that an approval offers, each with its label.
#[must_use]
pub fn offered(approval: &Approval) -> Vec<(String, Vec<NewPermission>)> {
    let permission = |what: &What| NewPermission {
        agent: Some(approval.agent),
        run: None,
        tool: approval.tool.clone(),
        what: what.clone(),
        leave: AccessDecision::Allow,
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

    /// A store with recorded calls.
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
        let call = CallRecord::of(call_id, &facts, AccessDecision::Allow, &Redactor::new());
        CallRecord { became, ..call }
    }

    fn rule(what: What, access: AccessDecision) -> NewPermission {
        let (tool, note) = ("exec".to_owned(), String::new());
        NewPermission { agent: None, run: None, tool, what, leave: access, note, expires_at: None }
    }

    /// A permission for exactly this command.
    fn only(command: &str, access: AccessDecision) -> Vec<NewPermission> {
        let scopes = commands::scopes(&seen(command).expect("it reduces"));
        let exact = scopes.into_iter().next().expect("it may be kept");
        exact.patterns.into_iter().map(|one| rule(What::Command(one), access)).collect()
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

        fn list_matching(
            &self,
            which: (Option<AgentId>, &str),
            new: Vec<NewPermission>,
        ) -> Vec<(RunId, Became)> {
            let calls = self.store.read(|snap| matching(snap, which, &[new], now()));
            let calls = calls.expect("a read").pop().expect("one");
            calls.into_iter().map(|call| (call.run, call.became)).collect()
        }
    }

    #[test]
    fn calls_count_that_were_let_through_asked_for_and_refused() {
        let stage = Stage::set();
        let all = [Became::Passed, Became::Asked, Became::Refused, Became::Denied];
        for (n, became) in (1..).zip(all) {
            let at = days_ago(5 - i64::from(n));
            stage.judge((n, 1), at, judged("call", "echo a", became));
            stage.judge((n, 2), at, judged("other", "echo b", became));
        }
        let newest: Vec<_> =
            (1..).map(run).zip(all).collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(
            stage.list_matching((None, "exec"), only("echo a", AccessDecision::Allow)),
            newest
        );
        assert!(
            stage
                .list_matching((Some(agent(2)), "exec"), only("echo a", AccessDecision::Deny))
                .is_empty()
        );
        assert!(
            stage
                .list_matching((None, "execute"), only("echo a", AccessDecision::Allow))
                .is_empty()
        );
        assert_eq!(
            stage
                .list_matching((None, ALL_TOOLS), only("echo b; echo a", AccessDecision::Deny))
                .len(),
            8
        );

        // Each part of a line needs a permission, and a denial applies to the whole line.
        stage.judge((5, 1), now(), judged("both", "echo a; echo b", Became::Passed));
        assert_eq!(
            stage.list_matching((None, "exec"), only("echo a", AccessDecision::Allow)).len(),
            4
        );
        assert_eq!(
            stage
                .list_matching((None, "exec"), only("echo a; echo b", AccessDecision::Allow))
                .len(),
            9
        );
        let deny = Permission {
            agent: None,
            leave: AccessDecision::Deny,
            what: only("echo b", AccessDecision::Deny).remove(0).what,
            ..Permission::sample()
        };
        stage.write(move |tx| tx.put(&deny));
        assert_eq!(
            stage
                .list_matching((None, "exec"), only("echo a; echo b", AccessDecision::Allow))
                .len(),
            4
        );
    }

    #[test]
    fn a_call_that_was_judged_twice_counts_once_as_it_was_judged_last() {
        let stage = Stage::set();
        stage.judge((1, 1), days_ago(2), judged("call", "echo a", Became::Asked));
        stage.judge((1, 1), days_ago(1), judged("call", "echo b", Became::Passed));
        assert!(
            stage.list_matching((None, "exec"), only("echo a", AccessDecision::Allow)).is_empty()
        );
        assert_eq!(
            stage.list_matching((None, "exec"), only("echo b", AccessDecision::Allow)).len(),
            1
        );
    }

    #[test]
    fn the_newest_calls_of_a_week_are_shown_and_older_ones_are_forgotten() {
        let stage = Stage::set();
        let all = || vec![rule(What::All, AccessDecision::Allow)];
        stage.judge((2, 1), days_ago(8), judged("old", "echo a", Became::Passed));
        assert!(stage.list_matching((None, "exec"), all()).is_empty());
        for n in 0..=SHOWN {
            stage.judge((1, 1), days_ago(1), judged(&n.to_string(), "echo a", Became::Passed));
        }
        assert_eq!(stage.list_matching((None, "exec"), all()).len(), SHOWN);
        let forget =
            |limit| stage.write(move |tx| rules::forget_judged(tx, kept_since(now()), limit));
        assert!(!forget(1), "one was found");
        assert!(forget(1), "nothing is left");
    }
}
