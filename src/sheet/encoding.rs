//! Decoding of text: detects the encoding of a file, or uses the chosen one. Shared by imports and knowledge files.
//!
//! Order: byte order mark; UTF-16 and UTF-8 by their structure; the encoding that the file declares; statistical
//! detection (chardetng). Text that does not fit is rejected instead of decoded into wrong letters.

use chardetng::EncodingDetector;
use encoding_rs::{
    Encoding, GB18030, GBK, MACINTOSH, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252,
    X_USER_DEFINED,
};

/// Bytes used for detection, from the first non-ASCII character.
const SAMPLE: usize = 256 << 10;
/// Bytes examined to detect UTF-16 and binary data.
const HEAD: usize = 4 << 10;

/// Encodings to choose from: label (WHATWG) and name.
pub const ENCODINGS: &[(&str, &str)] = &[
    ("utf-8", "Unicode (UTF-8)"),
    ("utf-16le", "Unicode (UTF-16 LE)"),
    ("utf-16be", "Unicode (UTF-16 BE)"),
    ("windows-1252", "Western European (Windows-1252)"),
    ("iso-8859-15", "Western European (ISO 8859-15)"),
    ("macintosh", "Western European (Mac Roman)"),
    ("windows-1250", "Central European (Windows-1250)"),
    ("iso-8859-2", "Central European (ISO 8859-2)"),
    ("windows-1251", "Cyrillic (Windows-1251)"),
    ("koi8-r", "Cyrillic (KOI8-R)"),
    ("koi8-u", "Cyrillic (KOI8-U)"),
    ("ibm866", "Cyrillic (DOS 866)"),
    ("iso-8859-5", "Cyrillic (ISO 8859-5)"),
    ("windows-1253", "Greek (Windows-1253)"),
    ("iso-8859-7", "Greek (ISO 8859-7)"),
    ("windows-1254", "Turkish (Windows-1254)"),
    ("windows-1255", "Hebrew (Windows-1255)"),
    ("windows-1256", "Arabic (Windows-1256)"),
    ("windows-1257", "Baltic (Windows-1257)"),
    ("windows-1258", "Vietnamese (Windows-1258)"),
    ("windows-874", "Thai (Windows-874)"),
    ("shift_jis", "Japanese (Shift_JIS)"),
    ("euc-jp", "Japanese (EUC-JP)"),
    ("iso-2022-jp", "Japanese (ISO-2022-JP)"),
    ("gb18030", "Simplified Chinese (GB18030)"),
    ("big5", "Traditional Chinese (Big5)"),
    ("euc-kr", "Korean (EUC-KR)"),
];

/// What is known about an encoding before decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint<'h> {
    /// The label that a person chose; no other encoding is tried.
    pub chosen: Option<&'h str>,
    /// The label that the file declares; may be wrong.
    pub named: Option<&'h str>,
    /// The bytes are a prefix, so the last character may be incomplete.
    pub is_cut: bool,
}

/// A decoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Without byte order mark.
    pub text: String,
    pub encoding: &'static str,
    /// Malformed characters, if there are a few.
    pub broken: Option<Broken>,
}

/// Malformed characters. In Unicode encodings the text has U+FFFD in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub count: usize,
    /// Line of the first one, from 1.
    pub line: usize,
    /// The first invalid byte in UTF-8; `None` in other encodings.
    pub byte: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    #[error("this file's encoding couldn't be detected; save it as UTF-8 and upload it again")]
    Unknown,
    /// The chosen encoding does not fit; with its label.
    #[error("this text is not {}: too many characters are broken; choose another \
        encoding", name(.0))]
    Unfit(&'static str),
    #[error("\"{0}\" isn't a known encoding; use {labels} or another web encoding label", labels = labels())]
    NoSuch(String),
}

/// Decodes bytes.
///
/// # Errors
/// If no encoding fits, or the chosen one does not.
pub fn decode(bytes: &[u8], hint: Hint<'_>) -> Result<Decoded, EncodingError> {
    if let Some(chosen) = hint.chosen {
        let encoding = of(chosen).ok_or_else(|| EncodingError::NoSuch(chosen.to_owned()))?;
        return read(bytes, encoding, hint.is_cut).ok_or(EncodingError::Unfit(label(encoding)));
    }
    // UTF-32, which programs do not write by default, looks like UTF-16 with NUL characters.
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err(EncodingError::Unknown);
    }
    if let Some(encoding) = unicode(bytes) {
        return read(bytes, encoding, hint.is_cut).ok_or(EncodingError::Unknown);
    }
    let named = hint.named.and_then(of);
    let is_escaped = bytes.is_ascii() && memchr::memchr(0x1b, bytes).is_some();
    // A page whose declaration of UTF-16 is readable as ASCII is not in UTF-16.
    let tried = [
        (!is_escaped).then_some(UTF_8),
        named.filter(|named| is_escaped || named.is_ascii_compatible()),
    ];
    for encoding in tried.into_iter().flatten() {
        if let Some(text) = read(bytes, encoding, hint.is_cut) {
            return Ok(text);
        }
    }
    read(bytes, detected(bytes), hint.is_cut).ok_or(EncodingError::Unknown)
}

/// The encoding of any label of the WHATWG standard.
fn of(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label.trim().as_bytes())?;
    let is_text = encoding != REPLACEMENT && encoding != X_USER_DEFINED;
    // Text labelled GBK may use all of GB18030.
    is_text.then_some(if encoding == GBK { GB18030 } else { encoding })
}

/// The canonical label of an encoding; `None` if it is unknown.
#[must_use]
pub fn known(name: &str) -> Option<&'static str> {
    of(name).map(label)
}

/// Name of the encoding with this label.
#[must_use]
pub fn name(label: &str) -> &str {
    ENCODINGS.iter().find(|(one, _)| *one == label).map_or(label, |(_, name)| name)
}

/// The labels to choose from, separated by commas.
fn labels() -> String {
    let labels: Vec<&str> = ENCODINGS.iter().map(|(label, _)| *label).collect();
    labels.join(", ")
}

fn label(encoding: &'static Encoding) -> &'static str {
    let name = encoding.name();
    let listed = ENCODINGS.iter().find(|(label, _)| label.eq_ignore_ascii_case(name));
    listed.map_or(name, |(label, _)| label)
}

/// Decodes in this encoding; `None` if it has more malformed characters than a damaged file may have.
fn read(bytes: &[u8], encoding: &'static Encoding, is_cut: bool) -> Option<Decoded> {
    let (text, has_errors) = encoding.decode_with_bom_removal(bytes);
    let mut text = text.into_owned();
    if let Some(whole) = text.strip_suffix(char::REPLACEMENT_CHARACTER)
        && is_cut
        && has_errors
        // A single malformed character at the end is a cut one; in UTF-8 only if the text has other multi-byte
        // characters.
        && !whole.ends_with(char::REPLACEMENT_CHARACTER)
        && (encoding != UTF_8 || !whole.is_ascii())
    {
        text.truncate(whole.len());
    }
    let is_unicode = [UTF_8, UTF_16LE, UTF_16BE].contains(&encoding);
    let (mut bad, mut good, mut first) = (0_usize, 0_usize, 0);
    for (at, sign) in text.char_indices().filter(|(_, sign)| !sign.is_ascii()) {
        let is_bad = match sign {
            char::REPLACEMENT_CHARACTER => has_errors,
            // Unassigned bytes of Windows code pages decode to controls; 0x85 does occur in old texts.
            '\u{80}'..='\u{9f}' => !is_unicode && sign != '\u{85}',
            _ => false,
        };
        if is_bad && bad == 0 {
            first = at;
        }
        *(if is_bad { &mut bad } else { &mut good }) += 1;
    }
    // Valid multi-byte sequences in UTF-8 are no accident. Encodings without redundancy fit almost anything, so they
    // may have few errors.
    let most = match is_unicode {
        true if encoding == UTF_8 => 2,
        true => 4,
        false => 50,
    };
    let broken = (0 < bad).then(|| Broken {
        count: bad,
        line: 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..first]).count(),
        byte: std::str::from_utf8(bytes)
            .err()
            .filter(|_| encoding == UTF_8)
            .and_then(|error| bytes.get(error.valid_up_to()).copied()),
    });
    (bad == 0 || bad * most < good + bad).then(|| Decoded {
        text,
        encoding: label(encoding),
        broken,
    })
}

/// A Unicode encoding detected by its byte order mark or by the zeros of UTF-16.
fn unicode(bytes: &[u8]) -> Option<&'static Encoding> {
    match Encoding::for_bom(bytes) {
        Some((encoding, _)) => Some(encoding),
        None => utf16(&bytes[..bytes.len().min(HEAD) & !1]),
    }
}

/// Detects UTF-16 without byte order mark: spaces, digits and Latin letters have a zero byte on the same side, and the
/// other units are common letters.
fn utf16(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    if zeros == 0 || head.is_empty() || is_padded(head) {
        return None;
    }
    let score = |pair: fn([u8; 2]) -> u16| {
        let units = head.chunks_exact(2).map(|two| pair([two[0], two[1]]));
        let (mut plain, mut letters, mut all) = (0_usize, 0_usize, 0_usize);
        for unit in units {
            all += 1;
            plain += usize::from(matches!(unit, 0x20..=0x7e | 9 | 10 | 13));
            letters += usize::from(is_usual(unit));
        }
        let fits = 0 < plain && all * 95 <= (plain + letters) * 100;
        fits.then_some(plain)
    };
    match (score(u16::from_le_bytes), score(u16::from_be_bytes)) {
        (Some(little), Some(big)) if little < big => Some(UTF_16BE),
        (Some(_), _) => Some(UTF_16LE),
        (None, Some(_)) => Some(UTF_16BE),
        (None, None) => None,
    }
}

/// Whether a UTF-16 unit is a common letter or sign beyond ASCII.
fn is_usual(unit: u16) -> bool {
    matches!(
        unit,
        0xa0..=0x52f
            | 0x590..=0x6ff
            | 0x900..=0xe7f
            | 0x10a0..=0x10ff
            | 0x1e00..=0x1fff
            | 0x2010..=0x2040
            | 0x20a0..=0x20bf
            | 0x2100..=0x2122
            | 0x3000..=0x30ff
            | 0x4e00..=0x9fff
            | 0xac00..=0xd7a3
            | 0xd800..=0xdfff
            | 0xfeff
            | 0xff01..=0xff9f
    )
}

/// Whether it is UTF-8 text with gaps of zeros, such as a log file after a crash.
fn is_padded(head: &[u8]) -> bool {
    let rest: Vec<u8> = head.iter().copied().filter(|byte| *byte != 0).collect();
    let is_text = match std::str::from_utf8(&rest) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && 3 < rest.len(),
    };
    // In UTF-16, every other byte of Latin is zero, and one byte of each Cyrillic letter is a control.
    is_text && (head.len() - rest.len()) * 3 <= head.len() && !rest.iter().any(is_control)
}

/// Whether a byte is a control that does not occur in text.
fn is_control(byte: &u8) -> bool {
    *byte < b' ' && !b"\t\n\r\x0c\x1a\x1b".contains(byte)
}

/// Whether the bytes are text in any encoding, judged by their controls.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    if unicode(head).is_some() {
        return true;
    }
    let end = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let odd = head.iter().filter(|byte| is_control(byte)).count();
    odd * 20 <= head.len() || is_padded(&head[..end])
}

/// Statistical detection of a non-Unicode encoding.
fn detected(bytes: &[u8]) -> &'static Encoding {
    let first = bytes.iter().position(|byte| !byte.is_ascii() || *byte == 0x1b).unwrap_or(0);
    // The characters before a non-ASCII letter are relevant, too.
    let sample = &bytes[first.saturating_sub(2)..];
    let end = sample.len().min(SAMPLE);
    let mut detector = EncodingDetector::new();
    detector.feed(&sample[..end], end == sample.len());
    match detector.guess(None, false) {
        encoding if encoding == GBK => GB18030,
        // The detector does not know Mac Roman.
        encoding if encoding == WINDOWS_1252 && is_mac_roman(&sample[..end]) => MACINTOSH,
        encoding => encoding,
    }
}

/// Whether accents within words are at the positions of Mac Roman. In Windows-1252 these bytes are capitals, footnote
/// marks or unassigned, which do not follow a small letter. Bytes that are quotes and dashes in Windows-1252 are not
/// counted, because these do follow letters.
fn is_mac_roman(bytes: &[u8]) -> bool {
    let (mut mac, mut windows) = (0_usize, 0_usize);
    for three in bytes.windows(3).filter(|three| three[0].is_ascii_alphabetic()) {
        let is_within = three[2].is_ascii_lowercase();
        match three[1] {
            // ä, å, ç, é, è, ê, ù, ü.
            0x8a | 0x8c..=0x90 | 0x9d | 0x9f if is_within || three[0].is_ascii_lowercase() => {
                mac += 1
            }
            // á, à, â, ß: in Windows-1252 daggers, per mille and section sign, which occur outside words only.
            0x87..=0x89 | 0xa7 if is_within => mac += 1,
            0xe0..=0xff => windows += 1,
            _ => {}
        }
    }
    windows < mac
}

#[cfg(test)]
mod tests {
    use encoding_rs::Encoding;

    use super::{Broken, ENCODINGS, EncodingError, Hint, decode, is_text, known, name};

    fn found(bytes: &[u8]) -> (&'static str, String) {
        let decoded = decode(bytes, Hint::default()).expect("a text");
        (decoded.encoding, decoded.text)
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn texts_of_many_languages_are_read_in_the_encoding_that_they_were_written_in() {
        let texts = [
            ("windows-1251", "Имя;Город\nИрина Козлова;Москва\nПётр Ильин;Перезвонить в пятницу\n"),
            ("koi8-u", "Склад находится на востоке города. Инвентаризация по средам.\n"),
            ("shift_jis", "氏名,会社\n山田太郎,株式会社表示ソフト\n"),
            ("euc-jp", "氏名,会社\n山田太郎さんは東京の会社で働いています。\n"),
            ("gb18030", "季度报告：仓库在上海东边。龘靐齉 价格为 300 元。\n"),
            ("big5", "季度報告：倉庫在臺北的東邊，價格為三百元。\n"),
            ("euc-kr", "창고는 서울 동쪽에 있다.\n"),
            ("windows-1253", "Όνομα;Πόλη\nΓιώργος Παπαδόπουλος;Θεσσαλονίκη\n"),
            ("windows-1250", "Jméno;Město\nJiří Dvořák;Plzeň\nŽofie Říhová;Třebíč\n"),
            ("windows-1252", "Name;Ort\nZoë Müller;Köln\nJosé Nuñez;Málaga\n"),
            ("windows-1255", "שם;עיר\nמשה כהן;ירושלים\n"),
            ("windows-1256", "الاسم;المدينة\nمحمد علي;القاهرة\n"),
        ];
        for (label, text) in texts {
            let encoding = Encoding::for_label(label.as_bytes()).expect("a label");
            let (bytes, _, torn) = encoding.encode(text);
            assert!(!torn, "{label} has all letters");
            assert_eq!(found(&bytes), (label, text.to_owned()));
            let chosen = Hint { chosen: Some(label), ..Hint::default() };
            assert_eq!(decode(&bytes, chosen).expect("a text").text, text);
        }
    }

    /// Encodes Mac Roman, for which there is no encoder.
    fn mac_roman(text: &str) -> Vec<u8> {
        let all: Vec<u8> = (0..=255).collect();
        let (letters, _, _) = encoding_rs::MACINTOSH.decode(&all);
        let byte = |sign| letters.chars().position(|one| one == sign).expect("it has the letter");
        text.chars().map(|sign| u8::try_from(byte(sign)).expect("a byte")).collect()
    }

    #[test]
    fn mac_roman_is_told_from_windows_1252_by_the_accents_within_words() {
        for text in [
            "Prénom,Ville\nHélène Lefèvre,Besançon\nRené Crêpe,Orléans\n",
            "Les données ont été reçues à Genève, après la fête.\n",
            "Name;Straße;Ort\nJörg Müller;Hauptstraße 5;München\n",
            "Die Verträge für die Räder wurden geändert. „Schön“ – sagt er.\n",
            "Nombre;Ciudad\nJosé Nuñez;Málaga\nAndrés Peña;Cádiz\n",
            "El año pasado el café estaba después del jardín, señor Peña.\n",
        ] {
            assert_eq!(found(&mac_roman(text)), ("macintosh", text.to_owned()));
            let (bytes, _, torn) = encoding_rs::WINDOWS_1252.encode(text);
            assert!(!torn, "{text}");
            assert_eq!(found(&bytes), ("windows-1252", text.to_owned()));
        }
        let quoted = b"it\x92s \x93quoted\x94 \x96 and dagger\x87 and \x9cuvre, S\x9cur \x85\n";
        assert_ne!(found(quoted).0, "macintosh");
    }

    #[test]
    fn utf_16_is_known_with_and_without_a_mark_in_any_script() {
        let texts = [
            "Name,Ort\nZoë,Köln\n",
            "Имя;Город\nИрина;Москва\n",
            "氏名,会社\n山田太郎,東京　支店\n",
            "창고는 서울 동쪽에 있다.\n",
            "שם;עיר\nמשה;ירושלים\n",
        ];
        for text in texts {
            for mark in ["", "\u{feff}"] {
                let whole = format!("{mark}{text}");
                let little = utf16(&whole, u16::to_le_bytes);
                assert_eq!(found(&little), ("utf-16le", text.to_owned()));
                assert!(is_text(&little));
                let big = utf16(&whole, u16::to_be_bytes);
                assert_eq!(found(&big), ("utf-16be", text.to_owned()));
                assert_eq!(found(whole.as_bytes()), ("utf-8", text.to_owned()));
            }
        }
    }

    #[test]
    fn zeros_in_a_text_do_not_end_it_and_make_nothing_else_of_it() {
        for text in ["log line one\0\0\0 LOGWORD line two\n", "abcd\0ef", "Köln\0\0Ulm\n"] {
            assert_eq!(found(text.as_bytes()), ("utf-8", text.to_owned()));
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        let padded = [&b"short log\n"[..], &[0; 2_000]].concat();
        assert!(is_text(&padded));
        assert!(!is_text(b"ab\xff\0ef"));
        assert!(!is_text(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0"));
    }

    #[test]
    fn a_page_that_names_another_encoding_than_it_has_is_read_in_its_own() {
        let named = |bytes: &[u8], label| {
            let decoded = decode(bytes, Hint { named: Some(label), ..Hint::default() });
            let decoded = decoded.expect("a text");
            (decoded.encoding, decoded.text)
        };
        assert_eq!(named("Größe".as_bytes(), "iso-8859-1"), ("utf-8", "Größe".to_owned()));
        assert_eq!(named(b"Gr\xf6\xdfe", "utf-8").1, "Größe");
        assert_eq!(named(b"\xe9", "iso-8859-2"), ("iso-8859-2", "é".to_owned()));
    }

    #[test]
    fn what_fits_no_encoding_is_refused_and_a_few_broken_letters_are_told() {
        assert_eq!(decode(b"\xff\xfe\0\0a\0\0\0", Hint::default()), Err(EncodingError::Unknown));
        let chosen =
            |name| decode(b"\xc8\xf0\xe8\xed\xe0", Hint { chosen: Some(name), ..Hint::default() });
        assert_eq!(chosen("utf-8"), Err(EncodingError::Unfit("utf-8")));
        let none = EncodingError::NoSuch("klingon".to_owned());
        assert_eq!(chosen("klingon"), Err(none.clone()));
        for (label, _) in ENCODINGS {
            assert!(none.to_string().contains(label), "{none}");
        }
        assert_eq!(chosen("cp1251").expect("a text").text, "Ирина");
        let torn =
            decode(&["Zoë José Köln Åsa René".as_bytes(), b" \xff"].concat(), Hint::default());
        assert!(torn.expect("a text").broken.is_some());
        assert_eq!(decode("\u{fffd}".as_bytes(), Hint::default()).expect("a text").broken, None);
        let cut = decode(b"K\xc3\xb6ln \xc3", Hint { is_cut: true, ..Hint::default() });
        assert_eq!(cut.map(|one| (one.text, one.broken)), Ok(("Köln ".to_owned(), None)));
        // The malformed last character is one of another encoding.
        for (bytes, text) in [(&b"Jos\xe9"[..], "José"), (b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет")]
        {
            let cut = decode(bytes, Hint { is_cut: true, ..Hint::default() });
            assert_eq!(cut.map(|one| one.text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn utf_8_with_few_accents_and_a_bad_byte_stays_utf_8() {
        for text in ["Name,Note\nJürgen,Größe\nBad \\", "für Müller\n\n\\"] {
            let bytes = [text.trim_end_matches('\\').as_bytes(), b"\xff end\n"].concat();
            let decoded = decode(&bytes, Hint::default()).expect("a text");
            assert_eq!(decoded.text, text.replace('\\', "\u{fffd} end\n"));
            let broken = Broken { count: 1, line: 3, byte: Some(0xff) };
            assert_eq!((decoded.encoding, decoded.broken), ("utf-8", Some(broken)));
        }
        // Bytes that look like one UTF-8 character only.
        assert_eq!(found(b"\xabCAF\xc9\xbb").1, "«CAFÉ»");
    }

    #[test]
    fn every_label_of_the_list_is_known_and_named() {
        for (label, title) in ENCODINGS {
            assert_eq!(known(label), Some(*label));
            assert_eq!(name(label), *title);
        }
        assert_eq!((known("latin1"), known("gbk")), (Some("windows-1252"), Some("gb18030")));
        assert_eq!((known("replacement"), known("")), (None, None));
    }
}
