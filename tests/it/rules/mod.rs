//! Rules on a real store, with all reactions and without a server: invariants.

mod firing;
mod items;
mod managers;
mod money;
mod outbox;
