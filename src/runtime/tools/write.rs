//! `write`, `edit`, `apply_patch`: changes of the agent's own files. Each tool computes the new content and the
//! expected old content. The engine records both, makes the change and records the result.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crypto::redact::Redactor;
use git::files::AgentFiles;
use kernel::Can;
use tool::edits::{self, Places};
use tool::patch::{self, HunkLine, Op, Patch, Tree};
use tool::{
    Aliases, Effect, FileChange, FilePlan, FileTool, Group, ToolCx, ToolError, ToolOutput,
    ToolSpec, diff, masks, media, text,
};

use super::folder::{self, Current, blocking};
use super::read::PATHS;

/// Most bytes that one patch reads and writes.
const MAX_PATCHED: usize = 64 * 1024 * 1024;

fn too_large() -> ToolError {
    ToolError::refused("too_large", "a file can have at most 10 MB; write less")
}

pub(crate) struct Write;

/// What `write` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct WriteArgs {
    /// Path in your folder; folders are created.
    path: String,
    /// The whole new content.
    content: String,
    /// Even if it has changed since you read it.
    force: Option<bool>,
}

impl FileTool for Write {
    type Args = WriteArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("write"),
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed("Write a file in your folder: a new one, or new content."),
    };
    const ALIASES: Aliases = PATHS;

    async fn plan(&self, cx: &ToolCx, args: WriteArgs) -> Result<FilePlan, ToolError> {
        let (root, seen) = (cx.folder.clone(), cx.seen.clone());
        blocking(move || {
            let files = folder::open(&root)?;
            let path = folder::relative(&files, &args.path)?;
            let now = folder::current(&files, &path)?;
            if let (Some(now), Some(known)) = (&now, seen.get(&path))
                && now.hash != *known
                && args.force != Some(true)
            {
                return Err(ToolError::refused(
                    "conflict",
                    format!(
                        "{path} has changed since you read it (hash {} then, {} now); read it \
                         again, or write with force: true",
                        folder::short(known),
                        folder::short(&now.hash)
                    ),
                ));
            }
            let content = match now.as_ref().map(|now| std::str::from_utf8(&now.bytes)) {
                Some(Ok(old)) => text::in_place_of(old, &args.content),
                _ => args.content,
            };
            if content.len() as u64 > folder::MAX_FILE {
                return Err(too_large());
            }
            let verb = if now.is_some() { "replaced" } else { "created" };
            let hash = folder::short(&folder::sum(content.as_bytes()));
            let text = format!("{verb} {path} ({} bytes, hash {hash})", content.len());
            Ok(one(path, now, content, text))
        })
        .await
    }
}

fn one(path: String, now: Option<Current>, content: String, text: String) -> FilePlan {
    let change = FileChange {
        path,
        before: now.as_ref().map(|now| now.hash),
        content: Some(content.into_bytes()),
        executable: now.is_some_and(|now| now.executable),
    };
    FilePlan { changes: vec![change], output: ToolOutput::text(text) }
}

pub(crate) struct Edit;

/// What `edit` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditArgs {
    /// Path in your folder.
    path: String,
    /// Text to find; must occur once.
    old_text: Option<String>,
    /// Replacement text.
    new_text: Option<String>,
    /// Several, in order.
    edits: Option<Vec<Pair>>,
    /// Replace every occurrence.
    replace_all: Option<bool>,
}

/// One of several replacements.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pair {
    old_text: String,
    new_text: String,
}

impl FileTool for Edit {
    type Args = EditArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("edit"),
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed("Replace exact text in a file in your folder."),
    };
    const ALIASES: Aliases = &[
        ("file", "path"),
        ("filePath", "path"),
        ("file_path", "path"),
        ("old", "oldText"),
        ("old_text", "oldText"),
        ("old_string", "oldText"),
        ("oldString", "oldText"),
        ("new", "newText"),
        ("new_text", "newText"),
        ("new_string", "newText"),
        ("newString", "newText"),
        ("all", "replaceAll"),
        ("replace_all", "replaceAll"),
    ];

    async fn plan(&self, cx: &ToolCx, args: EditArgs) -> Result<FilePlan, ToolError> {
        let (root, redactor) = (cx.folder.clone(), cx.ws.app.redactor.clone());
        blocking(move || {
            let files = folder::open(&root)?;
            let path = folder::relative(&files, &args.path)?;
            let (wanted, places) = wanted(args)?;
            let Some(now) = folder::current(&files, &path)? else {
                return Err(folder::missing(&files, &path));
            };
            let old = text_of(&now, &path)?.to_owned();
            let (new, count) = edits::apply(&old, &wanted, places).map_err(|error| {
                let sought = wanted.iter().map(|edit| edit.old.as_str());
                masks::explained(&redactor, &old, sought, error)
            })?;
            if new.len() as u64 > folder::MAX_FILE {
                return Err(too_large());
            }
            let hash = folder::short(&folder::sum(new.as_bytes()));
            let change = diff::unified(&path, &old, &new);
            let places = if count == 1 { "place" } else { "places" };
            let text = format!("edited {path} ({count} {places}, hash {hash})\n{change}");
            Ok(one(path, Some(now), new, text))
        })
        .await
    }
}

fn wanted(args: EditArgs) -> Result<(Vec<edits::Edit>, Places), ToolError> {
    let mut wanted = Vec::new();
    match (args.old_text, args.new_text) {
        (Some(old), Some(new)) => wanted.push(edits::Edit { old, new }),
        (None, None) => {}
        _ => {
            return Err(ToolError::refused(
                "invalid_args",
                "give both oldText and newText; newText can be empty",
            ));
        }
    }
    let several = args.edits.into_iter().flatten();
    wanted.extend(several.map(|pair| edits::Edit { old: pair.old_text, new: pair.new_text }));
    if wanted.is_empty() {
        return Err(ToolError::refused("invalid_args", "give oldText and newText, or edits"));
    }
    let places = if args.replace_all == Some(true) { Places::All } else { Places::One };
    Ok((wanted, places))
}

fn text_of<'n>(now: &'n Current, path: &str) -> Result<&'n str, ToolError> {
    let kind = media::kind(&now.bytes);
    match (kind, std::str::from_utf8(&now.bytes)) {
        (None, Ok(text)) => Ok(text),
        _ => Err(ToolError::refused(
            "invalid_args",
            format!("{path} isn't UTF-8 text but {}", kind.unwrap_or("something else")),
        )),
    }
}

/// Changes several files atomically.
pub(crate) struct ApplyPatch;

/// What `apply_patch` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct PatchArgs {
    /// `*** Begin Patch`, then `*** Add File: p`, `*** Delete File: p` or `*** Update File: p`
    /// (`*** Move to: p`) with hunks of `@@ line before`, ` same`, `-old`, `+new`; `*** End Patch`.
    input: String,
}

impl FileTool for ApplyPatch {
    type Args = PatchArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("apply_patch"),
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed(
            "Change several files in your folder together: the whole patch or nothing.",
        ),
    };
    const ALIASES: Aliases = &[("patch", "input"), ("diff", "input")];

    async fn plan(&self, cx: &ToolCx, args: PatchArgs) -> Result<FilePlan, ToolError> {
        let (root, redactor) = (cx.folder.clone(), cx.ws.app.redactor.clone());
        blocking(move || {
            let read = patch::parse(&args.input)?;
            let here = Here { files: folder::open(&root)?, known: RefCell::default() };
            let applied = patch::apply(&read, &here)
                .map_err(|error| unmasked(&redactor, &read, &here, error))?;
            planned(applied, &here.known.into_inner())
        })
        .await
    }
}

/// Explains a failed hunk if it contains the mask of a secret instead of its value.
fn unmasked(redactor: &Redactor, read: &Patch, here: &Here, error: ToolError) -> ToolError {
    read.ops.iter().fold(error, |error, op| {
        let Op::Update { path, hunks, .. } = op else { return error };
        // ok: the error already reports a file that cannot be read.
        let Ok(Some(whole)) = here.path(path).and_then(|path| here.read(&path)) else {
            return error;
        };
        let lines = hunks.iter().flat_map(|hunk| {
            let before = hunk.lines.iter().filter_map(HunkLine::before);
            hunk.contexts.iter().map(String::as_str).chain(before)
        });
        masks::explained(redactor, &whole, lines, error)
    })
}

/// The agent's folder as a patch sees it.
struct Here {
    files: AgentFiles,
    /// Files that were read: executable flag and hash.
    known: RefCell<BTreeMap<String, (bool, [u8; 32])>>,
}

impl Here {
    fn read_current(&self, path: &str) -> Result<Option<Current>, ToolError> {
        let now = folder::current(&self.files, path)?;
        if let Some(now) = &now {
            self.known.borrow_mut().insert(path.to_owned(), (now.executable, now.hash));
        }
        Ok(now)
    }
}

impl Tree for Here {
    fn path(&self, written: &str) -> Result<String, ToolError> {
        let path = folder::relative(&self.files, written).map_err(|error| match error {
            ToolError::Refused { message, .. } => ToolError::refused("outside_workspace", message),
            error => error,
        })?;
        match path.as_str() {
            "" => Err(ToolError::refused(
                "invalid_args",
                "give the path of a file, not your \
                folder",
            )),
            _ => Ok(path),
        }
    }

    fn read(&self, path: &str) -> Result<Option<String>, ToolError> {
        let Some(now) = self.read_current(path)? else { return Ok(None) };
        text_of(&now, path).map(|text| Some(text.to_owned()))
    }

    fn is_no_text(&self, path: &str) -> Result<bool, ToolError> {
        Ok(self.read_current(path)?.is_some_and(|now| text_of(&now, path).is_err()))
    }

    fn is_there(&self, path: &str) -> Result<bool, ToolError> {
        Ok(folder::current(&self.files, path)?.is_some())
    }
}

fn planned(
    applied: patch::Applied,
    known: &BTreeMap<String, (bool, [u8; 32])>,
) -> Result<FilePlan, ToolError> {
    let mut changes = Vec::with_capacity(applied.files.len());
    let mut bytes = 0;
    for (path, file) in applied.files {
        bytes += file.before.as_ref().map_or(0, String::len);
        bytes += file.after.as_ref().map_or(0, String::len);
        let large = file.after.as_ref().is_some_and(|text| text.len() as u64 > folder::MAX_FILE);
        if large || bytes > MAX_PATCHED {
            return Err(too_large());
        }
        let program = file.from.as_ref().unwrap_or(&path);
        let was = file.no_text || file.before.is_some();
        changes.push(FileChange {
            executable: known.get(program).is_some_and(|(executable, _)| *executable),
            before: known.get(&path).filter(|_| was).map(|(_, hash)| *hash),
            content: file.after.map(String::into_bytes),
            path,
        });
    }
    if changes.is_empty() {
        return Err(ToolError::refused("invalid_args", "the patch would change nothing"));
    }
    Ok(FilePlan { changes, output: ToolOutput::text(applied.report.join("\n")) })
}
