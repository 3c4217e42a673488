//! Commands about the surroundings of a conversation: tasks, budgets, its agent and other agents.

use features::agents::queries as agents;
use features::runs::model::HaltOf;
use features::runs::queries::halt;
use features::runs::rules;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::people::People;
use features::tasks::queries::{self as tasks, list};
use features::usage::queries as usage;
use features::usage::queries::budgets;
use kernel::text::{capitalized, ellipsis};
use kernel::{AgentStatus, Assignee, Can, HaltHow, Payer, Period};
use store::StoreError;
use web::format;
use web::idempotency::Once;

use super::{CommandError, Place};

/// Maximum number of tasks listed.
const TASKS: usize = 20;
/// Response for a person who may not pause agents.
const NOT_ALLOWED: &str =
    "Only people who manage agents can pause and resume them. Nothing changed.";

/// User text as inline code in Markdown.
fn plain(text: &str) -> String {
    format!("`{}`", ellipsis(&text.replace('`', "'"), 120))
}

impl Place<'_> {
    /// The person's own open tasks.
    pub(super) fn tasks(&self) -> Result<String, CommandError> {
        let me = Assignee::Person(self.who.account);
        let (lines, all) = self.ws.read(|snap| {
            let mut lines = Vec::new();
            for task in list::open_of(snap, me, TASKS)? {
                lines.push(self.line(&tasks::name(snap, task.number)?, &task));
            }
            Ok::<_, StoreError>((lines, list::open_count_of(snap, me)?))
        })?;
        let shown = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let more = match all.saturating_sub(shown) {
            0 => String::new(),
            n => format!("\n- [{n} more]({})", self.ws.url("tasks?assignee=me")),
        };
        Ok(match lines.is_empty() {
            true => "You have no open tasks.".to_owned(),
            false => format!("{}{more}", lines.join("\n")),
        })
    }

    fn line(&self, name: &str, task: &Task) -> String {
        let status = task.status.label().to_lowercase();
        let page = self.ws.url(&format!("tasks/{name}"));
        format!("- [{name}]({page}) {}, {status}", plain(&task.title))
    }

    /// One task, or a link to the form that creates one for this agent.
    pub(super) fn task(&self, text: &str) -> Result<String, CommandError> {
        let answer = self.ws.read(|snap| {
            let task = match tasks::resolve(snap, text) {
                Ok(task) => task,
                Err(TaskError::Store(error)) => return Err(error),
                Err(error) => return Ok(self.new_task(text, &error)),
            };
            let line = self.line(&tasks::name(snap, task.number)?, &task);
            let has = match task.assignee {
                Some(who) => format!("assigned to {}", People::read(snap)?.name(who)),
                None => "unassigned".to_owned(),
            };
            let urgent = task.priority.label().to_lowercase();
            Ok::<_, StoreError>(format!("{line}; {has}; priority: {urgent}"))
        });
        Ok(answer?)
    }

    fn new_task(&self, title: &str, error: &TaskError) -> String {
        let is_name =
            !title.contains(char::is_whitespace) && title.ends_with(|c: char| c.is_ascii_digit());
        if is_name {
            return error.to_string();
        }
        let (title_value, slug) = (format::query_value(title), &self.agent.slug);
        let form = self.ws.url(&format!("tasks/new?title={title_value}&assignee={slug}"));
        format!("[Create the task {} for {}]({form})", plain(title), self.agent.name)
    }

    /// Pauses the agent after its current step.
    pub(super) async fn pause(&self, once: Once) -> Result<String, CommandError> {
        if !self.who.access.may(Can::Agents) {
            return Ok(NOT_ALLOWED.to_owned());
        }
        let of = HaltOf::Agent(self.agent.id);
        let order = once.run(move |tx| rules::halt::order(tx, of, HaltHow::AfterStep).map(drop));
        self.ws.write(self.who, order).await?;
        let name = &self.agent.name;
        Ok(format!("{name} is paused and stops after its step. `/resume` continues it."))
    }

    /// Resumes the agent.
    pub(super) async fn resume(&self, once: Once) -> Result<String, CommandError> {
        if !self.who.access.may(Can::Agents) {
            return Ok(NOT_ALLOWED.to_owned());
        }
        let (id, name) = (self.agent.id, &self.agent.name);
        let resume = once.run(move |tx| rules::halt::resume(tx, id));
        let was = self.ws.write(self.who, resume).await?;
        let all = self.ws.read(|snap| halt::of_workspace(snap))?.is_some();
        Ok(match (was, all) {
            (_, true) => format!("{name} resumes with the others. All work is paused."),
            (true, false) => format!("{name} is working again."),
            (false, false) => format!("{name} wasn’t paused."),
        })
    }

    /// Budgets of the agent and the workspace, with their usage.
    pub(super) fn budget(&self) -> Result<String, CommandError> {
        let (id, name) = (self.agent.id, &self.agent.name);
        let now = self.ws.app.clock.now();
        let (mut lines, month) = self.ws.read(|snap| {
            let mut all = budgets::of(snap, Payer::Agent(id))?;
            all.extend(budgets::of(snap, Payer::Workspace)?);
            let mut lines = Vec::new();
            for one in budgets::standings_of(snap, all, now)? {
                let called = budgets::name(snap, &one.budget)?;
                let limit = one.micros.filter(|_| one.budget.period == Period::Run);
                let words = match limit {
                    Some(level) => format!("at most {}", format::limit(level.limit)),
                    None => format!("{} ({} %)", one.words(), one.percent()),
                };
                lines.push(format!("- {}: {words}", capitalized(&called)));
            }
            Ok::<_, StoreError>((lines, usage::agent_month(snap, id, now)?))
        })?;
        if lines.is_empty() {
            lines.push(format!("- No limits for {name} or the workspace"));
        }
        lines.push(format!("- {name} this month: {}", format::money(month)));
        Ok(lines.join("\n"))
    }

    /// Link to another agent, or to all.
    pub(super) fn other_agent(&self, name: Option<&str>) -> Result<String, CommandError> {
        let all = self.ws.read(|snap| match name {
            Some(name) => agents::by_name(snap, name).map(|one| one.into_iter().collect()),
            None => agents::all(snap),
        })?;
        let page = |slug: &str| self.ws.url(&format!("agents/{slug}/chat"));
        let lines: Vec<String> = all
            .iter()
            .filter(|agent| agent.archived_at.is_none())
            .map(|agent| {
                let state = match agent.status {
                    AgentStatus::Ready => String::new(),
                    status => format!(", {}", status.label().to_lowercase()),
                };
                format!("- [Chat with {}]({}){state}", agent.name, page(&agent.slug))
            })
            .collect();
        Ok(match (lines.is_empty(), name) {
            (false, _) => lines.join("\n"),
            (true, Some(name)) => {
                format!("No agent is called {}. `/agent` lists them.", plain(name))
            }
            (true, None) => "There are no agents.".to_owned(),
        })
    }
}
