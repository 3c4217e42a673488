//! Access check data of `browser` and `browser_download` calls: what a call requests from a site, determined before it
//! is made.
//!
//! Only the site knows whether its response is a download. An unrequested file therefore stays in the browser's folder,
//! where neither the agent nor its programs can reach it, until it is approved.

use sha2::{Digest, Sha256};
use url::Url;

use app::Ws;
use browser::downloads::{Download, DownloadState};
use browser::live_view::Expected;
use browser::snapshot::escape::{self, Quoted};
use features::trust::authorize::{self, Facts, OutgoingRequest, Reach, Verdict};
use features::trust::model::{BROWSER, Offer, Plan, Witness};
use features::trust::sites::{self, SiteAct};
use kernel::{AccessDecision, AgentId, Risk, RunId, TypedId as _};
use store::{Read, StoreError};
use tool::Effect;
use web::format;

use super::plan::{self, Act};
use super::save::{self, SaveArgs};

/// Longest name and address on an approval card, in characters.
const MAX_NAME: usize = 120;
const MAX_URL: usize = 300;

/// A call that requests something from a site.
pub(crate) enum AtSite {
    /// An action in a page.
    Act(Box<Act>),
    /// Moves a download into the agent's folder.
    Keep(Box<Keep>),
}

/// A download as it would be saved now.
pub(crate) struct Keep {
    download: Download,
    request: OutgoingRequest,
    /// An action that was allowed to download started it.
    is_agreed: bool,
    path: Option<String>,
}

impl AtSite {
    /// Returns `true` if calls of this tool may request something from a site.
    pub(crate) fn is_one(tool: &str) -> bool {
        tool == BROWSER || tool == save::NAME
    }

    /// What a call requests from a site, in the running browser. `None` if it requests nothing, or if its target cannot
    /// be determined; the call then does nothing.
    pub(crate) async fn inspect(
        ws: &Ws,
        (agent, run): (AgentId, RunId),
        tool: &str,
        arguments: &str,
    ) -> Option<Self> {
        match tool {
            BROWSER => {
                let act = Act::inspect(ws, (agent, run), arguments).await?;
                Some(Self::Act(Box::new(act)))
            }
            save::NAME => Some(Self::Keep(Box::new(Keep::inspect(ws, agent, arguments)?))),
            _ => None,
        }
    }

    /// The host of the page of an action; `None` for a download, which sends nothing.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Act(act) => Some(act.host()),
            Self::Keep(_) => None,
        }
    }

    /// The verdict of the access check.
    pub(crate) fn verdict(
        &self,
        tx: &dyn Read,
        agents: &[AgentId],
        run: RunId,
        facts: &Facts<'_>,
    ) -> Result<Verdict, StoreError> {
        match self {
            Self::Act(act) => act.verdict(tx, agents, run, facts),
            Self::Keep(keep) => keep.verdict(tx, agents, run, facts),
        }
    }

    /// Determines what an approval is bound to. Writes that and the text shown to people into the plan of the call.
    pub(crate) async fn bind(&mut self, ws: &Ws, plan: &mut Plan) {
        match self {
            Self::Act(act) => act.bind(ws, plan).await,
            Self::Keep(keep) => {
                let mut shown = ws.app.redactor.text(&keep.shown()).into_owned();
                // The change to identity files is shown below.
                if !plan.files.is_empty() {
                    shown.push_str(&format!("\n\n{}", plan.shown));
                }
                plan.shown = shown;
                plan.files.push(keep.witness());
            }
        }
    }

    /// Stores the checked target for the moment of the action.
    pub(crate) fn expect(one: Option<&Self>, ws: &Ws, agent: AgentId, of: (RunId, u32)) {
        if let Some(stage) = ws.app.browsers.stage(ws.browser_of(agent)) {
            stage.expect((of.0.uuid(), of.1), one.map(Self::expected));
        }
    }

    fn expected(&self) -> Expected {
        match self {
            Self::Act(act) => act.expected(),
            Self::Keep(keep) => expected(&keep.download),
        }
    }

    /// The risk of the call, and the wider permissions that an approval may offer.
    pub(crate) fn terms(&self) -> (Risk, Vec<Offer>) {
        match self {
            Self::Act(act) => act.terms(),
            Self::Keep(keep) if keep.request.host.is_empty() => (Risk::Medium, Vec::new()),
            Self::Keep(keep) => (Risk::Medium, sites::offers(std::slice::from_ref(&keep.request))),
        }
    }
}

impl Keep {
    /// The download that a call would save, if it has started.
    fn inspect(ws: &Ws, agent: AgentId, arguments: &str) -> Option<Self> {
        let args: SaveArgs = serde_json::from_str(arguments).ok()?; // ok: canonical arguments are of this form
        let browser = ws.app.browsers.get(ws.browser_of(agent))?;
        let download = save::newest(browser.downloads(), args.wanted())?;
        let stage = ws.app.browsers.stage(ws.browser_of(agent))?;
        let is_agreed = stage.is_agreed(&download.file);
        Some(Self { request: request_for(&download), is_agreed, path: args.path, download })
    }

    /// A download that the access check did not find.
    pub(super) fn of(download: &Download) -> Self {
        Self {
            request: request_for(download),
            is_agreed: false,
            path: None,
            download: download.clone(),
        }
    }

    pub(super) fn verdict(
        &self,
        tx: &dyn Read,
        agents: &[AgentId],
        run: RunId,
        facts: &Facts<'_>,
    ) -> Result<Verdict, StoreError> {
        let itself = authorize::authorize(tx, agents, Some(run), facts)?;
        if self.is_agreed {
            return Ok(itself);
        }
        let mut site = authorize::authorize(tx, agents, Some(run), &self.facts(facts))?;
        if site.decision == AccessDecision::Ask && site.rule.is_none() {
            site.why = format!("It isn’t allowed to save downloads from {} yet", self.place());
        }
        Ok(itself.and(site))
    }

    /// The facts for its site.
    fn facts<'f>(&'f self, facts: &Facts<'f>) -> Facts<'f> {
        Facts {
            tool: BROWSER,
            effect: Effect::External,
            reach: Reach::Site,
            request: Some(&self.request),
            ..facts.clone()
        }
    }

    fn place(&self) -> &str {
        match sites::place(&self.request) {
            "" => "a page without an address",
            place => place,
        }
    }

    /// The text shown to people.
    fn shown(&self) -> String {
        let one = &self.download;
        let name = Quoted(&one.name, MAX_NAME);
        let kind = match one.name.rsplit_once('.') {
            Some((_, end)) if !end.is_empty() && end.len() <= 8 => {
                format!("{} file, by its name", escape::plain(&end.to_uppercase(), MAX_NAME))
            }
            _ => "not told by its name".to_owned(),
        };
        let size = match one.state {
            DownloadState::Done => format::size(one.bytes),
            _ => format!("{} so far", format::size(one.bytes)),
        };
        let path = match &self.path {
            Some(path) => Quoted(path, MAX_URL).to_string(),
            None => "downloads/".to_owned(),
        };
        format!(
            "Save the download {name} from {}\nKind: {kind}\nSize: {size}\nAddress: {}\nPath: \
             {path}",
            self.place(),
            escape::plain(&one.url, MAX_URL)
        )
    }

    /// Binds an approval to this download.
    fn witness(&self) -> Witness {
        let path = format!("The download {}", Quoted(&self.download.name, MAX_NAME));
        Witness { path, hash: expected(&self.download).seal }
    }
}

/// The seal of a download. The number of received bytes is not part of it.
pub(super) fn expected(download: &Download) -> Expected {
    let mut hash = Sha256::new();
    for part in [&download.file, &download.name, &download.url] {
        plan::add(&mut hash, part.as_bytes());
    }
    Expected { seal: hash.finalize().into(), is_strict: false }
}

/// The address of a download; for a file that a page created, that of the page.
pub(super) fn address(download: &Download) -> &str {
    download.url.strip_prefix("blob:").unwrap_or(&download.url)
}

/// The request to the download's site.
pub(super) fn request_for(download: &Download) -> OutgoingRequest {
    let at = Url::parse(address(download)).ok(); // ok: without an address each download needs an approval
    let request = at.and_then(|at| sites::request_for(SiteAct::Download, &at));
    request.unwrap_or_else(|| OutgoingRequest {
        method: SiteAct::Download.word().to_owned(),
        host: String::new(),
        is_usual: false,
        origin: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(url: &str) -> Download {
        Download {
            file: "1".into(),
            name: "offer.pdf".into(),
            url: url.into(),
            tab: Some(1),
            bytes: 17,
            state: DownloadState::Done,
        }
    }

    #[test]
    fn a_card_names_the_file_its_site_and_its_size() {
        let keep = Keep::of(&download("https://shop.example/offer?id=1"));
        let shown = keep.shown();
        assert!(
            shown.starts_with("Save the download \"offer.pdf\" from shop.example\n"),
            "{shown}"
        );
        assert!(shown.contains("Kind: PDF file") && shown.contains("Size: 17 B\n"), "{shown}");
        let running = Download { state: DownloadState::Running, ..download("data:,x") };
        let shown = Keep::of(&running).shown();
        assert!(shown.contains("17 B so far") && shown.contains("without an address"), "{shown}");
    }

    #[test]
    fn what_a_page_made_itself_is_of_its_site_and_more_of_a_file_is_the_same_file() {
        let of = |url: &str| sites::place(&request_for(&download(url))).to_owned();
        assert_eq!(of("blob:https://shop.example/0-1"), "shop.example");
        assert_eq!(of("http://127.0.0.1:80/x"), "http://127.0.0.1");
        assert_eq!(of("data:text/plain,x"), "");
        let first = download("https://a.example/");
        let more = Download { bytes: 18, ..first.clone() };
        assert_eq!(expected(&first), expected(&more));
        assert_ne!(expected(&first), expected(&Download { file: "2".into(), ..first.clone() }));
    }
}
