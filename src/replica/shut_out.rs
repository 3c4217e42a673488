//! Handling of a host that the primary does not admit: revoked, held because of a copied folder, or running another
//! version.

use std::time::Duration;

use crate::Replica;
use crate::folder::Known;
use crate::status::Why;

/// Retry delay of a host that is shut out.
pub(crate) const SHUT_OUT: Duration = Duration::from_secs(5 * 60);
/// Retry delay of a host with another version, or whose key is in use by another program.
pub(crate) const AT_ODDS: Duration = Duration::from_secs(60);
/// Default retry delay of a held host.
pub(crate) const CHOICE: Duration = Duration::from_secs(20);
/// Refusal code of a revoked host.
pub(crate) const REVOKED: &str = "gateway_revoked";
/// Refusal code while nobody has chosen between this host and a copy.
pub(crate) const HELD: &str = "gateway_held";
/// Refusal code of the copy that was not chosen.
pub(crate) const COPIED: &str = "gateway_copy";
/// Refusal codes of a host that is shut out for good.
pub(crate) const SHUT_OUT_CODES: [&str; 3] = [REVOKED, "unknown_gateway", COPIED];

impl Replica {
    /// Stops the engine, with all programs and browsers, if the primary does not admit this host; a later admission
    /// starts it again. Returns `true` if keys that must be dropped may remain in this process's memory.
    pub(crate) async fn ends_if_not_let_in(&self, why: &Why) -> bool {
        let (is_held, is_out) = (why.code == HELD, SHUT_OUT_CODES.contains(&why.code.as_str()));
        if !is_held && !is_out {
            return false;
        }
        if is_out {
            self.0.calls.forget_keys();
        }
        self.0.is_wanted.send_replace(false);
        self.ends_work(true).await;
        is_out && self.0.calls.had_keys()
    }

    /// Records how the primary tells this folder from its copy, and whether the other was chosen. A rejected copy does
    /// not connect after a restart, because the primary may have restarted and forgotten the choice.
    pub(crate) fn note_that_there_are_two(&self, code: &str) {
        let Some(known) = self.known() else { return };
        let noted = match code {
            HELD => self.keep(Known { branch: Some(self.0.life.clone()), ..known }),
            COPIED => self.keep(Known { is_refused: true, ..known }),
            _ => return,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "it cannot be noted that this folder was copied");
        }
    }
}
