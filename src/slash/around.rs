//! Commands about the surroundings of a conversation: tasks, budgets, its agent and other agents.

use features::agents::queries as agents;
use features::runs::model::HaltOf;
use features::runs::queries::halt;
use features::runs::rules;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::people::People;
use features::tasks::queries::{self as tasks, list};
use features::tasks::rules::{self as tasks_rules, NewTask};
use features::usage::queries as usage;
use features::usage::queries::budgets;
use kernel::text::{capitalized, ellipsis};
use kernel::{AgentStatus, Assignee, Can, HaltHow, Payer, Period, Timestamp};
use store::{Read, WriteTx};
use web::format;

use super::{CommandError, Place, Surface};

/// Maximum number of tasks listed.
const TASKS: usize = 20;
/// Response for a person who may not pause agents.
const NOT_ALLOWED: &str =
    "Only people who manage agents can pause and resume them. Nothing changed.";
const NOT_WRITING: &str = "You can't create tasks. Nothing changed.";

/// User text as inline code in Markdown.
fn plain(text: &str) -> String {
    format!("`{}`", ellipsis(&text.replace('`', "'"), 120))
}

impl Place {
    /// The person's own open tasks.
    pub(super) fn tasks(&self, tx: &dyn Read) -> Result<String, CommandError> {
        let me = Assignee::Person(self.me()?);
        let mut lines = Vec::new();
        for task in list::open_of(tx, me, TASKS)? {
            lines.push(self.line(&tasks::name(tx, task.number)?, &task));
        }
        let all = list::open_count_of(tx, me)?;
        let shown = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let more = match all.saturating_sub(shown) {
            0 => String::new(),
            n => format!("\n- [{n} more]({})", self.url("tasks?assignee=me")),
        };
        Ok(match lines.is_empty() {
            true => "You have no open tasks.".to_owned(),
            false => format!("{}{more}", lines.join("\n")),
        })
    }

    fn line(&self, name: &str, task: &Task) -> String {
        let status = task.status.label().to_lowercase();
        let page = self.url(&format!("tasks/{name}"));
        format!("- [{name}]({page}) {}, {status}", plain(&task.title))
    }

    /// One task, or a link to the form that creates one for this agent; on a messenger, `None` to create it.
    pub(super) fn task(&self, tx: &dyn Read, text: &str) -> Result<Option<String>, CommandError> {
        self.me()?;
        let task = match tasks::resolve(tx, text) {
            Ok(task) => task,
            Err(TaskError::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(self.new_task(text, &error)),
        };
        let line = self.line(&tasks::name(tx, task.number)?, &task);
        let has = match task.assignee {
            Some(who) => format!("assigned to {}", People::read(tx)?.name(who)),
            None => "unassigned".to_owned(),
        };
        let urgent = task.priority.label().to_lowercase();
        Ok(Some(format!("{line}; {has}; priority: {urgent}")))
    }

    fn new_task(&self, title: &str, error: &TaskError) -> Option<String> {
        let is_name =
            !title.contains(char::is_whitespace) && title.ends_with(|c: char| c.is_ascii_digit());
        if is_name {
            return Some(error.to_string());
        }
        if self.surface == Surface::Messenger {
            return (!self.caller.access.may(Can::Write)).then(|| NOT_WRITING.to_owned());
        }
        let (title_value, slug) = (format::query_value(title), &self.agent.slug);
        let form = self.url(&format!("tasks/new?title={title_value}&assignee={slug}"));
        Some(format!("[Create the task {} for {}]({form})", plain(title), self.agent.name))
    }

    /// Creates a task for this agent.
    pub(super) fn create(&self, tx: &mut WriteTx<'_>, title: &str) -> Result<String, CommandError> {
        self.me()?;
        let assignee = Some(Assignee::Agent(self.agent.id));
        let new = NewTask { assignee, ..NewTask::titled(title) };
        let task = tasks_rules::create(tx, new)?;
        let line = self.line(&tasks::name(tx, task.number)?, &task);
        Ok(format!("Created for {}:\n{line}", self.agent.name))
    }

    /// Pauses the agent after its current step.
    pub(super) fn pause(&self, tx: &mut WriteTx<'_>) -> Result<String, CommandError> {
        if !self.caller.access.may(Can::Agents) {
            return Ok(NOT_ALLOWED.to_owned());
        }
        rules::halt::order(tx, HaltOf::Agent(self.agent.id), HaltHow::AfterStep)?;
        let name = &self.agent.name;
        Ok(format!("{name} is paused and stops after its step. `/resume` continues it."))
    }

    /// Resumes the agent.
    pub(super) fn resume(&self, tx: &mut WriteTx<'_>) -> Result<String, CommandError> {
        if !self.caller.access.may(Can::Agents) {
            return Ok(NOT_ALLOWED.to_owned());
        }
        let (id, name) = (self.agent.id, &self.agent.name);
        let was = rules::halt::resume(tx, id)?;
        let all = halt::of_workspace(tx)?.is_some();
        Ok(match (was, all) {
            (_, true) => format!("{name} resumes with the others. All work is paused."),
            (true, false) => format!("{name} is working again."),
            (false, false) => format!("{name} wasn’t paused."),
        })
    }

    /// Budgets of the agent and the workspace, with their usage.
    pub(super) fn budget(&self, tx: &dyn Read, now: Timestamp) -> Result<String, CommandError> {
        let (id, name) = (self.agent.id, &self.agent.name);
        let mut all = budgets::of(tx, Payer::Agent(id))?;
        all.extend(budgets::of(tx, Payer::Workspace)?);
        let mut lines = Vec::new();
        for one in budgets::standings_of(tx, all, now)? {
            let called = budgets::name(tx, &one.budget)?;
            let limit = one.micros.filter(|_| one.budget.period == Period::Run);
            let words = match limit {
                Some(level) => format!("at most {}", format::limit(level.limit)),
                None => format!("{} ({} %)", one.words(), one.percent()),
            };
            lines.push(format!("- {}: {words}", capitalized(&called)));
        }
        let month = usage::agent_month(tx, id, now)?;
        if lines.is_empty() {
            lines.push(format!("- No limits for {name} or the workspace"));
        }
        lines.push(format!("- {name} this month: {}", format::money(month)));
        Ok(lines.join("\n"))
    }

    /// Link to another agent, or to all.
    pub(super) fn other_agent(
        &self,
        tx: &dyn Read,
        name: Option<&str>,
    ) -> Result<String, CommandError> {
        let all = match name {
            Some(name) => agents::by_name(tx, name)?.into_iter().collect(),
            None => agents::all(tx)?,
        };
        let page = |slug: &str| self.url(&format!("agents/{slug}/chat"));
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
