//! A believable company in an empty folder: `hq demo --seed medium`, for tests, benches and pictures.
//!
//! Nothing is written beside the rules. A clock goes through some weeks up to now, and at each moment
//! people and agents do what they do in life: each act is a transaction of theirs, and what is due by
//! the clock is done by the timers and consumers of the server. What happens follows from a number.

mod customers;
mod days;
mod dice;
mod founding;
mod ground;
mod people;
mod runs;
mod words;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde::Serialize;

use app::config::Config;
use app::{App, Ws};
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
    Actor, Cause, Clock as _, DeliverableId, RunId, SeriesId, StreamId, TaskId, TemplateId,
    Timestamp,
};
use store::{ReadExt as _, StoreError, WriteTx};

use crm::error::CrmError;

use server::workspaces::life::LifeError;
use server::{Parts, StartError, offline_with};

use customers::{Counts, Crowd};

use dice::Dice;
use founding::{Person, Worker};
use people::Errand;
use runs::Live;
use words::Words;

/// How many transactions are handed over together.
const PIECE: usize = 500;
/// What is signed in with, once the server runs on the folder.
pub const EMAIL: &str = "mara@tidewater.example";
/// Everybody's password.
pub const PASSWORD: &str = "violet kayak under seven bridges";

/// How large the company is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    customers: Counts,
}

impl Size {
    fn plan(self) -> Plan {
        match self {
            Self::Small => {
                let customers = counts([16, 40, 120, 2, 12]);
                Plan {
                    people: 2,
                    agents: 6,
                    tasks: 200,
                    weeks: 3,
                    shifts: 2,
                    given: 250,
                    customers,
                }
            }
            Self::Medium => {
                let customers = counts([3_000, 10_000, 30_000, 5, 200]);
                let (people, agents, tasks) = (4, 20, 10_000);
                Plan { people, agents, tasks, weeks: 8, shifts: 4, given: 160, customers }
            }
            Self::Large => {
                let customers = counts([3_000, 10_000, 30_000, 5, 200]);
                let (people, agents, tasks) = (4, 20, 100_000);
                Plan { people, agents, tasks, weeks: 12, shifts: 6, given: 40, customers }
            }
        }
    }
}

fn counts([organizations, contacts, talks, collections, records]: [usize; 5]) -> Counts {
    Counts { organizations, contacts, talks, collections, records }
}

/// A company that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// How large it is.
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
    /// Acts that a rule did not let happen, as in life.
    pub refused: u32,
}

/// Why no company was made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Something is there already.
    #[error("{} is not empty; name an empty folder with --data", .0.display())]
    NotEmpty(PathBuf),
    /// The folder cannot be looked at.
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// The folder cannot be opened.
    #[error(transparent)]
    Start(Box<StartError>),
    /// The workspace cannot be made.
    #[error(transparent)]
    Life(Box<LifeError>),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule did not let something happen.
    #[error("{0}")]
    Refused(String),
}

impl From<StartError> for SeedError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<LifeError> for SeedError {
    fn from(error: LifeError) -> Self {
        Self::Life(Box::new(error))
    }
}

/// What rules refuse; what the store says stays what it is.
macro_rules! refusals {
    ($($error:ident),+ $(,)?) => {$(
        impl From<$error> for SeedError {
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

/// What an act came to.
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

type Act = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<Out, SeedError> + Send>;

/// Something that somebody does.
struct Job<T> {
    by: (Actor, Cause),
    act: Act,
    /// What it is for those who hear what it came to.
    what: T,
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
    words: Words,
    people: Vec<Person>,
    agents: Vec<Worker>,
    streams: Vec<StreamId>,
    labels: Vec<LabelId>,
    templates: Vec<TemplateId>,
    series: Vec<SeriesId>,
    /// What people will do, by ticks.
    agenda: BTreeMap<usize, Vec<Errand>>,
    /// How many moments of work have passed.
    tick: usize,
    /// The last tasks of each stream.
    recent: Vec<VecDeque<TaskId>>,
    /// Tasks of series that somebody will do.
    taken: HashSet<TaskId>,
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
pub async fn make(config: Config, wish: Wish) -> Result<Made, SeedError> {
    is_empty(&config.data)?;
    let plan = wish.size.plan();
    let begin = wish.now - SignedDuration::from_hours(24 * 7 * plan.weeks + 12);
    let clock = Arc::new(ManualClock::at(begin));
    let ids = Arc::new(SeededIds::new(wish.number.wrapping_mul(2).wrapping_add(1)));
    let parts = Parts { clock: clock.clone(), ids, ..Parts::default() };
    let opened = offline_with(config, parts).await?;
    let app = opened.app.clone();
    let dice = Dice::of(wish.number);
    let founded = founding::found(&app, plan, Words::read()).await?;
    let mut company = Company {
        app: app.clone(),
        ws: founded.ws,
        clock,
        plan,
        end: wish.now,
        dice,
        recent: vec![VecDeque::new(); founded.words.streams.len()],
        words: founded.words,
        people: founded.people,
        agents: founded.agents,
        streams: Vec::new(),
        labels: Vec::new(),
        templates: Vec::new(),
        series: Vec::new(),
        agenda: BTreeMap::new(),
        tick: 0,
        taken: HashSet::new(),
        live: Vec::new(),
        made: 0,
        refused: 0,
    };
    company.lay_ground().await?;
    let mut crowd = Crowd::of(wish.number, &company)?;
    company.meet(&mut crowd).await?;
    company.live_on().await?;
    company.talk_outside(&mut crowd).await?;
    let made = company.tell()?;
    drop(company);
    opened.close().await;
    Ok(made)
}

/// Refuses a folder in which something is.
fn is_empty(path: &std::path::Path) -> Result<(), SeedError> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(SeedError::NotEmpty(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SeedError::Folder { path: path.to_owned(), source }),
    }
}

impl Company {
    /// Lets these happen at this moment, in this order, and says what each came to; nothing where a
    /// rule refused.
    async fn piece<T>(&mut self, jobs: Vec<Job<T>>) -> Result<Vec<(T, Option<Out>)>, SeedError> {
        let mut all = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        loop {
            let mut whats = Vec::new();
            let mut writes = Vec::new();
            for Job { by, act, what } in jobs.by_ref().take(PIECE) {
                whats.push(what);
                writes.push(self.ws.store.write(by.0, by.1, act));
            }
            if writes.is_empty() {
                return Ok(all);
            }
            // Unconstrained: all are handed over in their order, at the first look at each.
            let done = tokio::task::unconstrained(join_all(writes)).await;
            for (what, out) in whats.into_iter().zip(done) {
                let out = match out {
                    Ok(out) => Some(out),
                    Err(SeedError::Refused(why)) => {
                        tracing::debug!(why, "an act of the demo was refused");
                        self.refused += 1;
                        None
                    }
                    Err(error) => return Err(error),
                };
                all.push((what, out));
            }
        }
    }

    /// The cause of a person's act: a request of its own.
    fn request(&self) -> Cause {
        Cause::Request(self.app.ids.next(self.clock.now_ms()).into_bytes())
    }

    /// So many tasks are there.
    fn count(&self, counting: Counting) -> Result<u32, StoreError> {
        let counter = self.ws.read(|snap| snap.get::<Counter>(counting))?;
        Ok(counter.map_or(0, |counter| counter.last))
    }

    fn tell(&self) -> Result<Made, SeedError> {
        Ok(Made {
            workspace: self.ws.slug.clone(),
            people: self.people.len(),
            agents: self.agents.len(),
            tasks: self.count(Counting::Tasks)?,
            contacts: self.plan.customers.contacts,
            runs: self.count(Counting::Runs)?,
            refused: self.refused,
        })
    }
}
