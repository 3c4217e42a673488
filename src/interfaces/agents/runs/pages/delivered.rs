//! Delivery state of an answer on messengers, for the conversation.

use channels::model::{Channel, Delivery, DeliveryId, DeliveryState};

/// Messages that are still being sent.
pub(super) fn open(deliveries: &[(Channel, Delivery)]) -> Vec<DeliveryId> {
    deliveries.iter().filter(|(_, one)| one.state.is_open()).map(|(_, one)| one.id).collect()
}

/// "Sent on Telegram", for each messenger. A message that did not arrive counts more than one that did.
pub(super) fn sent(deliveries: &[(Channel, Delivery)]) -> Vec<String> {
    let rank = |state: DeliveryState| match state {
        DeliveryState::Failed | DeliveryState::Expired => 3,
        DeliveryState::Unknown => 2,
        DeliveryState::Queued | DeliveryState::Sending => 1,
        DeliveryState::Sent | DeliveryState::Suppressed => 0,
    };
    let mut worst: Vec<(&'static str, DeliveryState)> = Vec::new();
    for (channel, one) in deliveries {
        let kind = channel.kind.label();
        match worst.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, state)) if rank(*state) < rank(one.state) => *state = one.state,
            Some(_) => {}
            None => worst.push((kind, one.state)),
        }
    }
    let words = |(kind, state): (&str, DeliveryState)| format!("{} on {kind}", state.label());
    worst.into_iter().map(words).collect()
}
