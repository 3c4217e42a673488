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
const LINES: usize = 40;

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
        /// Lines that went.
        gone: Vec<String>,
        /// Lines that came.
        came: Vec<String>,
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

/// Tells what a call did.
pub(super) fn tell(call: &ToolCall) -> Told {
    let args = arguments(call);
    let Doing { icon, verb, what, kind } = doing(call);
    let mut told = Told { icon, verb, what, kind, parts: Vec::new() };
    let output = call.result.as_ref().map(|(body, _)| body.head()).unwrap_or_default();
    let failed = matches!(call.state, CallState::Ended(status) if status != CallStatus::Ok);
    match call.name.as_str() {
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
            let lines = |names: &[&str]| -> Vec<String> {
                first_of(&args, names).lines().take(LINES).map(str::to_owned).collect()
            };
            let (mut gone, mut came) = in_diff(output);
            if gone.is_empty() && came.is_empty() {
                gone = lines(&["oldText", "old", "old_text", "old_string", "find", "before"]);
                came = lines(&["newText", "new", "new_text", "new_string", "replace", "after"]);
            }
            if !gone.is_empty() || !came.is_empty() {
                told.parts.push(Piece::Change { title: told.what.clone(), gone, came });
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

/// Lines that went and came, from the unified diff in a result.
fn in_diff(output: &str) -> (Vec<String>, Vec<String>) {
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    for line in output.lines().skip_while(|line| !line.starts_with("@@")) {
        match line.split_at_checked(1) {
            Some(("-", text)) if gone.len() < LINES => gone.push(text.to_owned()),
            Some(("+", text)) if came.len() < LINES => came.push(text.to_owned()),
            _ => {}
        }
    }
    (gone, came)
}

/// What a patch does to each of its files; nothing when it cannot be read.
fn in_patch(input: &str) -> Vec<Piece> {
    let Ok(patch) = patch::parse(input) else { return Vec::new() };
    let change = |op: &Op| match op {
        Op::Add { path, lines } => {
            let came = lines.iter().take(LINES).cloned().collect();
            Piece::Change { title: path.clone(), gone: Vec::new(), came }
        }
        Op::Delete { path } => {
            Piece::Change { title: format!("{path} (deleted)"), gone: Vec::new(), came: Vec::new() }
        }
        Op::Update { path, to, hunks } => {
            let (mut gone, mut came) = (Vec::new(), Vec::new());
            for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
                match line {
                    HunkLine::Gone(text) if gone.len() < LINES => gone.push(text.clone()),
                    HunkLine::New(text) if came.len() < LINES => came.push(text.clone()),
                    _ => {}
                }
            }
            let title = match to {
                Some(to) => format!("{path} → {to}"),
                None => path.clone(),
            };
            Piece::Change { title, gone, came }
        }
    };
    patch.ops.iter().map(change).collect()
}

fn shortened(text: &str) -> String {
    head_tail(text, SHOWN, "\n[…]\n")
}

#[cfg(test)]
mod tests {
    use super::{Piece, tell};
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
        let Piece::Change { gone, came, .. } = &told.parts[0] else { panic!("a change") };
        assert_eq!((gone.len(), came.len()), (1, 2));
    }

    #[test]
    fn a_diff_and_a_patch_are_shown_as_changes() {
        let diff = "edited a.md (1 place)\n--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-x\n+y\n";
        let told = tell(&call("edit", r#"{"path":"a.md","edits":[]}"#, diff));
        let (gone, came) = (vec!["x".to_owned()], vec!["y".to_owned()]);
        let title = "a.md".to_owned();
        assert_eq!(told.parts, [Piece::Change { title, gone, came }]);
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
