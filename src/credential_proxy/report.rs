//! What became of stand-ins in a tunnel: told as it happens, so that a tunnel that is cut off has told all.

use std::fmt;

use parking_lot::Mutex;

use super::table::Place;

/// The most refusals that are kept; a tunnel ends at its first.
const MAX_REFUSALS: usize = 16;

/// A secret that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which secret.
    pub id: String,
    pub host: String,
    /// Where in the request.
    pub place: Place,
    /// How often.
    pub count: u64,
}

/// Something that was not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Towards which host.
    pub host: String,
    /// Why not, in one line.
    pub why: String,
}

/// One piece of news.
#[derive(Clone, Copy, Debug)]
pub enum Told<'t> {
    /// A secret is about to be sent; its count is how often in this request.
    Used(&'t Use),
    /// Something is refused.
    Refused(&'t Refusal),
}

type Hears = Box<dyn Fn(Told<'_>) + Send + Sync>;
type May = Box<dyn Fn(&Use) -> Result<(), String> + Send + Sync>;

/// The account of one tunnel, or of several.
#[derive(Default)]
pub struct Report {
    uses: Mutex<Vec<Use>>,
    refusals: Mutex<Vec<Refusal>>,
    hears: Option<Hears>,
    may: Option<May>,
}

impl Report {
    /// A report that also tells each piece at once. `hears` must not wait.
    pub fn telling(hears: impl Fn(Told<'_>) + Send + Sync + 'static) -> Report {
        Report { hears: Some(Box::new(hears)), ..Report::default() }
    }

    /// Asks this before each use of a secret; an error is the reason why nothing is passed on. `may` must not wait.
    #[must_use]
    pub fn asking(
        self,
        may: impl Fn(&Use) -> Result<(), String> + Send + Sync + 'static,
    ) -> Report {
        Report { may: Some(Box::new(may)), ..self }
    }

    /// The secrets that were used so far: one line for each secret, host and place.
    pub fn uses(&self) -> Vec<Use> {
        self.uses.lock().clone()
    }

    /// What was refused so far.
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
