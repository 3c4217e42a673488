//! What is said once both sides know each other: frames that are sealed, in the order of their urgency.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use kernel::AgentId;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::carrier::{Carrier, Incoming, Out};
use super::error::LinkError;
use super::frame::{Blob, Frame, GitPack, Goodbye};
use super::lanes::Lanes;
use super::seal::{Opener, Sealer};
use super::{CHUNK, Pace};

/// A link in three parts, each for a task of its own.
#[derive(Debug)]
pub struct Session {
    /// Says things; cheap to clone.
    pub sender: Sender,
    /// Hears what the other side says.
    pub receiver: Receiver,
    /// Moves what is to be said: nothing leaves without it.
    pub pump: Pump,
}

impl Session {
    pub(crate) fn new(carrier: Carrier, sealer: Sealer, opener: Opener, pace: Pace) -> Self {
        let lanes = Arc::new(Lanes::new());
        let Carrier { out, incoming } = carrier;
        let silence = pace.silence;
        Self {
            sender: Sender(Arc::clone(&lanes)),
            receiver: Receiver { lanes: Arc::clone(&lanes), incoming, opener, silence },
            pump: Pump { lanes, out, sealer, pace },
        }
    }
}

/// Says things to the other side.
#[derive(Clone)]
pub struct Sender(Arc<Lanes>);

impl Sender {
    /// Puts a frame into its lane; waits while there is no room. Running text is dropped instead.
    ///
    /// # Errors
    /// When the link is at its end, or the frame is too long; the link goes on then.
    pub async fn send(&self, frame: Frame) -> Result<(), LinkError> {
        self.0.push(&frame, None).await
    }

    /// Says something, and waits until it has left: all that is said after it arrives after it, whatever its lane.
    /// That it has arrived is not known. Running text that found no room counts as gone: [`LinkError::Cut`].
    ///
    /// # Errors
    /// When the link came to its end first, or the frame is too long.
    pub async fn deliver(&self, frame: Frame) -> Result<(), LinkError> {
        let (left, has_left) = oneshot::channel();
        self.0.push(&frame, Some(left)).await?;
        has_left.await.map_err(|_| self.0.why())
    }

    /// Sends a file in pieces, between which those of others have their turn; done when the last has left, so that
    /// what is said next may name the file.
    ///
    /// # Errors
    /// When the link comes to its end, or the file cannot be read or is shorter than `total`; the link goes on then.
    pub async fn blob(
        &self,
        hash: &str,
        total: u64,
        from: impl AsyncRead + Unpin,
    ) -> Result<(), LinkError> {
        self.pieces(total, from, |offset, bytes| {
            Frame::Blob(Blob { hash: hash.to_owned(), offset, total, bytes })
        })
        .await
    }

    /// Sends a pack in pieces, as [`Sender::blob`] does a file. `transfer` tells it from others of this link.
    pub async fn pack(
        &self,
        agent: AgentId,
        transfer: u64,
        total: u64,
        from: impl AsyncRead + Unpin,
    ) -> Result<(), LinkError> {
        self.pieces(total, from, |offset, bytes| {
            Frame::GitPack(GitPack { agent, transfer, offset, total, bytes })
        })
        .await
    }

    async fn pieces(
        &self,
        total: u64,
        mut from: impl AsyncRead + Unpin,
        frame: impl Fn(u64, Bytes) -> Frame,
    ) -> Result<(), LinkError> {
        let mut offset = 0;
        loop {
            let left = usize::try_from(total - offset).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(CHUNK)];
            let read = from.read_exact(&mut piece).await;
            read.map_err(|_| LinkError::Garbled("what is to be sent cannot be read whole"))?;
            let end = offset + u64::try_from(piece.len()).unwrap_or(u64::MAX);
            // One at a time: while it waits, others are put behind it and have their turn before the next.
            self.deliver(frame(offset, piece.into())).await?;
            if end == total {
                return Ok(());
            }
            offset = end;
        }
    }

    /// Closes the link on purpose; done when the word has left. What waits in other lanes is not sent any more.
    ///
    /// # Errors
    /// When the link came to its end first.
    pub async fn goodbye(&self, why: &str) -> Result<(), LinkError> {
        self.deliver(Frame::Goodbye(Goodbye { why: why.to_owned() })).await
    }

    /// Cuts the link at once, without a word.
    pub fn cut(&self) {
        self.0.end(LinkError::Cut);
    }

    /// Waits for the end of the link, and says why.
    pub async fn over(&self) -> LinkError {
        self.0.over().await
    }

    /// How many pieces of running text found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Hears what the other side says.
pub struct Receiver {
    lanes: Arc<Lanes>,
    incoming: Incoming,
    opener: Opener,
    silence: Duration,
}

impl Receiver {
    /// The next frame. Safe to be cut off: nothing is lost by it. A [`Frame::Goodbye`] is the last.
    ///
    /// # Errors
    /// When the link is at its end: [`LinkError::Closed`] after a goodbye, or what went wrong.
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        loop {
            let message = tokio::select! {
                biased;
                came = timeout(self.silence, self.incoming.next()) => match came {
                    Ok(Some(message)) => message,
                    Ok(None) => Err(LinkError::Cut),
                    Err(_) => Err(LinkError::Silent { limit: self.silence }),
                },
                why = self.lanes.over() => return Err(why),
            };
            match message.and_then(|message| self.read(message)) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => {
                    self.lanes.end(error);
                    return Err(self.lanes.why());
                }
            }
        }
    }

    fn read(&mut self, message: Bytes) -> Result<Option<Frame>, LinkError> {
        let frame = Frame::decode(self.opener.open(message)?)?;
        if let Some(frame) = &frame {
            self.lanes.heard(frame)?;
            if matches!(frame, Frame::Goodbye(_)) {
                self.lanes.end(LinkError::Closed);
            }
        }
        Ok(frame)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.lanes.end(LinkError::Cut);
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Moves what is to be said.
pub struct Pump {
    lanes: Arc<Lanes>,
    out: Out,
    sealer: Sealer,
    pace: Pace,
}

impl Pump {
    /// Runs until the link is at its end.
    ///
    /// # Errors
    /// With what went wrong; a goodbye of either side is none.
    pub async fn run(mut self) -> Result<(), LinkError> {
        let error = self.drive().await.err().unwrap_or(LinkError::Closed);
        // A line that has failed is not touched again.
        let is_sound = error == LinkError::Closed;
        self.lanes.end(error);
        if is_sound {
            // ok: what cannot be closed is gone already, and what does not take it in time is left.
            let _ = timeout(self.pace.ping, self.out.close()).await;
        }
        match self.lanes.why() {
            LinkError::Closed => Ok(()),
            error => Err(error),
        }
    }

    /// Sends what there is, until after a goodbye.
    async fn drive(&mut self) -> Result<(), LinkError> {
        loop {
            let waiting = tokio::select! {
                biased;
                why = self.lanes.over() => return Err(why),
                waiting = self.lanes.next() => Some(waiting),
                () = sleep(self.pace.ping) => None,
            };
            let (message, left, is_last) = match waiting {
                Some(waiting) => (waiting.message, waiting.left, waiting.is_last),
                None => (Frame::ping()?, None, false),
            };
            let sealed = self.sealer.seal(message)?;
            let limit = self.pace.silence;
            tokio::select! {
                biased;
                sent = timeout(limit, self.out.send(sealed)) => match sent {
                    Ok(sent) => sent?,
                    Err(_) => return Err(LinkError::Silent { limit }),
                },
                why = self.lanes.over() => return Err(why),
            }
            if let Some(left) = left {
                // ok: nobody may want to know any more.
                let _ = left.send(());
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.lanes.end(LinkError::Cut);
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}
