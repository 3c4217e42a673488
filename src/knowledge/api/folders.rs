//! `/api/v1/knowledge/folders`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use kernel::Can;
use store::{Read, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Patch, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::error::KnowledgeError;
use crate::model::{Folder, FolderId};
use crate::queries::{self, Tree};
use crate::rules::{self, FolderPatch};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/knowledge/folders",
            list.needs(Can::Read)
                .doc(|| Doc::new("Knowledge folders in tree order").returns::<Folders>()),
        )
        .post(
            "/knowledge/folders",
            make.needs(Can::Write).doc(|| {
                Doc::new("Create a folder").body::<FolderBody>().returns::<FolderView>().status(201)
            }),
        )
        .get(
            "/knowledge/folders/{id}",
            show.needs(Can::Read)
                .doc(|| Doc::new("A folder, by ID, name or path").returns::<FolderView>()),
        )
        .patch(
            "/knowledge/folders/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change a folder, by ID, name or path")
                    .body::<FolderBody>()
                    .returns::<FolderView>()
            }),
        )
        .delete(
            "/knowledge/folders/{id}",
            remove
                .needs(Can::Write)
                .doc(|| Doc::new("Delete a folder. Its items move up a level").status(204)),
        )
}

#[derive(Serialize, JsonSchema)]
struct Folders {
    items: Vec<FolderView>,
}

#[derive(Serialize, JsonSchema)]
struct FolderView {
    id: FolderId,
    name: String,
    icon: String,
    parent: Option<FolderId>,
    /// The names from the top, with `/` between them.
    path: String,
}

/// What a folder is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FolderBody {
    name: Option<String>,
    /// One emoji.
    icon: Option<String>,
    /// The folder above, by its id, name or path; null for the top.
    #[serde(default, deserialize_with = "web::extract::sent")]
    parent: Option<Option<String>>,
}

impl FolderBody {
    fn patch(self, read: &dyn Read) -> Result<FolderPatch, KnowledgeError> {
        let parent = match self.parent {
            None => None,
            Some(None) => Some(None),
            Some(Some(name)) => Some(Some(queries::folder(read, &name)?.id)),
        };
        Ok(FolderPatch { name: self.name, icon: self.icon, parent })
    }
}

fn view(tree: &Tree, folder: &Folder) -> FolderView {
    FolderView {
        id: folder.id,
        name: folder.name.clone(),
        icon: folder.icon.clone(),
        parent: folder.parent,
        path: tree.path(Some(folder.id)).join("/"),
    }
}

async fn list(ws: Ws) -> Result<Json<Folders>, ApiError> {
    let tree = ws.read(|snap| Tree::read(snap))?;
    let items = tree.in_order().into_iter().map(|(folder, _)| view(&tree, folder)).collect();
    Ok(Json(Folders { items }))
}

async fn show(ws: Ws, Path(name): Path<String>) -> Result<Json<FolderView>, ApiError> {
    let id = ws.read(|snap| queries::folder(snap, &name))?.id;
    Ok(Json(one(&ws, id)?))
}

async fn make(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<FolderBody>,
) -> Result<(StatusCode, Json<FolderView>), ApiError> {
    let patch = ws.read(|snap| body.patch(snap))?;
    let make =
        once.run(move |tx: &mut WriteTx<'_>| rules::make_folder(tx, patch).map(|one| one.id));
    let id = ws.write(&who, make).await?;
    Ok((StatusCode::CREATED, Json(one(&ws, id)?)))
}

async fn change(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Patch(body): Patch<FolderBody>,
) -> Result<Json<FolderView>, ApiError> {
    let (id, patch) = ws.read(|snap| {
        Ok::<_, KnowledgeError>((queries::folder(snap, &name)?.id, body.patch(snap)?))
    })?;
    ws.write(&who, move |tx| rules::change_folder(tx, id, patch)).await?;
    Ok(Json(one(&ws, id)?))
}

async fn remove(ws: Ws, who: Person, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::folder(snap, &name))?.id;
    ws.write(&who, move |tx| rules::remove_folder(tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn one(ws: &Ws, id: FolderId) -> Result<FolderView, KnowledgeError> {
    ws.read(|snap| Ok(view(&Tree::read(snap)?, &queries::folder_by_id(snap, id)?)))
}
