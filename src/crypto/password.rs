//! Passwords: rules, hashing and verification.
//!
//! Argon2id with 19 MiB and two passes (about 20 ms), peppered with a key that is not in the store. Hashing blocks:
//! call it in a blocking task, at most two at a time, since each takes 19 MiB.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{
    Algorithm, Argon2, KeyId, Params, ParamsBuilder, PasswordHasher, PasswordVerifier, Version,
};
use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::master::Key;

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in characters.
pub const MAX_CHARS: usize = 256;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const PURPOSE: &str = "password-pepper";

/// Fewest different characters in a password.
const MIN_DIFFERENT: usize = 5;
/// Common passwords, also rejected with digits and punctuation around them.
const COMMON: &[&str] = &[
    "admin",
    "administrator",
    "access",
    "baseball",
    "batman",
    "changeme",
    "charlie",
    "chocolate",
    "computer",
    "company",
    "default",
    "donald",
    "dragon",
    "football",
    "freedom",
    "friends",
    "google",
    "guest",
    "hello",
    "helloworld",
    "hunter",
    "iloveyou",
    "internet",
    "killer",
    "letmein",
    "login",
    "london",
    "lovely",
    "master",
    "michael",
    "monkey",
    "mustang",
    "nothing",
    "office",
    "openclaw",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "princess",
    "private",
    "qwerty",
    "root",
    "samsung",
    "secret",
    "shadow",
    "soccer",
    "starwars",
    "summer",
    "sunshine",
    "superman",
    "superuser",
    "temporary",
    "test",
    "testing",
    "trustno",
    "user",
    "username",
    "welcome",
    "whatever",
    "winter",
    "correcthorsebatterystaple",
    "workspace",
    "yourhq",
];
/// Sequences in which adjacent characters are predictable.
const RUNS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
];

/// Why a password is rejected or cannot be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("use at least {MIN_CHARS} characters; a few unrelated words are easy to remember")]
    TooShort,
    #[error("use at most {MAX_CHARS} characters")]
    TooLong,
    #[error("this password is easy to guess; use a few unrelated words or a password manager")]
    Guessable,
    /// Consists mainly of the name or address of its owner.
    #[error("this password is mostly your name or email address; use something others don't know")]
    Personal,
    /// The hash uses a pepper of an unknown master key.
    #[error(
        "the password was set under another master key; restore that key or run `hq user reset-link`"
    )]
    PepperMissing,
    #[error("the stored password can't be read; run `hq user reset-link`")]
    BadHash,
    #[error("not enough memory to check the password; try again in a moment")]
    NoMemory,
}

/// Result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Correct, but hashed in an older form: hash it again.
    RightButOld,
    /// Wrong, or no such account.
    Wrong,
}

/// Checks a new password. `about` contains public facts about the person: name, email, workspace.
pub fn check(password: &str, about: &[&str]) -> Result<(), PasswordError> {
    let count = password.chars().count();
    if count < MIN_CHARS {
        return Err(PasswordError::TooShort);
    }
    if MAX_CHARS < count {
        return Err(PasswordError::TooLong);
    }
    let folded = Zeroizing::new(password.to_lowercase());
    if is_personal(&folded, about) {
        return Err(PasswordError::Personal);
    }
    if is_guessable(&folded) {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// Hashes and verifies passwords with the peppers of a keyring.
pub struct Passwords {
    pepper: Key,
    pepper_id: KeyId,
    /// Hash without a password, so that unknown accounts cost the same time.
    decoy: PasswordHash,
}

impl Passwords {
    /// Uses the pepper of the current key. Costs one hash.
    pub fn new(ring: &Keyring) -> Result<Passwords, PasswordError> {
        let (id, pepper) = ring.purpose_key(PURPOSE);
        let pepper_id = key_id(id.as_str())?;
        let decoy = hash_with(&pepper, pepper_id, super::random::bytes::<32>().as_slice())?;
        Ok(Passwords { pepper, pepper_id, decoy })
    }

    /// Whether the pepper belongs to the keyring's current key.
    pub fn is_of(&self, ring: &Keyring) -> bool {
        hex::encode(self.pepper_id.as_bytes()) == ring.key_id().as_str()
    }

    /// The stored form of a password. Blocks for about 20 ms.
    pub fn hash(&self, password: &str) -> Result<String, PasswordError> {
        Ok(hash_with(&self.pepper, self.pepper_id, password.as_bytes())?.to_string())
    }

    /// Verifies a password against the stored hash; without one, against a decoy at the same cost. Blocks for about 20
    /// ms. `ring` provides peppers of former master keys.
    pub fn verify(
        &self,
        ring: &Keyring,
        stored: Option<&str>,
        password: &str,
    ) -> Result<Verdict, PasswordError> {
        let Some(stored) = stored else {
            matches_hash(&self.pepper, &self.decoy, password)?;
            return Ok(Verdict::Wrong);
        };
        let hash = PasswordHash::new(stored).or(Err(PasswordError::BadHash))?;
        let params = Params::try_from(&hash).or(Err(PasswordError::BadHash))?;
        let former;
        let pepper = if params.keyid() == self.pepper_id.as_bytes() {
            &self.pepper
        } else {
            former = ring
                .purpose_key_of(&hex::encode(params.keyid()), PURPOSE)
                .ok_or(PasswordError::PepperMissing)?;
            &former
        };
        if !matches_hash(pepper, &hash, password)? {
            return Ok(Verdict::Wrong);
        }
        let current = hash.params == self.decoy.params && hash.algorithm == self.decoy.algorithm;
        Ok(if current { Verdict::Right } else { Verdict::RightButOld })
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(hidden)")
    }
}

/// Id of the master key whose pepper the hash uses; `None` for malformed hashes.
#[must_use]
pub fn rests_on(stored: &str) -> Option<String> {
    let hash = PasswordHash::new(stored).ok()?;
    let params = Params::try_from(&hash).ok()?;
    Some(hex::encode(params.keyid())).filter(|id| !id.is_empty())
}

fn key_id(id: &str) -> Result<KeyId, PasswordError> {
    let bytes = hex::decode(id).or(Err(PasswordError::BadHash))?;
    KeyId::new(&bytes).or(Err(PasswordError::BadHash))
}

fn argon(pepper: &Key, params: Params) -> Argon2<'_> {
    Argon2::new_with_secret(pepper.as_slice(), Algorithm::Argon2id, Version::V0x13, params)
        .expect("invariant: a pepper of 32 bytes is short enough")
}

fn hash_with(pepper: &Key, id: KeyId, password: &[u8]) -> Result<PasswordHash, PasswordError> {
    let params = ParamsBuilder::new()
        .m_cost(MEMORY_KIB)
        .t_cost(PASSES)
        .p_cost(LANES)
        .keyid(id)
        .build()
        .expect("invariant: the parameters are within Argon2's limits");
    let salt = super::random::bytes::<16>();
    // Lengths are fixed, so only the memory can be missing.
    argon(pepper, params)
        .hash_password_with_salt(password, salt.as_slice())
        .or(Err(PasswordError::NoMemory))
}

fn matches_hash(pepper: &Key, hash: &PasswordHash, password: &str) -> Result<bool, PasswordError> {
    let params = Params::try_from(hash).or(Err(PasswordError::BadHash))?;
    // Longer passwords were never accepted; hashing them would only cost time.
    let password = match password.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => &password[..end],
        None => password,
    };
    match argon(pepper, params).verify_password(password.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(argon2::password_hash::Error::OutOfMemory) => Err(PasswordError::NoMemory),
        Err(_) => Err(PasswordError::BadHash),
    }
}

/// Whether at least two thirds of the password are words from `about`.
fn is_personal(folded: &str, about: &[&str]) -> bool {
    let mut left = Zeroizing::new(folded.to_owned());
    let words = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    for word in words.filter(|word| 4 <= word.chars().count()) {
        left = Zeroizing::new(left.replace(&word.to_lowercase(), ""));
    }
    left.chars().count() * 3 <= folded.chars().count()
}

fn is_guessable(folded: &str) -> bool {
    let mut different: Vec<char> = folded.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < MIN_DIFFERENT || is_repetition(folded) {
        return true;
    }
    let letters = only_letters(folded);
    let word = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let plain = only_letters(&unleet(word));
    if COMMON.contains(&letters.as_str()) || COMMON.contains(&plain.as_str()) {
        return true;
    }
    free_choices(folded) < MIN_DIFFERENT
}

/// Whether the text is one piece repeated, the last one possibly cut.
fn is_repetition(text: &str) -> bool {
    let chars: Zeroizing<Vec<char>> = Zeroizing::new(text.chars().collect());
    (1..=chars.len() / 2).any(|unit| chars.iter().zip(&chars[unit..]).all(|(a, b)| a == b))
}

/// Reverts common letter substitutions.
fn unleet(text: &str) -> Zeroizing<String> {
    let plain = text.chars().map(|c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    });
    Zeroizing::new(plain.collect())
}

fn only_letters(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|c| c.is_alphabetic()).collect())
}

/// Number of unpredictable characters: neither a repetition nor the neighbour of the one before in a known sequence.
fn free_choices(text: &str) -> usize {
    let chars: Zeroizing<Vec<char>> = Zeroizing::new(text.chars().collect());
    let chosen = chars.windows(2).filter(|pair| !is_neighbour(pair[0], pair[1])).count();
    chosen + 1
}

fn is_neighbour(a: char, b: char) -> bool {
    let follows = |x: char, y: char| {
        RUNS.iter().any(|run| run.chars().zip(run.chars().skip(1)).any(|pair| pair == (x, y)))
    };
    a == b || follows(a, b) || follows(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::MasterKey;

    fn ring(seed: u8) -> Keyring {
        Keyring::new(MasterKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn the_right_password_passes_and_any_other_fails() {
        let ring = ring(1);
        let passwords = Passwords::new(&ring).unwrap();
        let stored = passwords.hash("violet harbour 93 lantern").unwrap();

        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{stored}");
        assert_ne!(stored, passwords.hash("violet harbour 93 lantern").unwrap());
        let verify = |password| passwords.verify(&ring, Some(&stored), password).unwrap();
        assert_eq!(verify("violet harbour 93 lantern"), Verdict::Right);
        assert_eq!(verify("violet harbour 93 lanterN"), Verdict::Wrong);
        assert_eq!(verify(""), Verdict::Wrong);
    }

    #[test]
    fn an_unknown_account_is_wrong_after_the_same_work() {
        let ring = ring(1);
        let passwords = Passwords::new(&ring).unwrap();
        assert_eq!(passwords.verify(&ring, None, "anything at all"), Ok(Verdict::Wrong));
        assert!(passwords.decoy.to_string().contains("m=19456,t=2,p=1"));
    }

    #[test]
    fn a_hash_below_a_former_master_key_is_right_but_old() {
        let old = ring(1);
        let stored = Passwords::new(&old).unwrap().hash("violet harbour 93 lantern").unwrap();
        let new = ring(2).with_former(MasterKey::from_bytes(&[1; 32]));
        let passwords = Passwords::new(&new).unwrap();

        let verdict = passwords.verify(&new, Some(&stored), "violet harbour 93 lantern");
        assert_eq!(verdict, Ok(Verdict::RightButOld));
        let lost = passwords.verify(&ring(2), Some(&stored), "violet harbour 93 lantern");
        assert_eq!(lost, Err(PasswordError::PepperMissing));
    }

    #[test]
    fn a_stored_text_that_is_no_hash_is_an_error() {
        let ring = ring(1);
        let passwords = Passwords::new(&ring).unwrap();
        for stored in ["", "plain", "$argon2id$v=19$m=1$x$y", "$2b$10$abcdefghijklmnopqrstuv"] {
            let verdict = passwords.verify(&ring, Some(stored), "x");
            assert!(matches!(verdict, Err(PasswordError::BadHash | PasswordError::PepperMissing)));
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("elf chars..", &[]), Err(PasswordError::TooShort));
        assert_eq!(check("пять слов да", &[]), Ok(()));
        assert_eq!(check(&"ab cde fgh7".repeat(30), &[]), Err(PasswordError::TooLong));
    }

    #[test]
    fn easily_guessed_passwords_are_refused() {
        for password in [
            "aaaaaaaaaaaaaa",
            "abababababab",
            "123456789012",
            "abcdefghijklm",
            "qwertyuiop12",
            "asdfghjklqwertyuiop",
            "passwordpassword",
            "password12345",
            "P@ssw0rd!!!!!",
            "administrator",
            "Administrator1!",
            "!!!letmein2024!!!",
            "1qaz2wsx3edc4rfv",
            "111111222222",
            "98765432109876",
            "correcthorsebatterystaple",
        ] {
            assert_eq!(check(password, &[]), Err(PasswordError::Guessable), "{password}");
        }
    }

    #[test]
    fn a_few_words_or_random_letters_are_accepted() {
        for password in [
            "violet harbour 93 lantern",
            "kX9$mPq2vLw8",
            "my cat sleeps on tuesdays",
            "Zug um Zug nach Bern",
            "漢字漢仮名交文仮一二三四五",
            "tr0ub4dor&3zebra",
        ] {
            assert_eq!(check(password, &["ada@example.com", "Ada Lovelace"]), Ok(()), "{password}");
        }
    }

    #[test]
    fn a_password_made_of_the_own_name_is_refused() {
        let about = ["ada.lovelace@example.com", "Ada Lovelace", "Engines Ltd"];
        for password in ["LovelaceEngines1", "lovelace@example.com", "lovelacelovelace7"] {
            assert_eq!(check(password, &about), Err(PasswordError::Personal), "{password}");
        }
    }
}
