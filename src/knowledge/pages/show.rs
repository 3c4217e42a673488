//! The page of an item: text or file, readers, versions, and links to it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use extract::encoding;
use features::comments::queries::show::{self as comments, Begun, CommentView, Composer};
use features::files::queries::{self as files, Line};
use features::history::queries as history;
use features::links::model::Target;
use features::links::queries::{self as task_links, TaskLine};
use features::places::{Place, Spot};
use features::tasks::queries::view_context::ViewContext;
use kernel::TypedId as _;
use kernel::key::KeyBuf;
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Path, Query};
use web::form::rev_of;
use web::format;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::uses::{self, UseLine};
use super::versions::{self, VersionLine};
use super::{badge, sheet};
use crate::cited;
use crate::cut::{Cut, Quote};
use crate::error::KnowledgeError;
use crate::found;
use crate::links;
use crate::model::{
    BODIES, Body, ITEMS, Item, ItemKind, KnowledgeId, MARKS, READINGS, Reading, SUGGESTIONS, Scope,
};
use crate::origin;
use crate::passages::{PAGE_END, tokens};
use crate::queries::{self, Tree};

/// How much of a file's text is rendered by default, in bytes.
const DRAWN: usize = 60 * 1024;

/// A heading of the text.
pub(super) struct Heading {
    level: u8,
    words: String,
    anchor: String,
}

/// A page of a file with its text.
pub(super) struct Leaf {
    number: Option<usize>,
    html: SafeHtml,
}

/// The file of an item.
pub(super) struct FileView {
    name: String,
    size: String,
    href: String,
    is_image: bool,
    pages: Option<u32>,
    /// Name of the text's encoding.
    encoding: Option<String>,
    /// Encodings to choose from; empty for other files.
    encodings: Vec<Choice>,
    /// For a PDF.
    preview: Option<Preview>,
    leaves: Vec<Leaf>,
    is_cut: bool,
    failed: bool,
}

/// The preview of a PDF.
pub(super) struct Preview {
    script: &'static str,
    worker: &'static str,
    /// The page that it opens at, from 1.
    page: u32,
    /// The words to mark, one a line.
    words: String,
}

/// The source of synchronised text.
pub(super) struct Origin {
    source: String,
    href: String,
    address: String,
    is_link: bool,
    at: Option<RelTime>,
    told: String,
}

/// The cited passage.
pub(super) struct Cited {
    quote: Option<Quote>,
    /// The text of the passage.
    html: SafeHtml,
    /// Label of the passage; it differs for a search result, which is not a citation.
    label: &'static str,
    /// Whether the page contains the passage.
    on_page: bool,
    /// Anchor of the heading above the passage; empty if there is none, and for a file.
    anchor: String,
    told: &'static str,
}

/// An agent to choose.
pub(super) struct AgentChoice {
    id: String,
    face: Face,
    chosen: bool,
}

/// The rejected form.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemForm {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) text_base: String,
}

#[derive(Template)]
#[template(path = "knowledge/show.html")]
pub(super) struct ShowPage {
    shell: Shell,
    sheet: &'static str,
    editor: (&'static str, &'static str),
    /// Script for captions and widths of pictures in the editor.
    picture: &'static str,
    /// Script for the handle beside blocks and for widths of table columns in the editor.
    more: &'static str,
    base: String,
    id: String,
    api: String,
    heard: String,
    list_url: String,
    crumbs: Vec<(String, String)>,
    body_live: Live,
    rail_live: Live,
    kind: ItemKind,
    icon: String,
    title: String,
    told: Option<(&'static str, &'static str, String)>,
    archived: bool,
    may_write: bool,
    edits: bool,
    html: SafeHtml,
    is_cut: bool,
    origin: Option<Origin>,
    is_empty: bool,
    headings: Vec<Heading>,
    file: Option<FileView>,
    cited: Option<Cited>,
    typed: Option<ItemForm>,
    wrong: String,
    clash: String,
    text: String,
    edit_href: String,
    tokens: String,
    scopes: Vec<Choice>,
    full: Vec<Choice>,
    agents: Vec<AgentChoice>,
    folders: Vec<Choice>,
    tags: String,
    /// Revision of the item.
    rev: String,
    readers: super::Readers,
    uses: Vec<UseLine>,
    by: Face,
    edited_by: Face,
    created: RelTime,
    edited: RelTime,
    versions: Vec<VersionLine>,
    /// Whether only marked versions are listed.
    is_marked: bool,
    /// Whether there are marked versions.
    any_marked: bool,
    /// Suggestions of agents: id, author, reason.
    suggested: Vec<(String, String, String)>,
    linked_from: Vec<(&'static str, String, String)>,
    tasks: Vec<TaskLine>,
    talks: Vec<CommentView>,
    /// Files that were attached as to a task, with a comment.
    attached: Vec<Line>,
    talks_live: Live,
    composer: Composer,
    history: String,
    ask_url: String,
}

web::region!(ShowPage, as_article, ShowArticle, "knowledge/show-article.html");
web::region!(ShowPage, as_rail, ShowRail, "knowledge/show-rail.html");
web::region!(ShowPage, as_talks, ShowTalks, "knowledge/show-talks.html");

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemPageParams {
    part: String,
    /// Non-empty to edit.
    edit: String,
    /// Number of the cited passage, and the stamp of its text.
    p: Option<u32>,
    at: String,
    /// Words to mark in the preview of a PDF.
    q: String,
    /// Non-empty to render all of a long file.
    all: String,
    /// Non-empty to list only marked versions.
    marked: String,
    /// The comment that the comment box quotes.
    quote: String,
    reply: String,
}

/// `GET /knowledge/{item}`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Query(params): Query<ItemPageParams>,
) -> Result<Response, PageError> {
    let part = params.part.clone();
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                let item = queries::item(snap, &name, None)?;
                page(&scene, snap, shell, (item, &params))
            })
        })
        .await?;
    match (hx.is_partial(), part.as_str()) {
        (true, "body") => html::fragment(&page.as_article()),
        (true, "rail") => html::fragment(&page.as_rail()),
        (true, "talks") => html::fragment(&page.as_talks()),
        _ => html::page(&page),
    }
}

/// The page with a rejected form and its error.
pub(super) fn refused(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (item, error, form): (Item, &KnowledgeError, ItemForm),
) -> Result<Response, PageError> {
    let params = ItemPageParams { edit: "yes".to_owned(), ..ItemPageParams::default() };
    let mut page = page(scene, read, shell, (item, &params))?;
    page.typed = Some(form);
    match error {
        KnowledgeError::Clash(clash) => {
            page.clash = clash.now.clone();
        }
        error => page.wrong = web::form::sentence(&error.to_string()),
    }
    let status = match error {
        KnowledgeError::Clash(_) => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    html::document(status, &page)
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (item, params): (Item, &ItemPageParams),
) -> Result<ShowPage, KnowledgeError> {
    let base = scene.ws.url(&format!("knowledge/{}", item.id));
    let list_url = scene.ws.url("knowledge");
    let cut = Cut::of(&scene.ws.blobs, read, item.id)?;
    let body: Option<Body> = read.get(item.id)?;
    let reading: Option<Reading> = if body.is_some() { None } else { read.get(item.id)? };
    let tree = Tree::read(read)?;
    let shown = untitled(beginning(&cut, body.is_some() || !params.all.is_empty()), &item);
    let drawn = match item.file {
        Some(_) => SafeHtml::default(),
        None => drawn(scene, read, (body.as_ref(), &cut, shown))?,
    };
    let Discussion { talks, attached, composer } = discussion(scene, read, (item.id, params))?;
    let is_marked = !params.marked.is_empty();
    let live = |part: &str| Live::new(format!("{base}?part={part}")).record(ITEMS.name, item.id);
    let edits =
        scene.may_write && !params.edit.is_empty() && body.is_some() && item.archived_at.is_none();
    let file = file((&item, reading.as_ref()), (&base, &cut, params));
    let target = Target::Row(ITEMS.number, KeyBuf::of(&item.id).into_bytes());
    let name = item.title.replace(['[', ']'], "");
    let about = format!("About [{name}]({base}) (knowledge `{}`).\n\n", item.id);
    let linked_from = links::to(read, item.id)?
        .into_iter()
        .map(|one| (one.kind.glyph(), one.title, scene.ws.url(&format!("knowledge/{}", one.id))));
    let suggested = queries::suggestions(read, item.id)?
        .into_iter()
        .map(|one| (one.id.to_string(), scene.people.actor(one.by).name, one.reason));
    Ok(ShowPage {
        shell,
        sheet: sheet(),
        editor: (web::assets::more("rich.css"), web::assets::more("rich.js")),
        picture: web::assets::more("picture.js"),
        more: web::assets::more("more.js"),
        id: item.id.to_string(),
        api: format!("/api/v1/knowledge/{}", item.id),
        heard: format!("hq:{}:{}", BODIES.name, item.id),
        crumbs: crumbs(read, &item, &list_url)?,
        body_live: live("body").record(BODIES.name, item.id).record(READINGS.name, item.id),
        rail_live: live(if is_marked { "rail&marked=yes" } else { "rail" })
            .record(BODIES.name, item.id)
            .record(MARKS.name, item.id)
            .tables(&["agents", SUGGESTIONS.name]),
        kind: item.kind,
        told: badge(scene, &item, reading.as_ref()),
        archived: item.archived_at.is_some(),
        may_write: scene.may_write,
        edits,
        is_empty: cut.text.trim().is_empty(),
        html: drawn,
        is_cut: item.file.is_none() && params.all.is_empty() && DRAWN < cut.text.len(),
        origin: origin_of(scene, read, item.id)?,
        headings: if item.file.is_none() { headings(shown) } else { Vec::new() },
        cited: cited(scene, read, (item.id, &cut, file.as_ref()), params)?,
        file,
        typed: None,
        wrong: String::new(),
        clash: String::new(),
        text: if edits { cut.text.clone() } else { String::new() },
        edit_href: format!("{base}?edit=yes"),
        tokens: format::tokens(tokens(&cut.text) as u64),
        scopes: Scope::ALL
            .iter()
            .rev()
            .map(|scope| Choice::new(scope.word(), scope.label(), *scope == item.scope))
            .collect(),
        full: full(&item),
        agents: agents(scene, &item),
        folders: folders(&tree, &item),
        tags: item.tags.join(", "),
        rev: rev_of::<Item>(read, item.id)?,
        readers: super::Readers::of(scene, &item),
        uses: uses::lines(scene, read, item.id)?,
        by: scene.people.actor(item.by),
        edited_by: scene.people.actor(item.edited_by),
        created: scene.time(item.created_at),
        edited: scene.time(item.updated_at),
        versions: versions::lines(scene, read, &item, (body.as_ref(), is_marked))?,
        is_marked,
        any_marked: !queries::marks(read, item.id)?.marks.is_empty(),
        suggested: suggested.collect(),
        linked_from: linked_from.collect(),
        tasks: task_links::tasks_to(scene, read, &target)?,
        talks,
        attached,
        talks_live: live("talks").table("task_files"),
        composer,
        history: history::href::<Item>(&scene.ws, item.id),
        ask_url: scene.ws.url(&format!("tasks/new?description={}", format::query_value(&about))),
        icon: item.icon,
        title: item.title,
        list_url,
        base,
    })
}

/// The text of a page, or what is shown of the text of a source.
fn drawn(
    scene: &ViewContext,
    read: &dyn Read,
    (body, cut, shown): (Option<&Body>, &Cut, &str),
) -> Result<SafeHtml, KnowledgeError> {
    let html = match body {
        Some(body) => {
            let known = (Some(body.links.as_slice()), body.by.run());
            scene.article(read, &links::linked(&scene.ws, read, &cut.text, known)?)
        }
        // Text of a source is rendered without mentions, like that of a file.
        None => web::md::article(shown, &|_| None),
    };
    Ok(web::md::anchored(&html, links::anchor))
}

/// The comments on an item with its attached files, and the box to write one.
struct Discussion {
    talks: Vec<CommentView>,
    attached: Vec<Line>,
    composer: Composer,
}

fn discussion(
    scene: &ViewContext,
    read: &dyn Read,
    (id, params): (KnowledgeId, &ItemPageParams),
) -> Result<Discussion, KnowledgeError> {
    let place = Place::Row(entity::Target { table: ITEMS.number, id: id.uuid() });
    let spot = Spot::here(read, place)?;
    let begun = Begun::of(String::new(), &params.quote, &params.reply);
    Ok(Discussion {
        talks: comments::talks(scene, read, &spot)?.into_iter().map(|(_, talk)| talk).collect(),
        attached: files::of(read, place)?.iter().map(|file| Line::new(scene, file)).collect(),
        composer: comments::composer(scene, read, &spot, begun)?,
    })
}

/// The location of an item: each folder, or its page, with address.
fn crumbs(
    read: &dyn Read,
    item: &Item,
    list_url: &str,
) -> Result<Vec<(String, String)>, KnowledgeError> {
    let mut crumbs = Vec::new();
    if let Some(folder) = item.folder {
        let trail = queries::trail(read, folder)?.into_iter().rev();
        crumbs.extend(trail.map(|one| (one.name, format!("{list_url}?folder={}", one.id))));
    }
    if let Some(page) = item.page {
        let page = queries::item_by_id(read, page)?;
        crumbs.push((page.title, format!("{list_url}/{}", page.id)));
    }
    Ok(crumbs)
}

fn cited(
    scene: &ViewContext,
    read: &dyn Read,
    (id, cut, file): (KnowledgeId, &Cut, Option<&FileView>),
    params: &ItemPageParams,
) -> Result<Option<Cited>, KnowledgeError> {
    let Some(n) = params.p else { return Ok(None) };
    let shown = cited::shown(&scene.ws, read, (id, cut), (n, &params.at))?;
    let stands = shown.quote.as_ref().filter(|_| shown.stands);
    let passage = stands.and_then(|quote| cut.passages.get(usize::try_from(quote.n).ok()?));
    let page = passage.and_then(|passage| usize::try_from(passage.page?).ok());
    let mut leaves = file.iter().flat_map(|file| &file.leaves);
    let on_page = page.is_some() && leaves.any(|leaf| leaf.number == page);
    let section = passage.filter(|_| file.is_none()).and_then(|passage| passage.section.last());
    let anchor = section.map_or_else(String::new, |section| links::anchor(section));
    let label = if params.at.is_empty() { "Found here" } else { "Cited here" };
    let html = shown.quote.as_ref().map(|quote| web::md::plain(&quote.text)).unwrap_or_default();
    Ok(Some(Cited { quote: shown.quote, html, label, on_page, anchor, told: shown.told }))
}

fn origin_of(
    scene: &ViewContext,
    read: &dyn Read,
    id: KnowledgeId,
) -> Result<Option<Origin>, KnowledgeError> {
    Ok(origin::of(read, id)?.map(|one| Origin {
        href: scene.ws.url(&one.path),
        at: one.synced_at.map(|at| scene.time(at)),
        source: one.source,
        address: one.address,
        is_link: one.is_link,
        told: one.told,
    }))
}

/// The choices of how much of an item is in its readers' context, as `context` decides it.
fn full(item: &Item) -> Vec<Choice> {
    let usual = match (item.kind, item.scope) {
        (kind, _) if kind.is_outside() => "Title only",
        (_, Scope::Workspace) => "Full text if there’s room",
        _ => "Full text if short",
    };
    let mut choices = vec![
        Choice::new("", usual, item.full.is_none()),
        Choice::new("yes", "Full text", item.full == Some(true)),
    ];
    // For untrusted content this is the default.
    if !item.kind.is_outside() {
        choices.push(Choice::new("no", "Title only", item.full == Some(false)));
    }
    choices
}

/// The agents to choose from.
fn agents(scene: &ViewContext, item: &Item) -> Vec<AgentChoice> {
    let agents = scene.people.agents().map(|agent| AgentChoice {
        id: agent.id.to_string(),
        face: Face::agent(&agent.name, &agent.emoji, &agent.slug),
        chosen: item.agents.contains(&agent.id),
    });
    agents.collect()
}

/// The folders to choose from.
fn folders(tree: &Tree, item: &Item) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "No folder", item.folder.is_none())];
    choices.extend(tree.in_order().into_iter().map(|(folder, _)| {
        let path = tree.path(Some(folder.id)).join(" / ");
        Choice::new(folder.id.to_string(), path, item.folder == Some(folder.id))
    }));
    choices
}

/// The part of a text that is rendered.
fn beginning(cut: &Cut, whole: bool) -> &str {
    if whole { &cut.text } else { kernel::text::cut(&cut.text, DRAWN) }
}

/// Removes a leading heading of a source's text that repeats the title.
fn untitled<'t>(text: &'t str, item: &Item) -> &'t str {
    let rest = text.trim_start().strip_prefix("# ").filter(|_| item.kind == ItemKind::Source);
    match rest.and_then(|rest| rest.split_once('\n')) {
        Some((first, rest)) if first.trim() == item.title => rest,
        _ => text,
    }
}

fn file(
    (item, reading): (&Item, Option<&Reading>),
    (base, cut, params): (&str, &Cut, &ItemPageParams),
) -> Option<FileView> {
    let file = item.file.as_ref()?;
    let paged = cut.text.contains(PAGE_END);
    let shown = beginning(cut, !params.all.is_empty());
    let leaf = |(n, text): (usize, &str)| Leaf {
        number: paged.then_some(n + 1),
        // Text of a file mentions nobody and names no task.
        html: web::md::plain(text),
    };
    Some(FileView {
        name: file.name.clone(),
        size: format::size(file.size),
        href: format!("{base}/file"),
        is_image: file.media.starts_with("image/"),
        pages: reading.and_then(|reading| reading.pages),
        encoding: reading
            .and_then(|reading| reading.media().1)
            .map(|label| encoding::name(label).to_owned()),
        encodings: encodings(item, reading),
        preview: found::is_pdf(item).then(|| preview(cut, params)),
        leaves: shown
            .split(PAGE_END)
            .enumerate()
            .filter(|(_, text)| !text.trim().is_empty())
            .map(leaf)
            .collect(),
        is_cut: shown.len() < cut.text.len(),
        failed: reading
            .is_some_and(|reading| matches!(reading.state, crate::model::ReadingState::Failed(_))),
    })
}

fn preview(cut: &Cut, params: &ItemPageParams) -> Preview {
    let (page, words) = found::on_page(cut, params.p, &params.q);
    Preview {
        script: web::assets::more("pdf.js"),
        worker: web::assets::more("pdf-worker.js"),
        page,
        words,
    }
}

/// The encodings to choose from for a file's text.
fn encodings(item: &Item, reading: Option<&Reading>) -> Vec<Choice> {
    if !reading.is_some_and(Reading::may_be_text) && item.encoding.is_none() {
        return Vec::new();
    }
    let now = item.encoding.as_deref();
    let found = reading.and_then(|reading| reading.media().1).filter(|_| now.is_none());
    let usual = match found {
        Some(label) => format!("Found: {}", encoding::name(label)),
        None => "Find it again".to_owned(),
    };
    let mut all = vec![Choice::new("", usual, now.is_none())];
    let listed = |(label, name): &(&'static str, &'static str)| {
        Choice::new(*label, *name, now == Some(*label))
    };
    all.extend(encoding::ENCODINGS.iter().map(listed));
    if let Some(now) = now.filter(|_| !all.iter().any(|one| one.chosen)) {
        all.push(Choice::new(now, now, true));
    }
    all
}

/// The headings of a text, for the outline.
fn headings(text: &str) -> Vec<Heading> {
    let heading = |block: web::blocks::Block| {
        let (level, words) = block.heading?;
        Some(Heading { level, anchor: links::anchor(&words), words })
    };
    web::blocks::of(text).into_iter().filter_map(heading).collect()
}
