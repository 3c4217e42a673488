//! Pages of contacts, organizations and collections: lists as table and board, the page of one record, its fields.

mod acts;
mod board;
mod bulk;
mod collections;
mod draw;
mod export;
mod fields;
mod frame;
mod give;
mod list;
mod paste;
mod rows;
mod show;
mod state;
mod suggested;
mod timeline;

pub(crate) use fields::{home_of, word_of};
pub(crate) use paste::rehearsed;

use std::sync::Arc;

use entity::Column;
use features::tasks::queries::view_context::ViewContext;
use kernel::Can;
use store::Read;
use uuid::Uuid;
use web::routes::{Needs as _, Routes};

use crate::columns;
use crate::error::CrmError;
use crate::list::Around;
use crate::model::{CollectionId, Home, Row, RowKind};
use crate::names::Known;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    book(Routes::new(), "/contacts")
        .merge(book(Routes::new(), "/organizations"))
        .merge(record(Routes::new(), "/records/{id}"))
        .merge(collections::routes())
        .merge(fields::routes())
        .merge(crate::convert::pages::routes())
        .merge(crate::import::pages::routes())
        .get("/suggestions", suggested::index.needs(Can::Read))
        .post("/suggestions/all/{verb}", suggested::decide_all.needs(Can::Write))
        .post("/suggestions/{id}/{verb}", acts::decide.needs(Can::Write))
        .post("/talks/{id}/{verb}", acts::talk.needs(Can::Write))
}

/// The list of a kind, and the pages of its records.
fn book(routes: Routes, at: &'static str) -> Routes {
    let routes = routes
        .get(at, list::list.needs(Can::Read))
        .post(at, acts::create.needs(Can::Write))
        .get(path(at, "/new"), show::new.needs(Can::Write))
        .get(path(at, "/complete"), frame::complete.needs(Can::Read))
        .get(path(at, "/export.csv"), export::csv.needs(Can::Read))
        .get(path(at, "/export.json"), export::json.needs(Can::Read))
        .post(path(at, "/bulk"), bulk::bulk.needs(Can::Write))
        .post(path(at, "/give"), give::give.needs(Can::Write))
        .post(path(at, "/paste"), paste::paste.needs(Can::Write));
    record(routes, path(at, "/{id}"))
}

fn record(routes: Routes, at: &'static str) -> Routes {
    routes
        .get(at, show::show.needs(Can::Read))
        .post(at, acts::save.needs(Can::Write))
        .get(path(at, "/cell"), show::cell.needs(Can::Write))
        .post(path(at, "/talks"), acts::log.needs(Can::Write))
        .post(path(at, "/tasks"), give::about.needs(Can::Write))
        .post(path(at, "/{verb}"), acts::act.needs(Can::Write))
}

/// Joins paths. Leaks the result, so call this only while building routes.
fn path(at: &str, below: &str) -> &'static str {
    format!("{at}{below}").leak()
}

/// The columns of rows and the names in them, for one viewer.
struct Look<'r> {
    columns: Vec<Column>,
    known: Known<'r>,
}

impl<'r> Look<'r> {
    fn new(scene: &ViewContext, read: &'r dyn Read, home: Home) -> Result<Self, CrmError> {
        let known = Known::with(Arc::clone(&scene.people), read, scene.myself());
        Ok(Self { columns: columns::of(read, home)?, known })
    }

    /// The values of some fields in one line; a contact without an organization shows the company.
    fn second(&self, row: &Row, keys: &[&str]) -> String {
        let of = |key: &str| {
            let column = self.columns.iter().find(|column| column.key == key)?;
            row.value(key).map(|value| column.shown(value, &self.known))
        };
        let value_of = |key: &&str| match *key {
            columns::ORGANIZATION => of(columns::ORGANIZATION).or_else(|| of("company")),
            key => of(key),
        };
        keys.iter().filter_map(value_of).collect::<Vec<_>>().join(" · ")
    }

    fn around(
        &self,
        scene: &ViewContext,
        read: &dyn Read,
        home: Home,
    ) -> Result<Around<'_>, CrmError> {
        let seen = (scene.today.now, scene.today.zone.clone());
        Ok(Around::new(read, home, (&self.columns, &self.known), seen)?)
    }
}

/// The address of the list that contains the rows.
fn list_url(
    kind: &'static RowKind,
    scene: &ViewContext,
    collection: Option<CollectionId>,
) -> String {
    match collection {
        Some(id) => scene.ws.url(&format!("collections/{id}")),
        None => scene.ws.url(kind.path),
    }
}

/// The address of a row's page.
fn row_url(kind: &'static RowKind, scene: &ViewContext, id: Uuid) -> String {
    scene.ws.url(&format!("{}/{id}", kind.path))
}
