//! Home's side of the link. A host knocks at one address and proves who it is ([`door`]); whoever is let in is served
//! until its link ends ([`serve`]): what it says is kept, what its engine
//! writes is carried out ([`commands`]), and what it may have is shipped ([`ship`], [`keys`], [`files`]).

mod commands;
mod door;
mod files;
mod keys;
mod serve;
mod ship;

use kernel::Can;
use web::routes::{Needs as _, Routes};

pub use door::Porch;

/// The routes, outside of a workspace: the handshake proves, and no sign-in is asked for.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get(link::PLACE, door::knocks.needs(Can::Open))
}
