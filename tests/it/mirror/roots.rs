//! What enters and leaves a host: tasks, agents, runs that it leads.

use features::agents::model::Agent;
use features::comments::model::{Comment, Reaction};
use features::places::Place;
use features::runs::model::{Halt, HaltOf, Run, Session, SessionEvent};
use features::tasks::model::Task;
use features::tasks::model::label::TaskLabel;
use kernel::{ItemState, RunState};
use knowledge::model::{Item as Knowledge, Scope};
use mirror::At;
use store::Record as _;

use super::{Home, Host, ada, bob, comment, id, item, page, run, session, write};

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

    // While the link is cut, one record leaves the scope and one returns.
    host.cut();
    home.put(item(22, ada(), 1, ItemState::Pending));
    home.delete::<Task>(id(2));
    host.follow(&home).await;
    assert!(host.get::<Task>(id(1)).is_some() && host.get::<Task>(id(2)).is_none());
    assert_eq!((host.count::<Comment>(), host.count::<Reaction>()), (1, 1));
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
    // The primary is behind, and has a change of its own.
    home.put(Run { steps: 4, ..run(60, ada(), 1, RunState::Running) });
    home.put(comment(10, 1, "meanwhile"));
    assert!(host.take(&home, usize::MAX).await);
    assert_eq!(host.get::<Run>(id(60)).unwrap().steps, 9);
    assert_eq!((host.count::<SessionEvent>(), host.count::<Comment>()), (1, 1));

    // The run ended on the primary: the records that the host leads stay until it releases them.
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
    host.link.as_mut().unwrap().resend(&talk);
    host.follow(&home).await;
    assert_eq!(host.count::<SessionEvent>(), 1);
    // The same on a new link.
    host.mirror.let_go(talk).await.unwrap();
    host.cut();
    host.follow(&home).await;
    assert_eq!(host.count::<SessionEvent>(), 1);
}
