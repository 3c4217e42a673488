//! Encoded forms of a text that are searched for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Minimum length of an encoded fragment that is searched for.
const MIN_CORE: usize = 8;

/// For each of the three offsets, the part of a base64 encoding that does not depend on the surrounding text.
pub(crate) fn base64(text: &[u8]) -> Vec<Vec<u8>> {
    let mut cores = Vec::new();
    for lead in 0..3 {
        let whole = [&[0; 2][..lead], text].concat();
        // The first characters include bits of the preceding text, the last one of the following text.
        let (from, to) = ((lead * 8).div_ceil(6), whole.len() * 8 / 6);
        for coded in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            if from + MIN_CORE <= to {
                cores.push(coded.as_bytes()[from..to].to_vec());
            }
        }
    }
    cores.dedup();
    cores
}

/// Percent-encodes all bytes except letters, digits, `-._~` and those in `also`.
pub(crate) fn percent(text: &[u8], also: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            true => out.push(*byte),
            false => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

/// Decodes percent-encoding. Invalid sequences stay unchanged.
pub(crate) fn unpercent(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let pair = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        out.push(pair.map_or(*first, |(high, low)| high << 4 | low));
        rest = if pair.is_some() { &rest[3..] } else { after };
    }
    out
}

/// The content of a JSON string without quotes; `None` if the text is not UTF-8.
pub(crate) fn json(text: &[u8]) -> Option<Vec<u8>> {
    let quoted = serde_json::to_vec(std::str::from_utf8(text).ok()?).ok()?;
    Some(quoted[1..quoted.len() - 1].to_vec())
}

/// Encoded forms of the whole text: base64, hexadecimal, and percent-encoding of every byte.
pub(crate) fn hidden(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = base64(text);
    let small = hex::encode(text);
    let signs: String = text.iter().map(|byte| format!("%{byte:02x}")).collect();
    for form in [small, signs] {
        forms.push(form.to_ascii_uppercase().into_bytes());
        forms.push(form.into_bytes());
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::{base64, json, percent, unpercent};

    proptest! {
        #[test]
        fn a_text_is_found_in_base64_wherever_it_stands(
            before in ".{0,7}", text in "[ -~]{8,40}", after in ".{0,7}",
        ) {
            let coded = STANDARD.encode(format!("{before}{text}{after}"));
            let cores = base64(text.as_bytes());
            let has = |core: &Vec<u8>| coded.contains(std::str::from_utf8(core).unwrap());
            prop_assert!(cores.iter().any(has));
        }

        #[test]
        fn percent_signs_go_both_ways(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unpercent(&percent(&text, b"")), text);
        }
    }

    #[test]
    fn what_no_sign_encodes_stays() {
        assert_eq!(unpercent(b"%4"), b"%4");
        assert_eq!(unpercent(b"%zz%41%"), b"%zzA%");
        assert_eq!(json(b"a\"\n").unwrap(), b"a\\\"\\n");
        assert!(json(&[0xff]).is_none());
    }
}
