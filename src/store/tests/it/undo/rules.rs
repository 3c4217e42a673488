//! Tests that changes which the requester could not make directly stay, field by field.

use std::collections::BTreeSet;

use store::undo::{self, After, Ask, FieldWhy, Guard, Hold, Refusal, Why};
use store::{Read, Record, Root, StoreError, record};

use super::super::toys::{Job, Note, Toys, id, note};
use super::{named, owner, root, undo_only};

#[test]
fn one_record_of_an_entry_can_go_back_alone_and_only_where_it_is_allowed() {
    let toys = Toys::open();
    toys.write(|tx| (1..=3).try_for_each(|n| tx.put(&named(n, "made")))).unwrap();
    undo_only(&toys, &[1], Some(root(2)));
    assert_eq!((owner(&toys, 1).is_some(), owner(&toys, 2)), (true, None));
    let entries = BTreeSet::from([1]);
    let ask = Ask { entries: &entries, only: None, guard: &Warden::default() };
    let schema = toys.store.schema();
    let plan = toys.store.read(|snap| undo::plan(snap, schema, &ask)).unwrap();
    assert!(plan.rows.is_empty());
    assert!(plan.kept.iter().all(|kept| kept.why == Why::NotAllowed));
}

/// A guard that refuses renames from or to a name, limits how many notes may come back, and keeps work.
#[derive(Default)]
struct Warden {
    name: Option<&'static str>,
    notes: bool,
    keeps_work: bool,
}

const FORBIDDEN: &str = "forbidden";

fn refusal() -> Refusal {
    Refusal { code: FORBIDDEN, why: "it is not yours".to_owned() }
}

impl Guard for Warden {
    fn table(&self, table: u16) -> bool {
        self.notes || table != Note::TABLE.number
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(self.keeps_work.then(refusal))
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        let mut holds = Vec::new();
        for row in after.rows().filter(|row| row.record.table == Note::TABLE.number) {
            let owner = |bytes: &Option<Vec<u8>>| {
                let note =
                    bytes.as_deref().map(|bytes| record::read::<Note>(bytes).expect("a note"));
                note.map(|(note, _)| note.owner)
            };
            let (now, to) = (owner(&row.now), owner(&row.to));
            if now != to && (now.as_deref() == self.name || to.as_deref() == self.name) {
                let record = row.record.clone();
                holds.push(Hold { record, fields: &["owner"], refusal: refusal() });
            }
        }
        Ok(holds)
    }
}

#[test]
fn what_its_rules_forbid_stays_field_by_field_and_takes_along_what_hangs_on_it() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(Note { size: 7, ..named(1, "bo") }).unwrap();
    let changed = toys.seq();
    toys.write(|tx| {
        tx.put(&named(2, "bo"))?;
        tx.put(&Note { parent: Some(note(2)), ..named(3, "cy") })
    })
    .unwrap();
    let made = toys.seq();
    let warden = Warden { name: Some("bo"), notes: true, keeps_work: false };
    let look = |entries: &[u64]| {
        let entries: BTreeSet<u64> = entries.iter().copied().collect();
        let ask = Ask { entries: &entries, only: None, guard: &warden };
        toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask)).unwrap()
    };
    let plan = look(&[changed]);
    let to = record::read::<Note>(plan.rows[0].to.as_deref().unwrap()).unwrap().0;
    assert_eq!((to.owner.as_str(), to.size), ("bo", 1), "the rest goes back");
    let [kept] = &plan.rows[0].kept[..] else { panic!("{:?}", plan.rows[0].kept) };
    assert_eq!((kept.name.as_str(), &kept.why), ("owner", &FieldWhy::Refused(refusal())));
    // A created record cannot lose a single field: it stays as a whole. The record below it is reverted.
    let plan = look(&[made]);
    let kept: Vec<_> = plan.kept.iter().map(|kept| (&kept.record, &kept.why)).collect();
    assert_eq!(kept, [(&root(2), &Why::Refused(refusal()))]);
    assert_eq!(plan.rows.iter().map(|row| &row.record).collect::<Vec<_>>(), [&root(3)]);
}

#[test]
fn work_that_may_not_be_taken_away_keeps_what_it_is_for() {
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })
    })
    .unwrap();
    let entries = BTreeSet::from([1]);
    let warden = Warden { name: None, notes: true, keeps_work: true };
    let ask = Ask { entries: &entries, only: None, guard: &warden };
    let plan = toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask)).unwrap();
    assert!(plan.rows.is_empty() && plan.made.is_empty());
    assert_eq!(plan.held.len(), 1);
    assert!(matches!(plan.kept[0].why, Why::Referenced { .. }), "{:?}", plan.kept);
}
