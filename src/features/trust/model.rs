//! Records: modes of agents, permissions, approvals and recorded calls. A released layout is frozen: add `…V1` and
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

/// The tool that acts on sites.
pub const BROWSER: &str = "browser";
/// Maximum length of a call's one-line form in characters.
const LINE: usize = 160;

pub const TRUST_MODES: Table = Table::new(370, "trust_modes");
/// Rules for calls without approval.
pub const PERMISSIONS: Table = Table::new(371, "permissions");
/// Tool, then agent.
pub const BY_TOOL: Index = Index::multi(372, "permissions_by_tool");
/// Recent uses of permissions.
pub const PERMISSION_USES: Table = Table::new(399, "permission_uses");
/// Calls that wait or waited for approval.
pub const APPROVALS: Table = Table::new(373, "approvals");
/// Open approvals by time of request.
pub const OPEN: Index = Index::multi(374, "approvals_open");
/// Run, then call.
pub const BY_CALL: Index = Index::multi(375, "approvals_by_call");

/// How much an agent may do without approval. Without a record the mode is `Ask`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTrust {
    pub agent: AgentId,
    pub mode: TrustMode,
    /// Whether the agent ignores the taint of its conversations.
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

/// The calls that a permission matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// All calls of the tool.
    All,
    /// Calls with exactly these arguments.
    Same {
        /// SHA-256 of the plan.
        digest: [u8; 32],
        /// Display text.
        shown: String,
    },
    /// Command lines of which every part matches.
    Command(Pattern),
    /// Requests to this host.
    Host {
        /// Such as `GET`; empty for any.
        method: String,
        host: String,
    },
}

/// A rule that allows, denies or asks for matching calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub id: PermissionId,
    /// `None` for the whole workspace.
    pub agent: Option<AgentId>,
    /// Limits the permission to one run.
    pub run: Option<RunId>,
    /// Tool name; `*` for all tools.
    pub tool: String,
    pub what: What,
    pub leave: AccessDecision,
    /// Reason given by a person.
    pub note: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub expires_at: Option<Timestamp>,
}

impl Permission {
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

/// Recent use count of a permission: calls that it allowed, denied or asked for. Separate from the permission, which
/// stays unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionUse {
    pub permission: PermissionId,
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
    /// Use counts as (day since 1970 in UTC, calls). Days are unique and at most [`PermissionUse::DAYS`] days before
    /// the last one.
    pub days: Vec<(i64, u32)>,
}

impl PermissionUse {
    /// Number of days counted.
    pub const DAYS: i64 = 30;

    /// No uses.
    #[must_use]
    pub fn none(permission: PermissionId, now: Timestamp) -> Self {
        Self { permission, last_at: now, days: Vec::new() }
    }

    fn day(at: Timestamp) -> i64 {
        at.as_second().div_euclid(24 * 60 * 60)
    }

    /// Counts one more call.
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

    /// Calls decided within the last thirty days.
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

/// Path prefix of a file that the call does not name but its program may load.
pub(super) const LOADED: &str = "./";

/// State of a file that a call uses, taken when approval was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Path in the agent's folder, with prefix `./` if the call does not name it.
    pub path: String,
    /// SHA-256 of the content; for a loaded file, of its metadata.
    pub hash: [u8; 32],
}

impl Witness {
    /// Display path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.strip_prefix(LOADED).unwrap_or(&self.path)
    }

    /// Whether the call does not name the file.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.path.starts_with(LOADED)
    }
}

/// Exact effect of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Arguments as canonical JSON. Exactly these are executed.
    pub arguments: String,
    /// Display text: a command line, a request, or the arguments.
    pub shown: String,
    /// Working folder of a program; empty for other tools.
    pub folder: String,
    /// Names of the environment variables passed.
    pub variables: Vec<String>,
    /// Files of the agent that the call names or loads.
    pub files: Vec<Witness>,
}

impl Plan {
    /// One-line form for titles and lists: a command, a request, an action, the identity files, or the tool with its
    /// arguments.
    #[must_use]
    pub fn line(&self, tool: &str) -> String {
        let text = match tool {
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
        ellipsis(&text, LINE)
    }

    /// Display paths of the files that the approval is bound to, with one entry for all loaded files.
    #[must_use]
    pub fn bound_to(&self) -> Vec<String> {
        let named = self.files.iter().filter(|file| !file.is_loaded());
        let mut paths: Vec<String> = named.map(|file| file.path.clone()).collect();
        if self.files.iter().any(Witness::is_loaded) {
            paths.push("all other files of its folder".to_owned());
        }
        paths
    }

    /// Whether the call changes the identity files; `shown` then has the lines before and after.
    #[must_use]
    pub fn is_rewriting(&self, tool: &str) -> bool {
        tool != "exec" && tool != BROWSER && !self.files.is_empty()
    }
}

/// A wider grant offered with an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub label: String,
    /// The permissions to create: one per part of a command line.
    pub whats: Vec<What>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub answer: ApprovalAnswer,
    /// `None` if no person answered.
    pub by: Option<AccountId>,
    /// Message to the agent.
    pub note: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// A call that waits or waited for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub run: RunId,
    /// Call id assigned by the provider.
    pub call_id: String,
    pub agent: AgentId,
    pub tool: String,
    pub plan: Plan,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// SHA-256 of the tool's definition at the time of the request; zeros in records older than this field.
    pub definition: [u8; 32],
    pub risk: Risk,
    /// Why approval is needed, in one sentence.
    pub why: String,
    /// Wider grants to choose from.
    pub offers: Vec<Offer>,
    #[serde(with = "millisecond::required")]
    pub asked_at: Timestamp,
    /// Deadline, after which the run resumes without the call.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    pub answer: Option<Answer>,
    /// Time at which the approved call was made.
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
    /// Whether the tool's definition is unchanged since the request; `true` if the old one is unknown.
    #[must_use]
    pub fn is_of(&self, definition: &[u8; 32]) -> bool {
        self.definition == [0; 32] || self.definition == *definition
    }

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
        // A clock that was set back does not duplicate a day.
        let used = used.with(on(29)).with(on(29));
        assert_eq!((used.days.len(), used.lately(on(31))), (2, 4));
    }
}
