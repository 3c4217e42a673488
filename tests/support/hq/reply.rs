//! Responses: pages, JSON, event streams.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

use super::PATIENCE;

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Location` header.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {} {}", self.status, self.text))
    }

    /// Text of each element that matches the selector.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let document = Html::parse_document(&self.text);
        document.select(&css(selector)).map(words).collect()
    }

    /// Text of the first matching element.
    pub fn text_of(&self, selector: &str) -> String {
        let first = self.texts(selector).into_iter().next();
        first.unwrap_or_else(|| panic!("no `{selector}` in {} {}", self.status, self.text))
    }

    /// An attribute of each matching element.
    pub fn attrs(&self, selector: &str, name: &str) -> Vec<String> {
        let document = Html::parse_document(&self.text);
        let selector = css(selector);
        let found = document.select(&selector);
        found.filter_map(|one| one.attr(name).map(str::to_owned)).collect()
    }

    /// An attribute of the first matching element.
    pub fn attr(&self, selector: &str, name: &str) -> String {
        let first = self.attrs(selector, name).into_iter().next();
        first.unwrap_or_else(|| panic!("no `{selector}` with {name} in {}", self.text))
    }
}

fn css(selector: &str) -> Selector {
    Selector::parse(selector).expect("a selector written in a test")
}

fn words(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A message of an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub event: String,
    pub id: String,
    pub data: String,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON data")
    }
}

/// An open event stream.
pub struct Events {
    answer: reqwest::Response,
    rest: String,
}

impl Events {
    pub(super) fn of(answer: reqwest::Response) -> Self {
        Self { answer, rest: String::new() }
    }

    /// The next message, without comments; `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.message());
        next.await.expect("a message in time")
    }

    /// The id in the stream's first frame.
    pub async fn place(&mut self) -> String {
        loop {
            if let Some((head, tail)) = self.rest.split_once("\n\n") {
                let id = head.lines().find_map(|line| line.strip_prefix("id: "));
                let id = id.expect("the stream begins with its place").to_owned();
                self.rest = tail.to_owned();
                return id;
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let piece = piece.expect("a frame in time").expect("a stream").expect("a frame");
            self.rest.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    /// The next message of this kind.
    pub async fn next_of(&mut self, event: &str) -> Message {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if message.event == event {
                return message;
            }
        }
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((head, tail)) = self.rest.split_once("\n\n") {
                let message = parse(head);
                self.rest = tail.to_owned();
                if let Some(message) = message {
                    return Some(message);
                }
                continue;
            }
            let piece = self.answer.chunk().await.ok()??;
            self.rest.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }
}

fn parse(text: &str) -> Option<Message> {
    let mut message = Message::default();
    for line in text.lines().filter(|line| !line.starts_with(':')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut message.event),
            "id" => value.clone_into(&mut message.id),
            "data" => message.data.push_str(value),
            _ => {}
        }
    }
    (!message.event.is_empty() || !message.data.is_empty()).then_some(message)
}
