//! Making a token for somebody: the one place that compares what it would allow with what they may.

use app::{App, Who, Ws};
use features::workspace::queries as workspace;
use kernel::{Role, TokenId};
use store::ReadExt;
use web::idempotency::Once;
use web::session::Person;

use super::session::Rights;
use features::users::model::ApiToken;
use features::users::rules::{self, NewToken, UsersError};

/// Makes a token for this person, who may not give more than they have. A form that is sent again gets the
/// one that it made: whoever issued another secret for it knows by [`ApiToken::public`].
///
/// # Errors
/// When a scope is more than the person's own rights, or a field is wrong.
pub async fn create(
    app: &App,
    who: &Person,
    rights: Rights,
    new: NewToken,
    once: Once,
) -> Result<ApiToken, UsersError> {
    for scope in &new.scopes {
        if !who.access.covers((rights.scope)(*scope)) {
            return Err(UsersError::MoreThanOwn(scope.label()));
        }
    }
    let write = once.run(move |tx| rules::create_token(tx, new));
    app.system.write(who.actor(), who.cause(), write).await
}

/// Withdraws a token of somebody else in this workspace; an admin leaves those of owners alone.
///
/// # Errors
/// When it is not there, or an owner's.
pub async fn withdraw(
    app: &App,
    ws: &Ws,
    who: &Person,
    id: TokenId,
) -> Result<ApiToken, UsersError> {
    let found = app.system.read(|snap| snap.get::<ApiToken>(id))?;
    let found = found.filter(|token| token.workspace == ws.id);
    let token = found.ok_or(UsersError::NotFound("token"))?;
    let owner = ws.read(|snap| workspace::member(snap, token.account))?;
    if who.role != Role::Owner && owner.is_some_and(|one| one.role == Role::Owner) {
        return Err(UsersError::OwnersToken);
    }
    let place = ws.id;
    app.system.write(who.actor(), who.cause(), move |tx| rules::withdraw_token(tx, place, id)).await
}
