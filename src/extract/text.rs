//! Plain text in any encoding; detection is in `sheet`, which imports share.

use sheet::encoding::{self, Broken, Decoded, EncodingError, Hint};

use super::{Found, Kind, Refused};

/// Bytes examined to detect the format.
const HEAD: usize = 4 << 10;
/// Most bytes per character.
const LETTER: usize = 4;

pub(crate) fn file(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let most = found.limits.chars.saturating_add(1).saturating_mul(LETTER);
    let text = whole(&bytes[..bytes.len().min(most)], None, found)?;
    if found.kind == Kind::Markdown {
        let heading = text.lines().find_map(|line| line.strip_prefix("# "));
        found.name(heading.unwrap_or_default());
    }
    found.push(None, text);
    Ok(())
}

/// Decodes text; `named` is the encoding that the file declares.
pub(crate) fn whole(
    bytes: &[u8],
    named: Option<&str>,
    found: &mut Found<'_>,
) -> Result<String, Refused> {
    let hint = Hint { chosen: found.chosen, named, is_cut: true };
    let Decoded { text, encoding, broken } =
        encoding::decode(bytes, hint).map_err(|error| match error {
            EncodingError::Unfit(label) => Refused::Unfit(label.to_owned()),
            EncodingError::Unknown | EncodingError::NoSuch(_) => Refused::Letters,
        })?;
    found.encoding = Some(encoding.to_owned());
    if encoding != "utf-8" && !text.is_ascii() {
        found.note(format!("the text was read as {}", encoding::name(encoding)));
    }
    if let Some(Broken { count, line, byte }) = broken {
        let letters = if count == 1 { "character is" } else { "characters are" };
        let byte = byte.map(|byte| format!(", byte 0x{byte:02X}")).unwrap_or_default();
        found.note(format!("{count} {letters} broken, the first in line {line}{byte}"));
    }
    Ok(spaced(text))
}

/// Replaces NUL characters by spaces.
fn spaced(text: String) -> String {
    if !text.contains('\0') {
        return text;
    }
    let pieces: Vec<&str> = text.split('\0').filter(|piece| !piece.is_empty()).collect();
    pieces.join(" ")
}

/// Beginning of a text, decoded.
pub(crate) fn head(bytes: &[u8]) -> String {
    let hint = Hint { is_cut: true, ..Hint::default() };
    let head = encoding::decode(&bytes[..bytes.len().min(HEAD)], hint);
    head.map_or_else(|_| String::new(), |head| head.text.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Limits, Refused, extract};

    fn read(bytes: &[u8]) -> (String, Option<String>, Vec<String>) {
        let found = extract(bytes, "a.txt", &Limits::default()).expect("a text");
        assert_eq!(found.kind, Kind::Text);
        let text: Vec<String> = found.parts.into_iter().map(|part| part.text).collect();
        (text.concat(), found.encoding, found.notes)
    }

    #[test]
    fn letters_are_read_as_they_were_meant_and_the_encoding_is_told() {
        for (bytes, text, encoding) in [
            (
                &include_bytes!("tests/files/koi8.txt")[..],
                "Склад находится на востоке города.",
                "koi8-u",
            ),
            (include_bytes!("tests/files/euc-kr.txt"), "창고는 서울 동쪽에 있다.", "euc-kr"),
            (include_bytes!("tests/files/gb18030.txt"), "龘靐齉 价格为 300 元。", "gb18030"),
        ] {
            let (read, label, notes) = read(bytes);
            assert!(read.contains(text), "{read}");
            assert_eq!(label.as_deref(), Some(encoding));
            assert!(notes.concat().starts_with("the text was read as "), "{notes:?}");
        }
        let (log, encoding, notes) = read(include_bytes!("tests/files/nul-inside.txt"));
        assert_eq!(log, "log line one  LOGWORD line two\n");
        assert_eq!((encoding.as_deref(), notes.len()), (Some("utf-8"), 0));
        let liar = extract(include_bytes!("tests/files/liar.html"), "a.html", &Limits::default());
        assert_eq!(liar.expect("a page").parts[0].text.trim(), "Größe UTF8WORD");
        let torn = ["Grüße".as_bytes(), b" \xff ", "aus Köln, 5 €".as_bytes()].concat();
        assert_eq!(read(&torn).2, ["1 character is broken, the first in line 1, byte 0xFF"]);
        let few = ["für Müller\n".as_bytes(), b"\xff\n"].concat();
        assert_eq!(read(&few).0, "für Müller\n\u{fffd}\n");
        assert_eq!(read(&few).2, ["1 character is broken, the first in line 2, byte 0xFF"]);
        assert_eq!(read(b"K\xc3\xb6ln \xc3").0, "Köln ");
        assert_eq!(read(b"abcd\0ef").0, "abcd ef");
    }

    #[test]
    fn letters_in_no_encoding_are_refused_with_the_reason() {
        let utf32 = b"\xff\xfe\0\0a\0\0\0";
        assert_eq!(extract(utf32, "a.txt", &Limits::default()), Err(Refused::Letters));
    }
}
