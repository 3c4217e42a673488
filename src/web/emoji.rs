//! Emoji choices for forms; `form::emoji` in `forms.html` renders them.

use crate::parts::Choice;

/// Emoji with their accessible names.
const EMOJIS: &[(&str, &str)] = &[
    ("🌱", "Seedling"),
    ("🧭", "Compass"),
    ("🔭", "Telescope"),
    ("✍️", "Writing hand"),
    ("📮", "Postbox"),
    ("🧮", "Abacus"),
    ("🛟", "Lifebuoy"),
    ("🛠️", "Tools"),
    ("🗺️", "Map"),
    ("📚", "Books"),
    ("🎨", "Palette"),
    ("🧪", "Test tube"),
    ("🦉", "Owl"),
    ("🐝", "Bee"),
    ("🦊", "Fox"),
    ("🐙", "Octopus"),
    ("🤖", "Robot"),
    ("🚀", "Rocket"),
    ("⚡", "Lightning"),
    ("🔥", "Fire"),
    ("🌊", "Wave"),
    ("🌍", "Globe"),
    ("🎯", "Target"),
    ("🧩", "Puzzle piece"),
];

/// The emoji choices. A current emoji outside the list comes first.
#[must_use]
pub fn choices(now: &str) -> Vec<Choice> {
    let known = EMOJIS.iter().any(|(emoji, _)| *emoji == now);
    let first = (!known && !now.is_empty()).then(|| Choice::new(now, "Current", true));
    let rest = EMOJIS.iter().map(|(emoji, words)| Choice::new(*emoji, *words, *emoji == now));
    first.into_iter().chain(rest).collect()
}

/// Like [`choices`], with "None" as the first choice.
#[must_use]
pub fn or_none(now: &str) -> Vec<Choice> {
    let mut all = choices(now);
    all.insert(0, Choice::new("", "None", now.is_empty()));
    all
}

/// The submitted emoji: typed input takes precedence over the selection.
#[must_use]
pub fn meant(chosen: &str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { chosen.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{choices, meant, or_none};

    #[test]
    fn the_present_one_is_among_the_choices_and_none_may_be() {
        let chosen = |all: Vec<crate::parts::Choice>| {
            all.into_iter().filter(|one| one.chosen).map(|one| one.value).collect::<Vec<_>>()
        };
        assert_eq!(chosen(choices("🚲")), ["🚲"]);
        assert_eq!(chosen(choices("🦊")), ["🦊"]);
        assert_eq!(chosen(choices("")), [""; 0]);
        assert_eq!(chosen(or_none("")), [""]);
        assert_eq!(chosen(or_none("🚲")), ["🚲"]);
        assert_eq!((meant("🦊", " 🚲 "), meant("🦊", " ")), ("🚲".to_owned(), "🦊".to_owned()));
    }
}
