//! The head of an agent's pages: who it is, what it does now, its tabs and the pages below them. All pages of an agent have
//! it, also those of other features: their templates extend `agents/frame.html` with fields
//! `shell` and `head`.

use super::{Activity, Group};
use crate::agents::model::Agent;
use crate::agents::templates;
use crate::tasks::queries as tasks;
use app::Ws;
use kernel::{AgentStatus, Can, ItemId, Timestamp};
use store::{Read, StoreError};
use web::live::Live;
use web::parts::{Dot, Face, Tab, Working};
use web::session::Access;

/// Which page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What it does and did.
    Overview,
    /// Talk.
    Chat,
    /// What it has written down to keep.
    Memory,
    Files,
    Browser,
    Secrets,
    /// What it did.
    Runs,
    /// What waits for it.
    Inbox,
    /// What became of its files.
    History,
    /// What it may do without asking.
    Behaviour,
    /// How it is set.
    Settings,
}

impl Place {
    /// All of them: those of one tab stand together, the one to which the tab leads first.
    const ALL: [Self; 11] = [
        Self::Overview,
        Self::Chat,
        Self::Files,
        Self::Memory,
        Self::Browser,
        Self::Secrets,
        Self::Runs,
        Self::Inbox,
        Self::History,
        Self::Behaviour,
        Self::Settings,
    ];

    /// The word behind the agent's address; empty for the overview.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Chat => "chat",
            Self::Memory => "memory",
            Self::Files => "files",
            Self::Browser => "browser",
            Self::Secrets => "secrets",
            Self::Runs => "runs",
            Self::Inbox => "inbox",
            Self::History => "history",
            Self::Behaviour => "behaviour",
            Self::Settings => "settings",
        }
    }

    /// The place of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.word() == word)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Chat => "Chat",
            Self::Memory => "Memory",
            Self::Files => "Files",
            Self::Browser => "Browser",
            Self::Secrets => "Secrets",
            Self::Runs => "Runs",
            Self::Inbox => "Inbox",
            Self::History => "Changes",
            Self::Behaviour => "Behaviour",
            Self::Settings => "Settings",
        }
    }

    /// The place to which the tab leads that this one belongs to.
    fn tab(self) -> Self {
        match self {
            Self::Memory => Self::Files,
            Self::Inbox | Self::History => Self::Runs,
            own => own,
        }
    }

    fn tab_label(self) -> &'static str {
        match self {
            Self::Runs => "Activity",
            own => own.label(),
        }
    }

    fn href(self, base: &str) -> String {
        match self {
            Self::Overview => base.to_owned(),
            _ => format!("{base}/{}", self.word()),
        }
    }
}

/// The head of an agent's page.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its face, with the ring while it works.
    pub face: Face,
    pub name: String,
    /// Its name in mentions.
    pub slug: String,
    /// What its template is for, in a word or two.
    pub role: String,
    /// What it does now.
    pub dot: Dot,
    /// The task or run that it is about, in words.
    pub now: String,
    /// Where that leads; empty for nowhere.
    pub now_href: String,
    pub tabs: Vec<Tab>,
    /// The pages of the tab that is shown; empty where it has one.
    pub below: Vec<Tab>,
    /// Where its pages lie: `/w/acme/agents/ada`.
    pub base: String,
    /// Where people talk to it.
    pub chat_href: String,
    /// Whether this person may change it.
    pub manages: bool,
    /// Whether it can be paused now.
    pub can_pause: bool,
    /// Whether it can be resumed now.
    pub can_resume: bool,
    /// Whether its set-up can be tried again.
    pub can_retry: bool,
    /// Whether it is archived.
    pub is_archived: bool,
    /// How the head renews itself.
    pub live: Live,
    /// The whole of it, for pages that show more.
    pub activity: Activity,
}

impl Head {
    /// Where a failed item of this agent is tried again.
    #[must_use]
    pub fn item_href(&self, item: ItemId) -> String {
        let end = self.base.rfind("/agents/").unwrap_or(self.base.len());
        format!("{}/inbox/{item}/retry", &self.base[..end])
    }
}

/// Makes the head.
pub fn head(
    ws: &Ws,
    tx: &dyn Read,
    agent: &Agent,
    place: Place,
    access: Access,
    now: Timestamp,
) -> Result<Head, StoreError> {
    let activity = super::activity(tx, agent, now)?;
    let base = ws.url(&format!("agents/{}", agent.slug));
    let (words, now_href) = match place {
        // The page tells it with what can be done about it.
        Place::Overview if activity.stuck.is_some() => (String::new(), String::new()),
        _ => about(ws, tx, &activity)?,
    };
    let working = if activity.group == Group::Working { Working::Yes } else { Working::No };
    let is_archived = agent.archived_at.is_some();
    let manages = access.may(Can::Agents);
    let name = super::called(tx, agent)?;
    let role = templates::find(&agent.template).map(|t| t.manifest.name.clone());
    Ok(Head {
        face: Face::agent(&name, &agent.emoji, &agent.slug).working(working),
        name,
        slug: agent.slug.clone(),
        role: role.unwrap_or_else(|| agent.template.clone()),
        dot: Dot::new(activity.state, &activity.label),
        now: words,
        now_href,
        tabs: tabs(&base, place, activity.open),
        below: below(&base, place),
        chat_href: format!("{base}/chat"),
        manages,
        can_pause: manages && agent.status == AgentStatus::Ready && !is_archived,
        can_resume: manages && agent.status == AgentStatus::Paused && !is_archived,
        can_retry: manages && agent.status == AgentStatus::Error && !is_archived,
        is_archived,
        live: Live::new(format!("{base}/head?tab={}", place.word()))
            .record("agents", agent.id)
            .table("runs")
            .table("inbox"),
        base,
        activity,
    })
}

/// The tabs below the head; `base` is the agent's address, `open` how many items wait.
fn tabs(base: &str, place: Place, open: usize) -> Vec<Tab> {
    let tab = |other: Place| {
        let tab = Tab::new(other.tab_label(), other.href(base), other == place.tab());
        if other == Place::Runs { tab.count(open as u64) } else { tab }
    };
    Place::ALL.into_iter().filter(|other| other.tab() == *other).map(tab).collect()
}

/// The pages of the tab to which a place belongs; nothing where that is the only one.
fn below(base: &str, place: Place) -> Vec<Tab> {
    let page = |other: Place| Tab::new(other.label(), other.href(base), other == place);
    let near = Place::ALL.into_iter().filter(|other| other.tab() == place.tab());
    let pages: Vec<Tab> = near.map(page).collect();
    if pages.len() == 1 { Vec::new() } else { pages }
}

/// What an agent is busy with, in words, and where that leads.
fn about(ws: &Ws, tx: &dyn Read, activity: &Activity) -> Result<(String, String), StoreError> {
    let Some(run) = &activity.run else { return Ok((activity.detail.clone(), String::new())) };
    let href = ws.url(&format!("runs/{}", run.number));
    let subject = match run.task.map(|task| tasks::get(tx, task)) {
        Some(Ok(task)) => tasks::name(tx, task.number)?,
        _ => run.name(),
    };
    let words = match activity.group {
        Group::Working => format!("on {subject}, step {}", run.steps + 1),
        _ => format!("with {subject}"),
    };
    Ok((words, href))
}
