//! Pages of history and undo: a record, an entry, the undo preview.

mod entry;
mod show;
mod undo;

pub(in crate::history) use undo::run_called;

use jiff::tz::TimeZone;

use app::{App, Ws};
use kernel::{Can, Timestamp};
use store::history::{Image, Version};
use store::{Class, Root, StoreError};
use web::parts::Face;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::time::RelTime;

use features::history::queries::fields::{FieldDiff, Speaker};
use features::history::queries::names::{Names, Word};
use features::history::queries::shown::{Cell, FieldView};
use features::history::queries::versions::{self, Told};
use features::history::queries::{access, id_text};

/// Routes below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/history/{table}/{id}", show::show.needs(Can::Read))
        .get("/history/entry/{seq}", entry::show.needs(Can::Read))
        .get("/undo", undo::preview.needs(Can::Write))
        .post("/undo", undo::apply.needs(Can::Write))
        .post("/undo/entry/{seq}", undo::at_once.needs(Can::Write))
        .post("/undo/files/{id}", undo::files_again.needs(Can::Agents))
}

/// A change of a record.
struct ChangeView {
    title: Cell,
    noun: &'static str,
    verb: &'static str,
    fields: Vec<FieldView>,
    missing: &'static str,
    /// Address of the record's history; may be empty.
    history: String,
    /// Address of "undo"; may be empty.
    undo: String,
}

/// A version of a record.
struct VersionView {
    seq: u64,
    at: RelTime,
    by: BylineView,
    change: ChangeView,
    /// Address of its entry.
    entry: String,
}

/// The author of a change.
struct BylineView {
    face: Face,
    through: Cell,
    /// "entry 12", if the change undid that entry.
    undo_of: Option<Cell>,
}

/// The reader's context: workspace, person, time and zone.
struct Look<'a> {
    app: &'a App,
    ws: &'a Ws,
    who: &'a Person,
    now: Timestamp,
    zone: TimeZone,
}

impl<'a> Look<'a> {
    fn new(app: &'a App, ws: &'a Ws, who: &'a Person) -> Self {
        let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
        Self { app, ws, who, now: app.clock.now(), zone }
    }

    fn speaker<'n>(&self, names: &'n Names<'n>) -> Speaker<'n> {
        Speaker { names, zone: self.zone.clone() }
    }

    fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }

    fn cell(&self, word: Word) -> Cell {
        Cell::of(self.ws, word)
    }

    fn entry(&self, seq: u64) -> String {
        self.ws.url(&format!("history/entry/{seq}"))
    }

    fn history(&self, record: &Root) -> String {
        if !access::may_read(self.who.access, record.table) {
            return String::new();
        }
        self.ws.url(&features::history::queries::path(self.ws.store.schema(), record))
    }

    /// Address of "undo" for one change; may be empty.
    fn undo(&self, record: &Root, seq: u64) -> String {
        let schema = self.ws.store.schema();
        let info = schema.table(record.table);
        let tracked = info.is_some_and(|info| info.class() == Some(Class::Tracked));
        if !tracked || !access::may_undo(self.who.access, record.table) {
            return String::new();
        }
        let table = info.map_or("", |info| info.name);
        let id = id_text(schema, record);
        self.ws.url(&format!("undo?entry={seq}&table={table}&id={id}"))
    }

    fn fields(&self, fields: Vec<FieldDiff>) -> Vec<FieldView> {
        FieldView::all(self.ws, fields)
    }

    fn byline(
        &self,
        names: &Names<'_>,
        (actor, cause): (kernel::Actor, kernel::Cause),
    ) -> Result<BylineView, StoreError> {
        let by = versions::byline(self.app, names, actor, cause)?;
        let undo_of = by.undo_of.filter(|seq| 0 < *seq);
        Ok(BylineView {
            face: by.face,
            through: self.cell(by.through),
            undo_of: undo_of
                .map(|seq| Cell { text: format!("entry {seq}"), href: self.entry(seq) }),
        })
    }

    fn change(
        &self,
        names: &Names<'_>,
        record: &Root,
        version: &Version,
    ) -> Result<ChangeView, StoreError> {
        let schema = self.ws.store.schema();
        let description = versions::describe(&self.speaker(names), schema, record.table, version)?;
        Ok(self.change_told(description, record, version))
    }

    fn change_told(&self, description: Told, record: &Root, version: &Version) -> ChangeView {
        let is_gone =
            [&version.before, &version.after].iter().any(|one| matches!(one, Image::Gone));
        ChangeView {
            title: self.cell(description.title),
            noun: description.noun,
            verb: description.verb,
            fields: self.fields(description.fields),
            history: self.history(record),
            // The previous version is gone, so there is nothing to restore.
            undo: if is_gone { String::new() } else { self.undo(record, version.seq) },
            missing: description.missing,
        }
    }
}
