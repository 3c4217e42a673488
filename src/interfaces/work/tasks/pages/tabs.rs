//! The views above a task list, each with its number of tasks. A region of its own, so that the numbers are counted
//! only when they may have changed, not whenever rows are drawn.

use std::sync::Arc;

use axum::response::Response;

use super::frame::{Counts, understand};
use super::state::{State, TasksPageParams};
use ::list::frame::{Tabs, ViewTab};
use app::Ws;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::list::{self, Filter};
use features::tasks::queries::looks;
use features::tasks::queries::view_context::ViewContext;
use kernel::filter::{Query, Term};
use store::Read;
use web::error::PageError;
use web::html;
use web::live::Live;
use web::session::Person;

/// Name of the region in addresses.
pub(super) const PART: &str = "views";
/// Tables that affect the numbers of every view.
const COUNTED: &[&str] = &["tasks", "views", "deliverables", "inbox", "parks"];
/// Further tables that affect views with certain terms: key, value (empty for any), tables.
const COUNTED_BY: &[(&str, &str, &[&str])] = &[
    ("label", "", &["task_labels", "labels"]),
    ("stream", "", &["streams"]),
    ("is", "blocked", &["task_relations"]),
    ("is", "unread", &["notification_recipients"]),
    ("blocks", "", &["task_relations"]),
    ("blocked-by", "", &["task_relations"]),
    ("has", "comment", &["comments"]),
    ("has", "attachment", &["task_files"]),
    ("has", "run", &["runs"]),
    ("agent-state", "", &["agents", "runs"]),
    ("watcher", "", &["watches", "agents"]),
    ("cost", "", &["usage"]),
];

/// The reader's views, the built-in ones first.
pub fn new(
    scene: &ViewContext,
    read: &dyn Read,
    state: &State,
    counts: Counts,
) -> Result<Tabs, TaskError> {
    let ws = &scene.ws;
    let all = looks::all(read, scene.me)?;
    let queries: Vec<Query> = all.iter().map(|view| Query::parse(&view.look.q)).collect();
    let tables = counted(&queries);
    let live = Live::new(state.url_with(ws, &[("part", PART)])).tables(&tables);
    let totals = match counts {
        Counts::Left => vec![0; all.len()].into(),
        Counts::Shown => totals(scene, read, &queries, &tables)?,
    };
    let mut tabs = Vec::new();
    for (view, &count) in all.into_iter().zip(totals.iter()) {
        let current = view.slug == state.view.slug;
        let plain = State::of(&TasksPageParams::default(), view.clone());
        tabs.push(ViewTab {
            count,
            href: plain.url(ws),
            current,
            changed: current && state.is_changed(),
            label: view.label(),
            saved: view.id.is_some(),
        });
    }
    Ok(Tabs { id: "task-views", live: live.debounced(), tabs })
}

/// The views alone, with current numbers.
pub fn show(ws: &Ws, who: &Person, state: &State) -> Result<Response, PageError> {
    let tabs = ws.read(|snap| {
        let scene = ViewContext::new(ws, who, snap)?;
        new(&scene, snap, state, Counts::Shown)
    })?;
    html::fragment(&tabs)
}

/// Number of matches of each query, cached until one of the tables changes.
fn totals(
    scene: &ViewContext,
    read: &dyn Read,
    queries: &[Query],
    tables: &[&str],
) -> Result<Arc<[usize]>, TaskError> {
    let ws = &scene.ws;
    let schema = ws.store.schema();
    // Resolving names depends on members and reporting lines, and readiness depends on relations.
    let tables = tables.iter().copied().chain(["agents", "members", "task_relations"]);
    let tables: Vec<u16> = tables.filter_map(|name| Some(schema.named(name)?.number)).collect();
    let today = due::day(scene.today.now, &scene.today.zone);
    let zone = scene.today.zone.iana_name().unwrap_or_default();
    let mut question = format!("{} {zone} {today}", scene.me);
    for query in queries {
        question.push('\n');
        question.push_str(&query.to_string());
    }
    let count = || {
        let filter = |query: &Query| Ok(Filter::of(understand(scene, read, query)?.terms));
        let filters: Result<Vec<Filter>, TaskError> = queries.iter().map(filter).collect();
        Ok(list::totals(read, &filters?, &scene.today)?)
    };
    let moment = (&ws.store, read.last_seq()?, scene.today.now);
    ws.numbers.get(moment, (&question, &tables), count)
}

/// The tables that affect the numbers of these queries, without duplicates.
fn counted(queries: &[Query]) -> Vec<&'static str> {
    let mut tables = COUNTED.to_vec();
    for (key, value, more) in COUNTED_BY {
        let meant = |one: &String| value.is_empty() || one.eq_ignore_ascii_case(value);
        let asks = |term: &Term| term.key == *key && term.values.iter().any(meant);
        if queries.iter().any(|query| query.terms.iter().any(asks)) {
            tables.extend(more.iter().copied().filter(|table| !COUNTED.contains(table)));
        }
    }
    tables.sort_unstable();
    tables.dedup();
    tables
}

#[cfg(test)]
mod tests {
    use super::{COUNTED, COUNTED_BY, counted};
    use features::tasks::queries::keys::KEYS;
    use features::tasks::queries::looks;
    use kernel::filter::{self, Query};

    #[test]
    fn numbers_wait_for_those_tables_alone_of_which_a_view_tells() {
        let parse = |all: &[&str]| all.iter().map(|q| Query::parse(q)).collect::<Vec<_>>();
        let mut usual = COUNTED.to_vec();
        usual.sort_unstable();
        let built_in: Vec<String> = looks::built_in().into_iter().map(|one| one.look.q).collect();
        let built_in: Vec<&str> = built_in.iter().map(String::as_str).collect();
        assert_eq!(counted(&parse(&built_in)), usual);
        let more = counted(&parse(&["is:open -label:launch", "IS:open,Unread has:comment"]));
        let added: Vec<_> = more.into_iter().filter(|table| !usual.contains(table)).collect();
        assert_eq!(added, ["comments", "labels", "notification_recipients", "task_labels"]);
    }

    #[test]
    fn the_keys_that_bring_tables_are_those_of_tasks() {
        for (key, ..) in COUNTED_BY {
            assert!(filter::key(KEYS, key).is_some(), "{key}");
        }
    }
}
