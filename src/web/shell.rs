//! Everything around the content of a page: sidebar, top bar, messages, theme.
//!
//! The shell knows no product noun. Who assembles a page (one place, with the signed-in person
//! and the workspace at hand) fills a [`Shell`]; `layout.html` draws it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::http::header::{HeaderMap, HeaderValue, REFERER, SET_COOKIE};
use axum::response::Response;

use crate::assets::{self, Links};
use crate::habit;
use crate::html;
use crate::hx::Hx;
use crate::live::Live;
use crate::parts::{Dot, Face, Tone};

/// Name of the cookie that keeps the theme.
pub const THEME_COOKIE: &str = "hq_theme";

/// Light, dark, or as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// The theme that the browser asked for last.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_word(habit::kept(headers, THEME_COOKIE))
    }

    /// The theme with this name; an unknown name means the system's.
    pub fn from_word(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    /// What the button switches to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light | Self::System => Self::Dark,
        }
    }

    /// The word in `data-theme` and in the cookie.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The `Set-Cookie` value that keeps this theme for a year. A script may read and write it,
    /// so that the button answers at once.
    pub fn cookie(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::System => "hq_theme=system; Path=/; Max-Age=31536000; SameSite=Lax",
            Self::Light => "hq_theme=light; Path=/; Max-Age=31536000; SameSite=Lax",
            Self::Dark => "hq_theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
        })
    }
}

/// `POST /theme`: switches the theme for a browser without script, and goes back.
pub async fn switch_theme(headers: HeaderMap) -> Response {
    let back = headers.get(REFERER).and_then(|v| v.to_str().ok()).and_then(own_path);
    let mut response = Hx::default().go_to(back.unwrap_or("/"));
    let cookie = Theme::from_headers(&headers).other().cookie();
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

/// The path of an address, so that going back cannot lead to another host.
pub(super) fn own_path(referer: &str) -> Option<&str> {
    let rest = referer.split_once("://")?.1;
    let path = &rest[rest.find('/')?..];
    (!path.starts_with("//") && !path.starts_with("/\\")).then_some(path)
}

/// The sidebar's lines alone, for [`Shell::nav_live`]. Mark the reader's place with
/// [`Shell::at`] and the path of `Hx::current_url` first.
pub fn nav<E: From<html::RenderError>>(shell: Shell) -> Result<Response, E> {
    html::fragment(&Nav { shell })
}

/// The switcher alone, for [`Shell::places_live`].
pub fn switcher<E: From<html::RenderError>>(shell: Shell) -> Result<Response, E> {
    html::fragment(&Switcher { shell })
}

#[derive(Template)]
#[template(path = "shell/switcher.html")]
struct Switcher {
    shell: Shell,
}

/// The line over all pages alone, for [`Shell::closed_live`].
pub fn closed<E: From<html::RenderError>>(shell: Shell) -> Result<Response, E> {
    html::fragment(&ClosedLine { shell })
}

#[derive(Template)]
#[template(path = "shell/closed.html")]
struct ClosedLine {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "shell/nav.html")]
struct Nav {
    shell: Shell,
}

/// A message that the page shows once, after a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// What kind of message.
    pub tone: Tone,
    /// A whole sentence.
    pub text: String,
    /// Where its undo is sent; empty where it offers none.
    pub undo: String,
}

impl Flash {
    /// A message of a tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), undo: String::new() }
    }

    /// Something was done.
    pub fn ok(text: impl Into<String>) -> Self {
        Self::new(Tone::Ok, text)
    }

    /// Something failed, with the real reason.
    pub fn danger(text: impl Into<String>) -> Self {
        Self::new(Tone::Danger, text)
    }

    /// The same with a button that posts to `undo`.
    #[must_use]
    pub fn with_undo(self, undo: String) -> Self {
        Self { undo, ..self }
    }
}

/// The workspace as the shell shows it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Word in addresses: `/w/<slug>/…`.
    pub slug: String,
    /// Name of the company.
    pub name: String,
    /// One emoji.
    pub emoji: String,
}

/// A workspace in the switcher.
#[derive(Clone, Debug, Default)]
pub struct PlaceLine {
    /// The workspace.
    pub place: Place,
    /// A word when it is not worked in, or empty.
    pub note: &'static str,
    /// Whether this page belongs to it.
    pub current: bool,
}

/// What somebody should do something about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// How bad it is, as colours know it.
    pub tone: &'static str,
    /// Whole sentences: what it is and what to do.
    pub text: String,
    /// Whether this person may look at the health of HQ.
    pub health: bool,
}

/// A line over all pages of a workspace that nobody works in.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// A whole sentence.
    pub text: String,
    /// A word for its tone.
    pub tone: &'static str,
    /// Whether something is being done with the workspace right now, so that the line is asked for
    /// again soon.
    pub moving: bool,
    /// What the button that brings it back says; empty for those who may not.
    pub verb: &'static str,
    /// Where that is posted, in the workspace.
    pub action: &'static str,
}

/// One line of the sidebar.
#[derive(Clone, Debug, Default)]
pub struct NavItem {
    /// What a person reads.
    pub label: String,
    /// Where it leads.
    pub href: String,
    /// Icon name, if no face stands there.
    pub icon: &'static str,
    /// An agent's face in place of the icon.
    pub face: Option<Face>,
    /// Number at the end of the line.
    pub count: Option<u64>,
    /// What the number counts, in words, where the label does not say it.
    pub told: String,
    /// Whether the number wants attention.
    pub loud: bool,
    /// State at the end of the line.
    pub dot: Option<Dot>,
    /// Key chord such as `g t`, or empty.
    pub key: &'static str,
    /// Whether the page belongs to this line.
    pub current: bool,
}

impl NavItem {
    /// A place with an icon.
    pub fn new(label: impl Into<String>, href: impl Into<String>, icon: &'static str) -> Self {
        Self { label: label.into(), href: href.into(), icon, ..Self::default() }
    }

    /// An agent with its face and state.
    pub fn agent(face: Face, href: impl Into<String>, dot: Dot) -> Self {
        let label = face.name.clone();
        Self { label, href: href.into(), face: Some(face), dot: Some(dot), ..Self::default() }
    }

    /// The same line with a number; zero is not shown.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = (0 < count).then_some(count);
        self
    }

    /// The same line, with what its number counts.
    #[must_use]
    pub fn telling(mut self, told: impl Into<String>) -> Self {
        self.told = told.into();
        self
    }

    /// The same line, its number in the colour of attention.
    #[must_use]
    pub fn loud(mut self) -> Self {
        self.loud = true;
        self
    }

    /// The same line with a key chord.
    #[must_use]
    pub fn key(mut self, chord: &'static str) -> Self {
        self.key = chord;
        self
    }

    /// Key caps of the chord, upper case.
    pub fn keys(&self) -> Vec<String> {
        self.key.split_whitespace().map(str::to_uppercase).collect()
    }

    /// The number as it is shown, at most "99+".
    pub fn count_text(&self) -> String {
        match self.count {
            Some(n) if 99 < n => "99+".to_owned(),
            Some(n) => n.to_string(),
            None => String::new(),
        }
    }
}

/// A part of the sidebar.
#[derive(Clone, Debug, Default)]
pub struct NavGroup {
    /// Heading, or empty for the first group.
    pub label: String,
    /// Address of the "new" button beside the heading, or empty.
    pub add_href: String,
    /// Name of that button.
    pub add_label: String,
    /// Lines.
    pub items: Vec<NavItem>,
}

impl NavGroup {
    /// A group with a heading (or none).
    pub fn new(label: impl Into<String>, items: Vec<NavItem>) -> Self {
        Self { label: label.into(), items, ..Self::default() }
    }

    /// The same group with a "new" button.
    #[must_use]
    pub fn add(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.add_label = label.into();
        self.add_href = href.into();
        self
    }
}

/// The bell in the top bar: how much is new for the person.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    /// How many things.
    pub unread: u64,
    /// How it renews itself.
    pub live: Live,
}

impl Bell {
    /// The number for people; nothing when there is nothing.
    #[must_use]
    pub fn text(&self) -> String {
        NavItem::default().count(self.unread).count_text()
    }
}

/// Everything that `layout.html` draws around the content.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// The workspace.
    pub place: Place,
    /// The signed-in person.
    pub person: Face,
    /// Their email address, for the account menu.
    pub email: String,
    /// Sidebar, top to bottom.
    pub nav: Vec<NavGroup>,
    /// How the sidebar renews itself: `Live::new(url of the nav fragment).table("tasks")…`.
    pub nav_live: Option<Live>,
    /// Places of the phone's bottom bar, at most four; "More" is added.
    pub tabs: Vec<NavItem>,
    /// All workspaces of the person, for the switcher.
    pub places: Vec<PlaceLine>,
    /// Whether the person may add a workspace.
    pub may_add: bool,
    /// How the switcher renews itself.
    pub places_live: Option<Live>,
    /// Said over all pages when nobody works here.
    pub closed: Option<Closed>,
    /// How that line renews itself.
    pub closed_live: Option<Live>,
    /// What somebody should do something about, over all pages.
    pub warning: Option<Warning>,
    /// What is new for the person.
    pub bell: Option<Bell>,
    /// Theme from the cookie.
    pub theme: Theme,
    /// Whether the page belongs to the settings; set by [`Shell::at`].
    pub settings: bool,
    /// Pages of the settings beside those that are always there: word in addresses, and label.
    pub more_settings: Vec<(&'static str, &'static str)>,
    /// Messages to show once.
    pub flash: Vec<Flash>,
    /// Place in the feed that this page shows, `<incarnation>.<seq>`; the stream starts there.
    /// Empty: no stream.
    pub cursor: String,
}

impl Shell {
    /// An address inside the workspace: `url("tasks")` is `/w/<slug>/tasks`.
    pub fn url(&self, path: &str) -> String {
        format!("/w/{}/{path}", self.place.slug)
    }

    /// Whether the line over all pages changes by itself soon.
    #[must_use]
    pub fn closed_moves(&self) -> bool {
        self.closed.as_ref().is_some_and(|closed| closed.moving)
    }

    /// Marks the line whose address is the longest start of `path`, so that `/tasks/7` belongs
    /// to "Tasks".
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        let home = self.url("");
        self.settings = path.starts_with(&self.url("settings"));
        let covers = |href: &str| {
            let rest = path.strip_prefix(href.trim_end_matches('/'));
            match href == home {
                true => path.trim_end_matches('/') == home.trim_end_matches('/'),
                false => rest.is_some_and(|r| r.is_empty() || r.starts_with('/')),
            }
        };
        let lines = self.nav.iter_mut().flat_map(|g| g.items.iter_mut());
        let longest = lines.filter(|i| covers(&i.href)).max_by_key(|i| i.href.len());
        if let Some(line) = longest {
            line.current = true;
        }
        let tabs = self.tabs.iter_mut().filter(|i| covers(&i.href));
        if let Some(tab) = tabs.max_by_key(|i| i.href.len()) {
            tab.current = true;
        }
        self
    }

    /// Whether the page belongs to the settings, which stand below the sidebar's lines.
    pub fn in_settings(&self) -> bool {
        self.settings
    }

    /// Addresses of script, style and sprite.
    pub fn assets(&self) -> &'static Links {
        assets::links()
    }

    /// The document from the end of the title to the crumbs of the page.
    pub fn begin(&self) -> Begin<'_> {
        Begin { shell: self }
    }

    /// From the crumbs to the actions of the page.
    pub fn middle(&self) -> Middle<'_> {
        Middle { shell: self }
    }

    /// From the actions to what the page says over its content.
    pub fn corner(&self) -> Corner<'_> {
        Corner { shell: self }
    }

    /// What stands below the content.
    pub fn below(&self) -> Below<'_> {
        Below { shell: self }
    }

    /// Layers of every page.
    pub fn layers(&self) -> Layers<'_> {
        Layers { shell: self }
    }

    /// The menu of all settings pages, on the page `at`.
    pub fn settings_menu<'a>(&'a self, at: &'a str) -> SettingsMenu<'a> {
        SettingsMenu { shell: self, at }
    }

    /// Whether the page opens the live stream.
    pub fn is_live(&self) -> bool {
        !self.cursor.is_empty()
    }
}

// What the layout draws around the blocks of a page. A template of its own each, so that it is compiled once and
// not into every page.

/// See [`Shell::begin`].
#[derive(Template)]
#[template(path = "shell/begin.html")]
pub struct Begin<'a> {
    shell: &'a Shell,
}

impl HtmlSafe for Begin<'_> {}

/// See [`Shell::middle`].
#[derive(Template)]
#[template(path = "shell/middle.html")]
pub struct Middle<'a> {
    shell: &'a Shell,
}

impl HtmlSafe for Middle<'_> {}

/// See [`Shell::corner`].
#[derive(Template)]
#[template(path = "shell/corner.html")]
pub struct Corner<'a> {
    shell: &'a Shell,
}

impl HtmlSafe for Corner<'_> {}

/// See [`Shell::below`].
#[derive(Template)]
#[template(path = "shell/below.html")]
pub struct Below<'a> {
    shell: &'a Shell,
}

impl HtmlSafe for Below<'_> {}

/// See [`Shell::layers`].
#[derive(Template)]
#[template(path = "shell/layers.html")]
pub struct Layers<'a> {
    shell: &'a Shell,
}

impl HtmlSafe for Layers<'_> {}

/// See [`Shell::settings_menu`].
#[derive(Template)]
#[template(path = "settings/menu.html")]
pub struct SettingsMenu<'a> {
    shell: &'a Shell,
    at: &'a str,
}

impl HtmlSafe for SettingsMenu<'_> {}

/// Groups of the settings' menu: word in addresses, and label, of each page.
const SETTINGS: [(&str, &[(&str, &str)]); 4] = [
    (
        "You",
        &[
            ("profile", "Profile"),
            ("notifications", "Notifications"),
            ("security", "Two-step sign-in"),
            ("sign-ins", "Sign-ins"),
            ("tokens", "API tokens"),
        ],
    ),
    (
        WORKSPACE,
        &[
            ("general", "General"),
            ("modules", "Modules"),
            ("members", "Members"),
            ("tasks", "Tasks"),
            ("labels", "Labels"),
            ("mail", "Email"),
            ("task-templates", "Task templates"),
        ],
    ),
    (
        "Agents",
        &[
            ("connections", "Connections"),
            ("secrets", "Secrets"),
            ("usage", "Usage and budgets"),
            ("policy", "Permissions"),
            ("meaning", "Search by meaning"),
        ],
    ),
    (
        "Operations",
        &[
            ("gateways", "Gateways"),
            ("health", "Health"),
            ("audit", "Audit"),
            ("backups", "Backups"),
        ],
    ),
];
/// The group to which further pages are added.
const WORKSPACE: &str = "Workspace";

/// A page of the menu: word, label, and path below the workspace.
type MenuPage = (&'static str, &'static str, String);

impl SettingsMenu<'_> {
    fn groups(&self) -> Vec<(&'static str, Vec<MenuPage>)> {
        let page = |(word, label): &(&'static str, &'static str)| {
            (*word, *label, format!("settings/{word}"))
        };
        let is_new = |(word, _): &&(&'static str, &'static str)| {
            !SETTINGS.iter().any(|(_, pages)| pages.iter().any(|(known, _)| known == word))
        };
        let group = |(heading, pages): (&'static str, &[(&'static str, &'static str)])| {
            let mut all: Vec<MenuPage> = pages.iter().map(page).collect();
            if heading == WORKSPACE {
                all.extend(self.shell.more_settings.iter().filter(is_new).map(page));
            }
            (heading, all)
        };
        SETTINGS.into_iter().map(group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{NavGroup, NavItem, Place, Shell, Theme};
    use axum::http::HeaderMap;

    #[test]
    fn the_theme_comes_from_its_own_cookie_only() {
        let mut headers = HeaderMap::new();
        assert_eq!(Theme::from_headers(&headers), Theme::System);
        headers.insert("cookie", "a=b; hq_theme=dark; my_hq_theme=light".parse().unwrap());
        assert_eq!(Theme::from_headers(&headers), Theme::Dark);
        assert_eq!(Theme::from_word("purple"), Theme::System);
    }

    #[tokio::test]
    async fn the_theme_button_works_without_script_and_stays_on_this_host() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "hq_theme=dark".parse().unwrap());
        headers.insert("referer", "http://127.0.0.1:8080/w/acme/tasks?q=x".parse().unwrap());
        let answer = super::switch_theme(headers.clone()).await;
        assert_eq!(answer.headers()["location"], "/w/acme/tasks?q=x");
        assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with("hq_theme=light;"));
        headers.insert("referer", "http://127.0.0.1:8080//evil.example".parse().unwrap());
        assert_eq!(super::switch_theme(headers).await.headers()["location"], "/");
    }

    #[test]
    fn a_page_below_a_place_belongs_to_it_and_home_only_to_itself() {
        let place = Place { slug: "acme".into(), ..Place::default() };
        let items = vec![
            NavItem::new("Dashboard", "/w/acme/", "home"),
            NavItem::new("Tasks", "/w/acme/tasks", "tasks"),
            NavItem::new("Agents", "/w/acme/agents", "agent"),
            NavItem::new("Ada", "/w/acme/agents/ada", "agent"),
        ];
        let shell = Shell { place, nav: vec![NavGroup::new("", items)], ..Shell::default() };
        let current = |path: &str| {
            let shell = shell.clone().at(path);
            let marked = shell.nav[0].items.iter().filter(|i| i.current).map(|i| i.label.clone());
            marked.collect::<Vec<_>>()
        };
        assert_eq!(current("/w/acme/"), ["Dashboard"]);
        assert_eq!(current("/w/acme/tasks/MC-1"), ["Tasks"]);
        assert_eq!(current("/w/acme/agents/ada/chat"), ["Ada"]);
        assert_eq!(current("/w/acme/tasksome"), [""; 0]);
    }

    #[test]
    fn a_large_number_is_cut_at_99() {
        assert_eq!(NavItem::default().count(100).count_text(), "99+");
        assert_eq!(NavItem::default().count(0).count_text(), "");
    }
}
