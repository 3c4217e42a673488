//! Splits `<think>…</think>` at the start of an answer from its text, for servers that leave these tags in the content.
//! Works incrementally; tags later in the text are text.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A piece of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Thinking(String),
}

/// Incremental splitter.
#[derive(Default)]
pub(super) struct Splitter {
    state: State,
    held: String,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Thinking,
    /// After the closing tag: line breaks before the text are dropped.
    After,
    Text,
}

impl Splitter {
    /// Adds input and returns the pieces that are decided.
    pub(super) fn push(&mut self, more: &str) -> Vec<Piece> {
        let mut out = Vec::new();
        self.held.push_str(more);
        if self.state == State::Start {
            let begun = self.held.trim_start();
            if let Some(rest) = begun.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.state = State::Thinking;
            } else if OPEN.starts_with(begun) {
                return out;
            } else {
                self.state = State::Text;
            }
        }
        if self.state == State::Thinking {
            if let Some(at) = self.held.find(CLOSE) {
                let rest = self.held.split_off(at + CLOSE.len());
                self.held.truncate(at);
                push(&mut out, Piece::Thinking, std::mem::replace(&mut self.held, rest));
                self.state = State::After;
            } else {
                let keep = self.held.split_off(self.held.len() - begun_tag(&self.held));
                push(&mut out, Piece::Thinking, std::mem::replace(&mut self.held, keep));
            }
        }
        if self.state == State::After {
            let rest = self.held.trim_start();
            if rest.is_empty() {
                self.held.clear();
            } else {
                self.held = rest.to_owned();
                self.state = State::Text;
            }
        }
        if self.state == State::Text {
            push(&mut out, Piece::Text, std::mem::take(&mut self.held));
        }
        out
    }

    /// The held back rest at the end of the answer.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let mut out = Vec::new();
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Thinking => push(&mut out, Piece::Thinking, held),
            State::Start | State::After | State::Text => push(&mut out, Piece::Text, held),
        }
        out
    }
}

fn push(out: &mut Vec<Piece>, kind: fn(String) -> Piece, text: String) {
    if !text.is_empty() {
        out.push(kind(text));
    }
}

/// Length of a suffix that may be the start of the closing tag.
fn begun_tag(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|n| text.ends_with(&CLOSE[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, size: usize) -> (String, String) {
        let chars: Vec<char> = text.chars().collect();
        let mut splitter = Splitter::default();
        let mut pieces: Vec<Piece> =
            chars.chunks(size).flat_map(|c| splitter.push(&c.iter().collect::<String>())).collect();
        pieces.extend(splitter.finish());
        let (mut thinking, mut visible) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(t) => visible.push_str(&t),
                Piece::Thinking(t) => thinking.push_str(&t),
            }
        }
        (thinking, visible)
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(
                split("\n<think>a < b </thin\n</think>\n\nSo: ü", size),
                ("a < b </thin\n".into(), "So: ü".into())
            );
            assert_eq!(
                split("Plain <think>no</think>", size),
                (String::new(), "Plain <think>no</think>".into())
            );
            assert_eq!(split("<thi", size), (String::new(), "<thi".into()));
            assert_eq!(split("<think>never closed", size), ("never closed".into(), String::new()));
        }
    }
}
