//! What the machine's owner does with accounts, over the socket or with the program stopped.

use serde::{Deserialize, Serialize};

use crate::local::local_actor;
use app::App;
use features::users;
use features::users::model::Account;
use features::users::rules::UsersError;
use features::workspace::queries;
use kernel::{AccountId, Actor, Can, Cause, Role, Timestamp};
use store::StoreError;
use web::error::{ApiError, PageError};
use web::extract::Json;
use web::routes::{Needs, Routes};
use web::session::Peer;

use super::accounts;

/// Routes below `/local`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/accounts", show.needs(Can::Local)).post("/accounts", act.needs(Can::Local))
}

/// An account in the list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub id: AccountId,
    /// The address.
    pub email: String,
    pub name: String,
    /// Since when it is disabled.
    pub disabled_at: Option<Timestamp>,
    /// Where the person belongs.
    pub places: Vec<PlaceLine>,
}

/// A workspace of somebody.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlaceLine {
    pub slug: String,
    /// What the person is there.
    pub role: Role,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum PeopleRequest {
    /// Close it.
    Disable { email: String },
    /// Open it again.
    Enable { email: String },
    /// Remove one that belongs to no workspace.
    Remove { email: String },
}

fn line(app: &App, account: Account) -> Result<Line, StoreError> {
    let places = queries::places(app, account.id)?.into_iter();
    let place =
        |one: queries::PlaceOf| PlaceLine { slug: one.ws.slug.clone(), role: one.member.role };
    let Account { id, email, name, disabled_at, .. } = account;
    Ok(Line { id, email, name, disabled_at, places: places.map(place).collect() })
}

/// All accounts, oldest first.
pub fn lines(app: &App) -> Result<Vec<Line>, StoreError> {
    let all = app.system.read(|snap| users::queries::accounts(snap))?;
    all.into_iter().map(|account| line(app, account)).collect()
}

/// Does it, and says how the account is now.
///
/// # Errors
/// When it is refused.
pub async fn carry_out(app: &App, by: Actor, wish: &PeopleRequest) -> Result<Line, PageError> {
    let (email, open) = match wish {
        PeopleRequest::Disable { email } | PeopleRequest::Remove { email } => (email, false),
        PeopleRequest::Enable { email } => (email, true),
    };
    let known = app.system.read(|snap| users::queries::by_email(snap, email))?;
    let known = known.ok_or_else(|| UsersError::NoAccount(email.clone()))?;
    if matches!(wish, PeopleRequest::Remove { .. }) {
        let was = line(app, known.clone())?;
        accounts::remove(app, (by, Cause::Setup), &known).await?;
        return Ok(was);
    }
    let now = accounts::carry_out(app, (by, Cause::Setup), known.id, open).await?;
    Ok(line(app, now)?)
}

async fn show(app: App) -> Result<Json<Vec<Line>>, ApiError> {
    Ok(Json(lines(&app)?))
}

async fn act(
    app: App,
    peer: Peer,
    Json(wish): Json<PeopleRequest>,
) -> Result<Json<Line>, ApiError> {
    let by = local_actor(&app, peer)?;
    Ok(Json(carry_out(&app, by, &wish).await?))
}
