//! `/api/v1/knowledge/suggestions`: suggestions of agents for shared items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{Can, RunId, Timestamp};
use web::error::ApiError;
use web::extract::{Json, Path};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::items::{Whole, whole_of};
use crate::error::KnowledgeError;
use crate::model::{KnowledgeId, KnowledgeSuggestionId};
use crate::rules;
use crate::suggested::{self, Shown};

const ONCE: &str = "a suggestion can be decided only once";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/knowledge/suggestions",
            list.needs(Can::Read).doc(|| {
                Doc::new("Changes suggested by agents, newest first").returns::<Suggestions>()
            }),
        )
        .post(
            "/knowledge/suggestions/{id}/take",
            take.needs(Can::Write).doc(|| {
                Doc::new(
                    "Accept a suggested change, merged with later changes. 409 if the same lines \
                        have changed",
                )
                .body::<TakeBody>()
                .returns::<Whole>()
                .no_key(ONCE)
            }),
        )
        .post(
            "/knowledge/suggestions/{id}/dismiss",
            dismiss
                .needs(Can::Write)
                .doc(|| Doc::new("Dismiss a suggested change").returns::<Whole>().no_key(ONCE)),
        )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnowledgeSuggestions")]
struct Suggestions {
    items: Vec<SuggestionView>,
    /// How many are not in the answer.
    more: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnowledgeSuggestion")]
struct SuggestionView {
    id: KnowledgeSuggestionId,
    /// The item.
    item: KnowledgeId,
    /// What it is called.
    title: String,
    /// What it should be called.
    new_title: String,
    /// The tags that it should have; nothing when they stay.
    new_tags: Option<Vec<String>>,
    /// What it says; nothing where the words stay.
    now: Option<String>,
    /// What it would say.
    text: Option<String>,
    /// Whether somebody has changed the same lines since, so that it cannot be taken over.
    clash: bool,
    reason: String,
    by: WhoView,
    run: Option<RunId>,
    #[schemars(with = "String")]
    at: Timestamp,
    /// Goes with `take`: what is suggested now.
    rev: u64,
}

async fn list(ws: Ws) -> Result<Json<Suggestions>, ApiError> {
    let found = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let names = Names::read(snap)?;
                let (all, more) = suggested::all(&ws.blobs, snap)?;
                let items = all.into_iter().map(|one| view(&names, one)).collect();
                Ok::<_, KnowledgeError>(Suggestions { items, more })
            })
        })
        .await?;
    Ok(Json(found))
}

fn view(names: &Names, shown: Shown) -> SuggestionView {
    let Shown { one, rev, item, words, clash } = shown;
    let (now, text) = words.unzip();
    SuggestionView {
        id: one.id,
        item: item.id,
        title: item.title,
        new_title: one.title,
        new_tags: one.tags,
        now,
        text,
        clash,
        reason: one.reason,
        by: WhoView::actor(names, one.by),
        run: one.by.run(),
        at: one.created_at,
        rev,
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TakeSuggestion")]
struct TakeBody {
    /// The `rev` that somebody has looked at: nothing else is taken over.
    rev: Option<u64>,
}

async fn take(
    ws: Ws,
    who: Person,
    Path(id): Path<KnowledgeSuggestionId>,
    Json(body): Json<TakeBody>,
) -> Result<Json<Whole>, ApiError> {
    let one = suggested::take(&ws, &who, id, body.rev).await?;
    Ok(Json(whole_of(&ws, one.item).await?))
}

async fn dismiss(
    ws: Ws,
    who: Person,
    Path(id): Path<KnowledgeSuggestionId>,
) -> Result<Json<Whole>, ApiError> {
    let one = ws.write(&who, move |tx| rules::dismiss(tx, id)).await?;
    Ok(Json(whole_of(&ws, one.item).await?))
}
