//! Steps of a run as pages show them.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;

use app::live::{BlockKind, Piece};
use features::browsers::model::BrowserShot;
use features::runs::model::{Body, CallStatus, Compaction, LeftOut, SummaryBy};
use features::runs::queries::steps::{CallState, Spent, Step, Steps, ToolCall, What};
use features::runs::queries::words;
use features::trust::model::BROWSER;
use kernel::text::{ellipsis, head_tail};
use kernel::{Actor, Outcome, Thinking, Timestamp, WaitFor};
use providers::error::ErrorClass;
use store::{Read, StoreError};
use web::format;
use web::html::SafeHtml;
use web::md;
use web::parts::Face;
use web::time::RelTime;

use super::display::{Look, between};
use super::nested::{self, Nested};
use super::prompt::Prompt;
use super::shots;
use super::talk::Attached;
use super::tools::{self, Line as DiffLine, Piece as Detail};
use super::writing::Writing;

/// The most of a prompt that a page shows, in bytes.
const SHOWN: usize = 24_000;

/// A step for the template.
pub(super) struct StepView {
    /// Address within the run.
    pub key: String,
    /// Number as the run counts its steps, from 1; 0 where no number is shown.
    pub number: usize,
    pub icon: &'static str,
    pub tone: &'static str,
    pub face: Option<Face>,
    pub verb: String,
    pub what: String,
    pub code: String,
    pub took: String,
    pub tokens: String,
    pub cost: String,
    /// The cost that is reserved for the step, formatted.
    pub held: String,
    pub at: RelTime,
    /// Time since the run began; empty where it is not shown.
    pub since: String,
    pub shape: Shape,
    pub parts: Vec<Detail>,
    /// Whether input and output start expanded.
    pub open: bool,
    pub paths: Vec<String>,
    /// The sub-agent's run that a call created.
    pub made: Option<Nested>,
    pub files: Vec<Attached>,
    /// Addresses of the pictures in a result.
    pub pictures: Vec<String>,
    /// Addresses of the page screenshot after the call and of the screenshot viewer.
    pub page: Option<(String, String)>,
    /// Why there is no screenshot.
    pub unseen: &'static str,
    /// Address and size of the full text.
    pub raw: Option<(String, String)>,
    /// Address of "run again from here".
    pub again: Option<String>,
    /// Address of the step's raw event.
    pub kept: Option<String>,
}

/// Layout of a step's body.
pub(super) enum Shape {
    /// A line.
    Act,
    /// A line that expands.
    Quiet { peek: String, html: SafeHtml, text: String },
    /// The parts of a prompt.
    Prompt(Prompt),
    /// Rendered text.
    Text(SafeHtml),
    /// Text that is still being streamed.
    Writing(Writing),
}

/// The list of steps; a live region of the run page.
#[derive(Template)]
#[template(path = "runs/_steps.html")]
pub(super) struct StepList {
    pub live: web::live::Live,
    pub earlier: Option<(usize, String)>,
    pub later: Option<(usize, String)>,
    pub steps: Vec<StepView>,
    pub empty: &'static str,
}

/// What the steps of a run share.
pub(super) struct Drawing<'a, 'l> {
    pub look: &'a Look<'l>,
    pub agent: Face,
    /// Address of the page of the run that is shown.
    pub href: String,
    /// Whether this is the run's own page, which also shows sub-agents and raw events.
    pub alone: bool,
    /// Whether the run has ended; pending calls then no longer execute.
    pub over: bool,
    pub start: Option<Timestamp>,
    /// Address of "run again", if the run can be repeated.
    pub again: Option<String>,
    /// Screenshots of the run's browser, by call number.
    pub shots: HashMap<u32, BrowserShot>,
    /// The model's last text, which the end of the run does not repeat.
    pub last: String,
}

/// A file that no commit included, with the reason.
fn left_out(file: &LeftOut) -> String {
    format!("{} ({} in line {})", file.path, file.why, file.line)
}

/// A text collapsed to its beginning.
fn quiet(text: &str) -> Shape {
    Shape::Quiet { peek: md::excerpt(text, 140), html: md::plain(text), text: String::new() }
}

impl Drawing<'_, '_> {
    /// The view of one step.
    pub fn view(&self, tx: &dyn Read, step: &Step) -> Result<StepView, StoreError> {
        let mut view = self.plain(step);
        view.again = self.again_from(step);
        view.kept = self.kept(step);
        match &step.what {
            What::Input { text, by, input, steered, answers, attached } => {
                let card = input.is_none() && !answers;
                view.files = match input {
                    Some(input) => Attached::all(self.look, *input, attached),
                    None => Vec::new(),
                };
                self.input(tx, &mut view, (text, step.event), *by, (card, *steered))?;
            }
            What::Began { attempt, model, thinking, bytes } => {
                began(&mut view, *attempt, model, *thinking, *bytes);
            }
            What::Thought(text) => {
                (view.icon, view.verb) = ("thought", "Thought".to_owned());
                view.shape = quiet(text);
            }
            What::Said(text) => {
                view.face = Some(self.agent.clone());
                if let Some(how) = step.cut {
                    (view.verb, view.what) = ("Answer".to_owned(), format!("that {how}"));
                }
                view.shape = Shape::Text(self.look.md_of(tx, text, step.run));
            }
            What::Tool(call) => {
                self.tool(&mut view, call);
                if call.name == BROWSER {
                    self.page(&mut view, step, call);
                }
                view.made = self.made(tx, step, call)?;
                if view.made.is_some() {
                    retitle(&mut view.parts);
                }
            }
            What::Failed { class, message, retry_at, call } => {
                view.code = format!("call {call}");
                failed(&mut view, (class, message), retry_at.is_some());
            }
            What::Notice(text) => {
                (view.icon, view.verb) = ("info", "HQ told the agent".to_owned());
                view.shape = quiet(text);
            }
            What::Waiting { waits_for, detail, until } => {
                (view.icon, view.tone) = ("clock", "warn");
                view.verb = format!("Waited for {}.", waits_for.label());
                // The previous step shows the question or the tool of the server.
                if !waits_for.is_question() && *waits_for != WaitFor::SignIn {
                    view.what.clone_from(detail);
                }
                if let Some(until) = until {
                    view.code = format!("at most until {}", self.look.time(*until).text);
                }
            }
            What::Interrupted(what) => {
                (view.icon, view.tone) = ("warn", "warn");
                view.verb = "Interrupted.".to_owned();
                view.what = format!("{what}. The run continues from its last step.");
            }
            What::Looked(by) => (view.icon, view.verb) = self.looked(tx, *by)?,
            What::Late(call) => self.late(&mut view, call),
            What::Prompted(parts) => {
                (view.icon, view.verb) = ("doc", "Prompt".to_owned());
                view.shape = Shape::Prompt(Prompt::of(parts));
            }
            What::Committed { commit, files } => {
                (view.icon, view.verb) = ("branch", "Committed".to_owned());
                view.what = format::count(u64::from(*files), "file", "files");
                view.code = commit.chars().take(10).collect();
            }
            What::LeftOut(files) => {
                (view.icon, view.tone) = ("warn", "warn");
                view.verb = "Not committed:".to_owned();
                view.what = files.iter().map(left_out).collect::<Vec<_>>().join(", ");
            }
            What::Ended { outcome, summary } => self.ended(tx, &mut view, outcome, summary)?,
            What::Switched { to, why } => {
                (view.icon, view.tone) = ("refresh", "warn");
                view.verb = format!("Answered by {to}");
                view.what = format!("because {why}");
            }
            What::Compacted(made) => {
                (view.icon, view.verb) = ("archive", "Compacted the conversation".to_owned());
                let peek = compacted(&made.1);
                let html = self.look.md(tx, &made.0);
                view.shape = Shape::Quiet { peek, html, text: String::new() };
            }
            What::Remembered { path, lines } => {
                (view.icon, view.verb) = ("book", format!("Wrote to {path}"));
                let peek = md::excerpt(&lines.join("; "), 140);
                let text = lines.join("\n");
                view.shape = Shape::Quiet { peek, html: SafeHtml::default(), text };
            }
            What::NotCompacted(why) => {
                view.icon = "archive";
                view.verb = "The conversation was not compacted:".to_owned();
                view.what.clone_from(why);
            }
        }
        Ok(view)
    }

    /// Address of "run again" for the model response that begins with this step.
    fn again_from(&self, step: &Step) -> Option<String> {
        let answers = matches!(step.what, What::Thought(_) | What::Said(_) | What::Tool(_));
        let first = answers && !step.key.contains('-');
        self.again.as_ref().filter(|_| first).map(|href| format!("{href}?from={}", step.key))
    }

    /// The block that the model is streaming.
    pub fn writing(&self, tx: &dyn Read, steps: &Steps, piece: Option<Piece>) -> Option<StepView> {
        let (call, since) = steps.asking?;
        let mut view = StepView {
            key: format!("call-{call}"),
            at: self.look.time(since),
            ..self.blank("info")
        };
        match piece {
            Some(piece) if piece.kind == BlockKind::Text => {
                view.face = Some(self.agent.clone());
                view.shape = Shape::Writing(Writing::of(tx, self.look, piece));
            }
            Some(piece) => {
                view.icon = if piece.kind == BlockKind::Output { "terminal" } else { "thought" };
                view.shape = Shape::Writing(Writing::of(tx, self.look, piece));
            }
            None => {
                let verb = match steps.compacting {
                    true => "Compacting the conversation with",
                    false => "Asking the model",
                };
                (view.icon, view.verb) = ("spark", verb.to_owned());
                view.code = steps.model.clone().unwrap_or_default();
                view.cost = held(steps.held);
            }
        }
        Some(view)
    }

    fn blank(&self, tone: &'static str) -> StepView {
        StepView {
            key: String::new(),
            number: 0,
            icon: "info",
            tone,
            face: None,
            verb: String::new(),
            what: String::new(),
            code: String::new(),
            took: String::new(),
            tokens: String::new(),
            cost: String::new(),
            held: String::new(),
            at: RelTime::default(),
            since: String::new(),
            shape: Shape::Act,
            parts: Vec::new(),
            open: false,
            paths: Vec::new(),
            made: None,
            files: Vec::new(),
            pictures: Vec::new(),
            page: None,
            unseen: "",
            raw: None,
            again: None,
            kept: None,
        }
    }

    fn plain(&self, step: &Step) -> StepView {
        let took = step.millis.map(|ms| format::duration(Duration::from_millis(ms)));
        StepView {
            key: step.key.clone(),
            took: took.unwrap_or_default(),
            tokens: step.spent.map(|spent| tokens(&spent).join(", ")).unwrap_or_default(),
            cost: step.spent.and_then(|spent| cost(&spent)).unwrap_or_default(),
            held: step.spent.map(|spent| held(spent.held)).unwrap_or_default(),
            at: self.look.time(step.at),
            since: self.start.map(|start| clock(between(start, step.at))).unwrap_or_default(),
            ..self.blank("")
        }
    }

    /// Link to a text that the page shows only in part.
    fn whole(&self, body: &Body, event: u32) -> Option<(String, String)> {
        let len = match body {
            Body::Blob { len, .. } => *len,
            Body::Inline(text) if SHOWN < text.len() => text.len() as u64,
            Body::Inline(_) => return None,
        };
        Some((format!("{}/steps/{event}/raw", self.href), format::size(len)))
    }

    fn late(&self, view: &mut StepView, call: &ToolCall) {
        self.tool(view, call);
        (view.icon, view.tone) = ("clock", "warn");
        view.unseen = "This came too late. The agent hasn’t read it.";
    }

    /// The view of a step that has no event of its own, so raw text, pictures and screenshots are unavailable.
    pub fn aside(&self, tx: &dyn Read, step: &Step) -> Result<StepView, StoreError> {
        let view = self.view(tx, step)?;
        Ok(StepView { raw: None, pictures: Vec::new(), page: None, unseen: "", ..view })
    }

    /// A line of text that is not a step.
    pub fn word(&self, at: Timestamp, text: &str) -> StepView {
        StepView { verb: text.to_owned(), at: self.look.time(at), ..self.blank("") }
    }

    fn input(
        &self,
        tx: &dyn Read,
        view: &mut StepView,
        (text, event): (&Body, u32),
        by: Actor,
        (card, steered): (bool, bool),
    ) -> Result<(), StoreError> {
        view.raw = self.whole(text, event);
        let shown = head_tail(text.head(), SHOWN, "\n\n[…]\n\n");
        if card {
            (view.icon, view.verb) = ("file", "Brief".to_owned());
            let peek = format!("run brief, {}", format::size(shown.len() as u64));
            view.shape = Shape::Quiet { peek, html: SafeHtml::default(), text: shown };
            return Ok(());
        }
        let name = self.look.actor(tx, by)?;
        if by.account().is_some() {
            view.face = Some(self.look.face(tx, by)?);
        }
        view.icon = "comment";
        view.verb = name;
        view.what = if steered { "said while it worked" } else { "said" }.to_owned();
        view.shape = Shape::Text(self.look.md(tx, &shown));
        Ok(())
    }

    fn tool(&self, view: &mut StepView, call: &ToolCall) {
        let shown = tools::tell(call);
        (view.icon, view.verb, view.what, view.parts) =
            (shown.icon, shown.verb, shown.what, shown.parts);
        (view.tone, view.code) = match call.state {
            CallState::Planned => {
                if self.over {
                    view.verb = view.verb.replacen("Next:", "No longer done:", 1);
                }
                ("", String::new())
            }
            CallState::Running => ("info", "running".to_owned()),
            CallState::Ended(CallStatus::Ok) => ("", String::new()),
            CallState::Ended(CallStatus::Error) if call.could_not() => ("danger", String::new()),
            CallState::Ended(CallStatus::Error) => ("danger", "failed".to_owned()),
            CallState::Ended(CallStatus::Timeout) => ("danger", "took too long".to_owned()),
            CallState::Ended(CallStatus::Stopped) => ("warn", "stopped".to_owned()),
            CallState::Ended(CallStatus::Skipped) => {
                ("", "skipped: a message came first".to_owned())
            }
            CallState::Ended(CallStatus::Unknown) => {
                ("warn", "interrupted; it may have taken effect".to_owned())
            }
        };
        // The exit status is shown below the output.
        let ends =
            |part: &Detail| matches!(part, Detail::Terminal { foot, .. } if !foot.is_empty());
        if call.state == CallState::Ended(CallStatus::Error) && view.parts.iter().any(ends) {
            view.code = String::new();
        }
        view.raw = call.result.as_ref().and_then(|(body, event)| self.whole(body, *event));
        view.paths.clone_from(&call.paths);
        let at = |n: &u32| format!("{}/steps/{n}/picture", self.href);
        view.pictures = call.pictures.iter().map(at).collect();
    }

    /// Adds the page screenshot after a browser action.
    fn page(&self, view: &mut StepView, step: &Step, call: &ToolCall) {
        match self.shots.get(&call.step) {
            Some(shot) => {
                if !shot.name.is_empty() {
                    view.what = format!("“{}”", shot.name);
                }
                if shot.after.is_some() {
                    let at = format!("{}/calls/{}/page", self.href, call.step);
                    view.page = Some((at, format!("{}/pages?at={}", self.href, call.step)));
                } else if shot.is_dark {
                    view.unseen = shots::DARK;
                }
            }
            None if shots::is_gone(self.look.now, step.at, call) => view.unseen = shots::GONE,
            None => {}
        }
    }

    /// The sub-agent's run that a call created.
    fn made(
        &self,
        tx: &dyn Read,
        step: &Step,
        call: &ToolCall,
    ) -> Result<Option<Nested>, StoreError> {
        let (Some(run), Some((body, _)), "subagent_spawn") =
            (step.run.filter(|_| self.alone), &call.result, call.name.as_str())
        else {
            return Ok(None);
        };
        let made = nested::named(tx, run, body.head())?;
        made.map(|made| nested::of(tx, self.look, &made)).transpose()
    }

    /// Address of the step on the page of raw events, which begins with it.
    fn kept(&self, step: &Step) -> Option<String> {
        let before = step.event.checked_sub(1).map(|n| format!("?after={n}")).unwrap_or_default();
        self.alone.then(|| format!("{}/events{before}#e-{}", self.href, step.event))
    }

    /// A person viewed a private conversation.
    fn looked(&self, tx: &dyn Read, by: Actor) -> Result<(&'static str, String), StoreError> {
        Ok(("eye", format!("{} looked at this", self.look.actor(tx, by)?)))
    }

    fn ended(
        &self,
        tx: &dyn Read,
        view: &mut StepView,
        outcome: &Outcome,
        summary: &str,
    ) -> Result<(), StoreError> {
        view.icon = words::outcome_state(outcome).icon;
        view.tone = match outcome {
            Outcome::Done => "ok",
            Outcome::Snoozed { .. } | Outcome::Stopped { .. } => "",
            Outcome::NoOutcome | Outcome::Limit { .. } | Outcome::Interrupted => "warn",
            Outcome::Failed { .. } | Outcome::CrashLoop => "danger",
        };
        view.verb = match outcome {
            Outcome::Stopped { by: Some(by) } if *by == self.look.me => "Stopped by you".to_owned(),
            Outcome::Stopped { by: Some(by) } => {
                format!("Stopped by {}", self.look.person(tx, *by)?)
            }
            Outcome::Snoozed { until } => format!("Continues {}", self.look.time(*until).text),
            outcome => words::end(outcome).to_owned(),
        };
        view.what = words::reason(outcome).unwrap_or_default();
        let is_shown = ellipsis(self.last.trim(), 2_000) == summary;
        if !summary.is_empty() && !is_shown && *summary != view.what {
            view.shape = Shape::Text(self.look.md(tx, summary));
        }
        Ok(())
    }
}

/// Collapses a sub-agent's input; that a sub-agent was created stays visible.
fn retitle(parts: &mut [Detail]) {
    for part in parts {
        if let Detail::Fold { meta, .. } = part {
            *meta = "What it was given".to_owned();
        }
    }
}

/// `0:03`, `12:40`, `1:02:09`; days in words.
fn clock(since: Duration) -> String {
    let secs = since.as_secs();
    let (hours, minutes, secs) = (secs / 3_600, secs / 60 % 60, secs % 60);
    match hours {
        0 => format!("{minutes}:{secs:02}"),
        1..24 => format!("{hours}:{minutes:02}:{secs:02}"),
        _ => format::duration(since),
    }
}

fn failed(view: &mut StepView, (class, message): (&str, &str), is_retry: bool) {
    if let Some(text) = words::cut_off(class) {
        (view.icon, view.verb) = ("stop", text.to_owned());
        return;
    }
    let message = match ErrorClass::named(class) {
        Some(class) => class.explained(message),
        None => message.to_owned(),
    };
    (view.icon, view.tone) = ("refresh", if is_retry { "warn" } else { "danger" });
    view.verb = "The model call failed.".to_owned();
    let message = message.trim_end().trim_end_matches('.');
    let more = if is_retry { " Retrying." } else { "" };
    view.what = format!("{message}.{more}");
}

fn began(view: &mut StepView, attempt: u32, model: &str, thinking: Thinking, bytes: u32) {
    (view.icon, view.verb) = match attempt {
        0 | 1 => ("play", "Started".to_owned()),
        // After a wait, a restart or a crash; the previous step says which.
        _ => ("play", "Resumed".to_owned()),
    };
    view.what = format!("with {model}");
    let mut facts = Vec::new();
    if thinking != Thinking::None {
        facts.push(format!("thinking {}", thinking.word()));
    }
    if 0 < bytes {
        facts.push(format!("first request {}", format::size(u64::from(bytes))));
    }
    view.code = facts.join(", ");
}

/// `41K to 6K tokens`
pub(super) fn compacted(made: &Compaction) -> String {
    let (from, to) = (format::tokens(made.tokens_before), format::tokens(made.tokens_after));
    let by = match made.by {
        SummaryBy::Model => "",
        SummaryBy::Mended => ", written twice because the first summary lost details",
        SummaryBy::Extract => {
            ", with a rule-based extract because the model’s summary wasn’t enough"
        }
    };
    format!("{from} to {to} tokens{by}")
}

/// `2.9K in, 48 out, $0.0051`
pub(super) fn spent(spent: Spent) -> String {
    let mut words = tokens(&spent);
    words.extend(cost(&spent));
    words.join(", ")
}

fn tokens(spent: &Spent) -> Vec<String> {
    let both = [(spent.input, "in"), (spent.output, "out")];
    let parts = both.into_iter().filter(|(n, _)| 0 < *n);
    parts.map(|(n, way)| format!("{} {way}", format::tokens(n))).collect()
}

fn cost(spent: &Spent) -> Option<String> {
    spent.micros.filter(|micros| 0 < *micros).map(format::money)
}

/// `at most $0.16 held back`; empty for a call without cost.
fn held(micros: i64) -> String {
    match micros {
        1.. => format!("at most {} held back", format::money(micros)),
        _ => String::new(),
    }
}

/// Cuts a text to one line of at most 80 characters.
pub(super) fn one_line(text: &str) -> String {
    ellipsis(text.trim(), 80)
}
