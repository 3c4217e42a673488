//! Pages of HQ and global actions, for palette and search.

use crate::workspace::queries::modules::Off;
use kernel::Can;
use search::Wanted;
use web::session::Person;

/// A page or action.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub title: &'static str,
    /// Path below the workspace.
    pub path: &'static str,
    /// Synonyms.
    words: &'static str,
    pub part: &'static str,
    pub glyph: &'static str,
    /// Required permission.
    can: Can,
    /// Selector of an element to click instead of following the path.
    pub press: &'static str,
}

impl Place {
    /// Placeholder for a run, whose title not everybody may read.
    #[must_use]
    pub const fn run() -> Self {
        page("Run", "runs", "", "Runs", "play")
    }

    fn is_for(&self, who: &Person) -> bool {
        who.access.may(self.can)
    }

    /// Returns `true` if the title or synonyms match the query.
    #[must_use]
    pub fn fits(&self, wanted: &Wanted) -> bool {
        wanted.is_in(&[self.title, self.words])
    }

    const fn needs(mut self, can: Can) -> Self {
        self.can = can;
        self
    }

    const fn presses(mut self, selector: &'static str) -> Self {
        self.press = selector;
        self
    }
}

const fn page(
    title: &'static str,
    path: &'static str,
    words: &'static str,
    part: &'static str,
    glyph: &'static str,
) -> Place {
    Place { title, path, words, part, glyph, can: Can::Read, press: "" }
}

const fn setting(title: &'static str, path: &'static str, words: &'static str) -> Place {
    page(title, path, words, "Settings", "settings")
}

const PAGES: &[Place] = &[
    page("Dashboard", "", "home start overview", "Pages", "home"),
    page("Review", "review", "deliverables approve", "Pages", "inbox"),
    page("Approvals", "approvals", "allow deny ask permissions", "Pages", "lock"),
    page("Notifications", "notifications", "inbox bell", "Pages", "bell").needs(Can::Account),
    page("Activity", "activity", "feed history changes log", "Pages", "pulse"),
    page("Tasks", "tasks", "todo board issues", "Pages", "tasks"),
    page("Recurring tasks", "tasks/recurring", "series repeat", "Pages", "repeat"),
    page("Streams", "streams", "groups projects goals", "Pages", "layers"),
    page("Agents", "agents", "fleet team", "Pages", "agent"),
    page("Runs", "runs", "work sessions", "Pages", "play"),
    page("Agent inbox", "inbox", "items queue waiting failed", "Pages", "inbox"),
    page("Routines", "routines", "schedule automation cron trigger", "Pages", "repeat"),
    page("Programs", "jobs", "jobs processes background timers", "Pages", "terminal"),
    page("Contacts", "contacts", "crm customers people pipeline leads deals", "Pages", "users"),
    page("Organizations", "organizations", "crm companies customers accounts", "Pages", "org"),
    page("Collections", "collections", "tables records database", "Pages", "box"),
    setting("Permissions", "settings/policy", "approvals policy allow deny ask rules"),
    setting("Profile", "settings/profile", "name time zone password me").needs(Can::Account),
    setting("Appearance", "settings/appearance", "theme density dates numbers week")
        .needs(Can::Account),
    setting("Notification settings", "settings/notifications", "push email digest quiet")
        .needs(Can::Account),
    setting("Two-step sign-in", "settings/security", "security passkey 2fa totp app codes")
        .needs(Can::Account),
    setting("Sign-ins", "settings/sign-ins", "devices sessions sign out").needs(Can::Account),
    setting("API tokens", "settings/tokens", "keys access programs").needs(Can::Account),
    setting("General", "settings/general", "workspace name emoji key archive delete"),
    setting("Modules", "settings/modules", "switch off parts crm customers collections knowledge"),
    setting("Members", "settings/members", "people invite roles team"),
    setting("Tasks", "settings/tasks", "delegation agents give work missed overdue days"),
    setting("Labels", "settings/labels", "tags colours tasks"),
    setting(
        "Fields and pipeline",
        "settings/fields",
        "custom columns stages crm contacts collections",
    ),
    setting("Task templates", "settings/task-templates", "spawn plan"),
    setting("Mail", "settings/mail", "smtp email server").needs(Can::Admin),
    setting("Connections", "settings/connections", "models providers keys api openai anthropic"),
    setting("Secrets", "settings/secrets", "keys passwords tokens variables env").needs(Can::Admin),
    setting("Usage and budgets", "settings/usage", "cost money spend tokens limits"),
    setting("Budgets", "settings/usage/budgets", "limits money cap"),
    setting("Prices", "settings/usage/prices", "cost of models"),
    setting("Semantic search", "settings/meaning", "model embedding vectors semantic knowledge"),
    setting("Health", "settings/health", "status doctor store consumers index").needs(Can::Admin),
    setting("Audit", "settings/audit", "record who did what redact retention").needs(Can::Admin),
    setting("Backups", "settings/backups", "restore export snapshot").needs(Can::Admin),
];

const ACTIONS: &[Place] = &[
    page("New task", "tasks/new", "create add todo issue", "Create", "plus").needs(Can::Write),
    page("Tasks from a template", "tasks/from-template", "spawn plan", "Create", "plus")
        .needs(Can::Write),
    page("New contact", "contacts/new", "create add customer person lead", "Create", "plus")
        .needs(Can::Write),
    page("New organization", "organizations/new", "create add company", "Create", "plus")
        .needs(Can::Write),
    page("New routine", "routines/new", "create schedule automation", "Create", "plus")
        .needs(Can::Agents),
    page("New agent", "agents/new", "create add hire", "Create", "plus").needs(Can::Agents),
    page("Invite someone", "settings/members", "member people add", "Create", "user")
        .needs(Can::Admin),
    page("Connect a model", "settings/connections/new", "provider key add", "Create", "key")
        .needs(Can::Admin),
    page("Pause the workspace", "pause", "stop halt all agents", "Agents", "pause"),
    page("Light or dark", "", "theme appearance mode", "HQ", "moon").presses("[data-theme-toggle]"),
    page("Keyboard shortcuts", "", "keys help", "HQ", "key").presses("[data-key='?']"),
    page("Sign out", "", "log out leave", "HQ", "out").presses("form[action='/logout'] button"),
];

/// Pages that a person may open, without those of disabled modules.
#[must_use]
pub fn pages(who: &Person, off: &Off) -> Vec<&'static Place> {
    let is_there = |place: &&Place| place.is_for(who) && !off.has_page(place.path);
    PAGES.iter().filter(is_there).collect()
}

/// Actions that a person may use, without those of disabled modules.
#[must_use]
pub fn actions(who: &Person, off: &Off) -> Vec<&'static Place> {
    let is_there = |place: &&Place| place.is_for(who) && !off.has_page(place.path);
    ACTIONS.iter().filter(is_there).collect()
}
