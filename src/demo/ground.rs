//! What stands before the first day: streams, labels, templates, series, routines, views.

use std::collections::HashMap;

use jiff::SignedDuration;

use super::{Company, SeedError};
use features::routines::conditions::{Op, Written};
use features::routines::rules as routines;
use features::routines::wish::{EventWish, TaskWish, Wish};
use features::streams::rules::{self as streams, NewStream};
use features::tasks::model::series::DueAfter;
use features::tasks::model::template::TemplateItem;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::labels::{self, NewLabel};
use features::tasks::rules::series::{self, NewSeries};
use features::tasks::rules::templates::{self, NewTemplate, Spawn};
use features::views::model::Look;
use features::views::rules::{self as views, For, NewView};
use kernel::cadence::ScheduleFields;
use kernel::{AgentId, Assignee, CadenceKind, MissedPolicy, Priority, StreamKind, TemplateId};

const LABELS: [&str; 12] = [
    "quick win",
    "customer",
    "money",
    "safety",
    "waiting",
    "idea",
    "supplier",
    "spring",
    "autumn",
    "press",
    "training",
    "to decide",
];

/// The tasks of a template: title and role.
type Steps = &'static [(&'static str, &'static str)];
/// Templates: name, what for, tasks.
const TEMPLATES: [(&str, &str, Steps); 3] = [
    (
        "Open a depot",
        "What a new place needs before its first bike leaves it.",
        &[
            ("Sign the lease", "lead"),
            ("Order racks and chargers", "lead"),
            ("Hire two mechanics", "people"),
            ("Train them on batteries", "people"),
            ("Put the depot on the map", "web"),
            ("Write to the neighbours", "web"),
            ("Move the first ten bikes", "lead"),
            ("Invite the town to the open day", "web"),
        ],
    ),
    (
        "Somebody new",
        "From the contract to the first ride alone.",
        &[
            ("Send the contract", "people"),
            ("Order working clothes", "people"),
            ("Show the depot", "lead"),
            ("Course in first aid", "people"),
            ("Talk after two weeks", "lead"),
        ],
    ),
    (
        "Letter of the season",
        "The letter to all customers, four times a year.",
        &[
            ("Collect what is new", "web"),
            ("Write the draft", "web"),
            ("Check prices and dates", "lead"),
            ("Translate it", "web"),
            ("Send a trial to ourselves", "web"),
            ("Send it", "lead"),
        ],
    ),
];

/// A series: title, stream, time of day, cadence, and days of the week or every how many days.
const SERIES: [(&str, usize, &str, CadenceKind, &[u8]); 5] = [
    ("Look through the open repairs", 6, "08:30", CadenceKind::Weekdays, &[]),
    ("Count the bikes in all depots", 1, "09:00", CadenceKind::Weekly, &[1]),
    ("Send the figures of the week", 11, "16:00", CadenceKind::Weekly, &[5]),
    ("Check the fire extinguishers", 6, "10:00", CadenceKind::EveryNDays, &[]),
    ("Close the books of the month", 4, "09:00", CadenceKind::Monthly, &[]),
];

/// A routine by time: name, what is to be done, and its cron line.
const TIMED: [(&str, &str, &str); 3] = [
    (
        "Morning brief",
        "Say in five lines what happened since yesterday and what is due today.",
        "0 8 * * 1-5",
    ),
    ("Watch the batteries", "Read the battery figures and name those that fall.", "30 13 * * 1-5"),
    ("Week in numbers", "Compare the rides of this week with the one before.", "0 15 * * 5"),
];

/// A condition.
fn is(field: &str, value: &str) -> Written {
    Written {
        field: field.to_owned(),
        op: Some(Op::Is),
        value: value.to_owned(),
        ..Written::default()
    }
}

impl Company {
    /// Makes all of it.
    pub(super) async fn lay_ground(&mut self) -> Result<(), SeedError> {
        self.make_streams().await?;
        self.make_labels().await?;
        self.make_templates().await?;
        self.make_series().await?;
        self.make_routines().await?;
        self.make_views().await
    }

    async fn make_streams(&mut self) -> Result<(), SeedError> {
        let target =
            (self.end + SignedDuration::from_hours(24 * 60)).to_zoned(jiff::tz::TimeZone::UTC);
        for n in 0..self.words.streams.len() {
            let text = &self.words.streams[n];
            let lead = match n % 3 {
                0 => Assignee::Person(self.people[n % self.people.len()].account),
                _ => Assignee::Agent(self.worker_of(n)),
            };
            let new = NewStream {
                description: text.about.to_owned(),
                icon: text.icon.to_owned(),
                kind: StreamKind::Functional,
                goal: text.goal.to_owned(),
                lead: Some(lead),
                target_date: (n % 2 == 0).then(|| target.date()),
                ..NewStream::called(text.name)
            };
            let who = (self.people[0].by, self.request());
            let made = self.ws.write(&who, move |tx| streams::create(tx, new)).await?;
            self.streams.push(made.id);
        }
        Ok(())
    }

    /// An agent that works in a stream; the first one where none does.
    fn worker_of(&self, stream: usize) -> AgentId {
        let all = self.agents.iter().zip(&self.words.agents);
        let mut fits = all.filter(|(_, text)| text.streams.contains(&stream));
        fits.next().map_or(self.agents[0].id, |(agent, _)| agent.id)
    }

    async fn make_labels(&mut self) -> Result<(), SeedError> {
        for name in LABELS {
            let new = NewLabel { name: name.to_owned(), ..NewLabel::default() };
            let who = (self.people[0].by, self.request());
            let made = self.ws.write(&who, move |tx| labels::create(tx, new)).await?;
            self.labels.push(made.id);
        }
        Ok(())
    }

    async fn make_templates(&mut self) -> Result<(), SeedError> {
        for (name, about, steps) in TEMPLATES {
            let item = |(n, (title, role)): (usize, &(&str, &str))| TemplateItem {
                key: (n + 1).to_string(),
                title: (*title).to_owned(),
                description: String::new(),
                priority: if n == 0 { Priority::High } else { Priority::Medium },
                role: (*role).to_owned(),
                labels: Vec::new(),
                // Two can begin at once, then one after the other.
                blocked_by: if n < 2 { Vec::new() } else { vec![(n - 1).to_string()] },
            };
            let new = NewTemplate {
                name: name.to_owned(),
                description: about.to_owned(),
                items: steps.iter().enumerate().map(item).collect(),
            };
            let who = (self.people[0].by, self.request());
            let made = self.ws.write(&who, move |tx| templates::create(tx, new)).await?;
            self.templates.push(made.id);
        }
        Ok(())
    }

    /// How a template is made into tasks: its roles are people.
    pub(super) fn spawning(&mut self) -> (TemplateId, Spawn) {
        let template = *self.dice.pick(&self.templates);
        let stream = *self.dice.pick(&self.streams);
        let mut roles = HashMap::new();
        for role in ["lead", "people", "web"] {
            let who = self.dice.pick(&self.people).account;
            roles.insert(role.to_owned(), Some(Assignee::Person(who)));
        }
        (template, Spawn { stream: Some(stream), parent: None, roles })
    }

    async fn make_series(&mut self) -> Result<(), SeedError> {
        for (n, (title, stream, time, kind, days)) in SERIES.into_iter().enumerate() {
            let fields = ScheduleFields {
                cadence_type: Some(kind),
                interval_n: (kind == CadenceKind::EveryNDays).then_some(10),
                days_of_week: days.to_vec(),
                day_of_month: (kind == CadenceKind::Monthly).then_some(3),
                time_of_day: Some(time.to_owned()),
                ..ScheduleFields::default()
            };
            let schedule = fields.read("UTC", self.app.clock.now());
            let schedule = schedule.map_err(TaskError::Invalid)?;
            let assignee = match n % 2 {
                0 => Assignee::Agent(self.worker_of(stream)),
                _ => Assignee::Person(self.people[n % self.people.len()].account),
            };
            let new = NewSeries {
                title: title.to_owned(),
                description: String::new(),
                priority: Priority::Medium,
                assignee: Some(assignee),
                stream: Some(self.streams[stream]),
                model: None,
                thinking: None,
                labels: Vec::new(),
                schedule,
                missed: if n == 0 { MissedPolicy::AutoSkip } else { MissedPolicy::Queue },
                ends_on: None,
                ends_after: None,
                due: Some(DueAfter::default()),
            };
            let who = (self.people[0].by, self.request());
            let made = self.ws.write(&who, move |tx| series::create(tx, new)).await?;
            self.series.push(made.id);
        }
        Ok(())
    }

    async fn make_routines(&mut self) -> Result<(), SeedError> {
        for (n, (name, instruction, cron)) in TIMED.into_iter().enumerate() {
            let wish = Wish {
                name: name.to_owned(),
                instruction: instruction.to_owned(),
                schedule: Some(ScheduleFields {
                    cadence_type: Some(CadenceKind::Cron),
                    cron: Some(cron.to_owned()),
                    ..ScheduleFields::default()
                }),
                ..Wish::default()
            };
            self.keep_routine(n, wish).await?;
        }
        let event = EventWish {
            when: "task.status".to_owned(),
            all: vec![is("new", "blocked"), is("priority", "urgent")],
            own_changes: false,
        };
        let wish = Wish {
            name: "Clear the way".to_owned(),
            instruction: "{task} \"{title}\" is blocked. Say what it waits for and who can help."
                .to_owned(),
            event: Some(event),
            ..Wish::default()
        };
        self.keep_routine(3, wish).await?;
        let wish = Wish {
            name: "Plan of the week".to_owned(),
            instruction: "Put together what has to be done until Friday.".to_owned(),
            schedule: Some(ScheduleFields {
                cadence_type: Some(CadenceKind::Cron),
                cron: Some("30 7 * * 1".to_owned()),
                ..ScheduleFields::default()
            }),
            task: Some(TaskWish {
                title: "Plan of the week".to_owned(),
                due_days: Some(4),
                ..TaskWish::default()
            }),
            ..Wish::default()
        };
        self.keep_routine(4, wish).await
    }

    async fn keep_routine(&mut self, n: usize, wish: Wish) -> Result<(), SeedError> {
        let agent = self.agents[n % self.agents.len()].id;
        let who = (self.people[0].by, self.request());
        let kept = self.ws.write(&who, move |tx| routines::save(tx, None, agent, &wish));
        kept.await?;
        Ok(())
    }

    async fn make_views(&mut self) -> Result<(), SeedError> {
        let looks = [
            ("Customers first", "💬", "is:open label:customer", "list"),
            ("Held up", "🚧", "status:blocked", "list"),
            ("Urgent board", "🔥", "is:open priority:urgent", "board"),
        ];
        for (name, icon, q, layout) in looks {
            let new = NewView {
                noun: "tasks".to_owned(),
                name: name.to_owned(),
                icon: icon.to_owned(),
                seen: For::All,
                look: Look { q: q.to_owned(), layout: layout.to_owned(), ..Look::default() },
            };
            let (who, me) = ((self.people[0].by, self.request()), self.people[0].account);
            self.ws.write(&who, move |tx| views::create(tx, me, new)).await?;
        }
        Ok(())
    }
}
