//! Compares the secrets that an agent has with a model, after random actions.

use std::collections::{BTreeMap, BTreeSet};

use crypto::keyring::Sealed;
use gateways::model::{AgentPlace, local};
use kernel::{AgentId, GatewayId, TypedId as _};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::WriteTx;
use support::hq::TestHq;
use support::work;
use vault::error::VaultError;
use vault::model::{Category, Scope, SecretId};
use vault::queries;
use vault::rules::{self, NewSecret, Patch};
use vault::values::NewValue;

use super::common::gateway;

const KEYS: [&str; 3] = ["A", "B", "C"];
const AGENTS: usize = 3;
/// This machine and two others.
const GATEWAYS: usize = 3;

type Body = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<SecretId, VaultError> + Send>;

#[derive(Clone, Debug)]
enum Whom {
    All,
    Gateway(usize),
    Agents(BTreeSet<usize>),
}

#[derive(Clone, Debug)]
enum Act {
    Add { key: usize, who: Whom },
    Move { which: usize, who: Whom },
    Remove(usize),
    Restore(usize),
    Place { agent: usize, gateway: usize },
}

/// The model's record of a secret.
#[derive(Clone, Debug)]
struct Known {
    id: SecretId,
    key: usize,
    who: Whom,
    is_removed: bool,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = || {
        prop_oneof![
            1 => Just(Whom::All),
            1 => (0..GATEWAYS).prop_map(Whom::Gateway),
            2 => prop::collection::btree_set(0..AGENTS, 1..=AGENTS).prop_map(Whom::Agents),
        ]
    };
    let act = prop_oneof![
        2 => (0..AGENTS, 0..GATEWAYS).prop_map(|(agent, gateway)| Act::Place { agent, gateway }),
        4 => (0..KEYS.len(), who()).prop_map(|(key, who)| Act::Add { key, who }),
        1 => (0..40_usize, who()).prop_map(|(which, who)| Act::Move { which, who }),
        2 => (0..40_usize).prop_map(Act::Remove),
        1 => (0..40_usize).prop_map(Act::Restore),
    ];
    prop::collection::vec(act, 1..40)
}

/// Whether no other secret holds the variable for the same owner.
fn is_free(all: &[Known], one: &Known) -> bool {
    let clashes = |other: &&Known| {
        let shares = match (&other.who, &one.who) {
            (Whom::All, Whom::All) => true,
            (Whom::Gateway(a), Whom::Gateway(b)) => a == b,
            (Whom::Agents(a), Whom::Agents(b)) => !a.is_disjoint(b),
            _ => false,
        };
        other.id != one.id && !other.is_removed && other.key == one.key && shares
    };
    all.iter().find(clashes).is_none()
}

/// The agent's secrets by the model: workspace, overridden by gateway, overridden by its own.
fn held(all: &[Known], agent: usize, at: usize) -> BTreeMap<String, SecretId> {
    let mut held = BTreeMap::new();
    let live = || all.iter().filter(|one| !one.is_removed);
    let of_all = live().filter(|one| matches!(one.who, Whom::All));
    let of_gateway = live().filter(|one| matches!(one.who, Whom::Gateway(of) if of == at));
    let own =
        live().filter(|one| matches!(&one.who, Whom::Agents(agents) if agents.contains(&agent)));
    for one in of_all.chain(of_gateway).chain(own) {
        held.insert(KEYS[one.key].to_owned(), one.id);
    }
    held
}

/// This machine and two others.
async fn machines(hq: &TestHq) -> Vec<GatewayId> {
    let mut all = vec![local()];
    for n in 1..GATEWAYS {
        all.push(gateway(hq, &format!("Box {n}"), &format!("box-{n}")).await);
    }
    all
}

fn new(key: usize, scope: Scope) -> NewSecret {
    NewSecret {
        name: KEYS[key].to_owned(),
        key: Some(KEYS[key].to_owned()),
        category: Category::User,
        plain: false,
        value: NewValue {
            sealed: Sealed::from_stored("enc:v1:none"),
            key_id: "none".to_owned(),
            is_short: false,
        },
        patch: Patch { scope: Some(scope), ..Patch::default() },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_own_stands_before_that_of_its_gateway_and_that_of_all_whatever_happened() {
    let hq = TestHq::start().await;
    let mut agents = Vec::new();
    for name in ["Ada", "Otto", "Juno"] {
        agents.push(work::agent(&hq, name).await.id);
    }
    let machines = machines(&hq).await;
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let tried = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config::with_cases(40));
        runner.run(&acts(), |acts| {
            let write = |body: Body| ws.store.write_blocking(who.0, who.1, body);
            let scope = |whom: &Whom| match whom {
                Whom::All => Scope::Workspace,
                Whom::Gateway(n) => Scope::Gateway(machines[*n]),
                Whom::Agents(named) => Scope::Agents(named.iter().map(|n| agents[*n]).collect()),
            };
            let place = |agent: usize, gateway: usize| {
                let (agent, to) = (agents[agent], machines[gateway]);
                let body = move |tx: &mut WriteTx<'_>| match to == local() {
                    true => tx.delete::<AgentPlace>(agent).map(drop),
                    false => tx.put(&AgentPlace { agent, gateway: to }),
                };
                ws.store.write_blocking(who.0, who.1, body).expect("a place");
            };
            let mut places = [0; AGENTS];
            (0..AGENTS).for_each(|agent| place(agent, 0));
            let mut all: Vec<Known> = Vec::new();
            for act in acts {
                let at = |which: usize| which % all.len().max(1);
                match act {
                    Act::Add { key, who } => {
                        let wanted = scope(&who);
                        let body = move |tx: &mut WriteTx<'_>| {
                            rules::create(tx, new(key, wanted)).map(|one| one.id)
                        };
                        let made = write(Box::new(body));
                        let id = made.as_ref().copied().unwrap_or(SecretId::from_bytes([0; 16]));
                        let one = Known { id, key, who, is_removed: false };
                        prop_assert_eq!(made.is_ok(), is_free(&all, &one));
                        all.extend(made.is_ok().then_some(one));
                    }
                    Act::Move { which, who } if !all.is_empty() => {
                        let n = at(which);
                        let moved = Known { who, ..all[n].clone() };
                        let patch = Patch { scope: Some(scope(&moved.who)), ..Patch::default() };
                        let id = moved.id;
                        let done = write(Box::new(move |tx| {
                            rules::change(tx, id, patch).map(|one| one.id)
                        }));
                        prop_assert_eq!(done.is_ok(), !moved.is_removed && is_free(&all, &moved));
                        if done.is_ok() {
                            all[n] = moved;
                        }
                    }
                    Act::Remove(which) if !all.is_empty() => {
                        let n = at(which);
                        let id = all[n].id;
                        let done =
                            write(Box::new(move |tx| rules::remove(tx, id).map(|one| one.id)));
                        prop_assert_eq!(done.is_ok(), !all[n].is_removed);
                        all[n].is_removed = true;
                    }
                    Act::Restore(which) if !all.is_empty() => {
                        let n = at(which);
                        let id = all[n].id;
                        let back = Known { is_removed: false, ..all[n].clone() };
                        let done =
                            write(Box::new(move |tx| rules::restore(tx, id).map(|one| one.id)));
                        prop_assert_eq!(done.is_ok(), is_free(&all, &back) || !all[n].is_removed);
                        if done.is_ok() {
                            all[n] = back;
                        }
                    }
                    Act::Place { agent, gateway } => {
                        place(agent, gateway);
                        places[agent] = gateway;
                    }
                    _ => {}
                }
            }
            for (n, agent) in agents.iter().enumerate() {
                prop_assert_eq!(of_store(&ws, *agent), held(&all, n, places[n]));
            }
            for one in all.iter().filter(|one| !one.is_removed) {
                let id = one.id;
                write(Box::new(move |tx| rules::remove(tx, id).map(|one| one.id)))
                    .expect("removed");
            }
            Ok(())
        })
    });
    tried.await.expect("it ends").expect("the model and the store agree");
    hq.finish().await;
}

fn of_store(ws: &app::Ws, agent: AgentId) -> BTreeMap<String, SecretId> {
    let held = ws.read(|snap| queries::held(snap, agent)).expect("a readable store");
    held.into_iter().map(|held| (held.secret.key, held.secret.id)).collect()
}
