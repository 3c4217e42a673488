//! The settings page of usage and budgets.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::workspace::model::Settings;
use kernel::Can;
use store::{ReadExt, WriteTx};
use web::error::PageError;
use web::extract::{Form, Query};
use web::flash;
use web::form::{Wrong, check_rev, rev_of};
use web::format;
use web::html;
use web::hx::Hx;
use web::routes::{Needs, Routes};
use web::session::{Alive, Person};
use web::shell::{Flash, Shell};

use super::api::files;
use features::usage::rules::UsageError;
use features::usage::rules::budgets::{Limits, set_limits};
use features::usage::span::SpanParams;

mod budgets;
mod figures;
mod prices;

use figures::{View, view};

const HERE: &str = "settings/usage";
const MENU: &str = "usage";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/usage", show.needs(Can::Read))
        .post("/settings/usage", save.needs(Can::Admin))
        .get("/settings/usage/days.csv", days.needs(Can::Read))
        .get("/settings/usage/calls.csv", calls.needs(Can::Read))
        .merge(budgets::routes())
        .merge(prices::routes())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct UsageForm {
    month: String,
    run: String,
    /// Revision of the settings, which have both limits.
    rev: String,
}

#[derive(Template)]
#[template(path = "usage/show.html")]
struct UsagePage {
    shell: Shell,
    here: &'static str,
    manages: bool,
    view: View,
    v: UsageForm,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "usage/figures.html")]
struct Figures {
    view: View,
}

async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(params): Query<SpanParams>,
) -> Result<Response, PageError> {
    let view = ws.read_blocking(move |ws| ws.read(|snap| view(ws, snap, &params))).await?;
    if hx.wants("usage") {
        return html::fragment(&Figures { view });
    }
    let settings = ws.read(|snap| snap.get_rev::<Settings>(()))?;
    let v = settings.map_or_else(UsageForm::default, |(settings, rev)| UsageForm {
        rev: rev.to_string(),
        month: settings.budget_micros.map_or_else(String::new, format::plain_dollars),
        run: match settings.run_cap_micros {
            0 => String::new(),
            cap => format::plain_dollars(cap),
        },
    });
    let manages = who.access.may(Can::Admin);
    let wrong = Wrong::none();
    html::page(&UsagePage { shell, here: MENU, manages, view, v, wrong })
}

async fn days(ws: Ws, Query(params): Query<SpanParams>) -> Result<Response, PageError> {
    files::days(ws, params).await
}

async fn calls(
    ws: Ws,
    alive: Alive,
    Query(params): Query<SpanParams>,
) -> Result<Response, PageError> {
    files::calls(ws, alive, params).await
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Form(mut form): Form<UsageForm>,
) -> Result<Response, PageError> {
    let wrong = match limits(&form) {
        Ok(limits) => {
            let rev = form.rev.clone();
            let set = move |tx: &mut WriteTx<'_>| -> Result<_, UsageError> {
                check_rev::<Settings>(tx, (), &rev)?;
                set_limits(tx, limits)
            };
            match ws.write(&who, set).await {
                Ok(()) => {
                    let flash = Flash::ok("Limits saved. They apply from the next call.");
                    return Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
        Err(wrong) => wrong,
    };
    if wrong.is_stale() {
        form.rev = ws.read(|snap| rev_of::<Settings>(snap, ()))?;
    }
    let view =
        ws.read_blocking(|ws| ws.read(|snap| view(ws, snap, &SpanParams::default()))).await?;
    let manages = who.access.may(Can::Admin);
    let status = wrong.status();
    let page = UsagePage { shell, here: MENU, manages, view, v: form, wrong };
    html::document(status, &page)
}

fn limits(form: &UsageForm) -> Result<Limits, Wrong> {
    let amount = |field: &str, text: &str| match text.trim() {
        "" => Ok(None),
        text => match format::parse_dollars(text) {
            Some(micros) => Ok(Some(micros)),
            None => {
                let message = format!("{}, or leave it empty", format::wanted_dollars());
                Err(Wrong::field(field, message))
            }
        },
    };
    Ok(Limits {
        month_micros: amount("month", &form.month)?,
        run_micros: amount("run", &form.run)?.unwrap_or(0),
    })
}
