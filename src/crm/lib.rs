//! Contacts, organizations and collections. A record is a set of cells; each cell has the origin of its value: author,
//! time, channel and sources. The three differ only in their table, descriptor and built-in fields.

// Templates name items of this package by their full path.
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

/// Background work when a workspace is opened: resumes imports and conversions, and converts tags from before they were
/// labels.
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
