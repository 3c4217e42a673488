//! What the exit code of a command line proves.
//!
//! `sh -c` returns the code of the last command. It covers earlier commands only if they are joined by `&&`. A pipe
//! returns the code of its last program, and after `||` or in the background nothing is certain. What stands in a
//! compound command or after it counts as unproven, because it may not have run.

/// Programs whose success says nothing about the work.
const TRIVIAL: &[&str] = &[
    ":", "[", "cat", "cd", "date", "echo", "exit", "export", "false", "find", "grep", "head", "ls",
    "printf", "pwd", "set", "sleep", "tail", "test", "true", "wait", "wc", "which",
];
/// First words of commands behind which the exit code is no longer that of the commands in the line.
const HIDING: &[&str] = &[
    "case", "eval", "exec", "exit", "for", "function", "if", "return", "select", "trap", "until",
    "while",
];
/// Shells that run a script from an argument.
const SHELLS: &[&str] = &["ash", "bash", "dash", "ksh", "sh", "zsh"];
/// Scripts in scripts that are read. A deeper one proves nothing.
const MAX_DEPTH: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    Then,
    And,
    Or,
    Pipe,
    Background,
}

impl Join {
    fn ends_list(self) -> bool {
        matches!(self, Self::Then | Self::Background)
    }
}

/// A command and the operator after it.
struct Part {
    text: String,
    next: Join,
}

/// Options of a shell that decide what an exit code covers.
#[derive(Clone, Copy, Default)]
struct Options {
    /// The shell stops at the first failure.
    is_strict: bool,
    /// A pipe fails if one of its programs fails.
    is_piped: bool,
}

impl Options {
    /// Applies a `set` command, which turns an option on only if it surely runs.
    fn apply(&mut self, text: &str, is_sure: bool) {
        let mut words = text.split_whitespace();
        if words.next() != Some("set") {
            return;
        }
        let words: Vec<&str> = words.take_while(|word| *word != "--").collect();
        let has = |sign: char, option: char| {
            words.iter().any(|word| word.starts_with(sign) && word.contains(option))
        };
        let names = |option: &str| words.contains(&option);
        let (on, off) = (has('-', 'e'), has('+', 'e') || has('+', 'o') && names("errexit"));
        self.is_strict = !off && (self.is_strict || on && is_sure);
        if names("pipefail") {
            self.is_piped = !has('+', 'o') && (self.is_piped || is_sure);
        }
    }
}

/// A command line, divided by what its exit code covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The commands whose success an exit code of 0 proves, without trivial ones.
    pub proven: String,
    /// The other commands, without trivial ones.
    pub unproven: String,
}

impl Line {
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self::of(command, Options::default(), MAX_DEPTH)
    }

    fn of(command: &str, mut options: Options, depth: usize) -> Self {
        let parts = split(group(command));
        let mut line = Self::default();
        let mut rest = parts.as_slice();
        let mut is_hidden = false;
        while !rest.is_empty() {
            let end = rest.iter().position(|part| part.next.ends_list());
            let (list, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            rest = after;
            let hiding = list.iter().position(|part| is_hiding(&part.text));
            let shown = if is_hidden { 0 } else { hiding.unwrap_or(list.len()) };
            is_hidden |= hiding.is_some();
            let covered = covered(list, rest.is_empty(), options);
            for (at, (part, is_covered)) in list.iter().zip(covered).enumerate() {
                options.apply(&part.text, list.len() == 1 && at < shown);
                if !is_trivial(&part.text) {
                    line.take(&part.text, is_covered && at < shown, depth);
                }
            }
        }
        line
    }

    fn take(&mut self, text: &str, is_covered: bool, depth: usize) {
        let inner = match (script(text), depth) {
            (None, _) => Self { proven: text.to_owned(), unproven: String::new() },
            (Some(_), 0) => Self { proven: String::new(), unproven: text.to_owned() },
            (Some((script, options)), _) => Self::of(&script, options, depth - 1),
        };
        add(if is_covered { &mut self.proven } else { &mut self.unproven }, &inner.proven);
        add(&mut self.unproven, &inner.unproven);
    }
}

/// Which commands of a list the exit code of the whole line covers.
fn covered(list: &[Part], is_last: bool, options: Options) -> Vec<bool> {
    let mut covered = vec![false; list.len()];
    let is_pipe = list.iter().rev().skip(1).all(|part| part.next == Join::Pipe);
    let counts = is_last || options.is_strict && is_pipe;
    let has_or = list.iter().any(|part| part.next == Join::Or);
    let is_background = list.last().is_some_and(|part| part.next == Join::Background);
    if !counts || has_or || is_background {
        return covered;
    }
    let (mut is_first, mut is_negated) = (true, false);
    for (part, covered) in list.iter().zip(&mut covered) {
        // A pipe with `!` fails if its programs succeed.
        if is_first {
            is_negated = part.text.starts_with('!');
        }
        is_first = part.next != Join::Pipe;
        *covered = !is_negated && (is_first || options.is_piped);
    }
    covered
}

fn add(to: &mut String, text: &str) {
    if !to.is_empty() && !text.is_empty() {
        to.push('\n');
    }
    to.push_str(text);
}

/// The commands of a line that is one group in brackets.
fn group(command: &str) -> &str {
    let inner = command.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.filter(|inner| !inner.contains(['(', ')', '\'', '"', '#'])).unwrap_or(command)
}

/// Whether nothing is known about a command and all that follow it.
fn is_hiding(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c == '!' || c.is_whitespace());
    let mut words = text.split_whitespace().skip_while(|word| is_assignment(word));
    let (program, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // `cd app || exit 1` was not reached if the line ended with 0.
    let is_failing = program == "exit" && next.parse::<u8>().is_ok_and(|code| code != 0);
    let is_document = text.contains("<<") && !text.contains("<<<");
    HIDING.contains(&program) && !is_failing
        || program.starts_with(['{', '('])
        || program.contains("()")
        || next.starts_with("()")
        || is_document
}

fn is_trivial(text: &str) -> bool {
    let program = text.split_whitespace().find(|word| !is_assignment(word));
    program.is_none_or(|program| TRIVIAL.contains(&program.rsplit('/').next().unwrap_or(program)))
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The script that a command gives to a shell, as in `timeout 60 bash -ec 'npm test'`.
fn script(text: &str) -> Option<(String, Options)> {
    let words = words(text);
    let is_shell = |word: &&String| SHELLS.contains(&word.rsplit('/').next().unwrap_or(word));
    let rest = words.iter().skip_while(|word| !is_shell(word)).skip(1);
    let (mut options, mut has_script) = (Options::default(), false);
    for word in rest {
        if word == "pipefail" {
            options.is_piped = true;
        } else if word.starts_with("--") || word.starts_with('+') {
            continue;
        } else if !word.starts_with('-') {
            return has_script.then(|| (word.clone(), options));
        } else {
            options.is_strict |= word.contains('e');
            has_script |= word.contains('c');
        }
    }
    None
}

/// The words of a command without their quotes.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == char => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    all.extend(word);
    all
}

/// The commands of a line, each with the operator after it. Operators in quotes divide nothing.
fn split(command: &str) -> Vec<Part> {
    let (mut parts, mut text, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = command.chars().peekable();
    let mut last = ' ';
    while let Some(char) = chars.next() {
        let next = match (quote, char) {
            (Some('\''), '\\') => None,
            (_, '\\') => {
                text.push(char);
                text.extend(chars.next());
                last = char;
                continue;
            }
            (None, '\'' | '"') => {
                quote = Some(char);
                None
            }
            (Some(open), _) if open == char => {
                quote = None;
                None
            }
            (Some(_), _) => None,
            (None, '#') if last.is_whitespace() || ";&|()".contains(last) => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            (None, '&') if chars.next_if_eq(&'&').is_some() => Some(Join::And),
            // `2>&1` and `&>file` redirect.
            (None, '&') if last == '>' || chars.peek() == Some(&'>') => None,
            (None, '&') => Some(Join::Background),
            (None, '|') if chars.next_if_eq(&'|').is_some() => Some(Join::Or),
            // `>|file` redirects, and `|&` is a pipe.
            (None, '|') if last == '>' => None,
            (None, '|') => {
                chars.next_if_eq(&'&');
                Some(Join::Pipe)
            }
            (None, ';' | '\n') => Some(Join::Then),
            (None, _) => None,
        };
        last = char;
        match next {
            Some(next) => push(&mut parts, &mut text, next),
            None => text.push(char),
        }
    }
    push(&mut parts, &mut text, Join::Then);
    parts
}

fn push(parts: &mut Vec<Part>, text: &mut String, next: Join) {
    let part = std::mem::take(text);
    if !part.trim().is_empty() {
        parts.push(Part { text: part.trim().to_owned(), next });
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    fn line(command: &str) -> (String, String) {
        let Line { proven, unproven } = Line::new(command);
        (proven, unproven)
    }

    #[test]
    fn an_exit_code_proves_what_is_joined_by_and_at_the_end() {
        let both = |proven: &str, unproven: &str| (proven.to_owned(), unproven.to_owned());
        assert_eq!(line("cargo test"), both("cargo test", ""));
        assert_eq!(line("cd app && CI=1 npm test 2>&1"), both("CI=1 npm test 2>&1", ""));
        assert_eq!(line("npm ci && npm test"), both("npm ci\nnpm test", ""));
        assert_eq!(line("npm test; npm run lint"), both("npm run lint", "npm test"));
        assert_eq!(line("set -e; npm test; npm run lint"), both("npm test\nnpm run lint", ""));
        assert_eq!(line("npm test | tail -5"), both("", "npm test"));
        assert_eq!(line("set -o pipefail; npm test | tail"), both("npm test", ""));
        assert_eq!(line("npm test || true"), both("", "npm test"));
        assert_eq!(line("npm test || npm run lint"), both("", "npm test\nnpm run lint"));
        assert_eq!(line("echo 'a; b || c'"), both("", ""));
        assert_eq!(line("python -c 'print(1); exit(0)'").0, "python -c 'print(1); exit(0)'");
        assert_eq!(line("npm test & sleep 1"), both("", "npm test"));
    }

    #[test]
    fn a_test_whose_failure_is_hidden_is_unproven() {
        for command in [
            "! npm test",
            "! cat x | npm test",
            "! (true; npm test)",
            "git status # npm test",
            "sh -c 'npm test || true'",
            "timeout 60 bash -lc \"npm test; true\"",
            "npm test &",
            "set -e; npm test & wait",
            "set -e; npm test && echo ok; true",
            "set -e; set +e; npm test; true",
            "false && set -e; npm test; true",
            "set -e; if npm test; then :; fi",
            "set -e; f() { npm test; }; true",
            "set -e; cat > x.sh <<EOF\nnpm test\nEOF",
            "trap 'exit 0' EXIT; npm test",
            "exit 0; npm test",
            "{ npm test; }",
        ] {
            assert!(!line(command).0.contains("npm test"), "{command}");
        }
    }

    #[test]
    fn a_script_of_a_shell_is_read_like_the_line_itself() {
        for command in [
            "(cd app && npm test)",
            "env CI=1 sh -c 'npm test'",
            "bash -ec 'npm test; true'",
            "bash -o pipefail -c 'npm test | tail'",
            "set -e; npm test; npm run lint & wait",
            "! grep -q TODO src && npm test",
            "cd app || exit 1; source env && npm test",
            "npm ci &&\n npm test",
            "npm test |& cat || npm test # again\nnpm test",
        ] {
            let lines = line(command).0;
            assert!(lines.contains("npm test"), "{command}: {lines}");
        }
    }
}
