//! The transport of messages. It should keep their order; the layers above check everything.

use std::fmt;
use std::future::ready;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};

use super::error::LinkError;

/// The sending half.
pub(crate) type Out = Pin<Box<dyn Sink<Bytes, Error = LinkError> + Send>>;
/// The receiving half.
pub(crate) type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>;

/// A connection for binary messages.
pub struct Carrier {
    pub(crate) out: Out,
    pub(crate) incoming: Incoming,
}

impl Carrier {
    /// Combines two halves.
    pub fn new(
        out: impl Sink<Bytes, Error = LinkError> + Send + 'static,
        incoming: impl Stream<Item = Result<Bytes, LinkError>> + Send + 'static,
    ) -> Self {
        Self { out: Box::pin(out), incoming: Box::pin(incoming) }
    }

    /// Wraps a library's socket with messages `M`: `wrap` makes a message from bytes, and `read` returns the bytes of a
    /// binary message and `None` for others, which are ignored. For a server with axum's sockets:
    ///
    /// ```text
    /// Carrier::of_socket(
    ///     socket,
    ///     Message::Binary,
    ///     |message| match message { Message::Binary(bytes) => Some(bytes), _ => None },
    ///     |_| LinkError::Cut,
    /// )
    /// ```
    ///
    /// Configure the socket to accept at most [`MAX_SEALED`](super::MAX_SEALED) bytes per message, so that a too large
    /// length is rejected before memory is allocated.
    pub fn of_socket<S, M, E>(
        socket: S,
        wrap: impl Fn(Bytes) -> M + Send + 'static,
        read: impl Fn(M) -> Option<Bytes> + Send + 'static,
        failed: impl Fn(E) -> LinkError + Clone + Send + 'static,
    ) -> Self
    where
        S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Send + 'static,
        M: Send + 'static,
        E: 'static,
    {
        let (out, incoming) = socket.split::<M>();
        let out = out.sink_map_err(failed.clone());
        let out = out.with(move |bytes| ready(Ok::<M, LinkError>(wrap(bytes))));
        let incoming = incoming.filter_map(move |came| {
            ready(match came {
                Ok(message) => read(message).map(Ok),
                Err(error) => Some(Err(failed(error))),
            })
        });
        Self::new(out, incoming)
    }

    /// Sends one message; returns when it is written.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        self.out.send(message).await
    }

    /// The next message, of at most `most` bytes.
    ///
    /// # Errors
    /// If the message is longer, or the connection is gone.
    pub async fn receive(&mut self, most: usize) -> Result<Bytes, LinkError> {
        let message = self.incoming.next().await.unwrap_or(Err(LinkError::Cut))?;
        match message.len() <= most {
            true => Ok(message),
            false => Err(LinkError::TooLarge { limit: most }),
        }
    }

    /// Closes the connection cleanly if possible.
    pub async fn close(&mut self) {
        // ok: a carrier that cannot be closed is gone already.
        let _ = self.out.close().await;
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}
