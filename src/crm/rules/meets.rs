//! Finds the existing record for a row of a file.

use entity::{FieldValue, folded, plain_url};
use kernel::key::KeyBuf;
use serde_json::{Map, Value};
use store::{Range, StoreError, WriteTx};

use crate::columns::ORGANIZATION;
use crate::model::{NAME, Row, RowKind, identity_key};
use crate::names::{rows_named, title_of};

/// Domains of public mail providers: an address there does not identify an organization. An entry with a trailing dot
/// matches every country domain.
const SHARED: [&str; 32] = [
    "126.com",
    "163.com",
    "aol.",
    "daum.net",
    "fastmail.com",
    "foxmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.",
    "googlemail.com",
    "hey.com",
    "hotmail.",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "t-online.de",
    "web.de",
    "yahoo.",
    "yandex.",
];

/// Maximum number of examined rows with the same address.
const SHARING: usize = 20;

/// Existing records for a row of a file.
#[derive(Default)]
pub(super) struct Meets {
    /// The record that the row means.
    pub(super) same: Option<Row>,
    /// A record of the same name that may be another one.
    pub(super) like: Option<Row>,
}

/// The domain of an email address, if it identifies an organization.
pub(super) fn domain_of(value: &FieldValue) -> Option<&str> {
    let FieldValue::Email(address) = value else { return None };
    let (_, domain) = address.rsplit_once('@')?;
    let lower = domain.trim().to_ascii_lowercase();
    let is_shared = SHARED.iter().any(|one| match one.ends_with('.') {
        true => lower.starts_with(one) && lower.len() <= one.len() + "com.br".len(),
        false => lower == *one,
    });
    (!is_shared).then_some(domain.trim())
}

fn host(plain: &str) -> &str {
    plain.split(['/', ':']).next().unwrap_or_default()
}

/// The row whose website has this domain; `None` if there is none or several.
pub(super) fn at_domain(
    kind: &'static RowKind,
    tx: &WriteTx<'_>,
    domain: &str,
) -> Result<Option<Row>, StoreError> {
    /// Maximum number of examined addresses with this prefix.
    const MOST: usize = 50;
    let Some((sort, domain)) = FieldValue::Url(domain.to_owned()).identity() else {
        return Ok(None);
    };
    // A prefix without end mark, because paths may follow.
    let mut key = KeyBuf::new();
    key.u8(sort).raw(domain.as_bytes());
    let mut found: Vec<Row> = kind.scan(tx, kind.identity, &Range::prefix(key).limit(MOST))?;
    found
        .retain(|row| row.archived_at.is_none() && host(&plain_url(row.text("website"))) == domain);
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The record that a row of a file means: by email, phone, LinkedIn or website, else by name. Contacts need the same
/// organization, too, and must not have different email addresses.
pub(super) fn met(
    kind: &'static RowKind,
    tx: &WriteTx<'_>,
    (values, fields): (&Map<String, Value>, &[(String, FieldValue)]),
) -> Result<Meets, StoreError> {
    let is_contact = kind.is_contacts();
    let text = |key: &str| values.get(key).and_then(Value::as_str).unwrap_or_default();
    if let Some(row) = by_address(kind, tx, text(NAME), fields)? {
        return Ok(Meets { same: Some(row), like: None });
    }
    let named: Vec<Row> = rows_named(kind, tx, None, text(NAME))?;
    if !is_contact {
        return Ok(Meets { same: named.into_iter().next(), like: None });
    }
    let wanted = match text(ORGANIZATION) {
        "" => text("company"),
        organization => organization,
    };
    let wanted = folded(wanted);
    let has_address = fields.iter().any(|(key, value)| tells(kind, key, value));
    let has_mail = fields.iter().any(|(_, value)| matches!(value, FieldValue::Email(_)));
    let fits = |row: &Row| {
        let of_row = match row.value(ORGANIZATION) {
            Some(FieldValue::Refers(target)) => title_of(tx, *target),
            _ => row.text("company").to_owned(),
        };
        // An equal address would have matched already.
        let differs = has_mail && !row.text("email").is_empty();
        folded(&of_row) == wanted && !differs && !(wanted.is_empty() && has_address)
    };
    let (mut fitting, mut others): (Vec<_>, Vec<_>) = named.into_iter().partition(fits);
    Ok(match fitting.is_empty() {
        true => Meets { same: None, like: others.pop() },
        false => Meets { same: Some(fitting.swap_remove(0)), like: None },
    })
}

/// Whether a value identifies rows of a kind by itself.
fn tells(kind: &'static RowKind, key: &str, value: &FieldValue) -> bool {
    let is_contact = kind.is_contacts();
    match value {
        FieldValue::Email(_) | FieldValue::Phone(_) => is_contact,
        FieldValue::Url(_) => key == "linkedin_url" || (!is_contact && key == "website"),
        _ => false,
    }
}

fn by_address(
    kind: &'static RowKind,
    tx: &WriteTx<'_>,
    name: &str,
    values: &[(String, FieldValue)],
) -> Result<Option<Row>, StoreError> {
    let is_mail = |value: &FieldValue| matches!(value, FieldValue::Email(_));
    let has_mail = values.iter().any(|(_, value)| is_mail(value));
    let telling = values.iter().filter(|(key, value)| tells(kind, key, value));
    let (mails, others): (Vec<_>, Vec<_>) = telling.partition(|(_, value)| is_mail(value));
    for (key, value) in mails.into_iter().chain(others) {
        let Some(identity) = value.identity() else { continue };
        // Colleagues share a phone number: another name or another email address is another person.
        let is_other = |row: &Row| {
            let differs = has_mail && !row.text("email").is_empty();
            let is_named = !name.is_empty() && folded(row.text(NAME)) != folded(name);
            matches!(value, FieldValue::Phone(_)) && (differs || is_named)
        };
        let range = Range::prefix(identity_key(None, &identity)).limit(SHARING);
        let found: Vec<Row> = kind.scan(tx, kind.identity, &range)?;
        if let Some(row) = found.into_iter().find(|row| !is_other(row)) {
            return Ok(Some(row));
        }
        // A site without a path matches everything below it.
        if key == "website"
            && host(&identity.1) == identity.1
            && let Some(row) = at_domain(kind, tx, &identity.1)?
        {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use entity::FieldValue;

    use super::domain_of;

    #[test]
    fn the_domains_of_providers_tell_no_organization() {
        let text = |address: &str| domain_of(&FieldValue::Email(address.into())).is_some();
        for shared in ["a@gmail.com", "a@GMX.net", "a@yahoo.co.uk", "a@outlook.com.br", "a@web.de"]
        {
            assert!(!text(shared), "{shared}");
        }
        for own in ["a@brandt.example", "a@live.werft-sued.example", "a@mail.example"] {
            assert!(text(own), "{own}");
        }
    }
}
