//! Calls during which a server asks a person (elicitation). The question becomes a card of the run, which waits. The run
//! waits in the same way for a sign-in without which the server refuses the call.
//!
//! A server of the modern era is asked again with the answer, at any time and also after a restart. A server of the
//! legacy era waits on its open connection, so its call waits in this process, for ten minutes. Runs without people who
//! would answer decline.

use std::collections::HashMap;
use std::time::Duration;

use app::Ws;
use features::runs::model::{Elicitation, Park, Run};
use features::runs::queries::elicit;
use jiff::SignedDuration;
use kernel::{RunId, RunTrigger, WaitFor};
use mcp::client::{Answer, Answering, Elicit, McpError, Parked, Question};
use mcp::wire::CallResult;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use store::{ReadExt as _, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tool::{APPROVAL_CHANGED, ServerQuestion, ToolCx, ToolError, ToolWait};

use crate::model::{McpServer, Mode};
use crate::oauth::waits;
use crate::pool::{Fault, Invocation, Pool, Target};

/// How long a server of the legacy era waits.
const PATIENCE: Duration = Duration::from_secs(600);
/// When the run continues without an answer: shortly before the server stops waiting.
const UNTIL: SignedDuration = SignedDuration::from_secs(590);

/// State of a call.
pub enum Called {
    Done(Result<CallResult, Fault>),
    /// A person is asked, or has to sign in.
    Asks(ToolWait),
    /// HQ was restarted while the call waited on an open connection.
    Lost,
}

/// A question that a server asks on an open connection.
struct Open {
    question: Question,
    answer: oneshot::Sender<Answer>,
}

/// Passes the questions of a server on to the run of a call.
struct OpenQuestions {
    open: mpsc::Sender<Open>,
    /// Whether people read the run's questions.
    may_ask: bool,
}

impl Elicit for OpenQuestions {
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        Box::pin(async move {
            if !self.may_ask
                || !elicit::is_askable(question.schema.as_ref(), question.url.as_deref())
            {
                return Answer::Decline;
            }
            if question.may_park {
                return Answer::Park;
            }
            let (answer, answered) = oneshot::channel();
            let open = Open { question: question.clone(), answer };
            if self.open.send(open).await.is_err() {
                return Answer::Cancel;
            }
            match tokio::time::timeout(PATIENCE, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Answer::Cancel,
            }
        })
    }
}

/// A call in progress. It is cancelled if nobody waits for it any longer.
struct Running {
    result: oneshot::Receiver<Result<CallResult, Fault>>,
    open: mpsc::Receiver<Open>,
    /// Its input if it continues after questions.
    parked: Option<Parked>,
    stop: CancellationToken,
    _stops: DropGuard,
}

/// A call that waits for a person.
struct Held {
    running: Running,
    answer: oneshot::Sender<Answer>,
}

/// The calls that wait for people on open connections, by run. A run waits for one answer at a time.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<RunId, (u32, Held)>>);

impl Waiting {
    fn hold(&self, (run, step): (RunId, u32), held: Held) {
        self.0.lock().insert(run, (step, held));
    }

    fn take(&self, (run, step): (RunId, u32)) -> Option<Held> {
        let mut all = self.0.lock();
        all.get(&run).filter(|(at, _)| *at == step)?;
        all.remove(&run).map(|(_, held)| held)
    }

    /// Cancels the calls whose run has ended or is past them, which notifies their servers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sweep(&self, ws: &Ws) -> Result<(), StoreError> {
        let held: Vec<(RunId, u32)> =
            self.0.lock().iter().map(|(run, (step, _))| (*run, *step)).collect();
        for (id, step) in held {
            let run = ws.read(|snap| snap.get::<Run>(id))?;
            if !run.is_some_and(|run| run.is_live() && run.steps < step) {
                drop(self.take((id, step)));
            }
        }
        Ok(())
    }
}

/// Makes a call, or continues it after an answer or a sign-in.
///
/// # Errors
/// If the store fails.
pub async fn call(
    cx: &ToolCx,
    target: &Target,
    arguments: &Map<String, Value>,
) -> Result<Called, ToolError> {
    let (pool, at) = (Pool::of(&cx.ws), (cx.run, cx.step));
    let Some((is_for_sign_in, asked)) = taken(cx)? else {
        let running = start(cx, target, (arguments.clone(), None))?;
        return go_on(cx, target, running).await;
    };
    if is_for_sign_in {
        let Some(waiting) = waits::resumed(cx, target, &asked)? else {
            return Ok(Called::Done(Err(Fault::NotReady(APPROVAL_CHANGED.to_owned()))));
        };
        let running = start(cx, target, (arguments.clone(), waiting.parked))?;
        return go_on(cx, target, running).await;
    }
    let answer = answer_of(&asked);
    let running = match asked.state {
        Some(state) => {
            let broken = |error: serde_json::Error| ToolError::Failed {
                code: "internal",
                message: format!("the state of a waiting call can't be read: {error}"),
            };
            let mut parked: Parked = serde_json::from_str(&state.0).map_err(broken)?;
            if let Some(key) = open_key(&parked) {
                parked.answers.insert(key, answer);
            }
            if let Some(wait) = next(cx, target, &parked)? {
                return Ok(Called::Asks(wait));
            }
            start(cx, target, (arguments.clone(), Some(parked)))?
        }
        None => match pool.held.take(at) {
            Some(held) => {
                // ok: the server may have stopped waiting, as its result says.
                let _ = held.answer.send(answer);
                held.running
            }
            None if target.mode == Mode::Acts => return Ok(Called::Lost),
            None => start(cx, target, (arguments.clone(), None))?,
        },
    };
    go_on(cx, target, running).await
}

/// The question at which this call waited, after `true` if it waited for a sign-in.
fn taken(cx: &ToolCx) -> Result<Option<(bool, Elicitation)>, StoreError> {
    let park = cx.ws.read(|snap| snap.get::<Park>((cx.run, cx.step)))?;
    let waited = park.map(|park| (park.is_for_sign_in(), park.asked));
    Ok(waited.and_then(|(signs_in, asked)| Some((signs_in, asked.filter(|one| one.is_taken)?))))
}

/// Whether people answer the run. An API client waits for its response, and sub-agents ask nobody.
fn may_ask(cx: &ToolCx) -> Result<bool, StoreError> {
    let trigger = cx.ws.read(|snap| snap.get::<Run>(cx.run))?.map(|run| run.trigger);
    Ok(cx.child.is_none() && trigger.is_some_and(|one| one != RunTrigger::Api))
}

fn answer_of(asked: &Elicitation) -> Answer {
    let given: Option<Value> =
        asked.answer.as_ref().and_then(|answer| serde_json::from_str(&answer.0).ok());
    let Some(given) = given else { return Answer::Cancel };
    match given.get("action").and_then(Value::as_str) {
        Some("accept") => {
            let content = given.get("content").and_then(Value::as_object);
            Answer::Accept(content.cloned().unwrap_or_default())
        }
        Some("decline") => Answer::Decline,
        _ => Answer::Cancel,
    }
}

/// Starts a call beside the run, so that it can outlast the run's wait.
fn start(
    cx: &ToolCx,
    target: &Target,
    (arguments, parked): (Map<String, Value>, Option<Parked>),
) -> Result<Running, StoreError> {
    let (may_ask, input) = (may_ask(cx)?, parked.clone());
    let (open, questions) = mpsc::channel(1);
    let (done, result) = oneshot::channel();
    // A call that waits for a person must not delay the end of HQ.
    let stop = cx.ws.halt().child_token();
    let (ws, target, token) = (cx.ws.clone(), target.clone(), stop.clone());
    cx.ws.spawn("call of an MCP server", async move {
        let elicit = OpenQuestions { open, may_ask };
        let what = Invocation { arguments: &arguments, parked };
        let called = Pool::of(&ws).call_asking(&ws, &target, what, &token, &elicit).await;
        // ok: the run was stopped.
        let _ = done.send(called);
    });
    let _stops = stop.clone().drop_guard();
    Ok(Running { result, open: questions, parked: input, stop, _stops })
}

/// Waits for the result or for a question.
async fn go_on(cx: &ToolCx, target: &Target, mut running: Running) -> Result<Called, ToolError> {
    let called = tokio::select! {
        called = &mut running.result => called,
        Some(Open { question, answer }) = running.open.recv() => {
            let now = cx.ws.app.clock.now();
            let wait = wait(cx, target, (&question, None))?;
            Pool::of(&cx.ws).held.hold((cx.run, cx.step), Held { running, answer });
            return Ok(Called::Asks(ToolWait { until: Some(now + UNTIL), ..wait }));
        }
        () = cx.cancel.cancelled() => {
            running.stop.cancel();
            (&mut running.result).await
        }
    };
    let called = called.unwrap_or(Err(Fault::Call(McpError::Cancelled { was_sent: true })));
    let wait = match &called {
        Err(Fault::Call(McpError::Parked(parked))) => next(cx, target, parked)?,
        Err(Fault::SignIn(_)) if may_ask(cx)? => waits::wait(cx, target, running.parked)?,
        _ => None,
    };
    Ok(wait.map_or(Called::Done(called), Called::Asks))
}

/// The first question without an answer.
fn open_key(parked: &Parked) -> Option<String> {
    parked.questions.keys().find(|key| !parked.answers.contains_key(*key)).cloned()
}

/// The wait for the next answer; `None` if all are given.
fn next(cx: &ToolCx, target: &Target, parked: &Parked) -> Result<Option<ToolWait>, ToolError> {
    let Some(question) = open_key(parked).and_then(|key| parked.questions.get(&key)) else {
        return Ok(None);
    };
    let state = serde_json::to_string(parked).map_err(|error| ToolError::Failed {
        code: "internal",
        message: format!("the state of a waiting call can't be written: {error}"),
    })?;
    wait(cx, target, (question, Some(state))).map(Some)
}

fn wait(
    cx: &ToolCx,
    target: &Target,
    (question, state): (&Question, Option<String>),
) -> Result<ToolWait, ToolError> {
    let server = cx.ws.read(|snap| snap.get::<McpServer>(target.server))?;
    let server = server.map(|server| server.name).unwrap_or_default();
    Ok(ToolWait {
        waits_for: WaitFor::Question,
        detail: String::new(),
        until: None,
        question: Some(Box::new(ServerQuestion {
            server,
            message: question.message.clone(),
            schema: question.schema.as_ref().map(Value::to_string),
            url: question.url.clone(),
            state,
        })),
    })
}
