//! Detects data that a request of a tainted conversation could leak through its address and headers. Such a request
//! needs an approval, and redirects to unknown hosts are not followed.

use serde_json::Value;
use url::Url;

use app::Ws;
use features::agents::model::ReachOf;
use features::agents::queries::reach;
use features::runs::queries::egress::{self, Known};
use kernel::{AgentId, RunId, SessionId};
use net::guard::Hosts;
use store::{Read, StoreError};
use tool::Effect;
use tool::registry::Entry;

use super::EngineError;
use super::journal::blocking;
use super::tools::request;

/// Bytes of an address and its headers that may differ from every link that was read.
const MAX_NEW: usize = 64;

/// Bytes of the arguments that a reading tool of a connected server, or a search engine, may get: names, ids, a few
/// words.
const MAX_ARGUMENTS: usize = 256;

/// What a call sends in its address and headers.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    urls: Vec<Url>,
    header_bytes: usize,
    /// The host of the page of an action.
    site: Option<String>,
    /// Bytes of arguments for a connected server.
    argument_bytes: usize,
    /// Bytes of the words and hosts of a web search.
    search_bytes: usize,
}

impl Sent {
    /// What a tool call sends; empty if it makes no such request. Requests with a body need an approval anyway.
    pub(crate) fn of(entry: &Entry, given: &Value, arguments: &str) -> Self {
        if entry.is_layered() {
            let sends = entry.sends && entry.spec.effect == Effect::Read;
            let argument_bytes = if sends { arguments.len() } else { 0 };
            return Self { argument_bytes, ..Self::default() };
        }
        Self::of_own(&entry.spec.name, given)
    }

    /// What a call of one of HQ's own tools sends.
    pub(crate) fn of_own(tool: &str, given: &Value) -> Self {
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        if tool == "web_search" {
            let domains = given.get("domains").and_then(Value::as_array).into_iter().flatten();
            let domains = domains.filter_map(Value::as_str).map(str::len);
            let search_bytes = text("query").len() + domains.sum::<usize>();
            return Self { search_bytes, ..Self::default() };
        }
        let method = text("method").trim().to_ascii_uppercase();
        let is_web = matches!(tool, "web_fetch" | "browser") || tool == request::NAME;
        if !is_web || !matches!(method.as_str(), "" | "GET" | "HEAD") {
            return Self::default();
        }
        let headers = given.get("headers").and_then(Value::as_object).into_iter().flatten();
        let bytes = headers.map(|(name, value)| name.len() + value.as_str().map_or(0, str::len));
        let header_bytes = if tool == request::NAME { bytes.sum() } else { 0 };
        Self { urls: egress::addresses(tool, given), header_bytes, ..Self::default() }
    }

    /// Sets the host of the page of an action.
    pub(crate) fn at(self, site: Option<&str>) -> Self {
        Self { site: site.map(str::to_owned), ..self }
    }

    fn is_empty(&self) -> bool {
        self.urls.is_empty()
            && self.site.is_none()
            && self.argument_bytes <= MAX_ARGUMENTS
            && self.search_bytes <= MAX_ARGUMENTS
    }
}

/// The sending run, and the agents whose host lists apply.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) session: SessionId,
    pub(crate) run: RunId,
    pub(crate) agents: &'a [AgentId],
}

/// Why a call could leak data, as the end of a sentence about untrusted content.
pub(crate) async fn leaks(
    ws: &Ws,
    sender: Sender<'_>,
    sent: Sent,
) -> Result<Option<String>, EngineError> {
    if sent.is_empty() {
        return Ok(None);
    }
    let (ws, agents) = (ws.clone(), sender.agents.to_vec());
    let (session, run) = (sender.session, sender.run);
    let read = move || {
        let sender = Sender { session, run, agents: &agents };
        ws.read(|snap| leaks_by(snap, sender, &sent, None))
    };
    Ok(blocking(read).await??)
}

/// The same within a transaction. Blocking, unless `known` is given.
pub(crate) fn leaks_by(
    tx: &dyn Read,
    Sender { session, run, agents }: Sender<'_>,
    sent: &Sent,
    known: Option<&Known>,
) -> Result<Option<String>, StoreError> {
    if MAX_ARGUMENTS < sent.argument_bytes {
        let bytes = sent.argument_bytes;
        return Ok(Some(format!("its arguments would send {bytes} bytes to a connected server")));
    }
    if MAX_ARGUMENTS < sent.search_bytes {
        let bytes = sent.search_bytes;
        return Ok(Some(format!("its search would send {bytes} bytes to a search engine")));
    }
    let hosts = reach::of_all(tx, agents)?;
    let is_listed = |host: &str| hosts.are_listed() && hosts.has(host);
    // Reading the whole conversation is not necessary if a host list answers.
    if sent.urls.is_empty() && sent.site.as_deref().is_none_or(is_listed) {
        return Ok(None);
    }
    let read;
    let known = match known {
        Some(known) => known,
        None => {
            read = egress::known(tx, session, run)?;
            &read
        }
    };
    if let Some(site) = &sent.site
        && !known.has(site)
        && !is_listed(site)
    {
        let site = if site.is_empty() { "a page without an address" } else { site };
        return Ok(Some(format!("no one has sent it to {site}")));
    }
    for url in &sent.urls {
        let host = url.host_str().unwrap_or_default();
        let mut new = sent.header_bytes + known.new_bytes(url);
        if !known.has(host) {
            if !is_listed(host) {
                return Ok(Some(format!("no one has sent it to {host}")));
            }
            // Host names below a wildcard can carry any data.
            if !names(tx, agents, host)? {
                new += host.len();
            }
        }
        if MAX_NEW < new {
            return Ok(Some(format!(
                "its address and headers would send {new} bytes to {host} that aren't in any link \
                 it has read"
            )));
        }
    }
    Ok(None)
}

/// Returns `true` if a host is listed literally.
fn names(tx: &dyn Read, agents: &[AgentId], host: &str) -> Result<bool, StoreError> {
    for agent in agents {
        if reach::of(tx, ReachOf::Agent(*agent))?.iter().any(|line| line == host) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The hosts to which redirects may lead in a tainted conversation: the host list if there is one, else hosts that
/// trusted content names.
pub(crate) fn redirects(only: Hosts, known: &Known, url: &Url) -> Hosts {
    if only.are_listed() {
        return only;
    }
    let own = url.host_str().and_then(Hosts::line);
    only.and(known.lines().into_iter().chain(own).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Sent;

    #[test]
    fn a_web_search_sends_its_words_and_hosts() {
        let sent = |query: usize, host: usize| {
            let given = json!({ "query": "w".repeat(query), "domains": ["h".repeat(host)] });
            Sent::of_own("web_search", &given)
        };
        assert!(sent(200, 50).is_empty());
        assert!(!sent(300, 0).is_empty() && !sent(10, 250).is_empty());
    }
}
