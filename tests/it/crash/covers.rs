//! Load for each kind of record and event. A kind without an entry here fails at once; a kind with an entry that was
//! never written fails the crash test.

use std::collections::BTreeSet;

use server::schema;
use store::{Kind, Schema};

/// Which desk writes rows to which tables.
const TABLES: &[(&str, &[&str])] = &[
    (
        "tasks",
        &[
            "tasks",
            "comments",
            "reactions",
            "task_links",
            "deliverables",
            "deliverable_versions",
            "reviews",
            "task_files",
        ],
    ),
    ("calendar", &["series", "occurrences"]),
    ("groups", &["labels", "task_labels", "task_relations", "streams"]),
    ("plans", &["views", "task_templates", "task_rules"]),
    ("customers", &["contacts", "organizations", "collections", "records", "fields"]),
    ("customers", &["interactions", "knowledge_folders", "knowledge_items", "knowledge_bodies"]),
    ("customers", &["knowledge_versions"]),
    ("routines", &["routines", "routine_rules", "routine_runs", "routine_clocks"]),
    ("notices", &["watches", "notifications", "notification_recipients", "notification_choices"]),
    ("notices", &["deliveries", "mail_settings", "notification_secrets", "push_subscriptions"]),
    ("agents", &["agents", "agent_reach", "agent_browsers", "model_fallbacks"]),
    ("runs of agents", &["inbox", "runs", "sessions", "session_events", "counters"]),
    ("chats", &["queued_inputs", "jobs", "usage", "reservations", "model_ratios", "file_reverts"]),
    ("chats", &["subagents", "read_marks"]),
    ("yeses", &["approvals"]),
    ("the consumer", &["usage_days", "usage_day_zone", "usage_sources"]),
    ("connections", &["connections", "connection_keys", "connection_spare_keys", "model_offers"]),
    ("accounts", &["connection_grants", "connection_logins"]),
    ("connections", &["connection_windows", "usual_thinking", "model_cooldowns"]),
    ("people", &["members", "invites", "invite_hashes", "people", "accounts", "passwords"]),
    ("people", &["sign_ins", "last_seen", "api_tokens", "api_token_hashes", "last_used"]),
    ("people", &["links", "totp", "recovery_codes", "known_devices"]),
    ("heirs", &["handovers"]),
    ("holds", &["halts", "queue_choices", "session_contexts", "parks", "session_branches"]),
    ("holds", &["subagent_limits", "talk_choices", "inbox_paces", "run_limits"]),
    ("holds", &["budgets", "budget_notices", "budget_waits"]),
    ("workspaces", &["workspaces", "settings", "onboarding"]),
    ("upkeep", &["retention", "prices"]),
    ("backups", &["backup_settings", "backup_secrets", "backup_runs", "backups_kept"]),
    ("backups", &["backup_places"]),
    ("the store", &["feed", "references", "consumers", "once", "tombstones", "meta", "redacted"]),
    ("the store", &["blob_references"]),
];

/// Which desk causes which events.
const EVENTS: &[(&str, &[&str])] = &[
    ("tasks", &["task.created", "task.changed", "task.assigned", "task.status_changed"]),
    ("tasks", &["comment.added", "deliverable.submitted", "deliverable.reviewed"]),
    ("tasks", &["file.added", "file.removed"]),
    ("groups", &["label.created", "label.changed", "label.deleted", "stream.created"]),
    ("groups", &["stream.changed", "task.unblocked", "task.start_asked"]),
    ("customers", &["contact.created", "contact.changed", "contact.deleted"]),
    ("customers", &["organization.created", "organization.changed", "organization.deleted"]),
    ("customers", &["collection.created", "collection.changed", "collection.deleted"]),
    ("customers", &["record.created", "record.changed", "record.deleted"]),
    ("customers", &["field.created", "field.changed", "field.deleted"]),
    ("customers", &["folder.created", "folder.changed", "folder.deleted"]),
    ("customers", &["knowledge.created", "knowledge.changed", "knowledge.deleted"]),
    ("customers", &["knowledge_text.created", "knowledge_text.changed"]),
    ("customers", &["knowledge_text.deleted", "knowledge_version.created"]),
    ("customers", &["interaction.created", "interaction.changed", "interaction.deleted"]),
    ("routines", &["routine.changed", "routine.fired"]),
    ("notices", &["notice.given"]),
    ("agents", &["agent.created", "agent.status_changed", "agent.archived", "agent.succeeded"]),
    ("runs of agents", &["item.enqueued", "item.ended", "run.started", "run.ended"]),
    ("runs of agents", &["runs.taken_up"]),
    ("chats", &["agent.message_sent", "input.queued", "run.stop_requested"]),
    (
        "chats",
        &[
            "job.input_sent",
            "job.ended",
            "job.stop_requested",
            "subagent.spawned",
            "subagent.ended",
        ],
    ),
    ("yeses", &["approval.answered"]),
    ("connections", &["connection.changed"]),
    ("people", &["member.joined", "member.left", "member.role_changed", "invite.created"]),
    ("people", &["invite.withdrawn", "invite.accepted", "account.signed_in"]),
    ("people", &["account.signed_out", "account.factor_changed", "token.created"]),
    ("people", &["token.revoked"]),
    ("heirs", &["member.handed_over", "account.disabled", "account.enabled"]),
    ("holds", &["work.halted", "work.resumed", "session.compaction_asked"]),
    ("holds", &["run.asks", "run.answered"]),
    ("holds", &["budget.changed", "budget.warned", "budget.reached"]),
    ("workspaces", &["workspace.added", "workspace.state_changed", "workspace.removed"]),
    ("upkeep", &["record.redacted", "consumer.changed", "undo.applied", "price.changed"]),
    ("backups", &["backup.made", "backup.failed"]),
];

/// What is covered by other tests, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("passkeys", "needs an authenticator that signs; tests/it/passkeys.rs has one"),
    ("passkey_use", "as passkeys"),
    ("restores", "written with the program stopped; src/backup/swap.rs is cut off everywhere"),
    ("agent.moved", "follows a commit in the agent's files; tests/it/agent_upgrade.rs"),
    ("visits", "one row, which the next page of its person writes anew; tests/it/activity.rs"),
    ("needs_away", "one row a person, as visits; tests/it/needs.rs puts it off and brings it back"),
    ("missions_away", "one row, which a repeat writes as it was; tests/it/onboarding.rs"),
    ("suggestions", "written by agents beside a person's value; src/crm/tests/it/whole.rs has one"),
    ("suggestion.created", "as suggestions"),
    ("suggestion.changed", "as suggestions"),
    ("suggestion.deleted", "as suggestions"),
    ("knowledge_readings", "made anew from their files; src/knowledge/tests/it/whole.rs"),
    ("knowledge_version.changed", "a version never changes"),
    ("knowledge_version.deleted", "a version goes only with its item"),
    (
        "knowledge_suggestions",
        "written by agents in what others read; src/knowledge/tests/it/whole/agents.rs has some",
    ),
    ("knowledge_suggestion.created", "as knowledge_suggestions"),
    ("knowledge_suggestion.changed", "as knowledge_suggestions"),
    ("knowledge_suggestion.deleted", "as knowledge_suggestions"),
    ("knowledge_uses", "counts beside the items; src/knowledge/tests/it/whole/agents.rs has some"),
    ("knowledge_openings", "as knowledge_uses"),
    ("model_choices", "needs the files of a model; src/knowledge/tests/meaning.rs has some"),
    ("model_choice.created", "as model_choices"),
    ("model_choice.changed", "a choice never changes"),
    ("model_choice.deleted", "as model_choice.changed"),
    ("vector_sources", "needs a server that makes vectors; src/knowledge/tests/vectors.rs has one"),
    ("vector_source.created", "as vector_sources"),
    ("vector_source.changed", "a choice never changes"),
    ("vector_source.deleted", "as vector_source.changed"),
    ("knowledge_marks", "one row for a name; src/knowledge/tests/it/whole/marks.rs has some"),
    ("knowledge_mark.created", "as knowledge_marks"),
    ("knowledge_mark.changed", "as knowledge_marks"),
    ("knowledge_mark.deleted", "as knowledge_marks"),
    (
        "sources",
        "read what lies outside of the data folder; src/sources/tests/it has folders and sites",
    ),
    ("channels", "needs a messenger; tests/it/channels.rs has one and stops while it sends"),
    ("channel_states", "as channels"),
    ("channel_people", "as channels"),
    ("channel_pair_links", "as channels"),
    ("channel_rooms", "as channels"),
    ("channel_routes", "as channels"),
    ("channel_messages", "as channels"),
    ("channel_deliveries", "as channels"),
    ("channel_cards", "as channels"),
    ("claim_checks", "in the transaction of a delivery; tests/it/proof.rs has some"),
    ("search_engines", "settings; tests/it/web_search.rs has some"),
    ("search_days", "counts of searches; tests/it/web_search.rs has some"),
    ("member_search_days", "as search_days"),
    ("search-engine.created", "as search_engines"),
    ("search-engine.changed", "as search_engines"),
    ("search-engine.deleted", "as search_engines"),
    ("mcp_servers", "needs a server of tools; tests/it/mcp.rs has one and stops while it runs"),
    ("mcp_states", "as mcp_servers"),
    ("mcp_tools", "as mcp_servers"),
    ("mcp-server.created", "as mcp_servers"),
    ("mcp-server.changed", "as mcp_servers"),
    ("mcp-server.deleted", "as mcp_servers"),
    ("mcp-tool.created", "as mcp_servers"),
    ("mcp-tool.changed", "as mcp_servers"),
    ("mcp-tool.deleted", "as mcp_servers"),
    ("channel.created", "as channels"),
    ("channel.changed", "as channels"),
    ("channel.deleted", "as channels"),
    ("channel-person.created", "as channels"),
    ("channel-person.changed", "as channels"),
    ("channel-person.deleted", "as channels"),
    ("channel-room.created", "as channels"),
    ("channel-room.changed", "as channels"),
    ("channel-room.deleted", "as channels"),
    ("channel-route.created", "as channels"),
    ("channel-route.changed", "as channels"),
    ("channel-route.deleted", "as channels"),
    ("channel-message.created", "as channels"),
    ("channel-message.changed", "as channels"),
    ("channel-message.deleted", "as channels"),
    ("channel-delivery.created", "as channels"),
    ("channel-delivery.changed", "as channels"),
    ("channel-delivery.deleted", "as channels"),
    ("source_states", "as sources"),
    ("source_items", "as sources"),
    ("source_runs", "as sources; rules.rs there ends the program in the middle of one"),
    ("source_writes", "as sources"),
    ("source.created", "as sources"),
    ("source.changed", "as sources"),
    ("source.deleted", "as sources"),
    ("source_item.created", "no rule tells of pages one by one: the items are told"),
    ("source_item.changed", "as source_item.created"),
    ("source_item.deleted", "as source_item.created"),
    ("trust_modes", "one row for a choice, as agent_browsers"),
    ("permissions", "a rule of one row; tests/it/approvals.rs stops and starts over them"),
    (
        "permission_uses",
        "counts beside permissions, in the transaction of a call; tests/it/permissions.rs",
    ),
    ("judged_calls", "as permission_uses; tests/it/permissions.rs stops and starts over them"),
    ("outside_labels", "written with the event that brings it; tests/it/approvals.rs"),
    ("outside_writings", "as outside_labels"),
    ("agent_mode.created", "no rule tells of modes: their rows are told"),
    ("agent_mode.changed", "as agent_mode.created"),
    ("agent_mode.deleted", "as agent_mode.created"),
    ("permission.created", "as permissions"),
    ("permission.changed", "no rule changes one: it is made and removed"),
    ("permission.deleted", "as permissions"),
    ("secrets", "written as connections are, with their sealed rows; src/vault/tests/it/rules.rs"),
    ("secret_values", "as secrets"),
    ("secret_uses", "written with the step of a run that uses one; src/vault/tests/it/doors.rs"),
    ("secret_masks", "a row that a person adds, as agent_browsers"),
    ("secret_receipts", "written with what hosts confirm; tests/it/away_secrets.rs"),
    ("secret_mask.created", "as secret_masks"),
    ("secret_mask.changed", "no rule changes one: it is made and removed"),
    ("secret_mask.deleted", "as secret_masks"),
    ("key_rotations", "cut off between its pieces in src/vault/tests/it/rotation.rs"),
    ("master_key.changed", "as key_rotations"),
    ("secret.created", "as secrets"),
    ("secret.changed", "as secrets"),
    ("secret.deleted", "as secrets"),
    ("gateways", "rows as agent_browsers; tests/it/gateways.rs stops and starts over them"),
    ("gateway_tokens", "as gateways"),
    ("gateway_keys", "one row, which the first token makes; tests/it/gateways.rs"),
    ("gateway_beats", "counts beside gateways, every ten seconds anew"),
    ("agent_places", "one row for a choice, as agent_browsers"),
    ("former_places", "written with agent_places"),
    ("agent_place.created", "as agent_places"),
    ("agent_place.changed", "as agent_places"),
    ("agent_place.deleted", "as agent_places"),
    ("run_answers", "written with what hosts say; tests/it/away.rs"),
    ("input_grants", "written with messages of messengers; tests/it/runtime/senders.rs"),
    ("sender_grants", "as input_grants"),
    ("run_grants", "as run_answers; tests/it/away/alone.rs kills the host"),
    ("run_evidence", "as run_answers; tests/it/away/alone.rs"),
    ("outbox", "on hosts alone; tests/it/away/alone.rs kills one that has some"),
    ("gateway.created", "as gateways"),
    ("gateway.changed", "as gateways"),
    ("gateway.deleted", "as gateways"),
    ("gateway_token.created", "as gateways"),
    ("gateway_token.changed", "as gateways"),
    ("gateway_token.deleted", "old tokens go without a word"),
    ("secret_use.created", "as secret_uses"),
    ("secret_use.changed", "no rule tells of further uses in a run"),
    ("secret_use.deleted", "a use goes only with its secret"),
    ("agent_browser.created", "no rule tells of switches: their rows are told"),
    ("agent_browser.changed", "as agent_browser.created"),
    ("agent_browser.deleted", "as agent_browser.created"),
    ("browser_policies", "one row for a choice, as agent_browsers"),
    ("browser_policy.created", "as agent_browser.created"),
    ("browser_policy.changed", "as agent_browser.created"),
    ("browser_policy.deleted", "as agent_browser.created"),
    ("browser_shots", "need a Chromium; tests/it/browser_asks.rs has one"),
    ("browser.wheel", "a line beside what is in memory alone; tests/it/browser_view.rs"),
    ("conversions", "as imports; src/crm/tests/it/kinds.rs"),
    ("imports", "go on from a cursor after a restart; src/crm/tests/imports.rs"),
    ("overdue_marks", "needs days to pass; tests/it/overdue.rs moves the clock"),
    ("task.escalated", "written as comments are, by tests/it/lines.rs"),
    ("workspace.exported", "a line beside a file that is made anew; tests/it/backup/portable.rs"),
    ("agent.files_changed", "a line beside a commit, written behind it; tests/it/finder.rs"),
    ("store.restored", "as restores"),
    ("store.mended", "needs a damaged store; src/store/tests/it/operate.rs and ops_health.rs"),
    ("counting.reset", "needs a provider that counts too much; tests/it/prices.rs has one"),
    ("notification_fanouts", "needs more people than a page; tests/it/notifications.rs"),
    ("appearances", "one row for a choice, as passwords; tests/it/appearance.rs"),
    ("brand", "one row for a choice, as settings; tests/it/appearance.rs"),
    ("rebuilds", "has a row only while a rebuild goes on; consumer.changed tells of each"),
];

/// Tables that the crash test must have written.
pub fn loaded_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(_, names)| names.iter().copied())
}

/// Events that the crash test must have seen.
pub fn loaded_events() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().flat_map(|(_, names)| names.iter().copied())
}

#[test]
fn every_kind_of_record_and_event_has_a_load() {
    let of = |schema: Schema| {
        let rows = schema
            .tables()
            .iter()
            .filter(|info| matches!(info.kind, Kind::Record(_) | Kind::Builtin));
        rows.map(|info| info.name).collect::<BTreeSet<_>>()
    };
    let known: BTreeSet<_> = of(schema::workspace())
        .into_iter()
        .chain(of(schema::system()))
        .chain(features::cards::event_names())
        .collect();
    let mut loaded = BTreeSet::new();
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    for name in loaded_tables().chain(loaded_events()).chain(elsewhere) {
        assert!(loaded.insert(name), "{name} stands here twice");
    }
    let missing: Vec<_> = known.difference(&loaded).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} can be killed in the middle and no desk of the crash test writes them: let one do \
         it and name it in tests/it/crash/covers.rs"
    );
    let unknown: Vec<_> = loaded.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} do not exist");
}
