//! Permissions for reading rows and history and for undo, per table. A table that is not listed here and has no
//! descriptor is unreadable. Checks on single rows are in `readable.rs`.

use crate::agents::model::{AGENTS, REACH};
use crate::audit::model::KEEPING;
use crate::browsers::model::BROWSER_SHOTS;
use crate::cards;
use crate::claims::model::{CLAIM_CHECKS, TASK_PROOFS};
use crate::comments::model::{COMMENTS, REACTIONS};
use crate::connections::model::{
    CONNECTION_KEYS, CONNECTIONS, COOLDOWNS, FALLBACKS, SPARE_KEYS, USUAL_THINKING, WINDOWS,
};
use crate::dashboard::model::NEEDS_AWAY;
use crate::deliverables::model::{DELIVERABLES, REVIEWS, VERSIONS};
use crate::files::model::TASK_FILES;
use crate::inbox::model::INBOX;
use crate::inbox::model::pace::PACES;
use crate::jobs::model::JOBS;
use crate::links::model::LINKS;
use crate::notifications::model::sending::{DELIVERIES, MAIL};
use crate::notifications::model::{CHOICES, FANOUTS, NOTIFICATIONS, RECIPIENTS, WATCHES};
use crate::routines::model::{CLOCKS, FIRINGS, ROUTINE_RULES, ROUTINES};
use crate::runs::model::{
    BRANCHES, CHILDREN, CONTEXTS, HALTS, INPUT_GRANTS, INPUTS, OUTSIDE, PARKS, QUEUE_CHOICES,
    READ_MARKS, RUN_EVIDENCE, RUN_LIMITS, RUNS, SENDER_GRANTS, SESSION_EVENTS, SESSIONS,
    SUBAGENT_LIMITS, TALK_CHOICES, WRITTEN,
};
use crate::streams::model::STREAMS;
use crate::tasks::model::TASKS;
use crate::tasks::model::label::TASK_LABELS;
use crate::tasks::model::overdue::TASK_RULES;
use crate::tasks::model::relation::RELATIONS;
use crate::tasks::model::series::{OCCURRENCES, SERIES};
use crate::tasks::model::template::TEMPLATES;
use crate::trust::model::{APPROVALS, PERMISSION_USES};
use crate::usage::model::budget::{BUDGET_NOTICES, BUDGET_WAITS, BUDGETS};
use crate::usage::model::grant::RUN_GRANTS;
use crate::usage::model::price::PRICES;
use crate::usage::model::{RESERVATIONS, USAGE};
use crate::workspace::model::{BRAND, HANDOVERS, INVITES, MEMBERS, PEOPLE, SETTINGS};
use kernel::Can;
use web::session::Access;

use super::super::model::FILE_REVERTS;

/// Table number, permission to read its history, permission to undo. Members and membership rules change only through
/// their page, because an undo must not restore a role.
const TABLES: &[(u16, Can, Option<Can>)] = &[
    (TASKS.number, Can::Read, Some(Can::Write)),
    (STREAMS.number, Can::Read, Some(Can::Write)),
    (TASK_LABELS.number, Can::Read, Some(Can::Write)),
    (RELATIONS.number, Can::Read, Some(Can::Write)),
    (SERIES.number, Can::Read, Some(Can::Write)),
    (TEMPLATES.number, Can::Read, Some(Can::Write)),
    // A used slot stays used.
    (OCCURRENCES.number, Can::Read, None),
    (COMMENTS.number, Can::Read, Some(Can::Write)),
    (REACTIONS.number, Can::Read, Some(Can::Write)),
    // Reverting a review is a new decision.
    (DELIVERABLES.number, Can::Read, Some(Can::Review)),
    (VERSIONS.number, Can::Read, Some(Can::Write)),
    (REVIEWS.number, Can::Read, Some(Can::Review)),
    (TASK_FILES.number, Can::Read, Some(Can::Write)),
    (LINKS.number, Can::Read, Some(Can::Write)),
    (AGENTS.number, Can::Read, Some(Can::Agents)),
    (REACH.number, Can::Read, Some(Can::Agents)),
    (PACES.number, Can::Read, Some(Can::Agents)),
    (SETTINGS.number, Can::Read, Some(Can::Admin)),
    (BRAND.number, Can::Read, Some(Can::Admin)),
    (KEEPING.number, Can::Admin, Some(Can::Admin)),
    (TASK_RULES.number, Can::Read, Some(Can::Admin)),
    // A URL must not be restored without its key: the current key would be sent to another server.
    (CONNECTIONS.number, Can::Admin, None),
    (CONNECTION_KEYS.number, Can::Admin, None),
    // Like connections: the password would be sent to another server.
    (MAIL.number, Can::Admin, None),
    (SPARE_KEYS.number, Can::Admin, None),
    // The workspace's list needs more: `guard.rs`.
    (FALLBACKS.number, Can::Read, Some(Can::Agents)),
    (USUAL_THINKING.number, Can::Read, Some(Can::Admin)),
    (SUBAGENT_LIMITS.number, Can::Read, Some(Can::Admin)),
    // Workspace-wide limits need more, like host lists: `guard.rs`.
    (RUN_LIMITS.number, Can::Read, Some(Can::Agents)),
    (WINDOWS.number, Can::Admin, Some(Can::Admin)),
    (BUDGETS.number, Can::Read, Some(Can::Admin)),
    (PRICES.number, Can::Read, Some(Can::Admin)),
    (ROUTINES.number, Can::Read, Some(Can::Agents)),
    (ROUTINE_RULES.number, Can::Read, Some(Can::Admin)),
    (MEMBERS.number, Can::Read, None),
    (INVITES.number, Can::Admin, None),
    (PEOPLE.number, Can::Admin, None),
    (INBOX.number, Can::Read, None),
    (RUNS.number, Can::Read, None),
];

/// Tables of `channels` and `reach`, which build on this package and have no descriptors for them.
const CHANNEL_STATES: u16 = 411;
const CHANNEL_CARDS: u16 = 426;
const MCP_STATES: u16 = 435;
const SEARCH_DAYS: u16 = 462;
const MEMBER_SEARCH_DAYS: u16 = 463;
const MCP_GRANTS: u16 = 464;
const SKILL_VERSIONS: u16 = 470;
const MCP_REVOCATIONS: u16 = 482;

/// Tables without history, and the permission to read their rows. Rows of a conversation or run also require access to
/// that conversation.
const ROWS: &[(u16, Can)] = &[
    (SESSIONS.number, Can::Read),
    (SESSION_EVENTS.number, Can::Read),
    (INPUTS.number, Can::Read),
    (CONTEXTS.number, Can::Read),
    (OUTSIDE.number, Can::Read),
    (WRITTEN.number, Can::Read),
    (QUEUE_CHOICES.number, Can::Read),
    (TALK_CHOICES.number, Can::Read),
    (PARKS.number, Can::Read),
    (APPROVALS.number, Can::Read),
    (PERMISSION_USES.number, Can::Read),
    (BROWSER_SHOTS.number, Can::Read),
    (CHILDREN.number, Can::Read),
    (BRANCHES.number, Can::Read),
    (INPUT_GRANTS.number, Can::Read),
    (SENDER_GRANTS.number, Can::Read),
    (READ_MARKS.number, Can::Read),
    (JOBS.number, Can::Read),
    (USAGE.number, Can::Read),
    (RESERVATIONS.number, Can::Read),
    (BUDGET_WAITS.number, Can::Read),
    (RUN_GRANTS.number, Can::Read),
    (RUN_EVIDENCE.number, Can::Read),
    (CLAIM_CHECKS.number, Can::Read),
    (TASK_PROOFS.number, Can::Read),
    (FILE_REVERTS.number, Can::Read),
    (HALTS.number, Can::Read),
    (FIRINGS.number, Can::Read),
    (CLOCKS.number, Can::Read),
    (BUDGET_NOTICES.number, Can::Read),
    // May contain error messages of providers about a key.
    (COOLDOWNS.number, Can::Admin),
    (HANDOVERS.number, Can::Admin),
    (WATCHES.number, Can::Read),
    // Only own rows: `readable.rs`.
    (NOTIFICATIONS.number, Can::Read),
    (RECIPIENTS.number, Can::Read),
    (CHOICES.number, Can::Read),
    (NEEDS_AWAY.number, Can::Read),
    (FANOUTS.number, Can::Admin),
    (DELIVERIES.number, Can::Admin),
    (CHANNEL_STATES, Can::Admin),
    (CHANNEL_CARDS, Can::Admin),
    (MCP_STATES, Can::Admin),
    (MCP_GRANTS, Can::Admin),
    (MCP_REVOCATIONS, Can::Admin),
    (SEARCH_DAYS, Can::Admin),
    (MEMBER_SEARCH_DAYS, Can::Admin),
    (SKILL_VERSIONS, Can::Admin),
];

fn row(table: u16) -> Option<(u16, Can, Option<Can>)> {
    let card = || cards::of_table(table).map(|noun| (table, noun.read, noun.undo));
    TABLES.iter().find(|(number, ..)| *number == table).copied().or_else(card)
}

#[must_use]
pub fn is_listed(table: u16) -> bool {
    row(table).is_some()
}

/// Returns `true` if the history of the table's records is readable.
#[must_use]
pub fn may_read(access: Access, table: u16) -> bool {
    row(table).is_some_and(|(_, read, _)| access.may(read))
}

/// Returns `true` if any rows of the table are readable.
#[must_use]
pub fn may_read_rows(access: Access, table: u16) -> bool {
    let needs = ROWS.iter().find(|(number, _)| *number == table).map(|(_, can)| *can);
    needs.or(row(table).map(|(_, read, _)| read)).is_some_and(|can| access.may(can))
}

/// Returns `true` if changes in the table can be undone.
#[must_use]
pub fn may_undo(access: Access, table: u16) -> bool {
    row(table).and_then(|(.., undo)| undo).is_some_and(|undo| access.may(undo))
}
