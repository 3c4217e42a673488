//! Creating and revoking API tokens. The only place that compares a token's scopes with its creator's rights.

use app::{App, Who, Ws};
use features::workspace::queries as workspace;
use kernel::{Role, TokenId};
use store::ReadExt;
use web::idempotency::Once;
use web::session::Person;

use super::session::Rights;
use features::users::model::ApiToken;
use features::users::rules::{self, NewToken, UsersError};

/// Creates a token for this person, with at most the person's own rights. A repeated submission returns the first
/// token; the caller detects by [`ApiToken::public`] that its secret is another one.
///
/// # Errors
/// A scope exceeds the person's rights, or a field is invalid.
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

/// Revokes another member's token in this workspace. Only an owner may revoke an owner's token.
///
/// # Errors
/// The token does not exist, or belongs to an owner.
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
