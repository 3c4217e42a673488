//! Messages from the page with a person's actions.

use serde::Deserialize;

use browser::screencast::{Button, Input, Key, Mouse, MouseAct, TouchAct, TouchPoint};

/// An action.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Order {
    /// A picture was drawn.
    Ack,
    /// Takes control; `over` takes it from another person.
    Take {
        #[serde(default)]
        over: bool,
    },
    /// Releases control.
    Hand {
        #[serde(default)]
        note: String,
    },
    /// Hides the page from all others.
    Hide,
    /// Ends the hiding.
    Unhide,
    /// Switches to a tab.
    Tab {
        tab: u32,
    },
    /// Opens a tab.
    Open,
    /// Closes a tab.
    Close {
        tab: u32,
    },
    /// Opens an address.
    Go {
        url: String,
    },
    /// Goes back.
    Back,
    /// Reloads the page.
    Reload,
    Mouse(Pointer),
    /// Touch input.
    Touch {
        act: Finger,
        points: Vec<Place>,
    },
    /// Key down.
    Down(Stroke),
    /// Key up.
    Up(Stroke),
    /// Composed or pasted text.
    Text {
        text: String,
    },
    /// Cancels the open file chooser.
    NoFile,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Press {
    Move,
    Down,
    Up,
    Wheel,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finger {
    Start,
    Move,
    End,
    Cancel,
    Tap,
}

/// A mouse event. `button` is the DOM value: 0 left, 1 middle, 2 right, -1 none.
#[derive(Debug, Deserialize)]
pub(super) struct Pointer {
    act: Press,
    x: f64,
    y: f64,
    #[serde(default)]
    button: i8,
    #[serde(default)]
    clicks: u8,
    #[serde(default)]
    modifiers: u8,
    #[serde(default)]
    dx: f64,
    #[serde(default)]
    dy: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Place {
    x: f64,
    y: f64,
    id: u8,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stroke {
    key: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    number: u32,
    #[serde(default)]
    modifiers: u8,
    #[serde(default)]
    repeats: bool,
}

impl Order {
    /// Whether the action leaves the current page.
    pub(super) fn leaves(&self) -> bool {
        matches!(self, Self::Go { .. } | Self::Back | Self::Reload | Self::Close { .. })
    }

    /// The action as browser input; `None` for other actions.
    pub(super) fn input(&self) -> Option<Input> {
        Some(match self {
            Self::Mouse(pointer) => Input::Mouse(pointer.mouse()),
            Self::Touch { act, points } => {
                let act = match act {
                    Finger::Start => TouchAct::Start,
                    Finger::Move => TouchAct::Move,
                    Finger::End => TouchAct::End,
                    Finger::Cancel => TouchAct::Cancel,
                    Finger::Tap => TouchAct::Tap,
                };
                let point = |place: &Place| TouchPoint { x: place.x, y: place.y, id: place.id };
                Input::Touch { act, points: points.iter().map(point).collect() }
            }
            Self::Down(stroke) => Input::KeyDown(stroke.key()),
            Self::Up(stroke) => Input::KeyUp(stroke.key()),
            Self::Text { text } => Input::Text(text.clone()),
            _ => return None,
        })
    }
}

impl Pointer {
    fn mouse(&self) -> Mouse {
        let act = match self.act {
            Press::Move => MouseAct::Move,
            Press::Down => MouseAct::Down,
            Press::Up => MouseAct::Up,
            Press::Wheel => MouseAct::Wheel { x: self.dx, y: self.dy },
        };
        let button = match self.button {
            0 => Button::Left,
            1 => Button::Middle,
            2 => Button::Right,
            _ => Button::None,
        };
        let Self { x, y, clicks, modifiers, .. } = *self;
        Mouse { act, x, y, button, clicks, modifiers }
    }
}

impl Stroke {
    fn key(&self) -> Key {
        Key {
            key: self.key.clone(),
            code: self.code.clone(),
            text: self.text.clone(),
            number: self.number,
            modifiers: self.modifiers,
            repeats: self.repeats,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Order;
    use browser::screencast::{Input, MouseAct};

    fn order(text: &str) -> Order {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_a_page_says_becomes_input() {
        let turn = order(r#"{"do":"mouse","act":"wheel","x":1,"y":2,"button":-1,"dx":0,"dy":40}"#);
        let Some(Input::Mouse(mouse)) = turn.input() else { panic!("a mouse") };
        assert_eq!(mouse.act, MouseAct::Wheel { x: 0.0, y: 40.0 });
        let key = order(r#"{"do":"down","key":"a","code":"KeyA","text":"a","number":65}"#);
        assert!(matches!(key.input(), Some(Input::KeyDown(_))));
        assert!(order(r#"{"do":"take"}"#).input().is_none());
        assert!(serde_json::from_str::<Order>(r#"{"do":"eval","script":"1"}"#).is_err());
    }
}
