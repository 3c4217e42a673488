//! Custom colours, adjusted to be readable in both themes.
//!
//! Pages have no inline styles. `data-c` names the colour: one of the twelve by name, any other by 16 steps of red,
//! green and blue per theme. `tokens.css` has a rule for each step.

use kernel::{Colour, Hue};

/// Minimum contrast ratio of text to its background.
pub(crate) const CONTRAST: f64 = 4.5;
/// Background in the light theme.
const LIGHT: [u8; 3] = [0xff, 0xff, 0xff];
/// Background in the dark theme: menus, the lightest of its backgrounds.
const DARK: [u8; 3] = [0x22, 0x28, 0x35];
/// Difference between two of the 16 steps of a colour channel.
const STEP: u8 = 17;

/// The value of `data-c` for one of the twelve colours.
#[must_use]
pub fn named(hue: Hue) -> String {
    hue.label().to_lowercase()
}

/// The value of `data-c` for any colour.
#[must_use]
pub fn drawn(colour: Colour) -> String {
    match colour {
        Colour::Named(hue) => named(hue),
        Colour::Own(own) => {
            let ([r, g, b], [x, y, z]) = pair(own);
            format!("r{r:x} g{g:x} b{b:x} x{x:x} y{y:x} z{z:x}")
        }
    }
}

/// The steps of a colour for the light and the dark background.
fn pair(colour: [u8; 3]) -> ([u8; 3], [u8; 3]) {
    (readable(colour, [0; 3], LIGHT), readable(colour, [u8::MAX; 3], DARK))
}

/// Mixes as little of `end` into the colour as the contrast requires.
fn readable(colour: [u8; 3], end: [u8; 3], ground: [u8; 3]) -> [u8; 3] {
    let mut all = (0..=32).map(|part| mixed(colour, end, part));
    let enough = |steps: &[u8; 3]| CONTRAST <= contrast(steps.map(|step| step * STEP), ground);
    // Black or white is readable on its background.
    all.find(enough).unwrap_or_else(|| mixed(colour, end, 32))
}

/// Mixes `part` of 32 parts of `end` into the colour; returns steps.
fn mixed(colour: [u8; 3], end: [u8; 3], part: u16) -> [u8; 3] {
    let step = |at: usize| {
        let sum = u16::from(colour[at]) * (32 - part) + u16::from(end[at]) * part;
        // ok: the mean of two bytes is a byte, and a step is smaller.
        u8::try_from((sum / 32 + u16::from(STEP) / 2) / u16::from(STEP)).unwrap_or(u8::MAX / STEP)
    };
    [step(0), step(1), step(2)]
}

/// Contrast ratio of two colours from 1 to 21 (WCAG 2).
#[must_use]
pub fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Red, green and blue in linear light, from 0 to 1.
pub(crate) fn linear(colour: [u8; 3]) -> [f64; 3] {
    colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    })
}

pub(crate) fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = linear(colour);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::{CONTRAST, DARK, LIGHT, STEP, contrast, drawn, pair};
    use kernel::{Colour, Hue};

    #[test]
    fn any_colour_can_be_read_in_both_themes() {
        let parts = (0..=u8::MAX).step_by(15);
        for red in parts.clone() {
            for (green, blue) in parts.clone().flat_map(|g| parts.clone().map(move |b| (g, b))) {
                let colour = [red, green, blue];
                let (light, dark) = pair(colour);
                for (steps, ground) in [(light, LIGHT), (dark, DARK)] {
                    assert!(steps.iter().all(|step| *step < 16), "{colour:?}: {steps:?}");
                    let has = contrast(steps.map(|step| step * STEP), ground);
                    assert!(CONTRAST <= has, "{colour:?} on {ground:?}: {has}");
                }
            }
        }
    }

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        assert_eq!(pair([0x00, 0x66, 0x44]).0, [0x0, 0x6, 0x4]);
        assert_eq!(pair([0xaa, 0xdd, 0xff]).1, [0xa, 0xd, 0xf]);
        assert_eq!(drawn(Colour::Named(Hue::C9)), "blue");
        assert_eq!(drawn(Colour::Own([0x00, 0x66, 0x44])).get(..8), Some("r0 g6 b4"));
    }

    #[test]
    fn each_step_has_a_rule() {
        let css = include_str!("../../static/css/tokens.css");
        for (part, step) in "rgbxyz".chars().flat_map(|part| (0..16).map(move |step| (part, step)))
        {
            let rule = format!("[data-c~=\"{part}{step:x}\"] {{ --{part}: {}; }}", step * STEP);
            assert!(css.contains(&rule), "{rule}");
        }
    }
}
