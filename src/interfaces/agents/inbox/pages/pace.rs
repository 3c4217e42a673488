//! When an agent starts work and how much, in its settings.

use std::collections::BTreeMap;

use axum::response::Response;

use app::{App, Ws};
use features::agents::queries as agents;
use features::inbox::model::pace::Pace;
use features::inbox::rules;
use features::inbox::rules::pace::{PaceError, PaceRequest, QuietRequest};
use store::WriteTx;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::{check_rev, sentence};
use web::hx::Hx;
use web::session::Person;
use web::shell::Flash;

/// The form; each day is a field.
type FormValues = BTreeMap<String, String>;

fn wish(form: &FormValues) -> Result<PaceRequest, &'static str> {
    let at = |field: &str| form.get(field).map_or("", |text| text.trim());
    let quiet = !(at("quiet_from").is_empty() && at("quiet_until").is_empty());
    let days = (1..=7).filter(|day| !at(&format!("day_{day}")).is_empty());
    let per_hour = match at("per_hour") {
        "" => None,
        text => Some(text.parse().map_err(|_| "Enter a whole number of items per hour.")?),
    };
    Ok(PaceRequest {
        quiet: quiet.then(|| QuietRequest {
            days: days.collect(),
            from: at("quiet_from").to_owned(),
            until: at("quiet_until").to_owned(),
            zone: at("quiet_zone").to_owned(),
        }),
        per_hour,
    })
}

/// `POST /agents/{slug}/pace`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let id = agent.id;
    let flash = match wish(&form) {
        Err(wrong) => Flash::danger(wrong),
        Ok(wish) => {
            let rev = form.get("rev").cloned().unwrap_or_default();
            let set = move |tx: &mut WriteTx<'_>| -> Result<_, PaceError> {
                check_rev::<Pace>(tx, id, &rev)?;
                rules::pace::set(tx, id, &wish)
            };
            match ws.write(&who, set).await {
                Ok(()) => Flash::ok("Saved."),
                Err(error @ PaceError::Field(_)) => Flash::danger(sentence(&error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let back = ws.url(&format!("agents/{}/settings", agent.slug));
    Ok(flash::say(&app, flash, hx.go_to(&back)))
}
