//! `memory_search`, `memory_read`, `memory_append`, `memory_replace`: the agent's notes, and its former conversations.
//!
//! A person's own conversations are found only from conversations with that person. Conversations about tasks are found
//! from everywhere.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use features::agents::memory::{self, LASTING, MAX_LASTING};
use features::runs::model::Session;
use features::runs::queries::search::{self, ConversationSearch, Searched};
use features::runs::queries::talk;
use features::workspace::queries as workspace;
use git::files::AgentFiles;
use kernel::{Can, SessionId, Timestamp};
use store::{ReadExt, StoreError};
use tool::edits::{self, Edit, Places};
use tool::rank::Query;
use tool::{
    Aliases, Effect, FileChange, FilePlan, FileTool, Group, Looks, ReadTool, ToolCx, ToolError,
    ToolOutput, ToolSpec, masks,
};

use super::folder::{self, blocking};

/// Default number of results.
const RESULTS: usize = 6;
/// Maximum number of results.
const MOST: usize = 20;
/// Default number of lines of `memory_read`.
const LINES: usize = 200;
/// Messages shown before and after a found one.
const AROUND: usize = 6;
/// Bytes shown of a message.
const MESSAGE: usize = 2_000;
/// The largest daily note, in bytes.
const MAX_NOTE: usize = 64 * 1024;
/// Prefix of a place in a conversation.
const SAID: &str = "session:";

/// The current day in the workspace's time zone.
fn today(cx: &ToolCx) -> Result<Date, ToolError> {
    let settings = cx.ws.read(|snap| workspace::settings(snap))?;
    let zone = settings.and_then(|settings| TimeZone::get(&settings.zone).ok());
    Ok(cx.ws.app.clock.now().to_zoned(zone.unwrap_or(TimeZone::UTC)).date())
}

fn own_session(cx: &ToolCx) -> Result<Session, ToolError> {
    let session = cx.ws.read(|snap| snap.get::<Session>(cx.session))?;
    session.ok_or_else(|| ToolError::refused("not_found", "this conversation no longer exists"))
}

/// Searches memory and conversations.
pub(crate) struct MemorySearch;

/// What `memory_search` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SearchArgs {
    /// Words to look for.
    query: String,
    /// "memory" (your notes) or "sessions" (conversations); default: both.
    sources: Option<Vec<String>>,
    /// Nothing older than this day, such as 2026-11-20.
    since: Option<String>,
    /// How many (6).
    max: Option<usize>,
}

impl ReadTool for MemorySearch {
    type Args = SearchArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("memory_search"),
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("Search your memory and past conversations."),
    };
    const ALIASES: Aliases = &[("maxResults", "max"), ("limit", "max"), ("text", "query")];
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: SearchArgs) -> Result<ToolOutput, ToolError> {
        let query = Query::of(&args.query)
            .ok_or_else(|| ToolError::refused("invalid_args", "give a word to search for"))?;
        let since = match args.since.as_deref().map(str::trim).filter(|since| !since.is_empty()) {
            None => None,
            Some(day) => Some(day.parse::<Date>().map_err(|_| {
                ToolError::refused("invalid_args", "write since as a day, such as 2026-11-20")
            })?),
        };
        let wants = |source: &str| match &args.sources {
            Some(sources) if !sources.is_empty() => sources.iter().any(|one| one == source),
            _ => true,
        };
        if !wants("memory") && !wants("sessions") {
            let text = "use the sources \"memory\" and \"sessions\"";
            return Err(ToolError::refused("invalid_args", text));
        }
        let (most, day) = (args.max.unwrap_or(RESULTS).clamp(1, MOST), today(cx)?);
        let own = own_session(cx)?;
        let (in_notes, in_talk) = (wants("memory"), wants("sessions"));
        let (ws, root, agent) = (cx.ws.clone(), cx.folder.clone(), cx.agent);
        let found = blocking(move || {
            let (mut out, mut others) = (String::new(), Vec::new());
            if in_notes {
                let files = AgentFiles::open(&root)?;
                for found in memory::look_through(&files, &query, day, since, most)? {
                    let memory::Passage { from, to, text } = found.passage;
                    // ok: writing to a String cannot fail.
                    let _ =
                        write!(out, "{}:{from}-{to} ({:.2})\n{text}\n\n", found.path, found.score);
                }
            }
            if in_talk {
                let now = ws.app.clock.now();
                let may = |other: &Session| talk::may_tell(&own, other);
                let since = since.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
                let wish = ConversationSearch {
                    agent,
                    may: &may,
                    query: &query,
                    since: since.map(|at| at.timestamp()),
                    most,
                    events: search::EVENTS,
                    now,
                };
                let searched = search::search(&ws, &wish)?;
                tell(&mut out, &searched, own.id);
                others.extend(searched.hits.iter().map(|hit| hit.session));
            }
            if out.is_empty() {
                out.push_str("Nothing found. Try other words.");
            }
            Ok((ToolOutput::text(out.trim_end()), others))
        })
        .await?;
        let (found, others) = found;
        let found = folder::marked(cx, found, folder::is_hit)?;
        folder::of_sessions(cx, found, &others)
    }
}

fn tell(out: &mut String, searched: &Searched, own: SessionId) {
    for hit in &searched.hits {
        let who = if hit.by.is_some() { "said to you" } else { "you said" };
        let here = if hit.session == own { "this conversation" } else { "a conversation" };
        let day = hit.at.strftime("%Y-%m-%d");
        // ok: writing to a String cannot fail.
        let _ = write!(
            out,
            "{SAID}{}#{} ({:.2}; {here}, {day}, {who})\n{}\n\n",
            hit.session, hit.n, hit.score, hit.text
        );
    }
    if let Some((what, until)) = searched.unseen() {
        // ok: writing to a String cannot fail.
        let _ = write!(out, "[{what} before {} was not searched.]", day(until));
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// Reads a memory file, or the messages around a found place.
pub(crate) struct MemoryRead;

/// What `memory_read` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReadArgs {
    /// As in memory_search; default: MEMORY.md.
    path: Option<String>,
    /// First line, from 1.
    from: Option<usize>,
    /// Number of lines (200).
    lines: Option<usize>,
}

impl ReadTool for MemoryRead {
    type Args = ReadArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("memory_read"),
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed(
            "Read a note in your memory, or the messages around a place found by memory_search.",
        ),
    };
    const ALIASES: Aliases = &[("offset", "from"), ("limit", "lines"), ("file", "path")];
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let path = args.path.as_deref().unwrap_or(LASTING).trim().to_owned();
        if let Some(place) = path.strip_prefix(SAID) {
            return read_note(cx, place);
        }
        let (from, lines) = (args.from.unwrap_or(1).max(1), args.lines.unwrap_or(LINES).max(1));
        let root = cx.folder.clone();
        let (read, output) = blocking(move || {
            let files = AgentFiles::open(&root)?;
            let path = of_memory(&files, &path)?;
            let Some(text) = memory::text(&files, &path)? else {
                let text = format!("{path} is empty.");
                return Ok((path, ToolOutput::text(text)));
            };
            let total = text.lines().count();
            let some: Vec<&str> = text.lines().skip(from - 1).take(lines).collect();
            let last = from - 1 + some.len();
            let more = match last < total {
                true => {
                    format!(
                        "\n[lines {from} to {last} of {total}; continue with from \
                        {}]",
                        last + 1
                    )
                }
                false => String::new(),
            };
            Ok((path, ToolOutput::text(format!("{}{more}", some.join("\n")))))
        })
        .await?;
        folder::marked(cx, output, |path, _| path == read)
    }
}

fn of_memory(files: &AgentFiles, written: &str) -> Result<String, ToolError> {
    let path = folder::relative(files, written)?;
    if memory::is_memory(&path) {
        return Ok(path);
    }
    let text = format!("{path} is not a memory file; use MEMORY.md or memory/2026-11-20.md");
    Err(ToolError::refused("invalid_args", text))
}

fn read_note(cx: &ToolCx, place: &str) -> Result<ToolOutput, ToolError> {
    let bad = || {
        let text = "use a place from memory_search: session:<id>#<number>";
        ToolError::refused("invalid_args", text)
    };
    let (id, n) = place.split_once('#').unwrap_or((place, "0"));
    let (id, n) = (id.parse::<SessionId>().map_err(|_| bad())?, n.parse().map_err(|_| bad())?);
    let own = own_session(cx)?;
    let found = cx.ws.read(|snap| {
        let session = snap.get::<Session>(id)?;
        let session = session.filter(|s| s.agent == cx.agent && talk::may_tell(&own, s));
        match session {
            None => Ok(None),
            Some(session) => search::said_around(snap, &session, n, AROUND).map(Some),
        }
    });
    let Some(events) = found.map_err(|error: StoreError| ToolError::from(error))? else {
        return Err(ToolError::refused("not_found", "you have no such conversation"));
    };
    let mut out = String::new();
    for event in events {
        let Some((by, text)) = search::words(&event.kind) else { continue };
        let who = if by.is_some() { "Said to you" } else { "You" };
        let text = kernel::text::head_tail(text.trim(), MESSAGE, "\n[…]\n");
        // ok: writing to a String cannot fail.
        let _ = write!(out, "[#{} {} {who}]\n{text}\n\n", event.n, day(event.at));
    }
    let text = if out.is_empty() { "There are no messages." } else { out.trim_end() };
    folder::of_sessions(cx, ToolOutput::text(text), &[id])
}

pub(crate) struct MemoryAppend;

/// What `memory_append` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct AppendArgs {
    /// What to save, one fact per line.
    text: String,
    /// true: permanently (MEMORY.md). Otherwise in today's note.
    lasting: Option<bool>,
}

impl FileTool for MemoryAppend {
    type Args = AppendArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("memory_append"),
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed("Save something that you want to know later."),
    };
    const ALIASES: Aliases = &[("content", "text"), ("note", "text")];

    async fn plan(&self, cx: &ToolCx, args: AppendArgs) -> Result<FilePlan, ToolError> {
        let lasting = args.lasting == Some(true);
        let path = if lasting { LASTING.to_owned() } else { memory::note_of(today(cx)?) };
        let most = if lasting { MAX_LASTING } else { MAX_NOTE };
        let root = cx.folder.clone();
        blocking(move || {
            let files = folder::open(&root)?;
            let now = folder::current(&files, &path)?;
            let old = now.as_ref().map_or(Ok(""), |now| as_text(&now.bytes, &path))?;
            let lines: Vec<&str> = args.text.lines().collect();
            let Some(new) = memory::with_lines(without_nothing(old), &lines) else {
                let text = "nothing to add: the file already has these lines";
                return Err(ToolError::refused("invalid_args", text));
            };
            if most < new.len() {
                let text = format!(
                    "{path} would have {} bytes, and the limit is {most}. Shorten it with \
                     memory_replace first: merge related notes and remove old ones.",
                    new.len()
                );
                return Err(ToolError::refused("too_large", text));
            }
            let text = format!("written to {path}");
            Ok(plan(path.clone(), now.map(|now| now.hash), new, text))
        })
        .await
    }
}

/// The first line replaces the placeholder in a new agent's memory.
fn without_nothing(old: &str) -> &str {
    old.trim_end().strip_suffix("Nothing yet.").unwrap_or(old)
}

fn as_text<'b>(bytes: &'b [u8], path: &str) -> Result<&'b str, ToolError> {
    std::str::from_utf8(bytes)
        .map_err(|_| ToolError::refused("invalid_args", format!("{path} isn't UTF-8 text")))
}

fn plan(path: String, before: Option<[u8; 32]>, new: String, text: String) -> FilePlan {
    let content = Some(new.into_bytes());
    let change = FileChange { path, before, content, executable: false };
    FilePlan { changes: vec![change], output: ToolOutput::text(text) }
}

pub(crate) struct MemoryReplace;

/// What `memory_replace` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReplaceArgs {
    /// Text to find; must occur once.
    old: String,
    /// Replacement text; empty removes it.
    new: String,
    /// The file; default: MEMORY.md.
    path: Option<String>,
}

impl FileTool for MemoryReplace {
    type Args = ReplaceArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("memory_replace"),
        group: Group::Files,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed("Correct or remove something in your memory."),
    };
    const ALIASES: Aliases = &[
        ("oldText", "old"),
        ("old_text", "old"),
        ("old_string", "old"),
        ("newText", "new"),
        ("new_text", "new"),
        ("new_string", "new"),
        ("file", "path"),
    ];

    async fn plan(&self, cx: &ToolCx, args: ReplaceArgs) -> Result<FilePlan, ToolError> {
        let (root, redactor) = (cx.folder.clone(), cx.ws.app.redactor.clone());
        blocking(move || {
            let files = folder::open(&root)?;
            let path = of_memory(&files, args.path.as_deref().unwrap_or(LASTING))?;
            let Some(now) = folder::current(&files, &path)? else {
                return Err(folder::missing(&files, &path));
            };
            let old = as_text(&now.bytes, &path)?;
            let edit = [Edit { old: args.old, new: args.new }];
            let (new, _) = edits::apply(old, &edit, Places::One)
                .map_err(|error| masks::explained(&redactor, old, [edit[0].old.as_str()], error))?;
            let most = if path == LASTING { MAX_LASTING } else { MAX_NOTE };
            if most < new.len() && old.len() < new.len() {
                let text = format!("{path} can have at most {most} bytes");
                return Err(ToolError::refused("too_large", text));
            }
            let text = format!("changed {path}");
            Ok(plan(path, Some(now.hash), new, text))
        })
        .await
    }
}
