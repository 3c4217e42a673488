//! `read` and `list`: the agent's own files, and results of earlier calls.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;

use app::Ws;
use features::agents::packages::{self, Found};
use features::runs::model::{Body, Child, EventKind, Run};
use features::runs::queries;
use git::files::{AgentFiles, Item};
use git::folder::Kind;
use kernel::{AgentId, Can};
use providers::model::Part;
use store::{ReadExt, StoreError};
use tool::{
    Aliases, Effect, Group, Looks, Picture, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec,
    document, media, text, untrusted,
};

use super::folder::{self, blocking};
use crate::fetch_blobs::bring;

/// Default number of lines of `read`.
const LINES: usize = 2_000;
/// Most names of `list`.
const NAMES: usize = 500;
/// Most characters of one line.
const MAX_LINE: usize = 2_000;
/// Most bytes of one result; a note says where to continue.
const MAX_SHOWN: usize = 50 * 1024;
/// Bytes of a result reserved for the notes.
const WORDS: usize = 512;
/// The largest picture given to a model, in bytes.
const MAX_PICTURE: usize = 10 * 1024 * 1024;
/// Most text of a PDF, in bytes.
const MAX_WORDS: usize = 500_000;
/// The longest stored output that is read back, in bytes.
const MAX_RESULT: u64 = 64 * 1024 * 1024;

/// Aliases of the path argument.
pub(super) const PATHS: Aliases = &[("file", "path"), ("filePath", "path"), ("file_path", "path")];

pub(crate) struct Read;

/// What `read` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReadArgs {
    /// Path in your folder, or `result:<n>` for the full output of call n.
    path: String,
    /// First line, from 1.
    offset: Option<usize>,
    /// Number of lines (2000).
    limit: Option<usize>,
}

impl ReadTool for Read {
    type Args = ReadArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("read"),
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("Read a text file, an image or a folder of yours."),
    };
    const ALIASES: Aliases = PATHS;
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let lines = Lines {
            from: args.offset.unwrap_or(1).max(1),
            count: args.limit.unwrap_or(LINES).clamp(1, LINES),
            room: MAX_SHOWN.min(cx.max_result.saturating_sub(WORDS)),
        };
        if let Some(name) = args.path.strip_prefix("result:") {
            let text = result_text(cx, name).await?;
            let part = lines.of(&text, "")?;
            let output = ToolOutput::text(untrusted::rewrap(&text, part));
            return folder::of_result(cx, output, name);
        }
        let (root, ws, agent) = (cx.folder.clone(), cx.ws.clone(), cx.agent);
        let (read, output) = blocking(move || {
            let files = folder::open(&root)?;
            let path = folder::relative(&files, &args.path)?;
            let output = match files.list(&path)? {
                Some(items) => ToolOutput::text(listing(items)),
                // The agent's own skills come before packages.
                None if files.kind(&path)?.is_none() => {
                    match of_package(&ws, agent, &path, &lines)? {
                        Some(output) => output,
                        None => file(&files, path.clone(), &lines)?,
                    }
                }
                None => file(&files, path.clone(), &lines)?,
            };
            Ok((path, output))
        })
        .await?;
        folder::marked(cx, output, |path, _| path == read)
    }
}

fn file(files: &AgentFiles, path: String, lines: &Lines) -> Result<ToolOutput, ToolError> {
    let Some(now) = folder::current(files, &path)? else {
        return Err(folder::missing(files, &path));
    };
    let mut output = match (media::kind(&now.bytes), String::from_utf8(now.bytes)) {
        (None, Ok(content)) => {
            let hash = format!(", hash {}", folder::short(&now.hash));
            ToolOutput::text(lines.of(text::split_mark(&content).1, &hash)?)
        }
        (kind, bytes) => {
            let kind = kind.unwrap_or("application/octet-stream");
            let bytes =
                bytes.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
            match kind {
                _ if document::is_one(&bytes) => words(&path, &bytes, lines)?,
                kind => picture(&path, kind, bytes)?,
            }
        }
    };
    output.seen.push((path, now.hash));
    Ok(output)
}

/// A file or folder of a skill package; `None` if the agent has no such package.
fn of_package(
    ws: &Ws,
    agent: AgentId,
    path: &str,
    lines: &Lines,
) -> Result<Option<ToolOutput>, ToolError> {
    let Some((package, found)) = packages::find(ws, agent, path, folder::MAX_FILE) else {
        return Ok(None);
    };
    let note = format!("; read-only, programs find it at ${}/{}", packages::VARIABLE, package.name);
    let part = match found {
        Found::Folder(items) => {
            return Ok(Some(ToolOutput::text(format!("{}\n[folder{note}]", listing(items)))));
        }
        Found::File(part) => part,
    };
    let refused = |text: String| Err(ToolError::refused("invalid_args", text));
    if folder::MAX_FILE < part.total {
        return refused(format!("{path} has {} bytes; use a program to inspect it", part.total));
    }
    match String::from_utf8(part.bytes) {
        Ok(text) => Ok(Some(ToolOutput::text(lines.of(&text, &note)?))),
        Err(_) => refused(format!("{path} isn't UTF-8 text; use a program to inspect it")),
    }
}

/// The text of a document, by lines.
fn words(path: &str, data: &[u8], lines: &Lines) -> Result<ToolOutput, ToolError> {
    let refused = |why: &str| {
        let text = format!("{path} is a document without readable text: {why}; use a program");
        ToolError::refused("invalid_args", text)
    };
    let read = document::words(data, MAX_WORDS).map_err(refused)?;
    if read.text.is_empty() {
        return Err(refused("it may be a scan"));
    }
    let note = format!(", the text of a {} without images", read.describe());
    Ok(ToolOutput::text(lines.of(&read.text, &note)?))
}

fn picture(path: &str, kind: &str, data: Vec<u8>) -> Result<ToolOutput, ToolError> {
    let len = data.len();
    if !media::is_picture(kind) {
        return Err(ToolError::refused(
            "invalid_args",
            format!(
                "{path} isn't UTF-8 text but {kind} ({len} bytes); use a program to inspect it"
            ),
        ));
    }
    if len > MAX_PICTURE {
        return Err(ToolError::refused(
            "too_large",
            format!(
                "{path} has {len} bytes, and images can have at most {MAX_PICTURE}; make a smaller \
                 copy"
            ),
        ));
    }
    let mut output = ToolOutput::text(format!("{path}: {kind}, {len} bytes"));
    output.picture = Some(Picture { media_type: kind.to_owned(), data });
    Ok(output)
}

/// The full output of an earlier call: `result:<run>.<n>`, or `result:<n>` in this run. `result:R-<run>` is the answer
/// of a sub-agent.
pub(super) async fn result_text(cx: &ToolCx, name: &str) -> Result<String, ToolError> {
    let of_child = name.trim().strip_prefix(['R', 'r']).and_then(|rest| rest.strip_prefix('-'));
    if let Some(number) = of_child {
        return answer_of(cx, number);
    }
    let number = |text: &str| {
        text.trim().parse::<u32>().map_err(|_| {
            ToolError::refused("invalid_args", "use result:<number>, as in the cut output")
        })
    };
    let (run, wanted) = match name.split_once('.') {
        Some((run, step)) => (Some(number(run)?), number(step)?),
        None => (None, number(name)?),
    };
    let (own, agent, session) = (cx.run, cx.agent, cx.session);
    let body = cx.ws.read(|snap| {
        let run = match run {
            Some(number) => queries::by_name(snap, &number.to_string())?,
            None => snap.get::<Run>(own)?,
        };
        // Results of other agents, and of conversations that this one may not read, are private.
        let Some(run) = run.filter(|run| run.agent == agent) else { return Ok(None) };
        if !queries::talk::may_tell_of(snap, session, run.session)? {
            return Ok(None);
        }
        let events = queries::events_of_run(snap, &run, usize::MAX)?;
        let found = events.into_iter().find_map(|event| match event.kind {
            EventKind::ToolFinished { step, result, .. } if step == wanted => Some(result),
            _ => None,
        });
        Ok::<_, StoreError>(found)
    })?;
    match body {
        Some(Body::Inline(text)) => Ok(text),
        Some(Body::Blob { id, .. }) => {
            let ws = cx.ws.clone();
            bring(&ws, vec![id]).await;
            blocking(move || {
                let bytes = ws.blobs.get(id, MAX_RESULT).map_err(|e| {
                    ToolError::refused(
                        "not_found",
                        format!(
                            "the output is no longer available: \
                        {e}"
                        ),
                    )
                })?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            })
            .await
        }
        None => Err(ToolError::refused("not_found", format!("there is no result {name}"))),
    }
}

/// The whole answer of a sub-agent of this conversation; its parent gets only a part of a long one.
fn answer_of(cx: &ToolCx, number: &str) -> Result<String, ToolError> {
    let own = cx.session;
    let answer = cx.ws.read(|snap| {
        let Some(run) = queries::by_name(snap, number)? else { return Ok(None) };
        let child = snap.get::<Child>(run.id)?;
        if child.is_none_or(|child| child.session != own) {
            return Ok(None);
        }
        let events = queries::events_of_run(snap, &run, usize::MAX)?;
        Ok::<_, StoreError>(events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Assistant { parts, .. } => words_of(parts.head()),
            _ => None,
        }))
    })?;
    answer.ok_or_else(|| {
        let text = format!("you have no answer from a sub-agent R-{number}");
        ToolError::refused("not_found", text)
    })
}

/// The text of a response, if any.
fn words_of(parts: &str) -> Option<String> {
    // ok: a response that cannot be parsed has no text.
    let parts: Vec<Part> = serde_json::from_str(parts).ok()?;
    let words = parts.into_iter().filter_map(|part| match part {
        Part::Text { text } => Some(text),
        _ => None,
    });
    let words = words.collect::<Vec<_>>().join("\n");
    Some(words).filter(|words| !words.trim().is_empty())
}

/// The requested lines.
struct Lines {
    from: usize,
    count: usize,
    room: usize,
}

impl Lines {
    /// Some lines of a text, with notes on what is left out and where to continue. A line that is too long is cut;
    /// `search` finds the rest.
    fn of(&self, text: &str, note: &str) -> Result<String, ToolError> {
        let (mut out, mut total, mut last) = (String::new(), 0, 0);
        let mut full = false;
        for line in text.lines() {
            total += 1;
            if total < self.from || self.from + self.count <= total || full {
                continue;
            }
            let shown = cut_line(line);
            if self.room < out.len() + shown.len() && last > 0 {
                full = true;
                continue;
            }
            last = total;
            out.push_str(shown);
            if shown.len() < line.len() {
                // ok: writing to a String cannot fail.
                let _ = write!(out, " [… {} more bytes in this line]", line.len() - shown.len());
            }
            out.push('\n');
        }
        if total == 0 {
            return Ok(format!("[empty{note}]"));
        }
        if last == 0 {
            return Err(ToolError::refused(
                "invalid_args",
                format!("offset {} is past the end: there are {total} lines", self.from),
            ));
        }
        let lines = if total == 1 { "line" } else { "lines" };
        let words = match (self.from, last) {
            (1, last) if last == total => format!("[{total} {lines}{note}]"),
            (from, last) if last == total => format!("[lines {from} to {last} of {total}{note}]"),
            (from, last) => {
                format!(
                    "[lines {from} to {last} of {total}; continue with offset \
                    {}{note}]",
                    last + 1
                )
            }
        };
        out.push_str(&words);
        Ok(out)
    }
}

fn cut_line(line: &str) -> &str {
    line.char_indices().nth(MAX_LINE).map_or(line, |(at, _)| &line[..at])
}

pub(crate) struct List;

/// What `list` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListArgs {
    /// Folder; default: your top folder.
    path: Option<String>,
}

impl ReadTool for List {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("list"),
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("List one of your folders."),
    };
    const ALIASES: Aliases = PATHS;
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let root = cx.folder.clone();
        blocking(move || {
            let files = folder::open(&root)?;
            let path = folder::relative(&files, args.path.as_deref().unwrap_or(""))?;
            let items = files.list(&path)?.ok_or_else(|| {
                ToolError::refused("not_found", format!("there is no folder {path}"))
            })?;
            Ok(ToolOutput::text(listing(items)))
        })
        .await
    }
}

fn listing(items: Vec<Item>) -> String {
    if items.is_empty() {
        return "[empty folder]".to_owned();
    }
    let mut out = String::new();
    let more = items.len().saturating_sub(NAMES);
    for item in items.into_iter().take(NAMES) {
        let line = match item.kind {
            Kind::Folder => format!("{}/\n", item.name),
            Kind::File { bytes, .. } => format!("{} ({bytes} bytes)\n", item.name),
            Kind::Other => format!("{} (a link or special file; not followed)\n", item.name),
        };
        out.push_str(&line);
    }
    if more > 0 {
        // ok: writing to a String cannot fail.
        let _ = write!(out, "[{more} more]");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Lines;

    fn window(text: &str, from: usize, count: usize) -> String {
        Lines { from, count, room: 12_000 }.of(text, ", hash 1a2b").expect("there are lines")
    }

    #[test]
    fn a_window_says_what_it_leaves_out_and_where_to_go_on() {
        assert_eq!(window("1\n2\n3", 1, 2_000), "1\n2\n3\n[3 lines, hash 1a2b]");
        assert_eq!(window("1\r\n", 1, 2_000), "1\n[1 line, hash 1a2b]");
        assert_eq!(window("", 1, 2_000), "[empty, hash 1a2b]");
        assert_eq!(
            window("1\n2\n3", 2, 1),
            "2\n[lines 2 to 2 of 3; continue with offset 3, hash 1a2b]"
        );
        assert_eq!(window("1\n2\n3", 3, 1), "3\n[lines 3 to 3 of 3, hash 1a2b]");
        assert!(Lines { from: 9, count: 1, room: 99 }.of("1\n2", "").is_err());
    }

    #[test]
    fn long_lines_and_long_files_are_cut() {
        let long = window(&"ä".repeat(5_000), 1, 9);
        assert!(long.contains("ä [… 6000 more bytes in this line]"), "{}", &long[3_900..]);
        let many = window(&"some words in a line\n".repeat(5_000), 1, 2_000);
        assert!(many.len() < 12_200, "{}", many.len());
        assert!(many.contains("of 5000; continue with offset 572"), "{}", &many[11_900..]);
        let one = Lines { from: 1, count: 5, room: 10 }.of(&"x".repeat(50), "").unwrap();
        assert!(one.starts_with("xxxxx"), "one line is always given: {one}");
    }
}
