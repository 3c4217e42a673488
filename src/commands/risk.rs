//! Risk assessment of a line, for the approving person.

use super::programs::{self, Tool};
use super::reduce::{Reduced, Segment};
use super::unwrap::{self, Command, Unwrapped};

/// A risk level with its main reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    pub level: Level,
    /// A few words.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only reads.
    Low,
    /// Changes something, or is unknown.
    Medium,
    /// Destroys, publishes, gains privileges or runs downloaded code.
    High,
}

/// Names that make an unreadable line a high risk, wherever they occur.
const ALARMS: &str =
    "curl dd doas ftp mkfs nc ncat rsync scp sftp shred socat ssh sudo telnet wget";
const FETCHERS: &str = "aria2c curl fetch wget";
const RIGHTS: &str = "doas pkexec run0 runuser su sudo";
const DESTROYERS: &str =
    "blkdiscard dd fdisk halt mkswap parted poweroff reboot sfdisk shred shutdown wipefs";
/// Programs that run their arguments as a command.
const CARRIERS: &str = "doas find fd parallel setsid sudo watch xargs";
/// Limit of nested commands that are read.
const MAX_CARRIED: usize = 8;
/// Path components of typical key files.
const KEYS: &str = ".aws .env .gnupg .netrc .ssh id_ed25519 id_rsa shadow";

/// Risk of a line; `text` is searched for names if the line could not be reduced.
#[must_use]
pub fn risk(text: &str, line: &Reduced) -> Risk {
    match line {
        Reduced::Plan(segments) => of_plan(segments),
        Reduced::Opaque(why) => of_text(text, &why.to_string()),
    }
}

fn of_plan(segments: &[Segment]) -> Risk {
    let mut worst = Risk::new(Level::Low, "it only reads");
    let mut fetched = false;
    for segment in segments {
        let commands = match unwrap::unwrap(&segment.argv) {
            Unwrapped::Commands(commands) => commands,
            Unwrapped::Opaque(why) => {
                worst.raise(of_text(&segment.argv.join(" "), &why.to_string()));
                continue;
            }
        };
        for command in &commands {
            worst.raise(match fetched && runs_code(command) {
                true => Risk::new(Level::High, "it runs code after fetching something"),
                false => of_words(&command.argv, command.inline, 0),
            });
            fetched |= programs::among(FETCHERS, programs::family(&command.argv[0]));
        }
    }
    worst
}

/// Whether a command runs code that an earlier command may have fetched.
fn runs_code(command: &Command) -> bool {
    let program = command.argv[0].as_str();
    program.contains('/')
        || programs::is_interpreter(program)
        || programs::among(CARRIERS, programs::family(program))
}

fn of_text(text: &str, why: &str) -> Risk {
    let parts: Vec<&str> = text
        .split(|sign: char| !sign.is_alphanumeric() && sign != '-')
        .filter(|part| !part.is_empty())
        .collect();
    let alarm = parts.iter().find(|part| programs::among(ALARMS, part) || part.starts_with("mkfs"));
    let pushes = parts.windows(2).any(|pair| pair == ["git", "push"] || pair[1] == "publish");
    let removes = parts.windows(2).any(|pair| pair[0] == "rm" && recursive(pair[1]));
    let level = match alarm.is_some() || pushes || removes {
        true => Level::High,
        false => Level::Medium,
    };
    match alarm {
        Some(name) => Risk::new(level, &format!("{why}, and it names {name}")),
        None => Risk::new(level, why),
    }
}

/// Risk of a program with its arguments, and of nested commands.
fn of_words(argv: &[String], inline: bool, depth: usize) -> Risk {
    let mut worst = of_program(argv, inline);
    let Some(inner) = carried(argv) else { return worst };
    if depth == MAX_CARRIED {
        return Risk::new(Level::High, "commands are nested");
    }
    match unwrap::unwrap(inner) {
        Unwrapped::Opaque(why) => worst.raise(of_text(&inner.join(" "), &why.to_string())),
        Unwrapped::Commands(commands) => {
            for command in commands {
                worst.raise(of_words(&command.argv, command.inline, depth + 1));
            }
        }
    }
    worst
}

/// The nested command in the arguments.
fn carried(argv: &[String]) -> Option<&[String]> {
    let program = programs::family(&argv[0]);
    let mut words = argv.iter().skip(1);
    let at = match program {
        "find" | "fd" => words.position(|word| programs::runs_for_each(word))? + 2,
        _ if programs::among(CARRIERS, program) => {
            words.position(|word| !word.starts_with('-'))? + 1
        }
        _ => return None,
    };
    argv.get(at..).filter(|inner| !inner.is_empty())
}

fn of_program(argv: &[String], inline: bool) -> Risk {
    let (program, words) = (programs::family(&argv[0]), &argv[1..]);
    if let Some(reason) = high(program, words) {
        return Risk::new(Level::High, reason);
    }
    if inline {
        return of_text(&words.join(" "), "it runs code from its arguments or input");
    }
    if words.iter().any(|word| word.split('/').any(|part| programs::among(KEYS, part))) {
        return Risk::new(Level::Medium, "it names a place where keys are usually stored");
    }
    let carries = words.iter().any(|word| word.starts_with('-') && programs::carries(word));
    let looks = argv[0] == program
        && !carries
        && match Tool::named(program) {
            Some(tool) => {
                tool.only_looks(words) && !words.iter().any(|word| word.starts_with("-O"))
            }
            None if program == "sort" || program == "tree" => {
                !words.iter().any(|word| word.starts_with("-o"))
            }
            None => programs::looks(program) || program == "command",
        };
    match looks {
        true => Risk::new(Level::Low, "it only reads"),
        false => Risk::new(Level::Medium, "it might change something"),
    }
}

/// Why a command is a high risk on its own.
fn high(program: &str, words: &[String]) -> Option<&'static str> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let all_below = words.iter().any(|word| recursive(word));
    match program {
        _ if programs::among(RIGHTS, program) => Some("it runs as another user"),
        _ if programs::among(DESTROYERS, program) || program.starts_with("mkfs") => {
            Some("it can destroy a disk or stop the machine")
        }
        "rm" if all_below => Some("it removes whole folders"),
        "chmod" | "chown" | "chgrp" if all_below => Some("it changes permissions of whole folders"),
        "find" if has(&["-delete"]) => Some("it removes whatever it finds"),
        "git" => git(words),
        "kubectl" if has(&["delete"]) => Some("it removes something that runs elsewhere"),
        "terraform" | "tofu" if has(&["apply", "destroy"]) => {
            Some("it changes something that runs elsewhere")
        }
        _ if publishes(program, words) => Some("it publishes something"),
        _ => None,
    }
}

/// Why a git command is a high risk.
fn git(words: &[String]) -> Option<&'static str> {
    let verb = |name: &str| words.iter().any(|word| word == name);
    let cut = |long: &str| {
        words
            .iter()
            .any(|word| word.len() > 3 && word.starts_with("--") && long.starts_with(word.as_str()))
    };
    let short = |letter: char| {
        words
            .iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    let forced = || {
        let refs = words.iter().any(|word| word.starts_with('+') || word.starts_with(':'));
        let lease = words.iter().any(|word| word.starts_with("--force"));
        refs || lease
            || cut("--force")
            || cut("--mirror")
            || cut("--delete")
            || short('f')
            || short('d')
    };
    if verb("push") && forced() {
        return Some("it overwrites or removes other people’s work");
    }
    if verb("reset") && cut("--hard") || verb("clean") && (short('f') || cut("--force")) {
        return Some("it discards unsaved work");
    }
    None
}

/// Whether the arguments make a program publish something.
fn publishes(program: &str, words: &[String]) -> bool {
    let name = match program {
        "docker" | "dotnet" | "gem" | "helm" | "podman" => "push",
        "twine" => "upload",
        "bun" | "cargo" | "npm" | "pnpm" | "poetry" | "uv" | "yarn" => "publish",
        _ => return false,
    };
    words.iter().any(|word| word == name)
}

/// Whether an option means recursion, alone or among combined letters.
fn recursive(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => long.len() > 2 && "recursive".starts_with(long),
        None => word.starts_with('-') && word.contains(['r', 'R']),
    }
}

impl Risk {
    fn new(level: Level, reason: &str) -> Self {
        Self { level, reason: reason.to_owned() }
    }

    fn raise(&mut self, other: Self) {
        if other.level > self.level {
            *self = other;
        }
    }
}
