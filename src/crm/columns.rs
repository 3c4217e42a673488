//! The columns of contacts, organizations and collections: built-in ones with their changes, and custom ones.

use entity::{Choice, Column, FieldValue, Kind, Look, Names, Stands};
use features::tasks::model::label::Label;
use kernel::{Colour, Hue};
use serde_json::{Value, json};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::model::{BY_KEY, FieldDef, Home, NAME, ORGANIZATIONS};

/// The key of the pipeline.
pub const STAGE: &str = "stage";
/// The key of the owner of a record.
pub const OWNER: &str = "owner";
/// The key of the tags. They are labels of the workspace, created when somebody writes them.
pub const TAGS: &str = "tags";
/// The key of a contact's organization.
pub const ORGANIZATION: &str = "organization";

/// All columns of a home, in order.
pub fn of(read: &dyn Read, home: Home) -> Result<Vec<Column>, StoreError> {
    let mut columns = own(home);
    let mut made: Vec<FieldDef> = read.scan(BY_KEY, &Range::prefix(home.key()))?;
    made.sort_by(|a, b| a.rank.cmp(&b.rank));
    for mut def in made {
        if holds_labels(&def) {
            def.choices = tags(read, &def)?;
        }
        match columns.iter_mut().find(|column| column.key == def.key) {
            Some(column) => over(column, def),
            None => columns.push(column_of(def)),
        }
    }
    Ok(columns)
}

/// Whether the choices of a field are labels of the workspace.
#[must_use]
pub(crate) fn holds_labels(def: &FieldDef) -> bool {
    def.key == TAGS && def.kind == Kind::MultiSelect
}

/// Whether the choices of a column are labels of the workspace.
#[must_use]
pub(crate) fn are_labels(column: &Column) -> bool {
    column.key == TAGS && column.kind == Kind::MultiSelect
}

/// The labels of a tag field, and its choices that are not labels yet.
pub(crate) fn tags(read: &dyn Read, def: &FieldDef) -> Result<Vec<Choice>, StoreError> {
    let mut all = def.choices.clone();
    for one in &def.tags {
        let label: Option<Label> = read.get(one.label)?;
        all.extend(label.map(|label| tag(one.key.clone(), &label)));
    }
    Ok(all)
}

/// A label as a choice. A custom colour is replaced by the colour derived from its name.
pub(crate) fn tag(key: String, label: &Label) -> Choice {
    let colour = match label.colour {
        Colour::Named(hue) => hue,
        Colour::Own(_) => Hue::of(&label.name),
    };
    Choice { key, colour, ..Choice::called(&label.name) }
}

/// A value as JSON. Tags are given by the names of their labels, as for tasks.
pub(crate) fn json(column: &Column, value: &FieldValue, names: &dyn Names) -> Value {
    match value {
        FieldValue::Choices(keys) if are_labels(column) => json!(labels_of(column, keys)),
        value => column.json(value, names),
    }
}

/// The labels of these choices; used to send tags, because their keys may equal the names of others.
pub(crate) fn labels_of(column: &Column, keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| column.label_of(key)).collect()
}

/// The JSON schema of accepted values. Naming a new tag creates it.
pub(crate) fn schema(column: &Column) -> Value {
    let mut schema = column.schema();
    if are_labels(column) {
        let names: Vec<&str> = column.choices.iter().map(|one| one.label.as_str()).collect();
        schema["items"] = json!({ "type": "string", "examples": names });
    }
    schema
}

/// The error message for an unknown field.
#[must_use]
pub fn unknown(key: &str, columns: &[Column]) -> String {
    match kernel::text::nearest(key, columns.iter().map(|column| column.key.as_str())) {
        Some(near) => format!("There's no field \"{key}\". Did you mean \"{near}\"?"),
        None => format!("There's no field \"{key}\"."),
    }
}

/// The column with the value of a deal: a currency, else the first number.
#[must_use]
pub fn money(columns: &[Column]) -> Option<&Column> {
    let is_money = |column: &&Column| matches!(column.look, Look::Currency(_));
    let first = || columns.iter().find(|column| column.kind.is_number());
    columns.iter().find(is_money).or_else(first)
}

/// Applies changes to a built-in column.
fn over(column: &mut Column, def: FieldDef) {
    column.label = def.label;
    column.look = def.look;
    column.choices = def.choices;
    column.about = def.about;
    column.agents = def.agents;
    column.required = def.required || column.key == NAME;
}

fn column_of(def: FieldDef) -> Column {
    Column {
        key: def.key,
        label: def.label,
        kind: def.kind,
        look: def.look,
        group: def.group,
        choices: def.choices,
        required: def.required,
        to: def.to,
        about: def.about,
        agents: def.agents,
        own: false,
    }
}

/// The built-in columns.
#[must_use]
pub fn own(home: Home) -> Vec<Column> {
    let name = Column { required: true, ..Column::new(NAME, "Name", Kind::Text) };
    match home {
        Home::Contacts => contacts(name),
        Home::Organizations => organizations(name),
        Home::Collection(_) => vec![name],
    }
}

fn contacts(name: Column) -> Vec<Column> {
    let column = |key, label, kind, group: &str| Column::new(key, label, kind).under(group);
    let organization = Column {
        to: ORGANIZATIONS.number,
        ..column(ORGANIZATION, "Organization", Kind::Relation, "Details")
    };
    vec![
        name,
        Column { choices: stages(SALES), ..column(STAGE, "Stage", Kind::Select, "Deal") },
        column(OWNER, "Owner", Kind::Person, "Deal"),
        Column { choices: priorities(), ..column("priority", "Priority", Kind::Select, "Deal") },
        organization,
        column("title", "Role", Kind::Text, "Details"),
        column("email", "Email", Kind::Email, "Details"),
        column("email_2", "Second email", Kind::Email, "Details"),
        column("phone", "Phone", Kind::Phone, "Details"),
        column("phone_2", "Second phone", Kind::Phone, "Details"),
        column("company", "Company", Kind::Text, "Details"),
        column("location", "Location", Kind::Text, "Details"),
        column("website_url", "Website", Kind::Url, "Details"),
        column("linkedin_url", "LinkedIn", Kind::Url, "Details"),
        column("twitter_url", "X", Kind::Url, "Details"),
        column("handle", "Handle", Kind::Text, "Details"),
        Column {
            choices: choices(&["Stranger", "Acquaintance", "Warm", "Strong"]),
            ..column("relationship_strength", "Relationship", Kind::Select, "Background")
        },
        column("source", "Source", Kind::Text, "Background"),
        column("how_we_met", "How we met", Kind::Text, "Background"),
        column("last_contact_date", "Last contact before HQ", Kind::Date, "Background"),
        column("do_not_contact", "Do not contact", Kind::Boolean, "Background"),
        column(TAGS, "Tags", Kind::MultiSelect, "Background"),
        column("notes", "Notes", Kind::LongText, "Background"),
    ]
}

fn organizations(name: Column) -> Vec<Column> {
    let column = |key, label, kind, group: &str| Column::new(key, label, kind).under(group);
    let types = ["Company", "Agency", "VC firm", "Community", "Recruiting firm", "Other"];
    vec![
        name,
        Column { choices: choices(&types), ..column("type", "Type", Kind::Select, "Details") },
        column("website", "Website", Kind::Url, "Details"),
        column("industry", "Industry", Kind::Text, "Details"),
        Column { choices: sizes(), ..column("size", "People", Kind::Select, "Details") },
        column("location", "Location", Kind::Text, "Details"),
        column("phone", "Phone", Kind::Phone, "Details"),
        column(OWNER, "Owner", Kind::Person, "Details"),
        column("description", "Description", Kind::LongText, "Background"),
        column(TAGS, "Tags", Kind::MultiSelect, "Background"),
        column("notes", "Notes", Kind::LongText, "Background"),
    ]
}

fn choices(labels: &[&str]) -> Vec<Choice> {
    labels.iter().map(|label| Choice::called(label)).collect()
}

fn sizes() -> Vec<Choice> {
    let sizes = ["1-10", "11-50", "51-200", "201-1000", "1000+"];
    let sized = |size: &&str| Choice { key: (*size).to_owned(), ..Choice::called(size) };
    sizes.iter().map(sized).collect()
}

fn priorities() -> Vec<Choice> {
    let all = [("Urgent", Hue::C1), ("High", Hue::C2), ("Medium", Hue::C4), ("Low", Hue::C9)];
    all.map(|(label, colour)| Choice { colour, ..Choice::called(label) }).to_vec()
}

/// Label, colour, meaning and chance in percent of a stage.
pub type StageRow = (&'static str, Hue, Stands, u8);

/// Stages of a sale.
pub const SALES: &[StageRow] = &[
    ("Lead", Hue::C9, Stands::Open, 10),
    ("Qualified", Hue::C10, Stands::Open, 25),
    ("Proposal", Hue::C11, Stands::Open, 50),
    ("Negotiation", Hue::C3, Stands::Open, 75),
    ("Won", Hue::C6, Stands::Won, 100),
    ("Lost", Hue::C1, Stands::Lost, 0),
];

/// Stages as choices.
#[must_use]
pub fn stages(rows: &[StageRow]) -> Vec<Choice> {
    let stage = |(label, colour, stands, chance): &StageRow| Choice {
        colour: *colour,
        stands: *stands,
        chance: *chance,
        ..Choice::called(label)
    };
    rows.iter().map(stage).collect()
}

/// The default columns of a list.
#[must_use]
pub fn shown_first(home: Home, columns: &[Column]) -> Vec<String> {
    let own: &[&str] = match home {
        Home::Contacts => &[STAGE, ORGANIZATION, "title", "email", OWNER],
        Home::Organizations => &["type", "industry", "location", "website", OWNER],
        Home::Collection(_) => &[],
    };
    let made = columns.iter().filter(|column| !column.own && column.kind != Kind::LongText);
    let mut keys: Vec<String> = own.iter().map(|key| (*key).to_owned()).collect();
    // Custom fields are the subject of a list; the last built-in one stays at the end.
    let at = keys.len().saturating_sub(usize::from(!own.is_empty()));
    let made: Vec<String> = made.take(6).map(|column| column.key.clone()).collect();
    keys.splice(at..at, made);
    keys
}

/// A cache of one value per home, such as its columns.
pub(crate) struct ByHome<T>(Vec<(Home, T)>);

impl<T> ByHome<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a home, created at first use.
    pub(crate) fn of<E>(
        &mut self,
        home: Home,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        let at = match self.0.iter().position(|(of, _)| *of == home) {
            Some(at) => at,
            None => {
                self.0.push((home, make()?));
                self.0.len() - 1
            }
        };
        Ok(&self.0[at].1)
    }
}
