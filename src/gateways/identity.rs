//! The key by which hosts know this workspace. Its fingerprint stands in the command that a machine joins by.

use app::Ws;
use crypto::keyring::{Binding, Sealed};
use kernel::{Actor, Cause, Part};
use link::{Identity, PublicKey};

use crate::error::GatewayError;
use crate::model::{GatewayKey, HostKey};
use crate::queries;
use crate::rules;

/// Who makes it.
const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

/// The key of a workspace; made when there is none yet.
///
/// # Errors
/// When it does not open with the present master key.
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
    // Of two who make one at once, both get the one that was kept.
    let kept = ws.write(&BY, move |tx| rules::keep_key(tx, key)).await?;
    opened(ws, &kept)
}

fn opened(ws: &Ws, key: &GatewayKey) -> Result<Identity, GatewayError> {
    let owner = ws.id.to_string();
    let pkcs8 = ws.app.keyring.open(&Sealed::from_stored(key.sealed.as_str()), place(&owner))?;
    Identity::from_pkcs8(pkcs8.expose()).map_err(|_| GatewayError::Damaged)
}

/// The place for which the key of a workspace is sealed.
#[must_use]
pub fn place(workspace: &str) -> Binding<'_> {
    Binding { scope: "workspace", owner: workspace, name: "gateway key" }
}

/// A key as people compare it.
#[must_use]
pub fn fingerprint(key: &HostKey) -> String {
    PublicKey::from_bytes(*key).fingerprint()
}
