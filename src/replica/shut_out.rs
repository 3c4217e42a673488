//! What happens here when home does not let this machine in: for good, because another machine has its folder, or because
//! its program is of another version.

use std::time::Duration;

use crate::Replica;
use crate::folder::Known;
use crate::status::Why;

/// How long a host waits that is not let in any more.
pub(crate) const SHUT_OUT: Duration = Duration::from_secs(5 * 60);
/// How long one waits whose program is of another version, or whose key another program uses.
pub(crate) const AT_ODDS: Duration = Duration::from_secs(60);
/// How long one waits that is held, where home does not say it.
pub(crate) const CHOICE: Duration = Duration::from_secs(20);
/// The code of a machine that is not let in any more.
pub(crate) const REVOKED: &str = "gateway_revoked";
/// The code of one while nobody has chosen between it and a copy.
pub(crate) const HELD: &str = "gateway_held";
/// The code of one that was not chosen.
pub(crate) const COPIED: &str = "gateway_copy";
/// What home says to a machine that it does not let in any more.
pub(crate) const SHUT_OUT_CODES: [&str; 3] = [REVOKED, "unknown_gateway", COPIED];

impl Replica {
    /// Ends what works here when home does not let this machine in: nothing is left of programs and browsers. If it is let
    /// in after all, it is begun anew. Says whether keys may be left in the memory of this process that has to drop them.
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

    /// Notes by what home tells this folder from a copy of it from now on, and whether the other was chosen: a later start
    /// does not call then, since home may have been started and know nothing of the choice.
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
