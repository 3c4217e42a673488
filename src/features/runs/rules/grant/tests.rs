//! Messages of different senders in one conversation, on a bare store.

use std::sync::Arc;

use crate::agents::model::Agent;
use crate::connections::model::Connection;
use crate::inbox::model::Item;
use crate::runs::model::{
    Branch, Child, Context, Grant, Halt, Input, InputGrant, InputState, Outside, Park, QueueChoice,
    ReadMark, Run, Sender, SenderGrant, Session, SessionEvent, SubagentLimits, TalkChoice,
};
use crate::runs::queries::{grants, queue as reading};
use crate::runs::rules::children::{self, NewChild};
use crate::runs::rules::{self, NewInput, RunError, RunWriter, Sent, SessionSpec};
use crate::tasks::model::Task;
use crate::workspace::model::{Counter, Member, Settings};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    AccountId, Actor, Cause, Outcome, Part, Placed, QueueMode, Role, RunId, SessionId, SignInId,
    TypedId, Via,
};
use store::{NoFaults, Options, ReadExt, Record, Store, WriteTx, schema};

const HQ: Actor = Actor::System(Part::Engine);
const GUEST: Grant = Grant { sender: Sender::Guest, is_room: true };

fn mira() -> AccountId {
    AccountId::from_bytes([1; 16])
}

fn direct(account: AccountId) -> Grant {
    Grant { sender: Sender::Person(account), is_room: false }
}

fn in_room(account: AccountId) -> Grant {
    Grant { sender: Sender::Person(account), is_room: true }
}

fn on_page(account: AccountId) -> Actor {
    Actor::Person { account, via: Via::SignIn(SignInId::from_bytes([9; 16])) }
}

struct Bench {
    store: Store,
    session: SessionId,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn of(owner: Option<AccountId>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: crate::cards::tables(schema! {
                Agent, Branch, Child, Connection, Context, Counter, Halt, Input, InputGrant, Item,
                Member, Outside, Park, QueueChoice, ReadMark, Run, SenderGrant, Session,
                SessionEvent, Settings, SubagentLimits, TalkChoice, Task,
            }),
            cache: 1 << 20,
            clock: Arc::new(ManualClock::at(from_ms(1_795_000_000_000))),
            ids: Arc::new(SeededIds::new(7)),
            reactor: None,
            faults: Arc::new(NoFaults),
        });
        let store = store.unwrap();
        let made = store.write_blocking(HQ, Cause::Timer, move |tx| {
            let agent = Agent { connection: None, model: None, ..Agent::sample() };
            tx.put(&agent)?;
            tx.put(&Member { account: mira(), left_at: None, ..Member::sample() })?;
            let key = "agent:ada:here".to_owned();
            rules::open_session(tx, SessionSpec { agent: agent.id, key, owner, task: None })
        });
        let session = made.unwrap().id;
        let bench = Self { store, session, _folder: folder };
        bench.role(Role::Member);
        bench
    }

    fn write<T: Send + 'static>(
        &self,
        by: Actor,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, RunError> + Send + 'static,
    ) -> T {
        self.store.write_blocking(by, Cause::Timer, body).unwrap()
    }

    fn role(&self, role: Role) {
        self.write(HQ, move |tx| {
            let member = tx.get::<Member>(mira())?.unwrap();
            Ok(tx.put(&Member { role, ..member })?)
        });
    }

    fn say(&self, by: Actor, grant: Option<Grant>, mode: QueueMode) -> Sent {
        let session = self.session;
        let new = NewInput { grant, mode: Some(mode), ..NewInput::chat("Hello") };
        self.write(by, move |tx| rules::queue(tx, session, new))
    }

    /// The run begins and reads.
    fn begin(&self, id: RunId) {
        self.write(HQ, move |tx| {
            let mut writer = rules::begin(tx, id)?;
            writer.read_inputs(tx)?;
            writer.save(tx).map(drop)
        });
    }

    /// Ends the run. Returns the next one and the number of messages that it reads.
    fn end(&self, id: RunId) -> Option<(RunId, usize)> {
        self.write(HQ, move |tx| {
            let epoch = tx.get::<Run>(id)?.unwrap().epoch;
            RunWriter::open(tx, id, epoch)?.end(tx, Outcome::Done, "").map(drop)
        });
        let next = self.store.read(|snap| snap.get::<Session>(self.session)).unwrap();
        let next = next.unwrap().active_run?;
        let heard = self.store.read(|snap| reading::heard(snap, self.session, next));
        Some((next, heard.unwrap().len()))
    }

    fn grant(&self, run: RunId) -> Option<Grant> {
        self.store.read(|snap| grants::of_run(snap, run)).unwrap()
    }

    fn input(&self, sent: Sent) -> Input {
        self.store.read(|snap| snap.get::<Input>(sent.message)).unwrap().unwrap()
    }
}

#[test]
fn messages_of_other_senders_wait_for_runs_with_their_own_rights() {
    let bench = Bench::of(None);
    let first = bench.say(on_page(mira()), Some(in_room(mira())), QueueMode::Steer);
    assert_eq!((first.placed, bench.grant(first.run)), (Placed::Started, Some(in_room(mira()))));
    bench.begin(first.run);
    for mode in [QueueMode::Steer, QueueMode::Collect, QueueMode::Interrupt] {
        let sent = bench.say(HQ, Some(GUEST), mode);
        assert_eq!((sent.placed, sent.run), (Placed::Followup, first.run), "{mode:?}");
        assert_eq!(bench.input(sent).mode, QueueMode::Followup);
    }
    // Mira steers, but the run ends before it reads.
    let steers = bench.say(on_page(mira()), Some(in_room(mira())), QueueMode::Steer);
    assert_eq!(steers.placed, Placed::Steered);
    let (guests, reads) = bench.end(first.run).unwrap();
    assert_eq!((bench.grant(guests), reads), (Some(GUEST), 1), "not with Mira's message");
    assert_eq!(bench.input(steers).mode, QueueMode::Followup);
    bench.begin(guests);
    // Earlier messages of guests wait, so a later one is not read before them; and no guest may stop a run.
    assert_eq!(bench.say(HQ, Some(GUEST), QueueMode::Steer).placed, Placed::Followup);
    assert_eq!(bench.say(HQ, Some(GUEST), QueueMode::Interrupt).placed, Placed::Followup);
    assert_eq!(bench.say(on_page(mira()), None, QueueMode::Steer).placed, Placed::Followup);
}

#[test]
fn another_message_of_the_same_sender_steers() {
    let bench = Bench::of(None);
    let first = bench.say(HQ, Some(GUEST), QueueMode::Steer);
    bench.begin(first.run);
    assert_eq!(bench.say(HQ, Some(GUEST), QueueMode::Steer).placed, Placed::Steered);
    bench.say(on_page(mira()), Some(in_room(mira())), QueueMode::Steer);
    assert_eq!(bench.say(HQ, Some(GUEST), QueueMode::Steer).placed, Placed::Steered);
}

#[test]
fn only_messages_with_the_same_rights_are_collected() {
    let bench = Bench::of(None);
    let first = bench.say(HQ, None, QueueMode::Collect);
    assert_eq!(bench.grant(first.run), None);
    bench.begin(first.run);
    for grant in [GUEST, in_room(mira()), GUEST, GUEST] {
        bench.say(HQ, Some(grant), QueueMode::Collect);
    }
    let mut run = first.run;
    for _ in 0..4 {
        // Each differs from the run at its arrival, so it waits for its own turn.
        let (next, reads) = bench.end(run).unwrap();
        assert_eq!(reads, 1);
        bench.begin(next);
        run = next;
    }
    assert!(bench.end(run).is_none());
    // Before their run begins, messages of the same sender join it.
    let bench = Bench::of(None);
    let first = bench.say(HQ, Some(GUEST), QueueMode::Collect);
    let joined = bench.say(HQ, Some(GUEST), QueueMode::Collect);
    assert_eq!(bench.input(joined).state, InputState::Assigned(first.run));
    let other = bench.say(HQ, Some(in_room(mira())), QueueMode::Collect);
    assert_eq!(bench.input(other).state, InputState::Accepted);
}

#[test]
fn a_member_steers_their_own_conversation_from_page_and_phone_while_they_may_write() {
    let bench = Bench::of(Some(mira()));
    let page = bench.say(on_page(mira()), None, QueueMode::Steer);
    bench.begin(page.run);
    let phone = || bench.say(on_page(mira()), Some(direct(mira())), QueueMode::Steer).placed;
    assert_eq!(phone(), Placed::Steered);
    bench.role(Role::Viewer);
    assert_eq!(phone(), Placed::Followup, "the run may do more than a viewer");
    bench.role(Role::Member);
    let room = bench.say(on_page(mira()), Some(in_room(mira())), QueueMode::Steer);
    assert_eq!(room.placed, Placed::Followup);
    let (next, _) = bench.end(page.run).unwrap();
    assert_eq!(bench.grant(next), Some(direct(mira())));
    bench.begin(next);
    assert_eq!(bench.say(on_page(mira()), None, QueueMode::Steer).placed, Placed::Steered);
    let other = on_page(AccountId::from_bytes([2; 16]));
    assert_eq!(bench.say(other, None, QueueMode::Steer).placed, Placed::Followup);
}

#[test]
fn what_follows_a_run_has_no_more_rights() {
    let bench = Bench::of(None);
    let first = bench.say(HQ, Some(GUEST), QueueMode::Steer);
    bench.begin(first.run);
    let parent = first.run;
    let child = bench.write(HQ, move |tx| {
        let new = NewChild {
            parent,
            task: "Look".to_owned(),
            name: String::new(),
            agent: None,
            model: None,
            thinking: None,
            limits: (None, None),
            minutes: None,
            fork: false,
        };
        children::spawn(tx, new)
    });
    assert_eq!(bench.grant(child.1.id), Some(GUEST));
    // A notice of HQ that the guest's run did not read.
    let session = bench.session;
    bench.write(HQ, move |tx| rules::tell(tx, session, "A program ended", rules::Wake::Later));
    let (next, reads) = bench.end(first.run).unwrap();
    assert_eq!((bench.grant(next), reads), (Some(GUEST), 1));
    bench.begin(next);
    bench.write(HQ, move |tx| rules::context::ask_compaction(tx, session, ""));
    let (compacts, _) = bench.end(next).unwrap();
    assert_eq!(bench.grant(compacts), Some(GUEST));
}
