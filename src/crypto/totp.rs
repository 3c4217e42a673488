//! Authenticator codes (TOTP, RFC 6238: SHA-1, six digits, 30 seconds), the variant that all apps support. SHA-1 is
//! safe here: attackers cannot choose the hashed input.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::random;
use super::token::same;

/// Validity of a code in milliseconds.
const STEP_MS: i64 = 30_000;
/// Tolerated clock deviation in steps.
const OFF_BY: i64 = 1;
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The shared secret.
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// A new secret of 160 bits.
    #[must_use]
    pub fn issue() -> Self {
        Self(Zeroizing::new(random::bytes::<20>().to_vec()))
    }

    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes; seal them before storing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Base32 in groups of four, for typing.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let plain = self.base32();
        let groups: Vec<&str> =
            plain.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()).collect();
        Zeroizing::new(groups.join(" "))
    }

    /// The `otpauth` URI of the QR code.
    #[must_use]
    pub fn address(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let plain = |text: &str| {
            let bytes = text.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            });
            bytes.collect::<String>()
        };
        let (issuer, account) = (plain(issuer), plain(account));
        let secret = self.base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
            *secret
        ))
    }

    fn base32(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let (mut held, mut bits) = (0u32, 0);
        for byte in self.0.iter() {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while 5 <= bits {
                bits -= 5;
                text.push(char::from(LETTERS[(held >> bits) as usize & 31]));
            }
        }
        if 0 < bits {
            text.push(char::from(LETTERS[(held << (5 - bits)) as usize & 31]));
        }
        text
    }

    #[must_use]
    pub fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag.last().copied().unwrap_or(0) & 15);
        let four = [tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]];
        format!("{:06}", u32::from_be_bytes(four) % 1_000_000)
    }

    /// The step of a typed code, if it is valid now (within one step) and newer than `last`. Takes constant time.
    #[must_use]
    pub fn check(&self, input: &str, now_ms: i64, last: u64) -> Option<u64> {
        let input: Zeroizing<String> =
            Zeroizing::new(input.chars().filter(|c| !c.is_whitespace()).collect());
        let now = now_ms.div_euclid(STEP_MS);
        let mut found = None;
        for step in now - OFF_BY..=now + OFF_BY {
            let Ok(step) = u64::try_from(step) else { continue };
            let right = same(self.code(step).as_bytes(), input.as_bytes());
            if right && last < step && found.is_none() {
                found = Some(step);
            }
        }
        found
    }

    /// The code shown at this time.
    #[must_use]
    pub fn code_at(&self, now_ms: i64) -> String {
        self.code(u64::try_from(now_ms.div_euclid(STEP_MS)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::TotpSecret;

    /// Key of RFC 6238, appendix B.
    fn known() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890")
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(known().code_at(seconds * 1_000), code, "{seconds}");
        }
        assert_eq!(*known().text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        let address = known().address("Marlow & Co", "mira@x.example");
        assert!(
            address.starts_with("otpauth://totp/Marlow%20%26%20Co:mira%40x.example?secret=GEZD")
        );
    }

    #[test]
    fn a_code_is_good_for_a_step_on_either_side_and_never_twice() {
        let (secret, now) = (known(), 1_111_111_109_000);
        let step = 1_111_111_109 / 30;
        for (at, good) in [(-61, false), (-30, true), (0, true), (30, true), (61, false)] {
            let code = secret.code_at(now + at * 1_000);
            assert_eq!(secret.check(&code, now, 0).is_some(), good, "{at}");
        }
        assert_eq!(secret.check(" 081 804 ", now, 0), Some(step));
        assert_eq!(secret.check("081804", now, step), None, "it was used");
        for bad in ["", "0818", "0818045", "abcdef"] {
            assert_eq!(secret.check(bad, now, 0), None, "{bad}");
        }
    }
}
