//! Sessions over good and faulty carriers.

use std::time::Duration;

use bytes::Bytes;
use kernel::{RunId, TypedId as _};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::timeout;

use super::carrier::Carrier;
use super::frame::{
    Ack, Answer, Blob, Command, Control, Feed, KeyAck, Log, Outcome, Running, SnapshotEnd,
};
use super::pipe::{Fault, Faults, Tap, faulty, pipe};
use super::seal::{Opener, Sealer, Ways};
use super::*;

/// Long enough for any expected event.
const PATIENCE: Duration = Duration::from_secs(20);

fn ways() -> Ways {
    Ways::of(b"a secret", b"what was said")
}

fn as_host(carrier: Carrier, pace: Pace) -> Session {
    Session::new(carrier, Sealer::new(ways().from_host), Opener::new(ways().from_home), pace)
}

fn as_home(carrier: Carrier, pace: Pace) -> Session {
    Session::new(carrier, Sealer::new(ways().from_home), Opener::new(ways().from_host), pace)
}

fn linked(there: Faults, back: Faults, pace: Pace) -> (Session, Session, Tap) {
    let (host, home, tap) = faulty(there, back);
    (as_host(host, pace), as_home(home, pace), tap)
}

fn good() -> (Session, Session) {
    let (host, home) = pipe();
    (as_host(host, Pace::default()), as_home(home, Pace::default()))
}

fn run(number: u8) -> RunId {
    RunId::from_bytes([number; 16])
}

fn log(number: usize) -> Frame {
    Frame::Log(Log { at_ms: 0, level: "info".to_owned(), text: number.to_string() })
}

fn feed(upto: u64) -> Frame {
    Frame::Feed(Feed { after: upto - 1, upto, steps: Bytes::from_static(b"steps") })
}

fn command(number: u64) -> Frame {
    Frame::Command(Command { run: run(1), epoch: 1, number, body: json!({}) })
}

fn answer(number: u64) -> Frame {
    Frame::Answer(Answer { run: run(1), number, result: Outcome::Done(json!(null)) })
}

fn control(word: &str) -> Frame {
    Frame::Control(Control { run: None, body: json!(word) })
}

fn running(at: u64) -> Frame {
    Frame::Running(Running { run: run(1), at, body: json!("words") })
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap()
}

async fn next(receiver: &mut Receiver) -> Result<Frame, LinkError> {
    timeout(PATIENCE, receiver.next()).await.expect("in time")
}

#[tokio::test]
async fn what_is_said_arrives_in_order_and_a_goodbye_ends_it() {
    let (Session { sender, mut receiver, pump }, mut home) = good();
    let pumps = [tokio::spawn(pump.run()), tokio::spawn(home.pump.run())];
    let says = sender.clone();
    let saying = tokio::spawn(async move {
        for number in 0..500 {
            says.send(log(number)).await.unwrap();
        }
        says.deliver(log(500)).await.unwrap();
        says.goodbye("stopping").await.unwrap();
    });
    for number in 0..=500 {
        assert_eq!(next(&mut home.receiver).await.unwrap(), log(number));
    }
    assert!(matches!(next(&mut home.receiver).await, Ok(Frame::Goodbye(_))));
    assert_eq!(next(&mut home.receiver).await, Err(LinkError::Closed));
    assert_eq!(home.sender.send(log(0)).await, Err(LinkError::Closed));
    saying.await.unwrap();
    for pump in pumps {
        assert_eq!(timeout(PATIENCE, pump).await.unwrap().unwrap(), Ok(()));
    }
    assert_eq!(next(&mut receiver).await, Err(LinkError::Closed));
    assert_eq!(sender.deliver(log(0)).await, Err(LinkError::Closed));
}

#[tokio::test]
async fn what_is_urgent_overtakes() {
    let (host, mut home) = good();
    let blob = Blob { hash: "ab".to_owned(), offset: 0, total: 1, bytes: Bytes::from_static(b"x") };
    let urgent_last = [
        log(1),
        Frame::Blob(blob),
        running(0),
        Frame::SnapshotEnd(SnapshotEnd { head: 1 }),
        feed(2),
        command(1),
        answer(7),
        control("stop"),
        Frame::KeyAck(KeyAck { handle: "anthropic".to_owned(), version: 1 }),
    ];
    for frame in &urgent_last {
        host.sender.send(frame.clone()).await.unwrap();
    }
    let pump = tokio::spawn(host.pump.run());
    let mut came = Vec::new();
    for _ in 0..urgent_last.len() {
        came.push(next(&mut home.receiver).await.unwrap());
    }
    came.reverse();
    // The order within a lane is kept.
    came.swap(3, 4);
    assert_eq!(came, urgent_last);
    pump.abort();
}

#[tokio::test]
async fn pieces_of_two_files_take_turns_and_control_goes_between() {
    let file_length = 32 * CHUNK + 5;
    let total = length(file_length);
    let (host, mut home) = good();
    let pump = tokio::spawn(host.pump.run());
    let sending = ["one", "two"].map(|hash| {
        let sender = host.sender.clone();
        tokio::spawn(async move {
            let file = vec![hash.as_bytes()[0]; file_length];
            sender.blob(hash, total, file.as_slice()).await.unwrap();
            sender.send(control(hash)).await.unwrap();
        })
    });
    let (mut order, mut controls) = (Vec::new(), Vec::new());
    let mut lengths = [0, 0];
    while controls.len() < 3 {
        match next(&mut home.receiver).await.unwrap() {
            Frame::Blob(blob) => {
                let which = usize::from(blob.hash == "two");
                assert_eq!((blob.offset, blob.total), (lengths[which], total));
                assert!(blob.bytes.iter().all(|byte| *byte == blob.hash.as_bytes()[0]));
                lengths[which] += length(blob.bytes.len());
                order.push(which);
                if order.len() == 8 {
                    host.sender.send(control("stop")).await.unwrap();
                }
            }
            Frame::Control(frame) => {
                // A command that names a blob comes after it.
                match frame.body.as_str() {
                    Some("one") => assert_eq!(lengths[0], total),
                    Some("two") => assert_eq!(lengths[1], total),
                    _ => assert!(order.len() < 50, "{}", order.len()),
                }
                controls.push(frame);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lengths, [total, total]);
    for piece in order[2..60].windows(4) {
        assert!(piece.contains(&0) && piece.contains(&1), "{order:?}");
    }
    for task in sending {
        task.await.unwrap();
    }
    pump.abort();
}

#[tokio::test]
async fn a_file_that_is_shorter_than_it_was_is_told_and_the_link_goes_on() {
    let (host, mut home) = good();
    let pump = tokio::spawn(host.pump.run());
    assert!(matches!(host.sender.blob("ab", 9, &b"short"[..]).await, Err(LinkError::Garbled(_))));
    host.sender.blob("cd", 0, &b""[..]).await.unwrap();
    let text = "x".repeat(MAX_MESSAGE);
    let long = Frame::Log(Log { at_ms: 0, level: "info".to_owned(), text });
    let limit = MAX_MESSAGE;
    assert_eq!(host.sender.send(long).await, Err(LinkError::TooLarge { limit }));
    let came = next(&mut home.receiver).await.unwrap();
    assert!(matches!(came, Frame::Blob(blob) if blob.hash == "cd" && blob.total == 0));
    pump.abort();
}

#[tokio::test]
async fn running_text_is_dropped_where_there_is_no_room() {
    let (host, _home) = good();
    for at in 0..300 {
        host.sender.send(running(at)).await.unwrap();
    }
    assert_eq!(host.sender.dropped(), 300 - 256);
}

#[tokio::test]
async fn four_batches_are_under_way_and_no_more() {
    let (mut host, mut home) = good();
    let pumps = [tokio::spawn(host.pump.run()), tokio::spawn(home.pump.run())];
    for upto in 1..=6 {
        home.sender.send(feed(upto)).await.unwrap();
    }
    for upto in 1..=4 {
        assert_eq!(next(&mut host.receiver).await.unwrap(), feed(upto));
    }
    // The rest waits for credit, and less urgent frames pass it.
    home.sender.send(log(1)).await.unwrap();
    assert_eq!(next(&mut host.receiver).await.unwrap(), log(1));
    host.sender.send(Frame::Ack(Ack { seq: 1 })).await.unwrap();
    assert!(matches!(next(&mut home.receiver).await, Ok(Frame::Ack(_))));
    assert_eq!(next(&mut host.receiver).await.unwrap(), feed(5));
    home.sender.send(log(2)).await.unwrap();
    assert_eq!(next(&mut host.receiver).await.unwrap(), log(2));
    host.sender.send(Frame::Ack(Ack { seq: 5 })).await.unwrap();
    assert!(matches!(next(&mut home.receiver).await, Ok(Frame::Ack(_))));
    assert_eq!(next(&mut host.receiver).await.unwrap(), feed(6));
    pumps.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn thirty_two_commands_are_under_way_and_no_more() {
    let (host, mut home) = good();
    let mut host_hears = host.receiver;
    let pumps = [tokio::spawn(host.pump.run()), tokio::spawn(home.pump.run())];
    for number in 1..=40 {
        host.sender.send(command(number)).await.unwrap();
    }
    for number in 1..=32 {
        assert_eq!(next(&mut home.receiver).await.unwrap(), command(number));
    }
    host.sender.send(log(1)).await.unwrap();
    assert_eq!(next(&mut home.receiver).await.unwrap(), log(1));
    home.sender.send(answer(7)).await.unwrap();
    assert_eq!(next(&mut host_hears).await.unwrap(), answer(7));
    assert_eq!(next(&mut home.receiver).await.unwrap(), command(33));
    pumps.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_side_that_takes_more_than_its_credit_is_cut() {
    let batches: Vec<Frame> = (1..=5).map(feed).collect();
    let commands: Vec<Frame> = (1..=33).map(command).collect();
    for frames in [batches, commands] {
        let (mut liar, home) = pipe();
        let mut home = as_home(home, Pace::default());
        let mut sealer = Sealer::new(ways().from_host);
        let lying = tokio::spawn(async move {
            for frame in &frames {
                let sealed = sealer.seal(frame.encode().unwrap()).unwrap();
                liar.send(sealed).await.unwrap();
            }
            (liar, frames.len())
        });
        let mut heard = 0;
        let error = loop {
            match next(&mut home.receiver).await {
                Ok(_) => heard += 1,
                Err(error) => break error,
            }
        };
        let (_liar, sent) = lying.await.unwrap();
        assert_eq!(heard, sent - 1);
        assert!(matches!(error, LinkError::Overrun(_)), "{error:?}");
        assert_eq!(home.sender.over().await, error);
    }
}

#[tokio::test]
async fn each_thing_that_a_bad_line_does_has_a_name() {
    for (fault, expected) in [
        (Fault::Cut, vec![LinkError::Cut]),
        (Fault::Duplicate, vec![LinkError::Replayed]),
        (Fault::Reorder, vec![LinkError::Missing]),
        (Fault::Truncate(40), vec![LinkError::Forged]),
        (Fault::Truncate(3), vec![LinkError::Garbled("it is shorter than any sealed one")]),
        (Fault::Flip(30), vec![LinkError::Forged]),
        (Fault::Flip(7), vec![LinkError::Replayed, LinkError::Missing]),
        (Fault::Delay(Duration::from_millis(5)), vec![LinkError::Closed]),
    ] {
        let (host, mut home, _) = linked(Faults::at(2, fault), Faults::none(), Pace::default());
        let pump = tokio::spawn(host.pump.run());
        let sender = host.sender.clone();
        let saying = tokio::spawn(async move {
            for number in 0..5 {
                sender.deliver(log(number)).await?;
            }
            sender.goodbye("stopping").await
        });
        let mut heard = 0;
        let error = loop {
            match next(&mut home.receiver).await {
                Ok(Frame::Goodbye(_)) => {}
                Ok(frame) => {
                    assert_eq!(frame, log(heard));
                    heard += 1;
                }
                Err(error) => break error,
            }
        };
        assert!(expected.contains(&error), "{fault:?}: {error:?}");
        let delivered = match fault {
            Fault::Delay(_) => 5,
            Fault::Duplicate => 3,
            _ => 2,
        };
        assert_eq!(heard, delivered, "{fault:?}");
        drop(home);
        // The carrier may buffer all of it.
        drop(saying.await.unwrap());
        pump.abort();
    }
}

#[tokio::test]
async fn a_message_that_is_longer_than_any_is_refused() {
    let (mut liar, home) = pipe();
    let mut home = as_home(home, Pace::default());
    liar.send(vec![0; MAX_SEALED + 1].into()).await.unwrap();
    let limit = MAX_SEALED;
    assert_eq!(next(&mut home.receiver).await, Err(LinkError::TooLarge { limit }));
}

#[tokio::test]
async fn a_side_that_is_gone_without_a_word_is_noticed() {
    let ms = Duration::from_millis;
    // A slow machine may let both sides wait.
    let pace = Pace { ping: ms(10), silence: ms(2_000), ..Pace::default() };
    // Both sides are idle for longer than the silence limit.
    let (host, mut home, _) = linked(Faults::none(), Faults::none(), pace);
    let pumps = [tokio::spawn(host.pump.run()), tokio::spawn(home.pump.run())];
    let mut hears = host.receiver;
    let other = tokio::spawn(async move { hears.next().await });
    let heard = timeout(pace.silence * 3 / 2, home.receiver.next()).await;
    assert!(heard.is_err(), "{heard:?}");
    other.abort();
    pumps.iter().for_each(tokio::task::JoinHandle::abort);

    let (host, mut home, _) = linked(Faults::at(3, Fault::Swallow), Faults::none(), pace);
    let pumps = [tokio::spawn(host.pump.run()), tokio::spawn(home.pump.run())];
    let limit = pace.silence;
    assert_eq!(next(&mut home.receiver).await, Err(LinkError::Silent { limit }));
    assert_eq!(home.sender.over().await, LinkError::Silent { limit });
    pumps.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_side_that_takes_nothing_any_more_is_noticed() {
    let pace = Pace { silence: Duration::from_millis(50), ..Pace::default() };
    let (host, _home, _) = linked(Faults::none(), Faults::none(), pace);
    for number in 0..64 {
        host.sender.send(log(number)).await.unwrap();
    }
    let pumped = timeout(PATIENCE, host.pump.run()).await.unwrap();
    assert_eq!(pumped, Err(LinkError::Silent { limit: pace.silence }));
}

#[tokio::test]
async fn who_waits_for_room_hears_of_the_end() {
    let (host, home) = good();
    for number in 0..64 {
        host.sender.send(log(number)).await.unwrap();
    }
    let sender = host.sender.clone();
    let waits = tokio::spawn(async move { sender.send(log(64)).await });
    let sender = host.sender.clone();
    let delivers = tokio::spawn(async move { sender.deliver(control("stop")).await });
    tokio::task::yield_now().await;
    host.sender.cut();
    assert_eq!(waits.await.unwrap(), Err(LinkError::Cut));
    assert_eq!(delivers.await.unwrap(), Err(LinkError::Cut));
    assert_eq!(host.pump.run().await, Err(LinkError::Cut));
    let mut receiver = home.receiver;
    drop(host.receiver);
    assert_eq!(next(&mut receiver).await, Err(LinkError::Cut));
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Cut),
        Just(Fault::Swallow),
        Just(Fault::Duplicate),
        Just(Fault::Reorder),
        (0..4u64).prop_map(|ms| Fault::Delay(Duration::from_millis(ms))),
        (0..90usize).prop_map(Fault::Truncate),
        any::<usize>().prop_map(Fault::Flip),
    ]
}

/// The frames of one lane that arrive, and what an observer of the carrier sees.
async fn heard_of(sent: &[Frame], faults: Faults) -> (Vec<Frame>, LinkError, Tap) {
    let ms = Duration::from_millis;
    let pace = Pace { ping: ms(20), silence: ms(200), ..Pace::default() };
    let (host, mut home, tap) = linked(faults, Faults::none(), pace);
    let pump = tokio::spawn(host.pump.run());
    let (sender, frames) = (host.sender.clone(), sent.to_vec());
    let saying = tokio::spawn(async move {
        for frame in frames {
            sender.deliver(frame).await?;
        }
        sender.goodbye("stopping").await
    });
    let mut heard = Vec::new();
    let error = loop {
        match next(&mut home.receiver).await {
            Ok(Frame::Goodbye(_)) => {}
            Ok(frame) => heard.push(frame),
            Err(error) => break error,
        }
    };
    drop(home);
    pump.abort();
    saying.abort();
    (heard, error, tap)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_line_does_what_arrives_is_a_beginning_of_what_was_said(
        faults in proptest::collection::vec((0..14usize, fault()), 0..4),
        count in 0..12usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sent: Vec<Frame> = (0..count).map(|at| control(&format!("canary {at}"))).collect();
        let clean = faults.is_empty();
        let (heard, error, tap) = runtime.block_on(heard_of(&sent, Faults::all(faults)));
        prop_assert!(sent.starts_with(&heard), "{heard:?}");
        prop_assert!(!tap.holds(b"canary"));
        prop_assert!(error != LinkError::Closed || heard.len() == sent.len(), "{error:?}");
        if clean {
            prop_assert_eq!((heard, error), (sent, LinkError::Closed));
        }
    }
}
