//! Decides what one record is reverted to: as a whole, or field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::codec;
use crate::error::StoreError;
use crate::feed::Op;
use crate::history::{Heads, Image, Step, newest};
use crate::read::Read;
use crate::record::Root;
use crate::schema::{Ops, Schema};

use super::{FieldWhy, KeptField, Refusal, Row, Touch, Why};

/// Maximum number of changes of one record that are examined.
const MAX_STEPS: usize = 5_000;

type Fields = Map<String, Value>;

/// Input of a plan.
pub(super) struct Ground<'r> {
    pub read: &'r dyn Read,
    pub schema: &'r Schema,
    pub heads: &'r Heads<'r>,
    pub own: &'r BTreeSet<u64>,
}

/// The decision about a record.
pub(super) enum Settled {
    /// It already has the target state.
    Same,
    Goes(Row),
    Stays(Why, Vec<KeptField>),
}

/// A record with the relevant changes, newest first; the last one is the first own change.
struct Chain {
    record: Root,
    now: Option<Vec<u8>>,
    steps: Vec<Step>,
}

/// Why the chain is incomplete.
enum Broken {
    Gone,
    TooOften,
}

pub(super) fn settle(
    ground: &Ground<'_>,
    record: &Root,
    first: u64,
) -> Result<Settled, StoreError> {
    let chain = match chain(ground, record, first)? {
        Ok(chain) => chain,
        Err(Broken::Gone) => return Ok(Settled::Stays(Why::Gone, Vec::new())),
        Err(Broken::TooOften) => return Ok(Settled::Stays(Why::TooOften, Vec::new())),
    };
    let ops =
        ground.schema.table(record.table).ok_or(StoreError::UnknownTable(record.table))?.ops()?;
    let Some(oldest) = chain.steps.last() else { return Ok(Settled::Same) };
    let from = match oldest.image(ground.read, true)? {
        Image::Kept(bytes) => Some(bytes),
        Image::Nothing => None,
        Image::Gone | Image::Untold | Image::Far => {
            return Ok(Settled::Stays(Why::Gone, Vec::new()));
        }
    };
    if chain.steps.iter().all(|step| ground.own.contains(&step.seq())) {
        let to = from.map(|bytes| (ops.renew)(&bytes)).transpose()?;
        return Ok(goes(chain, to, Vec::new()));
    }
    replay(ground, ops, chain, from)
}

/// Like `settle`, when every change from the first own one on is own: restores the state before it, however often the
/// record has changed since.
pub(super) fn before(
    ground: &Ground<'_>,
    record: &Root,
    first: u64,
) -> Result<Settled, StoreError> {
    let gone = || Ok(Settled::Stays(Why::Gone, Vec::new()));
    let Some(step) = ground.heads.step(record, first)? else { return gone() };
    let ops =
        ground.schema.table(record.table).ok_or(StoreError::UnknownTable(record.table))?.ops()?;
    let to = match step.image(ground.read, true)? {
        Image::Kept(bytes) => Some((ops.renew)(&bytes)?),
        Image::Nothing => None,
        Image::Gone | Image::Untold | Image::Far => return gone(),
    };
    let (now, _) = newest(ground.read, record)?;
    Ok(goes(Chain { record: record.clone(), now, steps: Vec::new() }, to, Vec::new()))
}

fn chain(
    ground: &Ground<'_>,
    record: &Root,
    first: u64,
) -> Result<Result<Chain, Broken>, StoreError> {
    let (now, mut seq) = newest(ground.read, record)?;
    let mut steps = Vec::new();
    while first <= seq {
        let Some(step) = ground.heads.step(record, seq)? else { break };
        let before = step.before_rev;
        steps.push(step);
        if seq == first {
            return Ok(Ok(Chain { record: record.clone(), now, steps }));
        }
        if MAX_STEPS <= steps.len() {
            return Ok(Err(Broken::TooOften));
        }
        seq = before;
    }
    Ok(Err(Broken::Gone))
}

fn goes(chain: Chain, to: Option<Vec<u8>>, kept: Vec<KeptField>) -> Settled {
    let same = match (&chain.now, &to) {
        (None, None) => true,
        (Some(now), Some(to)) => !codec::differ(now, to),
        _ => false,
    };
    if same {
        return Settled::Same;
    }
    Settled::Goes(Row { record: chain.record, now: chain.now, to, kept, takes: Vec::new() })
}

/// Who wrote a field last.
#[derive(Clone, Copy)]
enum Writer {
    Own,
    Foreign(Touch),
}

/// A record as the foreign changes alone would have left it.
struct Replay {
    state: Option<Fields>,
    /// Fields that an own change wrote.
    own: BTreeSet<String>,
    /// Who wrote each field last.
    last: BTreeMap<String, Writer>,
    /// Who deleted the record last.
    deleted: Option<Touch>,
}

/// Replays all foreign changes on the state before the first own one. Records may be large and have thousands of
/// changes, so only the two images around a change are in memory at a time.
fn replay(
    ground: &Ground<'_>,
    ops: &Ops,
    chain: Chain,
    from: Option<Vec<u8>>,
) -> Result<Settled, StoreError> {
    let state = from.as_deref().map(|bytes| fields(ops, bytes)).transpose()?;
    let mut replay = Replay { state, own: BTreeSet::new(), last: BTreeMap::new(), deleted: None };
    let mut image = from.map_or(Image::Nothing, Image::Kept);
    for (n, step) in chain.steps.iter().enumerate().rev() {
        let own = ground.own.contains(&step.seq());
        // The state after a change is the state before the next one.
        let next = match n.checked_sub(1) {
            Some(newer) => chain.steps[newer].image(ground.read, true)?,
            None => chain.now.clone().map_or(Image::Nothing, Image::Kept),
        };
        let before = std::mem::replace(&mut image, next);
        let after = &image;
        if matches!(before, Image::Gone) || matches!(after, Image::Gone) && step.op != Op::Delete {
            if own {
                continue;
            }
            return Ok(Settled::Stays(Why::Gone, Vec::new()));
        }
        let read = |image: &Image| image.bytes().map(|bytes| fields(ops, bytes)).transpose();
        // A deleted record has no state after the deletion, even if it came back later.
        let after = if step.op == Op::Delete { None } else { read(after)? };
        let before = if step.op == Op::Insert { None } else { read(&before)? };
        if own {
            replay.own_change(before, after);
        } else if let Some(why) = replay.foreign_change(ops, Touch::of(&step.head), before, after) {
            return Ok(Settled::Stays(why, Vec::new()));
        }
    }
    replay.end(ops, chain)
}

fn fields(ops: &Ops, bytes: &[u8]) -> Result<Fields, StoreError> {
    match (ops.json)(bytes)? {
        Value::Object(fields) => Ok(fields),
        other => Ok(Fields::from_iter([(String::new(), other)])),
    }
}

/// The names of the fields in which two states differ.
fn changed(before: &Fields, after: &Fields) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// Whether two states differ only in stamps, the fields that record changes.
fn is_idle(ops: &Ops, before: &Fields, after: &Fields) -> bool {
    changed(before, after).iter().all(|name| ops.stamps.contains(&name.as_str()))
}

impl Replay {
    fn own_change(&mut self, before: Option<Fields>, after: Option<Fields>) {
        if let (Some(before), Some(after)) = (before, after) {
            for name in changed(&before, &after) {
                self.last.insert(name.clone(), Writer::Own);
                self.own.insert(name);
            }
        }
    }

    /// Returns why the record must stay, if it must.
    fn foreign_change(
        &mut self,
        ops: &Ops,
        by: Touch,
        before: Option<Fields>,
        after: Option<Fields>,
    ) -> Option<Why> {
        match (before, after) {
            (Some(before), Some(after)) => {
                // Created by an own entry, changed by a foreign one.
                let Some(state) = &mut self.state else { return Some(Why::Changed(by)) };
                let mut names = changed(&before, &after);
                for group in ops.together {
                    if names.iter().any(|name| group.contains(&name.as_str())) {
                        names.extend(group.iter().map(|name| (*name).to_owned()));
                    }
                }
                for name in names {
                    match after.get(&name) {
                        Some(value) => state.insert(name.clone(), value.clone()),
                        None => state.remove(&name),
                    };
                    self.last.insert(name, Writer::Foreign(by));
                }
            }
            (_, None) => {
                self.state = None;
                self.deleted = Some(by);
            }
            (None, Some(after)) => {
                let names = after.keys().cloned();
                self.last.extend(names.map(|name| (name, Writer::Foreign(by))));
                self.state = Some(after);
                self.deleted = None;
            }
        }
        None
    }

    fn end(self, ops: &Ops, chain: Chain) -> Result<Settled, StoreError> {
        let Self { state, own, last, deleted } = self;
        let kept: Vec<KeptField> = own
            .into_iter()
            .filter_map(|name| match last.get(&name) {
                Some(Writer::Foreign(by)) => Some(KeptField { name, why: FieldWhy::Changed(*by) }),
                Some(Writer::Own) | None => None,
            })
            .collect();
        let Some(state) = state else {
            return Ok(match (chain.now.is_some(), deleted) {
                (false, Some(by)) => Settled::Stays(Why::Deleted(by), kept),
                _ => goes(chain, None, kept),
            });
        };
        let mut idle = false;
        if let Some(now) = &chain.now {
            let shown = fields(ops, now)?;
            idle = is_idle(ops, &shown, &state);
            // Whether the fields represent everything in the bytes.
            let rebuilt = (ops.parse)(Value::Object(shown));
            if rebuilt.ok().map(|(_, row)| row) != Some((ops.renew)(now)?) {
                return Ok(Settled::Stays(Why::Unmergeable, kept));
            }
        }
        let Ok((_, to)) = (ops.parse)(Value::Object(state)) else {
            return Ok(Settled::Stays(Why::Unmergeable, kept));
        };
        let settled = goes(chain, Some(to), kept.clone());
        let last = touches(&kept).max_by_key(|by| by.seq);
        Ok(match (settled, last) {
            (Settled::Same, Some(by)) => Settled::Stays(Why::Changed(by), kept),
            (Settled::Goes(_), Some(by)) if idle => Settled::Stays(Why::Changed(by), kept),
            (settled, _) => settled,
        })
    }
}

/// Authors of later changes to these fields.
fn touches(kept: &[KeptField]) -> impl Iterator<Item = Touch> {
    kept.iter().filter_map(|field| match &field.why {
        FieldWhy::Changed(by) => Some(*by),
        FieldWhy::Refused(_) => None,
    })
}

/// The row with the named fields, and those grouped with them, left unchanged; in a restored record they stay empty.
/// `None` if nothing is left to revert.
pub(super) fn pin(
    ops: &Ops,
    mut row: Row,
    names: &[&str],
    refusal: &Refusal,
) -> Result<Option<Row>, StoreError> {
    let Some(to) = &row.to else { return Ok(None) };
    let mut goes = fields(ops, to)?;
    let stays = row.now.as_deref().map(|now| fields(ops, now)).transpose()?;
    let mut names: BTreeSet<&str> = names.iter().copied().collect();
    for group in ops.together.iter().filter(|_| stays.is_some()) {
        if group.iter().any(|name| names.contains(name)) {
            names.extend(*group);
        }
    }
    let mut pinned = false;
    for name in names {
        let value = match &stays {
            Some(stays) => stays.get(name),
            None => Some(&Value::Null),
        };
        if value == goes.get(name) {
            continue;
        }
        match value {
            Some(value) => goes.insert(name.to_owned(), value.clone()),
            None => goes.remove(name),
        };
        let why = FieldWhy::Refused(refusal.clone());
        row.kept.push(KeptField { name: name.to_owned(), why });
        pinned = true;
    }
    let idle = stays.is_some_and(|stays| is_idle(ops, &stays, &goes));
    let Ok((_, to)) = (ops.parse)(Value::Object(goes)) else { return Ok(None) };
    if !pinned || idle {
        return Ok(None);
    }
    row.to = Some(to);
    Ok(Some(row))
}
