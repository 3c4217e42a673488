//! Commands survive serialisation, and a repeated command is applied once.

use std::collections::BTreeSet;
use std::sync::Arc;

use features::runs::model::Park;
use jiff::SignedDuration;
use serde_json::Value;

use super::calls::{
    Booked, CallBegun, CallFailed, CallPaid, CutOff, Paid, Question, QuestionBegun, ReviewBegun,
    ReviewBooked,
};
use super::ends::{
    ApprovalsAsked, BudgetLacked, Ended, HandedOut, Held, LastWord, NotKept, Parked, Rested, Said,
    ServerAsked, Stopped,
};
use super::journal::{Append, CallResumed, Results, Settling, Shown, StepBegun, Told};
use super::orders::*;
use super::tool::ToolMade;
use super::{Command, CommandHeader, ControlCommand, First, JournalCommand, Place};
use crate::journal::Unkept;
use features::agents::model::Agent;
use features::connections::cooldown::Candidate;
use features::connections::rules::turns::Failure;
use features::inbox::model::Item;
use features::jobs::model::JobOutcome;
use features::jobs::rules::{Finished, NewJob};
use features::runs::model::{
    Body, CallStatus, Child, Context, EventKind, Halt, Input, InputGrant, InputState, ModelSource,
    Outside, ReadMark, Run, SenderGrant, Session, SessionEvent,
};
use features::runs::rules::{self as runs, RunError, RunSpec, RunWriter, SessionSpec, link};
use features::tasks::model::Task;
use features::trust::model::{CallRecord, JudgedCall, Permission, PermissionUse, Plan, Witness};
use features::trust::rules::NewApproval;
use features::usage::model::budget::Budget;
use features::usage::queries::budgets::{Lack, Level};
use features::usage::rules::Spent;
use features::workspace::model::{Counter, Member};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    Actor, AgentId, ApprovalAnswer, ApprovalId, CallKind, Cause, InputId, ItemId, JobId, Outcome,
    Part, PermissionId, ReservationId, Risk, RunId, RunState, RunTrigger, SessionId, Thinking,
    TypedId, WaitFor,
};
use providers::bound::Size;
use providers::catalog;
use providers::error::ErrorClass;
use providers::model::Usage;
use store::{NoFaults, Options, Range, ReadExt, Record, Store, WriteTx, schema};
use vault::model::{SecretId, Way};
use vault::rules::Used;

use crate::EngineError;

fn run() -> RunId {
    RunId::from_bytes([8; 16])
}

fn notice(text: &str) -> EventKind {
    EventKind::Notice { text: text.to_owned() }
}

fn hand(number: u64, epoch: u64, first: Option<Box<First>>) -> CommandHeader {
    let (decided, judged) = (Vec::new(), Vec::new());
    CommandHeader { run: run(), epoch, worked_ms: 1_200, number, first, decided, judged, cut: None }
}

fn first(item: Option<Item>) -> Box<First> {
    Box::new(First {
        item,
        again: None,
        connection: None,
        model: "practice-1".to_owned(),
        answers: "practice-1".to_owned(),
        source: ModelSource::Agent,
        thinking: Thinking::Low,
        thinking_source: ModelSource::Task,
        request_bytes: 900,
        parts: Vec::new(),
    })
}

fn spent() -> Spent {
    Spent {
        connection: None,
        provider: "practice".to_owned(),
        model: "practice-1".to_owned(),
        tokens: Usage { input: 40, output: 2, ..Usage::default() },
        counted: true,
        billed_micros: Some(7),
        size: Some(Size { bytes: 900, images: 1 }),
    }
}

fn who() -> Candidate {
    Candidate { connection: None, slot: 1, model: "practice-1".to_owned() }
}

fn paid() -> Paid {
    Paid { reservation: ReservationId::from_bytes([3; 16]), spent: spent(), well: Some(who()) }
}

fn cut_off() -> CutOff {
    let reservation = ReservationId::from_bytes([3; 16]);
    CutOff { call: 2, reservation, spent: spent(), piece: Some(notice("so far")) }
}

fn question() -> Question {
    Question {
        connection: None,
        provider: "practice".to_owned(),
        model: "practice-1".to_owned(),
        known: catalog::describe("practice-1"),
        size: Size { bytes: 900, images: 1 },
        max_output: 4_096,
        heeds_limit: true,
        percent: 100,
        kind: CallKind::Step,
        id: Some(ReservationId::from_bytes([2; 16])),
        admitted: None,
    }
}

fn approval() -> NewApproval {
    NewApproval {
        run: run(),
        call_id: "call_1".to_owned(),
        agent: AgentId::from_bytes([5; 16]),
        tool: "exec".to_owned(),
        plan: Plan {
            arguments: "{\"command\":\"make\"}".to_owned(),
            shown: "make".to_owned(),
            folder: "/".to_owned(),
            variables: vec!["KEY".to_owned()],
            files: Vec::<Witness>::new(),
        },
        definition: [6; 32],
        digest: [7; 32],
        risk: Risk::Medium,
        why: "it runs a program".to_owned(),
        offers: Vec::new(),
        until: Some(from_ms(1_700_000_000_000)),
        judged: Some(JudgedCall::sample().call),
    }
}

fn lines() -> Vec<JournalCommand> {
    let mut all = journal_lines();
    all.extend(home_lines());
    all
}

fn journal_lines() -> Vec<JournalCommand> {
    let at = from_ms(1_700_000_000_000);
    let begun = EventKind::ToolStarted {
        step: 1,
        call_id: "call_1".to_owned(),
        name: "exec".to_owned(),
        file: None,
    };
    let finished = EventKind::ToolFinished {
        step: 1,
        call_id: "call_1".to_owned(),
        name: "exec".to_owned(),
        status: CallStatus::Ok,
        result: Body::Inline("done".to_owned()),
        millis: 3,
        paths: vec!["notes.md".to_owned()],
        seq: Some(4),
    };
    let approved = Some(ApprovalId::from_bytes([4; 16]));
    vec![
        Append { events: vec![notice("Hello.")] }.into(),
        StepBegun { begun, approved }.into(),
        Results { events: vec![finished], load: vec!["read".to_owned()], effective: true }.into(),
        Told { events: vec![notice("Shorter.")], shown: Shown::From(9) }.into(),
        Settling {}.into(),
        CallBegun {
            switched: Some(notice("other")),
            told: vec!["Soon.".into()],
            known: Some(vec![InputId::from_bytes([1; 16])]),
            question: question(),
        }
        .into(),
        QuestionBegun { question: question() }.into(),
        ReviewBegun { question: question() }.into(),
        CallPaid { paid: paid(), said: Some((notice("words"), "read".to_owned())) }.into(),
        CallFailed {
            cut_off: cut_off(),
            is_free: false,
            class: "server".to_owned(),
            message: "no".to_owned(),
            again: Some(at),
        }
        .into(),
        ReviewBooked { reservation: paid().reservation, booked: Booked::Lost(spent()) }.into(),
        Held { events: Vec::new(), until: at, detail: "rests".to_owned() }.into(),
    ]
}

fn home_lines() -> Vec<JournalCommand> {
    let at = from_ms(1_700_000_000_000);
    let lack = Lack {
        budget: Budget::sample(),
        name: "Ada".to_owned(),
        tokens: false,
        level: Level { limit: 10, booked: 8, reserved: 1 },
        needed: 5,
    };
    vec![
        ToolMade {
            call_id: "call_1".to_owned(),
            name: "work_done".to_owned(),
            arguments: "{}".to_owned(),
            approved: Some(ApprovalId::from_bytes([4; 16])),
            committed: Some(notice("commit")),
            effective: true,
        }
        .into(),
        LastWord {
            paid: paid(),
            answer: notice("words"),
            committed: None,
            effective: true,
            limit: Some("cost".to_owned()),
            aside: false,
            said: Said::Cut,
            nudged: true,
            end: "words".to_owned(),
        }
        .into(),
        NotKept {
            call: 2,
            paid: paid(),
            why: Unkept::TooLong(200_000),
            committed: None,
            limit: None,
            again: true,
        }
        .into(),
        Stopped {
            cut_off: Some(cut_off()),
            committed: None,
            effective: false,
            ending: true,
            rests: false,
        }
        .into(),
        Rested { committed: None, effective: true, closing: true, behind: true }.into(),
        Ended { committed: None, outcome: Outcome::Done, summary: "Done.".to_owned() }.into(),
        BudgetLacked { events: Vec::new(), lack: Box::new(lack), usual: true, limit: None }.into(),
        Parked { events: Vec::new(), until: None, detail: "signs in".to_owned() }.into(),
        HandedOut {
            committed: None,
            effective: true,
            activity: "get_weather".to_owned(),
            detail: "the results".to_owned(),
            until: at,
        }
        .into(),
        CallResumed { step: 3, activity: "files__note".to_owned() }.into(),
        ServerAsked {
            step: 3,
            activity: "files__note".to_owned(),
            detail: "files: Sure?".to_owned(),
            until: Some(from_ms(1_700_000_000_000)),
            question: "Sure?".to_owned(),
            options: vec!["Yes".to_owned()],
            asked: Park::sample().asked.expect("a question"),
        }
        .into(),
        ApprovalsAsked {
            call_id: "call_1".to_owned(),
            activity: "exec".to_owned(),
            detail: "make".to_owned(),
            until: Some(at),
            new: vec![approval()],
        }
        .into(),
    ]
}

fn orders() -> Vec<ControlCommand> {
    let (run, item) = (run(), ItemId::from_bytes([9; 16]));
    let (agent, session) = (AgentId::from_bytes([5; 16]), SessionId::from_bytes([12; 16]));
    let id = JobId::from_bytes([16; 16]);
    let asked = Some(std::time::Duration::from_secs(90));
    vec![
        RunMade { item: Item::sample(), agent: Agent::sample() }.into(),
        RunWoken { run }.into(),
        RunTakenUp { run }.into(),
        RunPutDown { run }.into(),
        RunRecovered { run, what: "HQ was restarted".to_owned(), away: true, alive_at: None }
            .into(),
        RunHungUp { run }.into(),
        RunSuspended { run }.into(),
        RunEnded { run, outcome: Outcome::Stopped { by: None }, silent: true }.into(),
        RunsTakenUp { count: 3 }.into(),
        CallerGone { run }.into(),
        LateKept { run, late: vec![notice("late")] }.into(),
        Pruned { session, trimmed: 4, cleared: 2 }.into(),
        SessionTold { session, text: "[Program 7 wrote: ready]".to_owned() }.into(),
        AgentHeld { agent, reason: Some("paused".to_owned()) }.into(),
        ItemsMarked { marks: vec![(item, Some("quiet".to_owned())), (item, None)] }.into(),
        ItemGivenUp { item }.into(),
        ItemTakenBack { item }.into(),
        ApprovalAllowed { approval: approval() }.into(),
        ApprovalClosed { id: ApprovalId::from_bytes([4; 16]), answer: ApprovalAnswer::Withdrawn }
            .into(),
        FailureNoted {
            who: who(),
            failure: Failure { class: ErrorClass::Auth, message: "no".to_owned(), asked },
        }
        .into(),
        SecretsUsed {
            uses: vec![Used {
                secret: SecretId::from_bytes([6; 16]),
                version: 1,
                run,
                agent,
                task: None,
                way: Way::StandIn,
                host: "example.org".to_owned(),
            }],
        }
        .into(),
        JobBegun {
            new: NewJob {
                agent,
                run,
                step: 3,
                session,
                command: "make".to_owned(),
                timeout_secs: 60,
                since: SignedDuration::from_secs(2),
            },
        }
        .into(),
        JobFinished {
            id,
            end: Finished {
                outcome: JobOutcome::Exited(0),
                output: None,
                tail: "ok".to_owned(),
                detached: 1,
            },
            paths: vec!["page.html".to_owned()],
        }
        .into(),
        JobSettled { id }.into(),
        JobStopped { id }.into(),
        JobCleared { id }.into(),
    ]
}

/// Reads the command back from its JSON and returns its tag.
fn read_back(command: &Command) -> String {
    let text = serde_json::to_string(command).expect("it can be written");
    let read: Command = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}");
    });
    assert_eq!(serde_json::to_string(&read).expect("again"), text);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let inner = value.get("order").or_else(|| value.get("entry").map(|entry| &entry["line"]));
    let inner = inner.and_then(Value::as_object).expect("one of both families");
    inner.keys().next().expect("its word").clone()
}

#[test]
fn every_command_survives_its_text() {
    let all =
        |commands: Vec<Command>| -> BTreeSet<String> { commands.iter().map(read_back).collect() };
    let first = Some(first(Some(Item::sample())));
    let entry = |line| Command::Entry { hand: hand(7, 4, first.clone()), line };
    let entries = all(lines().into_iter().map(entry).collect());
    assert_eq!(entries.len(), JournalCommand::COUNT, "each once: {entries:?}");
    let orders = all(orders().into_iter().map(Command::Order).collect());
    assert_eq!(orders.len(), ControlCommand::COUNT, "each once: {orders:?}");
}

#[test]
fn what_other_runs_and_people_hang_on_is_homes_alone() {
    let at_home = |line: &JournalCommand| line.place() == Place::Home;
    let home: BTreeSet<String> = lines()
        .into_iter()
        .filter(at_home)
        .map(|line| read_back(&Command::Entry { hand: hand(1, 1, None), line }))
        .collect();
    let wanted = [
        "approvals_asked",
        "budget_lacked",
        "call_resumed",
        "ended",
        "handed_out",
        "last_word",
        "not_kept",
        "parked",
        "rested",
        "server_asked",
        "stopped",
        "tool_made",
    ];
    assert_eq!(home.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert!(orders().iter().all(|order| order.place() == Place::Home));
}

/// A store with one run that waits for a slot.
struct Stage {
    store: Store,
    run: RunId,
    _folder: tempfile::TempDir,
}

const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: features::cards::tables(schema! {
                Agent, Member, Counter, Task, Item, Session, Run, SessionEvent, Input, Context,
                Halt, Outside, ReadMark, Child, InputGrant, SenderGrant,
            }),
            cache: 4 << 20,
            clock: Arc::new(ManualClock::at(from_ms(1_700_000_000_000))),
            ids: Arc::new(SeededIds::new(1)),
            reactor: None,
            faults: Arc::new(NoFaults),
        })
        .expect("it opens");
        let agent = Agent { connection: None, model: None, ..Agent::sample() };
        let made = store.write_blocking(BY.0, BY.1, move |tx| {
            tx.put(&agent)?;
            let key = "agent:ada:main".to_owned();
            let session = SessionSpec { agent: agent.id, key, owner: None, task: None };
            let title = "Look".to_owned();
            let spec = RunSpec { trigger: RunTrigger::Chat, item: None, task: None, title };
            runs::make_item_run(tx, session, spec)
        });
        let run = made.expect("it can be made").expect("nobody works there");
        Self { store, run, _folder: folder }
    }

    fn apply(&self, hand: CommandHeader, text: &str) -> Result<Value, EngineError> {
        let line = Append { events: vec![notice(text)] }.into();
        let command = Command::Entry { hand: CommandHeader { run: self.run, ..hand }, line };
        let sent = serde_json::to_vec(&command).expect("it can be written");
        let write = move |tx: &mut WriteTx<'_>| {
            let read: Command = serde_json::from_slice(&sent).expect("it can be read");
            read.apply(tx, None)
        };
        self.store.write_blocking(BY.0, BY.1, write)
    }

    fn events(&self) -> Vec<SessionEvent> {
        self.store.read(|snap| snap.list::<SessionEvent>(&Range::all())).expect("a read")
    }

    fn run(&self) -> Run {
        let run = self.store.read(|snap| snap.get::<Run>(self.run)).expect("a read");
        run.expect("it is there")
    }
}

#[test]
fn a_command_that_comes_twice_is_applied_once() {
    let stage = Stage::set();
    let begins = || hand(1, 0, Some(first(None)));
    let begun = stage.apply(begins(), "one").expect("it begins");
    assert_eq!(begun["epoch"], 1);
    let before = (stage.events(), stage.run());
    assert_eq!((before.0.len(), before.1.applied, before.1.attempt), (2, 1, 1));
    assert_eq!(stage.apply(begins(), "one").expect("an answer"), Value::Null);
    assert_eq!((stage.events(), stage.run()), before, "nothing has changed");

    let second = stage.apply(hand(2, 1, None), "two").expect("it goes on");
    assert_eq!(second["appended"].as_array().map(Vec::len), Some(1));
    for number in [2, 1] {
        assert_eq!(stage.apply(hand(number, 1, None), "two").expect("an answer"), Value::Null);
    }
    assert_eq!((stage.events().len(), stage.run().applied), (3, 2));
}

#[test]
fn what_permissions_decided_is_counted_with_its_entry_and_once() {
    let stage = Stage::set();
    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    let rule = Permission { agent: None, ..Permission::sample() };
    let (id, gone) = (rule.id, PermissionId::from_bytes([1; 16]));
    stage.store.write_blocking(BY.0, BY.1, move |tx| tx.put(&rule)).expect("it is kept");
    for _ in 0..2 {
        let decided = vec![id, gone, id];
        stage.apply(CommandHeader { decided, ..hand(2, 1, None) }, "two").expect("an answer");
    }
    let late = CommandHeader { decided: vec![id], ..hand(3, 0, None) };
    stage.apply(late, "late").expect_err("it is too late");
    let uses = stage.store.read(|snap| snap.list::<PermissionUse>(&Range::all()));
    let uses = uses.expect("a read");
    assert_eq!(uses.len(), 1);
    assert_eq!((uses[0].permission, uses[0].lately(from_ms(1_700_000_000_000))), (id, 2));
}

#[test]
fn what_was_judged_is_kept_with_its_entry_and_once() {
    let stage = Stage::set();
    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    let call = |id: &str| CallRecord { call_id: id.to_owned(), ..JudgedCall::sample().call };
    let large = CallRecord { tool: "a".repeat(10_000), ..call("large") };
    for _ in 0..2 {
        let judged = vec![call("one"), large.clone(), call("two")];
        stage.apply(CommandHeader { judged, ..hand(2, 1, None) }, "two").expect("an answer");
    }
    let late = CommandHeader { judged: vec![call("late")], ..hand(3, 0, None) };
    stage.apply(late, "late").expect_err("it is too late");
    // Calls decided while the host was offline keep the time of their decision.
    let cut = Some(1_600_000_000_000);
    let heard = CommandHeader { judged: vec![call("three")], cut, ..hand(3, 1, None) };
    stage.apply(heard, "three").expect("it is applied");
    let kept = stage.store.read(|snap| snap.list::<JudgedCall>(&Range::all())).expect("a read");
    let id_and_time = |one: &JudgedCall| (one.call.call_id.clone(), one.at.as_millisecond());
    let (now, agent) = (1_700_000_000_000, stage.run().agent);
    let all = [("three", 1_600_000_000_000), ("one", now), ("two", now)];
    let all = all.map(|(id, at)| (id.to_owned(), at));
    assert_eq!(kept.iter().map(id_and_time).collect::<Vec<_>>(), all);
    assert!(kept.iter().all(|one| (one.run, one.agent) == (stage.run, agent)));
}

#[test]
fn a_writer_that_was_taken_over_is_refused_whatever_its_number() {
    let stage = Stage::set();
    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    for number in [1, 2] {
        let refused = stage.apply(hand(number, 0, None), "late").expect_err("it is too late");
        assert!(matches!(refused, EngineError::Run(RunError::Fenced)), "{refused}");
    }
    assert_eq!(stage.events().len(), 2);
}

#[test]
fn what_a_machine_wrote_alone_is_applied_once_however_often_it_is_heard() {
    let stage = Stage::set();
    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    let late = || CommandHeader { cut: Some(1_600_000_000_000), ..hand(2, 1, None) };
    stage.apply(late(), "two").expect("it is applied");
    let before = (stage.events(), stage.run());
    assert_eq!(stage.apply(late(), "two").expect("an answer"), Value::Null);
    assert_eq!((stage.events(), stage.run()), before, "nothing has changed");
    // A clock that is years behind does not change the order of events.
    assert!(before.0.is_sorted_by_key(|event| event.at));
    let gap = CommandHeader { cut: Some(1_600_000_000_000), ..hand(4, 1, None) };
    let refused = stage.apply(gap, "four").expect_err("what was written before it is missing");
    assert!(matches!(refused, EngineError::Run(RunError::Fenced)), "{refused}");
    assert_eq!((stage.events(), stage.run()), before, "nothing has changed");
}

#[test]
fn a_model_on_another_machine_has_read_what_that_knows_of_and_nothing_else() {
    let stage = Stage::set();
    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    let (session, agent) = (stage.run().session, stage.run().agent);
    let input = |n: u8| InputId::from_bytes([n; 16]);
    let input_in = move |n: u8, state: InputState| {
        let (by, at) = (Actor::System(Part::Engine), from_ms(1_700_000_000_000));
        let words = Input::words(input(n), (session, agent), (by, format!("words {n}")), at);
        Input { state, ..words }
    };
    let run = stage.run;
    // Message two was cancelled after the host had read it; message three arrived after the link was cut.
    let read = move |tx: &mut WriteTx<'_>| -> Result<(), RunError> {
        tx.put(&input_in(1, InputState::Accepted))?;
        tx.put(&input_in(2, InputState::Cancelled))?;
        tx.put(&input_in(3, InputState::Accepted))?;
        let mut writer = RunWriter::open(tx, run, 1)?.written_at(Some(from_ms(1_700_000_000_000)));
        writer.read_known(tx, &[input(1), input(2)])?;
        writer.save(tx).map(drop)
    };
    stage.store.write_blocking(BY.0, BY.1, read).expect("they are read");
    let all = stage.store.read(|snap| snap.list::<Input>(&Range::all())).expect("a read");
    let read: Vec<bool> =
        all.iter().map(|one| matches!(one.state, InputState::Consumed(_))).collect();
    assert_eq!(read, [true, true, false]);
}

#[test]
fn a_run_waits_for_the_line_until_its_writer_or_homes_row_says_otherwise() {
    let stage = Stage::set();
    let run = stage.run;
    let says = |rule: fn(&mut WriteTx<'_>, RunId) -> Result<(), RunError>| {
        stage.store.write_blocking(BY.0, BY.1, move |tx| rule(tx, run)).expect("it is written");
    };
    let queued = stage.run();
    says(link::waits);
    assert_eq!(stage.run(), queued, "nobody works on it");

    stage.apply(hand(1, 0, Some(first(None))), "one").expect("it begins");
    let works = stage.run();
    says(link::waits);
    let waits = stage.run();
    assert!(link::is_waiting(&waits) && !link::is_waiting(&works));
    let waiting = waits.waiting.as_ref().expect("it says so");
    assert_eq!((waiting.waits_for, waiting.until), (WaitFor::Link, None));
    assert!(!waits.is_at_work() && waits.is_live());
    says(link::goes_on);
    assert_eq!(stage.run(), works);
    says(link::goes_on);
    assert_eq!(stage.run(), works, "what waits for nothing stays as it is");
    says(link::waits);
    stage.apply(hand(2, 1, None), "two").expect("its pen opens");
    assert_eq!((stage.run().state, stage.run().waiting), (RunState::Running, None));
}
