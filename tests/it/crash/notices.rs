//! Load: notices to a second member who is assigned, mentioned, follows and unfollows. Each cause is notified once.
//! Mails are sent at least once: a kill between the mail server's reply and its record causes one more attempt, a
//! minute later and with another id; no attempt is made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use features::notifications::model::Recipient;
use features::notifications::model::sending::{Delivery, Out, PushSubscription};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use kernel::time::SystemClock;
use kernel::{Clock as _, NoticeKind};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, Store, StoreError};

use support::wire;

use super::api::{Again, Answer, Api, Ask, Door, HOME};
use super::desk::{Desk, Tally};
use super::dice::Dice;
use super::people;
use super::post::Post;
use super::stores;

const EMAIL: &str = "tom@marlow.example";
const LIST: &str = "/api/v1/notifications";
const CHOICES: &str = "/api/v1/notification-choices";
/// Limit of browsers with push.
const MOST_BROWSERS: usize = 8;
/// Mails sent in parallel.
const AT_ONCE: usize = 4;
/// Keys of a browser, from RFC 8291.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
const KINDS: &[&str] = &[
    "told tasks",
    "given tasks",
    "told comments",
    "mentions",
    "mentions by edit",
    "followed tasks",
    "tasks followed no more",
    "completed tasks",
    "looks at notifications",
    "read notifications",
    "notifications put off",
    "notifications put away",
    "choices of ways",
    "mail servers",
    "keys of browsers",
    "browsers",
    "forgotten browsers",
];

/// State of the notice about an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Unread,
    Read,
    Away,
}

/// A task, and the expected notices to its follower.
struct Known {
    id: String,
    title: String,
    given: bool,
    follows: bool,
    /// Unfollowed by choice.
    muted: bool,
    mentioned: bool,
    /// Notified comments, and those without a mention.
    comments: usize,
    plain: Vec<String>,
    done: bool,
    /// Its completion was notified.
    told_done: bool,
    /// Id of the notice about the assignment.
    row: Option<String>,
    stands: Stands,
}

/// The present action and its task.
struct Doing {
    kind: &'static str,
    at: usize,
    words: String,
}

pub struct Notices {
    post: Post,
    account: String,
    handle: String,
    cookie: String,
    known: Vec<Known>,
    from: String,
    hour: u64,
    browsers: BTreeSet<String>,
    /// Number of restarts.
    starts: AtomicUsize,
    doing: Option<Doing>,
    tally: Tally,
}

/// Notices per task: number by kind, and whether they are read.
type Told = BTreeMap<String, BTreeMap<String, (usize, bool)>>;

impl Known {
    fn new(answer: &Answer, given: bool) -> Self {
        Self {
            id: answer.word("id"),
            title: answer.word("title"),
            given,
            follows: given,
            muted: false,
            mentioned: false,
            comments: 0,
            plain: Vec::new(),
            done: false,
            told_done: false,
            row: None,
            stands: Stands::Unread,
        }
    }

    fn may(&self, kind: &str) -> bool {
        match kind {
            "told comments" => true,
            "mentions" => !self.mentioned,
            "mentions by edit" => !self.mentioned && !self.plain.is_empty(),
            "followed tasks" => !self.follows,
            "tasks followed no more" => self.follows,
            "completed tasks" => !self.done,
            "looks at notifications" => self.given && self.row.is_none(),
            "read notifications" | "notifications put off" | "notifications put away" => {
                self.row.is_some() && self.stands == Stands::Unread
            }
            _ => false,
        }
    }

    /// Expected notices to the follower, by kind.
    fn wanted(&self) -> BTreeMap<&'static str, usize> {
        let mut wanted = BTreeMap::from([
            ("task_assigned", usize::from(self.given && self.stands != Stands::Away)),
            ("mention", usize::from(self.mentioned)),
            ("comment", self.comments),
            ("task_completed", usize::from(self.told_done)),
        ]);
        wanted.retain(|_, times| *times != 0);
        wanted
    }

    /// A person was mentioned, and follows the task unless they unfollowed it.
    fn mention(&mut self) {
        self.mentioned = true;
        self.follows |= !self.muted;
    }
}

impl Notices {
    /// Sets up the second member, their choices and a mail server. Not disturbed by kills.
    pub async fn new(api: &Api<'_>) -> Self {
        let body = json!({ "role": "member", "email": EMAIL });
        let made = api.made(Ask::post("/api/v1/invites", body).again(Again::Look), "").await;
        let link = made.word("link");
        let joined = api.ask(&people::join(people::in_link(&link), EMAIL)).await;
        assert_eq!(joined.status, 303, "{}", joined.text);
        let members = api.list("/api/v1/members").await;
        let own = members.iter().find(|member| member["email"] == EMAIL).expect("a member");
        let word = |field: &str| own[field].as_str().expect("a word").to_owned();
        let notices = Self {
            post: Post::start().await,
            account: word("account"),
            handle: word("handle"),
            cookie: joined.cookie.clone().expect("who joins is signed in"),
            known: Vec::new(),
            from: "hq@marlow.example".to_owned(),
            hour: 8,
            browsers: BTreeSet::new(),
            starts: AtomicUsize::new(0),
            doing: None,
            tally: Tally::default(),
        };
        api.made(notices.own(choice(notices.hour)), "notices-choice").await;
        let saved = api.ask(&notices.mail(&notices.from, "a password")).await;
        assert_eq!(saved.status, 303, "{}", saved.text);
        notices
    }

    /// As the notified member.
    fn own(&self, ask: Ask) -> Ask {
        ask.by(Door::Browser(self.cookie.clone()))
    }

    fn mail(&self, from: &str, password: &str) -> Ask {
        let port = self.post.port.to_string();
        let fields = [
            ("host", "127.0.0.1"),
            ("port", port.as_str()),
            ("secrecy", "open"),
            ("user", ""),
            ("password", password),
            ("from", from),
        ];
        Ask::form(format!("/w/{HOME}/settings/mail"), &fields)
    }

    fn browser(&self, act: &str, endpoint: &str) -> Ask {
        let keys = json!({ "p256dh": P256DH, "auth": AUTH });
        let body = json!({ "endpoint": endpoint, "keys": keys });
        let ask = Ask::post(format!("/w/{HOME}/settings/push{act}"), body);
        self.own(ask.again(Again::Harmless))
    }

    fn possible(&self) -> Vec<&'static str> {
        let mut possible = vec!["told tasks", "given tasks", "choices of ways", "mail servers"];
        possible.push("keys of browsers");
        if self.browsers.len() < MOST_BROWSERS {
            possible.push("browsers");
        }
        if !self.browsers.is_empty() {
            possible.push("forgotten browsers");
        }
        let may = |kind: &&&str| self.known.iter().any(|known| known.may(kind));
        possible.extend(KINDS.iter().filter(may).copied());
        possible
    }

    /// The newest notices of the follower, or all of them.
    async fn rows(&self, api: &Api<'_>, all: bool) -> Vec<Value> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let ask = Ask::get(format!("{LIST}?limit=100{after}"));
            let page = api.ask(&self.own(ask)).await;
            assert_eq!(page.status, 200, "{}", page.text);
            rows.extend(page.json["items"].as_array().expect("a list").iter().cloned());
            match page.json["next"].as_str().filter(|_| all) {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    fn told(rows: &[Value]) -> Told {
        let mut told = Told::new();
        for row in rows {
            let kind = row["kind"].as_str().expect("a kind").to_owned();
            let times = row["count"].as_u64().and_then(|count| usize::try_from(count).ok());
            let of_task = told.entry(task_in(row).to_owned()).or_default();
            let (sum, read) = of_task.entry(kind).or_default();
            *sum += times.expect("a number");
            *read |= !row["read_at"].is_null();
        }
        told
    }

    /// Checks that each mail was delivered, and that repeated ones are recorded as repeatable.
    fn check_letters(&self, store: &Store) {
        let found = store.read(|snap| {
            let (rows, left) = (snap.list(&Range::all())?, snap.list(&Range::all())?);
            Ok::<(Vec<Recipient>, Vec<Delivery>), StoreError>((rows, left))
        });
        let (mut rows, left) = found.expect("rows can be read");
        let own = |row: &Recipient| row.member.to_string() == self.account;
        rows.retain(|row| own(row) && row.kind == NoticeKind::Mention);
        let mentioned = self.known.iter().filter(|known| known.mentioned).count();
        assert_eq!(rows.len(), mentioned, "each mention is told once");
        let letters: Vec<_> = self.post.letters();
        let letters: Vec<_> = letters.iter().filter(|one| one.to.contains(EMAIL)).collect();
        let ids: BTreeSet<_> = letters.iter().map(|letter| &letter.id).collect();
        assert_eq!(ids.len(), letters.len(), "no try is made twice");
        let mut repeats = 0;
        for row in &rows {
            let id = row.first.to_string();
            let times = letters.iter().filter(|letter| letter.is_of(&id)).count();
            repeats += times.saturating_sub(1);
            let is_of = |one: &&Delivery| {
                one.member == row.member && one.out == Out::Mail && one.row == row.first
            };
            match left.iter().find(is_of) {
                None => assert!(0 < times, "a letter that is noted and never came: {row:?}"),
                Some(left) => {
                    let again = 0 < left.tries && left.gave_up_at.is_none();
                    assert!(again, "nobody tries it any more: {left:?}");
                }
            }
        }
        let starts = self.starts.load(Ordering::Relaxed);
        assert!(repeats <= AT_ONCE * starts, "{repeats} repeats in {starts} starts");
    }

    fn check_browsers(&self, store: &Store) {
        let all = store.read(|snap| snap.list(&Range::all()));
        let all: Result<Vec<PushSubscription>, StoreError> = all;
        let all = all.expect("rows can be read");
        let own = all.iter().filter(|one| one.account.to_string() == self.account);
        let found: Vec<_> = own.map(|one| one.endpoint.as_str()).collect();
        let once: BTreeSet<_> = found.iter().copied().collect();
        assert_eq!(once.len(), found.len(), "each browser is there once");
        assert_eq!(once, self.browsers.iter().map(String::as_str).collect(), "browsers");
    }
}

/// Only mentions are mailed; there is no daily mail.
fn choice(hour: u64) -> Ask {
    let ways = |mail: bool| json!({ "app": true, "push": false, "mail": mail, "digest": false });
    let group = |group: &str| json!({ "group": group, "ways": ways(false) });
    let body = json!({
        "digest_hour": hour,
        "groups": [group("comments"), group("tasks")],
        "kinds": [{ "kind": "mention", "ways": ways(true) }],
    });
    Ask::put(CHOICES, body)
}

/// Title of the task in a notice.
fn task_in(row: &Value) -> &str {
    let title = row["title"].as_str().unwrap_or_default();
    let inside = title.split_once('\u{201c}').and_then(|(_, rest)| rest.split_once('\u{201d}'));
    inside.map_or("", |(title, _)| title)
}

impl Desk for Notices {
    fn name(&self) -> &'static str {
        "notices"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let kind = self.tally.choose(dice, &self.possible());
        let at = dice.place(&self.known, |known| known.may(kind)).unwrap_or(0);
        let known = self.known.get(at);
        let on = known.map(|known| format!("{}/{}", wire::TASKS, known.id)).unwrap_or_default();
        let row = known.and_then(|known| known.row.clone()).unwrap_or_default();
        let row = format!("{LIST}/{row}");
        let mut words = name.to_owned();
        let called = format!("@{} please look at {name}", self.handle);
        let comment = |body: &str| {
            Ask::post(format!("{on}/comments"), json!({ "body": body, "note_only": true }))
        };
        let ask = match kind {
            "told tasks" => Ask::post(wire::TASKS, wire::task(&format!("task {name}"), None)),
            "given tasks" => {
                let body = wire::task(&format!("task {name}"), Some(&self.account));
                Ask::post(wire::TASKS, body)
            }
            "told comments" => comment(&format!("comment {name}")),
            "mentions" => comment(&called),
            "mentions by edit" => {
                let comment = known.and_then(|known| known.plain.last()).expect("seen just now");
                Ask::patch(format!("/api/v1/comments/{comment}"), json!({ "body": called }))
            }
            "followed tasks" => self.own(Ask::put(format!("{on}/watch"), json!({}))),
            "tasks followed no more" => self.own(Ask::delete(format!("{on}/watch"))),
            "completed tasks" => Ask::patch(on, json!({ "status": "done" })),
            "looks at notifications" => self.own(Ask::get(format!("{LIST}?limit=100"))),
            "read notifications" => self.own(Ask::patch(row, json!({ "read": true }))),
            "notifications put off" => {
                // Far beyond the end of the test.
                let until = SystemClock.now() + SignedDuration::from_hours(24 * 50);
                self.own(Ask::patch(row, json!({ "snoozed_until": until.to_string() })))
            }
            "notifications put away" => self.own(Ask::patch(row, json!({ "dismissed": true }))),
            "choices of ways" => {
                self.hour = dice.below(24);
                self.own(choice(self.hour))
            }
            "mail servers" => {
                self.from = format!("hq-{}@marlow.example", dice.below(1_000_000));
                // An empty password keeps the former one.
                let password = if dice.below(2) == 0 { "" } else { name };
                self.mail(&self.from, password)
            }
            "keys of browsers" => {
                let path = format!("/w/{HOME}/settings/push/key");
                self.own(Ask::post(path, json!({})).again(Again::Harmless))
            }
            "browsers" => {
                words = format!("https://push.example/{name}");
                self.browser("", &words)
            }
            _ => {
                let all: Vec<_> = self.browsers.iter().cloned().collect();
                dice.one(&all).clone_into(&mut words);
                self.browser("/remove", &words)
            }
        };
        self.doing = Some(Doing { kind, at, words });
        ask
    }

    fn done(&mut self, answer: &Answer) {
        let Doing { kind, at, words } = self.doing.take().expect("something was asked for");
        if matches!(kind, "told tasks" | "given tasks") {
            self.known.push(Known::new(answer, kind == "given tasks"));
            return self.tally.count(kind);
        }
        match kind {
            "told comments" => {
                let known = &mut self.known[at];
                known.plain.push(answer.word("id"));
                known.comments += usize::from(known.follows);
            }
            "mentions" => self.known[at].mention(),
            "mentions by edit" => {
                self.known[at].plain.pop();
                self.known[at].mention();
            }
            "followed tasks" | "tasks followed no more" => {
                let known = &mut self.known[at];
                known.follows = kind == "followed tasks";
                known.muted = !known.follows;
                assert_eq!(answer.json["watching"], known.follows, "{}", answer.text);
            }
            "completed tasks" => {
                let known = &mut self.known[at];
                (known.done, known.told_done) = (true, known.follows);
            }
            "looks at notifications" => {
                let rows = answer.json["items"].as_array().expect("a list");
                for row in rows.iter().filter(|row| row["kind"] == "task_assigned") {
                    let own = |known: &&mut Known| known.title == task_in(row);
                    if let Some(known) = self.known.iter_mut().find(own) {
                        known.row = row["id"].as_str().map(str::to_owned);
                    }
                }
            }
            "read notifications" => self.known[at].stands = Stands::Read,
            "notifications put off" | "notifications put away" => {
                self.known[at].stands = Stands::Away;
            }
            "browsers" => {
                self.browsers.insert(words);
            }
            "forgotten browsers" => {
                self.browsers.remove(&words);
            }
            _ => {}
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()> {
        async move {
            self.starts.fetch_add(1, Ordering::Relaxed);
            let all = latest == usize::MAX;
            let told = Self::told(&self.rows(api, all).await);
            let nothing = BTreeMap::new();
            for known in &self.known {
                let found = told.get(&known.title).unwrap_or(&nothing);
                let wanted = known.wanted();
                for (kind, (times, read)) in found {
                    let most = wanted.get(kind.as_str()).copied().unwrap_or(0);
                    assert!(*times <= most, "{kind} of {} is told {times} times", known.title);
                    let is_read = kind == "task_assigned" && known.stands == Stands::Read;
                    assert_eq!(*read, is_read, "{kind} of {}", known.title);
                }
                if all {
                    let found: BTreeMap<_, _> =
                        found.iter().map(|(kind, (times, _))| (kind.as_str(), *times)).collect();
                    assert_eq!(found, wanted, "what is told of {}", known.title);
                }
            }
            let hour = api.ask(&self.own(Ask::get(CHOICES))).await;
            assert_eq!(hour.json["digest_hour"], self.hour, "{}", hour.text);
            let mail = Ask::get(format!("/w/{HOME}/settings/mail")).by(Door::Owner);
            let mail = api.ask(&mail).await;
            assert!(mail.text.contains(&self.from), "letters are from {}", self.from);
        }
        .boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            // The last mail: earlier ones are sent, or were tried when the program was killed.
            let task = Ask::post(wire::TASKS, wire::task("task notices-last", None));
            let mut last = Known::new(&api.made(task, "notices-last").await, false);
            let body = json!({ "body": format!("@{} at last", self.handle), "note_only": true });
            let path = format!("{}/{}/comments", wire::TASKS, last.id);
            api.made(Ask::post(path, body), "notices-last-word").await;
            last.mention();
            let rows = self.rows(api, false).await;
            let own = rows.iter().find(|row| task_in(row) == last.title).expect("it is told");
            self.post.wait_for(own["id"].as_str().expect("an id")).await;
            self.known.push(last);
            self.check(api, usize::MAX).await;
        }
        .boxed()
    }

    fn closed(&self, data: &Path) {
        self.check_letters(&stores::of_workspace(data, HOME).1);
        self.check_browsers(&stores::of_system(data).1);
    }
}
