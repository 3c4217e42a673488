//! Stemming, so that "invoices" finds "invoice" and "Rechnungen" finds "Rechnung". Only words of prose are stemmed:
//! ids, addresses and names in code are literal.

use std::collections::HashMap;
use std::ops::Range;

use frostem::{Algorithm, Stemmer};

use super::words::{self, Tails, Word};

/// Shorter words are not stemmed.
const SHORTEST: usize = 4;
/// Longer ones are no words of these languages.
const LONGEST: usize = 40;
/// Words of a text that determine its language.
const TELLING: usize = 400;

/// A language: prefix letter of its stems, and words that occur in nearly every text of it and in none of the other
/// language.
struct Language {
    sign: char,
    stems: Algorithm,
    small: &'static [&'static str],
}

const ENGLISH: Language = Language {
    sign: 'e',
    stems: Algorithm::English,
    small: &[
        "and", "are", "be", "by", "for", "from", "have", "is", "it", "not", "of", "or", "our",
        "that", "the", "this", "to", "we", "with", "you",
    ],
};
const GERMAN: Language = Language {
    sign: 'd',
    stems: Algorithm::German,
    small: &[
        "auch", "auf", "bei", "das", "dem", "der", "ein", "eine", "einen", "fur", "ich", "ist",
        "mit", "nicht", "oder", "sich", "sie", "und", "von", "wir", "wird", "zu", "zum", "zur",
    ],
};

/// Cache of English and German stems: documents of one batch share most of theirs.
#[derive(Default)]
pub(super) struct Known([HashMap<String, String>; 2]);

/// Stems of the texts of a document, each with the letter of its language and a space after it. The texts are assumed
/// to be in one language; if it is unknown, both are used.
pub(super) fn of_texts<const N: usize>(texts: [&str; N], known: &mut Known) -> [String; N] {
    let all = texts.map(|text| words::of(text, Tails::Dropped));
    let telling = || all.iter().flatten().take(TELLING);
    let count = |language: &Language| {
        telling().filter(|word| language.small.contains(&word.text.as_str())).count()
    };
    let (english, german) = (count(&ENGLISH), count(&GERMAN));
    let spoken = [(&ENGLISH, german <= 2 * english), (&GERMAN, english <= 2 * german)];
    let mut spoken: Vec<(char, Stemmer, &mut HashMap<String, String>)> = spoken
        .into_iter()
        .zip(&mut known.0)
        .filter(|((_, is), _)| *is)
        .map(|((language, _), known)| (language.sign, Stemmer::new(language.stems), known))
        .collect();
    all.each_ref().map(|words| {
        let mut out = String::new();
        for word in words.iter().filter(|word| has_forms(word)) {
            for (sign, stemmer, known) in &mut spoken {
                match known.get(&word.text) {
                    Some(stem) => out.push_str(stem),
                    None => {
                        let stem = named(*sign, *stemmer, &word.text);
                        out.push_str(&stem);
                        known.insert(word.text.clone(), stem);
                    }
                }
                out.push(' ');
            }
        }
        out
    })
}

/// The stems of a searched word, one per language.
pub(super) fn of_word(word: &Word) -> Vec<String> {
    match has_forms(word) {
        true => [ENGLISH, GERMAN]
            .map(|language| named(language.sign, Stemmer::new(language.stems), &word.text))
            .to_vec(),
        false => Vec::new(),
    }
}

/// Whether a word of a text is a form of a searched word.
pub(super) fn is_form(word: &Word, stems: &[String]) -> bool {
    // A stem starts like its word, which rules out most words cheaply.
    let first = word.text.as_bytes().first();
    stems.iter().any(|stem| stem.as_bytes().get(2) == first)
        && of_word(word).iter().any(|stem| stems.contains(stem))
}

fn named(sign: char, stemmer: Stemmer, word: &str) -> String {
    format!("{sign}:{}", stemmer.stem(word))
}

fn has_forms(word: &Word) -> bool {
    word.prose
        && (SHORTEST..=LONGEST).contains(&word.text.len())
        && word.text.bytes().all(|sign| sign.is_ascii_lowercase())
}

/// Byte ranges of prose, in order: without text in backquotes and tokens that contain digits or signs of addresses,
/// paths and code.
pub(super) fn prose(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split_inclusive(|sign: char| !is_joint(sign) && !sign.is_alphanumeric()) {
        let ends = |sign: char| !sign.is_alphanumeric() && sign != '`';
        if is_prose(piece.trim_matches(ends)) {
            found.push(at..at + piece.len());
        }
        at += piece.len();
    }
    found
}

/// Whether a character joins the text before and after it.
fn is_joint(sign: char) -> bool {
    words::is_mark(sign)
        || matches!(
            sign,
            '@' | '_' | '/' | '\\' | '.' | ':' | '=' | '#' | '$' | '%' | '&' | '~' | '^'
        )
        || matches!(sign, '+' | '-' | '\'' | '’' | '`')
}

/// Whether a token is a word or hyphenated words; a capital after a small letter indicates code.
fn is_prose(piece: &str) -> bool {
    let mut was_small = false;
    for sign in piece.chars() {
        let is_humped = was_small && sign.is_uppercase();
        if is_humped
            || !(sign.is_alphabetic() || words::is_mark(sign) || matches!(sign, '-' | '\'' | '’'))
        {
            return false;
        }
        was_small = sign.is_lowercase();
    }
    !piece.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{Known, of_texts};

    fn stems(text: &str) -> String {
        let [stems] = of_texts([text], &mut Known::default());
        stems.trim_end().to_owned()
    }

    #[test]
    fn what_was_known_before_changes_nothing() {
        let mut known = Known::default();
        for text in
            ["Die Rechnungen sind fur die Kunden", "The invoices are for customers", "Gifts"]
        {
            let [stems] = of_texts([text], &mut known);
            let [anew] = of_texts([text], &mut Known::default());
            assert_eq!(stems, anew, "{text}");
            assert_eq!(of_texts([text], &mut known), [stems], "{text}");
        }
    }

    #[test]
    fn the_language_of_a_text_says_which_forms_its_words_have() {
        assert_eq!(stems("the invoices of the offers"), "e:invoic e:offer");
        assert_eq!(stems("die Rechnungen und Verträge der Kunden"), "d:rechnung d:vertrag d:kund");
        assert_eq!(stems("Invoices"), "e:invoic d:invoic", "nobody can tell");
    }

    #[test]
    fn ids_addresses_and_names_in_code_have_no_forms() {
        for text in [
            "orders@example.com",
            "orders.example.com",
            "open_orders",
            "src/orders",
            "openOrders",
            "orders2",
            "`orders`",
            "orders::list",
            "https://example.com/orders",
        ] {
            assert_eq!(stems(text), "", "{text}");
        }
        let stemmed = "e:order d:ord";
        for text in
            ["orders", "Orders:", "(orders)", "**orders**", "_orders_", "“orders”.", "#orders"]
        {
            assert_eq!(stems(text), stemmed, "{text}");
        }
        assert_eq!(stems("orders,x"), stemmed);
    }
}
