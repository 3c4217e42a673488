//! Forms of saved views, which are part of list pages. A rejected form is shown on a page of its own.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::history::queries::meanwhile;
use features::views::model::ViewId;
use features::views::model::{Look, View};
use features::views::queries::{self, ViewError};
use features::views::rules::{self, For, NewView, Side, ViewPatch};
use kernel::{Can, Problem as _, ProblemKind};
use web::emoji;
use web::error::{Failure, PageError};
use web::extract::{Form, Path2};
use web::form::{EditConflict, Wrong};
use web::hx::{Ask, Hx};
use web::idempotency::FormOnce;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/views", create.needs(Can::Write))
        .post("/views/{id}/{verb}", act.needs(Can::Write))
}

/// The form of a view.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ViewForm {
    /// The revision that was read; empty for a new view.
    rev: String,
    noun: String,
    name: String,
    /// The selected emoji; unchanged if absent.
    icon: Option<String>,
    /// A typed emoji.
    icon_other: String,
    /// `on` to share the view with everyone.
    shared: String,
    q: String,
    layout: String,
    sort: String,
    group: String,
    lanes: String,
    columns: String,
    wip: String,
    foot: String,
}

impl ViewForm {
    /// The selected or typed icon.
    fn icon(&self) -> Option<String> {
        self.icon.as_deref().map(|chosen| emoji::meant(chosen, &self.icon_other))
    }

    fn to_look(&self) -> Look {
        Look {
            q: self.q.clone(),
            layout: self.layout.clone(),
            sort: self.sort.clone(),
            group: self.group.clone(),
            lanes: self.lanes.clone(),
            columns: self.columns.clone(),
            wip: self.wip.clone(),
            foot: self.foot.clone(),
        }
    }
}

/// An action on a view.
#[derive(Clone, Copy)]
enum Verb {
    /// Stores the current list settings.
    Save,
    /// Changes name and icon.
    Rename,
    /// Moves the view one place.
    Move(Side),
    /// Shares the view with everyone.
    Share,
    /// Makes the view private.
    Keep,
    Delete,
}

impl std::str::FromStr for Verb {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "save" => Self::Save,
            "rename" => Self::Rename,
            "left" => Self::Move(Side::Left),
            "right" => Self::Move(Side::Right),
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

/// The name field of a new view, with its error.
#[derive(Template)]
#[template(path = "views/_name.html")]
struct NamePart {
    value: String,
    wrong: String,
}

async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(form, once): FormOnce<ViewForm>,
) -> Result<Response, PageError> {
    let me = who.account;
    let new = NewView {
        look: form.to_look(),
        icon: form.icon().unwrap_or_default(),
        noun: form.noun,
        name: form.name,
        seen: if form.shared.is_empty() { For::Me } else { For::All },
    };
    let name = new.name.clone();
    let view = match ws.write(&who, once.run(move |tx| rules::create(tx, me, new))).await {
        Ok(view) => view,
        Err(error) if error.kind() == ProblemKind::Invalid && hx.is_partial() => {
            let part = NamePart { value: name, wrong: error.to_string() };
            let field: Response =
                html::fragment_with::<_, PageError>(StatusCode::UNPROCESSABLE_ENTITY, &part)?;
            let ask = Ask::new().retarget("#view-name-field").reswap("outerMorph");
            return Ok((ask, field).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    let flash = Flash::ok(format!("Saved view {}", view.name));
    Ok(flash::say(&app, flash, hx.go_to(&href(&ws, &view))))
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(id, verb): Path2<ViewId, Verb>,
    Form(form): Form<ViewForm>,
) -> Result<Response, PageError> {
    let me = who.account;
    let patch = match verb {
        Verb::Save => ViewPatch { look: Some(form.to_look()), ..ViewPatch::default() },
        Verb::Rename => {
            let icon = form.icon();
            ViewPatch { name: Some(form.name.clone()), icon, ..ViewPatch::default() }
        }
        Verb::Share => ViewPatch { seen: Some(For::All), ..ViewPatch::default() },
        Verb::Keep => ViewPatch { seen: Some(For::Me), ..ViewPatch::default() },
        Verb::Move(side) => {
            let view = ws.write(&who, move |tx| rules::shift(tx, me, id, side)).await?;
            let flash = Flash::ok(format!("Moved view {}", view.name));
            return Ok(flash::say(&app, flash, hx.go_to(&href(&ws, &view))));
        }
        Verb::Delete => {
            let view = ws.write(&who, move |tx| rules::remove(tx, me, id)).await?;
            let flash = Flash::ok(format!("Deleted view {}", view.name));
            return Ok(flash::say(&app, flash, hx.go_to(&ws.url(&view.noun))));
        }
    };
    // Sharing and moving are independent of other changes, so they check no revision.
    let rev = match verb {
        Verb::Save | Verb::Rename => form.rev.parse().ok(),
        Verb::Share | Verb::Keep | Verb::Move(_) | Verb::Delete => None,
    };
    let changed = ws
        .write(&who, move |tx| {
            rules::check_rev(tx, me, id, rev)?;
            rules::update(tx, me, id, patch)
        })
        .await;
    let view = match changed {
        Ok(view) => view,
        Err(error) if matches!(verb, Verb::Save | Verb::Rename) && !hx.is_partial() => {
            return redisplay((&ws, &who), shell, (id, verb), form, &error);
        }
        Err(error) => return Err(error.into()),
    };
    let words = match verb {
        Verb::Share => format!("The view {} is now shared with everyone", view.name),
        Verb::Keep => format!("The view {} is now private", view.name),
        _ => format!("Saved view {}", view.name),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&href(&ws, &view))))
}

#[derive(Template)]
#[template(path = "views/again.html")]
struct AgainPage {
    shell: Shell,
    name: String,
    /// Address of the form.
    action: String,
    /// Address of the view.
    back: String,
    list_url: String,
    list_title: String,
    rev: String,
    since: EditConflict,
    wrong: Wrong,
    /// The typed name and icon, if they are to change.
    typed: Option<(String, String)>,
    /// The list settings to store, in words and for the form.
    look: Vec<(&'static str, String)>,
}

/// The form again, after a concurrent change or with a field error.
fn redisplay(
    (ws, who): (&Ws, &Person),
    shell: Shell,
    (id, verb): (ViewId, Verb),
    mut form: ViewForm,
    error: &ViewError,
) -> Result<Response, PageError> {
    let (view, listing, since) = ws.read(|snap| {
        let since = meanwhile::after::<View>(ws, who, snap, (id, &form.rev), error)?;
        let view = queries::get(snap, id, who.account)?.0;
        let listing = queries::listing(snap, &view.noun)?.map(|(listing, _)| listing);
        Ok::<_, ViewError>((view, listing, since))
    })?;
    if !since.is_told() && error.kind() != ProblemKind::Invalid {
        return Err(PageError(Failure::of(error)));
    }
    since.renew(&mut form.rev);
    let (action, look) = match verb {
        Verb::Rename => ("rename", Vec::new()),
        _ => ("save", form.to_look().fields().map(|(part, word)| (part, word.to_owned())).into()),
    };
    let page = AgainPage {
        shell,
        action: ws.url(&format!("views/{id}/{action}")),
        back: href(ws, &view),
        list_url: ws.url(&view.noun),
        list_title: listing.map(|one| one.title).unwrap_or_default(),
        name: view.name,
        rev: form.rev.clone(),
        wrong: if since.is_told() { Wrong::none() } else { Wrong::of(error)? },
        typed: match verb {
            Verb::Rename => Some((form.name.clone(), form.icon().unwrap_or(view.icon))),
            _ => None,
        },
        look,
        since,
    };
    html::document(page.since.status(), &page)
}
