//! Records of messengers. Settings are tracked; what the workers write is not, so undo never resends or forgets.

mod card;
mod channel;
mod delivery;
mod message;
mod person;
mod room;

use kernel::ids;

pub use card::{BY_SUBJECT, CARDS, Card, OPEN_CARDS, Subject};
pub use channel::{CHANNELS, Channel, ChannelState, Kind, STATES, State};
pub use delivery::{
    BY_NOTICE, BY_RUN, DELIVERIES, Delivery, DeliveryState, OPEN_BY_CHANNEL, Payload, PayloadKind,
};
pub use message::{AWAITING, BY_PROVIDER_ID, MESSAGES, Message, MessageState, RECENT};
pub use person::{Access, BY_SENDER, LINKS, PEOPLE, PairLink, Person};
pub use room::{BY_CHAT, BY_PLACE, ROOMS, ROUTES, Room, Route};

ids! {
    /// A sender that a channel knows.
    ChannelPersonId,
    /// A link that pairs whoever opens it with a member.
    PairLinkId,
    /// A room of a channel.
    ChannelRoomId,
    /// A rule that assigns conversations to an agent.
    ChannelRouteId,
    /// A received message.
    ChannelMessageId,
    /// A question to a person, with buttons.
    CardId,
    /// A message of the outbox.
    DeliveryId,
}
