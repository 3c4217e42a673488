//! Rules on a real store, with all reactions and without a server: what they promise whatever comes.

mod firing;
mod items;
mod managers;
mod money;
mod outbox;
