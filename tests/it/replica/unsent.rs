//! Status of a machine with unsent writes.

use std::sync::Arc;

use app::Ws;
use app::upstream::{Answered, HostHandler};
use gateways::rules::outbox;
use kernel::id::SystemIds;
use kernel::time::SystemClock;
use kernel::{Actor, Cause, GatewayId, Part, RunId, SessionId, TypedId as _};
use replica::{Ending, Join, Pace, Parts, Replica};
use serde_json::Value;
use store::{NoFaults, Options, Store, StoreError};

use support::hq::TestHq;

use super::{Machine, invited, until};

/// Handler that receives every frame and answers none.
struct Silent;

impl HostHandler for Silent {
    fn hear(
        &self,
        _: Ws,
        _: GatewayId,
        _: Option<RunId>,
        _: [u8; 32],
        _: Value,
    ) -> Answered<'static> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_says_how_much_it_has_not_sent() {
    let hq = TestHq::start().await;
    let machine = Machine::new();
    let host = invited(&hq, &machine, Arc::new(SystemClock), Arc::new(NoFaults)).await;
    let runs = host.clone();
    let running = tokio::spawn(async move { runs.run().await });
    until("it never has all", || host.status(true).expect("a status").whole).await;
    host.end(Ending::Stopping);
    running.await.expect("no panic").expect("it was let in");
    let id = host.status(false).expect("a status").gateway.expect("it has joined");
    host.close();
    drop(host);

    let options = Options {
        path: machine.data().join("replica.redb"),
        schema: server::schema::workspace().mirrored(),
        cache: 1 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: Arc::new(NoFaults),
    };
    let mirror = Store::open(options).expect("a mirror");
    let about = (RunId::from_bytes([7; 16]), SessionId::from_bytes([8; 16]));
    let keeps = move |tx: &mut store::WriteTx<'_>| {
        outbox::keep(tx, about, b"{}")?;
        outbox::keep(tx, about, b"{}")
    };
    let by = (Actor::System(Part::Engine), Cause::Timer);
    let kept: Result<(), StoreError> = mirror.write(by.0, by.1, keeps).await;
    kept.expect("it is kept");
    mirror.close();
    drop(mirror);

    // The primary acknowledges nothing, so that data is pending while the machine sends heartbeats.
    let hosts = hq.ws().app.hosts.clone();
    hosts.are_answered_by(Some(Arc::new(Silent)));
    let parts = Parts {
        schema: server::schema::workspace,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        faults: Arc::new(NoFaults),
        pace: Pace::default(),
        begin: None,
    };
    let host = Replica::open(machine.data(), Join::default(), parts).expect("it is opened");
    assert_eq!(host.status(false).expect("a status").unsaid, 2);
    let runs = host.clone();
    let running = tokio::spawn(async move { runs.run().await });
    let unsent = || hosts.report(hq.ws().id, id).map(|report| report.unsent);
    until("home never hears of it", || unsent() == Some(2)).await;
    host.end(Ending::Stopping);
    running.await.expect("no panic").expect("it was let in");
    host.close();
    hq.finish().await;
}
