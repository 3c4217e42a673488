//! An in-process carrier with injected faults, for tests and simulations.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{sink, stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::carrier::Carrier;
use super::error::LinkError;

/// Most messages in transit per direction.
const ROOM: usize = 16;

/// A fault of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The message is lost, and the connection breaks.
    Cut,
    /// This and all later messages are lost silently.
    Swallow,
    /// It arrives later.
    Delay(Duration),
    /// It arrives twice.
    Duplicate,
    /// Only this many of its bytes arrive.
    Truncate(usize),
    /// It arrives after the next message.
    Reorder,
    /// One bit of the byte with this index is flipped; the index wraps around.
    Flip(usize),
}

/// The faults of one direction, by message number from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<(usize, Fault)>);

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One fault.
    #[must_use]
    pub fn at(number: usize, fault: Fault) -> Self {
        Self(vec![(number, fault)])
    }

    /// Several faults.
    #[must_use]
    pub fn all(faults: Vec<(usize, Fault)>) -> Self {
        Self(faults)
    }
}

/// A recording of all messages, as an observer sees them.
#[derive(Clone, Debug, Default)]
pub struct Tap(Arc<Mutex<Vec<Bytes>>>);

impl Tap {
    /// The messages in the order of sending.
    #[must_use]
    pub fn messages(&self) -> Vec<Bytes> {
        self.0.lock().clone()
    }

    /// Returns `true` if a message contains these bytes.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let within = |message: &Bytes| message.windows(bytes.len()).any(|part| part == bytes);
        !bytes.is_empty() && self.0.lock().iter().any(within)
    }
}

/// A message in transit and its delay.
type Late = (Duration, Bytes);

/// One direction.
struct Line {
    out: Option<mpsc::Sender<Late>>,
    faults: Faults,
    number: usize,
    held: Option<Bytes>,
    swallows: bool,
    tap: Tap,
}

impl Line {
    async fn pass(mut self, message: Bytes) -> Result<Self, LinkError> {
        self.tap.0.lock().push(message.clone());
        let number = self.number;
        self.number += 1;
        let here = self.faults.0.iter().find(|(at, _)| *at == number);
        let fault = here.map(|(_, fault)| *fault);
        let (now, soon) = (Duration::ZERO, self.held.take());
        let mut passing = Vec::new();
        match fault {
            Some(Fault::Cut) => self.out = None,
            Some(Fault::Swallow) => self.swallows = true,
            Some(Fault::Delay(late)) => passing.push((late, message)),
            Some(Fault::Duplicate) => passing.extend([(now, message.clone()), (now, message)]),
            Some(Fault::Truncate(length)) => {
                passing.push((now, message.slice(..length.min(message.len()))));
            }
            Some(Fault::Reorder) => self.held = Some(message),
            Some(Fault::Flip(at)) => passing.push((now, flipped(message, at))),
            None => passing.push((now, message)),
        }
        passing.extend(soon.map(|message| (now, message)));
        if self.swallows {
            return Ok(self);
        }
        let out = self.out.as_ref().ok_or(LinkError::Cut)?;
        for late in passing {
            out.send(late).await.map_err(|_| LinkError::Cut)?;
        }
        Ok(self)
    }
}

fn flipped(message: Bytes, at: usize) -> Bytes {
    let mut message = BytesMut::from(message);
    let length = message.len();
    if length != 0 {
        message[at % length] ^= 1;
    }
    message.freeze()
}

/// Two ends of a carrier without faults.
#[must_use]
pub fn pipe() -> (Carrier, Carrier) {
    let (one, other, _) = faulty(Faults::none(), Faults::none());
    (one, other)
}

/// Two ends of a carrier with faults, and a recording. The first end sends through `there`, the second through `back`.
#[must_use]
pub fn faulty(there: Faults, back: Faults) -> (Carrier, Carrier, Tap) {
    let tap = Tap::default();
    let line = |faults, out| Line {
        out: Some(out),
        faults,
        number: 0,
        held: None,
        swallows: false,
        tap: tap.clone(),
    };
    let (out, other_incoming) = mpsc::channel(ROOM);
    let (other_out, incoming) = mpsc::channel(ROOM);
    let one = end(line(there, out), incoming);
    let other = end(line(back, other_out), other_incoming);
    (one, other, tap)
}

fn end(line: Line, incoming: mpsc::Receiver<Late>) -> Carrier {
    let incoming = stream::unfold(incoming, |mut incoming| async move {
        let (late, message) = incoming.recv().await?;
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        Some((Ok(message), incoming))
    });
    Carrier::new(sink::unfold(line, Line::pass), incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn arriving(faults: Faults) -> Vec<String> {
        let (mut one, mut other, _) = faulty(faults, Faults::none());
        for word in ["a", "bb", "ccc"] {
            if one.send(Bytes::from(word)).await.is_err() {
                break;
            }
        }
        drop(one);
        let mut came = Vec::new();
        while let Ok(message) = other.receive(64).await {
            came.push(String::from_utf8_lossy(&message).into_owned());
        }
        came
    }

    #[tokio::test]
    async fn a_bad_line_does_what_it_is_told() {
        let second = |fault| arriving(Faults::at(1, fault));
        assert_eq!(arriving(Faults::none()).await, ["a", "bb", "ccc"]);
        assert_eq!(second(Fault::Cut).await, ["a"]);
        assert_eq!(second(Fault::Swallow).await, ["a"]);
        assert_eq!(second(Fault::Duplicate).await, ["a", "bb", "bb", "ccc"]);
        assert_eq!(second(Fault::Truncate(1)).await, ["a", "b", "ccc"]);
        assert_eq!(second(Fault::Reorder).await, ["a", "ccc", "bb"]);
        assert_eq!(second(Fault::Flip(3)).await, ["a", "bc", "ccc"]);
        assert_eq!(second(Fault::Delay(Duration::from_millis(1))).await, ["a", "bb", "ccc"]);
    }

    #[tokio::test]
    async fn a_message_that_is_longer_than_asked_for_is_refused() {
        let (mut one, mut other) = pipe();
        one.send(Bytes::from_static(b"long")).await.unwrap();
        assert_eq!(other.receive(3).await, Err(LinkError::TooLarge { limit: 3 }));
    }
}
