//! Why a run waits, with the action that helps.

use axum::response::Response;

use crate::runs::taking;
use app::Ws;
use features::agents::model::Agent;
use features::inbox::queries::why::clock;
use features::runs::model::Run;
use features::runs::queries::silent;
use features::runs::queries::waits::{self, Why};
use kernel::{Can, WaitFor};
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::Path;
use web::format;
use web::hx::Hx;
use web::idempotency::Once;
use web::session::Person;

use super::display::Look;
use super::show::find;

/// Why a run waits.
pub(super) struct Waits {
    pub text: String,
    /// A link: address and label.
    pub door: Option<(String, &'static str)>,
    /// An action: address and label.
    pub deed: Option<(String, &'static str)>,
    /// Address and explanation of taking the run back from a silent machine.
    pub back: Option<(String, String)>,
}

/// Why the run waits.
pub(super) fn of(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    agent: Option<&Agent>,
) -> Result<Option<Waits>, StoreError> {
    if let Some(waits) = for_machine(tx, look, run)? {
        return Ok(Some(waits));
    }
    let Some(Why { mut text, door, deed }) = waits::of(tx, run, agent)? else { return Ok(None) };
    let signs_in = run.waits_for() == Some(WaitFor::SignIn);
    // The page of a sign-in is for admins.
    let may_open = !signs_in || look.access.may(Can::Admin);
    if !may_open {
        text.push_str(" An admin has to sign in.");
    }
    if let Some(until) = run.waiting.as_ref().and_then(|waiting| waiting.until) {
        let time = look.time(until).text;
        text.push_str(&match signs_in {
            true => format!(" Without it, the call fails {time}."),
            false => format!(" It continues automatically {time}."),
        });
    }
    let place = |(path, label): (String, &'static str)| (look.ws.url(&path), label);
    Ok(Some(Waits {
        text,
        door: door.filter(|_| may_open).map(place),
        deed: deed.map(place),
        back: None,
    }))
}

/// The reason of a run that waits for its silent machine.
fn for_machine(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Option<Waits>, StoreError> {
    let Some(place) = silent::awaited(look.ws, tx, run)? else { return Ok(None) };
    let label = &place.label;
    let own = silent::on_its_own(tx, run, &place, look.now)?;
    let stop = match run.stop {
        Some(_) => silent::stops_later(look.ws, tx, run)?,
        None => None,
    };
    let text = match (own, stop) {
        _ if place.is_revoked => format!(
            "{label} has been revoked and the run has stopped there. End it here and move its \
             agent to another machine."
        ),
        (_, Some(stop)) => format!("{} {stop}", place.describe(look.now, &look.zone)),
        // Which of the two the machine does is unknown here.
        (Some(own), None) => format!(
            "{} The run continues there on its own files and programs until {} is spent or until \
             {}. It waits for {label} when it needs HQ.",
            place.describe(look.now, &look.zone),
            format::money(own.micros),
            clock(own.until, look.now, &look.zone),
        ),
        (None, None) => format!(
            "{} It continues automatically when {label} is back.",
            place.waits(look.now, &look.zone)
        ),
    };
    let then = match run.item {
        Some(_) => "The run ends here and its work starts again where the agent works then.",
        None => "The run ends here. The conversation is kept and can continue from there.",
    };
    let message = format!(
        "{then} Anything it did on {label} since the last contact may have taken effect. Later \
         reports from {label} are kept for reading but not applied."
    );
    let href = look.ws.url(&format!("runs/{}/take-back", run.name()));
    let back = look.may_chat.then_some((href, message));
    Ok(Some(Waits { text, door: None, deed: None, back }))
}

/// `POST /runs/{name}/take-back`
pub(super) async fn take_back(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let taken = taking::take_back(&ws, &who, &run, Once::without_key()).await;
    let from = taken.map_err(PageError)?;
    let url = ws.url(&format!("runs/{}", run.name()));
    Ok(hx.done(&format!("Taken back from {from}"), &url))
}
