//! Widths of the standard 14 fonts, which files may omit: in thousandths of the font size, for printable ASCII from the
//! space.

/// First character of each table.
const FIRST: u32 = 0x20;

const HELVETICA: &[u16] = &[
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
const HELVETICA_BOLD: &[u16] = &[
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667,
    611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556,
    278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];
const TIMES: &[u16] = &[
    250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500,
    500, 500, 500, 500, 500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611,
    556, 722, 722, 333, 389, 722, 611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722,
    722, 611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500, 444, 333, 500, 500, 278, 278, 500,
    278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480, 200, 480, 541,
];
const TIMES_BOLD: &[u16] = &[
    250, 333, 555, 500, 500, 1000, 833, 278, 333, 333, 500, 570, 250, 333, 250, 278, 500, 500, 500,
    500, 500, 500, 500, 500, 500, 500, 333, 333, 570, 570, 570, 500, 930, 722, 667, 722, 722, 667,
    611, 778, 778, 389, 500, 778, 667, 944, 722, 778, 611, 778, 722, 556, 667, 722, 722, 1000, 722,
    722, 667, 333, 278, 333, 581, 500, 333, 500, 556, 444, 556, 444, 333, 500, 556, 278, 333, 556,
    278, 833, 556, 500, 556, 556, 444, 389, 333, 556, 500, 722, 500, 500, 444, 394, 220, 394, 520,
];
/// Courier: all characters.
const COURIER: f64 = 600.0;

/// Widths of a standard font.
pub(super) struct Metrics {
    table: &'static [u16],
}

impl Metrics {
    /// `None` if the font name is not that of a standard font.
    pub fn of(font: &str) -> Option<Self> {
        let is_bold = font.contains("Bold");
        let table: &[u16] = match font {
            name if name.starts_with("Courier") => &[],
            name if name.starts_with("Helvetica") || name.starts_with("Arial") => match is_bold {
                true => HELVETICA_BOLD,
                false => HELVETICA,
            },
            name if name.starts_with("Times") => match is_bold {
                true => TIMES_BOLD,
                false => TIMES,
            },
            _ => return None,
        };
        Some(Self { table })
    }

    /// Width of a letter; accents do not change it.
    pub fn width(&self, letter: char) -> Option<f64> {
        if self.table.is_empty() {
            return Some(COURIER);
        }
        let at = u32::from(letter).checked_sub(FIRST)?;
        self.table.get(at as usize).map(|width| f64::from(*width))
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn fonts_that_every_program_has_are_known_by_name() {
        let width = |font: &str, letter| Metrics::of(font).and_then(|known| known.width(letter));
        assert_eq!(width("Helvetica", 'W'), Some(944.0));
        assert_eq!(width("Times-BoldItalic", '~'), Some(520.0));
        assert_eq!(width("Courier-Oblique", 'ß'), Some(600.0));
        assert_eq!((width("Times-Roman", 'ß'), width("Symbol", 'a')), (None, None));
    }
}
