//! History of an agent's files: commits, diffs, former versions, and restoring them.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use ::git::history::{self as git, FileDiff};
use app::{App, Ws};
use features::agents::editing::is_editable;
use features::agents::files::{Content, MAX_SHOWN};
use features::agents::queries::head::{Head, Place};
use features::agents::upgrade::apply;
use features::agents::versions::{self, Told};
use kernel::Can;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::format::{self, query_value};
use web::html;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{When, files};
use crate::agents::at::At;

/// Commits per page.
const PAGE: usize = 30;
/// Maximum number of lines of a diff.
const MAX_LINES: usize = 1_000;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct VersionsPageParams {
    /// A file or folder; empty for all files.
    path: String,
    /// The displayed commit; empty for the newest.
    commit: String,
    /// Only commits before this one.
    before: String,
}

/// A commit in the list.
struct Row {
    subject: String,
    author: String,
    at: RelTime,
    href: String,
    current: bool,
}

/// A line of a diff.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Same(String),
    New(String),
    Old(String),
    /// Position of the next lines: "line 12".
    Place(String),
}

/// Changes of a commit to a file.
pub(super) struct DiffView {
    pub path: String,
    /// Address of the file's history.
    pub href: String,
    pub what: String,
    pub added: usize,
    pub removed: usize,
    pub lines: Vec<Line>,
    pub notice: &'static str,
}

/// A former version of a file.
struct ThenView {
    size: String,
    text: String,
    notice: String,
    is_now: bool,
}

/// The displayed commit.
struct Open {
    id: String,
    short: String,
    subject: String,
    author: String,
    at: RelTime,
    run: String,
    run_href: String,
    /// Whether the commit is a template upgrade, which can be reverted as a whole.
    is_upgrade: bool,
    files: Vec<DiffView>,
    more: usize,
    then: Option<ThenView>,
}

#[derive(Template)]
#[template(path = "agents/versions.html")]
struct VersionsPage {
    shell: Shell,
    head: Head,
    /// Address of the history.
    base: String,
    path: String,
    /// Address of the file, or of all files.
    file: String,
    rows: Vec<Row>,
    next: String,
    open: Option<Open>,
    may: bool,
    /// Whether the version can be restored.
    restores: bool,
}

/// `GET /agents/{slug}/history`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
    Query(params): Query<VersionsPageParams>,
) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let (agent, head) = files::top(&ws, &who, &when, (&slug, Place::History))?;
    let path = params.path.trim_matches('/').to_owned();
    let before = Some(params.before.as_str()).filter(|before| !before.is_empty());
    let log = versions::log(&ws, &agent, &path, before, PAGE).await?;
    let wanted = match (params.commit.is_empty(), log.commits.first()) {
        (false, _) => Some(params.commit.clone()),
        (true, newest) => newest.map(|newest| newest.id.to_string()),
    };
    let change = match &wanted {
        Some(id) => Some(versions::change(&ws, &agent, id, &path).await?),
        None => None,
    };
    let eye = (who.account, who.role);
    let looked = change.as_ref().map(|change| change.commit.clone());
    let (commits, next) = (log.commits, log.next);
    let described = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let one = versions::tell(snap, eye, looked.into_iter().collect())?;
            Ok::<_, PageError>((versions::tell(snap, eye, commits)?, one.into_iter().next()))
        })
    });
    let (all, one) = described.await?;
    let base = format!("{}/history", head.base);
    let here = match path.as_str() {
        "" => format!("{base}?"),
        path => format!("{base}?path={}&", query_value(path)),
    };
    let open = match (change, one) {
        (Some(change), Some(described)) => Some(opened(&ws, &base, &when, change, described)),
        _ => None,
    };
    let current = open.as_ref().map(|open| open.id.clone()).unwrap_or_default();
    let page = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let rows = all.into_iter().map(|one| Row {
        href: format!("{here}commit={}{page}", one.id),
        current: one.id.to_string() == current,
        at: when.at(one.at),
        subject: one.subject,
        author: one.author,
    });
    let rows = rows.collect();
    let next = next.map(|next| format!("{here}before={next}")).unwrap_or_default();
    let file = match path.as_str() {
        "" => format!("{}/files", head.base),
        path => format!("{}/files?path={}", head.base, query_value(path)),
    };
    let may = who.access.may(Can::Agents) && agent.archived_at.is_none();
    let restores = may && is_editable(&path);
    html::page(&VersionsPage { shell, head, base, path, file, rows, next, open, may, restores })
}

fn opened(ws: &Ws, base: &str, when: &When, change: versions::Change, description: Told) -> Open {
    let then = change.then.map(|then| then_view(then, change.is_now));
    let run_href =
        description.run.as_ref().map(|run| ws.url(&format!("runs/{run}"))).unwrap_or_default();
    Open {
        is_upgrade: apply::is_upgrade(&description.message),
        id: description.id.to_string(),
        short: description.id.short(),
        subject: description.subject,
        author: description.author,
        at: when.at(description.at),
        run: description.run.unwrap_or_default(),
        run_href,
        files: change.files.into_iter().map(|file| diff_view(base, file)).collect(),
        more: change.more,
        then,
    }
}

pub(super) fn diff_view(base: &str, diff: FileDiff) -> DiffView {
    let what = match &diff.change {
        git::Change::Added => "Added".to_owned(),
        git::Change::Removed => "Removed".to_owned(),
        git::Change::Modified => "Changed".to_owned(),
        git::Change::Renamed { from } => format!("Renamed from {from}"),
    };
    let mut lines = lines(&diff.hunks);
    let notice = match (diff.is_text, lines.len()) {
        (false, _) => "This isn’t text, so it isn’t shown.",
        (true, 0) => "No line changes.",
        (true, all) if MAX_LINES < all => "The rest isn’t shown.",
        _ => "",
    };
    lines.truncate(MAX_LINES);
    DiffView {
        href: format!("{base}?path={}", query_value(&diff.path)),
        path: diff.path,
        what,
        added: diff.added,
        removed: diff.removed,
        lines,
        notice,
    }
}

/// Parses hunks of a unified diff.
pub(super) fn lines(hunks: &str) -> Vec<Line> {
    let mut all = Vec::new();
    for line in hunks.lines() {
        let mut rest = line.chars();
        let line = match rest.next() {
            Some('@') => Line::Place(place(line)),
            Some('+') => Line::New(rest.as_str().to_owned()),
            Some('-') => Line::Old(rest.as_str().to_owned()),
            // Marks a missing newline at the end of the file.
            Some('\\') => continue,
            _ => Line::Same(rest.as_str().to_owned()),
        };
        all.push(line);
    }
    all
}

/// `@@ -1,3 +12,4 @@` is "line 12".
fn place(header: &str) -> String {
    let after = header.split(' ').find_map(|part| part.strip_prefix('+')).unwrap_or_default();
    format!("line {}", after.split(',').next().unwrap_or_default())
}

fn then_view(then: Content, is_now: bool) -> ThenView {
    let (text, notice) = match then.text {
        None => (String::new(), "This isn’t text, so it isn’t shown.".to_owned()),
        Some(text) if then.is_cut => {
            (text, format!("Only the first {} are shown.", format::size(MAX_SHOWN)))
        }
        Some(text) if text.trim().is_empty() => (String::new(), "It was empty.".to_owned()),
        Some(text) => (text, String::new()),
    };
    ThenView { size: format::size(then.total), text, notice, is_now }
}

#[derive(Deserialize)]
pub(super) struct Back {
    path: String,
    commit: String,
}

/// `POST /agents/{slug}/history`: restores a version.
pub(super) async fn bring_back(
    app: App,
    At { ws, who, agent, .. }: At<PageError>,
    hx: Hx,
    Form(back): Form<Back>,
) -> Result<Response, PageError> {
    let Back { path, commit } = back;
    let message = match versions::bring_back(&ws, &agent, &who, &path, &commit).await? {
        Some(_) => format!("Restored {path}. The previous version is in its history."),
        None => format!("{path} is already that version."),
    };
    let base = ws.url(&format!("agents/{}/history", agent.slug));
    let url = format!("{base}?path={}", query_value(&path));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&url)))
}

#[cfg(test)]
mod tests {
    use super::{Line, lines};

    #[test]
    fn a_comparison_is_read_line_by_line() {
        let text = "@@ -1,2 +3,3 @@\n same\n-old\n+new\n++more\n\\ No newline at end of file\n";
        let all = lines(text);
        assert_eq!(all[0], Line::Place("line 3".to_owned()));
        assert_eq!(all[1], Line::Same("same".to_owned()));
        assert_eq!(all[2], Line::Old("old".to_owned()));
        assert_eq!(all[3], Line::New("new".to_owned()));
        assert_eq!(all[4], Line::New("+more".to_owned()));
        assert_eq!(all.len(), 5);
    }
}
