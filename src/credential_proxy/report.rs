//! Reports uses of placeholders in a tunnel as they happen, so the report is complete even if the tunnel is
//! interrupted.

use std::fmt;

use parking_lot::Mutex;

use super::table::Place;

/// Maximum number of refusals kept. A tunnel ends at its first.
const MAX_REFUSALS: usize = 16;

/// A secret that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Id of the secret.
    pub id: String,
    pub host: String,
    /// Place in the request.
    pub place: Place,
    /// Number of uses.
    pub count: u64,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Destination host.
    pub host: String,
    /// The reason in one line.
    pub why: String,
}

/// A report event.
#[derive(Clone, Copy, Debug)]
pub enum Told<'t> {
    /// A secret is about to be sent; `count` is the number of uses in this request.
    Used(&'t Use),
    /// Something was refused.
    Refused(&'t Refusal),
}

type Hears = Box<dyn Fn(Told<'_>) + Send + Sync>;
type May = Box<dyn Fn(&Use) -> Result<(), String> + Send + Sync>;

/// Report of one or several tunnels.
#[derive(Default)]
pub struct Report {
    uses: Mutex<Vec<Use>>,
    refusals: Mutex<Vec<Refusal>>,
    hears: Option<Hears>,
    may: Option<May>,
}

impl Report {
    /// A report that also emits each event immediately. `hears` must not block.
    pub fn telling(hears: impl Fn(Told<'_>) + Send + Sync + 'static) -> Report {
        Report { hears: Some(Box::new(hears)), ..Report::default() }
    }

    /// Calls `may` before each use of a secret. An error refuses the request with that reason. `may` must not block.
    #[must_use]
    pub fn asking(
        self,
        may: impl Fn(&Use) -> Result<(), String> + Send + Sync + 'static,
    ) -> Report {
        Report { may: Some(Box::new(may)), ..self }
    }

    /// Uses so far, aggregated by secret, host and place.
    pub fn uses(&self) -> Vec<Use> {
        self.uses.lock().clone()
    }

    /// Refusals so far.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().clone()
    }

    /// Why a secret may not be used now.
    pub(crate) fn check(&self, new: &Use) -> Result<(), String> {
        self.may.as_ref().map_or(Ok(()), |may| may(new))
    }

    pub(crate) fn used(&self, new: Use) {
        if let Some(hears) = &self.hears {
            hears(Told::Used(&new));
        }
        let same =
            |old: &&mut Use| old.id == new.id && old.host == new.host && old.place == new.place;
        let mut uses = self.uses.lock();
        match uses.iter_mut().find(same) {
            Some(old) => old.count += new.count,
            None => uses.push(new),
        }
    }

    pub(crate) fn refused(&self, new: Refusal) {
        if let Some(hears) = &self.hears {
            hears(Told::Refused(&new));
        }
        let mut refusals = self.refusals.lock();
        if refusals.len() < MAX_REFUSALS {
            refusals.push(new);
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("uses", &self.uses())
            .field("refusals", &self.refusals())
            .finish_non_exhaustive()
    }
}
