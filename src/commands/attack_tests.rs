//! Lines that try to be read differently from what they run.

use super::*;

fn why(line: &str) -> Why {
    match reduce(line) {
        Reduced::Opaque(why) => why,
        Reduced::Plan(segments) => panic!("{line:?} reduces to {segments:?}"),
    }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

/// The commands below all wrappers of a one-command line.
fn below(argv: &[&str]) -> Vec<Vec<String>> {
    match unwrap(&words(argv)) {
        Unwrapped::Commands(commands) => commands.into_iter().map(|command| command.argv).collect(),
        Unwrapped::Opaque(why) => panic!("{argv:?} is opaque: {why}"),
    }
}

fn opaque(argv: &[&str]) -> Why {
    match unwrap(&words(argv)) {
        Unwrapped::Opaque(why) => why,
        Unwrapped::Commands(commands) => panic!("{argv:?} comes to {commands:?}"),
    }
}

#[test]
fn what_the_shell_would_work_out_is_opaque() {
    for (line, expected) in [
        ("rg $(id)", Why::Substitution),
        ("rg \"$(id)\"", Why::Substitution),
        ("rg `id`", Why::Substitution),
        ("rg \"`id`\"", Why::Substitution),
        ("rg${IFS}x", Why::Substitution),
        ("rg $IFS", Why::Substitution),
        ("rg $((1))", Why::Substitution),
        ("rg $'a\\x41'", Why::Substitution),
        ("rg \"a$\"", Why::Substitution),
        ("cat <<END\nx\nEND", Why::Redirection),
        ("cat <<<x", Why::Redirection),
        ("cat <(id)", Why::Redirection),
        ("echo x>a", Why::Redirection),
        ("echo x >>a", Why::Redirection),
        ("echo x 2>a", Why::Redirection),
        ("echo x 22>&1", Why::Redirection),
        ("echo x 3>&1", Why::Redirection),
        ("echo x >&a", Why::Redirection),
        ("echo x >/dev/nullx", Why::Redirection),
        ("echo x >/dev/null'x'", Why::Redirection),
        ("echo x >|a", Why::Redirection),
        ("echo x 2\\\n>&1", Why::Quoting),
        ("echo x &>a", Why::Background),
        ("echo x & rm y", Why::Background),
        ("echo x&", Why::Background),
        ("a |& b", Why::Compound),
        ("rm *", Why::Glob),
        ("rm a?", Why::Glob),
        ("rm [ab]", Why::Glob),
        ("rm {a,b}", Why::Braces),
        ("{ rm a; }", Why::Braces),
        ("cat ~", Why::Home),
        ("cat ~root/x", Why::Home),
        ("cat a=~", Why::Home),
        ("cat \"\"~", Why::Home),
        ("(rm a)", Why::Compound),
        ("ls() { rm a; }", Why::Compound),
        ("function ls", Why::Compound),
        ("if true; then rm a; fi", Why::Compound),
        ("for x in a; do rm a; done", Why::Compound),
        ("! rm a", Why::Compound),
        ("ls;; rm", Why::Compound),
        ("A=b rm", Why::Assignment),
        ("PATH=. rg", Why::Assignment),
        ("A+=b", Why::Assignment),
        ("eval 'rm a'", Why::State),
        ("\\eval rm", Why::State),
        ("'eval' rm", Why::State),
        ("e'va'l rm", Why::State),
        (". ./x", Why::State),
        ("source x", Why::State),
        ("alias ls=rm", Why::State),
        ("export PATH=.", Why::State),
        ("read PATH", Why::State),
        ("exec rm", Why::State),
        ("command rm", Why::State),
        ("trap rm EXIT", Why::State),
        ("printf -v PATH x", Why::State),
        ("set -- a", Why::State),
        ("test -v 'a[$(id)]'", Why::State),
        ("'a", Why::Quoting),
        ("\"a", Why::Quoting),
        ("a\\", Why::Quoting),
        ("", Why::Missing),
        ("  \n # x", Why::Missing),
        ("a &&", Why::Missing),
        ("; a", Why::Missing),
        ("| a", Why::Missing),
        ("'' a", Why::Missing),
        (">/dev/null", Why::Missing),
        ("ls && >/dev/null\nrm a", Why::Missing),
    ] {
        assert_eq!(why(line), expected, "{line:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_opaque_even_in_quotes() {
    for sign in [
        '\0', '\r', '\u{b}', '\u{1b}', '\u{7f}', '\u{85}', '\u{a0}', '\u{200b}', '\u{202e}',
        '\u{3000}', '\u{feff}',
    ] {
        assert_eq!(why(&format!("ls{sign}-l")), Why::Hidden, "{sign:?}");
        assert_eq!(why(&format!("ls 'a{sign}b'")), Why::Hidden, "{sign:?}");
    }
}

#[test]
fn each_part_of_a_line_counts() {
    let Reduced::Plan(segments) = reduce("ls; rm -r a && b || c\nd | e") else { panic!("opaque") };
    let names: Vec<&str> = segments.iter().map(|segment| segment.argv[0].as_str()).collect();
    assert_eq!(names, ["ls", "rm", "b", "c", "d", "e"]);
    let joins: Vec<Join> = segments.iter().map(|segment| segment.join).collect();
    assert_eq!(joins, [Join::Then, Join::Then, Join::And, Join::Or, Join::Then, Join::Pipe]);
}

#[test]
fn a_quoted_word_of_the_grammar_is_a_name() {
    for line in ["'if' a", "\\! a", "i\"f\" a", "echo if"] {
        assert!(matches!(reduce(line), Reduced::Plan(_)), "{line}");
    }
    assert_eq!(why("i\\\nf a"), Why::Compound);
}

#[test]
fn a_command_is_told_each_folder_it_may_run_in() {
    let last = |line: &str| match reduce(line) {
        Reduced::Plan(segments) => segments.last().expect("one").folders.clone(),
        Reduced::Opaque(why) => panic!("{line:?}: {why}"),
    };
    assert_eq!(last("ls"), [""]);
    assert_eq!(last("cd a && ls"), ["a"]);
    assert_eq!(last("cd a && cd ../b && ls | wc"), ["b"]);
    assert_eq!(last("cd /x/../y && ls"), ["/y"]);
    assert_eq!(last("cd .. && ls"), [".."]);
    assert_eq!(last("cd a; ls"), ["", "a"]);
    assert_eq!(last("cd a || ls"), ["", "a"]);
    assert_eq!(last("cd a && true; ls"), ["", "a"]);
    assert_eq!(last("true || cd a && ls"), ["", "a"]);
    assert_eq!(last("cd a && cd b; ls"), ["", "a", "a/b"]);
    for line in
        ["cd", "cd -", "cd -P a", "cd a b", "cd a | ls", "ls | cd a", "cd a; cd b; cd c; ls"]
    {
        assert_eq!(why(line), Why::Folder, "{line}");
    }
}

#[test]
fn wrappers_are_taken_away() {
    for argv in [
        &["env", "rm", "a"][..],
        &["env", "--", "rm", "a"],
        &["/usr/bin/env", "rm", "a"],
        &["nice", "rm", "a"],
        &["nice", "-n", "5", "rm", "a"],
        &["nice", "-5", "rm", "a"],
        &["nice", "--adjustment=5", "rm", "a"],
        &["nohup", "rm", "a"],
        &["stdbuf", "-oL", "-e", "0", "rm", "a"],
        &["timeout", "5", "rm", "a"],
        &["timeout", "-k", "5", "--signal=KILL", "--", "5s", "rm", "a"],
        &["flock", "-n", "lock", "rm", "a"],
        &["busybox", "rm", "a"],
        &["time", "-p", "rm", "a"],
        &["timeout", "5", "nice", "env", "rm", "a"],
        &["sh", "-c", "rm a"],
        &["bash", "-euxc", "rm 'a'"],
        &["timeout", "5", "/bin/dash", "-c", "nice rm a"],
        &["busybox", "sh", "-c", "sh -c 'rm a'"],
    ] {
        assert_eq!(below(argv), [words(&["rm", "a"])], "{argv:?}");
    }
    assert_eq!(below(&["sh", "-c", "ls; rm a"]), [words(&["ls"]), words(&["rm", "a"])]);
    assert_eq!(below(&["env"]), [words(&["env"])]);
    assert_eq!(below(&["./timeout", "5", "ls"]), [words(&["./timeout", "5", "ls"])]);
}

#[test]
fn wrappers_that_do_more_are_opaque() {
    for (argv, expected) in [
        (&["env", "-S", "rm a"][..], Why::Wrapper),
        (&["env", "-i", "rm"], Why::Wrapper),
        (&["env", "PATH=.", "rg"], Why::Assignment),
        (&["nice", "env", "A=b", "rg"], Why::Assignment),
        (&["flock", "lock", "-c", "rm a"], Why::Wrapper),
        (&["timeout", "--unknown", "5", "rm"], Why::Wrapper),
        (&["timeout", "5", "cd", "a"], Why::State),
        (&["time", "eval", "rm"], Why::State),
        (&["sh", "-c", "rm $x"], Why::Substitution),
        (&["sh", "-c", "cd a | ls"], Why::Folder),
    ] {
        assert_eq!(opaque(argv), expected, "{argv:?}");
    }
}

#[test]
fn code_among_words_is_marked() {
    let inline = |argv: &[&str]| match unwrap(&words(argv)) {
        Unwrapped::Commands(commands) => commands[0].inline,
        Unwrapped::Opaque(why) => panic!("{argv:?}: {why}"),
    };
    for argv in [
        &["python3.11", "-c", "x"][..],
        &["python"],
        &["/usr/bin/python3", "-"],
        &["./python", "-c", "x"],
        &["node", "-e", "x"],
        &["node", "--eval=x"],
        &["perl", "-pe", "x"],
        &["ruby", "-e", "x"],
        &["deno", "eval", "x"],
        &["awk", "x"],
        &["sed", "-n", "1p"],
        &["make", "all"],
        &["xargs", "rm"],
        &["sudo", "ls"],
        &["doas", "ls"],
        &["find", ".", "-exec", "rm", "{}", "+"],
        &["find", ".", "-okdir", "rm", "{}", ";"],
        &["fd", "-x", "rm"],
        &["sh"],
        &["sh", "-s"],
        &["bash", "-lc", "ls"],
        &["bash", "-c", "ls", "a"],
        &["busybox", "awk", "x"],
    ] {
        assert!(inline(argv), "{argv:?}");
    }
    for argv in [
        &["python", "a.py", "-c"][..],
        &["python", "-m", "pytest"],
        &["python3", "--version"],
        &["find", ".", "-name", "x", "-delete"],
        &["find", ".", "-xdev", "-executable"],
        &["fd", "--exclude", "x"],
        &["sh", "a.sh"],
        &["ls"],
    ] {
        assert!(!inline(argv), "{argv:?}");
    }
}

#[test]
fn long_and_deep_lines_come_to_an_end() {
    assert_eq!(why(&"a ".repeat(MAX_LINE)), Why::Long);
    assert_eq!(why(&"a;".repeat(MAX_SEGMENTS + 1)), Why::Long);
    assert_eq!(why(&"(".repeat(MAX_LINE)), Why::Compound);
    assert_eq!(why(&format!("ls '{}", "x".repeat(MAX_LINE - 5))), Why::Quoting);
    assert_eq!(why(&"#\n".repeat(MAX_LINE / 2)), Why::Missing);
    let mut line = "rm a".to_owned();
    for _ in 0..=MAX_DEPTH {
        line = format!("sh -c '{}'", line.replace('\'', r"'\''"));
    }
    let Reduced::Plan(segments) = reduce(&line) else { panic!("opaque") };
    assert_eq!(unwrap(&segments[0].argv), Unwrapped::Opaque(Why::Deep));
    for name in ["sudo ", "env ", "nice ", "xargs ", "find -exec ", "timeout 1 "] {
        let line = format!("{}ls", name.repeat(MAX_LINE / name.len() - 1));
        assert!(risk(&line, &reduce(&line)).level >= Level::Low, "{name}");
    }
    let parts = ["sh -c 'cd a;ls;ls;ls;ls;ls;ls'"; MAX_SEGMENTS].join(";");
    assert_eq!(risk(&parts, &reduce(&parts)).level, Level::Low);
}
