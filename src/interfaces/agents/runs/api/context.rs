//! Content of a run's context, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use app::Ws;
use features::runs::queries::makeup;
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::find;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/runs/{name}/context",
        show.needs(Can::Read).doc(|| {
            Doc::new("Context of a run's last request, part by part").returns::<ContextOut>()
        }),
    )
}

/// A part of the last request.
#[derive(Serialize, JsonSchema)]
struct PartOut {
    /// What it is: `rules`, `files`, `memory`, `tools`, `summary`, `messages`, `notices`, `answers`,
    /// `thinking`, `calls`, `results` or `attached`.
    kind: &'static str,
    /// What it is called: a file by its name.
    name: String,
    /// About how many tokens it took.
    tokens: u64,
    /// Whether it stays the same from call to call, so that a provider may keep it.
    stable: bool,
}

/// What filled a context.
#[derive(Serialize, JsonSchema)]
struct ContextOut {
    /// The run.
    run: String,
    /// The model that was asked; none when none was asked yet.
    model: Option<String>,
    /// How many tokens fit it, if that is known.
    window: Option<u64>,
    /// How many the last request had.
    tokens: u64,
    /// Whether the provider counted them; else they are estimated.
    counted: bool,
    /// The parts, in the order in which they are sent.
    parts: Vec<PartOut>,
}

async fn show(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Json<ContextOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    let name = run.name();
    let makeup = ws.read_blocking(move |ws| ws.read(|snap| makeup::of_run(snap, &run))).await?;
    let Some(makeup) = makeup else {
        let (model, window, parts) = (None, None, Vec::new());
        let empty = ContextOut { run: name, model, window, tokens: 0, counted: false, parts };
        return Ok(Json(empty));
    };
    let part = |share: makeup::Share| PartOut {
        kind: share.group.word(),
        name: share.name,
        tokens: share.tokens,
        stable: share.stable,
    };
    Ok(Json(ContextOut {
        run: name,
        model: Some(makeup.model),
        window: makeup.window,
        tokens: makeup.tokens,
        counted: makeup.counted,
        parts: makeup.shares.into_iter().map(part).collect(),
    }))
}
