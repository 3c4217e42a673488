//! Tests of messages over pipes whose other end is the test.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::BrowserError;
use crate::protocol::{GetVersion, History};
use crate::transport::{Event, Link, Listener, MAX_MESSAGE, USUAL};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Listener for Heard {
    fn heard(&self, _link: &Link, event: &Event<'_>) {
        let session = event.session.unwrap_or("-");
        self.0.lock().push(format!("{session} {} {}", event.method, event.params));
    }

    fn ended(&self) {
        self.0.lock().push("ended".to_owned());
    }
}

struct Far {
    read: BufReader<PipeReader>,
    write: PipeWriter,
    link: Link,
    heard: Arc<Heard>,
}

impl Far {
    fn new() -> Self {
        let (read, theirs) = io::pipe().unwrap();
        let (ours, write) = io::pipe().unwrap();
        let heard = Arc::new(Heard::default());
        let link = Link::open(theirs, ours, Arc::clone(&heard)).unwrap();
        Self { read: BufReader::new(read), write, link, heard }
    }

    fn order(&mut self) -> String {
        let mut bytes = Vec::new();
        self.read.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0));
        String::from_utf8(bytes).unwrap()
    }

    fn say(&mut self, text: &str) {
        self.write.write_all(text.as_bytes()).unwrap();
        self.write.write_all(&[0]).unwrap();
    }

    fn heard_all(self) -> Vec<String> {
        let Self { read, write, link, heard } = self;
        drop((read, write));
        loop {
            let mut all = heard.0.lock().clone();
            if all.pop_if(|last| last == "ended").is_some() {
                assert!(link.has_ended());
                return all;
            }
            std::thread::yield_now();
        }
    }
}

fn session() -> Arc<str> {
    "S1".into()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_find_their_calls_in_any_order_and_events_are_heard() {
    let mut far = Far::new();
    let link = far.link.clone();
    let both = tokio::spawn(async move {
        let in_session = session();
        tokio::join!(
            link.call(None, &GetVersion {}, USUAL),
            link.call(Some(&in_session), &History {}, USUAL)
        )
    });
    assert_eq!(far.order(), r#"{"id":1,"method":"Browser.getVersion","params":{}}"#);
    let second = far.order();
    assert_eq!(
        second,
        r#"{"id":2,"method":"Page.getNavigationHistory","sessionId":"S1","params":{}}"#
    );
    far.say(r#"{"method":"A.b","params":{"c":"é"},"sessionId":"S1"}"#);
    far.say("not json");
    far.say(r#"{"id":99,"result":{}}"#);
    far.say(r#"{"id":2,"error":{"code":-32000,"message":"Not attached","data":"S1"}}"#);
    far.say(r#"{"id":1,"result":{"product":"Chrome/156","more":1}}"#);
    let (version, history) = both.await.unwrap();
    assert_eq!(version.unwrap().product, "Chrome/156");
    let refused = history.err().unwrap().to_string();
    assert_eq!(refused, "the browser refused Page.getNavigationHistory: Not attached: S1");
    assert_eq!(far.heard_all()[0], r#"S1 A.b {"c":"é"}"#);
}

#[tokio::test]
async fn a_call_ends_with_its_time() {
    let far = Far::new();
    let late = far.link.call(None, &GetVersion {}, Duration::from_millis(5)).await;
    assert!(matches!(late, Err(BrowserError::TimedOut { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_the_crash_of_its_session_and_with_the_pipe() {
    let mut far = Far::new();
    let link = far.link.clone();
    let two = tokio::spawn(async move {
        let in_session = session();
        tokio::join!(
            link.call(Some(&in_session), &History {}, USUAL),
            link.call(None, &GetVersion {}, USUAL)
        )
    });
    far.order();
    far.order();
    far.link.crash(&session());
    let repeated = far.link.call(Some(&session()), &History {}, USUAL).await;
    assert!(matches!(repeated, Err(BrowserError::Crashed)));
    let link = far.link.clone();
    assert_eq!(far.heard_all().len(), 0);
    let (crashed, ended) = two.await.unwrap();
    assert!(matches!(crashed, Err(BrowserError::Crashed)));
    assert!(matches!(ended, Err(BrowserError::Ended)));
    assert!(matches!(link.call(None, &GetVersion {}, USUAL).await, Err(BrowserError::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_end_fails_its_call_alone() {
    let mut far = Far::new();
    let link = far.link.clone();
    let large = tokio::spawn(async move { link.call(None, &GetVersion {}, USUAL).await });
    far.order();
    let piece = vec![b'x'; 1 << 20];
    far.write.write_all(br#"{"id":1,"result":{"product":""#).unwrap();
    for _ in 0..=MAX_MESSAGE >> 20 {
        far.write.write_all(&piece).unwrap();
    }
    far.say("\"}}");
    assert!(matches!(large.await.unwrap(), Err(BrowserError::TooLarge)));
    far.say(r#"{"method":"A.after","params":{}}"#);
    assert_eq!(far.heard_all()[0], "- A.after {}");
}
