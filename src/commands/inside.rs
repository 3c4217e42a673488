//! Whether all that a command names lies inside a folder, whichever of its words are paths.

use super::lookup::Place;
use super::reduce::joined;

/// Whether no word of a command may lead out of the place's folder, from the folder it runs in, which lies inside.
pub(crate) fn all<'w>(
    place: &Place<'_>,
    at: &str,
    mut words: impl Iterator<Item = &'w String>,
) -> bool {
    words.all(|word| one(place, at, word))
}

/// Whether a path, once its links are followed, lies in the place's folder.
pub(crate) fn holds(place: &Place<'_>, path: &str) -> bool {
    let real = place.machine.real(path);
    real.is_some_and(|real| within(place.folder, &real))
}

/// Whether a path without links lies in a folder.
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
    // The value of a short option may be attached: a slash or a way up in its name is a path.
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    // An option without a value names the folder itself.
    let stays = value.is_empty() || operand(place, at, value);
    stays && !name.contains('/') && !name.contains("..")
}

/// Whether a word that is no option stays inside, as a whole and behind each sign that may part it.
fn operand(place: &Place<'_>, at: &str, word: &str) -> bool {
    let mut before = None;
    for (start, sign) in word.char_indices() {
        let begins = before.is_none_or(|before| !is_of_path(before));
        if sign == '/' && begins && !holds(place, &word[start..]) {
            return false;
        }
        before = Some(sign);
    }
    // What has a way up is followed link by link too: behind a link, up leads elsewhere.
    word.starts_with('/')
        || holds(place, &joined(at, word))
            && (!climbs(word) || holds(place, &format!("{at}/{word}")))
}

/// Whether a part of a word is `..`.
fn climbs(word: &str) -> bool {
    word.split(|sign: char| sign == '/' || !is_of_path(sign)).any(|part| part == "..")
}

/// Whether a word is `somebody@host:path`.
fn names_a_host(word: &str) -> bool {
    word.split_once('@').is_some_and(|(_, host)| host.contains(':'))
}

/// Whether a sign is part of a path rather than between two.
fn is_of_path(sign: char) -> bool {
    sign.is_alphanumeric() || "._-/".contains(sign)
}
