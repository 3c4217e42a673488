//! What stands on pages again and again: icons, buttons, faces, chips, times, tabs.
//!
//! Templates write them as macros (`templates/macros.html`), and a macro is laid out anew wherever it is
//! called. So those that are called often are templates of their own, which are compiled once.

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

/// An icon of the sprite.
pub fn icon<'a>(name: &'a str, size: &'a str, state: &'a str, prio: &'a str) -> Icon<'a> {
    Icon { name, size, state, prio }
}

/// A button that sends its form.
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

/// A button that sends its form.
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

/// A link that looks like a button.
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

/// A link that looks like a button.
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

/// The primary button of the top bar.
pub fn create<'a>(
    label: &'a dyn Display,
    href: &'a dyn Display,
    key: &'a str,
    press: &'a str,
) -> Create<'a> {
    Create { label, href, key, press }
}

/// A button with an icon alone.
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

/// A button with an icon alone.
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

/// A link with an icon alone.
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

/// A link with an icon alone.
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

/// A button that opens a dialog.
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

/// A button that copies a text.
#[derive(Template)]
#[template(path = "ui/copy.html")]
pub struct Copy<'a> {
    text: &'a dyn Display,
    label: &'a dyn Display,
}

impl HtmlSafe for Copy<'_> {}

/// A button that copies a text.
pub fn copy<'a>(text: &'a dyn Display, label: &'a dyn Display) -> Copy<'a> {
    Copy { text, label }
}

/// A face.
#[derive(Template)]
#[template(path = "ui/face.html")]
pub struct Picture<'a> {
    f: &'a Face,
    size: &'a str,
}

impl HtmlSafe for Picture<'_> {}

/// A face.
pub fn face<'a>(f: &'a Face, size: &'a str) -> Picture<'a> {
    Picture { f, size }
}

/// A dot with words.
#[derive(Template)]
#[template(path = "ui/status.html")]
pub struct Status<'a> {
    d: &'a Dot,
}

impl HtmlSafe for Status<'_> {}

/// A dot with words.
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

/// A chip.
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

/// A moment.
#[derive(Template)]
#[template(path = "ui/time.html")]
pub struct Time<'a> {
    at: &'a RelTime,
}

impl HtmlSafe for Time<'_> {}

/// A moment.
pub fn time<'a>(at: &'a RelTime) -> Time<'a> {
    Time { at }
}

/// Tabs under a head.
#[derive(Template)]
#[template(path = "ui/tabs.html")]
pub struct Tabs<'a> {
    list: &'a [Tab],
    label: &'a dyn Display,
}

impl HtmlSafe for Tabs<'_> {}

/// Tabs under a head.
pub fn tabs<'a>(list: &'a [Tab], label: &'a dyn Display) -> Tabs<'a> {
    Tabs { list, label }
}

/// A segment in a bar.
#[derive(Template)]
#[template(path = "ui/seg.html")]
pub struct Segment<'a> {
    list: &'a [Tab],
    label: &'a dyn Display,
}

impl HtmlSafe for Segment<'_> {}

/// A segment in a bar.
pub fn seg<'a>(list: &'a [Tab], label: &'a dyn Display) -> Segment<'a> {
    Segment { list, label }
}

/// The rest of a list.
#[derive(Template)]
#[template(path = "ui/pager.html")]
pub struct Pager<'a> {
    href: &'a dyn Display,
    part: &'a str,
    passed: &'a str,
}

impl HtmlSafe for Pager<'_> {}

/// The rest of a list; `passed` says what was looked through in vain so far, if anything was.
pub fn pager<'a>(href: &'a dyn Display, part: &'a str, passed: &'a str) -> Pager<'a> {
    Pager { href, part, passed }
}

/// A line of a menu that leads somewhere.
#[derive(Template)]
#[template(path = "ui/menu_link.html")]
pub struct MenuLink<'a> {
    label: &'a dyn Display,
    href: &'a dyn Display,
    glyph: &'a str,
    key: &'a str,
}

impl HtmlSafe for MenuLink<'_> {}

/// A line of a menu that leads somewhere.
pub fn menu_link<'a>(
    label: &'a dyn Display,
    href: &'a dyn Display,
    glyph: &'a str,
    key: &'a str,
) -> MenuLink<'a> {
    MenuLink { label, href, glyph, key }
}

/// A line of a menu that acts.
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

/// A line of a menu that acts.
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
