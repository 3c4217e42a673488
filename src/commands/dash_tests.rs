//! Compares reduced lines with what shells really run.

use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

/// A program that prints a mark and then each argument followed by NUL.
const PRINTER: &[&str] = &["/usr/bin/printf", r"%s\0", "MARK"];

/// Output of a shell for a line of printer commands.
fn run(shell: &str, line: &str, folder: &Path) -> Vec<String> {
    let out = Command::new(shell)
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the shell runs");
    assert!(out.stderr.is_empty(), "{line:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Expected output of a plan in which all commands succeed.
fn written(segments: &[Segment]) -> Vec<String> {
    let mut printed = Vec::new();
    let mut skips = false;
    for (at, segment) in segments.iter().enumerate() {
        skips = match segment.join {
            Join::Or => true,
            Join::Pipe => skips,
            Join::Then | Join::And => false,
        };
        let piped = segments.get(at + 1).is_some_and(|next| next.join == Join::Pipe);
        if !skips && !piped {
            printed.extend(segment.argv[2..].iter().cloned());
        }
    }
    printed
}

fn is_printer(segment: &Segment) -> bool {
    segment.argv.len() >= PRINTER.len() && segment.argv[..PRINTER.len()] == *PRINTER
}

/// A part of a word, quoted in one of the possible ways.
fn piece() -> impl Strategy<Value = String> {
    let any = "[ -~\u{c0}-\u{2af}äéÁ漢🦀\t\n]{0,6}";
    let bare = "[a-zA-Z0-9_./:,@%^+=\\]\u{c1}\u{e9}\u{6f22}-]{1,6}";
    prop_oneof![
        bare.prop_map(|text| text),
        any.prop_map(|text| format!("'{}'", text.replace('\'', "x"))),
        any.prop_map(|text| {
            let escaped: String = text
                .chars()
                .flat_map(|sign| match sign {
                    '"' | '$' | '`' | '\\' => vec!['\\', sign],
                    _ => vec![sign],
                })
                .collect();
            format!("\"{escaped}\"")
        }),
        any.prop_map(|text| text
            .chars()
            .filter(|sign| *sign != '\n')
            .flat_map(|sign| ['\\', sign])
            .collect()),
        Just("\\\n".to_owned()),
        Just("\"a\\\nb\"".to_owned()),
        Just(r#""\a\n\'\!""#.to_owned()),
        Just("''".to_owned()),
        Just("{}".to_owned()),
        Just("x#y".to_owned()),
        Just("HEAD~2".to_owned()),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..5).prop_map(|pieces| pieces.concat())
}

fn line() -> impl Strategy<Value = String> {
    let head = prop_oneof![
        Just(r"/usr/bin/printf '%s\0' MARK"),
        Just("/usr/bin/pr\"int\"f %s\\\\0 M'AR'K"),
        Just("'/usr/bin/printf' \"%s\\0\" \\M\\A\\R\\K"),
    ];
    let join = prop_oneof![
        Just(" | "),
        Just("&&"),
        Just(" || "),
        Just("; "),
        Just("\n"),
        Just(";\n\n"),
        Just(" &&\n "),
        Just("|\\\n"),
        Just(" # it's a 'note'\n"),
        Just(" \\\n# it's a \\\n"),
        Just(" 2>&1; "),
        Just(" >/dev/null;"),
        Just(" 2>/dev/null\n"),
    ];
    let one = (
        head,
        prop::collection::vec((word(), prop_oneof![Just(" "), Just("\t"), Just(" \\\n ")]), 0..5),
    );
    let one = one.prop_map(|(head, words)| {
        let words: Vec<String> =
            words.into_iter().map(|(word, gap)| format!("{gap}{word}")).collect();
        format!("{head}{}", words.concat())
    });
    prop::collection::vec((one, join), 1..4).prop_map(|parts| {
        let mut line = String::new();
        for (at, (command, join)) in parts.iter().enumerate() {
            line.push_str(command);
            if at + 1 < parts.len() || matches!(*join, "; " | "\n" | ";\n\n" | " 2>&1; ") {
                line.push_str(join);
            }
        }
        line
    })
}

/// Whether a line suppresses output, which [`written`] does not model.
fn is_silent(line: &str) -> bool {
    line.contains(" >/dev/null;")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_has_the_words_that_dash_gives(line in line()) {
        match reduce(&line) {
            Reduced::Plan(segments) => {
                prop_assert!(segments.iter().all(is_printer), "{line:?}: {segments:?}");
                if !is_silent(&line) {
                    let folder = tempfile::tempdir().expect("a folder");
                    prop_assert_eq!(run("/bin/sh", &line, folder.path()), written(&segments));
                }
            }
            // Digits before a redirection, continued or too many.
            Reduced::Opaque(why) => prop_assert!(
                matches!(why, Why::Quoting | Why::Redirection),
                "{line:?}: {why}"
            ),
        }
    }

    /// Arbitrary characters: a reduced line is what runs, and nothing else is written or read.
    #[test]
    fn what_reduces_of_a_soup_of_signs_is_what_dash_runs(
        soup in r##"[ab12 \t\n'"\\;&|<>(){}$`*?\[\]~!#=^%/.\-]{0,14}"##
    ) {
        let line = format!("/usr/bin/printf '%s\\0' MARK {soup}");
        if let Reduced::Plan(segments) = reduce(&line)
            && segments.iter().all(is_printer)
            && !line.contains(">&2")
        {
            let folder = tempfile::tempdir().expect("a folder");
            prop_assert_eq!(run("/bin/sh", &line, folder.path()), written(&segments), "{:?}", line);
            prop_assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
        }
    }

    /// Any input is read without a panic.
    #[test]
    fn any_text_is_read(line in any::<String>()) {
        let reduced = reduce(&line);
        prop_assert!(!risk(&line, &reduced).reason.is_empty());
    }
}

#[test]
fn single_words_come_out_as_dash_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, words) in [
        (r"a\ b", vec!["a b"]),
        (r#""a\$b\c""#, vec![r"a$b\c"]),
        (r"'a'\''b'", vec!["a'b"]),
        ("a'' ''", vec!["a", ""]),
        ("a\\\nb", vec!["ab"]),
        ("x{}y {}", vec!["x{}y", "{}"]),
        ("if then ! done", vec!["if", "then", "!", "done"]),
        ("a=b 'c'=d", vec!["a=b", "c=d"]),
        ("a2>&1", vec!["a2"]),
        ("''2>&1", vec!["2"]),
        ("a#b # c'", vec!["a#b"]),
        ("--x=a:b@c,d^e%f+g", vec!["--x=a:b@c,d^e%f+g"]),
        ("HEAD~1 v1.0^~2", vec!["HEAD~1", "v1.0^~2"]),
    ] {
        let line = format!(r"/usr/bin/printf '%s\0' MARK {text}");
        let Reduced::Plan(segments) = reduce(&line) else { panic!("{line:?} is opaque") };
        assert_eq!(segments[0].argv[3..], words, "{line:?}");
        assert_eq!(run("/bin/sh", &line, folder.path())[1..], words, "{line:?}");
    }
}
