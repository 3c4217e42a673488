//! The primary's side of host links. A host connects to one URL and authenticates ([`door`]). An admitted host is
//! served until its link ends ([`serve`]): its reports are stored, its engine's writes are executed ([`commands`]),
//! and replicated data is shipped ([`ship`], [`keys`], [`files`]).

mod commands;
mod door;
mod files;
mod keys;
mod serve;
mod ship;

use kernel::Can;
use web::routes::{Needs as _, Routes};

pub use door::Porch;

/// Routes outside a workspace. The handshake authenticates the host, so no sign-in is needed.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get(link::PLACE, door::knocks.needs(Can::Open))
}
