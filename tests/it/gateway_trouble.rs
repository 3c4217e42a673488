//! Problems of a machine: reported with its heartbeats, and notified once.

use crypto::token::Token;
use gateways::model::Gateway;
use gateways::rules;
use kernel::{GatewayId, NoticeKind};
use link::Purpose;
use link::frame::{Beat, Broke, Frame};
use serde_json::{Value, json};
use support::hq::{Person, TestHq};
use support::work;

use super::hosts::{Host, Talk, code, joins, print, token, until};

const ONE: &str = "/api/v1/gateways/gpu-box";
const PAGE: &str = "/w/marlow-cargo/settings/gateways/gpu-box";
const HEALTH: &str = "/w/marlow-cargo/settings/health";
const FULL: &str = "The disk of GPU box is full. It is waiting, and nothing is lost.";
const CLOCK: &str = "The clock of GPU box is 12 minutes ahead.";

/// A machine with one heartbeat per link: more frequent ones than every five seconds are ignored.
struct Box {
    host: Host,
    print: String,
    id: GatewayId,
    talk: Option<Talk>,
}

impl Box {
    async fn joined(hq: &TestHq) -> Self {
        let ((token, _), print, host): ((Token, _), _, _) =
            (token(hq, "GPU box").await, print(hq).await, Host::new());
        let (talk, _) = host.links(&hq.url(), &print, joins(&token)).await;
        Self { host, print, id: talk.admitted.gateway, talk: Some(talk) }
    }

    /// Sends a heartbeat, and waits until it is recorded.
    async fn says(&mut self, hq: &TestHq, beat: Beat) {
        let talk = match self.talk.take() {
            Some(talk) => talk,
            None => {
                let known = Purpose::Known { gateway: self.id };
                self.host.links(&hq.url(), &self.print, known).await.0
            }
        };
        let unsent = beat.unsent;
        talk.say(Frame::Beat(beat)).await;
        until("the beat is never heard", async || {
            let report = hq.ws().app.hosts.report(hq.ws().id, self.id);
            report.is_some_and(|report| report.unsent == unsent)
        })
        .await;
        self.talk = Some(talk);
    }

    /// Cuts its link.
    async fn is_cut(&mut self, hq: &TestHq) {
        self.talk.take().expect("it is linked").sender.cut();
        until("the link stays", async || !hq.ws().app.hosts.is_linked(hq.ws().id, self.id)).await;
    }
}

/// Notifications of problems: title, text, count, whether it is read.
async fn notices(person: &Person) -> Vec<(String, String, u64, bool)> {
    let all = person.get("/api/v1/notifications").await.json();
    let of_trouble = |one: &&Value| one["kind"] == NoticeKind::GatewayTrouble.word();
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let all = all["items"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter(of_trouble)
        .map(|one| {
            let count = one["count"].as_u64().unwrap_or(1);
            (word(one, "title"), word(one, "body"), count, one["read_at"].is_string())
        })
        .collect()
}

/// The gateway entries of the health API.
async fn parts(person: &Person) -> Vec<String> {
    let health = person.get("/api/v1/health").await.json();
    let all = health["parts"].as_array().cloned().unwrap_or_default();
    let said = |one: &Value| one["said"].as_str().unwrap_or_default().to_owned();
    all.iter().filter(|one| one["name"] == "gateway").map(said).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_machine_is_shown_where_people_look_and_told_once() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let mut gpu = Box::joined(&hq).await;
    let ahead = hq.now().as_millisecond() + 12 * 60_000;
    let broke = Broke { at_ms: ahead - 300_000, why: "the line\nwas cut".to_owned() };
    let wrong = |unsent| Beat {
        clock_ms: ahead,
        disk_full: true,
        unsent,
        broke: Some(broke.clone()),
        ..Beat::default()
    };
    gpu.says(&hq, wrong(38)).await;

    // In the API, on its page, in the list, and in Health.
    let one = api.get(ONE).await.json();
    let troubles =
        json!([{ "kind": "disk_full", "told": FULL }, { "kind": "clock", "told": CLOCK }]);
    assert_eq!(one["troubles"], troubles, "{one}");
    let link = &one["link"];
    assert_eq!((&link["unsent"], &link["clock_ms"]), (&json!(38), &json!(720_000)), "{link}");
    assert_eq!(link["broke_why"], "the line was cut", "a line");
    let at: jiff::Timestamp = link["broke_at"].as_str().expect("a moment").parse().expect("one");
    assert_eq!(hq.now().duration_since(at).as_secs(), 300, "by home's clock");
    for path in [PAGE, "/w/marlow-cargo/settings/gateways"] {
        let page = owner.get(path).await.text;
        for words in [FULL, CLOCK, "38 changes wait to be sent", "the line was cut"] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }
    assert_eq!(parts(&owner).await, [format!("{FULL} {CLOCK}")]);
    let health = owner.get("/api/v1/health").await.json();
    assert_eq!(health["status"], "degraded", "{health}");
    let page = owner.get(HEALTH).await.text;
    assert!(page.contains(FULL), "{page}");

    // One notification, however often the problem is reported, also over several links.
    let told = until_told(&owner, 1).await;
    let (title, body, count, is_read) = &told[0];
    assert_eq!((title.as_str(), *count, *is_read), (FULL, 1, false));
    assert!(body.contains(CLOCK) && body.contains("Free some space"), "{body}");
    gpu.is_cut(&hq).await;
    assert!(parts(&owner).await.is_empty(), "of a machine that is silent nobody knows");
    for unsent in [30, 20] {
        gpu.says(&hq, wrong(unsent)).await;
        gpu.is_cut(&hq).await;
    }
    assert_eq!(notices(&owner).await, told);

    // Some problems end, then all: nothing needs attention any more.
    gpu.says(&hq, Beat { clock_ms: hq.now().as_millisecond(), ..wrong(10) }).await;
    assert_eq!(parts(&owner).await, [FULL]);
    assert!(!notices(&owner).await[0].3, "something is wrong still");
    gpu.is_cut(&hq).await;
    gpu.says(&hq, Beat { clock_ms: hq.now().as_millisecond(), ..Beat::default() }).await;
    until("it is never over", async || notices(&owner).await.iter().all(|one| one.3)).await;
    assert!(parts(&owner).await.is_empty());
    assert_eq!(api.get(ONE).await.json()["troubles"], json!([]));
    assert!(!owner.get(PAGE).await.text.contains(FULL));

    // A problem that occurs again is reported anew, and ends when the gateway is removed.
    gpu.is_cut(&hq).await;
    hq.advance(std::time::Duration::from_secs(3_600)).await;
    gpu.says(&hq, Beat { disk_full: true, unsent: 1, ..Beat::default() }).await;
    until("it is not told again", async || notices(&owner).await.iter().any(|one| !one.3)).await;
    let id = gpu.id;
    let revoked = hq.ws().write(&work::owner(&hq), move |tx| rules::revoke(tx, id)).await;
    revoked.expect("it is revoked");
    assert!(notices(&owner).await.iter().all(|one| one.3), "{:?}", notices(&owner).await);
    hq.finish().await;
}

async fn until_told(person: &Person, many: usize) -> Vec<(String, String, u64, bool)> {
    until("it is never told", async || notices(person).await.len() == many).await;
    notices(person).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_reports_is_kept_short_and_one_that_reports_nothing_is_well() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let mut gpu = Box::joined(&hq).await;
    gpu.says(&hq, Beat { cpu: 12, ..Beat::default() }).await;
    let one: Gateway = work::all(&hq).pop().expect("a gateway");
    assert_eq!(hq.ws().app.hosts.troubles(hq.ws().id, one.id), [], "an older program");
    assert!(notices(&owner).await.is_empty());
    gpu.is_cut(&hq).await;
    let stuck = format!("agents cannot work here: <b>{}", "x\n".repeat(9_000));
    gpu.says(&hq, Beat { stuck, unsent: 1, ..Beat::default() }).await;
    let said = parts(&owner).await;
    assert!(said[0].starts_with("GPU box reports: agents cannot work here: <b>x x"), "{said:?}");
    assert!(said[0].chars().count() < 300, "{said:?}");
    let page = owner.get(PAGE).await.text;
    assert!(page.contains("agents cannot work here: &#60;b&#62;"), "{page}");
    hq.finish().await;
}

/// Message about a gateway whose folder was copied.
const COPIED: &str = "Two machines run as GPU box because its folder was copied. Both are paused until you choose \
     one.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_machines_with_one_folder_neither_is_let_in_until_a_person_chooses() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let mut gpu = Box::joined(&hq).await;
    let (url, print, known) = (hq.url(), gpu.print.clone(), Purpose::Known { gateway: gpu.id });
    let is_linked = || hq.ws().app.hosts.is_linked(hq.ws().id, gpu.id);
    // It looks like a restart, then like the same start again over another link.
    let mut links = Vec::new();
    for life in ["first", "second", "second"] {
        gpu.host.life = life.to_owned();
        links.push(gpu.host.links(&url, &print, known.clone()).await.0);
    }
    let mut second = links.pop().expect("a link");
    assert_eq!(api.get(ONE).await.json()["copies"], json!([]));
    assert!(notices(&owner).await.is_empty());

    gpu.host.life = "first".to_owned();
    let calls = async |host: &Host| code(host.knock(&url, &print, known.clone()).await);
    assert_eq!(calls(&gpu.host).await, "gateway_held");
    assert_eq!(second.is_closed().await, "held");
    until("the link stays", async || !is_linked()).await;
    for life in ["second", "", "first"] {
        gpu.host.life = life.to_owned();
        assert_eq!(calls(&gpu.host).await, "gateway_held", "{life}");
    }
    let one = api.get(ONE).await.json();
    assert_eq!(one["troubles"], json!([{ "kind": "copied", "told": COPIED }]), "{one}");
    let copies = one["copies"].as_array().expect("a list");
    let ids: Vec<&Value> = copies.iter().map(|copy| &copy["id"]).collect();
    assert_eq!(ids, ["second", "first"]);
    assert_eq!((&copies[0]["name"], &copies[0]["address"]), (&json!("gpu-1"), &json!("127.0.0.1")));
    for path in [PAGE, "/w/marlow-cargo/settings/gateways"] {
        let page = owner.get(path).await.text;
        for words in [COPIED, "gpu-1", "127.0.0.1", ">Keep<", "value=\"first\""] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }
    assert_eq!(parts(&owner).await, [COPIED]);
    let told = until_told(&owner, 1).await;
    assert_eq!((told[0].0.as_str(), told[0].2, told[0].3), (COPIED, 1, false));
    // People already know why nothing is received from it.
    hq.advance(std::time::Duration::from_secs(600)).await;
    let all = owner.get("/api/v1/notifications").await.text;
    assert!(!all.contains("has been offline"), "{all}");

    let keep = format!("{ONE}/keep");
    let wrong = api.post(&keep, &json!({ "copy": "third" })).await;
    assert_eq!(wrong.status.as_u16(), 409, "{}", wrong.text);
    let chosen = owner.form(&format!("{PAGE}/keep"), &[("copy", "first")]).await;
    assert!(chosen.status.is_redirection(), "{}", chosen.text);
    let late = api.post(&keep, &json!({ "copy": "second" })).await;
    assert_eq!(late.status.as_u16(), 409, "{}", late.text);
    assert!(notices(&owner).await.iter().all(|one| one.3) && parts(&owner).await.is_empty());
    assert_eq!(api.get(ONE).await.json()["copies"], json!([]));
    let _first = gpu.host.links(&url, &print, known.clone()).await.0;
    gpu.host.life = "second".to_owned();
    assert_eq!(calls(&gpu.host).await, "gateway_copy");
    assert!(is_linked(), "whoever is turned away does not end the link");
    gpu.host.life = "first, restarted".to_owned();
    let _restarted = gpu.host.links(&url, &print, known.clone()).await.0;

    // For a revoked gateway there is nothing to choose.
    gpu.host.life = "first".to_owned();
    assert_eq!(calls(&gpu.host).await, "gateway_held");
    let revoked = api.post(&format!("{ONE}/revoke"), &json!({})).await;
    assert!(revoked.status.is_success(), "{}", revoked.text);
    assert_eq!(api.get(ONE).await.json()["copies"], json!([]));
    assert!(notices(&owner).await.iter().all(|one| one.3) && parts(&owner).await.is_empty());
    hq.finish().await;
}
