//! Access check for every tool call, between argument validation and journal entry. A call is allowed, denied, or waits
//! for an approval. A waiting call gives its run's slot back and is checked again after the answer. An approval covers
//! exactly the plan that was shown, byte for byte.

mod calls;
mod terms;

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::Value;

use features::agents::queries::reach;
use features::trust::authorize::{self, Facts, IDENTITY, OutgoingRequest, Reach, Verdict};
use features::trust::line::{self, Line};
use features::trust::loads;
use features::trust::model::{Approval, BROWSER, CallRecord, Plan, Witness};
use features::trust::queries as trust;
use features::trust::rules::NewApproval;
use features::workspace::model::Member;
use kernel::text::ellipsis;
use kernel::{AccessDecision, ApprovalAnswer, ApprovalId, Risk, RunTrigger, Timestamp, TrustMode};
use store::ReadExt;
use tool::registry::Entry;
use tool::{AnyTool, Effect, Lease, Slot, ToolCx, ToolError, diff};

use super::calls::PROGRAM;
use super::command::ends::ApprovalsAsked;
use super::command::orders::ApprovalClosed;
use super::egress::{self, Sender, Sent};
use super::journal::blocking;
use super::model_call::review;
use super::port::Port;
use super::toolbox::Call;
use super::tools::browser::{AtSite, keep_asked};
use super::tools::folder;
use super::turn::Turn;
use super::{EngineError, child};
use terms::{differs, digest_of, is_telling, judged, offers_of, offers_of_call, risk_of, shown};

/// How long an API client's run waits for an approval.
const WHOEVER_WAITS: SignedDuration = SignedDuration::from_mins(30);
/// Most later calls of the same message that are submitted for approval together with the first.
const MOST_AT_ONCE: usize = 49;
/// Most bytes of a call that are shown for approval.
const MAX_SHOWN: usize = 32 * 1024;

/// Result of the access check.
pub(super) enum Passed {
    Go {
        lease: Lease,
        /// The call was allowed by a person or a permission for the exact content of its files.
        is_bound: bool,
    },
    /// Denied; the model reads the error.
    Refused(ToolError),
    /// An approval is pending; the run waits.
    Waits,
}

/// What an `ActTool` call holds while it runs: its concurrency slot and, for a program, the state of the folder before
/// it.
#[derive(Default)]
pub(super) struct Held {
    pub slot: Slot,
    pub before: Option<folder::Marks>,
}

/// A change of the agent's identity files: the diff shown to people, and the present files.
struct Rewritten {
    shown: String,
    files: Vec<Witness>,
}

/// A call with the facts and the verdict of its access check.
struct Weighed {
    verdict: Verdict,
    plan: Plan,
    digest: [u8; 32],
    line: Option<Line>,
    /// The command line is the whole call: no variables, secrets or detached program.
    bare: bool,
    request: Option<OutgoingRequest>,
    /// The action on a site in the agent's browser.
    act: Option<AtSite>,
    answered: Option<Approval>,
    /// The stored record of the decision.
    judged: CallRecord,
    /// The model reviewer may approve this call.
    may_review: bool,
}

impl Weighed {
    fn go(self) -> Passed {
        let is_chosen = self.verdict.rule.is_some() || self.answered.is_some();
        let is_bound = is_chosen && !self.plan.files.is_empty();
        Passed::Go { lease: Lease::granted(self.plan.arguments), is_bound }
    }
}

/// The lease for a call that the run's host has already checked. The caller checks whether the agent may use the tool
/// at all.
pub(super) fn weighed_there(arguments: String) -> Lease {
    Lease::granted(arguments)
}

impl Turn {
    /// Checks a call together with the later calls of its message. A program is checked again right before it starts if
    /// it waited for its slot or was allowed for exact file contents, because files may have changed meanwhile.
    pub(super) async fn pass(
        &mut self,
        (call, later): (&Call, &[Call]),
        entry: &Entry,
        cx: &ToolCx,
    ) -> Result<(Passed, Held), EngineError> {
        let passed = self.gate(call, later, entry).await?;
        let (Passed::Go { is_bound, .. }, AnyTool::Act(tool)) = (&passed, &entry.tool) else {
            return Ok((passed, Held::default()));
        };
        let slot = match tool.slot(cx).await {
            Ok(slot) => slot,
            Err(refused) => return Ok((Passed::Refused(refused), Held::default())),
        };
        let before = self.marks(entry.spec.name == PROGRAM).await?;
        let passed = match *is_bound || slot.waited {
            true => self.gate(call, later, entry).await?,
            false => passed,
        };
        Ok((passed, Held { slot, before }))
    }

    async fn gate(
        &mut self,
        call: &Call,
        later: &[Call],
        entry: &Entry,
    ) -> Result<Passed, EngineError> {
        loop {
            if let Some(passed) = self.judge(call, later, entry).await? {
                return Ok(passed);
            }
        }
    }

    /// Decides a call. Returns `None` if the call must be checked again because an answer arrived meanwhile.
    async fn judge(
        &mut self,
        call: &Call,
        later: &[Call],
        entry: &Entry,
    ) -> Result<Option<Passed>, EngineError> {
        self.ends.approved = None;
        self.talk.journal.unjudge();
        let arguments = match entry.canonical(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(Some(Passed::Refused(error))),
        };
        let rewritten = match self.rewritten(entry, &arguments).await {
            Ok(rewritten) => rewritten,
            Err(error) => return Ok(Some(Passed::Refused(error))),
        };
        let weighed = self.authorize(call, entry, arguments, rewritten).await?;
        let now = self.talk.journal.ws.app.clock.now();
        let mut changed = None;
        if let Some(approval) = &weighed.answered {
            let over = approval.until.is_some_and(|until| until <= now);
            let is_same_tool = approval.is_of(&entry.definition);
            let is_same = is_same_tool && approval.digest == weighed.digest;
            match approval.answer.as_ref().map(|answer| (answer.answer, answer)) {
                Some((ApprovalAnswer::Denied, answer)) => {
                    let error = self.denied(answer.by, &answer.note)?;
                    return Ok(Some(Passed::Refused(error)));
                }
                Some((ApprovalAnswer::Expired, _)) => {
                    return Ok(Some(Passed::Refused(unanswered())));
                }
                None if over => {
                    self.close(approval.id, ApprovalAnswer::Expired).await?;
                    return Ok(Some(Passed::Refused(unanswered())));
                }
                _ if weighed.verdict.decision == AccessDecision::Deny => {}
                Some(_) if approval.is_allowed() && is_same => {
                    self.ends.approved = Some(approval.id);
                    return Ok(Some(weighed.go()));
                }
                Some(_) if approval.is_allowed() => {
                    changed = Some(match is_same_tool {
                        true => differs(&approval.plan, &weighed.plan),
                        false if entry.is_layered() => {
                            format!("The tool {} has changed since the approval", call.name)
                        }
                        false => format!("HQ changed after the approval: {} differs", call.name),
                    });
                    self.close(approval.id, ApprovalAnswer::Changed).await?;
                }
                // A permission granted with another approval covers this call as well.
                None if weighed.verdict.decision == AccessDecision::Allow => {
                    self.close(approval.id, ApprovalAnswer::Withdrawn).await?;
                    return Ok(None);
                }
                // The wait was interrupted by a message or a restart; keep waiting.
                None if is_same => {
                    let (line, until) = (approval.plan.line(&approval.tool), approval.until);
                    let waits = self.wait_for_yes(call, (line, until), Vec::new()).await?;
                    return Ok(waits.then_some(Passed::Waits));
                }
                None => self.close(approval.id, ApprovalAnswer::Changed).await?,
                Some(_) => {}
            }
        }
        self.talk.journal.decided.clone_from(&weighed.verdict.took);
        if weighed.verdict.decision != AccessDecision::Ask {
            self.talk.journal.judged.push(weighed.judged.clone());
        }
        match weighed.verdict.decision {
            AccessDecision::Allow => Ok(Some(weighed.go())),
            AccessDecision::Deny => {
                Ok(Some(Passed::Refused(ToolError::refused("denied", weighed.verdict.why))))
            }
            AccessDecision::Ask => {
                if let Some(act) = &weighed.act {
                    let of =
                        (self.setting.agent.id, self.talk.journal.run, self.talk.journal.steps + 1);
                    keep_asked(&self.talk.journal.ws, of, &call.id, act).await;
                }
                let may_review = weighed.may_review && changed.is_none();
                let mut new = vec![self.approval((call, entry), weighed, changed, now)];
                if may_review {
                    if self.review(&new[0]).await? {
                        return Ok(None);
                    }
                    if self.setting.cancel.is_cancelled() {
                        let error = ToolError::refused("stopped", "the run was stopped first");
                        return Ok(Some(Passed::Refused(error)));
                    }
                } else {
                    new.extend(self.alike(call, later, entry, now).await?);
                }
                let (line, until) = (new[0].plan.line(&new[0].tool), new[0].until);
                let waits = self.wait_for_yes(call, (line, until), new).await?;
                Ok(waits.then_some(Passed::Waits))
            }
        }
    }

    /// Later calls of the same tool in the same message that also need an approval; they are submitted together. Their
    /// plans reflect the present state. If an earlier call changes it, they need a new approval.
    async fn alike(
        &mut self,
        call: &Call,
        later: &[Call],
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Vec<NewApproval>, EngineError> {
        let mut alike = Vec::new();
        // The state of the page after the earlier calls is unknown.
        if entry.spec.name == BROWSER {
            return Ok(alike);
        }
        for other in later.iter().filter(|other| other.name == call.name).take(MOST_AT_ONCE) {
            let Ok(arguments) = entry.canonical(&other.arguments) else { continue };
            // Changes of identity files are approved one at a time.
            let Ok(None) = self.rewritten(entry, &arguments).await else { continue };
            let weighed = self.authorize(other, entry, arguments, None).await?;
            if weighed.verdict.decision == AccessDecision::Ask && weighed.answered.is_none() {
                self.talk.journal.decided.extend_from_slice(&weighed.verdict.took);
                alike.push(self.approval((other, entry), weighed, None, now));
            }
        }
        Ok(alike)
    }

    /// Withdraws the pending approvals of calls that will not be made.
    pub(super) async fn withdraw(&self, calls: &[Call]) -> Result<(), EngineError> {
        let run = self.talk.journal.run;
        let waiting = self.talk.journal.ws.read(|snap| trust::all_waiting_of(snap, run))?;
        for one in waiting {
            if calls.iter().any(|call| call.id == one.call_id) {
                self.close(one.id, ApprovalAnswer::Withdrawn).await?;
            }
        }
        Ok(())
    }

    /// Leases for several read-only calls. Returns `None` if one of them is not allowed outright.
    pub(super) async fn leases(
        &mut self,
        calls: &[Call],
    ) -> Result<Option<Vec<Lease>>, EngineError> {
        let mut leases = Vec::with_capacity(calls.len());
        let (mut decided, mut judged) = (Vec::new(), Vec::with_capacity(calls.len()));
        for call in calls {
            let Some(entry) = self.setting.tools.get(&call.name) else { return Ok(None) };
            let Ok(arguments) = entry.canonical(&call.arguments) else { return Ok(None) };
            let weighed = self.authorize(call, entry, arguments, None).await?;
            if weighed.verdict.decision != AccessDecision::Allow || weighed.answered.is_some() {
                return Ok(None);
            }
            decided.extend(weighed.verdict.took);
            judged.push(weighed.judged);
            leases.push(Lease::granted(weighed.plan.arguments));
        }
        (self.talk.journal.decided, self.talk.journal.judged) = (decided, judged);
        Ok(Some(leases))
    }

    /// Whether a call of a connected tool may still be made after a wait: it is allowed, or its approval covers it.
    pub(super) async fn is_still_allowed(
        &self,
        call: &Call,
        entry: &Entry,
        arguments: String,
    ) -> Result<bool, EngineError> {
        let weighed = self.authorize(call, entry, arguments, None).await?;
        let covers = |approval: &Approval| {
            let is_same_tool = approval.is_of(&entry.definition);
            approval.is_allowed() && is_same_tool && approval.digest == weighed.digest
        };
        Ok(match weighed.verdict.decision {
            AccessDecision::Allow => true,
            AccessDecision::Ask => weighed.answered.as_ref().is_some_and(covers),
            AccessDecision::Deny => false,
        })
    }

    /// Returns `true` if the approval request of this call has an answer.
    pub(super) fn is_answered(&self, call: &Call) -> Result<bool, EngineError> {
        let run = self.talk.journal.run;
        let approval = self.talk.journal.ws.read(|snap| trust::of_call(snap, run, &call.id))?;
        Ok(approval.is_some_and(|one| one.answer.is_some()))
    }

    /// The change that a call makes to the agent's identity files. `None` if it does not touch them.
    async fn rewritten(
        &self,
        entry: &Entry,
        arguments: &str,
    ) -> Result<Option<Rewritten>, ToolError> {
        let AnyTool::File(tool) = &entry.tool else { return Ok(None) };
        if !IDENTITY.iter().any(|name| arguments.contains(name)) {
            return Ok(None);
        }
        let cx = self.cx(self.talk.journal.steps + 1);
        // Planning changes nothing.
        let plan = tool.plan(&cx, Lease::granted(arguments.to_owned())).await?;
        let plan = child::keeps_to(self.setting.child.as_ref(), plan)?;
        let is_identity = |path: &str| IDENTITY.contains(&path);
        if !plan.changes.iter().any(|change| is_identity(&change.path)) {
            return Ok(None);
        }
        folder::blocking(move || {
            let files = folder::open(&cx.folder)?;
            let mut rewritten = Rewritten { shown: String::new(), files: Vec::new() };
            for change in plan.changes {
                let now = folder::current(&files, &change.path)?;
                let old = now.as_ref().map(|now| String::from_utf8_lossy(&now.bytes));
                let new = change.content.as_deref().map(String::from_utf8_lossy);
                let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
                rewritten.shown.push_str(&diff::whole(&change.path, &old, &new));
                if is_identity(&change.path) {
                    let hash = now.map(|now| now.hash).unwrap_or_default();
                    rewritten.files.push(Witness { path: change.path, hash });
                }
            }
            Ok(Some(rewritten))
        })
        .await
    }

    async fn authorize(
        &self,
        call: &Call,
        entry: &Entry,
        arguments: String,
        rewritten: Option<Rewritten>,
    ) -> Result<Weighed, EngineError> {
        let (agent, run) = (self.setting.agent.id, self.talk.journal.run);
        let ws = &self.talk.journal.ws;
        let session = self.setting.session;
        let (agents, programs, answered, read) = ws.read(|snap| {
            let agents = reach::agents_of(snap, agent, run)?;
            let programs = authorize::programs(snap, &agents)?;
            let read = trust::heeded(snap, &agents, session)?;
            Ok::<_, EngineError>((agents, programs, trust::of_call(snap, run, &call.id)?, read))
        })?;
        // ok: canonical arguments are an object.
        let given: Value = serde_json::from_str(&arguments).unwrap_or_default();
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = &*entry.spec.name;
        let (effect, mut reach) = self.reach_of((entry, &given), &agents, programs)?;
        let command = if effect == Effect::Exec { text("command") } else { "" };
        let folder = ws.agent_folder(&self.setting.agent.slug);
        // The arguments of a layer's tool have no meaning to HQ.
        let layered = entry.is_layered().then_some(&entry.spec);
        let request = OutgoingRequest::of(&given).filter(|_| layered.is_none());
        let variables = given.get("env").and_then(Value::as_object);
        let mut description = shown(name, command, &given);
        let (mut line, mut files) = (None, Vec::new());
        if let Some(rewritten) = rewritten {
            (reach, description, files) = (Reach::Itself, rewritten.shown, rewritten.files);
        } else if !command.is_empty() {
            let (command, below) = (command.to_owned(), text("workdir").to_owned());
            let looked = blocking(move || line::looked_at(command, &folder, &below)).await?;
            (line, files) = (Some(looked.0), looked.1);
        }
        let mut plan = Plan {
            shown: ellipsis(&description, MAX_SHOWN),
            folder: line.as_ref().map(|line| line.cwd.clone()).unwrap_or_default(),
            variables: variables.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
            files,
            arguments,
        };
        let secrets = self.secrets_of(entry, &given)?;
        let digest = digest_of(name, &plan, &secrets);
        let mut act = AtSite::inspect(ws, (agent, run), name, &plan.arguments).await;
        let sent = read.as_ref().map(|_| Sent::of(entry, &given, &plan.arguments));
        let sent = sent.unwrap_or_default().at(act.as_ref().and_then(AtSite::host));
        let leaks = match &read {
            Some(_) => egress::leaks(ws, Sender { session, run, agents: &agents }, sent).await?,
            None => None,
        };
        let bare = authorize::is_bare(&given);
        let now = ws.app.clock.now();
        let facts = Facts {
            tool: name,
            layered,
            effect,
            reach,
            digest,
            // Variables, secrets and a detached program are not part of the command line.
            line: line.as_ref().filter(|_| bare).map(|line| &line.seen),
            request: request.as_ref(),
            with_secret: self.takes_secret(entry, &given),
            outside: read.as_deref(),
            leaks: leaks.as_deref(),
            now,
        };
        let verdict = ws.read(|snap| match &act {
            Some(act) => act.verdict(snap, &agents, run, &facts),
            None => authorize::authorize(snap, &agents, Some(run), &facts),
        })?;
        let is_asked = verdict.decision == AccessDecision::Ask || answered.is_some();
        let is_at_site = AtSite::is_one(name);
        let binds = is_asked && is_at_site && act.is_some();
        let loads = is_asked && line.as_ref().is_some_and(loads::may_load);
        if loads {
            plan = with_loaded(plan, ws.agent_folder(&self.setting.agent.slug)).await?;
        }
        if let Some(act) = act.as_mut().filter(|_| binds) {
            act.bind(ws, &mut plan).await;
        }
        // A plan that binds no additional state was already checked.
        let digest = match loads || binds {
            true => digest_of(name, &plan, &secrets),
            false => digest,
        };
        if is_at_site {
            AtSite::expect(act.as_ref(), ws, agent, (run, self.talk.journal.steps + 1));
        }
        let may_review = verdict.decision == AccessDecision::Ask
            && verdict.rule.is_none()
            && review::is_one(name, line.as_ref().filter(|_| bare))
            && ws.read(|snap| trust::may_review(snap, &agents, session))?
            && ws.read(|snap| trust::asked_mode(snap, run))? != Some(TrustMode::Ask);
        let facts = Facts { digest, ..facts };
        let judged = judged(call, facts, act.as_ref(), verdict.decision, &ws.app.redactor);
        Ok(Weighed {
            verdict,
            plan,
            digest,
            line,
            bare,
            request,
            act,
            answered,
            judged,
            may_review,
        })
    }

    /// Builds the approval request of a call.
    fn approval(
        &self,
        (call, entry): (&Call, &Entry),
        weighed: Weighed,
        changed: Option<String>,
        now: Timestamp,
    ) -> NewApproval {
        let Weighed { verdict, plan, digest, line, bare, request, act, judged, .. } = weighed;
        let (risk, offers) = match (&line, &act) {
            (_, Some(act)) => act.terms(),
            (Some(line), _) if bare => (risk_of(line), offers_of(line)),
            (Some(line), _) if plan.variables.iter().any(|name| is_telling(name)) => {
                (Risk::High.max(risk_of(line)), Vec::new())
            }
            (Some(line), _) => (Risk::Medium.max(risk_of(line)), Vec::new()),
            // A change of identity files is approved each time; it offers no permission.
            (None, _) if !plan.files.is_empty() => (Risk::Medium, Vec::new()),
            (None, _) => (Risk::Medium, offers_of_call(entry, request, digest, &plan)),
        };
        NewApproval {
            run: self.talk.journal.run,
            call_id: call.id.clone(),
            agent: self.setting.agent.id,
            // Actions on a site are permitted for the browser as a whole, whichever tool requests them.
            tool: act.map_or_else(|| call.name.clone(), |_| BROWSER.to_owned()),
            plan,
            digest,
            definition: entry.definition,
            risk,
            why: changed.unwrap_or(verdict.why),
            offers,
            until: (self.setting.trigger == RunTrigger::Api).then(|| now + WHOEVER_WAITS),
            judged: Some(judged),
        }
    }

    /// Stores new approval requests and gives the slot back. Returns `false` if an older request was answered
    /// meanwhile, so that the run need not wait.
    async fn wait_for_yes(
        &mut self,
        call: &Call,
        (mut line, until): (String, Option<Timestamp>),
        new: Vec<NewApproval>,
    ) -> Result<bool, EngineError> {
        if 1 < new.len() {
            line.push_str(&format!(" and {} more", new.len() - 1));
        }
        let detail = self.talk.journal.ws.app.redactor.text(&line).into_owned();
        let (call_id, activity) = (call.id.clone(), call.name.clone());
        self.talk.journal.apply(ApprovalsAsked { call_id, activity, detail, until, new }).await
    }

    async fn close(&self, id: ApprovalId, answer: ApprovalAnswer) -> Result<(), EngineError> {
        let journal = &self.talk.journal;
        let by = (journal.actor(), journal.cause());
        Ok(journal.ws.order(by, ApprovalClosed { id, answer }).await?)
    }

    fn denied(&self, by: Option<kernel::AccountId>, note: &str) -> Result<ToolError, EngineError> {
        let member = match by {
            Some(by) => self.talk.journal.ws.read(|snap| snap.get::<Member>(by))?,
            None => None,
        };
        let who = member.map_or_else(|| "A person".to_owned(), |member| member.name);
        let text = match note {
            "" => format!("{who} denied this. Do it another way, or report what is left"),
            note => format!("{who} denied this: {note}"),
        };
        Ok(ToolError::refused("approval_denied", text))
    }
}

/// Binds a plan to the files that its program may load, too.
async fn with_loaded(mut plan: Plan, folder: PathBuf) -> Result<Plan, EngineError> {
    blocking(move || {
        loads::bind(&mut plan, &folder);
        plan
    })
    .await
}

fn unanswered() -> ToolError {
    ToolError::refused(
        "approval_expired",
        "no one answered in time; do it another way, or report what is left",
    )
}
