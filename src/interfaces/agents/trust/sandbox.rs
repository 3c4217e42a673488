//! Requested and actual restrictions of the sandbox for an agent's programs, below its behaviour page and over the API.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::agents::queries as agents;
use features::trust::jail::{self, Explained};
use kernel::Can;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path};
use web::html;
use web::hx::Hx;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Shell;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.get("/agents/{slug}/behaviour/sandbox", show.needs(Can::Read))
}

pub(super) fn api(routes: Routes) -> Routes {
    routes.get(
        "/agents/{agent}/sandbox",
        explain.needs(Can::Read).doc(|| {
            Doc::new("Sandbox limits of an agent's programs and its self-test")
                .returns::<Explained>()
        }),
    )
}

#[derive(Template)]
#[template(path = "trust/sandbox.html")]
struct SandboxPage {
    shell: Shell,
    name: String,
    back: String,
    told: Explained,
}

web::region!(SandboxPage, as_found, SandboxFound, "trust/sandbox-found.html");

impl SandboxPage {
    /// The tone of the actual protection.
    fn tone(&self) -> &'static str {
        match self.told.overall {
            "strong" => "ok",
            "coarse" => "warn",
            _ => "danger",
        }
    }
}

/// `GET /agents/{slug}/behaviour/sandbox`
async fn show(
    ws: Ws,
    _: Person,
    hx: Hx,
    shell: Shell,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let back = ws.url(&format!("agents/{}/behaviour", agent.slug));
    let name = agent.name.clone();
    let explanation = ws.read_blocking(move |ws| jail::explain(ws, &agent)).await?;
    let page = SandboxPage { shell, name, back, told: explanation };
    match hx.is_partial() {
        true => html::fragment(&page.as_found()),
        false => html::page(&page),
    }
}

async fn explain(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<Explained>, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, &name))?;
    let agent = agent.ok_or_else(|| ApiError::not_found("This agent"))?;
    Ok(Json(ws.read_blocking(move |ws| jail::explain(ws, &agent)).await?))
}
