//! An established link: sealed frames, sent in order of priority.

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
    /// Sends frames; cheap to clone.
    pub sender: Sender,
    /// Receives frames.
    pub receiver: Receiver,
    /// Writes queued frames to the carrier: nothing is sent without it.
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

/// Sends frames to the other side.
#[derive(Clone)]
pub struct Sender(Arc<Lanes>);

impl Sender {
    /// Queues a frame; waits while its lane is full. Streamed text is dropped instead.
    ///
    /// # Errors
    /// If the link has ended, or the frame is too long; the link continues in the latter case.
    pub async fn send(&self, frame: Frame) -> Result<(), LinkError> {
        self.0.push(&frame, None).await
    }

    /// Sends a frame and waits until it is written to the carrier: frames sent later arrive later, whatever their lane.
    /// Does not wait for its arrival. Dropped streamed text counts as gone: [`LinkError::Cut`].
    ///
    /// # Errors
    /// If the link ended before that, or the frame is too long.
    pub async fn deliver(&self, frame: Frame) -> Result<(), LinkError> {
        let (left, has_left) = oneshot::channel();
        self.0.push(&frame, Some(left)).await?;
        has_left.await.map_err(|_| self.0.why())
    }

    /// Sends a file in pieces that alternate with those of other files. Returns when the last piece is written, so that
    /// the next frame may name the file.
    ///
    /// # Errors
    /// If the link ends, or the file cannot be read or is shorter than `total`; the link continues in the latter case.
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

    /// Sends a pack in pieces, like [`Sender::blob`]. `transfer` distinguishes it from other packs of this link.
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
            // One piece at a time, so that pieces of other transfers are queued between them.
            self.deliver(frame(offset, piece.into())).await?;
            if end == total {
                return Ok(());
            }
            offset = end;
        }
    }

    /// Closes the link with a goodbye; returns when that is written. Frames in other lanes are dropped.
    ///
    /// # Errors
    /// If the link ended before that.
    pub async fn goodbye(&self, why: &str) -> Result<(), LinkError> {
        self.deliver(Frame::Goodbye(Goodbye { why: why.to_owned() })).await
    }

    /// Cuts the link at once, without a goodbye.
    pub fn cut(&self) {
        self.0.end(LinkError::Cut);
    }

    /// Waits for the end of the link. Returns the reason.
    pub async fn over(&self) -> LinkError {
        self.0.over().await
    }

    /// Number of dropped pieces of streamed text.
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

/// Receives frames from the other side.
pub struct Receiver {
    lanes: Arc<Lanes>,
    incoming: Incoming,
    opener: Opener,
    silence: Duration,
}

impl Receiver {
    /// The next frame. Cancel-safe. A [`Frame::Goodbye`] is the last one.
    ///
    /// # Errors
    /// If the link has ended: [`LinkError::Closed`] after a goodbye, else the failure.
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

/// Writes queued frames to the carrier.
pub struct Pump {
    lanes: Arc<Lanes>,
    out: Out,
    sealer: Sealer,
    pace: Pace,
}

impl Pump {
    /// Runs until the link ends.
    ///
    /// # Errors
    /// The failure that ended the link; a goodbye of either side is no error.
    pub async fn run(mut self) -> Result<(), LinkError> {
        let error = self.drive().await.err().unwrap_or(LinkError::Closed);
        // A failed carrier is not used again.
        let is_sound = error == LinkError::Closed;
        self.lanes.end(error);
        if is_sound {
            // ok: a carrier that fails to close, or takes too long, is abandoned.
            let _ = timeout(self.pace.ping, self.out.close()).await;
        }
        match self.lanes.why() {
            LinkError::Closed => Ok(()),
            error => Err(error),
        }
    }

    /// Writes frames until a goodbye was written.
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
                // ok: the sender may no longer wait.
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
