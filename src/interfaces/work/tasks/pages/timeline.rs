//! The timeline of a task's page: comments, changes, runs and deliverables.

use jiff::Timestamp;
use jiff::civil::Date;

use super::broken::Deeds;
use super::telling::Telling;
use features::activity::queries as activity;
use features::claims::queries::{self as claims, card::Proof};
use features::comments::queries::show as comments;
use features::deliverables::queries::{self as deliverables, card::Card};
use features::places::Spot;
use features::runs::model::{CallStatus, Run};
use features::runs::queries::doing::{doing, now, why};
use features::runs::queries::steps::{self, CallState, Steps, What};
use features::runs::queries::words;
use features::tasks::model::Task;
use features::tasks::queries::due::{self, Deadline};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::facts::{FactView, bold, run_fact, took};
use features::tasks::queries::history::{self, Back, Fact, FactKind, History};
use features::tasks::queries::standing::{self, Standing};
use features::tasks::queries::view_context::{Chip, ViewContext};
use kernel::display;
use kernel::text::ellipsis;
use kernel::{Actor, Assignee, Outcome, RunState, TaskField, Verdict};
use store::Read;
use web::format;
use web::html::{SafeHtml, escape};
use web::live::Live;
use web::md;
use web::parts::Face;

/// Number of runs per timeline page.
const MAX_RUNS: usize = 30;
/// Number of steps of a run shown expanded.
const SHOWN_STEPS: usize = 4;

pub enum Entry {
    /// Heading of a day.
    Day(String),
    /// A change.
    Fact(FactView),
    Comment(Box<comments::CommentView>),
    /// A deliverable.
    Piece(Box<Card>),
    /// The newest run.
    Run(Box<RunView>),
}

/// A step of the newest run.
pub struct StepView {
    /// The step's number in the run.
    pub number: String,
    pub glyph: &'static str,
    pub words: String,
    pub what: String,
    /// Duration; may be empty.
    pub took: String,
    /// Whether the step is in progress.
    pub current: bool,
    /// Whether the step failed, with the reason in `why`.
    pub failed: bool,
    pub why: String,
}

/// The newest run of a task.
#[derive(Default)]
pub struct RunView {
    /// Address of the run's page.
    pub href: String,
    /// Address of "stop"; empty if the run cannot be stopped.
    pub stop: String,
    pub live: Live,
    pub face: Face,
    /// State word.
    pub state: &'static str,
    /// "Ada is working:".
    pub head: String,
    /// "step 7, writing notes.md".
    pub text: String,
    /// Whether the run is in progress.
    pub is_live: bool,
    /// Actions for a run that broke off.
    pub deeds: Deeds,
    /// Steps that are collapsed.
    pub earlier: Vec<StepView>,
    /// Their number in words.
    pub earlier_label: String,
    /// The last steps.
    pub steps: Vec<StepView>,
    /// Time, tokens, money.
    pub facts: Vec<String>,
    /// Chips: practice, model.
    pub chips: Vec<Chip>,
    /// Evidence for the end of its work.
    pub proof: Option<Proof>,
}

/// The entries, oldest first with day headings, and whether there are earlier ones. `looks` is the number of history
/// pages. Comments, deliverables and the newest run are always complete.
pub fn entries(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    (looks, telling): (usize, Telling),
) -> Result<(Vec<Entry>, bool), TaskError> {
    let mut all: Vec<(Timestamp, Entry)> = Vec::new();
    let is_all = telling == Telling::Everything;
    let History { facts, more } = match is_all {
        true => history::history(read, task.id, looks)?,
        false => History::default(),
    };
    for fact in facts {
        let at = fact.at;
        all.push((at, Entry::Fact(fact_view(scene, &fact))));
    }
    let spot = Spot::of_task(scene.name(task), task);
    for (at, talk) in comments::talks(scene, read, &spot)? {
        all.push((at, Entry::Comment(Box::new(talk))));
    }
    for piece in deliverables::of_task(read, task.id)? {
        delivered(scene, read, piece, &mut all);
    }
    let most = MAX_RUNS * looks;
    let mut runs = standing::newest_runs(read, task.id, most)?;
    let more = more || (is_all && runs.len() == most);
    let mut last = None;
    if let Some(at) = chosen(&runs) {
        let run = runs.remove(at);
        let view = Entry::Run(Box::new(run_view(scene, read, task, &run)?));
        match run.ended_at {
            Some(at) => all.push((at, view)),
            None => last = Some((run.started_at.unwrap_or(run.created_at), view)),
        }
    }
    for run in &runs {
        let at = run.ended_at.unwrap_or(run.created_at);
        all.push((at, Entry::Fact(run_fact(scene, read, run, "")?)));
    }
    all.retain(|(_, entry)| is_all || !matches!(entry, Entry::Fact(_)));
    all.sort_by_key(|(at, _)| *at);
    all.extend(last);
    Ok((with_days(scene, all), more))
}

/// The run of a task that is shown with its steps.
pub fn newest_run(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
) -> Result<Option<RunView>, TaskError> {
    let runs = standing::newest_runs(read, task.id, MAX_RUNS)?;
    match chosen(&runs) {
        Some(at) => Ok(Some(run_view(scene, read, task, &runs[at])?)),
        None => Ok(None),
    }
}

/// Index of the run to show, among runs sorted newest first: the running one, else a waiting one, else a queued one,
/// else the newest.
fn chosen(runs: &[Run]) -> Option<usize> {
    let place = |state| runs.iter().position(|run| run.state == state);
    let live = place(RunState::Running)
        .or_else(|| place(RunState::Waiting))
        .or_else(|| place(RunState::Queued));
    live.or((!runs.is_empty()).then_some(0))
}

fn with_days(scene: &ViewContext, all: Vec<(Timestamp, Entry)>) -> Vec<Entry> {
    let today = due::day(scene.today.now, &scene.today.zone);
    let mut day = None;
    let mut out = Vec::with_capacity(all.len() + 4);
    for (at, entry) in all {
        let date = due::day(at, &scene.today.zone);
        if day.is_none_or(|last: Date| last < date) {
            day = Some(date);
            out.push(Entry::Day(activity::day(date, today)));
        }
        out.push(entry);
    }
    out
}

/// Adds the card of a deliverable's newest version, and facts about the earlier versions.
fn delivered(
    scene: &ViewContext,
    read: &dyn Read,
    piece: deliverables::Piece,
    all: &mut Vec<(Timestamp, Entry)>,
) {
    let before = piece.versions.len().saturating_sub(1);
    let title = bold(&piece.deliverable.title);
    for judged in &piece.versions[..before] {
        let version = &judged.version;
        let by = bold(&scene.people.actor(piece.deliverable.submitted_by).name);
        let words = format!("{by} delivered version {} of {title}", version.number);
        let at = version.created_at;
        all.push((at, fact(scene, "box", "", words, at)));
        if let Some(review) = &judged.review {
            let by = bold(&scene.people.name(Assignee::Person(review.by)));
            let (glyph, state, verb) = match review.verdict {
                Verdict::Approved => ("done", "approved", "approved"),
                Verdict::ChangesRequested => ("undo", "changes_requested", "requested changes to"),
                Verdict::Rejected => ("x", "rejected", "rejected"),
            };
            let note = match review.note.as_str() {
                "" => String::new(),
                note => format!(": “{}”", escape(&md::excerpt(note, 200))),
            };
            let words = format!("{by} {verb} version {} of {title}{note}", version.number);
            let at = review.created_at;
            all.push((at, fact(scene, glyph, state, words, at)));
        }
    }
    let at = piece.newest().map_or(piece.deliverable.created_at, |j| j.version.created_at);
    all.push((at, Entry::Piece(Box::new(Card::new(scene, read, piece)))));
}

fn fact(
    scene: &ViewContext,
    glyph: &'static str,
    state: &'static str,
    words: String,
    at: Timestamp,
) -> Entry {
    Entry::Fact(FactView { glyph, state, words: SafeHtml::vouched(words), at: scene.time(at) })
}

fn actor(scene: &ViewContext, actor: Actor) -> String {
    bold(&scene.people.actor(actor).name)
}

fn fact_view(scene: &ViewContext, fact: &Fact) -> FactView {
    let by = actor(scene, fact.actor);
    let name = |who: &Assignee| bold(&scene.people.name(*who));
    let day = |due: &Deadline| due.words(&scene.today.zone, display::day_of_year);
    let (glyph, state, words) = match &fact.kind {
        FactKind::Created => ("plus", "", format!("{by} created this task")),
        FactKind::Assigned(_, Some(to))
            if *to == features::tasks::queries::people::assignee_of(fact.actor) =>
        {
            ("user", "", format!("{by} took this task"))
        }
        FactKind::Assigned(_, Some(to)) => ("user", "", format!("{by} assigned {}", name(to))),
        FactKind::Assigned(Some(from), None) => {
            ("user", "", format!("{by} took over from {}", name(from)))
        }
        FactKind::Assigned(None, None) => ("user", "", format!("{by} changed the assignee")),
        FactKind::Status(from, to) => {
            let words = format!("{by} moved it from {} to {}", from.label(), bold(to.label()));
            (to.word(), to.word(), words)
        }
        FactKind::Title(Some(old)) => {
            ("edit", "", format!("{by} renamed it from <del>{}</del>", escape(old)))
        }
        FactKind::Title(None) => ("edit", "", format!("{by} renamed it")),
        FactKind::Priority(_, to) => {
            (to.word(), "", format!("{by} set the priority to {}", bold(to.label())))
        }
        FactKind::Due(Some(Some(from)), Some(to)) => {
            let (from, to) = (day(from), bold(&day(to)));
            ("calendar", "", format!("{by} moved the due date from <del>{from}</del> to {to}"))
        }
        FactKind::Due(_, Some(to)) => {
            ("calendar", "", format!("{by} set the due date to {}", bold(&day(to))))
        }
        FactKind::Due(_, None) => ("calendar", "", format!("{by} removed the due date")),
        FactKind::Archived(true) => ("archive", "", format!("{by} archived this task")),
        FactKind::Archived(false) => ("archive", "", format!("{by} restored this task")),
        FactKind::Undone(back) if back.is_empty() => {
            ("undo", "", format!("{by} undid a change to this task"))
        }
        FactKind::Undone(back) => {
            let each = back.iter().map(|one| match one {
                Back::Title(title) => format!("the title is now {}", bold(title)),
                Back::Status(status) => format!("status is {} again", bold(status.label())),
                Back::Priority(to) => format!("the priority is {} again", bold(to.label())),
                Back::Assignee(Some(who)) => format!("assigned to {} again", name(who)),
                Back::Assignee(None) => "unassigned again".to_owned(),
                Back::Due(Some(due)) => format!("due {} again", bold(&day(due))),
                Back::Due(None) => "no due date again".to_owned(),
                Back::Archived(true) => "archived again".to_owned(),
                Back::Archived(false) => "no longer archived".to_owned(),
                Back::Description => "the description was restored".to_owned(),
                Back::Labels(moved) => moved.describe(bold, ("", "")),
            });
            let each: Vec<String> = each.collect();
            ("undo", "", format!("{by} undid a change: {}", each.join(", ")))
        }
        FactKind::Labels(moved) => ("tag", "", format!("{by} {}", moved.describe(bold, ("", "")))),
        FactKind::Field(field) => {
            let glyph = if *field == TaskField::Parent { "sub" } else { "edit" };
            (glyph, "", format!("{by} changed the {}", field.label().to_lowercase()))
        }
    };
    FactView { glyph, state, words: SafeHtml::vouched(words), at: scene.time(fact.at) }
}

fn run_view(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    run: &Run,
) -> Result<RunView, TaskError> {
    let who = Assignee::Agent(run.agent);
    let name = scene.people.name(who);
    let steps = Steps::fold(run.first_event, steps::events_of(read, run)?, &|_| None);
    let is_live = run.state != RunState::Ended;
    let state = words::seen(&scene.ws, read, run)?.word;
    let (mut head, text) = describe(run, &name);
    if run.state == RunState::Running && run.stop.is_none() && state == words::stalled().word {
        head = format!("{name} is stalled:");
    }
    let can_stop = run.can_stop() && scene.may_chat;
    let href = scene.run_href(run.number);
    let mut chips = Vec::new();
    if run.connection.is_none() && run.model.starts_with("practice") {
        let hint = "A script without AI acts as the agent".to_owned();
        chips.push(Chip { label: "Practice (no AI)".to_owned(), hint, ..Chip::default() });
    }
    let mut facts: Vec<String> = took(scene, run).into_iter().collect();
    let tokens = steps.used.input + steps.used.output;
    if 0 < tokens {
        facts.push(format!("{} tokens", format::tokens(tokens)));
    }
    facts.extend(steps.used.micros.map(format::money));
    let proof = claims::at_end(read, run.id)?;
    let mut steps = step_views(steps, run.state);
    let earlier = steps.len().saturating_sub(SHOWN_STEPS);
    let shown = steps.split_off(earlier);
    let live = Live::new(format!("{}?part=run", scene.href(task)));
    let deeds = match standing::standing(read, task, scene.today.now)? {
        // The banner above offers them.
        Standing::Stopped { run: number } if number == run.number => {
            Deeds { onward: None, retry: None, ..Deeds::of(scene, read, run)? }
        }
        _ => Deeds::of(scene, read, run)?,
    };
    Ok(RunView {
        stop: if can_stop { format!("{href}/stop") } else { String::new() },
        href,
        live: live.record("runs", run.id),
        face: scene.people.face(who),
        state,
        head,
        text,
        is_live,
        deeds,
        earlier_label: format::count(steps.len() as u64, "earlier step", "earlier steps"),
        earlier: steps,
        steps: shown,
        facts,
        chips,
        proof: proof.map(|check| Proof::new(&scene.ws, Some(check))),
    })
}

/// Name with a verb, and current activity.
fn describe(run: &Run, name: &str) -> (String, String) {
    match (&run.state, &run.outcome) {
        (RunState::Queued, _) => {
            (format!("{name} is queued:"), "starts as soon as a slot is free".to_owned())
        }
        (RunState::Running, _) if run.stop.is_some() => {
            (format!("{name} is stopping"), String::new())
        }
        (RunState::Running, _) => {
            let activity = now(&run.activity);
            let sep = if activity.is_empty() { "" } else { ", " };
            let text = format!("step {}{sep}{activity}", run.steps.max(1));
            (format!("{name} is working:"), text)
        }
        (RunState::Waiting, _) => {
            let detail = run.waiting.as_ref().map_or("", |waiting| waiting.detail.as_str());
            let state = words::state(run).label.to_lowercase();
            (format!("{name} is {state}:"), detail.to_owned())
        }
        (RunState::Ended, Some(Outcome::Done)) => {
            (format!("{name} finished."), run.summary.clone())
        }
        (RunState::Ended, Some(Outcome::Snoozed { .. })) => {
            (format!("{name} continues later."), run.summary.clone())
        }
        (RunState::Ended, Some(Outcome::Stopped { .. })) => {
            (format!("{name} was stopped."), String::new())
        }
        (RunState::Ended, outcome) => {
            let why = outcome.as_ref().and_then(words::reason).unwrap_or_default();
            let state = words::state(run).label.to_lowercase();
            (format!("{name}: {state}."), why)
        }
    }
}

/// The tool calls that have started.
fn step_views(steps: Steps, state: RunState) -> Vec<StepView> {
    let mut views = Vec::new();
    for step in steps.all {
        let What::Tool(call) = &step.what else { continue };
        let action = doing(call);
        let failed = match call.state {
            CallState::Planned => continue,
            CallState::Running => state == RunState::Ended,
            CallState::Ended(status) => status != CallStatus::Ok,
        };
        let result = call.result.as_ref().filter(|_| call.could_not());
        let why = result.map(|(body, _)| why(body.head())).unwrap_or_default();
        let took = step.millis.map(|ms| format::duration(std::time::Duration::from_millis(ms)));
        views.push(StepView {
            number: step.key,
            glyph: action.icon,
            words: action.verb,
            what: action.what,
            took: took.unwrap_or_default(),
            current: false,
            failed,
            why: ellipsis(&why, 200),
        });
    }
    if let Some(last) = views.last_mut() {
        last.current = state == RunState::Running && last.took.is_empty();
    }
    views
}
