//! Account commands of the machine's owner, over the socket or with the process stopped.

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

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/accounts", show.needs(Can::Local)).post("/accounts", act.needs(Can::Local))
}

/// An account in the list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub id: AccountId,
    pub email: String,
    pub name: String,
    /// When the account was disabled.
    pub disabled_at: Option<Timestamp>,
    /// Workspaces of the person.
    pub places: Vec<PlaceLine>,
}

/// A workspace of an account.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlaceLine {
    pub slug: String,
    pub role: Role,
}

/// An account command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum PeopleRequest {
    /// Prevents the person from signing in.
    Disable { email: String },
    /// Allows the person to sign in again.
    Enable { email: String },
    /// Removes an account that belongs to no workspace.
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

/// Executes a command and returns the new state of the account.
///
/// # Errors
/// When the rules reject the command.
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
