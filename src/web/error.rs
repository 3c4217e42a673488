//! Errors at the edge: `PageError` becomes a page or panel, `ApiError` problem+json.
//!
//! Both take any [`Problem`] by `?`. A page error travels as a [`Failure`] in the answer's
//! extensions; the layer in `server/router.rs` draws it, because only there it is known whether
//! the person is signed in and whether htmx asked.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use kernel::{Can, FieldError, Problem, ProblemKind};

/// What went wrong, without its type.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: ProblemKind,
    /// Stable name.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
    /// The fields that were refused.
    pub fields: Vec<FieldError>,
    /// Shown in place of the detail when it is our fault; the log has the rest.
    pub reference: Option<String>,
    /// What a program needs to go on, with its name.
    pub more: Option<Box<(&'static str, serde_json::Value)>>,
    /// What really happened, when it is our fault. Boxed: an error that is seldom shall not be long.
    inside: Option<Box<Inside>>,
}

/// What really happened, beside an answer that names only a reference: for whoever runs the machine.
#[derive(Clone, Debug)]
pub struct Inside(pub String);

impl Failure {
    /// From any problem.
    pub fn of(problem: &dyn Problem) -> Self {
        if problem.kind() == ProblemKind::Internal {
            let mut chain = problem.to_string();
            let mut source = problem.source();
            while let Some(next) = source {
                // Most say what they rest on themselves.
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

    /// Our fault: logged once, here, under a reference that the person can name.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        let mut bytes = [0; 4];
        // ok: without randomness the reference is zeros and the log line is still there.
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

    /// A failure without a type of its own.
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

    /// The status of the answer.
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
        // No scope of a token has these: who can sign in has them, or asks who has.
        Can::Account | Can::Own => format!(
            "This needs the right to \"{}\", which no token has: sign in to HQ in a browser{}.",
            can.label(),
            if can == Can::Own { " as an owner" } else { "" }
        ),
        // Also said to an owner whose token has fewer rights.
        _ => format!(
            "This needs the right to \"{}\". A token has it as one of its scopes; a person gets it from an owner or admin.",
            can.label()
        ),
    };
    Failure::new(ProblemKind::Forbidden, "forbidden", detail)
}

fn not_signed_in() -> Failure {
    Failure::new(ProblemKind::Unauthorized, "unauthorized", "Sign in, or send a token.")
}

/// An error of a page handler.
#[derive(Debug)]
pub struct PageError(pub Failure);

impl PageError {
    /// Not there, or not for this person.
    pub fn not_found(what: &str) -> Self {
        Self(Failure::new(ProblemKind::NotFound, "not_found", format!("{what} was not found.")))
    }

    /// Signed in, but not allowed.
    #[must_use]
    pub fn forbidden(can: Can) -> Self {
        Self(not_allowed(can))
    }

    /// Nobody is signed in.
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
    /// Not there, or not for this person.
    pub fn not_found(what: &str) -> Self {
        Self(PageError::not_found(what).0)
    }

    /// Known, but not allowed.
    #[must_use]
    pub fn forbidden(can: Can) -> Self {
        Self(not_allowed(can))
    }

    /// Nobody is known.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self(not_signed_in())
    }

    /// A refused input without a feature's error type.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut failure = Failure::new(ProblemKind::Invalid, "invalid", message.clone());
        failure.fields.push(FieldError::new(field, message));
        Self(failure)
    }

    /// With what a program needs to go on.
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
            headers.entry(RETRY_AFTER).or_insert(axum::http::HeaderValue::from_static("2"));
        }
        if let Some(inside) = inside {
            response.extensions_mut().insert(*inside);
        }
        response
    }
}
