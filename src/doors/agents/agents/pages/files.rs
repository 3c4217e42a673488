//! The files of one agent, as they lie on the disk: the tree and one file, to read.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::files::{self, Content, Node};
use features::agents::model::Agent;
use features::agents::queries::head::{self, Head, Place};
use web::error::PageError;
use web::extract::{Path, Query};
use web::format;
use web::html::{self, SafeHtml};
use web::md;
use web::session::Person;
use web::shell::Shell;

use super::{When, find};

struct Row {
    name: String,
    href: String,
    glyph: &'static str,
    depth: usize,
    size: String,
    is_folder: bool,
    current: bool,
}

struct FileView {
    path: String,
    size: String,
    /// Where it says what became of it.
    history: String,
    notice: String,
    is_markdown: bool,
    html: SafeHtml,
    text: String,
}

struct View {
    rows: Vec<Row>,
    is_cut: bool,
    file: Option<FileView>,
}

#[derive(Template)]
#[template(path = "agents/files.html")]
struct FilesPage {
    shell: Shell,
    head: Head,
    view: View,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    /// A file or folder.
    path: String,
}

/// An agent, and the top of its pages about files.
pub(super) fn top(
    ws: &Ws,
    who: &Person,
    when: &When,
    slug: &str,
) -> Result<(Agent, Head), PageError> {
    ws.read(|snap| {
        let agent = find(snap, slug)?;
        let head = head::head(ws, snap, &agent, Place::Files, who.access, when.now)?;
        Ok((agent, head))
    })
}

pub(super) async fn tree(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let (agent, head) = top(&ws, &who, &when, &slug)?;
    let path = asked.path.trim_matches('/').to_owned();
    let tree = files::tree(&ws, &agent, &path).await?;
    let content = if path.is_empty() || tree.nodes.iter().any(|n| n.path == path && n.is_folder) {
        None
    } else {
        Some(files::read(&ws, &agent, &path).await?)
    };
    let base = format!("{}/files", head.base);
    let rows = tree.nodes.iter().map(|node| row(&base, node, &path)).collect();
    let file = content.map(|content| file_view(&head.base, path, content));
    let view = View { rows, is_cut: tree.is_cut, file };
    html::page(&FilesPage { shell, head, view })
}

fn row(base: &str, node: &Node, open: &str) -> Row {
    Row {
        name: node.path.rsplit('/').next().unwrap_or(&node.path).to_owned(),
        href: format!("{base}?path={}", web::format::query_value(&node.path)),
        glyph: match (node.is_folder, is_markdown(&node.path)) {
            (true, _) => "folder",
            (false, true) => "doc",
            (false, false) => "file",
        },
        depth: node.path.matches('/').count().min(8),
        size: node.bytes.map_or_else(String::new, format::size),
        is_folder: node.is_folder,
        current: node.path == open,
    }
}

fn is_markdown(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("md"))
}

fn file_view(base: &str, path: String, content: Content) -> FileView {
    let size = format::size(content.total);
    let markdown = is_markdown(&path);
    let (text, notice) = match content.text {
        None => (String::new(), "This is no text, so it is not shown.".to_owned()),
        Some(text) if content.is_cut => {
            let shown = format::size(files::MAX_SHOWN);
            (text, format!("Only the first {shown} are shown."))
        }
        Some(text) if text.trim().is_empty() => (String::new(), "This file is empty.".to_owned()),
        Some(text) => (text, String::new()),
    };
    let html = if markdown { md::plain(&text) } else { SafeHtml::default() };
    let is_markdown = markdown && !html.is_empty();
    let history = format!("{base}/history?path={}", format::query_value(&path));
    FileView { path, size, history, notice, is_markdown, html, text }
}
