//! Reads a message: text with settings, or a command with its arguments.

use features::runs::model::{QueueRequest, pause_ms};
use features::runs::rules::RunError;
use features::tasks::queries::error::TaskError;
use kernel::{
    ApprovalAnswer, DropPolicy, Fast, Problem, ProblemKind, QueueMode, Thinking, Verbosity,
};
use store::StoreError;

use super::{Command, find, named, similar};

/// A parsed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Text for the agent.
    Words(Words),
    /// A command that HQ carries out.
    Command(Request),
}

/// Text for the agent, with settings that apply to this message only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub text: String,
    /// The model name as typed.
    pub model: Option<String>,
    /// The thinking level; the inner `None` means the default.
    pub thinking: Option<Thinking>,
    pub fast: Option<Fast>,
    /// How the message is queued while a run works.
    pub mode: Option<QueueMode>,
}

/// The answer to a pending approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approve {
    /// The approval's id, the end of its id, or `first`.
    pub which: String,
    pub answer: ApprovalAnswer,
    /// A note for the agent.
    pub note: String,
}

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `/help`
    Help,
    /// `/status`
    Status,
    /// `/new`, `/reset`, with an optional model for the new session.
    New(Option<String>),
    /// `/stop`
    Stop,
    /// `/compact`, with the focus of the summary.
    Compact(String),
    /// `/model`: shows or sets the model; an empty name resets the choice.
    Model(Option<String>, bool),
    /// `/think`: shows or sets the level; the inner `None` resets the choice.
    Think(Option<Option<Thinking>>, bool),
    /// `/fast`: shows or sets fast mode; the inner `None` resets the choice.
    Fast(Option<Option<Fast>>),
    /// `/queue`: shows or sets the queue mode.
    Queue(Option<QueueRequest>),
    /// `/usage`
    Usage,
    /// `/context`; `true` for the detailed list.
    Context(bool),
    /// `/btw`
    Aside(String),
    /// `/jobs`
    Jobs,
    /// `/reasoning`: shows or sets whether thoughts are shown; the inner `None` resets the choice.
    Reasoning(Option<Option<bool>>),
    /// `/verbose`: shows or sets whether tools are shown; the inner `None` resets the choice.
    Verbose(Option<Option<Verbosity>>),
    /// `/answer`, for the named run or for the current run.
    Answer(Option<String>, String),
    /// `/approve`: lists pending approvals or answers one.
    Approve(Option<Approve>),
    /// `/rename`
    Rename(String),
    /// `/task`: an existing task, or a new one; `None` lists the person's own tasks.
    Task(Option<String>),
    /// `/tasks`
    Tasks,
    /// `/budget`
    Budget,
    /// `/pause`
    Pause,
    /// `/resume`
    Resume,
    /// `/agent`: one agent, or all.
    Agent(Option<String>),
}

/// Why a command is rejected.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No command has this name.
    #[error("there is no command /{name}; similar: {near}. Start with // to send it as text")]
    Unknown {
        /// The name as typed.
        name: String,
        /// Similar names.
        near: String,
    },
    /// The arguments are invalid.
    #[error("{what}; use /{usage}")]
    Arguments {
        /// What is wrong.
        what: String,
        /// The expected syntax.
        usage: String,
    },
    /// No connection has this model.
    #[error("no connection has a model {name}; similar: {near}")]
    Model {
        /// The name as typed.
        name: String,
        /// Similar models.
        near: String,
    },
    /// The command came with files, and commands take none.
    #[error("commands can't include files; send them with a message")]
    Files,
    /// The person may not use the command here.
    #[error("you can't use this command here")]
    NotAllowed,
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for CommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_command",
            Self::Arguments { .. } => "bad_command",
            Self::Model { .. } => "unknown_model",
            Self::Files => "command_with_files",
            Self::NotAllowed => "not_allowed",
            Self::Run(error) => error.code(),
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unknown { .. } | Self::Arguments { .. } | Self::Model { .. } | Self::Files => {
                ProblemKind::Invalid
            }
            Self::NotAllowed => ProblemKind::Forbidden,
            Self::Run(error) => error.kind(),
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}

/// Parses a message.
///
/// # Errors
/// The command does not exist, or its arguments are invalid.
pub fn read(text: &str) -> Result<Spoken, CommandError> {
    let mut words = Words::default();
    let mut left = text.trim();
    while let Some((name, rest)) = named(left) {
        let Some(spec) = find(&name) else {
            if words != Words::default() {
                break;
            }
            return Err(unknown(&name));
        };
        match (spec.name, directive(spec, rest)?) {
            (_, Some(Directive::Model(model, text))) => {
                words.model = Some(model);
                left = text;
            }
            (_, Some(Directive::Thinking(level, text))) => {
                words.thinking = level;
                left = text;
            }
            (_, Some(Directive::Fast(fast, text))) => {
                words.fast = fast;
                left = text;
            }
            ("steer", None) => {
                if rest.is_empty() {
                    return Err(wrong(spec, "enter a message"));
                }
                words.mode = Some(QueueMode::Steer);
                left = rest;
                break;
            }
            // After a directive, everything is text.
            (_, None) if words != Words::default() => break,
            (_, None) => return command(spec, rest).map(Spoken::Command),
        }
    }
    left.clone_into(&mut words.text);
    Ok(Spoken::Words(words))
}

fn unknown(name: &str) -> CommandError {
    let near: Vec<String> = similar(name).into_iter().map(|name| format!("/{name}")).collect();
    let name = kernel::text::cut(name, 40).to_owned();
    CommandError::Unknown { name, near: near.join(", ") }
}

fn wrong(spec: &Command, what: impl Into<String>) -> CommandError {
    let usage = format!("{} {}", spec.name, spec.arguments);
    CommandError::Arguments { what: what.into(), usage: usage.trim_end().to_owned() }
}

/// Whether a line that begins with a command's name is a message to the agent.
pub(super) fn is_said(spec: &Command, rest: &str) -> bool {
    match spec.name {
        "steer" => !rest.is_empty(),
        _ => matches!(directive(spec, rest), Ok(Some(_))),
    }
}

/// A setting that applies to the text after it.
enum Directive<'t> {
    Model(String, &'t str),
    Thinking(Option<Thinking>, &'t str),
    Fast(Option<Fast>, &'t str),
}

/// Parses `/model`, `/think` or `/fast` in front of text. Returns `None` if no text follows.
fn directive<'t>(spec: &Command, rest: &'t str) -> Result<Option<Directive<'t>>, CommandError> {
    let (first, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let text = text.trim();
    if text.is_empty() || text == "-s" || first == "-s" {
        return Ok(None);
    }
    Ok(match spec.name {
        "model" => Some(Directive::Model(first.to_owned(), text)),
        "think" => Some(Directive::Thinking(level(spec, first)?, text)),
        // `/fast` without a value means on.
        "fast" => Some(match choice(first) {
            Some(fast) => Directive::Fast(fast, text),
            None => Directive::Fast(Some(Fast::On), rest),
        }),
        _ => None,
    })
}

/// Parses a thinking level, including the synonyms of other programs. `None` means the default.
fn level(spec: &Command, word: &str) -> Result<Option<Thinking>, CommandError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "off" | "none" => Some(Thinking::None),
        "minimal" | "low" => Some(Thinking::Low),
        "medium" => Some(Thinking::Medium),
        "high" => Some(Thinking::High),
        "xhigh" | "max" | "ultra" => Some(Thinking::Max),
        "adaptive" | "default" => None,
        other => {
            let known: Vec<&str> = Thinking::ALL.iter().map(|level| level.word()).collect();
            let other = kernel::text::cut(other, 40);
            let what = format!("\"{other}\" isn't one of {}, default", known.join(", "));
            return Err(wrong(spec, what));
        }
    })
}

/// Parses the value of `/fast` or `/verbose`; the inner `None` means the default.
fn choice<T: std::str::FromStr>(word: &str) -> Option<Option<T>> {
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "default" => Some(None),
        word => word.parse().ok().map(Some),
    }
}

/// Parses the arguments of a command.
pub(super) fn command(spec: &Command, rest: &str) -> Result<Request, CommandError> {
    let (rest, lasts) = match (spec.name, rest.strip_suffix(" -s")) {
        ("model" | "think", Some(short)) => (short.trim(), true),
        ("model" | "think", None) if rest == "-s" => ("", true),
        _ => (rest, false),
    };
    let alone = |command| match rest.is_empty() {
        true => Ok(command),
        false => Err(wrong(spec, format!("/{} takes no arguments", spec.name))),
    };
    let given = (!rest.is_empty()).then(|| rest.to_owned());
    match spec.name {
        "help" => alone(Request::Help),
        "status" => alone(Request::Status),
        "stop" => alone(Request::Stop),
        "usage" => alone(Request::Usage),
        "context" => match rest {
            "" | "list" => Ok(Request::Context(false)),
            "detail" => Ok(Request::Context(true)),
            _ => Err(wrong(spec, "use detail or nothing")),
        },
        "steer" => Err(wrong(spec, "enter a message")),
        "reset" => alone(Request::New(None)),
        "new" if rest.contains(char::is_whitespace) => Err(wrong(spec, "use one model or none")),
        "new" => Ok(Request::New(given)),
        "compact" => Ok(Request::Compact(rest.to_owned())),
        "rename" => Ok(Request::Rename(rest.to_owned())),
        "btw" if rest.is_empty() => Err(wrong(spec, "enter a question")),
        "btw" => Ok(Request::Aside(rest.to_owned())),
        "jobs" => alone(Request::Jobs),
        "task" => Ok(Request::Task(given)),
        "tasks" => alone(Request::Tasks),
        "budget" => alone(Request::Budget),
        "pause" => alone(Request::Pause),
        "resume" => alone(Request::Resume),
        "agent" => Ok(Request::Agent(given)),
        "reasoning" => match rest.to_ascii_lowercase().as_str() {
            "" => Ok(Request::Reasoning(None)),
            "on" => Ok(Request::Reasoning(Some(Some(true)))),
            "off" => Ok(Request::Reasoning(Some(Some(false)))),
            "default" => Ok(Request::Reasoning(Some(None))),
            _ => Err(wrong(spec, "use on, off or default")),
        },
        "answer" => answer(spec, rest),
        "approve" => approve(spec, rest).map(Request::Approve),
        "model" if given.is_none() && lasts => Err(wrong(spec, "name the model to save")),
        "model" if rest == "default" => Ok(Request::Model(Some(String::new()), lasts)),
        "model" => Ok(Request::Model(given, lasts)),
        "think" if given.is_none() && lasts => Err(wrong(spec, "name the level to save")),
        "think" => {
            let level = given.map(|word| level(spec, &word)).transpose()?;
            Ok(Request::Think(level, lasts))
        }
        "fast" => match (rest, choice(rest)) {
            ("", _) => Ok(Request::Fast(None)),
            (_, Some(fast)) => Ok(Request::Fast(Some(fast))),
            _ => Err(wrong(spec, "use on, auto, off or default")),
        },
        "verbose" => match (rest, choice(rest)) {
            ("", _) => Ok(Request::Verbose(None)),
            (_, Some(shown)) => Ok(Request::Verbose(Some(shown))),
            _ => Err(wrong(spec, "use on, full, off or default")),
        },
        "queue" => queue(spec, rest).map(Request::Queue),
        _ => Err(unknown(spec.name)),
    }
}

/// Parses `R-12 text`, or the text alone.
fn answer(spec: &Command, rest: &str) -> Result<Request, CommandError> {
    let (first, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let digits = first.strip_prefix("R-").or_else(|| first.strip_prefix("r-"));
    let is_run = digits.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let (run, text) = match is_run {
        true => (Some(first.to_owned()), text.trim()),
        false => (None, rest),
    };
    match text {
        "" => Err(wrong(spec, "enter an answer")),
        text => Ok(Request::Answer(run, text.to_owned())),
    }
}

/// Parses `first once`, `0f3a9c11 deny not on a Friday`, or nothing.
fn approve(spec: &Command, rest: &str) -> Result<Option<Approve>, CommandError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (which, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim_start();
    let (word, note) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let answer = match word.to_ascii_lowercase().as_str() {
        "once" | "allow" | "yes" => ApprovalAnswer::Once,
        "run" => ApprovalAnswer::Run,
        "always" => ApprovalAnswer::Always,
        "deny" | "denied" | "no" => ApprovalAnswer::Denied,
        _ => return Err(wrong(spec, "use once, run, always or deny")),
    };
    Ok(Some(Approve { which: which.to_owned(), answer, note: note.trim().to_owned() }))
}

/// Parses `collect debounce:2s cap:25 drop:old`, or `default`.
fn queue(spec: &Command, rest: &str) -> Result<Option<QueueRequest>, CommandError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let mut wish = QueueRequest::default();
    for word in rest.split_whitespace() {
        let lower = word.to_ascii_lowercase();
        let Some((key, value)) = lower.split_once(':') else {
            match lower.parse::<QueueMode>() {
                Ok(mode) => wish.mode = Some(mode),
                Err(_) if matches!(lower.as_str(), "default" | "reset") => {
                    return Ok(Some(QueueRequest::default()));
                }
                Err(error) => return Err(wrong(spec, error.to_string())),
            }
            continue;
        };
        let bad = || wrong(spec, format!("\"{word}\" can't be"));
        match key {
            "debounce" => wish.debounce_ms = Some(pause_ms(value).ok_or_else(bad)?),
            "cap" => wish.cap = Some(value.parse().map_err(|_| bad())?),
            "drop" => wish.drop = Some(value.parse::<DropPolicy>().map_err(|_| bad())?),
            _ => return Err(bad()),
        }
    }
    Ok(Some(wish))
}
