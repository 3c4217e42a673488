//! Tools of connected servers: found by `tool_search`, checked like other calls, withdrawn at any time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use app::Ws;
use features::agents::model::Agent;
use features::connections::model::Wire;
use features::runs::model::Run;
use features::trust::model::{Approval, What};
use features::trust::queries as trust;
use kernel::{AgentId, Can, RunId, RunState, TrustMode};
use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use store::StoreError;
use support::hq::Setup;
use support::model::Turn;
use support::office::Office;
use tool::registry::{DynAct, DynRead, Entry};
use tool::{
    AnyTool, Effect, Group, Layer, Layers, Lease, Looks, Registry, Slot, ToolCx, ToolError,
    ToolOutput, ToolSpec,
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

const LINE: &str = "tracker: issues of the shop";

/// The calls that reached the server.
#[derive(Clone, Default)]
struct Calls {
    made: Arc<Mutex<Vec<String>>>,
}

impl Calls {
    fn make(&self, cx: &ToolCx, verb: &str, lease: &Lease) -> ToolOutput {
        self.made.lock().push(format!("{verb} {}", lease.arguments()));
        ToolOutput::text(format!("{verb}: done in step {}", cx.step))
    }
}

struct Look(Calls);

impl DynRead for Look {
    fn looks(&self) -> Looks {
        Looks::Here
    }

    fn read<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput> {
        Box::pin(std::future::ready(Ok(self.0.make(cx, "look", &lease))))
    }
}

struct Close(Calls);

impl DynAct for Close {
    fn slot<'a>(&'a self, _: &'a ToolCx) -> Boxed<'a, Slot> {
        Box::pin(std::future::ready(Ok(Slot::default())))
    }

    fn act<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput> {
        Box::pin(std::future::ready(Ok(self.0.make(cx, "close", &lease))))
    }
}

/// A connected issue tracker with two tools.
#[derive(Default)]
struct Tracker {
    calls: Calls,
    now: Mutex<Arc<Registry>>,
}

impl Tracker {
    fn connected() -> Arc<Self> {
        let tracker = Arc::new(Self::default());
        tracker.has(&["look", "close"], "Works with issues.");
        tracker
    }

    /// Replaces the approved tools.
    fn has(&self, verbs: &[&str], about: &str) {
        let mut all = Registry::new();
        for verb in verbs {
            let (effect, needs, tool) = match *verb {
                "look" => {
                    (Effect::Read, Can::Read, AnyTool::Read(Box::new(Look(self.calls.clone()))))
                }
                _ => (
                    Effect::External,
                    Can::Write,
                    AnyTool::Act(Box::new(Close(self.calls.clone()))),
                ),
            };
            let (name, about) = (format!("tracker__{verb}").into(), about.to_owned().into());
            let spec = ToolSpec { name, group: Group::Connected, needs, effect, about };
            let schema = json!({
                "type": "object", "required": ["issue"], "$defs": { "Id": { "type": "integer" } },
                "properties": { "issue": { "$ref": "#/$defs/Id" } },
            });
            let check = |given: &mut Map<String, Value>| match given
                .get("issue")
                .is_some_and(Value::is_i64)
            {
                true => Ok(()),
                false => Err("\"issue\" must be a number".to_owned()),
            };
            let entry = Entry::of_layer(spec, &schema, Arc::new(check), tool);
            assert!(all.put(entry.expect("its schema is usable")));
        }
        *self.now.lock() = Arc::new(all);
    }

    fn made(&self) -> Vec<String> {
        self.calls.made.lock().clone()
    }

    async fn office(self: &Arc<Self>) -> Office {
        let layers = Layers::new(vec![Arc::<Self>::clone(self)]);
        Office::with(Setup::default().layers(layers), Wire::OpenaiChat, "mock").await
    }
}

impl Layer for Tracker {
    fn tools(&self, _: &Ws, _: AgentId) -> Result<Arc<Registry>, StoreError> {
        Ok(self.now.lock().clone())
    }

    fn prompt(&self, _: &Ws, _: AgentId) -> Result<Vec<String>, StoreError> {
        Ok(self.now.lock().iter().next().map(|_| LINE.to_owned()).into_iter().collect())
    }

    fn why_not(&self, _: &Ws, _: AgentId, tool: &str) -> Result<Option<String>, StoreError> {
        let is_known = tool == "tracker__close" && self.now.lock().get(tool).is_none();
        Ok(is_known.then(|| "its definition changed and waits for a person".to_owned()))
    }
}

fn find() -> Turn {
    Turn::call("tool_search", json!({ "query": "issues" }))
}

fn call(verb: &str, issue: Value) -> Turn {
    Turn::call(&format!("tracker__{verb}"), json!({ "issue": issue }))
}

async fn asked(office: &Office, run: RunId) -> Approval {
    let _: Run = office.in_state(run, RunState::Waiting).await;
    let approval = office.ws().read(|snap| trust::waiting_of(snap, run)).expect("a store");
    approval.expect("an approval")
}

async fn answer(office: &Office, approval: &Approval, body: Value) {
    let path = format!("/api/v1/approvals/{}/answer", approval.id);
    let said = office.hq.owner().json("POST", &path, &body).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
}

async fn in_mode(office: &Office, mode: TrustMode) -> Agent {
    let ada = office.agent("Ada").await;
    office.trust(ada.id, mode).await;
    ada
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_tool_is_found_reads_at_once_and_acts_after_an_approval() {
    let tracker = Tracker::connected();
    let office = tracker.office().await;
    let ada = in_mode(&office, TrustMode::Ask).await;
    let model = &office.model;
    model.push(find()).push(call("look", json!("3"))).push(call("close", json!(3)));
    model.push(call("close", json!(4))).push(Turn::text("Closed."));
    let run = office.say(&ada, "Close issue 3").await;
    let approval = asked(&office, run).await;
    assert_eq!(approval.tool, "tracker__close");
    let labels: Vec<&str> = approval.offers.iter().map(|offer| offer.label.as_str()).collect();
    assert_eq!(labels, ["exactly this call", "all calls of tracker__close"]);
    assert_eq!(approval.offers[1].whats, [What::All]);
    // The text of a number is a number, as the schema says.
    assert_eq!(tracker.made(), [r#"look {"issue":3}"#]);
    answer(&office, &approval, json!({ "answer": "always", "offer": 1 })).await;
    office.ended(run).await;
    let made = [r#"look {"issue":3}"#, r#"close {"issue":3}"#, r#"close {"issue":4}"#];
    assert_eq!(tracker.made(), made);

    let results = office.results(run);
    assert!(results.iter().all(|(_, ok, _)| *ok), "{results:?}");
    assert!(results[0].2.contains("tracker__close: Works with issues."), "{results:?}");
    assert!(results[1].2.contains("EXTERNAL_UNTRUSTED_CONTENT"), "{results:?}");
    let requests = model.requests();
    assert!(requests[0].text().contains(LINE));
    assert!(!requests[0].tools().iter().any(|tool| tool.starts_with("tracker__")));
    assert!(requests[1].tools().ends_with(&["tracker__close".into(), "tracker__look".into()]));
    assert!(!requests[1].text().contains("$ref"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_does_not_cover_a_tool_that_changed_meanwhile() {
    let tracker = Tracker::connected();
    let office = tracker.office().await;
    let ada = in_mode(&office, TrustMode::Ask).await;
    office.model.push(call("close", json!(3))).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Close issue 3").await;
    let first = asked(&office, run).await;
    tracker.has(&["look", "close"], "Closes an issue and deletes its history.");
    answer(&office, &first, json!({ "answer": "once" })).await;
    let asks = |approval: Option<Approval>| approval.filter(|one| one.id != first.id);
    let second = office.until("another", |snap| Ok(asks(trust::waiting_of(snap, run)?))).await;
    assert!(second.why.contains("tracker__close has changed"), "{}", second.why);
    assert!(tracker.made().is_empty());
    answer(&office, &second, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    assert!(tracker.made().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_tool_is_refused_with_its_reason_and_the_run_goes_on() {
    let tracker = Tracker::connected();
    let mut office = tracker.office().await;
    let ada = in_mode(&office, TrustMode::Full).await;
    office.model.push(find()).push(call("look", json!(3))).push(Turn::text("It is open."));
    let run = office.say(&ada, "Look at issue 3").await;
    office.ended(run).await;

    office.hq.restart().await;
    tracker.has(&[], "");
    office.model.push(call("close", json!(3))).push(call("look", json!(3)));
    office.model.push(Turn::call("tracker__open", json!({}))).push(Turn::text("I can't."));
    let run = office.say(&ada, "Close it").await;
    office.ended(run).await;
    let results = office.results(run);
    let changed = "Error(not_available): you can't use tracker__close now: its definition changed \
        and waits for a person";
    assert_eq!(results[0].2, changed);
    assert!(
        results[1].2.starts_with("Error(not_available): tracker__look was removed"),
        "{results:?}"
    );
    assert!(results[2].2.starts_with("Error(not_found)"), "{results:?}");
    assert_eq!(tracker.made().len(), 1);
    let last = office.model.last();
    assert!(!last.text().contains(LINE));
    assert!(!last.tools().iter().any(|tool| tool.starts_with("tracker__")), "{:?}", last.tools());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_are_checked_before_anyone_is_asked_and_a_locked_agent_only_looks() {
    let tracker = Tracker::connected();
    let office = tracker.office().await;
    let ada = in_mode(&office, TrustMode::Ask).await;
    office.model.push(call("close", json!("three"))).push(Turn::text("I can't."));
    let run = office.say(&ada, "Close it").await;
    office.ended(run).await;
    assert_eq!(office.results(run)[0].2, "Error(invalid_args): \"issue\" must be a number");

    office.trust(ada.id, TrustMode::Locked).await;
    office.model.push(find()).push(call("look", json!(3))).push(call("close", json!(3)));
    office.model.push(Turn::text("It is open."));
    let run = office.say(&ada, "Close it").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(!results[0].2.contains("tracker__close"), "{results:?}");
    assert!(results[1].1 && !results[2].1, "{results:?}");
    assert_eq!(tracker.made(), [r#"look {"issue":3}"#]);
    assert!(!office.model.last().tools().contains(&"tracker__close".to_owned()));
    office.hq.finish().await;
}
