//! An authorization server and an MCP server that wants its tokens, on one loopback port. Both note what they get.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::form_urlencoded;

type Fields = HashMap<String, String>;

/// State of the servers, the requests that they got, and configured faults.
#[derive(Default)]
pub struct Known {
    /// Authorization requests by code.
    codes: HashMap<String, Fields>,
    access: HashSet<String>,
    refresh: HashSet<String>,
    issued: usize,
    pub registrations: Vec<Value>,
    /// Requests for tokens, with the Authorization header as `basic`.
    pub asked: Vec<Fields>,
    pub revoked: Vec<String>,
    /// Tools that were called, without refused calls.
    pub calls: Vec<String>,
    /// Scopes of the tokens.
    pub scopes: String,
    /// Refreshes are refused.
    pub is_closed: bool,
    /// No client can register.
    pub knows_all_clients: bool,
    /// Changes of metadata: path, key, value.
    pub lies: Vec<(&'static str, &'static str, Value)>,
    /// Answers instead of metadata.
    pub odd: Option<fn() -> Response>,
    /// The server wants tokens for calls only.
    pub is_for_calls: bool,
    /// Calls of this tool need no token.
    pub public: Option<&'static str>,
    /// No tokens are issued at the moment.
    pub is_down: bool,
    /// The answer names this issuer instead.
    pub iss: Option<&'static str>,
}

impl Known {
    /// No access token is valid any longer.
    pub fn expire(&mut self) {
        self.access.clear();
    }

    pub fn of(&self, grant: &str) -> Vec<Fields> {
        let fits = |fields: &&Fields| fields.get("grant_type").is_some_and(|kind| kind == grant);
        self.asked.iter().filter(fits).cloned().collect()
    }
}

#[derive(Clone)]
pub struct Issuer {
    pub origin: String,
    pub host: String,
    known: Arc<Mutex<Known>>,
    /// After each request.
    answered: Arc<Notify>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let known = Known { scopes: "read".to_owned(), ..Known::default() };
        let (origin, known) = (format!("http://{host}"), Arc::new(Mutex::new(known)));
        let issuer = Self { origin, host, known, answered: Arc::default() };
        let own = issuer.clone();
        let router = Router::new().fallback(move |request: Request| {
            let own = own.clone();
            async move {
                let response = own.answer(request).await;
                own.answered.notify_waiters();
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panicked")
    }

    /// Waits until a request has led to this.
    pub async fn until(&self, is_so: impl Fn(&Known) -> bool) {
        loop {
            let mut next = std::pin::pin!(self.answered.notified());
            next.as_mut().enable();
            if is_so(&self.known()) {
                return;
            }
            let waited = tokio::time::timeout(std::time::Duration::from_secs(30), next).await;
            waited.expect("a request");
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let auth = header("authorization").unwrap_or_default().to_owned();
        let query = fields(parts.uri.query().unwrap_or_default());
        let body = axum::body::to_bytes(body, 100_000).await.expect("a body");
        let text = String::from_utf8_lossy(&body).into_owned();
        let json = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
        match path.as_str() {
            "/meta/mcp" | "/.well-known/oauth-protected-resource/mcp" => self.metadata(
                "resource",
                json!({
                    "resource": format!("{}/mcp", self.origin),
                    "authorization_servers": [format!("{}/as", self.origin)],
                    "scopes_supported": ["read", "write"],
                }),
            ),
            "/.well-known/oauth-authorization-server/as" => self.metadata(
                "issuer",
                json!({
                    "issuer": format!("{}/as", self.origin),
                    "authorization_endpoint": format!("{}/as/authorize", self.origin),
                    "token_endpoint": format!("{}/as/token", self.origin),
                    "registration_endpoint": format!("{}/as/register", self.origin),
                    "revocation_endpoint": format!("{}/as/revoke", self.origin),
                    "code_challenge_methods_supported": ["S256"],
                    "authorization_response_iss_parameter_supported": true,
                    "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
                }),
            ),
            "/as/register" => self.register(json()),
            "/as/authorize" => self.authorize(query),
            "/as/token" => self.token(fields(&text), auth),
            "/as/revoke" => {
                self.known().revoked.push(fields(&text)["token"].clone());
                StatusCode::OK.into_response()
            }
            "/mcp" => self.serve(&json(), &auth),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn metadata(&self, of: &str, mut document: Value) -> Response {
        let known = self.known();
        if let Some(odd) = known.odd {
            return odd();
        }
        if of == "issuer" && known.knows_all_clients {
            document["registration_endpoint"] = Value::Null;
        }
        for (_, key, value) in known.lies.iter().filter(|(at, ..)| *at == of) {
            document[*key] = value.clone();
        }
        axum::Json(document).into_response()
    }

    fn register(&self, mut client: Value) -> Response {
        let mut known = self.known();
        known.registrations.push(client.clone());
        client["client_id"] = json!(format!("client-{}", known.registrations.len()));
        (StatusCode::CREATED, axum::Json(client)).into_response()
    }

    /// The person has signed in and agreed.
    fn authorize(&self, query: Fields) -> Response {
        let mut known = self.known();
        let code = format!("code-{}-0123456789", known.codes.len());
        let iss = known.iss.map_or_else(|| format!("{}/as", self.origin), str::to_owned);
        let mut to = url::Url::parse(&query["redirect_uri"]).expect("an address");
        to.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &query["state"])
            .append_pair("iss", &iss);
        known.codes.insert(code, query);
        axum::response::Redirect::to(to.as_str()).into_response()
    }

    fn token(&self, mut form: Fields, auth: String) -> Response {
        let mut known = self.known();
        form.insert("basic".to_owned(), auth);
        known.asked.push(form.clone());
        let refused = |code: &str| {
            (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": code }))).into_response()
        };
        if known.is_down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        match form["grant_type"].as_str() {
            "authorization_code" => {
                let Some(sent) = known.codes.remove(&form["code"]) else {
                    return refused("invalid_grant");
                };
                let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
                let is_same = |key: &str| sent.get(key) == form.get(key);
                let is_right = sent["code_challenge"] == hash
                    && sent["code_challenge_method"] == "S256"
                    && is_same("redirect_uri")
                    && is_same("resource");
                if !is_right {
                    return refused("invalid_grant");
                }
                known.scopes = sent.get("scope").cloned().unwrap_or_default();
            }
            _ => {
                if known.is_closed || !known.refresh.remove(&form["refresh_token"]) {
                    return refused("invalid_grant");
                }
            }
        }
        known.issued += 1;
        let (access, refresh) = (
            format!("access-{}-9f8e7d6c5b", known.issued),
            format!("refresh-{}-1a2b3c4d5e", known.issued),
        );
        known.access.insert(access.clone());
        known.refresh.insert(refresh.clone());
        let answer = json!({
            "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
            "expires_in": 3_600, "scope": known.scopes,
        });
        axum::Json(answer).into_response()
    }

    fn serve(&self, asked: &Value, auth: &str) -> Response {
        let mut known = self.known();
        let meta = format!("resource_metadata=\"{}/meta/mcp\"", self.origin);
        let refused = |status: StatusCode, more: &str| {
            let header = format!("Bearer {meta}{more}");
            (status, [("www-authenticate", header)], Body::empty()).into_response()
        };
        let is_open = match asked["method"] == "tools/call" {
            true => known.public.is_some_and(|tool| asked["params"]["name"] == tool),
            false => known.is_for_calls,
        };
        let token = auth.strip_prefix("Bearer ");
        if !is_open && !token.is_some_and(|token| known.access.contains(token)) {
            return refused(StatusCode::UNAUTHORIZED, ", scope=\"read\"");
        }
        let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
        let result = match asked["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "web", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [tool("look"), tool("write")] }),
            Some("tools/call") => {
                if asked["params"]["name"] == "write" && !known.scopes.contains("write") {
                    let more = ", error=\"insufficient_scope\", scope=\"write\"";
                    return refused(StatusCode::FORBIDDEN, more);
                }
                known.calls.push(asked["params"]["name"].as_str().unwrap_or_default().to_owned());
                json!({ "content": [{ "type": "text", "text": "seen" }] })
            }
            Some("notifications/initialized") => return StatusCode::ACCEPTED.into_response(),
            _ => {
                let error = json!({ "code": -32601, "message": "no such method" });
                let reply = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error });
                return axum::Json(reply).into_response();
            }
        };
        let reply = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
        axum::Json(reply).into_response()
    }
}

pub fn fields(text: &str) -> Fields {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
