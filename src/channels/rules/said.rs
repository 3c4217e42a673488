//! What agents send of their own accord, with a limit per place.

use jiff::SignedDuration;
use kernel::{Error, ProblemKind, RunId};
use store::{Range, ReadExt as _, WriteTx};

use crate::model::{Delivery, DeliveryState, Payload};

use super::outbox::{self, Place};

/// Most messages of agents to a place within an hour.
const MOST: usize = 20;
const WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Most deliveries of the last hour that are examined.
const EXAMINED: usize = 5_000;

/// Queues a message of a run.
///
/// # Errors
/// If the place got too many messages.
pub fn say(tx: &mut WriteTx<'_>, place: &Place, run: RunId, markdown: &str) -> Result<(), Error> {
    check_limit(tx, place)?;
    let like = outbox::new(tx, place, Payload::Said(String::new()), DeliveryState::Queued);
    let expires_at = tx.now() + outbox::DAY;
    outbox::queue_parts(
        tx,
        &Delivery { run: Some(run), expires_at, ..like },
        markdown,
        &Payload::Said,
    )
}

/// # Errors
/// If agents wrote to the place too often within the last hour.
pub(super) fn check_limit(tx: &WriteTx<'_>, place: &Place) -> Result<(), Error> {
    let since = tx.now() - WITHIN;
    let newest: Vec<Delivery> = tx.list(&Range::all().reverse().limit(EXAMINED))?;
    let is_of_agent = |one: &&Delivery| match one.payload {
        Payload::Said(_) => one.part == 1,
        Payload::Notice { .. } => one.part == 1 && one.run.is_some(),
        _ => false,
    };
    let is_here = |one: &&Delivery| one.channel == place.channel && one.chat == place.chat;
    let lately = newest.iter().take_while(|one| since < one.created_at);
    if lately.filter(is_here).filter(is_of_agent).count() < MOST {
        return Ok(());
    }
    let message = format!(
        "{MOST} messages went there within the last hour; send no more for now, or put the rest \
         into one later"
    );
    Err(Error::new(ProblemKind::Limited, "place_limit", message))
}
