//! Reads and writes message bodies according to their framing.

use std::time::Duration;

use bytes::Bytes;

use super::head::{self, Framing, HeaderLine};
use super::wire::{Fault, Source};

/// Maximum length of a chunk size line.
const MAX_SIZE_LINE: usize = 1024;
/// Maximum number of digits of a chunk size.
const MAX_SIZE: usize = 15;

/// State of reading a body.
pub(crate) struct Body {
    framing: Framing,
    /// Remaining bytes of the body, or of the chunk.
    left: u64,
    is_begun: bool,
    is_over: bool,
    /// Trailers after the last chunk.
    pub(crate) trailers: Vec<HeaderLine>,
    /// Maximum size of the trailers.
    limit: usize,
}

impl Body {
    pub(crate) fn new(framing: Framing, limit: usize) -> Body {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let is_over = framing == Framing::Nothing;
        Body { framing, left, is_begun: false, is_over, trailers: Vec::new(), limit }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(
        &mut self,
        source: &mut Source,
        within: Duration,
    ) -> Result<Option<Bytes>, Fault> {
        if !self.is_over && self.left == 0 && self.framing == Framing::Chunked {
            self.chunk(source, within).await?;
        }
        if self.is_over {
            return Ok(None);
        }
        if source.held.is_empty() && !source.fill(within).await? {
            if self.framing == Framing::ToEnd {
                self.is_over = true;
                return Ok(None);
            }
            return Err(Fault::Gone("it ended in the middle".to_owned()));
        }
        let held = source.held.len();
        if self.framing == Framing::ToEnd {
            return Ok(Some(source.held.split_to(held).freeze()));
        }
        let size = usize::try_from(self.left).map_or(held, |left| left.min(held));
        self.left -= size as u64;
        self.is_over = self.left == 0 && self.framing != Framing::Chunked;
        Ok(Some(source.held.split_to(size).freeze()))
    }

    /// Reads the next chunk size, or the trailers after the last chunk.
    async fn chunk(&mut self, source: &mut Source, within: Duration) -> Result<(), Fault> {
        if self.is_begun && !source.line(MAX_SIZE_LINE, within).await?.is_empty() {
            return Err(Fault::Unclear("a chunk is longer than it says"));
        }
        self.is_begun = true;
        let line = source.line(MAX_SIZE_LINE, within).await?;
        self.left = size(&line).ok_or(Fault::Unclear("the size of a chunk isn't a number"))?;
        if self.left == 0 {
            self.is_over = true;
            let mut bytes = Vec::new();
            loop {
                let line = source.line(self.limit, within).await?;
                if line.is_empty() {
                    break;
                }
                bytes.extend_from_slice(&line);
                bytes.extend_from_slice(b"\r\n");
                if self.limit < bytes.len() {
                    return Err(Fault::TooLong);
                }
            }
            self.trailers = head::trailers(&bytes).map_err(Fault::Unclear)?;
        }
        Ok(())
    }
}

/// Parses a chunk size. Chunk extensions are hop-by-hop and dropped.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_size =
        (1..=MAX_SIZE).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_size)?;
    u64::from_str_radix(text, 16).ok()
}

/// Writes a piece with this framing. An empty piece is skipped: it would end a chunked body.
pub(crate) fn write(framing: Framing, piece: &[u8], out: &mut Vec<u8>) {
    if piece.is_empty() {
        return;
    }
    if framing != Framing::Chunked {
        out.extend_from_slice(piece);
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a body.
pub(crate) fn end(framing: Framing, trailers: &[HeaderLine], out: &mut Vec<u8>) {
    if framing == Framing::Chunked {
        out.extend_from_slice(b"0\r\n");
        head::write(trailers, out);
    }
}
