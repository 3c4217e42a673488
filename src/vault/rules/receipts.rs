//! Which values hosts have: what was sent, and what each has confirmed.

use std::collections::BTreeMap;

use kernel::GatewayId;
use kernel::key::KeyBuf;
use store::{Range, ReadExt as _, StoreError, WriteTx};

use crate::model::{Receipt, Secret, SecretId};

/// Notes which values of which secrets a host was sent: those that its agents need now, and no others. What it was sent
/// before keeps its moment.
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
        // One that went meanwhile is taken back in a moment.
        if old.is_some_and(|old| old.sent == *version) || tx.get::<Secret>(*secret)?.is_none() {
            continue;
        }
        let (has, has_at) = old.map_or((None, None), |old| (old.has, old.has_at));
        let (secret, sent) = (*secret, *version);
        tx.put(&Receipt { gateway, secret, sent, sent_at: now, has, has_at })?;
    }
    Ok(())
}

/// Notes which values a host has confirmed. Of one that it does not need any more nothing is noted.
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
