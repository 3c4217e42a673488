//! Accent colours of a workspace, derived from one brand colour so that text stays readable in both themes.
//!
//! The lightness of the colour is changed in OKLCH until the contrast suffices: 4.5 to 1 for text on the accent and for
//! text in it, which covers the 3 to 1 of the focus ring. Hue and, where the screen can show it, chroma stay.

use kernel::{Colour, Hue};

use crate::ink::{CONTRAST, contrast, linear};

/// Changes with the derivation, so that browsers fetch new style sheets.
const VERSION: u8 = 1;
/// Step of the search for a lightness.
const STEP: f64 = 0.004;
/// A smaller change of lightness is not reported.
const SEEN: f64 = 0.02;
/// Colours of the swatches, in the order of [`Hue::ALL`]; the same as in `tokens.css`.
const HUES: [[u8; 3]; 12] = [
    [0xef, 0x44, 0x44],
    [0xf9, 0x73, 0x16],
    [0xf5, 0x9e, 0x0b],
    [0xea, 0xb3, 0x08],
    [0x84, 0xcc, 0x16],
    [0x22, 0xc5, 0x5e],
    [0x14, 0xb8, 0xa6],
    [0x06, 0xb6, 0xd4],
    [0x3b, 0x82, 0xf6],
    [0x63, 0x66, 0xf1],
    [0x8b, 0x5c, 0xf6],
    [0xec, 0x48, 0x99],
];

/// A theme: its backgrounds and how accents differ from them.
struct Ground {
    /// Backgrounds behind text in the accent colour (`--canvas`, `--surface`, `--raised`, `--sunken`, `--hover`).
    backs: &'static [[u8; 3]],
    /// The faintest text, which also stands on `--brand-soft`.
    faint: [u8; 3],
    /// Whether accents become darker to stand out.
    is_light: bool,
}

const LIGHT: Ground = Ground {
    backs: &[[0xf6, 0xf7, 0xfa], [0xff; 3], [0xee, 0xf0, 0xf5], [0xe8, 0xeb, 0xf2]],
    faint: [0x5e, 0x67, 0x7d],
    is_light: true,
};
const DARK: Ground = Ground {
    backs: &[
        [0x0e, 0x11, 0x17],
        [0x15, 0x19, 0x22],
        [0x22, 0x28, 0x35],
        [0x0a, 0x0d, 0x12],
        [0x2a, 0x31, 0x40],
    ],
    faint: [0x92, 0x9c, 0xb0],
    is_light: false,
};

/// Accent colours in both themes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accents {
    light: Tones,
    dark: Tones,
}

/// Accent colours in one theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tones {
    brand: [u8; 3],
    hover: [u8; 3],
    soft: [u8; 3],
    on: [u8; 3],
    link: [u8; 3],
    /// Whether the brand colour itself could not be used.
    is_adjusted: bool,
}

/// Red, green and blue of a colour.
#[must_use]
pub fn rgb(colour: Colour) -> [u8; 3] {
    match colour {
        Colour::Own(own) => own,
        // ok: both lists have the twelve colours.
        Colour::Named(hue) => {
            let at = Hue::ALL.iter().position(|one| *one == hue);
            at.and_then(|at| HUES.get(at)).copied().unwrap_or(HUES[9])
        }
    }
}

/// Text such as `#1f7a5c`.
#[must_use]
pub fn hex(colour: [u8; 3]) -> String {
    Colour::Own(colour).to_string()
}

/// Identifies the style sheet of a colour in its address.
#[must_use]
pub fn rev(colour: Colour) -> String {
    format!("{VERSION}-{}", hex(rgb(colour)).trim_start_matches('#'))
}

impl Accents {
    /// Derives the accents of a colour.
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        let own = Oklch::of(rgb(colour));
        Self { light: tones(own, &LIGHT), dark: tones(own, &DARK) }
    }

    /// The style sheet. Its rule is in no layer and so replaces the tokens.
    #[must_use]
    pub fn css(&self) -> String {
        let (light, dark) = (&self.light, &self.dark);
        let pairs = [
            ("brand", light.brand, dark.brand),
            ("brand-hover", light.hover, dark.hover),
            ("brand-soft", light.soft, dark.soft),
            ("selected", light.soft, dark.soft),
            ("on-brand", light.on, dark.on),
            ("link", light.link, dark.link),
        ];
        let rules = pairs.map(|(name, light, dark)| {
            format!("  --{name}: light-dark({}, {});\n", hex(light), hex(dark))
        });
        format!(":root {{\n{}}}\n", rules.concat())
    }

    /// What was changed so that text stays readable.
    #[must_use]
    pub fn note(&self) -> &'static str {
        match (self.light.is_adjusted, self.dark.is_adjusted) {
            (true, true) => {
                "Darkened in the light theme and lightened in the dark theme, so that text stays \
                 readable (contrast 4.5 to 1)."
            }
            (true, false) => {
                "Darkened in the light theme, so that text stays readable (contrast 4.5 to 1)."
            }
            (false, true) => {
                "Lightened in the dark theme, so that text stays readable (contrast 4.5 to 1)."
            }
            (false, false) => "Used unchanged in both themes.",
        }
    }
}

fn tones(own: Oklch, ground: &Ground) -> Tones {
    let away = if ground.is_light { -STEP } else { STEP };
    // The soft background is nearly as light as the theme's backgrounds.
    let (start, chroma) = match ground.is_light {
        true => (0.935, own.chroma.min(0.03)),
        false => (0.295, (own.chroma * 0.5).min(0.075)),
    };
    let soft = Oklch { lightness: start, chroma, ..own };
    let soft = soft.moved_until(-away, |soft| CONTRAST <= contrast(soft, ground.faint)).rgb();
    let on = match ground.is_light {
        true => [0xff; 3],
        false => Oklch { lightness: 0.2, chroma: own.chroma.min(0.04), ..own }.rgb(),
    };
    let reads = |colour: [u8; 3]| {
        let backs = ground.backs.iter().chain([&soft, &on]);
        backs.copied().all(|back| CONTRAST <= contrast(colour, back))
    };
    let brand = own.moved_until(away, reads);
    // Very dark and very light colours have room on one side only.
    let is_extreme = if ground.is_light { brand.lightness < 0.35 } else { 0.88 < brand.lightness };
    let further = if is_extreme == ground.is_light { 0.06 } else { -0.06 };
    let hover = Oklch { lightness: brand.lightness + further, ..brand };
    let link = Oklch { lightness: (brand.lightness + 7.0 * away).clamp(0.0, 1.0), ..brand };
    Tones {
        brand: brand.rgb(),
        hover: hover.moved_until(away, reads).rgb(),
        soft,
        on,
        link: link.moved_until(away, reads).rgb(),
        is_adjusted: SEEN < (brand.lightness - own.lightness).abs(),
    }
}

/// A colour by lightness (0 to 1), chroma and hue (radians), as people see them.
#[derive(Clone, Copy, Debug)]
struct Oklch {
    lightness: f64,
    chroma: f64,
    hue: f64,
}

impl Oklch {
    fn of(colour: [u8; 3]) -> Self {
        let [red, green, blue] = linear(colour);
        let long = 0.412_221_470_8 * red + 0.536_332_536_3 * green + 0.051_445_992_9 * blue;
        let medium = 0.211_903_498_2 * red + 0.680_699_545_1 * green + 0.107_396_956_6 * blue;
        let short = 0.088_302_461_9 * red + 0.281_718_837_6 * green + 0.629_978_700_5 * blue;
        let [long, medium, short] = [long, medium, short].map(f64::cbrt);
        let a = 1.977_998_495_1 * long - 2.428_592_205_0 * medium + 0.450_593_709_9 * short;
        let b = 0.025_904_037_1 * long + 0.782_771_766_2 * medium - 0.808_675_766_0 * short;
        Self {
            lightness: 0.210_454_255_3 * long + 0.793_617_785_0 * medium - 0.004_072_046_8 * short,
            chroma: a.hypot(b),
            hue: b.atan2(a),
        }
    }

    /// Red, green and blue, linear; outside of 0 to 1 for colours that no screen shows.
    fn linear(self) -> [f64; 3] {
        let (a, b) = (self.chroma * self.hue.cos(), self.chroma * self.hue.sin());
        let [long, medium, short] = [
            self.lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b,
            self.lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b,
            self.lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b,
        ]
        .map(|part| part.powi(3));
        [
            4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short,
            -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short,
            -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short,
        ]
    }

    /// The nearest colour that a screen shows: with the same lightness and hue, and as much chroma as possible.
    fn rgb(self) -> [u8; 3] {
        let shows = |one: Self| one.linear().iter().all(|part| (-1e-4..=1.0001).contains(part));
        let (mut low, mut high) = (0.0, self.chroma);
        if shows(self) {
            low = high;
        }
        while 1e-4 < high - low {
            let chroma = f64::midpoint(low, high);
            match shows(Self { chroma, ..self }) {
                true => low = chroma,
                false => high = chroma,
            }
        }
        Self { chroma: low, ..self }.linear().map(|part| {
            let part = part.clamp(0.0, 1.0);
            let part = if part <= 0.003_130_8 {
                part * 12.92
            } else {
                1.055 * part.powf(1.0 / 2.4) - 0.055
            };
            // ok: 0 to 255 after the clamp.
            (part * 255.0).round() as u8
        })
    }

    /// Changes the lightness step by step until the colour on the screen is `fine`, or white or black.
    fn moved_until(mut self, step: f64, fine: impl Fn([u8; 3]) -> bool) -> Self {
        let has_room = |lightness: f64| if step < 0.0 { 0.0 < lightness } else { lightness < 1.0 };
        while !fine(self.rgb()) && has_room(self.lightness) {
            self.lightness = (self.lightness + step).clamp(0.0, 1.0);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Accents, CONTRAST, DARK, Ground, HUES, LIGHT, Oklch, Tones, hex, rev, rgb};
    use crate::ink::contrast;
    use kernel::{Colour, Hue};

    /// Colours without a pattern, the same in each run.
    fn colours() -> impl Iterator<Item = [u8; 3]> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [red, green, blue, ..] = state.to_be_bytes();
            [red, green, blue]
        })
        .take(400)
    }

    fn check(own: [u8; 3], tones: &Tones, ground: &Ground) {
        let name = hex(own);
        for colour in [tones.brand, tones.hover, tones.link] {
            for back in ground.backs.iter().chain([&tones.soft, &tones.on]) {
                let has = contrast(colour, *back);
                assert!(CONTRAST <= has, "{name}: {} on {}: {has}", hex(colour), hex(*back));
            }
        }
        let has = contrast(ground.faint, tones.soft);
        assert!(CONTRAST <= has, "{name}: faint text on {}: {has}", hex(tones.soft));
    }

    #[test]
    fn text_and_focus_ring_can_be_read_with_any_colour_in_both_themes() {
        let extremes = [[0; 3], [0xff; 3], [0x80; 3], [0xff, 0xff, 0], [0, 0, 0xff], [0, 0xff, 0]];
        for own in colours().chain(extremes).chain(HUES) {
            let accents = Accents::new(Colour::Own(own));
            check(own, &accents.light, &LIGHT);
            check(own, &accents.dark, &DARK);
        }
    }

    #[test]
    fn a_colour_keeps_its_hue_and_says_what_was_changed() {
        let yellow = Accents::new(Colour::Named(Hue::C4));
        assert!(yellow.note().starts_with("Darkened in the light theme, so"), "{yellow:?}");
        let navy = Accents::new(Colour::Own([0x10, 0x20, 0x60]));
        assert!(navy.note().starts_with("Lightened in the dark theme, so"), "{navy:?}");
        assert_eq!(navy.light.brand, [0x10, 0x20, 0x60]);
        for (own, made) in [(HUES[3], yellow.light.brand), ([0x10, 0x20, 0x60], navy.dark.brand)] {
            let turn = (Oklch::of(own).hue - Oklch::of(made).hue).abs();
            assert!(turn < 0.06, "{} became {}", hex(own), hex(made));
        }
    }

    #[test]
    fn a_colour_survives_the_way_through_oklch() {
        for own in colours() {
            assert_eq!(Oklch::of(own).rgb(), own);
        }
    }

    #[test]
    fn swatches_and_backgrounds_are_those_of_the_style_sheet() {
        let css = include_str!("../../static/css/tokens.css");
        for hue in Hue::ALL {
            let (name, colour) = (hue.label().to_lowercase(), hex(rgb(Colour::Named(*hue))));
            let rule = format!("[data-c=\"{name}\"] {{ --c: {colour}; }}");
            assert!(css.contains(&rule), "{rule}");
        }
        for (token, light, dark) in [
            ("canvas", "#f6f7fa", "#0e1117"),
            ("surface", "#fff", "#151922"),
            ("raised", "#fff", "#222835"),
            ("sunken", "#eef0f5", "#0a0d12"),
            ("hover", "#e8ebf2", "#2a3140"),
            ("text-3", "#5e677d", "#929cb0"),
        ] {
            let rule = format!("--{token}: light-dark({light}, {dark});");
            assert!(css.contains(&rule), "{rule}");
        }
    }

    #[test]
    fn the_style_sheet_names_the_accents_and_its_address_the_colour() {
        let css = Accents::new(Colour::Own([0x1f, 0x7a, 0x5c])).css();
        for token in ["brand", "brand-hover", "brand-soft", "selected", "on-brand", "link"] {
            assert!(css.contains(&format!("  --{token}: light-dark(#")), "{css}");
        }
        assert_eq!(rev(Colour::Own([0x1f, 0x7a, 0x5c])), "1-1f7a5c");
        assert_eq!(rev(Colour::Named(Hue::C9)), "1-3b82f6");
    }
}
