//! Which API routes are tools, and under which names. Nouns on the kit are added by their descriptors.
//!
//! A route is a tool only if three checks agree: it is listed here or belongs to a noun of the kit, its path is below
//! none of the [`NEVER`] prefixes, and its capability is one of [`CAPABILITIES`].

use std::collections::HashMap;

use axum::http::Method;
use kernel::Can;
use kit::{Answers, Noun, On};
use tool::Effect;
use web::routes::RouteInfo;

/// A route that is a tool.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Replaces a route's summary that is clear only beside its path; empty for none.
    pub(super) about: &'static str,
    /// Fields of the body that are no arguments.
    pub(super) without: &'static [&'static str],
    /// Changes and deletes nothing that exists.
    pub(super) only_adds: bool,
    /// Refuses knowledge items other than pages.
    pub(super) only_pages: bool,
}

/// Routes below `/api/v1` that no tool reaches, whatever else says so.
const NEVER: [&str; 34] = [
    "/files",
    "/knowledge/files",
    "/deliverables/versions",
    "/jobs",
    "/browser",
    "/browsers",
    "/secrets",
    "/approvals",
    "/permissions",
    "/tokens",
    "/me",
    "/proof",
    "/people",
    "/members",
    "/invites",
    "/users",
    "/settings",
    "/connections",
    "/models",
    "/meaning",
    "/backups",
    "/channels",
    "/channel-people",
    "/channel-rooms",
    "/channel-routes",
    "/channel-messages",
    "/channel-deliveries",
    "/gateways",
    "/hosts",
    "/mcp-servers",
    "/mcp-tools",
    "/skills",
    "/skill-lists",
    "/search-engines",
];

/// Capabilities that tools may need. Administration, approvals and browsers are not among them.
const CAPABILITIES: [Can; 4] = [Can::Read, Can::Write, Can::Chat, Can::Agents];

/// Tools of [`OLDER`] that add something and change or delete nothing that exists.
const ADDING: [&str; 12] = [
    "task_create",
    "relation_add",
    "link_add",
    "comment_add",
    "record_comment_add",
    "contact_create",
    "org_create",
    "interaction_log",
    "collection_create",
    "record_create",
    "page_create",
    "routine_create",
];

/// Tools that change or delete pages. Their routes also take files and skills, which no tool changes.
const ONLY_PAGES: [&str; 2] = ["page_update", "page_delete"];

/// Fields of a body that are no arguments: those for skills and files.
const WITHOUT: [(&str, &[&str]); 2] = [("page_create", &["kind"]), ("page_update", &["encoding"])];

/// Name, method, path below `/api/v1`, and a description where the route's summary is not enough.
static OLDER: [(&str, Method, &str, &str); 72] = [
    ("task_list", Method::GET, "/tasks", ""),
    ("task_get", Method::GET, "/tasks/{task}", ""),
    ("task_create", Method::POST, "/tasks", ""),
    ("task_update", Method::PATCH, "/tasks/{task}", ""),
    ("task_start", Method::POST, "/tasks/{task}/start", ""),
    ("task_reopen", Method::POST, "/tasks/{task}/reopen", ""),
    ("task_label", Method::POST, "/tasks/{task}/labels", ""),
    ("relation_list", Method::GET, "/tasks/{task}/relations", ""),
    ("relation_add", Method::POST, "/tasks/{task}/relations", ""),
    ("relation_remove", Method::DELETE, "/tasks/{task}/relations/{relation}", ""),
    ("link_list", Method::GET, "/tasks/{task}/links", ""),
    ("link_add", Method::POST, "/tasks/{task}/links", ""),
    ("link_remove", Method::DELETE, "/links/{link}", ""),
    ("comment_list", Method::GET, "/tasks/{task}/comments", ""),
    ("comment_add", Method::POST, "/tasks/{task}/comments", ""),
    ("comment_get", Method::GET, "/comments/{comment}", ""),
    ("comment_update", Method::PATCH, "/comments/{comment}", ""),
    ("comment_delete", Method::DELETE, "/comments/{comment}", ""),
    ("record_comment_list", Method::GET, "/on/{place}/comments", ""),
    ("record_comment_add", Method::POST, "/on/{place}/comments", ""),
    ("deliverable_list", Method::GET, "/deliverables", ""),
    ("task_deliverable_list", Method::GET, "/tasks/{task}/deliverables", ""),
    ("deliverable_get", Method::GET, "/deliverables/{piece}", ""),
    ("contact_list", Method::GET, "/contacts", "List contacts"),
    ("contact_get", Method::GET, "/contacts/{id}", "Show a contact with the origin of each value"),
    ("contact_create", Method::POST, "/contacts", "Create a contact. Values are keyed by field"),
    (
        "contact_update",
        Method::PATCH,
        "/contacts/{id}",
        "Change a contact. Omitted fields stay, `null` clears a value",
    ),
    ("contact_delete", Method::DELETE, "/contacts/{id}", "Delete a contact. Can be undone"),
    (
        "contact_interaction_list",
        Method::GET,
        "/contacts/{id}/interactions",
        "Interactions with a contact, newest first",
    ),
    ("org_list", Method::GET, "/organizations", "List organizations"),
    (
        "org_get",
        Method::GET,
        "/organizations/{id}",
        "Show an organization with the origin of each value",
    ),
    (
        "org_create",
        Method::POST,
        "/organizations",
        "Create an organization. Values are keyed by field",
    ),
    (
        "org_update",
        Method::PATCH,
        "/organizations/{id}",
        "Change an organization. Omitted fields stay, `null` clears a value",
    ),
    ("org_delete", Method::DELETE, "/organizations/{id}", "Delete an organization. Can be undone"),
    (
        "org_interaction_list",
        Method::GET,
        "/organizations/{id}/interactions",
        "Interactions with an organization, newest first",
    ),
    ("interaction_log", Method::POST, "/interactions", ""),
    ("interaction_update", Method::PATCH, "/interactions/{id}", ""),
    ("interaction_delete", Method::DELETE, "/interactions/{id}", ""),
    ("field_list", Method::GET, "/fields", ""),
    ("collection_list", Method::GET, "/collections", "List collections by name"),
    ("collection_get", Method::GET, "/collections/{id}", ""),
    ("collection_create", Method::POST, "/collections", ""),
    ("collection_update", Method::PATCH, "/collections/{id}", ""),
    ("collection_delete", Method::DELETE, "/collections/{id}", ""),
    (
        "record_query",
        Method::GET,
        "/collections/{id}/records",
        "Records of a collection, by words and conditions",
    ),
    (
        "record_get",
        Method::GET,
        "/records/{id}",
        "Show a record of a collection with the origin of each value",
    ),
    (
        "record_create",
        Method::POST,
        "/collections/{id}/records",
        "Create a record in a collection. Values are keyed by field",
    ),
    (
        "record_update",
        Method::PATCH,
        "/records/{id}",
        "Change a record of a collection. Omitted fields stay, `null` clears a value",
    ),
    (
        "record_delete",
        Method::DELETE,
        "/records/{id}",
        "Delete a record of a collection. Can be undone",
    ),
    ("knowledge_search", Method::GET, "/knowledge", ""),
    (
        "knowledge_read",
        Method::GET,
        "/knowledge/{id}",
        "A page, skill or file with its text, by id or title",
    ),
    ("knowledge_folder_list", Method::GET, "/knowledge/folders", ""),
    ("page_create", Method::POST, "/knowledge", "Create a page"),
    (
        "page_update",
        Method::PATCH,
        "/knowledge/{id}",
        "Change a page. With `base`, the text you started from, `text` is merged with later changes",
    ),
    ("page_delete", Method::DELETE, "/knowledge/{id}", "Delete a page"),
    ("routine_list", Method::GET, "/routines", ""),
    ("routine_get", Method::GET, "/routines/{routine}", "Show a routine"),
    ("routine_create", Method::POST, "/routines", ""),
    ("routine_update", Method::PUT, "/routines/{routine}", ""),
    ("routine_delete", Method::DELETE, "/routines/{routine}", ""),
    ("routine_pause", Method::POST, "/routines/{routine}/pause", "Pause a routine"),
    ("routine_resume", Method::POST, "/routines/{routine}/resume", "Resume a routine from now"),
    ("routine_run", Method::POST, "/routines/{routine}/run", "Run a routine now"),
    (
        "routine_test",
        Method::POST,
        "/routines/{routine}/test",
        "Test a routine: conditions, instruction, next runs. Starts nothing and costs nothing",
    ),
    (
        "routine_history",
        Method::GET,
        "/routines/{routine}/runs",
        "Runs and skipped events of a routine, newest first",
    ),
    ("routine_event_list", Method::GET, "/routines/events", ""),
    ("agent_list", Method::GET, "/agents", ""),
    ("agent_get", Method::GET, "/agents/{agent}", ""),
    ("message_agent", Method::POST, "/agents/{agent}/messages", ""),
    ("conversation_list", Method::GET, "/agents/{agent}/sessions", ""),
    (
        "conversation_read",
        Method::GET,
        "/sessions/{session}/events",
        "Messages and steps of a conversation, oldest first. Ask again with `after` for more",
    ),
    ("workspace_search", Method::GET, "/search", ""),
];

/// The tools by method and path.
pub(super) fn rows(nouns: impl Iterator<Item = &'static Noun>) -> HashMap<(Method, String), Row> {
    let mut rows = HashMap::new();
    for (name, method, path, about) in &OLDER {
        let without = WITHOUT.iter().find(|(of, _)| of == name);
        let row = Row {
            name: (*name).to_owned(),
            about,
            without: without.map_or(&[], |(_, fields)| fields),
            only_adds: ADDING.contains(name),
            only_pages: ONLY_PAGES.contains(name),
        };
        rows.insert((method.clone(), (*path).to_owned()), row);
    }
    let mut add = |name: String, method: &Method, path: String, only_adds: bool| {
        let row = Row { name, about: "", without: &[], only_adds, only_pages: false };
        rows.insert((method.clone(), path), row);
    };
    for noun in nouns {
        let word = noun.entity.word.replace(['-', ' '], "_");
        let param = if noun.param.is_empty() { noun.entity.word } else { noun.param };
        let (all, one) = (format!("/{}", noun.plural), format!("/{}/{{{param}}}", noun.plural));
        if NEVER.contains(&all.as_str()) {
            continue;
        }
        add(format!("{word}_list"), &Method::GET, all.clone(), false);
        add(format!("{word}_get"), &Method::GET, one.clone(), false);
        add(format!("{word}_create"), &Method::POST, all.clone(), true);
        add(format!("{word}_update"), &Method::PATCH, one.clone(), false);
        add(format!("{word}_delete"), &Method::DELETE, one.clone(), false);
        for op in noun
            .ops
            .iter()
            .filter(|op| !matches!(op.answers, Answers::Secret(_) | Answers::Link(_)))
        {
            let place = if op.on == On::One { &one } else { &all };
            let name = format!("{word}_{}", op.name.replace('-', "_"));
            let only_adds = matches!(op.effect, Effect::Read | Effect::Add);
            add(name, &Method::POST, format!("{place}/{}", op.name), only_adds);
        }
    }
    rows
}

/// Whether a route may be a tool at all.
pub(super) fn is_open(route: &RouteInfo) -> bool {
    let is_below = |prefix: &&str| {
        let rest = route.path.strip_prefix(*prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !NEVER.iter().any(is_below)
        && CAPABILITIES.contains(&route.can)
        && !route.proved
        && route.doc.is_some()
}

#[cfg(test)]
mod tests {
    use super::{ADDING, OLDER, ONLY_PAGES, WITHOUT, is_open, rows};
    use axum::http::Method;
    use kernel::Can;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use web::routes::{Doc, RouteInfo};

    fn route(path: &'static str, can: Can) -> RouteInfo {
        let doc: web::routes::DocFn = Arc::new(|| Doc::new("Something"));
        RouteInfo { method: Method::GET, path: path.into(), can, proved: false, doc: Some(doc) }
    }

    #[test]
    fn names_are_unique_and_short_enough_for_every_client() {
        let all = rows(crate::doors::nouns());
        let names: BTreeSet<&str> = all.values().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for name in names {
            let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain && name.len() <= 48, "{name}");
        }
        assert!(OLDER.len() < all.len());
    }

    #[test]
    fn exceptions_name_tools_that_exist() {
        let names: BTreeSet<&str> = OLDER.iter().map(|(name, ..)| *name).collect();
        let excepted = ADDING.into_iter().chain(ONLY_PAGES).chain(WITHOUT.map(|(name, _)| name));
        for name in excepted {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn every_change_of_a_knowledge_item_is_limited_to_pages() {
        for (name, method, path, _) in &OLDER {
            let changes = *path == "/knowledge/{id}" && *method != Method::GET;
            assert_eq!(ONLY_PAGES.contains(name), changes, "{name}");
        }
    }

    #[test]
    fn forbidden_paths_and_rights_are_never_tools() {
        assert!(is_open(&route("/tasks", Can::Read)));
        for path in [
            "/secrets",
            "/secrets/{id}",
            "/channels/{channel}/pair",
            "/tokens",
            "/settings",
            "/mcp-tools/{tool}/approve",
        ] {
            assert!(!is_open(&route(path, Can::Write)), "{path}");
        }
        assert!(is_open(&route("/messages", Can::Chat)));
        for can in [Can::Admin, Can::Own, Can::Approve, Can::Browser, Can::Account, Can::Local] {
            assert!(!is_open(&route("/tasks", can)), "{can}");
        }
        assert!(!is_open(&RouteInfo { proved: true, ..route("/tasks", Can::Write) }));
    }
}
