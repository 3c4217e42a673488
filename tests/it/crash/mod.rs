//! Kills the real program at random moments under full load and compares its state with an external ledger.
//! Acknowledged writes must exist once; interrupted ones are repeated with the same key and must exist once, too; every
//! run must have the effects of an undisturbed run; the stores must be consistent.
//!
//! `HQ_CRASH_N` kills, or two minutes with at least 60; `HQ_CRASH_SEED` repeats a run. Kills happen in [`rounds`] with
//! a folder each, `HQ_CRASH_JOBS` in parallel (1); `HQ_CRASH_KEEP=1` keeps the folder of a failed round. [`covers`]
//! lists the load for each kind of record; kinds without load fail over the seeds of a day (`make crash`).

mod accounts;
mod agents;
pub(crate) mod api;
mod backups;
mod chats;
mod connections;
mod covers;
mod customers;
mod desk;
pub(crate) mod dice;
mod follower;
mod groups;
mod heirs;
mod holds;
mod kill;
mod notices;
pub(crate) mod people;
mod plans;
mod post;
mod rounds;
mod routines;
mod series;
pub(crate) mod stores;
mod tasks;
mod upkeep;
mod workspaces;
mod yeses;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Builder;

use support::browse::Browser;
use support::hq::OWNER;
use support::maker::Maker;
use support::model::ModelServer;
use support::program::{Program, run_json};
use support::wire;

use api::{Api, Ask, Keys, Trap};
use desk::{Tally, Writer};
use dice::{Dice, say, setting};
use kill::{Kill, Kills};
use rounds::{Done, Limit, Round};
use stores::Seen;

/// Default number of kills.
const USUAL: u64 = 300;
/// Time limit in the default case, and the minimum number of kills on a slow machine.
const TIME: Duration = Duration::from_secs(2 * 60);
const LEAST: u64 = 60;
/// After this many kills every action of every desk has occurred.
const MANY: usize = 280;
/// For this long after signing in, or after reauthenticating to a program that was not killed since, the owner needs no
/// new proof, even if everything done until the next one takes long.
const FRESH: Duration = Duration::from_secs(7 * 60);
/// Interval of complete checks, in kills: each check reads all data ever written.
const WHOLE: u64 = 40;
/// The same for a folder of many kills.
const WHOLE_OF_MANY: u64 = 50;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let (kills, size, limit) = match setting("HQ_CRASH_N") {
        Some(kills) => (kills, rounds::LONG, Limit::none()),
        None => (USUAL, rounds::SHORT, Limit::of(LEAST, TIME)),
    };
    let seed: u64 = setting("HQ_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(kills));
    say(&format!("{kills} kills, HQ_CRASH_SEED={seed}"));
    let began = Instant::now();
    let jobs = setting("HQ_CRASH_JOBS").unwrap_or(1);
    let sum = rounds::work(rounds::deal(kills, size, seed), jobs, &limit, |round| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(one(round, &limit))
    });
    let missing = sum.seen.missing();
    if !missing.is_empty() {
        // What some desks do only after many other actions takes many kills to occur.
        assert!(sum.kills.moments + sum.kills.answers < MANY, "never written: {missing:?}");
        say(&format!("too few kills to write {missing:?}"));
    }
    say(&format!("{sum} in {} s; all as told (HQ_CRASH_SEED={seed})", began.elapsed().as_secs()));
}

/// Tests one folder from its first start, with the number of kills of the round.
async fn one(round: Round, limit: &Limit) -> Done {
    let Round { kills, seed } = round;
    let mut proof = Proof::default();
    let mut folder = tempfile::tempdir().expect("a temporary folder");
    if setting("HQ_CRASH_KEEP").is_some() {
        folder.disable_cleanup(true);
        say(&format!("seed {seed} in {}", folder.path().display()));
    }
    let (data, beside) = (folder.path().join("data"), folder.path().join("beside"));
    std::fs::create_dir(&beside).expect("a folder");
    let model = ModelServer::start().await;
    chats::script(&model);

    let mut program = Program::start(dice::program(), &data);
    let keys = first_boot(&mut program, &data).await;
    let quiet = Trap::none();
    let at = |program: &Program| Api {
        keys: &keys,
        base: program.url().to_owned(),
        data: &data,
        trap: &quiet,
    };
    let api = at(&program);
    let control = prepare(&api, &model).await;

    let mut dice = Dice::new(seed);
    let heirs = heirs::Heirs::new(&api).await;
    let notices = notices::Notices::new(&api).await;
    let desks: Vec<Box<dyn desk::Desk>> = vec![
        // It ends first, because others wait for what it blocks.
        Box::new(holds::Holds::default()),
        Box::new(tasks::Tasks::new("writer", control)),
        Box::new(tasks::Tasks::new("other", control)),
        Box::new(series::Series::default()),
        Box::new(groups::Groups::default()),
        Box::new(plans::Plans::default()),
        Box::new(customers::Customers::default()),
        Box::new(routines::Routines::default()),
        Box::new(notices),
        Box::new(agents::Agents::default()),
        Box::new(chats::Chats::default()),
        Box::new(yeses::Yeses::default()),
        Box::new(connections::Connections::new(model.openai_url())),
        Box::new(accounts::Accounts::new(Maker::start().await, model.openai_url())),
        Box::new(people::People::default()),
        Box::new(heirs),
        Box::new(workspaces::Workspaces::new(beside.clone())),
        Box::new(upkeep::Upkeep::default()),
        Box::new(backups::Backups::new(&beside)),
        Box::new(follower::Follower::default()),
    ];
    let mut writers: Vec<_> =
        (1..).zip(desks).map(|(n, desk)| Writer::new(desk, Dice::new(seed ^ n))).collect();
    let (mut seen, mut count) = (Seen::default(), Kills::default());
    let many = 2 * WHOLE_OF_MANY <= kills;
    let whole = if many { WHOLE_OF_MANY } else { WHOLE };
    for n in 1..=kills {
        if !limit.goes_on() {
            break;
        }
        let kill = Kill::choose(&mut dice);
        let trap = kill.trap();
        let api = Api { trap: &trap, ..at(&program) };
        kill.carry_out(program, &api, &mut writers, &mut count).await;
        limit.count();
        // Both check the same; the program is an optimized build.
        match n % whole == 0 {
            true if many => stores::as_the_program_says_meanwhile(&data),
            true => seen.look(&data),
            false => {}
        }
        program = Program::start(dice::program(), &data);
        proof.of_program = None;
        let api = at(&program);
        let latest = if n % whole == 0 { usize::MAX } else { 3 };
        for writer in &mut writers {
            proof.renew(&api).await;
            writer.settle(&api).await;
            writer.desk.check(&api, latest).await;
        }
    }

    let api = at(&program);
    for writer in &mut writers {
        proof.renew(&api).await;
        writer.complete(&api).await;
    }
    for writer in &mut writers {
        proof.renew(&api).await;
        writer.desk.finish(&api).await;
    }
    assert!(program.stop().success(), "the program ends well after all kills");
    seen.look(&data);
    stores::as_the_program_says(&data);
    for writer in &writers {
        writer.desk.closed(&data);
    }
    folder.disable_cleanup(false);
    let mut done = Done { rounds: 1, kills: count, tally: Tally::default(), seen };
    for writer in &writers {
        done.tally.add(writer.desk.tally());
    }
    done
}

/// When the owner last authenticated: by signing in, which is stored, and by reauthenticating to the running program,
/// which forgets that when it ends.
struct Proof {
    signed_in: Instant,
    of_program: Option<Instant>,
}

impl Default for Proof {
    fn default() -> Self {
        Self { signed_in: Instant::now(), of_program: None }
    }
}

impl Proof {
    async fn renew(&mut self, api: &Api<'_>) {
        let is_fresh = |at: Instant| at.elapsed() < FRESH;
        if !is_fresh(self.signed_in) && !self.of_program.is_some_and(is_fresh) {
            api.prove(OWNER.2).await;
            self.of_program = Some(Instant::now());
        }
    }
}

/// Sets HQ up in the browser and creates a token with the command.
pub(crate) async fn first_boot(program: &mut Program, data: &Path) -> Keys {
    let browser = Browser::new(program.url());
    browser.set_up(&program.setup_link()).await;
    let made = run_json(dice::program(), data, &["token", "create", "--name", "tests"]);
    let token = made["token"].as_str().expect("a token").to_owned();
    Keys::new(token, browser.cookie_header())
}

/// Creates what all desks need: an agent for tasks, and one that uses the scripted model. Returns what a run leaves on
/// an undisturbed task.
async fn prepare(api: &Api<'_>, model: &ModelServer) -> tasks::Control {
    // A tested connection becomes the default.
    let mut agent = wire::agent(tasks::AGENT);
    agent["model"] = json!("practice");
    api.made(Ask::post(wire::AGENTS, agent), "agent").await;
    let body = wire::task("undisturbed", Some(&tasks::AGENT.to_lowercase()));
    let control = api.made(Ask::post(wire::TASKS, body), "control").await;
    let control = tasks::finished(api, &control.word("id")).await;

    api.made(Ask::patch("/api/v1/settings", json!({ "exec_without_jail": true })), "jail").await;
    let said = [
        (chats::AGENT, "mock"),
        (chats::REFUSED, "broken"),
        (holds::AGENT, "mock"),
        (yeses::AGENT, "mock"),
    ];
    for (name, model_name) in said {
        let body = json!({
            "kind": "openai", "name": format!("For {name}"), "base_url": model.openai_url(),
            "api_key": "sk-crash", "default_model": model_name, "test": false,
        });
        let made =
            api.made(Ask::post(wire::CONNECTIONS, body), &format!("connection-{name}")).await;
        let connection = made.word("id");
        let price = json!({ "price": { "input": 3_000_000, "output": 15_000_000 } });
        let ask = Ask::patch(format!("{}/{connection}", wire::CONNECTIONS), price);
        api.made(ask, &format!("price-{name}")).await;
        let mut agent = wire::agent(name);
        (agent["connection"], agent["model"]) = (json!(connection), json!(model_name));
        api.made(Ask::post(wire::AGENTS, agent), &format!("agent-{name}")).await;
    }
    api.made(Ask::post("/api/v1/permissions", yeses::permission()), "permission").await;
    control
}
