//! Pages of collections: the overview, the records of one, and its settings.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;

use app::{App, Ws};
use features::tasks::queries::view_context::ViewContext;
use kernel::key::KeyBuf;
use kernel::{Can, FieldError, Problem as _, ProblemKind, TypedId as _};
use store::{Range, Read, ReadExt as _, WriteTx};
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::path_words;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload;

use super::list::answer;
use super::show::new_form;
use super::state::ListPageParams;
use super::{acts, bulk, export, frame, give, paste};
use crate::error::CrmError;
use crate::import::{self, MAX_BYTES};
use crate::model::{Collection, CollectionId, Home, RECORDS_BY_HOME, RowKind};
use crate::queries;
use crate::rules::{self, CollectionPatch, NewImport};
use crate::typed::{FormValues, given};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/collections", index.needs(Can::Read))
        .get("/collections/from-file", index.needs(Can::Read))
        .post("/collections/from-file", from_file.needs(Can::Write))
        .post("/collections", create.needs(Can::Write))
        .get("/collections/{id}", show.needs(Can::Read))
        .post("/collections/{id}", add.needs(Can::Write))
        .get("/collections/{id}/new", new.needs(Can::Write))
        .get("/collections/{id}/complete", frame::complete_records.needs(Can::Read))
        .post("/collections/{id}/bulk", bulk::bulk_records.needs(Can::Write))
        .post("/collections/{id}/give", give::give_records.needs(Can::Write))
        .post("/collections/{id}/paste", paste::paste_records.needs(Can::Write))
        .get("/collections/{id}/export.csv", export::records_csv.needs(Can::Read))
        .get("/collections/{id}/export.json", export::records_json.needs(Can::Read))
        .post("/collections/{id}/as/{verb}", act.needs(Can::Write))
}

/// The form with the name of a collection.
pub(super) struct Editing {
    pub action: String,
    pub name: String,
    pub icon: String,
    pub description: String,
    pub history: String,
    pub archived: bool,
}

impl Editing {
    pub fn of(scene: &ViewContext, collection: &Collection) -> Self {
        Self {
            action: scene.ws.url(&format!("collections/{}/as", collection.id)),
            name: collection.name.clone(),
            icon: collection.icon.clone(),
            description: collection.description.clone(),
            history: scene.ws.url(&format!("history/collections/{}", collection.id)),
            archived: collection.archived_at.is_some(),
        }
    }
}

struct Line {
    name: String,
    icon: String,
    href: String,
    about: String,
    count: usize,
}

#[derive(Template)]
#[template(path = "crm/collections.html")]
struct IndexPage {
    shell: Shell,
    live: Live,
    url: String,
    rows: Vec<Line>,
    may_write: bool,
    name: String,
    icon: String,
    description: String,
    error: String,
    /// Error of a file that was to become a collection.
    file_error: String,
}

web::region!(IndexPage, as_rows, IndexRows, "crm/collections-rows.html");

fn all(scene: &ViewContext, read: &dyn Read, shell: Shell) -> Result<IndexPage, CrmError> {
    let mut rows = Vec::new();
    for collection in queries::collections(read)? {
        let count = read.len(RECORDS_BY_HOME, &Range::prefix(KeyBuf::of(&collection.id)))?;
        rows.push(Line {
            href: scene.ws.url(&format!("collections/{}", collection.id)),
            name: collection.name,
            icon: collection.icon,
            about: collection.description,
            count,
        });
    }
    Ok(IndexPage {
        shell,
        url: scene.ws.url("collections"),
        live: Live::new(scene.ws.url("collections"))
            .table("collections")
            .table("records")
            .debounced(),
        rows,
        may_write: scene.may_write,
        name: String::new(),
        icon: String::new(),
        description: String::new(),
        error: String::new(),
        file_error: String::new(),
    })
}

async fn index(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let page = ws.read(|snap| all(&ViewContext::new(&ws, &who, snap)?, snap, shell))?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn patch(form: &FormValues) -> CollectionPatch {
    CollectionPatch {
        name: given(form, "name"),
        icon: given(form, "icon"),
        description: given(form, "description"),
        archived: None,
    }
}

async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    let wanted = patch(&form);
    let made = ws
        .write(
            &who,
            once.run(move |tx: &mut WriteTx<'_>| {
                rules::make_collection(tx, wanted).map(|one| one.id)
            }),
        )
        .await;
    match made {
        Ok(id) => {
            let words = Flash::ok("Collection created. Now add its fields.");
            let at = ws.url(&format!("settings/fields?of={id}"));
            Ok(flash::say(&app, words, hx.go_to(&at)))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let page = ws.read(|snap| all(&ViewContext::new(&ws, &who, snap)?, snap, shell))?;
            let repeat = patch(&form);
            let page = IndexPage {
                name: repeat.name.unwrap_or_default(),
                icon: repeat.icon.unwrap_or_default(),
                description: repeat.description.unwrap_or_default(),
                error: error.to_string(),
                ..page
            };
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Creates a collection named after a file, and an import of the file into it.
async fn from_file(
    ws: Ws,
    who: Person,
    shell: Shell,
    request: Request,
) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let file = upload::form(&ws, (&parts.headers, body), 1, MAX_BYTES).await?.pop();
    let looked = match file {
        Some(file) => {
            // Its columns are read before the collection is created, so that an unreadable file creates none.
            let home = Home::Collection(CollectionId::from_uuid(Uuid::nil()));
            ws.read_blocking(move |ws| {
                let (new, _) = import::look_at(ws, home, (file.blob, &file.name))?;
                Ok::<_, CrmError>((new, name_of(&file.name)))
            })
            .await
        }
        None => Err(CrmError::field("file", "Choose a file.")),
    };
    let made = match looked {
        Ok((new, name)) => {
            ws.write(&who, move |tx| {
                let wanted = CollectionPatch { name: Some(name), ..CollectionPatch::default() };
                let home = Home::Collection(rules::make_collection(tx, wanted)?.id);
                Ok::<_, CrmError>(rules::make_import(tx, NewImport { home, ..new })?.id)
            })
            .await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(id) => Ok(Hx::from_headers(&parts.headers).go_to(&ws.url(&format!("imports/{id}")))),
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::TooLarge) => {
            let page = ws.read(|snap| all(&ViewContext::new(&ws, &who, snap)?, snap, shell))?;
            let page = IndexPage { file_error: error.to_string(), ..page };
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// The name of a collection from a file name without its extension.
fn name_of(file: &str) -> String {
    let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
    let words = kernel::text::one_line(&name.replace('_', " "));
    kernel::text::capitalized(&words).chars().take(60).collect()
}

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let collection = queries::collection(snap, &name)?;
            let scene = ViewContext::new(ws, &who, snap)?;
            answer(RowKind::RECORDS, &scene, snap, (hx, shell), (Some(&collection), &wish))
        })
    })
    .await
}

async fn new(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    Query(form): Query<FormValues>,
) -> Result<Response, PageError> {
    ws.read(|snap| {
        let id = queries::collection(snap, &name)?.id;
        let none: &[FieldError] = &[];
        new_form(
            RowKind::RECORDS,
            &ViewContext::new(&ws, &who, snap)?,
            snap,
            shell,
            (Some(id), &form, none),
        )
    })
}

async fn add(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    acts::make(RowKind::RECORDS, (app, ws, who), (hx, shell), Some(id), (form, once)).await
}

path_words! {
    /// What is done to a collection.
    Verb {
        Rename = "rename",
        Archive = "archive",
        Restore = "restore",
        Remove = "remove",
    }
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, verb): Path2<String, Verb>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    let one = ws
        .write(&who, move |tx| match verb {
            Verb::Rename => rules::change_collection(tx, id, patch(&form)),
            Verb::Remove => rules::remove_collection(tx, id),
            Verb::Archive | Verb::Restore => {
                let archived = Some(verb == Verb::Archive);
                rules::change_collection(
                    tx,
                    id,
                    CollectionPatch { archived, ..CollectionPatch::default() },
                )
            }
        })
        .await?;
    let words = match verb {
        Verb::Rename => "Saved".to_owned(),
        Verb::Archive => format!("Archived {}", one.name),
        Verb::Restore => format!("Restored {}", one.name),
        Verb::Remove => format!("Deleted {}", one.name),
    };
    let at = match verb {
        Verb::Remove | Verb::Archive => ws.url("collections"),
        _ => ws.url(&format!("collections/{id}")),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}
