//! Escalates a blocked task to the agent's manager.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use features::agents::queries::lines;
use features::comments::rules::{self as comments, Reach};
use features::tasks::queries as tasks;
use features::tasks::rules::lines as rules;
use features::workspace::model::Member;
use kernel::{Can, Manager, Role};
use store::{Range, ReadExt, StoreError, WriteTx};
use tool::{Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

pub(crate) struct TaskEscalate;

/// What `task_escalate` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct EscalateArgs {
    /// default: the one you work on
    task: Option<String>,
    /// what stops you, what you tried, what you need
    reason: String,
}

impl WriteTool for TaskEscalate {
    type Args = EscalateArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("task_escalate"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Change,
        about: Cow::Borrowed(
            "Ask your manager for help or a decision: the task is blocked until they act.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: EscalateArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = tasks::meant(tx, args.task.as_deref(), cx.task)?.id;
        let (task, to) = rules::escalate(tx, id, cx.agent, &args.reason)?;
        let reason = args.reason.trim();
        let (who, words) = match to {
            // The manager gets an item of its own; a mention would create a second one.
            Some(Manager::Agent(_)) => {
                let name =
                    lines::named(tx, to)?.map_or_else(|| "the manager".to_owned(), |m| m.name);
                (name.clone(), format!("Escalated to {name}: {reason}"))
            }
            _ => match person(tx, to)? {
                Some(member) => {
                    (member.name, format!("@{} This is blocked: {reason}", member.handle))
                }
                None => ("a person".to_owned(), format!("This is blocked: {reason}")),
            },
        };
        comments::add(tx, task.id, &words, Reach::NoteOnly)?;
        let name = tasks::name(tx, task.number)?;
        Ok(ToolOutput::text(format!(
            "{who} was asked, and {name} is blocked until they act. End this run with work_done, \
             task_state blocked."
        )))
    }
}

/// The person to ask: the manager, else the first owner.
fn person(tx: &WriteTx<'_>, to: Option<Manager>) -> Result<Option<Member>, StoreError> {
    if let Some(account) = to.and_then(Manager::person)
        && let Some(member) = tx.get::<Member>(account)?.filter(|one| one.left_at.is_none())
    {
        return Ok(Some(member));
    }
    let members: Vec<Member> = tx.list(&Range::all())?;
    Ok(members.into_iter().find(|one| one.role == Role::Owner && one.left_at.is_none()))
}
