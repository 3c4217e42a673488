//! Decides whether a call is allowed, denied or needs approval, before it is made.
//!
//! Order: a denying permission always wins. A locked agent only reads. Then the most specific permission applies:
//! agent or run before workspace; arguments before whole tool before all tools. Otherwise the agent's mode decides.
//! For a sub-agent the strictest decision among its ancestors' agents applies. In a tainted conversation, calls that
//! only the mode allows need approval if they could send data out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use commands::Seen;
use kernel::{AccessDecision, AgentId, PermissionId, RunId, Timestamp, TrustMode};
use store::{Read, ReadExt, StoreError};
use tool::{Effect, ToolSpec};

use super::model::{Permission, What};
use super::senders::{self, SenderRights};
use super::{compiled, queries};
use crate::agents::model::Agent;
use crate::agents::queries::reach;
use crate::workspace::model::Settings;

/// Where the effects of a call can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Workspace, agent's folder or closed sandbox, or a tool with its own switch that a person has set.
    Inside,
    /// Only the hosts that people listed for the agent. The list counts as approval until the conversation is
    /// tainted.
    Listed,
    /// Any host on the network, through the agent's programs.
    AnyHost,
    /// Programs outside the sandbox.
    Unjailed,
    /// External systems.
    Elsewhere,
    /// A page of a site in the agent's browser.
    Site,
    /// The files that define the agent.
    Itself,
    /// People and rooms outside the workspace that people let in. This counts as approval until the conversation is
    /// tainted.
    Place,
}

impl Reach {
    /// Reason for asking a person, in one sentence.
    fn why(self) -> &'static str {
        match self {
            Self::Inside => "Stays within HQ",
            Self::Listed => "Reaches only its listed hosts",
            Self::AnyHost => "Its programs can reach any host on the network",
            Self::Unjailed => "Programs run outside the sandbox on this machine",
            Self::Elsewhere => "Acts outside HQ; can’t be undone",
            Self::Site => "Acts on a site that hasn’t been allowed yet",
            Self::Place => "Goes to people and rooms that were let in",
            Self::Itself => "This changes the agent’s identity and instructions from now on",
        }
    }
}

/// Files at the top of an agent's folder that define its identity and behaviour.
pub const IDENTITY: [&str; 5] = ["IDENTITY.md", "SOUL.md", "AGENTS.md", "TOOLS.md", "HEARTBEAT.md"];

/// Programs that execute content of files the agent writes: settings, package scripts, hooks. The same command may do
/// something else later, so its approval is never saved.
const FOLDERS_CODE: &[&str] = &[
    "bun", "cargo", "curl", "docker", "gh", "git", "go", "kubectl", "npm", "npx", "pip", "pip3",
    "pnpm", "podman", "ssh", "uv", "wget", "yarn",
];

/// Whether a program, by name or path, executes content of the agent's files.
#[must_use]
pub fn does_what_files_say(program: &str) -> bool {
    FOLDERS_CODE.contains(&program.rsplit('/').next().unwrap_or_default())
        || commands::runs_code(program)
}

/// Tools with their own switch, which counts as approval.
const SWITCHED: &[&str] = &["web_fetch", "web_search", "browser", "source_write"];

/// Tools that change what an agent does unattended. Skills are not included: one written by a tainted run stays out
/// of every prompt until a person has read it.
const STANDING: &[&str] = &["routine_delete", "routine_save", "series_save", "template_save"];

/// Reach of a tool's calls. `programs` is the reach of the agent's programs.
#[must_use]
pub fn reach_of(tool: &str, effect: Effect, programs: Reach) -> Reach {
    match effect {
        Effect::Exec => programs,
        Effect::External if !SWITCHED.contains(&tool) => Reach::Elsewhere,
        _ => Reach::Inside,
    }
}

/// Reach of an agent's programs on this host. `agents` are the agents whose host lists apply: the run's own, then
/// those of its ancestors. A host list is enforced only where the kernel filters ports.
pub fn programs(tx: &dyn Read, agents: &[AgentId]) -> Result<Reach, StoreError> {
    let free = tx.get::<Settings>(())?.is_some_and(|settings| settings.exec_without_jail);
    if free && sandbox::confine::landlock_abi() == 0 {
        return Ok(Reach::Unjailed);
    }
    let agent = match agents.first() {
        Some(id) => tx.get::<Agent>(*id)?,
        None => None,
    };
    if !agent.is_some_and(|agent| agent.network) {
        return Ok(Reach::Inside);
    }
    Ok(match reach::of_all(tx, agents)?.are_listed() {
        true => Reach::Listed,
        false => Reach::AnyHost,
    })
}

/// Method and target of a request. Stored in records: a released layout is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingRequest {
    /// Such as `GET`.
    pub method: String,
    /// Lower case, without a trailing dot.
    pub host: String,
    /// Whether the request uses https on port 443. Host permissions apply to nothing else.
    pub is_usual: bool,
    /// Scheme, host and port of a site reached in another way. Permissions may name it.
    pub origin: Option<String>,
}

impl OutgoingRequest {
    /// The request described by a call's arguments; `None` without an address.
    #[must_use]
    pub fn of(given: &Value) -> Option<Self> {
        let url = url::Url::parse(given.get("url")?.as_str()?).ok()?; // ok: no address, no host
        let method = given.get("method").and_then(Value::as_str).unwrap_or_default().trim();
        let method = if method.is_empty() { "GET" } else { method }.to_ascii_uppercase();
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let is_usual = url.scheme() == "https" && url.port_or_known_default() == Some(443);
        Some(Self { method, host, is_usual, origin: None })
    }

    /// Whether the request goes to the host or origin of a permission.
    fn is_to(&self, host: &str) -> bool {
        host.trim_end_matches('.').eq_ignore_ascii_case(&self.host)
            || self.origin.as_deref().is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }

    /// Whether a permission for this host or origin may allow the request.
    fn may_be_allowed_by(&self, host: &str) -> bool {
        self.is_usual
            || self.origin.as_deref().is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }
}

/// Whether a call has only the arguments command line, folder, yield time and timeout.
#[must_use]
pub fn is_bare(given: &Value) -> bool {
    const SAID: &[&str] = &["command", "workdir", "yieldMs", "timeoutSeconds"];
    given.as_object().is_some_and(|given| given.keys().all(|key| SAID.contains(&key.as_str())))
}

/// The facts about a call that decide its authorization.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub tool: &'a str,
    /// Description of a tool that is not one of HQ's own.
    pub layered: Option<&'a ToolSpec>,
    /// Side effect of the tool.
    pub effect: Effect,
    pub reach: Reach,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// The commands that a command line runs, or why they cannot be determined; `None` if the call sets variables
    /// that could change their meaning.
    pub line: Option<&'a Result<Vec<Seen>, commands::Why>>,
    pub request: Option<&'a OutgoingRequest>,
    /// Whether the call takes a secret to its target.
    pub with_secret: bool,
    /// First untrusted source that the conversation has read; `None` if it has read none or its agents ignore the
    /// taint.
    pub outside: Option<&'a str>,
    /// Why the address alone could leak data, as text after "and". Used only if `outside` is set.
    pub leaks: Option<&'a str>,
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    /// A call with only these facts.
    #[must_use]
    pub fn of(tool: &'a str, effect: Effect, reach: Reach, now: Timestamp) -> Self {
        Self {
            tool,
            layered: None,
            effect,
            reach,
            digest: [0; 32],
            line: None,
            request: None,
            with_secret: false,
            outside: None,
            leaks: None,
            now,
        }
    }
}

/// Decision and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub decision: AccessDecision,
    /// One sentence without a full stop.
    pub why: String,
    /// The deciding permission; `None` if the mode decided.
    pub rule: Option<PermissionId>,
    /// All permissions used, without duplicates: one per part of a command line, and those of all ancestors of a
    /// sub-agent.
    pub took: Vec<PermissionId>,
}

impl Verdict {
    fn of_rule(rule: &Permission, word: &str) -> Self {
        let why = match rule.note.trim() {
            "" => format!("A permission {word} this"),
            note => format!("A permission {word} this: {}", note.trim_end_matches('.')),
        };
        Self { decision: rule.leave, why, rule: Some(rule.id), took: vec![rule.id] }
    }

    fn of_sender() -> Self {
        let (decision, why) = (AccessDecision::Deny, senders::DENIED.to_owned());
        Self { decision, why, rule: None, took: Vec::new() }
    }

    /// The stricter of two decisions, `self` if they are equal. If both allow, the permissions of both are listed.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        if self.decision < other.decision {
            return other;
        }
        if (self.decision, other.decision) == (AccessDecision::Allow, AccessDecision::Allow) {
            for one in other.took {
                if !self.took.contains(&one) {
                    self.took.push(one);
                }
            }
        }
        self
    }
}

/// Authorizes a call of a run. `agents` are the run's own agent, then those of its ancestors.
pub fn authorize(
    tx: &dyn Read,
    agents: &[AgentId],
    run: Option<RunId>,
    facts: &Facts<'_>,
) -> Result<Verdict, StoreError> {
    let sender = run.map(|run| senders::of_run(tx, run)).transpose()?.flatten();
    if sender.as_ref().is_some_and(|sender| !sender.may_call(facts)) {
        return Ok(Verdict::of_sender());
    }
    let mut modes = Vec::with_capacity(agents.len());
    for agent in agents {
        modes.push((*agent, queries::mode_of(tx, *agent)?));
    }
    // Work requested by another agent is limited to the stricter of both modes.
    let limit = run.map(|run| queries::asked_mode(tx, run)).transpose()?.flatten();
    if let (Some((_, own)), Some(limit)) = (modes.first_mut(), limit) {
        *own = queries::stricter(*own, limit);
    }
    let strictest = compiled::speaking(tx, facts, |rules| {
        let of_agent = |(agent, mode): &(AgentId, TrustMode)| {
            // A permission for the run applies to its ancestors too, so that one approval is enough.
            let counts = |rule: &&Permission| match rule.run {
                Some(of) => Some(of) == run,
                None => rule.agent.is_none_or(|of| of == *agent),
            };
            let rules: Vec<&Permission> = rules.iter().copied().filter(counts).collect();
            one(*mode, &rules, facts)
        };
        modes.iter().map(of_agent).reduce(Verdict::and)
    })?;
    let verdict = strictest.unwrap_or_else(|| by_mode(TrustMode::Locked, facts));
    let verdict = heeding_outside(verdict, facts);
    // Nobody is asked for whoever may not write.
    let is_asked = verdict.decision == AccessDecision::Ask;
    let only_reads = sender.is_some_and(|sender: SenderRights| !sender.may_write());
    Ok(if is_asked && only_reads { Verdict::of_sender() } else { verdict })
}

/// Decision in a tainted conversation: only a permission, not the mode, allows data to leave.
fn heeding_outside(verdict: Verdict, facts: &Facts<'_>) -> Verdict {
    let Some(read) = facts.outside else { return verdict };
    if verdict.decision != AccessDecision::Allow || verdict.rule.is_some() {
        return verdict;
    }
    let does = match facts.reach {
        Reach::Listed if facts.effect == Effect::Exec => {
            "its programs would reach listed hosts, which still needs approval"
        }
        Reach::Listed => "it would act on a listed host, which still needs approval",
        Reach::AnyHost => "its programs can reach any host on the network",
        Reach::Unjailed => "its programs run outside the sandbox",
        Reach::Elsewhere => "it would act where no one has sent it",
        Reach::Place => "people outside the workspace would read what it sends",
        Reach::Itself => "it would change the agent’s identity",
        Reach::Inside if facts.with_secret => "it would use a secret",
        Reach::Inside if STANDING.contains(&facts.tool) => {
            "it would change what the agent does on its own"
        }
        Reach::Inside | Reach::Site => match facts.leaks {
            Some(leaks) => leaks,
            None => return verdict,
        },
    };
    let why = format!("It has read untrusted content ({read}), and {does}");
    Verdict { decision: AccessDecision::Ask, why, rule: None, took: Vec::new() }
}

/// Decision for one agent.
pub(super) fn one(mode: TrustMode, rules: &[&Permission], facts: &Facts<'_>) -> Verdict {
    let refuses =
        |rule: &&&Permission| rule.leave == AccessDecision::Deny && touches(&rule.what, facts);
    if let Some(rule) = rules.iter().find(refuses) {
        return Verdict::of_rule(rule, "refuses");
    }
    let by_mode = by_mode(mode, facts);
    if mode == TrustMode::Locked {
        return by_mode;
    }
    for level in 0..LEVELS {
        let here: Vec<&Permission> =
            rules.iter().copied().filter(|rule| level_of(rule) == level).collect();
        if let Some(rule) =
            here.iter().find(|rule| rule.leave == AccessDecision::Ask && touches(&rule.what, facts))
        {
            return Verdict::of_rule(rule, "asks for");
        }
        if let Some((rule, took)) = allowing(&here, facts) {
            return Verdict { took, ..Verdict::of_rule(rule, "allows") };
        }
    }
    let is_hidden = by_mode.decision == AccessDecision::Allow && is_opaque(facts);
    if let Some(rule) = rules.iter().find(|rule| is_hidden && forbids_commands(rule)) {
        // A line that cannot be parsed may contain a denied command.
        let mut verdict = Verdict::of_rule(rule, "refuses some commands, and this one might hide");
        verdict.decision = AccessDecision::Ask;
        return verdict;
    }
    by_mode
}

const LEVELS: u8 = 6;

/// Specificity of a permission: 0 is the most specific.
fn level_of(rule: &Permission) -> u8 {
    let whose = if rule.agent.is_some() || rule.run.is_some() { 0 } else { 3 };
    let what = match (&rule.what, rule.tool.as_str()) {
        (What::All, "*") => 2,
        (What::All, _) => 1,
        _ => 0,
    };
    whose + what
}

/// Whether a permission matches any part of a call.
pub(super) fn touches(what: &What, facts: &Facts<'_>) -> bool {
    match what {
        What::All => true,
        What::Same { digest, .. } => *digest == facts.digest,
        What::Command(pattern) => commands_of(facts).iter().any(|one| one.matches(pattern)),
        What::Host { method, host } => facts.request.is_some_and(|request| {
            (method.is_empty() || method.eq_ignore_ascii_case(&request.method))
                && request.is_to(host)
        }),
    }
}

/// The permission that allows a whole call, and all permissions used. Each part of a command line needs one; the last
/// one represents them.
fn allowing<'r>(
    rules: &[&'r Permission],
    facts: &Facts<'_>,
) -> Option<(&'r Permission, Vec<PermissionId>)> {
    let allows = || rules.iter().copied().filter(|rule| rule.leave == AccessDecision::Allow);
    let whole = |rule: &&Permission| match &rule.what {
        What::Command(_) => false,
        What::Host { host, .. } => {
            facts.request.is_none_or(|request| request.may_be_allowed_by(host))
                && touches(&rule.what, facts)
        }
        what => touches(what, facts),
    };
    if let Some(rule) = allows().find(whole) {
        return Some((rule, vec![rule.id]));
    }
    let (mut last, mut took) = (None, Vec::new());
    for one in commands_of(facts) {
        // An earlier permission for a script does not cover the files that the script loads.
        if !one.files.is_empty() {
            return None;
        }
        let fits = |rule: &&Permission| matches!(&rule.what, What::Command(pattern) if one.matches(pattern));
        let rule = allows().find(fits)?;
        if !took.contains(&rule.id) {
            took.push(rule.id);
        }
        last = Some(rule);
    }
    last.map(|rule| (rule, took))
}

/// The commands of a call's command line; empty if there is none or it cannot be parsed.
pub(super) fn commands_of<'f>(facts: &Facts<'f>) -> &'f [Seen] {
    facts.line.map(|line| line.as_deref().unwrap_or_default()).unwrap_or_default()
}

/// Whether the call runs programs and its command line cannot be parsed.
pub(super) fn is_opaque(facts: &Facts<'_>) -> bool {
    facts.effect == Effect::Exec && !facts.line.is_some_and(Result::is_ok)
}

pub(super) fn forbids_commands(rule: &Permission) -> bool {
    rule.leave == AccessDecision::Deny && matches!(rule.what, What::Command(_))
}

/// Whether tools with this effect change nothing.
#[must_use]
pub fn only_looks(effect: Effect) -> bool {
    matches!(effect, Effect::Read | Effect::Control)
}

/// Decision of a mode if no permission matches.
fn by_mode(mode: TrustMode, facts: &Facts<'_>) -> Verdict {
    let looks = only_looks(facts.effect);
    let (decision, why) = match mode {
        TrustMode::Locked if looks => (AccessDecision::Allow, "Read-only"),
        TrustMode::Locked => (AccessDecision::Deny, "The agent is locked and can only read"),
        TrustMode::Full => (AccessDecision::Allow, "The agent does everything its settings allow"),
        TrustMode::Ask | TrustMode::Auto => match facts.reach {
            reach @ (Reach::Inside | Reach::Listed | Reach::Place) => {
                (AccessDecision::Allow, reach.why())
            }
            reach => (AccessDecision::Ask, reach.why()),
        },
    };
    Verdict { decision, why: why.to_owned(), rule: None, took: Vec::new() }
}

#[cfg(test)]
mod tests {
    use kernel::{AccessDecision, PermissionId, TypedId as _};

    use super::Verdict;

    #[test]
    fn the_stricter_answer_counts_and_what_all_allow_took_the_permissions_of_all() {
        let id = |n: u8| PermissionId::from_bytes([n; 16]);
        let verdict = |decision, took: &[u8]| {
            let took: Vec<PermissionId> = took.iter().map(|n| id(*n)).collect();
            Verdict { decision, why: String::new(), rule: took.first().copied(), took }
        };
        let both =
            verdict(AccessDecision::Allow, &[1, 2]).and(verdict(AccessDecision::Allow, &[2, 3]));
        assert_eq!((both.rule, both.took), (Some(id(1)), vec![id(1), id(2), id(3)]));
        let stricter = verdict(AccessDecision::Allow, &[1]).and(verdict(AccessDecision::Ask, &[4]));
        assert_eq!((stricter.decision, stricter.took), (AccessDecision::Ask, vec![id(4)]));
        let refused = verdict(AccessDecision::Deny, &[5]).and(verdict(AccessDecision::Allow, &[1]));
        assert_eq!((refused.decision, refused.took), (AccessDecision::Deny, vec![id(5)]));
    }
}
