//! The complete `/join` script under `dash`, on a machine that records its calls. It checks its input, changes nothing
//! when repeated, and does nothing when truncated.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::hq::Setup;
use tempfile::TempDir;

const TOKEN: &str = "hq_gw_abcdefgh_0123456789-XYZ";
const FULL: [&str; 4] = ["--token", TOKEN, "--fingerprint", "7K3M-AAAA"];
/// Programs that the script calls besides the standard ones: the user, the download, the service manager.
const CALLED: [(&str, &str); 3] = [
    ("id", "case \"$1\" in -u) echo 1000 ;; *) echo ada ;; esac"),
    (
        "curl",
        "cat >\"$HERE/said\"\n\
         while [ $# -gt 0 ]; do\n\
           case \"$1\" in -D) headers=$2; shift 2 ;; -o) file=$2; shift 2 ;; *) url=$1; shift ;; esac\n\
         done\n\
         echo \"$url\" >>\"$HERE/fetched\"\n\
         [ ! -e \"$HERE/refused\" ] || exit 22\n\
         cp \"$HERE/program\" \"$file\"\n\
         sum=$(sha256sum \"$HERE/program\" | cut -d ' ' -f 1)\n\
         [ ! -e \"$HERE/damaged\" ] || sum=0$sum\n\
         printf 'HTTP/1.1 200 OK\\r\\nX-Hq-Sha256: %s\\r\\n\\r\\n' \"$sum\" >\"$headers\"",
    ),
    ("systemctl", "echo \"$*\" >>\"$HERE/services\""),
];

/// A machine with a home folder and the programs that the script calls.
struct Machine {
    folder: TempDir,
    script: String,
}

impl Machine {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = Self { folder, script: script.to_owned() };
        for name in ["home", "bin", "tmp"] {
            fs::create_dir(machine.at(name)).expect("a folder");
        }
        for (name, does) in CALLED {
            let path = machine.at("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{does}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        machine.offers("the program\n");
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the program that the download returns.
    fn offers(&self, program: &str) {
        fs::write(self.at("program"), program).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn runs(&self, arguments: &[&str]) -> Output {
        self.runs_part(self.script.as_bytes(), arguments)
    }

    /// Runs the received part of the script.
    fn runs_part(&self, came: &[u8], arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.at("bin").display());
        let mut shell = Command::new("dash")
            .args(["-s", "--"])
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.at("home"))
            .env("TMPDIR", self.at("tmp"))
            .env("HERE", self.folder.path())
            .current_dir(self.at("tmp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dash is there");
        let mut input = shell.stdin.take().expect("a pipe");
        // ok: a shell that ends early stops reading.
        let _ = input.write_all(came);
        drop(input);
        shell.wait_with_output().expect("an end")
    }

    /// Paths of everything in the home folder and the script's working folder.
    fn lies(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut folders = vec![self.at("home"), self.at("tmp")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a readable folder") {
                let path = entry.expect("a readable entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(self.folder.path()).expect("below");
                    all.push(below.display().to_string());
                }
            }
        }
        all.sort();
        all
    }
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// The script as served by a primary.
async fn script() -> String {
    let public = |config: &mut app::config::Config| {
        config.public_url = Some("https://hq.example.com".to_owned());
    };
    let hq = Setup::default().config(public).start().await;
    let script = hq.nobody().get("/join").await.text;
    hq.finish().await;
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_installs_a_service_and_run_again_changes_what_differs_alone() {
    let machine = Machine::new(&script().await);
    let full = [&FULL[..], &["--labels", "gpu,region=eu"]].concat();
    let first = machine.runs(&full);
    assert!(first.status.success(), "{}", said(&first));
    let all = [
        "home/.config/systemd/user/hq-gateway.service",
        "home/.local/bin/hq",
        "home/.local/share/hq-gateway/join.token",
    ];
    assert_eq!(machine.lies(), all, "and nothing is left where it worked");
    let (unit, program, token) = (all[0], all[1], all[2]);
    assert_eq!(machine.read(program), "the program\n");
    let mode =
        |name: &str| fs::metadata(machine.at(name)).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(program), mode(token)), (0o755, 0o600));
    assert_eq!(mode("home/.local/share/hq-gateway"), 0o700);
    assert_eq!(machine.read(token), format!("{TOKEN}\n"));
    assert_eq!(machine.read("said"), format!("x-hq-join: {TOKEN}\n"));
    assert_eq!(machine.read("fetched"), "https://hq.example.com/join/program\n");
    let services = "--user daemon-reload\n--user enable hq-gateway.service\n--user restart hq-gateway.service\n";
    assert_eq!(machine.read("services"), services);
    let starts = machine.read(unit);
    let home = machine.at("home");
    let line = format!(
        "ExecStart={0}/.local/bin/hq replica --join https://hq.example.com --fingerprint 7K3M-AAAA --token-file \
         {0}/.local/share/hq-gateway/join.token --data {0}/.local/share/hq-gateway --labels gpu,region=eu\n",
        home.display()
    );
    assert!(starts.contains(&line), "{starts}");
    assert!(!starts.contains(TOKEN) && !said(&first).contains(TOKEN), "it stands in no line");

    // Run again: the existing key and files stay.
    let key = "home/.local/share/hq-gateway/replica.key";
    fs::write(machine.at(key), "its key").expect("written");
    let made = |name: &str| fs::metadata(machine.at(name)).expect("it").modified().expect("a time");
    let before = made(program);
    let again = machine.runs(&full);
    assert!(again.status.success(), "{}", said(&again));
    assert!(said(&again).contains("is up to date"), "{}", said(&again));
    assert_eq!((made(program), machine.read(unit)), (before, starts));
    assert_eq!(machine.read(key), "its key");
    assert_eq!(machine.lies().len(), 4, "{:?}", machine.lies());
    assert_eq!(machine.read("services"), services.repeat(2));

    // A newer program replaces the first; a damaged or missing one does not.
    machine.offers("a newer program\n");
    assert!(machine.runs(&full).status.success());
    assert_eq!(machine.read(program), "a newer program\n");
    machine.offers("something else\n");
    for (wrong, words) in [("damaged", "arrived damaged"), ("refused", "was not given out")] {
        fs::write(machine.at(wrong), "").expect("written");
        let output = machine.runs(&full);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        fs::remove_file(machine.at(wrong)).expect("removed");
    }
    assert_eq!(machine.read(program), "a newer program\n");
    assert_eq!(machine.lies().len(), 4, "{:?}", machine.lies());
    assert_eq!(machine.read("services"), services.repeat(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_is_given_is_never_run_and_half_of_it_does_nothing() {
    let script = script().await;
    let machine = Machine::new(&script);
    let refused = |arguments: &[&str], words: &str| {
        for dry in [&[][..], &["--dry-run"]] {
            let output = machine.runs(&[arguments, dry].concat());
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        }
        assert_eq!(machine.lies(), Vec::<String>::new(), "{arguments:?}");
    };
    for hostile in [
        "gpu;touch t",
        "$(touch t)",
        "`touch t`",
        "a b",
        "a\ntouch t",
        "a'b",
        "a\"b",
        "gpu|touch t",
        "gpu&touch t",
        ">t",
        "~",
        "*",
        "%h",
        "a\\b",
        "größe",
    ] {
        refused(&[&FULL[..], &["--labels", hostile]].concat(), "changed on its way");
        refused(&["--token", hostile, "--fingerprint", "7K3M"], "changed on its way");
        refused(&["--token", TOKEN, "--fingerprint", hostile], "changed on its way");
        refused(&[&FULL[..], &["--data", hostile]].concat(), "a folder has letters");
    }
    refused(&[], "the token is missing");
    refused(&["--fingerprint", "7K3M"], "the token is missing");
    refused(&["--token", ""], "the token is missing");
    refused(&["--token", TOKEN], "the fingerprint is missing");
    refused(&["--verbose"], "there is no option");
    let last = machine.runs(&[&FULL[..], &["--labels"]].concat());
    assert_eq!(last.status.code(), Some(1), "{}", said(&last));
    assert!(said(&last).contains("--labels needs a value"), "{}", said(&last));

    // The transfer was cut off: wherever that was, nothing has been executed.
    let whole = script.trim_end().len();
    let last_line = script.trim_end().lines().last().expect("a line").len();
    for length in (0..whole - last_line).step_by(173).chain(whole - last_line..whole) {
        machine.runs_part(&script.as_bytes()[..length], &FULL);
        assert_eq!(machine.lies(), Vec::<String>::new(), "after {length} bytes of {whole}");
    }
    assert_eq!(machine.read("fetched"), "", "nothing was fetched");

    // Shown, and not done.
    let dry = machine.runs(&[&FULL[..], &["--dry-run"]].concat());
    assert!(dry.status.success(), "{}", said(&dry));
    assert!(said(&dry).contains("would write"), "{}", said(&dry));
    assert_eq!((machine.lies(), machine.read("services")), (Vec::new(), String::new()));
}
