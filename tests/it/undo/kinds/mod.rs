//! Undo of every kind of record, changed by the real rules: whatever two people do, an undo changes nothing that
//! another person wrote last, and leaves the store consistent.

mod circles;
mod customers;
mod knowledge;
mod sources;
mod gateways;
mod desk;
mod groups;
mod supply;

use std::collections::{BTreeMap, BTreeSet};

use features::cards;
use features::history::queries::error::HistoryError;
use features::history::queries::guard::Undoer;
use features::history::queries::scope::Wanted;
use features::history::rules;
use kernel::{AccountId, Can, Cause, Role, TypedId as _};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use serde_json::Value;
use store::undo::{self, Ask, Guard, Plan, Unguarded};
use store::{Class, Range, Read as _, Root, StoreError, codec};
use web::session::Access;

use self::desk::{ACTS, Desk, Pick, person};
use crate::store::check;

/// Person who undoes, and person whose changes must stay.
const OWN: u8 = 1;
const FOREIGN: u8 = 2;

/// Mira, with all permissions.
fn mira() -> Undoer {
    let all = [Can::Read, Can::Write, Can::Chat, Can::Review, Can::Agents, Can::Admin];
    Undoer {
        by: person(OWN),
        account: AccountId::from_bytes([OWN; 16]),
        role: Role::Owner,
        access: Access::of(&all),
        closed: std::sync::Arc::default(),
    }
}

/// All rows of tracked records, without their revisions.
fn tracked(desk: &Desk) -> BTreeMap<Root, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for info in desk.store.schema().tables() {
        if info.class() != Some(Class::Tracked) {
            continue;
        }
        let read = desk.store.read(|snap| {
            snap.raw_scan(info.number, &Range::all(), &mut |key, row| {
                let record = Root { table: info.number, key: key.to_vec() };
                rows.insert(record, row[codec::HEADER..].to_vec());
                std::ops::ControlFlow::Continue(())
            })
        });
        read.map_err(|error: StoreError| error).expect("rows can be read");
    }
    rows
}

type Field = (Root, String);

/// All fields of tracked records.
fn fields(desk: &Desk) -> BTreeMap<Field, Value> {
    let mut all = BTreeMap::new();
    for (record, body) in tracked(desk) {
        let info = desk.store.schema().table(record.table).expect("a table");
        let ops = info.ops.as_ref().expect("a record");
        match (ops.json)(&codec::wrap(ops.version, 0, &body)).expect("fields") {
            Value::Object(map) => {
                all.extend(map.into_iter().map(|(name, value)| ((record.clone(), name), value)));
            }
            other => drop(all.insert((record, String::new()), other)),
        }
    }
    all
}

/// Undoes entries, with these permissions; returns the plan.
fn undo_all(desk: &Desk, entries: &[u64], guard: impl Guard + Send + 'static) -> Plan {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let done = desk.write(OWN, move |tx| {
        let plan =
            undo::plan(tx, tx.schema(), &Ask { entries: &entries, only: None, guard: &guard })?;
        tx.undo(&plan)?;
        Ok::<_, StoreError>(plan)
    });
    let plan = done.expect("it can be undone");
    // No dangling reference, no broken unique key; indexes and sums equal those of a rebuild.
    check::all_fits(&desk.store);
    plan
}

/// Last writer of each field.
struct Ledger {
    now: BTreeMap<Field, Value>,
    last: BTreeMap<Field, bool>,
    own: Vec<u64>,
}

impl Ledger {
    fn open(desk: &Desk) -> Self {
        Self { now: fields(desk), last: BTreeMap::new(), own: Vec::new() }
    }

    fn act(&mut self, desk: &Desk, acts: Vec<(usize, Pick)>, own: bool) {
        let entry = desk.act(if own { OWN } else { FOREIGN }, acts);
        self.own.extend(entry.filter(|_| own));
        for at in self.look(desk) {
            self.last.insert(at, own);
        }
    }

    /// Fields that have changed since the last call.
    fn look(&mut self, desk: &Desk) -> Vec<Field> {
        let after = fields(desk);
        let names: BTreeSet<&Field> = self.now.keys().chain(after.keys()).collect();
        let differ = names.into_iter().filter(|at| self.now.get(*at) != after.get(*at));
        let differ = differ.cloned().collect();
        self.now = after;
        differ
    }

    /// Fields that have changed although another person wrote them last.
    fn stolen(&mut self, desk: &Desk) -> Vec<Field> {
        let mut changed = self.look(desk);
        changed.retain(|at| self.last.get(at) != Some(&true));
        changed
    }

    /// Fails if a field has changed that another person wrote last. The undo becomes the last writer.
    fn hold(&mut self, desk: &Desk) {
        let stolen = self.stolen(desk);
        assert!(stolen.is_empty(), "written last by another: {stolen:?}");
    }
}

fn acts(most: usize) -> impl Strategy<Value = Vec<(usize, Pick)>> {
    vec((0..ACTS.len(), any::<Pick>()), 1..most)
}

/// A kind without an act here would have no undo test.
#[test]
fn every_kind_that_an_undo_takes_back_is_changed_by_some_act() {
    let desk = Desk::open();
    let mut changed = BTreeSet::new();
    for pass in 0..12u8 {
        for act in 0..ACTS.len() {
            let pick = [pass, pass.wrapping_mul(3), pass.wrapping_mul(5).wrapping_add(1)];
            changed
                .extend(desk.act(OWN, vec![(act, pick)]).into_iter().flat_map(|n| desk.changed(n)));
        }
    }
    let tables = desk.store.schema().tables().iter();
    // Records that no undo may restore need no act.
    let undone = |number| cards::of_table(number).is_none_or(|noun| noun.undo.is_some());
    let wanted = tables.filter(|info| info.class() == Some(Class::Tracked) && undone(info.number));
    let missing: Vec<_> =
        wanted.filter(|info| !changed.contains(&info.number)).map(|info| info.name).collect();
    assert!(missing.is_empty(), "add an act to desk.rs that changes {missing:?}");
}

/// Acts determined by a seed.
fn dice(seed: u64) -> impl FnMut() -> (usize, Pick) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [act, a, b, c, ..] = state.to_be_bytes();
        (usize::from(act), [a, b, c])
    }
}

/// Self-test of the properties below: an undo that ignores the last writer would be detected. Here the undo treats
/// other people's changes as its author's.
#[test]
fn an_undo_that_did_not_ask_who_wrote_last_would_be_found_out() {
    let mut found = BTreeSet::new();
    for seed in 1..=24 {
        let (desk, mut next) = (Desk::open(), dice(seed));
        let mut ledger = Ledger::open(&desk);
        let first = desk.seq();
        for step in 0..12 {
            let acts = (0..4).map(|_| next()).collect();
            ledger.act(&desk, acts, step % 2 == 0);
        }
        let all: Vec<u64> = (first + 1..=desk.seq()).collect();
        undo_all(&desk, &all, Unguarded);
        found.extend(ledger.stolen(&desk).into_iter().map(|(record, _)| record.table));
    }
    assert!(6 <= found.len(), "only in tables {found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn with_no_change_of_others_undo_and_its_undo_leave_the_same_rows_and_indexes(
        before in vec(acts(6), 0..4), own in vec(acts(6), 1..6)
    ) {
        let desk = Desk::open();
        for acts in before {
            desk.act(FOREIGN, acts);
        }
        let start = tracked(&desk);
        let entries: Vec<u64> =
            own.into_iter().filter_map(|acts| desk.act(OWN, acts)).collect();
        let end = tracked(&desk);
        let plan = undo_all(&desk, &entries, Unguarded);
        assert!(plan.kept.is_empty(), "{:?}", plan.kept);
        assert_eq!(tracked(&desk), start);
        if !plan.rows.is_empty() {
            let back = undo_all(&desk, &[desk.seq()], Unguarded);
            assert!(back.kept.is_empty(), "{:?}", back.kept);
            assert_eq!(tracked(&desk), end);
        }
    }

    #[test]
    fn with_changes_of_others_undo_and_its_undo_change_only_what_their_author_wrote_last(
        steps in vec((acts(5), 0..3u8), 1..10), later in vec(acts(4), 0..3), guarded in any::<bool>()
    ) {
        let desk = Desk::open();
        let mut ledger = Ledger::open(&desk);
        for (acts, by) in steps {
            ledger.act(&desk, acts, by != 0);
        }
        let own = ledger.own.clone();
        let rows = match guarded {
            true => undo_all(&desk, &own, mira()).rows,
            false => undo_all(&desk, &own, Unguarded).rows,
        };
        ledger.hold(&desk);
        if rows.is_empty() {
            return Ok(());
        }
        // The undo is its author's change, and can be undone after others have written again.
        let undone = desk.seq();
        for acts in later {
            ledger.act(&desk, acts, false);
        }
        match guarded {
            true => undo_all(&desk, &[undone], mira()),
            false => undo_all(&desk, &[undone], Unguarded),
        };
        ledger.hold(&desk);
    }

    #[test]
    fn the_rule_itself_does_what_was_rehearsed_and_nothing_to_what_others_wrote(
        steps in vec((acts(4), 0..3u8), 1..8), pick in any::<proptest::sample::Index>()
    ) {
        let desk = Desk::open();
        let mut ledger = Ledger::open(&desk);
        for (acts, by) in steps {
            ledger.act(&desk, acts, by != 0);
        }
        if ledger.own.is_empty() {
            return Ok(());
        }
        let (wanted, by) = (Wanted::Entry(*pick.get(&ledger.own)), mira());
        // Only this entry counts as own: other entries of the same person count as foreign.
        let entry = match &wanted {
            Wanted::Entry(entry) => *entry,
            _ => 0,
        };
        let seen = desk.store.read(|snap| rules::preview(&desk.store, snap, &wanted, &by));
        let seen = seen.expect("it can be looked at");
        let ahead = desk.store.ahead(|snap| {
            features::history::queries::outlook::Outlook::of(
                snap,
                desk.store.schema(),
                &wanted,
                &by,
            )
        });
        let ahead: store::Ahead<_> = ahead.map_err(|error: HistoryError| error).expect("ready");
        let basis = Some(seen.basis);
        let done = desk.store.write_blocking(by.by, Cause::Undo(entry), move |tx| {
            rules::undo(tx, &wanted, &by, basis, Some(ahead))
        });
        match done {
            Ok(done) => assert_eq!(done.back, seen.plan.rows.len()),
            Err(HistoryError::Nothing) => assert!(seen.is_nothing()),
            Err(error) => panic!("{error}"),
        }
        ledger.hold(&desk);
        check::all_fits(&desk.store);
    }
}
