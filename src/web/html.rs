//! Renders Askama templates into responses.
//!
//! A page is a template struct with a field `shell: Shell` whose template extends `layout.html`. Blocks, of which
//! only `content` is required: `title` (before the workspace name), `crumbs` (`<li>`s after the workspace), `actions`
//! (top bar buttons, at most one primary), `notes` (`ui::banner`s above the content), `content`, and `layers`
//! (dialogs, popovers and sticky bars outside `<main>`). Pages before sign-in extend `bare.html` (blocks `title`,
//! `tools`, `content`, `foot`) and have a field `theme: Theme`. Responses have the security headers and are never
//! cached: they contain private data.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use axum::response::{IntoResponse, Response};

use kernel::{Problem, ProblemKind};

use crate::headers;

/// A template failed to render: a bug in the template or in a value's `Display`.
#[derive(Debug, thiserror::Error)]
#[error("a template failed: {0}")]
pub struct RenderError(#[from] askama::Error);

impl Problem for RenderError {
    fn code(&self) -> &'static str {
        "internal"
    }
    fn kind(&self) -> ProblemKind {
        ProblemKind::Internal
    }
}

/// Renders a template to a string.
pub fn render(template: &impl Template) -> Result<String, RenderError> {
    Ok(template.render()?)
}

/// Responds 200 with a whole document. Browsers may prefetch links according to `/ahead.json`.
pub fn page<T: Template, E: From<RenderError>>(template: &T) -> Result<Response, E> {
    let mut response = document::<_, E>(StatusCode::OK, template)?;
    let rules = HeaderValue::from_static("\"/ahead.json\"");
    response.headers_mut().insert(HeaderName::from_static("speculation-rules"), rules);
    Ok(response)
}

/// Responds with a whole document and another status, such as 404 or 422.
pub fn document<T, E>(status: StatusCode, template: &T) -> Result<Response, E>
where
    T: Template,
    E: From<RenderError>,
{
    Ok(answer(status, render(template)?))
}

/// Responds 200 with one region. Its root element has the id of the region that it replaces.
pub fn fragment<T: Template, E: From<RenderError>>(template: &T) -> Result<Response, E> {
    document(StatusCode::OK, template)
}

/// Responds with a region and another status, such as 422 for an invalid form.
pub fn fragment_with<T, E>(status: StatusCode, template: &T) -> Result<Response, E>
where
    T: Template,
    E: From<RenderError>,
{
    document(status, template)
}

/// Responds with rendered HTML.
pub fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let kept = response.headers_mut();
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    kept.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    kept.insert(VARY, HeaderValue::from_static("HX-Request, HX-Request-Type, Cookie"));
    headers::secure(kept);
    response
}

/// HTML that templates print without escaping: sanitised Markdown, or markup created by this program.
///
/// Only [`crate::md`] and code that escapes every untrusted string create values of this type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeHtml(String);

impl SafeHtml {
    /// Marks `html` as safe. The caller must have escaped all untrusted content.
    pub fn vouched(html: String) -> Self {
        Self(html)
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no visible content.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl std::fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for SafeHtml {}

/// Escapes text for element content or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{SafeHtml, answer, escape};
    use axum::http::StatusCode;

    #[test]
    fn an_answer_is_private_html_with_a_strict_policy() {
        let response = answer(StatusCode::OK, "<p>hi</p>".into());
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert!(header("vary").contains("HX-Request"));
    }

    #[test]
    fn escaped_text_cannot_leave_an_attribute() {
        assert_eq!(escape(r#"a"b'c<d>&"#), "a&quot;b&#39;c&lt;d&gt;&amp;");
        assert!(SafeHtml::default().is_empty());
    }
}
