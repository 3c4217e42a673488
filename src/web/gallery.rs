//! The gallery: every UI element in all its states, rendered by the same macros as the pages. Add new elements here
//! first. Served in debug builds only.

use askama::Template;
use axum::response::Response;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::assets;
use crate::format;
use crate::html::{self, SafeHtml};
use crate::md;
use crate::parts::{Choice, Dot, Face, Share, Tab, Tone, Working, shares};
use crate::shell::{Flash, NavGroup, NavItem, Place, Shell, Theme};
use crate::time::{Due, RelTime, Work};

/// Responds with the gallery page.
pub fn page<E: From<html::RenderError>>(theme: Theme, now: Timestamp) -> Result<Response, E> {
    html::page(&Gallery::new(theme, now))
}

/// Renders the gallery to a string, for a file.
pub fn render(theme: Theme, now: Timestamp) -> Result<String, askama::Error> {
    Gallery::new(theme, now).render()
}

/// A shell with sample content, for the gallery and for layout tests.
pub fn sample_shell() -> Shell {
    let url = |path: &str| format!("/w/marlow/{path}");
    let places = vec![
        NavItem::new("Dashboard", url(""), "home").key("g d"),
        NavItem::new("Review", url("review"), "inbox").count(3).loud().key("g r"),
        NavItem::new("Activity", url("activity"), "pulse").key("g l"),
    ];
    let work = vec![NavItem::new("Tasks", url("tasks"), "tasks").count(18).key("g t")];
    let agent = |name: &str, emoji: &str, state: &str, label: &str| {
        let slug = name.to_lowercase();
        let live = Working::from(state == "working");
        let face = Face::agent(name, emoji, &slug).working(live);
        NavItem::agent(face, url(&format!("agents/{slug}")), Dot::new(state, label))
    };
    let agents = vec![
        agent("Ada", "🔭", "working", "Working"),
        agent("Otto", "✍️", "queued", "Queued"),
        agent("Juno", "📮", "ready", "Ready"),
        agent("Finn", "🧮", "paused", "Paused"),
        agent("Kit", "🛠️", "error", "Needs attention"),
        NavItem::new("All agents", url("agents"), "agent").key("g a"),
        NavItem::new("Runs", url("runs"), "play").key("g u"),
    ];
    Shell {
        place: Place { slug: "marlow".into(), name: "Marlow Cargo".into(), emoji: "🚲".into() },
        person: Face::person("Mira Lindqvist"),
        email: "mira@marlow.example".into(),
        nav: vec![
            NavGroup::new("", places),
            NavGroup::new("Work", work),
            NavGroup::new("Agents", agents).add("New agent", url("agents/new")),
        ],
        tabs: vec![
            NavItem::new("Home", url(""), "home"),
            NavItem::new("Tasks", url("tasks"), "tasks"),
            NavItem::new("Review", url("review"), "inbox").count(3),
            NavItem::new("Agents", url("agents"), "agent"),
        ],
        ..Shell::default()
    }
}

#[derive(Template)]
#[template(path = "gallery.html")]
struct Gallery {
    shell: Shell,
    icons: Vec<String>,
    tokens: Vec<&'static str>,
    task_states: Vec<(&'static str, &'static str)>,
    priorities: Vec<(&'static str, &'static str)>,
    chips: Vec<(&'static str, &'static str)>,
    dots: Vec<Dot>,
    faces: Vec<Face>,
    labels: Vec<&'static str>,
    tabs: Vec<Tab>,
    segments: Vec<Tab>,
    choices: Vec<Choice>,
    cards: Vec<Choice>,
    times: Vec<RelTime>,
    dues: Vec<Due>,
    bar: Vec<Share>,
    text: SafeHtml,
    agent: Face,
    person: Face,
    costs: Vec<String>,
}

impl Gallery {
    fn new(theme: Theme, now: Timestamp) -> Self {
        let mut shell = sample_shell();
        shell.viewer.theme = theme;
        shell.flash = vec![Flash::ok("Created ‘Compare leasing prices’")];
        let today = date(2026, 11, 20);
        let ago = |secs: i64| RelTime::new(now - secs.seconds(), now, &TimeZone::UTC);
        let due = |days: i64, work| Due::new(today + days.days(), today, work);
        Self {
            shell,
            icons: assets::icon_names(),
            tokens: TOKENS.to_vec(),
            task_states: TASK_STATES.to_vec(),
            priorities: PRIORITIES.to_vec(),
            chips: CHIPS.to_vec(),
            dots: DOTS.iter().map(|(state, label)| Dot::new(*state, *label)).collect(),
            faces: sample_faces(),
            labels: LABELS.to_vec(),
            tabs: vec![
                Tab::new("Overview", "#tabs", true),
                Tab::new("Chat", "#tabs", false).count(2),
                Tab::new("Files", "#tabs", false),
                Tab::new("Runs", "#tabs", false).count(23),
                Tab::new("Settings", "#tabs", false),
            ],
            segments: vec![
                Tab::new("List", "#tabs", true).icon("list"),
                Tab::new("Board", "#tabs", false).icon("board"),
                Tab::new("Calendar", "#tabs", false).icon("calendar"),
            ],
            choices: THINKING.iter().map(|(v, l)| Choice::new(*v, *l, *v == "low")).collect(),
            cards: vec![
                Choice::new("default", "Default", true).hint("Works alone, asks when stuck"),
                Choice::new("assistant", "Assistant", false).hint("Helps one person all day"),
            ],
            times: [5, 70, 600, 7_300, 90_000, 900_000].map(ago).to_vec(),
            dues: vec![
                due(-2, Work::Late),
                due(0, Work::Open),
                due(1, Work::Open),
                due(4, Work::Open).at("14:30".to_owned()),
                due(30, Work::Open),
                due(-2, Work::Closed),
            ],
            bar: shares(&[
                (4, Tone::Info),
                (2, Tone::Warn),
                (1, Tone::Danger),
                (12, Tone::Neutral),
            ]),
            text: md::render(SAMPLE_TEXT, &sample_lookup),
            agent: Face::agent("Ada", "🔭", "ada").working(Working::Yes),
            person: Face::person("Mira Lindqvist"),
            costs: [4_200, 1_490_000, 86_400_000].map(format::money).to_vec(),
        }
    }
}

fn sample_faces() -> Vec<Face> {
    let agent = |name: &str, emoji: &str| Face::agent(name, emoji, &name.to_lowercase());
    vec![
        Face::person("Mira Lindqvist"),
        Face::person("Tom Okafor"),
        agent("Ada", "🔭").working(Working::Yes),
        agent("Otto", "✍️"),
        agent("Kit", ""),
        Face::nobody(),
    ]
}

fn sample_lookup(word: &str) -> Option<String> {
    matches!(word, "MC-142" | "@ada").then(|| "#md".to_owned())
}

const TOKENS: [&str; 26] = [
    "canvas",
    "surface",
    "raised",
    "sunken",
    "hover",
    "selected",
    "line",
    "line-strong",
    "text",
    "text-2",
    "text-3",
    "disabled",
    "brand",
    "brand-soft",
    "link",
    "ok",
    "ok-soft",
    "warn",
    "warn-soft",
    "danger",
    "danger-soft",
    "info",
    "info-soft",
    "neutral",
    "neutral-soft",
    "on-brand",
];

const TASK_STATES: [(&str, &str); 6] = [
    ("todo", "To do"),
    ("in_progress", "In progress"),
    ("blocked", "Blocked"),
    ("done", "Done"),
    ("cancelled", "Cancelled"),
    ("missed", "Missed"),
];

const PRIORITIES: [(&str, &str); 4] =
    [("urgent", "Urgent"), ("high", "High"), ("medium", "Medium"), ("low", "Low")];

const CHIPS: [(&str, &str); 11] = [
    ("in_review", "In review"),
    ("approved", "Approved"),
    ("changes_requested", "Changes requested"),
    ("rejected", "Rejected"),
    ("running", "Running"),
    ("failed", "Failed"),
    ("stopped", "Stopped"),
    ("done", "Done"),
    ("waiting", "Waiting for approval"),
    ("no_outcome", "No result"),
    ("stalled", "Stalled"),
];

const DOTS: [(&str, &str); 9] = [
    ("working", "Working"),
    ("ready", "Ready"),
    ("waiting", "Waiting for approval"),
    ("queued", "Queued"),
    ("paused", "Paused"),
    ("provisioning", "Being set up"),
    ("error", "Needs attention"),
    ("hibernating", "Asleep"),
    ("exceeded", "Over budget"),
];

const LABELS: [&str; 12] = [
    "red", "orange", "amber", "yellow", "lime", "green", "teal", "cyan", "blue", "indigo",
    "violet", "pink",
];

const THINKING: [(&str, &str); 4] =
    [("none", "None"), ("low", "Low"), ("medium", "Medium"), ("high", "High")];

const SAMPLE_TEXT: &str = "We raise our prices in January; see MC-142. @ada knows **what a baker \
pays per bike and month**.\n\n## What to compare\n\n1. Monthly price for 1, 5 and 10 bikes\n2. \
Hidden costs: delivery, deposit, `early return`\n\n- [x] Agree on the five firms\n- [ ] Ask for \
prices\n\n> Where a firm shows no price, write *on request*.\n\n| Firm | 1 bike | 5 bikes |\n|---|\
---|---|\n| Velolease | €189 | €172 |\n| Pedalo | €205 | €184 |\n\n```sh\nls -la reports\n```\n";

#[cfg(test)]
mod tests {
    use super::{render, sample_shell};
    use crate::shell::Theme;

    fn gallery() -> String {
        crate::assets::install(bundle::get);
        render(Theme::Dark, "2026-11-20T12:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_gallery_keeps_the_content_policy() {
        let page = gallery();
        for bad in [" style=", "<style", "onclick", "javascript:", "src=\"http", "<script>"] {
            assert!(!page.contains(bad), "{bad} stands in the page");
        }
        assert!(page.contains("data-theme=\"dark\""));
    }

    #[test]
    fn every_icon_that_a_template_names_is_in_the_sprite() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sprite = std::fs::read_to_string(root.join("static/icons.svg")).unwrap();
        let mut folders = vec![root.join("templates")];
        let mut missing = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let named = ["icon(\"", "glyph = \"", "event(\"", "icon_go(\"", "icon_button(\""];
                for name in named.iter().flat_map(|start| text.split(start).skip(1)) {
                    let name = name.split('"').next().unwrap();
                    if !name.is_empty() && !sprite.contains(&format!("id=\"i-{name}\"")) {
                        missing.push(format!("{name} in {}", path.display()));
                    }
                }
            }
        }
        assert_eq!(missing, [""; 0]);
        assert!(sprite.matches("<symbol").count() <= 100);
    }

    /// Light and dark value of a colour in the style sheet.
    fn colour(sheet: &str, name: &str) -> [f64; 2] {
        let rest = sheet.split(&format!("--{name}: light-dark(")).nth(1).unwrap();
        let mut values = rest.split(')').next().unwrap().split(", ").map(luminance);
        [values.next().unwrap(), values.next().unwrap()]
    }

    fn luminance(hex: &str) -> f64 {
        match hex.parse() {
            Ok(kernel::Colour::Own(colour)) => crate::ink::luminance(colour),
            other => panic!("{hex} is {other:?}"),
        }
    }

    #[test]
    fn text_and_controls_can_be_read_in_both_themes() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sheet = std::fs::read_to_string(root.join("static/css/tokens.css")).unwrap();
        let grounds = ["canvas", "surface", "raised", "sunken"];
        let texts = ["text", "text-2", "text-3", "brand", "link", "ok", "warn", "danger", "info"];
        let mut pairs: Vec<_> =
            texts.iter().flat_map(|t| grounds.iter().map(move |g| (*t, *g, 4.5))).collect();
        pairs.extend([
            ("ok", "ok-soft", 4.5),
            ("warn", "warn-soft", 4.5),
            ("danger", "danger-soft", 4.5),
            ("info", "info-soft", 4.5),
            ("neutral", "neutral-soft", 4.5),
            ("brand", "brand-soft", 4.5),
            ("on-brand", "brand", 4.5),
            ("line-strong", "surface", 3.0),
        ]);
        for (front, back, least) in pairs {
            let (front_at, back_at) = (colour(&sheet, front), colour(&sheet, back));
            for (theme, word) in ["light", "dark"].iter().enumerate() {
                let (a, b) = (front_at[theme] + 0.05, back_at[theme] + 0.05);
                let ratio = a.max(b) / a.min(b);
                assert!(least <= ratio, "{front} on {back}, {word}: {ratio:.2} is under {least}");
            }
        }
    }

    #[test]
    fn every_id_is_there_once() {
        let page = gallery();
        let mut ids: Vec<_> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn the_sidebar_marks_where_the_reader_is() {
        let shell = sample_shell().at("/w/marlow/agents/ada/chat");
        let current: Vec<_> =
            shell.nav.iter().flat_map(|g| &g.items).filter(|i| i.current).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0].label, "Ada");
    }
}
