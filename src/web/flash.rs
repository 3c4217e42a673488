//! A message that the next page shows once, passed in a signed cookie that expires after two minutes.

use axum::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::Response;

use crate::parts::Tone;
use crate::shell::Flash;
use app::App;
use crypto::token::Signer;

const NAME: &str = "hq_flash";
const PURPOSE: &str = "flash";
const LIFE_MS: i64 = 2 * 60 * 1000;
/// Maximum length of the text, limited by the cookie size.
const MAX_TEXT: usize = 1_000;

/// Adds a message for the next page to a response, usually a redirect: `Ok(flash::say(&app, Flash::ok("Saved."),
/// hx.go_to(&url)))`.
pub fn say(app: &App, flash: Flash, mut response: Response) -> Response {
    let text = kernel::text::cut(&flash.text, MAX_TEXT);
    let value = format!("{}\n{}\n{text}", flash.tone.as_str(), flash.undo);
    let signed =
        Signer::new(&app.keyring).sign(PURPOSE, value.as_bytes(), app.clock.now_ms() + LIFE_MS);
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let line = format!("{NAME}={signed}; Path=/; Max-Age=120; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::try_from(line) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The message in a request's cookie, if its signature is valid and it has not expired.
#[must_use]
pub fn read(app: &App, headers: &HeaderMap) -> Option<Flash> {
    let value = cookie(headers)?;
    let value = Signer::new(&app.keyring).verify(PURPOSE, value, app.clock.now_ms()).ok()?;
    let value = String::from_utf8(value).ok()?;
    let (tone, rest) = value.split_once('\n')?;
    let (undo, text) = rest.split_once('\n')?;
    let tone = match tone {
        "ok" => Tone::Ok,
        "warn" => Tone::Warn,
        "danger" => Tone::Danger,
        _ => Tone::Info,
    };
    Some(Flash::new(tone, text).with_undo(undo.to_owned()))
}

/// Removes the cookie after a page has shown the message.
pub fn clear(request: &HeaderMap, response: &mut Response) {
    let headers = response.headers_mut();
    let is_new = headers
        .get_all(SET_COOKIE)
        .iter()
        .any(|line| line.to_str().is_ok_and(|line| line.starts_with(NAME)));
    if cookie(request).is_some() && !is_new {
        let line = HeaderValue::from_static("hq_flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        headers.append(SET_COOKIE, line);
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|c| c.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value)
}
