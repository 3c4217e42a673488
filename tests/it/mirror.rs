//! What a host has of a workspace: exactly its scope, whatever is written at home and wherever the link is cut.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use features::agents::model::{Agent, Reach, ReachOf};
use features::comments::model::{Comment, Reaction};
use features::connections::model::{Connection, ConnectionKey, Cooldown, ListedModel};
use features::connections::queries as connections;
use features::inbox::model::{INBOX, Item};
use features::places::Place;
use features::runs::model::{Halt, HaltOf, RUNS, Run, Session, SessionEvent};
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::model::label::{LABELS, Label, TaskLabel};
use features::usage::model::Usage;
use features::workspace::model::{Member, Settings};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    Actor, AgentId, Cause, ConnectionId, GatewayId, ItemState, Part, RunState, TaskId, TypedId,
};
use knowledge::model::{Body, Item as Knowledge, KnowledgeId, Scope, Text};
use mirror::yes::{self, Answer, Owner};
use mirror::{
    At, Bound, Gone, Have, Leads, Mirror, MirrorError, Parcel, Put, Roots, Shipper, Standing, Step,
    digests, seen_by, what_it_sees,
};
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use store::{
    Class, Kind, NoFaults, Options, Range, Read, ReadExt as _, Record, Schema, Store, StoreError,
    WriteTx, codec,
};

const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);
/// Stands in all that no host may have.
const CANARY: &str = "canary-4f1d";
/// Agents: the host's are some of the first two, the third is never one.
const AGENTS: u8 = 3;
/// Tasks and what hangs on them are few, so that they meet.
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
    // Tests run in a runtime, whose threads must not wait for the writer.
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

/// A store of home, with what a test binds to its host.
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

/// A host, and the link that it has at the moment.
struct Host {
    mirror: Mirror,
    led: Arc<Mutex<BTreeSet<At>>>,
    link: Option<Shipper>,
    /// What came last.
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

    /// Takes what home has to send, at most so many parcels; then the link is cut. Says whether it has all.
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

    /// A step that begins where this host is.
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
        let is_never = yes::NEVER.contains(&info.name);
        match yes::of(info.number) {
            Some(_) if is_never => faults.push(format!("{} stands on both lists", info.name)),
            None if !is_never => faults.push(format!(
                "{} ({}): may a host have it? Put it on `YES`, or name it in `NEVER`",
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
    let numbers: Vec<u16> = yes::YES.iter().map(|line| line.table.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    for line in yes::YES {
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
    assert!(matches!(yes::answer(77), Answer::Never), "keys of connections");
}

#[test]
fn of_a_projection_the_same_comes_out_again() {
    let schema = server::schema::workspace();
    for line in yes::YES {
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

    // A task asks for one, and the agent for another; a task of somebody else counts for nothing.
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

    // What a conversation asks for, as long as it has a run.
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

#[tokio::test]
async fn a_task_that_leaves_is_forgotten_with_its_comments() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    home.put(item(21, ada(), 2, ItemState::Pending));
    home.put(comment(10, 1, "one"));
    home.put(comment(11, 2, "two"));
    home.put(Reaction { comment: id(10), on: Place::Task(id(1)), ..Reaction::sample() });
    home.put(TaskLabel { task: id(1), ..TaskLabel::sample() });
    host.follow(&home).await;
    assert_eq!((host.count::<Task>(), host.count::<Comment>()), (2, 2));
    assert_eq!((host.count::<Reaction>(), host.count::<TaskLabel>()), (1, 1));

    home.put(item(20, ada(), 1, ItemState::Done));
    host.follow(&home).await;
    assert_eq!((host.count::<Task>(), host.count::<Comment>()), (1, 1));
    assert_eq!((host.count::<Reaction>(), host.count::<TaskLabel>()), (0, 0));

    // While the link is cut one goes and one comes back.
    host.cut();
    home.put(item(22, ada(), 1, ItemState::Pending));
    home.delete::<Task>(id(2));
    host.follow(&home).await;
    assert!(host.get::<Task>(id(1)).is_some() && host.get::<Task>(id(2)).is_none());
    assert_eq!((host.count::<Comment>(), host.count::<Reaction>()), (1, 1));
}

#[tokio::test]
async fn another_life_of_home_begins_with_a_snapshot() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    host.follow(&home).await;
    host.cut();
    let restored = Home::new();
    restored.put(item(20, ada(), 3, ItemState::Pending));
    restored.put(comment(10, 3, "after the backup"));
    host.follow(&restored).await;
    assert!(host.get::<Task>(id(1)).is_none() && host.get::<Task>(id(3)).is_some());
    assert!(matches!(
        host.mirror.standing().unwrap(),
        Standing::Following(life, _) if life == restored.store.incarnation()
    ));
}

#[tokio::test]
async fn entries_that_are_no_concern_of_the_host_are_passed() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    host.follow(&home).await;
    write(&home.store, |tx| tx.put(&task(9)));
    for n in 0..1_200_u32 {
        write(&home.store, move |tx| {
            tx.put(&Task { title: format!("Task {n}"), ..task(9) })?;
            tx.put(&comment(40, 9, &format!("Comment {n}")))
        });
    }
    let mut link =
        Shipper::new(&home.store, host_id(), home.bound(), host.mirror.have().unwrap()).unwrap();
    let mut parcels = Vec::new();
    loop {
        let next = link.next(&home.store).unwrap();
        parcels.extend(next.parcels);
        if !next.more {
            break;
        }
    }
    assert!(parcels.len() <= 2, "{}", parcels.len());
    assert!(parcels.iter().all(|parcel| parcel.puts().is_empty()));
    // The next that is one begins where the host was told to be.
    home.put(comment(41, 1, "for you"));
    parcels.extend(link.next(&home.store).unwrap().parcels);
    for parcel in &parcels {
        host.lay(&home, parcel).await.unwrap();
    }
    host.check(&home);
}

#[tokio::test]
async fn a_snapshot_that_is_cut_goes_on_where_it_was() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    home.put(item(21, ada(), 2, ItemState::Pending));
    write(&home.store, |tx| {
        for n in 0..4_500_u32 {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&n.to_be_bytes());
            let on = u8::try_from(n % 3).unwrap_or_default() + 1;
            tx.put(&Comment { id: TypedId::from_bytes(key), ..comment(0, on, "many") })?;
        }
        Ok(())
    });
    home.put(session(60, ada()));
    home.put(run(60, ada(), 4, RunState::Running));
    home.put(SessionEvent { session: id(60), n: 0, ..SessionEvent::sample() });
    let mut cuts = 0;
    while !matches!(host.mirror.standing().unwrap(), Standing::Following(..)) {
        host.take(&home, 1).await;
        // One task comes, one goes, a run ends, and what was read already changes.
        match cuts {
            0 => home.put(item(22, ada(), 3, ItemState::Pending)),
            1 => {
                home.put(item(21, ada(), 2, ItemState::Done));
                home.put(run(60, ada(), 4, RunState::Ended));
            }
            2 => home.put(Task { title: "Another title".into(), ..task(1) }),
            _ => {}
        }
        cuts += 1;
        assert!(cuts < 40, "it comes to an end");
    }
    assert!(2 < cuts, "{cuts} pieces");
    host.follow(&home).await;
    assert_eq!(host.get::<Task>(id(1)).unwrap().title, "Another title");
    assert!(host.get::<Task>(id(2)).is_none() && host.get::<Task>(id(3)).is_some());
}

#[tokio::test]
async fn an_agent_that_comes_brings_its_rows_and_one_that_leaves_takes_them() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, bob(), 2, ItemState::Pending));
    home.put(page(32, Scope::Agent, vec![bob()]));
    home.put(Halt { of: HaltOf::Agent(bob()), ..Halt::sample() });
    host.follow(&home).await;
    assert_eq!((host.count::<Task>(), host.count::<Knowledge>(), host.count::<Halt>()), (0, 0, 0));
    home.bind([ada(), bob()]);
    host.follow(&home).await;
    assert_eq!((host.count::<Task>(), host.count::<Knowledge>(), host.count::<Halt>()), (1, 1, 1));
    assert!(!host.get::<Agent>(bob()).unwrap().role.is_empty());
    home.bind([ada()]);
    host.follow(&home).await;
    assert_eq!((host.count::<Task>(), host.count::<Knowledge>(), host.count::<Halt>()), (0, 0, 0));
    assert!(host.get::<Agent>(bob()).unwrap().role.is_empty());
}

#[tokio::test]
async fn what_came_before_is_not_laid_again_and_a_gap_is_refused() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    host.follow(&home).await;
    home.put(comment(10, 1, "one"));
    host.follow(&home).await;
    let old = host.last.clone();
    home.delete::<Comment>(id(10));
    host.follow(&home).await;
    for parcel in &old {
        assert!(host.lay(&home, parcel).await.unwrap().again);
    }
    host.check(&home);
    let Parcel::Step(step) = host.step(&[ada()], Vec::new(), Vec::new()) else { unreachable!() };
    let later = Parcel::Step(Step { from: step.from + 5, to: step.to + 5, ..step.clone() });
    assert!(matches!(host.lay(&home, &later).await, Err(MirrorError::Gap)));
    let other = Parcel::Step(Step { life: step.life ^ 1, ..step });
    assert!(matches!(host.lay(&home, &other).await, Err(MirrorError::Gap)));
}

#[tokio::test]
async fn a_home_that_sends_what_the_host_must_not_have_is_refused() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(item(20, ada(), 1, ItemState::Pending));
    host.follow(&home).await;
    let before = digests(host.mirror.store()).unwrap();
    let row = |at: At, row: Vec<u8>| Put { at, row };
    let torn = row(At { table: INBOX.number, key: vec![9; 16] }, vec![1; 30]);
    let elsewhere = At { table: LABELS.number, key: vec![8; 16] };
    let elsewhere = row(elsewhere, sent(&Label::sample(), 3).row);
    let bad = [
        ("a table off the list", sent(&Usage::sample(), 3)),
        ("a table that is not there", row(At { table: 999, key: vec![1] }, vec![1; 30])),
        ("bytes that are no row", torn),
        ("the bytes of another row", elsewhere),
        ("more of a member than the names", sent(&Member::sample(), 3)),
        ("more of another agent than the card", sent(&agent(2), 3)),
        ("an item of another agent", sent(&item(50, bob(), 1, ItemState::Pending), 3)),
        ("a list of hosts of another agent", {
            sent(&Reach { of: ReachOf::Agent(bob()), hosts: Vec::new() }, 3)
        }),
        ("a comment on a task that is not here", sent(&comment(51, 4, "far"), 3)),
        ("a run of another agent", sent(&run(52, bob(), 1, RunState::Running), 3)),
        ("a conversation of another agent", sent(&session(53, bob()), 3)),
        ("knowledge of another agent", sent(&page(54, Scope::Agent, vec![bob()]), 3)),
        ("a row as the host writes its own", sent(&comment(55, 1, "mine"), 0)),
    ];
    for (what, put) in bad {
        // What comes with it is not laid either.
        let good = sent(&comment(60, 1, "good"), 3);
        let parcel = host.step(&[ada()], Vec::new(), vec![good, put]);
        let laid = host.mirror.lay([ada()].into(), parcel).await;
        assert!(matches!(laid, Err(MirrorError::Refused { .. })), "{what}: {laid:?}");
        assert_eq!(digests(host.mirror.store()).unwrap(), before, "{what}");
    }
    let off = Gone::Row(At { table: 77, key: vec![7; 16] });
    let laid = host.mirror.lay([ada()].into(), host.step(&[ada()], vec![off], Vec::new())).await;
    assert!(matches!(laid, Err(MirrorError::Refused { .. })), "{laid:?}");
    let laid = host.mirror.lay([ada()].into(), host.step(&[eve()], Vec::new(), Vec::new())).await;
    assert!(matches!(laid, Err(MirrorError::Refused { .. })), "{laid:?}");
    let many = vec![sent(&comment(60, 1, "good"), 3); 1_001];
    let laid = host.mirror.lay([ada()].into(), host.step(&[ada()], Vec::new(), many)).await;
    assert!(matches!(laid, Err(MirrorError::Unreadable(_))), "{laid:?}");
    assert!(Parcel::decode(&[7; 40]).is_err());
    assert!(Parcel::decode(&vec![0; 2 << 20]).is_err());
    assert_eq!(digests(host.mirror.store()).unwrap(), before);
}

#[tokio::test]
async fn a_run_that_the_host_leads_goes_on_ahead_of_home() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(session(60, ada()));
    home.put(run(60, ada(), 1, RunState::Running));
    host.follow(&home).await;
    let (run_at, talk_at) = (At::of::<Run>(id(60)), At::of::<Session>(id(60)));
    host.led.lock().unwrap().extend([run_at.clone(), talk_at.clone()]);
    let own = SessionEvent { session: id(60), run: Some(id(60)), n: 0, ..SessionEvent::sample() };
    let ahead = Run { steps: 9, ..run(60, ada(), 1, RunState::Running) };
    write(host.mirror.store(), move |tx| {
        tx.put(&ahead)?;
        tx.put(&own)
    });
    // Home is behind, and says something of its own besides.
    home.put(Run { steps: 4, ..run(60, ada(), 1, RunState::Running) });
    home.put(comment(10, 1, "meanwhile"));
    assert!(host.take(&home, usize::MAX).await);
    assert_eq!(host.get::<Run>(id(60)).unwrap().steps, 9);
    assert_eq!((host.count::<SessionEvent>(), host.count::<Comment>()), (1, 1));

    // It ended at home: what the host leads stays until it lets go.
    home.put(run(60, ada(), 1, RunState::Ended));
    let next = host.link.as_mut().unwrap().next(&home.store).unwrap();
    let mut kept = Vec::new();
    for parcel in &next.parcels {
        kept.extend(host.lay(&home, parcel).await.unwrap().kept);
    }
    assert!(kept.contains(&run_at) && kept.contains(&talk_at), "{kept:?}");
    assert_eq!((host.count::<Run>(), host.count::<SessionEvent>()), (1, 1));
    host.led.lock().unwrap().clear();
    for root in kept {
        host.mirror.let_go(root).await.unwrap();
    }
    assert_eq!((host.count::<Run>(), host.count::<SessionEvent>()), (0, 0));
    host.follow(&home).await;
}

#[tokio::test]
async fn a_root_that_was_let_go_comes_again_whole() {
    let (home, mut host) = (Home::new(), Host::new());
    home.put(session(60, ada()));
    home.put(run(60, ada(), 1, RunState::Running));
    home.put(SessionEvent { session: id(60), run: None, n: 0, ..SessionEvent::sample() });
    host.follow(&home).await;
    let talk = At::of::<Session>(id(60));
    assert_eq!(host.mirror.let_go(talk.clone()).await.unwrap(), 2);
    assert_eq!(host.count::<SessionEvent>(), 0);
    host.link.as_mut().unwrap().again(&talk);
    host.follow(&home).await;
    assert_eq!(host.count::<SessionEvent>(), 1);
    // The same when the link is new.
    host.mirror.let_go(talk).await.unwrap();
    host.cut();
    host.follow(&home).await;
    assert_eq!(host.count::<SessionEvent>(), 1);
}

/// One thing that happens at home or to the link.
#[derive(Clone, Copy, Debug)]
struct Act(u8, u8, u8);

fn act() -> impl Strategy<Value = Act> {
    (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(what, one, other)| Act(what, one, other))
}

/// Does one thing at home.
fn happens(home: &Home, Act(what, one, other): Act) {
    let task_n = one % TASKS + 1;
    let whose: AgentId = id(other % AGENTS + 1);
    let has_task = home.has::<Task>(id(task_n));
    match what % 20 {
        0 if has_task => home.delete::<Task>(id(task_n)),
        0..=2 => home.put(Task {
            title: format!("Title {other}"),
            stream: other.is_multiple_of(2).then(|| Stream::sample().id),
            ..task(task_n)
        }),
        3..=5 if has_task => home.put(comment(100 + other % 9, task_n, &format!("{one} {other}"))),
        6 => home.delete::<Comment>(id(100 + other % 9)),
        7..=9 if has_task => {
            let state = if one.is_multiple_of(3) { ItemState::Done } else { ItemState::Pending };
            home.put(item(50 + other % 6, id(other % 6 % AGENTS + 1), task_n, state));
        }
        10 => home.delete::<Item>(id(50 + other % 6)),
        11 | 12 => {
            let n = 60 + other % 4;
            let agent = id(n % AGENTS + 1);
            let state = if one.is_multiple_of(2) { RunState::Ended } else { RunState::Running };
            home.put(session(n, agent));
            home.put(run(n, agent, task_n, state));
            if !home.has::<SessionEvent>((id(n), u32::from(one))) {
                let event =
                    SessionEvent { session: id(n), n: one.into(), ..SessionEvent::sample() };
                home.put(event);
            }
        }
        13 | 14 => {
            let n = 130 + other % 5;
            let scope = match one % 3 {
                0 => Scope::Library,
                1 => Scope::Agent,
                _ => Scope::Workspace,
            };
            let agents = if scope == Scope::Agent { vec![whose] } else { Vec::new() };
            home.put(page(n, scope, agents));
            home.put(body(n, &format!("words {one}")));
        }
        15 => home.delete::<Knowledge>(id::<KnowledgeId>(130 + other % 5)),
        16 => home.put(Agent { description: format!("for {one}"), ..agent(other % AGENTS + 1) }),
        17 if one.is_multiple_of(2) => home.delete::<Halt>(HaltOf::Agent(whose)),
        17 => home.put(Halt { of: HaltOf::Agent(whose), ..Halt::sample() }),
        18 => home.put(Member {
            handle: format!("m{other}"),
            email: CANARY.into(),
            ..Member::sample()
        }),
        _ => home.bind([ada(), bob()].into_iter().take(usize::from(one % 3))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_host_has_its_scope_whatever_happens(
        acts in proptest::collection::vec((act(), any::<u8>()), 1..70)
    ) {
        let runtime = runtime();
        runtime.block_on(async {
            let (home, mut host) = (Home::new(), Host::new());
            for (act, link) in acts {
                happens(&home, act);
                match link % 8 {
                    // Nothing comes for a while.
                    0 | 1 => {}
                    // It is cut in the middle.
                    2 => {
                        host.take(&home, usize::from(link / 8 % 3)).await;
                    }
                    // The host begins anew, or comes back.
                    3 => host.cut(),
                    4 => {
                        let new = Have::default();
                        let link = Shipper::new(&home.store, host_id(), home.bound(), new);
                        host.link = Some(link.unwrap());
                    }
                    // What came is sent once more. What has been unbound since is refused, as it should be.
                    5 => {
                        host.follow(&home).await;
                        for parcel in &host.last.clone() {
                            match host.lay(&home, parcel).await {
                                Ok(_) | Err(MirrorError::Refused { .. } | MirrorError::Gap) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        host.cut();
                    }
                    _ => host.follow(&home).await,
                }
            }
            host.cut();
            host.follow(&home).await;
            // An old task is in nobody's scope without a reason.
            let roots = home.roots();
            let tasks: Vec<TaskId> = (1..=TASKS).map(id).collect();
            for task in tasks {
                assert_eq!(host.get::<Task>(task).is_some(), roots.has(&At::of::<Task>(task)));
            }
            assert_eq!(host.count::<Run>(), roots.iter().filter(|at| at.table == RUNS.number).count());
        });
    }
}
