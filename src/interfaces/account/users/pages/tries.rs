//! Limits on sign-in attempts: by address and account, or by device for a known device. Attempts of strangers do not
//! count against a known device.

use std::time::Duration;

use axum::http::header::HeaderMap;

use app::App;
use app::limits::Patience;
use kernel::AccountId;
use store::StoreError;
use web::session::Peer;

use super::super::session;
use super::{TRIES, WRONG, waiting};
use features::users::queries;
use features::users::rules::UsersError;

pub struct Tries {
    /// The client's address.
    from: String,
    /// The account with the public part of the device cookie, if the device is known for that account.
    device: Option<String>,
}

impl Tries {
    /// The limits for an attempt; `account` is the targeted account, if it exists.
    pub fn of(
        app: &App,
        headers: &HeaderMap,
        peer: Peer,
        account: Option<AccountId>,
    ) -> Result<Self, StoreError> {
        let token = session::device_token(&app.config, headers);
        let device = match account.zip(token) {
            Some((account, token)) => {
                let now = app.clock.now();
                let is_known =
                    app.system.read(|snap| queries::knows_device(snap, account, &token, now))?;
                is_known.then(|| format!("{account}/{}", token.id()))
            }
            None => None,
        };
        Ok(Self { from: peer.key(), device })
    }

    /// The address, for the log.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Counts a password attempt until [`Tries::right_password`] takes it back.
    ///
    /// # Errors
    /// Too many attempts; states the waiting time.
    pub fn password(&self, app: &App, email: &str) -> Result<(), UsersError> {
        let now = app.clock.now_ms();
        if let Some(device) = &self.device {
            return strike(app, "sign-in-device", device, WRONG);
        }
        app.limiter.take("sign-in", &self.from, TRIES, now).map_err(too_many)?;
        strike(app, "sign-in", email, WRONG)
    }

    pub fn right_password(&self, app: &App, email: &str) {
        match &self.device {
            Some(device) => app.limiter.forgive("sign-in-device", device),
            None => {
                app.limiter.forgive("sign-in", email);
                app.limiter.give_back("sign-in", &self.from, TRIES);
            }
        }
    }

    /// Counts an attempt of a second factor by address. A known device only has the limit of [`Tries::factor`].
    ///
    /// # Errors
    /// Too many attempts; states the waiting time.
    pub fn code(&self, app: &App) -> Result<(), UsersError> {
        if self.device.is_some() {
            return Ok(());
        }
        let taken = app.limiter.take("sign-in", &self.from, TRIES, app.clock.now_ms());
        taken.map(drop).map_err(too_many)
    }

    /// Takes back a correct second factor.
    pub fn right_code(&self, app: &App) {
        if self.device.is_none() {
            app.limiter.give_back("sign-in", &self.from, TRIES);
        }
    }

    /// The key under which wrong codes of an account count.
    pub fn factor(&self, account: AccountId) -> String {
        self.device.clone().unwrap_or_else(|| account.to_string())
    }
}

fn strike(app: &App, what: &'static str, who: &str, patience: Patience) -> Result<(), UsersError> {
    app.limiter.strike(what, who, patience, app.clock.now_ms()).map_err(too_many)
}

fn too_many(wait: Duration) -> UsersError {
    UsersError::TooMany(waiting(wait))
}
