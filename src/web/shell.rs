//! Everything around the content of a page: sidebar, top bar, messages, theme.
//!
//! The shell contains no noun-specific code. `server` fills a [`Shell`] for the signed-in person and the workspace,
//! and `layout.html` renders it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::http::header::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::appearance::Viewer;
use crate::assets::{self, Links};
use crate::habit;
use crate::html;
use crate::live::Live;
use crate::parts::{Dot, Face, Tone};
use crate::settings_menu::SettingsMenu;

/// Name of the theme cookie.
pub const THEME_COOKIE: &str = "hq_theme";

/// Colour theme of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Follows the operating system.
    #[default]
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

impl Theme {
    /// The theme in the request's cookie.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_word(habit::kept(headers, THEME_COOKIE))
    }

    /// Parses a theme name. An unknown name means [`Theme::System`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    /// The theme that the toggle button switches to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light | Self::System => Self::Dark,
        }
    }

    /// Colours of the browser's bars on a phone and the media queries under which they apply: `--surface` of
    /// `static/css/tokens.css`, as the top bar of a page has it.
    pub fn bars(self) -> &'static [(&'static str, &'static str)] {
        const LIGHT: &str = "#fff";
        const DARK: &str = "#151922";
        match self {
            Self::System => {
                &[(LIGHT, "(prefers-color-scheme: light)"), (DARK, "(prefers-color-scheme: dark)")]
            }
            Self::Light => &[(LIGHT, "all")],
            Self::Dark => &[(DARK, "all")],
        }
    }

    /// The value of `data-theme` and of the cookie.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The `Set-Cookie` value, valid for one year. Scripts may read and write the cookie, so that the button works
    /// without a request.
    pub fn cookie(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::System => "hq_theme=system; Path=/; Max-Age=31536000; SameSite=Lax",
            Self::Light => "hq_theme=light; Path=/; Max-Age=31536000; SameSite=Lax",
            Self::Dark => "hq_theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
        })
    }
}

/// The path of a URL. Redirects to it cannot leave this host.
#[must_use]
pub fn own_path(referer: &str) -> Option<&str> {
    let rest = referer.split_once("://")?.1;
    let path = &rest[rest.find('/')?..];
    (!path.starts_with("//") && !path.starts_with("/\\")).then_some(path)
}

/// Renders only the sidebar entries, for [`Shell::nav_live`]. First mark the current entry with [`Shell::at`] and the
/// path of `Hx::current_url`.
pub fn nav<E: From<html::RenderError>>(shell: Shell) -> Result<Response, E> {
    html::fragment(&Nav { shell })
}

/// Renders only the workspace switcher, for [`Shell::places_live`].
pub fn switcher<E: From<html::RenderError>>(shell: Shell) -> Result<Response, E> {
    html::fragment(&Switcher { shell })
}

#[derive(Template)]
#[template(path = "shell/switcher.html")]
struct Switcher {
    shell: Shell,
}

/// Renders only the workspace banner, for [`Shell::closed_live`].
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

/// A message that the next page shows once, after a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// Kind of message.
    pub tone: Tone,
    /// A complete sentence.
    pub text: String,
    /// URL to which the undo button posts; empty without undo.
    pub undo: String,
}

impl Flash {
    /// Creates a message without undo.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), undo: String::new() }
    }

    /// A success message.
    pub fn ok(text: impl Into<String>) -> Self {
        Self::new(Tone::Ok, text)
    }

    /// An error message with the reason.
    pub fn danger(text: impl Into<String>) -> Self {
        Self::new(Tone::Danger, text)
    }

    /// Adds a button that posts to `undo`.
    #[must_use]
    pub fn with_undo(self, undo: String) -> Self {
        Self { undo, ..self }
    }
}

/// The current workspace.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Slug in URLs: `/w/<slug>/…`.
    pub slug: String,
    /// Name of the company.
    pub name: String,
    /// A single emoji.
    pub emoji: String,
}

/// A workspace in the switcher.
#[derive(Clone, Debug, Default)]
pub struct PlaceLine {
    /// The workspace.
    pub place: Place,
    /// State if it is not active, such as "archived"; otherwise empty.
    pub note: &'static str,
    /// Whether this page belongs to the workspace.
    pub current: bool,
}

/// A warning that needs action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// Value of `data-tone`.
    pub tone: &'static str,
    /// Complete sentences: the problem and the remedy.
    pub text: String,
    /// Whether this person may open the health page.
    pub health: bool,
}

/// A banner on all pages of an archived or otherwise closed workspace.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// A complete sentence.
    pub text: String,
    /// Value of `data-tone`.
    pub tone: &'static str,
    /// Whether a maintenance operation is running, so that the banner is refreshed soon.
    pub moving: bool,
    /// Label of the button that restores the workspace; empty without the right to do so.
    pub verb: &'static str,
    /// Path in the workspace to which the button posts.
    pub action: &'static str,
}

/// An entry of the sidebar.
#[derive(Clone, Debug, Default)]
pub struct NavItem {
    /// Visible label.
    pub label: String,
    /// Link target.
    pub href: String,
    /// Icon name, if there is no `face`.
    pub icon: &'static str,
    /// An agent's face instead of the icon.
    pub face: Option<Face>,
    /// Number at the end of the entry.
    pub count: Option<u64>,
    /// What the number counts, if the label does not say it.
    pub count_label: String,
    /// Whether the number is highlighted.
    pub loud: bool,
    /// State at the end of the entry.
    pub dot: Option<Dot>,
    /// Key chord such as `g t`, or empty.
    pub key: &'static str,
    /// Whether the current page belongs to this entry.
    pub current: bool,
}

impl NavItem {
    /// An entry with an icon.
    pub fn new(label: impl Into<String>, href: impl Into<String>, icon: &'static str) -> Self {
        Self { label: label.into(), href: href.into(), icon, ..Self::default() }
    }

    /// An agent's entry with its face and state.
    pub fn agent(face: Face, href: impl Into<String>, dot: Dot) -> Self {
        let label = face.name.clone();
        Self { label, href: href.into(), face: Some(face), dot: Some(dot), ..Self::default() }
    }

    /// Sets the number; zero is not shown.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = (0 < count).then_some(count);
        self
    }

    /// Sets the text that explains the number.
    #[must_use]
    pub fn telling(mut self, label: impl Into<String>) -> Self {
        self.count_label = label.into();
        self
    }

    /// Highlights the number.
    #[must_use]
    pub fn loud(mut self) -> Self {
        self.loud = true;
        self
    }

    /// Sets the key chord.
    #[must_use]
    pub fn key(mut self, chord: &'static str) -> Self {
        self.key = chord;
        self
    }

    /// Keys of the chord in upper case.
    pub fn keys(&self) -> Vec<String> {
        self.key.split_whitespace().map(str::to_uppercase).collect()
    }

    /// The number as displayed, at most "99+".
    pub fn count_text(&self) -> String {
        match self.count {
            Some(n) if 99 < n => "99+".to_owned(),
            Some(n) => n.to_string(),
            None => String::new(),
        }
    }
}

/// A section of the sidebar.
#[derive(Clone, Debug, Default)]
pub struct NavGroup {
    /// Heading; empty for the first group.
    pub label: String,
    /// URL of the "new" button beside the heading, or empty.
    pub add_href: String,
    /// Label of that button.
    pub add_label: String,
    /// Entries, top to bottom.
    pub items: Vec<NavItem>,
}

impl NavGroup {
    /// A group; the heading may be empty.
    pub fn new(label: impl Into<String>, items: Vec<NavItem>) -> Self {
        Self { label: label.into(), items, ..Self::default() }
    }

    /// Adds a "new" button.
    #[must_use]
    pub fn add(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.add_label = label.into();
        self.add_href = href.into();
        self
    }
}

/// The notification bell in the top bar.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    /// Number of unread notifications.
    pub unread: u64,
    /// How the bell refreshes itself.
    pub live: Live,
}

impl Bell {
    /// The number as displayed; empty for zero.
    #[must_use]
    pub fn text(&self) -> String {
        NavItem::default().count(self.unread).count_text()
    }
}

/// Everything that `layout.html` renders around the content.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// The current workspace.
    pub place: Place,
    /// The signed-in person.
    pub person: Face,
    /// Email address of the person, for the account menu.
    pub email: String,
    /// Sidebar groups, top to bottom.
    pub nav: Vec<NavGroup>,
    /// How the sidebar refreshes itself: `Live::new(url of the nav fragment).table("tasks")…`.
    pub nav_live: Option<Live>,
    /// Entries of the mobile bottom bar, at most four; "More" is added.
    pub tabs: Vec<NavItem>,
    /// All workspaces of the person, for the switcher.
    pub places: Vec<PlaceLine>,
    /// Whether the person may add a workspace.
    pub may_add: bool,
    /// How the switcher refreshes itself.
    pub places_live: Option<Live>,
    /// Banner of a workspace that is not active.
    pub closed: Option<Closed>,
    /// How that banner refreshes itself.
    pub closed_live: Option<Live>,
    /// Warning on all pages.
    pub warning: Option<Warning>,
    /// Notification bell.
    pub bell: Option<Bell>,
    /// Appearance of the page.
    pub viewer: Viewer,
    /// URL of the style sheet with the colours of the workspace; empty without a brand colour.
    pub brand: String,
    /// Whether this is a settings page; set by [`Shell::at`].
    pub settings: bool,
    /// Additional settings pages: path segment and label.
    pub more_settings: Vec<(&'static str, &'static str)>,
    /// Messages to show once.
    pub flash: Vec<Flash>,
    /// Feed position of this page, `<incarnation>.<seq>`, from which the live stream starts. Empty: no stream.
    pub cursor: String,
}

impl Shell {
    /// URL in the workspace: `url("tasks")` is `/w/<slug>/tasks`.
    pub fn url(&self, path: &str) -> String {
        format!("/w/{}/{path}", self.place.slug)
    }

    /// Whether the workspace banner is about to change.
    #[must_use]
    pub fn closed_moves(&self) -> bool {
        self.closed.as_ref().is_some_and(|closed| closed.moving)
    }

    /// Marks the entry whose URL is the longest prefix of `path`, so that `/tasks/7` belongs to "Tasks".
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

    /// Whether this is a settings page. Settings have no sidebar entry.
    pub fn in_settings(&self) -> bool {
        self.settings
    }

    /// URLs of script, style sheet and sprite.
    pub fn assets(&self) -> &'static Links {
        assets::links()
    }

    /// Attributes of the `html` element.
    pub fn look(&self) -> Look<'_> {
        Look { viewer: &self.viewer }
    }

    /// The document from the end of the title to the breadcrumb.
    pub fn begin(&self) -> Begin<'_> {
        Begin { shell: self }
    }

    /// The document from the breadcrumb to the page's actions.
    pub fn middle(&self) -> Middle<'_> {
        Middle { shell: self }
    }

    /// The document from the page's actions to its notes.
    pub fn corner(&self) -> Corner<'_> {
        Corner { shell: self }
    }

    /// The document below the content.
    pub fn below(&self) -> Below<'_> {
        Below { shell: self }
    }

    /// Overlays of every page.
    pub fn layers(&self) -> Layers<'_> {
        Layers { shell: self }
    }

    /// Menu of all settings pages; `at` is the current one.
    pub fn settings_menu<'a>(&'a self, at: &'a str) -> SettingsMenu<'a> {
        SettingsMenu { shell: self, at, query: "" }
    }

    /// Menu of the settings pages that match `query`.
    pub fn settings_search<'a>(&'a self, query: &'a str) -> SettingsMenu<'a> {
        SettingsMenu { shell: self, at: "", query }
    }

    /// Whether the page opens the live stream.
    pub fn is_live(&self) -> bool {
        !self.cursor.is_empty()
    }
}

// Parts that the layout renders around the blocks of a page. Each is a separate template, so that it is compiled once
// and not for each page.

/// See [`Shell::look`].
#[derive(Template)]
#[template(path = "shell/look.html")]
pub struct Look<'a> {
    viewer: &'a Viewer,
}

impl HtmlSafe for Look<'_> {}

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

#[cfg(test)]
mod tests {
    use super::{NavGroup, NavItem, Place, Shell, Theme, own_path};
    use axum::http::HeaderMap;

    #[test]
    fn the_theme_comes_from_its_own_cookie_only() {
        let mut headers = HeaderMap::new();
        assert_eq!(Theme::from_headers(&headers), Theme::System);
        headers.insert("cookie", "a=b; hq_theme=dark; my_hq_theme=light".parse().unwrap());
        assert_eq!(Theme::from_headers(&headers), Theme::Dark);
        assert_eq!(Theme::from_word("purple"), Theme::System);
    }

    #[test]
    fn the_bars_of_the_browser_have_the_colours_of_the_top_bar() {
        let css = include_str!("../../static/css/tokens.css");
        let [(light, _), (dark, _)] = Theme::System.bars() else { panic!("one colour per scheme") };
        assert!(css.contains(&format!("--surface: light-dark({light}, {dark});")));
    }

    #[test]
    fn a_redirect_to_a_referer_stays_on_this_host() {
        assert_eq!(own_path("http://127.0.0.1:8080/w/acme/tasks?q=x"), Some("/w/acme/tasks?q=x"));
        assert_eq!(own_path("http://127.0.0.1:8080//evil.example"), None);
        assert_eq!(own_path("nonsense"), None);
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
