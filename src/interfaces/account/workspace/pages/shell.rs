//! The shell around the content of a page: the sidebar with its counts, the person, and the feed cursor from which the
//! page's live stream continues.

use axum::http::request::Parts;
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self as agents_of, Activity, Called, Group, drafts};
use features::cards;
use features::deliverables::queries as deliverables;
use features::notifications::model::CHOICES;
use features::notifications::queries as notifications;
use features::runs::model::{HALTS, HaltCause, PARKS, Run};
use features::runs::queries::marks::{self, Unread};
use features::runs::queries::{halt, questions, talk};
use features::tasks::queries::list as tasks;
use features::trust::model::APPROVALS;
use kernel::text::listed;
use kernel::{Can, Role, Timestamp, WorkspaceState};
use store::{Snap, StoreError};
use web::appearance::Viewer;
use web::error::PageError;
use web::flash;
use web::form::sentence;
use web::format;
use web::live::Live;
use web::parts::{Dot, Face, Working};
use web::session::Person;
use web::shell::{Bell, Closed, NavGroup, NavItem, Place, PlaceLine, Shell, Warning};
use web::sse::{AGENT_FILES, DISK, Position};
use web::time::RelTime;

use features::workspace::model::Settings;
use features::workspace::queries::modules::Off;
use features::workspace::queries::{self, PlaceOf};

/// Maximum number of agents in the sidebar.
const MAX_AGENTS: usize = 20;

/// Builds the shell for this person.
pub fn shell(ws: &Ws, who: &Person, parts: &Parts) -> Result<Shell, PageError> {
    // Read the cursor first, so that changes made while the page is built are streamed.
    let cursor = Position::now(ws).to_string();
    let now = ws.app.clock.now();
    let (settings, brand, numbers) = ws.read(|snap| {
        let numbers = Numbers::read(ws, snap, who, now)?;
        Ok::<_, StoreError>((queries::settings(snap)?, queries::brand(snap)?, numbers))
    })?;
    let off = settings.as_ref().map(Off::in_settings).unwrap_or_default();
    let place = settings.map(|settings| place(ws, &settings));
    let all = queries::places(&ws.app, who.account)?;
    let live = ["tasks", "deliverables", "agents", "runs", "inbox", "settings"];
    let mut live = live.into_iter().fold(Live::new(ws.url("nav")), Live::table);
    for noun in cards::all().filter(|noun| noun.review.is_some()) {
        let table = ws.store.schema().table(noun.table).map(|info| info.name);
        live = table.into_iter().fold(live, Live::table);
    }
    let live = marks::heard(live.tables(&[APPROVALS.name, PARKS.name, AGENT_FILES]));
    let live = live.record(CHOICES.name, who.account).later();
    let bell = Live::new(ws.url("notifications/bell")).record(CHOICES.name, who.account);
    let places_live = ["workspaces", "settings", "members"];
    let places_live = places_live.into_iter().fold(Live::new(ws.url("places")), Live::table);
    let shell = Shell {
        more_settings: kit::registry::pages().collect(),
        place: place.unwrap_or_else(|| Place { slug: ws.slug.clone(), ..Place::default() }),
        may_add: all.iter().any(|place| place.member.role == Role::Owner),
        places: all.iter().map(|one| line(one, ws)).collect(),
        places_live: Some(places_live),
        closed: closed(ws, who)?,
        warning: warning(ws, who),
        bell: Some(Bell { unread: numbers.unread, live: bell }),
        closed_live: Some(Live::new(ws.url("closed")).tables(&["workspaces", HALTS.name, DISK])),
        person: Face::person(&who.name),
        email: who.email.clone(),
        tabs: tabs(ws, &numbers),
        nav: nav(ws, (who, &off), numbers),
        nav_live: Some(live),
        viewer: parts.extensions.get::<Viewer>().copied().unwrap_or_default(),
        brand: brand.map_or_else(String::new, |brand| {
            ws.url(&format!("brand.css?v={}", web::brand::rev(brand.colour)))
        }),
        flash: flash::read(&ws.app, &parts.headers).into_iter().collect(),
        cursor,
        ..Shell::default()
    };
    Ok(shell.at(parts.uri.path()))
}

fn place(ws: &Ws, settings: &Settings) -> Place {
    Place { slug: ws.slug.clone(), name: settings.name.clone(), emoji: settings.emoji.clone() }
}

/// A workspace in the switcher.
fn line(one: &PlaceOf, here: &Ws) -> PlaceLine {
    PlaceLine {
        place: place(&one.ws, &one.settings),
        note: super::note(&one.ws),
        current: one.ws.id == here.id,
    }
}

/// Notice of low disk space, for administrators. A full disk is shown to everyone, since no changes are saved.
fn warning(ws: &Ws, who: &Person) -> Option<Warning> {
    let (room, size) = (ws.store.room()?, web::format::size);
    let health = who.access.may(Can::Admin);
    let (tone, text) = match (room.is_full(), health) {
        (true, true) => {
            let text = format!(
                "The disk is full: {} free, and below {} every change is refused. Delete other \
                 files, move backups elsewhere or compact the database. HQ then continues \
                 automatically.",
                size(room.free),
                size(room.reserve)
            );
            ("danger", text)
        }
        (true, false) => {
            let text = "HQ’s disk is full, so changes can’t be saved. You can keep reading. Tell \
                        the server’s admin; HQ continues automatically once there is space.";
            ("danger", text.to_owned())
        }
        (false, true) if room.is_low() => {
            let text = format!(
                "The disk is nearly full: {} of {} free. Free some space before HQ has to refuse \
                 changes.",
                size(room.free),
                size(room.all)
            );
            ("warn", text)
        }
        _ => return None,
    };
    Some(Warning { tone, text, health })
}

/// Banner over all pages while the workspace is closed or all work is paused.
fn closed(ws: &Ws, who: &Person) -> Result<Option<Closed>, StoreError> {
    if ws.app.closing.is_cancelled() {
        let text = "HQ is about to stop. What you write is saved, and agents continue after the next \
             start.";
        let (text, verb, action) = (text.to_owned(), "", "");
        return Ok(Some(Closed { text, tone: "warn", moving: false, verb, action }));
    }
    let Some(words) = ws.closed_words() else { return halted(ws, who) };
    let mut text = sentence(&words);
    if let Some(shown) = ws.shown() {
        text = format!("{text} Right now {shown}.");
    }
    let (tone, verb) = match ws.standing().state {
        WorkspaceState::Deleting => ("danger", "Cancel deletion"),
        _ => ("warn", "Restore"),
    };
    let verb = if who.access.may(Can::Own) { verb } else { "" };
    let (moving, action) = (ws.shown().is_some(), "settings/restore");
    Ok(Some(Closed { text, tone, moving, verb, action }))
}

fn halted(ws: &Ws, who: &Person) -> Result<Option<Closed>, StoreError> {
    let found = ws.read(|snap| match halt::of_workspace(snap)? {
        Some(halt) => Ok(Some((halt::by(snap, &halt)?, halt.at, halt.cause()))),
        None => Ok::<_, StoreError>(None),
    })?;
    let Some((by, at, cause)) = found else { return Ok(None) };
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let at = RelTime::new(at, ws.app.clock.now(), &zone).text;
    let text = match cause {
        HaltCause::Crashes => format!(
            "HQ stopped unexpectedly several times and paused all work {at}. Check Runs before \
             you resume."
        ),
        HaltCause::Person | HaltCause::Copy => {
            format!("{by} paused all work {at}. Agents don’t start or send anything.")
        }
    };
    let verb = if who.access.may(Can::Admin) { "Resume" } else { "" };
    Ok(Some(Closed { text, tone: "danger", moving: false, verb, action: "resume" }))
}

/// The counts of the sidebar.
struct Numbers {
    chats: Unread,
    review: ToReview,
    unread: u64,
    tasks: u64,
    agents: Vec<(Agent, Activity)>,
    /// Name and address of each collection in use.
    collections: Vec<(String, String)>,
}

/// Pending reviews and answers of this person.
struct ToReview {
    count: u64,
    /// Description of what is counted; may be empty.
    label: String,
}

impl ToReview {
    fn read(ws: &Ws, snap: &Snap<'_>, who: &Person, agents: &[Agent]) -> Result<Self, StoreError> {
        let sees = |run: &Run| talk::may_see_run(snap, run, who.account, who.role);
        let asks = questions::waiting(snap, &sees)?;
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mut all = vec![
            (number(deliverables::in_review_count(snap)?), "deliverable", "deliverables"),
            (asks.approvals, "approval", "approvals"),
            (asks.questions, "question", "questions"),
        ];
        for (noun, count, _) in cards::waiting(snap, |can| who.access.may(can))? {
            all.push((number(count), noun.one, noun.many));
        }
        if who.access.may(Can::Agents) {
            let count = number(drafts::count_of(ws, agents));
            all.push((count, "agent draft", "agent drafts"));
        }
        all.retain(|(count, ..)| 0 < *count);
        let counts: Vec<String> =
            all.iter().map(|(count, one, many)| format::count(*count, one, many)).collect();
        let counts = match counts.is_empty() {
            true => String::new(),
            false => format!("waiting: {}", listed(&counts)),
        };
        Ok(Self { count: all.iter().map(|(count, ..)| count).sum(), label: counts })
    }

    /// The sidebar item with its count.
    fn item(&self, ws: &Ws) -> NavItem {
        NavItem::new("Review", ws.url("review"), "inbox").count(self.count).telling(&self.label)
    }
}

/// Name and address of each collection in use, from its registry entry.
fn collections(snap: &Snap<'_>) -> Result<Vec<(String, String)>, StoreError> {
    /// Maximum number of collections in the sidebar.
    const MOST: usize = 20;
    let Some(noun) = cards::of_word("collection") else { return Ok(Vec::new()) };
    let all = (noun.rows.list)(snap, MOST)?;
    let in_use = all.iter().filter(|(_, fields)| fields["archived_at"].is_null());
    Ok(in_use.map(|(_, fields)| ((noun.title)(fields), (noun.path)(fields))).collect())
}

impl Numbers {
    fn read(ws: &Ws, snap: &Snap<'_>, who: &Person, now: Timestamp) -> Result<Self, StoreError> {
        let all = agents_of::all(snap)?;
        let review = ToReview::read(ws, snap, who, &all)?;
        let mut agents = Vec::new();
        for agent in all.into_iter().take(MAX_AGENTS) {
            let activity = agents_of::activity_seen(ws, snap, &agent, now)?;
            agents.push((agent, activity));
        }
        let unread = notifications::unread(snap, (who.account, now), notifications::MANY)?;
        Ok(Self {
            unread: u64::try_from(unread).unwrap_or(u64::MAX),
            chats: marks::of_member(snap, who.account)?,
            review,
            tasks: tasks::open_count(snap)?,
            agents,
            collections: collections(snap)?,
        })
    }
}

fn nav(ws: &Ws, (who, off): (&Person, &Off), numbers: Numbers) -> Vec<NavGroup> {
    let places = vec![
        NavItem::new("Dashboard", ws.url(""), "home").key("g d"),
        numbers.review.item(ws).loud().key("g r"),
        // Their number is at the bell and in the tab's title only.
        NavItem::new("Notifications", ws.url("notifications"), "bell").key("g n"),
        NavItem::new("Activity", ws.url("activity"), "pulse").key("g l"),
    ];
    let mut work = vec![
        NavItem::new("Tasks", ws.url("tasks"), "tasks")
            .count(numbers.tasks)
            .telling(format::count(numbers.tasks, "open task", "open tasks"))
            .key("g t"),
        NavItem::new("Streams", ws.url("streams"), "layers"),
        NavItem::new("Agents", ws.url("agents"), "agent").key("g a"),
        NavItem::new("Runs", ws.url("runs"), "play").key("g u"),
        NavItem::new("Knowledge", ws.url("knowledge"), "book").key("g k"),
        NavItem::new("Routines", ws.url("routines"), "repeat"),
        NavItem::new("Programs", ws.url("jobs"), "terminal"),
    ];
    let mut customers = vec![
        NavItem::new("Contacts", ws.url("contacts"), "users").key("g c"),
        NavItem::new("Organizations", ws.url("organizations"), "org"),
    ];
    work.retain(|item| !off.has_page(below(ws, &item.href)));
    customers.push(NavItem::new("Collections", ws.url("collections"), "box"));
    customers.extend(
        numbers.collections.iter().map(|(name, path)| NavItem::new(name, ws.url(path), "list")),
    );
    customers.retain(|item| !off.has_page(below(ws, &item.href)));
    let chats = numbers.chats;
    let called = Called::among(numbers.agents.iter().map(|(agent, _)| agent));
    let agents = numbers.agents.into_iter().map(|(agent, activity)| {
        let working = Working::from(activity.group == Group::Working);
        let face = Face::agent(&called.name(&agent), &agent.emoji, &agent.slug).working(working);
        let dot = Dot::new(activity.state, &activity.label);
        let line = NavItem::agent(face, ws.url(&format!("agents/{}", agent.slug)), dot);
        let unread = chats.with(agent.id);
        line.count(unread).telling(unread_words(unread)).loud()
    });
    let mut fleet = NavGroup::new("Agents", agents.collect());
    if who.access.may(Can::Agents) {
        fleet = fleet.add("New agent", ws.url("agents/new"));
    }
    let mut groups = vec![NavGroup::new("", places), NavGroup::new("Work", work)];
    if !customers.is_empty() {
        groups.push(NavGroup::new("Customers", customers));
    }
    groups.push(fleet);
    groups
}

/// What the number at an agent counts.
fn unread_words(unread: u64) -> String {
    format::count(unread, "unread message", "unread messages")
}

/// The path below the workspace.
fn below<'h>(ws: &Ws, href: &'h str) -> &'h str {
    href.strip_prefix(ws.url("").as_str()).unwrap_or(href)
}

fn tabs(ws: &Ws, numbers: &Numbers) -> Vec<NavItem> {
    vec![
        NavItem::new("Home", ws.url(""), "home"),
        numbers.review.item(ws),
        NavItem::new("Tasks", ws.url("tasks"), "tasks"),
        NavItem::new("Agents", ws.url("agents"), "agent")
            .count(numbers.chats.total())
            .telling(unread_words(numbers.chats.total())),
    ]
}
