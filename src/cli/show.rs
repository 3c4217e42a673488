//! How values are shown to people: tables, titles in quotation marks, short ids; and what somebody means who
//! types one of them.

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use web::format;

use super::agents::{items, word};
use super::reach::CommandError;

/// So much of an id is shown, from its end: the pages do the same.
const SHORT: usize = 8;
/// The widest column but the last.
const WIDEST: usize = 32;

/// A text that a terminal can show and does not obey: control characters, and those that turn the
/// direction of writing, are written out as in JSON, so that JSON stays what it is.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut all = text.chars().peekable();
    while let Some(c) = all.next() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c == '\r' && all.peek() == Some(&'\n') {
            // The end of a line as some write it.
            continue;
        }
        if turns || (c.is_control() && !matches!(c, '\n' | '\t')) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// A title in quotation marks, in one line.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' | '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The end of an id: enough to name it in a list.
pub fn short(id: &str) -> &str {
    id.char_indices().rev().nth(SHORT - 1).map_or(id, |(at, _)| &id[at..])
}

/// Rows as lines with columns below each other; the last column is as wide as it is.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let widths = |n: usize| {
        let all = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
        all.filter(|width| *width <= WIDEST).max().unwrap_or(0)
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widths).collect();
    let line = |row: &Vec<String>| {
        let last = row.len().saturating_sub(1);
        let cells =
            row.iter().zip(&widths).enumerate().map(|(n, (cell, &width))| match n == last {
                true => cell.clone(),
                false => format!("{cell:<width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Lines of a list for people, with what to say when there are none and how to go on when there are more.
pub fn listed(all: &Value, row: impl Fn(&Value) -> Vec<String>, none: &str) -> Vec<String> {
    let rows: Vec<Vec<String>> = items(all).iter().map(row).collect();
    let mut lines = super::commands::or_none(table(&rows), none);
    lines.extend(all["next"].as_str().map(|next| format!("More: --after {next}")));
    lines
}

/// A part of an address.
pub fn part(text: &str) -> String {
    format::query_value(text).replace('/', "%2F")
}

/// What follows a question mark: the pairs that have a value.
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let all = pairs.iter().filter_map(|(name, value)| Some(*name).zip(*value));
    let all: Vec<String> =
        all.map(|(name, value)| format!("{name}={}", format::query_value(value))).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!("?{}", all.join("&")),
    }
}

/// A moment to the second, or a dash.
pub fn moment(value: &Value, key: &str) -> String {
    match super::agents::second(value, key) {
        "" => "-".to_owned(),
        at => format!("{at}Z"),
    }
}

/// The handle of somebody, or a dash.
pub fn handle(value: &Value) -> String {
    match word(value, "handle") {
        "" => "-".to_owned(),
        handle => handle.to_owned(),
    }
}

/// The one in a list that somebody means by its id, the end of its id, or one of its names.
///
/// # Errors
/// When there is none, or there are several; `see` lists them.
pub fn pick<'v>(
    all: &'v Value,
    meant: &str,
    (noun, see): (&str, &str),
    names: fn(&Value) -> Vec<&str>,
) -> Result<&'v Value, CommandError> {
    let all = items(all);
    if let Some(one) = all.iter().find(|one| word(one, "id") == meant) {
        return Ok(one);
    }
    let is_named = |one: &&Value| names(one).iter().any(|name| name.eq_ignore_ascii_case(meant));
    let mut found: Vec<&Value> = all.iter().filter(is_named).collect();
    if found.is_empty() && SHORT <= meant.len() {
        let meant = meant.to_ascii_lowercase();
        found = all.iter().filter(|one| word(one, "id").ends_with(&meant)).collect();
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(CommandError::Refused(format!("there is no {noun} {meant}; see `{see}`"))),
        _ => Err(CommandError::Refused(format!(
            "several have the name {meant}; use an id from `{see}`"
        ))),
    }
}

/// Words of a vocabulary as a flag takes them.
pub fn one_of(words: impl IntoIterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{pick, plain, query, quoted, short, table, word};

    #[test]
    fn nothing_that_is_shown_is_obeyed_by_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{9b}c\u{7f}"), "a\\u001b[2Jb\\u000d\\u009bc\\u007f");
        assert_eq!(plain("two\nlines\tعربي 🙂"), "two\nlines\tعربي 🙂");
        assert_eq!(plain("a\u{202e}b\r\n"), "a\\u202eb\n");
        let value = json!({ "title": "x\u{9b}y\u{202e}" });
        let shown: serde_json::Value =
            serde_json::from_str(&plain(&value.to_string())).expect("still JSON");
        assert_eq!(shown, value);
    }

    #[test]
    fn titles_stand_in_quotation_marks_in_one_line() {
        assert_eq!(quoted("Buy \"blue\" pens\nnow"), "\"Buy \\\"blue\\\" pens now\"");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["MC-1", "todo", "A"]), row(&["MC-10", "done", "B"])];
        assert_eq!(table(&rows), ["MC-1   todo  A", "MC-10  done  B"]);
        assert_eq!(table(&[row(&["é", "", ""])]), ["é"]);
    }

    #[test]
    fn what_is_meant_is_found_by_name_id_or_the_end_of_it() {
        let all = json!({ "items": [
            { "id": "0190aaaa-0000-7000-8000-00000000aaaa", "name": "Launch" },
            { "id": "0190aaaa-0000-7000-8000-00000000bbbb", "name": "Twice" },
            { "id": "0190aaaa-0000-7000-8000-00000000cccc", "name": "twice" },
        ]});
        let found = |meant: &str| {
            let one = pick(&all, meant, ("view", "hq view list"), |one| vec![word(one, "name")]);
            one.map(|one| word(one, "id").to_owned()).map_err(|error| error.to_string())
        };
        let launch = Ok("0190aaaa-0000-7000-8000-00000000aaaa".to_owned());
        assert_eq!(found("launch"), launch);
        assert_eq!(found(short("0190aaaa-0000-7000-8000-00000000aaaa")), launch);
        assert!(found("Twice").is_err_and(|why| why.contains("several")));
        assert!(found("Nothing").is_err_and(|why| why.contains("`hq view list`")));
    }

    #[test]
    fn a_query_has_what_was_given() {
        assert_eq!(query(&[("q", Some("due:<7d a&b")), ("after", None)]), "?q=due%3A%3C7d%20a%26b");
        assert_eq!(query(&[("q", None)]), "");
    }
}
