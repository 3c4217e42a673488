//! A whole store back to a moment.

use hq::kernel::Cause;
use hq::kernel::time::Clock as _;
use hq::store::undo::moment::go_back;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::super::check;
use super::super::toys::{ACTOR, Toys};
use super::named;
use super::random::{act, commit, tracked};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_goes_back_to_a_moment_has_every_tracked_row_as_it_was_then(
        steps in vec(vec(act(), 1..5), 1..10), pick in any::<proptest::sample::Index>()
    ) {
        let toys = Toys::open();
        let mut moments = vec![(toys.clock.now(), tracked(&toys))];
        for acts in steps {
            toys.clock.advance_ms(10);
            commit(&toys, acts);
            moments.push((toys.clock.now(), tracked(&toys)));
        }
        let (at, then) = &moments[pick.index(moments.len())];
        let back = go_back(&toys.store, *at, (ACTOR, Cause::Undo(0))).expect("it goes back");
        assert!(back.left.is_empty(), "{back:?}");
        assert_eq!(tracked(&toys), *then);
        check::all_fits(&toys.store);
    }
}

#[test]
fn a_store_goes_back_over_more_changes_than_one_transaction_takes() {
    let toys = Toys::open();
    let fill = |owner: &'static str, range: std::ops::Range<u64>| {
        toys.clock.advance_ms(10);
        toys.write(move |tx| range.into_iter().try_for_each(|n| tx.put(&named(n, owner)))).unwrap();
    };
    fill("first", 0..2_000);
    fill("second", 1_000..3_000);
    let (at, then) = (toys.clock.now(), tracked(&toys));
    for owner in ["third", "fourth", "fifth"] {
        fill(owner, 500..4_500);
    }
    let back = go_back(&toys.store, at, (ACTOR, Cause::Undo(0))).expect("it goes back");
    assert_eq!((back.to, back.entries), (2, 3));
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!(tracked(&toys), then);
}
