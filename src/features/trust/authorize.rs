//! What becomes of a call before it is made. The order: a permission that refuses always wins; a locked agent looks and
//! nothing else; then the nearest permission counts (of the agent or its run before the workspace's, of these arguments
//! before the whole tool before all tools); else the agent's mode does. A sub-agent may never do more than whoever asked
//! for it: of all agents above a run the strictest answer counts. What only the mode allows is asked for all the same once
//! a conversation has read words from outside, where it could carry something out of the house.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use commands::Seen;
use kernel::{AccessDecision, AgentId, PermissionId, RunId, Timestamp, TrustMode};
use store::{Read, ReadExt, StoreError};
use tool::Effect;

use super::model::{Permission, What};
use super::{compiled, queries};
use crate::agents::model::Agent;
use crate::agents::queries::reach;
use crate::workspace::model::Settings;

/// How far a call reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It stays in the workspace, the agent's folder or the closed jail, or a switch of its own was set by a person.
    Inside,
    /// It reaches the hosts of a list alone, which people have set for the agent. The list stands for the yes, until the
    /// conversation has read words from outside.
    Listed,
    /// Its programs reach any host on the network.
    AnyHost,
    /// Its programs run outside the jail.
    Unjailed,
    /// It acts at somebody else's.
    Elsewhere,
    /// It acts in a page of a site, in the agent's browser.
    Site,
    /// It changes the files that say who the agent is.
    Itself,
}

impl Reach {
    /// Why a person is asked, in a sentence.
    fn why(self) -> &'static str {
        match self {
            Self::Inside => "It stays inside",
            Self::Listed => "It reaches the hosts of its list alone",
            Self::AnyHost => "Its programs reach any host on the network",
            Self::Unjailed => "Programs run outside the sandbox on this machine",
            Self::Elsewhere => "It acts outside HQ, where nothing can be undone",
            Self::Site => "It acts at a site that nobody has allowed yet",
            Self::Itself => "It changes who the agent is and what it goes by from then on",
        }
    }
}

/// The files at the top of an agent's folder that say who it is and what it goes by.
pub const IDENTITY: [&str; 5] = ["IDENTITY.md", "SOUL.md", "AGENTS.md", "TOOLS.md", "HEARTBEAT.md"];

/// Programs that do what files say which the agent writes: settings, scripts of a package, hooks. The same words may
/// mean something else tomorrow, so no yes to them is kept.
const FOLDERS_CODE: &[&str] = &[
    "bun", "cargo", "curl", "docker", "gh", "git", "go", "kubectl", "npm", "npx", "pip", "pip3",
    "pnpm", "podman", "ssh", "uv", "wget", "yarn",
];

/// Whether a program, by its name or path, does what files of the agent say.
#[must_use]
pub fn does_what_files_say(program: &str) -> bool {
    FOLDERS_CODE.contains(&program.rsplit('/').next().unwrap_or_default())
        || commands::runs_code(program)
}

/// Tools with a switch of their own, which a person has set: it stands for the yes.
const SWITCHED: &[&str] = &["web_fetch", "browser", "source_write"];

/// Tools that decide what an agent does when nobody is there. A skill is not among them: one that a tainted run has written
/// is in no prompt until a person has read it.
const STANDING: &[&str] = &["routine_delete", "routine_save", "series_save", "template_save"];

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

/// What a request asks of whom. Records keep it: a released layout is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingRequest {
    /// Such as `GET`.
    pub method: String,
    /// The host, in small letters and without a point at its end.
    pub host: String,
    /// Whether it goes over https to the usual port: a permission is for nothing else.
    pub is_usual: bool,
    /// Of a site that is reached in another way: its scheme, host and port, for which there are permissions as well.
    pub origin: Option<String>,
}

impl OutgoingRequest {
    /// What a call with these arguments asks of whom; nothing when it names no address.
    #[must_use]
    pub fn of(given: &Value) -> Option<Self> {
        let url = url::Url::parse(given.get("url")?.as_str()?).ok()?; // ok: no address, no host
        let method = given.get("method").and_then(Value::as_str).unwrap_or_default().trim();
        let method = if method.is_empty() { "GET" } else { method }.to_ascii_uppercase();
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let is_usual = url.scheme() == "https" && url.port_or_known_default() == Some(443);
        Some(Self { method, host, is_usual, origin: None })
    }

    /// Whether it goes to what a permission calls so.
    fn is_to(&self, host: &str) -> bool {
        host.trim_end_matches('.').eq_ignore_ascii_case(&self.host)
            || self.origin.as_deref().is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }

    /// Whether a permission for that may allow it.
    fn may_be_allowed_by(&self, host: &str) -> bool {
        self.is_usual
            || self.origin.as_deref().is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }
}

/// Whether a command line, its folder and how long one waits are all that a call says.
#[must_use]
pub fn is_bare(given: &Value) -> bool {
    const SAID: &[&str] = &["command", "workdir", "yieldMs", "timeoutSeconds"];
    given.as_object().is_some_and(|given| given.keys().all(|key| SAID.contains(&key.as_str())))
}

/// What a call is, as far as it decides.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
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
    pub request: Option<&'a OutgoingRequest>,
    /// Whether it takes a secret to where it reaches.
    pub with_secret: bool,
    /// What its conversation has read from outside, in a few words; none where it has read nothing, or where that counts
    /// as trusted.
    pub outside: Option<&'a str>,
    /// Why its address alone could carry something out of the house, in words that follow "and"; looked at only where
    /// `outside` counts.
    pub leaks: Option<&'a str>,
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    /// A call of a tool of which nothing else is known.
    #[must_use]
    pub fn of(tool: &'a str, effect: Effect, reach: Reach, now: Timestamp) -> Self {
        Self {
            tool,
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

/// What becomes of a call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub leave: AccessDecision,
    /// Why, in a sentence without its point.
    pub why: String,
    /// The permission that decided; none when the mode did.
    pub rule: Option<PermissionId>,
    /// All permissions that it took, each once: of a command line one for each part, of a sub-agent those of everybody
    /// above it.
    pub took: Vec<PermissionId>,
}

impl Verdict {
    fn of_rule(rule: &Permission, word: &str) -> Self {
        let why = match rule.note.trim() {
            "" => format!("A permission {word} it"),
            note => format!("A permission {word} it: {}", note.trim_end_matches('.')),
        };
        Self { leave: rule.leave, why, rule: Some(rule.id), took: vec![rule.id] }
    }

    /// The stricter of two answers to one call, this one where neither is; what both allow took the permissions of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        if self.leave < other.leave {
            return other;
        }
        if (self.leave, other.leave) == (AccessDecision::Allow, AccessDecision::Allow) {
            for one in other.took {
                if !self.took.contains(&one) {
                    self.took.push(one);
                }
            }
        }
        self
    }
}

/// Weighs a call of a run. `agents` are the run's own, then those of the runs that asked for it.
pub fn weigh(
    tx: &dyn Read,
    agents: &[AgentId],
    run: Option<RunId>,
    facts: &Facts<'_>,
) -> Result<Verdict, StoreError> {
    let mut modes = Vec::with_capacity(agents.len());
    for agent in agents {
        modes.push((*agent, queries::mode_of(tx, *agent)?));
    }
    // What an agent asks of another is judged by the stricter of both modes.
    let asked = run.map(|run| queries::asked_mode(tx, run)).transpose()?.flatten();
    if let (Some((_, own)), Some(asked)) = (modes.first_mut(), asked) {
        *own = queries::stricter(*own, asked);
    }
    let strictest = compiled::speaking(tx, facts, |rules| {
        let of_agent = |(agent, mode): &(AgentId, TrustMode)| {
            // What counts for the run counts for all who asked for it: one yes is asked for, not one from each.
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
    Ok(heeding_outside(verdict, facts))
}

/// The verdict on a call of a conversation that may follow somebody else's words: only a permission lets it out of the
/// house, not the mode.
fn heeding_outside(verdict: Verdict, facts: &Facts<'_>) -> Verdict {
    let Some(read) = facts.outside else { return verdict };
    if verdict.leave != AccessDecision::Allow || verdict.rule.is_some() {
        return verdict;
    }
    let does = match facts.reach {
        Reach::Listed if facts.effect == Effect::Exec => {
            "its programs reach the hosts of its list, which is no permission for that"
        }
        Reach::Listed => "it acts at a host of its list, which is no permission for that",
        Reach::AnyHost => "its programs reach any host on the network",
        Reach::Unjailed => "its programs run outside the sandbox",
        Reach::Elsewhere => "it acts where nobody has sent it",
        Reach::Itself => "it changes who the agent is",
        Reach::Inside if facts.with_secret => "it uses a secret",
        Reach::Inside if STANDING.contains(&facts.tool) => {
            "it changes what the agent does when nobody is there"
        }
        Reach::Inside | Reach::Site => match facts.leaks {
            Some(leaks) => leaks,
            None => return verdict,
        },
    };
    let why = format!("It has read words from outside ({read}), and {does}");
    Verdict { leave: AccessDecision::Ask, why, rule: None, took: Vec::new() }
}

/// The verdict on a call of one agent.
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
    let is_hidden = by_mode.leave == AccessDecision::Allow && is_opaque(facts);
    if let Some(rule) = rules.iter().find(|rule| is_hidden && forbids_commands(rule)) {
        // What cannot be taken apart may hide what a permission refuses.
        let mut asked = Verdict::of_rule(rule, "refuses some commands, and this one may hide");
        asked.leave = AccessDecision::Ask;
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
pub(super) fn touches(what: &What, facts: &Facts<'_>) -> bool {
    match what {
        What::All => true,
        What::Same { digest, .. } => *digest == facts.digest,
        What::Command(pattern) => commands_of(facts).iter().any(|one| one.matches(pattern)),
        What::Host { method, host } => facts.request.is_some_and(|asked| {
            (method.is_empty() || method.eq_ignore_ascii_case(&asked.method)) && asked.is_to(host)
        }),
    }
}

/// The permission that allows a call as a whole; of a command line each part needs one, and the last of them stands for
/// all, which come with it.
fn allowing<'r>(
    rules: &[&'r Permission],
    facts: &Facts<'_>,
) -> Option<(&'r Permission, Vec<PermissionId>)> {
    let allows = || rules.iter().copied().filter(|rule| rule.leave == AccessDecision::Allow);
    let whole = |rule: &&Permission| match &rule.what {
        What::Command(_) => false,
        What::Host { host, .. } => {
            facts.request.is_none_or(|asked| asked.may_be_allowed_by(host))
                && touches(&rule.what, facts)
        }
        what => touches(what, facts),
    };
    if let Some(rule) = allows().find(whole) {
        return Some((rule, vec![rule.id]));
    }
    let (mut last, mut took) = (None, Vec::new());
    for one in commands_of(facts) {
        // A permission that was kept for a script before says nothing of what the script loads.
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

/// The commands of a call's line; none when it has no line, or it cannot be told which.
pub(super) fn commands_of<'f>(facts: &Facts<'f>) -> &'f [Seen] {
    facts.line.map(|line| line.as_deref().unwrap_or_default()).unwrap_or_default()
}

/// Whether a program's call cannot be taken apart.
pub(super) fn is_opaque(facts: &Facts<'_>) -> bool {
    facts.effect == Effect::Exec && !facts.line.is_some_and(Result::is_ok)
}

/// Whether a permission refuses some commands.
pub(super) fn forbids_commands(rule: &Permission) -> bool {
    rule.leave == AccessDecision::Deny && matches!(rule.what, What::Command(_))
}

/// Whether calls of such a tool change nothing.
#[must_use]
pub fn only_looks(effect: Effect) -> bool {
    matches!(effect, Effect::Read | Effect::Control)
}

/// What a mode makes of a call that no permission speaks of.
fn by_mode(mode: TrustMode, facts: &Facts<'_>) -> Verdict {
    let looks = only_looks(facts.effect);
    let (leave, why) = match mode {
        TrustMode::Locked if looks => (AccessDecision::Allow, "It only looks"),
        TrustMode::Locked => {
            (AccessDecision::Deny, "The agent is locked: it looks and changes nothing")
        }
        TrustMode::Full => (AccessDecision::Allow, "The agent does all that its switches allow"),
        TrustMode::Ask | TrustMode::Auto => match facts.reach {
            reach @ (Reach::Inside | Reach::Listed) => (AccessDecision::Allow, reach.why()),
            reach => (AccessDecision::Ask, reach.why()),
        },
    };
    Verdict { leave, why: why.to_owned(), rule: None, took: Vec::new() }
}

#[cfg(test)]
mod tests {
    use kernel::{AccessDecision, PermissionId, TypedId as _};

    use super::Verdict;

    #[test]
    fn the_stricter_answer_counts_and_what_all_allow_took_the_permissions_of_all() {
        let id = |n: u8| PermissionId::from_bytes([n; 16]);
        let verdict = |leave, took: &[u8]| {
            let took: Vec<PermissionId> = took.iter().map(|n| id(*n)).collect();
            Verdict { leave, why: String::new(), rule: took.first().copied(), took }
        };
        let both =
            verdict(AccessDecision::Allow, &[1, 2]).and(verdict(AccessDecision::Allow, &[2, 3]));
        assert_eq!((both.rule, both.took), (Some(id(1)), vec![id(1), id(2), id(3)]));
        let asked = verdict(AccessDecision::Allow, &[1]).and(verdict(AccessDecision::Ask, &[4]));
        assert_eq!((asked.leave, asked.took), (AccessDecision::Ask, vec![id(4)]));
        let refused = verdict(AccessDecision::Deny, &[5]).and(verdict(AccessDecision::Allow, &[1]));
        assert_eq!((refused.leave, refused.took), (AccessDecision::Deny, vec![id(5)]));
    }
}
