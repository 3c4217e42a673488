//! The two directions of a connection: reading and writing, with time limits.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

/// Number of bytes per read.
const PIECE: usize = 16 * 1024;

/// Any bidirectional connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection of any kind.
pub(crate) type Wire = Box<dyn Duplex>;

/// Why a side is no longer usable.
pub(crate) enum Fault {
    /// Disconnected.
    Gone(String),
    /// Inactive for this long.
    Idle(Duration),
    /// Malformed data.
    Unclear(&'static str),
    /// The head is too long.
    TooLong,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Gone(error.to_string())
    }
}

/// Reading side.
pub(crate) struct Source {
    pub(crate) half: ReadHalf<Wire>,
    /// Received data that was not consumed yet.
    pub(crate) held: BytesMut,
}

/// Writing side.
pub(crate) struct Sink {
    pub(crate) half: WriteHalf<Wire>,
    within: Duration,
}

/// Splits a connection. Each write must complete `within` this time.
pub(crate) fn split(wire: Wire, within: Duration) -> (Source, Sink) {
    let (read, write) = tokio::io::split(wire);
    (Source { half: read, held: BytesMut::new() }, Sink { half: write, within })
}

impl Source {
    /// Waits for more data. Returns `false` at the end.
    pub(crate) async fn fill(&mut self, within: Duration) -> Result<bool, Fault> {
        match timeout(within, self.more()).await {
            Ok(more) => more,
            Err(_) => Err(Fault::Idle(within)),
        }
    }

    async fn more(&mut self) -> Result<bool, Fault> {
        self.held.reserve(PIECE);
        Ok(self.half.read_buf(&mut self.held).await? != 0)
    }

    /// Waits for data that must still come.
    pub(crate) async fn owed(&mut self, within: Duration) -> Result<(), Fault> {
        match self.fill(within).await? {
            true => Ok(()),
            false => Err(Fault::Gone("it ended in the middle".to_owned())),
        }
    }

    /// The next head, including its empty line; `None` if the connection ended before. Must start within `first` and
    /// then be complete within `rest`.
    pub(crate) async fn head(
        &mut self,
        limit: usize,
        first: Duration,
        rest: Duration,
    ) -> Result<Option<BytesMut>, Fault> {
        if self.held.is_empty() && !self.fill(first).await? {
            return Ok(None);
        }
        match timeout(rest, self.block(limit, rest)).await {
            Ok(block) => block.map(Some),
            Err(_) => Err(Fault::Idle(rest)),
        }
    }

    /// Lines up to and including the first empty one.
    async fn block(&mut self, limit: usize, within: Duration) -> Result<BytesMut, Fault> {
        let mut seen = 0;
        loop {
            if let Some(end) = ending(&self.held, &mut seen)? {
                return if end <= limit {
                    Ok(self.held.split_to(end))
                } else {
                    Err(Fault::TooLong)
                };
            }
            if limit < self.held.len() {
                return Err(Fault::TooLong);
            }
            self.owed(within).await?;
        }
    }

    /// One line, without its end.
    pub(crate) async fn line(&mut self, limit: usize, within: Duration) -> Result<BytesMut, Fault> {
        loop {
            if let Some(at) = self.held.iter().position(|byte| *byte == b'\n') {
                let mut line = self.held.split_to(at + 1);
                if limit < at {
                    return Err(Fault::TooLong);
                }
                if !line.ends_with(b"\r\n") {
                    return Err(Fault::Unclear("a line does not end as lines do"));
                }
                line.truncate(at - 1);
                return Ok(line);
            }
            if limit < self.held.len() {
                return Err(Fault::TooLong);
            }
            self.owed(within).await?;
        }
    }

    /// Waits until the other side disconnects. Buffers up to `limit` bytes received meanwhile.
    pub(crate) async fn gone(&mut self, limit: usize) {
        while self.held.len() < limit {
            if !matches!(self.more().await, Ok(true)) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Returns `true` if the connection is open and no unexpected data has arrived.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.held.is_empty() && self.more().now_or_never().is_none()
    }
}

/// The end of the header block, if complete; `seen` bytes were checked before.
fn ending(bytes: &[u8], seen: &mut usize) -> Result<Option<usize>, Fault> {
    while let Some(at) = bytes[*seen..].iter().position(|byte| *byte == b'\n') {
        let end = *seen + at + 1;
        let line = &bytes[..end];
        if !line.ends_with(b"\r\n") {
            return Err(Fault::Unclear("a line does not end as lines do"));
        }
        if line == b"\r\n" || line.ends_with(b"\n\r\n") {
            return Ok(Some(end));
        }
        *seen = end;
    }
    *seen = bytes.len();
    Ok(None)
}

impl Sink {
    /// Writes and flushes bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let half = &mut self.half;
        let sending = async {
            half.write_all(bytes).await?;
            half.flush().await
        };
        match timeout(self.within, sending).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Fault::Idle(self.within)),
        }
    }

    /// Shuts down the writing side.
    pub(crate) async fn close(&mut self) {
        // ok: a disconnected or slow peer need not be notified
        let _ = timeout(self.within, self.half.shutdown()).await;
    }
}
