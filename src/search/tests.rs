//! Tests with an index on disk.

use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use super::{Ask, Change, Document, Found, Search, Typos, Wanted};

const NOW: i64 = 1_700_000_000;

struct Fixture {
    search: Search,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    Fixture { search: Search::at(dir.path().join("search")), _dir: dir }
}

fn document(key: &str, title: &str, body: &str) -> Document {
    Document {
        key: key.to_owned(),
        title: title.to_owned(),
        body: body.to_owned(),
        at: NOW,
        seen_by: vec!["all".to_owned()],
        ..Document::default()
    }
}

impl Fixture {
    fn put(&self, all: impl IntoIterator<Item = Document>) {
        self.search.take(all.into_iter().map(Box::new).map(Change::Put).collect()).unwrap();
        self.search.commit("1.1").unwrap();
    }

    fn ask(&self, words: &str, typos: Typos, audiences: &[&str]) -> Found {
        let Some(wanted) = Wanted::of(words) else { return Found::default() };
        let audiences: Vec<String> = audiences.iter().map(|&name| name.to_owned()).collect();
        let (kinds, status) = (&[][..], None);
        let ask = Ask {
            wanted: &wanted,
            audiences: &audiences,
            kinds,
            status,
            groups: &[],
            any: false,
            most: 50,
            now: NOW,
            typos,
        };
        self.search.find(&ask).unwrap()
    }

    fn keys(&self, words: &str) -> Vec<String> {
        let found = self.ask(words, Typos::WhenFew, &["all"]);
        found.hits.into_iter().map(|hit| hit.key).collect()
    }
}

#[test]
fn a_word_is_found_begun_misspelt_and_without_its_accents() {
    let fixture = fixture();
    fixture.put([
        document("a", "Leasing für Müller", "five cargo bikes"),
        document("b", "Prices of rivals", "Leasing is dear"),
        document("c", "東京都の計画", ""),
    ]);
    // A title counts more than a text.
    assert_eq!(fixture.keys("leasing"), ["a", "b"]);
    assert_eq!(fixture.keys("leas"), ["a", "b"]);
    assert_eq!(fixture.keys("laesing"), ["a", "b"]);
    assert_eq!(fixture.keys("leasing dear"), ["b"]);
    assert_eq!(fixture.keys("MULLER"), ["a"]);
    assert_eq!(fixture.keys("mueller"), ["a"]);
    assert_eq!(fixture.keys("\"cargo bikes\""), ["a"]);
    assert_eq!(fixture.keys("\"bikes cargo\""), [""; 0]);
    assert_eq!(fixture.keys("京都"), ["c"]);
    assert_eq!(fixture.keys("画"), ["c"]);
    assert_eq!(fixture.keys("nothing"), [""; 0]);
}

#[test]
fn another_form_of_a_word_is_found_behind_the_word_itself() {
    let fixture = fixture();
    fixture.put([
        document("a", "", "one policy of the house"),
        document("b", "", "the policies of the house"),
        document("c", "", "der Vertrag ist nicht da"),
        document("d", "", "write to policy@example.com or policy_list"),
    ]);
    let keys = |words: &str| -> Vec<String> {
        let found = fixture.ask(words, Typos::Never, &["all"]);
        found.hits.into_iter().map(|hit| hit.key).collect()
    };
    assert_eq!(keys("policies"), ["b", "a"]);
    assert_eq!(keys("policies house"), ["b", "a"]);
    assert_eq!(keys("Verträge da"), ["c"]);
    assert_eq!(keys("policy@example.com"), ["d"]);
    assert_eq!(keys("policies@example.com"), [""; 0]);
    assert_eq!(keys("\"policies of\""), ["b"]);
}

#[test]
fn nobody_finds_what_another_may_see() {
    let fixture = fixture();
    let secret = Document { seen_by: vec!["mira".into()], ..document("s", "salary", "") };
    fixture.put([secret, document("o", "salary table", "")]);
    let count = |who: &[&str]| fixture.ask("salary", Typos::Never, who).counts;
    assert_eq!(count(&["all"]), [(0, 1)]);
    assert_eq!(count(&["all", "mira"]), [(0, 2)]);
    assert_eq!(count(&[]), []);
}

#[test]
fn what_is_put_again_or_removed_is_found_no_more_also_after_a_restart() {
    let fixture = fixture();
    fixture.put([document("a", "apricot", ""), document("b", "banana", "")]);
    fixture.put([document("a", "avocado", "")]);
    fixture.search.take(vec![Change::Gone("b".into())]).unwrap();
    fixture.search.commit("1.7").unwrap();
    fixture.search.purge().unwrap();
    fixture.search.rest();
    fixture.search.close();
    assert_eq!(fixture.search.place().unwrap().as_deref(), Some("1.7"));
    assert_eq!(fixture.keys("apricot"), [""; 0]);
    assert_eq!(fixture.keys("banana"), [""; 0]);
    assert_eq!(fixture.keys("avocado"), ["a"]);
    // Purged words are no longer on disk.
    for file in std::fs::read_dir(fixture.search.folder()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let has = |word: &[u8]| bytes.windows(word.len()).any(|some| some == word);
        assert!(!has(b"apricot") && !has(b"banana"));
    }
}

#[test]
fn an_index_that_cannot_be_read_says_so_and_is_made_anew() {
    let fixture = fixture();
    fixture.put([document("a", "apricot", "")]);
    fixture.search.rest();
    fixture.search.close();
    std::fs::write(fixture.search.folder().join("meta.json"), "{").unwrap();
    assert!(fixture.search.place().is_err());
    fixture.search.begin_anew().unwrap();
    assert_eq!(fixture.search.place().unwrap(), None);
    assert_eq!(fixture.keys("apricot"), [""; 0]);
    fixture.put([document("a", "apricot", "")]);
    assert_eq!(fixture.keys("apricot"), ["a"]);
}

#[test]
fn an_identifier_finds_the_page_that_holds_it_whole_first() {
    let fixture = fixture();
    fixture.put([
        document("so 3", "TLS", "All servers link against libssl.so.3."),
        document(
            "so 1",
            "libssl.so.1.1",
            "Libssl, so to say the old one: libssl so so, in 3 steps.",
        ),
        document("c++", "Firmware", "The lock is written in C++, and so is its test."),
        document("c", "C", "The loader is plain C, C and C."),
        document("c#", "C# for printers", "A program in C#."),
        document("fault", "Faults", "E-1042: the bolt is open."),
        document("faults", "E: 1042 faults, E of 1042", "From E-1000 on, e and 1042."),
        document("filter", "Filter", "It has the address 10.0.12.7."),
        document("filters", "10.0.12.70 and 7, 10, 0, 12", "10.0.127, 7.12.0.10"),
    ]);
    let first = |words: &str| fixture.keys(words).first().cloned().unwrap_or_default();
    for (words, key) in [
        ("libssl.so.3", "so 3"),
        ("libssl.so.1.1", "so 1"),
        ("LIBSSL.SO.3", "so 3"),
        ("\"libssl.so.3\"", "so 3"),
        ("C++", "c++"),
        ("written in C++", "c++"),
        ("C#", "c#"),
        ("E-1042", "fault"),
        ("e\u{2011}1042", "fault"),
        ("10.0.12.7", "filter"),
        ("10.0.12.70", "filters"),
    ] {
        assert_eq!(first(words), key, "{words}");
    }
    let found = fixture.ask("E-1042", Typos::Never, &["all"]);
    let named: Vec<bool> = found.hits.iter().map(|hit| hit.named).collect();
    assert_eq!(named, [true, false]);
}

#[test]
fn a_rare_word_counts_more_than_a_common_one() {
    let fixture = fixture();
    let common =
        (0..30).map(|n| document(&format!("{n}"), "", "the bike and the bike and the bike"));
    fixture.put(common.chain([document(
        "rare",
        "",
        "a long way to the yard in Gdynia where it lies",
    )]));
    let wanted = Wanted::of("bike Gdynia x").unwrap();
    let ask = Ask {
        wanted: &wanted,
        audiences: &["all".to_owned()],
        kinds: &[],
        status: None,
        groups: &[],
        any: true,
        most: 5,
        now: NOW,
        typos: Typos::Never,
    };
    assert_eq!(fixture.search.find(&ask).unwrap().hits[0].key, "rare");
}

#[test]
fn one_sign_of_a_script_without_spaces_is_found_wherever_it_stands() {
    let fixture = fixture();
    fixture.put([document("a", "", "次は東京都の計画です"), document("b", "", "plan")]);
    for sign in ["東", "京", "都", "計", "す", "計 東", "\"京\""] {
        assert_eq!(fixture.keys(sign), ["a"], "{sign}");
    }
    assert_eq!(fixture.keys("猫"), [""; 0]);
}

/// Whether all words are in a text, the last one as a prefix.
fn naive(text: &str, wanted: &[String]) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let (last, others) = wanted.split_last().unwrap();
    others.iter().all(|word| words.contains(&word.as_str()))
        && words.iter().any(|word| word.starts_with(last.as_str()))
}

fn words(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{2,4}", count)
}

proptest! {
    #![proptest_config(Config::with_cases(12))]
    #[test]
    fn plain_words_are_found_exactly_where_they_stand(
        texts in prop::collection::vec((words(0..4), words(1..12)), 1..40),
        queries in prop::collection::vec(words(1..4), 1..12),
    ) {
        let fixture = fixture();
        let all = texts.iter().enumerate().map(|(n, (title, body))| {
            document(&n.to_string(), &title.join(" "), &body.join(" "))
        });
        fixture.put(all);
        for wanted in queries {
            let found = fixture.ask(&wanted.join(" "), Typos::Never, &["all"]);
            let mut keys: Vec<usize> =
                found.hits.iter().map(|hit| hit.key.parse().unwrap()).collect();
            keys.sort_unstable();
            let fits = |(n, (title, body)): (usize, &(Vec<String>, Vec<String>))| {
                naive(&[title.as_slice(), body.as_slice()].concat().join(" "), &wanted).then_some(n)
            };
            let expected: Vec<usize> = texts.iter().enumerate().filter_map(fits).collect();
            prop_assert_eq!(keys, expected);
        }
    }
}
