//! Outbox of a host: counting it does not decode it, and gives the same result as decoding.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateways::model::Unsaid;
use gateways::rules::outbox;
use kernel::id::SeededIds;
use kernel::key::KeyBuf;
use kernel::time::{ManualClock, from_ms};
use kernel::{Actor, Cause, Part, RunId, SessionId, TypedId as _};
use store::{NoFaults, Options, Range, ReadExt as _, Store, StoreError, WriteTx};

const START: i64 = 1_795_000_000_000;

struct Host {
    store: Store,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Host {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(from_ms(START)));
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: server::schema::workspace().mirrored(),
            cache: 1 << 20,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            reactor: None,
            faults: Arc::new(NoFaults),
        });
        Self { store: store.unwrap(), clock, _folder: folder }
    }

    fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let by = (Actor::System(Part::Engine), Cause::Timer);
        self.store.write_blocking(by.0, by.1, body).unwrap()
    }

    /// A run writes an entry of this many bytes, a second later.
    fn keeps(&self, run: u8, len: usize) {
        self.clock.advance_ms(1_000);
        let of = (run_id(run), session_id(run));
        self.write(move |tx| outbox::keep(tx, of, &vec![run; len]));
    }

    fn rows(&self) -> Vec<Unsaid> {
        self.store.read(|snap| snap.list(&Range::all())).unwrap()
    }
}

fn run_id(n: u8) -> RunId {
    RunId::from_bytes([n; 16])
}

fn session_id(n: u8) -> SessionId {
    SessionId::from_bytes([0x80 + n; 16])
}

#[test]
fn how_much_waits_and_of_whom_is_told_without_reading_what_it_says() {
    let host = Host::open();
    let count = || host.store.read(|snap| outbox::count(snap)).unwrap();
    assert_eq!(count(), outbox::Count::default());
    for (run, len) in [(1, 10), (2, 400_000), (1, 200_000), (2, 5)] {
        host.keeps(run, len);
    }
    let rows = host.rows();
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let more: Vec<bool> = rows.iter().map(|row| row.more).collect();
    assert_eq!(more, [false, true, true, false, true, false, false]);
    assert_eq!(count(), outbox::Count { writes: 4, since: Some(from_ms(START + 1_000)) });

    let runs = host.store.read(|snap| outbox::runs(snap)).unwrap();
    let ahead = |run: u8| &runs[&run_id(run)];
    assert_eq!((runs.len(), ahead(1).session, ahead(2).session), (2, session_id(1), session_id(2)));
    assert_eq!((ahead(1).last.clone(), ahead(2).last.clone()), (vec![5, 6], vec![7]));
    let leads = |key: KeyBuf| host.store.read(|snap| outbox::leads(snap, key.bytes())).unwrap();
    assert!(leads(KeyBuf::of(&run_id(1))) && leads(KeyBuf::of(&session_id(2))));
    assert!(!leads(KeyBuf::of(&run_id(3))) && !leads(KeyBuf::of(&session_id(3))));
}

#[test]
fn what_was_heard_goes_but_for_what_is_to_stay_and_what_comes_next_has_the_next_number() {
    let host = Host::open();
    for (run, len) in [(1, 10), (2, 400_000), (1, 20)] {
        host.keeps(run, len);
    }
    let next = |after: u64| host.store.read(|snap| outbox::next(snap, after)).unwrap();
    let long = next(1).expect("the long one");
    assert_eq!((long.number, long.run, long.body.len()), (4, run_id(2), 400_000));
    host.write(|tx| outbox::heard(tx, 4, &BTreeSet::from([2, 3, 4])));
    assert_eq!(host.rows().iter().map(|row| row.number).collect::<Vec<_>>(), [2, 3, 4, 5]);
    host.write(|tx| outbox::heard(tx, 4, &BTreeSet::new()));
    assert_eq!(host.rows().len(), 1);
    host.keeps(2, 1);
    assert_eq!(host.rows().last().expect("it").number, 6);
    host.write(|tx| outbox::heard(tx, u64::MAX, &BTreeSet::new()));
    assert!(host.rows().is_empty() && next(0).is_none());
}
