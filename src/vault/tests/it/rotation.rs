//! Master key rotation: every sealed row is sealed again, even after interruptions. Values that no key opens stay as
//! they are.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use app::App;
use crypto::keyring::{Keyring, Secret};
use crypto::master::MasterKey;
use crypto::password::Verdict;
use features::backups::job;
use features::backups::model::{BackupSecret, PASSPHRASE};
use features::backups::rules::NewSecret;
use features::rotation::model::Rotation;
use features::rotation::queries;
use features::users::model::Password;
use features::users::model::factors::{Totp, totp_place};
use kernel::{Actor, Cause, Part, Role};
use serde_json::json;
use server::ops::keys;
use server::schema;
use store::{Class, Range, ReadExt as _, Schema};
use support::hq::{OWNER, TestHq};
use support::work;
use vault::model::Value;
use vault::rotation::{self, RotationError, Walked};
use vault::values;

use super::common::{ALL, HERE, added};

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);
const MASTER: &str = "/api/v1/secrets/master-key";
/// More rows than one transaction seals.
const MANY: usize = 150;

/// Runs blocking work on a blocking thread.
async fn apart<T: Send + 'static>(app: &App, work: impl FnOnce(&App) -> T + Send + 'static) -> T {
    let app = app.clone();
    tokio::task::spawn_blocking(move || work(&app)).await.expect("it ends")
}

fn all_values(hq: &TestHq) -> Vec<Value> {
    hq.ws().read(|snap| snap.list::<Value>(&Range::all())).expect("a read")
}

fn last(app: &App) -> Rotation {
    app.system.read(|snap| queries::last(snap)).expect("a read").expect("a change")
}

/// Seals a backup passphrase and an authenticator secret in the store of accounts.
async fn seal_in_accounts(app: &App) {
    let NewSecret::Set(sealed) = job::seal(app, PASSPHRASE, &Secret::new("a phrase to pass"))
    else {
        panic!("it is sealed");
    };
    let accounts = app.system.read(|snap| snap.list::<Password>(&Range::all())).expect("a read");
    let account = accounts.first().expect("the owner's").account;
    let totp = app.keyring.seal_bound(totp_place(&account.to_string()), b"an app's secret");
    let sealed_totp = totp.as_str().to_owned();
    let written = app.system.write(BY.0, BY.1, move |tx| {
        work::lay(tx, &BackupSecret { name: PASSPHRASE.into(), sealed })?;
        work::lay(tx, &Totp { account, sealed: sealed_totp, confirmed_at: None, last_step: 0 })
    });
    written.await.expect("written");
}

fn totp_of(app: &App) -> Totp {
    let all = app.system.read(|snap| snap.list::<Totp>(&Range::all())).expect("a read");
    all.into_iter().next().expect("one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sealed_value_is_sealed_anew_and_a_kill_only_delays_it() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let lines: String = (0..MANY).map(|n| format!("KEY_{n}=value-number-{n}\n")).collect();
    let taken = api.post(&format!("{ALL}/import"), &json!({ "text": lines })).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let app = hq.running().app.clone();
    seal_in_accounts(&app).await;
    let old = app.keyring.key_id();
    let file = app.config.key_file();
    let old_only = Keyring::new(MasterKey::load(&file).expect("the key"));

    let begun = apart(&app, |app| rotation::change(app, BY)).await.expect("another key");
    assert_eq!(begun.from, old.to_string());
    assert_eq!(app.keyring.key_id().as_str(), begun.to);
    let second = apart(&app, |app| rotation::change(app, BY)).await;
    assert!(matches!(second, Err(RotationError::UnderWay)), "{second:?}");
    // New values are sealed with the new key, and all values can be read.
    added(&api, "LATE", "value-that-came-late", json!({})).await;
    let new_only = || Keyring::new(MasterKey::load(&file).expect("the key"));
    let opens = |ring: &Keyring, one: &Value| values::open(ring, one.secret, &one.sealed).is_ok();
    let by_new = all_values(&hq).iter().filter(|one| opens(&new_only(), one)).count();
    assert_eq!(by_new, 1);
    assert!(all_values(&hq).iter().all(|one| opens(&app.keyring, one)));

    // Interrupted after the first transaction in the workspace.
    let cut = apart(&app, |app| {
        rotation::walk(app, &mut |done| match done {
            0..64 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        })
    });
    let cut = cut.await.expect("a piece");
    assert!(64 <= cut.sealed && cut.sealed < 140, "{cut:?}");
    let half = last(&app);
    assert_eq!((half.sealed, half.ended_at), (cut.sealed, None));
    assert_eq!(half.through, ["system.redb"]);
    let state = apart(&app, |app| keys::inspect(app, false)).await.expect("a read");
    assert_eq!((state.state.as_str(), &state.through), ("waits", &half.through), "{state:?}");
    assert!(state.says.contains(&begun.to) && state.helps.contains("Start HQ"), "{state:?}");
    assert!(!state.is_fine() && state.sealed == half.sealed, "{state:?}");
    let state = apart(&app, |app| keys::inspect(app, true)).await.expect("a read");
    assert!(state.state == "under_way" && state.is_fine(), "{state:?}");
    drop(app);

    hq.restart().await;
    let app = hq.running().app.clone();
    assert!(app.keyring.knows(old.as_str()), "the former key lies beside");
    // The start has resumed the rotation, so this call finds nothing to do.
    apart(&app, |app| rotation::walk(app, &mut |_| ControlFlow::Continue(()))).await.expect("done");
    let done = last(&app);
    assert!(done.ended_at.is_some(), "{done:?}");
    assert_eq!(done.shut, 0, "{done:?}");
    let state = apart(&app, |app| keys::inspect(app, true)).await.expect("a read");
    assert_eq!((state.state.as_str(), state.from), ("whole", None), "{}", state.says);
    let ring = new_only();
    for one in all_values(&hq) {
        assert!(opens(&ring, &one) && !opens(&old_only, &one));
        assert_eq!(one.key_id, done.to);
    }
    let totp = totp_of(&app);
    assert!(totp.sealed.starts_with(&format!("enc:v2:{}:", done.to)), "{}", totp.sealed);
    let place = totp.account.to_string();
    let sealed = crypto::keyring::Sealed::from_stored(totp.sealed);
    assert_eq!(
        ring.open(&sealed, totp_place(&place)).expect("it opens").expose(),
        b"an app's secret"
    );

    // Passwords verify with the former pepper, and are hashed again at the next sign-in.
    let stored: Vec<Password> = app.system.read(|snap| snap.list(&Range::all())).expect("a read");
    let stored = stored.into_iter().next().expect("the owner's").hash;
    let verdict = app.hasher.verify(Some(stored), OWNER.2.to_owned().into()).await;
    assert_eq!(verdict, Ok(Verdict::RightButOld));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_before_the_file_changes_a_start_changes_it() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    added(&api, "KEY", "value-of-a-key", json!({})).await;
    let app = hq.running().app.clone();
    let file = app.config.key_file();
    let next = crypto::master::next(&file).expect("a key beside");
    let to = crypto::keyring::KeyId::of_master(&next).to_string();
    let keys = (app.keyring.key_id().to_string(), to.clone());
    let write = move |tx: &mut store::WriteTx<'_>| features::rotation::rules::begin(tx, keys);
    app.system.write(BY.0, BY.1, write).await.expect("noted");
    drop(app);

    hq.restart().await;
    let app = hq.running().app.clone();
    assert_eq!(app.keyring.key_id().as_str(), to);
    assert!(!crypto::master::has_next(&file));
    apart(&app, |app| rotation::walk(app, &mut |_| ControlFlow::Continue(()))).await.expect("done");
    assert!(last(&app).ended_at.is_some());
    assert!(all_values(&hq).iter().all(|one| one.key_id == to));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opens_with_no_key_stays_as_it_is_and_is_told() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    added(&api, "KEY", "value-of-a-key", json!({})).await;
    let app = hq.running().app.clone();
    let before = all_values(&hq);
    let begun = apart(&app, |app| rotation::change(app, BY)).await.expect("another key");
    app.keyring.forget(&begun.from);
    let state = apart(&app, |app| keys::inspect(app, true)).await.expect("a read");
    assert!(state.state == "wrong_key" && state.helps.contains("put it back as"), "{state:?}");

    let walked = apart(&app, |app| rotation::walk(app, &mut |_| ControlFlow::Continue(()))).await;
    assert_eq!(walked.expect("through"), Walked { sealed: 0, shut: 1 });
    assert_eq!(all_values(&hq), before, "nothing is written over");
    let state = queries::words(&app).expect("a read").expect("something is told");
    assert!(!state.0 && state.1.contains("1 value can’t be opened with any key"), "{state:?}");
    let list = api.get(ALL).await.json();
    assert_eq!(list["items"][0]["state"], "reenter", "{list}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_somebody_changed_by_hand_is_followed() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    added(&api, "KEY", "value-of-a-key", json!({})).await;
    let file = hq.running().app.config.key_file();
    hq.stop().await;
    std::fs::rename(&file, crypto::master::former_file(&file, "of-last-year")).expect("moved");
    hq.start_again().await;
    let app = hq.running().app.clone();
    apart(&app, |app| rotation::walk(app, &mut |_| ControlFlow::Continue(()))).await.expect("done");
    let done = last(&app);
    assert!(done.ended_at.is_some() && done.shut == 0, "{done:?}");
    assert_eq!(app.keyring.key_id().as_str(), done.to);
    assert!(all_values(&hq).iter().all(|one| one.key_id == done.to));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_programs_change_the_key_and_a_needed_one_stays() {
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    added(&api, "KEY", "value-of-a-key", json!({})).await;
    let member = hq.another("Tom", Some(Role::Member)).await;
    let page = format!("{HERE}/settings/secrets/master-key");
    assert_eq!(member.get(&page).await.status, 403);
    assert_eq!(member.get(MASTER).await.status, 403);
    let before = api.get(MASTER).await.json();
    assert_eq!((&before["formers"], &before["change"]), (&json!([]), &json!(null)), "{before}");

    hq.prove().await;
    let pressed = owner.form(&page, &[]).await;
    assert_eq!(pressed.status, 303, "{}", pressed.text);
    let app = hq.running().app.clone();
    apart(&app, |app| rotation::walk(app, &mut |_| ControlFlow::Continue(()))).await.expect("done");
    let now = api.get(MASTER).await.json();
    assert_eq!(now["change"]["under_way"], json!(false), "{now}");
    assert_eq!((&now["change"]["from"], &now["change"]["to"]), (&before["key"], &now["key"]));
    assert!(now["formers"][0]["needs"].to_string().contains("password"), "{now}");
    let shown = owner.get(&page).await;
    assert!(shown.text.contains(now["key"].as_str().expect("an id")), "{}", shown.text);
    assert!(shown.text.contains("until the next sign-in"), "{}", shown.text);

    let discard = format!("{MASTER}/discard");
    let needed = api.post(&discard, &json!({ "key": before["key"] })).await;
    assert_eq!(needed.status, 409, "{}", needed.text);
    assert_eq!(needed.json()["code"], "master_key_needed", "{}", needed.text);
    let strange = api.post(&discard, &json!({ "key": "00000000" })).await;
    assert_eq!(strange.status, 404, "{}", strange.text);

    // Without a password hash that uses it, nothing needs the former key.
    let hash = app.hasher.hash(OWNER.2.to_owned().into()).await.expect("a hash");
    let renew = move |tx: &mut store::WriteTx<'_>| {
        for one in tx.list::<Password>(&Range::all())? {
            work::lay(tx, &Password { hash: hash.clone(), ..one })?;
        }
        Ok::<_, store::StoreError>(())
    };
    app.system.write(BY.0, BY.1, renew).await.expect("written");
    let gone = api.post(&discard, &json!({ "key": before["key"] })).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert_eq!(gone.json()["formers"], json!([]), "{}", gone.text);
    let former = before["key"].as_str().expect("an id");
    assert!(!crypto::master::former_file(&app.config.key_file(), former).exists());
    let list = api.get(ALL).await.json();
    assert_eq!(list["items"][0]["state"], "active", "{list}");
    let audit = owner.get(&format!("{HERE}/settings/audit?source=accounts")).await;
    assert!(audit.text.contains("created the master key"), "{}", audit.text);
    hq.finish().await;
}

/// Tables of class `Sealed` without envelopes: hashes, public keys, metadata.
const NO_ENVELOPES: [&str; 17] = [
    "passwords",
    "api_token_hashes",
    "links",
    "recovery_codes",
    "known_devices",
    "passkeys",
    "invite_hashes",
    "push_subscriptions",
    "secret_uses",
    "agent_browsers",
    "browser_shots",
    "imports",
    "conversions",
    "source_states",
    "source_runs",
    "source_writes",
    "gateway_tokens",
];

#[test]
fn every_table_with_sealed_values_is_covered() {
    let schemas = [schema::workspace(), schema::system()];
    for (schema, covered) in schemas.into_iter().zip(rotation::sealed_tables()) {
        let found = with_envelopes(&schema);
        let covered: BTreeSet<&str> = covered.into_iter().collect();
        assert_eq!(found, covered);
        for table in schema.tables() {
            let known = covered.contains(table.name) || NO_ENVELOPES.contains(&table.name);
            assert!(
                table.class() != Some(Class::Sealed) || known,
                "{} is sealed: say how its values are sealed anew, or that it has none",
                table.name
            );
        }
    }
}

/// Tables whose sample record has a field `sealed` or contains an envelope.
fn with_envelopes(schema: &Schema) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for table in schema.tables() {
        let Some(ops) = &table.ops else { continue };
        let bytes = (ops.sample)().expect("a sample");
        let text = (ops.json)(&bytes).expect("JSON").to_string();
        if text.contains("enc:v") || text.contains("\"sealed\":\"") {
            found.insert(table.name);
        }
    }
    found
}
