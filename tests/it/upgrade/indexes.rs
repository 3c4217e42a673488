//! A folder of format 2, whose old rows lack later index entries.

use crm::model::{NAME, Organization};
use features::runs::model::{INPUT_KEPT, Input, InputState, Session};
use redb::ReadableTableMetadata as _;
use store::{Range, ReadExt as _, Record as _, Schema};

use super::*;

/// Indexes and sums added later to tables of format 2: `queued_inputs_kept`, `usage_payer_day` and `usage_token_day`;
/// the program that wrote the folder did not have them.
const CAME_LATER: [&str; 3] = ["t0171", "t0167", "t0168"];

/// Converts a folder of the first format to format 2, as written by a program with fewer indexes. It has a dropped
/// message, which is in one of the new indexes.
fn make_second(data: &Path) {
    maker::unpack(&archive(1), data);
    let schemas: [fn() -> Schema; 2] = [schema::system, schema::workspace];
    for (file, schema) in stores(data).into_iter().zip(schemas) {
        let with = || Options { schema: schema(), ..options(&file) };
        migrate::upgrade(with(), 1, &migrations::LIST, &|_| {}).expect("it is upgraded");
        let store = Store::open(with()).expect("it opens");
        if store.schema().named("queued_inputs").is_some() {
            dropped(&store);
        }
        store.close();
        for kept in migrate::kept(&file).expect("a folder") {
            std::fs::remove_file(kept.path).expect("it goes");
        }
        let db = crate::raw::open(&file);
        let txn = db.begin_write().expect("a transaction");
        for name in CAME_LATER {
            let table = redb::TableDefinition::<&[u8], &[u8]>::new(name);
            txn.delete_table(table).expect("it goes, if it was there");
        }
        txn.commit().expect("a commit");
        drop(db);
        set_format(&file, 2);
    }
}

fn dropped(store: &Store) {
    let (by, cause) = (Actor::System(Part::Cli), Cause::Setup);
    let put = store.write_blocking(by, cause, |tx| {
        let sessions: Vec<Session> = tx.list(&Range::all().limit(1))?;
        let state = InputState::Dropped("the agent was paused".to_owned());
        let session = sessions.first().ok_or(StoreError::UnknownRecord)?.id;
        let input = Input { session, state, kept: true, attached: Vec::new(), ..Input::sample() };
        tx.put(&input)
    });
    put.expect("a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_beside_old_rows_is_filled_by_an_upgrade() {
    // Writes of a store block, which is not allowed on a runtime's threads.
    let aside = |data: &Path| {
        std::thread::scope(|scope| scope.spawn(|| make_second(data)).join()).expect("format 2");
    };
    let hq = Setup::default().data(aside).unowned().await;
    let ws = hq.ws();
    for store in [&ws.store, &hq.running().app.system] {
        check::all_fits(store);
    }
    let kept: Vec<Input> =
        ws.read(|snap| snap.scan(INPUT_KEPT, &Range::all())).expect("the index can be read");
    assert!(kept.iter().any(|input| input.id == Input::sample().id), "{} are kept", kept.len());
    for file in stores(&hq.data()) {
        let kept = migrate::kept(&file).expect("a folder");
        let [kept] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!(kept.format, 2, "what was there before lies beside it");
        assert_eq!(migrate::format_of(&kept.path).expect("a store"), 2);
    }
    drop(ws);
    hq.finish().await;
}

#[test]
fn a_sum_and_an_index_that_were_wrong_are_right_after_the_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    make_second(&data);
    let [_, file] = stores(&data);
    // Tasks by status and by number: a superfluous row, and all sums missing.
    let db = crate::raw::open(&file);
    let txn = db.begin_write().expect("a transaction");
    {
        let index = redb::TableDefinition::<&[u8], &[u8]>::new("t0023");
        let mut index = txn.open_table(index).expect("a table");
        index.insert(&[9u8, 9][..], &[7u8; 16][..]).expect("a row");
        let sums = redb::TableDefinition::<&[u8], &[u8]>::new("t0024");
        txn.open_table(sums).expect("a table").retain(|_, _| false).expect("rows go");
    }
    txn.commit().expect("a commit");
    drop(db);
    let refused = Store::open(options(&file)).map(drop).expect_err("it has another format");
    assert!(matches!(refused, StoreError::Format { found: 2, known: FORMAT }), "{refused}");
    migrate::upgrade(options(&file), 2, &migrations::LIST, &|_| {}).expect("it is upgraded");
    let store = Store::open(options(&file)).expect("it opens");
    check::all_fits(&store);
    assert!(store.read(|snap| snap.get::<Input>(Input::sample().id)).expect("a read").is_some());
}

#[test]
fn names_of_before_are_found_in_any_writing_after_the_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    maker::unpack(&archive(1), &data);
    let [_, file] = stores(&data);
    migrate::upgrade(options(&file), 1, &migrations::LIST, &|_| {}).expect("it is upgraded");
    let store = Store::open(options(&file)).expect("it opens");
    let mut row = Organization::sample();
    let name = row.cells.get_mut(NAME).expect("a name");
    name.value = Some(entity::FieldValue::Text("Straße".to_owned()));
    let (by, cause) = (Actor::System(Part::Cli), Cause::Setup);
    store.write_blocking(by, cause, move |tx| tx.put(&row)).expect("an organization");
    store.close();
    for kept in migrate::kept(&file).expect("a folder") {
        std::fs::remove_file(kept.path).expect("it goes");
    }
    // As left by a program that indexed names only in their original case.
    let db = crate::raw::open(&file);
    let txn = db.begin_write().expect("a transaction");
    {
        let index = redb::TableDefinition::<&[u8], &[u8]>::new("t0304");
        let mut index = txn.open_table(index).expect("a table");
        let has = |key: &[u8]| key.windows(7).any(|some| some == b"strasse");
        let before = index.len().expect("a count");
        index.retain(|key, _| !has(key)).expect("rows go");
        assert_eq!(index.len().expect("a count"), before - 1);
    }
    txn.commit().expect("a commit");
    drop(db);
    set_format(&file, 7);
    migrate::upgrade(options(&file), 7, &migrations::LIST, &|_| {}).expect("it is upgraded");
    check::all_fits(&Store::open(options(&file)).expect("it opens"));
}
