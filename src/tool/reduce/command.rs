//! Finds the programs whose output a command line shows. Not a shell parser: ignores unknown syntax.

/// A program with known progress output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Cargo,
    Git,
    Node,
    Pytest,
}

/// The analysed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The known programs.
    pub programs: Vec<Program>,
    /// Whether a part prints files or similar data, in which every character matters.
    pub prints_files: bool,
}

/// Programs that print their input.
const PRINTERS: &[&str] = &[
    "awk", "base64", "bat", "cat", "cut", "diff", "grep", "head", "hexdump", "jq", "less", "more",
    "nl", "od", "rg", "sed", "sort", "strings", "tac", "tail", "xxd",
];
/// Programs that run another program.
const STARTERS: &[&str] =
    &["command", "env", "exec", "nice", "nohup", "npx", "stdbuf", "sudo", "time", "timeout"];
/// Programs that run another program through a subcommand.
const RUNNERS: &[&str] = &["hatch", "pdm", "pipenv", "poetry", "uv"];
/// Git subcommands with progress output. All others may print files.
const GIT: &[&str] = &[
    "checkout",
    "clone",
    "commit",
    "fetch",
    "gc",
    "merge",
    "pull",
    "push",
    "rebase",
    "repack",
    "status",
    "submodule",
    "switch",
];

impl Shape {
    /// Analyses a command line.
    pub(super) fn of(command: &str) -> Self {
        let mut shape = Self::default();
        for line in parts(command) {
            // Only the output of a pipeline's last command is visible.
            let Some(last) = line.last() else { continue };
            let (name, rest) = named(last);
            let is_alone = line.len() == 1;
            match program(name, &rest) {
                Some(program) if !shape.programs.contains(&program) => shape.programs.push(program),
                Some(_) => {}
                None => {
                    let prints = PRINTERS.contains(&name) || name == "git";
                    shape.prints_files |= is_alone && prints;
                }
            }
        }
        shape
    }
}

fn program(name: &str, rest: &[&str]) -> Option<Program> {
    let first = rest.iter().copied().find(|word| !word.starts_with('-'));
    match name {
        "cargo" => Some(Program::Cargo),
        "npm" | "pnpm" | "yarn" | "jest" | "vitest" => Some(Program::Node),
        "pytest" | "py.test" => Some(Program::Pytest),
        "python" | "python3" if rest.starts_with(&["-m", "pytest"]) => Some(Program::Pytest),
        "git" if first.is_some_and(|word| GIT.contains(&word)) => Some(Program::Git),
        _ => None,
    }
}

/// The program of a command and its arguments.
fn named(words: &str) -> (&str, Vec<&str>) {
    let mut words = words.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let name = word.rsplit('/').next().unwrap_or(word);
        let is_variable = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        if is_variable || matches!(word, "(" | "{" | "!" | "then" | "do" | "else" | "if") {
            continue;
        }
        if STARTERS.contains(&name) {
            let own = |word: &&str| word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            while words.next_if(own).is_some() {}
            continue;
        }
        if RUNNERS.contains(&name) && words.next_if_eq(&"run").is_some() {
            continue;
        }
        return (name, words.collect());
    }
    ("", Vec::new())
}

/// The commands of a line, each as the parts of its pipeline.
fn parts(command: &str) -> Vec<Vec<String>> {
    let (mut all, mut line, mut word) = (Vec::new(), Vec::new(), String::new());
    let (mut quote, mut before) = (None, ' ');
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if before != '\\' => quote = Some(c),
            (None, '|') if chars.peek() != Some(&'|') => {
                chars.next_if_eq(&'&');
                line.push(std::mem::take(&mut word));
                before = c;
                continue;
            }
            // `2>&1` does not end a command.
            (None, '&') if before == '>' || chars.peek() == Some(&'>') => {}
            (None, ';' | '\n' | '&' | '|') => {
                chars.next_if_eq(&c);
                line.push(std::mem::take(&mut word));
                all.push(std::mem::take(&mut line));
                before = ' ';
                continue;
            }
            _ => {}
        }
        word.push(c);
        // An escaped backslash escapes nothing.
        before = if c == '\\' && before == '\\' { ' ' } else { c };
    }
    line.push(word);
    all.push(line);
    all.retain(|line| line.iter().any(|word| !word.trim().is_empty()));
    all
}

#[cfg(test)]
mod tests {
    use super::{Program, Shape};

    #[test]
    fn the_programs_of_a_line_are_found() {
        let programs = |command: &str| Shape::of(command).programs;
        assert_eq!(programs("cargo build"), [Program::Cargo]);
        assert_eq!(programs("cd x; A=1 timeout 5 ~/.cargo/bin/cargo t"), [Program::Cargo]);
        assert_eq!(programs("git pull && npm ci || true"), [Program::Git, Program::Node]);
        assert_eq!(programs("uv run pytest -x"), [Program::Pytest]);
        assert_eq!(programs("nice -n 10 npx jest"), [Program::Node]);
        assert!(programs("cargo test 2>&1 | tail -5").is_empty());
        assert!(programs("echo 'cargo build; git pull'").is_empty());
        assert_eq!(programs("cargo build >log 2>&1; git fetch"), [Program::Cargo, Program::Git]);
    }

    #[test]
    fn what_prints_files_is_known() {
        let prints = |command: &str| Shape::of(command).prints_files;
        assert!(prints("cat a.txt") && prints("cargo build; tail -5 log") && prints("git show a"));
        assert!(!prints("cargo test | tail -5") && !prints("git status") && !prints("ls -l"));
        assert!(!prints("echo begin; make"));
    }
}
