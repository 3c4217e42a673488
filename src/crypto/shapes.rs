//! Detection of keys by their format. Detected keys are masked in output and blocked in outgoing requests and files.
//! Custom patterns apply in addition.
//!
//! One list for all destinations. In output of programs and in files only certain matches are masked, so that code
//! survives. Logs, errors and messages also lose credentials in URLs and headers.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

/// Limit of custom patterns.
pub const MOST: usize = 50;
/// Longest custom pattern, in bytes.
const LONGEST: usize = 500;
/// Memory limit of a compiled pattern, in bytes.
const ROOM: usize = 1 << 20;
/// Shorter keys are masked completely.
const SHOWS: usize = 18;

/// Prefixes of keys and of places of credentials. One search finds all of them; the rest is matched at each find.
const BEGINS: [&str; 20] = [
    "sk-",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xox",
    "hf_",
    "AGE-SECRET-KEY-1",
    "AKIA",
    "AIza",
    ":AA",
    "eyJ",
    "-----BEGIN ",
    "://",
    "uthorization",
    "ookie",
    "OOKIE",
];

static BEGIN: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new(BEGINS).expect("invariant: a fixed list that a test searches for")
});

/// Formats that are certainly keys.
static KEYS: LazyLock<Regex> = LazyLock::new(|| {
    fixed(concat!(
        r"(?-u)^(?:sk-[A-Za-z0-9_-]{20,}",
        r"|gh[oprsu]_[A-Za-z0-9]{20,}",
        r"|github_pat_[A-Za-z0-9_]{20,}",
        r"|glpat-[A-Za-z0-9_-]{16,}",
        r"|xox[abprs]-[A-Za-z0-9-]{10,}",
        r"|hf_[A-Za-z0-9]{24,}",
        r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}",
        r"|AKIA[A-Z0-9]{16}",
        r"|AIza[A-Za-z0-9_-]{35}",
        // Telegram bot token, after its number.
        r"|:AA[A-Za-z0-9_-]{33}",
        // JSON web token.
        r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[\s\\rn]*[A-Za-z0-9+/=]{32,})+",
        r"(?:[\s\\rn]*[A-Za-z0-9+/=]{1,64})?(?:[\s\\rn]*-----END [A-Z ]{0,20}PRIVATE KEY-----)?)",
    ))
});

/// Credentials recognized by their context: password in a URL, values of headers.
static PLACES: LazyLock<Regex> = LazyLock::new(|| {
    fixed(concat!(
        r#"(?-u)^(?:://[^\s/:@"'<>]{0,64}:(?<a>[^\s/@"'<>]{3,256})@"#,
        r#"|uthorization"?\s?[:=]\s?"?(?:[A-Za-z]{1,10} )?(?<b>[A-Za-z0-9._~+/=-]{16,})"#,
        r#"|(?i:ookie)"?: ?"?(?<c>[^\r\n"]{16,}))"#,
    ))
});

/// Keys that must not be sent. The others are public by design: map keys, signed links.
const REFUSED: [&str; 7] = ["sk-", "gh", "glpat-", "xox", "hf_", "AGE-SECRET-KEY-", "-----BEGIN"];

/// A name that indicates a secret, and its value, quoted or not. Values are examined further by [`assigned`].
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    fixed(concat!(
        r"(?-u)(?i:secret|token|passwo?r?d|passphrase|[_-]pass|(?:api|access|private|signing|encryption)[_-]?key)",
        r#"(?<rest>[A-Za-z0-9_.-]{0,40})\\?["']?[ \t]{0,16}(?:=>|:=|=|:)[ \t]{0,16}"#,
        r#"(?:\\?["'](?<quoted>[!#-&(-\[\]-~]{16,4096})|(?<bare>[A-Za-z0-9+/=_.~!@%^*$#-]{16,4096}))"#,
    ))
});

/// Words in names whose values are numbers or belong to one page.
const COUNTS: [&str; 4] = ["csrf", "max", "min", "xsrf"];
/// Words before `token` that indicate a position in a list.
const PLACES_OF_LISTS: [&str; 5] = ["continuation", "cursor", "next", "page", "sync"];
/// Last words of names whose values describe a secret.
const TELLS_OF: [&str; 9] = ["count", "file", "hash", "id", "name", "path", "type", "uri", "url"];

/// Placeholders for values.
const PLACEHOLDERS: [&str; 9] =
    ["changeme", "placeholder", "xxxx", "****", "....", "your-", "your_", "example-", "example_"];

/// Values assigned to names that indicate a secret, if they look random.
fn assigned(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(one) = ASSIGNED.captures_at(bytes, from) {
        let (quoted, bare) = (one.name("quoted"), one.name("bare"));
        let (Some(whole), Some(value)) = (one.get(0), quoted.or(bare)) else { break };
        let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let before = bytes[..whole.start()].iter().rev().take(64).take_while(is_name).count();
        let begin = whole.start() - before;
        let end = one.name("rest").map_or(whole.start(), |rest| rest.end());
        let is_public = is_of_link(&bytes[..begin]);
        // A value that continues is a path, a call or a placeholder.
        let goes_on = bytes
            .get(value.end())
            .is_some_and(|next| !next.is_ascii_whitespace() && !b"\"'`,;)]}\\<&|#".contains(next));
        if !is_public
            && !goes_on
            && says_secret(&bytes[begin..end])
            && is_random(value.as_bytes(), quoted.is_some())
        {
            found.push(value.range());
        }
        from = value.end();
    }
    found
}

/// Whether the name that follows is in the query of a link: links are public by design, like signed links. A form body
/// contains `&` but no `?`.
fn is_of_link(before: &[u8]) -> bool {
    if !before.last().is_some_and(|last| b"?&".contains(last)) {
        return false;
    }
    let is_link = |byte: &&u8| !byte.is_ascii_whitespace() && !b"\"'`<>".contains(byte);
    before.iter().rev().take(4_096).take_while(is_link).any(|byte| *byte == b'?')
}

/// Whether a name indicates a secret: `AWS_SECRET_ACCESS_KEY`, but not `nextPageToken` or `token_id`.
fn says_secret(name: &[u8]) -> bool {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for byte in name {
        if !byte.is_ascii_alphanumeric() || was_lower && byte.is_ascii_uppercase() {
            words.push(String::new());
        }
        was_lower = byte.is_ascii_lowercase();
        if let Some(word) = words.last_mut().filter(|_| byte.is_ascii_alphanumeric()) {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    let tells_of = words.last().is_some_and(|last| TELLS_OF.contains(&last.as_str()));
    let is_place = words.windows(2).any(|two| {
        PLACES_OF_LISTS.contains(&two[0].as_str()) && ["token", "tokens"].contains(&two[1].as_str())
    });
    !tells_of && !is_place && !words.iter().any(|word| COUNTS.contains(&word.as_str()))
}

/// Whether a value looks random and is no word, path or number.
fn is_random(value: &[u8], is_quoted: bool) -> bool {
    /// Bits per character: 16 different characters have 4.
    const LEAST: f64 = 3.0;
    let text = String::from_utf8_lossy(value);
    let text = text.trim_end_matches(['.', '=']);
    let lower = text.to_lowercase();
    let has = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let (digits, letters) = (has(u8::is_ascii_digit), has(u8::is_ascii_alphabetic));
    if text.len() < 16 || digits == 0 || letters == 0 || is_id(text) {
        return false;
    }
    let is_place = text.starts_with('$') || text.contains("${") || text.contains("{{");
    if is_place || PLACEHOLDERS.iter().any(|word| lower.contains(word)) || is_words(text) {
        return false;
    }
    // In code, a dotted path is unquoted and no part of it looks random.
    if !is_quoted && text.contains('.') {
        return text.split('.').any(|part| is_random(part.as_bytes(), true));
    }
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = text.as_bytes().windows(2).filter(|two| kind(two[0]) != kind(two[1])).count();
    // Concatenated words rarely switch between kinds of characters.
    let has_both = 0 < has(u8::is_ascii_lowercase) && 0 < has(u8::is_ascii_uppercase);
    let least = text.len() * if has_both { 40 } else { 25 } / 100;
    LEAST < entropy(text.as_bytes()) && least <= changes
}

/// Whether it is a UUID.
fn is_id(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Whether it consists of words: `build-token-v2-for-user`, `/run/secrets/db1`.
fn is_words(text: &str) -> bool {
    let parts: Vec<&str> =
        text.split(['-', '_', '.', '/', '@', '+', '=']).filter(|one| !one.is_empty()).collect();
    let is_word = |part: &&&str| {
        let rest = part.get(1..).unwrap_or_default();
        1 < part.len()
            && part.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (rest.bytes().all(|byte| byte.is_ascii_lowercase())
                || part.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    1 < parts.len() && parts.len() <= 2 * parts.iter().filter(is_word).count()
}

/// Shannon entropy in bits per character.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let all = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let share = counts.iter().filter(|count| 0 < **count).map(|count| f64::from(*count) / all);
    -share.map(|share| share * share.log2()).sum::<f64>()
}

fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: a fixed expression that a test compiles")
}

/// Destination of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    Logs,
    Errors,
    /// Mail and push notifications.
    Messages,
    /// Output of tools and programs.
    Tools,
    /// Other destinations: known values only.
    Elsewhere,
}

impl Spot {
    pub const ALL: [Self; 5] =
        [Self::Logs, Self::Errors, Self::Messages, Self::Tools, Self::Elsewhere];

    /// Label for people, to follow "in".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Logs => "the log",
            Self::Errors => "errors",
            Self::Messages => "email and push",
            Self::Tools => "tool output",
            Self::Elsewhere => "conversations",
        }
    }
}

/// Whether a text contains a key that must not be sent.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----") || key_starts(text).next().is_some()
}

/// Start positions of keys that must not be sent, unordered.
pub fn key_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    let is_refused = move |found: &Range<usize>| {
        REFUSED.iter().any(|begin| bytes[found.clone()].starts_with(begin.as_bytes()))
    };
    let shaped = keys(bytes, false).into_iter().filter(is_refused);
    shaped.chain(assigned(bytes)).map(|found| found.start)
}

/// Ranges of certain keys, and if `wide` of credentials recognized by their context.
fn keys(bytes: &[u8], wide: bool) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    for begin in BEGIN.find_iter(bytes).map(|begin| begin.start()) {
        if begin < from {
            continue;
        }
        let before = begin.checked_sub(1).map(|at| bytes[at]);
        let stands = match bytes[begin] {
            b':' => bytes[begin + 1] == b'/' || before.is_some_and(|byte| byte.is_ascii_digit()),
            b'-' => true,
            // The context starts with a letter in either case.
            b'u' | b'o' | b'O' => wide,
            _ => !before.is_some_and(|byte| byte.is_ascii_alphanumeric()),
        };
        if !stands {
            continue;
        }
        let rest = &bytes[begin..];
        let key = KEYS.find(rest).map(|one| one.range());
        let place = || {
            let found = PLACES.captures(rest).filter(|_| wide)?;
            ["a", "b", "c"].iter().find_map(|name| found.name(name)).map(|found| found.range())
        };
        if let Some(one) = key.or_else(place) {
            from = begin + one.end;
            found.push(begin + one.start..from);
        } else if rest.starts_with(b"eyJ") {
            // Prefixes within the word that was just examined are skipped.
            let word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
            from = begin + rest.iter().take_while(word).count();
        }
    }
    found
}

/// Ranges to mask for a destination: key formats and custom patterns.
pub(crate) fn spans(bytes: &[u8], spot: Spot, own: Option<&Regex>) -> Vec<Range<usize>> {
    if spot == Spot::Elsewhere {
        return Vec::new();
    }
    let mut found = keys(bytes, spot != Spot::Tools);
    found.extend(assigned(bytes));
    found.extend(own.into_iter().flat_map(|own| own.find_iter(bytes)).map(|one| one.range()));
    // Custom patterns may match the empty string.
    found.retain(|one| !one.is_empty());
    found.sort_by_key(|one| one.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for one in found {
        match apart.last_mut() {
            Some(last) if one.start < last.end => last.end = last.end.max(one.end),
            _ => apart.push(one),
        }
    }
    apart
}

/// The mask of a key: long keys keep both ends, so that people can recognize them.
pub(crate) fn mask(found: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    match found.len() {
        len if SHOWS <= len && !found.starts_with(b"--") && found.iter().all(plain) => {
            let text = String::from_utf8_lossy(found);
            format!("{}…{}", &text[..6], &text[len - 4..])
        }
        _ => "***".to_owned(),
    }
}

/// Checks a custom pattern.
///
/// # Errors
/// The reason, as text.
pub fn check(pattern: &str) -> Result<(), String> {
    if pattern.trim().is_empty() {
        return Err("enter a pattern".to_owned());
    }
    if LONGEST < pattern.len() {
        return Err(format!("use a pattern of at most {LONGEST} bytes"));
    }
    let built = build(pattern).map_err(|_| {
        "this isn't a valid regular expression, or it is too \
        large"
    })?;
    match built.is_match(b"") {
        true => Err("it would match everywhere; include at least one fixed character".to_owned()),
        false => Ok(()),
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(ROOM).dfa_size_limit(ROOM).build()
}

/// One regex for several patterns; invalid ones are skipped.
pub(crate) fn all_of<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<Regex> {
    let fine = patterns.filter(|one| check(one).is_ok()).map(|one| format!("(?:{one})"));
    let joined: Vec<String> = fine.collect();
    let pattern = joined.join("|");
    let room = ROOM * joined.len().max(1);
    // ok: each pattern compiles, and the limit is the sum of theirs
    let built = RegexBuilder::new(&pattern).size_limit(room).dfa_size_limit(room).build();
    built.ok().filter(|_| !joined.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Spot, all_of, check, is_key, mask, spans};

    fn masked(spot: Spot, text: &str) -> String {
        let own = all_of(["EMP-[0-9]{4}"].into_iter());
        let (mut out, mut from) = (String::new(), 0);
        for one in spans(text.as_bytes(), spot, own.as_ref()) {
            out.push_str(&text[from..one.start]);
            out.push_str(&mask(&text.as_bytes()[one.clone()]));
            from = one.end;
        }
        out + &text[from..]
    }

    #[test]
    fn keys_are_known_by_their_shape() {
        let key = "sk-abcdefghijklmnopqrstuvwx";
        for spot in [Spot::Tools, Spot::Logs, Spot::Errors, Spot::Messages] {
            assert_eq!(masked(spot, &format!("a {key}, b")), "a sk-abc…uvwx, b");
            assert_eq!(masked(spot, "of EMP-1234."), "of ***.");
        }
        assert_eq!(masked(Spot::Elsewhere, key), key);
        for text in [
            format!("task-{}", "a".repeat(30)),
            "disk-abcdefghijklmnopqrstuvwx".to_owned(),
            "sk-short".to_owned(),
            "-----BEGIN PRIVATE KEY----- stands at its beginning".to_owned(),
        ] {
            assert_eq!(masked(Spot::Tools, &text), text);
        }
        let pem = format!(
            "x\n-----BEGIN RSA PRIVATE KEY-----\n{0}\n{0}\nabc=\n-----END RSA PRIVATE KEY-----\ny",
            "Q".repeat(64)
        );
        assert_eq!(masked(Spot::Tools, &pem), "x\n***\ny");
        let token = format!("123456789:AA{}", "x".repeat(33));
        assert!(masked(Spot::Tools, &token).starts_with("123456789***"), "{token}");
    }

    #[test]
    fn places_of_keys_are_masked_where_no_code_is_harmed() {
        let url = "postgres://app:hunter2@db/x";
        assert_eq!(masked(Spot::Tools, url), url);
        assert_eq!(masked(Spot::Logs, url), "postgres://app:***@db/x");
        let header = "Authorization: Bearer abc.def.ghi.jkl.mno";
        assert_eq!(masked(Spot::Errors, header), "Authorization: Bearer ***");
    }

    #[test]
    fn a_value_is_masked_whose_name_says_that_it_is_secret() {
        let value = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzK3v9Qx1Lm";
        for (text, clean) in [
            (format!("AWS_SECRET_ACCESS_KEY={value}\nB=1"), "AWS_SECRET_ACCESS_KEY=***\nB=1"),
            (format!("export DB_PASSWORD='{value}'"), "export DB_PASSWORD='***'"),
            (
                format!(r#"{{"secretAccessKey": "{value}", "b": 1}}"#),
                r#"{"secretAccessKey": "***", "b": 1}"#,
            ),
            (format!(r#"{{\"clientSecret\":\"{value}\"}}"#), r#"{\"clientSecret\":\"***\"}"#),
            (format!("private_key: {value}"), "private_key: ***"),
            ("refresh_token = \"9f86d081884c7d65\"".to_owned(), "refresh_token = \"***\""),
            ("API_KEY=9f86d081884c7d659a2feaa0c55ad015".to_owned(), "API_KEY=9f86d0…d015"),
            (format!("NEXT_AUTH_SECRET={value}"), "NEXT_AUTH_SECRET=***"),
            (format!("FB_PAGE_ACCESS_TOKEN={value}"), "FB_PAGE_ACCESS_TOKEN=***"),
            (format!("DB_PASS={value}"), "DB_PASS=***"),
            (format!("SIGNING_KEY =          {value}"), "SIGNING_KEY =          ***"),
            (format!("DB_PASSWORD=a$b{value}"), "DB_PASSWORD=***"),
            (format!("DB_PASSWORD=\"a#b&c{value}\""), "DB_PASSWORD=\"***\""),
            (format!("grant_type=cc&client_secret={value}"), "grant_type=cc&client_secret=***"),
            (format!("AWS_SESSION_TOKEN={}", value.repeat(20)), "AWS_SESSION_TOKEN=***"),
            (format!("DISCORD_TOKEN=MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.{value}"), "DISCORD_TOKEN=***"),
            (format!("SENDGRID_API_KEY=SG.ngeVfQFYQlKU0ufo.{value}"), "SENDGRID_API_KEY=***"),
        ] {
            assert_eq!(masked(Spot::Tools, &text), clean);
            assert!(is_key(&text), "{text}");
        }
    }

    #[test]
    fn words_code_and_places_for_secrets_are_no_secrets() {
        for text in [
            "The token: a-word-of-many-parts-2 is explained below",
            "AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY_2}",
            "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY1",
            "API_KEY=<your-api-key-of-32-signs>",
            "API_KEY=your-api-key-1234567890-abcdef",
            "PASSWORD=changeme1234changeme5678",
            "SECRET=xxxxxxxxxxxxxxxxxxxx1",
            "SECRET=********************",
            "token: sk-abc…uvwx",
            "token=[secret:github 2]",
            "let token = createToken2ForUser(seed);",
            "token = build_token_v2_for_user",
            "password: config.auth0.clientPassword1",
            "password: Option<String>,",
            "secret_file: /run/secrets/database1",
            "private_key = /etc/ssl/private/server1.pem",
            "max_tokens: 1234567890123456",
            "\"nextPageToken\": \"CiAKGjBpNDd2Nmp2Zml2cXRwYjBpOXA\"",
            "\"token_id\": \"CiAKGjBpNDd2Nmp2Zml2cXRwYjBpOXA\"",
            "token: 0190aaaa-0000-7000-8000-00000000aaaa",
            "https://a.test/f?X-Amz-Security-Token=IQoJb3JpZ2luX2VjEJr2m1Qx7&x=1",
            "secretary: Anna-Maria.Schulze1984@example.org",
        ] {
            assert_eq!(masked(Spot::Tools, text), text);
            assert!(!is_key(text), "{text}");
        }
    }

    #[test]
    fn what_is_public_by_design_may_go_out() {
        assert!(is_key("a sk-abcdefghijklmnopqrstuvwx") && is_key("-----BEGIN PRIVATE KEY-----"));
        assert!(!is_key("https://maps.test/?key=AIzaSyA-0123456789abcdefghijklmnopqrstu"));
        assert!(!is_key("X-Amz-Credential=AKIAABCDEFGHIJKLMNOP"));
    }

    #[test]
    fn a_pattern_of_ones_own_is_one_and_matches_something() {
        assert!(check("EMP-[0-9]+").is_ok());
        for wrong in ["", "(", "a*", &"a".repeat(501), "(a{1000}){1000}"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(all_of(std::iter::empty()).is_none());
    }
}
