//! Records: the mode of an agent, permissions, approvals, calls that were judged. A released layout is frozen: add `…V1`,
//! raise `VERSION`.

mod call_record;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::runs::model::Run;
use kernel::text::ellipsis;
use kernel::{
    AccessDecision, AccountId, Actor, AgentId, ApprovalAnswer, ApprovalId, Part, PermissionId,
    Risk, RunId, Timestamp, TrustMode, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

pub use call_record::{Became, CallRecord, JUDGED_CALLS, JudgedCall};
pub use commands::Pattern;

/// The tool that acts at sites.
pub const BROWSER: &str = "browser";
/// The longest line that stands for a call, in characters.
const LINE: usize = 160;

/// Modes of agents.
pub const TRUST_MODES: Table = Table::new(370, "trust_modes");
/// Rules of what agents may do without asking.
pub const PERMISSIONS: Table = Table::new(371, "permissions");
/// Tool, agent.
pub const BY_TOOL: Index = Index::multi(372, "permissions_by_tool");
/// What permissions have decided lately.
pub const PERMISSION_USES: Table = Table::new(399, "permission_uses");
/// Calls that wait for a person's yes, and those that have waited.
pub const APPROVALS: Table = Table::new(373, "approvals");
/// Open ones, by when they were asked.
pub const OPEN: Index = Index::multi(374, "approvals_open");
/// The run and the call.
pub const BY_CALL: Index = Index::multi(375, "approvals_by_call");

/// How much an agent may do without asking; without this record it asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTrust {
    pub agent: AgentId,
    /// How much.
    pub mode: TrustMode,
    /// Whether it goes on by itself also after it has read words from outside.
    pub autonomous: bool,
}

impl Record for AgentTrust {
    type Id = AgentId;
    const TABLE: Table = TRUST_MODES;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { agent: AgentId::from_bytes([5; 16]), mode: TrustMode::Full, autonomous: true }
    }
}

/// The calls that a permission is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// All calls of the tool.
    All,
    /// Calls with exactly these arguments: SHA-256 of the plan, and what it is as people read it.
    Same {
        /// The digest of the plan.
        digest: [u8; 32],
        /// For people.
        shown: String,
    },
    /// Programs: every part of the command line fits this.
    Command(Pattern),
    /// Requests by this method (empty: any) to this host.
    Host {
        /// Such as `GET`; empty for any.
        method: String,
        host: String,
    },
}

/// A rule: whether calls like these are made, asked for or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub id: PermissionId,
    /// The agent; none for all of the workspace.
    pub agent: Option<AgentId>,
    /// The run for which alone it counts.
    pub run: Option<RunId>,
    /// The name of the tool; `*` for all.
    pub tool: String,
    /// The calls.
    pub what: What,
    /// What becomes of them.
    pub leave: AccessDecision,
    /// Why, in a person's words.
    pub note: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Until when it counts.
    #[serde(with = "millisecond::optional")]
    pub expires_at: Option<Timestamp>,
}

impl Permission {
    /// Whether it counts at a moment.
    #[must_use]
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|until| now < until)
    }
}

impl Record for Permission {
    type Id = PermissionId;
    const TABLE: Table = PERMISSIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_TOOL];
    fn id(&self) -> PermissionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_TOOL).text(&self.tool);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, self.agent, OnDelete::Cascade);
        refs.to::<Run>(2, self.run, OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: PermissionId::from_bytes([70; 16]),
            agent: Some(AgentId::from_bytes([5; 16])),
            run: None,
            tool: "exec".into(),
            what: What::All,
            leave: AccessDecision::Allow,
            note: "It builds here".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
            expires_at: None,
        }
    }
}

/// How often a permission has decided what became of a call lately: the call was made, refused or asked for. It stands
/// beside the permission, which stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionUse {
    pub permission: PermissionId,
    /// When it decided last.
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
    /// The days on which it did, counted from 1970 in UTC, each with how many calls; no day twice, and none that lies
    /// more than [`PermissionUse::DAYS`] days behind the last one.
    pub days: Vec<(i64, u32)>,
}

impl PermissionUse {
    /// For so many days the calls are counted.
    pub const DAYS: i64 = 30;

    /// Nothing yet.
    #[must_use]
    pub fn none(permission: PermissionId, now: Timestamp) -> Self {
        Self { permission, last_at: now, days: Vec::new() }
    }

    fn day(at: Timestamp) -> i64 {
        at.as_second().div_euclid(24 * 60 * 60)
    }

    /// The same with one more call.
    #[must_use]
    pub fn with(mut self, now: Timestamp) -> Self {
        let today = Self::day(now);
        self.days.retain(|(day, _)| today - Self::DAYS < *day);
        match self.days.iter_mut().find(|(day, _)| *day == today) {
            Some((_, calls)) => *calls = calls.saturating_add(1),
            None => self.days.push((today, 1)),
        }
        self.last_at = now;
        self
    }

    /// How many calls of the last thirty days it decided.
    #[must_use]
    pub fn lately(&self, now: Timestamp) -> u64 {
        let first = Self::day(now) - Self::DAYS;
        let counts = self.days.iter().filter(|(day, _)| first < *day);
        counts.map(|(_, calls)| u64::from(*calls)).sum()
    }
}

impl Record for PermissionUse {
    type Id = PermissionId;
    const TABLE: Table = PERMISSION_USES;
    const CLASS: Class = Class::Remade;
    fn id(&self) -> PermissionId {
        self.permission
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Permission>(1, Some(self.permission), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            permission: PermissionId::from_bytes([70; 16]),
            last_at: kernel::time::from_ms(1_700_000_000_000),
            days: vec![(19_674, 12), (19_675, 2)],
        }
    }
}

/// What the path of a file begins with that a call does not name and that its program may load.
pub(super) const LOADED: &str = "./";

/// A file that a call would use, as it was when the call was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its path in the agent's folder; behind `./` where the call does not name it.
    pub path: String,
    /// SHA-256 of it; of a file that the call does not name, of what changes with it.
    pub hash: [u8; 32],
}

impl Witness {
    /// Its path as people read it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.strip_prefix(LOADED).unwrap_or(&self.path)
    }

    /// Whether the call does not name it.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.path.starts_with(LOADED)
    }
}

/// What a call would do, to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The arguments as canonical JSON: this is what runs.
    pub arguments: String,
    /// What people read of it: a command line, a request, or the arguments.
    pub shown: String,
    /// The folder in which a program runs; empty for others.
    pub folder: String,
    /// The names of variables that it is given.
    pub variables: Vec<String>,
    /// The files of the agent that it names.
    pub files: Vec<Witness>,
}

impl Plan {
    /// What a call of this tool would do, in a line as titles and lists have it: a command, a request, an act, the files
    /// that say who the agent is, or the tool with its arguments.
    #[must_use]
    pub fn line(&self, tool: &str) -> String {
        let told = match tool {
            "exec" | "http_request" | BROWSER => {
                let mut lines = self.shown.lines().filter(|line| !line.trim().is_empty());
                lines.next().unwrap_or_default().to_owned()
            }
            tool if self.is_rewriting(tool) => {
                let paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
                format!("Changes to {}", paths.join(", "))
            }
            _ => format!("{tool} {}", self.arguments),
        };
        ellipsis(&told, LINE)
    }

    /// The files that it is bound to, as people read them: each that it names, and whether all others count.
    #[must_use]
    pub fn bound_to(&self) -> Vec<String> {
        let named = self.files.iter().filter(|file| !file.is_loaded());
        let mut told: Vec<String> = named.map(|file| file.path.clone()).collect();
        if self.files.iter().any(Witness::is_loaded) {
            told.push("all other files of its folder".to_owned());
        }
        told
    }

    /// Whether a call of this tool would change the files that say who the agent is; what people read then has the lines
    /// before and after.
    #[must_use]
    pub fn is_rewriting(&self, tool: &str) -> bool {
        tool != "exec" && tool != BROWSER && !self.files.is_empty()
    }
}

/// Calls like this one, for which a yes can count as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// In words.
    pub label: String,
    /// The permissions that it makes: one for each part of a command line.
    pub whats: Vec<What>,
}

/// The answer to an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub answer: ApprovalAnswer,
    /// Who; nobody when it answered itself.
    pub by: Option<AccountId>,
    /// What the agent is told besides.
    pub note: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// A call that waits for a person's yes, or has waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub run: RunId,
    /// The provider's id of the call.
    pub call_id: String,
    pub agent: AgentId,
    /// The name of the tool.
    pub tool: String,
    /// What it would do.
    pub plan: Plan,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// SHA-256 of what the tool said of itself when the call was asked for; zeros where that was not kept yet.
    pub definition: [u8; 32],
    /// How much harm it may do.
    pub risk: Risk,
    /// Why it is asked, in a sentence.
    pub why: String,
    /// For what else a yes can count.
    pub offers: Vec<Offer>,
    /// Since when it waits.
    #[serde(with = "millisecond::required")]
    pub asked_at: Timestamp,
    /// Until when; then the run goes on without it.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    pub answer: Option<Answer>,
    /// When the call was made on it.
    #[serde(with = "millisecond::optional")]
    pub spent_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ApprovalV1 {
    id: ApprovalId,
    run: RunId,
    call_id: String,
    agent: AgentId,
    tool: String,
    plan: Plan,
    digest: [u8; 32],
    risk: Risk,
    why: String,
    offers: Vec<Offer>,
    #[serde(with = "millisecond::required")]
    asked_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    until: Option<Timestamp>,
    answer: Option<Answer>,
    #[serde(with = "millisecond::optional")]
    spent_at: Option<Timestamp>,
}

impl From<ApprovalV1> for Approval {
    fn from(old: ApprovalV1) -> Self {
        Self {
            id: old.id,
            run: old.run,
            call_id: old.call_id,
            agent: old.agent,
            tool: old.tool,
            plan: old.plan,
            digest: old.digest,
            definition: [0; 32],
            risk: old.risk,
            why: old.why,
            offers: old.offers,
            asked_at: old.asked_at,
            until: old.until,
            answer: old.answer,
            spent_at: old.spent_at,
        }
    }
}

impl Approval {
    /// Whether the tool says the same of itself as when the call was asked for, as far as that is known.
    #[must_use]
    pub fn is_of(&self, definition: &[u8; 32]) -> bool {
        self.definition == [0; 32] || self.definition == *definition
    }

    /// Whether somebody said yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let yes = |answer: &Answer| {
            matches!(
                answer.answer,
                ApprovalAnswer::Once
                    | ApprovalAnswer::Run
                    | ApprovalAnswer::Always
                    | ApprovalAnswer::Reviewed
            )
        };
        self.answer.as_ref().is_some_and(yes)
    }
}

impl Record for Approval {
    type Id = ApprovalId;
    const TABLE: Table = APPROVALS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[OPEN, BY_CALL];
    fn id(&self) -> ApprovalId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.answer.is_none() {
            keys.entry(OPEN).part(self.asked_at);
        }
        keys.entry(BY_CALL).part(self.run).text(&self.call_id);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ApprovalV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: APPROVALS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ApprovalId::from_bytes([71; 16]),
            run: RunId::from_bytes([8; 16]),
            call_id: "call_1".into(),
            agent: AgentId::from_bytes([5; 16]),
            tool: "exec".into(),
            plan: Plan {
                arguments: r#"{"command":"sh deploy.sh"}"#.into(),
                shown: "sh deploy.sh".into(),
                folder: "/srv/hq/agents/ada".into(),
                variables: vec!["STAGE".into()],
                files: vec![Witness { path: "deploy.sh".into(), hash: [3; 32] }],
            },
            digest: [4; 32],
            definition: [6; 32],
            risk: Risk::Medium,
            why: "Its programs reach any host".into(),
            offers: vec![Offer { label: "this command".into(), whats: vec![What::All] }],
            asked_at: at,
            until: Some(at),
            answer: Some(Answer {
                answer: ApprovalAnswer::Once,
                by: Some(AccountId::from_bytes([1; 16])),
                note: "Only today".into(),
                at,
            }),
            spent_at: Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use kernel::{PermissionId, TypedId as _};

    use super::PermissionUse;

    #[test]
    fn the_calls_of_the_last_thirty_days_are_counted_and_older_ones_are_dropped() {
        let start = kernel::time::from_ms(1_700_000_000_000);
        let on = |day: i64| start.checked_add((24 * day).hours()).expect("a moment");
        let mut used = PermissionUse::none(PermissionId::from_bytes([7; 16]), start);
        assert_eq!(used.lately(start), 0);
        for day in [0, 0, 29] {
            used = used.with(on(day));
        }
        assert_eq!((used.lately(on(29)), used.last_at), (3, on(29)));
        assert_eq!((used.lately(on(30)), used.lately(on(59))), (1, 0));
        let used = used.with(on(31));
        assert_eq!((used.lately(on(31)), used.days.len()), (2, 2));
        // A clock that was set back begins no day twice.
        let used = used.with(on(29)).with(on(29));
        assert_eq!((used.days.len(), used.lately(on(31))), (2, 4));
    }
}
