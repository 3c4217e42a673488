//! Parses names of keys.

use crate::BrowserError;
use crate::screencast::Key;

const ALT: u8 = 1;
const CONTROL: u8 = 2;
const META: u8 = 4;
const SHIFT: u8 = 8;

/// Keys without a letter: name, key code, typed text.
const NAMED: &[(&str, u32, &str)] = &[
    ("Backspace", 8, ""),
    ("Tab", 9, ""),
    ("Enter", 13, "\r"),
    ("Escape", 27, ""),
    ("Space", 32, " "),
    ("PageUp", 33, ""),
    ("PageDown", 34, ""),
    ("End", 35, ""),
    ("Home", 36, ""),
    ("ArrowLeft", 37, ""),
    ("ArrowUp", 38, ""),
    ("ArrowRight", 39, ""),
    ("ArrowDown", 40, ""),
    ("Insert", 45, ""),
    ("Delete", 46, ""),
];

/// Parses `Enter`, `a`, `F5`, `Control+Shift+A`.
pub fn parse(text: &str) -> Result<Key, BrowserError> {
    let unknown = || BrowserError::NotAKey(text.chars().take(40).collect());
    let (held, name) = match text.strip_suffix('+') {
        // The key `+` itself.
        Some(held) if held.is_empty() || held.ends_with('+') => (held, "+"),
        Some(_) => return Err(unknown()),
        None => text.rsplit_once('+').unwrap_or(("", text)),
    };
    let mut modifiers = 0;
    for one in held.split('+').filter(|one| !one.is_empty()) {
        modifiers |= match one.to_ascii_lowercase().as_str() {
            "alt" => ALT,
            "control" | "ctrl" => CONTROL,
            "meta" | "cmd" | "command" => META,
            "shift" => SHIFT,
            _ => return Err(unknown()),
        };
    }
    let mut key = named(name).or_else(|| letter(name, modifiers)).ok_or_else(unknown)?;
    key.modifiers = modifiers;
    if modifiers & (ALT | CONTROL | META) != 0 {
        key.text.clear();
    }
    Ok(key)
}

/// Editing commands of this key. Chromium leaves them to the desktop, which does not exist here.
pub(crate) fn commands(key: &Key) -> Vec<&'static str> {
    match (key.modifiers, key.key.to_ascii_lowercase().as_str()) {
        (CONTROL | META, "a") => vec!["selectAll"],
        (CONTROL | META, "z") => vec!["undo"],
        _ => Vec::new(),
    }
}

fn named(name: &str) -> Option<Key> {
    let short = match name.to_ascii_lowercase().as_str() {
        "return" => "Enter",
        "esc" => "Escape",
        "del" => "Delete",
        "up" => "ArrowUp",
        "down" => "ArrowDown",
        "left" => "ArrowLeft",
        "right" => "ArrowRight",
        _ => name,
    };
    let function = short.strip_prefix('F').and_then(|digits| digits.parse::<u32>().ok());
    if let Some(number @ 1..=12) = function {
        return Some(Key {
            key: short.to_owned(),
            code: short.to_owned(),
            number: 111 + number,
            ..Key::default()
        });
    }
    let (name, number, text) = NAMED.iter().find(|(name, ..)| name.eq_ignore_ascii_case(short))?;
    let key = if *name == "Space" { " " } else { name };
    Some(Key {
        key: key.to_owned(),
        code: (*name).to_owned(),
        text: (*text).to_owned(),
        number: *number,
        ..Key::default()
    })
}

fn letter(name: &str, modifiers: u8) -> Option<Key> {
    let mut all = name.chars();
    let (Some(letter), None) = (all.next(), all.next()) else { return None };
    let letter = if modifiers & SHIFT == 0 { letter } else { letter.to_ascii_uppercase() };
    let upper = letter.to_ascii_uppercase();
    let code = match upper {
        'A'..='Z' => format!("Key{upper}"),
        '0'..='9' => format!("Digit{upper}"),
        _ => String::new(),
    };
    let number = if code.is_empty() { 0 } else { u32::from(upper) };
    let letter = letter.to_string();
    Some(Key { key: letter.clone(), code, text: letter, number, ..Key::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_by_their_names() {
        let enter = parse("Enter").unwrap();
        assert_eq!((enter.key.as_str(), enter.text.as_str(), enter.number), ("Enter", "\r", 13));
        let all = parse("ctrl+a").unwrap();
        assert_eq!((all.key.as_str(), all.code.as_str(), all.text.as_str()), ("a", "KeyA", ""));
        assert_eq!(commands(&all), ["selectAll"]);
        let shifted = parse("Shift+b").unwrap();
        assert_eq!((shifted.text.as_str(), shifted.modifiers), ("B", 8));
        assert_eq!(parse("+").unwrap().text, "+");
        assert_eq!(parse("Control++").unwrap().key, "+");
        assert_eq!((parse("F5").unwrap().number, parse("ö").unwrap().text), (116, "ö".into()));
        for text in ["", "Enterr", "Hyper+A", "A+", "F13", "ab"] {
            assert!(matches!(parse(text), Err(BrowserError::NotAKey(_))), "{text}");
        }
    }
}
