//! Tool calls as the run's page shows them: in words, with input and output in a suitable format. Unknown tools are
//! shown by name with all arguments.

use features::runs::model::CallStatus;
use features::runs::queries::doing::{Doing, arguments, doing, first_of, uncoded};
use features::runs::queries::steps::{CallState, ToolCall};
use features::trust::model::BROWSER;
use kernel::text::{ellipsis, head_tail};
use tool::patch::{self, HunkLine, Op};
use web::html::SafeHtml;
use web::term;

/// The most of an output shown at once, in bytes.
const SHOWN: usize = 6_000;
/// Maximum number of lines of a file or diff shown.
const LINES: usize = 60;

/// A tool call in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Icon of the step.
    pub icon: &'static str,
    /// The action.
    pub verb: String,
    pub what: String,
    /// Category of the time in the trace bar.
    pub kind: &'static str,
    /// Input and output.
    pub parts: Vec<Piece>,
}

/// A part of the input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A command with its output.
    Terminal {
        /// The command.
        title: String,
        /// The output as plain text, for copying.
        text: String,
        /// The output as a terminal shows it.
        shown: SafeHtml,
        /// Exit status.
        foot: String,
        /// Whether the command failed.
        failed: bool,
    },
    /// The steps of a plan.
    Plan(Vec<(Stage, String)>),
    /// Why a tool failed.
    Error(String),
    Words(String),
    /// A file that was written.
    File {
        /// The action.
        verb: String,
        /// The path.
        title: String,
        /// The first lines.
        text: String,
        /// A remark.
        foot: String,
    },
    /// A diff of a file.
    Change {
        /// The action; empty if the step's title states it.
        verb: String,
        /// The path.
        title: String,
        lines: Vec<Line>,
        /// Numbers of added and removed lines.
        count: (usize, usize),
    },
    /// Input and output, collapsed.
    Fold {
        /// First line of the output.
        meta: String,
        /// Input; may be empty.
        input: String,
        /// Output; may be empty.
        output: String,
    },
}

/// Progress of a plan's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not started.
    Todo,
    /// In progress.
    Doing,
    Done,
}

impl Stage {
    pub fn icon(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Doing => "in_progress",
            Self::Done => "done",
        }
    }

    /// The word for its CSS class.
    pub fn word(self) -> &'static str {
        self.icon()
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Todo => "To do",
            Self::Doing => "Doing",
            Self::Done => "Done",
        }
    }
}

/// A line of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An unchanged line.
    Same(String),
    /// A removed line.
    Gone(String),
    Came(String),
    /// Omitted lines.
    Between,
}

impl Piece {
    /// A command's output. The exit status may be in brackets on its first line.
    fn terminal(title: String, output: &str, failed: bool) -> Self {
        let first = output.split_once('\n').unwrap_or((output, ""));
        let note = first.0.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        let (foot, text) = note.map_or(("", output), |note| (note, first.1));
        let text = shortened(text);
        let (foot, shown) = (foot.to_owned(), term::html(&text));
        Self::Terminal { title, shown, text: term::plain(&text), foot, failed }
    }

    fn change(title: String, mut lines: Vec<Line>) -> Self {
        let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
        let came = count(|line| matches!(line, Line::Came(_)));
        let gone = count(|line| matches!(line, Line::Gone(_)));
        if LINES < lines.len() {
            lines.truncate(LINES);
            lines.push(Line::Between);
        }
        Self::Change { verb: String::new(), title, lines, count: (came, gone) }
    }

    /// Moves the action into the part's own heading, so that the step's title does not repeat it.
    fn alone(self, shown: &mut Told) -> Self {
        let (verb, what) = (std::mem::take(&mut shown.verb), std::mem::take(&mut shown.what));
        match self {
            Self::Change { lines, count, .. } => Self::Change { verb, title: what, lines, count },
            Self::File { text, foot, .. } => Self::File { verb, title: what, text, foot },
            other => other,
        }
    }
}

/// Describes a call.
pub(super) fn tell(call: &ToolCall) -> Told {
    let args = arguments(call);
    let Doing { icon, verb, what, kind } = doing(call);
    let mut shown = Told { icon, verb, what, kind, parts: Vec::new() };
    let failed = matches!(call.state, CallState::Ended(status) if status != CallStatus::Ok);
    let output = call.result.as_ref().map(|(body, _)| body.head()).unwrap_or_default();
    let uncoded = if failed { uncoded(output) } else { String::new() };
    let output = if failed { uncoded.as_str() } else { output };
    // The marks around untrusted content are for models only.
    let unmarked = (call.name == BROWSER).then(|| unmarked(output));
    let output = unmarked.as_deref().unwrap_or(output);
    match call.name.as_str() {
        "process" if !output.is_empty() => {
            let title = format!("program {}", shown.what);
            shown.parts.push(Piece::terminal(title, output, failed));
            return shown;
        }
        "exec" if !output.is_empty() => {
            let title = ellipsis(&shown.what, 160);
            shown.parts.push(Piece::terminal(title, output, failed));
            (shown.verb, shown.what) = (String::new(), String::new());
            return shown;
        }
        "progress" if !failed => {
            let plan: Vec<_> = output.lines().filter_map(stage).collect();
            shown.parts.extend((!plan.is_empty()).then_some(Piece::Plan(plan)));
            return shown;
        }
        "ask_person" if !failed => {
            // The answer names its author.
            shown.parts.extend((!output.is_empty()).then(|| Piece::Words(output.to_owned())));
            return shown;
        }
        "write" if !failed => {
            let text = first_of(&args, &["content", "text"]);
            let lines = text.lines().count();
            let foot = match LINES < lines {
                true => format!("{lines} lines, the first {LINES} are shown"),
                false => String::new(),
            };
            let text = text.lines().take(LINES).collect::<Vec<_>>().join("\n");
            let file = Piece::File { verb: String::new(), title: String::new(), text, foot };
            let file = file.alone(&mut shown);
            shown.parts.push(file);
            return shown;
        }
        "edit" if !failed => {
            let text = |names: &[&str]| first_of(&args, names);
            let mut lines = in_diff(output);
            if lines.is_empty() {
                let gone = text(&["oldText", "old", "old_text", "old_string", "find", "before"]);
                let came = text(&["newText", "new", "new_text", "new_string", "replace", "after"]);
                lines.extend(gone.lines().map(|line| Line::Gone(line.to_owned())));
                lines.extend(came.lines().map(|line| Line::Came(line.to_owned())));
            }
            if !lines.is_empty() {
                let change = Piece::change(String::new(), lines).alone(&mut shown);
                shown.parts.push(change);
                return shown;
            }
        }
        "apply_patch" if !failed => {
            shown.parts = in_patch(&first_of(&args, &["input", "patch", "diff"]));
            if !shown.parts.is_empty() {
                shown.what = match call.paths.as_slice() {
                    [one] => one.clone(),
                    many => format!("{} files", many.len()),
                };
                return shown;
            }
        }
        _ => {}
    }
    let input = match args.is_empty() {
        false => serde_json::to_string_pretty(&args).unwrap_or_default(),
        true if matches!(call.arguments.trim(), "" | "{}") => String::new(),
        true => call.arguments.clone(),
    };
    if call.name == "task_get" && shown.what.is_empty() {
        shown.what = task_in(output);
    }
    let output = match failed && !output.trim().is_empty() {
        true => {
            shown.parts.push(Piece::Error(shortened(output.trim())));
            ""
        }
        false => output,
    };
    if !input.is_empty() || !output.is_empty() {
        let line = output.lines().find(|line| !line.trim().is_empty()).unwrap_or("Input");
        let (input, output) = (shortened(&input), shortened(output));
        shown.parts.push(Piece::Fold { meta: ellipsis(line.trim(), 120), input, output });
    }
    shown
}

/// Removes the lines that mark untrusted content.
fn unmarked(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("<<<")).collect();
    lines.join("\n")
}

/// The task in the response, if the call did not have to name it.
fn task_in(output: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(output).unwrap_or_default();
    answer["task"].as_str().unwrap_or_default().to_owned()
}

/// Parses a line of a plan.
fn stage(line: &str) -> Option<(Stage, String)> {
    let (mark, text) = line.strip_prefix('[')?.split_once("] ")?;
    let stage = match mark {
        " " => Stage::Todo,
        ">" => Stage::Doing,
        "x" => Stage::Done,
        _ => return None,
    };
    Some((stage, text.to_owned()))
}

/// Parses the unified diff in a result.
fn in_diff(output: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in output.lines().skip_while(|line| !line.starts_with("@@")) {
        match line.split_at_checked(1) {
            Some(("-", text)) => lines.push(Line::Gone(text.to_owned())),
            Some(("+", text)) => lines.push(Line::Came(text.to_owned())),
            Some((" ", text)) => lines.push(Line::Same(text.to_owned())),
            Some(("@", _)) if !lines.is_empty() => lines.push(Line::Between),
            _ => {}
        }
    }
    lines
}

/// The effect of a patch on each file; empty if the patch is invalid.
fn in_patch(input: &str) -> Vec<Piece> {
    let Ok(patch) = patch::parse(input) else { return Vec::new() };
    let change = |op: &Op| match op {
        Op::Add { path, lines } => {
            let came = lines.iter().map(|line| Line::Came(line.clone())).collect();
            Piece::change(path.clone(), came)
        }
        Op::Delete { path } => Piece::change(format!("{path} (deleted)"), Vec::new()),
        Op::Update { path, to, hunks } => {
            let mut lines = Vec::new();
            for hunk in hunks {
                if !lines.is_empty() {
                    lines.push(Line::Between);
                }
                lines.extend(hunk.lines.iter().map(|line| match line {
                    HunkLine::Same(text) => Line::Same(text.clone()),
                    HunkLine::Gone(text) => Line::Gone(text.clone()),
                    HunkLine::New(text) => Line::Came(text.clone()),
                }));
            }
            let title = match to {
                Some(to) => format!("{path} → {to}"),
                None => path.clone(),
            };
            Piece::change(title, lines)
        }
    };
    patch.ops.iter().map(change).collect()
}

fn shortened(text: &str) -> String {
    head_tail(text, SHOWN, "\n[…]\n")
}

#[cfg(test)]
mod tests {
    use super::{Line, Piece, Stage, tell};
    use features::runs::model::{Body, CallStatus};
    use features::runs::queries::steps::{CallState, ToolCall};

    fn call(name: &str, arguments: &str, result: &str) -> ToolCall {
        ToolCall {
            call_id: "1".into(),
            step: 1,
            name: name.into(),
            arguments: arguments.into(),
            state: CallState::Ended(CallStatus::Ok),
            result: Some((Body::Inline(result.into()), 3)),
            paths: Vec::new(),
            file: None,
            pictures: Vec::new(),
        }
    }

    #[test]
    fn a_command_is_shown_as_a_terminal() {
        let output = "[exit code 0]\n\u{1b}[32mtotal\u{1b}[0m 0";
        let view = tell(&call("exec", r#"{"command":"ls -la"}"#, output));
        assert_eq!((view.verb.as_str(), view.what.as_str()), ("", ""), "its head says it");
        let Piece::Terminal { title, text, shown, foot, failed } = &view.parts[0] else {
            panic!("a terminal")
        };
        assert_eq!((title.as_str(), text.as_str()), ("ls -la", "total 0"));
        assert_eq!((foot.as_str(), *failed), ("exit code 0", false));
        assert_eq!(shown.as_str(), "<span data-ink=\"green\">total</span> 0");
    }

    #[test]
    fn a_plan_is_shown_as_a_list_and_an_answer_as_words() {
        let shown = tell(&call("progress", "{}", "half way\nPlan:\n[x] a\n[>] b\n[ ] c"));
        let plan = [(Stage::Done, "a"), (Stage::Doing, "b"), (Stage::Todo, "c")];
        let plan = plan.map(|(stage, text)| (stage, text.to_owned()));
        assert_eq!(shown.parts, [Piece::Plan(plan.into())]);
        let shown = tell(&call("ask_person", r#"{"question":"Which?"}"#, "Mira answered: b"));
        assert_eq!(shown.parts, [Piece::Words("Mira answered: b".into())]);
    }

    #[test]
    fn an_error_is_shown_and_what_was_given_is_folded() {
        let mut failed = call("web_fetch", r#"{"url":"https://a.example"}"#, "Error: not found");
        failed.state = CallState::Ended(CallStatus::Error);
        let parts = tell(&failed).parts;
        assert_eq!(parts[0], Piece::Error("Error: not found".into()));
        assert!(matches!(&parts[1], Piece::Fold { output, .. } if output.is_empty()));
        let answer = "Error(enough_parts): 10 parts of MC-2 are open.\nClose one.";
        failed.result = Some((Body::Inline(answer.into()), 3));
        let text = "10 parts of MC-2 are open.\nClose one.";
        assert_eq!(tell(&failed).parts[0], Piece::Error(text.into()));
    }

    #[test]
    fn an_edit_is_shown_as_a_change() {
        let shown = tell(&call("edit", r#"{"path":"a.md","old":"x","new":"y\nz"}"#, "ok"));
        let Piece::Change { verb, title, count, lines } = &shown.parts[0] else {
            panic!("a change")
        };
        assert_eq!((*count, lines.len()), ((2, 1), 3));
        assert_eq!((verb.as_str(), title.as_str(), shown.verb.as_str()), ("Changed", "a.md", ""));
    }

    #[test]
    fn a_diff_and_a_patch_are_shown_as_changes() {
        let diff = "edited a.md (1 place)\n--- a/a.md\n+++ b/a.md\n@@ -1,2 +1,2 @@\n a\n-x\n+y\n";
        let shown = tell(&call("edit", r#"{"path":"a.md","edits":[]}"#, diff));
        let text = str::to_owned;
        let lines = vec![Line::Same(text("a")), Line::Gone(text("x")), Line::Came(text("y"))];
        let change =
            Piece::Change { verb: text("Changed"), title: text("a.md"), lines, count: (1, 1) };
        assert_eq!(shown.parts, [change]);
        let patch = "*** Begin Patch\n*** Add File: b\n+1\n*** Delete File: c\n*** End Patch";
        let shown =
            tell(&call("apply_patch", &serde_json::json!({ "input": patch }).to_string(), ""));
        assert_eq!(shown.parts.len(), 2);
    }

    #[test]
    fn a_tool_that_nobody_knows_keeps_its_name_and_broken_input_is_shown() {
        let shown = tell(&call("painter", "{oops", "done"));
        assert_eq!(shown.verb, "Called painter");
        assert!(matches!(&shown.parts[0], Piece::Fold { input, .. } if input == "{oops"));
    }
}
