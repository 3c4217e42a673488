//! Slack.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channel_adapters::slack::{Slack, open};
use channel_adapters::{Channel, FaultKind, FileRef, Found, Incoming, OutBody, Outgoing, Place};
use serde_json::json;
use standins::slack::{APP_TOKEN, BOT_TOKEN, BOT_USER, Slack as Server};

use crate::{KEY, Memory, buttons, client, listen, message, out, words};

const ROOM: &str = "C1";
const DIRECT: &str = "D1";

async fn start() -> (Server, Arc<Slack>) {
    let server = Server::start().await.unwrap();
    let bot = app(&server, BOT_TOKEN);
    (server, bot)
}

fn app(server: &Server, bot_token: &str) -> Arc<Slack> {
    let url = server.url();
    Arc::new(open(APP_TOKEN, bot_token, Some(url), client(url)).unwrap())
}

#[tokio::test]
async fn a_check_names_the_app_and_what_it_lacks_but_never_a_token() {
    let (server, bot) = start().await;
    let found = bot.check().await.unwrap();
    assert_eq!((found.id.as_str(), found.handle.as_str()), (BOT_USER, "standin"));
    assert!(found.warnings.is_empty());
    server.set_scopes("chat:write,im:history");
    let warnings = bot.check().await.unwrap().warnings;
    assert!(warnings[0].contains("users:read") && !warnings[0].contains("chat:write"));
    let other = app(&server, "xoxb-other-secret");
    let fault = other.check().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Revoked);
    assert!(!format!("{fault:?}{other:?}").contains("other-secret"));
    let fault = open(BOT_TOKEN, APP_TOKEN, None, client(server.url())).unwrap_err();
    assert!(!format!("{fault:?}").contains("standin"));
}

#[tokio::test]
async fn messages_arrive_with_place_sender_and_mention() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    server.join(ROOM);
    let root = server.say(DIRECT, "U7", "see <https://a.example|this> &amp; <@U8>");
    let mention = format!("<@{BOT_USER}> hello");
    server.say_with(ROOM, "U8", &mention, json!({"thread_ts": "100.000001"}));
    server.edit(DIRECT, &root, "changed");
    let file = json!({"subtype": "file_share", "files": [{
        "name": "a.txt", "size": 7, "url_private": format!("{}/files/a.txt", server.url()),
    }]});
    server.say_with(DIRECT, "U7", "", file);
    server.say_with(ROOM, "", "beep", json!({"subtype": "bot_message", "bot_id": "B9"}));
    server.say_with(ROOM, "U7", "joined", json!({"subtype": "channel_join"}));
    server.command(DIRECT, "U7", "/hq", "status now");
    bot.send(&out(DIRECT, words("own"))).await.unwrap();
    let events = inbox.wait_events(7).await;
    server.wait_acknowledged().await;
    assert_eq!(inbox.wait_events(7).await.len(), 7);
    let all: Vec<_> = events.iter().map(message).collect();
    assert_eq!(all[0].text, "see this (https://a.example) & @Person U8");
    assert!(all[0].is_direct && all[0].id == root && all[0].sender.name == "Person U7");
    // Slack reports a mention twice, with the same id.
    assert!(all[1].mentions_bot && all[2].mentions_bot && all[1].id == all[2].id);
    assert_eq!((all[1].text.as_str(), all[1].title.as_str()), ("@standin hello", "#c1"));
    let place = Place { chat: ROOM.to_owned(), thread: Some("100.000001".to_owned()) };
    assert_eq!((&all[1].place, &all[2].place), (&place, &place));
    assert!(
        matches!(&events[3], Incoming::Edit(edit) if edit.id == root && edit.text == "changed")
    );
    let bytes = bot.download(&all[4].files[0], 100).await.unwrap();
    assert_eq!(bytes, "content");
    assert_eq!(bot.download(&all[4].files[0], 3).await.unwrap_err().kind, FaultKind::Permanent);
    let foreign = FileRef { id: "https://slack.com.example/x".to_owned(), ..FileRef::default() };
    assert_eq!(bot.download(&foreign, 9).await.unwrap_err().kind, FaultKind::Permanent);
    assert!(all[5].sender.is_bot && all[6].text == "/status now");
    let is_joined =
        |event: &Incoming| matches!(event, Incoming::Membership { is_member: true, .. });
    assert!(inbox.stored.lock().events.iter().any(is_joined));
    task.abort();
}

#[tokio::test]
async fn in_a_direct_chat_a_message_in_a_thread_replies_to_the_threads_first() {
    let (server, bot) = start().await;
    let card = bot.send(&out(DIRECT, words("Approve it?"))).await.unwrap().message;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    server.say_with(DIRECT, "U7", "yes", json!({"thread_ts": card}));
    server.say_with(ROOM, "U7", "in a room", json!({"thread_ts": card}));
    // A thread's first message names itself.
    server.say_with(DIRECT, "U7", "first", json!({"ts": "100.000002", "thread_ts": "100.000002"}));
    let events = inbox.wait_events(3).await;
    let all: Vec<_> = events.iter().map(message).collect();
    assert_eq!(all[0].reply_to.as_ref(), Some(&card));
    // The answer goes to the same thread.
    assert_eq!(all[0].place, Place { chat: DIRECT.to_owned(), thread: Some(card.clone()) });
    assert_eq!((&all[1].reply_to, all[1].place.thread.as_ref()), (&None, Some(&card)));
    assert_eq!((&all[2].reply_to, &all[2].place.thread), (&None, &None));
    task.abort();
}

#[tokio::test]
async fn envelopes_are_acknowledged_once_they_are_stored_and_repeats_are_processed() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    // The disk is full: the next socket delivers the envelope again.
    inbox.change(|stored| stored.refusals = 1);
    server.say(ROOM, "U7", "1");
    inbox.wait_events(1).await;
    server.wait_acknowledged().await;
    server.cut();
    server.say(ROOM, "U7", "2");
    inbox.wait_events(2).await;
    server.wait_acknowledged().await;
    server.repeat();
    server.wait_acknowledged().await;
    let texts = inbox.wait_texts(4).await;
    assert!(texts.ends_with(&["1".to_owned(), "2".to_owned()]), "{texts:?}");
    task.abort();
}

#[tokio::test]
async fn the_next_socket_is_open_before_the_old_one_goes() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    inbox.wait_online(1).await;
    for (count, reason) in [(2, "warning"), (3, "refresh_requested")] {
        server.disconnect(reason);
        server.wait_connected(count, 1).await;
        inbox.wait_online(u32::try_from(count).unwrap()).await;
        server.say(ROOM, "U7", reason);
        server.wait_acknowledged().await;
    }
    assert_eq!(inbox.wait_texts(2).await, ["warning", "refresh_requested"]);
    // Without a fault in between nothing had to be fetched.
    assert!(server.calls("conversations.history").is_empty());
    server.disconnect("link_disabled");
    let fault = task.await.unwrap();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.detail.contains("Socket Mode"));
}

#[tokio::test]
async fn messages_missed_during_downtime_are_fetched() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    server.say(ROOM, "U7", "0");
    let root = server.say(DIRECT, "U8", "0");
    server.say_with(DIRECT, "U8", "0", json!({"thread_ts": root}));
    inbox.wait_events(3).await;
    server.wait_acknowledged().await;
    task.abort();
    let _ = task.await;
    for count in 1..=20 {
        server.say(ROOM, "U7", &count.to_string());
    }
    server.say_with(DIRECT, "U8", "in thread", json!({"thread_ts": root}));
    server.forget_envelopes();
    server.fail_next(429, "ratelimited", Some(0));
    let task = listen(&bot, &inbox);
    let events = inbox.wait_events(24).await;
    let missed: Vec<_> = events[3..].iter().map(message).collect();
    let of_room: Vec<_> = missed.iter().filter(|message| message.place.chat == ROOM).collect();
    assert_eq!((of_room.len(), of_room[19].text.as_str()), (20, "20"));
    let in_thread = missed.iter().find(|message| message.text == "in thread").unwrap();
    assert_eq!(in_thread.place.thread.as_ref(), Some(&root));
    task.abort();
}

#[tokio::test]
async fn messages_edits_and_files_are_sent_in_slacks_form() {
    let (server, bot) = start().await;
    let body = OutBody::Text { markdown: "go?\n".repeat(1000), buttons: buttons() };
    let mut question = out(ROOM, body);
    question.place.thread = Some("100.000001".to_owned());
    let receipt = bot.send(&question).await.unwrap();
    let sent = server.sent().remove(0);
    assert_eq!(sent["ts"], receipt.message);
    assert_eq!(sent["metadata"]["event_payload"]["key"], KEY);
    assert_eq!((&sent["thread_ts"], &sent["unfurl_links"]), (&json!("100.000001"), &json!(false)));
    let blocks = sent["blocks"].as_array().unwrap();
    assert!(blocks[0]["text"]["text"].as_str().unwrap().ends_with("go?\n") && blocks.len() == 3);
    assert_eq!(blocks[2]["elements"][0]["value"], "yes");
    assert_eq!(blocks[2]["elements"][1]["style"], "danger");
    let message = receipt.message;
    let edit = OutBody::Edit { message, markdown: "done".to_owned(), buttons: Vec::new() };
    bot.send(&out(ROOM, edit)).await.unwrap();
    let sent = server.sent().remove(0);
    assert_eq!((&sent["text"], &sent["blocks"]), (&json!("done"), &json!([])));
    let file = OutBody::File {
        name: "report.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        bytes: Bytes::from_static(b"lines"),
        caption: "here".to_owned(),
    };
    bot.send(&out(DIRECT, file)).await.unwrap();
    assert_eq!(server.uploads(), [("lines".to_owned(), "report.txt".to_owned())]);
    let done = server.calls("files.completeUploadExternal").remove(0);
    assert_eq!((&done["channel_id"], &done["initial_comment"]), (&json!(DIRECT), &json!("here")));
}

#[tokio::test]
async fn failures_say_whether_a_repeat_helps_and_a_lost_answer_is_found() {
    let (server, bot) = start().await;
    let text = out(ROOM, words("once"));
    for (status, error, wait, kind) in [
        (429, "ratelimited", Some(7), FaultKind::Transient),
        (503, "", None, FaultKind::Transient),
        (200, "token_revoked", None, FaultKind::Revoked),
        (200, "not_in_channel", None, FaultKind::Permanent),
        (200, "some_raw_code", None, FaultKind::Permanent),
        (200, "fatal_error", None, FaultKind::UnknownAfterSend),
    ] {
        server.fail_next(status, error, wait);
        let fault = bot.send(&text).await.unwrap_err();
        assert_eq!(
            (fault.kind, fault.retry_after),
            (kind, wait.map(Duration::from_secs)),
            "{error}"
        );
        assert!(!fault.detail.contains("some_raw_code"));
    }
    assert_eq!(bot.find(&text).await.unwrap(), Found::Absent);
    // Others write before and after it.
    (0..60).for_each(|_| drop(server.say(ROOM, "U7", "busy")));
    server.cut_next();
    assert_eq!(bot.send(&text).await.unwrap_err().kind, FaultKind::UnknownAfterSend);
    (0..60).for_each(|_| drop(server.say(ROOM, "U7", "busy")));
    let Found::Sent(found) = bot.find(&text).await.unwrap() else { panic!("not found") };
    assert_eq!(server.sent()[0]["ts"], found.message);
    let other = Outgoing { key: "f".repeat(32), ..text };
    assert_eq!(bot.find(&other).await.unwrap(), Found::Absent);
    server.fail_next(200, "invalid_blocks", None);
    let body = OutBody::Text { markdown: "again".to_owned(), buttons: buttons() };
    bot.send(&out(ROOM, body)).await.unwrap();
    assert_eq!(server.sent()[1]["blocks"][0]["text"]["type"], "plain_text");
}

#[tokio::test]
async fn a_press_arrives_and_its_answer_is_for_the_presser_only() {
    let (server, bot) = start().await;
    let inbox = Memory::new();
    let task = listen(&bot, &inbox);
    server.press(ROOM, "100.000001", "U7", "yes");
    let events = inbox.wait_events(1).await;
    server.wait_acknowledged().await;
    let Incoming::Press(press) = &events[0] else { panic!("{events:?}") };
    assert_eq!((press.message.as_str(), press.data.as_str()), ("100.000001", "yes"));
    assert_eq!((press.place.chat.as_str(), press.sender.id.as_str()), (ROOM, "U7"));
    let answer = |text: &str| OutBody::Pressed { press: press.id.clone(), text: text.to_owned() };
    bot.send(&out(ROOM, answer(""))).await.unwrap();
    bot.send(&out(ROOM, answer("not you"))).await.unwrap();
    let calls = server.calls("chat.postEphemeral");
    assert_eq!((calls.len(), &calls[0]["user"]), (1, &json!("U7")));
    task.abort();
}
