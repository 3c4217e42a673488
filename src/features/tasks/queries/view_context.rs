//! What every view of a task needs: where, who looks, when, and everybody's names.

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

/// A small word about a task with its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chip {
    /// What a person reads.
    pub label: String,
    /// State word, or empty.
    pub state: &'static str,
    /// Tone word when there is no state.
    pub tone: &'static str,
    /// Icon, or empty.
    pub glyph: &'static str,
    /// Where it leads, or empty.
    pub href: String,
    /// More words, for a tooltip.
    pub hint: String,
    /// Whether nobody is on the task, so that a person can do something about it.
    pub alone: bool,
}

/// Who looks at what, when.
pub struct ViewContext {
    /// The workspace.
    pub ws: Ws,
    /// Who looks.
    pub me: AccountId,
    /// The same, as who would act.
    pub actor: Actor,
    /// What this person is here.
    pub role: Role,
    /// What this person may do.
    pub access: Access,
    /// Whether this person may change tasks.
    pub may_write: bool,
    /// Whether this person may review.
    pub may_review: bool,
    /// Whether this person may stop runs.
    pub may_chat: bool,
    /// The letters in front of numbers.
    pub key: String,
    /// Everybody.
    pub people: Arc<People>,
    /// Now, in this person's zone.
    pub today: Today,
}

impl ViewContext {
    /// Looks around.
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

    /// Who looks, as somebody who has work.
    #[must_use]
    pub fn myself(&self) -> Assignee {
        Assignee::Person(self.me)
    }

    /// `MC-142`.
    #[must_use]
    pub fn name(&self, task: &Task) -> String {
        format!("{}-{}", self.key, task.number)
    }

    /// The address of a task's page.
    #[must_use]
    pub fn href(&self, task: &Task) -> String {
        self.ws.url(&format!("tasks/{}", self.name(task)))
    }

    /// The address of a run's page.
    #[must_use]
    pub fn run_href(&self, number: u32) -> String {
        self.ws.url(&format!("runs/{number}"))
    }

    /// A moment as seen now.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.today.now, &self.today.zone)
    }

    /// A due date as seen today.
    #[must_use]
    pub fn due(&self, task: &Task) -> Option<Due> {
        overdue::shown(task, &self.today)
    }

    /// Whether a task is overdue now.
    #[must_use]
    pub fn is_overdue(&self, task: &Task) -> bool {
        Passed::at(self.today.now, &self.today.zone).is_overdue(task)
    }

    /// Markdown in which `MC-142` and `@ada` are links.
    #[must_use]
    pub fn md(&self, read: &dyn Read, text: &str) -> SafeHtml {
        self.md_of(read, text, None)
    }

    /// The same for a text that a run wrote, if it was one: what it cites without having read it says so.
    #[must_use]
    pub fn md_of(&self, read: &dyn Read, text: &str, by: Option<RunId>) -> SafeHtml {
        let text = links::named_in(read, &self.ws, text, by);
        md::render(&text, &|word| self.link(read, word))
    }

    /// The same with items of checklists that can be ticked, in a form around it.
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
            // ok: a word that cannot be looked up stays a word.
            None => super::resolve(read, word).ok().map(|task| self.href(&task)),
        }
    }

    /// What happens with a task, as a chip; nothing when there is nothing to say.
    #[must_use]
    pub fn chip(&self, task: &Task, standing: &Standing) -> Option<Chip> {
        let who = task.assignee.map(|who| self.people.name(who)).unwrap_or_default();
        let run = |number: u32| self.run_href(number);
        let chip = |label: String, state| Chip { label, state, ..Chip::default() };
        Some(match standing {
            Standing::Plain => return None,
            Standing::Working { run: number, steps, activity } => Chip {
                href: run(*number),
                hint: doing::now(activity).to_owned(),
                ..chip(format!("{who} is working, step {steps}"), "working")
            },
            Standing::Waiting { run: number, detail } => Chip {
                href: run(*number),
                hint: detail.clone(),
                ..chip(format!("{who} waits"), "waiting")
            },
            Standing::Queued { why: None } => chip(format!("Queued for {who}"), "queued"),
            Standing::Queued { why: Some(why) } => {
                let label = match why.cause {
                    Cause::Again(_) => format!("{who} tries again later"),
                    Cause::Later => format!("{who} goes on later"),
                    Cause::Held(_) | Cause::Machine { .. } | Cause::Blocked(_) | Cause::Parts => {
                        format!("Held for {who}")
                    }
                };
                Chip { hint: why.reason(), ..chip(label, "waiting") }
            }
            Standing::Blocked => Chip {
                hint: "It begins when the tasks are done that it waits for.".to_owned(),
                ..chip("Waits for other tasks".to_owned(), "waiting")
            },
            Standing::Paused => chip(format!("{who} is paused"), "paused"),
            Standing::InReview => {
                Chip { glyph: "box", ..chip("In review".to_owned(), "in_review") }
            }
            Standing::Failed { run: number, reason } => Chip {
                href: run(*number),
                hint: reason.clone(),
                glyph: "warn",
                ..chip(format!("{who} failed"), "failed")
            },
            Standing::Stopped { run: number } => {
                Chip { href: run(*number), ..chip("Stopped".to_owned(), "stopped") }
            }
            Standing::Alone => Chip {
                tone: "warn",
                glyph: "warn",
                hint: "It is open and has an agent, but nothing will wake it.".to_owned(),
                alone: true,
                ..chip("Nobody is on this".to_owned(), "")
            },
        })
    }
}
