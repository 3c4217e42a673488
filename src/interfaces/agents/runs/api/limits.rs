//! Limits of sub-agents, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::SubagentLimits;
use features::runs::queries::limits as reading;
use features::runs::rules;
use kernel::Can;
use web::error::ApiError;
use web::extract::Json;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/subagent-limits",
            show.needs(Can::Read).doc(|| Doc::new("Sub-agent limits").returns::<LimitsOut>()),
        )
        .put(
            "/subagent-limits",
            set.needs(Can::Admin).doc(|| {
                Doc::new("Set them; they apply from the next sub-agent")
                    .body::<LimitsBody>()
                    .returns::<LimitsOut>()
            }),
        )
}

/// What bounds sub-agents.
#[derive(Serialize, JsonSchema)]
struct LimitsOut {
    /// How many runs there may be above one.
    depth: u8,
    /// How many one run may make.
    fan_out: u32,
    /// How many of one conversation may be at work at once.
    live: u32,
    /// How many may ever be made below one run.
    total: u32,
    /// For how many minutes one may work.
    minutes: u32,
}

/// A choice; what is left out is as usual.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitsBody {
    /// How many runs there may be above one, 1 to 5.
    #[serde(default)]
    depth: Option<u8>,
    /// How many one run may make, 1 to 100.
    #[serde(default)]
    fan_out: Option<u32>,
    /// How many of one conversation may be at work at once, 1 to 20.
    #[serde(default)]
    live: Option<u32>,
    /// How many may ever be made below one run, 1 to 100.
    #[serde(default)]
    total: Option<u32>,
    /// For how many minutes one may work, 1 to 1440.
    #[serde(default)]
    minutes: Option<u32>,
}

async fn show(ws: Ws, _: Person) -> Result<Json<LimitsOut>, ApiError> {
    let SubagentLimits { depth, fan_out, live, total, minutes } =
        ws.read(|snap| reading::of(snap))?;
    Ok(Json(LimitsOut { depth, fan_out, live, total, minutes }))
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<LimitsBody>,
) -> Result<Json<LimitsOut>, ApiError> {
    let usual = SubagentLimits::default();
    let limits = SubagentLimits {
        depth: body.depth.unwrap_or(usual.depth),
        fan_out: body.fan_out.unwrap_or(usual.fan_out),
        live: body.live.unwrap_or(usual.live),
        total: body.total.unwrap_or(usual.total),
        minutes: body.minutes.unwrap_or(usual.minutes),
    };
    ws.write(&who, once.run(move |tx| rules::limits::set(tx, limits))).await?;
    show(ws, who).await
}
