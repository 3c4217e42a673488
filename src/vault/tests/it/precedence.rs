//! What an agent has, compared with a model of it, after acts in any order.

use std::collections::{BTreeMap, BTreeSet};

use crypto::keyring::Sealed;
use kernel::{AgentId, TypedId as _};
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

const KEYS: [&str; 3] = ["A", "B", "C"];
const AGENTS: usize = 3;

/// What an act does.
type Body = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<SecretId, VaultError> + Send>;

/// An act of a person.
#[derive(Clone, Debug)]
enum Act {
    Add { key: usize, who: BTreeSet<usize> },
    Move { which: usize, who: BTreeSet<usize> },
    Remove(usize),
    Restore(usize),
}

/// What the model knows of a secret; nobody named means all agents.
#[derive(Clone, Debug)]
struct Known {
    id: SecretId,
    key: usize,
    who: BTreeSet<usize>,
    is_removed: bool,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = || prop::collection::btree_set(0..AGENTS, 0..=AGENTS);
    let act = prop_oneof![
        4 => (0..KEYS.len(), who()).prop_map(|(key, who)| Act::Add { key, who }),
        1 => (0..40_usize, who()).prop_map(|(which, who)| Act::Move { which, who }),
        2 => (0..40_usize).prop_map(Act::Remove),
        1 => (0..40_usize).prop_map(Act::Restore),
    ];
    prop::collection::vec(act, 1..40)
}

/// Whether nobody else has the variable for one of these, or for all.
fn is_free(all: &[Known], one: &Known) -> bool {
    let clashes = |other: &&Known| {
        let shares = other.who.is_empty() && one.who.is_empty() || !other.who.is_disjoint(&one.who);
        other.id != one.id && !other.is_removed && other.key == one.key && shares
    };
    all.iter().find(clashes).is_none()
}

/// What an agent has by the model.
fn held(all: &[Known], agent: usize) -> BTreeMap<String, SecretId> {
    let mut held = BTreeMap::new();
    let live = || all.iter().filter(|one| !one.is_removed);
    for one in live().filter(|one| one.who.is_empty()) {
        held.insert(KEYS[one.key].to_owned(), one.id);
    }
    for one in live().filter(|one| one.who.contains(&agent)) {
        held.insert(KEYS[one.key].to_owned(), one.id);
    }
    held
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
async fn an_agents_own_stands_before_that_of_all_whatever_happened() {
    let hq = TestHq::start().await;
    let mut agents = Vec::new();
    for name in ["Ada", "Otto", "Juno"] {
        agents.push(work::agent(&hq, name).await.id);
    }
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let tried = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config::with_cases(40));
        runner.run(&acts(), |acts| {
            let write = |body: Body| ws.store.write_blocking(who.0, who.1, body);
            let scope = |named: &BTreeSet<usize>| match named.is_empty() {
                true => Scope::Workspace,
                false => Scope::Agents(named.iter().map(|n| agents[*n]).collect()),
            };
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
                    _ => {}
                }
            }
            for (n, agent) in agents.iter().enumerate() {
                prop_assert_eq!(of_store(&ws, *agent), held(&all, n));
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
