//! `read`, `list`, `write`, `edit`: the agent's own files.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::features::runs::model::{Body, EventKind, Run};
use crate::features::runs::queries;
use crate::git::folder::Kind;
use crate::kernel::Can;
use crate::kernel::text::cut;
use crate::store::ReadExt;
use crate::tool::{
    Effect, FilePlan, FileTool, Group, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec,
};

use super::folder;

/// How many lines `read` gives unless asked.
const LINES: usize = 2_000;
/// How many names `list` gives.
const NAMES: usize = 500;
/// How much of one line `read` gives, in bytes.
const MAX_LINE: usize = 2_000;
/// After how many bytes `read` ends, with a word on where to go on.
const MAX_SHOWN: usize = 12 * 1024;

async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    tokio::task::spawn_blocking(body).await.unwrap_or_else(|_| {
        Err(ToolError::Failed { code: "internal", message: "a file task panicked".to_owned() })
    })
}

fn text_of(bytes: Vec<u8>, path: &str) -> Result<String, ToolError> {
    String::from_utf8(bytes)
        .map_err(|_| ToolError::refused("not_text", format!("{path} is not text in UTF-8")))
}

/// Reads a file.
pub(crate) struct Read;

/// What `read` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReadArgs {
    /// Path in your folder, or `result:<n>` for the full output of call n.
    path: String,
    /// First line, from 1.
    offset: Option<usize>,
    /// Number of lines.
    limit: Option<usize>,
}

impl ReadTool for Read {
    type Args = ReadArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: "read",
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: "Read a text file of your folder.",
    };

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let text = match args.path.strip_prefix("result:") {
            Some(step) => result_text(cx, step).await?,
            None => {
                let (root, path) = (cx.folder.clone(), args.path.clone());
                blocking(move || text_of(folder::read(&root, &path, folder::MAX_FILE)?, &path))
                    .await?
            }
        };
        Ok(ToolOutput::text(window(&text, args.offset, args.limit)))
    }
}

/// The full output of an earlier call: `result:<run>.<n>`, or `result:<n>` for one of this run.
pub(super) async fn result_text(cx: &ToolCx, name: &str) -> Result<String, ToolError> {
    let number = |text: &str| {
        text.trim().parse::<u32>().map_err(|_| {
            ToolError::refused("bad_path", "write result:<number>, as it stands in the cut output")
        })
    };
    let (run, wanted) = match name.split_once('.') {
        Some((run, step)) => (Some(number(run)?), number(step)?),
        None => (None, number(name)?),
    };
    let (own, agent) = (cx.run, cx.agent);
    let body = cx.ws.read(|snap| {
        let run = match run {
            Some(number) => queries::by_name(snap, &number.to_string())?,
            None => snap.get::<Run>(own)?,
        };
        // What others were told is theirs.
        let Some(run) = run.filter(|run| run.agent == agent) else { return Ok(None) };
        let events = queries::events_of_run(snap, &run, usize::MAX)?;
        let found = events.into_iter().find_map(|event| match event.kind {
            EventKind::ToolFinished { step, result, .. } if step == wanted => Some(result),
            _ => None,
        });
        Ok::<_, crate::store::StoreError>(found)
    })?;
    match body {
        Some(Body::Inline(text)) => Ok(text),
        Some(Body::Blob { id, .. }) => {
            let ws = cx.ws.clone();
            blocking(move || {
                let bytes = ws.blobs.get(id, 64 * 1024 * 1024).map_err(|e| {
                    ToolError::refused("no_such_result", format!("the output is gone: {e}"))
                })?;
                text_of(bytes, "the output")
            })
            .await
        }
        None => Err(ToolError::refused("no_such_result", format!("there is no result {name}"))),
    }
}

/// Some lines of a text, with a word on what is left out. Of a line that is too long its beginning
/// is given; `search` finds what stands further back.
fn window(text: &str, offset: Option<usize>, limit: Option<usize>) -> String {
    let from = offset.unwrap_or(1).max(1);
    let count = limit.unwrap_or(LINES).max(1);
    let mut out = String::new();
    let mut total = 0;
    for line in text.lines() {
        total += 1;
        if total < from || from + count <= total || MAX_SHOWN < out.len() {
            continue;
        }
        let shown = cut(line, MAX_LINE);
        out.push_str(shown);
        if shown.len() < line.len() {
            // ok: writing to a String cannot fail.
            let _ = write!(out, " [… {} more bytes in this line]", line.len() - shown.len());
        }
        out.push('\n');
    }
    let shown = out.lines().count();
    if from == 1 && shown == total && !text.ends_with('\n') {
        out.pop();
    }
    if shown < total {
        let last = (from + shown).saturating_sub(1);
        // ok: writing to a String cannot fail.
        let _ = write!(out, "[lines {from} to {last} of {total}]");
    }
    out
}

/// Lists a folder.
pub(crate) struct List;

/// What `list` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListArgs {
    /// Folder; your own top folder without it.
    path: Option<String>,
}

impl ReadTool for List {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: "list",
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: "List a folder of yours.",
    };

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let root = cx.folder.clone();
        blocking(move || {
            let files = folder::open(&root)?;
            let path = files.relative(args.path.as_deref().unwrap_or(""))?;
            let items = files.list(&path)?.ok_or_else(|| {
                ToolError::refused("no_such_folder", format!("there is no folder {path}"))
            })?;
            let mut out = String::new();
            let more = items.len().saturating_sub(NAMES);
            for item in items.into_iter().take(NAMES) {
                let line = match item.kind {
                    Kind::Folder => format!("{}/\n", item.name),
                    Kind::File { bytes, .. } => format!("{} ({bytes} bytes)\n", item.name),
                    Kind::Other => format!("{} (no file)\n", item.name),
                };
                out.push_str(&line);
            }
            if more > 0 {
                out.push_str(&format!("[{more} more]"));
            }
            Ok(ToolOutput::text(out))
        })
        .await
    }
}

/// Writes a whole file.
pub(crate) struct Write;

/// What `write` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct WriteArgs {
    /// Path in your folder; folders are made.
    path: String,
    /// The whole new content.
    content: String,
}

impl FileTool for Write {
    type Args = WriteArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: "write",
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: "Write a file in your folder: new, or in place of the old content.",
    };

    async fn plan(&self, cx: &ToolCx, args: WriteArgs) -> Result<FilePlan, ToolError> {
        let root = cx.folder.clone();
        blocking(move || {
            let files = folder::open(&root)?;
            let path = files.relative(&args.path)?;
            if args.content.len() as u64 > folder::MAX_FILE {
                return Err(ToolError::refused("file_too_large", "a file has at most 10 MB"));
            }
            let before = folder::hash(&files, &path)?;
            let verb = if before.is_some() { "replaced" } else { "wrote" };
            let output = ToolOutput::text(format!("{verb} {path} ({} bytes)", args.content.len()));
            Ok(FilePlan { path, before, content: Some(args.content.into_bytes()), output })
        })
        .await
    }
}

/// Replaces text in a file.
pub(crate) struct Edit;

/// What `edit` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct EditArgs {
    /// Path in your folder.
    path: String,
    /// Exact text to find; must occur once.
    old: String,
    /// Text in its place.
    new: String,
    /// Replace every occurrence.
    all: Option<bool>,
}

impl FileTool for Edit {
    type Args = EditArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: "edit",
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: "Replace exact text in a file of your folder.",
    };

    async fn plan(&self, cx: &ToolCx, args: EditArgs) -> Result<FilePlan, ToolError> {
        let root = cx.folder.clone();
        blocking(move || {
            let files = folder::open(&root)?;
            let path = files.relative(&args.path)?;
            let bytes = folder::read(&root, &path, folder::MAX_FILE)?;
            let before = Some(Sha256::digest(&bytes).into());
            let text = text_of(bytes, &path)?;
            let (content, count) = replace(&text, &args)?;
            let output = ToolOutput::text(format!("edited {path} ({count} replaced)"));
            Ok(FilePlan { path, before, content: Some(content.into_bytes()), output })
        })
        .await
    }
}

fn replace(text: &str, args: &EditArgs) -> Result<(String, usize), ToolError> {
    if args.old.is_empty() {
        return Err(ToolError::refused("bad_arguments", "old must not be empty; use write"));
    }
    match (text.matches(&args.old).count(), args.all.unwrap_or(false)) {
        (0, _) => Err(ToolError::refused(
            "not_found",
            "old does not occur in the file; read it and copy the text exactly",
        )),
        (1, _) => Ok((text.replacen(&args.old, &args.new, 1), 1)),
        (count, true) => Ok((text.replace(&args.old, &args.new), count)),
        (count, false) => Err(ToolError::refused(
            "not_unique",
            format!("old occurs {count} times; give more of the text around it, or all: true"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{EditArgs, replace, window};

    fn edit(old: &str, all: bool) -> EditArgs {
        EditArgs { path: "a".into(), old: old.into(), new: "X".into(), all: Some(all) }
    }

    #[test]
    fn an_edit_wants_exactly_one_place() {
        assert_eq!(replace("a b a", &edit("b", false)).unwrap(), ("a X a".into(), 1));
        assert!(replace("a b a", &edit("a", false)).is_err());
        assert_eq!(replace("a b a", &edit("a", true)).unwrap(), ("X b X".into(), 2));
        assert!(replace("a", &edit("z", true)).is_err());
        assert!(replace("a", &edit("", true)).is_err());
    }

    #[test]
    fn a_window_says_what_it_leaves_out() {
        assert_eq!(window("1\n2\n3", None, None), "1\n2\n3");
        assert_eq!(window("1\n2\n", None, None), "1\n2\n");
        assert_eq!(window("", None, None), "");
        assert_eq!(window("1\n2\n3", Some(2), Some(1)), "2\n[lines 2 to 2 of 3]");
        assert_eq!(window("1\n2\n3", Some(9), None), "[lines 9 to 8 of 3]");
        let long = window(&"x".repeat(5_000), None, None);
        assert!(long.starts_with("xxx") && long.ends_with("[… 3000 more bytes in this line]"));
        let many = window(&"some words in a line\n".repeat(5_000), None, None);
        assert!(many.len() < 13_000 && many.ends_with("of 5000]"), "{}", &many[many.len() - 60..]);
    }
}
