//! Undo of streams and recurring tasks: nobody becomes lead or assignee who is not permitted, and archived streams stay
//! unchanged.

use features::agents::rules as agents;
use features::streams::model::Stream;
use features::streams::rules::{self as streams, NewStream, StreamPatch};
use features::tasks::model::Task;
use features::tasks::model::series::Series;
use features::tasks::rules::series::{self as all_series, NewSeries, SeriesPatch};
use features::tasks::rules::{self as tasks, NewTask, TaskPatch};
use features::workspace::queries as people;
use features::workspace::rules::members;
use kernel::{
    Assignee, CadenceKind, MissedPolicy, Priority, Role, ScheduleFields, SeriesId, StreamId,
};
use serde_json::json;

use super::{Line, entry, hold, ok, paused, preview, undo};
use support::office::Office;

async fn led(office: &Office, name: &str, lead: Option<Assignee>) -> StreamId {
    let new = NewStream { lead, ..NewStream::called(name) };
    office.act(move |tx| streams::create(tx, new)).await.id
}

/// Changes a stream and returns the entry.
async fn restream(office: &Office, id: StreamId, patch: StreamPatch) -> u64 {
    office.act(move |tx| streams::update(tx, id, patch)).await;
    entry::<Stream>(office, id)
}

async fn daily(office: &Office, assignee: Option<Assignee>, stream: Option<StreamId>) -> SeriesId {
    let made = office.act(move |tx| {
        let fields =
            ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
        let schedule = fields.read("Europe/Berlin", tx.now()).expect("each day is a schedule");
        let new = NewSeries {
            title: "Check the chargers".to_owned(),
            description: String::new(),
            priority: Priority::Medium,
            assignee,
            stream,
            model: None,
            thinking: None,
            labels: Vec::new(),
            schedule,
            missed: MissedPolicy::AutoSkip,
            ends_on: None,
            ends_after: None,
            due: None,
        };
        all_series::create(tx, new)
    });
    made.await.id
}

/// Changes a series and returns the entry.
async fn reseries(office: &Office, id: SeriesId, patch: SeriesPatch) -> u64 {
    office.act(move |tx| all_series::update(tx, id, patch)).await;
    entry::<Series>(office, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leads_or_gets_again_who_has_left_or_takes_no_work() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    office.hq.another("Mo", Some(Role::Member)).await;
    let all = office.ws().read(|snap| people::members(snap)).expect("a readable store");
    let mo = all.iter().find(|one| one.name == "Mo").expect("here").account;
    let bo = paused(&office, "Bo").await.id;
    let (agent, person) = (Some(Assignee::Agent(bo)), Some(Assignee::Person(mo)));

    let nobody = StreamPatch { lead: Some(None), ..StreamPatch::default() };
    let with_goal = StreamPatch { goal: Some("Sell 200.".to_owned()), ..nobody.clone() };
    let of_agent = led(&office, "Launch", agent).await;
    let by_agent = restream(&office, of_agent, with_goal).await;
    let of_person = led(&office, "Yard", person).await;
    let by_person = restream(&office, of_person, nobody).await;

    let nobody = SeriesPatch { assignee: Some(None), ..SeriesPatch::default() };
    let renamed = SeriesPatch { title: Some("Look".to_owned()), ..nobody.clone() };
    let of_agent = daily(&office, agent, None).await;
    let for_agent = reseries(&office, of_agent, renamed).await;
    let of_person = daily(&office, person, None).await;
    let for_person = reseries(&office, of_person, nobody).await;

    // While both are members, all of it can be undone.
    for seq in [by_agent, by_person, for_agent, for_person] {
        let seen = preview(&api, seq).await;
        assert_eq!((&seen["back_count"], &seen["kept_count"]), (&json!(1), &json!(0)), "{seen}");
        assert_eq!(seen["back"][0]["kept"], json!([]), "{seen}");
    }
    office.act(move |tx| agents::archive(tx, bo)).await;
    office.act(move |tx| members::remove(tx, mo, &members::Shut::new())).await;
    hold(vec![
        Line {
            what: "a stream of an agent that is archived",
            entry: by_agent,
            who: &api,
            back: 1,
            codes: &["agent_archived"],
        },
        Line {
            what: "a stream of somebody who left",
            entry: by_person,
            who: &api,
            back: 0,
            codes: &["member_left"],
        },
        Line {
            what: "a series for an agent that is archived",
            entry: for_agent,
            who: &api,
            back: 1,
            codes: &["agent_archived"],
        },
        Line {
            what: "a series for somebody who left",
            entry: for_person,
            who: &api,
            back: 0,
            codes: &["member_left"],
        },
    ])
    .await;
    ok(undo(&api, by_agent).await).await;
    ok(undo(&api, for_agent).await).await;
    let all = office.all::<Stream>();
    let launch = all.iter().find(|one| one.name == "Launch").expect("it is there");
    assert_eq!((launch.lead, launch.goal.as_str()), (None, ""));
    let series: Series = office.get(of_agent);
    assert_eq!((series.assignee, series.title.as_str()), (None, "Check the chargers"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_out_of_the_way_is_left_alone_and_nothing_comes_to_it() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let id = led(&office, "Launch", None).await;
    let goal = StreamPatch { goal: Some("Sell 200.".to_owned()), ..StreamPatch::default() };
    let changed = restream(&office, id, goal).await;
    let series = daily(&office, None, Some(id)).await;
    let out = SeriesPatch { stream: Some(None), ..SeriesPatch::default() };
    let recurring = reseries(&office, series, out).await;
    let new = NewTask { stream: Some(id), ..NewTask::titled("Write the offer") };
    let task = office.act(move |tx| tasks::create(tx, new)).await.id;
    let out = TaskPatch { stream: Some(None), ..TaskPatch::default() };
    office.act(move |tx| tasks::update(tx, task, out)).await;
    let moved = entry::<Task>(&office, task);
    office.act(move |tx| streams::archive(tx, id)).await;
    let archived = entry::<Stream>(&office, id);
    let line = |what, entry, back, codes| Line { what, entry, who: &api, back, codes };
    hold(vec![
        line("its goal", changed, 0, &["stream_archived"]),
        line("a series of it", recurring, 0, &["stream_archived"]),
        line("a task of it", moved, 0, &["stream_archived"]),
        line("it comes back", archived, 1, &[]),
    ])
    .await;
    ok(undo(&api, archived).await).await;
    hold(vec![
        line("its goal, in use again", changed, 1, &[]),
        line("a series of it, in use again", recurring, 1, &[]),
        line("a task of it, in use again", moved, 1, &[]),
    ])
    .await;
    office.hq.finish().await;
}
