//! Discord.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channel_adapters::discord::{Discord, open};
use channel_adapters::{Channel, FaultKind, Found, Incoming, OutBody, Outgoing};
use serde_json::{Value, json};
use standins::discord::{Discord as Server, TOKEN};

use crate::{KEY, Memory, buttons, client, listen, message, out, words};

const ROOM: &str = "3000";
const DIRECT: &str = "4000";

async fn start() -> (Server, Arc<Discord>) {
    let server = Server::start().await.unwrap();
    let bot = open(TOKEN, Some(server.url()), client(server.url())).unwrap();
    (server, Arc::new(bot))
}

#[tokio::test]
async fn a_check_names_the_bot_and_what_it_lacks_but_never_the_token() {
    let (server, bot) = start().await;
    let found = bot.check().await.unwrap();
    assert_eq!((found.id.as_str(), found.handle.as_str()), ("1000", "standin"));
    assert!(found.invite.unwrap().contains("client_id=1001"));
    assert!(found.warnings.is_empty());
    server.set_flags(0);
    assert!(bot.check().await.unwrap().warnings[0].contains("Message Content Intent"));
    let other = open("wrong.secret.token", Some(server.url()), client(server.url())).unwrap();
    let fault = other.check().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Revoked);
    assert!(!format!("{fault:?}{other:?}").contains("wrong.secret"));
    let fault = open("two words", None, client(server.url())).unwrap_err();
    assert!(!format!("{fault:?}").contains("two words"));
    let inbox = Memory::new();
    assert_eq!(listen(&Arc::new(other), &inbox).await.unwrap().kind, FaultKind::Revoked);
}

#[tokio::test]
async fn messages_arrive_with_place_sender_and_mention() {
    let (server, bot) = start().await;
    server.thread("3001", ROOM);
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    let mention = json!({"mentions": [{"id": "1000", "username": "standin"}]});
    server.say_with(ROOM, "7", "<@1000> hello", mention);
    let said = server.say(DIRECT, "8", "privately");
    server.say("3001", "901", "beep");
    server.edit(&said, "secretly");
    let file = json!({"attachments": [
        {"url": "https://cdn.discordapp.com/a", "filename": "a.txt", "size": 3},
    ]});
    server.say_with(DIRECT, "8", "", file);
    server.command(DIRECT, "8", "status", "now");
    let events = inbox.wait_events(6).await;
    let all: Vec<_> = events.iter().map(message).collect();
    assert!(all[0].mentions_bot && all[0].text == "@standin hello" && !all[0].is_direct);
    assert_eq!((all[0].place.chat.as_str(), all[0].title.as_str()), (ROOM, "#room-3000 · Standin"));
    assert!(all[1].is_direct && !all[1].mentions_bot && all[1].sender.name == "User 8");
    assert_eq!((all[2].place.chat.as_str(), all[2].place.thread.as_deref()), (ROOM, Some("3001")));
    assert!(all[2].sender.is_bot);
    assert!(
        matches!(&events[3], Incoming::Edit(edit) if edit.id == said && edit.text == "secretly")
    );
    assert_eq!((all[4].files[0].name.as_str(), all[4].files[0].len), ("a.txt", Some(3)));
    assert_eq!(all[5].text, "/status now");
    server.wait_calls("/callback", 1).await;
    // The bot's own messages are not events.
    bot.send(&out(DIRECT, words("hi"))).await.unwrap();
    server.say(DIRECT, "8", "last");
    assert_eq!(message(&inbox.wait_events(7).await[6]).text, "last");
    server.remove();
    let is_gone = |event: &Incoming| matches!(event, Incoming::Membership { is_member: false, .. });
    inbox.wait(|stored| stored.events.iter().any(is_gone).then_some(())).await;
    task.abort();
}

#[tokio::test]
async fn a_cut_connection_is_resumed_and_each_message_arrives_once() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    server.say(ROOM, "7", "1");
    inbox.wait_events(1).await;
    // The disk is full: the message is delivered again.
    inbox.change(|stored| stored.refusals = 1);
    server.say(ROOM, "7", "2");
    inbox.wait_events(2).await;
    server.close_with(0);
    server.say(ROOM, "7", "3");
    inbox.wait_events(3).await;
    server.wait_connected(1, 2).await;
    server.frame(json!({"op": 7}));
    server.wait_connected(1, 3).await;
    task.abort();
    let _ = task.await;
    server.say(ROOM, "7", "4");
    // A new process.
    let bot = Arc::new(open(TOKEN, Some(server.url()), client(server.url())).unwrap());
    let task = listen(&bot, &inbox);
    server.say(ROOM, "7", "5");
    assert_eq!(inbox.wait_texts(5).await, ["1", "2", "3", "4", "5"]);
    server.wait_connected(1, 4).await;
    task.abort();
}

#[tokio::test]
async fn after_a_lost_session_missed_messages_are_fetched() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    server.say(ROOM, "7", "0");
    server.say(DIRECT, "8", "private 0");
    inbox.wait_events(2).await;
    task.abort();
    let _ = task.await;
    server.forget_sessions();
    for count in 1..=120 {
        server.say(ROOM, "7", &count.to_string());
    }
    server.say(DIRECT, "8", "private 1");
    bot.send(&out(DIRECT, words("own"))).await.unwrap();
    let task = listen(&bot, &inbox);
    let events = inbox.wait_events(123).await;
    let of = |is_direct: bool| -> Vec<String> {
        let of = events.iter().map(message).filter(|message| message.is_direct == is_direct);
        of.map(|message| message.text.clone()).collect()
    };
    assert_eq!(of(false), (0..=120).map(|count| count.to_string()).collect::<Vec<_>>());
    assert_eq!(of(true), ["private 0", "private 1"]);
    server.say(ROOM, "7", "end");
    assert_eq!(inbox.wait_texts(124).await[123], "end");
    task.abort();
}

#[tokio::test]
async fn each_channel_gets_its_own_200_missed_messages() {
    let (server, bot) = start().await;
    (0..250).for_each(|count| drop(server.say(DIRECT, "8", &count.to_string())));
    // One page of the room arrives, and there are more. Then Discord asks for a long pause.
    let page: Vec<_> = (2..102)
        .map(|id| {
            json!({
                "id": id.to_string(), "channel_id": ROOM, "author": {"id": "7"}, "type": 0,
                "content": "in the room",
            })
        })
        .collect();
    server.fail_next(200, page.into());
    server.fail_next(429, json!({"retry_after": 3600}));
    let inbox = Memory::new();
    inbox.change(|stored| stored.cursor = json!({"last": {ROOM: 1, DIRECT: 1}}).to_string());
    let task = listen(&bot, &inbox);
    server.wait_calls(&format!("/{ROOM}/messages"), 2).await;
    server.say(DIRECT, "8", "live");
    let texts = inbox.wait_texts(301).await;
    assert!(texts[..100].iter().all(|text| text == "in the room"));
    let missed = (0..200).map(|count| count.to_string());
    assert_eq!(texts[100..], missed.chain(["live".to_owned()]).collect::<Vec<_>>());
    // The count survives a restart.
    let cursor: Value = inbox.cursor().parse().unwrap();
    assert_eq!(cursor["gaps"], json!({ROOM: {"after": 101, "pages": 1}}));
    task.abort();
}

#[tokio::test]
async fn close_codes_and_silence_are_explained() {
    for (code, kind, word) in [
        (4004, FaultKind::Revoked, "token"),
        (4014, FaultKind::Permanent, "Message Content Intent"),
        (4000, FaultKind::Transient, "connects again"),
    ] {
        let (server, bot) = start().await;
        let inbox = Memory::new();
        let (listening, ()) = tokio::join!(bot.listen(&*inbox, String::new()), async {
            inbox.wait_online(1).await;
            server.close_with(code);
        });
        let fault = listening.unwrap_err();
        assert_eq!(fault.kind, kind);
        assert!(fault.detail.contains(word), "{fault}");
    }
    let (server, bot) = start().await;
    server.mute(true);
    let fault = bot.listen(&*Memory::new(), String::new()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
}

#[tokio::test]
async fn messages_edits_and_files_are_sent_in_discords_form() {
    let (server, bot) = start().await;
    let body = OutBody::Text { markdown: "**go?** @everyone".to_owned(), buttons: buttons() };
    let question = Outgoing { reply_to: Some("5".to_owned()), ..out(ROOM, body) };
    let receipt = bot.send(&question).await.unwrap();
    let sent = server.sent().remove(0);
    assert_eq!(sent["id"], receipt.message);
    assert_eq!(sent["nonce"], KEY[..25]);
    assert_eq!(sent["allowed_mentions"], json!({"parse": []}));
    assert_eq!(
        (&sent["flags"], &sent["message_reference"]["message_id"]),
        (&json!(4), &json!("5"))
    );
    let row = &sent["components"][0]["components"];
    assert_eq!((&row[0]["custom_id"], &row[1]["style"]), (&json!("yes"), &json!(4)));
    let message = receipt.message;
    let edit = OutBody::Edit { message, markdown: "done".to_owned(), buttons: Vec::new() };
    bot.send(&out(ROOM, edit)).await.unwrap();
    let sent = server.sent().remove(0);
    assert_eq!((&sent["content"], &sent["components"]), (&json!("done"), &json!([])));
    let file = OutBody::File {
        name: "re\"port\r\n.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        bytes: Bytes::from_static(b"three\r\nlines\r\n"),
        caption: "here".to_owned(),
    };
    bot.send(&out(DIRECT, file)).await.unwrap();
    let sent = server.sent().remove(1);
    assert_eq!((&sent["content"], &sent["nonce"]), (&json!("here"), &json!(KEY[..25])));
    assert_eq!(sent["attachments"][0]["content"], "three\r\nlines\r\n");
    assert_eq!(sent["attachments"][0]["filename"], "re_port__.txt");
    bot.send(&out(ROOM, OutBody::Typing)).await.unwrap();
    assert_eq!(server.calls("/typing").len(), 1);
}

#[tokio::test]
async fn failures_say_whether_a_repeat_helps_and_a_lost_answer_is_found() {
    let (server, bot) = start().await;
    let text = out(ROOM, words("once"));
    for (status, body, kind) in [
        (429, json!({"retry_after": 1.5}), FaultKind::Transient),
        (500, json!({}), FaultKind::Transient),
        (403, json!({"code": 50007}), FaultKind::Permanent),
        (404, json!({}), FaultKind::Permanent),
        (401, json!({"message": "raw text"}), FaultKind::Revoked),
    ] {
        server.fail_next(status, body);
        let fault = bot.send(&text).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{status}");
        assert_eq!(fault.retry_after, (status == 429).then(|| Duration::from_millis(1500)));
        assert!(!fault.detail.contains("raw text"));
    }
    assert_eq!(bot.find(&text).await.unwrap(), Found::Absent);
    // Others write before and after it.
    (0..120).for_each(|_| drop(server.say(ROOM, "7", "busy")));
    server.cut_next();
    let fault = bot.send(&text).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::UnknownAfterSend);
    (0..120).for_each(|_| drop(server.say(ROOM, "7", "busy")));
    let Found::Sent(found) = bot.find(&text).await.unwrap() else { panic!("not found") };
    // Discord itself refuses to repeat a recent nonce.
    assert_eq!(bot.send(&text).await.unwrap(), found);
    assert_eq!(server.sent().len(), 1);
    server.forget_nonces(true);
    assert_eq!(bot.find(&text).await.unwrap(), Found::Unknown);
    let later = Outgoing { since: kernel::time::from_ms(4_000_000_000_000), ..text };
    assert_eq!(bot.find(&later).await.unwrap(), Found::Absent);
}

#[tokio::test]
async fn a_press_is_acknowledged_once_and_before_it_is_stored() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    inbox.change(|stored| stored.refusals = 1);
    let task = listen(&bot, &inbox);
    // The servers' channels are the first batch, and refused.
    inbox.wait(|stored| Some(()).filter(|()| !stored.events.is_empty())).await;
    // Storing takes long, or fails: then the press comes again.
    inbox.change(|stored| stored.refusals = u32::MAX);
    let id = server.press(ROOM, "55", "7", "yes");
    let (_, _, body) = server.wait_calls("/callback", 1).await.remove(0);
    assert_eq!(body["type"], 6);
    inbox.wait(|stored| Some(()).filter(|()| stored.refusals < u32::MAX - 1)).await;
    inbox.change(|stored| stored.refusals = 0);
    let events = inbox.wait_events(1).await;
    let Incoming::Press(press) = &events[0] else { panic!("{events:?}") };
    assert_eq!((&press.id, press.message.as_str(), press.data.as_str()), (&id, "55", "yes"));
    assert_eq!((press.place.chat.as_str(), press.sender.id.as_str()), (ROOM, "7"));
    let press = |text: &str| OutBody::Pressed { press: id.clone(), text: text.to_owned() };
    bot.send(&out(ROOM, press(""))).await.unwrap();
    bot.send(&out(ROOM, press("not you"))).await.unwrap();
    let calls = server.calls("/webhooks/");
    assert_eq!((calls.len(), &calls[0].2["flags"]), (1, &json!(64)));
    assert_eq!(server.calls("/callback").len(), 1);
    task.abort();
}
