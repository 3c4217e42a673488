//! Words: letters and digits in lower case without diacritics. Scripts without spaces are split into overlapping pairs
//! of characters.

use tantivy::tokenizer::{AsciiFoldingFilter, TextAnalyzer, Token, TokenStream, Tokenizer};

use unicode_normalization::char::compose;

use super::stems;

/// Longer tokens, in bytes, are keys and encoded data.
const LONGEST: usize = 80;

/// Treatment of the last character of a run in a script without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tails {
    /// Index it as a word of its own, so that searches for this character alone find it.
    Kept,
    /// It is part of the last pair: for searches.
    Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Lower case, without diacritics.
    pub text: String,
    /// Start in the text, in bytes.
    pub from: usize,
    /// End in the text, in bytes.
    pub to: usize,
    /// A word of prose, not part of an id, address or code.
    pub prose: bool,
}

/// Tokenizer of words.
pub(super) fn analyzer(tails: Tails) -> TextAnalyzer {
    TextAnalyzer::builder(Cutter { tails }).filter(AsciiFoldingFilter).build()
}

/// The words of a text, in order.
pub(super) fn of(text: &str, tails: Tails) -> Vec<Word> {
    let mut analyzer = analyzer(tails);
    let mut stream = analyzer.token_stream(text);
    let mut found = Vec::new();
    let mut pieces = stems::prose(text).into_iter().peekable();
    while stream.advance() {
        let token = stream.token();
        let (from, to) = (token.offset_from, token.offset_to);
        while pieces.next_if(|piece| piece.end <= from).is_some() {}
        let prose = pieces.peek().is_some_and(|piece| piece.start <= from && to <= piece.end);
        found.push(Word { text: token.text.clone(), from, to, prose });
    }
    found
}

/// Whether a character belongs to a script without spaces: Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer.
pub(super) fn is_dense(sign: char) -> bool {
    matches!(u32::from(sign),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3041..=0x30FF | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

/// Whether a word is one character of such a script: the pairs that start with it contain it, too.
pub(super) fn is_lone(word: &str) -> bool {
    let mut signs = word.chars();
    signs.next().is_some_and(is_dense) && signs.next().is_none()
}

/// Whether a character is a combining mark.
pub(super) fn is_mark(sign: char) -> bool {
    matches!(u32::from(sign), 0x0300..=0x036F)
}

fn lower(sign: char, word: &mut String) {
    word.extend(sign.to_lowercase().filter(|sign| !is_mark(*sign)));
}

/// Full-width counterparts of half-width Japanese characters, from U+FF66 on.
const HALF_WIDTH: &str = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// A character of a script without spaces, with its byte range.
#[derive(Clone, Copy)]
struct Sign {
    sign: char,
    from: usize,
    to: usize,
}

/// Adds a character to a run in normalized form: full-width Japanese, voicing marks composed.
fn add(run: &mut Vec<Sign>, (from, sign): (usize, char)) {
    let to = from + sign.len_utf8();
    let mark = match sign {
        '\u{ff9e}' | '\u{3099}' => Some('\u{3099}'),
        '\u{ff9f}' | '\u{309a}' => Some('\u{309a}'),
        _ => None,
    };
    if let (Some(mark), Some(last)) = (mark, run.last_mut())
        && let Some(sign) = compose(last.sign, mark)
    {
        (last.sign, last.to) = (sign, to);
        return;
    }
    let half = u32::from(sign).checked_sub(0xff66).and_then(|at| usize::try_from(at).ok());
    let full = half.and_then(|at| HALF_WIDTH.chars().nth(at));
    run.push(Sign { sign: full.unwrap_or(sign), from, to });
}

fn cut(text: &str, tails: Tails) -> Vec<Token> {
    let mut found = Vec::new();
    let mut signs = text.char_indices().peekable();
    while let Some((from, first)) = signs.next() {
        if is_dense(first) {
            let mut run = Vec::new();
            add(&mut run, (from, first));
            while let Some(next) = signs.next_if(|(_, sign)| is_dense(*sign)) {
                add(&mut run, next);
            }
            pairs(&run, tails, &mut found);
        } else if first.is_alphanumeric() {
            let mut word = String::new();
            lower(first, &mut word);
            let mut to = from + first.len_utf8();
            let goes_on = |sign: char| !is_dense(sign) && (sign.is_alphanumeric() || is_mark(sign));
            while let Some((at, sign)) = signs.next_if(|(_, sign)| goes_on(*sign)) {
                lower(sign, &mut word);
                to = at + sign.len_utf8();
            }
            if !word.is_empty() && word.len() <= LONGEST {
                push(&mut found, word, (from, to));
            }
        }
    }
    found
}

fn pairs(run: &[Sign], tails: Tails, found: &mut Vec<Token>) {
    for pair in run.windows(2) {
        let mut word = String::new();
        pair.iter().for_each(|one| lower(one.sign, &mut word));
        push(found, word, (pair[0].from, pair[1].to));
    }
    let last = run.last().filter(|_| tails == Tails::Kept || run.len() == 1);
    if let Some(last) = last {
        let mut word = String::new();
        lower(last.sign, &mut word);
        push(found, word, (last.from, last.to));
    }
}

fn push(found: &mut Vec<Token>, text: String, (offset_from, offset_to): (usize, usize)) {
    let position = found.len();
    found.push(Token { offset_from, offset_to, position, text, position_length: 1 });
}

#[derive(Clone)]
struct Cutter {
    tails: Tails,
}

/// Tokens of a text that was split as a whole.
pub(super) struct Cut {
    rest: std::vec::IntoIter<Token>,
    token: Token,
}

impl Cut {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self { rest: tokens.into_iter(), token: Token::default() }
    }
}

impl Tokenizer for Cutter {
    type TokenStream<'a> = Cut;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> Cut {
        Cut::new(cut(text, self.tails))
    }
}

impl TokenStream for Cut {
    fn advance(&mut self) -> bool {
        match self.rest.next() {
            Some(token) => {
                self.token = token;
                true
            }
            None => false,
        }
    }
    fn token(&self) -> &Token {
        &self.token
    }
    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::{Tails, of};

    fn words(text: &str, tails: Tails) -> Vec<String> {
        of(text, tails).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn case_and_diacritics_are_no_difference() {
        let kept = |text: &str| words(text, Tails::Kept);
        assert_eq!(kept("Müller-Straße, CAFÉ"), ["muller", "strasse", "cafe"]);
        assert_eq!(kept("Mu\u{308}ller İstanbul"), ["muller", "istanbul"]);
        assert_eq!(kept("MC-142: e-mail"), ["mc", "142", "e", "mail"]);
        assert_eq!(kept(&"x".repeat(200)), [""; 0]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_pairs() {
        assert_eq!(words("東京都 HQ", Tails::Kept), ["東京", "京都", "都", "hq"]);
        assert_eq!(words("東京都", Tails::Dropped), ["東京", "京都"]);
        assert_eq!(words("猫", Tails::Dropped), ["猫"]);
    }

    #[test]
    fn japanese_is_the_same_in_half_width_and_with_its_marks_apart() {
        let kept = |text: &str| words(text, Tails::Kept);
        assert_eq!(kept("ｶﾞｲﾄﾞ"), kept("ガイド"));
        assert_eq!(kept("ﾍﾟｰｼﾞ ﾜﾝ"), kept("ページ ワン"));
        assert_eq!(kept("か\u{3099}いと\u{3099}"), kept("がいど"));
        let text = "ｶﾞｲ";
        let found = of(text, Tails::Dropped);
        assert_eq!((found.len(), &text[found[0].from..found[0].to]), (1, text));
        assert_eq!(kept("ＨＱ ２０２６"), ["hq", "2026"]);
    }

    #[test]
    fn a_word_knows_where_it_stands() {
        let text = "über die Straße";
        let found = of(text, Tails::Dropped);
        let parts: Vec<_> = found.iter().map(|word| &text[word.from..word.to]).collect();
        assert_eq!(parts, ["über", "die", "Straße"]);
    }
}
