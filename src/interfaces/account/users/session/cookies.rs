//! Cookies: the sign-in, the known device, and the last workspace.

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::Response;

use app::App;
use app::config::Config;
use crypto::token::{Token, TokenHash, TokenKind};
use features::users::queries::DEVICE_LIFE;
use features::users::rules::devices::DeviceCookies;
use web::shell::Theme;

use super::{Caller, LONGEST, page_workspace};

/// Name of the cookie with the last workspace.
const LAST: &str = "hq_last";

/// Name of the sign-in cookie. With HTTPS, the `__Host-` prefix makes browsers bind it to this host and to encryption.
fn cookie_name(config: &Config) -> &'static str {
    if config.is_https() { "__Host-hq" } else { "hq" }
}

/// The sign-in token of a request.
pub(super) fn cookie_token(config: &Config, headers: &HeaderMap) -> Option<Token> {
    Token::parse(TokenKind::SignIn, named(headers, cookie_name(config))?).ok()
}

/// Name of the cookie that identifies a known device.
fn device_name(config: &Config) -> &'static str {
    if config.is_https() { "__Host-hq-device" } else { "hq_device" }
}

/// The device token of a request.
#[must_use]
pub fn device_token(config: &Config, headers: &HeaderMap) -> Option<Token> {
    Token::parse(TokenKind::Device, named(headers, device_name(config))?).ok()
}

/// The value of a cookie.
#[must_use]
pub fn named<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|c| c.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The person's theme, if this browser remembers another one for pages before sign-in.
pub(super) fn other_theme(request: &Request, theme: Theme) -> Option<Theme> {
    let caller = request.extensions().get::<Caller>()?;
    let shows = request.method() == Method::GET && caller.sign_in().is_some();
    (shows && Theme::from_headers(request.headers()) != theme).then_some(theme)
}

/// The slug of the last workspace in this browser. Access to it is checked separately.
#[must_use]
pub fn last_workspace(headers: &HeaderMap) -> Option<&str> {
    named(headers, LAST)
}

/// The `Set-Cookie` that remembers a workspace for a year.
#[must_use]
pub fn remember(config: &Config, slug: &str) -> Option<HeaderValue> {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let line = format!("{LAST}={slug}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(line).ok()
}

/// Whether a request has a sign-in cookie, valid or not.
#[must_use]
pub fn has_cookie(config: &Config, headers: &HeaderMap) -> bool {
    cookie_token(config, headers).is_some()
}

/// The `Set-Cookie` that signs a browser in.
#[must_use]
pub fn cookie(config: &Config, token: &Token) -> HeaderValue {
    set_cookie(config, token.reveal(), LONGEST.as_secs())
}

/// The `Set-Cookie` that signs a browser out.
#[must_use]
pub fn no_cookie(config: &Config) -> HeaderValue {
    set_cookie(config, "", 0)
}

/// The `Set-Cookie` of a known device. It survives a sign-out.
fn device_cookie(config: &Config, token: &Token) -> HeaderValue {
    set(config, device_name(config), token.reveal(), DEVICE_LIFE.as_secs())
}

/// The tokens of a new sign-in and its device.
pub struct SignInCookies {
    sign_in: Token,
    device: Token,
}

impl SignInCookies {
    /// Creates random tokens.
    #[must_use]
    pub fn issue() -> Self {
        let (sign_in, device) = (TokenKind::SignIn, TokenKind::Device);
        Self { sign_in: Token::issue(sign_in), device: Token::issue(device) }
    }

    /// The hash of the sign-in, and the new and former device hashes for this request.
    pub(crate) fn hashes(
        &self,
        config: &Config,
        headers: &HeaderMap,
    ) -> (TokenHash, DeviceCookies) {
        let former = device_token(config, headers).map(|token| token.hash());
        (self.sign_in.hash(), DeviceCookies { new: self.device.hash(), former })
    }

    /// Adds both cookies to a response.
    #[must_use]
    pub fn on(&self, config: &Config, mut answer: Response) -> Response {
        let headers = answer.headers_mut();
        headers.append(SET_COOKIE, cookie(config, &self.sign_in));
        headers.append(SET_COOKIE, device_cookie(config, &self.device));
        answer
    }
}

fn set_cookie(config: &Config, value: &str, seconds: i64) -> HeaderValue {
    set(config, cookie_name(config), value, seconds)
}

fn set(config: &Config, name: &str, value: &str, seconds: i64) -> HeaderValue {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut header = HeaderValue::try_from(text).expect("invariant: tokens are plain ASCII");
    header.set_sensitive(true);
    header
}

/// A visit to another workspace than the last one.
pub(super) struct Visit(String);

impl Visit {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let slug = page_workspace(request.uri().path()).filter(|_| request.method() == Method::GET);
        let slug = slug.filter(|slug| last_workspace(request.headers()) != Some(slug))?;
        Some(Self(slug.to_owned()))
    }

    pub(super) fn note(self, app: &App, response: &Response) -> Option<HeaderValue> {
        let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        let seen = response.status().is_success() && kind.starts_with("text/html");
        remember(&app.config, &self.0).filter(|_| seen)
    }
}
