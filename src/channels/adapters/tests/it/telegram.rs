//! Telegram.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channel_adapters::telegram::{Telegram, token_in};
use channel_adapters::{
    Button, ButtonStyle, Channel, CommandInfo, Fault, FaultKind, FileRef, Incoming, OutBody,
    Outgoing, Place, Receipt,
};
use kernel::time::from_ms;
use serde_json::{Value, json};
use standins::telegram::{Chat, Telegram as Server, User};

use crate::{Memory, client, listen, message, out, words};

const TOKEN: &str = "424242:planted_TOKEN-0123456789abcdefghij";
const GROUP: i64 = -100_500;
const DIRECT: &str = "11";

async fn start() -> (Server, Telegram) {
    let server = Server::start().await;
    server.bot(TOKEN, 7, "Ada", "ada_bot");
    let telegram = open(server.url());
    (server, telegram)
}

fn open(url: &str) -> Telegram {
    Telegram::open(TOKEN, Some(url), client(url)).unwrap()
}

fn ann() -> User {
    User::new(11, "Ann", "ann")
}

fn edit(message: &str, markdown: &str) -> OutBody {
    let (message, markdown) = (message.to_owned(), markdown.to_owned());
    OutBody::Edit { message, markdown, buttons: Vec::new() }
}

/// The fault, which must not show the token.
fn fault<T: Debug>(result: Result<T, Fault>) -> Fault {
    without_token(result.unwrap_err())
}

fn without_token(fault: Fault) -> Fault {
    let shown = format!("{fault} {fault:?}");
    assert!(!shown.contains("planted") && !shown.contains("424242"), "{shown}");
    fault
}

#[test]
fn a_token_is_found_in_what_botfather_writes() {
    let pasted = format!("Use this token to access the HTTP API: \n{TOKEN}\nKeep it: safe.");
    assert_eq!(token_in(&pasted), Some(TOKEN));
    assert_eq!(token_in("4242:planted_TOKEN-0123456789abcdefghij"), None);
    assert_eq!(token_in("424242:short ü:"), None);
    for (token, base) in [("424242:planted", None), (TOKEN, Some("ftp://planted@x"))] {
        fault(Telegram::open(token, base, client("")));
    }
}

#[tokio::test]
async fn a_check_names_the_bot_and_what_keeps_it_from_working() {
    let (server, telegram) = start().await;
    server.webhook(TOKEN, "https://elsewhere.example/hook");
    let found = telegram.check().await.unwrap();
    assert_eq!(
        (found.id.as_str(), found.name.as_str(), found.handle.as_str()),
        ("7", "Ada", "ada_bot")
    );
    assert_eq!(found.link.as_deref(), Some("https://t.me/ada_bot?start={code}"));
    assert!(found.warnings[0].contains("webhook") && found.warnings[1].contains("/setprivacy"));
    assert!(!format!("{telegram:?}").contains("planted"));
    server.revoke(TOKEN);
    assert_eq!(fault(telegram.check().await).kind, FaultKind::Revoked);
}

#[tokio::test]
async fn an_update_is_acknowledged_only_after_it_is_stored() {
    let (server, telegram) = start().await;
    let (telegram, inbox) = (Arc::new(telegram), Memory::new());
    let first = server.say(TOKEN, &Chat::direct(11), &ann(), "one");
    inbox.change(|stored| stored.refusals = 1);
    let refused = fault(telegram.listen(&*inbox, inbox.cursor()).await);
    assert_eq!(refused.detail, "the disk is full");

    let listening = listen(&telegram, &inbox);
    let events = inbox.wait_events(1).await;
    assert_eq!(message(&events[0]).text, "one");
    assert_eq!(inbox.cursor(), (first + 1).to_string());
    server.wait_acknowledged(TOKEN).await;
    server.say(TOKEN, &Chat::direct(11), &ann(), "two");
    let events = inbox.wait_events(2).await;
    let found = message(&events[1]);
    assert_eq!(
        (found.text.as_str(), found.is_direct, found.place.chat.as_str()),
        ("two", true, "11")
    );
    assert_eq!((found.sender.id.as_str(), found.sender.name.as_str()), ("11", "Ann"));
    inbox.wait_online(2).await;
    listening.abort();
}

#[tokio::test]
async fn updates_become_events_and_strange_ones_are_passed() {
    let (server, telegram) = start().await;
    let (telegram, inbox) = (Arc::new(telegram), Memory::new());
    let group = Chat::group(GROUP, "Team");
    let say = |more: Value| {
        let mut all =
            json!({"chat": group.0, "from": ann().0, "date": 1_700_000_000, "message_id": 5});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for strange in [
        json!({"message": "text"}),
        json!({"message": say(json!({"text": "x", "chat": {"id": "wrong"}}))}),
        json!({"message": say(json!({"new_chat_title": "service"}))}),
        json!({"poll": {}}),
    ] {
        server.say_with(TOKEN, strange);
    }
    server.say(TOKEN, &group, &ann(), "😀 @Ada_Bot, hello");
    server.say(TOKEN, &group, &ann(), "/status@ada_bot now");
    server.say(TOKEN, &group, &ann(), "to @ada_bot2");
    let topic = json!({"message_id": 1, "from": {"id": 7}, "forum_topic_created": {}});
    let in_topic = json!({"text": "t", "is_topic_message": true, "message_thread_id": 1, "reply_to_message": topic});
    server.say_with(TOKEN, json!({"message": say(in_topic)}));
    let reply = json!({"text": "r", "message_thread_id": 3, "reply_to_message": {"message_id": 3, "from": {"id": 7}}});
    server.say_with(TOKEN, json!({"edited_message": say(reply)}));
    let photo = json!({"caption": "c", "photo": [{"file_id": "s", "width": 9}, {"file_id": "l", "width": 90}]});
    server.say_with(TOKEN, json!({"message": say(photo)}));
    let voice = json!({"voice": {"file_id": "v", "duration": 3, "file_size": 9}, "sender_chat": {"id": -9, "title": "Channel"}});
    server.say_with(TOKEN, json!({"message": say(voice)}));
    let left = json!({"chat": group.0, "new_chat_member": {"status": "kicked"}});
    server.say_with(TOKEN, json!({"my_chat_member": left}));
    server.press(TOKEN, &group, &ann(), 5, "k1");
    server.migrate(TOKEN, -5, GROUP);

    inbox.change(|stored| stored.cursor = "not a number".to_owned());
    let listening = listen(&telegram, &inbox);
    inbox.wait_events(9).await;
    let events = inbox.stored.lock().events.clone();
    listening.abort();
    let mentions: Vec<bool> = events[..7].iter().map(|event| message(event).mentions_bot).collect();
    assert_eq!(mentions, [true, true, false, false, true, false, false]);
    assert_eq!(message(&events[1]).text, "/status@ada_bot now");
    let found = message(&events[3]);
    assert_eq!((found.place.thread.as_deref(), &found.reply_to), (Some("1"), &None));
    assert_eq!((found.title.as_str(), found.sent_at), ("Team", from_ms(1_700_000_000_000)));
    assert!(matches!(&events[4], Incoming::Edit(found) if found.place.thread.is_none()
        && found.reply_to.as_deref() == Some("3")));
    assert_eq!(
        (message(&events[5]).files[0].id.as_str(), message(&events[5]).text.as_str()),
        ("l", "c")
    );
    let found = message(&events[6]);
    assert_eq!(
        (found.files[0].voice_secs, found.sender.id.as_str(), found.sender.is_bot),
        (Some(3), "-9", true)
    );
    assert!(matches!(&events[7], Incoming::Membership { is_member: false, .. }));
    assert!(
        matches!(&events[8], Incoming::Press(press) if press.data == "k1" && press.message == "5")
    );
    let moved = Incoming::Moved { from: "-5".to_owned(), to: GROUP.to_string() };
    assert_eq!(events[9..], [moved]);
}

#[tokio::test]
async fn a_text_goes_out_with_formatting_buttons_and_place() {
    let (server, telegram) = start().await;
    let button = |label: &str| Button {
        label: label.to_owned(),
        data: format!("d{label}"),
        style: ButtonStyle::Primary,
    };
    let buttons = ["1", "2", "3", "4"].map(button).to_vec();
    let body = OutBody::Text { markdown: "**fett 😀**".to_owned(), buttons };
    let place = Place { chat: GROUP.to_string(), thread: Some("9".to_owned()) };
    let receipt = telegram
        .send(&Outgoing { place, reply_to: Some("5".to_owned()), ..out(DIRECT, body) })
        .await
        .unwrap();
    let sent = server.sent(TOKEN).remove(0);
    assert_eq!((sent.text.as_str(), sent.chat), ("fett 😀", GROUP));
    assert_eq!(sent.entities, json!([{"type": "bold", "offset": 0, "length": 7}]));
    let rows = sent.reply_markup["inline_keyboard"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[1][0]["callback_data"]), (2, &json!("d4")));
    assert_eq!(sent.params["message_thread_id"], 9);
    assert_eq!(sent.params["reply_parameters"]["message_id"], 5);
    assert_eq!(sent.params["link_preview_options"], json!({"is_disabled": true}));
    assert_eq!(receipt.message, sent.message_id.to_string());
}

#[tokio::test]
async fn refused_formatting_is_sent_once_as_plain_text() {
    let (server, telegram) = start().await;
    server.fail_next("sendMessage", 400, "Bad Request: can't parse entities: wrong", None);
    telegram.send(&out(DIRECT, words("**fett**"))).await.unwrap();
    let sent = server.sent(TOKEN);
    assert_eq!((sent.len(), sent[0].text.as_str(), &sent[0].entities), (1, "fett", &Value::Null));
    for _ in 0..2 {
        server.fail_next("sendMessage", 400, "Bad Request: ENTITY_BOUNDS_INVALID", None);
    }
    assert_eq!(fault(telegram.send(&out(DIRECT, words("**x**"))).await).kind, FaultKind::Permanent);
}

#[tokio::test]
async fn edits_presses_and_commands_may_be_repeated() {
    let (server, telegram) = start().await;
    let first = telegram.send(&out(DIRECT, words("one"))).await.unwrap();
    for _ in 0..2 {
        let receipt = telegram.send(&out(DIRECT, edit(&first.message, "two"))).await.unwrap();
        assert_eq!(receipt, first);
    }
    server.cut_next("editMessageText", true);
    let lost = fault(telegram.send(&out(DIRECT, edit(&first.message, "three"))).await);
    assert_eq!(lost.kind, FaultKind::Transient);
    telegram.send(&out(DIRECT, edit(&first.message, "three"))).await.unwrap();
    server.press(TOKEN, &Chat::direct(11), &ann(), 5, "k");
    telegram.send(&out(DIRECT, OutBody::Typing)).await.unwrap();
    let pressed = OutBody::Pressed { press: "unknown".to_owned(), text: String::new() };
    assert!(fault(telegram.send(&out(DIRECT, pressed)).await).detail.contains("too old"));
    let commands = ["stop", "not-here"]
        .map(|name| CommandInfo { name: name.to_owned(), about: "x".to_owned() });
    telegram.register(&commands).await.unwrap();
    assert_eq!(server.sent(TOKEN).len(), 3);
}

#[tokio::test]
async fn a_cut_leaves_a_message_unknown_and_a_closed_port_does_not() {
    let (server, telegram) = start().await;
    for after_effect in [false, true] {
        server.cut_next("sendMessage", after_effect);
        let lost = fault(telegram.send(&out(DIRECT, words("once"))).await);
        assert_eq!(lost.kind, FaultKind::UnknownAfterSend, "{lost:?}");
    }
    assert_eq!(server.sent(TOKEN).len(), 1);
    let closed = open("http://127.0.0.1:9");
    assert_eq!(fault(closed.send(&out(DIRECT, words("x"))).await).kind, FaultKind::Transient);
    let barred = Telegram::open(TOKEN, Some(server.url()), client("http://127.0.0.1:9")).unwrap();
    assert_eq!(fault(barred.send(&out(DIRECT, words("x"))).await).kind, FaultKind::Permanent);
}

#[tokio::test]
async fn refusals_say_whether_another_attempt_helps() {
    let (server, telegram) = start().await;
    let cases = [
        (400, "Bad Request: chat not found", None, FaultKind::Permanent, "write to the bot"),
        (403, "Forbidden: bot was blocked by the user", None, FaultKind::Permanent, "blocked"),
        (403, "Forbidden: planted", None, FaultKind::Permanent, "add it again"),
        (429, "Too Many Requests: retry after 7", Some(7), FaultKind::Transient, "wait"),
        (502, "Bad Gateway", None, FaultKind::Transient, "tries again"),
        (401, "Unauthorized", None, FaultKind::Revoked, "BotFather"),
    ];
    for (status, description, wait, kind, reason) in cases {
        server.fail_next("sendMessage", status, description, wait);
        let found = fault(telegram.send(&out(DIRECT, words("x"))).await);
        assert_eq!((found.kind, found.retry_after), (kind, wait.map(Duration::from_secs)));
        assert!(found.detail.contains(reason), "{found}");
    }
    server.migrate(TOKEN, 11, GROUP);
    telegram.send(&out(DIRECT, words("moved"))).await.unwrap();
    assert_eq!(server.sent(TOKEN)[0].chat, GROUP);
}

#[tokio::test]
async fn a_second_poll_a_webhook_and_a_revoked_token_end_listening() {
    let (server, telegram) = start().await;
    let (telegram, inbox) = (Arc::new(telegram), Memory::new());
    server.fail_next("getUpdates", 429, "Too Many Requests", Some(0));
    let first = listen(&telegram, &inbox);
    server.wait_called(TOKEN, "getUpdates", 2).await;
    let second = listen(&Arc::new(open(server.url())), &inbox);
    assert_eq!(without_token(first.await.unwrap()).kind, FaultKind::Conflict);
    server.webhook(TOKEN, "https://elsewhere.example");
    assert_eq!(without_token(second.await.unwrap()).kind, FaultKind::WebhookSet);
    server.webhook(TOKEN, "");
    let poll = || telegram.listen(&*inbox, String::new());
    for (status, kind) in [(404, FaultKind::Revoked), (500, FaultKind::Transient)] {
        server.fail_next("getUpdates", status, "Not Found", None);
        assert_eq!(fault(poll().await).kind, kind);
    }
    server.cut_next("getUpdates", false);
    assert_eq!(fault(poll().await).kind, FaultKind::Transient);
    server.revoke(TOKEN);
    assert_eq!(fault(poll().await).kind, FaultKind::Revoked);
}

#[tokio::test]
async fn files_go_out_as_photo_or_document_and_come_in_within_the_limit() {
    let (server, telegram) = start().await;
    let file = |name: &str, media_type: &str| OutBody::File {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        bytes: Bytes::from_static(b"\r\n--bytes\0"),
        caption: "Bild".to_owned(),
    };
    server.fail_next("sendPhoto", 400, "Bad Request: PHOTO_INVALID_DIMENSIONS", None);
    for (name, media_type) in
        [("a.png", "image/png"), ("b.png", "image/png"), ("ü\"\n.pdf", "application/pdf")]
    {
        let receipt = telegram.send(&out(DIRECT, file(name, media_type))).await.unwrap();
        assert_ne!(receipt, Receipt::default());
    }
    let sent = server.sent(TOKEN);
    let methods: Vec<&str> = sent.iter().map(|it| it.method.as_str()).collect();
    assert_eq!(methods, ["sendDocument", "sendPhoto", "sendDocument"]);
    assert_eq!(
        (sent[2].text.as_str(), sent[2].chat, &sent[2].file[..]),
        ("Bild", 11, &b"\r\n--bytes\0"[..])
    );

    server.file(TOKEN, "f1", &[1; 100]);
    let known = FileRef { id: "f1".to_owned(), ..FileRef::default() };
    assert_eq!(telegram.download(&known, 100).await.unwrap(), vec![1; 100]);
    assert!(fault(telegram.download(&known, 99).await).detail.contains("too large"));
    let gone = FileRef { id: "gone".to_owned(), ..FileRef::default() };
    assert_eq!(fault(telegram.download(&gone, 99).await).kind, FaultKind::Permanent);
}
