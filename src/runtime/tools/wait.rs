//! Waiting: for a person's answer, for a time, for the end of a task.

use std::borrow::Cow;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use features::browsers::queries as browsers;
use features::runs::model::Park;
use features::runs::rules::park;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use kernel::text::ellipsis;
use kernel::{Can, Timestamp, WaitFor};
use store::{ReadExt, WriteTx};
use tool::{Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec, ToolWait, WriteTool};

/// The longest wait for a time.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 60);
/// The longest time limit of a question, in hours.
const LONGEST_ASK: i64 = 24 * 60;
/// The longest question, in bytes.
const MAX_QUESTION: usize = 4 * 1024;
/// Most answers to choose from.
const MAX_OPTIONS: usize = 4;

/// The empty wait of this call.
pub(super) fn nothing(cx: &ToolCx, now: Timestamp) -> Park {
    Park {
        run: cx.run,
        step: cx.step,
        agent: cx.agent,
        question: String::new(),
        options: Vec::new(),
        until: None,
        task: None,
        at: now,
        over_at: None,
        asked: None,
    }
}

pub(crate) struct AskPerson;

/// What `ask_person` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct AskArgs {
    /// One clear question with everything needed to decide.
    question: String,
    /// Up to 4 short answers to choose from.
    #[serde(default)]
    options: Vec<String>,
    /// Maximum hours to wait.
    hours: Option<i64>,
    in_browser: Option<bool>,
}

impl WriteTool for AskPerson {
    type Args = AskArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("ask_person"),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed(
            "Ask a person and wait for the answer, for days if necessary. Only what you can't \
            find out or decide yourself.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: AskArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let question = args.question.trim().to_owned();
        if question.is_empty() || question.len() > MAX_QUESTION {
            return Err(ToolError::refused("invalid_args", "use 1 to 4096 bytes"));
        }
        let at_browser = args.in_browser.unwrap_or(false);
        if at_browser && !browsers::is_on(tx, &[cx.agent])? {
            let text = "you have no browser; ask without in_browser";
            return Err(ToolError::refused("denied", text));
        }
        let options = args.options.iter().map(|text| ellipsis(text.trim(), 120));
        let options = options.filter(|text| !text.is_empty()).take(MAX_OPTIONS).collect();
        let detail = ellipsis(question.lines().next().unwrap_or_default(), 200);
        let until =
            args.hours.map(|n| tx.now() + SignedDuration::from_hours(n.clamp(1, LONGEST_ASK)));
        let wish = Park { question, options, until, ..nothing(cx, tx.now()) };
        Ok(match park::park(tx, wish)? {
            Some(known) => ToolOutput::text("The question is asked.").waiting(ToolWait {
                waits_for: if at_browser { WaitFor::Browser } else { WaitFor::Question },
                detail,
                until: known.until,
                question: None,
            }),
            None => ToolOutput::error(
                "Error(no_answer): no one answered in time; decide yourself, or end and report \
                 what is left",
            ),
        })
    }
}

pub(crate) struct WaitUntil;

/// What `wait_until` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct WaitArgs {
    /// Minutes from now.
    minutes: Option<i64>,
    /// Or a time, such as 2026-11-21T09:00:00Z.
    until: Option<String>,
    /// Or until this task has ended, such as MC-12; with minutes or until as the longest wait.
    task: Option<String>,
    /// Why, for the people who watch.
    reason: String,
}

impl WriteTool for WaitUntil {
    type Args = WaitArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(park::WAIT_UNTIL),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed(
            "Wait for a time or the end of a task, then continue here with everything you know.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: WaitArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let refused = |text: &str| Err(ToolError::refused("invalid_args", text));
        let (now, known) = (tx.now(), tx.get::<Park>((cx.run, cx.step))?);
        let given = match (args.minutes, &args.until) {
            (Some(minutes), None) => {
                Some(now + SignedDuration::from_mins(minutes.clamp(1, 86_400)))
            }
            (None, Some(text)) => match text.trim().parse::<Timestamp>() {
                Ok(at) => Some(at),
                Err(_) => return refused("write until as 2026-11-21T09:00:00Z"),
            },
            (None, None) => None,
            (Some(_), Some(_)) => return refused("give either minutes or until"),
        };
        let named = known.as_ref().and_then(|park| park.task);
        let task = match (named, &args.task) {
            (Some(id), _) => tx.get::<Task>(id)?,
            // The awaited task is gone.
            (None, Some(_)) if known.is_some() => return over(cx, tx, park::TASK_GONE),
            (None, Some(name)) => Some(tasks::resolve(tx, name)?),
            (None, None) => None,
        };
        if let Some(task) = &task {
            if !task.status.is_open() {
                return over(cx, tx, &format!("The task is already {}.", task.status.label()));
            }
            if task.archived_at.is_some() {
                return over(cx, tx, "The task is archived.");
            }
        }
        if given.is_none() && task.is_none() {
            return refused("give minutes, until or task");
        }
        if given.is_some_and(|at| now + LONGEST < at) {
            return refused("use a time within the next 60 days");
        }
        if given.is_some_and(|at| at <= now) {
            return over(cx, tx, "It is time.");
        }
        let name = match &task {
            Some(task) => Some(tasks::name(tx, task.number)?),
            None => None,
        };
        let reason = args.reason.trim();
        let detail = match &name {
            Some(name) => format!("{name} to end: {reason}"),
            None => reason.to_owned(),
        };
        let wish = Park { until: given, task: task.map(|task| task.id), ..nothing(cx, now) };
        // A wait for a task is limited like a wait for a time.
        let limit = |park: &Park| park.until.unwrap_or(park.at + LONGEST);
        let Some(known) = park::park(tx, wish)?.filter(|known| now < limit(known)) else {
            let late = name.map(|name| format!("It is time; {name} has not ended."));
            return over(cx, tx, late.as_deref().unwrap_or("It is time."));
        };
        Ok(ToolOutput::text("It waits.").waiting(ToolWait {
            waits_for: WaitFor::Timer,
            detail: ellipsis(&detail, 200),
            until: Some(limit(&known)),
            question: None,
        }))
    }
}

/// Ends the wait of a call, with its result.
fn over(cx: &ToolCx, tx: &mut WriteTx<'_>, text: &str) -> Result<ToolOutput, ToolError> {
    park::close(tx, cx.run, cx.step)?;
    Ok(ToolOutput::text(text))
}
