//! The frames of an established link. `R` marks frames of the host (replica), `H` those of the primary (home).
//!
//! A frame consists of the number of its kind, the length of its fields, the fields as JSON, and a binary tail: rows,
//! steps and pieces of files are sent as they are. Content that other packages define is a JSON value or opaque bytes.
//!
//! A field may be added without a new protocol version if both sides work without it: it is omitted while it has its
//! default value. Readers ignore unknown fields.

use bytes::{Buf as _, Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::LinkError;
use super::seal::HEAD;
use super::{CHUNK, MAX_MESSAGE, OVERHEAD};

mod body;

pub use body::{
    Ack, Answer, Beat, Blob, Branch, Broke, Command, Control, Feed, GitHave, GitPack, Goodbye,
    Grant, Have, KeyAck, KeyPush, KeyRevoke, LeaseLost, Log, Outcome, RunAccept, RunOffer,
    RunRefuse, Running, Scope, SnapshotBegin, SnapshotEnd, SnapshotRows, Welcome, Withdraw,
};

/// The queues of outgoing frames, in order of priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Permissions and keys.
    Auth,
    /// Urgent requests to a host, and leases.
    Control,
    /// Answers to commands.
    Answers,
    /// Commands, in order per run.
    Commands,
    /// The snapshot and the steps after it.
    Feed,
    /// Streamed text: dropped if the queue is full.
    Running,
    /// Pieces of files and packs; concurrent transfers alternate.
    Bulk,
    /// Log lines.
    Log,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 8] = [
        Self::Auth,
        Self::Control,
        Self::Answers,
        Self::Commands,
        Self::Feed,
        Self::Running,
        Self::Bulk,
        Self::Log,
    ];

    /// Most queued frames before senders must wait.
    #[must_use]
    pub fn room(self) -> usize {
        match self {
            Self::Auth | Self::Answers | Self::Commands | Self::Log => 64,
            Self::Control | Self::Running => 256,
            Self::Feed | Self::Bulk => 8,
        }
    }
}

/// The content of a frame: fields and a binary tail.
trait Body: Serialize + DeserializeOwned {
    /// The binary tail.
    fn tail(&self) -> &[u8] {
        &[]
    }

    /// Sets the binary tail. Returns whether the frame may have one.
    fn attach(&mut self, tail: Bytes) -> bool {
        tail.is_empty()
    }

    /// Whether the content is within its limits.
    fn fits(&self) -> bool {
        true
    }
}

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident in $lane:ident;)+) => {
        /// A frame.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Frame {
            $($(#[$doc])* $name($name),)+
        }

        impl Frame {
            /// The queue of this frame.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self {
                    $(Self::$name(_) => Lane::$lane,)+
                }
            }

            /// The frame's number, fields and tail.
            fn parts(&self) -> Result<(u8, Vec<u8>, &[u8]), LinkError> {
                match self {
                    $(Self::$name(body) => Ok(($number, fields(body)?, body.tail())),)+
                }
            }

            fn of(number: u8, fields: &[u8], tail: Bytes) -> Result<Self, LinkError> {
                match number {
                    $($number => read(fields, tail).map(Self::$name),)+
                    _ => Err(LinkError::Garbled("a frame is of an unknown kind")),
                }
            }
        }
    };
}

frames! {
    /// H: the first frame. The host drops its mirror if `epoch` or `scope` have changed.
    1 Welcome in Auth;
    /// R: the state of the host, every 10 s.
    2 Beat in Control;
    /// H: a snapshot starts.
    3 SnapshotBegin in Feed;
    /// H: rows of one table, sorted by key.
    4 SnapshotRows in Feed;
    /// H: the snapshot is complete.
    5 SnapshotEnd in Feed;
    /// H: changes.
    6 Feed in Feed;
    /// R: applied and durable up to this entry.
    7 Ack in Control;
    /// H: the scope of the host has changed.
    8 Scope in Control;
    /// H: offers a run.
    9 RunOffer in Control;
    /// R: takes an offered run.
    10 RunAccept in Control;
    /// R: refuses an offered run.
    11 RunRefuse in Control;
    /// H: withdraws an unanswered offer.
    12 Withdraw in Control;
    /// H: the run has moved; further commands of this host for it are not applied.
    13 LeaseLost in Control;
    /// R: the next command of a run.
    14 Command in Commands;
    /// H: the result of a command.
    15 Answer in Answers;
    /// R: text of a model while it streams.
    16 Running in Running;
    /// H: stop, steer, an answer of a person, changed settings.
    17 Control in Control;
    /// Both: the heads of branches.
    18 GitHave in Bulk;
    /// Both: a piece of a pack.
    19 GitPack in Bulk;
    /// Both: a piece of a file that is named by its hash. The same in all protocol versions.
    20 Blob in Bulk;
    /// H: a key for agents of the host, sealed for it.
    21 KeyPush in Auth;
    /// R: acknowledges a key.
    22 KeyAck in Auth;
    /// H: revokes a key.
    23 KeyRevoke in Auth;
    /// Both: closes the link.
    24 Goodbye in Control;
    /// R: a log line.
    25 Log in Log;
    /// R: what its mirror has. Sent right after the welcome, and again if received data did not fit. The primary sends
    /// no mirror data before it.
    26 Have in Control;
}

/// The kind of a keep-alive frame without content.
const PING: u8 = 0;
/// Kind number and length of the fields.
const BEGINNING: usize = 1 + 4;

impl Frame {
    /// The encoded frame, with space in front for the sealing header.
    ///
    /// # Errors
    /// If the frame is too long or exceeds its own limits.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        let (number, fields, tail) = self.parts()?;
        let length = BEGINNING + fields.len() + tail.len();
        if MAX_MESSAGE < length {
            return Err(LinkError::TooLarge { limit: MAX_MESSAGE });
        }
        let mut out = Vec::with_capacity(length + OVERHEAD);
        begin(&mut out, number, fields.len())?;
        out.extend_from_slice(&fields);
        out.extend_from_slice(tail);
        Ok(out)
    }

    /// The encoded keep-alive frame.
    pub(crate) fn ping() -> Result<Vec<u8>, LinkError> {
        let mut out = Vec::with_capacity(BEGINNING + OVERHEAD);
        begin(&mut out, PING, 0)?;
        Ok(out)
    }

    /// Parses a decrypted message; `None` for a keep-alive.
    ///
    /// # Errors
    /// If it is no frame or exceeds its limits.
    pub(crate) fn decode(mut message: Bytes) -> Result<Option<Self>, LinkError> {
        let Some([number, claim @ ..]) = message.first_chunk::<BEGINNING>().copied() else {
            return Err(LinkError::Garbled("a frame is too short"));
        };
        message.advance(BEGINNING);
        let length = usize::try_from(u32::from_be_bytes(claim)).unwrap_or(usize::MAX);
        if message.len() < length {
            return Err(LinkError::Garbled("a frame claims more than it has"));
        }
        let fields = message.split_to(length);
        match number {
            PING if fields.is_empty() && message.is_empty() => Ok(None),
            PING => Err(LinkError::Garbled("a ping has nothing to say")),
            _ => Self::of(number, &fields, message).map(Some),
        }
    }
}

fn begin(out: &mut Vec<u8>, number: u8, fields: usize) -> Result<(), LinkError> {
    let limit = MAX_MESSAGE;
    let length = u32::try_from(fields).map_err(|_| LinkError::TooLarge { limit })?;
    out.resize(HEAD, 0);
    out.push(number);
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

fn fields(body: &impl Body) -> Result<Vec<u8>, LinkError> {
    if !body.fits() {
        return Err(LinkError::TooLarge { limit: CHUNK });
    }
    serde_json::to_vec(body).map_err(|_| LinkError::Garbled("a frame cannot be written"))
}

fn read<B: Body>(fields: &[u8], tail: Bytes) -> Result<B, LinkError> {
    let read = serde_json::from_slice::<B>(fields);
    let mut body = read.map_err(|_| LinkError::Garbled("the fields of a frame are none"))?;
    if !body.attach(tail) {
        return Err(LinkError::Garbled("a frame has more than its fields"));
    }
    match body.fits() {
        true => Ok(body),
        false => Err(LinkError::Garbled("a frame does not keep to its limits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{RunId, TypedId as _};
    use serde_json::json;

    fn round_trip(frame: &Frame) -> Result<Option<Frame>, LinkError> {
        Frame::decode(Bytes::from(frame.encode().unwrap()).slice(HEAD..))
    }

    fn blob(offset: u64, total: u64, bytes: &'static [u8]) -> Frame {
        Frame::Blob(Blob { hash: "ab".into(), offset, total, bytes: Bytes::from_static(bytes) })
    }

    #[test]
    fn what_is_said_is_heard() {
        let run = RunId::from_bytes([7; 16]);
        let frames = [
            Frame::Beat(Beat { cpu: 12, runs: vec![run], ..Beat::default() }),
            Frame::Command(Command { run, epoch: 1, number: 2, body: json!({ "words": "é" }) }),
            Frame::Answer(Answer { run, number: 2, result: Outcome::Kept }),
            Frame::Control(Control { run: None, body: json!(null) }),
            Frame::Feed(Feed { after: 1, upto: 3, steps: Bytes::from_static(b"\0\xff") }),
            blob(0, 0, b""),
            blob(3, 8, b"bytes"),
        ];
        for frame in frames {
            assert_eq!(round_trip(&frame), Ok(Some(frame)));
        }
        let ping = Bytes::from(Frame::ping().unwrap()).slice(HEAD..);
        assert_eq!(Frame::decode(ping), Ok(None));
    }

    #[test]
    fn what_claims_more_than_it_has_is_refused() {
        for bytes in [
            &b""[..],
            &[2, 0, 0, 0],
            // One gibibyte of fields.
            &[20, 0x40, 0, 0, 0, b'{', b'}'],
            &[20, 0xff, 0xff, 0xff, 0xff],
            &[7, 0, 0, 0, 9, b'{', b'"', b's', b'e', b'q', b'"', b':', b'1'],
            // Unknown kind, invalid JSON, a keep-alive with content, an unexpected tail.
            &[99, 0, 0, 0, 2, b'{', b'}'],
            &[7, 0, 0, 0, 1, b'{'],
            &[0, 0, 0, 0, 0, 1],
            &[7, 0, 0, 0, 9, b'{', b'"', b's', b'e', b'q', b'"', b':', b'1', b'}', b'x'],
        ] {
            let read = Frame::decode(Bytes::from_static(bytes));
            assert!(matches!(read, Err(LinkError::Garbled(_))), "{bytes:?}: {read:?}");
        }
    }

    #[test]
    fn pieces_are_short_and_lie_within_what_they_are_of() {
        for frame in [blob(1, 1, b"x"), blob(u64::MAX, 1, b"x"), blob(0, 4, b"bytes")] {
            assert_eq!(frame.encode(), Err(LinkError::TooLarge { limit: CHUNK }));
        }
        let backwards = Frame::Feed(Feed { after: 2, upto: 1, steps: Bytes::new() });
        assert!(backwards.encode().is_err());
        // A dishonest host.
        let fields = br#"{"hash":"ab","offset":9,"total":1}"#;
        let mut lie = vec![20, 0, 0, 0, u8::try_from(fields.len()).unwrap()];
        lie.extend_from_slice(fields);
        assert!(matches!(Frame::decode(lie.into()), Err(LinkError::Garbled(_))));
    }

    #[test]
    fn a_frame_is_never_longer_than_a_message() {
        let text = "x".repeat(MAX_MESSAGE);
        let log = Frame::Log(Log { at_ms: 0, level: "info".into(), text });
        assert_eq!(log.encode(), Err(LinkError::TooLarge { limit: MAX_MESSAGE }));
    }

    #[test]
    fn a_key_is_not_shown() {
        let sealed = Bytes::from_static(b"canary");
        let push = Frame::KeyPush(KeyPush { handle: "anthropic".into(), version: 1, sealed });
        assert!(!format!("{push:?}").contains("canary"));
    }
}
