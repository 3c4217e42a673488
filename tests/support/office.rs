//! Agents at work with a scripted model behind a real connection: what tests of the runtime start
//! from. People act through the same rules as the pages.

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
use features::trust::rules as trust;
use features::usage::model::Usage;
use features::workspace::model::{Member, Settings};
use kernel::{
    AccountId, Actor, AgentId, Assignee, Cause, ConnectionId, Manager, QueueMode, RunId, RunState,
    TaskId, Timestamp, TrustMode, Verdict, Via,
};
use runtime::Limits;
use store::{Range, ReadExt as _, Record, Snap, StoreError, WriteTx};

use super::hq::{Setup, TestHq};
use super::model::ModelServer;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// The key of the connection.
pub const KEY: &str = "sk-office-0123456789abcdef";

/// A workspace with a scripted model as its default.
pub struct Office {
    /// The server.
    pub hq: TestHq,
    /// What the model says.
    pub model: ModelServer,
    pub connection: ConnectionId,
    owner: AccountId,
}

impl Office {
    /// The usual one: Chat Completions, a model without a price.
    pub async fn open() -> Self {
        Self::with(Setup::default(), Wire::OpenaiChat, "mock").await
    }

    /// With other limits of runs.
    pub async fn limited(limits: Limits) -> Self {
        Self::with(Setup::default().runs(limits), Wire::OpenaiChat, "mock").await
    }

    /// With everything else.
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

    /// The workspace.
    pub fn ws(&self) -> Ws {
        self.hq.ws()
    }

    /// Who owns it.
    pub fn owner(&self) -> AccountId {
        self.owner
    }

    /// Acts as the owner.
    pub async fn act<T: Send + 'static, E: From<StoreError> + Send + std::fmt::Debug + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> T {
        self.try_act(body).await.expect("the owner may")
    }

    /// Acts as the owner, who may be refused.
    pub async fn try_act<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.ws().write(&(person(self.owner), Cause::Timer), body).await
    }

    /// An agent from the template `default`, with its files.
    pub async fn agent(&self, name: &str) -> Agent {
        self.agent_with(name, |_| {}).await
    }

    /// An agent that differs from the usual one. One with programs does all that its switches allow, on a kernel
    /// without a jail, too: tests of the gate set another mode.
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

    /// An agent with a model of its own at the same connection, so that a script can tell who asks.
    pub async fn agent_on(&self, name: &str, model: &str) -> Agent {
        let (connection, model) = (Some(self.connection), Some(model.to_owned()));
        self.agent_with(name, move |new| new.model = agents::ModelChoice { connection, model })
            .await
    }

    /// Changes an agent.
    pub async fn change(&self, agent: AgentId, changes: agents::Changes) -> Agent {
        self.act(move |tx| agents::update(tx, agent, None, changes)).await
    }

    /// Sets how much an agent may do without asking.
    pub async fn trust(&self, agent: AgentId, mode: TrustMode) {
        // Tests of what it may do with the network read pages first.
        let alone = mode == TrustMode::Full;
        self.act(move |tx| trust::set_mode(tx, agent, mode)).await;
        self.act(move |tx| trust::set_autonomous(tx, agent, alone)).await;
    }

    /// Lets an agent report to another.
    pub async fn under(&self, agent: &Agent, chief: &Agent) -> Agent {
        let reports_to = Some(Some(Manager::Agent(chief.id)));
        self.change(agent.id, agents::Changes { reports_to, ..agents::Changes::default() }).await
    }

    /// Gives the connection a price: micro-dollars for a million tokens, input and output.
    pub async fn price(&self, input: i64, output: i64) {
        let connection = self.connection;
        let price = Some(Some((input, output)));
        let changes = connections::Changes { price, ..connections::Changes::default() };
        self.act(move |tx| connections::update(tx, connection, None, changes)).await;
    }

    /// The server says of its model that it takes no tools.
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

    /// A task for an agent.
    pub async fn task(&self, title: &str, agent: &Agent) -> Task {
        let mut new = NewTask::titled(title);
        new.assignee = Some(Assignee::Agent(agent.id));
        self.act(move |tx| tasks::create(tx, new)).await
    }

    /// Says something in the owner's conversation with an agent.
    pub async fn say(&self, agent: &Agent, text: &str) -> RunId {
        self.try_say(agent, text).await.expect("the agent listens")
    }

    /// The same, where it may be refused.
    pub async fn try_say(&self, agent: &Agent, text: &str) -> Result<RunId, runs::RunError> {
        self.try_send(agent, text, None).await.map(|sent| sent.run)
    }

    /// Says something that does this while a run works.
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

    /// Comments on a task.
    pub async fn comment(&self, task: TaskId, body: &str) {
        let body = body.to_owned();
        self.act(move |tx| comments::add(tx, task, &body, Reach::Usual)).await;
    }

    /// Looks at the newest version of the one piece of work on a task.
    pub async fn review(&self, task: TaskId, verdict: Verdict, note: &str) -> Deliverable {
        let piece = self.delivered(task).pop().expect("something was delivered");
        let note = note.to_owned();
        let new = NewReview { deliverable: piece.id, version: Some(piece.version), verdict, note };
        self.act(move |tx| deliverables::review(tx, new)).await
    }

    /// Asks a run to stop.
    pub async fn stop(&self, run: RunId) {
        let by = Some(self.owner);
        self.act(move |tx| runs::request_stop(tx, run, by)).await;
    }

    /// Sets what the workspace may spend in a month and in a run.
    pub async fn limits(&self, month_micros: Option<i64>, run_micros: i64) {
        use features::usage::rules::budgets::{Limits, set_limits};
        self.act(move |tx| set_limits(tx, Limits { month_micros, run_micros })).await;
    }

    /// Changes the settings directly.
    pub async fn settings(&self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        self.act(move |tx| {
            let mut settings = tx.get::<Settings>(())?.expect("founded");
            change(&mut settings);
            tx.put(&settings)?;
            Ok::<_, StoreError>(())
        })
        .await;
    }

    /// A record.
    pub fn get<R: Record>(&self, id: R::Id) -> R {
        self.ws().read(|snap| snap.get::<R>(id)).expect("a readable store").expect("it is there")
    }

    /// All records of a kind.
    pub fn all<R: Record>(&self) -> Vec<R> {
        self.ws().read(|snap| snap.list::<R>(&Range::all())).expect("a readable store")
    }

    /// The events of a run.
    pub fn events(&self, run: RunId) -> Vec<EventKind> {
        let run: Run = self.get(run);
        let events = self.ws().read(|snap| queries::events_of_run(snap, &run, usize::MAX));
        events.expect("a readable store").into_iter().map(|event| event.kind).collect()
    }

    /// What tools answered in a run, in order: name, whether it is no error, text.
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

    /// The model calls of a run that were booked.
    pub fn usage(&self, run: RunId) -> Vec<Usage> {
        let usage = self.ws().read(|snap| features::usage::queries::of_run(snap, run));
        usage.expect("a readable store")
    }

    /// What was delivered on a task.
    pub fn delivered(&self, task: TaskId) -> Vec<Deliverable> {
        let mut all = self.all::<Deliverable>();
        all.retain(|piece| piece.task == task);
        all
    }

    /// The items of an agent.
    pub fn items(&self, agent: AgentId) -> Vec<Item> {
        let mut all = self.all::<Item>();
        all.retain(|item| item.agent == agent);
        all
    }

    /// The runs on a task, oldest first.
    pub fn runs_on(&self, task: TaskId) -> Vec<Run> {
        let mut all = self.all::<Run>();
        all.retain(|run| run.task == Some(task));
        all.sort_by_key(|run| run.number);
        all
    }

    /// Waits until what is looked for is there.
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

    /// Waits until so many runs on a task have ended, and gives the newest.
    pub async fn worked(&self, task: TaskId, count: usize) -> Run {
        self.until(&format!("run {count} on the task"), |snap| {
            let mut runs: Vec<Run> = snap.list(&Range::all())?;
            runs.retain(|run| run.task == Some(task));
            runs.sort_by_key(|run| run.number);
            // A later one may end before it.
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

    /// Waits until a start has looked at a run that had ended the program so many times.
    pub async fn taken_up_after(&self, run: RunId, crashes: u32) -> Run {
        self.until(&format!("{run} after {crashes} crashes"), |snap| {
            Ok(snap.get::<Run>(run)?.filter(|run| run.crashes == crashes))
        })
        .await
    }

    /// Waits until an event of a run is there.
    pub async fn happened(&self, run: RunId, is: impl Fn(&EventKind) -> bool) -> EventKind {
        self.until("an event", |snap| {
            let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
            let events = queries::events_of_run(snap, &run, usize::MAX)?;
            Ok(events.into_iter().map(|event| event.kind).find(|kind| is(kind)))
        })
        .await
    }

    /// Waits until a run waits for its next try, and moves the clock there.
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

    /// Moves the clock to a moment, if it is not there yet.
    pub async fn move_to(&self, at: Timestamp) {
        let left = at.duration_since(self.hq.now());
        self.hq.advance(Duration::try_from(left).unwrap_or_default()).await;
    }

    /// The first run on a task, once it is there.
    pub async fn run_on(&self, task: TaskId) -> RunId {
        self.until("a run on the task", |snap| {
            let runs: Vec<Run> = snap.list(&Range::all())?;
            Ok(runs.into_iter().find(|run| run.task == Some(task)).map(|run| run.id))
        })
        .await
    }

    /// A file in an agent's folder; none when it is not there.
    pub fn file(&self, agent: &Agent, path: &str) -> Option<String> {
        std::fs::read_to_string(self.ws().agent_folder(&agent.slug).join(path)).ok()
    }
}

fn person(account: AccountId) -> Actor {
    Actor::Person { account, via: Via::Socket { uid: 0 } }
}
