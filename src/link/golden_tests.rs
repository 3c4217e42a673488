//! Compares the bytes of handshakes and frames with files that another program generated from the specification.

use std::time::Duration;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use kernel::{AgentId, GatewayId, RunId, TypedId as _};
use serde_json::json;
use zeroize::Zeroizing;

use super::frame::{
    Ack, Answer, Beat, Blob, Branch, Broke, Command, Control, Feed, GitHave, GitPack, Goodbye,
    Grant, Have, KeyAck, KeyPush, KeyRevoke, LeaseLost, Log, Outcome, RunAccept, RunOffer,
    RunRefuse, Running, Scope, SnapshotBegin, SnapshotEnd, SnapshotRows, Welcome, Withdraw,
};
use super::handshake::{Fresh, answered, knocked};
use super::pipe::{Faults, faulty};
use super::seal::HEAD;
use super::*;

const HANDSHAKE: &str = include_str!("golden/handshake.txt");
const FRAMES: &str = include_str!("golden/frames.txt");
/// Hash of all frames of this protocol version. A change requires a new [`WIRE`].
const FRAMES_OF_WIRE_1: &str = "d6f2bac6d26d0a1a2e8e630d2fd1fafdabbef407a60fe76c873cda8ca0799ca6";

fn golden(name: &str) -> Bytes {
    let line = HANDSHAKE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    hex::decode(line.unwrap_or_else(|| panic!("no {name}"))).unwrap().into()
}

fn fresh(wire: u32, ephemeral: u8, nonce: u8) -> Fresh {
    let ephemeral = PrivateKey::from_private_key(&X25519, &[ephemeral; 32]).unwrap();
    Fresh { wire, ephemeral, nonce: [nonce; 32] }
}

fn facts() -> Facts {
    Facts {
        name: "gpu-1".to_owned(),
        system: "Debian 13".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 8,
        memory: 1024,
        disk: 2048,
        labels: vec!["gpu".to_owned()],
        ..Facts::default()
    }
}

/// The messages of one handshake, and the error on the host.
async fn passing(
    wire: u32,
    purpose: Purpose,
    verdict: Result<Admitted, Refusal>,
) -> (Vec<Bytes>, Option<LinkError>) {
    let (host, home) = (Identity::of_seed([1; 32]), Identity::of_seed([2; 32]));
    let (pin, facts, pace) = (Pin::Key(home.public()), facts(), Pace::default());
    let knock = Knock {
        identity: &host,
        pin: &pin,
        purpose: purpose.clone(),
        facts: &facts,
        version: "0.1.0",
        pace,
    };
    let door = Door { identity: &home, version: "0.3.0", pace };
    let judge = |request: HostRequest| async move {
        assert_eq!(request.purpose, purpose);
        verdict
    };
    let (one, other, tap) = faulty(Faults::none(), Faults::none());
    let (knocked, _) = tokio::join!(
        knocked(one, knock, fresh(wire, 3, 5)),
        answered(other, door, fresh(1, 4, 6), judge)
    );
    (tap.messages(), knocked.err())
}

#[tokio::test]
async fn the_bytes_of_a_handshake_never_change() {
    let gateway = GatewayId::from_bytes([9; 16]);
    let join = Purpose::Join { token: Zeroizing::new("hqg_golden".to_owned()) };
    let admitted = Admitted { gateway, label: "Büro".to_owned(), epoch: 3 };
    let used = Refusal::new("token_used", "This token was used.").after(Duration::from_secs(300));

    let (messages, error) = passing(1, join.clone(), Ok(admitted)).await;
    let expected = ["hello", "answer", "proof of one that joins", "verdict"].map(golden);
    assert_eq!((messages.as_slice(), error), (&expected[..], None));

    let (messages, error) = passing(1, Purpose::Known { gateway }, Err(used)).await;
    let expected =
        ["hello", "answer", "proof of one that is known", "refusal in its place"].map(golden);
    assert_eq!(messages, expected);
    assert!(matches!(error, Some(LinkError::Refused(refusal)) if refusal.code == "token_used"));

    let unasked = Err(Refusal::new("unasked", "Nobody asks."));
    let (messages, error) = passing(2, join, unasked).await;
    assert_eq!(messages, ["hello of another wire", "refusal of it"].map(golden));
    assert!(matches!(error, Some(LinkError::Refused(refusal)) if refusal.code == Refusal::WIRE));
}

/// One frame of each kind, by number.
fn frames() -> Vec<Frame> {
    let mut frames = Vec::from(of_mirror());
    frames.extend(of_runs());
    frames.extend(of_files_and_keys());
    frames
}

fn run() -> RunId {
    RunId::from_bytes([7; 16])
}

fn agent() -> AgentId {
    AgentId::from_bytes([8; 16])
}

fn of_mirror() -> [Frame; 8] {
    let (scope, table, last) = ("ab".to_owned(), "tasks".to_owned(), "07".to_owned());
    [
        Frame::Welcome(Welcome {
            epoch: 3,
            clock_ms: 1_700_000_000_000,
            head: 9,
            scope: scope.clone(),
            settings: json!({ "zone": "UTC" }),
        }),
        Frame::Beat(Beat {
            load: 150,
            cpu: 12,
            memory_used: 1,
            memory: 2,
            disk_free: 3,
            disk: 4,
            version: "0.1.0".to_owned(),
            runs: vec![run()],
            clock_ms: 5,
            ..Beat::default()
        }),
        Frame::SnapshotBegin(SnapshotBegin {
            scope: scope.clone(),
            head: 9,
            tables: vec![table.clone()],
        }),
        Frame::SnapshotRows(SnapshotRows {
            table,
            count: 1,
            last,
            rows: Bytes::from_static(b"rows"),
        }),
        Frame::SnapshotEnd(SnapshotEnd { head: 9 }),
        Frame::Feed(Feed { after: 9, upto: 12, steps: Bytes::from_static(b"steps") }),
        Frame::Ack(Ack { seq: 12 }),
        Frame::Scope(Scope { digest: scope, body: json!([]) }),
    ]
}

fn of_runs() -> [Frame; 11] {
    let (run, agent, epoch) = (run(), agent(), 4);
    let grant = Grant { usd_micros: 500_000, tokens: 500_000, secs: 259_200 };
    let answered = |number, result| Frame::Answer(Answer { run, number, result });
    [
        Frame::RunOffer(RunOffer { run, agent, epoch, grant, body: json!(null) }),
        Frame::RunAccept(RunAccept { run, epoch }),
        Frame::RunRefuse(RunRefuse {
            run,
            epoch,
            code: "full".to_owned(),
            sentence: "No slot is free.".to_owned(),
        }),
        Frame::Withdraw(Withdraw { run, epoch }),
        Frame::LeaseLost(LeaseLost { run, epoch: 5, why: "Taken back.".to_owned() }),
        Frame::Command(Command { run, epoch, number: 1, body: json!({ "do": "begin" }) }),
        answered(1, Outcome::Done(json!(true))),
        answered(
            2,
            Outcome::Refused { code: "gone".to_owned(), sentence: "It is gone.".to_owned() },
        ),
        answered(3, Outcome::Kept),
        Frame::Running(Running { run, at: 7, body: json!("words") }),
        Frame::Control(Control { run: None, body: json!({ "do": "pause" }) }),
    ]
}

fn of_files_and_keys() -> [Frame; 9] {
    let (agent, handle) = (agent(), "anthropic".to_owned());
    let branch = Branch { name: "agent/ada".to_owned(), commit: "c0ffee".to_owned() };
    [
        Frame::GitHave(GitHave { agent, branches: vec![branch] }),
        Frame::GitPack(GitPack {
            agent,
            transfer: 1,
            offset: 0,
            total: 4,
            bytes: Bytes::from_static(b"PACK"),
        }),
        Frame::Blob(Blob {
            hash: "ab".to_owned(),
            offset: 2,
            total: 7,
            bytes: Bytes::from_static(b"bytes"),
        }),
        Frame::KeyPush(KeyPush {
            handle: handle.clone(),
            version: 2,
            sealed: Bytes::from_static(b"sealed"),
        }),
        Frame::KeyAck(KeyAck { handle: handle.clone(), version: 2 }),
        Frame::KeyRevoke(KeyRevoke { handle }),
        Frame::Goodbye(Goodbye { why: "sleeping".to_owned() }),
        Frame::Log(Log { at_ms: 5, level: "info".to_owned(), text: "ready".to_owned() }),
        Frame::Have(Have { have: Bytes::from_static(b"have") }),
    ]
}

/// A frame as in the file: number, fields, and the tail in hexadecimal.
fn shown(frame: &Frame) -> String {
    let encoded = frame.encode().unwrap();
    let (length, rest) = encoded[HEAD + 1..].split_first_chunk().unwrap();
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
    let fields = std::str::from_utf8(&rest[..length]).unwrap();
    let line = format!("{} {fields} {}", encoded[HEAD], hex::encode(&rest[length..]));
    line.trim_end().to_owned()
}

#[test]
fn frames_change_only_with_the_number_of_the_wire() {
    let shown: Vec<String> = frames().iter().map(shown).collect();
    let lines: Vec<&str> = FRAMES.lines().collect();
    assert_eq!(shown, lines);
    let hash = hex::encode(digest(&SHA256, FRAMES.as_bytes()));
    assert_eq!((WIRE, hash.as_str()), (1, FRAMES_OF_WIRE_1), "frames differ: raise WIRE");
    for frame in frames() {
        let encoded = Bytes::from(frame.encode().unwrap()).slice(HEAD..);
        assert_eq!(Frame::decode(encoded), Ok(Some(frame)));
    }
}

#[test]
fn a_field_that_was_added_is_nothing_to_either_side_that_does_not_know_it() {
    // A host without values for the fields, and one that does not know them.
    let plain = Beat { cpu: 12, ..Beat::default() };
    let line = shown(&Frame::Beat(plain.clone()));
    for added in ["disk_full", "stuck", "unsent", "broke"] {
        assert!(!line.contains(added), "{line}");
    }
    let broke = Some(Broke { at_ms: 5, why: "The line was cut.".to_owned() });
    let full = Beat { disk_full: true, stuck: "x".to_owned(), unsent: 38, broke, ..plain.clone() };
    let frame = Frame::Beat(full);
    let encoded = Bytes::from(frame.encode().unwrap()).slice(HEAD..);
    assert_eq!(Frame::decode(encoded), Ok(Some(frame.clone())));
    // A primary that is older than the host ignores unknown fields.
    let (number, fields) =
        shown(&frame).split_once(' ').map(|(n, f)| (n.to_owned(), f.to_owned())).unwrap();
    let later = fields.replacen('{', "{\"of_later\":[1],", 1);
    let mut bytes = vec![number.parse().unwrap()];
    bytes.extend(u32::try_from(later.len()).unwrap().to_be_bytes());
    bytes.extend(later.as_bytes());
    assert_eq!(Frame::decode(bytes.into()), Ok(Some(frame)));
}
