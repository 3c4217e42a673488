//! Generates a demo company in an empty folder, for `hq demo --seed`, tests, benchmarks and screenshots.
//!
//! All writes go through rules. A simulated clock runs through several weeks up to now; people and agents act in
//! separate transactions, and the server's timers and consumers run when due. The result is determined by a seed.

mod customers;
mod days;
mod dice;
mod founding;
mod people;
mod runs;
mod texts;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde::Serialize;

use app::config::Config;
use app::{App, Ws};
use crm::error::CrmError;
use features::agents::rules::AgentError;
use features::comments::queries::CommentError;
use features::deliverables::rules::DeliverableError;
use features::inbox::rules::InboxError;
use features::notifications::rules::NotificationError;
use features::routines::rules::RoutineError;
use features::runs::rules::RunError;
use features::streams::queries::StreamError;
use features::tasks::model::label::LabelId;
use features::tasks::queries::error::TaskError;
use features::usage::rules::UsageError;
use features::users::rules::UsersError;
use features::views::queries::ViewError;
use features::workspace::model::{Counter, Counting};
use features::workspace::rules::WorkspaceError;
use kernel::id::SeededIds;
use kernel::time::ManualClock;
use kernel::{
    Actor, Cause, Clock as _, DeliverableId, RunId, StreamId, TaskId, TemplateId, Timestamp,
};
use server::{Parts, offline_with};
use store::{ReadExt as _, StoreError, WriteTx};

use dice::Dice;
use founding::{Person, Worker};
use people::{Deck, Deed};
use runs::Live;
use texts::Texts;

/// Transactions submitted together.
const BATCH: usize = 500;
/// Sign-in address of the owner.
pub const EMAIL: &str = "mara@tidewater.example";
/// Password of all people.
pub const PASSWORD: &str = "violet kayak under seven bridges";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// For a quick look.
    Small,
    /// 20 agents, 10,000 tasks and 10,000 contacts.
    Medium,
    /// 100,000 tasks.
    Large,
}

/// Numbers for a size.
#[derive(Clone, Copy)]
struct Plan {
    people: usize,
    agents: usize,
    tasks: u32,
    weeks: i64,
    /// Times per day at which agents start waiting work.
    shifts: usize,
    /// Share of tasks for agents, in thousandths.
    given: usize,
    organizations: usize,
    contacts: usize,
    talks: usize,
    collections: usize,
    /// Records per collection.
    records: usize,
}

impl Size {
    fn plan(self) -> Plan {
        let small = Plan {
            people: 2,
            agents: 6,
            tasks: 200,
            weeks: 3,
            shifts: 2,
            given: 250,
            organizations: 16,
            contacts: 40,
            talks: 120,
            collections: 2,
            records: 12,
        };
        let medium = Plan {
            people: 4,
            agents: 20,
            tasks: 10_000,
            weeks: 8,
            shifts: 4,
            given: 160,
            organizations: 3_000,
            contacts: 10_000,
            talks: 30_000,
            collections: 5,
            records: 200,
        };
        match self {
            Self::Small => small,
            Self::Medium => medium,
            Self::Large => Plan { tasks: 100_000, weeks: 12, shifts: 6, given: 40, ..medium },
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CompanyOptions {
    pub size: Size,
    /// Seed: the same number gives the same company.
    pub number: u64,
    /// End of the simulated past.
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Slug of the workspace.
    pub workspace: String,
    pub people: usize,
    pub agents: usize,
    pub tasks: u32,
    pub contacts: usize,
    pub runs: u32,
    /// Actions that a rule refused.
    pub refused: u32,
}

/// Why no company was generated.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{} is not empty; name an empty folder with --data", .0.display())]
    NotEmpty(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule refused, or the folder is unusable.
    #[error("{0}")]
    Refused(String),
}

/// Converts errors of rules; store errors stay distinct.
macro_rules! refusals {
    ($($error:ident),+ $(,)?) => {$(
        impl From<$error> for DemoError {
            fn from(error: $error) -> Self {
                match error {
                    $error::Store(error) => Self::Store(error),
                    error => Self::Refused(error.to_string()),
                }
            }
        }
    )+};
}

refusals! {
    AgentError, CommentError, DeliverableError, InboxError, NotificationError, RoutineError, RunError,
    StreamError, TaskError, UsageError, UsersError, ViewError, WorkspaceError, CrmError,
}

fn refused(error: impl ToString) -> DemoError {
    DemoError::Refused(error.to_string())
}

fn unusable(folder: &Path, error: &io::Error) -> DemoError {
    DemoError::Refused(format!("{}: {error}", folder.display()))
}

/// Result of an action.
enum Out {
    Done,
    /// Created tasks.
    Tasks(Vec<TaskId>),
    /// Retry later.
    Later,
    /// A created run.
    Run(RunId),
    /// A started run, with its epoch.
    Begun(u64),
    Delivered(DeliverableId),
}

type Act = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<Out, DemoError> + Send>;

/// An action in a transaction of its own.
struct Job<T> {
    by: (Actor, Cause),
    act: Act,
    /// Context for handling the result.
    what: T,
}

impl<T> Job<T> {
    fn new(
        by: (Actor, Cause),
        what: T,
        act: impl FnOnce(&mut WriteTx<'_>) -> Result<Out, DemoError> + Send + 'static,
    ) -> Self {
        Self { by, act: Box::new(act), what }
    }
}

/// The company under construction.
struct Company {
    app: App,
    ws: Ws,
    clock: Arc<ManualClock>,
    plan: Plan,
    /// End of the simulated past.
    end: Timestamp,
    dice: Dice,
    texts: Arc<Texts>,
    people: Vec<Person>,
    agents: Vec<Worker>,
    streams: Vec<StreamId>,
    labels: Vec<LabelId>,
    templates: Vec<TemplateId>,
    /// Planned actions and their actors, by tick.
    agenda: BTreeMap<usize, Vec<(usize, Deed)>>,
    /// Number of working ticks so far.
    tick: usize,
    /// Latest tasks of each stream.
    recent: Vec<VecDeque<TaskId>>,
    /// Next tasks of each stream.
    decks: Vec<Deck>,
    /// Running runs.
    live: Vec<Live>,
    /// Number of tasks so far.
    made: u32,
    refused: u32,
}

/// Generates a company in an empty folder. Call in an async runtime.
///
/// # Errors
/// If the folder is not empty, or the disk fails.
pub async fn make(config: Config, wish: CompanyOptions) -> Result<Made, DemoError> {
    is_empty(&config.data)?;
    let plan = wish.size.plan();
    let begin = wish.now - SignedDuration::from_hours(24 * 7 * plan.weeks + 12);
    let clock = Arc::new(ManualClock::at(begin));
    let ids = Arc::new(SeededIds::new(wish.number.wrapping_mul(2).wrapping_add(1)));
    let parts = Parts { clock: clock.clone(), ids, ..Parts::default() };
    let opened = offline_with(config, parts).await.map_err(refused)?;
    let mut company = Company::found(opened.app.clone(), clock, wish).await?;
    company.prepare().await?;
    let mut customers = company.meet_customers(wish.number).await?;
    company.live_on().await?;
    company.talk_to(&mut customers).await?;
    let made = company.describe()?;
    drop(company);
    opened.close().await;
    Ok(made)
}

/// Fails if the folder is not empty.
fn is_empty(folder: &Path) -> Result<(), DemoError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(DemoError::NotEmpty(folder.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(folder, &error)),
    }
}

impl Company {
    /// Runs these actions at the present time, in order; the result is `None` where a rule refused.
    async fn all<T>(&mut self, jobs: Vec<Job<T>>) -> Result<Vec<(T, Option<Out>)>, DemoError> {
        let mut results = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let mut whats = Vec::new();
            let mut writes = Vec::new();
            for Job { by, act, what } in jobs.by_ref().take(BATCH) {
                whats.push(what);
                writes.push(self.ws.store.write(by.0, by.1, act));
            }
            // Unconstrained, so that all are submitted in order at their first poll.
            let done = tokio::task::unconstrained(join_all(writes)).await;
            for (what, out) in whats.into_iter().zip(done) {
                let out = match out {
                    Err(DemoError::Refused(why)) => {
                        tracing::debug!(why, "an act of the demo was refused");
                        self.refused += 1;
                        None
                    }
                    out => Some(out?),
                };
                results.push((what, out));
            }
        }
        Ok(results)
    }

    /// Runs an action of a person that no rule may refuse.
    async fn act<T, E>(
        &self,
        person: usize,
        act: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DemoError>
    where
        T: Send + 'static,
        E: From<StoreError> + Into<DemoError> + Send + 'static,
    {
        self.ws.write(&self.request(person), act).await.map_err(E::into)
    }

    /// A person, with a new request as the cause.
    fn request(&self, person: usize) -> (Actor, Cause) {
        let id = self.app.ids.next(self.clock.now_ms()).into_bytes();
        (self.people[person].by, Cause::Request(id))
    }

    /// Number of records of a kind.
    fn count(&self, counting: Counting) -> Result<u32, StoreError> {
        let counter = self.ws.read(|snap| snap.get::<Counter>(counting))?;
        Ok(counter.map_or(0, |counter| counter.last))
    }

    fn describe(&self) -> Result<Made, DemoError> {
        Ok(Made {
            workspace: self.ws.slug.clone(),
            people: self.people.len(),
            agents: self.agents.len(),
            tasks: self.count(Counting::Tasks)?,
            contacts: self.plan.contacts,
            runs: self.count(Counting::Runs)?,
            refused: self.refused,
        })
    }
}
