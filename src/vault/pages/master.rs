//! Page of the master key: the present key, former keys with what still needs them, and rotation.

use app::{App, Who, Ws};
use askama::Template;
use axum::response::Response;
use features::backups::queries::may_manage;
use features::rotation::queries;
use jiff::tz::TimeZone;
use kernel::Timestamp;
use serde::Deserialize;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::sentence;
use web::html;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{HERE, MENU};
use crate::rotation::{self, RotationError};

/// Name of the live region.
const REGION: &str = "master-key";

/// A former key.
struct Former {
    id: String,
    /// What needs the key; empty if the key may be discarded.
    needs: String,
}

struct Change {
    from: String,
    to: String,
    begun: RelTime,
    ended: Option<RelTime>,
    sealed: u64,
    shut: u64,
    /// Closed workspaces that the rotation waits for.
    waits: String,
}

struct View {
    url: String,
    current: String,
    file: String,
    goes_on: bool,
    last: Option<Change>,
    formers: Vec<Former>,
    /// Why the job ended early.
    trouble: String,
}

#[derive(Template)]
#[template(path = "vault/master.html")]
struct MasterPage {
    shell: Shell,
    here: &'static str,
    base: String,
    manages: bool,
    view: View,
}

#[derive(Template)]
#[template(path = "vault/_master.html")]
struct Region {
    view: View,
}

fn view(app: &App, ws: &Ws, who: &Person) -> Result<View, PageError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = app.clock.now();
    let at = |moment: Timestamp| RelTime::new(moment, now, &zone);
    let standing = queries::standing(app)?;
    let goes_on = standing.last.as_ref().is_some_and(|last| last.ended_at.is_none());
    let waits = standing.waits.join(", ");
    let failed = rotation::state(app).and_then(|state| state.error);
    Ok(View {
        url: ws.url(&format!("{HERE}/master-key")),
        current: standing.current,
        file: app.config.key_file().display().to_string(),
        goes_on,
        last: standing.last.map(|last| Change {
            from: last.from,
            to: last.to,
            begun: at(last.begun_at),
            ended: last.ended_at.map(at),
            sealed: last.sealed,
            shut: last.shut,
            waits,
        }),
        formers: standing
            .formers
            .into_iter()
            .map(|one| Former { id: one.id, needs: one.needs.join("; ") })
            .collect(),
        trouble: failed.map_or_else(String::new, |error| sentence(&error)),
    })
}

/// `GET /settings/secrets/master-key`
pub(super) async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
) -> Result<Response, PageError> {
    let account = who.account;
    let (manages, view) = ws
        .read_blocking(move |ws| {
            Ok::<_, PageError>((may_manage(&app, account)?, view(&app, ws, &who)?))
        })
        .await?;
    if hx.wants(REGION) && manages {
        return html::fragment(&Region { view });
    }
    html::page(&MasterPage { shell, here: MENU, base: ws.url(HERE), manages, view })
}

/// Fails for people who do not administer all workspaces.
pub(crate) fn only_managers(app: &App, who: &Person) -> Result<(), RotationError> {
    if may_manage(app, who.account)? { Ok(()) } else { Err(RotationError::NotAll) }
}

/// `POST /settings/secrets/master-key`
pub(super) async fn change(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    only_managers(&app, &who)?;
    let (by, here) = ((who.actor(), who.cause()), app.clone());
    let flash = match ws.read_blocking(move |_| rotation::begin(&here, by)).await {
        Ok(rotation) => Flash::ok(format!("HQ now uses the key {}.", rotation.to)),
        Err(error) => Flash::danger(sentence(&error.to_string())),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("{HERE}/master-key")))))
}

/// The key to discard.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    key: String,
}

/// `POST /settings/secrets/master-key/discard`
pub(super) async fn discard(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    only_managers(&app, &who)?;
    let (here, key) = (app.clone(), which.key.clone());
    let flash = match ws.read_blocking(move |_| rotation::discard(&here, &key)).await {
        Ok(()) => Flash::ok(format!("Deleted the former key {}.", which.key)),
        Err(error) => Flash::danger(sentence(&error.to_string())),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("{HERE}/master-key")))))
}
