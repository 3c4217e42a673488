//! Messengers: bot accounts of Telegram, Discord and Slack, and bridges to others, through which people talk to agents. Each
//! message is handled once; each answer is a row of an outbox until the platform has it.

mod codes;
mod connect;
pub mod consumer;
mod feed;
pub mod hook;
pub mod model;
pub mod nouns;
pub mod picture;
pub mod places;
pub mod queries;
pub mod rules;
pub mod tools;
pub mod worker;

use channel_format::Platform;

use model::Kind;

fn platform(kind: Kind) -> Platform {
    match kind {
        Kind::Telegram => Platform::Telegram,
        Kind::Discord => Platform::Discord,
        Kind::Slack => Platform::Slack,
        Kind::Webhook => Platform::Bridge,
    }
}
