//! Web access of a tainted conversation without approval: the known hosts, and how much of an address appears in no
//! link that was read.
//!
//! Derived from the events of the conversation and of its ancestor runs' conversations, so it survives compaction,
//! restarts and branches. Events before the first untrusted content are trusted. Messages of people are always
//! trusted. Nothing is stored.

use std::collections::{BTreeSet, HashMap, HashSet};

use kernel::{Actor, RunId, SessionId};
use providers::model::Part;
use serde_json::Value;
use store::{Read, ReadExt, StoreError};
use tool::untrusted;
use url::Url;

use super::{children, events, taint};
use crate::runs::model::{Body, CallStatus, EventKind, Outside, Run, Session, SessionEvent};

/// Events read per chunk.
const CHUNK: u32 = 256;
/// Maximum number of remembered links, and of hosts.
const MAX_LINKS: usize = 20_000;
const MAX_HOSTS: usize = 2_000;
/// Maximum number of hosts without a scheme taken from one message of a person.
const MAX_NAMED: usize = 100;
/// Tools whose results contain links of web pages.
const WEB: &[&str] = &["web_fetch", "web_search", "http_request", "browser"];
/// File extensions that are also top-level domains: a bare `notes.md` names no host.
const FILE_ENDS: &[&str] =
    &["cc", "gz", "md", "mk", "ml", "mov", "pl", "pm", "ps", "py", "rs", "sh", "so", "st", "zip"];

#[derive(Debug, Default)]
pub struct Known {
    hosts: BTreeSet<String>,
    /// Path and query of each link.
    links: HashSet<String>,
}

/// Reads what the conversation of a run and those of its ancestor runs know.
pub fn known(tx: &dyn Read, session: SessionId, run: RunId) -> Result<Known, StoreError> {
    let mut sessions = vec![session];
    for above in children::above(tx, run)? {
        if let Some(run) = tx.get::<Run>(above)?
            && !sessions.contains(&run.session)
        {
            sessions.push(run.session);
        }
    }
    let mut known = Known::default();
    for session in sessions {
        let mut reader = Reader::new(tx, session, &mut known)?;
        let (mut from, end) = (0, tx.get::<Session>(session)?.map_or(0, |one| one.events));
        while from < end {
            for event in events(tx, session, from, from.saturating_add(CHUNK).min(end))? {
                reader.take(event);
            }
            from = from.saturating_add(CHUNK);
        }
    }
    Ok(known)
}

impl Known {
    /// Whether a person named this host, or it appeared before the first untrusted content.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        self.hosts.contains(bare(&normal(host)))
    }

    /// The hosts as lines of a host list, each also with `www.`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.hosts.iter().flat_map(|host| [host.clone(), format!("www.{host}")]).collect()
    }

    /// Number of bytes of path and query that appear in no link. One link must match both the beginning and the end,
    /// because pieces of several links could spell anything.
    #[must_use]
    pub fn new_bytes(&self, url: &Url) -> usize {
        let described = describe(url);
        let rest = |link: &String| {
            let same = |pair: &(u8, u8)| pair.0 == pair.1;
            let front = described.bytes().zip(link.bytes()).take_while(same).count();
            let most = described.len().min(link.len()) - front;
            let back = described.bytes().rev().zip(link.bytes().rev()).take(most).take_while(same);
            described.len() - front - back.count()
        };
        let own = described.len() + url.username().len() + url.password().map_or(0, str::len);
        self.links.iter().map(rest).min().map_or(own, |rest| rest.min(own))
    }

    fn add_host(&mut self, url: &Url) {
        if let Some(host) = url.host_str().filter(|_| self.hosts.len() < MAX_HOSTS) {
            self.hosts.insert(bare(&normal(host)).to_owned());
        }
    }

    fn add_link(&mut self, url: &Url) {
        if self.links.len() < MAX_LINKS {
            self.links.insert(describe(url));
        }
    }
}

/// The part of an address that the server sees besides the host.
fn describe(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn normal(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn bare(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

/// Reads the events of one conversation in order.
struct Reader<'k> {
    known: &'k mut Known,
    label: Option<Outside>,
    /// Whether the first untrusted content came from another conversation.
    is_inherited: bool,
    is_tainted: bool,
    /// Addresses of calls made before the taint, by call id.
    pending: HashMap<String, Vec<Url>>,
}

impl<'k> Reader<'k> {
    fn new(tx: &dyn Read, session: SessionId, known: &'k mut Known) -> Result<Self, StoreError> {
        let label = taint::of(tx, session)?;
        let is_inherited = match label.as_ref().and_then(|label| label.brought.first()) {
            Some(first) => tx.get::<Run>(first.run)?.is_none_or(|run| run.session != session),
            None => false,
        };
        Ok(Self { known, label, is_inherited, is_tainted: false, pending: HashMap::new() })
    }

    fn take(&mut self, event: SessionEvent) {
        self.is_tainted |= self.begins_with(&event);
        match event.kind {
            EventKind::Input { by: Actor::Person { .. }, text, .. }
            | EventKind::Answered { by: Actor::Person { .. }, text, .. } => {
                self.add_user_text(text.head());
            }
            // A run card is the workspace's own text. All untrusted content in it is marked.
            EventKind::Input { input: None, text, .. } => self.trusted(text.head()),
            EventKind::Input { text, .. } => self.read(text.head()),
            EventKind::Notice { text } => self.read(&text),
            EventKind::Assistant { parts, .. } if !self.is_tainted => self.calls(&parts),
            EventKind::ToolFinished { call_id, name, status, result, .. } => {
                self.answered(&call_id, status, result.head());
                match WEB.contains(&name.as_str()) {
                    true => links(result.head()).for_each(|url| self.known.add_link(&url)),
                    false => self.read(result.head()),
                }
            }
            _ => {}
        }
    }

    /// Whether the first untrusted content came with this event, or earlier from another conversation.
    fn begins_with(&self, event: &SessionEvent) -> bool {
        let Some(label) = &self.label else { return false };
        let Some(first) = label.brought.first() else { return label.since <= event.at };
        if self.is_inherited && label.since <= event.at {
            return true;
        }
        event.run == Some(first.run)
            && match &event.kind {
                EventKind::ToolFinished { step, .. } => 0 < first.step && *step == first.step,
                EventKind::Input { by: Actor::Person { .. }, .. } => false,
                EventKind::Input { by, text, .. } => {
                    first.step == 0 && (by.agent().is_some() || untrusted::is_in(text.head()))
                }
                _ => false,
            }
    }

    /// Text of a person: hosts without a scheme count too.
    fn add_user_text(&mut self, text: &str) {
        self.trusted(text);
        for host in named(text).take(MAX_NAMED) {
            if self.known.hosts.len() < MAX_HOSTS {
                self.known.hosts.insert(bare(&host).to_owned());
            }
        }
    }

    /// Text that is trusted outside of untrusted marks.
    fn trusted(&mut self, text: &str) {
        for url in links(&untrusted::without(text)) {
            self.known.add_host(&url);
            self.known.add_link(&url);
        }
    }

    /// Text that is trusted until untrusted content is read.
    fn read(&mut self, text: &str) {
        if !self.is_tainted {
            self.trusted(text);
        }
    }

    fn calls(&mut self, parts: &Body) {
        // ok: an unreadable response sent no request.
        let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
        for part in parts {
            let Part::ToolCall { id, name, arguments } = part else { continue };
            if !WEB.contains(&name.as_str()) {
                continue;
            }
            // ok: a call without arguments names no address.
            let given: Value = serde_json::from_str(&arguments).unwrap_or_default();
            self.pending.insert(id, addresses(&name, &given));
        }
    }

    /// Adds the addresses of a call that was made before the taint, once the request was sent.
    fn answered(&mut self, call_id: &str, status: CallStatus, result: &str) {
        let Some(addresses) = self.pending.remove(call_id) else { return };
        let was_sent = match status {
            CallStatus::Ok => true,
            CallStatus::Error => !result.starts_with("Error("),
            _ => false,
        };
        if !was_sent {
            return;
        }
        for url in &addresses {
            self.known.add_host(url);
            self.known.add_link(url);
        }
        // The first line is HQ's own header, with the final address after redirects.
        let first = result.lines().next().unwrap_or_default();
        let header: Option<Value> = serde_json::from_str(first).ok(); // ok: other tools have no header
        let last =
            header.as_ref().and_then(|header| header.get("finalUrl")).and_then(Value::as_str);
        if let Some(url) = last.and_then(|last| Url::parse(last).ok()) {
            self.known.add_host(&url);
        }
    }
}

/// The addresses that a call requests with GET; for the browser those that it opens, also in a batch.
#[must_use]
pub fn addresses(tool: &str, given: &Value) -> Vec<Url> {
    let opens = |one: &Value| {
        let action = one.get("action").and_then(Value::as_str).unwrap_or_default();
        tool != "browser" || matches!(action, "open" | "navigate")
    };
    let address = |one: &Value| {
        let text = one.get("url").and_then(Value::as_str)?.trim();
        Url::parse(text).ok().filter(Url::has_host) // ok: an invalid address is not requested
    };
    let acts = given.get("acts").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(given).chain(acts).filter(|one| opens(one)).filter_map(address).collect()
}

/// The links in a text.
fn links(text: &str) -> impl Iterator<Item = Url> {
    let ends = |c: char| c.is_whitespace() || "<>\"'`()[]{}|\\^".contains(c);
    text.match_indices("http").filter_map(move |(at, _)| {
        let rest = &text[at..];
        if !rest.starts_with("http://") && !rest.starts_with("https://") {
            return None;
        }
        let link = rest.split(ends).next()?.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        Url::parse(link).ok().filter(Url::has_host) // ok: not a link after all
    })
}

/// Host names without a scheme in text of a person.
fn named(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    text.split(move |c| !is_part(c)).filter_map(|word| {
        let (before, end) = word.trim_matches(['.', '-']).rsplit_once('.')?;
        let end = end.to_ascii_lowercase();
        let is_name = 2 <= end.len() && end.bytes().all(|byte| byte.is_ascii_alphabetic());
        if before.is_empty() || !is_name || FILE_ENDS.contains(&end.as_str()) {
            return None;
        }
        // ok: not a host name
        let url = Url::parse(&format!("https://{before}.{end}/")).ok()?;
        url.host_str().map(normal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    #[test]
    fn one_link_has_to_hold_what_an_address_says() {
        let mut known = Known::default();
        for link in
            ["https://a.example/list?page=1&sort=up", "https://a.example/x", "https://a.example/y"]
        {
            known.add_link(&url(link));
        }
        assert_eq!(known.new_bytes(&url("https://a.example/list?page=1&sort=up#top")), 0);
        assert_eq!(known.new_bytes(&url("https://a.example/list?page=12&sort=up")), 1);
        assert_eq!(known.new_bytes(&url("https://a.example/x/y/x/y")), 6);
        assert_eq!(Known::default().new_bytes(&url("https://me:key@a.example/x")), 7);
    }

    #[test]
    fn a_person_names_hosts_with_and_without_a_scheme() {
        let found: Vec<String> =
            named("See www.Shop.example, docs.example. Not v1.2, notes.md, e.g. or -x.").collect();
        assert_eq!(found, ["www.shop.example", "docs.example"]);
        let found: Vec<String> =
            links("[a](https://a.example/x?y=1), <http://b.example>. httpx://c")
                .map(String::from)
                .collect();
        assert_eq!(found, ["https://a.example/x?y=1", "http://b.example/"]);
        let mut known = Known::default();
        known.add_host(&url("https://WWW.a.example/"));
        assert!(known.has("a.example.") && known.has("www.a.example") && !known.has("b.a.example"));
    }

    #[test]
    fn a_browser_asks_for_what_it_opens() {
        let given = serde_json::json!({ "action": "batch", "acts": [
            { "action": "navigate", "url": "https://a.example/x" },
            { "action": "wait", "url": "https://b.example/" },
        ] });
        assert_eq!(addresses("browser", &given), [url("https://a.example/x")]);
        assert_eq!(addresses("web_fetch", &serde_json::json!({ "url": "no address" })), []);
    }
}
