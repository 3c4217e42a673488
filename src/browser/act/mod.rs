//! Acts on parts of a page by their refs, with real mouse and key events, after a check that the part is visible, at
//! rest, enabled and not covered.
//!
//! An act that was sent is never repeated. [`Page::after`] reports its result.

pub mod keys;
mod files;
mod picture;
mod stake;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use serde_json::{Value, json};

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{DragEvent, FrameOwner, InsertText, InterceptDrags};
use crate::refs::Node;
use crate::screencast::{Button, Key, Mouse, MouseAct};
use crate::snapshot::escape::Quoted;
use crate::transport::USUAL;
pub use files::Upload;
pub(crate) use files::place;
pub use picture::{Shot, Spot};
pub use stake::{Aim, Does, Form, Stake};
pub use wait::Wait;

/// How long a part may take to become visible, stop moving and be uncovered.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a page may take to acknowledge input.
const TAKEN_WITHIN: Duration = Duration::from_secs(3);
/// Maximum depth of nested frames for a point.
const MAX_DEPTH: usize = 20;
/// How long the browser may take to detect a drag.
const DRAGS_WITHIN: Duration = Duration::from_millis(300);
const STEPS_OF_DRAG: u8 = 5;

const AIM: &str = include_str!("aim.js");
const FILL: &str = include_str!("fill.js");
const FOCUS: &str = include_str!("focus.js");
const SELECT: &str = include_str!("select.js");

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Click {
    pub button: Button,
    /// Number of clicks; 0 counts as 1.
    pub count: u8,
    /// Bit set of held keys: Alt 1, Control 2, Meta 4, Shift 8.
    pub modifiers: u8,
}

/// A position in the page in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Page {
    pub async fn click(&self, number: u32, click: Click) -> Result<(), BrowserError> {
        let at = self.aim(number).await?;
        self.click_at(at, click).await
    }

    /// Clicks at a position of the page.
    pub async fn click_at(&self, at: Point, click: Click) -> Result<(), BrowserError> {
        let Click { button, count, modifiers } = click;
        let mouse = |act, clicks| Mouse { act, x: at.x, y: at.y, button, clicks, modifiers };
        let mut events = vec![Mouse { button: Button::None, ..mouse(MouseAct::Move, 0) }];
        for clicks in 1..=count.max(1) {
            events.extend([mouse(MouseAct::Down, clicks), mouse(MouseAct::Up, clicks)]);
        }
        self.mouse(&events).await
    }

    pub async fn hover(&self, number: u32) -> Result<(), BrowserError> {
        let at = self.aim(number).await?;
        self.mouse(&[moved(at, Button::None)]).await
    }

    /// Scrolls over a part, or over the middle of the page.
    pub async fn scroll(&self, number: Option<u32>, x: f64, y: f64) -> Result<(), BrowserError> {
        let at = match number {
            Some(number) => self.aim(number).await?,
            None => self.middle().await?,
        };
        let turn = Mouse { act: MouseAct::Wheel { x, y }, ..moved(at, Button::None) };
        self.mouse(&[moved(at, Button::None), turn]).await
    }

    pub async fn drag(&self, from: u32, to: u32) -> Result<(), BrowserError> {
        let (start, end) = (self.aim(from).await?, self.aim(to).await?);
        // Both must be in view at the same time.
        let now_at = self.aim(from).await?;
        if start != now_at {
            return Err(not_actionable(from, "can't be dragged that far; scroll both into view"));
        }
        self.with_tab(|tab| tab.drag = None)?;
        self.call(&InterceptDrags { enabled: true }, USUAL).await?;
        let done = self.drag_between(start, end).await;
        self.tell(&InterceptDrags { enabled: false });
        done
    }

    async fn drag_between(&self, from: Point, to: Point) -> Result<(), BrowserError> {
        let held = |act, at: Point| Mouse { act, clicks: 1, ..moved(at, Button::Left) };
        self.mouse(&[moved(from, Button::None), held(MouseAct::Down, from)]).await?;
        let on_the_way = |step: u8| {
            let part = f64::from(step) / f64::from(STEPS_OF_DRAG);
            Point { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part }
        };
        for step in 1..=STEPS_OF_DRAG {
            self.mouse(&[held(MouseAct::Move, on_the_way(step))]).await?;
        }
        // A drag that the page implements with mouse events gives no drag data.
        if let Some(data) = self.until(DRAGS_WITHIN, |tab| tab.drag.clone()).await? {
            for kind in ["dragEnter", "dragOver", "drop"] {
                let event = DragEvent { r#type: kind, x: to.x, y: to.y, data: &data };
                self.call(&event, USUAL).await?;
            }
        }
        self.mouse(&[held(MouseAct::Up, to)]).await
    }

    /// Types after the present text of a field.
    pub async fn type_text(&self, number: u32, text: &str) -> Result<(), BrowserError> {
        self.on(number, FOCUS, vec![]).await?;
        self.insert(number, text).await
    }

    /// Replaces the text of a field.
    pub async fn fill(&self, number: u32, text: &str) -> Result<(), BrowserError> {
        let ready = self.on(number, FILL, vec![json!(text)]).await?;
        if ready["done"] == json!(true) {
            return Ok(());
        }
        match text {
            "" if ready["empty"] == json!(true) => Ok(()),
            "" => self.press_on(&self.node(number).await?.session, "Delete").await,
            text => self.insert(number, text).await,
        }
    }

    /// Selects options of a list by label or value.
    pub async fn select(&self, number: u32, options: &[String]) -> Result<(), BrowserError> {
        self.on(number, SELECT, vec![json!(options)]).await.map(drop)
    }

    /// Presses a key with optional modifiers, such as `Control+A`.
    pub async fn press(&self, keys: &str) -> Result<(), BrowserError> {
        self.press_on(&self.session, keys).await
    }

    /// Focuses a part and presses a key.
    pub async fn press_in(&self, number: u32, keys: &str) -> Result<(), BrowserError> {
        self.on(number, FOCUS, vec![]).await?;
        self.press_on(&self.node(number).await?.session, keys).await
    }

    async fn press_on(&self, session: &Arc<str>, keys: &str) -> Result<(), BrowserError> {
        let key: Key = keys::parse(keys)?;
        self.bring_to_front().await?;
        let link = &self.running.link;
        let mut down = key.down();
        let commands = keys::commands(&key);
        down.commands = &commands;
        let up = key.up();
        let both = future::try_join(
            link.call(Some(session), &down, TAKEN_WITHIN),
            link.call(Some(session), &up, TAKEN_WITHIN),
        );
        unless_closed(both.await.map(drop))
    }

    async fn insert(&self, number: u32, text: &str) -> Result<(), BrowserError> {
        let node = self.node(number).await?;
        let insert = InsertText { text };
        let done = self.running.link.call(Some(&node.session), &insert, TAKEN_WITHIN).await;
        unless_closed(done.map(drop))
    }

    /// Sends a sequence of mouse events.
    async fn mouse(&self, events: &[Mouse]) -> Result<(), BrowserError> {
        self.bring_to_front().await?;
        let events: Vec<_> = events.iter().map(Mouse::event).collect();
        let sent = events.iter().map(|event| self.call(event, TAKEN_WITHIN));
        unless_closed(future::try_join_all(sent).await.map(drop))
    }

    /// The point at which a part can be clicked, in pixels of the page.
    async fn aim(&self, number: u32) -> Result<Point, BrowserError> {
        let patience = json!(u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX));
        let arguments = vec![patience.clone(), Value::Null, Value::Null];
        let mut at = point(&self.on(number, AIM, arguments).await?);
        let mut frame = self.node(number).await?.frame;
        for _ in 0..MAX_DEPTH {
            let Some(owner) = self.owner_of(&frame).await? else { return Ok(at) };
            let found = self.call_on(&owner, AIM, vec![patience.clone(), json!(at.x), json!(at.y)]);
            at = point(&self.checked(number, found.await).await?);
            frame = owner.frame;
        }
        Err(not_actionable(number, "is nested in too many frames"))
    }

    /// The node that contains a frame.
    async fn owner_of(&self, frame: &str) -> Result<Option<Node>, BrowserError> {
        let parent = self.with_tab(|tab| {
            let id = tab.frames.get(frame)?.parent.clone()?;
            let parent = tab.frames.get(&id)?;
            Some((id, Arc::clone(&parent.session), parent.loader.clone()))
        })?;
        let Some((id, session, loader)) = parent else { return Ok(None) };
        let owner = FrameOwner { frame_id: frame };
        let backend = self.running.link.call(Some(&session), &owner, USUAL).await?.backend_node_id;
        Ok(Some(Node { session, frame: id, loader, backend }))
    }

    /// The node of a ref, if its document still exists.
    pub(crate) async fn node(&self, number: u32) -> Result<Node, BrowserError> {
        let node = self.with_tab(|tab| {
            let node = tab.refs.node(number)?;
            let frame = tab.frames.get(&node.frame)?;
            (frame.loader == node.loader).then(|| node.clone())
        })?;
        match node {
            Some(node) => Ok(node),
            None => Err(self.stale(number).await),
        }
    }

    /// Calls a function of the driver on a part.
    async fn on(
        &self,
        number: u32,
        function: &str,
        arguments: Vec<Value>,
    ) -> Result<Value, BrowserError> {
        let node = self.node(number).await?;
        self.bring_to_front().await?;
        let answer = self.call_on(&node, function, arguments).await;
        self.checked(number, answer).await
    }

    /// The result of such a function, or why the part cannot be acted on.
    async fn checked(
        &self,
        number: u32,
        answer: Result<Value, BrowserError>,
    ) -> Result<Value, BrowserError> {
        let answer = match answer {
            // The node, its document or its frame is gone.
            Err(BrowserError::Refused { method, message }) => {
                tracing::debug!("{method} for e{number} was refused: {message}");
                return Err(self.stale(number).await);
            }
            answer => answer?,
        };
        let why = match answer["why"].as_str() {
            None => return Ok(answer),
            Some("gone") => return Err(self.stale(number).await),
            Some("hidden") => "isn't visible; open or scroll what hides it".to_owned(),
            Some("disabled") => "is disabled".to_owned(),
            Some("readonly") => "is read-only".to_owned(),
            Some("moving") => "doesn't stop moving".to_owned(),
            Some("no field") => "isn't a text field".to_owned(),
            Some("no list") => "isn't a list of options; click it, and then the option".to_owned(),
            Some("form") => {
                "doesn't accept this value; write dates as 2026-12-31, times as 23:59, numbers as \
                 -12.5"
                    .to_owned()
            }
            Some("long") => format!("accepts at most {} characters", answer["most"]),
            Some("no option") => format!("has no such option; it has {}", words(&answer["have"])),
            Some(_) => {
                let by = answer["by"].as_str().unwrap_or("another part");
                format!("is covered by {}; close or move that first", Quoted(by, 100))
            }
        };
        Err(BrowserError::NotActionable { number, why })
    }
}

fn words(list: &Value) -> String {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let quoted = list.iter().filter_map(Value::as_str).map(|word| Quoted(word, 60).to_string());
    quoted.collect::<Vec<_>>().join(" | ")
}

fn point(answer: &Value) -> Point {
    let of = |name: &str| answer[name].as_f64().unwrap_or_default();
    Point { x: of("x"), y: of("y") }
}

fn moved(at: Point, button: Button) -> Mouse {
    Mouse { act: MouseAct::Move, x: at.x, y: at.y, button, clicks: 0, modifiers: 0 }
}

fn not_actionable(number: u32, why: &str) -> BrowserError {
    BrowserError::NotActionable { number, why: why.to_owned() }
}

/// A page may close its own tab or be busy because of an act, which was done nevertheless. Later waiting shows whether
/// the page comes to rest.
fn unless_closed(done: Result<(), BrowserError>) -> Result<(), BrowserError> {
    match done {
        Err(BrowserError::TabClosed | BrowserError::TimedOut { .. }) => Ok(()),
        done => done,
    }
}
