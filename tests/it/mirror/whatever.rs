//! Whatever happens on the primary and to the link, a host ends up with its scope.

use features::agents::model::Agent;
use features::comments::model::Comment;
use features::inbox::model::Item;
use features::runs::model::{Halt, HaltOf, RUNS, Run, SessionEvent};
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::workspace::model::Member;
use kernel::{AgentId, ItemState, RunState, TaskId};
use knowledge::model::{Item as Knowledge, KnowledgeId, Scope};
use mirror::{At, Have, MirrorError, Shipper};
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use store::Record as _;

use super::{
    AGENTS, CANARY, Home, Host, TASKS, ada, agent, bob, body, comment, host_id, id, item, page,
    run, runtime, session, task,
};

/// One random act on the primary or the link.
#[derive(Clone, Copy, Debug)]
struct Act(u8, u8, u8);

fn act() -> impl Strategy<Value = Act> {
    (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(what, one, other)| Act(what, one, other))
}

/// Performs an act on the primary.
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
                    // Nothing is received for a while.
                    0 | 1 => {}
                    // The link is cut during the transfer.
                    2 => {
                        host.take(&home, usize::from(link / 8 % 3)).await;
                    }
                    // The host starts with empty state, or reconnects.
                    3 => host.cut(),
                    4 => {
                        let new = Have::default();
                        let link = Shipper::new(&home.store, host_id(), home.bound(), new);
                        host.link = Some(link.unwrap());
                    }
                    // The last parcels are sent again. Those for an agent that was unbound meanwhile are refused, as
                    // intended.
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
            // Without a reason, an old task is in no host's scope.
            let roots = home.roots();
            let tasks: Vec<TaskId> = (1..=TASKS).map(id).collect();
            for task in tasks {
                assert_eq!(host.get::<Task>(task).is_some(), roots.has(&At::of::<Task>(task)));
            }
            assert_eq!(host.count::<Run>(), roots.iter().filter(|at| at.table == RUNS.number).count());
        });
    }
}
