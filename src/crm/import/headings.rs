//! Known column headings of HQ, Google Contacts, LinkedIn, HubSpot, Pipedrive and Outlook.

use entity::Column;

use crate::columns::ORGANIZATION;
use crate::model::Home;

/// Headings by field key. The field's own key and label need no entry.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "name",
        &[
            "weitere vornamen",
            "deuxième prénom",
            "姓",
            "名",
            "성",
            "이름",
            "성명",
            "фио",
            "имя фамилия",
            "фамилия имя",
            "nome",
            "cognome",
            "apellido",
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
            "氏名",
            "名前",
            "姓名",
            "имя",
            "фамилия",
            "отчество",
            "nombre",
            "apellidos",
            "nom",
            "prénom",
        ],
    ),
    (
        "email",
        &[
            "e mail adresse",
            "adresse de messagerie",
            "adresse e mail",
            "courriel",
            "correo electrónico",
            "correo",
            "почта",
            "эл почта",
            "электронная почта",
            "email адрес",
            "メール",
            "メールアドレス",
            "电子邮件",
            "邮箱",
            "電郵",
            "電子郵件",
            "이메일",
            "indirizzo e mail",
            "e mailadres",
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
            "e mail 2 adresse",
            "e mail 3 adresse",
            "adresse de messagerie 2",
            "adresse de messagerie 3",
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
            "telefon geschäftlich",
            "telefon firma",
            "geschäftlich",
            "téléphone",
            "téléphone bureau",
            "tél bureau",
            "teléfono",
            "telefono",
            "телефон",
            "рабочий телефон",
            "電話",
            "電話番号",
            "电话",
            "手机",
            "전화",
            "전화번호",
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
            "mobiltelefon",
            "handy",
            "telefon privat",
            "tél mobile",
            "téléphone mobile",
            "tél domicile",
            "móvil",
            "мобильный",
            "мобильный телефон",
            "携帯電話",
            "携帯",
            "휴대폰",
            "手機",
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
            "unternehmen",
            "société",
            "entreprise",
            "empresa",
            "azienda",
            "компания",
            "организация",
            "会社",
            "会社名",
            "公司",
            "회사",
            "bedrijf",
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
            "associated company name",
            "associated company primary",
            "primary associated company",
            "primary associated company name",
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
        &[
            "webseite",
            "page web",
            "sitio web",
            "сайт",
            "website",
            "web",
            "web page",
            "website 1 value",
            "homepage",
            "personal web page",
        ],
    ),
    (
        "website",
        &["domain", "url", "web", "website url", "company domain name", "homepage", "web site"],
    ),
    (
        "location",
        &[
            "ort geschäftlich",
            "ville",
            "ville bureau",
            "ciudad",
            "город",
            "市",
            "都市",
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
    (
        "notes",
        &[
            "commentaires",
            "remarques",
            "notas",
            "заметки",
            "メモ",
            "备注",
            "비고",
            "comments",
            "memo",
            "note",
            "description",
            "notiz",
            "notizen",
        ],
    ),
    (
        "tags",
        &[
            "kategorien",
            "catégories",
            "categorías",
            "категории",
            "カテゴリ",
            "类别",
            "labels",
            "categories",
            "group membership",
            "person labels",
            "tag",
        ],
    ),
    ("priority", &["urgency"]),
    ("relationship_strength", &["relationship", "strength", "relationship strength"]),
    (
        "stage",
        &[
            "lifecycle phase",
            "phase du cycle de vie",
            "status",
            "pipeline stage",
            "lifecycle stage",
            "lead status",
            "deal stage",
            "phase",
        ],
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
    (
        "owner",
        &[
            "zuständiger mitarbeiter",
            "kontaktverantwortlicher",
            "propriétaire du contact",
            "contact owner",
            "person owner",
            "account owner",
            "company owner",
        ],
    ),
    ("type", &["org type", "company type", "entity type"]),
    ("industry", &["sector", "vertical"]),
    ("size", &["company size", "headcount", "employees", "number of employees"]),
    ("description", &["about", "bio", "summary", "about us"]),
];

/// Roles of people at their organization.
const JOBS: &[&str] = &[
    "fonction",
    "cargo",
    "berufsbezeichnung",
    "должность",
    "役職",
    "职位",
    "직책",
    "job title",
    "position",
    "organization title",
    "organization 1 title",
    "role",
    "job position",
];

/// Names of organizations: the organization of a contact, the name in a list of organizations.
const COMPANIES: &[&str] = &[
    "unternehmen",
    "société",
    "entreprise",
    "empresa",
    "компания",
    "会社",
    "会社名",
    "公司",
    "회사",
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

/// Dates of birth.
pub(super) const BIRTHDAYS: [&str; 7] =
    ["birthday", "birth date", "birthdate", "date of birth", "bday", "geburtstag", "geburtsdatum"];

/// The companies of a contact in HubSpot: one column has all of them, another the primary one.
const ASSOCIATED: &str = "associated company";

/// Headings of stages that take precedence.
const STAGES: [&str; 6] =
    ["stage", "lifecycle stage", "lifecycle phase", "pipeline stage", "deal stage", "phase"];

/// Lifecycle stages of HubSpot that are no stages here, with the key of the nearest stage.
const LIFECYCLE: [(&str, &str); 6] = [
    ("subscriber", "lead"),
    ("marketing qualified lead", "qualified"),
    ("sales qualified lead", "qualified"),
    ("opportunity", "proposal"),
    ("customer", "won"),
    ("evangelist", "won"),
];

/// The stage for a word of another product, if the field has it.
pub(super) fn stage_of(word: &str, field: &Column) -> Option<String> {
    let word = plain(word);
    let (_, key) = LIFECYCLE.iter().find(|(one, _)| *one == word)?;
    field.choice(key).map(|choice| choice.key.clone())
}

/// Headings that mean the stage if no other column does.
const STATUSES: [&str; 2] = ["lead status", "status"];

/// Fields that take several columns: joined, or for addresses, overflowing to the next field.
const JOINED: [&str; 7] = ["name", "notes", "tags", "email", "email_2", "phone", "phone_2"];

/// A heading in lower case with single spaces.
pub(crate) fn plain(header: &str) -> String {
    let spaced: String = header
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A heading without a suffix in brackets: `Last Activity Date (EDT)`.
pub(super) fn bare(header: &str) -> &str {
    header.split_once('(').map_or(header, |(head, _)| head)
}

/// Context from all headings of a file.
pub(super) struct Headings<'h> {
    home: Home,
    /// Normalised headings of columns with values; all headings if no column has values.
    filled: Vec<&'h str>,
    /// Whether another column has the role, so that a title is one such as Dr.
    has_job: bool,
    /// Whether it is an address book of Outlook, whose priority is that of a message.
    is_outlook: bool,
}

impl<'h> Headings<'h> {
    /// Takes the normalised headings of a file, each with whether its column has values.
    pub(super) fn of(all: &'h [(String, bool)], home: Home) -> Self {
        let has = |wanted: &[&str]| all.iter().any(|(one, _)| wanted.contains(&one.as_str()));
        let is_empty = all.iter().all(|(_, is_filled)| !is_filled);
        let filled = all.iter().filter(|(_, is_filled)| *is_filled || is_empty);
        Self {
            home,
            filled: filled.map(|(one, _)| one.as_str()).collect(),
            has_job: has(JOBS),
            is_outlook: has(&["sensitivity"]),
        }
    }

    /// Whether a column is never mapped.
    pub(super) fn ignores(&self, words: &str) -> bool {
        self.home == Home::Contacts
            && ((words == "title" && self.has_job) || (words == "priority" && self.is_outlook))
    }

    /// Whether another column has the real stage: for the status of a lead in HubSpot.
    pub(super) fn is_status_beside_stage(&self, words: &str) -> bool {
        STATUSES.contains(&words) && self.filled.iter().any(|one| STAGES.contains(one))
    }

    /// Whether a column has the type of the neighbouring value, as in Google Contacts: `Phone 1 - Type`.
    pub(super) fn is_kind_beside_value(&self, words: &str) -> bool {
        let head = words.strip_suffix(" type").or_else(|| words.strip_suffix(" label"));
        head.is_some_and(|head| head.ends_with(|c: char| c.is_ascii_digit()))
    }

    /// The free field that a heading means.
    pub(super) fn field<'f>(
        &self,
        words: &str,
        fields: &'f [Column],
        taken: &[String],
    ) -> Option<&'f Column> {
        if self.is_status_beside_stage(words) {
            return None;
        }
        let is_associated = words.contains(ASSOCIATED);
        let joins = |field: &Column| {
            JOINED.contains(&field.key.as_str()) || (field.key == ORGANIZATION && is_associated)
        };
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
        // Prefer an organization record for the company of a contact.
        company.filter(is_free).or(by_name).or_else(by_alias)
    }
}
