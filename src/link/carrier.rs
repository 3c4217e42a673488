//! What moves messages from one side to the other: in order where all goes well, and nothing more is asked of it.

use std::fmt;
use std::future::ready;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};

use super::error::LinkError;

/// The half that sends.
pub(crate) type Out = Pin<Box<dyn Sink<Bytes, Error = LinkError> + Send>>;
/// The half that receives.
pub(crate) type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>;

/// A connection that carries binary messages, whatever it is made of.
pub struct Carrier {
    pub(crate) out: Out,
    pub(crate) incoming: Incoming,
}

impl Carrier {
    /// Of two halves.
    pub fn new(
        out: impl Sink<Bytes, Error = LinkError> + Send + 'static,
        incoming: impl Stream<Item = Result<Bytes, LinkError>> + Send + 'static,
    ) -> Self {
        Self { out: Box::pin(out), incoming: Box::pin(incoming) }
    }

    /// Of a socket of some library, whose messages are `M`: `wrap` makes one of bytes, and `read` gives the bytes of
    /// a binary one, and nothing for others, which are passed over. For a server over axum's sockets:
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
    /// The socket has to be told not to take more than [`MAX_SEALED`](super::MAX_SEALED) bytes a message, so that what
    /// a length claims is refused before there is room made for it.
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

    /// Sends one message; done when it has left.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        self.out.send(message).await
    }

    /// The next message, of at most `most` bytes.
    ///
    /// # Errors
    /// When it is longer, or the connection is gone.
    pub async fn receive(&mut self, most: usize) -> Result<Bytes, LinkError> {
        let message = self.incoming.next().await.unwrap_or(Err(LinkError::Cut))?;
        match message.len() <= most {
            true => Ok(message),
            false => Err(LinkError::TooLarge { limit: most }),
        }
    }

    /// Ends the connection in good order, as far as that is still possible.
    pub async fn close(&mut self) {
        // ok: what cannot be closed is gone already.
        let _ = self.out.close().await;
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}
