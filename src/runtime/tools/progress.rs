//! `progress`: what an agent does, in a few words, and its plan, for people and for itself. The newest plan is in the
//! result of its call; an unfinished one is copied into every summary.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;

use kernel::Can;
use kernel::text::ellipsis;
use store::WriteTx;
use tool::{Aliases, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

pub(crate) const NAME: &str = "progress";
/// The heading of a plan.
const PLAN: &str = "\nPlan:\n";
/// Characters of the text that are shown.
const SHOWN: usize = 120;
/// Most steps of a plan.
const MAX_STEPS: usize = 50;
/// The longest step, in characters.
const MAX_STEP: usize = 200;

/// The plan in a result of `progress` if steps of it are open; `None` for any other text.
pub(crate) fn open_plan(result: &str) -> Option<&str> {
    let (_, plan) = result.split_once(PLAN)?;
    let open = |line: &str| line.starts_with("[ ] ") || line.starts_with("[>] ");
    plan.lines().any(open).then_some(plan)
}

pub(crate) struct Progress;

/// What `progress` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// A few words, e.g. "reading the offers, 3 of 5".
    text: Option<String>,
    /// All steps of your plan; replaces the previous plan.
    #[serde(default)]
    plan: Vec<Step>,
}

/// A step of a plan.
#[derive(Deserialize, JsonSchema)]
struct Step {
    step: String,
    /// At most one is `doing`.
    status: Status,
}

impl Step {
    fn line(&self) -> String {
        self.step.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[serde(alias = "pending")]
    Todo,
    #[serde(alias = "in_progress")]
    Doing,
    #[serde(alias = "completed")]
    Done,
}

impl Args {
    /// A one-line status for people, then the plan.
    fn shown(&self) -> Result<String, ToolError> {
        let wrong = |why: &str| Err(ToolError::refused("invalid_args", why));
        let text = self.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() && self.plan.is_empty() {
            return wrong("give text, a plan, or both");
        }
        if MAX_STEPS < self.plan.len() {
            return wrong("use at most 50 steps");
        }
        if 1 < self.plan.iter().filter(|step| step.status == Status::Doing).count() {
            return wrong("at most one step can be doing; the others are todo or done");
        }
        let mut shown = match text {
            Some(text) => ellipsis(text.lines().next().unwrap_or_default(), SHOWN),
            None => self.at_a_glance(),
        };
        if !self.plan.is_empty() {
            shown.push_str(PLAN);
        }
        for step in &self.plan {
            let mark = match step.status {
                Status::Todo => ' ',
                Status::Doing => '>',
                Status::Done => 'x',
            };
            // ok: writing to a String cannot fail.
            let _ = writeln!(shown, "[{mark}] {}", ellipsis(&step.line(), MAX_STEP));
        }
        shown.truncate(shown.trim_end().len());
        Ok(shown)
    }

    fn at_a_glance(&self) -> String {
        let done = self.plan.iter().filter(|step| step.status == Status::Done).count();
        let of = format!("{done} of {} done", self.plan.len());
        match self.plan.iter().find(|step| step.status == Status::Doing) {
            Some(now) => format!("{} ({of})", ellipsis(&now.line(), SHOWN - 20)),
            None => of,
        }
    }
}

impl WriteTool for Progress {
    type Args = Args;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(NAME),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed("Show people what you are doing, and keep a plan of your steps."),
    };
    const ALIASES: Aliases = &[
        ("message", "text"),
        ("markdown", "text"),
        ("explanation", "text"),
        ("steps", "plan"),
        ("todos", "plan"),
        ("content", "step"),
        ("title", "step"),
        ("state", "status"),
    ];

    fn commit(
        &self,
        _: &ToolCx,
        _: &mut WriteTx<'_>,
        args: Args,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        args.shown().map(ToolOutput::text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, open_plan};

    fn shown(json: &str) -> Result<String, String> {
        let args: Args = serde_json::from_str(json).expect("arguments");
        args.shown().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn words_and_a_plan_are_shown_as_people_read_them() {
        assert_eq!(shown(r#"{"text":" reading\nmore "}"#).unwrap(), "reading");
        let plan = r#"{"plan":[{"step":"one","status":"completed"},
            {"step":"two  and\n more","status":"in_progress"},{"step":"three","status":"todo"}]}"#;
        let text = shown(plan).unwrap();
        assert_eq!(text, "two and more (1 of 3 done)\nPlan:\n[x] one\n[>] two and more\n[ ] three");
        assert_eq!(open_plan(&text), Some("[x] one\n[>] two and more\n[ ] three"));
        let done = shown(r#"{"text":"over","plan":[{"step":"one","status":"done"}]}"#).unwrap();
        assert_eq!(done, "over\nPlan:\n[x] one");
        assert_eq!((open_plan(&done), open_plan("reading")), (None, None));
    }

    #[test]
    fn a_plan_has_so_many_steps_and_one_that_is_done_now() {
        assert!(shown("{}").unwrap_err().contains("give text"));
        let two = r#"{"plan":[{"step":"a","status":"doing"},{"step":"b","status":"doing"}]}"#;
        assert!(shown(two).unwrap_err().contains("at most one step"));
        let steps = vec![r#"{"step":"a","status":"todo"}"#; 51].join(",");
        assert!(shown(&format!(r#"{{"plan":[{steps}]}}"#)).unwrap_err().contains("at most 50"));
    }
}
