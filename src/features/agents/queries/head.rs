//! Header of an agent's pages: identity, activity, tabs and subpages. All pages of an agent use it, also those of
//! other features: their templates extend `agents/frame.html` with fields `shell` and `head`.

use super::{Activity, Group};
use crate::agents::model::Agent;
use crate::agents::templates;
use crate::tasks::queries as tasks;
use app::Ws;
use kernel::{AgentStatus, Can, ItemId, Timestamp};
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Dot, Face, Tab, Working};
use web::session::Access;

/// Page of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Current and past activity.
    Overview,
    Chat,
    Memory,
    Files,
    Browser,
    Secrets,
    Runs,
    Inbox,
    /// Changes of its files.
    History,
    /// Permissions.
    Behaviour,
    Settings,
}

impl Place {
    /// All pages. Pages of one tab are adjacent, and the tab's target comes first.
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

    /// Path segment after the agent's address; empty for the overview.
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

    /// The page that represents this page's tab.
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

/// Header of an agent's page.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its face, with a ring while it works.
    pub face: Face,
    pub name: String,
    /// Name in mentions.
    pub slug: String,
    /// Display name of its template.
    pub role: String,
    /// State dot of its activity.
    pub dot: Dot,
    /// Current task or run, as text.
    pub now: String,
    /// Path of that task or run; may be empty.
    pub now_href: String,
    pub tabs: Vec<Tab>,
    /// Pages of the current tab; empty for a single page.
    pub below: Vec<Tab>,
    /// Base path of its pages: `/w/acme/agents/ada`.
    pub base: String,
    pub chat_href: String,
    /// Whether the reader may change the agent.
    pub manages: bool,
    pub can_pause: bool,
    pub can_resume: bool,
    pub can_retry: bool,
    pub is_archived: bool,
    /// Live updates of the header.
    pub live: Live,
    /// Full activity, for pages that show more.
    pub activity: Activity,
}

impl Head {
    /// Path that retries a failed item of this agent.
    #[must_use]
    pub fn item_href(&self, item: ItemId) -> String {
        let end = self.base.rfind("/agents/").unwrap_or(self.base.len());
        format!("{}/inbox/{item}/retry", &self.base[..end])
    }
}

/// Builds the header.
pub fn head(
    ws: &Ws,
    tx: &dyn Read,
    agent: &Agent,
    place: Place,
    access: Access,
    now: Timestamp,
) -> Result<Head, StoreError> {
    let activity = super::activity_seen(ws, tx, agent, now)?;
    let base = ws.url(&format!("agents/{}", agent.slug));
    let (words, now_href) = match place {
        // The overview shows it with its actions.
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

/// The tabs. `base` is the agent's path, `open` the number of waiting items.
fn tabs(base: &str, place: Place, open: usize) -> Vec<Tab> {
    let tab = |other: Place| {
        let tab = Tab::new(other.tab_label(), other.href(base), other == place.tab());
        if other == Place::Runs { waiting(tab, open) } else { tab }
    };
    Place::ALL.into_iter().filter(|other| other.tab() == *other).map(tab).collect()
}

/// A tab with the number of open inbox items.
fn waiting(tab: Tab, open: usize) -> Tab {
    let open = u64::try_from(open).unwrap_or(u64::MAX);
    tab.count(open).telling(format::count(open, "open inbox item", "open inbox items"))
}

/// The pages of the current tab; empty for a single page.
fn below(base: &str, place: Place) -> Vec<Tab> {
    let page = |other: Place| Tab::new(other.label(), other.href(base), other == place);
    let near = Place::ALL.into_iter().filter(|other| other.tab() == place.tab());
    let pages: Vec<Tab> = near.map(page).collect();
    if pages.len() == 1 { Vec::new() } else { pages }
}

/// Text and path of what an agent is working on.
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
