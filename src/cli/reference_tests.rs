//! Keeps `docs/cli.md` equal to the commands and options of the program. `HQ_GOLDEN=write` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;

const HEAD: &str = "\
# Commands

Generated from the program. To update this file after changing a command, run
`HQ_GOLDEN=write cargo test --locked -p cli reference`.

Commands use the server on the data folder through its socket. If HQ isn't running, most of them work on the data folder
directly. With `--url` and `--token-file`, or `HQ_URL` and `HQ_TOKEN` in the environment, commands on a workspace, `hq status`,
`hq healthcheck`, `hq token list` and `hq token revoke` use a server on another machine.

Ids can be given as shortened in lists. Control characters in output are escaped. With `--json`, a failed
command prints `{\"ok\":false,\"error\":{\"message\":…}}`. [runs.md](runs.md) describes the output of `hq agent run --json`.

| Exit code | Meaning |
|---|---|
| 0 | success |
| 1 | a failure, or a check found something |
| 2 | wrong usage, no data folder, or no answer in time |
| 3 | HQ isn't running |
| 4 | `hq agent run` and `hq agent chat`: a limit cut the answer short |
";
/// An option that this many commands take is described once, at the top.
const COMMON: usize = 20;

#[test]
fn the_reference_has_every_command_and_option() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let wanted = reference();
    #[expect(clippy::disallowed_methods, reason = "asks whether to write the file")]
    if std::env::var("HQ_GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let line = there.lines().zip(wanted.lines()).find(|(old, new)| old != new);
    assert!(
        there == wanted,
        "docs/cli.md is out of date, first at {line:?}; run with HQ_GOLDEN=write"
    );
}

fn reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut uses = BTreeMap::new();
    count(&root, &mut uses);
    uses.retain(|_, times| *times >= COMMON);
    let mut out = HEAD.to_owned();
    let global = root.get_arguments().filter(|arg| arg.is_global_set()).map(described);
    out.push_str("\nEvery command takes:\n\n");
    global.for_each(|line| out.push_str(&line));
    out.push_str("\nMost commands on a workspace also take:\n\n");
    uses.keys().for_each(|line| out.push_str(line));
    let shown = || root.get_subcommands().filter(|one| !one.is_hide_set());
    out.push_str("\n## hq\n");
    section(&mut out, &shown().filter(|one| !one.has_subcommands()).collect::<Vec<_>>(), &uses);
    for group in shown().filter(|one| one.has_subcommands()) {
        let name = group.get_bin_name().unwrap_or_default();
        write!(out, "\n## {name}\n\n{}.\n", prose(&about(group))).unwrap();
        let mut rows = Vec::new();
        below(group, &mut rows);
        section(&mut out, &rows, &uses);
    }
    out
}

/// The commands that can be run at and below this one.
fn below<'a>(command: &'a Command, rows: &mut Vec<&'a Command>) {
    if !command.is_subcommand_required_set() {
        rows.push(command);
    }
    command.get_subcommands().filter(|one| !one.is_hide_set()).for_each(|one| below(one, rows));
}

/// How many commands take each option.
fn count(command: &Command, uses: &mut BTreeMap<String, usize>) {
    for arg in own(command).filter(|arg| !arg.is_positional()) {
        *uses.entry(described(arg)).or_default() += 1;
    }
    command.get_subcommands().for_each(|one| count(one, uses));
}

/// A table of commands, then the arguments of those that have any.
fn section(out: &mut String, rows: &[&Command], uses: &BTreeMap<String, usize>) {
    out.push_str("\n| Command | What it does |\n|---|---|\n");
    for row in rows {
        let others: Vec<&str> = row.get_visible_aliases().collect();
        let others = match others.len() {
            0 => String::new(),
            1 => format!(" [alias: {}]", others[0]),
            _ => format!(" [aliases: {}]", others.join(", ")),
        };
        let what = prose(&about(row)) + &others;
        writeln!(out, "| `{}` | {} |", cell(&usage(row)), cell(&what)).unwrap();
    }
    for row in rows {
        let lines: Vec<String> =
            own(row).map(described).filter(|it| !uses.contains_key(it)).collect();
        let more = row.get_long_about().map(ToString::to_string).unwrap_or_default();
        let more = more.split_once("\n\n").map(|(_, rest)| prose(rest));
        if lines.is_empty() && more.is_none() {
            continue;
        }
        write!(out, "\n**`{}`**\n\n", usage(row)).unwrap();
        if let Some(more) = more {
            writeln!(out, "{}{}", more.trim_end(), if lines.is_empty() { "" } else { "\n" })
                .unwrap();
        }
        lines.iter().for_each(|line| out.push_str(line));
    }
}

/// The arguments that only this command declares.
fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        !(arg.is_global_set() || arg.is_hide_set() || id == "help" || id == "version")
    })
}

fn usage(command: &Command) -> String {
    let places = own(command).filter(|arg| arg.is_positional()).map(ToString::to_string);
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    std::iter::once(name).chain(places).collect::<Vec<_>>().join(" ")
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// One line of a list: the argument, its help, values and default.
fn described(arg: &Arg) -> String {
    let short = arg.get_short().filter(|_| arg.get_long().is_some());
    let short = short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let mut line = format!("- `{short}{arg}`");
    if let Some(help) = arg.get_help() {
        write!(line, ": {}", prose(&help.to_string())).unwrap();
    }
    let takes = arg.get_action().takes_values();
    let usual = arg.get_default_values().iter().map(|it| it.to_string_lossy());
    let usual: Vec<_> = usual.filter(|it| !it.is_empty()).collect();
    if takes && !usual.is_empty() && !arg.is_hide_default_value_set() {
        write!(line, " [default: {}]", usual.join(", ")).unwrap();
    }
    let values = arg.get_possible_values();
    let values: Vec<&str> =
        values.iter().filter(|it| takes && !it.is_hide_set()).map(|it| it.get_name()).collect();
    if !values.is_empty() && !arg.is_hide_possible_values_set() {
        write!(line, " [possible values: {}]", values.join(", ")).unwrap();
    }
    line + "\n"
}

/// Text of a command's help as Markdown: outside of code, `<` would begin a tag.
fn prose(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => part.replace('<', "\\<").replace('*', "\\*"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
