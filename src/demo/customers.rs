//! Customers: organizations, contacts, interactions, and collections. They use a random generator of their own, so that
//! the rest of the company does not depend on them.

use std::sync::Arc;

use crm::error::CrmError;
use crm::model::{CollectionId, ContactId, Home, Row, RowKind, TalkKind, Way};
use crm::rules::{self, CollectionPatch, FieldPatch, Sent, TalkPatch};
use entity::{Choice, Kind, key_of};
use features::tasks::queries::people::People;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::TypedId as _;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::texts::{CollectionText, FieldText};
use super::{Company, DemoError};

/// Rows per transaction.
const ROWS: usize = 500;

/// All external people and organizations.
pub(super) struct Customers {
    dice: Dice,
    /// Members and agents.
    people: Arc<People>,
    organizations: Vec<Row>,
    contacts: Vec<Row>,
}

impl Customers {
    fn sent(&self, mut values: Map<String, Value>) -> Sent {
        values.retain(|_, value| !value.is_null());
        Sent { people: Some(Arc::clone(&self.people)), ..Sent::of(values) }
    }

    /// A random owner, or none.
    fn owner(&mut self, company: &Company) -> Value {
        match self.dice.chance(700) {
            true => json!(format!("@{}", self.dice.pick(&company.people).handle)),
            false => Value::Null,
        }
    }

    fn organization(&mut self, n: usize, company: &Company) -> Sent {
        let texts = &company.texts.customers;
        // The trade shifts by one per round, so that 3,000 names are unique.
        let places = texts.places.len();
        let (trade, industry) = &texts.trades[(n + n / places) % texts.trades.len()];
        let name = format!("{} {trade}", texts.places[n % places]);
        let values = object(json!({
            "website": format!("https://{}.example", plain(&name)),
            "name": name,
            "type": if self.dice.chance(850) { "company" } else { "agency" },
            "industry": industry,
            "size": self.dice.pick(&texts.sizes),
            "location": self.dice.pick(&texts.towns),
            "owner": self.owner(company),
        }));
        self.sent(values)
    }

    fn contact(&mut self, n: usize, company: &Company) -> Sent {
        let texts = &company.texts.customers;
        let (given, family) = (self.dice.pick(&texts.given), self.dice.pick(&texts.family));
        let tags: Vec<&String> = texts.tags.iter().filter(|_| self.dice.chance(120)).collect();
        let mut values = object(json!({
            "name": format!("{given} {family}"),
            "stage": self.dice.pick(&texts.stages),
            "title": self.dice.pick(&texts.roles),
            "email": format!("{}.{}{n}@mail.example", plain(given), plain(family)),
            "phone": format!("+49 40 {:07}", 1_000_000 + n),
            "location": self.dice.pick(&texts.towns),
            "source": self.dice.pick(&texts.sources),
            "tags": tags,
            "owner": self.owner(company),
        }));
        if self.dice.chance(850) {
            values.insert("organization".into(), json!(self.dice.pick(&self.organizations).id));
        }
        if self.dice.chance(400) {
            values.insert("deal_value".into(), json!(500 * self.dice.within(1, 80)));
            let close = company.day(-40 + days(self.dice.below(120)));
            values.insert("close_date".into(), json!(close.to_string()));
        }
        self.sent(values)
    }

    fn talk(&mut self, company: &Company) -> (ContactId, TalkPatch) {
        let texts = &company.texts.customers;
        let (kind, subject, body) = self.dice.pick(&texts.talks);
        let hours = 1 + self.dice.below(24 * 7 * usize::try_from(company.plan.weeks).unwrap_or(1));
        let way = if self.dice.chance(500) { Way::Inbound } else { Way::Outbound };
        let next = self.dice.chance(80).then(|| self.dice.pick(&texts.next).clone());
        let day = company.day(-4 + days(self.dice.below(18)));
        let patch = TalkPatch {
            kind: Some(*kind),
            way: Some((*kind != TalkKind::Note).then_some(way)),
            subject: Some(subject.clone()),
            body: Some(body.clone()),
            occurred_at: Some(company.end - SignedDuration::from_hours(days(hours))),
            next_on: next.is_some().then_some(Some(day)),
            next_done: next.is_some().then(|| self.dice.chance(300)),
            next_action: next,
        };
        (ContactId::from_uuid(self.dice.pick(&self.contacts).id), patch)
    }

    fn record(&mut self, n: usize, collection: &CollectionText, company: &Company) -> Sent {
        let (names, places) = (&collection.rows, &company.texts.customers.places);
        let name = &names[n % names.len()];
        // More rows than names: the same ones at other places.
        let name = match (n / names.len()).checked_sub(1) {
            None => name.clone(),
            Some(round) => format!("{name}, {}", places[round % places.len()]),
        };
        let mut values = object(json!({ "name": name }));
        for field in &collection.fields {
            let value = match field.kind {
                Kind::Select => json!(key_of(self.dice.pick::<String>(&field.choices))),
                Kind::Number => json!(self.dice.within(1, 120)),
                Kind::Date => json!(company.day(-days(self.dice.below(400))).to_string()),
                Kind::Boolean => json!(self.dice.chance(500)),
                Kind::Url => json!(format!("https://parts.example/{}", n + 1)),
                _ => json!("Best on a dry day; the way back is against the wind."),
            };
            values.insert(key_of(&field.label), value);
        }
        self.sent(values)
    }
}

/// ASCII lower case, as in addresses.
fn plain(name: &str) -> String {
    let letters = name.chars().map(|c| match c {
        'é' => 'e',
        'í' => 'i',
        c => c.to_ascii_lowercase(),
    });
    letters.filter(char::is_ascii_alphanumeric).collect()
}

fn days(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(0)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

impl Company {
    /// The day `after` days after the end of the past.
    fn day(&self, after: i64) -> Date {
        (self.end + SignedDuration::from_hours(24 * after)).to_zoned(TimeZone::UTC).date()
    }

    /// Creates organizations, contacts and collections, before the first day.
    pub(super) async fn meet_customers(&mut self, number: u64) -> Result<Customers, DemoError> {
        let mut all = Customers {
            dice: Dice(number ^ 0x00c0_ffee),
            people: Arc::new(self.ws.read(|snap| People::read(snap))?),
            organizations: Vec::new(),
            contacts: Vec::new(),
        };
        self.act(0, |tx| rules::start_with(tx, "sales")).await?;
        let rows = (0..self.plan.organizations).map(|n| all.organization(n, self)).collect();
        all.organizations = self.rows(RowKind::ORGANIZATIONS, None, rows).await?;
        let rows = (0..self.plan.contacts).map(|n| all.contact(n, self)).collect();
        all.contacts = self.rows(RowKind::CONTACTS, None, rows).await?;
        let texts = Arc::clone(&self.texts);
        for text in texts.customers.collections.iter().take(self.plan.collections) {
            let home = self.collection(text).await?;
            let rows = (0..self.plan.records).map(|n| all.record(n, text, self)).collect();
            self.rows(RowKind::RECORDS, Some(home), rows).await?;
        }
        Ok(all)
    }

    /// Creates rows in several transactions.
    async fn rows(
        &self,
        kind: &'static RowKind,
        collection: Option<CollectionId>,
        all: Vec<Sent>,
    ) -> Result<Vec<Row>, DemoError> {
        let mut made = Vec::with_capacity(all.len());
        for (n, piece) in all.chunks(ROWS).enumerate() {
            let piece = piece.to_vec();
            let by = n % self.people.len();
            let rows = self.act(by, move |tx| {
                let rows = piece.iter().map(|row| rules::create(kind, tx, collection, row));
                rows.collect::<Result<Vec<_>, CrmError>>()
            });
            made.extend(rows.await?);
        }
        Ok(made)
    }

    async fn collection(&self, text: &CollectionText) -> Result<CollectionId, DemoError> {
        let patch = CollectionPatch {
            name: Some(text.name.clone()),
            icon: Some(text.icon.clone()),
            description: Some(text.about.clone()),
            archived: None,
        };
        let field = |field: &FieldText| FieldPatch {
            label: Some(field.label.clone()),
            kind: Some(field.kind),
            choices: Some(field.choices.iter().map(|one| Choice::called(one)).collect()),
            ..FieldPatch::default()
        };
        let fields: Vec<FieldPatch> = text.fields.iter().map(field).collect();
        self.act(0, move |tx| {
            let id = rules::make_collection(tx, patch)?.id;
            for field in fields {
                rules::make_field(tx, Home::Collection(id), field)?;
            }
            Ok::<_, CrmError>(id)
        })
        .await
    }

    /// Creates interactions with contacts, during the simulated past.
    pub(super) async fn talk_to(&mut self, customers: &mut Customers) -> Result<(), DemoError> {
        let talks: Vec<_> = (0..self.plan.talks).map(|_| customers.talk(self)).collect();
        for (n, piece) in talks.chunks(ROWS).enumerate() {
            let piece = piece.to_vec();
            self.act(n % self.people.len(), move |tx| {
                piece.into_iter().try_for_each(|(contact, patch)| {
                    rules::log(tx, (Some(contact), None), patch).map(drop)
                })
            })
            .await?;
        }
        Ok(())
    }
}
