//! Several addresses in one cell of a file, or several columns for one field: each goes to a field of its own.

use noun::{Column, FieldValue, Kind};

/// An address that a row of a file has.
pub(super) struct Address {
    /// The key of the field that it goes to.
    pub(super) key: String,
    /// The heading of its column.
    pub(super) header: String,
    /// As it stands there.
    pub(super) text: String,
    pub(super) value: FieldValue,
}

/// The addresses in a cell, one by one; none for a kind that is no address.
pub(super) fn pieces(kind: Kind, text: &str) -> Option<Vec<String>> {
    match kind {
        Kind::Email => Some(noun::mails_in(text)),
        Kind::Phone => Some(noun::phones_in(text)),
        Kind::Url => Some(text.split(noun::GOOGLE).map(|one| one.trim().to_owned()).collect()),
        _ => None,
    }
}

/// The key of a field without the number behind it: `phone_2` is another `phone`.
fn stem(key: &str) -> &str {
    let bare = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if bare.len() < key.len() { bare.strip_suffix('_').unwrap_or(key) } else { key }
}

/// The addresses of a row with the fields that take them: each field the first that goes there, then free fields of the
/// same kind what is left. Behind them those for which there is no field.
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
    use noun::FieldValue;

    use super::{Address, placed};
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
}
