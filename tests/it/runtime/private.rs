//! Traces of one person's conversation are invisible in those of others.

use features::agents::model::Agent;
use features::jobs::model::Job;
use features::runs::model::Run;
use features::runs::rules::{NewInput, SessionSpec, talk};
use features::workspace::model::Member;
use kernel::{AccountId, Actor, Cause, Role, RunId, Via};
use serde_json::json;
use store::ReadExt as _;

use support::hq::Person;
use support::model::Turn;
use support::office::Office;

/// Another member of the workspace, with a browser.
async fn member(office: &Office, name: &str) -> (AccountId, Person) {
    let browser = office.hq.another(name, Some(Role::Member)).await;
    let mut members = office.all::<Member>().into_iter();
    (members.find(|member| member.name == name).expect("a member").account, browser)
}

/// Sends a message in this person's own conversation with an agent.
async fn say_as(office: &Office, who: AccountId, agent: &Agent, text: &str) -> RunId {
    let by = (Actor::Person { account: who, via: Via::Socket { uid: 0 } }, Cause::Timer);
    let key = format!("agent:{}:person:{who}", agent.slug);
    let spec = SessionSpec { agent: agent.id, key, owner: Some(who), task: None };
    let new = NewInput::chat(text);
    let sent = office.ws().write(&by, move |tx| talk::say(tx, spec, new)).await;
    sent.expect("it is said").run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_programs_of_a_conversation_are_told_to_its_own_person_alone() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let (eve, browser) = member(&office, "Eve").await;
    let long = json!({ "command": "seq 1 20000; echo zanzibar" });
    let stays = json!({ "command": "echo tortuga; sleep 300", "background": true });
    office.model.push(Turn::call("exec", long).and_call("exec", stays));
    office.model.push(Turn::text("Done."));
    let first = office.ended(office.say(&ada, "Count for me").await).await;
    let job = office.all::<Job>().pop().expect("a program");
    assert!(job.goes_on());
    let result = format!("result:{}.1", first.number);

    let looks = [
        ("read", json!({ "path": result, "offset": 19_990 })),
        ("search", json!({ "path": result, "pattern": "zanzibar" })),
        ("process", json!({ "action": "list" })),
        ("process", json!({ "action": "log", "id": job.number })),
        ("process", json!({ "action": "write", "id": job.number, "data": "x" })),
        ("process", json!({ "action": "kill", "id": job.number })),
    ];
    for (tool, args) in looks.clone() {
        office.model.push(Turn::call(tool, args)).push(Turn::text("No."));
        let run = say_as(&office, eve, &ada, "What did they do?").await;
        office.ended(run).await;
        let told = office.results(run);
        let words = &told[0].2;
        assert!(!words.contains("zanzibar") && !words.contains("tortuga"), "{tool}: {words}");
        assert_eq!(told[0].1, words == "no programs", "{tool}: {words}");
    }
    assert!(office.get::<Job>(job.id).goes_on(), "nobody else ends it");
    // Nor its cost through the API.
    let costs = format!("/api/v1/usage/runs/{}", first.name());
    let (own, others) = (office.hq.owner().get(&costs).await, browser.get(&costs).await);
    assert_eq!((own.status.as_u16(), others.status.as_u16()), (200, 404), "{}", others.text);

    // The person whose conversation it was can see all of it, also in a later run.
    for (n, (tool, args)) in looks.into_iter().enumerate() {
        office.model.push(Turn::call(tool, args)).push(Turn::text("Yes."));
        let run: Run = office.ended(office.say(&ada, "And for me?").await).await;
        let told = office.results(run.id);
        let words = &told[0].2;
        match n {
            0 | 1 => assert!(words.contains("zanzibar"), "{tool}: {words}"),
            2 | 3 => assert!(words.contains("tortuga"), "{tool}: {words}"),
            _ => {}
        }
    }
    office
        .until("the end of the program", |snap| {
            Ok(snap.get::<Job>(job.id)?.filter(|job| !job.goes_on()))
        })
        .await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_name_whose_conversation_it_is_and_not_what_was_said_in_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (eve, browser) = member(&office, "Eve").await;
    office.model.usually(Turn::text("I see."));
    let run = say_as(&office, eve, &ada, "The zebra party is on Friday").await;
    let run: Run = office.ended(run).await;
    office.ended(office.say(&ada, "What is open?").await).await;
    for (path, place) in [("/w/marlow-cargo/runs", ".runs-list"), ("/api/v1/runs", "")] {
        let text = |reply: support::hq::Reply| match place {
            "" => reply.text,
            place => reply.text_of(place),
        };
        let admins = text(office.hq.owner().get(path).await);
        assert!(admins.contains("Eve’s private chat") && !admins.contains("zebra"), "{admins}");
        assert!(admins.contains("What is open?"), "{admins}");
        let own = text(browser.get(path).await);
        assert!(own.contains("The zebra party is on Friday") && !own.contains("What is"), "{own}");
    }
    assert_eq!(run.title, "The zebra party is on Friday", "it keeps its title");
    office.hq.finish().await;
}
