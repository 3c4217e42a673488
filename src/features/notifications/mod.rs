//! Notifications: watches, recipients and delivery.
//!
//! All notifications are created by `rules::notify`. Reactions of this module call it for events of other nouns; other
//! nouns may emit a `kernel::Notice`. A notification has one row per person, written in the causing transaction. A
//! consumer delivers it.

pub mod model;
pub mod outbound;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod sending;
