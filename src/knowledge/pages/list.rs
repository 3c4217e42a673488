//! The list of items with folders, and the preview of agents' context.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::global_search::queries::asking::{self, Asking};
use features::global_search::queries::view::marked;
use features::tasks::queries::view_context::ViewContext;
use kernel::{AgentId, Assignee};
use search::Wanted;
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::Query;
use web::format::{self, query_value};
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face, Share, Tab, Tone, shares};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::bulk::BulkBar;
use super::{Readers, badge, sheet};
use crate::context::{self, BUDGET};
use crate::error::KnowledgeError;
use crate::find::{self, By, FindRequest, Found, Hit, Seer};
use crate::found;
use crate::lines;
use crate::links;
use crate::model::{
    BODIES, Body, FOLDERS, Folder, FolderId, ITEMS, ItemKind, READINGS, Reading, Scope, Text,
};
use crate::queries::Tree;
use crate::readers::{self, Reader};

/// Items per page.
const PAGE: usize = 50;
/// Length of a row's excerpt in characters, and the bytes read for it.
const BEGINNING: usize = 200;
const LOOKED: usize = 2_000;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KnowledgePageParams {
    q: String,
    kind: String,
    folder: String,
    scope: String,
    archived: String,
    by: String,
    page: usize,
}

impl KnowledgePageParams {
    /// The address of the list with one parameter changed.
    fn with(&self, base: &str, key: &str, value: &str) -> String {
        let pairs = [
            ("q", self.q.as_str()),
            ("kind", self.kind.as_str()),
            ("folder", self.folder.as_str()),
            ("scope", self.scope.as_str()),
            ("archived", self.archived.as_str()),
            ("by", self.by.as_str()),
        ];
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, old)| (name, if name == key { value } else { old }))
            .chain((key == "page").then_some(("page", value)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", query_value(value)))
            .collect();
        match pairs.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", pairs.join("&")),
        }
    }

    fn folder(&self) -> Option<FolderId> {
        self.folder.parse().ok()
    }

    fn is_narrow(&self) -> bool {
        let all = [&self.q, &self.kind, &self.folder, &self.scope, &self.archived];
        all.iter().any(|value| !value.is_empty())
    }
}

/// A folder of the tree.
struct FolderLine {
    id: String,
    name: String,
    icon: String,
    href: String,
    depth: usize,
    count: usize,
    current: bool,
}

/// An item.
struct Row {
    id: String,
    title: String,
    icon: String,
    href: String,
    kind: ItemKind,
    /// Passages: position in the item, and text.
    snippets: Vec<(String, SafeHtml)>,
    place: String,
    by: String,
    at: RelTime,
    readers: Readers,
    tokens: String,
    /// Whether the item matches by meaning only.
    meant: bool,
    told: Option<(&'static str, &'static str, String)>,
}

/// Use of the context budget.
struct Meter {
    told: String,
    shares: Vec<Share>,
    items: usize,
    demoted: Vec<String>,
}

#[derive(Template)]
#[template(path = "knowledge/list.html")]
struct ListPage {
    shell: Shell,
    sheet: &'static str,
    base: String,
    live: Live,
    /// Address to poll while work is pending that no change reports.
    renew: String,
    q: String,
    kept: Vec<(&'static str, String)>,
    tabs: Vec<Tab>,
    scopes: Vec<Choice>,
    /// Search by text or meaning; empty if no model is in use.
    ways: Vec<Choice>,
    folders: Vec<FolderLine>,
    folder: Option<FolderLine>,
    all_href: String,
    all_count: usize,
    archived: bool,
    archive_href: String,
    rows: Vec<Row>,
    untouched: bool,
    /// Whether the selected folder and everything below it is empty.
    empty_folder: bool,
    unknown: String,
    /// The agents that can be asked.
    asking: Option<Asking>,
    more: String,
    clear: String,
    meter: Meter,
    may_write: bool,
    bulk: BulkBar,
}

web::region!(ListPage, as_rows, ListRows, "knowledge/list-rows.html");

pub(super) async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<KnowledgePageParams>,
) -> Result<Response, PageError> {
    let wish = FindRequest {
        q: params.q.clone(),
        // ok: invalid words do not filter.
        kind: params.kind.parse().ok(),
        folder: params.folder(),
        // ok: as above.
        scope: params.scope.parse().ok(),
        archived: !params.archived.is_empty(),
        // ok: as above.
        by: params.by.parse().ok(),
        skip: params.page.saturating_mul(PAGE),
        take: PAGE,
        ..FindRequest::default()
    };
    let found = find::find(&ws, Seer::Person(who.account), wish).await?;
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                page((&scene, &who), snap, shell, (params, found))
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn page(
    (scene, who): (&ViewContext, &Person),
    read: &dyn Read,
    shell: Shell,
    (params, found): (KnowledgePageParams, Found),
) -> Result<ListPage, KnowledgeError> {
    let base = scene.ws.url("knowledge");
    let tree = Tree::read(read)?;
    let archived = !params.archived.is_empty();
    let wanted = Wanted::essence(&params.q);
    let rows = found.hits.iter().map(|hit| row(scene, read, (&tree, wanted.as_ref()), hit));
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    let (all_count, lie) = lines::with(read, |all| {
        let (mut count, mut lie) = (0, HashMap::<FolderId, usize>::new());
        for line in all.iter().filter(|line| line.is_archived == archived && !line.is_inside) {
            count += 1;
            if let Some(folder) = line.folder {
                *lie.entry(folder).or_default() += 1;
            }
        }
        (count, lie)
    })?;
    let chosen = params.folder();
    let line = |(folder, depth): (&Folder, usize)| {
        let below = tree.with_below(folder.id);
        FolderLine {
            id: folder.id.to_string(),
            name: folder.name.clone(),
            icon: folder.icon.clone(),
            href: params.with(&base, "folder", &folder.id.to_string()),
            depth,
            count: below.iter().filter_map(|one| lie.get(one)).sum(),
            current: chosen == Some(folder.id),
        }
    };
    let ordered = tree.in_order();
    let folder = ordered.iter().copied().find(|(folder, _)| Some(folder.id) == chosen).map(line);
    let tab = |kind: Option<ItemKind>| {
        let (word, label) = kind.map_or(("", "All"), |kind| (kind.word(), kind.many()));
        let tab = Tab::new(label, params.with(&base, "kind", word), params.kind == word);
        // An incomplete count would be misleading.
        if found.cut { tab } else { tab.count(found.total(kind) as u64) }
    };
    let mut tabs = vec![tab(None)];
    tabs.extend(ItemKind::ALL.iter().map(|kind| tab(Some(*kind))));
    let scope =
        |scope: &Scope| Choice::new(scope.word(), scope.label(), params.scope == scope.word());
    let mut scopes = vec![Choice::new("", "Any readers", params.scope.is_empty())];
    scopes.extend(Scope::ALL.iter().rev().map(scope));
    let way = |by: &By| Choice::new(by.word(), by.label(), params.by == by.word());
    let is_meant = crate::meaning::is_on(&scene.ws);
    let ways = if is_meant { By::ALL.iter().map(way).collect() } else { Vec::new() };
    let next = (params.page + 1).to_string();
    let empty_folder = !archived && folder.as_ref().is_some_and(|folder| folder.count == 0);
    let here = params.with(&base, "page", &params.page.to_string());
    let is_behind = is_meant && 0 < scene.ws.vectors.waiting();
    Ok(ListPage {
        shell,
        sheet: sheet(),
        renew: if is_behind { here.clone() } else { String::new() },
        live: Live::new(here)
            .tables(&[ITEMS.name, FOLDERS.name, BODIES.name, READINGS.name])
            .debounced(),
        kept: vec![
            ("kind", params.kind.clone()),
            ("folder", params.folder.clone()),
            ("archived", params.archived.clone()),
        ],
        tabs,
        scopes,
        ways,
        folders: ordered.into_iter().map(line).collect(),
        folder,
        all_href: params.with(&base, "folder", ""),
        all_count,
        archived,
        archive_href: if archived { base.clone() } else { format!("{base}?archived=yes") },
        rows,
        untouched: all_count == 0 && !params.is_narrow(),
        empty_folder,
        unknown: found.unknown(),
        asking: asking::of(&scene.ws, read, who, &params.q)?,
        more: if found.more { params.with(&base, "page", &next) } else { String::new() },
        clear: base.clone(),
        meter: metered(&context::of(read, &scene.ws.blobs, None)?),
        may_write: scene.may_write,
        bulk: BulkBar::new(scene, &tree, archived),
        q: params.q,
        base,
    })
}

/// The text without Markdown and link syntax, cut to `most`.
pub(super) fn plain(text: &str, most: usize) -> String {
    // The ellipsis of a quote would hide what its first line is.
    let (before, text) = match text.strip_prefix("… ") {
        Some(text) => ("… ", text),
        None => ("", text),
    };
    let (mut plain, mut at) = (String::with_capacity(text.len()), 0);
    for link in links::of(text) {
        plain.push_str(&text[at..link.range.start]);
        at = link.range.end;
        // A citation without a label names its item by id only.
        match (link.label.as_str(), link.section.as_str()) {
            ("", _) if link.name.starts_with(links::CITE) => {}
            ("", "") => plain.push_str(&link.name),
            ("", section) => plain.push_str(&format!("{} › {section}", link.name)),
            (label, _) => plain.push_str(label),
        }
    }
    plain.push_str(&text[at..]);
    let words = web::md::excerpt(&plain.replace("[[", "").replace("]]", ""), most);
    // A quote that was cut may have half of a mark, which is then text.
    match !before.is_empty() || text.ends_with('…') {
        true => format!("{before}{}", words.replace("**", "").replace("~~", "")),
        false => words,
    }
}

fn row(
    scene: &ViewContext,
    read: &dyn Read,
    (tree, wanted): (&Tree, Option<&Wanted>),
    hit: &Hit,
) -> Result<Row, KnowledgeError> {
    let item = &hit.item;
    let body: Option<Body> = read.get(item.id)?;
    let reading: Option<Reading> = if body.is_some() { None } else { read.get(item.id)? };
    let text = body.as_ref().map(|body| &body.text).or(reading.as_ref().map(|one| &one.text));
    let quoted = hit.quotes.iter().map(|quote| {
        let place = match quote.page {
            Some(page) => format!("Page {page}"),
            None => quote.section.clone(),
        };
        (place, marked(&plain(&quote.text, 300), wanted))
    });
    let mut snippets: Vec<(String, SafeHtml)> = quoted.collect();
    let best = hit.quotes.first();
    let place = best.map(|quote| found::place(item, quote.n, (&quote.text, wanted)));
    let place = place.unwrap_or_default();
    if let (true, Some(Text::Inline(text))) = (snippets.is_empty(), text) {
        let beginning = plain(kernel::text::cut(text, LOOKED), BEGINNING);
        if !beginning.is_empty() {
            snippets.push((String::new(), marked(&beginning, wanted)));
        }
    }
    Ok(Row {
        id: item.id.to_string(),
        title: item.title.clone(),
        icon: item.icon.clone(),
        href: scene.ws.url(&format!("knowledge/{}{place}", item.id)),
        kind: item.kind,
        snippets,
        place: tree.path(item.folder).join(" / "),
        by: scene.people.actor(item.edited_by).name,
        at: scene.time(item.updated_at),
        readers: Readers::of(scene, item),
        tokens: format::tokens(text.map_or(0, |text| text.len().div_ceil(4)) as u64),
        meant: !hit.by_words,
        told: badge(scene, item, reading.as_ref()),
    })
}

/// Use of the context budget by the selected items.
fn metered(all: &[context::Share]) -> Meter {
    let of = |skills: bool| -> u64 {
        let some = all.iter().filter(|share| skills == (share.item.kind == ItemKind::Skill));
        some.map(|share| share.tokens as u64).sum()
    };
    let (skills, rest) = (of(true), of(false));
    let left = (BUDGET as u64).saturating_sub(skills + rest);
    let demoted = all.iter().filter(|share| share.demoted);
    Meter {
        told: format!("{} of {}", format::tokens(skills + rest), format::tokens(BUDGET as u64)),
        shares: shares(&[(rest, Tone::Brand), (skills, Tone::Ok), (left, Tone::Neutral)]),
        items: all.len(),
        demoted: demoted.map(|share| share.item.title.clone()).collect(),
    }
}

/// The selected agent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfAgent {
    agent: String,
}

/// An item in an agent's context.
struct ShareLine {
    title: String,
    href: String,
    kind: &'static str,
    tokens: String,
    how: &'static str,
}

/// An agent that reads it.
struct ReaderLine {
    face: Face,
    href: String,
    starts: usize,
    calls: u64,
    tokens: String,
    /// Share that came from the provider's cache.
    cached: String,
    cost: String,
    since: RelTime,
}

#[derive(Template)]
#[template(path = "knowledge/context.html", blocks = [])]
struct ContextPage {
    shell: Shell,
    sheet: &'static str,
    base: String,
    agents: Vec<Choice>,
    meter: Meter,
    lines: Vec<ShareLine>,
    readers: Vec<ReaderLine>,
    /// Total daily cost; empty without a price, and before a full day.
    a_day: String,
    text: String,
}

/// The context of an agent at its start: item by item, and as sent.
pub(super) async fn context(
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(params): Query<OfAgent>,
) -> Result<Response, PageError> {
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                let chosen = scene.people.agents().find(|agent| agent.slug == params.agent);
                let agents: Vec<AgentId> = match chosen {
                    Some(agent) => vec![agent.id],
                    None => scene.people.agents().map(|agent| agent.id).collect(),
                };
                let readers = readers::of(ws, snap, &agents, scene.today.now)?;
                preview(&scene, snap, shell, (chosen.map(|agent| agent.id), readers))
            })
        })
        .await?;
    html::page(&page)
}

fn preview(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (agent, readers): (Option<AgentId>, Vec<Reader>),
) -> Result<ContextPage, KnowledgeError> {
    let known = readers.iter().filter(|reader| reader.cost().is_some());
    // A partial sum would be too low.
    let days: Vec<i64> = known.map(Reader::a_day).collect::<Option<_>>().unwrap_or_default();
    let reader = |reader: &Reader| ReaderLine {
        face: scene.people.face(Assignee::Agent(reader.agent)),
        href: match scene.people.agent(reader.agent) {
            Some(agent) => scene.ws.url(&format!("agents/{}", agent.slug)),
            None => String::new(),
        },
        starts: reader.starts,
        calls: reader.repeated.calls,
        tokens: format::tokens(reader.tokens as u64),
        cached: match reader.repeated.cached_percent() {
            Some(percent) => format!("{percent} %"),
            None => "–".to_owned(),
        },
        cost: reader.cost().map_or_else(|| "no price".to_owned(), format::money),
        since: scene.time(reader.since),
    };
    let shares = context::of(read, &scene.ws.blobs, agent)?;
    let line = |share: &context::Share| ShareLine {
        title: share.item.title.clone(),
        href: scene.ws.url(&format!("knowledge/{}", share.item.id)),
        kind: share.item.kind.label(),
        tokens: format::tokens(share.tokens as u64),
        how: match (&share.text, share.demoted) {
            (Some(_), _) => "In full",
            (None, true) => "Title only, not enough room for the full text",
            (None, false) => "Title only",
        },
    };
    let mut agents = vec![Choice::new("", "An agent without its own items", agent.is_none())];
    let choice = |one: &features::agents::model::Agent| {
        let name = scene.people.name(Assignee::Agent(one.id));
        Choice::new(&one.slug, name, Some(one.id) == agent)
    };
    agents.extend(scene.people.agents().map(choice));
    Ok(ContextPage {
        shell,
        sheet: sheet(),
        base: scene.ws.url("knowledge"),
        agents,
        meter: metered(&shares),
        lines: shares.iter().map(line).collect(),
        readers: readers.iter().map(reader).collect(),
        a_day: match days.is_empty() {
            true => String::new(),
            false => format::money(days.into_iter().fold(0, i64::saturating_add)),
        },
        text: context::render(&shares),
    })
}
