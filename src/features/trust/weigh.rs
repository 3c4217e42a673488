//! What becomes of a call before it is made. The order: a permission that refuses always wins; a locked agent looks and
//! nothing else; then the nearest permission counts (of the agent or its run before the workspace's, of these arguments
//! before the whole tool before all tools); else the agent's mode does. A sub-agent may never do more than whoever asked
//! for it: of all agents above a run the strictest answer counts.

use commands::Seen;
use kernel::{AgentId, Leave, PermissionId, RunId, Timestamp, TrustMode};
use store::{ReadExt, StoreError};
use tool::Effect;

use super::model::{Permission, What};
use super::queries;
use crate::agents::model::Agent;
use crate::agents::queries::reach;
use crate::workspace::model::Settings;

/// How far a call reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It stays in the workspace, the agent's folder or the closed jail, or a switch of its own was set by a person.
    Inside,
    /// Its programs reach any host on the network.
    AnyHost,
    /// Its programs run outside the jail.
    Unjailed,
    /// It acts at somebody else's.
    Elsewhere,
}

impl Reach {
    /// Why a person is asked, in a sentence.
    fn why(self) -> &'static str {
        match self {
            Self::Inside => "It stays inside",
            Self::AnyHost => "Its programs reach any host on the network",
            Self::Unjailed => "Programs run outside the sandbox on this machine",
            Self::Elsewhere => "It acts outside HQ, where nothing can be undone",
        }
    }
}

/// Tools with a switch of their own, which a person has set: it stands for the yes.
const SWITCHED: &[&str] = &["web_fetch", "browser", "source_write"];

/// How far calls of a tool reach, when programs of the agent reach so far.
#[must_use]
pub fn reach_of(tool: &str, effect: Effect, programs: Reach) -> Reach {
    match effect {
        Effect::Exec => programs,
        Effect::External if !SWITCHED.contains(&tool) => Reach::Elsewhere,
        _ => Reach::Inside,
    }
}

/// How far programs of an agent reach on this host. `agents` are those whose lists of hosts count: the agent's own,
/// then those of the runs that asked for its run. A list is kept only where the kernel tells ports apart.
///
/// # Errors
/// When the disk fails.
pub fn programs(tx: &impl ReadExt, agents: &[AgentId]) -> Result<Reach, StoreError> {
    let free = tx.get::<Settings>(())?.is_some_and(|settings| settings.exec_without_jail);
    if free && sandbox::confine::landlock_abi() == 0 {
        return Ok(Reach::Unjailed);
    }
    let agent = match agents.first() {
        Some(id) => tx.get::<Agent>(*id)?,
        None => None,
    };
    if !agent.is_some_and(|agent| agent.network) || reach::of_all(tx, agents)?.are_listed() {
        return Ok(Reach::Inside);
    }
    Ok(Reach::AnyHost)
}

/// What a request asks of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Such as `GET`.
    pub method: String,
    /// The host, in small letters and without a point at its end.
    pub host: String,
    /// Whether it goes over https to the usual port: a permission is for nothing else.
    pub is_usual: bool,
}

/// What a call is, as far as it decides.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The tool.
    pub tool: &'a str,
    /// What it does to the world.
    pub effect: Effect,
    /// How far it reaches.
    pub reach: Reach,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// Of a command line: the commands that it will run, or why that cannot be told. None where variables of the call's
    /// own may make something else of them.
    pub line: Option<&'a Result<Vec<Seen>, commands::Why>>,
    /// Of a request: what it asks of whom.
    pub request: Option<&'a Asked>,
    /// Now.
    pub now: Timestamp,
}

/// What becomes of a call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What.
    pub leave: Leave,
    /// Why, in a sentence without its point.
    pub why: String,
    /// The permission that decided; none when the mode did.
    pub rule: Option<PermissionId>,
}

impl Verdict {
    fn of_rule(rule: &Permission, word: &str) -> Self {
        let why = match rule.note.trim() {
            "" => format!("A permission {word} it"),
            note => format!("A permission {word} it: {}", note.trim_end_matches('.')),
        };
        Self { leave: rule.leave, why, rule: Some(rule.id) }
    }
}

/// Weighs a call of a run. `agents` are the run's own, then those of the runs that asked for it.
///
/// # Errors
/// When the disk fails.
pub fn weigh(
    tx: &impl ReadExt,
    agents: &[AgentId],
    run: Option<RunId>,
    facts: &Facts<'_>,
) -> Result<Verdict, StoreError> {
    let rules = queries::rules_of(tx, facts.tool, facts.now)?;
    let mut strictest: Option<Verdict> = None;
    for agent in agents {
        let mode = queries::mode_of(tx, *agent)?;
        // What counts for the run counts for all who asked for it: one yes is asked for, not one from each.
        let counts = |rule: &&Permission| match rule.run {
            Some(of) => Some(of) == run,
            None => rule.agent.is_none_or(|of| of == *agent),
        };
        let rules: Vec<&Permission> = rules.iter().filter(counts).collect();
        let verdict = one(mode, &rules, facts);
        if strictest.as_ref().is_none_or(|so_far| so_far.leave < verdict.leave) {
            strictest = Some(verdict);
        }
    }
    Ok(strictest.unwrap_or_else(|| by_mode(TrustMode::Locked, facts)))
}

/// The verdict on a call of one agent.
fn one(mode: TrustMode, rules: &[&Permission], facts: &Facts<'_>) -> Verdict {
    let refuses = |rule: &&&Permission| rule.leave == Leave::Deny && touches(&rule.what, facts);
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
            here.iter().find(|rule| rule.leave == Leave::Ask && touches(&rule.what, facts))
        {
            return Verdict::of_rule(rule, "asks for");
        }
        if let Some(rule) = allowing(&here, facts) {
            return Verdict::of_rule(rule, "allows");
        }
    }
    let is_hidden = by_mode.leave == Leave::Allow && is_opaque(facts);
    if let Some(rule) = rules.iter().find(|rule| is_hidden && forbids_commands(rule)) {
        // What cannot be taken apart may hide what a permission refuses.
        let mut asked = Verdict::of_rule(rule, "refuses some commands, and this one may hide");
        asked.leave = Leave::Ask;
        return asked;
    }
    by_mode
}

const LEVELS: u8 = 6;

/// How near a permission is to a call: 0 is nearest.
fn level_of(rule: &Permission) -> u8 {
    let whose = if rule.agent.is_some() || rule.run.is_some() { 0 } else { 3 };
    let what = match (&rule.what, rule.tool.as_str()) {
        (What::All, "*") => 2,
        (What::All, _) => 1,
        _ => 0,
    };
    whose + what
}

/// Whether any part of a call is what a permission speaks of.
fn touches(what: &What, facts: &Facts<'_>) -> bool {
    match what {
        What::All => true,
        What::Same { digest, .. } => *digest == facts.digest,
        What::Command(pattern) => {
            facts.line.is_some_and(|line| commands_of(line).iter().any(|one| one.matches(pattern)))
        }
        What::Host { method, host } => facts.request.is_some_and(|asked| {
            (method.is_empty() || method.eq_ignore_ascii_case(&asked.method))
                && host.trim_end_matches('.').eq_ignore_ascii_case(&asked.host)
        }),
    }
}

/// The permission that allows a call as a whole; of a command line each part needs one.
fn allowing<'r>(rules: &[&'r Permission], facts: &Facts<'_>) -> Option<&'r Permission> {
    let allows = || rules.iter().copied().filter(|rule| rule.leave == Leave::Allow);
    let is_usual = facts.request.is_none_or(|asked| asked.is_usual);
    let whole = |rule: &&Permission| match &rule.what {
        What::Command(_) => false,
        What::Host { .. } => is_usual && touches(&rule.what, facts),
        what => touches(what, facts),
    };
    if let Some(rule) = allows().find(whole) {
        return Some(rule);
    }
    let mut last = None;
    for one in commands_of(facts.line?) {
        let fits = |rule: &&Permission| matches!(&rule.what, What::Command(pattern) if one.matches(pattern));
        last = Some(allows().find(fits)?);
    }
    last
}

/// The commands of a line; none when it cannot be told which.
fn commands_of(line: &Result<Vec<Seen>, commands::Why>) -> &[Seen] {
    line.as_deref().unwrap_or_default()
}

fn is_opaque(facts: &Facts<'_>) -> bool {
    facts.effect == Effect::Exec && !facts.line.is_some_and(Result::is_ok)
}

fn forbids_commands(rule: &Permission) -> bool {
    rule.leave == Leave::Deny && matches!(rule.what, What::Command(_))
}

/// What a mode makes of a call that no permission speaks of.
fn by_mode(mode: TrustMode, facts: &Facts<'_>) -> Verdict {
    let looks = matches!(facts.effect, Effect::Read | Effect::Control);
    let (leave, why) = match mode {
        TrustMode::Locked if looks => (Leave::Allow, "It only looks"),
        TrustMode::Locked => (Leave::Deny, "The agent is locked: it looks and changes nothing"),
        TrustMode::Full => (Leave::Allow, "The agent does all that its switches allow"),
        TrustMode::Ask => match facts.reach {
            Reach::Inside => (Leave::Allow, "It stays inside"),
            reach => (Leave::Ask, reach.why()),
        },
    };
    Verdict { leave, why: why.to_owned(), rule: None }
}
