//! File tools for agents on tasks and records: list, read text, attach.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::files::model::TaskFile;
use features::files::queries::{self, FileError};
use features::files::rules::{self, NewFile};
use features::places::Spot;
use features::runs::model::Place;
use features::runs::queries::taint;
use features::tasks::queries::brief::Names;
use kernel::text::cut;
use kernel::{Can, TypedId as _};
use store::{Read, WriteTx};
use tool::document;
use tool::take::{Taken, take_file};
use tool::{
    Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool,
};
use web::file::{Kind, clean_name};
use web::format;

/// Size limit of a file that is read as text, in bytes.
const MAX_TEXT: u64 = 10 * 1024 * 1024;
/// Limit on the text extracted from a document, in bytes.
const MAX_WORDS: usize = 500_000;
/// Default number of lines.
const LINES: usize = 400;
/// Size limit of a result, in bytes; it then states where to continue.
const MAX_SHOWN: usize = 12 * 1024;
/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 2_000;

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(FileList).read(FileRead).write(FileAttach)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Tasks,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

/// `file_list`: lists the files of a task.
pub struct FileList;

/// Arguments of `file_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// such as MC-142 or contact:Name; default: the task you work on
    task: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    name: String,
    bytes: u64,
    media: String,
    by: String,
}

impl ReadTool for FileList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec("file_list", Effect::Read, "List the files on a task or a record.");
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let spot = Spot::meant(snap, args.task.as_deref(), (cx.agent, cx.task))?;
            let names = Names::read(snap)?;
            let files = queries::of(snap, spot.place).map_err(FileError::from)?;
            let places: Vec<Place> = files.iter().map(|file| Place::of(file.id)).collect();
            let lines = files.into_iter().map(|file| Listed {
                id: file.id.short(),
                name: file.name,
                bytes: file.size,
                media: file.media,
                by: names.people.actor(file.by).name,
            });
            let output = ToolOutput::of(&lines.collect::<Vec<_>>());
            Ok(taint::shown(snap, cx, places, output)?)
        })
    }
}

/// `file_read`: reads a text file of a task.
pub struct FileRead;

/// Arguments of `file_read`.
#[derive(Deserialize, JsonSchema)]
pub struct ReadArgs {
    /// id or name, as file_list shows it
    file: String,
    /// default: the one you work on
    task: Option<String>,
    /// first line, from 1
    offset: Option<usize>,
    /// number of lines
    limit: Option<usize>,
}

impl ReadTool for FileRead {
    type Args = ReadArgs;
    const SPEC: ToolSpec =
        spec("file_read", Effect::Read, "Read a text file or a PDF on a task, with line numbers.");

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let file = cx.ws.read(|snap| {
            let spot = Spot::meant(snap, args.task.as_deref(), (cx.agent, cx.task))?;
            let files = queries::of(snap, spot.place).map_err(FileError::from)?;
            named(&files, &args.file)
        })?;
        let size = format::size(file.size);
        if file.size > MAX_TEXT {
            let message = format!("\"{}\" has {size}; text up to 10 MB can be read", file.name);
            return Err(ToolError::refused("file_too_large", message));
        }
        let (ws, blob) = (cx.ws.clone(), file.blob);
        let read = tokio::task::spawn_blocking(move || {
            ws.blobs.get(blob, MAX_TEXT).map(|bytes| {
                let kind = Kind::of(&bytes);
                let words = if document::is_one(&bytes) { words_of(&bytes) } else { None };
                (bytes, kind, words)
            })
        });
        let (bytes, kind, words) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                let message = format!("the content of \"{}\" is missing: {error}", file.name);
                return Err(ToolError::refused("file_missing", message));
            }
            Err(error) => {
                let message = format!("reading a file: {error}");
                return Err(ToolError::Failed { code: "blob", message });
            }
        };
        let shown = |text: &str| {
            let output = ToolOutput::text(window(text, args.offset, args.limit));
            cx.ws.read(|snap| taint::shown(snap, cx, [Place::of(file.id)], output))
        };
        if let Some(text) = words {
            return Ok(shown(&text)?);
        }
        match String::from_utf8(bytes) {
            Ok(text) if kind == Kind::Other => Ok(shown(&text)?),
            _ => {
                let (what, hint) = match kind {
                    Kind::Image(media) => (media, "ask in a comment what it shows"),
                    Kind::Pdf => ("a PDF without text", "ask in a comment for its text as a file"),
                    Kind::Other => ("not text", "ask in a comment for its content as text"),
                };
                let message =
                    format!("\"{}\" is {what} ({size}) and only text is read; {hint}", file.name);
                Err(ToolError::refused("not_text", message))
            }
        }
    }
}

/// Extracts the text of a document.
fn words_of(data: &[u8]) -> Option<String> {
    let words = document::words(data, MAX_WORDS).ok()?;
    Some(words.text).filter(|text| !text.is_empty())
}

/// The file with this id, the end of its id, or this name; the newest if several share a name.
fn named(files: &[TaskFile], text: &str) -> Result<TaskFile, ToolError> {
    let text = text.trim();
    let fits = |file: &&TaskFile| {
        file.id.short().eq_ignore_ascii_case(text)
            || file.id.to_string().eq_ignore_ascii_case(text)
            || file.name == text
    };
    files.iter().rev().find(fits).cloned().ok_or_else(|| {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).take(20).collect();
        let there = match names.is_empty() {
            true => "there are none".to_owned(),
            false => format!("available: {}", names.join(", ")),
        };
        ToolError::refused("file_not_found", format!("no file \"{}\": {there}", cut(text, 120)))
    })
}

/// Numbered lines within the size limit, counted from 1.
fn window(text: &str, offset: Option<usize>, limit: Option<usize>) -> String {
    let from = offset.unwrap_or(1).max(1);
    let total = text.lines().count();
    let mut out = String::new();
    let wanted = limit.unwrap_or(LINES);
    let mut next = from;
    for line in text.lines().skip(from - 1).take(wanted) {
        let line = format!("{next}\t{}\n", cut(line, MAX_LINE));
        if MAX_SHOWN < out.len() + line.len() {
            break;
        }
        out += &line;
        next += 1;
    }
    if total < from {
        return format!("The file has {total} lines.");
    }
    if next <= total {
        out += &format!("[{total} lines; continue with offset {next}]");
    }
    out
}

/// `file_attach`: attaches a file of the agent's folder to a task.
pub struct FileAttach;

/// Arguments of `file_attach`.
#[derive(Deserialize, JsonSchema)]
pub struct AttachArgs {
    /// path in your folder
    path: String,
    /// default: the one you work on
    task: Option<String>,
    /// default: its current name
    name: Option<String>,
}

impl WriteTool for FileAttach {
    type Args = AttachArgs;
    type Ready = Taken;
    const SPEC: ToolSpec = spec(
        "file_attach",
        Effect::Add,
        "Add a copy of a file from your folder to a task or a record.",
    );

    async fn ready(&self, cx: &ToolCx, args: &AttachArgs) -> Result<Taken, ToolError> {
        take_file(cx, &args.path, cx.ws.app.config.limits.upload_bytes()).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: AttachArgs,
        taken: Taken,
    ) -> Result<ToolOutput, ToolError> {
        let spot = Spot::meant(tx as &dyn Read, args.task.as_deref(), (cx.agent, cx.task))?;
        let Some(blob) = taken.blob else {
            return Err(ToolError::refused("file_not_found", "give the file"));
        };
        let name = args.name.filter(|name| !name.trim().is_empty()).unwrap_or(taken.name);
        let new = NewFile {
            name: clean_name(&name),
            blob,
            size: taken.size,
            media: Kind::of(&taken.head).media(),
        };
        let file = rules::attach(tx, spot.place, new)?;
        let on = spot.name;
        Ok(ToolOutput::text(format!("Added \"{}\" (id {}) to {on}.", file.name, file.id.short())))
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn a_part_of_a_text_says_where_it_goes_on() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(window(text, None, None), "1\tone\n2\ttwo\n3\tthree\n");
        assert_eq!(window(text, Some(2), Some(1)), "2\ttwo\n[3 lines; continue with offset 3]");
        assert_eq!(window(text, Some(9), None), "The file has 3 lines.");
        let long = "x".repeat(1_500) + "\n";
        let shown = window(&long.repeat(20), None, None);
        assert!(shown.len() < 13 * 1024 && shown.ends_with("[20 lines; continue with offset 9]"));
    }
}
