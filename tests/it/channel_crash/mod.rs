//! Kills the real program while people write to its agent on Telegram, Discord, Slack and behind a webhook bridge, and
//! compares the outcome with an external ledger: every message is stored and read once; every answer arrives once and in
//! order. Only Telegram cannot say what arrived: there an answer may come twice in a direct chat, with a mark.
//!
//! `HQ_CRASH_CHANNEL_N` kills (12) are spread over the four; `HQ_CRASH_SEED` repeats a run. Kills come in pairs with a
//! quiet end: a run that is killed three times is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::model::{ModelServer, Seen, Turn};
use support::program::{Program, command};
use support::wire;
use tokio::runtime::Builder;
use tokio::time::{interval, sleep, timeout};

use crate::crash::api::{Again, Api, Ask, Door, Trap};
use crate::crash::dice::{Dice, program, setting};
use crate::crash::{first_boot, people, stores};

mod discord;
mod ledger;
mod slack;
mod telegram;
mod webhook;

use discord::Discord;
use ledger::numbers;
use slack::Slack;
use telegram::Telegram;
use webhook::Bridge;

/// Default number of kills.
const USUAL: u64 = 12;
/// Number of messengers.
const KINDS: u64 = 4;
/// Most kills of one folder: all data is compared at its end.
const LONG: u64 = 50;
/// Time limit for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait for the event behind which a kill is to come.
const AWAITED: Duration = Duration::from_secs(2);
/// Those who write, each in a direct chat. The first two also write in the room.
const PEOPLE: [&str; 3] = ["Mira", "Ben", "Cleo"];

/// A messenger as the ledger sees it. People are named by their place in [`PEOPLE`].
trait Messenger: Sized {
    const NAME: &str;
    /// Whether the platform says, or does not care, if a message had arrived: then none comes twice, and none is lost.
    const IS_EXACT: bool;

    async fn start() -> Self;

    /// What the connection of a channel needs.
    fn connection(&self) -> Value;

    /// The channel was connected.
    async fn connected(&self, _api: &Api<'_>, _channel: &str) {}

    /// Where the program is reachable now.
    fn reach(&self, _url: Option<&str>) {}

    /// A person's direct chat, or the room.
    fn chat(who: usize, is_direct: bool) -> String;

    /// A person writes. Returns the id of the message.
    fn say(&self, who: usize, is_direct: bool, text: &str) -> String;

    /// A person does what the link says.
    fn pair(&self, who: usize, link: &str) {
        self.say(who, true, link);
    }

    /// Everything that the platform has accepted, in order.
    fn arrived(&self) -> Vec<Arrived>;

    /// Number of written messages of which the platform waits to hear that they were received.
    fn waiting(&self) -> usize;

    /// Waits until the platform has accepted so many more messages.
    async fn taken(&self, more: usize);

    /// From now on the platform does not accept anything. Waits until it should.
    async fn sending(&self);

    /// Ends [`Messenger::sending`].
    fn release(&self);

    /// Waits for so many more signs that the program has received something.
    async fn heard(&self, more: usize);

    /// The platform gives up what it wanted to deliver.
    fn forget(&self) {}

    /// The platform refuses the next message, or the next look at messages.
    fn fail(&self) {}
}

/// A message that the platform has accepted.
#[derive(Clone, Debug)]
struct Arrived {
    chat: String,
    id: String,
    text: String,
}

#[expect(
    clippy::print_stdout,
    reason = "the seed and the result are what `make crash-channels` is for"
)]
fn say(what: &str) {
    println!("channel_crash: {what}");
}

#[test]
fn no_message_of_a_messenger_is_lost_or_doubled_by_kills() {
    let kills = setting("HQ_CRASH_CHANNEL_N").unwrap_or(USUAL);
    let seed = setting("HQ_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(kills));
    say(&format!("{kills} kills, HQ_CRASH_SEED={seed}"));
    let began = Instant::now();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let part = |n: u64| (kills / KINDS + u64::from(n < kills % KINDS), seed.wrapping_add(1000 * n));
    // At once: most of the time each waits for its program.
    thread::scope(|scope| {
        let all = [
            scope.spawn(|| runtime.block_on(folders::<Telegram>(part(0)))),
            scope.spawn(|| runtime.block_on(folders::<Discord>(part(1)))),
            scope.spawn(|| runtime.block_on(folders::<Slack>(part(2)))),
            scope.spawn(|| runtime.block_on(folders::<Bridge>(part(3)))),
        ];
        for one in all {
            one.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    say(&format!("all as told in {} s (HQ_CRASH_SEED={seed})", began.elapsed().as_secs()));
}

/// What happened so far.
#[derive(Default)]
struct Sum {
    /// Number of kills by moment.
    kills: BTreeMap<&'static str, usize>,
    messages: usize,
    repeats: usize,
    unknown: usize,
}

async fn folders<M: Messenger>((kills, seed): (u64, u64)) {
    let mut sum = Sum::default();
    for n in 0..kills.div_ceil(LONG) {
        let part = LONG.min(kills - n * LONG);
        one::<M>(part, seed.wrapping_add(n), &mut sum).await;
        let Sum { kills, messages, repeats, unknown } = &sum;
        let all: usize = kills.values().sum();
        say(&format!(
            "{}: {all} kills {kills:?}, {messages} messages, {repeats} repeats with a mark, \
             {unknown} answers that may have arrived",
            M::NAME
        ));
    }
}

/// When the program is killed.
#[derive(Clone, Copy)]
enum Moment {
    After(Duration),
    /// Right after the messenger took so many more messages. The program does not know yet.
    Taken(usize),
    /// Before the messenger takes what the program is sending.
    Sending,
    /// Right after so many more acknowledgements of what was stored.
    Heard(usize),
}

impl Moment {
    fn choose(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Taken(1 + dice.index(4)),
            1 => Self::Sending,
            2 => Self::Heard(1 + dice.index(4)),
            _ => Self::After(Duration::from_millis(dice.below(600))),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::After(_) => "at any moment",
            Self::Taken(_) => "behind an answer",
            Self::Sending => "while sending",
            Self::Heard(_) => "behind an acknowledgement",
        }
    }

    /// Waits for it. If the awaited event doesn't come, the kill comes without it.
    async fn comes(self, messenger: &impl Messenger) {
        let waited = match self {
            // Not a wait for a condition: the seed chooses the time.
            Self::After(time) => return sleep(time).await,
            Self::Taken(more) => timeout(AWAITED, messenger.taken(more)).await,
            Self::Sending => timeout(AWAITED, messenger.sending()).await,
            Self::Heard(more) => timeout(AWAITED, messenger.heard(more)).await,
        };
        // ok: without the event, the kill comes now.
        let _ = waited;
    }
}

/// A numbered message.
struct Said {
    chat: String,
    id: String,
    sender: usize,
    is_direct: bool,
}

/// Everything that people have written. A message's number is its place, from 1.
struct Book {
    dice: Dice,
    said: Vec<Said>,
}

impl Book {
    /// Somebody writes the next message.
    fn write<M: Messenger>(&mut self, messenger: &M) {
        let sender = self.dice.index(PEOPLE.len());
        let is_direct = sender == 2 || self.dice.below(3) != 0;
        let number = self.said.len() + 1;
        let text = match is_direct {
            true => format!("item-{number}."),
            false => format!("Ada, item-{number}."),
        };
        let (chat, id) = (M::chat(sender, is_direct), messenger.say(sender, is_direct, &text));
        self.said.push(Said { chat, id, sender, is_direct });
    }

    /// People write until the program is dead, and a little longer.
    async fn live(&mut self, messenger: &impl Messenger, program: Program, moment: Moment) {
        messenger.reach(Some(program.url()));
        let killer = async {
            moment.comes(messenger).await;
            program.kill();
            messenger.reach(None);
            messenger.release();
        };
        let writing = async {
            for _ in 0..3 + self.dice.below(5) {
                self.write(messenger);
                sleep(Duration::from_millis(self.dice.below(60))).await;
            }
        };
        tokio::join!(writing, killer);
    }
}

/// The model answers all messages since its last answer with their numbers.
fn answer(seen: &Seen) -> Option<Turn> {
    // Without tools, a summary is requested.
    if seen.tools().is_empty() {
        return Some(Turn::text("Much was said."));
    }
    let messages = seen.body["messages"].as_array()?;
    let unheard = messages.iter().rev().take_while(|message| message["role"] != "assistant");
    let mut texts: Vec<String> = unheard
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].to_string())
        // A summary may repeat old messages.
        .filter(|text| !text.contains("This summarizes the older"))
        .collect();
    texts.reverse();
    let items = texts.iter().flat_map(|text| numbers(text, "item-"));
    let items: Vec<String> = items.map(|number| format!("re-{number}")).collect();
    let items = items.join(" ");
    Some(Turn::text(if items.is_empty() { "Nothing new." } else { &items }))
}

/// Tests one folder.
async fn one<M: Messenger>(kills: u64, seed: u64, sum: &mut Sum) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let (model, messenger) = (ModelServer::start().await, M::start().await);
    model.answering(answer);
    let mut running = Program::start(program(), &data);
    let keys = first_boot(&mut running, &data).await;
    let quiet = Trap::none();
    let api = |program: &Program| Api {
        keys: &keys,
        base: program.url().to_owned(),
        data: &data,
        trap: &quiet,
    };
    messenger.reach(Some(running.url()));
    prepare(&api(&running), &messenger, &model).await;

    let mut dice = Dice::new(seed);
    let mut book = Book { dice: Dice::new(seed ^ 1), said: Vec::new() };
    let mut left = kills;
    while 0 < left {
        let moment = Moment::choose(&mut dice);
        book.live(&messenger, running, moment).await;
        *sum.kills.entry(moment.word()).or_default() += 1;
        left -= 1;
        for _ in 0..dice.below(3) {
            book.write(&messenger);
        }
        if dice.below(2) == 0 {
            messenger.forget();
        }
        if dice.below(3) == 0 {
            messenger.fail();
        }
        // Killed again while it makes up for the first kill. No repeat is due yet: one that is cut, too, isn't repeated.
        if 0 < left {
            left -= 1;
            let moment = Moment::After(Duration::from_millis(dice.below(400)));
            if dice.below(3) == 0 {
                kill_in_start(&data, Duration::from_millis(dice.below(400))).await;
                *sum.kills.entry("in a start").or_default() += 1;
            } else {
                book.live(&messenger, Program::start(program(), &data), moment).await;
                *sum.kills.entry(moment.word()).or_default() += 1;
            }
        }
        running = Program::start(program(), &data);
        messenger.reach(Some(running.url()));
        rest(&api(&running), &messenger, &book.said).await;
    }
    assert!(running.stop().success(), "the program ends well after all kills");
    ledger::compare(&data, &messenger, &book.said, sum);
    stores::as_the_program_says(&data);
}

async fn kill_in_start(data: &Path, lasts: Duration) {
    let mut starts = command(program(), data, &["serve"]);
    let child = starts.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the program starts");
    sleep(lasts).await;
    child.kill().expect("a process of ours can be killed");
    child.wait().expect("a killed process ends");
}

/// Ada is on the messenger, where three members are paired with her and one room is allowed.
async fn prepare<M: Messenger>(api: &Api<'_>, messenger: &M, model: &ModelServer) {
    let connection = wire::connection(&model.openai_url());
    api.made(Ask::post(wire::CONNECTIONS, connection), "connection").await;
    api.made(Ask::post(wire::AGENTS, wire::agent("Ada")), "agent").await;
    let mut body = messenger.connection();
    body["agent"] = json!("ada");
    let made = api.made(Ask::post("/api/v1/channels/connect", body), "channel").await;
    let channel = made.word("id");
    // A preview on a slow machine would look like an answer that arrived twice.
    let path = format!("/api/v1/channels/{channel}");
    api.made(Ask::patch(path, json!({ "stream": "off" })), "settings").await;
    messenger.connected(api, &channel).await;
    let pair = format!("/api/v1/channels/{channel}/pair");
    for (who, name) in PEOPLE.into_iter().enumerate() {
        let door = match who {
            0 => Door::Token,
            _ => Door::Browser(joined(api, name).await),
        };
        let asked = Ask::post(&pair, json!({})).by(door);
        let link = api.made(asked, &format!("link of {name}")).await.word("link");
        messenger.pair(who, &link);
        let is_greeted = async || who < messenger.arrived().len();
        assert!(until(is_greeted).await, "{name} is greeted: {:?}", messenger.arrived());
    }
    messenger.say(0, false, "Ada, good morning");
    // Until it is stored, the program does not know that somebody writes in the room.
    let is_stored = async || api.list("/api/v1/channel-messages").await.len() == PEOPLE.len() + 1;
    assert!(until(is_stored).await, "the room becomes known");
    let rooms = api.list("/api/v1/channel-rooms").await;
    let [room] = rooms.as_slice() else { panic!("one room: {rooms:?}") };
    let room = room["id"].as_str().expect("an id");
    let allow = json!({ "is_allowed": true });
    api.made(Ask::patch(format!("/api/v1/channel-rooms/{room}"), allow), "room").await;
}

/// Waits until something is so. Returns `false` if that takes too long.
async fn until(is: impl AsyncFn() -> bool) -> bool {
    let mut tick = interval(Duration::from_millis(20));
    let waited = async {
        loop {
            tick.tick().await;
            if is().await {
                return;
            }
        }
    };
    timeout(PATIENCE, waited).await.is_ok()
}

/// The cookie of a new member.
async fn joined(api: &Api<'_>, name: &str) -> String {
    let email = format!("{}@marlow.example", name.to_lowercase());
    let body = json!({ "role": "member", "email": email });
    let invited = Ask::post("/api/v1/invites", body).again(Again::Look);
    let link = api.made(invited, "").await.word("link");
    let joined = api.ask(&people::join(people::in_link(&link), &email)).await;
    joined.cookie.unwrap_or_else(|| panic!("{email} joins: {}", joined.text))
}

/// Waits until everything was received, answered and sent.
async fn rest<M: Messenger>(api: &Api<'_>, messenger: &M, said: &[Said]) {
    let runs = async || api.list("/api/v1/runs?agent=ada&limit=100").await;
    let sent = async || api.list("/api/v1/channel-deliveries").await;
    let is_open = |one: &Value| one["state"] == "queued" || one["state"] == "sending";
    let unanswered = || -> Vec<usize> {
        let arrived = messenger.arrived();
        let answered = arrived.iter().flat_map(|one| numbers(&one.text, "re-"));
        let answered: BTreeSet<usize> = answered.collect();
        (1..=said.len()).filter(|number| !answered.contains(number)).collect()
    };
    // In this order: a message makes a run, and the end of a run makes a delivery.
    let rests = async || {
        messenger.waiting() == 0
            && (!M::IS_EXACT || unanswered().is_empty())
            && runs().await.iter().all(|run| run["state"] == "ended")
            && !sent().await.iter().any(is_open)
    };
    if !until(rests).await {
        let mut all = runs().await;
        all.retain(|run| run["state"] != "ended");
        let mut open = sent().await;
        open.retain(|one| one["state"] != "sent");
        panic!(
            "{}: {} messages wait to be received, {:?} have no answer; runs: {all:#?}\nmessages \
             that were not sent: {open:#?}",
            M::NAME,
            messenger.waiting(),
            unanswered()
        );
    }
}
