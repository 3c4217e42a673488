//! Secrets must be masked wherever a text is cut.

use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

fn redactor(values: &[(&str, &str)]) -> Redactor {
    let redactor = Redactor::new();
    redactor.add_all(values.iter().map(|(name, value)| (*name, Secret::new(*value))));
    redactor
}

fn streamed(redactor: &Redactor, text: &str, pieces: &[usize]) -> String {
    let mut stream = redactor.stream();
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    for piece in pieces {
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        out.extend(stream.push(now));
        rest = later;
    }
    out.extend(stream.push(rest));
    out.extend(stream.finish());
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_live_value_is_replaced_by_its_name() {
    let redactor = redactor(&[("STRIPE_KEY", "sk_live_abcdef123")]);
    let clean = redactor.text("key=sk_live_abcdef123; again sk_live_abcdef123");
    assert_eq!(clean, "key=[secret:STRIPE_KEY]; again [secret:STRIPE_KEY]");
    assert_eq!(redactor.hits().map(|(_, hits)| hits), [0, 0, 0, 0, 2]);
    assert!(matches!(redactor.text("nothing here"), Cow::Borrowed(_)));
}

#[test]
fn values_come_and_go_for_all_clones() {
    let redactor = Redactor::new();
    let other = redactor.clone();
    assert_eq!(redactor.add("A", Secret::new("first-value-1")), Watch::Watched);
    assert_eq!(other.text("first-value-1"), "[secret:A]");
    redactor.add("A", Secret::new("second-value-2"));
    assert_eq!(other.text("first-value-1 second-value-2"), "first-value-1 [secret:A]");
    other.remove("A");
    assert_eq!(redactor.text("second-value-2"), "second-value-2");
}

#[test]
fn a_group_is_replaced_as_a_whole_and_may_have_a_name_twice() {
    let redactor = Redactor::new();
    redactor.add("A", Secret::new("of-its-own-0"));
    let named = |values: &[&str]| {
        values.iter().map(|one| ("A".to_owned(), Secret::new(*one))).collect::<Vec<_>>()
    };
    redactor.replace("one", named(&["first-value-1", "second-value-2", "short"]));
    redactor.replace("two", named(&["third-value-3"]));
    let text = "of-its-own-0 first-value-1 second-value-2 third-value-3 short";
    let all = "[secret:A] [secret:A] [secret:A] [secret:A] short";
    assert_eq!(redactor.text(text), all);
    redactor.replace("one", named(&["second-value-2"]));
    assert_eq!(redactor.text("first-value-1 second-value-2"), "first-value-1 [secret:A]");
    redactor.replace("one", Vec::new());
    let rest = "[secret:A] first-value-1 second-value-2 [secret:A] short";
    assert_eq!(redactor.text(text), rest);
}

#[test]
fn short_values_are_reported_and_not_looked_for() {
    let redactor = Redactor::new();
    assert_eq!(redactor.add("PIN", Secret::new("1234567")), Watch::TooShort);
    assert_eq!(redactor.add("PAD", Secret::new("  12345 \n")), Watch::TooShort);
    assert_eq!(redactor.text("1234567 12345"), "1234567 12345");
    redactor.add("PIN", Secret::new("12345678"));
    redactor.add("PIN", Secret::new("123"));
    assert_eq!(redactor.text("12345678"), "12345678");
}

#[test]
fn what_is_hidden_is_told_by_its_place_in_the_text() {
    let redactor = redactor(&[("A", "first-value-1"), ("B", "2nd")]);
    redactor.look_for("own", vec!["EMP-[^ ]+".to_owned()]);
    let key = "ghp_abcdefghijklmnopqrstuvwx";
    let text = format!("ä first-value-1, {key} EMP-first-value-1 EMP-12");
    let hidden = redactor.hidden(Spot::Tools, text.as_bytes());
    let found: Vec<_> = hidden.iter().map(|one| (&text[one.at.clone()], &*one.shown)).collect();
    let all = [
        ("first-value-1", "[secret:A]"),
        (key, "ghp_ab…uvwx"),
        ("EMP-first-value-1", "***"),
        ("EMP-12", "***"),
    ];
    assert_eq!(found, all);
    assert_eq!(redactor.hits().map(|(_, hits)| hits), [0; 5], "nothing was shown");
    // Consistent with the masked text.
    let mut shown = text.clone();
    for one in hidden.iter().rev() {
        shown.replace_range(one.at.clone(), &one.shown);
    }
    assert_eq!(redactor.masked(Spot::Tools, &text), shown);
}

#[test]
fn encoded_values_are_found() {
    let value = "p/ä's \"s\"+w&rd<1>\\%";
    let redactor = redactor(&[("K", value)]);
    let json = serde_json::to_string(value).unwrap();
    let nested = serde_json::to_string(&format!("{{\"a\":{json}}}")).unwrap();
    let written = [
        STANDARD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        STANDARD.encode(format!("user:{value}")),
        STANDARD.encode(format!("u:{value}:end")),
        STANDARD.encode(format!("us:{value}?")),
        hex::encode(value),
        hex::encode_upper(value),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        "p%2F%C3%A4%27s%20%22s%22%2Bw%26rd%3C1%3E%5C%25".to_owned(),
        "p%2f%c3%a4%27s%20%22s%22%2bw%26rd%3c1%3e%5c%25".to_owned(),
        json,
        nested,
        r#""p\/ä's \"s\"+w&rd<1>\\%""#.to_owned(),
        r#""p/\u00e4's \"s\"+w&rd<1>\\%""#.to_owned(),
        r#"'p/ä'\''s "s"+w&rd<1>\%'"#.to_owned(),
        "p/ä&#39;s &quot;s&quot;+w&amp;rd&lt;1&gt;\\%".to_owned(),
    ];
    for text in written {
        let clean = redactor.text(&text).into_owned();
        assert!(clean.contains("[secret:K]"), "{text} stayed");
        assert!(clean.len() < "[secret:K]".len() + 20, "{text} became {clean}");
    }
}

#[test]
fn a_value_is_found_with_percent_signs_in_any_case_and_as_spaced_hex() {
    let redactor = redactor(&[("K", "sk/live+abc=defgh?")]);
    let written = [
        "sk%2Flive%2babc%3Ddefgh%3f",
        "%73k%2flive%2Babc%3ddefgh%3F",
        "x=sk%2Flive%2babc%3ddefgh?&y=1",
        "73 6b 2f 6c 69 76 65 2b 61 62 63 3d 64 65 66 67 68 3f",
        "73:6B:2f:6C:69:76:65:2b:61:62:63:3d:64:65:66:67:68:3f",
        "736b 2f6c 6976 652b 6162 633d 6465 6667 683f",
        "736B2f6c6976652B6162633d6465666768 3f",
        r"\x73\x6b\x2f\x6c\x69\x76\x65\x2b\x61\x62\x63\x3d\x64\x65\x66\x67\x68\x3f",
        "0x73, 0x6b, 0x2f, 0x6c, 0x69, 0x76, 0x65, 0x2b, 0x61, 0x62, 0x63, 0x3d, 0x64, 0x65, 0x66, 0x67, 0x68, 0x3f",
        " 73 6b 2f 6c 69 76 65 2b 61 62 63 3d 64 65 66 67\n 68 3f\n",
        "a 73 6b 2f 6c 69 76 65 2b 61 62 63 3d 64 65 66 67 68 3f",
    ];
    for text in written {
        let clean = redactor.text(text).into_owned();
        assert!(clean.contains("[secret:K]"), "{text} stayed");
        assert!(clean.len() < "[secret:K]".len() + 10, "{text} became {clean}");
    }
    for fine in ["50% of 20%2F%zz", "de ad be ef de ad be ef de ad", "a%20b+c", "%"] {
        assert!(matches!(redactor.text(fine), Cow::Borrowed(_)), "{fine}");
    }
}

#[test]
fn a_value_is_found_in_two_pieces_where_streams_of_a_program_meet() {
    let value = "tok-0123456789-abcdefghij";
    let redactor = redactor(&[("K", value)]);
    for at in 1..value.len() {
        let (first, second) = value.split_at(at);
        let text = format!("out {first}\nwarning: something\n{second} end");
        let clean = redactor.masked(Spot::Tools, &text).into_owned();
        let longer = if first.len() < second.len() { second } else { first };
        assert!(!clean.contains(longer) && clean.contains("[secret:K]"), "{at}: {clean}");
        assert!(clean.contains("warning: something"), "{clean}");
    }
    let half = format!("{} and then nothing", &value[..15]);
    assert!(matches!(redactor.masked(Spot::Tools, &half), Cow::Borrowed(_)), "a piece alone");
}

#[test]
fn each_line_of_a_key_file_is_a_secret_but_its_frame_is_not() {
    let file = "-----BEGIN TEST KEY-----\nMIIBVgIBADANBgkqhkiG\nq83vEjRWeJq83vEjRWeJ\n-----END TEST KEY-----\n";
    let redactor = redactor(&[("PEM", file)]);
    assert_eq!(redactor.text("  q83vEjRWeJq83vEjRWeJ\r\n"), "  [secret:PEM]\r\n");
    assert_eq!(redactor.text("-----BEGIN TEST KEY-----"), "-----BEGIN TEST KEY-----");
    assert_eq!(redactor.text(file), "[secret:PEM]\n");
}

#[test]
fn a_long_value_is_found_as_it_is_and_in_base64_and_json() {
    let value: String = (0..60_000u32).map(|n| char::from(b'!' + (n * n % 89) as u8)).collect();
    let redactor = redactor(&[("LONG", &value)]);
    let json = serde_json::to_string(&value).unwrap();
    for text in [value.clone(), STANDARD.encode(format!("x{value}")), json] {
        let clean = redactor.text(&text);
        assert!(clean.contains("[secret:LONG]") && clean.len() < 40, "{}", clean.len());
    }
}

#[test]
fn overlapping_values_leave_no_remainder() {
    let redactor = redactor(&[("A", "abcdefghij"), ("B", "ghijklmnop"), ("C", "abcdefghijkl")]);
    assert_eq!(redactor.text("<abcdefghijklmnop>"), "<[secret:A]>");
    assert_eq!(redactor.text("<abcdefghijkl>"), "<[secret:A]>");
}

#[test]
fn a_stream_holds_back_only_what_may_become_a_secret() {
    let redactor = redactor(&[("A", "secret-value-1")]);
    let mut stream = redactor.stream();
    assert_eq!(stream.push(b"hello "), b"hello ");
    assert_eq!(stream.push(b"my secret-va"), b"my ");
    assert_eq!(stream.push(b"riation; secret-value-"), b"secret-variation; ");
    assert_eq!(stream.push(b"1."), b"[secret:A].");
    assert_eq!(stream.push(b"the end s"), b"the end ");
    assert_eq!(stream.finish(), b"s");
}

#[test]
fn a_stream_of_nothing_but_overlaps_stays_small() {
    let redactor = redactor(&[("A", "aaaaaaaaaaaa")]);
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    for _ in 0..1000 {
        out.extend(stream.push(&[b'a'; 100]));
        assert!(stream.held.len() < 200);
    }
    out.extend(stream.push(b"!"));
    out.extend(stream.finish());
    assert_eq!(out, b"[secret:A]!");
}

#[test]
fn log_lines_are_cleaned_as_they_are_written() {
    let redactor = redactor(&[("A", "secret-value-1")]);
    let mut log = Vec::new();
    redactor.writer(&mut log).write_all(b"WARN secret-value-1 seen\n").unwrap();
    assert_eq!(log, b"WARN [secret:A] seen\n");
}

#[test]
fn nothing_secret_is_printed_by_the_redactor_itself() {
    let redactor = redactor(&[("A", "secret-value-1")]);
    let mut stream = redactor.stream();
    stream.push(b"secret-va");
    let shown = format!("{redactor:?} {stream:?} {:?}", redactor.writer(io::sink()));
    assert!(!shown.contains("secret-va"));
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_what_the_whole_gives(
        text in "[ab]{0,12}(abcabcabc|bcabcaaa|x|ä){0,6}[abc]{0,12}",
        pieces in proptest::collection::vec(0usize..7, 0..20),
    ) {
        let redactor = redactor(&[("A", "abcabcabc"), ("B", "bcabcaaab"), ("C", "aaaaaaaa")]);
        let whole = redactor.text(&text).into_owned();
        prop_assert_eq!(streamed(&redactor, &text, &pieces), whole);
    }

    #[test]
    fn no_value_survives_in_any_surrounding(
        value in "[ -~äß漢]{8,40}",
        before in "[ -~]{0,9}",
        after in "[ -~]{0,9}",
    ) {
        prop_assume!(MIN_CHARS <= value.trim().chars().count());
        let redactor = redactor(&[("K", &value)]);
        let text = format!("{before}{value}{after}");
        for written in [
            text.clone(),
            STANDARD.encode(&text),
            serde_json::to_string(&text).unwrap(),
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        ] {
            prop_assert!(redactor.text(&written).contains("[secret:K]"), "{} stayed", written);
        }
    }
}
