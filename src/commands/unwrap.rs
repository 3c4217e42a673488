//! Commands inside wrappers: `timeout`, `nice`, `sh -c` and similar programs.

use super::reduce::{self, Reduced};
use super::{MAX_DEPTH, MAX_SEGMENTS, Why, programs};

/// Result of removing wrappers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwrapped {
    /// The commands that will run, in order.
    Commands(Vec<Command>),
    /// Cannot be determined.
    Opaque(Why),
}

/// A command below all wrappers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program name and arguments.
    pub argv: Vec<String>,
    /// Files that its wrappers open.
    pub touches: Vec<String>,
    /// Possible working folders, relative to that of the outermost command.
    pub folders: Vec<String>,
    /// Runs code from its arguments or input: may be approved once, but no rule is stored.
    pub inline: bool,
}

/// A program that runs its remaining arguments.
struct Wrapper {
    name: &'static str,
    flags: &'static [&'static str],
    /// Options with a value, attached or as the next word.
    valued: &'static [&'static str],
    /// Number of operands before the command.
    operands: usize,
    /// The first operand is a file that it opens.
    opens: bool,
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper { name: "env", flags: &[], valued: &[], operands: 0, opens: false },
    Wrapper { name: "nohup", flags: &[], valued: &[], operands: 0, opens: false },
    Wrapper { name: "time", flags: &["-p"], valued: &[], operands: 0, opens: false },
    Wrapper { name: "busybox", flags: &[], valued: &[], operands: 0, opens: false },
    Wrapper {
        name: "nice",
        flags: &[],
        valued: &["-n", "--adjustment"],
        operands: 0,
        opens: false,
    },
    Wrapper {
        name: "stdbuf",
        flags: &[],
        valued: &["-i", "-o", "-e", "--input", "--output", "--error"],
        operands: 0,
        opens: false,
    },
    Wrapper {
        name: "timeout",
        flags: &["--foreground", "--preserve-status", "-v", "--verbose"],
        valued: &["-s", "--signal", "-k", "--kill-after"],
        operands: 1,
        opens: false,
    },
    Wrapper {
        name: "flock",
        flags: &["-n", "--nonblock", "-x", "-e", "--exclusive", "-s", "--shared", "-o", "--close"],
        valued: &["-w", "--timeout", "-E", "--conflict-exit-code"],
        operands: 1,
        opens: true,
    },
];
/// System program folders: a wrapper elsewhere is another program.
const SYSTEM: &[&str] = &["/bin/", "/usr/bin/", "/usr/local/bin/"];

/// The commands below the wrappers of a command.
#[must_use]
pub fn unwrap(argv: &[String]) -> Unwrapped {
    match below(argv, 0) {
        Ok(commands) => Unwrapped::Commands(commands),
        Err(why) => Unwrapped::Opaque(why),
    }
}

fn below(argv: &[String], depth: usize) -> Result<Vec<Command>, Why> {
    let (mut argv, mut touches, mut wrapped) = (argv, Vec::new(), false);
    while let Some(inner) = peel(argv, &mut touches)? {
        let head = inner[0].as_str();
        if head.is_empty() || head.starts_with('-') {
            return Err(Why::Wrapper);
        }
        if head.contains('=') {
            return Err(Why::Assignment);
        }
        (argv, wrapped) = (inner, true);
    }
    if wrapped && (argv[0] == "cd" || programs::changes_the_shell(argv)) {
        return Err(Why::State);
    }
    let Some(text) = shell_text(argv) else {
        let inline = programs::is_inline(argv);
        let folders = vec![String::new()];
        return Ok(vec![Command { argv: argv.to_vec(), touches, folders, inline }]);
    };
    if depth == MAX_DEPTH {
        return Err(Why::Deep);
    }
    let segments = match reduce::reduce(text) {
        Reduced::Plan(segments) => segments,
        Reduced::Opaque(why) => return Err(why),
    };
    let mut commands = Vec::new();
    for segment in segments {
        for mut command in below(&segment.argv, depth + 1)? {
            command.touches.extend_from_slice(&touches);
            command.folders = nested(&segment.folders, &command.folders);
            commands.push(command);
        }
    }
    match commands.len() > MAX_SEGMENTS {
        true => Err(Why::Long),
        false => Ok(commands),
    }
}

/// Removes one wrapper, if there is one.
fn peel<'a>(argv: &'a [String], touches: &mut Vec<String>) -> Result<Option<&'a [String]>, Why> {
    let Some(wrapper) = argv.first().and_then(|program| wrapper(program)) else { return Ok(None) };
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        at += wrapper.option(word).ok_or(Why::Wrapper)?;
    }
    let inner = argv.get(at + wrapper.operands..).filter(|inner| !inner.is_empty());
    if wrapper.opens && inner.is_some() {
        touches.push(argv[at].clone());
    }
    Ok(inner)
}

/// Base name of a system program; other paths stay as they are.
fn of_system(program: &str) -> &str {
    SYSTEM.iter().find_map(|folder| program.strip_prefix(folder)).unwrap_or(program)
}

fn wrapper(program: &str) -> Option<&'static Wrapper> {
    let name = of_system(program);
    WRAPPERS.iter().find(|wrapper| wrapper.name == name)
}

impl Wrapper {
    /// Number of words that an option takes, if it is known.
    fn option(&self, word: &str) -> Option<usize> {
        if self.flags.contains(&word) {
            return Some(1);
        }
        if self.valued.contains(&word) {
            return Some(2);
        }
        let attached = self.valued.iter().any(|option| {
            let value = word.strip_prefix(option);
            value.is_some_and(|value| !option.starts_with("--") || value.starts_with('='))
        });
        let number = word[1..].bytes().all(|byte| byte.is_ascii_digit()) && word.len() > 1;
        (attached || (self.name == "nice" && number)).then_some(1)
    }
}

/// The script of `sh -c`, if there are no other arguments.
fn shell_text(argv: &[String]) -> Option<&str> {
    let [program, flags, text] = argv else { return None };
    let name = of_system(program);
    let letters = flags.strip_prefix('-')?;
    let plain = letters.ends_with('c') && letters.bytes().all(|flag| b"ceux".contains(&flag));
    (matches!(name, "ash" | "bash" | "dash" | "sh") && plain).then_some(text)
}

/// Folders of a nested command.
fn nested(outer: &[String], inner: &[String]) -> Vec<String> {
    let all = outer.iter().flat_map(|from| inner.iter().map(move |to| reduce::joined(from, to)));
    reduce::distinct(all.collect())
}
