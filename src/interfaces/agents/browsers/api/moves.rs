//! Navigation endpoints: open an address, back, forward, reload. `act` does the same.

use schemars::JsonSchema;
use serde::Deserialize;

use app::Ws;
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::acts::{ActView, ONCE, TabBody, act};
use super::body::{ActBody, Kind};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/agents/{agent}/browser/navigate",
            navigate.needs(Can::Browser).doc(|| {
                Doc::new("Go to an address in a tab")
                    .body::<GoBody>()
                    .no_key(ONCE)
                    .returns::<ActView>()
            }),
        )
        .post(
            "/agents/{agent}/browser/back",
            back.needs(Can::Browser)
                .doc(|| Doc::new("Go back").body::<TabBody>().no_key(ONCE).returns::<ActView>()),
        )
        .post(
            "/agents/{agent}/browser/forward",
            forward
                .needs(Can::Browser)
                .doc(|| Doc::new("Go forward").body::<TabBody>().no_key(ONCE).returns::<ActView>()),
        )
        .post(
            "/agents/{agent}/browser/reload",
            reload.needs(Can::Browser).doc(|| {
                Doc::new("Reload a page").body::<TabBody>().no_key(ONCE).returns::<ActView>()
            }),
        )
}

/// Where a tab goes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BrowserGoes")]
struct GoBody {
    /// The address.
    url: String,
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
}

async fn navigate(
    ws: Ws,
    who: Person,
    name: Path<String>,
    Json(GoBody { url, tab }): Json<GoBody>,
) -> Result<Json<ActView>, ApiError> {
    act(ws, who, name, Json(ActBody::moving(Kind::Navigate, tab, Some(url)))).await
}

async fn back(
    ws: Ws,
    who: Person,
    name: Path<String>,
    Json(TabBody { tab }): Json<TabBody>,
) -> Result<Json<ActView>, ApiError> {
    act(ws, who, name, Json(ActBody::moving(Kind::Back, tab, None))).await
}

async fn forward(
    ws: Ws,
    who: Person,
    name: Path<String>,
    Json(TabBody { tab }): Json<TabBody>,
) -> Result<Json<ActView>, ApiError> {
    act(ws, who, name, Json(ActBody::moving(Kind::Forward, tab, None))).await
}

async fn reload(
    ws: Ws,
    who: Person,
    name: Path<String>,
    Json(TabBody { tab }): Json<TabBody>,
) -> Result<Json<ActView>, ApiError> {
    act(ws, who, name, Json(ActBody::moving(Kind::Reload, tab, None))).await
}
