//! Agents: create, save a file, history, file tree, template offers, dashboard with many agents, permission checks.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::load::{self, Client, Times, told};
use crate::model::Manner;
use crate::rows::{self, Ready, figure, has_change, id};
use crate::{Figure, ms};
use support::browse::Browser;
use support::wire;

/// Measurements per action.
const ACTS: usize = 60;
/// Duration of repeated requests.
const SPAN: Duration = Duration::from_secs(4);
/// Files of the agent, and agents on the dashboard.
const FILES: usize = 1_000;
const AGENTS: usize = 100;
/// Commits of an agent, and commits per history page.
const COMMITS: usize = 5_000;
const PAGE: usize = 50;
/// Concurrently open dashboards, and agents working meanwhile.
const OPEN: usize = 100;
const WORKING: usize = 16;
/// Number of permissions.
const RULES: usize = 500;
/// Tasks and notices on the dashboard, and clients that create them.
const TASKS: usize = 100_000;
const NOTICES: usize = 10_000;
const MAKERS: usize = 64;
/// Folders and files per folder: with an agent's initial files nearly 10,000, the limit.
const FOLDERS: usize = 99;
const EACH: usize = 100;

pub fn made(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mut times = Vec::new();
        for number in 0..ACTS {
            let body = wire::agent(&format!("Agent {number}"));
            let began = Instant::now();
            program.call("POST", wire::AGENTS, Some(&body)).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, worst of {ACTS} {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(30)))
    })
}

fn git(folder: &Path, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Mira", "-c", "user.email=mira@example.com"]).args(args);
    let done = command.current_dir(folder).output().map_err(told("git"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

/// Creates agents until there are `many`; returns the ids of all, including the first.
async fn hire(hq: &Ready, program: &mut Client, many: usize) -> Result<Vec<String>, String> {
    let mut agents = vec![hq.agent.clone()];
    for number in 1..many {
        let body = wire::agent(&format!("Agent {number}"));
        agents.push(id(&program.json("POST", wire::AGENTS, Some(&body)).await?)?);
    }
    Ok(agents)
}

/// Time of `git add` and `git commit` of one file among as many, in the same run.
fn by_git(folder: PathBuf) -> Result<Duration, String> {
    let git = |args: &[&str]| git(&folder, args);
    git(&["init", "--quiet"])?;
    for number in 0..FILES {
        let words = format!("Note {number}\n");
        let path = folder.join(format!("n{number}.md"));
        std::fs::write(path, words).map_err(told("a note"))?;
    }
    git(&["add", "."])?;
    git(&["commit", "--quiet", "-m", "all"])?;
    let mut times = Vec::new();
    for count in 0..ACTS {
        let words = format!("Changed {count}\n");
        std::fs::write(folder.join("n500.md"), words).map_err(told("a note"))?;
        let began = Instant::now();
        git(&["add", "n500.md"])?;
        git(&["commit", "--quiet", "-m", "one"])?;
        times.push(began.elapsed());
    }
    Ok(load::share(times)?.p50)
}

pub fn saved(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let at = format!("{}/{}/files", wire::AGENTS, hq.agent);
        for number in 0..FILES {
            let body = json!({ "text": format!("Note {number}\n") });
            program.call("POST", &format!("{at}/n{number}.md"), Some(&body)).await?;
        }
        let mut times = Vec::new();
        let mut base = "Note 500\n".to_owned();
        for count in 0..ACTS {
            let text = format!("Changed {count}\n");
            let body = json!({ "text": text, "base": base });
            base = text;
            let began = Instant::now();
            program.call("PUT", &format!("{at}/n500.md"), Some(&body)).await?;
            times.push(began.elapsed());
        }
        let ours = load::share(times)?.p50;
        let peer = tempfile::tempdir_in(hq.folder.path()).map_err(told("a folder"))?;
        let folder = peer.path().to_owned();
        let git = tokio::task::spawn_blocking(move || by_git(folder));
        let git = git.await.map_err(told("git"))??;
        let ratio = ours.as_secs_f64() / git.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {})", ms(ours), ms(git));
        Ok(figure(text, ratio <= 1.0))
    })
}

pub fn history(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let agent = format!("{}/{}", wire::AGENTS, hq.agent);
        let file = format!("{agent}/files/n0.md");
        program.call("POST", &file, Some(&json!({ "text": "Note\n" }))).await?;
        // Content of each of the ten files.
        let mut lines: [String; 10] = std::array::from_fn(|_| "Note\n".to_owned());
        for count in 1..COMMITS {
            // Only every tenth commit changes the file, so that the others have to be skipped.
            let (method, path) = match (count % 10, count / 10) {
                (0, _) => ("PUT", file.clone()),
                (other, 0) => ("POST", format!("{agent}/files/n{other}.md")),
                (other, _) => ("PUT", format!("{agent}/files/n{other}.md")),
            };
            let text = format!("Changed {count}\n");
            let body = match method {
                "POST" => json!({ "text": text }),
                _ => json!({ "text": text, "base": lines[count % 10] }),
            };
            program.call(method, &path, Some(&body)).await?;
            lines[count % 10] = text;
        }
        let slug = program.json("GET", &agent, None).await?;
        let slug = slug["slug"].as_str().ok_or("an agent has no slug")?.to_owned();
        let path = format!("{agent}/history?path=n0.md&limit={PAGE}");
        let mut times = Vec::new();
        for _ in 0..ACTS {
            let began = Instant::now();
            program.call("GET", &path, None).await?;
            times.push(began.elapsed());
        }
        let ours = load::share(times)?.p50;
        let repo = repository(hq.folder.path())?;
        let mut times = Vec::new();
        for _ in 0..ACTS {
            let mut git = Command::new("git");
            git.arg("--git-dir").arg(&repo).args(["log", "-n"]).arg(PAGE.to_string());
            git.arg(format!("agent/{slug}")).args(["--", "n0.md"]);
            let began = Instant::now();
            let done = git.output().map_err(told("git"))?;
            times.push(began.elapsed());
            if !done.status.success() {
                return Err(format!("git log: {}", String::from_utf8_lossy(&done.stderr)));
            }
        }
        let git = load::share(times)?.p50;
        let ratio = ours.as_secs_f64() / git.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {})", ms(ours), ms(git));
        Ok(figure(text, ratio <= 1.5))
    })
}

/// Git repository of the only workspace in a data folder.
fn repository(data: &Path) -> Result<PathBuf, String> {
    let places = std::fs::read_dir(data.join("workspaces")).map_err(told("the workspaces"))?;
    let repos = places.filter_map(|place| Some(place.ok()?.path().join("agents.git")));
    repos.into_iter().find(|repo| repo.is_dir()).ok_or_else(|| "there is no repository".to_owned())
}

/// Template offers to 100 agents, whose template has one newer file.
pub fn offers(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        hire(&hq, &mut program, AGENTS).await?;
        let repo = repository(hq.folder.path())?;
        let tree = tempfile::tempdir_in(hq.folder.path()).map_err(told("a folder"))?;
        let at = tree.path().join("template");
        let (from, to) = (repo.display().to_string(), at.display().to_string());
        git(tree.path(), &["clone", "--quiet", "--branch", "template/default", &from, &to])?;
        let file = at.join("AGENTS.md");
        let words = std::fs::read_to_string(&file).map_err(told("a template"))?;
        std::fs::write(&file, words + "\nOne rule more.\n").map_err(told("a template"))?;
        git(&at, &["commit", "--quiet", "--all", "-m", "One rule more"])?;
        git(&at, &["push", "--quiet", "origin", "HEAD:template/default"])?;
        let mut times = Vec::new();
        let mut offered = 0;
        for _ in 0..ACTS {
            let began = Instant::now();
            let offers = program.json("GET", "/api/v1/agent-upgrades", None).await?;
            times.push(began.elapsed());
            offered = offers["items"].as_array().map_or(0, Vec::len);
        }
        if offered != AGENTS {
            return Err(format!("{offered} of {AGENTS} agents have an offer"));
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(500)))
    })
}

/// CPU cost of pages with an open dashboard stream while agents work.
pub fn open_dashboards(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let agents = hire(&hq, &mut program, WORKING).await?;
        let home = format!("/w/{}/", hq.workspace);
        let mut pages = Vec::new();
        for _ in 0..OPEN {
            pages.push(tokio::spawn(watch(&hq, &home).await?));
        }
        // As many messages as agents with one task each would send in a minute.
        let before = support::program::cpu_time(hq.program.id());
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut count = 0;
        while began.elapsed() < SPAN * 3 {
            tick.tick().await;
            let title = format!("task {count}");
            let body = wire::task(&title, Some(&agents[count % agents.len()]));
            program.call("POST", wire::TASKS, Some(&body)).await?;
            count += 1;
        }
        let spent = support::program::cpu_time(hq.program.id()).saturating_sub(before);
        for page in pages {
            page.abort();
        }
        let share = spent.as_secs_f64() / began.elapsed().as_secs_f64();
        let text = format!("{share:.2} of a core, {count} tasks given to {WORKING} agents");
        Ok(figure(text, share <= 0.5))
    })
}

/// A live region of a page: id, address, and the events that refresh it.
struct Region {
    id: String,
    path: String,
    events: String,
}

/// The regions of a dashboard, from its HTML attributes.
fn regions(page: &str) -> Result<Vec<Region>, String> {
    let value = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.replace("&amp;", "&"))
    };
    let tags = page.split('<').filter(|tag| tag.contains("data-region"));
    let regions = tags.filter_map(|tag| {
        let id = value(tag, " id")?;
        Some(Region { id, path: value(tag, "hx-get")?, events: value(tag, "hx-trigger")? })
    });
    let regions: Vec<Region> = regions.collect();
    match regions.is_empty() {
        true => Err("the dashboard has no region that is live".to_owned()),
        false => Ok(regions),
    }
}

/// An open dashboard like in a browser: each event refreshes the regions that listen to it. Unlike a browser, it always
/// requests the complete region.
async fn watch(hq: &Ready, home: &str) -> Result<impl Future<Output = ()> + use<>, String> {
    let (mut stream, mut page) = (hq.person().await?, hq.person().await?);
    let shown = page.call("GET", home, None).await?;
    let regions = regions(&String::from_utf8_lossy(&shown))?;
    let mut events = stream.send("GET", &format!("{home}events"), None).await?.into_body();
    Ok(async move {
        while let Some(Ok(frame)) = events.frame().await {
            let Some(bytes) = frame.data_ref().filter(|bytes| has_change(bytes)) else { continue };
            let text = String::from_utf8_lossy(bytes).into_owned();
            let data = text.lines().find_map(|line| line.strip_prefix("data: "));
            let told: Value =
                data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
            let tables: Vec<String> = told["t"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|pair| Some(format!("hq:{} ", pair[0].as_str()?)))
                .collect();
            for region in &regions {
                let hears = tables.iter().any(|table| region.events.contains(table));
                if !hears {
                    continue;
                }
                page.wants(&region.id);
                if page.call("GET", &region.path, None).await.is_err() {
                    return;
                }
            }
        }
        drop(stream);
    })
}

/// Adds a second member; returns the session cookie.
async fn colleague(hq: &Ready, program: &mut Client) -> Result<String, String> {
    let body = json!({ "role": "member", "email": "otto@marlow.example" });
    let made = program.json("POST", "/api/v1/invites", Some(&body)).await?;
    let link = made["link"].as_str().ok_or("an invitation has no link")?;
    let link = link.find("/join").map(|at| &link[at..]).ok_or("its link leads elsewhere")?;
    let browser = Browser::new(hq.program.url());
    let form = browser.open(link).await.form("Join").fill("Your name", "Otto Brandt");
    let form = form.fill("Email", "otto@marlow.example");
    let page = browser.submit(form.fill("Password", "a lantern on the last ferry")).await;
    match page.status.is_success() {
        true => Ok(browser.cookie_header()),
        false => Err(format!("who joins is answered with {}", page.status)),
    }
}

/// Creates all tasks. Those that the colleague assigns to the viewer create notices.
async fn busy(hq: &Ready) -> Result<(), String> {
    let mut program = hq.client().await?;
    hire(hq, &mut program, AGENTS).await?;
    let members = program.json("GET", "/api/v1/members", None).await?;
    let own = members["items"][0]["handle"].as_str().ok_or("a member has no handle")?.to_owned();
    let cookie = colleague(hq, &mut program).await?;
    let mut makers = Vec::new();
    for _ in 0..MAKERS {
        makers.push(Client::connect(hq.program.url(), ("cookie", cookie.clone())).await?);
    }
    let own = &own;
    let work = makers.into_iter().enumerate().map(|(first, mut client)| async move {
        for n in (first..TASKS).step_by(MAKERS) {
            let whose = (n < NOTICES).then_some(own.as_str());
            let body = wire::task(&format!("task {n}"), whose);
            client.call("POST", wire::TASKS, Some(&body)).await?;
        }
        Ok::<_, String>(())
    });
    futures_util::future::try_join_all(work).await?;
    let told = hq.person().await?.json("GET", "/api/v1/notifications?limit=1", None).await?;
    match told["unread"].as_u64() {
        Some(unread) if NOTICES as u64 <= unread => Ok(()),
        unread => Err(format!("{unread:?} notices of {NOTICES}")),
    }
}

/// Size after gzip.
fn packed(folder: &Path, bytes: &[u8]) -> Result<usize, String> {
    let file = folder.join("page.html");
    std::fs::write(&file, bytes).map_err(told("a page"))?;
    let done = Command::new("gzip").arg("-c").arg(&file).output().map_err(told("gzip"))?;
    match done.status.success() {
        true => Ok(done.stdout.len()),
        false => Err(format!("gzip: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

pub fn dashboard(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        busy(&hq).await?;
        let path = format!("/w/{}/", hq.workspace);
        let shown = hq.person().await?.call("GET", &path, None).await?;
        let apart = rows::folder()?;
        let size = packed(apart.path(), &shown)?;
        let regions = regions(&String::from_utf8_lossy(&shown))?;
        let Times { p50, p99 } = load::in_turn(hq.person().await?, &[path], SPAN).await?;
        let load = load::repeat(vec![hq.person().await?], SPAN, async |client, _, count| {
            let region = &regions[count % regions.len()];
            client.wants(&region.id);
            client.call("GET", &region.path, None).await.map(drop)
        });
        let region = load.await?.times.p99;
        let text = format!(
            "p50 {}, p99 {}, region p99 {}, {:.1} KB gzip",
            ms(p50),
            ms(p99),
            ms(region),
            size as f64 / 1024.0
        );
        let kept = p99 <= Duration::from_millis(15)
            && region <= Duration::from_millis(4)
            && size <= 18 * 1024;
        Ok(figure(text, kept))
    })
}

/// The file tree of an agent with nearly 10,000 committed files.
pub fn tree(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mode = format!("{}/{}/mode", wire::AGENTS, hq.agent);
        program.call("PUT", &mode, Some(&json!({ "mode": "full" }))).await?;
        let each = format!("for f in $(seq {EACH}); do echo \"Note $d $f\" > d$d/n$f.md; done");
        let line = format!("for d in $(seq {FOLDERS}); do mkdir d$d; {each}; done");
        let call = json!({ "command": line, "yieldMs": 60_000 });
        hq.model.be(Manner { calls: vec![("exec", call)], ..Manner::default() });
        program.call("POST", wire::CHAT, Some(&wire::chat("Go on", false))).await?;
        let one = format!("{}/{}/files/d7/n7.md", wire::AGENTS, hq.agent);
        let began = Instant::now();
        // The run commits them when it ends.
        loop {
            let standing = program.json("GET", &one, None).await?["standing"].clone();
            if standing == "same" {
                break;
            }
            if Duration::from_secs(60) < began.elapsed() {
                let (_, said) = hq.model.tool();
                return Err(format!("after a minute a file is {standing}: {said}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let page = format!("/w/{}/agents/ada/files", hq.workspace);
        let paths = [page.clone(), format!("{page}?path=d7"), format!("{page}?path=d99/n99.md")];
        let Times { p50, p99 } = load::in_turn(hq.person().await?, &paths, SPAN).await?;
        let text = format!("p50 {}, p99 {}, {} files", ms(p50), ms(p99), FOLDERS * EACH);
        Ok(figure(text, p99 <= Duration::from_millis(25)))
    })
}

pub fn verdict(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let path = format!(
            "/api/v1/policy/explain?agent={}&tool=http_request&host=shop.example&method=POST",
            hq.agent
        );
        let asked = async || {
            let client = hq.client().await?;
            let load = load::repeat(vec![client], SPAN, async |client, _, _| {
                client.call("GET", &path, None).await.map(drop)
            });
            load.await.map(|load| load.times.p50)
        };
        let none = asked().await?;
        for number in 0..RULES {
            let body = json!({
                "tool": "http_request", "agent": hq.agent, "leave": "allow",
                "host": format!("h{number}.example"), "method": "POST",
            });
            program.call("POST", "/api/v1/permissions", Some(&body)).await?;
        }
        let many = asked().await?;
        let more = many.saturating_sub(none);
        let text = format!("{:.0} µs more ({} : {})", more.as_secs_f64() * 1e6, ms(many), ms(none));
        Ok(figure(text, more <= Duration::from_micros(50)))
    })
}

/// Permission check of a command line of ten programs among 500 permissions, compared with an empty one among none.
pub fn line(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let asked = async |line: &str| {
            let line: String = url::form_urlencoded::byte_serialize(line.as_bytes()).collect();
            let path =
                format!("/api/v1/policy/explain?agent={}&tool=exec&command={line}", hq.agent);
            let client = hq.client().await?;
            let load = load::repeat(vec![client], SPAN, async |client, _, _| {
                client.call("GET", &path, None).await.map(drop)
            });
            load.await.map(|load| load.times)
        };
        let none = asked("").await?;
        let words = |n: usize| json!({ "program": "ls", "words": [format!("folder{n}")], "options": ["-l"] });
        let all: Vec<Value> = (0..RULES)
            .map(|n| json!({ "tool": "exec", "leave": "allow", "command": words(n) }))
            .collect();
        let document = json!({ "format": "hq-permissions-1", "permissions": all });
        let mut body = json!({ "agent": hq.agent, "document": document });
        let path = "/api/v1/permissions/import";
        // The preview returns a hash that the request has to contain.
        body["hash"] = program.json("POST", path, Some(&body)).await?["hash"].clone();
        let added = program.json("POST", path, Some(&body)).await?;
        if added["added"] != true {
            return Err(format!("the permissions were not added: {added}"));
        }
        let programs: Vec<String> = (0..10).map(|n| format!("ls -l folder{}", n * 50)).collect();
        let many = asked(&programs.join(" && ")).await?;
        let more = [many.p50.saturating_sub(none.p50), many.p99.saturating_sub(none.p99)];
        let [p50, p99] = more.map(|more| more.as_secs_f64() * 1e6);
        let text = format!("p50 {p50:.0} µs, p99 {p99:.0} µs more than {}", ms(none.p50));
        Ok(figure(text, p50 <= 50.0 && p99 <= 300.0))
    })
}
