//! The files of an agent as they are on disk: the tree with new and changed files, the view of one file, and its raw
//! bytes.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::apart::{self, Apart};
use features::agents::editing;
use features::agents::files::{self, Content, FilesError, Node, Prompted, Tree};
use features::agents::found::{self, Line};
use features::agents::model::Agent;
use features::agents::prompted;
use features::agents::queries::head::{self, Head, Place};
use features::agents::there::{self, There};
use git::GitError;
use git::standing::Standing;
use kernel::Can;
use kernel::display;
use web::error::PageError;
use web::extract::{Path, Query};
use web::file::{self, Kind, Show};
use web::form::sentence;
use web::format::{self, query_value};
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::md;
use web::session::Person;
use web::shell::Shell;
use web::sse::{AGENT_FILES, HOSTS};

use super::editing::{self as sheets, Sheet, What};
use super::{When, find};
use crate::agents::at::At;

/// Region ids of the tree and the file.
const TREE: &str = "agent-tree";
const FILE: &str = "agent-file";

/// A file or folder in the tree.
struct Row {
    name: String,
    href: String,
    glyph: &'static str,
    depth: usize,
    /// The size, or the share of the prompt.
    size: String,
    mark: &'static str,
    is_folder: bool,
    current: bool,
}

pub(super) struct TreeView {
    live: Live,
    /// Notice about files on another machine; may be empty.
    told: String,
    /// Commits of another machine that conflicted with these files and were kept apart.
    kept: Vec<KeptRow>,
    agent: String,
    /// Address of the file search, and its text.
    here: String,
    q: String,
    history: String,
    /// Addresses of "new file" and "upload"; empty if the person may not change files.
    new: String,
    send: String,
    /// The files that are part of every prompt, with their shares.
    prompted: Vec<Row>,
    rows: Vec<Row>,
    is_cut: bool,
}

/// A displayed file.
pub(super) struct FileView {
    live: Live,
    path: String,
    size: String,
    mark: &'static str,
    /// Address of the file's history.
    history: String,
    notice: String,
    is_markdown: bool,
    html: SafeHtml,
    text: String,
    /// Address of the picture; empty for other files.
    picture: String,
    download: String,
    /// Address of "edit", "rename" and "delete"; empty if not allowed.
    edit: String,
    rename: String,
    remove: String,
}

/// Commits that were kept apart.
pub(super) struct KeptRow {
    pub label: String,
    pub href: String,
    pub current: bool,
}

/// Results of a file search.
pub(super) struct FoundView {
    q: String,
    hits: Vec<FoundRow>,
    /// Whether there may be further results.
    is_cut: bool,
}

/// A file that matches.
struct FoundRow {
    path: String,
    href: String,
    lines: Vec<Line>,
    /// "And 3 lines more."; may be empty.
    more: String,
}

/// The pane beside the tree.
pub(super) enum Paper {
    /// No file is selected.
    Empty,
    File(Box<FileView>),
    /// A displayed file that has been deleted, with its history.
    Gone(Live, String),
    /// A path that cannot be opened, with the reason.
    Shut(String),
    /// Search results.
    Found(FoundView),
    Sheet(Box<Sheet>),
}

#[derive(Template)]
#[template(path = "agents/files.html")]
struct FilesPage {
    shell: Shell,
    head: Head,
    tree: TreeView,
    paper: Paper,
}

impl FilesPage {
    fn is_open(&self) -> bool {
        !matches!(self.paper, Paper::Empty)
    }
}

#[derive(Template)]
#[template(path = "agents/_tree.html")]
struct TreePart {
    tree: TreeView,
}

#[derive(Template)]
#[template(path = "agents/_file.html")]
struct FilePart {
    paper: Paper,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FilesPageParams {
    /// A file or folder.
    path: String,
    /// The action: `edit`, `rename`, `remove`, `new`, `send`.
    act: String,
    /// Text to search for in the files.
    q: String,
}

/// Context of a request to the pages of an agent's files.
pub(super) struct Visit {
    pub ws: Ws,
    pub who: Person,
    pub agent: Agent,
    pub head: Head,
    /// State of the files, if they are on another machine.
    pub there: Option<There>,
}

impl Visit {
    /// Whether this person may change files here.
    pub(super) fn may(&self) -> bool {
        self.who.access.may(Can::Agents)
            && self.agent.archived_at.is_none()
            && self.there.as_ref().is_none_or(|there| there.is_live)
    }

    /// Address of a file or folder.
    pub(super) fn href(&self, path: &str) -> String {
        format!("{}/files?path={}", self.head.base, query_value(path))
    }
}

/// The agent and the head of its file pages.
pub(super) fn top(
    ws: &Ws,
    who: &Person,
    when: &When,
    (slug, place): (&str, Place),
) -> Result<(Agent, Head), PageError> {
    ws.read(|snap| {
        let agent = find(snap, slug)?;
        let head = head::head(ws, snap, &agent, place, who.access, when.now)?;
        Ok((agent, head))
    })
}

/// Reads the context of a request.
pub(super) async fn visit(ws: Ws, who: Person, slug: &str) -> Result<Visit, PageError> {
    let when = When::of(&ws, &who);
    let (agent, head) = top(&ws, &who, &when, (slug, Place::Files))?;
    let there = there::state(&ws, &agent, when.now, &when.zone).await?;
    Ok(Visit { ws, who, agent, head, there })
}

/// `GET /agents/{slug}/files`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(params): Query<FilesPageParams>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let path = params.path.trim_matches('/').to_owned();
    if hx.wants(FILE) {
        let paper = match looked_at(&visit, &path).await {
            Err(FilesError::NotFound(_)) => {
                let history = format!("{}/history?path={}", visit.head.base, query_value(&path));
                Paper::Gone(live(&visit, &path), history)
            }
            file => Paper::File(Box::new(file?)),
        };
        return html::fragment(&FilePart { paper });
    }
    let tree = files::tree(&visit.ws, &visit.agent, &path).await?;
    let kept = kept(&visit).await?;
    let q = params.q.trim();
    if hx.wants(TREE) {
        return html::fragment(&TreePart {
            tree: tree_view(&visit, &tree, kept, &path).with_search(&visit, q),
        });
    }
    if !params.act.is_empty() {
        if !visit.may() {
            return Err(PageError::forbidden(Can::Agents));
        }
        let sheet = sheets::begin(&visit, &params.act, &path).await?;
        return page(visit, shell, &path, (StatusCode::OK, Paper::Sheet(Box::new(sheet)))).await;
    }
    let is_folder = tree.nodes.iter().any(|node| node.path == path && node.is_folder);
    let (status, paper) = match (q.is_empty(), path.is_empty() || is_folder) {
        (false, _) => (StatusCode::OK, Paper::Found(found_in(&visit, q).await?)),
        (true, true) => (StatusCode::OK, Paper::Empty),
        (true, false) => match looked_at(&visit, &path).await {
            // A link or a device cannot be opened, but the rest of the page still works.
            Err(FilesError::Git(GitError::Path { why, .. })) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Paper::Shut(sentence(why)))
            }
            file => (StatusCode::OK, Paper::File(Box::new(file?))),
        },
    };
    let tree = tree_view(&visit, &tree, kept, &path).with_search(&visit, q);
    html::document(status, &FilesPage { shell, head: visit.head, tree, paper })
}

/// The whole page with the given pane.
pub(super) async fn page(
    visit: Visit,
    shell: Shell,
    path: &str,
    (status, paper): (StatusCode, Paper),
) -> Result<Response, PageError> {
    let tree = files::tree(&visit.ws, &visit.agent, path).await?;
    let tree = tree_view(&visit, &tree, kept(&visit).await?, path);
    html::document(status, &FilesPage { shell, head: visit.head, tree, paper })
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    path: String,
    /// Non-empty to download instead of showing inline.
    download: String,
}

/// `GET /agents/{slug}/files/raw`: the bytes of a file. Only pictures and PDF are served inline.
pub(super) async fn raw(
    At { ws, agent, .. }: At<PageError>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let open = files::open(&ws, &agent, &wanted.path).await?;
    let name = file::clean_name(&wanted.path);
    let show = if wanted.download.is_empty() { Show::InPlace } else { Show::Download };
    file::serve_open(&name, open, show, &headers).await
}

fn live(visit: &Visit, path: &str) -> Live {
    let live = Live::new(visit.href(path)).record(AGENT_FILES, visit.agent.id);
    if visit.there.is_some() { live.table(HOSTS) } else { live }
}

/// Commits that were kept apart, newest first.
pub(super) async fn kept(visit: &Visit) -> Result<Vec<KeptRow>, FilesError> {
    let mut all = apart::all(&visit.ws, &visit.agent).await?;
    all.reverse();
    let when = When::of(&visit.ws, &visit.who);
    let row = |one: Apart| {
        let commits = format::count(one.commits as u64, "commit", "commits");
        let day = display::day_of_year(when.zone.to_datetime(one.at).date());
        let href = format!("{}/kept/{}", visit.head.base, one.name);
        KeptRow { label: format!("{commits} of {day}"), href, current: false }
    };
    Ok(all.into_iter().map(row).collect())
}

fn tree_view(visit: &Visit, tree: &Tree, kept: Vec<KeptRow>, path: &str) -> TreeView {
    let act = |act: &str| match visit.may() {
        true => format!("{}&act={act}", visit.href(folder_of(tree, path))),
        false => String::new(),
    };
    let held: u64 = tree.prompted.iter().map(Prompted::held).sum();
    let prompted = tree.prompted.iter();
    let is_other = |node: &&Node| prompted::most_of(&node.path) == 0;
    TreeView {
        live: live(visit, path),
        told: visit.there.as_ref().map(|there| there.words.clone()).unwrap_or_default(),
        kept,
        agent: visit.head.name.clone(),
        here: format!("{}/files", visit.head.base),
        q: String::new(),
        history: format!("{}/history", visit.head.base),
        new: act("new"),
        send: act("send"),
        prompted: prompted.map(|file| prompted_row(visit, file, held, path)).collect(),
        rows: tree.nodes.iter().filter(is_other).map(|node| row(visit, node, path)).collect(),
        is_cut: tree.is_cut,
    }
}

impl TreeView {
    /// The tree while a search is active.
    fn with_search(self, visit: &Visit, q: &str) -> Self {
        if q.is_empty() {
            return self;
        }
        let url = format!("{}?q={}", self.here, query_value(q));
        let live = Live::new(url).record(AGENT_FILES, visit.agent.id);
        let live = if visit.there.is_some() { live.table(HOSTS) } else { live };
        Self { q: q.to_owned(), live, ..self }
    }
}

/// The files that contain all words.
async fn found_in(visit: &Visit, q: &str) -> Result<FoundView, FilesError> {
    let found = found::search(&visit.ws, &visit.agent, q).await?;
    let hits = found.hits.into_iter().map(|hit| FoundRow {
        href: visit.href(&hit.path),
        more: match hit.more {
            0 => String::new(),
            n => format!("And {} more.", format::count(n as u64, "line", "lines")),
        },
        path: hit.path,
        lines: hit.lines,
    });
    Ok(FoundView { q: q.to_owned(), hits: hits.collect(), is_cut: found.is_cut })
}

/// The folder for a new file: the open folder, or that of the open file.
fn folder_of<'p>(tree: &Tree, path: &'p str) -> &'p str {
    match tree.nodes.iter().any(|node| node.path == path && node.is_folder) {
        true => path,
        false => path.rsplit_once('/').map_or("", |(folder, _)| folder),
    }
}

fn row(visit: &Visit, node: &Node, open: &str) -> Row {
    Row {
        name: node.path.rsplit('/').next().unwrap_or(&node.path).to_owned(),
        href: visit.href(&node.path),
        glyph: match (node.is_folder, is_markdown(&node.path)) {
            (true, _) => "folder",
            (false, true) => "doc",
            (false, false) => "file",
        },
        depth: node.path.matches('/').count().min(8),
        size: node.bytes.map_or_else(String::new, format::size),
        mark: node.standing.map_or("", mark),
        is_folder: node.is_folder,
        current: node.path == open,
    }
}

fn prompted_row(visit: &Visit, file: &Prompted, all: u64, open: &str) -> Row {
    Row {
        name: file.name.to_owned(),
        href: visit.href(file.name),
        glyph: "doc",
        depth: 0,
        size: format!("{} %", (file.held() * 100 + all / 2) / all.max(1)),
        mark: mark(file.standing),
        is_folder: false,
        current: file.name == open,
    }
}

/// The difference to the newest commit, as one word.
fn mark(standing: Standing) -> &'static str {
    match standing {
        Standing::Same | Standing::Apart => "",
        Standing::Changed => "changed",
        Standing::New => "new",
    }
}

fn is_markdown(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("md"))
}

/// Reads a file for display.
async fn looked_at(visit: &Visit, path: &str) -> Result<FileView, FilesError> {
    let Visit { ws, agent, .. } = visit;
    let content = files::read(ws, agent, path, files::MAX_SHOWN).await?;
    let standing = files::standing(ws, agent, path).await?;
    Ok(file_view(visit, path, content, standing))
}

fn file_view(visit: &Visit, path: &str, content: Content, standing: Standing) -> FileView {
    let base = &visit.head.base;
    let of = query_value(path);
    let changes = visit.may() && editing::is_editable(path);
    let edits = changes && content.text.is_some() && content.total <= editing::MAX_TEXT as u64;
    let act = |may: bool, act: &str| match may {
        true => format!("{}&act={act}", visit.href(path)),
        false => String::new(),
    };
    let raw = format!("{base}/files/raw?path={of}");
    let picture = if matches!(content.kind, Kind::Image(_)) { raw.clone() } else { String::new() };
    let size = format::size(content.total);
    let most = prompted::most_of(path);
    let (text, notice) = match content.text {
        None if !picture.is_empty() => (String::new(), String::new()),
        None => (String::new(), "This isn’t text, so it isn’t shown.".to_owned()),
        Some(text) if content.is_cut => {
            let shown = format::size(files::MAX_SHOWN);
            (text, format!("Only the first {shown} are shown."))
        }
        Some(text) if text.trim().is_empty() => (String::new(), "This file is empty.".to_owned()),
        Some(text) if 0 < most && most < text.len() => {
            let most = format::grouped(most as u64);
            (text, format!("Prompts include its beginning and end, {most} characters in total."))
        }
        Some(text) if path == "agent.json" => {
            (text, "This comes from the agent’s settings. Change it there.".to_owned())
        }
        Some(text) => (text, String::new()),
    };
    let html = if is_markdown(path) { md::plain(&text) } else { SafeHtml::default() };
    FileView {
        live: live(visit, path),
        path: path.to_owned(),
        size,
        mark: mark(standing),
        history: format!("{base}/history?path={of}"),
        notice,
        is_markdown: !html.is_empty(),
        html,
        text,
        picture,
        download: format!("{raw}&download=1"),
        edit: act(edits, "edit"),
        rename: act(changes, "rename"),
        remove: act(changes, "remove"),
    }
}
