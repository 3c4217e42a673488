//! The authenticated caller, independent of the workspace.

use app::App;
use axum::http::HeaderMap;
use kernel::{Actor, SignInId, Timestamp, TokenId, Via, WorkspaceId};
use web::appearance::Viewer;
use web::error::PageError;
use web::session::Access;
use web::shell::Theme;

use features::users::model::Account;
use features::users::model::appearance::Appearance;

/// The credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A browser's cookie.
    SignIn(SignInId),
    /// An API token.
    Token(TokenId),
    Socket(u32),
}

/// The authenticated caller, independent of the workspace.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: Account,
    pub key: Key,
    /// How the person wants pages to look, if they have chosen it.
    pub appearance: Option<Appearance>,
    /// For tokens: their workspace and what they allow.
    pub(super) bound: Option<(WorkspaceId, Access)>,
    /// For tokens: time of creation.
    pub(super) made: Option<Timestamp>,
    /// For browsers: time of the sign-in.
    pub(super) signed_in: Option<Timestamp>,
}

impl Caller {
    /// The sign-in, if the caller is a browser.
    #[must_use]
    pub fn sign_in(&self) -> Option<SignInId> {
        match self.key {
            Key::SignIn(id) => Some(id),
            _ => None,
        }
    }

    /// Until when the last re-authentication is valid. `None` for a browser that must re-authenticate; other callers
    /// never have to.
    #[must_use]
    pub fn proved_until(&self, app: &App) -> Option<Timestamp> {
        match self.key {
            Key::SignIn(id) => app.proofs.until(id, self.signed_in?, app.clock.now()),
            _ => Some(Timestamp::MAX),
        }
    }

    /// How pages look in this browser.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Viewer {
        match self.appearance {
            Some(chosen) => Viewer {
                theme: Theme::from_word(chosen.theme.word()),
                density: chosen.density,
                first_day: chosen.first_day,
                forms: chosen.forms(),
            },
            None => Viewer { theme: Theme::from_headers(headers), ..Viewer::default() },
        }
    }

    pub(super) fn via(&self) -> Via {
        match self.key {
            Key::SignIn(id) => Via::SignIn(id),
            Key::Token(id) => Via::Token(id),
            Key::Socket(uid) => Via::Socket { uid },
        }
    }

    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Person { account: self.account.id, via: self.via() }
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = PageError;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, PageError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(PageError::unauthorized)
    }
}
