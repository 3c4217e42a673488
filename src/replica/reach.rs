//! Connects this machine: as a known gateway, else with the token of the join command.

use std::time::Duration;

use link::{Facts, Knock, LinkError, Linked, Pin, Purpose, Refusal, Trust};

use crate::error::ReplicaError;
use crate::folder::{self, Known};
use crate::shut_out::{AT_ODDS, SHUT_OUT};
use crate::{Join, Replica, Token, VERSION, facts};

impl Replica {
    /// Returns `true` if a retry is pointless because the join command is wrong.
    pub(crate) fn is_final(&self, error: &ReplicaError) -> bool {
        if self.known().is_some() {
            return false;
        }
        match error {
            ReplicaError::Link(LinkError::Refused(refusal)) => refusal.wait.is_none(),
            ReplicaError::Link(LinkError::OtherHome { .. } | LinkError::BadAddress { .. })
            | ReplicaError::NoSuchHome { .. }
            | ReplicaError::NoToken
            | ReplicaError::NotJoined
            | ReplicaError::Disk { .. } => true,
            _ => false,
        }
    }

    /// Connects to the primary: as a known gateway, else with the token.
    pub(crate) async fn reach(&self) -> Result<Linked, ReplicaError> {
        let Some(known) = self.known() else { return self.join().await };
        if known.is_refused {
            return Err(ReplicaError::Copied);
        }
        let home = match &self.0.joins {
            Some((home, _)) => home.clone(),
            None => known.home.clone(),
        };
        let purpose = Purpose::Known { gateway: known.gateway };
        match self.knock(&home, &Pin::Key(known.key), purpose).await {
            Ok(linked) => {
                let label = linked.admitted.label.clone();
                self.keep(Known { home, label, ..known })?;
                folder::forget_token(&self.0.folder)?;
                Ok(linked)
            }
            // The gateway was removed on the primary. A new command joins again with the same key.
            Err(ReplicaError::Link(LinkError::Refused(refusal)))
                if refusal.code == "unknown_gateway" && self.has_token() =>
            {
                self.join().await
            }
            Err(error) => Err(error),
        }
    }

    fn has_token(&self) -> bool {
        match &*self.0.token.lock() {
            Some(Token::File(path)) => path.exists(),
            Some(Token::Given(_)) => true,
            None => false,
        }
    }

    /// Joins with the token, which is used up and removed.
    async fn join(&self) -> Result<Linked, ReplicaError> {
        let (home, print) = self.0.joins.clone().ok_or(ReplicaError::NotJoined)?;
        let token = match &*self.0.token.lock() {
            Some(token) => token.read()?,
            None => return Err(ReplicaError::NoToken),
        };
        let pin = Pin::Fingerprint(print.clone());
        let linked = match self.knock(&home, &pin, Purpose::Join { token }).await {
            Err(ReplicaError::Link(LinkError::NoSocket { status: 404, .. })) => {
                return Err(ReplicaError::NoSuchHome { home, fingerprint: print });
            }
            other => other?,
        };
        self.keep(Known {
            home: home.clone(),
            key: linked.home,
            gateway: linked.admitted.gateway,
            label: linked.admitted.label.clone(),
            epoch: None,
            branch: None,
            is_refused: false,
        })?;
        *self.0.token.lock() = None;
        folder::forget_token(&self.0.folder)?;
        tracing::info!("joined {home} as {}", linked.admitted.label);
        Ok(linked)
    }

    async fn knock(&self, home: &str, pin: &Pin, purpose: Purpose) -> Result<Linked, ReplicaError> {
        let print = match pin {
            Pin::Key(key) => key.fingerprint(),
            Pin::Fingerprint(print) => print.clone(),
        };
        let trust = trust(home).await?;
        let address = match &purpose {
            Purpose::Known { gateway } => link::address_of(home, &print, *gateway),
            Purpose::Join { .. } => link::address(home, &print),
        };
        let carrier = link::connect(&address, &trust, self.0.pace).await?;
        // ok: a host that has not joined was never held.
        let branch = self.known().and_then(|known| known.branch).unwrap_or_default();
        let facts = Facts {
            life: self.0.life.clone(),
            branch,
            ..facts::facts(&self.0.folder, &self.0.labels)
        };
        let knock = Knock {
            identity: &self.0.identity,
            pin,
            purpose,
            facts: &facts,
            version: VERSION,
            pace: self.0.pace,
        };
        Ok(link::knock(carrier, knock).await?)
    }
}

/// Address and fingerprint of the primary in the command, if there is one. A fingerprint that differs from the known
/// key is refused.
pub(crate) fn meant(
    known: Option<&Known>,
    join: &Join,
) -> Result<Option<(String, String)>, ReplicaError> {
    let print = join.fingerprint.as_deref().map(link::grouped);
    let home = join.home.as_deref().map(|home| home.trim().trim_end_matches('/').to_owned());
    match (known, home) {
        (None, None) => Err(ReplicaError::NotJoined),
        (Some(_), None) => Ok(None),
        (None, Some(home)) => match print {
            None => Err(ReplicaError::NoFingerprint),
            Some(_) if join.token.is_none() => Err(ReplicaError::NoToken),
            Some(print) => Ok(Some((home, print))),
        },
        (Some(known), Some(home)) => match print {
            Some(print) if !known.key.is(&print) => Err(ReplicaError::Elsewhere {
                home: known.home.clone(),
                fingerprint: known.key.fingerprint(),
            }),
            _ => Ok(Some((home, known.key.fingerprint()))),
        },
    }
}

/// The roots for an address. They are read for each link, so that an idle host keeps none in memory.
async fn trust(home: &str) -> Result<Trust, LinkError> {
    if !home.starts_with("https://") && !home.starts_with("wss://") {
        return Trust::nobody();
    }
    let read = tokio::task::spawn_blocking(Trust::system).await;
    read.unwrap_or_else(|error| Err(LinkError::Roots { detail: error.to_string() }))
}

/// The minimum delay before the next attempt.
pub(crate) fn wait_after(error: &ReplicaError) -> Option<Duration> {
    match error {
        ReplicaError::Link(LinkError::Refused(refusal)) => {
            let own = if refusal.code == Refusal::WIRE { AT_ODDS } else { SHUT_OUT };
            Some(refusal.wait.unwrap_or(own))
        }
        ReplicaError::Copied => Some(SHUT_OUT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{GatewayId, TypedId as _};
    use link::Identity;
    use zeroize::Zeroizing;

    fn known() -> Known {
        Known {
            home: "https://hq.example.com".into(),
            key: Identity::generate().public(),
            gateway: GatewayId::from_bytes([9; 16]),
            label: "GPU".into(),
            epoch: None,
            branch: None,
            is_refused: false,
        }
    }

    fn join(home: &str, print: Option<&str>, token: bool) -> Join {
        Join {
            home: Some(home.into()),
            fingerprint: print.map(str::to_owned),
            token: token.then(|| Token::Given(Zeroizing::new("hq_gw_x".to_owned()))),
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_command_that_says_too_little_is_told_what_is_missing() {
        let code = |known: Option<&Known>, join: &Join| {
            meant(known, join).map_err(|error| error.code().to_owned())
        };
        assert_eq!(code(None, &Join::default()), Err("not_joined".into()));
        let home = "https://hq.example.com/";
        assert_eq!(code(None, &join(home, None, true)), Err("no_fingerprint".into()));
        assert_eq!(code(None, &join(home, Some("abcd"), false)), Err("no_token".into()));
        let right = Ok(Some(("https://hq.example.com".to_owned(), "ABCD-EF".to_owned())));
        assert_eq!(code(None, &join(home, Some("ab cd-ef"), true)), right);
    }

    #[test]
    fn what_was_joined_holds_and_may_move_to_another_address() {
        let known = known();
        assert_eq!(meant(Some(&known), &Join::default()).unwrap(), None);
        let print = known.key.fingerprint();
        let moved =
            meant(Some(&known), &join("http://10.0.0.7", Some(&print.to_lowercase()), false));
        assert_eq!(moved.unwrap(), Some(("http://10.0.0.7".to_owned(), print)));
        let other = meant(Some(&known), &join("http://10.0.0.7", Some("ABCD"), true)).unwrap_err();
        assert_eq!(other.code(), "joined_elsewhere");
    }

    #[test]
    fn who_is_not_let_in_waits_and_who_is_cut_off_does_not() {
        let refused = |code| ReplicaError::Link(LinkError::Refused(Refusal::new(code, "No.")));
        assert_eq!(wait_after(&refused("gateway_revoked")), Some(SHUT_OUT));
        assert_eq!(wait_after(&refused(Refusal::WIRE)), Some(AT_ODDS));
        assert_eq!(wait_after(&ReplicaError::Copied), Some(SHUT_OUT));
        assert_eq!(wait_after(&LinkError::Cut.into()), None);
    }
}
