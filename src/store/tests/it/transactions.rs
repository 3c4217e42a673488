//! Tests of transactions: attempts, reactions, panics, idempotency keys, time, entry numbers.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use kernel::time::from_ms;
use kernel::{Event, Problem, TaskId, TypedId};
use store::once as answers;
use store::read::Visit;
use store::{Range, ReactionError, Reactor, Read, ReadExt, StoreError, WriteTx};

use super::check;
use super::toys::{ACTOR, CAUSE, Note, Seen, Toys, With, id, note, runtime, says, text_of};

type Heard = Arc<Mutex<Vec<String>>>;

/// A store whose reaction does what events say, and the events that it received.
fn obedient() -> (Toys, Heard) {
    let heard = Heard::default();
    let ears = Arc::clone(&heard);
    let reactor = move |tx: &mut WriteTx<'_>, event: &Event| {
        let text = text_of(event).to_owned();
        ears.lock().expect("no panic").push(text.clone());
        obey(tx, &text).map_err(|error| ReactionError::new("obey", &error))
    };
    let reactor: Arc<Reactor> = Arc::new(reactor);
    (With { reactor: Some(reactor), ..With::default() }.open(), heard)
}

fn say(tx: &mut WriteTx<'_>, text: &str) -> Result<(), StoreError> {
    tx.emit(says(text));
    Ok(())
}

fn obey(tx: &mut WriteTx<'_>, text: &str) -> Result<(), StoreError> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    match verb {
        "say" => tx.emit(says(rest)),
        "again" => tx.emit(says("again")),
        "count" => {
            let n: u64 = rest.parse().expect("a number");
            tx.put(&Note::new(note(n), "counted"))?;
            if n > 1 {
                tx.emit(says(&format!("count {}", n - 1)));
            }
        }
        "storm" => (0..5_001).for_each(|_| tx.emit(says("drop"))),
        "flood" => {
            for n in 0..10_001 {
                tx.put(&Seen { id: id(n), at: 1 })?;
            }
        }
        "refuse" => return Err(StoreError::Stale),
        "panic" => panic!("told to"),
        "try" => {
            let tried = tx.attempt(|tx| {
                tx.emit(says("say inside"));
                tx.put(&Note::new(note(50), "tried"))?;
                if rest == "in-vain" { Err(StoreError::Stale) } else { Ok(()) }
            });
            assert_eq!(tried.is_err(), rest == "in-vain");
        }
        _ => {}
    }
    Ok(())
}

fn heard(heard: &Heard) -> Vec<String> {
    heard.lock().expect("no panic").clone()
}

#[test]
fn events_are_handled_once_first_in_first_out() {
    let (toys, ears) = obedient();
    let done = toys.write(|tx| {
        tx.emit(says("say a"));
        tx.emit(says("say b"));
        tx.put(&Note::new(note(1), "m"))
    });
    done.expect("a write");
    assert_eq!(heard(&ears), ["say a", "say b", "a", "b"]);
    let entry = toys.store.entries_after(0, 1).expect("the feed").remove(0);
    let kept: Vec<_> = entry.events.iter().map(text_of).collect();
    assert_eq!(kept, ["say a", "say b", "a", "b"], "the head keeps them in order");
    check::all_fits(&toys.store);
}

#[test]
fn an_attempt_handles_its_events_before_it_merges() {
    let (toys, ears) = obedient();
    let done = toys.write(|tx| {
        tx.emit(says("before"));
        tx.attempt(|tx| {
            tx.emit(says("count 2"));
            tx.attempt(|tx| {
                tx.emit(says("deepest"));
                Ok::<_, StoreError>(())
            })
        })?;
        assert!(tx.get::<Note>(note(2))?.is_some(), "its reaction has happened");
        tx.emit(says("behind"));
        Ok(())
    });
    done.expect("a write");
    assert_eq!(heard(&ears), ["deepest", "count 2", "count 1", "before", "behind"]);
    check::all_fits(&toys.store);
}

#[test]
fn a_failed_attempt_drops_its_changes_events_and_reactions_only() {
    let (toys, ears) = obedient();
    let done = toys.write(|tx| {
        tx.put(&Note::new(note(1), "outer"))?;
        let inner: Result<(), StoreError> = tx.attempt(|tx| {
            tx.put(&Note::new(note(1), "inner"))?;
            tx.put(&Note::new(note(2), "inner"))?;
            tx.emit(says("never heard"));
            assert_eq!(tx.get::<Note>(note(1))?.map(|n| n.owner).as_deref(), Some("inner"));
            Err(StoreError::Stale)
        });
        assert!(matches!(inner, Err(StoreError::Stale)));
        let refused: Result<(), StoreError> = tx.attempt(|tx| {
            tx.put(&Note::new(note(3), "inner"))?;
            tx.emit(says("refuse"));
            Ok(())
        });
        assert!(matches!(refused, Err(StoreError::Reaction { reaction: "obey", .. })));
        tx.emit(says("heard"));
        tx.get::<Note>(note(1))
    });
    assert_eq!(done.expect("a write").map(|n| n.owner).as_deref(), Some("outer"));
    assert_eq!(heard(&ears), ["refuse", "heard"]);
    assert_eq!((toys.get::<Note>(note(2)), toys.get::<Note>(note(3))), (None, None));
    let entry = toys.store.entries_after(0, 1).expect("the feed").remove(0);
    assert_eq!((entry.changes.len(), entry.events.len()), (1, 1));
    check::all_fits(&toys.store);
}

#[test]
fn a_reaction_may_attempt_too() {
    let (toys, ears) = obedient();
    toys.write(|tx| say(tx, "try in-vain")).expect("a write");
    assert_eq!(heard(&ears), ["try in-vain"]);
    assert_eq!(toys.get::<Note>(note(50)), None);
    toys.write(|tx| say(tx, "try again")).expect("a write");
    assert_eq!(heard(&ears)[1..], ["try again", "say inside", "inside"]);
    assert!(toys.get::<Note>(note(50)).is_some());
    check::all_fits(&toys.store);
}

#[test]
fn a_refusing_reaction_fails_the_transaction_with_its_name() {
    let (toys, _) = obedient();
    let failed = toys.write(|tx| {
        tx.put(&Note::new(note(1), "m"))?;
        tx.emit(says("refuse"));
        Ok(())
    });
    let error = failed.expect_err("refused");
    assert_eq!(error.code(), "stale", "the code of what went wrong");
    assert_eq!(error.kind().status(), 412);
    assert!(error.to_string().starts_with("obey: "), "{error}");
    assert_eq!((toys.seq(), toys.get::<Note>(note(1))), (0, None));
}

#[test]
fn reactions_go_eight_deep_and_no_further() {
    let (toys, ears) = obedient();
    toys.write(|tx| say(tx, "count 8")).expect("eight levels");
    assert_eq!(heard(&ears).len(), 8);
    let error = toys.write(|tx| say(tx, "again")).expect_err("without an end");
    assert!(matches!(error, StoreError::TooDeep(8)));
    let error = toys.write(|tx| tx.attempt(|tx| say(tx, "again"))).expect_err("as deep");
    assert!(matches!(error, StoreError::TooDeep(8)));
    assert_eq!(toys.seq(), 1);
}

#[test]
fn a_transaction_has_at_most_5000_events_and_10000_changes() {
    let (toys, _) = obedient();
    let error = toys.write(|tx| say(tx, "storm")).expect_err("too many events");
    assert!(matches!(error, StoreError::TooMany { limit: 5_000, .. }));
    let error = toys.write(|tx| say(tx, "flood")).expect_err("too many changes");
    assert!(matches!(error, StoreError::TooMany { limit: 10_000, .. }));
    // The limits apply without reactions, too.
    let alone = Toys::open();
    let error = alone.write(|tx| obey(tx, "flood")).expect_err("too many changes");
    assert!(matches!(error, StoreError::TooMany { count: 10_001, limit: 10_000 }));
    let error = alone.write(|tx| obey(tx, "storm")).expect_err("too many events");
    assert!(matches!(error, StoreError::TooMany { count: 5_001, limit: 5_000 }));
    let just = alone.write(|tx| {
        for n in 0..10_000 {
            tx.put(&Note { labels: vec![1], ..Note::new(note(n), "m") })?;
        }
        Ok(())
    });
    just.expect("ten thousand records, whatever stands beside them");
    check::all_fits(&alone.store);
}

#[test]
fn a_panic_leaves_nothing_and_the_store_goes_on() {
    let (toys, _) = obedient();
    let error = toys.write(|tx| {
        tx.put(&Note::new(note(1), "m"))?;
        if tx.now() > from_ms(0) {
            panic!("a bug in a rule");
        }
        Ok(())
    });
    let error = error.expect_err("a panic");
    assert!(matches!(&error, StoreError::Panicked(text) if text == "a bug in a rule"), "{error}");
    let error = toys.write(|tx| say(tx, "panic")).expect_err("in a reaction");
    assert!(matches!(&error, StoreError::Panicked(text) if text == "told to"));
    let error = toys.write(|tx| {
        let unused: Result<(), StoreError> = tx.attempt(|tx| {
            tx.put(&Note::new(note(2), "m"))?;
            std::panic::panic_any(7)
        });
        unused
    });
    assert!(matches!(error, Err(StoreError::Panicked(_))));
    assert_eq!(toys.seq(), 0);
    toys.put(Note::new(note(3), "m")).expect("the store goes on");
    assert_eq!((toys.seq(), toys.get::<Note>(note(1))), (1, None));
    check::all_fits(&toys.store);
}

#[test]
fn an_error_of_the_body_leaves_nothing() {
    let (toys, ears) = obedient();
    let failed: Result<(), StoreError> = toys.write(|tx| {
        tx.put(&Note::new(note(1), "m"))?;
        tx.emit(says("never heard"));
        Err(StoreError::Stale)
    });
    failed.expect_err("as told");
    assert_eq!((toys.seq(), heard(&ears).len()), (0, 0));
}

const DIGEST: [u8; 32] = [7; 32];

fn once(toys: &Toys, key: &'static str, digest: [u8; 32], n: u64) -> Result<TaskId, StoreError> {
    toys.write(move |tx| {
        tx.once("test", key, digest, |tx| {
            tx.put(&Note::new(note(n), "once"))?;
            Ok(note(n))
        })
    })
}

#[test]
fn once_runs_its_body_once_and_gives_the_same_answer_also_after_a_restart() {
    let toys = Toys::open();
    assert_eq!(once(&toys, "a", DIGEST, 1).expect("the first"), note(1));
    assert_eq!(once(&toys, "a", DIGEST, 2).expect("again"), note(1));
    let toys = toys.reopen();
    assert_eq!(once(&toys, "a", DIGEST, 3).expect("after a restart"), note(1));
    assert_eq!((toys.get::<Note>(note(2)), toys.get::<Note>(note(3))), (None, None));
    assert_eq!(toys.seq(), 1, "an answer from memory is no entry");
    let error = once(&toys, "a", [8; 32], 4).expect_err("another content");
    assert!(matches!(error, StoreError::OtherDigest));
    assert_eq!(error.code(), "idempotency_conflict");
    assert_eq!(once(&toys, "b", DIGEST, 5).expect("another key"), note(5));
    let scoped = toys.write(|tx| tx.once("other", "a", DIGEST, |_| Ok::<_, StoreError>(9u32)));
    assert_eq!(scoped.expect("another scope"), 9);
}

#[test]
fn once_keeps_no_error_and_nothing_of_a_body_that_failed() {
    let toys = Toys::open();
    let went_on = toys.write(|tx| {
        let failed: Result<TaskId, StoreError> = tx.once("test", "a", DIGEST, |tx| {
            tx.put(&Note::new(note(1), "half"))?;
            Err(StoreError::Stale)
        });
        failed.expect_err("as told");
        tx.put(&Note::new(note(2), "m"))
    });
    went_on.expect("the rest");
    assert_eq!(toys.get::<Note>(note(1)), None);
    assert_eq!(once(&toys, "a", DIGEST, 3).expect("the repeat tries again"), note(3));
    let long = |n: usize| {
        move |tx: &mut WriteTx<'_>| {
            tx.once("test", "long", DIGEST, |tx| {
                tx.put(&Note::new(note(8), "long"))?;
                Ok::<_, StoreError>("x".repeat(n))
            })
        }
    };
    let error = toys.write(long(64 * 1024 + 1)).expect_err("a long answer");
    assert!(matches!(error, StoreError::TooLarge { table: "once", .. }));
    assert_eq!(toys.get::<Note>(note(8)), None);
    toys.write(long(64 * 1024 - 3)).expect("just as long as an answer may be");
}

#[test]
fn once_holds_within_one_transaction_too() {
    let toys = Toys::open();
    let both = toys.write(|tx| {
        let first = tx.once("test", "a", DIGEST, |_| Ok::<_, StoreError>(1))?;
        let second = tx.once("test", "a", DIGEST, |_| Ok::<_, StoreError>(2))?;
        Ok((first, second))
    });
    assert_eq!(both.expect("a write"), (1, 1));
}

#[test]
fn old_answers_are_swept_in_pieces_and_each_is_looked_at_once() {
    let toys = Toys::open();
    for piece in 0..5 {
        let answers = toys.write(move |tx| {
            for n in 0..500 {
                let key = format!("{piece}-{n}");
                tx.once("test", &key, DIGEST, |_| Ok::<_, StoreError>(1u32))?;
            }
            Ok(())
        });
        answers.expect("answers");
    }
    once(&toys, "a", DIGEST, 1).expect("an answer");
    toys.clock.advance_ms(60_000);
    once(&toys, "fresh", DIGEST, 2).expect("a fresh one");
    let line = from_ms(1_700_000_000_000 + 30_000);

    let looked = toys.store.read(|snap| {
        let eyes = Eyes { read: snap, rows: Cell::new(0) };
        let (mut from, mut old, mut pieces) = (Some(Vec::new()), 0, 0);
        while let Some(place) = from {
            let before = eyes.rows.get();
            let (keys, next) = answers::old_from(&eyes, &place, line.as_millisecond())?;
            assert!(eyes.rows.get() - before <= answers::LOOK + 1, "a piece is bounded");
            (from, old, pieces) = (next, old + keys.len(), pieces + 1);
        }
        assert_eq!(old, 2_501);
        assert!(eyes.rows.get() <= 2_502 + pieces, "no piece begins at the first again");
        Ok::<_, StoreError>(pieces)
    });
    assert!(looked.expect("a read") > 1);

    let sweep = || runtime().block_on(answers::sweep(&toys.store, (ACTOR, CAUSE), line));
    assert_eq!(sweep().expect("a sweep"), 2_501);
    assert_eq!(sweep().expect("a sweep"), 0);
    assert_eq!(once(&toys, "a", DIGEST, 9).expect("forgotten"), note(9));
    assert_eq!(once(&toys, "fresh", DIGEST, 9).expect("kept"), note(2));
}

/// Counts visited rows.
struct Eyes<'r> {
    read: &'r dyn Read,
    rows: Cell<usize>,
}

impl Read for Eyes<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read.raw_get(table, key)
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read.raw_scan(table, range, &mut |key, value| {
            self.rows.set(self.rows.get() + 1);
            visit(key, value)
        })
    }
}

#[test]
fn a_number_is_given_only_to_a_transaction_that_will_have_an_entry() {
    let toys = Toys::open();
    let given = toys.write(|tx| {
        assert!(matches!(tx.seq(), Err(StoreError::NoSeq)));
        tx.put(&Seen { id: id(1), at: 1 })?;
        assert!(matches!(tx.seq(), Err(StoreError::NoSeq)), "local rows have no entry");
        tx.put(&Note::new(note(1), "m"))?;
        tx.seq()
    });
    assert_eq!(given.expect("a number"), 1);
    let given = toys.write(|tx| {
        tx.emit(says("an event is worth an entry"));
        tx.seq()
    });
    assert_eq!(given.expect("a number"), 2);
    // The transaction has asked for its number and then reverts its change: it keeps the number.
    let given = toys.write(|tx| {
        tx.put(&Note::new(note(1), "other"))?;
        let seq = tx.seq()?;
        tx.put(&Note::new(note(1), "m"))?;
        Ok(seq)
    });
    assert_eq!((given.expect("a number"), toys.seq()), (3, 3));
    let entry = toys.store.entries_after(2, 1).expect("the feed").remove(0);
    assert!(entry.changes.is_empty() && entry.events.is_empty());
    check::all_fits(&toys.store);
}

#[test]
fn time_stands_still_but_never_goes_back() {
    let toys = Toys::open();
    let now = |toys: &Toys| {
        let written = toys.write(|tx| {
            tx.put(&Note::new(tx.new_id(), "m"))?;
            Ok(tx.now())
        });
        written.expect("a write")
    };
    let first = now(&toys);
    toys.clock.advance_ms(5);
    assert_eq!(now(&toys).as_millisecond(), first.as_millisecond() + 5);
    toys.clock.advance_ms(-60_000);
    assert_eq!(now(&toys).as_millisecond(), first.as_millisecond() + 5);
    let toys = toys.reopen();
    assert_eq!(now(&toys).as_millisecond(), first.as_millisecond() + 5, "nor across a restart");
    toys.clock.advance_ms(-24 * 60 * 60 * 1000);
    let toys = toys.reopen();
    assert!(now(&toys) < first, "unless the clock was plainly wrong before");
}

#[test]
fn new_ids_grow_with_the_time_of_the_batch() {
    let toys = Toys::open();
    let ids = toys.write(|tx| {
        let ids: Vec<TaskId> = (0..100).map(|_| tx.new_id()).collect();
        Ok((ids, tx.now()))
    });
    let (ids, now) = ids.expect("ids");
    assert!(ids.is_sorted());
    let stamp = ids[0].uuid().get_timestamp().expect("a UUIDv7").to_unix();
    assert_eq!(stamp.0, u64::try_from(now.as_second()).expect("after 1970"));
}
