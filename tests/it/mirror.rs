//! A host has exactly its scope, whatever is written on the primary and wherever the link breaks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use features::agents::model::{Agent, Reach, ReachOf};
use features::comments::model::Comment;
use features::connections::model::{Connection, ConnectionKey, Cooldown, ListedModel};
use features::connections::queries as connections;
use features::inbox::model::Item;
use features::places::Place;
use features::runs::model::{Run, Session};
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::model::label::Label;
use features::usage::model::Usage;
use features::workspace::model::{Member, Settings};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{Actor, AgentId, Cause, ConnectionId, GatewayId, ItemState, Part, RunState, TypedId};
use knowledge::model::{Body, Item as Knowledge, Scope, Text};
use mirror::replication_policy::{self, Answer, Owner};
use mirror::{
    At, Bound, Gone, Leads, Mirror, MirrorError, Parcel, Put, Roots, Shipper, Standing, Step,
    digests, seen_by, what_it_sees,
};
use store::{
    Class, Kind, NoFaults, Options, Range, Read, ReadExt as _, Record, Schema, Store, StoreError,
    WriteTx, codec,
};

mod parcels; // truncated, repeated and forbidden parcels
mod roots; // what enters and leaves a host
mod whatever; // random events

const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);
/// Canary in all data that no host may have.
const CANARY: &str = "canary-4f1d";
/// Agents: the host's are some of the first two, never the third.
const AGENTS: u8 = 3;
/// Few tasks, so that records collide.
const TASKS: u8 = 5;

fn id<T: TypedId>(n: u8) -> T {
    T::from_bytes([n; 16])
}

fn ada() -> AgentId {
    id(1)
}

fn bob() -> AgentId {
    id(2)
}

fn eve() -> AgentId {
    id(3)
}

fn host_id() -> GatewayId {
    id(90)
}

fn open(folder: &tempfile::TempDir, schema: Schema) -> Store {
    Store::open(Options {
        path: folder.path().join("hq.redb"),
        schema,
        cache: 1 << 20,
        clock: Arc::new(ManualClock::at(from_ms(1_795_000_000_000))),
        ids: Arc::new(SeededIds::new(7)),
        reactor: None,
        faults: Arc::new(NoFaults),
    })
    .unwrap()
}

fn write<T: Send + 'static>(
    store: &Store,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let store = store.clone();
    // Tests run in a runtime whose threads must not block on the writer.
    let done = std::thread::spawn(move || store.write_blocking(BY.0, BY.1, body)).join();
    done.expect("the thread ends well").unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn agent(n: u8) -> Agent {
    Agent {
        id: id(n),
        slug: format!("agent-{n}"),
        name: format!("Agent {n}"),
        role: if n == 3 { CANARY.into() } else { "researcher".into() },
        connection: None,
        model: None,
        reports_to: None,
        ..Agent::sample()
    }
}

fn task(n: u8) -> Task {
    Task {
        id: id(n),
        number: n.into(),
        assignee: None,
        parent: None,
        stream: None,
        series: None,
        template: None,
        ..Task::sample()
    }
}

fn comment(n: u8, on: u8, body: &str) -> Comment {
    Comment {
        id: id(n),
        on: Place::Task(id(on)),
        body: body.into(),
        parent: None,
        mentions: Vec::new(),
        people: Vec::new(),
        called: Vec::new(),
        ..Comment::sample()
    }
}

fn item(n: u8, agent: AgentId, task: u8, state: ItemState) -> Item {
    Item {
        id: id(n),
        agent,
        task: Some(id(task)),
        key: format!("item {n}"),
        state,
        run: None,
        not_before: None,
        ..Item::sample()
    }
}

fn session(n: u8, agent: AgentId) -> Session {
    Session { id: id(n), agent, key: format!("session {n}"), ..Session::sample() }
}

fn run(n: u8, agent: AgentId, task: u8, state: RunState) -> Run {
    Run {
        id: id(n),
        number: n.into(),
        agent,
        session: id(n),
        task: Some(id(task)),
        item: None,
        state,
        waiting: None,
        ..Run::sample()
    }
}

fn page(n: u8, scope: Scope, agents: Vec<AgentId>) -> Knowledge {
    Knowledge {
        id: id(n),
        title: format!("Page {n}"),
        folder: None,
        scope,
        agents,
        file: None,
        page: None,
        ..Knowledge::sample()
    }
}

fn body(n: u8, text: &str) -> Body {
    Body { item: id(n), text: Text::Inline(text.into()), links: Vec::new(), ..Body::sample() }
}

/// The primary's store, and the agents bound to the host.
struct Home {
    store: Store,
    agents: Arc<Mutex<BTreeSet<AgentId>>>,
    _folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, server::schema::workspace());
        write(&store, |tx| {
            let connection: ConnectionId = id(7);
            tx.put(&Connection { key_hint: Some(CANARY.into()), ..Connection::sample() })?;
            tx.put(&ConnectionKey {
                connection,
                sealed: CANARY.into(),
                ..ConnectionKey::sample()
            })?;
            tx.put(&Cooldown { message: CANARY.into(), ..Cooldown::sample() })?;
            tx.put(&Settings { default_connection: Some(connection), ..Settings::sample() })?;
            tx.put(&Member { email: CANARY.into(), ..Member::sample() })?;
            tx.put(&Label::sample())?;
            tx.put(&Stream { goal: CANARY.into(), lead: None, ..Stream::sample() })?;
            tx.put(&Usage { provider: CANARY.into(), ..Usage::sample() })?;
            for n in 1..=AGENTS {
                tx.put(&agent(n))?;
                tx.put(&Reach {
                    of: ReachOf::Agent(id(n)),
                    hosts: vec![if n == 3 { CANARY.into() } else { format!("{n}.test") }],
                })?;
            }
            for n in 1..=TASKS {
                tx.put(&task(n))?;
            }
            Ok(())
        });
        Self { store, agents: Arc::new(Mutex::new([ada()].into())), _folder: folder }
    }

    fn bound(&self) -> Arc<Bound> {
        let agents = Arc::clone(&self.agents);
        Arc::new(move |_: &dyn Read, gateway: GatewayId| {
            assert_eq!(gateway, host_id());
            Ok(agents.lock().unwrap().clone())
        })
    }

    fn bind(&self, agents: impl IntoIterator<Item = AgentId>) {
        *self.agents.lock().unwrap() = agents.into_iter().collect();
    }

    fn put<R: Record + Send>(&self, record: R) {
        write(&self.store, move |tx| tx.put(&record));
    }

    fn delete<R: Record>(&self, id: R::Id)
    where
        R::Id: Send + 'static,
    {
        write(&self.store, move |tx| tx.delete::<R>(id));
    }

    fn has<R: Record>(&self, id: R::Id) -> bool {
        self.store.read(|snap| snap.get::<R>(id)).unwrap().is_some()
    }

    fn roots(&self) -> Roots {
        let agents = self.agents.lock().unwrap().clone();
        self.store.read(|snap| Roots::of(snap, agents)).unwrap()
    }
}

/// A host with its present link.
struct Host {
    mirror: Mirror,
    led: Arc<Mutex<BTreeSet<At>>>,
    link: Option<Shipper>,
    /// The last parcels.
    last: Vec<Parcel>,
    _folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let led: Arc<Mutex<BTreeSet<At>>> = Arc::default();
        let asked = Arc::clone(&led);
        let leads: Arc<Leads> =
            Arc::new(move |_: &dyn Read, at: &At| Ok(asked.lock().unwrap().contains(at)));
        let store = open(&folder, server::schema::workspace().mirrored());
        let mirror = Mirror::new(store, leads).unwrap();
        Self { mirror, led, link: None, last: Vec::new(), _folder: folder }
    }

    fn cut(&mut self) {
        self.link = None;
    }

    /// Applies at most `most` parcels, then cuts the link. Returns whether the host is complete.
    async fn take(&mut self, home: &Home, most: usize) -> bool {
        if self.link.is_none() {
            let have = self.mirror.have().unwrap();
            self.link = Some(Shipper::new(&home.store, host_id(), home.bound(), have).unwrap());
        }
        let mut count = 0;
        loop {
            let next = self.link.as_mut().unwrap().next(&home.store).unwrap();
            for parcel in &next.parcels {
                if most <= count {
                    self.cut();
                    return false;
                }
                count += 1;
                self.lay(home, parcel).await.unwrap();
            }
            if !next.parcels.is_empty() {
                self.last = next.parcels;
            }
            if !next.more {
                return true;
            }
        }
    }

    async fn lay(&self, home: &Home, parcel: &Parcel) -> Result<mirror::Laid, MirrorError> {
        let bytes = parcel.encode().unwrap();
        let has = bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
        assert!(!has, "no host may have this: {parcel:?}");
        let agents = home.agents.lock().unwrap().clone();
        self.mirror.lay(agents, Parcel::decode(&bytes).unwrap()).await
    }

    async fn follow(&mut self, home: &Home) {
        assert!(self.take(home, usize::MAX).await);
        self.check(home);
    }

    fn check(&self, home: &Home) {
        let is = digests(self.mirror.store()).unwrap();
        assert_eq!(is, seen_by(&home.store, &home.roots()).unwrap());
        assert_eq!(self.mirror.store().head().seq, 0, "a mirror has no feed");
    }

    fn get<R: Record>(&self, id: R::Id) -> Option<R> {
        self.mirror.store().read(|snap| snap.get::<R>(id)).unwrap()
    }

    fn count<R: Record>(&self) -> usize {
        self.mirror.store().read(|snap| snap.list::<R>(&Range::all())).unwrap().len()
    }

    /// A step from the host's present position.
    fn step(&self, agents: &[AgentId], gone: Vec<Gone>, puts: Vec<Put>) -> Parcel {
        let Standing::Following(life, seq) = self.mirror.standing().unwrap() else {
            panic!("it follows")
        };
        let (agents, enters) = (agents.to_vec(), Vec::new());
        Parcel::Step(Step { life, from: seq, to: seq + 1, more: false, agents, enters, gone, puts })
    }
}

fn sent<R: Record>(record: &R, rev: u64) -> Put {
    let row = codec::encode_row(R::VERSION, rev, record).unwrap();
    Put { at: At::of::<R>(record.id()), row }
}

#[test]
fn every_table_has_an_answer() {
    let schema = server::schema::workspace();
    let mut faults = Vec::new();
    for info in schema.tables() {
        let Kind::Record(class) = info.kind else { continue };
        let is_never = replication_policy::EXCLUDED.contains(&info.name);
        match replication_policy::of(info.number) {
            Some(_) if is_never => faults.push(format!("{} stands on both lists", info.name)),
            None if !is_never => faults.push(format!(
                "{} ({}): may a host have it? Put it on `REPLICATED`, or name it in `EXCLUDED`",
                info.name, info.number
            )),
            Some(_) if matches!(class, Class::Local | Class::Derived | Class::Sealed) => {
                faults.push(format!("{}: the feed does not tell of it, or keeps it", info.name));
            }
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_list_is_in_order_and_roots_come_before_what_belongs_to_them() {
    let numbers: Vec<u16> =
        replication_policy::REPLICATED.iter().map(|line| line.table.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    for line in replication_policy::REPLICATED {
        if let Some(Owner::Head(of)) = line.owner() {
            assert!(of.number <= line.table.number, "{} before {}", line.table.name, of.name);
        }
        let less = line.less.is_some();
        match line.answer {
            Answer::Projected => assert!(less, "{} is sent as it is", line.table.name),
            Answer::Whole | Answer::Agents(_) => assert!(!less, "{}", line.table.name),
            Answer::Root(_) | Answer::Never => {}
        }
    }
    assert!(matches!(replication_policy::answer(77), Answer::Never), "keys of connections");
}

#[test]
fn of_a_projection_the_same_comes_out_again() {
    let schema = server::schema::workspace();
    for line in replication_policy::REPLICATED {
        let Some(less) = line.less else { continue };
        let ops = schema.table(line.table.number).and_then(|info| info.ops.as_ref()).unwrap();
        let row = (ops.sample)().unwrap();
        let once = less(&BTreeSet::new(), &row).unwrap();
        assert_ne!(once, row, "{} says as much as before", line.table.name);
        assert_eq!(less(&BTreeSet::new(), &once).unwrap(), once, "{}", line.table.name);
        assert_eq!((ops.key)(&once).unwrap(), (ops.key)(&row).unwrap());
    }
}

#[tokio::test]
async fn a_host_has_what_its_agents_need_and_nothing_else() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(comment(10, 1, "look here"));
    home.put(comment(11, 2, CANARY));
    home.put(item(20, ada(), 1, ItemState::Pending));
    home.put(item(21, bob(), 2, ItemState::Pending));
    home.put(page(30, Scope::Workspace, Vec::new()));
    home.put(body(30, "for all"));
    home.put(page(31, Scope::Library, Vec::new()));
    home.put(body(31, CANARY));
    home.put(page(32, Scope::Agent, vec![bob()]));
    home.put(body(32, CANARY));
    host.follow(&home).await;

    assert!(host.get::<Task>(id(1)).is_some());
    assert!(host.get::<Task>(id(2)).is_none());
    assert_eq!((host.count::<Comment>(), host.count::<Item>()), (1, 1));
    assert_eq!((host.count::<Knowledge>(), host.count::<Body>()), (1, 1));
    assert_eq!(host.get::<Agent>(ada()).unwrap().capabilities, agent(1).capabilities);
    let other = host.get::<Agent>(bob()).unwrap();
    assert_eq!((other.name.as_str(), other.slug.as_str()), ("Agent 2", "agent-2"));
    assert_eq!((other.capabilities.len(), other.budget_micros), (0, None));
    assert!(host.get::<Connection>(id(7)).is_some());
    assert!(host.get::<ConnectionKey>(id(7)).is_none());
    assert_eq!(host.count::<Usage>(), 0);

    let seen = what_it_sees(&home.store, host_id(), &*home.bound()).unwrap();
    assert!(seen.contains(&("tasks", 1)) && seen.contains(&("agents", 3)), "{seen:?}");
}

#[tokio::test]
async fn a_model_that_is_asked_for_by_name_comes_with_its_connection() {
    let (home, mut host) = (Home::new(), Host::new());
    for (n, name) in [(8, "Other"), (9, "Third"), (10, "Fourth")] {
        let models = vec![ListedModel { id: format!("model-{n}"), name: String::new() }];
        home.put(Connection { id: id(n), name: name.into(), models, ..Connection::sample() });
    }
    home.put(item(20, ada(), 1, ItemState::Pending));
    host.follow(&home).await;
    assert_eq!(host.count::<Connection>(), 1, "that of the workspace");
    let client = host.get::<Connection>(id(7)).unwrap().sign_in.unwrap();
    assert!(client.is_bare() && client.id.is_empty() && client.integration.is_none());

    // A task and the agent request one connection each; tasks of others do not count.
    home.put(Task { model: Some("other/special".into()), ..task(1) });
    home.put(Task { model: Some("fourth/special".into()), ..task(2) });
    home.put(Agent { model: Some("model-9".into()), ..agent(1) });
    host.follow(&home).await;
    assert_eq!(host.count::<Connection>(), 3);
    for model in ["other/special", "model-9", "claude"] {
        let near = [None, Some(id(7))];
        let at = |store: &Store| store.read(|snap| connections::locate(snap, model, near)).unwrap();
        assert_eq!(at(host.mirror.store()), at(&home.store), "{model}");
    }

    // Requests of a conversation count while it has a run.
    home.put(task(1));
    home.put(Agent { model: None, ..agent(1) });
    home.put(Session { model: Some("fourth/special".into()), ..session(60, ada()) });
    home.put(run(60, ada(), 1, RunState::Running));
    host.follow(&home).await;
    assert!(host.get::<Connection>(id(10)).is_some());
    assert!(host.get::<Connection>(id(8)).is_none() && host.get::<Connection>(id(9)).is_none());
    home.put(run(60, ada(), 1, RunState::Ended));
    host.follow(&home).await;
    assert!(host.get::<Connection>(id(10)).is_none());
}
