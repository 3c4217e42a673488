//! Extractor for handlers below an agent: the caller, and the agent in the path.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use app::Ws;
use features::agents::editing::Hand;
use features::agents::model::Agent;
use store::{Snap, StoreError};
use web::error::{Failure, PageError};
use web::extract::Path;
use web::session::Person;

/// An error type that can report an unknown agent, for pages or for the API.
pub(super) trait Finds:
    From<StoreError> + From<PageError> + IntoResponse + Send + 'static
{
    /// The agent with this name.
    fn find(snap: &Snap<'_>, name: &str) -> Result<Agent, Self>;
}

/// The caller, and the agent in the first path parameter.
pub(super) struct At<E> {
    pub(super) ws: Ws,
    pub(super) who: Person,
    pub(super) agent: Agent,
    door: PhantomData<fn() -> E>,
}

impl<E> At<E> {
    /// Access of this person to the agent's files.
    pub(super) fn hand(&self) -> Hand<'_> {
        Hand { ws: &self.ws, agent: &self.agent, who: &self.who }
    }
}

impl<S: Send + Sync, E: Finds> FromRequestParts<S> for At<E> {
    type Rejection = E;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E> {
        let ws = Ws::from_request_parts(parts, state).await.map_err(|_| {
            PageError(Failure::internal("an agent was asked for on a route without a workspace"))
        })?;
        let who = Person::from_request_parts(parts, state).await?;
        let Path(name) = Path::<String>::from_request_parts(parts, state).await?;
        let agent = ws.read(|snap| E::find(snap, &name))?;
        Ok(Self { ws, who, agent, door: PhantomData })
    }
}
