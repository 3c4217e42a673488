//! What both sides say to each other once the link stands. `R` sends a host, `H` its home.
//!
//! A frame is the number of its kind, the length of its fields, the fields as JSON, and what is left as bytes: rows,
//! steps and pieces of files travel as they are. What others define is a JSON value or bytes that are opaque here.
//!
//! A field may be added without a new number of the wire where either side does without it: it is left out while it has
//! nothing to say, and is nothing where it is left out. Readers pass over fields that they do not know.

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

/// What waits for the line, in the order in which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Who may do what, and keys.
    Auth,
    /// What a host has to do at once, and leases.
    Control,
    /// Answers to commands.
    Answers,
    /// Commands, each run's in order.
    Commands,
    /// The snapshot and the steps after it.
    Feed,
    /// Running text: dropped where there is no room.
    Running,
    /// Pieces of files and packs, those of several taking turns.
    Bulk,
    /// Lines of logs.
    Log,
}

impl Lane {
    /// All, the most urgent first.
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

    /// How many frames may wait in it before whoever sends has to.
    #[must_use]
    pub fn room(self) -> usize {
        match self {
            Self::Auth | Self::Answers | Self::Commands | Self::Log => 64,
            Self::Control | Self::Running => 256,
            Self::Feed | Self::Bulk => 8,
        }
    }
}

/// What stands in a frame: its fields, and bytes behind them.
trait Body: Serialize + DeserializeOwned {
    /// The bytes behind the fields.
    fn tail(&self) -> &[u8] {
        &[]
    }

    /// Takes the bytes that came behind the fields; says whether there may be any.
    fn attach(&mut self, tail: Bytes) -> bool {
        tail.is_empty()
    }

    /// Whether it keeps to its own limits.
    fn fits(&self) -> bool {
        true
    }
}

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident in $lane:ident;)+) => {
        /// One thing that is said.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Frame {
            $($(#[$doc])* $name($name),)+
        }

        impl Frame {
            /// Where it waits for the line.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self {
                    $(Self::$name(_) => Lane::$lane,)+
                }
            }

            /// Its number, its fields and the bytes behind them.
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
    /// H: what a host has to know before anything else. It drops its mirror when `epoch` or `scope` are others.
    1 Welcome in Auth;
    /// R: how the host is, every 10 s.
    2 Beat in Control;
    /// H: a snapshot begins.
    3 SnapshotBegin in Feed;
    /// H: rows of one table, in the order of their keys.
    4 SnapshotRows in Feed;
    /// H: the snapshot is whole.
    5 SnapshotEnd in Feed;
    /// H: what has changed.
    6 Feed in Feed;
    /// R: applied and durable up to here.
    7 Ack in Control;
    /// H: what the host may have is another than before.
    8 Scope in Control;
    /// H: a run to be taken.
    9 RunOffer in Control;
    /// R: it is taken.
    10 RunAccept in Control;
    /// R: it is not.
    11 RunRefuse in Control;
    /// H: an offer that nobody answered is void.
    12 Withdraw in Control;
    /// H: the run is another's now; what the host still does for it is not applied.
    13 LeaseLost in Control;
    /// R: one more thing of a run, to be applied at home.
    14 Command in Commands;
    /// H: what became of it.
    15 Answer in Answers;
    /// R: words as a model says them.
    16 Running in Running;
    /// H: stop, steer, an answer of a person, another setting.
    17 Control in Control;
    /// Both: where branches stand.
    18 GitHave in Bulk;
    /// Both: a piece of a pack.
    19 GitPack in Bulk;
    /// Both: a piece of a file that is named by its hash. The same under all wires.
    20 Blob in Bulk;
    /// H: a key that agents of the host need, sealed for it.
    21 KeyPush in Auth;
    /// R: it has it.
    22 KeyAck in Auth;
    /// H: it has to forget it.
    23 KeyRevoke in Auth;
    /// Both: the link is closed on purpose.
    24 Goodbye in Control;
    /// R: a line of its log.
    25 Log in Log;
    /// R: what it has of the mirror. The first thing after the welcome, and again when what came did not fit: home
    /// sends nothing of the mirror before it.
    26 Have in Control;
}

/// The kind of the frame that says nothing but that its sender is there.
const PING: u8 = 0;
/// The number of the kind, and the length of the fields.
const BEGINNING: usize = 1 + 4;

impl Frame {
    /// As it is sealed, with room in front for what sealing adds there.
    ///
    /// # Errors
    /// When it is longer than a frame may be, or does not keep to its own limits.
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

    /// That of a side that has nothing to say.
    pub(crate) fn ping() -> Result<Vec<u8>, LinkError> {
        let mut out = Vec::with_capacity(BEGINNING + OVERHEAD);
        begin(&mut out, PING, 0)?;
        Ok(out)
    }

    /// Reads an opened message; nothing where the other side only says that it is there.
    ///
    /// # Errors
    /// When it is no frame, or does not keep to its limits.
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

    fn again(frame: &Frame) -> Result<Option<Frame>, LinkError> {
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
            assert_eq!(again(&frame), Ok(Some(frame)));
        }
        let ping = Bytes::from(Frame::ping().unwrap()).slice(HEAD..);
        assert_eq!(Frame::decode(ping), Ok(None));
    }

    #[test]
    fn what_claims_more_than_it_has_is_refused() {
        for bytes in [
            &b""[..],
            &[2, 0, 0, 0],
            // A gibibyte of fields.
            &[20, 0x40, 0, 0, 0, b'{', b'}'],
            &[20, 0xff, 0xff, 0xff, 0xff],
            &[7, 0, 0, 0, 9, b'{', b'"', b's', b'e', b'q', b'"', b':', b'1'],
            // Of no kind, no JSON, a ping with words, bytes where none belong.
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
        // A host that lies about it.
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
