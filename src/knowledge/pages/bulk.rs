//! Bulk changes of items: the bar's choices, and the change, which is undone as one.

use app::{App, Ws};
use axum::response::{IntoResponse as _, Response};
use features::tasks::queries::view_context::ViewContext;
use serde::Deserialize;
use serde_json::Value;
use store::WriteTx;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::format;
use web::hx::{Ask, Hx};
use web::parts::{Choice, Face};
use web::session::Person;

use super::acts::{done, not_done};
use crate::error::KnowledgeError;
use crate::model::{KnowledgeId, Scope};
use crate::queries::Tree;
use crate::rules::{self, MOST_AT_ONCE, Patch};

pub(super) struct BulkBar {
    pub(super) url: String,
    pub(super) most: usize,
    pub(super) folders: Vec<Choice>,
    /// All agents, or none.
    pub(super) scopes: Vec<Choice>,
    /// Agents to select individually.
    pub(super) agents: Vec<(String, Face)>,
    /// Whether the list shows archived items, which can only be restored.
    pub(super) archived: bool,
}

impl BulkBar {
    pub(super) fn new(scene: &ViewContext, tree: &Tree, archived: bool) -> Self {
        let mut folders = vec![Choice::new(NO_FOLDER, "No folder", false)];
        folders.extend(tree.in_order().into_iter().map(|(folder, _)| {
            Choice::new(folder.id.to_string(), tree.path(Some(folder.id)).join(" / "), false)
        }));
        let scopes = Scope::ALL.iter().rev().filter(|scope| **scope != Scope::Agent);
        let agents = scene.people.agents();
        Self {
            url: scene.ws.url("knowledge/bulk"),
            most: MOST_AT_ONCE,
            folders,
            scopes: scopes.map(|one| Choice::new(one.word(), one.label(), false)).collect(),
            agents: agents
                .map(|one| (one.id.to_string(), Face::agent(&one.name, &one.emoji, &one.slug)))
                .collect(),
            archived,
        }
    }
}

/// Stands for no folder.
const NO_FOLDER: &str = "none";

/// The items, and one change for all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    /// Item ids, separated by commas.
    tasks: String,
    folder: Option<String>,
    tag: Option<String>,
    scope: Option<String>,
    agent: Option<String>,
    archived: Option<String>,
}

impl Sent {
    fn ids(&self) -> Result<Vec<KnowledgeId>, KnowledgeError> {
        let ids: Vec<KnowledgeId> =
            self.tasks.split(',').filter_map(|id| id.trim().parse().ok()).collect();
        match ids.len() {
            1..=MOST_AT_ONCE => Ok(ids),
            _ => Err(KnowledgeError::Refused(format!("choose 1 to {MOST_AT_ONCE} items"))),
        }
    }

    /// The change, and a tag to add.
    fn patch(&self) -> Result<(Patch, Option<String>), KnowledgeError> {
        let gone = |what: &str| KnowledgeError::Refused(format!("this {what} no longer exists"));
        let mut patch = Patch::default();
        if let Some(folder) = self.folder.as_deref() {
            patch.folder = Some(match folder {
                NO_FOLDER => None,
                id => Some(id.parse().map_err(|_| gone("folder"))?),
            });
        }
        if let Some(agent) = self.agent.as_deref() {
            patch.scope = Some(Scope::Agent);
            patch.agents = Some(vec![agent.parse().map_err(|_| gone("agent"))?]);
        } else if let Some(scope) = self.scope.as_deref() {
            patch.scope = Some(scope.parse().map_err(|_| gone("choice"))?);
        }
        patch.archived = self.archived.as_deref().map(|word| word == "yes");
        let tag = self.tag.as_deref().map(str::trim).filter(|tag| !tag.is_empty());
        Ok((patch, tag.map(str::to_owned)))
    }
}

/// Changes several items.
pub(super) async fn bulk(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let list = ws.url("knowledge");
    let changed = match sent.ids().and_then(|ids| Ok((ids, sent.patch()?))) {
        Ok((ids, (patch, tag))) => {
            let change = move |tx: &mut WriteTx<'_>| {
                let count = rules::change_all(tx, ids, (&patch, tag.as_deref()))?;
                // ok: without a change there is nothing to undo.
                Ok::<_, KnowledgeError>((count, tx.seq().ok()))
            };
            ws.write(&who, change).await
        }
        Err(error) => Err(error),
    };
    let (count, entry) = match changed {
        Ok(changed) => changed,
        // The page stays, and the error becomes a notice.
        Err(error) if hx.is_partial() => return Err(error.into()),
        Err(error) => return not_done(&app, &hx, error, &list),
    };
    let verb = match sent.archived.as_deref() {
        Some("yes") => "Archived",
        Some(_) => "Restored",
        None => "Changed",
    };
    let message =
        done(&ws, format!("{verb} {}", format::count(count as u64, "item", "items")), entry);
    if hx.is_partial() {
        let ask = Ask::new().event("hq:chosen", Value::Null);
        let ask = match message.undo.as_str() {
            "" => ask.toast(message.tone, &message.text),
            undo => ask.toast_with_undo(&message.text, undo),
        };
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, message, hx.go_to(&list)))
}
