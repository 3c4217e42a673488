//! Single rows: their owner, what a host may have of them, and the rows of a root.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use features::agents::model::AGENTS;
use features::runs::model::{SESSION_EVENTS, SESSIONS};
use kernel::key::KeyBuf;
use store::read::sources;
use store::{Range, Read, Schema, StoreError, codec};

use crate::At;
use crate::replication_policy::{self, Agents, Of, Owner, Yes};

/// The owner of a row.
pub(crate) fn owner(
    (read, schema): (&dyn Read, &Schema),
    yes: &Yes,
    key: &[u8],
    row: &[u8],
) -> Result<Of, StoreError> {
    Ok(match yes.owner() {
        None => Of::Everybody,
        Some(Owner::Head(_)) => yes.head(key).map_or(Of::Nobody, Of::Root),
        Some(Owner::Record) => {
            let ops = schema.table(yes.table.number).and_then(|info| info.ops.as_ref());
            let root = ops.and_then(|ops| (ops.root)(row));
            root.map_or(Of::Nobody, |root| Of::Root(root.into()))
        }
        Some(Owner::Said(find)) => find(read, row)?,
    })
}

/// What a host with these agents may have of a row whose owner is in scope; `None` if it may not have it.
pub(crate) fn allowed(
    yes: &Yes,
    agents: &Agents,
    row: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    if let Some(fits) = yes.fits
        && !fits(agents, row)?
    {
        return Ok(None);
    }
    let sent = match yes.less {
        Some(less) => less(agents, row)?,
        None => row.to_vec(),
    };
    // On a host, revision 0 marks rows that the host wrote itself.
    let (version, rev, body) = codec::unwrap(&sent)?;
    Ok(Some(if rev == 0 { codec::wrap(version, 1, body) } else { sent }))
}

/// The rows of a root and the root itself, by table and key. An agent's own row is left out, because it belongs to the
/// whole workspace.
pub(crate) fn under(
    (read, schema): (&dyn Read, &Schema),
    root: &At,
) -> Result<BTreeSet<At>, StoreError> {
    let mut found = BTreeSet::new();
    if root.table != AGENTS.number {
        found.insert(root.clone());
    }
    if root.table == SESSIONS.number {
        // Session events have no references: their keys start with the session id.
        read.raw_scan(SESSION_EVENTS.number, &begins_with(&root.key), &mut |key, _| {
            found.insert(At { table: SESSION_EVENTS.number, key: key.to_vec() });
            ControlFlow::Continue(())
        })?;
    }
    let mut queue = VecDeque::from([root.clone()]);
    while let Some(target) = queue.pop_front() {
        for (source, _) in sources(read, &target.root(), usize::MAX)? {
            let at = At::from(source);
            let Some(yes) = replication_policy::of(at.table).filter(|_| !found.contains(&at))
            else {
                continue;
            };
            let belongs = match yes.head(&at.key) {
                Some(head) => head == *root,
                None => match read.raw_get(at.table, &at.key)? {
                    Some(row) => {
                        let of = unless_torn(owner((read, schema), yes, &at.key, &row))?;
                        of == Some(Of::Root(root.clone()))
                    }
                    None => false,
                },
            };
            if belongs {
                found.insert(at.clone());
                queue.push_back(at);
            }
        }
    }
    Ok(found)
}

/// The keys with this prefix.
pub(crate) fn begins_with(bytes: &[u8]) -> Range {
    let mut prefix = KeyBuf::new();
    prefix.raw(bytes);
    Range::prefix(prefix)
}

/// A stored row: key and bytes.
pub(crate) type Stored = (Vec<u8>, Vec<u8>);

/// Some rows in a range of a table.
pub(crate) fn some(
    read: &dyn Read,
    table: u16,
    range: &Range,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let mut found = Vec::new();
    read.raw_scan(table, range, &mut |key, row| {
        found.push((key.to_vec(), row.to_vec()));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// Turns a decoding error into `None`: an unreadable row on the primary is in no scope and must not block other rows.
pub(crate) fn unless_torn<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Decode(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
