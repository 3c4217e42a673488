//! Reduces a program's output to what a model needs: no colours, redrawn lines, progress or repeated lines. A caller
//! that shows the reduced output also stores the whole. Output of programs that print files is unchanged.

mod command;
mod noise;
mod terminal;

use std::borrow::Cow;

use command::Shape;
use noise::is_noise;

pub use terminal::plain;

/// Minimum number of saved bytes; below it, lines are kept.
const WORTH: usize = 400;
/// Maximum number of equal lines in a row.
const SAME: usize = 3;

/// Reduced output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The remaining text.
    pub text: String,
    /// Number of removed lines; 0 if only colours and similar were removed.
    pub left_out: usize,
}

/// Reduces the output of a command line; `None` if it stays unchanged. Slow for large output: call it from a blocking
/// task.
#[must_use]
pub fn reduce(command: &str, output: &str) -> Option<Reduced> {
    let shape = Shape::of(command);
    if shape.prints_files {
        return None;
    }
    let plain = plain(output);
    let (text, left_out) = fewer_lines(&shape, &plain);
    if left_out != 0 && text.len() + WORTH <= plain.len() {
        return Some(Reduced { text, left_out });
    }
    match plain {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(Reduced { text, left_out: 0 }),
    }
}

/// Removes progress lines and repeated lines. Returns the text and the number of removed lines.
fn fewer_lines(shape: &Shape, text: &str) -> (String, usize) {
    let (mut out, mut gone) = (String::with_capacity(text.len().min(64 * 1024)), 0);
    let (mut before, mut count) = ("", 0);
    for line in text.split_inclusive('\n') {
        if shape.programs.iter().any(|program| is_noise(*program, line)) {
            gone += 1;
            continue;
        }
        if line == before {
            count += 1;
            if SAME <= count {
                gone += 1;
                continue;
            }
        } else {
            say_again(&mut out, count);
            (before, count) = (line, 0);
        }
        out.push_str(line);
    }
    say_again(&mut out, count);
    (out, gone)
}

fn say_again(out: &mut String, count: usize) {
    if SAME <= count {
        out.push_str(&format!("[… the same line {} more times]\n", count + 1 - SAME));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Reduced, plain, reduce};

    fn reduced(command: &str, output: &str) -> Reduced {
        reduce(command, output).expect("it becomes shorter")
    }

    #[test]
    fn what_a_build_tells_of_its_progress_goes_and_its_errors_stay() {
        let mut output = String::from("    Updating crates.io index\n");
        for n in 0..40 {
            output.push_str(&format!("   Compiling crate-{n} v1.0.{n}\n"));
        }
        let error =
            "error[E0308]: mismatched types\n --> src/main.rs:3:5\n  |\n3 |     Compiling\n";
        output.push_str(error);
        output.push_str("    Finished `dev` profile in 3.2s\n");
        let found = reduced("cd app && RUST_LOG=1 cargo build 2>&1", &output);
        assert_eq!(found.text, format!("{error}    Finished `dev` profile in 3.2s\n"));
        assert_eq!(found.left_out, 41);
    }

    #[test]
    fn tests_that_passed_go_and_those_that_failed_stay() {
        let mut output = String::from("running 31 tests\n");
        for n in 0..30 {
            output.push_str(&format!("test store::keys::case_{n} ... ok\n"));
        }
        output.push_str("test store::keys::last ... FAILED\n\ntest result: FAILED. 30 passed\n");
        let found = reduced("cargo test", &output);
        assert_eq!(
            found.text,
            "running 31 tests\ntest store::keys::last ... FAILED\n\ntest result: FAILED. 30 passed\n"
        );
        let mut output = String::from("collected 30 items\n");
        for n in 0..30 {
            output.push_str(&format!("tests/test_a.py::test_{n} PASSED          [ {n}%]\n"));
        }
        output.push_str("tests/test_b.py ..........................            [ 98%]\n");
        output.push_str("tests/test_c.py ...F.                                 [100%]\n");
        output.push_str("E   assert 1 == 2\n");
        let found = reduced("timeout 60 python3 -m pytest -q", &output);
        assert_eq!(
            found.text,
            "collected 30 items\ntests/test_c.py ...F.                                 [100%]\nE   assert 1 == 2\n"
        );
    }

    #[test]
    fn what_comes_over_the_network_is_not_told_object_by_object() {
        let mut output = String::from("Cloning into 'x'...\n");
        for n in 0..20 {
            output.push_str(&format!("remote: Counting objects: {n}% (1/20)\r"));
            output.push_str(&format!("Receiving objects: {n}% (1/20), 1 MiB | 2 MiB/s\n"));
        }
        output.push_str("fatal: early EOF\n");
        let found = reduced("git clone https://example.com/x", &output);
        assert_eq!(found.text, "Cloning into 'x'...\nfatal: early EOF\n");
        let mut output = String::new();
        for n in 0..20 {
            output.push_str(&format!("npm warn deprecated left-pad@{n}: use something else\n"));
        }
        output.push_str("npm error code ERESOLVE\n");
        assert_eq!(reduced("npm ci", &output).text, "npm error code ERESOLVE\n");
    }

    #[test]
    fn the_same_line_is_told_with_its_number() {
        let found =
            reduced("./poll.sh", &format!("a\n{}b\n", "waiting for the server\n".repeat(100)));
        let three = "waiting for the server\n".repeat(3);
        assert_eq!(found.text, format!("a\n{three}[… the same line 97 more times]\nb\n"));
        assert_eq!(found.left_out, 97);
    }

    #[test]
    fn what_prints_files_and_what_saves_little_stays_as_it_is() {
        let ok = "test a ... ok\n".repeat(200);
        assert_eq!(reduce("cat results.txt", &ok), None);
        assert_eq!(reduce("sed -n 1,200p 'a file'", "\u{1b}[31mred\u{1b}[0m"), None);
        assert_eq!(reduce("cargo test", "test a ... ok\ntest b ... ok\n"), None);
        assert_eq!(reduce("echo hi", "hi\r\n"), None);
        assert_eq!(reduce("git diff", "-remote: Counting objects: 1\n"), None);
    }

    #[test]
    fn who_asked_for_a_part_has_that_part() {
        let text = (0..100).map(|n| format!("test case_{n} ... ok\n")).collect::<String>();
        assert_eq!(reduce("cargo test 2>&1 | tail -100", &text), None);
        let coloured = "\u{1b}[32mtest case ... ok\u{1b}[0m\n";
        let found = reduced("cargo test --color always | tail -1", coloured);
        assert_eq!((found.text.as_str(), found.left_out), ("test case ... ok\n", 0));
    }

    proptest! {
        #[test]
        fn any_output_of_any_command_is_read_without_a_panic(
            command in "[a-z '\"|&;=$()\n]{0,40}",
            output in "(\u{1b}\\[[0-9;?]{0,6}[A-Za-z]|\u{1b}\\]8;;x|\u{7}|\r|\n|\u{8}|[ -~]|ä|漢){0,80}",
        ) {
            let control = |c: char| c.is_control() && !"\n\t".contains(c);
            let seen = plain(&output);
            prop_assert!(!seen.replace("\r\n", "\n").contains(control), "{seen:?}");
            if let Some(found) = reduce(&command, &output) {
                prop_assert!(found.left_out == 0 || found.text.len() < seen.len());
            }
        }
    }
}
