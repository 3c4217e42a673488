//! Commands of the nouns on the kit: `hq <noun> list`, `show`, `add`, `edit`, `remove`, and one for each operation.
//! They are generated from the noun's field table and call its API.

use std::path::Path;

use clap::{Arg, ArgMatches, FromArgMatches, Subcommand};
use serde_json::{Map, Value};

use entity::{Field, InputKind, Type};
use kernel::text::capitalized;
use kernel::{Colour, Hue};
use kit::{Answers, Noun, On, Op};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::mcp_serve;
use super::reach::CommandError;
use super::show::{listed, part, query, quoted};

/// `hq <noun> …`
pub struct Command {
    noun: &'static Noun,
    matches: ArgMatches,
}

fn all() -> impl Iterator<Item = &'static Noun> + Clone {
    server::doors::nouns().filter(|noun| noun.commands)
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let noun = all().find(|noun| noun.word() == name).ok_or_else(missing)?;
        Ok(Self { noun, matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        all().fold(command, |command, noun| command.subcommand(of_noun(noun)))
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        all().any(|noun| noun.word() == name)
    }
}

fn of_noun(noun: &'static Noun) -> clap::Command {
    let entity = noun.entity;
    let mut verbs = vec!["list", "show"];
    let sub =
        |name: &'static str, about: String| clap::Command::new(name).about(about).arg(workspace());
    let mut list = sub("list", format!("List all {}", entity.many));
    for field in noun.select.map_or(&[][..], |select| select.params) {
        list = list.arg(argument(field, false));
    }
    if noun.is_paged() {
        list = list
            .arg(flag("q", "Words to search for"))
            .arg(flag("after", "Continue after the previous page"))
            .arg(flag("limit", "Maximum number, up to 100"));
    }
    let show = sub("show", capitalized(&entity.a())).alias("info").arg(which(noun));
    let mut all = vec![list, show];
    if noun.acts.create {
        verbs.push("add");
        let mut add = sub("add", format!("Create {}", entity.a()));
        for field in entered(entity.fields, true) {
            add = add.arg(match field.key == noun.trailing {
                true => trailing(field),
                false => argument(field, is_first(noun, field)),
            });
        }
        all.push(add);
    }
    if noun.acts.change {
        verbs.push("edit");
        let mut edit = sub("edit", format!("Change {}", entity.a())).arg(which(noun));
        for field in entered(entity.fields, false) {
            edit = edit.arg(argument(field, false).required(false));
        }
        all.push(edit);
    }
    for op in noun.ops {
        verbs.push(op.name);
        let mut command = sub(op.name, op.about.to_owned());
        if op.on == On::One {
            command = command.arg(which(noun));
        }
        let arg = |field: &'static Field| {
            let arg = argument(field, field.key == SOURCE);
            match op.file().filter(|_| field.key == SOURCE) {
                Some(file) => arg.required_unless_present(option(file)),
                None => arg,
            }
        };
        all.push(op.input.iter().fold(command, |command, field| command.arg(arg(field))));
    }
    if noun.acts.delete {
        verbs.push("remove");
        all.push(sub("remove", format!("Delete {}", entity.a())).arg(which(noun)));
    }
    let is_beside = noun.word() == mcp_serve::BESIDE;
    if is_beside {
        verbs.push("serve");
    }
    let about = format!("{}: {}", capitalized(entity.many), verbs.join(", "));
    let command = clap::Command::new(noun.word())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(all);
    match is_beside {
        // The enum's own description replaces the one of the noun.
        true => mcp_serve::Command::augment_subcommands(command).about(about),
        false => command.about(about),
    }
}

fn workspace() -> Arg {
    flag("workspace", "The workspace; optional if there is one").value_name("SLUG")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help)
}

fn which(noun: &Noun) -> Arg {
    Arg::new("which")
        .value_name(noun.entity.word.to_uppercase())
        .help("The name or id")
        .required(true)
}

fn entered(fields: &'static [Field], is_new: bool) -> impl Iterator<Item = &'static Field> {
    let is_asked = move |field: &&Field| field.input.is_entered_when(is_new);
    // A file is no part of a JSON body.
    fields.iter().filter(is_asked).filter(|field| field.file_kind().is_none())
}

/// Whether a field is the positional argument of `add`: the first required one.
fn is_first(noun: &Noun, field: &Field) -> bool {
    let first = entered(noun.entity.fields, true).find(|field| field.input.required);
    first.is_some_and(|first| first.key == field.key)
}

/// The field of operations that is an argument without a name: an address or a path.
const SOURCE: &str = "source";

/// Options of every command.
const GLOBAL: [&str; 7] = ["data", "json", "log", "url", "token", "token-file", "workspace"];

/// The option of a field. A field whose key is an option of every command takes its label: `--bot-token`. Options of
/// lists are repeated, so they are singular.
fn option(field: &Field) -> String {
    let mut plain = field.key.replace('_', "-");
    if matches!(field.input.kind, InputKind::Lines) && plain.ends_with('s') {
        plain.pop();
    }
    if GLOBAL.contains(&plain.as_str()) { field.label.replace(' ', "-") } else { plain }
}

fn argument(field: &'static Field, is_first: bool) -> Arg {
    let label = capitalized(field.label);
    let taken = match field.input.kind {
        InputKind::Colour => "a name such as blue, a word from c1 to c12, or #1f7a5c",
        InputKind::Person => "me, a slug, a handle, or none",
        InputKind::Day => "a day (2026-12-24), or none",
        InputKind::Moment => "a time (2026-12-24T14:30Z), or none",
        InputKind::Secret => "a line of standard input if -",
        InputKind::File(_) => "a file of this machine",
        _ => "",
    };
    let words = [taken, field.input.about].into_iter().filter(|words| !words.is_empty());
    let words: Vec<&str> = words.collect();
    let help = if words.is_empty() { label } else { format!("{label}: {}", words.join("; ")) };
    let arg = Arg::new(option(field)).help(help).required(field.input.required);
    let arg = arg.allow_negative_numbers(true);
    if is_first {
        return arg.value_name(field.key.to_uppercase());
    }
    let arg = arg.long(option(field)).value_name(field.key.to_uppercase());
    match field.input.kind {
        InputKind::Flag => {
            arg.num_args(0..=1).default_missing_value("yes").value_parser(["yes", "no"])
        }
        InputKind::Hue => {
            arg.value_parser(clap::builder::PossibleValuesParser::new(Hue::WORDS.iter().copied()))
        }
        // Checked here, sent as text.
        InputKind::Colour => arg.value_parser(|text: &str| match text.parse::<Colour>() {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(error.to_string()),
        }),
        InputKind::Lines => arg.action(clap::ArgAction::Append).allow_hyphen_values(true),
        InputKind::Choice(words, _) => {
            arg.value_parser(clap::builder::PossibleValuesParser::new(words))
        }
        _ => arg,
    }
}

/// A list that takes the words after `--`.
fn trailing(field: &'static Field) -> Arg {
    Arg::new(option(field))
        .value_name(field.key.to_uppercase())
        .help(format!("{}: all words after --", capitalized(field.label)))
        .num_args(0..)
        .last(true)
}

/// A file or folder of this machine with its whole path; other texts as they are.
fn located(text: &str) -> String {
    // ok: what is no path here is an address.
    let path = std::fs::canonicalize(text).ok();
    path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| text.to_owned())
}

/// The JSON body of the given fields.
fn body(
    fields: &'static [Field],
    is_new: bool,
    matches: &ArgMatches,
) -> Result<Value, CommandError> {
    let mut body = Map::new();
    for field in entered(fields, is_new) {
        if matches!(field.input.kind, InputKind::Lines) {
            if let Some(all) = matches.get_many::<String>(&option(field)) {
                body.insert(field.key.to_owned(), all.cloned().collect());
            }
            continue;
        }
        let Some(text) = matches.get_one::<String>(&option(field)) else { continue };
        let value = match field.input.kind {
            _ if field.key == SOURCE => Value::String(located(text)),
            // Arguments are visible to other users of the machine.
            InputKind::Secret if text == "-" => {
                let mut line = String::new();
                let read = std::io::stdin().read_line(&mut line);
                read.map_err(|error| CommandError::Failed(format!("standard input: {error}")))?;
                Value::String(line.trim().to_owned())
            }
            _ => field.parse_input(text),
        };
        body.insert(field.key.to_owned(), value);
    }
    Ok(Value::Object(body))
}

/// The request that sends a file of this machine: that of the option, or the source if HQ is on another machine, which
/// cannot read it.
fn upload(
    op: &'static Op,
    door: &Door,
    at: &str,
    matches: &ArgMatches,
) -> Result<Option<Ask>, CommandError> {
    let Some(file) = op.file() else { return Ok(None) };
    let source = text(matches, SOURCE).filter(|_| matches!(door, Door::There(..)));
    let (path, is_source) = match (text(matches, &option(file)), source) {
        (Some(path), _) => (path, false),
        (None, Some(source)) if Path::new(source).is_dir() => {
            let text =
                format!("{source} is a folder of this machine; send a .zip or .tar.gz of it");
            return Err(CommandError::Failed(text));
        }
        (None, Some(source)) if Path::new(source).is_file() => (source, true),
        _ => return Ok(None),
    };
    let unreadable =
        |error: std::io::Error| CommandError::Failed(format!("couldn't read {path}: {error}"));
    let most = file.file_kind().map_or(u64::MAX, |kind| kind.max_bytes);
    if most < std::fs::metadata(path).map_err(unreadable)?.len() {
        return Err(CommandError::Failed(format!("{path} is larger than {} MB", most >> 20)));
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let mut params = vec![("name", name.as_deref())];
    for field in entered(op.input, true).filter(|field| !is_source || field.key != SOURCE) {
        match field.input.kind {
            InputKind::Lines => {
                let all = matches.get_many::<String>(&option(field)).into_iter().flatten();
                params.extend(all.map(|one| (field.key, Some(one.as_str()))));
            }
            _ => params.push((field.key, text(matches, &option(field)))),
        }
    }
    Ok(Some(Ask::file(format!("{at}{}", query(&params)), content)))
}

fn text<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let Command { noun, matches } = command;
    if noun.word() == mcp_serve::BESIDE
        && let Ok(beside) = mcp_serve::Command::from_arg_matches(&matches)
    {
        return mcp_serve::run(door, beside).await;
    }
    let Some((verb, matches)) = matches.subcommand() else {
        return Err(CommandError::Failed("say what to do".to_owned()));
    };
    let all = format!("/api/v1/{}", noun.plural);
    let which = text(matches, "which").map(|which| format!("{all}/{}", part(which)));
    let one = which.clone().unwrap_or_else(|| all.clone());
    let fields = noun.entity.fields;
    let ask = match verb {
        "list" => {
            let params = noun.select.map_or(&[][..], |select| select.params);
            let own = params.iter().map(|field| (field.key, text(matches, &option(field))));
            let paging = ["q", "after", "limit"].map(|name| (name, text(matches, name)));
            let values: Vec<_> = own.chain(paging).collect();
            Ask::get(format!("{all}{}", query(&values)))
        }
        "show" => Ask::get(one),
        "add" => Ask::post(all, &body(fields, true, matches)?),
        "edit" => {
            let body = body(fields, false, matches)?;
            if body.as_object().is_none_or(Map::is_empty) {
                let flags: Vec<String> =
                    entered(fields, false).map(|field| format!("--{}", option(field))).collect();
                let text = format!("say what to change: {}", flags.join(", "));
                return Err(CommandError::Failed(text));
            }
            Ask::patch(one, &body)
        }
        "remove" => Ask::delete(one),
        name => match noun.op(name) {
            Some(op) => {
                let at = format!("{one}/{name}");
                match upload(op, door, &at, matches)? {
                    Some(ask) => ask,
                    None => Ask::post(at, &body(op.input, true, matches)?),
                }
            }
            None => return Err(CommandError::Failed(format!("there is no command {name}"))),
        },
    };
    let workspace = text(matches, "workspace").map(str::to_owned);
    let answer = door.call(ask.within(workspace.as_ref())).await?;
    let lines = match (verb, noun.op(verb)) {
        ("list", _) => listed(&answer, |one| row(noun, one), &format!("No {}.", noun.entity.many)),
        ("remove", _) => {
            let name = match word(&answer, "name") {
                "" => text(matches, "which").unwrap_or_default(),
                name => name,
            };
            vec![format!("Deleted {}.", quoted(name))]
        }
        (_, Some(op)) => done(noun, op, &answer),
        _ => vec![line(noun, &answer)],
    };
    print(common, &answer, &lines)
}

fn done(noun: &Noun, op: &Op, answer: &Value) -> Vec<String> {
    match (op.answers, word(answer, "message")) {
        (Answers::Record, _) => vec![line(noun, answer)],
        (_, "") => vec![format!("{}.", op.done)],
        (_, message) => vec![message.to_owned()],
    }
}

/// The values of a record without its name, as text.
fn texts(noun: &Noun, record: &Value) -> Vec<String> {
    // Times and hashes that HQ itself writes are in `--json`.
    let is_noise = |field: &Field| {
        let is_entered = field.input.is_entered_when(true) || field.input.is_entered_when(false);
        !is_entered && (field.name.is_empty() || matches!(field.of, Type::Moment))
    };
    let shown = noun.entity.fields.iter();
    let shown = shown.filter(|field| !field.internal && field.key != "name" && !is_noise(field));
    let text = |field: &Field| match &record[field.key] {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(field.label.to_owned()),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(who) if who.contains_key("handle") => {
            Some(word(&record[field.key], "handle").to_owned())
        }
        Value::Array(lines) if matches!(field.input.kind, InputKind::Lines) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            (!lines.is_empty()).then(|| lines.join(" "))
        }
        Value::Object(_) | Value::Array(_) => None,
        other => Some(other.to_string()),
    };
    shown.filter_map(text).collect()
}

fn row(noun: &Noun, record: &Value) -> Vec<String> {
    let name = word(record, "name");
    // Records without a name are referred to by id.
    let first = if name.is_empty() { word(record, "id").to_owned() } else { quoted(name) };
    let mut row = vec![first];
    row.extend(texts(noun, record));
    row.extend(computed(noun, record));
    row
}

/// Computed texts of a record, such as the state of a channel.
fn computed(noun: &Noun, record: &Value) -> Vec<String> {
    let Some(extra) = noun.extra else { return Vec::new() };
    let keys = (extra.schema)();
    let shown = keys.keys().filter(|key| !key.ends_with("_path"));
    let texts = shown.map(|key| word(record, key)).filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

/// ""launch" · blue · What goes out with the launch".
fn line(noun: &Noun, record: &Value) -> String {
    row(noun, record).join(" · ")
}
