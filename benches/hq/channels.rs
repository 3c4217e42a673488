//! Channels: the way of messages, answers and presses, bursts, and idle bots. The messenger is a loopback server that
//! imitates Telegram and answers at once.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standins::telegram::{Chat, Sent, Telegram, User};

use crate::held::at_rest;
use crate::load::{self, Client, Times};
use crate::model::{Manner, numbers_after};
use crate::rows::{Ready, figure, id, unlimited};
use crate::{Figure, ms};
use support::program::{self, Program};
use support::wire;

const TOKEN: &str = "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi";
/// Measured messages and presses.
const TURNS: usize = 100;
const CHATS: usize = 50;
/// Messages in each chat.
const EACH: usize = 20;
/// Accounts without traffic.
const BOTS: usize = 50;
/// Idle time in which processor time is measured.
const IDLE: Duration = Duration::from_mins(1);
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the messenger.
const PAUSE: Duration = Duration::from_millis(1);

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// An HQ whose owner is paired with the agent's bot.
struct Scene {
    hq: Ready,
    telegram: Telegram,
    client: Client,
}

fn person() -> User {
    User::new(42, "Bob", "bob")
}

impl Scene {
    async fn start() -> Result<Self, String> {
        let (hq, telegram) = (Ready::start().await?, Telegram::start().await);
        let mut client = hq.client().await?;
        let channel = connect(&mut client, &telegram, TOKEN, 7_001).await?;
        let pair = format!("/api/v1/channels/{channel}/pair");
        let made = client.json("POST", &pair, Some(&json!({}))).await?;
        let link = made["link"].as_str().unwrap_or_default();
        let code = link.split_once("start=").ok_or("a link without a code")?.1;
        let scene = Self { hq, telegram, client };
        scene.say(&format!("/start {code}"));
        scene.all_sent(1).await?;
        Ok(scene)
    }

    /// The person writes in the direct chat.
    fn say(&self, text: &str) {
        self.telegram.say(TOKEN, &Chat::direct(42), &person(), text);
    }

    /// Waits for so many messages and edits, and until the next poll has begun.
    async fn all_sent(&self, count: usize) -> Result<(), String> {
        until("an answer", async || self.telegram.sent(TOKEN).len() >= count).await?;
        until("a poll", async || self.telegram.waiting(TOKEN) == 0).await
    }
}

/// Connects a bot; returns the channel's id.
async fn connect(
    client: &mut Client,
    telegram: &Telegram,
    token: &str,
    bot: i64,
) -> Result<String, String> {
    telegram.bot(token, bot, "Ada", &format!("ada_{bot}_bot"));
    let body = json!({
        "kind": "telegram", "agent": "ada", "token": token, "api_base": telegram.url(),
    });
    id(&client.json("POST", "/api/v1/channels/connect", Some(&body)).await?)
}

async fn until(what: &str, is: impl AsyncFn() -> bool) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while !is().await {
        if end < Instant::now() {
            return Err(format!("{what} did not come"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Times of messages, one after the other: from the messenger to the model, and from the model to the messenger.
async fn turns() -> Result<(Times, Times), String> {
    let scene = Scene::start().await?;
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for n in 0..TURNS {
        let sent = scene.telegram.called(TOKEN, "sendMessage") + 1;
        let arrives = scene.telegram.wait_called(TOKEN, "sendMessage", sent);
        let asked = scene.hq.model.next_request();
        let began = Instant::now();
        scene.say(&format!("What is open? {n}"));
        there.push(asked.await?.saturating_duration_since(began));
        arrives.await;
        let arrived = Instant::now();
        let answered = scene.hq.model.answered().ok_or("the model did not answer")?;
        back.push(arrived.saturating_duration_since(answered));
        scene.all_sent(n + 2).await?;
    }
    Ok((load::share(there)?, load::share(back)?))
}

/// Time from the messenger's answer to a poll until the model is asked.
pub fn message(_: Times) -> Row {
    Box::pin(async {
        let Times { p50, p99 } = turns().await?.0;
        let kept = p50 <= Duration::from_millis(15) && p99 <= Duration::from_millis(50);
        Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), kept))
    })
}

/// Time from the model's last byte until the answer is at the messenger.
pub fn answer(_: Times) -> Row {
    Box::pin(async {
        let Times { p50, p99 } = turns().await?.1;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(15)))
    })
}

/// Time from the press of a button under a question until the model is asked again.
pub fn press(_: Times) -> Row {
    Box::pin(async {
        let mut scene = Scene::start().await?;
        let (telegram, model) = (&scene.telegram, &scene.hq.model);
        let messages = format!("{}/{}/messages", wire::AGENTS, scene.hq.agent);
        let (mut times, mut cards) = (Vec::new(), 0);
        for n in 0..TURNS {
            let ask =
                json!({ "question": format!("Red or blue, {n}?"), "options": ["Red", "Blue"] });
            model.be(Manner { calls: vec![("ask_person", ask)], ..Manner::default() });
            let said = json!({ "text": format!("Which colour? {n}") });
            scene.client.call("POST", &messages, Some(&said)).await?;
            until("a card", async || cards < cards_in(telegram).len()).await?;
            let all = cards_in(telegram);
            cards = all.len();
            let card = all.last().ok_or("no card")?;
            let button = &card.reply_markup["inline_keyboard"][0][1];
            let data = button["callback_data"].as_str().ok_or("no second button")?;
            until("a poll", async || telegram.waiting(TOKEN) == 0).await?;
            let asked = model.next_request();
            let began = Instant::now();
            telegram.press(TOKEN, &Chat::direct(42), &person(), card.message_id, data);
            times.push(asked.await?.saturating_duration_since(began));
            scene.hq.rest(&mut scene.client).await?;
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(100)))
    })
}

/// Messages with buttons.
fn cards_in(telegram: &Telegram) -> Vec<Sent> {
    let mut sent = telegram.sent(TOKEN);
    sent.retain(|one| {
        one.method == "sendMessage" && one.reply_markup["inline_keyboard"].is_array()
    });
    sent
}

fn room(n: usize) -> Chat {
    Chat::group(-100_000 - i64::try_from(n).unwrap_or(0), &format!("Room {n}"))
}

/// Rooms in which the agent may answer; the model answers each message with its number.
async fn rooms() -> Result<Scene, String> {
    let mut scene = Scene::start().await?;
    for n in 0..CHATS {
        scene.telegram.say(TOKEN, &room(n), &person(), "Ada, good morning");
    }
    let telegram = &scene.telegram;
    until("a poll", async || telegram.waiting(TOKEN) == 0).await?;
    let known = scene.client.json("GET", "/api/v1/channel-rooms?limit=100", None).await?;
    let known = known["items"].as_array().cloned().unwrap_or_default();
    if known.len() != CHATS {
        return Err(format!("{} of {CHATS} rooms are known", known.len()));
    }
    let allow = json!({ "is_allowed": true, "budget_micros": 1_000_000_000 });
    for one in &known {
        let path = format!("/api/v1/channel-rooms/{}", id(one)?);
        scene.client.call("PATCH", &path, Some(&allow)).await?;
    }
    scene.hq.model.be(Manner { numbers: true, ..Manner::default() });
    Ok(scene)
}

/// The person writes message `number` in its room.
fn write(telegram: &Telegram, number: usize) {
    let text = format!("Ada, item-{number}.");
    telegram.say(TOKEN, &room(number % CHATS), &person(), &text);
}

/// Numbers of the answers in each room, in the order in which they arrived.
fn answers(telegram: &Telegram) -> BTreeMap<i64, Vec<usize>> {
    let mut all: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for sent in telegram.sent(TOKEN) {
        all.entry(sent.chat).or_default().extend(numbers_after(&sent.text, "re-"));
    }
    all
}

/// Waits until as many answers have arrived as there are messages, or none more arrive.
async fn settled(telegram: &Telegram) {
    let (mut seen, mut moved) = (0, Instant::now());
    while seen < CHATS * EACH && moved.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = answers(telegram).values().map(Vec::len).sum();
        if seen < now {
            (seen, moved) = (now, Instant::now());
        }
    }
}

/// Messages without an answer in their room, further answers, and whether each room has them in order.
fn compared(telegram: &Telegram) -> (usize, usize, bool) {
    let all = answers(telegram);
    let (mut lost, mut more) = (0, 0);
    for number in 0..CHATS * EACH {
        let own = all.get(&room(number % CHATS).0["id"].as_i64().unwrap_or_default());
        let count = own.map_or(0, |own| own.iter().filter(|one| **one == number).count());
        lost += usize::from(count == 0);
        more += count.saturating_sub(1);
    }
    let in_order = all.values().all(|numbers| numbers.is_sorted());
    (lost, more, in_order)
}

/// A thousand messages at once: until all are stored, which the next poll acknowledges. Each must be answered.
pub fn burst(_: Times) -> Row {
    Box::pin(async {
        let scene = rooms().await?;
        let telegram = &scene.telegram;
        let began = Instant::now();
        for number in 0..CHATS * EACH {
            write(telegram, number);
        }
        until("a poll", async || telegram.waiting(TOKEN) == 0).await?;
        let durable = began.elapsed();
        settled(telegram).await;
        let all = began.elapsed();
        let (lost, ..) = compared(telegram);
        let text =
            format!("durable after {}, answered after {}, {lost} lost", ms(durable), ms(all));
        Ok(figure(text, durable <= Duration::from_secs(5) && lost == 0))
    })
}

/// A thousand answers, while the messenger refuses every third request for a second.
pub fn refused(_: Times) -> Row {
    Box::pin(async {
        let mut scene = rooms().await?;
        let (telegram, before) = (&scene.telegram, scene.telegram.called(TOKEN, "sendMessage"));
        let began = Instant::now();
        let work = async {
            for round in 0..EACH {
                (0..CHATS).for_each(|n| write(telegram, round * CHATS + n));
                scene.hq.model.has_answered((round + 1) * CHATS).await?;
                // A message that arrives during a run would share the run's answer.
                ended(&mut scene.client).await?;
            }
            settled(telegram).await;
            Ok::<_, String>(())
        };
        let refusing = async {
            let mut next = before + 2;
            loop {
                if next <= telegram.called(TOKEN, "sendMessage") {
                    let words = "Too Many Requests: retry after 1";
                    telegram.fail_next("sendMessage", 429, words, Some(1));
                    next += 3;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            done = work => done?,
            () = refusing => {}
        }
        let called = telegram.called(TOKEN, "sendMessage") - before;
        let (lost, more, in_order) = compared(telegram);
        let sent = telegram.sent(TOKEN).iter().filter(|one| one.text.contains("re-")).count();
        let order = if in_order { "in order" } else { "not in order" };
        let text = format!(
            "{lost} lost, {more} doubled, {order}; {sent} messages, {} refused, {}",
            called - sent,
            ms(began.elapsed())
        );
        let is_as_promised = sent == CHATS * EACH && called - sent >= sent / 3;
        Ok(figure(text, lost == 0 && more == 0 && in_order && is_as_promised))
    })
}

/// Waits until no run is under way.
async fn ended(client: &mut Client) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let runs = client.json("GET", "/api/v1/runs?limit=100", None).await?;
        let runs = runs["items"].as_array().cloned().unwrap_or_default();
        if runs.iter().all(|run: &Value| run["state"] == "ended") {
            return Ok(());
        }
        if end < Instant::now() {
            return Err("a run did not end".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Memory of fifty connected bots without messages, after a restart, and the processor time of a minute. Each has an HTTP
/// client of its own, because of its API address; bots on Telegram itself share one.
pub fn idle(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let telegram = Telegram::start().await;
        let Ready { program, folder, token, .. } = hq;
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let none = at_rest(&program).await;
        let mut client = Client::connect(program.url(), crate::rows::bearer(&token)).await?;
        let token = |n: usize| TOKEN.replacen("700100200", &format!("7001{n:05}"), 1);
        for n in 0..BOTS {
            connect(&mut client, &telegram, &token(n), 8_000 + i64::try_from(n).unwrap_or(0))
                .await?;
        }
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let all = at_rest(&program).await;
        let before = program::cpu_time(program.id());
        tokio::time::sleep(IDLE).await;
        let busy = program::cpu_time(program.id()).saturating_sub(before);
        if (0..BOTS).any(|n| telegram.called(&token(n), "getUpdates") < 2) {
            return Err("not every bot is online".to_owned());
        }
        let more = all.saturating_sub(none) as f64 * 1_024.0 / 1e6;
        let share = busy.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
        let text = format!("{more:.1} MB more, {share:.1} % of a core");
        Ok(figure(text, more <= 8.0 && share <= 1.0))
    })
}
