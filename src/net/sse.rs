//! Incremental parser for event streams (`text/event-stream`).
//!
//! Follows the HTML standard: LF, CR or CRLF ends a line, an empty line ends an event, a byte order mark and comments
//! are skipped. Chunks may be split anywhere, also within a character.

use std::time::Duration;

/// Maximum size of an event, in bytes, including field names.
pub const MAX_EVENT: usize = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// Event type; `message` by default.
    pub name: String,
    /// Data lines, joined by line feeds.
    pub data: String,
    /// Last event id of the stream so far; empty if none.
    pub id: String,
}

/// Why a stream cannot be parsed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event exceeds the limit: [`MAX_EVENT`], unless the parser was created with another one.
    #[error("an event of the stream is too large; request less at once")]
    TooLarge,
}

/// Turns chunks of bytes into events.
#[derive(Debug)]
pub struct SseParser {
    /// Maximum event size, in bytes.
    limit: usize,
    /// The incomplete last line.
    line: Vec<u8>,
    /// Whether the check for a byte order mark is complete.
    started: bool,
    /// The last byte was CR, so a following LF belongs to it.
    after_cr: bool,
    name: String,
    data: String,
    has_data: bool,
    last_id: String,
    retry: Option<Duration>,
    too_large: bool,
}

impl Default for SseParser {
    fn default() -> SseParser {
        SseParser::for_events_of(MAX_EVENT)
    }
}

impl SseParser {
    /// A parser at the start of a stream.
    pub fn new() -> SseParser {
        SseParser::default()
    }

    /// A parser with another maximum event size, in bytes.
    pub fn for_events_of(limit: usize) -> SseParser {
        SseParser {
            limit,
            line: Vec::new(),
            started: false,
            after_cr: false,
            name: String::new(),
            data: String::new(),
            has_data: false,
            last_id: String::new(),
            retry: None,
            too_large: false,
        }
    }

    /// Parses a chunk and returns the events that it completes. After an error, all further calls fail.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        let mut events = Vec::new();
        let mut rest = piece;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            match rest.iter().position(|b| *b == b'\n' || *b == b'\r') {
                None => {
                    self.take(rest)?;
                    break;
                }
                Some(end) => {
                    self.take(&rest[..end])?;
                    self.after_cr = rest[end] == b'\r';
                    rest = &rest[end + 1..];
                    events.extend(self.end_line()?);
                }
            }
        }
        Ok(events)
    }

    /// Reconnection delay that the stream requested.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The last event id, to resume from.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Ends the stream. Returns an event whose closing empty line is missing: some servers omit it at the end. The
    /// standard discards such events, so only callers that can detect truncated events should use it.
    pub fn finish(mut self) -> Option<SseEvent> {
        if self.too_large {
            return None;
        }
        if !self.line.is_empty() {
            // ok: too large a line was refused when it was taken, so this only reads fields
            self.end_line().ok()?;
        }
        self.end_event()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.too_large || self.limit < self.size() + bytes.len() {
            self.too_large = true;
            return Err(SseError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn size(&self) -> usize {
        self.line.len() + self.data.len() + self.name.len()
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, SseError> {
        let line = std::mem::take(&mut self.line);
        let line = match std::mem::replace(&mut self.started, true) {
            true => line.as_slice(),
            false => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line),
        };
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let line = String::from_utf8_lossy(line);
        match line.split_once(':') {
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(&line, ""),
        }
        if self.limit < self.size() {
            self.too_large = true;
            return Err(SseError::TooLarge);
        }
        Ok(None)
    }

    /// Unknown fields are ignored. A comment is a field without a name.
    fn field(&mut self, field: &str, value: &str) {
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "event" => self.name = value.to_owned(),
            "id" if !value.contains('\0') => self.last_id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis); // ok: an absurdly long delay is ignored
            }
            _ => {}
        }
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(SseEvent { name, data, id: self.last_id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str, id: &str) -> SseEvent {
        SseEvent { name: name.into(), data: data.into(), id: id.into() }
    }

    fn parse(text: &str) -> Vec<SseEvent> {
        SseParser::new().push(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_make_events() {
        for (text, expected) in [
            ("data: one\n\n", vec![event("message", "one", "")]),
            ("data:one\ndata:  two\n\n", vec![event("message", "one\n two", "")]),
            ("event: ping\ndata\n\n", vec![event("ping", "", "")]),
            ("event: lost\n\ndata: x\n\n", vec![event("message", "x", "")]),
            (": comment\n:\ndata: x\n\n", vec![event("message", "x", "")]),
            (
                "id: 7\ndata: a\n\ndata: b\n\n",
                vec![event("message", "a", "7"), event("message", "b", "7")],
            ),
            ("id: 7\n\nid\ndata: b\n\n", vec![event("message", "b", "")]),
            ("id: a\0b\ndata: c\n\n", vec![event("message", "c", "")]),
            ("data: a: b: c\n\n", vec![event("message", "a: b: c", "")]),
            ("unknown: x\nDATA: y\ndata : z\n\n", vec![]),
            ("data: \n\n\n\n", vec![event("message", "", "")]),
            ("data\ndata\n\n", vec![event("message", "\n", "")]),
            ("data: no end\n", vec![]),
            (
                "data: {\"a\":1}\n\ndata: [DONE]\n\n",
                vec![event("message", "{\"a\":1}", ""), event("message", "[DONE]", "")],
            ),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_kind_of_line_end_counts() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["event: e", "data: 1", "data: 2", "", "data: 3", "", ""].join(end);
            assert_eq!(
                parse(&text),
                [event("e", "1\n2", ""), event("message", "3", "")],
                "{end:?}"
            );
        }
        assert_eq!(
            parse("data: 1\r\r\ndata: 2\n\r\n"),
            [event("message", "1", ""), event("message", "2", "")]
        );
    }

    #[test]
    fn an_event_is_given_as_soon_as_its_empty_line_is_there() {
        let mut parser = SseParser::new();
        assert_eq!(parser.push(b"data: 1\r\n\r").unwrap(), [event("message", "1", "")]);
        assert_eq!(parser.push(b"\ndata: 2\r\n\r\n").unwrap(), [event("message", "2", "")]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_only() {
        let mut parser = SseParser::new();
        assert_eq!(parser.push(b"\xef\xbb").unwrap(), []);
        assert_eq!(parser.push(b"\xbfdata: 1\n\n").unwrap(), [event("message", "1", "")]);
        assert_eq!(parser.push(b"\xef\xbb\xbfdata: 2\n\n").unwrap(), []);
    }

    #[test]
    fn broken_characters_are_replaced_and_do_not_end_the_stream() {
        let mut parser = SseParser::new();
        let events = parser.push(b"data: a\xff\xfeb\n\n").unwrap();
        assert_eq!(events, [event("message", "a\u{fffd}\u{fffd}b", "")]);
    }

    #[test]
    fn the_pause_and_the_last_id_are_kept() {
        let mut parser = SseParser::new();
        parser.push(b"retry: 2500\nid: x1\n\nretry: soon\n\nretry:\n\n").unwrap();
        assert_eq!(parser.retry(), Some(Duration::from_millis(2500)));
        assert_eq!(parser.last_id(), "x1");
        parser.push(b"retry: 99999999999999999999999\n\n").unwrap();
        assert_eq!(parser.retry(), None);
    }

    #[test]
    fn an_event_that_never_ends_is_refused() {
        let mut parser = SseParser::new();
        parser.push(b"data: ").unwrap();
        let piece = vec![b'x'; MAX_EVENT / 4];
        let results: Vec<bool> = (0..4).map(|_| parser.push(&piece).is_ok()).collect();
        assert_eq!(results, [true, true, true, false]);
        assert_eq!(parser.push(b"\n\n"), Err(SseError::TooLarge));
        assert_eq!(parser.finish(), None);
    }

    #[test]
    fn many_small_lines_count_together() {
        let mut parser = SseParser::new();
        let line = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat();
        let taken = (0..2000).take_while(|_| parser.push(&line).is_ok()).count();
        assert!((1000..1100).contains(&taken), "{taken}");
    }

    #[test]
    fn small_events_may_go_on_for_ever() {
        let mut parser = SseParser::new();
        for _ in 0..5000 {
            assert_eq!(
                parser.push(&[b"data: ", [b'x'; 500].as_slice(), b"\n\n"].concat()).unwrap().len(),
                1
            );
        }
    }

    #[test]
    fn the_end_gives_an_event_without_its_empty_line() {
        for (text, expected) in [
            ("data: [DONE]\n", Some(event("message", "[DONE]", ""))),
            ("data: [DONE]", Some(event("message", "[DONE]", ""))),
            ("data: x\n\n", None),
            (": bye", None),
            ("event: e", None),
            ("", None),
        ] {
            let mut parser = SseParser::new();
            parser.push(text.as_bytes()).unwrap();
            assert_eq!(parser.finish(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_cut_anywhere_give_the_same_events(
            lines in proptest::collection::vec("(data|event|id|retry|:|)(: ?|)[a-zäß漢🔐:0-9 ]{0,8}", 0..20),
            ends in proptest::collection::vec("\n|\r|\r\n|\n\n|\r\n\r\n|\r\r", 20),
            cuts in proptest::collection::vec(0usize..9, 0..120),
            mark in any::<bool>(),
        ) {
            let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
            for (line, end) in lines.iter().zip(&ends) {
                text.push_str(line);
                text.push_str(end);
            }
            let mut whole = SseParser::new();
            let expected = whole.push(text.as_bytes()).unwrap();

            let mut parser = SseParser::new();
            let (mut events, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                events.extend(parser.push(now).unwrap());
                rest = later;
            }
            events.extend(parser.push(rest).unwrap());

            prop_assert_eq!(events, expected);
            prop_assert_eq!(parser.retry(), whole.retry());
            prop_assert_eq!(parser.finish(), whole.finish());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = SseParser::new();
            parser.push(&bytes).unwrap();
            parser.finish();
        }
    }
}
