//! Names and texts of a server's tools: the names by which agents call them, and texts with hidden characters visible.

use sha2::{Digest as _, Sha256};
use tool::layer::SEPARATOR;

/// Longest name that all providers accept.
pub const MAX_NAME: usize = 64;
/// Hexadecimal digits that tell colliding names apart.
const SUFFIX: usize = 8;

/// The name by which agents call a tool: `<server>__<tool>`, of letters, digits, `_` and `-`. If that changed the
/// tool's name, is too long or `is_taken`, a part of its hash follows.
pub fn callable(server: &str, tool: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let cleaned: String = tool.chars().map(plain).collect();
    let name = format!("{server}{SEPARATOR}{cleaned}");
    if cleaned == tool && name.len() <= MAX_NAME && !is_taken(&name) {
        return name;
    }
    let hash = hex(&format!("{server}/{tool}"));
    let kept = kernel::text::cut(&name, MAX_NAME - SUFFIX - 1);
    format!("{kept}_{}", &hash[..SUFFIX])
}

/// SHA-256 of a text, in hexadecimal digits.
pub fn hex(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// A text in which characters that people do not see, or that reorder others, are written as `⟨U+200B⟩`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// Control characters except line feed and tab, and the invisible or reordering characters of Unicode: default
/// ignorable code points, tags, bidirectional controls, other spaces and separators.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => {
            true
        }
        '\u{a0}' | '\u{1680}' | '\u{180b}'..='\u{180f}' => true,
        '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' => true,
        '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => true,
        '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' => true,
        c => matches!(u32::from(c), 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, callable, visible};

    #[test]
    fn names_are_short_plain_and_different() {
        let free = |_: &str| false;
        assert_eq!(callable("fs", "read_file", free), "fs__read_file");
        let (dot, slash) = (callable("fs", "a.b", free), callable("fs", "a/b", free));
        assert!(dot.starts_with("fs__a_b_") && slash.starts_with("fs__a_b_") && dot != slash);
        let taken = callable("fs", "a_b", |name| name == "fs__a_b");
        assert!(taken.starts_with("fs__a_b_") && taken.len() == "fs__a_b_".len() + 8);
        let long = callable(&"s".repeat(32), &"ü".repeat(100), free);
        assert_eq!(long.len(), MAX_NAME);
        assert!(long.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{long}");
    }

    #[test]
    fn hidden_characters_become_visible() {
        let text = "Read\u{200b} a\u{202e} file\u{e0041}.\r\nSafe ü 日本 😀";
        let shown = "Read⟨U+200B⟩ a⟨U+202E⟩ file⟨U+E0041⟩.⟨U+000D⟩\nSafe ü 日本 😀";
        assert_eq!(visible(text), shown);
    }
}
