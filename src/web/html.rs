//! Turning templates into answers.
//!
//! A page is a struct with `#[derive(Template)]` whose template starts with
//! `{% extends "layout.html" %}` and that has a field `shell: Shell` (see [`crate::shell`]).
//! The layout offers these blocks, all optional except `content`:
//!
//! | block | what goes there |
//! |---|---|
//! | `title` | words for the browser tab, before the workspace name |
//! | `crumbs` | `<li>`s of the breadcrumb after the workspace |
//! | `actions` | buttons in the top bar, at most one of them primary |
//! | `notes` | `ui::banner`s between top bar and content |
//! | `content` | the content of `<main>` |
//! | `layers` | dialogs, popovers and sticky bars outside `<main>` |
//!
//! Pages before sign-in extend `bare.html` (blocks `title`, `tools`, `content`, `foot`) and have a
//! field `theme: Theme`. Parts come from the macro files
//! `macros.html`, `forms.html` and `work.html`, whose first lines tell how to use them. Addresses in
//! templates come from `shell.url("tasks")`.
//!
//! [`page`] answers with a whole document, [`fragment`] with a region that htmx swaps in. Both
//! send the security headers; neither is ever stored by a cache, since both show private data.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use axum::response::{IntoResponse, Response};

use kernel::{Problem, ProblemKind};

use crate::headers;

/// A template failed to render: a mistake in it, or in how it writes a value.
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

/// The words of a template.
pub fn render(template: &impl Template) -> Result<String, RenderError> {
    Ok(template.render()?)
}

/// Answers 200 with a whole document.
pub fn page<T: Template, E: From<RenderError>>(template: &T) -> Result<Response, E> {
    let mut response = document::<_, E>(StatusCode::OK, template)?;
    let rules = HeaderValue::from_static("\"/ahead.json\"");
    response.headers_mut().insert(HeaderName::from_static("speculation-rules"), rules);
    Ok(response)
}

/// Answers with a whole document under another status, such as 404 or 422.
pub fn document<T, E>(status: StatusCode, template: &T) -> Result<Response, E>
where
    T: Template,
    E: From<RenderError>,
{
    Ok(answer(status, render(template)?))
}

/// Answers 200 with one region, which carries the id of the region it replaces.
pub fn fragment<T: Template, E: From<RenderError>>(template: &T) -> Result<Response, E> {
    document(StatusCode::OK, template)
}

/// Answers with a region under another status, such as 422 for a form with mistakes.
pub fn fragment_with<T, E>(status: StatusCode, template: &T) -> Result<Response, E>
where
    T: Template,
    E: From<RenderError>,
{
    document(status, template)
}

/// An answer of HTML that is already rendered.
pub fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let kept = response.headers_mut();
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    kept.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    kept.insert(VARY, HeaderValue::from_static("HX-Request, HX-Request-Type, Cookie"));
    headers::secure(kept);
    response
}

/// HTML that may stand in a page as it is: sanitised Markdown or markup written by this program.
///
/// Templates print it without escaping, so the only ways to make one are [`crate::md`] and
/// code that escapes each foreign word itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeHtml(String);

impl SafeHtml {
    /// Vouches for `html`. Everything in it that came from outside must be escaped already.
    pub fn vouched(html: String) -> Self {
        Self(html)
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to show.
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

/// Escapes text for a place between tags or inside a quoted attribute.
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
