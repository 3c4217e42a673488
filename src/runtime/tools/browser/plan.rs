//! The target and the reach of a browser action. Both are determined before an approval is requested, and again right
//! before the action. An action whose target cannot be determined is not performed.

use sha2::{Digest, Sha256};

use app::Ws;
use browser::act::{Aim, Does, Point, Stake};
use browser::live_view::{Expected, Stage};
use browser::page::Page;
use browser::refs;
use browser::snapshot::Part;
use browser::snapshot::escape::{self, Quoted};
use features::agents::model::Agent;
use features::browsers::queries as browsers;
use features::runs::model::Run;
use features::trust::authorize::{self, Facts, OutgoingRequest, Reach, Verdict};
use features::trust::model::{self, Offer, Witness};
use features::trust::sites::{self, SiteAct};
use kernel::text::{capitalized, listed};
use kernel::{AccessDecision, AgentId, Risk, RunId};
use store::{Read, ReadExt, StoreError};

use super::answer::{Trouble, missing};
use super::args::{Action, Args};
use super::files::{self, Given, Source};

/// Longest name, value and address on an approval card, in characters.
const MAX_NAME: usize = 100;
const MAX_VALUE: usize = 300;
const MAX_URL: usize = 300;
/// Longest script, in characters: people read all of it before they approve it.
pub(super) const MAX_SCRIPT: usize = 4_000;

/// A browser action as it would be performed now.
pub(crate) struct Act {
    args: Args,
    pub(super) page: Page,
    stake: Stake,
    /// The requests to the site that need permission; the first covers any action.
    requests: Vec<OutgoingRequest>,
    /// The action only sends a form in which an approved secret was filled.
    sends_filled: bool,
    /// Capture is paused; nothing of the page may be shown.
    is_dark: bool,
    /// The files to upload.
    files: Vec<Given>,
    /// What an approval is bound to, once determined.
    bound: Option<Vec<Witness>>,
}

impl Act {
    /// The action of a call as it would be performed now in the running browser. `None` if the call performs no action,
    /// or if its target cannot be determined; the action is then not performed.
    pub(crate) async fn inspect(
        ws: &Ws,
        (agent, run): (AgentId, RunId),
        arguments: &str,
    ) -> Option<Self> {
        let args: Args = serde_json::from_str(arguments).ok()?; // ok: canonical arguments are of this form
        let key = ws.browser_of(agent);
        let (stage, browser) = (ws.app.browsers.stage(key)?, ws.app.browsers.get(key)?);
        let standing = stage.standing();
        if !args.action.acts() || standing.driver.is_some() || standing.typed_by.is_some() {
            return None;
        }
        let open = browser.open_tabs();
        let last = ws.app.browsers.last(key).map(|last| last.tab);
        let last = last.filter(|number| open.iter().any(|tab| tab.number == *number));
        let number =
            args.tab.or(last).or(browser.front()).or_else(|| open.last().map(|tab| tab.number))?;
        let action = args.action;
        // ok: the action itself reports the error
        let mut act = Self::of(&stage, browser.open_page(number)?, args).await.ok()?;
        if matches!(action, Action::Upload | Action::Evaluate) {
            // ok: the action itself reports the error
            let facts = ws.read(|snap| {
                let scripts = browsers::policy(snap, agent)?.scripts;
                Ok::<_, StoreError>((scripts, snap.get::<Agent>(agent)?, snap.get::<Run>(run)?))
            });
            let (scripts, agent, run) = facts.ok()?; // ok: as before
            if action == Action::Evaluate && !scripts {
                // Ask nobody for an action that is refused anyway.
                return None;
            }
            let task = run.and_then(|run| run.task);
            let from = Source { folder: ws.agent_folder(&agent?.slug), task };
            act.take_files(ws, from).await.ok()?; // ok: as before
        }
        Some(act)
    }

    /// Reads the files to upload.
    pub(super) async fn take_files(&mut self, ws: &Ws, from: Source) -> Result<(), Trouble> {
        if self.args.action == Action::Upload {
            self.files = files::take(ws, from, self.args.options.as_deref()).await?;
        }
        Ok(())
    }

    /// The files to upload, and the ref of their field.
    pub(super) fn into_uploads(self) -> (Option<u32>, Vec<Given>) {
        (self.stake.number, self.files)
    }

    /// Determines the target of an action in a page.
    pub(super) async fn of(stage: &Stage, page: Page, args: Args) -> Result<Self, Trouble> {
        let stake = page.stake(aim(&args, page.chooser().map(|one| one.number))?).await?;
        if let (Action::Drag, Some(to)) = (args.action, args.to_ref.as_deref()) {
            let to = page.stake(Aim::Part(refs::parse(to)?)).await?;
            if to.site() != stake.site() {
                return Err(missing("to_ref", "you can't drag from one site to another").into());
            }
        }
        let sends = sends(&args, &stake);
        let form = &stake.form;
        let mut acts = vec![SiteAct::Act];
        if sends && stake.is_delicate() {
            acts.push(SiteAct::Send);
        }
        match args.action {
            Action::Upload => acts.push(SiteAct::Upload),
            Action::Evaluate => acts.push(SiteAct::Evaluate),
            _ => {}
        }
        if args.secret.is_some() {
            acts.push(SiteAct::Secret);
        }
        if sends && stake.downloads {
            acts.push(SiteAct::Download);
        }
        let requests = acts.into_iter().map(|act| request_for(act, &stake)).collect();
        let filled = stage.filled();
        let mut sends_filled = sends && form.has_password && !form.has_payment && !form.has_file;
        sends_filled &= !filled.is_empty();
        for (tab, number) in filled {
            let is_here = tab == page.number()
                && page.document_of(number)?.is_some_and(|document| document == stake.document);
            sends_filled &= is_here;
        }
        let is_dark = stage.is_dark();
        let files = Vec::new();
        Ok(Self { args, page, stake, requests, sends_filled, is_dark, files, bound: None })
    }

    /// The strictest verdict on all requests to the site.
    pub(crate) fn verdict(
        &self,
        tx: &dyn Read,
        agents: &[AgentId],
        run: RunId,
        facts: &Facts<'_>,
    ) -> Result<Verdict, StoreError> {
        let mut strictest: Option<Verdict> = None;
        for request in &self.requests {
            let facts = Facts { reach: Reach::Site, request: Some(request), ..facts.clone() };
            let one = authorize::authorize(tx, agents, Some(run), &facts)?;
            strictest = Some(match strictest {
                Some(so_far) => so_far.and(one),
                None => one,
            });
        }
        let Some(mut verdict) = strictest else {
            return authorize::authorize(tx, agents, Some(run), facts);
        };
        if verdict.decision == AccessDecision::Ask && verdict.rule.is_none() {
            if self.sends_filled {
                verdict.decision = AccessDecision::Allow;
            }
            verdict.why = self.why();
        }
        Ok(verdict)
    }

    /// Determines what an approval is bound to. Writes that and the text shown to people into the plan of the call.
    pub(crate) async fn bind(&mut self, ws: &Ws, plan: &mut model::Plan) {
        let part = self.part().await;
        plan.shown = ws.app.redactor.text(&self.shown(part.as_ref())).into_owned();
        plan.files = self.witnesses(part.as_ref());
        self.bound = Some(plan.files.clone());
    }

    /// Returns `true` if the target is still the checked one.
    pub(super) async fn is_as(&mut self, expected: &Expected) -> bool {
        if expected.is_strict {
            let part = self.part().await;
            self.bound = Some(self.witnesses(part.as_ref()));
        }
        self.expected() == *expected
    }

    /// The site from which the action may start a download.
    pub(super) fn downloads(&self) -> Option<&OutgoingRequest> {
        self.requests.iter().find(|request| request.method == SiteAct::Download.word())
    }

    /// The host of the page; empty if the page has none.
    pub(crate) fn host(&self) -> &str {
        self.requests.first().map_or("", |request| &request.host)
    }

    /// The risk of the action, and the wider permissions that an approval may offer.
    pub(crate) fn terms(&self) -> (Risk, Vec<Offer>) {
        let risk = if 1 < self.requests.len() { Risk::High } else { Risk::Medium };
        match self.requests.iter().all(|request| !request.host.is_empty()) {
            true => (risk, sites::offers(&self.requests)),
            false => (risk, Vec::new()),
        }
    }

    /// The ref of the element.
    pub(super) fn number(&self) -> Option<u32> {
        self.stake.number
    }

    /// The name of the element for viewers; empty while capture is paused.
    pub(super) fn name(&self) -> &str {
        if self.is_dark { "" } else { &self.stake.name }
    }

    /// The role and name of the element. `None` while capture is paused or if it cannot be read.
    async fn part(&self) -> Option<Part> {
        let number = self.stake.number.filter(|_| !self.is_dark)?;
        self.page.part(number).await.ok() // ok: then it is called a part
    }

    /// A digest of what the access check saw.
    pub(super) fn expected(&self) -> Expected {
        let mut hash = Sha256::new();
        for request in &self.requests {
            add(&mut hash, request.method.as_bytes());
            add(&mut hash, sites::place(request).as_bytes());
        }
        for file in self.bound.iter().flatten() {
            add(&mut hash, file.path.as_bytes());
            add(&mut hash, &file.hash);
        }
        Expected { seal: hash.finalize().into(), is_strict: self.bound.is_some() }
    }

    fn place(&self) -> &str {
        match self.requests.first().map(sites::place) {
            None | Some("") => "a page without an address",
            Some(place) => place,
        }
    }

    /// The reason for the approval request, without a full stop.
    fn why(&self) -> String {
        let form = &self.stake.form;
        let has = |act: SiteAct| self.requests.iter().any(|request| request.method == act.word());
        let mut does = Vec::new();
        if let Some(key) = self.args.secret.as_ref().filter(|_| has(SiteAct::Secret)) {
            does.push(format!("fills in the secret {}", escape::plain(key, MAX_NAME)));
        }
        if has(SiteAct::Send) {
            let inside = [
                (form.has_password, "a password or code"),
                (form.has_payment, "a card or account"),
                (form.has_file, "a file"),
            ];
            let inside = inside.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_owned());
            does.push(format!("sends a form with {}", listed(&inside.collect::<Vec<_>>())));
        }
        if has(SiteAct::Download) {
            does.push("starts a download".to_owned());
        }
        if has(SiteAct::Upload) {
            does.push("uploads files to the page".to_owned());
        }
        if has(SiteAct::Evaluate) {
            does.push("runs a script in the page".to_owned());
        }
        if does.is_empty() {
            return format!("It isn’t allowed to act at {} yet", self.place());
        }
        format!("It {} at {}", listed(&does), self.place())
    }

    /// The action and its surroundings in words.
    fn shown(&self, part: Option<&Part>) -> String {
        let (stake, args) = (&self.stake, &self.args);
        let what = called(part);
        let does = match args.action {
            Action::Fill | Action::Type => match (&args.secret, &args.text) {
                (Some(key), _) => {
                    format!("fill {what} with the secret {}", escape::plain(key, MAX_NAME))
                }
                (None, text) => {
                    let text = text.as_deref().unwrap_or_default();
                    format!("{} {what}: {}", args.action.verb(), Quoted(text, MAX_VALUE))
                }
            },
            Action::Select => {
                let options = args.options.iter().flatten();
                let options: Vec<_> =
                    options.map(|one| Quoted(one, MAX_NAME).to_string()).collect();
                format!("choose {} in {what}", options.join(", "))
            }
            Action::Press => {
                format!("press {} in {what}", args.key.as_deref().unwrap_or_default())
            }
            Action::Dialog => "answer the page’s next dialog".to_owned(),
            Action::Evaluate => "run a script".to_owned(),
            action => format!("{} {what}", action.verb()),
        };
        let mut shown = format!("{} at {}", capitalized(&does), self.place());
        let mut line = |text: String| {
            shown.push('\n');
            shown.push_str(&text);
        };
        if !self.is_dark {
            line(format!("Page: {}", escape::plain(&stake.page_url, MAX_URL)));
        }
        if !self.is_dark && stake.frame_url != stake.page_url {
            line(format!("Embedded page: {}", escape::plain(&stake.frame_url, MAX_URL)));
        }
        for file in &self.files {
            line(format!("File: {} ({})", Quoted(&file.witness.path, MAX_VALUE), file.size));
        }
        if args.action == Action::Evaluate {
            let script = args.text.as_deref().unwrap_or_default();
            line(format!("Script: {}", Quoted(script, MAX_SCRIPT)));
        }
        if let Some(value) = part.and_then(|part| part.value.as_deref()) {
            line(format!("Current value: {}", Quoted(value, MAX_VALUE)));
        }
        if sends(args, stake) && !stake.form.to.is_empty() && !self.is_dark {
            line(format!("Sends the form to: {}", escape::plain(&stake.form.to, MAX_URL)));
            for (name, value) in &stake.form.fields {
                let value = value.as_deref().map(|value| Quoted(value, MAX_VALUE).to_string());
                let value = value.unwrap_or_else(|| "(not shown)".to_owned());
                line(format!("  {}: {value}", Quoted(name, MAX_NAME)));
            }
        }
        shown
    }

    /// Digests of the document and the element as they are now.
    fn witnesses(&self, part: Option<&Part>) -> Vec<Witness> {
        let stake = &self.stake;
        let mut page = Sha256::new();
        add(&mut page, stake.document.as_bytes());
        let mut node = Sha256::new();
        add(&mut node, &stake.number.unwrap_or_default().to_le_bytes());
        add(&mut node, stake.frame_url.as_bytes());
        add(&mut node, &[u8::from(stake.is_field), u8::from(stake.downloads)]);
        for request in &self.requests {
            add(&mut node, request.method.as_bytes());
        }
        if let Some(part) = part {
            add(&mut node, part.role.as_bytes());
            add(&mut node, part.name.as_bytes());
            add(&mut node, part.value.as_deref().unwrap_or_default().as_bytes());
        }
        if sends(&self.args, stake) {
            add(&mut node, stake.form.to.as_bytes());
            for (name, value) in &stake.form.fields {
                add(&mut node, name.as_bytes());
                add(&mut node, value.as_deref().unwrap_or_default().as_bytes());
            }
        }
        let page =
            Witness { path: format!("The page at {}", self.place()), hash: page.finalize().into() };
        let node = Witness { path: capitalized(&called(part)), hash: node.finalize().into() };
        let files = self.files.iter().map(|file| file.witness.clone());
        [page, node].into_iter().chain(files).collect()
    }
}

/// The element as shown to people.
fn called(part: Option<&Part>) -> String {
    let Some(part) = part else { return "a part of the page".to_owned() };
    let role = match part.role.as_str() {
        "" => "part",
        role => role,
    };
    match part.name.is_empty() {
        true => format!("the {role}"),
        false => format!("the {role} {}", Quoted(&part.name, MAX_NAME)),
    }
}

/// Adds a part to a digest, preceded by its length.
pub(super) fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

/// The target of an action. Without a ref, files go to the field whose file chooser the page has opened.
fn aim(args: &Args, chooser: Option<u32>) -> Result<Aim, Trouble> {
    let part = args.part.as_deref().map(refs::parse).transpose()?;
    let part = part.or(chooser.filter(|_| args.action == Action::Upload));
    Ok(match (args.action, part, args.x, args.y) {
        (_, Some(number), ..) => Aim::Part(number),
        (Action::Click, None, Some(x), Some(y)) => Aim::Place(Point { x, y }),
        (Action::Press, ..) => Aim::Focus,
        (Action::Dialog | Action::Evaluate, ..) => Aim::Page,
        _ => return Err(missing("ref", "give a ref from the last snapshot, such as e12").into()),
    })
}

/// Returns `true` if the action may send form data.
fn sends(args: &Args, stake: &Stake) -> bool {
    stake.is_sent_by(match args.action {
        Action::Click => Does::Click,
        Action::Press => Does::Press(args.key.as_deref().unwrap_or_default()),
        _ => Does::Other,
    })
}

fn request_for(act: SiteAct, stake: &Stake) -> OutgoingRequest {
    let request = stake.site().and_then(|at| sites::request_for(act, &at));
    // Without an address no permission can apply, so each action needs an approval.
    request.unwrap_or_else(|| OutgoingRequest {
        method: act.word().to_owned(),
        host: String::new(),
        is_usual: false,
        origin: None,
    })
}

/// The refusal of an action whose target has changed since the check.
pub(super) fn changed() -> Trouble {
    let text = "nothing was done: the page has changed since this was checked; take a snapshot and \
        try again";
    tool::ToolError::refused("page_changed", text).into()
}

#[cfg(test)]
mod tests {
    use browser::act::Form;
    use serde_json::json;

    use super::*;

    fn args(value: serde_json::Value) -> Args {
        serde_json::from_value(value).expect("arguments")
    }

    fn stake(frame: &str) -> Stake {
        Stake {
            number: Some(3),
            document: "D".into(),
            frame_url: frame.into(),
            page_url: "https://shop.example/cart".into(),
            name: String::new(),
            is_field: false,
            downloads: false,
            form: Form::default(),
        }
    }

    #[test]
    fn a_click_on_a_button_and_enter_send_a_form_and_a_click_into_a_field_does_not() {
        let button = stake("https://shop.example/");
        let field = Stake { is_field: true, ..stake("https://shop.example/") };
        let click = args(json!({ "action": "click", "ref": "e3" }));
        assert!(sends(&click, &button) && !sends(&click, &field));
        for (key, on_field) in [("Enter", true), ("Control+Enter", true), ("Space", false)] {
            let press = args(json!({ "action": "press", "key": key }));
            assert!(sends(&press, &button), "{key}");
            assert_eq!(sends(&press, &field), on_field, "{key}");
        }
        let tab = args(json!({ "action": "press", "key": "Tab" }));
        assert!(!sends(&tab, &button));
        let fill = args(json!({ "action": "fill", "ref": "e3", "text": "x" }));
        assert!(!sends(&fill, &field));
    }

    #[test]
    fn an_act_in_a_frame_is_asked_of_the_frames_site() {
        let place = |frame: &str| {
            let one = request_for(SiteAct::Act, &stake(frame));
            sites::place(&one).to_owned()
        };
        assert_eq!(place("https://pay.example/frame"), "pay.example");
        assert_eq!(place("about:srcdoc"), "shop.example");
        assert_eq!(place("http://127.0.0.1:8080/x"), "http://127.0.0.1:8080");
    }

    #[test]
    fn what_names_no_part_is_not_looked_at() {
        assert!(aim(&args(json!({ "action": "click" })), None).is_err());
        let at = args(json!({ "action": "click", "x": 1.0, "y": 2.0 }));
        assert!(matches!(aim(&at, None), Ok(Aim::Place(_))));
        let press = args(json!({ "action": "press", "key": "Tab" }));
        assert!(matches!(aim(&press, Some(3)), Ok(Aim::Focus)));
        let upload = args(json!({ "action": "upload", "options": ["a.pdf"] }));
        assert!(aim(&upload, None).is_err());
        assert!(matches!(aim(&upload, Some(3)), Ok(Aim::Part(3))));
    }
}
