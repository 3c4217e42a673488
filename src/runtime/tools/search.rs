//! `search`: finds text and names in the agent's own files.

use std::borrow::Cow;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use git::files::{AgentFiles, Scan};
use kernel::Can;
use kernel::text::ellipsis;
use tool::globs::{self, Expression, Ignore};
use tool::{
    Aliases, Effect, Group, Looks, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, media,
    untrusted,
};

use super::{folder, read};

/// Default number of hits.
const HITS: usize = 100;
/// Maximum number of hits.
const MAX_HITS: usize = 500;
/// Larger files are skipped.
const MAX_SEARCHED: u64 = 1024 * 1024;
/// Larger ignore files are not read.
const MAX_IGNORE: u64 = 64 * 1024;

pub(crate) struct Search;

/// What `search` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// Text to find; case-insensitive.
    pattern: Option<String>,
    /// Only below this folder, or in `result:<n>`.
    path: Option<String>,
    /// Only files like `*.md`.
    glob: Option<String>,
    /// The pattern is a regular expression.
    regex: Option<bool>,
    /// Search names only.
    names: Option<bool>,
    /// Maximum hits (100).
    limit: Option<usize>,
}

impl ReadTool for Search {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("search"),
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("Search text or file names in your folder."),
    };
    const ALIASES: Aliases = &[
        ("text", "pattern"),
        ("query", "pattern"),
        ("include", "glob"),
        ("file", "path"),
        ("head_limit", "limit"),
    ];
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let wanted = Wanted::of(&args)?;
        if let Some(name) = args.path.as_deref().and_then(|path| path.strip_prefix("result:")) {
            let text = read::result_text(cx, name).await?;
            let mut found = wanted.in_text(&text);
            found.text = untrusted::rewrap(&text, found.text);
            return folder::of_result(cx, found, name);
        }
        let (root, cancel) = (cx.folder.clone(), cx.cancel.clone());
        let found = folder::blocking(move || {
            let files = folder::open(&root)?;
            let below = folder::relative(&files, args.path.as_deref().unwrap_or(""))?;
            wanted.in_files(&files, &below, &cancel)
        })
        .await?;
        folder::marked(cx, found, folder::is_hit)
    }
}

/// The search criteria.
struct Wanted {
    text: Option<Regex>,
    path: Option<Regex>,
    only_names: bool,
    limit: usize,
}

fn wrong(what: &str, why: impl std::fmt::Display) -> ToolError {
    ToolError::refused("invalid_args", format!("{what}: {why}"))
}

impl Wanted {
    fn of(args: &Args) -> Result<Self, ToolError> {
        let pattern = args.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        if pattern.is_none() && args.glob.is_none() {
            return Err(wrong("pattern", "give the text to find, or a glob for file names"));
        }
        let how = if args.regex == Some(true) { Expression::Regular } else { Expression::Plain };
        let text = pattern.map(|pattern| globs::words(pattern, how)).transpose();
        let path = args.glob.as_deref().map(globs::path).transpose();
        Ok(Self {
            text: text.map_err(|why| wrong("pattern", why))?,
            path: path.map_err(|why| wrong("glob", why))?,
            only_names: args.names == Some(true) || pattern.is_none(),
            limit: args.limit.unwrap_or(HITS).clamp(1, MAX_HITS),
        })
    }

    fn in_files(
        &self,
        files: &AgentFiles,
        below: &str,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, ToolError> {
        let scan = files.scan()?;
        let ignore = ignored(files, &scan);
        let mut found = Found { hits: Vec::new(), limit: self.limit, left: 0 };
        for (path, bytes) in scan.files() {
            if cancel.is_cancelled() || found.is_full() {
                break;
            }
            let inside = below.is_empty()
                || path == below
                || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'));
            let fits = self.path.as_ref().is_none_or(|glob| glob.is_match(path));
            if !inside || !fits || (path != below && ignore.covers(path)) {
                continue;
            }
            if self.text.as_ref().is_none_or(|text| text.is_match(path)) {
                found.push(path.to_owned());
            }
            if !self.only_names {
                self.in_file(files, path, bytes, &mut found);
            }
        }
        Ok(found.into_output())
    }

    fn in_file(&self, files: &AgentFiles, path: &str, bytes: u64, found: &mut Found) {
        let Some(wanted) = &self.text else { return };
        if bytes > MAX_SEARCHED {
            found.left += 1;
            return;
        }
        // ok: a file that cannot be read has no hits.
        let Ok(Some(part)) = files.read(path, 0, MAX_SEARCHED) else { return };
        if media::kind(&part.bytes).is_some() {
            return;
        }
        let text = String::from_utf8_lossy(&part.bytes);
        for (n, line) in text.lines().enumerate() {
            if found.is_full() {
                return;
            }
            if let Some(at) = wanted.find(line) {
                found.push(format!("{path}:{}: {}", n + 1, around(line, at.start())));
            }
        }
    }

    /// The lines of a stored output that match.
    fn in_text(&self, text: &str) -> ToolOutput {
        let mut found = Found { hits: Vec::new(), limit: self.limit, left: 0 };
        for (n, line) in text.lines().enumerate() {
            let Some(at) = self.text.as_ref().and_then(|wanted| wanted.find(line)) else {
                continue;
            };
            found.push(format!("{}: {}", n + 1, around(line, at.start())));
            if found.is_full() {
                break;
            }
        }
        found.into_output()
    }
}

/// The text around a hit in a line.
fn around(line: &str, at: usize) -> String {
    if line.len() <= 200 {
        return line.trim().to_owned();
    }
    let mut from = at.saturating_sub(80);
    while !line.is_char_boundary(from) {
        from -= 1;
    }
    ellipsis(line[from..].trim(), 200)
}

/// The rules of the ignore files in a folder, outer ones first.
fn ignored(files: &AgentFiles, scan: &Scan) -> Ignore {
    let mut ignore = Ignore::default();
    let mut found: Vec<&str> = scan
        .files()
        .filter(|(path, bytes)| {
            let name = path.rsplit_once('/').map_or(*path, |(_, name)| name);
            Ignore::is_file(name) && *bytes <= MAX_IGNORE
        })
        .map(|(path, _)| path)
        .collect();
    found.sort_by_key(|path| path.matches('/').count());
    for path in found {
        // ok: an unreadable ignore file has no rules.
        if let Ok(Some(part)) = files.read(path, 0, MAX_IGNORE) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            ignore.add(folder, &String::from_utf8_lossy(&part.bytes));
        }
    }
    ignore
}

struct Found {
    hits: Vec<String>,
    limit: usize,
    /// Number of files that were too large to search.
    left: usize,
}

impl Found {
    fn push(&mut self, hit: String) {
        if !self.is_full() {
            self.hits.push(hit);
        }
    }

    fn is_full(&self) -> bool {
        self.limit <= self.hits.len()
    }

    fn into_output(self) -> ToolOutput {
        let full = self.is_full();
        let mut lines = self.hits;
        if lines.is_empty() {
            lines.push("nothing found".to_owned());
        }
        if full {
            lines.push(format!("[stopped at {} hits; narrow the search]", self.limit));
        }
        if self.left > 0 {
            lines.push(format!("[skipped {} files over 1 MB]", self.left));
        }
        ToolOutput::text(lines.join("\n"))
    }
}
