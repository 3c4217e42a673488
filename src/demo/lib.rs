//! A made-up company in an empty folder, for `hq demo --seed`, tests, benches and pictures.
//!
//! All writes go through rules. A clock runs through some weeks up to now. At each moment people and agents act, each in
//! a transaction of their own, and the server's timers and consumers do what is due. All of it follows from a number.

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
use people::Deed;
use runs::Live;
use texts::Texts;

/// How many transactions are handed over together.
const BATCH: usize = 500;
/// The address that its owner signs in with, once the server runs on the folder.
pub const EMAIL: &str = "mara@tidewater.example";
/// Everybody's password.
pub const PASSWORD: &str = "violet kayak under seven bridges";

/// How large the company is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// For a quick look.
    Small,
    /// 20 agents, 10,000 tasks and 10,000 contacts.
    Medium,
    /// 100,000 tasks.
    Large,
}

/// What a size means.
#[derive(Clone, Copy)]
struct Plan {
    people: usize,
    agents: usize,
    tasks: u32,
    weeks: i64,
    /// How often a day agents take up what waits for them.
    shifts: usize,
    /// Of a thousand tasks, those that go to agents.
    given: usize,
    organizations: usize,
    contacts: usize,
    talks: usize,
    collections: usize,
    /// Records of each collection.
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

/// The company that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct CompanyOptions {
    pub size: Size,
    /// The same number makes the same company.
    pub number: u64,
    /// The moment at which its past ends.
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The workspace's name in addresses.
    pub workspace: String,
    pub people: usize,
    pub agents: usize,
    pub tasks: u32,
    pub contacts: usize,
    pub runs: u32,
    /// Acts that a rule did not allow.
    pub refused: u32,
}

/// Why no company was made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{} is not empty; name an empty folder with --data", .0.display())]
    NotEmpty(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule does not allow it, or the folder cannot be used.
    #[error("{0}")]
    Refused(String),
}

/// Errors of rules: a failed store stays apart from what they refuse.
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

/// The result of an act.
enum Out {
    Done,
    /// These tasks were made.
    Tasks(Vec<TaskId>),
    /// It has to wait.
    Later,
    /// A run was made.
    Run(RunId),
    /// It was begun, with this epoch.
    Begun(u64),
    /// Work was delivered.
    Delivered(DeliverableId),
}

type Act = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<Out, DemoError> + Send>;

/// Something that somebody does in a transaction of their own.
struct Job<T> {
    by: (Actor, Cause),
    act: Act,
    /// What it is, for those who take its result.
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

/// The company while it is made.
struct Company {
    app: App,
    ws: Ws,
    clock: Arc<ManualClock>,
    plan: Plan,
    /// The moment at which its past ends.
    end: Timestamp,
    dice: Dice,
    texts: Arc<Texts>,
    people: Vec<Person>,
    agents: Vec<Worker>,
    streams: Vec<StreamId>,
    labels: Vec<LabelId>,
    templates: Vec<TemplateId>,
    /// What people will do, by ticks, and who.
    agenda: BTreeMap<usize, Vec<(usize, Deed)>>,
    /// How many moments of work have passed.
    tick: usize,
    /// The last tasks of each stream.
    recent: Vec<VecDeque<TaskId>>,
    /// Runs that are at work.
    live: Vec<Live>,
    /// Tasks so far.
    made: u32,
    refused: u32,
}

/// Makes a company in an empty folder, up to this moment. Call from an async runtime.
///
/// # Errors
/// When the folder is not empty, or the disk refuses.
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

/// Refuses a folder that has something in it.
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
    /// Lets these happen at this moment, in this order, with the result of each; nothing where a rule refused.
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
            // Unconstrained: all are handed over in their order, at the first look at each.
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

    /// A person does something that no rule refuses.
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

    /// A person, with a request of its own as the cause.
    fn request(&self, person: usize) -> (Actor, Cause) {
        let id = self.app.ids.next(self.clock.now_ms()).into_bytes();
        (self.people[person].by, Cause::Request(id))
    }

    /// So many records of a kind are there.
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
