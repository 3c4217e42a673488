//! Handshakes between two sides in one process, over good and faulty carriers.

use std::time::Duration;

use bytes::Bytes;
use kernel::{GatewayId, TypedId as _};
use zeroize::Zeroizing;

use super::carrier::Carrier;
use super::handshake::{Fresh, answered, knocked};
use super::pipe::{Fault, Faults, faulty, pipe};
use super::*;

const TOKEN: &str = "hqg_a-token-that-nobody-else-may-read";
const HOST_VERSION: &str = "0.1.0";
const HOME_VERSION: &str = "0.3.0";

/// Two sides and the host's request.
struct Scene {
    host: Identity,
    home: Identity,
    pin: Pin,
    purpose: Purpose,
    facts: Facts,
    pace: Pace,
}

fn gateway() -> GatewayId {
    GatewayId::from_bytes([9; 16])
}

fn join(token: &str) -> Purpose {
    Purpose::Join { token: Zeroizing::new(token.to_owned()) }
}

impl Scene {
    fn new() -> Self {
        let home = Identity::generate();
        Self {
            host: Identity::generate(),
            pin: Pin::Fingerprint(home.public().fingerprint()),
            home,
            purpose: join(TOKEN),
            facts: Facts { name: "gpu-1".to_owned(), cpus: 8, ..Facts::default() },
            pace: Pace::default(),
        }
    }

    fn knock(&self) -> Knock<'_> {
        Knock {
            identity: &self.host,
            pin: &self.pin,
            purpose: self.purpose.clone(),
            facts: &self.facts,
            version: HOST_VERSION,
            pace: self.pace,
        }
    }

    fn door(&self) -> Door<'_> {
        Door { identity: &self.home, version: HOME_VERSION, pace: self.pace }
    }

    /// Accepts the token, and the gateway with this host's key.
    fn judged(&self, request: &HostRequest) -> Result<Admitted, Refusal> {
        let known = request.key == self.host.public();
        let good = match &request.purpose {
            Purpose::Join { token } => token.as_str() == TOKEN,
            Purpose::Known { gateway: named } => *named == gateway() && known,
        };
        match good {
            true => Ok(Admitted { gateway: gateway(), label: "Büro".to_owned(), epoch: 3 }),
            false => {
                Err(Refusal::new("not_known", "Make a new token.").after(Duration::from_secs(9)))
            }
        }
    }

    async fn meet(
        &self,
        host: Carrier,
        home: Carrier,
    ) -> (Result<Linked, LinkError>, Result<Accepted, LinkError>) {
        let judge = |request: HostRequest| async move { self.judged(&request) };
        tokio::join!(knock(host, self.knock()), accept(home, self.door(), judge))
    }

    async fn over_good_line(&self) -> (Result<Linked, LinkError>, Result<Accepted, LinkError>) {
        let (host, home) = pipe();
        self.meet(host, home).await
    }
}

/// A judge that must not be called, because the host has proved nothing.
async fn unasked(request: HostRequest) -> Result<Admitted, Refusal> {
    panic!("{request:?} is nobody's business")
}

/// The error of a handshake.
fn wrong<T: std::fmt::Debug>(result: Result<T, LinkError>) -> LinkError {
    result.expect_err("no link")
}

#[tokio::test]
async fn a_host_joins_and_is_known_from_then_on() {
    let mut scene = Scene::new();
    let (linked, accepted) = scene.over_good_line().await;
    let (linked, accepted) = (linked.unwrap(), accepted.unwrap());
    assert_eq!(linked.admitted, accepted.admitted);
    assert_eq!((linked.admitted.label.as_str(), linked.admitted.epoch), ("Büro", 3));
    assert_eq!((linked.home, accepted.key), (scene.home.public(), scene.host.public()));
    assert_eq!(accepted.facts, scene.facts);
    assert_eq!((linked.version.as_str(), accepted.version.as_str()), (HOME_VERSION, HOST_VERSION));

    scene.pin = Pin::Key(linked.home);
    scene.purpose = Purpose::Known { gateway: linked.admitted.gateway };
    let (linked, accepted) = scene.over_good_line().await;
    let (linked, mut accepted) = (linked.unwrap(), accepted.unwrap());
    let pump = tokio::spawn(linked.session.pump.run());
    linked.session.sender.goodbye("stopping").await.unwrap();
    pump.await.unwrap().unwrap();
    let heard = accepted.session.receiver.next().await.unwrap();
    assert_eq!(heard, Frame::Goodbye(frame::Goodbye { why: "stopping".to_owned() }));
}

#[tokio::test]
async fn a_token_that_is_not_good_and_a_key_of_another_are_refused() {
    let mut scene = Scene::new();
    scene.purpose = join("hqg_guessed");
    let (host, home) = scene.over_good_line().await;
    let (host, home) = (wrong(host), wrong(home));
    let LinkError::Refused(refusal) = &host else { panic!("{host:?}") };
    assert_eq!((refusal.code.as_str(), refusal.version.as_str()), ("not_known", HOME_VERSION));
    assert_eq!(refusal.wait, Some(Duration::from_secs(9)));
    assert_eq!(host.to_string(), "Make a new token.");
    assert!(home.is_hostile());

    // The gateway is known with another key.
    let mut other = Scene::new();
    other.purpose = Purpose::Known { gateway: gateway() };
    let stranger = Identity::generate();
    let (host, home) = pipe();
    let (key, knows) = (stranger.public(), &other);
    let judge = |request: HostRequest| async move {
        assert_eq!(request.key, key);
        knows.judged(&request)
    };
    let knocking = Knock { identity: &stranger, ..other.knock() };
    let (host, home) = tokio::join!(knock(host, knocking), accept(home, other.door(), judge));
    assert!(matches!(wrong(host), LinkError::Refused(_)));
    assert!(matches!(wrong(home), LinkError::Refused(_)));
}

#[tokio::test]
async fn another_home_learns_nothing() {
    let mut scene = Scene::new();
    let expected = Identity::generate().public();
    for pin in [Pin::Key(expected), Pin::Fingerprint(expected.fingerprint())] {
        scene.pin = pin;
        let (host, home, tap) = faulty(Faults::none(), Faults::none());
        let (host, home) =
            tokio::join!(knock(host, scene.knock()), accept(home, scene.door(), unasked));
        let found = scene.home.public().fingerprint();
        assert_eq!(wrong(host), LinkError::OtherHome { expected: expected.fingerprint(), found });
        assert_eq!(wrong(home), LinkError::Cut);
        // Hello and answer.
        assert_eq!(tap.messages().len(), 2);
    }
}

#[tokio::test]
async fn what_stands_between_learns_nothing() {
    let scene = Scene::new();
    let (host, home, tap) = faulty(Faults::none(), Faults::none());
    let (host, home) = scene.meet(host, home).await;
    assert!(host.is_ok() && home.is_ok());
    assert_eq!(tap.messages().len(), 4);
    assert!(tap.holds(HOST_VERSION.as_bytes()));
    for hidden in [TOKEN.as_bytes(), b"gpu-1", "Büro".as_bytes(), scene.host.public().as_bytes()] {
        assert!(!tap.holds(hidden), "{hidden:?}");
    }
}

#[tokio::test]
async fn no_byte_of_a_handshake_can_be_changed() {
    let scene = Scene::new();
    let (host, home, tap) = faulty(Faults::none(), Faults::none());
    let (host, home) = scene.meet(host, home).await;
    assert!(host.is_ok() && home.is_ok());
    let lengths: Vec<usize> = tap.messages().iter().map(Bytes::len).collect();
    for (message, length) in lengths.into_iter().enumerate() {
        for at in 0..length {
            let fault = Faults::at(message / 2, Fault::Flip(at));
            let (there, back) = match message % 2 {
                0 => (fault, Faults::none()),
                _ => (Faults::none(), fault),
            };
            let (host, home, _) = faulty(there, back);
            let (host, home) = scene.meet(host, home).await;
            assert!(host.is_err(), "message {message}, byte {at}");
            // The primary is done once it has sent its verdict.
            assert_eq!(home.is_err(), message < 3, "message {message}, byte {at}");
        }
    }
}

#[tokio::test]
async fn a_line_that_breaks_off_leaves_no_half_link() {
    let scene = Scene::new();
    for number in 0..2 {
        let cut = Faults::at(number, Fault::Cut);
        let (host, home, _) = faulty(cut.clone(), Faults::none());
        let (host, home) = scene.meet(host, home).await;
        assert_eq!((wrong(host), wrong(home)), (LinkError::Cut, LinkError::Cut), "{number}");
        let (host, home, _) = faulty(Faults::none(), cut);
        let (host, home) = scene.meet(host, home).await;
        assert_eq!((wrong(host), wrong(home)), (LinkError::Cut, LinkError::Cut), "{number}");
    }
}

#[tokio::test]
async fn a_silent_side_is_waited_for_no_longer_than_allowed() {
    let mut scene = Scene::new();
    // Long compared with a handshake on a slow machine: a primary with a verdict is in time.
    scene.pace.handshake = Duration::from_secs(1);
    let slow = LinkError::Slow { limit: scene.pace.handshake };
    for (there, back) in [(0, 9), (1, 9), (9, 0), (9, 1)] {
        let swallow = |number| Faults::at(number, Fault::Swallow);
        let (host, home, _) = faulty(swallow(there), swallow(back));
        let (host, home) = scene.meet(host, home).await;
        let (host, home) = (wrong(host), home.err());
        // The primary is done after its verdict. Otherwise one side times out, and the other sees the connection end.
        assert_eq!(home.is_none(), back == 1);
        assert!([Some(&host), home.as_ref()].contains(&Some(&slow)), "{host:?}, {home:?}");
    }
}

#[tokio::test]
async fn what_was_recorded_is_worth_nothing() {
    let scene = Scene::new();
    let (host, home, tap) = faulty(Faults::none(), Faults::none());
    let (host, home) = scene.meet(host, home).await;
    assert!(host.is_ok() && home.is_ok());
    let recorded = tap.messages();

    let (mut thief, home) = pipe();
    let replay = async {
        thief.send(recorded[0].clone()).await.unwrap();
        let answer = thief.receive(MAX_UNPROVEN).await.unwrap();
        assert_ne!(answer, recorded[1]);
        thief.send(recorded[2].clone()).await.unwrap();
        thief.receive(MAX_UNPROVEN).await
    };
    let (replayed, home) = tokio::join!(replay, accept(home, scene.door(), unasked));
    assert_eq!(replayed, Err(LinkError::Cut));
    let home = wrong(home);
    assert_eq!(home, LinkError::Forged);
    assert!(home.is_hostile());
}

#[tokio::test]
async fn a_host_of_another_wire_is_told_what_to_fetch() {
    let mut scene = Scene::new();
    for pin in [scene.pin.clone(), Pin::Key(Identity::generate().public())] {
        let ours = pin == scene.pin;
        scene.pin = pin;
        let (host, home) = pipe();
        let fresh = Fresh { wire: WIRE + 1, ..Fresh::new() };
        let (host, home) = tokio::join!(
            knocked(host, scene.knock(), fresh),
            answered(home, scene.door(), Fresh::new(), unasked)
        );
        assert!(!wrong(home).is_hostile());
        match wrong(host) {
            LinkError::Refused(refusal) if ours => {
                assert_eq!((refusal.code.as_str(), refusal.wire), (Refusal::WIRE, WIRE));
                for part in ["0.1.0 (wire 2)", "0.3.0 (wire 1)", "Fetch HQ 0.3.0"] {
                    assert!(refusal.sentence.contains(part), "{}", refusal.sentence);
                }
            }
            // A refusal of another primary is not believed.
            other => assert!(!ours && matches!(other, LinkError::OtherHome { .. }), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_refused_before_it_is_read() {
    let scene = Scene::new();
    let heard = async |message: Vec<u8>| {
        let (mut stranger, home) = pipe();
        stranger.send(message.into()).await.unwrap();
        wrong(accept(home, scene.door(), unasked).await)
    };
    let limit = MAX_UNPROVEN;
    assert_eq!(heard(vec![0; limit + 1]).await, LinkError::TooLarge { limit });
    // A version field whose length exceeds the message.
    let long = [&b"hq-link\x01\x01\0\0\0\x01\xff\xff"[..], &[b'x'; 64]].concat();
    for message in [vec![], b"GET / HTTP/1.1".to_vec(), b"hq-link\x01\x07".to_vec(), long] {
        let error = heard(message).await;
        assert!(matches!(error, LinkError::Garbled(_) | LinkError::TooLarge { .. }), "{error:?}");
        assert!(error.is_hostile());
    }
}

#[tokio::test]
async fn a_host_that_has_too_much_to_say_says_nothing() {
    let mut scene = Scene::new();
    scene.facts.labels = vec!["x".repeat(20_000)];
    let (host, home) = scene.over_good_line().await;
    assert!(matches!(wrong(host), LinkError::TooLarge { .. }));
    assert_eq!(wrong(home), LinkError::Cut);
}
