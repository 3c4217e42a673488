//! Error pages and panels: what happened, what it means and what to do.
//!
//! The same text is used for a whole page (in the shell, or bare before sign-in), for a panel in a region requested
//! by htmx, and for a toast after a rejected write.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::assets;
use crate::error::Failure;
use crate::form::sentence;
use crate::html;
use crate::hx::Ask;
use crate::parts::Tone;
use crate::shell::{Shell, Theme};
use kernel::ProblemKind;

/// A user-facing error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// HTTP status.
    pub status: StatusCode,
    /// Icon name.
    pub icon: &'static str,
    /// A few words, no full stop.
    pub title: String,
    /// One or two sentences: what it means and what to do.
    pub text: String,
    /// Reference for the operator, or empty.
    pub reference: String,
    /// Whether a retry may succeed.
    pub may_retry: bool,
    /// Label of a link out of the error, or empty.
    pub link: String,
    /// Target of that link, or empty.
    pub href: String,
}

impl Trouble {
    /// Creates an error from status, title and text.
    pub fn new(status: StatusCode, title: impl Into<String>, text: impl Into<String>) -> Self {
        let icon = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => "search",
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "lock",
            _ => "warn",
        };
        Self { status, icon, title: title.into(), text: text.into(), ..Self::default() }
    }

    /// The page or record does not exist.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Page not found",
            "The address is wrong, or the page was deleted.",
        )
    }

    /// The person lacks a right.
    pub fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Not allowed", why)
    }

    /// An internal error. The reference identifies the log line.
    pub fn failure(reference: impl Into<String>) -> Self {
        let text = "Something failed on our side. Nothing was changed.";
        let mut trouble =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", text);
        trouble.reference = reference.into();
        trouble.may_retry = true;
        trouble
    }

    /// A temporary error, such as overload or a failing disk.
    pub fn unavailable(why: impl Into<String>) -> Self {
        let mut trouble = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not possible right now", why);
        trouble.may_retry = true;
        trouble
    }

    /// Adds a link out of the error.
    #[must_use]
    pub fn way_out(mut self, link: impl Into<String>, href: impl Into<String>) -> Self {
        self.link = link.into();
        self.href = href.into();
        self
    }

    /// Responds with a whole page: in the shell for a signed-in person, bare otherwise.
    pub fn page(self, shell: Option<Shell>, theme: Theme) -> Response {
        let status = self.status;
        let words = format!("{}. {}", self.title, self.text);
        match self.render(shell, theme) {
            Ok(body) => html::answer(status, body),
            Err(_) => (status, words).into_response(),
        }
    }

    /// Renders the whole page.
    pub fn render(self, shell: Option<Shell>, theme: Theme) -> Result<String, askama::Error> {
        match shell {
            Some(shell) => InShell { shell, trouble: self }.render(),
            None => Bare { theme, trouble: self }.render(),
        }
    }

    /// Responds to htmx: with a panel in the requested region or, for a rejected write, with a toast that keeps the
    /// page and the typed text.
    pub fn region(self, act: Act) -> Response {
        let status = self.status;
        if act == Act::Write {
            let words = match self.reference.is_empty() {
                true => format!("{}. {}", self.title, self.text),
                false => format!("{} (reference {})", self.text, self.reference),
            };
            let ask = Ask::new().reswap("none").toast(Tone::Danger, &words);
            return (ask, html::answer(status, String::new())).into_response();
        }
        let words = self.text.clone();
        match (Panel { trouble: self }).render() {
            Ok(body) => html::answer(status, body),
            Err(_) => (status, words).into_response(),
        }
    }
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        if let Some(reference) = &failure.reference {
            return Self::failure(reference);
        }
        let title = match failure.kind {
            ProblemKind::NotFound => "Page not found",
            ProblemKind::WrongMethod => "This isn’t supported here",
            ProblemKind::Gone => "No longer available",
            ProblemKind::Forbidden => "Not allowed",
            ProblemKind::Unauthorized => "Sign in first",
            ProblemKind::Stale => "Someone else changed this first",
            ProblemKind::Conflict => "This isn’t possible",
            ProblemKind::Slow => "This took too long to arrive",
            ProblemKind::Limited => "Too many requests",
            ProblemKind::Unavailable if failure.code == "workspace_damaged" => {
                "This workspace is damaged"
            }
            ProblemKind::Unavailable if failure.code == "workspace_unopened" => {
                "This workspace can’t be opened"
            }
            ProblemKind::Unavailable => "Not possible right now",
            _ => "That didn’t work",
        };
        let mut trouble = Self::new(failure.status(), title, sentence(&failure.detail));
        trouble.may_retry = matches!(failure.kind, ProblemKind::Limited | ProblemKind::Unavailable);
        trouble
    }
}

/// Whether a request reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// GET.
    Read,
    /// POST.
    Write,
}

/// The page shown while the process starts or migrates. It needs neither script nor style sheet.
pub fn starting(text: &str, percent: Option<u8>) -> Response {
    let page = Starting { assets: assets::links(), text, percent };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let body = page.render().unwrap_or_else(|_| "HQ is starting".to_owned());
    let mut response = html::answer(status, body);
    let soon = axum::http::HeaderValue::from_static("2");
    response.headers_mut().insert(axum::http::header::RETRY_AFTER, soon);
    response
}

#[derive(Template)]
#[template(path = "errors/in_shell.html")]
struct InShell {
    shell: Shell,
    trouble: Trouble,
}

#[derive(Template)]
#[template(path = "errors/alone.html")]
struct Bare {
    theme: Theme,
    trouble: Trouble,
}

#[derive(Template)]
#[template(path = "errors/panel.html")]
struct Panel {
    trouble: Trouble,
}

#[derive(Template)]
#[template(path = "errors/starting.html")]
struct Starting<'a> {
    assets: &'static assets::Links,
    text: &'a str,
    percent: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::{Act, Trouble};
    use crate::error::Failure;
    use crate::shell::{Shell, Theme};
    use http_body_util::BodyExt as _;
    use kernel::ProblemKind;

    async fn body(response: axum::response::Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_address_is_a_page_with_a_way_out() {
        let trouble = Trouble::not_found().way_out("All tasks", "/w/a/tasks");
        let response = trouble.page(Some(Shell::default()), Theme::System);
        assert_eq!(response.status(), 404);
        let body = body(response).await;
        assert!(body.contains("<h1>Page not found</h1>"));
        assert!(body.contains("<span aria-current=\"page\">Page not found</span>"), "{body}");
        assert!(body.contains("href=\"/w/a/tasks\""));
    }

    #[tokio::test]
    async fn a_failure_shows_its_reference_and_no_cause() {
        let response = Trouble::failure("7F3A").page(None, Theme::Dark);
        let body = body(response).await;
        assert!(body.contains("7F3A"));
        assert!(body.contains("data-theme=\"dark\""));
    }

    #[test]
    fn a_failure_of_any_kind_becomes_a_sentence() {
        let failure = Failure::new(ProblemKind::Conflict, "taken", "the slug \"ada\" is in use");
        let trouble = Trouble::from(&failure);
        assert_eq!(trouble.text, "The slug \"ada\" is in use.");
        assert_eq!(trouble.status, 409);
    }

    #[tokio::test]
    async fn a_refused_write_leaves_the_region_as_it_is() {
        let response = Trouble::forbidden("Ask an admin.").region(Act::Write);
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["hx-reswap"], "none");
        assert!(response.headers()["hx-trigger"].to_str().unwrap().contains("Ask an admin."));
        assert_eq!(body(response).await, "");
    }
}
