//! Context of a task view: workspace, viewer, time and display names.

use std::sync::Arc;

use jiff::Timestamp;

use super::due;
use super::error::TaskError;
use super::list::Today;
use super::overdue::{self, Passed};
use super::people::People;
use super::standing::Standing;
use crate::inbox::queries::why::Cause;
use crate::links::queries as links;
use crate::runs::queries::doing;
use crate::tasks::model::Task;
use app::{Who as _, Ws};
use kernel::{AccountId, Actor, Assignee, Can, Role, RunId};
use store::Read;
use web::html::SafeHtml;
use web::md;
use web::session::{Access, Person};
use web::time::{Due, RelTime};

/// A short coloured label on a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chip {
    pub label: String,
    /// State word, or empty.
    pub state: &'static str,
    /// Icon, or empty.
    pub glyph: &'static str,
    /// Link target, or empty.
    pub href: String,
    /// Tooltip.
    pub hint: String,
    /// `true` if nothing will start the task, so a person may have to act.
    pub alone: bool,
}

pub struct ViewContext {
    pub ws: Ws,
    /// Account of the viewer.
    pub me: AccountId,
    /// The viewer as an actor.
    pub actor: Actor,
    /// Role of the viewer in the workspace.
    pub role: Role,
    /// Permissions of the viewer.
    pub access: Access,
    /// `true` if the viewer may change tasks.
    pub may_write: bool,
    /// `true` if the viewer may review.
    pub may_review: bool,
    /// `true` if the viewer may stop runs.
    pub may_chat: bool,
    /// Prefix of task numbers.
    pub key: String,
    pub people: Arc<People>,
    /// Current time, with the viewer's time zone.
    pub today: Today,
}

impl ViewContext {
    pub fn new(ws: &Ws, who: &Person, read: &dyn Read) -> Result<Self, TaskError> {
        Ok(Self {
            ws: ws.clone(),
            me: who.account,
            actor: who.actor(),
            role: who.role,
            access: who.access,
            may_write: who.access.may(Can::Write),
            may_review: who.access.may(Can::Review),
            may_chat: who.access.may(Can::Chat),
            key: super::key(read)?,
            people: Arc::new(People::read(read)?),
            today: Today { now: ws.app.clock.now(), zone: due::zone(&who.zone) },
        })
    }

    /// The viewer as an assignee.
    #[must_use]
    pub fn myself(&self) -> Assignee {
        Assignee::Person(self.me)
    }

    /// Display name, such as `MC-142`.
    #[must_use]
    pub fn name(&self, task: &Task) -> String {
        format!("{}-{}", self.key, task.number)
    }

    /// URL of a task's page.
    #[must_use]
    pub fn href(&self, task: &Task) -> String {
        self.ws.url(&format!("tasks/{}", self.name(task)))
    }

    /// URL of a run's page.
    #[must_use]
    pub fn run_href(&self, number: u32) -> String {
        self.ws.url(&format!("runs/{number}"))
    }

    #[must_use]
    pub fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.today.now, &self.today.zone)
    }

    #[must_use]
    pub fn due(&self, task: &Task) -> Option<Due> {
        overdue::shown(task, &self.today)
    }

    #[must_use]
    pub fn is_overdue(&self, task: &Task) -> bool {
        Passed::at(self.today.now, &self.today.zone).is_overdue(task)
    }

    /// Renders Markdown and links `MC-142` and `@ada`.
    #[must_use]
    pub fn md(&self, read: &dyn Read, text: &str) -> SafeHtml {
        self.md_of(read, text, None)
    }

    /// Like `md`, for text written by a run: marks citations that the run never read.
    #[must_use]
    pub fn md_of(&self, read: &dyn Read, text: &str, by: Option<RunId>) -> SafeHtml {
        let text = links::named_in(read, &self.ws, text, by);
        md::render(&text, &|word| self.link(read, word))
    }

    /// Like `md`, for the only text of a page: footnotes have links.
    #[must_use]
    pub fn article(&self, read: &dyn Read, text: &str) -> SafeHtml {
        let text = links::named_in(read, &self.ws, text, None);
        md::article(&text, &|word| self.link(read, word))
    }

    /// Like `md`, with checklist items as checkboxes. The caller provides the form.
    #[must_use]
    pub fn md_with_ticks(&self, read: &dyn Read, text: &str) -> SafeHtml {
        md::with_ticks(text, &|word| self.link(read, word))
    }

    fn link(&self, read: &dyn Read, word: &str) -> Option<String> {
        match word.strip_prefix('@') {
            Some(name) => {
                let agent = self.people.agent_called(name)?;
                Some(self.ws.url(&format!("agents/{}", agent.slug)))
            }
            // ok: a word that cannot be resolved stays plain text.
            None => super::resolve(read, word).ok().map(|task| self.href(&task)),
        }
    }

    /// Chip for the current activity of a task. `None` if there is nothing to report.
    #[must_use]
    pub fn chip(&self, task: &Task, standing: &Standing) -> Option<Chip> {
        let who = task.assignee.map(|who| self.people.name(who)).unwrap_or_default();
        let run = |number: u32| self.run_href(number);
        // The word gives the colour; most labels add who it is about.
        let shown = standing.shown()?;
        let (state, word) = (shown.word, shown.label);
        let chip = |label: String| Chip { label, state, ..Chip::default() };
        Some(match standing {
            Standing::Plain => return None,
            Standing::Working { run: number, steps, activity } => Chip {
                href: run(*number),
                hint: doing::now(activity).to_owned(),
                ..chip(format!("{who} is working, step {steps}"))
            },
            Standing::Waiting { run: number, detail, .. } => Chip {
                href: run(*number),
                hint: detail.clone(),
                ..chip(format!("{who} is {}", word.to_lowercase()))
            },
            Standing::Queued { why: None } => chip(format!("Queued for {who}")),
            Standing::Queued { why: Some(why) } => {
                let label = match why.cause {
                    Cause::Again(_) => format!("{who} retries later"),
                    Cause::Later => format!("{who} continues later"),
                    Cause::Held(_) | Cause::Machine { .. } | Cause::Blocked(_) | Cause::Parts => {
                        format!("Held for {who}")
                    }
                };
                Chip { hint: why.reason(), ..chip(label) }
            }
            Standing::Blocked => {
                Chip { hint: "Starts when its blockers are done.".to_owned(), ..chip(word) }
            }
            Standing::Paused => chip(format!("{who} is paused")),
            Standing::InReview => Chip { glyph: shown.icon, ..chip(word) },
            Standing::Failed { run: number, reason, .. } => Chip {
                href: run(*number),
                hint: reason.clone(),
                glyph: shown.icon,
                ..chip(format!("{who}: {}", word.to_lowercase()))
            },
            Standing::Stopped { run: number } => Chip { href: run(*number), ..chip(word) },
            Standing::Alone => Chip {
                glyph: shown.icon,
                hint: "It’s open and assigned to an agent, but no run is planned.".to_owned(),
                alone: true,
                ..chip(word)
            },
        })
    }
}
