//! The API of when an agent starts work, and how much.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::queries as agents;
use features::inbox::queries::pace::{self, PER_HOUR};
use features::inbox::rules;
use features::inbox::rules::pace::{PaceRequest, QuietRequest};
use kernel::{AgentId, Can};
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/pace",
            show.needs(Can::Read).doc(|| {
                Doc::new(
                    "An agent's working hours and hourly \
                    limit",
                )
                .returns::<PaceView>()
            }),
        )
        .put(
            "/agents/{agent}/pace",
            set.needs(Can::Agents).doc(|| {
                Doc::new("Set both; omitted values use the default")
                    .body::<PaceBody>()
                    .returns::<PaceView>()
            }),
        )
}

/// Hours in which nothing is begun that can wait.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuietHours {
    /// Days on which they begin, 1 for Monday to 7 for Sunday; none for every day.
    #[serde(default)]
    days: Vec<u8>,
    /// `22:00`
    from: String,
    /// `07:00`, which may be of the next day.
    until: String,
    /// Like `Europe/Berlin`; the workspace's if left out.
    #[serde(default)]
    timezone: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct PaceView {
    /// None: it begins at any hour.
    quiet_hours: Option<QuietHours>,
    /// How many items it begins within an hour at most.
    per_hour: u16,
    /// Until when quiet hours go on, if they do now.
    quiet_until: Option<String>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct PaceBody {
    /// Hours in which nothing is begun that can wait.
    quiet_hours: Option<QuietHours>,
    /// 1 to 1000; 30 if left out.
    per_hour: Option<u32>,
}

fn found(ws: &Ws, name: &str) -> Result<AgentId, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, name))?;
    agent.map(|agent| agent.id).ok_or_else(|| ApiError::not_found("This agent"))
}

fn view(ws: &Ws, agent: AgentId) -> Result<Json<PaceView>, ApiError> {
    let now = ws.app.clock.now();
    let (pace, until) = ws.read(|snap| {
        let pace = pace::of(snap, agent)?;
        let until = pace::quiet_until(snap, &pace, now)?;
        Ok::<_, ApiError>((pace, until))
    })?;
    let quiet_hours = pace.quiet.map(|quiet| {
        let (from, until) = quiet.hours.form_values();
        QuietHours { days: quiet.hours.days.numbers(), from, until, timezone: quiet.zone }
    });
    Ok(Json(PaceView {
        quiet_hours,
        per_hour: pace.per_hour.unwrap_or(PER_HOUR),
        quiet_until: until.map(|at| at.to_string()),
    }))
}

async fn show(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<PaceView>, ApiError> {
    let agent = found(&ws, &name)?;
    view(&ws, agent)
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<PaceBody>,
) -> Result<Json<PaceView>, ApiError> {
    let agent = found(&ws, &name)?;
    let quiet = body.quiet_hours.map(|hours| QuietRequest {
        days: hours.days,
        from: hours.from,
        until: hours.until,
        zone: hours.timezone.unwrap_or_default(),
    });
    let wish = PaceRequest { quiet, per_hour: body.per_hour };
    ws.write(&who, once.run(move |tx| rules::pace::set(tx, agent, &wish))).await?;
    view(&ws, agent)
}
