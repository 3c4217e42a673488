//! Outgoing notifications: mails through a mail server, messages through push services.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use features::notifications::model::sending::{DELIVERIES, Delivery, Out};
use features::notifications::queries::sending as reading;
use features::notifications::rules::sending::{self as rules, NewBrowser};
use kernel::{Actor, Cause, NotificationId, Part, TypedId as _};
use net::client::ClientParts;
use net::guard::Exceptions;
use store::{Range, ReadExt as _, WriteTx};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use support::hq::Setup;

const MAIL: &str = "/w/marlow-cargo/settings/mail";
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server that records mails.
pub(super) struct MailStandIn {
    port: u16,
    pub(super) letters: UnboundedReceiver<String>,
    /// Number of mails that it defers before accepting one.
    pub(super) busy: Arc<AtomicUsize>,
}

impl MailStandIn {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, letters) = unbounded_channel();
        let busy = Arc::new(AtomicUsize::new(0));
        let puts_off = Arc::clone(&busy);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, puts_off) = (tell.clone(), Arc::clone(&puts_off));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut say = "220 stand-in\r\n".to_owned();
                    loop {
                        if stream.write_all(say.as_bytes()).await.is_err() {
                            return;
                        }
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                        let word = line.split([' ', ':', '\r']).next().unwrap_or_default();
                        say = match word.to_ascii_uppercase().as_str() {
                            "EHLO" => "250-stand-in\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned(),
                            "MAIL" if 0 < puts_off.load(Ordering::SeqCst) => {
                                puts_off.fetch_sub(1, Ordering::SeqCst);
                                "451 busy\r\n".to_owned()
                            }
                            "DATA" => {
                                stream.write_all(b"354 go\r\n").await.expect("an answer");
                                let mut letter = String::new();
                                while !letter.ends_with("\r\n.\r\n") {
                                    stream.read_line(&mut letter).await.expect("a line");
                                }
                                tell.send(letter).expect("somebody listens");
                                "250 taken\r\n".to_owned()
                            }
                            "QUIT" => "221 bye\r\n".to_owned(),
                            _ => "250 ok\r\n".to_owned(),
                        };
                    }
                });
            }
        });
        Self { port, letters, busy }
    }

    /// The next mail, with folded header lines joined.
    pub(super) async fn next(&mut self) -> String {
        let letter = tokio::time::timeout(PATIENCE, self.letters.recv()).await;
        letter.expect("a letter in time").expect("a letter").replace("\r\n ", " ")
    }

    /// Configures HQ to use it.
    pub(super) async fn introduce(&self, hq: &TestHq) {
        hq.prove().await;
        let port = self.port.to_string();
        let fields = [
            ("host", "127.0.0.1"),
            ("port", port.as_str()),
            ("secrecy", "open"),
            ("user", ""),
            ("password", ""),
            ("from", "HQ <hq@marlow.example>"),
        ];
        let saved = hq.owner().form(MAIL, &fields).await;
        assert!(saved.status.is_redirection(), "{}", saved.text);
    }
}

/// Waits until the pending deliveries match.
pub(super) async fn until(hq: &TestHq, is_so: impl Fn(&[Delivery]) -> bool) {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            feed.borrow_and_update();
            let all: Vec<Delivery> = ws.read(|snap| snap.list(&Range::all())).expect("rows");
            if is_so(&all) {
                return;
            }
            feed.changed().await.expect("the store is open");
        }
    });
    waited.await.expect("it happens in time");
}

/// Sets Tom's channels for comments; all else is off.
pub(super) async fn wants(tom: &Person, ways: Value) {
    let body = json!({ "groups": [{ "group": "comments", "ways": ways }], "digest_hour": 8 });
    let put = tom.json("PUT", "/api/v1/notification-choices", &body).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_was_put_off_comes_later_and_its_link_ends_such_letters() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    let test = mira.form(&format!("{MAIL}/test"), &[]).await;
    assert!(test.status.is_redirection(), "{}", test.text);
    assert!(mail.next().await.contains("HQ can send email"));
    let at_once = json!({ "app": true, "push": false, "mail": true, "digest": false });
    wants(&tom, at_once).await;
    task(&mira, json!({ "title": "Prices" })).await;
    mail.busy.store(1, Ordering::SeqCst);
    comment(&mira, "MC-1", "@tom look").await;
    until(&hq, |all| all.first().is_some_and(|one| one.last_error.is_some())).await;
    hq.advance(Duration::from_secs(61)).await;
    let letter = mail.next().await;
    assert!(letter.contains("To: tom@marlow.example"), "{letter}");
    assert!(letter.contains("text/plain") && letter.contains("text/html"), "{letter}");
    until(&hq, <[Delivery]>::is_empty).await;
    // The unsubscribe link needs no session, and GET changes nothing.
    let link = letter.split_once("List-Unsubscribe: <").expect("a link").1;
    let link = link.split_once('>').expect("its end").0;
    let path = link.split_at(link.find("/unsubscribe/").expect("a path")).1.to_owned();
    let asked = hq.nobody().get(&path).await;
    assert!(asked.text.contains("Comments and mentions"), "{}", asked.text);
    let kept = async || tom.get("/api/v1/notification-choices").await.json()["groups"].clone();
    assert_eq!(kept().await["comments"]["mail"], true);
    let ended = hq.nobody().form(&path, &[]).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.text);
    assert_eq!(kept().await["comments"]["mail"], false);
    assert_eq!(hq.nobody().get("/unsubscribe/forged.token").await.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_names_the_mail_server_and_tries_it_out() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut mail = MailStandIn::start().await;
    let path = "/api/v1/settings/mail";
    hq.prove().await;
    let none = mira.get(path).await.json();
    assert_eq!((&none["set_up"], &none["has_password"]), (&json!(false), &json!(false)));
    let mut body = json!({
        "host": "127.0.0.1", "port": mail.port, "secrecy": "open", "from": "nobody",
        "user": "hq", "password": "hunter2 hunter2",
    });
    let wrong = mira.json("PUT", path, &body).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert_eq!(wrong.json()["errors"][0]["field"], "from");
    body["from"] = json!("HQ <hq@marlow.example>");
    let saved = mira.json("PUT", path, &body).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
    assert_eq!(saved.json()["has_password"], true);
    assert!(!saved.text.contains("hunter2"));
    // Another user name: the former password does not apply to it.
    (body["user"], body["password"]) = (json!(""), Value::Null);
    assert_eq!(mira.json("PUT", path, &body).await.json()["has_password"], false);
    let tried = mira.post(&format!("{path}/test"), &json!({})).await.json();
    assert_eq!(tried["sent"], true, "{tried}");
    assert!(mail.next().await.contains("HQ can send email"));
    for call in [tom.get(path).await, tom.call("DELETE", path).await] {
        assert_eq!(call.status, StatusCode::FORBIDDEN, "{}", call.text);
    }
    assert_eq!(mira.call("DELETE", path).await.json()["set_up"], false);
    let tried = mira.post(&format!("{path}/test"), &json!({})).await.json();
    assert_eq!(tried["sent"], false);
    assert!(tried["error"].is_string(), "{tried}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_again_before_a_letter_is_written_does_not_lose_it() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    wants(&tom, json!({ "app": true, "push": false, "mail": true, "digest": false })).await;
    task(&mira, json!({ "title": "Prices" })).await;
    let consumer = async |act: &str| {
        let path = format!("/api/v1/consumers/notifications-out/{act}");
        let done = mira.post(&path, &json!({})).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    };
    // As after a kill: the first one is processed when there are two already.
    consumer("pause").await;
    comment(&mira, "MC-1", "@tom look").await;
    comment(&mira, "MC-1", "@tom look again").await;
    consumer("resume").await;
    let letter = mail.next().await;
    assert!(letter.contains("To: tom@marlow.example"), "{letter}");
    until(&hq, <[Delivery]>::is_empty).await;
    assert!(mail.letters.try_recv().is_err(), "one letter for both");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_letter_of_the_day_tells_once_what_was_not_read() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    wants(&tom, json!({ "app": true, "push": false, "mail": false, "digest": true })).await;
    for title in ["One", "Two", "Three"] {
        task(&mira, json!({ "title": title })).await;
    }
    for key in ["MC-1", "MC-2", "MC-3"] {
        comment(&mira, key, "@tom look").await;
    }
    until(&hq, |all| all.first().is_some_and(|one| one.out == Out::Digest && one.rows.len() == 3))
        .await;
    let newest = tom.get(API).await.json()["items"][0]["id"].as_str().expect("an id").to_owned();
    tom.form(&format!("{LIST}/{newest}/read"), &[]).await;
    hq.advance(Duration::from_secs(86_400)).await;
    let letter = mail.next().await;
    assert!(letter.contains("Subject: 2 new in marlow-cargo"), "{letter}");
    until(&hq, <[Delivery]>::is_empty).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_makes_no_sense_is_refused_and_its_password_stays_with_it() {
    let hq = TestHq::start().await;
    hq.prove().await;
    let form = |host: &'static str, password: &'static str| {
        [
            ("host", host),
            ("port", "465"),
            ("secrecy", "tls"),
            ("user", "hq"),
            ("password", password),
            ("from", "hq@marlow.example"),
        ]
    };
    let owner = hq.owner();
    for wrong in [form("", "x"), form("a b", "x")] {
        let refused = owner.form(MAIL, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(!refused.texts(".error").is_empty(), "{}", refused.text);
    }
    let has = || {
        let kept = hq.ws().read(|snap| reading::secret(snap, "mail_password"));
        kept.expect("a read").is_some()
    };
    owner.form(MAIL, &form("mail.example", "quokka secret")).await;
    assert!(has());
    assert!(!owner.get(MAIL).await.text.contains("quokka"));
    owner.form(MAIL, &form("mail.example", "")).await;
    assert!(has(), "it stays");
    owner.form(MAIL, &form("other.example", "")).await;
    assert!(!has(), "it does not go to another server");
    let member = hq.another("Tom", Some(Role::Member)).await;
    assert_eq!(member.get(MAIL).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

/// Permits push services on this machine.
struct Here;

impl Exceptions for Here {
    fn host(&self, _host: &str, _port: u16) -> bool {
        true
    }
    fn address(&self, _host: &str, address: IpAddr) -> bool {
        address.is_loopback()
    }
}

/// Keys of a browser, from RFC 8291.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_nobody_goes_in_one_entry() {
    let hq = TestHq::start().await;
    hq.another("Tom", Some(Role::Member)).await;
    let (ws, member, due_at) = (hq.ws(), account(&hq, "tom"), hq.now());
    let mut head = ws.store.head().seq;
    let each = (0..40_u8).map(|n| NotificationId::from_bytes([n; 16])).map(move |row| Delivery {
        member,
        out: Out::Push,
        row,
        rows: vec![row],
        due_at,
        tries: 0,
        last_error: None,
        gave_up_at: None,
    });
    let all: Vec<Delivery> = each.collect();
    let (by, cause) = (Actor::System(Part::Consumer), Cause::Timer);
    let put = move |tx: &mut WriteTx<'_>| all.iter().try_for_each(|one| tx.put(one));
    ws.store.write(by, cause, put).await.expect("rows");
    until(&hq, <[Delivery]>::is_empty).await;
    let mut sizes = Vec::new();
    while let Some(entry) = ws.store.entries_after(head, 1).expect("a feed").first() {
        head = entry.seq;
        let ours = entry.changes.iter().filter(|change| change.table == DELIVERIES.number);
        sizes.extend(Some(ours.count()).filter(|count| 0 < *count));
    }
    assert_eq!(sizes, [40, 40], "all are put, then all go: Tom has no browser that is told");
    hq.finish().await;
}

/// A push service: responds with these statuses in turn; records headers and lengths of requests.
async fn push_service(statuses: Vec<u16>) -> (String, UnboundedReceiver<(String, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        for status in statuses {
            let (stream, _) = listener.accept().await.expect("a request");
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.expect("a line");
            }
            let head = head.to_lowercase();
            let length = head.split_once("content-length: ").expect("a length").1;
            let length = length.split_once('\r').expect("its end").0.parse().expect("a number");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.expect("a body");
            let answer =
                format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("an answer");
            tell.send((head, length)).expect("somebody listens");
        }
    });
    (format!("http://127.0.0.1:{port}/push/abc"), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_told_under_our_own_key_and_forgotten_when_it_is_gone() {
    let parts = ClientParts { exceptions: Arc::new(Here), ..ClientParts::default() };
    let hq = Setup::default().http(parts).start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let push = "/w/marlow-cargo/settings/push";
    let key = tom.post(&format!("{push}/key"), &json!({})).await.json()["key"].clone();
    assert_eq!(key, tom.post(&format!("{push}/key"), &json!({})).await.json()["key"]);
    let plain =
        json!({ "endpoint": "http://a.example", "keys": { "p256dh": P256DH, "auth": AUTH } });
    let refused = tom.post(push, &plain).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let secret = json!({ "endpoint": "https://push.example/quokka", "keys": { "p256dh": P256DH, "auth": AUTH } });
    assert_eq!(tom.post(push, &secret).await.status, StatusCode::OK);
    assert!(!tom.get("/w/marlow-cargo/settings/notifications").await.text.contains("quokka"));
    let gone = tom.post(&format!("{push}/remove"), &secret).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    // A reachable push service.
    let (endpoint, mut told) = push_service(vec![201, 410]).await;
    let who = account(&hq, "tom");
    let new = NewBrowser {
        endpoint,
        p256dh: P256DH.to_owned(),
        auth: AUTH.to_owned(),
        agent: "A browser".to_owned(),
    };
    let system = hq.running().app.system.clone();
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let put = system.write(by.0, by.1, move |tx| rules::subscribe(tx, who, new)).await;
    put.expect("a subscription");
    task(&mira, json!({ "title": "Prices" })).await;
    comment(&mira, "MC-1", "@tom look").await;
    let (head, length) =
        tokio::time::timeout(PATIENCE, told.recv()).await.expect("told").expect("it");
    assert!(head.contains("content-encoding: aes128gcm"), "{head}");
    assert!(head.contains("ttl: 86400") && head.contains("authorization: vapid t="), "{head}");
    let key = key.as_str().expect("a key").to_lowercase();
    assert!(head.contains(&format!("k={key}")), "{head}");
    assert!(100 < length, "{length}");
    until(&hq, <[Delivery]>::is_empty).await;
    // The second time the subscription is gone, and is dropped.
    hq.advance(Duration::from_secs(3_600)).await;
    comment(&mira, "MC-1", "@tom again").await;
    tokio::time::timeout(PATIENCE, told.recv()).await.expect("told").expect("it");
    until(&hq, <[Delivery]>::is_empty).await;
    let left = system.read(|snap| reading::browsers(snap, who)).expect("a read");
    assert_eq!(left.len(), 0);
    hq.finish().await;
}
