//! Deliveries of a run's answers to messengers, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use channels::model::{Channel, Delivery};
use kernel::RunId;
use store::{Read, StoreError};

/// A message with an answer of a run, on a messenger.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeliveryOut {
    /// For `channel-deliveries/{id}/resend`.
    id: String,
    /// The name of the channel.
    channel: String,
    /// `telegram`, `discord`, `slack` or `webhook`.
    kind: &'static str,
    /// `queued`, `sending`, `sent`, `failed`, `unknown`, `expired` or `suppressed`.
    state: &'static str,
    /// Why it was not sent.
    detail: String,
    /// Number of the part, from 1, and number of parts.
    part: u32,
    parts: u32,
    sent_at: Option<String>,
}

impl DeliveryOut {
    pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Vec<Self>, StoreError> {
        let all = channels::queries::of_run(tx, run)?.into_iter();
        let one = |(channel, delivery): (Channel, Delivery)| Self {
            id: delivery.id.to_string(),
            channel: channel.name,
            kind: channel.kind.word(),
            state: delivery.state.word(),
            detail: delivery.detail,
            part: delivery.part,
            parts: delivery.parts,
            sent_at: delivery.sent_at.map(|at| at.to_string()),
        };
        Ok(all.map(one).collect())
    }
}
