//! Lines over a reader and a writer that several waiting requests drive together.
//!
//! No task owns the connection. Each waiting request polls it with a waker that wakes all of them, so any of them may be
//! dropped at any time. Lines are written by polls as well: a dropped request never leaves half a line behind.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ask::MAX_MESSAGE;

/// Reads per poll, so that a server that never stops writing cannot keep the thread.
const READS_PER_POLL: usize = 64;
/// Memory for a message is returned above this size.
const KEPT_BUFFER: usize = 64 * 1024;
/// Maximum size of the lines that the server has not read yet.
const MAX_QUEUE: usize = 4 * MAX_MESSAGE;

/// Wakers of all waiting requests.
#[derive(Default)]
pub(super) struct Wakers(Mutex<HashMap<u64, Waker>>);

impl Wakers {
    pub fn set(&self, id: u64, waker: &Waker) {
        self.0.lock().insert(id, waker.clone());
    }

    pub fn remove(&self, id: u64) {
        self.0.lock().remove(&id);
    }

    pub fn wake_one(&self, id: u64) {
        // The lock is released before the waker runs.
        let waker = self.0.lock().remove(&id);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn wake_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for waker in all.into_values() {
            waker.wake();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// Why nothing more can be exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// End of the output, or an error of it.
    Closed(String),
    /// A line exceeds [`MAX_MESSAGE`].
    TooLarge,
}

struct Line {
    /// The request that the line carries.
    id: Option<u64>,
    bytes: Vec<u8>,
}

pub(super) struct Pipe {
    reader: Option<Box<dyn AsyncRead + Send + Unpin>>,
    writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    incoming: Vec<u8>,
    /// Bytes of `incoming` that contain no line end.
    scanned: usize,
    queue: VecDeque<Line>,
    queued: usize,
    /// Bytes of the first line that are written.
    written: usize,
    must_flush: bool,
    end: Option<End>,
}

impl Pipe {
    pub fn new(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    ) -> Pipe {
        Pipe {
            reader: Some(reader),
            writer: Some(writer),
            incoming: Vec::new(),
            scanned: 0,
            queue: VecDeque::new(),
            queued: 0,
            written: 0,
            must_flush: false,
            end: None,
        }
    }

    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Queues a line. Returns `false` if the server does not read its input.
    pub fn queue(&mut self, id: Option<u64>, mut bytes: Vec<u8>) -> bool {
        bytes.push(b'\n');
        if self.end.is_some() || MAX_QUEUE < self.queued + bytes.len() {
            return false;
        }
        self.queued += bytes.len();
        self.queue.push_back(Line { id, bytes });
        true
    }

    /// Whether the server has got everything queued.
    pub fn is_written(&self) -> bool {
        self.queue.is_empty() && !self.must_flush
    }

    /// Takes the line of a request back. Returns `false` if a part of it is written already.
    pub fn take_back(&mut self, id: u64) -> bool {
        let Some(at) = self.queue.iter().position(|line| line.id == Some(id)) else { return false };
        if at == 0 && self.written > 0 {
            return false;
        }
        if let Some(line) = self.queue.remove(at) {
            self.queued -= line.bytes.len();
        }
        true
    }

    /// Whether the line of a request still waits as a whole.
    pub fn is_waiting(&self, id: u64) -> bool {
        let at = self.queue.iter().position(|line| line.id == Some(id));
        at.is_some_and(|at| at > 0 || self.written == 0)
    }

    /// Writes what can be written now.
    pub fn write(&mut self, cx: &mut Context<'_>) {
        let Some(writer) = &mut self.writer else { return };
        let mut writer = Pin::new(writer);
        while let Some(line) = self.queue.front() {
            match writer.as_mut().poll_write(cx, &line.bytes[self.written..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) if count > 0 => self.written += count,
                // The rest of its output may still be read.
                Poll::Ready(_) => {
                    self.writer = None;
                    return;
                }
            }
            self.must_flush = true;
            if self.written == line.bytes.len() {
                self.queued -= line.bytes.len();
                self.written = 0;
                self.queue.pop_front();
            }
        }
        if self.must_flush {
            match writer.as_mut().poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.must_flush = false,
                Poll::Ready(Err(_)) => self.writer = None,
            }
        }
    }

    /// Reads what can be read now and returns the complete lines.
    pub fn read(&mut self, cx: &mut Context<'_>) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut chunk = [0; 16 * 1024];
        for _ in 0..READS_PER_POLL {
            let Some(reader) = &mut self.reader else { return lines };
            let mut space = ReadBuf::new(&mut chunk);
            match Pin::new(reader).poll_read(cx, &mut space) {
                Poll::Pending => {
                    // Input that cannot be written any longer ends the connection once the output is read.
                    if self.writer.is_none() {
                        self.finish(End::Closed("it closed its input".to_owned()));
                    }
                    return lines;
                }
                Poll::Ready(Err(err)) => {
                    self.finish(match err.kind() {
                        io::ErrorKind::FileTooLarge => End::TooLarge,
                        _ => End::Closed(err.to_string()),
                    });
                    return lines;
                }
                Poll::Ready(Ok(())) if space.filled().is_empty() => {
                    self.finish(End::Closed(String::new()));
                    return lines;
                }
                Poll::Ready(Ok(())) => {
                    self.incoming.extend_from_slice(space.filled());
                    self.split(&mut lines);
                    if MAX_MESSAGE < self.incoming.len() {
                        self.finish(End::TooLarge);
                        return lines;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        lines
    }

    fn split(&mut self, lines: &mut Vec<Vec<u8>>) {
        let mut start = 0;
        while let Some(at) = self.incoming[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let end = self.scanned + at;
            lines.push(self.incoming[start..end].to_vec());
            start = end + 1;
            self.scanned = start;
        }
        self.incoming.drain(..start);
        self.scanned = self.incoming.len();
        if self.incoming.is_empty() && KEPT_BUFFER < self.incoming.capacity() {
            self.incoming = Vec::new();
        }
    }

    /// Ends the input. Returns `Ready` once everything queued is written.
    pub fn shut_down(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.write(cx);
        if let Some(writer) = &mut self.writer {
            if !self.queue.is_empty() || self.must_flush {
                return Poll::Pending;
            }
            // ok: an input that cannot be closed is dropped below
            if Pin::new(writer).poll_shutdown(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Ends the connection; the first reason counts.
    pub fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.reader = None;
        self.writer = None;
        self.incoming = Vec::new();
        self.scanned = 0;
    }
}
