//! Records of messengers. Settings are tracked. Rows of the workers are not, so an undo never resends or loses a message.

mod card;
mod channel;
mod delivery;
mod message;
mod person;
mod room;

use kernel::ids;

pub use card::{BY_SUBJECT, CARDS, Card, Matter, OPEN_BY_MATTER, OPEN_CARDS, Subject};
pub use channel::{CHANNELS, Channel, ChannelState, Kind, Previews, STATES, State};
pub use delivery::{
    BY_NOTICE, BY_RUN, DELIVERIES, Delivery, DeliveryState, OPEN_BY_CHANNEL, Payload, PayloadKind,
    ReceiptState,
};
pub use message::{
    AWAITING, Awaiting, BY_PROVIDER_ID, DAILY_LIMIT, LIMITED, MESSAGES, Message, MessageState,
    RECENT, counted_key, refused_key,
};
pub use person::{Access, BY_ACCOUNT, BY_SENDER, LINKS, PEOPLE, PairLink, Person};
pub use room::{BY_CHAT, BY_PLACE, ROOMS, ROUTES, Room, Route};

ids! {
    /// A known sender of a channel.
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
