//! Rules of channels. Each received event is one transaction: message row, the agent's input and the cursor.

mod answer;
mod cards;
mod changes;
mod channel;
mod command;
mod files;
mod limits;
mod notices;
mod outbox;
mod pairing;
mod receive;
mod results;
mod said;
mod state;

use kernel::{Error, ProblemKind};

pub use answer::{NO_REPLY, audience, react};
pub use cards::{button, close_decided, offer, pressed};
pub use changes::{edited, moved, presence};
pub use channel::{change, create, rests, save_route};
pub use command::Context;
pub use files::{Files, takes_files};
pub use notices::{chat_of, has_chat, notify, tell};
pub use outbox::{
    Place, claim, dismiss, postpone, preview, queue, receipt, resend, settle_failed,
    settle_needless, settle_sent, settle_unknown,
};
pub use pairing::{Stranger, approve, deny, link, open_request, pair_by_link, revoke};
pub use receive::{answer_now, message};
pub use said::say;
pub use state::{connected, cursor, report, set_state};

/// The sender's account changed since the actor of the write was determined.
pub(crate) fn sender_changed() -> Error {
    Error::new(ProblemKind::Conflict, "sender_changed", "the sender’s access changed; try again")
}
