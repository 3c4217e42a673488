//! Guesses the mapping of a file's columns from headings and contents.

use std::collections::HashSet;

use entity::{Column, Kind};

use super::headings::{BIRTHDAYS, Headings, bare, plain, stage_of};
use super::own;
use crate::columns::STAGE;
use crate::model::{Becomes, Goes, Home, Mapped, STAMPS};
use crate::rules::dates::is_day;
use crate::rules::unknown;

/// Maximum number of examined rows.
const MOST: usize = 500;

/// Maps each column. The first match of a field wins, except for names, notes, tags and addresses, which take several
/// columns; empty columns come last. In a collection, whose fields may not exist yet, an unmatched column becomes a new
/// field; elsewhere only dates and words that repeat do.
#[must_use]
pub fn columns(
    headers: &[String],
    rows: &[Vec<String>],
    fields: &[Column],
    home: Home,
) -> Vec<Mapped> {
    if own::has_ids(headers, rows) {
        return own::columns((headers, rows), fields);
    }
    let words: Vec<(String, bool)> =
        headers.iter().enumerate().map(|(n, one)| (plain(one), is_filled(rows, n))).collect();
    let all = Headings::of(&words, home);
    let mut taken: Vec<String> = Vec::new();
    let mut mapped: Vec<Mapped> =
        headers.iter().map(|header| Mapped::new(header, Goes::Nowhere)).collect();
    let (filled, empty): (Vec<usize>, Vec<usize>) = (0..headers.len()).partition(|n| words[*n].1);
    for n in filled.into_iter().chain(empty) {
        let (words, is_filled) = (words[n].0.as_str(), words[n].1);
        let field = || {
            let found = all.field(words, fields, &taken);
            found.or_else(|| all.field(&plain(bare(&headers[n])), fields, &taken))
        };
        mapped[n].goes = match field().filter(|_| !all.ignores(words)) {
            Some(field) => {
                taken.push(field.key.clone());
                Goes::Field(field.key.clone())
            }
            None if home.collection().is_some() => Goes::New(kind(rows, n)),
            None if is_filled => proposed((&all, home), words, || kind(rows, n)),
            None => Goes::Nowhere,
        };
    }
    // If no column of a collection is a name, the first one becomes the name.
    let has_name = mapped.iter().any(|one| one.goes == Goes::Field("name".to_owned()));
    if home.collection().is_some()
        && !has_name
        && let Some(first) = mapped.first_mut()
    {
        first.goes = Goes::Field("name".to_owned());
    }
    mapped
}

/// Maps lifecycle stages of other products to the nearest stage, as a person could on the page.
pub(super) fn stages(rows: &[Vec<String>], mapped: &mut [Mapped], fields: &[Column]) {
    let Some(field) = fields.iter().find(|field| field.key == STAGE) else { return };
    for (n, one) in mapped.iter_mut().enumerate() {
        if one.goes != Goes::Field(STAGE.to_owned()) {
            continue;
        }
        let cells = rows.iter().filter_map(|row| row.get(n)).map(String::as_str);
        let known = unknown(field, cells).into_iter().filter_map(|word| {
            let choice = stage_of(&word, field)?;
            Some((word, Becomes::Choice(choice)))
        });
        one.words.extend(known);
    }
}

/// Whether a column has any value.
pub(super) fn is_filled(rows: &[Vec<String>], n: usize) -> bool {
    rows.iter().filter_map(|row| row.get(n)).any(|cell| !cell.trim().is_empty())
}

/// The proposal for an unmatched column of contacts or organizations: dates, words that repeat and the status of a lead
/// become a new field.
fn proposed((all, home): (&Headings<'_>, Home), words: &str, kind: impl Fn() -> Kind) -> Goes {
    if home == Home::Contacts && BIRTHDAYS.contains(&words) {
        return Goes::New(Kind::Date);
    }
    let is_odd = all.ignores(words) || all.is_kind_beside_value(words);
    if is_odd || STAMPS.iter().any(|stamp| plain(stamp) == words) {
        return Goes::Nowhere;
    }
    match kind() {
        kind @ (Kind::Date | Kind::Datetime | Kind::Select) => Goes::New(kind),
        kind if all.is_status_beside_stage(words) => Goes::New(kind),
        _ => Goes::Nowhere,
    }
}

/// Whether numbers have a decimal comma: some can be read only that way, and none only with a decimal point. Examines
/// columns mapped to numbers, and unmapped ones that contain only numbers.
#[must_use]
pub fn decimal_comma(rows: &[Vec<String>], mapped: &[Mapped], fields: &[Column]) -> bool {
    let is_number = |n: usize, goes: &Goes| match goes {
        Goes::New(kind) => kind.is_number(),
        Goes::Field(key) | Goes::Key(key) => {
            fields.iter().any(|field| field.key == *key && field.kind.is_number())
        }
        Goes::Id => false,
        Goes::Nowhere => kind(rows, n).is_number(),
    };
    let (mut comma, mut point) = (false, false);
    for (n, one) in mapped.iter().enumerate() {
        if !is_number(n, &one.goes) {
            continue;
        }
        for text in rows.iter().take(MOST).filter_map(|row| row.get(n)) {
            let reads = |sign: char| entity::Decimal::parse(text, sign).is_some();
            comma |= reads(',') && !reads('.');
            point |= reads('.') && !reads(',');
        }
    }
    comma && !point
}

/// The field kind that fits all values of a column.
#[must_use]
pub fn kind(rows: &[Vec<String>], n: usize) -> Kind {
    let values = rows.iter().take(MOST).filter_map(|row| row.get(n)).map(|text| text.trim());
    let filled: Vec<&str> =
        values.filter(|text| !text.is_empty() && !sheet::is_error(text)).collect();
    let all =
        |fits: &dyn Fn(&str) -> bool| !filled.is_empty() && filled.iter().all(|text| fits(text));
    let is_date = |text: &str| text.parse::<jiff::civil::Date>().is_ok() || is_day(text).0;
    // A number with leading zeros is an identifier, such as a postcode.
    let is_plain =
        |text: &str| !(text.len() > 1 && text.starts_with('0') && !text.contains(['.', ',']));
    let reads =
        |sign: char| all(&|text| is_plain(text) && entity::Decimal::parse(text, sign).is_some());
    match () {
        () if all(&|text| {
            matches!(text.to_lowercase().as_str(), "yes" | "no" | "true" | "false")
        }) =>
        {
            Kind::Boolean
        }
        () if reads('.') || reads(',') => Kind::Number,
        () if all(&is_date) => match filled.iter().any(|text| is_day(text).1) {
            true => Kind::Datetime,
            false => Kind::Date,
        },
        () if all(&|text| entity::mail_address(text).is_ok()) => Kind::Email,
        () if all(&|text| {
            ["http://", "https://", "http\\://", "https\\://"]
                .iter()
                .any(|one| text.starts_with(one))
        }) =>
        {
            Kind::Url
        }
        () if repeats(rows, n) => Kind::Select,
        () if filled
            .iter()
            .any(|text| entity::MAX_LINE < text.chars().count() || text.contains('\n')) =>
        {
            Kind::LongText
        }
        () => Kind::Text,
    }
}

/// Whether a column has few short values that repeat, so that it can be a choice.
fn repeats(rows: &[Vec<String>], n: usize) -> bool {
    /// Minimum number of filled cells,
    const FILLED: usize = 20;
    /// minimum average number of cells per word,
    const EACH: usize = 5;
    /// maximum number of words
    const WORDS: usize = 20;
    /// of at most this many characters.
    const SHORT: usize = 40;
    let (mut filled, mut words) = (0, HashSet::new());
    let cells = rows.iter().filter_map(|row| row.get(n)).map(|text| text.trim());
    for text in cells.filter(|text| !text.is_empty() && !sheet::is_error(text)) {
        filled += 1;
        let word = text.to_lowercase();
        if words.contains(&word) {
            continue;
        }
        // A choice named `none` would mean that nothing is chosen.
        let fits = text.chars().count() <= SHORT
            && !text.contains([',', ';', '\n'])
            && word != "none"
            && !entity::key_of(text).is_empty();
        words.insert(word);
        if !fits || WORDS < words.len() {
            return false;
        }
    }
    FILLED <= filled && 2 <= words.len() && EACH * words.len() <= filled
}

#[cfg(test)]
mod tests {
    use entity::Kind;

    use super::{columns, decimal_comma, kind};
    use crate::columns::own;
    use crate::model::{Goes, Home, Mapped};

    fn of(headers: &[&str]) -> Vec<String> {
        let headers: Vec<String> = headers.iter().map(|one| (*one).to_owned()).collect();
        let all = columns(&headers, &[], &own(Home::Contacts), Home::Contacts);
        let goes = |goes: Goes| match goes {
            Goes::Field(key) => key,
            _ => "-".to_owned(),
        };
        all.into_iter().map(|one| goes(one.goes)).collect()
    }

    #[test]
    fn the_headings_of_other_products_are_known() {
        assert_eq!(
            of(&[
                "First Name",
                "Last Name",
                "URL",
                "Email Address",
                "Company",
                "Position",
                "Connected On"
            ]),
            ["name", "name", "linkedin_url", "email", "organization", "title", "last_contact_date"]
        );
        assert_eq!(
            of(&[
                "Given Name",
                "Family Name",
                "E-mail 1 - Value",
                "Phone 1 - Value",
                "Organization 1 - Name",
                "Labels"
            ]),
            ["name", "name", "email", "phone", "organization", "tags"]
        );
        assert_eq!(
            of(&[
                "Person - Name",
                "Person - Email - Work",
                "Person - Organization",
                "Person - Owner",
                "Nonsense"
            ]),
            ["name", "email", "organization", "owner", "-"]
        );
        assert_eq!(
            of(&[
                "Vorname",
                "Nachname",
                "Firma",
                "Telefon",
                "Stadt",
                "Phase",
                "Letzter Kontakt",
                "Notiz"
            ]),
            [
                "name",
                "name",
                "organization",
                "phone",
                "location",
                "stage",
                "last_contact_date",
                "notes"
            ]
        );
    }

    #[test]
    fn address_books_of_google_outlook_and_hubspot_are_known() {
        let google = "First Name,Middle Name,Last Name,Nickname,Organization Name,Organization Title,Notes,Labels,\
            E-mail 1 - Label,E-mail 1 - Value,E-mail 3 - Value,Phone 1 - Value,Phone 2 - Value,Website 1 - Value";
        let goes = "name,name,name,-,organization,title,notes,tags,-,email,email_2,phone,phone_2,website_url";
        assert_eq!(of(&google.split(',').collect::<Vec<_>>()).join(","), goes);
        let outlook = "Title,First Name,Middle Name,Last Name,Company,Job Title,Business City,Home Phone,\
            Business Phone,Mobile Phone,Categories,E-mail Address,E-mail 2 Address,E-mail Display Name,Priority,\
            Sensitivity,Web Page";
        let goes = "-,name,name,name,organization,title,location,phone_2,phone,phone,tags,email,email_2,-,-,-,website_url";
        assert_eq!(of(&outlook.split(',').map(str::trim).collect::<Vec<_>>()).join(","), goes);
        let hubspot = "Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Lead Status,\
            Last Activity Date (EDT),Associated Company,Additional email addresses";
        let goes = "-,name,name,email,phone,owner,stage,last_contact_date,organization,email_2";
        assert_eq!(of(&hubspot.split(',').map(str::trim).collect::<Vec<_>>()).join(","), goes);
        let hubspot = "Lead Status,Lifecycle Stage,Associated Company,Associated Company IDs (Primary),\
            Associated Company (Primary),Primary Associated Company Name";
        let goes = "-,stage,organization,-,organization,organization";
        assert_eq!(of(&hubspot.split(',').map(str::trim).collect::<Vec<_>>()).join(","), goes);
        let german = "Vorname,Weitere Vornamen,Nachname,Firma,Position,E-Mail-Adresse,E-Mail 2: Adresse,\
            Telefon geschäftlich,Mobiltelefon,Kategorien,Webseite,Notizen";
        let goes =
            "name,name,name,organization,title,email,email_2,phone,phone_2,tags,website_url,notes";
        assert_eq!(of(&german.split(',').collect::<Vec<_>>()).join(","), goes);
        for (mail, company, phone) in [
            ("Почта", "Компания", "Телефон"),
            ("メール", "会社", "電話"),
            ("邮箱", "公司", "电话"),
            ("이메일", "회사", "전화"),
            ("Adresse de messagerie", "Société", "Téléphone (bureau)"),
        ] {
            assert_eq!(of(&[mail, company, phone]), ["email", "organization", "phone"]);
        }
        for heading in ["氏名", "名前", "Имя", "이름", "ФИО", "姓名"] {
            assert_eq!(of(&[heading, "Email"]), ["name", "email"]);
        }
        assert_eq!(of(&["Title", "Name"]), ["title", "name"], "a role where there is no other");
    }

    /// The mapping of a table of contacts.
    fn goes_of(headers: &[&str], rows: &[Vec<&str>]) -> Vec<Goes> {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| owned(row)).collect();
        let all = columns(&owned(headers), &rows, &own(Home::Contacts), Home::Contacts);
        all.into_iter().map(|one| one.goes).collect()
    }

    #[test]
    fn an_empty_column_takes_no_field_before_one_that_holds_something() {
        let field = |key: &str| Goes::Field(key.to_owned());
        let headers =
            ["Name", "Location", "Address 1 - Formatted", "Lifecycle Stage", "Lead Status"];
        let rows = [vec!["Rosa", " ", "Quay 1, Leith", "", "Open"]];
        let wanted =
            [field("name"), Goes::Nowhere, field("location"), Goes::Nowhere, field("stage")];
        assert_eq!(goes_of(&headers, &rows), wanted);
    }

    #[test]
    fn lifecycle_stages_become_the_nearest_stage() {
        let headers = ["Name".to_owned(), "Lifecycle Stage".to_owned()];
        let row = |stage: &str| vec!["Rosa".to_owned(), stage.to_owned()];
        let rows = ["Customer", "Marketing Qualified Lead", "Lead", "Other"].map(row);
        let fields = own(Home::Contacts);
        let mut all = columns(&headers, &rows, &fields, Home::Contacts);
        super::stages(&rows, &mut all, &fields);
        let becomes = |word: &str| all[1].becomes(word).cloned();
        let choice = |key: &str| Some(crate::model::Becomes::Choice(key.to_owned()));
        assert_eq!(becomes("Customer"), choice("won"));
        assert_eq!(becomes("Marketing Qualified Lead"), choice("qualified"));
        assert_eq!((becomes("Lead"), becomes("Other")), (None, None));
    }

    #[test]
    fn days_and_few_words_of_contacts_are_proposed_as_fields() {
        let headers = [
            "Name",
            "Contract until",
            "Tariff",
            "Nickname",
            "Phone 1 - Type",
            "Lead Status",
            "Title",
            "Position",
        ];
        let tariffs = ["Gold", "Silver", "Basic", "Trial"];
        let nicks: Vec<String> = (0..40).map(|n| format!("Nick {n}")).collect();
        let row = |n: usize| {
            let tariff = tariffs[n % 4];
            vec!["Rosa", "31.12.2026", tariff, nicks[n].as_str(), tariff, "Open", tariff, "Buyer"]
        };
        let mut rows: Vec<Vec<&str>> = (0..40).map(row).collect();
        let new = Goes::New;
        let field = |key: &str| Goes::Field(key.to_owned());
        let (name, stage, title) = (field("name"), field("stage"), field("title"));
        let none = Goes::Nowhere;
        let wanted = [
            name,
            new(Kind::Date),
            new(Kind::Select),
            none.clone(),
            none.clone(),
            stage,
            none,
            title,
        ];
        assert_eq!(goes_of(&headers, &rows), wanted);
        let headers = ["Name", "Lifecycle Stage", "Lead Status"];
        rows.truncate(1);
        rows[0] = vec!["Rosa", "Customer", "Open deal"];
        let wanted = [field("name"), field("stage"), new(Kind::Text)];
        assert_eq!(goes_of(&headers, &rows), wanted);
    }

    #[test]
    fn a_decimal_comma_is_told_by_numbers_that_read_in_no_other_way() {
        let guess = |cells: &[&str]| {
            let rows: Vec<Vec<String>> = cells.iter().map(|one| vec![(*one).to_owned()]).collect();
            let mapped = [Mapped::new("Price", Goes::New(Kind::Number))];
            decimal_comma(&rows, &mapped, &[])
        };
        assert!(guess(&["1.234,50", "12", "1.234"]));
        assert!(guess(&["89,90", "soon"]));
        assert!(!guess(&["1,234.50", "12"]), "a point");
        assert!(!guess(&["1.234", "1,234"]), "either");
        assert!(!guess(&["12,5", "12.5"]), "both");
    }

    #[test]
    fn the_kind_of_a_column_is_that_of_all_its_values() {
        let rows = |all: &[&str]| all.iter().map(|one| vec![(*one).to_owned()]).collect::<Vec<_>>();
        assert_eq!(kind(&rows(&["1", "2.5", ""]), 0), Kind::Number);
        assert_eq!(kind(&rows(&["1.234,50", "12,5", "#DIV/0!"]), 0), Kind::Number);
        assert_eq!(kind(&rows(&["01234", "20095"]), 0), Kind::Text);
        assert_eq!(kind(&rows(&["2026-01-02"]), 0), Kind::Date);
        assert_eq!(kind(&rows(&["12/31/2025", "1 Feb 2026"]), 0), Kind::Date);
        assert_eq!(kind(&rows(&["12/31/2025 14:30", "01/02/2026"]), 0), Kind::Datetime);
        assert_eq!(kind(&rows(&["yes", "No"]), 0), Kind::Boolean);
        assert_eq!(kind(&rows(&[""]), 0), Kind::Text);
    }

    #[test]
    fn few_short_values_that_repeat_are_choices() {
        let of = |words: &[&str], many: usize| {
            let all = (0..many).map(|n| vec![words[n % words.len()].to_owned()]);
            kind(&all.collect::<Vec<_>>(), 0)
        };
        let four = ["Steel", "Carbon", "steel", "Titanium", ""];
        assert_eq!(of(&four, 200), Kind::Select);
        assert_eq!(of(&four, 10), Kind::Text, "too few rows");
        assert_eq!(of(&["Steel"], 200), Kind::Text, "one word chooses nothing");
        assert_eq!(of(&["Steel", "None"], 200), Kind::Text, "none is no choice");
        assert_eq!(of(&["Steel, Carbon", "Steel"], 200), Kind::Text, "a list");
        assert_eq!(of(&["1", "2"], 200), Kind::Number);
        let names: Vec<String> = (0..150).map(|n| format!("Bike {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(of(&names, 600), Kind::Text, "names");
    }
}
