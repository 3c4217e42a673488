//! Which kinds of claims a call can support, and the words by which a claim refers to a call.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{Call, weight};
use super::shell::Line;
use super::text::{self, Named};
use kernel::ClaimKind;
use tool::layer::SEPARATOR;

/// Tools that send a message to a person, an agent or a channel.
const SENDS: &[&str] = &["channel_send", "message_agent", "notify_owner"];
/// Tools that read a page, a file of the workspace or a record.
const READS: &[&str] = &["browser", "web_fetch"];
/// Last words of the names of tools that write records.
const WRITES: &[&str] = &[
    "add", "append", "archive", "claim", "complete", "control", "create", "delegate", "delete",
    "drop", "escalate", "import", "log", "merge", "react", "relate", "remove", "replace", "reply",
    "resolve", "revise", "save", "spawn", "submit", "update", "write",
];
/// Tools of this shape that write no record.
const NO_RECORD: &[&str] = &["memory_append", "memory_replace", "subagent_spawn"];
/// Arguments with free text. Who writes about a message has not sent it.
const FREE: &[&str] =
    &["body", "content", "description", "html", "markdown", "message", "note", "summary", "text"];
/// Maximum length of compared text, in bytes.
const MAX_COMPARED: usize = 1_024;
/// Verbs of connected tools that only read.
const LOOKS: &[&str] = &[
    "describe", "fetch", "find", "get", "list", "lookup", "query", "read", "search", "show", "view",
];
/// Further verbs of connected tools that act.
const ACTS: &[&str] = &["mark", "post", "publish", "put", "send", "set", "upload"];
/// The person whom a tool notifies, if its name says so.
const OWNER: &str = "owner";

/// Kinds and names of the claims that a call can support.
#[derive(Debug, Default)]
pub(super) struct Class {
    kinds: Vec<ClaimKind>,
    /// Words of the tool's name.
    tool: BTreeSet<String>,
    /// Words that say to whom, where and what, without free text.
    words: BTreeSet<String>,
    /// Words of free text.
    free: BTreeSet<String>,
    /// All compared text in lower case, for exact names.
    all: String,
    /// Requested and final addresses.
    links: BTreeSet<String>,
    pub(super) line: Line,
    /// Status of an HTTP response.
    pub(super) http: Option<u16>,
}

impl Class {
    /// Prepares a call for claims of these kinds.
    pub(super) fn new(call: &Call, wanted: &[ClaimKind]) -> Self {
        let mut kinds = kinds(call);
        kinds.retain(|kind| wanted.contains(kind));
        if kinds.is_empty() || kinds == [ClaimKind::File] {
            return Self { kinds, ..Self::default() };
        }
        let mut class = Self { kinds, tool: text::words(&spaced(&call.tool)), ..Self::default() };
        class.all = call.tool.to_lowercase();
        for (name, value) in &call.arguments {
            let is_free = FREE.contains(&name.to_ascii_lowercase().as_str());
            class.take(value, is_free);
        }
        class.links = links_of(call).into_iter().collect();
        if call.tool == "exec" {
            // What a program prints names no command that ran.
            class.line = Line::new(call.text("command"));
        } else {
            push(&mut class.all, head(&call.result));
        }
        if call.tool == "http_request" {
            class.http = http_status(&call.result);
        }
        class
    }

    fn take(&mut self, value: &Value, is_free: bool) {
        match value {
            Value::String(text) => {
                let text = head(text);
                push(&mut self.all, text);
                let words = text::words(&spaced(text));
                if is_free { self.free.extend(words) } else { self.words.extend(words) }
            }
            Value::Array(all) => all.iter().take(50).for_each(|one| self.take(one, is_free)),
            Value::Object(all) => {
                for (name, one) in all.iter().take(50) {
                    self.take(one, is_free || FREE.contains(&name.as_str()));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(super) fn fits(&self, kind: ClaimKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// How well a claim and this call agree; `None` if the claim is about something else. A claim that refers to the
    /// call by its number needs no words in common if it has none.
    pub(super) fn score(&self, claim: &Named, kind: ClaimKind, is_by_step: bool) -> Option<usize> {
        let met = claim.exact.iter().filter(|one| self.has(one)).count();
        if !claim.exact.is_empty() && met == 0 {
            return None;
        }
        let claimed = &claim.words;
        if kind == ClaimKind::Sent && !self.is_by(claimed) {
            return None;
        }
        let shared = claimed.intersection(&self.words).filter(|one| !self.tool.contains(*one));
        let (shared, free) = (shared.count(), claimed.intersection(&self.free).count());
        let is_owner = claimed.contains(OWNER) && self.tool.contains(OWNER);
        let enough = match kind {
            ClaimKind::Command => 0 < shared,
            ClaimKind::Sent if is_by_step => 0 < shared || is_owner,
            ClaimKind::Source if is_by_step => 0 < shared,
            // One word of an address is often the name of a large site.
            ClaimKind::Source => 1 < shared || 0 < shared && self.links.is_empty(),
            ClaimKind::Sent | ClaimKind::Record | ClaimKind::File => 0 < shared || 1 < free,
        };
        let only_tool = !claimed.is_empty() && claimed.is_subset(&self.tool);
        let is_met = 0 < met || enough || only_tool || is_by_step && claimed.is_empty();
        is_met.then(|| weight(met, shared + free))
    }

    /// Whether an exact name of a claim is one of this call.
    fn has(&self, name: &str) -> bool {
        let is_link = name.starts_with("http://") || name.starts_with("https://");
        match is_link {
            true => self.links.contains(&text::plain_link(name)),
            false => text::has(&self.all, &name.to_lowercase()),
        }
    }

    /// Whether a message can have gone the way that a claim names: who posted in a channel has sent no mail.
    fn is_by(&self, claimed: &BTreeSet<String>) -> bool {
        let is_mail = claimed.contains("mail") || claimed.contains("email");
        !is_mail
            || [&self.tool, &self.words]
                .iter()
                .any(|words| words.iter().any(|word| word.contains("mail") || word == "smtp"))
    }
}

fn kinds(call: &Call) -> Vec<ClaimKind> {
    let (tool, mut kinds) = (call.tool.as_str(), Vec::new());
    if !call.files.is_empty() {
        kinds.push(ClaimKind::File);
    }
    if tool == "exec" {
        kinds.push(ClaimKind::Command);
    }
    // A connected program may do anything; its name and arguments decide.
    let is_connected = tool.contains(SEPARATOR);
    let may_act = is_connected && !only_looks(tool);
    let is_reading =
        ["", "GET", "HEAD"].contains(&call.text("method").trim().to_uppercase().as_str());
    let is_http = tool == "http_request";
    if SENDS.contains(&tool) || may_act || is_http && !is_reading {
        kinds.push(ClaimKind::Sent);
    }
    let last = tool.rsplit('_').next().unwrap_or(tool);
    let writes = tool.contains('_') && WRITES.contains(&last) && !NO_RECORD.contains(&tool);
    if writes || may_act {
        kinds.push(ClaimKind::Record);
    }
    let reads = tool.ends_with("_get") || tool.ends_with("_read") || READS.contains(&tool);
    if reads && !tool.starts_with("memory") || is_connected || is_http && is_reading {
        kinds.push(ClaimKind::Source);
    }
    kinds
}

/// Whether the name of a connected tool says that it only reads: its first verb decides, as in `mail__search_messages`
/// and `mail__markAsRead`.
fn only_looks(tool: &str) -> bool {
    let name = tool.split_once(SEPARATOR).map_or(tool, |(_, name)| name);
    let mut spaced = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = c.is_lowercase();
        spaced.extend(c.to_lowercase());
    }
    let mut words = spaced.split(|c: char| !c.is_alphanumeric());
    let verb = words.find(|word| [LOOKS, ACTS, WRITES].iter().any(|verbs| verbs.contains(word)));
    verb.is_some_and(|verb| LOOKS.contains(&verb))
}

/// The addresses that a call requested or arrived at.
pub(super) fn links_of(call: &Call) -> Vec<String> {
    let tool = call.tool.as_str();
    if !READS.contains(&tool) && tool != "http_request" && !tool.contains(SEPARATOR) {
        // A tool that wrote a record may have returned its address.
        let is_record = kinds(call).contains(&ClaimKind::Record);
        let found = if is_record { text::links(head(&call.result)) } else { Vec::new() };
        return found.iter().map(|link| text::plain_link(link)).collect();
    }
    let mut all = vec![text::plain_link(call.text("url"))];
    // Redirects, and the page after an action, stand in the first lines of a result. Later lines are the page itself.
    let top: String = call.result.lines().take(3).map(|line| format!("{line}\n")).collect();
    all.extend(text::links(head(&top)).iter().map(|link| text::plain_link(link)));
    all.retain(|link| !link.is_empty());
    all
}

/// Whether a call wrote, read or was given a path.
pub(super) fn touches_path(call: &Call, path: &str) -> bool {
    call.files.iter().any(|file| text::is_same_path(path, &file.path))
        || ["path", "file"].iter().any(|name| text::is_same_path(path, call.text(name)))
        || call.tool == "exec" && is_in_command(call.text("command"), path)
}

/// Whether a command line has a path or its file name. It may have folders before the path.
fn is_in_command(command: &str, path: &str) -> bool {
    text::has(command, path) || text::names(command, path)
}

/// The status in a result of `http_request`. It precedes everything that the server sent.
fn http_status(result: &str) -> Option<u16> {
    let line = result.lines().find_map(|line| line.strip_prefix("HTTP "))?;
    line.split(' ').next()?.parse().ok()
}

fn spaced(name: &str) -> String {
    name.replace(['_', '-', '.', '/'], " ")
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_COMPARED.min(text.len()))]
}

/// Adds text for exact comparison: single spaces, lower case.
fn push(all: &mut String, text: &str) {
    all.push('\n');
    all.push_str(&text::squeezed(text).to_lowercase());
}
