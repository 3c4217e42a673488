//! The era of a server, and the handshake of the legacy era.

use std::pin::pin;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::ask::Ask;
use super::{Client, McpError, Server, Transport};
use crate::wire::{
    Era, Implementation, LEGACY_VERSIONS, META_SERVER, MODERN_VERSION, Message, UNSUPPORTED_VERSION,
};

/// Capabilities of the client, in the form of both eras.
pub(super) fn capabilities() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// A server of which nothing is known yet.
pub(super) fn unknown() -> Server {
    Server {
        era: Era::Legacy,
        version: String::new(),
        info: Implementation::default(),
        instructions: None,
        capabilities: Value::Null,
    }
}

impl Client {
    /// Finds out the era: the remembered one first, else the modern one.
    pub(super) async fn open(&self) -> Result<Server, McpError> {
        let limit = self.options.timeouts.connect;
        if self.options.era == Some(Era::Legacy) {
            return match self.initialize().await {
                // The server no longer speaks this era.
                Err(
                    err @ (McpError::Rpc(_) | McpError::Status { .. } | McpError::Version { .. }),
                ) => judge(self.discover(limit).await).ok().flatten().ok_or(err),
                result => result,
            };
        }
        if matches!(self.transport, Transport::Http(_)) {
            return match judge(self.discover(self.options.timeouts.request).await)? {
                Some(server) => Ok(server),
                None => self.initialize().await,
            };
        }
        let mut discover = pin!(self.discover(limit));
        tokio::select! {
            result = &mut discover => match judge(result)? {
                Some(server) => return Ok(server),
                None => return self.initialize().await,
            },
            () = sleep(self.options.timeouts.probe) => {}
        }
        // The program still starts, or it ignores requests that it does not know. The first result decides.
        let mut initialize = pin!(self.initialize());
        let (mut is_discovered, mut failure) = (false, None);
        loop {
            tokio::select! {
                result = &mut discover, if !is_discovered => {
                    if let Some(server) = judge(result)? {
                        return Ok(server);
                    }
                    if let Some(err) = failure {
                        return Err(err);
                    }
                    is_discovered = true;
                }
                result = &mut initialize, if failure.is_none() => match result {
                    Err(err @ McpError::Rpc(_)) if !is_discovered => failure = Some(err),
                    result => return result,
                },
            }
        }
    }

    /// Replaces a lost session, unless another caller has done so.
    pub(super) async fn renew(&self, lost: Option<u64>) -> Result<(), McpError> {
        let Transport::Http(http) = &self.transport else { return Ok(()) };
        let _turn = self.renewal.lock().await;
        if !http.needs_session() && http.session() != lost {
            return Ok(());
        }
        http.forget_session();
        // Possibly another version of the server answers now.
        self.notices.set_stale(true);
        self.initialize().await.map(drop)
    }

    async fn discover(&self, limit: Duration) -> Result<Server, McpError> {
        let mut params = Map::new();
        params.insert("_meta".to_owned(), self.meta(None));
        let mut result = match self.opening("server/discover", params.clone(), limit).await {
            // One server of a group may be older than the one that answers next.
            Err(McpError::Rpc(err))
                if err.code == UNSUPPORTED_VERSION
                    && err.supported().iter().any(|version| version == MODERN_VERSION) =>
            {
                self.opening("server/discover", params, limit).await?
            }
            result => result?,
        };
        let supported = result.get("supportedVersions").and_then(Value::as_array);
        let supported: Vec<String> = supported
            .into_iter()
            .flatten()
            .filter_map(|version| version.as_str().map(str::to_owned))
            .collect();
        if !supported.iter().any(|version| version == MODERN_VERSION) {
            return Err(McpError::Version { supported });
        }
        let info = result.get("_meta").and_then(|meta| meta.get(META_SERVER)).cloned();
        let info = info.or_else(|| result.get("serverInfo").cloned());
        if let Transport::Http(http) = &self.transport {
            http.set_version(Era::Modern, MODERN_VERSION);
        }
        Ok(server(Era::Modern, MODERN_VERSION.to_owned(), info, &mut result))
    }

    async fn initialize(&self) -> Result<Server, McpError> {
        let params = json!({
            "protocolVersion": LEGACY_VERSIONS[0],
            "capabilities": capabilities(),
            "clientInfo": self.client_info(),
        });
        let Value::Object(params) = params else { unreachable!("invariant: an object") };
        let limit = self.options.timeouts.connect;
        let first = self.opening("initialize", params.clone(), limit).await;
        let mut result = match (first, &self.transport) {
            // Servers of version 2024-11-05 take no messages at their address, but stream events from there.
            (
                Err(err @ McpError::Status { status: 400 | 404 | 405, .. }),
                Transport::Http(http),
            ) if http.is_new() => {
                if !http.open_stream().await? {
                    return Err(err);
                }
                self.opening("initialize", params, limit).await?
            }
            (result, _) => result?,
        };
        let version = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        if !LEGACY_VERSIONS.contains(&version) {
            return Err(McpError::Version { supported: vec![version.to_owned()] });
        }
        let version = version.to_owned();
        let method = "notifications/initialized".to_owned();
        let initialized = Message::Notification { method, params: Map::new() };
        match &self.transport {
            Transport::Stdio(stdio) => stdio.send(&initialized),
            Transport::Http(http) => {
                http.set_version(Era::Legacy, &version);
                match http.shared_stream() {
                    Some(stream) => {
                        stream.send(&initialized);
                        // Otherwise the next message could overtake it.
                        stream.delivered(self.next_id()).await;
                    }
                    None => http.send(&initialized).await?,
                }
            }
        }
        let info = result.get("serverInfo").cloned();
        Ok(server(Era::Legacy, version, info, &mut result))
    }

    /// A request before the era is known.
    async fn opening(
        &self,
        method: &str,
        params: Map<String, Value>,
        limit: Duration,
    ) -> Result<Value, McpError> {
        let cancel = &CancellationToken::new();
        let (id, headers, longest, elicit) = (self.next_id(), Vec::new(), limit, None);
        self.request(&Ask { id, method, params, headers, limit, longest, cancel, elicit }).await
    }
}

fn server(era: Era, version: String, info: Option<Value>, result: &mut Value) -> Server {
    // ok: a server that states no name has none
    let info = info.and_then(|info| serde_json::from_value(info).ok()).unwrap_or_default();
    let instructions = result.get("instructions").and_then(Value::as_str).map(str::to_owned);
    let capabilities = result.get_mut("capabilities").map(Value::take).unwrap_or_default();
    Server { era, version, info, instructions, capabilities }
}

/// Evaluates the answer to `server/discover`: `None` for a server that speaks the legacy era only.
fn judge(result: Result<Server, McpError>) -> Result<Option<Server>, McpError> {
    let speaks_legacy = |supported: &[String]| {
        supported.is_empty()
            || supported.iter().any(|version| LEGACY_VERSIONS.contains(&version.as_str()))
    };
    match result {
        Ok(server) => Ok(Some(server)),
        Err(McpError::Version { supported }) if speaks_legacy(&supported) => Ok(None),
        Err(McpError::Rpc(err)) if err.code == UNSUPPORTED_VERSION => {
            let supported = err.supported();
            match speaks_legacy(&supported) {
                true => Ok(None),
                false => Err(McpError::Version { supported }),
            }
        }
        Err(McpError::Rpc(err)) if err.is_modern() => Err(McpError::Rpc(err)),
        Err(McpError::Status { status, .. }) if status >= 400 => Ok(None),
        Err(McpError::Rpc(_) | McpError::Protocol { .. } | McpError::Timeout { .. }) => Ok(None),
        Err(err) => Err(err),
    }
}
