//! Rooms, and routes from places and senders to agents.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AgentId, ChannelId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{Channel, ChannelRoomId, ChannelRouteId};

pub const ROOMS: Table = Table::new(414, "channel_rooms");
/// Channel and the platform's id of the chat.
pub const BY_CHAT: Index = Index::unique(415, "channel_rooms_by_chat");
pub const ROUTES: Table = Table::new(416, "channel_routes");
/// Channel or none, room, thread and sender: at most one route per combination.
pub const BY_PLACE: Index = Index::unique(417, "channel_routes_by_place");

/// A group, channel or server room that the bot is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub id: ChannelRoomId,
    pub channel: ChannelId,
    pub chat: String,
    pub title: String,
    /// Whether the agent may answer here.
    pub is_allowed: bool,
    /// Whether the bot is still in the room.
    pub is_present: bool,
    /// Spending limit per day in micro-dollars.
    pub budget_micros: i64,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Room {
    type Id = ChannelRoomId;
    const TABLE: Table = ROOMS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_CHAT];
    fn id(&self) -> ChannelRoomId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_CHAT).part(self.channel).text(&self.chat);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: ChannelRoomId::from_bytes([62; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            chat: "-100".into(),
            title: "Sales ü".into(),
            is_allowed: true,
            is_present: true,
            budget_micros: 1_000_000,
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// Assigns new conversations to an agent. All given fields must match; empty ones match everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub id: ChannelRouteId,
    pub channel: Option<ChannelId>,
    /// The platform's id of a room.
    pub room: String,
    pub thread: String,
    /// The platform's id of a sender.
    pub sender: String,
    pub agent: Option<AgentId>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Route {
    type Id = ChannelRouteId;
    const TABLE: Table = ROUTES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_PLACE];
    fn id(&self) -> ChannelRouteId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        let key = keys.entry(BY_PLACE);
        match self.channel {
            Some(channel) => key.u8(1).part(channel),
            None => key.u8(0),
        };
        key.text(&self.room).text(&self.thread).text(&self.sender);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, self.channel, OnDelete::Cascade);
        refs.to::<Agent>(1, self.agent, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.agent = None;
    }
    fn sample() -> Self {
        Self {
            id: ChannelRouteId::from_bytes([63; 16]),
            channel: Some(ChannelId::from_bytes([60; 16])),
            room: "-100".into(),
            thread: "7".into(),
            sender: "42".into(),
            agent: Some(AgentId::from_bytes([5; 16])),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
