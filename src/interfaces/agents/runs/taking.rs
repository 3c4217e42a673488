//! Taking a run back from a silent machine; shared by page and API.

use app::Ws;
use features::agents::queries::elsewhere;
use features::runs::model::Run;
use features::runs::rules::RunError;
use features::runs::rules::back::{self, Why};
use kernel::ProblemKind;
use web::error::Failure;
use web::idempotency::Once;
use web::session::Person;

/// Takes a run back; returns the machine's name.
///
/// # Errors
/// The run has ended, works here, or works on a linked machine; stop such a run instead.
pub(super) async fn take_back(
    ws: &Ws,
    who: &Person,
    run: &Run,
    once: Once,
) -> Result<String, Failure> {
    let place = ws.read(|snap| elsewhere::at(ws, snap, run.agent));
    let place = place.map_err(|error| Failure::of(&error))?;
    let (id, name) = (run.id, run.name());
    let refused = |code: &str, text: String| {
        Err::<String, _>(Failure::new(ProblemKind::Conflict, code, text))
    };
    let from = match place {
        // The rule reports this error, unless the request is a repeat with the same key.
        place if !run.is_live() => place.map(|place| place.label).unwrap_or_default(),
        None => {
            return refused("run_here", format!("{name} runs on this machine; stop it instead"));
        }
        Some(place) if place.is_linked => {
            let text = format!("{} is linked; stop {name} instead", place.label);
            return refused("gateway_online", text);
        }
        Some(place) => place.label,
    };
    let label = from.clone();
    let take = once.run(move |tx| back::take(tx, id, &label, Why::Silent).map(drop));
    ws.write(who, take).await.map_err(|error: RunError| Failure::of(&error))?;
    ws.live.finish(id);
    Ok(from)
}
