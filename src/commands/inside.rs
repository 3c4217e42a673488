//! Whether all paths in a command are within a folder, whichever of its words are paths.

use super::lookup::Place;
use super::reduce::joined;

/// Whether no word leads out of the place's folder, seen from the command's folder, which is inside.
pub(crate) fn all<'w>(
    place: &Place<'_>,
    at: &str,
    mut words: impl Iterator<Item = &'w String>,
) -> bool {
    words.all(|word| one(place, at, word))
}

/// Whether a path with links resolved is within the place's folder.
pub(crate) fn holds(place: &Place<'_>, path: &str) -> bool {
    let real = place.machine.real(path);
    real.is_some_and(|real| within(place.folder, &real))
}

/// Whether a path without links is within a folder.
pub(crate) fn within(folder: &str, path: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('/')) && !climbs(rest))
}

fn one(place: &Place<'_>, at: &str, word: &str) -> bool {
    if word.contains("://") || names_a_host(word) || word.starts_with('~') {
        return false;
    }
    if !word.starts_with('-') {
        return operand(place, at, word);
    }
    // The value of a short option may be attached, so a slash or `..` in its name is treated as a path.
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    // An option without a value names the folder itself.
    let stays = value.is_empty() || operand(place, at, value);
    stays && !name.contains('/') && !name.contains("..")
}

/// Whether a word that is no option stays inside, as a whole and after each separator in it.
fn operand(place: &Place<'_>, at: &str, word: &str) -> bool {
    let mut before = None;
    for (start, sign) in word.char_indices() {
        let begins = before.is_none_or(|before| !is_of_path(before));
        if sign == '/' && begins && !holds(place, &word[start..]) {
            return false;
        }
        before = Some(sign);
    }
    // A path with `..` is also resolved link by link: after a link, `..` leads elsewhere.
    word.starts_with('/')
        || holds(place, &joined(at, word))
            && (!climbs(word) || holds(place, &format!("{at}/{word}")))
}

/// Whether a component of a word is `..`.
fn climbs(word: &str) -> bool {
    word.split(|sign: char| sign == '/' || !is_of_path(sign)).any(|part| part == "..")
}

/// Whether a word is `user@host:path`.
fn names_a_host(word: &str) -> bool {
    word.split_once('@').is_some_and(|(_, host)| host.contains(':'))
}

/// Whether a character belongs to a path instead of separating two.
fn is_of_path(sign: char) -> bool {
    sign.is_alphanumeric() || "._-/".contains(sign)
}
