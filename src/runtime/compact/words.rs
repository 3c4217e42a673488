//! The messages to a model that writes a summary.

use crate::history::tokens_of;
use kernel::Thinking;
use kernel::text::{ellipsis, head_tail};

use super::guard;
use super::plan::{Piece, Speaker};

/// The instructions.
pub(super) const SYSTEM: &str = include_str!("../prompts/compact.md");

/// Most bytes of one piece: of people and the agent, of calls, of results.
const LONG: (usize, usize, usize) = (8_000, 700, 2_000);
/// The heading of facts for the memory.
const MEMORY: &str = "For memory";
/// Most lines for the memory.
const MOST_LINES: usize = 10;
/// The longest line, in characters.
const LONGEST_LINE: usize = 300;
/// Replaces the middle of a longer text.
const LEFT_OUT: &str = "\n[…]\n";

/// Splits the conversation into at most `most` parts of about `room` tokens. If it is too long, tool results are
/// shortened first; then the oldest parts are dropped.
pub(super) fn chunks(pieces: &[Piece], room: u64, most: usize) -> Vec<String> {
    let chunks = split(pieces, room, LONG.2);
    if chunks.len() <= most {
        return chunks;
    }
    let mut chunks = split(pieces, room, 200);
    let from = chunks.len().saturating_sub(most);
    chunks.split_off(from)
}

fn split(pieces: &[Piece], room: u64, tool: usize) -> Vec<String> {
    let mut chunks = vec![String::new()];
    for piece in pieces {
        let line = line(piece, tool);
        let last = chunks.len() - 1;
        // A call and its result may be separated here, because nothing is executed.
        if !chunks[last].is_empty() && room < tokens_of(chunks[last].len() + line.len()) {
            chunks.push(line);
        } else {
            chunks[last].push_str(&line);
        }
    }
    chunks
}

fn line(piece: &Piece, tool: usize) -> String {
    let (who, most) = match piece.who {
        Speaker::Person => ("Person", LONG.0),
        Speaker::Agent => ("Agent", LONG.0),
        Speaker::Call => ("Agent calls", LONG.1),
        Speaker::Tool => ("Result of", tool),
        Speaker::Hq => ("HQ", LONG.2),
    };
    format!("[{who}] {}\n\n", head_tail(piece.text.trim(), most, LEFT_OUT))
}

/// The message for one part.
pub(super) fn question(so_far: Option<&str>, part: &str, focus: &str) -> String {
    let mut out = String::new();
    if let Some(summary) = so_far {
        out.push_str(&format!("<summary_so_far>\n{}\n</summary_so_far>\n\n", summary.trim()));
    }
    out.push_str(&format!("<conversation>\n{}\n</conversation>\n\n", part.trim()));
    if !focus.is_empty() {
        out.push_str(&format!("Focus on this: {focus}\n\n"));
    }
    out.push_str("Write the new summary now.");
    out
}

/// Splits a summary into its text without the memory section, and the lines of that section.
pub(super) fn for_memory(summary: &str) -> (String, Vec<String>) {
    let lines = guard::below(summary, MEMORY);
    let lines =
        lines.into_iter().take(MOST_LINES).map(|line| ellipsis(line, LONGEST_LINE)).collect();
    (guard::without(summary, MEMORY), lines)
}

/// Limits thinking, because a summary needs little.
pub(super) fn little(thinking: Thinking) -> Thinking {
    match thinking {
        Thinking::None => Thinking::None,
        _ => Thinking::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::{chunks, for_memory, question};
    use crate::compact::plan::{Piece, Speaker};

    fn pieces(count: usize) -> Vec<Piece> {
        let text = "word ".repeat(200);
        let one = |n: usize| Piece {
            who: if n.is_multiple_of(2) { Speaker::Tool } else { Speaker::Agent },
            text: format!("{n} {text}"),
            answers: false,
            age: 0,
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_long_part_is_told_in_pieces_that_are_not_too_many() {
        let all = chunks(&pieces(20), 1_000, 50);
        assert!(5 < all.len() && all.len() < 15, "{}", all.len());
        let few = chunks(&pieces(200), 1_000, 4);
        assert_eq!(few.len(), 4);
        assert!(few[3].contains("[Agent] 199 word"), "the newest part is told");
        assert_eq!(chunks(&pieces(1), 1_000, 4).len(), 1);
    }

    #[test]
    fn what_is_for_the_memory_is_taken_out() {
        let text = "## Goal\nx\n## For memory\n- Mira likes tea\n- none\n## Next step\ny";
        let (summary, lines) = for_memory(text);
        assert_eq!(summary, "## Goal\nx\n## Next step\ny");
        assert_eq!(lines, ["Mira likes tea"]);
    }

    #[test]
    fn a_question_holds_what_is_known_and_the_wish() {
        let text = question(Some("old"), "new", "the prices");
        assert!(text.contains("<summary_so_far>\nold\n") && text.contains("the prices"));
        assert!(!question(None, "new", "").contains("summary_so_far"));
    }
}
