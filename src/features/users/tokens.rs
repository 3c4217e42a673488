//! Making a token for somebody: the one place that compares what it would allow with what they may.

use crate::app::{App, Who};
use crate::web::session::Person;

use super::model::ApiToken;
use super::rules::{self, NewToken, UsersError};
use super::session::Rights;

/// Makes a token for this person, who may not give more than they have.
///
/// # Errors
/// When a scope is more than the person's own rights, or a field is wrong.
pub async fn create(
    app: &App,
    who: &Person,
    rights: Rights,
    new: NewToken,
) -> Result<ApiToken, UsersError> {
    for scope in &new.scopes {
        if !who.access.covers((rights.scope)(*scope)) {
            return Err(UsersError::MoreThanOwn(scope.label()));
        }
    }
    app.system.write(who.actor(), who.cause(), move |tx| rules::create_token(tx, new)).await
}
