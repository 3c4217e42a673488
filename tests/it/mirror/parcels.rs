//! Replication parcels: snapshots and steps that are truncated, repeated, or contain forbidden data.

use features::agents::model::{Reach, ReachOf};
use features::comments::model::Comment;
use features::inbox::model::INBOX;
use features::runs::model::SessionEvent;
use features::tasks::model::Task;
use features::tasks::model::label::{LABELS, Label};
use features::usage::model::Usage;
use features::workspace::model::Member;
use kernel::{ItemState, RunState, TypedId};
use knowledge::model::Scope;
use mirror::{At, Gone, MirrorError, Parcel, Put, Shipper, Standing, Step, digests};
use store::Record as _;

use super::{
    Home, Host, ada, agent, bob, comment, eve, host_id, id, item, page, run, sent, session, task,
    write,
};

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
    // The next cursor parcel begins at the cursor that the host received.
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
        // One task arrives, one goes, a run ends, and records that were already read change.
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
        assert!(host.lay(&home, parcel).await.unwrap().is_repeated);
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
        // The rest of the parcel is not applied either.
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
