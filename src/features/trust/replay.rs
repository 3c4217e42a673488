//! What a permission would have done with calls that people were asked for lately: the calls that approvals have kept, to
//! the byte. Command lines are looked at as this machine would run them now.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::path::Path;

use jiff::SignedDuration;
use serde_json::Value;

use app::Ws;
use commands::Seen;
use kernel::{
    Actor, AgentId, ApprovalAnswer, Leave, Part, PermissionId, RunId, Timestamp, TrustMode,
    TypedId as _,
};
use store::{Range, ReadExt, StoreError};
use tool::Effect;

use super::compiled::Among;
use super::line::Jail;
use super::model::{Approval, Permission, What};
use super::queries::ALL_TOOLS;
use super::rules::NewPermission;
use super::weigh::{self, Asked, Facts, Reach};
use super::{sites, tools};
use crate::agents::model::Agent;

/// How far it looks back, in days.
pub const DAYS: i64 = 30;
/// So many calls that were asked for last are looked at.
const MOST: usize = 1_000;
/// So many runs are named.
const NAMED: usize = 5;

/// A call that was asked for.
struct Call {
    approval: Approval,
    line: Option<Result<Vec<Seen>, commands::Why>>,
    request: Option<Asked>,
}

/// Calls that were asked for lately.
pub struct Calls {
    calls: Vec<Call>,
    kept: Among,
    more: bool,
    now: Timestamp,
}

/// What permissions would have done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// How many calls were asked for.
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

impl Calls {
    /// Those of a tool, of one agent or of all, the newest first. Each call counts once, however often it was asked for.
    /// Blocking.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read(
        ws: &Ws,
        tx: &impl ReadExt,
        (agent, tool): (Option<AgentId>, &str),
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let since =
            now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MIN);
        let mut all: Vec<Approval> = tx.list(&Range::all().reverse().limit(MOST + 1))?;
        all.retain(|one| since <= one.asked_at);
        let more = MOST < all.len();
        all.truncate(MOST);
        let mut known = HashSet::new();
        all.retain(|one| {
            agent.is_none_or(|agent| agent == one.agent)
                && (tool == ALL_TOOLS || tool == one.tool)
                && known.insert((one.run, one.call_id.clone()))
        });
        let mut jails = HashMap::new();
        let mut calls = Vec::with_capacity(all.len());
        for approval in all {
            // ok: canonical arguments are an object.
            let given: Value = serde_json::from_str(&approval.plan.arguments).unwrap_or_default();
            let command = given.get("command").and_then(Value::as_str);
            let line = match command.filter(|_| weigh::is_bare(&given)) {
                Some(command) if !approval.plan.folder.is_empty() => {
                    let jail = match jails.entry(approval.agent) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let agent = tx.get::<Agent>(approval.agent)?;
                            let slug = agent.map(|agent| agent.slug).unwrap_or_default();
                            new.insert(Jail::at(&ws.agent_folder(&slug)))
                        }
                    };
                    let cwd = Path::new(&approval.plan.folder);
                    Some(jail.line(command.to_owned(), cwd).seen)
                }
                _ => None,
            };
            let request = Asked::of(&given).or_else(|| sites::of_offers(&approval.offers));
            calls.push(Call { request, line, approval });
        }
        let kept = Among::new(tx.list(&Range::all().limit(MOST))?);
        Ok(Self { calls, kept, more, now })
    }

    /// What these permissions, which are made together, would have done with them, beside those that are kept. The call
    /// that is asked for just now counts as well.
    #[must_use]
    pub fn replay(&self, new: &[NewPermission]) -> Replay {
        let new: Vec<Permission> = new.iter().map(|one| self.permission(one)).collect();
        let mut replay = Replay {
            asked: self.calls.len(),
            met: 0,
            denied: 0,
            runs: Vec::new(),
            more: self.more,
        };
        for call in self.calls.iter().filter(|call| self.is_met(&new, call)) {
            let approval = &call.approval;
            replay.met += 1;
            let answer = approval.answer.as_ref().map(|answer| answer.answer);
            replay.denied += usize::from(answer == Some(ApprovalAnswer::Denied));
            if replay.runs.len() < NAMED && !replay.runs.contains(&approval.run) {
                replay.runs.push(approval.run);
            }
        }
        replay
    }

    fn is_met(&self, new: &[Permission], call: &Call) -> bool {
        let Call { approval, line, request } = call;
        let spec = tools::all().iter().find(|spec| spec.name == approval.tool);
        let effect = spec.map_or(Effect::External, |spec| spec.effect);
        let facts = Facts {
            digest: approval.digest,
            line: line.as_ref(),
            request: request.as_ref(),
            // It was asked for: without a permission it would be again.
            ..Facts::of(&approval.tool, effect, Reach::Elsewhere, self.now)
        };
        let counts = |rule: &&Permission| {
            rule.run.is_none()
                && rule.agent.is_none_or(|agent| agent == approval.agent)
                && (rule.tool == approval.tool || rule.tool == ALL_TOOLS)
                && rule.counts_at(self.now)
        };
        let new: Vec<&Permission> = new.iter().filter(counts).collect();
        let Some(leave) = new.iter().find(|rule| weigh::touches(&rule.what, &facts)) else {
            return false;
        };
        let leave = leave.leave;
        let kept = self.kept.speaking(&facts).into_iter();
        let rules: Vec<&Permission> = kept.filter(counts).chain(new).collect();
        weigh::one(TrustMode::Ask, &rules, &facts).leave == leave
    }

    fn permission(&self, new: &NewPermission) -> Permission {
        Permission {
            id: PermissionId::from_bytes([0; 16]),
            agent: new.agent,
            run: None,
            tool: new.tool.clone(),
            what: new.what.clone(),
            leave: new.leave,
            note: String::new(),
            by: Actor::System(Part::Setup),
            created_at: self.now,
            expires_at: new.expires_at,
        }
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
