//! Mapping of the columns of HQ's own exports: fields by key, as in JSON, or by label, as in CSV.

use entity::{Column, Kind};
use uuid::Uuid;

use super::guess::kind;
use crate::model::{Goes, Mapped, STAMPS};
use crate::rules::literal::PARTS;

/// The heading of record ids.
pub(crate) const ID: &str = STAMPS[0];

/// Whether a file has record ids.
pub(super) fn has_ids(headers: &[String], rows: &[Vec<String>]) -> bool {
    let Some(n) = headers.iter().position(|one| one == ID) else { return false };
    let mut ids = filled(rows, n).peekable();
    let is_id = |text: &str| Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7);
    ids.peek().is_some() && ids.all(is_id)
}

fn filled(rows: &[Vec<String>], n: usize) -> impl Iterator<Item = &str> {
    let cells = rows.iter().filter_map(move |row| row.get(n)).map(|text| text.trim());
    cells.filter(|text| !text.is_empty())
}

/// Maps the columns. Unknown fields become new ones.
pub(super) fn columns(
    (headers, rows): (&[String], &[Vec<String>]),
    fields: &[Column],
) -> Vec<Mapped> {
    let keyed = |header: &str| fields.iter().find(|field| field.key == header);
    let labelled = |header: &str| fields.iter().find(|field| field.label == header);
    let count = |is: &dyn Fn(&str) -> bool| headers.iter().filter(|header| is(header)).count();
    let is_json =
        count(&|header| labelled(header).is_some()) <= count(&|header| keyed(header).is_some());
    let field = |header: &str| match is_json {
        true => keyed(header).or_else(|| labelled(header)),
        false => labelled(header).or_else(|| keyed(header)),
    };
    let goes = |(n, header): (usize, &String)| {
        // A relation has two columns in JSON: id and name of its target.
        let part = PARTS.iter().find_map(|part| Some((header.strip_suffix(part)?, *part)));
        let part = part.filter(|(head, _)| {
            PARTS.iter().all(|part| headers.iter().any(|one| *one == format!("{head}{part}")))
        });
        let leads = |field: &&Column| field.kind == Kind::Relation;
        match (field(header), part) {
            _ if header == ID => Goes::Id,
            (Some(field), _) => Goes::Field(field.key.clone()),
            (None, Some((head, part))) => match field(head).filter(leads) {
                Some(field) => Goes::Field(field.key.clone()),
                None if part == PARTS[0] => Goes::Nowhere,
                None => Goes::New(kind(rows, n)),
            },
            _ if STAMPS.contains(&header.as_str()) || filled(rows, n).next().is_none() => {
                Goes::Nowhere
            }
            _ => Goes::New(kind(rows, n)),
        }
    };
    headers.iter().enumerate().map(|one| Mapped::new(one.1, goes(one))).collect()
}

#[cfg(test)]
mod tests {
    use entity::Kind;

    use super::{columns, has_ids};
    use crate::columns::own;
    use crate::model::{Goes, Home};

    #[test]
    fn exports_of_hq_are_known_by_ids_and_go_back_to_their_fields() {
        let id = "019ace10-0000-7000-8000-000000000001";
        let words = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let headers = words(&["company", "id", "organization.id", "organization.name", "bikes"]);
        let rows = vec![words(&["Brandt", id, id, "Brandt GmbH", "2"])];
        let all = columns((&headers, &rows), &own(Home::Contacts));
        let field = |key: &str| Goes::Field(key.to_owned());
        let goes: Vec<Goes> = all.into_iter().map(|one| one.goes).collect();
        let wanted = [
            field("company"),
            Goes::Id,
            field("organization"),
            field("organization"),
            Goes::New(Kind::Number),
        ];
        assert_eq!(goes, wanted);
        assert!(has_ids(&headers, &rows));
        assert!(!has_ids(&headers, &[words(&["Brandt", "17", "", "", ""])]), "of another product");
    }
}
