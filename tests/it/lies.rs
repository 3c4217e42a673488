//! A malicious host: claims about runs, conversations, files and tools of others are rejected, recorded and harmless.
//! The host is made of the link's client with an admitted machine.

use app::upstream::{Aside, Missing, Wanted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use features::agents::model::Agent;
use features::runs::model::{EventKind, Run};
use features::usage::model::Reservation;
use features::usage::rules::Spent;
use gateways::model::Status;
use gateways::{queries, rules};
use kernel::{Actor, Cause, ConnectionId, Outcome, Part, ReservationId, RunId, TypedId as _};
use link::frame::{Ack, Command as Said, Feed, Frame, Outcome as Heard, Running};
use providers::model::Usage;
use runtime::command::calls::{Booked, CallFailed, CallPaid, CutOff, Paid, ReviewBooked};
use runtime::command::journal::Append;
use runtime::command::orders::{Pruned, RunEnded, RunWoken};
use runtime::command::{Command, CommandHeader, ControlCommand, JournalCommand};
use serde_json::{Value, json};
use store::BlobId;
use support::model::Gate;
use support::office::Office;

use super::away::done;
use super::hosts::{Host, Talk, joins, print, token, until};

/// Actor of a host's engine.
const ENGINE: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Canary in all false claims.
const LIE: &str = "the-lie-that-nobody-reads";
const NOT_YOURS: &str = "not_yours";
/// Largest file accepted from a host.
const LONGEST: u64 = 256 << 20;

/// A primary with two working agents: one on the malicious machine, one on the primary.
struct Scene {
    office: Office,
    talk: Talk,
    said: u64,
    ada: Agent,
    bob: Agent,
    /// A run of Ada's, given to the machine.
    own: Run,
    /// A run of Bob's on the primary, blocked until the gate opens.
    theirs: Run,
    gate: Gate,
}

impl Scene {
    async fn set() -> Self {
        let office = Office::open().await;
        let (ada, bob) = (office.agent("Ada").await, office.agent("Bob").await);
        let (hq, ws) = (&office.hq, office.ws());
        let ((token, _), print, host) = (token(hq, "GPU box").await, print(hq).await, Host::new());
        let (mut talk, _) = host.links(&hq.url(), &print, joins(&token)).await;
        let gateway = talk.admitted.gateway;
        host.catches_up(hq, &mut talk).await;
        talk.beats().await;
        let status = || ws.read(|snap| queries::gateway_by_id(snap, gateway)).expect("it").status;
        until("it is ready", async || status() == Status::Ready).await;
        let id = ada.id;
        office.act(move |tx| rules::bind(tx, id, gateway)).await;
        let gate = Gate::new();
        office.model.push(done().behind(&gate));
        let theirs = office.task("Count the wheels", &bob).await;
        gate.reached().await;
        let theirs = office.get(office.run_on(theirs.id).await);
        let own = office.task("Count the bells", &ada).await;
        let own = office.get(office.run_on(own.id).await);
        Self { office, talk, said: 0, ada, bob, own, theirs, gate }
    }

    /// Sends a message, optionally about a run; returns the primary's response or error code.
    async fn say(&mut self, about: Option<RunId>, what: Value) -> Result<Value, String> {
        self.said += 1;
        let number = self.said;
        let body = json!({ "nonce": format!("lies.{number}"), "what": what });
        let run = about.unwrap_or_else(|| RunId::from_bytes([0; 16]));
        self.talk.say(Frame::Command(Said { run, epoch: 0, number, body })).await;
        loop {
            match self.talk.next().await {
                Frame::Feed(feed) => self.talk.say(Frame::Ack(Ack { seq: feed.upto })).await,
                Frame::Answer(answer) if answer.number == number => {
                    let Heard::Done(mut body) = answer.result else { panic!("no answer") };
                    return match body["refusal"]["code"].as_str() {
                        Some(code) => Err(code.to_owned()),
                        None => Ok(body["answer"].take()),
                    };
                }
                _ => {}
            }
        }
    }

    /// A run's events as text.
    fn record_of(&self, run: RunId) -> String {
        format!("{:?}", self.office.events(run))
    }
}

fn written((by, why): (Actor, Cause), command: &Command) -> Value {
    json!({ "write": { "by": by, "why": why, "command": command } })
}

/// A journal entry of a run, as its engine would write it.
fn word(of: &Run) -> Command {
    word_at(of, None)
}

/// The same, optionally written while the link was down.
fn word_at(of: &Run, cut: Option<i64>) -> Command {
    let hand = CommandHeader {
        run: of.id,
        epoch: of.epoch,
        worked_ms: 0,
        number: of.applied + 1,
        first: None,
        decided: Vec::new(),
        judged: Vec::new(),
        cut,
    };
    let events = vec![EventKind::Notice { text: LIE.to_owned() }];
    Command::Entry { hand, line: Append { events }.into() }
}

fn order(order: impl Into<ControlCommand>) -> Value {
    written(ENGINE, &Command::Order(order.into()))
}

fn piece(id: BlobId, (offset, total): (u64, u64), data: &[u8]) -> Value {
    let data = STANDARD.encode(data);
    json!({ "piece": { "id": id, "offset": offset, "total": total, "data": data } })
}

fn look(run: RunId, name: &str) -> Value {
    json!({ "look": { "run": run, "name": name, "arguments": "{}", "step": 1, "most": 1_000 } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a_hosts_to_say_is_refused_and_told_once_and_harms_nobody() {
    let mut scene = Scene::set().await;
    let (own, theirs) = (scene.own.clone(), scene.theirs.clone());
    let (ada, bob) = (scene.ada.id, scene.bob.id);
    let as_bob = (Actor::Agent { agent: bob, run: own.id }, Cause::Timer);
    let with_theirs = (Actor::Agent { agent: ada, run: theirs.id }, Cause::Timer);
    let because = (ENGINE.0, Cause::Step(theirs.id, 1));
    let ended = RunEnded { run: theirs.id, outcome: Outcome::Done, silent: false };
    let pruned = Pruned { session: theirs.session, trimmed: 9, cleared: 9 };
    let head = "1234567890123456789012345678901234567890";
    let (one, long) = (BlobId::of(b"one"), BlobId::of(b"long"));
    let wanted = Wanted { connection: ConnectionId::from_bytes([9; 16]), refused: None };
    let missing = Missing { file: one, offset: 0 };
    let told: Vec<(&str, Option<RunId>, Value, &str)> = vec![
        ("another's run", Some(theirs.id), written(ENGINE, &word(&theirs)), NOT_YOURS),
        ("another's as its own", Some(own.id), written(ENGINE, &word(&theirs)), NOT_YOURS),
        ("its own as none", None, written(ENGINE, &word(&own)), NOT_YOURS),
        ("as another agent", Some(own.id), written(as_bob, &word(&own)), NOT_YOURS),
        ("with another's run", Some(own.id), written(with_theirs, &word(&own)), NOT_YOURS),
        ("because of another's", Some(own.id), written(because, &word(&own)), NOT_YOURS),
        ("the end of another's run", None, order(ended), NOT_YOURS),
        ("another's conversation", None, order(pruned), NOT_YOURS),
        ("what home decides", None, order(RunWoken { run: own.id }), NOT_YOURS),
        ("an order about a run", Some(own.id), order(RunWoken { run: own.id }), NOT_YOURS),
        ("a look as another", Some(theirs.id), look(theirs.id, "task_get"), NOT_YOURS),
        ("a look that writes", Some(own.id), look(own.id, "comment_add"), NOT_YOURS),
        ("a tool that is none", Some(own.id), look(own.id, "task_steal"), NOT_YOURS),
        (
            "another's files",
            None,
            json!({ "branch": { "agent": bob, "here": null, "offset": 0 } }),
            "agent_elsewhere",
        ),
        (
            "commits on another's branch",
            None,
            json!({ "commits": { "agent": bob, "pack": one, "head": head } }),
            "agent_elsewhere",
        ),
        ("a file that is another", None, piece(one, (0, 3), b"two"), NOT_YOURS),
        ("a file without its beginning", None, piece(one, (3, 6), b"two"), "gap"),
        ("a file without an end", None, piece(long, (0, u64::MAX), b"x"), "gap"),
        ("a file that is too long", None, piece(long, (0, LONGEST + 1), b"x"), "gap"),
        ("a sign-in of others", None, Aside::Access(wanted).to_json(), NOT_YOURS),
        ("a file of others", None, Aside::File(missing).to_json(), NOT_YOURS),
        ("no words", None, json!({ "what": "is this" }), "garbled"),
        ("a table", None, json!({ "rows": { "table": "secrets" } }), "garbled"),
    ];
    for (what, about, said, code) in told {
        let answer = scene.say(about, said).await;
        assert_eq!(answer, Err(code.to_owned()), "{what}");
    }

    // Nothing of it is stored, and administrators were notified once.
    for run in [own.id, theirs.id] {
        assert!(!scene.record_of(run).contains(LIE), "{}", scene.record_of(run));
    }
    let now: Run = scene.office.get(theirs.id);
    assert!(now.is_live(), "{now:?}");
    let (owner, refused) = (scene.office.hq.owner(), "Request from GPU box denied");
    let notices = async || owner.get("/api/v1/notifications").await.text;
    until("nobody is told", async || notices().await.contains(refused)).await;
    assert_eq!(notices().await.matches(refused).count(), 1, "{}", notices().await);
    let known = scene.office.ws().blobs.has(one) || scene.office.ws().blobs.has(long);
    assert!(!known, "no file of it is kept");

    // Rights of the host's own agent are unchanged.
    let seen = scene.say(Some(own.id), look(own.id, "task_get")).await.expect("its own task");
    assert!(seen["text"].as_str().is_some_and(|text| text.contains("the bells")), "{seen}");
    let off = json!({ "modules_off": ["knowledge"] });
    let set = scene.office.hq.api().await.json("PATCH", "/api/v1/settings", &off).await;
    assert!(set.status.is_success(), "{}", set.text);
    let denied = scene.say(Some(own.id), look(own.id, "knowledge_search")).await.expect("a word");
    assert_eq!(denied["is_error"], true, "{denied}");

    scene.gate.open();
    let ended = scene.office.ended(theirs.id).await;
    assert_eq!(ended.outcome, Some(Outcome::Done), "{ended:?}");
    // Messages about an ended run are rejected; that is no violation.
    let late = scene.say(Some(theirs.id), written(ENGINE, &word(&theirs))).await;
    assert_eq!(late, Err("run_fenced".to_owned()));
    // Nor is it stored as late data: that run was never on this machine.
    let cut = Some(scene.office.hq.now().as_millisecond());
    let late = scene.say(Some(theirs.id), written(ENGINE, &word_at(&theirs, cut))).await;
    assert_eq!(late, Err("run_fenced".to_owned()));
    let shown = format!("/api/v1/runs/{}", theirs.name());
    let shown = scene.office.hq.owner().get(&shown).await;
    assert!(shown.status.is_success() && !shown.text.contains(LIE), "{}", shown.text);
    let (ws, gateway) = (scene.office.ws(), scene.talk.admitted.gateway);
    drop(scene.talk);
    until("it is cut off", async || !ws.app.hosts.is_linked(ws.id, gateway)).await;
    scene.office.stop(own.id).await;
    scene.office.ended(own.id).await;
    scene.office.hq.finish().await;
}

/// Commands that settle a reservation.
fn money(of: &Run, held: ReservationId) -> Vec<Command> {
    let spent = Spent {
        connection: None,
        provider: "openai".to_owned(),
        model: LIE.to_owned(),
        tokens: Usage { input: 1, output: 1, ..Usage::default() },
        counted: true,
        billed_micros: Some(0),
        size: None,
    };
    let paid = Paid { reservation: held, spent: spent.clone(), well: None };
    let cut_off = CutOff { call: 1, reservation: held, spent: spent.clone(), piece: None };
    let failed = CallFailed {
        cut_off,
        is_free: true,
        class: "server".to_owned(),
        message: LIE.to_owned(),
        again: None,
    };
    let booked = |booked: Booked| JournalCommand::from(ReviewBooked { reservation: held, booked });
    let lines: [JournalCommand; 5] = [
        CallPaid { paid, said: None }.into(),
        failed.into(),
        booked(Booked::Answered(spent.clone())),
        booked(Booked::Lost(spent)),
        booked(Booked::Free),
    ];
    let cut = [None, Some(1_795_000_000_000)];
    let all = lines.into_iter().flat_map(|line| cut.map(|cut| (line.clone(), cut)));
    all.map(|(line, cut)| {
        let Command::Entry { hand, .. } = word_at(of, cut) else { unreachable!("an entry") };
        Command::Entry { hand, line }
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_is_held_back_for_another_is_not_a_hosts_to_settle_or_give_back() {
    let mut scene = Scene::set().await;
    let (own, theirs) = (scene.own.clone(), scene.theirs.clone());
    let of_theirs = |scene: &Scene| {
        let all: Vec<Reservation> = scene.office.all();
        all.into_iter().find(|held| held.run == Some(theirs.id)).expect("a call goes on")
    };
    let held = of_theirs(&scene);
    for command in money(&own, held.id) {
        let answer = scene.say(Some(own.id), written(ENGINE, &command)).await;
        assert_eq!(answer, Err(NOT_YOURS.to_owned()), "{command:?}");
    }
    assert_eq!(of_theirs(&scene), held, "it is held back as it was");
    assert!(scene.office.usage(theirs.id).is_empty(), "nothing was booked");
    assert_eq!(scene.office.get::<Run>(own.id).applied, own.applied);
    let (owner, refused) = (scene.office.hq.owner(), "Request from GPU box denied");
    let notices = async || owner.get("/api/v1/notifications").await.text;
    until("nobody is told", async || notices().await.contains(refused)).await;

    scene.gate.open();
    let ended = scene.office.ended(theirs.id).await;
    assert_eq!(ended.outcome, Some(Outcome::Done), "{ended:?}");
    let (ws, gateway) = (scene.office.ws(), scene.talk.admitted.gateway);
    drop(scene.talk);
    until("it is cut off", async || !ws.app.hosts.is_linked(ws.id, gateway)).await;
    scene.office.stop(own.id).await;
    scene.office.ended(own.id).await;
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_anothers_run_are_not_shown_and_what_is_homes_to_say_ends_the_link() {
    let mut scene = Scene::set().await;
    let (own, theirs, ws) = (scene.own.id, scene.theirs.id, scene.office.ws());
    let words = |run: RunId, inside: RunId| {
        let body = json!({ "run": inside, "step": 1, "kind": "text", "at": 0, "text": LIE });
        Frame::Running(Running { run, at: 0, body })
    };
    for (run, inside) in [(theirs, theirs), (own, theirs), (theirs, own)] {
        scene.talk.say(words(run, inside)).await;
    }
    // Each lane keeps its order, and commands overtake streamed text: repeated until all text has arrived.
    scene.talk.say(words(own, own)).await;
    let mut shown = None;
    while shown.is_none() {
        scene.say(None, json!("nothing")).await.expect("an answer");
        shown = ws.live.block(own);
    }
    assert_eq!(shown.expect("its own").text, LIE, "once");
    let block = ws.live.block(theirs).map(|piece| piece.text).unwrap_or_default();
    assert!(!block.contains(LIE), "{block}");

    // A host may not send feed steps.
    let feed = Feed { after: 0, upto: 1, steps: Bytes::from_static(b"steps") };
    scene.talk.say(Frame::Feed(feed)).await;
    while scene.talk.hears().await.is_ok() {}
    let gateway = scene.talk.admitted.gateway;
    until("it is cut off", async || !ws.app.hosts.is_linked(ws.id, gateway)).await;
    scene.gate.open();
    scene.office.ended(theirs).await;
    scene.office.stop(own).await;
    scene.office.ended(own).await;
    assert!(!scene.record_of(theirs).contains(LIE), "{}", scene.record_of(theirs));
    scene.office.hq.finish().await;
}
