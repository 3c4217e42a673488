//! Client for servers of both eras, over stdio, streamable HTTP and HTTP+SSE.
//!
//! A client starts no task. Requests that wait drive the connection together; between requests nothing is read, unless
//! the owner polls [`Client::ended`].

mod ask;
mod connect;
mod elicit;
mod error;
mod http;
mod options;
mod pipe;
mod sse;
mod stdio;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod sse_tests;
#[cfg(test)]
mod stdio_tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use net::message::Headers;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use ask::{Ask, Notices};
use http::Http;
use stdio::Stdio;

use crate::headers::{self, ParamHeader};
use crate::wire::{
    CallResult, Era, HEADER_MISMATCH, Implementation, META_CAPABILITIES, META_CLIENT, META_VERSION,
    METHOD_NOT_FOUND, MODERN_VERSION, Message, Tool, URL_ELICITATION_REQUIRED,
};

pub use elicit::{Answer, Answering, DeclineAll, Elicit, Parked, Progress, Question};
pub use error::McpError;
pub use options::{Link, Options, Timeouts};

/// Maximum number of tools of a server.
pub const MAX_TOOLS: usize = 2000;
/// Maximum number of pages of a list.
const MAX_PAGES: usize = 200;
/// Maximum size of a definition of a tool, in bytes.
const MAX_DEFINITION: usize = 28_000;
/// Maximum size of all definitions of a list, in bytes.
const MAX_LIST: usize = 8 * 1024 * 1024;
/// Maximum size of the name of a definition that cannot be used, in bytes.
const MAX_NAME: usize = 512;
/// Time limit of a list with all its pages.
const LISTING: Duration = Duration::from_secs(60);
/// How often a server may ask for input during one call.
const MAX_ROUNDS: u32 = 10;

/// A server's description of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub era: Era,
    /// Protocol version.
    pub version: String,
    /// Name, title and version of the program.
    pub info: Implementation,
    pub instructions: Option<String>,
    pub capabilities: Value,
}

/// The tools of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolList {
    /// In the server's order. Of tools with the same name, only the first.
    pub tools: Vec<Tool>,
    /// Names that several tools have.
    pub duplicates: Vec<String>,
    /// Definitions that cannot be used.
    pub rejected: Vec<Rejected>,
    /// There were more than [`MAX_TOOLS`] definitions, or they were too large together.
    pub is_cut: bool,
    /// How long the server considers this list to be fresh.
    pub ttl: Option<Duration>,
}

/// A definition of a tool that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Empty if it has none.
    pub name: String,
    pub reason: String,
}

enum Transport {
    Stdio(Stdio),
    Http(Http),
}

/// Connection to a server. Shared by all callers.
pub struct Client {
    transport: Transport,
    options: Options,
    server: Server,
    ids: AtomicU64,
    notices: Arc<Notices>,
    /// Headers of tools, by tool.
    param_headers: Mutex<HashMap<String, Vec<ParamHeader>>>,
    /// Held while a lost session is replaced.
    renewal: tokio::sync::Mutex<()>,
}

impl Client {
    /// Finds out the era and shakes hands where the era wants it.
    ///
    /// Some old programs end when they get an unknown request: with [`McpError::Closed`], start the program once more
    /// and connect with [`Era::Legacy`] in the options.
    pub async fn connect(link: Link, options: Options) -> Result<Client, McpError> {
        let notices = Arc::new(Notices::default());
        let transport = match link {
            Link::Stdio { reader, writer } => {
                Transport::Stdio(Stdio::new(reader, writer, Arc::clone(&notices)))
            }
            Link::Http { http, url, headers, policy, only } => Transport::Http(Http::new(
                http,
                (url, headers),
                (policy, only),
                Arc::clone(&notices),
            )),
        };
        let mut client = Client {
            transport,
            options,
            server: connect::unknown(),
            ids: AtomicU64::new(1),
            notices,
            param_headers: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        };
        client.server = client.open().await?;
        client.listen();
        Ok(client)
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns `true` if the server's tools may have changed since they were listed.
    pub fn is_stale(&self) -> bool {
        self.notices.is_stale()
    }

    /// Lines of the server's output that were no messages.
    pub fn skipped_lines(&self) -> u64 {
        self.notices.skipped()
    }

    /// Returns `true` if the connection cannot be used any longer.
    pub fn is_ended(&self) -> bool {
        self.shared_stream().is_some_and(Stdio::is_ended)
    }

    /// Returns `true` for a connection over streams that all requests share. Only these end without a request.
    pub fn can_end(&self) -> bool {
        self.shared_stream().is_some()
    }

    /// Drives the connection until it ends, so that notifications also arrive between requests.
    pub async fn ended(&self) -> McpError {
        match self.shared_stream() {
            Some(stream) => stream.ended(self.next_id()).await,
            None => std::future::pending().await,
        }
    }

    /// The streams that all requests share.
    fn shared_stream(&self) -> Option<&Stdio> {
        match &self.transport {
            Transport::Stdio(stdio) => Some(stdio),
            Transport::Http(http) => http.shared_stream(),
        }
    }

    /// Replaces the headers of the caller, for example after a sign-in was refreshed.
    pub fn set_headers(&self, headers: Headers) {
        if let Transport::Http(http) = &self.transport {
            http.set_headers(headers);
        }
    }

    /// Notes which arguments of these tools are mirrored into headers. [`Client::tools`] does so as well.
    pub fn learn<'t>(&self, tools: impl IntoIterator<Item = &'t Tool>) {
        let mut known = self.param_headers.lock();
        for tool in tools {
            // ok: tools with invalid marks are rejected when they are listed
            let found = headers::param_headers(&tool.input_schema).unwrap_or_default();
            known.insert(tool.name.clone(), found);
        }
    }

    /// All tools, from all pages.
    pub async fn tools(&self) -> Result<ToolList, McpError> {
        let late = |_| McpError::Timeout { was_sent: true, limit: LISTING };
        timeout(LISTING, self.pages()).await.map_err(late)?
    }

    async fn pages(&self) -> Result<ToolList, McpError> {
        self.notices.set_stale(false);
        let broken = |detail: String| McpError::Protocol { was_sent: true, detail };
        let mut list = ToolList::default();
        let mut taken = Taken::default();
        let mut cursors = HashSet::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut params = Map::new();
            if let Some(cursor) = &cursor {
                params.insert("cursor".to_owned(), cursor.as_str().into());
            }
            let result = match self.plain("tools/list", params).await {
                Ok(result) => result,
                Err(McpError::Rpc(err)) if err.code == METHOD_NOT_FOUND => return Ok(list),
                Err(err) => return Err(err),
            };
            let Some(Value::Array(page)) = result.get("tools") else {
                return Err(broken("the list of tools has no tools".to_owned()));
            };
            self.take_page(&mut list, &mut taken, page);
            let ttl = result.get("ttlMs").and_then(Value::as_u64).map(Duration::from_millis);
            list.ttl = list.ttl.map_or(ttl, |known| ttl.map(|ttl| known.min(ttl)));
            cursor = result.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            match &cursor {
                Some(next) if !cursors.insert(next.clone()) => {
                    return Err(broken("the list of tools repeats a page".to_owned()));
                }
                Some(_) if !list.is_cut && cursors.len() < MAX_PAGES => {}
                more => {
                    list.is_cut |= more.is_some();
                    break;
                }
            }
        }
        self.learn(&list.tools);
        Ok(list)
    }

    /// Calls a tool.
    pub async fn call(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<CallResult, McpError> {
        self.rounds((name, arguments), None, cancel, elicit).await
    }

    /// Repeats a call that ended with [`McpError::Parked`]. Questions without an answer are asked once more.
    pub async fn resume(
        &self,
        (name, arguments): (&str, &Map<String, Value>),
        parked: Parked,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<CallResult, McpError> {
        self.rounds((name, arguments), Some(parked), cancel, elicit).await
    }

    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), McpError> {
        let method = match self.server.era {
            Era::Modern => "server/discover",
            Era::Legacy => "ping",
        };
        self.plain(method, Map::new()).await.map(drop)
    }

    /// Ends the session, the stream or the input of the program.
    pub async fn close(&self) {
        match (self.shared_stream(), &self.transport) {
            (Some(stream), _) => stream.close(self.next_id()).await,
            (None, Transport::Http(http)) => http.close().await,
            (None, Transport::Stdio(_)) => {}
        }
    }

    /// Lets a program of the modern era report changed tools. Nothing waits for an answer.
    fn listen(&self) {
        let tools = self.server.capabilities.get("tools");
        let has_changes = tools.and_then(|tools| tools.get("listChanged")) == Some(&json!(true));
        if let (Transport::Stdio(stdio), Era::Modern, true) =
            (&self.transport, self.server.era, has_changes)
        {
            let mut params = Map::new();
            params.insert("_meta".to_owned(), self.meta(None));
            params.insert("notifications".to_owned(), json!({"toolsListChanged": true}));
            let method = "subscriptions/listen".to_owned();
            stdio.send(&Message::Request { id: self.next_id().into(), method, params });
        }
    }

    fn take_page(&self, list: &mut ToolList, taken: &mut Taken, page: &[Value]) {
        for value in page {
            let size = value.to_string().len();
            taken.count += 1;
            taken.bytes += size;
            if MAX_TOOLS < taken.count || MAX_LIST < taken.bytes {
                list.is_cut = true;
                return;
            }
            let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
            let name = name[..name.floor_char_boundary(MAX_NAME)].to_owned();
            if MAX_DEFINITION < size {
                let reason = format!("the definition is larger than {} KB", MAX_DEFINITION / 1_000);
                list.rejected.push(Rejected { name, reason });
                continue;
            }
            let read = Tool::from_value(value.clone()).and_then(|tool| {
                if matches!(self.transport, Transport::Http(_)) {
                    headers::param_headers(&tool.input_schema)?;
                }
                Ok(tool)
            });
            match read {
                Err(reason) => list.rejected.push(Rejected { name, reason }),
                Ok(tool) if list.tools.iter().any(|other| other.name == tool.name) => {
                    if !list.duplicates.contains(&tool.name) {
                        list.duplicates.push(tool.name);
                    }
                }
                Ok(tool) => list.tools.push(tool),
            }
        }
    }

    /// Calls a tool until the server wants no more input.
    async fn rounds(
        &self,
        (name, arguments): (&str, &Map<String, Value>),
        mut parked: Option<Parked>,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<CallResult, McpError> {
        let mut has_begun = parked.is_some();
        for round in 0..MAX_ROUNDS {
            let mut params = Map::new();
            params.insert("name".to_owned(), name.into());
            params.insert("arguments".to_owned(), Value::Object(arguments.clone()));
            if let Some(waiting) = parked.take() {
                waiting.answered(cancel, elicit).await?.add_to(&mut params);
            }
            let result = match self.call_once((name, arguments), params, cancel, elicit).await {
                Err(McpError::Rpc(error)) if error.code == URL_ELICITATION_REQUIRED => {
                    parked = Some(Parked::from_error(&error).ok_or(McpError::Rpc(error))?);
                    has_begun = true;
                    continue;
                }
                // The server may have begun with the answers of an earlier round.
                Err(McpError::Outdated { .. }) => {
                    return Err(McpError::Outdated { was_sent: has_begun });
                }
                result => result?,
            };
            match result.get("resultType").and_then(Value::as_str) {
                None | Some("complete") => {
                    return serde_json::from_value(result).map_err(|err| McpError::Protocol {
                        was_sent: true,
                        detail: format!("the result of the tool can't be read: {err}"),
                    });
                }
                Some("input_required") => {
                    let waiting = Parked::from_result(&result)
                        .map_err(|detail| McpError::Protocol { was_sent: true, detail })?;
                    if waiting.questions.is_empty() {
                        // Only the state is to be repeated; the server sheds load.
                        let pause = sleep(Duration::from_millis(100 << round.min(6)));
                        tokio::select! {
                            () = cancel.cancelled() => {
                                return Err(McpError::Cancelled { was_sent: true });
                            }
                            () = pause => {}
                        }
                    }
                    parked = Some(waiting);
                    has_begun = true;
                }
                Some(other) => {
                    let detail = format!("the result is of the unknown type {other}");
                    return Err(McpError::Protocol { was_sent: true, detail });
                }
            }
        }
        let detail = format!("it asked for input more than {MAX_ROUNDS} times");
        Err(McpError::Protocol { was_sent: true, detail })
    }

    /// One request of a call.
    async fn call_once(
        &self,
        (name, arguments): (&str, &Map<String, Value>),
        params: Map<String, Value>,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<Value, McpError> {
        let timeouts = &self.options.timeouts;
        let limits = (timeouts.call, timeouts.longest);
        let headers = self.call_headers(name, arguments)?;
        let calling = Calling { cancel, elicit: Some(elicit), headers };
        match self.ask("tools/call", params, limits, calling).await {
            Err(McpError::Rpc(error))
                if error.code == HEADER_MISMATCH
                    && matches!(self.transport, Transport::Http(_)) =>
            {
                // The tool's schema has changed. Other headers are learned only where the caller lists the tools.
                self.notices.set_stale(true);
                Err(McpError::Outdated { was_sent: false })
            }
            result => result,
        }
    }

    fn call_headers(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Vec<(String, String)>, McpError> {
        let mut all = vec![("mcp-name".to_owned(), headers::encode(name))];
        let known = self.param_headers.lock();
        for header in known.get(name).into_iter().flatten() {
            let value =
                header.value(arguments).map_err(|detail| McpError::Unsendable { detail })?;
            all.extend(value.map(|value| (header.name.clone(), value)));
        }
        Ok(all)
    }

    /// A request that is no call.
    async fn plain(&self, method: &str, params: Map<String, Value>) -> Result<Value, McpError> {
        let limit = self.options.timeouts.request;
        let cancel = CancellationToken::new();
        let calling = Calling { cancel: &cancel, elicit: None, headers: Vec::new() };
        self.ask(method, params, (limit, limit), calling).await
    }

    /// Sends a request in the known era. A lost session is replaced once, and the request repeated unless it is a call:
    /// the tools of the new session are not known.
    async fn ask(
        &self,
        method: &str,
        params: Map<String, Value>,
        limits: (Duration, Duration),
        calling: Calling<'_>,
    ) -> Result<Value, McpError> {
        if matches!(&self.transport, Transport::Http(http) if http.needs_session()) {
            self.renew(None).await?;
            if calling.elicit.is_some() {
                return Err(McpError::Outdated { was_sent: false });
            }
        }
        let session = self.session();
        match self.ask_once(method, params.clone(), limits, &calling).await {
            Err(McpError::Status { status: 404, .. }) if session.is_some() => {
                self.renew(session).await?;
                if calling.elicit.is_some() {
                    return Err(McpError::Outdated { was_sent: false });
                }
                self.ask_once(method, params, limits, &calling).await
            }
            result => result,
        }
    }

    async fn ask_once(
        &self,
        method: &str,
        mut params: Map<String, Value>,
        (limit, longest): (Duration, Duration),
        calling: &Calling<'_>,
    ) -> Result<Value, McpError> {
        let id = self.next_id();
        let token = calling.elicit.map(|_| id);
        match self.server.era {
            Era::Modern => {
                params.insert("_meta".to_owned(), self.meta(token));
            }
            Era::Legacy => {
                if let Some(token) = token {
                    params.insert("_meta".to_owned(), json!({"progressToken": token}));
                }
            }
        }
        let headers = calling.headers.clone();
        let (cancel, elicit) = (calling.cancel, calling.elicit);
        self.request(&Ask { id, method, params, headers, limit, longest, cancel, elicit }).await
    }

    async fn request(&self, ask: &Ask<'_>) -> Result<Value, McpError> {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.request(ask).await,
            Transport::Http(http) => http.request(ask).await,
        }
    }

    fn session(&self) -> Option<u64> {
        match &self.transport {
            Transport::Stdio(_) => None,
            Transport::Http(http) => http.session(),
        }
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// `_meta` of a request of the modern era.
    fn meta(&self, token: Option<u64>) -> Value {
        let mut meta = Map::new();
        meta.insert(META_VERSION.to_owned(), MODERN_VERSION.into());
        meta.insert(META_CLIENT.to_owned(), self.client_info());
        meta.insert(META_CAPABILITIES.to_owned(), connect::capabilities());
        if let Some(token) = token {
            meta.insert("progressToken".to_owned(), token.into());
        }
        Value::Object(meta)
    }

    fn client_info(&self) -> Value {
        json!({"name": self.options.client_name, "version": self.options.client_version})
    }
}

/// Definitions of a list so far, also those that cannot be used.
#[derive(Default)]
struct Taken {
    count: usize,
    bytes: usize,
}

/// Fields that a call adds to a request.
struct Calling<'a> {
    cancel: &'a CancellationToken,
    elicit: Option<&'a dyn Elicit>,
    headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}
