//! Waits that a run requests: it gives its slot back and resumes with the result of the wait as the result of its
//! call, even after days and restarts.

use crate::runs::model::{Body, CallStatus, EventKind, Input, Park, Run, Session};
use crate::runs::queries::{self, client, elicit, park as reading};
use crate::workspace::model::Member;
use kernel::text::{MAX_TEXT, cut};
use kernel::{
    AccountId, Actor, AgentId, Event, JsonText, RunId, RunState, SessionId, TaskId, TaskStatus,
    WaitFor,
};
use store::{ReadExt, StoreError, WriteTx};

use super::RunError;
use super::run_writer::RunWriter;
use super::talk;

/// Tool with which a run waits for a time or for the end of a task.
pub const WAIT_UNTIL: &str = "wait_until";
/// Result of a wait for a task that was deleted.
pub const TASK_GONE: &str = "The task no longer exists.";

/// Records the wait of a call. A call repeated after a restart continues the same wait. Returns `None` if the wait is
/// over.
pub fn park(tx: &mut WriteTx<'_>, wish: Park) -> Result<Option<Park>, RunError> {
    let Some(mut known) = tx.get::<Park>((wish.run, wish.step))? else {
        tx.put(&wish)?;
        return Ok(Some(wish));
    };
    if known.over_at.is_none() && known.until.is_none_or(|until| tx.now() < until) {
        return Ok(Some(known));
    }
    known.over_at.get_or_insert(tx.now());
    tx.put(&known)?;
    Ok(None)
}

/// Answers the question of a run and resumes it.
///
/// # Errors
/// `NoQuestion` if the run asks nothing, `Private` in another person's conversation, `Empty`, `TooLong`.
pub fn answer(
    tx: &mut WriteTx<'_>,
    run: RunId,
    text: &str,
    by: AccountId,
) -> Result<Run, RunError> {
    answer_and(tx, run, (text, by), None)
}

/// Like [`answer`], with a message and its files.
pub(super) fn answered_with(
    tx: &mut WriteTx<'_>,
    run: RunId,
    input: &Input,
    by: AccountId,
) -> Result<Run, RunError> {
    answer_and(tx, run, (&input.text, by), Some(input))
}

fn answer_and(
    tx: &mut WriteTx<'_>,
    run: RunId,
    (text, by): (&str, AccountId),
    input: Option<&Input>,
) -> Result<Run, RunError> {
    let run = tx.get::<Run>(run)?.ok_or_else(|| RunError::NotFound(run.to_string()))?;
    let park = reading::question_of(tx, &run)?.ok_or_else(|| RunError::NoQuestion(run.name()))?;
    talk::own(tx, &run)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(RunError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(RunError::TooLong(text.len() / 1024));
    }
    if park.asked.is_some() {
        return answer_server(tx, park, run, text);
    }
    let message = format!("{} answered: {text}", name_of(tx, by)?);
    let (id, text) = (input.map(|input| input.id), Body::Inline(text.to_owned()));
    let mut then = vec![EventKind::Answered { input: id, by: tx.by(), text }];
    if let Some(Input { id, attached, .. }) = input.filter(|input| !input.attached.is_empty()) {
        then.push(EventKind::Attached { input: *id, files: attached.clone() });
    }
    settle_and(tx, park, run, &message, then)
}

/// Answers the question of an MCP server. The run goes on with the call, whose result the answer is not.
fn answer_server(
    tx: &mut WriteTx<'_>,
    mut park: Park,
    run: Run,
    text: &str,
) -> Result<Run, RunError> {
    let Some(asked) = &mut park.asked else { return Err(RunError::NoQuestion(run.name())) };
    let answer = elicit::read(asked, text).map_err(RunError::BadAnswer)?;
    let text = elicit::describe_answer(asked, &answer);
    asked.answer = Some(JsonText(answer.to_string()));
    over(tx, park)?;
    decided(tx, run, &text)
}

/// Lets the call of a run continue after its server's question or a sign-in. Returns `false` if it did not wait so.
pub fn take(tx: &mut WriteTx<'_>, run: RunId, step: u32) -> Result<bool, RunError> {
    let Some(mut park) = tx.get::<Park>((run, step))? else { return Ok(false) };
    match &mut park.asked {
        Some(asked) if !asked.is_taken => asked.is_taken = true,
        _ => return Ok(false),
    }
    over(tx, park).map(|()| true)
}

/// Resumes a run whose call waits for a sign-in: the call is made again. Does nothing if it no longer waits.
pub fn sign_in_over(tx: &mut WriteTx<'_>, run: RunId, step: u32) -> Result<(), RunError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    let park = reading::sign_in_of(tx, &run)?.filter(|park| park.step == step);
    let Some(park) = park else { return Ok(()) };
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    over(tx, park)?;
    let mut pen = RunWriter::of(run, session);
    // No event is appended, and after a crash before the run begins it must not count as old.
    pen.session.last_at = pen.session.last_at.max(tx.now());
    wake(tx, pen).map(drop)
}

/// Records the question of a server during a call, or its demand for a sign-in. A call may wait several times.
pub fn ask_for_server(tx: &mut WriteTx<'_>, wish: Park) -> Result<(), StoreError> {
    tx.put(&wish)
}

/// Resumes the runs that wait for an ended task.
pub fn task_ended(tx: &mut WriteTx<'_>, task: TaskId, now: TaskStatus) -> Result<(), RunError> {
    nothing_comes(tx, task, &format!("The task is now {}.", now.label()))
}

/// Resumes the runs that wait for an archived task.
pub fn task_archived(tx: &mut WriteTx<'_>, task: TaskId) -> Result<(), RunError> {
    nothing_comes(tx, task, "The task was archived.")
}

fn nothing_comes(tx: &mut WriteTx<'_>, task: TaskId, why: &str) -> Result<(), RunError> {
    for park in reading::of_task(tx, task)? {
        match tx.get::<Run>(park.run)?.filter(|run| run.state == RunState::Waiting) {
            Some(run) => settle(tx, park, run, why).map(drop)?,
            None => over(tx, park)?,
        }
    }
    Ok(())
}

/// Resumes a run that waits for a time or for the end of a task; `None` if the run waits for neither.
pub fn go_on(tx: &mut WriteTx<'_>, run: &Run, why: &str) -> Result<Option<Run>, RunError> {
    match reading::timer_of(tx, run)? {
        Some(park) => settle(tx, park, run.clone(), why).map(Some),
        None => Ok(None),
    }
}

/// Resumes the runs that wait for the return of an agent's browser. They learn the details from the browser tool.
pub fn handed_back(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), RunError> {
    let name = match tx.by() {
        Actor::Person { account, .. } => name_of(tx, account)?,
        _ => "A person".to_owned(),
    };
    let why = format!(
        "{name} used your browser and handed it back. Continue with `browser`: its next result has \
         the note from {name}, the address and what changed."
    );
    for run in queries::live_of_agent(tx, agent)? {
        if !reading::is_at_browser(&run) {
            continue;
        }
        if let Some(park) = reading::question_of(tx, &run)? {
            settle(tx, park, run, &why)?;
        }
    }
    Ok(())
}

/// Resumes, for a person, a run that waits for a time or for the end of a task.
///
/// # Errors
/// `NoWait` if the run waits for neither, `Private` in another person's conversation.
pub fn let_go_on(tx: &mut WriteTx<'_>, run: RunId, by: AccountId) -> Result<Run, RunError> {
    let run = tx.get::<Run>(run)?.ok_or_else(|| RunError::NotFound(run.to_string()))?;
    talk::own(tx, &run)?;
    let why = format!("{} wants you to continue now.", name_of(tx, by)?);
    go_on(tx, &run, &why)?.ok_or_else(|| RunError::NoWait(run.name()))
}

/// Resumes the run of a session whose background job ended.
pub fn job_ended(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    let run = tx.get::<Session>(session)?.and_then(|session| session.active_run);
    match run.map(|run| tx.get::<Run>(run)).transpose()?.flatten() {
        Some(run) => go_on(tx, &run, "One of your programs has ended.").map(drop),
        None => Ok(()),
    }
}

/// Closes the wait of a call that has its result.
pub fn close(tx: &mut WriteTx<'_>, run: RunId, step: u32) -> Result<(), RunError> {
    match tx.get::<Park>((run, step))?.filter(|park| park.over_at.is_none()) {
        Some(park) => over(tx, park),
        None => Ok(()),
    }
}

/// Resumes a run after a decision about its call. The call is authorized again.
pub fn decided(tx: &mut WriteTx<'_>, run: Run, message: &str) -> Result<Run, RunError> {
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    let mut pen = RunWriter::of(run, session);
    let (by, text) = (tx.by(), Body::Inline(message.to_owned()));
    pen.append(tx, EventKind::Answered { input: None, by, text })?;
    wake(tx, pen)
}

/// Moves a waiting run to the front of its agent's queue.
fn wake(tx: &mut WriteTx<'_>, mut pen: RunWriter) -> Result<Run, RunError> {
    (pen.run.state, pen.run.waiting) = (RunState::Queued, None);
    tx.emit(Event::RunAnswered { run: pen.run.id, session: pen.session.id, agent: pen.run.agent });
    pen.save(tx)
}

fn name_of(tx: &WriteTx<'_>, by: AccountId) -> Result<String, StoreError> {
    Ok(tx.get::<Member>(by)?.map_or_else(|| "A person".to_owned(), |member| member.name))
}

fn over(tx: &mut WriteTx<'_>, mut park: Park) -> Result<(), RunError> {
    park.over_at = Some(tx.now());
    tx.put(&park)?;
    Ok(())
}

/// Gives the waiting call its result and moves the run to the front of its agent's queue.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    park: Park,
    run: Run,
    text: &str,
) -> Result<Run, RunError> {
    settle_and(tx, park, run, cut(text, 16 * 1024), Vec::new())
}

/// Like [`settle`], with further events after the result.
fn settle_and(
    tx: &mut WriteTx<'_>,
    park: Park,
    run: Run,
    text: &str,
    then: Vec<EventKind>,
) -> Result<Run, RunError> {
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    over(tx, park)?;
    // Calls of the same response that an API client executes keep waiting.
    let request = client::find_request(tx, &run)?;
    let theirs = |name: &str| request.as_ref().is_some_and(|(_, demand)| demand.has(name));
    let mut open = queries::open_calls(tx, &run)?.into_iter();
    let open = open.find(|call| call.started.is_none() && !theirs(&call.name));
    let mut pen = RunWriter::of(run, session);
    if let Some(call) = open {
        let finished = EventKind::ToolFinished {
            step: pen.run.steps + 1,
            call_id: call.id,
            name: call.name,
            status: CallStatus::Ok,
            result: Body::Inline(text.to_owned()),
            millis: 0,
            paths: Vec::new(),
            seq: None,
        };
        pen.append(tx, finished)?;
    }
    for then in then {
        pen.append(tx, then)?;
    }
    debug_assert!(pen.run.waiting.as_ref().is_none_or(|wait| wait.waits_for != WaitFor::Budget));
    wake(tx, pen)
}
