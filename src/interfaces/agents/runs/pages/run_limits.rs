//! Run limits in the workspace's and an agent's settings.

use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::ReachOf;
use features::runs::model::RunLimits;
use features::runs::rules::{self, RunError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::check_rev;
use web::hx::Hx;
use web::session::Person;

use super::chat::find;
use super::limits::{numbers, saved};

/// The form; empty fields take the inherited value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunLimitsForm {
    calls: String,
    tool_calls: String,
    working_minutes: String,
    rev: String,
}

impl RunLimitsForm {
    fn limits(&self, of: ReachOf) -> Result<RunLimits, RunError> {
        let values = [&self.calls, &self.tool_calls, &self.working_minutes];
        Ok(RunLimits::of_values(of, numbers(RunLimits::BOUNDS, values)?))
    }
}

async fn choose(
    (app, ws, who, hx): (&App, &Ws, &Person, &Hx),
    of: ReachOf,
    form: RunLimitsForm,
    back: &str,
) -> Result<Response, PageError> {
    let done = match form.limits(of) {
        Ok(limits) => {
            ws.write(who, move |tx| -> Result<_, RunError> {
                check_rev::<RunLimits>(tx, of, &form.rev)?;
                rules::run_limits::set(tx, limits)
            })
            .await
        }
        Err(error) => Err(error),
    };
    saved((app, ws, hx), done, back)
}

/// `POST /settings/limits`
pub(super) async fn of_workspace(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<RunLimitsForm>,
) -> Result<Response, PageError> {
    choose((&app, &ws, &who, &hx), ReachOf::Workspace, form, "settings/general").await
}

/// `POST /agents/{slug}/limits`
pub(super) async fn of_agent(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<RunLimitsForm>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let back = format!("agents/{slug}/settings");
    choose((&app, &ws, &who, &hx), ReachOf::Agent(agent.id), form, &back).await
}
