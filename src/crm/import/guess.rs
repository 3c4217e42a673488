//! Where the columns of a file go, by their headings: those of HQ, of Google Contacts, LinkedIn, HubSpot, Pipedrive and
//! Outlook.

use std::collections::HashSet;

use noun::{Column, Kind};

use super::own;
use crate::columns::ORGANIZATION;
use crate::model::{Goes, Home, Mapped};
use crate::rules::dates::is_day;

/// Rows that are looked at.
const MOST: usize = 500;

/// Headings by the key of a field; the field's own key and label are known without a line here.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "name",
        &[
            "full name",
            "contact name",
            "display name",
            "person",
            "first name",
            "given name",
            "last name",
            "family name",
            "surname",
            "middle name",
            "additional name",
            "person name",
            "vorname",
            "nachname",
        ],
    ),
    (
        "email",
        &[
            "email address",
            "e mail",
            "mail",
            "e mail address",
            "e mail 1 value",
            "email 1 value",
            "person email work",
            "primary email",
            "work email",
        ],
    ),
    (
        "email_2",
        &[
            "e mail 2 value",
            "email 2 value",
            "e mail 2 address",
            "e mail 3 value",
            "email 3 value",
            "e mail 3 address",
            "e mail 4 value",
            "person email home",
            "personal email",
            "home email",
            "secondary email",
            "other email",
            "additional email addresses",
        ],
    ),
    (
        "phone",
        &[
            "phone number",
            "telephone",
            "mobile",
            "cell",
            "phone 1 value",
            "mobile phone",
            "mobile number",
            "cell phone",
            "business phone",
            "work phone",
            "person phone work",
            "primary phone",
            "telephone number",
            "telefon",
            "telefonnummer",
        ],
    ),
    (
        "phone_2",
        &[
            "phone 2 value",
            "phone 3 value",
            "phone 4 value",
            "home phone",
            "home phone 2",
            "business phone 2",
            "mobile phone number",
            "person phone mobile",
            "other phone",
        ],
    ),
    (
        "organization",
        &[
            "company",
            "org",
            "company name",
            "organization name",
            "organization 1 name",
            "org name",
            "account name",
            "name of company",
            "person organization",
            "associated company",
            "employer",
            "organisation",
            "account",
            "firma",
        ],
    ),
    ("title", JOBS),
    ("linkedin_url", &["linkedin", "linkedin profile", "url", "profile url", "linkedin bio"]),
    ("twitter_url", &["twitter", "x", "x url", "twitter username", "twitter profile"]),
    (
        "website_url",
        &["website", "web", "web page", "website 1 value", "homepage", "personal web page"],
    ),
    (
        "website",
        &["domain", "url", "web", "website url", "company domain name", "homepage", "web site"],
    ),
    (
        "location",
        &[
            "city",
            "address",
            "region",
            "country",
            "address 1 formatted",
            "business city",
            "home city",
            "address 1 city",
            "stadt",
            "ort",
        ],
    ),
    ("source", &["lead source", "origin", "original source"]),
    ("how_we_met", &["meeting context", "intro"]),
    ("notes", &["comments", "memo", "note", "description", "notiz", "notizen"]),
    ("tags", &["labels", "categories", "group membership", "person labels", "tag"]),
    ("priority", &["urgency"]),
    ("relationship_strength", &["relationship", "strength", "relationship strength"]),
    (
        "stage",
        &["status", "pipeline stage", "lifecycle stage", "lead status", "deal stage", "phase"],
    ),
    (
        "last_contact_date",
        &[
            "last contact",
            "last contacted",
            "last activity date",
            "connected on",
            "last contact date",
            "letzter kontakt",
        ],
    ),
    ("owner", &["contact owner", "person owner", "account owner", "company owner"]),
    ("type", &["org type", "company type", "entity type"]),
    ("industry", &["sector", "vertical"]),
    ("size", &["company size", "headcount", "employees", "number of employees"]),
    ("description", &["about", "bio", "summary", "about us"]),
];

/// What people do at their organization.
const JOBS: &[&str] = &[
    "job title",
    "position",
    "organization title",
    "organization 1 title",
    "role",
    "job position",
];

/// Names of organizations: the organization of a contact, the name in a list of organizations.
const COMPANIES: [&str; 9] = [
    "company",
    "company name",
    "firma",
    "organization name",
    "organization 1 name",
    "org name",
    "account name",
    "name of company",
    "employer",
];

/// Days of birth.
const BIRTHDAYS: [&str; 7] =
    ["birthday", "birth date", "birthdate", "date of birth", "bday", "geburtstag", "geburtsdatum"];

/// Fields that take several columns: one after the other, or, of addresses, the next field what the first one leaves.
const JOINED: [&str; 7] = ["name", "notes", "tags", "email", "email_2", "phone", "phone_2"];

/// A heading in small letters with single blanks.
pub(crate) fn plain(header: &str) -> String {
    let spaced: String = header
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A heading without what stands behind it in brackets: `Last Activity Date (EDT)`.
fn bare(header: &str) -> &str {
    header.split_once('(').map_or(header, |(head, _)| head)
}

/// What the headings of a file together say of one of them.
struct Headings {
    home: Home,
    /// Whether another column has the job of a person, so that a title is one such as Dr.
    has_job: bool,
    /// Whether it is an address book of Outlook, whose priority is that of a message.
    is_outlook: bool,
}

impl Headings {
    fn of(headers: &[String], home: Home) -> Self {
        let has = |wanted: &[&str]| headers.iter().any(|one| wanted.contains(&plain(one).as_str()));
        Self { home, has_job: has(JOBS), is_outlook: has(&["sensitivity"]) }
    }

    /// Whether a column goes nowhere, whatever it is called.
    fn ignores(&self, words: &str) -> bool {
        self.home == Home::Contacts
            && ((words == "title" && self.has_job) || (words == "priority" && self.is_outlook))
    }

    /// The field that a heading means, among those that are free.
    fn field<'f>(&self, words: &str, fields: &'f [Column], taken: &[String]) -> Option<&'f Column> {
        let joins = |field: &Column| JOINED.contains(&field.key.as_str());
        let is_free = |field: &&Column| !taken.contains(&field.key) || joins(field);
        let is_company = COMPANIES.contains(&words);
        let company = match self.home {
            Home::Contacts => ORGANIZATION,
            Home::Organizations => "name",
            Home::Collection(_) => "",
        };
        let company = fields.iter().find(|field| is_company && field.key == company);
        let called = |field: &&Column| plain(&field.key) == words || plain(&field.label) == words;
        let known = |field: &&Column| {
            let alias = ALIASES.iter().find(|(key, _)| *key == field.key);
            alias.is_some_and(|(_, words_of)| words_of.contains(&words))
        };
        let by_name = fields.iter().find(called).filter(is_free);
        let by_alias = || fields.iter().filter(is_free).find(known);
        // A company of a contact is an organization of its own, where it can be.
        company.filter(is_free).or(by_name).or_else(by_alias)
    }
}

/// Where each column goes. The first that fits a field has it, but for names, notes, tags and addresses, which take
/// several. In a collection, whose fields may not be there yet, what fits nothing becomes a new field, and so do days of
/// birth.
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
    let all = Headings::of(headers, home);
    let mut taken: Vec<String> = Vec::new();
    let mut mapped = Vec::new();
    for (n, header) in headers.iter().enumerate() {
        let words = plain(header);
        let field = || {
            let found = all.field(&words, fields, &taken);
            found.or_else(|| all.field(&plain(bare(header)), fields, &taken))
        };
        let is_filled = || rows.iter().filter_map(|row| row.get(n)).any(|cell| !cell.is_empty());
        let goes = match field().filter(|_| !all.ignores(&words)) {
            Some(field) => {
                taken.push(field.key.clone());
                Goes::Field(field.key.clone())
            }
            None if home.collection().is_some() => Goes::New(kind(rows, n)),
            None if home == Home::Contacts
                && BIRTHDAYS.contains(&words.as_str())
                && is_filled() =>
            {
                Goes::New(Kind::Date)
            }
            None => Goes::Nowhere,
        };
        mapped.push(Mapped::new(header, goes));
    }
    // A table of one's own is called by its first column when none is called a name.
    let has_name = mapped.iter().any(|one| one.goes == Goes::Field("name".to_owned()));
    if home.collection().is_some()
        && !has_name
        && let Some(first) = mapped.first_mut()
    {
        first.goes = Goes::Field("name".to_owned());
    }
    mapped
}

/// Whether a comma stands before the fraction of the numbers: some of them read in no other way, and none with a point
/// alone. Looks at columns that go to numbers, and at those that hold nothing else.
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
            let reads = |sign: char| noun::Decimal::parse(text, sign).is_some();
            comma |= reads(',') && !reads('.');
            point |= reads('.') && !reads(',');
        }
    }
    comma && !point
}

/// The kind of field that all values of a column fit.
#[must_use]
pub fn kind(rows: &[Vec<String>], n: usize) -> Kind {
    let values = rows.iter().take(MOST).filter_map(|row| row.get(n)).map(|text| text.trim());
    let filled: Vec<&str> =
        values.filter(|text| !text.is_empty() && !sheet::is_error(text)).collect();
    let all =
        |fits: &dyn Fn(&str) -> bool| !filled.is_empty() && filled.iter().all(|text| fits(text));
    let is_date = |text: &str| text.parse::<jiff::civil::Date>().is_ok() || is_day(text).0;
    // A number with zeros in front is a mark, such as a postcode.
    let is_plain =
        |text: &str| !(text.len() > 1 && text.starts_with('0') && !text.contains(['.', ',']));
    let reads =
        |sign: char| all(&|text| is_plain(text) && noun::Decimal::parse(text, sign).is_some());
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
        () if all(&|text| noun::mail_address(text).is_ok()) => Kind::Email,
        () if all(&|text| text.starts_with("http://") || text.starts_with("https://")) => Kind::Url,
        () if repeats(rows, n) => Kind::Select,
        () if filled
            .iter()
            .any(|text| noun::MAX_LINE < text.chars().count() || text.contains('\n')) =>
        {
            Kind::LongText
        }
        () => Kind::Text,
    }
}

/// Whether the values of a column are few short words that repeat, so that it is one of some choices.
fn repeats(rows: &[Vec<String>], n: usize) -> bool {
    /// So many cells have to be filled,
    const FILLED: usize = 20;
    /// each word of so many on average,
    const EACH: usize = 5;
    /// with at most so many words
    const WORDS: usize = 20;
    /// of so many characters.
    const SHORT: usize = 40;
    let (mut filled, mut words) = (0, HashSet::new());
    let cells = rows.iter().filter_map(|row| row.get(n)).map(|text| text.trim());
    for text in cells.filter(|text| !text.is_empty() && !sheet::is_error(text)) {
        filled += 1;
        let word = text.to_lowercase();
        if words.contains(&word) {
            continue;
        }
        // A choice that is called so would say that nothing is chosen.
        let fits = text.chars().count() <= SHORT
            && !text.contains([',', ';', '\n'])
            && word != "none"
            && !noun::key_of(text).is_empty();
        words.insert(word);
        if !fits || WORDS < words.len() {
            return false;
        }
    }
    FILLED <= filled && 2 <= words.len() && EACH * words.len() <= filled
}

#[cfg(test)]
mod tests {
    use noun::Kind;

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
        assert_eq!(of(&["Title", "Name"]), ["title", "name"], "a role where there is no other");
    }

    #[test]
    fn a_decimal_comma_is_told_by_numbers_that_read_in_no_other_way() {
        let said = |cells: &[&str]| {
            let rows: Vec<Vec<String>> = cells.iter().map(|one| vec![(*one).to_owned()]).collect();
            let mapped = [Mapped::new("Price", Goes::New(Kind::Number))];
            decimal_comma(&rows, &mapped, &[])
        };
        assert!(said(&["1.234,50", "12", "1.234"]));
        assert!(said(&["89,90", "soon"]));
        assert!(!said(&["1,234.50", "12"]), "a point");
        assert!(!said(&["1.234", "1,234"]), "either");
        assert!(!said(&["12,5", "12.5"]), "both");
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
