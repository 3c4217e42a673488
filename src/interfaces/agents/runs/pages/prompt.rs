//! The prompt of a run: its parts, their sizes and origins.

use features::runs::model::PromptPart;
use web::format;

/// Estimated bytes per token, because providers report only the total.
const BYTES: u64 = 4;
/// Number of colours, used in rotation.
const COLOURS: usize = 8;
/// Width of the bar, in SVG units.
const WIDE: u64 = 1_000;

/// A prompt for the template.
pub(super) struct Prompt {
    /// Summary in one line.
    pub peek: String,
    pub parts: Vec<Part>,
}

pub(super) struct Part {
    pub name: String,
    pub from: &'static str,
    pub tokens: String,
    pub kept: &'static str,
    pub colour: usize,
    pub x: u64,
    pub width: u64,
}

impl Prompt {
    pub fn of(parts: &[PromptPart]) -> Self {
        let bytes = |part: &PromptPart| u64::from(part.bytes);
        let whole = parts.iter().map(bytes).sum::<u64>().max(1);
        let kept: u64 = parts.iter().filter(|part| part.stable).map(bytes).sum();
        let peek = format!(
            "{}, about {} tokens, {} cached between runs",
            format::count(parts.len() as u64, "part", "parts"),
            format::tokens(whole / BYTES),
            format::tokens(kept / BYTES),
        );
        let mut before = 0;
        let views = parts.iter().enumerate().map(|(n, part)| {
            let x = before * WIDE / whole;
            before += bytes(part);
            Part {
                from: from(&part.name),
                tokens: format::tokens(bytes(part) / BYTES),
                kept: if part.stable { "yes" } else { "no" },
                colour: n % COLOURS + 1,
                x,
                // A gap between two pieces.
                width: (before * WIDE / whole).saturating_sub(x + 4).max(2),
                name: part.name.clone(),
            }
        });
        Self { parts: views.collect(), peek }
    }
}

/// Origin of a part.
fn from(name: &str) -> &'static str {
    match name {
        "MEMORY.md" => "the agent’s memory",
        name if name.starts_with("memory/") => "the agent’s daily notes",
        name if name.ends_with(".md") => "the agent’s files",
        "Workspace and kind of work" => "HQ and this workspace",
        _ => "HQ",
    }
}

#[cfg(test)]
mod tests {
    use super::{Prompt, PromptPart};

    #[test]
    fn parts_stand_side_by_side_and_say_whose_they_are() {
        let part = |name: &str, bytes, stable| PromptPart { name: name.into(), bytes, stable };
        let parts = [part("Rules", 4_000, true), part("memory/2026-11-20.md", 4_000, false)];
        let prompt = Prompt::of(&parts);
        assert_eq!(prompt.peek, "2 parts, about 2.0K tokens, 1.0K cached between runs");
        let places: Vec<_> = prompt.parts.iter().map(|part| (part.x, part.width)).collect();
        assert_eq!(places, [(0, 496), (500, 496)]);
        assert_eq!(prompt.parts[1].from, "the agent’s daily notes");
        assert!(Prompt::of(&[]).parts.is_empty());
    }
}
