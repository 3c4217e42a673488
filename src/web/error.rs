//! HTTP errors: `PageError` becomes a page or panel, `ApiError` becomes problem+json.
//!
//! Both convert from any [`Problem`] with `?`. A page error is passed as a [`Failure`] in the response extensions.
//! The layer in `server/router.rs` renders it, because only the router knows whether the person is signed in and
//! whether htmx sent the request.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use kernel::{Can, FieldError, Problem, ProblemKind};

/// An error without its Rust type.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Kind of error; determines the status.
    pub kind: ProblemKind,
    /// Stable machine-readable code.
    pub code: String,
    /// What is wrong, and what to do.
    pub detail: String,
    /// Errors of single fields.
    pub fields: Vec<FieldError>,
    /// Reference of an internal error. Users see only the reference; the log has the details.
    pub reference: Option<String>,
    /// Additional named value for programs.
    pub more: Option<Box<(&'static str, serde_json::Value)>>,
    /// Details of an internal error. Boxed, so that the error type stays small.
    inside: Option<Box<Inside>>,
}

/// Details of an internal error, for the operator.
#[derive(Clone, Debug)]
pub struct Inside(pub String);

impl Failure {
    /// Converts any problem. An internal one is logged.
    pub fn of(problem: &dyn Problem) -> Self {
        if problem.kind() == ProblemKind::Internal {
            let mut chain = problem.to_string();
            let mut source = problem.source();
            while let Some(next) = source {
                // Most errors already include the message of their source.
                let words = next.to_string();
                if !chain.contains(&words) {
                    chain = format!("{chain}: {words}");
                }
                source = next.source();
            }
            return Self { code: problem.code().to_owned(), ..Self::internal(chain) };
        }
        Self {
            kind: problem.kind(),
            code: problem.code().to_owned(),
            detail: problem.to_string(),
            fields: problem.fields(),
            reference: None,
            more: None,
            inside: None,
        }
    }

    /// Creates an internal error. Logs it once, here, with a reference for the user.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        let mut bytes = [0; 4];
        // ok: without randomness, the reference is zeros and the log line still exists.
        let _ = getrandom::fill(&mut bytes);
        let reference = hex::encode(bytes);
        tracing::error!(reference, "{what}");
        Self {
            kind: ProblemKind::Internal,
            code: "internal".to_owned(),
            detail: format!("Something went wrong on our side. Reference: {reference}"),
            fields: Vec::new(),
            reference: Some(reference),
            more: None,
            inside: Some(Box::new(Inside(what.to_string()))),
        }
    }

    /// Creates an error from its parts.
    pub fn new(kind: ProblemKind, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            detail: detail.into(),
            fields: Vec::new(),
            reference: None,
            more: None,
            inside: None,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl<E: Problem> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

fn not_allowed(can: Can) -> Failure {
    let detail = match can {
        // No token scope includes these rights.
        Can::Account | Can::Own => format!(
            "This needs the permission \"{}\", which tokens can’t have. Sign in to HQ in a \
             browser{}.",
            can.label(),
            if can == Can::Own { " as an owner" } else { "" }
        ),
        // Also shown to an owner whose token has fewer rights.
        _ => format!(
            "You don’t have the permission \"{}\". An owner or admin can grant it; a token needs \
             it as a scope.",
            can.label()
        ),
    };
    Failure::new(ProblemKind::Forbidden, "forbidden", detail)
}

fn not_signed_in() -> Failure {
    Failure::new(ProblemKind::Unauthorized, "unauthorized", "Sign in or send a token.")
}

/// An error of a page handler.
#[derive(Debug)]
pub struct PageError(pub Failure);

impl PageError {
    /// The record does not exist or is not visible to this person.
    pub fn not_found(what: &str) -> Self {
        Self(Failure::new(ProblemKind::NotFound, "not_found", format!("{what} was not found.")))
    }

    /// The signed-in person lacks a right.
    #[must_use]
    pub fn forbidden(can: Can) -> Self {
        Self(not_allowed(can))
    }

    /// No one is signed in.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self(not_signed_in())
    }
}

impl<E: Problem> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(Failure::of(&error))
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// An error of an API handler.
#[derive(Debug)]
pub struct ApiError(pub Failure);

impl ApiError {
    /// The record does not exist or is not visible to this caller.
    pub fn not_found(what: &str) -> Self {
        Self(PageError::not_found(what).0)
    }

    /// The caller lacks a right.
    #[must_use]
    pub fn forbidden(can: Can) -> Self {
        Self(not_allowed(can))
    }

    /// The caller is not authenticated.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self(not_signed_in())
    }

    /// An invalid field, for input without an error type of its own.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut failure = Failure::new(ProblemKind::Invalid, "invalid", message.clone());
        failure.fields.push(FieldError::new(field, message));
        Self(failure)
    }

    /// Adds a named value for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &impl serde::Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.0.more = Some(Box::new((name, value))),
            Err(error) => tracing::error!(%error, "{name} cannot be told with a refusal"),
        }
        self
    }
}

impl<E: Problem> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(Failure::of(&error))
    }
}

impl From<PageError> for ApiError {
    fn from(error: PageError) -> Self {
        Self(error.0)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Failure { kind, code, detail, fields, reference, more, inside } = self.0;
        let mut body = serde_json::json!({
            "type": format!("urn:hq:{code}"),
            "title": kind.title(),
            "status": kind.status(),
            "detail": detail,
            "code": code,
        });
        if let Some((name, value)) = more.map(|more| *more) {
            body[name] = value;
        }
        if !fields.is_empty() {
            body["errors"] = serde_json::json!(fields);
        }
        if let Some(reference) = reference {
            body["instance"] = serde_json::json!(reference);
        }
        let status = StatusCode::from_u16(kind.status()).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string())
            .into_response();
        if matches!(kind, ProblemKind::Limited | ProblemKind::Unavailable) {
            let headers = response.headers_mut();
            headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("2"));
        }
        if kind == ProblemKind::Unauthorized {
            // RFC 9110, section 15.5.2.
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(inside) = inside {
            response.extensions_mut().insert(*inside);
        }
        response
    }
}
