//! Contacts, organizations and collections. A record is a set of cells; each cell says who put its value there, when,
//! through what and on which grounds. What differs between the three is a table, a card and the fields that HQ brings.

// Templates name what stands here by its full path.
extern crate self as crm;

pub mod api;
pub mod cards;
pub mod columns;
pub mod convert;
pub mod cursor;
pub mod error;
pub mod filters;
pub mod import;
pub mod list;
pub mod model;
pub mod names;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod tools;
mod list_cache;
mod order;
mod path_kind;
mod pieces;
mod touches;
mod typed;
mod uses;
pub mod views;

pub use cards::NOUNS;

use app::Ws;
use kernel::{Actor, Cause, Part};

/// What contacts, organizations and collections do by themselves when a workspace is opened: imports and
/// conversions go on, and tags
/// from before they were labels become some.
pub fn begin(ws: &Ws) {
    import::begin(ws);
    convert::begin(ws);
    match ws.read(|snap| rules::tags_wait(snap)) {
        Ok(false) => {}
        Ok(true) => {
            let own = ws.clone();
            ws.spawn("tags", async move {
                let by = (Actor::System(Part::Setup), Cause::Setup);
                if let Err(error) = own.write(&by, rules::take_over_tags).await {
                    tracing::warn!(%error, "tags are no labels yet");
                }
            });
        }
        Err(error) => tracing::warn!(%error, "tags cannot be read"),
    }
}
