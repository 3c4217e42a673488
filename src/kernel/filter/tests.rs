//! Parsing, printing and completion of filter queries.

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::{
    Days, Key, Kind, Query, Term, ask, days, numbers, suggest, unknown_key, unknown_value,
};
use crate::NumberForm;
use crate::display::Forms;

const KEYS: &[Key] = &[
    Key::of(
        "status",
        Kind::Words(&[("todo", "To do"), ("done", "Done"), ("in_progress", "In progress")]),
        "Where it stands",
    ),
    Key::of("assignee", Kind::Names(&[("me", "Me"), ("none", "Nobody")]), "Who it is for"),
    Key::of("due", Kind::Date, "When it should be done"),
    Key::of("series", Kind::Later("come later"), ""),
];

fn canonical(text: &str) -> String {
    Query::parse(text).canonical(KEYS).to_string()
}

#[test]
fn terms_are_read_as_they_are_meant() {
    let query = Query::parse(r#" assignee:me  due:<7d -status:done,TODO "two words" -"x:y" "#);
    let term = |not, key: &str, values: &[&str]| Term {
        not,
        key: key.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let wanted = [
        term(false, "assignee", &["me"]),
        term(false, "due", &["<7d"]),
        term(true, "status", &["done", "TODO"]),
        term(false, "", &["two words"]),
        term(true, "", &["x:y"]),
    ];
    assert_eq!(query.terms, wanted);
    assert_eq!(query.to_string(), r#"assignee:me due:<7d -status:done,TODO "two words" -"x:y""#);
}

#[test]
fn odd_texts_are_read_too() {
    let one = |text: &str| Query::parse(text).terms;
    assert!(one("").is_empty());
    assert!(one(" \t ").is_empty());
    assert_eq!(one("-"), [Term::new("", "-")]);
    assert_eq!(one("- a").len(), 2);
    assert_eq!(one("10:30"), [Term::new("", "10:30")]);
    assert_eq!(one("\"never closed"), [Term::new("", "never closed")]);
    assert!(one("\"\"").is_empty());
    assert_eq!(one("status:"), [Term { key: "status".into(), ..Term::default() }]);
    assert_eq!(one("label:\"a, b\",c")[0].values, ["a, b", "c"]);
    assert_eq!(one("label:a,,b,")[0].values, ["a", "b"]);
    assert_eq!(one(r#"say:"a \"b\" \\ \n""#)[0].values, [r#"a "b" \ \n"#]);
    assert_eq!(one("É:x"), [Term::new("é", "x")], "keys are of any script");
    assert_eq!(one("🚲:x"), [Term::new("", "🚲:x")]);
}

#[test]
fn everybody_writes_a_query_in_one_way() {
    assert_eq!(canonical("b due:today a STATUS:Done,done,todo"), "status:done,todo due:today b a");
    assert_eq!(
        canonical("-status:done status:todo x:y status:todo"),
        "status:todo -status:done x:y"
    );
    let query = Query::parse("status:todo -status:done due:today");
    assert_eq!(
        query.with(Term::new("status", "done")).to_string(),
        "-status:done due:today status:done"
    );
    let gone = query.without(&Term::new("due", "today"));
    assert_eq!(gone.to_string(), "status:todo -status:done");
}

#[test]
fn days_are_those_of_the_person() {
    let today = date(2026, 11, 20);
    let read = |text: &str| days(text, today);
    let some = |from: Option<(i8, i8)>, to: Option<(i8, i8)>| {
        let day = |(month, day)| date(2026, month, day);
        Some(Days { from: from.map(day), to: to.map(day) })
    };
    assert_eq!(read("today"), some(Some((11, 20)), Some((11, 21))));
    assert_eq!(read("Tomorrow"), some(Some((11, 21)), Some((11, 22))));
    assert_eq!(read("2026-11-30"), some(Some((11, 30)), Some((12, 1))));
    assert_eq!(read("<7d"), some(None, Some((11, 27))));
    assert_eq!(read(">-3d"), some(Some((11, 18)), None));
    assert_eq!(read("<=today"), some(None, Some((11, 21))));
    assert_eq!(read(">=1w"), some(Some((11, 27)), None));
    assert_eq!(read("today..7d"), some(Some((11, 20)), Some((11, 28))));
    assert_eq!(read("..today"), some(None, Some((11, 21))));
    for wrong in ["", "..", "soon", "7", "d", "--7d", "2026-13-01", "<", "<>7d", "1e3d", "999999d"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let (from, to) = days("2026-03-29", today).unwrap().span(&berlin);
    assert_eq!(to - from, 23 * 3_600_000, "the day on which the clocks go forward");
}

#[test]
fn numbers_have_ends() {
    let holds = |text: &str, number: f64| numbers(text).unwrap().contains(number);
    assert!(holds("5", 5.0) && !holds("5", 5.1));
    assert!(holds("<5", 4.9) && !holds("<5", 5.0) && holds("<=5", 5.0));
    assert!(holds(">1.5", 1.6) && !holds(">1.5", 1.5) && holds(">=1.5", 1.5));
    assert!(holds("2..5", 2.0) && holds("2..5", 5.0) && !holds("2..5", 5.1) && holds("2..", 9.0));
    for wrong in ["", "..", "x", "<", "1..x", "nan", "inf"] {
        assert_eq!(numbers(wrong), None, "{wrong}");
    }
}

#[test]
fn numbers_are_in_the_form_of_the_person() {
    let _entered = Forms { number: NumberForm::Point, ..Forms::USUAL }.enter();
    let holds = |text: &str, number: f64| numbers(text).unwrap().contains(number);
    assert!(holds("1.500", 1_500.0) && !holds("1.500", 1.5));
    assert!(holds("1,5", 1.5) && holds("1.5", 1.5) && holds(">1.500,5", 1_500.6));
    assert!(holds("1.000..2.000", 1_500.0) && !holds("<1.500", 1_600.0));
}

#[test]
fn what_is_wrong_names_what_is_near() {
    assert_eq!(unknown_key("statsu", KEYS), "There is no filter \"statsu\"; did you mean status?");
    let names = ["ada", "mira"];
    let says = unknown_value("assignee", "mia", names.into_iter());
    assert_eq!(says, "\"mia\" isn’t a known assignee; did you mean mira?");
    let says = unknown_value("stream", "x", std::iter::empty());
    assert_eq!(says, "\"x\" isn’t a known stream; there are none yet.");
}

#[test]
fn what_could_come_next_is_offered() {
    let names =
        |_: &str| vec![("ada".to_owned(), "Ada".to_owned()), ("b c".to_owned(), "B C".to_owned())];
    let offered = |text: &str, at: usize| suggest(text, at, KEYS, &names);
    let words = |text: &str, at: usize| {
        offered(text, at).into_iter().map(|one| one.word).collect::<Vec<_>>()
    };
    assert_eq!(words("", 0), ["status", "assignee", "due"], "what comes later is not offered");
    assert_eq!(words("st", 2), ["status"]);
    assert_eq!(words("-st", 3), ["status"]);
    assert_eq!(words("status:", 7), ["todo", "done", "in_progress"]);
    assert_eq!(words("status:done,", 12), ["todo", "in_progress"]);
    assert_eq!(words("status:prog", 11), ["in_progress"]);
    assert_eq!(words("assignee:a", 10), ["ada"]);
    assert_eq!(words("nothing:", 8), [""; 0]);
    let one = &offered("status:to due:today", 9)[0];
    assert_eq!((one.text.as_str(), one.at), ("status:todo due:today", 11));
    let one = &offered("assignee:b", 10)[0];
    assert_eq!(one.text, "assignee:\"b c\"");
    let one = &offered("-st rest", 3)[0];
    assert_eq!((one.text.as_str(), one.at), ("-status: rest", 8));
    assert_eq!(ask("due:today  ", 11).key, None, "behind a term a new one begins");
}

/// Texts composed of significant tokens.
fn any_text() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "status",
        ":",
        ",",
        "-",
        "\"",
        "\\",
        " ",
        "done",
        "a b",
        "é",
        "<7d",
        "..",
        "STATUS:",
        "label:",
        "x",
        "\u{3000}",
        "🚲",
        "\n",
        "1",
        "\"two words\"",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_it_was(text in any_text()) {
        let query = Query::parse(&text);
        prop_assert_eq!(&Query::parse(&query.to_string()), &query);
        let canonical = query.canonical(KEYS);
        prop_assert_eq!(&Query::parse(&canonical.to_string()), &canonical);
        prop_assert_eq!(&canonical.canonical(KEYS), &canonical);
    }

    #[test]
    fn any_values_survive_print_and_parse(
        not in proptest::bool::ANY,
        key in "[a-z][a-z0-9-]{0,8}",
        values in proptest::collection::vec("\\PC{1,12}", 0..4),
    ) {
        let query = Query { terms: vec![Term { not, key, values }] };
        prop_assert_eq!(Query::parse(&query.to_string()), query);
    }

    #[test]
    fn every_place_of_every_text_has_an_answer(text in any_text(), at in 0..80_usize) {
        for one in suggest(&text, at, KEYS, &|_| vec![("ada b".to_owned(), "Ada".to_owned())]) {
            prop_assert!(one.text.is_char_boundary(one.at));
        }
        for one in ["today", text.as_str()] {
            // No reference result: parsing must end without a panic.
            let open = Days { from: None, to: None };
            prop_assert!(days(one, date(2026, 11, 20)).is_none_or(|days| days != open));
            prop_assert!(numbers(one).is_none_or(|found| !found.contains(f64::NAN)));
        }
    }
}
