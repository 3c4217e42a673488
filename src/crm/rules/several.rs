//! Several values in one cell, or several columns for one field: addresses are distributed over several fields; of
//! companies and roles the first counts.

use entity::{Column, FieldValue, Kind};

/// An address in a row of a file.
pub(super) struct Address {
    /// Key of the field that its column is mapped to.
    pub(super) key: String,
    /// Heading of its column.
    pub(super) header: String,
    /// Text of the cell.
    pub(super) text: String,
    pub(super) value: FieldValue,
}

/// The addresses in a cell; `None` for kinds that are no addresses.
pub(super) fn pieces(kind: Kind, text: &str) -> Option<Vec<String>> {
    match kind {
        Kind::Email => Some(entity::mails_in(text)),
        Kind::Phone => Some(entity::phones_in(text)),
        Kind::Url => Some(text.split(entity::GOOGLE).map(web).collect()),
        _ => None,
    }
}

/// A web address without the escapes of Google Contacts: `http\://example.com`.
fn web(text: &str) -> String {
    let text = text.trim();
    match text.split_once("\\:") {
        Some((scheme @ ("http" | "https"), rest)) => {
            format!("{scheme}:{}", rest.replace("\\:", ":"))
        }
        _ => text.to_owned(),
    }
}

/// The companies or roles in a cell, separated as by Google Contacts (`:::`) or HubSpot (`;`).
pub(super) fn listed(text: &str) -> Vec<String> {
    // References such as `&amp;` end with a semicolon, too.
    let text = entity::tidied(text);
    let all = text.split(":::").flat_map(|one| one.split(';')).map(str::trim);
    all.filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// The first value of a field's columns, and the others. The primary company has precedence, then those that HubSpot
/// calls associated, then others.
pub(super) fn first(mut values: Vec<(String, String)>) -> Option<(String, Vec<(String, String)>)> {
    let rank = |header: &str| match header.to_lowercase() {
        header if header.contains("primary") => 0,
        header if header.contains("associated") => 1,
        _ => 2,
    };
    values.sort_by_key(|(header, _)| rank(header));
    let mut values = values.into_iter();
    let (_, first) = values.next()?;
    let mut seen = vec![entity::folded(&first)];
    let mut rest = Vec::new();
    for (header, text) in values {
        let plain = entity::folded(&text);
        if !seen.contains(&plain) {
            seen.push(plain);
            rest.push((header, text));
        }
    }
    Some((first, rest))
}

/// The key of a field without a number suffix: `phone_2` belongs to `phone`.
pub(super) fn stem(key: &str) -> &str {
    let bare = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if bare.len() < key.len() { bare.strip_suffix('_').unwrap_or(key) } else { key }
}

/// Assigns the addresses of a row to fields: each field gets the first address of its column, free fields of the same
/// kind get the others. Also returns the addresses without a field.
pub(super) fn placed(found: Vec<Address>, columns: &[Column]) -> (Vec<Address>, Vec<Address>) {
    let (mut placed, mut rest): (Vec<Address>, Vec<Address>) = (Vec::new(), Vec::new());
    for one in found {
        let is_same = |other: &&Address| {
            stem(&other.key) == stem(&one.key) && other.value.identity() == one.value.identity()
        };
        if placed.iter().chain(&rest).any(|other| is_same(&other)) {
            continue;
        }
        match placed.iter().any(|other| other.key == one.key) {
            true => rest.push(one),
            false => placed.push(one),
        }
    }
    let mut left = Vec::new();
    for mut one in rest {
        let kind = columns.iter().find(|column| column.key == one.key).map(|column| column.kind);
        let is_free = |column: &&Column| {
            Some(column.kind) == kind
                && stem(&column.key) == stem(&one.key)
                && placed.iter().all(|other| other.key != column.key)
        };
        match columns.iter().find(is_free) {
            Some(column) => {
                one.key.clone_from(&column.key);
                placed.push(one);
            }
            None => left.push(one),
        }
    }
    (placed, left)
}

#[cfg(test)]
mod tests {
    use entity::{FieldValue, Kind};

    use super::{Address, first, listed, pieces, placed};
    use crate::columns::own;
    use crate::model::Home;

    #[test]
    fn a_second_address_goes_to_the_second_field_and_none_is_lost() {
        let mail = |key: &str, text: &str| Address {
            key: key.to_owned(),
            header: "E-mail".to_owned(),
            text: text.to_owned(),
            value: FieldValue::Email(text.to_owned()),
        };
        let columns = own(Home::Contacts);
        let keys = |all: &[Address]| {
            all.iter().map(|one| format!("{}={}", one.key, one.text)).collect::<Vec<_>>()
        };
        let (put, left) = placed(vec![mail("email", "a@x"), mail("email", "b@x")], &columns);
        assert_eq!((keys(&put), left.len()), (vec!["email=a@x".into(), "email_2=b@x".into()], 0));
        let all = ["a@x", "b@x", "A@x"].map(|one| mail("email", one));
        let all = all.into_iter().chain([mail("email_2", "c@x")]).collect();
        let (put, left) = placed(all, &columns);
        assert_eq!(keys(&put), ["email=a@x", "email_2=c@x"]);
        assert_eq!(keys(&left), ["email=b@x"]);
    }

    #[test]
    fn of_several_companies_the_primary_one_counts_and_the_rest_is_told() {
        assert_eq!(listed("Buyer ::: Head of Tea"), ["Buyer", "Head of Tea"]);
        assert_eq!(listed("Acme &amp; Sons;Globex; "), ["Acme & Sons", "Globex"]);
        let values = [
            ("Company Name", "acme"),
            ("Associated Company", "Globex"),
            ("Associated Company", "Initech"),
            ("Associated Company (Primary)", "Initech"),
        ];
        let values = values.map(|(header, text)| (header.to_owned(), text.to_owned())).to_vec();
        let (name, rest) = first(values).expect("a company");
        let rest: Vec<&str> = rest.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!((name.as_str(), rest), ("Initech", vec!["Globex", "acme"]));
    }

    #[test]
    fn web_addresses_of_google_are_read_without_escapes() {
        let read = |text: &str| pieces(Kind::Url, text).unwrap_or_default();
        let all = "http\\://a.example\\:81/x ::: https://b.example";
        assert_eq!(read(all), ["http://a.example:81/x", "https://b.example"]);
    }
}
