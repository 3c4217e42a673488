//! Managers on a real store with the real rules: no change ever makes a cycle.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};

use features::agents::model::Agent;
use features::agents::queries::lines;
use features::agents::rules::AgentError;
use features::agents::rules::{Changes, archive, restore, update};
use features::workspace::model::Member;
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{AccountId, AgentId, Manager};
use kernel::{Actor, Cause, Part, Problem as _, TypedId as _};
use store::{NoFaults, Options, Range, Record, Store};
use store::{ReadExt, WriteTx};

const AGENTS: u8 = 7;
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);

struct Bench {
    store: Store,
    _folder: tempfile::TempDir,
}

fn id(n: u8) -> AgentId {
    AgentId::from_bytes([0x40 + n; 16])
}

fn mira() -> AccountId {
    AccountId::from_bytes([1; 16])
}

impl Bench {
    /// Agents that all report to one person.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: server::schema::workspace(),
            cache: 1 << 20,
            clock: Arc::new(ManualClock::at(from_ms(1_795_000_000_000))),
            ids: Arc::new(SeededIds::new(7)),
            reactor: Some(Arc::new(server::reactions::react)),
            faults: Arc::new(NoFaults),
        })
        .unwrap();
        let bench = Self { store, _folder: folder };
        let made = bench.write(|tx| {
            tx.put(&Member { account: mira(), left_at: None, ..Member::sample() })?;
            for n in 0..AGENTS {
                tx.put(&Agent {
                    id: id(n),
                    slug: format!("agent-{n}"),
                    name: format!("Agent {n}"),
                    connection: None,
                    model: None,
                    reports_to: Some(Manager::Person(mira())),
                    ..Agent::sample()
                })?;
            }
            Ok::<_, AgentError>(())
        });
        made.unwrap();
        bench
    }

    fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        self.store.write_blocking(BY.0, BY.1, body)
    }

    fn under(&self, agent: u8, to: Option<Manager>) -> Result<Agent, AgentError> {
        let changes = Changes { reports_to: Some(to), ..Changes::default() };
        self.write(move |tx| update(tx, id(agent), None, changes))
    }

    fn agent(&self, n: u8) -> Agent {
        self.store.read(|snap| snap.get::<Agent>(id(n))).unwrap().unwrap()
    }

    fn all(&self) -> Vec<Agent> {
        self.store.read(|snap| snap.list::<Agent>(&Range::all())).unwrap()
    }

    fn is_below(&self, agent: u8, chief: u8) -> bool {
        self.store.read(|snap| lines::is_below(snap, id(agent), id(chief))).unwrap()
    }
}

/// Managers of an agent, from the records alone; panics on a cycle.
fn walk(all: &[Agent], from: &Agent) -> Vec<AgentId> {
    let mut seen = HashSet::from([from.id]);
    let mut line = Vec::new();
    let mut at = from.reports_to;
    while let Some(Manager::Agent(above)) = at {
        assert!(seen.insert(above), "a circle above {}", from.name);
        line.push(above);
        at = all.iter().find(|agent| agent.id == above).expect("it is there").reports_to;
    }
    line
}

/// An action of a person.
#[derive(Clone, Copy, Debug)]
enum Act {
    Under(u8, u8),
    ToPerson(u8),
    ToNobody(u8),
    Archive(u8),
    Restore(u8),
}

fn act() -> impl Strategy<Value = Act> {
    (0..8_u8, 0..AGENTS, any::<u8>()).prop_map(|(what, agent, other)| match what {
        0..=3 => Act::Under(agent, other % AGENTS),
        4 => Act::ToPerson(agent),
        5 => Act::ToNobody(agent),
        6 => Act::Archive(agent),
        _ => Act::Restore(agent),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_changes_makes_a_circle(acts in proptest::collection::vec(act(), 1..40)) {
        let bench = Bench::new();
        for act in acts {
            match act {
                Act::Under(agent, other) => {
                    let before = bench.agent(agent);
                    let same = before.reports_to == Some(Manager::Agent(id(other)));
                    let away = bench.agent(other).archived_at.is_some();
                    let circle = agent == other || bench.is_below(other, agent);
                    let done = bench.under(agent, Some(Manager::Agent(id(other))));
                    prop_assert_eq!(done.is_ok(), same || !(away || circle), "{:?}", done);
                    if done.is_err() {
                        prop_assert_eq!(bench.agent(agent), before);
                    }
                }
                Act::ToPerson(agent) => {
                    bench.under(agent, Some(Manager::Person(mira()))).unwrap();
                }
                Act::ToNobody(agent) => {
                    bench.under(agent, None).unwrap();
                }
                Act::Archive(agent) => {
                    bench.write(move |tx| archive(tx, id(agent))).unwrap();
                }
                Act::Restore(agent) => {
                    bench.write(move |tx| restore(tx, id(agent))).unwrap();
                }
            }
            let all = bench.all();
            for agent in &all {
                let line = walk(&all, agent);
                let known = bench.store.read(|snap| lines::above(snap, agent.id)).unwrap();
                let known: Vec<AgentId> = known.into_iter().map(|one| one.id).collect();
                prop_assert_eq!(&line, &known);
                // No active agent reports to an archived one.
                let archived = |id: &AgentId| {
                    all.iter().any(|one| one.id == *id && one.archived_at.is_some())
                };
                if agent.archived_at.is_none() {
                    prop_assert!(!line.iter().any(archived), "{} answers to nobody at work", agent.name);
                }
            }
        }
    }
}

#[test]
fn who_reported_to_an_agent_that_goes_reports_to_whom_it_reported() {
    let bench = Bench::new();
    bench.under(1, Some(Manager::Agent(id(0)))).unwrap();
    bench.under(2, Some(Manager::Agent(id(1)))).unwrap();
    bench.under(3, Some(Manager::Agent(id(1)))).unwrap();
    let line = bench.store.read(|snap| lines::below(snap, id(0))).unwrap();
    let line: Vec<AgentId> = line.iter().map(|agent| agent.id).collect();
    assert_eq!(line, [id(1), id(2), id(3)]);
    let first = bench.store.read(|snap| lines::first_person(snap, id(3))).unwrap();
    assert_eq!(first, Some(mira()));

    bench.write(|tx| archive(tx, id(1))).unwrap();
    for n in [2, 3] {
        assert_eq!(bench.agent(n).reports_to, Some(Manager::Agent(id(0))));
    }
    bench.write(|tx| archive(tx, id(0))).unwrap();
    assert_eq!(bench.agent(3).reports_to, Some(Manager::Person(mira())));
    // A restored agent reports to the nearest remaining manager of its line.
    bench.write(|tx| restore(tx, id(1))).unwrap();
    assert_eq!(bench.agent(1).reports_to, Some(Manager::Person(mira())));
    let left = bench.store.read(|snap| lines::below(snap, id(1))).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let bench = Bench::new();
    bench.under(1, Some(Manager::Agent(id(0)))).unwrap();
    bench.under(2, Some(Manager::Agent(id(1)))).unwrap();
    let refused = |agent, to| bench.under(agent, Some(to)).unwrap_err();
    assert_eq!(refused(0, Manager::Agent(id(0))).code(), "manager_self");
    let circle = refused(0, Manager::Agent(id(2)));
    assert_eq!(circle.code(), "manager_circle");
    assert_eq!(circle.fields()[0].field, "reports_to");
    assert!(circle.to_string().contains("Agent 2 already reports to Agent 0"), "{circle}");
    assert_eq!(refused(0, Manager::Agent(id(60))).code(), "manager_not_found");
    let nobody = AccountId::from_bytes([9; 16]);
    assert_eq!(refused(0, Manager::Person(nobody)).code(), "manager_not_found");
    bench.write(|tx| archive(tx, id(3))).unwrap();
    assert_eq!(refused(0, Manager::Agent(id(3))).code(), "agent_state");
}
