//! Who is asking. `features/users/session.rs` turns a cookie or token into these request
//! extensions; here are the extractors that handlers take.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::{App, Who, Ws};
use crate::kernel::{AccountId, Actor, Can, Cause, Role, Via};
use crate::web::error::{Failure, PageError};
use crate::web::shell::Shell;

/// What the sender of a request may do: a set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u16);

impl Access {
    /// Exactly these.
    #[must_use]
    pub fn of(all: &[Can]) -> Self {
        Self(all.iter().fold(0, |set, can| set | (1 << *can as u16)))
    }

    /// What both allow: a token never allows more than its owner may.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether this is allowed.
    #[must_use]
    pub fn may(self, can: Can) -> bool {
        can == Can::Open || self.0 & (1 << can as u16) != 0
    }
}

/// The id of a request, also sent back as `X-Request-Id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub [u8; 16]);

/// The person who sends a request, as a member of the workspace that it names.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account.
    pub account: AccountId,
    /// The name for others.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// What this person is in the workspace.
    pub role: Role,
    /// The way in.
    pub via: Via,
    /// The request.
    pub request: RequestId,
    /// What this request may do.
    pub access: Access,
    /// IANA name of the person's or the workspace's time zone.
    pub zone: String,
}

impl Who for Person {
    fn actor(&self) -> Actor {
        Actor::Person { account: self.account, via: self.via }
    }

    fn cause(&self) -> Cause {
        Cause::Request(self.request.0)
    }
}

/// Taken from the request's extensions: a missing one is a mistake in the router.
fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, PageError> {
    parts.extensions.get::<T>().cloned().ok_or_else(|| {
        PageError(Failure::internal(format!(
            "{} was asked for on a route that has none",
            std::any::type_name::<T>()
        )))
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ws {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

impl FromRequestParts<App> for App {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(app.clone())
    }
}

/// Makes the shell of a page; `server` puts one into each request.
#[derive(Clone)]
pub struct ShellMaker(pub std::sync::Arc<ShellFn>);

/// Who and where to shell.
pub type ShellFn = dyn Fn(&Ws, &Person, &Parts) -> Result<Shell, PageError> + Send + Sync;

impl<S: Send + Sync> FromRequestParts<S> for Shell {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let maker: ShellMaker = extension(parts)?;
        let (ws, who) = (extension::<Ws>(parts)?, extension::<Person>(parts)?);
        (maker.0)(&ws, &who, parts)
    }
}
