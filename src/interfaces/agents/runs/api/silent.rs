//! Runs on silent machines, and late reports of such machines.

use schemars::JsonSchema;
use serde::Serialize;

use app::Ws;
use features::runs::model::Run;
use features::runs::queries::{evidence, silent};
use store::{Read, StoreError};
use web::format;

/// Size limit of the late reports in a response, in bytes.
const ENOUGH: usize = 256 << 10;

/// The machine of an agent, while nothing is heard of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SilentOut {
    /// What it is called.
    pub(super) name: String,
    /// When it was last heard of; none before its first word.
    since: Option<String>,
    /// What the run may spend there by itself, in micro-dollars; none when it waits.
    goes_on_micros: Option<i64>,
    /// Until when it may go on by itself.
    goes_on_until: Option<String>,
    /// The same in one sentence.
    #[serde(skip)]
    pub(super) why: String,
}

impl SilentOut {
    /// The silent machine that a run waits for or continues on.
    pub(super) fn of(ws: &Ws, tx: &dyn Read, run: &Run) -> Result<Option<Self>, StoreError> {
        let Some(place) = silent::awaited(ws, tx, run)? else { return Ok(None) };
        let own = silent::on_its_own(tx, run, &place, ws.app.clock.now())?;
        let stop = match run.stop {
            Some(_) => silent::stops_later(ws, tx, run)?,
            None => None,
        };
        let name = place.label;
        let until = own.as_ref().map(|own| own.until.to_string());
        let why = match (&own, &until, stop) {
            _ if place.is_revoked => {
                format!("{name} has been revoked and the run has stopped there.")
            }
            (.., Some(stop)) => format!("{name} isn't responding. {stop}"),
            (Some(own), Some(until), None) => format!(
                "{name} isn't responding. The run continues there until {} is spent or until \
                 {until}, and waits for {name} when it needs HQ.",
                format::money(own.micros)
            ),
            _ => format!("Waiting for {name}, which isn't responding."),
        };
        Ok(Some(Self {
            since: place.heard_at.map(|at| at.to_string()),
            goes_on_micros: own.map(|own| own.micros),
            goes_on_until: until,
            name,
            why,
        }))
    }
}

/// Something that a machine said of a run after that was taken from it: kept, and not applied.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LateOut {
    /// Which of the run's writes it was.
    number: u64,
    /// What kind of write, in a word.
    kind: String,
    /// What it says, in words.
    text: String,
    /// When it was written there, by the clock of that machine.
    at: String,
    /// When it came.
    came_at: String,
}

impl LateOut {
    /// The first late reports of a run within the size limit, and whether there are more.
    pub(super) fn of(tx: &dyn Read, run: &Run) -> Result<(Vec<Self>, bool), StoreError> {
        let (rows, mut more) = evidence::of_run(tx, run.id)?;
        let (all, mut size) = (rows.len(), 0);
        let fits = |out: &Self| {
            let fits = size < ENOUGH;
            size += out.text.len();
            fits
        };
        let out = rows.into_iter().map(|one| Self {
            number: one.number,
            text: evidence::in_words(&one),
            kind: one.kind,
            at: one.at.to_string(),
            came_at: one.came_at.to_string(),
        });
        let out: Vec<Self> = out.take_while(fits).collect();
        more |= out.len() < all;
        Ok((out, more))
    }
}
