//! Requests over a link that is cut, comes back and ends.

use kernel::time::{ManualClock, from_ms};

use super::*;

const HOUR: i64 = 3_600_000;
/// Patience of a run in tests that wait for its end.
const SHORT: Duration = Duration::from_millis(30);
/// Patience that must not end, however slow the machine is.
const LONG: Duration = Duration::from_secs(3_600);

fn agents() -> BTreeSet<AgentId> {
    [AgentId::from_bytes([1; 16])].into()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(from_ms(1_700_000_000_000)))
}

fn calls() -> Calls {
    with(clock())
}

fn with(clock: Arc<ManualClock>) -> Calls {
    Calls { patience: SHORT, ..Calls::new("life".to_owned(), 0, clock, BTreeSet::new()) }
}

fn run(n: u8) -> RunId {
    RunId::from_bytes([n; 16])
}

#[tokio::test]
async fn a_run_waits_a_while_for_the_line_and_then_writes_for_itself() {
    let mut calls = calls();
    calls.patience = LONG;
    let words = calls.words(json!("a"));
    assert_ne!(words, calls.words(json!("a")), "each is told from all others");
    assert!(calls.alone(run(1)).await.is_none(), "the line may be back in a moment");
    calls.patience = SHORT;
    assert_eq!(calls.tries(run(1), words).await, None);
    assert!(calls.state.lock().open.is_empty(), "it is said no more");
    assert!(calls.alone(run(1)).await.is_some());
    calls.wrote(run(1));
    calls.comes_back().await;
    assert!(calls.alone(run(1)).await.is_none(), "home hears what was written first");
    calls.patience = LONG;
    calls.cut();
    assert!(calls.alone(run(1)).await.is_some(), "what waits goes before what is new");
    assert!(calls.alone(run(2)).await.is_none(), "nothing of this one waits");
    calls.patience = SHORT;
    calls.comes_back().await;
    calls.settles();
    calls.is_drained();
    calls.cut();
    let mut gone = Box::pin(calls.gone(run(1)));
    assert!(
        tokio::time::timeout(2 * calls.patience, &mut gone).await.is_err(),
        "the mirror has not all of what home has heard"
    );
    assert!(calls.alone(run(1)).await.is_none(), "nothing is written over what is missing");
    assert_eq!((calls.drained(run(1)), calls.drained(run(2))), (1, 0));
    assert!(calls.is_paused());
    calls.is_settled();
    assert!(!calls.is_settling());
    gone.await;
    assert!(calls.alone(run(1)).await.is_some());
}

#[tokio::test]
async fn a_line_that_comes_back_waits_for_what_is_being_written() {
    let calls = calls();
    calls.gone(run(1)).await;
    let alone = calls.alone(run(1)).await.expect("it is cut");
    let back = calls.comes_back();
    tokio::pin!(back);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut back).await.is_err());
    drop(alone);
    back.await;
}

#[tokio::test]
async fn a_cut_lasts_as_long_as_the_worse_of_two_clocks_says() {
    let clock = clock();
    let calls = with(clock.clone());
    calls.gone(run(1)).await;
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    clock.jump_ms(7_200_000);
    assert_eq!(calls.cut_for(run(1)).map(|it| hours(2) <= it), Some(true));
    // Setting the clock back does not extend anything.
    clock.jump_ms(-100_000_000_000);
    clock.advance_ms(3_600_000);
    assert_eq!(calls.cut_for(run(1)).map(|it| hours(1) <= it), Some(true));
}

fn versions(all: &[(&str, u64)]) -> Versions {
    all.iter().map(|(handle, version)| ((*handle).to_owned(), *version)).collect()
}

fn come(calls: &Calls, handle: &str, version: u64) {
    calls.take_key(handle.to_owned(), version, Zeroizing::new(format!("{handle} {version}")));
}

#[test]
fn nothing_is_begun_before_all_keys_are_here_in_their_versions() {
    let calls = calls();
    calls.are(&agents());
    assert!(calls.is_paused(), "home has not said yet what they need");
    calls.keyed(agents(), versions(&[("a/0", 7), ("secret/b", 1)]));
    come(&calls, "a/0", 7);
    assert!(calls.is_paused(), "one is missing");
    come(&calls, "secret/b", 2);
    assert!(calls.is_paused(), "one is of another version");
    come(&calls, "secret/b", 1);
    assert!(!calls.is_paused());
    calls.are(&BTreeSet::new());
    assert!(calls.is_paused(), "what was sent was for other agents");
}

#[test]
fn what_was_taken_back_while_the_line_was_cut_is_gone_with_the_next_link() {
    let calls = calls();
    calls.anew();
    come(&calls, "a/facts", 1);
    come(&calls, "masks", 1);
    assert!(!calls.had_keys(), "neither lets anybody in");
    come(&calls, "a/0", 1);
    come(&calls, "secret/b", 1);
    calls.keyed(agents(), versions(&[("a/0", 1), ("secret/b", 1)]));
    assert_eq!(calls.keys("secret/").len(), 1);
    calls.anew();
    assert!(calls.key("a/0").is_some(), "a run goes on meanwhile");
    come(&calls, "a/0", 1);
    calls.keyed(agents(), versions(&[("a/0", 1)]));
    assert!(calls.key("a/0").is_some_and(|(version, _)| version == 1));
    assert!(calls.key("secret/b").is_none() && calls.keys("secret/").is_empty());
    calls.forget_keys();
    assert!(calls.key("a/0").is_none() && calls.is_paused() && calls.lacks_keys());
    assert!(calls.had_keys(), "the process may have copies");
}

#[test]
fn keys_are_dropped_when_the_line_was_cut_for_too_long_by_the_worse_of_two_clocks() {
    let span = Duration::from_secs(72 * 3_600);
    // Clock jump and elapsed time, just before the end and after it.
    let cases = [
        ((0, 72 * HOUR - 1), (0, 1)),
        ((72 * HOUR - 1, 0), (1, 0)),
        ((-365 * 24 * HOUR, 72 * HOUR - 1), (0, 1)),
    ];
    for (before, last) in cases {
        let clock = clock();
        let calls = with(clock.clone());
        let goes = |(jump_ms, advance_ms): (i64, i64)| {
            clock.jump_ms(jump_ms);
            clock.advance_ms(advance_ms);
        };
        let all = [("a/0", 1), ("a/facts", 1), ("secret/b", 1), ("masks", 1)];
        let comes = || {
            calls.anew();
            calls.are(&agents());
            all.iter().for_each(|(handle, version)| come(&calls, handle, *version));
            calls.keyed(agents(), versions(&all));
        };
        comes();
        goes((0, 100 * HOUR));
        assert!(!calls.keeps_keys_alone() && !calls.drop_keys_after(span), "there is a line");
        calls.state.lock().cut = None;
        calls.cut();
        goes(before);
        assert!(calls.keeps_keys_alone() && !calls.drop_keys_after(span), "not yet");
        assert!(calls.key("a/0").is_some() && !calls.lacks_keys());
        goes(last);
        assert!(calls.drop_keys_after(span));
        assert!(calls.key("a/0").is_none() && calls.keys("secret/").is_empty());
        assert!(calls.key("a/facts").is_some() && calls.key("masks").is_some());
        assert!(calls.lacks_keys() && calls.is_paused() && !calls.keeps_keys_alone());
        assert_eq!(calls.drained(run(1)), 1, "a run that had them is taken up anew");

        // The keys come again with the next link.
        comes();
        assert!(!calls.lacks_keys() && !calls.is_paused() && calls.key("a/0").is_some());
    }
}

#[tokio::test]
async fn who_waits_for_keys_goes_on_when_the_last_of_them_has_come_or_nothing_does() {
    let calls = calls();
    calls.are(&agents());
    assert!(calls.drop_keys_after(Duration::ZERO) && calls.lacks_keys());
    let mut moves = calls.moves();
    calls.anew();
    come(&calls, "a/0", 1);
    calls.keyed(agents(), versions(&[("a/0", 1), ("secret/b", 1)]));
    assert!(calls.lacks_keys(), "one is on its way");
    come(&calls, "secret/b", 1);
    assert!(!calls.lacks_keys());
    moves.changed().await.expect("it is told");
    calls.cut();
    assert!(calls.drop_keys_after(Duration::ZERO) && calls.lacks_keys());
    moves.mark_unchanged();
    calls.close();
    assert!(!calls.lacks_keys(), "nothing is waited for any more");
    assert!(moves.has_changed().expect("it is there"));
}

#[test]
fn names_are_found_by_how_they_begin() {
    let calls = calls();
    for handle in ["secret", "secret/a", "secret/b", "secrets/c"] {
        come(&calls, handle, 1);
    }
    let found = calls.keys("secret/");
    assert_eq!(
        found.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        ["secret/a 1", "secret/b 1"]
    );
}
