//! Actions on knowledge pages: edit, change readers, upload, archive, delete; folders.

use axum::Json;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use app::{App, Ws};
use features::tasks::queries::view_context::ViewContext;
use kernel::{AgentId, Problem as _, ProblemKind};
use store::{Read, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::file::{self as files, Show};
use web::form::check_rev;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload::{self, Arrived};
use web::{flash, path_words};

use super::show::{ItemForm, refused};
use crate::error::KnowledgeError;
use crate::links;
use crate::model::{FileBody, FolderId, Item, ItemKind, KnowledgeId, Text};
use crate::queries::{self, Tree};
use crate::reading;
use crate::rules::{self, FolderPatch, NewItem, Patch};
use crate::words::{self, Written};

/// Maximum number of files per upload.
const AT_ONCE: usize = 200;
/// Maximum number of completions.
const OFFERED: usize = 8;

/// A new page or skill.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct New {
    kind: String,
    title: String,
    folder: String,
}

/// Creates an empty page and redirects to it.
pub(super) async fn create(
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(new, once): FormOnce<New>,
) -> Result<Response, PageError> {
    let kind = new.kind.parse::<ItemKind>().unwrap_or(ItemKind::Page);
    // ok: a deleted folder means none.
    let folder: Option<FolderId> = new.folder.parse().ok();
    let item = NewItem {
        kind,
        title: new.title,
        text: Text::Inline(String::new()),
        links: Vec::new(),
        reason: String::new(),
        file: None,
        patch: Patch { folder: Some(folder), ..Patch::default() },
    };
    let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, item).map(|item| item.id));
    let id = ws.write(&who, make).await?;
    Ok(hx.go_to(&ws.url(&format!("knowledge/{id}?edit=yes"))))
}

/// The form of title and text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    title: Option<String>,
    text: Option<String>,
    title_base: Option<String>,
    text_base: Option<String>,
    reason: String,
}

/// Saves title and text.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<KnowledgeId>,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let form = ItemForm {
        title: sent.title.clone().unwrap_or_default(),
        text: sent.text.clone().unwrap_or_default(),
        text_base: sent.text_base.clone().unwrap_or_default(),
    };
    match written(&ws, &who, id, sent).await {
        Ok(()) => {
            let at = ws.url(&format!("knowledge/{id}"));
            Ok(flash::say(&app, Flash::ok("Saved"), hx.go_to(&at)))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Conflict) => {
            let page = ws.read_blocking(move |ws| {
                ws.read(|snap| {
                    let scene = ViewContext::new(ws, &who, snap)?;
                    let item = queries::item_by_id(snap, id)?;
                    refused(&scene, snap, shell, (item, &error, form))
                })
            });
            page.await
        }
        Err(error) => Err(error.into()),
    }
}

async fn written(ws: &Ws, who: &Person, id: KnowledgeId, sent: Sent) -> Result<(), KnowledgeError> {
    if let Some(text) = sent.text {
        let written = Written { text, base: sent.text_base, reason: sent.reason };
        words::save(ws, who, id, written, None).await?;
    }
    let (title, base) = (sent.title, sent.title_base);
    ws.write(who, move |tx| {
        let title = rules::title_over(tx, id, title, base)?;
        rules::change(tx, id, Patch { title, ..Patch::default() })
    })
    .await
    .map(drop)
}

/// The blocks of a text, for the editor.
#[derive(serde::Serialize)]
pub(super) struct Blocks {
    blocks: Vec<web::blocks::Editable>,
}

/// Splits a text into editor blocks.
pub(super) async fn parse(ws: Ws, text: String) -> Result<Json<Blocks>, PageError> {
    let cut = ws.read_blocking(move |_| Ok::<_, KnowledgeError>(web::blocks::editable(&text)));
    Ok(Json(Blocks { blocks: cut.await? }))
}

/// The beginning of a name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    q: String,
    /// The edited item, which is listed last.
    of: String,
}

/// A completion.
#[derive(serde::Serialize)]
pub(super) struct Offer {
    label: String,
    insert: String,
    /// Kind and location.
    kind: String,
}

/// Completions: items for `[[`, people and agents for `@`.
pub(super) async fn names(
    ws: Ws,
    who: Person,
    Query(params): Query<Named>,
) -> Result<Json<Vec<Offer>>, PageError> {
    let offers = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let text = params.q.to_lowercase();
                if let Some(prefix) = text.strip_prefix("[[") {
                    return offered(snap, prefix, &params.of);
                }
                let prefix = text.trim_start_matches('@');
                let scene = ViewContext::new(ws, &who, snap)?;
                let agent = |one: &features::agents::model::Agent| {
                    (one.slug.clone(), one.name.clone(), "Agent")
                };
                let people = scene.people.members_named().into_iter();
                let people = people.map(|(handle, name)| (handle, name, "Person"));
                let all = people.chain(scene.people.agents().map(agent));
                let fits = all.filter(|(handle, name, _)| {
                    name.to_lowercase().contains(prefix) || handle.contains(prefix)
                });
                let offer = |(handle, label, kind): (String, String, &'static str)| Offer {
                    insert: format!("@{handle}"),
                    label,
                    kind: kind.to_owned(),
                };
                Ok::<_, KnowledgeError>(fits.take(OFFERED).map(offer).collect())
            })
        })
        .await?;
    Ok(Json(offers))
}

/// Items whose title contains the text, those that begin with it first, the edited item last.
fn offered(read: &dyn Read, prefix: &str, own: &str) -> Result<Vec<Offer>, KnowledgeError> {
    let tree = Tree::read(read)?;
    let mut all = queries::items(read, false)?;
    all.retain(|item| item.title.to_lowercase().contains(prefix));
    all.sort_by_cached_key(|item| {
        (item.id.to_string() == own, !item.title.to_lowercase().starts_with(prefix))
    });
    let offer = |item: &Item| {
        let mut kind = item.kind.label().to_owned();
        for name in tree.path(item.folder) {
            kind.push_str(" / ");
            kind.push_str(&name);
        }
        let insert = links::leading_to(read, item)?;
        Ok::<_, KnowledgeError>(Offer { label: item.title.clone(), insert, kind })
    };
    all.iter().take(OFFERED).map(offer).collect()
}

/// Uploads a picture or another file into a page. The file belongs to this page only.
pub(super) async fn picture(
    app: App,
    ws: Ws,
    who: Person,
    Path(id): Path<KnowledgeId>,
    request: Request,
) -> Result<Json<serde_json::Value>, web::error::ApiError> {
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes();
    let arrived = upload::form(&ws, (&parts.headers, body), 1, limit).await?;
    let one = arrived.into_iter().next().ok_or_else(|| KnowledgeError::no("file", ""))?;
    let file = body_of(one);
    let name = file.name.clone();
    let made = ws.write(&who, move |tx| rules::attach(tx, id, file)).await?;
    let url = ws.url(&format!("knowledge/{}/file", made.id));
    Ok(Json(json!({ "name": name, "url": url })))
}

/// Saves readers, folder and tags; some form fields repeat.
pub(super) async fn about(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<KnowledgeId>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let mut patch = Patch::default();
    let mut agents: Vec<AgentId> = Vec::new();
    let mut encoding = None;
    let mut rev = String::new();
    for (name, value) in pairs {
        match name.as_str() {
            "rev" => rev = value,
            "scope" => patch.scope = value.parse().ok(),
            // ok: an invalid id is no agent that can be chosen.
            "agent" => agents.extend(value.parse::<AgentId>()),
            "full" => {
                patch.full = Some(match value.as_str() {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                });
            }
            "folder" => patch.folder = Some(value.parse().ok()),
            "encoding" => encoding = Some(value),
            "icon" => patch.icon = Some(value),
            "tags" => patch.tags = Some(value.split(',').map(str::to_owned).collect()),
            _ => {}
        }
    }
    if patch.scope.is_some() {
        patch.agents = Some(agents);
    }
    let result = change(&ws, &who, (id, rev), (patch, encoding)).await;
    let flash = match result {
        Ok(_) => Flash::ok("Saved"),
        Err(error) if error.kind() == ProblemKind::Invalid => {
            Flash::danger(web::form::sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("knowledge/{id}")))))
}

async fn change(
    ws: &Ws,
    who: &Person,
    (id, rev): (KnowledgeId, String),
    (mut patch, encoding): (Patch, Option<String>),
) -> Result<Item, KnowledgeError> {
    if let Some(name) = encoding {
        patch.encoding = Some(reading::chosen(ws, id, &name).await?);
    }
    ws.write(who, move |tx| -> Result<_, KnowledgeError> {
        check_rev::<Item>(tx, id, &rev)?;
        rules::change(tx, id, patch)
    })
    .await
}

/// Query parameters of an upload. They are in the address because the files follow all other form fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Into {
    once: String,
    folder: String,
}

/// Uploads files. Markdown and plain text become pages.
pub(super) async fn upload(
    app: App,
    ws: Ws,
    who: Person,
    Query(to): Query<Into>,
    request: Request,
) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes();
    let arrived = upload::form(&ws, (&parts.headers, body), AT_ONCE, limit).await?;
    let hx = Hx::from_headers(&parts.headers);
    let folder: Option<FolderId> = to.folder.parse().ok();
    let list = match folder {
        Some(folder) => ws.url(&format!("knowledge?folder={folder}")),
        None => ws.url("knowledge"),
    };
    if arrived.is_empty() {
        return Ok(flash::say(&app, Flash::ok("Choose a file."), hx.go_to(&list)));
    }
    let fingerprints: Vec<String> =
        arrived.iter().map(|one| format!("{} {}", one.blob, one.name)).collect();
    let fingerprints: Vec<&str> = fingerprints.iter().map(String::as_str).collect();
    let once = Once::of_form(&who, "knowledge files", &to.once, &fingerprints);
    let made = take(&ws, &who, (arrived, folder), once).await?;
    let words = match made.as_slice() {
        [_] => "Added 1 file".to_owned(),
        many => format!("Added {} files", many.len()),
    };
    let at = match made.as_slice() {
        [only] => ws.url(&format!("knowledge/{only}")),
        _ => list,
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}

/// Creates items from files.
///
/// # Errors
/// The disk or the store fails.
pub(crate) async fn take(
    ws: &Ws,
    who: &Person,
    (arrived, folder): (Vec<Arrived>, Option<FolderId>),
    once: Once,
) -> Result<Vec<KnowledgeId>, KnowledgeError> {
    let all = ws
        .read_blocking(move |ws| {
            let item = |one: Arrived| item_of(ws, one, folder);
            arrived.into_iter().map(item).collect::<Result<Vec<_>, KnowledgeError>>()
        })
        .await?;
    let make = once.run(move |tx: &mut WriteTx<'_>| {
        let ids = all.into_iter().map(|new| rules::create(tx, new).map(|item| item.id));
        ids.collect::<Result<Vec<_>, KnowledgeError>>()
    });
    ws.write(who, make).await
}

/// Converts a file to an item: a page for Markdown and plain text, otherwise an item with the file.
fn item_of(ws: &Ws, one: Arrived, folder: Option<FolderId>) -> Result<NewItem, KnowledgeError> {
    let patch = Patch { folder: Some(folder), ..Patch::default() };
    let lower = one.name.to_lowercase();
    let is_page = [".md", ".markdown", ".txt"].iter().any(|end| lower.ends_with(end));
    if is_page && one.size <= crate::model::LARGEST as u64 {
        let bytes = ws.blobs.get(one.blob, one.size).map_err(|e| KnowledgeError::disk(&e))?;
        if let Some(text) = kernel::text::of_bytes(bytes, false) {
            let stem = one.name.rsplit_once('.').map_or(one.name.as_str(), |(stem, _)| stem);
            let title: Vec<&str> =
                stem.split(['-', '_', ' ']).filter(|word| !word.is_empty()).collect();
            let links = links::names(&text);
            return Ok(NewItem {
                kind: ItemKind::Page,
                title: title.join(" "),
                text: Text::keep(&ws.blobs, text).map_err(|e| KnowledgeError::disk(&e))?,
                links,
                reason: String::new(),
                file: None,
                patch,
            });
        }
    }
    Ok(NewItem {
        kind: ItemKind::File,
        title: one.name.clone(),
        text: Text::Inline(String::new()),
        links: Vec::new(),
        reason: String::new(),
        file: Some(body_of(one)),
        patch,
    })
}

fn body_of(one: Arrived) -> FileBody {
    FileBody { name: one.name, blob: one.blob, size: one.size, media: one.kind.media().to_owned() }
}

/// How a file is served.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct How {
    download: String,
}

/// Serves the file of an item.
pub(super) async fn file(
    ws: Ws,
    headers: HeaderMap,
    Path(id): Path<KnowledgeId>,
    Query(how): Query<How>,
) -> Result<Response, PageError> {
    let item = ws.read(|snap| queries::item_by_id(snap, id))?;
    let file = item.file.ok_or_else(|| PageError::not_found("The file"))?;
    let show = if how.download.is_empty() { Show::InPlace } else { Show::Download };
    files::serve(&ws, (&file.name, file.blob), show, &headers).await
}

/// Serves the text of an item as a Markdown file.
pub(super) async fn markdown(ws: Ws, Path(id): Path<KnowledgeId>) -> Result<Response, PageError> {
    let (title, text) = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let item = queries::item_by_id(snap, id)?;
                Ok::<_, KnowledgeError>((item.title, queries::text(snap, &ws.blobs, id)?))
            })
        })
        .await?;
    let name = format!("attachment; filename=\"{}.md\"", kernel::text::slug(&title, 80));
    let head =
        [(CONTENT_TYPE, "text/markdown; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((head, text).into_response())
}

path_words! {
    /// What is done to an item.
    pub(super) Verb {
        Archive = "archive",
        Restore = "restore",
        Remove = "remove",
        Read = "read",
    }
}

/// Archives, restores or deletes an item, or reads its file again.
pub(super) async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<KnowledgeId, Verb>,
) -> Result<Response, PageError> {
    let (title, entry) = ws
        .write(&who, move |tx| {
            let archived = |archived| Patch { archived: Some(archived), ..Patch::default() };
            let item = match verb {
                Verb::Archive => rules::change(tx, id, archived(true))?,
                Verb::Restore => rules::change(tx, id, archived(false))?,
                Verb::Remove => rules::remove(tx, id)?,
                Verb::Read => {
                    rules::read_again(tx, id)?;
                    queries::item_by_id(tx, id)?
                }
            };
            let may_return = matches!(verb, Verb::Archive | Verb::Remove);
            // ok: if it was archived already, there is nothing to undo.
            Ok::<_, KnowledgeError>((item.title, tx.seq().ok().filter(|_| may_return)))
        })
        .await?;
    let (words, at) = match verb {
        Verb::Archive => (format!("Archived {title}"), "knowledge".to_owned()),
        Verb::Remove => (format!("Deleted {title}"), "knowledge".to_owned()),
        Verb::Restore => (format!("Restored {title}"), format!("knowledge/{id}")),
        Verb::Read => (format!("Reading {title} again"), format!("knowledge/{id}")),
    };
    Ok(flash::say(&app, done(&ws, words, entry), hx.go_to(&ws.url(&at))))
}

/// A confirmation with undo of this entry.
pub(super) fn done(ws: &Ws, words: String, entry: Option<u64>) -> Flash {
    let undo = entry.map_or_else(String::new, |seq| ws.url(&format!("undo/entry/{seq}")));
    Flash::ok(words).with_undo(undo)
}

/// The form of a folder.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FolderSent {
    name: Option<String>,
    icon: Option<String>,
    parent: Option<String>,
}

impl FolderSent {
    fn patch(self) -> FolderPatch {
        FolderPatch {
            name: self.name,
            icon: self.icon,
            // ok: an invalid id means the top level.
            parent: self.parent.map(|parent| parent.parse().ok()),
        }
    }
}

/// Creates a folder.
pub(super) async fn make_folder(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(sent, once): FormOnce<FolderSent>,
) -> Result<Response, PageError> {
    let patch = sent.patch();
    let make =
        once.run(move |tx: &mut WriteTx<'_>| rules::make_folder(tx, patch).map(|one| one.id));
    match ws.write(&who, make).await {
        Ok(id) => Ok(hx.go_to(&ws.url(&format!("knowledge?folder={id}")))),
        Err(error) => not_done(&app, &hx, error, &ws.url("knowledge")),
    }
}

pub(super) fn not_done(
    app: &App,
    hx: &Hx,
    error: KnowledgeError,
    at: &str,
) -> Result<Response, PageError> {
    match error.kind() {
        ProblemKind::Invalid | ProblemKind::Conflict => {
            let message = web::form::sentence(&error.to_string());
            Ok(flash::say(app, Flash::danger(message), hx.go_to(at)))
        }
        _ => Err(error.into()),
    }
}

path_words! {
    /// What is done to a folder.
    pub(super) FolderVerb {
        Change = "change",
        Remove = "remove",
    }
}

/// Changes or deletes a folder.
pub(super) async fn folder(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<FolderId, FolderVerb>,
    Form(sent): Form<FolderSent>,
) -> Result<Response, PageError> {
    let here = ws.url(&format!("knowledge?folder={id}"));
    let changed = ws
        .write(&who, move |tx| match verb {
            FolderVerb::Change => {
                rules::change_folder(tx, id, sent.patch()).map(|one| (one, 0, None))
            }
            FolderVerb::Remove => {
                let (one, moved) = rules::remove_folder(tx, id)?;
                Ok::<_, KnowledgeError>((one, moved, Some(tx.seq()?)))
            }
        })
        .await;
    let (one, moved, entry) = match changed {
        Ok(changed) => changed,
        Err(error) => return not_done(&app, &hx, error, &here),
    };
    let (words, at) = match (verb, moved) {
        (FolderVerb::Change, _) => ("Saved".to_owned(), here),
        (FolderVerb::Remove, 0) => {
            (format!("Deleted the folder {}", one.name), ws.url("knowledge"))
        }
        (FolderVerb::Remove, n) => {
            let items = web::format::count(n as u64, "item", "items");
            (format!("Deleted the folder {}; {items} moved up", one.name), ws.url("knowledge"))
        }
    };
    Ok(flash::say(&app, done(&ws, words, entry), hx.go_to(&at)))
}
