//! A conversation as a page shows it: people's messages, and each turn of the agent with its steps collapsed into one
//! line.

use std::collections::HashMap;
use std::time::Duration;

use app::live::BlockKind;
use channels::model::DeliveryId;
use features::runs::model::{Attachment, Habits, Input, InputState, Run};
use features::runs::queries::questions::{self, Card};
use features::runs::queries::steps::{CallState, Spent, Step, Steps, What};
use features::runs::queries::versions::Versions;
use features::runs::queries::{onward, words};
use kernel::{Actor, InputId, RunId, RunState, RunTrigger, SessionId, Verbosity};
use store::{Read, ReadExt, StoreError};
use web::format;
use web::html::SafeHtml;
use web::parts::Face;
use web::time::RelTime;

use super::delivered;
use super::display::Look;
use super::place::with;
use super::steps::{Drawing, StepView, compacted, spent};
use super::writing::Writing;

/// An entry of a conversation.
pub(super) enum Entry {
    /// The reader's message.
    Mine(Box<Mine>),
    /// Another person's message.
    Theirs { key: String, face: Face, at: RelTime, html: SafeHtml, files: Vec<Attached> },
    /// A turn of the agent.
    Turn(Box<Turn>),
    /// A summary that replaces the earlier messages for the model.
    Compacted { at: RelTime, text: String, html: SafeHtml },
}

/// The reader's message.
pub(super) struct Mine {
    pub key: String,
    pub at: RelTime,
    pub html: SafeHtml,
    pub files: Vec<Attached>,
    /// Queue state of the message until the agent has read it.
    pub note: String,
    /// Actions on the message: label and address.
    pub acts: Vec<(&'static str, String)>,
    /// Address of "edit".
    pub change: Option<String>,
    /// The edit form, while it is open.
    pub edit: Option<Edit>,
    /// Other versions of this message.
    pub versions: Option<Beside>,
}

/// The form that edits a message.
pub(super) struct Edit {
    pub action: String,
    pub text: String,
    /// The actions that the agent took after the message.
    pub after: After,
}

/// The actions that followed a message.
#[derive(Clone, Debug, Default)]
pub(super) struct After {
    /// The actions that can be undone first.
    pub back: Vec<String>,
    pub stays: Vec<String>,
}

/// Position among the versions of a message ("2 of 3"), and the addresses of the previous and next version.
pub(super) struct Beside {
    pub place: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Editing of messages that the agent has read.
#[derive(Default)]
pub(super) struct Editing {
    /// Whether the reader may edit messages.
    pub may: bool,
    /// The message being edited, and what followed it.
    pub open: Option<(InputId, After)>,
    /// Versions of messages, by event number.
    pub versions: HashMap<u32, Versions>,
}

/// A file attached to a message.
pub(super) struct Attached {
    pub name: String,
    pub size: String,
    pub glyph: &'static str,
    pub href: String,
    /// Address that saves the file as knowledge; empty if the reader may not.
    pub keep: String,
    pub is_picture: bool,
    pub is_document: bool,
}

impl Attached {
    pub fn all(look: &Look<'_>, of: InputId, files: &[Attachment]) -> Vec<Self> {
        let one = |(n, file): (usize, &Attachment)| Self {
            name: file.name.clone(),
            size: format::size(file.len),
            glyph: if file.is_document() { "doc" } else { "file" },
            href: look.ws.url(&format!("messages/{of}/files/{n}")),
            keep: match look.may_keep() {
                true => look.ws.url(&format!("knowledge/keep/{of}/{n}")),
                false => String::new(),
            },
            is_picture: file.is_picture(),
            is_document: file.is_document(),
        };
        files.iter().enumerate().map(one).collect()
    }
}

/// The agent's steps and text in one run.
pub(super) struct Turn {
    pub key: String,
    pub face: Face,
    pub at: RelTime,
    /// What the run is doing; empty if idle.
    pub doing: String,
    /// Thoughts and tool calls.
    pub steps: Vec<StepView>,
    /// Summary of the steps in one line.
    pub folded: String,
    /// Whether the steps start expanded.
    pub unfolded: bool,
    pub words: Vec<SafeHtml>,
    /// The text as Markdown source, for copying.
    pub said: String,
    pub writing: Option<Writing>,
    /// Tone and text of an unsuccessful end.
    pub trouble: Option<(&'static str, String)>,
    /// Tokens, cost, duration and the delivery state on messengers.
    pub facts: Vec<String>,
    /// The answer's messages that are still being sent.
    pub open: Vec<DeliveryId>,
    sent: Vec<String>,
    /// Address of the run's page, and of "stop" while the run works.
    pub href: String,
    pub stop: Option<String>,
    /// The input, for asking it again.
    pub again: Option<String>,
    /// Address and text for continuing a stopped run.
    pub onward: Option<(String, String)>,
    /// The call that waits for approval. A question in words is answered by a message.
    pub asks: Option<Card>,
}

impl Turn {
    fn says_nothing(&self) -> bool {
        let silent = self.words.is_empty() && self.steps.is_empty() && self.writing.is_none();
        silent && self.doing.is_empty() && self.trouble.is_none()
    }
}

/// Builds the entries of a conversation.
pub(super) struct Telling<'a, 'l> {
    look: &'a Look<'l>,
    drawing: Drawing<'a, 'l>,
    face: Face,
    runs: HashMap<RunId, Run>,
    entries: Vec<Entry>,
    open: Option<(RunId, Box<Turn>)>,
    /// The run of the last step, which may have no output yet.
    last: Option<RunId>,
    seen: Seen,
    question: Option<String>,
    editing: Editing,
    /// Address of the chat and the query that selects this conversation.
    here: &'a str,
    at: &'a str,
    /// Event number of the previous message.
    before: Option<u32>,
    /// Whether thoughts are expanded; hidden if `Some(false)`, collapsed if `None`.
    thoughts: Option<bool>,
    /// How tools are shown; collapsed if `None`.
    tools: Option<Verbosity>,
}

/// Counts of the open turn.
#[derive(Default)]
struct Seen {
    tools: usize,
    thoughts: usize,
    spent: Spent,
}

impl<'a, 'l> Telling<'a, 'l> {
    pub fn new(
        look: &'a Look<'l>,
        face: Face,
        (here, at): (&'a str, &'a str),
        editing: Editing,
    ) -> Self {
        let (href, last) = (String::new(), String::new());
        let drawing = Drawing {
            look,
            agent: face.clone(),
            href,
            alone: false,
            over: false,
            start: None,
            again: None,
            shots: HashMap::new(),
            last,
        };
        Self {
            look,
            drawing,
            face,
            runs: HashMap::new(),
            entries: Vec::new(),
            open: None,
            last: None,
            seen: Seen::default(),
            question: None,
            editing,
            here,
            at,
            before: None,
            thoughts: None,
            tools: None,
        }
    }

    /// Applies the reader's preferences for thoughts and tools; without one, both are collapsed.
    pub fn showing(self, habits: &Habits) -> Self {
        Self { thoughts: habits.shows_thoughts, tools: habits.shows_tools, ..self }
    }

    /// Builds all steps, then the streamed text, then the messages that wait or were dropped.
    pub fn tell(
        mut self,
        tx: &dyn Read,
        steps: &Steps,
        waiting: &[Input],
        held: Option<&str>,
    ) -> Result<Vec<Entry>, StoreError> {
        for step in &steps.all {
            self.step(tx, step)?;
        }
        self.now(tx, steps)?;
        self.close();
        for input in waiting {
            let run = match input.state {
                InputState::Assigned(run) => self.run(tx, run)?,
                _ => None,
            };
            let begun = run.as_ref().is_some_and(|run| run.started_at.is_some());
            let note = words::waits_as(input, run.as_ref(), held);
            let mine = input.by.account() == Some(self.look.me);
            let html = self.look.md(tx, &input.text);
            let at = self.look.time(input.created_at);
            if !mine && input.by.account().is_some() {
                self.theirs(tx, input, (at, html))?;
                continue;
            }
            let act = |verb: &str| format!("{}/{}/{verb}", self.here, input.id);
            let mut waits = false;
            let acts = match (&input.state, mine) {
                (_, false) => Vec::new(),
                (InputState::Dropped(_) | InputState::Overflowed, true) => {
                    vec![("Resend", act("restore")), ("Dismiss", act("dismiss"))]
                }
                (InputState::Assigned(_), true) if begun => Vec::new(),
                _ => {
                    waits = input.is_talk();
                    vec![("Remove", act("cancel"))]
                }
            };
            let (change, edit) = self.editing(input.id, &input.text, waits);
            let key = format!("m-{}", input.id);
            let files = Attached::all(self.look, input.id, &input.attached);
            let versions = None;
            let one = Mine { key, at, html, files, note, acts, change, edit, versions };
            self.entries.push(Entry::Mine(Box::new(one)));
        }
        Ok(self.entries)
    }

    /// Adds another person's unread message. Their dropped messages are not shown.
    fn theirs(
        &mut self,
        tx: &dyn Read,
        input: &Input,
        (at, html): (RelTime, SafeHtml),
    ) -> Result<(), StoreError> {
        if !matches!(input.state, InputState::Dropped(_) | InputState::Overflowed) {
            let face = self.look.face(tx, input.by)?;
            let files = Attached::all(self.look, input.id, &input.attached);
            let key = format!("m-{}", input.id);
            self.entries.push(Entry::Theirs { key, face, at, html, files });
        }
        Ok(())
    }

    fn run(&mut self, tx: &dyn Read, id: RunId) -> Result<Option<Run>, StoreError> {
        if let Some(run) = self.runs.get(&id) {
            return Ok(Some(run.clone()));
        }
        let run = tx.get::<Run>(id)?;
        self.runs.extend(run.clone().map(|run| (id, run)));
        Ok(run)
    }

    fn step(&mut self, tx: &dyn Read, step: &Step) -> Result<(), StoreError> {
        // It belongs to an ended run and is in that run's log.
        if matches!(step.what, What::Late { .. }) {
            return Ok(());
        }
        self.last = step.run.or(self.last);
        if matches!(
            step.what,
            What::Began { .. } | What::Prompted(_) | What::Notice(_) | What::Committed { .. }
        ) {
            return Ok(());
        }
        if let What::Input { text, by, input, answers, attached, .. } = &step.what {
            self.close();
            let html = self.look.md(tx, text.head());
            let files = match input {
                Some(input) => Some(Attached::all(self.look, *input, attached)),
                None => answers.then(Vec::new),
            };
            // An answer cannot be repeated: its question is closed.
            let retry_of = input.filter(|_| !answers);
            self.push_message(tx, (*by, retry_of, text.head()), step, (html, files))?;
            self.question = Some(text.head().to_owned());
            return Ok(());
        }
        if self.divides(tx, step)? {
            return Ok(());
        }
        let Some(run) = step.run else { return Ok(()) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != run) {
            self.close();
            let turn = self.begin(tx, run, self.look.time(step.at))?;
            // Full texts and pictures are on the page of their run.
            self.drawing.href.clone_from(&turn.href);
            self.open = Some((run, Box::new(turn)));
        }
        let view = self.drawing.view(tx, step)?;
        let trouble = self.look.trouble(tx, &step.what)?;
        let words = match &step.what {
            What::Said(text) => Some(self.look.md_of(tx, text, Some(run))),
            _ => None,
        };
        let Some((_, turn)) = self.open.as_mut() else { return Ok(()) };
        if let Some(spent) = step.spent {
            self.seen.spent.input += spent.input;
            self.seen.spent.output += spent.output;
            self.seen.spent.micros = match (self.seen.spent.micros, spent.micros) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
        match &step.what {
            What::Said(text) => {
                turn.words.extend(words);
                let between = if turn.said.is_empty() { "" } else { "\n\n" };
                turn.said.push_str(between);
                turn.said.push_str(text);
            }
            What::Thought(_) if self.thoughts == Some(false) => {}
            What::Thought(_) => {
                self.seen.thoughts += 1;
                turn.unfolded |= self.thoughts == Some(true);
                turn.steps.push(view);
            }
            What::Tool(call) => {
                if call.state == CallState::Running {
                    turn.doing = format!("{} {}", view.verb, view.what).trim().to_owned();
                }
                if self.tools != Some(Verbosity::Off) {
                    self.seen.tools += 1;
                    turn.unfolded |= self.tools.is_some();
                    let open = self.tools == Some(Verbosity::Full);
                    turn.steps.push(StepView { open, ..view });
                }
            }
            What::Failed { .. }
            | What::Interrupted(_)
            | What::Waiting { .. }
            | What::LeftOut(_)
            | What::Remembered { .. } => {
                turn.steps.push(view);
            }
            _ => {}
        }
        if trouble.is_some() {
            turn.trouble = trouble;
        }
        Ok(())
    }

    /// Adds a step that is a line across the conversation. Returns whether it was one.
    fn divides(&mut self, tx: &dyn Read, step: &Step) -> Result<bool, StoreError> {
        if let What::Looked(by) = &step.what {
            let text = format!("{} looked at this conversation", self.look.actor(tx, *by)?);
            let (at, html) = (self.look.time(step.at), SafeHtml::default());
            self.entries.push(Entry::Compacted { at, text, html });
            return Ok(true);
        }
        let (text, html) = match &step.what {
            What::Compacted(made) => {
                (format!("Compacted, {}", compacted(&made.1)), self.look.md(tx, &made.0))
            }
            What::NotCompacted(why) => (format!("Not compacted: {why}"), SafeHtml::default()),
            _ => return Ok(false),
        };
        self.close();
        self.entries.push(Entry::Compacted { at: self.look.time(step.at), text, html });
        Ok(true)
    }

    fn push_message(
        &mut self,
        tx: &dyn Read,
        (by, input, text): (Actor, Option<InputId>, &str),
        step: &Step,
        (html, files): (SafeHtml, Option<Vec<Attached>>),
    ) -> Result<(), StoreError> {
        let (card, files) = (files.is_none(), files.unwrap_or_default());
        let (key, at) = (format!("e-{}", step.event), self.look.time(step.at));
        let entry = match by.account() {
            Some(account) if account == self.look.me && !card => {
                let (mut acts, mut change, mut edit) = (Vec::new(), None, None);
                if let Some(input) = input {
                    (change, edit) = self.editing(input, text, self.editing.may);
                    if self.editing.may {
                        acts.push(("Answer again", format!("{}/{input}/again", self.here)));
                    }
                }
                let versions = self.versions(step.event);
                self.before = Some(step.event);
                let note = String::new();
                let one = Mine { key, at, html, files, note, acts, change, edit, versions };
                Entry::Mine(Box::new(one))
            }
            Some(_) if !card => {
                let face = self.look.face(tx, by)?;
                Entry::Theirs { key, face, at, html, files }
            }
            _ => Entry::Theirs { key, face: Face::agent("HQ", "", "hq"), at, html, files },
        };
        self.entries.push(entry);
        Ok(())
    }

    /// Address of "edit" for a message, and the form if it is open.
    fn editing(&self, input: InputId, text: &str, may: bool) -> (Option<String>, Option<Edit>) {
        if !may {
            return (None, None);
        }
        let change = with(&format!("{}{}", self.here, self.at), &format!("edit={input}"));
        let edit = self.editing.open.as_ref().filter(|(open, _)| *open == input);
        let edit = edit.map(|(_, after)| Edit {
            action: format!("{}/{input}/edit", self.here),
            text: text.to_owned(),
            after: after.clone(),
        });
        (Some(change), edit)
    }

    /// Versions of the message whose range, from after the previous message up to this one, contains a branch.
    fn versions(&self, event: u32) -> Option<Beside> {
        let own = |at: u32| self.before.is_none_or(|before| before < at) && at <= event;
        let all = self.editing.versions.iter().filter(|(at, _)| own(**at));
        let (_, versions) = all.max_by_key(|(at, _)| **at)?;
        let href = |session: SessionId| format!("{}?session={session}", self.here);
        Some(Beside {
            place: format!("{} of {}", versions.shown + 1, versions.all.len()),
            before: versions.before().map(href),
            after: versions.after().map(href),
        })
    }

    fn begin(&mut self, tx: &dyn Read, id: RunId, at: RelTime) -> Result<Turn, StoreError> {
        let run = self.run(tx, id)?;
        let works = run.as_ref().is_some_and(|run| run.state == RunState::Running);
        let name = run.as_ref().map(Run::name).unwrap_or_default();
        let mut face = self.face.clone();
        face.live = works;
        let doing = match run.as_ref() {
            Some(run) if run.state == RunState::Waiting => {
                words::waits(run).map(|(text, _)| text).unwrap_or_default()
            }
            _ if works => "is working".to_owned(),
            _ => String::new(),
        };
        self.seen = Seen::default();
        let question = self.question.take();
        let chat = run.as_ref().is_some_and(|run| run.trigger != RunTrigger::Item);
        let asks = run.as_ref().map(|run| questions::card(tx, &self.look.reader(), run));
        let onward = match run.as_ref().filter(|_| self.look.may_write) {
            Some(run) => onward::of(tx, run, self.look.me)?,
            None => None,
        };
        let deliveries = channels::queries::of_run(tx, id)?;
        Ok(Turn {
            key: format!("run-{name}"),
            face,
            at,
            doing,
            steps: Vec::new(),
            folded: String::new(),
            unfolded: false,
            words: Vec::new(),
            said: String::new(),
            writing: None,
            trouble: None,
            facts: Vec::new(),
            open: delivered::open(&deliveries),
            sent: delivered::sent(&deliveries),
            href: self.look.ws.url(&format!("runs/{name}")),
            stop: run.as_ref().and_then(|run| self.look.stop(run)),
            again: question.filter(|_| chat),
            asks: asks.transpose()?.flatten().filter(|card| card.pending.is_some()),
            onward: onward
                .map(|onward| (self.look.ws.url(&format!("runs/{name}/continue")), onward.label)),
        })
    }

    /// Adds the current activity of the last run, which may have no output yet.
    fn now(&mut self, tx: &dyn Read, steps: &Steps) -> Result<(), StoreError> {
        if let (None, Some(last)) = (&self.open, self.last)
            && self.run(tx, last)?.is_some_and(|run| run.is_live() && run.started_at.is_some())
        {
            let since = steps.asking.map_or(self.look.now, |(_, since)| since);
            let turn = self.begin(tx, last, self.look.time(since))?;
            self.open = Some((last, Box::new(turn)));
        }
        let Some((run, turn)) = self.open.as_mut() else { return Ok(()) };
        if !turn.face.live {
            return Ok(());
        }
        match self.look.ws.live.block(*run) {
            Some(piece) if piece.kind == BlockKind::Text => {
                turn.doing = "is writing".to_owned();
                turn.writing = Some(Writing::of(tx, self.look, piece));
            }
            Some(piece) if piece.kind == BlockKind::Thinking => {
                turn.doing = "is thinking".to_owned();
            }
            _ if steps.compacting => turn.doing = "is compacting the conversation".to_owned(),
            _ if steps.asking.is_some() => turn.doing = "is thinking".to_owned(),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some((id, mut turn)) = self.open.take() else { return };
        let seen = std::mem::take(&mut self.seen);
        // Without thoughts and tool calls, the end of the run says everything.
        if turn.trouble.is_some() && (seen.thoughts, seen.tools) == (0, 0) {
            turn.steps.clear();
        }
        turn.folded = folded(&seen);
        let run = self.runs.get(&id);
        if run.is_some_and(|run| run.state == RunState::Ended) {
            let words = spent(seen.spent);
            turn.facts.extend(words.split(", ").filter(|w| !w.is_empty()).map(str::to_owned));
            let took = run.and_then(|run| self.look.duration(run));
            turn.facts.extend(took.filter(|t| *t > Duration::ZERO).map(format::duration));
            turn.facts.append(&mut turn.sent);
        }
        if turn.trouble.is_none() {
            turn.again = None;
        }
        if turn.says_nothing() {
            return;
        }
        self.entries.push(Entry::Turn(turn));
    }
}

/// "Thought, used 3 tools"
fn folded(seen: &Seen) -> String {
    let tools = u64::try_from(seen.tools).unwrap_or(u64::MAX);
    match (seen.thoughts, tools) {
        (0, 0) => "Steps".to_owned(),
        (_, 0) => "Thought".to_owned(),
        (0, _) => format!("Used {}", format::count(tools, "tool", "tools")),
        (_, _) => format!("Thought, used {}", format::count(tools, "tool", "tools")),
    }
}
