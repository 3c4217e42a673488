//! Properties of channels over random input: which route wins, and what a sender's rights allow.

use channels::model::{Channel, Route};
use channels::queries::{self, Origin};
use channels::rules;
use features::agents::model::Agent;
use features::trust::senders::SenderRights;
use kernel::{Actor, Cause, ChannelId, Error, Part, Role};
use serde_json::json;
use standins::telegram::Telegram;
use store::{Lane, WriteTx};
use support::hq::TestHq;
use support::work;
use tool::{Effect, Group};

use crate::crash::dice::Dice;

const CASES: usize = 200;
const TOKENS: [&str; 2] = [
    "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi",
    "700100201:ZZzzYYyyXXxxWWwwVVvvUUuuTTttSSssRRr",
];
const ROOMS: [&str; 3] = ["", "-100", "-200"];
const THREADS: [&str; 3] = ["", "7", "8"];
const SENDERS: [&str; 3] = ["", "42", "43"];

/// Two channels and their two agents.
async fn connected(hq: &TestHq) -> (Vec<Channel>, Vec<Agent>) {
    let telegram = Telegram::start().await;
    let api = hq.api().await;
    let eve = api.post("/api/v1/agents", &json!({ "name": "Eve" })).await;
    assert_eq!(eve.status, 201, "{}", eve.text);
    for (n, (token, agent)) in TOKENS.into_iter().zip(["ada", "eve"]).enumerate() {
        telegram.bot(token, 7001 + n as i64, agent, &format!("{agent}_bot"));
        let body = json!({
            "kind": "telegram", "agent": agent, "token": token, "api_base": telegram.url(),
        });
        let made = api.post("/api/v1/channels/connect", &body).await;
        assert_eq!(made.status, 200, "{}", made.text);
    }
    (work::all(hq), work::all(hq))
}

/// The route that wins: of all whose given fields match, the one with the most specific given fields. A sender counts
/// more than a thread, a thread more than a room, a room more than a channel. Threads belong to a room.
fn winner<'a>(routes: &'a [Route], from: &Origin<'_>) -> Option<&'a Route> {
    let room = from.room.unwrap_or_default();
    let fits = |given: &str, own: &str| given.is_empty() || given == own;
    let matching = routes.iter().filter(|one| {
        let is_thread = one.thread.is_empty() || one.room == room;
        one.channel.is_none_or(|channel| channel == from.channel)
            && fits(&one.sender, from.sender)
            && fits(&one.thread, from.thread.unwrap_or_default())
            && fits(&one.room, room)
            && is_thread
    });
    let given = |text: &str| !text.is_empty();
    matching.max_by_key(|one| {
        (given(&one.sender), given(&one.thread), given(&one.room), one.channel.is_some())
    })
}

fn routes(
    dice: &mut Dice,
    tx: &mut WriteTx<'_>,
    channels: &[Channel],
    agents: &[Agent],
) -> Result<Vec<Route>, Error> {
    let mut routes: Vec<Route> = Vec::new();
    for _ in 0..dice.below(8) {
        let channel: Option<ChannelId> = match dice.index(3) {
            0 => None,
            n => Some(channels[n - 1].id),
        };
        let route = Route {
            id: tx.new_id(),
            channel,
            room: (*dice.one(&ROOMS)).to_owned(),
            thread: (*dice.one(&THREADS)).to_owned(),
            sender: (*dice.one(&SENDERS)).to_owned(),
            agent: Some(dice.one(agents).id),
            created_at: tx.now(),
        };
        let place =
            |one: &Route| (one.channel, one.room.clone(), one.thread.clone(), one.sender.clone());
        if !routes.iter().any(|one| place(one) == place(&route)) {
            rules::save_route(tx, None, route.clone())?;
            routes.push(route);
        }
    }
    Ok(routes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_specific_route_wins_whatever_others_exist() {
    let (hq, _model) = work::scene().await;
    let (channels, agents) = connected(&hq).await;
    assert_eq!((channels.len(), agents.len()), (2, 2));
    let body = move |tx: &mut WriteTx<'_>| -> Result<(), Error> {
        let mut dice = Dice::new(47);
        for case in 0..CASES {
            let made = routes(&mut dice, tx, &channels, &agents)?;
            for _ in 0..10 {
                let channel = dice.one(&channels);
                let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
                let origin = Origin {
                    channel: channel.id,
                    room: some(ROOMS[dice.index(ROOMS.len())]),
                    thread: some(THREADS[dice.index(THREADS.len())]),
                    sender: SENDERS[1 + dice.index(2)],
                };
                let wanted = winner(&made, &origin).map_or(channel.agent, |route| route.agent);
                let found = queries::route(tx, origin)?.map(|(agent, _)| agent.id);
                assert_eq!(found, wanted, "case {case}: {origin:?} of {made:?}");
            }
            for route in made {
                tx.delete::<Route>(route.id)?;
            }
        }
        Ok(())
    };
    let by = (Actor::System(Part::Setup), Cause::Timer);
    hq.ws().store.write_in(Lane::First, by.0, by.1, body).await.expect("no route is missed");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tool_is_open_to_fewer_rights_and_closed_to_more() {
    let hq = TestHq::start().await;
    let tools = features::trust::tools::all();
    assert!(tools.len() > 50, "the tools are registered");
    let of = |role: Option<Role>, is_room: bool| SenderRights { role, name: "Bob".into(), is_room };
    let ranks =
        [None, Some(Role::Viewer), Some(Role::Member), Some(Role::Admin), Some(Role::Owner)];
    for tool in tools {
        for pair in ranks.windows(2) {
            for is_room in [false, true] {
                let (fewer, more) = (of(pair[0], is_room), of(pair[1], is_room));
                assert!(more.may_use(tool) || !fewer.may_use(tool), "{}: {pair:?}", tool.name);
            }
        }
        for role in ranks {
            let (direct, room) = (of(role, false), of(role, true));
            assert!(direct.may_use(tool) || !room.may_use(tool), "{}: {role:?}", tool.name);
            let is_private = matches!(tool.group, Group::Files | Group::Machine)
                || tool.name.starts_with("memory_")
                || tool.name.starts_with("secret_");
            assert!(!is_private || !room.may_use(tool), "{} in a room", tool.name);
        }
        let guest = of(None, false);
        let is_reading = tool.effect == Effect::Read
            || ["tool_search", "web_fetch", "web_search"].contains(&&*tool.name);
        assert!(is_reading || !guest.may_use(tool), "{} by a guest", tool.name);
    }
    hq.finish().await;
}
