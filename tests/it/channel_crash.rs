//! Kills the real program while people write to its agent on Telegram, and compares the outcome with an external ledger:
//! every message is stored and read once; every answer arrives, in order, and twice only in a direct chat and with a mark.
//!
//! `HQ_CRASH_CHANNEL_N` kills (12); `HQ_CRASH_SEED` repeats a run. Kills come in pairs with a quiet end: a run that is
//! killed three times is given up.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use channels::model::{Delivery, DeliveryState, Message, MessageState, Payload};
use features::runs::model::{EventKind, Input, InputState, SessionEvent};
use serde_json::{Value, json};
use standins::telegram::{Chat, Telegram, User};
use store::{Range, ReadExt as _, Record, Store};
use support::model::{ModelServer, Seen, Turn};
use support::program::{Program, command};
use support::wire;
use tokio::runtime::Builder;
use tokio::time::{interval, sleep, timeout};

use crate::crash::api::{Again, Api, Ask, Door, HOME, Trap};
use crate::crash::dice::{Dice, program, setting};
use crate::crash::{first_boot, people, stores};

/// Default number of kills.
const USUAL: u64 = 12;
/// Most kills of one folder: all data is compared at its end.
const LONG: u64 = 50;
/// Time limit for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait for the event that triggers a kill.
const AWAITED: Duration = Duration::from_secs(2);
const TOKEN: &str = "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi";
/// Id and name of those who write, each in a direct chat. The first two also write in the room.
const PEOPLE: [(i64, &str); 3] = [(501, "Mira"), (502, "Ben"), (503, "Cleo")];
const ROOM: i64 = -100_500;
/// Ids of numbered messages begin here.
const FIRST_ID: u64 = 1_000_000;

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
    let (began, mut sum) = (Instant::now(), Sum::default());
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for n in 0..kills.div_ceil(LONG) {
        let part = LONG.min(kills - n * LONG);
        runtime.block_on(one(part, seed.wrapping_add(n), &mut sum));
        let Sum { kills, messages, repeats, unknown } = &sum;
        say(&format!(
            "{kills:?}: {messages} messages, {repeats} repeats with a mark, {unknown} answers \
             that may have arrived"
        ));
    }
    say(&format!(
        "all messages accounted for in {} s (HQ_CRASH_SEED={seed})",
        began.elapsed().as_secs()
    ));
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

/// When the program is killed.
#[derive(Clone, Copy)]
enum Moment {
    After(Duration),
    /// Right after the messenger accepted this many more messages. The program does not know yet.
    Taken(usize),
    /// Before the messenger accepts what the program is sending.
    Sending,
    /// Right after this many more polls, which acknowledge what was stored.
    Polled(usize),
}

impl Moment {
    fn choose(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Taken(1 + dice.index(4)),
            1 => Self::Sending,
            2 => Self::Polled(1 + dice.index(4)),
            _ => Self::After(Duration::from_millis(dice.below(600))),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::After(_) => "at any moment",
            Self::Taken(_) => "after an answer",
            Self::Sending => "while sending",
            Self::Polled(_) => "after a poll",
        }
    }

    /// Waits for the moment. Without the awaited event, the kill comes at the end of the wait.
    async fn comes(self, telegram: &Telegram) {
        let called = |method: &str| telegram.called(TOKEN, method);
        let waited = match self {
            // Not a wait for a condition: the seed chooses the time.
            Self::After(time) => return sleep(time).await,
            Self::Taken(more) => {
                let count = telegram.sent(TOKEN).len() + more;
                timeout(AWAITED, telegram.wait_sent(TOKEN, count)).await.map(drop)
            }
            Self::Sending => {
                let count = called("sendMessage") + 1;
                telegram.hold("sendMessage");
                timeout(AWAITED, telegram.wait_called(TOKEN, "sendMessage", count)).await
            }
            Self::Polled(more) => {
                let count = called("getUpdates") + more;
                timeout(AWAITED, telegram.wait_called(TOKEN, "getUpdates", count)).await
            }
        };
        // ok: without the event, the kill comes now.
        let _ = waited;
    }
}

/// A numbered message.
struct Said {
    chat: i64,
    sender: i64,
}

/// Everything that people have written. A message's number is its place, from 1.
struct Book {
    dice: Dice,
    said: Vec<Said>,
}

impl Book {
    /// A random person writes the next message.
    fn write(&mut self, telegram: &Telegram) {
        let who = self.dice.index(PEOPLE.len());
        let sender = PEOPLE[who].0;
        let is_direct = who == 2 || self.dice.below(3) != 0;
        let number = self.said.len() as u64 + 1;
        let (chat, text) = match is_direct {
            true => (Chat::direct(sender), format!("item-{number}.")),
            false => (room(), format!("Ada, item-{number}.")),
        };
        let message = json!({
            "message_id": FIRST_ID + number, "chat": chat.0, "from": user(who).0, "text": text,
        });
        telegram.say_with(TOKEN, json!({ "message": message }));
        self.said.push(Said { chat: if is_direct { sender } else { ROOM }, sender });
    }

    /// People write until the program is dead, and a little longer.
    async fn live(&mut self, telegram: &Telegram, program: Program, moment: Moment) {
        let killer = async {
            moment.comes(telegram).await;
            program.kill();
            telegram.release("sendMessage");
        };
        let writing = async {
            for _ in 0..3 + self.dice.below(5) {
                self.write(telegram);
                sleep(Duration::from_millis(self.dice.below(60))).await;
            }
        };
        tokio::join!(writing, killer);
    }
}

fn room() -> Chat {
    Chat::group(ROOM, "Sales")
}

fn user(who: usize) -> User {
    let (id, name) = PEOPLE[who];
    User::new(id, name, &name.to_lowercase())
}

/// The numbers that follow this word in a text.
fn numbers(text: &str, word: &str) -> Vec<usize> {
    let digits = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    text.split(word).skip(1).filter_map(digits).collect()
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
async fn one(kills: u64, seed: u64, sum: &mut Sum) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let (model, telegram) = (ModelServer::start().await, Telegram::start().await);
    model.answering(answer);
    telegram.bot(TOKEN, 7001, "Ada", "ada_bot");
    let mut running = Program::start(program(), &data);
    let keys = first_boot(&mut running, &data).await;
    let quiet = Trap::none();
    let api = |program: &Program| Api {
        keys: &keys,
        base: program.url().to_owned(),
        data: &data,
        trap: &quiet,
    };
    prepare(&api(&running), &telegram, &model).await;

    let mut dice = Dice::new(seed);
    let mut book = Book { dice: Dice::new(seed ^ 1), said: Vec::new() };
    let mut left = kills;
    while 0 < left {
        let moment = Moment::choose(&mut dice);
        book.live(&telegram, running, moment).await;
        *sum.kills.entry(moment.word()).or_default() += 1;
        left -= 1;
        for _ in 0..dice.below(3) {
            book.write(&telegram);
        }
        // Killed again while it recovers. No repeat is due yet: a repeat that is cut off is not repeated.
        if 0 < left {
            left -= 1;
            let moment = Moment::After(Duration::from_millis(dice.below(400)));
            if dice.below(3) == 0 {
                kill_in_start(&data, Duration::from_millis(dice.below(400))).await;
                *sum.kills.entry("in a start").or_default() += 1;
            } else {
                book.live(&telegram, Program::start(program(), &data), moment).await;
                *sum.kills.entry(moment.word()).or_default() += 1;
            }
        }
        running = Program::start(program(), &data);
        rest(&api(&running), &telegram).await;
    }
    assert!(running.stop().success(), "the program ends well after all kills");
    compare(&data, &telegram, &book.said, sum);
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

/// Ada is on Telegram, where three members are paired with her and one room is allowed.
async fn prepare(api: &Api<'_>, telegram: &Telegram, model: &ModelServer) {
    let connection = wire::connection(&model.openai_url());
    api.made(Ask::post(wire::CONNECTIONS, connection), "connection").await;
    api.made(Ask::post(wire::AGENTS, wire::agent("Ada")), "agent").await;
    let body = json!({
        "kind": "telegram", "agent": "ada", "token": TOKEN, "api_base": telegram.url(),
    });
    let made = api.made(Ask::post("/api/v1/channels/connect", body), "channel").await;
    let pair = format!("/api/v1/channels/{}/pair", made.word("id"));
    for (who, (id, name)) in PEOPLE.into_iter().enumerate() {
        let door = match who {
            0 => Door::Token,
            _ => Door::Browser(joined(api, name).await),
        };
        let asked = Ask::post(&pair, json!({})).by(door);
        let link = api.made(asked, &format!("link of {name}")).await.word("link");
        let code = link.split_once("start=").expect("a link with a code").1;
        telegram.say(TOKEN, &Chat::direct(id), &user(who), &format!("/start {code}"));
        telegram.wait_sent(TOKEN, who + 1).await;
    }
    telegram.say(TOKEN, &room(), &user(0), "Ada, good morning");
    let mut tick = interval(Duration::from_millis(20));
    let known = async {
        loop {
            tick.tick().await;
            if let [room] = api.list("/api/v1/channel-rooms").await.as_slice() {
                return room["id"].as_str().expect("an id").to_owned();
            }
        }
    };
    let room = timeout(PATIENCE, known).await.expect("the room becomes known");
    let allow = json!({ "is_allowed": true });
    api.made(Ask::patch(format!("/api/v1/channel-rooms/{room}"), allow), "room").await;
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
async fn rest(api: &Api<'_>, telegram: &Telegram) {
    let runs = async || api.list("/api/v1/runs?agent=ada&limit=100").await;
    let sent = async || api.list("/api/v1/channel-deliveries").await;
    let is_open = |one: &Value| one["state"] == "queued" || one["state"] == "sending";
    let mut tick = interval(Duration::from_millis(50));
    let rests = async {
        loop {
            tick.tick().await;
            // In this order: a message makes a run, and the end of a run makes a delivery.
            if telegram.waiting(TOKEN) == 0
                && runs().await.iter().all(|run| run["state"] == "ended")
                && !sent().await.iter().any(is_open)
            {
                return;
            }
        }
    };
    if timeout(PATIENCE, rests).await.is_err() {
        let mut all = runs().await;
        all.retain(|run| run["state"] != "ended");
        let mut open = sent().await;
        open.retain(is_open);
        let waiting = telegram.waiting(TOKEN);
        panic!("{waiting} updates wait; runs: {all:#?}\nmessages to send: {open:#?}");
    }
}

fn all<R: Record>(store: &Store) -> Vec<R> {
    store.read(|snap| snap.list::<R>(&Range::all())).expect("a readable store")
}

/// An answer as it arrived.
#[derive(Debug)]
struct Arrived {
    chat: i64,
    is_repeat: bool,
    numbers: Vec<usize>,
}

/// Compares stores and messenger with what people have written. The program has ended.
fn compare(data: &Path, telegram: &Telegram, said: &[Said], sum: &mut Sum) {
    let (_folder, store) = stores::of_workspace(data, HOME);
    let unknown = compare_rows(&store, said);
    let mut arrived = Vec::new();
    for one in telegram.sent(TOKEN) {
        assert!(!one.text.contains("couldn’t finish"), "{one:?}");
        let numbers = numbers(&one.text, "re-");
        if !numbers.is_empty() {
            arrived.push(Arrived { chat: one.chat, is_repeat: one.text.contains('↻'), numbers });
        }
    }
    for (number, said) in (1..).zip(said) {
        let own: Vec<_> = arrived.iter().filter(|one| one.numbers.contains(&number)).collect();
        assert!(own.iter().all(|one| one.chat == said.chat), "{number} is answered here: {own:?}");
        let marked = own.iter().filter(|one| one.is_repeat).count();
        assert!(own.len() - marked <= 1, "the answer to {number} came twice: {arrived:#?}");
        let most = usize::from(said.chat != ROOM);
        assert!(marked <= most, "the answer to {number} was repeated {marked} times: {own:?}");
        let may_be_lost = unknown.contains(&number);
        assert!(!own.is_empty() || may_be_lost, "nobody answered {number}: {arrived:#?}");
    }
    in_order(&arrived, said);
    sum.messages += said.len();
    sum.repeats += arrived.iter().filter(|one| one.is_repeat).count();
    sum.unknown += unknown.len();
}

/// In each chat, the answers to one person come in the order of the messages.
fn in_order(arrived: &[Arrived], said: &[Said]) {
    let mut last = BTreeMap::new();
    for one in arrived {
        for number in &one.numbers {
            let sender = said[number - 1].sender;
            let last = last.entry((one.chat, sender)).or_insert(0);
            // A repeat follows what it repeats.
            assert!(
                *last < *number || one.is_repeat && one.numbers.contains(last),
                "the answer to {number} came after that to {last}: {arrived:#?}"
            );
            *last = (*last).max(*number);
        }
    }
}

/// Each message has one row, which made one input that one run read; and one delivery, which is no longer open. Returns
/// the numbers of those answers that may have arrived.
fn compare_rows(store: &Store, said: &[Said]) -> Vec<usize> {
    let (messages, inputs) = (all::<Message>(store), all::<Input>(store));
    let mut reads = BTreeMap::new();
    for event in all::<SessionEvent>(store) {
        if let EventKind::Input { input: Some(input), .. } = event.kind {
            *reads.entry(input).or_insert(0) += 1;
        }
    }
    let mut answers: BTreeMap<usize, Vec<&Delivery>> = BTreeMap::new();
    let deliveries: Vec<Delivery> = all(store);
    for one in &deliveries {
        assert!(!one.state.is_open(), "{one:?}");
        if let Payload::Text(text) = &one.payload {
            for number in numbers(text, "re-") {
                answers.entry(number).or_default().push(one);
            }
        }
    }
    let mut unknown = Vec::new();
    for number in 1..=said.len() {
        let id = (FIRST_ID + number as u64).to_string();
        let own: Vec<_> = messages.iter().filter(|one| one.provider_id == id).collect();
        let [row] = own[..] else { panic!("{number} has the rows {own:?}") };
        assert_eq!((row.state, row.is_awaiting), (MessageState::Passed, false), "{row:?}");
        let own = inputs.iter().filter(|one| numbers(&one.text, "item-").contains(&number));
        let own: Vec<_> = own.collect();
        let [input] = own[..] else { panic!("{number} was passed on as {own:?}") };
        assert_eq!(row.input, Some(input.id), "{input:?}");
        assert!(matches!(input.state, InputState::Consumed(_)), "{input:?}");
        assert_eq!(reads.get(&input.id), Some(&1), "{number} was read so often: {input:?}");

        let own = answers.remove(&number).unwrap_or_default();
        let [answer] = own[..] else { panic!("the answers to {number} are {own:?}") };
        match answer.state {
            DeliveryState::Sent => {}
            // In a direct chat, only a repeat that was cut off as well.
            DeliveryState::Unknown if !answer.is_direct || answer.is_repeat => unknown.push(number),
            _ => panic!("{number}: {answer:?}"),
        }
    }
    unknown
}
