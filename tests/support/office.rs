//! Agents with a scripted model behind a real connection, for tests of the runtime. People act through the same rules
//! as pages do.

use std::time::Duration;

use app::Ws;
use features::agents::model::Agent;
use features::agents::{provision, rules as agents};
use features::comments::rules::{self as comments, Reach};
use features::connections::model::{ListedModel, Offer, Wire};
use features::connections::provider;
use features::connections::rules::{self as connections, Listed, NewConnection};
use features::deliverables::model::Deliverable;
use features::deliverables::rules::{self as deliverables, NewReview};
use features::inbox::model::Item;
use features::runs::model::{EventKind, Run};
use features::runs::queries;
use features::runs::rules::talk;
use features::runs::rules::{self as runs, NewInput, Sent, SessionSpec};
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use features::trust::model::What;
use features::trust::rules as trust;
use features::usage::model::Usage;
use features::workspace::model::{Member, Settings};
use kernel::{
    AccessDecision, AccountId, Actor, AgentId, Assignee, Cause, ConnectionId, Manager, QueueMode,
    RunId, RunState, TaskId, Timestamp, TrustMode, Verdict, Via,
};
use runtime::Limits;
use store::{Range, ReadExt as _, Record, Snap, StoreError, WriteTx};

use super::hq::{Setup, TestHq};
use super::model::ModelServer;

/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);
/// API key of the connection.
pub const KEY: &str = "sk-office-0123456789abcdef";

/// A workspace whose default model is scripted.
pub struct Office {
    pub hq: TestHq,
    pub model: ModelServer,
    pub connection: ConnectionId,
    owner: AccountId,
}

impl Office {
    /// The default: Chat Completions, a model without a price.
    pub async fn open() -> Self {
        Self::with(Setup::default(), Wire::OpenaiChat, "mock").await
    }

    /// With other limits of runs.
    pub async fn limited(limits: Limits) -> Self {
        Self::with(Setup::default().runs(limits), Wire::OpenaiChat, "mock").await
    }

    /// With other settings.
    pub async fn with(setup: Setup, wire: Wire, model: &str) -> Self {
        let hq = setup.start().await;
        let server = ModelServer::start().await;
        let ws = hq.ws();
        let members: Vec<Member> = ws.read(|snap| snap.list(&Range::all())).expect("members");
        let owner = members[0].account;
        let base_url = match wire {
            Wire::Anthropic => server.anthropic_url(),
            Wire::OpenaiChat | Wire::OpenaiResponses => server.openai_url(),
            Wire::Gemini | Wire::Ollama => server.own_url(),
        };
        server.offer(&[model]);
        let new = NewConnection {
            name: "Scripted".to_owned(),
            wire,
            base_url,
            key: provider::seal_key(&ws.app, KEY),
            default_model: Some(model.to_owned()),
        };
        let by = (person(owner), Cause::Timer);
        let chosen = model.to_owned();
        let connection = ws.write(&by, move |tx| {
            let id = connections::create(tx, new)?;
            connections::set_default(tx, Some(id), &chosen)?;
            Ok::<_, connections::ConnectionError>(id)
        });
        let connection = connection.await.expect("a connection");
        provider::watch_key(&ws.app, connection, KEY);
        Self { hq, model: server, connection, owner }
    }

    pub fn ws(&self) -> Ws {
        self.hq.ws()
    }

    pub fn owner(&self) -> AccountId {
        self.owner
    }

    /// Denies the tools that read from the web, to one agent or all. Skills that it saves need no approval then.
    pub async fn without_web(&self, agent: Option<AgentId>) {
        for tool in ["web_fetch", "web_search", "http_request", "browser"] {
            let rule = trust::NewPermission {
                agent,
                run: None,
                tool: tool.to_owned(),
                what: What::All,
                leave: AccessDecision::Deny,
                note: String::new(),
                expires_at: None,
            };
            self.act(move |tx| trust::permit(tx, rule)).await;
        }
    }

    /// Runs a write as the owner; panics on an error.
    pub async fn act<T: Send + 'static, E: From<StoreError> + Send + std::fmt::Debug + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> T {
        self.try_act(body).await.expect("the owner may")
    }

    /// Runs a write as the owner.
    pub async fn try_act<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.ws().write(&(person(self.owner), Cause::Timer), body).await
    }

    /// Creates an agent from the template `default`, with its files.
    pub async fn agent(&self, name: &str) -> Agent {
        self.agent_with(name, |_| {}).await
    }

    /// Creates an agent with changes. Agents with programs get full trust, which also works on kernels without a jail;
    /// tests of approvals set another mode.
    pub async fn agent_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut agents::NewAgent) + Send + 'static,
    ) -> Agent {
        let mut new = agents::NewAgent {
            name: name.to_owned(),
            slug: String::new(),
            emoji: "🔭".to_owned(),
            description: "Does what tests need".to_owned(),
            template: "default".to_owned(),
            model: agents::ModelChoice::default(),
            thinking: None,
            exec: false,
            budget_micros: None,
            reports_to: Some(self.owner.into()),
        };
        change(&mut new);
        let exec = new.exec;
        let made = self.act(move |tx| agents::create(tx, new, &provision::template_names())).await;
        if exec {
            self.trust(made.id, TrustMode::Full).await;
        }
        let by = (person(self.owner), Cause::Timer);
        provision::make(&self.ws(), &by, made.id).await.expect("its files")
    }

    /// Creates an agent with another model name on the same connection, so that scripts can distinguish agents.
    pub async fn agent_on(&self, name: &str, model: &str) -> Agent {
        let (connection, model) = (Some(self.connection), Some(model.to_owned()));
        self.agent_with(name, move |new| new.model = agents::ModelChoice { connection, model })
            .await
    }

    pub async fn change(&self, agent: AgentId, changes: agents::Changes) -> Agent {
        self.act(move |tx| agents::update(tx, agent, None, changes)).await
    }

    /// Sets the trust mode of an agent.
    pub async fn trust(&self, agent: AgentId, mode: TrustMode) {
        // Tests of network access read pages first.
        let alone = mode == TrustMode::Full;
        self.act(move |tx| trust::set_mode(tx, agent, mode)).await;
        self.act(move |tx| trust::set_autonomous(tx, agent, alone)).await;
    }

    /// Lets an agent report to another.
    pub async fn under(&self, agent: &Agent, chief: &Agent) -> Agent {
        let reports_to = Some(Some(Manager::Agent(chief.id)));
        self.change(agent.id, agents::Changes { reports_to, ..agents::Changes::default() }).await
    }

    /// Sets a price in micro-dollars per million tokens, for input and output.
    pub async fn price(&self, input: i64, output: i64) {
        let connection = self.connection;
        let price = Some(Some((input, output)));
        let changes = connections::Changes { price, ..connections::Changes::default() };
        self.act(move |tx| connections::update(tx, connection, None, changes)).await;
    }

    /// Records that the provider's model does not support tools.
    pub async fn takes_no_tools(&self, model: &str) {
        let connection = self.connection;
        let offer = Offer {
            id: model.to_owned(),
            window: None,
            max_output: None,
            tools: Some(false),
            vision: None,
            thinking: None,
            price: None,
        };
        let listed = ListedModel { id: model.to_owned(), name: model.to_owned() };
        let listed = Listed { models: vec![listed], offers: vec![offer] };
        self.act(move |tx| connections::set_models(tx, connection, listed)).await;
    }

    /// Creates a task for an agent.
    pub async fn task(&self, title: &str, agent: &Agent) -> Task {
        let mut new = NewTask::titled(title);
        new.assignee = Some(Assignee::Agent(agent.id));
        self.act(move |tx| tasks::create(tx, new)).await
    }

    /// Sends a message in the owner's conversation with an agent.
    pub async fn say(&self, agent: &Agent, text: &str) -> RunId {
        self.try_say(agent, text).await.expect("the agent listens")
    }

    /// The same, returning errors.
    pub async fn try_say(&self, agent: &Agent, text: &str) -> Result<RunId, runs::RunError> {
        self.try_send(agent, text, None).await.map(|sent| sent.run)
    }

    /// Sends a message; `mode` applies if a run is working.
    pub async fn send(&self, agent: &Agent, text: &str, mode: Option<QueueMode>) -> Sent {
        self.try_send(agent, text, mode).await.expect("the agent listens")
    }

    async fn try_send(
        &self,
        agent: &Agent,
        text: &str,
        mode: Option<QueueMode>,
    ) -> Result<Sent, runs::RunError> {
        let session = SessionSpec {
            agent: agent.id,
            key: format!("agent:{}:main", agent.slug),
            owner: Some(self.owner),
            task: None,
        };
        let new = NewInput { mode, ..NewInput::chat(text) };
        self.try_act(move |tx| talk::say(tx, session, new)).await
    }

    pub async fn comment(&self, task: TaskId, body: &str) {
        let body = body.to_owned();
        self.act(move |tx| comments::add(tx, task, &body, Reach::Usual)).await;
    }

    /// Reviews the newest version of the task's only deliverable.
    pub async fn review(&self, task: TaskId, verdict: Verdict, note: &str) -> Deliverable {
        let piece = self.delivered(task).pop().expect("something was delivered");
        let note = note.to_owned();
        let new = NewReview { deliverable: piece.id, version: Some(piece.version), verdict, note };
        self.act(move |tx| deliverables::review(tx, new)).await
    }

    /// Requests a run to stop.
    pub async fn stop(&self, run: RunId) {
        let by = Some(self.owner);
        self.act(move |tx| runs::request_stop(tx, run, by)).await;
    }

    /// Sets the monthly budget of the workspace and the budget per run.
    pub async fn limits(&self, month_micros: Option<i64>, run_micros: i64) {
        use features::usage::rules::budgets::{Limits, set_limits};
        self.act(move |tx| set_limits(tx, Limits { month_micros, run_micros })).await;
    }

    pub async fn settings(&self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        self.act(move |tx| {
            let mut settings = tx.get::<Settings>(())?.expect("founded");
            change(&mut settings);
            tx.put(&settings)?;
            Ok::<_, StoreError>(())
        })
        .await;
    }

    pub fn get<R: Record>(&self, id: R::Id) -> R {
        self.ws().read(|snap| snap.get::<R>(id)).expect("a readable store").expect("it is there")
    }

    pub fn all<R: Record>(&self) -> Vec<R> {
        self.ws().read(|snap| snap.list::<R>(&Range::all())).expect("a readable store")
    }

    pub fn events(&self, run: RunId) -> Vec<EventKind> {
        let run: Run = self.get(run);
        let events = self.ws().read(|snap| queries::events_of_run(snap, &run, usize::MAX));
        events.expect("a readable store").into_iter().map(|event| event.kind).collect()
    }

    /// Tool results of a run in order: name, success, text.
    pub fn results(&self, run: RunId) -> Vec<(String, bool, String)> {
        let results = self.events(run).into_iter().filter_map(|kind| match kind {
            EventKind::ToolFinished { name, status, result, .. } => {
                let ok = status == features::runs::model::CallStatus::Ok;
                Some((name, ok, result.head().to_owned()))
            }
            _ => None,
        });
        results.collect()
    }

    /// Booked model calls of a run.
    pub fn usage(&self, run: RunId) -> Vec<Usage> {
        let usage = self.ws().read(|snap| features::usage::queries::of_run(snap, run));
        usage.expect("a readable store")
    }

    /// Deliverables of a task.
    pub fn delivered(&self, task: TaskId) -> Vec<Deliverable> {
        let mut all = self.all::<Deliverable>();
        all.retain(|piece| piece.task == task);
        all
    }

    /// Inbox items of an agent.
    pub fn items(&self, agent: AgentId) -> Vec<Item> {
        let mut all = self.all::<Item>();
        all.retain(|item| item.agent == agent);
        all
    }

    /// Runs on a task, oldest first.
    pub fn runs_on(&self, task: TaskId) -> Vec<Run> {
        let mut all = self.all::<Run>();
        all.retain(|run| run.task == Some(task));
        all.sort_by_key(|run| run.number);
        all
    }

    /// Waits until `look` finds something.
    pub async fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Snap<'_>) -> Result<Option<T>, StoreError>,
    ) -> T {
        let ws = self.ws();
        let mut feed = ws.store.watch();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            feed.borrow_and_update();
            if let Some(found) = ws.read(&mut look).expect("a readable store") {
                return found;
            }
            let changed = tokio::time::timeout_at(end, feed.changed()).await;
            if changed.is_err() {
                let runs: Vec<_> = self
                    .all::<Run>()
                    .into_iter()
                    .map(|r| (r.name(), r.state, r.outcome, r.waiting))
                    .collect();
                panic!("{what} did not happen; runs: {runs:#?}");
            }
        }
    }

    /// Waits until a run has ended.
    pub async fn ended(&self, run: RunId) -> Run {
        self.until(&format!("the end of {run}"), |snap| {
            Ok(snap.get::<Run>(run)?.filter(|run| run.state == RunState::Ended))
        })
        .await
    }

    /// Waits until the `count`-th run on a task has ended, and returns it.
    pub async fn worked(&self, task: TaskId, count: usize) -> Run {
        self.until(&format!("run {count} on the task"), |snap| {
            let mut runs: Vec<Run> = snap.list(&Range::all())?;
            runs.retain(|run| run.task == Some(task));
            runs.sort_by_key(|run| run.number);
            // A later run may end before it.
            Ok(runs.into_iter().nth(count - 1).filter(|run| run.state == RunState::Ended))
        })
        .await
    }

    /// Waits until a run is in a state.
    pub async fn in_state(&self, run: RunId, state: RunState) -> Run {
        self.until(&format!("{run} {state:?}"), |snap| {
            Ok(snap.get::<Run>(run)?.filter(|run| run.state == state))
        })
        .await
    }

    /// Waits until a restart has recorded this number of crashes of a run.
    pub async fn taken_up_after(&self, run: RunId, crashes: u32) -> Run {
        self.until(&format!("{run} after {crashes} crashes"), |snap| {
            Ok(snap.get::<Run>(run)?.filter(|run| run.crashes == crashes))
        })
        .await
    }

    /// Waits for an event of a run.
    pub async fn happened(&self, run: RunId, is: impl Fn(&EventKind) -> bool) -> EventKind {
        self.until("an event", |snap| {
            let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
            let events = queries::events_of_run(snap, &run, usize::MAX)?;
            Ok(events.into_iter().map(|event| event.kind).find(|kind| is(kind)))
        })
        .await
    }

    /// Waits until a run waits for a retry, and advances the clock to it.
    pub async fn pass_retry(&self, run: RunId, failed: usize) {
        let at = self
            .until("a retry", |snap| {
                let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
                let events = queries::events_of_run(snap, &run, usize::MAX)?;
                let mut failures = events.into_iter().filter_map(|event| match event.kind {
                    EventKind::CallFailed { retry_at, .. } => retry_at,
                    _ => None,
                });
                Ok(failures.nth(failed - 1))
            })
            .await;
        self.move_to(at).await;
    }

    /// Advances the clock to a time, unless it is later already.
    pub async fn move_to(&self, at: Timestamp) {
        let left = at.duration_since(self.hq.now());
        self.hq.advance(Duration::try_from(left).unwrap_or_default()).await;
    }

    /// Waits for the first run on a task.
    pub async fn run_on(&self, task: TaskId) -> RunId {
        self.until("a run on the task", |snap| {
            let runs: Vec<Run> = snap.list(&Range::all())?;
            Ok(runs.into_iter().find(|run| run.task == Some(task)).map(|run| run.id))
        })
        .await
    }

    /// Content of a file in an agent's folder; `None` if it does not exist.
    pub fn file(&self, agent: &Agent, path: &str) -> Option<String> {
        std::fs::read_to_string(self.ws().agent_folder(&agent.slug).join(path)).ok()
    }
}

fn person(account: AccountId) -> Actor {
    Actor::Person { account, via: Via::Socket { uid: 0 } }
}
