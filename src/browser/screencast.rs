//! Screencast of a tab, and manual input by mouse, touch and keys.
//!
//! The browser draws the next picture only after the last one was acknowledged, so the receiver sets the pace.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::watch;

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{
    AckFrame, CastFrame, InsertText, KeyEvent, MouseEvent, StartCast, StopCast, TouchEvent,
};
use crate::transport::USUAL;

/// Parameters of a screencast.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// JPEG quality, up to 100.
    pub quality: u8,
    /// In pixels.
    pub max_width: u32,
    /// In pixels.
    pub max_height: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self { quality: 60, max_width: 1280, max_height: 1280 }
    }
}

/// One picture of a tab.
#[derive(Clone, Debug)]
pub struct Picture {
    /// JPEG.
    pub bytes: Arc<[u8]>,
    /// Width of the page in CSS pixels, the unit of input coordinates.
    pub page_width: f64,
    /// Height of the page in CSS pixels.
    pub page_height: f64,
    /// Zoom factor of the page.
    pub scale: f64,
    /// Scroll offset of the page.
    pub scrolled: (f64, f64),
    number: i64,
}

impl From<CastFrame> for Picture {
    fn from(frame: CastFrame) -> Self {
        let bytes = STANDARD.decode(frame.data).unwrap_or_else(|error| {
            tracing::debug!("a picture of the browser is not understood: {error}");
            Vec::new()
        });
        Self {
            bytes: bytes.into(),
            page_width: frame.metadata.device_width,
            page_height: frame.metadata.device_height,
            scale: frame.metadata.page_scale_factor,
            scrolled: (frame.metadata.scroll_offset_x, frame.metadata.scroll_offset_y),
            number: frame.session_id,
        }
    }
}

/// Sender of pictures for the reading thread; only the newest is kept.
pub(crate) struct Frames(watch::Sender<Option<Picture>>);

impl Frames {
    /// Returns whether somebody will receive the picture.
    pub(crate) fn put(&self, picture: Picture) -> bool {
        !picture.bytes.is_empty() && self.0.send(Some(picture)).is_ok()
    }

    /// Whether somebody waits for pictures.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

/// A running screencast; stops when it is dropped. A tab has at most one: a second one ends the first.
pub struct Cast {
    page: Page,
    pictures: watch::Receiver<Option<Picture>>,
}

impl Page {
    /// Starts a screencast of the tab.
    pub async fn cast(&self, look: Look) -> Result<Cast, BrowserError> {
        self.bring_to_front().await?;
        // Pictures of an earlier screencast may arrive until this is acknowledged.
        self.with_tab(|tab| tab.cast = None)?;
        self.call(&StopCast {}, USUAL).await?;
        let (sender, pictures) = watch::channel(None);
        self.with_tab(|tab| tab.cast = Some(Frames(sender)))?;
        let start = StartCast {
            format: "jpeg",
            quality: look.quality,
            max_width: look.max_width,
            max_height: look.max_height,
            every_nth_frame: 1,
        };
        self.call(&start, USUAL).await?;
        Ok(Cast { page: self.clone(), pictures })
    }
}

impl Cast {
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// Waits for the next picture and requests another one; `None` when the tab is closed or the screencast was ended.
    pub async fn next(&mut self) -> Option<Picture> {
        self.pictures.changed().await.ok()?;
        let picture = self.pictures.borrow_and_update().clone()?;
        self.page.tell(&AckFrame { session_id: picture.number });
        Some(picture)
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        let ours = |cast: &mut Frames| cast.0.subscribe().same_channel(&self.pictures);
        let ended = self.page.with_tab(|tab| tab.cast.take_if(ours).is_some());
        // A closed tab has stopped by itself.
        if ended.unwrap_or(false) {
            self.page.tell(&StopCast {});
        }
    }
}

/// Input of a person, in CSS pixels of the page.
#[derive(Clone, Debug)]
pub enum Input {
    Mouse(Mouse),
    Touch {
        act: TouchAct,
        /// Positions of the touching fingers.
        points: Vec<TouchPoint>,
    },
    KeyDown(Key),
    KeyUp(Key),
    /// Composed or pasted text.
    Text(String),
}

#[derive(Clone, Copy, Debug)]
pub struct Mouse {
    pub act: MouseAct,
    pub x: f64,
    pub y: f64,
    pub button: Button,
    /// Number of consecutive clicks.
    pub clicks: u8,
    /// Bit set: Alt 1, Control 2, Meta 4, Shift 8.
    pub modifiers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MouseAct {
    Move,
    Down,
    Up,
    /// The mouse wheel turns.
    Wheel {
        /// To the right, in pixels.
        x: f64,
        /// Downwards, in pixels.
        y: f64,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// No button is held.
    None,
    #[default]
    Left,
    Middle,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TouchPoint {
    pub x: f64,
    pub y: f64,
    /// Identifies the finger.
    pub id: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchAct {
    /// Another finger touches.
    Start,
    Move,
    /// One finger is lifted.
    End,
    /// The touch is cancelled.
    Cancel,
    /// One finger touches and is lifted at once. A separate start and end become a long press if the end is late.
    Tap,
}

/// A key in terms of DOM keyboard events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Meaning: `a`, `Enter`.
    pub key: String,
    /// Physical position: `KeyA`.
    pub code: String,
    /// Typed text.
    pub text: String,
    pub number: u32,
    /// Bit set: Alt 1, Control 2, Meta 4, Shift 8.
    pub modifiers: u8,
    /// Whether the key is held down.
    pub repeats: bool,
}

impl Input {
    /// Whether the input may type text.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::KeyDown(key) => !key.text.is_empty() || key.modifiers != 0,
            Self::Text(_) => true,
            Self::Mouse(_) | Self::Touch { .. } | Self::KeyUp(_) => false,
        }
    }

    /// Whether the input may move the keyboard focus.
    pub(crate) fn may_move_focus(&self) -> bool {
        match self {
            Self::Mouse(mouse) => mouse.act == MouseAct::Up,
            Self::Touch { act, .. } => matches!(act, TouchAct::End | TouchAct::Tap),
            Self::KeyDown(key) => key.text.is_empty() || key.key == "Enter",
            Self::KeyUp(_) | Self::Text(_) => false,
        }
    }
}

impl Page {
    /// Sends input of a person.
    pub async fn input(&self, input: &Input) -> Result<(), BrowserError> {
        self.bring_to_front().await?;
        match input {
            Input::Mouse(mouse) => self.call(&mouse.event(), USUAL).await.map(drop),
            Input::Touch { act, points } => match act {
                TouchAct::Start => self.touch("touchStart", points).await,
                TouchAct::Move => self.touch("touchMove", points).await,
                TouchAct::End => self.touch("touchEnd", points).await,
                TouchAct::Cancel => self.touch("touchCancel", points).await,
                TouchAct::Tap => {
                    // Sends the end before the page has answered the start.
                    let (start, end) =
                        tokio::join!(self.touch("touchStart", points), self.touch("touchEnd", &[]));
                    start.and(end)
                }
            },
            Input::KeyDown(key) => self.call(&key.down(), USUAL).await.map(drop),
            Input::KeyUp(key) => self.call(&key.up(), USUAL).await.map(drop),
            Input::Text(text) => self.call(&InsertText { text }, USUAL).await.map(drop),
        }
    }

    async fn touch(&self, r#type: &str, touch_points: &[TouchPoint]) -> Result<(), BrowserError> {
        let touch = TouchEvent { r#type, touch_points, modifiers: 0 };
        self.call(&touch, USUAL).await.map(drop)
    }
}

impl Mouse {
    pub(crate) fn event(&self) -> MouseEvent<'static> {
        let (kind, delta_x, delta_y) = match self.act {
            MouseAct::Move => ("mouseMoved", 0.0, 0.0),
            MouseAct::Down => ("mousePressed", 0.0, 0.0),
            MouseAct::Up => ("mouseReleased", 0.0, 0.0),
            MouseAct::Wheel { x, y } => ("mouseWheel", x, y),
        };
        let (button, held) = match self.button {
            Button::None => ("none", 0),
            Button::Left => ("left", 1),
            Button::Right => ("right", 2),
            Button::Middle => ("middle", 4),
        };
        MouseEvent {
            r#type: kind,
            x: self.x,
            y: self.y,
            button,
            buttons: if self.act == MouseAct::Up { 0 } else { held },
            click_count: self.clicks,
            delta_x,
            delta_y,
            modifiers: self.modifiers,
        }
    }
}

impl Key {
    pub(crate) fn down(&self) -> KeyEvent<'_> {
        let kind = if self.text.is_empty() { "rawKeyDown" } else { "keyDown" };
        self.event(kind, &self.text)
    }

    pub(crate) fn up(&self) -> KeyEvent<'_> {
        self.event("keyUp", "")
    }

    fn event<'a>(&'a self, kind: &'a str, text: &'a str) -> KeyEvent<'a> {
        KeyEvent {
            r#type: kind,
            key: &self.key,
            code: &self.code,
            text,
            windows_virtual_key_code: self.number,
            modifiers: self.modifiers,
            auto_repeat: self.repeats,
            commands: &[],
        }
    }
}
