//! Set-up of the workspace, its people and agents, and initial data.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use app::App;
use crypto::token::{Token, TokenKind};
use features::agents::{provision, rules as agents};
use features::routines::rules as routines;
use features::streams::rules::{self as streams, NewStream};
use features::tasks::model::series::DueAfter;
use features::tasks::model::template::TemplateItem;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::labels::{self, NewLabel};
use features::tasks::rules::series::{self, NewSeries};
use features::tasks::rules::templates::{self, NewTemplate};
use features::users::model::Account;
use features::users::rules::{self as users, NewAccount, NewSignIn, UsersError};
use features::views::rules::{self as views, For, NewView};
use features::workspace::model::Member;
use features::workspace::rules::invites::{self, NewInvite};
use features::workspace::rules::members::Joining;
use kernel::time::ManualClock;
use kernel::{
    AccountId, Actor, AgentId, Assignee, Cause, Part, Priority, Role, StreamKind, Thinking,
    TypedId as _, Via,
};
use server::workspaces::life::{self, NewWorkspace};
use store::ReadExt as _;

use super::dice::Dice;
use super::people::Deck;
use super::texts::{SeriesText, StreamText, TemplateText, Texts};
use super::{Company, CompanyOptions, DemoError, EMAIL, PASSWORD, refused, unusable};

/// Possible people; the first is the owner.
const PEOPLE: [(&str, &str, Role); 4] = [
    ("Mara Olsen", EMAIL, Role::Owner),
    ("Tom Becker", "tom@tidewater.example", Role::Admin),
    ("Lena Roth", "lena@tidewater.example", Role::Member),
    ("Omar Haddad", "omar@tidewater.example", Role::Member),
];
/// Monthly budget per agent, in micro-dollars.
const BUDGET: i64 = 150_000_000;

pub(super) struct Person {
    pub account: AccountId,
    /// For mentions.
    pub handle: String,
    /// Actor of its actions.
    pub by: Actor,
}

pub(super) struct Worker {
    pub id: AgentId,
    pub slug: String,
    /// Takes no work.
    pub paused: bool,
}

impl Company {
    /// Creates the workspace with its people and agents.
    pub(super) async fn found(
        app: App,
        clock: Arc<ManualClock>,
        wish: CompanyOptions,
    ) -> Result<Self, DemoError> {
        let (plan, texts) = (wish.size.plan(), Arc::new(Texts::read()));
        let folder = app.config.data.join("workspaces");
        fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
        let hash = app.hasher.hash(Zeroizing::new(PASSWORD.to_owned())).await;
        let hash = hash.map_err(UsersError::from)?;
        let mut accounts = Vec::new();
        for (name, email, _) in &PEOPLE[..plan.people] {
            accounts.push(account(&app, name, email, &hash).await?);
        }
        let (owner, first) = accounts[0].clone();
        let new = NewWorkspace {
            name: "Tidewater Bikes".to_owned(),
            emoji: Some("🚲".to_owned()),
            zone: "UTC".to_owned(),
            owner,
            guided: false,
        };
        let setup = (Actor::System(Part::Setup), Cause::Setup);
        let ws = life::add(&app, setup, new).await.map_err(refused)?;
        let mut people = Vec::new();
        for (n, (account, by)) in accounts.into_iter().enumerate() {
            let id = account.id;
            if n > 0 {
                let token = Token::issue(TokenKind::Invite);
                let invite = NewInvite {
                    role: PEOPLE[n].2,
                    email: Some(account.email.clone()),
                    public: token.id().to_owned(),
                    hash: token.hash(),
                    strangers: Vec::new(),
                };
                ws.write(&(first, Cause::Setup), move |tx| invites::create(tx, invite)).await?;
                let who = Joining { account: id, name: account.name, email: account.email };
                ws.write(&(by, Cause::Setup), move |tx| invites::accept(tx, &token, who, false))
                    .await?;
            }
            let member = ws.read(|snap| snap.get::<Member>(id))?;
            let handle = member.map_or_else(String::new, |member| member.handle);
            people.push(Person { account: id, handle, by });
        }
        let mut company = Self {
            app,
            ws,
            clock,
            plan,
            end: wish.now,
            dice: Dice(wish.number),
            recent: vec![VecDeque::new(); texts.streams.len()],
            decks: vec![Deck::default(); texts.streams.len()],
            texts,
            people,
            agents: Vec::new(),
            streams: Vec::new(),
            labels: Vec::new(),
            templates: Vec::new(),
            agenda: BTreeMap::new(),
            tick: 0,
            live: Vec::new(),
            made: 0,
            refused: 0,
        };
        company.hire().await?;
        Ok(company)
    }

    async fn hire(&mut self) -> Result<(), DemoError> {
        let texts = Arc::clone(&self.texts);
        let who = (self.people[0].by, Cause::Setup);
        for (n, text) in texts.agents.iter().take(self.plan.agents).enumerate() {
            let new = agents::NewAgent {
                name: text.name.clone(),
                slug: String::new(),
                emoji: text.emoji.clone(),
                description: text.about.clone(),
                template: text.template.clone(),
                model: agents::ModelChoice::default(),
                thinking: Some(Thinking::Low),
                exec: false,
                budget_micros: Some(BUDGET),
                reports_to: Some(self.people[n % self.people.len()].account.into()),
            };
            let names = provision::template_names();
            let made = self.ws.write(&who, move |tx| agents::create(tx, new, &names)).await?;
            let agent = provision::make(&self.ws, &who, made.id).await?;
            self.agents.push(Worker { id: agent.id, slug: agent.slug, paused: false });
        }
        Ok(())
    }

    /// Creates streams, labels, templates, series, routines and views.
    pub(super) async fn prepare(&mut self) -> Result<(), DemoError> {
        let texts = Arc::clone(&self.texts);
        for (n, text) in texts.streams.iter().enumerate() {
            let new = self.stream(n, text);
            let made = self.act(0, move |tx| streams::create(tx, new)).await?;
            self.streams.push(made.id);
        }
        for name in &texts.labels {
            let new = NewLabel { name: name.clone(), ..NewLabel::default() };
            let made = self.act(0, move |tx| labels::create(tx, new)).await?;
            self.labels.push(made.id);
        }
        for text in &texts.templates {
            let new = template(text);
            let made = self.act(0, move |tx| templates::create(tx, new)).await?;
            self.templates.push(made.id);
        }
        for text in &texts.series {
            let new = self.series(text)?;
            self.act(0, move |tx| series::create(tx, new)).await?;
        }
        for (n, wish) in texts.routines.iter().enumerate() {
            let (wish, agent) = (wish.clone(), self.agents[n % self.agents.len()].id);
            self.act(0, move |tx| routines::save(tx, None, agent, &wish)).await?;
        }
        for text in &texts.views {
            let new = NewView {
                noun: "tasks".to_owned(),
                name: text.name.clone(),
                icon: text.icon.clone(),
                seen: For::All,
                look: text.look.clone(),
            };
            let me = self.people[0].account;
            self.act(0, move |tx| views::create(tx, me, new)).await?;
        }
        Ok(())
    }

    fn stream(&self, n: usize, text: &StreamText) -> NewStream {
        let lead = match n % 3 {
            0 => Assignee::Person(self.people[n % self.people.len()].account),
            _ => Assignee::Agent(self.worker_of(n)),
        };
        let target = (self.end + SignedDuration::from_hours(24 * 60)).to_zoned(TimeZone::UTC);
        NewStream {
            description: text.about.clone(),
            icon: text.icon.clone(),
            kind: StreamKind::Functional,
            goal: text.goal.clone(),
            lead: Some(lead),
            target_date: n.is_multiple_of(2).then(|| target.date()),
            ..NewStream::called(&text.name)
        }
    }

    /// The agents of a stream; all agents if it has none.
    pub(super) fn workers_of(&self, stream: usize) -> Vec<AgentId> {
        let all = self.agents.iter().zip(&self.texts.agents);
        let fits = all.filter(|(_, text)| text.streams.contains(&stream));
        let fits: Vec<AgentId> = fits.map(|(agent, _)| agent.id).collect();
        match fits.is_empty() {
            true => self.agents.iter().map(|agent| agent.id).collect(),
            false => fits,
        }
    }

    fn worker_of(&self, stream: usize) -> AgentId {
        self.workers_of(stream)[0]
    }

    fn series(&self, text: &SeriesText) -> Result<NewSeries, DemoError> {
        let schedule = text.schedule.read("UTC", self.app.clock.now());
        Ok(NewSeries {
            title: text.title.clone(),
            description: String::new(),
            priority: Priority::Medium,
            assignee: Some(Assignee::Agent(self.worker_of(text.stream))),
            stream: Some(self.streams[text.stream]),
            model: None,
            thinking: None,
            labels: Vec::new(),
            schedule: schedule.map_err(TaskError::Invalid)?,
            missed: text.missed,
            ends_on: None,
            ends_after: None,
            due: Some(DueAfter::default()),
        })
    }
}

/// Creates an account with a session, whose cookie is discarded.
async fn account(
    app: &App,
    name: &str,
    email: &str,
    hash: &str,
) -> Result<(Account, Actor), DemoError> {
    let id = AccountId::from_uuid(app.ids.next(app.clock.now_ms()));
    let (name, email, hash) = (name.to_owned(), email.to_owned(), hash.to_owned());
    let new = NewAccount { id, name, email, hash };
    let browser = NewSignIn {
        hash: Token::issue(TokenKind::SignIn).hash(),
        address: "127.0.0.1".to_owned(),
        agent: "Demo".to_owned(),
        device: None,
    };
    let made = app.system.write(Actor::System(Part::Setup), Cause::Setup, move |tx| {
        let account = users::create_account(tx, new)?;
        Ok::<_, UsersError>((account, users::sign_in(tx, id, browser)?.id))
    });
    let (account, sign_in) = made.await?;
    Ok((account, Actor::Person { account: id, via: Via::SignIn(sign_in) }))
}

fn template(text: &TemplateText) -> NewTemplate {
    let item = |(n, (title, role)): (usize, &(String, String))| TemplateItem {
        key: (n + 1).to_string(),
        title: title.clone(),
        description: String::new(),
        priority: if n == 0 { Priority::High } else { Priority::Medium },
        role: role.clone(),
        labels: Vec::new(),
        // Two tasks can start at once, the others one after the other.
        blocked_by: if n < 2 { Vec::new() } else { vec![(n - 1).to_string()] },
    };
    NewTemplate {
        name: text.name.clone(),
        description: text.about.clone(),
        items: text.steps.iter().enumerate().map(item).collect(),
    }
}
