//! The workspace's key pair, which hosts verify. Its fingerprint is part of the join command.

use app::Ws;
use crypto::keyring::{Binding, Sealed};
use kernel::{Actor, Cause, Part};
use link::{Identity, PublicKey};

use crate::error::GatewayError;
use crate::model::{GatewayKey, HostKey};
use crate::queries;
use crate::rules;

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

/// The workspace's key; created on first use.
///
/// # Errors
/// If the key cannot be decrypted with the present master key.
pub async fn identity(ws: &Ws) -> Result<Identity, GatewayError> {
    if let Some(key) = ws.read(|snap| queries::key(snap))? {
        return opened(ws, &key);
    }
    let made = Identity::generate();
    let (owner, ring) = (ws.id.to_string(), &ws.app.keyring);
    let key = GatewayKey {
        public: *made.public().as_bytes(),
        sealed: ring.seal_bound(place(&owner), &made.to_pkcs8()).as_str().to_owned(),
        key_id: ring.key_id().to_string(),
    };
    // Of two concurrent creators, both get the key that was stored first.
    let kept = ws.write(&BY, move |tx| rules::keep_key(tx, key)).await?;
    opened(ws, &kept)
}

fn opened(ws: &Ws, key: &GatewayKey) -> Result<Identity, GatewayError> {
    let owner = ws.id.to_string();
    let pkcs8 = ws.app.keyring.open(&Sealed::from_stored(key.sealed.as_str()), place(&owner))?;
    Identity::from_pkcs8(pkcs8.expose()).map_err(|_| GatewayError::Damaged)
}

/// Binding of the workspace's sealed key.
#[must_use]
pub fn place(workspace: &str) -> Binding<'_> {
    Binding { scope: "workspace", owner: workspace, name: "gateway key" }
}

/// Fingerprint for comparison by people.
#[must_use]
pub fn fingerprint(key: &HostKey) -> String {
    PublicKey::from_bytes(*key).fingerprint()
}
