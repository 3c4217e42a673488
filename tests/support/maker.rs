//! Scripted sign-in provider: exchanges browser and device codes for tokens, rotates refresh tokens (each is valid
//! once), and exchanges long-lived tokens for short-lived ones. It can fail in all ways that providers do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::pkce;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Result of a refresh request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Overloaded.
    Busy,
    /// The refresh token is consumed, and the response is lost.
    Lost,
    /// The sign-in is revoked.
    Revoked,
}

/// Stops on drop.
pub struct Maker {
    address: String,
    shared: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

struct Inner {
    codes: HashMap<String, String>,
    issued: usize,
    passes: usize,
    refresh: Option<String>,
    life: Value,
    forgives: bool,
    fates: VecDeque<Fate>,
    device: Value,
    polls: VecDeque<(u16, Value)>,
    polled: usize,
    refreshed: usize,
    exchanged: VecDeque<(u16, Value)>,
    api: Option<String>,
    forms: Vec<HashMap<String, String>>,
    revoked: watch::Sender<Vec<Value>>,
}

/// The n-th access token.
pub fn access(n: usize) -> String {
    format!("access-token-{n:04}-of-the-maker")
}

/// The n-th refresh token.
pub fn refresh(n: usize) -> String {
    format!("refresh-token-{n:04}-of-the-maker")
}

/// The n-th short-lived token.
pub fn pass(n: usize) -> String {
    format!("pass-token-{n:04}-of-the-maker")
}

impl Maker {
    /// A provider whose tokens are valid for an hour.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("a bound port"));
        let shared = Arc::new(Mutex::new(Inner {
            codes: HashMap::new(),
            issued: 0,
            passes: 0,
            refresh: None,
            life: json!(3_600),
            forgives: false,
            fates: VecDeque::new(),
            device: json!({
                "device_code": "device-code-of-the-maker", "user_code": "WDJB-MJHT",
                "verification_uri": "https://maker.example/device", "expires_in": 900, "interval": 5,
            }),
            polls: VecDeque::new(),
            polled: 0,
            refreshed: 0,
            exchanged: VecDeque::new(),
            api: None,
            forms: Vec::new(),
            revoked: watch::Sender::default(),
        }));
        let app = Router::new()
            .route("/token", post(token))
            .route("/device", post(device))
            .route("/exchange", get(exchange))
            .route("/deviceauth/usercode", post(user_code))
            .route("/deviceauth/token", post(typed))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&shared));
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, shared, task }
    }

    fn inner<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.shared.lock().expect("nobody panics with it"))
    }

    /// Request body that adds an account of this provider, with its models at `base_url`.
    pub fn account(&self, name: &str, maker: &str, base_url: &str) -> Value {
        json!({
            "name": name, "maker": maker, "client_id": "our-client", "base_url": base_url,
            "default_model": "gpt-5.2",
            "authorize_url": format!("{}/authorize", self.address),
            "token_url": format!("{}/token", self.address),
            "device_url": format!("{}/device", self.address),
            "exchange_url": format!("{}/exchange", self.address),
            "redirect_url": "http://localhost/auth/callback",
        })
    }

    /// Signs in at the URL that a browser was sent to; returns the redirect URL.
    pub fn sign_in(&self, url: &str, code: &str) -> String {
        let url = url::Url::parse(url).expect("an address");
        let of = |name: &str| {
            let found = url.query_pairs().find(|(n, _)| n == name);
            found
                .map(|(_, value)| value.into_owned())
                .unwrap_or_else(|| panic!("no {name} in {url}"))
        };
        assert_eq!(
            (of("response_type"), of("code_challenge_method")),
            ("code".into(), "S256".into())
        );
        assert_eq!(of("client_id"), "our-client");
        self.inner(|inner| inner.codes.insert(code.to_owned(), of("code_challenge")));
        let mut back = url::Url::parse(&of("redirect_uri")).expect("an address");
        back.query_pairs_mut().append_pair("code", code).append_pair("state", &of("state"));
        back.into()
    }

    /// Results of the next refresh requests.
    pub fn next(&self, fates: &[Fate]) -> &Self {
        self.inner(|inner| inner.fates.extend(fates));
        self
    }

    /// `expires_in` of tokens, as sent.
    pub fn life(&self, life: Value) -> &Self {
        self.inner(|inner| inner.life = life);
        self
    }

    /// Accepts a consumed refresh token again from clients that missed the response.
    pub fn forgiving(&self) -> &Self {
        self.inner(|inner| inner.forgives = true);
        self
    }

    /// Responses to the next device code polls, before tokens are issued.
    pub fn polls(&self, answers: &[(u16, Value)]) -> &Self {
        self.inner(|inner| inner.polls.extend(answers.iter().cloned()));
        self
    }

    /// Responses to the next requests for a short-lived token.
    pub fn exchanges(&self, answers: &[(u16, Value)]) -> &Self {
        self.inner(|inner| inner.exchanged.extend(answers.iter().cloned()));
        self
    }

    /// Address of the account's models, sent with short-lived tokens.
    pub fn answers_at(&self, api: &str) -> &Self {
        self.inner(|inner| inner.api = Some(api.to_owned()));
        self
    }

    /// Number of refresh requests.
    pub fn refreshed(&self) -> usize {
        self.inner(|inner| inner.refreshed)
    }

    /// Number of device code polls.
    pub fn polled(&self) -> usize {
        self.inner(|inner| inner.polled)
    }

    /// Number of short-lived tokens issued.
    pub fn passes(&self) -> usize {
        self.inner(|inner| inner.passes)
    }

    /// Address of OpenAI's variant of the device flow.
    pub fn openai_device(&self) -> String {
        format!("{}/deviceauth/usercode", self.address)
    }

    /// Waits for revocation request number `times`, and returns its body.
    pub async fn revoked(&self, times: usize) -> Value {
        let mut told = self.inner(|inner| inner.revoked.subscribe());
        let all = told.wait_for(|all| times <= all.len()).await.expect("the maker lives");
        all[times - 1].clone()
    }

    /// The last form received.
    pub fn last(&self) -> HashMap<String, String> {
        self.inner(|inner| inner.forms.last().cloned()).expect("a question")
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = State<Arc<Mutex<Inner>>>;

fn said(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

impl Inner {
    fn issue(&mut self) -> Value {
        self.issued += 1;
        self.refresh = Some(refresh(self.issued));
        let claims = json!({
            "email": "mira@marlow.example",
            "https://api.openai.com/auth": { "chatgpt_account_id": "acc-1" },
        });
        let id = format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims.to_string()));
        json!({
            "access_token": access(self.issued), "refresh_token": refresh(self.issued),
            "id_token": id, "expires_in": self.life, "token_type": "bearer",
        })
    }
}

async fn token(State(inner): Shared, Form(form): Form<HashMap<String, String>>) -> Response {
    let mut inner = inner.lock().expect("nobody panics with it");
    inner.forms.push(form.clone());
    let of = |name: &str| form.get(name).map_or("", String::as_str);
    let refused =
        || said(400, json!({ "error": "invalid_grant", "error_description": "not known" }));
    if of("client_id") != "our-client" {
        return said(401, json!({ "error": "invalid_client" }));
    }
    match of("grant_type") {
        "authorization_code" => {
            let known = inner.codes.remove(of("code"));
            match known.is_some_and(|hash| hash == pkce::challenge(of("code_verifier"))) {
                true => said(200, inner.issue()),
                false => refused(),
            }
        }
        "refresh_token" => {
            inner.refreshed += 1;
            match inner.fates.pop_front() {
                Some(Fate::Busy) => return said(503, json!({ "error": "busy" })),
                Some(Fate::Revoked) => {
                    inner.refresh = None;
                    return refused();
                }
                Some(Fate::Lost) => {
                    inner.issue();
                    let gone = futures_util::stream::once(async {
                        Err::<Bytes, std::io::Error>(std::io::Error::other("the line breaks"))
                    });
                    return Response::new(Body::from_stream(gone));
                }
                None => {}
            }
            let sent = of("refresh_token");
            let old = inner.forgives && sent.starts_with("refresh-token-");
            match old || inner.refresh.as_deref() == Some(sent) {
                true => said(200, inner.issue()),
                false => refused(),
            }
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            inner.polled += 1;
            match inner.polls.pop_front() {
                Some((status, body)) => said(status, body),
                None => said(200, inner.issue()),
            }
        }
        _ => said(400, json!({ "error": "unsupported_grant_type" })),
    }
}

async fn device(State(inner): Shared, Form(form): Form<HashMap<String, String>>) -> Response {
    let mut inner = inner.lock().expect("nobody panics with it");
    inner.forms.push(form);
    said(200, inner.device.clone())
}

async fn user_code(State(inner): Shared, Json(body): Json<Value>) -> Response {
    let _inner = inner.lock().expect("nobody panics with it");
    match body["client_id"] == "our-client" {
        true => said(
            200,
            json!({
                "device_auth_id": "device-auth-of-the-maker", "user_code": "WDJB-MJHT", "interval": "7",
            }),
        ),
        false => said(404, json!({})),
    }
}

/// Whether the device code was entered; until then the response has a status only.
async fn typed(State(inner): Shared, Json(body): Json<Value>) -> Response {
    let mut inner = inner.lock().expect("nobody panics with it");
    inner.polled += 1;
    let known =
        body["device_auth_id"] == "device-auth-of-the-maker" && body["user_code"] == "WDJB-MJHT";
    if !known {
        return said(400, json!({ "error": "invalid_request" }));
    }
    if let Some((status, body)) = inner.polls.pop_front() {
        return said(status, body);
    }
    let verifier = "verifier-that-the-maker-made-for-this";
    inner.codes.insert("typed-code".to_owned(), pkce::challenge(verifier));
    said(
        200,
        json!({
            "authorization_code": "typed-code", "code_verifier": verifier,
            "code_challenge": pkce::challenge(verifier),
        }),
    )
}

async fn revoke(State(inner): Shared, Json(body): Json<Value>) -> Response {
    let inner = inner.lock().expect("nobody panics with it");
    inner.revoked.send_modify(|all| all.push(body));
    StatusCode::OK.into_response()
}

async fn exchange(State(inner): Shared, headers: HeaderMap) -> Response {
    let mut inner = inner.lock().expect("nobody panics with it");
    if let Some((status, body)) = inner.exchanged.pop_front() {
        return said(status, body);
    }
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    if sent != Some(format!("token {}", access(inner.issued)).as_str()) {
        return said(401, json!({ "message": "Bad credentials" }));
    }
    inner.passes += 1;
    let mut answer = json!({ "token": pass(inner.passes), "refresh_in": 1_500, "expires_at": 1 });
    if let Some(api) = &inner.api {
        answer["endpoints"] = json!({ "api": api });
    }
    said(200, answer)
}
