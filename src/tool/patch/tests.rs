//! Patch tests: meaning, error messages, and properties of arbitrary patches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ToolError;

/// In-memory files. `..` leads outside the workspace.
struct Files(BTreeMap<String, String>);

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect())
    }
}

impl Tree for Files {
    fn path(&self, written: &str) -> Result<String, ToolError> {
        match written.contains("..") {
            true => Err(ToolError::refused("outside_workspace", written)),
            false => Ok(written.to_owned()),
        }
    }

    fn read(&self, path: &str) -> Result<Option<String>, ToolError> {
        match self.is_no_text(path)? {
            true => Err(ToolError::refused("invalid_args", format!("{path} is no text"))),
            false => Ok(self.0.get(path).cloned()),
        }
    }

    fn is_no_text(&self, path: &str) -> Result<bool, ToolError> {
        Ok(self.0.get(path).is_some_and(|text| text.contains('\0')))
    }

    fn is_there(&self, path: &str) -> Result<bool, ToolError> {
        Ok(self.0.contains_key(path))
    }
}

fn message(error: ToolError) -> String {
    error.into_output().expect("a refusal").text
}

fn patch(ops: &str) -> String {
    format!("*** Begin Patch\n{ops}*** End Patch\n")
}

fn run(files: &[(&str, &str)], ops: &str) -> Result<Applied, String> {
    let read = parse(&patch(ops)).map_err(message)?;
    apply(&read, &Files::of(files)).map_err(message)
}

fn updated(before: &str, hunks: &str) -> Result<String, String> {
    let done = run(&[("a", before)], &format!("*** Update File: a\n{hunks}"))?;
    Ok(done.files["a"].after.clone().expect("it is there"))
}

#[test]
fn files_are_added_changed_moved_and_deleted_together() {
    let ops = "*** Add File: new.md\n+one\n+two\n*** Update File: a.md\n@@\n-x\n+y\n\
               *** Update File: b.md\n*** Move to: c.md\n@@\n line\n+more\n*** Delete File: d.md\n";
    let files = [("a.md", "x\n"), ("b.md", "line\n"), ("d.md", "1\n2\n")];
    let done = run(&files, ops).unwrap();
    let after: Vec<(&str, Option<&str>)> =
        done.files.iter().map(|(path, file)| (path.as_str(), file.after.as_deref())).collect();
    let wanted = [
        ("a.md", Some("y\n")),
        ("b.md", None),
        ("c.md", Some("line\nmore\n")),
        ("d.md", None),
        ("new.md", Some("one\ntwo\n")),
    ];
    assert_eq!(after, wanted);
    let report = ["A new.md (+2 −0)", "M a.md (+1 −1)", "R b.md → c.md (+1 −0)", "D d.md (+0 −2)"];
    assert_eq!(done.report, report);
    assert_eq!(done.files["c.md"].from.as_deref(), Some("b.md"));
}

#[test]
fn a_file_that_is_no_text_is_deleted_and_nothing_else() {
    let files = [("a.png", "\0png")];
    let gone = run(&files, "*** Delete File: a.png\n").unwrap();
    assert_eq!(gone.report, ["D a.png (no text)"]);
    let file = &gone.files["a.png"];
    assert_eq!((&file.before, &file.after, file.no_text), (&None, &None, true));
    let anew = "*** Delete File: a.png\n*** Add File: a.png\n+words\n";
    let anew = run(&files, anew).unwrap();
    assert_eq!(anew.files["a.png"].after.as_deref(), Some("words\n"));
    assert!(anew.files["a.png"].no_text, "something else was there");
    for ops in ["*** Update File: a.png\n@@\n-x\n+y\n", "*** Add File: a.png\n+x\n"] {
        assert!(run(&files, ops).is_err(), "{ops}");
    }
    let twice = run(&files, "*** Delete File: a.png\n*** Delete File: a.png\n");
    assert!(twice.unwrap_err().contains("there is no file a.png"));
}

#[test]
fn operations_see_what_came_before_them() {
    let ops = "*** Delete File: a\n*** Add File: a\n+new\n*** Update File: a\n@@\n-new\n+newer\n";
    let done = run(&[("a", "old\n")], ops).unwrap();
    assert_eq!(done.files["a"].after.as_deref(), Some("newer\n"));
    assert_eq!(done.files["a"].before.as_deref(), Some("old\n"));
}

#[test]
fn a_file_that_is_there_is_not_added_and_one_that_is_not_is_not_changed() {
    assert!(run(&[("a", "")], "*** Add File: a\n+x\n").unwrap_err().contains("Error(file_exists)"));
    let missing = run(&[], "*** Update File: a\n@@\n-x\n+y\n").unwrap_err();
    assert!(missing.starts_with("Error(file_not_found): there is no file a"), "{missing}");
    assert!(run(&[], "*** Delete File: a\n").unwrap_err().contains("file_not_found"));
    let onto = "*** Update File: a\n*** Move to: b\n@@\n-x\n+y\n";
    assert!(run(&[("a", "x\n"), ("b", "")], onto).unwrap_err().contains("file_exists"));
    let own = "*** Update File: a\n*** Move to: a\n@@\n-x\n+y\n";
    assert_eq!(run(&[("a", "x\n")], own).unwrap().report, ["M a (+1 −1)"]);
    assert!(run(&[], "*** Add File: ../a\n+x\n").unwrap_err().contains("outside_workspace"));
}

#[test]
fn a_line_after_at_signs_narrows_and_nests() {
    let text = "class A\n  def f\n    x = 1\nclass B\n  def f\n    x = 1\n";
    let two = updated(text, "@@\n-    x = 1\n+    x = 2\n").unwrap_err();
    assert!(two.contains("Error(hunk_ambiguous)") && two.contains("lines 3, 6"), "{two}");
    let second = updated(text, "@@ class B\n@@   def f\n-    x = 1\n+    x = 2\n").unwrap();
    assert_eq!(second, text[..text.len() - 2].to_owned() + "2\n");
    let behind = updated(text, "@@ class B\n+  y = 0\n").unwrap();
    assert!(behind.contains("class B\n  y = 0\n  def f\n"), "{behind}");
    let none = updated(text, "@@ class C\n-x\n+y\n").unwrap_err();
    assert!(none.contains("Error(hunk_not_found): a, hunk 1 (line 3 of the patch)"), "{none}");
}

#[test]
fn the_strictest_way_that_fits_wins() {
    assert_eq!(updated("x  \nx\n", "@@\n-x\n+y\n").unwrap(), "x  \ny\n", "exactly");
    assert_eq!(updated("x  \nz\n", "@@\n x\n-z\n+y\n").unwrap(), "x  \ny\n", "spaces at the end");
    assert_eq!(updated("  x\nz\n", "@@\n x\n-z\n+y\n").unwrap(), "  x\ny\n", "spaces around");
    assert_eq!(updated("“x” – y\nz\n", "@@\n \"x\" - y\n-z\n").unwrap(), "“x” – y\n", "signs");
    let closest = updated("let total = 1;\n", "@@\n-let totals = 1;\n+x\n").unwrap_err();
    assert!(closest.contains("closest:\n1: let total = 1;"), "{closest}");
}

#[test]
fn the_end_of_the_file_can_be_meant() {
    let at_end = "@@\n-x\n+y\n*** End of File\n";
    assert_eq!(updated("x\na\nx\n", at_end).unwrap(), "x\na\ny\n");
    assert_eq!(updated("a\n", "@@\n+b\n*** End of File\n").unwrap(), "a\nb\n");
    assert_eq!(updated("a", "@@\n+b\n*** End of File\n").unwrap(), "a\nb");
    assert_eq!(updated("", "@@\n+b\n*** End of File\n").unwrap(), "b\n");
    assert!(updated("a\n", "@@\n+b\n").unwrap_err().contains("this hunk only adds"));
}

#[test]
fn mark_line_ends_and_last_line_stay() {
    let text = "\u{feff}a\r\nb\r\nc";
    assert_eq!(updated(text, "@@\n-b\n+x\n+y\n").unwrap(), "\u{feff}a\r\nx\r\ny\r\nc");
    assert_eq!(updated(text, "@@\n b\n-c\n").unwrap(), "\u{feff}a\r\nb");
    assert_eq!(updated("a\nb\r\nc\n", "@@\n b\n+x\n").unwrap(), "a\nb\r\nx\r\nc\n", "mixed");
    assert_eq!(updated("a\n\nb\n", "@@\n a\n\n-b\n+c\n").unwrap(), "a\n\nc\n", "an empty line");
}

#[test]
fn no_patch_takes_more_than_a_machine_has() {
    let large = "x".repeat(9 << 20);
    let names = ["a", "b", "c", "d"];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, large.as_str())).collect();
    let ops: String = names.iter().map(|name| format!("*** Delete File: {name}\n")).collect();
    assert!(run(&files, &ops).unwrap_err().contains("at most 32 MB"));
    let message = updated(&"\n".repeat(500_001), "@@\n-x\n+y\n").unwrap_err();
    assert!(message.contains("Error(too_large): a has more than 500000 lines"), "{message}");
    let hunk = format!("@@\n{}-b\n+c\n", " a\n".repeat(20_000));
    let message = updated(&"a\n".repeat(40_000), &hunk).unwrap_err();
    assert!(message.contains("Error(too_large): its hunks match nearly everywhere"), "{message}");
}

#[test]
fn faults_name_their_line() {
    for (text, wanted) in [
        ("", "line 1: a patch must begin with"),
        ("*** Begin Patch\n", "line 2: the patch does not end with"),
        ("*** Begin Patch\n*** End Patch\n", "doesn't change a file"),
        ("*** Begin Patch\n*** Add File: a\n*** End Patch", "line 3: each line of a new file"),
        ("*** Begin Patch\n*** Delete File: \n*** End Patch", "line 2: a path is missing"),
        ("*** Begin Patch\n*** Update File: a\n*** End Patch", "line 3: an update needs a hunk"),
        ("*** Begin Patch\nhello\n*** End Patch", "line 2: expected \"*** Add File: <path>\""),
        ("*** Begin Patch\n*** Update File: a\n@@ -1,2 +1,2 @@\n-x\n*** End Patch", "line numbers"),
        ("*** Begin Patch\n*** Update File: a\n@@x\n-x\n*** End Patch", "line 3: write a space"),
        ("*** Begin Patch\n*** Update File: a\n@@\n x\n*** End Patch", "changes nothing"),
        ("*** Begin Patch\n*** Update File: a\n@@\n?x\n*** End Patch", "line 4: a line of a hunk"),
        ("*** Begin Patch\n*** Delete File: a\n*** End Patch\nmore", "line 4: nothing can follow"),
    ] {
        let error = message(parse(text).expect_err(text));
        assert!(error.starts_with("Error(invalid_patch)") && error.contains(wanted), "{error}");
    }
    assert!(message(parse(&"x".repeat(MAX_PATCH + 1)).unwrap_err()).contains("Error(too_large)"));
}

#[test]
fn one_wrapper_is_taken_off() {
    let inner = patch("*** Delete File: a\n");
    for text in [
        format!("```diff\n{inner}```\n"),
        format!("\n\n{inner}\n"),
        format!("apply_patch <<'EOF'\n{inner}EOF\n"),
        inner.replace('\n', "\r\n"),
    ] {
        assert_eq!(parse(&text).expect(&text).to_string(), inner);
    }
    assert!(parse(&format!("```\n```\n{inner}```\n```")).is_err(), "not two");
}

fn word() -> impl Strategy<Value = String> {
    "[a-c*@ +\u{e4}-]{0,6}"
}

fn hunk() -> impl Strategy<Value = Hunk> {
    let line = (0..3_u8, word()).prop_map(|(kind, text)| match kind {
        0 => HunkLine::Same(text),
        1 => HunkLine::Gone(text),
        _ => HunkLine::New(text),
    });
    let context = "[a-z][a-c ]{0,4}";
    (prop::collection::vec(context, 0..3), prop::collection::vec(line, 1..6), any::<bool>(), word())
        .prop_map(|(contexts, mut lines, at_end, gone)| {
            lines.push(HunkLine::Gone(gone));
            Hunk { contexts, lines, at_end, at: 0 }
        })
}

fn op() -> impl Strategy<Value = Op> {
    let path = || "[a-z]{1,4}(/[a-z]{1,3})?";
    prop_oneof![
        (path(), prop::collection::vec(word(), 1..4))
            .prop_map(|(path, lines)| Op::Add { path, lines }),
        path().prop_map(|path| Op::Delete { path }),
        (path(), prop::option::of(path()), prop::collection::vec(hunk(), 1..4))
            .prop_map(|(path, to, hunks)| Op::Update { path, to, hunks }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn nothing_that_looks_like_a_patch_makes_it_panic(
        lines in prop::collection::vec(prop_oneof![
            Just("*** Begin Patch".to_owned()), Just("*** End Patch".to_owned()),
            Just("*** Add File: a".to_owned()), Just("*** Update File: a".to_owned()),
            Just("*** Delete File: a".to_owned()), Just("*** Move to: b".to_owned()),
            Just("*** End of File".to_owned()), Just("@@".to_owned()), Just("```".to_owned()),
            "@@ [ab]{0,2}", "[ +-][ab\u{e4}\\r]{0,3}", "\\PC{0,6}",
        ], 0..16),
        text in "[ab\u{e4}\\r\\n ]{0,24}",
    ) {
        let body = lines.join("\n");
        for written in [body.clone(), patch(&format!("*** Update File: a\n{body}\n"))] {
            if let Ok(read) = parse(&written) {
                let _ = apply(&read, &Files::of(&[("a", &text)]));
            }
        }
    }

    #[test]
    fn what_is_read_and_written_is_read_the_same(ops in prop::collection::vec(op(), 1..5)) {
        let written = Patch { ops }.to_string();
        let read = parse(&written).map_err(|e| TestCaseError::fail(message(e)))?;
        prop_assert_eq!(read.to_string(), written);
    }

    #[test]
    fn lines_that_are_not_meant_stay_byte_for_byte(
        before in prop::collection::vec("[a-c \u{e4}]{0,5}(\\r)?\\n", 0..8),
        old in "[x-z]{1,5}",
        after in prop::collection::vec("[a-c \u{e4}]{0,5}(\\r)?\\n", 0..8),
        end in prop_oneof![Just("\n"), Just("\r\n")],
        new in prop::collection::vec("[p-r]{0,5}", 0..3),
        mark in prop_oneof![Just(""), Just("\u{feff}")],
    ) {
        let (head, tail) = (format!("{mark}{}", before.concat()), after.concat());
        let text = format!("{head}{old}{end}{tail}");
        let added: String = new.iter().map(|line| format!("+{line}\n")).collect();
        let now = updated(&text, &format!("@@\n-{old}\n{added}")).map_err(TestCaseError::fail)?;
        prop_assert!(now.starts_with(&head) && now.ends_with(&tail), "{:?} {:?}", text, now);
        let between = &now[head.len()..now.len() - tail.len()];
        let ends = between.matches('\n').count();
        prop_assert_eq!(ends, new.len());
        prop_assert_eq!(between.lines().collect::<Vec<_>>(), new);
    }
}
