//! `hq browser …`: the browsers of agents: how they stand, what this machine lacks for them, looks and acts.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use app::config::Config;
use browser::doctor as host;
use browser::setup::Setup;
use sandbox::spawn::{OWN_PROGRAM, Spawner};

use super::agents::{items, question, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{one_of, part, query, quoted, table};
use super::{Common, FAILED, OK};

/// What can be done in a page.
const KINDS: &[&str] = &[
    "navigate", "back", "forward", "reload", "click", "hover", "type", "fill", "select", "press",
    "scroll", "drag", "wait", "dialog", "evaluate",
];
/// What is told of it beside what a page shows.
const LOOKS: &[&str] =
    &["console", "errors", "requests", "cookies", "local", "session", "downloads"];

/// `hq browser …`
#[derive(Subcommand)]
pub enum Command {
    /// Check what this machine lacks for agent browsers, and what to do; needs no server
    Doctor,
    #[command(flatten)]
    Of(Of),
}

/// What is asked of the browser of one agent.
#[derive(Subcommand)]
pub enum Of {
    /// Show whether it is on and running, and who is in control
    Status(Named),
    /// List its tabs; open or close one
    Tabs(Tabs),
    /// Print a page as text: one line per element, with its ref for actions
    Snapshot(Look),
    /// Act on a page and print what changed; refused while a person is in control
    Act(Box<Act>),
    /// Do several actions; stops at the first that is refused, and when another page has loaded
    Batch(Batch),
    /// Show a page's console, errors, requests, cookies and storage, or the downloads
    Show(Show),
    /// Show or change its rules: hosts, and scripts in pages
    Rules(Rules),
    /// Emulate a device in a tab: size, time zone, language; omitted values return to the default
    Emulate(Emulate),
    /// Stop it; its tabs return with its next use
    Stop(Named),
    /// Stop it and forget its sign-ins, tabs and downloads
    Reset {
        #[command(flatten)]
        of: Named,
        /// Confirm
        #[arg(long)]
        yes: bool,
    },
}

/// Whose browser.
#[derive(Args)]
pub struct Named {
    /// The agent's slug or id
    agent: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq browser tabs`.
#[derive(Args)]
pub struct Tabs {
    #[command(flatten)]
    of: Named,
    /// Open this address in a new tab
    #[arg(long, value_name = "ADDRESS", conflicts_with = "close")]
    open: Option<String>,
    /// Close the tab with this number
    #[arg(long, value_name = "NUMBER")]
    close: Option<u32>,
}

/// Flags of `hq browser snapshot`.
#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    of: Named,
    /// The number of the tab [default: the current one]
    #[arg(long)]
    tab: Option<u32>,
    /// Only elements with this text
    #[arg(long)]
    find: Option<String>,
    /// Only inside this element, such as e12
    #[arg(long, value_name = "REF")]
    within: Option<String>,
    /// Only interactive elements
    #[arg(long)]
    interactive: bool,
}

/// Flags of `hq browser act`.
#[derive(Args)]
pub struct Act {
    #[command(flatten)]
    of: Named,
    /// The action
    #[arg(value_parser = one_of(KINDS.iter().copied()))]
    kind: String,
    /// The element, such as e12
    #[arg(value_name = "REF")]
    part: Option<String>,
    /// The number of the tab [default: the current one]
    #[arg(long)]
    tab: Option<u32>,
    /// The text to type, fill in or wait for; - reads standard input, which other users of this machine can't see
    #[arg(long)]
    text: Option<String>,
    /// The address to open, or a part of one to wait for
    #[arg(long)]
    url: Option<String>,
    /// The key to press, such as Enter or Control+A
    #[arg(long)]
    key: Option<String>,
    /// The option to select in a list; may be given several times
    #[arg(long = "option", value_name = "WORDS")]
    options: Vec<String>,
    /// The element to drag to
    #[arg(long, value_name = "REF")]
    to: Option<String>,
    /// Pixels from the left, or to scroll to the right
    #[arg(long, allow_hyphen_values = true)]
    x: Option<f64>,
    /// Pixels from the top, or to scroll down
    #[arg(long, allow_hyphen_values = true)]
    y: Option<f64>,
    /// The longest wait in seconds [default: 10]
    #[arg(long)]
    seconds: Option<u64>,
}

/// Flags of `hq browser batch`.
#[derive(Args)]
pub struct Batch {
    #[command(flatten)]
    of: Named,
    /// Up to 20 actions as a JSON list, such as [{"kind": "click", "ref": "e12"}]; - reads standard input
    acts: String,
}

/// Flags of `hq browser show`.
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    of: Named,
    /// What to show
    #[arg(value_parser = one_of(LOOKS.iter().copied()))]
    what: String,
    /// The number of the tab [default: the current one]
    #[arg(long)]
    tab: Option<u32>,
}

impl Show {
    /// What is asked, below the address of the browser.
    fn below(&self) -> String {
        let tab = self.tab.map(|tab| tab.to_string());
        let params = query(&[("tab", tab.as_deref())]);
        match self.what.as_str() {
            kind @ ("local" | "session") => format!("/storage/{kind}{params}"),
            what @ ("cookies" | "downloads") => format!("/{what}"),
            what => format!("/{what}{params}"),
        }
    }
}

/// Flags of `hq browser rules`.
#[derive(Args)]
pub struct Rules {
    #[command(flatten)]
    of: Named,
    /// Whether the agent may run scripts in pages
    #[arg(long, value_parser = one_of(["on", "off"]))]
    scripts: Option<String>,
    /// The only hosts allowed, replacing the list; may be given several times, or as "" for all
    #[arg(long = "allow", value_name = "HOST")]
    allowed: Option<Vec<String>>,
    /// Blocked hosts, replacing the list; may be given several times, or as "" for none
    #[arg(long = "block", value_name = "HOST")]
    blocked: Option<Vec<String>>,
}

/// Flags of `hq browser emulate`.
#[derive(Args)]
pub struct Emulate {
    #[command(flatten)]
    of: Named,
    /// The number of the tab [default: the current one]
    #[arg(long)]
    tab: Option<u32>,
    /// Page width in pixels; with --height
    #[arg(long, requires = "height")]
    width: Option<u32>,
    /// Page height in pixels
    #[arg(long, requires = "width")]
    height: Option<u32>,
    /// Screen pixels per page pixel
    #[arg(long)]
    scale: Option<f64>,
    /// A phone, with touch instead of a mouse
    #[arg(long)]
    phone: bool,
    /// The time zone, such as Europe/Berlin
    #[arg(long)]
    zone: Option<String>,
    /// The language, such as de-DE
    #[arg(long)]
    locale: Option<String>,
    /// Light or dark colours
    #[arg(long, value_parser = one_of(["light", "dark"]))]
    scheme: Option<String>,
    /// Offline
    #[arg(long)]
    offline: bool,
}

impl Emulate {
    fn body(&self) -> Value {
        let given = [
            ("tab", self.tab.map(Value::from)),
            ("width", self.width.map(Value::from)),
            ("height", self.height.map(Value::from)),
            ("scale", self.scale.map(Value::from)),
            ("phone", self.phone.then_some(Value::Bool(true))),
            ("zone", self.zone.as_ref().map(|value| json!(value))),
            ("locale", self.locale.as_ref().map(|value| json!(value))),
            ("scheme", self.scheme.as_ref().map(|value| json!(value))),
            ("offline", self.offline.then_some(Value::Bool(true))),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect())
    }
}

impl Rules {
    /// The rules as they are to be, from those so far; none when nothing is to be changed.
    fn body(&self, current: &Value) -> Option<Value> {
        if self.scripts.is_none() && self.allowed.is_none() && self.blocked.is_none() {
            return None;
        }
        let mut body = current.clone();
        if let Some(scripts) = &self.scripts {
            body["scripts"] = json!(scripts == "on");
        }
        for (name, hosts) in [("allowed_hosts", &self.allowed), ("blocked_hosts", &self.blocked)] {
            if let Some(hosts) = hosts {
                body[name] = json!(hosts);
            }
        }
        Some(body)
    }
}

impl Named {
    /// A question about this browser.
    fn ask(&self, below: &str, how: impl FnOnce(String) -> Ask) -> Ask {
        how(format!("/api/v1/agents/{}/browser{below}", part(&self.agent)))
            .within(self.place.workspace.as_ref())
    }

    /// An order to this browser.
    fn post(&self, below: &str, body: &Value) -> Ask {
        self.ask(below, |path| Ask::post(path, body))
    }
}

impl Act {
    fn body(&self) -> Result<Value, CommandError> {
        let text = match self.text.as_deref() {
            Some("-") => Some(question(&["-".to_owned()])?.trim_end_matches('\n').to_owned()),
            text => text.map(str::to_owned),
        };
        let options = (!self.options.is_empty()).then(|| json!(self.options));
        let given = [
            ("ref", self.part.as_ref().map(|value| json!(value))),
            ("to_ref", self.to.as_ref().map(|value| json!(value))),
            ("tab", self.tab.map(Value::from)),
            ("text", text.map(Value::from)),
            ("url", self.url.as_ref().map(|value| json!(value))),
            ("key", self.key.as_ref().map(|value| json!(value))),
            ("options", options),
            ("x", self.x.map(Value::from)),
            ("y", self.y.map(Value::from)),
            ("seconds", self.seconds.map(Value::from)),
        ];
        let mut body = Map::new();
        body.insert("kind".to_owned(), json!(self.kind));
        for (name, value) in given {
            body.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(Value::Object(body))
    }
}

impl Batch {
    fn body(&self) -> Result<Value, CommandError> {
        let acts = question(std::slice::from_ref(&self.acts))?;
        let acts: Value = serde_json::from_str(&acts).map_err(|error| {
            CommandError::Failed(format!("the actions aren't valid JSON: {error}"))
        })?;
        Ok(json!({ "acts": acts }))
    }
}

pub async fn run(common: &Common, door: &Door, command: Of) -> Result<u8, CommandError> {
    match command {
        Of::Status(of) => {
            let answer = door.call(of.ask("", Ask::get)).await?;
            print(common, &answer, &status(&answer))
        }
        Of::Tabs(Tabs { of, open: Some(url), .. }) => {
            let answer = door.call(of.post("/tabs", &json!({ "url": url }))).await?;
            print(common, &answer, &acted(&answer))
        }
        Of::Tabs(Tabs { of, close, .. }) => {
            let ask = match close {
                Some(tab) => of.ask(&format!("/tabs/{tab}"), Ask::delete),
                None => of.ask("/tabs", Ask::get),
            };
            let answer = door.call(ask).await?;
            print(common, &answer, &tabs(items(&answer)))
        }
        Of::Snapshot(look) => {
            let tab = look.tab.map(|tab| tab.to_string());
            let params = query(&[
                ("tab", tab.as_deref()),
                ("find", look.find.as_deref()),
                ("within", look.within.as_deref()),
                ("interactive", look.interactive.then_some("true")),
            ]);
            let answer = door.call(look.of.ask(&format!("/snapshot{params}"), Ask::get)).await?;
            print(common, &answer, &[word(&answer, "text").trim_end().to_owned()])
        }
        Of::Act(act) => {
            let answer = door.call(act.of.post("/act", &act.body()?)).await?;
            print(common, &answer, &acted(&answer))
        }
        Of::Batch(batch) => {
            let answer = door.call(batch.of.post("/act/batch", &batch.body()?)).await?;
            print(common, &answer, &done(&answer))?;
            Ok(if answer["aborted"].is_null() { OK } else { FAILED })
        }
        Of::Show(show) => {
            let answer = door.call(show.of.ask(&show.below(), Ask::get)).await?;
            print(common, &answer, &shown(items(&answer)))
        }
        Of::Rules(rules) => {
            let answer = door.call(rules.of.ask("/policy", Ask::get)).await?;
            let answer = match rules.body(&answer) {
                Some(body) => {
                    let put = |path: String| Ask::put(path, &body);
                    door.call(rules.of.ask("/policy", put)).await?
                }
                None => answer,
            };
            print(common, &answer, &allowed(&answer))
        }
        Of::Emulate(emulate) => {
            let body = emulate.body();
            let put = |path: String| Ask::put(path, &body);
            let answer = door.call(emulate.of.ask("/emulation", put)).await?;
            print(common, &answer, &[format!("t{}: done", answer["tab"])])
        }
        Of::Stop(of) => {
            let answer = door.call(of.post("/stop", &json!({}))).await?;
            print(common, &answer, &["Stopped the browser.".to_owned()])
        }
        Of::Reset { yes: false, .. } => Err(CommandError::Failed(
            "this deletes the browser's sign-ins, tabs and downloads for good; add --yes"
                .to_owned(),
        )),
        Of::Reset { of, .. } => {
            let answer = door.call(of.post("/reset", &json!({}))).await?;
            print(common, &answer, &["Reset the browser.".to_owned()])
        }
    }
}

/// `hq browser doctor`: what this machine has and lacks, found out without starting a browser.
///
/// # Errors
/// When nothing can be started here at all.
pub fn doctor(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let spawner = Spawner::new(OWN_PROGRAM.into());
    let spawner = spawner.map_err(|error| CommandError::Failed(error.to_string()))?;
    // Where there is no data folder yet, none is left behind.
    let made = !config.data.exists();
    let folder = if made { Config::scratch("hq-doctor") } else { config.data.clone() };
    let mut setup = Setup::new(spawner, folder.clone());
    setup.program.clone_from(&config.chromium);
    let needs = host::inspect(&setup);
    if made {
        // ok: what could not be made is told as a need, and is not there
        std::fs::remove_dir_all(&folder).ok();
    }
    let rows: Vec<Vec<String>> = needs
        .iter()
        .map(|need| {
            let mark = if need.is_met { "fine" } else { "MISSING" };
            vec![mark.to_owned(), need.name.to_owned(), need.says.clone()]
        })
        .collect();
    let report: Vec<Value> = needs
        .iter()
        .map(|need| json!({ "name": need.name, "is_met": need.is_met, "says": need.says }))
        .collect();
    print(common, &report, &table(&rows))?;
    Ok(if needs.iter().all(|need| need.is_met) { OK } else { FAILED })
}

fn status(answer: &Value) -> Vec<String> {
    let on = if answer["on"] == true { "on" } else { "off" };
    let runs = if answer["running"] == true { "running" } else { "not running" };
    let mut lines = vec![format!("{on}, {runs}")];
    lines.extend(answer["driver"].as_str().map(|name| format!("{name} is in control")));
    if answer["hidden"] == true {
        lines.push("capture is paused: a credential is being typed".to_owned());
    }
    lines.extend(
        items(&answer["needs"]).iter().map(|need| format!("missing: {}", word(need, "says"))),
    );
    if answer["running"] == true {
        lines.extend(tabs(items(&answer["tabs"])));
    }
    lines
}

/// "t1  "Shop"  https://shop.example/"
fn tabs(all: &[Value]) -> Vec<String> {
    let row = |tab: &Value| {
        let crashed = if tab["crashed"] == true { " (crashed)" } else { "" };
        vec![
            format!("t{}", tab["number"]),
            quoted(word(tab, "title")),
            format!("{}{crashed}", word(tab, "url")),
        ]
    };
    or_none(table(&all.iter().map(row).collect::<Vec<_>>()), "No tab is open.")
}

/// A line for each thing, with what it is known by in front.
fn shown(all: &[Value]) -> Vec<String> {
    const NAMES: [&str; 10] =
        ["kind", "method", "status", "host", "name", "text", "url", "failed", "path", "state"];
    let cell = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.lines().collect::<Vec<_>>().join(" ")),
        value => Some(value.to_string()),
    };
    let row = |one: &Value| -> Vec<String> {
        NAMES.iter().filter_map(|name| cell(&one[*name])).collect()
    };
    or_none(table(&all.iter().map(row).collect::<Vec<_>>()), "Nothing.")
}

fn allowed(answer: &Value) -> Vec<String> {
    let hosts = |name: &str, none: &str| {
        let all: Vec<&str> = items(&answer[name]).iter().filter_map(Value::as_str).collect();
        if all.is_empty() { none.to_owned() } else { all.join(", ") }
    };
    vec![
        format!("scripts in pages: {}", if answer["scripts"] == true { "on" } else { "off" }),
        format!("only these hosts: {}", hosts("allowed_hosts", "all that the agent can reach")),
        format!("never these hosts: {}", hosts("blocked_hosts", "none")),
    ]
}

/// What came of several acts, and why the others were not done.
fn done(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<String> = results.iter().flat_map(acted).collect();
    lines.extend(answer["aborted"].as_str().map(|why| format!("Stopped: {why}")));
    lines
}

fn acted(answer: &Value) -> Vec<String> {
    if let Some(value) = answer["value"].as_str() {
        return vec![value.to_owned()];
    }
    let tab = &answer["tab"];
    if answer["hidden"] == true {
        let why = "the page is hidden until the form is submitted and the field is empty";
        return vec![format!("t{tab}: done; {why}")];
    }
    let news = answer["news"].as_array().map(Vec::as_slice).unwrap_or_default();
    let news: Vec<String> = news.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    match word(answer, "text").trim_end() {
        "" if news.is_empty() => vec![format!("t{tab}: done; nothing changed")],
        text => {
            let mut lines = vec![format!("t{tab}:")];
            lines.extend(news);
            lines.extend((!text.is_empty()).then(|| text.to_owned()));
            lines
        }
    }
}
