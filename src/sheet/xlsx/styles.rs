//! Number formats of cells: dates, durations, and format codes.

use std::collections::HashMap;
use std::rc::Rc;

use quick_xml::events::Event;

use super::super::SheetError;
use super::super::package::{Package, attribute};
use super::{damaged, format};

/// Limit of formats; Excel has 65,490.
pub(crate) const MOST: usize = 1 << 17;
const WHAT: &str = "the list of its formats";

/// Meaning of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Number,
    /// A number padded with zeros to this many digits, such as a postal code.
    Padded(usize),
    /// Date, time, or both.
    Date,
    /// Hours and minutes.
    Duration,
}

/// Style of a number, and its format code.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) style: Style,
    code: Option<Rc<str>>,
}

impl Look {
    /// From a format code.
    pub(crate) fn of_code(code: &str) -> Self {
        let known = (code.len() <= format::LONGEST).then(|| code.into());
        Self { style: of_code(code), code: known }
    }

    /// From the id of a built-in format.
    pub(crate) fn built_in(id: u32) -> Self {
        let code = CODES.iter().find(|(known, _)| *known == id);
        Self { style: built_in(id), code: code.map(|(_, code)| (*code).into()) }
    }

    /// The format code; `None` for plain numbers.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// Built-in formats that do not depend on the locale.
const CODES: &[(u32, &str)] = &[
    (1, "0"),
    (2, "0.00"),
    (3, "#,##0"),
    (4, "#,##0.00"),
    (9, "0%"),
    (10, "0.00%"),
    (12, "# ?/?"),
    (13, "# ??/??"),
    (37, "#,##0;(#,##0)"),
    (38, "#,##0;(#,##0)"),
    (39, "#,##0.00;(#,##0.00)"),
    (40, "#,##0.00;(#,##0.00)"),
];

/// Cell formats by index.
pub(super) fn read(package: &mut Package<'_>, path: &str) -> Result<Vec<Look>, SheetError> {
    let Some(mut part) = package.part(path, WHAT)? else {
        return Ok(Vec::new());
    };
    let mut own: HashMap<u32, Look> = HashMap::new();
    let mut styles = Vec::new();
    let mut within = false;
    loop {
        match part.next()? {
            Event::Start(element) => {
                let id = || attribute(&element, "numFmtId")?.parse().ok();
                match element.local_name().as_ref() {
                    "numFmt" => {
                        if own.len() == MOST {
                            return Err(damaged(WHAT, "it is too long"));
                        }
                        if let (Some(id), Some(code)) = (id(), attribute(&element, "formatCode")) {
                            own.insert(id, Look::of_code(&code));
                        }
                    }
                    "cellXfs" => within = true,
                    "xf" if within => {
                        if styles.len() == MOST {
                            return Err(damaged(WHAT, "it is too long"));
                        }
                        let id = id().unwrap_or(0);
                        styles.push(own.get(&id).cloned().unwrap_or_else(|| Look::built_in(id)));
                    }
                    _ => (),
                }
            }
            Event::End(element) if element.local_name().as_ref() == "cellXfs" => within = false,
            Event::Eof => return Ok(styles),
            _ => (),
        }
    }
}

/// Style of a built-in format.
fn built_in(id: u32) -> Style {
    match id {
        14..=22 | 27..=36 | 45 | 47 | 50..=58 => Style::Date,
        46 => Style::Duration,
        _ => Style::Number,
    }
}

/// Style of a format code such as `[$-409]d. mmm yyyy;@`.
fn of_code(code: &str) -> Style {
    // Only the section for positive numbers.
    let mut plain = String::new();
    let mut signs = code.chars();
    while let Some(sign) = signs.next() {
        match sign {
            ';' => break,
            '"' => drop(signs.find(|sign| *sign == '"')),
            '\\' | '_' | '*' => drop(signs.next()),
            '[' => {
                let inner: String = signs.by_ref().take_while(|sign| *sign != ']').collect();
                let letters = inner.to_ascii_lowercase();
                let first = letters.chars().next().filter(|first| "hms".contains(*first));
                if first.is_some_and(|first| letters.chars().all(|letter| letter == first)) {
                    return Style::Duration;
                }
            }
            sign => plain.push(sign.to_ascii_lowercase()),
        }
    }
    if plain.len() > 1 && plain.bytes().all(|sign| sign == b'0') {
        return Style::Padded(plain.len());
    }
    match plain != "general" && plain.contains(['d', 'm', 'y', 'h', 's']) {
        true => Style::Date,
        false => Style::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::{Style, of_code};

    #[test]
    fn dates_are_told_from_numbers_by_the_code_of_their_format() {
        for code in ["yyyy-mm-dd", "DD/MM/YY;@", "[$-409]h:mm AM/PM", "[Red]d\\.m", "mmm", "ss.0"] {
            assert_eq!(of_code(code), Style::Date, "{code}");
        }
        for code in [
            "General",
            "#,##0.00\\ \"days\"",
            "0.00E+00",
            "[Red]0",
            "0_d",
            "\"y\"0;d",
            "@",
            "[$USD]0",
            "0%",
            "*d0",
        ] {
            assert_eq!(of_code(code), Style::Number, "{code}");
        }
        for code in ["[h]:mm", "[HH]:mm:ss", "[mm]", "[Blue][s]"] {
            assert_eq!(of_code(code), Style::Duration, "{code}");
        }
        assert_eq!(of_code("00000"), Style::Padded(5));
    }
}
