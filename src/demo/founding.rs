//! The workspace, its people and its agents.

use std::fs;

use jiff::SignedDuration;
use zeroize::Zeroizing;

use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use features::agents::{provision, rules as agents};
use features::users::model::Account;
use features::users::rules::{self as users, NewAccount, NewSignIn, UsersError};
use features::workspace::model::Member;
use features::workspace::rules::invites::{self, NewInvite};
use features::workspace::rules::members::Joining;
use kernel::{AccountId, Actor, AgentId, Cause, Part, Role, SignInId, Thinking, TypedId as _, Via};

use store::ReadExt as _;

use super::words::Words;
use super::{EMAIL, PASSWORD, Plan, SeedError};
use server::workspaces::life::{self, NewWorkspace};

/// Everybody who may be in it; the first owns it.
const PEOPLE: [(&str, &str, Role); 4] = [
    ("Mara Olsen", EMAIL, Role::Owner),
    ("Tom Becker", "tom@tidewater.example", Role::Admin),
    ("Lena Roth", "lena@tidewater.example", Role::Member),
    ("Omar Haddad", "omar@tidewater.example", Role::Member),
];
/// What each agent may spend in a month, in micro-dollars.
const BUDGET: i64 = 150_000_000;

/// A person of the company.
pub(super) struct Person {
    pub account: AccountId,
    /// What agents call it with.
    pub handle: String,
    /// As whom it acts.
    pub by: Actor,
}

/// An agent of the company.
pub(super) struct Worker {
    pub id: AgentId,
    pub slug: String,
    /// Whether it takes no work.
    pub paused: bool,
}

pub(super) struct Founded {
    /// The workspace.
    pub ws: Ws,
    /// The texts.
    pub words: Words,
    pub people: Vec<Person>,
    pub agents: Vec<Worker>,
}

/// Founds the workspace with its people and agents.
pub(super) async fn found(app: &App, plan: Plan, words: Words) -> Result<Founded, SeedError> {
    let setup = (Actor::System(Part::Setup), Cause::Setup);
    let place = app.config.data.join("workspaces");
    if let Err(source) = fs::create_dir_all(&place) {
        return Err(SeedError::Folder { path: place, source });
    }
    let hash = app.hasher.hash(Zeroizing::new(PASSWORD.to_owned())).await;
    let hash = hash.map_err(UsersError::from)?;
    let owner = account(app, PEOPLE[0], &hash).await?;
    let new = NewWorkspace {
        name: "Tidewater Bikes".to_owned(),
        emoji: Some("🚲".to_owned()),
        zone: "UTC".to_owned(),
        owner: owner.clone(),
        guided: false,
    };
    let ws = life::add(app, setup, new).await?;
    let first = signed_in(app, &owner).await?;
    let mut people = vec![person(&ws, &owner, first)?];
    for (name, email, role) in PEOPLE.into_iter().take(plan.people).skip(1) {
        let known = account(app, (name, email, role), &hash).await?;
        let token = Token::issue(TokenKind::Invite);
        let (public, hash) = (token.id().to_owned(), token.hash());
        let invite =
            NewInvite { role, email: Some(email.to_owned()), public, hash, strangers: Vec::new() };
        ws.write(&(first, Cause::Setup), move |tx| invites::create(tx, invite)).await?;
        let by = signed_in(app, &known).await?;
        let who =
            Joining { account: known.id, name: known.name.clone(), email: known.email.clone() };
        ws.write(&(by, Cause::Setup), move |tx| invites::accept(tx, &token, who, false)).await?;
        people.push(person(&ws, &known, by)?);
    }
    let agents = hire(&ws, plan, &words, &people).await?;
    Ok(Founded { ws, words, people, agents })
}

fn person(ws: &Ws, account: &Account, by: Actor) -> Result<Person, SeedError> {
    let member = ws.read(|snap| snap.get::<Member>(account.id))?;
    let handle = member.map_or_else(String::new, |member| member.handle);
    Ok(Person { account: account.id, handle, by })
}

async fn account(
    app: &App,
    (name, email, _): (&str, &str, Role),
    hash: &str,
) -> Result<Account, SeedError> {
    let new = NewAccount {
        id: AccountId::from_uuid(app.ids.next(app.clock.now_ms())),
        name: name.to_owned(),
        email: email.to_owned(),
        hash: hash.to_owned(),
    };
    let by = Actor::System(Part::Setup);
    let made = app.system.write(by, Cause::Setup, move |tx| users::create_account(tx, new));
    Ok(made.await?)
}

/// A browser in which somebody is signed in. Nobody has its cookie.
async fn signed_in(app: &App, account: &Account) -> Result<Actor, SeedError> {
    let cookie = Token::issue(TokenKind::SignIn);
    let browser = NewSignIn {
        hash: cookie.hash(),
        address: "127.0.0.1".to_owned(),
        agent: "Demo".to_owned(),
        device: None,
    };
    let (id, by) = (account.id, Actor::System(Part::Setup));
    let made = app.system.write(by, Cause::Setup, move |tx| users::sign_in(tx, id, browser));
    let sign_in: SignInId = made.await?.id;
    Ok(Actor::Person { account: id, via: Via::SignIn(sign_in) })
}

async fn hire(
    ws: &Ws,
    plan: Plan,
    words: &Words,
    people: &[Person],
) -> Result<Vec<Worker>, SeedError> {
    let mut agents = Vec::new();
    for (n, text) in words.agents.iter().take(plan.agents).enumerate() {
        let manager = &people[n % people.len()];
        let new = agents::NewAgent {
            name: text.name.to_owned(),
            slug: String::new(),
            emoji: text.emoji.to_owned(),
            description: text.about.to_owned(),
            template: text.template.to_owned(),
            model: agents::ModelWish::default(),
            thinking: Some(Thinking::Low),
            exec: false,
            budget_micros: Some(BUDGET),
            reports_to: Some(manager.account.into()),
        };
        let who = (people[0].by, Cause::Setup);
        let names = provision::template_names();
        let made = ws.write(&who, move |tx| agents::create(tx, new, &names)).await?;
        let agent = provision::make(ws, &who, made.id).await?;
        agents.push(Worker { id: agent.id, slug: agent.slug, paused: false });
    }
    Ok(agents)
}

/// How long before the end agents are paused.
pub(super) const PAUSED_BEFORE: SignedDuration = SignedDuration::from_hours(60);
