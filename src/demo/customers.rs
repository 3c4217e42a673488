//! Customers: organizations, contacts, what was talked about with them, and collections. Their chance is their own, so
//! that the rest of the company stays as it is.

use std::sync::Arc;

use crm::error::CrmError;
use crm::model::{CollectionId, ContactId, Home, OrganizationId, RowKind};
use crm::model::{TalkKind, Way};
use crm::rules::{self, CollectionPatch, FieldPatch, Sent, TalkPatch};
use entity::{Choice, Kind};
use features::tasks::queries::people::People;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::TypedId as _;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::{Company, SeedError};

/// How many rows a transaction makes.
const ROWS: usize = 500;

/// How many there are.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub organizations: usize,
    pub contacts: usize,
    pub talks: usize,
    pub collections: usize,
    /// Records of each collection.
    pub records: usize,
}

/// Everybody outside of the company.
pub(super) struct Crowd {
    dice: Dice,
    counts: Counts,
    people: Arc<People>,
    organizations: Vec<OrganizationId>,
    contacts: Vec<ContactId>,
}

/// What organizations are called: a place and a trade.
const PLACES: [&str; 60] = [
    "Aldern",
    "Amber",
    "Anker",
    "Arden",
    "Ashby",
    "Bayside",
    "Birch",
    "Blue Door",
    "Bramble",
    "Bridge",
    "Cedar",
    "Chapel",
    "Cobble",
    "Copper",
    "Corner",
    "Crane",
    "Dover",
    "Dune",
    "Eastgate",
    "Elm",
    "Fairway",
    "Fern",
    "Fjord",
    "Foxglove",
    "Garnet",
    "Granary",
    "Greenway",
    "Harbour",
    "Hazel",
    "Heron",
    "Hillside",
    "Ivory",
    "Juniper",
    "Keel",
    "Kestrel",
    "Lakeside",
    "Lantern",
    "Linden",
    "Maple",
    "Marsh",
    "Meadow",
    "Mill",
    "Northgate",
    "Oak",
    "Orchard",
    "Pebble",
    "Pier",
    "Pine",
    "Quarry",
    "Raven",
    "River",
    "Rowan",
    "Saltmarsh",
    "Silver",
    "Station",
    "Stone",
    "Thistle",
    "Tower",
    "Willow",
    "Wren",
];
const TRADES: [(&str, &str); 50] = [
    ("Bakery", "Food"),
    ("Brewery", "Food"),
    ("Café", "Food"),
    ("Kitchen", "Food"),
    ("Dairy", "Food"),
    ("Roasters", "Food"),
    ("Market", "Retail"),
    ("Books", "Retail"),
    ("Flowers", "Retail"),
    ("Outfitters", "Retail"),
    ("Records", "Retail"),
    ("Toys", "Retail"),
    ("Hotel", "Travel"),
    ("Hostel", "Travel"),
    ("Tours", "Travel"),
    ("Camping", "Travel"),
    ("Ferries", "Travel"),
    ("School", "Education"),
    ("College", "Education"),
    ("Nursery", "Education"),
    ("Library", "Public"),
    ("Council", "Public"),
    ("Museum", "Culture"),
    ("Theatre", "Culture"),
    ("Gallery", "Culture"),
    ("Cinema", "Culture"),
    ("Studio", "Design"),
    ("Architects", "Design"),
    ("Press", "Media"),
    ("Radio", "Media"),
    ("Post", "Media"),
    ("Clinic", "Health"),
    ("Pharmacy", "Health"),
    ("Physio", "Health"),
    ("Dentists", "Health"),
    ("Gym", "Sport"),
    ("Rowing Club", "Sport"),
    ("Cycling Club", "Sport"),
    ("Software", "Technology"),
    ("Robotics", "Technology"),
    ("Energy", "Technology"),
    ("Logistics", "Transport"),
    ("Couriers", "Transport"),
    ("Rail", "Transport"),
    ("Joinery", "Crafts"),
    ("Metalworks", "Crafts"),
    ("Ceramics", "Crafts"),
    ("Insurance", "Finance"),
    ("Credit Union", "Finance"),
    ("Law", "Services"),
];
const GIVEN: [&str; 40] = [
    "Ada", "Agnes", "Alma", "Anton", "Arthur", "Aylin", "Bela", "Carla", "Celia", "Dario", "Edda",
    "Elias", "Emre", "Femi", "Greta", "Hana", "Hugo", "Ines", "Iris", "Jakob", "Jamal", "Joana",
    "Kai", "Lena", "Levin", "Lucía", "Malik", "Marta", "Mina", "Nils", "Nora", "Olga", "Pablo",
    "Priya", "Ruben", "Sofia", "Tarek", "Thea", "Wanda", "Yuki",
];
const FAMILY: [&str; 50] = [
    "Abel",
    "Ahmadi",
    "Becker",
    "Blum",
    "Brandt",
    "Castro",
    "Chen",
    "Costa",
    "Dietz",
    "Duarte",
    "Ebert",
    "Farouk",
    "Fischer",
    "Garcia",
    "Gruber",
    "Haas",
    "Hansen",
    "Ito",
    "Jansen",
    "Kaya",
    "Keller",
    "Kim",
    "Kowalski",
    "Kraus",
    "Lang",
    "Lindqvist",
    "Lopez",
    "Marek",
    "Mensah",
    "Moreau",
    "Nakamura",
    "Novak",
    "Okafor",
    "Olsen",
    "Park",
    "Pereira",
    "Petrov",
    "Quist",
    "Rahman",
    "Reyes",
    "Rossi",
    "Sander",
    "Santos",
    "Schmid",
    "Silva",
    "Tanaka",
    "Vogel",
    "Weiss",
    "Yilmaz",
    "Zeman",
];
const ROLES: [&str; 12] = [
    "Owner",
    "Director",
    "Head of operations",
    "Fleet manager",
    "Office manager",
    "Buyer",
    "Event manager",
    "Head of sustainability",
    "Assistant",
    "Accountant",
    "Editor",
    "Head of people",
];
const TOWNS: [&str; 8] =
    ["Hamburg", "Bremen", "Kiel", "Lübeck", "Rostock", "Copenhagen", "Aarhus", "Malmö"];
const TAGS: [&str; 8] =
    ["fleet", "events", "newsletter", "press", "supplier", "spring offer", "friend", "lease"];
const STAGES: [&str; 6] = ["lead", "qualified", "proposal", "negotiation", "won", "lost"];
/// Talks: kind, what it was about, what was said.
const SAID: [(TalkKind, &str, &str); 10] = [
    (TalkKind::Call, "Number of bikes", "They would begin with ten and see how the season goes."),
    (TalkKind::Email, "Offer", "Sent the offer for the season with the price of the lease."),
    (
        TalkKind::Meeting,
        "Visit of the depot",
        "They rode three models and liked the one with the low step.",
    ),
    (TalkKind::Note, "", "Prefers to be called in the morning."),
    (
        TalkKind::Email,
        "Question about insurance",
        "They ask whether theft is covered **abroad**, too.",
    ),
    (
        TalkKind::Call,
        "Renewal",
        "The contract runs out in spring; they want to go on if the price stays.",
    ),
    (
        TalkKind::Coffee,
        "At the fair",
        "Talked about charging at the harbour. A pilot would suit them.",
    ),
    (TalkKind::Email, "Invoice", "The invoice went to the old address; sent again."),
    (TalkKind::Intro, "By way of the council", "The council put us in touch."),
    (TalkKind::Dm, "", "Asks for pictures of the cargo bikes for their page."),
];
const NEXT: [&str; 5] = [
    "Send the contract",
    "Call again",
    "Ask for the number of bikes",
    "Send pictures",
    "Plan a visit",
];

/// A column of a collection: what it is called, its kind, its choices.
type Fields = &'static [(&'static str, Kind, &'static [&'static str])];
/// Collections: name, emoji, what they hold, fields, the words of names.
const COLLECTIONS: [(&str, &str, &str, Fields, [&str; 4]); 5] = [
    (
        "Depots",
        "🏠",
        "Where bikes stand at night.",
        &[
            ("State", Kind::Select, &["Open", "Planned", "Closed"]),
            ("Places", Kind::Number, &[]),
            ("Opened on", Kind::Date, &[]),
        ],
        ["Depot", "Garage", "Hub", "Yard"],
    ),
    (
        "Spare parts",
        "🔩",
        "What is on the shelves.",
        &[
            ("Kind", Kind::Select, &["Brake", "Battery", "Tyre", "Frame"]),
            ("In stock", Kind::Number, &[]),
            ("Order page", Kind::Url, &[]),
        ],
        ["Pad", "Cell", "Tube", "Bolt"],
    ),
    (
        "Press",
        "📰",
        "Who wrote about us.",
        &[
            ("Tone", Kind::Select, &["Warm", "Neutral", "Critical"]),
            ("Printed on", Kind::Date, &[]),
            ("Answered", Kind::Boolean, &[]),
        ],
        ["Report", "Interview", "Column", "Letter"],
    ),
    (
        "Routes",
        "🗺️",
        "Rides that we recommend.",
        &[
            ("Level", Kind::Select, &["Easy", "Medium", "Hard"]),
            ("Kilometres", Kind::Number, &[]),
            ("Notes", Kind::LongText, &[]),
        ],
        ["Loop", "Trail", "Way", "Crossing"],
    ),
    (
        "Ideas",
        "💡",
        "What could become something.",
        &[
            ("Worth", Kind::Select, &["Small", "Fair", "Large"]),
            ("Days of work", Kind::Number, &[]),
            ("Decided", Kind::Boolean, &[]),
        ],
        ["Pilot", "Campaign", "Tool", "Offer"],
    ),
];

impl Crowd {
    /// Nobody yet.
    pub fn of(number: u64, company: &Company) -> Result<Self, SeedError> {
        Ok(Self {
            dice: Dice::of(number ^ 0x00c0_ffee),
            counts: company.plan.customers,
            people: Arc::new(company.ws.read(|snap| People::read(snap))?),
            organizations: Vec::new(),
            contacts: Vec::new(),
        })
    }

    fn sent(&self, mut values: Map<String, Value>) -> Sent {
        values.retain(|_, value| !value.is_null());
        Sent { people: Some(Arc::clone(&self.people)), ..Sent::of(values) }
    }

    /// Somebody of the company; nobody for some.
    fn owner(&mut self, company: &Company) -> Value {
        match self.dice.chance(700) {
            true => json!(format!("@{}", self.dice.pick(&company.people).handle)),
            false => Value::Null,
        }
    }

    fn organization(&mut self, n: usize, company: &Company) -> Sent {
        // Eleven and fifty share no divisor: no two of 3,000 are called the same.
        let (trade, industry) = TRADES[(n + n / PLACES.len()) % TRADES.len()];
        let name = format!("{} {trade}", PLACES[n % PLACES.len()]);
        let site = plain(&name);
        let values = object(json!({
            "name": name,
            "type": if self.dice.chance(850) { "company" } else { "agency" },
            "industry": industry,
            "website": format!("https://{site}.example"),
            "size": self.dice.pick(&["1-10", "11-50", "51-200", "201-1000"]),
            "location": self.dice.pick(&TOWNS),
            "owner": self.owner(company),
        }));
        self.sent(values)
    }

    fn contact(&mut self, n: usize, company: &Company) -> Sent {
        let (given, family) = (*self.dice.pick(&GIVEN), *self.dice.pick(&FAMILY));
        let mail = format!("{}.{}{n}@mail.example", plain(given), plain(family));
        let tags: Vec<&str> = TAGS.iter().copied().filter(|_| self.dice.chance(120)).collect();
        let mut values = object(json!({
            "name": format!("{given} {family}"),
            "stage": self.dice.pick(&STAGES),
            "title": self.dice.pick(&ROLES),
            "email": mail,
            "phone": format!("+49 40 {:07}", 1_000_000 + n),
            "location": self.dice.pick(&TOWNS),
            "source": self.dice.pick(&["Fair", "Website", "Referral", "Letter of the season"]),
            "tags": tags,
            "owner": self.owner(company),
        }));
        if self.dice.chance(850) && !self.organizations.is_empty() {
            values.insert("organization".into(), json!(self.dice.pick(&self.organizations)));
        }
        if self.dice.chance(400) {
            values.insert("deal_value".into(), json!(500 * self.dice.within(1, 80)));
            let close = company.day(-40 + days(self.dice.below(120)));
            values.insert("close_date".into(), json!(close.to_string()));
        }
        self.sent(values)
    }

    fn talk(&mut self, company: &Company) -> (ContactId, TalkPatch) {
        let (kind, subject, body) = *self.dice.pick(&SAID);
        let hours = self.dice.within(1, 24 * 7 * usize::try_from(company.plan.weeks).unwrap_or(1));
        let way = if self.dice.chance(500) { Way::Inbound } else { Way::Outbound };
        let next = self.dice.chance(80).then(|| *self.dice.pick(&NEXT));
        let day = company.day(-4 + days(self.dice.below(18)));
        let patch = TalkPatch {
            kind: Some(kind),
            way: Some((kind != TalkKind::Note).then_some(way)),
            subject: Some(subject.to_owned()),
            body: Some(body.to_owned()),
            occurred_at: Some(company.end - SignedDuration::from_hours(days(hours))),
            next_action: next.map(str::to_owned),
            next_on: next.map(|_| Some(day)),
            next_done: next.map(|_| self.dice.chance(300)),
        };
        (*self.dice.pick(&self.contacts), patch)
    }

    fn record(&mut self, n: usize, collection: usize, company: &Company) -> Sent {
        let (_, _, _, fields, names) = COLLECTIONS[collection];
        let place = PLACES[n % PLACES.len()];
        let mut values = object(json!({ "name": format!("{place} {} {}", names[n % 4], n + 1) }));
        for (label, kind, choices) in fields {
            let value = match kind {
                Kind::Select => json!(entity::key_of(self.dice.pick::<&str>(choices))),
                Kind::Number => json!(self.dice.within(1, 120)),
                Kind::Date => json!(company.day(-days(self.dice.below(400))).to_string()),
                Kind::Boolean => json!(self.dice.chance(500)),
                Kind::Url => json!(format!("https://parts.example/{}", n + 1)),
                _ => json!("Best on a dry day; the way back is against the wind."),
            };
            values.insert(entity::key_of(label), value);
        }
        self.sent(values)
    }
}

/// In small letters without marks, as in addresses.
fn plain(name: &str) -> String {
    let letter = |c: char| match c {
        'é' => 'e',
        'í' => 'i',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(letter).filter(char::is_ascii_alphanumeric).collect()
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
    /// So many days after the end of its past.
    fn day(&self, after: i64) -> Date {
        (self.end + SignedDuration::from_hours(24 * after)).to_zoned(TimeZone::UTC).date()
    }

    /// Whom the company knows before its first day, and its collections.
    pub(super) async fn meet(&mut self, crowd: &mut Crowd) -> Result<(), SeedError> {
        let who = (self.people[0].by, self.request());
        self.ws.write(&who, |tx| rules::start_with(tx, "sales")).await?;
        for first in (0..crowd.counts.organizations).step_by(ROWS) {
            let most = crowd.counts.organizations.min(first + ROWS);
            let rows: Vec<Sent> = (first..most).map(|n| crowd.organization(n, self)).collect();
            let who = (self.people[0].by, self.request());
            let made = self.ws.write(&who, move |tx| {
                let ids = rows.iter().map(|row| {
                    rules::create(RowKind::ORGANIZATIONS, tx, None, row)
                        .map(|made| OrganizationId::from_uuid(made.id))
                });
                ids.collect::<Result<Vec<_>, CrmError>>()
            });
            crowd.organizations.extend(made.await?);
        }
        for first in (0..crowd.counts.contacts).step_by(ROWS) {
            let most = crowd.counts.contacts.min(first + ROWS);
            let rows: Vec<Sent> = (first..most).map(|n| crowd.contact(n, self)).collect();
            let who = (self.people[first / ROWS % self.people.len()].by, self.request());
            let made = self.ws.write(&who, move |tx| {
                let ids = rows.iter().map(|row| {
                    rules::create(RowKind::CONTACTS, tx, None, row)
                        .map(|made| ContactId::from_uuid(made.id))
                });
                ids.collect::<Result<Vec<_>, CrmError>>()
            });
            crowd.contacts.extend(made.await?);
        }
        for n in 0..crowd.counts.collections.min(COLLECTIONS.len()) {
            self.make_collection(crowd, n).await?;
        }
        Ok(())
    }

    async fn make_collection(&mut self, crowd: &mut Crowd, n: usize) -> Result<(), SeedError> {
        let (name, icon, about, fields, _) = COLLECTIONS[n];
        let who = (self.people[0].by, self.request());
        let made = self.ws.write(&who, move |tx| {
            let patch = CollectionPatch {
                name: Some(name.to_owned()),
                icon: Some(icon.to_owned()),
                description: Some(about.to_owned()),
                archived: None,
            };
            let collection: CollectionId = rules::make_collection(tx, patch)?.id;
            for (label, kind, choices) in fields {
                let patch = FieldPatch {
                    label: Some((*label).to_owned()),
                    kind: Some(*kind),
                    choices: Some(choices.iter().map(|one| Choice::called(one)).collect()),
                    ..FieldPatch::default()
                };
                rules::make_field(tx, Home::Collection(collection), patch)?;
            }
            Ok::<_, CrmError>(collection)
        });
        let collection = made.await?;
        let rows: Vec<Sent> =
            (0..crowd.counts.records).map(|row| crowd.record(row, n, self)).collect();
        let who = (self.people[0].by, self.request());
        let made = self.ws.write(&who, move |tx| {
            rows.iter().try_for_each(|row| {
                rules::create(RowKind::RECORDS, tx, Some(collection), row).map(|_| ())
            })
        });
        Ok(made.await?)
    }

    /// What was talked about while the company lived.
    pub(super) async fn talk_outside(&mut self, crowd: &mut Crowd) -> Result<(), SeedError> {
        for first in (0..crowd.counts.talks).step_by(ROWS) {
            let most = crowd.counts.talks.min(first + ROWS);
            let talks: Vec<(ContactId, TalkPatch)> =
                (first..most).map(|_| crowd.talk(self)).collect();
            let who = (self.people[first / ROWS % self.people.len()].by, self.request());
            let made = self.ws.write(&who, move |tx| {
                talks.into_iter().try_for_each(|(contact, patch)| {
                    rules::log(tx, (Some(contact), None), patch).map(|_| ())
                })
            });
            made.await?;
        }
        Ok(())
    }
}
