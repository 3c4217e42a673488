//! Incremental parser for line streams (NDJSON). Chunks may be split anywhere, also within a character. Empty lines are
//! skipped.

/// A line exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the stream is larger than {limit} bytes; request less at once")]
pub struct LineTooLarge {
    /// Maximum line size, in bytes.
    pub limit: usize,
}

/// Turns chunks of bytes into lines.
#[derive(Debug)]
pub struct LineParser {
    line: Vec<u8>,
    limit: usize,
    too_large: bool,
}

impl LineParser {
    /// A parser at the start of a stream, with a maximum line size in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), limit, too_large: false }
    }

    /// Parses a chunk and returns the lines that it completes, without line ends.
    ///
    /// # Errors
    /// If a line is too large. All further calls fail too.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, LineTooLarge> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.too_large || self.limit < self.line.len() + part.len() {
                self.too_large = true;
                self.line = Vec::new();
                return Err(LineTooLarge { limit: self.limit });
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.extend(text(&std::mem::take(&mut self.line)));
            }
        }
        Ok(lines)
    }

    /// Ends the stream. Returns the last line if its line end is missing.
    #[must_use]
    pub fn finish(self) -> Option<String> {
        text(&self.line)
    }
}

fn text(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn lines_are_the_same_wherever_they_are_cut() {
        let text = "{\"a\":\"Grüße 世界\"}\r\n\n{\"b\":2}\n  \n{\"c\":3}";
        for at in 0..=text.len() {
            let mut parser = LineParser::new(100);
            let mut lines = parser.push(&text.as_bytes()[..at]).expect("short");
            lines.extend(parser.push(&text.as_bytes()[at..]).expect("short"));
            lines.extend(parser.finish());
            assert_eq!(lines, ["{\"a\":\"Grüße 世界\"}", "{\"b\":2}", "{\"c\":3}"], "{at}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_and_forgotten() {
        let mut parser = LineParser::new(10);
        assert!(parser.push(b"0123456789").expect("it fits").is_empty());
        assert_eq!(parser.push(b"0"), Err(LineTooLarge { limit: 10 }));
        assert_eq!(parser.push(b"\n{}\n"), Err(LineTooLarge { limit: 10 }));
        assert_eq!(parser.finish(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end_and_hold_no_more_than_they_were_given(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u8..=255, 0..40), 0..20),
        ) {
            let mut parser = LineParser::new(64);
            let given: usize = pieces.iter().map(Vec::len).sum();
            let mut lines = Vec::new();
            for piece in &pieces {
                match parser.push(piece) {
                    Ok(more) => lines.extend(more),
                    Err(error) => { prop_assert_eq!(error.limit, 64); break; }
                }
            }
            lines.extend(parser.finish());
            // An invalid byte becomes a replacement character of three bytes.
            prop_assert!(lines.iter().map(String::len).sum::<usize>() <= 3 * given);
            prop_assert!(lines.iter().all(|line| !line.trim().is_empty() && !line.contains('\n')));
        }
    }
}
