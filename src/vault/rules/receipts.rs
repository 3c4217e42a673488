//! Records which values hosts were sent and have confirmed.

use std::collections::BTreeMap;

use kernel::GatewayId;
use kernel::key::KeyBuf;
use store::{Range, ReadExt as _, StoreError, WriteTx};

use crate::model::{Receipt, Secret, SecretId};

/// Records the versions that a host was sent: exactly those that its agents need now. An unchanged version keeps its
/// time.
pub fn sent_to(
    tx: &mut WriteTx<'_>,
    gateway: GatewayId,
    needed: &BTreeMap<SecretId, u32>,
) -> Result<(), StoreError> {
    let known: Vec<Receipt> = tx.list(&Range::prefix(KeyBuf::of(&gateway)))?;
    let known: BTreeMap<SecretId, Receipt> =
        known.into_iter().map(|one| (one.secret, one)).collect();
    for id in known.keys().filter(|id| !needed.contains_key(*id)) {
        tx.delete::<Receipt>((gateway, *id))?;
    }
    let now = tx.now();
    for (secret, version) in needed {
        let old = known.get(secret);
        // A secret that was removed meanwhile is withdrawn from the host in a moment.
        if old.is_some_and(|old| old.sent == *version) || tx.get::<Secret>(*secret)?.is_none() {
            continue;
        }
        let (has, has_at) = old.map_or((None, None), |old| (old.has, old.has_at));
        let (secret, sent) = (*secret, *version);
        tx.put(&Receipt { gateway, secret, sent, sent_at: now, has, has_at })?;
    }
    Ok(())
}

/// Records the versions that a host has confirmed. Secrets that the host no longer needs are ignored.
pub fn confirmed(
    tx: &mut WriteTx<'_>,
    gateway: GatewayId,
    all: &[(SecretId, u32)],
) -> Result<(), StoreError> {
    let now = Some(tx.now());
    for (secret, version) in all {
        let known = tx.get::<Receipt>((gateway, *secret))?;
        if let Some(old) = known.filter(|old| old.has != Some(*version)) {
            tx.put(&Receipt { has: Some(*version), has_at: now, ..old })?;
        }
    }
    Ok(())
}
