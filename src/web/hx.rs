//! htmx request headers, and response headers that instruct htmx.
//!
//! A handler takes `hx: Hx`. Without htmx, it responds with a page or a redirect. With htmx, it responds with the
//! region that [`Hx::target`] names, or redirects the browser:
//!
//! ```ignore
//! if !hx.is_partial() { return Ok(hx.go_to(&ws.url("tasks"))); }
//! html::fragment(&Row { .. })
//! ```

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};

use crate::parts::Tone;

/// Response to an invalid header value. [`ascii`] prevents this case.
const UNWRITABLE: (StatusCode, &str) =
    (StatusCode::INTERNAL_SERVER_ERROR, "a header value could not be written");

/// htmx headers of a request. All empty for a plain browser request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hx {
    request: bool,
    full: bool,
    target: Option<String>,
    source: Option<String>,
    current_url: Option<String>,
}

impl Hx {
    /// Reads the headers of a request.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let word = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        Self {
            request: word("hx-request") == Some("true"),
            full: word("hx-request-type") == Some("full"),
            target: word("hx-target").map(element_id),
            source: word("hx-source").map(element_id),
            current_url: word("hx-current-url").map(str::to_owned),
        }
    }

    /// Whether htmx sent the request, for a region or a whole page.
    pub fn is_htmx(&self) -> bool {
        self.request
    }

    /// Whether the response must be a region. Back navigation requests the whole page without `HX-Request`, so this
    /// returns `false`.
    pub fn is_partial(&self) -> bool {
        self.request && !self.full
    }

    /// The id of the element that the response replaces, without `#`.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref().filter(|id| !id.is_empty())
    }

    /// Whether the response replaces the region with this id.
    pub fn wants(&self, region: &str) -> bool {
        self.is_partial() && self.target() == Some(region)
    }

    /// The id of the element that sent the request, without `#`.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref().filter(|id| !id.is_empty())
    }

    /// The URL that the browser shows.
    pub fn current_url(&self) -> Option<&str> {
        self.current_url.as_deref()
    }

    /// Redirects to `url`: with 303 for a plain request, with `HX-Redirect` for htmx. htmx would otherwise follow a
    /// 303 and swap the whole page into a region.
    pub fn go_to(&self, url: &str) -> Response {
        let Ok(place) = HeaderValue::try_from(ascii(url)) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if self.request {
            return ([(HeaderName::from_static("hx-redirect"), place)], "").into_response();
        }
        (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
    }

    /// Confirms an action: as a toast if a region was requested, otherwise by a redirect to `url`.
    pub fn done(&self, words: &str, url: &str) -> Response {
        if self.is_partial() {
            return (Ask::new().toast(Tone::Ok, words), "").into_response();
        }
        self.go_to(url)
    }
}

impl<S: Sync> FromRequestParts<S> for Hx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let hx = Self::from_headers(&parts.headers);
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        Ok(if reads && parts.headers.contains_key("hx-history-restore-request") {
            Self::default()
        } else {
            hx
        })
    }
}

/// The id in `tag#id`, the element notation of htmx.
fn element_id(name: &str) -> String {
    name.split_once('#').map_or_else(String::new, |(_, id)| id.to_owned())
}

/// Response headers that instruct htmx: `(Ask::new().toast(..), html)`.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    events: Vec<(String, serde_json::Value)>,
    headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// No instructions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Triggers a DOM event at the element that sent the request.
    pub fn event(mut self, name: &str, detail: serde_json::Value) -> Self {
        self.events.push((name.to_owned(), detail));
        self
    }

    /// Announces a changed record to the regions of this page, which then refetch themselves even while the page's
    /// stream is down. Triggered at `<body>`, where the regions listen.
    pub fn changed(self, table: &str, id: impl std::fmt::Display) -> Self {
        let at = serde_json::json!({ "target": "body" });
        self.event(&format!("hq:{table}"), at.clone()).event(&format!("hq:{table}:{id}"), at)
    }

    /// Shows a toast.
    pub fn toast(self, tone: Tone, text: &str) -> Self {
        self.event("hq:toast", serde_json::json!({ "tone": tone.as_str(), "text": text }))
    }

    /// Shows a toast with a button that posts to `undo`.
    pub fn toast_with_undo(self, text: &str, undo: &str) -> Self {
        let detail = serde_json::json!({ "tone": "ok", "text": text, "undo": undo });
        self.event("hq:toast", detail)
    }

    /// Shows a toast with a link. Works even if the requesting element has been removed.
    pub fn toast_with_link(self, text: &str, href: &str) -> Self {
        let toast =
            serde_json::json!({ "tone": "ok", "text": text, "href": href, "target": "body" });
        self.event("hq:toast", toast)
    }

    /// Closes the dialog that sent the request.
    pub fn close_dialog(self) -> Self {
        self.event("hq:close", serde_json::json!({}))
    }

    /// Closes the dialog and continues from the created record `made`, if the page shows it.
    pub fn close_dialog_on(self, made: &str) -> Self {
        self.event("hq:close", serde_json::json!({ "made": made }))
    }

    /// Swaps the response into another element than the requested one.
    pub fn retarget(self, selector: &str) -> Self {
        self.header("hx-retarget", selector)
    }

    /// Sets the swap style, such as `outerMorph` or `beforeend`.
    pub fn reswap(self, style: &str) -> Self {
        self.header("hx-reswap", style)
    }

    /// Pushes a URL onto the browser history.
    pub fn push_url(self, url: &str) -> Self {
        self.header("hx-push-url", url)
    }

    /// Replaces the current URL without a new history entry.
    pub fn replace_url(self, url: &str) -> Self {
        self.header("hx-replace-url", url)
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl IntoResponseParts for Ask {
    type Error = (StatusCode, &'static str);

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        for (name, value) in self.headers {
            let Ok(value) = HeaderValue::try_from(ascii(&value)) else { return Err(UNWRITABLE) };
            parts.headers_mut().insert(HeaderName::from_static(name), value);
        }
        if !self.events.is_empty() {
            let map: serde_json::Map<_, _> = self.events.into_iter().collect();
            let value = escape_json(&serde_json::Value::Object(map).to_string());
            let Ok(value) = HeaderValue::try_from(value) else { return Err(UNWRITABLE) };
            parts.headers_mut().insert(HeaderName::from_static("hx-trigger"), value);
        }
        Ok(parts)
    }
}

/// Escapes non-ASCII characters of JSON as `\u….`, because header values are ASCII.
fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // ok: writing to a `String` does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Percent-encodes bytes outside printable ASCII.
fn ascii(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() || byte == b' ' {
            out.push(char::from(byte));
        } else {
            // ok: writing to a `String` does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Ask, Hx};
    use crate::parts::Tone;
    use axum::http::HeaderMap;
    use axum::response::IntoResponse;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_plain_request_is_no_region_and_redirects_with_303() {
        let hx = Hx::from_headers(&HeaderMap::new());
        assert!(!hx.is_partial());
        let answer = hx.go_to("/w/acme/tasks?q=ü\r\nx: y");
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()["location"], "/w/acme/tasks?q=%C3%BC%0D%0Ax: y");
    }

    #[test]
    fn htmx_names_the_region_and_is_sent_on_by_header() {
        let hx = Hx::from_headers(&headers(&[
            ("hx-request", "true"),
            ("hx-request-type", "partial"),
            ("hx-target", "li#task-7"),
        ]));
        assert!(hx.wants("task-7"));
        assert!(!hx.wants("task-8"));
        let answer = hx.go_to("/login");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["hx-redirect"], "/login");
    }

    #[test]
    fn a_request_for_the_whole_body_gets_the_whole_page() {
        let hx = Hx::from_headers(&headers(&[
            ("hx-request", "true"),
            ("hx-request-type", "full"),
            ("hx-target", "body"),
        ]));
        assert!(hx.is_htmx());
        assert!(!hx.is_partial());
        assert_eq!(hx.target(), None);
    }

    #[test]
    fn a_toast_with_any_words_fits_into_a_header() {
        let answer =
            (Ask::new().toast(Tone::Ok, "Created “Größe” 🎉").retarget("#x"), "").into_response();
        let trigger = answer.headers()["hx-trigger"].to_str().unwrap();
        let value: serde_json::Value = serde_json::from_str(trigger).unwrap();
        assert_eq!(value["hq:toast"]["text"], "Created “Größe” 🎉");
        assert_eq!(answer.headers()["hx-retarget"], "#x");
    }
}
