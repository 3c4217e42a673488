//! What a tool call did, as the run's page shows it: in words, with its input and output in the form
//! that suits it. Tools that are not known here are shown by their name with all their arguments.

use crate::features::runs::model::CallStatus;
use crate::features::runs::queries::doing::{Doing, arguments, doing, first_of};
use crate::features::runs::queries::steps::{CallState, ToolCall};
use crate::kernel::text::{ellipsis, head_tail};
use crate::tool::patch::{self, HunkLine, Op};

/// The most of an output that a page shows at once, in bytes.
const SHOWN: usize = 6_000;
/// The most lines of a written file or a change that a page shows.
const LINES: usize = 60;

/// A tool call in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Icon of the step.
    pub icon: &'static str,
    /// What was done.
    pub verb: String,
    /// To what.
    pub what: String,
    /// What kind of time it took, for the bar on top.
    pub kind: &'static str,
    /// Its input and output.
    pub parts: Vec<Piece>,
}

/// A piece of what went in or came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A command with its output.
    Terminal {
        /// The command.
        title: String,
        /// What it printed.
        text: String,
    },
    /// A file that was written.
    File {
        /// Its path.
        title: String,
        /// Its first lines.
        text: String,
        /// What else there is to say.
        foot: String,
    },
    /// A change of a file.
    Change {
        /// Its path.
        title: String,
        /// Its lines, in order.
        lines: Vec<Line>,
        /// How many came, and how many went.
        count: (usize, usize),
    },
    /// What went in and came out, folded.
    Fold {
        /// The first line of what came out.
        meta: String,
        /// What went in; may be empty.
        input: String,
        /// What came out; may be empty.
        output: String,
        /// Whether the tool failed: then it is open.
        failed: bool,
    },
}

/// A line of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is there before and after.
    Same(String),
    /// It went.
    Gone(String),
    /// It came.
    Came(String),
    /// Lines between are not shown.
    Between,
}

impl Piece {
    fn change(title: String, mut lines: Vec<Line>) -> Self {
        let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
        let came = count(|line| matches!(line, Line::Came(_)));
        let gone = count(|line| matches!(line, Line::Gone(_)));
        if LINES < lines.len() {
            lines.truncate(LINES);
            lines.push(Line::Between);
        }
        Self::Change { title, lines, count: (came, gone) }
    }
}

/// Tells what a call did.
pub(super) fn tell(call: &ToolCall) -> Told {
    let args = arguments(call);
    let Doing { icon, verb, what, kind } = doing(call);
    let mut told = Told { icon, verb, what, kind, parts: Vec::new() };
    let output = call.result.as_ref().map(|(body, _)| body.head()).unwrap_or_default();
    let failed = matches!(call.state, CallState::Ended(status) if status != CallStatus::Ok);
    match call.name.as_str() {
        "process" if !output.is_empty() => {
            let title = format!("job {}", told.what);
            told.parts.push(Piece::Terminal { title, text: shortened(output) });
            return told;
        }
        "exec" if !output.is_empty() => {
            let title = ellipsis(&told.what, 160);
            told.parts.push(Piece::Terminal { title, text: shortened(output) });
            told.what = String::new();
            return told;
        }
        "write" if !failed => {
            let text = first_of(&args, &["content", "text"]);
            let lines = text.lines().count();
            let foot = match LINES < lines {
                true => format!("{lines} lines, the first {LINES} are shown"),
                false => String::new(),
            };
            let text = text.lines().take(LINES).collect::<Vec<_>>().join("\n");
            told.parts.push(Piece::File { title: told.what.clone(), text, foot });
            return told;
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
                told.parts.push(Piece::change(told.what.clone(), lines));
                return told;
            }
        }
        "apply_patch" if !failed => {
            told.parts = in_patch(&first_of(&args, &["input", "patch", "diff"]));
            if !told.parts.is_empty() {
                told.what = match call.paths.as_slice() {
                    [one] => one.clone(),
                    many => format!("{} files", many.len()),
                };
                return told;
            }
        }
        _ => {}
    }
    let input = match args.is_empty() {
        false => serde_json::to_string_pretty(&args).unwrap_or_default(),
        true if matches!(call.arguments.trim(), "" | "{}") => String::new(),
        true => call.arguments.clone(),
    };
    if !input.is_empty() || !output.is_empty() {
        let line =
            output.lines().find(|line| !line.trim().is_empty()).unwrap_or("what it was given");
        let (input, output) = (shortened(&input), shortened(output));
        told.parts.push(Piece::Fold { meta: ellipsis(line.trim(), 120), input, output, failed });
    }
    told
}

/// The lines of the unified diff in a result.
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

/// What a patch does to each of its files; nothing when it cannot be read.
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
    use super::{Line, Piece, tell};
    use crate::features::runs::model::{Body, CallStatus};
    use crate::features::runs::queries::steps::{CallState, ToolCall};

    fn call(name: &str, arguments: &str, result: &str) -> ToolCall {
        ToolCall {
            call_id: "1".into(),
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
        let told = tell(&call("exec", r#"{"command":"ls -la"}"#, "total 0"));
        assert_eq!(told.verb, "Ran");
        assert_eq!(
            told.parts,
            [Piece::Terminal { title: "ls -la".into(), text: "total 0".into() }]
        );
    }

    #[test]
    fn an_edit_is_shown_as_a_change() {
        let told = tell(&call("edit", r#"{"path":"a.md","old":"x","new":"y\nz"}"#, "ok"));
        let Piece::Change { count, lines, .. } = &told.parts[0] else { panic!("a change") };
        assert_eq!((*count, lines.len()), ((2, 1), 3));
    }

    #[test]
    fn a_diff_and_a_patch_are_shown_as_changes() {
        let diff = "edited a.md (1 place)\n--- a/a.md\n+++ b/a.md\n@@ -1,2 +1,2 @@\n a\n-x\n+y\n";
        let told = tell(&call("edit", r#"{"path":"a.md","edits":[]}"#, diff));
        let text = str::to_owned;
        let lines = vec![Line::Same(text("a")), Line::Gone(text("x")), Line::Came(text("y"))];
        assert_eq!(told.parts, [Piece::Change { title: text("a.md"), lines, count: (1, 1) }]);
        let patch = "*** Begin Patch\n*** Add File: b\n+1\n*** Delete File: c\n*** End Patch";
        let told =
            tell(&call("apply_patch", &serde_json::json!({ "input": patch }).to_string(), ""));
        assert_eq!(told.parts.len(), 2);
    }

    #[test]
    fn a_tool_that_nobody_knows_keeps_its_name_and_broken_input_is_shown() {
        let told = tell(&call("browser", "{oops", "done"));
        assert_eq!(told.verb, "Called browser");
        assert!(matches!(&told.parts[0], Piece::Fold { input, .. } if input == "{oops"));
    }
}
