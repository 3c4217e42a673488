//! Pictures of a tab for those who watch, and what they do with mouse, fingers and keys.
//!
//! The browser draws the next picture only when the last one was taken, so whoever takes pictures sets the pace.

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

/// How a cast looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// JPEG quality, up to 100.
    pub quality: u8,
    /// Pixels.
    pub max_width: u32,
    /// Pixels.
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
    /// The page's own width, to which the coordinates of input belong.
    pub page_width: f64,
    /// The page's own height.
    pub page_height: f64,
    /// How much the page is enlarged.
    pub scale: f64,
    /// How far the page is scrolled.
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

/// Where the reading thread puts pictures; the newest is kept.
pub(crate) struct Frames(watch::Sender<Option<Picture>>);

impl Frames {
    /// Answers whether somebody will take it.
    pub(crate) fn put(&self, picture: Picture) -> bool {
        !picture.bytes.is_empty() && self.0.send(Some(picture)).is_ok()
    }

    /// Whether somebody waits for pictures.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

/// The running pictures of a tab, until it is dropped. One a tab: a second one ends the first.
pub struct Cast {
    page: Page,
    pictures: watch::Receiver<Option<Picture>>,
}

impl Page {
    /// Begins to draw pictures of the tab.
    pub async fn cast(&self, look: Look) -> Result<Cast, BrowserError> {
        self.bring_to_front().await?;
        // Pictures of a former cast are on their way until this is answered.
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
    /// What is drawn.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// The next picture, as soon as the page has changed; none when the tab is closed or the cast was ended. The
    /// browser draws another one from now on.
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
        // A tab that is gone draws no more either.
        if ended.unwrap_or(false) {
            self.page.tell(&StopCast {});
        }
    }
}

/// What a person does with the page, in the page's own pixels.
#[derive(Clone, Debug)]
pub enum Input {
    /// The mouse moves, is pressed, let go or turned.
    Mouse(Mouse),
    /// Fingers touch, move or leave.
    Touch {
        /// What they do.
        act: TouchAct,
        /// Where those are that touch.
        points: Vec<TouchPoint>,
    },
    /// A key goes down.
    KeyDown(Key),
    /// A key goes up.
    KeyUp(Key),
    /// Text that was composed or pasted.
    Text(String),
}

/// One event of the mouse.
#[derive(Clone, Copy, Debug)]
pub struct Mouse {
    /// What it does.
    pub act: MouseAct,
    pub x: f64,
    pub y: f64,
    pub button: Button,
    /// How often in a row it was pressed.
    pub clicks: u8,
    /// Alt 1, Control 2, Meta 4, Shift 8.
    pub modifiers: u8,
}

/// What the mouse does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MouseAct {
    /// It moves.
    Move,
    /// A button goes down.
    Down,
    /// A button goes up.
    Up,
    /// The wheel turns.
    Wheel {
        /// To the right, in pixels.
        x: f64,
        /// Downwards, in pixels.
        y: f64,
    },
}

/// A button of the mouse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// None is held.
    None,
    /// The usual one.
    #[default]
    Left,
    /// The wheel.
    Middle,
    /// The one for menus.
    Right,
}

/// A finger on the page.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TouchPoint {
    pub x: f64,
    pub y: f64,
    /// Which finger.
    pub id: u8,
}

/// What fingers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchAct {
    /// Another one touches.
    Start,
    /// They move.
    Move,
    /// One leaves.
    End,
    /// The touch is taken back.
    Cancel,
    /// One finger touches and leaves at once. A start and an end of their own become a long press when the end comes late.
    Tap,
}

/// A key as browsers name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// What it means: `a`, `Enter`.
    pub key: String,
    /// Where it lies: `KeyA`.
    pub code: String,
    /// What it types.
    pub text: String,
    pub number: u32,
    /// Alt 1, Control 2, Meta 4, Shift 8.
    pub modifiers: u8,
    /// Whether it is held.
    pub repeats: bool,
}

impl Input {
    /// Whether letters may come of it.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::KeyDown(key) => !key.text.is_empty() || key.modifiers != 0,
            Self::Text(_) => true,
            Self::Mouse(_) | Self::Touch { .. } | Self::KeyUp(_) => false,
        }
    }

    /// Whether another part may have the keyboard behind it.
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
    /// Does what a person does.
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
                    // The end is on its way before the page has answered the start.
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
