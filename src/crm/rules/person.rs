//! Personal data in exports of address books: names as a whole, in parts, or both; birthdays without a year.

use entity::folded;

/// The part of a name in a column, by its heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamePart {
    /// The whole name.
    Whole,
    Given,
    Middle,
    Family,
    /// Any other part, such as a suffix; appended to the name.
    Other,
}

/// The part of a name in a column with this heading, which is in lower case with single spaces.
pub(crate) fn name_part(heading: &str) -> NamePart {
    match heading {
        "name" | "full name" | "contact name" | "display name" | "person name" | "person"
        | "氏名" | "名前" | "姓名" => NamePart::Whole,
        "first name" | "given name" | "vorname" | "имя" | "nombre" | "prénom" => {
            NamePart::Given
        }
        "middle name" | "additional name" | "отчество" => NamePart::Middle,
        "last name" | "family name" | "surname" | "nachname" | "фамилия" | "apellidos" | "nom" => {
            NamePart::Family
        }
        _ => NamePart::Other,
    }
}

/// Combines the name columns of a row to one name. A whole name makes its parts redundant; a first column called name
/// that has only the given name is completed by the others.
pub(super) fn name_of(given: &[(NamePart, String)]) -> String {
    let of = |part: NamePart| {
        let fits = move |(one, text): &&(NamePart, String)| *one == part && !text.is_empty();
        given.iter().filter(fits).map(|(_, text)| text.as_str())
    };
    let whole = of(NamePart::Whole).next();
    let parts = || [NamePart::Given, NamePart::Middle, NamePart::Family].into_iter().flat_map(of);
    let mut all: Vec<&str> = Vec::new();
    match whole {
        None => all.extend(parts()),
        Some(whole) => {
            all.push(whole);
            let lower = folded(whole);
            let words: Vec<&str> = lower.split(' ').collect();
            let is_in = |part: &str| folded(part).split(' ').any(|word| words.contains(&word));
            if of(NamePart::Given).next().is_none() && !parts().any(is_in) {
                all.extend(parts());
            }
        }
    }
    for other in of(NamePart::Other) {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all.join(" ")
}

/// Whether a text stands for no date, as Outlook writes it: `0/0/00`.
pub(super) fn is_no_date(text: &str) -> bool {
    let text = text.trim();
    text.contains('0') && text.chars().all(|c| matches!(c, '0' | '/' | '-' | '.'))
}

/// A date without a year, as in Google Contacts and vCards (`--03-14`, `--0314`), in words.
pub(super) fn yearless(text: &str) -> Option<String> {
    let rest = text.trim().strip_prefix("--")?;
    let digits: String = rest.chars().filter(|c| *c != '-').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (month, day) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    // A leap year, which has all days.
    let date = jiff::civil::Date::new(2000, month, day).ok()?;
    Some(date.strftime("%-d %B").to_string())
}

#[cfg(test)]
mod tests {
    use super::{NamePart, is_no_date, name_of, name_part, yearless};

    fn name(parts: &[(&str, &str)]) -> String {
        let parts: Vec<(NamePart, String)> =
            parts.iter().map(|(heading, text)| (name_part(heading), (*text).to_owned())).collect();
        name_of(&parts)
    }

    #[test]
    fn a_name_comes_once_whichever_columns_say_it() {
        let google = [("name", "Имя Фамилия"), ("given name", "Имя"), ("family name", "Фамилия")];
        assert_eq!(name(&google), "Имя Фамилия");
        assert_eq!(name(&[("name", ""), ("given name", "Mei"), ("family name", "Lin")]), "Mei Lin");
        assert_eq!(name(&[("last name", "Lin"), ("first name", "Mei")]), "Mei Lin");
        assert_eq!(name(&[("name", "Rosa"), ("surname", "Teixeira")]), "Rosa Teixeira");
        assert_eq!(
            name(&[("name", "Bob Lin"), ("first name", "Robert"), ("last name", "Lin")]),
            "Bob Lin"
        );
        assert_eq!(name(&[("title", "Dr."), ("first name", "Mei")]), "Mei Dr.");
        assert_eq!(name(&[("name", "")]), "");
    }

    #[test]
    fn days_of_birth_without_a_year_or_without_a_day_are_known() {
        assert_eq!(yearless("--03-14").as_deref(), Some("14 March"));
        assert_eq!(yearless("--0229").as_deref(), Some("29 February"));
        assert_eq!(yearless("--02-30"), None);
        assert_eq!(yearless("1990-02-29"), None);
        assert!(is_no_date("0/0/00") && !is_no_date("10/10/2000") && !is_no_date(""));
    }
}
