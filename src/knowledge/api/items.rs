//! `/api/v1/knowledge`: items.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::agents::queries as agents;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::FieldClash;
use features::tasks::queries::json::WhoView;
use kernel::{AgentId, Can, Timestamp};
use store::{Read, ReadExt as _, WriteTx};
use web::error::{ApiError, PageError};
use web::etag::{IfMatch, Tagged};
use web::extract::{self, Json, Path, Query};
use web::file::{self as files, Show};
use web::idempotency::{Once, OnceFile};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;
use web::upload;

use super::parts::{FileView, PassageView, UseView};
use crate::cursor::Cursor;
use crate::error::KnowledgeError;
use crate::find::{self, By, FindRequest, Hit, Seer};
use crate::links;
use crate::model::{Body, FolderId, Item, ItemKind, KnowledgeId, Reading, Scope, Text};
use crate::queries::{self, Tree};
use crate::reading;
use crate::rules::{self, MOST_AT_ONCE, NewItem, Patch};
use crate::words::{self, Written};

/// Default and maximum page size.
const PAGE: usize = 50;
const MOST: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/knowledge",
            list.needs(Can::Read).doc(|| {
                Doc::new("Search knowledge. Without a query, the latest changes")
                    .query::<ItemListParams>()
                    .returns::<Items>()
            }),
        )
        .post(
            "/knowledge",
            make.needs(Can::Write).doc(|| {
                Doc::new("Create a page or skill").body::<NewBody>().returns::<Whole>().status(201)
            }),
        )
        .post(
            "/knowledge/files",
            send.needs(Can::Write).doc(|| {
                Doc::new(
                    "Upload a file as an application/octet-stream body. Markdown and plain text \
                        become a page",
                )
                .query::<Named>()
                .returns::<Whole>()
                .status(201)
            }),
        )
        .post(
            "/knowledge/bulk",
            bulk.needs(Can::Write).doc(|| {
                Doc::new(
                    "Change several items at once, with one \
                    undo",
                )
                .body::<BulkBody>()
                .returns::<Done>()
            }),
        )
        .get(
            "/knowledge/{id}",
            show.needs(Can::Read)
                .doc(|| Doc::new("An item with its text, by ID or title").returns::<Whole>()),
        )
        .patch(
            "/knowledge/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new(
                    "Change an item. With `base`, the text you started from, `text` is merged with \
                        later changes; 409 on conflicts",
                )
                .if_match()
                .body::<ChangeBody>()
                .returns::<Whole>()
            }),
        )
        .delete(
            "/knowledge/{id}",
            remove.needs(Can::Write).doc(|| Doc::new("Delete an item").status(204)),
        )
        .get(
            "/knowledge/{id}/file",
            fetch.needs(Can::Read).doc(|| {
                Doc::new("An item's file, or the part in a Range header")
                    .media("application/octet-stream")
            }),
        )
}

/// What is looked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ItemListParams {
    /// Words.
    q: String,
    kind: Option<ItemKind>,
    /// Its id, name or path; also what lies below it.
    folder: Option<String>,
    tag: Option<String>,
    scope: Option<Scope>,
    /// The archived ones in place of the others.
    archived: bool,
    /// Words and meaning, unless one of them alone is asked for.
    by: Option<By>,
    /// At most 200.
    limit: Option<usize>,
    /// `next` of the answer before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Items {
    items: Vec<ItemView>,
    total: usize,
    /// Whether there may be more.
    more_than_total: bool,
    next: Option<String>,
    /// What the answer does not know yet, in a sentence; nothing when it knows all.
    #[serde(skip_serializing_if = "String::is_empty")]
    not_known_yet: String,
}

/// An item without its words.
#[derive(Serialize, JsonSchema)]
struct ItemView {
    id: KnowledgeId,
    kind: ItemKind,
    title: String,
    icon: String,
    folder: Option<FolderId>,
    /// The names of its folders from the top, with `/` between them.
    path: String,
    scope: Scope,
    /// Handles of the chosen agents.
    agents: Vec<String>,
    /// Whether all of it stands in front of them; null lets its length decide.
    full: Option<bool>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileView>,
    by: WhoView,
    edited_by: WhoView,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
    archived: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passages: Vec<PassageView>,
    /// Whether words of the question stand in it; false where it says the same in others.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_words: Option<bool>,
}

/// An item with its words.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    item: ItemView,
    /// Markdown; of a file what was read in it, with a form feed between two pages.
    text: String,
    /// The number of this version; 0 of a file.
    version: u32,
    /// What agents did with it.
    uses: Vec<UseView>,
}

fn view(
    read: &dyn Read,
    (names, tree): (&Names, &Tree),
    (item, hit): (Item, Option<&Hit>),
) -> Result<ItemView, KnowledgeError> {
    let reading: Option<Reading> = if item.file.is_some() { read.get(item.id)? } else { None };
    let handle = |id: &AgentId| names.people.agent(*id).map(|agent| agent.slug.clone());
    Ok(ItemView {
        id: item.id,
        kind: item.kind,
        path: tree.path(item.folder).join("/"),
        folder: item.folder,
        scope: item.scope,
        agents: item.agents.iter().filter_map(handle).collect(),
        full: item.full,
        by: WhoView::actor(names, item.by),
        edited_by: WhoView::actor(names, item.edited_by),
        created_at: item.created_at,
        updated_at: item.updated_at,
        archived: item.archived_at.is_some(),
        by_words: hit.filter(|hit| !hit.quotes.is_empty()).map(|hit| hit.by_words),
        passages: hit
            .map(|hit| hit.quotes.iter().map(PassageView::of).collect())
            .unwrap_or_default(),
        file: item.file.map(|file| FileView::of(file, (reading.as_ref(), item.encoding.is_some()))),
        title: item.title,
        icon: item.icon,
        tags: item.tags,
    })
}

fn whole(ws: &Ws, read: &dyn Read, item: Item) -> Result<Whole, KnowledgeError> {
    let id = item.id;
    let body: Option<Body> = read.get(id)?;
    let names = Names::read(read)?;
    Ok(Whole {
        item: view(read, (&names, &Tree::read(read)?), (item, None))?,
        uses: UseView::all(read, &names, id)?,
        text: queries::text(read, &ws.blobs, id)?,
        version: body.map_or(0, |body| body.n),
    })
}

pub(super) async fn whole_of(ws: &Ws, id: KnowledgeId) -> Result<Whole, KnowledgeError> {
    ws.read_blocking(move |ws| ws.read(|snap| whole(ws, snap, queries::item_by_id(snap, id)?)))
        .await
}

async fn list(
    ws: Ws,
    who: Person,
    Query(params): Query<ItemListParams>,
) -> Result<Json<Items>, ApiError> {
    let folder = ws.read(|snap| queries::folder_given(snap, params.folder.as_deref()))?;
    let after = params.cursor.as_deref().filter(|text| !text.is_empty());
    let after = after.map(Cursor::read).transpose()?;
    let wish = FindRequest {
        q: params.q,
        kind: params.kind,
        folder,
        tags: params.tag.into_iter().collect(),
        scope: params.scope,
        archived: params.archived,
        by: params.by,
        skip: 0,
        after,
        is_paged: true,
        take: params.limit.unwrap_or(PAGE).clamp(1, MOST),
    };
    let kind = wish.kind;
    let found = find::find(&ws, Seer::Person(who.account), wish).await?;
    let (total, cut, unknown) = (found.total(kind), found.cut, found.unknown());
    let next = found.next.map(|next| next.to_string());
    let items = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let known = (&Names::read(snap)?, &Tree::read(snap)?);
                let one = |hit: &Hit| view(snap, known, (hit.item.clone(), Some(hit)));
                found.hits.iter().map(one).collect::<Result<Vec<_>, KnowledgeError>>()
            })
        })
        .await?;
    Ok(Json(Items { items, total, more_than_total: cut, next, not_known_yet: unknown }))
}

/// Settings of an item; absent ones stay unchanged.
struct About {
    icon: Option<String>,
    folder: Option<Option<String>>,
    scope: Option<Scope>,
    agents: Option<Vec<String>>,
    full: Option<Option<bool>>,
    tags: Option<Vec<String>>,
    archived: Option<bool>,
}

/// Declares a request body that includes the settings of an item. The fields are repeated in each body, because serde
/// can only deny unknown fields if all fields are in one struct.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($(#[$more:meta])* $field:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($(#[$more])* $field: $of,)*
            /// One emoji.
            icon: Option<String>,
            /// The folder's id, name or path; null for none.
            #[serde(default, deserialize_with = "web::extract::sent")]
            folder: Option<Option<String>>,
            /// Who has it in front of them.
            scope: Option<Scope>,
            /// Ids or handles of the chosen agents.
            agents: Option<Vec<String>>,
            /// Whether all of it stands in front of them; null lets its length decide.
            #[serde(default, deserialize_with = "web::extract::sent")]
            full: Option<Option<bool>>,
            tags: Option<Vec<String>>,
            archived: Option<bool>,
        }

        impl $name {
            fn about(&mut self) -> About {
                About {
                    icon: self.icon.take(),
                    folder: self.folder.take(),
                    scope: self.scope,
                    agents: self.agents.take(),
                    full: self.full,
                    tags: self.tags.take(),
                    archived: self.archived,
                }
            }
        }
    };
}

/// Resolves an agent by id or handle.
pub(super) fn agent_of(read: &dyn Read, name: &str) -> Result<AgentId, KnowledgeError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let slug = name.trim().trim_start_matches('@');
    let found = agents::by_slug(&read, slug)?;
    found.map(|agent| agent.id).ok_or_else(|| KnowledgeError::no("agent", name))
}

impl About {
    fn patch(self, read: &dyn Read) -> Result<Patch, KnowledgeError> {
        let folder = match self.folder {
            None => None,
            Some(None) => Some(None),
            Some(Some(name)) => Some(Some(queries::folder(read, &name)?.id)),
        };
        let chosen = self
            .agents
            .map(|all| all.iter().map(|name| agent_of(read, name)).collect::<Result<Vec<_>, _>>());
        Ok(Patch {
            title: None,
            icon: self.icon,
            folder,
            scope: self.scope,
            agents: chosen.transpose()?,
            full: self.full,
            tags: self.tags,
            archived: self.archived,
            encoding: None,
        })
    }
}

body! {
    /// A page or a skill to be written.
    NewBody {
        /// `page` when nothing is said.
        kind: Option<ItemKind>,
        title: String,
        /// Markdown.
        #[serde(default)]
        text: String,
        /// Why, in a line.
        #[serde(default)]
        reason: String,
    }
}

async fn make(
    ws: Ws,
    who: Person,
    once: Once,
    Json(mut body): Json<NewBody>,
) -> Result<(StatusCode, Json<Whole>), ApiError> {
    let about = body.about();
    let patch = ws.read(|snap| about.patch(snap))?;
    let (links, text) = (links::names(&body.text), body.text);
    let text = ws
        .read_blocking(move |ws| {
            Text::keep(&ws.blobs, text).map_err(|error| KnowledgeError::disk(&error))
        })
        .await?;
    let new = NewItem {
        kind: body.kind.unwrap_or(ItemKind::Page),
        title: body.title,
        text,
        links,
        reason: body.reason,
        file: None,
        patch,
    };
    let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|item| item.id));
    let id = ws.write(&who, make).await?;
    Ok((StatusCode::CREATED, Json(whole_of(&ws, id).await?)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The name of the file.
    name: String,
    /// The folder's id, name or path.
    folder: Option<String>,
}

async fn send(
    app: App,
    ws: Ws,
    who: Person,
    once: OnceFile,
    Query(named): Query<Named>,
    request: Request,
) -> Result<Response, ApiError> {
    let folder = ws.read(|snap| queries::folder_given(snap, named.folder.as_deref()))?;
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes();
    let arrived = upload::body(&ws, (&parts.headers, body), &named.name, limit).await?;
    let once = once.with(arrived.blob);
    let made = crate::pages::take(&ws, &who, (vec![arrived], folder), once).await?;
    let id = made.first().copied().ok_or_else(|| KnowledgeError::no("file", &named.name))?;
    Ok((StatusCode::CREATED, Json(whole_of(&ws, id).await?)).into_response())
}

async fn show(ws: Ws, Path(name): Path<String>) -> Result<Tagged<Whole>, ApiError> {
    let found = ws
        .read_blocking(move |ws| {
            ws.read(|snap| with_etag(ws, snap, queries::item(snap, &name, None)?))
        })
        .await?;
    Ok(found)
}

/// An item with its ETag, which covers settings and text.
fn with_etag(ws: &Ws, read: &dyn Read, item: Item) -> Result<Tagged<Whole>, KnowledgeError> {
    let rev = queries::rev(read, item.id)?;
    Ok(Tagged::ok(rev, whole(ws, read, item)?))
}

/// What an item said when the writing began.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Base {
    /// Its words.
    Text(String),
    /// Its fields.
    Each(Fields),
}

/// Fields of an item when the writing began.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fields {
    title: Option<String>,
    text: Option<String>,
    /// Whether the same was sent before and its answer is not known.
    #[serde(default, rename = "again")]
    _again: bool,
}

body! {
    /// What is to change in an item; what is absent stays.
    ChangeBody {
        title: Option<String>,
        /// Markdown.
        text: Option<String>,
        /// What it said when the writing began: the words that `text` was made of, or both fields by name.
        base: Option<Base>,
        /// The encoding in which the file of a text is read, such as `windows-1251`; empty to have it found again.
        encoding: Option<String>,
        /// Why, in a line.
        #[serde(default)]
        reason: String,
    }
}

async fn change(
    ws: Ws,
    who: Person,
    IfMatch(mut seen): IfMatch,
    Path(name): Path<String>,
    extract::Patch(mut body): extract::Patch<ChangeBody>,
) -> Result<Tagged<Whole>, ApiError> {
    let about = body.about();
    let (id, patch) = ws.read(|snap| {
        let id = queries::item(snap, &name, None)?.id;
        Ok::<_, KnowledgeError>((id, about.patch(snap)?))
    })?;
    let encoding = match &body.encoding {
        Some(name) => Some(reading::chosen(&ws, id, name).await?),
        None => None,
    };
    let (title_base, base) = match body.base {
        Some(Base::Text(text)) => (None, Some(text)),
        Some(Base::Each(fields)) => (fields.title, fields.text),
        None => (None, None),
    };
    if let Some(text) = body.text {
        let written = Written { text, base, reason: body.reason };
        // The following change continues from this revision.
        let saved = words::save(&ws, &who, id, written, seen.take()).await;
        saved.map_err(|error| clashed("text", error))?;
    }
    let change = move |tx: &mut WriteTx<'_>| {
        queries::check_rev(tx, id, seen)?;
        let title = rules::title_over(tx, id, body.title, title_base)?;
        rules::change(tx, id, Patch { title, encoding, ..patch })
    };
    ws.write(&who, change).await.map_err(|error| clashed("title", error))?;
    let now = ws.read_blocking(move |ws| {
        ws.read(|snap| with_etag(ws, snap, queries::item_by_id(snap, id)?))
    });
    Ok(now.await?)
}

/// An error; a conflict includes both texts for an editor.
fn clashed(field: &'static str, error: KnowledgeError) -> ApiError {
    let clash = match &error {
        KnowledgeError::Clash(clash) => Some((**clash).clone()),
        _ => None,
    };
    match clash {
        Some(clash) => ApiError::from(error).with("clash", &[FieldClash { field, clash }]),
        None => error.into(),
    }
}

async fn remove(ws: Ws, who: Person, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::item(snap, &name, None))?.id;
    ws.write(&who, move |tx| rules::remove(tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

body! {
    /// Items and what is to change in all of them.
    BulkBody {
        /// Ids, at most 1,000.
        ids: Vec<KnowledgeId>,
        /// A tag that all get.
        add_tag: Option<String>,
    }
}

#[derive(Serialize, JsonSchema)]
struct Done {
    /// How many changed.
    changed: usize,
}

async fn bulk(
    ws: Ws,
    who: Person,
    once: Once,
    Json(mut body): Json<BulkBody>,
) -> Result<Json<Done>, ApiError> {
    if MOST_AT_ONCE < body.ids.len() {
        let words = format!("Choose at most {MOST_AT_ONCE} items.");
        return Err(KnowledgeError::field("ids", words).into());
    }
    let about = body.about();
    let patch = ws.read(|snap| about.patch(snap))?;
    let (ids, tag) = (body.ids, body.add_tag);
    let changed = ws
        .write(
            &who,
            once.run(move |tx: &mut WriteTx<'_>| {
                rules::change_all(tx, ids, (&patch, tag.as_deref()))
            }),
        )
        .await?;
    Ok(Json(Done { changed }))
}

async fn fetch(
    ws: Ws,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let item = ws.read(|snap| queries::item(snap, &name, None))?;
    let file = item.file.ok_or_else(|| PageError::not_found("The file"))?;
    files::serve(&ws, (&file.name, file.blob), Show::Download, &headers).await
}
