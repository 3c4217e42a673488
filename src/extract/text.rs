//! Texts as they are, in whatever letters: by the mark at the beginning, as UTF-16 by its zeros, as UTF-8 if it is
//! that, else as Western European machines wrote before.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{Found, Kind};

/// How much of the beginning tells what it is.
const HEAD: usize = 4 << 10;
/// The most bytes of a letter.
const LETTER: usize = 4;

/// Reads a file of text.
pub(crate) fn file(bytes: &[u8], found: &mut Found<'_>) {
    let most = found.limits.chars.saturating_add(1).saturating_mul(LETTER);
    let text = whole(&bytes[..bytes.len().min(most)], None, found);
    if found.kind == Kind::Markdown {
        let heading = text.lines().find_map(|line| line.strip_prefix("# "));
        found.name(heading.unwrap_or_default());
    }
    found.push(None, text);
}

/// The text that bytes hold; `told` is the encoding that the file names itself.
pub(crate) fn whole(
    bytes: &[u8],
    told: Option<&'static Encoding>,
    found: &mut Found<'_>,
) -> String {
    let (text, odd) = decode(bytes, told);
    match odd {
        Odd::Nothing => (),
        Odd::Western => {
            found.note("the text was read as Windows-1252 (Western European)".to_owned());
        }
        Odd::Torn => found.note("some letters of the text are broken".to_owned()),
    }
    text
}

/// What was odd about the letters of a text.
#[derive(Debug, PartialEq, Eq)]
enum Odd {
    Nothing,
    Western,
    Torn,
}

fn decode(bytes: &[u8], told: Option<&'static Encoding>) -> (String, Odd) {
    let (text, odd) = match marked(bytes).or(told) {
        Some(encoding) => {
            let (text, torn) = encoding.decode_with_bom_removal(bytes);
            (text.into_owned(), if torn { Odd::Torn } else { Odd::Nothing })
        }
        None => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), Odd::Nothing),
            // The last letter may be cut.
            Err(error) if error.error_len().is_none() => {
                (String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(), Odd::Nothing)
            }
            Err(_) => unmarked(bytes),
        },
    };
    let text = match text.contains('\0') {
        true => text.replace('\0', ""),
        false => text,
    };
    (text, odd)
}

/// Not UTF-8, at least not all of it: with many good letters for each bad one it was torn.
fn unmarked(bytes: &[u8]) -> (String, Odd) {
    let text = UTF_8.decode_without_bom_handling(bytes).0;
    let bad = text.matches(char::REPLACEMENT_CHARACTER).count();
    let foreign = text.chars().filter(|sign| !sign.is_ascii()).count();
    match foreign > bad * 4 {
        true => (text.into_owned(), Odd::Torn),
        false => (WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(), Odd::Western),
    }
}

/// The encoding that the first bytes tell, by their mark or by the zeros beside Latin letters.
fn marked(bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Some(encoding);
    }
    let (mut zeros, mut pairs) = ([0_usize; 2], 0_usize);
    for pair in bytes[..bytes.len().min(HEAD)].chunks_exact(2) {
        pairs += 1;
        for (zeros, byte) in zeros.iter_mut().zip(pair) {
            *zeros += usize::from(*byte == 0);
        }
    }
    match zeros {
        [0, low] if low * 10 > pairs * 6 => Some(UTF_16LE),
        [high, 0] if high * 10 > pairs * 6 => Some(UTF_16BE),
        _ => None,
    }
}

/// How a text begins.
pub(crate) fn head(bytes: &[u8]) -> String {
    decode(&bytes[..bytes.len().min(HEAD)], None).0.trim_start_matches('\u{feff}').to_owned()
}

/// Whether the bytes are letters of any kind: few of them control anything.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    if marked(head).is_some() {
        return true;
    }
    let odd = head.iter().filter(|byte| **byte < b' ' && !b"\t\n\r\x0c\x1a\x1b".contains(byte));
    let odd = odd.count();
    // One zero makes nothing else of a short text.
    let has_a_zero = || odd == 1 && head.contains(&0) && std::str::from_utf8(head).is_ok();
    odd * 20 <= head.len() || has_a_zero()
}

#[cfg(test)]
mod tests {
    use super::{Odd, decode, is_text};

    #[test]
    fn letters_are_read_as_they_were_meant() {
        let wanted = "Grüße aus Köln, 5 €";
        let utf16 = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{mark}{wanted}").encode_utf16().flat_map(bytes).collect()
        };
        for mark in ["", "\u{feff}"] {
            for bytes in [utf16(mark, u16::to_le_bytes), utf16(mark, u16::to_be_bytes)] {
                assert!(is_text(&bytes));
                assert_eq!(decode(&bytes, None), (wanted.to_owned(), Odd::Nothing));
            }
            let bytes = format!("{mark}{wanted}");
            assert_eq!(decode(bytes.as_bytes(), None).0.trim_start_matches('\u{feff}'), wanted);
        }
        assert_eq!(decode(b"Gr\xfc\xdfe, 5 \x80", None), ("Grüße, 5 €".to_owned(), Odd::Western));
        let torn = [wanted.as_bytes(), b" \xff"].concat();
        assert_eq!(decode(&torn, None).1, Odd::Torn);
        // Cut within a letter, and with a zero in it.
        assert_eq!(decode(b"K\xc3\xb6ln \xc3", None), ("Köln ".to_owned(), Odd::Nothing));
        assert_eq!(decode(b"abcd\0ef", None).0, "abcdef");
        assert!(is_text(b"abcd\0ef") && !is_text(b"ab\xff\0ef") && !is_text(b"\0ab\0c\0"));
    }
}
