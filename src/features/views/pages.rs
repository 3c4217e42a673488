//! Forms of saved views; they stand on the pages of the lists that they are views of.

use axum::response::Response;
use serde::Deserialize;

use super::model::{Look, View};
use super::rules::{self, For, NewView, ViewPatch};
use crate::app::{App, Ws};
use crate::kernel::{Can, ViewId};
use crate::web::error::PageError;
use crate::web::extract::{Form, Path2};
use crate::web::flash;
use crate::web::hx::Hx;
use crate::web::routes::{Needs as _, Routes};
use crate::web::session::Person;
use crate::web::shell::Flash;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/views", create.needs(Can::Write))
        .post("/views/{id}/{verb}", act.needs(Can::Write))
}

/// What the forms send.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    noun: String,
    name: String,
    icon: String,
    /// `on` when everybody is to have it.
    shared: String,
    q: String,
    layout: String,
    sort: String,
    group: String,
    lanes: String,
    columns: String,
    wip: String,
}

impl Typed {
    fn look(&self) -> Look {
        Look {
            q: self.q.clone(),
            layout: self.layout.clone(),
            sort: self.sort.clone(),
            group: self.group.clone(),
            lanes: self.lanes.clone(),
            columns: self.columns.clone(),
            wip: self.wip.clone(),
        }
    }
}

/// What may be done with a view.
#[derive(Clone, Copy)]
enum Verb {
    /// It shows what is shown now.
    Save,
    /// Another name.
    Rename,
    /// For everybody.
    Share,
    /// For oneself.
    Keep,
    /// Gone.
    Delete,
}

impl std::str::FromStr for Verb {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "save" => Self::Save,
            "rename" => Self::Rename,
            "share" => Self::Share,
            "keep" => Self::Keep,
            "delete" => Self::Delete,
            _ => return Err(()),
        })
    }
}

fn href(ws: &Ws, view: &View) -> String {
    ws.url(&format!("{}?view={}", view.noun, view.slug))
}

async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let me = who.account;
    let new = NewView {
        look: typed.look(),
        noun: typed.noun,
        name: typed.name,
        icon: typed.icon,
        seen: if typed.shared.is_empty() { For::Me } else { For::All },
    };
    let view = ws.write(&who, move |tx| rules::create(tx, me, new)).await?;
    let flash = Flash::ok(format!("Saved the view {}", view.name));
    Ok(flash::say(&app, flash, hx.go_to(&href(&ws, &view))))
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<ViewId, Verb>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let me = who.account;
    let patch = match verb {
        Verb::Save => ViewPatch { look: Some(typed.look()), ..ViewPatch::default() },
        Verb::Rename => ViewPatch { name: Some(typed.name), ..ViewPatch::default() },
        Verb::Share => ViewPatch { seen: Some(For::All), ..ViewPatch::default() },
        Verb::Keep => ViewPatch { seen: Some(For::Me), ..ViewPatch::default() },
        Verb::Delete => {
            let view = ws.write(&who, move |tx| rules::remove(tx, me, id)).await?;
            let flash = Flash::ok(format!("Deleted the view {}", view.name));
            return Ok(flash::say(&app, flash, hx.go_to(&ws.url(&view.noun))));
        }
    };
    let view = ws.write(&who, move |tx| rules::update(tx, me, id, patch)).await?;
    let words = match verb {
        Verb::Share => format!("Everybody has the view {} now", view.name),
        Verb::Keep => format!("The view {} is yours alone now", view.name),
        _ => format!("Saved the view {}", view.name),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&href(&ws, &view))))
}
