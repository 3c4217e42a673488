//! Common page elements as templates: icons, buttons, faces, chips, times, tabs.
//!
//! Pages use them through the macros in `templates/macros.html`. Askama expands a macro at each call, so frequently
//! used elements are separate templates, which are compiled once.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::parts::{Dot, Face, Tab};
use crate::time::RelTime;

/// An icon of the sprite.
#[derive(Template)]
#[template(path = "ui/icon.html")]
pub struct Icon<'a> {
    name: &'a str,
    size: &'a str,
    state: &'a str,
    prio: &'a str,
}

impl HtmlSafe for Icon<'_> {}

/// Creates an icon. `name` is the icon's name in the sprite.
pub fn icon<'a>(name: &'a str, size: &'a str, state: &'a str, prio: &'a str) -> Icon<'a> {
    Icon { name, size, state, prio }
}

/// A submit button.
#[derive(Template)]
#[template(path = "ui/button.html")]
pub struct Button<'a> {
    label: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    size: &'a str,
    tone: &'a str,
}

impl HtmlSafe for Button<'_> {}

/// Creates a submit button.
#[expect(clippy::too_many_arguments, reason = "a macro of the templates names them")]
pub fn button<'a>(
    label: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    size: &'a str,
    tone: &'a str,
) -> Button<'a> {
    Button { label, kind, glyph, key, press, name, value, size, tone }
}

/// A link styled as a button.
#[derive(Template)]
#[template(path = "ui/go.html")]
pub struct Go<'a> {
    label: &'a dyn Display,
    href: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    size: &'a str,
}

impl HtmlSafe for Go<'_> {}

/// Creates a link styled as a button.
pub fn go<'a>(
    label: &'a dyn Display,
    href: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    size: &'a str,
) -> Go<'a> {
    Go { label, href, kind, glyph, key, press, size }
}

/// The primary button of the top bar.
#[derive(Template)]
#[template(path = "ui/create.html")]
pub struct Create<'a> {
    label: &'a dyn Display,
    href: &'a dyn Display,
    key: &'a str,
    press: &'a str,
}

impl HtmlSafe for Create<'_> {}

/// Creates the primary button of the top bar.
pub fn create<'a>(
    label: &'a dyn Display,
    href: &'a dyn Display,
    key: &'a str,
    press: &'a str,
) -> Create<'a> {
    Create { label, href, key, press }
}

/// A button with an icon only.
#[derive(Template)]
#[template(path = "ui/icon_button.html")]
pub struct IconButton<'a> {
    glyph: &'a str,
    label: &'a dyn Display,
    kind: &'a str,
    size: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    tone: &'a str,
}

impl HtmlSafe for IconButton<'_> {}

/// Creates a button with an icon only.
pub fn icon_button<'a>(
    glyph: &'a str,
    label: &'a dyn Display,
    kind: &'a str,
    size: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    tone: &'a str,
) -> IconButton<'a> {
    IconButton { glyph, label, kind, size, name, value, tone }
}

/// A link with an icon only.
#[derive(Template)]
#[template(path = "ui/icon_go.html")]
pub struct IconGo<'a> {
    glyph: &'a str,
    label: &'a dyn Display,
    href: &'a dyn Display,
    kind: &'a str,
    size: &'a str,
}

impl HtmlSafe for IconGo<'_> {}

/// Creates a link with an icon only.
pub fn icon_go<'a>(
    glyph: &'a str,
    label: &'a dyn Display,
    href: &'a dyn Display,
    kind: &'a str,
    size: &'a str,
) -> IconGo<'a> {
    IconGo { glyph, label, href, kind, size }
}

/// A button that opens a dialog.
#[derive(Template)]
#[template(path = "ui/opens.html")]
pub struct Opens<'a> {
    target: &'a dyn Display,
    label: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    size: &'a str,
    tone: &'a str,
}

impl HtmlSafe for Opens<'_> {}

/// Creates a button that opens the dialog `target`.
#[expect(clippy::too_many_arguments, reason = "a macro of the templates names them")]
pub fn opens<'a>(
    target: &'a dyn Display,
    label: &'a dyn Display,
    kind: &'a str,
    glyph: &'a str,
    key: &'a str,
    press: &'a str,
    size: &'a str,
    tone: &'a str,
) -> Opens<'a> {
    Opens { target, label, kind, glyph, key, press, size, tone }
}

/// A button that copies text to the clipboard.
#[derive(Template)]
#[template(path = "ui/copy.html")]
pub struct Copy<'a> {
    text: &'a dyn Display,
    label: &'a dyn Display,
}

impl HtmlSafe for Copy<'_> {}

/// Creates a button that copies `text` to the clipboard.
pub fn copy<'a>(text: &'a dyn Display, label: &'a dyn Display) -> Copy<'a> {
    Copy { text, label }
}

/// An avatar.
#[derive(Template)]
#[template(path = "ui/face.html")]
pub struct Picture<'a> {
    f: &'a Face,
    size: &'a str,
}

impl HtmlSafe for Picture<'_> {}

/// Creates an avatar.
pub fn face<'a>(f: &'a Face, size: &'a str) -> Picture<'a> {
    Picture { f, size }
}

/// A state dot with its label.
#[derive(Template)]
#[template(path = "ui/status.html")]
pub struct Status<'a> {
    d: &'a Dot,
}

impl HtmlSafe for Status<'_> {}

/// Creates a state dot with its label.
pub fn status<'a>(d: &'a Dot) -> Status<'a> {
    Status { d }
}

/// A chip.
#[derive(Template)]
#[template(path = "ui/chip.html")]
pub struct Chip<'a> {
    label: &'a dyn Display,
    state: &'a str,
    tone: &'a str,
    glyph: &'a str,
    colour: &'a str,
    href: &'a str,
    size: &'a str,
}

impl HtmlSafe for Chip<'_> {}

/// Creates a chip.
pub fn chip<'a>(
    label: &'a dyn Display,
    state: &'a str,
    tone: &'a str,
    glyph: &'a str,
    colour: &'a str,
    href: &'a str,
    size: &'a str,
) -> Chip<'a> {
    Chip { label, state, tone, glyph, colour, href, size }
}

/// A relative time.
#[derive(Template)]
#[template(path = "ui/time.html")]
pub struct Time<'a> {
    at: &'a RelTime,
}

impl HtmlSafe for Time<'_> {}

/// Creates a relative time.
pub fn time<'a>(at: &'a RelTime) -> Time<'a> {
    Time { at }
}

/// Tabs below a heading.
#[derive(Template)]
#[template(path = "ui/tabs.html")]
pub struct Tabs<'a> {
    list: &'a [Tab],
    label: &'a dyn Display,
}

impl HtmlSafe for Tabs<'_> {}

/// Creates tabs below a heading.
pub fn tabs<'a>(list: &'a [Tab], label: &'a dyn Display) -> Tabs<'a> {
    Tabs { list, label }
}

/// A segmented control in a toolbar.
#[derive(Template)]
#[template(path = "ui/seg.html")]
pub struct Segment<'a> {
    list: &'a [Tab],
    label: &'a dyn Display,
}

impl HtmlSafe for Segment<'_> {}

/// Creates a segmented control in a toolbar.
pub fn seg<'a>(list: &'a [Tab], label: &'a dyn Display) -> Segment<'a> {
    Segment { list, label }
}

/// A placeholder that loads the next rows of a list.
#[derive(Template)]
#[template(path = "ui/pager.html")]
pub struct Pager<'a> {
    href: &'a dyn Display,
    part: &'a str,
    passed: &'a str,
}

impl HtmlSafe for Pager<'_> {}

/// Creates a placeholder that loads the next rows from `href`. `passed` describes rows that were searched without a
/// match; empty if there were none.
pub fn pager<'a>(href: &'a dyn Display, part: &'a str, passed: &'a str) -> Pager<'a> {
    Pager { href, part, passed }
}

/// A menu entry that is a link.
#[derive(Template)]
#[template(path = "ui/menu_link.html")]
pub struct MenuLink<'a> {
    label: &'a dyn Display,
    href: &'a dyn Display,
    glyph: &'a str,
    key: &'a str,
}

impl HtmlSafe for MenuLink<'_> {}

/// Creates a menu entry that is a link.
pub fn menu_link<'a>(
    label: &'a dyn Display,
    href: &'a dyn Display,
    glyph: &'a str,
    key: &'a str,
) -> MenuLink<'a> {
    MenuLink { label, href, glyph, key }
}

/// A menu entry that submits a form.
#[derive(Template)]
#[template(path = "ui/menu_button_line.html")]
pub struct MenuLine<'a> {
    label: &'a dyn Display,
    glyph: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    state: &'a str,
    prio: &'a str,
    tone: &'a str,
    key: &'a str,
    chosen: bool,
}

impl HtmlSafe for MenuLine<'_> {}

/// Creates a menu entry that submits a form.
#[expect(clippy::too_many_arguments, reason = "a macro of the templates names them")]
pub fn menu_button_line<'a>(
    label: &'a dyn Display,
    glyph: &'a str,
    name: &'a str,
    value: &'a dyn Display,
    state: &'a str,
    prio: &'a str,
    tone: &'a str,
    key: &'a str,
    chosen: &bool,
) -> MenuLine<'a> {
    MenuLine { label, glyph, name, value, state, prio, tone, key, chosen: *chosen }
}
