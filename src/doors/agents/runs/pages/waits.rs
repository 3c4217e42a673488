//! Why a run does not go on now, with the button that helps.

use features::agents::model::Agent;
use features::runs::model::Run;
use features::runs::queries::waits::{self, Why};
use store::{ReadExt, StoreError};

use super::look::Look;

/// Why a run does not go on.
pub(super) struct Waits {
    pub text: String,
    /// A page.
    pub door: Option<(String, &'static str)>,
    /// An action.
    pub deed: Option<(String, &'static str)>,
}

/// Why the run does not go on now.
pub(super) fn of(
    tx: &impl ReadExt,
    look: &Look<'_>,
    run: &Run,
    agent: Option<&Agent>,
) -> Result<Option<Waits>, StoreError> {
    let Some(Why { text, door, deed }) = waits::of(tx, run, agent)? else { return Ok(None) };
    let until = run.waiting.as_ref().and_then(|waiting| waiting.until);
    let text = match until {
        Some(until) => format!("{text} It goes on {} by itself.", look.time(until).text),
        None => text,
    };
    let place = |(path, label): (String, &'static str)| (look.ws.url(&path), label);
    Ok(Some(Waits { text, door: door.map(place), deed: deed.map(place) }))
}
