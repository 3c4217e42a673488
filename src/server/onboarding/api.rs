//! `/api/v1/onboarding`: progress, purpose of the workspace, and finishing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::onboarding::model::{Onboarding, Step};
use features::onboarding::presets;
use features::onboarding::queries;
use features::onboarding::rules::OnboardingError;
use features::streams::model::Stream;
use kernel::{Can, StreamId, Timestamp};
use store::{ReadExt as _, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Patch};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::{owed, prepare};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/onboarding",
            show.needs(Can::Read).doc(|| Doc::new("Workspace set-up progress").returns::<View>()),
        )
        .patch(
            "/onboarding",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Set what the workspace is for, or end its set-up")
                    .no_key("a repeat says the same")
                    .body::<Body>()
                    .returns::<View>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct View {
    /// Whether steps are open.
    open: bool,
    /// The open step: work, machine, model or agent.
    step: Option<&'static str>,
    /// What the workspace is for.
    intent: Option<&'static str>,
    /// The streams that were made for it and are in use.
    streams: Vec<StreamView>,
    #[schemars(with = "Option<String>")]
    done_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct StreamView {
    #[schemars(with = "String")]
    id: StreamId,
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What the workspace is for: reach, outreach, run, hire, publish, research, organized or explore. Streams are
    /// made for it; what is there stays.
    intent: Option<String>,
    /// `true` ends the set-up for good.
    done: Option<bool>,
}

fn view(ws: &Ws) -> Result<View, ApiError> {
    Ok(ws.read(|snap| {
        let now = snap.get::<Onboarding>(())?;
        let open = queries::open(snap)?;
        let mut streams = Vec::new();
        for id in now.iter().flat_map(|one| &one.streams) {
            let stream = snap.get::<Stream>(*id)?.filter(|one| one.archived_at.is_none());
            streams.extend(stream.map(|one| StreamView { id: one.id, name: one.name }));
        }
        Ok::<_, OnboardingError>(View {
            open: open.is_some(),
            step: open.map(|one| one.step).map(Step::word),
            intent: now.as_ref().and_then(|one| one.intent).map(|one| presets::of(one).word()),
            streams,
            done_at: now.and_then(|one| one.done_at),
        })
    })?)
}

async fn show(ws: Ws) -> Result<Json<View>, ApiError> {
    view(&ws).map(Json)
}

async fn change(ws: Ws, who: Person, Patch(body): Patch<Body>) -> Result<Json<View>, ApiError> {
    let intent = match &body.intent {
        Some(word) => Some(presets::meant(word).ok_or(OnboardingError::NoIntent)?),
        None => None,
    };
    let change = move |tx: &mut WriteTx<'_>| {
        if let Some(intent) = intent {
            prepare::choose(tx, intent)?;
        }
        if body.done == Some(true) {
            owed::finish(tx)?;
        }
        Ok::<_, OnboardingError>(())
    };
    ws.write(&who, change).await?;
    view(&ws).map(Json)
}
