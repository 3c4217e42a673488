//! What a call of `browser` or `browser_download` asks of a site: looked at before it is made, for people and permissions.
//!
//! Whether an answer is a download only the site knows, and when it is told it has begun. So a file that came unasked lies
//! in the browser's folder, where neither the agent nor its programs get at it, until somebody has said yes to it.

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

/// The longest name and address that a card shows, in characters.
const MAX_NAME: usize = 120;
const MAX_URL: usize = 300;

/// A call that asks something of a site.
pub(crate) enum AtSite {
    /// An act in a page.
    Act(Box<Act>),
    /// A download that is put into the agent's folder.
    Keep(Box<Keep>),
}

/// A download, as it would be kept now.
pub(crate) struct Keep {
    download: Download,
    asked: OutgoingRequest,
    /// Whether it began with an act that was allowed to begin one.
    is_agreed: bool,
    path: Option<String>,
}

impl AtSite {
    /// Whether calls of this tool may ask something of a site.
    pub(crate) fn is_one(tool: &str) -> bool {
        tool == BROWSER || tool == save::NAME
    }

    /// What a call asks of a site, as it would be done now in the browser that runs. Nothing for one that asks nothing, and
    /// for one that cannot be looked at, which is not done then.
    pub(crate) async fn look(
        ws: &Ws,
        (agent, run): (AgentId, RunId),
        tool: &str,
        arguments: &str,
    ) -> Option<Self> {
        match tool {
            BROWSER => {
                let act = Act::look(ws, (agent, run), arguments).await?;
                Some(Self::Act(Box::new(act)))
            }
            save::NAME => Some(Self::Keep(Box::new(Keep::look(ws, agent, arguments)?))),
            _ => None,
        }
    }

    /// The host of the page in which it acts; none for a download, which sends nothing.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Act(act) => Some(act.host()),
            Self::Keep(_) => None,
        }
    }

    /// What becomes of it.
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

    /// Looks what a yes to it is bound to, and writes that and what people read of it into the plan of its call.
    pub(crate) async fn bind(&mut self, ws: &Ws, plan: &mut Plan) {
        match self {
            Self::Act(act) => act.bind(ws, plan).await,
            Self::Keep(keep) => {
                let mut shown = ws.app.redactor.text(&keep.shown()).into_owned();
                // What it would make of files that say who the agent is stands below.
                if !plan.files.is_empty() {
                    shown.push_str(&format!("\n\n{}", plan.shown));
                }
                plan.shown = shown;
                plan.files.push(keep.witness());
            }
        }
    }

    /// Keeps what the call was weighed with, for the moment at which it is done.
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

    /// How much harm it may do, and for what else a yes can count.
    pub(crate) fn terms(&self) -> (Risk, Vec<Offer>) {
        match self {
            Self::Act(act) => act.terms(),
            Self::Keep(keep) if keep.asked.host.is_empty() => (Risk::Medium, Vec::new()),
            Self::Keep(keep) => (Risk::Medium, sites::offers(std::slice::from_ref(&keep.asked))),
        }
    }
}

impl Keep {
    /// The download that a call would keep, as far as it has begun.
    fn look(ws: &Ws, agent: AgentId, arguments: &str) -> Option<Self> {
        let args: SaveArgs = serde_json::from_str(arguments).ok()?; // ok: canonical arguments are of this form
        let browser = ws.app.browsers.get(ws.browser_of(agent))?;
        let download = save::newest(browser.downloads(), args.wanted())?;
        let stage = ws.app.browsers.stage(ws.browser_of(agent))?;
        let is_agreed = stage.is_agreed(&download.file);
        Some(Self { asked: asked(&download), is_agreed, path: args.path, download })
    }

    /// One as it is, for a call that did not find it when it was weighed.
    pub(super) fn of(download: &Download) -> Self {
        Self { asked: asked(download), is_agreed: false, path: None, download: download.clone() }
    }

    pub(super) fn verdict(
        &self,
        tx: &dyn Read,
        agents: &[AgentId],
        run: RunId,
        facts: &Facts<'_>,
    ) -> Result<Verdict, StoreError> {
        let itself = authorize::weigh(tx, agents, Some(run), facts)?;
        if self.is_agreed {
            return Ok(itself);
        }
        let mut site = authorize::weigh(tx, agents, Some(run), &self.facts(facts))?;
        if site.leave == AccessDecision::Ask && site.rule.is_none() {
            site.why = format!("Nobody has allowed it to keep what {} sends yet", self.place());
        }
        Ok(itself.and(site))
    }

    /// What it asks of the site that it comes from.
    fn facts<'f>(&'f self, facts: &Facts<'f>) -> Facts<'f> {
        Facts {
            tool: BROWSER,
            effect: Effect::External,
            reach: Reach::Site,
            request: Some(&self.asked),
            ..facts.clone()
        }
    }

    fn place(&self) -> &str {
        match sites::place(&self.asked) {
            "" => "a page without an address",
            place => place,
        }
    }

    /// What people read of it.
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
            "Keep the download {name} from {}\nKind: {kind}\nSize: {size}\nAddress: {}\nGoes to: {path}",
            self.place(),
            escape::plain(&one.url, MAX_URL)
        )
    }

    /// It, for a yes that is for nothing else.
    fn witness(&self) -> Witness {
        let path = format!("The download {}", Quoted(&self.download.name, MAX_NAME));
        Witness { path, hash: expected(&self.download).seal }
    }
}

/// What a call that keeps it was weighed with. How much of it has come by then is none of that.
pub(super) fn expected(download: &Download) -> Expected {
    let mut hash = Sha256::new();
    for part in [&download.file, &download.name, &download.url] {
        plan::add(&mut hash, part.as_bytes());
    }
    Expected { seal: hash.finalize().into(), is_strict: false }
}

/// The address that a download comes from; of what a page has made itself, that of the page.
pub(super) fn address(download: &Download) -> &str {
    download.url.strip_prefix("blob:").unwrap_or(&download.url)
}

/// What keeping a download asks of the site that it comes from.
pub(super) fn asked(download: &Download) -> OutgoingRequest {
    let at = Url::parse(address(download)).ok(); // ok: what has no address is asked for each time
    let asked = at.and_then(|at| sites::asked(SiteAct::Download, &at));
    asked.unwrap_or_else(|| OutgoingRequest {
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
            shown.starts_with("Keep the download \"offer.pdf\" from shop.example\n"),
            "{shown}"
        );
        assert!(shown.contains("Kind: PDF file") && shown.contains("Size: 17 B\n"), "{shown}");
        let running = Download { state: DownloadState::Running, ..download("data:,x") };
        let shown = Keep::of(&running).shown();
        assert!(shown.contains("17 B so far") && shown.contains("without an address"), "{shown}");
    }

    #[test]
    fn what_a_page_made_itself_is_of_its_site_and_more_of_a_file_is_the_same_file() {
        let of = |url: &str| sites::place(&asked(&download(url))).to_owned();
        assert_eq!(of("blob:https://shop.example/0-1"), "shop.example");
        assert_eq!(of("http://127.0.0.1:80/x"), "http://127.0.0.1");
        assert_eq!(of("data:text/plain,x"), "");
        let first = download("https://a.example/");
        let more = Download { bytes: 18, ..first.clone() };
        assert_eq!(expected(&first), expected(&more));
        assert_ne!(expected(&first), expected(&Download { file: "2".into(), ..first.clone() }));
    }
}
