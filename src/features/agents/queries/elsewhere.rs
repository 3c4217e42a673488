//! Agents that work on another machine: their files are changed there, and nothing of theirs goes on here while nothing is
//! heard of it.

use std::sync::OnceLock;

use app::Ws;
use jiff::tz::TimeZone;
use kernel::{AgentId, Timestamp};
use store::{Read, StoreError};

use crate::inbox::queries::why::clock;

/// The other machine that an agent works on, as it stands with it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// What it is called.
    pub label: String,
    /// Whether it is linked.
    pub is_linked: bool,
    /// When it was last heard of; none before its first word.
    pub heard_at: Option<Timestamp>,
}

impl Elsewhere {
    /// "Waits for GPU box, silent since 14:02."
    #[must_use]
    pub fn waits(&self, now: Timestamp, zone: &TimeZone) -> String {
        format!("Waits for {}.", self.silent(now, zone))
    }

    /// "GPU box, silent since 14:02"
    #[must_use]
    pub fn silent(&self, now: Timestamp, zone: &TimeZone) -> String {
        match self.heard_at {
            Some(at) => format!("{}, silent since {}", self.label, clock(at, now, zone)),
            None => format!("{}, which was never heard of", self.label),
        }
    }
}

/// The other machine that an agent works on; none where its files lie here.
pub type PlaceOf = fn(&Ws, &dyn Read, AgentId) -> Result<Option<Elsewhere>, StoreError>;

static OF: OnceLock<PlaceOf> = OnceLock::new();

/// Says who knows the machines, before the first page; only the first call counts.
pub fn install(of: PlaceOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = OF.set(of);
}

/// The other machine that an agent works on; none where its files lie here.
///
/// # Errors
/// When the store fails.
pub fn at(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<Option<Elsewhere>, StoreError> {
    OF.get().map_or(Ok(None), |of| of(ws, read, agent))
}

/// The same while nothing is heard of it: what is to happen there waits.
///
/// # Errors
/// When the store fails.
pub fn silent(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<Option<Elsewhere>, StoreError> {
    Ok(at(ws, read, agent)?.filter(|place| !place.is_linked))
}

/// What the other machine is called that an agent works on; none where its files lie here.
///
/// # Errors
/// When the store fails.
pub fn of(ws: &Ws, agent: AgentId) -> Result<Option<String>, StoreError> {
    Ok(ws.read(|snap| at(ws, snap, agent))?.map(|place| place.label))
}

#[cfg(test)]
mod tests {
    use super::{Elsewhere, TimeZone};
    use kernel::time::from_ms;

    #[test]
    fn who_waits_for_a_machine_is_told_which_and_since_when() {
        let at = |minutes: i64| from_ms(1_700_000_000_000 + minutes * 60_000);
        let waits = |heard_at| {
            let place = Elsewhere { label: "GPU box".to_owned(), is_linked: false, heard_at };
            place.waits(at(0), &TimeZone::UTC)
        };
        assert_eq!(waits(Some(at(-13))), "Waits for GPU box, silent since 22:00.");
        assert_eq!(waits(Some(at(-24 * 60))), "Waits for GPU box, silent since 13 Nov 22:13.");
        assert_eq!(waits(None), "Waits for GPU box, which was never heard of.");
    }
}
